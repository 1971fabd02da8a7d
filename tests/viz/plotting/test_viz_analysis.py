"""The numbers behind the plots, for models of known behaviour; the models are left unchanged."""

import json
import math
import random

import pytest
from helpers import inf, nan, run_python, state_of

from tinygrad_edu import Value, nn
from viz.plotting.analysis import (
    curve_at,
    curve_points,
    grid_at,
    grid_points,
    loss_surface,
)
from viz.plotting.ranges import drawable, histogram, padded_range, spaced
from viz.plotting.samples import (
    NoNumbersError,
    class_indices,
    floats,
    outputs,
    predicted_class,
    samples,
)


def with_dropout(rng=0):
    return nn.Sequential(
        nn.Layer(2, 4, rng=rng), nn.Dropout(0.5, rng=1), nn.Layer(4, 1, "linear", rng=rng)
    )


# ---- samples -------------------------------------------------------------------------------------


def test_samples_may_be_rows_numbers_or_anything_that_yields_them():
    assert samples([[1, 2], (3.0, True)]).rows == ((1.0, 2.0), (3.0, 1.0))
    assert samples(x for x in [[1], [2]]).rows == ((1.0,), (2.0,))
    assert samples(range(2)).rows == ((0.0,), (1.0,))
    assert samples(range(2)).input((3.0,)) == 3.0
    assert samples([[1]]).input((3.0,)) == [3.0]


@pytest.mark.parametrize(("X", "error", "message"), [
    ([], ValueError, "X must not be empty"), ([[]], ValueError, r"X\[0\] must not be empty"),
    ([[1, 2], [1]], ValueError, r"X\[1\] must have 2 features, as X\[0\] has, not 1"),
    (["ab"], TypeError, r"X\[0\] must be a real number, not str"), ([[1j]], TypeError, "complex"),
    (3, TypeError, r"X must be samples: rows of numbers, or numbers, not int \(3\)"),
])
def test_samples_that_are_not_a_table_of_numbers_are_rejected(X, error, message):
    with pytest.raises(error, match=message):
        samples(X)


@pytest.mark.parametrize(("numbers", "expected"), [
    ([0, 10], (-1.0, 11.0)), ([5.0], (2.5, 7.5)), ([0.0, 0.0], (-0.5, 0.5)), ([], (-0.5, 0.5)),
    ([nan, inf, 1e300], (-0.5, 0.5)),
    ([0, nan, 10, -inf], (-1.0, 11.0)), ([1e15, 1e15 + 1], (0.5e15, 1.5e15)),
])
def test_padded_range_contains_drawable_numbers_and_is_never_empty(numbers, expected):
    assert padded_range(numbers) == pytest.approx(expected)


def test_spaced_numbers_end_exactly_at_the_limits():
    assert spaced(0.0, 0.3, 4) == pytest.approx((0, 0.1, 0.2, 0.3))
    assert spaced(-0.1, 0.7, 50)[-1] == 0.7
    assert spaced(-0.1, 0.7, 50)[0] == -0.1


def test_predicted_class_is_the_one_that_accuracy_counts_as_right():
    rng = random.Random(0)
    for _ in range(200):
        scores = [rng.choice([-1.0, 0.0, 0.5, 2.0]) for _ in range(rng.choice([1, 2, 4]))]
        prediction = scores[0] if len(scores) == 1 else scores
        for label in range(max(2, len(scores))):
            assert (predicted_class(scores) == label) == bool(nn.accuracy(prediction, label))
    assert predicted_class([nan]) == predicted_class([1.0, nan]) == -1


def test_labels_become_classes():
    assert class_indices([-1, 1, 1], 1) == [0, 1, 1]
    assert class_indices([0, 1], 1) == [0, 1]
    assert class_indices([2.0, 0.0], 3) == [2, 0]


@pytest.mark.parametrize(("labels", "count"), [
    ([0, 2], 1), ([-1, 0], 1), ([0.5], 1), ([3], 3), ([-1], 2), ([0.5], 2), ([nan], 2)])
def test_labels_that_do_not_fit_the_outputs_are_rejected(labels, count):
    with pytest.raises(ValueError, match=r"^y\[\d\] must be .* class.*, not .*, for a model of"):
        class_indices(labels, count)


@pytest.mark.parametrize("model", [lambda x: [], lambda x: [1.0] * int(x[0])])
def test_a_model_must_give_as_many_outputs_for_every_sample(model):
    with pytest.raises(
        ValueError, match="must return equally many outputs for every sample, at least one"
    ):
        outputs(model, [[1], [2]])


def test_a_model_that_returns_text_is_named():
    with pytest.raises(TypeError, match="an output of the model must be a real number, not str"):
        outputs(lambda x: "0.5", [[1]])


@pytest.mark.parametrize("look", [outputs, lambda model, X: grid_at(grid_points(X), model)])
def test_samples_in_the_place_of_the_model_are_named(look):
    with pytest.raises(
        TypeError, match=r"the model must be callable, not \[\[1, 2\]\]; pass the model first"
    ):
        look([[1, 2]], [[1, 2]])


