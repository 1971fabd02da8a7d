"""`jit`: compiled functions return the bits of the eager engine, however they run; and their
methods."""

import copy
import ctypes
import doctest
import functools
import gc
import itertools
import math as std
import pickle
import random
import sys
import threading
import types
import weakref
from array import array
from collections import Counter, namedtuple

import numpy as np
import pytest
from helpers import bits, inf, replaced, run_python, scaled, summed
from programs import KINDS, WAYS, RandomProgram, gradient_tape, inputs, value_tape

import tinygrad_edu
from tinygrad_edu import Value, detect_anomaly, hessian, jit, math, nn, no_grad, take
from tinygrad_edu.engine.primitive import TABLE
from tinygrad_edu.engine.table import define
from tinygrad_edu.errors import NonFiniteError, TraceError
from tinygrad_edu.jit import batch, function, structure
from tinygrad_edu.jit import program as one_program
from tinygrad_edu.jit.running import backend, machine, objects, straight_line
from tinygrad_edu.jit.tape import gradient, lowering

RANDOM = 1000
PARTS = 10
COMPILED = scaled(ci=60, thorough=RANDOM, dev=20)
COLUMNS = scaled(ci=20, thorough=300, dev=10)


# ---- random programs


def faults(programs, ways, count=10):
    """THE CHECKER: yields a sentence for each call in which a tape and the eager engine differ in a
    bit."""
    for program in programs:
        made, trace = gradient_tape(program, *[f"x{i}" for i in range(len(program.point))])
        runs = {way: WAYS[way](made) for way in ways}
        for xs in program.inputs(count):
            if (eagerly := program.eagerly(xs)) is None:
                continue
            value, slopes, of_leaves = eagerly
            gradients = dict(zip(program.leaves, of_leaves))
            want = [value, *slopes, *[gradients[leaf] for leaf in trace.parameters]]
            for way, run in runs.items():
                program.reset()
                if list(map(bits, got := run(inputs(trace, xs)))) != list(map(bits, want)):
                    yield f"program {program.seed}, {way}, at {xs}: {got}, not {want}"


@pytest.mark.parametrize("part", range(PARTS))
def test_random_programs_have_the_bits_of_the_eager_engine_on_the_tape(part):
    seeds = range(part, RANDOM, PARTS * scaled(ci=1, thorough=1, dev=8))
    assert list(faults(map(RandomProgram, seeds), ["replayed", "tape machine"])) == []


def faults_of_calls(programs):
    """THE CHECKER for compiled functions: the same for calls, gradients, and what they add to the
    gradients of leaves."""
    for program in programs:
        f = jit(program)
        for xs in program.inputs(10):
            if (eagerly := program.eagerly(xs)) is None:
                continue
            value, slopes, of_leaves = eagerly
            for leaf in program.leaves:
                leaf.grad = 0.0
            program.reset()
            called = f(*xs)
            program.reset()
            got, gradient = f.value_and_grad(*xs)
            found = [
                called,
                got,
                *(gradient if len(xs) > 1 else [gradient]),
                *[leaf.grad for leaf in program.leaves],
            ]
            if list(map(bits, found)) != list(map(bits, [value, value, *slopes, *of_leaves])):
                wanted = [value, value, *slopes, *of_leaves]
                yield f"program {program.seed} at {xs}: {found}, not {wanted}"
        if any(program.value.kind != "compiled" for program in f.programs):
            yield f"program {program.seed}: {f.programs}"


@pytest.mark.parametrize("part", range(PARTS))
def test_random_programs_have_the_bits_of_the_eager_engine_when_they_are_compiled(part):
    assert list(faults_of_calls(map(RandomProgram, range(part, COMPILED, PARTS)))) == []


@pytest.mark.parametrize("part", range(PARTS))
def test_random_programs_over_columns_have_the_bits_of_the_eager_engine_in_every_sample(part):
    for program in map(RandomProgram, range(part, COLUMNS, PARTS)):
        samples = [xs for xs in program.inputs(11) if program.eagerly(xs) is not None]
        if not samples:
            continue
        state, eagerly = program.draws, []
        program.reset()
        for xs in samples:  # draws continue from sample to sample
            values = [Value(x) for x in xs]
            y = program(*values)
            y.backward()
            eagerly.append((y.data, [value.grad for value in values]))
        assert state is program.draws
        program.reset()
        values, gradients = jit(program).batch_value_and_grad(*map(list, zip(*samples)))
        columns = gradients if len(program.point) > 1 else [gradients]
        assert list(map(bits, values)) == [bits(value) for value, _ in eagerly], program.seed
        for column, want in zip(columns, zip(*[slopes for _, slopes in eagerly])):
            assert list(map(bits, column)) == list(map(bits, want)), program.seed


def test_random_programs_vary_in_kind_size_and_inputs():
    programs = [RandomProgram(seed) for seed in range(200)]
    kinds = Counter(kind for program in programs for kind in program.kinds)
    assert kinds.keys() == {kind.__name__ for kind in KINDS}
    assert min(kinds.values()) >= 10
    assert max(len(program.steps) for program in programs) > 35
    assert sum(bool(program.leaves) for program in programs) > 60
    results = [program.eagerly(xs) for program in programs for xs in program.inputs(10)]
    known = [[value, *slopes, *of_leaves] for value, slopes, of_leaves in filter(None, results)]
    assert len(known) > 0.9 * len(results)
    finite = [numbers for numbers in known if all(map(std.isfinite, numbers))]
    assert 0.8 * len(known) < len(finite) < len(known)
    assert sum(any(numbers[1:]) for numbers in finite) > 0.8 * len(finite)


def test_random_programs_are_repeatable():
    for seed in (3, 4):
        assert RandomProgram(seed).eagerly(RandomProgram(seed).point) == RandomProgram(
            seed
        ).eagerly(RandomProgram(seed).point)


def neutral_zero(right):
    """A plausible mistake: lowering that takes 0.0 for the neutral element of addition."""
    def shortcut(self, op, args):
        if op == "add" and self.zero in args:
            return args[1] if args[0] == self.zero else args[0]
        return right(self, op, args)

    return shortcut


def every_entry(right):
    """A mistake: adjoints reach the entries not taken, too, multiplied by 0."""
    def both(self, x, y):
        return None

    return both


@pytest.mark.parametrize(("owner", "name", "wrong"), [
    (lowering.Lowering, "_fold", neutral_zero),
    (gradient._Sweep, "_both", every_entry),
], ids=["a zero", "a branch not taken"])
def test_a_tape_that_is_wrong_is_found_by_random_programs(owner, name, wrong, monkeypatch):
    monkeypatch.setattr(owner, name, wrong(getattr(owner, name)))
    assert next(faults(map(RandomProgram, range(300)), ["replayed"]), None)


def test_machine_code_that_is_wrong_is_found_by_random_programs():
    right = math.sigmoid.expansion
    with replaced(math.sigmoid, "expansion", lambda x: right(x) * (1 + 2.0**-52)):
        assert next(faults_of_calls(map(RandomProgram, range(60))), None)


def test_a_gradient_that_is_not_added_up_is_found_by_random_programs(monkeypatch):
    monkeypatch.setattr(one_program.Program, "accumulate", lambda self, slopes: None)
    assert next(faults_of_calls(map(RandomProgram, range(60))), None)


# ---- arguments and results


def area(x, y):
    """Its documentation."""
    return math.sin(x) * y


def test_jit_returns_numbers_for_numbers():
    f = jit(area)
    for args in (
        (1.0, 2.0),
        (1, 2),
        (True, 2),
        (np.float32(1), np.float64(2)),
        (np.int64(1), np.array(2.0)),
    ):
        assert f(*args) == std.sin(1.0) * 2.0
        assert type(f(*args)) is float


def test_jit_is_a_decorator_with_and_without_options():
    @jit
    def f(x):
        return x * 2

    @jit(static=["n"], cache_size=3)
    def g(x, n):
        return x * n

    assert (f(3.0), g(3.0, 4)) == (6.0, 12.0)
    assert (f.__name__, g.__name__, jit(area).__doc__) == ("f", "g", "Its documentation.")
    assert jit(area).__wrapped__ is area


