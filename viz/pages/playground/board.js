/* The board of the playground: the elements of the page, and what they show of a run. */

import { create, fill, partOf, setText } from "../elements.js"
import { Behind, showBehind } from "./behind.js"
import { Controls } from "./controls.js"
import {
  Field, drawDecision, drawGradients, drawLosses, drawNetwork, unitName
} from "./pictures.js"
import { Run } from "./run/run.js"
import { rateOf } from "./run/training.js"
import { findings, general, remarks } from "./run/words.js"

/** @import { State, Table } from "./run/state.js" */
/** @import { Sample } from "../live/data.js" */
/** @import { RowTexts } from "./behind.js" */
/** @typedef {{ rows: RowTexts, findings: Record<string, string> }} Texts */

const WORK = 12 // milliseconds of steps in a frame
const PAUSE = 50 // milliseconds between two pictures of a run
const NEAR_SAMPLE = 18 // how far from a sample a click may be, in units of the plot
const SAMPLES = "the samples; the arrow keys choose the one before or after"
const NAMES =
  "L is the loss of this sample, without penalties and dropout; an update takes the mean of such " +
  "gradients over the batch. w and b are the weights of the unit, p its products, s its sums, h " +
  "the outputs of the layer before; u are the weights of the next layer that its output meets, " +
  "and q the products with them. t is the target, as the loss takes it: "
/** @type {Record<string, string>} */
const TARGETS = {
  binary_cross_entropy: "-1 for class 1 and 1 for class 0, so that L = softplus(t × score).",
  hinge: "1 for class 1 and -1 for class 0, and L = relu(1 - t × score).",
  mse: "1 for class 1 and -1 for class 0, or y of a line, and L = (score - t)²."
}
const VIEWS = {
  network: "The network: choose a unit, and below is the graph behind it. Blue is above 0, " +
    "orange below; dashed weights are negative",
  decision: "What the network decides: ● class 0, ■ class 1; test data are paler with a dark " +
    "edge. Choose a sample",
  losses: "Loss of the training data (full line) and of test data (dashes)",
  gradients: "Size of the gradient in each layer, at the last step"
}

/** Returns a button. @param {string} name @param {string} text @param {() => void} onclick */
function button(name, text, onclick, isPressed = /** @type {boolean | null} */ (null)) {
  const pressed = isPressed === null ? null : String(isPressed)
  return create("button", {
    type: "button", "data-do": name, "aria-pressed": pressed, text, onclick
  })
}

/** Returns a figure with a place for a plot. @param {keyof typeof VIEWS} name */
function view(name) {
  const place = create("div", { class: "plot", id: `playground-${name}` })
  const caption = create("figcaption", { text: VIEWS[name] })
  return { place, figure: create("figure", { "data-view": name }, caption, place) }
}

