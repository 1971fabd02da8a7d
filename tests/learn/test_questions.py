"""Questions of every kind: the solution marks itself right, wrong answers come from wrong ideas,
and people's answers are read.

`complaints` is the checker; it is tested with planted faults.  The answers are computed a second
time by plain programs that read the text of the question.
"""

import itertools
import math
import random
import re
from collections import Counter
from dataclasses import replace
from functools import lru_cache
from html import unescape

import pytest
from helpers import ROOT, run_python, scaled

from tinygrad_edu import Stepper, Value, data, learn, nn, optim, parse, record
from tinygrad_edu.learn.misconceptions import BACKWARD, FORWARD, MISCONCEPTIONS, forward, sweep
from tinygrad_edu.learn.questions import KINDS, LEVELS
from tinygrad_edu.learn.questions.answers import (
    UnreadableError,
    as_choice,
    as_formula,
    as_number,
    distinct,
    is_close,
)
from tinygrad_edu.learn.questions.graphs import graph, leaves, paths
from tinygrad_edu.learn.questions.ideas import IDEAS, about
from tinygrad_edu.learn.questions.kinds import classify, line, optimiser, rule
from tinygrad_edu.learn.questions.products import Term, total
from tinygrad_edu.learn.questions.steps import first_wrong_step
from tinygrad_edu.learn.wrong_answers import COUNTS, PATHS, UPDATES
from tinygrad_edu.learn.wrong_rules import LOCAL

GOLDEN = ROOT / "tests" / "golden" / "questions.txt"
DRAWN = [kind for kind in KINDS if kind != "idea"]  # ideas come from the lessons
SEEDS = scaled(100, 1000)
asked = lru_cache(maxsize=5000)(learn.question)  # tests look at the same questions
every_kind = pytest.mark.parametrize("kind", DRAWN)
every_level = pytest.mark.parametrize("level", range(1, LEVELS + 1))
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.]*\()")


# ---- the contract --------------------------------------------------------------------------------


def complaints(question):
    """THE CHECKER: yields a sentence for everything that is wrong with a question."""
    yield from complaints_about_texts(question)
    mark = question.mark(question.shown)
    if not (mark.right and mark.is_read and mark.sentence.startswith("Yes: ")):
        yield f"the answer {question.shown!r} is not right: {mark}"
    if question.choices and {question.answer, *question.wrong} - {*question.choices}:
        yield "an answer is not one of the choices"
    answers = [question.answer, *question.wrong]
    for x, z in itertools.combinations(answers, 2):
        if is_close(x, z, question.variables):
            yield f"{x!r} and {z!r} are the same answer"
    names = list(question.wrong.values())
    if len(set(names)) < len(names):
        yield f"a misconception is named twice: {names}"
    if not names:
        yield "there is no wrong answer"
    for wrong, name in question.wrong.items():
        if name not in MISCONCEPTIONS:
            yield f"{name!r} is not a misconception"
            continue
        yield from complaints_about_mark(question, question.mark(str(wrong)), name)


def complaints_about_mark(question, mark, name):
    """Yields what is wrong with the mark of a known wrong answer."""
    if mark.right or not mark.is_read or mark.misconception != name:
        yield f"the wrong answer of {name!r} is marked as {mark!r}"
    sentence = mark.sentence
    if MISCONCEPTIONS[name].truth not in sentence:
        yield f"the mark does not say what is right: {sentence}"
    if not (sentence.startswith("Not quite: ") and sentence.endswith(".")) or len(sentence) > 400:
        yield f"the mark does not read well: {sentence}"
    yield from broken_words(sentence)
    if mark.step is not None and not 1 <= mark.step <= len(record(question.root)):
        yield f"there is no step {mark.step}"


def complaints_about_texts(question):
    """Yields what is wrong with text, hints and solution."""
    if not question.text.endswith(("?", ".", ")")):
        yield f"the text does not end as a sentence: {question.text[-20:]!r}"
    for text_line in str(question).splitlines():
        if len(text_line) > 80:
            yield f"a line of the text has {len(text_line)} characters"
    if not 2 <= len(question.hints) <= 3 or len(set(question.hints)) < len(question.hints):
        yield f"there are {len(question.hints)} hints, or two are the same"
    for hint in question.hints[:-1]:
        if gives_away(hint, question):
            yield f"a hint gives the answer {question.shown} too early: {hint}"
    solution = " ".join(question.solution)
    if not re.search(rf"(?<![\w.-]){re.escape(question.shown)}(?![\w]|\.\d)", solution):
        yield f"the solution does not have the answer {question.shown}: {solution}"
    for sentence in (question.text, *question.hints, *question.solution):
        yield from broken_words(sentence)


def gives_away(hint, question):
    """Returns whether a hint has the answer, and the text of the question does not."""
    if question.choices:
        # a hint may compare all choices, but must not name the answer alone
        return sum(choice in hint for choice in question.choices) == 1 and question.answer in hint
    if question.variables:
        return f"d{re.search('dy/d(.)', question.text)[1]} = {question.answer}." in hint
    # what is asked for; other numbers may happen to be the same
    asked = {"value": "y", "gradient": "dy/d[a-c]", "path": "product"}.get(question.kind, "[^=]*")
    answer = re.escape(question.shown)
    found = re.search(rf"(?:^|[ :]){asked} (?:.*= )?{answer}(?![\w.]*\w| [×*+/-])", hint)
    return bool(found) and question.shown not in NUMBER.findall(question.text)


def broken_words(text):
    """Yields the places where a template was not filled in well."""
    for pattern in (r"\{\w*\}", r"\bNone\b", r"  \b(?!\w+ ?=)(?=[a-z]+ [a-z])", r"\.\.", r" ,",
                    r"\bnan\b", r"\d{8}", r"\+ -", r"- -", r"× -", r"e-1\d"):
        if found := re.search(pattern, text):
            yield f"{found[0]!r} in {text}"


@every_level
@every_kind
def test_every_question_keeps_the_contract(kind, level):
    for seed in range(SEEDS):
        question = asked(kind, seed, level)
        assert list(complaints(question)) == [], repr(question)
        assert (question.kind, question.seed, question.level) == (kind, seed, level)


