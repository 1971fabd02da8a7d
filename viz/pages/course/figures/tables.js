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

const ROUNDS = 7 // of a measurement, of which the median counts
const MILLISECONDS = 5 // for which a way is repeated in a round
const WARM_UP = 30 // milliseconds for which each way runs before
const MOST_WEIGHTS = 1500 // for which one weight at a time is measured

/** The lesson on cost: operations of three ways to a gradient, and their time in this browser.
 * @param {HTMLElement} place @param {CostData} data
 */
export function costFigure(place, data) {
  const figure = new Figure(place, () => drawCost(figure, data))
  figure.slider("depth", "hidden layers", data.depths, data.depths[1])
  figure.slider("width", "units in each", data.widths, data.widths[1])
  figure.button("time", "Measure in this browser", () => measure(figure))
  figure.draw()
  return figure
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
    figure.plot(
      "bars",
      "Operations of the loss alone (forward pass), of the loss and all derivatives (both " +
        "passes), and of all derivatives one weight at a time"
    ),
    [0.5, 3.5],
    powersAround([10, singly]),
    { x: "", y: "operations, logarithmic", title: "operations of three ways" },
    { logarithmic: true }
  )
  // the bars have names, and no positions
  for (const tick of plot.back.querySelectorAll("text[text-anchor=middle]")) tick.remove()
  bars.forEach(({ name, x }, i) => {
    const [left, right, top] = [plot.x(i + 0.7), plot.x(i + 1.3), plot.y(x)]
    const [width, height] = [right - left, plot.y(10) - top]
    plot.front.append(
      createSvg("rect", { class: "bar", x: left, y: top, width, height }),
      createSvg("text", {
        class: "name", x: left + width / 2, y: top - 6, "text-anchor": "middle", text: name
      })
    )
  })
  figure.show([
    ["weights", "weights and biases", weights],
    ["forward", "operations of a forward pass", forward],
    ["both", "operations of both passes", both],
    ["ratio", "both passes ÷ forward pass", both / forward],
    ["passes", "forward passes, one weight at a time", weights + 1]
  ])
  figure.say(
    "The operations were counted in the compiled program of a tanh network with two inputs and " +
      "one output. One weight at a time takes a forward pass for each weight, and one before."
  )
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
  const ways = [
    () => graph.recompute(weights),
    () => {
      graph.recompute(weights)
      graph.gradients(root)
    }
  ]
  const isSmall = weights.length <= MOST_WEIGHTS
  if (isSmall) ways.push(() => nudgeAll(graph, weights))
  const [forward, both, singly] = medians(ways)
  const others = isSmall
    ? `one weight at a time ${times(singly / forward)}. Each weight is moved and moved back, and ` +
      "only what depends on it is computed again, so these are not the " +
      `${weights.length + 1} forward passes of the count. `
    : `One weight at a time was left out, because with ${weights.length} weights the page would ` +
      `stand still for seconds; it is measured up to ${MOST_WEIGHTS}. `
  figure.say(
    `In this browser a forward pass took ${Number(forward.toPrecision(2))} ms, and both passes ` +
      `${times(both / forward)} as long${isSmall ? "; " : ". "}${others}` +
      `(Medians of ${ROUNDS} rounds.) ` +
      "Time is not a count of operations: a tanh takes longer than a sum, numbers have to be " +
      "fetched from memory, and the browser does other things meanwhile."
  )
}

/** Moves each weight to and fro. @param {Graph} graph @param {number[]} weights */
function nudgeAll(graph, weights) {
  for (const w of weights) {
    const kept = graph.data[w]
    graph.set(w, kept + 1e-6)
    graph.set(w, kept)
  }
}

/** @param {number} x */
function times(x) {
  return `${Number(x.toPrecision(2))} times`
}

/** Returns the milliseconds of each function: medians of rounds in which they take turns, after
 * they have run for a while, because a browser compiles what runs often.
 * @param {(() => void)[]} ways
 */
function medians(ways) {
  const counts = ways.map((way) => Math.max(1, Math.round(MILLISECONDS / timed(way, WARM_UP))))
  const rounds = Array.from({ length: ROUNDS }, () =>
    ways.map((way, i) => {
      const start = performance.now()
      for (let k = 0; k < counts[i]; k++) way()
      return (performance.now() - start) / counts[i]
    })
  )
  return ways.map((_, i) => rounds.map((round) => round[i]).sort((a, b) => a - b)[ROUNDS >> 1])
}

/** Returns the milliseconds of a function that is repeated for a while.
 * @param {() => void} run
 * @param {number} milliseconds
 */
function timed(run, milliseconds) {
  const start = performance.now()
  let count = 0
  while (performance.now() - start < milliseconds) {
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
  const caption = create("figcaption", {
    text: "A picture that the network has not seen in training. Press a pixel to change it"
  })
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
  figure.plots.append(create("figure", {}, caption, grid))
  figure.draw()
  return figure
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
