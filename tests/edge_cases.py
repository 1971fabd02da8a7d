"""The edge cases of tests/oracle: their functions, numbers and tolerances."""

import json
import math as std

from helpers import ROOT

from tinygrad_edu import math
from tinygrad_edu.engine import table

ORACLE = ROOT / "tests" / "oracle"
EDGE_CASES = json.loads((ORACLE / "edge_cases.json").read_text())

# Two rows have the gradient 0 of other engines, where our policy is nan in, nan out.
OVERRULED = {("ceil", "nan"): {"grads": ["nan"]}, ("trunc", "nan"): {"grads": ["nan"]}}

EXPRESSIONS = {
    "where(x>0,log(x),0)": lambda x: math.where(x > 0, math.log(x), 0),
    "where(x>0,sqrt(x),0)": lambda x: math.where(x > 0, math.sqrt(x), 0),
    "where(x<0,exp(x),1)": lambda x: math.where(x < 0, math.exp(x), 1),
    "sqrt(x*x)": lambda x: math.sqrt(x * x),
    "x/x": lambda x: x / x,
    "sin(x)/x": lambda x: math.sin(x) / x,
    "x*log(x)": lambda x: x * math.log(x),
    "log(exp(x)+exp(y))": lambda x, y: math.log(math.exp(x) + math.exp(y)),
    "1/(1+exp(-x))": lambda x: 1 / (1 + math.exp(-x)),
    "log(1+exp(x))": lambda x: math.log(1 + math.exp(x)),
    "abs(x)**2": lambda x: abs(x) ** 2,
    "relu(x)-relu(-x)": lambda x: math.relu(x) - math.relu(-x),
    "maximum(x,x)": lambda x: math.maximum(x, x),
    "maximum(x,0)": lambda x: math.maximum(x, 0),
    "clamp_min(x,0)": lambda x: math.clip(x, 0),
    "x**x": lambda x: x**x,
    "(x**2)**0.5": lambda x: (x**2) ** 0.5,
    "exp(log(x))": lambda x: math.exp(math.log(x)),
    "0*log(x)": lambda x: 0 * math.log(x),
}
COMPOSITES = {
    "where_true": lambda x, y: math.where(True, x, y),
    "where_false": lambda x, y: math.where(False, x, y),
    "max3": lambda x, y, z: math.maximum(math.maximum(x, y), z),
    "norm2": lambda x, y: math.norm([x, y]),
    "prod3": lambda x, y, z: math.prod([x, y, z]),
    "logsumexp3": lambda *xs: math.logsumexp(xs),
    "softmax3_first": lambda *xs: math.softmax(xs)[0],
    "log_softmax3_first": lambda *xs: math.log_softmax(xs)[0],
}
OPERATORS = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "pow": lambda x, y: x**y,
    "neg": lambda x: -x,
    "abs": abs,
    "remainder": lambda x, y: x % y,
    "round": round,
}


def function_of(op, constants):
    if op == "pow_const":
        return lambda x: x ** constants["c"]
    if op == "rpow_const":
        return lambda x: constants["base"] ** x
    if op.startswith("expr:"):
        return EXPRESSIONS[op.removeprefix("expr:")]
    if op in COMPOSITES:
        return COMPOSITES[op]
    if op in OPERATORS:
        return OPERATORS[op]
    row = table.TABLE[op]
    return lambda *xs: row(*xs, *constants.values())


def number(text):
    return float(text) if any(c in text for c in ".einf") else int(text)


def within(got, expected, tolerance):
    expected = float(expected)
    if std.isnan(expected) or std.isinf(expected) or expected == 0:
        bound = (
            4 * std.ulp(0.0)
            if expected == 0 and "ulp" in tolerance
            else 1e-300
            if expected == 0
            else 0
        )
        return (
            (std.isnan(got) and std.isnan(expected))
            or got == expected
            or abs(got - expected) <= bound
        )
    bound = (
        tolerance["ulp"] * std.ulp(expected)
        if "ulp" in tolerance
        else tolerance["rel"] * abs(expected)
    )
    return abs(got - expected) <= bound


def expected_of(row):
    """Returns what a row of the file says: the value, the gradients and the tolerance."""
    return {**row["expected"], **OVERRULED.get((row["op"], *row["args"]), {})}


def arguments_of(row):
    """Returns the arguments of a row of the file, and its function."""
    constants = {name: number(text) for name, text in row.get("consts", {}).items()}
    return [float(text) for text in row["args"]], function_of(row["op"], constants)
