"""Progress bars, drawn with rich: of `fit`, and of pages and animations."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .history import History


@contextmanager
def progress_bar(wanted: bool, steps: int, epochs: int) -> Iterator[Callable[[History], None]]:
    """Yields a function that shows the latest loss and metrics of a history in a progress bar.

    If the bar is not ``wanted``, the function does nothing.
    """
    if not wanted:
        yield lambda history: None
        return
    state = random.getstate()  # rich draws numbers for its styles
    with _bar() as progress:
        def count(epoch: int) -> str:
            return f"epoch {epoch}/{epochs}" if epochs > 1 else "steps"

        task = progress.add_task(count(0), total=steps, figures="")
        random.setstate(state)

        def show(history: History) -> None:
            figures = [f"loss {history.loss[-1]:.4g}"] if history.loss else []
            figures += [
                f"{name} {values[-1]:.3g}" for name, values in history.metrics.items() if values
            ]
            if history.engine:
                figures.append(history.engine.partition(": ")[0])
            progress.update(
                task,
                completed=len(history),
                description=count(history.epochs),
                figures="  ".join(figures),
            )

        yield show


def _bar() -> Any:
    """Returns a bar with a description, counts, the time that is left, and figures."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    class QuietConsole(Console):
        """A console whose reader may end, as `head` does; the training goes on."""

        def on_broken_pipe(self) -> None:
            self.quiet = True

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}", markup=False),  # names of metrics may have brackets
        console=QuietConsole(),
    )


@contextmanager
def sweep_bar(wanted: bool, total: int, done: int) -> Iterator[Callable[[str], None]]:
    """Yields a function that counts a finished training of a sweep, and shows figures of it.

    If the bar is not ``wanted``, the function does nothing.
    """
    if not wanted:
        yield lambda figures: None
        return
    state = random.getstate()  # rich draws numbers for its styles
    with _bar() as progress:
        task = progress.add_task("trainings", total=total, completed=done, figures="")
        random.setstate(state)
        yield lambda figures: progress.update(task, advance=1, figures=figures)


@contextmanager
def share_bar(what: str, wanted: bool = True) -> Iterator[Callable[[float], None]]:
    """Yields a function that shows which share of the work is done, from 0 to 1.

    The bar is on standard error, only if that is a terminal, and disappears at the end.  If it is
    not ``wanted``, nothing is shown.
    """
    state = random.getstate()  # rich draws numbers for its styles
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    hidden = not (wanted and console.is_terminal)
    with Progress(console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task(what, total=1.0)
        random.setstate(state)
        yield lambda share: bar.update(task, completed=share)


LONG_RUN_SECONDS = 10.0  # after so long on the eager engine, the compiled engine is suggested


def suggest_compiled(seconds: float) -> None:
    """Prints that the compiled engine may be faster, if an eager run took long."""
    if seconds <= LONG_RUN_SECONDS:
        return
    from rich.console import Console

    Console().print(
        f'{seconds:.0f} s on the eager engine; engine="jit" may be much faster: see fit',
        markup=False,
        highlight=False,
    )
