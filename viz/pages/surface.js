/* The areas of a decision boundary, as a picture.  Only `painted` uses the page. */

/** @import { Maybe } from "./training/records.js" */

const FINE = 6 // pixels between two points of the grid

/**
 * Returns, for each class, a number at each point of a grid that is largest for the winner and 0 at
 * a boundary; nan where there is none.
 * @param {Maybe[][]} scores of one output; of several the largest minus the next one
 * @param {number[][]} winners [] for one output, whose sign decides
 */
export function fieldsOf(scores, winners) {
  const classes = winners.length ? Math.max(...winners.flat()) + 1 : 2
  /** @type {(row: number, column: number) => number} */
  const winner = (row, column) => winners[row]?.[column] ?? Number(Number(scores[row][column]) > 0)
  return Array.from({ length: classes }, (_, own) =>
    scores.map((line, row) =>
      line.map((score, column) => {
        if (score === null) return NaN
        return winner(row, column) === own ? Math.abs(score) : -Math.abs(score)
      })
    )
  )
}

/**
 * Returns the height of a field between the points of its grid, by bilinear interpolation.
 * @param {number[][]} field
 * @param {number} x in columns
 * @param {number} y in rows
 */
export function heightAt(field, x, y) {
  const row = Math.min(Math.floor(y), field.length - 2)
  const column = Math.min(Math.floor(x), field[0].length - 2)
  const across = x - column
  const up = y - row
  const low = field[row]
  const high = field[row + 1]
  return (
    (low[column] * (1 - across) + low[column + 1] * across) * (1 - up) +
    (high[column] * (1 - across) + high[column + 1] * across) * up
  )
}

/**
 * Returns the address of a picture: each place has the colour of its class, the stronger the
 * farther it is from a boundary.
 * @param {number[][][]} fields
 * @param {string[]} colours such as "rgb(0, 114, 178)"
 */
export function painted(fields, colours) {
  const [rows, columns] = [fields[0].length, fields[0][0].length]
  const inks = colours.map((colour) => (colour.match(/[\d.]+/g) ?? []).slice(0, 3).map(Number))
  const canvas = document.createElement("canvas")
  canvas.width = (columns - 1) * FINE + 1
  canvas.height = (rows - 1) * FINE + 1
  const context = canvas.getContext("2d")
  if (!context) return ""
  const image = context.createImageData(canvas.width, canvas.height)
  for (let y = 0; y < canvas.height; y++) {
    for (let x = 0; x < canvas.width; x++) {
      const heights = fields.map((field) => heightAt(field, x / FINE, y / FINE))
      const height = Math.max(...heights)
      if (Number.isNaN(height)) continue
      const ink = inks[heights.indexOf(height)]
      const at = 4 * ((canvas.height - 1 - y) * canvas.width + x) // rows begin at the bottom
      image.data.set([...ink, 255 * (0.06 + 0.4 * Math.tanh(Math.max(height, 0)))], at)
    }
  }
  context.putImageData(image, 0, 0)
  return canvas.toDataURL()
}
