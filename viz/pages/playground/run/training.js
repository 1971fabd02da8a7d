/* The training of the playground: data, network, loss and optimiser as `fit` has them, step by
   step, with the same numbers for the same random seed. */

import { Batch } from "../../live/batch.js"
import { blobs, circles, line, moons, spirals, split, xor } from "../../live/data.js"
import { Graph, OPTIMIZERS, step } from "../../live/engine.js"
import { INITIALISERS, Layer } from "../../live/network.js"
import { Random } from "../../live/random.js"
import { ROWS } from "../../live/rows.js"

/** @import { State } from "./state.js" */
/** @import { Sample } from "../../live/data.js" */

/** What is added to the seed of the data, so that no two draws are related. */
export const SEEDS = { split: 1, weights: 2, batches: 3, dropout: 4 }
const SATURATED = 0.99 // of the way to an asymptote, as in `diagnose`
/** The middle of an activation with asymptotes, and how far away they are.
 * @type {Record<string, [number, number]>}
 */
const ASYMPTOTES = { tanh: [0, 1], sigmoid: [0.5, 0.5] }

/** @type {Record<string, (n: number, noise: number, random: Random) => Sample[]>} */
const MAKERS = { moons, circles, xor, spirals, blobs, line }

/** The graph of one sample: the network, and its loss. */
export class Model {
  /** @param {State} state */
  constructor({ data, layers, activation, init, loss, dropout, seed }) {
    const graph = new Graph(ROWS)
    const random = new Random(seed + SEEDS.weights)
    this.graph = graph
    this.inputs = (data === "line" ? [0] : [0, 0]).map((x) => graph.leaf(x, true))
    /** @type {number[]} nodes by which units are multiplied: 0 if dropout drops the unit */
    this.masks = []
    /** @type {Layer[]} */
    this.layers = []
    /** @type {number[][]} the outputs of the units of each layer, before dropout */
    this.units = []
    let nodes = this.inputs
    for (const [i, size] of [...layers, 1].entries()) {
      const isLast = i === layers.length
      const kind = isLast ? "linear" : activation
      const layer = new Layer(graph, nodes.length, size, kind, INITIALISERS[init], random)
      this.layers.push(layer)
      nodes = layer.apply(nodes)
      this.units.push(nodes)
      if (isLast || !dropout) continue
      nodes = nodes.map((unit) => {
        const mask = graph.leaf(1, true)
        this.masks.push(mask)
        return graph.apply("mul", unit, mask)
      })
    }
    this.score = nodes[0]
    this.target = graph.leaf(0, true)
    this.loss = lossOf(graph, loss, this.score, this.target)
    this.parameters = this.layers.flatMap((layer) => layer.parameters)
    const columns = [...this.inputs, this.target, ...this.masks]
    this.batch = new Batch(graph, this.loss, columns, this.parameters)
  }
}

/** A network in training. */
export class Trainer {
  /** @type {number[]} the loss of each step's batch, with the penalty */
  history = []
  /** @type {number[]} the learning rate of each step */
  rates = []
  epochs = 0
  /** @type {Float64Array} the mean gradient of the last step */
  gradient = new Float64Array()
  /** whether the loss or a gradient was not finite, so that no step was done */
  hasFailed = false
  /** @type {number[][]} the batches of the epoch that has begun */
  #waiting = []

  /** @param {State} state */
  constructor(state) {
    this.state = state
    const { train, test } = dataOf(state)
    this.train = train
    this.test = test
    this.isRegression = state.data === "line"
    this.model = new Model(state)
    this.batch = this.model.batch
    /** @type {ArrayLike<number>} */
    this.weights = this.model.parameters.map((node) => this.model.graph.data[node])
    this.kept = this.model.masks.map(() => 1)
    this.shuffling = new Random(state.seed + SEEDS.batches)
    this.dropping = new Random(state.seed + SEEDS.dropout)
    this.optimizer = { steps: 0, slots: /** @type {number[][]} */ ([]) }
    this.update = updateOf(state)
  }

