"""A compiled function means what the function means, or is refused: nothing else gets out of it."""

import contextvars
import copy
import functools
import operator
import pickle
import random
import sys
import threading
import time
import weakref
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import run_python

from tinygrad_edu import (
    Value,
    detect_anomaly,
    grad,
    hessian,
    jit,
    math,
    nn,
    no_grad,
    take,
    value_and_grad,
    vjp,
)
from tinygrad_edu.engine.graph import Node
from tinygrad_edu.errors import TraceError
from tinygrad_edu.jit.tracing import record_trace

# ---- booleans, texts and whole numbers

BOOLEANS = {
    "comparison": lambda x: x > 0,
    "in a list": lambda x: [x < 0, x, {"large": x >= 3}],
    "both": lambda x: (x > 0) & (x < 2),
    "one of them": lambda x: (x < 0) | (x > 2) | False,
    "cond": lambda x: math.cond(x > 1, lambda: x > 2, lambda: False),
    "take": lambda x: take([x > 1, x > 2, True], 1 * (x > 1.5)),
    "computed with": lambda x: [1.0 * (1 - (x > 0)), 1.0 * ((x > 0) + (x > 2)), (x > 0) / 2],
    "plain": lambda x: (True, np.bool_(False), x > math.inf),
}


@pytest.mark.parametrize("f", BOOLEANS.values(), ids=BOOLEANS)
def test_results_that_are_booleans_are_booleans(f):
    compiled = jit(f)
    for x in (-1.0, 0.5, 1.75, 3.0):
        assert repr(compiled(x)) == repr(f(x))
        with detect_anomaly():
            assert repr(compiled(x)) == repr(f(x))


def test_a_condition_counts_as_a_number_where_numbers_are_wanted():
    assert jit(lambda x: x > 0).value_and_grad(2.0) == (1.0, 0.0)
    assert jit(lambda x: x > 0).batch([1.0, -1.0]).tolist() == [1.0, 0.0]


def test_booleans_of_numpy_are_static_like_those_of_python():
    f = jit(lambda x, flag: 2 * x if flag else x)
    for flag in (np.bool_(True), np.array([False])[0], np.array(True)):
        assert f(3.0, flag) == (6.0 if flag else 3.0)


TEXTS = {
    "format": lambda x: f"{x}",
    "text": lambda x: str(x),
    "key": lambda x: {"1.0": 2.0}.get(str(x), 1.0) * x,
    "length": lambda x: x * len(str(x)),
    "length of repr": lambda x: x * len(repr(x)),
    "formatted repr": lambda x: x * len(f"{x!r}"),
    "equal": lambda x: x if str(x) == "1.0" else -x,
    "inside": lambda x: x if "." in repr(x) else -x,
    "ends": lambda x: x if repr(x).endswith("0") else -x,
    "split": lambda x: x * float(str(x).split(".")[0]),
    "percent": lambda x: "%s" % x,  # noqa: UP031
    "several": lambda x: f"a{x}b",
    "names": lambda x: {"w" + str(x): x},
    "a leaf": lambda x: x * float(repr(LEAF).split("data=")[1].split(",")[0]),
    "a leaf's format": lambda x: x * len(f"{LEAF}"),
    "a leaf in a list": lambda x: (str([LEAF]), x),
}
LEAF = Value(3.0, "leaf")


@pytest.mark.parametrize("f", TEXTS.values(), ids=TEXTS)
def test_the_text_of_a_traced_value_is_not_computed_with(f):
    with pytest.raises(TraceError, match=r"Traced\(|format") as error:
        jit(f)(1.0)
    assert "outside" in str(error.value) or "compute with the value" in str(error.value)


def test_a_traced_value_can_be_printed(capsys):
    assert jit(lambda x: print(x, [x], LEAF) or x * 2)(1.0) == 2.0
    assert capsys.readouterr().out.splitlines()[0] == "Traced(x) [Traced(x)] Traced(leaf)"


BIG = 2**53 + 1


