"""Expected values and partials of every row by mpmath and formulas; points to compare at; and the
checker.

`truth` uses no rule and no forward function of the table. Its partials are closed forms that keep
their digits with 60 decimals; `test_accuracy` compares them with numerical derivatives of the
values.
"""

import functools
import math
import random
import sys

from mpmath import mp, mpf

from tinygrad_edu.engine.primitive import REALS

SMALLEST_NORMAL = sys.float_info.min
DIGITS = 60


# ---- smooth rows: values -------------------------------------------------------------------------


def _logistic(x):
    return 1 / (1 + mp.exp(-x))


def _bell(x):
    """Returns the derivative of the logistic function."""
    return _logistic(x) * _logistic(-x)


def _erfc(x):
    # Beyond 1e4 it is 0 or 2 to forty million digits, and mpmath's argument reduction fails.
    return mp.erfc(x) if abs(x) < 10_000 else mpf(0 if x > 0 else 2)


def _normal_density(x):
    return mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi)


def _gelu_argument(x):
    return mp.sqrt(8 / mp.pi) * (x + mpf(0.044715) * x**3)


def _gelu_tanh_slope(x):
    u = _gelu_argument(x)
    return _logistic(u) + x * _bell(u) * mp.sqrt(8 / mp.pi) * (1 + 3 * mpf(0.044715) * x**2)


# Some have a kink at 0, where the partial is the one from the left.  For slopes from 0 to 1 it is
# the subgradient of least norm.
SMOOTH = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "pow": mp.power,
    "pow_lower": lambda x, y: mp.power(x, y - 1),
    "sigmoid_difference": lambda x, y: _logistic(x - y),
    "neg": lambda x: -x,
    "identity": lambda x: +x,
    "reciprocal": lambda x: 1 / x,
    "square": lambda x: x * x,
    "exp": mp.exp,
    "exp2": lambda x: mpf(2) ** x,
    "expm1": mp.expm1,
    "log": mp.log,
    "log1p": mp.log1p,
    "log2": lambda x: mp.log(x) / mp.log(2),
    "log10": lambda x: mp.log(x) / mp.log(10),
    "sqrt": mp.sqrt,
    "rsqrt": lambda x: 1 / mp.sqrt(x),
    "cbrt": lambda x: mp.sign(x) * mp.cbrt(abs(x)),
    "xlogy": lambda x, y: x * mp.log(y),
    "logaddexp": lambda x, y: max(x, y) + mp.log1p(mp.exp(-abs(x - y))),
    "hypot": lambda x, y: mp.sqrt(x * x + y * y),
    "sin": mp.sin,
    "cos": mp.cos,
    "tan": mp.tan,
    "asin": mp.asin,
    "acos": mp.acos,
    "atan": mp.atan,
    "atan2": mp.atan2,
    "sinh": mp.sinh,
    "cosh": mp.cosh,
    "tanh": mp.tanh,
    "asinh": lambda x: mp.sign(x) * mp.asinh(abs(x)),
    "acosh": mp.acosh,
    "atanh": mp.atanh,
    "sigmoid": _logistic,
    "logsigmoid": lambda x: -mp.log1p(mp.exp(-x)),
    "softplus": lambda x: mp.log1p(mp.exp(x)),
    "silu": lambda x: x * _logistic(x),
    "gelu_erf": lambda x: x / 2 * _erfc(-x / mp.sqrt(2)),
    "gelu_tanh": lambda x: x * _logistic(_gelu_argument(x)),
    "erf": lambda x: 1 - _erfc(x) if x > 1 else mp.erf(x) if x > -1 else _erfc(-x) - 1,
    "erfc": _erfc,
    "sech_squared": lambda x: 1 / mp.cosh(x) ** 2,
    "softsign": lambda x: x / (1 + abs(x)),
    "leaky_relu": lambda x, slope: x if x > 0 else slope * x,
    "elu": lambda x, alpha: +x if x > 0 else alpha * mp.expm1(x),
    "relu": lambda x: x if x > 0 else mpf(0),
}

# ---- smooth rows: partials, one for each argument ------------------------------------------------

