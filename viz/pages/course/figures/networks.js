/* Networks: gradients that vanish with depth, and what L2 and dropout do to a boundary. */

import { createSvg } from "../../elements.js"
import { moons } from "../../live/data.js"
import { Graph, OPTIMIZERS, step } from "../../live/engine.js"
import { INITIALISERS, Layer, binaryCrossEntropy, mean, total } from "../../live/network.js"
import { Random } from "../../live/random.js"
import { ROWS } from "../../live/rows.js"
import { fieldsOf, painted } from "../../surface.js"
import { Figure, plotOf, powersAround, range, readable } from "./figure.js"

/** @import { Sample } from "../../live/data.js" */

// ---- vanishing gradients

const WIDTH = 10
const INPUTS = 4 // random inputs over which gradients are measured
/** The activation and the initialiser of each choice.
 * @type {Record<string, [string, import("../../live/network.js").Initialiser]>}
 */
const KINDS = {
  sigmoid: ["sigmoid", INITIALISERS.xavier],
  tanh: ["tanh", INITIALISERS.xavier],
  relu: ["relu", INITIALISERS.he],
  large: ["relu", (...fan) => 3 * INITIALISERS.he(...fan)]
}
const CALLED = {
  sigmoid: "sigmoid, xavier weights",
  tanh: "tanh, xavier weights",
  relu: "relu, he weights",
  large: "relu, weights 3 times too large"
}

/** The lesson on depth: the size of the gradient in each hidden layer.
 * @param {HTMLElement} place
 * @param {{ seed: number }} data
 */
export function depthFigure(place, { seed }) {
  const figure = new Figure(place, drawDepth, seed)
  figure.slider("depth", "hidden layers", range(2, 16, 1), 8)
  figure.choice("kind", "units", CALLED)
  figure.reseed("Other weights")
  figure.draw()
  return figure
}

/** Returns the norm of the output's gradient at the outputs of each hidden layer.
 * @type {(kind: string, depth: number, seed: number) => number[]}
 */
function norms(kind, depth, seed) {
  const random = new Random(seed)
  const graph = new Graph(ROWS)
  const [activation, init] = KINDS[kind]
  const layers = range(1, depth, 1).map(
    () => new Layer(graph, WIDTH, WIDTH, activation, init, random)
  )
  const last = new Layer(graph, WIDTH, 1, "linear", init, random)
  const squares = new Array(depth).fill(0)
  for (let i = 0; i < INPUTS; i++) {
    let outputs = range(1, WIDTH, 1).map(() => graph.leaf(random.gauss(0, 1)))
    const hidden = layers.map((layer) => (outputs = layer.apply(outputs)))
    const gradients = graph.gradients(last.apply(outputs)[0])
    hidden.forEach((units, k) => {
      for (const unit of units) squares[k] += gradients[unit] ** 2
    })
  }
  return squares.map(Math.sqrt)
}

/** @param {Figure} figure */
function drawDepth(figure) {
  const [kind, depth, seed] = ["kind", "depth", "seed"].map((name) => figure.get(name))
  const found = norms(kind, depth, seed)
  const shares = found.map((x) => x / found[depth - 1])
  const plot = plotOf(
    figure.plot(
      "layers",
      `The size of the gradient at the outputs of each hidden layer, which has ${WIDTH} units; ` +
        "that at the last layer is 1"
    ),
    [0.5, depth + 0.5],
    powersAround([...shares, 0.1, 10], 1e-12),
    { x: "hidden layer", y: "gradient, logarithmic", title: "the gradient at each hidden layer" },
    { logarithmic: true }
  )
  const one = plot.y(1)
  const wide = (plot.x(2) - plot.x(1)) * 0.7
  shares.forEach((share, k) => {
    const top = plot.inFrame(share)
    plot.inside.append(
      createSvg("rect", {
        class: share < 1 ? "bar less" : "bar",
        x: plot.x(k + 1) - wide / 2,
        y: Math.min(top, one) - (Math.abs(top - one) < 1 ? 1 : 0),
        width: wide,
        height: Math.max(Math.abs(top - one), 2)
      })
    )
  })
  const right = plot.width - plot.right
  plot.front.append(createSvg("path", { class: "mark", d: `M52 ${one}H${right}` }))
  const factor = shares[0] ** (1 / (depth - 1))
  figure.show([
    ["share", "arrives at the first layer", shares[0]],
    ["factor", "factor of a layer, on average", factor]
  ])
  const way = depth === 2 ? "one such factor leads" : `${depth - 1} such factors lead`
  figure.say(
    `A layer multiplies the gradient by ${factor.toFixed(2)} on average, and ${way} from the ` +
      "last hidden layer to the first."
  )
}

