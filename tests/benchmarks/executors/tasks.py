"""Functions that workers import."""

from __future__ import annotations

import os
from functools import cache
from random import Random
from time import process_time

from tinygrad_edu import History, data, fit, nn, optim


@cache
def noise(size: int) -> bytes:
    """Returns random bytes, which cannot be compressed, as the digits of results cannot."""
    return Random(0).randbytes(size)


def echo(given: bytearray, size: int, number: int) -> tuple[bytes, int, float]:
    """Returns so many bytes, the process, and the seconds of its processor until now.

    number: makes the task unlike the others, of which Dask would compute one.
    """
    return bytes(bytearray(noise(size))), os.getpid(), process_time()


def spin(turns: int, number: int) -> float:
    """Returns the seconds of processor that a loop of so many turns takes.

    By the clock it would count, too, that other programs use the processors of this machine.
    """
    began = process_time()
    total = 0
    for i in range(turns):
        total += i
    return process_time() - began


def training(seed: int, lr: float, epochs: int) -> History:
    """Trains a small network eagerly."""
    X, y = data.moons(40, rng=seed)
    model = nn.MLP(2, [8, 1], rng=seed)
    optimizer = optim.SGD(model.parameters(), lr=lr)
    return fit(model, nn.mse, X, y, optimizer=optimizer, epochs=epochs, rng=seed, engine="eager")
