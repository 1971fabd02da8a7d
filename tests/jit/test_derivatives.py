"""Derivatives inside compiled functions: the bits of the eager engine, values and gradients, to any
order."""

import copy
import doctest
import functools
import inspect
import pickle

import pytest
from helpers import bits, bits_of, inf, nan, replaced, scaled
from programs import RandomProgram, gradient_tape, inputs

import tinygrad_edu
from tinygrad_edu import (
    Value,
    fit,
    grad,
    gradients,
    hessian,
    jacobian,
    jit,
    jvp,
    math,
    nn,
    no_grad,
    optim,
    take,
    value_and_grad,
    vjp,
)
from tinygrad_edu.engine.table import define
from tinygrad_edu.errors import StaleGraphError, TraceError
from tinygrad_edu.jit import sweeps
from tinygrad_edu.jit.tape import conditions
from tinygrad_edu.jit.tracing import record_trace

W = Value(0.7, "w")


def names(f):
    return [f"x{i}" for i in range(len(inspect.signature(f).parameters))]


def eagerly(f, xs, leaves):
    """Returns the value, and the derivatives with respect to the arguments and the leaves."""
    for leaf in leaves:
        leaf.grad = 0.0
    values = [Value(x) for x in xs]
    result = f(*values)
    if not isinstance(result, Value):
        return [float(result)]
    result.backward()
    return [result.data, *[value.grad for value in values], *[leaf.grad for leaf in leaves]]


def fault(f, points, labels=None):
    """THE CHECKER: returns a sentence about the first point where the compiled program and its
    gradient differ from the eager engine in a bit, or None."""
    made, trace = gradient_tape(f, *(labels or names(f)))
    for xs in points:
        want = eagerly(f, xs, trace.parameters)
        got = made.run(inputs(trace, xs))[: len(want)]
        if list(map(bits, got)) != list(map(bits, want)):
            return f"at {xs}: {got}, not {want}"
    return None


# ---- functions of one number, at smooth points, kinks, edges and where a choice changes

