"""Writing files so that nobody ever finds half of one: to a temporary file beside it, then renamed."""

import os
import secrets
from pathlib import Path


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
        with open(beside, "xb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        os.replace(beside, target)
    except OSError as error:
        raise type(error)(f"cannot write {str(path)!r}: {error.strerror or error}; "
                          "choose a place where you may write") from error
    finally:
        beside.unlink(missing_ok=True)
    return Path(path)
