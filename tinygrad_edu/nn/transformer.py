"""Parts of a transformer: Linear, Embedding, RMSNorm and causal self-attention.

They work on lists of numbers and Values.  A *row* is a list of ``width`` numbers: what the model
knows about one position in a sequence.  Data are looked up with `math.take`, without any ``if``, so
a function made of these parts can be compiled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import math
from ..engine.arrays import is_array
from ..engine.value import Value
from ..errors import (
    check_bool,
    check_int,
    check_number,
    check_type,
    is_number,
    plain,
    short_repr,
    wrong_type,
)
from ..randomness import Rng, generator
from .init import Initialiser, weights
from .inputs import as_row, check_entries
from .module import Module

Row = list[Any]
Past = list[tuple[Row, Row]]  # key and value of every position that attention has read


class Linear(Module):
    """W x + b, for a row x of ``nin`` numbers: a row of ``nout`` numbers, also if ``nout`` is 1.

    weight: W, ``nout`` lists of ``nin`` parameters, drawn from ``init`` one list after the other.
    bias: b, ``nout`` parameters, at first 0; None without ``bias``.

    Raises:
        TypeError: a size is not a whole number.
        ValueError: a size is below 1, or the name of the initialiser is unknown.
    """

    def __init__(
        self,
        nin: int,
        nout: int,
        bias: bool = True,
        init: str | Initialiser = "xavier",
        rng: Rng = None,
    ) -> None:
        self.nin = nin = check_int(nin, "Linear: nin", 1)
        self.nout = nout = check_int(nout, "Linear: nout", 1)
        self.weight = weights(nout, nin, init, rng, (nin, nout), "Linear")
        has_bias = check_bool(bias, "Linear: bias")
        self.bias = [Value(0.0) for _ in range(nout)] if has_bias else None

    def __call__(self, x: Sequence[Any]) -> list[Value]:
        """Returns the row of outputs for ``x``, a list of ``nin`` numbers or Values.

        Raises:
            TypeError: ``x`` is not a list, or an entry is not a number.
            ValueError: ``x`` has another length.
        """
        x = as_row(x, self.nin, self)
        try:
            outputs = [math.sumprod(weights, x) for weights in self.weight]
        except (TypeError, OverflowError):
            check_entries(x, self)
            raise
        if not isinstance(outputs[0], Value):  # an array times a Value is an array
            check_entries(x, self)
        return outputs if self.bias is None else [y + b for y, b in zip(outputs, self.bias)]

    def __repr__(self) -> str:
        return f"Linear({self.nin}, {self.nout}, bias={self.bias is not None})"


class Embedding(Module):
    """A table of ``count`` rows of ``width`` parameters: ``embedding(i)`` is row i.

    weight: the rows, drawn from ``init`` one after the other.  fan_in is ``count``, because row i
        is the output of a `Linear` layer without bias for ``count`` inputs that are 0, except
        the i-th, which is 1.

    Raises:
        TypeError: a size is not a whole number.
        ValueError: a size is below 1, or the name of the initialiser is unknown.
    """

    def __init__(
        self, count: int, width: int, init: str | Initialiser = "uniform", rng: Rng = None
    ) -> None:
        count = check_int(count, "Embedding: count", 1)
        width = check_int(width, "Embedding: width", 1)
        self.weight = weights(count, width, init, rng, (count, width), "Embedding")

    def __call__(self, x: Any) -> list[Value]:
        """Returns row ``x``, the parameters themselves.

        Raises:
            TypeError: ``x`` is not a number.
            IndexError: ``x`` is not one of 0, 1, ..., count - 1.
        """
        wanted = f"the index of a row, a whole number from 0 to {len(self.weight) - 1}"
        if not is_number(x):
            raise wrong_type("Embedding: x", wanted, x)
        try:
            row: list[Value] = math.take(self.weight, x)
        except (IndexError, OverflowError) as error:
            raise IndexError(f"Embedding: x must be {wanted}, not {short_repr(x)}") from error
        return row

    def __repr__(self) -> str:
        return f"Embedding({len(self.weight)}, {len(self.weight[0])})"


class RMSNorm(Module):
    """x / sqrt(mean(x**2) + eps): a row scaled to a root mean square of 1.

    gain: a factor for every entry, a parameter that is at first 1; None without ``gain``.
    eps: keeps the result finite for a row of zeros.

    Source: Zhang and Sennrich, 2019, equation 4.

    Raises:
        TypeError: ``width`` is not a whole number.
        ValueError: ``width`` is below 1, or ``eps`` is negative, inf or nan.
    """

    def __init__(self, width: int, eps: float = 1e-5, gain: bool = True) -> None:
        self.width = width = check_int(width, "RMSNorm: width", 1)
        self.eps = check_number(eps, "RMSNorm: eps", 0, "usual: 1e-5")
        has_gain = check_bool(gain, "RMSNorm: gain")
        self.gain = [Value(1.0) for _ in range(width)] if has_gain else None

    def __call__(self, x: Sequence[Any]) -> Row:
        """Returns the scaled row.

        Raises:
            TypeError: ``x`` is not a list, or an entry is not a number.
            ValueError: ``x`` has another width.
        """
        x = as_row(x, self.width, self, "width")
        try:
            scale = math.rsqrt(math.sumprod(x, x) * (1 / self.width) + self.eps)
        except (TypeError, OverflowError):
            check_entries(x, self)
            raise
        scaled = [plain(xi) * scale for xi in x]
        return scaled if self.gain is None else [xi * g for xi, g in zip(scaled, self.gain)]

    def __repr__(self) -> str:
        return f"RMSNorm({self.width}, eps={self.eps!r}, gain={self.gain is not None})"


class CausalSelfAttention(Module):
    """Attention of every position to itself and to the positions before it.

    Each position's row is mapped to three rows: a query, a key and a value.  Each head has its own
    d = width / heads of their entries, and computes for every position::

        weights = softmax(query . key / sqrt(d) for the key of every position so far)
        result  = the mean of the values of these positions, with these weights

    ``output`` mixes the results of all heads.  query, key, value and output are `Linear` layers,
    drawn in this order.

    Source: Vaswani et al., 2017, equation 1.

    Raises:
        TypeError: a size is not a whole number.
        ValueError: a size is below 1, ``heads`` does not divide ``width``, or the name of the
            initialiser is unknown.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        bias: bool = True,
        init: str | Initialiser = "xavier",
        rng: Rng = None,
    ) -> None:
        self.width = width = check_int(width, "CausalSelfAttention: width", 1)
        self.heads = heads = check_int(heads, "CausalSelfAttention: heads", 1)
        if width % heads:
            raise ValueError(
                f"CausalSelfAttention: heads must divide the width {width}, which {heads} does "
                f"not; choose one of {_divisors(width)}"
            )
        source = generator(rng)
        self.query, self.key, self.value, self.output = [
            Linear(width, width, bias, init, source) for _ in range(4)
        ]

    def __call__(self, x: Any) -> list[list[Value]]:
        """Returns one row for each row of the list ``x``, the positions of a sequence in order.

        Raises:
            TypeError: ``x`` is not a list of rows.
            ValueError: a row has another width.
        """
        if not isinstance(x, (list, tuple)) and not (is_array(x) and getattr(x, "ndim", 0) == 2):
            raise wrong_type(
                "CausalSelfAttention: x", "a list of rows, one for each position", x,
                "write [row] for one position",
            )
        past: Past = []
        return [
            self.attend(as_row(row, self.width, self, "width", f"row {i} of x"), past)
            for i, row in enumerate(x)
        ]

    def attend(self, x: Sequence[Any], past: Past) -> list[Value]:
        """Returns the row of one position, and appends its key and value to ``past``.

        ``past`` has the keys and values of the positions before it; at the beginning it is [].  A
        sequence can so be continued at the cost of one position.
        """
        check_type(past, "CausalSelfAttention: past", list, "a list", "at the beginning pass []")
        query = self.query(x)
        past.append((self.key(x), self.value(x)))
        size = self.width // self.heads
        mixed: Row = []
        for head in range(self.heads):
            share = slice(head * size, (head + 1) * size)
            scores = [math.sumprod(query[share], key[share]) * size**-0.5 for key, _ in past]
            weights = math.softmax(scores)
            columns = zip(*[value[share] for _, value in past])
            mixed += [math.sumprod(weights, column) for column in columns]
        return self.output(mixed)

    def __repr__(self) -> str:
        has_bias = self.output.bias is not None
        return f"CausalSelfAttention({self.width}, heads={self.heads}, bias={has_bias})"


def _divisors(n: int) -> str:
    return ", ".join(str(d) for d in range(1, min(n, 100) + 1) if n % d == 0)
