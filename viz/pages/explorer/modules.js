/* Modules in the drawing of the explorer: frames that collapse and expand in place. */

import { createSvg, partOf } from "../elements.js"

/** @import { Parts } from "../stage/stage.js" */
/** @import { Step } from "./cursor.js" */
/** @import { DrawnEdge, PageData } from "./types.js" */

/**
 * What replaces a frame: a group with its texts, and heads of the edges whose own heads it hides.
 * @typedef {object} Cover
 * @property {SVGGElement} group
 * @property {number} output
 * @property {SVGElement[]} heads
 * @property {SVGTextElement | null} data
 * @property {SVGTextElement | null} grad
 */

/** Frames that collapse in place: a cover replaces the frame and what is inside it. */
export class Modules {
  static TEXT = 11 // the size of texts in a cover, as in the nodes; smaller if it does not fit

  /** @type {Map<number, Cover>} */
  #covers = new Map() // by the index of the frame

  /**
   * @param {PageData} data
   * @param {Parts} parts
   * @param {SVGGElement} layer
   */
  constructor(data, parts, layer) {
    this.data = data
    this.parts = parts
    this.layer = layer
    /** @type {Set<number>} */
    this.collapsed = new Set()
    this.boxes = parts.frames.map(({ group }) => {
      /** @type {SVGGraphicsElement} */
      const border = partOf(group, "path, polygon")
      return border.getBBox()
    })
    this.isInner = data.frames.map(
      (_, frame) => !data.frames.some(({ parent }) => parent === frame)
    )
    data.frames.forEach((_, frame) => this.#addButton(frame))
  }

  /**
   * Returns the outermost collapsed module around a frame, or -1 if there is none.
   * @param {number} frame
   */
  coverOf(frame) {
    let found = -1
    for (; frame >= 0; frame = this.data.frames[frame].parent)
      if (this.collapsed.has(frame)) found = frame
    return found
  }

  /** @param {number} node */
  coverOfNode(node) {
    return this.coverOf(this.data.nodes[node].frame)
  }

  /** @param {number} frame */
  cover(frame) {
    return this.#covers.get(frame)
  }

  /** The covers, with the index of the frame of each. */
  get covers() {
    return [...this.#covers]
  }

  /**
   * Returns whether a step changes something visible.
   * @param {Step} step
   */
  sees(step) {
    if (step.node >= 0) {
      const cover = this.coverOfNode(step.node)
      if (cover < 0 || this.data.frames[cover].output === step.node) return true
    }
    return step.edge >= 0 && !this.#isWithin(this.data.edges[step.edge])
  }

  /** Returns the innermost and the outermost frames. */
  levels() {
    return {
      neurons: this.data.frames.flatMap((_, frame) => (this.isInner[frame] ? [frame] : [])),
      layers: this.data.frames.flatMap(({ parent }, frame) => (parent < 0 ? [frame] : []))
    }
  }

  /**
   * Collapses exactly these frames.
   * @param {Iterable<number>} frames
   */
  collapse(frames) {
    this.collapsed = new Set(frames)
    /** @type {(parts: { group: SVGElement }[], isHidden: (index: number) => boolean) => void} */
    const hide = (parts, isHidden) =>
      parts.forEach(({ group }, index) => group.classList.toggle("inside", isHidden(index)))
    hide(this.parts.nodes, (node) => this.coverOfNode(node) >= 0)
    hide(this.parts.edges, (edge) => this.#isWithin(this.data.edges[edge]))
    hide(this.parts.frames, (frame) => this.coverOf(frame) >= 0)
    for (const [frame, cover] of this.#covers) {
      for (const head of cover.heads.splice(0)) head.remove()
      if (this.coverOf(frame) === frame) continue
      cover.group.remove()
      this.#covers.delete(frame)
    }
    for (const frame of this.collapsed) {
      if (this.coverOf(frame) === frame && !this.#covers.has(frame)) this.#addCover(frame)
    }
    const heads = [...this.#covers].flatMap(([frame, cover]) => this.#heads(frame, cover))
    // only after all measuring: changes in between would make the browser lay out the page again
    for (const [group, head] of heads) group.append(head)
  }

  /** @param {DrawnEdge} edge */
  #isWithin(edge) {
    const cover = this.coverOfNode(edge.source)
    return cover >= 0 && cover === this.coverOfNode(edge.target)
  }

  /**
   * Turns the title of a frame into a button, with a minus in the corner.
   * @param {number} frame
   */
  #addButton(frame) {
    const { group, title } = this.parts.frames[frame]
    const box = this.boxes[frame]
    const x = box.x + box.width - 16
    const y = box.y + 6
    const button = createSvg(
      "g",
      {
        class: "frame-button",
        ...moduleButton(frame, true),
        "aria-label": `module ${this.data.frames[frame].path}: collapse`
      },
      createSvg("rect", { x: box.x + 3, y: box.y + 2, width: box.width - 6, height: 18, rx: 4 }),
      createSvg("path", { d: `M${x} ${y + 5}h8` })
    )
    button.append(title)
    group.append(button)
    this.parts.frames[frame].button = button
  }

  /** @param {number} frame */
  #addCover(frame) {
    const { path, contents, output } = this.data.frames[frame]
    const box = this.boxes[frame]
    const about = box.height > box.width ? contents.split(", ") : [contents]
    const rows = [[path, "path"], ...about.map((text) => [text, "about"])]
    if (output >= 0) rows.push(["", "data"], ["", "grad"])
    const longest = Math.max(...rows.map(([text]) => text.length), 14)
    const size = Math.min(
      Modules.TEXT,
      Math.max(box.width - 12, 20) / (longest * 0.56),
      (box.height - 8) / (rows.length * 1.4)
    )
    const top = box.y + (box.height - rows.length * size * 1.4) / 2
    const texts = rows.map(([text, name], row) =>
      createSvg("text", {
        class: name,
        x: box.x + box.width / 2,
        text,
        y: top + (row + 1) * size * 1.4 - size * 0.4,
        "text-anchor": "middle",
        "font-size": size
      })
    )
    const group = createSvg(
      "g",
      { class: "cover", ...moduleButton(frame, false) },
      createSvg("rect", {
        x: box.x,
        y: box.y,
        width: box.width,
        height: box.height,
        rx: Math.min(12, box.width / 6)
      }),
      ...texts
    )
    this.layer.append(group)
    this.#covers.set(frame, {
      group,
      output,
      heads: [],
      data: output >= 0 ? texts[texts.length - 2] : null,
      grad: output >= 0 ? texts[texts.length - 1] : null
    })
  }

