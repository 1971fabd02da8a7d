"""`fit`, `split`, `batches`, losses and metrics with lists, arrays, tables of pandas, polars and
pyarrow: the same numbers give the same losses, in every bit, and the rest is refused by name."""

import random
from array import array
from collections import deque
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
from helpers import bits_of, scaled
from sklearn.datasets import load_digits, load_iris

from tinygrad_edu import Value, data, diagnose, fit, jit, math, nn, optim
from tinygrad_edu.errors import GraphWarning

NAMES = ["a", "b", "c", "d"]
ENGINES = pytest.mark.parametrize("engine", ["eager", "jit"])


def shuffled(X, y, count):
    order = np.random.default_rng(0).permutation(len(X))[:count]
    return X[order], y[order]


# ---- iris and digits, by every way ---------------------------------------------------------------

IRIS = shuffled(*load_iris(return_X_y=True), 60)
DIGITS = shuffled(*load_digits(return_X_y=True), scaled(24, 200))


def pandas_frames(X, y):
    """A frame and a series in another order than their labels, of which some are equal."""
    labels = [*range(len(X), 0, -1)]
    labels[3] = labels[5]
    return pd.DataFrame(X, index=labels), pd.Series(y, index=labels, name="y")


def many_labels(X, y):
    index = pd.MultiIndex.from_arrays([[0] * len(X), range(len(X), 0, -1)], names=["p", "q"])
    return pd.DataFrame(X, index=index), pd.DataFrame({"y": y}, index=index)


def of_arrow(X, y):
    names = [f"x{i}" for i in range(len(X[0]))]
    return pa.table(dict(zip(names, X.T))), pa.chunked_array([y[:7], y[7:]])


def of_polars(X, y):
    return pl.DataFrame(X), pl.Series("y", y)


WAYS = {
    "tuples": lambda X, y: (tuple(map(tuple, X.tolist())), tuple(y.tolist())),
    "arrays": lambda X, y: (X, y),
    "read-only, by columns": lambda X, y: (np.asfortranarray(X), np.frombuffer(y.tobytes(), "i8")),
    "short types": lambda X, y: (X.astype("f4").astype(">f8"), y.astype("u1")),
    "objects": lambda X, y: (X.astype(object), y.astype(object)),
    "rows of arrays": lambda X, y: ([*X], [*y]),
    "a column of targets": lambda X, y: (X, y.reshape(-1, 1)),
    "matrix": lambda X, y: (X.view(np.matrix), y),
    "buffers": lambda X, y: (memoryview(np.ascontiguousarray(X)), memoryview(y)),
    "deque, array": lambda X, y: (deque(X.tolist()), array("q", y.tolist())),
    "pandas": pandas_frames,
    "pandas, a frame for y": many_labels,
    "pandas, nullable": lambda X, y: (pd.DataFrame(X).convert_dtypes(), pd.Series(y, dtype="Int8")),
    "pandas, arrow": lambda X, y: (
        pd.DataFrame(X).convert_dtypes(dtype_backend="pyarrow"),
        pd.Series(y, dtype="int64[pyarrow]"),
    ),
    "pandas, categories": lambda X, y: (pd.DataFrame(X), pd.Series(y, dtype="category")),
    "rows of pandas": lambda X, y: ([row for _, row in pd.DataFrame(X).iterrows()], pd.Index(y)),
    "polars": of_polars,
    "polars, a frame for y": lambda X, y: (pl.DataFrame(X), pl.DataFrame({"y": y})),
    "pyarrow": of_arrow,
}


def trained(X, y, engine, width, classes, batch_size=8):
    model = nn.Sequential(
        nn.Dropout(0.1, rng=3), nn.Layer(width, 4, "tanh", rng=0), nn.Layer(4, classes, rng=1)
    )
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    history = fit(
        model, nn.cross_entropy, X, y, optimizer=optimizer, epochs=2, batch_size=batch_size, rng=0,
        engine=engine, metrics=[nn.accuracy],
    )
    return bits_of([*history.loss, *history.metrics["accuracy"]])


@ENGINES
@pytest.mark.parametrize("way", WAYS)
def test_iris_has_the_same_losses_in_every_form(way, engine):
    X, y = IRIS
    X = X.astype("f4").astype(float)  # so that the short types have the same numbers
    expected = trained(X.tolist(), y.tolist(), engine, 4, 3)
    made = WAYS[way](X, y)
    assert trained(*made, engine, 4, 3) == expected
    train = data.split(*made, rng=1)[:2]
    same = data.split(X.tolist(), y.tolist(), rng=1)[:2]
    assert trained(*train, engine, 4, 3) == trained(*same, engine, 4, 3)


