/* The panel of the explorer about one node, edge or module. */

import { create } from "../elements.js"
import { joined, signName } from "../numbers.js"
import { called } from "./cursor.js"

/** @import { Explorer } from "./explorer.js" */
/** @import { Step } from "./cursor.js" */
/** @import { DrawnNode, Shown, Thing } from "./types.js" */

/** The panel about one thing: the thing under the pointer, else the thing that was clicked, else
    the node of the last step. */
export class Details {
  static MOST = 40 // lines of a sum

  /**
   * @param {Explorer} explorer
   * @param {HTMLElement} panel
   */
  constructor(explorer, panel) {
    this.explorer = explorer
    this.panel = panel
    /** @type {Thing | null} */
    this.pinned = null
    /** @type {Thing | null} */
    this.hovered = null
  }

  get data() {
    return this.explorer.data
  }

  get cursor() {
    return this.explorer.cursor
  }

  get picture() {
    return this.explorer.picture
  }

  /**
   * Keeps the details of a thing; null releases them.
   * @param {Thing | null} thing
   */
  pin(thing) {
    this.#mark("pinned", this.pinned, false)
    this.pinned = thing
    this.#mark("pinned", thing, true)
    this.render()
  }

  /**
   * Shows the details of the thing under the pointer, or in focus.
   * @param {Thing | null} thing
   */
  hover(thing) {
    if (same(thing, this.hovered)) return
    this.#mark("hovered", this.hovered, false)
    this.hovered = thing
    this.#mark("hovered", thing, true)
    this.render()
  }

  /** Forgets what was kept and hovered: another drawing replaces this one. */
  forget() {
    this.pinned = this.hovered = null
  }

  render() {
    const thing = this.hovered ?? this.pinned ?? this.#followed()
    const kept = this.pinned ? "kept; Escape releases it" : "of this step"
    const mode = this.hovered ? "under the pointer" : kept
    const at = this.#buttons().findIndex((button) => button === document.activeElement)
    this.panel.replaceChildren(
      ...this.#content(thing, create("span", { class: "mode", text: mode }))
    )
    if (at >= 0) this.#buttons()[at]?.focus({ preventScroll: true })
  }

