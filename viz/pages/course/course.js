/* The pages of the course: predictions before experiments, their settings, and marked questions.

   A page opens as it was left. */

import { byId, create, partOf, readData, setText, switchTheme } from "../elements.js"
import { FIGURES } from "./figures/index.js"
import { done, forget, note, save } from "./progress.js"
import { Questions } from "./questions.js"

/** @import { Figure } from "./figures/figure.js" */

/**
 * An experiment with some settings, and a prediction.
 * @typedef {{ label: string, sentence: string, table: string[][], explain: string }} Variant
 * @typedef {{ shown: string[], right: number, meant: string[], setting: string, start: number,
 *   variants: Variant[] }} Part
 */

/** @type {{ lesson: string, parts: Part[], questions: import("./answers.js").Question[],
 *   own: number, lessons: Record<string, number>,
 *   figure: { part: number, title: string, data: any } | null }} */
const data = readData()

// ---- predictions

/** @type {(section: Element, part: Part, number: number) => void} */
function prepare(section, part, number) {
  /** @type {HTMLButtonElement} */
  const button = partOf(section, ".predict")
  /** @type {HTMLElement} */
  const reveal = partOf(section, ".reveal")
  const inputs = [...section.querySelectorAll("input")]
  reveal.hidden = true
  for (const input of inputs) {
    input.addEventListener("change", () => {
      button.disabled = false
    })
  }
  const show = (/** @type {number} */ chosen) => {
    const judged = chosen === part.right ? "Right." : "That is not it."
    setText(partOf(section, ".meant"), `${judged} ${part.meant[chosen]}`)
    for (const input of inputs) input.disabled = true
    button.hidden = true
    reveal.hidden = false
    if (data.figure?.part === number) figure()
    else if (part.variants.length > 1) control(section, part, number)
  }
  button.addEventListener("click", () => {
    const chosen = inputs.findIndex((input) => input.checked)
    show(chosen)
    reveal.focus({ preventScroll: true })
    note(data.lesson, (now) => {
      now.chosen[number] = part.shown[chosen]
    })
  })
  const before = part.shown.indexOf(done(data.lesson).chosen[number])
  if (before < 0) return
  inputs[before].checked = true
  show(before)
}

/** @type {Figure | null} */
let made = null

/** Returns the figure of the lesson; the first call makes it. */
function figure() {
  if (made || !data.figure) return made
  const { lesson } = data
  const { part, title, data: given } = data.figure
  const place = partOf(document, `.part[data-part="${part}"] .experiment`)
  const inside = create("div", { class: "figure", id: "figure", "data-lesson": lesson })
  inside.dataset.kept = JSON.stringify(done(lesson).controls)
  inside.addEventListener("keep", () => {
    note(lesson, (now) => {
      Object.assign(now.controls, JSON.parse(inside.dataset.kept ?? "{}"))
    })
  })
  place.append(create("h3", { text: title }), inside)
  made = FIGURES[lesson](inside, given)
  return made
}

/** @type {(section: Element, part: Part, number: number) => void} */
function control(section, part, number) {
  const place = partOf(section, ".control")
  const kept = `part-${number}`
  const before = done(data.lesson).controls[kept]
  const start = part.variants[before] ? Number(before) : part.start
  const change = () => {
    show(Number(input.value))
    note(data.lesson, (now) => {
      now.controls[kept] = Number(input.value)
    })
  }
  const { input, said } = inputOf(part.variants.map(({ label }) => label), number, change)
  place.append(
    create("h3", { text: "Change the experiment" }),
    create("label", {}, create("span", { text: part.setting }), input, said)
  )
  const show = (/** @type {number} */ i) => {
    const variant = /** @type {Variant} */ (part.variants[i])
    setText(said, variant.label)
    if (input.matches("input")) input.ariaValueText = variant.label
    setText(partOf(section, ".sentence"), variant.sentence)
    setText(partOf(section, ".explain"), variant.explain)
    partOf(section, ".table").replaceChildren(...tableOf(variant.table))
  }
  input.value = String(start)
  show(start)
}

/** Returns what a variant is chosen with: a slider of numbers, or a list of texts; and where its
 * label stands.  A list may be too narrow for its texts, and on paper there is none.
 * @type {(labels: string[], number: number, change: () => void) =>
 *   { input: HTMLInputElement | HTMLSelectElement, said: HTMLElement }}
 */
function inputOf(labels, number, change) {
  const id = `control-${number}`
  if (labels.some((label) => Number.isNaN(Number(label)))) {
    const options = labels.map((text, value) => create("option", { value, text }))
    const input = create("select", { id, onchange: change }, ...options)
    return { input, said: create("span", { class: "chosen" }) }
  }
  const max = labels.length - 1
  const input = create("input", { id, type: "range", min: 0, max, step: 1, oninput: change })
  return { input, said: create("output", { for: id, "aria-live": "off" }) }
}

/** @type {(rows: string[][]) => HTMLElement[]} */
function tableOf(rows) {
  if (!rows.length) return []
  const made = rows.map((row, i) =>
    create("tr", {}, ...row.map((text) => create(i ? "td" : "th", { text })))
  )
  return [create("table", {}, ...made)]
}

// ---- paper

/** Draws the figure for paper: complete, in light colours, also before the reader has predicted. */
function print() {
  const { theme } = document.documentElement.dataset
  document.documentElement.dataset.theme = "light"
  figure()?.finish()
  const back = () => {
    if (theme) document.documentElement.dataset.theme = theme
    else delete document.documentElement.dataset.theme
    figure()?.repaint()
  }
  addEventListener("afterprint", back, { once: true })
}

// ---- the page

switchTheme(() => made?.repaint())
for (const [i, section] of [...document.querySelectorAll(".part")].entries()) {
  const part = data.parts[i]
  if (part) prepare(section, part, i)
}
byId("export").addEventListener("click", save)
addEventListener("beforeprint", print)
if (data.questions.length) {
  new Questions(data.lesson, data.questions, data.own)
  byId("forget").addEventListener("click", () => {
    forget(data.lesson)
    location.reload()
  })
}
for (const place of document.querySelectorAll("[data-done]")) {
  const lesson = place.getAttribute("data-done") ?? ""
  const { parts, right } = done(lesson)
  const count = right.length
  if (parts || count)
    setText(place, `${parts} of ${data.lessons[lesson]} predictions; questions right: ${count}`)
}
document.documentElement.dataset.ready = "true"
