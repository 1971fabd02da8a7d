"""Claims: their settings, what is said if they fail, and the table of them."""

import copy

import pytest

from tinygrad_edu import learn
from tinygrad_edu.learn.evidence import FAILED
from tinygrad_edu.learn.lessons import LESSONS
from tinygrad_edu.learn.settings import Range, checked, descriptions_of

CLAIMS = [pytest.param(claim, id=name) for name, claim in learn.claims.items()]


@pytest.mark.parametrize("claim", CLAIMS)
def test_the_sentence_of_a_negation_is_another_one(claim):
    holding = claim.run()
    failing = claim.run(**claim.negation)
    assert holding.sentence != failing.sentence
    assert str(failing).startswith(f"{FAILED}\n{failing.sentence}")
    assert str(holding).startswith(holding.sentence)


@pytest.mark.parametrize("claim", CLAIMS)
def test_settings_are_those_of_the_negation_at_least(claim):
    assert set(claim.negation) <= set(claim.settings)
    assert claim.run(3, **claim.settings).sentence == claim.run(3).sentence
    with pytest.raises(TypeError):
        claim.settings["new"] = 1


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_setting_that_does_not_exist_is_named_with_those_that_do(claim):
    with pytest.raises(TypeError) as error:
        claim.run(nonsense=1)
    message = str(error.value)
    assert message.startswith(f"claim {claim.name!r} has no setting 'nonsense'")
    assert all(
        f"{name}={default!r} ({claim.descriptions[name]})" in message
        for name, default in claim.settings.items()
    )


@pytest.mark.parametrize("claim", CLAIMS)
def test_each_setting_is_described_in_a_clause(claim):
    assert list(claim.descriptions) == list(claim.settings)
    for text in claim.descriptions.values():
        assert 10 < len(text) <= 75
        assert text[0].islower()
        assert not text.endswith(".")
    with pytest.raises(TypeError):
        claim.descriptions["new"] = "another one"


def test_a_description_may_go_on_in_an_indented_line():
    def experiment(seed, rate=0.1, is_mean=True):
        """A run.

        rate: the learning rate,
            in units of 1/L.
        is_mean: whether the loss is a mean: else it is a sum.
        Another line.

        Source: a paper, which is not a setting.
        """

    assert descriptions_of(experiment) == {
        "rate": "the learning rate, in units of 1/L",
        "is_mean": "whether the loss is a mean: else it is a sum",
    }


def test_a_setting_without_description_and_a_description_without_setting_are_named():
    def forgotten(seed, rate=0.1, size=3):
        """A run.

        rate: the learning rate.
        """

    def renamed(seed, rate=0.1):
        """A run.

        rate: the learning rate.
        rates: all learning rates.
        """

    def bare(seed, rate=0.1):
        return rate

    with pytest.raises(ValueError, match="must describe the setting 'size'; add a line"):
        descriptions_of(forgotten)
    with pytest.raises(ValueError, match="docstring of bare must describe the setting 'rate'"):
        descriptions_of(bare)
    with pytest.raises(ValueError, match=r"docstring of renamed must describe settings only, not "
                                         r"'rates'; did you mean 'rate'\? Its settings are rate="):
        descriptions_of(renamed)
    planted = learn.evidence.Claim("a planted fault", "rate", renamed, {"rate": 1.0})
    with pytest.raises(ValueError, match="not 'rates'"):
        planted.descriptions  # noqa: B018


@pytest.mark.parametrize("claim", CLAIMS)
@pytest.mark.parametrize("value", [None, "nope", [], object(), float("nan"), 10**9, -(10**9)])
def test_each_setting_refuses_what_it_is_not_made_for(claim, value):
    for setting in claim.settings:
        if setting == "factor" and value == 10**9:
            continue  # of a learning rate, which diverges
        with pytest.raises((TypeError, ValueError), match=f"^claim '.*': {setting} must be "):
            claim.run(**{setting: value})


