"""Samples in tables whose rows have labels, as those of pandas, and samples without positions."""

import random
from collections import OrderedDict, UserDict, UserString

import matplotlib as mpl
import numpy as np
import pytest
from helpers import bits_of

from tinygrad_edu import data, diagnose, fit, nn, optim
from tinygrad_edu.diagnosis.inspection import activations
from viz import plots

mpl.use("Agg")


class Series:
    """What is seen of a pandas Series: it is indexed by label, and iterated over by position."""

    def __init__(self, entries, labels):
        self.entries = np.array(entries)
        self.labels = labels
        self.reads = 0

    @property
    def iloc(self):
        return self.entries

    def keys(self):
        return self.labels

    def to_numpy(self):
        self.reads += 1
        return self.entries.copy()

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, label):
        return self.entries[self.labels.index(label)]

    def __iter__(self):
        return iter(self.entries)


class Frame(Series):
    """What is seen of a DataFrame: it is indexed by column, and iterates over their names."""

    names = ("a", "b")

    def __getitem__(self, name):
        return Series(self.entries[:, self.names.index(name)], self.labels)

    def __iter__(self):
        return iter(self.names)


class Table:
    """What is seen of a table of pyarrow: columns by position."""

    def __init__(self, frame):
        self.frame = frame

    def to_pandas(self):
        return self.frame

    def __len__(self):
        return len(self.frame)

    def __getitem__(self, i):
        return self.frame[self.frame.names[i]]


ROWS = [[random.Random(i).gauss(0, 1), random.Random(-i - 1).gauss(0, 1)] for i in range(30)]
TARGETS = [2 * a - 3 * b + 1 for a, b in ROWS]
LABELS = random.Random(0).sample(range(30), 30)
CLASSES = [1 if a > 0 else -1 for a, _ in ROWS]


def frame():
    return Frame(ROWS, LABELS)


def target():
    return Series(TARGETS, LABELS)


def trained(X, y, **options):
    model = nn.MLP(2, [1], rng=0)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    return fit(model, nn.mse, X, y, optimizer=optimizer, epochs=40, **options)


@pytest.mark.parametrize("engine", ["eager", "jit"])
@pytest.mark.parametrize("make", [list, frame, lambda: Table(frame())], ids=["rows", "frame", "pa"])
def test_fit_takes_samples_and_targets_by_position(make, engine):
    X = make() or ROWS
    history = trained(X, target(), engine=engine, batch_size=10, rng=0, record_every=10)
    assert bits_of(history.loss) == bits_of(trained(ROWS, TARGETS, batch_size=10, rng=0).loss)
    assert history.loss[-1] < 1e-6
    assert not diagnose(history).findings


def test_a_table_is_read_once_and_after_each_call_of_on_epoch():
    X, y = frame(), target()
    trained(X, y)
    assert (X.reads, y.reads) == (1, 1)


@pytest.mark.parametrize("engine", ["eager", "jit"])
def test_a_table_that_on_epoch_changes_is_read_again(engine):
    losses = []
    for X, y in ((frame(), target()), ([*map(list, ROWS)], [*TARGETS])):
        def change(history, X=X, y=y):
            if isinstance(X, list):
                X[3][0], y[4] = 0.5, -1.0
            else:
                X.entries[3, 0], y.entries[4] = 0.5, -1.0

        losses.append(trained(X, y, engine=engine, on_epoch=change).loss)
    assert bits_of(losses[0]) == bits_of(losses[1])


def test_split_and_batches_keep_rows_with_their_targets():
    parts = data.split(frame(), target(), rng=0)
    pairs = [*zip(*parts[:2]), *zip(*parts[2:])]
    for X, y in data.batches(frame(), target(), 7, rng=0):
        pairs += zip(X, y)
    assert sorted([*row, t] for row, t in pairs) == sorted(
        [*row, t] for row, t in 2 * list(zip(ROWS, TARGETS))
    )


def test_split_stratifies_by_the_labels_of_the_rows():
    _, _, X, y = data.split(frame(), Series(CLASSES, LABELS), rng=0)
    assert all((row[0] > 0) == (label == 1) for row, label in zip(X, y))


def test_rows_of_a_frame_are_standardised_and_examined():
    scale = data.Standardiser(frame())
    expected = data.Standardiser(ROWS)
    assert (scale.mean, scale.sd) == (expected.mean, expected.sd)
    assert scale(frame()).tolist() == expected(ROWS)
    assert scale.inverse(frame()).tolist() == expected.inverse(ROWS)
    model = nn.MLP(2, [3, 1], rng=0)
    assert activations(model, frame()) == activations(model, ROWS)
    assert str(diagnose(model, frame(), target(), loss=nn.mse)) == str(
        diagnose(model, ROWS, TARGETS, loss=nn.mse)
    )


def test_a_plot_shows_the_rows_of_a_frame():
    model = nn.MLP(2, [3, 1], rng=0)
    offsets = [
        [c.get_offsets().tolist() for c in plots.decision_boundary(model, X, y).axes[0].collections]
        for X, y in ((ROWS, CLASSES), (frame(), Series(CLASSES, LABELS)))
    ]
    assert offsets[0] == offsets[1]


@pytest.mark.parametrize(("given", "remedy"), [
    ({0: [1.0, 2.0], 1: [3.0, 4.0]}, "pass a list of its values"),
    (OrderedDict(a=1.0, b=2.0), "pass a list of its values"),
    (UserDict({0: 1.0, 1: 2.0}), "pass a list of its values"),
    ({1.0, 2.0}, "no order of its own; pass a list"),
    (frozenset({1.0, 2.0}), "no order of its own; pass a list"),
    ({1.0: 0, 2.0: 0}.keys(), "no order of its own; pass a list"),
    ("ab", "pass a list of texts"),
    (UserString("ab"), "pass a list of texts"),
])
def test_samples_and_targets_without_positions_are_refused(given, remedy):
    calls = {
        "fit: X": lambda: trained(given, [1.0, 2.0]),
        "fit: y": lambda: trained([[1.0, 2.0], [3.0, 4.0]], given),
        "split: X": lambda: data.split(given, [1, 2]),
        "batches: y": lambda: data.batches([1, 2], given),
        "Standardiser: X": lambda: data.Standardiser(given),
        "diagnose: X": lambda: diagnose(nn.MLP(2, [1], rng=0), given),
    }
    for what, call in calls.items():
        with pytest.raises(TypeError, match=f"^{what} must be a list, not .*{remedy}"):
            call()
