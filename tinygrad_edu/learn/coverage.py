"""The 49 points that a learner should know, and what covers each of them.

    >>> from tinygrad_edu import learn
    >>> learn.coverage.POINTS["002.c5"]
    'The concept of the chain rule.'
    >>> lesson, cover = learn.coverage.covers()["002.c5"]
    >>> lesson.name, cover.claim
    ('chain', 'local derivatives multiply along a path')
    >>> learn.question(cover.question).kind
    'path'

The points come from four study packs on backpropagation and gradient descent.  In the id of a
point, such as "002.c5", the number before the dot is the pack, from 000 to 003, and what follows
says where the point stands in it, with a number if there are several:

========  ==========================================================================================
``n``     a note
``c``     a card, or a concept
``q``     a question
``def``   the definition
``f``     a fact
``r``     a question for review
``why``   why it matters
``k``     a key point
``code``  a program
``b``     from a book
========  ==========================================================================================

Each lesson says which points it teaches, and with which claim, card and question: `covers`.
"""

from __future__ import annotations

from collections.abc import Iterable

from .cards import CARDS
from .evidence import CLAIMS
from .lessons import LESSONS, Cover, Lesson
from .questions import KINDS
from .questions.ideas import IDEAS

POINTS = {
    "000.n1": "The forward pass leads from the inputs to an output; the target gives its error.",
    "000.n2": "The backward pass gives the gradient of the loss with respect to each weight.",
    "000.n3": "The learning rate says how far weights move, and decides about convergence.",
    "000.n4": "Backpropagation makes deep networks learn; supervised learning rests on it.",
    "000.c1": "What backpropagation is.",
    "000.c2": "Gradient descent moves parameters step by step so that the error falls.",
    "000.c3": "Learning makes the errors of predictions on data small.",
    "000.q1": "The purpose of backpropagation.",
    "000.q2": "When backpropagation became popular: 1986.",
    "000.q3": "What the backward pass does.",
    "001.def": "Backpropagation gives gradients; updates against them reduce the loss.",
    "001.f1": "The chain rule over layers.",
    "001.f2": "Two phases, forward and backward, and who updates the weights.",
    "001.f3": "Too large a rate diverges, too small a one is slow.",
    "001.f4": "L2 penalises large weights, dropout drops units: both against overfitting.",
    "001.f5": "Uses: images, language, reinforcement learning.",
    "001.r1": "How the chain rule carries gradients back from the output layer.",
    "001.r2": "How rates affect training: oscillation, divergence, slowness, balance.",
    "001.r3": "How L2 and dropout change the performance on unseen data.",
    "002.why": "Why it matters: weights are optimised in uses of every kind.",
    "002.k1": "Information about the error flows backwards.",
    "002.k2": "The derivatives of each layer's outputs are multiplied.",
    "002.k3": "Updates go opposite to the gradient.",
    "002.k4": "For a line: w0 += rate * sum(y - h), w1 += rate * sum((y - h) * x).",
    "002.k5": "The rate sets the size of the step.",
    "002.k6": "Batch gradient descent uses all examples at once, which is expensive.",
    "002.k7": "Convergence depends on the initial values and the rate.",
    "002.k8": "Gradients come automatically that would be tedious by hand.",
    "002.c1": "The concept of backpropagation.",
    "002.c2": "The concept of gradient descent.",
    "002.c3": "The learning rate is a positive number.",
    "002.c4": "The concept of batch gradient descent.",
    "002.c5": "The concept of the chain rule.",
    "002.code": "The update in code, with its multiplication sign.",
    "002.b1": "Inputs propagate through hidden units to the prediction.",
    "002.b2": "Backpropagation holds for any graph, not only for layers.",
    "002.b3": "Cross-entropy with weight decay, and the graph of its gradient.",
    "002.q1": "Of updating, computing gradients and minimising, which is backpropagation?",
    "002.q2": "The signs in the update of a line.",
    "002.q3": "What sets the step size.",
    "003.c1": "Backpropagation works together with an optimiser.",
    "003.c2": "Its definition: the gradient of the error function.",
    "003.c3": "Forward propagation through weights, biases and activations to the loss.",
    "003.c4": "Backward propagation from the output through hidden layers to the input.",
    "003.c5": "The gradient costs as much as a few forward passes: linear in the neurons.",
    "003.c6": "Weights are updated by SGD, RMSprop, Adam.",
    "003.c7": "The rate is a hyperparameter; a step is a batch, an epoch is all data once.",
    "003.c8": "Uses: images, language, recommendation.",
    "003.c9": "Strengths: many layers; weaknesses: local minima, vanishing gradients.",
}


def covers() -> dict[str, tuple[Lesson, Cover]]:
    """Returns for each point the lesson that teaches it, and what covers it.

    A further aspect of a point has a key of its own, such as "002.k7 (saddles)": its point is what
    stands before the space, ``key.partition(" ")[0]``.  The names of a cover lead to what they
    name: ``learn.claims[cover.claim]``, ``learn.question(cover.question)`` and
    `learn.cards.CARDS`.
    """
    return {
        point: (lesson, cover)
        for lesson in LESSONS.values() for point, cover in lesson.covers.items()
    }


def gaps() -> list[str]:
    """Returns a sentence for everything that is missing.

    A point may have no lesson, or a claim, card or question that is not there; and each claim,
    card, idea and kind of question must cover some point.
    """
    found = [f"{point}: no lesson covers it" for point in POINTS if point not in covers()]
    used: set[str] = set()
    for point, (lesson, cover) in covers().items():
        if point.partition(" ")[0] not in POINTS:
            found.append(f"{point}: lesson {lesson.name} covers it, but it is no point")
        for what, name, known in (
            ("claim", cover.claim, CLAIMS),
            ("card", cover.card, CARDS),
            ("question", cover.question, {**KINDS, **IDEAS}),
        ):
            used.add(f"{what} {name}")
            if name not in known:
                found.append(f"{point}: its {what} {name!r} does not exist")
    found += _unused("claim", CLAIMS, used)
    found += _unused("card", CARDS, used)
    found += _unused("question", [*(kind for kind in KINDS if kind != "idea"), *IDEAS], used)
    return found


def _unused(what: str, names: Iterable[str], used: set[str]) -> list[str]:
    return [f"{what} {name!r} covers no point" for name in names if f"{what} {name}" not in used]
