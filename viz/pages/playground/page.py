"""The playground as a page, and what it needs of Python: the table of settings, and texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any, overload

from tinygrad_edu.debug.sentences import ORDINALS, TEMPLATES, written
from tinygrad_edu.diagnosis import curves, layers
from tinygrad_edu.engine.primitive import lookup
from tinygrad_edu.files import FilePath
from tinygrad_edu.symbolic.formulas import Name, derivative
from tinygrad_edu.train import judgement

from ..live.program import call_of, rows
from ..page import Page, assemble, page_path
from .settings import as_data, checked

ROWS = (
    "add", "sub", "mul", "div", "neg", "square", "relu", "leaky_relu", "tanh", "sigmoid", "silu",
    "softplus",
)
TITLE = "The playground of tinygrad_edu"


@overload
def playground(path: None = None, **settings: Any) -> Page: ...


@overload
def playground(path: FilePath, **settings: Any) -> Path: ...


def playground(path: FilePath | None = None, **settings: Any) -> Page | Path:
    """Returns a `Page` that trains networks, or writes it to ``path`` and returns the path.

    The page needs no network, and trains with the numbers of this package: a program that it shows
    gives the same weights.  It shows the decision, the losses, gradients by layer, a picture of
    each unit, and the scalar graph behind each unit for each sample.

    settings: how the page opens: ``data``, ``samples``, ``noise``, ``test``, ``layers``,
        ``activation``, ``init``, ``loss``, ``optimizer``, ``rate``, ``momentum``, ``alpha``,
        ``beta1``, ``beta2``, ``decay``, ``schedule``, ``over``, ``batch``, ``l1``, ``l2``,
        ``dropout`` and ``seed``; see `playground.settings.SETTINGS`.

    Raises:
        TypeError: a setting does not exist.
        ValueError: a setting has a value that is out of range.
        Others: see `Page.save`.
    """
    state = checked(settings)
    target = None if path is None else page_path(path)
    data = {"table": as_data(), "texts": texts(), "state": state}
    page = assemble("playground", TITLE, data, {"live/rows.js": rows(ROWS)})
    return page if target is None else page.save(target)


def texts() -> dict[str, Any]:
    """Returns the texts of the page: how rows are written, sentences, and words of `diagnose`."""
    operands = {op: tuple([Name(f"{{{i}}}") for i in range(lookup(op).arity)]) for op in ROWS}
    return {
        "rows": {
            "written": {op: written(lookup(op))._asdict() for op in ROWS},
            "calls": {op: call_of(lookup(op))._asdict() for op in ROWS},
            "operations": {
                op: Name.apply_primitive(lookup(op), names).text for op, names in operands.items()
            },
            "rules": {
                op: [derivative(op, i, names, Name("{o}")).text for i in range(len(names))]
                for op, names in operands.items()
            },
            "templates": TEMPLATES,
            "ordinals": ORDINALS,
        },
        "findings": {
            "found": curves.FOUND,
            "rose": judgement.ROSE,
            "fell": judgement.FELL,
            "went": judgement.WENT,
            "grew": curves.GREW,
            "rateAdvice": curves.RATE_ADVICE,
            "scaleAdvice": curves.SCALE_ADVICE,
            "dead": layers.DEAD,
            "deadAdvice": layers.DEAD_ADVICE,
            "saturated": layers.AT_ASYMPTOTE,
            "saturatedAdvice": layers.ASYMPTOTE_ADVICE,
        },
    }
