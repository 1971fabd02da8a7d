"""Where descent starts: several minima, saddles, and units that stay equal."""

from __future__ import annotations

import random
from collections.abc import Callable
from math import sqrt
from typing import Annotated, Any

from .... import data, nn, optim
from ....engine.autodiff import grad, hessian
from ....engine.value import Value
from ...evidence import Evidence, claim
from ...settings import Range
from ..lesson import Card, Cover, IdeaQuestion, Lesson, Part
from .descent import rounded

RATE = 0.1
LARGE_RATE = 0.5  # with which a step from 2 jumps across the hill
VALLEY_STEPS = 150
SADDLE_STEPS = 500
NETWORK_STEPS = 300
UNITS = 4
Hill = Annotated[float, Range(-2, 2)]


def valleys(hill: float) -> Callable[[Any], Any]:
    """Returns x^4/4 - hill x^2/2 + x/10: two valleys with a hill between them if ``hill`` is 1."""
    return lambda x: x**4 / 4 - hill * x**2 / 2 + 0.1 * x


def saddle(hill: float) -> Callable[[Any], Any]:
    """Returns x^2/2 + y^4/4 - hill y^2/2 of v = (x, y): a saddle at 0 if ``hill`` is 1."""
    return lambda v: v[0]**2 / 2 + v[1]**4 / 4 - hill * v[1]**2 / 2


def hilltop(hill: float) -> float:
    """Returns the x between the valleys where the derivative x^3 - hill x + 0.1 is 0.

    If the hill is too low to have a top, it is that of ``hill`` 1.
    """
    hill = hill if hill > 0.5 else 1.0
    x = 0.0
    for _ in range(50):
        x = (x**3 + 0.1) / hill
    return x


@claim("the start decides which minimum is reached", lesson="start", negation={"hill": -1.0})
def decides(seed: int, hill: Hill = 1.0) -> Evidence:
    """All starts on one side of the hill end in the valley of that side.

    hill: the size of the hill between the valleys; below 0 there is none.
    """
    f = valleys(hill)
    slope = grad(f)
    top = hilltop(hill)
    draw = random.Random(seed)
    starts = [draw.uniform(-2.0, top - 0.05) for _ in range(3)]
    starts += [draw.uniform(top + 0.05, 2.0) for _ in range(3)]
    ends = {start: _end(slope, start, RATE) for start in sorted(starts)}
    jumped = _end(slope, 2.0, LARGE_RATE)
    left, right = min(ends.values()), max(ends.values())
    sides = all(abs(end - (left if start < top else right)) < 1e-3 for start, end in ends.items())
    rows = [(f"{start:.2f}", f"{end:.3f}", f"{f(end):.3f}") for start, end in ends.items()]
    found = (
        f"The hilltop is at {top:.2f}. All starts to the left of it end at {left:.3f}, where f is "
        f"{f(left):.3f}; all starts to the right end at {right:.3f}, where f is {f(right):.3f}."
    )
    if not sides or right - left < 1.0:
        where = f"at {left:.3f}" if right - left < 1e-3 else f"from {left:.3f} to {right:.3f}"
        found = f"All starts, left and right of x = {top:.2f}, end {where}."
    return Evidence(
        sides and right - left > 1.0,
        {
            "left": left, "right": right, "top": top, "deep": f(left), "shallow": f(right),
            "large": LARGE_RATE, "jumped": jumped,
        },
        found,
        (("start", "end", "f there"), *rows),
    )


def _end(slope: Callable[[float], float], x: float, rate: float) -> float:
    """Returns where gradient descent from ``x`` is after `VALLEY_STEPS` steps."""
    for _ in range(VALLEY_STEPS):
        x -= rate * slope(x)
    return x


def steps_to_leave(x: float, push: float, hill: float = 1.0) -> int | None:
    """Returns the number of steps from (x, push) on `saddle` to the valley.

    It is reached when |y| is nine tenths of the way to the minimum; without a hill, when |y| is
    above 0.9.  None if that takes more than `SADDLE_STEPS` steps.
    """
    f = saddle(hill)
    far = 0.9 * sqrt(hill) if hill > 0 else 0.9
    v = [Value(x, "x"), Value(push, "y")]
    optimizer = optim.SGD(v, lr=RATE)
    for step in range(SADDLE_STEPS):
        if abs(v[1].data) > far:
            return step
        optimizer.zero_grad()
        f(v).backward()
        optimizer.step()
    return None


