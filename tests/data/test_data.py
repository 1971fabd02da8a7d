"""Generators, the packaged data sets, and the functions that prepare data for training."""

import copy
import doctest
import math
import os
import pickle
import random
import shutil
import statistics
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_edu
from tinygrad_edu import data
from tinygrad_edu.errors import DataError

PACKAGE = Path(tinygrad_edu.__file__).parent
MAKERS = {
    "moons": data.moons,
    "circles": data.circles,
    "xor": data.xor,
    "spirals": data.spirals,
    "blobs": data.blobs,
    "line": data.line,
}
each_maker = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def in_a_process(code, path=PACKAGE.parent):
    """Returns what a new interpreter prints; its hash seed is random."""
    environment = {**os.environ, "PYTHONPATH": str(path), "PYTHONHASHSEED": "random"}
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        cwd=path,
    ).stdout


# ---- generators ----------------------------------------------------------------------------------


@each_maker
def test_shapes_and_types(make):
    X, y = make(11, rng=0)
    assert type(X) is type(y) is list
    assert len(X) == len(y) == 11
    assert {len(row) for row in X} == {1 if make is data.line else 2}
    assert all(type(row) is list and type(x) is float for row in X for x in row)
    assert {type(label) for label in y} == ({float} if make is data.line else {int})
    assert len(make(rng=0)[0]) == 100


@each_maker
def test_data_is_determined_by_the_random_seed(make):
    assert make(20, rng=7) == make(20, rng=7) == make(20, rng=random.Random(7))
    assert make(20, rng=7) != make(20, rng=8)
    rng = random.Random(7)
    assert make(20, rng=rng) != make(20, rng=rng)


@each_maker
def test_generators_use_the_module_random_only_without_rng(make):
    state = random.getstate()
    try:
        random.seed(7)
        assert make(20) == make(20, rng=7)
        random.seed(7)
        make(20, rng=1)
        assert random.random() == random.Random(7).random()
    finally:
        random.setstate(state)


def test_a_seed_gives_the_same_data_in_every_process():
    code = (
        "from tinygrad_edu import data\n"
        f"for name in {list(MAKERS)!r}: print(getattr(data, name)(9, rng=3))\n"
        "X, y = data.blobs(30, rng=1)\nprint(data.split(X, y, rng=2), list(data.batches(X, y, 7, "
        "rng=3)))"
    )
    X, y = data.blobs(30, rng=1)
    expected = [str(make(9, rng=3)) for make in MAKERS.values()]
    expected.append(f"{data.split(X, y, rng=2)} {list(data.batches(X, y, 7, rng=3))}")
    assert in_a_process(code).splitlines() == expected


@pytest.mark.parametrize(("make", "classes"), [
    (data.moons, [-1, 1]), (data.circles, [-1, 1]), (data.xor, [-1, 1]), (data.spirals, [0, 1]),
    (data.blobs, [0, 1, 2])])
@pytest.mark.parametrize("n", [6, 7, 100, 101])
def test_classes_are_balanced_and_mixed(make, classes, n):
    y = make(n, rng=0)[1]
    counts = Counter(y)
    assert sorted(counts) == classes
    assert max(counts.values()) - min(counts.values()) <= 1
    if n >= 100:
        assert y != sorted(y)
        assert y != sorted(y, reverse=True)


