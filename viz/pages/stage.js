/* Shared by all interactive pages: the data, a graph's SVG that can be moved and zoomed, its parts,
   and the light and dark theme.

   const stage = new Stage(element)       // <div class="stage"> with the SVG of page.themed() in it
   stage.fit(); stage.zoom(1.25); stage.show(box, true)
   const graph = new Parts(stage.svg)     // graph.nodes[3].data is the text with the data of n3
   setText(graph.nodes[3].data, "0.7071")
   stage.addLayer().append(...)           // a <g> above the drawing, in its coordinates

   Parts of a drawing never move: pan and zoom change the transform of `stage.svg`, the element
   around the drawing, which replaces the original SVG.  Labels are data: text is set only by
   `textContent`, and elements are made only by `create` and `createSvg`. */

const data = JSON.parse(byId("data").textContent)
const REDUCED_MOTION = matchMedia("(prefers-reduced-motion: reduce)")

// ---- elements ----

function byId(id) {
  return document.getElementById(id)
}

/** Returns a new HTML element.  `properties` are attributes, text, and listeners (on...). */
function create(tag, properties = {}, ...inside) {
  return fill(document.createElement(tag), properties, inside)
}

function createSvg(tag, properties = {}, ...inside) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), properties, inside)
}

function fill(element, properties, inside) {
  for (const [name, value] of Object.entries(properties)) {
    if (name === "text") element.textContent = value
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value)
    else if (value !== null && value !== false) element.setAttribute(name, value)
  }
  element.append(...inside)
  return element
}

/** Sets a text; leaves the page alone if the text is the same. */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text
}

/** Shows the notes of a page: what is not shown, and why. */
function showNotes() {
  byId("notes").replaceChildren(...data.notes.map((text) => create("p", { text })))
}

/** Disables the buttons that lead nowhere from a position. */
function disableEnds(position, last) {
  for (const id of ["first", "back"]) byId(id).disabled = position === 0
  for (const id of ["next", "last"]) byId(id).disabled = position === last
}

/** Calls `draw` in every frame with a number that grows from 0 to 1; returns how to stop it. */
function animate(milliseconds, draw) {
  const start = performance.now()
  let request = 0
  const frame = (now) => {
    const t = clamp((now - start) / milliseconds, 0, 1)
    draw(t)
    if (t < 1) request = requestAnimationFrame(frame)
  }
  frame(start)
  return () => cancelAnimationFrame(request)
}

/** Returns those of the parts that exist as one text. */
function joined(parts, separator = ", ") {
  return parts.filter(Boolean).join(separator)
}

// ---- numbers ----

function clamp(x, low, high) {
  return Math.min(Math.max(x, low), high)
}

/** Returns the number that Python wrote as text, infinities and nan included. */
function toNumber(text) {
  const infinities = { inf: Infinity, "-inf": -Infinity }
  return infinities[text] ?? Number(text)
}

/** Returns the size of a number on a logarithmic scale, from 0 (1e-4 and below) to 1 (about 500 and
    above). */
function magnitude(x) {
  if (Number.isNaN(x)) return 0
  return clamp((Math.log10(Math.abs(x)) + 4) / 6.67, 0, 1)
}

/** Returns the width of an edge for its gradient: 1 at 1e-4 and below, 4 at 1, 6 at most. */
function flowWidth(x) {
  return 1 + 5 * magnitude(x)
}

function signName(x) {
  if (Number.isNaN(x)) return "undefined"
  if (x === 0) return "zero"
  return x > 0 ? "positive" : "negative"
}

// ---- the parts of a drawing ----

/** The groups of a drawing by their index: nodes (group, data, grad), edges (group, path) and
    frames (group, title). */
class Parts {
  constructor(svg) {
    this.nodes = Parts.#of(svg, "g.node", { data: ".data", grad: ".grad" })
    this.edges = Parts.#of(svg, "g.edge", { path: "path" })
    this.frames = Parts.#of(svg, "g.cluster", { title: "text" })
  }

  /** Returns the groups by the number in their id, with the element inside that each name has. */
  static #of(svg, groups, names) {
    const parts = []
    for (const group of svg.querySelectorAll(groups)) {
      const part = { group }
      for (const [name, inside] of Object.entries(names)) part[name] = group.querySelector(inside)
      parts[group.id.slice(1)] = part
    }
    return parts
  }
}

