/* Steps of gradient descent: four optimisers in a ravine that can be turned, and noisy batches. */

import { createSvg } from "../../elements.js"
import { line } from "../../live/data.js"
import { Graph, OPTIMIZERS, step } from "../../live/engine.js"
import { Random } from "../../live/random.js"
import { ROWS } from "../../live/rows.js"
import { Figure, plotOf, range, readable } from "./figure.js"

// ---- the ravine

const GOAL = 1e-3 // a run ends when its loss has fallen to this part of the loss at the start
const LONGEST = 1000
const FAR = 11
const LEVELS = [0.5, 2, 8, 20, 45] // of the loss, as lines
const TURNS = range(0, 90, 5)
const COUNTS = [0, 1, 2, 3, 4, 5, ...range(6, 200, 2)] // of steps that are shown
const SUITED = 100 // the ratio of curvatures for which the rates were chosen that are fixed
const PAUSE = 40 // milliseconds between two steps of the race

/** The optimisers of the lesson, with the settings of Python. A name of a row of `OPTIMIZERS`.
 * @type {(condition: number) => [string, import("../../live/engine.js").Update, number][]}
 */
const racers = (condition) => [
  ["descent", OPTIMIZERS.SGD(), 2 / (1 + condition)],
  ["momentum", OPTIMIZERS.SGD({ momentum: (9 / 11) ** 2 }), (2 / 11) ** 2],
  ["RMSprop", OPTIMIZERS.RMSprop(), 0.1],
  ["Adam", OPTIMIZERS.Adam(), 0.5]
]

/** The lesson on optimisers: four of them race.
 * @param {HTMLElement} place
 * @param {{ seed: number }} data
 */
export function raceFigure(place, { seed }) {
  const figure = new Figure(place, drawRace, seed)
  figure.slider("turn", "ravine turned by", TURNS, 0, "°")
  figure.slider(
    "condition", "curvature across ÷ curvature along", [1, 2, 5, 10, 20, 50, 100], SUITED
  )
  const move = figure.slider("shown", "steps shown", COUNTS, COUNTS[COUNTS.length - 1])
  figure.reseed("Other start")
  figure.player("race", "Race", move, COUNTS.length - 1, PAUSE)
  figure.draw()
  return figure
}

/** Returns the points of a run, from its start until it has reached the goal.
 * @type {(update: any, rate: number, start: number[], condition: number, turn: number) =>
 *   number[][]}
 */
function runOf(update, rate, start, condition, turn) {
  const graph = new Graph(ROWS)
  const [c, s] = [Math.cos(turn), Math.sin(turn)].map((x) => graph.leaf(x, true))
  const w = start.map((x) => graph.leaf(x))
  const u = graph.apply("sub", graph.apply("mul", c, w[0]), graph.apply("mul", s, w[1]))
  const v = graph.apply("add", graph.apply("mul", s, w[0]), graph.apply("mul", c, w[1]))
  const along = graph.apply("mul", graph.leaf(0.5, true), graph.apply("square", u))
  const across = graph.apply("mul", graph.leaf(0.5 * condition, true), graph.apply("square", v))
  const root = graph.apply("add", along, across)
  const state = { steps: 0, slots: [] }
  const path = [start]
  const first = graph.data[root]
  while (graph.data[root] > GOAL * first && path.length <= LONGEST) {
    const gradients = graph.gradients(root)
    const moved = step(update, path[path.length - 1], w.map((node) => gradients[node]), state, rate)
    w.forEach((node, i) => {
      graph.data[node] = moved[i]
    })
    graph.recompute(w)
    path.push(moved)
  }
  return path
}

/** @param {Figure} figure */
function drawRace(figure) {
  const [degrees, condition, shown] = ["turn", "condition", "shown"].map((name) => figure.get(name))
  const turn = (degrees / 180) * Math.PI
  const random = new Random(figure.get("seed"))
  const u = random.choice([-1, 1]) * random.uniform(5, 10)
  const v = random.choice([-1, 1]) * random.uniform(0.5, 1)
  const [c, s] = [Math.cos(turn), Math.sin(turn)]
  const start = [c * u + s * v, c * v - s * u]
  // both axes have the same scale, and the picture is as high as it must be
  const high = FAR * Math.max(0.4, Math.abs(s))
  const plot = plotOf(
    figure.plot(
      "ravine",
      "The ravine from above, with lines of equal loss, and four runs: " +
        `${shown === 1 ? "1 step" : `${shown} steps`} of each`
    ),
    [-FAR, FAR],
    [-high, high],
    { x: "x", y: "", title: "four runs in a ravine, seen from above" },
    { height: (width) => 40 + ((width - 64) * high) / FAR }
  )
  for (const level of LEVELS)
    plot.inside.append(
      createSvg("path", { class: "level", d: ellipse(plot, level, condition, c, s) })
    )
  const runs = racers(condition).map(([name, update, rate], k) => {
    const path = runOf(update, rate, start, condition, turn)
    const part = path.slice(0, shown + 1).map(([x, y]) => /** @type {[number, number]} */ ([x, y]))
    const [x, y] = part[part.length - 1]
    plot.inside.append(
      createSvg("path", { class: `run r${k}`, d: plot.path(part) }),
      createSvg("circle", { class: `run r${k} now`, cx: plot.x(x), cy: plot.y(y), r: 6 })
    )
    const label = `${name}, rate ${readable(rate)}`
    return /** @type {[string, string, number]} */ ([name, label, path.length - 1])
  })
  figure.show(runs, " steps")
  for (const [k, entry] of [...figure.found.querySelectorAll("dt")].entries()) {
    const line = createSvg("path", { class: `run r${k}`, d: "M1 6h38" })
    const attributes = { class: "key", viewBox: "0 0 40 12", role: "presentation" }
    entry.prepend(createSvg("svg", attributes, line))
  }
  figure.say(figure.isPlaying ? "" : raceStory(runs, condition))
}

