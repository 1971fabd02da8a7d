/* The pages of the course: predictions before experiments, their settings, and marked questions.

   What a reader has done is kept in the browser, under one key for the whole course. */

import { byId, create, createSvg, partOf, readData, setText, switchTheme } from "../elements.js"
import { markOf } from "./answers.js"

/**
 * An experiment with some settings.
 * @typedef {{ label: string, usual: boolean, holds: boolean, sentence: string, table: string[][],
 *   explain: string, x: number | null, numbers: Record<string, number> }} Variant
 * @typedef {{ shown: string[], right: number, meant: string[], setting: string, start: number,
 *   variants: Variant[] }} Part
 * @typedef {{ parts: number, right: string[], asked: string[] }} Done
 */

const KEY = "tinygrad_edu.course"
const WIDTH = 480
const HEIGHT = 200
const MARGIN = 46

/** @type {{ lesson: string, parts: Part[], questions: import("./answers.js").Question[],
 *   lessons: Record<string, number> }} */
const data = readData()

// ---- what was done

/** @returns {Record<string, Done>} */
function progress() {
  try {
    const found = JSON.parse(localStorage.getItem(KEY) ?? "{}")
    return found !== null && typeof found === "object" ? found : {}
  } catch {
    return {}
  }
}

/** @type {(change: (done: Done) => void) => void} */
function note(change) {
  const all = progress()
  const done = all[data.lesson] ?? { parts: 0, right: [], asked: [] }
  change(done)
  all[data.lesson] = done
  try {
    localStorage.setItem(KEY, JSON.stringify(all))
  } catch {
    // the browser keeps nothing for this page
  }
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
  button.addEventListener("click", () => {
    const chosen = inputs.findIndex((input) => input.checked)
    const isRight = chosen === part.right
    setText(partOf(section, ".meant"), `${isRight ? "Right. " : ""}${part.meant[chosen]}`)
    for (const input of inputs) input.disabled = true
    button.hidden = true
    reveal.hidden = false
    note((done) => {
      done.parts = Math.max(done.parts, number + 1)
    })
  })
  if (part.variants.length > 1) control(section, part, number)
}

/** @type {(section: Element, part: Part, number: number) => void} */
function control(section, part, number) {
  const place = partOf(section, ".control")
  const figure = drawing(part)
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
    create("label", {}, create("span", { text: part.setting }), slider, value),
    ...(figure ? [figure] : [])
  )
  const show = (/** @type {number} */ i) => {
    const variant = /** @type {Variant} */ (part.variants[i])
    setText(value, variant.label)
    slider.ariaValueText = variant.label
    setText(partOf(section, ".sentence"), variant.sentence)
    setText(partOf(section, ".explain"), variant.explain)
    partOf(section, ".table").replaceChildren(...tableOf(variant.table))
    for (const [k, dot] of [...(figure?.querySelectorAll("circle") ?? [])].entries()) {
      dot.setAttribute("class", k === i ? "now" : "")
    }
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

/**
 * Returns a figure of the first number of the experiments that differs, or null.
 * @param {Part} part
 */
function drawing(part) {
  const xs = part.variants.map((variant) => variant.x)
  if (part.variants.length < 3 || xs.some((x) => x === null)) return null
  const names = Object.keys(part.variants[0]?.numbers ?? {})
  const name = names.find((each) => {
    const found = part.variants.map((variant) => variant.numbers[each])
    const isThere = found.every((x) => x !== undefined)
    return each !== part.setting && isThere && new Set(found).size > 1
  })
  if (name === undefined) return null
  const ys = part.variants.map((variant) => Number(variant.numbers[name]))
  const isLogarithmic = Math.min(...ys) > 0 && Math.max(...ys) > 100 * Math.min(...ys)
  const heights = isLogarithmic ? ys.map(Math.log10) : ys
  const at = (/** @type {number} */ i) => [
    MARGIN + ((WIDTH - 2 * MARGIN) * i) / (ys.length - 1),
    HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * share(heights, i)
  ]
  const points = ys.map((_, i) => at(i))
  const caption = `${name}${isLogarithmic ? ", on a logarithmic scale" : ""}`
  return createSvg(
    "svg",
    {
      class: "figure",
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      role: "img",
      "aria-label": `${caption}, for each ${part.setting}`
    },
    createSvg("text", { x: 10, y: 18, text: caption }),
    createSvg("path", { d: `M${points.map((point) => point.join(" ")).join("L")}` }),
    ...points.map(([x, y]) => createSvg("circle", { cx: x ?? 0, cy: y ?? 0, r: 5 })),
    ...points.map(([x], i) =>
      createSvg("text", {
        x: x ?? 0,
        y: HEIGHT - 16,
        "text-anchor": "middle",
        text: tickOf(Number(xs[i]))
      })
    )
  )
}

/** @type {(numbers: number[], i: number) => number} */
function share(numbers, i) {
  const low = Math.min(...numbers)
  return (Number(numbers[i]) - low) / (Math.max(...numbers) - low)
}

/** @type {(x: number) => string} */
function tickOf(x) {
  return String(Number(x.toPrecision(3)))
}

// ---- questions

let now = 0
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
    ask()
  })
  ask()
}
if (!data.lesson) {
  byId("export").addEventListener("click", save)
  for (const [lesson, done] of Object.entries(progress())) {
    const place = document.querySelector(`[data-done="${lesson}"]`)
    const parts = `${done.parts} of ${data.lessons[lesson]} predictions`
    if (place) setText(place, `${parts}; questions right: ${done.right.length}`)
  }
}
document.documentElement.dataset.ready = "true"
