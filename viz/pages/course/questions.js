/* The questions of a lesson: one at a time, with hints, marks and solutions. */

import { byId, create, setText } from "../elements.js"
import { markOf } from "./answers.js"
import { done, note } from "./progress.js"

/** @import { Question } from "./answers.js" */

/** Asks the questions of a lesson, beginning where the reader was. */
export class Questions {
  #hints = 0

  /**
   * @param {string} lesson
   * @param {Question[]} questions
   * @param {number} own how many are about the lesson itself; the others are for review
   */
  constructor(lesson, questions, own) {
    this.lesson = lesson
    this.questions = questions
    this.own = own
    const { at } = done(lesson)
    this.now = Math.max(0, questions.findIndex(({ name }) => name === at))
    byId("check").addEventListener("click", () => this.#check())
    byId("hint").addEventListener("click", () => this.#hint())
    byId("solve").addEventListener("click", () => this.#solve())
    byId("another").addEventListener("click", () => {
      this.now = (this.now + 1) % questions.length
      note(lesson, (now) => {
        now.at = this.question.name
      })
      this.#ask()
    })
    this.#ask()
  }

  get question() {
    return this.questions[this.now]
  }

  #ask() {
    const { question, questions, now, own } = this
    this.#hints = 0
    const isReview = own > 0 && now >= own
    const which = `Question ${now + 1} of ${questions.length}`
    setText(byId("which"), isReview ? `${which}, for review` : which)
    setText(byId("mark"), "")
    byId("solution").hidden = true
    byId("question").replaceChildren(
      create("div", { class: "asked", text: question.text, tabindex: 0 }),
      ...pictureOf(question),
      this.#field()
    )
  }

  /** Returns what the answer is written into, or chosen from. */
  #field() {
    const { choices } = this.question
    if (!choices.length) {
      const field = create("input", {
        type: "text",
        id: "answer",
        autocomplete: "off",
        onkeydown: (event) => {
          if (/** @type {KeyboardEvent} */ (event).key === "Enter") this.#check()
        }
      })
      return create("p", {}, create("label", {}, create("span", { text: "Answer" }), field))
    }
    const inputs = choices.map((choice) =>
      create(
        "label",
        {},
        create("input", { type: "radio", name: "answer", value: choice }),
        create("span", { text: choice })
      )
    )
    const legend = create("legend", { class: "out-of-sight", text: "Answers" })
    return create("fieldset", {}, legend, ...inputs)
  }

  #check() {
    const { question, lesson } = this
    /** @type {HTMLInputElement | null} */
    const field = document.querySelector("#answer, #question input:checked")
    const mark = markOf(question, field?.value ?? "")
    setText(byId("mark"), mark.said)
    if (!mark.isRead) return
    note(lesson, (now) => {
      if (now.asked.includes(question.name)) return
      now.asked.push(question.name)
      if (mark.isRight) now.right.push(question.name)
    })
  }

  #hint() {
    const all = this.question.hints
    setText(byId("mark"), all[Math.min(this.#hints, all.length - 1)] ?? "There is no hint.")
    this.#hints += 1
  }

  #solve() {
    const { answer, solution } = this.question
    const sentences = [`The answer is ${answer}.`, ...solution]
    byId("solution").replaceChildren(...sentences.map((text) => create("li", { text })))
    byId("solution").hidden = false
  }
}

/** Returns the picture of a question, which scrolls on a narrow page; [] if there is none.
 * @param {Question} question
 */
function pictureOf({ picture }) {
  if (!picture) return []
  const src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(picture)}`
  const image = create("img", { class: "picture", src, alt: "the graph" })
  const frame = { class: "scroll", tabindex: 0, role: "group", "aria-label": "picture" }
  return [create("div", frame, image)]
}