  #buttons() {
    return [...this.panel.querySelectorAll("button")]
  }

  /**
   * Returns the node of the last step.
   * @returns {Thing}
   */
  #followed() {
    const { step } = this.cursor
    if (step && step.node >= 0) return { kind: "node", index: step.node }
    return { kind: "node", index: this.data.nodes.findLastIndex(({ role }) => role !== "rest") }
  }

  /**
   * Marks the part of a node or an edge with a class, or removes the mark.
   * @param {string} name
   * @param {Thing | null} thing
   * @param {boolean} on
   */
  #mark(name, thing, on) {
    const parts = this.picture.parts
    if (thing?.kind === "node") parts.nodes[thing.index].group.classList.toggle(name, on)
    if (thing?.kind === "edge") parts.edges[thing.index].group.classList.toggle(name, on)
  }

  /**
   * @param {Thing} thing
   * @param {Element} mode
   */
  #content({ kind, index }, mode) {
    if (kind === "node") return this.#node(index, mode)
    return kind === "edge" ? this.#edge(index, mode) : this.#frame(index, mode)
  }

  /**
   * @param {number} index
   * @param {Element} mode
   */
  #node(index, mode) {
    const { cursor, data } = this
    const node = data.nodes[index]
    const about = [
      node.role,
      node.op,
      node.frame >= 0 && `in ${data.frames[node.frame].path}`,
      node.contents
    ]
    const content = this.#head(called(node), about, mode)
    if (cursor.data(index).text)
      content.push(this.#numbers(cursor.data(index), cursor.grad(index), node.grad))
    if (node.role === "module") content.push(...this.#inside(node))
    if (node.role === "constant") content.push(hint("No gradient flows to a constant."))
    const computation = cursor.computation[index]
    const made =
      computation && node.role !== "module"
        ? this.#section("forward step", this.#line(computation))
        : []
    const forward = [...made, ...this.#partials(index)]
    const backward = this.#sum(index)
    return [
      ...content,
      ...(cursor.step?.phase === "backward" ? [...backward, ...forward] : [...forward, ...backward])
    ]
  }

  /**
   * Returns how to see inside a collapsed module.
   * @param {DrawnNode} node
   */
  #inside({ label, opens }) {
    if (!this.explorer.level) {
      return [
        hint("This module was collapsed before layout. To see inside it, run:"),
        create("p", {}, create("code", { text: opens }))
      ]
    }
    const open = () => this.explorer.lookInside(label)
    const button = create("button", { type: "button", text: "look inside", onclick: open })
    return [hint("Steps inside this module are left out."), button]
  }

  /**
   * @param {number} index
   * @param {Element} mode
   */
  #edge(index, mode) {
    const { data } = this
    const edge = data.edges[index]
    const from = data.nodes[edge.source]
    const to = data.nodes[edge.target]
    const about = [
      edge.constant ? "edge from a constant" : "edge",
      edge.count > 1 && `stands for ${edge.count} edges`
    ]
    const content = this.#head(`${called(from)} \u2192 ${called(to)}`, about, mode)
    const steps = this.cursor.along[index]
    const derivative = this.cursor.derivative(index)
    if (derivative) {
      content.push(
        ...this.#section(
          "local derivative",
          create("p", {
            class: "math",
            text: steps[0]?.words.formula || `\u2202${called(to)}/\u2202${called(from)}`
          }),
          create(
            "dl",
            { class: "numbers" },
            number("value", derivative)
          )
        )
      )
    } else if (edge.constant) {
      content.push(hint("No gradient flows along this edge, because it comes from a constant."))
    }
    if (steps.length)
      content.push(
        ...this.#section("gradients along this edge", ...this.#lines(steps))
      )
    content.push(
      ...this.#section(
        "ends of this edge",
        this.#link(edge.source, "operand"),
        this.#link(edge.target, "user")
      )
    )
    return content
  }

  /**
   * @param {number} index
   * @param {Element} mode
   */
  #frame(index, mode) {
    const { data } = this
    const frame = data.frames[index]
    const collapsed = this.picture.modules.coverOf(index) >= 0
    const content = this.#head(frame.path, ["module", frame.contents], mode)
    if (frame.output >= 0) {
      content.push(
        this.#numbers(this.cursor.data(frame.output), this.cursor.grad(frame.output), true),
        hint(`Data and gradient of its output, ${called(data.nodes[frame.output])}.`)
      )
    }
    const expand =
      "Collapsed: steps inside this module are skipped. To expand it, click it or press Enter."
    const collapse = "To collapse this module, click its title or press Enter."
    return [...content, hint(collapsed ? expand : collapse)]
  }

  /**
   * Returns the title of the panel, and what the thing is.
   * @param {string} title
   * @param {(string | false)[]} about
   * @param {Element} mode
   * @returns {Element[]}
   */
  #head(title, about, mode) {
    return [
      create("h2", { text: title }),
      create("p", { class: "role" }, create("span", { text: joined(about, " \u00b7 ") }), mode)
    ]
  }

  /**
   * @param {Shown} value
   * @param {Shown} gradient
   * @param {boolean} hasGradient
   */
  #numbers(value, gradient, hasGradient) {
    return create(
      "dl",
      { class: "numbers" },
      number("data", value),
      ...(hasGradient ? [number("gradient", gradient)] : [])
    )
  }

  /**
   * @param {string} title
   * @param {Element[]} inside
   */
  #section(title, ...inside) {
    return [create("h3", { text: title }), create("div", { class: "lines" }, ...inside)]
  }

  /**
   * Returns the local derivatives of a node, one line for each operand.
   * @param {number} index
   */
  #partials(index) {
    const { data } = this
    const lines = this.picture.operands[index]
      .filter((edge) => !data.edges[edge].constant)
      .map((edge) => {
        const { source } = data.edges[edge]
        const derivative = this.cursor.derivative(edge)
        const formula = this.cursor.along[edge][0]?.words.formula
        const known = this.cursor.isComputed(index)
        const text =
          formula && data.nodes[index].role !== "module"
            ? formula
            : `\u2202${called(data.nodes[index])}/\u2202${called(data.nodes[source])}`
        const value = derivative && (known ? derivative.text : "?")
        const isSaid = text.endsWith(`= ${value}`) || (text === formula && !known)
        return create("button", {
          class: "math",
          title: `show the edge from ${called(data.nodes[source])}`,
          text: value && !isSaid ? `${text} = ${value}` : text,
          onclick: () => this.explorer.enter({ kind: "edge", index: edge })
        })
      })
    return lines.length ? this.#section("local derivatives", ...lines) : []
  }

  /**
   * Returns the gradient as a sum over the users: a line for each contribution, and a count.
   * @param {number} index
   */
  #sum(index) {
    const steps = this.cursor.contributions[index]
    if (!steps.length) return []
    const done = steps.filter((step) => step.index < this.cursor.position).length
    const { text } = this.cursor.grad(index)
    const right = this.cursor.right[index]
    const isWrong = done === steps.length && right !== null
    let count = done > 1 ? `all ${done} added` : "complete"
    if (done < steps.length) count = `so far: ${done} of ${steps.length} added`
    else if (isWrong) count = `${done} added; the right gradient is ${right}`
    const isSum = steps.some((step) => step.words.lead)
    const title = isSum ? "gradient: sum over its users" : "gradient"
    const lead = this.cursor.recording.gradientName(steps[0].event.node)
    return [
      ...this.#section(title, ...this.#lines(steps)),
      create(
        "p",
        { class: "total" },
        create("span", { class: "math", text: `${lead} = ${text} ` }),
        create("span", { class: isWrong ? "wrong" : "about", text: count })
      )
    ]
  }

  /** @param {Step[]} steps */
  #lines(steps) {
    const next = steps.findIndex((step) => step.index >= this.cursor.position)
    const middle = next < 0 ? steps.length : next
    const from = Math.max(0, Math.min(middle - Details.MOST / 2, steps.length - Details.MOST))
    const shown = steps.slice(from, from + Details.MOST)
    /** @type {(count: number, what: string) => Element[]} */
    const others = (count, what) =>
      count ? [create("p", { class: "about", text: `${count} ${what} steps` })] : []
    return [
      ...others(from, "earlier"),
      ...shown.map((step) => this.#line(step)),
      ...others(steps.length - from - shown.length, "later")
    ]
  }

  /**
   * Returns a line that goes to its step when it is clicked.
   * @param {Step} step
   */
  #line(step) {
    const done = step.index < this.cursor.position
    const name = [
      "math",
      done ? step.flow && signName(step.event.flow) : "coming",
      step === this.cursor.step && "now"
    ]
    return create("button", {
      class: joined(name, " "),
      text: step.withoutLead,
      onclick: () => this.explorer.goTo(step.index + 1),
      title: `go to step ${step.number}${done ? "" : " (not done yet)"}`
    })
  }

  /**
   * @param {number} index
   * @param {string} what
   */
  #link(index, what) {
    return create("button", {
      text: `${what}: ${called(this.data.nodes[index])}`,
      onclick: () => this.explorer.enter({ kind: "node", index })
    })
  }
}

/** @param {string} text */
function hint(text) {
  return create("p", { class: "hint", text })
}

/**
 * Returns whether two things are the same.
 * @param {Thing | null} one
 * @param {Thing | null} other
 */
export function same(one, other) {
  return one?.kind === other?.kind && one?.index === other?.index
}

/**
 * @param {string} what
 * @param {Shown} shown
 */
function number(what, { text, exact }) {
  return create(
    "div",
    {},
    create("dt", { text: what }),
    create("dd", { text }, create("span", { class: "exact", text: exact }))
  )
}
