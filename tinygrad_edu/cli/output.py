"""Writes the files of the commands: pictures, pages, checkpoints and histories."""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..errors import RenderError, one_line
from ..files import write_atomically

INTERRUPTED = 130  # the exit status after Ctrl-C
MAX_FINDINGS = 2  # the others usually have the same cause


def write(out: str, default: str, save: Callable[[str | Path], Path]) -> Path | None:
    """Calls ``save`` with the path ``out``, and returns the path of the file.

    For "-", the file is written to standard output, in the format of the path ``default``, and
    None is returned.
    """
    if out != "-":
        return save(out)
    with tempfile.TemporaryDirectory() as place:
        content = save(Path(place) / default).read_bytes()
    sys.stdout.flush()
    sys.stdout.buffer.write(content)
    return None


def pictures(root: Any, out: Path) -> list[Path]:
    """Draws the graph of ``root`` with neurons as boxes, and with one of them open.

    Returns the paths.

    Without a layout engine it prints the reason and writes DOT text instead.
    """
    from .. import viz

    neurons = viz.draw(root, collapse="neurons")
    opened = viz.draw(root, collapse="neurons", expand="layers.0.neurons.0")
    try:
        return [
            neurons.save(out / "graph.svg"),
            neurons.save(out / "graph.png"),
            opened.save(out / "graph-neuron.svg"),
        ]
    except RenderError as error:
        print(f"no picture of the graph: {one_line(error)}")
        return [viz.draw(root, max_nodes=None).save(out / "graph.dot")]


def save_run(out: Path, model: Any, optimizer: Any, history: Any) -> list[Path]:
    """Writes the history, the checkpoint and the loss curve, and returns their paths."""
    from .. import nn

    written = [
        history.save(out / "history.json"),
        nn.save(model, out / "checkpoint.json", optimizer),
    ]
    try:
        from .. import viz

        figure = viz.plots.loss(history)
    except RenderError as error:
        print(f"no loss curve: {error}")
    else:
        png = io.BytesIO()
        figure.savefig(png, format="png")
        written.append(write_atomically(out / "loss.png", png.getvalue()))
    return written


def save_sweep(out: Path, sweep: Any) -> list[Path]:
    """Writes the table of a sweep and its plot, and returns the paths of all its files."""
    written = [
        out / "rows.jsonl",
        write_atomically(out / "table.txt", f"{sweep.table()}\n"),
    ]
    if not any(row.last_loss is not None for row in sweep):
        return written
    try:
        from .. import viz

        figure = viz.plots.sweep(sweep)
    except RenderError as error:
        print(f"no plot: {error}")
        return written
    svg = io.BytesIO()
    figure.savefig(svg, format="svg", metadata={"Date": None})
    return [*written, write_atomically(out / "plot.svg", svg.getvalue())]


def folder(path: Path) -> Path:
    """Creates the folder ``path`` if it is missing, and returns it.

    Raises:
        OSError: the folder cannot be created or written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise OSError(
            f"cannot write to the folder {path}: {error.strerror}; choose another with --out"
        ) from None
    return path


def accuracy_text(predictions: Sequence[Any], targets: Sequence[Any], what: str = "") -> str:
    """Returns the accuracy on the test set in words."""
    from .. import nn

    correct = sum(map(nn.accuracy, predictions, targets))
    return f"test accuracy: {correct / len(targets):.1%} ({correct:.0f} of {len(targets)}{what})"


def print_findings(history: Any) -> None:
    """Prints what went wrong in a training run, and what to do about it."""
    from ..diagnosis import diagnose

    found = diagnose(history).findings
    if not found:
        print(f"\n{history.warning}")
    rate = found[0].numbers.get("suggested_rate") if found else None
    for finding in found[:MAX_FINDINGS if rate is None else 1]:
        print(f"\n{finding}")
    what = "another --lr, --activation or --optimizer" if rate is None else f"--lr {rate:g}"
    print(f"\nTry again with {what}. In Python, diagnose(history) says how this was found.")


def list_files(out: Path, written: Sequence[Path], what: str = "") -> None:
    """Prints which files were written, with a description of each."""
    print(f"\nwrote{what} to {out}:")
    for path in written:
        print(f"  {path.name:16} {_DESCRIPTIONS.get(path.name, '')}")


_DESCRIPTIONS = {
    "graph.svg": "one sample's graph, each neuron as a box",
    "graph.png": "the same, for a slide",
    "graph-neuron.svg": "the same, with every operation of one neuron",
    "graph.dot": "every node of the graph, as DOT text",
    "loss.png": "the loss curve",
    "history.json": "loss, metrics and learning rate of every step (History.load)",
    "checkpoint.json": "parameters and optimiser state (nn.load)",
    "rows.jsonl": "a row for each training (train.Sweep.load); another sweep here goes on",
    "table.txt": "the table above",
    "plot.svg": "the loss against the learning rate",
    "live.html": "the training run, to be played in a browser",
    "training.gif": "an animation of the run: the model next to the loss, for a slide",
    "neuron.svg": "the neuron of a lecture, with every derivative",
    "neuron.gif": "an animation of its forward and backward pass",
    "neuron.html": "the same in a browser, step by step",
    "moons.html": "a training run, to be played in a browser",
}
