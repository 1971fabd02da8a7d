"""Compiled functions where they are called: inside transforms, with arguments of every kind."""

import copy
import enum
import pickle
from collections import Counter, OrderedDict, defaultdict
from typing import NamedTuple

import numpy as np
import pytest

from tinygrad_edu import (
    data,
    fit,
    grad,
    hessian,
    jacobian,
    jit,
    jvp,
    math,
    nn,
    optim,
    value_and_grad,
    vjp,
)
from tinygrad_edu.errors import TraceError

# ---- inside the function of a transform


def closing_over(x):
    """Returns a function of a number that uses ``x``, too."""
    return lambda t: x * t * t


INSIDE = {
    "a call": lambda f: f(2.0),
    "a call with a list": lambda f: f(*[2.0]),
    "a call in a call": lambda f: jit(lambda t: f(t) + t)(2.0),
    "grad": lambda f: grad(f)(2.0),
    "value_and_grad": lambda f: value_and_grad(f)(2.0)[1],
    "hessian of one list": lambda f: hessian(lambda v: f(v[0]))([2.0])[0][0],
}
TRANSFORMS = {
    "grad": lambda f: grad(f)(3.0),
    "grad of grad": lambda f: grad(grad(lambda x: f(x) * x))(3.0),
    "value_and_grad": lambda f: value_and_grad(f)(3.0),
    "vjp": lambda f: vjp(f, 3.0)[1](1.0),
    "jvp": lambda f: jvp(f, [3.0], [1.0]),
    "jacobian": lambda f: jacobian(lambda v: [f(v[0]), v[0]])([3.0]),
    "hessian": lambda f: hessian(lambda v: f(v[0]) * v[0])([3.0]),
    "jit": lambda f: jit(f).value_and_grad(3.0),
}


@pytest.mark.parametrize("outer", TRANSFORMS)
@pytest.mark.parametrize("inner", INSIDE)
def test_a_compiled_function_keeps_its_connection_to_the_argument_it_closes_over(outer, inner):
    def program(compile):
        return lambda x: INSIDE[inner](compile(closing_over(x))) + x

    assert TRANSFORMS[outer](program(jit)) == TRANSFORMS[outer](program(lambda f: f))


def test_the_hessian_method_inside_a_transform_can_be_differentiated():
    def curvature(x):
        return jit(closing_over(x)).hessian(2.0)[0][0] * x  # 2x * x

    assert grad(curvature)(3.0) == 12.0
    assert hessian(lambda v: curvature(v[0]))([3.0]) == [[4.0]]
    assert jit(curvature).value_and_grad(3.0) == (18.0, 12.0)

    def of_array(x):
        return jit(lambda w: x * w[0] * w[1]).hessian(np.array([1.0, 2.0]))[0, 1] * x

    assert grad(of_array)(3.0) == 6.0


@pytest.mark.parametrize("transform", [grad, lambda f: jit(f).value_and_grad, lambda f: jit(f)])
@pytest.mark.parametrize("method", [
    lambda f: f.value_and_grad(2.0)[0],
    lambda f: f.batch([2.0])[0],
    lambda f: f.batch_value_and_grad([2.0])[0][0],
])
def test_methods_that_return_numbers_are_refused_inside_transforms(method, transform):
    with pytest.raises(TraceError, match=r"inside, use value_and_grad\(<lambda>\), grad.*for each"):
        transform(lambda x: method(jit(closing_over(x))))(3.0)


# ---- arguments that are static

SLOPES = {
    "a boolean": (lambda x, b: x * b, (2.0, True), (1.0, None)),
    "a boolean of numpy": (lambda x, b: x * b, (2.0, np.bool_(True)), (1.0, None)),
    "text": (lambda x, name: x * len(name), (2.0, "abc"), (3.0, None)),
    "None": (lambda x, y: x * x, (2.0, None), (4.0, None)),
    "in a list": (lambda x, p: x * p[0] * p[1], (2.0, [True, 3.0]), (3.0, [None, 2.0])),
    "in a dict": (lambda x, p: x * p["k"], (2.0, {"k": 3.0, "on": True}),
                  (3.0, {"k": 2.0, "on": None})),
    "an array": (lambda x, m: x * m.sum(), (2.0, np.array([True, True])), (2.0, None)),
    "a mask": (lambda xs, m: xs[m].sum(), ([1.0, 2.0], np.array([True, False])), None),
}


