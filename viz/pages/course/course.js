/* The pages of the course: predictions before experiments, their settings, and marked questions.

   What a reader has done is kept in the browser, under one key for the whole course, and a page
   opens as it was left. */

import { byId, create, partOf, readData, setText, switchTheme } from "../elements.js"
import { markOf } from "./answers.js"
import { FIGURES } from "./figures/index.js"

/**
 * An experiment with some settings; a prediction; and what a reader has done in a lesson: how many
 * predictions, the names of questions that were answered and that were right, the choice of each
 * prediction, and the question at which he is.
 * @typedef {{ label: string, sentence: string, table: string[][], explain: string }} Variant
 * @typedef {{ shown: string[], right: number, meant: string[], setting: string, start: number,
 *   variants: Variant[] }} Part
 * @typedef {{ parts: number, right: string[], asked: string[], chosen: Record<string, string>,
 *   at: string }} Done
 */

const KEY = "tinygrad_edu.course"

/** @type {{ lesson: string, parts: Part[], questions: import("./answers.js").Question[],
 *   lessons: Record<string, number>,
 *   figure: { part: number, title: string, data: any } | null }} */
const data = readData()

// ---- what was done

/** Returns what was done, by lesson; what others have written there is not trusted.
 * @returns {Record<string, Done>}
 */
function progress() {
  try {
    const found = JSON.parse(localStorage.getItem(KEY) ?? "{}")
    return found !== null && typeof found === "object" ? found : {}
  } catch {
    return {}
  }
}

/** Returns what was done in this lesson. @returns {Done} */
function done() {
  const { parts, right, asked, chosen, at } = progress()[data.lesson] ?? {}
  return {
    parts: Number(parts) || 0,
    right: Array.isArray(right) ? right : [],
    asked: Array.isArray(asked) ? asked : [],
    chosen: chosen !== null && typeof chosen === "object" ? chosen : {},
    at: String(at)
  }
}

/** @type {(change: (done: Done) => void) => void} */
function note(change) {
  const now = done()
  change(now)
  try {
    localStorage.setItem(KEY, JSON.stringify({ ...progress(), [data.lesson]: now }))
  } catch {
    // the browser keeps nothing for this page
  }
}

/** Forgets what was done in this lesson, and opens the page anew. */
function forget() {
  const all = progress()
  delete all[data.lesson]
  try {
    localStorage.setItem(KEY, JSON.stringify(all))
  } catch {
    // nothing was kept
  }
  location.reload()
}

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
    const isRight = chosen === part.right
    const judged = isRight ? "Right." : "That is not it."
    setText(partOf(section, ".meant"), `${judged} ${part.meant[chosen]}`)
    for (const input of inputs) input.disabled = true
    button.hidden = true
    reveal.hidden = false
    if (data.figure?.part === number) figure(section, data.figure)
    else if (part.variants.length > 1) control(section, part, number)
  }
  button.addEventListener("click", () => {
    const chosen = inputs.findIndex((input) => input.checked)
    show(chosen)
    note((done) => {
      done.parts = Math.max(done.parts, number + 1)
      done.chosen[number] = part.shown[chosen]
    })
  })
  const before = part.shown.indexOf(done().chosen[number])
  if (before < 0) return
  inputs[before].checked = true
  show(before)
}

/** @type {(section: Element, figure: { title: string, data: any }) => void} */
function figure(section, { title, data: given }) {
  const place = partOf(section, ".experiment")
  const inside = create("div", { class: "figure", id: "figure", "data-lesson": data.lesson })
  place.append(create("h3", { text: title }), inside)
  FIGURES[data.lesson](inside, given)
}

/** @type {(section: Element, part: Part, number: number) => void} */
function control(section, part, number) {
  const place = partOf(section, ".control")
  const value = create("output", { for: `control-${number}` })
  const slider = create("input", {
    id: `control-${number}`,
    type: "range",
    min: 0,
    max: part.variants.length - 1,
    step: 1,
    value: part.start,
    oninput: () => show(Number(slider.value))
  })
  place.append(
    create("h3", { text: "Change the experiment" }),
    create("label", {}, create("span", { text: part.setting }), slider, value)
  )
  const show = (/** @type {number} */ i) => {
    const variant = /** @type {Variant} */ (part.variants[i])
    setText(value, variant.label)
    slider.ariaValueText = variant.label
    setText(partOf(section, ".sentence"), variant.sentence)
    setText(partOf(section, ".explain"), variant.explain)
    partOf(section, ".table").replaceChildren(...tableOf(variant.table))
  }
  show(part.start)
}

