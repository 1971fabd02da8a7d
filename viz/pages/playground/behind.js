/* The scalar graph behind a unit, for one sample: every number, local derivative and sentence,
   before the last update and after it. */

import { create, createSvg } from "../elements.js"
import { Recording } from "../live/recording.js"
import { ROWS, WRONG_RULES } from "../live/rows.js"
import { labelNumber } from "../live/texts.js"
import { Model } from "./run/training.js"

/** @import { Trainer } from "./run/training.js" */
/** @import { Sample } from "../live/data.js" */

/** How rows are written, and the templates of sentences; see page.py.
 * @typedef {{ written: Record<string, any>, calls: Record<string, any>,
 *   operations: Record<string, string>, rules: Record<string, string[]>,
 *   templates: Record<string, string>, ordinals: string[] }} RowTexts
 */

const WIDE = 112 // of a box
const HIGH = 44
const STEP_X = 190
const STEP_Y = 58

/** The graph of a sample's loss, with the parts that belong to one unit. */
export class Behind {
  /** @type {number[]} the operations of the loss, which come after the score */
  lossNodes = []
  isOutput = false

  /**
   * @param {Trainer} trainer
   * @param {Sample} sample
   * @param {number} layer
   * @param {number} unit
   * @param {RowTexts} texts
   * @param {ArrayLike<number>} weights
   */
  constructor(trainer, sample, layer, unit, texts, weights) {
    const model = new Model({ ...trainer.state, dropout: 0 })
    const { graph } = model
    model.inputs.forEach((node, i) => {
      graph.data[node] = sample.x[i]
    })
    graph.data[model.target] = trainer.targetOf(sample.t)
    model.parameters.forEach((node, i) => {
      graph.data[node] = weights[i]
    })
    graph.recompute([...model.inputs, model.target, ...model.parameters])
    this.neuron = model.layers[layer].neurons[unit]
    this.output = model.units[layer][unit]
    const before = layer ? model.units[layer - 1] : model.inputs
    const names = this.#names(model, before)
    this.names = names
    this.peers = model.units[layer]
    this.operands = before
    /** the nodes of the unit, in the order of execution */
    this.inside = insideOf(graph, this.output, [
      ...before, ...this.neuron.w, this.neuron.b
    ])
    this.#nameInside(model, layer)
    this.recording = new Recording(programOf(model, names, texts), ROWS, WRONG_RULES)
  }

