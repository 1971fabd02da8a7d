"""Wrong arguments: each error names the argument, shows what was given, and says what to write.

`calls.CALLS` has a right call of every public function.  One argument at a time is replaced by what
it cannot be.  If the call raises, the error must have been raised on purpose, with a message of
three parts.
"""

import dis
import io
import random
import re
import traceback
import types
import warnings
from collections.abc import Iterator
from pathlib import Path

import calls
import numpy as np
import pandas as pd
import pytest
from calls import CALLS, Call
from helpers import scaled

import tinygrad_edu
import viz
from tinygrad_edu import (
    Value,
    data,
    diagnose,
    grad,
    hessian,
    jacobian,
    jit,
    jvp,
    math,
    nn,
    optim,
    testing,
    train,
    value_and_grad,
    vjp,
)
from tinygrad_edu.errors import PACKAGE_FOLDER

OURS = (PACKAGE_FOLDER, str(Path(viz.__file__).parent))
REMEDY = re.compile(
    r"\b(pass|use|write|give|call|choose|needs?|add|compute|make|return|usual|one of|take|save|"
    r"convert|multiply|did you mean|instead)\b"
)


class Thing:
    """What nothing can use."""

    def __repr__(self):
        return "<a thing>"


def wrongs():
    """Yields new wrong arguments."""
    yield from (None, "text", b"bytes", "", 3 + 4j, float("nan"), float("inf"), -1, 0, 2.5, -0.5)
    yield from (10**400, True, [], (), {}, {"a": 1.0}, set(), [None], ["text"], [[1.0], 2.0])
    yield from (Thing(), [Thing()], Value(1.0), [Value(1.0)], nn.MLP, len, range(3))
    yield from (np.array([1.0, 2.0]), np.ones((2, 2)), np.array(["a"]), np.array(1.0), np.ones(0))
    yield from (np.array("text"), pd.NA, int)
    yield iter([1.0, 2.0])
    yield lambda x: None
    yield lambda: None
    yield lambda *args: "text"


def misfits(x):
    """Yields variants of a right list: an entry too few, one too many, and a wrong entry."""
    if isinstance(x, (list, tuple)) and len(x) > 1:
        yield x[:-1]
    if isinstance(x, (list, tuple)) and x:
        yield type(x)([*x, x[-1]])
        for entry in (None, "text", Thing()):
            yield type(x)([*x[:-1], entry])


def cases():
    """Returns all (name of the call, name of the argument, number of the wrong argument)."""
    return [
        (name, argument, i)
        for name, make in CALLS.items()
        for argument, right in make().arguments.items()
        for i in range(len([*wrongs(), *misfits(right)]))
    ]


def complaint_of(name, argument, i):
    """Returns the `complaint` about one of the `cases`, and the wrong argument."""
    call = CALLS[name]()
    wrong = [*wrongs(), *misfits(call.arguments[argument])][i]
    return complaint(call, argument, wrong), wrong


