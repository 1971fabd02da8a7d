/* A line that is fitted to points: the update rule, and the learning rate. */

import { createSvg } from "../../elements.js"
import { line } from "../../live/data.js"
import { Graph, OPTIMIZERS, step } from "../../live/engine.js"
import { total } from "../../live/network.js"
import { Random } from "../../live/random.js"
import { ROWS } from "../../live/rows.js"
import { Figure, dot, isInside, pointer, plotOf, powersAround, range, readable } from "./figure.js"

/** @import { Sample } from "../../live/data.js" */
/** @import { Plot } from "../../plot.js" */

const LINE_POINTS = 20
const LINE_NOISE = 0.1
const BLOWN_UP = 1e15 // a weight at which a run ends, as in Python
const RATE_STEPS = 100
const RATES = [
  0.02, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.5, 1.8, 1.9, 1.95, 1.99, 2, 2.01, 2.05,
  2.1
]
const MOST_SHOWN = 1e9 // on the axis of a loss

/** The squared errors of the line w0 + w1 x, as a graph. */
class Squares {
  /**
   * @param {Sample[]} samples
   * @param {number} factor of the sum of squared errors
   */
  constructor(samples, factor) {
    const graph = new Graph(ROWS)
    this.graph = graph
    this.weights = [graph.leaf(0), graph.leaf(0)]
    const [w0, w1] = this.weights
    const squares = samples.map(({ x: [x], t }) => {
      const height = graph.apply("add", w0, graph.apply("mul", w1, graph.leaf(x, true)))
      return graph.apply("square", graph.apply("sub", height, graph.leaf(t, true)))
    })
    this.root = graph.apply("mul", total(graph, squares), graph.leaf(factor, true))
  }

  /** Returns the value and the gradient at some weights. @param {number[]} w */
  at(w) {
    const { graph, weights } = this
    weights.forEach((node, i) => {
      graph.data[node] = w[i]
    })
    graph.recompute(weights)
    const gradients = graph.gradients(this.root)
    return { value: graph.data[this.root], gradient: weights.map((node) => gradients[node]) }
  }
}

/** Returns the weights before each step and at the end, and the loss at each.
 * @param {Squares} loss
 * @param {number} rate
 * @param {number} steps
 * @param {number[]} signs of the updates; -1 goes along the gradient
 */
function descend(loss, rate, steps, signs = [1, 1]) {
  const state = { steps: 0, slots: [] }
  const path = [[0, 0]]
  const losses = []
  for (let i = 0; i < steps; i++) {
    const w = path[i]
    if (!(Math.abs(w[0]) + Math.abs(w[1]) < BLOWN_UP)) break
    const { value, gradient } = loss.at(w)
    losses.push(value)
    const signed = gradient.map((g, k) => signs[k] * g)
    path.push(step(OPTIMIZERS.SGD(), w, signed, state, rate))
  }
  losses.push(loss.at(path[path.length - 1]).value)
  return { path, losses }
}

/** Returns the best line, for points around 0. @param {Sample[]} samples */
function best(samples) {
  const products = samples.reduce((sum, { x: [x], t }) => sum + x * t, 0)
  const squares = samples.reduce((sum, { x: [x] }) => sum + x * x, 0)
  return [samples.reduce((sum, { t }) => sum + t, 0) / samples.length, products / squares]
}

// ---- the update rule

/** The lesson on descent: points, a line, and the steps that fit it.
 * @param {HTMLElement} place
 * @param {{ seed: number }} data
 */
export function updateFigure(place, { seed }) {
  const figure = new Figure(place, drawUpdate, seed)
  /** @type {(update: string) => Record<string, string>} */
  const signs = (update) => ({ "+": update, "-": update.replace("+=", "-=") })
  figure.slider("alpha", "alpha", [0.001, 0.003, 0.01, 0.03, 0.05, 0.09, 0.099, 0.101, 0.11], 0.01)
  figure.slider("steps", "steps", [0, 1, 2, 3, 5, 10, 20, 50, 100, 200, 500], 5)
  figure.choice("sign0", "update of w0", signs("w0 += alpha × sum(y - h)"))
  figure.choice("sign1", "update of w1", signs("w1 += alpha × sum((y - h) x)"))
  figure.reseed("Other points")
  figure.draw()
  return figure
}

