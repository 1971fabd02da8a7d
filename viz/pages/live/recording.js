/* A recording whose numbers can be changed: every step of one forward and one backward pass, as
   data and in sentences.  It is what `record` is in Python, from the same templates. */

import { toNumber } from "../numbers.js"
import { Graph } from "./engine.js"
import { labelNumber, repr, shortNumber } from "./texts.js"

/** @typedef {import("./engine.js").Misconception} Misconception */
/** @typedef {import("./engine.js").Flow} Flow */

/** The graph of a page, one list for each field, with an entry for each node; see program.py.
 * @typedef {object} Program
 * @property {string[]} rows the rows that occur
 * @property {number[]} ops which of them computes each node; -1 for leaves
 * @property {number[][]} operands
 * @property {(number | string)[]} data
 * @property {(number | string | null)[][]} partials
 * @property {string[]} names
 * @property {string[]} differentials da for a
 * @property {number[]} constants
 * @property {Record<string, string>} operations a * b, by node
 * @property {Record<string, string[]>} rules the local derivatives in names, by node
 * @property {Record<string, {text: string, in_brackets: boolean[]}>} written by row
 * @property {Record<string, {text: string, in_brackets: boolean[]}>} calls by row, in Python
 * @property {Record<string, string>} templates
 * @property {string[]} ordinals
 * @property {Record<string, Idea>} ideas
 * @property {string} idea the wrong idea that the page begins with, or ""
 * @property {boolean} isAlive whether all rows can be computed here
 */

/** @typedef {Record<string, Record<string, string>>} Formulas */
/** @typedef {Misconception & {title: string, truth: string, formulas: Formulas}} Idea */

/** One step.  Of a forward step, `user` is -1 and `after` the data.
 * @typedef {{number: number, node: number, user: number, operand: number, before: number | null,
 *   after: number, adjoint: number, flow: number}} Event
 */

const KEYWORDS =
  "False None True and as assert async await break class continue def del elif else except " +
  "finally for from global if import in is lambda nonlocal not or pass raise return try while " +
  "with yield Value math"
const MOST_LEAVES = 6 // in the sentence before the first step
const MOST_WRONG = 3 // gradients that a verdict names
const MOST_STEPS = 10000 // of a backward pass without an order, which walks every path

/** Returns a number of JSON, which has no infinities and no nan.
 * @param {number | string} x
 */
const numberOf = (x) => (typeof x === "string" ? toNumber(x) : x)

/** The recording of a graph. */
export class Recording {
  /** @type {Event[]} the steps */
  events = []
  /** the right gradient of every node */
  right = new Float64Array()
  /** @type {Map<number, [string, string]>} what is wrong with steps, in short and as a sentence */
  marks = new Map()
  /** whether the steps are so many that the last ones are missing */
  isCut = false
  /** @type {number[]} how many steps change the gradient of each node, the seed aside */
  contributions = []

  /**
   * @param {Program} program
   * @param {Record<string, import("./engine.js").Row>} rows
   * @param {Record<string, Misconception["rules"]>} wrong the rules of the wrong ideas
   */
  constructor(program, rows, wrong) {
    this.program = program
    this.graph = new Graph(rows)
    const isConstant = new Set(program.constants)
    program.ops.forEach((op, node) => {
      const data = numberOf(program.data[node])
      const partials = program.partials[node].map((x) => (x === null ? null : numberOf(x)))
      const name = op < 0 ? "" : program.rows[op]
      this.graph.add(name, program.operands[node], data, partials, isConstant.has(node))
    })
    this.root = this.graph.size - 1
    /** @type {Record<string, Idea>} */
    this.ideas = {}
    for (const [name, idea] of Object.entries(program.ideas))
      this.ideas[name] = { ...idea, rules: wrong[name] }
    this.idea = program.idea
    this.given = { data: [...this.graph.data], partials: [...this.graph.partials] }
    /** @type {Map<number, number>} the leaves that were changed */
    this.changes = new Map()
    this.computed = this.graph.ops.flatMap((op, node) => (op ? [node] : []))
    this.#run()
  }

  /** @returns {number} the number of forward steps */
  get forward() {
    return this.computed.length
  }

  /** The leaves whose number can be changed. */
  get leaves() {
    const { ops, isConstant } = this.graph
    if (!this.program.isAlive) return []
    return ops.flatMap((op, node) => (op || isConstant[node] ? [] : [node]))
  }

  /** Gives leaves other numbers; the other leaves get those that Python gave them.
   * @param {Map<number, number>} changes
   */
  change(changes) {
    const { graph, given } = this
    graph.data = [...given.data]
    graph.partials = [...given.partials]
    for (const [leaf, x] of changes) graph.data[leaf] = x
    graph.recompute(changes.keys())
    this.changes = new Map(changes)
    this.#run()
  }