@pytest.mark.parametrize("make", [data.moons, data.circles, data.xor])
def test_two_class_labels_can_be_chosen(make):
    X, y = make(10, rng=0)
    assert make(10, labels=(0, 1), rng=0) == (X, [(label + 1) // 2 for label in y])


def test_moons_lie_on_two_half_circles():
    X, y = data.moons(50, noise=0, rng=0)
    assert y.count(-1) == y.count(1) == 25
    for (a, b), label in zip(X, y, strict=True):
        if label == -1:
            assert math.hypot(a, b) == pytest.approx(1, rel=1e-12, abs=0)
            assert b >= 0
        else:
            assert math.hypot(a - 1, b - 0.5) == pytest.approx(1, rel=1e-12, abs=0)
            assert b <= 0.5
    assert sorted(X)[0] == [-1.0, pytest.approx(0, abs=1e-15)]
    assert sorted(X)[-1] == [2.0, pytest.approx(0.5, rel=1e-15, abs=0)]
    # n = 5: two points of the upper moon at t = 0, pi and three of the lower at t = 0, pi/2, pi
    corners = sorted([round(a, 12), round(b, 12)] for a, b in data.moons(5, noise=0, rng=0)[0])
    assert corners == [[-1, 0], [0, 0.5], [1, -0.5], [1, 0], [2, 0.5]]


def test_circles_have_the_given_radii():
    X, y = data.circles(41, noise=0, factor=0.25, rng=0)
    radii = {-1: 1.0, 1: 0.25}
    assert [math.hypot(*row) for row in X] == pytest.approx(
        [radii[label] for label in y], rel=1e-12, abs=0
    )
    assert len({(round(a, 9), round(b, 9)) for a, b in X}) == 41


def test_xor_of_four_without_noise_is_the_truth_table():
    X, y = data.xor(4, noise=0, rng=0)
    assert sorted(zip(X, y, strict=True)) == [
        ([-1, -1], -1),
        ([-1, 1], 1),
        ([1, -1], 1),
        ([1, 1], -1),
    ]
    X, y = data.xor(40, noise=0.1, rng=0)
    assert all((a * b < 0) == (label == 1) for (a, b), label in zip(X, y, strict=True))


def test_spirals_turn_by_the_given_angle():
    X, y = data.spirals(30, noise=0, classes=3, turns=0.5, rng=0)
    for (a, b), k in zip(X, y, strict=True):
        angle = math.tau * (0.5 * math.hypot(a, b) + k / 3)
        assert math.remainder(math.atan2(b, a) - angle, math.tau) == pytest.approx(0, abs=1e-12)
    assert sorted(
        round(10 * math.hypot(*row)) for row, k in zip(X, y, strict=True) if k == 2
    ) == list(range(1, 11))


def test_blobs_have_their_centers():
    X, y = data.blobs(9, noise=0, centers=[(0, 0, 5), (1, 2, 3)], rng=0)
    assert sorted(zip(y, X, strict=True)) == [(0, [0, 0, 5])] * 5 + [(1, [1, 2, 3])] * 4
    X, y = data.blobs(4, noise=0, centers=4, rng=0)
    assert [[round(x, 12) for x in row] for _, row in sorted(zip(y, X, strict=True))] == [
        [1, 0],
        [0, 1],
        [-1, 0],
        [0, -1],
    ]


def test_a_line_without_noise_is_exact():
    X, y = data.line(5, slope=3, intercept=-1, noise=0)
    assert X == [[-1.0], [-0.5], [0.0], [0.5], [1.0]]
    assert y == [-4.0, -2.5, -1.0, 0.5, 2.0]


@pytest.mark.parametrize("make", [data.moons, data.xor, data.blobs, data.line])
def test_noise_has_the_given_standard_deviation(make):
    def flat(X, y):
        return y if make is data.line else [x for row in X for x in row]

    # The noise is scaled exactly, because the same random numbers are drawn in the same order.
    clean, noisy = flat(*make(2000, noise=0, rng=5)), flat(*make(2000, noise=0.3, rng=5))
    errors = [b - a for a, b in zip(clean, noisy, strict=True)]
    assert statistics.pstdev(errors) == pytest.approx(0.3, rel=0.06, abs=0)
    assert statistics.fmean(errors) == pytest.approx(0, abs=0.03)


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda: data.moons(1), ValueError, "moons: n must be a whole number >= 2, not 1; each moon"),
    (lambda: data.moons(2.5), TypeError, r"n must be a whole number, not float \(2.5\)"),
    (lambda: data.moons(True), TypeError, "n must be a whole number, not bool"),
    (lambda: data.moons(10, -0.1), ValueError, "noise must be a standard deviation, .* not -0.1;"),
    (lambda: data.moons(10, math.nan), ValueError, "noise .* not nan"),
    (lambda: data.moons(10, "much"), TypeError, "noise must be a real number, not str"),
    (lambda: data.moons(10, labels=(1, 1)), ValueError, r"labels must be two different numbers, .* "
                                                        r"not \(1, 1\)"),
    (lambda: data.moons(10, labels=(0, 1, 2)), ValueError, "labels must be two"),
    (lambda: data.moons(10, rng="seed"), TypeError, r"rng must be a random.Random, .*not str "
                                                    r"\('seed'\)"),
    (lambda: data.circles(10, factor=1), ValueError, "factor .* not 1.0"),
    (lambda: data.circles(0), ValueError, "circles: n must be a whole number >= 2, not 0"),
    (lambda: data.xor(3), ValueError, "xor: n must be a whole number >= 4, not 3"),
    (lambda: data.spirals(2, classes=3), ValueError, "spirals: n must be .* >= 3, not 2"),
    (lambda: data.spirals(9, classes=1), ValueError, "spirals: classes must be .* >= 2, not 1"),
    (lambda: data.spirals(9, turns=math.inf), ValueError, "turns must be finite, not inf"),
    (lambda: data.blobs(9, centers=0), ValueError, "blobs: centers must be .* >= 1, not 0"),
    (lambda: data.blobs(9, centers=[]), ValueError, r"centers must be points of the same "
                                                    r"dimension, .*not \[\]"),
    (lambda: data.blobs(9, centers=[(0, 0), (1,)]), ValueError, "points of the same dimension"),
    (lambda: data.blobs(9, centers=[(0, math.inf)]), ValueError, "coordinate 1 of center 0 must be "
                                                                 "finite, not inf"),
    (lambda: data.line(1), ValueError, "line: n must be a whole number >= 2, not 1"),
    (lambda: data.line(9, slope=math.nan), ValueError, "slope must be finite, not nan"),
    (lambda: data.line(9, noise=-1), ValueError, "noise .* not -1.0"),
])
def test_generators_reject_invalid_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()


