"""`explore`: passes a graph to `explorer`, and a training run to `training.page`."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any, TypeAlias, overload

from tinygrad_edu.debug.recording import Recording, not_a_graph
from tinygrad_edu.debug.stepper import Stepper
from tinygrad_edu.engine.value import Value
from tinygrad_edu.errors import check_name, check_text
from tinygrad_edu.files import FilePath
from tinygrad_edu.train import History

from .page import Page, page_path

Explorable: TypeAlias = Value | Recording | Stepper | History


@overload
def explore(y: Explorable, path: None = None, **options: Any) -> Page: ...


@overload
def explore(y: Explorable, path: FilePath, **options: Any) -> Path: ...


def explore(y: Explorable, path: FilePath | None = None, **options: Any) -> Page | Path:
    """Returns an interactive `Page`, or writes it to ``path`` and returns the path.

    A notebook displays the page.  It is one HTML file that needs no network.

    For a Value, a Recording or a Stepper, the page steps through the graph forwards and backwards.
    Options:

    collapse, expand: modules that are drawn as boxes, or as a whole, as in `draw`
    max_nodes: above this many nodes modules are collapsed, as in `draw`; by default 2,000, and a
        page of more than 25 nodes opens with its neurons collapsed, which a click expands
    direction: "LR" or "TB", as in `draw`
    title: title of the page

    For the History of ``fit(..., record_every=k)``, the page plays the training run.  Options:

    title: title of the page
    progress: whether to show a progress bar, because the model runs many times
    max_frames: largest number of snapshots, evenly chosen; by default 30
    features: the two features that span the picture; by default ``(0, 1)``
    feature_names: names of all features
    samples: largest number of samples that get a graph; by default 60

    Raises:
        TypeError: ``y`` is of another type, or an option is unknown.
        Others: see `explorer.page.explore` and `training.page.explore_training`.
    """
    if not isinstance(y, Explorable):
        wanted = "a Value, a Recording, a Stepper, or the History of fit(..., record_every=k)"
        raise not_a_graph(y, "explore: y", wanted)
    make = _maker(y)
    known = list(signature(make).parameters)[1:]
    for name in options:
        try:
            check_name(name, f"explore: an option for a {type(y).__name__}", known)
        except ValueError as error:
            raise TypeError(str(error)) from None
    check_text(options.get("title", ""), "explore: title")
    target = None if path is None else page_path(path)
    page = make(y, **options)
    return page if target is None else page.save(target)


def _maker(y: Explorable) -> Callable[..., Page]:
    """Returns the function that makes the page."""
    if isinstance(y, History):
        from .training.page import explore_training

        return explore_training
    from .explorer.page import explore as explore_graph

    return explore_graph