SLOPES = {
    "add": (lambda x, y: mpf(1), lambda x, y: mpf(1)),
    "sub": (lambda x, y: mpf(1), lambda x, y: mpf(-1)),
    "mul": (lambda x, y: y, lambda x, y: x),
    "div": (lambda x, y: 1 / y, lambda x, y: -x / (y * y)),
    "pow": (lambda x, y: y * mp.power(x, y) / x, lambda x, y: mp.power(x, y) * mp.log(x)),
    "pow_lower": (
        lambda x, y: (y - 1) * mp.power(x, y) / (x * x),
        lambda x, y: mp.power(x, y) / x * mp.log(x),
    ),
    "sigmoid_difference": (lambda x, y: _bell(x - y), lambda x, y: -_bell(x - y)),
    "neg": (lambda x: mpf(-1),),
    "identity": (lambda x: mpf(1),),
    "reciprocal": (lambda x: -1 / (x * x),),
    "square": (lambda x: x + x,),
    "exp": (mp.exp,),
    "exp2": (lambda x: mp.log(2) * mpf(2) ** x,),
    "expm1": (mp.exp,),
    "log": (lambda x: 1 / x,),
    "log1p": (lambda x: 1 / (1 + x),),
    "log2": (lambda x: 1 / (x * mp.log(2)),),
    "log10": (lambda x: 1 / (x * mp.log(10)),),
    "sqrt": (lambda x: 1 / (2 * mp.sqrt(x)),),
    "rsqrt": (lambda x: -1 / (2 * x * mp.sqrt(x)),),
    "cbrt": (lambda x: 1 / (3 * mp.cbrt(abs(x)) ** 2),),
    "xlogy": (lambda x, y: mp.log(y), lambda x, y: x / y),
    "logaddexp": (lambda x, y: _logistic(x - y), lambda x, y: _logistic(y - x)),
    "hypot": (lambda x, y: x / mp.sqrt(x * x + y * y), lambda x, y: y / mp.sqrt(x * x + y * y)),
    "sin": (mp.cos,),
    "cos": (lambda x: -mp.sin(x),),
    "tan": (lambda x: 1 / mp.cos(x) ** 2,),
    "asin": (lambda x: 1 / mp.sqrt((1 - x) * (1 + x)),),
    "acos": (lambda x: -1 / mp.sqrt((1 - x) * (1 + x)),),
    "atan": (lambda x: 1 / (1 + x * x),),
    "atan2": (lambda y, x: x / (x * x + y * y), lambda y, x: -y / (x * x + y * y)),
    "sinh": (mp.cosh,),
    "cosh": (mp.sinh,),
    "tanh": (lambda x: 1 / mp.cosh(x) ** 2,),
    "asinh": (lambda x: 1 / mp.sqrt(1 + x * x),),
    "acosh": (lambda x: 1 / mp.sqrt((x - 1) * (x + 1)),),
    "atanh": (lambda x: 1 / ((1 - x) * (1 + x)),),
    "sigmoid": (_bell,),
    "logsigmoid": (lambda x: _logistic(-x),),
    "softplus": (_logistic,),
    "silu": (lambda x: _logistic(x) * (1 + x * _logistic(-x)),),
    "gelu_erf": (lambda x: _erfc(-x / mp.sqrt(2)) / 2 + x * _normal_density(x),),
    "gelu_tanh": (_gelu_tanh_slope,),
    "erf": (lambda x: 2 / mp.sqrt(mp.pi) * mp.exp(-x * x),),
    "erfc": (lambda x: -2 / mp.sqrt(mp.pi) * mp.exp(-x * x),),
    "sech_squared": (lambda x: -2 * mp.sinh(x) / mp.cosh(x) ** 3,),
    "softsign": (lambda x: 1 / (1 + abs(x)) ** 2,),
    "leaky_relu": (
        lambda x, slope: mpf(1) if x > 0 else slope,
        lambda x, slope: mpf(0) if x > 0 else x,
    ),
    "elu": (
        lambda x, alpha: mpf(1) if x > 0 else alpha * mp.exp(x),
        lambda x, alpha: mpf(0) if x > 0 else mp.expm1(x),
    ),
    "relu": (lambda x: mpf(x > 0),),
}


