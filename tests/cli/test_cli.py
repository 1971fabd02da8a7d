"""The command line, in a separate process where the exit status and the streams matter."""

import html
import importlib
import math
import os
import pkgutil
import re
import subprocess
import sys

import pytest
from helpers import ROOT, replaced, run_python
from sources import RUN, within_ulps

from tinygrad_edu import cli, nn, parse
from tinygrad_edu.cli.arguments import Command
from tinygrad_edu.cli.training import DATA_SETS, OPTIMIZERS
from tinygrad_edu.engine import table
from tinygrad_edu.engine.graph import topological_order
from tinygrad_edu.train import History, Sweep


def run(*args, cwd=None, script=None):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-m", "tinygrad_edu", *map(str, args)],
        cwd=cwd,
        env=environment,
        input=script,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_demo_trains_checks_draws_and_saves(tmp_path):
    out = tmp_path / "out"
    done = run("demo", "--out", out)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert sorted(p.name for p in out.iterdir()) == [
        "checkpoint.json", "graph-neuron.svg", "graph.png", "graph.svg", "history.json", "loss.png"]
    assert (out / "graph.svg").read_text().rstrip().endswith("</svg>")
    assert (out / "graph.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "loss.png").read_bytes().startswith(b"\x89PNG")
    history = History.load(out / "history.json")
    assert history.epochs == 40
    assert len(history) == 40 * 8
    nn.load(nn.MLP(4, [8, 3]), out / "checkpoint.json")
    accuracy = float(done.stdout.split("test accuracy: ")[1].split("%")[0])
    assert accuracy >= 93
    assert "0 failed" in done.stdout
    assert "Try next" in done.stdout
    assert "epoch 40/40" in done.stdout


@pytest.mark.parametrize("data", DATA_SETS)
def test_train_on_every_data_set(data, tmp_path):
    done = run("train", "--data", data, "--epochs", 2, "--layers", 4, "--out", tmp_path / data)
    assert done.returncode == 0, done.stderr
    assert "held out" in done.stdout or "test accuracy" in done.stdout
    assert History.load(tmp_path / data / "history.json").epochs == 2


def test_train_with_every_optimizer_learns(tmp_path, capsys):
    for optimizer in OPTIMIZERS:
        assert (
            cli.main(
                [
                    "train",
                    "--optimizer",
                    optimizer,
                    "--epochs",
                    "3",
                    "--layers",
                    "4",
                    "--out",
                    str(tmp_path),
                ]
            )
            == 0
        )
        assert History.load(tmp_path / "history.json").engine == "eager, 30 steps"
        assert (
            cli.main(
                [
                    "train",
                    "--optimizer",
                    optimizer,
                    "--epochs",
                    "3",
                    "--layers",
                    "4",
                    "--out",
                    str(tmp_path),
                    "--engine",
                    "jit",
                ]
            )
            == 0
        )
        assert History.load(tmp_path / "history.json").engine == "jit, 30 steps"
        history = History.load(tmp_path / "history.json")
        assert sum(history.loss[-10:]) < sum(history.loss[:10])
    assert capsys.readouterr().err == ""


def test_train_is_repeatable(tmp_path):
    for folder in ("a", "b"):
        assert (
            run(
                "train", "--epochs", 2, "--layers", 4, "--seed", 5, "--out", tmp_path / folder
            ).returncode
            == 0
        )
    assert (
        History.load(tmp_path / "a/history.json").loss
        == History.load(tmp_path / "b/history.json").loss
    )


def test_gpt_trains_on_the_packaged_names_and_invents_some(capsys):
    assert cli.main(["gpt", "--steps", "2"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    head, bar, figures, blank, title, *names = out.splitlines()
    assert head == "names: 32033; different characters: 26; parameters of the GPT: 4192"
    assert "2/2" in bar
    assert re.fullmatch(
        r"loss 3\.3660 in step 1, 3\.4243 in step 2; \d+\.\d s, \S+ ms a step", figures
    )
    assert (blank, title) == ("", "invented names:")
    assert [name.split()[0] for name in names] == [str(i) for i in range(1, 21)]


@pytest.fixture
def two_names(tmp_path):
    """Returns the start of a command that trains on a file of two names."""
    path = tmp_path / "names.txt"
    path.write_text("a\nn\n")
    return ["gpt", "--data", str(path), "--engine", "eager"]


def test_gpt_learns_the_names_of_a_file(two_names, capsys):
    assert cli.main([*two_names, "--steps", "101", "--samples", "5"]) == 0
    out, err = capsys.readouterr()
    assert (err, out.startswith("names: 2; different characters: 2; parameters of the GPT: ")) == (
        "",
        True,
    )
    average = re.search(r"in step 1, (\d\.\d{4}) on average over the last 100 steps; ", out)
    assert float(average[1]) < 0.6
    assert {line[6:] for line in out.split("invented names:\n")[1].splitlines()} == {
        "a",
        "n",
    }


def test_gpt_is_repeatable_and_the_seed_matters(two_names, capsys):
    names = []
    for seed in (1, 1, 2):
        assert cli.main([*two_names, "--steps", "1", "--samples", "8", "--seed", str(seed)]) == 0
        out = capsys.readouterr().out
        assert re.search(r"^loss \d\.\d{4} in step 1; ", out, re.MULTILINE)
        names.append(out.split("invented names:\n")[1])
    assert names[0] == names[1] != names[2]


def test_gpt_reports_names_that_are_too_long(tmp_path, capsys):
    path = tmp_path / "names.txt"
    path.write_text("\n".join("a" * n for n in (3, 15, 16, 40)))
    assert cli.main(["gpt", "--data", str(path), "--steps", "4", "--samples", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == (
        "2 names with 16 or more characters: only the first 16 are learned, not where the name ends"
    )


INTERRUPTED = """
import signal, sys
from tinygrad_edu import cli
signal.signal(signal.SIGVTALRM, signal.default_int_handler)  # as Ctrl-C, after this computing time
signal.setitimer(signal.ITIMER_VIRTUAL, 1.0)
sys.exit(cli.main(sys.argv[1:]))
"""


def test_gpt_reports_progress_and_samples_after_an_interrupt(two_names):
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, *two_names, "--steps", "5000", "--samples", "2"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.stderr, done.returncode) == ("tinygrad-edu gpt: interrupted\n", 130)
    steps = int(
        re.search(
            r"^interrupted after (\d+) of 5000 steps; the names are from the present model$",
            done.stdout,
            re.MULTILINE,
        )[1]
    )
    assert 1 <= steps < 5000
    assert len(done.stdout.split("invented names:\n")[1].splitlines()) == 2


def test_gpt_escapes_control_characters(tmp_path, capsys):
    path = tmp_path / "names.txt"
    path.write_text("\x1b[31m\nJosé\n")
    assert cli.main(["gpt", "--data", str(path), "--steps", "3"]) == 0
    names = capsys.readouterr().out.split("invented names:\n")[1]
    assert "\\x1b" in names
    assert "é" in names
    assert "\x1b" not in names


WITHOUT_LLVMLITE = """
import sys
from tinygrad_edu import cli
sys.modules["llvmlite"] = None
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.parametrize(("engine", "status", "out", "err"), [
    ([], 0, "without llvmlite the eager engine runs: the same names, many times as slowly; "
            'to install it: pip install "tinygrad_edu[fast]"\n', ""),
    (["--engine", "eager"], 0, "", ""),
    (["--engine", "jit"], 2, "",
     "tinygrad-edu gpt: --engine jit needs llvmlite; install it (pip install "
     '"tinygrad_edu[fast]"), or pass --engine eager: the same names, many times as slowly\n'),
])
def test_gpt_without_llvmlite_says_what_to_install(two_names, engine, status, out, err):
    done = run_python(WITHOUT_LLVMLITE, *two_names[:3], *engine, "--steps", 1)
    assert (done.returncode, done.stderr) == (status, err)
    assert out in done.stdout
    assert ("llvmlite" in done.stdout) == bool(out)
    assert ("invented names" in done.stdout) == (status == 0)


def test_draw_an_expression(tmp_path):
    done = run("draw", "tanh(a*b + c)", "a=2", "b=-3", "c=10", "-o", tmp_path / "y.svg")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"y = 0.9993292997; wrote {tmp_path / 'y.svg'}\n"
    picture = (tmp_path / "y.svg").read_text()
    assert "tanh" in picture
    assert "computation graph of y" in picture


def test_draw_leaves_numbers_blank_and_draws_parameters(tmp_path):
    out = tmp_path / "y.svg"
    command = ["draw", "tanh(w*x + b)", "w=0.25", "x=-3", "b=0.125", "-o", str(out)]
    assert cli.main([*command, "--parameters", "w, b", "--hide", "data,grad,derivative"]) == 0
    picture = html.unescape(out.read_text())
    for given in ("0.2500", "-3.0000", "0.1250", ">parameter<", ">input<"):
        assert given in picture
    assert "-0.7500" not in picture  # w*x
    assert cli.main([*command, "--digits", "2", "--font-size", "22", "--direction", "TB"]) == 0
    picture = html.unescape(out.read_text())
    assert ">-0.8<" in picture
    assert 'font-size="22.00"' in picture


@pytest.mark.parametrize(("option", "value", "words"), [
    ("--hide", "numbers", ["draw: hide", "'data', 'grad' or 'derivative'", "'numbers'"]),
    ("--direction", "up", ["'LR' or 'TB'", "'up'"]),
    ("--parameters", "w,c", ["--parameters", "one of w, x", "'c'"]),
    ("--digits", "0", ["digits", "from 2 to 17", "not 0"]),
])
def test_draw_rejects_options_by_name(option, value, words, tmp_path, capsys):
    out = tmp_path / "y.svg"
    assert cli.main(["draw", "w*x", "w=1", "x=2", option, value, "-o", str(out)]) == 2
    said = capsys.readouterr().err
    assert all(word in said for word in words), said
    assert not out.exists()


@pytest.mark.parametrize(("command", "start"), [
    ("draw", b"<svg "), ("explore", b"<!DOCTYPE html>"), ("animate", b"GIF89a"),
])
def test_a_file_named_by_a_minus_sign_is_standard_output(command, start, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tinygrad_edu", command, "a*b", "a=2", "b=-3", "-o", "-"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.startswith(start)
    assert b"wrote" not in done.stdout[-100:]
    assert done.stderr == b""
    assert list(tmp_path.iterdir()) == []


def test_draw_the_graph_of_figure_6_11(tmp_path):
    done = run("draw", "--example", "weight-decay", "-o", tmp_path / "decay.svg")
    assert done.returncode == 0, done.stderr
    picture = (tmp_path / "decay.svg").read_text()
    assert "J_MLE" in picture
    assert "W1[1,1]" in picture


def test_two_functions_in_python_go_into_one_file(capsys):
    for expression, name in (("tanh(a) / b", "first"), ("exp(a) ** b", "second")):
        assert cli.main(["source", expression, "--to", "Python", "--name", name]) == 0
    names = {}
    exec(compile(capsys.readouterr().out, "both.py", "exec", dont_inherit=True), names)
    assert names["first"]([0.5, 2.0]) == [math.tanh(0.5) / 2]
    assert names["second"]([0.5, 2.0]) == [math.exp(0.5) ** 2]


@pytest.mark.parametrize("language", ["c", "javascript", "python", "C", "JS", "Py"])
def test_source_writes_the_function_of_an_expression(language, tmp_path, capsys):
    expression = ["source", "tanh(a*b + c)", "--to", language, "--gradient", "--name", "neuron"]
    assert cli.main(expression) == 0
    text = capsys.readouterr().out
    out = tmp_path / "neuron"
    assert cli.main([*expression, "-o", str(out)]) == 0
    (written,) = tmp_path.iterdir()
    assert capsys.readouterr().out == f"wrote {written}\n"
    assert written.read_text() == text
    known = {"js": "javascript", "py": "python"}.get(language.lower(), language.lower())
    (got,) = RUN[known]([text], [("neuron", [2.0, -3.0, 6.5], 4)], tmp_path)
    y = parse("tanh(a*b + c)", a=2, b=-3, c=6.5)
    y.backward()
    found = {node.label: node.grad for node in topological_order(y)}
    for x, want in zip(got, [y.data, found["a"], found["b"], found["c"]], strict=True):
        assert within_ulps(x, want)


def test_step_obeys_a_script():
    done = run(
        "step", "tanh(a*b + c)", "a=2", "b=-3", "c=10", script="until a\np a*b + c\nq\nnever read\n"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "y = tanh(a * b + c): 6 nodes, 3 steps forward, 6 backward; h for help\n"
        "step 0 of 9, start\n"
        "  given: a = 2, b = -3, c = 10\n"
        "  next:    v4 = a * b = 2 × (-3) = -6\n"
        "(step 0/9) until a\n"
        "step 8 of 9, backward\n"
        "  dy/da += dy/dv4 · ∂v4/∂a = 0.001341 × (-3) = -0.004023   [∂v4/∂a = b]\n"
        "  changed: grad of a: 0 -> -0.004023\n"
        "  next:    dy/db += dy/dv4 · ∂v4/∂b = 0.001341 × 2 = 0.002682   [∂v4/∂b = a]\n"
        "(step 8/9) p a*b + c\n"
        "4.0\n"
        "(step 8/9) q\n")


def test_step_labels_the_result_y_unless_a_variable_has_that_name():
    assert run("step", "x * 2", "x=3", script="").stdout.startswith("y = x * 2: ")
    assert run("step", "y * 2", "y=3", script="").stdout.startswith("v2 = y * 2: ")
    assert run("step", "x", "x=3", script="").stdout.startswith("x: ")


def test_step_through_an_example():
    done = run("step", "--example", "lecture-neuron", script="n")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(
        "o = tanh(x1 * w1 + x2 * w2 + b): 10 nodes, 5 steps forward, 10 backward; h for help\n"
    )
    assert done.stdout.endswith("\n(step 1/15) \n")


def test_check_says_what_it_compared():
    done = run("check", "x**y", "x=2", "y=3")
    assert done.returncode == 0
    assert "gradcheck of x**y: ok, 2 compared, 0 failed" in done.stdout
    assert run("check", "x**y", "x=2", "y=3", "--order", 2).returncode == 0


def test_check_exits_with_1_when_it_fails():
    done = run("check", "log(x*0)*x", "x=1")
    assert done.returncode == 1
    assert "FAILED" in done.stdout


@pytest.mark.parametrize(("args", "verdict"), [
    (["abs(x)", "x=0"], "abs(x): nothing to compare, 0 compared"),
    (["floor(x)", "x=2"], "floor(x): nothing to compare, 0 compared"),
    (["sin(x)/x", "x=1e164"], "sin(x)/x: imprecise, 0 compared"),
])
def test_check_exits_with_1_when_nothing_was_compared(args, verdict, capsys):
    assert cli.main(["check", *args]) == 1
    out = capsys.readouterr().out
    assert verdict in out
    assert "FAILED" not in out
    assert "the graph:" not in out


@pytest.mark.parametrize("args", [["sqrt(x*x)"], ["sqrt(x*x)", "x=0"], ["expm1(x)/x", "x=-1..1"]])
def test_check_reports_singular_point(args, capsys):
    assert cli.main(["check", *args, "--examples", "5"]) == 1
    out = capsys.readouterr().out
    assert "FAILED" in out
    assert "singular" in out
    assert "local derivative" in out
    assert cli.main(["check", args[0], "x=0.1..1", "--examples", "5"]) == 0


def test_check_shows_the_graph_when_it_fails():
    done = run("check", "log(x*0)*x", "x=1")
    assert "the graph:\nx = 1\nv2 = x * 0 = 1 × 0 = 0\n" in done.stdout
    assert done.stdout.endswith("The first node that is inf or nan is v3.\n")


def test_check_draws_points_for_variables_without_numbers():
    done = run("check", "x**y", "--examples", 50)
    assert (done.returncode, done.stderr) == (0, "")
    first, second = done.stdout.splitlines()
    assert first.startswith("gradients of x**y: ok, 50 points compared, others rejected (")
    assert first.endswith(" not finite); tolerance 1e-07 relative")
    assert second.startswith("largest difference: ")
    assert " of what is allowed, at x=" in second
    assert run("check", "x**y", "--examples", 50).stdout == done.stdout


def test_check_draws_from_intervals(capsys):
    assert (
        cli.main(["check", "log(x) / y", "x=0.1..10", "y=2", "--examples", "20", "--order", "2"])
        == 0
    )
    assert "20 points compared, none rejected" in capsys.readouterr().out
    assert cli.main(["check", "log(x)", "x=1..1"]) == 0
    assert "gradcheck of log(x): ok, 1 compared" in capsys.readouterr().out
    assert cli.main(["check", "x + 1", "--examples", "20"]) == 0
    assert "none rejected" in capsys.readouterr().out


def test_check_takes_the_name_of_a_row(capsys):
    assert cli.main(["check", "tanh", "--examples", "30"]) == 0
    assert "gradients of tanh: ok, 30 points compared" in capsys.readouterr().out
    assert cli.main(["check", "pow", "x=2", "y=3"]) == 0
    assert "gradcheck of pow: ok, 2 compared" in capsys.readouterr().out


def test_check_shows_the_simplest_point_where_a_rule_is_wrong(capsys):
    with replaced(table.tanh, "partials", (lambda x, o: 1 - o,)):
        for expression in ("tanh", "tanh(2*x) + 1"):
            assert cli.main(["check", expression, "--examples", "30"]) == 1
            out = capsys.readouterr().out
            assert out.startswith("FAILED after ")
            assert f"\nthe derivative of {expression} with respect to x is wrong at x=1.0\n" in out
            assert "   <- WRONG: it is " in out
        assert cli.main(["check", "tanh(x)", "x=0.5"]) == 1
        assert (
            "<- WRONG: it is 0.5378828427, but differences of tanh give 0.786447733"
            in capsys.readouterr().out
        )


def test_check_of_drawn_points_needs_hypothesis(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "hypothesis.errors", None)
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    assert cli.main(["check", "x * 2"]) == 2
    assert capsys.readouterr().err == (
        "tinygrad-edu check: random points need hypothesis; install it (pip install "
        "hypothesis), or give a number for each variable, as in x=1.5\n"
    )
    assert cli.main(["check", "x * 2", "x=1.5"]) == 0


@pytest.mark.parametrize(("args", "message"), [
    (["check", "sqrt(-x*x)"], "only 0 of 40 points (40 not finite); give an interval where the "
                              "function is finite and smooth, "
                              "such as x=0.1..10"),
    (["check", "x", "x=2..1"], "the ends of the interval must be finite and in this order, not "
                               "2.0 and 1.0"),
    (["check", "x", "x=1..b"], "'b' is not a number; write x=1.5"),
    (["check", "x", "z=1"], "unknown variable 'z': the expression has x"),
    (["check", "x", "--examples", "0"], "--examples"),
    (["check", "foo(x)"], "unknown function 'foo'"),
    (["draw", "a*b", "a=2"], "no value for variable 'b'; add b=1.5"),
    (["draw", "a", "a=2", "z=1"], "unknown variable 'z': the expression has a"),
    (["draw", "a", "a=two"], "'two' is not a number; write a=1.5"),
    (["draw", "a", "a"], "'a' is not of the form name=number"),
    (["draw", "a +", "a=1"], "not an expression: invalid syntax"),
    (["draw", "a.b", "a=1"], "an attribute is not part of the language"),
    (["draw"], "give an expression"),
    (["draw", "--example", "nothing"], "unknown example 'nothing'; choose one of "
                                       "lecture-expression"),
    (["draw", "a", "a=1", "-o", "missing/y.svg"], "missing"),
    (["draw", "a", "a=1", "-o", "y.xyz"], ".xyz"),
    (["step", "a*b", "a=2"], "no value for variable 'b'; add b=1.5"),
    (["step"], 'give an expression, as in: tinygrad-edu step "tanh(a*b + c)" a=2 b=-3 c=10'),
    (["step", "--example", "nothing"], "unknown example 'nothing'; choose one of "
                                       "lecture-expression"),
    (["step", "a", "a=1", "--example", "lecture-neuron"], "give an expression or --example, not "
                                                          "both"),
    (["check", "1 + 2"], "has no variables"),
    (["check", "x", "x=1", "--order", "3"], "invalid choice"),
    (["train", "--data", "mnist"], "invalid choice: 'mnist'"),
    (["train", "--layers", "4,x"], "--layers"),
    (["train", "--lr", "-1"], "-1"),
    (["train", "--activation", "rely"], "activation must be 'linear', "),
    (["train", "--epochs", "0"], "--epochs"),
    (["sweep", "--lr", "0.1,fast"], "'0.1,fast' is not a list of learning rates such as 0.01,0.1"),
    (["sweep", "--lr", "0.1,-1"], "'0.1,-1' is not a list of learning rates"),
    (["sweep", "--lr", "0.1,0.1"], "grid['lr'] has 0.1 twice"),
    (["sweep", "--layers", "8", "x"], "'x' is not a list of sizes such as 16,16"),
    (["sweep", "--seeds", "0"], "--seeds"),
    (["sweep", "--workers", "two"], "--workers"),
    (["gpt", "--data", "none.txt"], "path 'none.txt' cannot be read: No such file or "
                                    "directory; give a text file with one name a line"),
    (["gpt", "--data", "."], "Is a directory"),
    (["gpt", "--data", os.devnull], f"{os.devnull} has no names: it is empty"),
    (["gpt", "--steps", "0"], "'0' is not a whole number of at least 1"),
    (["gpt", "--samples", "-3"], "--samples"),
    (["gpt", "--steps", "9" * 31], f"--steps: '{'9' * 31}' is too large; at most 10,000,000"),
    (["gpt", "--steps", "9" * 5000], "is too large; at most 10,000,000"),
    (["train", "--layers", "99999999999"], "'99999999999' is too large; at most 10,000,000"),
    (["train", "--layers", "100000,100000"], "would make 10000500001 parameters; choose sizes"),
    (["train", "--epochs", "99999999999"], "at most 10,000,000"),
    (["train", "--batch-size", "99999999999"], "at most 10,000,000"),
    (["train", "--seed", "9" * 5000], "argument --seed: invalid int value: '999"),
    (["check", "x", "--examples", "99999999999"], "at most 10,000,000"),
    (["draw", "a", "a=1", "--max-nodes", "99999999999"], "at most 10,000,000"),
    (["step", "2a", "a=2"], "a product is written with *: 2*a"),
    (["source", "a +", "--to", "c"], "not an expression: invalid syntax"),
    (["source", "a < b", "--to", "c"], "is a condition, not a number"),
    (["source", "a", "--to", "rust"], "must be one of 'c', 'javascript', 'python', not 'rust'"),
    (["source", "a", "--to", "c", "--name", "double"], "no other meaning in C, not 'double'"),
    (["source", "a", "--to", "c", "-o", "a.py"], ".py"),
    (["source", "a"], "give an expression and a language, as in source"),
    (["gpt", "--engine", "warp"], "invalid choice: 'warp'"),
    (["gpt", "--engine", "auto"], "invalid choice: 'auto'"),
    (["demo", "--epochs", "many"], "--epochs"),
    (["sing"], "invalid choice: 'sing'"),
])
def test_wrong_input_is_one_line_and_exit_status_2(args, message, tmp_path):
    done = run(*args, cwd=tmp_path)
    assert done.returncode == 2, done.stdout
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("tinygrad-edu")
    assert message in done.stderr


@pytest.mark.parametrize("command", ["demo", "train", "sweep"])
def test_unwritable_folder_is_reported_in_one_line(command, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("here already")
    done = run(command, "--out", blocked / "sub")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "choose another with --out" in done.stderr
    assert blocked.read_text() == "here already"


def test_train_reports_divergence_and_keeps_the_history(tmp_path):
    line = ("train", "--data", "line", "--layers", 8, "--optimizer", "sgd", "--epochs", 20)
    done = run(*line, "--lr", 1, "--live", "--out", tmp_path)
    assert done.returncode == 2
    assert "the loss is" in done.stderr or "gradient of parameter" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    steps = len(History.load(tmp_path / "history.json"))
    assert f"wrote the {steps} steps before the error to {tmp_path}:" in done.stdout
    assert "live.html" in done.stdout
    assert (tmp_path / "live.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert "loss diverges: loss" in done.stdout
    rate = done.stdout.partition("Try again with --lr ")[2].partition(". In Python")[0]
    assert 0 < float(rate) < 0.5
    cured = run(*line, "--lr", rate, "--out", tmp_path / "cured")
    assert cured.returncode == 0
    assert "Try again" not in cured.stdout
    assert History.load(tmp_path / "cured" / "history.json").loss[-1] < 0.1


@pytest.mark.parametrize(("options", "words"), [
    (("--optimizer", "sgd", "--lr", "1e4"), "the loss rose from"),
    (("--lr", "1e-8", "--layers", 8), "the loss stood still"),
    (("--optimizer", "sgd", "--activation", "sigmoid", "--layers", "4,4,4,4,4,4,4,4"),
     "vanishing gradient: layers.0"),
])
def test_train_ends_with_what_went_wrong_and_what_to_do(options, words, tmp_path):
    done = run("train", *options, "--epochs", 10, "--out", tmp_path)
    assert done.returncode == 0
    assert done.stderr == ""  # no warning in a form for programs
    advice = done.stdout.partition("loss.png")[2]
    assert words in advice
    assert "Advice: " in advice
    assert advice.rstrip().splitlines()[-1].startswith("Try again with ")
    assert "the loss " in History.load(tmp_path / "history.json").warning


def test_train_writes_an_animation_of_the_run(tmp_path):
    done = run("train", "--epochs", 1, "--layers", 2, "--animate", "--out", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "training.gif").read_bytes().startswith(b"GIF89a")
    assert "training.gif     an animation of the run" in done.stdout


SWEEP = (
    "sweep", "--data", "moons", "--lr", "0.1,1,1e200", "--layers", 3, "2,2", "--seeds", 2,
    "--epochs", 2,
)


def test_sweep_writes_rows_a_table_and_a_plot_and_goes_on(tmp_path):
    out = tmp_path / "sweep"
    done = run(*SWEEP, "--workers", 2, "-o", out)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(path.name for path in out.iterdir()) == ["plot.svg", "rows.jsonl", "table.txt"]
    table = (out / "table.txt").read_text(encoding="utf-8")
    assert table in done.stdout
    assert table.startswith("Sweep: 12 trainings")
    assert "data=moons, optimizer=sgd" in table
    assert table.count("2 of 2: diverged") == 2
    assert (out / "plot.svg").read_text(encoding="utf-8").rstrip().endswith("</svg>")
    before = (out / "rows.jsonl").read_bytes()
    again = run(*SWEEP, "-o", out)  # nothing is left to train
    assert (again.returncode, again.stderr) == (0, "")
    assert table in again.stdout
    assert (out / "rows.jsonl").read_bytes() == before
    rows = {(row.settings["lr"], str(row.settings["layers"]), row.seed): row
            for row in Sweep.load(out / "rows.jsonl")}
    assert len(rows) == 12
    train = ("--data", "moons", "--optimizer", "sgd", "--layers", "2,2", "--epochs", 2)
    assert run("train", *train, "--lr", 0.1, "--seed", 1, "-o", tmp_path).returncode == 0
    history = History.load(tmp_path / "history.json")
    row = rows[0.1, "[2, 2]", 1]
    assert row.last_loss == pytest.approx(sum(history.loss[10:]) / 10, rel=1e-15)
    assert row.metrics["accuracy"] == history.metrics["accuracy"][-1]


def test_sweep_reports_a_folder_of_another_sweep(tmp_path):
    (tmp_path / "rows.jsonl").write_text("notes\n")
    done = run(*SWEEP, "-o", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "rows.jsonl is not the file of a sweep; give another path" in done.stderr
    assert (tmp_path / "rows.jsonl").read_text() == "notes\n"


@pytest.mark.parametrize("arguments", [
    ["--help"],
    ["--version"],
    ["guide"],
    ["guide", "notebooks"],
    ["source", "x*y", "--to", "c"],
    ["check", "x*y", "x=2", "y=3"],
    ["draw", "a*b", "a=2", "b=3", "-o", "y.dot"],
    ["step", "a*b", "a=2", "b=3"],
    ["gpt", "--steps", "1"],
    ["train", "--epochs", "2", "--layers", "4", "--out", ".", "--live"],
], ids=" ".join)
def test_a_command_ends_quietly_if_the_reader_of_its_output_ends(arguments, tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "tinygrad_edu", *arguments], stdout=writing, stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL, text=True, timeout=120, check=False, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": ""},
    )
    os.close(writing)
    # the status of a program that SIGPIPE ended, as a shell shows it for `yes | head -1`
    assert (done.returncode, done.stderr) == (141, "")
    if arguments[0] == "train":  # the run goes on, and its files are written
        assert {"history.json", "live.html"} <= {path.name for path in tmp_path.iterdir()}


# ---- guides

GUIDES = sorted(path.stem for path in (ROOT / "tinygrad_edu" / "guides").glob("*.md"))


def test_guide_lists_every_guide_on_one_line(capsys):
    assert cli.main(["guide"]) == 0
    out, err = capsys.readouterr()
    *lines, blank, hint = out.splitlines()
    assert [line.split()[0] for line in lines] == GUIDES
    assert all(re.fullmatch(r"[a-z]+ +[A-Z][^#`]+\.", line) for line in lines), lines
    assert (blank, hint, err) == ("", "To read one: tinygrad-edu guide NAME", "")


@pytest.mark.parametrize("name", GUIDES)
def test_guide_prints_plain_text_when_the_output_is_not_a_terminal(name, capsys):
    assert cli.main(["guide", name]) == 0
    out, err = capsys.readouterr()
    assert out == (ROOT / "tinygrad_edu" / "guides" / f"{name}.md").read_text(encoding="utf-8")
    assert err == ""


@pytest.mark.parametrize("name", GUIDES)
def test_guide_renders_markdown_on_a_terminal(name, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert cli.main(["guide", name]) == 0
    out = capsys.readouterr().out
    assert "\x1b[" in out
    text = re.sub(r"\x1b\[[0-9;]*m", "", out)
    assert "```" not in text
    assert "## " not in text
    assert max(len(line) for line in text.splitlines()) <= 100


def test_unknown_guide_is_reported_in_one_line_with_the_names():
    done = run("guide", "nothing")
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr
        == f"tinygrad-edu guide: unknown guide 'nothing'; choose one of {', '.join(GUIDES)}\n"
    )


def test_help_and_version():
    assert "demo" in run().stdout
    assert run("--version").stdout.startswith("tinygrad-edu 0.")


def test_a_misspelt_primitive_is_not_taken_for_a_variable():
    done = run("check", "tahn")
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        "there is no primitive 'tahn' in the table; did you mean tan or tanh or atan?"
        in done.stderr
    )


def test_every_command_of_a_module_is_in_the_program(capsys):
    found = set()
    for info in pkgutil.iter_modules(cli.__path__):
        module = importlib.import_module(f"{cli.__name__}.{info.name}")
        for value in vars(module).values():
            is_several = isinstance(value, (list, tuple)) and not isinstance(value, Command)
            for entry in value if is_several else [value]:
                if isinstance(entry, Command):
                    found.add(entry.name)
    assert len(found) > 8
    assert cli.main([]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert [name for name in sorted(found) if name not in listed] == []


@pytest.mark.parametrize(("args", "is_hinted"), [
    (["draw", "-a*b", "a=1"], True),
    (["check", "--a", "a=1"], False),
    (["source", "--a*b"], True),
    (["draw", "a", "a=1", "--color=red"], False),
    (["export", "-5"], False),
    (["worksheet", "--lessons", "rate"], False),
    (["gains", "answers.csv", "more.csv"], False),
])
def test_an_unknown_argument_points_to_the_help_of_its_command(args, is_hinted, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(args)
    said = capsys.readouterr().err
    assert end.value.code == 2
    assert said.startswith(f"tinygrad-edu {args[0]}: unrecognized arguments: ")
    assert said.endswith(f"; see tinygrad-edu {args[0]} --help\n")
    assert ("brackets" in said) == is_hinted


def test_an_unknown_option_without_a_command_points_to_the_help_of_the_program(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--colour"])
    assert capsys.readouterr().err == (
        "tinygrad-edu: unrecognized arguments: --colour; see tinygrad-edu --help\n"
    )