@pytest.mark.parametrize("name", SLOPES)
def test_the_derivative_of_what_is_static_is_none(name):
    f, args, want = SLOPES[name]
    if want is None:
        _, (slopes, other) = jit(f).value_and_grad(np.array(args[0]), args[1])
        assert (slopes.tolist(), other) == ([1.0, 0.0], None)
        return
    assert jit(f).value_and_grad(*args)[1] == want


def test_the_derivative_of_an_array_of_booleans_is_none_also_alone_and_by_keyword():
    booleans = np.array([[True, False]])
    assert jit(lambda m: m.sum()).value_and_grad(booleans) == (1.0, None)
    f = jit(lambda x, on: x * x if on else x)
    assert f.value_and_grad(3.0, on=True) == (9.0, ((6.0,), {"on": None}))
    values, slopes = f.batch_value_and_grad([3.0, 4.0], True)
    assert (values.tolist(), slopes[0].tolist(), slopes[1]) == ([9.0, 16.0], [6.0, 8.0], None)


# ---- subclasses of the types that arguments are made of


class Vec(list):
    def __rmul__(self, k):
        return Vec(k * x for x in self)


class Loud(float):
    def __mul__(self, other):
        return 1000.0


class Money(int):
    def __mul__(self, other):
        return -1.0


class Pair(tuple):
    __slots__ = ()

    def __add__(self, other):
        return Pair(x + y for x, y in zip(self, other))


class Point(NamedTuple):
    x: float
    y: float

    def norm(self):
        return self.x * self.x + self.y * self.y


class Sign(enum.IntEnum):
    PLUS = 1
    MINUS = 2


SUBCLASSES = {
    "list": (lambda v: sum(2 * v), Vec([1.0, 2.0]), "list"),
    "float": (lambda x: x * 2.0, Loud(3.0), "float"),
    "int": (lambda x: x * 2.0, Money(3), "int"),
    "tuple": (lambda p: (p + p)[0], Pair([1.0, 2.0]), "tuple"),
    "Counter": (lambda c: c["a"] + c["b"], Counter("aaa"), "dict"),
    "defaultdict": (lambda d: d["a"] + d["b"], defaultdict(float, a=1.0), "dict"),
    "OrderedDict": (lambda d: d["a"], OrderedDict(a=1.0), "dict"),
}


@pytest.mark.parametrize("name", SUBCLASSES)
def test_arguments_of_subclasses_are_refused_with_the_remedy(name):
    f, x, base = SUBCLASSES[name]
    for call in (jit(f), jit(f).value_and_grad, jit(f).hessian, lambda x: jit(f)([x])):
        with pytest.raises(TypeError, match=rf"of type {type(x).__name__}.*; pass {base}\(x\), or"):
            call(x)


def test_results_of_subclasses_are_refused_with_the_remedy():
    with pytest.raises(TypeError, match=r"the result is .*of type Vec.*; return list\(x\)"):
        jit(lambda x: Vec([x, 2 * x]))(1.0)
    with pytest.raises(TypeError, match=r"the result\['a'\] is .*of type Pair.*; return tuple"):
        jit(lambda x: {"a": Pair([x])})(1.0)


def test_a_list_of_a_subclass_is_refused_by_jacobian_and_hessian():
    for transform in (jacobian, hessian, lambda f: hessian(jit(f))):
        with pytest.raises(TypeError, match=r"of type Vec.*; pass list\(x\)"):
            transform(lambda v: sum(2 * v))(Vec([1.0, 2.0]))


def test_named_tuples_and_scalars_of_numpy_are_arguments_as_before():
    assert jit(lambda p: p.norm())(Point(3.0, 4.0)) == 25.0
    assert jit(lambda p: p.norm()).value_and_grad(Point(3.0, 4.0))[1] == Point(6.0, 8.0)
    assert jit(lambda x: x * 2.0)(np.float64(3.0)) == 6.0


