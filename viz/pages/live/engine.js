/* The engine: a graph of scalars, its forward pass, its backward pass, and the rules of optimisers.

   const graph = new Graph(rows)            // rows: the table, written by tinygrad_edu
   const a = graph.leaf(2), b = graph.leaf(-3)
   const y = graph.apply("tanh", graph.apply("mul", a, b))
   graph.gradients(y)[a]                    // dy/da
   graph.set(a, 0.5)                        // computes again what depends on a

   A node is a number, its position in the order of execution: operands come before their users.  No
   program is text here, so a page that forbids `eval` can run it. */

/** A row of the table.
 * @typedef {object} Row
 * @property {(...x: number[]) => number} forward
 * @property {((...x: number[]) => number)[]} partials one for each operand, given all operands and
 *   the output
 */

/** A wrong idea about the backward pass; the fields are those of Python's `Misconception`.
 * @typedef {object} Misconception
 * @property {Record<string, ((...x: number[]) => number)[]>} [rules] wrong partials, by row
 * @property {boolean} [replaces]
 * @property {boolean} [is_naive]
 * @property {boolean} [ignores_adjoint]
 */

/** One step of a backward pass: the gradient of `node` changes along an edge of `user`.
 * @typedef {{node: number, user: number, operand: number, before: number, after: number,
 *   adjoint: number, flow: number}} Flow
 */

/** A graph of scalars. */
export class Graph {
  /** @param {Record<string, Row>} rows */
  constructor(rows) {
    this.rows = rows
    /** @type {string[]} the row of each node, "" for a leaf or a constant */
    this.ops = []
    /** @type {number[][]} the operands of each node */
    this.operands = []
    /** @type {number[]} */
    this.data = []
    /** @type {(number | null)[][]} the local derivatives; null for a constant operand */
    this.partials = []
    /** @type {boolean[]} */
    this.isConstant = []
  }

  get size() {
    return this.ops.length
  }

  /** Adds a leaf, or a constant, which gets no gradient; returns the node.
   * @param {number} x
   */
  leaf(x, isConstant = false) {
    return this.add("", [], x, [], isConstant)
  }

  /** Adds a node that a row computes, and returns it; plain numbers cannot be operands.
   * @param {string} op
   * @param {number[]} operands
   */
  apply(op, ...operands) {
    const count = this.#row(op).partials.length
    if (operands.length !== count)
      throw new RangeError(`${op}: the operands must be ${count}, not ${operands.length}`)
    const node = this.add(op, operands, 0, operands.map(() => 0))
    this.#compute(node)
    return node
  }

  /** Adds a node whose numbers are known, and returns it.
   * @param {string} op
   * @param {number[]} operands
   * @param {number} data
   * @param {(number | null)[]} partials
   */
  add(op, operands, data, partials, isConstant = false) {
    const wrong = operands.find((operand) => !(operand >= 0 && operand < this.size))
    if (wrong !== undefined) throw new RangeError(`operand ${wrong} of ${op} is not a node`)
    this.ops.push(op)
    this.operands.push(operands)
    this.data.push(data)
    this.partials.push(partials)
    this.isConstant.push(isConstant)
    return this.size - 1
  }

  /** Sets the number of a leaf, and computes again what depends on it; returns those nodes.
   * @param {number} leaf
   * @param {number} x
   */
  set(leaf, x) {
    if (this.ops[leaf] !== "") throw new RangeError(`node ${leaf} is not a leaf`)
    this.data[leaf] = x
    return this.recompute([leaf])
  }

  /** Computes again what depends on some nodes, in order of execution, and returns those nodes.
   * @param {Iterable<number>} changed
   */
  recompute(changed) {
    const isChanged = new Uint8Array(this.size)
    let first = this.size
    for (const node of changed) {
      isChanged[node] = 1
      first = Math.min(first, node)
    }
    const found = []
    for (let node = first; node < this.size; node++) {
      for (const operand of this.operands[node]) {
        if (!isChanged[operand]) continue
        this.#compute(node)
        isChanged[node] = 1
        found.push(node)
        break
      }
    }
    return found
  }

