"""The README and the docstrings say what is true: their examples run, their commands and files
exist."""

import ast
import doctest
import importlib
import pkgutil
import re
import shlex
import subprocess
import sys

import pytest
from helpers import ROOT

import tinygrad_edu
import viz
from tinygrad_edu import examples
from tinygrad_edu.cli.app import _parser
from tinygrad_edu.engine import primitives

README = (ROOT / "README.md").read_text()
MODULES = sorted(
    info.name
    for package in (tinygrad_edu, viz)
    for info in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
    if info.name[-8:] != "__main__"
)


@pytest.fixture
def _table():
    """Rows that an example defines are gone afterwards."""
    known = set(primitives.TABLE)
    yield
    for name in set(primitives.TABLE) - known:
        del primitives.TABLE[name]


@pytest.mark.usefixtures("_table")
def test_the_tour_runs_as_printed():
    results = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert results.attempted >= 30
    assert results.failed == 0


@pytest.mark.usefixtures("_table")
@pytest.mark.parametrize("name", [*MODULES, "tinygrad_edu"])
def test_docstring_examples_run_as_printed(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_every_file_that_the_readme_links_exists():
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert len(links) > 8
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_command_of_the_readme_parses(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"^tinygrad-edu (.+?)(?:\s+#.*)?$", README, re.MULTILINE)
    assert len(commands) >= 5
    import shlex

    parser = _parser()
    for command in commands:
        assert parser.parse_args(shlex.split(command)).command == command.split()[0]


def test_the_drawing_in_the_readme_is_the_one_that_the_project_makes():
    def words(svg):
        return sorted(re.findall(r"<text[^>]*>([^<]*)</text>", svg))

    kept = (ROOT / "viz" / "gallery" / "neuron.svg").read_text()
    assert words(kept) == words(viz.draw(examples.lecture_neuron()).svg())


def test_the_public_names_are_there_and_documented():
    for name in tinygrad_edu.__all__:
        assert getattr(tinygrad_edu, name).__doc__, name
    for name in viz.__all__:
        assert getattr(viz, name).__doc__, name


def test_the_version_is_the_changelogs():
    assert f"## {tinygrad_edu.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_code_blocks_of_the_readme_are_python():
    for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        ast.parse(block)
    assert "```pycon" in README


def test_the_session_of_the_shell_goes_as_printed():
    block = re.search(r"```console\n\$ tinygrad-edu (.*?)\n(.*?)```", README, re.DOTALL)
    commands = re.findall(r"^\(step \d+/\d+\) (.*)$", block[2], re.MULTILINE)
    done = subprocess.run(
        [sys.executable, "-m", "tinygrad_edu", *shlex.split(block[1])],
        cwd=ROOT,
        text=True,
        input="\n".join(commands) + "\n",
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.stderr, done.stdout) == ("", block[2])
    assert len(commands) == 3
