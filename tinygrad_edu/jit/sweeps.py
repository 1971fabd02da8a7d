"""Derivatives inside a traced function: the sweeps of `autodiff` over the nodes of its trace.

    >>> from tinygrad_edu import grad, jit
    >>> print(jit(grad(lambda x: x * x * x)).show(2.0))
    inputs  x0
    t1 = x0 * x0
    t2 = t1 + t1
    t3 = t2 + t1
    return t3

A trace becomes a graph with edges (`Recorded`), over which the sweeps run as over Values.  The
rules of the table run on traced values, so the derivatives are nodes of the same trace, in the
order in which the eager engine would make them.  What the function computes from its own leaves
has numbers, and is an ordinary graph of Values; the sweeps pass from one graph to the other.

In the eager graph, a branch that `where` does not take is not an operand, an entry that `take`
chooses is the operand itself, and a sum has only the terms that there are.  Here it is not known
yet what is chosen.  So every edge has a condition, and so has every adjoint and tangent (`Term`).
Sums and products of terms choose what the eager engine would have computed, with every bit, also
when they are differentiated again: a "gate" chooses between two nodes and is none itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, nan
from typing import Any

from ..engine.accumulation import Edges, accumulate, propagate, symbolic_edges, times
from ..engine.graph import Node, next_serial
from ..engine.primitive import lookup
from ..engine.table import Ieee, identity
from ..engine.value import Value
from ..errors import StaleGraphError
from .tape.conditions import ALWAYS, NEVER, Condition, both, case, either
from .tape.lowering import is_nan_at_nan
from .tape.operations import CONDITIONS, DETACH, EQUAL, GATE, SOURCES, SUMPROD, TAKE, Ref
from .traced import Traced

MOST_CASES = 16  # of a condition; one that has more is computed, and counts as one case
# Among how many nodes a gate may choose.  Each gets an edge from every user of the gate, which is
# quadratic where one number gets gradients from many branches; so there is a limit.  Beyond it,
# terms that are not there are added as -0.0, which changes no number.  If such a sum is
# differentiated again, its terms may be added in another order than in the eager engine.
MOST_CHOICES = 256
Choices = Sequence[tuple[Any, Condition]]  # nodes of graphs, and when each is the operand


class Recorded(Node):
    """A node of a trace with its edges.

    operands: the arguments of its row: nodes of the trace, floats, and Values with numbers.
    ref: the node; None for a part of a sum of products.

    An edge is a node and, in place of a local derivative, the position of the operand and the
    condition under which the node is that operand.
    """

    __slots__ = ("operands", "ref")

    def __init__(
        self, serial: float, op: str, operands: Sequence[Any], ref: Ref | None,
        choices: Sequence[Choices],
    ) -> None:
        self.serial = serial
        self.op = op
        self.operands = operands
        self.ref = ref
        edges: list[Any] = [
            (node, AT[i] if condition is ALWAYS and i < 3 else (i, condition))
            for i, found in enumerate(choices)
            for node, condition in found
            if condition is not NEVER
        ]
        self.edges = edges


AT = [(i, ALWAYS) for i in range(3)]  # most second parts of edges, made once: rows are short


class Term:
    """An adjoint or a tangent: ``value`` if the condition holds, and otherwise nothing."""

    __slots__ = ("condition", "sweeps", "value")

    def __init__(self, sweeps: Sweeps, value: Any, condition: Condition) -> None:
        self.sweeps = sweeps
        self.value = value
        self.condition = condition

    def __mul__(self, other: Term) -> Term:
        sweeps = self.sweeps
        condition = self.condition
        if condition is not other.condition:
            condition = sweeps.both(condition, other.condition)
        return Term(sweeps, sweeps.product(self.value, other.value), condition)

    def __add__(self, other: Term) -> Term:
        sweeps = self.sweeps
        if self.condition is ALWAYS is other.condition:
            return Term(sweeps, self.value + other.value, ALWAYS)
        x = self.value
        y = other.value
        if sweeps.size(x) + sweeps.size(y) > MOST_CHOICES:
            total = sweeps.choose(self.condition, x, -0.0) + sweeps.choose(other.condition, y, -0.0)
            return Term(sweeps, total, sweeps.either(self.condition, other.condition))
        total = y
        if both(self.condition, other.condition) is not NEVER:
            total = sweeps.choose(self.condition, x + y, y)
        total = sweeps.choose(other.condition, total, x)
        return Term(sweeps, total, sweeps.either(self.condition, other.condition))


class Sweeps:
    """The sweeps over one trace."""

    def __init__(self, trace: Any) -> None:
        self._trace = trace
        self._choices: list[Choices] = []  # for each node of the trace, the nodes it stands for
        self._computed: dict[Condition, Ref] = {}  # the nodes of conditions
        self._meaning: dict[Ref, Condition] = {}  # the inverse
        self._first: dict[Any, Ref] = {}  # the first of equal comparisons
        self._sizes: dict[Ref, int] = {}  # for each gate, among how many nodes it chooses

    # ---- the two sweeps

    def adjoints(
        self, roots: Sequence[Value], seeds: Sequence[Any], xs: Sequence[Value], as_values: bool
    ) -> list[Any]:
        """Returns d(sum of seed * root)/d x for each x: as new Values, or as numbers."""
        starts = [
            (node, Term(self, seed, condition))
            for root, seed in zip(roots, seeds)
            for node, condition in self.choices(root)
        ]
        wanted = [self.choices(x) for x in xs]
        existing = len(self._trace.nodes)
        serial = next_serial()
        found = accumulate(
            [node for node, _ in starts],
            [term for _, term in starts],
            [node for choices in wanted for node, _ in choices],
            self._edges,
        )
        results = []
        for choices in wanted:
            adjoint = self._chosen(choices, found)
            if not as_values:
                adjoint = self._trace.number(adjoint)
            elif self._trace.is_number(adjoint):
                adjoint = Value(adjoint)
            elif (
                self._node_of(adjoint) < existing
                if self._trace.is_unknown(adjoint) else adjoint.serial < serial
            ):
                adjoint = identity(adjoint)
            results.append(adjoint)
        return results

    def tangents(
        self, outputs: Sequence[Value], leaves: Sequence[Value], tangents: Sequence[Any],
        as_values: bool,
    ) -> list[Any]:
        """Returns J t for the tangents t of the leaves, as Values or as numbers."""
        found: dict[Any, Any] = {
            node: Term(self, tangent, condition)
            for leaf, tangent in zip(leaves, tangents)
            for node, condition in self.choices(leaf)
        }
        wanted = [self.choices(y) for y in outputs]
        propagate([node for choices in wanted for node, _ in choices], found, self._edges)
        chosen = [self._chosen(choices, found) for choices in wanted]
        if not as_values:
            return [self._trace.number(t) for t in chosen]
        return [Value(t) if self._trace.is_number(t) else t for t in chosen]

    def _chosen(self, choices: Choices, found: dict[Any, Term]) -> Any:
        """Returns what a sweep has found for the node that is chosen; 0.0 if it is nothing."""
        result: Any = 0.0
        for node, condition in choices:
            if (term := found.get(node)) is not None:
                result = self.choose(self.both(condition, term.condition), term.value, result)
        return result

    # ---- the trace

    def is_argument(self, ref: Ref) -> bool:
        """Returns whether a node is computed from arguments and numbers only."""
        trace = self._trace
        waiting = [ref]
        seen = set(waiting)
        while waiting:
            ref = waiting.pop()
            op, args = trace.nodes[ref]
            if op in ("parameter", DETACH) or ref in trace.operands:
                return False
            operands = () if op in SOURCES else args
            found = {arg for arg in operands if not trace.is_constant(arg)} - seen
            waiting += found
            seen |= found
        return True

    # ---- terms

    def product(self, partial: Any, adjoint: Any) -> Any:
        """Returns the product, or a factor alone where the other one is the number 1, like `times`.
        """
        trace = self._trace
        result = times(partial, adjoint)
        if trace.is_number(partial) is not trace.is_number(adjoint):
            number, other = partial, adjoint
            if not trace.is_number(number):
                number, other = adjoint, partial
            if number.__class__ is not float and self.size(other) < MOST_CHOICES:
                result = self._gate(self._equal(number, 1.0), other, result)
        return result

    def choose(self, condition: Condition, x: Any, y: Any) -> Any:
        """Returns x if the condition holds, and otherwise y."""
        if condition is ALWAYS or x is y:
            return x
        return y if condition is NEVER else self._gate(self._computing(condition), x, y)

    def _gate(self, condition: Any, x: Any, y: Any) -> Any:
        result = self._trace.gate(condition, x, y)
        self._sizes[result._index] = self.size(x) + self.size(y)
        return result

    def size(self, x: Any) -> int:
        """Returns the number of nodes that a number can stand for."""
        return self._sizes.get(x._index, 1) if x.__class__ is Traced else 1

    def both(self, p: Condition, q: Condition) -> Condition:
        """Returns the condition that p and q hold."""
        return self._short(both(p, q))

    def either(self, p: Condition, q: Condition) -> Condition:
        """Returns the condition that p holds, or q, or both."""
        return self._short(either(p, q))

    def _short(self, condition: Condition) -> Condition:
        """Returns the condition; if it is long, it is computed, and becomes a single case."""
        if condition is ALWAYS or sum(map(len, condition)) <= MOST_CASES:
            return condition
        return case(self._computing(condition)._index, 1)

    def _computing(self, condition: Condition) -> Any:
        """Returns a traced value, 1.0 where the condition holds and otherwise 0.0."""
        trace = self._trace
        if condition not in self._computed:
            alternatives = []
            for alternative in sorted(map(sorted, condition)):
                cases = [self._computing_case(*found) for found in alternative]
                total = cases[0]
                for found in cases[1:]:
                    total = trace.condition("mul", (total._index, found._index))
                alternatives.append(total)
            total = alternatives[0]
            for found in alternatives[1:]:
                total = trace.condition("maximum", (total._index, found._index))
            ref = self._computed[condition] = total._index
            self._meaning.setdefault(ref, condition)
        return trace.at(self._computed[condition])

    def _computing_case(self, decides: Ref, branches: int, branch: int) -> Any:
        trace = self._trace
        if branches > 2 or branch == 0:
            return self._equal(trace.at(decides), float(branch))
        if trace.is_condition(decides):
            return trace.at(decides)
        return 1.0 - self._equal(trace.at(decides), 0.0)

    def _equal(self, x: Any, y: Any) -> Any:
        """Returns whether two numbers are equal: a condition if one of them is not known."""
        refs = self._trace.operand(x), self._trace.operand(y)
        known = all(ref.__class__ is float for ref in refs)
        return refs[0] == refs[1] if known else self._trace.condition(EQUAL, refs)

    # ---- the graph

    def choices(self, x: Any) -> Choices:
        """Returns the nodes of graphs that a Value can stand for; a number has none."""
        ref: Any = self._trace.operand(x)
        if ref.__class__ is float:
            return ((x, ALWAYS),)
        nodes = self._trace.nodes
        while len(self._choices) <= ref:
            at = len(self._choices)
            self._choices.append(self._found(at, *nodes[at]))
        found: Choices = self._choices[ref]
        return found

    def _node_of(self, x: Any) -> Ref:
        """Returns the node of a traced value; a gate, which may stand for any node, counts as 0."""
        ref: Ref = self._trace.operand(x)
        return 0 if self._trace.nodes[ref][0] in (GATE, TAKE) else ref

    def _found(self, ref: Ref, op: str, args: tuple[Any, ...]) -> Choices:
        trace = self._trace
        if trace.is_constant(ref):
            return ()
        if op == "parameter":
            return ((trace.parameters[args[0]], ALWAYS),)
        if op in SOURCES or op == DETACH:
            return self._recorded(ref, "", (), ())
        if (given := trace.operands.get(ref)) is not None:
            args = tuple(map(_operand, given, args))
        choices = list(map(self._of_operand, args))
        if op == TAKE:
            return self._of_branches(args[0], choices[1:])
        if op == GATE:
            return self._of_branches(args[0], choices[:0:-1])
        if op == "where":
            for i, branch in ((1, 1), (2, 0)):
                condition = self._case(args[0], branch, 2)
                choices[i] = [(node, self.both(found, condition)) for node, found in choices[i]]
            choices[0] = ()
        if op == SUMPROD:
            return self._of_sumprod(ref, args, choices)
        return self._recorded(ref, op, args, choices)

    def _of_operand(self, arg: Any) -> Choices:
        if arg.__class__ is int:
            return self._choices[arg]
        return () if arg.__class__ is float else ((arg, ALWAYS),)

    def _recorded(
        self, ref: Ref, op: str, operands: Sequence[Any], choices: Sequence[Choices]
    ) -> Choices:
        return ((Recorded(self._trace.serials[ref], op, operands, ref, choices), ALWAYS),)

    def _of_branches(self, decides: Any, branches: Sequence[Choices]) -> Choices:
        """Returns the nodes that a choice stands for; ``decides`` is the number of the branch."""
        found: dict[Any, Condition] = {}
        for i, branch in enumerate(branches):
            condition = self._case(decides, i, len(branches))
            for node, inner in branch:
                reached = self.both(inner, condition)
                found[node] = self.either(found.get(node, NEVER), reached)
        return [(node, condition) for node, condition in found.items() if condition is not NEVER]

    def _case(self, decides: Any, branch: int, branches: int) -> Condition:
        if decides.__class__ is float:
            truth = bool(decides) if branches == 2 else decides
            return ALWAYS if truth == branch else NEVER
        op, args = self._trace.nodes[decides]
        if op in CONDITIONS:
            decides = self._first.setdefault((op, args), decides)
        meaning = self._meaning.get(decides)
        if branches == 2 and meaning is not None and len(meaning) == 1:
            ((first, *rest),) = meaning
            if not rest:
                inner, count, held = first
                if branch == 1:
                    return meaning
                if count == 2:
                    return case(inner, 1 - held)
        return case(decides, branch, branches)

    def _of_sumprod(self, ref: Ref, operands: Sequence[Any], choices: Sequence[Choices]) -> Choices:
        """Returns the last node of a sum of products, which are nodes of their own."""
        serial = self._trace.serials[ref]
        count = len(operands)
        total: Choices = ()
        for i in range(0, count, 2):
            product = choices[i:i + 2]
            if any(product):
                at = serial - 1 + (i + 1) / (2 * count)
                node = Recorded(at, "mul", operands[i:i + 2], None, product)
                product = [((node, ALWAYS),)]
            else:
                product = [()]
            if i == 0:
                total = product[0]
            elif total or product[0]:
                at = serial - 0.5 + (i + 2) / (2 * count)
                node = Recorded(at, "add", (0.0, 0.0), None, [total, product[0]])
                total = ((node, ALWAYS),)
        return total

    def _edges(self, node: Any) -> Edges:
        """Returns the operands of a node, and their local derivatives as terms."""
        if node.__class__ is not Recorded:
            return [
                (arg, None if partial is None else Term(self, partial, ALWAYS))
                for arg, partial in symbolic_edges(node)
            ]
        partials: dict[int, Any] = {}
        edges: list[Any] = []
        recorded: Any = node.edges
        for arg, (i, condition) in recorded:
            if i not in partials:
                partials[i] = self._partial(node, i)
            edges.append((arg, Term(self, partials[i], condition)))
        return edges

    def _partial(self, node: Recorded, i: int) -> Any:
        """Returns a local derivative, by the rule of the table.

        Where it is not finite, it is the row's limit, a convention that is not differentiated, and
        so is the nan where the result is nan (`Primitive.piece`).
        """
        if node.op == "where":
            return 1.0
        trace = self._trace
        row = lookup(node.op)
        args = list(map(self._argument, node.operands))
        out = self._argument(node.ref)
        d = row.partials[i](*args, out)
        if not isinstance(d, Value):
            d = float(d)
        has_pieces = row.piece is not None and not is_nan_at_nan(row)
        if not (row.limits or has_pieces):
            return d
        gate = trace.gate
        *numbers, result, known = [trace.number(x) for x in (*args, out, d)]
        is_finite = abs(d) < inf if row.limits else True
        is_number = self._equal(result, result) if has_pieces else True
        limit = gate(is_number, known, nan)
        if row.limits:
            limit = row.limits[i](*numbers, result, limit)
        other = gate(self._equal(limit, known), d, limit)
        of_nan = gate(self._equal(limit, limit), limit, d)  # nan is not another number than nan
        irregular = gate(self._equal(known, known), other, of_nan)
        return gate(is_number, gate(is_finite, d, irregular), irregular)

    def _argument(self, x: Any) -> Any:
        """Returns the argument of a rule for an operand; constants are IEEE numbers."""
        if x.__class__ is int:
            return self._trace.at(x)
        return Ieee(x) if x.__class__ is float else x


def _operand(x: Any, arg: Any) -> Any:
    """Returns the Value with a number that was given as an operand, or else the operand itself."""
    if arg.__class__ is int or not isinstance(x, Value) or x.constant:
        return arg
    if x.data != arg and arg == arg:
        raise StaleGraphError(
            f"stale graph: data was assigned to {x!r} after it had been used as {arg!r}; "
            "compute the expression again before you differentiate it"
        )
    return x
