/* What all figures of the course have: controls, numbers and plots.

   A figure reads its controls, computes, and shows what it found.  A test moves the controls and
   compares the numbers with those of Python; therefore each has its name and its exact value. */

import { create, createSvg, partOf, setText } from "../../elements.js"
import { clamp } from "../../numbers.js"
import { Plot, Scales, short } from "../../plot.js"

const FRAME = 16 // milliseconds of work between two pictures of a longer computation
const [NARROWEST, WIDEST] = [280, 560] // widths of a plot in its own units

/** A figure in its place on the page.
 *
 * The values of its controls are in `place.dataset.kept`, from which it begins; when the reader has
 * changed them, the place gets the event "keep".
 */
export class Figure {
  /** @type {Record<string, () => any>} what each control says */
  #read = {}
  #request = 0
  #timer = 0
  /** @type {() => void} ends a longer computation at once */
  #complete = () => {}
  /** @type {(() => void) | null} draws without computing again */
  #picture = null
  #width = 0
  /** @type {Record<string, any>} */
  #kept

  /**
   * @param {HTMLElement} place
   * @param {(figure: Figure) => void} draw draws again; it is called when a control has changed
   * @param {number} seed the random seed at first
   */
  constructor(place, draw, seed = 0) {
    this.#kept = JSON.parse(place.dataset.kept ?? "{}")
    this.seed = Number.isSafeInteger(this.#kept.seed) ? Math.abs(this.#kept.seed) : seed
    this.draw = () => {
      this.#forgetRun()
      draw(this)
    }
    this.place = place
    this.controls = create("div", { class: "controls" })
    this.plots = create("div", { class: "plots" })
    /** @type {HTMLElement} */
    this.found = create("dl", { class: "numbers" })
    this.text = create("p", { class: "says", role: "status" })
    place.append(this.controls, this.plots, this.found, this.text)
    new ResizeObserver(() => {
      const width = clamp(this.plots.clientWidth, 0, WIDEST)
      if (width && this.#width && width !== this.#width) this.repaint()
      this.#width = width || this.#width
    }).observe(this.plots)
  }

  /** Returns what a control says. @param {string} name */
  get(name) {
    return this.#read[name]()
  }

  /** Draws what a reader has changed, and keeps it. */
  #changed() {
    this.stop()
    this.draw()
    this.#keep()
  }

  #keep() {
    const values = Object.entries(this.#read).map(([name, read]) => [name, read()])
    this.place.dataset.kept = JSON.stringify(Object.fromEntries(values))
    this.place.dispatchEvent(new Event("keep"))
  }

  /** Adds a slider over some numbers.
   * @param {string} name
   * @param {string} label
   * @param {number[]} values
   * @param {number} start one of them
   */
  slider(name, label, values, start, unit = "") {
    const id = `${this.place.id}-${name}`
    const shown = create("output", { for: id, "aria-live": "off" })
    const first = values.includes(this.#kept[name]) ? this.#kept[name] : start
    const input = create("input", {
      id,
      "data-name": name,
      "data-values": JSON.stringify(values),
      type: "range",
      min: 0,
      max: values.length - 1,
      step: 1,
      value: values.indexOf(first),
      oninput: () => {
        show()
        this.#changed()
      }
    })
    const show = () => {
      const text = `${plain(values[Number(input.value)])}${unit}`
      setText(shown, text)
      input.ariaValueText = text
    }
    this.#read[name] = () => values[Number(input.value)]
    this.controls.append(create("label", {}, create("span", { text: label }), input, shown))
    input.value = String(values.indexOf(first))
    show()
    return (/** @type {number} */ i) => {
      input.value = String(i)
      show()
    }
  }

  /** Adds a choice.
   * @param {string} name
   * @param {string} label
   * @param {Record<string, string>} options what each is called
   */
  choice(name, label, options) {
    const select = create("select", { "data-name": name })
    for (const [value, text] of Object.entries(options))
      select.append(create("option", { value, text }))
    const first = this.#kept[name]
    if (typeof first === "string" && first in options) select.value = first
    const chosen = create("span", { class: "static", text: options[select.value] })
    select.addEventListener("change", () => {
      setText(chosen, options[select.value])
      this.#changed()
    })
    this.#read[name] = () => select.value
    this.controls.append(create("label", {}, create("span", { text: label }), select, chosen))
  }

  /** Adds a choice of texts that are too long for a narrow page in one line.
   * @param {string} name
   * @param {string} label
   * @param {Record<string, string>} options what each is called
   */
  list(name, label, options) {
    const first = this.#kept[name]
    let chosen = typeof first === "string" && first in options ? first : Object.keys(options)[0]
    const inputs = Object.entries(options).map(([value, text]) => {
      const onchange = () => {
        chosen = value
        this.#changed()
      }
      const input = create("input", { type: "radio", name, value, onchange })
      input.checked = value === chosen
      return create("label", {}, input, create("span", { text }))
    })
    this.#read[name] = () => chosen
    const legend = create("legend", { text: label })
    const attributes = { class: "list", "data-name": name }
    this.controls.append(create("fieldset", attributes, legend, ...inputs))
  }

  /** Adds a button for the next random seed.
   * @param {string} text
   */
  reseed(text) {
    this.#read.seed = () => this.seed
    this.button("seed", text, () => {
      this.seed += 1
      this.#changed()
    })
  }

  /** Adds a button.
   * @param {string} name
   * @param {string} text
   * @param {() => void} onclick
   */
  button(name, text, onclick) {
    const button = create("button", { type: "button", "data-name": name, text, onclick })
    this.controls.append(button)
    return button
  }

  /** Adds a button that moves a slider from its first number to its last one, until the reader
   * presses it again, or changes something.  Who wants no motion sees the end at once.
   * @param {string} name
   * @param {string} text
   * @param {(i: number) => void} move moves the slider
   * @param {number} last its last position
   * @param {number} pause milliseconds between two positions
   */
  player(name, text, move, last, pause) {
    const advance = (/** @type {number} */ i) => {
      if (i === last) this.stop()
      else this.#timer = window.setTimeout(advance, pause, i + 1)
      move(i)
      this.draw()
      if (i === last) this.#keep()
    }
    const button = this.button(name, text, () => {
      if (this.isPlaying) {
        this.stop()
        this.draw()
        this.#keep()
        return
      }
      setText(button, "Stop")
      advance(matchMedia("(prefers-reduced-motion: reduce)").matches ? last : 0)
    })
    this.#stopped = () => setText(button, text)
  }

  #stopped = () => {}

  get isPlaying() {
    return this.#timer !== 0
  }

  /** Ends what a player began. */
  stop() {
    clearTimeout(this.#timer)
    this.#timer = 0
    this.#stopped()
  }

  /** Shows numbers: the name of each, what it is, and its value.
   * @param {[string, string, number][]} numbers
   * @param {string} unit
   */
  show(numbers, unit = "") {
    const entries = numbers.map(([name, label, x]) =>
      create(
        "div",
        {},
        create("dt", { text: label }),
        create("dd", { "data-number": name, "data-value": String(x), text: readable(x) + unit })
      )
    )
    this.found.replaceChildren(...entries)
  }

  /** Shows numbers beside the right ones, as a table.
   * @param {string[]} head
   * @param {{ name: string, label: string, found: number, right: number }[]} rows
   */
  compare(head, rows) {
    const made = rows.map(({ name, label, found, right }) =>
      create(
        "tr",
        {},
        create("th", { scope: "row", text: label }),
        create("td", { "data-number": name, "data-value": String(found), text: readable(found) }),
        create("td", { text: readable(right) })
      )
    )
    const first = create("tr", {}, ...head.map((text) => create("th", { scope: "col", text })))
    const table = create("table", { class: "numbers" }, first, ...made)
    this.found.replaceWith(table)
    this.found = table
  }

  /** Says what is to be seen; it is read to those who do not see it. @param {string} text */
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
      this.plots.append(create("figure", {}, create("figcaption"), place))
    }
    setText(partOf(/** @type {Element} */ (place.parentElement), "figcaption"), title)
    place.replaceChildren()
    return place
  }

  /** Does the steps of a longer computation, with pictures between them, until it is done or a
   * control has changed.
   * @param {Iterator<unknown>} steps
   * @param {(isDone: boolean) => void} picture
   */
  run(steps, picture) {
    const next = (milliseconds = FRAME) => {
      const end = performance.now() + milliseconds
      let isDone = false
      while (!isDone && performance.now() < end) isDone = steps.next().done === true
      this.place.dataset.isBusy = String(!isDone)
      this.#picture = () => picture(isDone)
      this.#picture()
      if (isDone) this.#complete = () => {}
      else this.#request = requestAnimationFrame(() => next())
    }
    this.#complete = () => {
      cancelAnimationFrame(this.#request)
      next(Infinity)
    }
    next()
  }

  #forgetRun() {
    cancelAnimationFrame(this.#request)
    this.#complete = () => {}
    this.#picture = null
  }

  /** Draws again, in other colours or another size, without computing again if that takes long. */
  repaint() {
    if (this.#picture) this.#picture()
    else this.draw()
  }

  /** Draws the figure as it is at the end. */
  finish() {
    this.stop()
    this.#complete()
    this.repaint()
  }
}

/** Returns a plot of lines.  On a narrow page it has fewer units, so that its texts are as large as
 * elsewhere.
 * @param {HTMLElement} place
 * @param {[number, number]} xs
 * @param {[number, number]} ys
 * @param {{ x: string, y: string, title: string }} names
 * @param {{ logarithmic?: boolean, height?: number | ((width: number) => number) }} [options]
 */
export function plotOf(place, xs, ys, names, { logarithmic = false, height = 300 } = {}) {
  const width = clamp(place.clientWidth || WIDEST, NARROWEST, WIDEST)
  const high = typeof height === "number" ? height : height(width)
  return new Plot(place, high, xs, ys, names, { logarithmic, width })
}

/** @typedef {import("../../plot.js").Plot} PlotOf */

/** Returns a dot in a plot.
 * @type {(plot: PlotOf, x: number, y: number, name: string, r?: number) => Element}
 */
export function dot(plot, x, y, name, r = 4) {
  return createSvg("circle", { class: name, cx: plot.x(x), cy: plot.inFrame(y), r })
}

/** Returns whether a point is in the frame of a plot.
 * @type {(plot: PlotOf, x: number, y: number) => boolean}
 */
export function isInside(plot, x, y) {
  const [within, low] = [plot.x(x), plot.y(y)]
  const { LEFT, TOP, BOTTOM } = Scales
  return within >= LEFT && within <= plot.width - plot.right &&
    low >= TOP && low <= plot.height - BOTTOM
}

/** Returns the mark of the point at which a run is; beyond the frame it is an arrow at the edge.
 * @type {(plot: PlotOf, x: number, y: number) => Element}
 */
export function pointer(plot, x, y) {
  if (isInside(plot, x, y)) return dot(plot, x, y, "dot now", 7)
  const { LEFT, TOP, BOTTOM } = Scales
  const [right, bottom] = [plot.width - plot.right, plot.height - BOTTOM]
  const px = clamp(plot.x(x), LEFT, right)
  const isBeside = px !== plot.x(x)
  // beside the frame, it leaves room for the name of the axis
  const py = clamp(plot.y(y), TOP + (isBeside ? 28 : 0), bottom)
  const across = Math.sign(plot.x(x) - px) * Number(isBeside)
  const down = Math.sign(plot.y(y) - py) * Number(!isBeside)
  // a triangle with its tip on the edge
  const [cx, cy] = [px - 14 * across, py - 14 * down]
  const [wx, wy] = [8 * down, 8 * across]
  const d = `M${px} ${py}L${cx + wx} ${cy + wy}L${cx - wx} ${cy - wy}Z`
  return createSvg("path", { class: "dot now away", d })
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
