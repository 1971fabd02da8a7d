"""detect_anomaly: the first inf or nan, forward or backward, raises an error that names the
operation and its source line."""

import itertools
import math as std
import threading
from pathlib import Path

import pytest
from helpers import bits

from tinygrad_edu import (
    Value,
    detect_anomaly,
    explain_nonfinite,
    fit,
    grad,
    gradients,
    hessian,
    jacobian,
    jvp,
    math,
    nn,
    no_grad,
    optim,
    topological_order,
    value_and_grad,
)
from tinygrad_edu.debug import anomaly
from tinygrad_edu.engine.primitive import TABLE
from tinygrad_edu.errors import NonFiniteError, TinygradEduError


def caught(f, *args):
    with pytest.raises(NonFiniteError) as error, detect_anomaly():
        f(*args)
    return error.value


def logarithm(p):
    return math.log(p)


LOGARITHM = (__file__, logarithm.__code__.co_firstlineno + 1, "logarithm")


def root_of(x):
    return math.sqrt(x)


ROOT_OF = (__file__, root_of.__code__.co_firstlineno + 1, "root_of")


def square_of(v):
    return v * v


SQUARE_OF = (__file__, square_of.__code__.co_firstlineno + 1, "square_of")


# ---- forward


def test_error_names_the_operation_its_operands_and_the_line():
    error = caught(logarithm, Value(0.0, "p"))
    assert str(error) == (
        f"log(p=0.0) = -inf is the first inf or nan\n  {__file__}:{LOGARITHM[1]}, in logarithm\n"
        "    return math.log(p)"
    )
    assert error.line == LOGARITHM
    assert isinstance(error, ArithmeticError)
    assert isinstance(error, TinygradEduError)


@pytest.mark.parametrize(("make", "message"), [
    (lambda x: x + x, "add(x=1e+308, x=1e+308) = inf"),
    (lambda x: x * x, "mul(x=1e+308, x=1e+308) = inf"),
    (lambda x: x + 1e308, "add(x=1e+308, 1e+308) = inf"),
    (lambda x: 1e308 * x, "mul(1e+308, x=1e+308) = inf"),
    (lambda x: -1e308 - x, "sub(-1e+308, x=1e+308) = -inf"),
    (lambda x: x / 0, "div(x=1e+308, 0.0) = inf"),
    (lambda x: x**2, "pow(x=1e+308, 2.0) = inf"),
    (lambda x: x % 0, "remainder(x=1e+308, 0.0) = nan"),
    (math.exp, "exp(x=1e+308) = inf"),
    (lambda x: math.fmod(x, 0), "fmod(x=1e+308, 0.0) = nan"),
    (lambda x: math.clip(x * 10, 0, 1), "mul(x=1e+308, 10.0) = inf"),
    (lambda x: math.sqrt(-x), "sqrt(-1e+308) = nan"),
])
def test_detect_anomaly_checks_every_way_of_creating_a_node(make, message):
    assert str(caught(make, Value(1e308, "x"))).startswith(message)


def test_detect_anomaly_leaves_finite_results_unchanged():
    def y(x):
        return (math.sin(x) * x + 3 / x - x**2.5).tanh() + math.hypot(x, 2.0)

    plain, watched = Value(0.7), Value(0.7)
    root = y(plain)
    root.backward()
    with detect_anomaly():
        same = y(watched)
        same.backward()
    assert bits(root.data) == bits(same.data)
    assert bits(plain.grad) == bits(watched.grad)
    assert [node.op for node in topological_order(root)] == [
        node.op for node in topological_order(same)
    ]


def test_error_names_an_operand_that_was_already_infinite():
    assert "it comes from the leaf mask=-inf, an input of the program" in str(
        caught(lambda: Value(-std.inf, "mask") + Value(1.0)))
    assert "it comes from the number inf, an input of the program" in str(
        caught(lambda: Value(1.0) * std.inf)
    )


def test_infinite_leaf_is_accepted_by_operations_with_a_finite_result():
    with detect_anomaly():
        assert math.maximum(Value(-std.inf), Value(2.0)).data == 2.0
        assert (1 / Value(std.inf)).data == 0.0


def test_error_shows_the_users_line_and_not_one_of_the_package():
    model = nn.MLP(2, [2, 1], activation="linear", rng=0)
    for parameter in model.parameters():
        parameter.data = 1e200

    def run():
        return model([1e200, 1e200])

    assert caught(run).line == (__file__, run.__code__.co_firstlineno + 1, run.__qualname__)