# ---- real data -----------------------------------------------------------------------------------


def test_iris_has_the_published_measurements():
    X, y = dataset = data.iris()
    assert X is dataset.X
    assert y is dataset.y
    assert len(X) == 150
    assert Counter(y) == {0: 50, 1: 50, 2: 50}
    assert dataset.feature_names == [
        "sepal_length_cm",
        "sepal_width_cm",
        "petal_length_cm",
        "petal_width_cm",
    ]
    assert dataset.class_names == ["setosa", "versicolor", "virginica"]
    assert (X[0], X[149]) == ([5.1, 3.5, 1.4, 0.2], [5.9, 3.0, 5.1, 1.8])
    # Two flowers in which most copies differ from Fisher's table.
    assert (X[34], X[37]) == ([4.9, 3.1, 1.5, 0.2], [4.9, 3.6, 1.4, 0.1])
    # The means that Fisher gives for each species, table II.
    means = [
        [
            round(statistics.fmean(row[j] for row, k in zip(X, y, strict=True) if k == species), 3)
            for j in range(4)
        ]
        for species in range(3)
    ]
    assert means == [
        [5.006, 3.428, 1.462, 0.246],
        [5.936, 2.770, 4.260, 1.326],
        [6.588, 2.974, 5.552, 2.026],
    ]
    # A straight line over the petals separates the first species from the others.
    assert all((row[2] + row[3] < 2.8) == (k == 0) for row, k in zip(X, y, strict=True))


def test_data_set_is_read_again_at_each_call_and_can_be_copied_and_pickled():
    dataset = data.iris()
    dataset.X[0][0] = 99.0
    assert data.iris().X[0][0] == 5.1
    for twin in (copy.deepcopy(dataset), pickle.loads(pickle.dumps(dataset))):
        assert twin == dataset
        assert (twin.feature_names, twin.class_names) == (
            dataset.feature_names,
            dataset.class_names,
        )
    assert repr(dataset).startswith("<Dataset of 150 samples: features ['sepal_length_cm'")


def test_names_are_the_published_ones():
    names = data.names()
    assert len(names) == 32033
    assert len(set(names)) == 29494
    assert names[:3] == ["emma", "olivia", "ava"]
    assert names[-1] == "zzyzx"
    assert set("".join(names)) == set("abcdefghijklmnopqrstuvwxyz")
    assert (min(map(len, names)), max(map(len, names))) == (2, 15)


@pytest.mark.parametrize(("name", "damage", "message"), [
    ("names.txt", lambda content: content[:-100], "the data set names.txt is damaged: its checksum "
                                                  "is"),
    ("iris.csv", lambda content: content.replace(b"5.1", b"5.2", 1), "the data set iris.csv is "
                                                                     "damaged: its checksum is"),
    ("iris.csv", lambda content: b"\xff" + content, "the data set iris.csv is damaged"),
    ("iris.csv", lambda content: None, "the data set iris.csv cannot be read"),
])
def test_a_damaged_file_raises_data_error(tmp_path, monkeypatch, name, damage, message):
    content = damage((PACKAGE / "data" / name).read_bytes())
    if content is not None:
        (tmp_path / name).write_bytes(content)
    monkeypatch.setattr("importlib.resources.files", lambda package: tmp_path)
    with pytest.raises(DataError, match=f"{message}.*; install tinygrad_edu again$"):
        getattr(data, name.partition(".")[0])()


