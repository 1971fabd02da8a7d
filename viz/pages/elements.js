/* The elements of all pages: finding, making and filling them; frames of an animation; the theme.

   Labels are data: text is set only by `textContent`, and elements are made only by `create` and
   `createSvg`.  In texts names that are written from right to left do not turn others round. */

import { isolated } from "./live/texts.js"
import { clamp } from "./numbers.js"

// widths of the characters of numbers in Helvetica, in font sizes
const DIGIT_WIDTH = 0.556
/** @type {Record<string, number>} */
const OTHER_WIDTHS = { ".": 0.278, "-": 0.333 }

/**
 * The elements that are more than an HTMLElement, by their id.
 * @typedef {Record<"first" | "back" | "next" | "last", HTMLButtonElement>
 *   & Record<"undo" | "reset" | "leaf-reset", HTMLButtonElement>
 *   & Record<"slider" | "follow" | "query" | "leaf-number" | "leaf-slider", HTMLInputElement>
 *   & Record<"speed" | "colour" | "idea", HTMLSelectElement>
 *   & Record<"help" | "python", HTMLDialogElement>
 *   & Record<`${"scene" | "drawing"}-${string}`, HTMLTemplateElement>} Special
 */

/**
 * The attributes of a new element, its text, and its listeners (on...); null and false are left
 * out.
 * @typedef {Record<string, string | number | boolean | null | ((event: Event) => void)>} Properties
 */

/**
 * Returns the element of the page with this id.
 * @template {string} Id
 * @param {Id} id
 * @returns {Id extends keyof Special ? Special[Id] : HTMLElement}
 */
export function byId(id) {
  return /** @type {any} */ (document.getElementById(id))
}

/** Returns the data that Python wrote into the page. */
export function readData() {
  return JSON.parse(byId("data").textContent ?? "")
}

/**
 * Returns the first element inside another one that matches a selector; the page has one.
 * @template {Element} E
 * @param {ParentNode} element
 * @param {string} selector
 * @returns {E}
 */
export function partOf(element, selector) {
  return /** @type {any} */ (element.querySelector(selector))
}

/**
 * Returns the element that has the focus, among those of the tree that an element is in.
 * @param {Element} element
 */
export function activeIn(element) {
  return /** @type {Document | ShadowRoot} */ (element.getRootNode()).activeElement
}

/**
 * Returns the element in which an event happened.
 * @param {Event} event
 */
export function targetOf(event) {
  return /** @type {Element} */ (event.target)
}

/**
 * Returns a new HTML element.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Properties} [properties]
 * @param {(Node | string)[]} inside
 */
export function create(tag, properties = {}, ...inside) {
  return fill(document.createElement(tag), properties, inside)
}

/**
 * Returns a new element of a drawing.
 * @template {keyof SVGElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Properties} [properties]
 * @param {(Node | string)[]} inside
 */
export function createSvg(tag, properties = {}, ...inside) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), properties, inside)
}

/**
 * Sets properties of an element, appends what is inside it, and returns it.
 * @template {Element} E
 * @param {E} element
 * @param {Properties} properties
 * @param {(Node | string)[]} inside
 */
export function fill(element, properties, inside) {
  for (const [name, value] of Object.entries(properties)) {
    if (name === "text") element.textContent = isolated(String(value ?? ""))
    else if (typeof value === "function") element.addEventListener(name.slice(2), value)
    else if (value !== null && value !== false) element.setAttribute(name, String(value))
  }
  element.append(...inside)
  return element
}

/**
 * Sets a text; leaves the page alone if the text is the same.
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  const shown = isolated(text)
  if (element.textContent !== shown) element.textContent = shown
}

/**
 * Sets a number in a drawing.  One that is wider than its room, and than the number that it had at
 * first, is narrowed.
 * @param {SVGElement} element
 * @param {string} text
 * @param {number} size of the font, in units of the drawing
 * @param {() => number} room in units of the drawing; it is asked for once
 */
