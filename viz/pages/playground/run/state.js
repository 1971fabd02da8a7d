/* The state of the playground: its settings, how an address holds them, and the same run as a
   program in Python. */

import { DROP, SEEDS, quarter } from "./training.js"

/** @import { Sample } from "../../live/data.js" */

/** A row of the table of settings; see settings.py.
 * @typedef {{ group: string, label: string, usual: any, choices: any[], low: number, high: number,
 *   is_whole: boolean, of: [string, string[]] }} Setting
 */
/** The table, with its limits.
 * @typedef {{ settings: Record<string, Setting>, mostLayers: number, mostUnits: number,
 *   mostPoints: number }} Table
 */
/** Settings, the sizes of the hidden layers, and the points of the data set "own".
 * @typedef {{ data: string, samples: number, noise: number, test: number, activation: string,
 *   init: string, loss: string, optimizer: string, rate: number, momentum: number, alpha: number,
 *   beta1: number, beta2: number, decay: number, schedule: string, over: number, batch: number,
 *   l1: number, l2: number, dropout: number, seed: number, layers: number[],
 *   points: Sample[] }} State
 */

const LAYERS = [8, 8]
const FAR = 100 // the points of "own" are not farther from 0

/** Returns the usual state. @param {Table} table @returns {State} */
export function usual({ settings }) {
  const found = Object.entries(settings).map(([name, { usual }]) => [name, usual])
  return { ...Object.fromEntries(found), layers: LAYERS, points: [] }
}

/** Returns the value that a text of an address has for a setting, or null.
 * @param {Setting} setting @param {string} text
 */
function valueOf({ usual, choices, low, high, is_whole }, text) {
  if (typeof usual === "string") return choices.includes(text) ? text : null
  const x = text.trim() === "" ? NaN : Number(text)
  if (!(x >= low && x <= high) || (is_whole && !Number.isInteger(x))) return null
  return x
}

/** Returns the sizes of layers, or null. @param {Table} table @param {string} text */
function layersOf({ mostLayers, mostUnits }, text) {
  const sizes = text === "" ? [] : text.split(",").map(Number)
  const are = sizes.every((n) => Number.isInteger(n) && n >= 1 && n <= mostUnits)
  return are && sizes.length <= mostLayers ? sizes : null
}

/** Returns points "x,y,class;...", or null. @param {Table} table @param {string} text */
function pointsOf({ mostPoints }, text) {
  const numberOf = (/** @type {string} */ x) => (x.trim() === "" ? NaN : Number(x))
  const points = text.split(";").filter(Boolean).map((part) => part.split(",").map(numberOf))
  const are = points.every(([x, y, t, ...more]) =>
    Math.abs(x) <= FAR && Math.abs(y) <= FAR && (t === 0 || t === 1) && !more.length
  )
  if (!are || points.length > mostPoints) return null
  return points.map(([x, y, t]) => ({ x: [x, y], t }))
}

/** Returns the state that an address holds, and what in it was not understood.
 * @param {Table} table
 * @param {string} hash
 * @param {State} base what is not in the address
 * @returns {{ state: State, refused: string[] }}
 */
