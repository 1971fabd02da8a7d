"""`gradient_test`: a function or a row of your own as a property test of its derivatives, in three
lines.

::

    from tinygrad_edu import math, testing

    def bell(x):
        return math.exp(-x * x)

    test_bell = testing.gradient_test(bell)

pytest finds ``test_bell``; it can also be called.  It draws points, compares every derivative at
each of them with finite differences (`gradcheck`), and shrinks a point that fails to the simplest
one that does.  The message then has both numbers, the step and the estimated error of the
differences, and the graph, with the operation whose rule is wrong.

A point is rejected, and another one drawn, where the function is inf or nan, where it has a kink,
and where differences are too inexact to tell.  A test that hardly compares anything does not pass:
it says so, and why.
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
from .arguments import MODERATE, arguments_for, floats_between, moderate_floats
from .gradcheck import Entry, gradcheck
from .suspects import suspects

# The test fails if this many points were rejected and fewer than MIN_COMPARED compared: that is
# nearly all of them.
MAX_REJECTED = 40
MIN_COMPARED = 10
# After this many compared points, a derivative that was compared at no point fails the test.
MIN_POINTS = 20
MOST_SHOWN = 4  # wrong derivatives in a message

Point = dict[str, float]


def gradient_test(
    f: Callable[..., Any] | str | None = None,
    /,
    *,
    order: int = 1,
    rtol: float = 1e-7,
    **arguments: Any,
) -> Any:
    """A hypothesis test of the derivatives of ``f`` by its arguments; its name is ``test_`` and
    that of ``f``.

    f           takes scalars and returns one; or a row of the table, or a row's name
    order       1 for first derivatives; 2 for second ones, against differences of the first
    rtol        how much of a derivative it may differ by
    arguments   for an argument of ``f`` the interval to draw it from, ``x=(0.1, 10)``; or a
                hypothesis strategy; or a number, at which it is kept, and is not differentiated.
                Without: 0.01 to 30, of both signs, and for first derivatives of a row its whole
                domain; an argument of a function that has a default keeps it

    It is an ordinary test: ``settings(max_examples=1000)(gradient_test(f))`` tries harder, and
    ``pytest --hypothesis-show-statistics`` says how many points were compared.  As a decorator,
    with options or without, it makes a test of the function below it::

        @gradient_test(x=(0.1, 10), order=2)
        def test_cube_of_log(x):
            return math.log(x) ** 3

    The test raises AssertionError for a wrong derivative, and hypothesis's FailedHealthCheck if
    there is hardly a point where it can compare anything.  `gradient_test` itself raises ValueError
    for an argument that ``f`` does not have, an empty interval, or no argument to differentiate;
    TypeError for anything else that it cannot draw from.
    """
    if f is None:
        return partial(gradient_test, order=order, rtol=rtol, **arguments)
    gradients = Property(f, arguments, order, rtol)

    def test(point: Point) -> None:
        gradients.check(point)

    # hypothesis tells tests, and the failures that it remembers, apart by their source and their
    # signature
    test.__annotations__["point"] = f"a point of {_identity(gradients.f)}"
    name = gradients.name.strip("<>")
    test.__name__ = test.__qualname__ = name if name.startswith("test") else f"test_{name}"
    test.__module__ = getattr(f, "__module__", __name__)
    test.__doc__ = f"The derivatives of {gradients.name} are what finite differences say."
    return given(point=gradients.points)(test)


class Property:
    """What `gradient_test` tests: that the derivatives of ``f`` are right at every point that
    ``points`` draws.

    name       of ``f``
    points     the strategy: dicts with a number for each argument
    counts     of points: "compared", or why they were rejected: "not finite", "at a kink", "too
               inexact"
    worst      the largest difference so far, as a fraction of what was allowed
    worst_at   the point where it was
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
        if isinstance(self.f, Primitive):
            self.name = self.f.name
        else:
            self.name = getattr(self.f, "__name__", type(self.f).__name__)
        self._signature = _signature(self.f, self.name, arguments)
        self._kept: dict[str, float] = {}
        given = {}
        for name, x in arguments.items():
            if isinstance(x, (tuple, list, st.SearchStrategy)):
                given[name] = x
            else:
                self._kept[name] = number(x, f"argument {name}")
        self.points = self._strategy(given)
        self.counts: Counter[str] = Counter()
        self.worst = 0.0
        self.worst_at = Point()
        self._entries: dict[str, Counter[str]] = {}

    def check(self, point: Point) -> None:
        """Compares every derivative at ``point``.

        Raises AssertionError, whose message is the whole story, if one is wrong.  Has hypothesis
        reject the point where nothing can be compared, and raises FailedHealthCheck if that is
        nearly always so.
        """
        __tracebackhide__ = True
        call = self._function(point)
        report = gradcheck(
            call, list(point.values()), self.order, rtol=self.rtol, names=list(point)
        )
        root = call(*[Value(x, name) for name, x in point.items()])
        wrong = []
        for entry in report.entries:
            is_right_nan = math.isnan(entry.analytic) and self._is_outside(point)
            if entry.status == "mismatch" and not is_right_nan:
                wrong.append(entry)
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
                counts = self._entries.setdefault(entry.name, Counter())
                counts[_REASONS.get(entry.status, "compared")] += 1
            if report.worst > self.worst:
                self.worst, self.worst_at = report.worst, point
        self._check_counts()
        if outcome != "compared":
            reject()

    def _is_outside(self, point: Point) -> bool:
        """Whether a row is asked outside of its domain, where nan is a right answer: x ** y by y at
        a negative x."""
        if not isinstance(self.f, Primitive) or self.f.domain is None:
            return False
        optional = self.f.parameters[len(self.f.parameters) - len(self.f.defaults):]
        numbers = {**dict(zip(optional, self.f.defaults)), **self._kept, **point}
        return not self.f.domain(*[numbers[name] for name in self.f.parameters])

    def run(self, examples: int) -> None:
        """Checks ``examples`` points, the same ones each time; raises what `check` raises."""
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
            raise self._too_few("the derivatives", self.counts, self._names[0]) from None

    def _strategy(self, given: Mapping[str, Any]) -> st.SearchStrategy[Point]:
        """Dicts with a number for each argument that is differentiated, drawn as ``given`` or from
        what is known of them."""
        drawn = {name: _argument(name, x) for name, x in given.items()}
        self._names = [
            name
            for name, parameter in self._signature.parameters.items()
            if name not in self._kept and (name in given or parameter.default is parameter.empty)
        ]
        if not self._names:
            raise ValueError(
                f"{self.name} has no argument to differentiate; gradient_test needs a function "
                "with named arguments, such as lambda x, y: f([x, y])"
            )
        if isinstance(self.f, Primitive):
            return _points_of_row(self.f, self.order, self._kept, drawn)
        columns = [drawn[name] if name in drawn else moderate_floats() for name in self._names]
        # a dict's strategy would shuffle the names
        return st.tuples(*columns).map(lambda xs: dict(zip(self._names, xs)))

    def _function(self, point: Point) -> Callable[..., Any]:
        """``f`` of positional arguments, those of ``point`` in its order."""
        def call(*xs: Any) -> Any:
            given = {**self._kept, **dict(zip(point, xs))}
            ordered = {n: given[n] for n in self._signature.parameters if n in given}
            bound = inspect.BoundArguments(self._signature, ordered)
            return self.f(*bound.args, **bound.kwargs)

        call.__name__ = self.name
        return call

    def _check_counts(self) -> None:
        __tracebackhide__ = True
        compared = self.counts["compared"]
        if self.counts.total() - compared >= MAX_REJECTED and compared < MIN_COMPARED:
            raise self._too_few("the derivatives", self.counts, self._names[0])
        if compared >= MIN_POINTS:
            for name, counts in self._entries.items():
                if not counts["compared"]:
                    raise self._too_few(
                        f"the derivative with respect to {name}", counts, name.partition(",")[0]
                    )

    def _too_few(self, what: str, counts: Counter[str], argument: str) -> FailedHealthCheck:
        reasons = ", ".join(
            [f"{n} {reason}" for reason, n in counts.most_common() if reason != "compared"]
        )
        self.counts = Counter()  # the test may be run again
        self._entries = {}
        return FailedHealthCheck(
            f"{self.name}: {what} could be compared at only {counts['compared']} of "
            f"{counts.total()} points ({reasons}); give an interval where the function is finite "
            f"and smooth, such as {argument}=(0.1, 10)"
        )

    def _failure_message(self, point: Point, root: Value, wrong: list[Entry]) -> str:
        at = ", ".join(f"{name}={x!r}" for name, x in {**point, **self._kept}.items())
        second = "second " if self.order == 2 else ""
        what = f"the {second}derivative of {self.name} by"
        lines = []
        for entry in wrong[:MOST_SHOWN]:
            lines += [f"{what} {entry.name} is wrong at {at}", *_numbers(entry)]
        if len(wrong) > MOST_SHOWN:
            lines.append(f"... and {len(wrong) - MOST_SHOWN} more are wrong")
        lines.append("the graph there, each operation with its local derivatives:")
        lines.append(textwrap.indent(suspects(root, self.order, self.rtol), "  "))
        return "\n".join(lines)