@every_level
@every_kind
def test_hints_before_the_last_do_not_have_the_answer_more_often_than_by_chance(kind, level):
    found = Counter()
    for seed in range(100):
        question = asked(kind, seed, level)
        if isinstance(question.answer, float):
            for i, hint in enumerate(question.hints[:-1]):
                numbers = set(NUMBER.findall(hint)) - set(NUMBER.findall(question.text))
                found[i] += question.shown in numbers
    assert max(found.values(), default=0) <= 25, found


@every_level
@every_kind
def test_nine_of_ten_questions_have_two_wrong_answers_or_more(kind, level):
    counts = [len(asked(kind, seed, level).wrong) for seed in range(SEEDS)]
    assert sum(count >= 2 for count in counts) >= 0.9 * SEEDS
    assert min(counts) >= 1


@pytest.mark.parametrize("level", [1, 2, 3])
@every_kind
def test_numbers_are_nice_at_the_first_levels(kind, level):
    for seed in range(SEEDS):
        question = asked(kind, seed, level)
        if isinstance(question.answer, float):
            assert abs(question.answer) < 100_000
            assert round(question.answer, 3) == question.answer, repr(question)
        assert all(len(number) <= 8 for number in NUMBER.findall(question.text)), repr(question)


@every_level
@every_kind
def test_questions_of_a_level_differ(kind, level):
    texts = [asked(kind, seed, level).text for seed in range(100)]
    assert len(set(texts)) >= 20
    answers = Counter(str(asked(kind, seed, level).answer) for seed in range(100))
    assert max(answers.values()) <= 60


def test_questions_about_ideas_keep_the_contract():
    for name, idea in IDEAS.items():
        question = about(name)
        assert question.mark(question.answer).right
        assert {*question.choices} == {question.answer, *question.wrong}
        for wrong, misconception in question.wrong.items():
            mark = question.mark(wrong)
            assert mark.misconception == misconception
            assert list(complaints_about_mark(question, mark, misconception)) == []
        assert idea.claim.lesson in question.hints[0]


def test_the_solution_of_an_idea_is_its_claim_and_the_sentence_of_the_experiment():
    name, idea = next(iter(IDEAS.items()))
    question = about(name)
    claim, experiment = question.solution
    assert claim.endswith(f" shows: {idea.claim.name}.")
    assert experiment.endswith(idea.claim.run().sentence)


def planted():
    """Yields questions with a fault, each with a word of the complaint that is expected."""
    good = asked("gradient", 3, 3)
    first, second, *_ = good.wrong.items()
    yield replace(good, answer=good.answer + 1000), "does not have the answer"
    yield replace(good, wrong={good.answer * 1.0000001: "early"}), "same answer"
    yield replace(good, wrong={first[0]: first[1], first[0] + 1e-12: second[1]}), "same answer"
    yield replace(good, wrong={first[0]: first[1], second[0]: first[1]}), "named twice"
    yield replace(good, wrong={first[0]: "nobody thinks so"}), "not a misconception"
    yield replace(good, wrong={}), "no wrong answer"
    yield replace(good, wrong={math.nan: "early"}), "is marked as"
    yield replace(good, text=good.text + " And" + " so on" * 20 + "?"), "characters"
    yield replace(good, text="What is {name}?"), "{name}"
    yield replace(good, text=good.text.rstrip("?")), "end as a sentence"
    yield replace(good, hints=good.hints[:1]), "1 hints"
    hint = f"The last step is dy/da += 1 × 2 = {good.shown}."
    yield replace(good, hints=(hint, *good.hints[1:])), "too early"
    yield replace(good, solution=("See the book.",)), "does not have the answer"
    yield replace(good, diagnosis="{given} is {title}.."), "'..'"
    chosen = asked("classify", 3, 3)
    yield replace(chosen, answer="plateau"), "not one of the choices"
    hint = f"It is a {chosen.answer}."
    yield replace(chosen, hints=(hint, *chosen.hints[1:])), "too early"
    formula = asked("rule", 3, 3)
    yield replace(formula, wrong={f"0 + {formula.answer}": "factor"}), "same answer"


@pytest.mark.parametrize(("question", "complaint"), list(planted()))
def test_a_planted_fault_is_found(question, complaint):
    assert any(complaint in found for found in complaints_or_error(question))


def complaints_or_error(question):
    """Returns the complaints until an answer that is not a choice makes marking impossible."""
    found = []
    try:
        for complaint in complaints(question):
            found.append(complaint)
    except ValueError as error:
        found.append(f"not one of the choices: {error}")
    return found


# ---- the answers again, from the text ------------------------------------------------------------


def program_of(text):
    """Returns the numbers and the lines of the program in a text, as (name, expression)."""
    given = re.search(r"Given (.*), this program", text)[1]
    numbers = {name: float(x) for name, x in re.findall(r"(\w) = (-?\d+)", given)}
    return numbers, re.findall(r"^    (\w) = (.+)$", text, re.MULTILINE)


def relu(x):
    return max(x, 0.0)


def run(numbers, lines):
    """Returns all numbers after a program has run, by plain Python."""
    state = {**numbers, "relu": relu}
    for name, expression in lines:
        state[name] = eval(expression, {}, state)
    return state


def slope(f, x, h=1e-6):
    return (f(x + h) - f(x - h)) / (2 * h)


@every_level
def test_values_follow_from_the_text(level):
    for seed in range(SEEDS):
        question = asked("value", seed, level)
        assert run(*program_of(question.text))["y"] == question.answer


@every_level
def test_gradients_follow_from_the_text_by_finite_differences(level):
    for seed in range(SEEDS):
        question = asked("gradient", seed, level)
        numbers, lines = program_of(question.text)
        name = re.search(r"What is dy/d(\w)", question.text)[1]

        def y(x, name=name, numbers=numbers, lines=lines):
            return run({**numbers, name: x}, lines)["y"]

        one_sided = [(y(numbers[name] + h) - y(numbers[name])) / h for h in (1e-7, -1e-7)]
        is_kink = not math.isclose(*one_sided, rel_tol=1e-3, abs_tol=1e-3)
        assert is_kink or math.isclose(
            slope(y, numbers[name]), question.answer, rel_tol=1e-5, abs_tol=1e-5
        ), repr(question)


