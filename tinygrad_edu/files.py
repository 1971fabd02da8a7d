"""Writing files so that nobody ever finds half of one, and numbers so that every JSON reader understands them."""

import math
import os
import secrets
from pathlib import Path
from typing import Any


def check_folder_of(path: str | os.PathLike[str]) -> None:
    """Raises FileNotFoundError or NotADirectoryError, with a remedy, unless ``path`` lies in a folder that exists."""
    folder = Path(path).parent
    if not folder.is_dir():
        kind = NotADirectoryError if folder.exists() else FileNotFoundError
        raise kind(f"cannot write {str(path)!r}: {str(folder)!r} is not a folder; create it first")


def write_atomically(path: str | os.PathLike[str], content: str | bytes) -> Path:
    """Writes ``content`` (text as UTF-8) to ``path`` in one piece and returns the path; a symbolic link is followed.

    If anything goes wrong, whatever stood at ``path`` before still stands there.  Raises OSError with the path and
    a remedy if the folder is missing or cannot be written to.
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
        raise type(error)(f"cannot write {str(path)!r}: {error.strerror or error}; "
                          "choose a place where you may write") from error
    finally:
        beside.unlink(missing_ok=True)
    return Path(path)


def to_json(x: float) -> float | str:
    """``x`` as JSON can have it: infinities and nan, for which it has no numbers, as text."""
    x = float(x)
    return x if math.isfinite(x) else repr(x)


def from_json(entry: Any) -> float:
    """The number that `to_json` wrote; raises ValueError for anything else."""
    if isinstance(entry, bool) or (not isinstance(entry, (int, float)) and entry not in ("inf", "-inf", "nan")):
        raise ValueError(f"{entry!r} is not a number")
    try:
        return float(entry)
    except OverflowError:
        raise ValueError(f"a number of {len(str(entry))} digits is too large") from None
