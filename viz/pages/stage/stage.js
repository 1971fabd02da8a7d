/* A graph's SVG that can be moved and zoomed, and its parts; shared by all interactive pages.

   const stage = new Stage(element)       // <div class="stage"> with the SVG of page.themed() in it
   stage.fit(); stage.zoom(1.25); stage.show(box, true)
   const graph = new Parts(stage.svg)     // graph.nodes[3].data is the text with the data of n3
   setText(graph.nodes[3].data, "0.7071")
   stage.addLayer().append(...)           // a <g> above the drawing, in its coordinates

   Parts of a drawing never move: pan and zoom change the transform of `stage.svg`, the element
   around the drawing, which replaces the original SVG. */

import { animate, create, createSvg, partOf, targetOf } from "../elements.js"
import { clamp, shift } from "../numbers.js"

/**
 * A box of getBBox, in the coordinates of the drawing.
 * @typedef {{ x: number, y: number, width: number, height: number }} Box
 */

/**
 * A rectangle in pixels of the frame.
 * @typedef {{ left: number, right: number, top: number, bottom: number }} Rectangle
 */

/**
 * A place in pixels of the frame.
 * @typedef {{ x: number, y: number }} Place
 */

export const REDUCED_MOTION = matchMedia("(prefers-reduced-motion: reduce)")

// ---- the parts of a drawing ----

/**
 * The groups of a drawing, and what is inside them; `button` is made by a page.
 * @typedef {{ group: SVGGElement, data: SVGElement | null, grad: SVGElement | null }} NodePart
 * @typedef {{ group: SVGGElement, path: SVGPathElement, number: SVGElement | null }} EdgePart
 * @typedef {{ group: SVGGElement, title: Element, button?: SVGGElement }} FramePart
 */

/** The groups of a drawing by their index. */
export class Parts {
  /** @param {Element} svg */
  constructor(svg) {
    /** @type {NodePart[]} */
    this.nodes = Parts.#of(svg, "g.node", { data: ".data", grad: ".grad" })
    /** @type {EdgePart[]} */
    this.edges = Parts.#of(svg, "g.edge", { path: "path", number: "text:last-of-type" })
    /** @type {FramePart[]} */
    this.frames = Parts.#of(svg, "g.cluster", { title: "text" })
  }

  /**
   * Returns the groups by the number in their id, with the element inside that each name has.
   * @param {Element} svg
   * @param {string} groups
   * @param {Record<string, string>} names
   */
  static #of(svg, groups, names) {
    /** @type {any[]} */
    const parts = []
    for (const group of svg.querySelectorAll(groups)) {
      /** @type {Record<string, Element | null>} */
      const part = { group }
      for (const [name, inside] of Object.entries(names)) part[name] = group.querySelector(inside)
      parts[Number(group.id.slice(1))] = part
    }
    return parts
  }
}

// ---- pan and zoom ----

/** A drawing that is moved by dragging (one finger), zoomed by the wheel (two fingers), and fitted
    to its frame. */
export class Stage {
  static PARTS = 60 // in a sheet
  static EDGES = 180 // in a layer
  static NODES = 960
  static FAR = 0.28 // below this scale texts are left out
  static FARTHER = 0.09
  static READABLE = 0.95 // texts of 11 points are 10 pixels high
  static LARGEST = 8
  static FIT_AT_MOST = 1.8
  static GLIDE = 250 // milliseconds
  static PAUSE = 500 // milliseconds between two moves of `follow`

  /** @type {(event: PointerEvent) => boolean} whether a page drags what is under the pointer */
  grabs = () => false
  /** @type {Map<number, Place>} */
  #pointers = new Map() // where each finger or the mouse is
  #dragged = 0 // pixels since the pointer went down
  #fitted = true
  #isChosen = false // whether the scale is one that the reader has chosen
  /** @type {Box | null} the box that is followed */
  #followed = null
  #stop = () => {} // ends the glide
  #shown = -Infinity // when `show` moved the drawing last
  #waiting = 0 // the timer of `follow`
  room = { width: 1, height: 1 } // of the frame, in pixels
  /** @type {Rectangle[]} */
  buttons = [] // the groups of buttons over the drawing

