"""The argument ``rng`` of functions that draw random numbers.

The package has no random state of its own.

``rng`` is a `random.Random`, an int (the random seed of a new one), or None for the standard module
`random`; then `random.seed` works.
"""

from __future__ import annotations

import operator
import random
from collections.abc import Callable
from typing import Any, SupportsIndex, TypeAlias, cast

from .engine.interpreter import interpreted
from .errors import short_repr

Rng: TypeAlias = random.Random | int | None


def generator(rng: Any) -> random.Random:
    """Returns the random generator for ``rng``.

    Raises:
        TypeError: ``rng`` is not a `random.Random`, an int, None or the module `random`.
    """
    if rng is None or rng is random:
        return cast(random.Random, random)  # the module has the methods of its hidden instance
    if isinstance(rng, random.Random):
        return rng
    if isinstance(rng, SupportsIndex):  # an int, or one of numpy's
        return random.Random(operator.index(rng))
    raise TypeError(
        f"rng must be a random.Random, an int to seed one, or None for the random module, "
        f"not {type(rng).__name__} ({short_repr(rng)})"
    )


@interpreted
def drawn(draw: Callable[[], float]) -> Any:
    """Returns a number that ``draw`` draws.

    A compiled function draws it at every call.
    """
    return draw()