def test_detect_anomaly_works_without_recording():
    with no_grad():
        assert str(caught(math.exp, Value(1000.0))).startswith("exp(1000.0) = inf")
        with detect_anomaly():
            assert topological_order(Value(2.0) * 3.0)[0].op == ""


def test_detect_anomaly_ends_with_its_block_and_continues_inside_no_grad():
    x = Value(0.0)
    with detect_anomaly():
        with detect_anomaly():
            pass
        with no_grad():
            pass
        with pytest.raises(NonFiniteError):
            1 / x
    assert (1 / x).data == std.inf
    with pytest.raises(NonFiniteError), detect_anomaly():
        1 / x
    assert (1 / x).data == std.inf


def test_detect_anomaly_affects_its_own_thread_only():
    seen = []
    with detect_anomaly():
        thread = threading.Thread(target=lambda: seen.append((1 / Value(0.0)).data))
        thread.start()
        thread.join()
    assert seen == [std.inf]


def test_users_file_is_not_mistaken_for_one_of_the_package():
    # its name begins like the package's
    path = Path(anomaly.__file__).parents[1].with_name("tinygrad_edu_lab") / "mine.py"
    scope = {"math": math}
    exec(compile("def f(x):\n    return math.log(x)", str(path), "exec"), scope)
    assert caught(scope["f"], Value(0.0)).line == (str(path), 2, "f")


def test_context_inherits_the_mode_at_entry():
    later = no_grad()
    with detect_anomaly(), later, pytest.raises(NonFiniteError):
        1 / Value(0.0)


def test_detect_anomaly_works_as_a_decorator():
    with pytest.raises(NonFiniteError, match=r"log\(0.0\) = -inf"):
        detect_anomaly()(logarithm)(Value(0.0))


@pytest.mark.parametrize("name", list(TABLE))
def test_detect_anomaly_raises_for_every_row_exactly_if_the_result_is_nonfinite(name):
    """Tries every choice of extreme operands: an error if and only if the result is not finite."""
    row = TABLE[name]
    for args in itertools.islice(
        itertools.product([0.0, -1.0, 1e308, 800.0], repeat=row.arity), 40
    ):
        finite = std.isfinite(row.forward(*args))
        with detect_anomaly():
            if finite:
                row(*map(Value, args))
            else:
                with pytest.raises(NonFiniteError, match=rf"^{name}\("):
                    row(*map(Value, args))


# ---- backward


def test_gradient_error_names_the_operation_and_the_line_that_recorded_it():
    x = Value(0.0, "x")
    x.grad = 7.0
    error = caught(lambda: (root_of(x) * 3).backward())
    assert str(error) == (
        "backward: the gradient of x became inf at sqrt(x=0.0) = 0.0: local derivative inf times "
        "adjoint 3.0\n"
        f"  the operation was recorded at\n  {__file__}:{ROOT_OF[1]}, in root_of\n    return "
        "math.sqrt(x)"
    )
    assert error.line == ROOT_OF
    assert x.grad == 7.0  # all gradients are unchanged


@pytest.mark.parametrize("make", [
    lambda x: x + 1.0, lambda x: 1.0 + x, lambda x: math.clip(x, 0.0, 1.0),
    lambda x: math.clip(-1.0, x, 1.0),
    lambda x: math.clip(2.0, 0.0, x)])
def test_detect_anomaly_checks_the_gradient_of_every_operand(make):
    x = Value(0.5, "x")
    x.grad = 1e308
    assert "the gradient of x became inf at " in str(caught(make(x).backward, 1e308))
    assert x.grad == 1e308


def test_overflow_of_an_adjoint_is_reported():
    x = Value(1e-200, "x")
    assert (
        "the gradient of x became inf at mul(x=1e-200, 1e+200) = 1.0: local derivative 1e+200 "
        "times adjoint 1e+200"
        in str(caught(lambda: ((x * 1e200) * 1e200).backward()))
    )


def test_overflow_of_a_sum_of_gradients_is_reported():
    x = Value(0.5, "x")
    assert (
        "the gradient of x became inf at mul(x=0.5, 1e+308) = 5e+307: local derivative 1e+308 "
        "times adjoint 1.0"
        in str(caught(lambda: (x * 1e308 + x * 1e308).backward()))
    )


@pytest.mark.parametrize("make", [
    lambda x: x * 3.0, lambda x: 3.0 + x, lambda x: math.clip(2.0, 0.0, x),
])
def test_error_names_a_gradient_that_was_already_nonfinite(make):
    x = Value(0.5, "x")
    x.grad = std.inf
    assert (
        str(caught(make(x).backward))
        == "backward: the gradient of x was inf before this pass; set it to 0"
    )
    x.grad = 0.0
    y = x * 3.0
    y.label = "y"
    assert (
        str(caught(y.backward, std.nan))
        == "backward: the gradient of y is nan at the start, because its seed is nan"
    )


