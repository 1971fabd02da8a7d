"""Initialisers of weights: functions ``(fan_in, fan_out, rng) -> float`` that draw one weight.

``fan_in`` is the number of inputs of the neuron, ``fan_out`` the number of neurons in its layer.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from ..errors import check_number

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
    """Draws from the normal distribution with mean 0 and standard deviation sqrt(2 / fan_in): for
    relu.

    Source: He et al., 2015, equation 10.
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

    def draw(fan_in: int, fan_out: int, rng: random.Random) -> float:
        return rng.gauss(0.0, std)

    return draw


INITIALISERS: dict[str, Initialiser] = {"uniform": uniform, "xavier": xavier, "he": he}


def initialiser(init: str | Initialiser) -> Initialiser:
    """Returns the initialiser of that name, or ``init`` itself if it is a function.

    Raises:
        ValueError: the name is unknown.
    """
    if callable(init):
        return init
    if init not in INITIALISERS:
        raise ValueError(
            f"unknown initialiser {init!r}; choose one of {', '.join(INITIALISERS)}, "
            "or give a function (fan_in, fan_out, rng) -> float"
        )
    return INITIALISERS[init]
