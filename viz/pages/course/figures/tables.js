/* Figures with numbers of Python: what a gradient costs, and a network that names pictures. */

import { create, createSvg } from "../../elements.js"
import { Graph } from "../../live/engine.js"
import { Layer, mean } from "../../live/network.js"
import { Random } from "../../live/random.js"
import { ROWS } from "../../live/rows.js"
import { Figure, plotOf, powersAround, range } from "./figure.js"

// ---- cost

/** Of each network: its weights, and the operations of a forward pass and of both passes.
 * @typedef {{ widths: number[], depths: number[], costs: Record<string, number[]> }} CostData
 */

const MILLISECONDS = 30 // for which each way is repeated
const MOST_WEIGHTS = 1500 // for which one weight at a time is tried in the browser

/** The lesson on cost: operations of three ways to a gradient, and their time in this browser.
 * @param {HTMLElement} place @param {CostData} data
 */
export function costFigure(place, data) {
  const figure = new Figure(place, () => drawCost(figure, data))
  figure.slider("depth", "hidden layers", data.depths, data.depths[1])
  figure.slider("width", "units in each", data.widths, data.widths[1])
  figure.button("time", "Measure in this browser", () => measure(figure))
  figure.draw()
}

/** @param {Figure} figure @param {CostData} data */
function drawCost(figure, data) {
  const [weights, forward, both] = data.costs[`${figure.get("depth")} ${figure.get("width")}`]
  const singly = forward * (weights + 1)
  const bars = [
    { name: "forward pass", x: forward },
    { name: "both passes", x: both },
    { name: "one at a time", x: singly }
  ]
  const plot = plotOf(
    figure.plot("bars", "Operations: the loss; all derivatives; all of them one weight at a time"),
    [0, 4],
    powersAround([10, singly]),
    { x: "", y: "operations, logarithmic", title: "operations of three ways" },
    { logarithmic: true }
  )
  // the bars have names, and no positions
  for (const tick of plot.back.querySelectorAll("text[text-anchor=middle]")) tick.remove()
  bars.forEach(({ name, x }, i) => {
    const [left, top] = [plot.x(i + 0.65), plot.y(x)]
    plot.front.append(
      createSvg("rect", { class: "bar", x: left, y: top, width: 84, height: 270 - top }),
      createSvg("text", {
        class: "name", x: left + 42, y: top - 6, "text-anchor": "middle", text: name
      })
    )
  })
  figure.show([
    ["weights", "weights", weights],
    ["forward", "operations of the forward pass", forward],
    ["both", "with the backward pass", both],
    ["ratio", "ratio", both / forward],
    ["passes", "forward passes, one weight at a time", weights + 1]
  ])
  figure.say("These operations were counted in the compiled program of the network.")
}

/** Runs a network of this size on the engine of this page. @param {Figure} figure */
function measure(figure) {
  const random = new Random(0)
  const graph = new Graph(ROWS)
  const [depth, width] = [figure.get("depth"), figure.get("width")]
  /** @type {import("../../live/network.js").Initialiser} */
  const init = (fanIn) => random.uniform(-1, 1) / Math.sqrt(fanIn)
  let nodes = [0.3, -0.7].map((x) => graph.leaf(x))
  /** @type {number[]} */
  const weights = []
  for (const outputs of [...range(1, depth, 1).map(() => width), 1]) {
    const layer = new Layer(graph, nodes.length, outputs, "tanh", init, random)
    weights.push(...layer.parameters)
    nodes = layer.apply(nodes)
  }
  const root = mean(graph, nodes.map((node) => graph.apply("square", node)))
  const forward = timed(() => graph.recompute(weights))
  const both = timed(() => {
    graph.recompute(weights)
    graph.gradients(root)
  })
  let singly = "was not tried: it would take too long"
  if (weights.length <= MOST_WEIGHTS) {
    const start = performance.now()
    for (const w of weights) {
      const kept = graph.data[w]
      graph.set(w, kept + 1e-6)
      graph.set(w, kept)
    }
    singly = `took ${(performance.now() - start).toFixed(1)} ms`
  }
  figure.say(
    `In this browser a forward pass took ${forward.toFixed(3)} ms, forward and backward pass ` +
      `${both.toFixed(3)} ms. Moving one weight at a time ${singly}.`
  )
}

/** Returns the milliseconds of a function. @param {() => void} run */
function timed(run) {
  const start = performance.now()
  let count = 0
  while (performance.now() - start < MILLISECONDS) {
    run()
    count += 1
  }
  return (performance.now() - start) / count
}

// ---- pictures

/** A network that Python has trained, some pictures, and the names of the shapes.
 * @typedef {{ side: number, shapes: string[], layers: { w: number[][], b: number[] }[],
 *   pictures: number[][] }} PictureData
 */

/** The lesson on uses: a picture to draw, and what the network says about it.
 * @param {HTMLElement} place @param {PictureData} data
 */
export function pictureFigure(place, data) {
  let at = 0
  let pixels = [...data.pictures[0]]
  const grid = create("div", { class: "pixels", role: "group", "aria-label": "the picture" })
  const buttons = pixels.map((_, i) =>
    create("button", {
      type: "button",
      "data-pixel": i,
      "aria-label": `row ${Math.floor(i / data.side) + 1}, column ${(i % data.side) + 1}`,
      onclick: () => {
        pixels[i] = pixels[i] > 0.5 ? 0 : 1
        figure.draw()
      }
    })
  )
  const figure = new Figure(place, () => {
    buttons.forEach((button, i) => {
      button.ariaPressed = String(pixels[i] > 0.5)
      const light = Math.max(0, Math.min(1, pixels[i]))
      button.style.setProperty("--light", `${Math.round(100 * light)}%`)
    })
    const shares = probabilities(data, pixels)
    figure.show(data.shapes.map((name, i) => [name, `probability of ${name}`, shares[i]]))
    const best = shares.indexOf(Math.max(...shares))
    figure.say(`The network takes this picture for a ${data.shapes[best]}.`)
  })
  figure.button("next", "Another picture", () => {
    at = (at + 1) % data.pictures.length
    pixels = [...data.pictures[at]]
    figure.draw()
  })
  figure.button("clear", "Clear", () => {
    pixels = pixels.map(() => 0)
    figure.draw()
  })
  grid.append(...buttons)
  figure.plots.append(grid)
  figure.draw()
}

/** Returns what the network says: a probability for each shape.
 * @param {PictureData} data @param {number[]} pixels
 */
function probabilities(data, pixels) {
  const graph = new Graph(ROWS)
  let nodes = pixels.map((x) => graph.leaf(x, true))
  data.layers.forEach(({ w, b }, k) => {
    nodes = w.map((row, i) => {
      const terms = row.map((weight, j) => graph.apply("mul", graph.leaf(weight), nodes[j]))
      const sum = terms.reduce((y, term) => graph.apply("add", y, term), graph.leaf(b[i]))
      return k + 1 < data.layers.length ? graph.apply("relu", sum) : sum
    })
  })
  const scores = nodes.map((node) => graph.data[node])
  const most = Math.max(...scores)
  const parts = scores.map((x) => Math.exp(x - most))
  const sum = parts.reduce((a, b) => a + b, 0)
  return parts.map((x) => x / sum)
}
