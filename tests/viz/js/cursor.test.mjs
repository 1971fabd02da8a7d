/* The explorer's cursor on y = a * b + a, by hand: a = 2, b = -3. */

import assert from "node:assert/strict"
import { test } from "node:test"

import { Cursor, called } from "../../../viz/pages/explorer/cursor.js"

const LEAF = { role: "input", frame: -1, contents: "", right: null, opens: "", since: 0, grad: true }
const OPERATION = { ...LEAF, role: "operation", label: "", given: null }
const NODES = [
  { ...LEAF, label: "a", op: "", symbol: "", name: "a", given: ["2.0000", "2.0"] },
  { ...LEAF, label: "b", op: "", symbol: "", name: "b", given: ["-3.0000", "-3.0"] },
  { ...OPERATION, op: "mul", symbol: "×", name: "v1", since: 1 },
  { ...OPERATION, label: "y", op: "add", symbol: "+", name: "y", since: 2 }
]
const EDGES = [[0, 2, 1], [1, 2, 1], [2, 3, 2], [0, 3, 2]].map(([source, target, since]) => ({
  source, target, since, derivative: ["1", "1.0"], constant: false, links: 1
}))

// number, node, text, edge, flowed: two steps forward, the seed, and one for each edge
const ROWS = [
  [1, 2, "-6.0000", -1, ""],
  [2, 3, "-4.0000", -1, ""],
  [3, 3, "1.0000", -1, ""],
  [4, 2, "1.0000", 2, "1"],
  [5, 0, "1.0000", 3, "1"],
  [6, 0, "-2.0000", 0, "-3"],
  [7, 1, "2.0000", 1, "inf"]
]

function page() {
  const column = (i) => ROWS.map((row) => row[i])
  const same = (text) => ROWS.map(() => text)
  return {
    nodes: NODES,
    edges: EDGES,
    forward: 2,
    steps: {
      number: column(0), node: column(1), text: column(2), exact: column(2), edge: column(3),
      flow: column(4), flowed: column(4), lead: same(""), rest: same(""), formula: same("")
    }
  }
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
  const cursor = new Cursor(page())
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
  const states = ROWS.map((_, position) => {
    const cursor = new Cursor(page())
    cursor.seek(position)
    return state(cursor)
  })
  const cursor = new Cursor(page())
  for (const from of states.keys()) {
    for (const to of states.keys()) {
      cursor.seek(from)
      cursor.seek(to)
      assert.deepEqual(state(cursor), states[to], `from ${from} to ${to}`)
    }
  }
})

test("a jump names exactly the nodes and edges that it changes", () => {
  const cursor = new Cursor(page())
  assert.deepEqual(cursor.seek(0), { nodes: new Set(), edges: new Set() })
  assert.deepEqual(cursor.seek(1), { nodes: new Set([2]), edges: new Set([0, 1]) })
  cursor.seek(4)
  assert.deepEqual(cursor.seek(6), { nodes: new Set([0]), edges: new Set([3, 0]) })
  assert.deepEqual(cursor.seek(4), { nodes: new Set([0]), edges: new Set([0, 3]) })
})

test("steps know their phase, their node's forward step, and the sums", () => {
  const cursor = new Cursor(page())
  assert.deepEqual(cursor.steps.map(({ phase }) => phase).indexOf("backward"), 2)
  assert.deepEqual(cursor.computation.map((step) => step?.number ?? null), [null, null, 1, 2])
  assert.deepEqual(cursor.contributions.map((steps) => steps.length), [2, 1, 1, 1])
  assert.equal(cursor.steps[6].flowed, Infinity)
})

test("a page without steps stays at its start", () => {
  const cursor = new Cursor({ ...page(), forward: 0, steps: {} })
  assert.equal(cursor.steps.length, 0)
  assert.equal(cursor.step, null)
  assert.equal(cursor.data(2).text, "")
})

test("a node is called by its label, its name or its symbol", () => {
  assert.equal(called(NODES[3]), "y")
  assert.equal(called(NODES[2]), "v1")
  assert.equal(called({ ...NODES[2], name: "" }), "×")
})