ONE = {
    "a polynomial": lambda x: x**3 - 2 * x * x + x,
    "a quotient": lambda x: math.sin(x) / (1 + x * x),
    "x to the x": lambda x: x**x,
    "a power": lambda x: x**2.5 + x**0 + x**1 + x**-1,
    "abs": lambda x: abs(x) * x,
    "relu": lambda x: math.relu(x) ** 2 + math.relu(x * 3),
    "leaky_relu": lambda x: math.leaky_relu(x) * x + math.leaky_relu(x * x - 1),
    "elu": lambda x: math.elu(x) * x,
    "maximum": lambda x: math.maximum(x, x * x) * x + math.maximum(x, 0.0),
    "clip": lambda x: math.clip(x, -1.0, 1.0) * math.clip(x * x, 0.5, 2.0),
    "hardtanh": lambda x: math.hardtanh(x) * x + math.tanh(math.hardtanh(x * x)),
    "hypot": lambda x: math.hypot(x, x * x) * x,
    "sqrt": lambda x: math.sqrt(x) * x,
    "cbrt": lambda x: math.cbrt(x) + x,
    "atan2": lambda x: math.atan2(x, x * x) * x,
    "gelu_tanh": lambda x: math.gelu_tanh(100 * x) * x,
    "logaddexp": lambda x: math.logaddexp(x, x * x),
    "xlogy": lambda x: math.xlogy(x, x * x),
    "logsumexp": lambda x: math.logsumexp([x, x * x, 1.0]),
    "softmax": lambda x: math.softmax([x, 2 * x, 0.5])[1] * x,
    "log_softmax": lambda x: math.log_softmax([x, x * x, 0.5])[1],
    "rounding": lambda x: math.floor(x) * x + x % 0.7 + round(x, 1) * x,
    "a sum of products": lambda x: math.sumprod([x, 2.0, x * x], [x, x, 3.0]) * x,
    "where": lambda x: math.where(x > 0, x * x * x, math.sin(x)),
    "where with a constant": lambda x: math.where(x > 0, x * x, 0.5) * x + x,
    "where that guards": lambda x: math.where(x > 0, math.log(x) * x, x),
    "where of a number": lambda x: math.where(x, x * x, 3.0),
    "where in where": lambda x: math.where(x < 1, math.where(x < 0, x, x * x), x**3) * x,
    "joined conditions": lambda x: math.where((x > 0) & (x < 1) | (x > 2), x * x, -x),
    "cond": lambda x: math.cond(x > 0.5, lambda: x, lambda: x * x) * x + x * x,
    "take": lambda x: take([x, x * x, 3.0], math.where(x < 0, 0, math.where(x < 1, 1, 2))) * x,
    "take of rows": lambda x: math.total(take([[x, 1.0], [2.0, x * x]], math.where(x < 0, 0, 1))),
    "take in take": lambda x: take([take([x, x * x], x >= 1), x**3], x >= 0) * x,
    "detach": lambda x: x.detach() * x * x,
    "a leaf outside": lambda x: W * x * math.tanh(W * x),
    "a leaf inside": lambda x: Value(3.0) * x * x + Value(2.0) * Value(3.0),
    "the same number twice": lambda x: x * x + (x + x) * x,
}
POINTS = [(0.3,), (1.7,), (-0.8,), (2.5,)]
EDGES = [(0.0,), (-0.0,), (1.0,), (-1.0,), (0.5,), (2.0,), (inf,), (-inf,), (nan,), (1e200,)]
ORDERS = {
    "grad": grad,
    "grad(grad)": lambda f: grad(grad(f)),
    "grad(grad(grad))": lambda f: grad(grad(grad(f))),
    "jvp of grad": lambda f: lambda x: jvp(grad(f), [x], [1.5])[1],
    "grad of jvp": lambda f: grad(lambda x: jvp(f, [x], [x])[1]),
    "a step of Newton's method": lambda f: lambda x: x - grad(f)(x) / grad(grad(f))(x),
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", ONE)
def test_derivatives_inside_have_the_bits_of_the_eager_engine(name, order):
    assert fault(ORDERS[order](ONE[name]), POINTS + EDGES, ["x"]) is None


@pytest.mark.parametrize("choice", [
    lambda x: math.maximum(x, -3.0),
    lambda x: math.leaky_relu(x + 2.0),
    lambda x: math.where(x > -3, x, 1.0),
    lambda x: math.cond(x > -3, lambda: x, lambda: x * x),
    lambda x: take([x, 2.0], x > 3),
])
def test_sums_of_choices_have_the_order_of_the_eager_engine(choice):
    """A local derivative of exactly 1 is left out, and then many users share one adjoint."""
    rates = [(0.7, 1.9), (1.1, 0.6), (1.8, 1.3), (0.9, 1.6)]

    def f(x, y):
        total = math.total(choice(math.tanh(a * x * y) * math.sin(b * x)) for a, b in rates)
        return total * total * math.exp(total)

    points = [(0.3, 1.4), (0.8, 0.7), (1.7, 0.4), (1.9, 1.1)]
    for order in (grad(f), grad(grad(f), 1), lambda x, y: jvp(grad(f), [x, y], [0.5, 1.5])[1]):
        assert fault(order, points, ["x", "y"]) is None


@pytest.mark.parametrize("name", ["where in where", "take", "maximum", "gelu_tanh", "a power"])
def test_compiled_derivatives_and_batches_have_the_same_bits(name):
    f = grad(grad(ONE[name]))
    compiled = jit(f)
    points = [x for (x,) in POINTS + EDGES]
    want = [bits(float(f(x))) for x in points]
    assert [bits(compiled(x)) for x in points] == want
    assert list(map(bits, compiled.batch(points))) == want


# ---- random programs


def of_a_program(program, kind):
    n = len(program.point)
    if kind == "inner nodes":
        def f(*xs):
            y = program(*xs) + 0.0 * xs[0]
            z = math.tanh(y * xs[0]) * y
            a, b = gradients(z, [y, xs[-1]])
            return a * b + a
        return f
    return {
        "grad": lambda *xs: grad(program)(*xs),
        "hessian-vector": lambda *xs: jvp(grad(program), xs, [1.5] + [0.5] * (n - 1))[1],
        "mixed": lambda *xs: grad(grad(program), n - 1)(*xs),
        "newton": lambda *xs: xs[0] - program(*xs) / grad(program)(*xs),
    }[kind]


def program_fault(seed, kind):
    program = RandomProgram(seed, 16)
    if "a_dropout" in program.kinds:  # the numbers that it draws are the same in all derivatives
        return None
    f = of_a_program(program, kind)
    made, trace = gradient_tape(f, *[f"x{i}" for i in range(len(program.point))])
    for xs in program.inputs(6):
        want = eagerly(f, xs, trace.parameters)
        got = made.run(inputs(trace, xs))[: len(want)]
        if list(map(bits, got)) != list(map(bits, want)):
            return f"program {seed} at {xs}: {got}, not {want}"
    return None


@pytest.mark.parametrize("kind", ["grad", "hessian-vector", "mixed", "newton", "inner nodes"])
def test_derivatives_of_random_programs_have_the_bits_of_the_eager_engine(kind):
    for seed in range(scaled(ci=40, thorough=1000, dev=15)):
        assert program_fault(seed, kind) is None


def test_the_checker_finds_a_wrong_product_of_a_term():
    wrong = lambda self, other: sweeps.Term(self.sweeps, other.value, other.condition)  # noqa: E731
    with replaced(sweeps.Term, "__mul__", wrong):
        assert fault(grad(ONE["a quotient"]), POINTS, ["x"])
        assert any(program_fault(seed, "grad") for seed in range(10))


# ---- users' programs


def pinn(width=4, layers=1):
    """Returns the loss of u'' + u = 0, u(0) = 0, u'(0) = 1 at 11 points, and the network u."""
    net = nn.MLP(1, [width] * layers + [1], activation="tanh", rng=1)

    def of(t):
        u = net([t])
        slope = gradients(u, [t])[0]
        return u, slope, gradients(slope, [t])[0]

    def loss():
        u, slope, _ = of(Value(0.0))
        found = [u * u, (slope - 1.0) ** 2]
        for k in range(11):
            u, _, curvature = of(Value(k * 0.3))
            found.append((curvature + u) ** 2 * (1 / 11))
        return math.total(found)

    return net, loss


@pytest.mark.parametrize("rule", ["SGD", "Adam"])
def test_physics_informed_network_trains_with_the_bits_of_the_eager_engine(rule):
    runs = []
    for engine in ("eager", "compiled"):
        net, loss = pinn()
        optimizer = getattr(optim, rule)(net.parameters(), lr=0.02)
        compiled = jit(loss)
        losses = []
        for _ in range(12):
            optimizer.zero_grad()
            if engine == "eager":
                (y := loss()).backward()
                losses.append(y.data)
            else:
                losses.append(compiled.value_and_grad()[0])
            optimizer.step()
        runs.append((losses, [p.data for p in net.parameters()]))
    assert runs[0] == runs[1]
    assert runs[0][0][-1] < runs[0][0][0]


class Residual(nn.Module):
    """u'' + u at a point, of a network u."""

    def __init__(self):
        self.net = nn.MLP(1, [4, 1], activation="tanh", rng=1)

    def u(self, t):
        return self.net([t])

    def start(self):
        """A penalty: how far u is from u(0) = 0 and u'(0) = 1, squared."""
        t = Value(0.0)
        return self.u(t) ** 2 + (gradients(self.u(t), [t])[0] - grad(self.u)(0.5) - 1.0) ** 2

    def __call__(self, x):
        t = Value(x[0])  # a number of the sample
        u = self.u(t)
        slope = gradients(u, [t])[0]
        return gradients(slope, [t])[0] + u


class OfNumbers(Residual):
    """The same with `grad` of a number, which is a number."""

    def __call__(self, x):
        return grad(grad(self.u))(x[0]) + self.u(x[0]) * grad(self.u)(0.5)


class OfBoth(Residual):
    """Differentiates with respect to a leaf and to nodes, where a number of the sample decides."""

    def __call__(self, x):
        scale = Value(1.3)
        t = scale * x[0]
        u = math.where(x[0] > 1.0, self.u(t), t * self.u(t * t))
        a, b = gradients(u, [t, scale])
        return take([a * u, gradients(a * b, [t])[0]], math.where(x[0] > 2.0, 1.0, 0.0))


@pytest.mark.parametrize("has_penalty", [False, True])
@pytest.mark.parametrize("batch_size", [1, 4, None])
@pytest.mark.parametrize("kind", [Residual, OfNumbers, OfBoth])
def test_fit_compiles_models_that_differentiate(kind, batch_size, has_penalty):
    X = [[k * 0.3] for k in range(11)]
    runs = []
    for engine in ("eager", "jit"):
        model = kind()
        optimizer = optim.Adam(model.parameters(), lr=0.05)
        history = fit(model, nn.mse, X, [0.1] * 11, optimizer=optimizer, epochs=3, rng=5,
                      batch_size=batch_size, engine=engine,
                      penalty=model.start if has_penalty else None)
        assert history.engine == f"{engine}, {len(history)} steps"
        parameters = [x for p in model.parameters() for x in (p.data, p.grad)]
        state = [x for column in optimizer.state.values() for x in column]
        runs.append(bits_of([*history.loss, *parameters, *state]))
    assert runs[0] == runs[1]


def test_meta_learning_takes_a_gradient_step_inside_the_loss():
    net = nn.MLP(1, [3, 1], activation="tanh", rng=2)
    params = net.parameters()

    def predict(weights, x):
        (a, b, c), (d, e, f), (g, h, i, j) = weights[:3], weights[3:6], weights[6:]
        hidden = [math.tanh(a * x + d), math.tanh(b * x + e), math.tanh(c * x + f)]
        return math.sumprod(hidden, [g, h, i]) + j

    def maml(x, y, x2, y2):
        fast = params
        for _ in range(2):
            inner = (predict(fast, x) - y) ** 2
            fast = [p - 0.1 * d for p, d in zip(fast, gradients(inner, fast))]
        return (predict(fast, x2) - y2) ** 2

    assert len(params) == 10
    assert fault(maml, [(0.1, 0.5, -0.3, 0.2), (1.0, -1.0, 2.0, 0.0)]) is None
    compiled = jit(maml)
    want = eagerly(maml, (0.1, 0.5, -0.3, 0.2), params)
    for p in params:
        p.grad = 0.0
    value, slopes = compiled.value_and_grad(0.1, 0.5, -0.3, 0.2)
    assert [value, *slopes, *[p.grad for p in params]] == want


def test_newtons_method_compiles():
    def f(x):
        return x**4 - 3 * x * x + x

    step = jit(lambda x: x - grad(f)(x) / grad(grad(f))(x))
    x = y = 2.0
    for _ in range(8):
        x, y = step(x), y - grad(f)(y) / grad(grad(f))(y)
        assert bits(x) == bits(y)
    assert abs(grad(f)(x)) < 1e-12


def test_transforms_of_lists_compile():
    def f(v):
        return [v[0] * v[1], math.sin(v[0]) / v[1]]

    def g(v):
        return f(v)[0] * f(v)[1] + v[0] ** 3

    def of_pullback(x, y):
        values, pullback = vjp(lambda a, b: f([a, b]), x, y)
        return [*values, *pullback([y, 2.0])]

    for whole in (
        lambda x, y: jacobian(f)([x, y]),
        lambda x, y: hessian(g)([x, y]),
        lambda x, y: [of_pullback(x, y)],
        lambda x, y: [jvp(lambda a, b: f([a, b]), [x, y], [y, 1.0])[1]],
        lambda x, y: [value_and_grad(lambda a, b: g([a, b]), (1, 0))(x, y)[1]],
        lambda x, y: [[hessian(jit(g))([x, y])[0][1], jit(g).hessian([x, y])[1][1]]],
    ):
        want = [[float(d) for d in row] for row in whole(Value(1.5), Value(-0.5))]
        assert [list(row) for row in jit(whole)(1.5, -0.5)] == want


def test_second_derivatives_of_compiled_functions_that_differentiate():
    def f(x, y):
        with no_grad():
            kept = x * y
        return grad(lambda t: math.where(t > 0, t**4, t) * y * kept)(x) + math.hypot(x, y)

    want = hessian(lambda v: f(*v))([1.5, 0.5])
    for row, found in zip(want, jit(f).hessian(1.5, 0.5)):
        assert found == pytest.approx(row, rel=1e-13)


# ---- what is a number, and what a Value


def test_derivative_of_a_number_is_a_number_where_the_eager_engine_has_one():
    """A transform returns a number for numbers, unless it is called inside another transform."""
    def loss():
        curvature = hessian(lambda v: v[0] ** 3 * W)([2.0])[0][0]
        return grad(lambda t: t * t * W)(3.0) * W + W * curvature

    assert fault(loss, [()], []) is None
    inside = lambda x: x * grad(lambda t: t * t * W * x)(3.0)  # noqa: E731
    assert jit(inside).value_and_grad(2.0) == value_and_grad(inside)(2.0)
    assert grad(inside)(2.0) == pytest.approx(2 * 6.0 * W.data * 2.0)


def test_leaf_of_an_argument_is_a_leaf():
    f = lambda x: gradients((t := Value(x)) * t * t, [t])[0]  # noqa: E731
    assert jit(f)(2.0) == f(2.0).data == 12.0
    assert jit(f).value_and_grad(2.0) == (12.0, 12.0)
    with pytest.raises(TypeError, match="data must be a number, not a Value"):
        jit(lambda x: Value(x * W))(2.0)
    with pytest.raises(TypeError, match=r"gradients: xs\[0\] must be a Value, not float"):
        jit(lambda x: gradients(x * x, [3.0])[0])(2.0)


def test_what_the_function_computes_from_its_own_leaves_has_numbers():
    def f(x):
        a = Value(1.5)
        for _ in range(3):  # Newton's method with known numbers
            y = a * a - 2.0
            a = Value(a.data - y.data / gradients(y, [a])[0].data)
        b = a * x
        return gradients(b * a * x, [a])[0] + gradients(a * a, [a])[0] * b

    assert fault(f, POINTS) is None


def test_a_leaf_that_was_assigned_after_use_is_stale():
    def f(x):
        leaf = Value(2.0)
        y = leaf * x
        leaf.data = 3.0
        return gradients(y * y, [leaf])[0]

    for run in (f, jit(f)):
        with pytest.raises(StaleGraphError, match="compute the expression again"):
            run(Value(1.0) if run is f else 1.0)


def test_limits_of_a_row_of_ones_own_are_not_differentiated():
    row = define(
        "spike", lambda x, y: math.abs(x) * y,
        lambda x, y, o: o / x,
        lambda x, y, o: math.reciprocal(x) * x * math.abs(x),
        limits=(lambda x, y, o, d: math.where(y > 0, y, d), lambda x, y, o, d: d * y),
        replace=True,
    )
    try:
        f = lambda x, y: row(x, y) * x + row(y, x)  # noqa: E731
        points = [(0.0, 2.0), (0.0, -2.0), (1.5, 0.5), (-1.0, 0.0), (0.0, 0.0)]
        for order in (grad, lambda f: grad(grad(f), 1), lambda f: grad(grad(grad(f), 1))):
            assert fault(lambda x, y: order(f)(x, y), points) is None  # noqa: B023
    finally:
        del tinygrad_edu.engine.primitive.TABLE["spike"]


# ---- what stays an error, and what stays small


@pytest.mark.parametrize("f", [
    lambda x: (x * x).backward(),
    lambda x: tinygrad_edu.backward(W * x),
    lambda x: (Value(1.0) * 2).backward(),
    lambda x: x.grad,
])
def test_gradients_in_grad_are_refused_and_the_remedy_compiles(f):
    with pytest.raises(TraceError, match=r"inside, use gradients\(y, xs\), grad or hessian"):
        jit(f)(2.0)


def test_methods_of_a_compiled_function_that_add_to_grad_are_refused_inside():
    square = jit(lambda x: x * x)
    for f in (lambda x: square.value_and_grad(x)[1], lambda x: square.batch([x])[0]):
        with pytest.raises(TraceError, match=r"inside, use value_and_grad\(<lambda>\), grad"):
            jit(f)(2.0)
    assert jit(lambda x: value_and_grad(square)(x)[1])(2.0) == 4.0


def test_traces_grow_with_the_program_and_not_faster():
    def trace_of(count, kind):
        net = nn.MLP(1, [3, 3, 1], activation=kind, rng=0)

        def loss(*ts):
            return math.total(grad(grad(lambda t: net([t])))(t) ** 2 for t in ts)

        return len(record_trace(loss, ["t"] * count, lambda values: (values, {}))[0].nodes)

    for kind in ("tanh", "relu", "leaky_relu"):
        sizes = [trace_of(count, kind) for count in (4, 8, 16)]
        assert sizes[2] - sizes[1] == 2 * (sizes[1] - sizes[0])

    def chain(x, count):
        for k in range(count):
            x = math.where(x > k, math.sin(x), x * x)
        return x

    chains = [functools.partial(chain, count=count) for count in (20, 40, 80)]
    a, b, c = [len(record_trace(grad(grad(f)), ["x"], lambda v: (v, {}))[0].nodes) for f in chains]
    assert c - b < 2.1 * (b - a)


def test_compiled_derivative_is_copied_and_pickled():
    compiled = jit(grad(math.sin))
    assert compiled(0.0) == 1.0
    assert copy.deepcopy(jit(derivative_of_sine))(0.0) == 1.0
    assert pickle.loads(pickle.dumps(jit(derivative_of_sine)))(0.0) == 1.0


def derivative_of_sine(x):
    return grad(math.sin)(x)


def test_documentation_examples_are_correct():
    for module in (conditions, sweeps):
        assert doctest.testmod(module).failed == 0
