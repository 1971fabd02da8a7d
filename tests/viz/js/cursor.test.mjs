/* The explorer's cursor on y = a * b + a, by hand: a = 2, b = -3. */

import assert from "node:assert/strict"
import { test } from "node:test"

import { Cursor, called } from "../../../viz/pages/explorer/cursor.js"
import { Recording } from "../../../viz/pages/live/recording.js"

const LEAF = { role: "input", op: "", symbol: "", frame: -1, contents: "", opens: "", grad: true }
const NODES = [
  { ...LEAF, label: "a", name: "a", shows: 0, members: [0] },
  { ...LEAF, label: "b", name: "b", shows: 1, members: [1] },
  {
    ...LEAF, role: "operation", label: "", op: "mul", symbol: "\u00d7", name: "v3", shows: 2,
    members: [2]
  },
  {
    ...LEAF, role: "output", label: "y", op: "add", symbol: "+", name: "y", shows: 3, members: [3]
  }
]
const EDGES = [[0, 2, 0], [1, 2, 1], [2, 3, 0], [0, 3, 1]].map(([source, target, operand]) => ({
  source, target, links: [[target, operand]], derivative: true, constant: false, count: 1
}))
const PROGRAM = {
  rows: ["mul", "add"],
  ops: [-1, -1, 0, 1],
  operands: [[], [], [0, 1], [2, 0]],
  data: [2, -3, -6, -4],
  partials: [[], [], [-3, 2], [1, 1]],
  names: ["a", "b", "v3", "y"],
  constants: [],
  ideas: {},
  idea: "",
  isAlive: true
}
const ROWS = {
  mul: { forward: (x, y) => x * y, partials: [(x, y) => y, (x) => x] },
  add: { forward: (x, y) => x + y, partials: [() => 1, () => 1] }
}
const STEPS = 7 // two forward, the seed, and one for each edge

function cursorOf(nodes = NODES, edges = EDGES) {
  const recording = new Recording(structuredClone(PROGRAM), ROWS, {})
  return new Cursor({ nodes, edges, frames: [], program: PROGRAM }, recording)
}

/** Returns everything that a cursor shows at its position. */
function state(cursor) {
  return {
    data: NODES.map((_, node) => cursor.data(node).text),
    grad: NODES.map((_, node) => cursor.grad(node).text),
    edges: cursor.now.edge.map((step) => step?.number ?? null),
    step: cursor.step?.number ?? null
  }
}

test("numbers appear step by step, and gradients add up", () => {
  const cursor = cursorOf()
  assert.deepEqual(state(cursor), {
    data: ["2.0000", "-3.0000", "?", "?"],
    grad: ["0.0000", "0.0000", "0.0000", "0.0000"],
    edges: [null, null, null, null],
    step: null
  })
  cursor.seek(2)
  assert.deepEqual(state(cursor).data, ["2.0000", "-3.0000", "-6.0000", "-4.0000"])
  cursor.seek(5)
  assert.deepEqual(state(cursor).grad, ["1.0000", "0.0000", "1.0000", "1.0000"])
  cursor.seek(7)
  assert.deepEqual(state(cursor).grad, ["-2.0000", "2.0000", "1.0000", "1.0000"])
  assert.deepEqual(state(cursor).edges, [6, 7, 4, 5])
})

test("every jump, forward or back, shows the same as going there from the start", () => {
  const states = Array.from({ length: STEPS + 1 }, (_, position) => {
    const cursor = cursorOf()
    cursor.seek(position)
    return state(cursor)
  })
  const cursor = cursorOf()
  for (const from of states.keys()) {
    for (const to of states.keys()) {
      cursor.seek(from)
      cursor.seek(to)
      assert.deepEqual(state(cursor), states[to], `from ${from} to ${to}`)
    }
  }
})

test("a jump names exactly the nodes and edges that it changes", () => {
  const cursor = cursorOf()
  assert.deepEqual(cursor.seek(0), { nodes: new Set(), edges: new Set() })
  assert.deepEqual(cursor.seek(1), { nodes: new Set([2]), edges: new Set([0, 1]) })
  cursor.seek(4)
  assert.deepEqual(cursor.seek(6), { nodes: new Set([0]), edges: new Set([3, 0]) })
  assert.deepEqual(cursor.seek(4), { nodes: new Set([0]), edges: new Set([0, 3]) })
})

test("steps know their phase, their node's forward step, and the sums", () => {
  const cursor = cursorOf()
  assert.deepEqual(cursor.steps.map(({ phase }) => phase).indexOf("backward"), 2)
  assert.deepEqual(cursor.computation.map((step) => step?.number ?? null), [null, null, 1, 2])
  assert.deepEqual(cursor.contributions.map((steps) => steps.length), [2, 1, 1, 1])
  assert.equal(cursor.steps.length, STEPS)
  assert.deepEqual(cursor.steps.slice(3).map(({ flowed }) => flowed), [1, 1, -3, 2])
})

test("a page without steps stays at its start", () => {
  const cursor = cursorOf([], [])
  assert.equal(cursor.steps.length, 0)
  assert.equal(cursor.step, null)
})

test("a changed leaf changes the numbers of the same steps", () => {
  const cursor = cursorOf()
  cursor.seek(STEPS)
  cursor.recording.change(new Map([[1, 4]]))
  cursor.refresh()
  assert.deepEqual(state(cursor).data, ["2.0000", "4.0000", "8.0000", "10.000"])
  assert.deepEqual(state(cursor).grad, ["5.0000", "2.0000", "1.0000", "1.0000"])
  assert.equal(cursor.derivative(0).text, "4")
})

test("a node is called by its label, its name or its symbol", () => {
  assert.equal(called(NODES[3]), "y")
  assert.equal(called(NODES[2]), "v3")
  assert.equal(called({ ...NODES[2], name: "" }), "\u00d7")
})
