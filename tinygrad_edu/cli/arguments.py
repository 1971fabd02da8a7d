"""Commands with their arguments, and how arguments are parsed.

Arguments are numbers, sizes, and expressions with their values.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..engine.graph import topological_order
from ..engine.value import Value
from ..errors import MOST, check_name, short_repr

REPLACED = "a file that exists is replaced"  # unless somebody may have worked on it

Argument = tuple[tuple[str, ...], dict[str, Any]]  # what `add_argument` of a parser takes


class Command(NamedTuple):
    """One command: its name, the function that runs it, its help and its arguments."""

    name: str
    run: Callable[[argparse.Namespace], int]
    help: str
    arguments: Sequence[Argument]
    epilog: str = ""

    def add_to(self, commands: Any) -> None:
        """Adds the command to the commands of a parser."""
        parser = commands.add_parser(self.name, help=self.help, epilog=self.epilog)
        for names, options in self.arguments:
            parser.add_argument(*names, **options)
        parser.set_defaults(run=self.run)


def argument(*names: str, **options: Any) -> Argument:
    """Returns an argument, from what `add_argument` of a parser takes."""
    return names, options


def option(
    names: str,
    default: Any,
    what: str = "",
    kind: Callable[[str], Any] | None = None,
    choices: Iterable[Any] | None = None,
) -> Argument:
    """Returns an option, whose help is ``what``, followed by the default.

    names: such as "--seed", or "-o --out" for two spellings.
    kind: converts the text, by default to the type of the default.
    """
    shown = f"{what} (default: %(default)s)" if what else "default: %(default)s"
    kind = kind or type(default)
    return argument(*names.split(), default=default, type=kind, help=shown, choices=choices)


def out_option(default: str, kept: str = "") -> Argument:
    """Returns the option that says which folder to write to.

    kept: says which files are not replaced.
    """
    what = f"folder to write to; files in it with the same names are replaced{kept}"
    return option("-o --out", Path(default), what)


def file_option(default: str, what: str) -> Argument:
    """Returns the option that says which file to write (see `output.write`)."""
    return option("-o --out", default, f"{what}; {REPLACED}; - is standard output")


# the arguments that name a graph: an expression with values, or an example
GRAPH = (
    argument("expression", nargs="?", help="the expression; or use --example"),
    argument("values", nargs="*", metavar="name=number", help="a value for each variable"),
    argument(
        "--example",
        help="a worked example instead: "
             "lecture-expression, lecture-neuron, weight-decay, shared-node",
    ),
    argument(
        "--parameters", metavar="NAMES", default="",
        help="variables that are drawn as parameters, such as w,b; the others are inputs",
    ),
)
SEED = option("--seed", 0)


def positive(text: str) -> int:
    """Parses a whole number of at least 1, and at most `MOST`."""
    if not text.isdecimal() or not text.strip("0"):
        raise argparse.ArgumentTypeError(f"{short_repr(text)} is not a whole number of at least 1")
    if len(text.lstrip("0")) > len(str(MOST)) or int(text) > MOST:
        raise argparse.ArgumentTypeError(f"{short_repr(text)} is too large; at most {MOST:,}")
    return int(text)


def natural(text: str) -> int:
    """Parses a whole number of at least 0, and at most `MOST`."""
    if text.isdecimal():
        return positive(text) if text.strip("0") else 0
    raise argparse.ArgumentTypeError(f"{short_repr(text)} is not a whole number of at least 0")


def tolerance(text: str) -> float:
    """Parses a number between 0 and 1."""
    try:
        if 0 < float(text) < 1:
            return float(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not a number between 0 and 1, such as 1e-7")


def batch_size(text: str) -> int | None:
    """Parses a batch size, of which 0 gives None, a full batch."""
    return None if text == "0" else positive(text)


def sizes(text: str) -> list[int]:
    """Parses the sizes of layers: ``16,16``."""
    parts = text.split(",")
    if not all(part.isdecimal() and part.strip("0") for part in parts):
        raise argparse.ArgumentTypeError(f"{short_repr(text)} is not a list of sizes such as 16,16")
    return list(map(positive, parts))


def named_graph(options: argparse.Namespace) -> Value:
    """Returns the root of `graph_of`, labelled y if it has no label: sentences need its name."""
    root = graph_of(options)
    if not root.label and "y" not in [node.label for node in topological_order(root)]:
        root.label = "y"
    return root


def graph_of(options: argparse.Namespace) -> Value:
    """Returns the root of the graph that the arguments `GRAPH` describe.

    Raises:
        ValueError: the arguments name no graph or two graphs; the example or a parameter is
            unknown.
    """
    from ..nn.module import ParameterName

    root = _root_of(options)
    leaves = [node for node in topological_order(root) if not node.op and not node.constant]
    for name in filter(None, map(str.strip, options.parameters.split(","))):
        check_name(name, "--parameters: a variable", [str(leaf.label) for leaf in leaves])
        for leaf in leaves:
            if leaf.label == name:
                leaf.label = ParameterName(name)
    return root


def _root_of(options: argparse.Namespace) -> Value:
    from ..examples import EXAMPLES
    from ..symbolic.expressions import parse

    if options.example is not None:
        if options.example not in EXAMPLES:
            raise ValueError(
                f"unknown example {options.example!r}; choose one of {', '.join(EXAMPLES)}"
            )
        if options.expression is not None:
            raise ValueError("give an expression or --example, not both")
        return EXAMPLES[options.example]()
    if options.expression is None:
        raise ValueError(
            f"give an expression, as in: tinygrad-edu {options.command} "
            '"tanh(a*b + c)" a=2 b=-3 c=10'
        )
    return parse(options.expression, assignments(options.values, options.expression))


def ranges_of(texts: Sequence[str], known: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Parses ``["a=2", "b=0.1..10"]`` as intervals.

    A number is an interval of length 0.

    Raises:
        ValueError: a text is not of this form, or its name is not in ``known`` or occurs twice.
    """
    ranges = {}
    for name, text in _named(texts, known).items():
        low, dots, high = text.partition("..")
        ranges[name] = (_parsed(name, low), _parsed(name, high if dots else low))
    return ranges


def assignments(texts: Sequence[str], expression: str) -> dict[str, float]:
    """Parses ``["a=2", "b=-3"]`` as a dict with a number for each variable of the expression.

    Raises:
        ValueError: a text is not of this form, or a variable is unknown, missing or occurs twice.
    """
    from ..symbolic.expressions import variables_of

    known = variables_of(expression)
    values = {name: _parsed(name, text) for name, text in _named(texts, known).items()}
    missing = [name for name in known if name not in values]
    if missing:
        additions = " ".join(f"{name}=1.5" for name in missing)
        raise ValueError(f"no value for variable {missing[0]!r}; add {additions}")
    return values


def _named(texts: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    """Splits ``["a=2"]`` into ``{"a": "2"}``.

    Raises:
        ValueError: a text has no name, or its name is not in ``known`` or occurs twice.
    """
    values: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or not name.isidentifier():
            raise ValueError(f"{text!r} is not of the form name=number, as in a=2")
        if name in values:
            raise ValueError(f"variable {name!r} has two values; give one")
        if name not in known:
            has = ", ".join(known) or "no variables"
            raise ValueError(f"unknown variable {name!r}: the expression has {has}")
        values[name] = value
    return values


def _parsed(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number; write {name}=1.5") from None