@ENGINES
@pytest.mark.parametrize("make", [WAYS["arrays"], pandas_frames, of_polars, of_arrow])
def test_digits_have_the_same_losses_as_arrays_and_frames(make, engine):
    X, y = DIGITS
    expected = trained(X.tolist(), y.tolist(), engine, 64, 10)
    assert trained(*make(X, y), engine, 64, 10) == expected


@pytest.mark.parametrize("way", WAYS)
def test_batches_and_standardised_rows_are_the_same_in_every_form(way):
    X, y = IRIS
    X = X.astype("f4").astype(float)
    made = WAYS[way](X, y)
    expected = data.Standardiser(X.tolist())
    scale = data.Standardiser(made[0])
    assert repr(scale) == repr(expected)
    assert np.array_equal(scale(made[0]), expected(X.tolist()))
    assert np.array_equal(scale.inverse(made[0]), expected.inverse(X.tolist()))
    pairs = zip(
        data.batches(*made, 16, rng=2), data.batches(X.tolist(), y.tolist(), 16, rng=2), strict=True
    )
    for (rows, targets), (same_rows, same_targets) in pairs:
        assert np.array_equal(np.asarray(rows, float), same_rows)
        assert np.ravel(targets).tolist() == same_targets


@pytest.mark.parametrize("way", ["arrays", "matrix", "pandas", "polars", "pyarrow"])
def test_arrays_come_out_where_arrays_and_tables_came_in(way):
    X, y = WAYS[way](*IRIS)
    scale = data.Standardiser(X)
    parts = [*data.split(X, y, rng=0), *next(data.batches(X, y, 5)), scale(X), scale.inverse(X)]
    assert {*map(type, parts)} == {np.ndarray}
    assert parts[0].shape == (48, 4)
    assert parts[1].dtype.kind == "i"


def test_lists_come_out_of_anything_else():
    X, y = IRIS
    for given in ((X.tolist(), tuple(y.tolist())), (deque(X.tolist()), range(len(X)))):
        parts = [*data.split(*given, rng=0), *next(data.batches(*given, 5))]
        assert {*map(type, parts)} == {list}


@pytest.mark.parametrize("make", [
    list, np.array, pd.Series, pl.Series, pa.array, lambda y: pd.Series(y, dtype="category"),
    lambda y: pd.Series(y, dtype="string"), lambda y: pl.Series(y, dtype=pl.Categorical),
    lambda y: pa.array(y).dictionary_encode(),
])
def test_labels_of_text_are_split_and_mapped_by_the_user(make):
    X, y = IRIS
    names = [["setosa", "versicolor", "virginica"][k] for k in y.tolist()]
    _, y_train, _, y_test = data.split(X, make(names), rng=0)
    _, expected, _, expected_test = data.split(X.tolist(), names, rng=0)
    assert (list(y_train), list(y_test)) == (expected, expected_test)


@ENGINES
@pytest.mark.parametrize("make", [
    np.float32, pd.Series, pl.Series, pa.array, lambda y: np.array([Fraction(x) for x in y]),
    lambda y: [*np.float32(y)], lambda y: pd.Series(y, dtype="float32"),
])
def test_samples_may_be_numbers(make, engine):
    numbers = [0.5, -1.25, 2.0, 0.0]
    losses = []
    for X in (numbers, make(numbers)):
        model = nn.MLP(1, [1], rng=0)
        options = {"optimizer": optim.SGD(model.parameters(), lr=0.1), "epochs": 2}
        losses.append(bits_of(fit(model, nn.mse, X, X, engine=engine, **options).loss))
    assert losses[0] == losses[1]


def test_columns_of_booleans_and_numbers_become_numbers():
    frame = pd.DataFrame({"a": [True, False], "b": [1.5, 2], "c": pd.array([1, 2], dtype="Int8")})
    _, row = next(zip("x", data.split(frame, [0, 1], rng=0)[0]))
    assert row.dtype == float
    assert row.tolist() in ([1.0, 1.5, 1.0], [0.0, 2.0, 2.0])


# ---- refused -------------------------------------------------------------------------------------

