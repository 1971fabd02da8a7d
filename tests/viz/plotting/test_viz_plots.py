"""Plots: what they draw for ordinary and extreme models, and that they change nothing else."""

import builtins
import math
from itertools import pairwise

import pytest
from helpers import bits, inf, nan

import viz
from tinygrad_edu import Value, data, nn, optim
from tinygrad_edu import math as tmath
from tinygrad_edu.diagnosis import inspection
from tinygrad_edu.engine.primitive import TABLE
from tinygrad_edu.engine.table import define
from tinygrad_edu.errors import RenderError
from tinygrad_edu.symbolic.formulas import formula
from tinygrad_edu.train import History, Sweep
from tinygrad_edu.train.sweeping import Row
from viz.plotting import plots
from viz.plotting.plots import (
    activation_histograms,
    decision_boundary,
    derivatives,
    gradient_flow,
    loss,
    loss_surface,
    sweep,
)
from viz.plotting.ranges import drawable, histogram


def history(losses, epochs=1, **metrics):
    made = History(metrics)
    made.loss, made.metrics = losses, metrics
    made.epoch_ends = [len(losses) * (i + 1) // epochs for i in range(epochs)]
    return made


def axes(*args, **kwargs):
    pytest.importorskip("matplotlib", reason="needs the extra `plots`")
    figure = loss(history(*args, **kwargs))
    figure.draw_without_rendering()
    return figure.axes


def test_an_ordinary_run_has_a_linear_axis_from_zero():
    ax, = axes([2.0, 1.0, 0.5])
    assert ax.get_yscale() == "linear"
    assert ax.get_ylim()[0] == 0


def test_diverged_run_has_a_logarithmic_axis_of_its_finite_losses():
    ax, = axes([2.0, 1e3, 1e99, 1e306, math.inf, math.nan])
    assert ax.get_yscale() == "log"
    low, high = ax.get_ylim()
    assert 0 < low <= 2
    assert 1e99 <= high < 1e101
    assert [y == y for y in ax.get_lines()[0].get_ydata()] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize(("losses", "scale"), [
    ([1.0, 1e4], "linear"), ([1.0, 1.01e4], "log"),
    ([0.0, 1.0, 2.0], "linear"), ([-1.0, 1.0], "linear"), ([math.nan, math.inf], "linear"),
    ([0.0, 1e-9, 1.0], "log"), ([5e-324, 1e99], "log"), ([5e-324, 1e308], "linear"),
])
def test_axis_is_logarithmic_for_a_wide_range_of_losses(losses, scale):
    assert axes(losses)[0].get_yscale() == scale


@pytest.mark.parametrize("metrics", [{}, {"accuracy": [0.5, 0.9]}])
def test_the_legend_covers_no_line(metrics):
    ax = axes([4.0, 3.0, 2.0, 1.0], epochs=2, **metrics)[0]
    legend, title = ax.get_legend().get_window_extent(), ax.title.get_window_extent()
    assert legend.y0 >= ax.get_window_extent().y1 - 1
    assert not legend.overlaps(title)
    assert len(ax.get_legend().get_texts()) == 2 + len(metrics)


def test_metrics_are_named_as_typed():
    legend = axes([2.0, 1.0], epochs=2, **{"_error in $": [1.0, 0.5]})[0].get_legend()
    assert shown(legend.get_texts()[-1]) == " _error in $"


# ---- what all have in common ---------------------------------------------------------------------


def plotted(plot, *args, **kwargs):
    """Returns the Axes of a plot."""
    pytest.importorskip("matplotlib", reason="needs the extra `plots`")
    return plot(*args, **kwargs).axes[0]


def drawn(plot, *args, **kwargs):
    """Returns the Axes of a plot after drawing all of it. This is ten times as slow, but extreme
    numbers fail only there."""
    ax = plotted(plot, *args, **kwargs)
    ax.figure.draw_without_rendering()
    return ax


def shown(text):
    """Returns the text as a reader sees it, of an artist or of an escaped string."""
    return (text if isinstance(text, str) else text.get_text()).replace(r"\$", "$")


def title(ax):
    return shown(ax.get_title()).split("\n")


def legend(ax):
    return [shown(text) for text in ax.get_legend().get_texts()]


def points(ax, label):
    """Returns the points of the scatter with that label."""
    found, = [c for c in ax.collections if c.get_label() == label]
    return [tuple(map(float, point)) for point in found.get_offsets()]


def line(ax, label):
    found, = [artist for artist in ax.get_lines() if artist.get_label() == label]
    return list(found.get_xdata()), list(found.get_ydata())


def xor_model():
    """Computes x0 * x1, whose decision boundary is the axes."""
    return lambda x: x[0] * x[1]


def swept(**more):
    """Returns a sweep of three rates, two networks and two seeds, of which some diverged."""
    found = []
    for layers in ([4], [8, 8]):
        for lr, fall in ((0.01, 1.0), (0.1, 0.5), (1.0, 0.25)):
            for seed in (0, 1):
                lost = lr == 1.0 and (seed == 1 or layers == [8, 8])
                end = math.inf if lost else len(layers) * fall + seed
                found.append(Row(
                    {"data": "moons", "layers": layers, "lr": lr, **more}, seed, 1.0, end, end,
                    {"accuracy": 0.5 + lr / 4}, finding="loss diverges" if lost else "",
                ))
    return Sweep(found)


P, Q = Value(1.0, "w"), Value(2.0, "b")
MODEL = nn.MLP(2, [3, 1], rng=0)
X, Y = [[1.0, 2.0], [-1.0, 1.0], [2.0, -1.0]], [1, -1, 1]
PLOTS = {
    "loss": lambda **kw: loss(history([2.0, 1.0], epochs=2, accuracy=[0.5, 1.0]), **kw),
    "decision_boundary": lambda **kw: decision_boundary(MODEL, X, Y, resolution=5, **kw),
    "gradient_flow": lambda **kw: gradient_flow(MODEL, X, **kw),
    "activation_histograms": lambda **kw: activation_histograms(MODEL, X, **kw),
    "loss_surface": lambda **kw: loss_surface(
        lambda: P * P + Q, P, Q, path=[(0, 0), (1, 2)], resolution=5, **kw
    ),
    "derivatives": lambda **kw: derivatives("pow", resolution=20, **kw),
    "sweep": lambda **kw: sweep(swept(), **kw),
}
every_plot = pytest.mark.parametrize("plot", PLOTS.values(), ids=PLOTS)


@every_plot
def test_without_matplotlib_the_error_says_what_to_install(plot, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(RenderError, match="pip install matplotlib"):
        plot()


@every_plot
def test_plot_is_drawn_into_the_given_axes_only(plot):
    figure_module = pytest.importorskip("matplotlib.figure", reason="needs the extra `plots`")
    figure = figure_module.Figure(figsize=(10, 4))
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1])
    places = {ax.get_position().bounds for ax in figure.axes}
    before = (
        left.get_position().bounds,
        len(left.get_children()),
        left.get_xlim(),
        left.get_title(),
    )
    assert plot(ax=right) is figure
    assert (
        left.get_position().bounds,
        len(left.get_children()),
        left.get_xlim(),
        left.get_title(),
    ) == before
    assert {ax.get_position().bounds for ax in figure.axes} == places
    assert right.get_title()
    assert right.get_xlabel()
    figure.draw_without_rendering()


