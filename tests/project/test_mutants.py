"""Mutation tests: mistakes are planted in copies of the package, and the suite must catch every
one."""

import pytest
from helpers import scaled
from mutants import MUTANTS, ROOT, Mutant, copy_of, run_in_a_copy, run_tests

SURVIVES = Mutant(
    "a comment is changed",
    "engine/graph.py",
    "a chain of a million nodes",
    "a chain of two million nodes",
    ("test_value.py::test_an_operand_on_both_sides_makes_two_edges",),
)


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """Makes a copy without mistakes, in which all tests named by the mutants pass."""
    root = copy_of(ROOT, tmp_path_factory.mktemp("clean") / "root")
    outcome = run_tests(
        root, tuple(dict.fromkeys(test for mutant in [*MUTANTS, SURVIVES] for test in mutant.tests))
    )
    assert outcome.passed, outcome.output
    return root


PLANTED = scaled(MUTANTS[::2], MUTANTS)  # each takes a second


@pytest.mark.parametrize("mutant", PLANTED, ids=lambda mutant: mutant.name)
def test_planted_mistake_is_caught(mutant, clean, tmp_path):
    outcome = run_in_a_copy(mutant, clean, tmp_path / "root")
    assert not outcome.passed, f"no test of {mutant.tests} noticed that {mutant.name}"
    assert outcome.failed, outcome.output


def test_mutant_that_changes_nothing_is_not_caught(clean, tmp_path):
    assert run_in_a_copy(SURVIVES, clean, tmp_path / "root").passed


@pytest.mark.parametrize("new", ["raise KeyError\n", "import nothing_of_this_name\n"])
def test_package_that_cannot_be_imported_does_not_count_as_caught(new, clean, tmp_path):
    broken = Mutant(
        "it is broken", "engine/graph.py", "from collections import deque\n", new, SURVIVES.tests
    )
    outcome = run_in_a_copy(broken, clean, tmp_path / "root")
    assert not outcome.passed
    assert not outcome.failed


@pytest.mark.parametrize("old", ["nowhere in the file", "node"])
def test_text_to_replace_must_occur_exactly_once(old, clean, tmp_path):
    with pytest.raises(LookupError, match=r"stands \d+ times in engine/graph.py"):
        run_in_a_copy(
            Mutant("it is nowhere", "engine/graph.py", old, "", SURVIVES.tests),
            clean,
            tmp_path / "root",
        )
    mutant = Mutant(
        "it is no Python", "engine/graph.py", "from collections import deque\n", "import\n", ("",)
    )
    with pytest.raises(SyntaxError):
        run_in_a_copy(mutant, clean, tmp_path / "root")


def test_names_of_mutants_are_unique_sentences():
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 30
    assert all(mutant.old != mutant.new and mutant.tests for mutant in MUTANTS)
