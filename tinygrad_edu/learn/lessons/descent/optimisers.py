"""Optimisers: what is done with a gradient once there is one."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from math import cos, radians, sin
from typing import Annotated, Any

from .... import data, optim
from ....engine.value import Value
from ....errors import GradientWarning, counted
from ...evidence import Evidence, claim
from ...settings import Range
from ..lesson import Card, Cover, IdeaQuestion, Lesson, Part
from .descent import Samples, best_line, mean_square

SAMPLES = 20
LINE_STEPS = 30
CONDITION = 100.0  # curvature across the ravine, compared with 1 along it
GOAL = 1e-3  # a run ends when its loss has fallen to this part of the loss at the start
MOST = 1000  # steps of a run
SHOWN = (1, 5, 10, 20, 40, 80, 160)  # steps in a table

Make = Callable[[list[Value]], optim.Optimizer]


def optimisers(condition: float = CONDITION) -> dict[str, Make]:
    """Returns the optimisers of the experiments, by name.

    Descent has the best constant learning rate for curvatures of 1 and ``condition``, the others
    have settings that suit the ravine.

    Source: Polyak, Some methods of speeding up the convergence of iteration methods, 1964, for
    descent and momentum.
    """
    return {
        "descent": lambda w: optim.SGD(w, lr=2 / (1 + condition)),
        "momentum": lambda w: optim.SGD(w, lr=(2 / 11) ** 2, momentum=(9 / 11) ** 2),
        "RMSprop": lambda w: optim.RMSprop(w, lr=0.1),
        "Adam": lambda w: optim.Adam(w, lr=0.5),
    }


def quotients(w: list[Value], loss: Callable[[list[float]], float], width: float) -> list[float]:
    """Returns (loss(w + width) - loss(w)) / width for each weight: a gradient without a graph."""
    now = [p.data for p in w]
    at = loss(now)
    moved = [[x + width * (i == j) for j, x in enumerate(now)] for i in range(len(now))]
    return [(loss(there) - at) / width for there in moved]


@claim(
    "gradient descent works with gradients of any origin",
    lesson="optimisers",
    negation={"width": 0.1},
)
def any_origin(seed: int, width: Annotated[float, Range(1e-15, 10)] = 1e-7) -> Evidence:
    """Difference quotients lead to the line of backpropagation; four optimisers use one gradient.

    width: the change of a weight in a difference quotient.
    """
    samples, targets = data.line(SAMPLES, rng=seed)

    def loss(w: list[Any]) -> Any:
        return mean_square(w, samples, targets)

    by_backward = [Value(0.0, "w0"), Value(0.0, "w1")]
    by_quotients = [Value(0.0, "w0"), Value(0.0, "w1")]
    first = optim.SGD(by_backward, lr=0.4)
    second = optim.SGD(by_quotients, lr=0.4)
    for _ in range(LINE_STEPS):
        first.zero_grad()
        loss(by_backward).backward()
        first.step()
        for p, slope in zip(by_quotients, quotients(by_quotients, loss, width)):
            p.grad = slope
        second.step()
    difference = max(abs(p.data - q.data) for p, q in zip(by_backward, by_quotients))
    start = [Value(0.0, "w0"), Value(0.0, "w1")]
    loss(start).backward()
    gradient = [p.grad for p in start]
    rows = []
    for name, make in optimisers().items():
        w = [Value(0.0, "w0"), Value(0.0, "w1")]
        optimizer = make(w)
        path = [[0.0, 0.0]]  # both weights, before each step and at the end
        for _ in range(2):
            optimizer.zero_grad()
            for p, slope in zip(w, gradient):
                p.grad = slope
            optimizer.step()
            path.append([p.data for p in w])
        changes = [path[1][0], path[2][0] - path[1][0], path[1][1]]
        rows.append((name, f"{optimizer.lr:.3g}", *[f"{change:+.3f}" for change in changes]))
    return Evidence(
        difference < 1e-5,
        {"difference": difference, "g0": gradient[0], "g1": gradient[1], "steps": LINE_STEPS},
        f"After {LINE_STEPS} steps with gradients of backpropagation the line is "
        f"{by_backward[0].data:.4f} + {by_backward[1].data:.4f} x; with difference quotients, "
        f"{by_quotients[0].data:.4f} + {by_quotients[1].data:.4f} x. The table has the first "
        f"steps of four optimisers, which get the same gradient both times: ({gradient[0]:.2f}, "
        f"{gradient[1]:.2f}).",
        (("optimiser", "rate", "w0, step 1", "w0, step 2", "w1, step 1"), *rows),
    )


def bowl(condition: float, turn: float) -> Callable[[Value, Value], Value]:
    """Returns u^2/2 + condition v^2/2, where (u, v) is (x, y) turned by ``turn`` degrees."""
    c = cos(radians(turn))
    s = sin(radians(turn))
    return lambda x, y: 0.5 * (c * x - s * y) ** 2 + 0.5 * condition * (s * x + c * y) ** 2


def fallen(make: Make, seed: int, condition: float, turn: float = 0.0) -> list[float]:
    """Returns the loss before each step, as a part of the loss at the start.

    The run ends when that is at most `GOAL`, or after `MOST` steps.  It starts at the same point of
    the bowl however the bowl is turned.
    """
    draw = random.Random(seed)
    u = draw.choice((-1, 1)) * draw.uniform(5.0, 10.0)
    v = draw.choice((-1, 1)) * draw.uniform(0.5, 1.0)
    c = cos(radians(turn))
    s = sin(radians(turn))
    w = [Value(c * u + s * v, "x"), Value(c * v - s * u, "y")]
    f = bowl(condition, turn)
    optimizer = make(w)
    losses = [f(*w)]
    while losses[-1].data > GOAL * losses[0].data and len(losses) <= MOST:
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
        losses.append(f(*w))
    return [loss.data / losses[0].data for loss in losses]


def steps_of_all(seed: int, condition: float, turn: float = 0.0) -> dict[str, int]:
    """Returns the steps that each of `optimisers` needs, by name."""
    return {
        name: len(fallen(make, seed, condition, turn)) - 1
        for name, make in optimisers(condition).items()
    }


@claim(
    "in a narrow ravine momentum, RMSprop and Adam are faster",
    lesson="optimisers",
    negation={"condition": 1.0},
)
def ravine(seed: int, condition: Annotated[float, Range(1, CONDITION)] = CONDITION) -> Evidence:
    """Descent creeps along the ravine; the other three get there in a fraction of its steps.

    condition: the curvature across the ravine, where the curvature along it is 1.
    """
    paths = {name: fallen(make, seed, condition) for name, make in optimisers(condition).items()}
    steps = {name: len(path) - 1 for name, path in paths.items()}
    rows = [
        (f"{i}", *[f"{path[i]:.3f}" if i < len(path) else "done" for path in paths.values()])
        for i in SHOWN
    ]
    slowest = max(count for name, count in steps.items() if name != "descent")
    return Evidence(
        steps["descent"] > 1.5 * slowest,
        {**steps, "condition": condition},
        f"With a curvature of {condition:g} across and 1 along, the steps until the loss has "
        f"fallen to a thousandth are: descent {steps['descent']}, momentum {steps['momentum']}, "
        f"RMSprop {steps['RMSprop']}, Adam {steps['Adam']}. The table has the loss, as a part of "
        "the loss at the start.",
        (("step", *paths), *rows),
    )


@claim("no optimiser is best everywhere", lesson="optimisers", negation={"turn": 0})
def not_everywhere(seed: int, turn: Annotated[float, Range(-360, 360)] = 45.0) -> Evidence:
    """In a turned ravine RMSprop loses its advantage; on a round bowl descent takes one step.

    turn: the angle by which the ravine is turned, in degrees.
    """
    ravines = steps_of_all(seed, CONDITION)
    turned = steps_of_all(seed, CONDITION, turn)
    rounds = steps_of_all(seed, 1.0)
    rows = [(name, f"{ravines[name]}", f"{turned[name]}", f"{rounds[name]}") for name in ravines]
    return Evidence(
        turned["RMSprop"] > 2 * ravines["RMSprop"] and min(rounds.values()) == rounds["descent"],
        {
            "straight": ravines["RMSprop"], "turned": turned["RMSprop"],
            "descent": rounds["descent"], "adam": rounds["Adam"],
            "turned_descent": turned["descent"],
        },
        f"RMSprop takes {ravines['RMSprop']} steps in the ravine, and {turned['RMSprop']} when it "
        f"is turned by {turn:g}°. On a round bowl descent, with a learning rate of 1, takes "
        f"{counted(rounds['descent'], 'step')}, and Adam takes {rounds['Adam']}.",
        (("optimiser", "ravine", "turned", "round"), *rows),
    )


def intercepts(
    samples: Samples, targets: list[float], is_zeroed: bool, momentum: float
) -> list[float]:
    """Returns w0 after each step of a fit of a line, with or without ``zero_grad``."""
    w = [Value(0.0, "w0"), Value(0.0, "w1")]
    optimizer = optim.SGD(w, lr=0.1, momentum=momentum)
    path = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GradientWarning)  # which says what is shown here
        for _ in range(LINE_STEPS):
            if is_zeroed:
                optimizer.zero_grad()
            mean_square(w, samples, targets).backward()
            optimizer.step()
            path.append(w[0].data)
    return path


@claim(
    "a forgotten zero_grad is momentum without friction",
    lesson="optimisers",
    negation={"momentum": 0.9},
)
def forgotten(seed: int, momentum: Annotated[float, Range(0, 1)] = 1.0) -> Evidence:
    """Gradients that add up step after step are a velocity with momentum 1.

    momentum: the momentum of the run with zero_grad; 1 is without friction.
    """
    samples, targets = data.line(SAMPLES, rng=seed)
    right = intercepts(samples, targets, True, 0.0)
    without = intercepts(samples, targets, False, 0.0)
    with_momentum = intercepts(samples, targets, True, momentum)
    difference = max(abs(x - z) for x, z in zip(without, with_momentum))
    low, high = min(with_momentum), max(with_momentum)
    rows = [
        (f"{step}", *[f"{path[step - 1]:.3f}" for path in (right, without, with_momentum)])
        for step in (1, 2, 5, 10, 20, 30)
    ]
    return Evidence(
        difference < 1e-12,
        {
            "difference": difference, "best": best_line(samples, targets)[0], "top": max(without),
            "bottom": min(without),
        },
        f"In {LINE_STEPS} steps w0 goes to {right[-1]:.3f} with zero_grad. Without it, w0 goes "
        f"from {min(without):.2f} to {max(without):.2f} and back; with zero_grad and momentum "
        f"{momentum:g} it is between {low:.2f} and {high:.2f}. The two differ by at most "
        f"{difference:.1g}.",
        (("step", "right", "no zero_grad", f"momentum {momentum:g}"), *rows),
    )


LESSON = Lesson(
    name="optimisers",
    title="Optimisers",
    intro="Backpropagation computes the gradient of the loss. What happens with it is decided by "
          "an optimiser: a rule that turns gradients into new weights. Plain gradient descent "
          "subtracts learning rate times gradient. Momentum keeps a velocity, to which each "
          "gradient is added. RMSprop divides each weight's gradient by its usual size. Adam does "
          "both. People often call all of this together backpropagation; it is clearer to keep "
          "the two apart.",
    parts=(
        Part(
            "Somebody takes away backpropagation and gives you rough gradients instead: change "
            "each weight by a ten-millionth, and see how much the loss changes. Does gradient "
            "descent still find the line?",
            (
                "Yes, the same line; only the computing is slower",
                "No: without backpropagation there is no gradient descent",
                "It finds a line, but another one",
            ),
            (
                "Descent takes any good gradient, and does not ask where it comes from.",
                "Backpropagation is one way to compute a gradient, the fast one. Descent takes any "
                "good gradient.",
                "The gradients agree in many digits, so the steps do, too.",
            ),
            any_origin,
            "The weights differ by {difference:.0e}. Backpropagation and gradient descent are two "
            "things: one computes gradients, the other uses them, and either can be "
            "exchanged. The table exchanges the second one. At the first step descent and "
            "momentum do the same, learning rate times gradient, and differ in the rate only. At "
            "the second step, with the same gradient again, descent repeats itself, and "
            "momentum goes further, since its velocity has grown. RMSprop and Adam move both "
            "weights equally far, though the gradients differ. So \"trained by "
            "backpropagation\" is short for: gradients by backpropagation, updates by an "
            "optimiser.",
        ),
        Part(
            "The loss is a ravine: its curvature across is 100 times its curvature along. Which "
            "optimiser needs the most steps to get down?",
            (
                "Plain gradient descent",
                "Momentum, RMSprop and Adam, which make detours",
                "None: all of them use the same gradient",
            ),
            (
                "It goes the steepest way, which is across the ravine and not along it.",
                "They remember earlier gradients, and that straightens their way along the ravine.",
                "They use the same gradients, but make different steps of them.",
            ),
            ravine,
            "The steep walls allow descent only a small learning rate, or it would diverge. With "
            "this it creeps along the ravine: {descent} steps. Momentum adds up the small but "
            "constant gradient along the ravine, while gradients across change sign and cancel; "
            "before they do, the loss may even rise. RMSprop and Adam divide by the size of the "
            "gradient, for each weight separately, and so take steps of similar length in both "
            "directions.",
        ),
        Part(
            "So Adam or RMSprop would be the best choice for every loss?",
            (
                "No: it depends on the loss",
                "Yes: they adapt to any loss",
                "Yes, if the learning rate is chosen well",
            ),
            (
                "Each rule is good at one kind of shape.",
                "They adapt one weight at a time. If the ravine lies across the axes, that helps "
                "little.",
                "The learning rates here were chosen well for the ravine. Another shape wants "
                "another rule.",
            ),
            not_everywhere,
            "RMSprop scales each weight for itself. Once the ravine is turned, both weights have "
            "gradients of similar size, there is nothing to scale, and it takes "
            "{turned} steps instead of {straight}. Descent does not notice the turn: it takes "
            "{turned_descent}. On a round bowl the gradient points straight at the minimum: "
            "descent takes {descent} step, and Adam {adam}. Momentum and Adam are good first "
            "choices for networks, no more than that: try, and compare.",
        ),
        Part(
            "A training loop forgets zero_grad(), so each backward() adds to the gradients of all "
            "steps before. What does plain gradient descent become?",
            (
                "Momentum that never loses speed",
                "The same: backward() replaces the old gradients",
                "Descent with twice the learning rate",
            ),
            (
                "The sum of all gradients is a velocity to which nothing puts a brake.",
                "backward() adds to the gradients that are there, as it has to when a weight is "
                "used in several places.",
                "Twice would be one old gradient. Here all of them are still in the sum.",
            ),
            forgotten,
            "Momentum m keeps the velocity v = m × v + gradient. With m = 1 nothing is ever lost, "
            "and this is the sum that backward() leaves behind. Like a ball in a bowl without "
            "friction, w0 runs past its best value {best:.3f} and swings from {bottom:.2f} to "
            "{top:.2f}. With m = 0.9 a tenth of the velocity is lost at every step, so the swings "
            "die down. If a loss swings without end, look for a missing zero_grad(); "
            "in this engine, step() warns of it.",
        ),
    ),
    remember="Backpropagation gives the gradient, the optimiser makes the step. Momentum, RMSprop "
             "and Adam help in ravines; none is best everywhere.",
    question=("optimiser", 2),
    exercise="gradient-descent",
    ideas={
        "what the optimiser gets": IdeaQuestion(
            "What does an optimiser such as Adam take from backpropagation?",
            "The gradient of the loss with respect to each weight",
            {
                "The new weights": "new weights from backpropagation",
                "Nothing: it takes the place of backpropagation": "optimiser or backpropagation",
            },
            any_origin,
        ),
        "best optimiser": IdeaQuestion(
            "Which optimiser gets to the minimum in the fewest steps?",
            "That depends on the shape of the loss",
            {
                "Adam, always": "adam always",
                "Plain descent, as it takes the steepest way": "steepest is shortest",
            },
            not_everywhere,
        ),
        "forgotten zero_grad": IdeaQuestion(
            "A training loop never calls zero_grad(). What is the consequence?",
            "The gradients of all steps add up, and the weights swing",
            {
                "Nothing: backward() starts from 0 each time": "backward starts from 0",
                "The gradients stay 0, and the weights do not move": "zero_grad makes gradients",
            },
            forgotten,
        ),
    },
    cards={
        "optimiser": Card(
            "idea",
            "Backpropagation computes gradients; an optimiser, such as SGD, RMSprop or Adam, turns "
            "them into new weights.",
            idea="what the optimiser gets",
        ),
        "update rules": Card(
            "optimiser",
            "Momentum adds gradients up in a velocity; RMSprop divides each gradient by its usual "
            "size; Adam does both. In a narrow ravine all three beat plain descent.",
        ),
        "best optimiser": Card(
            "idea",
            "No optimiser is best everywhere: a ravine across the axes slows RMSprop, and on a "
            "round bowl plain descent wins.",
            idea="best optimiser",
        ),
        "zero_grad": Card(
            "idea",
            "backward() adds to gradients. Without zero_grad() they add up over the steps, which "
            "is momentum without friction.",
            idea="forgotten zero_grad",
        ),
    },
    covers={
        "003.c6": Cover(
            "gradient descent works with gradients of any origin", "optimiser",
            "what the optimiser gets",
        ),
        "003.c6 (update rules)": Cover(
            "in a narrow ravine momentum, RMSprop and Adam are faster", "update rules",
            "optimiser",
        ),
        "003.c6 (choice)": Cover(
            "no optimiser is best everywhere", "best optimiser", "best optimiser"
        ),
        "003.c6 (zero_grad)": Cover(
            "a forgotten zero_grad is momentum without friction", "zero_grad",
            "forgotten zero_grad",
        ),
    },
)
