"""`jit.state`: changes that a function makes to anything it can reach are found, named and
undone."""

import collections
import enum
import functools
import itertools
import json
import random
import sys
import threading
import time
import types
from array import array
from dataclasses import dataclass, field

import numpy as np
import pytest
from helpers import scaled

from tinygrad_edu import Value, jit, nn, optim
from tinygrad_edu.errors import TraceError
from tinygrad_edu.jit.state import State


class Thing:
    shared = 0
    table: list = []  # noqa: RUF012  # of the class, for all

    def __init__(self, **attributes):
        self.__dict__.update(attributes)

    def __repr__(self):
        return f"Thing{sorted(vars(self).items())}"

    def __call__(self):
        return 0.0


class Slots:
    __slots__ = ("__secret", "x")

    def __init__(self):
        self.x = 1

    def hide(self, value):
        self.__secret = value


@dataclass(frozen=True)
class Frozen:
    parts: list = field(default_factory=list)


class Colour(enum.Enum):
    RED = 1


GLOBAL = 0
KEPT = [1, 2]
config = types.ModuleType("config")
config.__file__ = __file__
config.rate = 1.0
sys.modules["config"] = config


def assign_a_global():
    global GLOBAL
    GLOBAL += 1


def use_a_global_through_another_function():
    return (lambda: [assign_a_global() for _ in range(1)])()


def append_to_a_global():
    KEPT.append(3)


def make_a_global():
    global MADE
    MADE = 1


def configure():
    config.rate = config.rate + 1


def count_itself():
    count_itself.calls = getattr(count_itself, "calls", 0) + 1


def default(kept=[]):  # noqa: B006
    kept.append(1)


def closure():
    n = 0

    def f():
        nonlocal n
        n += 1
    return f


def late():
    def f():
        nonlocal n
        n = 1

    if f is None:
        n = 0  # a variable of f without a value yet
    return f


def on(thing, change, via="attribute"):
    """Returns a function that changes a thing, which it reaches in one of several ways."""
    if via == "closure":
        return lambda: change(thing)
    if via == "partial":
        return functools.partial(change, thing)
    if via == "default":
        return lambda x=thing: change(x)
    holder = Thing(thing=thing)
    holder.run = None
    return types.MethodType(lambda self: change(self.thing), holder)


def deep(n=300):
    inner = outer = [0]
    for _ in range(n):
        outer = [outer]
    return outer, inner


OUTER, INNER = deep(5_000)

