"""Questions that count: updates of a run, parameters of a network, paths and contributions."""

from __future__ import annotations

import random
from itertools import pairwise
from math import ceil, prod

from ....errors import counted
from ..answers import distinct, listed
from ..candidates import first_of
from ..question import Question, worded

WANTED = 2  # wrong answers

Candidates = list[tuple[int, str]]


def make(draw: random.Random, level: int) -> Question:
    """Returns the question: updates, updates with a rest, parameters, paths, contributions."""
    makers = {
        1: (_updates,),
        2: (_updates_with_rest,),
        3: (_parameters,),
        4: (_paths, _chain_paths, _differences),
        5: (_contributions, _naive_contributions, _unit_contributions),
    }
    return first_of(makers[level], draw, WANTED)


def _about(
    text: str,
    answer: int,
    candidates: Candidates,
    solution: tuple[str, ...],
    hints: tuple[str, ...],
) -> Question:
    """Returns the question whose answer is a count.

    candidates: what others would count, with their misconceptions.
    """
    wrong = distinct(float(answer), [(float(count), name) for count, name in candidates])
    return Question(text=text, answer=float(answer), wrong=wrong, solution=solution, hints=hints)


def _updates(draw: random.Random) -> Question:
    size, batches = draw.choice((4, 5, 10, 20, 25)), draw.choice((2, 3, 4, 5, 8))
    return _run(size * batches, size, draw.choice((2, 3, 5, 10)))


def _updates_with_rest(draw: random.Random) -> Question:
    size, batches = draw.choice((8, 10, 16, 20)), draw.choice((2, 3, 4, 5, 8))
    return _run(size * batches + draw.randrange(1, size), size, draw.choice((3, 5, 10, 20)))


def _run(samples: int, size: int, epochs: int) -> Question:
    """Returns the question about the number of updates of a training run."""
    full = samples // size
    rest = samples % size
    batches = full + (rest > 0)
    answer = batches * epochs
    candidates: Candidates = [
        (full * epochs, "rest dropped"),
        (ceil(samples * epochs / size), "batches across epochs"),
        (samples * epochs, "step for each sample"),
        (epochs, "step for each epoch"),
        (batches, "one epoch"),
        (size * epochs, "batch size times epochs"),
    ]
    split = f"{samples} / {size} = {batches} batches"
    note = ""
    if rest:
        split = f"{full} full batches and one of {rest}, so {batches} batches"
        note = " The last batch of an epoch may be smaller."
    return _about(
        worded(
            f"A training run has {samples} samples, batches of {size}, and {epochs} epochs." + note,
            "How many updates of the weights does it make?",
        ),
        answer,
        candidates,
        solution=(
            f"An epoch has {split}, and each of them makes one update.",
            f"In {epochs} epochs there are {epochs} × {batches} = {answer} updates.",
        ),
        hints=(
            "Each batch makes one update. How many batches are in one epoch?",
            f"Divide {samples} by {size}" + (", and count the rest as a batch." if rest else "."),
            f"An epoch has {split}; there are {epochs} epochs.",
        ),
    )


def _parameters(draw: random.Random) -> Question:
    widths = [draw.randrange(2, 6), *_hidden(draw, (1, 2), 8), draw.choice((1, 1, 2, 3))]
    layers = [*pairwise(widths)]
    weights = sum(inputs * n for inputs, n in layers)
    units = sum(widths[1:])
    answer = weights + units
    candidates: Candidates = [
        (weights, "no biases"),
        (weights + len(layers), "one bias for each layer"),
        (answer + widths[0], "input biases"),
        (units, "units counted"),
    ]
    each = [f"{n} × ({inputs} + 1) = {n * (inputs + 1)}" for inputs, n in layers]
    return _about(
        worded(
            f"A network has {_network(widths)}. Every unit has a weight for each unit of the layer "
            "before it, and a bias.",
            "How many parameters does the network have?",
        ),
        answer,
        candidates,
        solution=(
            "A layer has units × (inputs + 1) parameters: the 1 is the bias.",
            f"The layers have {listed(each)} parameters.",
            f"Together these are {answer}.",
        ),
        hints=(
            "Count layer by layer. The inputs have no parameters.",
            "A unit has as many weights as there are units before it, and one bias.",
            f"The layers have {listed(each)} parameters.",
        ),
    )


def _paths(draw: random.Random) -> Question:
    widths = [draw.randrange(2, 5), *_hidden(draw, (2, 3), 5), 1]
    answer = prod(widths[1:])
    candidates: Candidates = [
        (sum(widths[1:-1]), "widths added"),
        (sum(x * y for x, y in pairwise(widths)), "edges counted"),
        (answer * widths[0], "all inputs"),
    ]
    product = " × ".join(map(str, widths[1:-1]))
    return _about(
        worded(
            f"A network has {_network(widths)}. Every unit is connected to all units of the layer "
            "before it.",
            "How many paths lead from the first input to the output?",
        ),
        answer,
        candidates,
        solution=(
            "A path goes through one unit of each hidden layer, and every choice is possible.",
            f"There are {product} = {answer} paths.",
            "Backpropagation does not walk them one by one: it goes over each connection once.",
        ),
        hints=(
            "A path goes through one unit of each hidden layer.",
            "The choices in different layers do not depend on each other.",
            f"The hidden layers give {listed([*map(str, widths[1:-1])])} choices.",
        ),
    )


