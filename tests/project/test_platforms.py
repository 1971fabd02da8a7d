"""Imports and the main paths work on systems that lack what Linux has, such as Windows.

A process without it stands for Windows: modules that are not there cannot be imported, this package
sees no functions and signals that are not there, and text that goes to a pipe has the encoding
cp1252.
"""

import ast
import os
import re
import subprocess
import sys

import pytest
from helpers import ROOT

# modules of the standard library that Windows lacks
MODULES = {
    "curses", "crypt", "fcntl", "grp", "nis", "ossaudiodev", "pty", "pwd", "readline", "resource",
    "spwd", "syslog", "termios", "tty",
}
# what is missing in modules that Windows has
NAMES = {
    "os": {
        "chown", "confstr", "confstr_names", "fchmod", "fchown", "fork", "forkpty", "getegid",
        "geteuid", "getgid", "getgroups", "getloadavg", "getpgid", "getpgrp", "getuid",
        "initgroups", "killpg", "lchown", "mkfifo", "mknod", "nice", "openpty",
        "register_at_fork", "sched_getaffinity", "sched_setaffinity", "setegid", "seteuid",
        "setgid", "setpgid", "setsid", "setuid", "sysconf", "uname", "wait3", "wait4",
        "O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK",
    },
    "signal": {
        "SIGALRM", "SIGBUS", "SIGCHLD", "SIGCONT", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGQUIT",
        "SIGSTOP", "SIGTSTP", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGXCPU", "alarm", "getitimer",
        "pause", "pthread_kill", "pthread_sigmask", "setitimer", "siginterrupt", "sigwait",
    },
    "faulthandler": {"register", "unregister"},
    "time": {"tzset", "pthread_getcpuclockid"},
}

WINDOWS = f"""
import builtins, importlib, sys, types, warnings

MODULES = {sorted(MODULES)}
NAMES = {NAMES}

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in MODULES:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

def without(module, names):
    copy = types.ModuleType(module.__name__)
    copy.__dict__.update({{name: x for name, x in vars(module).items() if name not in names}})
    return copy

def imported(name, globals=None, *rest, **options):
    found = real(name, globals, *rest, **options)
    package = (globals or {{}}).get("__name__", "").partition(".")[0]
    return there.get(name, found) if package in ("tinygrad_edu", "viz", "runner") else found

for name in MODULES:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Absent())
there = {{name: without(importlib.import_module(name), names) for name, names in NAMES.items()}}
real, builtins.__import__ = builtins.__import__, imported
warnings.filterwarnings("error", category=EncodingWarning, module=r"(tinygrad_edu|viz)\\b")
"""


