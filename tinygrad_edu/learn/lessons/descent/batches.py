"""Batches: how many samples a step looks at, and what that costs."""

from __future__ import annotations

import random
from itertools import pairwise
from math import ceil
from statistics import fmean, pstdev
from typing import Annotated, Literal

from .... import data, nn, optim
from ....engine.interpreter import no_grad
from ....errors import counted
from ....train import fit
from ...evidence import Evidence, claim
from ...settings import Range
from ..lesson import Card, Cover, IdeaQuestion, Lesson, Part
from .descent import best_line

SMALL_SET = 50  # samples of the first experiment
EPOCHS = 5
NOISY = 256  # samples of the second experiment
DRAWS = 400  # batches of each size
MOONS = 200
# learning rates that suit a batch size: small batches are noisy, and need smaller ones
RATES = {MOONS: 1.0, 50: 1.0, 10: 0.5, 1: 0.1}
Size = Literal[200, 50, 10, 1]  # of a batch of the moons
LINE = 100  # samples of the fourth experiment
LINE_EPOCHS = 40


@claim("an epoch has one step for each batch", lesson="batches", negation={"rest": False})
def counted_steps(seed: int, rest: bool = True) -> Evidence:
    """The steps of a run are its epochs times the batches of an epoch, the last one included.

    rest: whether a smaller batch at the end of an epoch is counted.
    """
    samples, targets = data.line(SMALL_SET, rng=seed)
    rows = []
    agree = []
    for size in (50, 20, 7, 1):
        model = nn.Neuron(1, "linear", rng=seed)
        optimizer = optim.SGD(model.parameters(), lr=0.05)
        fit(
            model, nn.mse, samples, targets,
            optimizer=optimizer, epochs=EPOCHS, batch_size=size, rng=seed,
        )
        batches = ceil(SMALL_SET / size) if rest else SMALL_SET // size
        agree.append(optimizer.steps == EPOCHS * batches)
        rows.append((f"{size}", f"{batches}", f"{EPOCHS * batches}", f"{optimizer.steps}"))
    _, batches_, expected, made = rows[1]
    steps = int(made)
    kind = "batches" if rest else "full batches"
    return Evidence(
        all(agree),
        {"samples": SMALL_SET, "epochs": EPOCHS, "steps": steps, "batches": steps // EPOCHS},
        f"{SMALL_SET} samples are {batches_} {kind} of 20, which makes {expected} in {EPOCHS} "
        f"epochs. The optimiser has made {steps} steps.",
        (("batch size", f"{kind} an epoch", f"in {EPOCHS} epochs", "steps made"), *rows),
    )


@claim(
    "the noise of a batch gradient falls with the root of its size",
    lesson="batches",
    negation={"power": 1.0},
)
def noise(seed: int, power: Annotated[float, Range(-4, 4)] = 0.5) -> Evidence:
    """Batch gradients scatter around the full gradient; four times the samples halve the scatter.

    Batches are drawn with replacement.

    power: the power of the batch size that the scatter is multiplied by.
    """
    draw = random.Random(seed)
    samples, targets = data.line(NOISY, noise=0.5, rng=draw)
    # the derivative of (w0 + w1 x - t)^2 with respect to w1, at w0 = w1 = 0, for each sample
    gradients = [-2 * t * x for (x,), t in zip(samples, targets)]
    full = fmean(gradients)
    rows = []
    scaled = []
    for size in (1, 4, 16, 64):
        batches = [fmean(draw.choices(gradients, k=size)) for _ in range(DRAWS)]
        spread = pstdev(batches)
        scaled.append(spread * size**power)
        rows.append((f"{size}", f"{fmean(batches):.2f}", f"{spread:.2f}", f"{scaled[-1]:.2f}"))
    spreads = [float(row[2]) for row in rows]
    symbol = {0.5: "sqrt(size)", 1.0: "size"}.get(power, f"size^{power:g}")
    return Evidence(
        max(scaled) < 1.25 * min(scaled),
        {"full": full, "one": spreads[0], "four": spreads[1], "most": spreads[-1]},
        f"The full gradient is {full:.2f}. {DRAWS} batch gradients of each size scatter around it: "
        f"with a standard deviation (std) of {spreads[0]:.2f} for one sample, "
        f"{spreads[1]:.2f} for 4 and {spreads[-1]:.2f} for 64. Multiplied by {symbol} it is "
        f"{min(scaled):.2f} to {max(scaled):.2f}.",
        (("batch size", "mean", "std", f"std × {symbol}"), *rows),
    )


def trained(seed: int, size: int) -> tuple[int, float]:
    """Trains a neuron on two moons for `EPOCHS` epochs; returns the steps and the loss at the end.
    """
    samples, targets = data.moons(MOONS, labels=(0, 1), rng=seed)
    model = nn.Neuron(2, "linear", rng=seed)
    optimizer = optim.SGD(model.parameters(), lr=RATES[size])
    loss = nn.binary_cross_entropy
    fit(
        model, loss, samples, targets,
        optimizer=optimizer, epochs=EPOCHS, batch_size=size, rng=seed,
    )
    with no_grad():
        losses = [float(loss(model(x), t)) for x, t in zip(samples, targets)]
    return optimizer.steps, fmean(losses)


@claim(
    "small batches get further in the same number of epochs",
    lesson="batches",
    negation={"large": 1, "small": MOONS},
)
def further(seed: int, large: Size = 200, small: Size = 1) -> Evidence:
    """The same number of sample gradients gives more steps if the batches are smaller.

    large: the largest of the batch sizes that are compared, in samples.
    small: the smallest of the batch sizes that are compared, in samples.
    """
    runs = {size: trained(seed, size) for size in RATES}
    rows = [
        (f"{size}", f"{RATES[size]:g}", f"{steps}", f"{loss:.3f}")
        for size, (steps, loss) in runs.items()
    ]
    losses = [runs[size][1] for size in RATES if small <= size <= large]  # from large to small
    return Evidence(
        len(losses) > 1 and all(x > z for x, z in pairwise(losses)),
        {
            "full": runs[large][1], "single": runs[small][1], "gradients": MOONS * EPOCHS,
            "full_steps": runs[large][0], "single_steps": runs[small][0],
        },
        f"In {EPOCHS} epochs every run computes {MOONS * EPOCHS} sample gradients. Batches of "
        f"{large} make {counted(runs[large][0], 'step')} of them and get to a loss of "
        f"{runs[large][1]:.3f}; batches of {small} make {counted(runs[small][0], 'step')} and get "
        f"to {runs[small][1]:.3f}.",
        (("batch size", "learning rate", "steps", "loss"), *rows),
    )


def excess(seed: int, rate: float, falls: bool = False, size: int = 1) -> float:
    """Fits a line with small batches and returns how far above the least loss it ends.

    That is the mean over the last tenth of the steps.

    rate: the learning rate at first.
    falls: whether it falls to 0 in equal parts, or else stays.
    """
    samples, targets = data.line(LINE, noise=0.5, rng=seed)
    pairs = [(x, t) for (x,), t in zip(samples, targets)]
    best = best_line(samples, targets)
    square = fmean(x * x for x, _ in pairs)
    steps = LINE_EPOCHS * LINE // size
    draw = random.Random(seed)
    w0 = 0.0
    w1 = 0.0
    above = []
    for step in range(steps):
        alpha = rate * (1 - step / steps) if falls else rate
        batch = draw.sample(pairs, size)
        errors = [t - (w0 + w1 * x) for x, t in batch]
        w0 += alpha * fmean(errors)
        w1 += alpha * fmean([e * x for e, (x, _) in zip(errors, batch)])
        # exact, because the loss is a parabola and the x have the mean 0
        above.append((w0 - best[0])**2 + square * (w1 - best[1])**2)
    return fmean(above[-(steps // 10):])


@claim(
    "with a constant learning rate small batches do not settle",
    lesson="batches",
    negation={"size": LINE},
)
def unsettled(seed: int, size: Annotated[int, Range(1, LINE)] = 1) -> Evidence:
    """The weights keep moving around the minimum, less with a smaller or falling learning rate.

    size: the number of samples in a batch.
    """
    settings = ((0.3, False), (0.1, False), (0.03, False), (0.3, True))
    found = [excess(seed, rate, falls, size) for rate, falls in settings]
    high, middle, low, falling = found
    rows = [
        (f"{rate:g} {'falling to 0' if falls else 'all the time'}", f"{x:.4f}")
        for (rate, falls), x in zip(settings, found)
    ]
    return Evidence(
        high > 1.5 * middle > 0 and middle > 1.5 * low and high > 3 * falling > 0,
        {"high": high, "middle": middle, "low": low, "falling": falling},
        f"With batches of {size} and a constant learning rate of 0.3, the loss ends {high:.4f} "
        f"above its minimum; with 0.1 it ends {middle:.4f} above. If the learning rate falls from "
        f"0.3 to 0, the loss ends {falling:.4f} above.",
        (("learning rate", "loss above minimum"), *rows),
    )


LESSON = Lesson(
    name="batches",
    title="Batches, steps and epochs",
    intro="The loss of a model is a mean over all samples, and so is its gradient. To compute it "
          "exactly, every step has to look at every sample. That is batch gradient descent, with "
          "the full batch. Stochastic gradient descent (SGD) takes a small batch instead, drawn "
          "at random, and hopes that its gradient is good enough. One update is a step; once "
          "through all the samples is an epoch. What does one lose, and what does one gain?",
    parts=(
        Part(
            "50 samples, batches of 20, 5 epochs. How many times are the weights updated?",
            ("15 times", "5 times", "12 times", "250 times"),
            (
                "Each epoch has three batches: 20, 20, and the 10 that are left.",
                "An epoch is once through the samples. The weights change after every batch.",
                "250 samples would fill 12 batches of 20. But an epoch ends with the samples that "
                "are left: 20, 20 and 10.",
                "That is how many samples are looked at. The weights change once for each batch.",
            ),
            counted_steps,
            "A step is one batch: one gradient, one update. An epoch of {samples} samples in "
            "batches of 20 has {batches} of them, the last one smaller, and {epochs} epochs have "
            "{steps}. With a batch of one, every sample is a step; with the full batch, every "
            "epoch is.",
        ),
        Part(
            "The gradient of a random batch is not the full gradient: it scatters around it. "
            "A batch four times as large scatters",
            ("half as much", "a quarter as much", "just as much"),
            (
                "The scatter falls with the square root of the size.",
                "That would be nice. Errors cancel in a mean, but only in part: four times the "
                "samples halve the scatter.",
                "In a mean of more samples, errors to either side partly cancel.",
            ),
            noise,
            "On average the batch gradient is the full gradient, for every size. Its scatter goes "
            "from {one:.2f} for one sample to {four:.2f} for four: the standard deviation falls "
            "with the square root, and the last column stays about the same. That is a bad "
            "bargain for large batches: to halve the noise, pay four times.",
        ),
        Part(
            "Four neurons learn to tell two moons apart, from 200 samples, with batches of 200, "
            "50, 10 and 1. All of them get five epochs. Which has the smallest loss?",
            (
                "The one with batches of 1",
                "The one with the full batch, because its gradients are exact",
                "None: all have seen the same samples as often",
            ),
            (
                "It makes the most steps. They are noisy, but on average they go the right way.",
                "Its gradients are exact, but each of them costs 200 sample gradients.",
                "They have done the same work, but made very different numbers of steps of it.",
            ),
            further,
            "All four computed {gradients} sample gradients. A full batch spends 200 of them "
            "on one step, though at the beginning a few samples show the way well enough. So it "
            "made {full_steps} steps where single samples made {single_steps}. This is what makes "
            "batch gradient descent expensive on large sets. In practice batches of 16 to 512 are "
            "usual: processors handle many samples at a time.",
        ),
        Part(
            "A line is fitted with batches of 1 and a constant learning rate, for very many steps. "
            "What becomes of the loss?",
            (
                "It stays somewhat above its minimum",
                "It reaches its minimum, and then stays there",
                "It rises again after a while",
            ),
            (
                "Even at the minimum the gradient of a single sample is not 0, so the weights keep "
                "moving.",
                "At the minimum the full gradient is 0, but the gradient of a single sample is "
                "not: the next step leaves it again.",
                "The noise moves the weights away from the minimum and the gradient brings them "
                "back. The two balance.",
            ),
            unsettled,
            "The weights dance around the minimum, and the learning rate sets how far. A smaller "
            "one settles closer, but takes longer to arrive. A learning rate that falls during the "
            "run has both: long steps first, short ones later. It ends {falling:.4f} above the "
            "minimum instead of {high:.3f}. Batch size and learning rate are hyperparameters: "
            "training does not learn them, you choose them.",
        ),
    ),
    remember="A step is one batch, an epoch is once through all samples. Small batches are noisy "
             "and cheap; let the learning rate fall to settle.",
    question=("count", 2),
    ideas={
        "noise of a batch": IdeaQuestion(
            "You make batches a hundred times as large. The noise of their gradients becomes",
            "ten times smaller",
            {
                "a hundred times smaller": "noise falls with the size",
                "no smaller": "noise stays",
            },
            noise,
        ),
        "cost of a full batch": IdeaQuestion(
            "What is expensive about batch gradient descent, with all samples in one batch?",
            "Every single update needs the gradients of all samples",
            {
                "It needs more epochs, because its gradients are less exact": "full is less exact",
                "Its gradient is larger, so it needs a tiny learning rate":
                    "full gradient is larger",
            },
            further,
        ),
        "settling": IdeaQuestion(
            "With small batches the loss jumps around a value and falls no further. What "
            "helps?",
            "A learning rate that falls during the run",
            {
                "More epochs at the same learning rate": "more epochs settle",
                "Smaller batches": "smaller batches settle",
            },
            unsettled,
        ),
    },
    cards={
        "epoch": Card(
            "count",
            "A step is one update with one batch; an epoch is once through all samples. Steps an "
            "epoch: samples divided by batch size, rounded up.",
        ),
        "batch gradient descent": Card(
            "idea",
            "Batch gradient descent uses all samples for every update. A small random batch has "
            "the same gradient on average, with noise that falls with the root of its size.",
            idea="noise of a batch",
        ),
        "full batch": Card(
            "idea",
            "A full batch pays for all samples at every update. Small batches make many more "
            "updates of the same work.",
            idea="cost of a full batch",
        ),
        "falling learning rate": Card(
            "idea",
            "With small batches and a constant learning rate the weights never rest. Let the "
            "learning rate, a hyperparameter, fall.",
            idea="settling",
        ),
    },
    covers={
        "002.c4": Cover(
            "the noise of a batch gradient falls with the root of its size",
            "batch gradient descent", "noise of a batch",
        ),
        "002.k6": Cover(
            "small batches get further in the same number of epochs", "full batch",
            "cost of a full batch",
        ),
        "003.c7": Cover("an epoch has one step for each batch", "epoch", "count"),
        "003.c7 (learning rate)": Cover(
            "with a constant learning rate small batches do not settle", "falling learning rate",
            "settling",
        ),
    },
)
