"""Reading and writing of files, checks of paths, numbers for JSON, modules next to this package."""

import codecs
import math
import os
import secrets
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import IO, Any, TypeAlias

from .errors import DataError, check_type, shortened

FilePath: TypeAlias = str | os.PathLike[str]

MOST_BYTES = 1_000_000_000  # of a file that is read
def check_folder_of(path: FilePath) -> None:
    """Checks that the parent folder of ``path`` exists.

    Raises:
        FileNotFoundError: the parent folder does not exist.
        NotADirectoryError: the parent is not a folder.
    """
    folder = Path(path).parent
    if not folder.is_dir():
        kind = NotADirectoryError if folder.exists() else FileNotFoundError
        raise kind(f"cannot write {str(path)!r}: {str(folder)!r} is not a folder; create it first")


def check_path(path: Any, user: str, example: str) -> None:
    """Checks that ``path`` names a file.

    user: begins the message of an error.

    Raises:
        TypeError: ``path`` is not a path.
        ValueError: ``path`` is empty.
    """
    kinds = (str, os.PathLike)
    check_type(path, f"{user}: path", kinds, "text or a Path", f"write {example!r}")
    text = os.fspath(path)
    if not text or "\0" in text:
        raise ValueError(f"{user}: path must name a file, such as {example!r}, not {text!r}")


def read_text(
    path: FilePath,
    user: str,
    example: str,
    remedy: str,
    kind: type[Exception] = DataError,
    most: int = MOST_BYTES,
) -> str:
    """Returns the text of a file in UTF-8, with or without a byte-order mark, with "\\n" for line
    ends.

    user, remedy: begin and end the message of an error.
    example: a path, for the message of an error.
    most: how many bytes are read; a file that has more, or never ends, is refused.

    Raises:
        TypeError, ValueError: see `check_path`.
        OSError: the file cannot be read.
        kind: it is not text in UTF-8, or is longer than ``most``.
    """
    check_path(path, user, example)
    try:
        with open(path, "rb") as file:
            return "".join(_decoded(file, most)).replace("\r\n", "\n").replace("\r", "\n")
    except OSError as error:
        raise type(error)(
            f"{user}: path {str(path)!r} cannot be read: {error.strerror or error}; {remedy}"
        ) from error
    except ValueError as error:
        is_other = isinstance(error, UnicodeDecodeError)
        mistake = "is not text in UTF-8: save it in that encoding" if is_other else str(error)
        raise kind(f"{user}: {path} {mistake}; {remedy}") from error


def _decoded(file: IO[bytes], most: int) -> Iterator[str]:
    """Yields the text of a file in pieces; raises ValueError that says what is wrong with it."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    read = 0
    while chunk := file.read(1 << 20):
        if not read and (encoding := _encoding(chunk)):
            raise ValueError(f"is text in {encoding}, not in UTF-8: save it in that encoding")
        read += len(chunk)
        if read > most:
            raise ValueError(f"has more than {most:,} bytes")
        if b"\0" in chunk:
            raise ValueError("is not text: it has bytes of 0")
        yield decoder.decode(chunk)
    yield decoder.decode(b"", final=True)


# The mark of UTF-32 begins with the mark of UTF-16.
_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32", codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16",
}


def _encoding(chunk: bytes) -> str:
    """Returns which other encoding than UTF-8 the mark at the beginning of a file names, or ""."""
    return next((name for mark, name in _MARKS.items() if chunk.startswith(mark)), "")


def destination(path: FilePath, what: str, suffixes: Iterable[str], example: str) -> Path:
    """Returns the path of a file to write, checked before anything is computed.

    path: the file; ``~`` is the user's home.  If it has no suffix, the suffix of ``example`` is
        added.
    what: the content, for error messages, such as "a drawing".
    suffixes: the suffixes that are allowed, in lower case.

    Raises:
        TypeError: ``path`` is not a path.
        ValueError: ``path`` is empty, or its suffix is not in ``suffixes``.
        IsADirectoryError: ``path`` is a folder.
        OSError: the parent folder is missing (see `check_folder_of`).
    """
    check_path(path, f"cannot save {what}", example)
    text = os.fspath(path)
    try:
        target = Path(path).expanduser()
    except RuntimeError:  # the user in ~user does not exist
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


def write_atomically(path: FilePath, content: str | bytes) -> Path:
    """Writes ``content`` (text as UTF-8) to ``path``, completely or not at all.

    Returns ``path``.  A symbolic link is followed.  If writing fails, an old file is unchanged.

    Raises:
        OSError: the folder is missing, or the file cannot be written.
    """
    check_folder_of(path)
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        if target.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        if target.exists() and not target.is_file():
            raise OSError(0, "it is a device, not a file")
        with open(temporary, "xb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        if target.exists():
            temporary.chmod(target.stat().st_mode & 0o777)
        os.replace(temporary, target)
    except OSError as error:
        raise type(error)(
            f"cannot write {str(path)!r}: {error.strerror or error}; "
            "choose a place where you may write"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return Path(path)


def to_json(x: float) -> float | str:
    """Returns ``x`` for JSON, which has no inf and nan: they become text."""
    x = float(x)
    return x if math.isfinite(x) else repr(x)


def from_json(entry: Any) -> float:
    """Returns the number that `to_json` wrote.

    Raises:
        ValueError: ``entry`` is anything else.
    """
    if isinstance(entry, bool) or (
        not isinstance(entry, (int, float)) and entry not in ("inf", "-inf", "nan")
    ):
        raise ValueError(f"{shortened(repr(entry), 60)} is not a number")
    try:
        return float(entry)
    except OverflowError as error:
        raise ValueError(f"a number of {len(str(entry))} digits is too large") from error


def each_number(content: Any, kind: type, convert: Callable[[Any], Any]) -> Any:
    """Applies ``convert`` to all entries of one type, however deep in lists and dicts."""
    if isinstance(content, dict):
        return {name: each_number(entry, kind, convert) for name, entry in content.items()}
    if isinstance(content, (list, tuple)):
        return [each_number(entry, kind, convert) for entry in content]
    return convert(content) if isinstance(content, kind) else content


def nested_deeper_than(levels: int, content: Any) -> bool:
    """Returns whether lists and dicts are nested more than ``levels`` deep, without recursion."""
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


def module_beside(name: str) -> ModuleType:
    """Imports the module that stands next to this package.

    If another module of this name hides it, it is imported under the name of this package and its
    own.
    """
    own = Path(__file__).parents[1] / name / "__init__.py"
    found = find_spec(name)
    if found is not None and found.origin is not None and own.samefile(found.origin):
        return import_module(name)
    name = f"{__package__}.{name}"
    spec: Any = spec_from_file_location(name, own, submodule_search_locations=[str(own.parent)])
    sys.modules[name] = module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
