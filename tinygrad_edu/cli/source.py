"""The command source, which writes an expression as a function in another language."""

from __future__ import annotations

import argparse

from ..engine.value import Value
from ..files import destination, write_atomically
from .arguments import Command, argument, file_option, option

LANGUAGES = {"js": "javascript", "py": "python"}  # other names that the command knows


def run_source(options: argparse.Namespace) -> int:
    """Writes the function of an expression, or the engine, to standard output or to a file."""
    from ..jit.languages.text import language_of

    if options.to is not None:
        options.to = LANGUAGES.get(options.to.lower(), options.to.lower())
    if options.engine is not None:
        engine = options.engine.lower()
        if options.expression is not None or engine not in ("js", "javascript"):
            raise ValueError("the engine is written in JavaScript: source --engine js -o engine.js")
        from viz.pages.live.program import engine_module

        return _write(options, engine_module(), "the engine in JavaScript", ".js", "engine.js")
    if options.expression is None or options.to is None:
        raise ValueError('give an expression and a language, as in source "x * y" --to c')
    language = language_of(options.to)
    what = f"a function in {language.name}"
    example = f"{options.name}{language.suffix}"
    return _write(options, source_of(options), what, language.suffix, example)


def _write(options: argparse.Namespace, text: str, what: str, suffix: str, example: str) -> int:
    if options.out == "-":
        print(text, end="")
        return 0
    path = destination(options.out, what, [suffix], example)
    write_atomically(path, text.encode())
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
        argument("expression", nargs="?", help="the expression; its variables are the inputs"),
        argument("--to", metavar="LANGUAGE", help="c, javascript (js) or python"),
        argument("--gradient", action="store_true", help="the derivatives follow the result"),
        option("--name", "f", "name of the function"),
        argument("--engine", metavar="js", help="write the engine itself, with the whole table"),
        file_option("-", "file to write"),
    ),
)
