/* The numbers of all pages, and the axes and pictures of a training run. */

import assert from "node:assert/strict"
import { test } from "node:test"

import {
  clamp, flowWidth, joined, magnitude, shift, signName, toNumber
} from "../../../viz/pages/numbers.js"
import { Scales, powers, short, ticks } from "../../../viz/pages/plot.js"
import { fieldsOf, heightAt } from "../../../viz/pages/surface.js"
import { shortened, smallest, zeroLine } from "../../../viz/pages/training/records.js"

test("numbers of Python are read, infinities and nan included", () => {
  const texts = ["0.1", "-1e-05", "inf", "-inf", "nan"]
  assert.deepEqual(texts.map(toNumber), [0.1, -1e-5, Infinity, -Infinity, NaN])
})

test("the width of an edge grows with the logarithm of its gradient, between bounds", () => {
  assert.deepEqual([0, 1e-4, NaN].map(flowWidth), [1, 1, 1])
  assert.equal(flowWidth(-1), flowWidth(1))
  assert.ok(Math.abs(flowWidth(1) - 4) < 0.01)
  assert.equal(flowWidth(Infinity), 6)
  assert.equal(magnitude(1e9), 1)
})

test("signs have names", () => {
  const names = ["positive", "negative", "zero", "zero", "undefined"]
  assert.deepEqual([2, -Infinity, 0, -0, NaN].map(signName), names)
})

test("an interval moves only if it is out of sight", () => {
  assert.equal(shift(10, 20, 0, 100), 0)
  assert.equal(shift(-30, -10, 0, 100), 70) // to the middle
  assert.equal(shift(50, 250, 0, 100), -50) // too long: its start to the bound
  assert.equal(clamp(-1, 0, 5), 0)
})

test("absent parts of a text are left out", () => {
  assert.equal(joined(["a", false, null, "", undefined, "b"]), "a, b")
  assert.equal(joined(["a", "b"], " "), "a b")
})

test("ticks are round numbers in the interval", () => {
  assert.deepEqual(ticks(0, 10), [0, 5, 10])
  assert.deepEqual(ticks(1, 4).map(short), ["1", "2", "3", "4"])
  assert.deepEqual(ticks(-0.1, 0.3).map(short), ["-0.1", "0", "0.1", "0.2", "0.3"])
  assert.deepEqual(ticks(2, 2), [2])
  assert.deepEqual(powers(0.01, 100).map(short), ["0.01", "0.1", "1", "10", "100"])
  assert.ok(powers(1e-300, 1e300).length <= 6)
})

test("numbers at an axis are short", () => {
  const texts = ["0", "0.3", "1235", "1e5", "1e-4", "-2e7"]
  assert.deepEqual([0, 0.1 + 0.2, 1234.56, 1e5, 1e-4, -2e7].map(short), texts)
})

test("axes begin and end at the borders of the plot", () => {
  const plot = new Scales(232, [1, 11], [0.01, 100], { logarithmic: true, right: 96 })
  assert.deepEqual([plot.x(1), plot.x(11)], [Scales.LEFT, Scales.WIDTH - 96])
  assert.deepEqual([plot.y(0.01), plot.y(100)], [232 - Scales.BOTTOM, Scales.TOP])
  assert.equal(plot.y(1), (plot.y(0.01) + plot.y(100)) / 2)
  assert.equal(new Scales(100, [3, 3], [0, 1]).x(3), Scales.LEFT) // an axis of one number
})

test("a path is interrupted where a number is missing or not finite", () => {
  const plot = new Scales(240, [0, 10], [0, 1], { right: 8 })
  const path = plot.path([[0, 0], [10, 1], [5, null], [5, 0.5], [5, NaN], [10, 1e9]])
  assert.equal(path, "M52.0 210.0L552.0 10.0M302.0 110.0M552.0 -10000.0")
})

test("the line of score 0 goes through the grid where the sign changes", () => {
  const grid = { xs: [0, 1, 2], ys: [0, 1] }
  const rows = [[-1, 1, 3], [-1, 1, 3]]
  assert.deepEqual(zeroLine(rows, grid), [[[0.5, 0], [0.5, 1]]])
  assert.deepEqual(zeroLine([[1, 1, 3], [1, 1, 3]], grid), [])
})

test("the areas of two classes meet where the score is 0, and of several where a margin is", () => {
  const two = fieldsOf([[-1, 3], [-1, 3]], [])
  assert.deepEqual(two.map((field) => heightAt(field, 0.25, 0.5)), [0, 0])
  assert.deepEqual(two.map((field) => heightAt(field, 1, 0)), [-3, 3])
  const grid = [[1, 1], [2, null]]
  const three = fieldsOf(grid, [[0, 2], [0, -1]])
  const lower = fieldsOf([grid[0], grid[0]], [[0, 2], [0, 2]])
  assert.deepEqual(lower.map((field) => heightAt(field, 0.5, 0)), [0, -1, 0])
  assert.ok(three.every((field) => Number.isNaN(heightAt(field, 0.5, 0.5))))
})

test("a curve that leaves its plot runs along the edge, and 0 is the lower edge of a logarithm", () => {
  const loss = new Scales(232, [1, 3], [0.1, 10], { logarithmic: true })
  assert.deepEqual([0, 1e-9, 1e9].map((y) => loss.inFrame(y)), [202, 202, 10])
  assert.ok(Number.isNaN(loss.inFrame(null)))
  assert.equal(loss.framed([[1, 1e300], [2, 0], [3, null]]), "M52.0 10.0L300.0 202.0")
})

test("the first smallest number is found, and nan never", () => {
  assert.equal(smallest([NaN, 2, 1, 1]), 2)
  assert.equal(smallest([NaN]), -1)
})

test("long names are shortened from the left", () => {
  assert.equal(shortened("layers.0"), "layers.0")
  assert.equal(shortened("encoder.blocks.12.mlp"), "...locks.12.mlp")
})
