"""The file of a sweep: JSON Lines, a row for each training, so that a sweep can go on.

The first line says which function and which settings the rows belong to.  Each row is written in
one piece behind the last one.  What a program that was killed left of a line is cut off when the
sweep goes on; a line is a row only with its end.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from ...errors import DataError, short_repr
from ...files import FilePath, check_path, destination, each_number, from_json, to_json
from .values import json_value

FORMAT = "tinygrad_edu sweep"
VERSION = 1
EXAMPLE = "rows.jsonl"
LOSSES = ("first_loss", "last_loss", "best_loss")
# the types of what a row has, beside losses, settings and metrics
TYPES: dict[str, Any] = {
    "seed": int, "steps": int, "seconds": (int, float), "engine": str,
    "finding": (str, type(None)), "warning": str, "error": str,
}


class Store:
    """The rows in a file, open for more of them.

    It is a context manager, which closes the file.
    """

    def __init__(self, path: FilePath, make: str, settings: Iterable[str]) -> None:
        """Opens the file, or makes a new one.

        make: the name of the function that trains.
        settings: the names of the settings.

        Raises:
            DataError: the file is of another sweep, has other content, or is damaged.
            OSError: it cannot be read or written.
        """
        self.path = destination(path, "a sweep", (".jsonl",), EXAMPLE)
        header = {"format": FORMAT, "version": VERSION, "make": make, "settings": sorted(settings)}
        content = _read(self.path) if self.path.exists() else b""
        start = _line(header)
        whole = content[:content.rfind(b"\n") + 1]
        if not whole and not start.startswith(content):
            raise _foreign(self.path)
        self.rows = _parsed(whole, self.path, header) if whole else []
        with ExitStack() as stack:
            try:
                self._file: IO[bytes] = open(self.path, "ab", buffering=0)  # noqa: SIM115
                stack.callback(self._file.close)
                self._file.truncate(len(whole))
                if not whole:
                    self._write(start)
            except OSError as error:
                raise self._cannot_write(error) from error
            stack.pop_all()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, row: Mapping[str, Any]) -> None:
        """Writes one row, completely or not at all.

        Raises:
            OSError: it cannot be written, as on a full disk.
        """
        content = {
            **each_number(dict(row), float, to_json),
            "settings": json_value(row["settings"], "a setting"),
        }
        try:
            self._write(_line(content))
        except OSError as error:
            raise self._cannot_write(error) from error

    def _write(self, line: bytes) -> None:
        end = os.fstat(self._file.fileno()).st_size
        try:
            written = self._file.write(line)
            if written != len(line):
                raise OSError(0, "the disk is full")
        except BaseException:  # also Ctrl-C, which may come when the whole line is written
            if os.fstat(self._file.fileno()).st_size < end + len(line):
                self._file.truncate(end)
            raise

    def _cannot_write(self, error: OSError) -> OSError:
        return type(error)(
            f"sweep: cannot write {str(self.path)!r}: {error.strerror or error}; choose a place "
            "where you may write"
        )


def read_rows(path: FilePath) -> list[dict[str, Any]]:
    """Returns the rows of a file that a sweep wrote, without a last line that has no end.

    Raises:
        DataError: the file has other content, or is damaged.
        OSError: it cannot be read.
    """
    check_path(path, "Sweep.load", EXAMPLE)
    content = _read(path)
    return _parsed(content[:content.rfind(b"\n") + 1], path)


def _line(content: Mapping[str, Any]) -> bytes:
    return f"{json.dumps(content)}\n".encode()


def _read(path: FilePath) -> bytes:
    try:
        if Path(path).exists() and not Path(path).is_file():  # a device may have no end
            raise OSError(0, "it is not a file")
        return Path(path).read_bytes()
    except OSError as error:
        raise type(error)(
            f"sweep: path {str(path)!r} cannot be read: {error.strerror or error}; give a file "
            f"that a sweep wrote, such as {EXAMPLE!r}"
        ) from error


def _foreign(path: FilePath, what: str = "is not the file of a sweep") -> DataError:
    return DataError(f"sweep: path: {path} {what}; give another path, and nothing is lost")


def _parsed(
    content: bytes, path: FilePath, header: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Returns the rows of whole lines.

    header: what the first line must say, if that is known.
    """
    first, *lines = content.split(b"\n")[:-1] or [b""]
    try:
        found = json.loads(first)
        if found["format"] != FORMAT or found["version"] != VERSION:
            raise _foreign(path, f"has format {found['format']!r}, version {found['version']!r}")
        for name in ("make", "settings"):
            if header is not None and found[name] != header[name]:
                raise _foreign(path, (
                    f"is of another sweep: its {name} is {short_repr(found[name])}, and not "
                    f"{short_repr(header[name])}"
                ))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        raise _foreign(path) from error
    rows = []
    for number, line in enumerate(lines, 2):
        try:
            rows.append(_row(json.loads(line)))
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise DataError(
                f"sweep: {path}: line {number} is damaged: {error}; remove it, and its training "
                "is run again"
            ) from error
    return rows


def _row(content: dict[str, Any]) -> dict[str, Any]:
    """Returns the contents of a row as they were before `Store.add`."""
    row = {name: content[name] for name in TYPES}
    for name, kind in TYPES.items():
        if not isinstance(row[name], kind) or isinstance(row[name], bool):
            raise ValueError(f"{name} is {short_repr(row[name])}")
    for name in LOSSES:
        row[name] = None if content[name] is None else from_json(content[name])
    row["seconds"] = float(row["seconds"])
    row["metrics"] = {name: from_json(x) for name, x in content["metrics"].items()}
    row["settings"] = dict(content["settings"].items())
    return row