def test_jit_names_the_package_and_the_function():
    import tinygrad_edu.jit as module

    assert tinygrad_edu.jit is jit
    assert module(lambda x: x + 1)(1.0) == 2.0
    assert isinstance(jit(area), tinygrad_edu.jit.Jitted)


Point = namedtuple("Point", "x y")

NESTED = [  # a function, its arguments, its result
    (lambda xs: xs[0] * xs[1], ([2.0, 3.0],), 6.0),
    (lambda xs: (xs[0], [xs[1]]), ((2.0, 3.0),), (2.0, [3.0])),
    (
        lambda d: {"sum": d["a"] + d["b"][1], "both": d["b"]},
        ({"a": 1.0, "b": (2.0, 3)},),
        {"sum": 4.0, "both": (2.0, 3.0)},
    ),
    (lambda x: [x, 1, "text", None, True, b"bytes", (x,)], (2.0,),
     [2.0, 1.0, "text", None, True, b"bytes", (2.0,)]),
    (lambda *xs: math.total(xs), (1.0, 2.0, 3.0), 6.0),
    (lambda: 3.0, (), 3.0),
    (lambda x: x, (2,), 2.0),
    (lambda x: [], (2.0,), []),
    (lambda x: x > 1, (2.0,), True),
    (lambda xs: xs, ([[], {}, ()],), [[], {}, ()]),
    (lambda table, i: take(table, i), ([[1.0, 2.0], [3.0, 4.0]], 1), [3.0, 4.0]),
    (lambda p: Point(p.y, p.x), (Point(1.0, 2.0),), Point(2.0, 1.0)),
    (lambda ps: [p._replace(x=0.0) for p in ps], ([Point(1.0, [2.0, 3])],),
     [Point(0.0, [2.0, 3.0])]),
    (lambda table, i: take(table, i), ([(1.0, 2.0), (3.0, 4.0)], 1), (3.0, 4.0)),
]


@pytest.mark.parametrize(("f", "args", "result"), NESTED)
def test_arguments_and_results_may_be_lists_tuples_and_dicts(f, args, result):
    found = jit(f)(*args)
    assert found == result
    assert repr(found) == repr(result)  # types, too


def test_keyword_arguments_and_defaults():
    f = jit(lambda x, y=2.0, *, z=3.0: x * y + z)
    assert [f(1.0), f(1.0, 5.0), f(1.0, y=5.0), f(y=5.0, x=1.0), f(1.0, z=0.0)] == [
        5.0,
        8.0,
        8.0,
        8.0,
        2.0,
    ]
    assert f.value_and_grad(1.0, z=4.0) == (6.0, ((2.0,), {"z": 1.0}))
    assert f.value_and_grad(x=1.0, y=5.0) == (8.0, ((), {"x": 5.0, "y": 1.0}))


@pytest.mark.parametrize(("f", "args", "gradient"), [
    (lambda x: x * x, (3.0,), 6.0), (lambda x, y: x * y, (3.0, 4.0), (4.0, 3.0)),
    (lambda xs: xs[0] * xs[1], ([3.0, 4.0],), [4.0, 3.0]),
    (lambda xs: xs[0] * xs[1], ((3, 4),), (4.0, 3.0)),
    (lambda p: p.x * p.y, (Point(3.0, 4.0),), Point(4.0, 3.0)),
    (lambda d: d["a"] * d["b"][0], ({"a": 3.0, "b": [4.0], "c": "mean"},),
     {"a": 4.0, "b": [3.0], "c": None}),
    (lambda xs, y: xs[0] * y, ([3.0], 4.0), ([4.0], 3.0)),
    (lambda x, how: x * 2, (3.0, "mean"), (2.0, None)), (lambda: 1.0, (), ()),
    (lambda x: 7.0, (3.0,), 0.0), (lambda x: 7, (3.0,), 0.0),
    (lambda x, y: x, (3.0, 4.0), (1.0, 0.0)), (lambda x: math.floor(x), (3.5,), 0.0),
])
def test_the_gradient_has_the_structure_of_the_arguments(f, args, gradient):
    value, found = jit(f).value_and_grad(*args)
    assert (found, repr(found)) == (gradient, repr(gradient))
    assert (type(value), value) == (float, float(f(*args)))


def endless():
    xs = [1.0]
    xs.append(xs)
    return xs


def nested(depth):
    return functools.reduce(lambda inner, _: (inner,), range(depth), 1.0)


@pytest.mark.parametrize(("call", "kind", "message"), [
    (lambda: jit(3), TypeError, "jit: f must be a function, not int (3)"),
    (lambda: jit(area, cache_size=0), ValueError,
     "jit: cache_size must be a whole number >= 1, not 0"),
    (lambda: jit(area, cache_size=True), TypeError,
     "jit: cache_size must be a whole number, not bool"),
    (lambda: jit(area, static=None), ValueError,
     "jit: static must name arguments of area (x, y), not None"),
    (lambda: jit(area, static=1.5), ValueError,
     "jit: static must name arguments of area (x, y), not 1.5"),
    (lambda: jit(area, static=[True]), ValueError,
     "jit: static must name arguments of area (x, y), not True"),
    (lambda: jit(lambda *xs: 1.0, static=0), ValueError,
     "jit: static must name arguments of <lambda> (none), not 0"),
    (lambda: jit(area)(endless(), 1.0), ValueError,
     "argument x contains itself, or is nested too deeply; make it flatter"),
    (lambda: jit(area).batch([nested(100_000)], 1.0), ValueError,
     "argument x contains itself, or is nested too deeply"),
    (lambda: jit(area, static="y")(1.0, nested(100_000)), ValueError,
     "argument y contains itself, or is nested too deeply"),
    (lambda: jit(lambda x, gradient: x).show(1.0, gradient=3.0), TypeError,
     "gradient is both an option and an argument of <lambda>; pass the argument by position, or "
     "rename it"),
    (lambda: jit(area, cache_size=1.5), TypeError,
     "jit: cache_size must be a whole number, not float"),
    (lambda: jit(area, static="z"), ValueError,
     "jit: static must name arguments of area (x, y), not 'z'"),
    (lambda: jit(area, static=2), ValueError,
     "jit: static must name arguments of area (x, y), not 2"),
    (lambda: jit(lambda: 1.0, static=0), ValueError,
     "jit: static must name arguments of <lambda> (none), not 0"),
    (lambda: jit(area, static="y")(1.0, [2]), TypeError,
     "static argument y must be hashable, not [2]; pass a tuple, text or a number"),
    (lambda: jit(area)(1.0, object), TypeError, "argument y is <class 'object'>, of type type: it "
                                                "must be made of numbers, "
     'lists, tuples and dicts; if it determines the shape of the program, write jit(f, '
     'static=["y"])'),
    (lambda: jit(area)([1.0, {2.0}], 1.0), TypeError, "argument x[1] is {2.0}, of type set: it "
                                                      "must be made of numbers, "
     'lists, tuples and dicts; if it determines the shape of the program, write jit(f, '
     'static=["x"])'),
    (lambda: jit(area)({"a": 1j}, 1.0), TypeError, "argument x['a'] is 1j, of type complex: it "
                                                   "must be made of numbers, "
     'lists, tuples and dicts; if it determines the shape of the program, write jit(f, '
     'static=["x"])'),
    (lambda: jit(area)(x={1.0}, y=2.0), TypeError, "argument x is {1.0}, of type set: it must be "
                                                   "made of numbers, "
     'lists, tuples and dicts; if it determines the shape of the program, write jit(f, '
     'static=["x"])'),
    (lambda: jit(area)(1.0), TypeError, "area() missing 1 required positional argument: 'y'"),
    (lambda: jit(area)(1.0, 2.0, 3.0), TypeError, "area() takes 2 positional arguments but 3 were "
                                                  "given"),
    (lambda: jit(area)(1.0, 10**400), OverflowError, "too large"),
    (lambda: jit(lambda x: {2.0})(1.0), TypeError, "of type set: it must be made of numbers, "
                                                   "lists"),
    (lambda: jit(lambda x: [x, x]).value_and_grad(1.0), TypeError,
     "<lambda> must return one number for its gradient, not [*, *]"),
    (lambda: jit(lambda x: None).value_and_grad(1.0), TypeError,
     "<lambda> must return one number for its gradient, not None"),
    (lambda: jit(lambda x: {"a": (x,)}).hessian(1.0), TypeError,
     "<lambda> must return one number for its gradient, not {'a': (*,)}"),
    (lambda: jit(area).show(), ValueError,
     "<jit area: 0 programs> has no program yet, because it is compiled for the arguments of a "
     "call; call it, or pass arguments"),
])
def test_invalid_uses_raise_with_a_reason(call, kind, message):
    with pytest.raises(kind) as error:
        call()
    assert message in str(error.value)
    assert " at 0x" not in str(error.value)
    assert "the result is" not in str(error.value) or "static" not in str(error.value)


