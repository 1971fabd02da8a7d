"""Memory that this process shares with workers on the same machine: they read and write in place.

It is a file in memory that is in no folder (`memfd_create` of Linux), and goes with the last
process that has it open.  Workers that cannot open it, as on another machine, are sent the numbers;
so are all workers on other systems.
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
# a path to shared memory, the label by which it is known, a position in it, and the number of the
# part, without which Dask would take the next part in this place for the same task, and not run it
Place = tuple[str, str, int, int]

# bytes in front of the doubles of a slot, which begin with four numbers: that of its part, or 0
# when the memory was given back; who began last; whether any worker began, and several
HEAD = 64
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
        self._numbers = counter(1)
        self._process = os.getpid()
        self._label = f"tinygrad_edu_{secrets.token_hex(16)}"
        self._file = os.fdopen(os.memfd_create(self._label), "r+b", buffering=0)
        try:
            self._file.truncate(count * (HEAD + size))
            self._buffer = memoryview(mmap.mmap(self._file.fileno(), 0))
        except OSError:
            self._file.close()
            raise

    def begin(self, count: int) -> tuple[Place, Doubles, Slot] | None:
        """Returns where the next part is, for `claimed`; so many doubles; and its slot, for `end`.

        Returns None if there is no free slot, or the system has not enough memory.
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
        path = f"/proc/{self._process}/fd/{self._file.fileno()}"
        place = path, self._label, slot.start, number
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
        """Gives the memory back to the system, also if workers still have it."""
        if os.getpid() == self._process:  # and not in a process that was forked in between
            _give_back(self._buffer)
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


def _give_back(buffer: memoryview) -> None:
    """Gives all pages of shared memory back to the system; from then on it has zeros."""
    memory: Any = buffer.obj
    with suppress(OSError):
        memory.madvise(mmap.MADV_REMOVE)


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

_last: tuple[str, memoryview | None] = "", None  # what was attached last, and its label


def attached(path: str, label: str) -> memoryview | None:
    """Returns the shared memory with this label, or None if this process cannot open it.

    It is kept, because a process that attaches it must be given all of its pages again, which takes
    half as long as computing a short function on them.
    """
    global _last
    last = _last
    if last[0] != label:
        _last = "", None  # first, since memory may be limited
        with suppress(OSError):
            _last = last = label, _mapped(path, f"/memfd:{label} (deleted)")
    return last[1] if last[0] == label else None


def _mapped(path: str, link: str) -> memoryview | None:
    """Returns the memory of an open file, if its link is the given one."""
    if os.readlink(path) != link:  # not opened: that of a device might do something
        return None
    with open(path, "r+b") as file:
        # its number is that of the next file, if it was closed in between
        is_other = os.readlink(f"/proc/self/fd/{file.fileno()}") != link
        return None if is_other else memoryview(mmap.mmap(file.fileno(), 0))


@contextmanager
def claimed(place: Place, count: int) -> Iterator[Doubles | None]:
    """Gives the doubles of a part to this worker, which is about to compute it.

    They are None if this process cannot open the memory, or the part is over.
    """
    path, label, start, number = place
    buffer = attached(path, label)
    if buffer is None:
        yield None
        return
    with _head(buffer, start) as head:
        try:
            if _claim(head, number):
                with doubles(buffer, start + HEAD, count) as view:
                    yield view
            else:
                yield None
        finally:
            if head[NUMBER] == 0:  # the batch ended before, and this worker was given new pages
                _give_back(buffer)


def _claim(head: memoryview, number: int) -> bool:
    """Notes that this worker begins in a slot, and returns whether part ``number`` is there."""
    # Of workers that begin at the same time, at most one passes as the only one ("splitter",
    # Lamport 1987); a count could be written by two of them at once.  Other processors are taken to
    # see what is stored here before the next line is run.
    me = secrets.randbits(62)
    head[LAST] = me
    if head[BEGUN]:
        head[SEVERAL] = 1
    else:
        head[BEGUN] = 1
        if head[LAST] != me:
            head[SEVERAL] = 1
    return head[NUMBER] == number  # read last: either `end` sees this worker, or it sees `end`
