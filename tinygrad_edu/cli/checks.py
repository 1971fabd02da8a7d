"""The command check: gradients against finite differences."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Sequence
from typing import Any

from ..engine.value import Value
from ..errors import shortened
from .arguments import Command, argument, option, positive, ranges_of, tolerance


def run_check(options: argparse.Namespace) -> int:
    """Compares gradients with finite differences, at one point or at random points."""
    from ..engine.primitive import TABLE, Primitive
    from ..symbolic.expressions import variables_of

    row = TABLE.get(options.expression)
    if row is not None:
        known = list(row.parameters)
    elif options.expression.isidentifier() and not options.values:
        near = difflib.get_close_matches(options.expression, TABLE, n=3)
        remedy = "give an expression, such as sin(x)*x"
        if near:
            remedy = f"did you mean {' or '.join(near)}?"
        raise ValueError(f"there is no primitive {options.expression!r} in the table; {remedy}")
    else:
        known = variables_of(options.expression)
    if not known:
        raise ValueError(
            f"{options.expression!r} has no variables to differentiate with respect to; add one"
        )
    ranges = ranges_of(options.values, known)
    f: Primitive | Any = row or _function_of(options.expression, known)
    if len(ranges) == len(known) and all(low == high for low, high in ranges.values()):
        return _check_at({name: ranges[name][0] for name in known}, f, options)
    return _check_property(ranges, f, options)


def _function_of(expression: str, names: Sequence[str]) -> Any:
    """Returns an expression as a function of its variables."""
    from ..symbolic.expressions import parse
    from ..testing.function import signature

    def f(*xs: Any) -> Any:
        return parse(expression, dict(zip(names, xs)))

    f.__name__ = shortened(expression, 40)
    f.__signature__ = signature(names)  # type: ignore[attr-defined]
    f(*[1.0] * len(names))  # raises ExpressionError if the text is not an expression
    return f


def _check_at(point: dict[str, float], f: Any, options: argparse.Namespace) -> int:
    from ..testing import gradcheck, suspects

    report = gradcheck(f, list(point.values()), options.order, rtol=options.rtol, names=list(point))
    print(report)
    if report.failures:
        root = f(*[Value(x, name) for name, x in point.items()])
        print("\nthe graph:")
        print(suspects(root, options.order, options.rtol))
    return 0 if report else 1


def _check_property(
    ranges: dict[str, tuple[float, float]], f: Any, options: argparse.Namespace
) -> int:
    try:
        from hypothesis.errors import FailedHealthCheck

        from ..testing.property import Property, rejections
    except ModuleNotFoundError as error:
        if not str(error.name).startswith("hypothesis"):
            raise
        raise ValueError(
            "random points need hypothesis; install it (pip install hypothesis), "
            "or give a number for each variable, as in x=1.5"
        ) from None
    gradients = Property(f, ranges, options.order, options.rtol)
    try:
        gradients.run(options.examples)
    except AssertionError as error:
        print(
            f"FAILED after {gradients.counts['compared']} points that agreed; "
            f"the simplest point that does not agree:\n{error}"
        )
        return 1
    except FailedHealthCheck as error:
        # an interval is written x=0.1..10 on the command line
        text = re.sub(r"=\((\S+), (\S+)\)$", r"=\1..\2", str(error))
        raise ValueError(text) from None
    reasons = rejections(gradients.counts)
    rejected = f"others rejected ({reasons})" if reasons else "none rejected"
    print(
        f"gradients of {gradients.name}: ok, {gradients.counts['compared']} points compared, "
        f"{rejected}; tolerance {options.rtol:g} relative"
    )
    if gradients.worst:
        at = ", ".join(f"{name}={x!r}" for name, x in gradients.worst_at.items())
        print(f"largest difference: {gradients.worst:.1g} of what is allowed, at {at}")
    return 0


CHECK = Command(
    "check",
    run_check,
    'check the gradients of an expression: check "x**y" x=0.1..10 y=3',
    (
        argument("expression", help="an expression, or the name of a primitive, such as tanh"),
        argument(
            "values",
            nargs="*",
            metavar="name=number",
            help="a number or an interval, as in x=2 y=0.1..10",
        ),
        option("--examples", 200, "number of random points", positive),
        option("--order", 1, "order of derivatives", choices=(1, 2)),
        option("--rtol", 1e-7, "relative tolerance", tolerance),
    ),
    "If every variable has a number, that point is checked.  Otherwise random points are: from the "
    "given intervals, else with magnitudes of 0.01 to 30 and either sign; and always 0, 1, -1 and "
    "powers of two, unless an interval is without them.  The exit status is 0 if gradients were "
    "compared and agree, 1 if one does not or if nothing could be compared, 2 for wrong input.",
)