  /** Names the products p1, p2, ... and the sums s1, s2, ... of the unit; and u1, u2, ... the
   * weights of the next layer that its output meets, and q1, q2, ... these products.
   * @param {Model} model @param {number} layer
   */
  #nameInside({ graph, layers, score }, layer) {
    const { names } = this
    const counts = { mul: 0, add: 0 }
    const letters = { mul: "p", add: "s" }
    for (const node of this.inside) {
      const op = /** @type {"mul" | "add"} */ (graph.ops[node])
      if (op in counts && node !== this.output) names[node] = `${letters[op]}${(counts[op] += 1)}`
    }
    const last = layers.length - 1
    this.isOutput = layer === last
    this.lossNodes = [...graph.ops.keys()].filter((node) => graph.ops[node] && node > score)
    this.lossNodes.slice(0, -1).forEach((node, i) => {
      names[node] = `l${i + 1}`
    })
    const place = this.peers.indexOf(this.output)
    for (const [j, { w }] of (layers[layer + 1]?.neurons ?? []).entries()) {
      names[w[place]] = `u${j + 1}`
      const product = graph.operands.findIndex(
        ([first, second]) => first === w[place] && second === this.output
      )
      names[product] = `q${j + 1}`
    }
  }

  /** @param {Model} model @param {number[]} before */
  #names({ graph, inputs, units, target, loss }, before) {
    const names = graph.ops.map((op, node) =>
      graph.isConstant[node] && !op ? labelNumber(graph.data[node]) : `v${node + 1}`
    )
    inputs.forEach((node, i) => {
      names[node] = inputs.length > 1 ? `x${i + 1}` : "x"
    })
    units.slice(0, -1).forEach((layer, k) => layer.forEach((node, i) => {
      names[node] = before.includes(node) ? `h${i + 1}` : `h${i + 1} of layer ${k + 1}`
    }))
    names[target] = "t"
    names[units[units.length - 1][0]] = "score"
    names[loss] = "L"
    this.neuron.w.forEach((node, i) => {
      names[node] = `w${i + 1}`
    })
    names[this.neuron.b] = "b"
    if (this.output !== units[units.length - 1][0]) names[this.output] = "out"
    return names
  }

  /** Returns the sentences of the unit: its forward pass, and the steps that bring gradients to it,
   * through it, and to its weights.
   */
  sentences() {
    const { events } = this.recording
    // behind the output are the operations of the loss
    const rest = this.isOutput ? this.lossNodes : []
    const own = new Set([...this.inside, ...rest])
    const forward = events.filter(({ before, node }) => before === null && own.has(node))
    const backward = events.filter(
      ({ user, before, node }) =>
        before !== null && (own.has(user) || node === this.output || rest.includes(node))
    )
    return [...forward, ...backward].map((event) => {
      const { lead, rest, growth, formula } = this.recording.words(event)
      const more = [growth && `(${growth})`, formula && `[${formula}]`].filter(Boolean).join("   ")
      return `${lead}${rest}${more ? `   ${more}` : ""}`
    })
  }

  /** Returns the drawing of the unit. */
  drawing() {
    const { graph } = this.recording
    const gradients = this.recording.gradients()
    const places = this.#places()
    const rows = Math.max(...[...places.values()].map(({ y }) => y))
    const columns = Math.max(...[...places.values()].map(({ x }) => x))
    const svg = createSvg("svg", {
      viewBox: `0 0 ${columns + WIDE + 20} ${rows + HIGH + 20}`,
      role: "img",
      "aria-label": "the graph of the unit; its numbers are in the sentences below"
    })
    svg.style.minWidth = `${0.85 * (columns + WIDE + 20)}px`
    for (const node of this.inside) {
      graph.operands[node].forEach((operand, i) => {
        svg.append(edgeOf(places, operand, node, graph.partials[node][i]))
      })
    }
    for (const [node, place] of places) {
      const isLeaf = !graph.ops[node] && !graph.isConstant[node]
      const kind = isLeaf ? "parameter" : this.operands.includes(node) ? "input" : "operation"
      const texts = [
        this.inside.includes(node) ? `${this.names[node]}: ${graph.ops[node]}` : this.names[node],
        `data ${labelNumber(graph.data[node])}`,
        graph.isConstant[node] ? "" : `grad ${labelNumber(gradients[node])}`
      ]
      svg.append(boxOf(place, node === this.output ? "output" : kind, texts))
    }
    return svg
  }

  /** Returns where each node of the drawing is: inputs and weights, products, sums, activation. */
  #places() {
    const { graph } = this.recording
    /** @type {Map<number, { x: number, y: number }>} */
    const places = new Map()
    /** @type {(node: number, column: number, row: number) => void} */
    const put = (node, column, row) => {
      places.set(node, { x: 10 + column * STEP_X, y: 10 + row * STEP_Y })
    }
    this.neuron.w.forEach((w, i) => {
      put(w, 0, 2 * i + 1)
      put(this.operands[i], 0, 2 * i + 2)
    })
    put(this.neuron.b, 1, 0)
    let row = 1.5
    let last = row
    for (const node of this.inside) {
      if (graph.ops[node] === "mul") {
        put(node, 1, row)
        last = row
        row += 2
      } else if (graph.ops[node] === "add") put(node, 2, last)
      else put(node, 3, last)
    }
    return places
  }
}

/** Returns the products, the sums and the activation of a unit, in the order of execution.
 * @param {import("../live/engine.js").Graph} graph
 * @param {number} output
 * @param {number[]} ends the operands of the unit
 */