@claim("a tiny push is enough to leave a saddle", lesson="start", negation={"hill": -1.0})
def leaves(seed: int, hill: Hill = 1.0) -> Evidence:
    """A start exactly on the ridge stays at the saddle; others leave, later if they are nearer.

    hill: how much the ridge curves down to its sides; below 0 it is a valley.
    """
    draw = random.Random(seed)
    x = draw.uniform(0.5, 2.0)
    side = draw.choice((-1, 1))
    pushes = (0.0, 1e-12, 1e-8, 1e-4, 1e-2)
    steps = [steps_to_leave(x, side * push, hill) for push in pushes]
    (first, _), (_, second) = hessian(saddle(hill))([0.0, 0.0])
    rows = [
        (rounded(push), "stays" if step is None else f"{step}") for push, step in zip(pushes, steps)
    ]
    left = [step for step in steps[1:] if step is not None]
    line, point = ("ridge", "saddle") if hill > 0 else ("valley floor", "minimum")
    then = "stays there, too" if steps[1] is None else f"leaves after {steps[1]}"
    return Evidence(
        steps[0] is None and len(left) == len(pushes) - 1,
        {"first": first, "second": second, "slowest": max(left, default=0), "grows": 1 + RATE},
        f"From x = {x:.2f}, exactly on the {line}, descent runs into the {point} and stays "
        f"there for all {SADDLE_STEPS} steps. Off the {line} by 1e-12, it {then}.",
        ((f"off the {line} by", "steps to leave"), *rows),
    )


def trained(seed: int, is_equal: bool) -> tuple[float, int]:
    """Trains a network of `UNITS` hidden units on exclusive or, with equal or with random weights.

    Returns the loss at the end, and how many different hidden units there are.
    """
    draw = random.Random(seed)
    model = nn.MLP(2, [UNITS, 1], "tanh", rng=draw)
    if is_equal:
        same = draw.uniform(0.2, 0.8)
        for p in model.parameters():
            p.data = same
    samples, targets = data.xor(4, noise=0, rng=seed)
    optimizer = optim.SGD(model.parameters(), lr=RATE)
    for _ in range(NETWORK_STEPS):
        loss = sum(nn.mse(model(x), t) for x, t in zip(samples, targets)) / len(samples)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    hidden: Any = model.layers[0]
    units = {tuple(round(p.data, 9) for p in n.parameters()) for n in hidden.neurons}
    return loss.data, len(units)


@claim("units that start equal stay equal", lesson="start", negation={"is_equal": False})
def stay_equal(seed: int, is_equal: bool = True) -> Evidence:
    """Equal weights get equal gradients at every step, so four units do the work of one.

    is_equal: whether the hidden units start with equal weights, or else random ones.
    """
    loss, units = trained(seed, is_equal)
    random_loss, random_units = trained(seed, False)
    kind = "all copies of one" if units == 1 else f"of {units} kinds"
    first, short = ("equal", "all equal") if is_equal else ("random", "random")
    return Evidence(
        units == 1 and loss > 0.5 and random_loss < 0.1,
        {"loss": loss, "units": units, "random_loss": random_loss, "random_units": random_units},
        f"After {NETWORK_STEPS} steps from {first} weights the {UNITS} hidden units are {kind}, "
        f"and the loss is {rounded(loss, 2)}. From random weights it falls to "
        f"{rounded(random_loss, 2)}.",
        (
            ("weights at first", "different units", "loss at the end"),
            (short, f"{units}", rounded(loss, 2)),
            ("random", f"{random_units}", rounded(random_loss, 2)),
        ),
    )