  /** @param {string} op */
  #row(op) {
    if (!Object.hasOwn(this.rows, op)) throw new RangeError(`the table has no row ${op}`)
    return this.rows[op]
  }

  /** Computes a node and its local derivatives.
   * @param {number} node
   */
  #compute(node) {
    const row = this.#row(this.ops[node])
    const { data, isConstant } = this
    const [i, j, ...rest] = this.operands[node]
    const x = data[i]
    const { partials } = row
    // rows of one and of two operands, which most are, without an array of the operands
    if (j === undefined) {
      const out = (data[node] = row.forward(x))
      this.partials[node] = [isConstant[i] ? null : partials[0](x, out)]
      return
    }
    const y = data[j]
    if (!rest.length) {
      const out = (data[node] = row.forward(x, y))
      this.partials[node] = [
        isConstant[i] ? null : partials[0](x, y, out),
        isConstant[j] ? null : partials[1](x, y, out)
      ]
      return
    }
    const all = [x, y, ...rest.map((k) => data[k])]
    const out = (data[node] = row.forward(...all))
    this.partials[node] = this.operands[node].map((k, at) =>
      isConstant[k] ? null : partials[at](...all, out)
    )
  }

  /** Returns the gradient of a root with respect to every node.
   * @param {number} root
   */
  gradients(root, seed = 1) {
    const gradients = new Float64Array(this.size)
    gradients[root] = seed
    for (let user = root; user >= 0; user--) {
      const adjoint = gradients[user]
      const operands = this.operands[user]
      const partials = this.partials[user]
      for (let i = 0; i < operands.length; i++) {
        const partial = partials[i]
        if (partial !== null) gradients[operands[i]] += partial * adjoint
      }
    }
    return gradients
  }

  /** Returns the derivative of a node with respect to one that it depends on, along the paths that
   * stay within some nodes.
   * @param {number} output
   * @param {number} input
   * @param {Set<number>} within
   */
  derivativeWithin(output, input, within) {
    const adjoints = new Map([[output, 1]])
    for (let user = output; user > input; user--) {
      const adjoint = adjoints.get(user)
      if (adjoint === undefined || !within.has(user)) continue
      this.operands[user].forEach((operand, i) => {
        const partial = this.partials[user][i]
        if (partial !== null)
          adjoints.set(operand, (adjoints.get(operand) ?? 0) + partial * adjoint)
      })
    }
    return adjoints.get(input) ?? 0
  }

  /** Returns the steps of a backward pass, right or after a wrong idea.
   * @param {number} root
   * @param {Misconception} idea
   * @param {number} most how many steps to return at most
   * @returns {Flow[]}
   */
  backward(root, idea = {}, most = Infinity) {
    const gradients = new Float64Array(this.size)
    gradients[root] = 1
    /** @type {Flow[]} */
    const flows = []
    for (const [user, operand] of this.#edges(root, idea.is_naive === true, most)) {
      const node = this.operands[user][operand]
      const before = gradients[node]
      const adjoint = idea.ignores_adjoint ? 1 : gradients[user]
      const flow = this.partialAfter(idea, user, operand) * adjoint
      gradients[node] = flow + (idea.replaces ? 0 : before)
      flows.push({ node, user, operand, before, after: gradients[node], adjoint, flow })
    }
    return flows
  }

  /** Returns a local derivative, right or after a wrong idea.
   * @param {Misconception} idea
   * @param {number} user
   * @param {number} operand
   */
  partialAfter(idea, user, operand) {
    const rule = idea.rules?.[this.ops[user]]?.[operand]
    if (!rule) return this.partials[user][operand] ?? 0
    return rule(...this.operands[user].map((i) => this.data[i]), this.data[user])
  }

  /** Yields the edges of the backward pass: all edges of a node after those of its users, or as
   * recursion without an order finds them.
   * @param {number} root
   * @param {boolean} isNaive
   * @param {number} most
   * @returns {Generator<[number, number]>}
   */
  *#edges(root, isNaive, most) {
    const isReached = new Uint8Array(this.size)
    isReached[root] = 1
    if (isNaive) {
      const waiting = this.#edgesOf(root).reverse()
      for (let step = 0; step < most && waiting.length; step++) {
        const edge = /** @type {[number, number]} */ (waiting.pop())
        yield edge
        waiting.push(...this.#edgesOf(this.operands[edge[0]][edge[1]]).reverse())
      }
      return
    }
    let count = 0
    for (let user = root; user >= 0; user--) {
      if (!isReached[user]) continue
      for (const edge of this.#edgesOf(user)) {
        if (count++ === most) return
        isReached[this.operands[user][edge[1]]] = 1
        yield edge
      }
    }
  }

  /** @param {number} user @returns {[number, number][]} */
  #edgesOf(user) {
    /** @type {[number, number][]} */
    const edges = []
    this.partials[user].forEach((partial, i) => {
      if (partial !== null) edges.push([user, i])
    })
    return edges
  }

  /** Returns the derivative of a root with respect to a leaf by a central difference, and its step.
   * The graph is afterwards as it was.
   * @param {number} root
   * @param {number} leaf
   */
  difference(root, leaf) {
    const { data, partials } = this
    const x = data[leaf]
    const step = Math.cbrt(Number.EPSILON) * Math.max(1, Math.abs(x))
    const [high, low] = [x + step, x - step].map((moved) => {
      this.data = [...data]
      this.partials = [...partials]
      this.set(leaf, moved)
      return { at: moved, y: this.data[root] }
    })
    Object.assign(this, { data, partials })
    return { value: (high.y - low.y) / (high.at - low.at), step }
  }
}

