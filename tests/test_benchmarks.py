"""The benchmarks run and print their tables; what they measure is not tested."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "tests.benchmarks", *arguments], cwd=Path(__file__).parents[1],
                          capture_output=True, text=True, check=False)


def test_help_lists_the_suites() -> None:
    result = run("--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("usage: python -m tests.benchmarks SUITE")
    assert "\n  accuracy " in result.stdout
    assert "\n  eager " in result.stdout


@pytest.mark.parametrize(("arguments", "wrong"), [
    (["nonsense"], "unknown suite 'nonsense'"), ([], "no suite given"), (["eager", "--fast"], "unknown suite 'eager --fast'"),
])
def test_an_unknown_suite_is_one_line_and_status_2(arguments: list[str], wrong: str) -> None:
    result = run(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith(f"benchmarks: {wrong}; choose one of: accuracy, eager")


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
    for title in ("Layer of 8 x 8 multiply-adds", "Cost of a node", "Chains of 1,000 operations", "detect_anomaly",
                  "Import, ms"):
        assert title in result.stdout
    assert "value 1.0, gradient 1.0" in result.stdout
    assert "imports neither: ok" in " ".join(result.stdout.split())


def test_viz_prints_its_tables() -> None:
    pytest.importorskip("pygraphviz", reason="needs the extra `viz`")
    result = run("viz", "--quick")
    assert (result.returncode, result.stderr) == (0, "")
    for title in ("A drawing of every node", "A page to step through it", "Stepping through"):
        assert title in result.stdout
    assert "pygraphviz" in result.stdout