/** @type {(rows: string[][]) => HTMLElement[]} */
function tableOf(rows) {
  if (!rows.length) return []
  const made = rows.map((row, i) =>
    create("tr", {}, ...row.map((text) => create(i ? "td" : "th", { text })))
  )
  return [create("table", {}, ...made)]
}

// ---- questions

let now = Math.max(0, data.questions.findIndex(({ name }) => name === done().at))
let hints = 0

function ask() {
  const question = data.questions[now]
  if (!question) return
  hints = 0
  setText(byId("which"), `Question ${now + 1} of ${data.questions.length}`)
  setText(byId("mark"), "")
  byId("solution").hidden = true
  const picture = question.picture
    ? [create("img", { class: "picture", src: addressOf(question), alt: "the graph" })]
    : []
  byId("question").replaceChildren(
    create("div", { class: "asked", text: question.text, tabindex: 0 }),
    ...picture,
    answerField(question)
  )
}

/** @type {(question: import("./answers.js").Question) => string} */
function addressOf({ picture }) {
  return `data:image/svg+xml;charset=utf-8,${encodeURIComponent(picture)}`
}

/** @type {(question: import("./answers.js").Question) => HTMLElement} */
function answerField(question) {
  if (!question.choices.length) {
    const field = create("input", {
      type: "text",
      id: "answer",
      autocomplete: "off",
      onkeydown: (event) => {
        if (/** @type {KeyboardEvent} */ (event).key === "Enter") check()
      }
    })
    return create("p", {}, create("label", {}, create("span", { text: "Answer" }), field))
  }
  const choices = question.choices.map((choice) =>
    create(
      "label",
      {},
      create("input", { type: "radio", name: "answer", value: choice }),
      create("span", { text: choice })
    )
  )
  const legend = create("legend", { class: "out-of-sight", text: "Answers" })
  return create("fieldset", {}, legend, ...choices)
}

function check() {
  const question = data.questions[now]
  if (!question) return
  /** @type {HTMLInputElement | null} */
  const field = document.querySelector("#answer, #question input:checked")
  const mark = markOf(question, field?.value ?? "")
  setText(byId("mark"), mark.said)
  if (!mark.isRead) return
  note((done) => {
    if (mark.isRight && !done.asked.includes(question.name)) done.right.push(question.name)
    if (!done.asked.includes(question.name)) done.asked.push(question.name)
  })
}

function hint() {
  const all = data.questions[now]?.hints ?? []
  setText(byId("mark"), all[Math.min(hints, all.length - 1)] ?? "There is no hint.")
  hints += 1
}

function solve() {
  const question = data.questions[now]
  if (!question) return
  const sentences = [`The answer is ${question.answer}.`, ...question.solution]
  byId("solution").replaceChildren(...sentences.map((text) => create("li", { text })))
  byId("solution").hidden = false
}

function save() {
  const text = JSON.stringify({ tinygrad_edu: "course", lessons: progress() }, null, 1)
  const link = create("a", {
    href: `data:application/json;charset=utf-8,${encodeURIComponent(text)}`,
    download: "course-progress.json"
  })
  link.click()
}

// ---- the page

switchTheme()
for (const [i, section] of [...document.querySelectorAll(".part")].entries()) {
  const part = data.parts[i]
  if (part) prepare(section, part, i)
}
if (data.questions.length) {
  byId("check").addEventListener("click", check)
  byId("hint").addEventListener("click", hint)
  byId("solve").addEventListener("click", solve)
  byId("another").addEventListener("click", () => {
    now = (now + 1) % data.questions.length
    note((done) => {
      done.at = data.questions[now]?.name ?? ""
    })
    ask()
  })
  byId("forget").addEventListener("click", forget)
  ask()
}
if (!data.lesson) {
  byId("export").addEventListener("click", save)
  for (const place of document.querySelectorAll("[data-done]")) {
    const lesson = place.getAttribute("data-done") ?? ""
    const { parts, right } = progress()[lesson] ?? {}
    const count = Array.isArray(right) ? right.length : 0
    if (parts || count)
      setText(place, `${parts} of ${data.lessons[lesson]} predictions; questions right: ${count}`)
  }
}
document.documentElement.dataset.ready = "true"