@every_level
def test_paths_of_a_leaf_add_up_to_its_gradient(level):
    for seed in range(SEEDS):
        question = asked("path", seed, level)
        names = re.search(r"the path (.*) contribute", question.text)[1].split()[::2]
        recording = record(question.root)
        products = {}
        for path in paths(recording, names[0]):
            along = (names[0], *[recording.nodes[user].name for user, _, _ in path])
            product = math.prod(recording.partial(user, operand) for user, operand, _ in path)
            products[along] = products.get(along, 0.0) + product
        assert products[tuple(names)] == question.answer
        leaf = next(leaf for leaf in leaves(question.root) if leaf.label == names[0])
        assert sum(products.values()) == leaf.grad
        assert len(products) > 1


@every_level
def test_formulas_are_the_derivatives_of_the_text(level):
    for seed in range(SEEDS):
        question = asked("rule", seed, level)
        text = re.match("y = (.*)", question.text)[1]
        name = re.search(r"What is dy/d(\w)", question.text)[1]
        point = {variable: 0.713 + 0.227 * i for i, variable in enumerate(question.variables)}

        def y(x, name=name, text=text, point=point):
            return parse(text, {**point, name: x}).data

        def at(formula, point=point):
            return parse(formula, point).data

        expected = slope(y, point[name])
        assert math.isclose(at(question.answer), expected, rel_tol=1e-6), repr(question)
        for wrong in question.wrong:
            assert not math.isclose(at(wrong), expected, rel_tol=1e-6), repr(question)


@every_level
def test_the_first_wrong_line_is_the_first_that_breaks_a_rule(level):
    shown = re.compile(r"^ *(\d+)\. (?:(\w) = (.*?))? +dy/d(\w) = (.*)$", re.MULTILINE)
    for seed in range(SEEDS):
        question = asked("line", seed, level)
        numbers, lines = program_of(question.text)
        data_of = run(numbers, lines)
        gradients = {node: sweep(question.root, "")[node] for node in data_of if node != "relu"
                     and node in record(question.root).positions}
        so_far = dict.fromkeys(gradients, 0.0)
        uses = Counter()
        wrong_lines = []
        for number, user, expression, name, written in shown.findall(question.text):
            if not user:
                so_far["y"] = float(written)
                continue
            *terms, result = [part.strip() for part in written.split("=")]
            before, _, product = terms[0].rpartition(" + ")
            adjoint, partial = [float(x.strip("()")) for x in product.split(" × ")]
            earlier = so_far[name]
            so_far[name] = float(before or 0) + adjoint * partial
            assert so_far[name] == float(result)
            places = partials_of(expression, name, data_of)
            use = uses[user, name] % len(places)  # of c + c the first, and then the second
            uses[user, name] += 1
            is_sum = float(before or 0) == earlier and math.isclose(partial, places[use])
            if not (is_sum and adjoint == gradients[user]):
                wrong_lines.append(float(number))
        assert wrong_lines[:1] == [question.answer], repr(question)


def partials_of(expression, name, data_of):
    """Returns the local derivatives of an operation with respect to each place of a name."""
    found = []
    for place in re.finditer(rf"\b{name}\b(?!\()", expression):
        moved = f"{expression[:place.start()]}_x{expression[place.end():]}"

        def f(x, moved=moved):
            return eval(moved, {}, {**data_of, "_x": x})

        is_kink = "relu" in expression and data_of[name] == 0
        # at its kink relu has the subgradient of least norm
        found.append(0.0 if is_kink else round(slope(f, data_of[name], 1e-4), 3))
    return found


def test_an_update_is_what_the_formulas_of_the_text_say():
    for seed in range(SEEDS):
        question = asked("update", seed, 1)
        text = " ".join(question.text.split())
        w, g, rate = [float(x) for x in re.findall(r"is (-?[\d.]+?)[.,]? ", text)]
        assert is_close(w - rate * g, question.answer)
        text = " ".join(asked("update", seed, 2).text.split())
        x, t, w, rate = [float(x) for x in re.findall(r"(?:=|is) (-?\d[\d.]*?)[.,]? ", text)]
        assert is_close(w - rate * 2 * (w * x - t) * x, asked("update", seed, 2).answer)
        text = " ".join(asked("update", seed, 5).text.split())
        numbers = [float(x) for x in re.findall(r"(?:is|rate) (-?\d[\d.]*?)[.,]? ", text)]
        rate, w, g = numbers
        assert is_close(w - math.copysign(rate, g), asked("update", seed, 5).answer)


def test_updates_with_decay_batches_and_momentum_are_what_the_text_says():
    seen = set()
    for seed in range(SEEDS):
        question = asked("update", seed, 3)
        text = " ".join(question.text.split())
        if "decay" in text:
            w, g, rate, decay = [
                float(x) for x in re.findall(r"(?:is|decay of) (-?\d[\d.]*?)[.,]? ", text)
            ]
            expected = w - rate * (g + decay * w)
        else:
            gradients = re.search(r"weight w are (.*?)\. ", text)[1]
            gradients = [float(x) for x in re.findall(r"-?\d+", gradients)]
            w, rate = [float(x) for x in re.findall(r"is (-?\d[\d.]*?)[.,]? ", text)]
            total_of = sum(gradients)
            expected = w - rate * (total_of / len(gradients) if "mean" in text else total_of)
        seen.add(("decay" in text, "mean" in text))
        assert is_close(expected, question.answer), repr(question)
        question = asked("update", seed, 4)
        text = " ".join(question.text.split())
        momentum, rate, w, g1, g2 = [
            float(x) for x in
            re.findall(r"(?:momentum|rate|w =|gradient is|and) (-?\d[\d.]*?)[.,]? ", text)
        ]
        expected = w - rate * g1 - rate * (momentum * g1 + g2)
        assert is_close(expected, question.answer), repr(question)
    assert len(seen) == 3


def test_the_step_of_an_update_must_be_right_and_not_the_weight_only():
    question = learn.question("update", 142, 2)
    assert (question.base, question.answer) == (4.0, 3.98)
    assert question.mark("3.98").right
    assert question.mark("4 - 0.02").right
    assert not question.mark("3.98378").right
    assert not question.mark("3.9799").right