_REASONS = {"nonfinite": "not finite", "kink": "at a kink", "imprecise": "too inexact"}


def _numbers(entry: Entry) -> list[str]:
    """Both numbers, one below the other, and how far off either may be."""
    return [
        f"  the engine says   {entry.analytic: .16g}",
        f"  differences say   {entry.numeric: .16g}   (error estimate {entry.error:.0e}, step "
        f"{entry.step:.1g})",
        f"  apart by           {abs(entry.analytic - entry.numeric):.2g}   (allowed "
        f"{entry.allowed:.0e})",
    ]


def _identity(f: Callable[..., Any]) -> str:
    """Where ``f`` is defined: the same in every process, and different for different functions."""
    line = getattr(getattr(f, "__code__", None), "co_firstlineno", 0)
    return f"{getattr(f, '__module__', '')}.{getattr(f, '__qualname__', repr(f))}:{line}"


def _signature(f: Callable[..., Any], name: str, arguments: Mapping[str, Any]) -> inspect.Signature:
    """The named arguments of ``f``, among which must be all of ``arguments``."""
    if not callable(f):
        raise TypeError(
            "gradient_test takes a function, a row of the table or a row's name, not "
            f"{short_repr(f)}"
        )
    if isinstance(f, Primitive):
        parameters = [inspect.Parameter(x, inspect.Parameter.POSITIONAL_ONLY) for x in f.parameters]
    else:
        parameters = [
            parameter
            for parameter in inspect.signature(f).parameters.values()
            if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        ]
    signature = inspect.Signature(parameters)
    unknown = [argument for argument in arguments if argument not in signature.parameters]
    if unknown:
        raise ValueError(
            f"{name} has no argument {unknown[0]!r}: it has "
            f"{', '.join(signature.parameters) or 'none'}"
        )
    return signature


