"""Uses: mirror symmetry in 1986, pictures, recommendations, and learning to steer."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from math import exp, sqrt
from statistics import fmean
from typing import Annotated, Any, Literal

from .... import math, nn, optim
from ....engine.interpreter import no_grad
from ....engine.value import Value
from ...evidence import Evidence, claim
from ...settings import Range
from ..lesson import Card, Cover, IdeaQuestion, Lesson, Part
from .training import fitted

# ---- mirror symmetry

INPUTS = 6
STARTS = 20  # about half of them do not solve the task
SWEEPS = 500  # between two looks at the outputs
MOST_SWEEPS = 1500
MARGIN = 0.2  # between outputs and targets; 0.5 would be enough to tell them apart


def patterns() -> tuple[list[list[float]], list[float]]:
    """Returns all patterns of `INPUTS` zeros and ones, and 1.0 for those with mirror symmetry."""
    rows = [[float(i >> k & 1) for k in range(INPUTS)] for i in range(2**INPUTS)]
    return rows, [float(row == row[::-1]) for row in rows]


def symmetry_network(draw: random.Random, hidden: int) -> tuple[Any, int]:
    """Trains a network on all patterns, and returns it with its number of sweeps.

    The number is 0 if it does not solve the task.

    Source of the settings: Rumelhart, Hinton and Williams, Learning representations by
    back-propagating errors, Nature 323 (1986).
    """

    def init(fan_in: int, fan_out: int, draw: random.Random) -> float:
        return draw.uniform(-0.3, 0.3)

    X, y = patterns()
    model: Any = nn.MLP(INPUTS, [hidden, 1], "sigmoid", "sigmoid", init, draw)
    for layer in model.layers:
        for neuron in layer.neurons:
            neuron.b.data = draw.uniform(-0.3, 0.3)
    descent = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for done in range(0, MOST_SWEEPS, SWEEPS):
        # `fit` takes the mean over the patterns; the paper has half the sum
        fitted(model, lambda p, t: len(X) / 2 * (p - t)**2, X, y, descent, SWEEPS)
        with no_grad():
            outputs = [float(model(x)) for x in X]
        if all(abs(output - t) < MARGIN for output, t in zip(outputs, y)):
            return model, done + SWEEPS
    return model, 0


@claim("hidden units discover mirror symmetry", lesson="uses", negation={"hidden": 1, "starts": 3})
def finds_symmetry(
    seed: int,
    hidden: Annotated[int, Range(1, 2)] = 2,
    starts: Annotated[int, Range(1, STARTS)] = STARTS,
) -> Evidence:
    """Two hidden units find weights of opposite sign for mirrored inputs, as in 1986.

    hidden: the number of hidden units.
    starts: the number of random starts that are tried at most.
    """
    draw = random.Random(533 + seed)
    start = 0
    sweeps = 0
    while not sweeps and start < starts:
        start += 1
        model, sweeps = symmetry_network(draw, hidden)
    units = [[w.data for w in neuron.w] for neuron in model.layers[0].neurons]
    gap = max(
        abs(a + b) / max(map(abs, unit)) for unit in units for a, b in zip(unit, reversed(unit))
    )
    sizes = sorted(map(abs, units[0][:INPUTS // 2]))
    pairs = range(INPUTS // 2)
    rows = [
        (f"{i + 1} and {INPUTS - i}", *[f"{unit[k]:.2f}" for unit in units for k in (i, -i - 1)])
        for i in pairs
    ]
    second, third = (size / sizes[0] for size in sizes[1:])
    found = f"start {start} solves all {2**INPUTS} patterns in {sweeps} steps."
    if not sweeps:
        found = f"no start of {starts} solves the {2**INPUTS} patterns."
    return Evidence(
        sweeps > 0 and gap < 0.01,
        {
            "starts": start, "sweeps": sweeps, "gap": gap, "patterns": 2**INPUTS,
            "second": second, "third": third,
            "luck": "Here the first one did" if start == 1 else f"Here number {start} was the first"
            " that did",
        },
        f"The experiment of 1986, repeated: {found} In each hidden unit two weights of mirrored "
        f"inputs add up to at most {100 * gap:.3g}% of the largest weight.",
        (("inputs", *[f"{w} {k}" for k in range(1, len(units) + 1) for w in ("unit", "mirror")]),
         *rows),
    )


# ---- pictures

SIDE = 5
SHAPES = ("row", "column", "cross")
PICTURES = 120
UNSEEN = 300
SHADES = ".:oO"


def picture(shape: int, draw: random.Random) -> list[float]:
    """Returns the pixels of a noisy picture: a row, a column, or a cross of both."""
    bright = {(r, k) for r, k in _pixels(draw.randrange(SIDE), draw.randrange(SIDE), shape)}
    return [
        ((r, k) in bright) + draw.gauss(0.0, 0.25) for r in range(SIDE) for k in range(SIDE)
    ]


def _pixels(row: int, column: int, shape: int) -> list[tuple[int, int]]:
    bar = [(row, k) for k in range(SIDE)]
    pole = [(r, column) for r in range(SIDE)]
    return (bar, pole, bar + pole)[shape]


def pictures(n: int, draw: random.Random) -> tuple[list[list[float]], list[int]]:
    """Returns n pictures, and their shapes."""
    shapes = [i % len(SHAPES) for i in range(n)]
    return [picture(shape, draw) for shape in shapes], shapes


def shaded(pixels: Sequence[float], row: int) -> str:
    """Returns a row of a picture as text, a sign for each pixel."""
    shades = [min(max(x, 0.0), 0.999) for x in pixels[row * SIDE:(row + 1) * SIDE]]
    return "".join([SHADES[int(x * len(SHADES))] for x in shades])


Pictures = tuple[list[list[float]], list[int]]


def picture_network(seed: int, shuffled: bool = False) -> tuple[Any, Pictures, Pictures]:
    """Trains a network on some pictures; returns it, these pictures with their shapes, and others.

    shuffled: whether it learns the shapes in a random order.
    """
    draw = random.Random(seed)
    X, y = pictures(PICTURES, draw)
    unseen = pictures(UNSEEN, draw)
    if shuffled:
        draw.shuffle(y)
    model = nn.MLP(SIDE**2, [12, len(SHAPES)], "relu", init="he", rng=draw)
    adam = optim.Adam(model.parameters(), lr=0.03)
    fitted(model, nn.cross_entropy, X, y, adam, 15, batch_size=10, rng=draw)
    return model, (X, y), unseen


@claim("a network names pictures it has not seen", lesson="uses", negation={"shuffled": True})
def names_pictures(seed: int, shuffled: bool = False) -> Evidence:
    """After a few pictures of shapes, most new ones are named right.

    shuffled: whether the names are given to the pictures at random.
    """
    model, known, unseen = picture_network(seed, shuffled)
    first = known[0][:len(SHAPES)]
    samples = [[shaded(pixels, row) for pixels in first] for row in range(SIDE)]
    how = ", with shuffled names," if shuffled else ""
    with no_grad():
        train, right = (
            fmean(nn.accuracy(model(x), t) for x, t in zip(*pair)) for pair in (known, unseen)
        )
    return Evidence(
        right > 0.75,
        {"train": 100 * train, "right": 100 * right, "pictures": PICTURES},
        f"Of the {PICTURES} pictures that it has learned{how} the network names "
        f"{100 * train:.0f}% right, and of {UNSEEN} new ones {100 * right:.0f}%. The table shows "
        "three of them.",
        (SHAPES, *[tuple(row) for row in samples]),
    )


# ---- recommendations

USERS = 10
FILMS = 8


def ratings(draw: random.Random, noise: float) -> dict[tuple[int, int], float]:
    """Returns a rating for each user and film: how well two tastes fit, with noise."""
    users, films = ([[draw.gauss(0.0, 1.0) for _ in range(2)] for _ in range(n)]
                    for n in (USERS, FILMS))
    return {
        (i, j): sum(a * b for a, b in zip(user, film)) + draw.gauss(0.0, noise)
        for i, user in enumerate(users) for j, film in enumerate(films)
    }


@claim("a recommender predicts missing ratings", lesson="uses", negation={"noise": 3.0})
def recommends(seed: int, noise: Annotated[float, Range(0, 10)] = 0.1) -> Evidence:
    """Two numbers for each user and film, learned from some ratings, predict the other ones.

    noise: the standard deviation of the noise in the ratings.
    """
    draw = random.Random(seed)
    table = ratings(draw, noise)
    pairs = list(table)
    draw.shuffle(pairs)
    known = pairs[:7 * len(pairs) // 10]
    missing = pairs[len(known):]
    users, films = ([[Value(draw.gauss(0.0, 0.3)) for _ in range(2)] for _ in range(n)]
                    for n in (USERS, FILMS))
    numbers = [number for row in (*users, *films) for number in row]

    def rating(i: int, j: int) -> Any:
        return users[i][0] * films[j][0] + users[i][1] * films[j][1]

    adam = optim.Adam(numbers, lr=0.1)
    for _ in range(100):
        errors = sum((rating(i, j) - table[i, j])**2 for i, j in known)
        loss: Any = errors / len(known) + 0.01 * nn.l2(numbers)
        adam.zero_grad()
        loss.backward()
        adam.step()
    mean = fmean(table[pair] for pair in known)
    error = sqrt(fmean((rating(*pair).data - table[pair])**2 for pair in missing))
    guess = sqrt(fmean((mean - table[pair])**2 for pair in missing))
    rows = [
        (f"{i + 1} and {j + 1}", f"{table[i, j]:.2f}", f"{rating(i, j).data:.2f}")
        for i, j in missing[:5]
    ]
    return Evidence(
        error < 0.8 * guess,
        {"error": error, "guess": guess, "known": len(known), "all": len(pairs)},
        f"From {len(known)} of {len(pairs)} ratings it predicts the other {len(missing)} with a "
        f"root mean square error of {error:.2f}. Guessing the mean rating gives {guess:.2f}.",
        (("user and film", "rating", "predicted"), *rows),
    )


# ---- steering

EDGE = 2  # the car is on the road from -EDGE to EDGE
MOST_STEPS = 30
DRIVES = 50


def drive(wheel: Mapping[int, Value], draw: random.Random) -> tuple[int, list[Value]]:
    """Drives until the car leaves the road, or for `MOST_STEPS` steps.

    wheel: for each place on the road a number x; the car steers right with probability
        sigmoid(x), else left.

    Returns the number of steps, and the logarithm of the probability of each action.
    """
    place = 0
    logs: list[Value] = []
    while abs(place) <= EDGE and len(logs) < MOST_STEPS:
        x = wheel[place]
        is_right = draw.random() < 1 / (1 + exp(-x.data))
        logs.append(math.logsigmoid(x if is_right else -x))
        place += 1 if is_right else -1
        if draw.random() < 0.3:  # a gust of wind
            place += draw.choice((-1, 1))
    return len(logs), logs


@claim("a car learns to steer from rewards", lesson="uses", negation={"sign": -1})
def steers(seed: int, sign: Literal[-1, 1] = 1) -> Evidence:
    """From nothing but how long it stayed on the road, a car learns to steer towards the middle.

    sign: whether actions that went well become more (1) or less (-1) probable.

    Source: REINFORCE with a baseline, R. J. Williams, Machine Learning 8 (1992).
    """
    draw = random.Random(seed)
    wheel = {place: Value(0.0) for place in range(-EDGE, EDGE + 1)}
    before = fmean(drive(wheel, draw)[0] for _ in range(DRIVES))
    ascent = optim.SGD(list(wheel.values()), lr=1.0)
    usual = before
    for _ in range(300):
        steps, logs = drive(wheel, draw)
        loss: Any = -sign * (steps - usual) / MOST_STEPS * sum(logs)
        ascent.zero_grad()
        loss.backward()
        ascent.step()
        usual += 0.1 * (steps - usual)
    after = fmean(drive(wheel, draw)[0] for _ in range(DRIVES))
    chances = [1 / (1 + exp(-x.data)) for x in wheel.values()]
    names = ("left edge", "left", "middle", "right", "right edge")
    rows = [(name, f"{100 * p:.0f}%") for name, p in zip(names, chances)]
    return Evidence(
        after > 2 * before,
        {"before": before, "after": after, "most": MOST_STEPS},
        f"Steering at random, the car stays on the road for {before:.1f} steps, the mean of "
        f"{DRIVES} drives. After learning it stays for {after:.1f}, of {MOST_STEPS} at most.",
        (("place", "steers right"), *rows),
    )


LESSON = Lesson(
    name="uses",
    title="Uses: from 1986 to pictures, films and driving",
    intro="Backpropagation is one algorithm with many uses: inputs, networks and losses differ, "
          "and the gradient is computed in the same way. The idea is older, but it became popular "
          "in 1986, when Rumelhart, Hinton and Williams showed in Nature that hidden units find "
          "useful features by themselves. We repeat one of their experiments. Then come three "
          "uses of today, made small: naming pictures, recommending films, and driving. For a "
          "fourth, language, there is a command: tinygrad-edu gpt trains a model that invents "
          "first names, letter by letter.",
    parts=(
        Part(
            "The network of 1986 has six inputs of 0 or 1, two hidden units, and an output that "
            "must be 1 if the pattern is its own mirror image, as 011110 is. What weights will the "
            "hidden units find?",
            (
                "Opposite weights for mirrored inputs",
                "Weights for one half of the inputs in each unit",
                "Weights that store four of the eight symmetric patterns in each unit",
            ),
            (
                "In a symmetric pattern they cancel, whichever pattern it is.",
                "Then no unit could compare the halves, and the output only adds up two numbers.",
                "Seven numbers in a unit are too few to store four patterns. They must find a "
                "rule.",
            ),
            finds_symmetry,
            "Nobody told the units what symmetry is. They got examples, and descent found a rule. "
            "In a symmetric pattern mirrored inputs are equal, so their weights cancel. Only the "
            "bias is left, which is negative and keeps both units off. The sizes of the weights "
            "are 1 : {second:.1f} : {third:.1f}; no sum and no difference of these is 0. So no "
            "other pattern cancels, and each switches one of the two units on. Not every start "
            "finds this. {luck}. Hidden units that discover "
            "such features made the method famous.",
        ),
        Part(
            "A network gets 120 noisy pictures of 5 × 5 pixels, each with its name: row, column or "
            "cross. How many of 300 new pictures will it name right?",
            (
                "Most of them",
                "About a third, as by guessing: it has never seen them",
                "All of them, if it makes no mistake on those that it has learned",
            ),
            (
                "It has learned what the pictures of a shape have in common.",
                "It does not compare new pictures with old ones. Its hidden units respond to "
                "features that old and new pictures share.",
                "A few it gets wrong: it has learned some of the noise as well. That is why one "
                "measures on unseen data.",
            ),
            names_pictures,
            "The pixels are the inputs, the loss is the cross-entropy, and the rest is as in the "
            "other lessons: forward, backward, step. The {pictures} pictures were enough for "
            "{right:.0f}% of the new ones. Networks for photographs have millions of weights and "
            "layers made for pictures, and learn in the same way. So do language models: they see "
            "the beginning of a text, and the class to predict is the next letter or word.",
        ),
        Part(
            "Ten people have rated some of eight films; a rating above 0 means that they liked it. "
            "Nothing else is known, not even the kind of film. Can the missing ratings be "
            "predicted?",
            (
                "Yes, by learning a few numbers for each person and each film",
                "No better than by the mean rating",
                "Only if somebody describes films and people by inputs first",
            ),
            (
                "The ratings that are known say what these numbers must be.",
                "A person's ratings have something in common, and so have a film's. The mean of "
                "all ratings does not use this.",
                "The description can be learned: its numbers are parameters like the weights of a "
                "network.",
            ),
            recommends,
            "Each person has two numbers, u1 and u2, each film has f1 and f2, and the predicted "
            "rating is u1 f1 + u2 f2. The loss is the mean squared error over the {known} known "
            "ratings, with a little L2. All these numbers are parameters, and backpropagation "
            "gives the gradient of each. Afterwards they work like tastes and kinds of film, "
            "though nobody has named any.",
        ),
        Part(
            "A car steers left or right at random. After each drive it is told how long it stayed "
            "on the road, and never which action was right. How can backpropagation help it to "
            "learn?",
            (
                "It differentiates the probabilities of the actions that were taken",
                "It differentiates the length of the drive",
                "It cannot: without targets there is no loss",
            ),
            (
                "Actions of good drives become more probable, actions of bad drives less.",
                "The length depends on the road and the wind, and they are not in the graph.",
                "There is no target for an action, but how well it went can be put into a loss.",
            ),
            steers,
            "The logarithms of the probabilities of all actions are added up. The loss is minus "
            "this sum, times how much longer than usual the drive was. After a longer drive a step "
            "of descent makes its actions more probable, after a shorter one less probable. This "
            "is reinforcement learning. From {before:.1f} steps the drives grow to {after:.1f}, "
            "and the table shows why: on the left the car now steers right, and on the right left. "
            "Programs that play games or drive cars have much larger networks. Their backward pass "
            "is the one that you have learned here.",
        ),
    ),
    remember="Backpropagation became popular in 1986, because hidden units find features by "
             "themselves. Pictures, language, recommendations and actions need different inputs, "
             "networks and losses, but the same backward pass.",
    question=("idea", 1),
    ideas={
        "when it became popular": IdeaQuestion(
            "When did backpropagation become popular?",
            "In 1986, by a paper of Rumelhart, Hinton and Williams",
            {
                "In 1847, when Cauchy described gradient descent": "descent is backpropagation",
                "In 1958, with Rosenblatt's perceptron": "perceptron is backpropagation",
                "In 2012, when a deep network won ImageNet": "deep networks came first",
            },
            finds_symmetry,
        ),
        "what differs between uses": IdeaQuestion(
            "One network names pictures, another one predicts the next word.\nWhat differs?",
            "The inputs, the network and the loss",
            {
                "The chain rule: each kind of data has a form of it": "a chain rule for each use",
                "The features: for pictures somebody programs them": "features are programmed",
            },
            names_pictures,
        ),
        "what a recommender learns": IdeaQuestion(
            "What does a recommender learn from ratings that are known?",
            "Numbers for each person and each film that explain the ratings",
            {
                "The table of the ratings that it has seen": "a recommender is a table",
                "The mean rating of all films": "a recommender is a mean",
            },
            recommends,
        ),
        "learning without targets": IdeaQuestion(
            "A car learns to steer and is told only how well each drive went.\n"
            "What is differentiated?",
            "The probabilities of its actions, weighted with how well it went",
            {
                "How well it went, through the road and the wind": "the world is differentiated",
                "Nothing: there are no targets": "no learning without targets",
            },
            steers,
        ),
    },
    cards={
        "1986": Card(
            "idea",
            "Backpropagation became popular in 1986, by the paper of Rumelhart, Hinton and "
            "Williams in Nature: hidden units find features by themselves.",
            idea="when it became popular",
        ),
        "pictures and language": Card(
            "idea",
            "For pictures, language and reinforcement learning the inputs, networks and losses "
            "differ. The backward pass is the same.",
            idea="what differs between uses",
        ),
        "recommendation": Card(
            "idea",
            "A recommender learns numbers for each person and each film, by descent on the error "
            "of the ratings that are known.",
            idea="what a recommender learns",
        ),
        "reinforcement learning": Card(
            "idea",
            "Why it matters: weights are found by gradients from naming pictures to driving. A "
            "car needs no targets: actions of good drives are made more probable.",
            idea="learning without targets",
        ),
    },
    covers={
        "000.q2": Cover(finds_symmetry.name, "1986", "when it became popular"),
        "001.f5": Cover(
            names_pictures.name, "pictures and language", "what differs between uses"
        ),
        "003.c8": Cover(recommends.name, "recommendation", "what a recommender learns"),
        "002.why": Cover(steers.name, "reinforcement learning", "learning without targets"),
    },
)
