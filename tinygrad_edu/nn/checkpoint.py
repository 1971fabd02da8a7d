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
from typing import Any

from ..errors import CheckpointError, check_type, short_repr
from ..files import (
    FilePath,
    check_path,
    each_number,
    from_json,
    nested_deeper_than,
    read_text,
    to_json,
    write_atomically,
)
from ..optim import Optimizer
from .module import Module

FORMAT = "tinygrad_edu checkpoint"
VERSION = 1
MAX_LEVELS = 50  # of nested lists and dicts; a checkpoint of this package's optimisers has 5


def save(model: Module, path: FilePath, optimizer: Optimizer | None = None) -> Path:
    """Writes the parameters of ``model``, and the state of ``optimizer`` if given.

    Returns the path.

    Raises:
        TypeError: ``model`` is not a Module, or ``optimizer`` is not an Optimizer.
        OSError: the file cannot be written.  An older file of that name is left unchanged.
    """
    _check("save", model, path, optimizer)
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
        TypeError: ``model`` is not a Module, or ``optimizer`` is not an Optimizer.
        CheckpointError: the file is truncated, altered, not a checkpoint, of a newer version, or of
            another model or optimiser.
        OSError: the file cannot be read.
    """
    _check("load", model, path, optimizer)
    content = _read(path)
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


def _check(user: str, model: Any, path: Any, optimizer: Any) -> None:
    order = f"write nn.{user}(model, path, optimizer)"
    check_type(model, f"{user}: model", Module, "a Module", order)
    check_path(path, user, "model.json")
    check_type(
        optimizer, f"{user}: optimizer", (Optimizer, type(None)), "an Optimizer or None", order
    )


def _read(path: FilePath) -> dict[str, Any]:
    text = read_text(
        path, "load", "model.json", "give a file that nn.save wrote", CheckpointError
    )
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path} is not a checkpoint, or is damaged: it is not valid JSON; take another copy"
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is not a checkpoint of tinygrad_edu: its format is not {FORMAT!r}; give a "
            "file that nn.save wrote"
        )
    if nested_deeper_than(MAX_LEVELS, content):
        raise CheckpointError(
            f"{path} is damaged: its lists are nested deeper than {MAX_LEVELS} levels; "
            "take another copy"
        )
    if content.get("version") != VERSION:
        raise CheckpointError(
            f"{path} has version {short_repr(content.get('version'))}; "
            f"this release reads version {VERSION}; use the release that wrote it"
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
        ) from error
    return state
