"""The benchmarks run and print their tables; what they measure is not tested."""

import io
import json
import math
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from rich.console import Console

from tests.benchmarks.__main__ import main
from tests.benchmarks.executors import loads, suite, tables
from tests.benchmarks.executors.model import Load
from tests.benchmarks.races import PROGRAMS, bars, chart, ours, program
from tests.benchmarks.races.race import (
    EAGER,
    INTERRUPTED,
    OURS,
    Contestant,
    Outcome,
    Program,
    Result,
    difference,
    race,
)
from tests.benchmarks.races.tables import show, trouble
from tinygrad_edu import nn, optim


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", *arguments],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_lists_the_suites() -> None:
    result = run("--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("usage: python -m tests.benchmarks SUITE")
    assert "\n  accuracy " in result.stdout
    assert "\n  eager " in result.stdout
    assert "\n  executors " in result.stdout
    assert "\n  jit " in result.stdout


@pytest.mark.parametrize(("arguments", "wrong"), [
    (["nonsense"], "unknown suite 'nonsense'"), ([], "no suite given"),
    (["eager", "--fast"], "unknown suite 'eager --fast'"),
])
def test_an_unknown_suite_is_one_line_and_status_2(arguments: list[str], wrong: str) -> None:
    result = run(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith(f"benchmarks: {wrong}; choose one of: accuracy, eager")


@pytest.mark.parametrize(("arguments", "message"), [
    (["jit", "--only", "moon"],
     "invalid choice: 'moon' (choose from 'moons', 'gpt', 'rosenbrock', 'ode', 'black-scholes', "
     "'pinn')"),
    (["jit", "--only"], "expected at least one argument"),
    (["jit", "-o", "missing/bars.svg"], "'missing' is not a folder; create it first"),
    (["jit", "-o", "/proc/bars.svg"], "cannot write"),  # a place that cannot be written to
    (["jit", "-o", "bars.txt"],
     "'.txt' is not a format it can have; use one of .svg, .png, .pdf"),
    (["eager", "--only", "moons"], "only the suite jit takes --only and -o, not eager"),
    (["viz", "--quick", "--only", "ode"], "only the suite jit takes --only and -o, not viz"),
])
def test_a_wrong_option_is_one_line_and_status_2(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("benchmarks: ")
    assert message in result.stderr
    assert result.stderr.endswith("; see python -m tests.benchmarks --help\n")


def test_accuracy_prints_the_league_table_with_or_without_the_other_engines() -> None:
    result = run("accuracy", "--quick")
    assert (result.returncode, result.stderr) == (0, "")
    assert "Errors in ulp, median and worst of 20 points a primitive" in result.stdout
    lines = result.stdout.splitlines()
    for name in ("add", "atan2", "tanh", "gelu_erf", "clip"):
        assert sum(line.startswith(f"│ {name} ") for line in lines) == 1
    summary = next(line for line in lines if line.startswith("│ within 4 ulp"))
    cells = [cell.strip() for cell in summary.strip("│").split("│")]
    assert len(cells) == 1 + 2 * 4
    right, of = map(int, cells[1].split(" of "))
    assert of > 60
    assert right > 0.9 * of
    for name, cell in zip(("torch", "jax", "autograd"), cells[3::2], strict=True):
        assert (cell == "not installed") == (find_spec(name) is None)


def test_eager_prints_its_tables() -> None:
    pytest.importorskip("rich")
    result = run("eager", "--quick")
    assert (result.returncode, result.stderr) == (0, "")
    for title in (
        "Layer of 8 x 8 multiply-adds",
        "Cost of a node",
        "Chains of 1,000 operations",
        "detect_anomaly",
        "Import, ms",
    ):
        assert title in result.stdout
    assert "value 1.0, gradient 1.0" in result.stdout
    assert "imports neither: ok" in " ".join(result.stdout.split())


def test_jit_prints_its_tables_with_or_without_the_other_engines() -> None:
    result = run("jit", "--quick")
    assert (result.returncode, result.stderr) == (0, "")
    for title in (
        "moons: 100 full-batch steps",
        "GPT: the microgpt article's",
        "Rosenbrock in 100 dimensions",
        "ODE loss",
        "Black-Scholes",
        "Physics-informed network",
        "Tape machine",
        "Straight-line machine code",
    ):
        assert title in result.stdout
    assert "First losses as in the article: 3.3660, 3.4243, 3.1778" in result.stdout
    for word in ("DISAGREES", "DIFFERS", "failed"):
        assert word not in result.stdout
    for name, package, programs in (
        ("micrograd", "micrograd", 1),
        ("torch eager", "torch", 5),
        ("autograd", "autograd", 4),
        ("casadi", "casadi", 3),
        ("ddx-ad, compiled", "ddx", 4),
        ("tinygrad_edu, jit", "rich", 6),
    ):
        rows = [line for line in result.stdout.splitlines() if line.startswith(f"│ {name} ")]
        assert len(rows) == programs
        assert all(("not installed" in row) == (find_spec(package) is None) for row in rows)


# A program in which everything that can go wrong does. Contestants run in separate processes, which
# import it from here.
PLANTED = (
    Contestant(EAGER, lambda problem: lambda: problem),
    Contestant("right", lambda problem: lambda: [x * (1 + 1e-9) for x in problem]),
    Contestant(
        "strict", lambda problem: lambda: [x * (1 + 1e-9) for x in problem], tolerance=1e-10
    ),
    Contestant("wrong", lambda problem: lambda: [problem[0], problem[1] + 1e-5]),
    Contestant("nowhere", lambda problem: lambda: [math.nan, -2.0]),
    Contestant("silent", lambda problem: list),
    Contestant("broken", lambda problem: lambda: problem[2]),
    Contestant("dying", lambda problem: lambda: os._exit(1)),
    Contestant("absent", lambda problem: lambda: problem, "no_such_package"),
)
PROGRAM = Program(
    "tests.project.test_benchmarks", "planted", problem=lambda quick: [1.0, -2.0],
    contestants=PLANTED,
)


def test_engines_that_disagree_fail_or_are_missing_are_reported() -> None:
    program = """
from rich.console import Console
from tests.benchmarks.races.race import race
from tests.benchmarks.races.tables import show
from tests.project.test_benchmarks import PROGRAM
show(Console(width=148), race(PROGRAM, quick=True))
"""
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    rows = {
        line.split("│")[1].strip(): line
        for line in result.stdout.splitlines()
        if line.startswith("│")
    }
    assert {name for name, row in rows.items() if "DISAGREES" in row} == {
        "strict",
        "wrong",
        "nowhere",
        "silent",
    }
    assert {name for name, row in rows.items() if "failed" in row} == {"broken", "dying"}
    assert {name for name, row in rows.items() if "not installed" in row} == {"absent"}
    assert set(rows) == {contestant.name for contestant in PROGRAM.contestants}
    assert "\nbroken failed: IndexError: list index out of range\n" in result.stdout
    assert "\ndying failed: its process died\n" in result.stdout
    assert (
        f"\nwrong DISAGREES with {EAGER}: relative difference 5.0e-06, at most 1e-06 is allowed\n"
        in result.stdout
    )


def test_small_numbers_of_a_gradient_are_compared_with_its_largest() -> None:
    assert difference([1e6, 1e-9], [1e6, 0.0]) == pytest.approx(1e-9)
    assert difference([1e6, 2.0], [1e6, 1.0]) == 1.0
    # from an engine that has done a part of the work
    assert difference([1.0], [1.0, 2.0, 3.0]) == 0.0
    assert difference([math.inf, 1.0], [math.inf, 1.0]) == 0.0


def contestants(*names: str, needs: str = "tinygrad_edu") -> tuple[Contestant, ...]:
    return tuple(Contestant(name, lambda problem: lambda: problem, needs) for name in names)


def raced(**outcomes: Outcome | None) -> Result:
    """Returns the result of a race between this engine, which took 2 s and then 4 s, and others."""
    everyone = {OURS: Outcome(rounds=[(2.0, 2.0), (4.0, 4.0)], results=[1.0]), **outcomes}
    return Result(
        Program("", "race: to the end", lambda quick: None, contestants(*everyone)),
        False,
        everyone,
        False,
    )


def test_bars_show_only_engines_whose_results_agree() -> None:
    result = raced(
        slow=Outcome(rounds=[(20.0, 20.0), (40.0, 40.0)], results=[1.0]),
        fast=Outcome(rounds=[(0.5, 0.5), (1.0, 1.0)], results=[1.0]),
        wrong=Outcome(rounds=[(1.0, 1.0), (1.0, 1.0)], results=[2.0]),
        broken=Outcome(failure="ValueError: no"),
        late=Outcome(failure=INTERRUPTED),
        absent=None,
    )
    assert chart.factors(result) == {
        OURS: 1.0,
        "slow": pytest.approx(10),
        "fast": pytest.approx(0.25),
    }
    assert [line.partition(" ")[0] for line in trouble(result)] == ["wrong", "broken"]


def test_bars_are_as_long_as_the_logarithms_of_the_factors() -> None:
    others = {
        f"{time:g}": Outcome(rounds=[(time, time)] * 2, results=[1.0])
        for time in (0.03, 3, 30, 300, 3000)
    }
    printed = io.StringIO()
    Console(file=printed, width=148).print(chart.chart([raced(**others)]))
    lengths = {
        line.split()[0]: line.count("█") for line in printed.getvalue().splitlines() if "│" in line
    }
    ratios = {"0.03": 2, "3": 0, "30": 1, "300": 2, "3000": 3}
    assert lengths == {
        "tinygrad_edu,": 0,
        **{name: pytest.approx(12 * decades, abs=1) for name, decades in ratios.items()},
    }
    for said in (f"Time relative to {OURS}: less is better", "Logarithmic scale",
                 f"To the right of the line: slower than {OURS}; to the left: faster."):
        assert said in printed.getvalue()


def measured(name: str) -> Result:
    """Returns a possible result of a race, with long figures."""
    found = program(name)
    times = {OURS: 0.0123, EAGER: 98.7654}
    outcomes: dict[str, Outcome | None] = {
        contestant.name: Outcome(
            (1.234, 1.3), [(cpu := times.get(contestant.name, 0.000123), 2 * cpu)] * 7, [1.0]
        )
        for contestant in found.contestants
    }
    return Result(found, False, outcomes, False)


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("width", [60, 80, 100, 150])
def test_no_figure_is_cut_in_a_narrow_terminal(name: str, width: int) -> None:
    result = measured(name)
    wide, narrow = io.StringIO(), io.StringIO()
    for printed, columns in ((wide, 300), (narrow, width)):
        console = Console(file=printed, width=columns)
        show(console, result)
        console.print(chart.chart([result]))
    lines = narrow.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert "…" not in narrow.getvalue()
    figures = [
        f"{factor:.3g}" if factor < 100 else f"{factor:,.0f}"
        for factor in chart.factors(result).values()
    ]
    assert [
        line.split()[-1] for line in lines if line.startswith("   ") and line.strip()
    ] == figures

    def rows(text: str) -> dict[str, list[str]]:
        cells = [
            [cell.strip() for cell in line.strip("│").split("│")]
            for line in text.splitlines()
            if line[:1] == "│"
        ]
        return {engine: figures for engine, *figures in cells}

    whole, shown = rows(wide.getvalue()), rows(narrow.getvalue())
    assert shown.keys() == whole.keys() == result.outcomes.keys()
    for engine, cells in shown.items():  # some of the columns, in their order
        there = iter(whole[engine])
        assert all(cell in there for cell in cells)
    said = (
        " ".join(narrow.getvalue().split())
        .partition(f"No room in {width} columns for: ")[2]
        .partition(".")[0]
    )
    assert len(whole[OURS]) - len(shown[OURS]) == (said.count(";") + 1 if said else 0)
    assert (width < 80) <= bool(said) <= (width < 150)


def test_time_of_compiled_training_is_processor_time_next_to_clock_time() -> None:
    model = nn.MLP(1, [1], rng=0)

    def idle_rate(step: int) -> float:
        time.sleep(0.02)
        return 0.1

    run = ours.training(
        model,
        nn.mse,
        [[1.0]],
        [2.0],
        lambda: optim.SGD(model.parameters(), lr=idle_rate),
        lambda ends: ends[-1] - ends[0],
        epochs=11,
    )
    cpu, wall = run().seconds
    assert 0 < cpu < 0.1 < 0.2 <= wall


def test_row_of_this_engine_has_the_clock_time() -> None:
    moons = program("moons")
    result = race(replace(moons, contestants=moons.contestants[:1]), quick=True)
    assert all(cpu > 0 and 0 < wall < math.inf for cpu, wall in result.finished[OURS].rounds)


def test_a_picture_of_the_bars_says_what_they_mean(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra `plots`")
    resvg = pytest.importorskip("resvg_py", reason="needs the extra `plots`")
    from matplotlib import rc_context

    path = tmp_path / "bars.svg"
    with rc_context({"svg.fonttype": "none"}):
        assert main(["jit", "--quick", "--only", "rosenbrock", "-o", str(path)]) == 0
    texts = [text.text for text in ET.parse(path).iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count(f"Time relative to {OURS}: less is better") == 1
    assert texts.count(f"To the right of the line: slower than {OURS}; to the left: faster.") == 1
    assert bytes(resvg.svg_to_bytes(svg_path=str(path))).startswith(b"\x89PNG")


def test_a_program_that_is_named_twice_runs_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["jit", "--quick", "--only", "rosenbrock", "rosenbrock"]) == 0
    assert capsys.readouterr().out.count(program("rosenbrock").title) == 1


def test_selected_programs_are_measured_without_the_cost_of_a_node(
        capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["jit", "--quick", "--only", "ode", "rosenbrock"]) == 0
    printed = capsys.readouterr().out
    titles = [program(name).title for name in PROGRAMS]
    assert {title for title in titles if title in printed} == {
        program("ode").title, program("rosenbrock").title}
    assert printed.index(program("ode").title) < printed.index(program("rosenbrock").title)
    assert printed.count(chart.TITLE) == 1
    assert "Tape machine" not in printed
    peers = chart.missing([program("ode"), program("rosenbrock")])
    hint = (
        f"Not installed: {', '.join(peers)}.  "
        'To compare with them: pip install "tinygrad_edu[peers]"\n'
    )
    assert (hint in printed) == bool(peers)


@pytest.mark.parametrize("within", [True, False])  # a race, or the time between two of them
def test_ctrl_c_shows_what_was_measured_so_far(
        within: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    began: list[str] = []

    def interrupted(program: Program, quick: bool) -> Result:
        began.append(program.title)
        result = measured("moons" if len(began) == 1 else "gpt")
        if len(began) == 1:
            return result
        if within:
            late: dict[str, Outcome | None] = dict.fromkeys(result.outcomes,
                                                            Outcome(failure=INTERRUPTED))
            return replace(result, outcomes=late, interrupted=True)
        raise KeyboardInterrupt

    monkeypatch.setattr("tests.benchmarks.jit.race", interrupted)
    assert main(["jit", "--quick"]) == 130
    said = capsys.readouterr()
    assert began == [program("moons").title, program("gpt").title]
    assert said.err == "benchmarks jit: interrupted\n"
    assert program("moons").title in said.out
    assert (program("gpt").title in said.out) == within
    assert said.out.index(chart.TITLE) > said.out.index(program("moons").title)
    assert chart.heading(measured("moons")) in said.out.partition(chart.TITLE)[2]
    assert "Tape machine" not in said.out


def test_unwritable_picture_is_reported_in_one_line(
        tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
        ) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra `plots`")

    def race(program: Program, quick: bool) -> Result:
        tmp_path.rmdir()
        return measured("moons")

    monkeypatch.setattr("tests.benchmarks.jit.race", race)
    assert main(["jit", "--quick", "--only", "moons", "-o", str(tmp_path / "bars.svg")]) == 2
    said = capsys.readouterr()
    assert chart.TITLE in said.out
    assert said.err.startswith("benchmarks jit: cannot write ")
    assert said.err.count("\n") == 1


def test_without_llvmlite_there_is_nothing_to_compare(
        capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.benchmarks.jit.find_spec", lambda name: None)
    assert main(["jit", "--quick"]) == 2
    assert capsys.readouterr() == (
        "",
        "benchmarks jit: what is compared is compiled code, "
        'which needs llvmlite: pip install "tinygrad_edu[fast]"\n',
    )


def test_factors_are_bars_from_1_on_a_logarithmic_axis() -> None:
    pytest.importorskip("matplotlib", reason="needs the extra `plots`")
    figure = bars.factors({"first": {"a": 1.0, "b": 250.0}, "none": {}, "second": {"c": 0.25}},
                          title="Times", note="tiny $sizes$")
    figure.draw_without_rendering()
    ax, = figure.axes
    assert ax.get_xscale() == "log"
    assert "logarithmic" in ax.get_xlabel()
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["first", "a", "b", "second", "c"]
    assert [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in ax.patches] == [
        (1, 1), (1, 250), (1, 0.25)]
    assert [text.get_text() for text in ax.texts] == ["1", "250", "0.25"]
    low, high = ax.get_xlim()
    assert low < 0.25
    assert high > 250


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.inf, math.nan, 1e200])
def test_bar_rejects_a_factor_without_a_logarithm(wrong: float) -> None:
    message = "the factor of 'a' in 'group' is .*; it must be positive and finite"
    with pytest.raises(ValueError, match=message):
        bars.factors({"group": {"a": wrong}})
    with pytest.raises(ValueError, match="there are no factors to draw"):
        bars.factors({"group": {}})


def test_without_a_time_of_this_engine_there_are_no_bars() -> None:
    result = raced(other=Outcome(rounds=[(1.0, 1.0)], results=[1.0]))
    failed = Result(
        result.program, False, {**result.outcomes, OURS: Outcome(failure="ValueError: no")}, False
    )
    assert (chart.factors(failed), chart.chart([failed]), chart.chart([])) == ({}, None, None)


def test_missing_packages_are_named_as_pip_names_them() -> None:
    two = [Program("", "", lambda quick: None, contestants("a", "b", needs="no_such_package")),
           Program("", "", lambda quick: None, contestants("c"))]
    assert chart.missing(two) == ["no_such_package"]
    needs = {contestant.needs for name in PROGRAMS for contestant in program(name).contestants}
    assert needs == {"tinygrad_edu", "micrograd", "torch", "autograd", "jax", "casadi", "ddx"}
    assert chart.DISTRIBUTIONS == {"ddx": "ddx-ad"}


def test_the_points_of_moons_are_those_of_micrograds_demo() -> None:
    kept = json.loads((Path(__file__).parents[1] / "oracle" / "micrograd_moons.json").read_text())
    problem = program("moons").problem(False)
    assert (problem.X, problem.y) == (kept["X"], kept["y"])
    assert len(program("moons").problem(True).X) == 10


def test_viz_prints_its_tables() -> None:
    pytest.importorskip("pygraphviz", reason="needs the extra `viz`")
    result = run("viz", "--quick")
    assert (result.returncode, result.stderr) == (0, "")
    for title in ("A drawing of every node", "A page to step through it", "Stepping through"):
        assert title in result.stdout
    assert "pygraphviz" in result.stdout


def printed_by_executors(*program: str) -> str:
    """Runs the suite of executors in a process, and returns what it prints."""
    result = subprocess.run(
        [sys.executable, *program], cwd=Path(__file__).parents[2], capture_output=True, text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "DIFFER" not in result.stdout
    for title in ("On executors, next to one process", "Costs of a task", "Efficiency here",
                  "Predicted efficiency, %: pool"):
        assert title in result.stdout
    return result.stdout


def test_executors_have_the_same_bits_and_the_suite_prints_its_tables() -> None:
    pytest.importorskip("distributed", reason="needs the extra `cluster`")
    printed = printed_by_executors("-m", "tests.benchmarks", "executors", "--quick")
    assert "Predicted efficiency, %: Dask" in printed


def test_without_dask_the_suite_executors_says_so_and_measures_the_pool() -> None:
    printed = printed_by_executors("-c", (
        "import sys; sys.modules['distributed'] = None; from tests.benchmarks.__main__ import main;"
        "main(['executors', '--quick'])"
    ))
    assert 'Dask is not installed; to measure it: pip install "tinygrad_edu[cluster]"' in printed
    assert "Predicted efficiency, %: Dask" not in printed


@pytest.mark.parametrize(("here", "there", "agree"), [
    ([1.0, math.nan], [1.0, math.nan], True), ([0.0], [-0.0], False), ([1.0], [1.0, 2.0], False),
    (["a row"], ["a row"], True), (["a row"], ["another"], False),
])
def test_other_bits_on_an_executor_are_reported(
    here: list[object], there: list[object], agree: bool
) -> None:
    def work(executor: Executor | None) -> tuple[float, object]:
        return 0.01, here if executor is None else there

    load = Load("sweep, one", 0.01, lambda workers: 1)
    with ThreadPoolExecutor(1) as executor:
        found = suite.race(
            loads.Work(work, {loads.POOL: load}), loads.POOL, 1, executor, rounds=1)
    printed = io.StringIO()
    Console(file=printed, width=150).print(tables.races([found], 1))
    assert found.same == agree
    assert ("DIFFER" in printed.getvalue()) == (not agree)