// ---- pan and zoom ----

/** A drawing that is moved by dragging (one finger), zoomed by the wheel (two fingers), and fitted
    to its frame. */
class Stage {
  static PARTS = 60 // in a sheet
  static EDGES = 180 // in a layer
  static NODES = 960
  static FAR = 0.28 // below this scale texts are left out
  static FARTHER = 0.09
  static LARGEST = 8
  static FIT_AT_MOST = 1.8
  static GLIDE = 250 // milliseconds
  static PAUSE = 500 // milliseconds between two moves of `follow`

  #pointers = new Map() // where each finger or the mouse is
  #dragged = 0 // pixels since the pointer went down
  #fitted = true
  #stop = () => {} // ends the glide
  #shown = -Infinity // when `show` moved the drawing last
  #waiting = 0 // the timer of `follow`

  constructor(frame) {
    this.frame = frame
    const drawing = frame.querySelector("svg")
    const [, , width, height] = drawing.getAttribute("viewBox").split(" ").map(Number)
    this.size = { width, height }
    this.origin = drawing
      .querySelector("g.view")
      .getAttribute("transform")
      .match(/translate\(([-\d.]+) ([-\d.]+)\)/)
      .slice(1)
      .map(Number)
    this.svg = create("div", { class: "sheet" })
    frame.prepend(this.svg)
    this.#split(drawing)
    this.top = this.addLayer()
    this.scale = 1
    this.#measure()
    this.x = this.y = 0 // where the corner of the drawing is, in pixels of the frame
    this.fit()
    new ResizeObserver(() => {
      this.#measure()
      if (this.#fitted) this.fit()
      else this.#place()
    }).observe(frame)
    frame.addEventListener("pointerdown", (event) => this.#down(event))
    frame.addEventListener("pointermove", (event) => this.#move(event))
    for (const end of ["pointerup", "pointercancel"])
      frame.addEventListener(end, (event) => this.#up(event))
    frame.addEventListener("wheel", (event) => this.#wheel(event), { passive: false })
  }

  /** Whether the pointer was dragged since it went down; the click that follows is then ignored. */
  get wasDragged() {
    return this.#dragged > 5
  }

  /** Whether the whole drawing is visible. */
  get isFitted() {
    return this.#fitted
  }

  /** Shows the whole drawing as large as possible, below the buttons if they would cover it. */
  fit() {
    this.#measure()
    const below = Math.max(...this.buttons.map(({ bottom }) => bottom), 0)
    for (const from of [0, below]) {
      const width = this.room.width - 16
      const height = this.room.height - from - 16
      const scale = Math.min(width / this.size.width, height / this.size.height, Stage.FIT_AT_MOST)
      const x = 8 + (width - this.size.width * scale) / 2
      const y = 8 + from + (height - this.size.height * scale) / 2
      this.#go(scale, x, y)
      const whole = this.#rectOf({ x: -this.origin[0], y: -this.origin[1], ...this.size })
      if (!this.#underButtons(whole)) break
    }
    this.#fitted = true
  }

  /** Zooms by a factor; the point at (x, y), in pixels of the frame, stays where it is. */
  zoom(factor, x = this.room.width / 2, y = this.room.height / 2) {
    const { width, height } = this.room
    const smallest = Math.min(0.05, width / this.size.width / 2, height / this.size.height / 2)
    const scale = clamp(this.scale * factor, smallest, Stage.LARGEST)
    const by = scale / this.scale
    this.#go(scale, x + (this.x - x) * by, y + (this.y - y) * by)
  }

  pan(dx, dy) {
    this.#go(this.scale, this.x + dx, this.y + dy)
  }

  /** Makes a box (of getBBox) visible and not covered by the buttons, if it is not so already.
      `near`: zooms in until it can be read. */
  show(box, near = false) {
    if (this.#fitted && !(near && this.scale < 0.7)) return
    if (near && this.scale < 0.7) this.zoom(1 / this.scale)
    const { width, height } = this.room
    const rect = this.#rectOf(box)
    const margin = Math.min(40, width / 8, height / 8)
    const dx = shift(rect.left, rect.right, margin, width - margin)
    let dy = shift(rect.top, rect.bottom, margin, height - margin)
    const hidden = this.#underButtons(moved(rect, dx, dy))
    if (hidden) dy = hidden.bottom + 8 - rect.top
    if (dx || dy) this.#glide(dx, dy)
  }

  /** Does the same as `show` for a box that changes with every step.  If steps are fast, the
      drawing moves only twice a second, and at the end. */
  follow(box) {
    clearTimeout(this.#waiting)
    const wait = this.#shown + Stage.PAUSE - performance.now()
    if (wait <= 0) this.show(box)
    else this.#waiting = setTimeout(() => this.show(box), wait)
  }

  /** Returns a new group on top of the drawing, or under its nodes, in its coordinates.  The
      browser paints it without painting the drawing again. */
  addLayer(underNodes = false) {
    const layer = create("div", { class: "layer" })
    const group = this.#addSheet(layer)
    this.svg.insertBefore(layer, underNodes ? this.svg.querySelector(".layer:has(.node)") : null)
    return group
  }

  /** Splits a large drawing into sheets of a few parts, each an SVG, in layers: frames, then edges,
      then nodes.  A browser paints a whole SVG again when a number in it changes, and the rectangle
      around a line when its colour changes. */
  #split(drawing) {
    drawing.remove()
    const parts = [...drawing.querySelector("g.view").children]
    for (const [name, size] of [
      ["cluster", Infinity],
      ["edge", Stage.EDGES],
      ["node", Stage.NODES]
    ]) {
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

  #addSheet(layer) {
    const group = createSvg("g", { transform: `translate(${this.origin.join(" ")})` })
    layer.append(createSvg("svg", { width: this.size.width, height: this.size.height }, group))
    return group
  }

  #measure() {
    const { left, top } = this.frame.getBoundingClientRect()
    this.room = { width: this.frame.clientWidth || 1, height: this.frame.clientHeight || 1 }
    this.buttons = [...this.frame.querySelectorAll(".zoom")].map((group) =>
      moved(group.getBoundingClientRect(), -left, -top)
    )
  }

  /** Returns a box of the drawing as a rectangle in pixels of the frame. */
  #rectOf({ x, y, width, height }) {
    const left = this.x + (x + this.origin[0]) * this.scale
    const top = this.y + (y + this.origin[1]) * this.scale
    return { left, top, right: left + width * this.scale, bottom: top + height * this.scale }
  }

  /** Returns the group of buttons that covers part of a rectangle, if there is one. */
  #underButtons({ left, right, top, bottom }) {
    return this.buttons.find(
      (group) =>
        left < group.right && right > group.left && top < group.bottom && bottom > group.top
    )
  }

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

  /** Glides a short way; jumps if the way is long or the last move was a moment ago. */
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

  #at(event) {
    const { left, top } = this.frame.getBoundingClientRect()
    return { x: event.clientX - left, y: event.clientY - top }
  }

  #down(event) {
    if (event.button || event.target.closest("button, input, select")) return
    clearTimeout(this.#waiting)
    if (!this.#pointers.size) this.#dragged = 0
    this.#pointers.set(event.pointerId, this.#at(event))
  }

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

  #up(event) {
    this.#pointers.delete(event.pointerId)
    if (!this.#pointers.size) this.frame.classList.remove("moving")
  }

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

function moved({ left, right, top, bottom }, dx, dy) {
  return { left: left + dx, right: right + dx, top: top + dy, bottom: bottom + dy }
}

/** Returns how far an interval must move to lie between two bounds: 0 if it does, else to the
    middle, where its surroundings are in sight too.  If it is too long, its start moves to the
    lower bound. */
function shift(start, end, low, high) {
  if (end - start > high - low) return low - start
  return start < low || end > high ? (low + high - start - end) / 2 : 0
}

// ---- light and dark ----

/** Makes a button switch between light and dark, beginning with what the system has. */
function switchTheme() {
  const button = byId("theme")
  const dark = matchMedia("(prefers-color-scheme: dark)")
  const root = document.documentElement
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches)
  const show = () => {
    button.textContent = isDark() ? "\u2600" : "\u263e"
    button.title = button.ariaLabel = isDark() ? "light colours" : "dark colours"
  }
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark"
    show()
  })
  dark.addEventListener("change", show)
  show()
}
