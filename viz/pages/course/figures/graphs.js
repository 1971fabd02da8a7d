/* A graph whose leaves can be changed: numbers, gradients, paths, and wrong ideas about the
   backward pass. */

import { partOf, setNumber } from "../../elements.js"
import { Recording } from "../../live/recording.js"
import { ROWS, WRONG_RULES } from "../../live/rows.js"
import { labelNumber } from "../../live/texts.js"
import { Parts } from "../../stage/stage.js"
import { Figure, readable, range } from "./figure.js"

const NUMBER_SIZE = 11
const ROOM = 48 // of a number in a node, in units of the drawing
const NUDGES = [0.001, 0.01, 0.1, 0.5, 1, 2]
const TEMPLATE = "figure-drawing"

/** A graph in data: the recording, which node each box of the drawing shows, and which edge each
 * arrow is; `watched` are the nodes whose numbers are shown.
 * @typedef {{ program: import("../../live/recording.js").Program, shows: (number | null)[],
 *   edges: ([number, number] | null)[], leaves: string[], watched: string[] }} GraphData
 */

/** A drawing whose numbers follow a recording. */
class Drawing {
  /** @param {Figure} figure @param {GraphData} data */
  constructor(figure, data) {
    this.data = data
    this.recording = new Recording(data.program, ROWS, WRONG_RULES)
    this.names = data.program.names
    const template = /** @type {HTMLTemplateElement} */ (document.getElementById(TEMPLATE))
    const place = figure.plot("graph", "The graph, with its numbers")
    place.classList.add("stage", "graph")
    place.append(template.content.cloneNode(true))
    const svg = /** @type {SVGSVGElement} */ (partOf(place, "svg"))
    // on a narrow page the drawing keeps its size, and its place scrolls
    svg.style.minWidth = `${svg.viewBox.baseVal.width}px`
    place.tabIndex = 0
    svg.setAttribute("role", "img")
    svg.setAttribute("aria-label", "the graph; its numbers are in the list below")
    this.parts = new Parts(svg)
    for (const name of data.leaves) {
      const at = this.recording.graph.data[this.names.indexOf(name)]
      figure.slider(name, name, range(-10, 10, 0.5), at)
    }
  }

  /** Reads the sliders, computes, and draws. @param {Figure} figure @param {string} idea */
  draw(figure, idea = "") {
    const { recording, data, parts, names } = this
    recording.idea = idea
    recording.change(new Map(data.leaves.map((name) => [names.indexOf(name), figure.get(name)])))
    const { graph, right } = recording
    const gradients = recording.gradients()
    data.shows.forEach((node, i) => {
      if (node === null) return
      const { group, data: number, grad } = parts.nodes[i]
      group.classList.toggle("wrong", !same(gradients[node], right[node]))
      const texts = [graph.data[node], gradients[node]].map(labelNumber)
      for (const [k, element] of [number, grad].entries())
        if (element) setNumber(element, texts[k], NUMBER_SIZE, () => ROOM)
    })
    data.edges.forEach((edge, i) => {
      const { number } = parts.edges[i]
      if (!edge || !number) return
      const [user, operand] = edge
      const rule = recording.ideas[idea] ?? {}
      setNumber(number, labelNumber(graph.partialAfter(rule, user, operand)), 9, () => ROOM)
    })
    return gradients
  }
}

/** @param {number} x @param {number} y */
function same(x, y) {
  return Object.is(x, y) || Math.abs(x - y) <= 1e-12 * Math.abs(y)
}

/** The lesson on the forward pass: what a change of a leaf does to every number.
 * @param {HTMLElement} place @param {GraphData} data
 */
export function nudgeFigure(place, data) {
  /** @type {Drawing} */
  let drawing
  const figure = new Figure(place, () => {
    drawing.draw(figure)
    const { recording, names } = drawing
    const nudge = figure.get("nudge")
    const at = names.indexOf("a")
    const before = [...recording.graph.data]
    const moved = new Map(data.leaves.map((name) => [names.indexOf(name), figure.get(name)]))
    recording.change(moved.set(at, figure.get("a") + nudge))
    const change = recording.graph.data[recording.root] - before[recording.root]
    figure.show([
      ["L", "L", before[recording.root]],
      ["after", `L when a is ${readable(figure.get("a") + nudge)}`,
        recording.graph.data[recording.root]],
      ["change", "change of L", change],
      ["ratio", "change of L / change of a", change / nudge]
    ])
    figure.say("The ratio is dL/da. Which of the other numbers does it depend on?")
  })
  place.classList.add("without-gradients")
  drawing = new Drawing(figure, data)
  figure.slider("nudge", "a grows by", NUDGES, NUDGES[0])
  figure.draw()
  return figure
}

/** The lesson on the chain rule: the product along each path, and their sum.
 * @param {HTMLElement} place @param {GraphData} data
 */
export function pathFigure(place, data) {
  /** @type {Drawing} */
  let drawing
  const figure = new Figure(place, () => {
    const gradients = drawing.draw(figure)
    const { recording, names } = drawing
    const leaf = names.indexOf("a")
    const found = pathsTo(recording, leaf)
    figure.show([
      ...found.map(({ through, product }, i) =>
        /** @type {[string, string, number]} */ (
          [`path${i}`, `product along ${through}`, product]
        )
      ),
      ["sum", "sum of the products", found.reduce((sum, { product }) => sum + product, 0)],
      ["grad", "gradient of a, by the backward pass", gradients[leaf]]
    ])
    figure.say("On an arrow stands the local derivative. Along a path they multiply.")
  })
  drawing = new Drawing(figure, data)
  figure.draw()
  return figure
}

/** Returns every path from the root to a leaf, with the product of its local derivatives.
 * @param {Recording} recording
 * @param {number} leaf
 */
function pathsTo(recording, leaf) {
  const { graph, root, program } = recording
  const found = []
  const waiting = [{ node: root, product: 1, through: program.names[root] }]
  for (let path = waiting.pop(); path; path = waiting.pop()) {
    const { node, product, through } = path
    if (node === leaf) found.push(path)
    const next = graph.operands[node].flatMap((operand, i) =>
      graph.partials[node][i] === null ? [] : [{
        node: operand,
        product: product * Number(graph.partials[node][i]),
        through: `${through}, ${program.names[operand]}`
      }]
    )
    waiting.push(...next.reverse())
  }
  return found
}

/** The lesson on the backward pass: wrong ideas beside the right one.
 * @param {HTMLElement} place @param {GraphData} data
 */
export function ideaFigure(place, data) {
  /** @type {Drawing} */
  let drawing
  const figure = new Figure(place, () => {
    const idea = figure.get("idea")
    const gradients = drawing.draw(figure, idea)
    const { recording, names } = drawing
    figure.compare(
      ["gradient", "with this idea", "right"],
      data.watched.map((name) => {
        const node = names.indexOf(name)
        return { name, label: recording.gradientName(node),
          found: gradients[node], right: recording.right[node] }
      })
    )
    figure.say(recording.verdict() || "This is the right backward pass. Choose a wrong idea.")
  })
  const ideas = Object.entries(data.program.ideas).map(([name, { title }]) => [name, title])
  const options = { "": "the right backward pass", ...Object.fromEntries(ideas) }
  figure.list("idea", "How the backward pass runs", options)
  drawing = new Drawing(figure, data)
  figure.draw()
  return figure
}