@pytest.mark.parametrize(("given", "numbers"), [
    (2, (2.0,)),
    (Value(0.5), (0.5,)),
    ([Value(0.5), 1], (0.5, 1.0)),
    ((True,), (1.0,)),
    ([], ()),
    (range(2), (0.0, 1.0)),
])
def test_a_number_or_a_list_of_them_becomes_floats(given, numbers):
    assert floats(given, "it") == numbers


@pytest.mark.parametrize("given", ["1", None, {1: 2}, [[1.0]], [1, "2"], 10**400])
def test_floats_rejects_what_is_not_a_number(given):
    with pytest.raises(NoNumbersError, match=r"^a target"):
        floats(given, "a target")


# ---- decisions -----------------------------------------------------------------------------------


def test_a_decision_grid_holds_the_outputs_at_its_points():
    points = grid_points([[0, 0], [4, 2]], resolution=5, margin=0.25)
    grid = grid_at(points, lambda x: [x[0], 10 * x[1]])
    assert grid.xs == (-1.0, 0.5, 2.0, 3.5, 5.0)
    assert grid.ys == (-0.5, 0.25, 1.0, 1.75, 2.5)
    assert grid.outputs[0] == (grid.xs,) * 5
    assert [row[0] for row in grid.outputs[1]] == [10 * y for y in grid.ys]
    assert grid.classes()[2] == (1, 1, 1, 1, 1)
    assert grid.classes()[0] == (0, 0, 0, 0, 0)
    assert grid.margin(1)[1] == (3.5, 2.0, 0.5, -1.0, -2.5)


def test_one_output_is_its_own_margin_and_decides_by_its_sign():
    grid = grid_at(grid_points([[0, 0], [2, 1]], resolution=3, margin=0.0), lambda x: x[0] - 1)
    assert grid.margin(0) == grid.outputs[0] == ((-1.0, 0.0, 1.0),) * 3
    assert grid.classes() == ((0, 0, 1),) * 3


def test_other_features_stay_at_their_means():
    def model(x):
        return 100 * x[0] + 10 * x[1] + x[2]

    X = [[1, 2, 3], [3, 6, 5]]
    grid = grid_at(grid_points(X, features=(2, 0), resolution=2, margin=0.0), model)
    assert grid.fixed == ((1, 4.0),)
    assert grid.outputs[0] == ((143.0, 145.0), (343.0, 345.0))
    fit = curve_at(curve_points(X, feature=1, resolution=2, margin=0.0), model)
    assert fit.fixed == ((0, 2.0), (2, 4.0))
    assert fit.outputs == ((224.0, 264.0),)


def test_several_models_are_evaluated_at_the_same_points():
    # one of them changes its input
    X, models = [[0, 0, 1], [4, 2, 3]], [sum, lambda x: [x[0], x.pop()]]
    grid, curve = (
        grid_points(X, features=(2, 1), resolution=4),
        curve_points(X, feature=1, resolution=5),
    )
    for model in models:
        assert grid_at(grid, model) == grid_at(grid_points(X, features=(2, 1), resolution=4), model)
        assert curve_at(curve, model) == curve_at(curve_points(X, feature=1, resolution=5), model)
    assert len(grid.points) == 16
    assert (curve.axes, curve.fixed) == ((spaced(-0.2, 2.2, 5),), ((0, 2.0), (2, 2.0)))


def test_nonfinite_samples_do_not_affect_the_grid():
    X = [[0, 0], [4, 2]]
    points = grid_points([*X, [nan, 9], [9, inf], [1e200, 9]], resolution=3)
    assert grid_at(points, sum) == grid_at(grid_points(X, resolution=3), sum)
    with pytest.raises(ValueError, match="every sample in X contains nan or infinity"):
        grid_points([[nan, 1]])


@pytest.mark.parametrize(("options", "error", "message"), [
    ({"features": (0, 3)}, ValueError, "a feature must be .* from 0 to 2, not 3"),
    ({"features": (0, -1)}, ValueError, "a feature must be .* from 0 to 2, not -1"),
    ({"features": (1, 1)}, ValueError, "two different features"),
    ({"features": "ab"}, ValueError, "two different features"),
    ({"resolution": 1}, ValueError, "resolution must be a whole number from 2 to 1,000, not 1"),
    ({"resolution": 2.5}, TypeError, r"resolution must be a whole number, not float \(2.5\)"),
    ({"resolution": True}, TypeError, r"resolution must be a whole number, not bool \(True\)"),
])
def test_grid_points_reject_invalid_options(options, error, message):
    with pytest.raises(error, match=message):
        grid_points([[1, 2, 3]], **options)


def test_a_grid_needs_two_features():
    with pytest.raises(ValueError, match="use curve_points"):
        grid_points([[1]])