  /** @param {HTMLElement} frame */
  constructor(frame) {
    this.frame = frame
    this.size = { width: 1, height: 1 }
    this.origin = [0, 0]
    this.top = createSvg("g")
    this.svg = create("div", { class: "sheet" })
    this.scale = 1
    this.x = this.y = 0 // where the corner of the drawing is, in pixels of the frame
    frame.prepend(this.svg)
    this.load(partOf(frame, "svg"))
    new ResizeObserver(() => {
      this.#measure()
      if (this.#fitted) this.#fit()
      else this.#place()
      if (this.#followed) this.show(this.#followed, !this.#isChosen)
    }).observe(frame)
    frame.addEventListener("pointerdown", (event) => this.#down(event))
    frame.addEventListener("pointermove", (event) => this.#move(event))
    for (const end of /** @type {const} */ (["pointerup", "pointercancel"]))
      frame.addEventListener(end, (event) => this.#up(event))
    frame.addEventListener("wheel", (event) => this.#wheel(event), { passive: false })
  }

  /**
   * Shows a drawing, as a whole, in place of the one before.
   * @param {SVGSVGElement} drawing is taken to pieces
   */
  load(drawing) {
    this.svg.replaceChildren()
    const viewBox = drawing.getAttribute("viewBox") ?? ""
    const [, , width, height] = viewBox.split(" ").map(Number)
    this.size = { width, height }
    const transform = partOf(drawing, "g.view").getAttribute("transform") ?? ""
    const origin = /translate\(([-\d.]+) ([-\d.]+)\)/.exec(transform) ?? []
    this.origin = origin.slice(1).map(Number)
    // a printer gets the drawing in this shape, see theme.css
    this.svg.style.setProperty("--wide", String(width / height))
    this.#split(drawing)
    this.top = this.addLayer()
    this.fit()
  }

  /** Whether the pointer was dragged since it went down; the click that follows is then ignored. */
  get wasDragged() {
    return this.#dragged > 5
  }

  /** Whether texts are large enough to be read when the whole drawing is visible. */
  get isReadableWhole() {
    return this.#fitting(0).scale >= Stage.READABLE
  }

  /** Shows the whole drawing as large as possible, below the buttons if they would cover it. */
  fit() {
    this.letGo()
    this.#fit()
  }

  #fit() {
    this.#measure()
    const below = Math.max(...this.buttons.map(({ bottom }) => bottom), 0)
    for (const from of [0, below]) {
      const { scale, x, y } = this.#fitting(from)
      this.#go(scale, x, y)
      const whole = this.#rectOf({ x: -this.origin[0], y: -this.origin[1], ...this.size })
      if (!this.#underButtons(whole)) break
    }
    this.#fitted = true
  }

  /**
   * Returns the place of the whole drawing below so many pixels of the frame.
   * @param {number} from
   */
  #fitting(from) {
    const width = this.room.width - 16
    const height = Math.max(this.room.height - from - 16, 1)
    const scale = Math.min(width / this.size.width, height / this.size.height, Stage.FIT_AT_MOST)
    const x = 8 + (width - this.size.width * scale) / 2
    const y = 8 + from + (height - this.size.height * scale) / 2
    return { scale, x, y }
  }

  /**
   * Zooms by a factor, as the reader wants it; the point at (x, y), in pixels of the frame, stays
   * where it is.
   * @param {number} factor
   */
  zoom(factor, x = this.room.width / 2, y = this.room.height / 2) {
    this.#isChosen = true
    this.#zoom(factor, x, y)
  }

  /**
   * @param {number} factor
   * @param {number} x
   * @param {number} y
   */
  #zoom(factor, x, y) {
    const { width, height } = this.room
    const smallest = Math.min(0.05, width / this.size.width / 2, height / this.size.height / 2)
    const scale = clamp(this.scale * factor, smallest, Stage.LARGEST)
    const by = scale / this.scale
    this.#go(scale, x + (this.x - x) * by, y + (this.y - y) * by)
  }

  /**
   * Moves the drawing by pixels.
   * @param {number} dx
   * @param {number} dy
   */
  pan(dx, dy) {
    this.#go(this.scale, this.x + dx, this.y + dy)
  }

  /**
   * Makes a box visible and not covered by the buttons, if it is not so already.
   * @param {Box} box
   * @param {boolean} near zooms in until the box can be read
   */
  show(box, near = false) {
    const isSmall = near && this.scale < Stage.READABLE
    if (this.#fitted && !isSmall) return
    const { width, height } = this.room
    if (isSmall) {
      this.#zoom(Stage.READABLE / this.scale, width / 2, height / 2)
      const { left, right, top, bottom } = this.#rectOf(box)
      this.pan((width - left - right) / 2, (height - top - bottom) / 2)
    }
    const rect = this.#rectOf(box)
    const margin = Math.min(40, width / 8, height / 8)
    const dx = shift(rect.left, rect.right, margin, width - margin)
    let dy = shift(rect.top, rect.bottom, margin, height - margin)
    const hidden = this.#underButtons(moved(rect, dx, dy))
    if (hidden) dy = hidden.bottom + 8 - rect.top
    if (dx || dy) this.#glide(dx, dy)
  }

  /**
   * Does the same as `show` for a box that changes with every step, in a size that can be read
   * unless the reader has zoomed.  If steps are fast, the drawing moves only twice a second, and at
   * the end.
   * @param {Box} box
   */
  follow(box) {
    clearTimeout(this.#waiting)
    this.#followed = box
    const show = () => this.show(box, !this.#isChosen)
    const wait = this.#shown + Stage.PAUSE - performance.now()
    if (wait <= 0) show()
    else this.#waiting = setTimeout(show, wait)
  }

  /** Follows no box any more; forgets that the reader has zoomed. */
  letGo() {
    clearTimeout(this.#waiting)
    this.#followed = null
    this.#isChosen = false
  }

  /** Returns a new group on top of the drawing, or under its nodes, in its coordinates.  The
      browser paints it without painting the drawing again. */
  addLayer(underNodes = false) {
    const layer = create("div", { class: "layer" })
    const group = this.#addSheet(layer)
    this.svg.insertBefore(layer, underNodes ? this.svg.querySelector(".layer:has(.node)") : null)
    return group
  }

  /**
   * Splits a large drawing into sheets of a few parts, each an SVG, in layers: frames, then edges,
   * then nodes.  A browser paints a whole SVG again when a number in it changes, and the rectangle
   * around a line when its colour changes.
   * @param {SVGSVGElement} drawing
   */
  #split(drawing) {
    drawing.remove()
    const parts = [...partOf(drawing, "g.view").children]
    const sizes = { cluster: Infinity, edge: Stage.EDGES, node: Stage.NODES }
    for (const [name, size] of Object.entries(sizes)) {
      const own = parts.filter((part) => part.classList.contains(name))
      for (let start = 0; start < own.length; start += size) {
        const layer = create("div", { class: "layer" })
        const end = Math.min(start + size, own.length)
        for (let i = start; i < end; i += Stage.PARTS)
          this.#addSheet(layer).append(...own.slice(i, Math.min(i + Stage.PARTS, end)))
        this.svg.append(layer)
      }
    }
  }

  /** @param {Element} layer */
  #addSheet(layer) {
    const group = createSvg("g", { transform: `translate(${this.origin.join(" ")})` })
    const { width, height } = this.size
    const viewBox = `0 0 ${width} ${height}`
    layer.append(createSvg("svg", { width, height, viewBox }, group))
    return group
  }

  #measure() {
    const { left, top } = this.frame.getBoundingClientRect()
    this.room = { width: this.frame.clientWidth || 1, height: this.frame.clientHeight || 1 }
    this.buttons = [...this.frame.querySelectorAll(".zoom")].map((group) =>
      moved(group.getBoundingClientRect(), -left, -top)
    )
  }

  /**
   * Returns a box of the drawing as a rectangle in pixels of the frame.
   * @param {Box} box
   */
  #rectOf({ x, y, width, height }) {
    const left = this.x + (x + this.origin[0]) * this.scale
    const top = this.y + (y + this.origin[1]) * this.scale
    return { left, top, right: left + width * this.scale, bottom: top + height * this.scale }
  }

  /**
   * Returns the group of buttons that covers part of a rectangle, if there is one.
   * @param {Rectangle} rectangle
   */
  #underButtons({ left, right, top, bottom }) {
    return this.buttons.find(
      (group) =>
        left < group.right && right > group.left && top < group.bottom && bottom > group.top
    )
  }

  /**
   * Moves the drawing to a place.
   * @param {number} scale
   * @param {number} x
   * @param {number} y
   */
  #go(scale, x, y) {
    this.#stop()
    this.scale = scale
    this.x = x
    this.y = y
    this.#fitted = false
    this.#place()
  }

  /** Moves the drawing; part of it always stays in sight. */
  #place() {
    const { width, height } = this.room
    const keep = Math.min(60, width / 4, height / 4)
    this.x = clamp(this.x, keep - this.size.width * this.scale, width - keep)
    this.y = clamp(this.y, keep - this.size.height * this.scale, height - keep)
    const [x, y] = [this.x, this.y].map((pixels) => `${Math.round(pixels)}px`)
    this.svg.style.transform = `translate3d(${x}, ${y}, 0) scale(${this.scale})`
    this.frame.classList.toggle("far", this.scale < Stage.FAR)
    this.frame.classList.toggle("farther", this.scale < Stage.FARTHER)
  }

  /**
   * Glides a short way; jumps if the way is long or the last move was a moment ago.
   * @param {number} dx
   * @param {number} dy
   */
  #glide(dx, dy) {
    const { x, y } = this
    const start = performance.now()
    const isFar = Math.abs(dx) > this.room.width || Math.abs(dy) > this.room.height
    const isSoon = start - this.#shown < 2 * Stage.PAUSE
    this.#shown = start
    if (REDUCED_MOTION.matches || isFar || isSoon) return this.pan(dx, dy)
    this.#stop = animate(Stage.GLIDE, (t) => {
      const done = 1 - (1 - t) ** 3
      this.#go(this.scale, x + dx * done, y + dy * done)
    })
  }

  /**
   * Returns where an event happened.
   * @param {MouseEvent} event
   */
  #at(event) {
    const { left, top } = this.frame.getBoundingClientRect()
    return { x: event.clientX - left, y: event.clientY - top }
  }

  /** @param {PointerEvent} event */
  #down(event) {
    if (event.button || targetOf(event).closest("button, input, select")) return
    if (this.grabs(event)) {
      this.frame.setPointerCapture(event.pointerId)
      return
    }
    clearTimeout(this.#waiting)
    if (!this.#pointers.size) this.#dragged = 0
    this.#pointers.set(event.pointerId, this.#at(event))
  }

  /** @param {PointerEvent} event */
  #move(event) {
    const before = this.#pointers.get(event.pointerId)
    if (!before) return
    const now = this.#at(event)
    this.#dragged += Math.abs(now.x - before.x) + Math.abs(now.y - before.y)
    if (!this.wasDragged) return void this.#pointers.set(event.pointerId, now)
    if (!this.frame.hasPointerCapture(event.pointerId))
      this.frame.setPointerCapture(event.pointerId)
    this.frame.classList.add("moving")
    const other = [...this.#pointers].find(([id]) => id !== event.pointerId)?.[1]
    if (other) {
      // two fingers: each of them keeps the point under it
      const apart =
        Math.hypot(now.x - other.x, now.y - other.y) /
        Math.hypot(before.x - other.x, before.y - other.y)
      if (Number.isFinite(apart) && apart > 0) this.zoom(apart, other.x, other.y)
    } else {
      this.pan(now.x - before.x, now.y - before.y)
    }
    this.#pointers.set(event.pointerId, now)
  }

  /** @param {PointerEvent} event */
  #up(event) {
    this.#pointers.delete(event.pointerId)
    if (!this.#pointers.size) this.frame.classList.remove("moving")
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    event.preventDefault()
    clearTimeout(this.#waiting)
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1
    // two fingers on a trackpad come as a wheel with the control key
    const speed = event.ctrlKey ? 0.01 : 0.0025
    const { x, y } = this.#at(event)
    this.zoom(Math.exp(-clamp(event.deltaY * lines, -100, 100) * speed), x, y)
  }
}

/**
 * Returns a rectangle that is moved by pixels.
 * @param {Rectangle} rectangle
 * @param {number} dx
 * @param {number} dy
 */
function moved({ left, right, top, bottom }, dx, dy) {
  return { left: left + dx, right: right + dx, top: top + dy, bottom: bottom + dy }
}
