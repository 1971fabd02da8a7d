/* What all figures of the course have: controls, numbers and plots.

   A figure reads its controls, computes, and shows what it found.  A test moves the controls and
   compares the numbers with those of Python; therefore each has its name and its exact value. */

import { create, setText } from "../../elements.js"
import { clamp } from "../../numbers.js"
import { Plot, short } from "../../plot.js"

const FRAME = 16 // milliseconds of work between two pictures of a longer computation

/** A figure in its place on the page. */
export class Figure {
  /** @type {Record<string, () => any>} what each control says */
  #read = {}
  #request = 0

  /**
   * @param {HTMLElement} place
   * @param {(figure: Figure) => void} draw draws again; it is called when a control has changed
   * @param {number} seed the random seed at first
   */
  constructor(place, draw, seed = 0) {
    this.seed = seed
    this.draw = () => {
      cancelAnimationFrame(this.#request)
      draw(this)
    }
    this.place = place
    this.controls = create("div", { class: "controls" })
    this.plots = create("div", { class: "plots" })
    this.found = create("dl", { class: "numbers" })
    this.text = create("p", { class: "says", role: "status" })
    place.append(this.controls, this.plots, this.found, this.text)
  }

  /** Returns what a control says. @param {string} name */
  get(name) {
    return this.#read[name]()
  }

  /** Adds a slider over some numbers.
   * @param {string} name
   * @param {string} label
   * @param {number[]} values
   * @param {number} start one of them
   */
  slider(name, label, values, start, unit = "") {
    const shown = create("output", { for: `${this.place.id}-${name}` })
    const input = create("input", {
      id: `${this.place.id}-${name}`,
      "data-name": name,
      "data-values": JSON.stringify(values),
      type: "range",
      min: 0,
      max: values.length - 1,
      step: 1,
      value: values.indexOf(start),
      oninput: () => {
        show()
        this.draw()
      }
    })
    const show = () => {
      const text = `${plain(values[Number(input.value)])}${unit}`
      setText(shown, text)
      input.ariaValueText = text
    }
    this.#read[name] = () => values[Number(input.value)]
    this.controls.append(create("label", {}, create("span", { text: label }), input, shown))
    input.value = String(values.indexOf(start))
    show()
  }

  /** Adds a choice.
   * @param {string} name
   * @param {string} label
   * @param {Record<string, string>} options what each is called
   */
  choice(name, label, options) {
    const select = create("select", { "data-name": name, onchange: this.draw })
    for (const [value, text] of Object.entries(options))
      select.append(create("option", { value, text }))
    this.#read[name] = () => select.value
    this.controls.append(create("label", {}, create("span", { text: label }), select))
  }

  /** Adds a button for the next random seed.
   * @param {string} text
   */
  reseed(text) {
    this.#read.seed = () => this.seed
    this.button("seed", text, () => {
      this.seed += 1
      this.draw()
    })
  }

  /** Adds a button.
   * @param {string} name
   * @param {string} text
   * @param {() => void} onclick
   */
  button(name, text, onclick) {
    this.controls.append(create("button", { type: "button", "data-name": name, text, onclick }))
  }

  /** Shows numbers: the name of each, what it is, and its value.
   * @param {[string, string, number][]} numbers
   */
  show(numbers) {
    const entries = numbers.map(([name, label, x]) =>
      create(
        "div",
        {},
        create("dt", { text: label }),
        create("dd", { "data-number": name, "data-value": String(x), text: readable(x) })
      )
    )
    this.found.replaceChildren(...entries)
  }

  /** Says what is to be seen. @param {string} text */
  say(text) {
    setText(this.text, text)
  }

  /** Returns a place for a plot, empty; the first call makes it.
   * @param {string} name
   * @param {string} title
   */
  plot(name, title) {
    const id = `${this.place.id}-${name}`
    let place = /** @type {HTMLElement | null} */ (document.getElementById(id))
    if (!place) {
      place = create("div", { class: "plot", id })
      this.plots.append(create("figure", {}, create("figcaption", { text: title }), place))
    }
    place.replaceChildren()
    return place
  }

  /** Does the steps of a longer computation, with pictures between them, until it is done or a
   * control has changed.
   * @param {Iterator<unknown>} steps
   * @param {() => void} picture
   */
  run(steps, picture) {
    const next = () => {
      const end = performance.now() + FRAME
      let isDone = false
      while (!isDone && performance.now() < end) isDone = steps.next().done === true
      picture()
      this.place.dataset.isBusy = String(!isDone)
      if (!isDone) this.#request = requestAnimationFrame(next)
    }
    next()
  }
}

/** Returns a plot of lines.
 * @param {HTMLElement} place
 * @param {[number, number]} xs
 * @param {[number, number]} ys
 * @param {{ x: string, y: string, title: string }} names
 * @param {{ logarithmic?: boolean, height?: number }} [options]
 */
export function plotOf(place, xs, ys, names, { logarithmic = false, height = 300 } = {}) {
  return new Plot(place, height, xs, ys, names, { logarithmic })
}

/** Returns numbers that lie evenly, with the digits that people would write.
 * @param {number} low
 * @param {number} high
 * @param {number} step
 */
export function range(low, high, step) {
  const count = Math.round((high - low) / step) + 1
  return Array.from({ length: count }, (_, i) => Number((low + i * step).toPrecision(12)))
}

/** Returns a number as text, with a few digits. @param {number} x */
export function readable(x) {
  if (!Number.isFinite(x)) return Number.isNaN(x) ? "not a number" : "too large"
  if (x !== 0 && (Math.abs(x) >= 1e5 || Math.abs(x) < 1e-3)) {
    const [digits, power] = x.toExponential(2).split("e")
    return `${Number(digits)}e${Number(power)}`
  }
  return String(Number(x.toPrecision(4)))
}

/** @param {number} x */
function plain(x) {
  return Math.abs(x) < 1e-3 && x !== 0 ? short(x) : String(x)
}

/** Returns bounds of an axis around numbers, with some room.
 * @param {number[]} numbers
 * @returns {[number, number]}
 */
export function around(numbers, room = 0.08) {
  const low = Math.min(...numbers)
  const high = Math.max(...numbers)
  const more = (high - low || 1) * room
  return [low - more, high + more]
}

/** Returns powers of ten around positive numbers, for a logarithmic axis.
 * @param {number[]} numbers
 * @returns {[number, number]}
 */
export function powersAround(numbers, least = 1e-300, most = 1e300) {
  const kept = numbers.filter((x) => x > 0).map((x) => clamp(x, least, most))
  if (!kept.length) return [0.1, 1]
  const low = Math.floor(Math.log10(Math.min(...kept)))
  const high = Math.ceil(Math.log10(Math.max(...kept)) + 1e-9)
  return [10 ** low, 10 ** high]
}
