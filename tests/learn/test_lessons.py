"""Every lesson: its claims hold and can fail, and its texts, choices and names fit together."""

import re
from collections import Counter
from pathlib import Path

import pytest

import tinygrad_edu
from tinygrad_edu import learn
from tinygrad_edu.learn.lessons import explained
from tinygrad_edu.learn.misconceptions import MISCONCEPTIONS
from tinygrad_edu.learn.questions.ideas import about
from viz.pages.course.figure_data import FIGURES

SEEDS = range(10)
KINDS = (
    "gradient", "value", "path", "rule", "update", "count", "classify", "optimiser", "line",
)
COLUMNS = 80  # of a terminal; tables are indented by two
LESSONS = [pytest.param(lesson, id=name) for name, lesson in learn.lessons.LESSONS.items()]
CLAIMS = [pytest.param(claim, id=name) for name, claim in learn.claims.items()]
IDEAS = [
    pytest.param(lesson, name, id=name)
    for lesson in learn.lessons.LESSONS.values() for name in lesson.ideas
]


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_claim_holds_for_ten_seeds(claim):
    found = {seed: claim.run(seed) for seed in SEEDS}
    assert {seed: str(seen) for seed, seen in found.items() if not seen.holds} == {}


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_claim_fails_with_its_negation(claim):
    assert claim.negation
    assert not claim.run(0, **claim.negation).holds


@pytest.mark.parametrize("claim", CLAIMS)
def test_evidence_fits_a_terminal(claim):
    evidence = claim.run(0)
    assert evidence.sentence.endswith(".")
    assert all(0 < len(row) <= 5 for row in evidence.table)
    assert len({len(row) for row in evidence.table}) < 2
    assert len(evidence.table) <= 10
    lines = str(evidence).splitlines()[1:]
    assert [line for line in lines if len(line) > COLUMNS - 2] == []


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_reading_has_the_numbers_of_its_experiments(lesson):
    reading = lesson.run(0)
    assert reading.markdown.startswith(f"# {lesson.title}\n\n{lesson.intro}")
    for part, evidence in zip(lesson.parts, reading.evidence, strict=True):
        text = explained(part, evidence)
        assert "{" not in text
        assert "nan" not in text.split()
        assert evidence.sentence in reading.markdown
        assert text in reading.markdown


@pytest.mark.parametrize("lesson", LESSONS)
def test_each_prediction_has_choices_with_meanings(lesson):
    assert 2 <= len(lesson.parts) <= 4
    for part in lesson.parts:
        assert len(part.choices) == len(part.meant) > 1
        assert len(set(part.choices)) == len(part.choices)
        assert all(text.endswith(".") for text in part.meant)
        assert part.claim.lesson == lesson.name


@pytest.mark.parametrize("lesson", LESSONS)
def test_texts_are_paragraphs(lesson):
    texts = [lesson.intro, lesson.remember, *[card.back for card in lesson.cards.values()]]
    for part in lesson.parts:
        texts += [part.ask, part.explain, *part.choices, *part.meant]
    assert [text for text in texts if text != " ".join(text.split())] == []


@pytest.mark.parametrize(("lesson", "name"), IDEAS)
def test_each_wrong_answer_has_a_misconception_of_its_own(lesson, name):
    idea = lesson.ideas[name]
    assert idea.claim.lesson == lesson.name
    assert idea.wrong
    assert idea.right not in idea.wrong
    assert [wrong for wrong in idea.wrong.values() if wrong not in MISCONCEPTIONS] == []
    assert len(set(idea.wrong.values())) == len(idea.wrong)


@pytest.mark.parametrize(("lesson", "name"), IDEAS)
def test_answers_to_an_idea_are_marked(lesson, name):
    idea = lesson.ideas[name]
    question = about(name)
    assert question.mark(idea.right).right
    for answer, misconception in idea.wrong.items():
        mark = question.mark(answer)
        assert not mark.right
        assert mark.misconception == misconception
        assert MISCONCEPTIONS[misconception].truth in mark.sentence
    assert [line for line in str(question).splitlines() if len(line) > COLUMNS] == []


def test_misconceptions_are_clauses_and_sentences():
    for title, truth in MISCONCEPTIONS.values():
        assert title
        assert not title.endswith(".")
        assert truth.endswith(".")


@pytest.mark.parametrize("lesson", LESSONS)
def test_whatever_a_lesson_has_covers_a_point(lesson):
    covers = lesson.covers.values()
    claims = {name for name, claim in learn.claims.items() if claim.lesson == lesson.name}
    assert {cover.claim for cover in covers} == claims
    assert {part.claim.name for part in lesson.parts} <= claims
    assert {cover.card for cover in covers} == set(lesson.cards)
    assert {cover.question for cover in covers} - set(KINDS) == set(lesson.ideas)


@pytest.mark.parametrize("lesson", LESSONS)
def test_questions_and_cards_are_of_known_kinds(lesson):
    kind, level = lesson.question
    assert kind in (*KINDS, "idea")
    assert 1 <= level <= 5
    for card in lesson.cards.values():
        assert card.kind in KINDS or card.idea in lesson.ideas
        assert (card.kind == "idea") == bool(card.idea)
        assert 1 <= card.level <= 5


@pytest.mark.parametrize(("what", "taken"), [("covers", ()), ("cards", ()), ("ideas", KINDS)])
def test_names_are_unique_in_the_course(what, taken):
    names = [name for lesson in learn.lessons.LESSONS.values() for name in getattr(lesson, what)]
    assert [name for name, count in Counter([*names, *taken]).items() if count > 1] == []


@pytest.mark.parametrize(("lesson", "part", "number"), [
    ("forward", 0, "change"),
    ("chain", 0, "result"),
    ("chain", 1, "result"),
    ("backward", 2, "twice"),
])
def test_a_number_in_a_choice_is_that_of_the_experiment(lesson, part, number):
    asked = learn.lesson(lesson).parts[part]
    measured = f"{asked.claim.run().numbers[number]:.4g}"
    assert measured in re.findall(r"[-\d.]+", asked.choices[0])


def test_the_guide_says_after_which_prediction_each_figure_appears():
    guide = Path(tinygrad_edu.__file__).with_name("guides") / "teaching.md"
    rows = re.findall(r"(?m)^\| (\w+) \| (\d) \| .* \|$", guide.read_text(encoding="utf-8"))
    assert rows == [(name, str(figure.part + 1)) for name, figure in FIGURES.items()]
    assert [name for name, _ in rows] == [*learn.lessons.LESSONS]
