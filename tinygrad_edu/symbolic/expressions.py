"""A safe parser of expressions.

    >>> parse("a * b + 1", a=2, b=-3).data
    -5.0

The standard `ast` module parses the text; no code is evaluated.  The language has numbers, names,
the operators ``+ - * / // % **``, comparisons as the first argument of ``where``, and calls of the
table's rows by name.  Anything else raises an `ExpressionError` that points to the place.
"""

from __future__ import annotations

import ast
import math as _math
import operator
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import reduce
from typing import Any

from .. import math
from ..engine.primitive import TABLE
from ..engine.value import Value
from ..errors import ExpressionError, check_text, check_type, number, shortened
from .reading import advice, operands, pointer, quoted, tree_of

MAX_LENGTH = 1_000_000  # characters
CONSTANTS = {"pi": _math.pi, "e": _math.e, "tau": _math.tau, "inf": _math.inf, "nan": _math.nan}
# functions that are not rows, or that take other arguments than the row of their name
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "log": math.log,
    "hypot": math.hypot,
    "remainder": math.remainder,
    "degrees": math.degrees,
    "radians": math.radians,
    "gelu": math.gelu,
    "fabs": math.fabs,
    "logsumexp": lambda *xs: math.logsumexp(xs),
    "max": lambda *xs: reduce(math.maximum, xs),
    "min": lambda *xs: reduce(math.minimum, xs),
}
_OPERATORS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: TABLE["add"],
    ast.Sub: TABLE["sub"],
    ast.Mult: TABLE["mul"],
    ast.Div: TABLE["div"],
    ast.Pow: TABLE["pow"],
    ast.Mod: TABLE["remainder"],
    ast.FloorDiv: TABLE["floordiv"],
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def parse(text: str, variables: Mapping[str, Any] | None = None, /, **more: Any) -> Value:
    """Returns the root of the graph of the expression ``text``.

    Leaves are labelled with their variable names; the root has no label.

    text: the expression.
    variables, more: the values of the variables, numbers or Values, in a mapping or by keyword.
        A variable that is used twice is one leaf.  Values themselves become leaves of the graph,
        so their gradients can be read after ``backward()``.

    Raises:
        ExpressionError: ``text`` is not an expression of the language, is longer than a
            million characters, is nested deeper than 200 levels, or has a variable without a value.
            The message shows the place.  A sum or product of any length is one level.
        TypeError: ``text`` is not text, or a variable is not a number.
    """
    if variables is not None:
        check_type(variables, "parse: variables", Mapping, "a mapping from names to numbers",
                   "write parse('x + 1', x=2.0)")
    given = {**(variables or {}), **more}
    given = {unicodedata.normalize("NFKC", name): value for name, value in given.items()}
    if isinstance(text, str) and not text.strip():
        raise ExpressionError(f"parse: the text must be an expression, not {text!r}; write 'x + 1'")
    tree = read(text)
    leaves: dict[str, Any] = dict(CONSTANTS)
    for name in names_in(tree):
        if name in given:
            x = given[name]
            leaves[name] = x if isinstance(x, Value) else Value(number(x, f"variable {name}"), name)
        elif name not in CONSTANTS:
            known = f"; known: {', '.join(sorted(given))}" if given else ""
            remedy = f"give one: {shortened(name, 40)}=1.5{known}"
            remedy += advice(name, name.find("·"))  # a letter, for Python
            raise ExpressionError(
                f"no value for variable {quoted(name)} in {quoted(text)}; {remedy}"
            )
    result = _Builder(text, leaves).build(tree.body)
    if isinstance(result, bool):
        raise ExpressionError(
            f"{quoted(text)} is a condition, not a number; choose with where(condition, x, y)"
        )
    return result if isinstance(result, Value) else Value(result)


def variables_of(text: str) -> list[str]:
    """Returns the names in ``text`` that need a value, in order of appearance.

    Raises:
        ExpressionError: `parse` would raise it for ``text``.
    """
    return [name for name in names_in(read(text)) if name not in CONSTANTS]


def read(text: str) -> ast.Expression:
    """Returns the syntax tree of ``text``, whose length and depth have been checked."""
    check_text(text, "parse: the expression", "write it in quotes, such as 'x * y + 1'")
    if len(text) > MAX_LENGTH:
        raise ExpressionError(
            f"the expression has {len(text):,} characters; at most {MAX_LENGTH:,} are read; "
            "compute a longer one in Python, with a loop"
        )
    return tree_of(text.strip())


def names_in(tree: ast.Expression) -> list[str]:
    """Returns the names that are not called as functions, in order of appearance."""
    called: set[int] = set()
    names: dict[str, None] = {}
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Call):
            called.add(id(node.func))
        elif isinstance(node, ast.Name) and id(node) not in called:
            names[node.id] = None
        waiting += reversed(operands(node))
    return list(names)


