"""Random graphs of 1 to 200 nodes against mpmath: values, gradients, gradients of gradients.

The graphs are drawn with a random seed. Every node is evaluated in mpmath while its graph is drawn;
then the engine computes the finished graph. Every row of the table occurs, and so do numbers on
either side of an operator, nodes with several users, and operations on the same node twice.
"""

import functools
import itertools
import math as std
import operator
import random
from dataclasses import dataclass

import pytest
from helpers import mp, mpf, replaced, scaled
from truths import partials_of, value_of

from tinygrad_edu import Value, gradients, topological_order
from tinygrad_edu.engine.primitive import TABLE
from tinygrad_edu.testing.expression import Expression

DIGITS = 40
TINY = 1e-290  # below it, floats or their products have few digits
RESOLVED = 1e-60  # the smallest number that `hessian_times` distinguishes from 0
GRAPHS = scaled(ci=2_000, thorough=10_000, dev=400)
SECOND = scaled(ci=300, thorough=10_000, dev=60)
TOLERANCE = {50: 1e-11, 200: 1e-8}  # relative, for graphs of up to so many nodes
SECOND_TOLERANCE = 1e-10
CANCELLED, ROUNDINGS = 1e-5, 16  # see `disagrees`

MAGNITUDE = (1e-3, 1e3)  # of every node
# how much a relative error may grow at a node, and on the way to it, in rounding errors
STEEPEST, WORST = 30.0, 2e3
FLATTEST = 1e-40  # the least relative effect of a change of a leaf, unless it is 0
NEARBY = 2e-3  # the relative distance within which the piece of a node must be the same
NUMBERS = (0.5, 2.0, 3.0, -1.0, 0.1, 10.0)
ARITHMETIC = ("add", "sub", "mul", "div")
MERGERS = ("add", "sub", "mul", "div", "hypot", "logaddexp", "atan2", "maximum")
ROWS = [row for row in TABLE.values() if not row.spelling]
OPERATORS = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "pow": operator.pow,
    "neg": operator.neg,
    "remainder": operator.mod,
    "floordiv": operator.floordiv,
    "abs": abs,
}


# ---- graphs, with their truth --------------------------------------------------------------------


@dataclass
class Graph:
    """Leaves and operations, as in `strategies.Expression`, with the last node computed by
    mpmath."""

    point: tuple[float, ...]
    steps: list
    value: mpf
    gradient: list  # with respect to each leaf
    scale: list  # the sum over paths of the absolute values
    cancels: bool  # whether the adjoint of some node is less than a thousandth of such a sum

    @property
    def size(self):
        return len(self.point) + len(self.steps)

    def __str__(self):
        return repr(
            Expression(
                tuple(f"x{i}" for i in range(len(self.point))), self.point, tuple(self.steps)
            )
        )

    def on(self, xs):
        """Computes the last node with the engine, using the operators of rows that have one."""
        nodes = list(xs)
        for row, operands in self.steps:
            args = [nodes[k] if isinstance(k, int) else k for k in operands]
            nodes.append(OPERATORS.get(row.name, row)(*args))
        return nodes[-1]


def evaluate(steps, point):
    """Returns ``(value, gradient, scale, cancels)`` at mpmath numbers by a backward sweep in the
    working precision."""
    values, partials = list(point), []
    for row, operands in steps:
        args = [values[k] if isinstance(k, int) else mpf(k) for k in operands]
        values.append(value_of(row.name)(*args))
        partials.append([partial(*args) for partial in partials_of(row.name)])
    adjoints, scales = [mpf(0)] * len(values), [0.0] * len(values)
    adjoints[-1], scales[-1] = mpf(1), 1.0
    for k in reversed(range(len(steps))):
        adjoint, scale = adjoints[len(point) + k], scales[len(point) + k]
        for operand, partial in zip(steps[k][1], partials[k]):
            if isinstance(operand, int) and (size := abs(float(partial))):
                adjoints[operand] += adjoint * partial
                scales[operand] += scale * size
    cancels = any(scale and abs(adjoint) < 1e-3 * scale for adjoint, scale in zip(adjoints, scales))
    return values[-1], adjoints[:len(point)], scales[:len(point)], cancels


def hessian_times(graph, vector):
    """Returns the derivative of the gradient in a direction, by a central difference accurate to
    about 1e-70."""
    with mp.workdps(120):
        step = mpf(10) ** -40
        ahead, behind = (
            evaluate(graph.steps, [mpf(x) + sign * step * v for x, v in zip(graph.point, vector)])[
                1
            ]
            for sign in (1, -1)
        )
        return [(a - b) / (2 * step) for a, b in zip(ahead, behind)]


