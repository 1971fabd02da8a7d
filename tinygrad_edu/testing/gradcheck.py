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
bound is larger than the tolerance, the entry is reported as "imprecise" and does not count as
passed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import inf, isfinite, nan
from typing import Any, NamedTuple

from ..engine.accumulation import accumulate
from ..engine.autodiff import gradients
from ..engine.graph import topological_order
from ..engine.interpreter import no_grad
from ..engine.primitive import TABLE, Primitive
from ..engine.value import Value
from ..errors import check_number, counted, number, short_repr

# The first steps of the differences, in order of trial, relative to the argument; absolute at 0.
STEPS = (1e-3, 1e-5, 1e-7, 1e-1)
SMALLEST_STEP = 1e-7  # a kink that is nearer than this relative step makes the point a kink
STEP_RATIO = 2.0  # ratio of each step of an extrapolation to the next
MAX_STEPS = 8  # steps of an extrapolation
AGREEMENT = 1e-3  # largest relative difference of two numbers that agree with each other
SMALLEST_NORMAL = 2.0**-1022
ROUNDING = 4 * 2.0**-53  # an operation's relative error: at most 4 units in the last place
MAX_SHOWN = 20  # entries of a printed report


class Entry(NamedTuple):
    """One derivative, compared with finite differences.

    name: the argument, ``x``; for a second derivative the two arguments, ``x, y``.
    analytic: the derivative that the engine computes.
    numeric: the derivative that finite differences give; nan if they cannot be taken.
    step: the first step of the differences, in units of the argument.
    error: the estimated error of ``numeric``.
    allowed: the largest difference that is allowed between the two derivatives: the tolerance plus
        the rounding error of the differences.
    status: the outcome of the comparison.
        "ok": the derivatives agree.
        "mismatch": they do not agree; or ``analytic`` is inf or nan, although the differences agree
        on a number.
        "kink": they were not compared, because the function has a kink or jump at this point or
        closer than the smallest step.
        "imprecise": the differences are not precise enough for a comparison.
        "nonfinite": a derivative, or the function near the point, is inf or nan.
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
        """The difference between the two derivatives, as a fraction of the allowed difference."""
        if self.analytic == self.numeric:
            return 0.0
        if not self.allowed or not isfinite(self.analytic):
            return inf
        return abs(self.analytic - self.numeric) / self.allowed


@dataclass(eq=False, repr=False)
class Report:
    """The result of `gradcheck`.

    A report is true if it has entries, and the status of each is "ok" or "kink".
    """

    title: str
    entries: list[Entry]
    rtol: float

    def __bool__(self) -> bool:
        return bool(self.entries) and not self.failures

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
        """The entries whose differences were precise enough for a comparison."""
        return [entry for entry in self.entries if entry.status in ("ok", "mismatch")]

    @property
    def worst(self) -> float:
        """The largest difference among the compared entries, as a fraction of the allowed one.

        Above 1 is a mismatch.
        """
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
        ranks = {"kink": 1, "ok": 2}
        ordered = sorted(self.entries, key=lambda entry: ranks.get(entry.status, 0))
        shown = ordered[:MAX_SHOWN]
        width = max([len(entry.name) for entry in shown], default=0)
        for entry in shown:
            lines.append(
                f"  {entry.name:{width}}  {entry.status:9}  analytic {entry.analytic:<23.16g} "
                f"numeric {entry.numeric:<23.16g} error estimate {entry.error:.0e}  "
                f"step {entry.step:.1e}"
            )
        if len(ordered) > MAX_SHOWN:
            lines.append(f"  ... and {len(ordered) - MAX_SHOWN} more")
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
    """Compares the derivatives of ``f(*args)`` with finite differences, and returns a `Report`.

    Derivatives are taken with respect to each argument and each parameter.

        >>> assert gradcheck(lambda x, y: x * y**2, [0.5, 2.0])

    f: a function from scalars to a scalar.  It is called with Values and must be deterministic.
    args: the numbers at which derivatives are compared; a single number for one argument.
    order: 1 for first derivatives; 2 for second derivatives, which are compared with differences of
        the first.

    rtol: the allowed difference, as a fraction of the derivative.
    parameters: leaf Values that ``f`` uses in addition to its arguments, such as
        ``model.parameters()``.  Their data is changed during the comparison, and restored.
    names: the names of the arguments in the report; by default from the signature of ``f``.

    Raises:
        TypeError: ``f`` does not return one Value, an argument is not a number, or ``parameters``
            is not a list.
        ValueError: ``order`` is neither 1 nor 2; ``rtol`` is not between 0 and 1; ``names`` does
            not have one name for each argument; or ``f`` is not deterministic.
    """
    if order not in (1, 2):
        raise ValueError(f"gradcheck: order must be 1 or 2, not {order!r}")
    wanted = "between 0 and 1, such as 1e-7"
    rtol = check_number(rtol, "gradcheck: rtol", above=0, below=1, wanted=wanted)
    if not isinstance(parameters, (list, tuple)):
        raise TypeError(
            "gradcheck: parameters must be a list of Values, such as model.parameters(), not "
            f"{parameters!r}"
        )
    point: Any = args if isinstance(args, (list, tuple)) else [args]
    function = _Function(f, point, parameters, names)
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
    entries = []
    for prefix, root, at in graphs:
        bound = _rounding_bound(root)
        for j, derivative in enumerate(gradients(root, function.leaves)):
            name = prefix + function.names[j]
            entries.append(_entry(function, j, name, derivative.data, partial(at, j), bound, rtol))
    return Report(title, entries, rtol)


class _Function:
    """``f`` as a function of coordinates: its arguments first, then the parameters.

    Its methods evaluate it with one coordinate changed.
    """

    def __init__(self, f: Callable[..., Any], args: Sequence[float], parameters: Sequence[Value],
                 names: Sequence[str] | None) -> None:
        self.f = f
        self.args = [Value(number(x, f"gradcheck: argument {i}")) for i, x in enumerate(args)]
        self.leaves = [*self.args, *parameters]
        self.name = name_of(f)
        if names is not None and len(names) != len(args):
            raise ValueError(
                "gradcheck: names must have one name for each argument, not "
                f"{counted(len(names), 'name')} for {counted(len(args), 'argument')}"
            )
        self.names = [*(names or _argument_names(f, len(args))),
                      *[str(p.label) or f"parameter {i}" for i, p in enumerate(parameters)]]
        self.root = self._checked(f(*self.args))
        again = self._checked(f(*self.args)).data
        if again != self.root.data and again == again:
            raise ValueError(
                f"gradcheck: {self.name} must be deterministic, but it returned {self.root.data!r} "
                f"and then {again!r} for the same arguments; switch off dropout and random numbers"
            )
        self.pieces = _pieces(self.root)
        self._derivatives: dict[tuple[int, float], list[float]] = {}

    def _checked(self, root: Any) -> Value:
        """Returns ``root`` if it is a Value.

        Raises TypeError otherwise.
        """
        if isinstance(root, Value):
            return root
        raise TypeError(
            f"gradcheck: {self.name} must return one Value, not {short_repr(root)}; use `from "
            "tinygrad_edu import math` instead of the standard math module, which returns plain "
            "numbers, and return Value(number) from a branch that returns a number"
        )

    @contextmanager
    def _at(self, j: int, x: float) -> Iterator[Any]:
        """Yields the function with coordinate ``j`` at ``x``, inside a with block."""
        leaf = self.leaves[j]
        before = leaf.data
        leaf.data = x
        try:
            yield self.f(*self.args)
        finally:
            leaf.data = before

    def value(self, j: int, x: float) -> float:
        """Returns the function with coordinate ``j`` at ``x``."""
        with no_grad(), self._at(j, x) as root:
            return float(root)

    def derivative(self, i: int, j: int, x: float) -> float:
        """Returns the derivative for coordinate ``i``, with coordinate ``j`` at ``x``."""
        if (j, x) not in self._derivatives:
            with self._at(j, x) as root:
                self._derivatives[j, x] = [d.data for d in gradients(root, self.leaves)]
        return self._derivatives[j, x][i]

    def smooth_step(self, j: int, relative: float) -> tuple[float, bool]:
        """Returns the first step for coordinate ``j``, and whether it is free of kinks.

        The step is reduced until there is no kink within it.
        """
        x = self.leaves[j].data
        step = relative * max(abs(x), SMALLEST_NORMAL) if x else relative
        while relative >= SMALLEST_STEP * 0.99:
            if self._is_smooth_to(j, x + step) and self._is_smooth_to(j, x - step):
                return step, True
            relative /= 10
            step /= 10
        return step, False

    def _is_smooth_to(self, j: int, x: float) -> bool:
        """Returns whether there is no kink between the point and coordinate ``j`` at ``x``."""
        with self._at(j, x) as root:
            return _pieces(self._checked(root)) == self.pieces


def _pieces(root: Value) -> list[Any]:
    """Returns the smooth piece of each primitive in a graph.

    There is no kink between two points with equal lists.

    An infinite piece, such as a quotient that overflows, is equal to no other, because any number
    of pieces may lie between the points.
    """
    pieces: list[Any] = []
    for node in topological_order(root, constants=False):
        if node.op:
            rule = TABLE[node.op].piece
            piece: Any = rule(*[float(arg) for arg, _ in node.edges]) if rule else None
            if piece in (inf, -inf):
                piece = object()  # equal to nothing else
            pieces.append((node.op, *[slope is None for _, slope in node.edges], piece))
    return pieces


def _entry(
    function: _Function,
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
    x = function.leaves[j].data
    rounding, adjoints = bound
    scale = adjoints.get(function.leaves[j], 0.0)
    tried: list[Entry] = []
    for relative in STEPS:
        step, is_smooth = function.smooth_step(j, relative)
        kink = Entry(name, analytic, nan, step, nan, nan, "kink")
        if not is_smooth:
            return kink
        numeric, error, last = _ridders(at, x, step, rtol)
        noise = rounding / last
        allowed = rtol * min(abs(analytic), abs(numeric)) + noise + SMALLEST_NORMAL
        is_precise = noise <= rtol * max(scale, abs(numeric)) or not scale
        status = _status(analytic, numeric, allowed, is_precise)
        entry = Entry(name, analytic, numeric, step, error + noise, allowed, status)
        if status == "ok" and scale:
            return entry
        if status == "mismatch" and _is_a_kink(at, x, step):
            return kink
        tried.append(entry)
    # the graph does not depend on the coordinate, which every step confirms
    if all(entry.status == "ok" for entry in tried):
        return tried[0]
    if not scale:
        tried = [entry for entry in tried if entry.status != "ok"]
    return _best_of(tried, isfinite(at(x)), rtol)


def _status(analytic: float, numeric: float, allowed: float, is_precise: bool) -> str:
    """Returns the status of one comparison.

    is_precise: whether the differences are precise enough for it.
    """
    if not (isfinite(analytic) and isfinite(numeric)):
        return "nonfinite"
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


def _argument_names(f: Callable[..., Any], n: int) -> list[str]:
    """Returns names for ``n`` arguments, from the signature of ``f`` if it has as many."""
    try:
        parameters = list(signature_of(f).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return names[:n] if len(names) >= n else [f"args[{i}]" for i in range(n)]


def name_of(f: Callable[..., Any]) -> str:
    """Returns the name of a function or a row."""
    return f.name if isinstance(f, Primitive) else getattr(f, "__name__", type(f).__name__)


def signature_of(f: Callable[..., Any]) -> inspect.Signature:
    """Returns the signature of a function or a row.

    Raises:
        TypeError, ValueError: a function has none.
    """
    return signature(f.parameters) if isinstance(f, Primitive) else inspect.signature(f)


def signature(names: Iterable[str]) -> inspect.Signature:
    """Returns the signature of a function whose arguments have these names."""
    kind = inspect.Parameter.POSITIONAL_ONLY
    return inspect.Signature([inspect.Parameter(name, kind) for name in names])