def test_an_axes_may_stand_in_a_subfigure():
    figure_module = pytest.importorskip("matplotlib.figure", reason="needs the extra `plots`")
    figure = figure_module.Figure()
    ax = figure.subfigures(1, 2)[0].subfigures(2, 1)[1].add_subplot()
    assert derivatives("tanh", ax=ax) is figure
    assert len(ax.get_lines()) >= 2


@every_plot
def test_titles_and_legends_lie_above_the_picture_and_inside_the_figure(plot):
    ax = drawn(plot)
    box, frame = ax.title.get_window_extent(), ax.figure.bbox
    assert frame.x0 <= box.x0 < box.x1 <= frame.x1
    assert box.y1 <= frame.y1 + 1
    assert box.y0 >= ax.get_window_extent().y1
    if ax.get_legend():
        extent = ax.get_legend().get_window_extent()
        assert extent.y0 >= ax.get_window_extent().y1 - 1
        assert not extent.overlaps(box)


@every_plot
def test_a_plot_does_not_touch_the_state_of_pyplot(plot):
    matplotlib = pytest.importorskip("matplotlib", reason="needs the extra `plots`")
    settings = dict(matplotlib.rcParams)
    plotted(plot)
    assert dict(matplotlib.rcParams) == settings


def test_models_are_left_as_they_were():
    model = nn.Sequential(
        nn.Layer(2, 4, rng=0), nn.Dropout(0.5, rng=1), nn.Layer(4, 1, "linear", rng=0)
    )
    model([1.0, 2.0]).backward()
    model.layers[0].training = False

    def state():
        return ([(name, bits(p.data), bits(p.grad)) for name, p in model.named_parameters()],
                [module.training for module in model.modules()])

    before = state()
    plotted(decision_boundary, model, X, Y, resolution=5)
    plotted(decision_boundary, model, X, Y, features=1, resolution=5)
    plotted(gradient_flow, model, X)
    plotted(activation_histograms, model, X)
    plotted(loss_surface, lambda: nn.hinge(model(X[0]), 1), *model.parameters()[:2], resolution=5)
    assert state() == before


def test_a_history_without_steps_is_an_error():
    with pytest.raises(ValueError, match="no steps"):
        loss(history([]))


@pytest.mark.parametrize("wrong", [3, [1.0, 0.5], None, "history"])
def test_loss_rejects_what_is_not_a_history(wrong):
    with pytest.raises(
        TypeError, match=rf"loss: history must be a History, not {type(wrong).__name__} \("
    ):
        loss(wrong)


@pytest.mark.parametrize(("plot", "message"), [
    (lambda: decision_boundary(X, Y, MODEL), r"the model must be callable, not \[\[1.0, .*; "
                                             r"pass the model first"),
    (lambda: decision_boundary(MODEL, MODEL, X), r"X must be samples: rows of numbers, or numbers, "
                                                 r"not MLP \("),
    (lambda: decision_boundary(MODEL, X, MODEL), r"y must be labels: a number for each sample, not "
                                                 r"MLP \("),
    (lambda: activation_histograms(X, MODEL), r"the model must be callable, not \[\[1.0, "),
    (lambda: gradient_flow(MODEL, 3), r"X must be samples: .*, not int \(3\)"),
    (lambda: gradient_flow("tanh"), r"gradient_flow: model must be a Module, .* not "
                                    r"str \('tanh'\)"),
], ids=["X y model", "model model X", "model X model", "X model", "no samples", "name"])
def test_arguments_in_the_wrong_place_are_named(plot, message):
    with pytest.raises(TypeError, match=message):
        plot()


