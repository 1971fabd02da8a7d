"""The character GPT of the microgpt article: 4,192 parameters, Adam, one name a step, 1,000 steps.

Weights, names and their order are those of the article, and so are the losses. The other engines
compute all positions of a name at once with a causal mask; the article's program and this engine go
from position to position.
"""

# mypy: disable-error-code="import-not-found, import-untyped, untyped-decorator"

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from tests.benchmarks.races import ours
from tests.benchmarks.races.race import EAGER, OURS, ROUNDS, Contestant, Program
from tinygrad_edu.examples import gpt as microgpt

WIDTH, HEADS, BLOCK, STEPS = 16, 4, 16, 1_000
SLICE = STEPS // (1 + ROUNDS)  # steps of a call
RATE, BETAS, EPS = 0.01, (0.85, 0.99), 1e-8
PUBLISHED = ["3.3660", "3.4243", "3.1778", "3.0664", "3.2209", "2.9452"]


@dataclass(frozen=True)
class GPT:
    """What a training starts from.

    vocabulary, names    names in the order of the training
    weights              matrices by name, as lists of rows, in the order in which they were drawn
    model                the same as this engine's model
    steps                of the training; the learning rate is that of 1,000 in any case
    slice, eager_slice   how many steps a call does, of the others and of the eager engine
    """

    vocabulary: Any
    names: list[str]
    model: Any
    steps: int
    slice: int
    eager_slice: int

    @property
    def weights(self) -> dict[str, list[list[float]]]:
        """The matrices by their names in the article, as lists of rows."""
        numbers, vocabulary = (p.data for p in self.model.parameters()), len(self.vocabulary)
        shapes = {"wte": (vocabulary, WIDTH), "wpe": (BLOCK, WIDTH), "lm_head": (vocabulary, WIDTH),
                  **dict.fromkeys(("wq", "wk", "wv", "wo"), (WIDTH, WIDTH)),
                  "fc1": (4 * WIDTH, WIDTH), "fc2": (WIDTH, 4 * WIDTH)}
        return {
            name: [[next(numbers) for _ in range(nin)] for _ in range(nout)]
            for name, (nout, nin) in shapes.items()
        }

    @property
    def sequences(self) -> list[list[int]]:
        """Returns the tokens of every name with its boundaries, cut to the positions of the
        model."""
        return [self.vocabulary.encode(name)[:BLOCK + 1] for name in self.names[:STEPS]]


def names(quick: bool) -> GPT:
    """Seed 42: the names are shuffled, then the weights drawn."""
    rng = random.Random(42)
    documents = microgpt.documents()
    rng.shuffle(documents)
    vocabulary = microgpt.Vocabulary(documents)
    return GPT(
        vocabulary,
        documents,
        microgpt.GPT(len(vocabulary), rng=rng),
        *((9, 3, 2) if quick else (STEPS, SLICE, 10)),
    )


def verdict(losses: Sequence[float]) -> str:
    """Whether the first losses are the article's."""
    found = [f"{loss:.4f}" for loss in losses[:len(PUBLISHED)]]
    if found == PUBLISHED[:len(found)]:
        return f"First losses as in the article: {', '.join(found)}"
    return f"[bold red]First losses {', '.join(found)}; the article has {', '.join(PUBLISHED)}[/]"


# ---- this engine ---------------------------------------------------------------------------------


def compiled(problem: GPT) -> Callable[[], Any]:
    """`fit` with the compiled engine, each call the whole training.

    Timed is what its history has, from the second slice of steps on: the median over the slices, as
    it is for the others.
    """
    def seconds(ends: list[float]) -> float:
        starts = range(problem.slice - 1, problem.steps - problem.slice, problem.slice)
        return median(
            (ends[start + problem.slice] - ends[start]) / problem.slice for start in starts
        )

    X, y = _samples(problem)
    return ours.training(
        problem.model, microgpt.loss, X, y, lambda: _optimizer(problem), seconds, **OPTIONS
    )


