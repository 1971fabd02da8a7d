"""Runs functions that are written in other languages: C by the compiler ``cc``, JavaScript by node
or, without node, by Chromium, and Python in a file of its own."""

import ctypes
import json
import math as std
import random
import shutil
import struct
import subprocess
import tempfile
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import browser
import pytest

FLAGS = ("-O2", "-ffp-contract=off", "-fno-builtin", "-Wall", "-Werror")

# Numbers cross the border as 16 digits, since JSON has neither nan nor -0.0.
CALLS = """
const view = new DataView(new ArrayBuffer(8));
const number = (text) => (view.setBigUint64(0, BigInt("0x" + text)), view.getFloat64(0));
const digits = (x) => (view.setFloat64(0, x), view.getBigUint64(0).toString(16).padStart(16, "0"));
const answers = calls.map(([f, args]) => functions[f](args.map(number)).map(digits));
"""


def run_c(texts, calls, folder):
    """Returns the results of calls of C functions: pairs of a name, inputs, and how many outputs.

    All functions are compiled as one file, without a warning.
    """
    if shutil.which("cc") is None:
        pytest.skip("needs cc")
    new = Path(tempfile.mkdtemp(dir=folder))  # a library is loaded once for each path
    source, library = new / "all.c", new / "all.so"
    source.write_text("\n".join(texts), encoding="utf-8")
    command = ["cc", *FLAGS, "-shared", "-fPIC", str(source), "-o", str(library), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = ctypes.CDLL(str(library))
    results = []
    for name, inputs, count in calls:
        outputs = (ctypes.c_double * count)()
        getattr(loaded, name)((ctypes.c_double * len(inputs))(*inputs), outputs)
        results.append(list(outputs))
    return results


def run_javascript(texts, calls, folder):
    """The same for JavaScript."""
    names = sorted({name for name, _, _ in calls})
    given = json.dumps([[name, [struct.pack(">d", x).hex() for x in xs]] for name, xs, _ in calls])
    script = "\n".join([
        *texts, f"const functions = {{{', '.join(names)}}};", f"const calls = {given};", CALLS,
    ])
    if shutil.which("node"):
        file = Path(folder) / "all.js"
        file.write_text(f"{script}console.log(JSON.stringify(answers));", encoding="utf-8")
        done = subprocess.run(["node", str(file)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        answers = json.loads(done.stdout)
    else:
        with browser.chromium(folder) as driver:
            answers = driver.execute_script(f"{script}return answers;")
    return [[struct.unpack(">d", bytes.fromhex(x))[0] for x in answer] for answer in answers]


def run_python(texts, calls, folder):
    """The same for Python; each text is a module of its own."""
    names = {}
    folder = tempfile.mkdtemp(dir=folder)  # a module is compiled once for each path and second
    for i, text in enumerate(texts):
        file = Path(folder) / f"text{i}.py"
        file.write_text(text, encoding="utf-8")
        spec = spec_from_file_location(f"text{i}", file)
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        names.update(vars(module))
    return [names[name](list(inputs)) for name, inputs, _ in calls]


RUN = {"c": run_c, "javascript": run_javascript, "python": run_python}


def differences(language, programs, points, folder, agrees):
    """THE CHECKER: yields a sentence for each call of a program in which numbers disagree.

    programs   by name: the source, and a function that returns the numbers expected
    points     by name: lists of inputs
    agrees     says whether two numbers agree
    """
    expected = [
        (name, xs, want)
        for name, (_, eager) in programs.items()
        for xs in points[name]
        if (want := eager(xs)) is not None
    ]
    calls = [(name, xs, len(want)) for name, xs, want in expected]
    results = RUN[language]([text for text, _ in programs.values()], calls, folder)
    for (name, xs, want), got in zip(expected, results, strict=True):
        if len(got) != len(want) or not all(map(agrees, got, want)):
            yield f"{name} at {xs}: {got}, not {want}"


def within_ulps(got, want, ulps=8):
    """Returns whether two numbers are nearly equal, or both nan."""
    if std.isnan(want) or std.isinf(want):
        return got == want or (std.isnan(got) and std.isnan(want))
    return abs(got - want) <= ulps * std.ulp(want)


def moderate(rng, count):
    """Returns random numbers of all moderate sizes."""
    return [rng.choice([-1, 1]) * 10 ** rng.uniform(-3, 2) for _ in range(count)]


def points_of(row, specials, count=40):
    """Returns arguments of a row: special numbers, all pairs of them, and random numbers."""
    rng = random.Random(f"points {row.name}")
    n = row.arity
    grid = [[x] for x in specials] if n == 1 else [[x, y] for x in specials for y in specials]
    if n == 3:
        grid = [[rng.choice(specials) for _ in range(3)] for _ in range(200)]
    return grid + [moderate(rng, n) for _ in range(count)]
