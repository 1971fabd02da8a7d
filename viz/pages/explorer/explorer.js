/* The explorer: steps through a recording on its drawing.  Its modules:

   types.js     the types of the data, in comments
   cursor.js    the numbers of every node and edge at a position; does not use the page
   modules.js   frames that collapse and expand in place
   picture.js   shows the position in the drawing
   details.js   the panel about one node, edge or module
   lists.js     the list of all steps, of which only visible rows are in the page; the search
   selection.js pointer, keys and focus
   explorer.js  the controls and keys, which use the classes above

   numbers.js, elements.js and stage/ are shared by all pages; live/ computes the graph. */

import {
  byId, create, disableEnds, fill, measureAround, partOf, readData, setText, showNotes, switchTheme
} from "../elements.js"
import { fromAddress, toAddress } from "../live/address.js"
import { Editor } from "../live/editor.js"
import { Recording } from "../live/recording.js"
import { ROWS, WRONG_RULES } from "../live/rows.js"
import { clamp } from "../numbers.js"
import { save, showProgram, standalone } from "../stage/export.js"
import { Stage } from "../stage/stage.js"
import { Cursor } from "./cursor.js"
import { Details } from "./details.js"
import { Search, StepList } from "./lists.js"
import { Picture } from "./picture.js"
import { Selection } from "./selection.js"

/** @import { Level, PageData, Thing } from "./types.js" */

/** @type {[string, Level][]} the buttons that collapse modules */
const LEVELS = [["collapse-neurons", "neurons"], ["collapse-layers", "layers"]]
/** @type {Record<string, string>} */
const ROLE_NAMES = { rest: "nodes that are not drawn", module: "collapsed module" }

export class Explorer {
  /** What each button does; some keys do the same, see `Selection`. */
  commands = {
    first: this.paused(() => this.goTo(0)),
    back: this.paused(() => this.back()),
    next: this.paused(() => this.next()),
    last: this.paused(() => this.goTo(Infinity)),
    play: () => this.play(),
    "zoom-in": () => this.stage.zoom(1.3),
    "zoom-out": () => this.stage.zoom(1 / 1.3),
    "zoom-fit": () => this.#fit(),
    "help-button": () => byId("help").showModal(),
    // a form of method="dialog" does nothing in a notebook's frame
    "help-close": () => byId("help").close(),
    "python-close": () => byId("python").close(),
    save: () => this.#save(),
    copy: () => void showProgram(this.recording.asPython()),
    "collapse-neurons": () => this.collapseAll("neurons"),
    "collapse-layers": () => this.collapseAll("layers"),
    "expand-all": () => this.collapseAll("")
  }
  /** @type {Node} a copy of the whole drawing */
  #svg
  #timer = 0
  #waiting = 0

  /** @param {PageData} data */
  constructor(data) {
    /** the drawing with all modules expanded, as far as the page has it */
    this.whole = data
    /** the drawing that is shown */
    this.data = data
    /** @type {Level} what was collapsed in it before its layout */
    this.level = ""
    /** @type {SVGSVGElement} */
    const svg = partOf(byId("stage"), "svg")
    this.#svg = svg.cloneNode(true)
    this.stage = new Stage(byId("stage"))
    this.recording = new Recording(data.program, ROWS, WRONG_RULES)
    this.cursor = new Cursor(data, this.recording)
    this.picture = new Picture(data, this.cursor, this.stage)
    this.details = new Details(this, byId("details"))
    this.list = new StepList(this, byId("list"), byId("rows"))
    this.search = new Search(this)
    this.editor = new Editor(this.recording, () => this.#changed())
    this.selection = new Selection(this)
    this.#describe()
    this.#describeDrawing()
    this.#listen()
    this.#restart()
    if (data.level) this.collapseAll(data.level)
    this.#goToAddress(data.open)
  }

  get isPlaying() {
    return this.#timer !== 0
  }

  // -- moving through the steps

  /**
   * Goes to a position: a number of steps of the page that are done.
   * @param {number} position
   */
  goTo(position, { flow = 0 } = {}) {
    position = clamp(position, 0, this.cursor.steps.length)
    this.picture.draw(this.cursor.seek(position))
    this.#say()
    this.details.render()
    this.list.reveal()
    this.#keepInSight()
    this.picture.flow(flow ? this.cursor.step : null, flow)
    this.#remember()
  }

  /** Moves the drawing to the node of the step, if it is to follow; at the start, of the first. */
  #keepInSight() {
    const { step, steps } = this.cursor
    const node = (step ?? steps[0])?.node ?? -1
    if (byId("follow").checked && node >= 0) this.stage.follow(this.picture.boxOf(node))
  }