// ---- boundaries

const POINTS = 20
const UNSEEN = 200
const NOISE = 0.35
const UNITS = 12
const STEPS = 300
const EVERY = 30 // steps between two points of the curves
const GRID = 31
const RATE = 0.1
const GUESSING = 0.6 // a loss above it is hardly smaller than log 2

/** The lesson on unseen data: a network is trained with L2 and dropout.
 * @param {HTMLElement} place
 * @param {{ seed: number }} data
 */
export function boundaryFigure(place, { seed }) {
  const figure = new Figure(place, drawBoundary, seed)
  figure.slider("decay", "L2: λ", [0, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3], 0)
  figure.slider("p", "dropout", [0, 0.1, 0.2, 0.3, 0.5, 0.7], 0)
  figure.reseed("Other points")
  figure.draw()
  return figure
}

/** A network with one hidden layer, its loss on some samples, and its training. */
class Trained {
  /** @type {[number, number][]} the loss of the samples, by step */
  train = []
  /** @type {[number, number][]} and that of others */
  unseen = []
  steps = 0

  /** @param {number} seed @param {number} decay @param {number} p */
  constructor(seed, decay, p) {
    this.p = p
    this.samples = moons(POINTS, NOISE, new Random(seed))
    this.others = moons(UNSEEN, NOISE, new Random(1000 + seed))
    const draw = new Random(seed)
    const graph = new Graph(ROWS)
    this.graph = graph
    this.hidden = new Layer(graph, 2, UNITS, "tanh", INITIALISERS.uniform, draw)
    this.dropout = new Random(draw.below(2 ** 32))
    this.output = new Layer(graph, UNITS, 1, "linear", INITIALISERS.xavier, draw)
    this.weights = [...this.hidden.parameters, ...this.output.parameters]
    /** @type {number[]} the nodes that are 0 where dropout drops a unit */
    this.masks = []
    const entropy = mean(graph, this.samples.map((sample) => this.#lossOf(sample)))
    const squares = total(graph, this.weights.map((w) => graph.apply("square", w)))
    this.loss = decay
      ? graph.apply("add", entropy, graph.apply("mul", graph.leaf(decay, true), squares))
      : entropy
    this.squares = squares
    this.state = { steps: 0, slots: [] }
  }

  /** @param {Sample} sample */
  #lossOf({ x, t }) {
    const { graph } = this
    let units = this.hidden.apply(x.map((c) => graph.leaf(c, true)))
    if (this.p > 0) {
      units = units.map((unit) => {
        const mask = graph.leaf(1, true)
        this.masks.push(mask)
        return graph.apply("mul", unit, mask)
      })
    }
    return binaryCrossEntropy(graph, this.output.apply(units)[0], t)
  }

  /** Trains, step by step. */
  *run() {
    const { graph, weights, masks, p } = this
    const adam = OPTIMIZERS.Adam()
    for (this.steps = 0; this.steps < STEPS; this.steps++) {
      if (this.steps % EVERY === 0) this.#note()
      for (const mask of masks) graph.data[mask] = this.dropout.random() < p ? 0 : 1 / (1 - p)
      graph.recompute([...weights, ...masks])
      const gradients = graph.gradients(this.loss)
      const moved = step(
        adam,
        weights.map((w) => graph.data[w]),
        weights.map((w) => gradients[w]),
        this.state,
        RATE
      )
      weights.forEach((w, i) => {
        graph.data[w] = moved[i]
      })
      yield
    }
    graph.recompute(weights)
    this.#note()
  }

  #note() {
    this.train.push([this.steps, this.lossOn(this.samples)])
    this.unseen.push([this.steps, this.lossOn(this.others)])
  }

  /** Returns the mean loss of samples, with all units. @param {Sample[]} samples */
  lossOn(samples) {
    const losses = samples.map(({ x: [x, y], t }) => {
      const score = this.scoreAt(x, y)
      const z = t ? -score : score
      return Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)))
    })
    return losses.reduce((sum, loss) => sum + loss, 0) / losses.length
  }

  /** Returns the score of a point, with all units. @param {number} x @param {number} y */
  scoreAt(x, y) {
    const units = this.hidden.neurons.map(({ w, b }) => {
      const [v0, v1, bias] = [w[0], w[1], b].map((node) => this.graph.data[node])
      return Math.tanh(bias + v0 * x + v1 * y)
    })
    const [{ w, b }] = this.output.neurons
    return units.reduce((sum, unit, i) => sum + this.graph.data[w[i]] * unit, this.graph.data[b])
  }
}