ROWS = [[1.0, 2.0], [3.0, 4.0]]
REFUSED = {
    "masked": (np.ma.array(ROWS), r"leave out what is masked"),
    "sparse": (scipy.sparse.csr_matrix(ROWS), r"pass its .toarray\(\)"),
    "sparse array": (scipy.sparse.coo_array(np.array(ROWS)), r"pass its .toarray\(\)"),
    "lazy": (pl.LazyFrame({"a": [1.0, 2.0]}), r"pass its .collect\(\)"),
    "dates": (np.array(["2020-01-01", "2020-01-02"], "M8[D]"), "make numbers of dates"),
    "durations": (pd.Series(pd.to_timedelta([1, 2], "s")), "make numbers of durations"),
    "dates of polars": (pl.Series([1, 2], dtype=pl.Date), "make numbers of dates"),
    "dates among numbers": (
        pd.DataFrame({"a": [1, 2], "b": pd.to_datetime(["2020", "2021"])}), "numbers of dates"
    ),
    "missing": (pd.DataFrame({"a": pd.array([1, None]), "b": [1, 2]}), "with missing numbers"),
    "missing text": (pl.Series(["a", None]), "with missing numbers"),
    "missing boolean": (pd.Series([True, None], dtype="boolean"), "with missing numbers"),
    "complex": (np.array([1j, 2]), "as two columns"),
    "records": (np.array([(1.0, 2.0)] * 2, [("a", float), ("b", float)]), "rows of numbers of its"),
    "records of pandas": (pd.DataFrame(ROWS).to_records(), "rows of numbers of its records"),
    "one number": (np.array(3.0), "pass a list of them"),
    "float32": (np.float32(3.0), "pass a list of them"),
    "None": (None, "pass a list"),
    "generator": ((row for row in ROWS), r"pass list\("),
    "zip": (zip(*ROWS), r"pass list\("),
    "rows of a frame": (pd.DataFrame(ROWS).itertuples(), r"pass list\("),
    "values": (dict(enumerate(ROWS)).values(), r"pass list\("),
    "items": (dict(enumerate(ROWS)).items(), "no order of its own; pass a list"),
}


@pytest.mark.parametrize(("given", "remedy"), REFUSED.values(), ids=REFUSED)
def test_what_has_no_samples_by_position_is_refused_by_name_with_the_remedy(given, remedy):
    model = nn.MLP(2, [1], rng=0)
    options = {"optimizer": optim.SGD(model.parameters(), lr=0.1), "epochs": 1}
    calls = {
        "fit: X": lambda: fit(model, nn.mse, given, [1.0, 2.0], **options),
        "fit: y": lambda: fit(model, nn.mse, ROWS, given, **options),
        "split: y": lambda: data.split(ROWS, given),
        "batches: X": lambda: data.batches(given, [1.0, 2.0]),
    }
    for what, call in calls.items():
        with pytest.raises(TypeError, match=rf"^{what}(\[\d\])? must be [^\n]*{remedy}"):
            call()


# ---- losses and metrics --------------------------------------------------------------------------

V, W = 0.5, -1.5
EQUAL = [
    (nn.mse, [V, W], [1.0, 2.0], [np.array, pd.Series, pl.Series, pa.array, deque, np.float32]),
    (nn.cross_entropy, [V, W], 1, [np.array, pd.Series, pl.Series, pa.array, tuple]),
    (nn.accuracy, [V, W], 0, [np.array, pd.Series, pl.Series, pa.array, tuple]),
]


@pytest.mark.parametrize(("loss", "prediction", "target", "makers"), EQUAL)
def test_losses_take_lists_arrays_and_columns_alike(loss, prediction, target, makers):
    expected = loss(prediction, target)
    for make in makers:
        assert loss(make(prediction), target) == expected
        if isinstance(target, list):
            assert loss(prediction, make(target)) == expected
            assert loss(make(prediction), make(target)) == expected
    values = [Value(x) for x in prediction]
    assert float(loss(np.array(values), target)) == expected


@pytest.mark.parametrize(("loss", "target"), [
    (nn.mse, 1.0), (nn.hinge, 1), (nn.binary_cross_entropy, 0.25), (nn.accuracy, 1),
])
def test_a_list_of_one_number_counts_as_the_number_in_every_loss(loss, target):
    expected = loss(0.5, target)
    for one in (lambda x: [x], lambda x: np.array([x]), lambda x: pd.Series([x], index=["k"])):
        assert loss(one(0.5), target) == loss(0.5, one(target)) == expected
        assert loss(one(0.5), one(target)) == expected
    assert nn.cross_entropy([0.5, 1.0], [1]) == nn.cross_entropy([0.5, 1.0], 1)


