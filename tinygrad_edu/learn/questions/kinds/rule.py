"""Questions about rules: a derivative as a formula.  Wrong formulas come from wrong rules on names.

    >>> derivative(recorded("a * b**2"), "b"), derivative(recorded("a * b**2"), "b", "square")
    ('2 * a * b', 'a * b**2')
"""

from __future__ import annotations

import random
import re
from functools import reduce
from itertools import pairwise
from operator import mul
from typing import Any

from ....debug.recording import Edge, Recording, record
from ....engine.primitive import lookup
from ....symbolic.expressions import parse, variables_of
from ....symbolic.formulas import Name
from ...misconceptions import BACKWARD, LOCAL
from ..answers import distinct, listed
from ..candidates import best_of
from ..graphs import paths
from ..products import Term, total
from ..question import Question
from ..steps import IDEAS

ATTEMPTS = 20  # formulas among which one with enough wrong answers is looked for
WANTED = 3  # wrong answers
INNER_NAMES = "uvwpqr"  # of the operations within the formula
# formulas of a, b and c, and numbers k and n, for each level
FORMULAS: tuple[tuple[str, ...], ...] = (
    ("a**{n}", "{k} * a**{n}", "a * b", "{k} * a * b", "a**{n} - b", "b - a**{n}"),
    ("a * b**{n}", "{k} * a**2 * b", "a**2 * b**{n}", "{k} * a * b**{n}", "{k} * a * b * c",
     "(a - b) * c", "a**{n} - {k} * a * b"),
    ("(a * b)**2", "(a - b)**{n}", "({k} * a - b)**2", "(a * b - c)**2", "{k} * (a * b)**{n}",
     "(a - {k} * b)**2 * c"),
    ("exp({k} * a)", "exp(a * b)", "sin({k} * a * b)", "a * exp({k} * b)", "log(a) * b**{n}",
     "tanh({k} * a)", "a**{n} / b", "{k} / a", "a / b**2", "sin(a)**2", "cos({k} * a) * b"),
    ("exp(-{k} * a**2)", "a * exp({k} * a * b)", "(a * b - {k} * a)**2", "a**{n} * b - a * b**2",
     "sin(a**{n} * b)", "log(a**2) * b", "tanh(a * b - c)**2", "{k} * a * tanh(a)",
     "(a - exp({k} * b))**2", "a / (a + {k} * b)", "cos(a**{n})**2"),
)


def make(draw: random.Random, level: int) -> Question:
    """Returns the question about a formula that many misconceptions get wrong."""
    text, name, wrong = best_of(lambda: _candidate(draw, level), ATTEMPTS, WANTED)
    recording = recorded(text)
    variables = tuple(sorted(variables_of(text)))
    answer = derivative(recording, name)
    lines = [recording.operation(i) for i, node in enumerate(recording.nodes) if node.op]
    written = [line.replace(" ** ", "**") for line in lines]
    edges = list(dict.fromkeys([edge for path in paths(recording, name) for edge in path]))
    rules = [_rule_sentence(recording, edge) for edge in edges]
    local = "The local derivatives are" if len(rules) > 1 else "The local derivative is"
    first = "Which rule belongs to this operation?"
    if len(lines) > 1:
        first = f"Split it into single operations: {', then '.join(written)}."
    return Question(
        text=f"y = {text}\nWhat is dy/d{name}? Write a formula of {listed(variables)}, such as "
             f"1 + 2*{variables[0]}.",
        answer=answer,
        wrong=wrong,
        solution=(
            f"Operation by operation this is {', then '.join(written)}.",
            f"{local} {listed(rules)}.",
            _conclusion(recording, name, answer),
        ),
        hints=(first, f"{local} {listed(rules)}."),
        variables=variables,
    )


def recorded(text: str) -> Recording:
    """Returns the recording of a formula, whose operations are named u, v, ..., y."""
    root = parse(text, dict.fromkeys(variables_of(text), 1.5))
    names = iter(INNER_NAMES)
    for node in record(root).values():
        if node.op and not node.label:
            node.label = next(names)
            last = node
    last.label = "y"
    return record(last)


def derivative(recording: Recording, name: str, wrong: str = "") -> str:
    """Returns the derivative of the root as a formula of the leaves.

    name: the leaf.
    wrong: a misconception whose rules are used instead of the right ones, "" for none; "inner left
        out", "outer left out" or "local" leave out factors, "overwrite" all terms except the last.
    """
    texts = _texts(recording)
    terms = []
    for path in paths(recording, name):
        if wrong in ("inner left out", "outer left out", "local"):
            path = {
                "inner left out": path[1:], "outer left out": path[:-1], "local": path[:1],
            }[wrong]
        factors = [Term.of(_partial(recording, edge, texts, wrong)) for edge in path]
        terms.append(reduce(mul, factors, Term()))
    return total(terms[-1:] if wrong == "overwrite" else terms)


def _texts(recording: Recording) -> list[Any]:
    """Returns each node as a formula of the leaves, and numbers as floats."""
    texts: list[Any] = []
    for node in recording.nodes:
        if node.op:
            args = tuple([texts[arg] for arg in node.args])
            texts.append(Name.apply_primitive(lookup(node.op), args))
        else:
            texts.append(node.data if node.constant else Name(node.name))
    return texts


def _partial(recording: Recording, edge: Edge, texts: list[Any], wrong: str) -> Any:
    """Returns the formula of a local derivative, right or wrong."""
    user, operand, _ = edge
    node = recording.nodes[user]
    row = lookup(node.op)
    rules = dict(enumerate(row.textbook or row.partials))
    if wrong in IDEAS and (node.op, operand) in IDEAS[wrong].rules:
        rules[operand] = IDEAS[wrong].rules[node.op, operand]
    return rules[operand](*[texts[arg] for arg in node.args], texts[user])


def _candidate(draw: random.Random, level: int) -> tuple[str, str, dict[float | str, str]]:
    """Returns a formula, the name to differentiate with respect to, and the wrong answers."""
    text = draw.choice(FORMULAS[level - 1])
    text = text.format(k=draw.randrange(2, 7), n=draw.randrange(2, 5))
    variables = sorted(variables_of(text))
    name = draw.choice(variables)
    recording = recorded(text)
    ideas = [*BACKWARD, *LOCAL, "inner left out", "outer left out"]
    if re.search(r"\*\*[34]", text):  # these two are about squares
        ideas = [idea for idea in ideas if idea not in ("square", "constant")]
    candidates = [(derivative(recording, name, idea), idea) for idea in ideas]
    return text, name, distinct(derivative(recording, name), candidates, variables)


def _rule_sentence(recording: Recording, edge: Edge) -> str:
    user, operand, arg = edge
    names = [recording.nodes[position].name for position in (user, arg)]
    return f"∂{names[0]}/∂{names[1]} = {Term.of(recording.rule(user, operand))}"


def _conclusion(recording: Recording, name: str, answer: str) -> str:
    """Returns the sentence that puts the local derivatives together."""
    products = []
    for path in paths(recording, name):
        names = [name, *[recording.nodes[user].name for user, _, _ in path]]
        factors = [f"∂{user}/∂{arg}" for arg, user in pairwise(names)]
        products.append(" · ".join(factors[::-1]))
    by_rule = "By the chain rule " if "·" in "".join(products) else "So "
    return f"{by_rule}dy/d{name} = {' + '.join(products)} = {answer}."