// ---- optimisers ----

/** The state of an optimiser: how many steps were done, and its numbers for each parameter.
 * @typedef {{steps: number, slots: number[][]}} OptimizerState
 */

/** The update of one parameter: its data, its gradient, its slots (which it changes), the rate and
 * the number of the step; it returns the new data.
 * @typedef {(data: number, grad: number, slots: number[], lr: number, t: number) => number} Update
 */

/** The rules of the optimisers, with Python's order of operations; each takes its options.
 * @type {Record<string, (options?: Record<string, any>) => Update>}
 */
export const OPTIMIZERS = {
  SGD: ({ momentum = 0, nesterov = false, weight_decay = 0 } = {}) =>
    (data, grad, slots, lr) => {
      if (weight_decay) grad = grad + weight_decay * data
      if (!momentum) return data - lr * grad
      const velocity = momentum * (slots[0] ?? 0) + grad
      slots[0] = velocity
      return data - lr * (nesterov ? grad + momentum * velocity : velocity)
    },
  RMSprop: ({ alpha = 0.99, eps = 1e-8, momentum = 0, weight_decay = 0 } = {}) =>
    (data, grad, slots, lr) => {
      if (weight_decay) grad = grad + weight_decay * data
      slots[0] = alpha * (slots[0] ?? 0) + (1 - alpha) * grad * grad
      const scale = Math.sqrt(slots[0]) + eps
      if (!momentum) return data - (lr * grad) / scale
      slots[1] = momentum * (slots[1] ?? 0) + grad / scale
      return data - lr * slots[1]
    },
  Adam: ({ betas = [0.9, 0.999], eps = 1e-8, weight_decay = 0 } = {}) =>
    (data, grad, slots, lr, t) =>
      adam(data, weight_decay ? grad + weight_decay * data : grad, slots, lr, t, betas, eps),
  AdamW: ({ betas = [0.9, 0.999], eps = 1e-8, weight_decay = 0.01 } = {}) =>
    (data, grad, slots, lr, t) =>
      adam(weight_decay ? data * (1 - lr * weight_decay) : data, grad, slots, lr, t, betas, eps)
}

/** @type {(...x: [number, number, number[], number, number, number[], number]) => number} */
function adam(data, grad, slots, lr, t, [beta1, beta2], eps) {
  const mean = between(slots[0] ?? 0, grad, 1 - beta1)
  const square = beta2 * (slots[1] ?? 0) + (1 - beta2) * grad * grad
  slots[0] = mean
  slots[1] = square
  const scale = Math.sqrt(square) / (1 - beta2 ** t) ** 0.5 + eps
  return data - ((lr / (1 - beta1 ** t)) * mean) / scale
}

/** Returns x + weight * (y - x), exact for weights 0 and 1.
 * @type {(x: number, y: number, weight: number) => number}
 */
function between(x, y, weight) {
  return weight < 0.5 ? x + weight * (y - x) : y - (y - x) * (1 - weight)
}

/** Does one step of an optimiser: returns the new numbers of the parameters, and changes the state.
 * @param {Update} update
 * @param {ArrayLike<number>} data
 * @param {ArrayLike<number>} grads
 * @param {OptimizerState} state
 * @param {number} lr
 */
export function step(update, data, grads, state, lr) {
  state.steps += 1
  return Array.from(data, (x, i) => {
    state.slots[i] ??= []
    return update(x, grads[i], state.slots[i], lr, state.steps)
  })
}