# ---- programs: one for each structure and each static argument


def counting():
    """Returns a function, and the list of the arguments that it was traced with."""
    runs = []

    def f(x, n=2, how="sum"):
        runs.append((n if isinstance(n, int) else "a number", how))
        values = [x * k for k in range(n)] if isinstance(n, int) else [x, n]
        return math.total(values) if how == "sum" else math.prod(values)

    return f, runs


def programs(runs):
    """Returns what a function was traced with, once for each program. Tracing runs it twice, to see
    whether it does the same."""
    assert repr(runs[::2]) == repr(runs[1::2])
    return runs[::2]


def test_a_function_is_traced_once_for_each_structure():
    runs = []
    f = jit(lambda xs: runs.append(len(xs)) or math.total(x for x in xs))
    results = [
        f([1.0, 2.0]),
        f([3, 4]),
        f((1.0, 2.0)),
        f([1.0, 2.0, 3.0]),
        f([5.0, 6.0]),
        f.value_and_grad([1.0, 2.0]),
    ]
    assert results == [3.0, 7.0, 3.0, 6.0, 11.0, (3.0, [1.0, 1.0])]
    assert programs(runs) == [2, 2, 3]
    assert [*map(repr, f.programs)] == [
        "<<lambda>((*, *)): 3 nodes>",
        "<<lambda>([*, *, *]): 5 nodes>",
        "<<lambda>([*, *]): 3 nodes>",
    ]
    assert repr(f) == "<jit <lambda>: 3 programs>"


def test_text_booleans_and_none_are_always_static():
    f, runs = counting()
    compiled = jit(f)
    assert [
        compiled(2.0, 3.0),
        compiled(4.0, 5.0),
        compiled(2.0, 3.0, "product"),
        compiled(2.0, 3.0, how="product"),
        compiled(1.0, 1.0, "product"),
    ] == [5.0, 9.0, 6.0, 6.0, 1.0]
    assert [how for _, how in programs(runs)] == ["sum", "product", "product"]
    flags = jit(lambda x, flag: -x if flag else x if flag is None else 2 * x)
    assert [flags(1.0, True), flags(1.0, False), flags(1.0, None), flags(2.0, True)] == [
        -1.0,
        2.0,
        1.0,
        -2.0,
    ]
    assert len(flags.programs) == 3


@pytest.mark.parametrize("static", ["n", ["n"], 1, [1], -2, ("n", "how"), [1, "how"], {"n"}])
def test_static_arguments_select_the_program(static):
    f, runs = counting()
    compiled = jit(f, static=static)
    assert [
        compiled(2.0, 3),
        compiled(5.0, 3),
        compiled(2.0, 4),
        compiled(2.0, n=3),
        compiled(3.0, 3),
    ] == [6, 15, 12, 6, 9]
    assert programs(runs) == [(3, "sum"), (4, "sum"), (3, "sum")]
    assert compiled.value_and_grad(2.0, 3) == (6.0, (3.0, None))
    assert len(programs(runs)) == 3


def test_static_arguments_of_different_types_are_different():
    f = jit(
        lambda x, n: x if isinstance(n, bool) else 2 * x if isinstance(n, int) else 3 * x,
        static="n",
    )
    assert [f(1.0, True), f(1.0, 1), f(1.0, 1.0), f(1.0, "1")] == [1.0, 2.0, 3.0, 3.0]


DIFFERENT = [
    1,
    1.0,
    True,
    (1,),
    (1.0,),
    (True,),
    ((1, 2), 0.0),
    ((1, 2), -0.0),
    ((1, True), 0.0),
    0.0,
    -0.0,
    0j,
    -0j,
    frozenset([1]),
    frozenset([True]),
    Point(1, 2),
    (1, 2),
    "1",
    b"1",
    None,
]


def test_equal_static_arguments_that_can_be_told_apart_have_separate_programs():
    f = jit(lambda x, n: (x, repr(n)), static="n")
    for _ in range(2):
        assert [f(1.0, n)[1] for n in DIFFERENT] == [*map(repr, DIFFERENT)]
    assert len(f.programs) == len(DIFFERENT)
    g = jit(lambda d: [repr(key) for key in d])
    assert [g({key: 1.0}) for key in DIFFERENT] == [[repr(key)] for key in DIFFERENT]


def test_nan_as_a_static_argument_is_traced_once():
    f = jit(lambda x, n: x * n[0], static="n")
    for _ in range(3):
        assert std.isnan(f(1.0, (float("nan"),)))
    assert len(f.programs) == 1


def test_keyword_only_argument_may_be_static():
    f = jit(lambda x, **options: x * options["n"], static=["n"])
    assert [f(2.0, n=3), f(2.0, n=4)] == [6.0, 8.0]
    assert repr(f.programs[-1]) == "<<lambda>(*, n=4): 2 nodes>"


def test_arguments_may_have_the_names_of_options():
    assert jit(lambda self, x: self * x)(self=2.0, x=3.0) == 6.0
    f = jit(lambda x, threads: x * threads)
    assert f(2.0, threads=3.0) == 6.0
    assert f.batch([1.0, 2.0], 3.0, threads=2).tolist() == [3.0, 6.0]
    assert "gradient" in jit(lambda x, gradient: x * gradient).show(1.0, 2.0, gradient=True)


# ---- methods and copies


class Scale:
    """A model with a compiled method."""

    def __init__(self, w):
        self.w = Value(w, "w")

    @jit(static=["n"])
    def loss(self, x, n=2):
        return self.w * x**n

    @jit
    def __call__(self, x):
        return self.w * x


class Shifted(Scale):
    def loss(self, x):
        return super().loss(x) + 1.0


def test_a_method_is_compiled_for_each_instance():
    one, two = Scale(2.0), Scale(3.0)
    assert [one.loss(3.0), two.loss(3.0), one.loss(3.0, n=3), two.loss(Value(3.0)).data] == [
        18.0,
        27.0,
        54.0,
        27.0,
    ]
    assert one.loss.value_and_grad(3.0) == (18.0, 12.0)
    assert (one.w.grad, two.w.grad) == (9.0, 0.0)
    assert two.loss.batch([1.0, 2.0]).tolist() == [3.0, 12.0]
    one.w.data = 5.0
    assert (one.loss(3.0), one(3.0)) == (45.0, 15.0)
    assert [len(scale.loss.programs) for scale in (one, two)] == [2, 1]
    assert one.loss.__name__ == "loss"


def test_compiled_method_may_call_that_of_the_base_class():
    for model in (Shifted(2.0), jit(Shifted(2.0).loss)):
        loss = model.loss if isinstance(model, Shifted) else model
        assert [loss(3.0), loss(3.0)] == [19.0, 19.0]


def test_an_instance_is_not_kept_alive_by_its_compiled_methods():
    scale = Scale(2.0)
    scale.loss(3.0)
    alive = weakref.ref(scale)
    del scale
    gc.collect()
    assert alive() is None


class Packed:
    __slots__ = ("w",)

    @jit
    def twice(self, x):
        return self.w * x * 2

    @staticmethod
    @jit
    def square(x):
        return x * x


def test_instances_without_a_dict_may_have_compiled_methods():
    packed = Packed()
    packed.w = 3.0
    assert (packed.twice(2.0), packed.square(3.0), Packed.square(3.0)) == (12.0, 9.0, 9.0)


def test_compiled_callable_that_is_not_a_function_is_not_bound_as_a_method():
    class Layer:
        activation = jit(TABLE["tanh"])

    assert Layer().activation(0.5) == std.tanh(0.5)