def _chain_paths(draw: random.Random) -> Question:
    n = draw.randrange(3, 10)
    candidates: Candidates = [
        (2 * n, "edges counted"),
        (n, "one edge for each node"),
    ]
    return _about(
        worded(
            f"A program begins with a leaf c, and runs the line c = c + c again and again: {n} "
            "times.",
            "How many paths lead from the leaf to the last c?",
        ),
        2**n,
        candidates,
        solution=(
            "Each c = c + c uses c twice, so a path can take its first or its second operand.",
            f"That is 2 choices, {n} times: 2**{n} = {2**n} paths.",
            "It is also the gradient of the leaf, because every local derivative is 1.",
        ),
        hints=(
            "How many ways lead through a single c = c + c?",
            "The choices of the lines multiply.",
            f"There are 2 choices in each of {n} lines.",
        ),
    )


def _differences(draw: random.Random) -> Question:
    parameters = draw.choice((20, 41, 65, 97, 120, 337, 500, 785))
    candidates: Candidates = [
        (parameters, "one run for each weight"),
        (parameters + 1, "one-sided"),
        (1, "as backpropagation"),
    ]
    return _about(
        worded(
            f"A model has {parameters} parameters. Its gradient is estimated with central "
            "differences: (L(w + h) - L(w - h)) / (2h) for each parameter w.",
            "How many times is the loss computed?",
        ),
        2 * parameters,
        candidates,
        solution=(
            "Each parameter needs the loss twice: with w + h, and with w - h.",
            f"These are 2 × {parameters} = {2 * parameters} forward passes.",
            "Backpropagation gets the same derivatives from one forward and one backward pass.",
        ),
        hints=(
            "How often does L occur in the formula for one parameter?",
            "No run can be shared by two parameters, since each run moves only one of them.",
            f"Each of the {parameters} parameters needs 2 runs.",
        ),
    )


def _contributions(draw: random.Random) -> Question:
    n = draw.randrange(3, 11)
    candidates: Candidates = [
        (2**n, "paths counted"),
        (2 ** (n + 1) - 2, "every path walked"),
        (n, "one edge for each node"),
    ]
    return _about(
        worded(
            f"A program begins with a leaf c, and runs the line c = c + c again and again: {n} "
            "times. A backward pass in topological order adds one contribution for each operand of "
            "each operation.",
            "How many contributions does it add?",
        ),
        2 * n,
        candidates,
        solution=(
            "In topological order a node passes on its gradient once, when it is complete.",
            f"There are {n} operations with two operands each: 2 × {n} = {2 * n} contributions.",
            f"The {2**n} paths need not be walked one by one.",
        ),
        hints=(
            "How often does a node pass on its gradient in topological order?",
            "Count the operands of all operations.",
            f"There are {n} operations, and each has two operands.",
        ),
    )


def _naive_contributions(draw: random.Random) -> Question:
    n = draw.randrange(3, 9)
    answer = 2 ** (n + 1) - 2
    candidates: Candidates = [
        (2 * n, "each edge once"),
        (2**n, "paths counted"),
        (n, "one edge for each node"),
    ]
    terms = " + ".join([str(2**i) for i in range(1, n + 1)])
    return _about(
        worded(
            f"A program begins with a leaf c, and runs the line c = c + c again and again: {n} "
            "times. A naive backward pass calls itself for an operand as soon as it has added a "
            "contribution to it.",
            "How many contributions does it add?",
        ),
        answer,
        candidates,
        solution=(
            "The last c adds 2 contributions, and each of them starts a walk from the c before it.",
            f"Line by line these are {terms} = {answer} contributions.",
            f"In topological order {counted(2 * n, 'contribution')} would do.",
        ),
        hints=(
            "Begin at the last line: how many calls does it start, and how many does each of those "
            "start?",
            "From line to line the number of calls doubles.",
            f"Add the contributions of all lines: {terms}.",
        ),
    )


def _unit_contributions(draw: random.Random) -> Question:
    n = draw.randrange(2, 13)
    answer = 4 * n + 1
    candidates: Candidates = [
        (2 * n + 1, "operations counted"),
        (4 * n, "activation left out"),
        (4 * n - 1, "no biases"),
    ]
    return _about(
        worded(
            f"A unit has {n} inputs x and weights w, and a bias b, which are all leaves. It "
            f"computes {n} products w*x, adds them up one by one, adds b, and takes the tanh of "
            "that. A backward pass adds one contribution for each operand of each operation.",
            "How many contributions does it add?",
        ),
        answer,
        candidates,
        solution=(
            f"The {n} products have {2 * n} operands.",
            f"There are {n - 1} additions of products and one of b: {n} additions with {2 * n} "
            "operands.",
            f"With the one operand of tanh these are {2 * n} + {2 * n} + 1 = {answer} "
            "contributions.",
        ),
        hints=(
            "Which operations are there, and how many operands has each?",
            f"There are {n} products, {counted(n, 'addition')} (one of them adds b), and one tanh.",
            f"Products and additions have {2 * n} operands each; tanh has one.",
        ),
    )


def _hidden(draw: random.Random, counts: tuple[int, ...], most: int) -> list[int]:
    return [draw.randrange(2, most + 1) for _ in range(draw.choice(counts))]


def _network(widths: list[int]) -> str:
    hidden = listed([*map(str, widths[1:-1])])
    layers = "a hidden layer" if len(widths) == 3 else "hidden layers"
    outputs = counted(widths[-1], "output")
    return f"{widths[0]} inputs, {layers} of {hidden} units, and {outputs}"