def test_wrong_answers_of_updates_are_known_as_they_are_shown():
    for level, seed in itertools.product(range(1, LEVELS + 1), range(SEEDS)):
        question = asked("update", seed, level)
        for wrong, name in question.wrong.items():
            assert question.mark(f"{wrong:.4g}").misconception == name, repr(question)


def test_momentum_without_the_rate_leaves_it_out_in_both_steps():
    assert learn.question("update", 3, 4).wrong[19.4] == "no rate"


def test_wrong_products_along_a_path_are_not_huge():
    sizes = [abs(wrong) for seed in range(SEEDS) for wrong in asked("path", seed, 5).wrong]
    assert 10 < max(sizes) <= 1e5


def test_counted_updates_are_the_batches_that_the_data_give():
    for seed, level in itertools.product(range(20), (1, 2)):
        question = asked("count", seed, level)
        samples, size, epochs = map(int, re.findall(r"\d+", question.text))
        rows = [[0.0]] * samples
        batches = sum(
            len([*data.batches(rows, rows, size=size, rng=epoch)]) for epoch in range(epochs)
        )
        assert batches == question.answer


def test_counted_parameters_are_those_of_a_network():
    for seed in range(20):
        question = asked("count", seed, 3)
        inputs, *units = map(int, re.findall(r"\d+", question.text))
        assert len(nn.MLP(inputs, units, rng=1).parameters()) == question.answer


def doubled(n):
    c = Value(1.0, "c")
    for _ in range(n):
        c = c + c
    return c


def test_counted_paths_and_contributions_are_those_of_recordings():
    seen = set()
    for seed in range(40):
        for level in (4, 5):
            question = asked("count", seed, level)
            numbers = [int(x) for x in re.findall(r"(?<![\w(])\d+(?!\w)", question.text)]
            n = numbers[0]
            if "central" in question.text:
                kind, counted = "differences", 2 * n
            elif "A network" in question.text:
                kind, counted = "network", paths_of_network(numbers)
            elif "paths" in question.text:
                kind, counted = "chain", doubled_gradient(n)
            elif "naive" in question.text:
                kind, counted = "naive", contributions(record(doubled(n), "naive"))
            elif "tanh" in question.text:
                kind, counted = "unit", contributions(record(unit(n)))
            else:
                kind, counted = "topological", contributions(record(doubled(n)))
            seen.add(kind)
            assert counted == question.answer, repr(question)
    assert len(seen) == 6


def contributions(recording):
    return sum(event.user is not None for event in recording.events)


def doubled_gradient(n):
    leaf = record(doubled(n)).values()[0]
    c = leaf
    for _ in range(n):
        c = c + c
    c.backward()
    return leaf.grad


def unit(n):
    xs = [Value(0.1, f"x{i}") for i in range(n)]
    ws = [Value(0.2, f"w{i}") for i in range(n)]
    products = [w * x for w, x in zip(ws, xs, strict=True)]
    total_of = products[0]
    for product in products[1:]:
        total_of = total_of + product
    return (total_of + Value(0.3, "b")).tanh()


def paths_of_network(widths):
    """Counts the paths from the first input to the output: each unit has those of its operands."""
    counts = [1.0] + [0.0] * (widths[0] - 1)
    for width in widths[1:]:
        counts = [sum(counts)] * width
    return counts[0]


@every_level
def test_points_are_classified_as_the_function_looks_around_them(level):
    for seed in range(SEEDS):
        question = asked("classify", seed, level)
        text = " ".join(question.text.split())
        x, y = 0.0, 0.0
        if level < 4:
            xx, xy, yy = [float(n) for n in re.findall(r"f_.. = (-?\d+)", text)]

            def f(x, y, xx=xx, xy=xy, yy=yy):
                return xx * x * x / 2 + xy * x * y + yy * y * y / 2
        else:
            formula = re.search(r"f\(x, y\) = (.*) is 0", text)[1]
            x, y = [float(n) for n in re.search(r"at \((.*)\)\. Is", text)[1].split(",")]

            def f(x, y, formula=formula):
                return eval(formula, {}, {"x": x, "y": y})

        circle = [i * math.pi / 180 for i in range(360)]
        rises = [f(x + 1e-3 * math.cos(a), y + 1e-3 * math.sin(a)) - f(x, y) for a in circle]
        expected = "saddle point"
        if min(rises) > 0 or max(rises) < 0:
            expected = "minimum" if min(rises) > 0 else "maximum"
        assert question.answer == expected, repr(question)


def test_all_kinds_of_points_are_asked_for_and_all_wrong_tests_occur():
    seen, wrong = set(), set()
    for level, seed in itertools.product(range(1, LEVELS + 1), range(100)):
        question = asked("classify", seed, level)
        seen.add((level, question.answer))
        wrong |= {*question.wrong.values()}
    assert len(seen) == 3 * LEVELS
    assert wrong >= {*classify.TESTS, "half diagonal"} - {"trace"}


def steps_of(name, gradient, start, rate, count):
    """Returns the points of a run of an optimiser, by its textbook formula."""
    w, v, m, s = start, 0.0, 0.0, 0.0
    points = [w]
    for t in range(1, count):
        g = gradient(w)
        m = 0.9 * m + 0.1 * g
        if name == "plain SGD":
            w -= rate * g
        elif name == "SGD with momentum 0.9":
            v = 0.9 * v + g
            w -= rate * v
        elif name == "RMSprop":
            s = 0.99 * s + 0.01 * g * g
            w -= rate * g / (math.sqrt(s) + 1e-8)
        else:
            s = 0.999 * s + 0.001 * g * g
            w -= rate * (m / (1 - 0.9**t)) / (math.sqrt(s / (1 - 0.999**t)) + 1e-8)
        points.append(w)
    return points


