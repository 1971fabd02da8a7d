/* The pictures of the playground: data and decision, the loss, gradients by layer, and the network
   with a picture of each unit. */

import { activeIn, create, createSvg } from "../elements.js"
import { clamp } from "../numbers.js"
import { Plot } from "../plot.js"
import { fieldsOf, painted } from "../surface.js"
import { general } from "./run/words.js"

/** @import { Trainer } from "./run/training.js" */
/** @import { Sample } from "../live/data.js" */
/** @typedef {[number, number]} Pair */

const GRID = 31 // points of the grid in each direction
const CURVE = 61 // points of a curve
const MOST_LOSS = 1e30
const MARKS = ["M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0", "M-4.5 -4.5h9v9h-9Z"]

/** The points at which the network is evaluated, and the range of each axis. */
export class Field {
  /** @param {Sample[]} samples @param {boolean} isLine */
  constructor(samples, isLine) {
    this.isLine = isLine
    this.xs = spread(samples.map(({ x }) => x[0]))
    this.ys = spread(samples.map(({ x, t }) => (isLine ? t : x[1])))
    const along = places(this.xs, isLine ? CURVE : GRID)
    this.along = along
    this.up = places(this.ys, GRID)
    this.points = isLine
      ? along.map((x) => [x])
      : this.up.flatMap((y) => along.map((x) => [x, y]))
  }

  /** Returns numbers at the points as rows, from the lowest y up.
   * @param {ArrayLike<number>} found
   */
  rows(found) {
    return this.up.map((_, i) => Array.from(found).slice(i * GRID, (i + 1) * GRID))
  }
}

/** @param {number[]} numbers @returns {Pair} */
function spread(numbers) {
  const low = Math.min(-1.2, ...numbers)
  const high = Math.max(1.2, ...numbers)
  const room = (high - low) * 0.06
  return [low - room, high + room]
}

/** @type {(range: Pair, count: number) => number[]} */
function places([low, high], count) {
  return Array.from({ length: count }, (_, i) => low + ((high - low) * i) / (count - 1))
}

/** Draws the data and what the network decides; returns the plot.
 * @param {HTMLElement} place
 * @param {Field} field
 * @param {Trainer} trainer
 * @param {ArrayLike<number>} scores at the points of the field
 * @param {Sample | null} chosen
 */
export function drawDecision(place, field, trainer, scores, chosen) {
  place.replaceChildren()
  const title = field.isLine
    ? "the points, and the line that the network computes"
    : "the samples, and what the network decides"
  const names = field.isLine ? { x: "x", y: "y", title } : { x: "x1", y: "x2", title }
  const plot = new Plot(place, 430, field.xs, field.ys, names)
  if (field.isLine) {
    const curve = field.along.map((x, i) => /** @type {Pair} */ ([x, scores[i]]))
    plot.inside.append(createSvg("path", { class: "line", d: plot.path(curve) }))
  } else if (Array.from(scores).every(Number.isFinite)) {
    plot.inside.append(decisionOf(plot, field, scores))
  }
  const marks = [
    ...trainer.test.map((sample) => ({ sample, kind: "test" })),
    ...trainer.train.map((sample) => ({ sample, kind: "" }))
  ]
  marks.sort((a, b) => Number(a.sample === chosen) - Number(b.sample === chosen))
  for (const { sample, kind } of marks)
    plot.front.append(markOf(plot, sample, field, kind, chosen))
  return plot
}

/** @param {Plot} plot @param {Field} field @param {ArrayLike<number>} scores */
function decisionOf(plot, field, scores) {
  const inks = ["c0", "c1"].map((name) => createSvg("path", { class: name }))
  plot.inside.append(...inks)
  const colours = inks.map((ink) => getComputedStyle(ink).fill)
  const [left, right] = field.xs.map((x) => plot.x(x))
  const [bottom, top] = field.ys.map((y) => plot.y(y))
  return createSvg("image", {
    href: painted(fieldsOf(field.rows(scores), []), colours),
    x: left,
    y: top,
    width: right - left,
    height: bottom - top,
    preserveAspectRatio: "none"
  })
}

/** @type {(plot: Plot, sample: Sample, field: Field, kind: string, chosen: Sample | null) =>
 *   Element}
 */
function markOf(plot, sample, field, kind, chosen) {
  const { x, t } = sample
  const shape = field.isLine ? 0 : t
  const [px, py] = [plot.x(x[0]), plot.y(field.isLine ? t : x[1])]
  const size = sample === chosen ? 1.9 : 1
  return createSvg("path", {
    class: `sample c${shape} ${kind} ${sample === chosen ? "chosen" : ""}`,
    d: MARKS[shape],
    transform: `translate(${px.toFixed(1)} ${py.toFixed(1)}) scale(${size})`
  })
}

