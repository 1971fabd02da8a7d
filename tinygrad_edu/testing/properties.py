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

Points at which programs are often singular, such as 0, are tried first (`places`).  A point is
rejected and another one is drawn if the function is inf or nan there, if it has a kink there, or if
the differences are too inexact.  A test that compares hardly any point fails and says why.
"""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from types import FrameType
from typing import Any
from weakref import finalize

from hypothesis import settings

from .property import SETTINGS, Property

DEADLINE = timedelta(milliseconds=200)  # of hypothesis, unless settings or a profile say otherwise


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

    A test may be a method of a test class; ``self`` is then passed on.  A test that is made in a
    function has to be called, ``gradient_test(f)()``; if it is thrown away, there is a warning.

    f: a function whose result is a scalar, a row of the table, or the name of a row.
    order: 1 for first derivatives; 2 for second derivatives, which are compared with differences of
        the first.
    rtol: the allowed difference, as a fraction of the derivative.
    arguments: how to draw each argument of ``f``, by name.
        An interval, ``x=(0.1, 10)``, or a hypothesis strategy: the argument is drawn from it.
        A list, tuple or dict with intervals or strategies in it, ``w=[(0, 1), (2, 3)]``: they are
        drawn, the rest is kept.
        Anything else: the argument has this value and is passed unchanged.  A pair of numbers is an
        interval; to keep one, write ``st.just((3, 4))``.
        ``...``: whoever calls the test passes the argument, and it is kept.  This is how pytest
        passes fixtures, and the arguments of ``pytest.mark.parametrize``.
        By default, an argument of a function keeps its default value if it has one.  All other
        arguments are drawn with magnitudes from 0.01 to 30 and either sign; first derivatives of a
        row are also tested in its whole domain.
        Of what is drawn, floats are differentiated, also in lists, tuples, dicts and numpy arrays.
        Everything else, such as whole numbers, is passed unchanged.

    Some points are always tried: 0 and the powers of two from 1/8 to 64, of either sign, for all
    arguments at once, and 0, 1 and -1 for each argument alone.  They are not tried outside of a
    given interval; for an argument with a strategy, they are left to the strategy.

    A point is singular if the derivative is inf or nan there, although the function is finite on
    both sides, as of sqrt(x*x) and x*log(x*x) at 0.  This is a failure, since one such point in a
    training makes all parameters nan.  If it is known and will not occur, give an interval or a
    strategy without it, or call `hypothesis.assume` in the function.  A pole, such as 1/x at 0, is
    no failure: the function itself is inf there and says so.  It is not compared, and neither are
    points outside of the domain, at kinks, or where differences are too imprecise to tell right
    from wrong.

    The result is an ordinary hypothesis test: ``settings(max_examples=1000)(gradient_test(f))``
    tests more points, and ``pytest --hypothesis-show-statistics`` says how many were compared.  It
    has no deadline unless you set one other than hypothesis's own, 200 ms.

    Raises:
        TinygradEduError: there is no row of this name.
        TypeError: ``f`` is not a function.
        ValueError: ``f`` has no argument of a given name, an interval is empty, or there is no
            argument to differentiate.

    The test raises:
        AssertionError: a derivative is wrong, or a point is singular.
        TypeError: an argument that is given as ``...`` was not passed, or another one was.
        ValueError: ``f`` is not deterministic.
        FailedHealthCheck (of hypothesis): hardly any point can be compared.
    """
    if f is None:
        return partial(gradient_test, order=order, rtol=rtol, **arguments)
    gradients = Property(f, arguments, order, rtol)
    drawn = gradients.test()
    # what `settings`, `example` and `seed` write on the test holds for the one that draws points
    written = vars(drawn)

    def test(*owner: Any, **passed: Any) -> None:
        __tracebackhide__ = True
        if unused:
            unused.detach()
        used = written.get(SETTINGS)
        if used is not None and used.deadline == DEADLINE:
            written[SETTINGS] = settings(used, deadline=None)
        gradients.try_points(drawn, *owner, **passed)

    unused = _watch(test, gradients.name, sys._getframe(1))
    test.__name__ = test.__qualname__ = gradients.test_name
    test.__module__ = getattr(f, "__module__", __name__)
    test.__doc__ = f"Compares the derivatives of {gradients.name} with finite differences."
    test.__dict__ = written
    return test


def _watch(test: Callable[..., None], name: str, frame: FrameType) -> finalize[..., Any] | None:
    """Warns when a test that was made in a function is thrown away, unless it is detached first.

    A test of a module or a class is run by pytest, or left out on purpose.
    """
    if not frame.f_code.co_flags & inspect.CO_OPTIMIZED:
        return None
    message = (
        f"gradient_test({name}) made a test that was never run, and checked nothing; call the "
        f"test: gradient_test({name})()"
    )
    file = frame.f_code.co_filename
    warn = partial(warnings.warn_explicit, message, RuntimeWarning, file, frame.f_lineno)
    unused = finalize(test, warn)
    unused.atexit = False
    return unused
