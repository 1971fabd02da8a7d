"""What a sweep was asked for: the grid, the seeds and `make`, checked, as a list of `Job`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from itertools import product
from math import prod
from typing import Any

from ...errors import (
    check_function,
    check_int,
    check_list,
    check_size,
    check_text,
    check_type,
    counted,
    short_repr,
    shortened,
)
from ...errors.checks import is_list_like
from .values import described, plain_value, shown_settings

GRID = "{'lr': [0.01, 0.1], 'layers': [[8], [8, 8]]}"


@dataclass(frozen=True)
class Job:
    """One training: its settings, its seed, and the key by which a file knows it."""

    settings: dict[str, Any]
    seed: int
    key: str

    def __str__(self) -> str:
        return shown_settings({**self.settings, "seed": self.seed})


def key_of(settings: Mapping[str, Any], seed: int) -> str:
    """Returns the text that is the same for equal settings and seeds, also after JSON."""
    return described([dict(settings), seed])


def jobs_of(grid: Any, seeds: Any) -> list[Job]:
    """Returns a job for each combination and each seed; the last setting varies fastest.

    Raises:
        TypeError: ``grid`` is not a dict of lists, or a seed is not a whole number.
        ValueError: a list is empty or has a value twice.
    """
    values = checked_grid(grid)
    numbers = checked_seeds(seeds)
    check_size(prod(map(len, values.values())) * len(numbers), "sweep: grid and seeds", "trainings")
    combinations = [dict(zip(values, each)) for each in product(*values.values())]
    return [
        Job(settings, seed, key_of(settings, seed))
        for settings in combinations for seed in numbers
    ]


def checked_grid(grid: Any) -> dict[str, list[Any]]:
    """Returns the values of each setting, or raises."""
    remedy = f"write a list of values for each setting, as in {GRID}"
    check_type(grid, "sweep: grid", Mapping, "a dict of lists", remedy)
    values = {}
    for name, given in grid.items():
        check_text(name, "sweep: grid: the name of a setting", remedy)
        if not name.isidentifier():
            raise ValueError(
                f"sweep: grid: the name of a setting must be a name of an argument of make, not "
                f"{short_repr(name)}; {remedy}"
            )
        entries = check_list(
            given, f"sweep: grid[{name!r}]", "a list of values",
            f"write {name}'s values as a list, such as [0.01, 0.1]",
        )
        if not entries:
            raise ValueError(
                f"sweep: grid[{name!r}] must have at least one value, not {short_repr(given)}, "
                f"which is empty; {remedy}"
            )
        values[name] = [plain_value(entry) for entry in entries]
        texts = [described(entry, f"sweep: grid: a value of {name}") for entry in values[name]]
        if len(set(texts)) < len(texts):
            twice = next(text for text, count in Counter(texts).items() if count > 1)
            raise ValueError(
                f"sweep: grid[{name!r}] has {twice} twice in {short_repr(given)}; give each "
                "value once (a single value that is a list needs a list around it: [[8, 8]])"
            )
    return values


def checked_seeds(seeds: Any) -> list[int]:
    """Returns the seeds: those given, or 0, 1, ... if their number is given."""
    if not is_list_like(seeds):
        return list(range(check_int(seeds, "sweep: seeds", 1, "give how many, or a list of them")))
    numbers = [check_int(x, f"sweep: seeds[{i}]", most=float("inf")) for i, x in enumerate(seeds)]
    if len(set(numbers)) < len(numbers) or not numbers:
        wrong = "has a seed twice" if numbers else "is empty"
        raise ValueError(
            f"sweep: seeds must be different whole numbers, but {short_repr(numbers)} {wrong}; "
            "give how many, such as 5, or a list such as [0, 1, 2]"
        )
    return numbers


def check_make(make: Any, jobs: Sequence[Job]) -> Callable[..., Any]:
    """Returns ``make``, which must be a function of a seed and the settings.

    Raises:
        TypeError: it is not, or it has other arguments than the grid has settings.
    """
    remedy = "pass a function of a seed and the settings, def make(seed, lr, layers)"
    check_function(make, "sweep: make", remedy)
    job = jobs[0]
    try:
        taken = signature(make)
    except (TypeError, ValueError):
        return make  # type: ignore[no-any-return]  # a function of C, whose arguments are unknown
    try:
        taken.bind(job.seed, **job.settings)
    except TypeError as error:
        names = ", ".join(["seed", *job.settings])
        raise TypeError(
            f"sweep: make must be a function of {names}, as grid has "
            f"{counted(len(job.settings), 'setting')}, not "
            f"{shortened(f'{name_of(make)}{taken}', 60)}: {error}; write def make({names})"
        ) from error
    return make  # type: ignore[no-any-return]


def name_of(make: Any) -> str:
    """Returns the name of ``make`` for messages, such as ``make``."""
    function = getattr(make, "func", make)  # of a partial
    return getattr(function, "__qualname__", "") or type(function).__qualname__


def place_of(make: Any) -> str:
    """Returns the name by which a file knows ``make``, such as ``experiments.make``."""
    function = getattr(make, "func", make)
    module = getattr(function, "__module__", None) or type(function).__module__
    return f"{module}.{name_of(make)}"
