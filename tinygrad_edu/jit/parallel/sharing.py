"""Memory that this process shares with workers on the same machine: they read and write in place.

It is a file without a name, which Linux has, so that nothing is left of it however a process ends.
A worker that cannot open it is on another machine, and is sent the numbers; so is every worker on
other systems.
"""

from __future__ import annotations

import mmap
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count as counter
from operator import attrgetter
from typing import Any

Doubles = Any  # a view of memory with doubles
# a path to shared memory, its name, a position in it, and the number of the part, without which
# Dask would take the next part in this place for the same task, and not run it
Place = tuple[str, str, int, int]

HEAD = 64  # bytes in front of the doubles of a slot, of which these four numbers use the first 32:
# the number of its part, who began last, whether any worker began, and several
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

    A slot begins with the number of its part, and with whether several workers began to compute it:
    an executor that gives a worker up has the part computed by another one.  Should the first go
    on, it would write over a later part, so that such a slot is not used again.

    usable: how many slots may be used again.

    Raises:
        OSError: the system has not enough memory.
    """

    def __init__(self, count: int, size: int) -> None:
        self.usable = count
        # those at the start are used first: memory that is never used costs no time
        self._free = [Slot(i * (HEAD + size)) for i in range(count)]
        self._numbers = counter()
        self._process = os.getpid()
        self._name = f"tinygrad_edu_{secrets.token_hex(16)}"
        self._file = os.fdopen(os.memfd_create(self._name), "r+b", buffering=0)
        self._file.truncate(count * (HEAD + size))
        self._memory = mmap.mmap(self._file.fileno(), 0)
        self._buffer = memoryview(self._memory)

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
            try:  # a page that is missing later would end the process
                os.posix_fallocate(self._file.fileno(), slot.start, size)
            except OSError:
                return None
            slot.reserved = size
        self._free.remove(slot)
        number = next(self._numbers)
        with _head(self._buffer, slot.start) as head:
            head[BEGUN] = head[SEVERAL] = 0
            head[NUMBER] = number
        place = f"/proc/{self._process}/fd/{self._file.fileno()}", self._name, slot.start, number
        return place, doubles(self._buffer, slot.start + HEAD, count), slot

    def end(self, slot: Slot) -> None:
        """Takes a slot back, if no other worker may still write to it."""
        with _head(self._buffer, slot.start) as head:
            head[NUMBER] = -1  # first: a worker that begins from now on sees it
            if head[SEVERAL]:
                self.usable -= 1
            else:
                self._free.append(slot)

    def close(self) -> None:
        """Gives the memory back to the system, also that of workers which have not let go of it."""
        if os.getpid() == self._process:  # and not in a process that it was copied to
            with suppress(OSError):
                self._memory.madvise(mmap.MADV_REMOVE)
        with suppress(BufferError):  # an error may keep a view of it
            self._buffer.release()
            self._memory.close()
        self._file.close()


@contextmanager
def slots_of(size: int, count: int) -> Iterator[Slots | None]:
    """Makes so many slots of so many bytes; it is None if there are none, or no memory for them."""
    made = None
    if count and hasattr(os, "memfd_create"):
        with suppress(OSError):
            made = Slots(count, size)
    try:
        yield made
    finally:
        if made is not None:
            made.close()


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

_last: tuple[str, memoryview] = "", memoryview(b"")  # what was attached last, by its name


def attached(path: str, name: str) -> memoryview | None:
    """Returns the shared memory of this name, or None if it is not on this machine.

    It is kept, because a process that attaches it must be given all of its pages again, which takes
    half as long as computing a short function on them.  The pages themselves are given back when
    the batch ends.
    """
    global _last
    last = _last
    if last[0] != name:
        try:
            # read first: to open another file, perhaps that of a device, might do something
            if os.readlink(path) != f"/memfd:{name} (deleted)":
                return None
            with open(path, "r+b") as file:
                last = name, memoryview(mmap.mmap(file.fileno(), 0))
        except OSError:
            return None
        _last = last
    return last[1]


def claimed(place: Place, count: int) -> Doubles | None:
    """Returns the doubles of a part, which this worker is about to compute.

    It is None if the memory is not on this machine, or the part is not there any more.
    """
    path, name, start, number = place
    if (buffer := attached(path, name)) is None:
        return None
    with _head(buffer, start) as head:
        # Of workers that begin at the same time, at most one passes as the only one ("splitter",
        # Lamport 1987); a count could be written by two of them at once.  Other processors are
        # taken to see what is stored here before the next line is run.
        me = secrets.randbits(62)
        head[LAST] = me
        if head[BEGUN]:
            head[SEVERAL] = 1
        else:
            head[BEGUN] = 1
            if head[LAST] != me:
                head[SEVERAL] = 1
        if head[NUMBER] != number:  # read last: either `end` sees this worker, or it sees `end`
            return None
    return doubles(buffer, start + HEAD, count)
