"""The figure of each lesson: which prediction it follows, and the data that Python gives it.

Most figures compute all that they show on the page, from random seeds and the table of primitives.
What they show is what the experiment of the lesson measures; a test compares the numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlencode

from tinygrad_edu import math, record
from tinygrad_edu.engine.value import Value
from tinygrad_edu.examples import lecture_expression
from tinygrad_edu.learn.lessons.gradients.cost import cost
from tinygrad_edu.learn.lessons.networks.uses import SHAPES, SIDE, picture_network

from ...drawing.scene import Scene
from ..live.program import program
from ..page import themed
from ..playground.settings import checked

WIDTHS = (2, 4, 8, 16, 32)
DEPTHS = (1, 2, 3, 4)
PICTURES = 12
# the rows that figures apply on the page; those of a graph are added
ROWS = ("add", "sub", "mul", "div", "neg", "square", "relu", "tanh", "sigmoid", "softplus")


class Figure(NamedTuple):
    """The figure of a lesson.

    part: the position of the prediction that it follows.
    title: what a reader can do with it.
    make: returns its data, and the drawing that it changes, for a random seed.
    """

    part: int
    title: str
    make: Callable[[int], tuple[Any, str]]


def _seed(seed: int) -> tuple[Any, str]:
    return {"seed": seed}, ""


def _graph(root: Value, watched: tuple[str, ...] = (), slopes: bool = True) -> tuple[Any, str]:
    """Returns a graph whose leaves can be changed, and its drawing.

    watched: the names of the nodes whose gradients are listed.
    slopes: whether the local derivatives stand on the edges.
    """
    scene = Scene(record(root), slopes=slopes)
    nodes = scene.recording.nodes
    links = {edge: link for link, edge in scene.edges.items()}
    edges = [links.get(i) for i in range(len(scene.graph.edges))]
    data = {
        "program": program(scene.recording, range(len(nodes))),
        "shows": [node.shows for node in scene.graph.nodes],
        "edges": [link if link and link[0] is not None else None for link in edges],
        "leaves": [node.name for node in nodes if not node.op and not node.constant],
        "watched": watched,
    }
    return data, themed(scene.svg)


def _expression(seed: int) -> tuple[Any, str]:
    return _graph(lecture_expression(), slopes=False)


def _two_paths(seed: int) -> tuple[Any, str]:
    return _graph(two_paths(Value(2.0, "a"), Value(4.0, "b"), Value(-1.0, "c")))


def two_paths(a: Value, b: Value, c: Value) -> Value:
    """Returns y = a * b + a * c, in which two paths lead from y to a."""
    u = a * b
    u.label = "u"
    v = a * c
    v.label = "v"
    y = u + v
    y.label = "y"
    return y


def _diamond(seed: int) -> tuple[Any, str]:
    return _graph(diamond(Value(2.0, "x"), Value(-1.5, "z")), ("x", "z", "u", "r"))


def diamond(x: Value, z: Value) -> Value:
    """Returns L = (u**2 - relu(u)) * u with u = x * z: a node with three users.

    Each wrong idea about the backward pass gets a gradient of it wrong.
    """
    u = x * z
    u.label = "u"
    s = u**2
    s.label = "s"
    r = math.relu(u)
    r.label = "r"
    d = s - r
    d.label = "d"
    loss = d * u
    loss.label = "L"
    return loss


def _costs(seed: int) -> tuple[Any, str]:
    found = {
        f"{depth} {width}": cost(2, (width,) * depth + (1,), "tanh")
        for depth in DEPTHS for width in WIDTHS
    }
    costs = {name: [each.weights, each.forward, each.both] for name, each in found.items()}
    return {"widths": WIDTHS, "depths": DEPTHS, "costs": costs}, ""


def _pictures(seed: int) -> tuple[Any, str]:
    model, _, (unseen, _) = picture_network(seed)
    layers = [
        {"w": [[w.data for w in neuron.w] for neuron in layer.neurons],
         "b": [neuron.b.data for neuron in layer.neurons]}
        for layer in model.layers
    ]
    data = {
        "side": SIDE, "shapes": SHAPES, "layers": layers,
        "pictures": [[round(x, 3) for x in pixels] for pixels in unseen[:PICTURES]],
    }
    return data, ""


# what the playground begins with, for the lessons that it goes on from
PLAYGROUND: dict[str, dict[str, Any]] = {
    "forward": {"layers": [2], "test": 0.0},
    "chain": {"layers": [3, 2], "test": 0.0},
    "backward": {"layers": [3, 2], "test": 0.0},
    "descent": {"data": "line", "layers": [], "rate": 0.1},
    "rate": {"data": "line", "layers": [], "rate": 1.0},
    "start": {"data": "xor", "layers": [4], "activation": "relu", "init": "he"},
    "batches": {"layers": [], "batch": 1, "rate": 0.1},
    "optimisers": {"data": "spirals", "optimizer": "Adam", "rate": 0.03},
    "depth": {"layers": [8] * 6, "activation": "sigmoid"},
    "generalise": {
        "samples": 100, "noise": 0.5, "test": 0.5, "layers": [12], "optimizer": "Adam",
        "rate": 0.1,
    },
}


def playground_link(lesson: str) -> str:
    """Returns the address of the playground in the state that a lesson is about, or ""."""
    if lesson not in PLAYGROUND:
        return ""
    settings = checked(PLAYGROUND[lesson])
    texts = {name: ",".join(map(str, x)) if isinstance(x, list) else x
             for name, x in settings.items()}
    return f"playground.html#{urlencode(texts, safe=',')}"


FIGURES = {
    "forward": Figure(0, "Change the numbers of the graph", _expression),
    "chain": Figure(1, "Change the numbers, and follow both paths", _two_paths),
    "backward": Figure(2, "Let a wrong idea run in place of the right backward pass", _diamond),
    "cost": Figure(0, "Make the network larger", _costs),
    "descent": Figure(1, "Run the update", _seed),
    "rate": Figure(3, "Move the learning rate across 2/L", _seed),
    "start": Figure(0, "Choose a start", _seed),
    "batches": Figure(1, "Draw 400 batches", _seed),
    "optimisers": Figure(2, "Let four optimisers race, and turn the ravine", _seed),
    "depth": Figure(1, "Follow a gradient through the layers", _seed),
    "generalise": Figure(0, "Train the network with L2 and dropout", _seed),
    "uses": Figure(1, "Draw a picture for the network", _pictures),
}
