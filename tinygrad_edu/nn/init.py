"""How weights start.  An initialiser is a function ``(fan_in, fan_out, rng) -> float`` that draws one weight.

``fan_in`` is the number of inputs of the neuron, ``fan_out`` the number of neurons in its layer.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Protocol


class Generator(Protocol):
    """What is drawn from: a `random.Random`, or the module `random` itself."""

    def random(self) -> float: ...
    def uniform(self, a: float, b: float) -> float: ...
    def gauss(self, mu: float, sigma: float) -> float: ...


Initialiser = Callable[[int, int, Generator], float]


def uniform(fan_in: int, fan_out: int, rng: Generator) -> float:
    """Uniform in [-1, 1], whatever the fans: the default, as in micrograd."""
    return rng.uniform(-1, 1)


def xavier(fan_in: int, fan_out: int, rng: Generator) -> float:
    """Uniform in [-a, a] with a = sqrt(6 / (fan_in + fan_out)), for tanh (Glorot and Bengio, 2010, eq. 16)."""
    limit = math.sqrt(6 / (fan_in + fan_out))
    return rng.uniform(-limit, limit)


def he(fan_in: int, fan_out: int, rng: Generator) -> float:
    """Normal with standard deviation sqrt(2 / fan_in), for relu (He et al., 2015, eq. 10)."""
    return rng.gauss(0.0, math.sqrt(2 / fan_in))


INITIALISERS: dict[str, Initialiser] = {"uniform": uniform, "xavier": xavier, "he": he}


def initialiser(init: str | Initialiser) -> Initialiser:
    """The initialiser of that name, or ``init`` itself if it is a function; ValueError for an unknown name."""
    if callable(init):
        return init
    if init not in INITIALISERS:
        raise ValueError(f"unknown initialiser {init!r}; choose one of {', '.join(INITIALISERS)}, "
                         "or give a function (fan_in, fan_out, rng) -> float")
    return INITIALISERS[init]


def generator(rng: Generator | int | None) -> Generator:
    """``rng`` itself, a generator seeded with it if it is an int, or the module `random` if it is None."""
    if rng is None:
        return random
    return random.Random(rng) if isinstance(rng, int) else rng
