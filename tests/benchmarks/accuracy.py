"""The accuracy of values and gradients of this engine, torch, jax and autograd on the same points.

Expected values are computed by mpmath (`tests.truths`). The points are those of the suite: spread
over the powers of ten of the whole domain of each primitive. Errors are in units in the last place
(ulp) of the true number: half an ulp is the best that a float can reach, and 4.5e15 means that no
digit is right. A column has the median and the worst of all points, for the value and for the
derivatives with respect to all arguments.

For all engines, points are left out at which the value or the true derivative is subnormal or
beyond the largest float, and so are ties of maximum and similar rows: they do not test accuracy.
Most of the domain is far from everyday arguments; the last line of the table has moderate arguments
only.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib import import_module
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.truths import SMALLEST_NORMAL, error_in_ulps, points, truth_at
from tinygrad_edu import Value
from tinygrad_edu.engine.primitive import TABLE, Primitive

Columns = list[list[float]]  # one list of numbers for each argument
# values; derivatives, None with respect to an argument without a rule
Result = tuple[list[float], list[list[float] | None]]
Run = Callable[[Primitive, Columns], Result | None]  # None where it does not have the function

POINTS, CONTRACT = 2_000, 4
# Rows for which the others have no function: they serve derivatives of other rows, or copy a node.
OWN = ("pow_lower", "sigmoid_difference", "sech_squared", "identity")
# second arguments that others take as a setting, if at all
PARAMETERS = {"leaky_relu": 0.01, "elu": 1.0, "round_digits": 0.0}

# Functions that have the row's name in the module of that engine; the others are named with the
# engine below.
EVERYWHERE = (
    "add",
    "reciprocal",
    "square",
    "exp",
    "exp2",
    "expm1",
    "log",
    "log1p",
    "log2",
    "log10",
    "sqrt",
    "logaddexp",
    "sin",
    "cos",
    "tan",
    "sinh",
    "cosh",
    "tanh",
    "remainder",
    "abs",
    "sign",
    "maximum",
    "minimum",
    "fmax",
    "fmin",
    "floor",
    "ceil",
    "round",
    "trunc",
)
IN_TORCH = (
    "sub mul div pow neg rsqrt xlogy hypot asin acos atan atan2 asinh acosh atanh "
    "sigmoid relu erf erfc fmod copysign"
)
IN_JAX = "cbrt hypot fmod clip copysign"
IN_AUTOGRAD = "clip"


def main(quick: bool = False) -> None:
    """Prints the league table. A peer that is not installed has an empty column with a note."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=148)
    console.print(league(20 if quick else POINTS))


# ---- the engines ---------------------------------------------------------------------------------


def run_ours(row: Primitive, columns: Columns) -> Result:
    """Runs a row on Values and differentiates it with backward."""
    values, slopes = [], []
    for args in zip(*columns, strict=True):
        xs = [Value(arg) for arg in args]
        y = row(*xs, *fixed(row))
        y.backward()
        values.append(y.data)
        slopes.append([x.grad for x in xs])
    return values, [*transposed(slopes)]


def torch_runner() -> Run:
    """torch, float64 on the CPU."""
    torch: Any = import_module("torch")
    nn: Any = import_module("torch.nn.functional")
    functions = {name: getattr(torch, name) for name in [*EVERYWHERE, *IN_TORCH.split()]} | {
        "where": lambda c, x, y: torch.where(c > 0, x, y),
        "clip": torch.clamp,
        "logsigmoid": nn.logsigmoid,
        "softplus": nn.softplus,
        "silu": nn.silu,
        "gelu_erf": nn.gelu,
        "gelu_tanh": lambda x: nn.gelu(x, approximate="tanh"),
        "softsign": nn.softsign,
        "leaky_relu": lambda x: nn.leaky_relu(x, PARAMETERS["leaky_relu"]),
        "elu": nn.elu,
        "hardtanh": nn.hardtanh,
        "floordiv": torch.floor_divide,
        "step": lambda x: torch.heaviside(x, torch.zeros_like(x)),
        "round_digits": lambda x: torch.round(x, decimals=0),
    }

    def run(row: Primitive, columns: Columns) -> Result | None:
        if row.name not in functions:
            return None
        xs = [torch.tensor(column, dtype=torch.float64, requires_grad=True) for column in columns]
        y = functions[row.name](*xs)
        if row.name in ("floordiv", "step"):
            return y.tolist(), [None] * len(xs)  # "derivative not implemented"
        y.sum().backward()
        return y.tolist(), [[0.0] * len(x) if x.grad is None else x.grad.tolist() for x in xs]

    return run


