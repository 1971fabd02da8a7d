"""`gradient_test`: makes a property test of the derivatives of a function or a row.

::

    from tinygrad_edu import math, testing

    def bell(x):
        return math.exp(-x * x)

    test_bell = testing.gradient_test(bell)

pytest finds ``test_bell``; you can also call it.  The test draws points and compares every
derivative at each point with finite differences (`gradcheck`).  If a point fails, it shrinks to the
simplest point that fails.  The message has both numbers, the step and the estimated error of the
differences, and the graph, in which the operation with the wrong rule is marked.

A point is rejected and another one is drawn if the function is inf or nan there, if it has a kink
there, or if the differences are too inexact.  A test that compares hardly any point fails and says
why.
"""

from __future__ import annotations

import inspect
import math
import textwrap
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from hypothesis import HealthCheck, event, given, reject, settings
from hypothesis import strategies as st
from hypothesis.errors import FailedHealthCheck, Unsatisfiable

from ..engine.primitive import Primitive, lookup
from ..engine.value import Value
from ..errors import number, short_repr
from .arguments import MODERATE, Arguments, Floats, arguments_for, floats_between, moderate_floats
from .gradcheck import Entry, gradcheck, name_of, signature_of
from .suspects import suspects

# The test fails if at least this many points were rejected and fewer than MIN_COMPARED compared,
# because then nearly all points are rejected.
MAX_REJECTED = 40
MIN_COMPARED = 10
# After this many compared points, the test fails if some derivative was never compared.
MIN_POINTS = 20
MAX_SHOWN = 4  # wrong derivatives in a message

Point = dict[str, float]


def gradient_test(
    f: Callable[..., Any] | str | None = None,
    /,
    *,
    order: int = 1,
    rtol: float = 1e-7,
    **arguments: Any,
) -> Any:
    """Returns a hypothesis test of the derivatives of ``f``, named ``test_`` and the name of ``f``.

    It is also a decorator, with or without options::

        @gradient_test(x=(0.1, 10), order=2)
        def test_cube_of_log(x):
            return math.log(x) ** 3

    f: a function from scalars to a scalar, a row of the table, or the name of a row.
    order: 1 for first derivatives; 2 for second derivatives, which are compared with differences of
        the first.
    rtol: the allowed difference, as a fraction of the derivative.
    arguments: how to draw each argument of ``f``, by name.
        An interval, ``x=(0.1, 10)``, or a hypothesis strategy: the argument is drawn from it.
        A number: the argument has this value and is not differentiated.
        By default, an argument of a function keeps its default value if it has one.  All other
        arguments are drawn with magnitudes from 0.01 to 30 and either sign; first derivatives of a
        row are also tested in its whole domain.

    The result is an ordinary hypothesis test: ``settings(max_examples=1000)(gradient_test(f))``
    tests more points, and ``pytest --hypothesis-show-statistics`` says how many were compared.

    Raises:
        TinygradEduError: there is no row of this name.
        TypeError: ``f`` is not a function, or an argument is not an interval, a strategy or a
            number.
        ValueError: ``f`` has no argument of a given name, an interval is empty, or there is no
            argument to differentiate.

    The test raises:
        AssertionError: a derivative is wrong.
        FailedHealthCheck (of hypothesis): hardly any point can be compared.
    """
    if f is None:
        return partial(gradient_test, order=order, rtol=rtol, **arguments)
    gradients = Property(f, arguments, order, rtol)

    def test(point: Point) -> None:
        gradients.check(point)

    # hypothesis distinguishes tests, and the failures that it remembers, by source and signature
    test.__annotations__["point"] = f"a point of {_place(gradients.f)}"
    name = gradients.name.strip("<>")
    test.__name__ = test.__qualname__ = name if name.startswith("test") else f"test_{name}"
    test.__module__ = getattr(f, "__module__", __name__)
    test.__doc__ = f"Compares the derivatives of {gradients.name} with finite differences."
    return given(point=gradients.points)(test)


