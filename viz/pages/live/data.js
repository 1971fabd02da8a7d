/* Data sets, with the samples that `data` of tinygrad_edu draws from the same random seed. */

/** @import { Random } from "./random.js" */

/** A sample: its inputs, and its target: 0 or 1, or the y of a line.
 * @typedef {{ x: number[], t: number }} Sample
 */

/** Returns two moons. @param {number} n @param {number} noise @param {Random} random */
export function moons(n, noise, random) {
  const half = Math.floor(n / 2)
  const upper = evenly(half, 0, Math.PI).map((a) => sample([Math.cos(a), Math.sin(a)], 0))
  const lower = evenly(n - half, 0, Math.PI).map((a) =>
    sample([1 - Math.cos(a), 0.5 - Math.sin(a)], 1)
  )
  return noisy([...upper, ...lower], noise, random)
}

/** Returns a circle in a circle. @param {number} n @param {number} noise @param {Random} random */
export function circles(n, noise, random) {
  const half = Math.floor(n / 2)
  const outer = Array.from({ length: half }, (_, i) => sample(onCircle(i / half), 0))
  const inner = Array.from({ length: n - half }, (_, i) =>
    sample(onCircle(i / (n - half), 0.5), 1)
  )
  return noisy([...outer, ...inner], noise, random)
}

/** Returns exclusive or: four corners. @type {(n: number, noise: number, random: Random) =>
 *   Sample[]}
 */
export function xor(n, noise, random) {
  const corners = [[-1, -1], [-1, 1], [1, 1], [1, -1]]
  const samples = Array.from({ length: n }, (_, i) => sample([...corners[i % 4]], (i % 4) % 2))
  return noisy(samples, noise, random)
}

/** Returns two spiral arms. @type {(n: number, noise: number, random: Random) => Sample[]} */
export function spirals(n, noise, random) {
  const samples = []
  for (const [k, count] of [n - Math.floor(n / 2), Math.floor(n / 2)].entries())
    for (let i = 1; i <= count; i++) samples.push(sample(onCircle(i / count + k / 2, i / count), k))
  return noisy(samples, noise, random)
}

/** Returns two clouds. @type {(n: number, noise: number, random: Random) => Sample[]} */
export function blobs(n, noise, random) {
  const samples = []
  for (const [k, count] of [n - Math.floor(n / 2), Math.floor(n / 2)].entries())
    for (let i = 0; i < count; i++) samples.push(sample(onCircle(k / 2), k))
  return noisy(samples, noise, random)
}

/** Returns the line 1 + 2 x with noise, at n places from -1 to 1.
 * @type {(n: number, noise: number, random: Random) => Sample[]}
 */
export function line(n, noise, random) {
  return evenly(n, -1, 1).map((x) => sample([x], 2 * x + 1 + random.gauss(0, noise)))
}

/** Returns a part for training and one for tests, each label with the same share in both.
 * @param {Sample[]} samples
 * @param {number} test the share of the test data; 0 keeps all samples, in their order
 * @param {Random} random
 */
export function split(samples, test, random) {
  const n = samples.length
  if (!test || n < 2) return { train: samples, test: /** @type {Sample[]} */ ([]) }
  const order = [...samples.keys()]
  random.shuffle(order)
  const count = Math.min(Math.max(roundHalfEven(test * n), 1), n - 1)
  /** @type {Map<number, number[]>} */
  const groups = new Map()
  for (const i of order) groups.set(samples[i].t, [...(groups.get(samples[i].t) ?? []), i])
  const members = [...groups.values()]
  const shares = members.map((group) => Math.floor((count * group.length) / n))
  const rest = members.map((group, k) => count * group.length - shares[k] * n)
  const missing = count - shares.reduce((sum, share) => sum + share, 0)
  const first = [...members.keys()].sort((a, b) => rest[b] - rest[a]).slice(0, missing)
  for (const k of first) shares[k] += 1
  const held = new Set(members.flatMap((group, k) => group.slice(0, shares[k])))
  return {
    train: order.filter((i) => !held.has(i)).map((i) => samples[i]),
    test: order.filter((i) => held.has(i)).map((i) => samples[i])
  }
}

/** Returns numbers from `start` to `stop`, both included.
 * @param {number} count @param {number} start @param {number} stop
 */
export function evenly(count, start, stop) {
  if (count === 1) return [start]
  return Array.from({ length: count }, (_, i) => start + ((stop - start) * i) / (count - 1))
}

/** @type {(x: number[], t: number) => Sample} */
function sample(x, t) {
  return { x, t }
}

/** Returns the samples in a random order, with noise. @type {(samples: Sample[], noise: number,
 *   random: Random) => Sample[]}
 */
function noisy(samples, noise, random) {
  random.shuffle(samples)
  return samples.map(({ x, t }) => sample(x.map((c) => c + random.gauss(0, noise)), t))
}

/** @param {number} turn @param {number} radius */
function onCircle(turn, radius = 1) {
  const angle = 2 * Math.PI * turn
  return [radius * Math.cos(angle), radius * Math.sin(angle)]
}

/** Returns the nearest whole number, the even one of two, as Python does. @param {number} x */
function roundHalfEven(x) {
  const low = Math.floor(x)
  if (x - low !== 0.5) return Math.round(x)
  return low % 2 ? low + 1 : low
}
