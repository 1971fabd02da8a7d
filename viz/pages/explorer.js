/* The explorer: steps through a recording on its drawing.  It needs stage.js; the data come from explorer.py.

   Cursor    the numbers of every node and edge at a position; does not use the page
   Modules   frames that collapse and expand in place
   Picture   shows the position in the drawing
   Details   the panel about one node, edge or module
   StepList  the list of all steps; only visible rows are in the page
   Search    finds labels, operations and modules
   Explorer  the controls and keys, which use the classes above

   Every number is text that Python made.  Here numbers are only compared, for colours and widths. */

const data = JSON.parse(byId("data").textContent)
const NOTHING = { text: "", exact: "" }
const UNKNOWN = { text: "?", exact: "not computed yet" }
const ZERO = { text: "0.0000", exact: "no gradient has been added yet" }

/** Returns the name of a node for readers. */
function called(node) {
  return node.label || node.name || node.symbol
}

// ---- position --------------------------------------------------------------------------------------------------------

/** A position in the list of steps.  It knows which step set the number of each node and edge last. */
class Cursor {
  constructor(data) {
    this.nodes = data.nodes
    this.edges = data.edges
    this.forward = data.forward
    this.position = 0
    const { number } = data.steps
    this.steps = number.map((_, index) => Object.fromEntries(
      Object.entries(data.steps).map(([field, column]) => [field, column[index]])))
    this.contributions = data.nodes.map(() => []) // the backward steps that add to the gradient of each node
    this.computation = data.nodes.map(() => null) // the forward step of each node
    this.along = data.edges.map(() => []) // the steps whose gradient flows along each edge
    const last = { data: [], grad: [], edge: [] }
    this.steps.forEach((step, index) => {
      step.index = index
      step.phase = index < data.forward ? "forward" : "backward"
      step.sets = step.text === null ? null : step.phase === "forward" ? "data" : "grad"
      if (step.sets) {
        step.earlier = last[step.sets][step.node] ?? null
        last[step.sets][step.node] = step
        if (step.sets === "data") this.computation[step.node] = step
        else this.contributions[step.node].push(step)
      }
      if (step.edge >= 0) {
        step.earlierHere = last.edge[step.edge] ?? null
        step.flowed = toNumber(step.flowed)
        last.edge[step.edge] = step
        this.along[step.edge].push(step)
      }
    })
    this.now = { data: data.nodes.map(() => null), grad: data.nodes.map(() => null), edge: data.edges.map(() => null) }
    this.nodesSince = indicesBy(data.nodes, "since")
    this.edgesSince = indicesBy(data.edges, "since")
  }

  /** The last step that was done; null before the first one. */
  get step() {
    return this.steps[this.position - 1] ?? null
  }

  /** Goes to a position (a number of steps done), and returns the nodes and edges that changed. */
  seek(position) {
    const changed = { nodes: new Set(), edges: new Set() }
    while (this.position < position) {
      const step = this.steps[this.position]
      this.position += 1
      this.#set(step, step, step, this.position, changed)
    }
    while (this.position > position) {
      const step = this.steps[this.position - 1]
      this.#set(step, step.earlier, step.earlierHere, this.position, changed)
      this.position -= 1
    }
    return changed
  }

  data(node) {
    const step = this.now.data[node], { given, role, since } = this.nodes[node]
    if (given) return { text: given[0], exact: given[1] }
    return step ?? (this.computation[node] ? UNKNOWN : role === "module" && this.position < since ? UNKNOWN : NOTHING)
  }

  grad(node) {
    return this.nodes[node].grad ? this.now.grad[node] ?? ZERO : NOTHING
  }

  isComputed(node) {
    return this.position >= this.nodes[node].since
  }

  #set(step, ofNode, ofEdge, count, changed) {
    if (step.sets) {
      this.now[step.sets][step.node] = ofNode
      changed.nodes.add(step.node)
    }
    if (step.edge >= 0) {
      this.now.edge[step.edge] = ofEdge
      changed.edges.add(step.edge)
    }
    for (const node of this.nodesSince.get(count) ?? []) changed.nodes.add(node)
    for (const edge of this.edgesSince.get(count) ?? []) changed.edges.add(edge)
  }
}

function indicesBy(records, field) {
  const indices = new Map()
  records.forEach((record, index) => {
    if (!indices.has(record[field])) indices.set(record[field], [])
    indices.get(record[field]).push(index)
  })
  return indices
}

// ---- modules ----------------------------------------------------------------------------------------------------------

/** Frames that collapse in place: a cover replaces the frame and what is inside it. */
class Modules {
  #covers = new Map() // by the index of the frame