@ENGINES
def test_a_model_may_return_a_list_of_one_value(engine):
    X, y = data.moons(12, rng=1)
    losses = []
    for wrap in (lambda v: v, lambda v: [v]):
        model = nn.MLP(2, [3, 1], rng=0)
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        history = fit(lambda x, model=model, wrap=wrap: wrap(model(x)), nn.hinge, X, y,
                      optimizer=optimizer, epochs=3, metrics=[nn.accuracy], engine=engine)
        losses.append(bits_of([*history.loss, *history.metrics["accuracy"]]))
    assert losses[0] == losses[1]


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda: nn.cross_entropy([V, W], [0, 1]), ValueError,
     r"cross_entropy: the target must be the index of a class, 0 to 1, not \[0, 1\]; .*its po"),
    (lambda: nn.cross_entropy([V, W], np.array([0, 1])), ValueError, r"pass its position"),
    (lambda: nn.cross_entropy([V, W], "a"), ValueError, "target must be .* not str .*each label"),
    (lambda: nn.hinge(V, "a"), ValueError, "hinge: the target must be a number .*each label a n"),
    (lambda: nn.hinge(V, None), ValueError, "hinge: the target must be a number .* not NoneType"),
    (lambda: nn.mse(V, {"a": 1}), ValueError, "mse: the target must be a number or a list"),
    (lambda: nn.mse([V, W], ["a", "b"]), ValueError, "mse: the target must be a number or a list"),
    (lambda: nn.mse(np.eye(2), np.eye(2)), TypeError, "mse: the prediction must be a number or"),
    (lambda: nn.mse(V, [1.0, 2.0]), ValueError, "mse: the target must be one number, as the pre"),
    (lambda: nn.binary_cross_entropy([V, W], 1), TypeError, "logit must be one number, not a list"),
    (lambda: nn.hinge(None, 1), TypeError, r"the score must be .*does the model end"),
    (lambda: nn.accuracy([V, W], [0, 1]), ValueError, "accuracy: the target must be the index of"),
    (lambda: nn.accuracy("a", 1), TypeError, "accuracy: the prediction must be a number or a list"),
])
def test_wrong_predictions_and_targets_are_refused_by_name(call, error, message):
    with pytest.raises(error, match=message):
        call()


@ENGINES
@pytest.mark.parametrize(("change", "message"), [
    ({"loss": lambda p, t: None}, "^fit: what the loss returns must be one Value, not NoneType"),
    ({"loss": lambda p, t: [p]}, "^fit: what the loss returns must be one Value, not list"),
    ({"penalty": lambda: None}, "^fit: what the penalty returns must be one Value, not NoneType"),
    ({"metrics": [lambda p, t: None]}, "^fit: what the metric <lambda> returns must be a real num"),
    ({"model": lambda x: None}, r"^hinge: the score must be a number .*end without return"),
])
def test_functions_that_return_nothing_are_refused_by_name(change, message, engine):
    X, y = data.moons(6, rng=1)
    model = nn.MLP(2, [1], rng=0)
    arguments = {"model": model, "loss": nn.hinge, "X": X, "y": y, "epochs": 1, "engine": engine,
                 "optimizer": optim.SGD(model.parameters(), lr=0.1)}
    with pytest.raises(TypeError, match=message):
        fit(**{**arguments, **change})


def _raised(model, loss, engine, penalty=None):
    """Returns the error of a short training, with its notes."""
    layer = nn.Linear(2, 2, rng=0)
    with pytest.raises((TypeError, ValueError, LookupError)) as error:
        fit(lambda x: model(layer(x)), loss, [[1.0, 2.0], [2.0, 3.0]], [1, 0], engine=engine,
            epochs=1, optimizer=optim.SGD(layer.parameters(), lr=0.1), penalty=penalty)
    return type(error.value), str(error.value), getattr(error.value, "__notes__", [])


@pytest.mark.parametrize("loss", [
    nn.mse, nn.hinge, nn.binary_cross_entropy, nn.cross_entropy, lambda p, t: math.sin(p),
])
@pytest.mark.parametrize("model", [
    lambda out: None, lambda out: "text", lambda out: [out], lambda out: {"a": out[0]},
    lambda out: [out[0], None], lambda out: [], lambda out: out[0] + None, lambda out: out[2],
])
def test_a_wrong_prediction_has_the_same_error_on_both_engines(model, loss):
    kind, message, notes = _raised(model, loss, "eager")
    assert _raised(model, loss, "jit") == (kind, message, notes)
    assert "Traced" not in message
    assert notes == ["fit: sample 0, X[0] = [1.0, 2.0] and y[0] = 1"]


@ENGINES
@pytest.mark.parametrize(("wrong", "shown"), [
    (lambda p, t: p[0] > t, "bool ("), (lambda p, t: None, "NoneType (None)"),
    (lambda p, t: "text", "str ('text')"), (lambda p, t: p, "list ([Value("),
    (lambda p, t: (p[0] > 0) & (t > 0), "bool ("),
])
def test_a_wrong_loss_is_shown_with_its_numbers(wrong, shown, engine):
    kind, message, notes = _raised(lambda out: out, wrong, engine)
    assert (kind, len(notes)) == (TypeError, 1)
    assert message.startswith(f"fit: what the loss returns must be one Value, not {shown}")


