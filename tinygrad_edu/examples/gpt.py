"""A character GPT that invents names: Andrej Karpathy's microgpt, built from the parts of `nn`.

    >>> import random
    >>> from tinygrad_edu.examples import gpt
    >>> rng = random.Random(42)
    >>> names = gpt.documents()
    >>> rng.shuffle(names)
    >>> vocabulary = gpt.Vocabulary(names)
    >>> model = gpt.GPT(len(vocabulary), rng=rng)
    >>> len(model.parameters())
    4192
    >>> history = gpt.train(model, vocabulary, names, steps=3)
    >>> [round(loss, 4) for loss in history.loss[:2]]
    [3.366, 3.4243]
    >>> name = gpt.sample(model, vocabulary, rng=rng)

Random numbers are drawn in the article's order, so losses and names are the article's: first the
names are shuffled, then the weights are drawn, and after training the same generator samples.
``tinygrad-edu gpt`` runs this program with 1,000 steps.

Source: A. Karpathy, microgpt, 2026: a GPT-2 with RMSNorm instead of LayerNorm, relu instead of
gelu, and no biases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import cycle, islice
from random import Random
from typing import Any

from .. import data, math, optim
from ..engine.interpreter import no_grad
from ..errors import (
    DataError,
    check_int,
    check_number,
    check_size,
    check_text,
    check_texts,
    check_type,
    is_list_like,
    short_repr,
    wrong_type,
)
from ..files import FilePath, read_text
from ..jit import jit
from ..jit.running import objects
from ..nn.init import Initialiser, normal
from ..nn.module import Module
from ..nn.transformer import CausalSelfAttention, Embedding, Linear, Past, RMSNorm, Row
from ..optim import Optimizer
from ..randomness import Rng, generator
from ..train import History, fit

MOST_BYTES = 100_000_000  # of a file of documents

# ---- data ----------------------------------------------------------------------------------------


def documents(path: FilePath | None = None) -> list[str]:
    """Returns the lines of a text file that are not blank, stripped.

    path: the file; None for the packaged names.

    Raises:
        OSError: the file cannot be read.
        DataError: the file is not text in UTF-8, has more than 100 million bytes, or only blanks.
    """
    if path is None:
        return data.names()
    remedy = "give a text file with one name a line"
    text = read_text(path, "documents", "names.txt", remedy, most=MOST_BYTES)
    lines = text.replace("\ufeff", "").split("\n")  # files that were joined have more marks
    found = [line.strip() for line in lines if line.strip()]
    if not found:
        kind = "has only blanks" if text else "is empty"
        raise DataError(f"{path} has no names: it {kind}; {remedy}")
    return found


class Vocabulary:
    """The characters of documents as tokens 0, 1, 2, ..., and one more token, the boundary.

    characters: the characters, sorted; token i stands for ``characters[i]``.
    boundary: the token before the first character of a document and after its last one.
    """

    def __init__(self, documents: Iterable[str]) -> None:
        documents = check_texts(documents, "Vocabulary: documents", "write ['anna', 'bob']")
        self.characters = sorted(set().union(*documents))
        self.boundary = len(self.characters)
        self._tokens = {character: token for token, character in enumerate(self.characters)}

    def __len__(self) -> int:
        return len(self.characters) + 1

    def encode(self, document: str) -> list[int]:
        """Returns the tokens of a document, with boundaries around them.

        Raises:
            TypeError: ``document`` is not text.
            ValueError: a character is not in the vocabulary.
        """
        check_text(document, "encode: document")
        try:
            tokens = [self._tokens[character] for character in document]
        except KeyError as error:
            raise ValueError(
                f"encode: document {short_repr(document)} has the character {error}, which is not "
                f"in the vocabulary: {short_repr(''.join(self.characters))}; make the vocabulary "
                "from all documents"
            ) from error
        return [self.boundary, *tokens, self.boundary]

    def decode(self, tokens: Iterable[int]) -> str:
        """Returns the text of tokens, without boundaries.

        Raises:
            TypeError: a token is not a whole number.
            ValueError: a token is not in the vocabulary.
        """
        if not is_list_like(tokens):
            raise wrong_type("decode: tokens", "a list of whole numbers", tokens, "write [0, 1]")
        found = [
            check_int(token, f"decode: entry {i} of tokens", 0, most=self.boundary)
            for i, token in enumerate(tokens)
        ]
        return "".join(self.characters[token] for token in found if token != self.boundary)

    def __repr__(self) -> str:
        characters = short_repr("".join(self.characters))
        return f"<Vocabulary of {len(self)} tokens: {characters} and the boundary>"


# ---- model ---------------------------------------------------------------------------------------


class Block(Module):
    """A layer of a transformer: attention, which combines positions, then a network for each alone.

    Both read a normalised row and add their output to the original row.  No gains, no biases.
    """

    def __init__(self, width: int, heads: int, init: str | Initialiser, rng: Rng) -> None:
        source = generator(rng)
        self.norm = RMSNorm(width, gain=False)
        self.attention = CausalSelfAttention(width, heads, bias=False, init=init, rng=source)
        self.fc1 = Linear(width, 4 * width, bias=False, init=init, rng=source)
        self.fc2 = Linear(4 * width, width, bias=False, init=init, rng=source)

    def read(self, x: Row, past: Past) -> Row:
        """Returns the row of the next position.

        past: the keys and values of the positions before it.
        """
        x = _sum(x, self.attention.attend(self.norm(x), past))
        return _sum(x, self.fc2([math.relu(y) for y in self.fc1(self.norm(x))]))


class GPT(Module):
    """A transformer that predicts the next token at every position of a sequence.

    ``model(tokens)`` is a list with one entry for each token: the logits of the next token, one for
    each token of the vocabulary.  They depend on this token and the tokens before it.  Tokens are
    whole numbers from 0 to ``vocabulary`` - 1, at most ``block`` of them.

    wte: a row of ``width`` parameters for each token.
    wpe: a row of ``width`` parameters for each position.
    lm_head: computes logits from the row that the last block returns.
    layers: the blocks.

    The parameters are drawn in this order from ``init``, by default normal with standard deviation
    0.08.

    Raises:
        TypeError: a size is not a whole number.
        ValueError: a size is below 1, or ``heads`` does not divide ``width``.
    """

    def __init__(
        self,
        vocabulary: int,
        width: int = 16,
        heads: int = 4,
        layers: int = 1,
        block: int = 16,
        init: str | Initialiser | None = None,
        rng: Rng = None,
    ) -> None:
        vocabulary = check_int(vocabulary, "GPT: vocabulary", 1, "pass len(vocabulary)")
        width = check_int(width, "GPT: width", 1)
        layers = check_int(layers, "GPT: layers", 1)
        check_size(12 * layers * width * width, f"GPT of {layers} layers of width {width}")
        if init is None:
            init = normal(0.08)
        source = generator(rng)
        self.block = block = check_int(block, "GPT: block", 1)
        self.wte = Embedding(vocabulary, width, init, source)
        self.wpe = Embedding(block, width, init, source)
        self.lm_head = Linear(width, vocabulary, bias=False, init=init, rng=source)
        self.norm = RMSNorm(width, gain=False)
        self.layers = [Block(width, heads, init, source) for _ in range(layers)]

    def __call__(self, x: Sequence[Any]) -> list[Row]:
        """Returns the logits after every token of the list ``x``.

        Raises:
            TypeError: ``x`` is not a list, or a token is not a number.
            ValueError: there are more than ``block`` tokens.
            IndexError: a token is not in the vocabulary.
        """
        if not is_list_like(x):
            raise wrong_type("GPT: x", "a list of tokens", x, "write vocabulary.encode(document)")
        past = self.start()
        return [self.read(token, past) for token in x]

    def start(self) -> list[Past]:
        """Returns the ``past`` of `read` before the first token: an empty list for every block."""
        return [[] for _ in self.layers]

    def read(self, token: Any, past: list[Past]) -> Row:
        """Returns the logits after one more token, and adds its keys and values to ``past``.

        Raises:
            ValueError: ``past`` has ``block`` tokens already.
            IndexError: the token is not in the vocabulary.
        """
        if not isinstance(past, list) or len(past) != len(self.layers):
            raise wrong_type("GPT: past", "a list with an entry for each layer", past,
                             "at the beginning pass model.start()")
        position = len(past[0])
        if position >= self.block:
            raise ValueError(
                f"the model has {self.block} positions, so it cannot read token {position + 1}; "
                "pass shorter sequences, or make the model with a larger block="
            )
        try:
            row = self.wte(token)
        except IndexError as error:
            raise IndexError(
                f"GPT: each token must be a whole number from 0 to {self.lm_head.nout - 1}, not "
                f"{short_repr(token)}; write vocabulary.encode(document)"
            ) from error
        x = self.norm(_sum(row, self.wpe(position)))
        for layer, its_past in zip(self.layers, past):
            x = layer.read(x, its_past)
        return self.lm_head(x)


def _sum(x: Row, y: Row) -> Row:
    return [xi + yi for xi, yi in zip(x, y)]


# ---- training and sampling -----------------------------------------------------------------------


def loss(predictions: Sequence[Row], targets: Sequence[Any], weights: Sequence[Any] | None = None
         ) -> Any:
    """Returns the mean over all positions of -log(softmax(logits)[target]).

    predictions: the logits at every position.
    targets: the token that follows at every position.
    weights: for each position, 1 if it counts, and 0 if not; None if all count.

    Equal logits give log(vocabulary): 3.2958 for 27 tokens.

    Raises:
        ValueError: predictions and targets differ in length or are empty, or weights do.
        ZeroDivisionError: no position counts.
    """
    check_type(predictions, "loss: predictions", (list, tuple), "a list of rows of logits")
    if not is_list_like(targets) or not hasattr(targets, "__len__"):
        raise wrong_type("loss: targets", "a list of tokens", targets)
    if not len(predictions) == len(targets) > 0:
        raise ValueError(
            f"loss: {len(predictions)} predictions for {len(targets)} targets; "
            "pass one target for each prediction, at least one"
        )
    # -log(softmax(logits)[i]) is logsumexp(logits) - logits[i], which stays finite if the softmax
    # underflows to 0.
    try:
        surprises = [
            math.logsumexp(logits) - math.take(logits, target)
            for logits, target in zip(predictions, targets)
        ]
    except IndexError as error:
        raise IndexError(f"loss: targets must be tokens of the vocabulary: {error}") from error
    if weights is None:
        return math.total(surprises) * (1 / len(surprises))
    if len(weights) != len(surprises):
        raise ValueError(
            f"loss: weights must be a list of {len(surprises)} numbers, one for each position, not "
            f"{short_repr(weights)}"
        )
    counted = [x * weight for x, weight in zip(surprises, weights)]
    return math.total(counted) * (1 / math.total(weights))


def sequences(
    documents: Sequence[str], vocabulary: Vocabulary, count: int, block: int = 16
) -> tuple[list[list[int]], list[list[int]]]:
    """Returns ``count`` samples ``(X, y)`` for `fit`.

    X: the tokens of a document.
    y: the token that follows each of them.

    Documents are taken in order, and from the first one again after the last.  Only the first
    ``block`` tokens of a document are used.

    Raises:
        TypeError: ``documents`` is not a list of texts, or ``vocabulary`` is not a Vocabulary.
        ValueError: there are no documents, or a character is not in the vocabulary.
    """
    documents = check_texts(documents, "sequences: documents", "write ['anna', 'bob']")
    check_type(vocabulary, "sequences: vocabulary", Vocabulary, "a Vocabulary",
               "write gpt.Vocabulary(documents)")
    count = check_int(count, "sequences: count", 0)
    block = check_int(block, "sequences: block", 1)
    if not documents:
        raise ValueError("sequences: documents must have at least one text, but it is empty")
    used = islice(cycle(documents), count)
    encoded = [vocabulary.encode(document[:block]) for document in used]
    return [tokens[:-1][:block] for tokens in encoded], [tokens[1:][:block] for tokens in encoded]


def optimizer(model: GPT, steps: int) -> Optimizer:
    """Returns the article's Adam.

    Its learning rate falls linearly from 0.01 to 0 in ``steps``.

    Raises:
        TypeError: ``model`` is not a GPT, or ``steps`` is not a whole number.
        ValueError: ``steps`` is below 1.
    """
    check_type(model, "optimizer: model", GPT, "a GPT", "write gpt.GPT(len(vocabulary))")
    return optim.Adam(
        model.parameters(), lr=optim.linear(0.01, steps), betas=(0.85, 0.99), eps=1e-8
    )


def _check_fitting(user: str, model: GPT, vocabulary: Vocabulary) -> None:
    """Checks that a model has logits for the tokens of a vocabulary."""
    remedy = "write gpt.GPT(len(vocabulary))"
    check_type(model, f"{user}: model", GPT, "a GPT", remedy)
    check_type(vocabulary, f"{user}: vocabulary", Vocabulary, "a Vocabulary",
               "write gpt.Vocabulary(documents)")
    if model.lm_head.nout != len(vocabulary):
        raise ValueError(
            f"{user}: model and vocabulary must have equally many tokens, not "
            f"{model.lm_head.nout} and {len(vocabulary)}; {remedy}"
        )


def train(
    model: GPT,
    vocabulary: Vocabulary,
    documents: Sequence[str],
    steps: int = 1000,
    *,
    engine: str | None = None,
    progress: bool = False,
) -> History:
    """Trains ``model`` with one document a step, in order, and returns the history.

    Ctrl-C ends the run as in `fit`.  ``engine`` is the option of `fit`; None is "jit" if llvmlite
    is installed, else "eager".  Both give the same losses, bit for bit.

    Raises:
        TypeError: ``model`` is not a GPT, or ``steps`` is not a whole number.
        ValueError: ``steps`` is below 1, or the vocabulary has another size than the model's.
        Exception: whatever `sequences` and `fit` raise.
    """
    _check_fitting("train", model, vocabulary)
    steps = check_int(steps, "train: steps", 1)
    if engine is None:
        engine = "jit" if objects.available() else "eager"
    adam = optimizer(model, steps)
    X, y = sequences(documents, vocabulary, steps, model.block)
    options: dict[str, Any] = {"optimizer": adam, "epochs": 1, "batch_size": 1, "shuffle": False,
                               "engine": engine, "progress": progress}
    if engine != "jit":
        return fit(model, loss, X, y, **options)
    # one program for a few lengths, instead of one for each; no bit of a loss depends on the rest
    targets = [(_filled(tokens, model.block), _filled([1] * len(tokens), model.block))
               for tokens in y]
    tokens = [_filled(tokens, model.block) for tokens in X]
    return fit(model, lambda rows, y: loss(rows, *y), tokens, targets, **options)


def _filled(entries: list[Any], most: int) -> list[Any]:
    """Returns the entries, followed by zeros: 16, 32, 64, ... in all, but not more than ``most``.
    """
    length = 16
    while length < len(entries):
        length *= 2
    return entries + [0] * (min(length, most) - len(entries))


def sample(model: GPT, vocabulary: Vocabulary, temperature: float = 0.5, rng: Rng = None) -> str:
    """Returns a document that the model invents, token by token.

    It ends when the boundary is drawn, or when there are ``block`` tokens.

    Each token is drawn with the probabilities softmax(logits / temperature).  A temperature near 0
    always gives the likeliest token, 1 the probabilities that the model has learned; a higher one
    makes the probabilities more equal.

    Raises:
        TypeError: ``model`` is not a GPT, ``vocabulary`` is not a Vocabulary, or ``temperature`` is
            not a number.
        ValueError: ``temperature`` is not a finite number > 0, or the vocabulary has another size
            than the model's.
    """
    temperature = _temperature("sample", model, vocabulary, temperature)
    source = generator(rng)
    past = model.start()

    def read(tokens: list[int]) -> list[float]:
        with no_grad():
            return [float(x) for x in model.read(tokens[-1], past)]

    return _invented(read, model, vocabulary, temperature, source)


def sampler(
    model: GPT, vocabulary: Vocabulary, temperature: float = 0.5
) -> Callable[[Random], str]:
    """Returns a function that returns what `sample` does, from a generator, compiled.

    Compiling takes as long as some names, so it is for many.  The function reads the parameters
    when it is called; for a model of which a part was replaced, make a new one.

    Raises:
        ImportError: llvmlite is not installed.
        Exception: whatever `sample` raises; TraceError, for a model that cannot be compiled.
    """
    temperature = _temperature("sampler", model, vocabulary, temperature)
    if not objects.available():
        raise ImportError('gpt.sampler needs llvmlite: pip install "tinygrad_edu[fast]"')
    logits = jit(lambda tokens: model(tokens))

    def read(tokens: list[int]) -> list[float]:
        rows = logits(_filled(tokens, model.block))
        return list(rows[len(tokens) - 1])

    return lambda source: _invented(read, model, vocabulary, temperature, source)


def _temperature(user: str, model: GPT, vocabulary: Vocabulary, temperature: float) -> float:
    """Checks the arguments of a sample, and returns the temperature."""
    _check_fitting(user, model, vocabulary)
    wanted = "a finite number > 0, such as 0.5"
    return check_number(temperature, f"{user}: temperature", above=0, wanted=wanted)


def _invented(
    read: Callable[[list[int]], list[float]],
    model: GPT,
    vocabulary: Vocabulary,
    temperature: float,
    source: Random,
) -> str:
    """Returns a document; ``read`` returns the logits of the next token, from all before it."""
    tokens = [vocabulary.boundary]
    while len(tokens) <= model.block:
        probabilities = math.softmax([x / temperature for x in read(tokens)])
        token = source.choices(range(len(vocabulary)), probabilities)[0]
        if token == vocabulary.boundary:
            break
        tokens.append(token)
    return vocabulary.decode(tokens)