@dataclass(frozen=True)
class _Builder:
    """Computes the nodes of a syntax tree.

    text: the expression, for messages.
    leaves: the Value or number of each name.
    """

    text: str
    leaves: Mapping[str, Any]

    def build(self, node: ast.expr) -> Any:
        """Returns the Value, number or condition of ``node``.

        It recurses, but not along a sum or product; `read` has limited the depth.
        """
        chain: list[ast.BinOp] = []
        while isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
            chain.append(node)
            node = node.left
        match node:
            case ast.Constant(value=int() | float() as x) if not isinstance(x, bool):
                try:
                    value: Any = float(x)
                except OverflowError:
                    raise self.error(node, "this number is too large for a float") from None
            case ast.Name(id=name):
                value = self.leaves[name]
            case ast.UnaryOp(op=ast.USub()):
                value = -self.number(node.operand)
            case ast.UnaryOp(op=ast.UAdd()):
                value = self.number(node.operand)
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _OPERATORS:
                value = _OPERATORS[type(op)](self.number(left), self.number(right))
            case ast.Call(func=ast.Name(id=name)):
                value = self.call(node, name)
            case _:
                raise self.error(
                    node,
                    f"{_NODE_KINDS.get(type(node), type(node).__name__)} is not part of the "
                    "language: numbers, names, + - * / // % **, and function calls are",
                )
        for step in reversed(chain):
            left_value = self.checked(step.left, value)
            value = _OPERATORS[type(step.op)](left_value, self.number(step.right))
        return value

    def number(self, node: ast.expr) -> Any:
        """Returns the Value or number of ``node``."""
        return self.checked(node, self.build(node))

    def checked(self, node: ast.expr, value: Any) -> Any:
        """Returns the ``value`` of ``node``; raises ExpressionError if it is a condition."""
        if isinstance(value, bool):
            raise self.error(
                node,
                "a condition stands where a number is needed; choose with where(condition, x, y)",
            )
        return value

    def call(self, node: ast.Call, name: str) -> Any:
        """Returns the result of the function ``name``."""
        function = FUNCTIONS.get(name) or TABLE.get(name)
        if function is None:
            near = {"ln": ["log"]}.get(name) or get_close_matches(name, function_names(), n=3)
            remedy = (
                "an expression may call the rows of the table, such as exp, log, sin, tanh, relu, "
                "maximum, where"
            )
            if len(name) == 1:
                remedy = "if it is a variable, write * after it"
            if near:
                remedy = f"did you mean {' or '.join(near)}?"
            raise self.error(node, f"unknown function {quoted(name)}; {remedy}")
        if node.keywords or any(isinstance(arg, ast.Starred) for arg in node.args):
            raise self.error(node, f"{name}() takes plain arguments only")
        if not node.args:
            raise self.error(node, f"{name}() needs an argument")
        args = [self.build(arg) for arg in node.args]
        for i, arg in enumerate(args):
            if isinstance(arg, bool) and not (name == "where" and i == 0):
                why = "a condition may only be the first argument of where()"
                raise self.error(node.args[i], why)
        try:
            return function(*args)
        except TypeError as error:
            raise self.error(node, str(error)) from None

    def error(self, node: ast.expr, why: str) -> ExpressionError:
        """Returns an error that points to ``node``."""
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitXor):
            why = "^ is not part of the language; a power is written x**y"
        text: str = node.source  # type: ignore[attr-defined]
        before = text.encode()[:node.col_offset]  # `ast` counts bytes
        offset = len(before.decode(errors="ignore"))
        place = pointer(text, offset) if node.lineno == 1 else f": {quoted(self.text)}"
        return ExpressionError(why + advice(text, offset) + place)


def function_names() -> list[str]:
    """Returns the names of all functions that an expression may call, sorted."""
    return sorted({*TABLE, *FUNCTIONS})


_NODE_KINDS: dict[type[ast.expr], str] = {
    ast.Attribute: "an attribute",
    ast.Subscript: "an index",
    ast.Lambda: "a lambda",
    ast.IfExp: "if/else",
    ast.BoolOp: "and/or",
    ast.List: "a list",
    ast.Tuple: "a tuple",
    ast.Dict: "a dict",
    ast.Set: "a set",
    ast.JoinedStr: "an f-string",
    ast.Constant: "this constant",
    ast.Compare: "this comparison",
    ast.NamedExpr: "an assignment",
    ast.BinOp: "this operator",
    ast.UnaryOp: "this operator",
    ast.Call: "calling this",
}
