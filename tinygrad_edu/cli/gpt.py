"""The command gpt: trains a character GPT on names, and lets it invent names."""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..debug.text import printable
from ..errors import counted
from .arguments import Command, argument, option, positive

if TYPE_CHECKING:
    from ..train import History

_FAST = 'pip install "tinygrad_edu[fast]"'  # brings llvmlite


def run_gpt(options: argparse.Namespace) -> int:
    """Trains the character GPT and lets it invent names."""
    from ..examples import gpt
    from ..jit.running import objects

    compiles = objects.available()
    if options.engine == "jit" and not compiles:
        raise ValueError(
            f"--engine jit needs llvmlite; install it ({_FAST}), "
            "or pass --engine eager: the same names, many times as slowly"
        )
    rng = random.Random(options.seed)
    names = gpt.documents(options.data)
    rng.shuffle(names)
    vocabulary = gpt.Vocabulary(names)
    model = gpt.GPT(len(vocabulary), rng=rng)
    print(
        f"names: {len(names)}; different characters: {len(vocabulary.characters)}; "
        f"parameters of the GPT: {len(model.parameters())}"
    )
    too_long = sum(len(name) >= model.block for name in names)
    if too_long:
        print(
            f"{counted(too_long, 'name')} with {model.block} or more characters: "
            f"only the first {model.block} are learned, not where the name ends"
        )
    if options.engine is None and not compiles:
        print(
            "without llvmlite the eager engine runs: the same names, many times as slowly; "
            f"to install it: {_FAST}"
        )
    history = gpt.train(
        model, vocabulary, names, options.steps, engine=options.engine, progress=True
    )
    _print_course(history, options.steps)
    print("\ninvented names:")
    invent: Callable[[random.Random], str] = partial(gpt.sample, model, vocabulary, 0.5)
    if compiles and options.engine != "eager":
        invent = gpt.sampler(model, vocabulary)
    for i in range(1, options.samples + 1):
        print(f"{i:4}  {printable(invent(rng))}", flush=True)
    if history.interrupted:
        raise KeyboardInterrupt
    return 0


def _print_course(history: History, steps: int) -> None:
    """Prints how many steps were done, how the loss fell, and how long it took."""
    done = len(history)
    if history.interrupted:
        print(
            f"interrupted after {done} of {steps} steps; the names are from the present model"
        )
    if done:
        course = f"{history.loss[0]:.4f} in step 1"
        recent = history.loss[-100:]
        if done > len(recent):  # a mean, because single losses are noisy
            mean = sum(recent) / len(recent)
            course += f", {mean:.4f} on average over the last {len(recent)} steps"
        elif done > 1:
            course += f", {recent[-1]:.4f} in step {done}"
        seconds = history.seconds[-1]
        print(f"loss {course}; {seconds:.1f} s, {1000 * seconds / done:.3g} ms a step")


GPT = Command(
    "gpt",
    run_gpt,
    "train a small GPT on names, one a step, and let it invent some",
    (
        argument(
            "--data",
            type=Path,
            metavar="FILE",
            help="a text file with one name a line (default: first names)",
        ),
        option("--steps", 1000, kind=positive),
        argument(
            "--engine",
            choices=("eager", "jit"),
            help="default: jit if llvmlite is installed, else eager; the names are the same",
        ),
        option("--seed", 42),
        option("--samples", 20, "how many names to invent", positive),
    ),
)
