/* The numbers of every node and edge at a position.  This file does not use the page: tests run it
   in node.

   Every number is text that Python made.  Here numbers are only compared, for colours and
   widths. */

import { toNumber } from "../numbers.js"

/** @import { DrawnNode, PageData, Shown, Step, StepFields } from "./types.js" */

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

/** A position in the list of steps, and which step last set the number of each node and edge. */
export class Cursor {
  /** @param {PageData} data */
  constructor(data) {
    this.nodes = data.nodes
    this.edges = data.edges
    this.forward = data.forward
    this.position = 0
    this.steps = stepsOf(data)
    /** @type {Step[][]} */
    this.contributions = data.nodes.map(() => []) // the steps that add to each node's gradient
    /** @type {(Step | null)[]} */
    this.computation = data.nodes.map(() => null) // the forward step of each node
    /** @type {Step[][]} */
    this.along = data.edges.map(() => []) // the steps whose gradient flows along each edge
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
    /** @type {Record<"data" | "grad" | "edge", (Step | null)[]>} */
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

  /**
   * Goes to a position (a number of steps done), and returns the nodes and edges that changed.
   * @param {number} position
   */
  seek(position) {
    /** @type {{ nodes: Set<number>, edges: Set<number> }} */
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

  /**
   * Returns the number of a node at the position.
   * @param {number} node
   * @returns {Shown}
   */
  data(node) {
    const { given, role } = this.nodes[node]
    if (given) return { text: given[0], exact: given[1] }
    const isAhead = role === "module" && !this.isComputed(node)
    return shown(this.now.data[node]) ?? (this.computation[node] || isAhead ? UNKNOWN : NOTHING)
  }

  /**
   * Returns the gradient of a node at the position.
   * @param {number} node
   */
  grad(node) {
    return this.nodes[node].grad ? (shown(this.now.grad[node]) ?? ZERO) : NOTHING
  }

  /** @param {number} node */
  isComputed(node) {
    return this.position >= this.nodes[node].since
  }

  /**
   * Notes the steps that have set the numbers of a step's node and edge, and what changes.
   * @param {Step} step
   * @param {Step | null} ofNode
   * @param {Step | null} ofEdge
   * @param {number} count
   * @param {{ nodes: Set<number>, edges: Set<number> }} changed
   */
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

/**
 * Returns the number that a step has set, if there is one.
 * @param {Step | null} step
 */
function shown(step) {
  return step && { text: step.text ?? "", exact: step.exact }
}

/**
 * Returns one object for each step, out of one list for each field.
 * @param {PageData} data
 * @returns {Step[]}
 */
function stepsOf({ steps, forward }) {
  const { number = [] } = steps // a page may have no steps
  return number.map((_, index) => {
    const entries = Object.entries(steps).map(([field, column]) => [field, column[index]])
    /** @type {StepFields} */
    const fields = Object.fromEntries(entries)
    const phase = index < forward ? "forward" : "backward"
    const sets = phase === "forward" ? "data" : "grad"
    return {
      ...fields,
      flowed: toNumber(fields.flowed),
      index,
      phase,
      sets: fields.text === null ? null : sets,
      earlier: null,
      earlierHere: null
    }
  })
}

/**
 * Returns the indices of records by the value of a field.
 * @template {string} Field
 * @param {Record<Field, number>[]} records
 * @param {Field} field
 */
function indicesBy(records, field) {
  /** @type {Map<number, number[]>} */
  const indices = new Map()
  records.forEach((record, index) => {
    const found = indices.get(record[field])
    if (found) found.push(index)
    else indices.set(record[field], [index])
  })
  return indices
}