  constructor(data, parts, layer) {
    this.data = data
    this.parts = parts
    this.layer = layer
    this.collapsed = new Set()
    this.boxes = parts.frames.map(({ group }) => group.querySelector("path, polygon").getBBox())
    this.isInner = data.frames.map((_, frame) => !data.frames.some(({ parent }) => parent === frame))
    data.frames.forEach((_, frame) => this.#addButton(frame))
  }

  /** The outermost collapsed module around a frame; -1 if there is none. */
  coverOf(frame) {
    let found = -1
    for (; frame >= 0; frame = this.data.frames[frame].parent) if (this.collapsed.has(frame)) found = frame
    return found
  }

  coverOfNode(node) {
    return this.coverOf(this.data.nodes[node].frame)
  }

  cover(frame) {
    return this.#covers.get(frame)
  }

  get covers() {
    return [...this.#covers.keys()]
  }

  /** Returns whether a step changes something visible. */
  sees(step) {
    if (step.node >= 0) {
      const cover = this.coverOfNode(step.node)
      if (cover < 0 || this.data.frames[cover].output === step.node) return true
    }
    return step.edge >= 0 && !this.#isWithin(this.data.edges[step.edge])
  }

  levels() {
    return { neurons: this.data.frames.flatMap((_, frame) => this.isInner[frame] ? [frame] : []),
      layers: this.data.frames.flatMap(({ parent }, frame) => parent < 0 ? [frame] : []) }
  }

  /** Collapses exactly these frames. */
  collapse(frames) {
    this.collapsed = new Set(frames)
    this.data.nodes.forEach((_, node) => this.#hide(this.parts.nodes[node], this.coverOfNode(node) >= 0))
    this.data.edges.forEach((edge, index) => this.#hide(this.parts.edges[index], this.#isWithin(edge)))
    this.data.frames.forEach((_, frame) => this.#hide(this.parts.frames[frame], this.coverOf(frame) >= 0))
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
    for (const [group, head] of heads) group.append(head) // after all of the measuring, which would be slow in between
  }

  #isWithin(edge) {
    const cover = this.coverOfNode(edge.source)
    return cover >= 0 && cover === this.coverOfNode(edge.target)
  }

  #hide(part, hidden) {
    part?.group.classList.toggle("inside", hidden)
  }

  /** The title of a frame becomes a button, with a minus in the corner. */
  #addButton(frame) {
    const { group, title } = this.parts.frames[frame], box = this.boxes[frame]
    const x = box.x + box.width - 16, y = box.y + 6
    const button = createSvg("g", { class: "frame-button", "data-frame": frame, role: "button", tabindex: -1,
      "aria-expanded": "true", "aria-label": `module ${this.data.frames[frame].path}: collapse` },
    createSvg("rect", { x: box.x + 3, y: box.y + 2, width: box.width - 6, height: 18, rx: 4 }),
    createSvg("path", { d: `M${x} ${y + 5}h8` }))
    button.append(title)
    group.append(button)
    this.parts.frames[frame].button = button
  }

  #addCover(frame) {
    const { path, contents, output } = this.data.frames[frame], box = this.boxes[frame]
    const about = box.height > box.width ? contents.split(", ") : [contents]
    const rows = [[path, "path"], ...about.map((text) => [text, "about"])]
    if (output >= 0) rows.push(["", "data"], ["", "grad"])
    const longest = Math.max(...rows.map(([text]) => text.length), 14)
    const size = Math.min(Math.max(box.width - 12, 20) / (longest * 0.56), (box.height - 8) / (rows.length * 1.4))
    const top = box.y + (box.height - rows.length * size * 1.4) / 2
    const texts = rows.map(([text, name], row) => createSvg("text", { class: name, x: box.x + box.width / 2, text,
      y: top + (row + 1) * size * 1.4 - size * 0.4, "text-anchor": "middle", "font-size": size }))
    const group = createSvg("g", { class: "cover", "data-frame": frame, role: "button", tabindex: -1, "aria-expanded": "false" },
    createSvg("rect", { x: box.x, y: box.y, width: box.width, height: box.height, rx: Math.min(12, box.width / 6) }), ...texts)
    this.layer.append(group)
    this.#covers.set(frame, { group, frame, output, heads: [],
      data: output >= 0 ? texts.at(-2) : null, grad: output >= 0 ? texts.at(-1) : null })
  }

  /** Where an edge leads into a module its head is under the cover; another one stands at the border. */
  #heads(frame, cover) {
    const { x, y, width, height } = this.boxes[frame]
    const isInside = (point) => point.x > x && point.x < x + width && point.y > y && point.y < y + height
    return this.data.edges.flatMap((edge, index) => {
      if (this.coverOfNode(edge.target) !== frame || this.coverOfNode(edge.source) === frame) return []
      const { group, path } = this.parts.edges[index]
      let outside = 0, inside = path.getTotalLength()
      if (!isInside(path.getPointAtLength(inside)) || isInside(path.getPointAtLength(0))) return []
      while (inside - outside > 0.2) {
        const middle = (inside + outside) / 2
        if (isInside(path.getPointAtLength(middle))) inside = middle
        else outside = middle
      }
      const tip = path.getPointAtLength(inside), before = path.getPointAtLength(Math.max(inside - 6, 0))
      const angle = Math.atan2(tip.y - before.y, tip.x - before.x) * 180 / Math.PI
      const head = createSvg("polygon", { points: "0,0 -6,2.1 -6,-2.1",
        transform: `translate(${tip.x} ${tip.y}) rotate(${angle})` })
      cover.heads.push(head)
      return [[group, head]]
    })
  }
}

// ---- the picture ------------------------------------------------------------------------------------------------------

/** Draws the position: numbers, nodes that are not computed yet, the flow of gradients, and the last step. */
class Picture {
  static DOTTED = 400 // the longest edge to be dotted, in units of the drawing: thousands of dots take seconds to draw

  #lit = []
  #moving = 0
  #boxes = new Map()

  constructor(data, cursor, stage) {
    this.data = data
    this.cursor = cursor
    this.stage = stage
    this.colour = "role"
    this.parts = new Parts(stage.svg)
    this.operands = data.nodes.map(() => []) // the indices of the edges into each node
    this.users = data.nodes.map(() => []) // ... and out of it
    data.edges.forEach(({ source, target }, edge) => {
      this.operands[target].push(edge)
      this.users[source].push(edge)
    })
    for (const { group } of this.parts.nodes) fill(group, { role: "button", tabindex: -1 }, [])
    for (const { group } of this.parts.edges) fill(group, { role: "img", tabindex: -1 }, [])
    const isLong = this.parts.edges.map(({ path }) => path.getTotalLength() > Picture.DOTTED)
    this.parts.edges.forEach(({ group }, edge) => group.classList.toggle("long", isLong[edge]))
    this.modules = new Modules(data, this.parts, stage.top)
    this.beam = stage.addLayer(true)
    this.dot = createSvg("g", { class: "flow", visibility: "hidden" }, createSvg("circle", { r: 5 }), createSvg("text", { y: -10 }))
    stage.addLayer().append(this.dot)
    this.drawAll()
  }

