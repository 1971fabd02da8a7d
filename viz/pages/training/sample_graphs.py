"""The graphs of single samples' losses during a training run: numbers before and after each update.

The page of a training run shows them next to the picture of the model.  Gradients are of the
sample's own loss, not of the batch's; the forward pass after an update uses the new parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import repeat
from math import nan
from typing import Any

from tinygrad_edu import Value, record
from tinygrad_edu.engine.graph import backpropagate, topological_order
from tinygrad_edu.nn.module import mode
from tinygrad_edu.optim.parameters import temporarily
from tinygrad_edu.train.snapshots import Snapshot, TrainingRecord

from ...drawing.model import build
from ...drawing.scene import Scene
from ...drawing.selection import READABLE_NODES
from ...drawing.text import label_number, number_text
from ...training.records import names_of_features
from ...training.rounding import evenly

MAX_NUMBERS = 250_000  # numbers of all samples together: about 2.5 MB of text in the page
MAX_SAMPLES = 60
MAX_DRAWN = 80  # nodes, with collapsed neurons; of larger graphs layers are collapsed
MAX_SCENES = 6  # different forms of graphs; samples with more forms are left out

Numbers = tuple[str, str, str]  # data before the update, gradient before it, data after it
Form = tuple[tuple[str, str, tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True)
class SampleGraph:
    """One sample's graph.

    sample: its index in the training data
    scene: the index of its drawing in `SampleGraphs.scenes`
    numbers: for each snapshot, the `Numbers` of each drawn node that has numbers
    """

    sample: int
    scene: int
    numbers: tuple[tuple[Numbers, ...], ...]


@dataclass(frozen=True, slots=True)
class SampleGraphs:
    """The graphs of some samples, evenly chosen from the training data.

    scenes: a `Scene` for each form of graph; most models have one
    graphs: a `SampleGraph` for each sample
    """

    scenes: tuple[Scene, ...]
    graphs: tuple[SampleGraph, ...]


def sample_graphs(
    training: TrainingRecord,
    snapshots: Sequence[Snapshot],
    samples: Sequence[int] | None = None,
    *,
    names: Sequence[str] = (),
    max_samples: int = MAX_SAMPLES,
    progress: Callable[[int, int], Any] | None = None,
) -> SampleGraphs:
    """Returns the graphs of samples of ``training`` at each of ``snapshots``.

    samples: indices of the samples to choose from; by default all
    names: names of the features, for the inputs of the graph; by default "feature 0" and so on
    max_samples: largest number of graphs
    progress: called after each sample with the number of samples done and the number of all

    The model runs in evaluation mode.  Inputs that are numbers become Values, to have
    gradients.  Parameters and gradients are restored.

    At most `MAX_NUMBERS` numbers are kept.  There are no graphs if the loss is not a Value.

    Raises:
        RenderError: there is no layout engine.
    """
    losses = _Losses(training, names or names_of_features(training.X))
    samples = samples or range(len(training.X))
    layouts: dict[Form, _Layout] = {}
    graphs = []
    with mode(training.model, training=False):
        losses.try_inputs()
        root = losses.of(samples[0])
        if not isinstance(root, Value):
            return SampleGraphs((), ())
        numbers_of_sample = 3 * len(snapshots) * _Layout(0, root, ()).size
        most = min(max_samples, max(1, MAX_NUMBERS // numbers_of_sample))
        chosen = evenly(samples, most)
        for done, sample in enumerate(chosen, 1):
            root = losses.of(sample)
            form = _form(topological_order(root))
            if form not in layouts and len(layouts) < MAX_SCENES:
                layouts[form] = _Layout(len(layouts), root, form)
            if layout := layouts.get(form):
                numbers = [losses.numbers(sample, snapshot, layout) for snapshot in snapshots]
                graphs.append(SampleGraph(sample, layout.index, tuple(numbers)))
            if progress is not None:
                progress(done, len(chosen))
    return SampleGraphs(tuple([layout.scene() for layout in layouts.values()]), tuple(graphs))


@dataclass(eq=False)
class _Losses:
    """The losses of the samples, and the numbers in their graphs."""

    training: TrainingRecord
    names: Sequence[str]

    def __post_init__(self) -> None:
        self.as_values = True
        self.start = Value(0.0).serial  # older nodes are the user's

    def try_inputs(self) -> None:
        """Finds out whether inputs can be Values.

        A model that uses its inputs as keys needs numbers.
        """
        try:
            for sample in range(len(self.training.X)):
                self.inputs(sample)
            self.of(0)
        except Exception:  # of any kind: a model may not be made for such inputs
            self.as_values = False

    def of(self, sample: int) -> Value:
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
        is_row = hasattr(x, "__len__")
        named = zip(x if is_row else [x], self.names)
        values = [x if isinstance(x, Value) else Value(x, name) for x, name in named]
        return values if is_row else values[0]

    def numbers(self, sample: int, snapshot: Snapshot, layout: _Layout) -> tuple[Numbers, ...]:
        """Returns the numbers of the drawn nodes at one snapshot."""
        with self.training.at(snapshot):
            root = self.of(sample)
            order = topological_order(root, constants=False)
            older = [node for node in order if node.serial < self.start]
            with temporarily(older, "grad", repeat(0.0), None):
                backpropagate([root], [1.0])
                before = layout.numbers(root)
        with self.training.at(snapshot, after=True):
            return layout.as_text(before, layout.numbers(self.of(sample)))


@dataclass(eq=False)
class _Layout:
    """One form of graph, and which of its nodes are drawn with numbers.

    It is drawn at the end, when the widths of all numbers are known.
    """

    index: int
    root: Value
    form: Form

    def __post_init__(self) -> None:
        is_readable = len(topological_order(self.root)) <= READABLE_NODES
        self.collapse = None if is_readable else "neurons"
        drawn = build([self.root], self.collapse, MAX_DRAWN).nodes
        self.size = len(drawn)
        self.shown = {node.shows: node for node in drawn if node.shows is not None}
        self.widest: dict[int, tuple[float, float]] = {}

    def numbers(self, root: Value) -> list[tuple[float, float]]:
        """Returns data and gradient of the drawn nodes of a graph, or nan for another form."""
        order = topological_order(root)
        if _form(order) != self.form:
            return [(nan, nan)] * len(self.shown)
        return [(order[i].data, order[i].grad) for i in self.shown]

    def as_text(
        self, before: Sequence[tuple[float, float]], after: Sequence[tuple[float, float]]
    ) -> tuple[Numbers, ...]:
        """Returns the texts of the drawn nodes' numbers, and notes the widest ones."""
        texts = []
        for (i, node), (data, grad), (later, _) in zip(self.shown.items(), before, after):
            widest = self.widest.get(i, (data, grad))
            self.widest[i] = _widest(widest[0], data, later), _widest(widest[1], grad)
            if node.role == "constant":
                texts.append((label_number(data), "", label_number(later)))
            else:
                texts.append((number_text(data), number_text(grad), number_text(later)))
        return tuple(texts)

    def scene(self) -> Scene:
        """Returns the drawing, with space for the widest number that each node ever shows."""
        return Scene(record(self.root), self.collapse, MAX_DRAWN, self.widest, slopes=False)


def _form(order: Sequence[Value]) -> Form:
    """Returns the form of a graph: two graphs of the same form can share a drawing."""
    at = {node: i for i, node in enumerate(order)}
    form = []
    for node in order:
        label = "" if node.op else str(node.label)
        form.append((node.op, label, tuple([at[arg] for arg in node.args])))
    return tuple(form)


def _widest(*numbers: float) -> float:
    return max(numbers, key=lambda x: len(number_text(x)))
