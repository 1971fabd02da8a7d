"""What a release consists of: versions and metadata that agree, the files of the packages, notices,
and the workflow."""

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.parser import Parser

import pytest
from helpers import ROOT

import tinygrad_edu

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CITATION = (ROOT / ".github" / "CITATION.cff").read_text(encoding="utf-8")
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
WORKFLOW = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
NOTICES = (ROOT / ".github" / "THIRD_PARTY.md").read_text(encoding="utf-8")
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]


def cited(key):
    """Returns a field of the citation file."""
    found = re.search(rf'^{key}: "?(.*?)"?$', CITATION, re.MULTILINE)
    assert found, f"no {key}"
    return found[1]


# ---- versions and metadata


def test_the_version_stands_in_one_place_and_the_others_agree():
    assert PROJECT["dynamic"] == ["version"]
    assert cited("version") == tinygrad_edu.__version__
    heading = re.search(r"^## (\S+) \((\d{4}-\d\d-\d\d)\)$", CHANGELOG, re.MULTILINE)
    assert heading, "the newest version has no date"
    assert heading.groups() == (tinygrad_edu.__version__, cited("date-released"))


def test_the_citation_has_the_title_the_licence_and_the_authors_of_the_project():
    assert cited("title") == PROJECT["name"]
    assert cited("abstract") == PROJECT["description"]
    assert cited("license") == PROJECT["license"]
    assert cited("cff-version") == "1.2.0"
    assert cited("message")
    assert re.findall(r'^  - name: "(.*)"$', CITATION, re.MULTILINE) == [
        author["name"] for author in PROJECT["authors"]
    ]
    words = re.findall(r"^  - ([a-z ]+)$", CITATION, re.MULTILINE)
    assert words
    assert set(words) <= set(PROJECT["keywords"])


def test_the_versions_of_python_agree():
    name = "Programming Language :: Python :: "
    listed = [entry.removeprefix(name) for entry in PROJECT["classifiers"] if name in entry]
    assert [version for version in listed if version[:2] == "3."] == PYTHONS
    assert PROJECT["requires-python"] == f">={PYTHONS[0]}"
    matrix = re.search(r"^ +python: \[(.*)\]$", WORKFLOW, re.MULTILINE)[1]
    assert re.findall(r'"(.*?)"', matrix) == PYTHONS


def test_the_workflow_runs_on_three_systems_and_runs_files_that_exist():
    systems = re.search(r"^ +os: \[(.*)\]$", WORKFLOW, re.MULTILINE)[1]
    assert systems == "ubuntu-latest, macos-latest, windows-latest"
    paths = set(re.findall(r"(?:tests/[\w/.]+|\.ci/\w+)", WORKFLOW))
    assert len(paths) >= 5
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []
    actions = re.findall(r"uses: (\S+)", WORKFLOW)
    assert actions
    assert [action for action in actions if not re.fullmatch(r"actions/[\w-]+@v\d+", action)] == []


# ---- notices


def sources_of_others():
    """Returns the files of the packages that were not written for this project: data, and text
    with a notice of copyright."""
    paths = [path for name in ("tinygrad_edu", "viz") for path in (ROOT / name).rglob("*")]
    data = [path for path in paths if path.suffix in (".csv", ".txt", ".json", ".woff2", ".ttf")]
    noted = [
        path for path in paths
        if path.suffix in (".py", ".js", ".css", ".html")
        and re.search(r"Copyright \(C\)", path.read_text(encoding="utf-8"), re.IGNORECASE)
    ]
    ours = {"package.json", "tsconfig.json"}  # settings of the compiler
    return {path.name for path in [*data, *noted]} - ours


def test_every_file_of_others_has_a_notice():
    found = sources_of_others()
    assert {"iris.csv", "names.txt", "random.js", "javascript.py"} <= found
    assert [name for name in sorted(found) if f"[`{name}`]" not in NOTICES] == []


def test_notices_of_copyright_are_those_of_the_files():
    text = re.sub(r"\s+", " ", NOTICES)
    for path in ("tinygrad_edu/jit/languages/javascript.py", "viz/pages/live/random.js"):
        source = (ROOT / path).read_text(encoding="utf-8")
        notice = next(part for part in source.split("/*")[1:] if "Copyright" in part)
        notice = notice[notice.index("Copyright"):].partition("*/")[0]
        notice = re.sub(r"[\s*]+", " ", notice)  # each line begins with a star
        assert notice.strip() in text


# ---- the files of the packages

SUFFIXES = {".css", ".csv", ".html", ".js", ".md", ".py", ".pyi", ".txt"}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Returns the names in the source archive and in the wheel that is built from it, and the
    metadata of the wheel."""
    folder = tmp_path_factory.mktemp("built")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)],
        capture_output=True, encoding="utf-8", errors="replace", check=False, timeout=300,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    name = f"tinygrad_edu-{tinygrad_edu.__version__}"
    with tarfile.open(folder / f"{name}.tar.gz") as archive:
        source = {entry.removeprefix(f"{name}/") for entry in archive.getnames()}
    with zipfile.ZipFile(folder / f"{name}-py3-none-any.whl") as wheel:
        names = set(wheel.namelist())
        metadata = Parser().parsestr(wheel.read(f"{name}.dist-info/METADATA").decode())
    return source, names, metadata


def packaged(folder):
    """Returns the files that belong into a wheel: those of both packages, without the gallery,
    what the compiler of JavaScript reads, and what Python or an editor leaves."""
    return {
        path.relative_to(folder).as_posix()
        for package in ("tinygrad_edu", "viz")
        for path in (folder / package).rglob("*")
        if (path.suffix in SUFFIXES or path.name == "py.typed")
        and not {"__pycache__", "gallery"} & set(path.parts)
    }


def test_the_wheel_has_every_file_of_both_packages_and_no_other(built):
    _, names, _ = built
    expected = packaged(ROOT)
    assert {path.rpartition(".")[2] for path in expected} == (
        {suffix[1:] for suffix in SUFFIXES} | {"typed"}
    )
    assert {name for name in names if ".dist-info/" not in name} == expected
    info = {name.partition(".dist-info/")[2] for name in names if ".dist-info/" in name}
    assert info == {
        "METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/.github/THIRD_PARTY.md",
        "licenses/LICENSE",
    }


def test_a_planted_file_changes_what_is_expected_of_the_wheel(tmp_path):
    for name in ("viz/pages/new.js", "viz/gallery/new.html", "viz/__pycache__/new.py", "new.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert packaged(tmp_path) == {"viz/pages/new.js"}


def test_the_source_archive_has_the_packages_the_tests_and_the_notices(built):
    source, _, _ = built
    tests = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("*.py")}
    notices = {
        "CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml", ".ci/run",
        ".github/CITATION.cff", ".github/THIRD_PARTY.md", ".github/workflows/ci.yml",
    }
    assert packaged(ROOT) | tests | notices <= source
    assert [name for name in source if re.search(r"__pycache__|\.pyc$|\.egg-info|^\.git/", name)
            ] == []


def test_the_metadata_of_the_wheel_are_those_of_the_project(built):
    _, _, metadata = built
    assert (metadata["Name"], metadata["Version"]) == (PROJECT["name"], tinygrad_edu.__version__)
    assert metadata["License-Expression"] == "MIT"
    assert set(metadata.get_all("License-File")) == {"LICENSE", ".github/THIRD_PARTY.md"}
    assert set(metadata.get_all("Classifier")) == set(PROJECT["classifiers"])
    assert metadata.get_payload().startswith("# tinygrad_edu")
