/* A training run on one page: the model and the curves at one frame, and the graph of one sample
   before and after its update.

   A frame has the loss and the gradients of one step, and the model before it; `state.at` is the
   index of the frame that is shown.  All numbers are computed in Python (see frames.py and page.py)
   and drawn here.
   The order of this file: the model, curves, the graph, controls. */

import {
  byId, create, createSvg, disableEnds, fill, partOf, readData, setText, showNotes, switchTheme,
  targetOf
} from "../elements.js"
import { clamp, joined } from "../numbers.js"
import { Plot } from "../plot.js"
import { Parts, Stage } from "../stage/stage.js"
import { fieldsOf, painted } from "../surface.js"
import { goOn } from "./going_on.js"
import { shortened, smallest, zeroLine } from "./records.js"

/** @import { Frame, PageData, Sample } from "./records.js" */

/** @type {PageData} */
const data = readData()
const { frames, points, samples } = data
const state = { at: 0, sample: 0, after: false, node: -1, timer: 0 }

const NEAR = 16 // how far from a point a click may be, in units of the plot

// the shape of the points of each class, around (0, 0)
const SHAPES = [
  "M-4.2 0a4.2 4.2 0 1 0 8.4 0a4.2 4.2 0 1 0 -8.4 0",
  "M-3.8 -3.8H3.8V3.8H-3.8Z",
  "M0 -5L4.6 3.6H-4.6Z",
  "M0 -5.4L5.4 0L0 5.4L-5.4 0Z",
  "M-1.6 -5H1.6V-1.6H5V1.6H1.6V5H-1.6V1.6H-5V-1.6H-1.6Z",
  "M0 5L4.6 -3.6H-4.6Z"
]

// ---- the model: boundary or fit ----

const [across, up] = data.axes
const model = new Plot(byId("model"), 480, [across.low, across.high], [up.low, up.high], {
  x: across.label,
  y: up.label,
  title: data.caption
})
const offered = new Set(samples.map(({ point }) => point))
const marks = points.map(({ kind }, i) =>
  createSvg("path", {
    class: `point k${kind % 6}${offered.has(i) ? " offered" : ""}`,
    d: SHAPES[kind % 6]
  })
)
const surface = createSvg("g")
const lines = createSvg("g")
model.inside.append(surface, lines)
model.front.append(...marks)

/**
 * Returns the place of a point at this frame; the prediction of a regression moves.
 * @param {number} i
 */
function placeOf(i) {
  const { x, y } = points[i]
  return [model.x(x), model.y(Number(y ?? frames[state.at].predictions[i]))]
}

/** @param {Frame} frame */
function drawModel(frame) {
  const { curves, scores, winners } = frame
  /** @type {{ class: string, d: string }[]} */
  let paths = []
  if (data.kind === "fit") {
    const several = curves.length > 1 ? "several" : ""
    paths = curves.map((curve, i) => ({
      class: `curve fit ${several} k${i % 6}`,
      d: model.path(curve.map((y, k) => [data.xs[k], y]))
    }))
  } else if (data.kind === "boundary") {
    drawSurface(frame)
    // a positive score stands for the second class
    const segments = winners.length ? [] : zeroLine(scores, data).map((ends) => model.path(ends))
    paths = [{ class: "boundary", d: segments.join("") }]
  } else if (data.kind === "regression") {
    paths = [{ class: "boundary", d: model.path(model.xs.map((x) => [x, x])) }]
  }
  lines.replaceChildren(...paths.map((path) => createSvg("path", path)))
  marks.forEach((mark, i) => {
    const [x, y] = placeOf(i)
    const there = Number.isFinite(x) && Number.isFinite(y)
    mark.setAttribute("visibility", there ? "visible" : "hidden")
    const scale = samples[state.sample]?.point === i ? 1.7 : 1
    if (there)
      mark.setAttribute("transform", `translate(${x.toFixed(1)} ${y.toFixed(1)}) scale(${scale})`)
  })
}

/** an invisible mark of each class, to read its colour in the theme */
const inks = SHAPES.map((_, i) => createSvg("path", { class: `k${i}`, fill: "var(--k)" }))
const areas = createSvg("image", { preserveAspectRatio: "none" })
surface.append(...inks, areas)

