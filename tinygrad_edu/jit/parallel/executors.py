"""Tasks on any executor: submitted a few at a time, with results in order and clear errors.

    workers = Workers(executor, "batch")
    for result in workers.results(tasks, most=lambda: 8):
        ...
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import (
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ThreadPoolExecutor,
)
from dataclasses import dataclass
from typing import Any

from ...errors import WorkerError, check_type, first_line, some
from .tasks import Missing, Raised, Shared, arithmetic, perform, perform_with

INTERRUPT = 0.1  # seconds in which Ctrl-C reaches all processes of a terminal
SEEN = 5.0  # seconds; of two quick tasks, one worker may do both


def checked_executor(executor: Any, where: str) -> Executor | None:
    """Returns ``executor``.

    where: the function with that argument, for the message.

    Raises:
        TypeError: it is not an executor or None.
    """
    if executor is not None:
        check_type(
            executor, f"{where}: executor", Executor, "a concurrent.futures.Executor or None",
            "pass ProcessPoolExecutor(4), or client.get_executor() of a Dask client",
        )
    return executor  # type: ignore[no-any-return]


@dataclass
class Task:
    """The call ``call(*things, *args)`` in a worker.

    call: a function of a module of this package.
    shared: things that other tasks use as well.
    """

    call: Callable[..., Any]
    shared: Sequence[Shared]
    args: Sequence[Any]


class Workers:
    """The workers of an executor, and the things that they were sent.

    count: how many of them worked for the last call of `results`, or in the last seconds; before
        that, the number of processors here.  An executor does not tell, and only speed depends on
        it: with twice as many tasks as ``count``, those that have been idle are found.
    seconds: how long the last task took.
    are_threads: whether they are threads of this process, which are sent nothing.
    """

    def __init__(self, executor: Executor, where: str) -> None:
        self.executor = executor
        self.are_threads = isinstance(executor, ThreadPoolExecutor)
        self._where = where
        self._known: set[str] = set()  # digests of things that a worker has
        self._seen: dict[tuple[str, int, int], float] = {}  # workers, and when each answered
        self._has_answered = False
        self.count = os.cpu_count() or 1
        self.seconds = 0.0

    @property
    def seen(self) -> int:
        """How many workers have answered since `results` was called, or in the last seconds."""
        return len(self._seen)

    def results(
        self, tasks: Iterable[Task], most: Callable[[], int]
    ) -> Generator[Any, None, None]:
        """Yields the results of tasks, in order.

        most: returns how many tasks are submitted before the first of them has its result.  A task
            is taken from ``tasks`` just before it is submitted.  What ``tasks`` raises is raised
            after the results of the tasks before.

        Raises:
            WorkerError: a worker died, or the executor failed.
            Exception: whatever a task raised.
        """
        pending: deque[tuple[Task, Future[Any]]] = deque()
        left = iter(tasks)
        later: Exception | None = None
        since = time.monotonic()
        try:
            while True:
                # a result that is there is not held back by tasks that may come late
                while len(pending) < most() and not (pending and pending[0][1].done()):
                    try:
                        new = next(left, None)
                    except Exception as error:
                        later = error
                        left = iter(())
                        new = None
                    if new is None:
                        break
                    pending.append((new, self._submit(new, self._known)))
                if not pending:
                    if later is not None:
                        raise later
                    return
                task, future = pending[0]
                result = self._result(task, future)
                pending.popleft()
                yield result
        finally:
            since = min(since, time.monotonic() - SEEN)
            self._seen = {worker: at for worker, at in self._seen.items() if at >= since}
            self.count = max(1, len(self._seen))
            for _, future in pending:
                future.cancel()

    def _submit(self, task: Task, known: Iterable[str]) -> Future[Any]:
        """Submits a task, with the things that no worker has yet."""
        if self.are_threads:
            things = [shared.thing for shared in task.shared]
            return self._given(perform_with, task.call, things, task.args)
        digests = [shared.digest for shared in task.shared]
        sent = {
            shared.digest: (shared.thing, shared.size)
            for shared in task.shared if shared.digest not in known
        }
        return self._given(perform, task.call, digests, sent, task.args)

    def _given(self, *call: Any) -> Future[Any]:
        try:
            return self.executor.submit(*call)
        except Exception as error:  # it is shut down, or broken
            raise self._failure(error) from error

    def _result(self, task: Task, future: Future[Any]) -> Any:
        try:
            answer = future.result()
            if isinstance(answer, Missing):  # another worker may answer, so it is sent everything
                answer = self._submit(task, ()).result()
        except KeyboardInterrupt:
            if future.done():  # Ctrl-C ended the task, and comes here soon: it is raised once
                time.sleep(INTERRUPT)
            raise
        except (Exception, CancelledError) as error:
            if isinstance(error, WorkerError):
                raise
            raise self._failure(error) from error
        self._has_answered = True
        if isinstance(answer, Raised):
            raise answer.error
        check_arithmetic(answer.arithmetic, answer.worker[0], self._where)
        self._seen[answer.worker] = time.monotonic()
        self.seconds = answer.seconds
        if not self.are_threads:
            self._known.update(shared.digest for shared in task.shared)
        return answer.result

    def _failure(self, error: BaseException) -> WorkerError:
        return failure(error, self._where, is_first=not self._has_answered)


def check_arithmetic(found: str, machine: str, where: str) -> None:
    """Raises WorkerError if what `arithmetic` returned on another machine is not that of this one.
    """
    if found != arithmetic():
        raise WorkerError(
            f"{where}: executor: a worker on {machine} computes other last digits than this "
            "process; use the same versions of this package, of Python and of the C library, and "
            "similar processors, on all machines"
        )


NO_GUARD = (
    'A script that makes processes needs the line `if __name__ == "__main__":` before whatever it '
    "does"
)


def failure(
    error: BaseException, where: str, jobs: Sequence[str] = (), is_first: bool = False
) -> WorkerError:
    """Returns the error for an executor that failed.

    jobs: what was not finished.
    is_first: whether nothing was finished before.
    """
    left = f"; the first that were not finished: {some(jobs)}" if jobs else ""
    if not isinstance(error, BrokenExecutor):
        return WorkerError(
            f"{where}: executor: it could not run a task: {first_line(error)}{left}"
        )
    start = f". {NO_GUARD}" if is_first else ""
    return WorkerError(
        f"{where}: executor: a worker process died, and the pool with it (often for lack of "
        f"memory: use fewer workers){left}; it says: {first_line(error).rstrip('.')}. Dask (the "
        f"extra cluster) starts dead workers again{start}"
    )
