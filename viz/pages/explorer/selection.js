/* The pointer, the keys and the focus of the explorer. */

import { byId, targetOf } from "../elements.js"
import { same } from "./details.js"

/** @import { Explorer } from "./explorer.js" */
/** @import { Thing } from "./types.js" */

// pixels from the pointer
const NEARBY = [[0, 0], [0, -4], [0, 4], [-4, 0], [4, 0]]

/** Clicks on the drawing, leaves that are dragged, the thing under the pointer, keys, the focus. */
export class Selection {
  #pointer = 0
  #wasDropped = false // whether the last click ended the dragging of a leaf

  /** @param {Explorer} explorer */
  constructor(explorer) {
    this.explorer = explorer
    const { stage, editor, details } = explorer
    const { frame } = stage
    editor.select = (leaf) => explorer.pin({ kind: "node", index: explorer.cursor.drawn[leaf] })
    stage.grabs = (event) => editor.grab(this.#leafAt(event), event.clientX)
    frame.addEventListener("click", (event) => this.#click(event))
    frame.addEventListener("pointermove", (event) => editor.drag(event.clientX))
    for (const end of /** @type {const} */ (["pointerup", "pointercancel"]))
      frame.addEventListener(end, () => {
        this.#wasDropped = editor.drop()
      })
    frame.addEventListener("pointermove", (event) => this.#hover(event))
    frame.addEventListener("pointerleave", () => details.hover(null))
    frame.addEventListener("focusin", (event) => this.#focused(event))
    // details stay when the focus moves from a node to its panel
    for (const id of ["stage", "details"]) {
      byId(id).addEventListener("focusout", ({ relatedTarget }) => {
        if (!(relatedTarget instanceof Node && byId("details").contains(relatedTarget)))
          details.hover(null)
      })
    }
    document.addEventListener("keydown", (event) => this.#key(event))
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const { key } = event
    const target = targetOf(event)
    if (event.ctrlKey || event.metaKey || event.altKey || target.closest("dialog")) return
    if (target.matches("select, input:not([type=range], [type=checkbox])")) return
    const action = this.#actionFor(key, target)
    if (!action) return
    event.preventDefault()
    action()
  }

  /**
   * Returns the action of a key, or null if the focused control has its own use for the key.
   * @param {string} key
   * @param {Element} target
   */
  #actionFor(key, target) {
    const { explorer } = this
    const { first, back, next, last, play, ...others } = explorer.commands
    /** @type {HTMLElement | null} */
    const item = target.closest?.(".node, .edge, .cover, .frame-button")
    const isControl = target.matches("button, summary, input[type=checkbox]")
    const activate = item ? () => this.activate(item) : null
    /** @param {number} by */
    const jump = (by) => explorer.paused(() => explorer.goTo(explorer.cursor.position + by))
    const moves = { ArrowRight: next, ArrowLeft: back, Home: first, End: last }
    const pages = { PageDown: jump(10), PageUp: jump(-10) }
    /** @type {Record<string, (() => void) | null>} */
    const keys = {
      ...(target.matches("input[type=range]") ? {} : { ...moves, ...pages }),
      ...(target.id === "list" ? { ArrowDown: next, ArrowUp: back } : {}),
      Enter: activate,
      " ": activate ?? (isControl ? null : play),
      "+": others["zoom-in"],
      "=": others["zoom-in"],
      "-": others["zoom-out"],
      0: others["zoom-fit"],
      "/": () => byId("query").focus(),
      "?": others["help-button"],
      "]": () => this.focusNext(1),
      "[": () => this.focusNext(-1),
      Escape: () => {
        explorer.details.hover(null)
        explorer.pin(null)
      }
    }
    return Object.hasOwn(keys, key) ? keys[key] : null
  }

  /** @param {MouseEvent} event */
  #click(event) {
    const { wasDragged } = this.explorer.stage
    if (wasDragged || this.#wasDropped || targetOf(event).closest(".zoom")) return
    const item = this.#partAt(event.clientX, event.clientY)
    if (item) this.activate(item)
    else this.explorer.pin(null)
  }

  /**
   * Keeps or releases the details of a node or an edge; collapses or expands a module.
   * @param {HTMLElement | SVGElement} element
   */
  activate(element) {
    const thing = this.#thing(element)
    if (thing.kind === "frame") this.explorer.toggle(thing.index)
    else this.explorer.pin(same(thing, this.explorer.details.pinned) ? null : thing)
  }

  /**
   * Returns what an element of the drawing stands for.
   * @param {HTMLElement | SVGElement} element
   * @returns {Thing}
   */
  #thing(element) {
    if (element.dataset.frame) return { kind: "frame", index: Number(element.dataset.frame) }
    return {
      kind: element.classList.contains("edge") ? "edge" : "node",
      index: Number(element.id.slice(1))
    }
  }

  /**
   * Returns the part under the pointer, or within 4 pixels of it, because edges are thin.
   * @param {number} x
   * @param {number} y
   */
  #partAt(x, y) {
    for (const [dx, dy] of NEARBY) {
      const element = document.elementFromPoint(x + dx, y + dy)
      /** @type {SVGElement | null | undefined} */
      const part = element?.closest(".node, .cover, .frame-button, .edge")
      if (part && this.explorer.stage.frame.contains(part)) return part
    }
    return null
  }

  /**
   * Returns the node of the recording under the pointer, -1 for none.
   * @param {PointerEvent} event
   */
  #leafAt(event) {
    const group = targetOf(event).closest(".node")
    return group ? this.explorer.data.nodes[Number(group.id.slice(1))].shows : -1
  }

  /** @param {PointerEvent} event */
  #hover(event) {
    if (event.pointerType !== "mouse" || event.buttons) return
    cancelAnimationFrame(this.#pointer)
    this.#pointer = requestAnimationFrame(() => {
      const part = this.#partAt(event.clientX, event.clientY)
      this.explorer.details.hover(part ? this.#thing(part) : null)
    })
  }

  /**
   * Moves the focus to another node or module.  The drawing is one stop of the Tab key; inside it,
   * the keys ] and [ move.
   * @param {number} by
   */
  focusNext(by) {
    const { data, picture, stage } = this.explorer
    /** @type {SVGElement[]} */
    const items = []
    const seen = new Set()
    /** @param {SVGElement} element */
    const add = (element) => {
      if (!seen.has(element)) items.push(element)
      seen.add(element)
    }
    data.nodes.forEach(({ frame }, node) => {
      const around = []
      for (let at = frame; at >= 0; at = data.frames[at].parent) around.unshift(at)
      for (const at of around) add(picture.elementOfFrame(at))
      add(picture.elementOf(node))
    })
    let active = document.activeElement
    if (active instanceof SVGElement && active.matches(".edge")) {
      // from an edge to its user, or to its operand
      const { source, target } = data.edges[this.#thing(active).index]
      active = picture.elementOf(by > 0 ? target : source)
      by = 0
    }
    const first = by > 0 ? 0 : items.length - 1
    const at = items.findIndex((item) => item === active)
    const item = items[at < 0 ? first : (at + by + items.length) % items.length]
    item.focus({ preventScroll: true })
    const thing = this.#thing(item)
    stage.show(
      thing.kind === "node" ? picture.boxOf(thing.index) : picture.modules.boxes[thing.index]
    )
  }

  /** @param {FocusEvent} event */
  #focused(event) {
    const { target } = event
    if (
      target instanceof SVGElement &&
      target.matches(".node, .edge, .cover, .frame-button") &&
      target.matches(":focus-visible")
    ) {
      this.explorer.details.hover(this.#thing(target))
    }
  }
}