  /** Follows a wrong idea; "" follows none.
   * @param {string} idea
   */
  follow(idea) {
    this.idea = idea
    this.#run()
  }

  #run() {
    const { graph, root } = this
    this.events = this.computed.map((node, i) => ({
      number: i + 1, node, user: -1, operand: 0, before: null, after: graph.data[node],
      adjoint: 1, flow: 0
    }))
    const seed = { node: root, user: -1, operand: 0, before: 0, after: 1, adjoint: 1, flow: 0 }
    const idea = this.ideas[this.idea] ?? {}
    const flows = graph.backward(root, idea, idea.is_naive ? MOST_STEPS + 1 : Infinity)
    this.isCut = idea.is_naive === true && flows.length > MOST_STEPS
    if (this.isCut) flows.pop()
    for (const flow of [seed, ...flows])
      this.events.push({ ...flow, number: this.events.length + 1 })
    this.right = graph.gradients(root)
    this.marks = idea.is_naive ? this.#early() : new Map()
    this.contributions = graph.ops.map(() => 0)
    for (const { node } of flows) this.contributions[node] += 1
  }

  /** Returns the gradient of every node after the last step. */
  gradients() {
    const found = this.graph.ops.map(() => 0)
    for (const { node, after } of this.events.slice(this.forward)) found[node] = after
    return found
  }

  /** Returns marks for the first step that passes a gradient on too early, and for the step that
   * adds to that gradient later.
   * @returns {Map<number, [string, string]>}
   */
  #early() {
    const backward = this.events.slice(this.forward)
    const last = new Map(backward.map(({ node, number }) => [node, number]))
    const early = backward.find(({ user, number }) => (last.get(user) ?? 0) > number)
    if (!early) return new Map()
    const later = backward.slice(early.number - this.forward)
    const late = later.find(({ node }) => node === early.user)
    if (!late) return new Map()
    const gradient = this.gradientName(early.user)
    const passed = `${gradient} = ${labelNumber(early.adjoint)}`
    return new Map([
      [
        early.number,
        [
          "too early",
          `Too early: this step passes on ${passed}, but step ${late.number} still adds to it.`
        ]
      ],
      [
        late.number,
        [
          "too late",
          `Too late: this step adds to ${gradient}, which step ${early.number} already passed ` +
            "on. The whole sum is passed on next, so its first part is counted twice."
        ]
      ]
    ])
  }

  /** Returns in words what a wrong idea is, what is right, and which gradients are wrong. */
  verdict() {
    const idea = this.ideas[this.idea]
    if (!idea) return ""
    if (this.isCut) {
      const most = MOST_STEPS.toLocaleString("en")
      return (
        `A wrong idea: ${idea.title}. It walks every path, which takes more than ${most} steps ` +
        `here; the page has the first ${most}. ${idea.truth}`
      )
    }
    const found = this.gradients()
    const wrong = this.graph.ops.flatMap((_, node) => {
      const texts = [this.right[node], found[node]].map(labelNumber)
      if (this.graph.isConstant[node] || texts[0] === texts[1]) return []
      return [`${this.gradientName(node)} is ${texts[0]}, here ${texts[1]}`]
    })
    const more = wrong.length > MOST_WRONG ? ` and ${wrong.length - MOST_WRONG} more` : ""
    const shown = wrong.slice(0, MOST_WRONG).join("; ") + more
    const result = wrong.length
      ? `Wrong here: ${shown}.`
      : "In this graph the gradients are right anyway."
    return `A wrong idea: ${idea.title}. ${result} ${idea.truth}`
  }

  // -- sentences

  /** @param {string} template @param {Record<string, string>} fields */
  #filled(template, fields) {
    return filled(this.program.templates[template], fields)
  }

  /** Returns the gradient of a node as it is written: dy/da.
   * @param {number} node
   */
  gradientName(node) {
    const { differentials } = this.program
    return `${differentials[this.root]}/${differentials[node]}`
  }

  /** Returns the sentence before the first step. */
  start() {
    const { graph, program } = this
    const leaves = graph.ops.flatMap((op, node) =>
      op || graph.isConstant[node]
        ? []
        : [`${program.names[node]} = ${shortNumber(graph.data[node])}`]
    )
    const more = leaves.length > MOST_LEAVES ? ` and ${leaves.length - MOST_LEAVES} more` : ""
    return this.#filled("given", { leaves: leaves.slice(0, MOST_LEAVES).join(", ") + more })
  }

  /** Returns the parts of a step's sentence: what changes, what happens, how a sum grows, and the
   * rule of the local derivative.
   * @param {Event} event
   * @returns {{lead: string, rest: string, growth: string, formula: string}}
   */
  words(event) {
    const { program, graph } = this
    const { node, user } = event
    if (event.before === null) {
      const numbers = graph.operands[node].map((operand) => shortNumber(graph.data[operand]))
      const parts = [
        program.names[node],
        program.operations[node],
        inNumbers(program.written[graph.ops[node]], numbers),
        shortNumber(event.after)
      ]
      return { lead: "", rest: [...new Set(parts)].join(" = "), growth: "", formula: "" }
    }
    const gradient = this.gradientName(node)
    if (user < 0)
      return { lead: "", rest: this.#filled("seed", { gradient }), growth: "", formula: "" }
    const idea = this.ideas[this.idea] ?? {}
    const operands = graph.operands[user]
    const flow = shortNumber(event.flow)
    const wrong = idea.formulas?.[graph.ops[user]]?.[event.operand]
    /** @type {Record<string, string>} */
    const fields = {
      gradient,
      arrives: this.gradientName(user),
      local: `\u2202${program.names[user]}/\u2202${program.names[node]}`,
      adjoint: shortNumber(event.adjoint),
      partial: factor(shortNumber(graph.partialAfter(idea, user, event.operand))),
      flow,
      formula: wrong
        ? filled(wrong, this.#namesOf(user))
        : (program.rules[user]?.[event.operand] ?? ""),
      before: shortNumber(event.before),
      after: shortNumber(event.after),
      name: program.names[node],
      ordinal:
        program.ordinals[operands.slice(0, event.operand).filter((i) => i === node).length]
    }
    const isTwice = operands.filter((operand) => operand === node).length > 1
    fields.operand = isTwice ? this.#filled("which", fields) : ""
    const whole = this.#filled(idea.replaces ? "replaces" : "adds", fields)
    const lead = whole.slice(0, whole.indexOf("= ") + 2)
    let growth = ""
    if (this.contributions[node] > 1) {
      if (!idea.replaces) fields.flow = factor(flow)
      growth = this.#filled(idea.replaces ? "replaced" : "sum", fields)
    }
    const formula = this.#filled("rule", fields)
    return { lead, rest: whole.slice(lead.length), growth, formula }
  }

  /** @param {number} user @returns {Record<string, string>} */
  #namesOf(user) {
    const { names } = this.program
    const operands = this.graph.operands[user].map((operand, i) => [i, names[operand]])
    return { ...Object.fromEntries(operands), o: names[user] }
  }

  /** Returns the lines of Python that build the graph with the numbers of now. */
  asPython() {
    const { graph, program, root } = this
    const names = variables(program.names)
    const lines = ["from tinygrad_edu import Value, math", ""]
    const isUsed = this.#used()
    let count = 0 // of the nodes with a name; without a label it is v and this number
    graph.ops.forEach((op, node) => {
      if (!isUsed[node] || graph.isConstant[node]) return
      count += 1
      const label = JSON.stringify(program.names[node])
      const x = python(graph.data[node])
      if (!op) return void lines.push(`${names[node]} = Value(${x}, ${label})`)
      const operands = graph.operands[node].map((i) =>
        graph.isConstant[i] ? python(graph.data[i]) : names[i]
      )
      lines.push(`${names[node]} = ${inNumbers(program.calls[op], operands)}`)
      if (program.names[node] !== `v${count}`) lines.push(`${names[node]}.label = ${label}`)
    })
    return [...lines, `${names[root]}.backward()`, ""].join("\n")
  }

  #used() {
    const isUsed = this.graph.ops.map(() => false)
    isUsed[this.root] = true
    for (let node = this.root; node >= 0; node--)
      if (isUsed[node]) for (const i of this.graph.operands[node]) isUsed[i] = true
    return isUsed
  }
}