def run_there(code, folder, *, stdin="", encoding="cp1252"):
    """Runs a program in a process like one of Windows, in a folder, and returns what it printed."""
    environment = {
        **os.environ,
        "HOME": str(folder),  # without it Python asks the module `pwd`
        "PYTHONPATH": str(ROOT),
        "PYTHONIOENCODING": encoding,
        "XDG_DATA_HOME": str(folder / "data"),
    }
    done = subprocess.run(
        [sys.executable, "-X", "warn_default_encoding", "-c", WINDOWS + code], cwd=folder,
        env=environment, input=stdin, capture_output=True, encoding=encoding, timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_every_module_is_imported(tmp_path):
    said = run_there("""
import pkgutil
import tinygrad_edu, viz

count = 0
for package in (tinygrad_edu, viz):
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
            count += 1
print(count, sorted(set(MODULES) & set(sys.modules)))
""", tmp_path)
    count, _, there = said.strip().partition(" ")
    files = [path for package in ("tinygrad_edu", "viz") for path in (ROOT / package).rglob("*.py")]
    assert int(count) == len(files) - 3  # the packages themselves, and __main__
    assert there == "[]"


def test_a_program_draws_trains_compiles_and_writes_pages(tmp_path):
    said = run_there("""
from tinygrad_edu import Value, data, diagnose, examples, fit, jit, math, nn, optim, viz

y = math.tanh(Value(2.0, "a") * Value(-3.0, "b") + 10)
y.backward()
assert viz.draw(y).source.startswith("digraph")
viz.explore(examples.lecture_neuron(), "neuron.html")
X, t = data.moons(40, rng=1)
losses = []
for engine in ("eager", "jit"):
    model = nn.MLP(2, [4, 1], rng=1)
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    history = fit(model, nn.hinge, X, t, optimizer=optimizer, epochs=5, engine=engine,
                  record_every=1)
    losses.append(history.loss)
assert losses[0] == losses[1]
nn.load(model, nn.save(model, "model.json", optimizer), optimizer)
history.save("history.json")
viz.explore(history, "run.html")
viz.plots.loss(history).savefig("loss.png")
print(list(jit(lambda x: x * x).batch([1.0, 2.0])))
""", tmp_path)
    assert said.strip() == "[1.0, 4.0]"
    names = {"neuron.html", "model.json", "history.json", "run.html", "loss.png", "data"}
    assert {path.name for path in tmp_path.iterdir()} <= names | {".cache", ".config"}
    assert b"\r" not in (tmp_path / "run.html").read_bytes()


COMMANDS = [
    (["--version"], ""),
    (["check", "x**y", "x=2", "y=3"], ""),
    (["step", "a*b", "a=2", "b=3"], "n\nend\nq\n"),
    (["guide", "stepping"], ""),
    (["source", "tanh(a*b)", "--to", "c"], ""),
    (["learn", "rate"], "a\na\nq\n"),
    (["practice", "gradient", "--seed", "1"], "s\n"),
    (["progress"], ""),
    (["export", "--to", "gift", "--questions", "9", "-o", "bank.gift"], ""),
    (["playground", "-o", "playground.html"], ""),
]


def test_commands_work_and_their_output_is_readable(tmp_path):
    said = run_there(f"""
from tinygrad_edu.cli import main
import io

for arguments, typed in {COMMANDS}:
    sys.stdin = io.StringIO(typed)
    try:
        status = main(arguments)
    except SystemExit as error:
        status = error.code
    print("STATUS", arguments[0], status)
""", tmp_path)
    statuses = re.findall(r"^STATUS (\S+) (\S+)$", said, re.MULTILINE)
    assert len(statuses) == len(COMMANDS)
    assert {name: status for name, status in statuses if status != "0"} in ({}, {"practice": "1"})
    assert (tmp_path / "bank.gift").stat().st_size > 1000
    assert (tmp_path / "playground.html").stat().st_size > 10_000
    assert "dy/da" in said  # the sign of a partial derivative, which cp1252 lacks, is spelled


def test_a_sign_that_the_output_lacks_is_named_with_a_remedy(tmp_path):
    said = run_there("""
import contextlib, io
from tinygrad_edu.cli import main

with contextlib.redirect_stderr(io.StringIO()) as stream:
    status = main(["check", "λ*λ", "λ=2"])
print(status, ascii(stream.getvalue()))
""", tmp_path)
    assert "tinygrad-edu check: the output has the sign " in said
    assert said.startswith("2 ")
    assert "which its encoding cp1252 lacks; set the environment variable PYTHONUTF8=1" in said


def test_a_closed_pipe_ends_a_command_quietly(tmp_path):
    """Windows reports an invalid argument (EINVAL), not EPIPE."""
    said = run_there("""
import errno
from tinygrad_edu.cli import main

class Closed:
    encoding, file = "cp1252", open("file", "wb")
    def write(self, text):
        raise OSError(errno.EINVAL, "Invalid argument")
    flush = lambda self: self.write("")
    isatty = lambda self: False
    fileno = file.fileno

kept, sys.stdout = sys.stdout, Closed()
system, sys.platform = sys.platform, "win32"
status = main(["guide", "gradients"])
sys.platform, sys.stdout = system, kept
print(status)
""", tmp_path)
    assert said.strip() == "141"


@pytest.mark.parametrize(("text", "kind"), [
    ("def f(x):\n    return 2 * x\n", None),
    ("import os\nos._exit(0)\n", "ended"),
    ("while True:\n    pass\n", "time"),
    ("import time\ntime.sleep(60)\n", "time"),
])
def test_an_exercise_runs_in_a_process_of_its_own(text, kind, tmp_path):
    runner = tmp_path / "runner.py"
    path = ROOT / "tinygrad_edu" / "learn" / "exercises" / "running" / "runner.py"
    start = f"import runpy\nrunpy.run_path({str(path)!r}, None, 'runner')['main'](sys.argv[1])\n"
    runner.write_text(WINDOWS + start, encoding="utf-8")
    said = run_there(f"""
from pathlib import Path
from tinygrad_edu.learn.exercises.running import process

process.RUNNER = Path({str(runner)!r})
done = process.run({text!r}, [process.Call("f", (1.5,))], process.Limits(1))
print(done.failure.kind if done.failure else done.answers[0].value)
""", tmp_path)
    assert said.strip() == (kind or "3.0")


# ---- the source


def unportable(source):
    """THE CHECKER: yields a sentence for each import of a module that Windows lacks, unless there
    is an alternative, for each use of a name that it lacks, and for text without an encoding."""
    tree = ast.parse(source)
    guarded = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Try, ast.With))
        for statement in node.body
        for part in ast.walk(statement)
    }
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module]
        for name in names:
            if name.partition(".")[0] in MODULES and id(node) not in guarded:
                yield f"line {node.lineno} imports {name}, which Windows lacks"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            name = f"{node.value.id}.{node.attr}"
            missing = node.attr in NAMES.get(node.value.id, ())
            is_asked = f'hasattr({node.value.id}, "{node.attr}")' in source
            if missing and id(node) not in guarded and not is_asked and name not in ASKED:
                yield f"line {node.lineno} uses {name}, which Windows lacks"
        if isinstance(node, ast.Call) and reads_text(node):
            yield f"line {node.lineno} has text without an encoding: {ast.unparse(node)}"


