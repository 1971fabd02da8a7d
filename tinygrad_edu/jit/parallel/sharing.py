"""Memory that this process shares with workers on the same machine: they read and write in place.

A worker on another machine does not find it, and is sent the numbers.
"""

from __future__ import annotations

import mmap
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

Doubles = Any  # a view of memory with doubles
# the name of shared memory, its token, a position in it, and the number of the part, without which
# Dask would take the next part in this place for the same task, and not run it
Place = tuple[str, bytes, int, int]

FOLDER = Path("/dev/shm")  # where Linux shows shared memory as files
HEAD = 64  # bytes in front, which begin with the token


class Ring:
    """Shared memory that is divided into slots, which the parts of a batch use in turn.

    token: random bytes at the start, by which a worker sees that the name is not of other memory.
    """

    def __init__(self, memory: SharedMemory, slots: int, size: int) -> None:
        assert memory.buf is not None
        self._buffer: memoryview = memory.buf
        self._name = memory.name
        self._slots = slots
        self._size = size
        self._token = secrets.token_bytes(16)
        self._buffer[:len(self._token)] = self._token

    def _start(self, k: int) -> int:
        return HEAD + k % self._slots * self._size

    def place(self, k: int) -> Place:
        """Returns where part ``k`` is, for `attached`."""
        return self._name, self._token, self._start(k), k

    def view(self, k: int, count: int) -> Doubles:
        """Returns the first doubles of part ``k``.  Release the view before the ring is closed."""
        return doubles(self._buffer, self._start(k), count)


@contextmanager
def ring(slots: int, size: int) -> Iterator[Ring | None]:
    """Makes a `Ring` of slots of so many bytes; it is None if the system has not enough memory."""
    memory = None
    try:
        memory = SharedMemory(create=True, size=HEAD + slots * size)
        if (path := FOLDER / memory.name).exists():
            with path.open("r+b") as file:  # a page that is missing later would end the process
                os.posix_fallocate(file.fileno(), 0, HEAD + slots * size)
        made = Ring(memory, slots, size)
    except OSError:
        made = None
    try:
        yield made
    finally:
        if memory is not None:
            with suppress(BufferError):  # an error may keep a view of it
                memory.close()
            memory.unlink()


def doubles(buffer: memoryview, start: int, count: int) -> Doubles:
    """Returns so many doubles from a position in bytes on.

    Raises:
        ValueError: there are fewer, and machine code would write to other memory.
    """
    with buffer[start:start + 8 * count] as part:
        if len(part) != 8 * count:
            raise ValueError(f"shared memory ends before {count} doubles from {start} on")
        return part.cast("d")


# ---- in a worker ---------------------------------------------------------------------------------

_last: tuple[str, Any, memoryview | None] = "", None, None  # what was attached last


def attached(name: str, token: bytes) -> memoryview | None:
    """Returns the shared memory of this name, or None if it is not on this machine.

    It is kept, because a process that attaches it must be given all of its pages again, which takes
    half as long as computing a short function on them.
    """
    global _last
    last = _last
    if last[0] != name:
        owner: Any = None
        try:
            if FOLDER.exists():  # `SharedMemory` would remove it when a worker of Dask ends
                with (FOLDER / name).open("r+b") as file:
                    owner = mmap.mmap(file.fileno(), 0)
                last = name, owner, memoryview(owner)
            else:
                owner = SharedMemory(name)
                last = name, owner, owner.buf
        except (OSError, ValueError):  # ValueError: it is empty
            return None
        _last = last
    buffer = last[2]
    return buffer if buffer is not None and buffer[:len(token)] == token else None


def is_attached(name: str, token: bytes, start: int, k: int) -> bool:
    """Returns whether a worker has the shared memory of a `Place`."""
    return attached(name, token) is not None
