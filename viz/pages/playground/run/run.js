/* A run of the playground: its state, the network in training, and the losses so far. */

import { asPython, consistent } from "./state.js"
import { Trainer } from "./training.js"

/** @import { State } from "./state.js" */
/** @typedef {[number, number]} Pair */

const MOST_POINTS = 300 // of a curve of losses
const PROGRAM_EPOCHS = 100 // of the program, before a step was done
const CLASSIFICATION_LOSS = "binary_cross_entropy"
// settings after whose change the network goes on with its weights
const KEEPS = ["optimizer", "rate", "momentum", "alpha", "beta1", "beta2", "decay",
  "schedule", "over", "batch", "l1", "l2", "dropout"]

/** A run. */
export class Run {
  /** @type {Pair[]} the loss of the training data, by step */
  train = []
  /** @type {Pair[]} and of the test data */
  test = []
  /** whether settings were changed on the way */
  hasChanged = false

  /**
   * @param {State} state
   * @param {ArrayLike<number> | null} given weights to begin with, or null for those of the seed
   */
  constructor(state, given = null) {
    this.state = consistent(state)
    this.trainer = new Trainer(this.state)
    const fits = given?.length === this.trainer.weights.length
    this.given = fits ? given : null
    if (this.given) this.trainer.weights = Array.from(this.given)
    /** @type {ArrayLike<number>} the weights before the last update */
    this.before = this.trainer.weights
  }

  /** Returns the run with other settings: this one, if it goes on, or a new one.
   * @param {Partial<State>} change
   */
  changed(change) {
    const isLineLeft = this.state.data === "line" && change.data && change.data !== "line"
    const loss = isLineLeft ? { loss: CLASSIFICATION_LOSS } : {}
    const state = consistent({ ...this.state, ...loss, ...change })
    const keeps = Object.keys(change).every((name) => KEEPS.includes(name))
    if (!keeps || !this.trainer.steps) return new Run(state, keeps ? this.given : null)
    const before = this.trainer
    this.state = state
    this.trainer = new Trainer(state)
    this.trainer.follow(before)
    this.hasChanged = true
    return this
  }

  step() {
    const { weights } = this.trainer
    this.trainer.step()
    if (!this.trainer.hasFailed) this.before = weights
  }

  /** Does the steps that are left of an epoch. */
  epoch() {
    const { trainer } = this
    const { epochs } = trainer
    while (trainer.epochs === epochs && !trainer.hasFailed && trainer.train.length) this.step()
  }

  /** Adds the losses of now to the curves, which keep every second point when they are long. */
  note() {
    const { trainer } = this
    if (this.train.at(-1)?.[0] === trainer.steps || !trainer.train.length) return
    this.train.push([trainer.steps, trainer.lossOn(trainer.train)])
    if (trainer.test.length) this.test.push([trainer.steps, trainer.lossOn(trainer.test)])
    for (const curve of [this.train, this.test])
      if (curve.length > MOST_POINTS)
        curve.splice(0, curve.length, ...curve.filter((_, i) => i % 2 === 0))
  }

  /** Returns the program of the run: from the weights of the seed, or else from those of now. */
  python() {
    const { trainer, state, given, hasChanged } = this
    const weights = hasChanged ? trainer.weights : given
    const epochs = hasChanged ? PROGRAM_EPOCHS : trainer.epochs || PROGRAM_EPOCHS
    return asPython(state, epochs, { weights })
  }
}
