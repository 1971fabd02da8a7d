"""Parameters in containers of every kind: those with an order are found, others are refused."""

import functools
import types
from collections import ChainMap, OrderedDict, UserDict, UserList, deque, namedtuple
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from types import CellType
from typing import ClassVar, NamedTuple

import numpy as np
import pandas as pd
import polars as pl
import pytest
from helpers import bits_of

from tinygrad_edu import Value, fit, grad, jit, nn, optim

Pair = namedtuple("Pair", "w b")


class Holder(nn.Module):
    def __init__(self, held=None):
        self.first = Value(0.5)
        self.held = held


@dataclass
class Record:
    w: object
    b: object


@dataclass(frozen=True, slots=True)
class Slotted:
    w: object
    b: object = field(default=None, compare=False)


class Labelled:
    """What is seen of a pandas Series of objects."""

    dtype = np.dtype(object)

    def __init__(self, *entries):
        self.entries = entries

    @property
    def shape(self):
        return (len(self.entries),)

    def __iter__(self):
        return iter(self.entries)


def names_of(module):
    return [name for name, _ in module.named_parameters()]


# ---- found ---------------------------------------------------------------------------------------


CONTAINERS = {
    "array": lambda a, b: np.array([[a], [b]]),
    "array without dimensions": lambda a, b: [np.array(a), np.array(b)],
    "array of modules": lambda a, b: np.array([Holder(a), Holder(b)], dtype=object),
    "deque": lambda a, b: deque([a, b]),
    "UserList": lambda a, b: UserList([a, b]),
    "UserDict": lambda a, b: UserDict(w=a, b=b),
    "ChainMap": lambda a, b: ChainMap({"w": a, "b": b}, {"w": 0.0}),
    "mapping proxy": lambda a, b: types.MappingProxyType({"w": a, "b": b}),
    "values": lambda a, b: {"w": a, "b": b}.values(),
    "items": lambda a, b: OrderedDict(w=a, b=b).items(),
    "values of a UserDict": lambda a, b: UserDict(w=a, b=b).values(),
    "namespace": lambda a, b: types.SimpleNamespace(w=a, b=b),
    "named tuple": Pair,
    "dataclass": Record,
    "dataclass with slots": Slotted,
    "series": Labelled,
    "series of pandas": lambda a, b: pd.Series([a, b], index=["x", "x"]),
    "series of polars": lambda a, b: pl.Series([a, b], dtype=pl.Object),
    "records": lambda a, b: np.array([(a, 1.0), (b, 2.0)], [("w", object), ("n", float)]),
    "nested": lambda a, b: {"deep": deque([Record(np.array([a]), types.SimpleNamespace(b=[b]))])},
}


@pytest.mark.parametrize("make", CONTAINERS.values(), ids=CONTAINERS)
def test_parameters_in_ordered_containers_are_found_labelled_and_restored(make):
    w, b = Value(2.0), Value(3.0)
    model = Holder(make(w, b))
    found = model.parameters()
    assert found.index(w) < found.index(b)
    assert [p.label for p in found] == names_of(model)
    state = model.state_dict()
    w.data, b.data = 0.0, 0.0
    model.load_state_dict(state)
    assert (w.data, b.data) == (2.0, 3.0)


@pytest.mark.parametrize(("make", "names"), [
    (CONTAINERS["array"], ["held.0.0", "held.1.0"]),
    (CONTAINERS["array without dimensions"], ["held.0.0", "held.1.0"]),
    (CONTAINERS["values"], ["held.0", "held.1"]),
    (CONTAINERS["items"], ["held.0.1", "held.1.1"]),
    (CONTAINERS["dataclass with slots"], ["held.w", "held.b"]),
    (CONTAINERS["nested"], ["held.deep.0.w.0", "held.deep.0.b.b.0"]),
])
def test_names_of_parameters_are_their_paths(make, names):
    assert names_of(Holder(make(Value(2.0), Value(3.0)))) == ["first", *names]


