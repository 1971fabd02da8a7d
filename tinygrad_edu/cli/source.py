"""The command source, which writes an expression as a function in another language."""

from __future__ import annotations

import argparse

from ..engine.value import Value
from ..files import destination, write_atomically
from .arguments import Command, argument, option


def run_source(options: argparse.Namespace) -> int:
    """Writes the function of an expression to standard output or to a file."""
    from ..jit.languages.text import language_of

    language = language_of(options.to)
    if options.out == "-":
        print(source_of(options), end="")
        return 0
    example = f"{options.name}{language.suffix}"
    what = f"a function in {language.name}"
    path = destination(options.out, what, [language.suffix], example)
    write_atomically(path, source_of(options).encode())
    print(f"wrote {path}")
    return 0


def source_of(options: argparse.Namespace) -> str:
    """Returns the text of the function; its inputs are the variables in order of appearance."""
    from ..jit.languages.text import written
    from ..jit.tape import gradient
    from ..jit.tracing import record_trace
    from ..symbolic.expressions import parse, variables_of

    variables = variables_of(options.expression)
    parse(options.expression, dict.fromkeys(variables, 1.0))  # raises what a plain call raises

    def f(*xs: Value) -> Value:
        return parse(options.expression, dict(zip(variables, xs)))

    trace, result = record_trace(f, variables, lambda values: (values, {}))
    root = trace.operand(result)
    outputs = ["result"]
    if options.gradient:
        outputs += [f"d result / d {name}" for name in variables]
        tape = gradient.value_and_gradient(trace, root, variables)
    else:
        tape = gradient.value(trace, [root])
    return written(tape, options.to, options.name, outputs)


SOURCE = Command(
    "source",
    run_source,
    'write an expression as a function in another language: source "tanh(a*b + c)" --to c',
    (
        argument("expression", help="the expression; its variables are the inputs"),
        argument("--to", required=True, metavar="LANGUAGE", help="c, javascript or python"),
        argument("--gradient", action="store_true", help="the derivatives follow the result"),
        option("--name", "f", "name of the function"),
        option("-o --out", "-", "file to write; - is standard output"),
    ),
)
