/* What is wrong with a run, in the words of `diagnose`; the templates are those of Python. */

import { rateOf } from "./training.js"

/** @import { Trainer } from "./training.js" */

const DIVERGED = 2 // a run diverges if its loss is this many times its lowest level
const RELAPSE = 0.5 // and it has lost again more than this part of its gain
const NEAR_ZERO = 0.05
const EXPLODED = 1e3
const MIN_STEPS = 3
const LEARNED = 0.1 // a run has learned if its loss is this part of the loss at first
const DEAD_SHARE = 0.5
const MOST_SATURATION = 0.8

/** What is wrong, what to do, and the learning rate that is advised, if there is one.
 * @typedef {[sentence: string, advice: string, rate?: number]} Finding
 */

/** Returns findings.
 * @param {Trainer} trainer
 * @param {Record<string, string>} texts templates by name
 * @returns {Finding[]}
 */
export function findings(trainer, texts) {
  const found = lossFinding(trainer, texts)
  const { train, state } = trainer
  const samples = counted(train.length, "sample")
  const all = found ? [found] : []
  if (!trainer.steps || trainer.hasFailed || hasLearned(trainer)) return all
  trainer.unitStates().forEach(({ dead, units, saturation, saturated }, i) => {
    const fields = { dead, units: counted(units, "unit"), samples, op: state.activation }
    const where = `Layer ${i + 1}: `
    if (dead > DEAD_SHARE * units)
      all.push([where + filledWith(texts.dead, fields), texts.deadAdvice])
    if (saturation > MOST_SATURATION) {
      const more = { percent: 100 * saturation, units, samples, limit: 0.99, saturated }
      // small weights were chosen already, so the steps were too large
      const advice = state.init === "xavier" ? SMALLER : texts.saturatedAdvice
      all.push([where + filledWith(texts.saturated, more), advice])
    }
  })
  return all
}

const SMALLER = "Start again with a smaller learning rate."
const OVERFITTED = 2 // times its lowest value, at which a test loss has risen

/** @param {Trainer} trainer */
function hasLearned(trainer) {
  const levels = levelsOf(trainer.history, stepsOfEpoch(trainer))
  return levels.length > 0 && atEnd(levels) <= LEARNED * levels[0]
}

/** Returns what else is to be said of a run, and what to do.
 * @param {import("./run.js").Run} run
 * @returns {Finding[]}
 */
export function remarks({ trainer, test, train }) {
  const { state } = trainer
  const samples = trainer.train
  if (!samples.length)
    return [["There are no samples.", "Click into the picture to add points of both classes."]]
  /** @type {Finding[]} */
  const said = []
  if (!trainer.isRegression && samples.every(({ t }) => t === samples[0].t))
    said.push(["All training samples are of one class.", "Add points of the other class."])
  if (trainer.hasFailed) said.push(["The run has ended: a number is not finite.", ""])
  else if (trainer.steps && rateOf(state, trainer.steps) === 0)
    said.push(["The schedule has ended: the learning rate is 0.", "Choose more steps for it."])
  const lowest = Math.min(...test.map(([, loss]) => loss))
  const last = test.at(-1)?.[1] ?? NaN
  const fell = (train.at(-1)?.[1] ?? NaN) < train[0]?.[1]
  if (fell && last > OVERFITTED * lowest && last > NEAR_ZERO)
    said.push([
      `The test loss has risen from ${general(lowest, 3)} to ${general(last, 3)}, while the ` +
        "training loss fell: the network learns its samples by heart.",
      "Try L2, dropout, fewer units or more samples."
    ])
  return said
}

/** Returns what the losses show, or null: they are not finite, or the run diverges.
 * @param {Trainer} trainer
 * @param {Record<string, string>} texts
 * @returns {Finding | null}
 */
function lossFinding(trainer, texts) {
  const { history: all, rates, hasFailed } = trainer
  // as in `fit`, a step whose loss is not finite is no step
  const history = hasFailed ? all.slice(0, -1) : all
  if (!history.length) return null
  const every = stepsOfEpoch(trainer)
  const levels = levelsOf(history, every)
  const last = history[history.length - 1]
  const rate = mostOf(rates)
  const isConstant = leastOf(rates) === rate
  const kind = isConstant ? "a learning rate of" : "learning rates up to"
  const fields = {
    steps: counted(history.length, "step"),
    rates: `${kind} ${general(rate, 3)}`,
    tried: ""
  }
  if (![last, ...levels].every(Number.isFinite)) {
    const went = filledWith(texts.went, { first: levels[0], last })
    return [filledWith(texts.found, { ...fields, found: went }).trim(), texts.scaleAdvice]
  }
  if (history.length < MIN_STEPS || !diverges(history, levels, every)) return null
  const best = leastOf(levels)
  const lowest = levels.indexOf(best)
  const hasExploded = exploded(history, levels)
  const low = hasExploded ? history[0] : best
  const high = mostOf(hasExploded ? history : levels.slice(lowest))
  const end = atEnd(levels)
  const isOver = high > DIVERGED * Math.max(end, last)
  const rose = filledWith(texts.rose, { low, high })
  const found = `${rose}${isOver ? filledWith(texts.fell, { last: end }) : ""}`
  const isSure = every === 1 || !hasExploded
  const ratio = isSure && best > 0 ? (levels[lowest + 1] / best) ** (1 / every) : NaN
  if (!(ratio > 1 && Number.isFinite(ratio)))
    return [filledWith(texts.found, { ...fields, found }).trim(), texts.scaleAdvice]
  const grew = filledWith(texts.grew, { ratio, rate })
  const better = Number((rate / (1 + Math.sqrt(ratio))).toExponential(1))
  return [
    filledWith(texts.found, { ...fields, found, tried: grew }),
    filledWith(texts.rateAdvice, { rate: better }),
    better
  ]
}

