/* The page of the playground: a board, whose state is in the address. */

import { byId, readData, setText, switchTheme } from "../elements.js"
import { Board } from "./board.js"
import { fromAddress, toAddress, usual } from "./run/state.js"

const data = readData()

// the state with which the page was made, from which an address differs
const base = { ...usual(data.table), ...data.state }

/** Returns the state of the address. */
function stateOfAddress() {
  const { state, refused } = fromAddress(data.table, location.hash, base)
  const text = refused.length
    ? `Of the address ${refused.join(", ")} is not understood; the usual settings are used there.`
    : ""
  setText(byId("refused"), text)
  return state
}

/** Returns the address as it was written, or as it is if it cannot be decoded. */
function written() {
  const hash = location.hash.slice(1)
  try {
    return decodeURIComponent(hash)
  } catch {
    return hash
  }
}

let address = ""

function open() {
  const root = byId("playground")
  root.replaceChildren()
  return new Board(root, data.table, data.texts, stateOfAddress(), {
    changed: (state) => {
      address = toAddress(data.table, state, base)
      history.replaceState(null, "", `#${address}`)
    }
  })
}

let board = open()
addEventListener("hashchange", () => {
  if (written() === address) return
  board.close()
  board = open()
})
switchTheme(() => board.draw())
document.documentElement.dataset.ready = "true"
