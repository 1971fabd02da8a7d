"""Compiled functions over columns: one call for many samples.

    >>> from tinygrad_edu import jit
    >>> f = jit(lambda x, k: k * x**2)
    >>> f.batch([1.0, 2.0, 3.0], 10.0).tolist()
    [10.0, 40.0, 90.0]
    >>> values, (dx, dk) = f.batch_value_and_grad([1.0, 2.0, 3.0], 10.0)
    >>> dx.tolist(), dk
    ([20.0, 40.0, 60.0], 14.0)
"""

from __future__ import annotations

import sys
from array import array
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from math import prod
from typing import TYPE_CHECKING, Any

from ..engine.arrays import as_array, is_array, is_table, remedy
from ..errors import WorkerError, check_int, counted, exact_number, short_repr, some, wrong_type
from .program import Leaves, Program, lengths
from .running.columns import Column, column, is_column, is_column_leaf, is_of_numpy, is_plain
from .structure import (
    ARRAY,
    NUMBER,
    STATIC,
    Signature,
    StaticValue,
    Structure,
    container,
    is_number,
    is_static,
    structure_text,
)

if TYPE_CHECKING:
    from concurrent.futures import Executor


def flatten_columns(x: Any, name: str, leaves: list[Any]) -> Structure:
    """Takes arguments apart like `structure.flatten`, with columns in place of numbers.

    The innermost lists, arrays and buffers are the columns, and the last dimension of a numpy array
    counts the samples.  Columns may hold booleans.  Appends to ``leaves`` a buffer of doubles
    (`memory.column`) for each column, and a float for each number that all samples share.
    """
    if is_number(x):
        leaves.append(exact_number(x, f"argument {name}"))
        return NUMBER
    if is_static(x):
        return "=", StaticValue(x)
    parts = _chunks(x) if is_table(x) else [x]
    if parts and all(map(is_column, parts)):
        _check_missing(x, name)
        if len(parts) > 1 and all(map(is_plain, parts)):
            leaves.append(Column(parts, name))
        else:
            leaves.append(column(parts[0] if len(parts) == 1 else as_array(x), name))
        return NUMBER
    is_one = getattr(x, "shape", None) == ()
    if is_one or not hasattr(x, "__len__") or not hasattr(x, "__getitem__"):
        raise wrong_type(
            f"batch: argument {name}", "a column of numbers, a number that is the same for all "
            "samples, or a list, tuple or dict of them", x, _remedy(x)
        )
    if is_array(x):
        *shape, length = x.shape
        rows = x.reshape(prod(shape), length)
        return ARRAY, tuple(shape), tuple([flatten_columns(row, name, leaves) for row in rows])
    if isinstance(x, memoryview):
        return flatten_columns(x.tolist(), name, leaves)
    if other := remedy(x):
        raise TypeError(
            f"batch: argument {name} must be a list, tuple or dict of columns, or a numpy array "
            f"whose last dimension is the samples, not {type(x).__name__}; {other}, transposed if "
            "the samples are its rows"
        )
    return container(x, name, leaves, flatten_columns)


def _remedy(x: Any) -> str:
    if isinstance(x, Iterator):
        return "pass chunks as the only positional argument, and numbers by name"
    return "pass a list or an array"


def _chunks(table: Any) -> list[Any]:
    """Returns the pieces of memory that a column of a table consists of, as arrays."""
    chunks = getattr(table, "chunks", None)  # of pyarrow
    if hasattr(table, "get_chunks"):  # of polars
        chunks = table.get_chunks()
    return [as_array(table)] if not chunks or len(chunks) == 1 else [*map(as_array, chunks)]


def _check_missing(x: Any, name: str) -> None:
    """Raises TypeError if a number is missing in a column of pandas, polars or pyarrow."""
    count = getattr(x, "null_count", 0)
    if hasattr(x, "hasnans") and not hasattr(x.dtype, "newbyteorder"):  # not a dtype of numpy
        count = x.hasnans
    if count() if callable(count) else count:
        i = as_array(x.isna() if hasattr(x, "isna") else x.is_null()).tolist().index(True)
        raise TypeError(
            f"batch: column {name} must be made of numbers, but entry {i} is missing; leave out "
            "samples with missing numbers, or fill them"
        )


# ---- chunks --------------------------------------------------------------------------------------


def is_chunks(columns: Sequence[Any]) -> bool:
    """Returns whether the arguments of a batch are one iterator of chunks."""
    return len(columns) == 1 and isinstance(columns[0], Iterator)


