"""The benchmarks run and print their tables; what they measure is not tested."""

import subprocess
import sys
from pathlib import Path

import pytest


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "tests.benchmarks", *arguments], cwd=Path(__file__).parents[1],
                          capture_output=True, text=True, check=False)


def test_help_lists_the_suites() -> None:
    result = run("--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("usage: python -m tests.benchmarks SUITE")
    assert "\n  eager " in result.stdout


@pytest.mark.parametrize(("arguments", "wrong"), [
    (["nonsense"], "unknown suite 'nonsense'"), ([], "no suite given"), (["eager", "--fast"], "unknown suite 'eager --fast'"),
])
def test_an_unknown_suite_is_one_line_and_status_2(arguments: list[str], wrong: str) -> None:
    result = run(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith(f"benchmarks: {wrong}; choose one of: eager")


def test_eager_prints_its_tables() -> None:
    pytest.importorskip("rich")
    result = run("eager", "--quick")
    assert (result.returncode, result.stderr) == (0, "")
    for title in ("Layer of 8 x 8 multiply-adds", "Cost of a node", "Chains of 1,000 operations", "Import, ms"):
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