LESSON = Lesson(
    name="start",
    title="Where descent starts",
    intro="Gradient descent sees the slope where it stands, and nothing else. It follows this "
          "slope down until the slope is 0. Where that is depends on where it began. A bowl "
          "has one such point, and every start leads there. The loss of a network is more "
          "rugged: it has several valleys, and level places that are not valleys at all. Local "
          "minima are one of the weaknesses that textbooks name. The others, vanishing and "
          "exploding gradients, have their place in lesson depth.",
    parts=(
        Part(
            "f(x) = x^4/4 - x^2/2 + x/10 has two valleys with a hill between them, and the left "
            "valley is deeper. Gradient descent runs from six starts, three on either side of the "
            "hilltop. Where do the runs end?",
            (
                "Each in the valley of its own side",
                "All in the deeper valley",
                "In either valley, by chance",
            ),
            (
                "Downhill from a start is the valley on that side of the hilltop.",
                "To get from the right valley to the left one, a run would have to climb, and "
                "with a small learning rate every step goes down.",
                "Nothing here is left to chance: the same start gives the same run.",
            ),
            decides,
            "Both ends are minima: the slope is 0, and f grows to either side. The left one, with "
            "f = {deep:.3f}, is the lowest point there is; the right one, with f = {shallow:.3f}, "
            "is a local minimum only, and a run that ends there has no way to notice. The learning "
            "rate has a say, too: with {large:g}, the first step from x = 2 jumps across the hill, "
            "and the run ends at {jumped:.3f}. But that is luck. To find a better minimum, start "
            "several times from different points, and keep the best run.",
        ),
        Part(
            "At a point the gradient is exactly 0. Is it a minimum?",
            (
                "Not necessarily: it may be a saddle",
                "Yes: that is what a gradient of 0 means",
                "If it is not a minimum, it is a maximum",
            ),
            (
                "A gradient of 0 says that the ground is level, and no more.",
                "It means that the ground is level: at a minimum, but also on a hilltop and on "
                "a saddle.",
                "There is a third case: a saddle, which goes up one way and down another.",
            ),
            leaves,
            "f(x, y) = x^2/2 + y^4/4 - y^2/2 has a gradient of 0 at (0, 0). The eigenvalues of its "
            "Hessian there are {first:g} and {second:g}: up along x, down along y. At a minimum "
            "both are positive, on a hilltop both negative. Descent stays on a saddle only if "
            "it comes in exactly on the ridge. Near it each step multiplies the distance from "
            "the ridge by {grows:.1f}, so the tiniest push is enough; but it takes time, "
            "up to {slowest} steps here. A loss that stands still may be crossing a saddle.",
        ),
        Part(
            "A network with four hidden tanh units is to learn exclusive or. All its weights and "
            "biases start with one and the same number, other than 0. How many different hidden "
            "units are there after training?",
            ("One: the four stay copies of each other", "Four", "Two, one for each class"),
            (
                "Equal units get equal gradients, so they take equal steps.",
                "Nothing tells them apart: they have the same inputs, weights and gradients.",
                "The classes are what the network is to tell apart, but nothing tells the units "
                "apart: they get the same gradients.",
            ),
            stay_equal,
            "Every unit computes the same output and gets the same gradient, at every step. So "
            "four units do the work of one, and one is not enough: the loss stays at {loss:.2f}. "
            "This is a ridge again, on which the run stays exactly. Weights that start at random "
            "are off the ridge, and the same network gets down to {random_loss:.1g}. "
            "Random starts are not for luck; they make units different.",
        ),
    ),
    remember="Descent ends where its start leads: perhaps in a local minimum, for a while at a "
             "saddle. Random weights make units different.",
    question=("classify", 2),
    ideas={
        "two starts": IdeaQuestion(
            "Two runs with the same data and the same learning rate end with different losses, "
            "and both have converged. What explains this?",
            "They started in different valleys",
            {
                "One of them has not converged, as all minima are equal": "one minimum",
                "The smaller gradient of one run": "gradient tells the depth",
            },
            decides,
        ),
        "why random weights": IdeaQuestion(
            "Why do the weights of a network start with random numbers?",
            "So that units of a layer differ and get different gradients",
            {
                "So that some of them are right by luck": "right by luck",
                "Because from equal weights the loss could not fall at all": "equal cannot learn",
            },
            stay_equal,
        ),
    },
    cards={
        "local minimum": Card(
            "idea",
            "Where gradient descent ends depends on where it starts. A local minimum looks like "
            "any other from where it lies; to find a better one, start elsewhere.",
            idea="two starts",
        ),
        "stationary points": Card(
            "classify",
            "Where the gradient is 0, look at the eigenvalues of the Hessian: all positive, a "
            "minimum; all negative, a maximum; of both signs, a saddle.",
        ),
        "equal units": Card(
            "idea",
            "Units that start with equal weights get equal gradients and stay equal. Random "
            "weights make them different.",
            idea="why random weights",
        ),
    },
    covers={
        "002.k7": Cover(
            "the start decides which minimum is reached", "local minimum", "two starts"
        ),
        "002.k7 (saddles)": Cover(
            "a tiny push is enough to leave a saddle", "stationary points", "classify"
        ),
        "002.k7 (equal weights)": Cover(
            "units that start equal stay equal", "equal units", "why random weights"
        ),
    },
)