@jit
def decorated(x):
    return x * 2


class Holder:
    def __init__(self):
        self.w = Value(2.0, "w")
        self.compiled = jit(self.loss)

    def loss(self, x):
        return self.w * x


def pickled(x):
    """Returns a copy of ``x`` made by pickle."""
    return pickle.loads(pickle.dumps(x))


@pytest.mark.parametrize("again", [copy.deepcopy, copy.copy, pickled],
                         ids=["deepcopy", "copy", "pickle"])
def test_a_compiled_function_can_be_copied_and_pickled(again):
    f = jit(area, static="y", cache_size=3)
    want = [f(1.0, 2), f(1.0, 3), f.value_and_grad(1.0, 2)]
    copied = again(f)
    assert copied.programs == []
    assert [copied(1.0, 2), copied(1.0, 3), copied.value_and_grad(1.0, 2)] == want
    decorated(3.0)
    assert again(decorated) is decorated
    assert again(Scale.loss) is Scale.loss


@pytest.mark.parametrize("again", [copy.deepcopy, pickled], ids=["deepcopy", "pickle"])
def test_a_model_with_compiled_functions_can_be_copied_and_pickled(again):
    holder, scale = Holder(), Scale(2.0)
    assert (holder.compiled(3.0), scale.loss(3.0), scale(3.0)) == (6.0, 18.0, 6.0)
    others = again(holder), again(scale)
    for other in others:
        other.w.data = 10.0
    assert (others[0].compiled(3.0), others[1].loss(3.0), others[1](3.0)) == (30.0, 90.0, 30.0)
    assert (holder.compiled(3.0), scale.loss(3.0), scale(3.0)) == (6.0, 18.0, 6.0)
    assert others[1].loss.value_and_grad(3.0) == (90.0, 60.0)
    assert (others[1].w.grad, scale.w.grad) == (9.0, 0.0)


def test_copied_instance_has_its_own_compiled_methods():
    scale = Scale(2.0)
    scale.loss(3.0)
    other = copy.copy(scale)
    other.w = Value(5.0)
    assert (other.loss(3.0), scale.loss(3.0)) == (45.0, 18.0)


def test_local_compiled_function_cannot_be_pickled():
    @jit
    def local(x):
        return x

    with pytest.raises((AttributeError, pickle.PicklingError), match="local"):
        pickle.dumps(local)
    assert copy.deepcopy(local)(2.0) == 2.0


# ---- within detect_anomaly


def logs(xs):
    return math.log(xs[0]) * xs[1]


@pytest.mark.parametrize("call", [
    lambda f: f([0.0, 2.0]),
    lambda f: f.value_and_grad([0.0, 2.0]),
    lambda f: f.hessian([0.0, 2.0]),
    lambda f: f([0, 2]),
    lambda f: f.batch([[1.0, 0.0], 2.0]), lambda f: f.batch_value_and_grad([[1.0, 0.0], 2.0])])
def test_detect_anomaly_checks_every_operation_of_a_compiled_function(call):
    f = jit(logs)
    call(f)
    with (
        detect_anomaly(),
        pytest.raises(
            NonFiniteError, match=r"log\(.*0.0\) = -inf is the first inf or nan"
        ) as error,
    ):
        call(f)
    assert error.value.line[0] == __file__
    call(f)


def test_detect_anomaly_checks_gradients_of_a_compiled_function():
    w = Value(0.0, "w")
    f = jit(lambda x: math.sqrt(w * x))
    with detect_anomaly(), pytest.raises(NonFiniteError, match="backward: the gradient"):
        f.value_and_grad(1.0)
    assert w.grad == 0.0
    with detect_anomaly(), pytest.raises(NonFiniteError, match=r"log\(x=0.0\) = -inf"):
        jit(lambda x: math.log(x))(0.0)


@pytest.mark.filterwarnings("ignore::tinygrad_edu.errors.GraphWarning")
def test_detect_anomaly_leaves_compiled_results_unchanged():
    def everything():
        w = Value(0.7, "w")
        f = jit(lambda xs, k: {"y": math.sin(xs[0] * w) * k, "n": 3})
        g = jit(lambda xs, k: math.sin(xs[0] * w) * xs[1] * k)
        found = [
            f([0.3, 2.0], 4),
            g([0.3, 2], 4),
            g.value_and_grad([0.3, 2], 4),
            w.grad,
            g.hessian([0.3, 2.0], 4.0),
            f.batch([[0.1, 0.2, 0.3], 2.0], 4.0),
            g.batch_value_and_grad([[0.1, 0.2], 2.0], 4),
            w.grad,
            jit(lambda x: 3.0).value_and_grad(1.0),
            jit(lambda x: x).value_and_grad(1),
            jit(lambda x: 3.0).hessian(1.0),
            f.batch([[], 2.0], 4.0),
        ]
        with no_grad():
            return [*found, g.value_and_grad([0.3, 2], 4)]

    want = everything()
    with detect_anomaly():
        assert repr(everything()) == repr(want)


def test_least_recently_used_programs_are_discarded():
    f, runs = counting()
    compiled = jit(f, static="n", cache_size=2)
    for n in (1, 2, 1, 3, 1, 2):
        compiled(1.0, n)
    assert [n for n, _ in programs(runs)] == [1, 2, 3, 2]
    assert [*map(repr, compiled.programs)] == ["<f(*, 1): 2 nodes>", "<f(*, 2): 4 nodes>"]


def test_failed_trace_leaves_no_program():
    f = jit(lambda x: x if x > 0 else -x)
    for _ in range(2):
        with pytest.raises(TraceError):
            f(1.0)
    assert f.programs == []


