"""Writing files so that nobody ever finds half of one, and numbers so that every JSON reader
understands them."""

import math
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def check_folder_of(path: str | os.PathLike[str]) -> None:
    """Raises FileNotFoundError or NotADirectoryError, with a remedy, unless ``path`` lies in a
    folder that exists."""
    folder = Path(path).parent
    if not folder.is_dir():
        kind = NotADirectoryError if folder.exists() else FileNotFoundError
        raise kind(f"cannot write {str(path)!r}: {str(folder)!r} is not a folder; create it first")


def destination(
    path: str | os.PathLike[str], what: str, suffixes: Iterable[str], example: str
) -> Path:
    """Where ``what`` ("a drawing") is to be written, checked before anything is computed.

    ``~`` is the user's home; without a suffix, that of ``example`` is added.  Raises ValueError for
    "" and for a suffix that is none of ``suffixes``, IsADirectoryError for a folder,
    FileNotFoundError or NotADirectoryError as `check_folder_of` does, and TypeError for what is no
    path.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(
            f"cannot save {what} as {path!r}: a path is text, such as {example!r}, not "
            f"{type(path).__name__}"
        )
    text = os.fspath(path)
    if not text or "\0" in text:
        raise ValueError(f"cannot save {what} as {text!r}: name a file, such as {example!r}")
    try:
        target = Path(path).expanduser()
    except RuntimeError:  # no such user
        target = Path(path)
    if os.path.isdir(target):
        raise IsADirectoryError(
            f"cannot save {what} as {text!r}: it is a folder; name a file in it, such as "
            f"{str(target / example)!r}"
        )
    if not target.suffix:
        target = target.with_name(target.name + Path(example).suffix)
    if target.suffix.lower() not in suffixes:
        raise ValueError(
            f"cannot save {what} as {text!r}: {target.suffix!r} is not a format it can have; "
            f"use one of {', '.join(suffixes)}"
        )
    check_folder_of(target)
    return target


def write_atomically(path: str | os.PathLike[str], content: str | bytes) -> Path:
    """Writes ``content`` (text as UTF-8) to ``path`` in one piece and returns the path; a symbolic
    link is followed.

    If anything goes wrong, whatever stood at ``path`` before still stands there.  Raises OSError
    with the path and a remedy if the folder is missing or cannot be written to.
    """
    check_folder_of(path)
    target = Path(os.path.realpath(path))
    beside = target.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        if target.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        if target.exists() and not target.is_file():
            raise OSError(0, "it is a device, not a file")
        with open(beside, "xb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        if target.exists():
            beside.chmod(target.stat().st_mode & 0o777)
        os.replace(beside, target)
    except OSError as error:
        raise type(error)(
            f"cannot write {str(path)!r}: {error.strerror or error}; "
            "choose a place where you may write"
        ) from error
    finally:
        beside.unlink(missing_ok=True)
    return Path(path)


def to_json(x: float) -> float | str:
    """``x`` as JSON can have it: infinities and nan, for which it has no numbers, as text."""
    x = float(x)
    return x if math.isfinite(x) else repr(x)


def from_json(entry: Any) -> float:
    """The number that `to_json` wrote; raises ValueError for anything else."""
    if isinstance(entry, bool) or (
        not isinstance(entry, (int, float)) and entry not in ("inf", "-inf", "nan")
    ):
        shown = repr(entry)
        raise ValueError(f"{shown if len(shown) <= 60 else shown[:57] + '...'} is not a number")
    try:
        return float(entry)
    except OverflowError:
        raise ValueError(f"a number of {len(str(entry))} digits is too large") from None


def nested_deeper_than(levels: int, content: Any) -> bool:
    """Whether lists and dicts stand in one another more than ``levels`` deep in ``content``; finds
    out without recursion."""
    level = [content]
    for _ in range(levels + 1):
        below: list[Any] = []
        for part in level:
            if isinstance(part, dict):
                below += part.values()
            elif isinstance(part, list):
                below += part
        level = below
    return bool(level)