def test_numbers_that_are_no_floats_are_part_of_the_program():
    for n in (BIG, -BIG, 2**64 - 1, np.int64(BIG), np.uint64(2**64 - 1), Fraction(1, 3),
              Decimal("0.1"), 10**400):
        for f in (lambda n: n % 10, lambda n: n, lambda n: [n, 1.0], lambda n: n == int(n)):
            assert jit(f)(n) == f(n)
    f = jit(lambda x, n: x * (n % 10))
    assert [f(2.0, BIG), f(2.0, BIG + 1), f(3.0, 13), f(3.0, 14)] == [6.0, 6.0 + 2.0, 9.0, 12.0]
    assert len(f.programs) == 2  # BIG + 1 is a float
    assert jit(lambda x: BIG)(1.0) == BIG
    assert jit(lambda xs: sum(xs) % 100)([BIG, 7.0]) == (BIG + 7.0) % 100
    for derivative in (f.value_and_grad, f.hessian):
        with pytest.raises(TypeError, match=r"with respect to 9007199254740993, .*; pass float"):
            derivative(1.0, BIG)


@pytest.mark.parametrize("column", [
    [1.0, BIG], [BIG], [1, Fraction(1, 3)], np.array([1, BIG]), np.array([BIG], dtype=np.uint64),
    (1.0, Decimal("0.1")), [float("nan"), BIG],
], ids=repr)
def test_columns_of_numbers_that_are_no_floats_are_refused(column):
    with pytest.raises(TypeError, match=r"column x\[\d\] is .*; if the nearest float, .*, will do"):
        jit(lambda x: x).batch(column)


def test_columns_of_whole_numbers_that_are_floats_are_accepted():
    for column in ([1, 2.5, True], [2**53, float("nan")], np.array([2**60, 3])):
        assert repr(jit(lambda x: x).batch(column).tolist()) == repr([*map(float, column)])
    with pytest.raises(TypeError, match="argument k is 9007199254740993, which is not a float"):
        jit(lambda x, k: x * k).batch([1.0], BIG)
    with pytest.raises(TraceError, match="entry 1 must be a number that is a float"):
        jit(lambda i: take([1.0, BIG], i))(1.0)