  drawAll() {
    this.data.nodes.forEach((_, node) => this.#drawNode(node))
    this.data.edges.forEach((_, edge) => this.#drawEdge(edge))
    this.#drawCovers()
    this.#light()
  }

  /** Draws what `Cursor.seek` says has changed. */
  draw({ nodes, edges }) {
    for (const node of nodes) this.#drawNode(node)
    for (const edge of edges) this.#drawEdge(edge)
    this.#drawCovers()
    this.#light()
  }

  collapse(frames) {
    this.modules.collapse(frames)
    this.#drawCovers()
    this.#light()
  }

  colourBy(what) {
    this.colour = what
    this.stage.frame.dataset.colour = what
    this.data.nodes.forEach((_, node) => this.#tint(node))
  }

  /** The element that stands for a node: its own, or the cover over it. */
  elementOf(node) {
    const cover = this.modules.coverOfNode(node)
    return cover >= 0 ? this.modules.cover(cover).group : this.parts.nodes[node].group
  }

  elementOfFrame(frame) {
    const cover = this.modules.coverOf(frame)
    return cover >= 0 ? this.modules.cover(cover).group : this.parts.frames[frame].button
  }

  /** Where a node is, in the coordinates of the drawing. */
  boxOf(node) {
    const cover = this.modules.coverOfNode(node)
    if (cover >= 0) return this.modules.boxes[cover]
    if (!this.#boxes.has(node)) this.#boxes.set(node, this.parts.nodes[node].group.getBBox())
    return this.#boxes.get(node)
  }

  /** Moves a dot with the adjoint along the edge, from the user to the operand. */
  flow(step, milliseconds) {
    cancelAnimationFrame(this.#moving)
    this.dot.setAttribute("visibility", "hidden")
    const edge = step && step.edge >= 0 ? this.parts.edges[step.edge] : null
    if (!edge || REDUCED_MOTION.matches || !this.modules.sees(step)) return
    const length = edge.path.getTotalLength(), start = performance.now()
    this.dot.lastChild.textContent = step.flow
    const frame = (now) => {
      const t = Math.min(Math.max((now - start) / milliseconds, 0), 1)
      const point = edge.path.getPointAtLength(length * (1 - t * t * (3 - 2 * t)))
      this.dot.setAttribute("transform", `translate(${point.x} ${point.y}) scale(${Math.max(1, 0.8 / this.stage.scale)})`)
      this.dot.setAttribute("visibility", t < 1 ? "visible" : "hidden")
      if (t < 1) this.#moving = requestAnimationFrame(frame)
    }
    frame(start)
  }

  #drawNode(node) {
    const { group, data, grad } = this.parts.nodes[node], { cursor } = this
    group.classList.toggle("todo", !cursor.isComputed(node))
    group.classList.toggle("reached", cursor.now.grad[node] !== null)
    if (data) setText(data, cursor.data(node).text)
    if (grad) setText(grad, cursor.grad(node).text)
    group.setAttribute("aria-label", this.#nameOf(node))
    if (this.colour !== "role") this.#tint(node)
  }

  /** Returns the text of a node for screen readers. */
  #nameOf(node) {
    const { role, op } = this.data.nodes[node]
    return [called(this.data.nodes[node]), role, op, ...this.#said(node)].filter(Boolean).join(", ")
  }

  #said(node) {
    const { text } = this.cursor.data(node), gradient = this.cursor.grad(node).text
    return [text && (text === UNKNOWN.text ? UNKNOWN.exact : `data ${text}`), gradient && `gradient ${gradient}`].filter(Boolean)
  }

  #nameOfEdge(edge) {
    const { source, target, derivative, constant } = this.data.edges[edge], step = this.cursor.now.edge[edge]
    return [`${constant ? "edge from a constant, " : "edge, "}${called(this.data.nodes[source])} to ${called(this.data.nodes[target])}`,
      derivative && this.cursor.isComputed(target) && `local derivative ${derivative[0]}`, step && `gradient ${step.flow}`]
      .filter(Boolean).join(", ")
  }

  #drawEdge(edge) {
    const { group } = this.parts.edges[edge], step = this.cursor.now.edge[edge]
    const classes = group.classList
    group.setAttribute("aria-label", this.#nameOfEdge(edge))
    classes.toggle("ahead", this.cursor.position < this.data.edges[edge].since)
    classes.remove("positive", "negative", "zero", "undefined")
    if (step) {
      classes.add(signName(step.flowed))
      group.style.setProperty("--width", `${flowWidth(step.flowed).toFixed(2)}px`)
    } else {
      group.style.removeProperty("--width")
    }
  }

  #drawCovers() {
    for (const frame of this.modules.covers) {
      const { output, group, data, grad } = this.modules.cover(frame), { path, contents } = this.data.frames[frame]
      group.setAttribute("aria-label", `${[`module ${path}`, contents, ...(output < 0 ? [] : this.#said(output))].join(", ")}: expand`)
      if (output < 0) continue
      group.classList.toggle("todo", !this.cursor.isComputed(output))
      setText(data, `data ${this.cursor.data(output).text}`)
      setText(grad, `grad ${this.cursor.grad(output).text}`)
    }
  }

  #tint(node) {
    const { group } = this.parts.nodes[node], classes = group.classList
    classes.remove("positive", "negative")
    group.style.removeProperty("--tint")
    if (this.colour === "role") return
    const { exact } = this.cursor[this.colour](node), x = toNumber(exact)
    if (Number.isNaN(x) || x === 0) return
    classes.add(signName(x))
    group.style.setProperty("--tint", `${(10 + 40 * magnitude(x)).toFixed(1)}%`)
  }

  #light() {
    for (const element of this.#lit) element.classList.remove("lit")
    this.#lit = []
    const { step } = this.cursor
    const edges = !step ? [] : step.edge >= 0 ? [step.edge]
      : step.phase === "forward" && step.sets ? this.operands[step.node] : []
    const groups = edges.map((edge) => this.parts.edges[edge].group)
    if (step?.node >= 0) this.#lit.push(this.elementOf(step.node))
    this.#lit.push(...groups)
    for (const element of this.#lit) element.classList.add("lit")
    this.beam.replaceChildren(...groups.filter(({ classList }) => !classList.contains("inside")).map(Picture.#beamOf))
  }

  /** A copy of an edge to glow above it: to paint the edge itself would be to paint all around it, which takes longer. */
  static #beamOf(group) {
    const beam = createSvg("g", { class: "beam" }, ...[...group.children].map((part) => part.cloneNode(true)))
    beam.style.setProperty("--width", group.style.getPropertyValue("--width"))
    return beam
  }
}

// ---- details ----------------------------------------------------------------------------------------------------------

/** The panel about one thing: the one under the pointer, else the one that was clicked, else the node of the last step.
    A thing is { kind: "node" | "edge" | "frame", index }. */
class Details {
  static MOST = 40 // lines of a sum

  constructor(explorer, panel) {
    this.explorer = explorer
    this.cursor = explorer.cursor
    this.picture = explorer.picture
    this.panel = panel
    this.pinned = this.hovered = null
  }

  pin(thing) {
    this.#mark("pinned", this.pinned, false)
    this.pinned = thing
    this.#mark("pinned", thing, true)
    this.render()
  }

  hover(thing) {
    if (same(thing, this.hovered)) return
    this.#mark("hovered", this.hovered, false)
    this.hovered = thing
    this.#mark("hovered", thing, true)
    this.render()
  }

  render() {
    const thing = this.hovered ?? this.pinned ?? this.#followed()
    const mode = this.hovered ? "under the pointer" : this.pinned ? "kept; Escape releases it" : "of this step"
    const at = this.panel.contains(document.activeElement) ? this.#buttons().indexOf(document.activeElement) : -1
    this.panel.replaceChildren(...this[`_${thing.kind}`](thing.index, create("span", { class: "mode", text: mode })))
    if (at >= 0) this.#buttons()[at]?.focus({ preventScroll: true })
  }

  #buttons() {
    return [...this.panel.querySelectorAll("button")]
  }

  #followed() {
    const { step } = this.cursor
    return { kind: "node", index: step && step.node >= 0 ? step.node : data.nodes.findLastIndex(({ role }) => role !== "rest") }
  }

  #mark(name, thing, on) {
    const parts = this.picture.parts
    if (thing?.kind === "node") parts.nodes[thing.index].group.classList.toggle(name, on)
    if (thing?.kind === "edge") parts.edges[thing.index].group.classList.toggle(name, on)
  }

