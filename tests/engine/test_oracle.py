"""Every edge case and every published worked example of tests/oracle, against the engine."""

import json
import math as std

import pytest
from edge_cases import EDGE_CASES, ORACLE, arguments_of, expected_of, within

from tinygrad_edu import Value, backward, gradients, jvp, math

WORKED = {
    example["id"]: example for example in json.loads((ORACLE / "worked_examples.json").read_text())
}



@pytest.mark.parametrize("row", EDGE_CASES,
    ids=[f"{row['op']}-{','.join(row['args'])}-{row.get('consts', '')}" for row in EDGE_CASES])
def test_edge_case_has_the_documented_value_and_gradient(row):
    args, f = arguments_of(row)
    xs = list(map(Value, args))
    y = f(*xs)
    y.backward()
    expected = expected_of(row)
    assert within(y.data, expected["value"], expected["tol"]), f"value {y.data}"
    for x, grad in zip(xs, expected["grads"] or []):
        assert within(x.grad, grad, expected["tol"]), (
            f"grads {[x.grad for x in xs]}, not {expected['grads']}"
        )


def test_every_edge_case_is_tested():
    assert len(EDGE_CASES) >= 400


# ---- worked examples from the literature: computed numbers against the printed digits


def published(example, name):
    """Returns ``(value, half a unit of its last digit)`` of a printed number."""
    text = WORKED[example]["published"][name]
    digits = len(text.split(".")[1]) if "." in text else 0
    return float(text), 0.5 * 10.0**-digits


def agrees(example, got):
    """Compares named results with what is printed: equal when rounded to as many digits; whole
    numbers almost exactly.

    If all digits of a float are printed, both sides have rounding errors; the tolerance is then 4
    ulp, the contract of the engine.
    """
    for name, value in got.items():
        expected, half = published(example, name)
        half = 1e-12 if expected == int(expected) else max(half * (1 + 1e-9), 4 * std.ulp(expected))
        assert abs(float(value) - expected) <= half, (
            f"{example}: {name} = {float(value)!r}, not {expected!r}"
        )
    unknown = set(WORKED[example]["published"]) - set(got)
    assert not unknown, f"published, but not compared: {unknown}"


def inputs(example, name):
    return [
        float(text)
        for text in WORKED[example]["inputs"][name].replace(",", " ").replace(";", " ").split()
    ]


def leaf(example, name):
    return Value(inputs(example, name)[0], name)


def test_the_comparison_with_published_digits_reports_a_wrong_digit():
    right = {"q": 3.0, "f": -12.0, "dx": -4.0, "dy": -4.0, "dz": 3.0}
    agrees("cs231n_circuit", right)
    for name in right:
        with pytest.raises(AssertionError, match=f"cs231n_circuit: {name} = "):
            agrees("cs231n_circuit", {**right, name: right[name] + 1e-9})
        with pytest.raises(AssertionError, match="published, but not compared"):
            agrees(
                "cs231n_circuit", {other: value for other, value in right.items() if other != name}
            )


def test_baydin_2018_tables_2_and_3():
    example = "baydin2018_table2_3"
    x1, x2 = leaf(example, "x1"), leaf(example, "x2")
    v1, v2, v3 = math.log(x1), x1 * x2, math.sin(x2)
    v4 = v1 + v2
    y = v4 - v3
    y.backward()
    agrees(
        example,
        {
            "v1=ln(x1)": v1,
            "v2=x1*x2": v2,
            "v3=sin(x2)": v3,
            "v4=v1+v2": v4,
            "y": y,
            "dy/dx1": x1.grad,
            "dy/dx2": x2.grad,
        },
    )
    # The survey's forward mode, with tangent 1 for x1, gives the same 5.5.
    assert (
        jvp(lambda a, b: math.log(a) + a * b - math.sin(b), [2.0, 5.0], [1.0, 0.0])[1]
        == x1.grad
        == 5.5
    )