def jax_runner() -> Run:
    """jax with 64 bits on the CPU, operation by operation."""
    jax: Any = import_module("jax")
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_enable_x64", True)
    jnp: Any = jax.numpy
    special: Any = import_module("jax.scipy.special")
    functions = {name: getattr(jnp, name) for name in [*EVERYWHERE, *IN_JAX.split()]} | {
        "sub": jnp.subtract,
        "mul": jnp.multiply,
        "div": jnp.divide,
        "pow": jnp.power,
        "neg": jnp.negative,
        "floordiv": jnp.floor_divide,
        "asin": jnp.arcsin,
        "acos": jnp.arccos,
        "atan": jnp.arctan,
        "atan2": jnp.arctan2,
        "asinh": jnp.arcsinh,
        "acosh": jnp.arccosh,
        "atanh": jnp.arctanh,
        "rsqrt": jax.lax.rsqrt,
        "xlogy": special.xlogy,
        "erf": special.erf,
        "erfc": special.erfc,
        "where": lambda c, x, y: jnp.where(c > 0, x, y),
        "sigmoid": jax.nn.sigmoid,
        "logsigmoid": jax.nn.log_sigmoid,
        "softplus": jax.nn.softplus,
        "silu": jax.nn.silu,
        "gelu_erf": lambda x: jax.nn.gelu(x, approximate=False),
        "gelu_tanh": lambda x: jax.nn.gelu(x, approximate=True),
        "softsign": jax.nn.soft_sign,
        "relu": jax.nn.relu,
        "elu": jax.nn.elu,
        "hardtanh": jax.nn.hard_tanh,
        "leaky_relu": lambda x: jax.nn.leaky_relu(x, PARAMETERS["leaky_relu"]),
        "step": lambda x: jnp.heaviside(x, 0.0),
        "round_digits": lambda x: jnp.round(x, 0),
    }

    def run(row: Primitive, columns: Columns) -> Result | None:
        if row.name not in functions:
            return None
        xs = [jnp.array(column, dtype=jnp.float64) for column in columns]
        y, pullback = jax.vjp(functions[row.name], *xs)
        return y.tolist(), [slope.tolist() for slope in pullback(jnp.ones_like(y))]

    return run


def autograd_runner() -> Run:
    """HIPS autograd, on numpy arrays."""
    autograd: Any = import_module("autograd")
    anp: Any = import_module("autograd.numpy")
    special: Any = import_module("autograd.scipy.special")
    functions = {name: getattr(anp, name) for name in [*EVERYWHERE, *IN_AUTOGRAD.split()]} | {
        "sub": anp.subtract,
        "mul": anp.multiply,
        "div": anp.divide,
        "pow": anp.power,
        "neg": anp.negative,
        "asin": anp.arcsin,
        "acos": anp.arccos,
        "atan": anp.arctan,
        "atan2": anp.arctan2,
        "asinh": anp.arcsinh,
        "acosh": anp.arccosh,
        "atanh": anp.arctanh,
        "erf": special.erf,
        "erfc": special.erfc,
        "sigmoid": special.expit,
        "where": lambda c, x, y: anp.where(c > 0, x, y),
        "floordiv": anp.floor_divide,
        "round_digits": lambda x: anp.round(x, 0),
    }

    def run(row: Primitive, columns: Columns) -> Result | None:
        if row.name not in functions:
            return None
        function, xs = functions[row.name], [anp.array(column) for column in columns]
        slopes: list[list[float] | None] = []
        for i in range(len(xs)):
            try:
                slopes.append(autograd.elementwise_grad(function, i)(*xs).tolist())
            except NotImplementedError:  # a function of numpy without a rule for this argument
                slopes.append(None)
        return function(*xs).tolist(), slopes

    return run


ENGINES: dict[str, Callable[[], Run]] = {
    "tinygrad_edu": lambda: run_ours,
    "torch": torch_runner,
    "jax": jax_runner,
    "autograd": autograd_runner,
}


def installed() -> dict[str, Run | None]:
    """Returns the engines by name, None for one that is not installed."""
    found: dict[str, Run | None] = {}
    for name, runner in ENGINES.items():
        try:
            found[name] = runner()
        except ImportError:
            found[name] = None
    return found


def fixed(row: Primitive) -> list[float]:
    """Returns the arguments that are settings in other engines, and constant here."""
    return [PARAMETERS[row.name]] if row.name in PARAMETERS else []


def transposed(rows: list[list[float]]) -> Columns:
    """Turns rows into columns."""
    return [list(column) for column in zip(*rows, strict=True)]


# ---- the comparison ------------------------------------------------------------------------------


