/* Answers as people write them, and their marks. */

const NUMBER = /^[+-]?(\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d+)?$/i

/**
 * A question; `known` has answers with their tolerance and what to say, the right one first.
 * @typedef {{ name: string, text: string, choices: string[], answer: string,
 *   known: [number | string, number, string][], hints: string[], solution: string[],
 *   picture: string }} Question
 */

/**
 * Returns the number that a text stands for: "-9", "-9,0", "-18/2", "1e1"; NaN if there is none.
 * @param {string} text
 */
function numberIn(text) {
  const plain = text.replace(/[\u2212\u2013]/g, "-").replace(/^\s*(answer|=)\s*/i, "")
  const parts = plain.split("/").map((part) => part.trim())
  // "1,000" may be one or a thousand
  if (parts.length > 2 || !parts.every((part) => NUMBER.test(part) && !/,\d{3}$/.test(part))) {
    return Number.NaN
  }
  const [top, bottom] = parts.map((part) => Number(part.replace(",", ".")))
  const found = Number(top) / (bottom ?? 1)
  return Number.isFinite(found) ? found : Number.NaN
}

/**
 * Returns the mark of an answer: whether it is right, whether it could be read, and what to say.
 * @param {Question} question
 * @param {string} given
 */
export function markOf(question, given) {
  if (question.choices.length) {
    const found = question.known.find(([choice]) => choice === given)
    const isRight = given === question.answer
    const said = isRight ? `Yes: ${given}.` : (found?.[2] ?? "Choose an answer.")
    return { isRight, isRead: found !== undefined, said }
  }
  const number = numberIn(given)
  if (Number.isNaN(number)) {
    return { isRight: false, isRead: false, said: "Write a number, such as -9, 0.5 or 3/4." }
  }
  const position = question.known.findIndex(
    ([wanted, tolerance]) => Math.abs(number - Number(wanted)) <= tolerance
  )
  const found = question.known[position]
  if (position === 0) return { isRight: true, isRead: true, said: `Yes: ${question.answer}.` }
  const said = found?.[2] ?? `Not yet: ${given} is not the answer.`
  return { isRight: false, isRead: true, said }
}
