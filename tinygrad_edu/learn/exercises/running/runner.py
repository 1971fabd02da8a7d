"""The program that runs a learner's file: ``python -I runner.py FOLDER``, started by `process`.

The folder has a file job.json.  It says what to run, what to ask of it, and the limits.  The
answers are written to result.json in the same folder, where the learner's output cannot disturb
them.  Nothing of the package is imported, unless the learner's file does so.
"""

from __future__ import annotations

import faulthandler
import importlib.util
import json
import numbers
import os
import signal
import sys
from contextlib import suppress
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import CodeType, ModuleType
from typing import Any

MOST_ENTRIES = 100_000  # numbers and characters in all answers together
MOST_LEVELS = 20  # of lists in lists
MOST_CHARACTERS = 1_000  # of a text, or of the message of an error
MOST_FILE_BYTES = 64_000_000  # of a file that the learner's program writes
LARGEST_INT = 2**53  # a larger one becomes a float
LARGEST = 2.0**1023
PACKAGE = "tinygrad_edu"


class Loader(SourceFileLoader):
    """Runs a text that has been decoded already, and writes no compiled file."""

    def __init__(self, name: str, path: str, text: str) -> None:
        super().__init__(name, path)
        self.text = text

    def get_code(self, fullname: str) -> CodeType:
        """Returns the compiled text."""
        return self.source_to_code(self.text, self.path)


class PackageFinder:
    """Finds the package in the folder of the process that checks.

    The option -I ignores PYTHONPATH, so the package may not be on the path at all, or in another
    version.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Returns where the package is, None for every other module."""
        if name != PACKAGE:
            return None
        file = os.path.join(self.folder, "__init__.py")
        return importlib.util.spec_from_file_location(
            name, file, submodule_search_locations=[self.folder]
        )


def main(folder: str) -> None:
    """Runs the job in ``folder``, writes the result, and ends the process."""
    with open(os.path.join(folder, "job.json"), encoding="utf-8") as file:
        job = json.load(file)
    # It is open until the end: if the program is stopped, the place is written to it.
    with open(os.path.join(folder, "trace.txt"), "w", encoding="utf-8") as trace:
        set_limits(job["seconds"], job["patience"], job["megabytes"], trace)
        sys.meta_path.insert(0, PackageFinder(job["package"]))
        result = answers_of(job["path"], job["text"], job["steps"])
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        unfinished = os.path.join(folder, f"result.{os.getpid()}")  # the file may have forked
        with open(unfinished, "w", encoding="utf-8") as file:
            json.dump(result, file)
        os.replace(unfinished, os.path.join(folder, "result.json"))
        # At once: neither threads nor exit handlers of the learner's file may go on.
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))


def set_limits(seconds: int, patience: float, megabytes: int, trace: Any) -> None:
    """Sets the limits of this process that the system has.

    seconds: of processor time.
    patience: seconds that may pass; a program may also wait without using the processor.  Where
        processor time has no limit, they are ``seconds``.
    megabytes: of memory.
    trace: the file to which the place of the program is written when it is stopped.
    """
    faulthandler.enable(trace)
    try:
        import resource
    except ImportError:  # Windows
        faulthandler.dump_traceback_later(seconds, exit=True, file=trace)
        return
    faulthandler.dump_traceback_later(patience, exit=True, file=trace)
    faulthandler.register(signal.SIGXCPU, trace, all_threads=False, chain=True)
    for what, soft, hard in (
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_CPU, seconds, seconds + 1),  # at the second one, nothing is asked
        (resource.RLIMIT_FSIZE, MOST_FILE_BYTES, None),
        (resource.RLIMIT_AS, megabytes * 1_000_000, None),
    ):
        with suppress(ValueError, OSError):  # a system may know a limit and not have it
            most = resource.getrlimit(what)[1]
            hard = most if hard is None else hard
            if most != resource.RLIM_INFINITY:
                soft = min(soft, most)
                hard = min(hard, most)
            resource.setrlimit(what, (soft, hard))


