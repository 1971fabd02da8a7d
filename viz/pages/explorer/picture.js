/* The drawing of the explorer at a position. */

import { animate, createSvg, fill, setNumber, setText } from "../elements.js"
import { flowWidth, joined, magnitude, signName, toNumber } from "../numbers.js"
import { Parts, REDUCED_MOTION } from "../stage/stage.js"
import { UNKNOWN, called } from "./cursor.js"
import { Modules } from "./modules.js"

/** @import { Box, Stage } from "../stage/stage.js" */
/** @import { Cursor, Step } from "./cursor.js" */
/** @import { Changed, PageData } from "./types.js" */

const NUMBER_SIZE = 11 // of the fonts in a drawing, in its units
const SMALL_SIZE = 9
const NAME_WIDTH = 21 // of "data" and "grad", with a gap
const ARROW = 5 // the length of an arrow
const MIN_ROOM = 24 // of a number on an edge
const SIGNS = ["positive", "negative", "zero", "undefined"]

/** Draws the position: numbers, nodes not computed yet, the flow of gradients, the last step. */
export class Picture {
  // the longest edge to be dotted, in units of the drawing; thousands of dots take seconds to draw
  static DOTTED = 400

  /** @type {Element[]} */
  #lit = []
  /** @type {string[]} what of each node, and of each edge, was drawn last */
  #nodeStates = []
  /** @type {string[]} */
  #edgeStates = []
  #stop = () => {} // ends the flow of the dot
  /** @type {Map<number, Box>} */
  #boxes = new Map()

  /**
   * @param {PageData} data
   * @param {Cursor} cursor
   * @param {Stage} stage
   */
  constructor(data, cursor, stage) {
    this.data = data
    this.cursor = cursor
    this.stage = stage
    this.colour = "role"
    this.parts = new Parts(stage.svg)
    /** @type {number[][]} */
    this.operands = data.nodes.map(() => []) // the indices of the edges into each node
    /** @type {number[][]} */
    this.users = data.nodes.map(() => []) // ... and out of it
    data.edges.forEach(({ source, target }, edge) => {
      this.operands[target].push(edge)
      this.users[source].push(edge)
    })
    for (const { group } of this.parts.nodes) fill(group, { role: "button", tabindex: -1 }, [])
    for (const { group } of this.parts.edges) fill(group, { role: "img", tabindex: -1 }, [])
    const isLong = this.parts.edges.map(({ path }) => path.getTotalLength() > Picture.DOTTED)
    this.parts.edges.forEach(({ group }, edge) => group.classList.toggle("long", isLong[edge]))
    this.modules = new Modules(data, this.parts, stage.top)
    this.beam = stage.addLayer(true)
    this.flowing = createSvg("text", { y: -10 })
    this.dot = createSvg(
      "g",
      { class: "flow", visibility: "hidden" },
      createSvg("circle", { r: 5 }),
      this.flowing
    )
    stage.addLayer().append(this.dot)
    this.draw({ nodes: data.nodes.keys(), edges: data.edges.keys() })
  }

  /**
   * Draws what `Cursor.seek` says has changed.
   * @param {Changed} changed
   */
  draw({ nodes, edges }) {
    for (const node of nodes) this.#drawNode(node)
    for (const edge of edges) this.#drawEdge(edge)
    this.#drawCovers()
    this.#light()
  }

  /** Draws everything anew, with other numbers. */
  redraw() {
    this.draw({ nodes: this.data.nodes.keys(), edges: this.data.edges.keys() })
  }

  /** @param {Iterable<number>} frames */
  collapse(frames) {
    this.modules.collapse(frames)
    this.#drawCovers()
    this.#light()
  }

