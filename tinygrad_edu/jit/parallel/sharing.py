"""Memory that this process shares with workers on the same machine: they read and write in place.

A worker on another machine does not find it, and is sent the numbers.
"""

from __future__ import annotations

import mmap
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count as counter
from multiprocessing.shared_memory import SharedMemory
from operator import attrgetter
from pathlib import Path
from typing import Any

Doubles = Any  # a view of memory with doubles
# the name of shared memory, its token, a position in it, and the number of the part, without which
# Dask would take the next part in this place for the same task, and not run it
Place = tuple[str, bytes, int, int]

FOLDER = Path("/dev/shm")  # where Linux shows shared memory as files
HEAD = 64  # bytes in front of the slots, which begin with the token, and in front of each slot
# in front of a slot: the number of its part, who began last, whether any worker began, and several
NUMBER, LAST, BEGUN, SEVERAL = range(4)


@dataclass
class Slot:
    """A piece of shared memory, for one part at a time.

    start: its position in the memory, in bytes.
    reserved: how many bytes the system has given.
    """

    start: int
    reserved: int = 0


class Slots:
    """Shared memory that is divided into slots, which the parts of a batch use in turn.

    It begins with a token of random bytes, by which a worker sees that the name is not of other
    memory.  A slot begins with the number of its part, and with whether several workers began to
    compute it: an executor that gives a worker up has the part computed by another one.  Should the
    first go on, it would write over a later part, so that such a slot is not used again.
    """

    def __init__(self, memory: SharedMemory, count: int, size: int) -> None:
        assert memory.buf is not None
        self._buffer: memoryview = memory.buf
        self._name = memory.name
        # those at the start are used first: memory that is never used costs no time
        self._free = [Slot(HEAD + i * (HEAD + size)) for i in range(count)]
        self._numbers = counter()
        self._file: Any = None
        if (path := FOLDER / memory.name).exists():
            self._file = path.open("r+b")
        self._token = secrets.token_bytes(16)
        try:
            self._reserve(0, HEAD)
        except OSError:
            self.close()
            raise
        self._buffer[:len(self._token)] = self._token

    def begin(self, count: int) -> tuple[Place, Doubles, Slot] | None:
        """Returns where the next part is, for `claimed`; so many doubles; and its slot, for `end`.

        Returns None if there is no free slot, or the system has not enough memory.  Release the
        view of the doubles before the memory is closed.
        """
        slot = min(self._free, key=attrgetter("start"), default=None)
        if slot is None:
            return None
        size = HEAD + 8 * count
        if size > slot.reserved:
            try:
                self._reserve(slot.start + slot.reserved, size - slot.reserved)
            except OSError:
                return None
            slot.reserved = size
        self._free.remove(slot)
        number = next(self._numbers)
        with _head(self._buffer, slot.start) as head:
            head[BEGUN] = head[SEVERAL] = 0
            head[NUMBER] = number
        place = self._name, self._token, slot.start, number
        return place, doubles(self._buffer, slot.start + HEAD, count), slot

    def end(self, slot: Slot) -> None:
        """Takes a slot back, if no other worker may still write to it."""
        with _head(self._buffer, slot.start) as head:
            head[NUMBER] = -1  # first: a worker that begins from now on sees it
            if not head[SEVERAL]:
                self._free.append(slot)

    def _reserve(self, start: int, size: int) -> None:
        """Asks the system for pages; one that is missing later would end the process."""
        if self._file is not None:
            os.posix_fallocate(self._file.fileno(), start, size)

    def close(self) -> None:
        """Ends the use of the memory."""
        if self._file is not None:
            self._file.close()


@contextmanager
def slots_of(size: int, count: int) -> Iterator[Slots | None]:
    """Makes so many slots of so many bytes; it is None if the system has not enough memory."""
    memory = made = None
    try:
        if count:
            memory = SharedMemory(create=True, size=HEAD + count * (HEAD + size))
            made = Slots(memory, count, size)
    except OSError:
        pass
    try:
        yield made
    finally:
        if made is not None:
            made.close()
        if memory is not None:
            with suppress(BufferError):  # an error may keep a view of it
                memory.close()
            memory.unlink()


def _head(buffer: memoryview, start: int) -> memoryview:
    """Returns what a slot begins with: the numbers at `NUMBER` to `SEVERAL`."""
    return buffer[start:start + 32].cast("q")


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


def claimed(place: Place, count: int) -> Doubles | None:
    """Returns the doubles of a part, which this worker is about to compute.

    It is None if the memory is not on this machine, or the part is not there any more.
    """
    name, token, start, k = place
    if (buffer := attached(name, token)) is None:
        return None
    with _head(buffer, start) as head:
        # Of workers that begin at the same time, at most one passes as the only one ("splitter",
        # Lamport 1987); a count could be written by two of them at once.
        me = secrets.randbits(62)
        head[LAST] = me
        if head[BEGUN]:
            head[SEVERAL] = 1
        else:
            head[BEGUN] = 1
            if head[LAST] != me:
                head[SEVERAL] = 1
        if head[NUMBER] != k:  # read last: either `end` sees this worker, or it sees `end`
            return None
    return doubles(buffer, start + HEAD, count)
