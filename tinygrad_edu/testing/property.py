"""The property that `gradient_test` tests, and what it says of failures."""

from __future__ import annotations

import inspect
import math
import re
import textwrap
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from hypothesis import HealthCheck, Phase, event, example, given, reject, settings
from hypothesis import strategies as st
from hypothesis.errors import FailedHealthCheck, Unsatisfiable

from ..engine.primitive import Primitive
from ..errors import short_repr
from ..symbolic.formulas import row_of
from .arguments import MODERATE, Arguments, arguments_for, moderate_floats
from .function import Function, NondeterministicError, is_float, name_of, substituted
from .gradcheck import compare, recheck
from .places import (
    DEFAULT,
    Place,
    is_pair,
    is_place,
    named_arguments,
    parametrized,
    special_points,
    strategy_of,
)
from .report import Entry, Report
from .suspects import suspects

# The test fails if at least this many points were rejected and fewer than MIN_COMPARED compared,
# because then nearly all points are rejected.
MAX_REJECTED = 40
MIN_COMPARED = 10
# After this many compared points, the test fails if some derivative was never compared.
MIN_POINTS = 20
RECHECKED = 10  # one point of as many is evaluated several times
MAX_SHOWN = 4  # wrong derivatives in a message
_OF_ARGUMENTS = ("__signature__", "__wrapped__")  # attributes that say what arguments ``f`` has
_SELF = ("self", "cls")  # names of arguments that are never drawn in a method
SETTINGS = "_hypothesis_internal_use_settings"  # where hypothesis keeps the settings of a test

Point = dict[str, Any]