@every_plot
def test_an_axes_that_has_no_room_for_a_plot_is_named(plot):
    figure = pytest.importorskip("matplotlib.figure", reason="needs the extra `plots`").Figure()
    with pytest.raises(
        ValueError,
        match="ax must have a horizontal and a vertical axis, but ax is of the type PolarAxes;",
    ):
        plot(ax=figure.add_subplot(projection="polar"))
    with pytest.raises(
        TypeError,
        match=r"ax must be an Axes, not <?Figure.*; pass one, such as figure.add_subplot\(\)",
    ):
        plot(ax=figure)


STRANGE = ["\ud800", "name" * 750, "W" * 3000, "\n" * 3000, "\x00\x1b[0m", "_$" * 1500]


def named(name):
    """Returns plots that show a given name wherever they show a name of the user."""
    p, q, w = Value(1.0, name), Value(2.0, name), Value(0.5)
    net = nn.Sequential(nn.Layer(2, 2, rng=0))
    setattr(net, name, nn.Layer(2, 1, rng=1))
    samples = [[1.0, 2.0, 0.0], [-1.0, 1.0, 1.0]]
    return [
        (loss, (history([2.0, 1.0], epochs=2, **{name: [0.5, 1.0], f"{name}2": [0.5, 1.0]}),), {}),
        (decision_boundary, (lambda x: w * x[0], samples, [1, -1]), {
            "resolution": 4, "feature_names": [name] * 3, "class_names": [name] * 2}),
        (gradient_flow, ({f"{name}.w.0": 1.0, f"{name}.b.w.0": 2.0},), {}),
        (activation_histograms, (lambda x: getattr(net, name)(net(x)), X), {}),
        (sweep, (Sweep([Row({name: x, "other": name * x}, 0, 1.0, x, x) for x in (1, 2)]),), {}),
        (loss_surface, (lambda: p * p + q, p, q), {"resolution": 4}),
    ]


@pytest.mark.parametrize("k", range(5), ids=list(PLOTS)[:5])
@pytest.mark.parametrize(
    "name", STRANGE, ids=["surrogate", "long", "wide", "lines", "control", "dollars"]
)
def test_names_of_any_kind_leave_room_for_the_picture(name, k):
    plot, arguments, options = named(name)[k]
    ax = drawn(plot, *arguments, **options)
    width, height = ax.get_window_extent().size / ax.figure.dpi
    assert width > 2
    assert height > 1


def test_long_names_keep_their_ends_and_what_cannot_be_drawn_is_replaced():
    _, long, broken = legend(
        axes(
            [2.0, 1.0], epochs=2, **{f"first{'.' * 3000}last": [1.0, 0.5], "a\ud800\nb": [1.0, 0.5]}
        )[0]
    )
    assert long.startswith("first...")
    assert long.endswith("...last")
    assert len(long) == 40
    assert broken == "a\ufffd b"


# ---- decision_boundary ---------------------------------------------------------------------------


