/* The controls of the settings: a select for each, and buttons for layers and units. */

import { activeIn, create } from "../elements.js"

/** @import { State, Table } from "./run/state.js" */

const GROUPS = {
  data: "Data",
  network: "Network",
  training: "Training",
  penalties: "Against overfitting"
}

const HINT = "Data, network and loss begin anew when they are changed; the run goes on with others."

/** The controls of a table of settings. */
export class Controls {
  /** @type {Map<string, HTMLSelectElement>} */
  #selects = new Map()

  /**
   * @param {HTMLElement} place
   * @param {Table} table
   * @param {(change: Partial<State>) => void} change
   */
  constructor(place, table, change) {
    this.table = table
    this.change = change
    this.layers = create("div", { class: "layers" })
    place.append(create("p", { class: "hint", text: HINT }))
    for (const [group, title] of Object.entries(GROUPS)) {
      const fields = Object.entries(table.settings)
        .filter(([name, setting]) => setting.group === group && name !== "seed")
        .map(([name]) => this.#field(name))
      place.append(
        create("fieldset", { "data-group": group }, create("legend", { text: title }),
          ...(group === "network" ? [this.layers] : []), ...fields)
      )
    }
  }

  /** @param {string} name */
  #field(name) {
    const setting = this.table.settings[name]
    const select = create("select", {
      "data-name": name,
      onchange: () => {
        const x = typeof setting.usual === "string" ? select.value : Number(select.value)
        this.change({ [name]: x })
      }
    })
    this.#selects.set(name, select)
    return create("label", { "data-field": name }, create("span", { text: setting.label }), select)
  }

  /** Shows a state. @param {State} state */
  show(state) {
    for (const [name, select] of this.#selects) {
      const { choices, of: [owner, values] } = this.table.settings[name]
      const x = /** @type {any} */ (state)[name]
      const offered = choices.includes(x) ? choices : [...choices, x]
      if (typeof x === "number") offered.sort((a, b) => a - b)
      const key = offered.join()
      if (select.dataset.key !== key) {
        select.dataset.key = key
        select.replaceChildren(
          ...offered.map((value) =>
            create("option", { value, text: String(value).replaceAll("_", " ") })
          )
        )
      }
      select.value = String(x)
      const field = /** @type {HTMLElement} */ (select.parentElement)
      field.hidden = owner !== "" && !values.includes(/** @type {any} */ (state)[owner])
      select.disabled = (name === "loss" && state.data === "line") ||
        (state.data === "own" && (name === "samples" || name === "noise"))
    }
    this.#showLayers(state)
  }

  /** @param {State} state */
  #showLayers({ layers }) {
    const { mostLayers, mostUnits } = this.table
    const button = (
      /** @type {string} */ name, /** @type {string} */ text, /** @type {number[] | null} */ sizes
    ) => create("button", {
      type: "button",
      "aria-label": name,
      title: name,
      text,
      disabled: sizes === null,
      onclick: () => sizes && this.change({ layers: sizes })
    })
    const rows = layers.map((size, i) => {
      const more = size < mostUnits ? layers.with(i, size + 1) : null
      const fewer = size > 1 ? layers.with(i, size - 1) : null
      return create("div", { class: "row" },
        create("span", { text: `layer ${i + 1}: ${size}` }),
        button(`one unit less in layer ${i + 1}`, "\u2212", fewer),
        button(`one unit more in layer ${i + 1}`, "+", more)
      )
    })
    const active = this.layers.isConnected ? activeIn(this.layers) : null
    const focused = active?.getAttribute("aria-label")
    const hadFocus = this.layers.contains(active)
    this.layers.replaceChildren(
      create("div", { class: "row" },
        create("span", { text: `hidden layers: ${layers.length}` }),
        button("one layer less", "\u2212", layers.length ? layers.slice(0, -1) : null),
        button("one layer more", "+",
          layers.length < mostLayers ? [...layers, layers[layers.length - 1] ?? 4] : null)
      ),
      ...rows
    )
    if (!hadFocus || !focused) return
    const all = [...this.layers.querySelectorAll("button")].filter((each) => !each.disabled)
    const same = all.find((each) => each.getAttribute("aria-label") === focused)
    ;(same ?? all[0])?.focus({ preventScroll: true })
  }
}