/** @param {Frame} frame */
function drawSurface({ scores, winners }) {
  const [left, right] = [0, data.xs.length - 1].map((i) => model.x(data.xs[i]))
  const [bottom, top] = [0, data.ys.length - 1].map((i) => model.y(data.ys[i]))
  const fields = fieldsOf(scores, winners)
  const colours = fields.map((_, i) => getComputedStyle(inks[i % inks.length]).fill)
  const href = painted(fields, colours)
  fill(areas, { href, x: left, y: top, width: right - left, height: bottom - top }, [])
}

/** Chooses the sample that was clicked, or says that it has no graph on this page. */
byId("model").addEventListener("click", (event) => {
  const [x, y] = model.at(event)
  const far = points.map((_, i) =>
    Math.hypot(placeOf(i)[0] - model.x(x), placeOf(i)[1] - model.y(y))
  )
  const nearest = smallest(far)
  if (!(far[nearest] <= NEAR)) return
  const sample = samples.findIndex(({ point }) => point === nearest)
  const absent = "This sample has no graph on this page. Click an outlined sample."
  setText(byId("said"), sample < 0 ? absent : "")
  if (sample >= 0) chooseSample(sample)
})

// ---- curves ----

const LOGARITHMIC = "loss of each step, on a logarithmic axis"
const lastStep = Math.max(...data.loss.map(([step]) => step), 2)
const loss = new Plot(
  byId("loss"),
  232,
  [1, lastStep],
  data.lossRange,
  { x: "step", y: "", title: "loss of each step" },
  { logarithmic: data.lossLogarithmic }
)
const lossNow = createSvg("path", { class: "now" })
loss.front.append(createSvg("path", { class: "curve", d: loss.framed(data.loss) }), lossNow)
if (data.lossLogarithmic) setText(byId("loss-caption"), LOGARITHMIC)
byId("loss").addEventListener("click", (event) => {
  const [step] = loss.at(event)
  go(smallest(frames.map((frame) => Math.abs(frame.step - step))))
})

const layers = new Plot(
  byId("layers"),
  232,
  [1, lastStep],
  data.layerRange,
  { x: "step", y: "", title: "size of the gradient by layer" },
  { logarithmic: true, right: 96 }
)
const layerDots = data.layers.map((_, i) => {
  const dot = createSvg("circle", { class: "now-dot", r: 3.5 })
  layers.front.append(
    createSvg("path", {
      class: `layer k${i % 6}`,
      "stroke-dasharray": ["none", "6 3", "2 2", "8 3 2 3"][i % 4],
      d: layers.framed(frames.map(({ step, gradients }) => [step, gradients[i]]))
    }),
    dot
  )
  return dot
})
const layersNow = createSvg("path", { class: "now" })
layers.front.prepend(layersNow)
placeLayerNames()

/** Writes each name at the right end of its line, or as near to the end as there is room. */
function placeLayerNames() {
  const last = frames[frames.length - 1]
  const ends = data.layers
    .map((name, i) => ({ name, i, y: layers.inFrame(last.gradients[i]) + 4 }))
    .filter(({ y }) => Number.isFinite(y))
    .sort((a, b) => a.y - b.y)
  const LINE = 13
  ends.forEach((end, k) => {
    end.y = Math.max(end.y, k ? ends[k - 1].y + LINE : Plot.TOP + 8)
  })
  let free = layers.height - Plot.BOTTOM
  for (const end of ends.reverse()) {
    end.y = Math.min(end.y, free)
    free = end.y - LINE
  }
  for (const { name, i, y } of ends) {
    const zero = last.gradients[i] === 0 ? ": 0" : ""
    layers.front.append(
      createSvg("text", {
        class: `layer-name k${i % 6}`,
        x: layers.width - layers.right + 8,
        y,
        text: shortened(name) + zero
      })
    )
  }
  const all = frames.flatMap(({ gradients }) => gradients)
  const said = [
    all.includes(0) && "a gradient of 0 is at the lower edge",
    all.includes(null) && "where a line stops, the gradient is not finite"
  ]
  setText(byId("layers-note"), joined(said, "; "))
}