export function setNumber(element, text, size, room) {
  const { dataset } = element
  dataset.first ??= String(widthOf(element.textContent ?? "", size))
  setText(element, text)
  const width = widthOf(text, size)
  if (width <= Number(dataset.first)) return element.removeAttribute("textLength")
  dataset.room ??= String(room())
  const most = Math.max(Number(dataset.first), Number(dataset.room))
  if (width <= most) return element.removeAttribute("textLength")
  fill(element, { textLength: most.toFixed(1), lengthAdjust: "spacingAndGlyphs" }, [])
}

/** @type {(text: string, size: number) => number} */
function widthOf(text, size) {
  const widths = [...text].map((character) => OTHER_WIDTHS[character] ?? DIGIT_WIDTH)
  return size * widths.reduce((sum, width) => sum + width, 0)
}

/**
 * Shows the notes of a page: what is not shown, and why.  The reader can close them; notes that he
 * has not seen come again.
 * @param {string[]} notes
 * @param {string[]} calls for the maker of the page: what to write in Python for more
 */
export function showNotes(notes, calls = []) {
  const place = byId("notes")
  const seen = notes.join("\n")
  if (place.dataset.seen === seen) return
  place.dataset.seen = seen
  place.hidden = !notes.length
  const made = create("details", {}, create("summary", { text: "for the maker of this page" }))
  made.append(...calls.map((call) => create("p", {}, create("code", { text: call }))))
  const close = create("button", {
    type: "button",
    class: "close",
    "aria-label": "close the notes",
    title: "close the notes",
    text: "\u00d7",
    onclick: () => {
      place.hidden = true
    }
  })
  const texts = notes.map((text) => create("p", { text }))
  place.replaceChildren(create("div", {}, ...texts, ...(calls.length ? [made] : [])), close)
}

/**
 * Keeps the height of some elements together in the property `--around` of the page, for the height
 * of what is between them.
 * @param {string[]} selectors
 */
export function measureAround(...selectors) {
  /** @type {HTMLElement[]} */
  const elements = selectors.map((selector) => partOf(document, selector))
  const measure = () => {
    const height = elements.reduce((sum, { offsetHeight }) => sum + offsetHeight, 0)
    document.documentElement.style.setProperty("--around", `${height}px`)
  }
  const observer = new ResizeObserver(measure)
  for (const element of elements) observer.observe(element)
  measure()
}

/**
 * Disables the buttons that lead nowhere from a position.
 * @param {number} position
 * @param {number} last
 */
export function disableEnds(position, last) {
  for (const id of /** @type {const} */ (["first", "back"])) byId(id).disabled = position === 0
  for (const id of /** @type {const} */ (["next", "last"])) byId(id).disabled = position === last
}

/**
 * Calls `draw` in every frame with a number that grows from 0 to 1; returns how to stop it.
 * @param {number} milliseconds
 * @param {(t: number) => void} draw
 */
export function animate(milliseconds, draw) {
  const start = performance.now()
  let request = 0
  /** @param {number} now */
  const frame = (now) => {
    const t = clamp((now - start) / milliseconds, 0, 1)
    draw(t)
    if (t < 1) request = requestAnimationFrame(frame)
  }
  frame(start)
  return () => cancelAnimationFrame(request)
}

/**
 * Makes a button switch between light and dark, beginning with what the system has.
 * @param {() => void} changed draws what has its colours from the script
 */
export function switchTheme(changed = () => {}) {
  const button = byId("theme")
  const dark = matchMedia("(prefers-color-scheme: dark)")
  const root = document.documentElement
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches)
  const show = () => {
    button.textContent = isDark() ? "\u2600" : "\u263e"
    button.title = button.ariaLabel = isDark() ? "light colours" : "dark colours"
  }
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark"
    show()
    changed()
  })
  dark.addEventListener("change", () => {
    show()
    changed()
  })
  show()
}
