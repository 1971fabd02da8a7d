"""The graphs of single samples' losses during a training run: numbers before and after each update.

The page of a training run shows them next to the picture of the model.  Gradients are of the
sample's own loss, not of the batch's; the forward pass after an update uses the new parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from math import nan
from typing import Any

from tinygrad_edu import Value, record
from tinygrad_edu.engine.graph import backpropagate, topological_order
from tinygrad_edu.nn.module import mode
from tinygrad_edu.train.snapshots import Snapshot, TrainingRecord

from ...drawing.model import Graph, build
from ...drawing.scene import Scene
from ...drawing.text import label_number, number_text
from .rounding import evenly

MAX_NUMBERS = 250_000  # numbers of all samples together: about 2.5 MB of text in the page
MAX_SAMPLES = 60
MAX_DRAWN = 80  # nodes; larger graphs are drawn with collapsed neurons, or else layers
MAX_SCENES = 6  # different forms of graphs; samples with more forms are left out

Numbers = tuple[str, str, str]  # data before the update, gradient before it, data after it
Row = tuple[float, float, float]  # the same as floats
Form = tuple[tuple[str, str, tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True)
class SampleGraph:
    """One sample's graph.

    sample    its index in the training data
    scene     the index of its drawing in `SampleGraphs.scenes`
    numbers   for each snapshot, the `Numbers` of each drawn node in the order of ``shown``
    """

    sample: int
    scene: int
    numbers: tuple[tuple[Numbers, ...], ...]


@dataclass(frozen=True, slots=True)
class SampleGraphs:
    """The graphs of some samples, evenly chosen from the training data.

    scenes    a `Scene` for each form of graph; most models have one
    shown     for each scene, the names (n0, n1, ...) of its drawn nodes that have numbers
    graphs    a `SampleGraph` for each sample
    """

    scenes: tuple[Scene, ...]
    shown: tuple[tuple[str, ...], ...]
    graphs: tuple[SampleGraph, ...]


def sample_graphs(
    training: TrainingRecord,
    snapshots: Sequence[Snapshot],
    samples: Sequence[int] | None = None,
    *,
    names: Sequence[str] = (),
    max_samples: int = MAX_SAMPLES,
    max_drawn: int = MAX_DRAWN,
    progress: Callable[[int, int], Any] | None = None,
) -> SampleGraphs:
    """Returns the graphs of samples of ``training`` at each of ``snapshots``.

    samples      indices of the samples to choose from; by default all
    names        names of the features, for the inputs of the graph; by default "feature 0" and so
                 on
    max_samples  largest number of graphs
    max_drawn    largest number of nodes to draw before neurons, and then layers, are collapsed
    progress     called after each sample with the number of samples done and the number of all

    The model runs in evaluation mode.  Inputs that are numbers become Values, to have
    gradients.  Parameters and gradients are restored.

    Raises RenderError if there is no layout engine.
    """
    collector = _Collector(training, snapshots, names, max_drawn)
    try:
        with mode(training.model, training=False):
            collector.try_inputs()
            chosen = collector.choose(
                range(len(training.X)) if samples is None else samples, max_samples
            )
            for done, sample in enumerate(chosen, 1):
                collector.add(sample)
                if progress is not None:
                    progress(done, len(chosen))
            return collector.result()
    finally:
        for node, grad in collector.grads.items():
            node.grad = grad


class _Collector:
    """Collects the numbers of the samples, one sample after the other."""

    def __init__(
        self,
        training: TrainingRecord,
        snapshots: Sequence[Snapshot],
        names: Sequence[str],
        max_drawn: int,
    ) -> None:
        self.training = training
        self.snapshots = snapshots
        self.names = names
        self.max_drawn = max_drawn
        self.layouts: dict[Form, _Layout] = {}
        self.added: list[tuple[int, _Layout, list[list[Row]]]] = []
        self.as_values = True
        self.start = Value(0.0).serial  # older nodes are the user's
        self.grads: dict[Value, float] = {}  # their gradients

    def try_inputs(self) -> None:
        """Finds out whether inputs can be Values; a model that uses them as keys needs numbers."""
        try:
            for sample in range(len(self.training.X)):
                self.inputs(sample)
            self.loss(0)
        except Exception:  # of any kind: a model may not be made for such inputs
            self.as_values = False

    def choose(self, samples: Sequence[int], most: int) -> list[int]:
        """Returns as many samples as `MAX_NUMBERS` allows, evenly chosen; [] if the loss is not a
        Value."""
        root = self.loss(samples[0])
        if not isinstance(root, Value):
            return []
        numbers = 3 * len(self.snapshots) * len(_drawn(root, self.max_drawn).nodes)
        return evenly(samples, min(most, max(1, MAX_NUMBERS // numbers)))

    def add(self, sample: int) -> None:
        """Adds the numbers of a sample, unless its graph would need more than `MAX_SCENES`."""
        root = self.loss(sample)
        form = _form(topological_order(root))
        if form not in self.layouts and len(self.layouts) < MAX_SCENES:
            self.layouts[form] = _Layout(len(self.layouts), root, form, self.max_drawn)
        if form in self.layouts:
            layout = self.layouts[form]
            rows = [self.rows(sample, snapshot, layout) for snapshot in self.snapshots]
            self.added.append((sample, layout, rows))

    def rows(self, sample: int, snapshot: Snapshot, layout: _Layout) -> list[Row]:
        """Returns the numbers of one snapshot; nan if its graph has another form."""
        with self.training.at(snapshot):
            root = self.loss(sample)
            for node in topological_order(root, constants=False):
                if node.serial < self.start:
                    self.grads.setdefault(node, node.grad)
                    node.grad = 0.0
            backpropagate([root], [1.0])
            before = layout.numbers(root)
        with self.training.at(snapshot, after=True):
            after = layout.numbers(self.loss(sample))
        return [(data, grad, later) for (data, grad), (later, _) in zip(before, after)]

    def loss(self, sample: int) -> Value:
        """Returns the loss of one sample."""
        prediction = self.training.model(self.inputs(sample))
        loss: Value = self.training.loss(prediction, self.training.y[sample])
        if isinstance(loss, Value) and loss.serial > self.start:
            loss.label = loss.label or "loss"
        return loss

    def inputs(self, sample: int) -> Any:
        """Returns the input for a sample: labelled Values, or numbers if the model needs them."""
        x = self.training.X[sample]
        if not self.as_values:
            return x
        if not hasattr(x, "__len__"):
            return _labelled(x, self.names[0] if self.names else "input")
        names = self.names or [f"feature {i}" for i in range(len(x))]
        return [_labelled(entry, name) for entry, name in zip(x, names)]

    def result(self) -> SampleGraphs:
        """Returns the collected numbers as records."""
        scenes = []
        for layout in self.layouts.values():
            recordings = [recording for _, its, recording in self.added if its is layout]
            scenes.append(layout.scene(recordings))
        graphs = []
        for sample, layout, recording in self.added:
            numbers = tuple([layout.as_text(rows) for rows in recording])
            graphs.append(SampleGraph(sample, layout.index, numbers))
        shown = [tuple(layout.names) for layout in self.layouts.values()]
        return SampleGraphs(tuple(scenes), tuple(shown), tuple(graphs))


def _labelled(x: Any, label: str) -> Value:
    return x if isinstance(x, Value) else Value(x, label)


class _Layout:
    """One form of graph, and which of its nodes are drawn with numbers.

    It is drawn at the end, when the widths of all numbers are known.
    """

    def __init__(self, index: int, root: Value, form: Form, max_drawn: int) -> None:
        self.index = index
        self.root = root
        self.form = form
        self.max_drawn = max_drawn
        shown = [node for node in _drawn(root, max_drawn).nodes if node.shows is not None]
        self.names = [node.name for node in shown]
        self.positions = [node.shows or 0 for node in shown]
        self.texts = [_constant_text if node.role == "constant" else _text for node in shown]

    def numbers(self, root: Value) -> list[tuple[float, float]]:
        """Returns data and gradient of the drawn nodes of a graph; nan if it has another form."""
        order = topological_order(root)
        if _form(order) != self.form:
            return [(nan, nan)] * len(self.positions)
        return [(order[i].data, order[i].grad) for i in self.positions]

    def as_text(self, rows: Sequence[Row]) -> tuple[Numbers, ...]:
        """Returns the texts of the drawn nodes' numbers."""
        return tuple([text(row) for row, text in zip(rows, self.texts)])

    def scene(self, recordings: Sequence[list[list[Row]]]) -> Scene:
        """Returns the drawing, with space for the widest number that each node ever shows."""
        widest: dict[int, tuple[float, float]] = {}
        for i, position in enumerate(self.positions):
            rows = [rows[i] for rows in chain(*recordings)]
            data = chain.from_iterable((before, after) for before, _, after in rows)
            grads = [grad for _, grad, _ in rows]
            widest[position] = (max(data, key=_width), max(grads, key=_width))
        collapse = _collapse(self.root, self.max_drawn)
        return Scene(record(self.root), collapse, self.max_drawn, widest, slopes=False)


def _collapse(root: Value, max_drawn: int) -> str | None:
    """Returns "neurons" if that makes the drawing small enough, else None.

    Neurons are preferred to layers because each of them shows its numbers.
    """
    whole = len(build([root], None, None).nodes)
    neurons = len(build([root], "neurons", None).nodes)
    return "neurons" if neurons <= max_drawn < whole else None


def _drawn(root: Value, max_drawn: int) -> Graph:
    return build([root], _collapse(root, max_drawn), max_drawn)


def _form(order: Sequence[Value]) -> Form:
    """Returns the form of a graph: two graphs of the same form can share a drawing."""
    at = {node: i for i, node in enumerate(order)}
    form = []
    for node in order:
        label = "" if node.op else str(node.label)
        form.append((node.op, label, tuple([at[arg] for arg in node.args])))
    return tuple(form)


def _text(row: Row) -> Numbers:
    before, grad, after = row
    return number_text(before), number_text(grad), number_text(after)


def _constant_text(row: Row) -> Numbers:
    before, _, after = row
    return label_number(before), "", label_number(after)


def _width(x: float) -> int:
    return len(number_text(x))
