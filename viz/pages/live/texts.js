/* Numbers as text, with the digits that Python writes: `repr`, `number_text`, `label_number` and
   `short_number` there are these functions here. */

import { toNumber } from "../numbers.js"

// letters of scripts that are written from right to left, with the spaces between them
const LETTER = "[\\u0590-\\u08ff\\ufb1d-\\ufdff\\ufe70-\\ufefc]"
const RIGHT_TO_LEFT = new RegExp(`${LETTER}(?:[\\s\\d]*${LETTER})*`, "g")
const SMALLEST_NORMAL = 2 ** -1022
const MOST_DIGITS = 10 // of `shortNumber`, for numbers that would look whole with fewer

/** Returns the significant digits of a number that is not 0, without its sign, and the exponent of
 * the first one.  Ties are rounded to even, as in Python; `toExponential` rounds them up.
 * @param {number} x
 * @param {number} [count] by default as many as tell the number from all others
 * @returns {[string, number]}
 */
function digitsOf(x, count) {
  const size = Math.abs(x)
  const [mantissa, exponent] = size.toExponential().split("e")
  const shortest = mantissa.replace(".", "")
  if (!count) return [shortest, Number(exponent)]
  // below it a float has fewer digits than its shortest text could be filled up to
  if (shortest.length <= count && size > SMALLEST_NORMAL)
    return [shortest.padEnd(count, "0"), Number(exponent)]
  let text = size.toExponential(count - 1)
  if (shortest.length === count + 1 && shortest.endsWith("5")) {
    const tie = size.toExponential(count + 19).match(/^(.*[02468]\.?)50{19}(e.*)$/)
    if (tie) text = tie[1] + tie[2]
  }
  const [digits, power] = text.split("e")
  return [digits.replace(".", ""), Number(power)]
}

/** Returns digits with their point, without exponent.
 * @type {(digits: string, exponent: number) => string}
 */
function pointed(digits, exponent) {
  if (exponent < 0) return `0.${"0".repeat(-exponent - 1)}${digits}`
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, "0")
  const rest = digits.slice(exponent + 1)
  return rest ? `${whole}.${rest}` : whole
}

/** @param {number} x */
const sign = (x) => (x < 0 || Object.is(x, -0) ? "-" : "")

/** Returns inf, -inf or nan. @param {number} x */
const unbounded = (x) => (Number.isNaN(x) ? "nan" : x > 0 ? "inf" : "-inf")

/** @param {string} text */
const withoutZeros = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text)

/** Returns the shortest text that Python reads back as the same number.
 * @param {number} x
 */
export function repr(x) {
  if (!Number.isFinite(x)) return unbounded(x)
  if (x === 0) return `${sign(x)}0.0`
  const [digits, exponent] = digitsOf(x)
  if (exponent >= -4 && exponent < 16) {
    const text = pointed(digits, exponent)
    return sign(x) + (text.includes(".") ? text : `${text}.0`)
  }
  const size = String(Math.abs(exponent)).padStart(2, "0")
  return `${sign(x)}${withoutZeros(pointed(digits, 0))}e${exponent < 0 ? "-" : "+"}${size}`
}

/** Returns a number with five significant digits (four below 1) and trailing zeros.
 * @param {number} x
 */
export function numberText(x) {
  if (!Number.isFinite(x)) return unbounded(x)
  if (x === 0) return "0.0000" // never -0
  const size = Math.abs(x)
  if (size >= 1 && size < 99999.5) return sign(x) + pointed(...digitsOf(x, 5))
  if (size >= 1e-3 && size < 1) {
    const [digits, exponent] = digitsOf(x, 4)
    return sign(x) + pointed(size >= 0.1 ? digits.padEnd(exponent + 5, "0") : digits, exponent)
  }
  const [digits, exponent] = digitsOf(x, 5)
  return `${sign(x)}${pointed(digits, 0)}e${exponent}`
}

/** Returns `numberText` without trailing zeros.
 * @param {number} x
 */
export function labelNumber(x) {
  const [mantissa, exponent] = numberText(x).split("e")
  return withoutZeros(mantissa) + (exponent === undefined ? "" : `e${exponent}`)
}

/** Returns a number with four digits, as a person writes it: -3, 0.7071, 1.7e-17.  A number that is
 * not whole gets enough digits, at most ten, not to look whole.  null is "?": not computed yet.
 * @param {number | null} x
 */
export function shortNumber(x) {
  if (x === null) return "?"
  if (!Number.isFinite(x)) return unbounded(x)
  const size = Math.abs(x)
  if (size < 1e6 && Number.isInteger(x)) return String(x === 0 ? 0 : x)
  for (let count = 4; count <= MOST_DIGITS; count++) {
    const text = withDigits(x, count)
    if (size >= 1e4 || !Number.isInteger(Number(text))) return text
  }
  return x.toFixed(0)
}

/** @type {(x: number, count: number) => string} */
function withDigits(x, count) {
  const [digits, exponent] = digitsOf(x, count)
  if (exponent >= -4 && exponent < count) return sign(x) + withoutZeros(pointed(digits, exponent))
  return `${sign(x)}${withoutZeros(pointed(digits, 0))}e${exponent}`
}

/** Returns whether a text has two meanings: 1,000 is one to some people and a thousand to others.
 * @param {string} text
 */
export function isAmbiguous(text) {
  return /^\s*[+\u2212-]?[1-9]\d{0,2},\d{3}\s*$/.test(text)
}

/** Returns the number that a person or `repr` wrote, or null: -3, \u22120.5, 1e-3, 0,5, inf.
 * @param {string} text
 */
export function readNumber(text) {
  if (isAmbiguous(text)) return null
  const plain = text.trim().replace("\u2212", "-").replace(",", ".")
  if (/^([+-]?inf|nan)$/i.test(plain)) return toNumber(plain.toLowerCase().replace("+", ""))
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(plain) ? Number(plain) : null
}

/** Returns a sentence in which names that are written from right to left do not turn it round.
 * @param {string} sentence
 */
export function isolated(sentence) {
  return sentence.replace(RIGHT_TO_LEFT, "\u2068$&\u2069")
}
