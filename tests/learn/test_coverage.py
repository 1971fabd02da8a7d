"""Each of the 49 points has a lesson, a claim, a card and a question."""

import pytest

from tinygrad_edu.learn import coverage


def test_every_point_is_covered_and_nothing_covers_no_point():
    assert len(coverage.POINTS) == 49
    assert coverage.gaps() == []


@pytest.mark.parametrize("what", ["LESSONS", "CLAIMS", "CARDS", "KINDS", "IDEAS"])
def test_deleting_anything_names_the_point_that_lost_it(what, monkeypatch):
    table = getattr(coverage, what)
    points = coverage.covers()
    for name in [name for name in table if name != "idea"]:
        with monkeypatch.context() as context:
            context.delitem(table, name)
            lost = coverage.gaps()
            named = {sentence.partition(":")[0] for sentence in lost}
            expected = {
                point for point, (lesson, cover) in points.items()
                if name in (lesson.name, cover.claim, cover.card, cover.question)
            }
            assert named & {*expected, *[point.partition(" ")[0] for point in expected]}, name
    assert coverage.gaps() == []