/** The whole playground, in an element. */
export class Board {
  closing = new AbortController()
  isRunning = false
  isPressed = false
  isAfter = true
  chosen = { layer: 0, unit: 0 }
  pointClass = 0
  runButton = button("run", "Run", () => this.toggle())
  numbers = create("dl", { class: "numbers" })
  words = create("div", { class: "words", role: "status" })
  own = create("div", { class: "own" })
  states = create("div", { class: "states" })
  behind = create("section", { class: "behind", "aria-label": "the graph behind a unit" })
  program = create("pre", { class: "program", tabindex: 0 })
  network = view("network")
  decision = view("decision")
  losses = view("losses")
  gradients = view("gradients")
  dialog = create(
    "dialog",
    { class: "python", "aria-label": "the program in Python" },
    create("h2", { text: "The same run in Python" }),
    this.program,
    create("p", {}, button("copy", "Copy", () => this.#copy()),
      button("close", "Close", () => this.dialog.close()))
  )

  /**
   * @param {HTMLElement} root
   * @param {Table} table
   * @param {Texts} texts
   * @param {State} state
   * @param {{ weights?: number[] | null, changed?: (state: State) => void }} [more] weights to
   *   begin with, and what is told of each state
   */
  constructor(root, table, texts, state, { weights = null, changed = () => {} } = {}) {
    this.table = table
    this.texts = texts
    this.changed = changed
    this.run = new Run(state, weights)
    this.field = this.#newField()
    /** @type {Sample | null} */
    this.sample = this.run.trainer.train[0] ?? null
    /** @type {import("../plot.js").Plot | null} */
    this.plot = null
    this.runButton.classList.add("main")
    const settings = create("div", { class: "settings" })
    this.controls = new Controls(settings, table, (change) => this.change(change))
    const bar = create(
      "div",
      { class: "bar" },
      this.runButton,
      button("step", "Step", () => this.step()),
      button("epoch", "Epoch", () => this.epoch()),
      button("reset", "Reset", () => this.reset()),
      button("seed", "New seed", () => this.change({ seed: this.run.state.seed + 1 })),
      button("python", "As Python", () => this.showProgram()),
      this.numbers
    )
    const middle = create("div", { class: "middle" }, this.network.figure, this.states)
    const result = create("div", { class: "result" }, this.decision.figure, this.own,
      this.losses.figure, this.gradients.figure)
    root.append(bar, this.words, settings, middle, result, this.behind, this.dialog)
    this.decision.place.addEventListener("click", (event) => this.#clicked(event))
    this.decision.place.addEventListener("keydown", (event) => this.#walk(event))
    fill(this.decision.place, { tabindex: 0, role: "group", "aria-label": SAMPLES }, [])
    // a click needs the element that was pressed, so nothing is drawn anew until it is let go
    root.addEventListener("pointerdown", () => {
      this.isPressed = true
    })
    const release = () => setTimeout(() => {
      this.isPressed = false
    })
    const { signal } = this.closing
    for (const name of ["pointerup", "pointercancel"]) addEventListener(name, release, { signal })
    this.show()
  }

  // ---- the run

  /** @param {Partial<State>} change */
  change(change) {
    const next = this.run.changed(change)
    if (next !== this.run) this.#begin(next)
    else this.show()
  }

  reset() {
    this.pause()
    this.#begin(new Run(this.run.state, this.run.given))
  }

  /** @param {Run} run */
  #begin(run) {
    this.run = run
    this.field = this.#newField()
    this.sample = run.trainer.train[0] ?? null
    const { layer, unit } = this.chosen
    if (!run.trainer.model.layers[layer]?.neurons[unit]) this.chosen = { layer: 0, unit: 0 }
    this.show()
  }

  #newField() {
    const { train, test, isRegression } = this.run.trainer
    return new Field([...train, ...test], isRegression)
  }

  toggle() {
    if (this.isRunning) return this.pause()
    this.isRunning = true
    setText(this.runButton, "Pause")
    let drawn = 0
    const frame = () => {
      if (!this.isRunning) return
      const end = performance.now() + WORK
      do this.run.step()
      while (performance.now() < end && !this.run.trainer.hasFailed)
      const { hasFailed, train } = this.run.trainer
      if (hasFailed || !train.length) return this.pause()
      if (performance.now() - drawn > PAUSE && !this.isPressed) {
        this.draw()
        drawn = performance.now()
      }
      requestAnimationFrame(frame)
    }
    frame()
  }

  /** Ends the run, before the board leaves the page. */
  close() {
    this.pause()
    this.closing.abort()
  }

  pause() {
    if (!this.isRunning) return
    this.isRunning = false
    setText(this.runButton, "Run")
    this.drawAtRest()
  }

  step() {
    this.pause()
    this.run.step()
    this.drawAtRest()
  }

  epoch() {
    this.pause()
    this.run.epoch()
    this.drawAtRest()
  }

  // ---- pictures

  /** Shows the state and the run. */
  show() {
    this.controls.show(this.run.state)
    this.#showOwn()
    this.changed(this.run.state)
    this.drawAtRest()
  }

  /** Draws what changes from step to step. */
  draw() {
    const { run, field } = this
    const { trainer } = run
    const outputs = trainer.outputsAt(field.points)
    const scores = outputs[outputs.length - 1][0]
    this.plot = drawDecision(this.decision.place, field, trainer, scores, this.sample)
    drawNetwork(this.network.place, trainer, field, outputs, this.chosen, (layer, unit) => {
      this.chosen = { layer, unit }
      this.drawAtRest()
    })
    run.note()
    drawLosses(this.losses.place, run.train, run.test)
    drawGradients(this.gradients.place, trainer.steps ? trainer.gradientSizes() : [])
    this.#showNumbers()
  }

  /** Draws everything. */
  drawAtRest() {
    this.draw()
    this.#showStates()
    this.#showWords()
    this.#showBehind()
  }

  #showNumbers() {
    const { trainer, train, test } = this.run
    /** @type {[string, string, number][]} */
    const shown = [
      ["steps", "step", trainer.steps],
      ["epochs", "epoch", trainer.epochs],
      ["rate", "learning rate", rateOf(trainer.state, trainer.steps)],
      ["train", "training loss", train.at(-1)?.[1] ?? NaN],
      ["test", "test loss", test.at(-1)?.[1] ?? NaN],
      ["right", "training data right", trainer.accuracyOn(trainer.train)],
      ["tested", "test data right", trainer.accuracyOn(trainer.test)],
      ["seed", "random seed", trainer.state.seed]
    ]
    const isThere = shown.filter(
      ([name, , x]) => !Number.isNaN(x) || (name === "train" && train.length > 0)
    )
    this.numbers.replaceChildren(
      ...isThere.map(([name, label, x]) => {
        const isShare = name === "right" || name === "tested"
        const isWhole = name === "steps" || name === "epochs" || name === "seed"
        const plain = isWhole ? x.toLocaleString("en") : general(x, 4)
        const text = isShare ? `${general(100 * x, 3)}%` : plain
        const number = create("dd", { "data-number": name, "data-value": String(x), text })
        return create("div", {}, create("dt", { text: label }), number)
      })
    )
  }

