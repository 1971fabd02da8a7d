/* What a reader has done.  It is kept in the browser, under one key for the whole course; what
   others have written there is not trusted. */

import { create } from "../elements.js"

/**
 * What a reader has done in a lesson: how many predictions, the names of questions that were
 * answered and that were right, the choice of each prediction, the question at which he is, and
 * the values of controls.
 * @typedef {{ parts: number, right: string[], asked: string[], chosen: Record<string, string>,
 *   at: string, controls: Record<string, any> }} Done
 */

const KEY = "tinygrad_edu.course"

/** Returns what was done, by lesson. @returns {Record<string, any>} */
function progress() {
  try {
    return entriesOf(JSON.parse(localStorage.getItem(KEY) ?? "{}"))
  } catch {
    return {}
  }
}

/** Returns an object as it is, and anything else as an empty one.
 * @param {unknown} found
 * @returns {Record<string, any>}
 */
function entriesOf(found) {
  return found !== null && typeof found === "object" && !Array.isArray(found) ? found : {}
}

/** Returns what was done in a lesson. @param {string} lesson @returns {Done} */
export function done(lesson) {
  const { right, asked, chosen, at, controls } = entriesOf(progress()[lesson])
  const choices = entriesOf(chosen)
  return {
    parts: Object.keys(choices).length,
    right: Array.isArray(right) ? right : [],
    asked: Array.isArray(asked) ? asked : [],
    chosen: choices,
    at: typeof at === "string" ? at : "",
    controls: entriesOf(controls)
  }
}

/** Changes what was done in a lesson. @type {(lesson: string, change: (now: Done) => void) => void}
 */
export function note(lesson, change) {
  const now = done(lesson)
  change(now)
  now.parts = Object.keys(now.chosen).length
  write({ ...progress(), [lesson]: now })
}

/** Forgets what was done in a lesson. @param {string} lesson */
export function forget(lesson) {
  const all = progress()
  delete all[lesson]
  write(all)
}

/** @param {Record<string, any>} all */
function write(all) {
  try {
    localStorage.setItem(KEY, JSON.stringify(all))
  } catch {
    // the browser keeps nothing for this page
  }
}

/** Gives the reader a file of all that he has done, which `tinygrad-edu progress` reads. */
export function save() {
  const lessons = Object.fromEntries(Object.keys(progress()).map((name) => [name, done(name)]))
  const text = JSON.stringify({ tinygrad_edu: "course", lessons }, null, 1)
  const link = create("a", {
    href: `data:application/json;charset=utf-8,${encodeURIComponent(text)}`,
    download: "course-progress.json"
  })
  link.click()
}
