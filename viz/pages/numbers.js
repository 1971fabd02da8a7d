/* Numbers and texts of all pages, without the page: tests run this file in node. */

/**
 * Returns the number that is nearest to `x` between two bounds.
 * @param {number} x
 * @param {number} low
 * @param {number} high
 */
export function clamp(x, low, high) {
  return Math.min(Math.max(x, low), high)
}

/**
 * Returns the number that Python wrote as text, infinities and nan included.
 * @param {string} text
 */
export function toNumber(text) {
  /** @type {Record<string, number>} */
  const infinities = { inf: Infinity, "-inf": -Infinity }
  return infinities[text] ?? Number(text)
}

/**
 * Returns the size of a number on a logarithmic scale, from 0 (1e-4 and below) to 1 (about 500 and
 * above).
 * @param {number} x
 */
export function magnitude(x) {
  if (Number.isNaN(x)) return 0
  return clamp((Math.log10(Math.abs(x)) + 4) / 6.67, 0, 1)
}

/**
 * Returns the width of an edge for its gradient: 1 at 1e-4 and below, 4 at 1, 6 at most.
 * @param {number} x
 */
export function flowWidth(x) {
  return 1 + 5 * magnitude(x)
}

/**
 * Returns the class of a number: positive, negative, zero or undefined (nan).
 * @param {number} x
 */
export function signName(x) {
  if (Number.isNaN(x)) return "undefined"
  if (x === 0) return "zero"
  return x > 0 ? "positive" : "negative"
}

/**
 * Returns how far an interval must move to lie between two bounds: 0 if it does, else to the
 * middle, where its surroundings are in sight too.  If it is too long, its start moves to the lower
 * bound.
 * @param {number} start
 * @param {number} end
 * @param {number} low
 * @param {number} high
 */
export function shift(start, end, low, high) {
  if (end - start > high - low) return low - start
  return start < low || end > high ? (low + high - start - end) / 2 : 0
}

/**
 * Returns those of the parts that exist as one text.
 * @param {(string | false | null | undefined)[]} parts
 */
export function joined(parts, separator = ", ") {
  return parts.filter(Boolean).join(separator)
}
