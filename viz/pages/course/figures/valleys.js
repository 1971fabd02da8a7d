/* One weight: a curve with one valley or two, a run of gradient descent, and where all starts end.
*/

import { createSvg } from "../../elements.js"
import { Graph } from "../../live/engine.js"
import { total } from "../../live/network.js"
import { ROWS } from "../../live/rows.js"
import { joined } from "../../numbers.js"
import { Figure, dot, isInside, pointer, plotOf, range, readable } from "./figure.js"

const RUN_STEPS = 2000
const FLAT = 1e-6 // a run is at rest where the slope is smaller
const TOO_FAR = 100 // a run diverges if it comes farther from 0
const STARTS = range(-2, 2, 0.05)
const SHOWN = 40 // points of a run

/** How a run ends: in a valley, which has a position from the left; by leaving; or not at all.
 * @typedef {{ kind: "valley" | "diverges" | "unfinished", valley: number }} End
 */

/** f(x) = x^4/4 - c x^2/2 + x/10, as a graph. */
class Curve {
  /** @param {number} c */
  constructor(c) {
    const graph = new Graph(ROWS)
    this.graph = graph
    this.x = graph.leaf(0)
    const square = graph.apply("square", this.x)
    const parts = [
      graph.apply("mul", graph.apply("square", square), graph.leaf(0.25, true)),
      graph.apply("mul", square, graph.leaf(-c / 2, true)),
      graph.apply("mul", this.x, graph.leaf(0.1, true))
    ]
    this.y = total(graph, parts)
    this.bottoms = this.#bottoms()
  }

  /** @param {number} x */
  height(x) {
    this.graph.set(this.x, x)
    return this.graph.data[this.y]
  }

  /** @param {number} x */
  slope(x) {
    this.graph.set(this.x, x)
    return this.graph.gradients(this.y)[this.x]
  }

  /** Returns where the valleys have their bottoms: there the slope changes from - to +. */
  #bottoms() {
    const found = []
    for (const start of STARTS) {
      let [low, high] = [start, start + 0.05]
      if (this.slope(low) >= 0 || this.slope(high) < 0) continue
      while (high - low > 1e-9) {
        const middle = (low + high) / 2
        if (this.slope(middle) < 0) low = middle
        else high = middle
      }
      found.push(low)
    }
    return found
  }

  /** Returns the points of a run, until it is at rest, far away, or has taken long.
   * @param {number} start
   * @param {number} rate
   */
  run(start, rate) {
    const path = [start]
    for (let x = start; path.length <= RUN_STEPS && Math.abs(x) < TOO_FAR; path.push(x)) {
      const slope = this.slope(x)
      if (Math.abs(slope) < FLAT) break
      x -= rate * slope
    }
    return path
  }

  /** Returns how a run ended. @param {number[]} path @returns {End} */
  end(path) {
    const x = path[path.length - 1]
    if (Math.abs(x) >= TOO_FAR) return { kind: "diverges", valley: -1 }
    const valley = this.bottoms.findIndex((bottom) => Math.abs(x - bottom) < 1e-3)
    return { kind: valley < 0 ? "unfinished" : "valley", valley }
  }
}

/** The lesson on starts: a curve, a run, and where all starts end.
 * @param {HTMLElement} place
 */
export function valleyFigure(place) {
  const figure = new Figure(place, drawValleys)
  figure.slider("start", "start", STARTS, 0.4)
  figure.slider("rate", "learning rate", [0.02, 0.05, 0.1, 0.2, 0.5, 0.7], 0.1)
  figure.slider("hill", "c, which raises the hill", [-1, -0.5, 0, 0.5, 1, 1.5], 1)
  figure.draw()
  return figure
}

/** The ends of all starts, which do not depend on the start that is shown. */
let strips = { of: "", ends: /** @type {End[]} */ ([]) }

