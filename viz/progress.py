"""A progress bar for what takes long: on standard error, and only if that is a terminal."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_bar(what: str, wanted: bool = True) -> Iterator[Callable[[float], None]]:
    """Yields a function that shows which part of the work is done, from 0 to 1.

    The bar disappears at the end.  If it is not ``wanted``, nothing is shown.
    """
    state = random.getstate()  # rich draws numbers for its styles
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    hidden = not (wanted and console.is_terminal)
    with Progress(console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task(what, total=1.0)
        random.setstate(state)
        yield lambda done: bar.update(task, completed=done)