/**
 * @param {Plot} plot
 * @param {SVGPathElement} mark
 * @param {number} step
 */
function drawNow(plot, mark, step) {
  mark.setAttribute("d", `M${plot.x(step).toFixed(1)} ${Plot.TOP}V${plot.height - Plot.BOTTOM}`)
}

// ---- the graph of one sample ----

/** @type {({ place: HTMLElement, stage: Stage, parts: Parts } | null)[]} */
const stages = data.scenes.map(() => null)
let shownScene = -1

/**
 * Returns the stage and the parts of a scene.  Its SVG leaves its template at the first call.
 * @param {number} scene
 */
function stageOf(scene) {
  const made = stages[scene]
  if (made) return made
  const place = create("div", { class: "stage" })
  place.append(byId(`scene-${scene}`).content.cloneNode(true))
  byId("graph").append(place)
  const stage = new Stage(place)
  const parts = new Parts(stage.svg)
  data.scenes[scene].shown.forEach((node, i) =>
    parts.nodes[node].group.addEventListener("click", () => {
      if (!stage.wasDragged) chooseNode(state.node === i ? -1 : i)
    })
  )
  return (stages[scene] = { place, stage, parts })
}

function drawGraph() {
  const sample = samples[state.sample]
  if (!sample) return
  const { place, stage, parts } = stageOf(sample.scene)
  if (shownScene !== sample.scene) {
    for (const other of stages) if (other) other.place.hidden = other.place !== place
    stage.fit()
    shownScene = sample.scene
    state.node = -1
  }
  const numbers = sample.numbers[state.at]
  byId("graph").classList.toggle("after", state.after)
  data.scenes[sample.scene].shown.forEach((index, i) => {
    const { data, grad, group } = parts.nodes[index]
    const [before, gradient, after] = numbers[i]
    if (data) setText(data, state.after ? after : before)
    data?.classList.toggle("changed", before !== after)
    if (grad) setText(grad, gradient)
    group.classList.toggle("chosen", i === state.node)
  })
  drawDetails(sample, numbers)
}

/**
 * @param {Sample} sample
 * @param {[string, string, string][]} numbers
 */
function drawDetails(sample, numbers) {
  const place = byId("details")
  if (state.node < 0) {
    const hint =
      "To see the numbers of a node before and after the update, click it or press ] and [."
    place.replaceChildren(create("p", { text: hint }))
    return
  }
  const [before, gradient, after] = numbers[state.node]
  const node = data.scenes[sample.scene].names[state.node]
  const head = ["", "before the update", "gradient", "after the update"].map((text) =>
    create("th", { text })
  )
  const row = [node, before, gradient, after].map((text) => create("td", { text }))
  place.replaceChildren(create("table", {}, create("tr", {}, ...head), create("tr", {}, ...row)))
}

/** @param {number} i */
function chooseNode(i) {
  state.node = i
  drawGraph()
}

/**
 * Chooses the next, or the previous, node that has numbers, in topological order.
 * @param {number} by
 */
function walk(by) {
  const { shown } = data.scenes[shownScene] ?? { shown: [] }
  if (shown.length) chooseNode((state.node + by + shown.length) % shown.length)
}

/** @param {number} i */
function chooseSample(i) {
  if (!samples.length) return
  state.sample = (i + samples.length) % samples.length
  draw()
}

// ---- all of it at one frame ----

function draw() {
  const frame = frames[state.at]
  const { step } = frame
  const sample = samples[state.sample]
  byId("slider").value = String(state.at)
  const numbers = `loss ${frame.loss}, learning rate ${frame.learning_rate}`
  setText(byId("where"), `step ${step} of ${data.steps}: ${numbers}`)
  byId("slider").setAttribute("aria-valuetext", `step ${step}`)
  disableEnds(state.at, frames.length - 1)
  drawModel(frame)
  drawNow(loss, lossNow, step)
  drawNow(layers, layersNow, step)
  layerDots.forEach((dot, i) => {
    const y = layers.inFrame(frame.gradients[i])
    dot.setAttribute("visibility", Number.isFinite(y) ? "visible" : "hidden")
    if (Number.isFinite(y)) {
      dot.setAttribute("cx", String(layers.x(step)))
      dot.setAttribute("cy", String(y))
    }
  })
  marks.forEach((mark, i) =>
    mark.classList.toggle("chosen", sample !== undefined && i === sample.point)
  )
  byId("before").setAttribute("aria-pressed", String(!state.after))
  byId("after").setAttribute("aria-pressed", String(state.after))
  if (sample) {
    setText(byId("sample-name"), sample.text)
    const before = "the forward pass, and the gradients of this sample's own loss."
    const after =
      "the forward pass with the new parameters. The gradients are from before the update."
    const when = `${state.after ? "After" : "Before"} the update of step ${step}`
    setText(byId("explained"), `${when}: ${state.after ? after : before}`)
  }
  drawGraph()
}

