/* The state of a page in its address, which anyone may have written. */

/** @typedef {{step: number | null, idea: string, leaves: string[]}} State */

/** Returns the part of the address behind #.
 * @param {{step: number, idea: string, leaves: string[]}} state
 */
export function toAddress({ step, idea, leaves }) {
  const fields = new URLSearchParams({ step: String(step) })
  if (idea) fields.set("idea", idea)
  for (const leaf of leaves) fields.append("leaf", leaf)
  return `#${fields}`
}

/** Returns the state that an address has; what it does not mean is left out.
 * @param {string} hash
 * @returns {State}
 */
export function fromAddress(hash) {
  const fields = new URLSearchParams(hash.slice(1))
  const step = fields.get("step") ?? ""
  return {
    step: /^\d{1,9}$/.test(step) ? Number(step) : null,
    idea: fields.get("idea") ?? "",
    leaves: fields.getAll("leaf")
  }
}
