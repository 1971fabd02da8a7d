"""Writes ``tinygrad_edu/math.pyi``: the types and the docstrings of `math`, from the table.

    python tests/stubs.py

A row has an overload for a Value at each place, and one for floats alone.  A function of `math`
whose numbers are annotated with the type variable ``T`` gets two: floats give a float, and one
Value gives a Value.  `test_types` compares the file with what this module writes.
"""

import ast
import math as std
from pathlib import Path

from tinygrad_edu import math
from tinygrad_edu.engine.primitive import TABLE
from tinygrad_edu.symbolic import formula

SOURCE = Path(math.__file__).with_suffix(".py")
STUB = SOURCE.with_suffix(".pyi")

HEAD = '''# Written by `python tests/stubs.py`: change math.py or the table, and run it again.
# mypy: disable-error-code="overload-overlap, override, overload-cannot-match"
# pyright: reportOverlappingOverload=false, reportIncompatibleMethodOverride=false
"""{doc}"""

from collections.abc import Callable, Iterable, Sequence
from math import (
{standard}
)
from typing import Any, TypeAlias, overload

from .engine.primitive import Primitive
from .engine.value import Value

Number: TypeAlias = Value | float

{constants}
'''


def row_class(arity, optional):
    """The class of rows with so many arguments, of which the last ones may be omitted."""
    lines = [f"class {class_name(arity, optional)}(Primitive):"]
    for i in [*range(arity), None]:
        parameters = []
        for k in range(arity):
            kind = "float" if i is None or k < i else "Number"
            if k == i:
                kind = "Value"
            # a Value cannot be left out, nor can what stands before it
            is_optional = k >= arity - optional and (i is None or k > i)
            parameters.append(f"{'xyz'[k]}: {kind}{' = ...' * is_optional}")
        result = "float" if i is None else "Value"
        lines.append("    @overload")
        lines.append(f"    def __call__(self, {', '.join(parameters)}, /) -> {result}: ...")
    return "\n".join(lines)


def class_name(arity, optional):
    """The name of that class."""
    return f"Row{arity}" + (f"Optional{optional}" if optional else "")


def row_text(name, row):
    """The declaration of a row, with its derivatives as its docstring."""
    text = formula(row).replace("\n", "\n\n").replace("\\", "\\\\")
    return f'{name}: {class_name(row.arity, len(row.defaults))}\n"""\n{text}\n"""'


def function_text(function):
    """The declarations of a function of `math`."""
    function.decorator_list = []
    function.body = function.body[:1]  # the docstring
    text = ast.unparse(function)
    if "T" not in {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}:
        return text
    overloads = []
    for given, result in (("float", "float"), ("Number", "Value")):
        function.returns = replaced(ast.parse(returns(text), mode="eval").body, result)
        for argument in arguments_of(function):
            argument.annotation = replaced(annotation(text, argument.arg), given)
        overloads.append(f"@overload\n{ast.unparse(function)}")
    return "\n\n".join(overloads)


def returns(text):
    """The annotation of the result, in the text of a function."""
    return ast.unparse(ast.parse(text).body[0].returns)


def annotation(text, name):
    """The annotation of a parameter, in the text of a function."""
    return next(arg.annotation for arg in arguments_of(ast.parse(text).body[0]) if arg.arg == name)


def arguments_of(function):
    """The parameters of a function."""
    arguments = function.args
    star = [arguments.vararg] if arguments.vararg else []
    return [*arguments.posonlyargs, *arguments.args, *star, *arguments.kwonlyargs]


def replaced(annotation, name):
    """An annotation with another name in place of T."""
    for node in ast.walk(annotation):
        if isinstance(node, ast.Name) and node.id == "T":
            node.id = name
    return annotation


def stub():
    """The text of the file."""
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"))
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    own = [name for name in functions if not name.startswith("_")]
    rows = {"absolute": math.absolute, "fabs": math.fabs, "gelu": math.gelu}
    rows |= {name: TABLE[name] for name in math.__all__ if name in TABLE and name not in own}
    constants = [name for name in math.__all__ if isinstance(getattr(math, name), float)]
    rest = {*math.__all__} - {*rows, *own, *constants}
    standard = sorted(name for name in rest if hasattr(std, name))
    shapes = sorted({(row.arity, len(row.defaults)) for row in rows.values()})
    parts = [
        HEAD.format(
            doc=ast.get_docstring(tree),
            standard="\n".join(f"    {name} as {name}," for name in standard),
            constants="\n".join(f"{name}: float" for name in constants),
        ).rstrip(),
        *[row_class(*shape) for shape in shapes],
        *[row_text(name, row) for name, row in rows.items()],
        *[function_text(functions[name]) for name in own],
        "def __getattr__(name: str) -> Primitive: ...  # a row that you define",
    ]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    STUB.write_text(stub(), encoding="utf-8")
