/* The explorer: steps through a recording on its drawing.  Its modules:

   types.js     the types of the data, in comments
   cursor.js    the numbers of every node and edge at a position; does not use the page
   modules.js   frames that collapse and expand in place
   picture.js   shows the position in the drawing
   details.js   the panel about one node, edge or module
   lists.js     the list of all steps, of which only visible rows are in the page; the search
   explorer.js  the controls and keys, which use the classes above

   numbers.js, elements.js and stage.js are shared by all pages; live/ computes the graph. */

import {
  byId, create, disableEnds, fill, readData, setText, showNotes, switchTheme, targetOf
} from "../elements.js"
import { fromAddress, toAddress } from "../live/address.js"
import { Editor } from "../live/editor.js"
import { Recording } from "../live/recording.js"
import { ROWS, WRONG_RULES } from "../live/rows.js"
import { isolated } from "../live/texts.js"
import { clamp } from "../numbers.js"
import { Stage } from "../stage.js"
import { Cursor } from "./cursor.js"
import { Details, same } from "./details.js"
import { Search, StepList } from "./lists.js"
import { Picture } from "./picture.js"

/** @import { PageData, Thing } from "./types.js" */

// pixels from the pointer
const NEARBY = [[0, 0], [0, -4], [0, 4], [-4, 0], [4, 0]]
/** @type {Record<string, string>} */
const ROLE_NAMES = { rest: "nodes that are not drawn", module: "collapsed module" }