# used where something else says that the system is not Windows: `confstr_names`, and the module
# `resource`, without which the function returns
ASKED = {"os.confstr", "faulthandler.register", "signal.SIGXCPU"}


def reads_text(call):
    """Returns whether a call opens a file as text, without an encoding."""
    name = ast.unparse(call.func)
    keywords = {keyword.arg for keyword in call.keywords}
    if "encoding" in keywords:
        return False
    if name == "open":
        modes = [*call.args[1:2], *[k.value for k in call.keywords if k.arg == "mode"]]
        return "b" not in "".join(ast.unparse(mode) for mode in modes)
    if name.endswith((".read_text", ".write_text")):
        return True
    is_process = name.startswith("subprocess.")
    return is_process and bool(keywords & {"text", "universal_newlines"})


FILES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for package in ("tinygrad_edu", "viz")
    for path in sorted((ROOT / package).rglob("*.py"))
}


def test_the_source_uses_nothing_that_windows_lacks():
    found = {name: [*unportable(source)] for name, source in FILES.items()}
    assert {name: sentences for name, sentences in found.items() if sentences} == {}


@pytest.mark.parametrize("source", [
    "import resource",
    "def f():\n    from fcntl import flock",
    "import os\nos.fork()",
    "import signal\nsignal.signal(signal.SIGALRM, f)",
    "import os, signal\nos.kill(1, signal.SIGKILL)",
    "open('a.txt').read()",
    "open('a.txt', mode='w')",
    "path.read_text()",
    "path.write_text('a')",
    "subprocess.run(['a'], text=True)",
])
def test_planted_uses_of_what_windows_lacks_are_reported(source):
    assert [*unportable(source)]


@pytest.mark.parametrize("source", [
    "try:\n    import resource\nexcept ImportError:\n    resource = None",
    "with suppress(ImportError):\n    import resource",
    "if hasattr(os, \"fork\"):\n    os.fork()",
    "getattr(signal, 'SIGKILL', 0)",
    "open('a.txt', 'rb')",
    "open('a.txt', encoding='utf-8')",
    "path.read_text(encoding='utf-8')",
])
def test_uses_with_an_alternative_are_not_reported(source):
    assert [*unportable(source)] == []