/** Draws the losses of training and test data.
 * @param {HTMLElement} place
 * @param {Pair[]} train
 * @param {Pair[]} test
 */
export function drawLosses(place, train, test) {
  place.replaceChildren()
  const all = [...train, ...test].map(([, y]) => y).filter((y) => y > 0 && y < MOST_LOSS)
  const low = all.length ? Math.floor(Math.log10(Math.min(...all))) : -1
  const high = all.length ? Math.ceil(Math.log10(Math.max(...all)) + 1e-9) : 0
  const last = Math.max(1, ...train.map(([x]) => x))
  const plot = new Plot(
    place,
    200,
    [0, last],
    [10 ** low, 10 ** Math.max(high, low + 1)],
    { x: "step", y: "loss, logarithmic", title: "losses from step to step" },
    { logarithmic: true }
  )
  plot.front.append(
    createSvg("path", { class: "line other", d: plot.framed(test) }),
    createSvg("path", { class: "line", d: plot.framed(train) })
  )
  const end = train.at(-1)?.[1] ?? 0
  if (!(end < MOST_LOSS)) {
    const text = Number.isFinite(end) ? "off the scale" : "not finite"
    plot.front.append(
      createSvg("text", { class: "name", x: 540, y: 30, "text-anchor": "end", text })
    )
  }
}

/** Draws the size of the gradient of each layer.
 * @param {HTMLElement} place
 * @param {number[]} sizes
 */
export function drawGradients(place, sizes) {
  place.replaceChildren()
  const powers = sizes.filter((x) => x > 0 && x < Infinity).map(Math.log10)
  const low = Math.floor(Math.min(-3, ...powers))
  const high = Math.ceil(Math.max(0, ...powers) + 1e-9)
  const names = { x: "layer", y: "rms of the gradient", title: "gradients by layer" }
  const layers = /** @type {Pair} */ ([0.4, Math.max(sizes.length, 1) + 0.6])
  const plot = new Plot(place, 200, layers, [10 ** low, 10 ** high], names, { logarithmic: true })
  const wide = Math.min(60, (plot.x(2) - plot.x(1)) * 0.6)
  sizes.forEach((size, i) => {
    const top = plot.inFrame(size)
    if (!Number.isFinite(top)) return
    const bottom = plot.height - Plot.BOTTOM
    plot.front.append(
      createSvg("rect", {
        class: "bar", x: plot.x(i + 1) - wide / 2, y: top, width: wide, height: bottom - top
      })
    )
  })
}

// ---- the network

const COLUMN = 120
const ROW = 54
const SIDE = 40

/** Draws the network: a picture of each unit, and its weights as lines.
 * @param {HTMLElement} place
 * @param {Trainer} trainer
 * @param {Field} field
 * @param {Float64Array[][]} outputs of each unit at the points of the field
 * @param {{ layer: number, unit: number }} chosen
 * @param {(layer: number, unit: number) => void} choose
 */
export function drawNetwork(place, trainer, field, outputs, chosen, choose) {
  const { layers, inputs } = trainer.model
  const sizes = [inputs.length, ...layers.map(({ neurons }) => neurons.length)]
  const height = Math.max(...sizes) * ROW + 10
  const svg = createSvg("svg", {
    viewBox: `0 0 ${sizes.length * COLUMN} ${height}`,
    role: "group",
    "aria-label": "the network; each unit is a button that opens its graph"
  })
  svg.style.minWidth = `${sizes.length * COLUMN * 0.42}px`
  const at = (/** @type {number} */ column, /** @type {number} */ i) => ({
    x: column * COLUMN + COLUMN / 2,
    y: (height - sizes[column] * ROW) / 2 + i * ROW + ROW / 2
  })
  const weights = weightsOf(trainer)
  weights.forEach((neurons, k) =>
    neurons.forEach(({ w }, unit) =>
      w.forEach((weight, i) => {
        const [from, to] = [at(k, i), at(k + 1, unit)]
        const line = createSvg("path", {
          class: `weight ${weight < 0 ? "minus" : "plus"}`,
          d: `M${from.x + SIDE / 2} ${from.y}C${from.x + 60} ${from.y} ${to.x - 60} ${to.y} ` +
            `${to.x - SIDE / 2} ${to.y}`
        })
        line.style.strokeWidth = `${clamp(0.3 + 2.2 * Math.abs(weight), 0.3, 7).toFixed(2)}px`
        line.append(createSvg("title", { text: `weight ${general(weight, 4)}` }))
        svg.append(line)
      })
    )
  )
  inputs.forEach((_, i) => {
    const { x, y } = at(0, i)
    svg.append(
      createSvg("rect", {
        class: "input", x: x - SIDE / 2, y: y - SIDE / 2, width: SIDE, height: SIDE, rx: 5
      }),
      createSvg("text", {
        class: "name", x, y: y + 5, "text-anchor": "middle",
        text: inputs.length > 1 ? `x${i + 1}` : "x"
      })
    )
  })
  outputs.forEach((units, k) =>
    units.forEach((found, unit) => {
      const isChosen = chosen.layer === k && chosen.unit === unit
      const { x, y } = at(k + 1, unit)
      svg.append(unitButton(field, found, x, y, isChosen, unitName(trainer, k, unit), () =>
        choose(k, unit)
      ))
    })
  )
  const active = place.isConnected ? activeIn(place) : null
  const focused = place.contains(active) ? active?.getAttribute("aria-label") : null
  place.replaceChildren(svg)
  if (focused) {
    const again = [...svg.querySelectorAll("g.unit")].find(
      (each) => each.getAttribute("aria-label") === focused
    )
    if (again instanceof SVGElement) again.focus({ preventScroll: true })
  }
}