def test_whole_numbers_count_as_floats_as_in_values():
    for f in (lambda n: n // 2, lambda n: n % 3, lambda n: 2**n, lambda n: -n // 4):
        found = jit(f)(7)
        assert (type(found), found) == (float, f(7)) == (float, f(Value(7)).data)


# ---- the mode of modules


def model():
    return nn.Sequential(
        nn.Layer(2, 8, rng=0), nn.Dropout(0.5, rng=0), nn.Layer(8, 1, "linear", rng=1)
    )


class Holder:
    def __init__(self, net):
        self.net = net

    def predict(self, x):
        return self.net(x)

    compiled = jit(predict)

    @property
    def part(self):
        return self.net


def held_globally(net):
    globals()["NET"] = net
    return jit(lambda x: globals()["NET"](x))


REACHED = {
    "itself": jit,
    "closure": lambda net: jit(lambda x: net(x)),
    "argument": lambda net: functools.partial(jit(lambda net, x: net(x), static="net"), net),
    "attribute": lambda net: (lambda holder: jit(lambda x: holder.net(x)))(Holder(net)),
    "property": lambda net: (lambda holder: jit(lambda x: holder.part(x)))(Holder(net)),
    "method": lambda net: jit(Holder(net).predict),
    "compiled method": lambda net: Holder(net).compiled,
    "list": lambda net: (lambda nets: jit(lambda x: nets[0](x)))([net]),
    "global": held_globally,
    "weak reference": lambda net: (lambda ref: jit(lambda x: ref()(x)))(weakref.ref(net)),
    "attrgetter": lambda net: (
        lambda holder: jit(lambda x: operator.attrgetter("net")(holder)(x))
    )(Holder(net)),
    "compiled twice": lambda net: (lambda inner: jit(lambda x: inner(x)))(jit(net)),
    "thread-local": lambda net: (lambda local: setattr(local, "net", net) or jit(
        lambda x: local.net(x)))(threading.local()),
    "context variable": lambda net: (lambda variable: variable.set(net) and jit(
        lambda x: variable.get()(x)))(contextvars.ContextVar("net")),
    "partial": lambda net: jit(functools.partial(lambda net, x: net(x), net)),
}


@pytest.mark.parametrize("compiled", REACHED.values(), ids=REACHED)
def test_a_compiled_model_follows_its_mode_however_it_is_reached(compiled):
    net, x = model(), [1.0, 2.0]
    p = compiled(net)
    drawn = {p(x) for _ in range(8)}
    assert len(drawn) > 1
    net.eval()
    assert p(x) == net(x).data == p(x)
    net.train()
    assert len({p(x) for _ in range(8)}) > 1
    net.layers[1].training = False
    assert p(x) == net(x).data


def test_modes_that_one_branch_alone_reads_are_followed():
    outer, inner = nn.Dropout(0.5, rng=0), nn.Dropout(0.5, rng=0)
    refs = weakref.ref(outer), weakref.ref(inner)

    def f(x):
        outer, inner = (ref() for ref in refs)
        return 2 * x if outer.training else 3 * x if inner.training else 4 * x

    compiled = jit(f)
    for modes in [(1, 1), (0, 1), (0, 0), (1, 0), (0, 1), (1, 1), (0, 0)]:
        outer.training, inner.training = map(bool, modes)
        assert compiled(1.0) == f(1.0)
    assert "training" in vars(outer)
    assert nn.Module.__dict__["training"] is True


# ---- second derivatives


def test_no_grad_and_detach_hold_in_every_kind_of_second_derivative():
    def within(x):
        with no_grad():
            t = x * x
        return x * t

    for f, want in ((within, 0.0), (lambda x: x.detach() * x * x, 6.0),
                    (lambda x: copy.deepcopy(x) * x * x, 6.0)):
        assert jit(f).hessian(3.0) == hessian(lambda xs, f=f: f(xs[0]))([3.0]) == [[want]]
        assert grad(grad(f))(Value(3.0)).data == want


def test_rows_of_a_hessian_share_one_draw():
    drop = nn.Dropout(0.5, rng=0)

    def f(xs):
        kept = drop([x * y for x in xs for y in xs])
        return math.total(kept) * kept[1]

    xs = [1.0, 2.0, 3.0, 4.0]
    for second in (jit(f).hessian, hessian(f), hessian(jit(f))):
        for _ in range(5):
            rows = second(xs)
            assert rows == [list(column) for column in zip(*rows)]


# ---- entries of -inf

INF = math.inf


@pytest.mark.parametrize("f", [
    lambda xs: nn.cross_entropy(xs, 2), lambda xs: nn.cross_entropy(xs, 0),
    lambda xs: math.log_softmax(xs)[1] * 2.0 + xs[2], math.logsumexp,
    lambda xs: math.softmax(xs)[2] * xs[2],
])
def test_entries_of_minus_infinity_have_the_gradients_of_the_eager_engine(f):
    compiled = jit(f)
    for xs in ([0.5, -INF, 1.0], [-INF, -INF, 1.0], [-INF, 0.0, -INF], [-INF] * 3,
               [INF, 0.0, -INF], [math.nan, -INF, 1.0], [-1e308, 1e308, -INF], [0.5, 0.1, 1.0]):
        leaves = [*map(Value, xs)]
        y = f(leaves)
        y.backward()
        assert repr(compiled.value_and_grad(xs)) == repr((y.data, [x.grad for x in leaves]))


@pytest.mark.parametrize("f", [
    lambda xs, t: nn.cross_entropy(xs, t), lambda xs, t: math.log_softmax(xs)[2] * t,
    lambda xs, t: math.softmax(xs)[2] * t, lambda xs, t: math.logsumexp(xs) + take(xs, t),
])
def test_programs_of_lists_grow_linearly_and_have_the_bits_of_the_eager_engine(f):
    compiled = jit(f)
    counts = []
    for n in (30, 60):
        xs = [math.sin(float(i * i)) for i in range(n)]
        counts.append(len(record_trace(f, [*map(str, range(n + 1))],
                                       lambda values: ((values[:-1], values[-1]), {}))[0].nodes))
        for target in (0.0, 1.0, float(xs.index(max(xs))), n - 1.0):
            leaves = [*map(Value, xs)]
            y = f(leaves, target)
            y.backward()
            value, (slopes, _) = compiled.value_and_grad(xs, target)
            assert repr((value, slopes)) == repr((y.data, [x.grad for x in leaves]))
    assert counts[1] <= 2.2 * counts[0]


# ---- copies, and other ways to the number of a leaf

COPIES = {
    "copy": lambda x: x * copy.copy(LEAF),
    "deep copy": lambda x: x * copy.deepcopy(LEAF),
    "in a list": lambda x: x * copy.deepcopy([LEAF, LEAF])[1],
    "in an object": lambda x: x * copy.deepcopy(SimpleNamespace(leaf=LEAF)).leaf,
    "of a result": lambda x: x + copy.deepcopy(x * LEAF) + copy.copy(x * LEAF),
    "of arguments": lambda x: x * copy.copy(x) * copy.deepcopy([x])[0] * LEAF,
    "of an entry": lambda x: copy.copy(take([x, LEAF, x * LEAF], 1)) * x,
    "of a model": lambda x: copy.deepcopy(HOLDING)([x, 2.0]),
    "of a constant": lambda x: x * copy.deepcopy(Value(2.0)) * copy.copy(Value(4.0)) + LEAF,
    "of a condition": lambda x: math.where(copy.deepcopy(x > 0), LEAF, x) * x,
}
HOLDING = nn.MLP(2, [3, 1], rng=1)


@pytest.mark.parametrize("f", COPIES.values(), ids=COPIES)
def test_a_copy_within_a_trace_is_a_copy_of_the_leaf(f):
    compiled = jit(f)
    leaves = [LEAF, *HOLDING.parameters()]
    before = [leaf.data for leaf in leaves]

    def gradients():
        found = [leaf.grad for leaf in leaves]
        for leaf in leaves:
            leaf.grad = 0.0
        return found

    for step in range(3):
        x = Value(1.5)
        y = f(x)
        y.backward()
        eager = y.data, x.grad, gradients()
        assert (*compiled.value_and_grad(1.5), gradients()) == eager
        for leaf in leaves:
            leaf.data += step + 1
    for leaf, number in zip(leaves, before):
        leaf.data = number


@pytest.mark.parametrize("number", [
    lambda: pickle.loads(pickle.dumps(LEAF)),
    lambda: LEAF.__reduce_ex__(4)[2].root,
    lambda: object.__getattribute__(LEAF, "data"),
    lambda: Node.data.__get__(LEAF),
    lambda: contextvars.Context().run(lambda: LEAF.data),
    lambda: contextvars.Context().run(lambda: LEAF * 2),
])
def test_the_number_of_a_leaf_does_not_leave_by_a_side_door(number):
    with pytest.raises(TraceError):
        jit(lambda x: x * number())(1.0)


# ---- random numbers of other threads


class Drawing:
    """Another thread, which draws from a generator as long as the block runs."""

    def __init__(self, draw):
        self.draw = draw
        self.drawn = []
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        while not self.done.is_set():
            self.drawn.append(self.draw())
            time.sleep(1e-5)  # of millions of draws, two would be equal by chance

    def __enter__(self):
        self.thread.start()
        return self.drawn

    def __exit__(self, *error):
        self.done.set()
        self.thread.join()


SHARED = random.Random(0)


@pytest.mark.parametrize("draw", [
    random.random, lambda: random.gauss(0, 1), SHARED.random, np.random.rand,
], ids=["random", "gauss", "a generator of its own", "numpy"])
def test_tracing_leaves_the_draws_of_other_threads_alone(draw):
    def f(x):
        before = len(drawn)
        while len(drawn) < before + 3:  # the other thread draws while this one traces
            time.sleep(1e-4)
        return [SHARED, x * LEAF][1]

    with Drawing(draw) as drawn:
        for _ in range(4):
            assert jit(f)(2.0) == 6.0
    assert len(drawn) > 30
    assert len(set(drawn)) == len(drawn)


def test_tracing_puts_back_what_the_function_draws():
    own = random.Random(3)
    for f, is_refused in (
        (lambda x: x * random.random(), True),
        (lambda x: [random.gauss(0, 1), x][1], True),
        (lambda x: [own.random(), x][1], False),
        (lambda x: nn.Layer(2, 2) and x, True),  # weights drawn from the module random
        (lambda x: x * np.random.rand(), True),
    ):
        before = random.getstate(), own.getstate(), repr(np.random.get_state())
        if is_refused:
            with pytest.raises(TraceError, match=r"draws random numbers|not do the same"):
                jit(f)(1.0)
        else:
            assert jit(f)(1.0) == 1.0
        assert (random.getstate(), own.getstate(), repr(np.random.get_state())) == before


# ---- copies and pickles of functions


def square(x):
    return x * x


def product(xs):
    return xs[0] * xs[1] * xs[1]


@no_grad()
def without_graph(x):
    return x * x


@pytest.mark.parametrize("again", [
    copy.copy, copy.deepcopy, lambda f: pickle.loads(pickle.dumps(f)),
], ids=["copy", "deepcopy", "pickle"])
def test_functions_of_functions_can_be_copied_and_pickled(again):
    for f, x in (
        (grad(square), 3.0), (grad(grad(square)), 3.0), (value_and_grad(square, [0]), 3.0),
        (hessian(product), [2.0, 3.0]), (hessian(jit(product)), [2.0, 3.0]), (math.gamma, 3.0),
        (jit(product).hessian, [2.0, 3.0]), (Value.sin, Value(1.0)), (without_graph, 2.0),
    ):
        found = again(f)
        assert repr(found(x)) == repr(f(x))
    module = sys.modules["tinygrad_edu.jit"]
    assert again(module) is module
    compiled = jit(square)
    compiled(2.0)
    assert again(compiled.programs[0]).run([3.0]) == [9.0]


@pytest.mark.parametrize("again", [copy.deepcopy, lambda f: pickle.loads(pickle.dumps(f))])
def test_a_pullback_is_copied_with_its_graph(again):
    value, pullback = vjp(square, 3.0)
    assert (value, again(pullback)(2.0), pullback(2.0)) == (9.0, (12.0,), (12.0,))


BY_VALUE = """
import marshal, pickle, sys, types
from tinygrad_edu import grad, jit, math, no_grad

def made(code):
    return types.FunctionType(marshal.loads(code), globals(), "made")

class Pickler(pickle.Pickler):  # functions of __main__ are sent by value, as cloudpickle does
    def reducer_override(self, x):
        if type(x) is types.FunctionType and x.__module__ == "__main__" and x.__name__ != "made":
            return made, (marshal.dumps(x.__code__),)
        return NotImplemented

module = types.ModuleType("small.cloudpickle")
exec('''
import io
def dumps(Pickler, x):
    file = io.BytesIO()
    Pickler(file, 4).dump(x)
    return file.getvalue()
''', vars(module))

@jit
def f(x):
    return math.sin(x) * x

texts = [module.dumps(Pickler, x) for x in (f, grad(f), jit)]
expected = f(2.0), grad(f)(2.0)
by_name = pickle.dumps(f), f
del f
found = [pickle.loads(text) for text in texts]
assert (found[0](2.0), found[1](2.0), found[2](lambda x: x + 1)(2.0)) == (*expected, 3.0)
f = by_name[1]
assert pickle.loads(by_name[0]) is f and pickle.loads(pickle.dumps(f)) is f
"""


def test_compiled_functions_of_main_are_sent_by_value_where_functions_are():
    done = run_python(BY_VALUE)
    assert done.returncode == 0, done.stderr


def test_contexts_are_pickled_as_the_calls_that_made_them():
    with pickle.loads(pickle.dumps(no_grad())):
        assert (Value(2.0) * 3).op == ""
    assert (Value(2.0) * 3).op == "mul"


def test_derived_functions_have_names_and_bind_as_methods():
    assert (repr(grad(square)), grad(grad(square)).__name__) == ("<grad(square)>",
                                                                 "grad(grad(square))")

    class Curve:
        def height(self, x):
            return x**3

        slope = grad(height, argnum=1)

    assert Curve().slope(2.0) == 12.0
    assert jit(hessian(product)).__name__ == "hessian(product)"
