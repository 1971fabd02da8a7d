"""The graph of one sample's loss while a model is trained: its numbers before and after each
update, grads apart.

The records here are what the page of a training (`viz.run`) shows beside the decision boundary.
Gradients are those of the sample's own loss, not of the batch; the forward pass after an update
uses the new parameters throughout.
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

from ...drawing.dot import brief, number_text
from ...drawing.model import Graph, build
from ...drawing.scene import Scene

MAX_NUMBERS = 250_000  # texts of numbers in all samples together: about 2.5 MB of a page
MAX_SAMPLES = 60
MAX_DRAWN = 80  # nodes; above it neurons are collapsed, and then layers
MAX_SCENES = 6  # graphs of different form; samples whose graph has yet another form are left out

Numbers = tuple[str, str, str]  # data before the update, gradient before it, data after it
Row = tuple[float, float, float]  # the same as numbers
Form = tuple[tuple[str, str, tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True)
class SampleGraph:
    """One sample's graph.

    sample    its position in the training data
    scene     the position in `SampleGraphs.scenes` of the drawing of its form
    numbers   for every snapshot and every drawn node with numbers, in the order of ``shown``, its
              `Numbers`
    """

    sample: int
    scene: int
    numbers: tuple[tuple[Numbers, ...], ...]


@dataclass(frozen=True, slots=True)
class SampleGraphs:
    """The graphs of some samples, spread evenly over the training data.

    scenes    a `Scene` for every form that the graphs have, which is one for most models
    shown     for every scene the names (n0, n1, ...) of its drawn nodes that have numbers
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
    """The graphs of samples of ``training`` at each of ``snapshots``.

    samples      the positions of those to choose from; by default all
    names        of the features, for the inputs of the graph; by default "feature 0" and so on
    max_samples  how many graphs to make at most
    max_drawn    how many nodes to draw at most before neurons, and then layers, are collapsed
    progress     called with the number of samples done, and of all, after each

    The model runs in evaluation mode; inputs that are numbers are Values, so that they have
    gradients.  Parameters and gradients are put back when it is done.  Raises RenderError without a
    layout engine.
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
    """Collects the numbers of sample after sample."""

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
        self.start = Value(0.0)._serial  # older nodes are the user's
        self.grads: dict[Value, float] = {}  # their gradients

    def try_inputs(self) -> None:
        """Finds out whether inputs can be Values, which those that a model looks something up with
        cannot be."""
        try:
            for sample in range(len(self.training.X)):
                self.inputs(sample)
            self.loss(0)
        except Exception:  # whatever the user's model says to inputs that it was not made for
            self.as_values = False

    def choose(self, samples: Sequence[int], most: int) -> list[int]:
        """As many as there is room for, spread evenly; none if the loss is no Value."""
        root = self.loss(samples[0])
        if not isinstance(root, Value):
            return []
        numbers = 3 * len(self.snapshots) * len(_drawn(root, self.max_drawn).nodes)
        wanted = min(most, max(1, MAX_NUMBERS // numbers), len(samples))
        return [samples[round(i * (len(samples) - 1) / max(wanted - 1, 1))] for i in range(wanted)]

    def add(self, sample: int) -> None:
        """Adds the numbers of a sample, unless its graph has a form for which there is no room."""
        root = self.loss(sample)
        form = _form(topological_order(root))
        if form not in self.layouts and len(self.layouts) < MAX_SCENES:
            self.layouts[form] = _Layout(len(self.layouts), root, form, self.max_drawn)
        if form in self.layouts:
            layout = self.layouts[form]
            rows = [self.rows(sample, snapshot, layout) for snapshot in self.snapshots]
            self.added.append((sample, layout, rows))

    def rows(self, sample: int, snapshot: Snapshot, layout: _Layout) -> list[Row]:
        """The numbers of one snapshot; nan where the model computed something of another form then.
        """
        with self.training.at(snapshot):
            root = self.loss(sample)
            for node in topological_order(root, constants=False):
                if node._serial < self.start:
                    self.grads.setdefault(node, node.grad)
                    node.grad = 0.0
            backpropagate([root], [1.0])
            before = layout.numbers(root)
        with self.training.at(snapshot, after=True):
            after = layout.numbers(self.loss(sample))
        return [(data, grad, later) for (data, grad), (later, _) in zip(before, after)]

    def loss(self, sample: int) -> Value:
        """The loss of one sample."""
        prediction = self.training.model(self.inputs(sample))
        loss: Value = self.training.loss(prediction, self.training.y[sample])
        if isinstance(loss, Value) and loss._serial > self.start:
            loss.label = loss.label or "loss"
        return loss

    def inputs(self, sample: int) -> Any:
        """What the model is given for a sample: labelled Values for numbers, if the model can take
        them."""
        x = self.training.X[sample]
        if not self.as_values:
            return x
        if not hasattr(x, "__len__"):
            return _labelled(x, self.names[0] if self.names else "input")
        names = self.names or [f"feature {i}" for i in range(len(x))]
        return [_labelled(entry, name) for entry, name in zip(x, names)]

    def result(self) -> SampleGraphs:
        """All of it as records."""
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
    """One form of graph: which of its nodes are drawn with numbers, before the room for the numbers
    is known."""

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
        """Data and gradient of the drawn nodes of another graph, which should have this form."""
        order = topological_order(root)
        if _form(order) != self.form:
            return [(nan, nan)] * len(self.positions)
        return [(order[i].data, order[i].grad) for i in self.positions]

    def as_text(self, rows: Sequence[Row]) -> tuple[Numbers, ...]:
        """Returns the texts of the drawn nodes' numbers."""
        return tuple([text(row) for row, text in zip(rows, self.texts)])

    def scene(self, recordings: Sequence[list[list[Row]]]) -> Scene:
        """The drawing, with room for the widest number that any of its nodes ever shows."""
        widest: dict[int, tuple[float, float]] = {}
        for i, position in enumerate(self.positions):
            rows = [rows[i] for rows in chain(*recordings)]
            data = chain.from_iterable((before, after) for before, _, after in rows)
            grads = [grad for _, grad, _ in rows]
            widest[position] = (max(data, key=_width), max(grads, key=_width))
        collapse = _collapse(self.root, self.max_drawn)
        return Scene(record(self.root), collapse, self.max_drawn, widest, slopes=False)


def _collapse(root: Value, max_drawn: int) -> str | None:
    """ "neurons" if that makes the drawing small enough: a neuron shows its numbers, a layer of
    several has none."""
    whole = len(build([root], None, None).nodes)
    neurons = len(build([root], "neurons", None).nodes)
    return "neurons" if neurons <= max_drawn < whole else None


def _drawn(root: Value, max_drawn: int) -> Graph:
    return build([root], _collapse(root, max_drawn), max_drawn)


def _form(order: Sequence[Value]) -> Form:
    """What two graphs have in common if one drawing serves both."""
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
    return brief(before), "", brief(after)


def _width(x: float) -> int:
    return len(number_text(x))