export function fromAddress(table, hash, base = usual(table)) {
  /** @type {any} */
  const state = { ...base }
  /** @type {string[]} */
  const refused = []
  for (const [name, text] of new URLSearchParams(hash.replace(/^#/, ""))) {
    let x = null
    if (name === "layers") x = layersOf(table, text)
    else if (name === "points") x = pointsOf(table, text)
    else if (Object.hasOwn(table.settings, name)) x = valueOf(table.settings[name], text)
    if (x === null) refused.push(`${name}=${text}`.slice(0, 60))
    else state[name] = x
  }
  return { state: consistent(state), refused }
}

/** Returns a state whose loss suits its data. @param {State} state */
export function consistent(state) {
  return state.data === "line" ? { ...state, loss: "mse" } : state
}

/** Returns the address of a state: what differs from the usual one, or from another.
 * @param {Table} table @param {State} state @param {State} plain
 */
export function toAddress(table, state, plain = usual(table)) {
  const found = new URLSearchParams()
  for (const name of Object.keys(table.settings)) {
    const key = /** @type {keyof State} */ (name)
    const isImplied = key === "loss" && state.data === "line"
    if (state[key] !== plain[key] && !isImplied) found.set(name, String(state[key]))
  }
  const layers = state.layers.join(",")
  if (layers !== plain.layers.join(",")) found.set("layers", layers)
  if (state.points.length)
    found.set("points", state.points.map(({ x, t }) => [...x, t].join(",")).join(";"))
  return decodeURIComponent(found.toString())
}

// ---- the program

const PENALTIES = /** @type {const} */ (["l1", "l2"])

/** Returns the program that does the same steps.
 * @param {State} state
 * @param {number} epochs
 * @param {{ weights: ArrayLike<number> | null }} from the weights with which it begins, if they are
 *   not those of the seed
 */
export function asPython(state, epochs, { weights }) {
  if (state.data === "own" && !state.points.length) return "# There are no points yet.\n"
  const { dropout, batch, seed, loss } = state
  const hasDropout = dropout > 0 && state.layers.length > 0
  const penalties = PENALTIES.filter((name) => state[name])
  const lines = [
    ...(hasDropout ? ["import random", ""] : []),
    "from tinygrad_edu import data, fit, nn, optim",
    "",
    ...dataLines(state),
    "",
    ...modelLines(state, hasDropout)
  ]
  if (weights) {
    lines.push("# goes on from the weights of the page, with a new optimiser")
    lines.push(`weights = [${Array.from(weights).join(", ")}]`)
    lines.push("for p, w in zip(model.parameters(), weights):", "    p.data = w")
  }
  lines.push(`optimizer = ${optimizerOf(state)}`)
  const options = [`optimizer=optimizer`, `epochs=${epochs}`]
  if (batch) options.push(`batch_size=${batch}`, `rng=${seed + SEEDS.batches}`)
  if (penalties.length) {
    const terms = penalties.map((name) => `${state[name]} * nn.${name}(model.parameters())`)
    options.push(`penalty=lambda: ${terms.join(" + ")}`)
  }
  lines.push(`history = fit(model, nn.${loss}, X, y, ${options.join(", ")})`)
  lines.push("", "# the training loss of the page: with all units, and without penalties")
  lines.push("model.train(False)")
  lines.push(`losses = [nn.${loss}(model(x), t).data for x, t in zip(X, y)]`)
  lines.push("print(sum(losses) / len(losses))", "")
  return lines.join("\n")
}

/** @param {State} state */
function dataLines({ data, samples, noise, test, seed, loss, points }) {
  const isSigned = loss !== "binary_cross_entropy"
  const lines = []
  if (data === "own") {
    const signs = points.map(({ t }) => (isSigned ? 2 * t - 1 : t))
    lines.push(`X = [${points.map(({ x }) => `[${x.join(", ")}]`).join(", ")}]`)
    lines.push(`y = [${signs.join(", ")}]`)
  } else {
    const pair = isSigned ? "(-1, 1)" : "(0, 1)"
    const labels = ["moons", "circles", "xor"].includes(data) ? `, labels=${pair}` : ""
    const centers = data === "blobs" ? ", centers=2" : ""
    lines.push(`X, y = data.${data}(${samples}, noise=${noise}${labels}${centers}, rng=${seed})`)
    if (isSigned && ["spirals", "blobs"].includes(data)) lines.push("y = [2 * t - 1 for t in y]")
  }
  const parts = "X, y, X_test, y_test"
  if (test && (data !== "own" || points.length > 1))
    lines.push(`${parts} = data.split(X, y, test=${test}, rng=${seed + SEEDS.split})`)
  return lines
}

/** @param {State} state @param {boolean} hasDropout */
function modelLines({ data, layers, activation, init, seed, dropout }, hasDropout) {
  const inputs = data === "line" ? 1 : 2
  const sizes = [...layers, 1]
  if (!hasDropout) {
    const options = `"${activation}", init="${init}", rng=${seed + SEEDS.weights}`
    return [`model = nn.MLP(${inputs}, [${sizes.join(", ")}], ${options})`]
  }
  const lines = [
    `draw = random.Random(${seed + SEEDS.weights})`,
    `drop = random.Random(${seed + SEEDS.dropout})`
  ]
  lines.push("model = nn.Sequential(")
  let before = inputs
  for (const [i, size] of sizes.entries()) {
    const kind = i < layers.length ? activation : "linear"
    lines.push(`    nn.Layer(${before}, ${size}, "${kind}", init="${init}", rng=draw),`)
    if (i < layers.length) lines.push(`    nn.Dropout(${dropout}, rng=drop),`)
    before = size
  }
  return [...lines, ")"]
}

const NESTEROV = ", nesterov=True"

/** @param {State} state */
function optimizerOf(state) {
  const { optimizer, momentum, alpha, beta1, beta2, decay } = state
  const lr = `lr=${scheduleOf(state)}`
  /** @type {Record<string, string>} */
  const calls = {
    descent: `SGD(model.parameters(), ${lr})`,
    momentum: `SGD(model.parameters(), ${lr}, momentum=${momentum})`,
    // without momentum there is nothing to look ahead to
    Nesterov: `SGD(model.parameters(), ${lr}, momentum=${momentum}${momentum ? NESTEROV : ""})`,
    RMSprop: `RMSprop(model.parameters(), ${lr}, alpha=${alpha})`,
    Adam: `Adam(model.parameters(), ${lr}, betas=(${beta1}, ${beta2}))`,
    AdamW: `AdamW(model.parameters(), ${lr}, betas=(${beta1}, ${beta2}), weight_decay=${decay})`
  }
  return `optim.${calls[optimizer]}`
}

/** @param {State} state */
function scheduleOf({ rate, schedule, over }) {
  if (schedule === "linear" || schedule === "cosine") return `optim.${schedule}(${rate}, ${over})`
  if (schedule === "step_decay")
    return `optim.step_decay(${rate}, ${DROP}, every=${quarter(over)})`
  if (schedule === "warmup") return `optim.warmup(${rate}, ${over})`
  return String(rate)
}
