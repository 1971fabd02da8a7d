"""Conditions under which a node is an operand: which branches `where` and `take` chose.

    >>> holds, fails = case(3, 1), case(3, 0)  # node 3 of a trace, which a `where` asks
    >>> either(holds, fails) is ALWAYS
    True
    >>> both(holds, fails) is NEVER
    True

A condition is a set of alternatives, and an alternative is a set of cases, all of which must hold
(the disjunctive normal form).  A case says which branch a choice takes.  The choices of a `where`
are 0 and 1; those of a `take` are the positions of its entries.
"""

from __future__ import annotations

from collections.abc import Set

from .operations import Ref

Case = tuple[Ref, int, int]  # the node that decides, the number of branches, the branch
Condition = frozenset[frozenset[Case]]

ALWAYS: Condition = frozenset([frozenset()])
NEVER: Condition = frozenset()


def case(decides: Ref, branch: int, branches: int = 2) -> Condition:
    """Returns the condition that a choice takes a branch."""
    return frozenset([frozenset([(decides, branches, branch)])])


def both(p: Condition, q: Condition) -> Condition:
    """Returns the condition that p and q hold."""
    if p is ALWAYS:
        return q
    return p if q is ALWAYS else _simplified({a | b for a in p for b in q if _is_possible(a | b)})


def either(p: Condition, q: Condition) -> Condition:
    """Returns the condition that p holds, or q, or both."""
    return ALWAYS if p is ALWAYS or q is ALWAYS else _simplified(p | q)


def _is_possible(alternative: frozenset[Case]) -> bool:
    """Returns whether no choice takes two branches."""
    return len({case[:2] for case in alternative}) == len(alternative)


def _simplified(p: Set[frozenset[Case]]) -> Condition:
    if frozenset() in p:
        return ALWAYS
    p = {a for a in p if not any(b < a for b in p)}
    for a in p:
        for decides, branches, branch in a:
            others = a - {(decides, branches, branch)}
            siblings = {others | {(decides, branches, i)} for i in range(branches)}
            if siblings <= p:  # whichever branch it takes
                return _simplified(p - siblings | {others})
    return frozenset(p) or NEVER