@pytest.mark.parametrize(("name", "setting", "value", "message"), [
    ("hidden layers learn what no line can", "activation", "nope", "'linear', 'sigmoid', 'tanh'"),
    ("local derivatives multiply along a path", "combine", "mean", "'product', 'sum' or 'last'"),
    ("the derivatives of layers multiply", "combine", "last", "'product' or 'sum'"),
    ("an update without its * does not run", "repair", "-", r"'\*' or '\+', not '-'"),
    ("small batches get further in the same number of epochs", "small", 0, "200, 50, 10 or 1"),
    ("with a constant learning rate small batches do not settle", "size", 0, "from 1 to 100"),
    ("gradient descent works with gradients of any origin", "width", 0, "a real number from"),
    ("a node waits for all its users", "most", 0, "a whole number from 1 to 8, not 0"),
    ("the work grows with the weights", "per", "foo", "'weights' or 'units', not 'foo'"),
    ("a gradient costs about three forward passes", "method", "foo", "'one at a time'"),
    ("the target changes the error only", "second", "foo", "'target' or 'input', not 'foo'"),
    ("an epoch has one step for each batch", "rest", "no", "True or False, not str"),
    ("units that start equal stay equal", "is_equal", "yes", "True or False, not str"),
    ("units that start equal stay equal", "is_equal", 1, "True or False, not int"),
    ("a recommender predicts missing ratings", "noise", -1, "from 0 to 10, not -1"),
    ("too small a rate is slow", "factor", 0, "a real number > 0, not 0"),
    ("too small a rate is slow", "factor", True, "a real number, not bool"),
    ("the update with both signs plus fits the line", "signs", (1, 0), r"\(1, 1\), "),
    ("a node waits for all its users", "most", 2.5, "a whole number, not float"),
])
def test_what_a_setting_may_be_is_said(name, setting, value, message):
    with pytest.raises((TypeError, ValueError), match=f"{setting} must be .*{message}"):
        learn.claims[name].run(**{setting: value})


@pytest.mark.parametrize(("factor", "steps"), [(0.5, 40), (0.95, 10), (1.05, 10), (1.9, 50)])
def test_steps_count_until_the_distance_is_a_rounding_error(factor, steps):
    evidence = learn.claims["between 1/L and 2/L descent oscillates and converges"].run(
        factor=factor
    )
    jumps = steps if factor > 1 else 0
    assert f"{jumps} of the first {steps} steps jump over" in evidence.sentence
    assert f"and {steps} land nearer" in evidence.sentence
    assert ("up to rounding" in evidence.sentence) == (steps < 50)
    assert evidence.holds == (factor > 1)


def test_ints_and_floats_are_alike():
    claim = learn.claims["a node waits for all its users"]
    assert str(claim.run(most=3.0)) == str(claim.run(most=3))
    claim = learn.claims["too large a rate diverges"]
    assert str(claim.run(factor=3)) == str(claim.run(factor=3.0))


def test_settings_without_annotations_are_checked_by_their_defaults():
    def experiment(seed, rate=0.1, name="a"):
        return rate

    assert checked({"rate": 1}, experiment, {}, "claim 'x'") == {"rate": 1.0}
    with pytest.raises(ValueError, match="claim 'x': rate must be a real number > 0, not -1"):
        checked({"rate": -1}, experiment, {}, "claim 'x'")
    assert checked({"rate": -1}, experiment, {"rate": 0.0}, "claim 'x'") == {"rate": -1.0}
    with pytest.raises(TypeError, match="claim 'x': name must be text, not int"):
        checked({"name": 3}, experiment, {}, "claim 'x'")
    with pytest.raises(TypeError, match="no setting 'rat'; did you mean 'rate'"):
        checked({"rat": 1}, experiment, {}, "claim 'x'")
    with pytest.raises(TypeError, match="no setting 'rate'; there are none"):
        checked({"rate": 1}, lambda seed: seed, {}, "claim 'x'")


def test_both_ends_of_a_range_belong_to_it():
    assert Range(0, 1) == Range(0.0, 1.0)
    claim = learn.claims["a forgotten zero_grad is momentum without friction"]
    assert claim.run(momentum=1).holds
    assert not claim.run(momentum=0).holds


@pytest.mark.parametrize("factor", [2.1, 3.0, 1e6, 1e300])
def test_a_loss_that_is_not_finite_diverges(factor):
    assert learn.claims["too large a rate diverges"].run(factor=factor).holds


def test_a_run_that_diverges_is_not_slow():
    assert not learn.claims["too small a rate is slow"].run(factor=3.0).holds


def test_a_large_step_jumps_across_the_hill():
    numbers = learn.claims["the start decides which minimum is reached"].run().numbers
    assert numbers["jumped"] == pytest.approx(numbers["left"], abs=1e-3)


