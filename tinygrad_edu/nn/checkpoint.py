"""Checkpoints: a model's parameters and an optimiser's state in one JSON file::

    {"format": "tinygrad_edu checkpoint", "version": 1,
     "parameters": {"layers.0.neurons.0.w": {"shape": [2], "data": [0.3, -0.7]},
                    "layers.0.neurons.0.b": {"shape": [], "data": 0.0}},
     "optimizer": {...} or null,
     "sha256": "..."}

The last entry is a digest of the rest: `load` rejects a file that was cut short or edited.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CheckpointError, short_repr
from ..files import FilePath, each_number, from_json, nested_deeper_than, to_json, write_atomically
from .module import Module

if TYPE_CHECKING:
    from ..optim import Optimizer

FORMAT = "tinygrad_edu checkpoint"
VERSION = 1
MAX_LEVELS = 50  # of nested lists and dicts; a checkpoint of this package's optimisers has 5


def save(model: Module, path: FilePath, optimizer: Optimizer | None = None) -> Path:
    """Writes the parameters of ``model``, and the state of ``optimizer`` if given.

    Returns the path.

    Raises:
        TypeError: ``model`` is not a Module.
        OSError: the file cannot be written.  An older file of that name is left unchanged.
    """
    if not isinstance(model, Module):
        raise TypeError(
            f"save: model must be a Module, not {type(model).__name__}; call save(model, path)"
        )
    content: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "parameters": _grouped(model.state_dict()),
        "optimizer": None,
    }
    if optimizer is not None:
        content["optimizer"] = each_number(optimizer.state_dict(), float, to_json)
    content["sha256"] = _digest(content)
    return write_atomically(path, json.dumps(content, indent=1) + "\n")


def load(model: Module, path: FilePath, optimizer: Optimizer | None = None) -> None:
    """Restores ``model``, and ``optimizer`` if given, from a file that `save` wrote.

    Model and optimiser keep what they had if anything raises.

    Raises:
        CheckpointError: the file is truncated, altered, not a checkpoint, of a newer version, or of
            another model or optimiser.
        OSError: the file cannot be read.
    """
    content = _read(Path(path))
    if optimizer is not None and content.get("optimizer") is None:
        raise CheckpointError(f"{path} has no optimiser state; load it without optimizer=")
    state = _flat(content.get("parameters"), path)
    before = model.state_dict()
    model.load_state_dict(state)
    if optimizer is not None:
        try:
            optimizer.load_state_dict(each_number(content["optimizer"], str, _from_text))
        except BaseException:
            model.load_state_dict(before)
            raise


def _read(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        raise CheckpointError(
            f"{path} is not a checkpoint, or is damaged: it is not valid JSON; take another copy"
        ) from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is not a checkpoint of tinygrad_edu: its format is not {FORMAT!r}"
        )
    if nested_deeper_than(MAX_LEVELS, content):
        raise CheckpointError(
            f"{path} is damaged: its lists are nested deeper than {MAX_LEVELS} levels; "
            "take another copy"
        )
    if content.get("version") != VERSION:
        raise CheckpointError(
            f"{path} has version {short_repr(content.get('version'))}; "
            f"this release reads version {VERSION}"
        )
    digest = content.pop("sha256", None)
    if digest != _digest(content):
        raise CheckpointError(
            f"{path} was altered after it was saved: its digest does not match; take another copy"
        )
    return content


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _grouped(state: dict[str, float]) -> dict[str, Any]:
    """Returns a state as in the file: ``w.0, w.1`` is one entry ``w`` with a shape."""
    groups: dict[str, Any] = {}
    members: dict[str, list[str]] = {}
    for name in state:
        members.setdefault(name.rpartition(".")[0], []).append(name)
    for base, names in members.items():
        if base and names == [f"{base}.{i}" for i in range(len(names))]:
            groups[base] = {"shape": [len(names)], "data": [to_json(state[name]) for name in names]}
        else:
            groups.update((name, {"shape": [], "data": to_json(state[name])}) for name in names)
    return groups


def _from_text(entry: str) -> float | str:
    return float(entry) if entry in ("inf", "-inf", "nan") else entry


def _flat(groups: Any, path: object) -> dict[str, float]:
    """Returns the state that `_grouped` turned into ``groups``.

    path: the file, for the message of an error.
    """
    state: dict[str, float] = {}
    try:
        for name, group in groups.items():
            shape, data = group["shape"], group["data"]
            if shape == []:
                state[name] = from_json(data)
            elif shape == [len(data)]:
                state.update((f"{name}.{i}", from_json(entry)) for i, entry in enumerate(data))
            else:
                raise ValueError(f"{name} has shape {shape} but {len(data)} numbers")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} is not a checkpoint that this release can read: {error}; take another copy"
        ) from None
    return state