# What holds the state, the change, and its name if a method of an object makes it.
CHANGES = {
    "list, entry": (lambda: [1, 2], lambda x: x.__setitem__(0, 5), "Thing.thing"),
    "list, append": (lambda: [1, 2], lambda x: x.append(5), "Thing.thing"),
    "list, order": (lambda: [1, 2], lambda x: x.reverse(), "Thing.thing"),
    "nested list": (lambda: [[1], [2]], lambda x: x[1].clear(), "Thing.thing[1]"),
    "list in a tuple": (lambda: (1, [2]), lambda x: x[1].append(3), "Thing.thing[1]"),
    "dict, entry": (lambda: {"a": 1}, lambda x: x.update(a=2), "Thing.thing['a']"),
    "dict, new": (lambda: {"a": 1}, lambda x: x.update(b=2), "Thing.thing['b']"),
    "dict, gone": (lambda: {"a": 1, "b": 2}, lambda x: x.pop("a"), "Thing.thing['a']"),
    "defaultdict": (lambda: collections.defaultdict(int), lambda x: x["k"], "Thing.thing['k']"),
    "Counter": (lambda: collections.Counter("ab"), lambda x: x.update("a"), "Thing.thing['a']"),
    "set": (lambda: {1}, lambda x: x.add(2), "Thing.thing"),
    "deque": (lambda: collections.deque([1, 2], maxlen=2), lambda x: x.append(3), "Thing.thing"),
    "bytearray": (lambda: bytearray(b"ab"), lambda x: x.append(3), "Thing.thing"),
    "array": (lambda: array("d", [1.0]), lambda x: x.append(2.0), "Thing.thing"),
    "numpy": (lambda: np.zeros((2, 2)), lambda x: x.__setitem__((0, 1), 3.0), "Thing.thing"),
    "numpy of objects": (
        lambda: np.array([1, "a"], dtype=object),
        lambda x: x.__setitem__(0, 3),
        "Thing.thing",
    ),
    "numpy, transposed": (
        lambda: np.arange(6.0).reshape(2, 3).T,
        lambda x: x.__iadd__(1.0),
        "Thing.thing",
    ),
    "attribute": (lambda: Thing(n=0), lambda x: setattr(x, "n", 1), "Thing.thing.n"),
    "new attribute": (Thing, lambda x: setattr(x, "n", 1), "Thing.thing.n"),
    "attribute gone": (lambda: Thing(n=0), lambda x: delattr(x, "n"), "Thing.thing.n"),
    "in a list of things": (
        lambda: [Thing(n=0)],
        lambda x: setattr(x[0], "n", 1),
        "Thing.thing[0].n",
    ),
    "slot": (Slots, lambda x: setattr(x, "x", 2), "Thing.thing.x"),
    "new slot": (Slots, lambda x: x.hide(2), "Thing.thing._Slots__secret"),
    "frozen": (Frozen, lambda x: x.parts.append(1), "Thing.thing.parts"),
    "class": (Thing, lambda x: setattr(Thing, "shared", 1), "Thing.shared"),
    "list of a class": (Thing, lambda x: x.table.append(1), "Thing.table"),
    "new in a class": (Thing, lambda x: setattr(Thing, "more", 1), "Thing.more"),
    "module": (
        lambda: nn.Sequential(nn.Dropout(0.5)),
        lambda x: setattr(x.layers[0], "p", 0.1),
        "Thing.thing.layers[0].p",
    ),
    "optimizer": (
        lambda: optim.SGD([Value(1.0)], 0.1),
        lambda x: setattr(x, "steps", 3),
        "Thing.thing.steps",
    ),
    "jit": (
        lambda: jit(Thing(n=0).__call__),
        lambda x: x.function.__self__.__dict__.update(n=1),
        "Thing.thing.n",
    ),
    "namespace": (
        lambda: types.SimpleNamespace(n=0),
        lambda x: setattr(x, "n", 1),
        "Thing.thing.n",
    ),
    "masked": (
        lambda: np.ma.masked_array([2.0, 3.0], [0, 1]),
        lambda x: x.__setitem__(0, 5.0),
        "Thing.thing",
    ),
    "cached function": (
        lambda: functools.cache(Thing(n=0).__call__),
        lambda x: x.__wrapped__.__self__.__dict__.update(n=1),
        "Thing.thing.n",
    ),
    "OrderedDict": (
        lambda: collections.OrderedDict(a=1, b=2),
        lambda x: x.pop("a"),
        "Thing.thing['a']",
    ),
    "0.0 for -0.0": (lambda: [-0.0], lambda x: x.__setitem__(0, 0.0), "Thing.thing"),
    "1.0 for 1": (lambda: [1], lambda x: x.__setitem__(0, 1.0), "Thing.thing"),
    "True for 1": (lambda: [1], lambda x: x.__setitem__(0, True), "Thing.thing"),
    "a leaf for another": (
        lambda: [Value(1.0)],
        lambda x: x.__setitem__(0, Value(1.0)),
        "Thing.thing",
    ),
}


def content(x):
    """Returns everything that can change in a thing, as text."""
    parts = [content(part) for part in x] if isinstance(x, (list, tuple)) else []
    inside = [
        getattr(getattr(x, name, None), "__self__", "") for name in ("function", "__wrapped__")
    ]
    layers = [str(vars(layer)) for layer in getattr(x, "layers", [])]
    return [
        repr(x),
        id(x),
        *parts,
        str(getattr(x, "__dict__", "")),
        str(vars(Thing)),
        getattr(x, "x", ""),
        hasattr(x, "_Slots__secret"),
        *map(repr, inside),
        *layers,
    ]


@pytest.mark.parametrize("via", ["attribute", "closure", "partial", "default"])
@pytest.mark.parametrize(("make", "change", "name"), CHANGES.values(), ids=CHANGES)
def test_changes_made_by_a_function_are_named_and_undone(make, change, name, via):
    thing = make()
    f = on(thing, change, via)
    before = content(thing)
    state = State(f)
    assert state.changes() == []
    f()
    changed = state.changes()
    assert content(thing) != before
    state.restore()
    assert content(thing) == before
    assert state.changes() == []
    assert len(changed) == 1
    if via == "attribute":
        assert changed == [name]


ALONE = {
    "a global": (assign_a_global, "GLOBAL", lambda: GLOBAL),
    "a global of a function that is called": (
        use_a_global_through_another_function,
        "GLOBAL",
        lambda: GLOBAL,
    ),
    "a list in a global": (append_to_a_global, "KEPT", lambda: KEPT[:]),
    "a new global": (make_a_global, "MADE", lambda: "MADE" in globals()),
    "a variable of a module": (configure, "config.rate", lambda: config.rate),
    "an attribute of the function": (
        count_itself,
        "count_itself.calls",
        lambda: vars(count_itself).copy(),
    ),
    "a default": (default, "a default of default", lambda: default.__defaults__[0][:]),
    "a variable of a closure": (
        CLOSURE := closure(),
        "n",
        lambda: CLOSURE.__closure__[0].cell_contents,
    ),
    "a variable without a value": (LATE := late(), "n", lambda: repr(LATE.__closure__[0])),
}