  _node(index, mode) {
    const node = data.nodes[index], { cursor } = this
    const about = [node.role, node.op, node.frame >= 0 && `in ${data.frames[node.frame].path}`, node.contents].filter(Boolean)
    const content = this.#head(called(node), about, mode)
    if (node.given || cursor.computation[index]) content.push(this.#numbers(cursor.data(index), cursor.grad(index), node.grad))
    if (node.role === "module") {
      content.push(create("p", { class: "hint", text: "This module was collapsed before layout. To see inside it, run:" }),
        create("p", {}, create("code", { text: node.opens })))
    }
    if (node.role === "constant") content.push(create("p", { class: "hint", text: "No gradient flows to a constant." }))
    const computation = cursor.computation[index]
    const made = computation && node.role !== "module" ? this.#section("forward step", this.#line(computation, computation.rest)) : []
    const forward = [...made, ...this.#partials(index)], backward = this.#sum(index)
    return [...content, ...(cursor.step?.phase === "backward" ? [...backward, ...forward] : [...forward, ...backward])]
  }

  _edge(index, mode) {
    const edge = data.edges[index], from = data.nodes[edge.source], to = data.nodes[edge.target]
    const about = [edge.constant ? "edge from a constant" : "edge", edge.links > 1 && `stands for ${edge.links} edges`].filter(Boolean)
    const content = this.#head(`${called(from)} \u2192 ${called(to)}`, about, mode)
    const steps = this.cursor.along[index]
    if (edge.derivative) {
      content.push(...this.#section("local derivative",
        create("p", { class: "math", text: steps[0]?.formula || `\u2202${called(to)}/\u2202${called(from)}` }),
        create("dl", { class: "numbers" }, number("value", { text: edge.derivative[0], exact: edge.derivative[1] }))))
    } else if (edge.constant) {
      content.push(create("p", { class: "hint", text: "No gradient flows along this edge, because it comes from a constant." }))
    }
    if (steps.length) content.push(...this.#section("gradients along this edge", ...this.#lines(steps, (step) => step.rest)))
    content.push(...this.#section("ends of this edge", this.#link(edge.source, "operand"), this.#link(edge.target, "user")))
    return content
  }

  _frame(index, mode) {
    const frame = data.frames[index], collapsed = this.picture.modules.coverOf(index) >= 0
    const content = this.#head(frame.path, ["module", frame.contents], mode)
    if (frame.output >= 0) {
      content.push(this.#numbers(this.cursor.data(frame.output), this.cursor.grad(frame.output), true),
        create("p", { class: "hint", text: `Data and gradient of its output, ${called(data.nodes[frame.output])}.` }))
    }
    content.push(create("p", { class: "hint", text: collapsed
      ? "Collapsed: steps inside this module are skipped. To expand it, click it or press Enter."
      : "To collapse this module, click its title or press Enter." }))
    return content
  }

  #head(title, about, mode) {
    return [create("h2", { text: title }), create("p", { class: "role" }, create("span", { text: about.join(" \u00b7 ") }), mode)]
  }

  #numbers(value, gradient, hasGradient) {
    return create("dl", { class: "numbers" }, number("data", value), ...(hasGradient ? [number("gradient", gradient)] : []))
  }

  #section(title, ...inside) {
    return [create("h3", { text: title }), create("div", { class: "lines" }, ...inside)]
  }

