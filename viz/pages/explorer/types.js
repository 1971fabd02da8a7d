/* The types of the explorer's data, which page.py makes and documents field by field.  Modules
   import them in comments only, so no page contains this file. */

/**
 * A number, short and with all digits; as text that Python made.
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
 * @property {[string, string] | null} given
 * @property {boolean} grad
 * @property {number} since
 * @property {string | null} right
 * @property {string} opens
 */

/**
 * A drawn edge, see `_Fields.edge`.
 * @typedef {object} DrawnEdge
 * @property {number} source
 * @property {number} target
 * @property {[string, string] | null} derivative
 * @property {boolean} constant
 * @property {number} links
 * @property {number} since
 */

/**
 * A module that is drawn as a frame, see `_Fields.frame`.
 * @typedef {{ path: string, parent: number, contents: string, output: number }} Frame
 */

/**
 * The fields of a step that Python made, see `_Fields.steps`.
 * @typedef {object} StepFields
 * @property {number} number
 * @property {number} node
 * @property {string | null} text
 * @property {string} exact
 * @property {number} edge
 * @property {string} flow
 * @property {string} flowed
 * @property {string} lead
 * @property {string} rest
 * @property {string} formula
 */

/**
 * The steps as one list for each field; a page may have no steps, and then no fields.
 * @typedef {{ [Field in keyof StepFields]?: StepFields[Field][] }} Columns
 */

/**
 * What `Cursor` adds to a step: its index, its phase, which number it sets, and the steps before it
 * that set the same number of the same node, or of the same edge.
 * @typedef {object} StepLinks
 * @property {number} index
 * @property {"forward" | "backward"} phase
 * @property {"data" | "grad" | null} sets
 * @property {Step | null} earlier
 * @property {Step | null} earlierHere
 * @property {number} flowed
 */

/**
 * A step of the page.
 * @typedef {Omit<StepFields, "flowed"> & StepLinks} Step
 */

/**
 * The data of the page, see `page_data` and `explore`.
 * @typedef {object} PageData
 * @property {string} title
 * @property {number} total
 * @property {number} forward
 * @property {"topological" | "naive"} order
 * @property {string} given
 * @property {string[]} notes
 * @property {Record<number, [string, string]>} marks
 * @property {DrawnNode[]} nodes
 * @property {DrawnEdge[]} edges
 * @property {Frame[]} frames
 * @property {Columns} steps
 * @property {number} open
 */

/**
 * What details are about.
 * @typedef {{ kind: "node" | "edge" | "frame", index: number }} Thing
 */

/**
 * The nodes and edges that have changed.
 * @typedef {{ nodes: Iterable<number>, edges: Iterable<number> }} Changed
 */

export {}
