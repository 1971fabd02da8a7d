/* The types of the explorer's data, which page.py makes and documents field by field.  Modules
   import them in comments only, so no page contains this file. */

/**
 * A number, short and with all digits.
 * @typedef {{ text: string, exact: string }} Shown
 */

/**
 * A drawn node, see `_Fields.node`.
 * @typedef {object} DrawnNode
 * @property {string} label
 * @property {string} role
 * @property {string} op
 * @property {string} symbol
 * @property {string} name
 * @property {number} frame
 * @property {string} contents
 * @property {number} shows
 * @property {number[]} members
 * @property {boolean} grad
 * @property {string} opens
 */

/**
 * A drawn edge, see `_Fields.edge`.
 * @typedef {object} DrawnEdge
 * @property {number} source
 * @property {number} target
 * @property {boolean} derivative
 * @property {boolean} constant
 * @property {number} count
 * @property {[number, number][]} links
 */

/**
 * A module that is drawn as a frame, see `_Fields.frame`.
 * @typedef {{ path: string, parent: number, contents: string, output: number }} Frame
 */

/**
 * One drawing of the graph, see `drawing_data`.
 * @typedef {{ nodes: DrawnNode[], edges: DrawnEdge[], frames: Frame[] }} Drawn
 */

/**
 * What modules are collapsed in a drawing; "" for none.
 * @typedef {"" | "neurons" | "layers"} Level
 */

/**
 * The data of the page, see `page_data` and `explore`, and the drawing that is shown.
 * @typedef {object} Around
 * @property {string} title
 * @property {string[]} notes
 * @property {string[]} calls
 * @property {Partial<Record<Level, Drawn>>} others
 * @property {import("../live/recording.js").Program} program
 * @property {number} open
 * @property {Level} level what is collapsed when the page opens
 */

/** @typedef {Around & Drawn} PageData */

/**
 * What details are about.
 * @typedef {{ kind: "node" | "edge" | "frame", index: number }} Thing
 */

/**
 * The nodes and edges that have changed.
 * @typedef {{ nodes: Iterable<number>, edges: Iterable<number> }} Changed
 */

export {}
