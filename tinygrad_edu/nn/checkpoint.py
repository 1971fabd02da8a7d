"""Checkpoints: a model's parameters, and an optimiser's state, as one JSON file that can be read by eye and by machine.

::

    {"format": "tinygrad_edu checkpoint", "version": 1,
     "parameters": {"layers.0.neurons.0.w": {"shape": [2], "data": [0.3, -0.7]},
                    "layers.0.neurons.0.b": {"shape": [], "data": 0.0}},
     "optimizer": {...} or null,
     "sha256": "..."}

The last entry is the digest of the rest, so that a file which was cut short or edited is known for what it is.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CheckpointError
from ..files import write_atomically
from .module import Module

if TYPE_CHECKING:
    from ..optim import Optimizer

FORMAT, VERSION = "tinygrad_edu checkpoint", 1


def save(model: Module, path: str | os.PathLike[str], optimizer: Optimizer | None = None) -> Path:
    """Writes the parameters of ``model``, and the state of ``optimizer`` if given; returns the path.

    Raises OSError if the file cannot be written; an older checkpoint of that name then still stands.
    """
    content = {"format": FORMAT, "version": VERSION, "parameters": _grouped(model.state_dict()),
               "optimizer": None if optimizer is None else optimizer.state_dict()}
    return write_atomically(path, json.dumps({**content, "sha256": _digest(content)}, indent=1) + "\n")


def load(model: Module, path: str | os.PathLike[str], optimizer: Optimizer | None = None) -> None:
    """Sets ``model``'s parameters, and ``optimizer``'s state if given, from a file that `save` wrote.

    Raises CheckpointError if the file is truncated, altered, foreign, of a newer version, or of another model or
    optimiser; both are then as they were.  Raises OSError if it cannot be opened.
    """
    content = _read(Path(path))
    if optimizer is not None and content["optimizer"] is None:
        raise CheckpointError(f"{path} has no optimiser state; load it without optimizer=")
    state = _flat(content["parameters"], path)
    before = model.state_dict()
    model.load_state_dict(state)
    if optimizer is not None:
        try:
            optimizer.load_state_dict(content["optimizer"])
        except BaseException:
            model.load_state_dict(before)
            raise


def _read(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        raise CheckpointError(f"{path} is not a checkpoint, or is damaged: it is not valid JSON; save it again") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not a checkpoint of tinygrad_edu: it does not say format {FORMAT!r}")
    if content.get("version") != VERSION:
        raise CheckpointError(f"{path} has version {content.get('version')!r}; this release reads version {VERSION}")
    digest = content.pop("sha256", None)
    if digest != _digest(content):
        raise CheckpointError(f"{path} was altered after it was saved: its digest does not match; save it again")
    return content


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _grouped(state: dict[str, float]) -> dict[str, Any]:
    """``w.0, w.1`` as one entry ``w`` with a shape; infinities and nan, which JSON does not know, as text."""
    groups: dict[str, Any] = {}
    for name, number in state.items():
        base, _, last = name.rpartition(".")
        entry = number if math.isfinite(number) else repr(number)
        if base and last.isdigit():
            groups.setdefault(base, {"shape": [0], "data": []})["data"].append(entry)
            groups[base]["shape"][0] += 1
        else:
            groups[name] = {"shape": [], "data": entry}
    return groups


def _flat(groups: Any, path: object) -> dict[str, float]:
    """The state that `_grouped` was made from."""
    state: dict[str, float] = {}
    try:
        for name, group in groups.items():
            shape, data = group["shape"], group["data"]
            if shape == []:
                state[name] = _number(data)
            elif shape == [len(data)]:
                state.update((f"{name}.{i}", _number(entry)) for i, entry in enumerate(data))
            else:
                raise ValueError(f"{name} has shape {shape} but {len(data)} numbers")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is not a checkpoint that this release can read: {error}") from None
    return state


def _number(entry: Any) -> float:
    if isinstance(entry, bool) or (not isinstance(entry, (int, float)) and entry not in ("inf", "-inf", "nan")):
        raise ValueError(f"{entry!r} is not a number")
    return float(entry)
