/* The list of all steps, and the search for nodes and modules. */

import { byId, create, targetOf } from "../elements.js"
import { isolated } from "../live/texts.js"
import { called } from "./cursor.js"

/** @import { Explorer } from "./explorer.js" */

// ---- the list of steps ----

/** The list of all steps; only the visible rows are in the page. */
export class StepList {
  static ROW = 28 // pixels
  static MOST_ON_PAPER = 2000 // rows

  /**
   * @param {Explorer} explorer
   * @param {HTMLElement} list
   * @param {HTMLElement} rows
   */
  constructor(explorer, list, rows) {
    this.explorer = explorer
    this.list = list
    this.rows = rows
    this.count = 0
    /** @type {Map<number, HTMLElement>} */
    this.shown = new Map() // the rows that are in the page, by their position
    // of the visible part; asking the browser at every step would make it lay out the page
    this.top = this.height = 0
    list.addEventListener("scroll", () => {
      this.top = list.scrollTop
      this.render()
    })
    rows.addEventListener("click", (event) => {
      /** @type {HTMLElement | null} */
      const row = targetOf(event).closest("[data-position]")
      if (row) explorer.goTo(Number(row.dataset.position))
    })
    new ResizeObserver(() => {
      this.height = list.clientHeight
      this.reveal()
    }).observe(list)
    addEventListener("beforeprint", () => this.render(true, StepList.MOST_ON_PAPER))
    addEventListener("afterprint", () => this.render(true))
  }

  /** Shows the steps of the cursor anew. */
  restart() {
    this.count = this.explorer.cursor.steps.length + 1 // the first row is the start
    this.rows.style.height = `${this.count * StepList.ROW}px`
    this.render(true)
  }

  /** Scrolls to the last step done. */
  reveal() {
    const at = this.explorer.cursor.position * StepList.ROW
    if (at < this.top + StepList.ROW || at > this.top + this.height - 2 * StepList.ROW) {
      this.top = Math.max(
        0,
        Math.min(at - this.height / 2, this.count * StepList.ROW - this.height)
      )
      this.list.scrollTop = this.top
    }
    this.render()
  }

  /**
   * Keeps the rows that stay in sight.
   * @param {boolean} remake whether to make all rows again
   * @param {number} most rows of the list to show from its start, in sight or not; 0 for none
   */
  render(remake = false, most = 0) {
    const { position } = this.explorer.cursor
    const above = Math.max(Math.floor(this.top / StepList.ROW) - 2, 0)
    const below = Math.ceil((this.top + this.height) / StepList.ROW) + 2
    const first = most ? 0 : above
    const last = Math.min(most || below, this.count)
    for (const [at, row] of this.shown) {
      if (!remake && at >= first && at < last) continue
      row.remove()
      this.shown.delete(at)
    }
    /** @type {HTMLElement | null} */
    const top = this.rows.querySelector("[data-position]")
    const kept = top ? Number(top.dataset.position) : last
    for (let at = first; at < last; at += 1) {
      const row = this.shown.get(at) ?? this.#row(at)
      if (!this.shown.has(at)) {
        this.shown.set(at, row)
        this.rows.insertBefore(row, at < kept ? top : null)
      }
      const selected = String(at === position)
      row.classList.toggle("ahead", at > position)
      if (row.getAttribute("aria-selected") !== selected)
        row.setAttribute("aria-selected", selected)
    }
    this.list.setAttribute("aria-activedescendant", `row${position}`)
  }

  /** @param {number} position */
  #row(position) {
    const { cursor, picture } = this.explorer
    const step = cursor.steps[position - 1]
    const unseen = step && !picture.modules.sees(step)
    const mark = step && cursor.recording.marks.get(step.number)
    const sentence = isolated(step ? step.sentence : cursor.recording.start())
    const row = create(
      "div",
      {
        role: "option",
        id: `row${position}`,
        "data-position": position,
        class: unseen ? "unseen" : null,
        "aria-posinset": position + 1,
        "aria-setsize": this.count,
        title: unseen ? `${sentence}   (inside a collapsed module)` : sentence
      },
      create("span", { class: "number", text: step ? step.number : 0 }),
      sentence,
      ...(mark ? [create("span", { class: "mark", text: mark[0] })] : [])
    )
    row.style.top = `${position * StepList.ROW}px`
    return row
  }
}

// ---- search ----

/**
 * A node or a module, as the search knows it.
 * @typedef {object} Found
 * @property {"node" | "frame"} kind
 * @property {number} index
 * @property {string} title
 * @property {string} about
 * @property {string[]} keys
 */