  /** Returns the local derivatives of a node, one line for each operand. */
  #partials(index) {
    const lines = this.picture.operands[index].filter((edge) => !data.edges[edge].constant).map((edge) => {
      const { source, derivative } = data.edges[edge], formula = this.cursor.along[edge][0]?.formula
      const known = this.cursor.isComputed(index)
      const text = formula && data.nodes[index].role !== "module" ? formula
        : `\u2202${called(data.nodes[index])}/\u2202${called(data.nodes[source])}`
      const value = derivative ? known ? derivative[0] : "?" : ""
      return create("button", { class: "math", title: `show the edge from ${called(data.nodes[source])}`,
        text: value && !text.endsWith(`= ${value}`) ? `${text} = ${value}` : text,
        onclick: () => this.explorer.enter({ kind: "edge", index: edge }) })
    })
    return lines.length ? this.#section("local derivatives", ...lines) : []
  }

  /** Returns the gradient as a sum over the users: a line for each contribution, and how many are added. */
  #sum(index) {
    const steps = this.cursor.contributions[index]
    if (!steps.length) return []
    const done = steps.filter((step) => step.index < this.cursor.position).length
    const { text } = this.cursor.grad(index)
    const isWrong = done === steps.length && data.nodes[index].right !== null
    const count = isWrong ? `${done} added; the right gradient is ${data.nodes[index].right}` : done < steps.length ? `so far: ${done} of ${steps.length} added` : done > 1 ? `all ${done} added` : "complete"
    const title = steps.some((step) => step.lead) ? "gradient: sum over its users" : "gradient"
    const lead = (steps.find((step) => step.lead)?.lead ?? steps[0].rest.split(" = ")[0]).replace(" += ", "")
    return [...this.#section(title, ...this.#lines(steps, (step) => step.rest)),
      create("p", { class: "total" }, create("span", { class: "math", text: `${lead} = ${text} ` }),
        create("span", { class: isWrong ? "wrong" : "about", text: count }))]
  }

  #lines(steps, textOf) {
    const next = steps.findIndex((step) => step.index >= this.cursor.position)
    const from = Math.max(0, Math.min((next < 0 ? steps.length : next) - Details.MOST / 2, steps.length - Details.MOST))
    const shown = steps.slice(from, from + Details.MOST)
    const after = steps.length - from - shown.length
    return [...(from ? [create("p", { class: "about", text: `${from} earlier steps` })] : []),
      ...shown.map((step) => this.#line(step, textOf(step))),
      ...(after ? [create("p", { class: "about", text: `${after} later steps` })] : [])]
  }

  /** Returns a line that goes to its step when it is clicked. */
  #line(step, text) {
    const done = step.index < this.cursor.position
    const name = ["math", done ? step.flow && signName(toNumber(step.flow)) : "coming", step === this.cursor.step && "now"]
    return create("button", { class: name.filter(Boolean).join(" "), text, onclick: () => this.explorer.goTo(step.index + 1),
      title: `go to step ${step.number}${done ? "" : " (not done yet)"}` })
  }

  #link(index, what) {
    return create("button", { text: `${what}: ${called(data.nodes[index])}`,
      onclick: () => this.explorer.enter({ kind: "node", index }) })
  }
}

function same(one, other) {
  return one?.kind === other?.kind && one?.index === other?.index
}

function number(what, { text, exact }) {
  return create("div", {}, create("dt", { text: what }), create("dd", { text },
    create("span", { class: "exact", text: exact })))
}

// ---- the list of steps ------------------------------------------------------------------------------------------------

/** The list of all steps; only the visible rows are in the page. */
class StepList {
  static ROW = 28 // pixels

  constructor(explorer, list, rows) {
    this.explorer = explorer
    this.list = list
    this.rows = rows
    this.count = explorer.cursor.steps.length + 1 // the first row is the moment before the first step
    this.shown = new Map() // the rows that are in the page, by their position
    this.top = this.height = 0 // of what is in sight; asking the browser at every step would make it lay out the page
    rows.style.height = `${this.count * StepList.ROW}px`
    list.addEventListener("scroll", () => {
      this.top = list.scrollTop
      this.render()
    })
    rows.addEventListener("click", (event) => {
      const row = event.target.closest("[data-position]")
      if (row) explorer.goTo(Number(row.dataset.position))
    })
    new ResizeObserver(() => {
      this.height = list.clientHeight
      this.reveal()
    }).observe(list)
  }

  /** Scrolls to the last step done. */
  reveal() {
    const at = this.explorer.cursor.position * StepList.ROW
    if (at < this.top + StepList.ROW || at > this.top + this.height - 2 * StepList.ROW) {
      this.top = Math.max(0, Math.min(at - this.height / 2, this.count * StepList.ROW - this.height))
      this.list.scrollTop = this.top
    }
    this.render()
  }

