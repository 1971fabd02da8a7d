"""`gradcheck`: compares the gradients of a function with finite differences, entry by entry.

    >>> from tinygrad_edu import math
    >>> from tinygrad_edu.testing import gradcheck
    >>> report = gradcheck(lambda x, y: math.sin(x) * y, [0.5, 2.0])
    >>> bool(report), len(report.entries)
    (True, 2)

Each derivative is compared with central differences at a step relative to the argument, refined by
Richardson extrapolation until they agree with each other (Ridders, Advances in Engineering Software
4 (1982) 75-76), which also gives an estimate of their error.  Where they do not agree with the
engine, other steps are tried, since a function may wiggle faster than any one of them.

The tolerance is relative: by default 1e-7 of the derivative.  Nothing absolute is added to it
except the smallest normal float, below which digits are lost, and the rounding error of the
difference itself, which is bounded from the graph: every operation errs by a unit in its last
place or so, and its adjoint says how much of that error reaches the result.  If this error bound is
larger than the tolerance, the entry is reported as "imprecise" and does not count as passed.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

from ..engine.autodiff import accumulate, gradients
from ..engine.graph import topological_order
from ..engine.interpreter import no_grad
from ..engine.primitive import TABLE, Primitive
from ..engine.value import Value
from ..errors import number, short_repr

# the first steps that are tried, relative to the argument; absolute at 0
STEPS = (1e-3, 1e-5, 1e-7, 1e-1)
SMALLEST_STEP = 1e-7  # a kink that is nearer than this is one
SHRINK = 2.0  # each step is so much smaller than the one before
MAX_STEPS = 8
# differences that are this close to each other, as a fraction of them, agree on a number
STEADY = 1e-3
SMALLEST_NORMAL = 2.0**-1022
ROUNDING = 4 * 2.0**-53  # an operation's relative error: at most 4 units in the last place
MOST_SHOWN = 20  # entries of a printed report


class Entry(NamedTuple):
    """One derivative that was compared.

    name       the argument: ``x``, or for second order ``x, y``
    analytic   the derivative that the engine computes
    numeric    the derivative that finite differences give; nan if they cannot be taken
    step       the first step of the differences, in units of the argument
    error      the estimated error of ``numeric``
    allowed    how far apart the two may be: the tolerance plus the rounding error of the
               differences
    status     "ok"; "mismatch", also inf or nan where the differences agree on a number; "kink",
               reported but not compared: a primitive is at, or within the smallest step of, a kink
               or jump; "imprecise": the differences are too inexact to tell; "nonfinite": a
               derivative or the function nearby is inf or nan
    """

    name: str
    analytic: float
    numeric: float
    step: float
    error: float
    allowed: float
    status: str

    @property
    def excess(self) -> float:
        """The difference of the two numbers, as a fraction of what is allowed."""
        if self.analytic == self.numeric:
            return 0.0
        if not self.allowed or not math.isfinite(self.analytic):
            return math.inf
        return abs(self.analytic - self.numeric) / self.allowed


class Report:
    """The outcome of `gradcheck`: true if every entry that could be compared is ok, and at least
    one was compared, or there was nothing but kinks to look at."""

    def __init__(self, title: str, entries: Sequence[Entry], rtol: float) -> None:
        self.title = title
        self.entries = list(entries)
        self.rtol = rtol

    def __bool__(self) -> bool:
        return bool(self.entries) and all(entry.status in ("ok", "kink") for entry in self.entries)

    @property
    def failures(self) -> list[Entry]:
        """The entries that make the report false."""
        return [entry for entry in self.entries if entry.status not in ("ok", "kink")]

    @property
    def kinks(self) -> list[Entry]:
        """The entries that were not compared, because the function has a kink there."""
        return [entry for entry in self.entries if entry.status == "kink"]

    @property
    def compared(self) -> list[Entry]:
        """The entries whose differences could be taken and were precise enough."""
        return [entry for entry in self.entries if entry.status in ("ok", "mismatch")]

    @property
    def worst(self) -> float:
        """The largest difference among the compared entries, as a fraction of what is allowed;
        above 1 is a mismatch."""
        return max((entry.excess for entry in self.compared), default=0.0)

    def __str__(self) -> str:
        verdict = "ok" if self.compared else "nothing to compare"
        if not self:
            verdict = "FAILED"
        lines = [
            f"{self.title}: {verdict}, {len(self.compared)} compared, {len(self.failures)} failed, "
            f"{len(self.kinks)} at kinks; tolerance {self.rtol:g} relative, "
            f"largest difference {self.worst:.1g} of what is allowed"
        ]
        ordered = [*self.failures, *self.kinks, *[e for e in self.entries if e.status == "ok"]]
        shown = ordered[:MOST_SHOWN]
        width = max([len(entry.name) for entry in shown], default=0)
        for entry in shown:
            lines.append(
                f"  {entry.name:{width}}  {entry.status:9}  analytic {entry.analytic:<23.16g} "
                f"numeric {entry.numeric:<23.16g} error estimate {entry.error:.0e}  "
                f"step {entry.step:.1e}"
            )
        if len(ordered) > MOST_SHOWN:
            lines.append(f"  ... and {len(ordered) - MOST_SHOWN} more")
        return "\n".join(lines)

    __repr__ = __str__


def gradcheck(
    f: Callable[..., Any],
    args: Sequence[float] | float = (),
    order: int = 1,
    *,
    rtol: float = 1e-7,
    parameters: Sequence[Value] = (),
    names: Sequence[str] | None = None,
) -> Report:
    """Compares the derivatives of ``f(*args)``, with respect to every argument and every parameter,
    with finite differences.

    f            takes scalars and returns a scalar; it is called with Values and must be
                 deterministic
    args         the numbers at which the derivatives are compared
    order        1 for first derivatives; 2 for second ones, against differences of the first
    rtol         the allowed difference, as a fraction of the derivative
    parameters   leaf Values that ``f`` uses in addition to its arguments, such as
                 ``model.parameters()``; their data is changed for a moment and restored
    names        names of the arguments for the report; by default from the signature of ``f``

    Raises:
        TypeError: ``f`` does not return one scalar that depends on Values.
        ValueError: ``order`` is neither 1 nor 2; ``rtol`` is not between 0 and 1; or ``f`` returns
            another value when called again.
    """
    if order not in (1, 2):
        raise ValueError(f"gradcheck: order must be 1 or 2, not {order!r}")
    if not 0 < rtol < 1:
        raise ValueError(f"gradcheck: rtol must be between 0 and 1, such as 1e-7, not {rtol!r}")
    if not isinstance(parameters, (list, tuple)):
        raise TypeError(
            "gradcheck: parameters must be a list of Values, such as model.parameters(), not "
            f"{parameters!r}"
        )
    point: Any = args if isinstance(args, (list, tuple)) else [args]
    function = _Function(f, point, parameters, names)
    if order == 1:
        return Report(f"gradcheck of {function.name}", _first_order(function, rtol), rtol)
    return Report(f"gradcheck of {function.name}, order 2", _second_order(function, rtol), rtol)


def _first_order(function: _Function, rtol: float) -> list[Entry]:
    return [
        _entry(function, j, function.names[j], slope.data, function.value, rtol)
        for j, slope in enumerate(function.slopes())
    ]


def _second_order(function: _Function, rtol: float) -> list[Entry]:
    entries = []
    for i, slope in enumerate(function.slopes()):
        at = partial(function.slope, i)
        for j, second in enumerate(gradients(slope, function.leaves)):
            name = f"{function.names[i]}, {function.names[j]}"
            entries.append(_entry(function, j, name, second.data, at, rtol, slope))
    return entries


class _Function:
    """``f`` as a function of its coordinates, the arguments first and then the parameters, one of
    them moved."""

    def __init__(self, f: Callable[..., Any], args: Sequence[float], parameters: Sequence[Value],
                 names: Sequence[str] | None) -> None:
        self.f = f
        self.parameters = list(parameters)
        self.args = [number(x, f"argument {i} of gradcheck") for i, x in enumerate(args)]
        self.point = [*self.args, *[parameter.data for parameter in self.parameters]]
        self.name = f.name if isinstance(f, Primitive) else getattr(f, "__name__", type(f).__name__)
        if names is not None and len(names) != len(self.args):
            raise ValueError(
                f"gradcheck: {len(self.args)} arguments but {len(names)} names; give one name for "
                "each"
            )
        self.names = [*(names or _argument_names(f, len(self.args))),
                      *[str(p.label) or f"parameter {i}" for i, p in enumerate(self.parameters)]]
        self.leaves, self.root = self._graph()
        again = self._graph()[1].data
        if again != self.root.data and again == again:
            raise ValueError(
                f"gradcheck: {self.name} gave {self.root.data!r} and then {again!r} for the same "
                "arguments; it must be deterministic (no dropout, no random numbers)"
            )
        self._slopes: dict[tuple[int, float], list[float]] = {}

    def _graph(self, j: int = 0, x: float | None = None) -> tuple[list[Value], Value]:
        with self._moved(j, x) as args:
            leaves = [Value(value) for value in args]
            root = self.f(*leaves)
        if not isinstance(root, Value):
            raise TypeError(
                f"gradcheck: {self.name} returned {short_repr(root)}; it must return one Value "
                "(the standard math module makes plain numbers of Values: use "
                "`from tinygrad_edu import math`; a branch that returns a number must return "
                "Value(number))"
            )
        return [*leaves, *self.parameters], root

    @contextmanager
    def _moved(self, j: int, x: float | None) -> Iterator[list[float]]:
        args = list(self.args)
        if x is None:
            yield args
        elif j < len(args):
            args[j] = x
            yield args
        else:
            parameter = self.parameters[j - len(args)]
            before = parameter.data
            parameter.data = x
            try:
                yield args
            finally:
                parameter.data = before

    def slopes(self) -> list[Value]:
        return gradients(self.root, self.leaves)

    def value(self, j: int, x: float) -> float:
        """Returns the function with coordinate ``j`` at ``x``."""
        with no_grad(), self._moved(j, x) as args:
            return float(self.f(*[Value(value) for value in args]))

    def slope(self, i: int, j: int, x: float) -> float:
        """Returns the derivative along coordinate ``i``, with coordinate ``j`` at ``x``."""
        if (j, x) not in self._slopes:
            with self._moved(j, x) as args:
                leaves = [Value(value) for value in args]
                root = self.f(*leaves)
                self._slopes[j, x] = [g.data for g in gradients(root, [*leaves, *self.parameters])]
        return self._slopes[j, x][i]

    def pieces(self, j: int, x: float | None = None) -> list[Any]:
        """Returns the smooth piece that each primitive is on: equal lists mean that no kink lies
        between.

        If a piece is an infinity, such as the quotient of a remainder that overflows, there are too
        many pieces to tell.
        """
        root = self.root if x is None else self._graph(j, x)[1]
        pieces: list[Any] = []
        for node in topological_order(root, constants=False):
            if node.op:
                rule = TABLE[node.op].piece
                piece: Any = rule(*[float(arg) for arg, _ in node.edges]) if rule else None
                if piece in (math.inf, -math.inf):
                    piece = object()  # equal to nothing else
                pieces.append((node.op, *[slope is None for _, slope in node.edges], piece))
        return pieces


def _entry(
    function: _Function,
    j: int,
    name: str,
    analytic: float,
    at: Callable[[int, float], float],
    rtol: float,
    root: Value | None = None,
) -> Entry:
    """Compares ``analytic`` with the differences of ``at(j, x)`` in x; ``root`` is the graph that
    ``at`` evaluates."""
    x = function.point[j]
    base = function.pieces(j)
    graph = root or function.root
    rounding, adjoints = _rounding(graph)
    scale = adjoints.get(function.leaves[j], 0.0)

    def along(x: float) -> float:
        return at(j, x)

    tried: list[Entry] = []
    for relative in STEPS:
        step, is_smooth = _smooth_step(function, j, base, relative)
        if not is_smooth:
            return Entry(name, analytic, math.nan, step, math.nan, math.nan, "kink")
        numeric, error, last = _ridders(along, x, step, rtol)
        noise = rounding / last
        allowed = rtol * min(abs(analytic), abs(numeric)) + noise + SMALLEST_NORMAL
        is_precise = noise <= rtol * max(scale, abs(numeric)) or not scale
        status = _status(analytic, numeric, allowed, is_precise)
        entry = Entry(name, analytic, numeric, step, error + noise, allowed, status)
        if status == "ok" and scale:
            return entry
        if status == "mismatch" and _is_a_kink(along, x, step):
            return entry._replace(numeric=math.nan, error=math.nan, allowed=math.nan, status="kink")
        tried.append(entry)
    # no dependence at all, confirmed with every step
    if all(entry.status == "ok" for entry in tried):
        return tried[0]
    if not scale:
        tried = [entry for entry in tried if entry.status != "ok"]
    return _best_of(tried, math.isfinite(graph.data), rtol)


def _smooth_step(
    function: _Function, j: int, base: list[Any], relative: float
) -> tuple[float, bool]:
    """Returns the first step for coordinate ``j``, made smaller until no kink lies within it, and
    whether there is such a step.  ``base`` has the pieces at the point itself."""
    x = function.point[j]
    step = relative * max(abs(x), SMALLEST_NORMAL) if x else relative
    while relative >= SMALLEST_STEP * 0.99:
        if function.pieces(j, x + step) == base == function.pieces(j, x - step):
            return step, True
        relative /= 10
        step /= 10
    return step, False


def _status(analytic: float, numeric: float, allowed: float, is_precise: bool) -> str:
    if not (math.isfinite(analytic) and math.isfinite(numeric)):
        return "nonfinite"
    if abs(analytic - numeric) > allowed:
        return "mismatch"
    return "ok" if is_precise else "imprecise"


def _best_of(tried: Sequence[Entry], is_finite: bool, rtol: float) -> Entry:
    """Returns the entry with the smallest error, with the status that all entries together show.
    ``is_finite``: whether the function is finite."""
    best = min(tried, key=lambda entry: entry.error if entry.error == entry.error else math.inf)
    steady = [e for e in tried if abs(e.numeric - best.numeric) <= STEADY * abs(best.numeric)]
    difference = abs(best.analytic - best.numeric)
    if best.status == "mismatch" and (len(steady) < 2 or difference <= 2 * best.error):
        # the differences do not even agree with each other
        return best._replace(status="imprecise")
    agree = best.error <= STEADY * abs(best.numeric) < math.inf
    if is_finite and not math.isfinite(best.analytic) and agree:
        return best._replace(status="mismatch", allowed=rtol * abs(best.numeric))
    return best


def _is_a_kink(f: Callable[[float], float], x: float, step: float) -> bool:
    """Returns whether the derivatives of ``f`` from the left and from the right of ``x`` differ,
    and each is steady.

    The primitives do not know of every kink: a program may choose with ``if`` or ``max``.
    """
    there = f(x)
    far_left, left, far_right, right = [
        (f(x + h) - there) / h for h in (-step / 8, -step / 64, step / 8, step / 64)
    ]
    largest = max(abs(left), abs(right))
    jump = max([abs(left - far_left), abs(right - far_right)])
    return math.isfinite(largest) and abs(left - right) > max(STEADY * largest, 20 * jump)


def _ridders(
    f: Callable[[float], float], x: float, step: float, rtol: float
) -> tuple[float, float, float]:
    """Returns the derivative of ``f`` at ``x``, an estimate of its error, and the smallest step.

    The tableau holds central differences at shrinking steps in its first column, and in each
    further column the extrapolation that removes one more even power of the step.
    """
    best, error, last = math.nan, math.inf, step
    previous: list[float] = []
    for i in range(MAX_STEPS):
        h = step / SHRINK**i
        right = x + h
        left = x - h
        if not 0 < right - left < math.inf:  # as near the largest number
            break
        row = [(f(right) - f(left)) / (right - left)]
        for k in range(1, i + 1):
            factor = SHRINK ** (2 * k)
            row.append((factor * row[k - 1] - previous[k - 1]) / (factor - 1))
            estimate = max(abs(row[k] - row[k - 1]), abs(row[k] - previous[k - 1]))
            if estimate <= error:
                best, error, last = row[k], estimate, h
        if not math.isfinite(row[0]):
            return row[0], math.inf, h
        if error <= 1e-3 * rtol * abs(best) or (i and abs(row[-1] - previous[-1]) >= 2 * error):
            break
        previous = row
    return best, error, last


def _rounding(root: Value) -> tuple[float, dict[Value, float]]:
    """Returns a bound on the rounding error of evaluating the graph of ``root``, and the adjoints
    accumulated with absolute values."""
    order = topological_order(root, constants=False)
    adjoints = accumulate([root], [1.0], order, _absolute_edges)
    total = 0.0
    for node in reversed(order):
        if node.edges:
            total += adjoints[node] * (abs(node.data) + SMALLEST_NORMAL)
    return (ROUNDING * total if math.isfinite(total) else 0.0), adjoints


def _absolute_edges(node: Value) -> list[tuple[Any, float | None]]:
    return [(arg, None if slope is None else abs(slope)) for arg, slope in node.edges]


def _argument_names(f: Callable[..., Any], n: int) -> list[str]:
    if isinstance(f, Primitive):
        return list(f.parameters[:n])
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return names[:n] if len(names) >= n else [f"args[{i}]" for i in range(n)]