# ---- rows with pieces ----------------------------------------------------------------------------


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


def _first_wins(x, y):
    """Returns d max(x, y) / dx, which is one half at a tie."""
    return mpf(x > y) if x != y else mpf(0.5)


def _second_wins(x, y):
    return 1 - _first_wins(x, y)


# name: (value, partials).  At a kink the partial is the subgradient of least norm if the function
# is locally convex, and the supergradient of least norm if it is locally concave.  `clip` is an
# exception: its derivative with respect to x is 1 at both bounds.
PIECEWISE = {
    "remainder": (
        lambda x, y: x - mp.floor(x / y) * y,
        (lambda x, y: 1, lambda x, y: -mp.floor(x / y)),
    ),
    "floordiv": (lambda x, y: mp.floor(x / y), (lambda x, y: 0, lambda x, y: 0)),
    "fmod": (
        lambda x, y: x - _toward_zero(x / y) * y,
        (lambda x, y: 1, lambda x, y: -_toward_zero(x / y)),
    ),
    "ieee_remainder": (
        lambda x, y: x - _nearest_even(x / y) * y,
        (lambda x, y: 1, lambda x, y: -_nearest_even(x / y)),
    ),
    "where": (
        lambda c, x, y: x if c else y,
        (lambda c, x, y: 0, lambda c, x, y: 1 if c else 0, lambda c, x, y: 0 if c else 1),
    ),
    "step": (lambda x: mpf(x > 0), (lambda x: 0,)),
    "sign": (mp.sign, (lambda x: 0,)),
    "abs": (abs, (mp.sign,)),
    "maximum": (max, (_first_wins, _second_wins)),
    "minimum": (min, (_second_wins, _first_wins)),
    "fmax": (max, (_first_wins, _second_wins)),
    "fmin": (min, (_second_wins, _first_wins)),
    "clip": (
        _clip,
        (
            lambda x, low, high: int(low <= x <= high),
            lambda x, low, high: int(x < low <= high),
            lambda x, low, high: int(high < max(x, low)),
        ),
    ),
    "copysign": (
        lambda x, y: abs(x) * mp.sign(y),
        (lambda x, y: mp.sign(x) * mp.sign(y), lambda x, y: 0),
    ),
    "floor": (mp.floor, (lambda x: 0,)),
    "ceil": (mp.ceil, (lambda x: 0,)),
    "round": (_nearest_even, (lambda x: 0,)),
    "round_digits": (_round_digits, (lambda x, n: 0, lambda x, n: 0)),
    "trunc": (_toward_zero, (lambda x: 0,)),
    "hardtanh": (lambda x: _clip(x, mpf(-1), mpf(1)), (lambda x: int(abs(x) < 1),)),
}

# 1e308 / 1e-308 has 616 digits before the point
QUOTIENTS = ("remainder", "floordiv", "fmod", "ieee_remainder")


def value_of(name):
    """Returns the function of a row for mpmath numbers."""
    return SMOOTH[name] if name in SMOOTH else PIECEWISE[name][0]


def partials_of(name):
    """Returns the partial derivatives of a row as functions of mpmath numbers."""
    return SLOPES[name] if name in SLOPES else PIECEWISE[name][1]


def truth(name, args, digits=DIGITS):
    """Returns ``(value, partials)`` of a row at floats, as mpmath numbers with about ``digits``
    digits."""
    with mp.workdps(digits + 640 if name in QUOTIENTS else digits):
        args = tuple(map(mpf, args))
        return mpf(value_of(name)(*args)), tuple(
            [mpf(partial(*args)) for partial in partials_of(name)]
        )