def test_members_of_an_enum_are_static():
    colours = enum.Enum("colours", "RED BLUE")
    f = jit(lambda x, e: x if e is Sign.MINUS else -x)
    assert [f(2.0, Sign.PLUS), f(2.0, Sign.MINUS)] == [-2.0, 2.0]
    assert f.value_and_grad(2.0, Sign.MINUS) == (2.0, (1.0, None))
    assert f.batch([2.0, 3.0], Sign.PLUS).tolist() == [-2.0, -3.0]
    assert jit(lambda x, p: x * (p["c"] is colours.RED))(2.0, {"c": colours.RED}) == 2.0
    assert jit(lambda x: [x, Sign.PLUS])(2.0)[1] is Sign.PLUS


# ---- what a function may not ask


@pytest.mark.parametrize("f", [
    lambda x: 0.0 if x != x else x * 2,
    lambda x: x * 2 if x == x else 0.0,
    lambda x: [x, float(x == x)],
    lambda x: x * ({True: 0.0, False: 1.0}[x != x]),
    lambda x: x * sum(y == x for y in [x]),
])
def test_a_traced_value_is_not_compared_with_itself_since_it_may_be_nan(f):
    with pytest.raises(TraceError, match=r"== or != .*(?s:.*); x <= x holds unless x is nan"):
        jit(f)(1.0)


def test_containers_of_traced_values_find_them_by_identity():
    f = jit(lambda x, y: x * 1.0 + (y in (y, x)) + [x, y].index(x) + ([x, y] == [x, y]))
    assert f(3.0, 4.0) == 5.0
    nan = float("nan")
    assert str(jit(lambda x: math.where(x <= x, x * 2, 0.0)).batch([nan, 1.0]).tolist()) == (
        "[0.0, 2.0]")


# ---- pickled by name


@grad
def slope(x):
    return x * x * x


@jit
@grad
def compiled_slope(x):
    return x * x * x


@grad
@jit
def slope_of_compiled(x):
    return x * x * x


class Model:
    @staticmethod
    @grad
    def static_slope(x):
        return x * x

    @classmethod
    @jit
    def scaled(cls, x):
        return 3 * x


again = grad(slope)  # not a decorator: it is pickled as the call that made it


@pytest.mark.parametrize("f", [
    slope, compiled_slope, slope_of_compiled, again, jit(again), Model.static_slope,
], ids=str)
def test_decorated_functions_are_pickled_by_name(f):
    for copied in (pickle.loads(pickle.dumps(f)), copy.deepcopy(f)):
        assert copied(2.0) == f(2.0)
        assert (copied is f) is (f in (slope, compiled_slope, slope_of_compiled,
                                       Model.static_slope))


def test_compiled_class_methods_are_pickled():
    assert pickle.loads(pickle.dumps(Model.scaled))(2.0) == 6.0
    assert pickle.loads(pickle.dumps(Model().scaled))(2.0) == 6.0


# ---- in models


class Net(nn.Module):
    """A model with two layers, of which the first is in a method of its own."""

    def __init__(self):
        self.inner = nn.Linear(2, 3, rng=1)
        self.outer = nn.Linear(3, 1, rng=2)

    def features(self, x):
        return [math.tanh(h) for h in self.inner(x)]

    def __call__(self, x):
        return self.outer(self.features(x))[0]


class WithMethod(Net):
    features = jit(Net.features)


class Compiled(Net):
    __call__ = jit(Net.__call__)


class WithInner(Net):
    def __call__(self, x):
        h = jit(lambda k: [k * h for h in self.features(x)])(2.0)
        return self.outer([0.5 * y for y in h])[0]


@pytest.mark.parametrize("model", [WithMethod, Compiled, WithInner])
@pytest.mark.parametrize("engine", ["eager", "jit"])
def test_models_of_compiled_functions_train_all_their_layers(model, engine):
    X, y = data.moons(10, rng=1)

    def trained(net, engine, penalise):
        penalty = penalise(lambda: 1e-3 * math.total(w * w for w in net.parameters()))
        optimizer = optim.SGD(net.parameters(), lr=0.1)
        history = fit(net, nn.hinge, X, y, optimizer=optimizer, epochs=3, engine=engine,
                      penalty=penalty)
        return history.loss, [w.data for w in net.parameters()]

    assert trained(model(), engine, jit) == trained(Net(), "eager", lambda f: f)
