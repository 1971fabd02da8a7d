"""`compare_orders`: the backward pass in topological order and in the naive recursive one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

from ..engine.value import Value
from .recording import Recording, check_root, record
from .sentences import gradient
from .stepper import Stepper
from .text import short_number

TABLE_LINES = 24  # lines of a printed `Comparison`


class Comparison(NamedTuple):
    """The backward pass of one graph in two orders.

    Its repr shows both, and where and why they differ.

    topological: the recording in topological order, which gives the gradients.
    naive: the recording in the naive recursive order.
    early: the number of the first step of ``naive`` that goes wrong: it passes on a gradient that
        is not complete yet.  None if both orders agree.
    late: the number of the step that adds to that gradient later; None if both orders agree.
    """

    topological: Recording
    naive: Recording
    early: int | None
    late: int | None

    @property
    def gradients(self) -> dict[str, tuple[float, float]]:
        """For every node that is not a constant, its gradient by each order.

        The first number is right, the second comes from the naive order.
        """
        right = Stepper(self.topological).finish()
        naive = Stepper(self.naive).finish()
        return {
            name: (right.numbers(i)[1], naive.numbers(i)[1])
            for name, i in self.naive.positions.items()
        }

    def __repr__(self) -> str:
        return "\n".join([*self._table(), "", *self._reasons()])

    def _table(self) -> Iterator[str]:
        recordings = (self.topological, self.naive)
        columns = [[step.words for step in steps[steps.forward:]] for steps in recordings]
        width = max(map(len, ["topological order", *columns[0]]))
        yield f"{'topological order':<{width}}   naive recursive order"
        marks = {self.early: "   <- too early", self.late: "   <- the rest of it"}
        rows = list(itertools.zip_longest(*columns, fillvalue=""))
        for number, (left, right) in enumerate(rows[:TABLE_LINES], self.naive.forward + 1):
            yield f"{left:<{width}}   {right}{marks.get(number, '')}".rstrip()
        if len(rows) > TABLE_LINES:
            yield f"... and {len(rows) - TABLE_LINES} more steps"

    def _reasons(self) -> Iterator[str]:
        if self.early is None or self.late is None:
            yield (
                "Both orders agree: whenever the naive order passes a gradient on, that gradient is"
            )
            yield "already complete.  This is always so if no operation is used twice."
            return
        nodes = self.naive.nodes
        root = nodes[self.naive.root].name
        event = self.naive.events[self.early - 1]
        user = nodes[event.user or 0].name
        final = self.naive.events[self.late - 1].after
        yield (
            f"{user} is used more than once, so {gradient(root, user)} is a sum.  The naive order "
            "passes it on to"
        )
        yield (
            f"{nodes[event.node].name} when it is {short_number(event.adjoint)} "
            f"(step {self.early}), before the rest of it arrives "
            f"(step {self.late} makes it {short_number(final)})."
        )
        yield "Then it passes on the whole sum, so the first part is counted twice."
        wrong = {name: pair for name, pair in self.gradients.items() if pair[0] != pair[1]}
        for name, (right, naive) in list(wrong.items())[:TABLE_LINES]:
            given = short_number(naive)
            total = gradient(root, name)
            yield f"  {total} is {short_number(right)}; the naive order gives {given}"
        if not wrong:
            yield "  In this graph the extra amounts are 0, so the gradients are right anyway."
        yield "The topological order visits a node after all of its users, when its gradient is"
        yield "complete, and follows each edge once."


def compare_orders(root: Value) -> Comparison:
    """Records the backward pass of ``root`` in both orders, and returns the `Comparison`.

    One is the topological order, the other the naive recursive order.

        >>> from tinygrad_edu import Value
        >>> a = Value(1.0, "a")
        >>> b = a + a
        >>> c = b + b
        >>> compare_orders(c).gradients["a"]
        (4.0, 6.0)

    Raises what `record` raises.
    """
    check_root(root, "compare_orders: root")
    right = record(root)
    naive = record(root, order="naive")
    steps = list(enumerate(naive.events, 1))[naive.forward:]
    # for each node, the last step that adds to its gradient
    last = {event.node: number for number, event in steps}
    for early, event in steps:
        if event.user is not None and last[event.user] > early:
            late = next(k for k, step in steps if k > early and step.node == event.user)
            return Comparison(right, naive, early, late)
    return Comparison(right, naive, None, None)
