/* Changes leaves: by typing a number, by a slider, or by dragging the leaf in the drawing. */

import { byId, create, setText } from "../elements.js"
import { isAmbiguous, readNumber, repr, shortNumber } from "./texts.js"

/** @import { Recording } from "./recording.js" */

const PIXELS = 100 // that a leaf is dragged to change it by its own size; 0 is changed by 1
const DIGITS = 100 // that `toFixed` can write
const EQUAL = 1e-3 // a finite difference that is farther from the gradient is called inexact
const MOST_UNDONE = 200 // changes that can be undone

/** The panel of the leaf that is being changed, and the history of all changes. */
export class Editor {
  /** @type {Map<number, number>[]} the changes before each change */
  #past = []
  /** the leaf that the panel shows, -1 for none */
  #leaf = -1
  /** @type {{leaf: number, x: number, from: number} | null} what was grabbed, where, its number */
  #drag = null
  /** @type {(leaf: number) => void} is called when a leaf begins to move; a page selects it */
  select = (leaf) => this.show(leaf)
  #isMoved = false

  /**
   * @param {Recording} recording
   * @param {() => void} changed is called after every change
   */
  constructor(recording, changed) {
    this.recording = recording
    this.changed = changed
    this.leaves = new Set(recording.leaves)
    byId("leaf-number").addEventListener("change", () => this.#typed())
    byId("leaf-number").addEventListener("input", () => this.#typed(true))
    byId("leaf-slider").addEventListener("input", () => {
      this.set(this.#leaf, Number(byId("leaf-slider").value), !this.#isMoved)
      this.#isMoved = true
    })
    byId("leaf-slider").addEventListener("change", () => {
      this.#isMoved = false
      this.show(this.#leaf)
    })
    byId("leaf-reset").addEventListener("click", () => this.reset(this.#leaf))
    byId("undo").addEventListener("click", () => this.undo())
    byId("reset").addEventListener("click", () => {
      this.#apply(new Map())
      this.show(this.#leaf)
    })
    this.#enable()
  }

  /** Gives a leaf a number.
   * @param {number} leaf
   * @param {number} x
   * @param {boolean} isNew whether this is a change of its own, and not a part of the last one
   */
  set(leaf, x, isNew = true) {
    const changes = new Map(this.recording.changes)
    if (Object.is(x, this.recording.given.data[leaf])) changes.delete(leaf)
    else changes.set(leaf, x)
    this.#apply(changes, isNew)
  }

  /** Gives a leaf the number that Python gave it. @param {number} leaf */
  reset(leaf) {
    this.set(leaf, this.recording.given.data[leaf])
    this.show(leaf)
  }

  undo() {
    const before = this.#past.pop()
    if (!before) return
    this.recording.change(before)
    this.#after()
    this.show(this.#leaf)
  }

  /** @param {Map<number, number>} changes */
  #apply(changes, isNew = true) {
    if (isNew) this.#past.push(new Map(this.recording.changes))
    if (this.#past.length > MOST_UNDONE) this.#past.shift()
    this.recording.change(changes)
    this.#after()
  }

  #after() {
    this.#enable()
    this.changed()
    this.#say()
  }

  #enable() {
    byId("undo").disabled = !this.#past.length
    byId("reset").disabled = !this.recording.changes.size
  }

  /** Shows the panel of a leaf; hides it for another node.
   * @param {number} leaf
   */
  show(leaf) {
    this.#leaf = this.leaves.has(leaf) ? leaf : -1
    byId("leaf").hidden = this.#leaf < 0
    if (this.#leaf < 0) return
    const x = this.recording.graph.data[leaf]
    const span = 2 * (Math.abs(x) || 1)
    const slider = byId("leaf-slider")
    slider.disabled = !Number.isFinite(span)
    slider.min = String(x - span)
    slider.max = String(x + span)
    slider.step = String(span / 200)
    setText(byId("leaf-name"), this.recording.program.names[leaf])
    this.#say(true)
  }

  /** Writes the number of the leaf, and its gradient in two ways. */
  #say(always = false) {
    if (this.#leaf < 0) return
    const { recording } = this
    const x = recording.graph.data[this.#leaf]
    const field = byId("leaf-number")
    if (always || document.activeElement !== field) {
      field.value = repr(x)
      field.removeAttribute("aria-invalid")
      setText(byId("leaf-error"), "")
    }
    byId("leaf-slider").value = String(x)
    byId("leaf-slider").setAttribute("aria-valuetext", shortNumber(x))
    byId("leaf-reset").disabled = !recording.changes.has(this.#leaf)
    const { value, step } = recording.graph.difference(recording.root, this.#leaf)
    const gradient = recording.right[this.#leaf]
    byId("leaf-check").replaceChildren(
      ...[
        ["backpropagation", repr(gradient)],
        [`finite difference, step ${shortNumber(step)}`, repr(value)]
      ].map(([what, number]) =>
        create("div", {}, create("dt", { text: what }), create("dd", { text: number }))
      )
    )
    setText(byId("leaf-gradient"), recording.gradientName(this.#leaf))
    setText(byId("leaf-differs"), comparison(gradient, value))
  }

  #typed(isPart = false) {
    if (this.#leaf < 0) return
    const field = byId("leaf-number")
    const x = readNumber(field.value)
    if (x === null) {
      if (!isPart) this.#refuse(field.value)
      return
    }
    field.removeAttribute("aria-invalid")
    setText(byId("leaf-error"), "")
    if (!Object.is(x, this.recording.graph.data[this.#leaf])) {
      this.set(this.#leaf, x, !this.#isMoved)
      this.#isMoved = true
    }
    if (isPart) return
    this.#isMoved = false
    this.show(this.#leaf)
  }

  /** Says why a text is not a number; what its beginning changed is undone. @param {string} text */
  #refuse(text) {
    if (this.#isMoved) this.undo()
    this.#isMoved = false
    const field = byId("leaf-number")
    field.value = text
    field.setAttribute("aria-invalid", "true")
    const [whole, rest] = text.trim().split(",")
    const why = isAmbiguous(text)
      ? `can mean two numbers; write ${whole}${rest} or ${whole}.${rest}`
      : "is not a number; write one such as -0.5"
    setText(byId("leaf-error"), `${text || "nothing"} ${why}`)
  }

  /** Begins to drag a leaf in the drawing; returns whether it can be dragged.
   * @param {number} leaf
   * @param {number} x pixels
   */
  grab(leaf, x) {
    const from = this.recording.graph.data[leaf]
    if (!this.leaves.has(leaf) || !Number.isFinite(from)) return false
    this.#drag = { leaf, x, from }
    this.#isMoved = false
    return true
  }

  /** Drags the leaf. @param {number} x pixels */
  drag(x) {
    if (!this.#drag || Math.abs(x - this.#drag.x) < 3) return
    const { leaf, from } = this.#drag
    const size = Math.abs(from) || 1
    const digits = Math.max(3 - Math.floor(Math.log10(size)), 0)
    const moved = from + (size * (x - this.#drag.x)) / PIXELS
    const to = digits > DIGITS ? moved : Number(moved.toFixed(digits))
    if (to === this.recording.graph.data[leaf]) return
    if (!this.#isMoved) this.select(leaf)
    this.set(leaf, to, !this.#isMoved)
    this.#isMoved = true
  }

  /** Ends dragging; returns whether the leaf was changed. */
  drop() {
    const isMoved = this.#drag !== null && this.#isMoved
    this.#drag = null
    this.#isMoved = false
    if (isMoved) this.show(this.#leaf)
    return isMoved
  }

  // -- the address

  /** Returns the changes as the address has them: the name and the number of each leaf. */
  inAddress() {
    const { names } = this.recording.program
    return [...this.recording.changes].map(([leaf, x]) => `${names[leaf]}:${repr(x)}`)
  }

  /** Makes the changes of an address, which anyone may have written; what it does not mean is left
   * out.
   * @param {string[]} changes
   */
  fromAddress(changes) {
    const { names } = this.recording.program
    const leaves = new Map([...this.leaves].map((leaf) => [names[leaf], leaf]))
    /** @type {Map<number, number>} */
    const found = new Map()
    for (const change of changes) {
      const at = change.lastIndexOf(":")
      const leaf = leaves.get(change.slice(0, at))
      const x = readNumber(change.slice(at + 1))
      if (leaf !== undefined && x !== null) found.set(leaf, x)
    }
    this.recording.change(found)
    this.#past = []
    this.#after()
    this.show(this.#leaf)
  }
}

/** Returns a sentence about a gradient and a finite difference that cannot agree, or "".
 * @param {number} gradient
 * @param {number} difference
 */
function comparison(gradient, difference) {
  if (!Number.isFinite(gradient) || !Number.isFinite(difference))
    return "They are not both finite, so they cannot be compared."
  const size = Math.max(Math.abs(gradient), Math.abs(difference))
  if (Math.abs(gradient - difference) <= EQUAL * size) return ""
  return "The finite difference is inexact here: at a kink, or with too large or small a step."
}