/** @param {Trainer} trainer @param {number} layer @param {number} unit */
export function unitName({ model }, layer, unit) {
  return layer === model.layers.length - 1 ? "the output" : `unit ${unit + 1} of layer ${layer + 1}`
}

/** Returns the weights of each neuron, by layer. @param {Trainer} trainer */
function weightsOf({ model, weights }) {
  let at = 0
  return model.layers.map(({ neurons }) =>
    neurons.map(({ w }) => {
      const own = Array.from(weights).slice(at, at + w.length)
      at += w.length + 1
      return { w: own, b: weights[at - 1] }
    })
  )
}

/** @type {(field: Field, found: Float64Array, x: number, y: number, isChosen: boolean,
 *   name: string, onclick: () => void) => Element}
 */
function unitButton(field, found, x, y, isChosen, name, onclick) {
  const group = createSvg(
    "g",
    {
      class: `unit${isChosen ? " chosen" : ""}`,
      role: "button",
      tabindex: 0,
      "aria-label": name,
      "aria-pressed": String(isChosen),
      onclick,
      onkeydown: (event) => {
        const { key } = /** @type {KeyboardEvent} */ (event)
        if (key !== "Enter" && key !== " ") return
        event.preventDefault()
        onclick()
      }
    },
    createSvg("rect", {
      class: "frame", x: x - SIDE / 2 - 2, y: y - SIDE / 2 - 2, width: SIDE + 4, height: SIDE + 4,
      rx: 5
    })
  )
  if (field.isLine) group.append(curveOf(found, x, y))
  else {
    group.append(
      createSvg("image", {
        href: shades(found), x: x - SIDE / 2, y: y - SIDE / 2, width: SIDE, height: SIDE,
        preserveAspectRatio: "none"
      })
    )
  }
  return group
}

/** Returns the curve of a unit with one input.
 * @type {(found: Float64Array, x: number, y: number) => Element}
 */
function curveOf(found, x, y) {
  const most = Math.max(1, ...Array.from(found, Math.abs))
  if (!found.every(Number.isFinite)) return createSvg("g", {})
  const points = Array.from(found, (value, i) => {
    const px = x - SIDE / 2 + (SIDE * i) / (found.length - 1)
    return `${px.toFixed(1)} ${(y - (SIDE / 2) * clamp(value / most, -1, 1)).toFixed(1)}`
  })
  return createSvg("path", { class: "line", d: `M${points.join("L")}` })
}

const canvas = create("canvas", { width: GRID, height: GRID })
const POSITIVE = [0, 114, 178]
const NEGATIVE = [213, 94, 0]

/** Returns the address of a unit's picture: blue where it is above 0, orange where it is below.
 * @param {Float64Array} found
 */
function shades(found) {
  const context = canvas.getContext("2d")
  if (!context) return ""
  const image = context.createImageData(GRID, GRID)
  const most = Math.max(...Array.from(found, Math.abs)) || 1
  for (let row = 0; row < GRID; row++) {
    for (let column = 0; column < GRID; column++) {
      const value = found[row * GRID + column]
      const ink = value > 0 ? POSITIVE : NEGATIVE
      const at = 4 * ((GRID - 1 - row) * GRID + column) // rows begin at the bottom
      image.data.set([...ink, 255 * clamp(Math.abs(value) / most, 0, 1)], at)
    }
  }
  context.putImageData(image, 0, 0)
  return canvas.toDataURL()
}
