"""Initialisers of weights: functions ``(fan_in, fan_out, rng) -> float`` that draw one weight.

``fan_in`` is the number of inputs of the neuron, ``fan_out`` the number of neurons in its layer.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from ..engine.value import Value
from ..errors import check_choice, check_function, check_number, check_size, wrong_type
from ..randomness import Rng, generator

Entry = TypeVar("Entry")
Initialiser = Callable[[int, int, random.Random], float]


def uniform(fan_in: int, fan_out: int, rng: random.Random) -> float:
    """Draws from the uniform distribution on [-1, 1]: the default, as in micrograd."""
    return rng.uniform(-1, 1)


def xavier(fan_in: int, fan_out: int, rng: random.Random) -> float:
    """Draws from the uniform distribution on [-a, a], a = sqrt(6 / (fan_in + fan_out)): for tanh.

    Source: Glorot and Bengio, 2010, equation 16.
    """
    limit = math.sqrt(6 / (fan_in + fan_out))
    return rng.uniform(-limit, limit)


def he(fan_in: int, fan_out: int, rng: random.Random) -> float:
    """Draws from the normal distribution with standard deviation sqrt(2 / fan_in): for relu.

    Its mean is 0.  Source: He et al., 2015, equation 10.
    """
    return rng.gauss(0.0, math.sqrt(2 / fan_in))


def normal(std: float) -> Initialiser:
    """Returns an initialiser: normal with mean 0 and standard deviation ``std`` (0.02 in GPT-2).

        nn.Linear(16, 16, init=nn.normal(0.08))

    Raises:
        TypeError: ``std`` is not a number.
        ValueError: ``std`` is negative, inf or nan.
    """
    std = check_number(std, "normal: std", 0, wanted="a finite number >= 0, such as 0.02")
    return partial(_normal, std)


def _normal(std: float, fan_in: int, fan_out: int, rng: random.Random) -> float:
    return rng.gauss(0.0, std)


INITIALISERS: dict[str, Initialiser] = {"uniform": uniform, "xavier": xavier, "he": he}


def weights(
    rows: int, columns: int, init: str | Initialiser, rng: Rng, fan: tuple[int, int], user: str
) -> list[list[Value]]:
    """Returns rows of parameters, drawn one row after the other.

    fan: ``(fan_in, fan_out)``, for the initialiser.
    user: begins the message of an error.
    """
    remedy = "give a function (fan_in, fan_out, rng) -> float"
    draw = chosen(INITIALISERS, init, f"{user}: init", f"or {remedy}")
    if draw is init:
        check_function(draw, f"{user}: init", remedy, 3)
    check_size(rows * columns, user)
    source = generator(rng)

    def parameter() -> Value:
        drawn = draw(*fan, source)
        try:
            return Value(drawn)
        except (TypeError, OverflowError) as error:
            raise wrong_type(f"{user}: what init returns", "a number", drawn, remedy) from error

    return [[parameter() for _ in range(columns)] for _ in range(rows)]


def chosen(table: Mapping[str, Entry], x: Any, name: str, remedy: str) -> Entry:
    """Returns the function named ``x`` in a table, or ``x`` itself if it is a function.

    name, remedy: begin and end the message of an error.

    Raises:
        ValueError: the name is unknown.
    """
    if callable(x) and not isinstance(x, type):
        return x  # type: ignore[no-any-return]
    check_choice(x, name, table, remedy)
    return table[x]