@every_level
def test_a_path_is_that_of_the_answer_and_of_no_other_optimiser(level):
    answers = set()
    for seed in range(SEEDS // 2):
        question = asked("optimiser", seed, level)
        answers.add(question.answer)
        text = " ".join(question.text.split())
        start = [float(x) for x in re.findall(r"[xy] = (-?\d+)", text.partition("from")[2])]
        rate = float(re.search(r"rate (\d[\d.]*\d)", text)[1])
        rows = re.findall(r"^    \d +(.*)$", question.text, re.MULTILINE)
        shown = [[float(x) for x in row.split()] for row in rows]
        formula = re.search(r"\) = (.*) from", text)[1]
        curvatures = [float(k or 1) for k in re.findall(r"(?:(\d+) \* )?[xy]\*\*2", formula)]
        fits = []
        for name in optimiser.OPTIMISERS:
            runs = [
                steps_of(name, lambda w, k=k: 2 * k * w, w, rate, len(shown))
                for k, w in zip(curvatures, start, strict=True)
            ]
            points = [*zip(*runs, strict=True)]
            close = [
                math.isclose(x, z, abs_tol=1e-4)
                for row, point in zip(shown, points, strict=True)
                for x, z in zip(row, point, strict=False)
            ]
            fits += [name] * all(close)
        assert fits == [question.answer], repr(question)
    assert len(answers) == 4


# ---- wrong ideas ---------------------------------------------------------------------------------


def test_sweeps_and_forward_passes_without_an_idea_are_right():
    for seed in range(20):
        y = graph(4, random.Random(f"graph {seed}"))
        assert {name: sweep(y, "")[name] for name in "abc" if name in sweep(y, "")} == {
            leaf.label: leaf.grad for leaf in leaves(y)
        }
        recording = record(y)
        right = {node.name: node.data for node in recording.nodes if not node.constant}
        assert forward(y, "") == forward(recording, "") == forward(Stepper(y), "") == right


@pytest.mark.parametrize(("name", "expression", "wrong"), [
    ("double", "a**2", -6.0),
    ("negative square", "a**2", -9.0),
    ("open relu", "relu(a)", -3.0),
    ("mirror relu", "relu(a)", 3.0),
    ("closed relu", "relu(b)", 0.0),
    ("double minus", "b - a", -1.0),
    ("lost minus", "a - b", -1.0),
    ("swapped minus", "a - b", 5.0),
    ("product sign", "a * a", -9.0),
    ("sum of sizes", "a + b", -5.0),
    ("product for sum", "a + b", -6.0),
    ("sum for product", "a * b", -1.0),
])
def test_a_wrong_forward_pass_computes_what_its_idea_says(name, expression, wrong):
    y = parse(expression, a=-3.0, b=2.0)
    y.label = "y"
    assert forward(y, name)["y"] == wrong
    assert wrong != y.data
    assert y.data == parse(expression, a=-3.0, b=2.0).data  # it is not changed


def test_every_wrong_forward_pass_is_tested_above():
    tested = test_a_wrong_forward_pass_computes_what_its_idea_says.pytestmark[0].args[1]
    assert {row[0] for row in tested} == {*FORWARD}


def test_forward_rejects_unknown_names_and_other_things():
    with pytest.raises(ValueError, match="forward: name must be '', 'double'"):
        forward(Value(1.0) + 1, "overwrite")
    with pytest.raises(TypeError, match="must be a Value"):
        forward(3.0, "double")


def test_every_misconception_is_a_clause_with_a_truth():
    for name, idea in MISCONCEPTIONS.items():
        assert name == name.strip()
        assert idea.title == idea.title.strip()
        assert not idea.title.endswith((".", ","))
        assert idea.title[0].islower() or idea.title.startswith(("Adam", "L2", "RMSprop", "`"))
        assert idea.truth.endswith(".")
        assert len(idea.truth) < 200


def test_no_two_misconceptions_have_one_name():
    groups = [BACKWARD, FORWARD, LOCAL, PATHS, UPDATES, COUNTS]
    assert len({name for group in groups for name in group}) == sum(map(len, groups))
    for group in (PATHS, UPDATES, COUNTS):  # an idea of a lesson must not replace one of them
        assert all(MISCONCEPTIONS[name] is idea for name, idea in group.items())
    for group in (BACKWARD, FORWARD, LOCAL):
        assert all(MISCONCEPTIONS[name].truth == wrong.truth for name, wrong in group.items())


def test_every_misconception_about_questions_is_found_by_one():
    named = set()
    for kind, level in itertools.product(DRAWN, range(1, LEVELS + 1)):
        for seed in range(50):
            named |= {*asked(kind, seed, level).wrong.values()}
    of_ideas = {name for idea in IDEAS.values() for name in idea.wrong.values()}
    assert {*BACKWARD, *FORWARD} <= named
    ours = {name for name in MISCONCEPTIONS if name not in of_ideas}
    missing = ours - named
    assert missing == set()


# ---- steps and pictures --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["gradient", "path"])
def test_the_wrong_step_is_on_the_way_to_the_answer(kind):
    for seed in range(30):
        question = asked(kind, seed, 4)
        recording = record(question.root)
        for wrong, name in question.wrong.items():
            step = question.mark(str(wrong)).step
            if name not in BACKWARD:
                continue
            event = recording.events[step - 1]
            ends = [recording.nodes[i].name for i in (event.node, event.user)]
            assert set(ends) <= set(question.involved)


def test_the_wrong_step_is_the_first_with_another_number():
    a = Value(3.0, "a")
    b = a * a
    b.label = "b"
    y = b - a
    y.label = "y"
    steps = {name: first_wrong_step(y, name) for name in ("minus", "overwrite", "factor", "local")}
    words = {name: step and record(y)[step - 1].sentence for name, step in steps.items()}
    assert words["minus"].startswith("dy/da += dy/dy · ∂y/∂a")
    assert "sum: -1 + 3 = 2" in words["overwrite"]
    assert words["factor"] is None  # a * a has two equal factors
    assert first_wrong_step(y, "double") is None
    assert first_wrong_step(a**2, "double") == 1
    assert first_wrong_step(y, "uphill") is None
    assert first_wrong_step(y, "minus", ["a", "b"]) is None


def test_a_question_shows_itself_in_a_notebook_without_its_answer():
    question = asked("value", 5, 3)
    shown = question._repr_mimebundle_()
    assert shown["text/plain"] == str(question)
    assert "<svg" in shown["text/html"]
    assert "What is y?" in shown["text/html"]
    numbers = re.findall(r">(-?\d+\.\d+)<", unescape(shown["text/html"]))
    given = program_of(question.text)[0]
    assert {float(x) for x in numbers} == {*given.values()}
    assert "&lt;svg" not in shown["text/html"]


def test_a_question_without_a_graph_has_no_picture():
    question = asked("count", 1, 1)
    assert question.drawing is None
    assert "<svg" not in question._repr_mimebundle_()["text/html"]
    mark = question.mark(str(next(iter(question.wrong))))
    assert mark.drawing is None
    assert mark.stepper is None
    assert "<svg" not in mark._repr_mimebundle_()["text/html"]


def test_the_picture_of_a_gradient_hides_gradients_and_local_derivatives():
    question = asked("gradient", 7, 3)
    drawing = question.drawing
    assert drawing.look.hide == frozenset({"grad", "derivative"})
    assert "What is" not in drawing.source


def test_a_mark_shows_the_wrong_step_done_right():
    question = asked("gradient", 7, 3)
    wrong, name = next(iter(question.wrong.items()))
    mark = question.mark(str(wrong))
    assert mark.misconception == name == "overwrite"
    assert mark.stepper.position == mark.step
    assert mark.stepper.step.words in mark.drawing.title
    node = mark.drawing.records.by_name[f"n{mark.stepper.recording.events[mark.step - 1].node}"]
    assert node.grad == mark.stepper.step.after
    html = mark._repr_mimebundle_()["text/html"]
    assert "<svg" in html
    assert f"step {mark.step} of" in html
    assert mark.sentence.split(".")[0] in html


def test_the_mark_of_a_value_draws_the_wrong_step_alone():
    question = next(q for q in (asked("value", seed, 3) for seed in range(50))
                    if q.mark(str(next(iter(q.wrong)))).step == 1)
    drawing = question.mark(str(next(iter(question.wrong)))).drawing
    assert len(drawing.records.nodes) <= 3
    shown = {node.data for node in drawing.records.nodes}
    assert record(question.root).events[0].after in shown


def test_marks_of_unknown_and_right_answers_have_no_step():
    question = asked("gradient", 7, 3)
    right = question.mark(question.shown)
    assert right
    assert right.step is None
    unknown = question.mark("1234.5")
    assert not unknown
    assert str(unknown) == "Not yet: 1234.5 is not the answer."
    assert "look at the signs" in str(question.mark(str(-question.answer)))
    parts = [number for number in question.near if number not in question.wrong]
    assert all("It is only a part: " in str(question.mark(str(number))) for number in parts)
    assert parts
    assert unknown.misconception is unknown.step is None


# ---- the same in every process -------------------------------------------------------------------


def as_text(question):
    """Returns all of a question as lines."""
    wrong = [f"wrong {number!r}: {name}" for number, name in question.wrong.items()]
    hints = [f"hint {hint}" for hint in question.hints]
    return "\n".join([str(question), f"answer {question.shown}", *wrong, *hints,
                      *question.solution])


def first_questions():
    """Returns the first 20 questions of each kind, as the golden file has them."""
    return "\n".join([
        f"== {kind} {seed}\n{as_text(learn.question(kind, seed, 2))}\n"
        for kind in DRAWN for seed in range(20)
    ])


def test_the_first_questions_are_those_of_the_golden_file():
    assert first_questions() == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize("hash_seed", ["1", "4711"])
def test_questions_are_the_same_in_every_process(hash_seed):
    code = (
        "import sys, test_questions\n"
        "sys.stdout.reconfigure(encoding='utf-8', newline='')\n"
        "sys.stdout.write(test_questions.first_questions())"
    )
    done = run_python(code, hash_seed=hash_seed)
    assert done.returncode == 0, done.stderr
    assert done.stdout == GOLDEN.read_text(encoding="utf-8")


def test_a_question_does_not_depend_on_the_questions_before():
    first = as_text(learn.question("rule", 3, 3))
    random.seed(1)
    for kind in DRAWN:
        learn.question(kind, 5, 4)
    assert as_text(learn.question("rule", 3, 3)) == first


@pytest.mark.parametrize(("arguments", "error", "message"), [
    (("gradiant",), ValueError, "did you mean 'gradient'"),
    ((3,), TypeError, "question: kind must be text"),
    (("gradient", -1), ValueError, "question: seed must be a whole number >= 0"),
    (("gradient", 1.5), TypeError, "question: seed must be a whole number"),
    (("gradient", 1, 0), ValueError, "question: level must be a whole number from 1 to 5"),
    (("gradient", 1, 6), ValueError, "question: level must be a whole number from 1 to 5"),
])
def test_question_rejects_other_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        learn.question(*arguments)


def test_mark_rejects_what_is_not_text():
    with pytest.raises(TypeError, match="mark: text must be text, not int"):
        learn.question("gradient", 1).mark(-9)


# ---- answers as people write them ----------------------------------------------------------------


@pytest.mark.parametrize(("text", "number"), [
    ("-9", -9), ("\N{MINUS SIGN}9.0", -9), (" -9,0", -9), ("-18/2", -9), ("1e1", 10), ("1,5", 1.5),
    ("2 ½", 2.5), ("2½", 2.5), ("-2 1/2", -2.5), ("dy/da = 4", 4), ("y=-2", -2), ("3.", 3),
    (".5", 0.5), (",5", 0.5), ("50%", 0.5), ("50 %", 0.5), ("+3", 3), ("1 000", 1000),
    ("12\N{NO-BREAK SPACE}000", 12000), ("1'000", 1000), ("1_000", 1000), ("1,234,567", 1234567),
    ("1,234.5", 1234.5), ("1.234,5", 1234.5), ("0,125", 0.125), ("- 9", -9), ("(-9)", -9),
    ("2*3 + 4", 10), ("2 · 3", 6), ("1.5*10^3", 1500), ("1.5 x 10^3", 1500), ("1.5×10³", 1500),
    ("1E2", 100), ("'-9'", -9), ("`3`", 3), ("\N{FULLWIDTH DIGIT NINE}", 9), ("٣", 3), ("007", 7),
    ("minus 9", -9), ("line 4", 4), ("4)", 4), ("#3", 3), ("about 2.5", 2.5), ("≈ 2.5", 2.5),
    ("dy/da = 2*3 = 6", 6), ("\N{ZERO WIDTH SPACE}7", 7), ("-0", 0), ("1e-3", 0.001), ("6;", 6),
    ("\N{EN DASH}1/\N{EN DASH}2", 0.5), ("2**0.5", math.sqrt(2)), ("1\N{FRACTION SLASH}2", 0.5),
    ("-9 = dy/da", -9), ("dy/da is -9", -9), ("-9!", -9), ("3 x -3", -9), ("2 x (1 + 1)", 4),
    ("\N{LEFT DOUBLE QUOTATION MARK}-9\N{RIGHT DOUBLE QUOTATION MARK}", -9), ("10⁻³", 0.001),
    ("2¹⁰", 1024), ("dy/da = -9 = dy/da", -9),
])
def test_numbers_are_read_as_people_write_them(text, number):
    assert as_number(text) == pytest.approx(number, rel=1e-15)


NONSENSE = (
    "", " ", "\n", "?", "nan", "inf", "-inf", "infinity", "1/0", "0/0", "1e999", "-1e999",
    "1e99999", "9" * 5000, "9" * 150 + "!", "1" * 190 + "x", "__import__('os')", "exec('1')", "🙂",
    "🙂🙂", "e", "hello", "I don't know", "True", "None", "3 4", "1e", "0x10", "1//2", "2**9999",
    "9**9**9**9", "()", "((", "(" * 199, "-" * 199, "--", "-", "+", ".", ",", "%", "=", "==", "/",
    "*", "1/", "/1", "\x00", "\ud800", "\x1b[31m", "1;2", "1:2", "[1]", "1j", "½½", "²", "1,2,3",
    "1.2.3", "3!", "a", "{given}", "%s", "\\", "'", '"', "1,234", "<b>1</b>", "1 or 2",
    "a" * 199, "#", "line", "minus", "\u202e9a", "∞", "π", "√2",
)


@pytest.mark.parametrize("text", NONSENSE, ids=range(len(NONSENSE)))
@pytest.mark.parametrize("kind", ["gradient", "rule", "classify", "line", "update"])
def test_nonsense_gets_a_kind_sentence_and_does_not_count(kind, text):
    question = asked(kind, 11, 3)
    mark = question.mark(text)
    if mark.is_read:  # "1/0" has letters for nobody, but "a" is a choice and a formula
        assert kind in ("rule", "classify")
        assert mark.sentence.startswith(("Not yet: ", "Not quite: ", "Yes: "))
        return
    assert not mark.right
    assert mark.misconception is mark.step is None
    assert mark.sentence.lower().endswith("this did not count.")
    assert len(mark.sentence) < 300
    assert mark.sentence.isprintable()


def test_only_formulas_and_letters_among_the_nonsense_are_read():
    read = {kind: [text for text in NONSENSE if asked(kind, 11, 3).mark(text).is_read]
            for kind in ("gradient", "rule", "classify", "line", "update")}
    assert read["gradient"] == read["line"] == read["update"] == []
    assert set(read["classify"]) == {"a"}
    assert {"e", "a", "a" * 199, "1,234"} <= set(read["rule"])
    assert set(read["rule"]) <= {"e", "a", "a" * 199, "1,234", "1//2", "1e", "\u202e9a"}


def test_random_text_never_raises_and_is_fast():
    draw = random.Random("text")
    letters = "0123456789ab+-*/^().,=e%  '½²\N{MINUS SIGN}×√<>[]_:\n\\\"" + "🙂\u200f\x00\ud800πé"
    questions = [asked(kind, 3, 3) for kind in ("gradient", "rule", "classify")]
    for _ in range(scaled(2000, 50_000)):
        text = "".join(draw.choice(letters) for _ in range(draw.randrange(1, 30)))
        for question in questions:
            mark = question.mark(text)
            assert mark.sentence.endswith(".")


def test_a_number_with_two_readings_is_asked_for_again():
    with pytest.raises(UnreadableError, match=r"in two ways: write 1234 or 1\.234; this did not"):
        as_number("1,234")


@pytest.mark.parametrize("text", ["b", "B", "b)", "B)", "(b)", "b.", "[b]", "b:", "b) RMSprop",
                                  "answer b", "RMSprop", "rmsprop", " rms ", "'b'", "RMSprop."])
def test_choices_are_read_as_people_write_them(text):
    choices = ["SGD", "RMSprop", "SGD with momentum"]
    assert as_choice(text, choices) == "RMSprop"


def test_a_choice_is_read_by_its_text_before_a_part_of_another():
    choices = ["SGD", "RMSprop", "SGD with momentum"]
    assert as_choice("sgd", choices) == "SGD"
    assert as_choice("momentum", choices) == "SGD with momentum"
    for text in ("d", "s", "with sgd", "2", "a) RMSprop", ""):
        with pytest.raises(UnreadableError, match="letter from a to c; this did not count"):
            as_choice(text, choices)


@pytest.mark.parametrize("text", [
    "2ab", "2*a*b", "2a*b", "2 a b", "a b*2", "2AB", "dy/da = 2ab", "2·a·b", "b*a*2", "a*b + a*b",
    "(a+a)b", "2(ab)", "4ab/2", "2,0ab", "2 a² b/a", "2a^1b", "`2ab`",
])
def test_formulas_are_read_as_people_write_them(text):
    formula = as_formula(text, ("a", "b"))
    assert is_close(formula, "2*a*b", ("a", "b"))


@pytest.mark.parametrize(("text", "formula"), [
    ("a^2", "a**2"), ("a²", "a*a"), ("-1", "0 - 1"), ("a²b", "a**2*b"), ("exp(ab)", "exp(a*b)"),
    ("3 exp(a)b", "3*exp(a)*b"), ("(a+b)(a-b)", "a**2 - b**2"), ("a(b+1)", "a*b + a"),
    ("1/(2a)", "0.5/a"), ("1/a²", "a**(-2)"), ("e^a", "exp(a)"), ("pi a", "pi*a"),
    ("\N{MINUS SIGN}a", "-a"), ("2^ab", "2**a*b"), ("1 - tanh(a b)^2", "1 - tanh(a*b)**2"),
    ("ln(a)", "log(a)"), ("2ln(b)", "2*log(b)"), ("tanh²(a)", "tanh(a)**2"), ("b³", "b**3"),
    ("1 - tanh²(a(b+1))b", "1 - tanh(a*b + a)**2*b"), ("a⁻¹", "1/a"), ("a¹⁰", "a**10"),
    ("sin^2(a)cos(b)", "sin(a)**2*cos(b)"), ("2a = dy/da", "2*a"), ("dy/da is 2ab", "2*a*b"),
    ("tanh²(tanh²(a))", "tanh(tanh(a)**2)**2"),
])
def test_formulas_mean_what_they_look_like(text, formula):
    assert is_close(as_formula(text, ("a", "b")), formula, ("a", "b"))


@pytest.mark.parametrize(("text", "message"), [
    ("1/2a", "in two ways"), ("a/b c", "c"), ("a2", "in two ways"), ("(a+b)2", "in two ways"),
    ("2x", "'x' does not occur in the question; write a formula of a and b"),
    ("exp a", r"brackets: exp\(a\)"), ("√a", r"a root is written sqrt\(a\)"), ("nan", "occur"),
    ("1/0", "no value"), ("a*", "not a formula"), ("a < b", "not a formula"),
    ("log(-1)", "no value"),
    ("a.b", "not a formula"), ("lambda: a", "not a formula"), ("a if b else a", "not a formula"),
])
def test_what_is_wrong_with_a_formula_is_said(text, message):
    with pytest.raises(UnreadableError, match=message):
        as_formula(text, ("a", "b"))


# ---- comparing -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("x", "z", "same"), [
    (0.3333, 1 / 3, True), (0.33, 1 / 3, False), (1000.0, 1001.0, False), (0.0, 1e-12, True),
    (2.0, 2.0004, True), (-2.0, 2.0, False), (math.inf, 3.0, False), ("a", "a", True),
    (4416.0, 4417.0, False), ("a", "b", False),
])
def test_answers_are_compared_in_four_digits_and_whole_numbers_exactly(x, z, same):
    assert is_close(x, z) is is_close(z, x) is same