class Property:
    """The property that `gradient_test` tests: the derivatives of ``f`` are right at every point.

    name: the name of ``f``.
    points: the strategy for points, which are dicts with a number for each argument.
    counts: the number of points by outcome: "compared", or the reason for which they were rejected,
        "not finite", "at a kink" or "too inexact".
    worst: the largest difference so far, as a fraction of the allowed difference.
    worst_at: the point of this difference.
    """

    def __init__(
        self,
        f: Callable[..., Any] | str,
        arguments: Mapping[str, Any],
        order: int = 1,
        rtol: float = 1e-7,
    ) -> None:
        self.f: Callable[..., Any] = lookup(f) if isinstance(f, str) else f
        self.order = order
        self.rtol = rtol
        self.name = name_of(self.f)
        self._signature = _signature(self.f, self.name, arguments)
        self._fixed: dict[str, float] = {}
        drawn: dict[str, Floats] = {}
        for name, x in arguments.items():
            if isinstance(x, (tuple, list, st.SearchStrategy)):
                drawn[name] = _argument(name, x)
            else:
                self._fixed[name] = number(x, f"argument {name}")
        self.points = self._strategy(drawn)
        self.counts: Counter[str] = Counter()
        self.worst = 0.0
        self.worst_at = Point()
        self._entry_counts: dict[str, Counter[str]] = {}

    def check(self, point: Point) -> None:
        """Compares every derivative at ``point``.

        Tells hypothesis to reject the point if nothing can be compared.

        Raises:
            AssertionError: a derivative is wrong; the message has everything about it.
            FailedHealthCheck: nearly all points have been rejected.
        """
        __tracebackhide__ = True
        call = self._function(point)
        report = gradcheck(
            call, list(point.values()), self.order, rtol=self.rtol, names=list(point)
        )
        root = call(*[Value(x, name) for name, x in point.items()])
        wrong = [entry for entry in report.entries if entry.status == "mismatch"]
        if self._is_outside(point):  # nan is a right derivative, as of (-1)**y with respect to y
            wrong = [entry for entry in wrong if not math.isnan(entry.analytic)]
        if not math.isfinite(root.data):
            outcome = "not finite"
        elif wrong:
            raise AssertionError(self._failure_message(point, root, wrong))
        else:
            outcome = "compared" if report.compared else _REASONS[report.entries[0].status]
        self.counts[outcome] += 1
        event(f"points {outcome}")
        if outcome == "compared":
            for entry in report.entries:
                counts = self._entry_counts.setdefault(entry.name, Counter())
                counts[_REASONS.get(entry.status, "compared")] += 1
            if report.worst > self.worst:
                self.worst, self.worst_at = report.worst, point
        self._check_counts()
        if outcome != "compared":
            reject()

    def _is_outside(self, point: Point) -> bool:
        """Returns whether ``f`` is a row and ``point`` is outside its domain."""
        if not isinstance(self.f, Primitive) or self.f.domain is None:
            return False
        defaults = dict(zip(self.f.parameters[::-1], self.f.defaults[::-1]))
        numbers = {**defaults, **self._fixed, **point}
        return not self.f.domain(*[numbers[name] for name in self.f.parameters])

    def run(self, examples: int) -> None:
        """Checks ``examples`` points, the same points each time.

        Raises what `check` raises.
        """
        quiet = settings(
            max_examples=examples,
            derandomize=True,
            database=None,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        )

        @quiet
        @given(point=self.points)
        def test(point: Point) -> None:
            self.check(point)

        try:
            test()
        except Unsatisfiable:
            raise self._too_few_error() from None

    def _strategy(self, drawn: dict[str, Floats]) -> st.SearchStrategy[Point]:
        """Returns the strategy for points, with a number for each argument to differentiate.

        Arguments that are not in ``drawn`` come from the default intervals.
        """
        self._names = [
            name
            for name, parameter in self._signature.parameters.items()
            if name not in self._fixed and (name in drawn or parameter.default is parameter.empty)
        ]
        if not self._names:
            raise ValueError(
                f"{self.name} has no argument to differentiate; pass a function with named "
                "arguments, such as lambda x, y: f([x, y])"
            )
        if isinstance(self.f, Primitive):
            others = list(self.f.parameters)
            numbers = _row_arguments(self.f, self.order)
        else:
            others = [name for name in self._names if name not in drawn]
            numbers = st.tuples(*[moderate_floats() for _ in others])

        def point(numbers: tuple[float, ...], given: Point) -> Point:
            everything = {**dict(zip(others, numbers)), **given}
            return {name: everything[name] for name in self._names}

        return st.builds(point, numbers, st.fixed_dictionaries(drawn))

    def _function(self, point: Point) -> Callable[..., Any]:
        """Returns ``f`` as a function of the arguments in ``point``, in the point's order."""
        def call(*xs: Any) -> Any:
            given = {**self._fixed, **dict(zip(point, xs))}
            ordered = {n: given[n] for n in self._signature.parameters if n in given}
            bound = inspect.BoundArguments(self._signature, ordered)
            return self.f(*bound.args, **bound.kwargs)

        call.__name__ = self.name
        return call

    def _check_counts(self) -> None:
        """Checks that enough points were compared, and each derivative at some point.

        Raises FailedHealthCheck otherwise.
        """
        __tracebackhide__ = True
        compared = self.counts["compared"]
        if self.counts.total() - compared >= MAX_REJECTED and compared < MIN_COMPARED:
            raise self._too_few_error()
        if compared >= MIN_POINTS:
            for name, counts in self._entry_counts.items():
                if not counts["compared"]:
                    raise self._too_few_error(name)

    def _too_few_error(self, entry: str = "") -> FailedHealthCheck:
        """Returns the error that too few points could be compared.

        entry: the name of one derivative; "" for all of them.

        Clears the counts, because the test may run again.
        """
        counts = self._entry_counts[entry] if entry else self.counts
        what = f"the derivative with respect to {entry}" if entry else "the derivatives"
        argument = entry.partition(",")[0] or self._names[0]
        self.counts = Counter()
        self._entry_counts = {}
        return FailedHealthCheck(
            f"{self.name}: {what} could be compared at only {counts['compared']} of "
            f"{counts.total()} points ({rejections(counts)}); give an interval where the function "
            f"is finite and smooth, such as {argument}=(0.1, 10)"
        )

    def _failure_message(self, point: Point, root: Value, wrong: list[Entry]) -> str:
        """Returns the message about wrong derivatives: their numbers, and the graph."""
        at = ", ".join(f"{name}={x!r}" for name, x in {**point, **self._fixed}.items())
        second = "second " if self.order == 2 else ""
        what = f"the {second}derivative of {self.name} with respect to"
        lines = []
        for entry in wrong[:MAX_SHOWN]:
            lines += [
                f"{what} {entry.name} is wrong at {at}",
                f"  the engine gives  {entry.analytic: .16g}",
                f"  differences give  {entry.numeric: .16g}   "
                f"(error estimate {entry.error:.0e}, step {entry.step:.1g})",
                f"  they differ by     {abs(entry.analytic - entry.numeric):.2g}   "
                f"(allowed {entry.allowed:.0e})",
            ]
        if len(wrong) > MAX_SHOWN:
            lines.append(f"... and {len(wrong) - MAX_SHOWN} more are wrong")
        lines.append("the graph at this point, each operation with its local derivatives:")
        lines.append(textwrap.indent(suspects(root, self.order, self.rtol), "  "))
        return "\n".join(lines)