  /** Keeps the rows that stay in sight; `remake`: makes all rows again. */
  render(remake = false) {
    const { position } = this.explorer.cursor
    const first = Math.max(Math.floor(this.top / StepList.ROW) - 2, 0)
    const last = Math.min(Math.ceil((this.top + this.height) / StepList.ROW) + 2, this.count)
    for (const [at, row] of this.shown) {
      if (!remake && at >= first && at < last) continue
      row.remove()
      this.shown.delete(at)
    }
    const top = this.rows.firstChild, kept = top ? Number(top.dataset.position) : last
    for (let at = first; at < last; at += 1) {
      if (!this.shown.has(at)) {
        this.shown.set(at, this.#row(at))
        this.rows.insertBefore(this.shown.get(at), at < kept ? top : null)
      }
      const row = this.shown.get(at), selected = String(at === position)
      row.classList.toggle("ahead", at > position)
      if (row.getAttribute("aria-selected") !== selected) row.setAttribute("aria-selected", selected)
    }
    this.list.setAttribute("aria-activedescendant", `row${position}`)
  }

  #row(position) {
    const { cursor, picture } = this.explorer, step = cursor.steps[position - 1]
    const unseen = step && !picture.modules.sees(step), mark = data.marks[step?.number]
    const sentence = step ? step.lead + step.rest : data.given
    const row = create("div", { role: "option", id: `row${position}`, "data-position": position, class: unseen ? "unseen" : null,
      "aria-posinset": position + 1, "aria-setsize": this.count,
      title: unseen ? `${sentence}   (inside a collapsed module)` : sentence },
    create("span", { class: "number", text: step ? step.number : 0 }), sentence,
    ...(mark ? [create("span", { class: "mark", text: mark[0] })] : []))
    row.style.top = `${position * StepList.ROW}px`
    return row
  }
}

// ---- search -----------------------------------------------------------------------------------------------------------

/** Finds nodes by label, name or operation, and modules by path; upper and lower case are the same. */
class Search {
  static MOST = 50 // matches in the list; Enter reaches all

  constructor(explorer) {
    this.explorer = explorer
    this.query = byId("query")
    this.list = byId("matches")
    this.found = byId("found")
    this.matches = []
    this.current = -1
    this.things = [
      ...data.frames.map(({ path }, index) => ({ kind: "frame", index, title: path, about: "module", keys: [path] })),
      ...data.nodes.map((node, index) => ({ kind: "node", index, title: called(node), about: node.op || node.role,
        keys: [node.label, node.name, node.op, node.symbol] }))]
    for (const thing of this.things) thing.keys = thing.keys.filter(Boolean).map((key) => key.toLowerCase())
    this.query.addEventListener("input", () => this.update())
    this.query.addEventListener("focus", () => this.#showList(true))
    this.query.addEventListener("keydown", (event) => this.#key(event))
    document.addEventListener("pointerdown", (event) => {
      if (!event.target.closest("#search")) this.#showList(false)
    })
  }

  update() {
    const text = this.query.value.trim().toLowerCase()
    this.#mark(false)
    const exact = [], others = []
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

  go(step) {
    if (!this.matches.length) return
    this.current = (this.current + step + this.matches.length) % this.matches.length
    if (this.current < 0) this.current = this.matches.length - 1
    const thing = this.matches[this.current]
    this.explorer.visit(thing)
    this.#mark(true)
    this.#render()
  }

  /** Marks what was found; also after modules were collapsed or expanded, since covers stand for what is inside them. */
  #mark(on) {
    for (const element of document.querySelectorAll(".match")) element.classList.remove("match", "found")
    if (!on) return
    const { picture } = this.explorer
    this.matches.forEach((thing, i) => {
      const element = thing.kind === "node" ? picture.elementOf(thing.index) : picture.elementOfFrame(thing.index)
      element.classList.add("match")
      if (i === this.current) element.classList.add("found")
    })
  }

  #render() {
    const { matches, current } = this
    this.found.textContent = !this.query.value.trim() ? "" : !matches.length ? "no match"
      : current < 0 ? `${matches.length} match${matches.length > 1 ? "es" : ""}` : `${current + 1} of ${matches.length}`
    const from = Math.max(Math.min(current - 5, matches.length - Search.MOST), 0)
    const rows = matches.slice(from, from + Search.MOST).map((thing, i) => create("li", {}, create("button", {
      type: "button", "aria-current": String(from + i === current), onclick: () => {
        this.current = from + i - 1
        this.go(1)
      } }, create("span", { class: "what", text: thing.title }), create("span", { class: "kind", text: thing.about }))))
    if (matches.length > Search.MOST) rows.push(create("li", { class: "more", text: `${matches.length} matches in all; Enter goes to the next one` }))
    this.list.replaceChildren(...rows)
  }

  #showList(shown) {
    this.list.hidden = !shown || !this.matches.length
  }

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

// ---- the explorer -----------------------------------------------------------------------------------------------------

class Explorer {
  #timer = 0
  #address = 0
  #pointer = 0