  /** Goes on where another trainer of the same network is.
   * @param {Trainer} before
   */
  follow(before) {
    this.weights = before.weights
    this.history = before.history
    this.rates = before.rates
    this.epochs = before.epochs
    this.gradient = before.gradient
    this.shuffling = before.shuffling
    this.dropping = before.dropping
    if (before.state.batch === this.state.batch) this.#waiting = before.#waiting
    if (before.state.optimizer === this.state.optimizer) this.optimizer = before.optimizer
  }

  /** Returns the numbers of the columns for a sample. @param {Sample} sample */
  #row({ x, t }, masks = this.kept) {
    return [...x, this.targetOf(t), ...masks]
  }

  /** Returns the target of a sample as the loss takes it. @param {number} t */
  targetOf(t) {
    if (this.isRegression) return t
    // softplus of -score for the class 1, and of score for the class 0
    if (this.state.loss === "binary_cross_entropy") return t ? -1 : 1
    return t ? 1 : -1
  }

  get steps() {
    return this.history.length
  }

  /** Does one step: the mean loss of a batch, its gradient, and an update. */
  step() {
    if (this.hasFailed || !this.train.length) return
    if (!this.#waiting.length) this.#waiting = this.#batches()
    const indices = /** @type {number[]} */ (this.#waiting.shift())
    const { dropout } = this.state
    const rows = indices.map((i) => this.#row(this.train[i], this.#drawn(dropout)))
    this.batch.set(this.weights)
    const { loss, gradient } = this.batch.mean(rows)
    const whole = this.#penalised(loss, gradient)
    const rate = rateOf(this.state, this.steps)
    this.history.push(whole)
    this.rates.push(rate)
    this.gradient = gradient
    if (![whole, ...gradient].every(Number.isFinite)) {
      this.hasFailed = true
      return
    }
    this.weights = step(this.update, this.weights, gradient, this.optimizer, rate)
    if (!this.#waiting.length) this.epochs += 1
  }

  /** Returns the factors of dropout for one sample. @param {number} p */
  #drawn(p) {
    return this.model.masks.map(() => (this.dropping.random() < p ? 0 : 1 / (1 - p)))
  }

  /** Returns the indices of the samples in the batches of an epoch. */
  #batches() {
    const order = [...this.train.keys()]
    const size = this.state.batch
    if (!size) return [order]
    this.shuffling.shuffle(order)
    const parts = []
    for (let i = 0; i < order.length; i += size) parts.push(order.slice(i, i + size))
    return parts
  }

  /** Adds the penalties to a loss and its gradient. @type {(loss: number, g: Float64Array) =>
   *   number}
   */
  #penalised(loss, gradient) {
    const { l1, l2 } = this.state
    if (!l1 && !l2) return loss
    let penalty = 0
    for (let i = 0; i < gradient.length; i++) {
      const w = this.weights[i]
      penalty += l1 * Math.abs(w) + l2 * w * w
      gradient[i] += l1 * Math.sign(w) + 2 * l2 * w
    }
    return loss + penalty
  }

  // ---- what is shown

  /** Returns the mean loss of samples with all units and without penalties; nan for none.
   * @param {Sample[]} some
   */
  lossOn(some) {
    this.batch.set(this.weights)
    const losses = some.map((sample) => this.batch.value(this.#row(sample)))
    return losses.reduce((sum, x) => sum + x, 0) / losses.length
  }

  /** Returns the share of samples whose class is right; nan for none, and for a line.
   * @param {Sample[]} some
   */
  accuracyOn(some) {
    if (this.isRegression) return NaN
    const right = some.filter(({ x, t }) => this.scoreAt(x) > 0 === (t === 1))
    return right.length / some.length
  }

  /** Returns the score of a point. @param {number[]} x */
  scoreAt(x) {
    this.batch.set(this.weights)
    this.batch.value(this.#row({ x, t: 0 }))
    return this.batch.data[this.model.score]
  }

  /** Returns the outputs of all units at some points, layer by layer and unit by unit.
   * @param {number[][]} points
   */
  outputsAt(points) {
    const found = this.model.units.map((units) => units.map(() => new Float64Array(points.length)))
    this.batch.set(this.weights)
    points.forEach((x, k) => {
      this.batch.value(this.#row({ x, t: 0 }))
      this.model.units.forEach((units, i) => {
        units.forEach((node, j) => {
          found[i][j][k] = this.batch.data[node]
        })
      })
    })
    return found
  }

  /** Returns the root mean square of the gradient of each layer, at the last step. */
  gradientSizes() {
    let at = 0
    return this.model.layers.map(({ parameters }) => {
      const part = this.gradient.slice(at, at + parameters.length)
      at += parameters.length
      return Math.sqrt(part.reduce((sum, x) => sum + x * x, 0) / part.length)
    })
  }

  /** Returns, for each hidden layer: how many units it has, how many of them are dead, or saturated
   * on every sample, and the share of saturated outputs.
   */
  unitStates() {
    const outputs = this.outputsAt(this.train.map(({ x }) => x)).slice(0, -1)
    const [middle, reach] = ASYMPTOTES[this.state.activation] ?? [0, Infinity]
    return outputs.map((units) => {
      const shares = units.map((unit) => {
        const beyond = unit.filter((x) => Math.abs(x - middle) > SATURATED * reach)
        return beyond.length / unit.length
      })
      const dead = units.filter((unit) => unit.every((x) => x === 0)).length
      return {
        units: units.length,
        dead: this.state.activation === "relu" ? dead : 0,
        saturated: shares.filter((share) => share === 1).length,
        saturation: shares.reduce((sum, share) => sum + share, 0) / units.length
      }
    })
  }
}

/** Returns the training data and the test data of a state. @param {State} state */
function dataOf({ data, samples: n, noise, test, seed, points }) {
  const dividing = new Random(seed + SEEDS.split)
  if (data === "own") return split(points, test, dividing)
  return split(MAKERS[data](n, noise, new Random(seed)), test, dividing)
}

/** Returns the node of the loss of a sample. @type {(graph: Graph, loss: string, score: number,
 *   target: number) => number}
 */
function lossOf(graph, loss, score, target) {
  if (loss === "mse") return graph.apply("square", graph.apply("sub", score, target))
  const product = graph.apply("mul", target, score)
  if (loss === "binary_cross_entropy") return graph.apply("softplus", product)
  return graph.apply("relu", graph.apply("sub", graph.leaf(1, true), product))
}

/** Returns the update rule of the optimiser. @param {State} state */
function updateOf({ optimizer, momentum, alpha, beta1, beta2, decay }) {
  const betas = [beta1, beta2]
  /** @type {Record<string, () => import("../../live/engine.js").Update>} */
  const rules = {
    descent: () => OPTIMIZERS.SGD(),
    momentum: () => OPTIMIZERS.SGD({ momentum }),
    Nesterov: () => OPTIMIZERS.SGD({ momentum, nesterov: true }),
    RMSprop: () => OPTIMIZERS.RMSprop({ alpha }),
    Adam: () => OPTIMIZERS.Adam({ betas }),
    AdamW: () => OPTIMIZERS.AdamW({ betas, weight_decay: decay })
  }
  return rules[optimizer]()
}

export const DROP = 0.5 // of the rate, at each of four times of `step_decay`

/** Returns the learning rate of a step, which counts from 0. @param {State} state @param {number} i
 */
export function rateOf({ rate, schedule, over }, i) {
  if (schedule === "linear") return i < over ? rate - (rate * i) / over : 0
  if (schedule === "cosine") return i < over ? (rate * (1 + Math.cos((Math.PI * i) / over))) / 2 : 0
  if (schedule === "step_decay") return rate * DROP ** Math.floor(i / quarter(over))
  if (schedule === "warmup") return i < over ? (rate * (i + 1)) / over : rate
  return rate
}

/** Returns the steps between two drops of a rate. @param {number} steps */
export function quarter(steps) {
  return Math.max(1, Math.floor(steps / 4))
}