@pytest.mark.parametrize(("f", "name", "read"), ALONE.values(), ids=ALONE)
def test_changed_variables_are_named_and_restored_on_request(f, name, read):
    before = read()
    state = State(f)
    f()
    assert state.changes() == [name]
    assert read() != before
    in_object = name.startswith("count_itself")
    state.restore(variables=False)
    assert (read() == before) == in_object
    state.restore()
    assert read() == before


def test_random_generators_are_restored_and_named():
    rng, other = random.Random(1), random.Random(2)
    thing, draw = Thing(rng=rng, other=other), other.random
    state = State(lambda: (thing.rng.random(), draw()))
    before = rng.getstate(), other.getstate()
    rng.gauss(0, 1)
    assert state.draws() == ["thing.rng"]
    other.random()
    assert sorted(state.draws()) == ["thing.other", "thing.rng"]
    assert state.changes() == []
    state.restore(variables=False)
    assert (rng.getstate(), other.getstate()) == before
    State(lambda: random.SystemRandom().random()).restore()


def test_order_of_attributes_is_restored():
    model = nn.MLP(1, [2, 1], rng=0)
    model.w = Value(1.0, "w")
    model.v = Value(2.0, "v")
    before = model.parameters()
    state = State(model)
    del model.w
    model.w = Value(5.0)
    state.restore()
    assert model.parameters() == before


STRANGE = [
    lambda: time.sleep(0),
    lambda: np.linalg.norm([1.0]),
    threading.Lock(),
    itertools.count(),
    open,
    Colour.RED,
    print,
    Thing.__init__,
    [],
    None,
    Value(1.0),
    lambda: OUTER,
    nn.cross_entropy,
    nn.MLP(2, [1]),
    (x for x in [1]),
    abs,
]


@pytest.mark.parametrize("f", STRANGE, ids=[type(f).__name__ for f in STRANGE])
def test_search_handles_any_object(f):
    state = State(f)
    assert state.changes() == state.draws() == []
    state.restore()


def test_objects_of_libraries_are_compared_but_not_entered():
    library = json.decoder.JSONDecoder()
    library.inner = json.decoder.JSONDecoder()
    state = State(lambda: (library, json.dumps))
    library.strict = library.inner.strict = "changed"
    assert state.changes() == ["library.strict"]
    state.restore()
    assert (library.strict, library.inner.strict) == (True, "changed")


class ReadOnly(list):
    def __setitem__(self, key, value):
        raise TypeError("read only")


class Answering:
    """Answers to any name."""

    def __getattr__(self, name):
        return None


class Failing:
    def __getattr__(self, name):
        return {}[name]


def test_restoring_writes_only_what_has_changed():
    masked = np.ma.masked_array([2.0, 3.0], [0, 1])
    thing = Thing(rows=ReadOnly([1, 2]), masked=masked, answering=Answering(), failing=Failing())
    state = State(thing)
    thing.rows.append(3)
    del thing.rows[2]
    state.restore()
    assert masked.mask.tolist() == [False, True]
    assert state.changes() == []
    assert jit(lambda x: x * float(thing.masked[0]) + len(thing.rows))(1.0) == 4.0


def test_search_skips_rows_of_a_data_set():
    """A search of 10,000 rows takes as long as one of a few objects, because it visits a single
    list."""
    rows = [[float(i), 1.0] for i in range(10_000)]
    small, large = Thing(rows=rows[:10]), Thing(rows=rows)
    assert len(State(large)._objects) <= len(State(small)._objects)
    state = State(large)
    rows.append([0.0])
    assert state.changes() == ["Thing.rows"]
    state.restore()
    assert len(rows) == 10_000


def test_generators_of_numpy_are_restored():
    thing = Thing(rng=np.random.default_rng(1), old=np.random.RandomState(2))
    state = State(thing)
    first = thing.rng.random(), thing.old.rand(), np.random.rand()
    assert state.draws() == ["Thing.rng", "Thing.old", "numpy.random"]
    state.restore()
    assert (thing.rng.random(), thing.old.rand(), np.random.rand()) == first