  /** Shows the whole drawing.  If it is too small to be read, the drawing follows no step. */
  #fit() {
    if (!this.stage.isReadableWhole) byId("follow").checked = false
    this.stage.fit()
  }

  /** Goes to the next visible change. */
  next(milliseconds = 350) {
    this.goTo(this.#visibleChange(1), { flow: milliseconds })
  }

  /** Goes to the previous visible change. */
  back() {
    this.goTo(this.#visibleChange(-1))
  }

  /**
   * Returns where the next visible change is; steps inside collapsed modules are skipped.
   * @param {number} by
   */
  #visibleChange(by) {
    const { position, steps } = this.cursor
    let at = position + by
    while (at > 0 && at < steps.length && !this.picture.modules.sees(steps[at - 1])) at += by
    return at
  }

  /** Plays or pauses. */
  play() {
    if (this.isPlaying) return this.pause()
    if (this.cursor.position === this.cursor.steps.length) this.goTo(0)
    const tick = () => {
      const interval = 1000 / Number(byId("speed").value)
      this.next(interval < 150 ? 0 : Math.min(interval * 0.8, 400))
      if (this.cursor.position < this.cursor.steps.length) this.#timer = setTimeout(tick, interval)
      else this.pause()
    }
    this.#timer = setTimeout(tick, 0)
    byId("sentence").setAttribute("aria-live", "off")
    setText(byId("play"), "pause")
  }

  pause() {
    clearTimeout(this.#timer)
    this.#timer = 0
    byId("sentence").setAttribute("aria-live", "polite")
    setText(byId("play"), "play")
  }

  /**
   * Follows another idea of the backward pass, at the same step.
   * @param {string} idea
   */
  #follow(idea) {
    const number = this.cursor.step?.number ?? 0
    this.recording.follow(idea)
    this.#restart()
    this.goTo(this.#positionOf(number))
  }

  // -- looking at things

  /**
   * Shows a node, an edge (its end) or a module in the drawing, expands the modules around it, and
   * keeps its details.
   * @param {Thing} thing
   */
  visit({ kind, index }) {
    const { data } = this
    const node = kind === "edge" ? data.edges[index].target : index
    if (kind === "edge") this.#expandAround(data.nodes[data.edges[index].source].frame)
    this.#expandAround(kind === "frame" ? data.frames[index].parent : data.nodes[node].frame)
    this.pin({ kind, index })
    const box = kind === "frame" ? this.picture.modules.boxes[index] : this.picture.boxOf(node)
    if (box) this.stage.show(box, true)
  }

  /**
   * Visits a thing from the panel, whose lines then disappear, and gives it the focus.
   * @param {Thing} thing
   */
  enter(thing) {
    const { parts } = this.picture
    this.visit(thing)
    parts[thing.kind === "edge" ? "edges" : "nodes"][thing.index].group.focus({
      preventScroll: true
    })
  }

  /** Collapses exactly these modules. @param {Iterable<number>} frames */
  collapse(frames) {
    this.picture.collapse(frames)
    this.details.render()
    this.list.render(true)
  }

  /** Collapses a module, or expands it. @param {number} frame */
  toggle(frame) {
    const { modules } = this.picture
    const frames = new Set(modules.collapsed)
    if (!frames.delete(frame)) frames.add(frame)
    const hadFocus = document.activeElement?.closest(".cover, .frame-button")
    this.collapse(frames)
    this.details.hover(null)
    if (hadFocus) this.picture.elementOfFrame(frame).focus({ preventScroll: true })
  }

  /**
   * Collapses all neurons, or all layers: in a drawing that is laid out for it, if the page has
   * one, else in place.
   * @param {Level} level "" to expand all modules
   */
  collapseAll(level) {
    if (!level || this.whole.others[level]) {
      this.#load(level)
      return this.collapse([])
    }
    this.collapse(this.picture.modules.levels()[level])
  }

  /**
   * Shows another drawing of the graph, at the same step.
   * @param {Level} level
   */
  #load(level) {
    if (level === this.level) return
    const number = this.cursor.step?.number ?? 0
    const { others } = this.whole
    this.level = level
    this.data = level ? { ...this.whole, ...others[level] } : this.whole
    const template = level && byId(`drawing-${level}`).content
    const svg = (template ? partOf(template, "svg") : this.#svg).cloneNode(true)
    this.details.forget()
    this.editor.show(-1)
    this.stage.load(/** @type {SVGSVGElement} */ (svg))
    this.cursor = new Cursor(this.data, this.recording)
    this.picture = new Picture(this.data, this.cursor, this.stage)
    this.picture.colourBy(byId("colour").value)
    this.#describeDrawing()
    this.#restart()
    this.search.remark()
    this.goTo(this.#positionOf(number))
  }

  /**
   * Returns what stands, in the drawing that is shown, for a thing of the whole drawing.
   * @param {Thing} thing
   * @returns {Thing}
   */
  shownAs(thing) {
    if (!this.level) return thing
    const { whole, data, cursor } = this
    if (thing.kind === "node")
      return { kind: "node", index: cursor.drawn[whole.nodes[thing.index].shows] ?? -1 }
    const { path } = whole.frames[thing.index]
    const index = data.frames.findIndex((frame) => frame.path === path)
    if (index >= 0) return { kind: "frame", index }
    const isAround = (/** @type {string} */ label) => `${path}.`.startsWith(`${label}.`)
    const box = data.nodes.findIndex(({ role, label }) => role === "module" && isAround(label))
    return { kind: "node", index: box }
  }

  /**
   * Visits a thing of the whole drawing, which is shown if the thing is collapsed.
   * @param {Thing} thing
   */
  visitInWhole(thing) {
    const shown = this.shownAs(thing)
    const isBox = shown.kind === "node" && this.data.nodes[shown.index]?.role === "module"
    if (this.level && (isBox || shown.index < 0)) this.#load("")
    this.visit(this.level ? shown : thing)
  }

  /** Shows the whole drawing, and in it a module. @param {string} path */
  lookInside(path) {
    const index = this.whole.frames.findIndex((frame) => frame.path === path)
    this.#load("")
    if (index >= 0) this.visit({ kind: "frame", index })
  }

  /** @param {number} frame */
  #expandAround(frame) {
    const frames = new Set(this.picture.modules.collapsed)
    const before = frames.size
    for (; frame >= 0; frame = this.data.frames[frame].parent)
      frames.delete(frame)
    if (frames.size < before) this.collapse(frames)
  }

  // -- the page around the drawing

  #describe() {
    const { data } = this
    byId("idea").append(
      ...Object.entries(this.recording.ideas).map(([value, { title }]) =>
        create("option", { value, text: title })
      )
    )
    byId("live").hidden = !this.editor.leaves.size
    byId("modules").hidden = !data.frames.length
    byId("collapse-neurons").hidden = !data.frames.some(({ parent }) => parent >= 0)
    const roles = [...new Set(data.nodes.map(({ role }) => role))]
    byId("legend").replaceChildren(
      ...roles.map((role) =>
        create("li", {
          class: `node ${role}`,
          text: ROLE_NAMES[role] ?? role
        })
      )
    )
    switchTheme()
    measureAround("header", "#notes", "footer")
  }

  /** Describes the drawing to screen readers, and marks the leaves that can be changed. */
  #describeDrawing() {
    const { data, level } = this
    const { nodes, edges } = data
    const collapsed = level && `, ${level} collapsed`
    const name = `${data.title}${collapsed}: ${nodes.length} nodes, ${edges.length} edges`
    fill(
      this.stage.svg,
      {
        role: "group",
        tabindex: 0,
        "aria-roledescription": "graph",
        "aria-label": `${name}; the keys ] and [ select the next and the previous node`
      },
      []
    )
    nodes.forEach(({ shows }, node) =>
      this.picture.parts.nodes[node].group.classList.toggle("leaf", this.editor.leaves.has(shows))
    )
    for (const [id, own] of LEVELS) byId(id).setAttribute("aria-pressed", String(level === own))
  }

  /** Shows the steps of another idea of the backward pass. */
  #restart() {
    const { cursor, recording } = this
    cursor.restart()
    byId("idea").value = recording.idea
    byId("slider").max = String(cursor.steps.length)
    byId("forward").style.flexGrow = String(cursor.forward)
    byId("backward").style.flexGrow = String(cursor.steps.length - cursor.forward)
    this.picture.redraw()
    this.list.restart()
    this.#note()
  }

  /** Shows other numbers. */
  #changed() {
    this.cursor.refresh()
    this.picture.redraw()
    this.list.render(true)
    this.details.render()
    this.#note()
    this.#say()
    this.#remember()
  }

  #note() {
    const notes = [...this.data.notes, this.recording.verdict()].filter(Boolean)
    showNotes(notes, this.data.calls)
  }

  /** Saves the drawing at this step as an SVG file. */
  #save() {
    const { title } = this.data
    const step = this.cursor.step?.number ?? 0
    const said = byId("sentence").textContent
    const text = standalone(this.stage, `${title}, step ${step}: ${said}`)
    const name = title.replace(/[^\p{L}\p{N}]+/gu, "-").slice(0, 60) || "graph"
    save(`${name}-step-${step}.svg`, "image/svg+xml", text)
  }

  #say() {
    const { step, position, steps } = this.cursor
    const { recording } = this
    const sentence = step ? step.sentence : recording.start()
    const hidden =
      step && !this.picture.modules.sees(step) ? " \u00b7 inside a collapsed module" : ""
    let phase = step ? step.phase : "start"
    if (phase === "backward" && recording.idea) phase += ", after a wrong idea"
    const total = recording.events.length
    const [done, all] = [step?.number ?? 0, total].map((n) => n.toLocaleString("en"))
    setText(byId("where"), `step ${done} of ${all} \u00b7 ${phase}${hidden}`)
    setText(byId("sentence"), sentence)
    byId("sentence").classList.toggle("long", sentence.length > 70)
    setText(byId("formula"), step?.words.formula ?? "")
    setText(byId("warning"), (step && recording.marks.get(step.number)?.[1]) ?? "")
    const slider = byId("slider")
    slider.value = String(position)
    slider.setAttribute("aria-valuetext", `step ${step?.number ?? 0} of ${total}, ${phase}`)
    disableEnds(position, steps.length)
  }

  #listen() {
    for (const [id, command] of Object.entries(this.commands))
      byId(id).addEventListener("click", command)
    const slide = () => this.goTo(Number(byId("slider").value))
    byId("slider").addEventListener("input", this.paused(slide))
    byId("follow").addEventListener("change", () => {
      this.stage.letGo()
      this.#keepInSight()
    })
    byId("colour").addEventListener("change", () => this.picture.colourBy(byId("colour").value))
    byId("idea").addEventListener("change", () => this.#follow(byId("idea").value))
    addEventListener("hashchange", () => this.#goToAddress(this.cursor.step?.number ?? 0))
  }

  /**
   * Returns a listener that pauses and then moves.
   * @param {() => void} move
   */
  paused(move) {
    return () => {
      this.pause()
      move()
    }
  }

  /**
   * Keeps the details of a thing, and shows the panel of a leaf.
   * @param {Thing | null} thing
   */
  pin(thing) {
    this.details.pin(thing)
    this.editor.show(thing?.kind === "node" ? this.data.nodes[thing.index].shows : -1)
  }

  // -- the address contains the step, by its number in the recording

  /** @param {number} number */
  #positionOf(number) {
    const { steps } = this.cursor
    const after = steps.findIndex((step) => step.number > number)
    return after < 0 ? steps.length : after
  }

  /**
   * Goes to the state in the address, with a drawing that has its step; to a step of the recording
   * if it has none.
   * @param {number} number
   */
  #goToAddress(number) {
    const { step, idea, leaves } = fromAddress(location.hash)
    if (location.hash) {
      this.recording.follow(Object.hasOwn(this.recording.ideas, idea) ? idea : "")
      this.editor.fromAddress(leaves)
      this.#restart()
    }
    const wanted = step ?? number
    const isInside = wanted > 0 && this.cursor.steps.every((step) => step.number !== wanted)
    if (this.level && isInside && wanted <= this.recording.events.length) this.#load("")
    this.goTo(this.#positionOf(wanted))
  }

  #address() {
    const { recording, cursor, editor } = this
    const step = cursor.step?.number ?? 0
    return toAddress({ step, idea: recording.idea, leaves: editor.inAddress() })
  }

  #remember() {
    clearTimeout(this.#waiting)
    this.#waiting = setTimeout(() => {
      try {
        history.replaceState(null, "", this.#address())
      } catch {
        /* a page in a frame may have no address of its own */
      }
    }, 400)
  }
}

new Explorer(readData())
document.documentElement.dataset.ready = "true"
