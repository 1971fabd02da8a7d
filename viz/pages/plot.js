/* A plot with two axes.  `Scales`, `ticks`, `powers` and `short` do not use the page: tests run
   them in node. */

import { createSvg } from "./elements.js"
import { clamp } from "./numbers.js"

/**
 * Two numbers: the lower and the upper end of an axis, or a point.
 * @typedef {[number, number]} Pair
 */

/** Where numbers are in a plot, in the units of its SVG. */
export class Scales {
  static WIDTH = 560
  static LEFT = 52
  static TOP = 10
  static BOTTOM = 30

  /**
   * @param {number} height
   * @param {Pair} xs
   * @param {Pair} ys
   */
  constructor(height, xs, ys, { logarithmic = false, right = 12, width = Scales.WIDTH } = {}) {
    this.width = width
    this.height = height
    this.xs = xs
    this.ys = ys
    this.logarithmic = logarithmic
    this.right = right
  }

  /** @param {number} value */
  x(value) {
    const [low, high] = this.xs
    const { LEFT } = Scales
    return LEFT + ((value - low) / (high - low || 1)) * (this.width - LEFT - this.right)
  }

  /** @param {number} value */
  y(value) {
    const scale = this.logarithmic ? Math.log10 : Number
    const [low, high] = this.ys.map(scale)
    return (
      this.height -
      Scales.BOTTOM -
      ((scale(value) - low) / (high - low || 1)) * (this.height - Scales.TOP - Scales.BOTTOM)
    )
  }

  /**
   * Returns the height of a number in the frame of the plot: at the edge, if it is beyond; nan if
   * there is no number.
   * @param {number | null} value
   */
  inFrame(value) {
    if (value === null) return NaN
    const y = this.logarithmic && value <= 0 ? Infinity : this.y(value)
    return clamp(y, Scales.TOP, this.height - Scales.BOTTOM)
  }

  /**
   * Returns the path through points; beyond the frame it runs along the edge.
   * @param {(readonly [number, number | null])[]} points
   */
  framed(points) {
    return this.#joined(points.map(([x, y]) => [this.x(x), this.inFrame(y)]))
  }

  /**
   * Returns the path through points; a number that is not finite interrupts it.
   * @param {(readonly [number, number | null])[]} points
   */
  path(points) {
    return this.#joined(points.map(([x, y]) => [this.x(x), y === null ? NaN : this.y(y)]))
  }

  /** @param {number[][]} places */
  #joined(places) {
    let text = ""
    let pen = "M"
    for (const at of places) {
      if (!at.every(Number.isFinite)) {
        pen = "M"
        continue
      }
      // SVG has no larger numbers
      const [px, py] = at.map((c) => clamp(c, -1e4, 1e4).toFixed(1))
      text += `${pen}${px} ${py}`
      pen = "L"
    }
    return text
  }
}

/** A plot with two axes, in an SVG of a fixed size that the page scales. */
export class Plot extends Scales {
  /**
   * @param {HTMLElement} place
   * @param {number} height
   * @param {Pair} xs
   * @param {Pair} ys
   * @param {{ x: string, y: string, title: string }} names
   * @param {{ logarithmic?: boolean, right?: number, width?: number }} [options]
   */
  constructor(place, height, xs, ys, names, options) {
    super(height, xs, ys, options)
    const { width, right } = this
    this.svg = createSvg("svg", {
      viewBox: `0 0 ${width} ${height}`,
      role: "img",
      "aria-label": names.title
    })
    const { LEFT, TOP, BOTTOM } = Plot
    const clip = createSvg(
      "clipPath",
      { id: `inside-${place.id}` },
      createSvg("rect", {
        x: LEFT,
        y: TOP,
        width: width - LEFT - right,
        height: height - TOP - BOTTOM
      })
    )
    this.back = createSvg("g")
    // the parts that are cut off at the axes
    this.inside = createSvg("g", { "clip-path": `url(#inside-${place.id})` })
    this.front = createSvg("g")
    this.svg.append(clip, this.inside, this.back, this.front)
    place.append(this.svg)
    this.#axes(names)
  }

  /**
   * Returns the position of a mouse event in the units of the axes.
   * @param {MouseEvent} event
   */
  at(event) {
    const box = this.svg.getBoundingClientRect()
    const x = ((event.clientX - box.left) / box.width) * this.width
    const y = ((event.clientY - box.top) / box.height) * this.height
    const [low, high] = this.xs
    const [bottom, top] = this.ys
    return [
      low + ((x - Plot.LEFT) / (this.width - Plot.LEFT - this.right)) * (high - low),
      bottom +
        ((this.height - Plot.BOTTOM - y) / (this.height - Plot.TOP - Plot.BOTTOM)) * (top - bottom)
    ]
  }

  /** @param {{ x: string, y: string }} names */
  #axes({ x, y }) {
    const { LEFT, TOP, BOTTOM } = Plot
    const [right, bottom] = [this.width - this.right, this.height - BOTTOM]
    /** @type {(d: string, dashes?: string | null) => void} */
    const line = (d, dashes = null) =>
      this.back.append(createSvg("path", { class: "axis", d, "stroke-dasharray": dashes }))
    /** @type {(x: number, y: number, anchor: string | null, text: string) => void} */
    const label = (x, y, anchor, text) =>
      this.back.append(createSvg("text", { class: "tick", x, y, "text-anchor": anchor, text }))
    line(`M${LEFT} ${TOP}V${bottom}H${right}`)
    for (const tick of ticks(...this.xs)) label(this.x(tick), bottom + 14, "middle", short(tick))
    for (const tick of this.logarithmic ? powers(...this.ys) : ticks(...this.ys)) {
      line(`M${LEFT} ${this.y(tick)}H${right}`, "1 4")
      label(LEFT - 5, this.y(tick) + 4, "end", short(tick))
    }
    label(right, this.height - 3, "end", x)
    label(LEFT + 6, TOP + 6, null, y) // to the right of the numbers
  }
}

/**
 * Returns about five round numbers in an interval.
 * @param {number} low
 * @param {number} high
 */
export function ticks(low, high) {
  const rough = (high - low) / 4
  if (!(rough > 0)) return [low]
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 5, 10].map((k) => k * power).find((k) => k >= rough) ?? rough
  const found = []
  for (let i = Math.ceil(low / step); i * step <= high + step * 1e-9; i++) found.push(i * step)
  return found
}

/**
 * Returns powers of ten in an interval, at most six.
 * @param {number} low
 * @param {number} high
 */
export function powers(low, high) {
  const [from, to] = [Math.ceil(Math.log10(low)), Math.floor(Math.log10(high))]
  const step = Math.max(1, Math.ceil((to - from) / 5))
  const found = []
  for (let i = from; i <= to; i += step) found.push(10 ** i)
  return found
}

/**
 * Returns the text of a number at an axis.
 * @param {number} x
 */
export function short(x) {
  const isPlain = x === 0 || (Math.abs(x) < 1e5 && Math.abs(x) >= 1e-3)
  return isPlain ? String(Number(x.toPrecision(4))) : x.toExponential(0).replace("e+", "e")
}
