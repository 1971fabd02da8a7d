"""Tapes of traces that were seen before, without differentiating and lowering them again.

A trace is known by its operations, operands, constants and labels.  So models of the same shape
share their programs, and so do processes (`store`).  Programs with rows that you define are made
each time.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable
from typing import Any

from ...engine.primitive import Primitive, lookup
from ...engine.table import are_built_in
from ...errors import PrimitiveError, some
from ..tape.operations import OPERATIONS, SOURCES, LabeledNodes
from ..tape.tape import Tape
from . import objects, store

ARRAYS = {"constants": "d", "ops": "H", "starts": "I", "operands": "I", "outputs": "I"}
LONG = 50  # nodes of a trace whose tape is worth a file


def tape(make: Callable[..., Tape], trace: LabeledNodes, *settings: Any) -> Tape:
    """Returns ``make(trace, *settings)``, which it recalls if it can.

    settings: numbers, texts and None, and lists and tuples of them.
    """
    if not are_built_in({op for op, _ in trace.nodes}.difference(SOURCES, OPERATIONS)):
        return make(trace, *settings)
    labels = {ref: trace.label(ref) for ref in trace.labels}
    key = make.__name__, trace.nodes, labels, settings, repr(objects.host())

    def made() -> store.Entry:
        tape = make(trace, *settings)
        return [tape.names, tape.table, [*tape.labels.items()]], _arrays(tape)

    on_disk = len(trace.nodes) > LONG and objects.available()
    (names, table, pairs), parts = store.recalled(key, made, on_disk)
    arrays: Any = {name: array(code, x) for (name, code), x in zip(ARRAYS.items(), parts)}
    return Tape([*names], table=[*table], labels=dict(pairs), **arrays)


def digest(tape: Tape) -> Any:
    """Returns what the machine code of a tape depends on, for `store.recalled`.

    It is None if that is the code of rows that you define.
    """
    if not are_built_in({*tape.table}.difference(OPERATIONS)):
        return None
    return [len(tape.names), tape.table, *_arrays(tape)]


def own_rows(tape: Tape) -> list[str]:
    """Returns what tells rows that were defined again, with the same names, from earlier ones.

    It is what they compute, for some numbers, so that processes can compare it.
    """
    names = sorted({*tape.table}.difference(OPERATIONS))
    return [] if are_built_in(names) else [_digits(lookup(name)) for name in names]


def check_rows(tape: Tape, rows: list[str]) -> None:
    """Raises PrimitiveError if `own_rows` of a tape were others in the process that sent it."""
    if rows and own_rows(tape) != rows:
        names = sorted({*tape.table}.difference(OPERATIONS))
        raise PrimitiveError(
            f"one of the primitives {some(names)} has another definition in this worker than in "
            "the process that uses it, where it was defined again; start the workers again"
        )


def _digits(row: Primitive) -> str:
    found: list[Any] = [row.name]
    for k in range(24):
        args = [(7 * k + 5 * i) % 24 / 6 - 1.9 for i in range(row.arity)]
        for rule in (row.forward, *row.partials):
            try:
                given = args if rule is row.forward else [*args, row.forward(*args)]
                found.append(float(rule(*given)))
            except Exception as error:  # a rule of the user's may raise anything
                found.append(type(error).__name__)
    return hashlib.sha256(repr(found).encode()).hexdigest()


def _arrays(tape: Tape) -> list[bytes]:
    return [getattr(tape, name).tobytes() for name in ARRAYS]