/** Finds nodes by label, name or operation, and modules by path; case does not matter. */
export class Search {
  static MOST = 50 // matches in the list; Enter reaches all

  /** @param {Explorer} explorer */
  constructor(explorer) {
    const data = explorer.whole
    this.explorer = explorer
    this.query = byId("query")
    this.list = byId("matches")
    this.found = byId("found")
    /** @type {Found[]} */
    this.matches = []
    this.current = -1
    /** @type {Found[]} */
    this.things = [
      ...data.frames.map(({ path }, index) => ({
        kind: /** @type {const} */ ("frame"),
        index,
        title: path,
        about: "module",
        keys: [path]
      })),
      ...data.nodes.map((node, index) => ({
        kind: /** @type {const} */ ("node"),
        index,
        title: called(node),
        about: node.op || node.role,
        keys: [node.label, node.name, node.op, node.symbol]
      }))
    ]
    for (const thing of this.things)
      thing.keys = thing.keys.filter(Boolean).map((key) => key.toLowerCase())
    this.query.addEventListener("input", () => this.update())
    this.query.addEventListener("focus", () => this.#showList(true))
    this.query.addEventListener("keydown", (event) => this.#key(event))
    document.addEventListener("pointerdown", (event) => {
      if (!targetOf(event).closest("#search")) this.#showList(false)
    })
  }

  /** Marks the matches in another drawing. */
  remark() {
    this.#mark(true)
  }

  /** Searches again. */
  update() {
    const text = this.query.value.trim().toLowerCase()
    this.#mark(false)
    const exact = []
    const others = []
    for (const thing of text ? this.things : []) {
      if (thing.keys.includes(text)) exact.push(thing)
      else if (thing.keys.some((key) => key.includes(text))) others.push(thing)
    }
    this.matches = [...exact, ...others]
    this.current = -1
    this.#mark(true)
    this.#render()
    this.#showList(true)
  }

  /**
   * Goes to the next match, or to the previous one.
   * @param {number} step
   */
  go(step) {
    if (!this.matches.length) return
    this.current = (this.current + step + this.matches.length) % this.matches.length
    if (this.current < 0) this.current = this.matches.length - 1
    this.explorer.visitInWhole(this.matches[this.current])
    this.#mark(true)
    this.#render()
  }

  /**
   * Marks the matches, or the covers that hide them; called again when modules have expanded.
   * @param {boolean} on
   */
  #mark(on) {
    for (const element of document.querySelectorAll(".match"))
      element.classList.remove("match", "found")
    if (!on) return
    const { picture } = this.explorer
    this.matches.forEach((thing, i) => {
      const { kind, index } = this.explorer.shownAs(thing)
      if (index < 0) return
      const element = kind === "node" ? picture.elementOf(index) : picture.elementOfFrame(index)
      element.classList.add("match")
      if (i === this.current) element.classList.add("found")
    })
  }

  #render() {
    const { matches, current } = this
    this.found.textContent = this.query.value.trim() && this.#count()
    const from = Math.max(Math.min(current - 5, matches.length - Search.MOST), 0)
    const rows = matches.slice(from, from + Search.MOST).map((thing, i) =>
      create(
        "li",
        {},
        create(
          "button",
          {
            type: "button",
            "aria-current": String(from + i === current),
            onclick: () => {
              this.current = from + i - 1
              this.go(1)
            }
          },
          create("span", { class: "what", text: thing.title }),
          create("span", { class: "kind", text: thing.about })
        )
      )
    )
    if (matches.length > Search.MOST)
      rows.push(
        create("li", {
          class: "more",
          text: `${matches.length} matches in all; Enter goes to the next one`
        })
      )
    this.list.replaceChildren(...rows)
  }

  #count() {
    const { length } = this.matches
    if (!length) return "no match"
    if (this.current >= 0) return `${this.current + 1} of ${length}`
    return length > 1 ? `${length} matches` : "1 match"
  }

  /** @param {boolean} shown */
  #showList(shown) {
    this.list.hidden = !shown || !this.matches.length
    if (this.list.hidden) return
    // below the field, but inside the window
    const { left } = byId("search").getBoundingClientRect()
    const room = document.documentElement.clientWidth - left - this.list.offsetWidth - 8
    this.list.style.left = `${Math.min(room, 0)}px`
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.key === "Enter") this.go(event.shiftKey ? -1 : 1)
    if (event.key === "Escape") {
      this.query.value = ""
      this.update()
      this.query.blur()
      event.stopPropagation()
    }
  }
}
