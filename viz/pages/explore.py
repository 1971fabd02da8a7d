"""`explore`: passes a graph to `explorer`, and a training run to `training.page`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias, overload

from tinygrad_edu.debug.recording import Recording
from tinygrad_edu.debug.stepper import Stepper
from tinygrad_edu.engine.value import Value
from tinygrad_edu.errors import short_repr
from tinygrad_edu.files import FilePath
from tinygrad_edu.train import History

from ..drawing.text import check_title
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
    max_nodes: above this many nodes modules are collapsed, as in `draw`; by default 2,000
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
        raise TypeError(
            "explore: y must be a Value, a Recording, a Stepper, or the History of fit(..., "
            f"record_every=k), not {type(y).__name__} ({short_repr(y)}); {_remedy(y)}"
        )
    check_title("explore", options.get("title", ""))
    target = None if path is None else page_path(path)
    if isinstance(y, History):
        from .training.page import explore_training

        page = explore_training(y, **options)
    else:
        from .explorer.page import explore as explore_graph

        page = explore_graph(y, **options)
    return page if target is None else page.save(target)


def _remedy(y: object) -> str:
    if isinstance(y, (list, tuple)):
        return "pass one of its Values"
    if callable(y):
        return "call it, and pass what it returns"
    return "pass the result of a computation on Values"
