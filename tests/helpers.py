"""What several test files share: exact comparisons, an independent truth for every row, subprocesses."""

import math
import os
import random
import struct
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import mpmath
from mpmath import mp, mpf

from tinygrad_edu import primitives

ROOT = Path(__file__).parent.parent
inf, nan = math.inf, math.nan
SPECIAL = (0.0, -0.0, 1.0, -1.0, inf, -inf, nan, 5e-324, -5e-324, 1.797e308, -1.797e308, 1e200, 1e-200)
SMALLEST_NORMAL = sys.float_info.min


def bits(x):
    """The bytes of a float, so that 0.0 and -0.0 differ and nan equals nan (whatever its sign and payload)."""
    assert type(x) is float, f"{x!r} is a {type(x).__name__}, not a float"
    return b"nan" if x != x else struct.pack("<d", x)


def same(x, y):
    """Equal, or both nan; the sign of a zero is not looked at."""
    return x == y or (x != x and y != y)


def run_python(code, *args, hash_seed="0", timeout=120):
    """Runs ``code`` in a fresh interpreter that imports this package; the completed process."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": str(hash_seed)}
    return subprocess.run([sys.executable, "-c", code, *map(str, args)], env=environment, cwd=ROOT, text=True,
                          capture_output=True, timeout=timeout, check=False)


@contextmanager
def replaced(row, field, value):
    """Plants ``value`` in a field of a row for the time of a with block."""
    kept = getattr(row, field)
    setattr(row, field, value)
    try:
        yield
    finally:
        setattr(row, field, kept)


# ---- the truth about every row, from mpmath and from paper; nothing here reads the table's rules -------------------


def _gelu_tanh(x):
    return x / 2 * (1 + mp.tanh(mp.sqrt(2 / mp.pi) * (x + mpf(0.044715) * x**3)))


def _logistic(x):
    return 1 / (1 + mp.exp(-x))


def _erfc(x):
    # Past 1e4 it is 0 or 2 to forty million digits, and mpmath's argument reduction gives up.
    return mp.erfc(x) if abs(x) < 10_000 else mpf(0 if x > 0 else 2)


SMOOTH = {
    "add": lambda x, y: x + y, "sub": lambda x, y: x - y, "mul": lambda x, y: x * y, "div": lambda x, y: x / y,
    "pow": mp.power, "pow_lower": lambda x, y: mp.power(x, y - 1), "sigmoid_difference": lambda x, y: _logistic(x - y),
    "neg": lambda x: -x, "identity": lambda x: +x, "reciprocal": lambda x: 1 / x,
    "square": lambda x: x * x, "exp": mp.exp, "exp2": lambda x: mpf(2)**x, "expm1": mp.expm1, "log": mp.log,
    "log1p": mp.log1p, "log2": lambda x: mp.log(x) / mp.log(2), "log10": lambda x: mp.log(x) / mp.log(10),
    "sqrt": mp.sqrt, "rsqrt": lambda x: 1 / mp.sqrt(x), "cbrt": lambda x: mp.sign(x) * mp.cbrt(abs(x)),
    "xlogy": lambda x, y: x * mp.log(y),
    "logaddexp": lambda x, y: max(x, y) + mp.log1p(mp.exp(-abs(x - y))),
    "hypot": lambda x, y: mp.sqrt(x * x + y * y), "sin": mp.sin, "cos": mp.cos, "tan": mp.tan, "asin": mp.asin,
    "acos": mp.acos, "atan": mp.atan, "atan2": mp.atan2, "sinh": mp.sinh, "cosh": mp.cosh, "tanh": mp.tanh,
    "asinh": lambda x: mp.sign(x) * mp.asinh(abs(x)), "acosh": mp.acosh, "atanh": mp.atanh, "sigmoid": _logistic,
    "logsigmoid": lambda x: -mp.log1p(mp.exp(-x)), "softplus": lambda x: mp.log1p(mp.exp(x)),
    "silu": lambda x: x * _logistic(x), "gelu_erf": lambda x: x / 2 * _erfc(-x / mp.sqrt(2)),
    "gelu_tanh": _gelu_tanh, "erf": lambda x: 1 - _erfc(x) if x > 1 else mp.erf(x) if x > -1 else _erfc(-x) - 1, "erfc": _erfc,
    # Smooth away from 0, which no point of these tests is:
    "softsign": lambda x: x / (1 + abs(x)), "leaky_relu": lambda x, slope: x if x > 0 else slope * x,
    "elu": lambda x, alpha: +x if x > 0 else alpha * mp.expm1(x), "relu": lambda x: x if x > 0 else mpf(0),
}


def _nearest_even(x):
    low = mp.floor(x)
    return low + (1 if x - low > 0.5 or (x - low == 0.5 and int(low) % 2) else 0)


def _toward_zero(x):
    return mp.sign(x) * mp.floor(abs(x))


def _clip(x, low, high):
    return min(max(x, low), high)


def _round_digits(x, n):
    if abs(n) > 400:
        return mpf(0) if n < 0 else x
    scale = mpf(10) ** int(n)
    return _nearest_even(x * scale) / scale


# name: (value, partials), written by hand: numerical differentiation would step over the jumps of a far quotient.
PIECEWISE = {
    "remainder": (lambda x, y: x - mp.floor(x / y) * y, (lambda x, y: 1, lambda x, y: -mp.floor(x / y))),
    "floordiv": (lambda x, y: mp.floor(x / y), (lambda x, y: 0, lambda x, y: 0)),
    "fmod": (lambda x, y: x - _toward_zero(x / y) * y, (lambda x, y: 1, lambda x, y: -_toward_zero(x / y))),
    "ieee_remainder": (lambda x, y: x - _nearest_even(x / y) * y, (lambda x, y: 1, lambda x, y: -_nearest_even(x / y))),
    "where": (lambda c, x, y: x if c else y,
              (lambda c, x, y: 0, lambda c, x, y: 1 if c else 0, lambda c, x, y: 0 if c else 1)),
    "step": (lambda x: mpf(x > 0), (lambda x: 0,)),
    "sign": (mp.sign, (lambda x: 0,)),
    "abs": (abs, (mp.sign,)),
    "maximum": (max, (lambda x, y: int(x > y), lambda x, y: int(x < y))),
    "minimum": (min, (lambda x, y: int(x < y), lambda x, y: int(x > y))),
    "fmax": (max, (lambda x, y: int(x > y), lambda x, y: int(x < y))),
    "fmin": (min, (lambda x, y: int(x < y), lambda x, y: int(x > y))),
    "clip": (_clip, (lambda x, low, high: int(low < x < high), lambda x, low, high: int(x < low < high),
                     lambda x, low, high: int(high < max(x, low)))),
    "copysign": (lambda x, y: abs(x) * mp.sign(y), (lambda x, y: mp.sign(x) * mp.sign(y), lambda x, y: 0)),
    "floor": (mp.floor, (lambda x: 0,)),
    "ceil": (mp.ceil, (lambda x: 0,)),
    "round": (_nearest_even, (lambda x: 0,)),
    "round_digits": (_round_digits, (lambda x, n: 0, lambda x, n: 0)),
    "trunc": (_toward_zero, (lambda x: 0,)),
    "hardtanh": (lambda x: _clip(x, mpf(-1), mpf(1)), (lambda x: int(abs(x) < 1),)),
}


def _differentiate(f, i, args):
    """d f / d args[i] by central differences, at 60 digits and more until two precisions agree to 25 digits.

    The step is a small part of the argument, so that no singularity is stepped over; where the function hardly
    changes (cosh near 0, tanh far out) the difference cancels, and only more digits help.  Agreement on 0 counts at
    the highest precision alone.
    """
    x = args[i]
    earlier = None
    for digits in (60, 120, 400, 1100):
        with mp.workdps(digits):
            step = (abs(x) or mpf(1)) * mpf(10) ** -(digits // 3)
            higher, lower = (f(*args[:i], x + sign * step, *args[i + 1:]) for sign in (1, -1))
            slope = (higher - lower) / (2 * step)
            if earlier is not None and slope and abs(slope - earlier) <= abs(slope) * mpf(10) ** -25:
                return slope
            earlier = slope
    return earlier


def _value(f, args):
    """f(*args) to 60 digits at least, also where terms cancel."""
    earlier = None
    for digits in (60, 700, 1400):
        with mp.workdps(digits):
            value = mpf(f(*args))
            if earlier is not None and abs(value - earlier) <= abs(value) * mpf(10) ** -25:
                return value
            earlier = value
    return earlier


def truth(name, args):
    """``(value, partials)`` of a row at floats, as mpmath numbers, by means that share nothing with the engine."""
    args = tuple(map(mpf, args))
    if name in SMOOTH:
        f = SMOOTH[name]
        return _value(f, args), tuple(_differentiate(f, i, args) for i in range(len(args)))
    value, partials = PIECEWISE[name]
    return _value(value, args), tuple(_value(partial, args) for partial in partials)


def error_in_ulps(got, true):
    """The distance of a float from an mpmath number in units in the last place of the latter, an mpmath number.

    None if the truth is subnormal, where digits are lost by the format itself.
    """
    true = mpf(true)
    if true == 0:
        return mpf(0) if got == 0 else mpf("inf")
    if abs(true) < SMALLEST_NORMAL:
        return None
    if got != got:
        return mpf("inf")
    if abs(true) >= mpf(2) ** 1024 - mpf(2) ** 969:
        # Beyond the largest float (or at its edge) infinity is right.
        return mpf(0) if math.isinf(got) and (got > 0) == (true > 0) else mpf("inf") if math.isinf(got) else (
            abs(mpf(got) - true) / mpf(2) ** 971)
    return abs(mpf(got) - true) / mpf(math.ulp(float(true))) if math.isfinite(got) else mpf("inf")


# ---- points --------------------------------------------------------------------------------------------------------


def draw(interval, rng, wide=True):
    """A float in an interval, spread over the powers of ten from its ends; or a moderate one, if not ``wide``."""
    low, high = interval
    size = 10 ** rng.uniform(-1.2, 0.9) if not wide else 10 ** rng.choice([rng.uniform(-300, 300), rng.uniform(-4, 4)])
    if math.isinf(low) and math.isinf(high):
        return math.copysign(size, rng.random() - 0.5)
    if math.isinf(high):
        return low + max(size, abs(low) * 1e-15)
    if not wide:
        return min(max(rng.uniform(low, high), low * 0.95, -3.0), high * 0.95, 3.0)
    if high - low > 10 and rng.random() < 0.5:  # exp and its like: small arguments too
        return min(max(math.copysign(size, rng.random() - 0.5), low * 0.99), high * 0.99)
    middle = (low + high) / 2
    near_end = min(size, 1 / size) * (high - low) / 2
    return rng.choice([rng.uniform(low, high), low + near_end if low + near_end > low else middle,
                       high - near_end if high - near_end < high else middle])


def points(row, n, seed=0, wide=True):
    """``n`` argument tuples from the intervals that the row allows tests to draw from; the same ones every time."""
    rng = random.Random(f"{row.name} {seed}")
    drawn = []
    for k in range(n):
        args = [draw(rng.choice(intervals), rng, wide) for intervals in row.sample]
        if row.arity > 1 and k % 3 == 0 and not wide | (row.sample[0] != row.sample[-1]):
            args = [args[0], *(args[0] * rng.uniform(0.3, 3) for _ in args[1:])]
        elif row.arity > 1 and wide and k % 2:  # arguments of about the same size, where functions of two are hard
            args = [args[0], *(draw(rng.choice(intervals), rng, wide=False) * rng.choice([1, abs(args[0])])
                               if intervals == primitives.REALS else arg
                               for intervals, arg in zip(row.sample[1:], args[1:]))]
        if row.name == "round_digits":
            args[1] = float(rng.randint(-5, 12))
        if all(math.isfinite(arg) and arg != 0 for arg in args):
            drawn.append(tuple(args))
    return drawn


__all__ = ["PIECEWISE", "ROOT", "SMALLEST_NORMAL", "SMOOTH", "SPECIAL", "bits", "error_in_ulps", "inf", "mp", "mpf", "mpmath",
           "nan", "points", "replaced", "run_python", "same", "truth"]