def complaint(call, argument, wrong):
    """Returns what is wrong with the error of a call, "" if it is good, None if there is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call(**{argument: wrong})
    except Exception as error:
        right = call.arguments[argument]
        if callable(wrong) and (callable(right) or argument == "metrics"):
            return None  # a function, but with other arguments or results
        message = "\n".join([str(error), *getattr(error, "__notes__", [])])
        if is_of_the_caller(error):
            return None
        if not is_raised_on_purpose(error):
            return f"a bare {type(error).__name__}: {message}"
        names = [argument, *call.aliases.get(argument, [])]
        if not any(re.search(rf"\b{re.escape(name)}\b", message) for name in names):
            return f"does not name the argument: {message}"
        if not shows(message, wrong):
            return f"does not show what was given: {message}"
        # a bound says what to write, the name of a type does not
        is_told = "must" in message and not isinstance(error, TypeError)
        if not (is_told or REMEDY.search(message)):
            return f"does not say what to write: {message}"
        return ""
    return None


def is_raised_on_purpose(error):
    """Returns whether a ``raise`` of the package raised an error."""
    trace = error.__traceback__
    while trace.tb_next:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    operations = {i.offset: i.opname for i in dis.get_instructions(code)}
    is_raise = operations[trace.tb_lasti] in ("RAISE_VARARGS", "RERAISE")
    return is_raise and code.co_filename.startswith(OURS)


def is_of_the_caller(error):
    """Returns whether a function that the caller passed failed."""
    frames = [frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)]
    return frames[-1].co_filename == calls.__file__ or any(
        code in (calls.square.__code__, calls.norm.__code__) for code in frames
    )


def shows(message, wrong):
    """Returns whether a message shows an argument, its length, its type or one of its entries."""
    parts = [repr(wrong)[:12], type(wrong).__name__, getattr(wrong, "__name__", "") or "\0"]
    if isinstance(wrong, str):
        parts.append(wrong or "''")
    if isinstance(wrong, bool):
        parts.append("constants")  # of a compiled program
    if isinstance(wrong, (int, float)) and not isinstance(wrong, bool):
        parts += [f"{wrong:,}"[:12], f"{min(wrong, 10**9)}", "int of"]
    if wrong is None:
        parts.append("no value")
    if hasattr(wrong, "dtype"):
        parts.append("array(")
    if isinstance(wrong, Iterator):
        wrong = [1.0, 2.0]
        parts += ["not 2", "of 2"]
    elif isinstance(wrong, range) or getattr(wrong, "shape", ()):
        wrong = wrong.tolist() if hasattr(wrong, "tolist") else [*wrong]
    if hasattr(wrong, "__len__") and getattr(wrong, "shape", 1) != ():
        parts += [str(len(wrong)), "empty", "no "]
    if isinstance(wrong, dict):
        parts += [repr(key) for key in wrong]
    if isinstance(wrong, (list, tuple)):
        parts += [repr(x)[:12] for x in wrong] + [type(x).__name__ for x in wrong]
    if callable(wrong):
        parts += ["None", "'text'", "argument"]
    return any(part in message for part in parts)


# ---- the test, and a test of the test ------------------------------------------------------------


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # "text" is also the name of a file
    monkeypatch.setattr("sys.stdin", io.StringIO("q\n"))


@pytest.mark.parametrize("part", range(10))
def test_errors_name_the_argument_show_it_and_say_what_to_write(part):
    everything = cases()[part::10]
    count = min(scaled(100, len(everything)), len(everything))
    drawn = random.Random(part).sample(everything, count)
    complaints = {case: complaint_of(*case) for case in drawn}
    bad = [
        f"{name}, {argument} = {wrong!r:.60}: {said}"
        for (name, argument, _), (said, wrong) in complaints.items() if said
    ]
    assert not bad, "\n".join(bad)
    assert sum(said == "" for said, _ in complaints.values()) > count / 2



@pytest.mark.parametrize(("message", "said"), [
    ("it must be a number, not None", "does not name the argument"),
    ("x must be a number", "does not show what was given"),
    ("x is None", "does not say what to write"),
    ("x must be a number, not None", "does not say what to write"),
    ("x must be a number, not None; write 0.5", ""),
])
def test_a_message_without_one_of_the_parts_is_found(message, said, monkeypatch):
    def planted(x):
        raise TypeError(message)

    monkeypatch.setattr("test_messages.OURS", (__file__,))
    found = complaint(Call(planted, x=1.0), "x", None)
    assert found == "" if not said else found.startswith(said)


def test_a_bare_error_is_found():
    found = complaint(Call(lambda x: x + 1.0, x=1.0), "x", None)
    assert found.startswith("a bare TypeError: unsupported operand")


def nothing():
    return 1.0


def five(a, b, c, d, e):
    return a


TIMES = jit(lambda a, b: a * b)
COUNTS = {
    "jvp": (lambda: jvp(nothing, [1.0], [1.0]), r"f must be a function of 1 argument, not nothing"),
    "vjp": (lambda: vjp(nothing, 1.0), r"f must be a function of 1 argument, not nothing\(\)"),
    "grad": (lambda: grad(five)(1.0), r"f must be a function of 1 argument, not five\(a, b, c, d"),
    "value_and_grad": (lambda: value_and_grad(nothing)(1.0), r"1 argument, not nothing\(\); give"),
    "jacobian": (lambda: jacobian(nothing)([1.0]), r"1 argument, not nothing\(\); give"),
    "hessian": (lambda: hessian(nothing)([1.0]), r"1 argument, not nothing\(\); give"),
    "no point": (lambda: grad(five)(), r"with 0 arguments, .*; pass it, as in grad\(f\)"),
    "diagnose": (
        lambda: diagnose(nn.Neuron(1), [[1.0]], [1.0], loss=five), r"loss must be a .*of 2 arg",
    ),
    "cond": (lambda: math.cond(True, five, nothing), r"^cond: then must be .* of 0 arg"),
    "cond, otherwise": (lambda: math.cond(False, nothing, five), r"^cond: otherwise must be .* of"),
    "isnan": (lambda: math.isnan(10**400), r"argument x of isnan: an int of .*; use a smaller"),
    "isnan of text": (lambda: math.isnan(np.array("x")), r"argument x of isnan must be a real"),
    "static": (lambda: jit(five, static=np.array("x")), r"jit: static must name arguments of five"),
    "gradient_test": (lambda: testing.gradient_test(int), r"f must have arguments with names, not"),
    "a whole number in quotes": (lambda: nn.MLP("3", [1]), r"write 3 without quotes, or .*int\("),
    "a float": (lambda: nn.MLP(3.0, [1]), r"nin must be a whole number, not float .*; write 3"),
    "a bad entry": (
        lambda: nn.mse([0.1, 0.2], ["1", "2"]), r"but entry 0 of .* is str \('1'\); write 1\.0",
    ),
    "a missing output": (lambda: nn.mse([0.1, None], [1, 2]), r"the prediction .* entry 1 of"),
    "a nested target": (lambda: nn.mse([0.1, 0.2], [[1, 2]]), r"make it one flat list"),
}


@pytest.mark.parametrize(("call", "message"), COUNTS.values(), ids=COUNTS)
def test_wrong_numbers_of_arguments_and_entries_are_named_with_a_remedy(call, message):
    with pytest.raises((TypeError, ValueError, IndexError, OverflowError), match=message):
        call()


@pytest.mark.parametrize("wrong", [
    ["1", "2"], "123", [[1.0], [2.0]], b"abc", None, {}, [None, 1.0],
])
def test_batch_names_the_argument_that_is_no_column(wrong):
    with pytest.raises(Exception) as caught:  # noqa: PT011
        TIMES.batch(wrong, [1.0, 2.0])
    assert caught.value.__notes__ == [f"batch: argument a is {wrong!r}, and no column"]
    with pytest.raises(TypeError, match=r"argument a must be a column of numbers, .* not nd"):
        TIMES.batch(np.array("x"), [1.0, 2.0])


# without arguments of their own, or with arguments of Python's
EXEMPT = {
    "detect_anomaly", "no_grad", "iris", "names", "Module", "ParameterName", "Initialiser",
    "TinygradEduError", "plots", "Page", "Dataset", "Entry", "Report", "uniform", "xavier", "he",
    "Standardizer", "Drawing", "Animation", "TrainingRecord", "course", "comb", "factorial",
    "frexp", "gcd", "isqrt", "lcm", "ldexp", "nextafter", "perm", "ulp",
}


@pytest.mark.parametrize("module", [tinygrad_edu, nn, optim, data, math, testing, train, viz,
                                     viz.plots],
                         ids=lambda module: module.__name__)
def test_every_public_function_has_a_right_call(module):
    covered = {name.partition(",")[0].rpartition(".")[2] for name in CALLS} | EXEMPT
    public = {name for name in module.__all__ if callable(getattr(module, name))
              and not isinstance(getattr(module, name), types.ModuleType)}
    assert public <= covered, sorted(public - covered)


@pytest.mark.parametrize("name", CALLS)
def test_right_calls_are_right(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        CALLS[name]()()