class Property:
    """The property that `gradient_test` tests: the derivatives of ``f`` are right at every point.

    name, test_name: the name of ``f``, and of a test of it.
    points: the strategy for points, which are dicts with a value for each argument that is drawn.
        A drawn part of an argument has its own value: ``{"w[0]": 0.5, "w[1]": 2.0}``.
    counts: the number of drawn points by outcome: "compared", or the reason for which they were
        rejected, "not finite", "at a kink" or "too inexact".
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
        self.f: Callable[..., Any] = row_of(f, "gradient_test: f") if isinstance(f, str) else f
        self.order = order
        self.rtol = rtol
        self.name = name_of(self.f)
        name = re.sub(r"\W", "_", self.name.strip("<>"))
        self.test_name = name if name.startswith("test") else f"test_{name}"
        self._signature, self._owner = named_arguments(self.f, self.name, arguments)
        passed = parametrized(self.f)
        self._passed = [
            name
            for name in self._signature.parameters
            if name in passed or arguments.get(name, DEFAULT) is ...
        ]
        unknown = {*self._passed, self._owner} if self._owner in _SELF else {*self._passed}
        self._given = {
            name: arguments.get(name, DEFAULT)
            for name, parameter in self._signature.parameters.items()
            if name in arguments or parameter.default is parameter.empty
            if name not in unknown
        }
        self._places: dict[str, Place] = {}
        self._arguments: dict[str, str] = {}  # the argument of each place
        for name, x in self._given.items():
            substituted(x, name, is_place, partial(self._add_place, name))
        self.points = self._strategy()
        self.counts: Counter[str] = Counter()
        self.worst = 0.0
        self.worst_at = Point()
        self._entry_counts: dict[str, Counter[str]] = {}
        self._error: NondeterministicError | None = None

    def _add_place(self, argument: str, place: Place, name: str) -> None:
        self._places[name] = place
        self._arguments[name] = argument

    def _test_signature(self) -> inspect.Signature:
        """Returns the signature of the test, for pytest: the arguments that it has to pass."""
        kind = inspect.Parameter.KEYWORD_ONLY
        # pytest passes no argument for a parameter that callers cannot name
        owner = inspect.Parameter("owner", inspect.Parameter.POSITIONAL_ONLY, default=None)
        return inspect.Signature(
            [owner, *[inspect.Parameter(name, kind) for name in self._passed]]
        )

    def kept(self, owner: tuple[Any, ...], passed: Point) -> Point:
        """Returns the arguments of ``f`` that the caller of the test passed, which are kept.

        owner: the instance or the class, if the test is a method.

        Raises TypeError if the caller passed other arguments than those given as ``...``.
        """
        if passed.keys() != {*self._passed}:
            wanted = ", ".join(f"{name}=" for name in self._passed) or "no argument"
            got = ", ".join(f"{name}=" for name in passed) or "none"
            raise TypeError(f"{self.test_name} must be called with {wanted}, not {got}")
        return {self._owner: owner[0], **passed} if owner and self._owner else passed

    def check(self, point: Point, kept: Point | None = None) -> None:
        """Compares every derivative at ``point``, which was drawn.

        Tells hypothesis to reject the point if nothing can be compared.

        kept: arguments of ``f`` that are passed unchanged, instead of what was drawn for them.

        Raises:
            AssertionError: a derivative is wrong; the message has everything about it.
            FailedHealthCheck: nearly all points have been rejected.
            ValueError: ``f`` is not deterministic.
        """
        __tracebackhide__ = True
        outcome, report = self._examine(point, kept or {})
        self.counts[outcome] += 1
        event(f"points {outcome}")
        if outcome == "compared":
            for place, entry in zip(self._places_of(report), report.entries):
                counts = self._entry_counts.setdefault(place, Counter())
                counts[_REASONS.get(entry.status, "compared")] += 1
            if report.worst > self.worst:
                self.worst, self.worst_at = report.worst, point
        self._check_counts()
        if outcome != "compared":
            reject()

    def _places_of(self, report: Report) -> list[str]:
        """Returns for each derivative the place, or two, of its numbers: ``w`` for ``w[0]``."""
        places = [
            next(place for place in self._places if name == place or name.startswith(f"{place}["))
            for name in report.names
        ]
        if self.order == 1:
            return places
        return [f"{first}, {second}" for first in places for second in places]

    def _examine(self, point: Point, kept: Point) -> tuple[str, Report]:
        """Returns the outcome of the comparison at ``point``, and the report."""
        __tracebackhide__ = True
        if self._error is not None:
            raise self._error  # at every point, so that hypothesis does not call the test flaky
        point = {place: x for place, x in point.items() if self._arguments[place] not in kept}
        if not point:
            raise self._nothing_to_draw(kept)
        try:
            function = Function(
                self._function(point, kept), list(point.values()), (), list(point), is_float
            )
            function.is_row = isinstance(self.f, Primitive)
            report = compare(function, self.order, self.rtol)
            failures = self._failures(point, report)
            if failures or self.counts.total() % RECHECKED == 0:
                recheck(function)
        except NondeterministicError as error:
            self._error = error
            raise
        if failures:
            raise AssertionError(
                self._failure_message(point, kept, function, failures, report.notes)
            )
        if not math.isfinite(function.root.data):
            return "not finite", report
        if report.compared or not report.entries:
            return "compared" if report.compared else "without floats", report
        return _REASONS[report.entries[0].status], report

    def _failures(self, point: Point, report: Report) -> list[Entry]:
        """Returns the wrong and the singular derivatives at ``point``."""
        failures = [entry for entry in report.entries if entry.status in ("mismatch", "singular")]
        if self._is_outside(point):  # nan is a right derivative, as of (-1)**y with respect to y
            failures = [entry for entry in failures if not math.isnan(entry.analytic)]
        return failures

    def _is_outside(self, point: Point) -> bool:
        """Returns whether ``f`` is a row and ``point`` is outside its domain."""
        if not isinstance(self.f, Primitive) or self.f.domain is None:
            return False
        defaults = dict(zip(self.f.parameters[::-1], self.f.defaults[::-1]))
        numbers = {**defaults, **self._given, **point}
        return not self.f.domain(*[numbers[name] for name in self.f.parameters])

    def test(self) -> Callable[..., None]:
        """Returns the hypothesis test that draws points and checks them."""

        def test(*owner: Any, point: Point, **passed: Any) -> None:
            __tracebackhide__ = True
            self.check(point, self.kept(owner, passed))

        # marks of pytest, and settings of hypothesis, that were written on ``f``
        if inspect.isfunction(self.f):
            written = {k: x for k, x in vars(self.f).items() if k not in _OF_ARGUMENTS}
            test.__dict__.update(written)
        # hypothesis distinguishes tests, and the failures that it remembers, by source and
        # signature
        test.__annotations__["point"] = f"a point of {_place(self.f)}"
        test.__name__ = test.__qualname__ = self.test_name
        drawn: Any = given(point=self.points)(test)
        drawn.__signature__ = self._test_signature()
        # a fixture need not be made again for each point, because ``f`` is deterministic
        used = getattr(drawn, SETTINGS)
        checks = {*used.suppress_health_check, HealthCheck.function_scoped_fixture}
        setattr(drawn, SETTINGS, settings(used, suppress_health_check=checks))
        return drawn  # type: ignore[no-any-return]

    def try_points(self, drawn: Callable[..., None], *owner: Any, **passed: Any) -> None:
        """Checks the points that are always tried, then those that the test ``drawn`` draws.

        owner, passed: the arguments of ``drawn``.

        Raises the failure of a drawn point, which is the simplest one, or else the first failure of
        the others.
        """
        __tracebackhide__ = True
        kept = self.kept(owner, passed)
        failure: Exception | None = None
        try:
            self._try_special_points(kept)
        except Exception as error:  # f may raise anything
            failure = error
        try:
            drawn(*owner, **passed)
        except (FailedHealthCheck, Unsatisfiable):
            if failure is None:
                raise
        if failure is not None:
            raise failure

    def _try_special_points(self, kept: Point) -> None:
        __tracebackhide__ = True
        points = special_points(self._places, self.f)
        if not points:
            return
        quiet = settings(
            phases=[Phase.explicit], database=None, deadline=None, report_multiple_bugs=False
        )

        @quiet
        @given(point=self.points)
        def test(point: Point) -> None:
            __tracebackhide__ = True
            self._examine(point, kept)

        test.__name__ = test.__qualname__ = self.test_name
        for point in reversed(points):  # the last is tried first
            test = example(point=point)(test)
        test()

    def run(self, examples: int) -> None:
        """Checks the points that are always tried, and ``examples`` others, the same ones each
        time.

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
        try:
            self.try_points(quiet(self.test()))
        except Unsatisfiable:
            raise self._too_few_error() from None

    def _strategy(self) -> st.SearchStrategy[Point]:
        """Returns the strategy for points, with a value for each place that is drawn."""
        if not self._places:
            raise self._nothing_to_draw(self._given)
        given_ones = {
            name: strategy_of(place, name)
            for name, place in self._places.items()
            if place is not DEFAULT
        }
        if isinstance(self.f, Primitive):
            others = list(self.f.parameters)
            numbers = _row_arguments(self.f, self.order)
        else:
            others = [name for name in self._places if name not in given_ones]
            numbers = st.tuples(*[moderate_floats() for _ in others])

        def point(numbers: tuple[float, ...], drawn: Point) -> Point:
            everything = {**dict(zip(others, numbers)), **drawn}
            return {name: everything[name] for name in self._places}

        return st.builds(point, numbers, st.fixed_dictionaries(given_ones))

    def _nothing_to_draw(self, kept: Point) -> ValueError:
        texts = [f"{name}={short_repr(x)}" for name, x in kept.items()]
        but = f", only {', '.join(texts)}" if texts else ""
        pair = next((f"{k}={(*x,)}" for k, x in kept.items() if is_pair(x)), "x=(0.1, 2.0)")
        return ValueError(
            f"{self.name} has no argument to differentiate{but}; pass a function with named "
            f"arguments, such as lambda x, y: f([x, y]), or an interval, a tuple, as in {pair}"
        )

    def _function(self, point: Point, kept: Point) -> Callable[..., Any]:
        """Returns ``f`` as a function of the values in ``point``, in the point's order."""
        names = {self._arguments[place] for place in point}

        def call(*xs: Any) -> Any:
            drawn = dict(zip(point, xs))
            arguments = {**self._given, **kept}
            for name in names:
                arguments[name] = substituted(
                    arguments[name], name, is_place, lambda _, place: drawn[place]
                )
            bound = inspect.BoundArguments(self._signature, arguments)
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
        argument = entry.partition(",")[0] or next(iter(self._places))
        self.counts = Counter()
        self._entry_counts = {}
        return FailedHealthCheck(
            f"{self.name}: {what} could be compared at only {counts['compared']} of "
            f"{counts.total()} points ({rejections(counts)}); give an interval where the function "
            f"is finite and smooth, such as {argument}=(0.1, 10)"
        )

    def _failure_message(
        self,
        point: Point,
        kept: Point,
        function: Function,
        failures: list[Entry],
        notes: list[str],
    ) -> str:
        """Returns the message about failures: their numbers, and the graph."""
        drawn = {self._arguments[place] for place in point} | {self._owner}
        shown = {name: repr(x) for name, x in point.items()}
        for name, x in {**self._given, **kept}.items():
            if name not in drawn:
                shown[name] = short_repr(x)
        at = ", ".join(f"{name}={text}" for name, text in shown.items())
        second = "second " if self.order == 2 else ""
        what = f"the {second}derivative of {self.name} with respect to"
        lines = []
        for entry in failures[:MAX_SHOWN]:
            numeric = f"{entry.numeric: .16g}"
            details = f"(error estimate {entry.error:.0e}, step {entry.step:.1g})"
            if entry.status == "singular":
                lines += [
                    f"{what} {entry.name} is {entry.analytic} at {at}",
                    "  this point is singular: the function is finite on both sides of it",
                ]
            else:
                lines += [
                    f"{what} {entry.name} is wrong at {at}",
                    f"  the engine gives  {entry.analytic: .16g}",
                    f"  differences give  {numeric}   {details}",
                    f"  they differ by     {abs(entry.analytic - entry.numeric):.2g}   "
                    f"(allowed {entry.allowed:.0e})",
                ]
        if len(failures) > MAX_SHOWN:
            lines.append(f"... and {len(failures) - MAX_SHOWN} more are wrong")
        lines += [textwrap.indent(note, "  ") for note in notes]
        if failures[0].status == "singular":
            lines.append(
                "if this point is known and does not occur, give an interval or a strategy without "
                f"it, such as {failures[0].name.partition(',')[0]}=(0.1, 10)"
            )
        lines.append("the graph at this point, each operation with its local derivatives:")
        lines.append(textwrap.indent(suspects(function.root, self.order, self.rtol), "  "))
        return "\n".join(lines)


def rejections(counts: Counter[str]) -> str:
    """Returns the numbers of rejected points with the reasons, the most frequent reason first."""
    rejected = [f"{n} {reason}" for reason, n in counts.most_common() if reason != "compared"]
    return ", ".join(rejected)


_REASONS = {
    "nonfinite": "not finite",
    "singular": "not finite",
    "kink": "at a kink",
    "imprecise": "too inexact",
}


def _place(f: Callable[..., Any]) -> str:
    """Returns where ``f`` is defined.

    This text is the same in every process and differs between functions.
    """
    line = getattr(getattr(f, "__code__", None), "co_firstlineno", 0)
    return f"{getattr(f, '__module__', '')}.{getattr(f, '__qualname__', repr(f))}:{line}"


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