class Builder:
    """A graph that grows by one operation at a time. No node may be extreme, and none may lose the
    digits of others.

    It runs the rows on floats, which is fast, and only decides which graphs are drawn.
    """

    def __init__(self, rng, leaves):
        self.rng = rng
        self.point = [
            std.copysign(10 ** rng.uniform(-1.5, 1.5), rng.random() - 0.5) for _ in range(leaves)
        ]
        self.values = list(self.point)
        # relative: from rounding, from the leaves
        self.errors, self.changes = [0.0] * leaves, [1.0] * leaves
        self.steps = []
        self.unused = list(range(leaves))

    def operand(self, row, i):
        """Draws a node, preferably one without a user yet, or a number."""
        rng = self.rng
        if row.parameters[i] == "digits":
            return float(rng.randint(0, 4))
        if row.parameters[i] == "condition" and rng.random() < 0.5:
            return float(rng.randint(0, 1))
        if row.arity > 1 and rng.random() < 0.1:
            return rng.choice(NUMBERS)
        return rng.choice(self.unused) if rng.random() < 0.6 else rng.randrange(len(self.values))

    def try_row(self, row, operands):
        """Adds an operation if it is acceptable, and returns whether it was."""
        nodes = [k for k in operands if isinstance(k, int)]
        args = [self.values[k] if isinstance(k, int) else k for k in operands]
        if not nodes or (row.domain and not row.domain(*args)):
            return False
        out = row.forward(*args)
        if not MAGNITUDE[0] <= abs(out) <= MAGNITUDE[1] or (
            row.piece and self._is_at_a_kink(row, args)
        ):
            return False
        slopes = [row.partial_at(i, args, out) for i in range(row.arity)]
        growth = [
            abs(slope * x / out) if isinstance(k, int) else 0.0
            for slope, x, k in zip(slopes, args, operands)
        ]
        errors = [self.errors[k] if isinstance(k, int) else 0.0 for k in operands]
        error = 1 + sum(map(operator.mul, growth, errors))
        change = max(g * self.changes[k] for g, k in zip(growth, operands) if isinstance(k, int))
        if not (
            max(growth) <= STEEPEST
            and error <= WORST
            and all(g == 0 or g > FLATTEST for g in (*growth, change))
        ):
            return False
        if not self._slopes_are_steady(row, args, slopes, errors):
            return False
        self.unused = [k for k in self.unused if k not in nodes] + [len(self.values)]
        self.values.append(out)
        self.errors.append(error)
        self.changes.append(change)
        self.steps.append((row, tuple(operands)))
        return True

    def _is_at_a_kink(self, row, args):
        moves = [[x * (1 + d) if i == j else x for j, x in enumerate(args)]
                 for i in range(row.arity) for d in (NEARBY, -NEARBY)]
        return any(row.piece(*move) != row.piece(*args) for move in moves)

    def _slopes_are_steady(self, row, args, slopes, errors):
        """Returns whether no partial derivative is close to one of its zeros, as cos(x) may be."""
        for j, error in enumerate(errors):
            if error:
                moved = [arg * (1 + 1e-6) if i == j else arg for i, arg in enumerate(args)]
                out = row.forward(*moved)
                if any(abs(slope - row.partial_at(i, moved, out)) * 1e6 * error > WORST * abs(slope)
                       for i, slope in enumerate(slopes)):
                    return False
        return True

    def grow(self, left):
        """Adds one operation such that ``left`` more can join all nodes; returns whether one was
        found."""
        rng = self.rng
        merge = len(self.unused) - 1 > left
        for _ in range(60):
            if merge:
                row, operands = TABLE[rng.choice(MERGERS)], rng.sample(self.unused, 2)
            else:
                row = TABLE[rng.choice(ARITHMETIC)] if rng.random() < 0.4 else rng.choice(ROWS)
                operands = [self.operand(row, i) for i in range(row.arity)]
                used = {k for k in operands if isinstance(k, int)} & {*self.unused}
                if len(self.unused) - len(used) > left:
                    continue
            if self.try_row(row, operands):
                return True
        return False