/** @param {Figure} figure */
function drawUpdate(figure) {
  const samples = line(LINE_POINTS, LINE_NOISE, new Random(figure.get("seed")))
  const signs = ["sign0", "sign1"].map((name) => (figure.get(name) === "+" ? 1 : -1))
  const steps = figure.get("steps")
  // half the sum of squares, whose derivatives are -sum(y - h) and -sum((y - h) x)
  const half = new Squares(samples, 0.5)
  const { path, losses } = descend(half, figure.get("alpha"), steps, signs)
  const means = losses.map((x) => (2 * x) / LINE_POINTS)
  const [w0, w1] = path[path.length - 1]
  const plot = plotOf(
    figure.plot(
      "points",
      `${LINE_POINTS} points, and the line h(x) = w0 + w1 x after these steps; dashed: the line ` +
        "at first, and those of the last two steps before"
    ),
    [-1.1, 1.1],
    [-2.5, 4.5],
    { x: "x", y: "y", title: "twenty points and the line that is fitted to them" }
  )
  const [first, ...later] = [path[0], ...path.slice(-3)]
  for (const [a, b] of [first, ...later.slice(0, -1)])
    plot.inside.append(lineAt(plot, a, b, "line past"))
  plot.inside.append(lineAt(plot, w0, w1, "line"))
  plot.front.append(...samples.map(({ x: [x], t }) => dot(plot, x, t, "dot")))
  const curve = plotOf(
    figure.plot("loss", "The mean squared error before each step, on a logarithmic scale"),
    [0, Math.max(steps, 1)],
    powersAround(means, 1e-4, MOST_SHOWN),
    { x: "step", y: "mean squared error", title: "the error from step to step" },
    { logarithmic: true, height: 220 }
  )
  curve.front.append(createSvg("path", { class: "line", d: curve.framed(entries(means)) }))
  figure.show([
    ["w0", "w0", w0],
    ["w1", "w1", w1],
    ["loss", "mean squared error", means[means.length - 1]],
    ["steps", "steps done", path.length - 1]
  ])
  const isRight = signs.every((sign) => sign === 1)
  figure.say(updateStory(means, steps, isRight, hasLine(plot, w0, w1)))
}

/** Says what the updates did.
 * @type {(means: number[], steps: number, isRight: boolean, isShown: boolean) => string}
 */
function updateStory(means, steps, isRight, isShown) {
  const done = means.length - 1
  const [first, last] = [means[0], means[done]]
  if (done < steps) return `After ${done} steps a weight is above 1e15, and the run ends.`
  if (!steps) return "No step yet: w0 and w1 are 0, and so is the line."
  const change = `from ${readable(first)} to ${readable(last)}`
  const gone = isShown ? "" : " The line has left the plot."
  if (last > first) {
    const why = isRight ? "alpha is too large" : "a weight moves along its gradient, uphill"
    return `The error has grown ${change}: ${why}.${gone}`
  }
  const why = isRight
    ? "the sums are the gradient with the opposite sign, so these updates go against the gradient"
    : "one weight moves against its gradient; with more steps the other one, uphill, makes it grow"
  return `The error has fallen ${change}: ${why}.${gone}`
}

/** Returns whether a part of a line is in the frame. @type {(plot: Plot, a: number, b: number) =>
 *   boolean} */
function hasLine(plot, a, b) {
  const [left, right] = plot.xs.map((x) => a + b * x)
  const [low, high] = plot.ys
  return Math.max(left, right) >= low && Math.min(left, right) <= high
}

/** @type {(plot: Plot, w0: number, w1: number, name: string) => Element} */
function lineAt(plot, w0, w1, name) {
  const ends = [-1.1, 1.1].map((x) => /** @type {[number, number]} */ ([x, w0 + w1 * x]))
  return createSvg("path", { class: name, d: plot.path(ends) })
}

/** Returns numbers with their positions. @param {number[]} numbers */
function entries(numbers) {
  return numbers.map((x, i) => /** @type {[number, number]} */ ([i, x]))
}

// ---- the learning rate

/** The lesson on the rate: steps in a parabola, and the loss against the rate with the line at 2/L.
 * @param {HTMLElement} place
 * @param {{ seed: number }} data
 */
export function rateFigure(place, { seed }) {
  const figure = new Figure(place, drawRate, seed)
  figure.slider("factor", "learning rate × L", RATES, 1.9)
  figure.slider("steps", "steps shown", range(0, 30, 1), 8)
  figure.reseed("Other points")
  figure.draw()
  return figure
}

/** The losses at all rates, which do not depend on the controls. */
let known = { seed: -1, ends: /** @type {[number, number][]} */ ([]) }

