"""`gradcheck`: compares the derivatives of a function with finite differences.

    >>> from tinygrad_edu import math
    >>> from tinygrad_edu.testing import gradcheck
    >>> report = gradcheck(lambda x, y: math.sin(x) * y, [0.5, 2.0])
    >>> bool(report), len(report.entries)
    (True, 2)

The differences are central differences, with a step relative to the argument.  Richardson
extrapolation refines them until they agree with each other, and also gives an estimate of their
error (Ridders, Advances in Engineering Software 4 (1982) 75-76).  If they do not agree with the
engine, other steps are tried, because a function may oscillate faster than the first step.

The tolerance is relative: by default 1e-7 of the derivative.  Only two absolute terms are added to
it.  One is the smallest normal float, below which digits are lost.  The other is a bound on the
rounding error of the differences, computed from the graph: each operation has an error of about a
unit in its last place, and its adjoint says how much of this error reaches the result.  If this
bound is larger than the tolerance, or the differences underflow, the entry is reported as
"imprecise": it is neither right nor wrong.  `report` defines the verdicts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import inf, isfinite, nan
from time import perf_counter
from typing import Any

from ..engine.accumulation import accumulate
from ..engine.autodiff import gradients
from ..engine.graph import topological_order
from ..engine.value import Value
from ..errors import (
    check_choice,
    check_function,
    check_number,
    check_type,
    some,
    wrong_entry,
    wrong_type,
)
from .function import Function, is_real, slopes, substituted
from .report import Entry, Report

# The first steps of the differences, in order of trial, relative to the argument; absolute at 0.
STEPS = (1e-3, 1e-5, 1e-7, 1e-1)
SMALLEST_STEP = 1e-7  # a kink that is nearer than this relative step makes the point a kink
STEP_RATIO = 2.0  # ratio of each step of an extrapolation to the next
MAX_STEPS = 8  # steps of an extrapolation
AGREEMENT = 1e-3  # largest relative difference of two numbers that agree with each other
SMALLEST_NORMAL = 2.0**-1022
ROUNDING = 4 * 2.0**-53  # an operation's relative error: at most 4 units in the last place
# The function is evaluated again at the point, to see whether it is deterministic.
MIN_REPEATS = 8  # in a row, so that a change at every eighth call, or more often, is found
REPEATS_SHARE = 0.1  # of the time of the comparison is spent on more
REPEATS_SECONDS = 3e-4  # or this time; for most functions enough to find one change in 20 calls


def gradcheck(
    f: Callable[..., Any],
    args: Any = (),
    order: int = 1,
    *,
    rtol: float = 1e-7,
    parameters: Sequence[Value] = (),
    names: Sequence[str] | None = None,
) -> Report:
    """Compares the derivatives of ``f(*args)`` with finite differences, and returns a `Report`.

    Derivatives are taken with respect to each number in the arguments and each parameter.

        >>> assert gradcheck(lambda x, y: x * y**2, [0.5, 2.0])
        >>> report = gradcheck(lambda p, kind: p["w"][0] * p["w"][1], [{"w": [0.5, 2.0]}, "mean"])
        >>> [entry.name for entry in report.entries]
        ["p['w'][0]", "p['w'][1]"]

    f: a function whose result is a scalar.  It must be deterministic: it is evaluated several times
        at the point, and all values have to be the same.
    args: the list of arguments.  Floats become Values, also in lists, tuples, dicts and numpy
        arrays, which become arrays of Values.  Everything else, such as text, True and None, is
        passed unchanged.  So are whole numbers, which may be an index, a count or a class; only if
        there is no float and no parameter, they become Values, too: ``gradcheck(f, [3])``.
        To keep a float, write it into the function: ``gradcheck(lambda x: f(x, 0.5), [2.0])``.
        If there is one argument, and it is not a list, the list may be left out; one list is
        written ``[[2.0, 3.0]]``.  Each call of ``f`` gets new lists, dicts and arrays.
    order: 1 for first derivatives; 2 for second derivatives, which are compared with differences of
        the first.

    rtol: the allowed difference, as a fraction of the derivative.
    parameters: leaf Values that ``f`` uses in addition to its arguments, such as
        ``model.parameters()``.  Their data is changed during the comparison, and restored.
    names: the names of the arguments in the report; by default from the signature of ``f``.

    Raises:
        TypeError: ``f`` does not return one Value, ``args`` is not a list and has no number in it,
            or ``parameters`` is not a list.
        ValueError: ``order`` is neither 1 nor 2; ``rtol`` is not between 0 and 1; ``names`` does
            not have one name for each argument; or ``f`` is not deterministic.
    """
    check_function(f, "gradcheck: f")
    name = "gradcheck: parameters"
    wanted = "a list of Values"
    remedy = "pass model.parameters()"
    check_type(parameters, name, (list, tuple), wanted, remedy)
    for i, parameter in enumerate(parameters):
        if not isinstance(parameter, Value):
            raise wrong_entry(name, wanted, parameters, i, parameter, remedy)
    started = perf_counter()
    point: Any = args if isinstance(args, (list, tuple)) else [args]
    if point is not args and substituted(args, "", is_real, lambda *_: None) is args:
        raise wrong_type("gradcheck: args", "the list of the arguments of f", args,
                         "write [2.0, 3.0] for two numbers, and convert a table with .to_numpy()")
    function = Function(f, point, parameters, names)
    report = compare(function, order, rtol)
    if function.kept:
        kept = some(function.kept, 12)
        report.notes.append(f"not differentiated, because not floats (for 2, write 2.0): {kept}")
    for name, kind in function.objects.items():
        report.notes.append(f"not differentiated: the numbers in {name}, of type {kind}")
    if function.has_kinks or any(entry.status != "ok" for entry in report.entries):
        recheck(function)
    function.repeat(MIN_REPEATS, max(REPEATS_SHARE * (perf_counter() - started), REPEATS_SECONDS))
    function.repeat_graph()
    return report


def recheck(function: Function) -> None:
    """Raises ValueError if the function is not deterministic, which is another reason for a result
    that is not "ok"."""
    function.repeat_graph(MIN_REPEATS)
    function.repeat(MIN_REPEATS, REPEATS_SECONDS)


def compare(function: Function, order: int, rtol: float) -> Report:
    """Compares the derivatives of ``function`` with finite differences."""
    check_choice(order, "gradcheck: order", (1, 2))
    wanted = "between 0 and 1, such as 1e-7"
    rtol = check_number(rtol, "gradcheck: rtol", above=0, below=1, wanted=wanted)
    graphs: list[tuple[str, Value, Callable[[int, float], float]]] = [
        ("", function.root, function.value)
    ]
    title = f"gradcheck of {function.name}"
    if order == 2:
        title += ", order 2"
        first = zip(function.names, gradients(function.root, function.leaves))
        graphs = [
            (f"{name}, ", derivative, partial(function.derivative, i))
            for i, (name, derivative) in enumerate(first)
        ]
    report = Report(title, [], rtol, function.names)
    for prefix, root, at in graphs:
        bound = _rounding_bound(root)
        for j, analytic in enumerate(slopes(root, function.leaves)):
            name = prefix + function.names[j]
            entry = _entry(function, j, name, analytic, partial(at, j), bound, rtol)
            report.entries.append(entry)
            function.repeat()
        if any(entry.status == "singular" for entry in report.entries[-len(function.leaves):]):
            report.notes.append(_singular_operation(root))
    return report


def _entry(
    function: Function,
    j: int,
    name: str,
    analytic: float,
    at: Callable[[float], float],
    bound: tuple[float, dict[Value, float]],
    rtol: float,
) -> Entry:
    """Compares ``analytic`` with finite differences with respect to coordinate ``j``.

    at: the function of this coordinate.
    bound: the `_rounding_bound` of the graph that ``at`` evaluates.
    """
    entry = _compared(function, j, name, analytic, at, bound, rtol)
    x = function.leaves[j].data
    if entry.status == "imprecise" and at(x) != at(x):
        return entry._replace(status="undefined")
    if entry.status == "ok" and not _is_smooth_at(at, x, bound[0]):
        return entry._replace(numeric=nan, error=nan, allowed=nan, status="kink")
    if isfinite(analytic) or not _is_finite_around(at, x):
        return entry
    if analytic == analytic and (function.is_row or entry.status == "kink"):
        return entry  # the derivative of a row may truly be inf, as of cbrt at 0
    if function.is_row and entry.status == "mismatch":
        return entry
    return entry._replace(status="singular")


def _is_finite_around(f: Callable[[float], float], x: float) -> bool:
    """Returns whether ``f`` is finite on both sides of ``x``, and not infinite at ``x``.

    The quotient of differences has to be finite, too; if not, the derivative truly overflows.
    """
    step = _step(x, SMALLEST_STEP)
    return isfinite((f(x + step) - f(x - step)) / step) and abs(f(x)) != inf


def _singular_operation(root: Value) -> str:
    """Returns which operation made a derivative inf or nan, with its local derivatives."""
    from ..debug.explain import explain_nonfinite
    from ..debug.text import short_number

    explanation = explain_nonfinite(root)
    if explanation is None or explanation.phase == "backward" or not explanation.node.op:
        return str(explanation or "")
    slopes = ", ".join(map(short_number, explanation.node.partials))
    return f"{explanation}\nIts local derivatives are {slopes}."


def _step(x: float, relative: float) -> float:
    """Returns a step relative to ``x``; absolute at 0."""
    return relative * max(abs(x), SMALLEST_NORMAL) if x else relative


def _smooth_step(function: Function, j: int, relative: float) -> tuple[float, bool]:
    """Returns the first step for coordinate ``j``, and whether it is free of kinks.

    The step is reduced until there is no kink within it.
    """
    x = function.leaves[j].data
    step = _step(x, relative)
    while relative >= SMALLEST_STEP * 0.99:
        if function.is_smooth_to(j, x + step) and function.is_smooth_to(j, x - step):
            return step, True
        relative /= 10
        step /= 10
    return step, False


def _compared(
    function: Function,
    j: int,
    name: str,
    analytic: float,
    at: Callable[[float], float],
    bound: tuple[float, dict[Value, float]],
    rtol: float,
) -> Entry:
    """Returns the entry of a derivative, without regard to singular points; see `_entry`."""
    x = function.leaves[j].data
    rounding, adjoints = bound
    scale = adjoints.get(function.leaves[j], 0.0)
    tried: list[Entry] = []
    for relative in STEPS:
        step, is_smooth = _smooth_step(function, j, relative)
        kink = Entry(name, analytic, nan, step, nan, nan, "kink")
        if not is_smooth:
            return kink
        numeric, error, last = _ridders(at, x, step, rtol)
        # the values that were subtracted may be much larger than the one at the point
        largest = max(abs(at(x + step)), abs(at(x - step)))
        noise = max(rounding, ROUNDING * largest if isfinite(largest) else 0.0) / last
        allowed = rtol * min(abs(analytic), abs(numeric)) + noise + SMALLEST_NORMAL
        is_precise = noise <= rtol * max(scale, abs(numeric)) or not scale
        status = _status(analytic, numeric, allowed, is_precise)
        entry = Entry(name, analytic, numeric, step, error + noise, allowed, status)
        if status == "ok" and scale:
            return entry
        if status == "mismatch" and not numeric and at(x + step) != at(x - step):
            entry = entry._replace(status="imprecise")  # the quotients underflow
        elif status == "mismatch" and _is_a_kink(at, x, step):
            return kink
        tried.append(entry)
    # the graph does not depend on the coordinate, which every step confirms
    if all(entry.status == "ok" for entry in tried):
        return tried[0]
    if not scale:
        tried = [entry for entry in tried if entry.status != "ok"]
    return _best_of(tried, isfinite(at(x)), rtol)


def _is_smooth_at(at: Callable[[float], float], x: float, rounding: float) -> bool:
    """Returns whether the function has neither a jump nor a kink at ``x`` that differences with
    both sides cannot show.

    The mean of the function on both sides differs from the function at ``x`` by a gap.  For a
    tenth of the step it is a hundred times smaller, at a kink ten times, and at a jump the same.
    """

    def gap(step: float) -> float:
        return abs((at(x + step) + at(x - step)) / 2 - at(x))

    step = _step(x, SMALLEST_STEP)
    nearest = gap(step)
    return not nearest > 1e-9 * abs(at(x)) + 4 * rounding or nearest < gap(10 * step) / 30


def _status(analytic: float, numeric: float, allowed: float, is_precise: bool) -> str:
    """Returns the status of one comparison.

    is_precise: whether the differences are precise enough for it.
    """
    if not isfinite(analytic):
        return "nonfinite"
    if not isfinite(numeric):  # the values at the steps overflow
        return "imprecise"
    if abs(analytic - numeric) > allowed:
        return "mismatch"
    return "ok" if is_precise else "imprecise"


def _best_of(tried: Sequence[Entry], is_finite: bool, rtol: float) -> Entry:
    """Returns the entry with the smallest error, with a status that considers all entries.

    is_finite: whether the function is finite at the point.
    """
    best = min(tried, key=lambda entry: entry.error if entry.error == entry.error else inf)
    agreeing = [e for e in tried if abs(e.numeric - best.numeric) <= AGREEMENT * abs(best.numeric)]
    difference = abs(best.analytic - best.numeric)
    if best.status == "mismatch" and (len(agreeing) < 2 or difference <= 2 * best.error):
        # the differences do not even agree with each other
        return best._replace(status="imprecise")
    is_steady = best.error <= AGREEMENT * abs(best.numeric) < inf
    if is_finite and not isfinite(best.analytic) and is_steady:
        return best._replace(status="mismatch", allowed=rtol * abs(best.numeric))
    return best


def _is_a_kink(f: Callable[[float], float], x: float, step: float) -> bool:
    """Returns whether the left and the right derivative of ``f`` at ``x`` differ.

    The difference must be larger than the change of each of them with the step.

    This finds kinks that are not kinks of a primitive, because a program branches with ``if`` or
    ``max``.
    """
    there = f(x)
    far_left, left, far_right, right = [
        (f(x + h) - there) / h for h in (-step / 8, -step / 64, step / 8, step / 64)
    ]
    largest = max(abs(left), abs(right))
    jump = max([abs(left - far_left), abs(right - far_right)])
    return isfinite(largest) and abs(left - right) > max(AGREEMENT * largest, 20 * jump)


def _ridders(
    f: Callable[[float], float], x: float, step: float, rtol: float
) -> tuple[float, float, float]:
    """Returns the derivative of ``f`` at ``x``, its estimated error and the smallest step used.

    The first column of the tableau has central differences with decreasing steps.  Each further
    column is an extrapolation that removes the next even power of the step from the error.
    """
    best, error, last = nan, inf, step
    previous: list[float] = []
    for i in range(MAX_STEPS):
        h = step / STEP_RATIO**i
        right = x + h
        left = x - h
        if not 0 < right - left < inf:  # near the largest float, or the step is too small
            break
        row = [(f(right) - f(left)) / (right - left)]
        for k in range(1, i + 1):
            factor = STEP_RATIO ** (2 * k)
            row.append((factor * row[k - 1] - previous[k - 1]) / (factor - 1))
            estimate = max(abs(row[k] - row[k - 1]), abs(row[k] - previous[k - 1]))
            if estimate <= error:
                best, error, last = row[k], estimate, h
        if not isfinite(row[0]):
            return row[0], inf, h
        if error <= 1e-3 * rtol * abs(best) or (i and abs(row[-1] - previous[-1]) >= 2 * error):
            break
        previous = row
    return best, error, last


def _rounding_bound(root: Value) -> tuple[float, dict[Value, float]]:
    """Returns a bound on the rounding error of ``root``, and the adjoints of its graph.

    The adjoints are accumulated with absolute values.
    """
    order = topological_order(root, constants=False)
    adjoints = accumulate([root], [1.0], order, _absolute_edges)
    total = 0.0
    for node in reversed(order):
        if node.op:
            total += adjoints[node] * (abs(node.data) + SMALLEST_NORMAL)
    return (ROUNDING * total if isfinite(total) else 0.0), adjoints


def _absolute_edges(node: Value) -> list[tuple[Any, float | None]]:
    return [(arg, None if slope is None else abs(slope)) for arg, slope in node.edges]