def test_the_same_function_in_many_threads_is_traced_once():
    f, runs = counting()
    compiled, start, results = jit(f), threading.Barrier(8), []

    def work(x):
        start.wait()
        results.append((x, [compiled(x, 3.0) for _ in range(50)], compiled.value_and_grad(x, 3.0)))

    threads = [threading.Thread(target=work, args=(float(x),)) for x in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(programs(runs)) == 1
    for x, called, with_gradient in results:
        assert (called, with_gradient) == ([x + 3.0] * 50, (x + 3.0, (1.0, 1.0)))
    assert len(results) == 8


# ---- called with Values, and inside other functions


def test_call_with_values_runs_eagerly_and_records_a_graph():
    f, x, y = jit(area), Value(1.0, "x"), Value(2.0)
    z = f(x, y)
    assert (type(z), z.op, [arg.op for arg in z.args]) == (Value, "mul", ["sin", ""])
    z.backward()
    assert (x.grad, y.grad) == (f.value_and_grad(1.0, 2.0)[1])
    assert jit(lambda xs: xs[0] * 2)([x]).op == "mul"
    assert tinygrad_edu.grad(tinygrad_edu.grad(jit(lambda t: t**3)))(2.0) == 12.0
    assert f.value_and_grad(x, 2) == f.value_and_grad(1.0, 2.0)
    assert f.batch([x, y], 2.0).tolist() == [f(1.0, 2.0), f(2.0, 2.0)]


@pytest.mark.parametrize("compiled_before", [False, True])
def test_nested_compiled_function_becomes_part_of_the_outer_one(compiled_before):
    w = Value(2.0, "w")
    inner = jit(lambda x: w * x * x)
    if compiled_before:
        inner(1.0)
        inner.value_and_grad(1.0)
        w.grad = 0.0
    outer = jit(lambda x: inner(x) + inner(2 * x))
    assert outer.value_and_grad(3.0) == (90.0, 60.0)
    assert w.grad == 45.0
    w.data = 3.0
    assert outer(3.0) == 135.0
    assert "w" in outer.show(1.0)


@pytest.mark.parametrize("compiled_before", [False, True])
def test_nested_call_with_numbers_does_not_freeze_parameters(
    compiled_before,
):
    w = Value(2.0, "w")
    inner = jit(lambda x: w * x)
    if compiled_before:
        inner(1.0)
    outer = jit(lambda x: x * inner(5.0))
    try:
        assert outer(3.0) == 30.0
    except TraceError:
        return  # an error does not freeze them, either
    w.data = 3.0
    assert outer(3.0) == 45.0


# ---- parameters


def test_parameters_are_read_at_each_call():
    w = Value(2.0, "w")
    f = jit(lambda x: w * x)
    assert (f(3.0), f.value_and_grad(3.0), f.batch([3.0]).tolist(), f.hessian(3.0)) == (
        6.0,
        (6.0, 2.0),
        [6.0],
        [[0.0]],
    )
    w.data = 10
    w.grad = 0.0
    assert (f(3.0), f.value_and_grad(3.0), f.batch([3.0]).tolist()) == (30.0, (30.0, 10.0), [30.0])


def test_gradients_of_parameters_are_added_as_by_backward():
    model = nn.MLP(2, [3, 1], activation="tanh", rng=0)
    loss = jit(lambda x, y: nn.mse(model([x, y]), 0.5))
    parameters = model.parameters()
    for _ in range(2):
        nn.mse(model([0.3, -0.7]), 0.5).backward()
    want = [p.grad for p in parameters]
    model.zero_grad()
    for _ in range(2):
        loss.value_and_grad(0.3, -0.7)
    assert list(map(bits, [p.grad for p in parameters])) == list(map(bits, want))
    loss(0.3, -0.7)
    assert [p.grad for p in parameters] == want


def test_a_parameter_that_is_not_used_keeps_its_gradient():
    used, unused = Value(2.0), Value(3.0)
    unused.grad = 7.0
    f = jit(lambda x: used * x + 0 * unused.label.count("x"))
    assert f.value_and_grad(3.0) == (6.0, 2.0)
    assert (used.grad, unused.grad) == (3.0, 7.0)


def test_no_gradient_is_added_when_an_index_is_wrong():
    w = Value(2.0)
    f = jit(lambda i: take([w, w * w], i))
    with pytest.raises(IndexError):
        f.value_and_grad(2.0)
    assert w.grad == 0.0
    assert f.value_and_grad(1.0) == (4.0, 0.0)
    assert w.grad == 4.0


def test_dropout_is_drawn_at_every_call_from_the_same_generator():
    rng = random.Random(5)
    dropout = nn.Dropout(0.5, rng=rng)
    f = jit(lambda x, y: math.sumprod(dropout([x, y, x, y]), [1.0, 10.0, 100.0, 1000.0]))
    eagerly = []
    for _ in range(20):
        values = [Value(1.0), Value(1.0)]
        y = math.sumprod(dropout([*values, *values]), [1.0, 10.0, 100.0, 1000.0])
        y.backward()
        eagerly.append((y.data, tuple(value.grad for value in values)))
    rng.seed(5)
    assert [f.value_and_grad(1.0, 1.0) for _ in range(20)] == eagerly
    rng.seed(5)
    assert [f(1.0, 1.0) for _ in range(20)] == [value for value, _ in eagerly]
    rng.seed(5)
    assert f.batch([1.0] * 20, 1.0).tolist() == [value for value, _ in eagerly]
    assert len(set(eagerly)) > 8


def test_dropout_that_is_switched_off_is_another_program():
    model = nn.Sequential(nn.Dropout(0.5, rng=0), lambda x: x * 2)
    f = jit(lambda x: model(x))
    model.eval()
    assert [f(1.0) for _ in range(10)] == [2.0] * 10


# ---- second derivatives


def rosenbrock(xs):
    return math.total(100 * (y - x * x) ** 2 + (1 - x) ** 2 for x, y in itertools.pairwise(xs))


HESSIANS = [
    (rosenbrock, [-1.2, 1.0, 0.7, 2.0]),
    (lambda xs: math.sin(xs[0] * xs[1]) / math.exp(xs[1]) + math.tanh(xs[0]) ** 3, [0.3, -0.8]),
    (lambda xs: math.where(xs[0] > xs[1], xs[0] ** 3 * xs[1], math.log(xs[0]) * xs[1]), [2.0, 1.5]),
    (
        lambda xs: take([xs[0] ** 2 * xs[1], xs[1] ** 3, xs[0]], 1.0 * (xs[0] > 0)) * xs[1],
        [2.0, 1.5],
    ),
    (lambda xs: nn.cross_entropy([xs[0] * xs[1], xs[1], xs[2]], 1), [0.5, 1.0, -2.0]),
    (lambda xs: math.logsumexp([x * x for x in xs]), [0.5, 1.0, -2.0]),
    (lambda xs: math.sumprod(xs, [x * x for x in xs]), [0.5, 1.0, -2.0]),
    (lambda xs: xs[0] * 3.0 + 1.0, [0.5, 1.0]),
    (lambda xs: 3.0, [0.5, 1.0]),
]


@pytest.mark.filterwarnings("ignore::tinygrad_edu.errors.GraphWarning")
@pytest.mark.parametrize(("f", "xs"), HESSIANS)
def test_second_derivatives_are_those_of_the_eager_engine(f, xs):
    want = hessian(f)(xs)
    compiled = jit(f)
    for found in (compiled.hessian(xs), hessian(compiled)(xs)):
        for row, wanted in zip(found, want, strict=True):
            assert row == pytest.approx(wanted, rel=1e-12, abs=1e-12)
            assert {*map(type, row)} == {float}


def test_second_derivatives_of_a_compiled_function_are_compiled():
    f = jit(rosenbrock)
    hessian(f)([1.0, 2.0])
    assert len(f.programs) == 1


def test_hessian_covers_all_numbers_in_order():
    f = jit(lambda x, d: x * x * d["a"] + d["b"][0] ** 3)
    assert f.hessian(2.0, {"a": 3.0, "b": [1.0]}) == [
        [6.0, 4.0, 0.0],
        [4.0, 0.0, 0.0],
        [0.0, 0.0, 6.0],
    ]


# ---- take


WRONG = (-1.0, 3.0, 0.5, 1e300, inf, -inf, std.nan, -1e-9, 2.0**32)


def test_wrong_index_raises_in_every_kind_of_call():
    f = jit(lambda i: take([1.0, 2.0, 3.0], i))
    for i in WRONG:
        for call in (
            f,
            f.value_and_grad,
            lambda i: f.batch([0.0, i, 1.0]),
            lambda i: f.batch_value_and_grad([0.0] * 6 + [i]),
            lambda i: f.batch([i] * 3, threads=2),
            lambda i: take([1.0, 2.0, 3.0], i),
        ):
            with pytest.raises(IndexError, match="take: "):
                call(i)
    assert [f(i) for i in range(3)] == [1.0, 2.0, 3.0]


def test_wrong_index_raises_even_in_a_branch_that_is_not_taken():
    """Both branches are computed, as Python evaluates both arguments of where()."""
    f = jit(lambda i: math.where(i < 3, take([1.0, 2.0, 3.0], i), 0.0))
    with pytest.raises(IndexError):
        f(3.0)


# ---- columns


def price(spot, strike, volatility):
    """Returns the Black-Scholes price of a call that expires in a year, without interest."""
    d = math.log(spot / strike) / volatility + volatility / 2

    def normal(x):
        return 0.5 * math.erfc(-x / 2**0.5)

    return spot * normal(d) - strike * normal(d - volatility)


def samples(count, seed=0):
    rng = random.Random(seed)
    return [
        [rng.uniform(50, 150) for _ in range(count)],
        [rng.uniform(50, 150) for _ in range(count)],
        [rng.uniform(0.1, 0.6) for _ in range(count)],
    ]


@pytest.mark.parametrize("threads", [1, 2, 3, 16])
@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 8, 17, 1000])
def test_columns_have_the_bits_of_single_samples(count, threads):
    f, columns = jit(price), samples(count)
    singles = [f.value_and_grad(*xs) for xs in zip(*columns)]
    values, gradients = f.batch_value_and_grad(*columns, threads=threads)
    assert list(map(bits, values)) == [bits(value) for value, _ in singles]
    for i, column in enumerate(gradients):
        assert list(map(bits, column)) == [bits(slopes[i]) for _, slopes in singles]
    assert list(map(bits, f.batch(*columns, threads=threads))) == list(map(bits, values))
    assert isinstance(values, array)


