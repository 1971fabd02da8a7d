"""README, guides and docstrings are right: their examples run, and their commands and files
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
from tinygrad_edu.engine import table

README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDES = {path.stem: path for path in sorted((ROOT / "tinygrad_edu" / "guides").glob("*.md"))}
PAGES = {
    "README": ROOT / "README.md",
    "tests": ROOT / "tests" / "README.md",
    "CHANGELOG": ROOT / "CHANGELOG.md",
    **{page.stem: page for page in sorted((ROOT / ".github").glob("*.md"))},
    **GUIDES,
}
every_page = pytest.mark.parametrize("page", PAGES.values(), ids=list(PAGES))
MODULES = sorted(
    info.name
    for package in (tinygrad_edu, viz)
    for info in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
    if info.name[-8:] != "__main__"
)


@pytest.fixture
def _table():
    """Removes the rows that an example defines."""
    known = set(table.TABLE)
    yield
    for name in set(table.TABLE) - known:
        del table.TABLE[name]


@pytest.mark.usefixtures("_table")
def test_readme_examples_run_as_printed():
    results = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert results.attempted >= 30
    assert results.failed == 0


@pytest.mark.filterwarnings("ignore::tinygrad_edu.errors.TrainingWarning")  # it is not printed
@pytest.mark.usefixtures("_table")
@pytest.mark.parametrize("name", [*MODULES, "tinygrad_edu"])
def test_docstring_examples_run_as_printed(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.filterwarnings("ignore::tinygrad_edu.errors.TrainingWarning")  # it is not printed
@pytest.mark.usefixtures("_table")
@pytest.mark.parametrize("guide", GUIDES.values(), ids=list(GUIDES))
def test_examples_of_every_guide_run_as_printed(guide):
    results = doctest.testfile(str(guide), module_relative=False)
    assert results.attempted >= 4
    assert results.failed == 0


def test_the_guides_are_found_and_the_readme_links_each_of_them():
    assert len(GUIDES) >= 5
    assert [name for name in GUIDES if f"(tinygrad_edu/guides/{name}.md)" not in README] == []


@every_page
def test_a_guide_or_page_has_a_title_and_balanced_code_blocks(page):
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert len(re.findall(r"^ *```", text, re.MULTILINE)) % 2 == 0


def links_of(page):
    """Yields the relative links of a page: the file, and the heading in it or ""."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in link:
            file, _, heading = link.partition("#")
            yield (page.parent / file if file else page), heading


def anchors_of(page):
    """Returns the anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every_page
def test_every_link_of_a_page_leads_to_a_file_and_a_heading(page):
    broken = [f"{file}#{heading}" for file, heading in links_of(page)
              if not file.exists() or (heading and heading not in anchors_of(file))]
    assert broken == []


def test_readme_has_links_and_a_planted_broken_one_is_detected(tmp_path):
    assert len(list(links_of(ROOT / "README.md"))) > 8
    page = tmp_path / "page.md"
    page.write_text(
        "# A title\n\n[file](none.md), [heading](#no-such), [right](#a-title)\n", encoding="utf-8"
    )
    with pytest.raises(AssertionError, match=r"none\.md"):
        test_every_link_of_a_page_leads_to_a_file_and_a_heading(page)
    page.write_text("# A title\n\n[heading](#no-such)\n", encoding="utf-8")
    with pytest.raises(AssertionError, match="no-such"):
        test_every_link_of_a_page_leads_to_a_file_and_a_heading(page)
    page.write_text("# A title\n\n[right](#a-title)\n", encoding="utf-8")
    test_every_link_of_a_page_leads_to_a_file_and_a_heading(page)


@every_page
def test_every_command_of_a_page_parses(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"^(?:echo .* \| )?tinygrad-edu (.+?)(?:\s+#.*)?$",
                          page.read_text(encoding="utf-8"), re.MULTILINE)
    parser = _parser()
    for command in commands:
        assert parser.parse_args(shlex.split(command)).command == command.split()[0]


def test_the_readme_shows_commands_and_has_at_most_250_lines():
    assert len(re.findall(r"^tinygrad-edu ", README, re.MULTILINE)) >= 5
    assert len(README.splitlines()) <= 250


def test_set_up_steps_are_one_command_each():
    """Continuous integration takes the second command from the README and runs it in a new
    clone."""
    first, second = re.findall(r"^python3 -m venv \.venv && .*$", README, re.MULTILINE)
    assert first.endswith(' && pip install ".[all]" && tinygrad-edu demo')
    assert second.endswith(' && pip install -e ".[dev]" && python -m pytest -n auto')


def test_readme_drawing_is_the_one_that_the_gallery_makes():
    def words(svg):
        return sorted(re.findall(r"<text[^>]*>([^<]*)</text>", svg))

    kept = (ROOT / "viz" / "gallery" / "neuron.svg").read_text()
    assert words(kept) == words(viz.draw(examples.lecture_neuron()).svg())


def test_public_names_exist_and_are_documented():
    for name in tinygrad_edu.__all__:
        assert getattr(tinygrad_edu, name).__doc__, name
    for name in viz.__all__:
        assert getattr(viz, name).__doc__, name


def test_version_equals_that_of_the_changelog():
    assert f"## {tinygrad_edu.__version__}" in (ROOT / "CHANGELOG.md").read_text()


@every_page
def test_code_blocks_of_a_page_are_python(page):
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        ast.parse(block)


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", GUIDES["stepping"]], ids=["README", "stepping"]
)
def test_shell_session_runs_as_printed(page):
    text = page.read_text(encoding="utf-8")
    block = re.search(r"```console\n\$ tinygrad-edu (.*?)\n(.*?)```", text, re.DOTALL)
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
