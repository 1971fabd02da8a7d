"""Exercises in code: starters, solutions, wrong answers, and every way in which a file can fail."""

import csv
import io
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from helpers import run_python

import tinygrad_edu
from tinygrad_edu import learn
from tinygrad_edu.cli import main
from tinygrad_edu.cli.learning import checking
from tinygrad_edu.learn.exercises import (
    EXERCISES,
    Limits,
    backward,
    check,
    derivative,
    evaluation,
    exercise,
    gradient_descent,
    network,
    update_rule,
)
from tinygrad_edu.learn.exercises.exercise import NotYet, _without_repeats
from tinygrad_edu.learn.exercises.running import (
    Answer,
    Call,
    Failure,
    Kept,
    Numbers,
    Read,
    process,
    run,
    sentence_of,
)

SEEDS = range(10)
LESSONS = {
    "forward", "chain", "backward", "cost", "descent", "rate", "start", "batches", "optimisers",
    "depth", "generalise", "uses",
}
# Those that train take long: as many of their solutions are checked as differ in more than numbers.
SOLUTIONS = {"network": 3, "evaluation": 2, "gradient-descent": 2}
SMALL = Limits(seconds=1, megabytes=200)
TANH = "# exercise: derivative, seed 0\n"
every_exercise = pytest.mark.parametrize("name", EXERCISES)


def edited(text, *changes):
    """Returns a text with each pair of old and new exchanged; the old must occur once."""
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def run_f(body, limits=SMALL, *, head=""):
    """Runs a file with a function f of x, and calls f(1.5)."""
    return run(f"{head}\ndef f(x):\n    {body}\n", [Call("f", (1.5,))], limits)


def failure_of(body, limits=SMALL, *, head=""):
    """Returns the sentence for a function f that fails."""
    text = f"{head}\ndef f(x):\n    {body}\n"
    found = run(text, [Call("f", (1.5,))], limits)
    failure = found.failure or found.answers[0].failure
    return sentence_of(failure, text, limits.seconds, limits.megabytes)


# ---- every exercise


# How many sentences the starters of ten seeds get, numbers aside: one for each fault.
FAULTS = {
    "derivative": 1, "backward": 7, "update-rule": 5, "rate": 3, "gradient-descent": 6,
    "network": 5, "evaluation": 4,
}


@every_exercise
def test_starters_are_not_yet_right_and_solutions_are(name):
    sentences = set()
    for seed in SEEDS:
        made = exercise(name, seed)
        started = made.check_text(made.starter)
        assert not started
        assert started.exercise is made
        assert "\n" not in started.sentence
        assert started.sentence[-1] in ".?"
        sentences.add(re.sub(r"[^a-z ]+", "", started.sentence))
        if seed < SOLUTIONS.get(name, len(SEEDS)):
            solved = made.check_text(made.solution)
            assert solved.right, solved
    assert len(sentences) >= FAULTS[name], sentences


@every_exercise
def test_an_exercise_says_what_to_do(name):
    kind = EXERCISES[name]
    assert kind.lesson in LESSONS
    for seed in (0, 1, 7, 1_000_000):
        made = exercise(name, seed)
        assert (made.name, made.seed, made.lesson) == (name, seed, kind.lesson)
        assert 2 <= len(made.hints) <= 4
        assert len(set(made.hints)) == len(made.hints)
        for text in (made.starter, made.solution):
            lines = text.split("\n")
            assert lines[0] == f"# exercise: {name}, seed {seed}"
            assert text.isascii()
            assert max(map(len, lines)) <= 79
            assert f"tinygrad-edu practice check {name}-{seed}.py" in text
        assert made.starter != made.solution
        assert made.starter == exercise(name, seed).starter
        assert repr(made).startswith(f"Exercise(name='{name}', seed={seed}")


