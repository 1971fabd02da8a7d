"""The argument ``rng`` of functions that draw random numbers.

The package has no random state of its own.

``rng`` is a `random.Random`, an int (the random seed of a new one), or None for the standard module
`random`; then `random.seed` works.
"""

from __future__ import annotations

import operator
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeAlias, cast

from .engine.interpreter import interpreted
from .errors import wrong_type

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
    with suppress(TypeError):
        if not isinstance(rng, bool):
            return random.Random(operator.index(rng))  # an int, or one of numpy's
    wanted = "a random.Random, an int to seed one, or None for the random module"
    raise wrong_type("rng", wanted, rng, "write rng=0")


@interpreted
def drawn(draw: Callable[[], float]) -> Any:
    """Returns a number that ``draw`` draws.

    A compiled function draws it at every call.
    """
    return draw()