  /**
   * Returns new heads, at the border of a cover, for the edges whose heads it hides.
   * @param {number} frame
   * @param {Cover} cover
   * @returns {[SVGGElement, SVGElement][]}
   */
  #heads(frame, cover) {
    const { x, y, width, height } = this.boxes[frame]
    /** @param {DOMPoint} point */
    const isInside = (point) =>
      point.x > x && point.x < x + width && point.y > y && point.y < y + height
    return this.data.edges.flatMap((edge, index) => {
      if (this.coverOfNode(edge.target) !== frame || this.coverOfNode(edge.source) === frame)
        return []
      const { group, path } = this.parts.edges[index]
      let outside = 0
      let inside = path.getTotalLength()
      if (!isInside(path.getPointAtLength(inside)) || isInside(path.getPointAtLength(0))) return []
      while (inside - outside > 0.2) {
        const middle = (inside + outside) / 2
        if (isInside(path.getPointAtLength(middle))) inside = middle
        else outside = middle
      }
      const tip = path.getPointAtLength(inside)
      const before = path.getPointAtLength(Math.max(inside - 6, 0))
      const angle = (Math.atan2(tip.y - before.y, tip.x - before.x) * 180) / Math.PI
      const head = createSvg("polygon", {
        points: "0,0 -6,2.1 -6,-2.1",
        transform: `translate(${tip.x} ${tip.y}) rotate(${angle})`
      })
      cover.heads.push(head)
      return [[group, head]]
    })
  }
}

/**
 * Returns the attributes of an element that collapses or expands a module.
 * @param {number} frame
 * @param {boolean} isExpanded
 */
function moduleButton(frame, isExpanded) {
  return { "data-frame": frame, role: "button", tabindex: -1, "aria-expanded": String(isExpanded) }
}