function insideOf(graph, output, ends) {
  /** @type {Set<number>} */
  const found = new Set()
  const waiting = [output]
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    if (ends.includes(node) || found.has(node) || graph.isConstant[node]) continue
    found.add(node)
    waiting.push(...graph.operands[node])
  }
  return [...found].sort((a, b) => a - b)
}

/** Returns the graph of a model as the recording reads it.
 * @param {Model} model
 * @param {string[]} names
 * @param {RowTexts} texts
 * @returns {import("../live/recording.js").Program}
 */
function programOf({ graph, loss }, names, texts) {
  const rows = [...new Set(graph.ops.filter(Boolean))]
  const nodes = graph.ops.slice(0, loss + 1)
  const inNames = (/** @type {string} */ template, /** @type {number} */ node) =>
    template.replace(/\{(\w+)\}/g, (_, field) =>
      field === "o" ? names[node] : names[graph.operands[node][Number(field)]]
    )
  const computed = [...nodes.keys()].filter((node) => nodes[node])
  return {
    rows,
    ops: nodes.map((op) => (op ? rows.indexOf(op) : -1)),
    operands: graph.operands.slice(0, loss + 1),
    data: graph.data.slice(0, loss + 1),
    partials: graph.partials.slice(0, loss + 1),
    names: names.slice(0, loss + 1),
    differentials: names.slice(0, loss + 1).map((name) =>
      /^[A-Za-z]\d*$/.test(name) ? `d${name}` : `d(${name})`
    ),
    constants: [...nodes.keys()].filter((node) => graph.isConstant[node]),
    operations: Object.fromEntries(
      computed.map((node) => [node, inNames(texts.operations[nodes[node]], node)])
    ),
    rules: Object.fromEntries(
      computed.map((node) => [node, texts.rules[nodes[node]].map((rule) => inNames(rule, node))])
    ),
    written: texts.written,
    calls: texts.calls,
    templates: texts.templates,
    ordinals: texts.ordinals,
    ideas: {},
    idea: "",
    isAlive: true
  }
}

/** @type {(place: { x: number, y: number }, kind: string, texts: string[]) => Element} */
function boxOf({ x, y }, kind, [name, data, grad]) {
  const edge = `M${x} ${y}h${WIDE}v${HIGH}h${-WIDE}Z`
  /** @type {(line: number, words: string, style: string) => Element} */
  const text = (line, words, style) =>
    createSvg("text", {
      class: style, x: x + WIDE / 2, y: y + 13 + 13 * line, "text-anchor": "middle", text: words
    })
  return createSvg(
    "g",
    { class: `node ${kind}` },
    createSvg("path", { d: edge }),
    text(0, name, "label"),
    text(1, data, "data"),
    text(2, grad, "grad")
  )
}

/** @type {(places: Map<number, { x: number, y: number }>, from: number, to: number,
 *   partial: number | null) => Element}
 */
function edgeOf(places, from, to, partial) {
  const [start, end] = [places.get(from), places.get(to)]
  if (!start || !end) return createSvg("g", {})
  const isBelow = start.x === end.x
  const [x1, y1] = isBelow
    ? [start.x + WIDE / 2, start.y + HIGH]
    : [start.x + WIDE, start.y + HIGH / 2]
  const [x2, y2] = isBelow ? [end.x + WIDE / 2, end.y] : [end.x, end.y + HIGH / 2]
  return createSvg(
    "g",
    { class: "edge" },
    createSvg("path", { d: `M${x1} ${y1}L${x2} ${y2}`, fill: "none" }),
    createSvg("text", {
      x: (x1 + x2) / 2,
      y: (y1 + y2) / 2 - 3,
      "text-anchor": "middle",
      text: partial === null ? "" : labelNumber(partial)
    })
  )
}

/** Shows the graph behind a unit.
 * @param {HTMLElement} place
 * @param {Behind} behind
 */
export function showBehind(place, behind) {
  place.replaceChildren(
    create("div", { class: "stage unit-graph", tabindex: 0 }, behind.drawing()),
    create("ol", { class: "sentences", tabindex: 0 },
      ...behind.sentences().map((text) => create("li", { text })))
  )
}
