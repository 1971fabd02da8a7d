"""Steps of `fit` on an executor: workers compute the blocks of a batch, and this process adds them.

A worker returns a row of sums for each block.  The rows are added here, from the first block to the
last, so the sums have the same bits for any number of workers (`summation`).  Programs are sent to
each worker once; so are the samples, if the same batch comes again.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from math import inf
from typing import Any

from ...data.summation import BLOCK
from ...jit.parallel.executors import Task, Workers
from ...jit.parallel.tasks import MAX_KEPT_BYTES, Shared
from ...jit.running import objects
from ...jit.running.memory import AlignedBuffer
from ...jit.running.sums import BlockSums
from .buffers import Buffers
from .kernels import Kernel, NumberRows, Part, Samples
from .samples import Plan

LONG_STEP = 0.2  # seconds; then workers get several parts, so that none waits long for another
PARTS = 4  # that a worker gets then
MAX_PART_BYTES = 4 * 2**20  # that are sent for a part, or come back; Dask warns of 10 MB
SEARCH = 5.0  # seconds from one search for workers that are idle to the next; fewer at first
FIRST_SEARCH = 0.05


@dataclass
class Memory:
    """The memory of a run in a worker."""

    parameters: AlignedBuffer
    sums: BlockSums
    error: AlignedBuffer


@dataclass
class Step:
    """What a worker computes in a step, besides what is shared.

    samples: None if they are shared.
    parameters: their bytes.
    fixed: for each kernel, the bytes of the numbers of other leaves.
    drawn: the random numbers of each sample.
    """

    samples: Samples | None
    parameters: bytes
    fixed: Sequence[bytes]
    drawn: NumberRows | None


def run_part(*given: Any) -> tuple[bytes, bytes]:
    """Computes some blocks of a batch in a worker.

    It is called with kernels, the samples if they are shared, and a `Step`.  Returns the bytes of
    the sums, a row for each block, and the bytes of the numbers of the predictions.

    Raises:
        ImportError: llvmlite is not installed there.
    """
    *things, step = given
    samples = things.pop() if step.samples is None else step.samples
    if not objects.available():
        raise ImportError(
            "fit: executor: the workers need llvmlite, as this process does: pip install "
            '"tinygrad_edu[fast]" in their environment, too'
        )
    kernels: list[Kernel] = things
    used = [kernels[kind] for kind in samples.used]
    rows = -(-samples.count // BLOCK)
    parameters = array("d", step.parameters)
    memory = Memory(
        AlignedBuffer(max(kernel.buffer_size for kernel in used)),
        BlockSums(1 + len(parameters), rows),
        AlignedBuffer(1),
    )
    memory.parameters.write(0, parameters)
    part = Part(kernels, samples)
    part.run(memory, [array("d", numbers) for numbers in step.fixed], step.drawn)
    memory.sums.close()
    returned = any(kernel.returned for kernel in used)
    outputs = array("d", chain.from_iterable(part.outputs()) if returned else ())
    return memory.sums.rows, outputs.tobytes()


class Distribution:
    """Runs plans on an executor.

    It has the method `run` of a `Plan`, with the same results.
    """

    def __init__(self, executor: Executor) -> None:
        self._workers = Workers(executor, "fit")
        self._began = time.perf_counter()
        self._next_search = 0.0
        self._pace = inf  # seconds for a block, in the fastest step
        self._plan: Plan | None = None  # the last one
        self._parts: list[Samples] = []  # of this plan
        self._shared: list[Shared] = []  # the same, from the second run on
        self._ends: list[tuple[int, int]] = []

    def run(
        self, plan: Plan, buffers: Buffers, drawn: Sequence[Sequence[float]] = ()
    ) -> list[Any]:
        """Sums losses and gradients of a plan, and returns the predictions, like `Plan.run`.

        Raises:
            WorkerError: a worker died, or the executor failed.
        """
        began = time.perf_counter()
        self._divide(plan, buffers.sums.count)
        numbers = plan.draw(drawn)
        outputs: list[Sequence[float]] = []
        buffers.sums.clear()
        tasks = self._tasks(plan, buffers, numbers)
        most = PARTS * self._workers.count
        with closing(self._workers.results(tasks, lambda: most)) as results:
            for (start, stop), (sums, found) in zip(self._ends, results, strict=True):
                buffers.sums.add_bytes(sums)
                if plan.predicts:
                    outputs += plan.outputs(found, start, stop)
        seconds = time.perf_counter() - began
        self._pace = min(self._pace, seconds / -(-len(plan.indices) // BLOCK))
        return plan.predictions(outputs)

    def _divide(self, plan: Plan, sums: int) -> None:
        """Divides a plan into parts of about equal numbers of blocks."""
        blocks = -(-len(plan.indices) // BLOCK)
        size = max(plan.size, 8 * blocks * sums)
        wanted = self._workers.count * self._parts_a_worker(blocks)
        count = min(blocks, max(wanted, -(-size // MAX_PART_BYTES)))
        if plan is self._plan and count == len(self._parts):
            if not self._shared and plan.size < MAX_KEPT_BYTES // 2:
                self._shared = [*map(Shared, self._parts)]
            return
        bounds = [blocks * i // count * BLOCK for i in range(count)]
        self._ends = [*zip(bounds, [*bounds[1:], len(plan.indices)])]
        self._plan = plan
        self._parts = [plan.samples(start, stop) for start, stop in self._ends]
        self._shared = []

    def _parts_a_worker(self, blocks: int) -> int:
        """Returns how many parts each worker should get, if all take the same time."""
        if LONG_STEP < blocks * self._pace < inf:
            return PARTS
        now = time.perf_counter()
        if now < self._next_search:
            return 1
        self._next_search = now + min(max(now - self._began, FIRST_SEARCH), SEARCH)
        return 2  # a worker that was idle may take one

    def _tasks(
        self, plan: Plan, buffers: Buffers, numbers: Sequence[array[float]]
    ) -> Iterator[Task]:
        kernels = [kernel.shared for kernel in plan.kernels]
        parameters = buffers.parameters.view[:plan.kernels[0].first].tobytes()
        fixed = [x.tobytes() for x in plan.fixed()]
        for i, ((start, stop), part) in enumerate(zip(self._ends, self._parts)):
            drawn = plan.drawn(numbers, start, stop)
            if self._shared:
                shared = [*kernels, self._shared[i]]
                yield Task(run_part, shared, [Step(None, parameters, fixed, drawn)])
            else:
                yield Task(run_part, kernels, [Step(part, parameters, fixed, drawn)])