def _argument(name: str, given: Any) -> st.SearchStrategy[float]:
    """The strategy that the user gave for an argument, or that of the interval."""
    if isinstance(given, st.SearchStrategy):
        return given
    if len(given) != 2:
        raise ValueError(
            f"argument {name}: {short_repr(given)} is no interval; write {name}=(low, high)"
        )
    return floats_between(*[number(end, f"an end of the interval of {name}") for end in given])


def _points_of_row(row: Primitive, order: int, kept: Mapping[str, float],
                   drawn: Mapping[str, st.SearchStrategy[float]]) -> st.SearchStrategy[Point]:
    """Moderate arguments, for which differences are precise; for first derivatives the whole domain
    and its edges, too."""
    def point(pair: tuple[tuple[float, ...], tuple[float, ...]]) -> Point:
        everything = {**dict(zip(row.parameters, pair[0])), **dict(zip(drawn, pair[1]))}
        return {name: x for name, x in everything.items() if name not in kept}

    try:
        args = arguments_for(row, special=False, smallest=MODERATE[0], largest=MODERATE[1])
        args = args if order == 2 else args | arguments_for(row)
    except ValueError:  # the row takes no moderate ones
        args = arguments_for(row)
    return st.tuples(args, st.tuples(*drawn.values())).map(point)
