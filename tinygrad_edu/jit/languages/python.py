"""Tapes in Python, with the standard library alone: ``f(inputs)`` returns a list.

    >>> from tinygrad_edu import jit, math
    >>> wave = jit(lambda x: x * math.sin(x))
    >>> text = wave.source("python", 3.0, gradient=True, name="wave")
    >>> names = {}
    >>> exec(text, names)
    >>> names["wave"]([0.5]) == [*wave.value_and_grad(0.5)]
    True

Where Python raises (``1 / 0.0``, ``exp(1000.0)``), rows give inf or nan.  They do so by functions
of `numerics`, whose text is copied.
"""

from __future__ import annotations

import builtins
import inspect
import math
from collections.abc import Callable, Sequence
from keyword import kwlist, softkwlist
from math import isnan

from ...engine import numerics
from ..tape.operations import EQUAL, IF_EQUAL, LESS, LESS_EQUAL, TAKE
from .text import Language

COPIED: list[Callable[..., object]] = [
    numerics.guarded, numerics.divide, numerics.power, numerics.hypot_of, numerics.rounding,
    numerics.nan_where_undefined, numerics.round_to_digits,
]
# What computes a function of C; the others of one argument are guarded functions of `math`
LIBRARY = {
    "pow": "power",
    "hypot": "hypot_of",
    "atan2": "math.atan2",
    "fmod": "nan_where_undefined(math.fmod)",
    "remainder": "nan_where_undefined(math.remainder)",
    "rint": "rounding(round)",
    "floor": "rounding(math.floor)",
    "ceil": "rounding(math.ceil)",
    "trunc": "rounding(math.trunc)",
    "log": "guarded(math.log, 0.0, -inf)",
    "log2": "guarded(math.log2, 0.0, -inf)",
    "log10": "guarded(math.log10, 0.0, -inf)",
    "log1p": "guarded(math.log1p, -1.0, -inf)",
    "atanh": "guarded(math.atanh, 1.0, inf)",
}
GUARDED = """
acos acosh asin asinh atan cbrt cos cosh erf erfc exp exp2 expm1 fabs sin sinh sqrt tan tanh
"""
LIBRARY |= {name: f"guarded(math.{name})" for name in GUARDED.split()}
HELPERS = {f.__name__: inspect.getsource(f).rstrip() for f in COPIED}
HELPERS |= {f"$c_{name}": f"$c_{name} = {text}" for name, text in LIBRARY.items()}
HELPERS["$entry"] = """\
def $entry(index, entries):
    if not (0 <= index < len(entries) and index == int(index)):
        raise IndexError(f"{index!r} is not a whole number from 0 to {len(entries) - 1}")
    return entries[int(index)]"""


def number(x: float) -> str:
    """Returns a constant of Python."""
    text = "nan" if isnan(x) else repr(x)
    return f"({text})" if text[0] == "-" else text


def results(outputs: Sequence[str]) -> list[str]:
    """Returns the statements that return the outputs."""
    return ["return [", *[f"    {output}," for output in outputs], "]"]


LANGUAGE = Language(
    name="Python",
    suffix=".py",
    number=number,
    library=lambda name: f"$c_{name}" if name in LIBRARY else None,
    operations={
        ("/", 2): "divide({}, {})",
        LESS: "1.0 if {} < {} else 0.0",
        LESS_EQUAL: "1.0 if {} <= {} else 0.0",
        EQUAL: "1.0 if {} == {} else 0.0",
        IF_EQUAL: "{2} if {0} == {1} else 0.0",
        "?:": "{1} if {0} else {2}",
        TAKE: "$entry({}, [{}])",
        "round_digits": "round_to_digits({}, {})",
    },
    helpers=HELPERS,
    # Without a __future__ import, so texts can be joined.  The first lines also keep a label from
    # naming an encoding, which only the first two lines do.
    head="import math\nfrom collections.abc import Callable\nfrom math import inf, nan\n",
    comment=("", "# ", ""),
    declare="",
    end="",
    indent="    ",
    function="def {name}({parameters}):\n{body}\n    return {result}\n",
    parameter="{}",
    part="def {name}(inputs, r):\n{body}\n",
    main="def {name}(inputs):\n{body}\n",
    enter=[
        "inputs = [float(x) for x in inputs]",
        "if len(inputs) != {count}:",
        '    raise ValueError(f"{name} needs {count} inputs, not {{len(inputs)}}")',
    ],
    kept="r = [0.0] * {places}",
    results=results,
    notes=["The function takes a list of inputs and returns a list of outputs."],
    reserved=frozenset({
        "math", "inf", "nan", "Callable", "inputs", "r", *HELPERS, *kwlist, *softkwlist,
        *dir(builtins), *dir(math),
    }),
)