  constructor() {
    this.stage = new Stage(byId("stage"))
    this.cursor = new Cursor(data)
    this.picture = new Picture(data, this.cursor, this.stage)
    this.details = new Details(this, byId("details"))
    this.list = new StepList(this, byId("list"), byId("rows"))
    this.search = new Search(this)
    this.#describe()
    this.#listen()
    this.goTo(this.#fromAddress() ?? this.#positionOf(data.open))
  }

  get isPlaying() {
    return this.#timer !== 0
  }

  // -- moving through the steps

  /** Goes to a position: a number of steps of the page that are done. */
  goTo(position, { flow = 0 } = {}) {
    position = Math.min(Math.max(position, 0), this.cursor.steps.length)
    this.picture.draw(this.cursor.seek(position))
    this.#say()
    this.details.render()
    this.list.reveal()
    if (byId("follow").checked && !this.stage.isFitted && this.cursor.step?.node >= 0) this.stage.follow(this.picture.boxOf(this.cursor.step.node))
    this.picture.flow(flow ? this.cursor.step : null, flow)
    this.#remember()
  }

  /** Goes to the next step that changes something visible; steps inside collapsed modules are skipped. */
  next(milliseconds = 350) {
    const { steps } = this.cursor
    let position = this.cursor.position + 1
    while (position < steps.length && !this.picture.modules.sees(steps[position - 1])) position += 1
    this.goTo(position, { flow: milliseconds })
  }

  back() {
    let position = this.cursor.position - 1
    while (position > 0 && !this.picture.modules.sees(this.cursor.steps[position - 1])) position -= 1
    this.goTo(position)
  }

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

  // -- looking at things

  /** Shows a node, edge (where it ends) or module in the drawing and keeps its details; whatever covers it expands. */
  visit({ kind, index }) {
    const node = kind === "edge" ? data.edges[index].target : index
    if (kind === "edge") this.#expandAround(data.nodes[data.edges[index].source].frame)
    this.#expandAround(kind === "frame" ? data.frames[index].parent : data.nodes[node].frame)
    this.details.pin({ kind, index })
    const box = kind === "frame" ? this.picture.modules.boxes[index] : this.picture.boxOf(node)
    if (box) this.stage.show(box, true)
  }

  /** The same from the panel, whose lines are gone then: the focus goes there. */
  enter(thing) {
    const { parts } = this.picture
    this.visit(thing)
    parts[thing.kind === "edge" ? "edges" : "nodes"][thing.index].group.focus({ preventScroll: true })
  }

  collapse(frames) {
    this.picture.collapse(frames)
    this.details.render()
    this.list.render(true)
  }

  toggle(frame) {
    const { modules } = this.picture, frames = new Set(modules.collapsed)
    if (!frames.delete(frame)) frames.add(frame)
    const hadFocus = document.activeElement?.closest(".cover, .frame-button")
    this.collapse(frames)
    this.details.hover(null)
    if (hadFocus) this.picture.elementOfFrame(frame).focus({ preventScroll: true })
  }

  #expandAround(frame) {
    const frames = new Set(this.picture.modules.collapsed), before = frames.size
    for (; frame >= 0; frame = data.frames[frame].parent) frames.delete(frame)
    if (frames.size < before) this.collapse(frames)
  }

  // -- the page around the drawing

  #describe() {
    fill(this.stage.svg, { role: "group", tabindex: 0, "aria-roledescription": "graph",
      "aria-label": `${data.title}: ${data.nodes.length} nodes, ${data.edges.length} edges; the keys ] and [ select the next and the previous node` }, [])
    byId("notes").replaceChildren(...data.notes.map((text) => create("p", { text })))
    byId("notes").hidden = !data.notes.length
    byId("modules").hidden = !data.frames.length
    byId("collapse-neurons").hidden = !data.frames.some(({ parent }) => parent >= 0)
    byId("slider").max = this.cursor.steps.length
    const phases = create("div", { class: "phases", "aria-hidden": "true" }, create("span", { class: "forward" }),
      create("span", { class: "backward" }))
    phases.firstChild.style.flexGrow = data.forward
    phases.lastChild.style.flexGrow = this.cursor.steps.length - data.forward
    byId("slider").after(phases)
    const roles = [...new Set(data.nodes.map(({ role }) => role))]
    byId("legend").replaceChildren(...roles.map((role) => create("li", { class: `node ${role}`,
      text: role === "rest" ? "nodes that are not drawn" : role === "module" ? "collapsed module" : role })))
    switchTheme(byId("theme"))
  }

