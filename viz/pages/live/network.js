/* Networks on the engine of pages, with the weights that `nn.MLP` of tinygrad_edu draws from the
   same random seed. */

/** @import { Graph } from "./engine.js" */
/** @import { Random } from "./random.js" */

/** Draws a weight. @typedef {(fanIn: number, fanOut: number, random: Random) => number} Initialiser
 */

/** @type {Record<string, Initialiser>} */
export const INITIALISERS = {
  uniform: (_fanIn, _fanOut, random) => random.uniform(-1, 1),
  xavier: (fanIn, fanOut, random) => {
    const limit = Math.sqrt(6 / (fanIn + fanOut))
    return random.uniform(-limit, limit)
  },
  he: (fanIn, _fanOut, random) => random.gauss(0, Math.sqrt(2 / fanIn))
}

const SLOPE = 0.01 // of leaky_relu, as in Python

/** A layer of neurons, activation(b + w . x); its weights are leaves of a graph. */
export class Layer {
  /**
   * @param {Graph} graph
   * @param {number} inputs
   * @param {number} outputs
   * @param {string} activation a row of the table, or "linear"
   * @param {Initialiser} init
   * @param {Random} random
   */
  constructor(graph, inputs, outputs, activation, init, random) {
    this.graph = graph
    this.activation = activation
    this.neurons = Array.from({ length: outputs }, () => ({
      w: Array.from({ length: inputs }, () => graph.leaf(init(inputs, outputs, random))),
      b: graph.leaf(0)
    }))
  }

  /** The weights, each neuron's bias after its weights. @returns {number[]} */
  get parameters() {
    return this.neurons.flatMap(({ w, b }) => [...w, b])
  }

  /** Returns the nodes of the outputs. @param {number[]} inputs nodes */
  apply(inputs) {
    const { graph, activation } = this
    return this.neurons.map(({ w, b }) => {
      const sum = inputs.reduce((y, x, i) => graph.apply("add", y, graph.apply("mul", w[i], x)), b)
      if (activation === "linear") return sum
      // the only one with a parameter: its slope below 0
      const more = activation === "leaky_relu" ? [graph.leaf(SLOPE, true)] : []
      return graph.apply(activation, sum, ...more)
    })
  }
}

/** Returns the node of a sum, added from the left. @param {Graph} graph @param {number[]} nodes */
export function total(graph, nodes) {
  return nodes.reduce((sum, node) => graph.apply("add", sum, node))
}

/** Returns the node of the mean of some nodes. @param {Graph} graph @param {number[]} nodes */
export function mean(graph, nodes) {
  return graph.apply("div", total(graph, nodes), graph.leaf(nodes.length, true))
}

/** Returns the node of the binary cross-entropy of a logit.
 * @param {Graph} graph @param {number} logit @param {number} target 0 or 1
 */
export function binaryCrossEntropy(graph, logit, target) {
  return graph.apply("softplus", target ? graph.apply("neg", logit) : logit)
}
