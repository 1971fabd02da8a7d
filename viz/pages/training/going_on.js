/* Goes on with a training run: the playground, with the model of a snapshot. */

import { create } from "../elements.js"
import { Board } from "../playground/board.js"
import { usual } from "../playground/run/state.js"

/** What Python says of the run; see going_on.py.
 * @typedef {{ state: any, points: [number, number, number][], weights: number[][],
 *   rates: number[], table: import("../playground/run/state.js").Table,
 *   texts: import("../playground/board.js").Texts, style: string }} GoingOn
 */

const NOTE =
  "The run goes on from the weights of this snapshot. The optimiser begins anew, with the " +
  "learning rate of this step."

/** Opens the playground with the model before the update of a snapshot.
 * @param {HTMLDialogElement} dialog
 * @param {GoingOn} given
 * @param {number} snapshot
 */
export function goOn(dialog, given, snapshot) {
  const close = create("button", { type: "button", text: "Back to the run", onclick: () => {
    dialog.close()
  } })
  const note = create("p", { text: NOTE })
  const host = create("div", {})
  // styles of their own: names of classes mean something else on this page
  const shadow = host.attachShadow({ mode: "open" })
  const sheet = new CSSStyleSheet()
  sheet.replaceSync(given.style)
  shadow.adoptedStyleSheets = [sheet]
  const root = create("div", { class: "playground" })
  shadow.append(root)
  dialog.replaceChildren(close, note, host)
  dialog.showModal()
  const state = {
    ...usual(given.table),
    ...given.state,
    rate: given.rates[snapshot],
    points: given.points.map(([x, y, t]) => ({ x: [x, y], t }))
  }
  const board = new Board(root, given.table, given.texts, state, {
    weights: given.weights[snapshot]
  })
  // also after Escape
  dialog.addEventListener("close", () => board.close(), { once: true })
}