/** Says who was first, and where the rates come from.
 * @type {(runs: [string, string, number][], condition: number) => string}
 */
function raceStory(runs, condition) {
  const fewest = Math.min(...runs.map(([, , steps]) => steps))
  const first = runs.filter(([, , steps]) => steps === fewest).map(([name]) => name)
  return `Down to a thousandth of the first loss in the fewest steps: ${first.join(" and ")}. ` +
    `Descent has its best rate for this ravine, 2/(1 + ${condition}). The rates of the others ` +
    `stay as they are; that of momentum is its best one for a ratio of ${SUITED}.`
}

/** Returns the path of the points with the same loss.
 * @type {(plot: any, level: number, condition: number, c: number, s: number) => string}
 */
function ellipse(plot, level, condition, c, s) {
  const points = range(0, 72, 1).map((i) => {
    const angle = (i / 36) * Math.PI
    const u = Math.sqrt(2 * level) * Math.cos(angle)
    const v = Math.sqrt((2 * level) / condition) * Math.sin(angle)
    return [c * u + s * v, c * v - s * u]
  })
  return plot.path(points)
}

// ---- batches

const SAMPLES = 256
const DRAWS = 400
const SIZES = [1, 4, 16, 64]
const BINS = 41

/** The lesson on batches: how gradients of batches scatter.
 * @param {HTMLElement} place
 * @param {{ seed: number }} data
 */
export function batchFigure(place, { seed }) {
  const figure = new Figure(place, drawBatches, seed)
  figure.slider("size", "samples in a batch", SIZES, 1)
  figure.reseed("Other samples")
  figure.draw()
  return figure
}

/** @param {Figure} figure */
function drawBatches(figure) {
  const random = new Random(figure.get("seed"))
  const gradients = slopes(line(SAMPLES, 0.5, random))
  const full = average(gradients)
  const drawn = SIZES.map((size) =>
    Array.from({ length: DRAWS }, () => average(random.choices(gradients, size)))
  )
  const spreads = drawn.map((found) =>
    Math.sqrt(average(found.map((x) => x * x)) - average(found) ** 2)
  )
  const at = SIZES.indexOf(figure.get("size"))
  const reach = 3 * spreads[0]
  const width = (2 * reach) / BINS
  const bins = new Array(BINS).fill(0)
  for (const x of drawn[at]) {
    const bin = Math.floor((x - full + reach) / width)
    if (bin >= 0 && bin < BINS) bins[bin] += 1
  }
  const plot = plotOf(
    figure.plot(
      "scatter",
      `${DRAWS} gradients of w1, each from a random batch, at w0 = w1 = 0; dashed: the full ` +
        "gradient, from all samples"
    ),
    [full - reach, full + reach],
    [0, Math.max(...bins) * 1.1],
    { x: "gradient of w1", y: "batches", title: "how the gradients of batches scatter" }
  )
  bins.forEach((count, i) => {
    const left = plot.x(full - reach + i * width)
    const right = plot.x(full - reach + (i + 1) * width)
    const top = plot.y(count)
    plot.inside.append(
      createSvg("rect", {
        class: "bar", x: left, y: top, width: Math.max(right - left - 1, 1), height: plot.y(0) - top
      })
    )
  })
  plot.front.append(createSvg("path", { class: "mark", d: `M${plot.x(full)} 10V${plot.y(0)}` }))
  const size = SIZES[at]
  figure.show([
    ["full", "full gradient", full],
    ["mean", "mean of the batches", average(drawn[at])],
    ["std", "standard deviation (std)", spreads[at]],
    ["scaled", "std × square root of the size", spreads[at] * Math.sqrt(size)]
  ])
  figure.say(
    size === 1
      ? "Each of these gradients comes from one sample, and most are far from the full one."
      : `Batches of ${size} scatter ${(spreads[0] / spreads[at]).toFixed(1)} times less than ` +
        `single samples, and the square root of ${size} is ${Math.sqrt(size)}.`
  )
}

/** Returns the derivative of (w0 + w1 x - t)^2 with respect to w1 at w0 = w1 = 0, by sample.
 * @param {import("../../live/data.js").Sample[]} samples
 */
function slopes(samples) {
  return samples.map(({ x: [x], t }) => {
    const graph = new Graph(ROWS)
    const [w0, w1] = [graph.leaf(0), graph.leaf(0)]
    const height = graph.apply("add", w0, graph.apply("mul", w1, graph.leaf(x, true)))
    const root = graph.apply("square", graph.apply("sub", height, graph.leaf(t, true)))
    return graph.gradients(root)[w1]
  })
}

/** @param {number[]} numbers */
function average(numbers) {
  return numbers.reduce((sum, x) => sum + x, 0) / numbers.length
}
