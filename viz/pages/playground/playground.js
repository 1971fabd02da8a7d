/* The page of the playground: a board, whose state is in the address. */

import { byId, readData, setText, switchTheme } from "../elements.js"
import { Board } from "./board.js"
import { fromAddress, toAddress, usual } from "./run/state.js"

const data = readData()

/** Returns the state of the address, or else the one with which the page was made. */
function stateOfAddress() {
  if (location.hash.length < 2) return { ...usual(data.table), ...data.state }
  const { state, refused } = fromAddress(data.table, location.hash)
  const text = refused.length
    ? `The address has ${refused.join(", ")}, which is no setting; the usual one is used.`
    : ""
  setText(byId("refused"), text)
  return state
}

let address = ""

function open() {
  const root = byId("playground")
  root.replaceChildren()
  return new Board(root, data.table, data.texts, stateOfAddress(), {
    changed: (state) => {
      address = toAddress(data.table, state)
      history.replaceState(null, "", `#${address}`)
    }
  })
}

let board = open()
addEventListener("hashchange", () => {
  if (decodeURIComponent(location.hash.slice(1)) === address) return
  board.pause()
  board = open()
})
switchTheme(() => board.draw())
document.documentElement.dataset.ready = "true"