export class Explorer {
  /** What each button does; some keys do the same. */
  #commands = {
    first: this.#paused(() => this.goTo(0)),
    back: this.#paused(() => this.back()),
    next: this.#paused(() => this.next()),
    last: this.#paused(() => this.goTo(Infinity)),
    play: () => this.play(),
    "zoom-in": () => this.stage.zoom(1.3),
    "zoom-out": () => this.stage.zoom(1 / 1.3),
    "zoom-fit": () => this.stage.fit(),
    "help-button": () => byId("help").showModal(),
    // a form of method="dialog" does nothing in a notebook's frame
    "help-close": () => byId("help").close(),
    "python-close": () => byId("python").close(),
    copy: () => this.#copy(),
    "collapse-neurons": () => this.collapse(this.picture.modules.levels().neurons),
    "collapse-layers": () => this.collapse(this.picture.modules.levels().layers),
    "expand-all": () => this.collapse([])
  }
  #timer = 0
  #waiting = 0
  #pointer = 0
  #wasDropped = false // whether the last click ended the dragging of a leaf

  /** @param {PageData} data */
  constructor(data) {
    this.data = data
    this.stage = new Stage(byId("stage"))
    this.recording = new Recording(data.program, ROWS, WRONG_RULES)
    this.cursor = new Cursor(data, this.recording)
    this.picture = new Picture(data, this.cursor, this.stage)
    this.details = new Details(this, byId("details"))
    this.list = new StepList(this, byId("list"), byId("rows"))
    this.search = new Search(this)
    this.editor = new Editor(this.recording, () => this.#changed())
    this.#describe()
    this.#listen()
    this.#restart()
    this.#goToAddress(data.open)
  }

  get isPlaying() {
    return this.#timer !== 0
  }

  // -- moving through the steps

  /**
   * Goes to a position: a number of steps of the page that are done.
   * @param {number} position
   */
  goTo(position, { flow = 0 } = {}) {
    position = clamp(position, 0, this.cursor.steps.length)
    this.picture.draw(this.cursor.seek(position))
    this.#say()
    this.details.render()
    this.list.reveal()
    const { step } = this.cursor
    if (byId("follow").checked && !this.stage.isFitted && step && step.node >= 0)
      this.stage.follow(this.picture.boxOf(step.node))
    this.picture.flow(flow ? step : null, flow)
    this.#remember()
  }

  /** Goes to the next visible change. */
  next(milliseconds = 350) {
    this.goTo(this.#visibleChange(1), { flow: milliseconds })
  }

  /** Goes to the previous visible change. */
  back() {
    this.goTo(this.#visibleChange(-1))
  }

  /**
   * Returns where the next visible change is; steps inside collapsed modules are skipped.
   * @param {number} by
   */
  #visibleChange(by) {
    const { position, steps } = this.cursor
    let at = position + by
    while (at > 0 && at < steps.length && !this.picture.modules.sees(steps[at - 1])) at += by
    return at
  }

  /** Plays or pauses. */
  play() {
    if (this.isPlaying) return this.pause()
    if (this.cursor.position === this.cursor.steps.length) this.goTo(0)
    const tick = () => {
      const interval = 1000 / Number(byId("speed").value)
      this.next(interval < 150 ? 0 : Math.min(interval * 0.8, 400))
      if (this.cursor.position < this.cursor.steps.length) this.#timer = setTimeout(tick, interval)
      else this.pause()
    }
    this.#timer = setTimeout(tick, 0)
    byId("sentence").setAttribute("aria-live", "off")
    setText(byId("play"), "pause")
  }

  /** Ends the play. */
  pause() {
    clearTimeout(this.#timer)
    this.#timer = 0
    byId("sentence").setAttribute("aria-live", "polite")
    setText(byId("play"), "play")
  }

  /**
   * Follows another idea of the backward pass, at the same step.
   * @param {string} idea
   */
  #follow(idea) {
    const number = this.cursor.step?.number ?? 0
    this.recording.follow(idea)
    this.#restart()
    this.goTo(this.#positionOf(number))
  }

  // -- looking at things

  /**
   * Shows a node, an edge (its end) or a module in the drawing, expands the modules around it, and
   * keeps its details.
   * @param {Thing} thing
   */
  visit({ kind, index }) {
    const { data } = this
    const node = kind === "edge" ? data.edges[index].target : index
    if (kind === "edge") this.#expandAround(data.nodes[data.edges[index].source].frame)
    this.#expandAround(kind === "frame" ? data.frames[index].parent : data.nodes[node].frame)
    this.#pin({ kind, index })
    const box = kind === "frame" ? this.picture.modules.boxes[index] : this.picture.boxOf(node)
    if (box) this.stage.show(box, true)
  }

  /**
   * Visits a thing from the panel, whose lines then disappear, and gives it the focus.
   * @param {Thing} thing
   */
  enter(thing) {
    const { parts } = this.picture
    this.visit(thing)
    parts[thing.kind === "edge" ? "edges" : "nodes"][thing.index].group.focus({
      preventScroll: true
    })
  }

  /**
   * Collapses exactly these modules.
   * @param {Iterable<number>} frames
   */
  collapse(frames) {
    this.picture.collapse(frames)
    this.details.render()
    this.list.render(true)
  }

  /**
   * Collapses a module, or expands it.
   * @param {number} frame
   */
  toggle(frame) {
    const { modules } = this.picture
    const frames = new Set(modules.collapsed)
    if (!frames.delete(frame)) frames.add(frame)
    const hadFocus = document.activeElement?.closest(".cover, .frame-button")
    this.collapse(frames)
    this.details.hover(null)
    if (hadFocus) this.picture.elementOfFrame(frame).focus({ preventScroll: true })
  }

  /** @param {number} frame */
  #expandAround(frame) {
    const frames = new Set(this.picture.modules.collapsed)
    const before = frames.size
    for (; frame >= 0; frame = this.data.frames[frame].parent)
      frames.delete(frame)
    if (frames.size < before) this.collapse(frames)
  }

  // -- the page around the drawing

  #describe() {
    const { data } = this
    fill(
      this.stage.svg,
      {
        role: "group",
        tabindex: 0,
        "aria-roledescription": "graph",
        "aria-label":
          `${data.title}: ${data.nodes.length} nodes, ${data.edges.length} edges; ` +
          "the keys ] and [ select the next and the previous node"
      },
      []
    )
    byId("idea").append(
      ...Object.entries(this.recording.ideas).map(([value, { title }]) =>
        create("option", { value, text: title })
      )
    )
    byId("live").hidden = !this.editor.leaves.size
    data.nodes.forEach(({ shows }, node) =>
      this.picture.parts.nodes[node].group.classList.toggle("leaf", this.editor.leaves.has(shows))
    )
    byId("modules").hidden = !data.frames.length
    byId("collapse-neurons").hidden = !data.frames.some(({ parent }) => parent >= 0)
    const roles = [...new Set(data.nodes.map(({ role }) => role))]
    byId("legend").replaceChildren(
      ...roles.map((role) =>
        create("li", {
          class: `node ${role}`,
          text: ROLE_NAMES[role] ?? role
        })
      )
    )
    switchTheme()
  }

  /** Shows the steps of another idea of the backward pass. */
  #restart() {
    const { cursor, recording } = this
    cursor.restart()
    byId("idea").value = recording.idea
    byId("slider").max = String(cursor.steps.length)
    byId("forward").style.flexGrow = String(cursor.forward)
    byId("backward").style.flexGrow = String(cursor.steps.length - cursor.forward)
    this.picture.redraw()
    this.list.restart()
    this.#note()
  }

  /** Shows other numbers in the same steps. */
  #changed() {
    this.cursor.refresh()
    this.picture.redraw()
    this.list.render(true)
    this.details.render()
    this.#note()
    this.#say()
    this.#remember()
  }

  #note() {
    const notes = [...this.data.notes, this.recording.verdict()].filter(Boolean)
    showNotes(notes)
    byId("notes").hidden = !notes.length
  }

  async #copy() {
    const text = this.recording.asPython()
    byId("program").textContent = text
    byId("python").showModal()
    try {
      await navigator.clipboard.writeText(text)
      setText(byId("copied"), "It is in the clipboard.")
    } catch {
      setText(byId("copied"), "Select it and copy it.") // a frame may have no access
    }
  }

  #say() {
    const { step, position, steps } = this.cursor
    const { recording } = this
    const sentence = isolated(step ? step.sentence : recording.start())
    const hidden =
      step && !this.picture.modules.sees(step) ? " \u00b7 inside a collapsed module" : ""
    let phase = step ? step.phase : "start"
    if (phase === "backward" && recording.idea) phase += ", after a wrong idea"
    const total = recording.events.length
    const [done, all] = [step?.number ?? 0, total].map((n) => n.toLocaleString("en"))
    setText(byId("where"), `step ${done} of ${all} \u00b7 ${phase}${hidden}`)
    setText(byId("sentence"), sentence)
    byId("sentence").classList.toggle("long", sentence.length > 70)
    setText(byId("formula"), isolated(step?.words.formula ?? ""))
    setText(byId("warning"), (step && recording.marks.get(step.number)?.[1]) ?? "")
    const slider = byId("slider")
    slider.value = String(position)
    slider.setAttribute("aria-valuetext", `step ${step?.number ?? 0} of ${total}, ${phase}`)
    disableEnds(position, steps.length)
  }

  #listen() {
    /**
     * @template {keyof HTMLElementEventMap} Type
     * @param {string} id
     * @param {Type} type
     * @param {(event: HTMLElementEventMap[Type]) => void} listener
     */
    const on = (id, type, listener) => byId(id).addEventListener(type, listener)
    for (const [id, command] of Object.entries(this.#commands)) on(id, "click", command)
    const slide = () => this.goTo(Number(byId("slider").value))
    on("slider", "input", this.#paused(slide))
    on("colour", "change", () => this.picture.colourBy(byId("colour").value))
    on("idea", "change", () => this.#follow(byId("idea").value))
    on("stage", "click", (event) => this.#click(event))
    this.stage.grabs = (event) => this.editor.grab(this.#leafAt(event), event.clientX)
    on("stage", "pointermove", (event) => this.editor.drag(event.clientX))
    for (const end of /** @type {const} */ (["pointerup", "pointercancel"]))
      on("stage", end, () => {
        this.#wasDropped = this.editor.drop()
      })
    on("stage", "pointermove", (event) => this.#hover(event))
    on("stage", "pointerleave", () => this.details.hover(null))
    on("stage", "focusin", (event) => this.#focused(event))
    // details stay when the focus moves from a node to its panel
    for (const id of ["stage", "details"]) {
      on(id, "focusout", ({ relatedTarget }) => {
        if (!(relatedTarget instanceof Node && byId("details").contains(relatedTarget)))
          this.details.hover(null)
      })
    }
    addEventListener("hashchange", () => this.#goToAddress(this.cursor.step?.number ?? 0))
    document.addEventListener("keydown", (event) => this.#key(event))
  }

  /**
   * Returns a listener that pauses and then moves.
   * @param {() => void} move
   */
  #paused(move) {
    return () => {
      this.pause()
      move()
    }
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const { key } = event
    const target = targetOf(event)
    if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return
    if (byId("python").open) return
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
    const { first, back, next, last, play, ...others } = this.#commands
    /** @type {HTMLElement | null} */
    const item = target.closest?.(".node, .edge, .cover, .frame-button")
    const isControl = target.matches("button, summary, input[type=checkbox]")
    const activate = item ? () => this.#activate(item) : null
    /** @param {number} by */
    const jump = (by) => this.#paused(() => this.goTo(this.cursor.position + by))
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
      "]": () => this.#focusNext(1),
      "[": () => this.#focusNext(-1),
      Escape: () => {
        this.details.hover(null)
        this.#pin(null)
      }
    }
    return Object.hasOwn(keys, key) ? keys[key] : null
  }

  /** @param {MouseEvent} event */
  #click(event) {
    if (this.stage.wasDragged || this.#wasDropped || targetOf(event).closest(".zoom")) return
    const item = this.#partAt(event.clientX, event.clientY)
    if (item) this.#activate(item)
    else this.#pin(null)
  }

  /**
   * Keeps or releases the details of a node or an edge; collapses or expands a module.
   * @param {HTMLElement | SVGElement} element
   */
  #activate(element) {
    const thing = this.#thing(element)
    if (thing.kind === "frame") this.toggle(thing.index)
    else this.#pin(same(thing, this.details.pinned) ? null : thing)
  }

  /**
   * Keeps the details of a thing, and shows the panel of a leaf.
   * @param {Thing | null} thing
   */
  #pin(thing) {
    this.details.pin(thing)
    this.editor.show(thing?.kind === "node" ? this.data.nodes[thing.index].shows : -1)
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
      if (part && this.stage.frame.contains(part)) return part
    }
    return null
  }

  /**
   * Returns the node of the recording under the pointer, -1 for none.
   * @param {PointerEvent} event
   */
  #leafAt(event) {
    const group = targetOf(event).closest(".node")
    return group ? this.data.nodes[Number(group.id.slice(1))].shows : -1
  }

  /** @param {PointerEvent} event */
  #hover(event) {
    if (event.pointerType !== "mouse" || event.buttons) return
    cancelAnimationFrame(this.#pointer)
    this.#pointer = requestAnimationFrame(() => {
      const part = this.#partAt(event.clientX, event.clientY)
      this.details.hover(part ? this.#thing(part) : null)
    })
  }

  /**
   * Moves the focus to another node or module.  The drawing is one stop of the Tab key; inside it,
   * the keys ] and [ move.
   * @param {number} by
   */
  #focusNext(by) {
    const { data } = this
    const { modules } = this.picture
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
      for (const at of around) add(this.picture.elementOfFrame(at))
      add(this.picture.elementOf(node))
    })
    let active = document.activeElement
    if (active instanceof SVGElement && active.matches(".edge")) {
      // from an edge to its user, or to its operand
      const { source, target } = data.edges[this.#thing(active).index]
      active = this.picture.elementOf(by > 0 ? target : source)
      by = 0
    }
    const first = by > 0 ? 0 : items.length - 1
    const at = items.findIndex((item) => item === active)
    const item = items[at < 0 ? first : (at + by + items.length) % items.length]
    item.focus({ preventScroll: true })
    const thing = this.#thing(item)
    this.stage.show(
      thing.kind === "node" ? this.picture.boxOf(thing.index) : modules.boxes[thing.index]
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
      this.details.hover(this.#thing(target))
    }
  }

  // -- the address contains the step, by its number in the recording

  /** @param {number} number */
  #positionOf(number) {
    const { steps } = this.cursor
    const after = steps.findIndex((step) => step.number > number)
    return after < 0 ? steps.length : after
  }

  /**
   * Goes to the state in the address; to a step of the recording if it has none.
   * @param {number} number
   */
  #goToAddress(number) {
    const { step, idea, leaves } = fromAddress(location.hash)
    if (location.hash) {
      this.recording.follow(Object.hasOwn(this.recording.ideas, idea) ? idea : "")
      this.editor.fromAddress(leaves)
      this.#restart()
    }
    this.goTo(this.#positionOf(step ?? number))
  }

  #address() {
    const { recording, cursor, editor } = this
    const step = cursor.step?.number ?? 0
    return toAddress({ step, idea: recording.idea, leaves: editor.inAddress() })
  }

  #remember() {
    clearTimeout(this.#waiting)
    this.#waiting = setTimeout(() => {
      try {
        history.replaceState(null, "", this.#address())
      } catch {
        /* a page in a frame may have no address of its own */
      }
    }, 400)
  }
}

new Explorer(readData())
document.documentElement.dataset.ready = "true"