  #showStates() {
    const { trainer } = this.run
    const states = trainer.train.length ? trainer.unitStates() : []
    const rows = states.map(({ units, dead, saturation }, i) => {
      const share = `${general(100 * saturation, 3)}%`
      return create(
        "tr",
        {},
        create("td", { text: String(i + 1) }),
        create("td", {
          text: `${dead} of ${units}`, "data-number": `dead${i}`, "data-value": dead
        }),
        create("td", { text: share, "data-number": `saturation${i}`, "data-value": saturation })
      )
    })
    if (!rows.length) return this.states.replaceChildren()
    const head = ["hidden layer", "dead units", "saturated outputs"]
    this.states.replaceChildren(
      create("table", {}, create("tr", {}, ...head.map((text) => create("th", { text }))), ...rows)
    )
  }

  #showWords() {
    const wrong = findings(this.run.trainer, this.texts.findings)
    /** @type {import("./run/words.js").Finding[]} */
    const again = wrong.length ? [["To start again, change the setting and press Reset.", ""]] : []
    const found = [...wrong, ...remarks(this.run), ...again]
    const texts = found.map(([sentence, advice, rate]) => {
      const said = [create("span", { text: sentence }), " ", create("em", { text: advice })]
      if (rate !== undefined) {
        said.push(" ", button("advised", `Do so with ${general(rate)}`, () => {
          this.change({ rate })
          this.reset()
        }))
      }
      return create("p", {}, ...said)
    })
    this.words.replaceChildren(...texts)
  }

  // ---- one sample, one unit

  #showBehind() {
    const { sample, chosen } = this
    const { trainer, before } = this.run
    if (!sample) return this.behind.replaceChildren()
    const weights = this.isAfter ? trainer.weights : before
    const { layer, unit } = chosen
    const behind = new Behind(trainer, sample, layer, unit, this.texts.rows, weights)
    const where = sample.x.map((x) => general(x, 3)).join(", ")
    const target = trainer.isRegression ? `y = ${general(sample.t, 3)}` : `class ${sample.t}`
    const kind = trainer.test.includes(sample) ? "test sample" : "sample"
    const title = `The graph behind ${unitName(trainer, layer, unit)}, for the ${kind} ` +
      `(${where}) of ${target}`.replace("of y", "with y")
    const times = [false, true].map((isAfter) => {
      const name = isAfter ? "after" : "before"
      return button(name, `${name} the last update`, () => {
        this.isAfter = isAfter
        this.#showBehind()
        /** @type {HTMLElement} */
        const again = partOf(this.behind, `[data-do=${name}]`)
        again.focus({ preventScroll: true })
      }, this.isAfter === isAfter)
    })
    const place = create("div", {})
    showBehind(place, behind)
    this.behind.replaceChildren(create("h2", { text: title }), create("p", {}, ...times),
      create("p", { class: "names", text: `${NAMES}${TARGETS[trainer.state.loss]}` }), place)
  }

  /** Chooses the sample before or after.
   * @param {KeyboardEvent} event
   */
  #walk(event) {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key]
    const { train, test } = this.run.trainer
    const all = [...train, ...test]
    if (!by || !this.sample) return
    event.preventDefault()
    this.sample = all[(all.indexOf(this.sample) + by + all.length) % all.length]
    this.drawAtRest()
  }

  /** Chooses the sample that was clicked, or adds a point to the data set "own".
   * @param {MouseEvent} event
   */
  #clicked(event) {
    const { plot, field } = this
    const { state, trainer } = this.run
    if (!plot) return
    const [x, y] = plot.at(event)
    const all = [...trainer.train, ...trainer.test]
    const far = all.map((sample) => {
      const height = field.isLine ? sample.t : sample.x[1]
      return Math.hypot(plot.x(sample.x[0]) - plot.x(x), plot.y(height) - plot.y(y))
    })
    const nearest = far.indexOf(Math.min(...far))
    if (far[nearest] <= NEAR_SAMPLE) {
      this.sample = all[nearest]
      return this.drawAtRest()
    }
    if (state.data !== "own" || state.points.length >= this.table.mostPoints) return
    const point = { x: [x, y].map((c) => Number(c.toFixed(3))), t: this.pointClass }
    this.change({ points: [...state.points, point] })
  }

  #showOwn() {
    const { state } = this.run
    if (state.data !== "own") return this.own.replaceChildren()
    const kinds = ["\u25cf class 0", "\u25a0 class 1"].map((text, t) =>
      button(`class${t}`, text, () => {
        this.pointClass = t
        this.#showOwn()
        this.#focusOwn(`class${t}`)
      }, this.pointClass === t)
    )
    const undo = button("undo", "Remove the last point", () => {
      this.change({ points: state.points.slice(0, -1) })
      this.#focusOwn(state.points.length > 1 ? "undo" : "class0")
    })
    undo.disabled = !state.points.length
    const text = "Click into the picture to add a point of"
    this.own.replaceChildren(create("span", { text }), ...kinds, undo)
  }

  /** @param {string} name */
  #focusOwn(name) {
    /** @type {HTMLElement} */
    const found = partOf(this.own, `[data-do=${name}]`)
    found.focus({ preventScroll: true })
  }

  // ---- as Python

  showProgram() {
    this.pause()
    this.program.textContent = this.run.python()
    setText(partOf(this.dialog, "[data-do=copy]"), "Copy")
    this.dialog.showModal()
  }

  #copy() {
    const range = document.createRange()
    range.selectNodeContents(this.program)
    getSelection()?.removeAllRanges()
    getSelection()?.addRange(range)
    const isCopied = document.execCommand("copy")
    const text = isCopied ? "Copied" : "Selected: press Ctrl+C"
    setText(partOf(this.dialog, "[data-do=copy]"), text)
  }
}
