/* One graph for many samples: the graph of a sample is run for each of them, and what it computes
   is added up.  Its nodes are in arrays of numbers, which is many times faster than a graph that
   can be changed and looked at. */

/** @import { Graph } from "./engine.js" */

const LANES = 4 // sums that are made side by side
const BLOCK = 64 // samples after which they are added

/** The program of a graph whose rows have one or two operands. */
export class Batch {
  /**
   * @param {Graph} graph
   * @param {number} root
   * @param {number[]} columns leaves that have another number for each sample
   * @param {number[]} parameters leaves that have the same number for all
   */
  constructor(graph, root, columns, parameters) {
    this.columns = columns
    this.parameters = parameters
    const isUsed = new Uint8Array(graph.size)
    isUsed[root] = 1
    for (let node = root; node >= 0; node--)
      if (isUsed[node]) for (const operand of graph.operands[node]) isUsed[operand] = 1
    this.root = root
    this.data = Float64Array.from(graph.data)
    this.adjoints = new Float64Array(graph.size)
    this.nodes = [...isUsed.keys()].filter((node) => isUsed[node] && graph.ops[node])
    this.first = Int32Array.from(this.nodes, (node) => graph.operands[node][0])
    // a row of one operand has it twice; its second number is not read
    this.second = Int32Array.from(this.nodes, (node) => graph.operands[node].at(-1) ?? 0)
    const rows = this.nodes.map((node) => graph.rows[graph.ops[node]])
    this.forward = rows.map(({ forward }) => forward)
    this.partials = rows.map(({ partials }, k) =>
      partials.map((partial, i) => {
        const operand = graph.operands[this.nodes[k]][i]
        return graph.isConstant[operand] ? null : partial
      })
    )
  }

  /** Sets the parameters. @param {ArrayLike<number>} numbers */
  set(numbers) {
    this.parameters.forEach((leaf, i) => {
      this.data[leaf] = numbers[i]
    })
  }

  /** Computes all nodes for a sample, and returns the number of the root.
   * @param {ArrayLike<number>} row a number for each of the columns
   */
  value(row) {
    const { data, nodes, first, second, forward, columns } = this
    for (let i = 0; i < columns.length; i++) data[columns[i]] = row[i]
    for (let k = 0; k < nodes.length; k++)
      data[nodes[k]] = forward[k](data[first[k]], data[second[k]])
    return data[this.root]
  }

  /** Adds the gradient of the root, for the sample of the last `value`, to the sums.
   * @param {Float64Array} sums one for each parameter
   */
  addGradient(sums) {
    const { data, adjoints, nodes, first, second, partials, parameters } = this
    adjoints.fill(0)
    adjoints[this.root] = 1
    for (let k = nodes.length - 1; k >= 0; k--) {
      const out = data[nodes[k]]
      const adjoint = adjoints[nodes[k]]
      const x = data[first[k]]
      const rules = partials[k]
      const rule = rules[0]
      if (rules.length === 1) {
        if (rule) adjoints[first[k]] += rule(x, out) * adjoint
        continue
      }
      const y = data[second[k]]
      if (rule) adjoints[first[k]] += rule(x, y, out) * adjoint
      const other = rules[1]
      if (other) adjoints[second[k]] += other(x, y, out) * adjoint
    }
    for (let i = 0; i < parameters.length; i++) sums[i] += adjoints[parameters[i]]
  }

  /** Returns the mean of the root over samples, and the mean of its gradient.  Samples are added in
   * the order of Python; see `data.summation` there.
   * @param {ArrayLike<number>[]} rows
   */
  mean(rows) {
    const count = this.parameters.length
    const total = new Float64Array(count + 1) // the last entry is of the root
    let lanes = emptyLanes(count + 1)
    rows.forEach((row, i) => {
      const lane = lanes[i % LANES]
      lane[count] += this.value(row)
      this.addGradient(lane)
      if ((i + 1) % BLOCK && i + 1 < rows.length) return
      const [a, b, c, d] = lanes
      for (let k = 0; k <= count; k++) total[k] += a[k] + b[k] + (c[k] + d[k])
      lanes = emptyLanes(count + 1)
    })
    const means = total.map((x) => x / rows.length)
    return { loss: means[count], gradient: means.slice(0, count) }
  }
}

/** @param {number} count */
function emptyLanes(count) {
  return Array.from({ length: LANES }, () => new Float64Array(count))
}