def test_files_may_have_any_line_endings(tmp_path):
    shutil.copytree(
        PACKAGE, tmp_path / "tinygrad_edu", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name, old, new in (("names.txt", b"\n", b"\r\n"), ("iris.csv", b"\r\n", b"\n")):
        file = tmp_path / "tinygrad_edu" / "data" / name
        content = file.read_bytes()
        assert old in content
        file.write_bytes(content.replace(old, new))
    code = (
        "from tinygrad_edu import data; "
        "print(len(data.names()), len(data.iris().X), data.iris().class_names)"
    )
    assert in_a_process(code, tmp_path) == "32033 150 ['setosa', 'versicolor', 'virginica']\n"


# ---- batches and split ---------------------------------------------------------------------------


def test_batches_contain_every_sample_once():
    X, y = list("abcdefg"), list(range(7))
    assert list(data.batches(X, y, 3, shuffle=False)) == [
        (["a", "b", "c"], [0, 1, 2]), (["d", "e", "f"], [3, 4, 5]), (["g"], [6])]
    assert (
        list(data.batches(X, y, 7, shuffle=False))
        == list(data.batches(X, y, 99, shuffle=False))
        == [(X, y)]
    )
    assert [len(b) for _, b in data.batches(X, y, 2)] == [2, 2, 2, 1]


@given(st.integers(1, 30), st.integers(1, 35), st.integers())
def test_shuffled_batches_hold_every_sample_once_with_its_target(n, size, seed):
    pairs = [
        (x, t)
        for xs, ts in data.batches(list(range(n)), [-i for i in range(n)], size, rng=seed)
        for x, t in zip(xs, ts, strict=True)
    ]
    assert sorted(pairs) == [(i, -i) for i in range(n)]


def test_every_call_shuffles_differently_unless_it_is_seeded():
    X = list(range(50))
    rng = random.Random(0)
    assert list(data.batches(X, X, 10, rng=rng)) != list(data.batches(X, X, 10, rng=rng))
    assert list(data.batches(X, X, 10, rng=1)) == list(data.batches(X, X, 10, rng=1)) != [(X, X)]


def test_the_full_batch_keeps_the_order_and_draws_no_random_number():
    rng = random.Random(0)
    state = rng.getstate()
    X, y = [[1.0], [2.0], [3.0]], [1, 2, 3]
    assert list(data.batches(X, y, rng=rng)) == [(X, y)]
    assert rng.getstate() == state


def test_split_keeps_the_proportions_of_the_classes():
    X, y = data.iris()
    x_train, y_train, x_test, y_test = data.split(X, y, test=0.2, rng=0)
    assert Counter(y_train) == {0: 40, 1: 40, 2: 40}
    assert Counter(y_test) == {0: 10, 1: 10, 2: 10}
    assert sorted(x_train + x_test) == sorted(X)
    assert y_train != sorted(y_train)
    assert y_test != sorted(y_test)
    assert data.split(X, y, rng=0) == (x_train, y_train, x_test, y_test) != data.split(X, y, rng=1)


@given(
    st.lists(st.sampled_from("abc"), min_size=2, max_size=40),
    st.floats(0.01, 0.99),
    st.booleans(),
    st.integers(),
)
def test_split_keeps_pairs_sizes_and_shares(y, test, stratify, seed):
    X = list(range(len(y)))
    x_train, y_train, x_test, y_test = data.split(X, y, test, stratify=stratify, rng=seed)
    assert sorted(x_train + x_test) == X
    assert [y[i] for i in x_train] == y_train
    assert [y[i] for i in x_test] == y_test
    assert len(x_test) == min(max(round(test * len(y)), 1), len(y) - 1)
    if stratify:
        for label, count in Counter(y).items():
            assert abs(Counter(y_test)[label] - count * len(y_test) / len(y)) < 1


def test_split_of_targets_that_all_differ_is_random():
    X, y = data.line(10, noise=0)
    held_out = {x for seed in range(60) for (x,) in data.split(X, y, rng=seed)[2]}
    assert held_out == {x for (x,) in X}


def test_unstratified_split_ignores_the_targets():
    y = [0] * 90 + [1] * 10
    shares = {sum(data.split(y, y, stratify=False, rng=seed)[3]) for seed in range(30)}
    assert len(shares) > 1
    assert {sum(data.split(y, y, rng=seed)[3]) for seed in range(30)} == {2}
    assert len(data.split([1, 2], [[0.0], [1.0]], stratify=False)[0]) == 1


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda: data.batches([1, 2], [1]), ValueError, "^batches: X and y must have "
                                                    "equal lengths, not 2 and 1; give one target"),
    (lambda: data.batches([], []), ValueError, "^batches: X must not be empty; give at least one "
                                               "sample$"),
    (lambda: data.batches([1], [1], 0), ValueError, "batches: size must be .* >= 1, not 0"),
    (lambda: data.batches([1], [1], 1.5), TypeError, "batches: size must be .*, not float"),
    (lambda: data.batches(iter([1]), [1]), TypeError, r"^batches: X must be a list, not "
                                                      r"list_iterator .*list\(X\)"),
    (lambda: data.batches([1], [1], 1, rng=0.5), TypeError, "rng must be"),
    (lambda: data.split([1, 2], [1]), ValueError, "^split: X and y must have equal "
                                                  "lengths, not 2 and 1;"),
    (lambda: data.split([1], [1]), ValueError, "split: X must have at least 2 samples, not 1"),
    (lambda: data.split([1, 2], [1, 2], 0), ValueError, "test must be .* not 0.0; usual: 0.2"),
    (lambda: data.split([1, 2], [1, 2], 1), ValueError, "test must be a fraction .* not 1.0"),
    (lambda: data.split([1, 2], [[1], [2]]), TypeError, r"^split: target \d must be a label "
                                                        r"that can be compared, not \[\d\]; .* "
                                                        r"stratify=False$"),
    (lambda: data.Standardiser([]), ValueError, "Standardiser: X must have at least one row"),
    (
        lambda: data.Standardiser([[1, 2], [3]]),
        ValueError,
        "row 1 of X must have 2 columns, not 1;",
    ),
    (lambda: data.Standardiser([[1], [math.inf]]), ValueError, "column 0 of row 1 of X must be "
                                                               "finite, not inf"),
    (lambda: data.Standardiser([1, 2]), TypeError, r"row 0 of X must be a list of numbers, not int "
                                                   r".*\[\[x\] for x in xs\]"),
    (
        lambda: data.Standardiser([[1, 2]])([[1]]),
        ValueError,
        "row 0 of X must have 2 columns, not 1;",
    ),
])
def test_split_and_batches_reject_invalid_arguments_at_the_call(call, error, message):
    with pytest.raises(error, match=message):
        call()


