"""`sweep`: trains for each combination of settings and each seed, here or on an executor."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import (
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ThreadPoolExecutor,
    as_completed,
)
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import asdict, replace
from pkgutil import resolve_name
from typing import Any

from ...errors import WorkerError, check_bool, counted, first_line
from ...files import FilePath
from ...jit.parallel.executors import NO_GUARD, check_arithmetic, checked_executor, failure
from ..history import History
from ..progress import sweep_bar
from .jobs import Job, check_make, jobs_of, key_of, name_of, place_of
from .rows import Row, Sweep
from .store import Store
from .training import Outcome, probe, run, run_named
from .values import shown_settings

Finished = Generator[tuple[Job, Outcome], None, None]


def sweep(
    make: Callable[..., History | tuple[History, Mapping[str, Any]]],
    grid: Mapping[str, Sequence[Any]],
    *,
    seeds: int | Sequence[int] = 1,
    executor: Executor | None = None,
    path: FilePath | None = None,
    progress: bool = False,
) -> Sweep:
    """Trains for each combination of settings and each seed, and returns a `Sweep` of the rows.

        def make(seed, lr, layers):
            X, y = data.moons(100, rng=seed)
            model = nn.MLP(2, [*layers, 1], rng=seed)
            optimizer = optim.SGD(model.parameters(), lr=lr)
            return fit(model, nn.hinge, X, y, optimizer=optimizer, epochs=50, rng=seed)

        with ProcessPoolExecutor(4) as pool:
            found = sweep(make, {"lr": [0.01, 0.1, 1.0], "layers": [[8], [8, 8]]}, seeds=5,
                          executor=pool, path="rows.jsonl")
        found.best()

    make: called as ``make(seed, **settings)``.  It trains, and returns the `History`, or a pair of
        it and a dict of further figures, such as ``{"test accuracy": 0.95}``.
    grid: the values of each setting.  Values are numbers, text, None, lists of these, or functions
        and classes of a module.
    seeds: how many seeds, 0, 1, 2, ..., or a list of them.
    executor: any `concurrent.futures.Executor`: threads, processes, joblib's, or that of a Dask
        client, ``client.get_executor()``.  It is not shut down.  None trains in this process.
    path: a JSON Lines file that keeps each row when its training ends.  Rows that are there with
        the same settings and seed are not trained again, those with an error included: remove their
        lines to do so.  The file knows ``make`` by its name only; after a change of the function,
        give another path.
    progress: whether to show a progress bar in the terminal.

    **The same bits everywhere.**  Rows, their seconds apart, do not depend on the executor, if all
    randomness of ``make`` comes from ``seed``.  The module `random` is seeded with it before each
    training, and put back afterwards; numpy's generators are not.

    **Only rows come back.**  Models and gradients stay in the worker: save them in ``make``, as by
    ``nn.save(model, f"{seed}-{lr}.json")``, or train the best again:
    ``make(0, **found.best())``.

    **Errors.**  A training that raises is a row with its ``error``, and the others go on.
    `TrainingWarning` is not shown; the row has the sentence.

    Ctrl-C ends the sweep: ``interrupted`` is then True, and the finished rows are there.

    Raises:
        TypeError: ``make`` is not a function of a seed and the settings, returns anything else,
            cannot be imported by the workers of ``executor``, trains a model that was made outside
            of it, or draws from the module `random` in several threads; or another argument is of
            another type.
        ValueError: a list of ``grid`` or ``seeds`` is empty or has an entry twice.
        DataError: the file at ``path`` is of another sweep, or is damaged.
        WorkerError: a worker died, or the executor could not run a training.  Rows that were
            finished are in the file, and in ``error.sweep``.
        OSError: the file cannot be read or written.
    """
    jobs = jobs_of(grid, seeds)
    check_make(make, jobs)
    checked_executor(executor, "sweep")
    is_shown = check_bool(progress, "sweep: progress")
    opened: AbstractContextManager[Store | None] = nullcontext()
    if path is not None:
        opened = Store(path, place_of(make), grid)
    with opened as store:
        rows: dict[str, Row] = {}
        if store is not None:
            rows.update({key_of(row["settings"], row["seed"]): Row(**row) for row in store.rows})
        try:
            is_whole = _train_left(make, jobs, executor, rows, store, is_shown)
        except KeyboardInterrupt:
            is_whole = False
        except WorkerError as error:
            error.sweep = _ordered(jobs, rows)
            error.args = (f"{error}. {_what_is_left(error.sweep, jobs, store)}",)
            raise
    return _ordered(jobs, rows, not is_whole)


def _train_left(
    make: Any,
    jobs: Sequence[Job],
    executor: Executor | None,
    rows: dict[str, Row],
    store: Store | None,
    is_shown: bool,
) -> bool:
    """Trains for the jobs that have no row, and adds their rows to ``rows`` and to the file.

    Returns False if Ctrl-C ended a training.
    """
    left = [job for job in jobs if job.key not in rows]
    bar = sweep_bar(is_shown, len(jobs), len(jobs) - len(left))
    varying = Sweep([Row(job.settings, job.seed) for job in jobs]).varying()
    with bar as show, closing(_finished(make, left, executor)) as finished:
        for job, outcome in finished:
            if outcome.refused:
                raise TypeError(f"sweep: make: {name_of(make)} {outcome.refused}")
            row = outcome.row
            if row is None:
                return False
            rows[job.key] = row
            if store is not None:
                store.add(asdict(row))
            changed = {name: job.settings[name] for name in varying}
            show(f"{shown_settings({**changed, 'seed': job.seed})}: {_figure(row)}")
    return True


def _ordered(jobs: Sequence[Job], rows: Mapping[str, Row], interrupted: bool = False) -> Sweep:
    """Returns the rows of the jobs that are done; settings are those of the grid, not of a file."""
    done = [replace(rows[job.key], settings=job.settings) for job in jobs if job.key in rows]
    return Sweep(done, interrupted)


def _figure(row: Row) -> str:
    """Returns what the progress bar says of a row."""
    if row.error:
        return row.error.partition(":")[0]
    return "no steps" if row.last_loss is None else f"loss {row.last_loss:.4g}"


def _what_is_left(done: Sweep, jobs: Sequence[Job], store: Store | None) -> str:
    """Returns where the finished rows are, and how to go on."""
    if store is None:
        return (
            f"error.sweep has the {counted(len(done), 'row')} of {len(jobs)} that were finished; "
            "with path='rows.jsonl' a sweep goes on where it ended"
        )
    return (
        f"{store.path} has the {counted(len(done), 'row')} of {len(jobs)} that were finished: "
        "call sweep again, with a new executor and the same path, and the others are trained"
    )


# ---- where trainings run


def _finished(make: Any, jobs: Sequence[Job], executor: Executor | None) -> Finished:
    """Yields each job with its outcome, as soon as it is finished."""
    if executor is None or not jobs:
        for job in jobs:
            yield job, run(make, job.seed, job.settings)
        return
    call, made = _portable(make, executor)
    futures: dict[Future[Outcome], Job] = {}
    try:
        for job in jobs:
            futures[_submit(executor, call, made, job.seed, job.settings)] = job
        left = dict.fromkeys(futures)  # a set in order
        for future in as_completed(futures):
            try:
                outcome = future.result()
            except (Exception, CancelledError) as error:
                jobs_left = [str(futures[each]) for each in left]
                raise failure(error, "sweep", jobs=jobs_left) from error
            check_arithmetic(outcome.arithmetic, outcome.machine, "sweep")
            del left[future]
            yield futures[future], outcome
    finally:
        for future in futures:
            future.cancel()


def _submit(executor: Executor, *call: Any) -> Future[Any]:
    try:
        return executor.submit(*call)
    except Exception as error:  # it is shut down, or broken
        raise failure(error, "sweep") from error


def _portable(make: Any, executor: Executor) -> tuple[Callable[..., Outcome], Any]:
    """Returns the function to submit, and ``make`` as its first argument.

    Processes of the standard library get functions by their names.  Other executors can often send
    the function itself.  Whether the workers have it is tried before anything is trained.

    Raises:
        TypeError: workers cannot have it.
    """
    if isinstance(executor, ThreadPoolExecutor):
        return run, make
    from concurrent.futures import ProcessPoolExecutor  # here, because it takes long to import

    name = name_of(make)
    is_own = getattr(getattr(make, "func", make), "__module__", None) == "__main__"
    made = _importable(make)
    if isinstance(executor, ProcessPoolExecutor) and made is None and not _is_picklable(make):
        raise TypeError(
            f"sweep: make cannot be {name}, which processes cannot import: define it at the top "
            f"level of a module, without lambda; {OTHER_WAYS}"
        )
    if made is None or (is_own and not isinstance(executor, ProcessPoolExecutor)):
        made = make
    try:
        why = _submit(executor, probe, made).result()
    except BrokenExecutor as error:
        raise WorkerError(
            f"sweep: executor: a worker process ended at its start. {NO_GUARD}"
        ) from error
    except WorkerError:
        raise
    except Exception as error:
        why = first_line(error)
    if why:
        module = getattr(make, "__module__", "its module")
        raise TypeError(
            f"sweep: make cannot be {name}, which the workers cannot import from {module} ({why}): "
            f"define it in a module of its own, such as experiments.py, that they find, and import "
            f"it from there; {OTHER_WAYS}"
        )
    return (run_named if isinstance(made, str) else run), made


OTHER_WAYS = "or pass executor=None or a ThreadPoolExecutor, which take any function"


def _importable(make: Any) -> str | None:
    """Returns the name by which a function can be imported, such as "experiments:moons", or None.
    """
    module, name = (getattr(make, each, None) for each in ("__module__", "__qualname__"))
    try:
        found = resolve_name(f"{module}:{name}")
    except Exception:  # what is raised depends on the module
        return None
    return f"{module}:{name}" if found is make else None


def _is_picklable(make: Any) -> bool:
    try:
        pickle.dumps(make)
    except Exception:  # what is raised depends on the object
        return False
    return True