def error_in_ulps(got, true):
    """Returns the distance of a float from an mpmath number in ulps of the mpmath number, as a
    float.

    Infinity is right beyond the largest float. Below the smallest normal float, an ulp is 5e-324.
    """
    with mp.workdps(DIGITS):
        true = mpf(true)
        if true == 0:
            return 0.0 if got == 0 else math.inf
        if abs(true) >= mpf(2) ** 1024 - mpf(2) ** 969 and math.isinf(got):
            return 0.0 if (got > 0) == (true > 0) else math.inf
        unit = math.ulp(float(true)) if abs(true) < mpf(2) ** 1024 else mpf(2) ** 971
        return float(abs(mpf(got) - true) / unit) if math.isfinite(got) else math.inf


# ---- the checker ---------------------------------------------------------------------------------

ULPS = {"cbrt": 8, "pow": 8, "pow_lower": 8}  # 4 for all others
RELATIVE = {"erf": 1e-12, "erfc": 1e-12, "gelu_erf": 1e-12, "gelu_tanh": 1e-12, "silu": 1e-12}
# They multiply by a power, an exponential or erfc, which has few digits, or none, if it is
# subnormal.
LOSE_SUBNORMALS = ("pow", "pow_lower", "sigmoid_difference", "elu", *RELATIVE)


def bound(row, args, true, of_gradient):
    """Returns how many ulps the engine may differ from ``true``."""
    if row.name in RELATIVE:
        return max(4, RELATIVE[row.name] * float(abs(true)) / math.ulp(float(true)))
    if row.name in ("pow_lower", "sigmoid_difference") and of_gradient and true:
        # These rows exist for accurate gradients of pow and logaddexp. Only second derivatives need
        # their own derivatives, which are ill-conditioned: rounding a difference d changes log(x) *
        # d or d by up to half of ulp(d).
        x, y = args
        moved = abs(math.log(x)) * math.ulp(y - 1) if row.name == "pow_lower" else math.ulp(x - y)
        return 8 + 0.5 * moved * float(abs(true)) / math.ulp(float(true))
    if row.name == "logaddexp" and not of_gradient:
        # On the curve exp(x) + exp(y) = 1 the result is 0, because the larger argument cancels
        # against a logarithm.
        return 4 + 2 * math.ulp(min(abs(max(args)), 1.0)) / math.ulp(float(true))
    return ULPS.get(row.name, 4)


def lost_to_subnormals(row, args, value, true):
    """Returns the error that a subnormal intermediate result may cause: such a number has an
    absolute error, not a relative one.

    The row multiplies that error by an argument, or by the logarithm of one, which is at most 750.
    """
    if row.name not in LOSE_SUBNORMALS or not (min(abs(value), abs(true)) < SMALLEST_NORMAL or (
            row.name == "elu" and args[0] < math.log(SMALLEST_NORMAL))):
        return 0
    return 16 * 5e-324 * max(750.0, *map(abs, args))


truth_at = functools.cache(truth)


def disagreements(row, arg_tuples):
    """THE CHECKER: returns a sentence for every value and every partial that is further from the
    truth than the contract allows.

    A key has the arguments and the number of the partial, or None for the value.
    """
    found = {}
    for args in arg_tuples:
        value, partials = truth_at(row.name, args)
        got = row.forward(*args)
        numbers = [
            (None, got, value),
            *((i, row.partial_at(i, args, got), true) for i, true in enumerate(partials)),
        ]
        for i, number, true in numbers:
            nearest = float(true)
            if number == nearest or (
                math.isfinite(nearest) and abs(number - nearest) <= 3 * math.ulp(nearest)
            ):
                continue  # the usual case, decided quickly
            if abs(number - true) <= lost_to_subnormals(row, args, value, true):
                continue
            error = error_in_ulps(number, true)
            if not error <= bound(row, args, true, of_gradient=i is not None):
                what = (
                    f"{row.name}{args}"
                    if i is None
                    else f"d {row.name}{args} / d {row.parameters[i]}"
                )
                found[args, i] = f"{what} = {number!r}, not {mp.nstr(true, 20)}: {error:.3g} ulp"
    return found


# ---- points --------------------------------------------------------------------------------------