/** @param {Trainer} trainer */
function stepsOfEpoch({ state, train }) {
  return state.batch ? Math.ceil(train.length / state.batch) : 1
}

/** Returns the mean loss of each epoch, or about ten equal stretches of a shorter run.
 * @param {number[]} history
 * @param {number} every steps of an epoch
 */
function levelsOf(history, every) {
  const size = history.length >= 2 * every ? every : Math.max(1, Math.floor(history.length / 10))
  const levels = []
  for (let i = 0; i < history.length; i += size) {
    const part = history.slice(i, i + size)
    if (part.length === size || size !== every)
      levels.push(part.reduce((sum, x) => sum + x, 0) / part.length)
  }
  return levels
}

/** @type {(history: number[], levels: number[], every: number) => boolean} */
function diverges(history, levels, every) {
  const last = atEnd(levels)
  const first = levels[0]
  if (exploded(history, levels) && 2 * last > Math.max(history[0], NEAR_ZERO)) return true
  const ratio = every === 1 || levels.length >= 10 ? DIVERGED : 10
  const lowest = Math.min(first, lowestOf(levels))
  if (!(last > Math.max(ratio * lowest, lowest + RELAPSE * (first - lowest)))) return false
  return last > NEAR_ZERO || last > EXPLODED * first
}

/** @type {(history: number[], levels: number[]) => boolean} */
function exploded(history, levels) {
  return mostOf(history) > EXPLODED * Math.max(history[0], lowestOf(levels), NEAR_ZERO)
}

// a long run has more losses than a function can have arguments

/** @param {number[]} numbers */
function mostOf(numbers) {
  return numbers.reduce((a, b) => Math.max(a, b), -Infinity)
}

/** @param {number[]} numbers */
function leastOf(numbers) {
  return numbers.reduce((a, b) => Math.min(a, b), Infinity)
}

/** Returns the median of the last tenth. @param {number[]} levels */
function atEnd(levels) {
  return median(levels.slice(-tenth(levels)))
}

/** Returns the lowest median of a tenth. @param {number[]} levels */
function lowestOf(levels) {
  const size = tenth(levels)
  let lowest = Infinity
  for (let i = 0; i + size <= levels.length; i += size)
    lowest = Math.min(lowest, median(levels.slice(i, i + size)))
  return lowest
}

/** @param {number[]} levels */
function tenth(levels) {
  return Math.max(1, Math.floor(levels.length / 10))
}

/** @param {number[]} numbers */
function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** @param {number} n @param {string} noun */
function counted(n, noun) {
  return `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`
}

/** Returns a number as Python's format g writes it. @param {number} x @param {number} digits */
export function general(x, digits = 6) {
  if (!Number.isFinite(x)) return Number.isNaN(x) ? "nan" : x > 0 ? "inf" : "-inf"
  if (x === 0) return "0"
  const [mantissa, power] = x.toExponential(digits - 1).split("e")
  const exponent = Number(power)
  const trimmed = (/** @type {string} */ text) =>
    text.includes(".") ? text.replace(/\.?0+$/, "") : text
  if (exponent >= -4 && exponent < digits) return trimmed(x.toFixed(digits - 1 - exponent))
  const size = String(Math.abs(exponent)).padStart(2, "0")
  return `${trimmed(mantissa)}e${exponent < 0 ? "-" : "+"}${size}`
}

/** Returns a template of Python with its fields filled in, such as "{loss:.4g}".
 * @param {string} template
 * @param {Record<string, string | number>} fields
 */
function filledWith(template, fields) {
  return template.replace(/\{(\w+)(?::(?:\.(\d+))?g)?\}/g, (_, name, digits) => {
    const x = fields[name]
    return typeof x === "string" ? x : general(x, digits ? Number(digits) : 6)
  })
}