@ENGINES
def test_a_comparison_is_not_a_penalty(engine):
    found = _raised(lambda out: out[0], nn.mse, engine, penalty=lambda: Value(1.0) > 0)
    assert found[1].startswith("fit: what the penalty returns must be one Value, not bool (True)")


@pytest.mark.parametrize("operation", [
    lambda w, column: w * column, lambda w, column: column * w, lambda w, column: column - w,
    lambda w, column: w / column, lambda w, column: column**w, lambda w, column: w + column,
    lambda w, column: pl.DataFrame({"a": column}) * w, lambda w, column: pl.col("a") * w,
])
def test_polars_is_said_to_compute_with_numbers(operation):
    with pytest.warns(GraphWarning, match=r"^polars computes with the number of Value\(.*no graph"):
        operation(Value(2.0), pl.Series([1.0, 2.0]))


def test_polars_may_compare_values_and_make_columns_of_their_numbers():
    w = Value(2.0)
    column = pl.Series([1.0, 2.0])
    assert (column < w).to_list() == [True, False]
    assert pl.Series([w, w]).to_list() == [2.0, 2.0]
    product = w * column.to_numpy()
    product[1].backward()
    assert w.grad == 2.0


def test_diagnose_names_a_loss_that_returns_nothing():
    with pytest.raises(TypeError, match=r"^diagnose: what the loss returns must be one Value"):
        diagnose(nn.MLP(2, [1], rng=0), *data.moons(6, rng=1), loss=lambda p, t: None)


# ---- sizes, counts and inputs --------------------------------------------------------------------


@pytest.mark.parametrize("whole", [np.int64, np.uint8, np.int32])
def test_sizes_counts_and_seeds_may_be_whole_numbers_of_numpy(whole):
    X, y = data.moons(whole(8), rng=whole(1))
    assert (X, y) == data.moons(8, rng=1)
    sizes = [whole(3), whole(1)]
    for nouts in (sizes, tuple(sizes), np.array(sizes)):
        model = nn.MLP(whole(2), nouts, rng=whole(0))
        assert repr(model) == repr(nn.MLP(2, [3, 1]))
    options = {"epochs": whole(2), "batch_size": whole(3), "record_every": whole(2),
               "rng": whole(0)}
    optimizer = optim.SGD(model.parameters(), lr=np.float32(0.1))
    assert len(fit(model, nn.hinge, X, y, optimizer=optimizer, **options)) == 6
    assert len(next(data.batches(X, y, whole(3)))[0]) == 3


@pytest.mark.parametrize("one", [np.float32, np.array, Fraction, np.int8, lambda x: np.array([x])])
def test_a_layer_of_one_input_takes_any_number(one):
    assert nn.MLP(1, [2], rng=0)(one(1))[0].data == nn.MLP(1, [2], rng=0)([1.0])[0].data


@pytest.mark.parametrize("part", [nn.Linear(2, 2, rng=0), nn.RMSNorm(2), nn.Dropout(0.5, rng=0)])
@pytest.mark.parametrize("make", [np.array, pd.Series, np.float32])
def test_layers_take_arrays_as_they_take_lists(part, make):
    given = make([0.5, -2.0])
    if isinstance(given, pd.Series) and not isinstance(part, nn.Dropout):
        given = given.to_numpy()
    fresh = nn.Dropout(0.5, rng=0) if isinstance(part, nn.Dropout) else part
    other = nn.Dropout(0.5, rng=0) if isinstance(part, nn.Dropout) else part
    assert [*map(float, fresh(given))] == [*map(float, other([0.5, -2.0]))]


@pytest.mark.parametrize("x", [None, "ab", np.eye(2), pd.DataFrame(ROWS)], ids=repr)
def test_what_is_not_one_sample_is_refused_by_a_layer(x):
    with pytest.raises(TypeError, match=r"^Layer: x.* must be a list of 2 numbers or Values, not "):
        nn.MLP(2, [1])(x)


def test_a_large_table_is_read_quickly():
    """It takes 0.1 s; a read of number by number with its label takes minutes."""
    rng = random.Random(0)
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(100_000, 10)))
    X, y, _, _ = data.split(frame.convert_dtypes(), frame[0], rng=rng, stratify=False)
    assert X.shape == (80_000, 10)
    assert X.dtype == float
    assert jit(lambda x, t: x * t).batch(X[:, 0], y).shape == (80_000,)
