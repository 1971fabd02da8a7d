/* The numbers of every node and edge at a position.  This file does not use the page: tests run it
   in node. */

import { labelNumber, numberText, repr } from "../live/texts.js"

/** @import { Recording } from "../live/recording.js" */
/** @import { DrawnNode, PageData, Shown } from "./types.js" */

const NOTHING = { text: "", exact: "" }
export const UNKNOWN = { text: "?", exact: "not computed yet" }
const ZERO = { text: "0.0000", exact: "no gradient has been added yet" }

/**
 * Returns the name of a node for readers.
 * @param {DrawnNode} node
 */
export function called(node) {
  return node.label || node.name || node.symbol
}

/**
 * Returns a number, short and with all digits, which are written when they are read.
 * @param {number} x
 * @returns {Shown}
 */
function shown(x, write = numberText) {
  return {
    text: write(x),
    get exact() {
      return repr(x)
    }
  }
}

/** A step of the page: a step of the recording that changes something drawn. */
export class Step {
  /** @type {Step | null} the step before this one that set the same number of the same node */
  earlier = null
  /** @type {Step | null} the step before this one whose gradient flowed along the same edge */
  earlierHere = null
  /** the sum of the gradients that have flowed along the edge after this step */
  flowed = 0

  /**
   * @param {Recording} recording
   * @param {number} index its position among the steps of the page
   * @param {number} number its number in the recording
   * @param {number} node the drawn node, -1 for none
   * @param {number} edge the drawn edge, -1 for none
   * @param {boolean} isShown whether the drawn node shows the number
   */
  constructor(recording, index, number, node, edge, isShown) {
    this.recording = recording
    this.index = index
    this.number = number
    this.node = node
    this.edge = edge
    /** @type {"forward" | "backward"} */
    this.phase = number <= recording.forward ? "forward" : "backward"
    /** @type {"data" | "grad" | null} */
    this.sets = isShown ? (this.phase === "forward" ? "data" : "grad") : null
  }

  get event() {
    return this.recording.events[this.number - 1]
  }

  get shown() {
    return shown(this.event.after)
  }

  /** The gradient that flows along the edge, as text. */
  get flow() {
    return this.event.user < 0 ? "" : labelNumber(this.event.flow)
  }

  get words() {
    return this.recording.words(this.event)
  }

  /** The sentence without the rule of the local derivative. */
  get sentence() {
    return this.words.lead + this.withoutLead
  }

  /** The sentence without the gradient that changes at its beginning. */
  get withoutLead() {
    const { rest, growth } = this.words
    return growth ? `${rest}   (${growth})` : rest
  }
}

/** A position in the list of steps, and which step last set the number of each node and edge. */
export class Cursor {
  position = 0
  /** @type {Step[]} */
  steps = []
  forward = 0
  /** @type {Step[][]} the steps that add to each node's gradient */
  contributions = []
  /** @type {(Step | null)[]} the forward step of each node */
  computation = []
  /** @type {Step[][]} the steps whose gradient flows along each edge */
  along = []
  /** @type {Record<"data" | "grad" | "edge", (Step | null)[]>} */
  now = { data: [], grad: [], edge: [] }
  /** @type {number[]} the position from which on each node, and each edge, is computed */
  nodesSince = []
  /** @type {number[]} */
  edgesSince = []
  /** @type {(string | null)[]} the right gradient of each node whose last one is wrong */
  right = []

  /**
   * @param {PageData} data
   * @param {Recording} recording
   */
  constructor(data, recording) {
    this.recording = recording
    this.nodes = data.nodes
    this.edges = data.edges
    const { size } = recording.graph
    /** @type {number[]} the drawn node that contains each node, -1 for none */
    this.drawn = Array(size).fill(-1)
    data.nodes.forEach(({ members }, i) => {
      for (const member of members) this.drawn[member] = i
    })
    /** @type {Map<string, number>} */
    this.edgeOf = new Map()
    data.edges.forEach(({ links }, i) => {
      for (const link of links) this.edgeOf.set(link.join(), i)
    })
    this.restart()
  }

