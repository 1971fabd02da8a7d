/* What a reader takes away from a page: the drawing as a file, a program as text. */

import { byId, create, createSvg, setText } from "../elements.js"

/** @import { Stage } from "./stage.js" */

// the styles of a drawing that are attributes too, with what they are if nothing is said
const LOOKS = {
  "fill": "rgb(0, 0, 0)",
  "fill-opacity": "1",
  "stroke": "none",
  "stroke-width": "1px",
  "stroke-opacity": "1",
  "stroke-dasharray": "none",
  "stroke-linecap": "butt",
  "stroke-linejoin": "miter",
  "paint-order": "normal",
  "opacity": "1"
}
const LOOKS_OF_TEXT = {
  "font-family": "",
  "font-size": "",
  "font-weight": "400",
  "text-anchor": "start",
  "text-decoration-line": "none"
}
const PLACES = [
  "d", "points", "x", "y", "width", "height", "rx", "cx", "cy", "r", "transform", "textLength",
  "lengthAdjust"
]

/**
 * Returns the drawing of a stage as it looks now, as the text of an SVG file that needs no style
 * sheet.
 * @param {Stage} stage
 * @param {string} title
 */
export function standalone(stage, title) {
  const { width, height } = stage.size
  const { classList } = stage.frame
  const far = [...classList].filter((name) => name.startsWith("far"))
  classList.remove(...far) // from far away texts are left out
  const svg = createSvg(
    "svg",
    { xmlns: "http://www.w3.org/2000/svg", width, height, viewBox: `0 0 ${width} ${height}` },
    createSvg("title", { text: title }),
    createSvg("rect", { width, height, fill: getComputedStyle(stage.frame).backgroundColor }),
    ...[...stage.svg.querySelectorAll(".layer > svg > g")].map(copied)
  )
  classList.add(...far)
  return new XMLSerializer().serializeToString(svg)
}

/**
 * Returns a copy of an element, with its looks as attributes; of an invisible one an empty group.
 * @param {Element} element
 * @returns {SVGElement}
 */
function copied(element) {
  const style = getComputedStyle(element)
  const isText = element instanceof SVGTextElement
  const isHidden = style.display === "none" || style.visibility === "hidden"
  if (isHidden) return createSvg("g")
  const tag = /** @type {keyof SVGElementTagNameMap} */ (element.tagName)
  const inside = isText ? [element.textContent ?? ""] : [...element.children].map(copied)
  const copy = createSvg(tag, {}, ...inside)
  for (const name of PLACES)
    if (element.hasAttribute(name)) copy.setAttribute(name, element.getAttribute(name) ?? "")
  if (tag === "g") return copy
  for (const [name, usual] of Object.entries(isText ? { ...LOOKS, ...LOOKS_OF_TEXT } : LOOKS)) {
    const look = style.getPropertyValue(name)
    if (look !== usual) copy.setAttribute(name.replace("decoration-line", "decoration"), look)
  }
  return copy
}

/**
 * Saves a text as a file of the reader.
 * @param {string} name
 * @param {string} type
 * @param {string} text
 */
export function save(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }))
  create("a", { href: address, download: name }).click()
  setTimeout(() => URL.revokeObjectURL(address), 1000)
}

/**
 * Shows a program, and copies it.
 * @param {string} text
 */
export async function showProgram(text) {
  byId("program").textContent = text
  byId("python").showModal()
  try {
    await navigator.clipboard.writeText(text)
    setText(byId("copied"), "It is in the clipboard.")
  } catch {
    setText(byId("copied"), "Select it and copy it.") // a frame may have no access
  }
}
