"""A recorded graph as data for ``recording.js``, and the table as JavaScript.

A page computes its graph again when a leaf changes, and writes the sentences itself.  It has the
numbers that Python computed until then, and the templates of `debug.sentences`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any

from tinygrad_edu.debug.misconceptions import MISCONCEPTIONS
from tinygrad_edu.debug.recording import Recording
from tinygrad_edu.debug.sentences import ORDINALS, TEMPLATES, Written, differential, written
from tinygrad_edu.engine.primitive import TABLE, Primitive, lookup
from tinygrad_edu.errors import PrimitiveError
from tinygrad_edu.jit.languages.text import Source, language_of
from tinygrad_edu.symbolic.formulas import Name, as_name

from ..scripts import joined_modules

EXPORTS = ("Graph", "OPTIMIZERS", "step", "ROWS", "WRONG_RULES")
ABOUT_ENGINE = """\
// The engine of tinygrad_edu in JavaScript.
//
//   const graph = new Graph(ROWS)
//   const a = graph.leaf(2), b = graph.leaf(-3)
//   const y = graph.apply("tanh", graph.apply("mul", a, b))
//   graph.gradients(y)[a]      // dy/da
//   graph.set(a, 0.5)          // computes again what depends on a
//   const state = { steps: 0, slots: [] }
//   step(OPTIMIZERS.Adam(), [0.5], [graph.gradients(y)[a]], state, 0.01)  // the new numbers

"""
# the rules of the wrong ideas, as rows
_WRONG = {
    name: {
        op: Primitive(
            op,
            lookup(op).forward,
            tuple([
                idea.rules.get((op, i), rule) for i, rule in enumerate(lookup(op).partials)
            ]),
            parameters=lookup(op).parameters,
        )
        for op in dict.fromkeys(op for op, _ in idea.rules)
    }
    for name, idea in MISCONCEPTIONS.items()
}


def program(recording: Recording, named: Collection[int]) -> dict[str, Any]:
    """Returns a recording as data: one list for each field, with an entry for each node.

    rows: the names of the rows that occur
    ops: which of them computes the node; -1 for leaves and constants
    operands: the positions of its operands
    data, partials: its number, and its local derivatives; null for those of constants
    names: its name in sentences
    differentials: the name behind the d of a gradient
    constants: the positions of the constants
    operations, rules: by position, what it computes and its local derivatives, in names; only for
        the positions in ``named``
    written, calls: by row, how it is written with numbers, and as Python
    templates, ordinals: see `debug.sentences`
    ideas: the wrong ideas, see `MISCONCEPTIONS`; ``formulas`` are their rules in names
    idea: the wrong idea that the recording follows, or ""
    isAlive: whether JavaScript can compute all rows
    """
    nodes = recording.nodes
    ops = list(dict.fromkeys(node.op for node in nodes if node.op))
    right = replace(recording, misconception="")  # the rules of wrong ideas are in "ideas"
    idea = recording.misconception or ("early" if recording.order == "naive" else "")
    return {
        "rows": ops,
        "ops": [ops.index(node.op) if node.op else -1 for node in nodes],
        "operands": [node.args for node in nodes],
        "data": [_number(node.data) for node in nodes],
        "partials": [[_number(x) for x in node.partials] for node in nodes],
        "names": [node.name for node in nodes],
        "differentials": [differential(node.name) for node in nodes],
        "constants": [i for i, node in enumerate(nodes) if node.constant],
        "operations": {
            i: recording.operation(i).removeprefix(f"{nodes[i].name} = ")
            for i in named if nodes[i].op
        },
        "rules": {
            i: [right.rule(i, k) for k in range(len(nodes[i].args))]
            for i in named if nodes[i].op
        },
        "written": {op: written(lookup(op))._asdict() for op in ops},
        "calls": {op: call_of(lookup(op))._asdict() for op in ops},
        "templates": TEMPLATES,
        "ordinals": ORDINALS,
        "ideas": {name: _idea(name) for name in MISCONCEPTIONS},
        "idea": idea,
        "isAlive": all(map(is_alive, ops)),
    }


def _number(x: float | None) -> float | str | None:
    """Returns a number as JSON has it: infinities and nan are texts, as Python writes them."""
    return x if x is None or isfinite(x) else repr(x)


def call_of(row: Primitive) -> Written:
    """Returns how a row is written in a program."""
    text, in_brackets = written(row)
    if row.symbol:
        return Written(text.replace(" × ", " * "), in_brackets)
    fields = ", ".join([f"{{{i}}}" for i in range(row.arity)])
    return Written(f"math.{row.name}({fields})", in_brackets)


@cache
def _idea(name: str) -> dict[str, Any]:
    idea = MISCONCEPTIONS[name]
    formulas: dict[str, dict[int, str]] = {}
    for (op, i), rule in idea.rules.items():
        names = [Name(f"{{{k}}}") for k in range(lookup(op).arity)]
        formulas.setdefault(op, {})[i] = as_name(rule(*names, Name("{o}"))).text
    return {
        "title": idea.title,
        "truth": idea.truth,
        "replaces": idea.replaces,
        "is_naive": idea.is_naive,
        "ignores_adjoint": idea.ignores_adjoint,
        "formulas": formulas,
    }


def is_alive(op: str) -> bool:
    """Returns whether a row and its derivatives can be written in JavaScript."""
    return _is_written(lookup(op))


@cache
def _is_written(row: Primitive) -> bool:
    source = Source(language_of("javascript"), "row")
    try:
        source.forward(row)
        _partials(source, row)
    except PrimitiveError:
        return False
    return True


def rows(ops: Iterable[str]) -> str:
    """Returns ``rows.js`` with these rows of the table, and the wrong rules for them.

    Raises:
        PrimitiveError: a row can be computed in Python only.
    """
    source = Source(language_of("javascript"), "row")
    ops = list(ops)
    table = [
        f"  {op}: {{ forward: {source.forward(lookup(op))}, "
        f"partials: {_partials(source, lookup(op))} }}"
        for op in ops
    ]
    wrong = []
    for name, found in _WRONG.items():
        rules = [f"{op}: {_partials(source, row)}" for op, row in found.items() if op in ops]
        wrong.append(f"  {name}: {{ {', '.join(rules)} }}")
    tables = {"ROWS": table, "WRONG_RULES": wrong}
    return source.text() + "".join([
        f"\nexport const {name} = {{\n" + ",\n".join(lines) + "\n}\n"
        for name, lines in tables.items()
    ])


def engine_script(ops: Iterable[str] = TABLE) -> str:
    """Returns the engine in JavaScript with these rows of the table: `engine.js` and `rows`.

    It defines Graph, OPTIMIZERS, step, ROWS and WRONG_RULES.  Rows that can be computed in Python
    only are left out.
    """
    folder = Path(__file__).parent
    return joined_modules(folder, "engine.js") + rows(filter(is_alive, ops)).replace("export ", "")


def engine_module() -> str:
    """Returns the engine as one ES module, for other programs; see `engine_script`."""
    return f"{ABOUT_ENGINE}{engine_script()}\nexport {{ {', '.join(EXPORTS)} }}\n"


def _partials(source: Source, row: Primitive) -> str:
    return f"[{', '.join([source.partial(row, i) for i in range(row.arity)])}]"