def sample(row: Primitive, n: int, wide: bool = True) -> list[tuple[float, ...]]:
    """Returns points of the suite that are fair to every engine, without the arguments that are
    settings.

    Ties of a row with kinks are left out, because the derivative there is a convention that differs
    between engines.
    """
    drawn = list(
        dict.fromkeys(
            args[:1] if row.name in PARAMETERS else args for args in points(row, n, wide=wide)
        )
    )
    return [args for args in drawn if ordinary(truth_at(row.name, (*args, *fixed(row)))[0])
            and (row.piece is None or len(set(args)) == len(args))]


def ordinary(true: Any) -> bool:
    """Returns whether a true number is 0 or a normal float."""
    return bool(true == 0 or SMALLEST_NORMAL <= abs(true) < 1.797e308)


def errors(
    row: Primitive, at: list[tuple[float, ...]], result: Result
) -> tuple[list[float], list[float]]:
    """Returns the errors in ulp of all values, and of all derivatives that are ordinary numbers."""
    values, slopes = result
    truths = [truth_at(row.name, (*args, *fixed(row))) for args in at]
    of_values = [error_in_ulps(got, true) for got, (true, _) in zip(values, truths, strict=True)]
    of_slopes = [
        error_in_ulps(got, partials[i])
        for i, column in enumerate(slopes)
        if column is not None
        for got, (_, partials) in zip(column, truths, strict=True)
        if ordinary(partials[i]) and row.parameters[i] != "condition"
    ]
    return of_values, of_slopes


def league(n: int) -> Table:
    """One row a primitive, four columns an engine; below, how many are within the contract of this
    project."""
    engines = installed()
    table = Table(
        title=f"Errors in ulp, median and worst of {n:,} points a primitive",
        caption="-: the engine has no such function, or no derivative of it.  Left out for all: "
                "subnormal and "
        "overflowing truths, ties.  If moderate: arguments of either sign from 0.06 to 8 alone.\n"
        "leaky_relu and elu at their usual slopes 0.01 and 1, round_digits at 0 digits; autograd's "
        "clip by "
        "x alone.  softplus of torch is x itself from 20 on, by its own definition.\n"
        "The contract of this engine allows 8 ulp for cbrt and pow, a relative error of 1e-12 for "
        "erf, "
        "erfc, gelu and silu, and an ulp or two of the larger argument for logaddexp.",
    )
    table.add_column("primitive")
    for name in engines:
        for what in ("value", "gradient"):
            table.add_column(f"{name if what == 'value' else ''}\n{what}", justify="right")
    tally = {
        (name, kind, wide): [0, 0] for name in engines for kind in (0, 1) for wide in (True, False)
    }
    for row in TABLE.values():
        if row.name in OWN:
            continue
        for wide in (True, False):
            measured = compare(row, engines, sample(row, n if wide else n // 4, wide))
            for (name, kind), of_kind in measured.items():
                if of_kind:
                    tally[name, kind, wide][0] += max(of_kind) <= CONTRACT
                    tally[name, kind, wide][1] += 1
            if wide:
                table.add_row(
                    row.name,
                    *[
                        cell(of_kind) if engines[name] else ""
                        for (name, _), of_kind in measured.items()
                    ],
                )
    table.add_section()
    for text, wide in ((f"within {CONTRACT} ulp", True), ("if moderate", False)):
        table.add_row(
            text,
            *[
                "{} of {}".format(*tally[name, kind, wide]) if engines[name] else "not installed"
                for name in engines
                for kind in (0, 1)
            ],
        )
    return table


def compare(row: Primitive, engines: dict[str, Run | None],
            at: list[tuple[float, ...]]) -> dict[tuple[str, int], list[float]]:
    """Returns the errors of each engine in values (0) and derivatives (1)."""
    measured: dict[tuple[str, int], list[float]] = {}
    for name, run in engines.items():
        result = None if run is None else quietly(run, row, transposed([list(args) for args in at]))
        measured[name, 0], measured[name, 1] = (
            ([], []) if result is None else errors(row, at, result)
        )
    return measured


def quietly(run: Run, row: Primitive, columns: Columns) -> Result | None:
    """Runs an engine without its warnings of overflow."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return run(row, columns)


def cell(of_kind: list[float]) -> str:
    """Returns the median and the worst error as text, red if above the contract."""
    if not of_kind:
        return "-"
    worst = max(of_kind)
    text = (
        f"{median(of_kind):.2g} {worst:.3g}"
        if worst < 1e4
        else f"{median(of_kind):.2g} {worst:.0e}"
    )
    return text if worst <= CONTRACT else f"[red]{text}[/]"