@functools.cache
def graph(seed, smallest=1, largest=200):
    """Returns the graph of a random seed. Its size is spread evenly over the powers of two."""
    rng = random.Random(f"graph {seed}")
    size = round(smallest * (largest / smallest) ** rng.random())
    while True:
        leaves = rng.randint(1, min(8, 1 + size // 3))
        builder = Builder(rng, leaves)
        if all(builder.grow(left) for left in reversed(range(size - leaves))):
            with mp.workdps(DIGITS):
                return Graph(
                    tuple(builder.point),
                    builder.steps,
                    *evaluate(builder.steps, list(map(mpf, builder.point))),
                )


# ---- the checkers --------------------------------------------------------------------------------


def disagrees(got, true, scale, tolerance, tiny=TINY):
    """Returns whether a derivative is wrong: by a relative error above ``tolerance`` or, if terms
    have cancelled, by too many rounding errors.

    A derivative below `CANCELLED` times the sum of absolute values cannot have all its digits in
    53-bit arithmetic, because one rounding error of that sum is already too large. It may then be
    wrong by `ROUNDINGS` such errors.
    """
    error = abs(got - true)
    if scale < tiny:
        return not error <= tiny
    return not (
        error <= tolerance * abs(true)
        if abs(true) > CANCELLED * scale
        else error <= ROUNDINGS * 2.0**-53 * scale
    )


def faults(graphs):
    """THE CHECKER: yields a sentence for each value and gradient on which the engine and mpmath
    disagree."""
    for g in graphs:
        xs = [Value(x) for x in g.point]
        y = g.on(xs)
        y.backward()
        tolerance = next(tolerance for size, tolerance in TOLERANCE.items() if g.size <= size)
        if not abs(y.data - g.value) <= tolerance * abs(g.value):
            yield f"{y.data!r}, not {mp.nstr(g.value, 17)}, is the value of {g}"
        for i, (x, true, scale) in enumerate(zip(xs, g.gradient, g.scale, strict=True)):
            if disagrees(x.grad, true, scale, tolerance):
                yield f"d/dx{i} is {x.grad!r}, not {mp.nstr(true, 17)}, of {g}"


def second_order_faults(graphs):
    """Yields the same for the product of the Hessian with a vector of signs, a gradient of a
    gradient."""
    for k, g in enumerate(graphs):
        rng = random.Random(k)
        signs = [rng.choice((1.0, -1.0)) for _ in g.point]
        xs = [Value(x) for x in g.point]
        slope = sum(
            (sign * first for sign, first in zip(signs, gradients(g.on(xs), xs))), Value(0.0)
        )
        scales = absolute_adjoints(slope)
        for i, (x, got, true) in enumerate(
            zip(xs, gradients(slope, xs), hessian_times(g, signs), strict=True)
        ):
            if disagrees(got.data, true, scales.get(x, 0.0), SECOND_TOLERANCE, RESOLVED):
                yield (
                    f"{got.data!r}, not {mp.nstr(true, 17)}, "
                    f"is entry {i} of the Hessian times {signs} of {g}"
                )


def absolute_adjoints(root):
    """Returns for each node the sum over the paths from ``root`` of the absolute values."""
    scales = {root: 1.0}
    for node in reversed(topological_order(root)):
        for arg, partial in zip(node.args, node.partials):
            scales[arg] = scales.get(arg, 0.0) + scales.get(node, 0.0) * abs(partial)
    return scales


# ---- the tests -----------------------------------------------------------------------------------


def test_values_and_gradients_of_random_graphs_agree_with_mpmath():
    assert list(faults(map(graph, range(GRAPHS)))) == []


def test_gradients_of_gradients_of_random_graphs_agree_with_mpmath():
    # A cancelled adjoint has few digits, and it is an operand in the graph of the gradients.
    graphs = itertools.islice((g for g in map(graph, itertools.count()) if not g.cancels), SECOND)
    assert list(second_order_faults(graphs)) == []


@pytest.mark.parametrize("seed", range(scaled(ci=10, thorough=100)))
def test_graphs_of_200_nodes_agree_with_mpmath(seed):
    big = graph(seed, smallest=200)
    assert big.size == 200
    assert list(faults([big])) == []


def test_random_graphs_vary_in_size_rows_and_operands():
    graphs = list(map(graph, range(400)))
    sizes = [g.size for g in graphs]
    assert min(sizes) == 1
    assert max(sizes) > 180
    assert sum(size > 50 for size in sizes) > 60
    assert {row.name for g in graphs for row, _ in g.steps} == {row.name for row in ROWS}
    operands = [k for g in graphs for _, ks in g.steps for k in ks]
    assert sum(isinstance(k, float) for k in operands) > 300
    assert any(len(ks) == 2 and ks[0] == ks[1] for g in graphs for _, ks in g.steps)
    for g in graphs:
        used = [k for _, ks in g.steps for k in ks if isinstance(k, int)]
        assert len(set(used)) == g.size - 1  # every node except the last has a user
    shared = [
        g
        for g in graphs
        if len(used := [k for _, ks in g.steps for k in ks if isinstance(k, int)]) > len(set(used))
    ]
    assert len(shared) > 250
    derivatives = [
        (true, scale) for g in graphs for true, scale in zip(g.gradient, g.scale) if scale
    ]
    assert sum(abs(true) > CANCELLED * scale for true, scale in derivatives) > 0.9 * len(
        derivatives
    )
    assert len(derivatives) > 900


def test_random_graphs_are_repeatable():
    assert str(graph(7)) == str(graph.__wrapped__(7))
    assert graph(7).gradient == graph.__wrapped__(7).gradient


# ---- the checkers are checked --------------------------------------------------------------------

PLANTED_IN = 400
WRITTEN_OUT = ("add", "sub", "mul", "neg")
PASSED_ON = [
    (row, i)
    for row in ROWS
    for i in range(row.arity)
    if row.name not in WRITTEN_OUT
    and any(
        partials_of(row.name)[i](*map(mpf, args))
        for args in [(0.5, 0.25, 0.3)[: row.arity], (1.5,) * row.arity]
    )
]


@pytest.mark.parametrize(
    ("row", "i"), PASSED_ON, ids=[f"{row.name}-{row.parameters[i]}" for row, i in PASSED_ON]
)
def test_a_rule_that_is_wrong_by_a_millionth_is_found_in_random_graphs(row, i):
    graphs = list(map(graph, range(PLANTED_IN)))
    right = row.partials[i]
    rules = (*row.partials[:i], lambda *args: right(*args) * (1 + 1e-6), *row.partials[i + 1:])
    with replaced(row, "partials", rules):
        assert next(faults(g for g in graphs if any(step[0] is row for step in g.steps)), None)


@pytest.mark.parametrize("dunder", ["__add__", "__sub__", "__mul__", "__neg__"])
def test_an_operator_that_is_wrong_by_a_millionth_is_found_in_random_graphs(dunder, monkeypatch):
    """These operators are written out and do not use their rows."""
    graphs = list(map(graph, range(PLANTED_IN)))
    right, detour = getattr(Value, dunder), TABLE["identity"]
    monkeypatch.setattr(Value, dunder, lambda x, *y: right(detour(x), *y))
    assert next(faults(graphs), None) is None
    with replaced(detour, "partials", (lambda x, o: 1 + 1e-6,)):
        assert next(faults(graphs), None)


@pytest.mark.parametrize("dunder", ["__add__", "__mul__", "__truediv__"])
def test_lost_edge_of_a_repeated_operand_is_found(dunder, monkeypatch):
    graphs = list(map(graph, range(PLANTED_IN)))
    right = getattr(Value, dunder)
    monkeypatch.setattr(Value, dunder, lambda x, y: right(x, y.data if x is y else y))
    assert next(faults(graphs), None)


def test_planted_wrong_second_derivative_is_found():
    graphs = list(map(graph, range(PLANTED_IN)))
    exp = TABLE["exp"]
    # Its value is right, but as a Value it does not depend on x as it should.
    with replaced(exp, "partials", (lambda x, o: float(o) * (1 + (x - float(x)) * (1 + 1e-6)),)):
        assert list(faults(graphs)) == []
        assert next(second_order_faults(graphs), None)


def test_planted_wrong_value_is_found():
    graphs = list(map(graph, range(50)))
    right = TABLE["tanh"].forward
    with replaced(TABLE["tanh"], "forward", lambda x: right(x) * (1 + 1e-6)):
        assert any("is the value of" in fault for fault in faults(graphs))


def test_cancelled_derivative_may_have_the_rounding_errors_of_its_terms():
    assert not disagrees(1.0 + 9e-12, 1.0, 1.0, 1e-11)
    assert disagrees(1.0 + 11e-12, 1.0, 1.0, 1e-11)
    # wrong by a tenth, which is nine rounding errors of 1
    assert not disagrees(1.1e-14, 1e-14, 1.0, 1e-11)
    assert disagrees(1.2e-14, 1e-14, 1.0, 1e-11)
    assert disagrees(std.nan, 1.0, 1.0, 1e-11)
    assert disagrees(std.nan, 0.0, 0.0, 1e-11)
    assert disagrees(std.inf, 0.0, 1.0, 1e-11)