# ---- standardiser --------------------------------------------------------------------------------


def test_standardiser_equals_a_calculation_by_hand():
    # Column 0: mean 3, deviations -2, 0, 0, 2, so sd = sqrt(8 / 4). Column 1 is constant.
    scale = data.Standardiser([[1, 0.1], [3, 0.1], [3, 0.1], [5, 0.1]])
    assert scale.mean == [3.0, 0.1]
    assert scale.sd == [pytest.approx(math.sqrt(2), rel=1e-15, abs=0), 0.0]
    assert scale([[3, 0.1], [7, 2.1]]) == [
        [0.0, 0.0],
        [pytest.approx(4 / math.sqrt(2), rel=1e-15, abs=0), 2.0],
    ]
    assert data.Standardizer is data.Standardiser
    assert repr(scale).startswith("<Standardiser of 2 columns: mean=[3.0, 0.1], sd=[1.41421356")


def test_standardised_iris_has_mean_0_and_sd_1_and_is_restored():
    X = data.iris().X
    scale = data.Standardiser(X)
    new = scale(X)
    for column in zip(*new, strict=True):
        assert statistics.fmean(column) == pytest.approx(0, abs=1e-14)
        assert statistics.pstdev(column) == pytest.approx(1, rel=1e-14, abs=0)
    for row, back in zip(X, scale.inverse(new), strict=True):
        assert back == pytest.approx(row, rel=1e-14, abs=0)


@given(st.floats(-1e300, 1e300), st.integers(1, 50))
def test_a_constant_column_becomes_zero_whatever_its_value(x, n):
    scale = data.Standardiser([[x]] * n)
    assert scale.sd == [0.0]
    assert scale([[x]]) == [[0.0]]


def test_widely_spread_columns_do_not_overflow():
    assert data.Standardiser([[-1e200], [1e200]])([[1e200]]) == [
        [pytest.approx(1.0, rel=1e-15, abs=0)]
    ]


def test_data_exports_the_documented_names_and_its_examples_run():
    assert {*data.__all__} >= {
        *MAKERS, "iris", "names", "batches", "split", "Standardiser", "Standardizer",
        "Dataset"}
    assert all(hasattr(data, name) for name in data.__all__)
    assert doctest.testmod(data) == (0, 4)