/** @param {number} at */
function go(at) {
  state.at = clamp(at, 0, frames.length - 1)
  draw()
}

// ---- controls ----

/** @param {boolean} on */
function play(on) {
  clearInterval(state.timer)
  state.timer = 0
  if (on) {
    if (state.at === frames.length - 1) go(0)
    state.timer = setInterval(
      () => {
        go(state.at + 1)
        if (state.at === frames.length - 1) play(false)
      },
      Number(byId("speed").value)
    )
  }
  byId("play").textContent = on ? "pause" : "play"
  // a screen reader would otherwise read every step
  for (const id of ["where", "details"]) byId(id).setAttribute("aria-live", on ? "off" : "polite")
}

/** @param {number} at */
function stepTo(at) {
  play(false)
  go(at)
}

/** @param {boolean} after */
function showAfter(after) {
  state.after = after
  draw()
}

/** @type {Record<string, () => void>} */
const COMMANDS = {
  first: () => stepTo(0),
  back: () => stepTo(state.at - 1),
  play: () => play(!state.timer),
  next: () => stepTo(state.at + 1),
  last: () => stepTo(frames.length - 1),
  before: () => showAfter(false),
  after: () => showAfter(true),
  "previous-sample": () => chooseSample(state.sample - 1),
  "next-sample": () => chooseSample(state.sample + 1),
  fit: () => stages[shownScene]?.stage.fit(),
  larger: () => stages[shownScene]?.stage.zoom(1.3),
  smaller: () => stages[shownScene]?.stage.zoom(1 / 1.3)
}
/** @type {Record<string, () => void>} */
const WALK = { "[": () => walk(-1), "]": () => walk(1) }
for (const [id, command] of Object.entries(COMMANDS)) byId(id).addEventListener("click", command)

/** @type {Record<string, string>} */
const KEYS = { ArrowLeft: "back", ArrowRight: "next", Home: "first", End: "last", " ": "play" }
document.addEventListener("keydown", (event) => {
  const target = targetOf(event)
  const ours =
    !target.closest("input, select, button") || (event.key !== " " && target.closest("button"))
  const command = COMMANDS[KEYS[event.key]] ?? WALK[event.key]
  if (command && ours && !event.ctrlKey && !event.metaKey) {
    event.preventDefault()
    command()
  }
})
if (data.goingOn) {
  const { goingOn } = data
  byId("go-on").hidden = false
  byId("go-on").addEventListener("click", () => {
    play(false)
    goOn(/** @type {HTMLDialogElement} */ (byId("going-on")), goingOn, state.at)
  })
}
byId("slider").max = String(frames.length - 1)
byId("slider").addEventListener("input", () => stepTo(Number(byId("slider").value)))
byId("speed").addEventListener("change", () => state.timer && play(true))
setText(byId("model-caption"), data.caption)
data.classes.forEach((name, i) =>
  byId("legend").append(
    create(
      "span",
      {},
      createSvg(
        "svg",
        { viewBox: "-6 -6 12 12", class: `k${i % 6}`, "aria-hidden": "true" },
        createSvg("path", { class: "mark", d: SHAPES[i % 6] })
      ),
      name
    )
  )
)
showNotes(data.notes, data.calls)
if (data.kind === "none") byId("model").hidden = true
/** @type {HTMLElement} */
const sampleSection = partOf(document, ".sample")
sampleSection.hidden = !samples.length
switchTheme(draw)
draw()
document.documentElement.dataset.ready = "true"