def rejections(counts: Counter[str]) -> str:
    """Returns the numbers of rejected points with the reasons, the most frequent reason first."""
    rejected = [f"{n} {reason}" for reason, n in counts.most_common() if reason != "compared"]
    return ", ".join(rejected)


_REASONS = {"nonfinite": "not finite", "kink": "at a kink", "imprecise": "too inexact"}


def _place(f: Callable[..., Any]) -> str:
    """Returns where ``f`` is defined.

    This text is the same in every process and differs between functions.
    """
    line = getattr(getattr(f, "__code__", None), "co_firstlineno", 0)
    return f"{getattr(f, '__module__', '')}.{getattr(f, '__qualname__', repr(f))}:{line}"


def _signature(f: Callable[..., Any], name: str, arguments: Mapping[str, Any]) -> inspect.Signature:
    """Returns the named arguments of ``f``.

    Raises:
        TypeError: ``f`` is not a function.
        ValueError: ``f`` does not have one of ``arguments``.
    """
    if not callable(f):
        raise TypeError(
            "gradient_test: f must be a function, a row of the table or a row's name, not "
            f"{short_repr(f)}"
        )
    signature = inspect.Signature([
        parameter
        for parameter in signature_of(f).parameters.values()
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ])
    for argument in arguments:
        if argument not in signature.parameters:
            known = ", ".join(signature.parameters) or "none"
            raise ValueError(f"{name} has no argument {argument!r}; it has {known}")
    return signature


def _argument(name: str, given: Any) -> Floats:
    """Returns the strategy for an argument that is given as a strategy or an interval."""
    if isinstance(given, st.SearchStrategy):
        return given
    if len(given) != 2:
        raise ValueError(
            f"argument {name} must be an interval, not {short_repr(given)}; write "
            f"{name}=(low, high)"
        )
    return floats_between(*[number(end, f"an end of the interval of {name}") for end in given])


def _row_arguments(row: Primitive, order: int) -> Arguments:
    """Returns the strategy for arguments of a row.

    They are moderate, because differences are precise there.  For first derivatives, some are from
    the whole domain and its edges.
    """
    try:
        args = arguments_for(row, special=False, smallest=MODERATE[0], largest=MODERATE[1])
    except ValueError:  # the row takes no moderate arguments
        return arguments_for(row)
    return args if order == 2 else args | arguments_for(row)