  #say() {
    const { step, position, steps } = this.cursor
    const sentence = step ? step.lead + step.rest : data.given
    const hidden = step && !this.picture.modules.sees(step) ? " \u00b7 inside a collapsed module" : ""
    const phase = step ? step.phase + (step.phase === "backward" && data.order === "naive" ? ", in the naive order" : "") : "start"
    setText(byId("where"), `step ${(step?.number ?? 0).toLocaleString("en")} of ${data.total.toLocaleString("en")} \u00b7 ${phase}${hidden}`)
    setText(byId("sentence"), sentence)
    byId("sentence").classList.toggle("long", sentence.length > 70)
    setText(byId("formula"), step?.formula ?? "")
    setText(byId("warning"), data.marks[step?.number]?.[1] ?? "")
    const slider = byId("slider")
    slider.value = position
    slider.setAttribute("aria-valuetext", `step ${step?.number ?? 0} of ${data.total}, ${phase}`)
    for (const id of ["first", "back"]) byId(id).disabled = position === 0
    for (const id of ["next", "last"]) byId(id).disabled = position === steps.length
  }

  #listen() {
    const on = (id, type, listener) => byId(id).addEventListener(type, listener)
    const moved = (move) => () => {
      this.pause()
      move()
    }
    on("first", "click", moved(() => this.goTo(0)))
    on("back", "click", moved(() => this.back()))
    on("next", "click", moved(() => this.next()))
    on("last", "click", moved(() => this.goTo(Infinity)))
    on("play", "click", () => this.play())
    on("slider", "input", moved(() => this.goTo(Number(byId("slider").value))))
    on("zoom-in", "click", () => this.stage.zoom(1.3))
    on("zoom-out", "click", () => this.stage.zoom(1 / 1.3))
    on("zoom-fit", "click", () => this.stage.fit())
    on("colour", "change", () => this.picture.colourBy(byId("colour").value))
    on("help-button", "click", () => byId("help").showModal())
    on("help-close", "click", () => byId("help").close()) // a form of method="dialog" does nothing in a notebook's frame
    on("collapse-neurons", "click", () => this.collapse(this.picture.modules.levels().neurons))
    on("collapse-layers", "click", () => this.collapse(this.picture.modules.levels().layers))
    on("expand-all", "click", () => this.collapse([]))
    on("stage", "click", (event) => this.#click(event))
    on("stage", "pointermove", (event) => this.#hover(event))
    on("stage", "pointerleave", () => this.details.hover(null))
    on("stage", "focusin", (event) => this.#focused(event))
    for (const id of ["stage", "details"]) { // whose focus goes from a node to its panel still looks at the node
      on(id, "focusout", ({ relatedTarget }) => {
        if (!byId("details").contains(relatedTarget)) this.details.hover(null)
      })
    }
    addEventListener("hashchange", () => {
      const position = this.#fromAddress()
      if (position !== null && position !== this.cursor.position) this.goTo(position)
    })
    document.addEventListener("keydown", (event) => this.#key(event))
  }

  #key(event) {
    const { target, key } = event
    if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return
    if (target.matches("select, input[type=search]")) return
    const action = this.#actionFor(key, target)
    if (!action) return
    event.preventDefault()
    action()
  }

  /** What a key does; nothing where the browser has a meaning for it in the control that has the focus. */
  #actionFor(key, target) {
    const step = (move) => () => {
      this.pause()
      move()
    }
    const item = target.closest?.(".node, .edge, .cover, .frame-button")
    const isSlider = target.matches("input[type=range]")
    const keys = {
      ArrowRight: isSlider ? null : step(() => this.next()),
      ArrowLeft: isSlider ? null : step(() => this.back()),
      ArrowDown: target.id === "list" ? step(() => this.next()) : null,
      ArrowUp: target.id === "list" ? step(() => this.back()) : null,
      Home: isSlider ? null : step(() => this.goTo(0)),
      End: isSlider ? null : step(() => this.goTo(Infinity)),
      PageDown: isSlider ? null : step(() => this.goTo(this.cursor.position + 10)),
      PageUp: isSlider ? null : step(() => this.goTo(this.cursor.position - 10)),
      Enter: item ? () => this.#activate(item) : null,
      " ": item ? () => this.#activate(item) : target.matches("button, summary, input[type=checkbox]") ? null : () => this.play(),
      "+": () => this.stage.zoom(1.3), "=": () => this.stage.zoom(1.3), "-": () => this.stage.zoom(1 / 1.3),
      0: () => this.stage.fit(),
      "/": () => byId("query").focus(),
      "?": () => byId("help").showModal(),
      "]": () => this.#focusNext(1), "[": () => this.#focusNext(-1),
      Escape: () => {
        this.details.hover(null)
        this.details.pin(null)
      },
    }
    return Object.hasOwn(keys, key) ? keys[key] : null
  }

  #click(event) {
    if (this.stage.wasDragged || event.target.closest(".zoom")) return
    const item = this.#partAt(event.clientX, event.clientY)
    if (item) this.#activate(item)
    else this.details.pin(null)
  }

  /** A node's or an edge's details are kept, or let go if they were; a module collapses or expands. */
  #activate(element) {
    const thing = this.#thing(element)
    if (thing.kind === "frame") this.toggle(thing.index)
    else this.details.pin(same(thing, this.details.pinned) ? null : thing)
  }

  #thing(element) {
    if (element.dataset.frame) return { kind: "frame", index: Number(element.dataset.frame) }
    return { kind: element.classList.contains("edge") ? "edge" : "node", index: Number(element.id.slice(1)) }
  }

  /** The part under the pointer.  Edges are thin, so that one a few pixels away will do. */
  #partAt(x, y) {
    for (const [dx, dy] of [[0, 0], [0, -4], [0, 4], [-4, 0], [4, 0]]) {
      const part = document.elementFromPoint(x + dx, y + dy)?.closest(".node, .cover, .frame-button, .edge")
      if (part && this.stage.frame.contains(part)) return part
    }
    return null
  }

  #hover(event) {
    if (event.pointerType !== "mouse" || event.buttons) return
    cancelAnimationFrame(this.#pointer)
    this.#pointer = requestAnimationFrame(() => {
      const part = this.#partAt(event.clientX, event.clientY)
      this.details.hover(part ? this.#thing(part) : null)
    })
  }

  /** The drawing is one stop of the Tab key; within it ] and [ go from one node or module to another. */
  #focusNext(by) {
    const { modules } = this.picture
    const items = [], seen = new Set()
    const add = (element) => {
      if (!seen.has(element)) items.push(element)
      seen.add(element)
    }
    data.nodes.forEach(({ frame }, node) => {
      const around = []
      for (let at = frame; at >= 0; at = data.frames[at].parent) around.unshift(at)
      for (const at of around) add(this.picture.elementOfFrame(at))
      add(this.picture.elementOf(node))
    })
    const active = document.activeElement, isEdge = active?.matches(".edge") // from there to its user, or its operand
    const from = isEdge ? data.edges[this.#thing(active).index][by > 0 ? "target" : "source"] : -1
    if (isEdge) by = 0
    const at = items.indexOf(isEdge ? this.picture.elementOf(from) : active)
    const item = items[at < 0 ? (by > 0 ? 0 : items.length - 1) : (at + by + items.length) % items.length]
    item.focus({ preventScroll: true })
    const thing = this.#thing(item)
    this.stage.show(thing.kind === "node" ? this.picture.boxOf(thing.index) : modules.boxes[thing.index])
  }

  #focused(event) {
    if (event.target.matches(".node, .edge, .cover, .frame-button") && event.target.matches(":focus-visible")) {
      this.details.hover(this.#thing(event.target))
    }
  }

  // -- the address contains the step, by its number in the recording

  #positionOf(number) {
    const { steps } = this.cursor
    const after = steps.findIndex((step) => step.number > number)
    return after < 0 ? steps.length : after
  }

  #fromAddress() {
    const match = location.hash.match(/^#step=(\d+)$/)
    return match ? this.#positionOf(Number(match[1])) : null
  }

  #remember() {
    clearTimeout(this.#address)
    this.#address = setTimeout(() => {
      try {
        history.replaceState(null, "", `#step=${this.cursor.step?.number ?? 0}`)
      } catch { /* a page in a frame may have no address of its own */ }
    }, 400)
  }
}

new Explorer()
document.documentElement.dataset.ready = "true"