def test_mazur_2015():
    example = "mazur_2015"
    w = [Value(number, f"w{i}") for i, number in enumerate(inputs(example, "w1..w8"), 1)]
    b1, b2 = leaf(example, "b1"), leaf(example, "b2")
    i1, i2 = inputs(example, "i")
    target1, target2 = inputs(example, "target")
    net_h = [w[0] * i1 + w[1] * i2 + b1, w[2] * i1 + w[3] * i2 + b1]
    out_h = [net.sigmoid() for net in net_h]
    net_o = [w[4] * out_h[0] + w[5] * out_h[1] + b2, w[6] * out_h[0] + w[7] * out_h[1] + b2]
    out_o = [net.sigmoid() for net in net_o]
    errors = [
        0.5 * (target - out) ** 2 for target, out in zip((target1, target2), out_o, strict=True)
    ]
    total = errors[0] + errors[1]
    total.backward()
    rate = inputs(example, "lr")[0]
    new = {f"w{i}_new": weight.data - rate * weight.grad for i, weight in enumerate(w, 1)}
    agrees(
        example,
        {
            "net_h1": net_h[0],
            "out_h1": out_h[0],
            "out_h2": out_h[1],
            "net_o1": net_o[0],
            "out_o1": out_o[0],
            "out_o2": out_o[1],
            "E_o1": errors[0],
            "E_o2": errors[1],
            "E_total": total,
            "dE_dout_o1": out_o[0].grad,
            "dout_dnet_o1": out_o[0].partials[0],
            "dE_dw5": w[4].grad,
            "dE_dnet_o1": net_o[0].grad,
            "dEo1_dout_h1": gradients(errors[0], [out_h[0]])[0],
            "dE_dout_h1": out_h[0].grad,
            "dout_dnet_h1": out_h[0].partials[0],
            "dE_dw1": w[0].grad,
            **new,
        },
    )


def test_karpathy_lecture_neuron():
    example = "micrograd_lecture_neuron"
    x1, x2, w1, w2, b = (leaf(example, name) for name in ("x1", "x2", "w1", "w2", "b"))
    n = x1 * w1 + x2 * w2 + b
    o = n.tanh()
    o.backward()
    for x, name in ((x1, "dx1"), (w1, "dw1"), (x2, "dx2"), (w2, "dw2"), (b, "db")):
        assert x.grad == pytest.approx(published(example, name)[0], abs=1e-12)
    agrees(
        example,
        {
            "n": n,
            "o": o,
            "dx1": x1.grad,
            "dw1": w1.grad,
            "dx2": x2.grad,
            "dw2": w2.grad,
            "db": b.grad,
        },
    )


def test_karpathy_lecture_expression():
    example = "micrograd_lecture_L"
    a, b, c, f = (leaf(example, name) for name in "abcf")
    e = a * b
    d = e + c
    result = d * f
    result.backward()
    agrees(
        example,
        {
            "e": e,
            "d": d,
            "L": result,
            "da": a.grad,
            "db": b.grad,
            "dc": c.grad,
            "df": f.grad,
            "de": e.grad,
            "dd": d.grad,
        },
    )


def test_cs231n_circuit():
    example = "cs231n_circuit"
    x, y, z = (leaf(example, name) for name in "xyz")
    q = x + y
    f = q * z
    f.backward()
    agrees(example, {"q": q, "f": f, "dx": x.grad, "dy": y.grad, "dz": z.grad})


@pytest.mark.parametrize("sigmoid", [
    math.sigmoid, lambda s: 1 / (1 + math.exp(-s)),
], ids=["primitive", "spelled out"])
def test_cs231n_sigmoid_neuron(sigmoid):
    example = "cs231n_sigmoid_neuron"
    w, x = [Value(v) for v in inputs(example, "w")], [Value(v) for v in inputs(example, "x")]
    f = sigmoid(w[0] * x[0] + w[1] * x[1] + w[2])
    f.backward()
    agrees(
        example,
        {
            "f": f,
            "dx0": x[0].grad,
            "dx1": x[1].grad,
            "dw0": w[0].grad,
            "dw1": w[1].grad,
            "dw2": w[2].grad,
        },
    )


def test_goodfellow_xor_network():
    example = "goodfellow_xor"
    weights, c, w, (b,) = (inputs(example, name) for name in "Wcwb")
    results = {}
    for x1 in (0, 1):
        for x2 in (0, 1):
            a, d = Value(x1), Value(x2)
            hidden = [math.relu(weights[i] * a + weights[2 + i] * d + c[i]) for i in range(2)]
            results[f"f({x1},{x2})"] = w[0] * hidden[0] + w[1] * hidden[1] + b
    agrees(example, results)


def test_pytorch_tutorial():
    example = "pytorch_tutorial_Q"
    a, b = [Value(v) for v in inputs(example, "a")], [Value(v) for v in inputs(example, "b")]
    backward([3 * x**3 - y**2 for x, y in zip(a, b, strict=True)])
    agrees(
        example,
        {"dQ/da0": a[0].grad, "dQ/da1": a[1].grad, "dQ/db0": b[0].grad, "dQ/db1": b[1].grad},
    )


def test_every_worked_example_is_tested():
    assert set(WORKED) == {
        "baydin2018_table2_3",
        "mazur_2015",
        "micrograd_lecture_neuron",
        "micrograd_lecture_L",
        "cs231n_circuit",
        "cs231n_sigmoid_neuron",
        "goodfellow_xor",
        "pytorch_tutorial_Q",
    }