@pytest.mark.parametrize("look", [
    lambda model: outputs(model, [[1, 2]]),
    lambda model: grid_at(grid_points([[1, 2]], resolution=3), model),
    lambda model: curve_at(curve_points([[1, 2]], resolution=3), model),
    lambda model: loss_surface(lambda: model([1, 2]) ** 2, *model.parameters()[:2], resolution=3),
], ids=["outputs", "grid_at", "curve_at", "loss_surface"])
def test_a_model_is_left_as_it_was(look):
    model = with_dropout()
    model([1.0, 2.0]).backward()
    model.layers[0].training = False  # modes that differ are restored one by one
    before = state_of(model)
    look(model)
    assert state_of(model) == before


def test_mode_is_restored_if_the_model_raises():
    model = with_dropout()
    with pytest.raises(ValueError, match="x must be a list of 2 numbers"):
        outputs(model, [[1, 2, 3]])
    assert all(module.training for module in model.modules())


def test_models_run_in_evaluation_mode():
    model = with_dropout()
    given = outputs(model, [[1, 2]] * 5)
    assert len(set(given)) == 1
    assert given[0][0] == float(model.eval()([1, 2]))


# ---- histograms ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("numbers", "counts"), [
    ([0.0, 0.4, 0.5, 1.0], [2, 2]),
    ([1.5, -0.1, nan, inf], [0, 0]),
    ([], [0, 0]),
    ([0.9999999999999999], [0, 1]),
])
def test_histograms_count_numbers_between_their_ends(numbers, counts):
    assert histogram(numbers, (0.0, 0.5, 1.0)) == counts


# ---- the loss over two parameters ----------------------------------------------------------------


def test_a_loss_surface_holds_the_loss_at_its_points():
    p, q = Value(3.0), Value(4.0)
    surface = loss_surface(lambda: 10 * p + q, p, q, ranges=((0, 1), (2, 4)), resolution=3)
    assert (surface.xs, surface.ys) == ((0.0, 0.5, 1.0), (2.0, 3.0, 4.0))
    assert surface.losses == ((2.0, 7.0, 12.0), (3.0, 8.0, 13.0), (4.0, 9.0, 14.0))


def test_the_ranges_cover_the_path_and_the_current_point():
    p, q = Value(3.0), Value(4.0)
    surface = loss_surface(lambda: p * q, p, q, path=((x, -x) for x in (0, 1, nan)), resolution=2)
    assert surface.xs == (-0.75, 3.75)
    assert surface.ys == (-2.25, 5.25)


def test_parameters_are_restored_when_the_loss_raises():
    p, q = Value(3.0), Value(4.0)
    p.grad, q.grad = 0.5, -0.5
    calls = []

    def loss():
        calls.append((p.data, q.data))
        p.backward()
        if len(calls) == 5:
            raise ZeroDivisionError
        return p * q

    with pytest.raises(ZeroDivisionError):
        loss_surface(loss, p, q, resolution=3)
    assert len(set(calls)) == 5
    assert (p.data, q.data, p.grad, q.grad) == (3.0, 4.0, 0.5, -0.5)


def test_loss_surface_names_what_is_not_a_parameter():
    p, q = Value(3.0), Value(4.0)
    for arguments, error, message in [
        ((lambda: p, p, p), ValueError, "p and q must be different parameters"),
        ((lambda: p, p, q + 1), ValueError, "the result of an operation"),
        ((lambda: p, 3.0, q), TypeError, "p must be a parameter, a Value, not float"),
        ((p, p, q), TypeError, "loss must be a function"),
        ((lambda: "1", p, q), TypeError, "the result of loss must be a real number"),
    ]:
        with pytest.raises(error, match=message):
            loss_surface(*arguments)
    for ranges, message in [
        (((0, 0), (0, 1)), r"ranges\[0\] must be .*, not \(0, 0\)"),
        (((0, 1), (0, inf)), r"ranges\[1\]"),
    ]:
        with pytest.raises(ValueError, match=message):
            loss_surface(lambda: p, p, q, ranges=ranges)
    for path in ([1, 2], [(1, 2, 3)], ["a"]):
        with pytest.raises(ValueError, match=r"path\[0\] must be a pair"):
            loss_surface(lambda: p, p, q, path=path)
    assert (p.data, q.data) == (3.0, 4.0)


# ---- no matplotlib -------------------------------------------------------------------------------


def test_analysis_needs_no_matplotlib():
    done = run_python("""
import json, sys
from tinygrad_edu import nn
from viz.plotting import analysis, curves
model = nn.MLP(2, [2, 1], rng=0)
analysis.grid_at(analysis.grid_points([[1, 2]], resolution=2), model), curves.curves("tanh")
print(json.dumps(sorted({"matplotlib", "numpy", "rich", "PIL"} & set(sys.modules))))
""")
    assert json.loads(done.stdout) == [], done.stderr


def test_nan_and_enormous_numbers_are_not_drawable():
    assert [drawable(x) for x in (0.0, -1e100, 1.1e100, inf, -inf, nan, math.pi)] == [
        True, True, False, False, False, False, True]
