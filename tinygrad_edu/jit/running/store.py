"""Keeps what takes long to make, in memory and on disk: machine code, and what it is made from.

The name of an entry on disk is the hash of everything that it depends on.  An entry begins with the
hash of its content.  It is ignored and replaced if it is damaged, is not a regular file, or is
owned or writable by another user.  If the folder is writable by others, a private subfolder is
used.
"""

from __future__ import annotations

import hashlib
import json
import marshal
import os
import stat
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from itertools import accumulate, pairwise
from math import inf
from pathlib import Path
from typing import Any

from ...engine.table import LOADED_AT
from ...files import write_atomically

MAGIC = b"tinygrad_edu object 3\n"
MAX_CACHE_BYTES = 256 * 2**20  # of the cache on disk; entries used longest ago are removed first
MAX_MEMORY_BYTES = 64 * 2**20  # of the entries in memory

Entry = tuple[Any, list[bytes]]  # what JSON can hold, and bytes
_memory: OrderedDict[str, tuple[Entry, int]] = OrderedDict()  # by name, each with its size
_lock = threading.Lock()  # of what is in memory
_written: float = inf  # bytes since the folder was pruned


def recalled(key: Any, make: Callable[[], Entry], on_disk: bool = True) -> Entry:
    """Returns what ``make`` returned for this key before, in this process or in another one.

    key: everything on which the result depends, besides this package, Python and the machine:
        numbers, texts, bytes and None, and tuples, lists and dicts of them.
    """
    name = _name((_version(), key))
    with _lock:
        if name in _memory:
            _memory.move_to_end(name)
            return _memory[name][0]

    def packed() -> bytes:
        fields, parts = make()
        head = json.dumps([fields, [*map(len, parts)]]).encode()
        return b"".join([len(head).to_bytes(8, "big"), head, *parts])

    content = _kept(name, packed) if on_disk and _version() else packed()
    start = 8 + int.from_bytes(content[:8], "big")
    fields, lengths = json.loads(content[8:start])
    ends = [*accumulate(lengths, initial=start)]
    result = fields, [content[i:j] for i, j in pairwise(ends)]
    with _lock:
        _memory[name] = result, len(content)
        total = sum(size for _, size in _memory.values())
        while total > MAX_MEMORY_BYTES:
            _, (_, size) = _memory.popitem(last=False)
            total -= size
    return result


def kept(key: Any, make: Callable[[], bytes]) -> bytes:
    """Returns what is on disk for this key; if there is nothing, what ``make`` returns."""
    return _kept(_name(key), make)


def _name(key: Any) -> str:
    return hashlib.sha256(marshal.dumps(key, 2)).hexdigest()  # equal keys have equal bytes


@cache
def _version() -> str:
    """Returns a text that differs for other versions of this package, of Python and of the system.

    It is empty if files of the package have changed since they were loaded: results of the loaded
    program must not be found by the new one.
    """
    names = getattr(os, "confstr_names", {})
    library = os.confstr(name) if (name := "CS_GNU_LIBC_VERSION") in names else ""
    system = getattr(os, "uname", lambda: "Windows")()
    package = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
    folders = ["", "data", "engine", "jit", "jit/tape", "jit/languages", "jit/running"]
    files = [entry for name in folders for entry in os.scandir(os.path.join(package, name))
             if entry.name.endswith(".py")]
    # reading all files would take ten times as long as looking at them
    looks = sorted([(entry.name, entry.stat().st_size, entry.stat().st_mtime_ns)
                    for entry in files])
    if any(entry.stat().st_ctime_ns > LOADED_AT for entry in files):
        return ""
    return repr((sys.version, system, library, looks))


def _kept(name: str, make: Callable[[], bytes]) -> bytes:
    path = _place() / f"{name}.o"
    found = _read(path, name)
    if found is None:
        found = make()
        _write_entry(path, _sealed(name, found))
    return found


# ---- the folder


def folder() -> Path:
    """Returns the folder of the cache: ``TINYGRAD_EDU_CACHE``, or the user's folder for caches."""
    from platformdirs import user_cache_path

    given = os.environ.get("TINYGRAD_EDU_CACHE")
    with suppress(RuntimeError):  # a user without a home
        if given:
            return Path(given).expanduser()
        if (found := user_cache_path("tinygrad_edu", appauthor=False)).is_absolute():
            return found
    import tempfile

    return Path(tempfile.gettempdir()) / f"tinygrad_edu-{_user()}"


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else "cache"


def _place() -> Path:
    """Returns the folder of the entries: a private subfolder if others may write to the cache."""
    where = Path(os.path.realpath(folder()))
    try:
        return where if _is_ours(where.lstat(), stat.S_ISDIR) else where / f"user-{_user()}"
    except OSError:  # it does not exist yet
        return where


def _sealed(key: str, code: bytes) -> bytes:
    """Returns the content of an entry."""
    return MAGIC + hashlib.sha256(key.encode() + code).digest() + code


def _read(path: Path, key: str) -> bytes | None:
    """Returns the code of an entry; None if there is none that can be trusted."""
    try:
        if not _is_ours(path.parent.lstat(), stat.S_ISDIR):
            return None
        with open(path, "rb", opener=_open_nonblocking) as file:
            content = file.read() if _is_ours(os.fstat(file.fileno()), stat.S_ISREG) else b""
    except OSError:
        return None
    code = content[len(_sealed("", b"")):]
    if content != _sealed(key, code):
        return None
    with suppress(OSError):
        os.utime(path)
    return code


def _open_nonblocking(path: str, flags: int) -> int:
    """Opens exactly this path, without following a link and without waiting for a pipe."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))


def _is_ours(status: os.stat_result, kind: Callable[[int], bool]) -> bool:
    return kind(status.st_mode) and (
        not hasattr(os, "getuid") or (status.st_uid == os.getuid() and not status.st_mode & 0o022)
    )


def _write_entry(path: Path, content: bytes) -> None:
    global _written
    with suppress(OSError):  # a cache that cannot be written only costs time
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_ours(path.parent.lstat(), stat.S_ISDIR):
            return
        if os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode):
            path.unlink()  # removes a link itself; a folder stays
        write_atomically(path, content)
        path.chmod(0o600)
        _written += len(content)
        if _written > MAX_CACHE_BYTES // 64:  # looking at all entries takes longer than writing one
            _prune(path.parent)
            _written = 0


def _prune(where: Path) -> None:
    """Removes the entries that were used longest ago."""
    found = [(path.stat(), path) for path in where.glob("[0-9a-f]" * 64 + ".o")]
    found.sort(key=lambda entry: entry[0].st_mtime, reverse=True)
    for (_, path), total in zip(found, accumulate(status.st_size for status, _ in found)):
        if total > MAX_CACHE_BYTES:
            path.unlink(missing_ok=True)