@pytest.mark.parametrize(("x", "z", "same"), [
    ("2*a", "a + a", True), ("a**2", "a*a", True), ("log(a)", "2*log(a)", False),
    ("log(a)", "log(a)", True), ("0.3333*a", "a/3", True), ("a", "-a", False),
    ("abs(a)", "a", False), ("a*b", "b*a", True), ("where(a < b, a, b)", "minimum(a, b)", True),
    ("where(a < b, a, b)", "a", False), ("1/a", "a**(-1)", True), ("sqrt(a**2)", "a", False),
])
def test_formulas_are_compared_at_points(x, z, same):
    assert is_close(x, z, ("a", "b")) is same


def test_distinct_keeps_the_first_of_equal_answers_and_names():
    candidates = [(3.0, "a"), (2.0, "b"), (2.0001, "c"), (5.0, "b"), (4.0, "d"), (math.nan, "e")]
    assert distinct(3.0, candidates) == {2.0: "b", 4.0: "d"}
    assert distinct("2*a", [("a + a", "x"), ("a", "y"), ("1*a", "z")], ("a",)) == {"a": "y"}


# ---- products ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "written"), [
    ("1 * b", "b"), ("2 * b ** (2 - 1)", "2 * b"), ("-(a / b ** 2)", "-a / b**2"),
    ("1 / a", "1 / a"),
    ("a * 2 * a", "2 * a**2"), ("a / (b * c)", "a / (b * c)"), ("(a - b) ** 2", "(a - b)**2"),
    ("exp(a * b) * a", "a * exp(a * b)"), ("1 - tanh(a) ** 2", "(1 - tanh(a)**2)"), ("3", "3"),
    ("-1", "-1"), ("a / a", "1"), ("-a * -a", "a**2"), ("2 * (a + b)", "2 * (a + b)"),
])
def test_products_are_written_as_people_write_them(text, written):
    assert str(Term.of(text)) == written
    assert is_close(written, text, ("a", "b", "c"))