def column_kinds():
    numbers = [1.0, 2.0, 3.0, 4.0, 5.0]
    readonly = np.array(numbers)
    readonly.flags.writeable = False
    return {
        "a list": numbers,
        "a tuple": tuple(numbers),
        "a list of ints": [1, 2, 3, 4, 5],
        "a range": range(1, 6),
        "an array": array("d", numbers),
        "an array of 4 bytes": array("f", numbers),
        "an array of ints": array("i", range(1, 6)),
        "numpy": np.array(numbers),
        "numpy of 4 bytes": np.array(numbers, dtype=np.float32),
        "numpy of ints": np.arange(1, 6),
        "numpy with steps": np.array([1.0, 0, 2, 0, 3, 0, 4, 0, 5])[::2],
        "numpy backwards": np.array(numbers[::-1])[::-1],
        "numpy that is read-only": readonly,
        "numpy of the other byte order": np.array(numbers, dtype=">f8"),
        "a bytearray": bytearray([1, 2, 3, 4, 5]),
        "an array of bytes": array("b", [1, 2, 3, 4, 5]),
        "ctypes": (ctypes.c_double * 5)(*numbers),
        "a row of a buffer of two dimensions": np.array([numbers, numbers])[1],
        "a buffer": memoryview(array("d", numbers)),
        "a part of a buffer": memoryview(array("d", [0.0, *numbers]))[1:],
        "Values": [Value(x) for x in numbers],
        "numpy scalars": [*np.array(numbers)],
    }


@pytest.mark.parametrize("kind", column_kinds())
def test_a_column_is_any_sequence_of_numbers(kind):
    column = column_kinds()[kind]
    f = jit(lambda x, y: x * y + x)
    assert f.batch(column, 2.0).tolist() == [3.0, 6.0, 9.0, 12.0, 15.0]
    values, (dx, dy) = f.batch_value_and_grad(column, 2.0)
    assert (values.tolist(), dx.tolist(), dy) == ([3.0, 6.0, 9.0, 12.0, 15.0], [3.0] * 5, 15.0)


def test_bytes_are_numbers_and_never_read_as_doubles():
    for count in (1, 7, 8, 9, 64):
        column = bytearray(range(count))
        assert jit(lambda x: x + 0.5).batch(column).tolist() == [k + 0.5 for k in range(count)]
        assert jit(lambda x, y: x + y).batch(array("d", range(count)), column).tolist() == [
            2.0 * k for k in range(count)
        ]


def test_booleans_are_ones_and_zeros_in_lists_and_arrays():
    f = jit(lambda x, y: x + y)
    for column in ([True, False], np.array([True, False]), [1.0, False], [True, 0]):
        assert f.batch(column, 2.0).tolist() == [3.0, 2.0]


def test_number_shared_by_all_samples_may_be_a_zero_dimensional_array():
    f = jit(lambda x, k: x * k)
    for k in (np.array(2.0), np.float32(2), 2, Value(2.0)):
        assert f.batch([1.0, 3.0], k).tolist() == [2.0, 6.0]
        assert f.batch_value_and_grad([1.0, 3.0], k)[1][1] == 4.0


def test_rows_of_a_buffer_are_columns():
    rows = memoryview(array("d", [1.0, 2.0, 3.0, 4.0])).cast("B").cast("d", [2, 2])
    assert jit(lambda xs: xs[0] * xs[1]).batch(rows).tolist() == [3.0, 8.0]


def test_a_column_keeps_its_length_while_it_is_in_use():
    """Another thread (here, a row that is called back) may try to resize the memory."""
    column, refused = array("d", [1.0] * 64), []

    def shrink(x):
        try:
            column.pop()
        except BufferError as error:
            refused.append(str(error))
        return x

    row = define("shrinking", shrink, lambda x, o: 1.0)
    try:
        assert jit(lambda x: row(x)).batch(column).tolist() == [1.0] * 64
    finally:
        del TABLE["shrinking"]
    assert len(refused) >= 64
    column.pop()


class Nibbled:
    """A number that makes a column shorter when it is read, as another thread could do."""

    def __init__(self, column):
        self.column = column

    def __float__(self):
        del self.column[1:]
        return 2.0


def test_column_that_shrinks_before_the_run_has_its_new_length():
    column = array("d", [1.0] * 1_000_000)
    with pytest.raises(BufferError):  # the column is held before the number is read
        jit(lambda x, k: x * k).batch(column, Nibbled(column))
    assert jit(lambda k, x: x * k).batch(Nibbled(column), column).tolist() == [2.0]


def test_programs_without_draws_take_no_time_per_sample_for_them():
    assert one_program.drawn([], sys.maxsize) == []


def test_a_column_that_is_a_buffer_is_only_read():
    column = array("d", [1.0, 2.0, 3.0, 4.0, 5.0])
    before = column.tobytes()
    jit(lambda x: x * 2).batch_value_and_grad(column)
    assert column.tobytes() == before
    column.append(6.0)  # nothing holds its memory
    assert len(column) == 6


def test_columns_in_lists_tuples_and_dicts():
    f = jit(lambda d: {"sum": d["a"][0] + d["b"], "all": [d["a"][1], 7.0, "text"]})
    found = f.batch({"a": ([1.0, 2.0], [3.0, 4.0]), "b": 10.0})
    assert found == {
        "sum": array("d", [11.0, 12.0]),
        "all": [array("d", [3.0, 4.0]), array("d", [7.0, 7.0]), "text"],
    }
    g = jit(lambda xs, how: xs[0] * xs[1])
    assert g.batch_value_and_grad([array("d", [1.0, 2.0]), (3.0, 4.0)], "mean") == (
        array("d", [3.0, 8.0]), ([array("d", [3.0, 4.0]), array("d", [1.0, 2.0])], None))
    values, (dxs, how) = g.batch_value_and_grad(np.array([[1.0, 2.0], [3.0, 4.0]]), "mean")
    assert (repr(values), how) == (repr(np.array([3.0, 8.0])), None)
    assert repr(dxs) == repr(np.array([[3.0, 4.0], [1.0, 2.0]]))
    assert jit(area).batch_value_and_grad(x=[0.0, 0.0], y=[1.0, 2.0])[1] == (
        (), {"x": array("d", [1.0, 2.0]), "y": array("d", [0.0, 0.0])})
    assert jit(lambda x, n: x**n, static="n").batch_value_and_grad([1.0, 2.0], 3)[1] == (
        array("d", [3.0, 12.0]),
        None,
    )


def test_columns_and_single_samples_are_one_program():
    f, runs = counting()
    compiled = jit(f)
    compiled.batch([1.0, 2.0], 3.0)
    compiled(1.0, 2.0)
    compiled.batch_value_and_grad([1.0], [3.0])
    assert len(programs(runs)) == 1


@pytest.mark.parametrize("kind", ["compiled", "tape machine", "replayed"])
def test_sums_over_samples_have_the_same_bits_for_any_number_of_threads(kind, monkeypatch):
    if kind != "compiled":
        monkeypatch.setattr(backend, "is_compiled", lambda tape: False)
    if kind == "replayed":
        monkeypatch.setattr(objects, "available", lambda: False)
        monkeypatch.setattr(backend, "_has_warned", True)
    net = nn.MLP(2, [4, 1], rng=3)
    f = jit(lambda x, y, k: (net([x, y]) * k - math.sin(y)) ** 2)
    rng = random.Random(5)
    for count in (1, 3, 63, 64, 65, 130, 300):
        columns = [[rng.gauss(0, 1) for _ in range(count)] for _ in range(2)]
        singles = []
        for x, y in zip(*columns):
            net.zero_grad()
            _, (_, _, slope) = f.value_and_grad(x, y, 0.3)
            singles.append([slope, *[p.grad for p in net.parameters()]])
        wanted = [*map(summed, zip(*singles))]
        for threads in (1, 2, 3, 7):
            net.zero_grad()
            _, (_, _, slope) = f.batch_value_and_grad(*columns, 0.3, threads=threads)
            assert [slope, *[p.grad for p in net.parameters()]] == wanted
    assert {program.gradient.kind for program in f.programs} == {kind}


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_derivatives_of_shared_arguments_are_sums_over_samples(threads):
    w, k = Value(0.3, "w"), 0.7
    f = jit(lambda x, k: math.sin(w * x) * k + math.tanh(k * x))
    xs = [random.Random(1).gauss(0, 1) * i for i in range(101)]
    want_k, want_w = [], []
    for x in xs:
        w.grad = 0.0
        want_k.append(f.value_and_grad(x, k)[1][1])
        want_w.append(w.grad)
    w.grad = 5.0
    _, (dx, dk) = f.batch_value_and_grad(xs, k, threads=threads)
    assert len(dx) == 101
    assert dk == summed(want_k)
    assert w.grad == 5.0 + summed(want_w)