  /** Finds the steps anew, and goes to the start: another idea of the backward pass has others. */
  restart() {
    const { recording, nodes, edges } = this
    this.position = 0
    this.steps = []
    recording.events.forEach(({ node, user, operand }, i) => {
      const drawn = this.drawn[node]
      const edge = user < 0 ? -1 : (this.edgeOf.get(`${user},${operand}`) ?? -1)
      const isShown = drawn >= 0 && nodes[drawn].shows === node
      if (!isShown && edge < 0) return
      this.steps.push(new Step(recording, this.steps.length, i + 1, drawn, edge, isShown))
    })
    this.forward = this.steps.filter(({ phase }) => phase === "forward").length
    this.contributions = nodes.map(() => [])
    this.computation = nodes.map(() => null)
    this.along = edges.map(() => [])
    /** @type {Record<"data" | "grad" | "edge", Step[]>} */
    const last = { data: [], grad: [], edge: [] }
    for (const step of this.steps) {
      if (step.sets) {
        step.earlier = last[step.sets][step.node] ?? null
        last[step.sets][step.node] = step
        if (step.sets === "data") this.computation[step.node] = step
        else this.contributions[step.node].push(step)
      }
      if (step.edge >= 0) {
        step.earlierHere = last.edge[step.edge] ?? null
        last.edge[step.edge] = step
        this.along[step.edge].push(step)
      }
    }
    const none = () => null
    this.now = { data: nodes.map(none), grad: nodes.map(none), edge: edges.map(none) }
    const computed = this.#counts()
    const since = (/** @type {number[]} */ members) =>
      members.reduce((most, member) => Math.max(most, computed[member]), 0)
    this.nodesSince = nodes.map(({ members }) => since(members))
    this.edgesSince = edges.map(({ links }) =>
      links.length ? Math.min(...links.map(([user]) => computed[user])) : 0
    )
    this.refresh()
  }

  /** Reads the numbers of the recording anew; the steps are the same. */
  refresh() {
    for (const step of this.steps)
      if (step.edge >= 0) step.flowed = (step.earlierHere?.flowed ?? 0) + step.event.flow
    const { right } = this.recording
    const found = this.recording.gradients()
    this.right = this.nodes.map(({ shows, role }) => {
      if (shows < 0 || role === "module") return null
      const text = numberText(right[shows])
      return text === numberText(found[shows]) ? null : text
    })
  }

  /** Returns, for each node of the recording, the position from which on it is computed. */
  #counts() {
    const counts = this.recording.graph.ops.map(() => 0)
    let at = 0
    this.recording.events.slice(0, this.recording.forward).forEach(({ node }, i) => {
      while (at < this.steps.length && this.steps[at].number < i + 1) at += 1
      counts[node] = at + 1
    })
    return counts
  }

  /** The last step done; null before the first step. */
  get step() {
    return this.steps[this.position - 1] ?? null
  }

  /**
   * Goes to a position (a number of steps done), and returns the nodes and edges that changed.
   * @param {number} position
   */
  seek(position) {
    const before = this.position
    /** @type {{ nodes: Set<number>, edges: Set<number> }} */
    const changed = { nodes: new Set(), edges: new Set() }
    while (this.position < position) {
      const step = this.steps[this.position]
      this.position += 1
      this.#set(step, step, step, changed)
    }
    while (this.position > position) {
      const step = this.steps[this.position - 1]
      this.#set(step, step.earlier, step.earlierHere, changed)
      this.position -= 1
    }
    const [low, high] = [Math.min(before, position), Math.max(before, position)]
    const isBetween = (/** @type {number} */ since) => since > low && since <= high
    this.nodesSince.forEach((since, node) => isBetween(since) && changed.nodes.add(node))
    this.edgesSince.forEach((since, edge) => isBetween(since) && changed.edges.add(edge))
    return changed
  }

  /**
   * Returns the number of a node at the position.
   * @param {number} node
   * @returns {Shown}
   */
  data(node) {
    const { shows, role } = this.nodes[node]
    const { ops, data } = this.recording.graph
    if (shows >= 0 && !ops[shows]) {
      return shown(data[shows], role === "constant" ? labelNumber : numberText)
    }
    const isAhead = role === "module" && !this.isComputed(node)
    return this.now.data[node]?.shown ?? (this.computation[node] || isAhead ? UNKNOWN : NOTHING)
  }

  /**
   * Returns the gradient of a node at the position.
   * @param {number} node
   */
  grad(node) {
    return this.nodes[node].grad ? (this.now.grad[node]?.shown ?? ZERO) : NOTHING
  }

  /**
   * Returns the local derivative of an edge, if it has one: of the box that it leads to, if that
   * is a module.
   * @param {number} edge
   */
  derivative(edge) {
    const { source, target, links, derivative } = this.edges[edge]
    if (!derivative) return null
    const { graph, ideas, idea } = this.recording
    const { role, shows, members } = this.nodes[target]
    const x =
      role === "module"
        ? graph.derivativeWithin(shows, this.nodes[source].shows, new Set(members))
        : graph.partialAfter(ideas[idea] ?? {}, ...links[0])
    return shown(x, labelNumber)
  }

  /** @param {number} node */
  isComputed(node) {
    return this.position >= this.nodesSince[node]
  }

  /**
   * Notes the steps that have set the numbers of a step's node and edge, and what changes.
   * @param {Step} step
   * @param {Step | null} ofNode
   * @param {Step | null} ofEdge
   * @param {{ nodes: Set<number>, edges: Set<number> }} changed
   */
  #set(step, ofNode, ofEdge, changed) {
    if (step.sets) {
      this.now[step.sets][step.node] = ofNode
      changed.nodes.add(step.node)
    }
    if (step.edge >= 0) {
      this.now.edge[step.edge] = ofEdge
      changed.edges.add(step.edge)
    }
  }
}