  /**
   * Colours nodes by their role, data or gradient.
   * @param {string} what "role", "data" or "grad"
   */
  colourBy(what) {
    this.colour = what
    this.stage.frame.dataset.colour = what
    this.data.nodes.forEach((_, node) => this.#tint(node))
  }

  /**
   * Returns the element that stands for a node: its own, or the cover over it.
   * @param {number} node
   */
  elementOf(node) {
    const cover = this.modules.cover(this.modules.coverOfNode(node))
    return cover ? cover.group : this.parts.nodes[node].group
  }

  /**
   * Returns the element that stands for a frame: its button, or the cover over it.
   * @param {number} frame
   */
  elementOfFrame(frame) {
    const cover = this.modules.cover(this.modules.coverOf(frame))
    return cover ? cover.group : (this.parts.frames[frame].button ?? this.parts.frames[frame].group)
  }

  /**
   * Returns the box of a node in the coordinates of the drawing.
   * @param {number} node
   */
  boxOf(node) {
    const cover = this.modules.coverOfNode(node)
    if (cover >= 0) return this.modules.boxes[cover]
    const box = this.#boxes.get(node) ?? this.parts.nodes[node].group.getBBox()
    this.#boxes.set(node, box)
    return box
  }

  /**
   * Moves a dot with the adjoint along the edge, from the user to the operand.
   * @param {Step | null} step
   * @param {number} milliseconds
   */
  flow(step, milliseconds) {
    this.#stop()
    this.dot.setAttribute("visibility", "hidden")
    const edge = step && step.edge >= 0 ? this.parts.edges[step.edge] : null
    if (!step || !edge || REDUCED_MOTION.matches || !this.modules.sees(step)) return
    const length = edge.path.getTotalLength()
    this.flowing.textContent = step.flow
    this.#stop = animate(milliseconds, (t) => {
      const point = edge.path.getPointAtLength(length * (1 - t * t * (3 - 2 * t)))
      this.dot.setAttribute(
        "transform",
        `translate(${point.x} ${point.y}) scale(${Math.max(1, 0.8 / this.stage.scale)})`
      )
      this.dot.setAttribute("visibility", t < 1 ? "visible" : "hidden")
    })
  }

  /** @param {number} node */
  #drawNode(node) {
    const { group, data, grad } = this.parts.nodes[node]
    const { cursor } = this
    const isTodo = !cursor.isComputed(node)
    const isReached = cursor.now.grad[node] !== null
    const isWrong = isReached && cursor.right[node] !== null
    const numbers = [cursor.data(node).text, cursor.grad(node).text]
    if (this.colour !== "role") this.#tint(node)
    // most of the time is the browser's, so nothing is set twice
    const state = [isTodo, isReached, isWrong, ...numbers].join()
    if (state === this.#nodeStates[node]) return
    this.#nodeStates[node] = state
    group.classList.toggle("todo", isTodo)
    group.classList.toggle("reached", isReached)
    group.classList.toggle("wrong", isWrong)
    for (const [i, element] of [data, grad].entries())
      if (element) setNumber(element, numbers[i], NUMBER_SIZE, () => roomAfterName(element))
    group.setAttribute("aria-label", this.#nameOf(node))
  }

  /**
   * Returns the text of a node for screen readers.
   * @param {number} node
   */
  #nameOf(node) {
    const { role, op } = this.data.nodes[node]
    return joined([called(this.data.nodes[node]), role, op, this.#said(node)])
  }

  /**
   * Returns the numbers of a node for screen readers.
   * @param {number} node
   */
  #said(node) {
    const { text } = this.cursor.data(node)
    const gradient = this.cursor.grad(node).text
    return joined([
      text && (text === UNKNOWN.text ? UNKNOWN.exact : `data ${text}`),
      gradient && `gradient ${gradient}`
    ])
  }

  /**
   * Returns the text of an edge for screen readers.
   * @param {number} edge
   * @param {string} derivative
   */
  #nameOfEdge(edge, derivative) {
    const { source, target, constant } = this.data.edges[edge]
    const step = this.cursor.now.edge[edge]
    return joined([
      constant ? "edge from a constant" : "edge",
      `${called(this.data.nodes[source])} to ${called(this.data.nodes[target])}`,
      derivative && this.cursor.isComputed(target) && `local derivative ${derivative}`,
      step && `gradient ${step.flow}`
    ])
  }

  /** @param {number} edge */
  #drawEdge(edge) {
    const { group, number, path } = this.parts.edges[edge]
    const step = this.cursor.now.edge[edge]
    const derivative = this.cursor.derivative(edge)?.text ?? ""
    const isAhead = this.cursor.position < this.cursor.edgesSince[edge]
    const sign = step ? signName(step.flowed) : ""
    const width = step ? `${flowWidth(step.flowed).toFixed(2)}px` : ""
    const name = this.#nameOfEdge(edge, derivative)
    const state = [isAhead, sign, width, name, derivative].join()
    if (state === this.#edgeStates[edge]) return
    this.#edgeStates[edge] = state
    group.setAttribute("aria-label", name)
    if (derivative && number)
      setNumber(number, derivative, SMALL_SIZE, () => roomOnEdge(number, path))
    group.classList.toggle("ahead", isAhead)
    for (const each of SIGNS) group.classList.toggle(each, each === sign)
    if (width) group.style.setProperty("--width", width)
    else group.style.removeProperty("--width")
  }

  #drawCovers() {
    for (const [frame, { output, group, data, grad }] of this.modules.covers) {
      const { path, contents } = this.data.frames[frame]
      const name = joined([`module ${path}`, contents, output >= 0 && this.#said(output)])
      group.setAttribute("aria-label", `${name}: expand`)
      if (!data || !grad) continue
      group.classList.toggle("todo", !this.cursor.isComputed(output))
      setText(data, `data ${this.cursor.data(output).text}`)
      setText(grad, `grad ${this.cursor.grad(output).text}`)
    }
  }

  /** @param {number} node */
  #tint(node) {
    const { group } = this.parts.nodes[node]
    const classes = group.classList
    classes.remove("positive", "negative")
    group.style.removeProperty("--tint")
    if (this.colour === "role") return
    const { exact } = this.colour === "data" ? this.cursor.data(node) : this.cursor.grad(node)
    const x = toNumber(exact)
    if (Number.isNaN(x) || x === 0) return
    classes.add(signName(x))
    group.style.setProperty("--tint", `${(10 + 40 * magnitude(x)).toFixed(1)}%`)
  }

  #light() {
    for (const element of this.#lit) element.classList.remove("lit")
    this.#lit = []
    const { step } = this.cursor
    const groups = this.#edgesOf(step).map((edge) => this.parts.edges[edge].group)
    if (step && step.node >= 0) this.#lit.push(this.elementOf(step.node))
    this.#lit.push(...groups)
    for (const element of this.#lit) element.classList.add("lit")
    this.beam.replaceChildren(
      ...groups.filter(({ classList }) => !classList.contains("inside")).map(Picture.#beamOf)
    )
  }

  /**
   * Returns the edges of a step: the edge of its gradient, or all operands of a forward step.
   * @param {Step | null} step
   */
  #edgesOf(step) {
    if (step && step.edge >= 0) return [step.edge]
    return step?.phase === "forward" && step.sets ? this.operands[step.node] : []
  }

  /**
   * Returns a copy of an edge to glow above it.  Painting the edge itself is slow, because the
   * browser then paints everything around it.
   * @param {SVGGElement} group
   */
  static #beamOf(group) {
    const beam = createSvg(
      "g",
      { class: "beam" },
      ...[...group.children].map((part) => part.cloneNode(true))
    )
    beam.style.setProperty("--width", group.style.getPropertyValue("--width"))
    return beam
  }
}

/**
 * Returns the width between the name of a number in a node, which is before it, and its end.
 * @param {SVGElement} number
 */
function roomAfterName(number) {
  const name = number.previousElementSibling
  if (!name?.classList.contains("small")) return Infinity
  return Number(number.getAttribute("x")) - Number(name.getAttribute("x")) - NAME_WIDTH
}

/**
 * Returns the width that a number has on an edge from left to right, between the two nodes.
 * @param {SVGElement} number
 * @param {SVGPathElement} path
 */
function roomOnEdge(number, path) {
  const { x, width } = path.getBBox()
  const middle = Number(number.getAttribute("x"))
  return Math.max(2 * Math.min(middle - x, x + width + ARROW - middle), MIN_ROOM)
}