def test_the_guide_for_teachers_counts_the_variants():
    counts = {
        "derivative": len(derivative.FUNCTIONS),
        "backward": len(backward.LINES),
        "update-rule": 2 * len(update_rule.FAULTS),
        "rate": 3,
        "gradient-descent": len(gradient_descent.PLANTED),
        "network": len(network.FAULTS),
        "evaluation": len(evaluation.FAULTS),
    }
    assert list(counts) == list(EXERCISES)
    guide = Path(tinygrad_edu.__file__).with_name("guides") / "teaching.md"
    text = guide.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w-]+)` \| [^|]+ \| (\d+)[^|]* \|$", text, re.MULTILINE)
    assert {name: int(count) for name, count in rows} == counts
    for name, count in counts.items():
        assert len({varied(name, seed) for seed in range(count)}) == count
    for name in ("backward", "rate", "gradient-descent"):
        assert len({varied(name, seed) for seed in range(30)}) > 25


def varied(name, seed):
    """Returns the starter without what names its random seed."""
    made = exercise(name, seed)
    text = made.starter.replace(f"{name}-{seed}.py", "").replace(f"SEED = {seed}\n", "")
    return text.split("\n", 1)[1]


def test_starters_are_the_same_in_every_process():
    code = (
        "from tinygrad_edu.learn.exercises import EXERCISES, exercise\n"
        "print(*[repr(exercise(name, seed).starter) + "
        "repr([s.as_json() for s in exercise(name, seed).steps])"
        " for name in EXERCISES for seed in (0, 8)], sep='\\n')"
    )
    here = "".join(
        f"{exercise(name, seed).starter!r}{[s.as_json() for s in exercise(name, seed).steps]!r}\n"
        for name in EXERCISES for seed in (0, 8)
    )
    assert run_python(code, hash_seed=3).stdout == here


def test_an_unknown_exercise_and_a_wrong_seed_are_rejected():
    with pytest.raises(ValueError, match=r"exercise: name must be one of .*did you mean 'rate'"):
        exercise("rates")
    with pytest.raises(ValueError, match="exercise: seed must be a whole number >= 0, not -1"):
        learn.exercise("rate", -1)
    with pytest.raises(TypeError, match="exercise: seed must be a whole number, not"):
        exercise("rate", "7")
    with pytest.raises(ValueError, match="Limits: seconds"):
        Limits(seconds=0)
    with pytest.raises(TypeError, match=r"check_text: text must be text, not NoneType .*check"):
        exercise("rate").check_text(None)
    with pytest.raises(TypeError, match="check_text: limits must be Limits, not int"):
        exercise("rate").check_text("", 5)


# ---- wrong answers


def mark_of(made, answers):
    """Returns the sentence of the marker for answers that are not right."""
    with pytest.raises(NotYet) as found:
        made.marker(answers)
    return str(found.value)


@pytest.mark.parametrize("seed", range(len(derivative.FUNCTIONS)))
def test_every_known_wrong_rule_has_its_own_sentence(seed):
    made = exercise("derivative", seed)
    function = derivative.FUNCTIONS[seed]
    found = []
    for wrong in function.wrong:
        answers = []
        for step in made.steps:
            try:
                value = wrong.rule(*step.arguments)
                answers.append(Answer(list(value) if isinstance(value, tuple) else value))
            except (ArithmeticError, ValueError) as error:
                answers.append(Answer(None, Failure("exception", type=type(error).__name__)))
        found.append(mark_of(made, answers))
        assert found[-1] == f"Your rule gives {wrong.text}. {wrong.truth}"
    assert len(set(found)) == len(function.wrong) >= 3
    assert len(made.steps) >= 15


@pytest.mark.parametrize(("body", "sentence"), [
    ("-(1 - o * o)", "The sign is wrong everywhere"),
    ("2 * (1 - o * o)", "Your rule gives 2 times the derivative, everywhere."),
    ("1 - o", "Your rule gives 1 - o. The output has to be squared."),
    ("1 / math.cosh(x) ** 2", r"OverflowError.*It comes up with x = -1000, o = -1\.$"),
    ("1 - o * o if abs(x) < 900 else 1.0",
     "right at 23 of 25 points. With x = -1000, o = -1 it returns 1, and the derivative is 0."),
    ("1 - o * o if x else math.nan", r"^rule\(0, 0\) is nan, which is not a number\.$"),
    ("math.inf", r"rule\(-3, -0.9951\) is infinite"),
    ("None", r"rule\(.*\) is None, not a number. Is there a return missing\?"),
    ("'1 - o'", r"rule\(.*\) must be a number, not the text '1 - o'"),
    ("[1 - o * o]", "must be a number, not a list"),
    ("(1 - o * o) ** 0.5 * 1j", "rule gives a complex number, which the check cannot read"),
])
def test_a_wrong_rule_is_described(body, sentence):
    text = f"{TANH}import math\ndef rule(x, o):\n    return {body}"
    result = exercise("derivative", 0).check_text(text)
    assert not result
    assert re.search(sentence, result.sentence), result


def test_a_rule_of_two_arguments_returns_two_numbers():
    made = exercise("derivative", 1)
    for value, sentence in [
        (3.0, "must be 2 numbers, not 3"),
        ([3.0], "must be 2 numbers, not 1"),
        (None, "None. Is there a return missing"),
        ([1.0, None], "an entry of rule(2, 3, 6) is None"),
    ]:
        assert sentence in mark_of(made, [Answer(value)] * len(made.steps))


def test_every_known_wrong_update_has_its_own_sentence():
    made = exercise("update-rule", 1)
    found = {
        mark_of(made, [Answer(list(wrong.update(*step.arguments))) for step in made.steps])
        for wrong in update_rule.WRONG
    }
    assert len(found) == len(update_rule.WRONG) >= 14
    for wrong in update_rule.WRONG:
        assert any(sentence.startswith(wrong.sentence) for sentence in found)
    with pytest.raises(NotYet, match="not those of gradient descent"):
        made.marker([Answer([0.0, 0.0])] * len(made.steps))


def test_every_known_wrong_line_of_an_update_has_its_own_sentence():
    made = exercise("update-rule", 1)
    rights = (update_rule.LINES_OF_W0[0], update_rule.LINES_OF_W1[0])
    whole = {wrong.sentence for wrong in update_rule.WRONG}
    for i, lines in enumerate((update_rule.LINES_OF_W0, update_rule.LINES_OF_W1)):
        assert len({line.sentence for line in lines}) == len(lines) >= 15
        for line in lines[1:]:
            pair = (line, rights[1]) if i == 0 else (rights[0], line)
            sentence = mark_of(made, [
                Answer(list(update_rule.stepped(pair, step.arguments))) for step in made.steps
            ])
            wanted = line.sentence.format(f"w{i}")
            assert sentence.startswith((wanted, *whole)), sentence
            assert f"The line for w{1 - i}" not in sentence
            assert "With your rule the loss goes from" in sentence


@pytest.mark.parametrize(("first", "second", "sentence"), [
    ("alpha * sum(errors) / len(xs)", "alpha * sum(e * x for e, x in zip(errors, xs))",
     r"^The line for w0 divides the sum by the number of samples; .* sum alone\. With"),
    ("2 * alpha * sum(errors)", "alpha * sum(errors) / len(xs)",
     r"^The line for w0 has a factor 2 .* derivative\. The line for w1 has the mean of"),
    ("alpha * sum(errors) / len(xs)", "alpha * sum(errors) * sum(xs)",
     r"^The line for w0 divides .*\. The line for w1 multiplies two sums; .* products\. With your"),
    ("alpha * sum(errors)", "7 * alpha",
     r"^The line for w0 is right\. The line for w1 is not that of gradient descent\.$"),
    ("7 * alpha", "-alpha * sum(e * x for e, x in zip(errors, xs))",
     r"^The line for w0 is not that of gradient descent\. The sign of the line for w1 is wrong\.$"),
    ("7 * alpha", "7 * alpha", r"^The new weights are not those of gradient descent\.$"),
])
def test_the_lines_of_an_update_are_explained_one_by_one(first, second, sentence):
    made = exercise("update-rule", 1)
    text = edited(
        made.solution,
        ("w0 + alpha * sum(errors)", f"w0 + {first}"),
        ("w1 + alpha * sum(e * x for e, x in zip(errors, xs))", f"w1 + {second}"),
    )
    assert re.search(sentence, made.check_text(text).sentence), made.check_text(text)


def test_every_known_wrong_backward_pass_has_its_own_sentence():
    made = exercise("backward", 3)
    found = [
        mark_of(made, [Answer(backward.swept(*step.arguments, idea)) for step in made.steps])
        for idea, _ in backward.WRONG
    ]
    assert found == [sentence for _, sentence in backward.WRONG]
    assert len(set(found)) >= 9
    for value, shown in [(3.0, "3"), ([], "0 numbers"), ([1.0, 2.0], "2 numbers")]:
        assert mark_of(made, [Answer(value)] * len(made.steps)) == (
            f"what backward returns must be a list of 1 number, not {shown}."
        )
    root = [Answer(backward.swept(*step.arguments, backward.Idea())) for step in made.steps]
    assert "All gradients of 9 graphs are right" in made.marker(root)
    assert "8 of 9 graphs" in mark_of(made, [*root[:-1], Answer([9.0] * len(root[-1].value))])


def test_the_backward_exercise_computes_what_the_engine_computes():
    a, b = tinygrad_edu.Value(2.0), tinygrad_edu.Value(5.0)
    root = (a * b + a).tanh() * a
    root.backward()
    order = tinygrad_edu.topological_order(root)
    assert backward.swept(backward.as_operands(root), backward.Idea()) == [
        node.grad for node in order
    ]


def test_every_known_wrong_loop_has_its_own_sentence():
    made = exercise("gradient-descent", 2)
    found = [
        mark_of(made, [Answer(gradient_descent.followed(loop, s.arguments)) for s in made.steps])
        for loop in gradient_descent.WRONG
    ]
    for sentence, loop in zip(found, gradient_descent.WRONG, strict=True):
        assert sentence.startswith(loop.sentence)
    assert len(set(found)) == len(found) >= 8
    other = [Answer([[0.0, 0.0]] * gradient_descent.STEPS)] * 2
    assert "not those of batch gradient descent" in mark_of(made, other)


def test_every_combination_of_modes_has_its_own_sentence():
    made = exercise("evaluation", 5)
    start = evaluation.new_model(5).state_dict()
    case = made.steps[2].arguments[1:5]
    found = []
    for modes in evaluation.SENTENCES:
        curve, end = evaluation.followed(5, case, modes)
        found.append(mark_of(made, [Answer(None), Answer(start), Answer(curve), Answer(end)]))
    assert found == list(evaluation.SENTENCES.values())
    assert len(set(found)) == 7
    others = dict.fromkeys(start, 0.0)
    assert "another model" in mark_of(made, [Answer(None), Answer(others), Answer(curve),
                                             Answer(end)])
    assert "Change only where" in mark_of(made, [Answer(None), Answer(start), Answer(curve),
                                                 Answer(others)])


@pytest.mark.parametrize(("rate", "sentence"), [
    (-0.01, "RATE = -0.01 is negative: every step goes uphill"),
    (0, "With RATE = 0 no weight moves"),
    (1e-9, "RATE = 1e-9 is too small: .* takes millions of steps"),
    (0.001, "RATE = 0.001 is too small: after 20 steps 0.45 of the loss is left.*about 171 steps"),
    (0.1, r"RATE = 0.1 is a little too large: .*far, on the other side \(a factor of -1\)"),
    (0.2, "RATE = 0.2 is too large: the loss grows. .*distance to the minimum by -3"),
    (1e300, "RATE = 1e300 is too large"),
    (None, "RATE is None, not a number"),
    ("0.1", "RATE must be a number, not the text '0.1'"),
    ([0.1], "RATE must be a number, not a list"),
    (math.nan, "RATE is nan"),
    ({}, "RATE must be a number, not a dict"),
    ([0, 5], r"RATE must be a number, not a list. Python writes a decimal point: 0\.5\.$"),
    ([1, -2], r"Python writes a decimal point: 1\.2\.$"),
    ([0, 0.5], r"RATE must be a number, not a list\.$"),
])
def test_a_wrong_rate_is_explained(rate, sentence):
    assert re.search(sentence, mark_of(exercise("rate", 0), [Answer(rate)]))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_many_rates_are_right(seed):
    made = exercise("rate", seed)
    good = float(re.search(r"RATE = (\S+)", made.solution)[1])
    for factor in (0.6, 0.8, 1.2, 1.4):
        assert "after" in made.marker([Answer(good * factor)])
    for factor in (0.01, 1.9):
        assert mark_of(made, [Answer(good * factor)])


def test_the_code_of_the_rate_exercise_descends_as_the_check_does():
    made = exercise("rate", 2)
    path = run(f"{made.solution}\n\ndef losses():\n    w = START\n    found = []\n    for _ in "
               "range(STEPS + 1):\n        found.append(loss(w))\n        w = [x - RATE * slope "
               "for x, slope in zip(w, gradient(w))]\n    return found", [Call("losses")])
    losses = path.answers[0].value
    with pytest.raises(NotYet) as slow:
        made.marker([Answer(1e-12)])
    start = float(slow.value.details[1].split()[1])
    assert losses[0] - losses[-1] == pytest.approx(start, rel=1e-2)


@pytest.mark.parametrize(("changes", "sentence"), [
    ([("return [model(x).data for x in X]", "return [model(x) for x in X]")],
     "scores gives an object of type Value"),
    ([("return [model(x).data for x in X]", "return [1.0]")], "must be 100 numbers, not 1"),
    ([("    return model\n", "")], "must make a module of nn.* Is there a return"),
    ([("RATE = 0.1", "RATE = 0")], "No weight has moved by more than 0: RATE is too small"),
    ([("EPOCHS = 20", "EPOCHS = 200")],
     r"^EPOCHS is 200, and was 20 in the starter\. Put it back: change only RATE and make_model"),
    ([("RATE = 0.1", "RATE = 0.0001"),
      ("return [model(x).data for x in X]", "return [-x[0] * x[1] for x in X]")],
     "^The scores are not those of an nn.MLP with the weights after training"),
    ([('nn.MLP(2, [8, 1], "tanh", rng=SEED)', "nn.Linear(2, 1)"),
      ("return [model(x).data for x in X]", "return [-x[0] * x[1] for x in X]")],
     "^The scores are not those of an nn.MLP .* Let make_model return an nn.MLP, and leave scores"),
])
def test_a_network_that_is_broken_is_explained(changes, sentence):
    made = exercise("network", 3)
    result = made.check_text(edited(made.solution, *changes))
    assert not result
    assert re.search(sentence, result.sentence), result


def weights(*units, layers=2):
    """Returns the parameters of a network by name, from rows of a weight and a bias."""
    named = {}
    for i, (weight, bias) in enumerate(units):
        named |= {f"layers.0.neurons.{i}.w.0": weight, f"layers.0.neurons.{i}.b": bias}
    return named | {f"layers.{i}.neurons.0.w.0": 0.5 for i in range(1, layers)}


OTHER = weights((0.5, 0.0), (0.7, 0.0))
MOVED = weights((1.5, 0.3), (0.2, 0.1))


@pytest.mark.parametrize(("before", "after", "scores", "sentence"), [
    (OTHER, weights((math.nan, 0.0)), (-1, 1), "A weight became inf or nan: the steps are too lar"),
    (OTHER, weights((99.0, 0.0)), (-1, 1), "A weight has moved by 98.5: each step overshoots"),
    (weights((0.5, 0.0), (0.5, 0.0)), MOVED, (-1, 1), "All hidden units begin with the same"),
    (weights((0.5, -10.0), (0.7, -10.0)), MOVED, (1, 1), "same for every point.* a bias of -10"),
    (OTHER, weights((0.9, 0.3), layers=6), (1, 1), "shrinks in each of 6 layers"),
    (OTHER, weights((0.501, 0.0), (0.7, 0.0)), (1, 2), "moved by more than 0.001: RATE is too sm"),
    (OTHER, MOVED, (1, 1), "nearly the same for every point: the hidden units pass nothing on"),
    (OTHER, MOVED, (1, 2), "It learns a little, but not enough"),
    ({}, {}, (1, 1), "No weight has moved"),
])
def test_the_weights_of_a_network_say_why_it_does_not_learn(before, after, scores, sentence):
    named = [Answer(None), Answer(before), Answer(None), Answer(after), Answer([*scores] * 50),
             Answer(network.EPOCHS)]
    assert re.search(sentence, mark_of(exercise("network", 4), named))


def test_a_network_may_be_repaired_in_another_way():
    made = exercise("network", 4)
    result = made.check_text(edited(
        made.starter,
        ('[4, 4, 4, 4, 4, 1], "sigmoid", init="xavier"', '[6, 4, 1], "tanh", init="xavier"'),
        ("optim.SGD", "optim.Adam"),
        ("RATE = 0.1", "RATE = 0.03"),
    ))
    assert result.right, result


@pytest.mark.parametrize("model", [
    'nn.MLP(2, [12, 1], "tanh", "elu", rng=SEED)',
    'nn.Sequential(nn.Layer(2, 8, "tanh", rng=SEED), nn.Layer(8, 1, "linear", rng=SEED))',
])
def test_the_scores_of_other_networks_are_computed_too(model):
    made = exercise("network", 3)
    result = made.check_text(edited(made.solution, (network.GOOD_TANH[0], f"model = {model}")))
    assert result.right, result


@pytest.mark.parametrize("weights", [
    {}, {"layers": 1.0}, {"layers..b": 1.0}, {"layers.0.b": 1.0, "layers.x.b": 1.0},
    {"layers.1.neurons.0.b": 1.0}, {"a": 1.0, "b": 2.0, "layers.0.b": 1.0},
    {f"layers.{i}.neurons.{j}.b": 1e300 for i in range(2) for j in range(5_000)},
    dict.fromkeys(dict(tinygrad_edu.nn.MLP(2, [2, 1]).state_dict()), 1e300),
])
def test_forged_weights_have_no_scores(weights):
    made = exercise("network", 3)
    unseen = made.steps[4].arguments[1]
    claimed = [-x * y for x, y in unseen]
    answers = map(Answer, (None, weights, None, weights, claimed, network.EPOCHS))
    assert "The scores are not those of an nn.MLP" in mark_of(made, list(answers))


# ---- files that fail when they run


@pytest.mark.parametrize(("head", "body", "sentence"), [
    ("x = (1", "pass", "Python cannot read line 1 .*, 'x = \\(1'"),
    ("", "return 2 x", "Python cannot read line 3 .*'return 2 x'"),
    ("RATE = 0,05", "pass", "line 1 .*'RATE = 0,05'. Python writes a decimal point: 0.05.$"),
    ("RATE = 05", "pass", "line 1 .*'RATE = 05'.$"),
    ("x = [(1,02]", "pass", r"Python cannot read line 1 \("),
    ("", "return x\n   x", "Python cannot read line 4 .*indent"),
    ("1 / 0", "pass", r"error in line 1, '1 / 0' \(ZeroDivisionError: division by zero\)"),
    ("", "return maht.sin(x)", r"line 3, 'return maht.sin\(x\)' \(NameError: name 'maht'"),
    ("import helper", "pass", "does not find a module .*'helper'.* in line 1.*in an empty folder"),
    ("import sys", "sys.exit(0)", r"ends itself in line 3, 'sys.exit\(0\)'. Remove"),
    ("", "raise SystemExit", "The program ends itself in line 3"),
    ("import os", r"os._exit(0)", "ended before the check was done, as after os._exit"),
    ("", "return f(x)", r"calls itself without end in line 3, 'return f\(x\)'"),
    ("", "return input()", "asks for input in line 3.* Remove input"),
    ("raise KeyboardInterrupt", "pass", r"in line 1.*\(KeyboardInterrupt\)"),
    ("class Odd(Exception):\n    def __str__(self): raise self", "raise Odd", r"line 4.*\(Odd\)"),
    ("def g(x): return 1\ndel g", "return g(x)", "NameError"),
    ("f = None", "pass\nf = 3", "f cannot be called as the task says: TypeError"),
    ("", "pass\ndef f(x, z): return x", "f cannot be called as the task says: .*'z'"),
    ("", "pass\ndel f", "The file has no f any more, which the starter had. Put it back."),
    ("", "pass\nff = f\ndel f", "The file has no f any more.* Did you rename it to ff?"),
    ("", "return object()", "f gives an object of type object, which the check cannot read"),
    ("", "return {1, 2}", "f gives a set, which the check cannot read; return numbers."),
    ("", "return [0] * 200_000", "f gives more numbers than the check reads"),
    ("", "return ['x' * 1000] * 1000", "f gives more numbers than the check reads"),
    ("", "x = []\n    x.append(x)\n    return x", "f gives more numbers than the check reads"),
    ("import os, signal", "os.kill(os.getpid(), signal.SIGSEGV)", "Python itself crashed in line"),
    ("import os, signal", "os.kill(os.getpid(), signal.SIGKILL)", "The system stopped the program"),
])
def test_a_failure_is_said_with_the_line_of_the_learner(head, body, sentence):
    assert re.search(sentence, failure_of(body, head=head)), failure_of(body, head=head)


ENDED = "The program ended before the check was done, as after os._exit(). Remove that."


@pytest.mark.skipif(os.name != "posix", reason="pipes, links and devices among files")
@pytest.mark.parametrize("name", ["result.json", "trace.txt"])
@pytest.mark.parametrize("made", [
    "os.mkfifo(path)",
    "os.symlink('/dev/zero', path)",
    "os.symlink(other, path)",
    "os.mkdir(path)",
    "os.symlink(path, path)",
    "open(path, 'wb').truncate(60_000_000)",
], ids=["pipe", "device", "link", "folder", "loop", "large"])
def test_what_stands_in_place_of_a_result_is_not_read(name, made, tmp_path):
    other = tmp_path / "other.json"
    other.write_text('{"answers": [{"value": 3}]}')
    head = (
        f"import os\npath = '../{name}'\nother = {str(other)!r}\n"
        f"if os.path.exists(path): os.remove(path)\n{made}\nos._exit(0)"
    )
    assert failure_of("return 3", head=head) == ENDED


@pytest.mark.parametrize("content", [
    "", "[]", "5", "null", "{}", "{", '{"answers": [5]}', '{"answers": "abc"}', '{"answers": null}',
    '{"answers": []}', '{"answers": {}}', '{"answers": [{}, {}]}', '{"failure": "x"}',
    '{"failure": {"line": 2}}', '{"failure": {"kind": 3}}', '{"failure": []}', '{"failure": 0}',
    '{"failure": {"kind": "exception", "line": "2"}}',
    '{"failure": {"kind": "exception", "line": -2}}',
    '{"failure": {"kind": "exception", "line": true}}',
    '{"failure": {"kind": "exception", "line": ' + "9" * 5_000 + "}}",
    '{"failure": {"kind": "missing", "names": "abc"}}',
    '{"failure": {"kind": "missing", "names": [1]}}',
    '{"failure": {"kind": "exception", "message": null}}',
    '{"answers": [{"failure": "x"}]}', '{"answers": [{"failure": {"line": 2}}]}',
    '{"answers": ' + "[" * 100_000,
    r"\xff",
])
def test_a_forged_result_that_cannot_be_read_is_none(content):
    head = f"import os\nopen('../result.json', 'w').write({content!r})\nos._exit(0)"
    assert failure_of("return 3", head=head) == ENDED


def test_forged_results_that_can_be_read_are_marked_as_others_are():
    def forged(content, step):
        text = f"import os\nopen('../result.json', 'w').write({content!r})\nos._exit(0)"
        return run(text, [step], SMALL), text

    found, _ = forged('{"answers": [{"value": ' + "9" * 400 + "}]}", Read("x"))
    assert found.answers == [Answer(math.inf)]
    for value in ("3", "null", '{"w": "3"}', '{"w": [1]}', '{"w": null}'):
        found, text = forged(f'{{"answers": [{{"value": {value}}}]}}', Numbers("model"))
        assert "must make a module of nn" in sentence_of(found.answers[0].failure, text)
    found, text = forged(
        '{"failure": {"kind": "missing", "name": "\\u001b[2J' + "x" * 9_000 + '"}}', Read("x")
    )
    sentence = sentence_of(found.failure, text)
    assert sentence.startswith(r"The file has no \x1b[2Jxxx")
    assert len(sentence) < 1_200


@pytest.mark.skipif(os.name != "posix", reason="limits of processor time and memory")
def test_an_endless_loop_is_stopped_and_its_line_is_named():
    loop = "while True:\n        try: sum(iter(int, 1))\n        except BaseException: pass"
    sentence = "stopped after 1 second in line 4, 'try: sum.*'. Is there a loop that never ends"
    assert re.search(sentence, failure_of(loop))


def test_a_program_that_waits_is_stopped_too(monkeypatch):
    monkeypatch.setattr(process, "PATIENCE", 1)
    started = time.process_time()
    sentence = failure_of("time.sleep(1000)", head="import time")
    assert sentence == (
        "The program was stopped after 1 second, most of them spent waiting in line 3, "
        "'time.sleep(1000)'. Does it wait for something, as time.sleep() does?"
    )
    failure = Failure("waiting", seconds=30)
    assert "after 30 seconds, most of them spent waiting. Does" in sentence_of(failure, "")
    assert time.process_time() - started < 1


@pytest.mark.skipif(sys.platform != "linux", reason="a limit of memory")
@pytest.mark.parametrize(("head", "body"), [
    ("", "xs = []\n    while True: xs += [x] * 10_000"),
    ("", "return 'x' * 10**9"),
    ("xs = [0] * 10**9", "return x"),
])
def test_a_program_that_takes_all_memory_is_stopped(head, body):
    sentence = failure_of(body, head=head)
    assert re.search("needs more than 200 megabytes of memory in line [134]", sentence), sentence


@pytest.mark.skipif(os.name != "posix", reason="groups of processes")
def test_nothing_goes_on_after_a_check(monkeypatch):
    head = "import os, subprocess, sys, threading, time"
    sleep = "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1000)']).pid"
    thread = "threading.Thread(target=time.sleep, args=(1000,)).start()"
    found = run_f(f"{thread}; return [os.getpid(), {sleep}]", head=head).answers[0].value
    monkeypatch.setattr(process, "PATIENCE", 1)
    stopped = run_f(f"print({sleep}, os.getpid(), flush=True); time.sleep(1000)", head=head)
    assert stopped.failure.kind == "waiting"
    for pid in [*found, *map(int, stopped.printed[0].split())]:
        for _ in range(100):
            if not is_running(pid):
                break
            time.sleep(0.05)
        assert not is_running(pid)


def is_running(pid):
    """Returns whether there is a process, other than one that ended and that nobody asked about."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat")
        return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_what_a_file_prints_neither_disturbs_the_answers_nor_is_lost():
    head = "import sys\nprint('{\"answers\": []}')"
    found = run_f(r"print('\x1b[2Jhi', x); print('err', file=sys.stderr); return 3", head=head)
    assert found.answers == [Answer(3)]
    assert sorted(found.printed) == [r"\x1b[2Jhi 1.5", "err", '{"answers": []}']
    assert run_f("sys.stdout.close(); sys.stdout = None; return 4",
                 head="import sys").answers == [Answer(4)]
    much = run_f("for _ in range(300): print('x' * 10_000)\n    return 5")
    assert much.answers == [Answer(5)]
    assert sum(map(len, much.printed)) <= 10_000


def test_a_result_shows_the_first_lines_that_a_file_printed():
    made = exercise("derivative", 0)
    result = made.check_text(f"{made.solution}\nfor i in range(50): print('line', i)\n")
    assert result.right
    assert result.details[:2] == ("Your file printed:", "  line 0")
    assert (len(result.details), result.details[-1]) == (12, "  ...")
    assert str(result).startswith("Right: The derivative of tanh(x)")
    assert "Your file printed:" in str(result)
    assert str(made.check_text(made.starter)).startswith("Not yet: ")


def test_a_warning_is_shown_once_with_short_numbers():
    made = exercise("gradient-descent", 0)
    assert "zero_grad is missing" in made.check_text(made.starter).sentence
    printed = "\n".join(made.check_text(made.starter).details).split("Your file printed:\n")[1]
    assert printed.count("GradientWarning") == 1
    assert "gradient of parameter w0, 0.8629, still" in " ".join(printed.split())
    assert printed.endswith("\n    optimizer.step()")
    lines = [
        "your file:3: GradientWarning: 0.12345678", "  step()", "a 0.12345678", "  b",
        "your file:3: GradientWarning: 0.23456789", "  step()", "your file:4: GradientWarning: 1",
        "  step()", "your file:3: GradientWarning: 2", "  step()", "end",
    ]
    assert _without_repeats(lines) == [
        "your file:3: GradientWarning: 0.1235", "  step()", "a 0.12345678", "  b",
        "your file:4: GradientWarning: 1", "  step()", "end",
    ]


def test_only_plain_values_come_back():
    body = "return [1, 2.5, True, None, 'text', (1, [2]), {'a': 1}, 10**5000, float('inf')]"
    (answer,) = run_f(body).answers
    assert answer.value[:7] == [1, 2.5, True, None, "text", [1, [2]], {"a": 1}]
    assert answer.value[7:] == [2.0**1023, math.inf]
    fraction = run_f("return Fraction(1, 4)", head="from fractions import Fraction")
    assert fraction.answers == [Answer(0.25)]


def test_objects_are_kept_between_steps():
    text = (
        "from tinygrad_edu import nn\nN = 3\n"
        "def make(): return nn.Linear(1, 1, init=lambda *_: 2)"
    )
    steps = [Read("N"), Call("make", keep="model"), Numbers("model"), Call("id", (Kept("model"),))]
    found = run(text, steps, Limits(5))
    assert [answer.value for answer in found.answers[:2]] == [3, None]
    assert 2.0 in found.answers[2].value.values()
    assert found.answers[3].failure.kind == "missing"


def test_steps_after_a_failure_still_run():
    text = "def f(x):\n    return 1 / x\n"
    found = run(text, [Call("f", (0.0,)), Call("f", (2.0,))], SMALL)
    assert [bool(answer.failure) for answer in found.answers] == [True, False]
    assert found.answers[0].failure.line == 2
    assert found.answers[1].value == 0.5


def test_the_environment_of_the_parent_is_not_visible(monkeypatch, tmp_path):
    monkeypatch.setenv("SECRET_OF_THE_PARENT", "123")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "exercise.txt").write_text("text")
    head = "import os, sys, tempfile"
    body = (
        "return [dict(os.environ), os.getcwd(), os.listdir(), sys.flags.isolated, sys.path, "
        "tempfile.gettempdir(), sys.stdin.read()]"
    )
    (answer,) = run_f(body, head=head).answers
    environment, cwd, files, isolated, path, temporary, given = answer.value
    allowed = {"TMPDIR", "TEMP", "TMP", "LC_CTYPE", "SYSTEMROOT", "LD_LIBRARY_PATH",
               "DYLD_LIBRARY_PATH", "__CF_USER_TEXT_ENCODING"}
    assert set(environment) <= allowed
    assert Path(temporary) == Path(cwd) != tmp_path
    assert (files, isolated, given) == (["exercise.py"], 1, "")
    assert str(tmp_path) not in path
    assert not Path(cwd).exists()


def test_the_file_runs_with_this_package(monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    found = run_f("return tinygrad_edu.__file__", Limits(5), head="import tinygrad_edu")
    assert Path(found.answers[0].value).samefile(tinygrad_edu.__file__)


def test_nothing_is_left_among_temporary_files(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    head = "import os, tempfile"
    assert run_f("return len(tempfile.mkdtemp()) + len(tempfile.mkstemp()[1])", head=head).answers
    assert run_f("os.makedirs('a/b'); os.chmod('a', 0); return 1", head=head).answers
    assert run_f("os._exit(3)", head=head).failure.kind == "ended"
    monkeypatch.setattr(process, "PATIENCE", 1)
    assert run_f("time.sleep(1000)", head="import time").failure.kind == "waiting"
    assert run_f("return 2 x").failure.kind == "syntax"
    assert list(tmp_path.iterdir()) == []


def test_files_are_checked_side_by_side(tmp_path):
    texts = []
    for name in ("derivative", "rate", "update-rule", "backward"):
        texts += [exercise(name, 1).starter, exercise(name, 1).solution]
    paths = []
    for i, text in enumerate(texts):
        paths.append(tmp_path / f"{i}.py")
        paths[-1].write_text(text)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(check, paths))
    assert [result.right for result in results] == [False, True] * 4


# ---- files that cannot be read


@pytest.mark.parametrize("convert", [
    lambda text: text.replace("\n", "\r\n").encode(),
    lambda text: text.replace("\n", "\r").encode(),
    lambda text: text.encode("utf-8-sig"),
    lambda text: b"#!/usr/bin/env python\n\n" + text.encode(),
    lambda text: b"# -*- coding: latin-1 -*-\n" + text.encode() + "# ü\n".encode(),
    lambda text: text.replace("# exercise: rate, seed 4", "  #exercise:Rate ,seed 4  ").encode(),
    lambda text: text.rstrip().encode(),
], ids=["crlf", "cr", "mark", "shebang", "coding", "spaces", "end"])
def test_a_file_is_read_as_editors_write_it(convert, tmp_path):
    path = tmp_path / "my folder" / "rate 4 ü.py"
    path.parent.mkdir()
    path.write_bytes(convert(exercise("rate", 4).solution))
    result = check(path)
    assert result.right, result
    assert (result.exercise.name, result.exercise.seed) == ("rate", 4)
    assert exercise("rate", 4).check(str(path)).right


@pytest.mark.parametrize(("content", "sentence"), [
    (b"", r"^The first line must say which exercise the file is, as in '# exercise: rate, seed 7'. "
          r"Put it back\.$"),
    (b"RATE = 1.0\n", "which exercise .* It is 'RATE = 1.0'. Put it back."),
    (b"# exercise: rate\n", "It is '# exercise: rate'. Put it back."),
    (b"# exercise: rate, seed x\n", "It is '# exercise: rate, seed x'"),
    (b"# exercise: rats, seed 7\n", "names the exercise 'rats', which does not .* back: rate."),
    (b"# exercise: xyz, seed 7\n", "'xyz', .* back: derivative or backward or update-rule or"),
    (b"# exercise: rate, seed 99999999\n", "the seed 99999999; a seed is at most 10,000,000. Put"),
    (b"# exercise: rate, seed 9999999999999\n", "the seed 9999999999999; a seed is at most 10,"),
    (b"# exercise: rate, seed " + b"9" * 90 + b"\n", r"the seed 9+\.\.\.; a seed is at most 10,0"),
    ("# exercise: rate, seed 7\n# ü".encode("latin-1"), "^The file is not text in UTF-8: save it"),
    ("# exercise: rate, seed 7\n".encode("utf-16"), "The file is text in UTF-16, not in UTF-8"),
    (b"# exercise: rate, seed 7\n\0", "The file is not text: it has bytes of 0"),
    (b"# exercise: rate, seed 7\n" + b"#" * 100_000, "The file has more than 100,000 bytes"),
])
def test_a_file_that_cannot_be_read_is_a_result(content, sentence, tmp_path):
    path = tmp_path / "rate.py"
    path.write_bytes(content)
    result = check(path)
    assert not result
    assert re.search(sentence, result.sentence), result
    assert result.exercise is None


def test_a_missing_file_a_folder_and_another_exercise_are_results(tmp_path):
    made = exercise("rate", 7)
    assert check(tmp_path / "no.py").sentence == "There is no such file."
    assert check(tmp_path).sentence.startswith("This is a folder; name the files in it")
    other = exercise("rate", 8).write(tmp_path / "other.py")
    assert made.check(other).sentence == "The file is another exercise: rate, seed 8."
    assert made.check(tmp_path).sentence.startswith("This is a folder")
    unnamed = tmp_path / "unnamed.py"
    unnamed.write_text(made.solution.split("\n", 1)[1])
    assert made.check(unnamed).right
    with pytest.raises(TypeError, match="check: path must be text or a Path"):
        check(7)
    if os.name == "posix" and os.getuid():
        other.chmod(0)
        assert check(other).sentence == "The file cannot be read: Permission denied."


def test_a_starter_is_written_and_never_overwritten(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = exercise("rate", 7)
    assert made.write() == Path("rate-7.py")
    assert Path("rate-7.py").read_bytes() == made.starter.encode()
    Path("rate-7.py").write_text("mine")
    with pytest.raises(FileExistsError, match=r"'rate-7.py' exists already, and is not over"):
        made.write()
    assert Path("rate-7.py").read_text() == "mine"
    for folder in (tmp_path, ".", f"{tmp_path}/"):
        with pytest.raises(IsADirectoryError, match=r"is a folder; name .*such as '.*rate-7.py'"):
            made.write(folder)
    with pytest.raises(FileNotFoundError, match="the folder 'class/' does not exist; create it"):
        made.write("class/")
    with pytest.raises(FileNotFoundError, match="is not a folder; create it first"):
        made.write("missing/rate.py")
    with pytest.raises(TypeError, match="write: path must be text or a Path"):
        made.write(7)


@pytest.mark.parametrize(("file", "shown"), [
    ("mine.py", "mine.py"), ("my rate.py", '"my rate.py"'), ("über.py", "über.py"),
    ('a"""b.py', "rate-7.py"), ("-x.py", "rate-7.py"), ("a\\b.py", "rate-7.py"),
])
@pytest.mark.skipif(os.name != "posix", reason="names that other systems do not have")
def test_the_commands_in_a_starter_name_its_file(file, shown, tmp_path):
    text = exercise("rate", 7).write(tmp_path / file).read_text(encoding="utf-8")
    assert f"practice check {shown}\n" in text
    assert f"practice check {shown} --hint 1\n" in text
    assert f"To see the steps:  python {shown}\n" in text
    assert text.startswith("# exercise: rate, seed 7\n")
    compile(text, file, "exec")


# ---- the commands


@pytest.fixture(autouse=True)
def progress_of_tests(tmp_path_factory, monkeypatch):
    """Keeps the progress of commands in a temporary folder."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("progress")))
    monkeypatch.setenv("COLUMNS", "80")


def command(name, *args):
    """Runs a command of `practice`, and returns its exit status."""
    return main(["practice", name, *map(str, args)])


def refused(capsys, name, *args):
    """Runs a command of `practice` that is refused, and returns the message."""
    assert command(name, *args) == 2
    out, err = capsys.readouterr()
    assert out == ""
    return err


def test_writing_a_starter_says_what_to_do_next(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert command("rate", "--seed", 7) == 0
    told = capsys.readouterr().out
    assert "wrote rate-7.py: choose the learning rate" in told
    assert "\n  tinygrad-edu practice check rate-7.py\n" in told
    assert "\n  tinygrad-edu practice watch rate-7.py\n" in told
    message = refused(capsys, "rate", "--seed", 7)
    assert re.search(r"exists already.* --seed 8.* check rate-7.py", message)
    assert command("derivative", "--seed", 0, "-o", "my file.py") == 0
    assert "practice check 'my file.py'" in capsys.readouterr().out.replace('"', "'")
    assert command("derivative", "--seed", 0, "-o", "-") == 0
    assert capsys.readouterr().out == exercise("derivative", 0).starter


def test_one_file_is_checked_with_a_next_step(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    made = exercise("update-rule", 1)
    path = made.write()
    assert command("check", path) == 1
    told = capsys.readouterr().out
    assert told.startswith("update-rule-1.py: not yet: The sign of the line for w1 is wrong.")
    assert "practice check update-rule-1.py --hint 1" in told
    assert max(map(len, told.splitlines())) <= 80
    assert command("check", path, "--hint", 1) == 1
    told = capsys.readouterr().out
    assert " ".join(made.hints[0].split()) in " ".join(told.split())
    assert "--hint 2" in told
    assert command("check", path, "--hint", 9) == 1
    told = capsys.readouterr().out
    assert told.endswith("\n\nThere are 3 hints: pass --hint 1 to --hint 3.\n")
    assert made.hints[2][:20] not in told
    assert command("check", path, "--hint", 3) == 1
    told = capsys.readouterr().out
    assert "Hint 3 of 3" in told
    assert "--hint" not in told
    path.write_text(made.solution)
    assert command("check", path, "--hint", 1) == 0
    told = capsys.readouterr().out
    assert told.startswith("update-rule-1.py: right: ")
    assert "tinygrad-edu practice update-rule --seed 2" in told
    assert "The lesson, Gradient descent" in told
    assert "\n  tinygrad-edu learn descent\n" in told
    assert "\x1b" not in told


def test_many_files_are_marked_and_one_that_fails_stops_no_other(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ["=f(x).py", "bad.py", "good.py", "loop.py", "missing.py", "none.py"]
    made = exercise("rate", 3)
    (tmp_path / names[0]).write_text(made.solution)
    (tmp_path / "bad.py").write_text(made.starter)
    (tmp_path / "good.py").write_text(made.solution)
    (tmp_path / "loop.py").write_text(f"{made.solution}\nraise SystemExit")
    (tmp_path / "none.py").write_bytes(b"\xff\xfe")
    out = Path("marks.csv")
    assert command("check", "--csv", out, *names, ".") == 1
    told = capsys.readouterr().out
    assert re.findall("^([^ ]+): (right|not yet): ", told, re.MULTILINE) == [
        *zip(names, ["right", "not yet", "right", "not yet", "not yet", "not yet"], strict=True),
        (".", "not yet")]
    assert told.endswith("\nwrote marks.csv\n2 of 7 right\n")
    assert max(map(len, told.splitlines())) <= 80
    rows = list(csv.reader(io.StringIO(out.read_text(encoding="utf-8"))))
    assert rows[0] == ["file", "exercise", "seed", "mark", "sentence"]
    assert [row[1:4] for row in rows[1:]] == [
        ["rate", "3", "1"], ["rate", "3", "0"], ["rate", "3", "1"], ["rate", "3", "0"],
        ["", "", "0"], ["", "", "0"], ["", "", "0"]]
    assert all(row[4] for row in rows[1:])


def test_marks_replace_marks_of_an_earlier_check_and_nothing_else(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.py").write_text("1")
    out = Path("marks.csv")
    out.write_text("")
    assert command("check", "a.py", "--csv", out) == 1
    assert "wrote marks.csv, which replaces the one from before\n" in capsys.readouterr().out
    out.unlink()
    assert command("check", "a.py", "--csv", "marks") == 1
    assert "wrote marks.csv\n" in capsys.readouterr().out
    marks = out.read_bytes()
    out.write_bytes(marks.replace(b"\n", b"\r\n") + b"more")
    assert command("check", "a.py", "--csv", out) == 1
    assert out.read_bytes() == marks
    assert "wrote marks.csv, which replaces the one from before\n" in capsys.readouterr().out
    for content in (b"name,grade\n", b"\xef\xbb\xbf\xff", marks.replace(b",", b";"), b"x" * 10_000):
        out.write_bytes(content)
        message = refused(capsys, "check", "a.py", "--csv", out)
        assert re.search(r"'marks.csv' exists, .*choose another name", message)
        assert out.read_bytes() == content


def test_marks_on_standard_output_are_csv_alone(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("=f.py").write_text(exercise("rate", 3).solution)
    assert command("check", "=f.py", "--csv", "-") == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert [row[:4] for row in rows] == [
        ["file", "exercise", "seed", "mark"], ["./=f.py", "rate", "3", "1"]]


def test_wrong_use_of_check_is_reported(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command("check", "no.py") == 2
    assert capsys.readouterr().out == "no.py: not yet: There is no such file.\n"
    assert command("check", "no.py", "nor.py") == 2
    assert command("check", tmp_path) == 2
    capsys.readouterr()
    for arguments, message in (
        (("check", "a.py", "b.py", "--hint", 1), "--hint is about one file"),
        (("check", "a.py", "--csv", "marks.txt"), "'.txt' is not a format"),
        (("check", "a.py", "--csv", "missing/marks.csv"), "is not a folder; create it first"),
        (("watch", "no.py"), "there is no file 'no.py'; write one with"),
    ):
        assert message in refused(capsys, *arguments)
    exercise("rate", 0).write("a.py")
    exercise("rate", 1).write("b.py")
    assert command("check", "[ab]*.py") == 1
    assert "0 of 2 right" in capsys.readouterr().out


def test_a_check_that_cannot_be_made_is_a_result(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exercise("rate", 0).write("a.py")
    monkeypatch.setattr(sys, "executable", None)  # no process can be started: TypeError
    assert command("check", "a.py", "no.py", "--csv", "marks.csv") == 1
    told = capsys.readouterr().out
    assert told.startswith("a.py: not yet: The check could not be made: ")
    assert "\nno.py: not yet: There is no such file.\n" in told
    assert len(Path("marks.csv").read_text().splitlines()) == 3


def test_a_forged_result_stops_no_other_file(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    forged = [[5], "abc", None, [], [{}] * 6, [{"value": {"layers.x.y": 1}}] * 6]
    names = []
    for i, answers in enumerate(forged):
        content = json.dumps({"answers": answers})
        for name in EXERCISES:
            names.append(f"{name}-{i}.py")
            Path(names[-1]).write_text(
                f"# exercise: {name}, seed 0\nimport os\n"
                f"open('../result.json', 'w').write({content!r})\nos._exit(0)"
            )
    Path("good.py").write_text(exercise("rate", 3).solution)
    assert command("check", *names, "good.py") == 1
    told = capsys.readouterr().out
    assert re.findall("^([^ ]+): not yet: ", told, re.MULTILINE) == names
    assert "could not be made" not in told
    assert told.endswith(f"\n1 of {len(names) + 1} right\n")


@pytest.mark.skipif(os.name != "posix", reason="names that other systems do not have")
@pytest.mark.parametrize("more", [[], ["no.py"], ["no.py", "--csv", "-"], ["--csv", "ü.csv"]])
def test_signs_that_the_output_lacks_are_replaced(more, tmp_path):
    text = exercise("rate", 0).starter
    (tmp_path / "über.py").write_text(f"{text}\nprint('é')\nü = 1 / 0\n", encoding="utf-8")
    environment = {
        **os.environ, "PYTHONPATH": str(Path(tinygrad_edu.__file__).parents[1]),
        "PYTHONIOENCODING": "ascii",
    }
    done = subprocess.run(
        [sys.executable, "-m", "tinygrad_edu", "practice", "check", "über.py", *more],
        capture_output=True, text=True, env=environment, cwd=tmp_path, check=False,
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert "ber.py" in done.stdout
    assert "= 1 / 0" in done.stdout
    assert done.stdout.isascii()


def test_sentences_are_as_wide_as_the_terminal(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "50")
    exercise("update-rule", 1).write("a.py")
    exercise("update-rule", 2).write("b.py")
    assert command("check", "a.py", "b.py") == 1
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 50
    assert command("check", "a.py", "--hint", 1) == 1
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines if not line.startswith(" ")) <= 50
    assert "  tinygrad-edu practice check a.py --hint 2" in lines


def test_help_says_that_this_is_no_sandbox(capsys):
    with pytest.raises(SystemExit):
        main(["practice", "--help"])
    assert "It is no sandbox" in " ".join(capsys.readouterr().out.split())
    assert "no sandbox" in learn.Exercise.check.__doc__


@pytest.fixture
def watched(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checking, "WAIT", 0.02)
    return exercise("rate", 0).write()


def test_a_watched_file_is_checked_at_every_save_until_it_is_right(watched, capsys):
    made = exercise("rate", 0)
    shown = []

    def save():
        """Saves the file whenever the command waits: three wrong ones, and a right one."""
        texts = [made.starter.replace("RATE = ", f"RATE = {sign}") for sign in ("-", "-1", "-2")]
        for text in [*texts, made.solution]:
            while "Waiting" not in "".join(shown):
                shown.append(capsys.readouterr().out)
                time.sleep(0.02)
            told.extend(shown)
            shown.clear()
            new = watched.with_suffix(".new")
            new.write_text(text)
            os.replace(new, watched)

    told = []
    editor = threading.Thread(target=save)
    editor.start()
    assert command("watch", watched) == 0
    editor.join()
    text = "".join(told) + capsys.readouterr().out
    assert text.count("not yet:") == 4
    assert text.count("uphill") == 3
    assert text.count(": right:") == 1
    assert text.count("Hint 1 of 3") == 1


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_ends_watching_and_says_how_to_go_on(watched):
    environment = {**os.environ, "PYTHONPATH": str(Path(tinygrad_edu.__file__).parents[1])}
    with subprocess.Popen(
        [sys.executable, "-m", "tinygrad_edu", "practice", "watch", str(watched)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    ) as process:
        lines = []
        while not lines or not lines[-1].startswith("Waiting"):
            lines.append(process.stdout.readline())
            assert lines[-1], process.stderr.read()
        process.send_signal(2)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (1, "")
    assert f"Not yet right. To go on:\n  tinygrad-edu practice watch {watched}" in out