def _check_arguments(columns: Sequence[Any]) -> None:
    """Raises TypeError for the only argument of a batch if it is a table or file of Arrow."""
    for name, call in {
        "iter_batches": "its .iter_batches()", "to_batches": "iter(table.to_batches())",
        "column_names": "iter([batch])",
    }.items():
        if len(columns) == 1 and hasattr(columns[0], name):
            raise TypeError(
                f"batch: the columns of {short_repr(columns[0])} are arguments by name if it comes "
                f"in an iterator of chunks; pass {call}"
            )


def arguments_of(chunk: Any, k: int, names: Sequence[str]
                 ) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Returns the arguments in a chunk, by position and by name.

    k: its number.
    names: of the arguments of the function; empty if it takes any.

    Raises:
        TypeError: a column is not an argument of the function.
    """
    if isinstance(chunk, tuple):
        return chunk, {}
    found: Any = list(chunk) if isinstance(chunk, dict) else getattr(chunk, "column_names", None)
    if found is None and is_table(chunk):
        found = getattr(chunk, "columns", None)  # of pandas and polars
    if found is None:
        return (chunk,), {}
    for name in found:
        if names and name not in names:
            raise TypeError(
                f"batch: chunk {k} has a column {short_repr(name)}, which is not an argument of "
                f"the function ({some(names)}); leave it out where the chunks are read, as in "
                "iter_batches(columns=[...])"
            )
    return (), {str(name): chunk[name] for name in found}


# ---- results -------------------------------------------------------------------------------------


class NewArrays:
    """Makes an array for each column of the results, of numpy if one of the arguments is."""

    def __init__(self, program: Program, leaves: Leaves, with_gradient: bool) -> None:
        self._convert = program.differentiated if with_gradient else program.result
        self._is_of_numpy = any(is_column_leaf(leaf) and is_of_numpy(leaf) for leaf in leaves)

    def __call__(self, count: int, columns: Sequence[int]) -> list[Any]:
        if self._is_of_numpy:
            numpy = sys.modules["numpy"]
            return [numpy.empty(count) for _ in columns]
        return [array("d", [0.0]) * count for _ in columns]

    def result(self, outputs: Sequence[Any]) -> Any:
        """Returns the outputs in the structure of the result."""
        return self._convert(outputs)


class Buffers:
    """Hands out buffers for the results of samples, one chunk after the other.

    out: buffers of doubles, or None, in the structure of the result.

    Raises:
        TypeError: one of them is not a buffer, or ``out`` has another structure.
        ValueError: they differ in length.
    """

    def __init__(self, program: Program, out: Any, with_gradient: bool) -> None:
        self._program = program
        self._out = out
        self._with_gradient = with_gradient
        self.filled = 0  # samples that were handed out
        found: list[tuple[str, Any]] = []
        if with_gradient:
            self._take_apart(("tuple", 2, (NUMBER, program.slopes)), out, "out", found)
        else:
            self._take_apart(program.returned, out, "out", found)
        self._names = [name for name, _ in found]
        self._buffers = [None if x is None else _doubles(x, name) for name, x in found]
        lengths = {len(x) for x in self._buffers if x is not None}
        if len(lengths) > 1:
            raise ValueError(
                f"batch: the buffers of out differ in length: {some(map(str, sorted(lengths)))}; "
                "give each a number for every sample"
            )
        self._length = max(lengths, default=-1)

    def _take_apart(self, structure: Structure, x: Any, name: str, found: list[Any]) -> None:
        """Appends the buffers of ``x``, with their names."""
        if structure == NUMBER:
            found.append((name, x))
        elif structure[0] not in STATIC:
            kind, keys, parts = structure
            labels = keys.value if kind == "dict" else range(len(parts))
            if x is not None and not self._fits(structure, x):
                raise TypeError(
                    f"batch: {name} must be {structure_text(structure)}, with a buffer for each *, "
                    f"or None for what is not kept; it is {short_repr(x)}"
                )
            if x is not None and kind == ARRAY:
                x = x.reshape(len(parts), x.shape[-1])
            for label, part in zip(labels, parts):
                entry = None if x is None else x[label]
                self._take_apart(part, entry, f"{name}[{label!r}]", found)

    @staticmethod
    def _fits(structure: Structure, x: Any) -> bool:
        kind, keys, parts = structure
        if kind == ARRAY:
            return is_array(x) and x.shape[:-1] == keys and x.flags.c_contiguous
        if kind == "dict":
            return isinstance(x, dict) and set(x) == set(keys.value)
        return isinstance(x, (list, tuple)) and len(x) == len(parts)

    def __call__(self, count: int, columns: Sequence[int]) -> list[Any]:
        for i, (name, buffer) in enumerate(zip(self._names, self._buffers)):
            if buffer is not None and i not in columns:
                raise TypeError(
                    f"batch: {name} must be None, since the derivative with respect to a number "
                    "that all samples share is one number, which is returned"
                )
        start = self.filled
        self.filled += count
        if self._length >= 0 and self.filled > self._length:
            raise ValueError(
                f"batch: out has room for {counted(self._length, 'sample')}, and there are more; "
                "pass longer buffers"
            )
        found = [self._buffers[i] for i in columns]
        return [None if buffer is None else buffer[start:start + count] for buffer in found]

    def result(self, outputs: Sequence[Any]) -> Any:
        """Returns ``out``, with the sums in it.

        Raises:
            ValueError: there were fewer samples than ``out`` has room for.
        """
        if self.filled < self._length:
            raise ValueError(
                f"batch: out has room for {counted(self._length, 'sample')}, and there were "
                f"{self.filled}, whose results are there; pass out[:{self.filled}]"
            )
        if not self._with_gradient:
            return self._out
        value, slopes = self._out
        return value, self._program.differentiated(outputs, slopes)[1]


def _doubles(x: Any, name: str) -> memoryview:
    """Returns the memory of a buffer.

    Raises:
        TypeError: it is not a writable buffer of doubles, one after the other.
    """
    try:
        view = memoryview(x)
        if view.format == "d" and view.c_contiguous and view.ndim == 1 and not view.readonly:
            return view
    except (TypeError, ValueError):
        pass
    raise TypeError(
        f"batch: {name} must be a writable buffer of doubles, one after the other, not "
        f"{short_repr(x)}; write numpy.empty(n), numpy.memmap('out.bin', 'float64', 'w+', shape=n) "
        "or array('d', bytes(8 * n))"
    )


# ---- the methods ---------------------------------------------------------------------------------


class ColumnMethods:
    """The methods of a compiled function for many samples."""

    _signature: Signature

    def _check_own(self, option: str, is_given: bool, args: tuple[Any, ...]) -> None:
        raise NotImplementedError

    def _program_for(self, args: tuple[Any, ...], kwargs: dict[str, Any],
                     take_apart: Callable[..., Structure]) -> tuple[Program, list[Any]]:
        raise NotImplementedError

    def _structure(self, args: tuple[Any, ...], kwargs: dict[str, Any],
                   take_apart: Callable[..., Structure]) -> tuple[Structure, list[Any]]:
        raise NotImplementedError

    def batch(self, /, *columns: Any, threads: int = 1, executor: Executor | None = None,
              out: Any = None, **named: Any) -> Any:
        """Returns the results of ``f`` for many samples, with columns in place of numbers.

        columns: the arguments, in which the innermost lists, arrays and buffers are columns.  For
            ``f(x, y)`` pass two columns; if ``f`` takes a list of two numbers, pass a list of two
            columns.  A number is the same for all samples.
        threads: the number of threads.
        executor: a `concurrent.futures.Executor` whose workers compute: processes, threads, or
            ``client.get_executor()`` of a Dask client.  Workers need this package and nothing of
            the program.  Results have the same bits.
        out: a buffer of doubles for each column of the results, such as a `numpy.memmap`, or None
            for one that is not kept; it is filled, and returned.  It must not overlap the columns.

        If ``f`` has an argument with the name of an option, pass that argument by position.

        The last dimension of a numpy array counts the samples: pass an array of shape (2, n) to
        ``f(w)`` of an array of two numbers.  Results are of type `array.array`, which numpy takes
        without a copy, or numpy arrays if a column is one, or belongs to a table, such as a
        DataFrame, or if ``f`` returns arrays.  A condition is 1.0 or 0.0.

        **Chunks.**  The only positional argument may be an iterator of chunks of any size, such as
        ``parquet_file.iter_batches()``.  A chunk is a tuple of the arguments; a dict or a table, as
        those of pyarrow, pandas and polars, whose columns are keyword arguments; or else the only
        argument.  The result is then an iterator of the results of each chunk, or ``out``.  A chunk
        is copied before the next one is taken, and few are in memory at the same time.  What the
        iterator raises is raised after the results of the chunks before.

        Raises:
            TypeError: an argument is not made of columns of numbers; ``out`` is not made of
                writable buffers of doubles; ``executor`` is not an executor.
            ValueError: there are no columns, or they differ in length, also from ``out``; chunks
                have different columns, or different numbers that all samples share.
            WorkerError: a worker died, or the executor failed.  ``out`` has the results of the
                first ``error.samples`` samples.
        """
        options = {"threads": threads, "executor": executor, "out": out}
        return self._batch(columns, named, options, with_gradient=False)

    def batch_value_and_grad(
        self, /, *columns: Any, threads: int = 1, executor: Executor | None = None,
        out: Any = None, **named: Any
    ) -> Any:
        """Returns a column of values, and a column of derivatives for each column.

        The derivative with respect to a number that all samples share is the sum over them.  The
        sum for a leaf that ``f`` closes over is added to its ``.grad``, in this process, after the
        last sample.  Otherwise see `batch` and `value_and_grad`.

        ``out`` is a pair like the result, with None in the place of sums.  For chunks without
        ``out`` there is a pair for each chunk, and sums are None in all pairs but the last.
        """
        options = {"threads": threads, "executor": executor, "out": out}
        return self._batch(columns, named, options, with_gradient=True)

    def _batch(self, columns: tuple[Any, ...], named: dict[str, Any], options: dict[str, Any],
               with_gradient: bool) -> Any:
        threads, executor, out = options.values()
        is_stream = is_chunks(columns)
        if threads.__class__ is not int or threads != 1 or executor is not None or out is not None:
            self._check_options(columns, is_stream, options)
        if is_stream:
            given = self._chunks(columns[0], named)
        else:
            _check_arguments(columns)
            given = iter([self._program_for(columns, named, flatten_columns)])
        if (first := next(given, None)) is None:
            if out is None:
                return iter(())
            raise ValueError("batch: there are no chunks, whose results out could have")
        program, leaves = first
        results: NewArrays | Buffers = NewArrays(program, leaves, with_gradient)
        if out is not None:
            results = Buffers(program, out, with_gradient)
        if executor is None and not is_stream:
            return results.result(program.batch(leaves, with_gradient, results, threads))
        stream = chain([leaves], (leaves for _, leaves in given))
        total = 0 if is_stream else lengths(leaves)[1]
        outputs = program.batches(stream, with_gradient, results, executor, total)
        if is_stream and out is None:
            return (results.result(each) for each in outputs)
        try:
            return results.result(deque(outputs, maxlen=1).pop())
        except WorkerError as error:
            if out is not None:
                done = counted(error.samples, "sample")
                error.args = (f"{error}; out has the results of the first {done}",)
            raise

    def _check_options(self, columns: tuple[Any, ...], is_stream: bool, options: dict[str, Any]
                       ) -> None:
        threads, executor, out = options.values()
        self._check_own("threads", threads.__class__ is not int or threads != 1, columns)
        self._check_own("executor", executor is not None, columns)
        self._check_own("out", out is not None, columns)
        check_int(threads, "batch: threads", 1, most=1000)
        if executor is not None:
            from .parallel.executors import checked_executor  # which takes long to import

            checked_executor(executor, "batch")
        if threads != 1 and (executor is not None or is_stream):
            raise ValueError(
                f"batch: threads must be 1 with an executor or an iterator of chunks, not {threads}"
                f"; pass executor=ThreadPoolExecutor({threads})"
            )

    def _chunks(self, chunks: Iterator[Any], named: dict[str, Any]
                ) -> Iterator[tuple[Program, list[Any]]]:
        """Yields the program of chunks, and the numbers of each."""
        program: Program | None = None
        names: list[str] = []
        for k, chunk in enumerate(chunks):
            args, by_name = arguments_of(chunk, k, self._signature.names)
            if set(by_name) == set(names):  # of a dict in another order
                by_name = {name: by_name[name] for name in names}
            names = list(by_name)
            if both := by_name.keys() & named.keys():
                raise TypeError(
                    f"batch: {some(sorted(both))} is a column of chunk {k}, and was also passed by "
                    "name; leave one of them out"
                )
            by_name.update(named)
            try:
                if program is None:
                    program, leaves = self._program_for(args, by_name, flatten_columns)
                    structure = program.structure
                    varying = lengths(leaves)[0]
                else:
                    structure, leaves = self._structure(args, by_name, flatten_columns)
            except Exception as error:
                error.add_note(f"batch: it is in chunk {k}")
                raise
            if structure != program.structure or lengths(leaves)[0] != varying:
                raise ValueError(
                    f"batch: chunk {k} must have the columns of chunk 0; it is {short_repr(chunk)}"
                )
            yield program, leaves
