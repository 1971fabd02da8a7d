/* The numbers of every node and edge at a position.  It needs stage.js; the data come from page.py.

   Every number is text that Python made.  Here numbers are only compared, for colours and
   widths. */

const NOTHING = { text: "", exact: "" }
const UNKNOWN = { text: "?", exact: "not computed yet" }
const ZERO = { text: "0.0000", exact: "no gradient has been added yet" }

/** Returns the name of a node for readers. */
function called(node) {
  return node.label || node.name || node.symbol
}

/** A position in the list of steps, and which step last set the number of each node and edge. */
class Cursor {
  constructor(data) {
    this.nodes = data.nodes
    this.edges = data.edges
    this.forward = data.forward
    this.position = 0
    const { number = [] } = data.steps // a page may have no steps
    this.steps = number.map((_, index) =>
      Object.fromEntries(
        Object.entries(data.steps).map(([field, column]) => [field, column[index]])
      )
    )
    // the backward steps that add to the gradient of each node
    this.contributions = data.nodes.map(() => [])
    // the forward step of each node
    this.computation = data.nodes.map(() => null)
    // the steps whose gradient flows along each edge
    this.along = data.edges.map(() => [])
    const last = { data: [], grad: [], edge: [] }
    this.steps.forEach((step, index) => {
      step.index = index
      step.phase = index < data.forward ? "forward" : "backward"
      step.sets = null
      if (step.text !== null) step.sets = step.phase === "forward" ? "data" : "grad"
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
    this.now = {
      data: data.nodes.map(() => null),
      grad: data.nodes.map(() => null),
      edge: data.edges.map(() => null)
    }
    this.nodesSince = indicesBy(data.nodes, "since")
    this.edgesSince = indicesBy(data.edges, "since")
  }

  /** The last step done; null before the first step. */
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
    const { given, role } = this.nodes[node]
    if (given) return { text: given[0], exact: given[1] }
    const isAhead = role === "module" && !this.isComputed(node)
    return this.now.data[node] ?? (this.computation[node] || isAhead ? UNKNOWN : NOTHING)
  }

  grad(node) {
    return this.nodes[node].grad ? (this.now.grad[node] ?? ZERO) : NOTHING
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
