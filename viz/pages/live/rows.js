/* The table, and the rules of the wrong ideas.  Python writes this module anew for every page, with
   the rows that the page needs (`rows` of program.py). */

/** @type {Record<string, import("./engine.js").Row>} */
export const ROWS = {}

/** @type {Record<string, import("./engine.js").Misconception["rules"]>} */
export const WRONG_RULES = {}
