/* The types of the data of a training run, which records.py and page.py make and document field by
   field, and what is computed from them.  It does not use the page: tests run it in node. */

/** @import { Pair } from "../plot.js" */

/**
 * A number, or null where there is no finite one.
 * @typedef {number | null} Maybe
 */

/**
 * The model before the update of one step, see `Frame` in records.py.
 * @typedef {object} Frame
 * @property {number} step
 * @property {string} loss
 * @property {string} learning_rate
 * @property {Maybe[]} gradients
 * @property {Maybe[][]} scores
 * @property {number[][]} winners
 * @property {Maybe[][]} curves
 * @property {Maybe[]} predictions
 */

/**
 * The graph of a sample: data before the update, gradient, and data after it, as text, in
 * `numbers[frame][node]`.
 * @typedef {object} Sample
 * @property {number} point
 * @property {number} scene
 * @property {string} text
 * @property {[string, string, string][][]} numbers
 */

/**
 * The data of the page, see `RunRecords` and `page_data`.
 * @typedef {object} PageData
 * @property {import("./going_on.js").GoingOn | null} goingOn what the playground needs to go on
 * @property {"boundary" | "fit" | "regression" | "none"} kind
 * @property {{ label: string, low: number, high: number }[]} axes
 * @property {{ x: number, y: Maybe, kind: number }[]} points
 * @property {string[]} classes
 * @property {number[]} xs
 * @property {number[]} ys
 * @property {[number, Maybe][]} loss
 * @property {number} steps
 * @property {string[]} layers
 * @property {Frame[]} frames
 * @property {string[]} notes
 * @property {string[]} calls
 * @property {string} caption
 * @property {Pair} lossRange
 * @property {boolean} lossLogarithmic
 * @property {Pair} layerRange
 * @property {{ shown: number[], names: string[] }[]} scenes
 * @property {Sample[]} samples
 */

/**
 * Returns the segments of the line where the score is 0, by marching squares: in each cell of the
 * grid, between the crossings of its sides.
 * @param {Maybe[][]} scores
 * @param {{ xs: number[], ys: number[] }} grid
 */
export function zeroLine(scores, { xs, ys }) {
  /** @type {Pair[][]} */
  const segments = []
  for (let row = 0; row + 1 < ys.length; row++) {
    for (let column = 0; column + 1 < xs.length; column++) {
      const corners = [
        [row, column],
        [row, column + 1],
        [row + 1, column + 1],
        [row + 1, column]
      ]
      /** @type {Pair[]} */
      const found = []
      corners.forEach(([r, c], k) => {
        const [r2, c2] = corners[(k + 1) % 4]
        const a = Number(scores[r][c]) // 0 for null, as in arithmetic
        const b = Number(scores[r2][c2])
        if (a > 0 !== b > 0 && Number.isFinite(a - b)) {
          const t = a / (a - b)
          found.push([xs[c] + (xs[c2] - xs[c]) * t, ys[r] + (ys[r2] - ys[r]) * t])
        }
      })
      for (let k = 0; k + 1 < found.length; k += 2) segments.push([found[k], found[k + 1]])
    }
  }
  return segments
}

/**
 * Returns the index of the first smallest number; -1 if all are nan.
 * @param {number[]} numbers
 */
export function smallest(numbers) {
  return numbers.reduce((best, x, i) => (x < (numbers[best] ?? Infinity) ? i : best), -1)
}

/**
 * Returns a name of at most 15 characters: the end of a long one.
 * @param {string} name
 */
export function shortened(name) {
  return name.length > 14 ? `...${name.slice(-12)}` : name
}