def eager(problem: GPT) -> Callable[[], Any]:
    """`fit` with the eager engine, some steps a call."""
    X, y = _samples(problem)
    count = problem.eager_slice
    parts = (
        (X[start : start + count], y[start : start + count])
        for start in range(0, problem.steps, count)
    )
    return ours.continued_eagerly(
        problem.model, microgpt.loss, parts, _optimizer(problem), **OPTIONS
    )


def _samples(problem: GPT) -> tuple[list[Any], list[Any]]:
    return microgpt.sequences(problem.names, problem.vocabulary, problem.steps, BLOCK)


def _optimizer(problem: GPT) -> Any:
    return microgpt.optimizer(problem.model, STEPS)


OPTIONS: dict[str, Any] = {"epochs": 1, "batch_size": 1, "shuffle": False}


# ---- the others ----------------------------------------------------------------------------------


def with_torch(problem: GPT) -> Callable[[], Any]:
    """torch eager.

    Queries, keys and values come from one matrix, the mask is added in the product of queries and
    keys, Adam is the fused one:  each of them was a little faster than what it stands for,
    `scaled_dot_product_attention` and all parameters in one tensor were not.
    """
    import torch
    from torch.nn import functional as F  # noqa: N812 (its usual name)

    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    matrices = {name: torch.tensor(rows) for name, rows in problem.weights.items()}
    matrices["qkv"] = torch.cat([matrices.pop(name) for name in ("wq", "wk", "wv")])
    parameters = {name: matrix.requires_grad_() for name, matrix in matrices.items()}
    wte, wpe, lm_head, wo, fc1, fc2, qkv = parameters.values()
    mask = torch.full((BLOCK, BLOCK), -torch.inf).triu(1).expand(HEADS, BLOCK, BLOCK)
    optimizer = torch.optim.Adam(parameters.values(), lr=RATE, betas=BETAS, eps=EPS, fused=True)
    sequences, size = problem.sequences, WIDTH // HEADS
    losses: list[Any] = []

    def norm(x: Any) -> Any:
        return F.rms_norm(x, (WIDTH,), eps=1e-5)

    def forward(tokens: Any) -> Any:
        count = len(tokens) - 1
        x = norm(F.embedding(tokens[:-1], wte) + wpe[:count])
        q, k, v = F.linear(norm(x), qkv).view(count, 3, HEADS, size).permute(1, 2, 0, 3).unbind()
        scores = torch.baddbmm(mask[:, :count, :count], q, k.transpose(1, 2), alpha=size ** -0.5)
        attended = (scores.softmax(-1) @ v).transpose(0, 1).reshape(count, WIDTH)
        x = torch.addmm(x, attended, wo.t())
        x = torch.addmm(x, F.relu(F.linear(norm(x), fc1)), fc2.t())
        return F.cross_entropy(F.linear(x, lm_head), tokens[1:])

    def run() -> list[Any]:
        for step in range(len(losses), len(losses) + problem.slice):
            loss = forward(torch.tensor(sequences[step]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.param_groups[0]["lr"] = RATE * (1 - step / STEPS)
            optimizer.step()
            losses.append(loss.detach())
        return losses

    return run


def _jax_step(problem: GPT) -> tuple[Any, Callable[..., tuple[Any, Any]], Any, Any]:
    """(parameters, first moments, second moments); a step of them; and for all steps the tokens,
    padded, and their number.

    Every name is padded to all positions, so that there is one program to compile.  All parameters
    are in one array, which halves the time of a step.
    """
    import jax
    import numpy as np
    from jax import numpy as jnp
    from jax.flatten_util import ravel_pytree

    sequences = problem.sequences
    tokens = np.full((len(sequences), BLOCK + 1), problem.vocabulary.boundary)
    for row, sequence in zip(tokens, sequences):
        row[:len(sequence)] = sequence
    counts = np.array([len(sequence) - 1.0 for sequence in sequences])
    initial, unravel = ravel_pytree(
        {name: jnp.array(rows) for name, rows in problem.weights.items()}
    )
    causal, size = jnp.tril(jnp.ones((BLOCK, BLOCK), bool)), WIDTH // HEADS

    def norm(x: Any) -> Any:
        return x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-5)

    def loss(parameters: Any, tokens: Any, count: Any) -> Any:
        p = unravel(parameters)
        x = norm(p["wte"][tokens[:-1]] + p["wpe"])
        q, k, v = [(norm(x) @ p[name].T).reshape(BLOCK, HEADS, size) for name in ("wq", "wk", "wv")]
        scores = jnp.where(causal, jnp.einsum("qhd,khd->hqk", q, k) * size ** -0.5, -jnp.inf)
        attended = jnp.einsum("hqk,khd->qhd", jax.nn.softmax(scores), v).reshape(BLOCK, WIDTH)
        x = x + attended @ p["wo"].T
        x = x + jax.nn.relu(norm(x) @ p["fc1"].T) @ p["fc2"].T
        logarithms = jnp.take_along_axis(
            jax.nn.log_softmax(x @ p["lm_head"].T), tokens[1:, None], 1
        )[:, 0]
        return -jnp.where(jnp.arange(BLOCK) < count, logarithms, 0.0).sum() / count

    def step(state: Any, k: Any, tokens: Any, count: Any) -> tuple[Any, Any]:
        p, m, v = state
        value, g = jax.value_and_grad(loss)(p, tokens, count)
        m, v = BETAS[0] * m + (1 - BETAS[0]) * g, BETAS[1] * v + (1 - BETAS[1]) * g * g
        m_hat, v_hat = m / (1 - BETAS[0] ** (k + 1)), v / (1 - BETAS[1] ** (k + 1))
        return (p - RATE * (1 - k / STEPS) * m_hat / (jnp.sqrt(v_hat) + EPS), m, v), value

    return (initial, jnp.zeros_like(initial), jnp.zeros_like(initial)), step, tokens, counts


def with_jax_steps(problem: GPT) -> Callable[[], Any]:
    """jax, the whole step compiled; the loop is Python's."""
    import jax

    state, step, tokens, counts = _jax_step(problem)
    compiled = jax.jit(step)
    losses: list[Any] = []

    def run() -> Any:
        nonlocal state
        for k in range(len(losses), len(losses) + problem.slice):
            state, loss = compiled(state, float(k), tokens[k], counts[k])
            losses.append(loss)
        return jax.block_until_ready(losses)

    return run


def with_jax_scan(problem: GPT) -> Callable[[], Any]:
    """jax, the steps of a call compiled as one `lax.scan`; nobody sees one of them before the last
    one is done."""
    import jax
    import numpy as np

    state, step, tokens, counts = _jax_step(problem)
    compiled = jax.jit(
        lambda state, *samples: jax.lax.scan(
            lambda state, sample: step(state, *sample), state, samples
        )
    )
    losses: list[Any] = []

    def run() -> list[Any]:
        nonlocal state
        start = len(losses) * problem.slice
        now = slice(start, start + problem.slice)
        steps = np.arange(now.start, now.stop, dtype=float)
        state, part = jax.block_until_ready(compiled(state, steps, tokens[now], counts[now]))
        losses.append(part)
        return losses

    return run


def _steps(problem: GPT) -> float:
    return problem.slice


PROGRAM = Program(
    module=__name__, title="GPT: the microgpt article's, one name a step", problem=names,
    work="a step",
    whole="1,000 steps", whole_limit=5, verdict=verdict,
    note=f"A round is {SLICE} steps, the eager engine's 10, ours the whole training, of which a "
         f"median {SLICE} count.\n"
         "The first call, which compiles, has as many.",
    contestants=(
        Contestant(OURS, compiled, calls=1, whole=1, tolerance=1e-9),
        Contestant(EAGER, eager, share=lambda problem: problem.eager_slice, calls=1),
        Contestant(
            "torch eager", with_torch, "torch", share=_steps, calls=1, whole=1 + ROUNDS, target=0.3
        ),
        Contestant(
            "jax.jit, a step a call", with_jax_steps, "jax",
            share=_steps, calls=1, whole=1 + ROUNDS,
        ),
        Contestant(
            "jax.jit, lax.scan", with_jax_scan, "jax", share=_steps, calls=1, whole=1 + ROUNDS
        ),
    ))
