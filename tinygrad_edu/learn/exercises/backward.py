"""The exercise backward: write the inner line of a backward pass of ten lines."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

from ...debug.text import short_number
from ...engine.graph import topological_order
from ...engine.value import Value
from ..evidence import aligned
from ..questions.graphs import graph
from .exercise import Exercise, NotYet, file_text, is_close, numbers_of, value_of
from .running import Answer, Call

GRAPHS = 6  # that are drawn, in addition to the fixed ones
MOST_SHOWN = 8  # nodes in the table

Operands = list[list[tuple[int, float]]]  # for each node, the indices and local derivatives


class Idea(NamedTuple):
    """A backward pass, right or wrong.

    replaces: whether a gradient replaces the earlier one.
    has_adjoint, has_partial: whether the gradient of the user, and the local derivative, count.
    adds: whether these two are added and not multiplied.
    is_forward: whether the nodes are visited from the first to the last.
    first: the gradient of the last node at the start.
    is_idle: whether nothing is passed on.
    """

    replaces: bool = False
    has_adjoint: bool = True
    has_partial: bool = True
    adds: bool = False
    is_forward: bool = False
    first: float = 1.0
    is_idle: bool = False


WRONG = (
    (Idea(replaces=True), "A later gradient replaces the earlier one. A node that is used several "
     "times gets the sum over its users: += and not =."),
    (Idea(has_adjoint=False), "The gradient of the user, grads[i], is missing. By the chain rule "
     "it multiplies the local derivative."),
    (Idea(has_adjoint=False, replaces=True), "This is the local derivative alone. It has to be "
     "multiplied by the gradient of the user, grads[i], and added to what is there."),
    (Idea(has_partial=False), "The local derivative is missing: the gradient of the user is "
     "passed on unchanged."),
    (Idea(has_partial=False, replaces=True), "The gradient of the user is passed on unchanged, and "
     "replaces the earlier one. Multiply it by the local derivative, and add the product."),
    (Idea(adds=True), "The gradient of the user and the local derivative are added. By the chain "
     "rule they are multiplied."),
    (Idea(is_forward=True), "The nodes are visited from the first to the last. A node can pass its "
     "gradient on only after all of its users, so the order is reversed."),
    (Idea(is_idle=True), "Nothing is passed on: the output alone has a gradient."),
    (Idea(first=0.0), "All gradients are 0: the last node must begin with 1, its derivative with "
     "respect to itself."),
)
# what stands in the starter, by the random seed
LINES = (
    "pass  # write this line",
    "grads[j] = grads[i] * partial",
    "grads[j] += partial",
    "grads[j] = partial",
    "grads[j] += grads[i] + partial",
    "grads[j] += grads[i]",
    "grads[j] = grads[i]",
)
FACTORS = tuple([float(n) for n in range(-9, 10) if abs(n) > 1])  # of the product in the task
RIGHT = "grads[j] += grads[i] * partial"


def make(seed: int) -> Exercise:
    """Returns the exercise: the inner line has the fault that this random seed chooses."""
    draw = random.Random(f"backward {seed}")
    graphs = [*_fixed(), *[as_operands(graph(1 + i % 5, draw)) for i in range(GRAPHS)]]
    a, b = random.Random(f"example {seed}").sample(FACTORS, 2)
    task = f"""Write the inner line of a backward pass.

A graph is a list with an entry for each node, in the order of the forward
pass; the last node is the output.  operands[i] lists the operands of node i as
pairs (j, partial): j is the index of the operand, and partial the local
derivative d node i / d node j.  For c = a * b with
a = {a:g} and b = {b:g}:

    operands = {[[], [], [(0, b), (1, a)]]}

backward returns d output / d node for every node; here {[b, a, 1.0]}."""
    return Exercise(
        name="backward",
        seed=seed,
        lesson="backward",
        title="write the inner line of a backward pass",
        starter=file_text("backward", seed, task, _code(LINES[seed % len(LINES)], a, b)),
        solution=file_text("backward", seed, task, _code(RIGHT, a, b)),
        hints=(
            "Think of y = a + a: node a is an operand twice, with a local derivative of 1 each. "
            "What must its gradient be?",
            "Two numbers are multiplied: the local derivative, and the gradient that the user "
            "has got from above.",
            "grads[j] changes by grads[i] times partial. Does it become this product, or does it "
            "grow by it?",
        ),
        steps=tuple([Call("backward", (operands,)) for operands in graphs]),
        marker=lambda answers: _mark(graphs, answers),
    )


def _code(line: str, a: float, b: float) -> str:
    """Returns the file with this inner line; a and b are the factors of its example."""
    return f"""
def backward(operands):
    grads = [0.0] * len(operands)
    grads[-1] = 1.0
    for i in reversed(range(len(operands))):
        for j, partial in operands[i]:
            {line}
    return grads


if __name__ == "__main__":
    print(backward({[[], [], [(0, b), (1, a)]]}))  # {b:g}, {a:g}, 1
    print(backward([[], [(0, 1.0), (0, 1.0)]]))  # 2, 1
"""


def _fixed() -> list[Operands]:
    """Returns graphs that everybody gets: a node alone, a + a, and a * a with a node unused."""
    return [[[]], [[], [(0, 1.0), (0, 1.0)]], [[], [], [(0, 3.0), (0, 3.0)]]]


def as_operands(root: Value) -> Operands:
    """Returns a graph of the engine as the exercise has it."""
    order = topological_order(root)
    index = {node: i for i, node in enumerate(order)}
    return [[(index[arg], d) for arg, d in zip(node.args, node.partials)] for node in order]


def swept(operands: Operands, idea: Idea) -> list[float]:
    """Returns the gradients of all nodes, as a backward pass with this idea computes them."""
    grads = [0.0] * len(operands)
    grads[-1] = idea.first
    order = range(len(operands))
    for i in order if idea.is_forward else reversed(order):
        for j, partial in operands[i]:
            above = grads[i] if idea.has_adjoint else 1.0
            local = partial if idea.has_partial else 1.0
            passed = above + local if idea.adds else above * local
            if not idea.is_idle:
                grads[j] = passed if idea.replaces else grads[j] + passed
    return grads


def _mark(graphs: Sequence[Operands], answers: Sequence[Answer]) -> str:
    given = [
        numbers_of(value_of(answer), len(operands), "what backward returns")
        for operands, answer in zip(graphs, answers)
    ]
    right = [swept(operands, Idea()) for operands in graphs]
    bad = [i for i, grads in enumerate(given) if not _agree(grads, right[i])]
    if not bad:
        edges = sum([len(entry) for operands in graphs for entry in operands])
        return f"All gradients of {len(graphs)} graphs are right; {edges} edges were followed."
    details = _table(graphs[bad[0]], given[bad[0]], right[bad[0]])
    for idea, sentence in WRONG:
        if all(_agree(grads, swept(ops, idea)) for grads, ops in zip(given, graphs)):
            raise NotYet(sentence, details)
    raise NotYet(
        f"The gradients of {len(graphs) - len(bad)} of {len(graphs)} graphs are right.", details
    )


def _agree(given: Sequence[float], other: Sequence[float]) -> bool:
    return all(map(is_close, given, other))


def _table(operands: Operands, given: Sequence[float], right: Sequence[float]) -> list[str]:
    """Returns a table of the nodes of a graph."""
    rows = [
        (
            f"node {i}",
            ", ".join([f"({j}, {short_number(d)})" for j, d in entry]),
            short_number(given[i]),
            short_number(right[i]),
        )
        for i, entry in enumerate(operands[:MOST_SHOWN])
    ]
    return aligned((("", "operands", "yours", "right"), *rows))