/** @param {Figure} figure */
function drawValleys(figure) {
  const [start, rate, c] = ["start", "rate", "hill"].map((name) => figure.get(name))
  const curve = new Curve(c)
  const path = curve.run(start, rate)
  const x = path[path.length - 1]
  const end = curve.end(path)
  if (strips.of !== `${rate} ${c}`) {
    strips = { of: `${rate} ${c}`, ends: STARTS.map((at) => curve.end(curve.run(at, rate))) }
  }
  const heights = range(-2, 2, 0.02).map((at) => curve.height(at))
  const [low, high] = [Math.min(...heights), Math.max(...heights)]
  const plot = plotOf(
    figure.plot(
      "curve", `${formula(c)}, and the run; below it, where the run from each start ends`
    ),
    [-2.1, 2.1],
    [low - 0.25 * (high - low), high + 0.05 * (high - low)],
    { x: "x", y: "f(x)", title: "the curve, and a run of gradient descent" }
  )
  /** @type {(at: number) => [number, number]} */
  const pointAt = (at) => [at, curve.height(at)]
  const points = path.map(pointAt)
  plot.inside.append(
    createSvg("path", { class: "curve", d: plot.path(range(-2.1, 2.1, 0.03).map(pointAt)) }),
    ...STARTS.map((at, i) => strip(plot, at, strips.ends[i], curve.bottoms.length)),
    createSvg("path", { class: "steps", d: plot.path(points) }),
    ...points.slice(0, SHOWN).filter(([at, f]) => isInside(plot, at, f))
      .map(([at, f]) => dot(plot, at, f, "dot", 3))
  )
  plot.front.append(pointer(plot, x, curve.height(x)))
  figure.show([
    ["start", "start", start],
    ["steps", "steps", path.length - 1],
    ["end", "x at the end", x],
    ["f", "f(x) there", curve.height(x)]
  ])
  figure.say(`${story(curve, end, path)} ${legend(curve.bottoms.length)}`)
}

/** @param {number} c */
function formula(c) {
  if (c === 0) return "f(x) = x⁴/4 + x/10, because c = 0"
  const size = Math.abs(c) === 1 ? "" : `${Math.abs(c)} `
  return `f(x) = x⁴/4 ${c > 0 ? "-" : "+"} ${size}x²/2 + x/10`
}

/** Says how a run ended. @type {(curve: Curve, end: End, path: number[]) => string} */
function story(curve, { kind, valley }, path) {
  const count = path.length - 1
  const steps = count === 1 ? "1 step" : `${count} steps`
  if (kind === "diverges") {
    return `The run diverges: after ${steps} it is more than ${TOO_FAR} away from 0.`
  }
  if (kind === "unfinished") {
    return `The run has not come to rest after ${steps}: it jumps to and fro.`
  }
  const bottom = readable(curve.bottoms[valley])
  if (curve.bottoms.length === 1) {
    return `There is one valley, and the run ends in it, at ${bottom}, after ${steps}.`
  }
  return `The run ends in the ${valley ? "right" : "left"} valley, at ${bottom}, after ${steps}.`
}

/** Says what the marks of the strip mean that are in it. @param {number} valleys */
function legend(valleys) {
  const kinds = new Set(strips.ends.map(({ kind, valley }) => (kind === "valley" ? valley : kind)))
  const texts = [
    kinds.has(0) && (valleys > 1 ? "◂ ends in the left valley" : "● ends in the valley"),
    kinds.has(1) && "▸ ends in the right valley",
    kinds.has("diverges") && "× diverges",
    kinds.has("unfinished") && "○ does not come to rest"
  ]
  return `Starts in the strip: ${joined(texts)}.`
}

/** Returns the mark of a start: how its run ends.
 * @type {(plot: import("../../plot.js").Plot, start: number, end: End, valleys: number) => Element}
 */
function strip(plot, start, { kind, valley }, valleys) {
  const [x, y] = [plot.x(start), plot.height - 42]
  const round = `M${x - 2.5} ${y}a2.5 2.5 0 1 0 5 0a2.5 2.5 0 1 0 -5 0Z`
  if (kind === "unfinished") return createSvg("path", { class: "restless", d: round })
  if (kind === "diverges") {
    const d = `M${x - 2} ${y - 4}L${x + 2} ${y + 4}M${x - 2} ${y + 4}L${x + 2} ${y - 4}`
    return createSvg("path", { class: "lost", d })
  }
  if (valleys === 1) return createSvg("path", { class: "right", d: round })
  const tip = valley ? 2.5 : -2.5
  const d = `M${x - tip} ${y - 5}L${x + tip} ${y}L${x - tip} ${y + 5}Z`
  return createSvg("path", { class: valley ? "right" : "left", d })
}
