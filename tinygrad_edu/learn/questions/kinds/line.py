"""Questions about a backward pass with a mistake: which line is the first wrong one?"""

from __future__ import annotations

import random

from ....debug.recording import Event, Recording, record
from ....debug.sentences import factor, gradient
from ....debug.text import short_number
from ....engine.value import Value
from ...misconceptions import BACKWARD
from ..answers import distinct, listed
from ..candidates import best_of
from ..graphs import graph, program
from ..question import Question
from ..steps import deviates, first_wrong_step

ATTEMPTS = 60  # graphs and mistakes among which one with enough wrong answers is looked for
WANTED = 2  # wrong answers
EASY = ("overwrite", "local", "factor", "minus", "square", "constant", "relu")


def make(draw: random.Random, level: int) -> Question:
    """Returns the question about a pass in which several lines may be suspected."""
    y, name, answer, wrong = best_of(lambda: _candidate(draw, level), ATTEMPTS, WANTED)
    recording = record(y, misconception=name)
    lines = _lines(recording)
    return Question(
        text="\n".join([
            program(y),
            "A backward pass, from dy/dy = 1 to the leaves, goes wrong somewhere:",
            *[f"{i:>4}. {line}" for i, line in enumerate(lines, 1)],
            "Which line is the first wrong one? Write its number.",
        ]),
        answer=float(answer),
        wrong=wrong,
        solution=_solution(y, recording, answer),
        hints=(
            "Compute the numbers of the program first. Then check each line, from the top: is its "
            "local derivative right, and is it added to what was there?",
            f"The idea behind the mistake: {BACKWARD[name].title}.",
            f"Look at the lines of {_operation(recording, answer)}.",
        ),
        root=y,
        diagnosis="line {given} is the first wrong one if {title}",
    )


def _candidate(draw: random.Random, level: int) -> tuple[Value, str, int, dict[float | str, str]]:
    """Returns a graph, the mistake of its backward pass, the line, and the wrong answers."""
    names = EASY if level < 3 else tuple(BACKWARD)
    while True:
        y = graph(level, draw, fan_out=level > 1)
        name = draw.choice(names)
        right = record(y)
        shown = record(y, misconception=name)
        if answer := _first_wrong_line(right, shown):
            return y, name, answer, _wrong(right, shown, answer)


def _first_wrong_line(right: Recording, shown: Recording) -> int:
    """Returns the number of the first line that breaks a rule, 0 if none does."""
    for i, event in enumerate(_backward(shown), 1):
        if event.user is not None and (
            _breaks_rule(right, shown, event) or event.adjoint != _gradient(right, event.user)
        ):
            return i
    return 0


def _wrong(right: Recording, shown: Recording, answer: int) -> dict[float | str, str]:
    """Returns the lines at which somebody with a wrong idea would stop."""
    events = _backward(shown)
    candidates: list[tuple[float | str, str]] = []
    for name in EASY:
        # up to the answer all lines are right, and so are their numbers
        doubted = [i for i, event in enumerate(events[:answer], 1) if deviates(right, event, name)]
        candidates += [(float(i), name) for i in doubted[:1]]
    if carried := _carried(right, shown, answer):
        candidates.append((float(carried[0]), "consequence"))
    final = {event.node: i for i, event in enumerate(events, 1)}
    late = [i for node, i in final.items() if events[i - 1].after != _gradient(right, node)]
    candidates.append((float(max(late, default=answer)), "last line"))
    return distinct(float(answer), candidates)


def _carried(right: Recording, shown: Recording, answer: int) -> list[int]:
    """Returns the lines that compute rightly with a number that was wrong before them."""
    numbers: dict[int, float] = {}
    found = []
    for i, event in enumerate(_backward(shown), 1):
        if event.user is not None and i > answer:
            is_right = not _breaks_rule(right, shown, event)
            if (
                is_right
                and event.adjoint == numbers[event.user]
                and event.adjoint != _gradient(right, event.user)
            ):
                found.append(i)
        numbers[event.node] = event.after
    return found


def _breaks_rule(right: Recording, shown: Recording, event: Event) -> bool:
    """Returns whether a step has a wrong local derivative, or does not add."""
    if event.user is None:
        return False
    partials = [recording.partial(event.user, event.operand) for recording in (right, shown)]
    added = (event.before or 0.0) + shown.flow(event)
    return partials[0] != partials[1] or event.after != added


def _backward(recording: Recording) -> list[Event]:
    return [*recording.events[recording.forward:]]


def _gradient(recording: Recording, position: int) -> float:
    """Returns the gradient of a node at the end of a recording."""
    return next(event.after for event in recording.events[::-1] if event.node == position)


def _lines(recording: Recording) -> list[str]:
    """Returns the lines of a backward pass, each with the operation that it goes back through."""
    events = _backward(recording)
    names = [
        recording.operation(event.node if event.user is None else event.user) for event in events
    ]
    width = max(map(len, names))
    lines = []
    seen: set[int] = set()
    for name, event in zip(names, events):
        whole = gradient("y", recording.nodes[event.node].name)
        if event.user is None:
            lines.append(f"{'':{width}}  {whole} = 1")
            continue
        partial = factor(short_number(recording.partial(event.user, event.operand)))
        adjoint = short_number(event.adjoint)
        replaces = BACKWARD[recording.misconception].replaces
        terms = f"{adjoint} × {partial}"
        if event.node in seen and not replaces:
            terms = f"{short_number(event.before)} + {factor(adjoint)} × {partial}"
        seen.add(event.node)
        lines.append(f"{name:{width}}  {whole} = {terms} = {short_number(event.after)}")
    return lines


def _operation(recording: Recording, line: int) -> str:
    user = _backward(recording)[line - 1].user
    return recording.operation(recording.root if user is None else user)


def _solution(y: Value, shown: Recording, answer: int) -> tuple[str, ...]:
    """Returns the sentences that name the line, the rule that it breaks, and what is right."""
    name = shown.misconception
    title, truth = BACKWARD[name].title, BACKWARD[name].truth
    right = record(y)
    sentences = [
        f"Line {answer} is the first wrong one. The idea behind it: {title}.",
        truth,
    ]
    if step := first_wrong_step(y, name):
        sentences.append(f"Right is {right[step - 1].sentence}.")
    if carried := _carried(right, shown, answer):
        many = "Lines" if len(carried) > 1 else "Line"
        verb = "compute" if len(carried) > 1 else "computes"
        lines = listed([*map(str, carried)])
        sentences.append(f"{many} {lines} {verb} rightly, but with a number that is wrong already.")
    return tuple(sentences)