def test_replacing_plain_data_by_equal_data_is_not_a_change():
    thing = Thing(x=0.1, text="ab", pair=(1, 2.5, "c"), nan=float("nan"), big=10**20)
    state = State(thing)
    thing.x, thing.text, thing.pair, thing.nan = (
        1 / 10,
        "".join(["a", "b"]),
        (1, 5 / 2, "c"),
        float("nan"),
    )
    thing.big = 10**19 * 10
    assert state.changes() == []
    thing.pair = (1, 2.5, ["c"])
    assert state.changes() == ["Thing.pair"]


def test_modules_are_found_in_order_each_once():
    model = nn.Sequential(nn.Layer(1, 2), nn.Dropout(0.1))
    thing = Thing(model=[model, model.layers[1]])
    assert State(lambda: thing).modules == [*model.modules()]


def test_random_changes_are_undone():
    """Draws objects in lists in dicts in objects, some of them shared or in cycles."""
    for seed in range(scaled(ci=100, thorough=1_000)):
        rng = random.Random(seed)
        things: list = [Thing()]
        for i in range(12):
            made = rng.choice([Thing(n=0), [], {}, (rng.choice(things),)])
            holder = rng.choice([x for x in things if not isinstance(x, tuple)])
            put(holder, f"k{i}", made)
            things.append(made)
        before = {id(x): shallow(x) for x in things}
        state = State(things[0])
        for i in range(5):
            put(
                rng.choice([x for x in things if not isinstance(x, tuple)]),
                f"k{rng.randrange(20)}",
                rng.choice([i, *things]),
            )
        changed = {id(x): shallow(x) for x in things} != before
        assert bool(state.changes()) == changed
        state.restore()
        assert {id(x): shallow(x) for x in things} == before


def put(holder, key, value):
    if isinstance(holder, list):
        holder.append(value)
    elif isinstance(holder, dict):
        holder[key] = value
    else:
        setattr(holder, key, value)


def shallow(x):
    held = x.__dict__ if isinstance(x, Thing) else x
    return (
        [(key, id(value)) for key, value in held.items()]
        if isinstance(held, dict)
        else [*map(id, held)]
    )


# ---- variables in which a traced function leaves traced values

LOG = [0.5]
LAST = {"last": 0.0, "calls": 0}
NESTED = {"rows": [[1.0]]}
QUEUE = collections.deque([1.0], maxlen=3)
BOX = None
CALLS = 0


def appends(x):
    LOG.append(x * 2)
    return LOG[-1]


def averages(x):
    LAST["calls"] += 1
    LAST["last"] = 0.9 * LAST["last"] + 0.1 * x if LAST["calls"] < 1 else 0.1 * x
    return LAST["last"]


def fills_a_default(x, seen=[], *, named={}):  # noqa: B006
    seen.append((x, 1.0))
    named["x"] = {"y": x}
    return x * 2


def nests(x):
    NESTED["rows"][0].append([x])
    NESTED["new"] = {"a": (x,)}
    return x * 2


def queues(x):
    QUEUE.append(x)
    return x * 2


def assigns_objects(x):
    global BOX, CALLS
    CALLS += 1
    BOX = [types.SimpleNamespace(x=x), lambda: x, np.array([x], object)]
    return x * 2


def variables():
    return repr([LOG, LAST["last"], fills_a_default.__defaults__, fills_a_default.__kwdefaults__,
                 NESTED, QUEUE, BOX])


@pytest.mark.parametrize("f", [
    appends, averages, fills_a_default, nests, queues, assigns_objects,
], ids=lambda f: f.__name__)
def test_tracing_leaves_no_traced_values_in_variables(f):
    before = variables()
    want = 0.3 if f is averages else 6.0
    assert jit(f)(3.0) == pytest.approx(want)
    assert variables() == before
    with pytest.raises(TraceError):
        jit(lambda x: f(x) if x > 0 else x)(3.0)
    with pytest.raises(TraceError):
        jit(lambda x: float(f(x)))(3.0)
    assert variables() == before


def test_tracing_leaves_no_traced_values_in_closures_and_counters_count():
    kept = 0.0
    count = 0

    def f(x):
        nonlocal kept, count
        kept = [x]
        count += 1
        return x * 2

    assert jit(f)(3.0) == 6.0
    assert kept == 0.0
    assert count > 0
    assert (f(3.0), kept) == (6.0, [3.0])


def test_a_function_that_computes_with_its_last_result_is_refused_and_still_works():
    state = {"last": 0.0}

    def f(x):
        state["last"] = 0.9 * state["last"] + 0.1 * x
        return state["last"]

    with pytest.raises(TraceError, match="kept from an earlier run"):
        jit(f)(1.0)
    assert state == {"last": 0.0}
    assert f(1.0) == 0.1
