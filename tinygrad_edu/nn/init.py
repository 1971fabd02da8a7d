"""How weights start.  An initialiser is a function ``(fan_in, fan_out, rng) -> float`` that draws
one weight.

``fan_in`` is the number of inputs of the neuron, ``fan_out`` the number of neurons in its layer.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

Initialiser = Callable[[int, int, random.Random], float]


def uniform(fan_in: int, fan_out: int, rng: random.Random) -> float:
    """Uniform in [-1, 1], whatever the fans: the default, as in micrograd."""
    return rng.uniform(-1, 1)


def xavier(fan_in: int, fan_out: int, rng: random.Random) -> float:
    """Uniform in [-a, a] with a = sqrt(6 / (fan_in + fan_out)), for tanh (Glorot and Bengio, 2010,
    eq. 16)."""
    limit = math.sqrt(6 / (fan_in + fan_out))
    return rng.uniform(-limit, limit)


def he(fan_in: int, fan_out: int, rng: random.Random) -> float:
    """Normal with standard deviation sqrt(2 / fan_in), for relu (He et al., 2015, eq. 10)."""
    return rng.gauss(0.0, math.sqrt(2 / fan_in))


def normal(std: float) -> Initialiser:
    """An initialiser: normal with mean 0 and standard deviation ``std``, whatever the fans; GPT-2
    has 0.02.

    ``nn.Linear(16, 16, init=nn.normal(0.08))``.  Raises ValueError unless ``std`` is a finite
    number >= 0.
    """
    if not 0 <= std < math.inf:
        raise ValueError(
            f"normal: the standard deviation is {std!r}; "
            "it must be a finite number >= 0, such as 0.02"
        )

    def draw(fan_in: int, fan_out: int, rng: random.Random) -> float:
        return rng.gauss(0.0, std)

    return draw


INITIALISERS: dict[str, Initialiser] = {"uniform": uniform, "xavier": xavier, "he": he}


def initialiser(init: str | Initialiser) -> Initialiser:
    """The initialiser of that name, or ``init`` itself if it is a function; ValueError for an
    unknown name."""
    if callable(init):
        return init
    if init not in INITIALISERS:
        raise ValueError(
            f"unknown initialiser {init!r}; choose one of {', '.join(INITIALISERS)}, "
            "or give a function (fan_in, fan_out, rng) -> float"
        )
    return INITIALISERS[init]
