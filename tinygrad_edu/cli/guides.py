"""The command guide: the Markdown of ``tinygrad_edu/guides``, listed or shown."""

from __future__ import annotations

import argparse
import sys
from importlib import resources

from ..debug.text import encodable
from .arguments import Command, argument


def run_guide(options: argparse.Namespace) -> int:
    """Lists the guides, or shows one of them."""
    guides = guide_texts()
    if options.name is None:
        width = max(map(len, guides))
        for name, text in guides.items():
            print(f"{name:{width}}  {summary_of(text)}")
        print("\nTo read one: tinygrad-edu guide NAME")
        return 0
    if options.name not in guides:
        raise ValueError(f"unknown guide {options.name!r}; choose one of {', '.join(guides)}")
    _show(guides[options.name])
    return 0


def guide_texts() -> dict[str, str]:
    """Returns the Markdown of every guide by its name, in the order of the names."""
    folder = resources.files("tinygrad_edu") / "guides"
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    return {
        file.name.removesuffix(".md"): file.read_text(encoding="utf-8")
        for file in files
        if file.name.endswith(".md")
    }


def summary_of(text: str) -> str:
    """Returns the line below the title, which says what a guide is about."""
    _title, _, rest = text.partition("\n")
    return rest.strip().partition("\n")[0]


def _show(text: str) -> None:
    """Prints a guide: laid out on a terminal, as it stands anywhere else."""
    if not sys.stdout.isatty():
        print(encodable(text), end="")
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(text, hyperlinks=False))


GUIDE = Command(
    "guide",
    run_guide,
    "read a guide: gradients, testing, slides, ...",
    [argument("name", nargs="?", help="which guide; without a name they are listed")],
)