/** @param {Figure} figure */
function drawRate(figure) {
  const factor = figure.get("factor")
  const samples = line(LINE_POINTS, LINE_NOISE, new Random(figure.get("seed")))
  const L = curvature(samples)
  const loss = new Squares(samples, 1 / LINE_POINTS)
  const { path, losses } = descend(loss, factor / L, RATE_STEPS)
  const last = losses[losses.length - 1]
  const isShown = drawParabola(figure, samples, path.slice(0, figure.get("steps") + 1))
  if (known.seed !== figure.get("seed")) {
    const ends = RATES.map((f) => /** @type {[number, number]} */ ([
      f / L, descend(loss, f / L, RATE_STEPS).losses.pop() ?? NaN
    ]))
    known = { seed: figure.get("seed"), ends }
  }
  const plot = plotOf(
    figure.plot(
      "limit", `The loss after ${RATE_STEPS} steps, for each learning rate; the dot is yours`
    ),
    [0, 2.15 / L],
    powersAround(known.ends.map(([, y]) => y), 1e-4, MOST_SHOWN),
    { x: "learning rate", y: "loss, logarithmic", title: "the loss against the learning rate" },
    { logarithmic: true, height: 200 }
  )
  const limit = plot.x(2 / L)
  plot.back.append(
    createSvg("path", { class: "mark", d: `M${limit} 10V${plot.height - 30}` }),
    createSvg("text", { class: "name", x: limit - 6, y: 30, "text-anchor": "end", text: "2/L" })
  )
  plot.front.append(
    createSvg("path", { class: "line", d: plot.framed(known.ends) }),
    dot(plot, factor / L, last, "dot now", 7)
  )
  figure.show([
    ["L", "largest curvature L", L],
    ["limit", "2/L", 2 / L],
    ["first", "loss at w0 = w1 = 0, where runs start", losses[0]],
    ["last", `loss after ${RATE_STEPS} steps`, last]
  ])
  const gone = isShown ? "" : " With the steps shown it has left the plot; the arrow shows where."
  figure.say(
    `${verdict(factor)} Each step multiplies the distance of w0 from its best value by ` +
      `1 - ${readable(factor)} = ${readable(1 - factor)}.${gone} L is ${readable(L)}, whatever ` +
      "the points: that is the curvature along w0. The one along w1, twice the mean of x², is " +
      "smaller."
  )
}

/** @param {number} factor */
function verdict(factor) {
  if (factor > 2) return "It diverges: each step jumps over the minimum and lands farther away."
  if (factor === 2) return "Exactly at 2/L it jumps to and fro, and comes no nearer."
  if (factor > 1) return "It jumps over the minimum with every step, and comes nearer."
  if (factor === 1) return "One step lands at the bottom of this parabola."
  return "It comes nearer from one side."
}

/** Draws the loss along w0, where w1 has its best value, and the steps; returns whether the last of
 * them is in the plot.
 * @type {(figure: Figure, samples: Sample[], path: number[][]) => boolean}
 */
function drawParabola(figure, samples, path) {
  const [w0, w1] = best(samples)
  const least = new Squares(samples, 1 / LINE_POINTS).at([w0, w1]).value
  const far = 1.6 * Math.abs(w0)
  // the curvature along w0 is 2, and the x have the mean 0: this is the loss, exactly
  const height = (/** @type {number} */ x) => least + (x - w0) ** 2
  const plot = plotOf(
    figure.plot(
      "parabola",
      "The loss along w0, and the steps of w0. Here w1 has its best value, so this loss is " +
        "smaller than that of the run, in which w1 starts at 0, too"
    ),
    [w0 - far, w0 + far],
    [0, height(w0 + far)],
    { x: "w0", y: "loss", title: "steps in a parabola" },
    { height: 230 }
  )
  const xs = range(w0 - far, w0 + far, far / 60)
  const steps = path.map(([x]) => /** @type {[number, number]} */ ([x, height(x)]))
  const now = steps[steps.length - 1]
  plot.inside.append(
    createSvg("path", { class: "curve", d: plot.path(xs.map((x) => [x, height(x)])) }),
    createSvg("path", { class: "steps", d: plot.path(steps) }),
    ...steps.slice(0, -1).filter(([x, y]) => isInside(plot, x, y))
      .map(([x, y]) => dot(plot, x, y, "dot"))
  )
  plot.front.append(pointer(plot, ...now))
  return isInside(plot, ...now)
}

/** Returns the larger eigenvalue of the Hessian of the mean squared error.
 * @param {Sample[]} samples
 */
function curvature(samples) {
  const n = samples.length
  const b = (2 * samples.reduce((sum, { x: [x] }) => sum + x, 0)) / n
  const c = (2 * samples.reduce((sum, { x: [x] }) => sum + x * x, 0)) / n
  return (2 + c) / 2 + Math.hypot((2 - c) / 2, b)
}