def test_sums_add_terms_with_the_same_factors():
    assert total([Term.of("a"), Term.of("2 * a"), Term.of("-b")]) == "3 * a - b"
    assert total([Term.of("-a"), Term.of("b")]) == "-a + b"
    assert total([Term.of("a"), Term.of("-a")]) == "0"
    assert total([Term.of("-a - b")]) == "(-a - b)"


def test_the_derivative_of_a_formula_with_an_idea_leaves_out_what_the_idea_forgets():
    recording = rule.recorded("(a * b - a)**2")
    assert is_close(
        rule.derivative(recording, "a"), "2*(a*b - a)*(b - 1)", ("a", "b")
    )
    assert rule.derivative(recording, "a", "overwrite") in ("-2 * (a * b - a)",
                                                            "2 * (a * b - a) * b")
    single = rule.recorded("(a * b)**2")
    assert rule.derivative(single, "a", "inner left out") == "2 * a * b"
    assert rule.derivative(single, "a", "outer left out") == "b"


def test_plans_of_graphs_have_the_fan_out_that_is_asked_for():
    for seed, wants in itertools.product(range(30), (True, False)):
        y = graph(3, random.Random(seed), fan_out=wants)
        recording = record(y)
        users = [arg for node in recording.nodes for arg in node.args
                 if not recording.nodes[arg].constant]
        assert (len(users) > len(set(users))) is wants


def test_an_optimiser_steps_as_optim_does():
    setting = optimiser.Setting("3 * x**2", (2.0,), 0.1)
    path = optimiser.path(setting, lambda w, rate: optim.SGD(w, rate))
    assert path[:2] == [((2.0,), (12.0,)), ((2.0 - 0.1 * 12.0,), (6 * (2.0 - 0.1 * 12.0),))]


def test_a_pass_with_every_idea_occurs_among_the_lines():
    shown = set()
    for seed in range(100):
        question = asked("line", seed, 4)
        shown |= {name for name in BACKWARD if f"{BACKWARD[name].title}." in question.hints[1]}
    assert shown == {*BACKWARD}
    assert {*line.EASY} == {*BACKWARD} - {"early"}