class Arrays(nn.Module):
    """A network of 17 parameters, 12 of them in arrays of objects."""

    def __init__(self):
        numbers = np.linspace(-1, 1, 12).reshape(4, 3)
        self.W = np.array([[Value(x) for x in row] for row in numbers.tolist()])
        self.out = nn.Layer(4, 1, "tanh", rng=0)

    def __call__(self, x):
        return self.out([y.tanh() for y in self.W @ np.array([*x, 1.0])])


@pytest.mark.parametrize("engine", ["eager", "jit"])
def test_arrays_of_parameters_are_trained_and_saved(engine, tmp_path):
    model = Arrays()
    before = model.state_dict()
    assert len(before) == 17
    assert "W.3.2" in before
    X, y = [[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [1.0, 1.0, 0.0]
    fit(model, nn.mse, X, y, optimizer=optim.Adam(model.parameters()), epochs=3, engine=engine)
    after = model.state_dict()
    assert all(after[name] != before[name] for name in before)
    path = tmp_path / "model.json"
    nn.save(model, path)
    other = Arrays()
    nn.load(other, path)
    assert bits_of(other.state_dict().values()) == bits_of(after.values())


def test_modules_in_containers_change_their_mode():
    parts = [nn.Dropout(0.5), nn.Dropout(0.5), nn.Dropout(0.5)]
    Holder([deque(parts[:1]), np.array(parts[1:2]), Record(parts[2], None)]).eval()
    assert [part.training for part in parts] == [False] * 3


def test_slots_of_a_module_are_searched():
    class Base(nn.Module):
        __slots__ = ("__hidden", "w")

        def __init__(self):
            self.w, self.__hidden = Value(1.0), Value(2.0)

    class Net(Base):
        __slots__ = "b"

        def __init__(self):
            super().__init__()
            self.b = Value(3.0)

    assert names_of(Net()) == ["_Base__hidden", "w", "b"]


class Deep:
    """Holds a list in a list in a list, ..., with a parameter."""

    def __new__(cls, v):
        for _ in range(5_000):
            v = [v]
        return v


class Entries(list):
    pass


class Names(dict):
    pass


class ModuleList(nn.Module, list):
    def __init__(self, *parts):
        list.__init__(self, parts)


class ModuleDict(dict, nn.Module):
    pass


class Array(np.ndarray):
    pass


def with_attribute(container, v):
    container.extra = v
    return container


FOUND = {
    "frame of pandas": (lambda v: pd.DataFrame({"a": [1.0], "w": [v]}), "held.w.0"),
    "frame of polars": (lambda v: pl.DataFrame({"w": pl.Series([v], dtype=pl.Object)}), "held.w.0"),
    "module and list": (lambda v: ModuleList(v), "held.0"),
    "dict and module": (lambda v: ModuleDict(w=v), "held.w"),
    "attribute of a list": (lambda v: with_attribute(Entries([1]), v), "held.extra"),
    "attribute of a dict": (lambda v: with_attribute(Names(a=1), v), "held.extra"),
    "attribute of an array": (lambda v: with_attribute(np.zeros(1).view(Array), v), "held.extra"),
    "attribute of an array of objects": (
        lambda v: with_attribute(np.array([None]).view(Array), v), "held.extra",
    ),
    "deep": (Deep, "held" + ".0" * 5_000),
}


@pytest.mark.parametrize(("make", "name"), FOUND.values(), ids=FOUND)
def test_parameters_in_and_on_containers_are_found(make, name):
    w = Value(2.0)
    model = Holder(make(w))
    assert [p for n, p in model.named_parameters() if n == name] == [w]


class Shared(nn.Module):
    """Has parameters in its class and in the defaults of its methods."""

    scale = Value(2.0)
    layers: ClassVar = [nn.Linear(1, 1, rng=0), nn.Dropout(0.5)]
    names = ("a", "b")

    def __init__(self):
        self.b = Value(0.0)

    def __call__(self, x, w=Value(3.0), *, u=Value(4.0)):  # noqa: B008
        return self.scale * w * u * self.layers[0]([x])[0] + self.b

    @staticmethod
    def helper(x, v=Value(5.0)):  # noqa: B008
        return v * x

    @property
    def double(self):
        return self.b * 2


def test_attributes_of_the_class_and_defaults_of_methods_are_parameters():
    model = Shared()
    names = ["b", "scale", "layers.0.weight.0.0", "layers.0.bias.0", "__call__.w", "__call__.u",
             "helper.v"]
    assert names_of(model) == names
    before = model.state_dict()
    fit(model, nn.mse, [1.0, 2.0], [1.0, 2.0], optimizer=optim.SGD(model.parameters(), 1e-3),
        epochs=2)
    after = model.state_dict()
    assert all(before[name] != after[name] for name in names[:-1])
    assert not model.eval().layers[1].training
    model.scale = Value(7.0)  # of this object, which hides that of its class
    assert model.state_dict()["scale"] == 7.0
    assert names_of(model).count("scale") == 1


# ---- refused -------------------------------------------------------------------------------------


class Plain:
    def __init__(self, *held):
        self.held = held

    def run(self, x):
        return self.held[0] * x


class WithSlots:
    __slots__ = ("w",)

    def __init__(self, w):
        self.w = w


def put(queue, entry):
    queue.put(entry)
    return queue


def filled(cached):
    cached()
    return cached


def with_default(v):
    def f(x, *, w=v):
        return w * x

    return f


FIRST = r"first assign what is trained to an attribute of its own, as in self\.w = w"
OTHERS = {
    "set": (lambda v: {v}, "has no order; use a list"),
    "frozenset": (lambda v: [frozenset([1, v])], "has no order; use a list"),
    "set of modules": (lambda v: {Holder(v)}, "has no order; use a list"),
    "set of modules without parameters": (lambda v: {nn.Dropout(0.5)}, "has no order; use a list"),
    "generator": (lambda v: (x for x in [v]), "can be read once; make a list"),
    "map": (lambda v: map(Value.relu, [v]), "can be read once; make a list"),
    "zip of a generator": (lambda v: [zip([1], (x for x in [v]))], "can be read once"),
    "queue": (lambda v: put(SimpleQueue(), v), FIRST),
    "partial": (lambda v: partial(nn.mse, target=v), FIRST),
    "method": (lambda v: Plain(v).run, FIRST),
    "cache": (lambda v: filled(functools.lru_cache(lambda: v)), FIRST),
    "slice": (lambda v: slice(v), FIRST),
    "cell": (CellType, FIRST),
    "attribute of a function": (lambda v: with_attribute(lambda x: x, v), FIRST),
    "default of a keyword": (lambda v: with_default(v), FIRST),
    "class": (lambda v: type("Plain", (), {"w": v}), FIRST),
    "attribute of a class": (lambda v: type("Plain", (), {"w": v})(), "derive Plain from nn.Mod"),
    "after much data": (lambda v: Plain(v, [[i] for i in range(20_000)]), "derive Plain from"),
    "before much data": (lambda v: Plain([[i] for i in range(20_000)], v), "derive Plain from"),
    "keys": (lambda v: dict.fromkeys([v]), "it is a key; make it the entry"),
    "object": (Plain, "derive Plain from nn.Module"),
    "object with slots": (WithSlots, "derive WithSlots from nn.Module"),
    "object in an object": (lambda v: Plain({"a": WithSlots([v])}), "derive Plain from nn.Module"),
    "object in a dataclass": (lambda v: Record(1, Plain(v)), "derive Plain from nn.Module"),
}


@pytest.mark.parametrize(("make", "remedy"), OTHERS.values(), ids=OTHERS)
def test_parameters_that_are_not_searched_are_refused_when_they_are_assigned(make, remedy):
    model = Holder()
    with pytest.raises(TypeError, match=rf"^Holder\.held.*, which is not found .*{remedy}"):
        model.held = make(Value(2.0))
    assert model.held is None
    assert len(model.parameters()) == 1


@pytest.mark.parametrize("name", ["set", "frozenset", "keys", "object", "object in a dataclass"])
def test_parameters_that_are_found_elsewhere_may_be_in_any_object(name):
    make, _ = OTHERS[name]
    w = Value(2.0)
    model = Holder()
    model.also = [w]
    model.held = make(w)
    assert len(model.parameters()) == 2
    with pytest.raises(TypeError, match=r"^Holder\.also.*, which is not found"):
        model.also = [make(Value(1.0))]
    with pytest.raises(TypeError, match=r"^Holder\.also.*, which is not found"):
        model.also = make(w)  # instead of the list in which it was found


@pytest.mark.parametrize(("container", "add", "added"), [
    (set(), set.add, Value(2.0)),
    ([], list.append, {Value(2.0)}),
    ([], list.append, Plain([Value(2.0)])),
    (Plain(), setattr, ("w", Value(2.0))),
])
def test_parameters_that_are_added_where_no_search_is_are_refused_later(container, add, added):
    model = Holder(container)
    add(container, *(added if add is setattr else [added]))
    for call in (model.parameters, model.state_dict, model.zero_grad):
        with pytest.raises(TypeError, match=r"^Holder\.held.*, which is not found"):
            call()


def test_modules_that_are_added_to_a_set_are_refused_when_the_mode_changes():
    model = Holder(set())
    model.held.add(nn.Dropout(0.5))
    with pytest.raises(TypeError, match="a set has no order; use a list"):
        model.eval()


def test_objects_that_refer_to_parameters_of_others_are_no_error():
    class Descent(optim.SGD):
        pass

    model = nn.MLP(2, [1], rng=0)
    other = nn.MLP(2, [1], rng=0)
    model.optimizer = Descent(other.parameters(), lr=0.1)
    model.frozen = set(model.parameters()[:1])
    model.best = Plain(model.parameters())
    model.itself = Plain(model)
    assert len(model.parameters()) == 3


def scaled_by(q):
    return lambda x: q * x


@pytest.mark.parametrize("make", [
    lambda: nn.MLP(2, [3, 1]).__call__,
    lambda: scaled_by(Value(1.0)),
    lambda: lambda x, q=Value(1.0): q * x,  # noqa: B008
    lambda: functools.lru_cache(scaled_by(Value(1.0))),
    lambda: grad(scaled_by(Value(1.0))),
], ids=["method", "closure", "default", "cached", "grad"])
def test_a_function_with_parameters_of_its_own_is_refused(make):
    module = nn.Module()
    with pytest.raises(TypeError, match="which is not found among the parameters"):
        module.part = make()
    module.w = Value(2.0)
    module.part = scaled_by(module.w)
    assert module.parameters() == [module.w]


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_parameters_in_compiled_modules_matrices_and_masked_arrays_are_found():
    module = nn.Module()
    module.net = jit(nn.MLP(2, [3, 1]))
    module.matrix = np.matrix([[Value(1.0), Value(2.0)]])
    module.masked = np.ma.array([Value(1.0), Value(2.0)], mask=[0, 1])
    assert len(module.parameters()) == 13 + 2 + 2
    assert "matrix.0.1" in dict(module.named_parameters())


class Named(NamedTuple):
    kind: str


@pytest.mark.parametrize("key", [object(), (1, object()), lambda: 0])
def test_keys_without_a_name_of_their_own_are_refused(key):
    module = nn.Module()
    module.w = {key: [Value(1.0)]}
    for names in module.named_parameters, module.state_dict, module.parameters:
        with pytest.raises(TypeError, match=r"same in every run, not 'w\..*0x\.\.\..*; use text"):
            names()


@pytest.mark.parametrize("key", ["a", 1, (1, "b"), None, Named("c"), 0.5, frozenset([1])])
def test_keys_with_a_name_of_their_own_name_parameters(key):
    module = nn.Module()
    module.w = {key: [Value(1.0)]}
    assert [*module.state_dict()] == [f"w.{key}.0"]