/** Returns a template with its fields filled in.
 * @param {string} template
 * @param {Record<string, string>} fields
 */
export function filled(template, fields) {
  return template.replace(/\{(\w+)\}/g, (_, field) => fields[field])
}

/** Returns a row with numbers in place of its operands.
 * @param {{text: string, in_brackets: boolean[]}} written
 * @param {string[]} numbers
 */
export function inNumbers({ text, in_brackets }, numbers) {
  const fields = numbers.map((x, i) => (in_brackets[i] && x.startsWith("-") ? `(${x})` : x))
  return filled(text, Object.fromEntries(fields.entries()))
}

/** @param {string} number */
function factor(number) {
  return number.startsWith("-") ? `(${number})` : number
}

/** Returns a number as Python reads it.
 * @param {number} x
 */
function python(x) {
  return Number.isFinite(x) ? repr(x) : `float("${repr(x)}")`
}

/** Returns a name of Python for each name of a node: its letters, made different from the others.
 * @param {string[]} names
 */
function variables(names) {
  /** @type {Set<string>} */
  const taken = new Set(KEYWORDS.split(" "))
  return names.map((name) => {
    const stem = name.replace(/[^A-Za-z0-9_]+/g, "_").replace(/^(?=\d|_*$)/, "v")
    let found = stem
    for (let i = 2; taken.has(found); i++) found = `${stem}_${i}`
    taken.add(found)
    return found
  })
}