def test_samples_are_drawn_in_place_and_misclassified_ones_are_ringed():
    ax = plotted(
        decision_boundary,
        xor_model(),
        [[1, 1], [-2, -1], [1, -1], [-1, 2]],
        [1, -1, -1, 1],
        resolution=10,
    )
    assert points(ax, "class 1") == [(1.0, 1.0), (-1.0, 2.0)]
    assert points(ax, "class -1") == [(-2.0, -1.0), (1.0, -1.0)]
    assert points(ax, "misclassified (2)") == [(-2.0, -1.0), (-1.0, 2.0)]
    assert title(ax) == ["Decision boundary: 2 of 4 samples right"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("feature 0", "feature 1")
    assert legend(ax) == ["class -1", "class 1", "misclassified (2)"]


def test_classes_differ_in_colour_and_in_shape():
    ax = plotted(
        decision_boundary,
        lambda x: [x[0], -x[0], x[1]],
        [[1, 0], [-1, 0], [0, 2]],
        [0, 1, 2],
        resolution=10,
    )
    scatters = [c for c in ax.collections if c.get_label() in ("class 0", "class 1", "class 2")]
    assert len(scatters) == 3
    assert len({tuple(c.get_facecolor()[0]) for c in scatters}) == 3
    assert len({c.get_paths()[0].vertices.tobytes() for c in scatters}) == 3


def contour_at_zero(ax):
    """Returns the vertices of the boundary lines."""
    found = [c for c in ax.collections if hasattr(c, "levels") and list(c.levels) == [0.0]]
    return [tuple(map(float, v)) for c in found for path in c.get_paths() for v in path.vertices]


def test_the_boundary_of_one_output_is_where_the_score_is_zero():
    ax = plotted(
        decision_boundary, lambda x: x[0] + 2 * x[1] - 1, [[0, 0], [3, 3]], [0, 1], resolution=12
    )
    vertices = contour_at_zero(ax)
    assert len(vertices) > 5
    assert all(abs(x + 2 * y - 1) < 1e-9 for x, y in vertices)


def test_the_boundary_of_several_outputs_is_where_the_two_largest_are_equal():
    ax = plotted(
        decision_boundary,
        lambda x: [x[0], x[1], -x[0] - x[1] - 3],
        [[0, 0], [3, 2]],
        [0, 1],
        resolution=12,
    )
    vertices = contour_at_zero(ax)
    assert len(vertices) > 5
    assert all(abs(x - y) < 1e-9 for x, y in vertices)
    assert "class 2" not in legend(ax)


def test_other_features_stay_at_their_means_and_the_title_says_so():
    iris = data.iris()
    ax = plotted(
        decision_boundary,
        lambda x: [x[0], x[1], x[2]],
        *iris,
        features=(2, 3),
        resolution=4,
        feature_names=iris.feature_names,
        class_names=iris.class_names,
    )
    text = " ".join(title(ax)[1:]).replace("\u00a0", " ")  # it keeps an equation on one line
    assert text.startswith("the other features stay at their means: sepal")
    assert "= 5.84" in text
    assert "= 3.06" in text
    assert (ax.get_xlabel(), ax.get_ylabel()) == tuple(iris.feature_names[2:])
    assert legend(ax)[:3] == iris.class_names


def test_constant_prediction_has_no_boundary():
    for model in (lambda x: 1.0, lambda x: 0.0, lambda x: [0.0, 0.0], lambda x: [1.0, 0.0, 0.0]):
        assert contour_at_zero(plotted(decision_boundary, model, X, [1, 0, 1], resolution=4)) == []


@pytest.mark.parametrize("bad", [nan, inf, 1e300])
def test_samples_and_outputs_that_cannot_be_drawn_are_left_out_and_the_title_says_so(bad):
    ax = drawn(
        decision_boundary,
        lambda x: bad if x[0] > 0 else x[1],
        [[bad, 2], [-1, 2], [1, 4]],
        [1, 0, 1],
        resolution=4,
    )
    assert title(ax)[1:] == ["1 of 3 samples left out: nan or beyond 1e100",
                             "no output at 8 of 16 points: nan or beyond 1e100"]
    assert points(ax, "class 0") == [(-1.0, 2.0)]
    plotted(decision_boundary, lambda x: bad, X, Y, resolution=4)
    plotted(decision_boundary, lambda x: [bad, 1.0], X, [0, 1, 0], resolution=4)


@pytest.mark.parametrize(("samples", "labels"), [
    ([[1, 2]], [1]), ([[1, 2]] * 4, [1, -1, 1, 1]), (iter([[1, 2], [2, 1]]), iter([0, 1])),
    ([(1e99, 0), (-1e99, 1)], [0.0, 1.0]),
    ([[1e15, 0], [1e15 + 1, 1]], [0, 1]), ([[1e-300, 0], [-1e-300, 1]], [True, False]),
])
def test_few_equal_generated_and_extreme_samples_are_drawn(samples, labels):
    ax = drawn(decision_boundary, MODEL, samples, labels, resolution=4)
    assert "samples right" in title(ax)[0]


@pytest.mark.parametrize(("arguments", "options", "message"), [
    (([], []), {}, "X must not be empty"),
    ((X, Y[:2]), {}, "X and y must have equally many samples, not 3 and 2"),
    ((X, [1, 2, 3]), {}, r"y\[1\] must be one of two classes, .*, not 2.0, for a model of 1"),
    (([[nan, 1]], [1]), {}, "every sample contains nan"),
    ((X, Y), {"features": (0, 5)}, "a feature must be .* from 0 to 1, not 5"),
    ((X, Y), {"features": 5}, "a feature must be .* from 0 to 1, not 5"),
    ((X, Y), {"resolution": 0}, "from 2 to 1,000, not 0"),
    ((X, Y), {"class_names": ["a"]}, "class_names must have 2 names, .*, not 1"),
    ((X, Y), {"feature_names": ["a"]}, "feature_names must have 2 names, .*, not 1"),
])
def test_decision_boundary_rejects_invalid_arguments(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        decision_boundary(MODEL, *arguments, **options)


def test_text_for_a_class_is_refused_with_the_way_to_name_classes():
    with pytest.raises(TypeError, match=r"y\[0\] must be a number, not str .*; .* in class_names="):
        decision_boundary(MODEL, X, ["cat", "dog", "cat"])


def test_an_error_of_the_model_names_the_sample_and_is_chained():
    with pytest.raises(ValueError, match=r"failed for the sample X\[0\], .*a list of 5 ") as caught:
        decision_boundary(nn.MLP(5, [1]), X, Y)
    assert type(caught.value.__cause__) is ValueError
    with pytest.raises(KeyError) as caught:
        decision_boundary(lambda x: {}["missing"], X, Y)
    assert caught.value.args == ("missing",)


def test_a_loss_that_needs_arguments_is_refused_before_it_is_called():
    p, q = Value(1.0), Value(2.0)
    with pytest.raises(TypeError, match="loss must need no argument, not <function mse>; pass,"):
        loss_surface(nn.mse, p, q)
    for path in (None, 3, "ab", {1: 2}):
        with pytest.raises(TypeError, match=r"path must be a list of pairs, not .*; pass pairs"):
            loss_surface(lambda: p * q, p, q, path=path)
    for ranges in ((1, 2, 3), [(0, 1)]):
        with pytest.raises(ValueError, match=r"ranges must be two ranges, .*; write, for example"):
            loss_surface(lambda: p * q, p, q, ranges=ranges)


def test_names_are_shown_as_typed():
    hostile = ["$x^$", "_y", "$\\frac{", "<b>"]
    ax = drawn(
        decision_boundary,
        lambda x: [*x, 0.0, 1.0],
        [[1, 0], [0, 1], [0, 2], [2, 2]],
        [0, 1, 2, 3],
        resolution=4,
        class_names=hostile,
        feature_names=["$_$", "__a"],
    )
    assert [name.strip() for name in legend(ax)[:4]] == hostile
    assert shown(ax.get_xlabel()) == "$_$"
    assert shown(ax.get_ylabel()).strip() == "__a"


def test_a_regression_on_one_feature_is_a_curve_over_the_samples():
    ax = plotted(
        decision_boundary,
        lambda x: [2 * x[0] + 1],
        [[0], [1], [2]],
        [1.0, 3.5, 5.0],
        resolution=3,
        margin=0.0,
    )
    assert line(ax, "model") == ([0.0, 1.0, 2.0], [1.0, 3.0, 5.0])
    assert points(ax, "samples") == [(0.0, 1.0), (1.0, 3.5), (2.0, 5.0)]
    assert title(ax) == ["Fit: rms error 0.289"]


def test_samples_may_be_plain_numbers_for_a_model_of_numbers():
    ax = plotted(
        decision_boundary, lambda x: 2 * x + 1, range(3), [1.0, 3.0, 5.0], resolution=3, margin=0.0
    )
    assert line(ax, "model") == ([0.0, 1.0, 2.0], [1.0, 3.0, 5.0])


def test_two_classes_on_one_feature_are_separated_where_the_score_is_zero():
    ax = plotted(decision_boundary, lambda x: x[0] - 0.7, [[0], [1], [2]], [0, 1, 0])
    border, = [artist for artist in ax.get_lines() if artist.get_linestyle() == "--"]
    assert list(border.get_xdata()) == pytest.approx([0.7, 0.7])
    assert points(ax, "misclassified (1)") == [(2.0, 0.0)]
    assert title(ax) == ["Decision: 2 of 3 samples right"]


def test_several_classes_on_one_feature_have_a_curve_each_with_the_samples_on_it():
    ax = plotted(
        decision_boundary,
        lambda x: [x[0], 1.0, -x[0]],
        [[2], [0.5], [1.5], [-3]],
        [0, 1, 1, 2],
        resolution=5,
    )
    assert points(ax, "class 0") == [(2.0, 2.0)]
    assert points(ax, "class 1") == [(0.5, 1.0), (1.5, 1.0)]
    assert points(ax, "class 2") == [(-3.0, 3.0)]
    assert points(ax, "misclassified (1)") == [(1.5, 1.0)]
    assert len(ax.get_lines()) == 3


# ---- gradient_flow -------------------------------------------------------------------------------


def rows(ax):
    return [shown(label).split("\n") for label in ax.get_yticklabels()]


def test_every_layer_has_a_row_with_its_percentiles_median_and_rms():
    gradients = {f"layers.{k}.w.{i}": 10.0**-k * (i + 1) for k in range(3) for i in range(5)}
    ax = plotted(gradient_flow, gradients)
    expected = inspection.gradient_flow(gradients)
    assert [row[0] for row in rows(ax)] == ["layers.0", "layers.1", "layers.2"]
    assert ax.get_xscale() == "log"
    low, high = ax.get_ylim()
    assert low > high  # the first layer on top
    for k, layer in enumerate(expected):
        mine = [list(artist.get_xdata()) for artist in ax.get_lines() if artist.get_ydata()[0] == k]
        assert mine == [[layer.low, layer.high], [layer.median], [layer.rms]]


def test_layers_that_vanish_explode_or_have_no_gradient_are_labelled():
    ax = plotted(gradient_flow, {"a.w": 1e-6, "b.w": 0.0, "c.w": 1e4, "d.w": nan, "e.w": 1.0})
    assert rows(ax) == [
        ["a", "vanishing"],
        ["b", "all 1 are 0"],
        ["c", "exploding"],
        ["d", "1 of 1 not finite"],
        ["e"],
    ]
    assert title(ax) == ["Gradients of 5 layers: 1 vanishing, 1 exploding, 1 zero, 1 not finite"]
    assert len({label.get_color() for label in ax.get_yticklabels()}) >= 4


def test_dead_units_and_zero_gradients_are_counted():
    model = nn.MLP(2, [4, 1], rng=0)
    for neuron in model.layers[0].neurons:
        neuron.b.data = -50.0
    model.layers[0].neurons[0].b.data, model.layers[1].neurons[0].w[0].data = 5.0, 1.0
    tmath.total(model(x) for x in X).backward()
    ax = plotted(gradient_flow, model, X)
    assert rows(ax) == [
        ["layers.0", "9 of 12 are 0", "3 of 4 units dead"],
        ["layers.1", "3 of 5 are 0"],
    ]
    assert title(ax) == ["Gradients of 2 layers: none vanishing or exploding, 3 of 5 units dead"]


def test_without_a_backward_pass_the_plot_says_what_is_missing():
    ax = plotted(gradient_flow, nn.MLP(2, [4, 1], rng=0))
    assert [text.get_text() for text in ax.texts] == ["all gradients are 0: was backward() called?"]


def test_gradients_of_any_size_are_drawn():
    ax = drawn(gradient_flow, {"a.w": 5e-324, "b.w": 1e308, "c.w": -inf, "$.w": 1e-300, "_d.w": 1})
    assert [row[0].strip() for row in rows(ax)] == ["a", "b", "c", "$", "_d"]
    assert all(0 < x < inf for x in ax.get_xlim())


# ---- activation_histograms -----------------------------------------------------------------------


def test_every_layer_has_a_ridge_with_its_counts():
    model = nn.MLP(2, [3, 1], "tanh", rng=0)
    ax = plotted(activation_histograms, model, X, bins=4)
    layers = inspection.activations(model, X)
    filled = [patch for patch in ax.patches if patch.get_fill()]
    assert len(filled) == 2
    for k, (patch, layer) in enumerate(zip(filled, layers)):
        heights, edges, _ = patch.get_data()
        counts = histogram(layer.outputs, edges)
        assert sum(counts) == len(layer.outputs)
        assert list(heights) == pytest.approx([k - 0.85 * count / max(counts) for count in counts])
    assert rows(ax) == [["layers.0", "tanh"], ["layers.1", "linear"]]
    assert title(ax) == ["Outputs of each layer for 3 samples"]


def test_zeros_dead_and_saturated_units_are_printed_next_to_the_layer():
    model = nn.Sequential(nn.Layer(1, 2, "relu", rng=0), nn.Layer(2, 2, "tanh", rng=0))
    for p in model.parameters():
        p.data = 0.0
    model.layers[0].neurons[1].b.data = 5.0
    model.layers[1].neurons[0].b.data = 9.0
    ax = plotted(activation_histograms, model, [[1.0], [2.0]])
    assert rows(ax) == [["layers.0", "relu, 50% zeros", "1 of 2 units dead"],
                        ["layers.1", "tanh, 50% zeros, 50% saturated", "1 of 2 units saturated"]]


def test_layers_of_very_different_size_share_a_logarithmic_axis():
    model = nn.MLP(2, [3, 1], "tanh", rng=0)
    assert plotted(activation_histograms, model, X).get_xscale() == "linear"
    for p in model.layers[1].parameters():
        p.data *= 1e6
    assert plotted(activation_histograms, model, X).get_xscale() == "symlog"


@pytest.mark.parametrize("scale", [0.0, 1e-300, 1e40, 1e200, inf, nan])
def test_outputs_of_any_size_are_drawn(scale):
    w = Value(scale, "w")
    ax = drawn(activation_histograms, lambda x: [w * x[0], w * w * x[0]], [[1.0], [2.0]])
    left_out = (
        sum(not drawable(scale**k * x) for k in (1, 2) for x in (1, 2)) / 4
        if scale < 1e200
        else 1.0
    )
    assert (f"{left_out:.0%} not finite" in rows(ax)[0][1]) == (left_out > 0)


@pytest.mark.parametrize("bins", [0, 2.5, True, None])
def test_bins_must_be_a_positive_whole_number(bins):
    error = ValueError if bins == 0 else TypeError
    with pytest.raises(
        error, match=r"activation_histograms: bins must be a whole number.*, not .*"
    ):
        activation_histograms(MODEL, X, bins=bins)


# ---- loss_surface --------------------------------------------------------------------------------


def levels(ax):
    found, = [c for c in ax.collections if hasattr(c, "levels") and c.filled]
    return list(found.levels)


def test_the_path_of_the_descent_is_drawn_from_start_to_end():
    p, q = Value(0.5, "slope"), Value(0.25)
    ax = plotted(
        loss_surface,
        lambda: (p - 1) ** 2 + q**2,
        p,
        q,
        path=iter([(3, 2), (2.0, 1.0), (1.0, 0.0)]),
        resolution=8,
    )
    assert line(ax, "descent, 3 points") == ([3.0, 2.0, 1.0], [2.0, 1.0, 0.0])
    assert line(ax, "start") == ([3.0], [2.0])
    assert line(ax, "end") == ([1.0], [0.0])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("slope", "q")
    assert title(ax) == ["Loss over slope and q"]
    assert ax.get_xlim()[0] < 0.5 < 3 < ax.get_xlim()[1]
    assert (p.data, q.data) == (0.5, 0.25)


def test_without_a_path_the_current_point_is_marked():
    p, q = Value(0.5), Value(0.25)
    assert line(plotted(loss_surface, lambda: p * p + q * q, p, q, resolution=5), "current") == (
        [0.5],
        [0.25],
    )


def test_levels_are_logarithmic_if_losses_span_a_wide_range():
    p, q = Value(0.0), Value(0.0)
    wide = levels(
        plotted(
            loss_surface,
            lambda: tmath.exp(5 * p) + 0 * q,
            p,
            q,
            ranges=((0, 2), (0, 1)),
            resolution=8,
        )
    )
    ratios = [b / a for a, b in pairwise(wide)]
    assert ratios == pytest.approx([ratios[0]] * len(ratios))
    assert (wide[0], wide[-1]) == pytest.approx((1.0, math.exp(10)))
    narrow = levels(
        plotted(loss_surface, lambda: 1 + p + q, p, q, ranges=((0, 2), (0, 1)), resolution=8)
    )
    steps = [b - a for a, b in pairwise(narrow)]
    assert steps == pytest.approx([steps[0]] * len(steps))
    deep = levels(
        plotted(
            loss_surface,
            lambda: tmath.exp(100 * p) + 0 * q,
            p,
            q,
            ranges=((0, 2), (0, 1)),
            resolution=8,
        )
    )
    assert deep[0] == pytest.approx(deep[-1] * 1e-8)


@pytest.mark.parametrize(("function", "note"), [
    (lambda p, q: 1.5, "the loss is 1.5 everywhere"), (lambda p, q: nan, "no loss at 25 of 25 "
                                                                         "points: nan or beyond "
                                                                         "1e100"),
    (lambda p, q: tmath.log(p - 1) + q, "no loss at 15 of 25 points: nan or beyond 1e100"),
    (lambda p, q: 1e300 * (p * p + 1), "no loss at 25 of 25 points: nan or beyond 1e100"),
    (lambda p, q: -1e50 * p, None),
    (lambda p, q: (p - 1) ** 2 + (q - 2) ** 2, None), (lambda p, q: 5, "the loss is 5 everywhere"),
])
def test_losses_of_any_kind_are_drawn(function, note):
    p, q = Value(1.0), Value(2.0)
    ax = drawn(loss_surface, lambda: function(p, q), p, q, resolution=5)
    assert title(ax)[1:] == ([note] if note else [])


def test_points_of_a_descent_that_diverged_are_left_out():
    p, q = Value(1.0), Value(2.0)
    ax = drawn(
        loss_surface,
        lambda: p * p + q * q,
        p,
        q,
        path=[(1, 2), (nan, 1), (1e200, 1), (3, inf)],
        resolution=5,
    )
    assert line(ax, "descent, 1 points") == ([1.0], [2.0])
    assert title(ax)[1:] == ["3 of 4 points of the path left out: nan or beyond 1e100"]


# ---- derivatives ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def canvas():
    """Returns one Axes for all primitives, because making one takes longer than drawing into it."""
    return (
        pytest.importorskip("matplotlib.figure", reason="needs the extra `plots`")
        .Figure(figsize=(4, 3))
        .add_subplot()
    )


@pytest.mark.parametrize("name", TABLE)
def test_every_primitive_is_drawn_with_its_formulas(name, canvas):
    ax = canvas
    ax.clear()
    derivatives(name, order=2, resolution=60, ax=ax)
    assert all(-100 < y < 100 for y in ax.get_ylim())
    # they take most of the time, and such a range is nothing special for them
    ax.set(xticks=[], yticks=[])
    ax.figure.draw_without_rendering()
    row = TABLE[name]
    assert "".join(title(ax)).replace(" ", "") == formula(name).replace("\n", "").replace(" ", "")
    assert legend(ax)[1:row.arity + 1] == [f"d/d{parameter}" for parameter in row.parameters]
    assert len(legend(ax)) == row.arity + 2
    for artist in ax.get_lines()[1:3]:
        assert sum(math.isfinite(y) for y in artist.get_ydata()) > 10


def test_the_curves_are_those_of_the_function_and_its_derivatives():
    ax = plotted(derivatives, "pow", at={"y": 3}, over=(1, 3), order=2, resolution=3)
    assert line(ax, "x**y") == ([1.0, 2.0, 3.0], [1.0, 8.0, 27.0])
    assert line(ax, "d/dx")[1] == [3.0, 12.0, 27.0]
    assert line(ax, "d/dy")[1] == pytest.approx([0.0, 8 * math.log(2), 27 * math.log(3)])
    assert line(ax, "d²/dx²")[1] == pytest.approx([6.0, 12.0, 18.0])
    assert ax.get_xlabel() == "x, at y = 3"
    assert title(ax) == [
        "d/dx x**y = y * x ** (y - 1)",
        "d/dy x**y = x ** y * log(x)",
        "note: x**0 is the constant 1, also at x = 0 and nan",
    ]


def test_title_says_if_there_is_no_finite_value():
    assert title(plotted(derivatives, "log", over=(-2, -1)))[-1] == "no finite value here"


def test_an_unknown_primitive_is_an_error_with_the_nearest_names():
    with pytest.raises(
        ValueError, match="no primitive 'sigmiod' in the table; did you mean 'sigmoid'"
    ):
        derivatives("sigmiod")


def test_names_with_the_same_beginning_are_suggested_first():
    with pytest.raises(
        ValueError, match="no primitive 'gelu' in the table; did you mean 'gelu_erf' or 'gelu_tanh'"
    ):
        derivatives("gelu")
    with pytest.raises(ValueError, match="no primitive '' in the table"):
        derivatives("")


@pytest.mark.parametrize(("symbol", "name"), [
    ("+", "add"), ("-", "sub"), ("*", "mul"), ("/", "div"), ("**", "pow"),
    ("%", "remainder"), ("//", "floordiv"),
])
def test_an_operator_is_found_by_its_symbol(symbol, name):
    assert title(plotted(derivatives, symbol, resolution=5)) == title(
        plotted(derivatives, name, resolution=5)
    )


def test_user_defined_row_is_drawn():
    row = define(
        "swish_of_mine",
        lambda x, beta: x / (1 + math.exp(-beta * x)),
        lambda x, beta, o: o / x,
        lambda x, beta, o: x,
        parameters="x beta",
    )
    try:
        ax = drawn(derivatives, row)
        assert legend(ax) == ["swish_of_mine(x, beta)", "d/dx", "d/dbeta"]
        assert ax.get_xlabel() == "x, at beta = 2"
    finally:
        del TABLE["swish_of_mine"]


def test_dir_lists_the_public_plots_only():
    assert dir(plots) == sorted(plots.__all__)


def test_loss_has_one_axis_on_the_left_and_ticks_at_whole_steps():
    ax = drawn(loss, history([3.0, 2.0, 1.0, 0.5, 0.25, 0.2]))
    assert not ax.spines["right"].get_visible()
    ticks = ax.get_xticks()
    assert [*map(int, ticks)] == [*ticks]
    with_metric = loss(history([2.0, 1.0], epochs=2, accuracy=[0.5, 0.7]))
    left, right = with_metric.axes
    assert [axis.spines["right"].get_visible() for axis in (left, right)] == [False, True]


def test_a_single_epoch_is_a_point_that_can_be_seen():
    figure = loss(history([2.0, 1.0], epochs=1, accuracy=[0.5]))
    lines = [line for axis in figure.axes for line in axis.get_lines()]
    alone = [line for line in lines if len(line.get_xdata()) == 1]
    assert [line.get_marker() for line in alone] == ["o", "o"]


def test_logarithmic_axes_say_so():
    assert "logarithmic" in drawn(loss, history([1e6, 1.0, 1e-3])).get_ylabel()
    assert "logarithmic" not in drawn(loss, history([2.0, 1.0])).get_ylabel()
    p, q = Value(1.0, "p"), Value(2.0, "q")
    figure = loss_surface(lambda: p**4 + q**4 + 0.01, p, q, resolution=5)
    assert "logarithmic" in figure.axes[1].get_ylabel()
    flat = loss_surface(lambda: p * 1e-3 + 0.324, p, q, resolution=5)
    assert "logarithmic" not in flat.axes[1].get_ylabel()
    ticks = [text.get_text() for text in flat.axes[1].get_yticklabels()]
    assert len(set(ticks)) == len(ticks) > 2


@pytest.mark.parametrize("scale", [1e-9, 1e-3, 1.0, 1e5])
def test_tick_labels_of_gradients_do_not_touch(scale):
    model = nn.MLP(2, [3, 1], "tanh", rng=1)
    (model([0.5, -1.0]) * scale).backward()
    ax = drawn(gradient_flow, model)
    assert "logarithmic" in ax.get_xlabel()
    low, high = ax.get_xlim()
    labels = [*ax.get_xticklabels(minor=False), *ax.get_xticklabels(minor=True)]
    boxes = sorted(
        (box.x0, box.x1)
        for text in labels
        if text.get_text() and low <= text.get_position()[0] <= high
        for box in [text.get_window_extent()]
    )
    assert len(boxes) >= 2
    assert all(left[1] < right[0] for left, right in pairwise(boxes))


def test_a_loss_surface_says_that_other_parameters_moved():
    model = nn.MLP(2, [2, 1], "tanh", rng=1)
    p, q, *others = model.parameters()

    def computed():
        return nn.mse(model([0.5, -1.0]), 1.0)

    def said(path):
        ax = plotted(loss_surface, computed, p, q, path=path, resolution=3)
        return " ".join(title(ax))

    path = [(0.1, 0.2), (0.3, 0.4)]
    assert f"{len(others)} other parameters as now; if the descent moved them" in said(path)
    assert "other parameters" not in said([])
    alone = plotted(loss_surface, lambda: p * p + q * q, p, q, path=path, resolution=3)
    assert "other parameter" not in " ".join(title(alone))


@pytest.mark.parametrize("module", [viz, plots, nn, optim], ids=lambda module: module.__name__)
def test_completion_offers_public_names_only(module):
    assert dir(module) == sorted(module.__all__)


def test_a_sweep_has_a_line_for_each_setting_and_a_point_for_each_seed():
    ax = drawn(sweep, swept())
    assert (ax.get_xscale(), ax.get_xlabel()) == ("log", "lr (logarithmic axis)")
    assert legend(ax) == ["layers=4", "layers=8,8", "diverged"]
    assert [*zip(*line(ax, "layers=4"))] == [(0.01, 1.5), (0.1, 1.0), (1.0, 0.25)]
    assert [*zip(*line(ax, "layers=8,8"))] == [(0.01, 2.5), (0.1, 1.5)]
    single = [each for each in ax.get_lines() if len(each.get_xdata()) in (4, 5)]
    assert [len(each.get_xdata()) for each in single] == [5, 4]
    assert title(ax)[1] == "lines: means over 2 seeds; points: single trainings"


def test_trainings_of_a_sweep_that_diverged_are_crosses_at_the_upper_edge():
    ax = drawn(sweep, swept())
    crosses = [each for each in ax.get_lines() if each.get_marker() == "X"]
    assert [list(each.get_xdata()) for each in crosses] == [[1.0], [1.0]]
    assert len({each.get_color() for each in crosses}) == 2
    heights = [each.get_transform().transform((1.0, each.get_ydata()[0]))[1] for each in crosses]
    box = ax.get_window_extent()
    assert all(box.y0 + 0.9 * box.height < height < box.y1 for height in heights)
    assert abs(heights[0] - heights[1]) > 5


def test_axes_of_a_sweep_may_be_chosen():
    found = swept()
    ax = drawn(sweep, found, y="accuracy")
    assert ax.get_ylabel() == "accuracy"
    wide = Sweep([Row({"width": w, "lr": 0.1}, 0, 1.0, 1 / w, 1 / w) for w in (2, 4, 64)])
    ax = drawn(sweep, wide, x="width")
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    flat = Sweep([Row({"depth": d}, 0, 1.0, d, d) for d in (1, 2, 3)])
    ax = drawn(sweep, flat)
    assert (ax.get_xlabel(), ax.get_xscale(), ax.get_yscale()) == ("depth", "linear", "linear")


def test_what_a_sweep_cannot_show_is_said():
    broken = Sweep([*swept(), Row({"data": "moons", "layers": [4], "lr": 0.1}, 5, error="E: x")])
    assert "1 training left out: no last loss" in title(drawn(sweep, broken))[2]
    lost = Sweep([Row({"lr": 0.1}, 0, 1.0, nan, nan), Row({"lr": 1.0}, 0, error="E: x")])
    assert legend(drawn(sweep, lost)) == ["diverged"]


@pytest.mark.parametrize(("arguments", "kind", "message"), [
    (([1.0],), TypeError, r"sweep must be a Sweep, not list .*; pass what train.sweep"),
    ((Sweep([]),), ValueError, "the sweep has no rows; train at least once"),
    ((swept(), "layers"), ValueError, r"x must be a setting of numbers, but 'layers' has \[4\]"),
    ((swept(), "rate"), ValueError, "x must be one of data, layers, lr, not 'rate'"),
    ((swept(), "lr", "acuracy"), ValueError, "did you mean 'accuracy'"),
    ((Sweep([Row({"data": "moons"}, 0, 1.0, 1.0, 1.0)]),), ValueError, "the sweep has none: "),
])
def test_a_sweep_that_cannot_be_plotted_is_an_error(arguments, kind, message):
    with pytest.raises(kind, match=f"sweep: .*{message}|{message}"):
        sweep(*arguments)


def test_many_settings_of_a_sweep_leave_room_for_the_picture():
    many = Sweep([
        Row({"lr": lr, "width": w}, 0, 1.0, w * lr, w * lr) for w in range(40) for lr in (0.1, 1.0)
    ])
    ax = drawn(sweep, many)
    assert len(legend(ax)) == 14
    assert ax.get_window_extent().height > 100
