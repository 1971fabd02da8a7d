"""`explore`: the interactive page of a graph, or of a training."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, overload

from tinygrad_edu.debug.recording import Recording
from tinygrad_edu.debug.stepper import Stepper
from tinygrad_edu.engine.primitives import short_repr
from tinygrad_edu.engine.value import Value
from tinygrad_edu.train.fitting import History

from .page import Page


@overload
def explore(y: Value | Recording | Stepper | History, path: None = None, **options: Any) -> Page: ...


@overload
def explore(y: Value | Recording | Stepper | History, path: str | os.PathLike[str], **options: Any) -> Path: ...


def explore(
    y: Value | Recording | Stepper | History,
    path: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Page | Path:
    """An interactive page: a `Page`, which a notebook displays, or if a ``path`` is given the path
    that it was written to.

    Of a Value, a Recording or a Stepper: the graph, to be stepped through forwards and backwards.
    Options:

    collapse, expand, max_nodes    which modules are boxes, as in `draw`; here ``max_nodes`` is
                                   2,000
    title                          of the page

    Of the History of ``fit(..., record_every=k)``: the training, to be played.  Options:

    title, progress                of the page; whether to show a progress bar, since the model is
                                   asked very often
    max_frames                     how many snapshots to show at most, evenly chosen; by default 30
    features, feature_names        which two features span the picture, by default ``(0, 1)``; the
                                   names of all
    samples                        how many samples to make graphs of at most; by default 60

    The page is one HTML file that needs no network.  Raises TypeError for another ``y`` or option,
    and what `explorer.explore` and `training.page.explore_training` raise.
    """
    if not isinstance(y, (Value, Recording, Stepper, History)):
        hint = (
            "give one of its Values"
            if isinstance(y, (list, tuple))
            else "call it, and give what it returns"
            if callable(y)
            else "what a computation returns from Values is a Value"
        )
        raise TypeError(
            "explore() takes a Value, a Recording, a Stepper, or the History of fit(..., "
            "record_every=k), not "
            f"{type(y).__name__} ({short_repr(y)}); {hint}"
        )
    if isinstance(y, History):
        from .training.page import explore_training

        return explore_training(y, path, **options)
    from . import explorer

    return explorer.explore(y, path, **options)