/** @param {Figure} figure */
function drawBoundary(figure) {
  const [seed, decay, p] = ["seed", "decay", "p"].map((name) => figure.get(name))
  const model = new Trained(seed, decay, p)
  figure.say("")
  figure.run(model.run(), (isDone) => {
    showModel(figure, model)
    if (isDone) figure.say(fitStory(model))
  })
}

/** Says how the losses of both sets compare. @param {Trained} model */
function fitStory({ train, unseen }) {
  const [known, others] = [train, unseen].map((losses) => losses[losses.length - 1][1])
  const done = `After ${STEPS} steps of Adam the loss of the ${POINTS} points is ${readable(known)}`
  if (known > GUESSING) {
    return `${done}: hardly better than guessing, whose loss is log 2 = 0.693. L2 or dropout is ` +
      "too strong for these points."
  }
  if (others < 1.5 * known) {
    return `${done}, and that of the ${UNSEEN} others about as small: what was learned holds for ` +
      "unseen points, too."
  }
  const least = Math.min(...unseen.map(([, loss]) => loss))
  const ratio = Number((others / known).toPrecision(2))
  const grown = others > 1.2 * least ? `, and it was ${readable(least)} before` : ""
  return `${done}. The loss of the ${UNSEEN} others is ${ratio} times as large` +
    `${grown}: the network has learned the noise of the ${POINTS} points by heart.`
}

/** @param {Figure} figure @param {Trained} model */
function showModel(figure, model) {
  const [xs, ys] = [range(-2, 3, 5 / (GRID - 1)), range(-1.6, 2.1, 3.7 / (GRID - 1))]
  const plot = plotOf(
    figure.plot(
      "boundary",
      `${POINTS} noisy points of two moons, circles of the one and squares of the other, and ` +
        `what a network of ${UNITS} hidden tanh units decides: the colours are those of the ` +
        "points, and fade at the boundary"
    ),
    [-2, 3],
    [-1.6, 2.1],
    { x: "x1", y: "x2", title: "twenty points and the boundary of the network" },
    { height: (width) => 0.74 * (width - 64) + 40 }
  )
  const scores = ys.map((y) => xs.map((x) => model.scoreAt(x, y)))
  const inks = ["class0", "class1"].map((name) => createSvg("path", { class: name }))
  plot.inside.append(...inks)
  const colours = inks.map((ink) => getComputedStyle(ink).fill)
  const [left, top] = [plot.x(-2), plot.y(2.1)]
  plot.inside.append(
    createSvg("image", {
      href: painted(fieldsOf(scores, []), colours),
      x: left,
      y: top,
      width: plot.x(3) - left,
      height: plot.y(-1.6) - top,
      preserveAspectRatio: "none"
    })
  )
  for (const { x: [x, y], t } of model.samples) {
    const [cx, cy] = [plot.x(x), plot.y(y)]
    const circle = `M${cx - 6} ${cy}a6 6 0 1 0 12 0a6 6 0 1 0 -12 0`
    const d = t ? `M${cx - 5} ${cy - 5}h10v10h-10Z` : circle
    plot.inside.append(createSvg("path", { class: `sample class${t}`, d }))
  }
  const curves = plotOf(
    figure.plot(
      "losses",
      `Mean cross-entropy of the ${POINTS} points (full line) and of ${UNSEEN} others (dashes) ` +
        `in ${STEPS} steps of Adam, with learning rate ${RATE} and all points in each step`
    ),
    [0, STEPS],
    powersAround([...model.train, ...model.unseen].map(([, y]) => y), 1e-4, 1e3),
    { x: "step", y: "loss, logarithmic", title: "both losses from step to step" },
    { logarithmic: true, height: 220 }
  )
  curves.front.append(
    createSvg("path", { class: "line", d: curves.framed(model.train) }),
    createSvg("path", { class: "line other", d: curves.framed(model.unseen) })
  )
  const { graph } = model
  const squares = model.weights.reduce((sum, w) => sum + graph.data[w] ** 2, 0)
  figure.show([
    ["train", "loss of the 20 points", model.train[model.train.length - 1][1]],
    ["unseen", "loss of 200 others", model.unseen[model.unseen.length - 1][1]],
    ["squares", "sum of squared weights", squares],
    ["steps", "steps", model.steps]
  ])
}