def test_operands_without_a_label_are_described():
    assert "the gradient of the result of mul (0.0) became inf" in str(
        caught(lambda: root_of(Value(0.0) * 2).backward())
    )
    assert "the gradient of the leaf 0.0 became inf" in str(
        caught(lambda: root_of(Value(0.0)).backward())
    )


def test_graph_recorded_outside_detect_anomaly_has_no_lines():
    y = root_of(Value(0.0))
    error = caught(y.backward)
    assert error.line is None
    assert str(error).endswith(
        "the operation was recorded outside detect_anomaly(), so its line is unknown"
    )


@pytest.mark.parametrize("transform", [
    lambda f: grad(f)(0.0), lambda f: value_and_grad(f)(0.0),
    lambda f: jacobian(lambda xs: f(xs[0]))([0.0]),
    lambda f: gradients(f(x := Value(0.0)), [x]), lambda f: hessian(lambda xs: f(xs[0]))([0.0]),
    lambda f: jvp(f, [0.0], [1.0]), lambda f: grad(grad(f))(0.0),
    lambda f: f(Value(0.0)).backward()])
def test_detect_anomaly_checks_every_transform(transform):
    caught(transform, root_of)
    with detect_anomaly():
        assert grad(root_of)(0.25) == 1.0
        assert jvp(root_of, [0.25], [2.0]) == (0.5, 2.0)


def test_tangent_error_names_the_operation_and_line():
    error = caught(jvp, root_of, [0.0], [1.0])
    assert str(error).startswith(
        "forward mode: the tangent of sqrt(0.0) = 0.0 is inf; the local derivatives are inf\n"
    )
    assert error.line == ROOT_OF


# ---- fit


def test_fit_inside_detect_anomaly_reports_the_step_and_keeps_the_history():
    w = Value(1.0, "w")
    with pytest.raises(NonFiniteError) as error, detect_anomaly():
        fit(
            lambda x: root_of(w) * x,
            nn.mse,
            [1.0],
            [0.0],
            optimizer=optim.SGD([w], lr=0.5),
            epochs=9,
        )
    assert str(error.value).startswith(
        f"step {len(error.value.history)}, epoch {len(error.value.history)}: "
    )
    assert error.value.line == ROOT_OF
    assert 0 < len(error.value.history) < 9
    assert "No parameter was changed by this step" in str(error.value)


def test_fit_computes_the_sample_again_to_find_the_line():
    w = Value(0.0, "w")
    calls = []

    def model(x):
        calls.append(x)
        return root_of(w) + x

    with pytest.raises(NonFiniteError) as error:
        fit(model, nn.mse, [1.0, 2.0], [0.0, 0.0], optimizer=optim.SGD([w], lr=0.1), epochs=1)
    assert "the gradient of parameter w is inf" in str(error.value)
    assert "= sqrt(w) with respect to w is inf at w = 0" in str(error.value)
    assert f"{__file__}:{ROOT_OF[1]}, in root_of" in str(error.value)
    assert error.value.line == ROOT_OF
    assert error.value.explanation.phase == "backward"
    assert calls == [1.0, 1.0]


def test_fit_reports_the_line_of_the_first_nonfinite_operation_and_keeps_gradients():
    """Another number that is not finite but not part of the loss must not be named."""
    w = Value(1e200, "w")

    def loss(p, t):
        math.log(p * 0.0)
        return square_of(w) * p

    with pytest.raises(NonFiniteError) as error:
        fit(lambda x: w * x, loss, [1.0], [0.0], optimizer=optim.SGD([w], lr=0.1), epochs=1)
    assert error.value.line == error.value.explanation.line == SQUARE_OF
    assert "in square_of" in str(error.value)
    assert w.grad == 0.0


def test_a_model_that_cannot_run_twice_is_explained_without_a_line():
    w, left = Value(0.0, "w"), [1]

    def model(x):
        left.pop()
        return root_of(w) + x

    with pytest.raises(NonFiniteError, match="v2 = sqrt") as error:
        fit(model, nn.mse, [1.0], [0.0], optimizer=optim.SGD([w], lr=0.1), epochs=1)
    assert error.value.line is None


def test_overflow_caused_by_an_accumulated_gradient_is_reported():
    x = Value(1e-10, "x")
    x.grad = 1.7e308
    y = x * 1e308
    caught(y.backward)
    assert x.grad == 1.7e308
    assert explain_nonfinite(y) is None  # it examines this graph only