@pytest.mark.parametrize("f", [
    lambda x, k: math.where(k > 0, x, 2 * x),
    lambda x, k: math.where((k > 0) & (k < 5), x, k),
    lambda x, k: (k > 0) * x,
    lambda x, k: take([x, 2 * x], math.where(k > 5, 1.0, 0.0)),
    lambda x, k: take([x, 2 * x], k > 0),
    lambda x, k: math.where(x > 2, math.where(k > 3, k * x, k), math.where(x > k, x, k * k)),
    lambda x, k: k > 0,
])
def test_samples_may_share_conditions(f):
    compiled, xs = jit(f), [1.0, 2.0, 2.5, 3.0, 4.0, 5.0]
    for k in (-1.0, 0.0, 2.5, 7.0):
        singles = [compiled.value_and_grad(x, k) for x in xs]
        values, (dx, dk) = compiled.batch_value_and_grad(xs, k)
        assert values.tolist() == compiled.batch(xs, k).tolist() == [value for value, _ in singles]
        assert dx.tolist() == [slopes[0] for _, slopes in singles]
        assert dk == pytest.approx(std.fsum(slopes[1] for _, slopes in singles), rel=1e-12)


def test_batches_of_a_constant_and_of_an_argument():
    assert jit(lambda x: 3.0).batch_value_and_grad([1.0, 2.0]) == (
        array("d", [3.0, 3.0]),
        array("d", [0.0, 0.0]),
    )
    assert jit(lambda x: x).batch_value_and_grad([1.0, 2.0]) == (
        array("d", [1.0, 2.0]),
        array("d", [1.0, 1.0]),
    )
    assert jit(lambda x, y: y).batch_value_and_grad([1.0, 2.0], 3.0) == (
        array("d", [3.0, 3.0]),
        (array("d", [0.0, 0.0]), 2.0),
    )
    assert jit(lambda x: x).batch([]) == array("d")


@pytest.mark.parametrize(("call", "kind", "message"), [
    (lambda f: f.batch([1.0], [1.0, 2.0]), ValueError,
     "the columns differ in length: 1, 2; give every sample one number in each column"),
    (lambda f: f.batch(1.0, 2.0), ValueError,
     "there is no column among the arguments, only 1.0, 2.0; pass a list or an array for at least "
     "one, or call the function itself for one sample"),
    (lambda f: f.batch("ab", None), ValueError, "no column among the arguments, only 'ab', None;"),
    (lambda f: f.batch([1.0], 1.0, threads=0), ValueError,
     "batch: threads must be a whole number from 1 to 1,000, not 0"),
    (lambda f: f.batch([1.0], 1.0, threads=1.5), TypeError,
     "batch: threads must be a whole number, not float"),
    (lambda f: f.batch_value_and_grad([1.0], 1.0, threads=True), TypeError,
     "batch: threads must be a whole number, not bool"),
    (lambda f: f.batch([1.0, "a"], 1.0), TypeError, "column x[1] must be a real number, not str "
                                                    "('a')"),
    (lambda f: f.batch({"w": [1.0, None]}, 1.0), TypeError, "column x['w'][1] must be a real "
                                                            "number, not NoneType (None)"),
    (lambda f: f.batch([1.0, 1j], 1.0), TypeError, "column x[1] must be a real number, not complex "
                                                   "(1j)"),
    (lambda f: f.batch([1.0, [2.0]], 1.0), TypeError, "column x[1] must be a real number, not list "
                                                      "([2.0])"),
    (lambda f: f.batch(np.array([1.0, 1j]), 1.0), TypeError, "column x[0] must be a real number, "
                                                             "not complex ((1+0j))"),
    (lambda f: f.batch([1.0, 10**400], 1.0), OverflowError, "column x[1]: an int of 1329 bits is "
                                                            "too large for a float"),
    (lambda f: f.batch([1.0], 10**400), OverflowError, "argument y: an int of 1329 bits is too "
                                                       "large for a float"),
    (lambda f: f.batch({1.0}, 1.0), TypeError,
     "batch: argument x must be a column of numbers, a number that is the same for all samples, or "
     "a list, tuple or dict of them, not set ({1.0}); pass a list or an array"),
    (lambda f: f.batch([1.0], 1j), TypeError, "batch: argument y must be a column of numbers, "),
    (lambda f: f.batch(object, 1.0), TypeError, "batch: argument x must be a column of numbers, "),
    (lambda f: jit(lambda x, threads: x * threads).batch([1.0], threads=3.0), TypeError,
     "threads is both an option and an argument of <lambda>; pass the argument by position, or "
     "rename it"),
    (lambda f: jit(lambda x: [x, x]).batch_value_and_grad([1.0]), TypeError,
     "must return one number for its gradient, not [*, *]"),
])
def test_invalid_batches_raise_with_a_reason(call, kind, message):
    with pytest.raises(kind) as error:
        call(jit(area))
    assert message in str(error.value)


# ---- long programs