def draw(interval, rng, wide=True):
    """Draws a float in an interval.

    If ``wide``, its distance from 0 or from a finite end of the interval is spread over the powers
    of ten: over all of them, over 1e-4 to 1e4, or over those next to the end. In a bounded
    interval, some are spread evenly. Otherwise the float is moderate.
    """
    low, high = interval
    if not wide:
        size = 10 ** rng.uniform(-1.2, 0.9)
        if math.isinf(low) and math.isinf(high):
            return math.copysign(size, rng.random() - 0.5)
        if math.isinf(high):
            return low + size
        moderate = min(max(rng.uniform(low, high), low * 0.95, -3.0), high * 0.95, 3.0)
        return min(max(moderate, low), high)
    has_zero = low <= 0 <= high
    anchors = [end for end in interval if math.isfinite(end) and end != 0] + [0.0, 0.0] * has_zero
    anchor = rng.choice([*anchors, None] if math.isfinite(low) and math.isfinite(high) else anchors)
    if anchor is None:
        return rng.uniform(low, high)
    rooms = [(1, high - anchor), (-1, anchor - low)]
    sign, room = rng.choice([(sign, room) for sign, room in rooms if room > 0])
    least = (
        -307.0
        if anchor == 0
        else math.log10(abs(math.nextafter(anchor, sign * math.inf) - anchor)) + 1e-9
    )
    most = math.log10(min(room, 1.7e308, abs(anchor) if anchor and has_zero else math.inf))
    moderate = max(least, min(-4.0, most - 4)), min(4.0, most)
    near = (least, least + 4) if anchor else moderate
    drawn = anchor + sign * 10 ** rng.uniform(*rng.choice([(least, most), moderate, near]))
    return min(max(drawn, low), high)


def points(row, n, seed=0, wide=True):
    """Returns ``n`` argument tuples from the intervals of the row's samples; the same ones every
    time."""
    rng = random.Random(f"{row.name} {seed}")
    drawn = []
    for k in range(n):
        args = [draw(rng.choice(intervals), rng, wide) for intervals in row.sample]
        if row.arity > 1 and k % 3 == 0 and not wide | (row.sample[0] != row.sample[-1]):
            args = [args[0], *(args[0] * rng.uniform(0.3, 3) for _ in args[1:])]
        elif row.arity > 1 and wide and k % 2:
            args = [
                args[0],
                *(
                    _beside(args[0], arg, intervals, rng)
                    for intervals, arg in zip(row.sample[1:], args[1:])
                ),
            ]
        if row.name == "round_digits":
            args[1] = float(rng.randint(-5, 12))
        if row.parameters[0] == "condition":
            args[0] = float(k % 2)
        if all(
            math.isfinite(arg) and (arg != 0 or name == "condition")
            for name, arg in zip(row.parameters, args)
        ):
            drawn.append(tuple(args))
    return drawn


def _beside(x, y, intervals, rng):
    """Draws a difficult second argument: about as large as the first, hardly different from it, or
    close to it."""
    if intervals != REALS:
        return y
    moderate = draw(intervals[0], rng, wide=False)
    # The last choice: exponents for which a power is neither 0 nor infinite.
    return rng.choice(
        [
            moderate,
            moderate * abs(x),
            moderate * abs(x),
            x * (1 + moderate * 10 ** rng.uniform(-16, -1)),
            x + 100 * moderate,
            90 * moderate / (abs(math.log(abs(x))) or 1),
        ]
    )


KINKS = (0.0, 1.0, -1.0, 2.5, -3.0, 1e-300, 1e300)


def kinks(row):
    """Returns argument tuples at which a row with pieces has a kink or a tie."""
    at = {
        "abs": [(0.0,)],
        "relu": [(0.0,)],
        "leaky_relu": [(0.0, 0.01), (0.0, -2.0)],
        "elu": [(0.0, 1.0), (0.0, 0.5)],
        "hardtanh": [(1.0,), (-1.0,)],
        "softsign": [(0.0,)],
        "clip": [(-1.0, -1.0, 2.0), (2.0, -1.0, 2.0), (2.0, 2.0, 2.0)],
    }
    ties = ("maximum", "minimum", "fmax", "fmin")
    return [(x, x) for x in KINKS] if row.name in ties else at.get(row.name, [])