@pytest.mark.parametrize("hill", [0.8, 1.0, 1.5])
def test_starts_decide_for_other_hills_too(hill):
    evidence = learn.claims["the start decides which minimum is reached"].run(hill=hill)
    assert evidence.holds
    top = evidence.numbers["top"]
    assert top**3 - hill * top + 0.1 == pytest.approx(0)


def test_a_low_saddle_is_left_too():
    evidence = learn.claims["a tiny push is enough to leave a saddle"].run(hill=0.8)
    assert evidence.holds


@pytest.mark.parametrize("turn", [0, 90, 179, 180])
def test_every_direction_has_a_row_and_a_sentence(turn):
    evidence = learn.claims["against the gradient the loss falls fastest"].run(turn=turn)
    change = dict(evidence.table)[f"{turn}°"]
    assert f"at {turn}° to it changes the loss by {change}." in evidence.sentence
    assert evidence.holds or turn != 180


@pytest.mark.parametrize("factor", [0.1, 0.5, 1.0, 2.1, 1e300])
def test_oscillation_takes_any_factor(factor):
    evidence = learn.claims["between 1/L and 2/L descent oscillates and converges"].run(
        factor=factor
    )
    assert not evidence.holds
    assert f"{factor:g}/L" in evidence.table[0]


@pytest.mark.parametrize("name", [
    "biases decide where the inputs are 0",
    "local derivatives multiply along a path",
    "a change is scaled on its way to the output",
    "a graph is enough, layers are not needed",
])
def test_no_draw_of_an_experiment_is_degenerate(name):
    claim = learn.claims[name]
    assert [seed for seed in range(201) if not claim.run(seed).holds] == []
    assert [seed for seed in range(201) if claim.run(seed, **claim.negation).holds] == []


def test_the_first_step_of_momentum_is_one_of_descent_with_its_rate():
    table = learn.claims["gradient descent works with gradients of any origin"].run().table
    rows = {name: [*map(float, numbers)] for name, *numbers in table[1:]}
    lengths = {name: numbers[1] / numbers[0] for name, numbers in rows.items()}
    assert lengths["momentum"] == pytest.approx(lengths["descent"], rel=0.02)
    assert rows["descent"][1] == rows["descent"][2]
    assert rows["momentum"][2] > 1.6 * rows["momentum"][1]


def test_claims_come_in_the_order_of_the_lessons():
    of_claims = [claim.lesson for claim in learn.claims.values()]
    assert list(dict.fromkeys(of_claims)) == list(LESSONS)
    assert of_claims == sorted(of_claims, key=list(LESSONS).index)
    lines = repr(learn.claims).splitlines()
    assert [line.split(maxsplit=1) for line in lines] == [
        [claim.lesson, name] for name, claim in learn.claims.items()
    ]
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(("table", "name", "near"), [
    (learn.claims, "too large a rate", "too large a rate diverges"),
    (learn.misconceptions.MISCONCEPTIONS, "overwrit", "overwrite"),
])
def test_a_name_that_is_not_there_is_answered_with_similar_ones(table, name, near):
    with pytest.raises(KeyError, match=f"there is no '{name}'; did you mean '{near}'"):
        table[name]
    for other in ("x" * 500, 3, None, (1, 2)):
        with pytest.raises(KeyError, match="write one of "):
            table[other]
    assert name not in table
    assert table.get(name) is None
    assert dict(copy.copy(table)) == dict(table)


def test_a_reading_says_which_claims_do_not_hold():
    lesson = LESSONS["rate"]
    right = lesson.run()
    assert FAILED not in right.markdown
    failed = lesson.parts[1].claim.run(**lesson.parts[1].claim.negation)
    reading = learn.lessons.Reading(lesson, (right.evidence[0], failed, *right.evidence[2:]))
    assert f"\n\n{FAILED}\n\n{failed.sentence}" in reading.markdown


def test_each_cover_leads_to_a_question_with_an_answer():
    for key, (_, cover) in learn.coverage.covers().items():
        assert key.partition(" ")[0] in learn.coverage.POINTS
        question = learn.question(cover.question, seed=3)
        assert question.kind in (cover.question, "idea")
        assert question.mark(question.shown).right
        assert str(learn.question(cover.question, seed=3)) == str(question)


def test_a_question_of_an_idea_is_found_by_its_name():
    question = learn.question("what a gradient says", seed=2, level=3)
    assert (question.kind, question.seed, question.level) == ("idea", 2, 3)
    with pytest.raises(ValueError, match="did you mean 'what a gradient says'"):
        learn.question("what a gradient say")