def free_memory() -> None:
    """Allows more memory, to report that there was not enough."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        most = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def answers_of(path: str, text: str, steps: list[dict[str, Any]]) -> dict[str, Any]:
    """Runs the file, and then each step.

    Returns a dict with the failure of the file, or with the answers: for each step a value or a
    failure.
    """
    module = ModuleType("exercise")
    module.__file__ = path
    sys.modules["exercise"] = module
    try:
        Loader("exercise", path, text).exec_module(module)
    except BaseException as error:
        return {"failure": failure_of(error, path)}
    kept: dict[str, Any] = {}
    left = [MOST_ENTRIES]
    return {"answers": [answer_of(step, module, kept, left, path) for step in steps]}


def answer_of(
    step: dict[str, Any], module: ModuleType, kept: dict[str, Any], left: list[int], path: str
) -> dict[str, Any]:
    """Returns the value of a step, or its failure.

    kept: the objects of earlier steps, to which one may be added.
    left: how many entries the answers may still have (see `plain`).
    path: the learner's file.
    """
    name = step.get("call", step.get("read", step.get("numbers", "")))
    try:
        if "numbers" in step and not hasattr(kept.get(name), "named_parameters"):
            return {"failure": {"kind": "model"}}
        if "numbers" in step:
            value = {name: p.data for name, p in kept[name].named_parameters()}
        elif not hasattr(module, name):
            names = [name for name in vars(module) if not name.startswith("_")]
            return {"failure": {"kind": "missing", "name": name, "names": names[:100]}}
        elif "read" in step:
            value = getattr(module, name)
        else:
            arguments = [argument_of(argument, kept) for argument in step["arguments"]]
            value = getattr(module, name)(*arguments)
        if step.get("keep"):
            kept[step["keep"]] = value
            return {"value": None}
    except BaseException as error:
        return {"failure": failure_of(error, path, name)}
    try:
        return {"value": plain(value, MOST_LEVELS, left)}
    except BaseException as error:
        if isinstance(error, MemoryError):
            return {"failure": failure_of(error, path, name)}
        kind = "size" if isinstance(error, OverflowError) else "type"
        return {"failure": {"kind": kind, "name": name, "message": shortened(error)}}


def argument_of(argument: Any, kept: dict[str, Any]) -> Any:
    """Returns an argument; ``{"kept": name}`` stands for an object of an earlier step."""
    return kept[argument["kept"]] if isinstance(argument, dict) else argument


def plain(x: Any, levels: int, left: list[int]) -> Any:
    """Returns ``x`` as JSON has it.

    levels: how deep lists may still be nested.
    left: how many entries there may still be, in a list, which is changed.

    Raises:
        OverflowError: there are too many entries or levels.
        TypeError: a part is neither a number nor text, nor a list or dict of such.
    """
    left[0] -= 1
    if left[0] < 0 or levels < 0:
        raise OverflowError
    if x is None or isinstance(x, bool):
        return x
    if isinstance(x, str):
        left[0] -= len(x[:MOST_CHARACTERS])
        return x[:MOST_CHARACTERS]
    if isinstance(x, numbers.Integral):
        n = int(x)
        return n if abs(n) <= LARGEST_INT else max(-LARGEST, min(n, LARGEST)) * 1.0
    if isinstance(x, numbers.Real):
        return float(x)
    if hasattr(x, "tolist"):  # an array
        x = x.tolist()
        return plain(x, levels - 1, left)
    if isinstance(x, dict):
        left[0] -= sum([len(str(key)[:100]) for key in x])
        return {str(key)[:100]: plain(part, levels - 1, left) for key, part in x.items()}
    if isinstance(x, (list, tuple)):
        return [plain(part, levels - 1, left) for part in x]
    raise TypeError(type(x).__name__)


def failure_of(error: BaseException, path: str, name: str = "") -> dict[str, Any]:
    """Returns an exception as data, with the line of the learner's file in which it came up.

    name: the function that was called, "" if the file itself was run.
    """
    if isinstance(error, MemoryError):
        free_memory()
    line = 0
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == path:
            line = trace.tb_lineno
        trace = trace.tb_next
    failure = {"kind": "exception", "name": name, "line": line}
    if isinstance(error, SyntaxError) and error.filename == path:
        line = error.lineno or 0
        return {**failure, "kind": "syntax", "line": line, "message": shortened(error.msg)}
    if isinstance(error, (MemoryError, SystemExit)):
        return {**failure, "kind": "memory" if isinstance(error, MemoryError) else "exit"}
    return {**failure, "type": type(error).__name__, "message": shortened(error)}


def shortened(message: object) -> str:
    """Returns the beginning of a message."""
    try:
        return str(message)[:MOST_CHARACTERS]
    except Exception:  # the message is the learner's, too
        return ""


if __name__ == "__main__":
    main(sys.argv[1])