def long_program(x, y):
    for _ in range(backend.MAX_STRAIGHT_LINE_OPS // 4 + 1):
        x = x + 1e-3 * math.sin(x * y)
    return x


def test_programs_that_are_too_long_to_compile_run_on_the_tape_machine():
    f = jit(long_program)
    values = [Value(0.3), Value(1.7)]
    y = long_program(*values)
    y.backward()
    assert f(0.3, 1.7) == y.data
    assert f.value_and_grad(0.3, 1.7) == (y.data, tuple(value.grad for value in values))
    assert f.batch([0.3, 0.4, 0.3], 1.7).tolist() == [y.data, long_program(0.4, 1.7), y.data]
    assert repr(f.programs[0].value).startswith("<tape machine: <Tape of ")


def test_threads_share_the_samples_of_the_tape_machine_too():
    meeting = threading.Barrier(2, timeout=60)
    # two samples at a time, or none
    row = define("meeting", lambda x: (meeting.wait() and x) or x, lambda x, o: 1.0)
    try:
        f = jit(lambda x, y: long_program(row(x), y))
        values, (dx, dy) = f.batch_value_and_grad([0.3, 0.4, 0.5, 0.6], 1.7, threads=2)
        assert f.programs[0].batched((True, False), True).kernel.kind == "tape machine"
    finally:
        del TABLE["meeting"]
    singles = [jit(long_program).value_and_grad(x, 1.7) for x in (0.3, 0.4, 0.5, 0.6)]
    assert values.tolist() == [value for value, _ in singles]
    assert dx.tolist() == [slopes[0] for _, slopes in singles]
    assert dy == summed([slopes[1] for _, slopes in singles])


# ---- text


def test_show_prints_a_program():
    f = jit(area)
    assert f.show(1.0, 2.0) == "inputs  x, y\nt1 = sin(x)\nt2 = t1 * y\nreturn t2"
    assert f.show() == f.tape().text() == f.show(5, 6)
    assert f.show(gradient=True) == """\
inputs  x, y
t1 = sin(x)
t2 = t1 * y
t3 = cos(x)
dx = 0 + t3 * y
dy = 0 + t1
return t2, dx, dy"""
    assert len(f.programs) == 1
    jit(lambda xs: xs[0])([1.0])
    assert (
        jit(lambda xs, k: xs[0] * xs[1]["a"])
        .show([1.0, {"a": 2.0}], 3.0)
        .startswith("inputs  xs[0], xs[1]['a'], k\n")
    )
    assert jit(lambda *xs, y: xs[1] * y).show(1.0, 2.0, y=3.0).startswith("inputs  x0, x1, y\n")


def test_module_examples_run_as_printed():
    for module in (tinygrad_edu.jit, function, one_program, structure, batch, backend):
        assert doctest.testmod(sys.modules[module.__name__]).failed == 0


def test_jit_accepts_any_callable():
    model = nn.MLP(2, [2, 1], rng=0)
    assert jit(model)([1.0, 2.0]) == model([1.0, 2.0]).data
    assert jit(model.layers[0].__call__)([1.0, 2.0]) == [
        y.data for y in model.layers[0]([1.0, 2.0])
    ]
    assert jit(math.tanh)(0.5) == std.tanh(0.5)
    assert jit(TABLE["tanh"])(0.5) == std.tanh(0.5)
    assert jit(types.MethodType(lambda self, x: x * self, 3.0))(2.0) == 6.0
    assert jit(sum)([1.0, 2.0]) == 3.0


def test_user_defined_rows_are_called_back_from_the_public_functions():
    calls = []
    row = define("noted", lambda x: calls.append(x) or x * x, lambda x, o: 2 * x)
    try:
        f = jit(lambda x: row(x) + 1)
        calls.clear()
        assert (f(3.0), f.value_and_grad(3.0), f.batch([3.0, 4.0]).tolist()) == (
            10.0,
            (10.0, 6.0),
            [10.0, 17.0],
        )
        assert {3.0, 4.0} == set(calls)
    finally:
        del TABLE["noted"]


def test_function_may_be_compiled_inside_no_grad():
    f = jit(area)
    with no_grad():
        assert f(1.0, 2.0) == area(1.0, 2.0)
        assert f.value_and_grad(0.0, 2.0) == (0.0, (2.0, 0.0))


# ---- other threads run while compiled code does

LOOPS = 2_000


def works_while(call):
    """Returns whether another thread can run while this one calls ``call`` many times without
    waiting.

    The interpreter does not switch threads by itself here, so another one runs only if ``call``
    releases the interpreter's lock.
    """
    done, go = [], threading.Event()

    def work():
        go.wait()
        done.append(1)

    thread = threading.Thread(target=work)
    interval = sys.getswitchinterval()
    thread.start()
    sys.setswitchinterval(1000.0)
    try:
        go.set()
        for _ in range(LOOPS):
            call()
            if done:
                return True
        return False
    finally:
        sys.setswitchinterval(interval)
        thread.join()


def heavy(x):
    return math.total(math.sin(x * k) * math.exp(-x) for k in range(1, 60))


COLUMN = array("d", [k / 1000 for k in range(4000)])


def test_other_threads_run_while_compiled_code_does():
    f = jit(heavy)
    f.batch(COLUMN)
    assert works_while(lambda: f.batch(COLUMN))


def test_other_threads_run_while_the_tape_machine_does():
    run = machine.Machine(value_tape(lambda x: math.total(heavy(x + k) for k in range(20)), "x"))
    run([0.5])
    assert works_while(lambda: run([0.5]))


def test_code_that_blocks_all_threads_is_detected():
    """The same machine code is called by an interface of ctypes that keeps the interpreter's
    lock."""
    made = straight_line.Scalar(
        value_tape(lambda x: math.total(heavy(x + k) for k in range(5)), "x")
    )
    run = ctypes.PYFUNCTYPE(None, *[ctypes.c_void_p] * 3)(made._compiled.addresses["run"])
    memory, error = array("d", [0.5, 0.0]), ctypes.c_int(0)
    start = memory.buffer_info()[0]
    assert not works_while(lambda: run(start, start + 8, ctypes.addressof(error)))
    assert memory[1] == made([0.5])[0]


# ---- without the compiler


def everything():
    """Returns the results of this file's functions as text, which must not depend on llvmlite."""
    model = nn.MLP(2, [3, 1], rng=0)
    loss = jit(lambda x, y: nn.binary_cross_entropy(model([x, y]), 1.0))
    results = [
        loss(0.3, -0.7),
        loss.value_and_grad(0.3, -0.7),
        [p.grad for p in model.parameters()],
        loss.hessian(0.3, -0.7),
        jit(price).batch(*samples(9)),
        jit(price).batch_value_and_grad(*samples(9), threads=3),
        loss.show(),
        jit(lambda i, x: take([x, 2 * x], i))(1, 2.0),
        loss.batch([], 1.0),
    ]
    identity = jit(lambda x: x)
    results += [identity(x) for x in (3, 10**17 + 1, np.float32(1.1), np.int8(100))]
    results += [
        identity.value_and_grad(Value(3.0)),
        jit(lambda x: x * x * x)(10**17 + 1),
        jit(lambda x: x / 3)(10**200),
    ]
    for huge in (jit(lambda x: x), jit(lambda x: abs(x) - x)):
        try:
            huge(10**400)
        except OverflowError as error:
            results.append(str(error))
    try:
        jit(lambda i: take([1.0, 2.0], i))(2.0)
    except IndexError:
        results.append("IndexError")
    for program in map(RandomProgram, range(10)):
        results.append([jit(program)(*xs) for xs in program.inputs(3)])
    return repr(results).replace("-nan", "nan")


WITHOUT = """
import sys, warnings
sys.modules["llvmlite"] = None
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    from test_jit import everything
    print(everything())
for warning in caught:
    print(warning.category.__name__, warning.filename, warning.message)
assert not [name for name in sys.modules if name.startswith("llvmlite.")]
"""


def test_without_llvmlite_programs_are_replayed_with_the_same_bits_and_one_warning():
    done = run_python(WITHOUT)
    assert done.returncode == 0, done.stderr
    results, *warned = done.stdout.splitlines()
    assert results == everything()
    assert warned == [
        f"RuntimeWarning {__file__} jit replays in Python, since llvmlite is not installed; pip "
        "install "
        '"tinygrad_edu[fast]" makes it some hundred times faster, with the same bits'
    ]


BROKEN = """
import sys, types, warnings
class Broken:
    def find_spec(self, name, path=None, target=None):
        if name == "llvmlite":
            raise OSError("libLLVM.so: cannot open shared object file")
sys.meta_path.insert(0, Broken())
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    from tinygrad_edu import jit
    print(jit(lambda x: x * 2)(3.0))
print(caught[0].message)
"""


def test_llvmlite_that_cannot_be_loaded_is_treated_as_missing():
    done = run_python(BROKEN)
    assert (done.returncode, done.stdout) == (
        0,
        "6.0\njit replays in Python, since llvmlite cannot be loaded (OSError: "
        'libLLVM.so: cannot open shared object file); pip install "tinygrad_edu[fast]" '
        "makes it some hundred times faster, with the same bits\n",
    ), done.stderr


@pytest.mark.parametrize("before", [0, 1])
def test_compiled_functions_work_at_interpreter_exit(before):
    done = run_python("""
import atexit, sys
from tinygrad_edu import jit, math
def last():
    print(jit(lambda x: x * 2)(3.0), jit(lambda x: x * 3).batch([1.0] * 100, threads=2)[-1])
atexit.register(last)
if int(sys.argv[1]):
    jit(lambda x: x + 5)(1.0)
""", before)
    assert (done.returncode, done.stdout, done.stderr) == (0, "6.0 3.0\n", "")


def test_error_state_of_the_c_library_does_not_affect_python():
    exp, hypot = jit(math.exp), jit(math.hypot)
    for x, y in itertools.product((2.5, std.nan, inf, -inf, 0.0, 1.7e308), repeat=2):
        want = (
            inf
            if inf in (abs(x), abs(y))
            else std.nan
            if x != x or y != y
            else abs(complex(x, y))
            if x + y < inf
            else inf
        )
        eagerly = exp(1000.0), TABLE["hypot"].forward(x, y)
        assert [*map(bits, eagerly)] == [bits(inf), bits(want)], (x, y)
        assert bits(hypot(x, y)) == bits(want), (x, y)


def test_jit_alone_loads_neither_numpy_nor_the_compiler():
    done = run_python("""
import sys
from tinygrad_edu import jit, math
f = jit(lambda x: math.sin(x) * x)
print(sorted({"numpy", "llvmlite", "tinygrad_edu.jit.languages.llvm"} & set(sys.modules)))
f(1.0), f.batch([1.0, 2.0])
print(sorted({"numpy"} & set(sys.modules)))
""")
    assert (done.returncode, done.stdout) == (0, "[]\n[]\n"), done.stderr
