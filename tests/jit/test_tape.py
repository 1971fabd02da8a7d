"""Tapes: instructions that are removed, merged and joined on the way from a trace, with every bit
kept; text and size."""

import doctest
import math as std
import pickle
import random

import pytest
from helpers import bits, inf, nan, replaced
from programs import WAYS, gradient_tape, inputs, traced, value_tape

from tinygrad_edu import Value, jvp, math, nn, no_grad, topological_order
from tinygrad_edu.engine.primitive import lookup
from tinygrad_edu.examples import gpt
from tinygrad_edu.jit.tape import gradient, lowering, tape
from tinygrad_edu.jit.tape import operations as tape_operations
from tinygrad_edu.jit.tape.operations import DOT
from tinygrad_edu.jit.tape.tape import Tape

EDGES = (0.0, -0.0, 1.0, -1.0, 0.5, inf, -inf, nan, 5e-324, 1.797e308)


def operations(made):
    return [op for op, _ in made.instructions()]


def held_to_floats(f, made, points):
    """Runs a tape on these arguments and compares it with the function on floats, bit for bit."""
    for xs in points:
        assert bits(made.run(xs)[0]) == bits(float(f(*map(Value, xs)))), xs


PAIRS = [(x, y) for x in EDGES for y in EDGES]


# ---- what is left out


def test_instructions_that_no_output_needs_are_removed():
    def f(x, y):
        unused = math.sin(x) * y
        _ = math.exp(unused)
        return x * y

    made = value_tape(f, "x", "y")
    assert made.text() == "inputs  x, y\nt1 = x * y\nreturn t1"
    assert list(made.constants) == []


def test_instructions_that_no_derivative_needs_are_removed():
    made, _ = gradient_tape(lambda x, y: x + no_grad()(math.sin)(y), "x", "y")
    assert made.run([1.5, 2.5]) == [1.5 + std.sin(2.5), 1.0, 0.0]
    assert operations(made) == ["sin", "add"]


def test_equal_instructions_are_merged():
    made = value_tape(lambda x, y: math.sin(x * y) + math.cos(x * y) * math.sin(x * y), "x", "y")
    assert operations(made) == ["mul", "sin", "cos", DOT]
    assert made.run([0.5, 3.0]) == [std.sin(1.5) + std.cos(1.5) * std.sin(1.5)]


def test_swapped_operands_are_merged_in_sums_and_products_only():
    made = value_tape(
        lambda x, y: math.hypot(x * y, y * x) + math.hypot(x + y, y + x) + math.hypot(x - y, y - x),
        "x",
        "y",
    )
    assert sorted(operations(made)) == [
        "add",
        "add",
        "add",
        "hypot",
        "hypot",
        "hypot",
        "mul",
        "sub",
        "sub",
    ]


def test_signed_zeros_are_separate_constants():
    made = value_tape(
        lambda x: (
            math.copysign(1.0, math.maximum(x, 0.0)) + math.copysign(1.0, math.maximum(x, -0.0))
        ),
        "x",
    )
    assert sorted(map(bits, made.constants)) == sorted(map(bits, [1.0, 0.0, -0.0]))
    assert made.run([-1.0]) == [0.0]


def test_nan_is_one_constant():
    assert len(value_tape(lambda x: math.fmax(x, nan) + math.fmin(x, -nan), "x").constants) == 1


@pytest.mark.parametrize(("f", "left"), [
    (lambda x: x * 1.0, []),
    (lambda x: 1.0 * x, []),
    (lambda x: x + -0.0, []),
    (lambda x: -0.0 + x, []),
    (lambda x: (lambda y: -y)(-x), []),
    (lambda x: math.where(True, x, 7.0), []),
    (lambda x: math.where(0.0, 7.0, x), []),
    (lambda x: math.where(nan, x, 7.0), []),
    (lambda x: math.where(x > 0, x, x), []),
    (lambda x: math.take([x, 7.0], 0.0), []),
    (lambda x: x * -1.0, ["neg"]),
    (lambda x: x + 0.0, ["add"]),  # it turns -0.0 into 0.0
    (lambda x: x - 0.0, ["sub"]),
    (lambda x: x * 0.0, ["mul"]),  # which may be -0.0 or nan
    (lambda x: x - x, ["sub"]),
    (lambda x: x / x, ["div"]),
    (lambda x: x ** 1.0, ["pow"]),
    (lambda x: x / 1.0, ["div"]),
    (lambda x: math.where(x > 0, 1.0, 0.0) * x, ["less", "where", "mul"]),
])
def test_folding_preserves_every_bit(f, left):
    made = value_tape(f, "x")
    assert operations(made) == left
    held_to_floats(f, made, [(x,) for x in EDGES])


def test_operations_on_constants_are_computed_in_advance():
    made = value_tape(
        lambda x: x * (math.sin(2.0) + math.take([1.0, 2.0], 1.0)) + math.where(0.0, 1.0, 5.0), "x"
    )
    assert operations(made) == [DOT]
    assert made.run([3.0]) == [3.0 * (std.sin(2.0) + 2.0) + 5.0]


def test_known_wrong_index_raises_when_the_program_runs_or_before():
    with pytest.raises(IndexError, match=r"take: index 5\.0 of 2 entries"):
        value_tape(lambda x: math.take([x, 7.0], 5.0), "x").run([1.0])


@pytest.mark.parametrize("f", [
    lambda i, x: (math.take([1.0, 2.0, 3.0], i), x)[1],
    lambda i, x: math.take([[x, 1.0], [2.0, x], [x, x]], i)[1] * 0.0 + x,
    lambda i, x: math.where(x < 100, x, math.take([x, math.sin(x), 2.0], i)),
])
def test_a_wrong_index_is_reported_even_if_nothing_needs_the_entry(f):
    for made in (value_tape(f, "i", "x"), gradient_tape(f, "i", "x")[0]):
        for way in WAYS.values():
            run = way(made)
            assert run([2.0, 5.0])[0] == 5.0
            with pytest.raises(
                IndexError,
                match=r"take: index 3\.0 of 3 entries; it must be a whole number, 0 to 2",
            ):
                run([3.0, 5.0])


def test_index_is_checked_once_for_each_number_of_entries():
    def f(i, j, x):
        unused = [
            math.take([x, 2.0], i),
            math.take([3.0, x], i),
            math.take([x, x, 4.0], i),
            math.take([x, 2.0], j),
        ]
        return math.take([x, 5.0], j) + 0 * len(unused)

    made = value_tape(f, "i", "j", "x")
    assert [len(args) for op, args in made.instructions() if op == "take"] == [3, 4, 3]
    assert made.run([1.0, 1.0, 7.0]) == [5.0]


def test_take_at_a_known_index_is_the_entry():
    made = value_tape(lambda x: math.take([x, 7.0, -x], math.where(0.0, x, 0.0)), "x")
    assert made.text() == "inputs  x\nreturn x"


# ---- dot


@pytest.mark.parametrize(("f", "text"), [
    (lambda x, y: x * y + x, "x + x * y"),
    (lambda x, y: x + x * y, "x + x * y"),
    (lambda x, y: x * x + y * y, "x * x + y * y"),
    (lambda x, y: x * x + y * y + x * y + 2 * x, "x * x + y * y + x * y + 2 * x"),
    (lambda x, y: 3 + x * y + y + x, "3 + x * y + y + x"),
    (lambda x, y: 0.0 + x * y, "0 + x * y"),
    (lambda x, y: math.sumprod([x, y], [y, 3.0]), "x * y + y * 3"),
    (lambda x, y: math.sumprod([x, y], [y, 3.0]) + 1.5, "x * y + y * 3 + 1.5"),
    (lambda x, y: x + y, "x + y"),
    (lambda x, y: x * y, "x * y"),
])
def test_chains_of_products_and_sums_are_one_instruction(f, text):
    made = value_tape(f, "x", "y")
    assert made.text() == f"inputs  x, y\nt1 = {text}\nreturn t1"
    held_to_floats(f, made, PAIRS)
    for way in WAYS.values():
        run = way(made)
        assert [bits(run(xs)[0]) for xs in PAIRS] == [bits(made.run(xs)[0]) for xs in PAIRS]


@pytest.mark.parametrize("f", [
    lambda x, y: (x * y + x) * (x * y),
    lambda x, y: (x * y + y) + (x * y + y),
    lambda x, y: (x * y + x * x) + (y * y + x * y),
    lambda x, y: x * y - x * x,
    lambda x, y: (x + y) + (y + x),
    lambda x, y: x * y + x * y,
    lambda x, y: (x * y + (x * x + (y * y + 1.0))),
    lambda x, y: math.sin(x * y) + x * y,
    lambda x, y: -0.0 + x * y,
    lambda x, y: x * 0.0 + y * -0.0,
    lambda x, y: math.sumprod([x, y, 1.0], [x, y, 0.0]) + math.sumprod([x, y], [x, y]),
    lambda x, y: math.sumprod([x], [y]) + math.sumprod([x], [y]) * x,
])
def test_chains_that_share_or_nest_keep_their_bits(f):
    made = value_tape(f, "x", "y")
    rng = random.Random(0)
    held_to_floats(f, made, [*PAIRS, *[(rng.gauss(0, 1), rng.gauss(0, 1)) for _ in range(200)]])


def test_a_product_with_two_users_is_computed_once():
    assert operations(value_tape(lambda x, y: math.sin(x * y) + x * y, "x", "y")) == [
        "mul",
        "sin",
        "add",
    ]


def test_a_layer_is_a_dot_and_an_activation_for_each_neuron():
    model = nn.MLP(3, [4, 1], rng=0)
    made = value_tape(lambda x, y, z: model([x, y, z]), "x", "y", "z")
    assert operations(made) == [DOT, "relu"] * 4 + [DOT]
    assert made.nodes == sum(
        bool(node.op) for node in topological_order(model([Value(1.0), Value(2.0), Value(3.0)]))
    )
    assert made.operations == made.nodes


# ---- derivatives


@pytest.mark.parametrize(("f", "xs"), [
    (lambda x, y: math.where(x > 0, math.log(x), y), (-1.0, 2.0)),
    (lambda x, y: math.where(x > 0, math.sqrt(x), x * y), (0.0, 2.0)),
    (lambda x, y: math.where(x > 0, y / x, 0.0), (0.0, 2.0)),
    (lambda x, y: math.take([y / x, y], 1.0 + 0 * x), (0.0, 2.0)),
    (lambda x, y: math.take([math.log(x), y, math.sqrt(x)], math.where(x < 1, 1.0, 2.0)),
     (-3.0, 2.0)),
    (lambda x, y: math.where(x > 0, math.where(y > 0, math.log(y), x), math.log(x)), (1.0, -1.0)),
    (lambda x, y: math.where(x > 0, math.take([math.log(y), x], 1.0 * (y < 0)), math.rsqrt(y)),
     (1.0, -1.0)),
    (lambda x, y: (lambda s: math.where(x > 0, s, y) + math.where(x > 1, s, y))(1 / x), (0.0, 2.0)),
    (lambda x, y: (lambda s: math.where(x > 0, s, y) + math.where(x < 1, s * 0 + y, y))(x * y),
     (0.5, 2.0)),
])
def test_branch_not_taken_leaks_no_nan_into_derivatives(f, xs):
    values = [Value(x) for x in xs]
    f(*values).backward()
    want = [value.grad for value in values]
    assert all(map(std.isfinite, want))
    made, _ = gradient_tape(f, "x", "y")
    for way in WAYS.values():
        assert list(map(bits, way(made)(xs)[1:])) == list(map(bits, want))


@pytest.mark.parametrize("condition",
                         [-2.0, 1e-200, -1e-200, 5e-324, inf, -inf, nan, 0.0, -0.0, 0.5])
@pytest.mark.parametrize("f", [
    lambda c, x: math.where(c, x * x, 1.0),
    lambda c, x: math.where(c, 1.0, x * x),
    lambda c, x: (lambda s: math.where(c, s, 1.0) + math.where(c * 0, s, 2.0))(x * x),
    lambda c, x: (lambda s: math.where(c, s, 1.0) + math.where(c, 2.0, s))(x * x),
    lambda c, x: (lambda s: math.where(c, math.where(c, s, 1.0), 1.0))(x * x),
    lambda c, x: math.where(c, math.where(c * c, 1 / x, 3.0), math.where(c, 2.0, math.log(x))),
    lambda c, x: math.where((c < 1) & (c > -1), x * x, 3 * x),
    lambda c, x: math.where((c < 1) | (c > 2), x * x, 3 * x),
])
def test_any_number_may_be_a_condition(f, condition):
    values = [Value(condition), Value(3.0)]
    y = f(*values)
    y.backward()
    made, _ = gradient_tape(f, "c", "x")
    for way in WAYS.values():
        assert list(map(bits, way(made)([condition, 3.0]))) == list(
            map(bits, [y.data, *[value.grad for value in values]])
        )


def test_derivatives_come_in_the_order_of_the_names():
    w = Value(0.5, "w")
    trace, root = traced(lambda x, y: w * x * x + y, "x", "y")
    made = gradient.value_and_gradient(trace, root, ["w", "y", "x"])
    assert made.names == ["x", "y", "w"]
    assert made.run([3.0, 2.0, 0.5]) == [6.5, 9.0, 1.0, 3.0]


def test_the_derivative_of_a_constant_is_zero():
    made, _ = gradient_tape(lambda x: 3.0, "x")
    assert made.run([2.0]) == [3.0, 0.0]


def test_nothing_is_differentiated_inside_no_grad():
    def f(x):
        with no_grad():
            factor = 2 * x
        return factor * x

    x = Value(3.0)
    y = f(x)
    y.backward()
    made, _ = gradient_tape(f, "x")
    assert made.run([3.0]) == [y.data, x.grad] == [18.0, 6.0]


# ---- tangents


def test_tangents_are_those_of_forward_mode():
    def f(x, y):
        return (
            math.where(x > y, math.sin(x) * y + x * x, math.take([x, x * y], 1.0 * (y > 0)))
            + math.tanh(x * y) / y
        )

    moving = gradient.tangents(value_tape(f, "x", "y"), [0, 1])
    assert moving.names == ["x", "y", "dx", "dy"]
    for x, y, dx, dy in ((1.0, 0.5, 1.0, 0.0), (0.25, 0.5, 0.0, 1.0), (0.25, -0.5, 2.0, -3.0)):
        want = jvp(f, [x, y], [dx, dy])[1]
        assert moving.run([x, y, dx, dy]) == [pytest.approx(want, rel=1e-14)]


# ---- text


def test_text_of_a_tape_uses_the_names_of_the_program():
    w, b = Value(0.5, "w"), Value(1.0)

    def f(x, y, i):
        z = w * x + b
        z.label = "z"
        chosen = math.where(z > y, z, math.take([x, -y, 2.5], i))
        return math.softplus(chosen) ** 2 % 3 - math.where(x <= 0, 0.0, x) * -1.0

    assert value_tape(f, "x", "y", "i").text() == """\
inputs  x, y, i, w, p1
z = p1 + w * x
t2 = y < z
t3 = -y
t4 = take([x, t3, 2.5], i)
t5 = where(t2, z, t4)
t6 = softplus(t5)
t7 = t6 ** 2
t8 = t7 % 3
t9 = x <= 0
t10 = where(t9, 0, x)
t11 = -t10
t12 = t8 - t11
return t12"""


def test_text_of_a_tape_includes_derivatives():
    made, _ = gradient_tape(lambda x, i: math.where(x > 0, math.take([x, 3 * x], i), 7.0), "x", "i")
    assert made.text() == """\
inputs  x, i
t1 = 0 < x
t2 = 3 * x
t3 = take([x, t2], i)
t4 = where(t1, t3, 7)
t5 = where(t1, 1, 0)
t6 = t5 if i == 0 else 0
t7 = i == 1
t8 = t5 if i == 1 else 0
t9 = t1 * t7
t10 = 3 * t8
t11 = where(t9, t10, 0)
dx = 0 + t6 + t11
return t4, dx, 0"""


def test_a_long_text_is_cut():
    made = value_tape(lambda x: math.sin(math.cos(math.tan(math.exp(x)))), "x")
    assert made.text(2) == "inputs  x\nt1 = exp(x)\nt2 = tan(t1)\n... 2 more\nreturn t4"


def test_repeated_names_are_made_unique():
    w, v = Value(2.0, "w"), Value(3.0, "w")
    made = value_tape(lambda x: w * x + v * x, "x")
    assert made.text() == "inputs  x, w, w_2\nt1 = w * x + w_2 * x\nreturn t1"


def labelled(x, label):
    x.label = label
    return x


def test_names_in_a_text_are_unique():
    def f(t1, x, dx):
        return (
            labelled(
                labelled(x + t1, "x") * labelled(math.sin(x), "t2") * labelled(math.cos(x), "t2"),
                "dx",
            )
            + dx
        )

    made, _ = gradient_tape(f, "t1", "x", "dx")
    assert made.text().startswith("""\
inputs  t1, x, dx
x_2 = x + t1
t2 = sin(x)
t3 = x_2 * t2
t2_2 = cos(x)
t5 = dx + t3 * t2_2
""")
    first, *lines, last = made.text().splitlines()
    defined = [
        *first.removeprefix("inputs  ").split(", "),
        *[line.split(" = ")[0] for line in lines],
    ]
    assert len(set(defined)) == len(defined) == len(made) + 3
    assert {name for name in last.removeprefix("return ").split(", ") if name != "1"} <= {*defined}


@pytest.mark.parametrize(("label", "shown"), [
    ("a\nb = 1", "(a b = 1)"), ("a + b", "(a + b)"), (3, "3"),
    ("layers.0.w", "layers.0.w"), ("p['w'][0]", "p['w'][0]"),
    ("  ", "t1"), ("", "t1"), ("\u2028x\r", "x"),
])
def test_labels_are_printed_on_one_line_and_bracketed_if_not_one_word(label, shown):
    made = value_tape(lambda y: labelled(math.sin(y), label) * 2, "y")
    assert made.text() == f"inputs  y\n{shown} = sin(y)\nt2 = {shown} * 2\nreturn t2"
    w, name = labelled(Value(2.0), label), shown if shown != "t1" else "unnamed" if label else "p0"
    assert (
        value_tape(lambda y: w * y, "y").text() == f"inputs  y, {name}\nt1 = {name} * y\nreturn t1"
    )


def test_tape_repr_counts_instructions_nodes_and_bytes():
    assert repr(value_tape(lambda x, y: x * y + y, "x", "y")) == \
        "<Tape of 1 instructions for 2 nodes: 2 inputs, 1 outputs, 50 bytes>"


# ---- size


def perceptron(*xs):
    return MLP(list(xs))


MLP = nn.MLP(4, [8, 8, 1], rng=0)
GPT = gpt.GPT(vocabulary=6, width=8, heads=2, block=5, rng=0)


def sentence(*tokens):
    return gpt.loss(GPT(tokens[:5]), tokens[5:])


LEAVES = [Value(float(k)) for k in range(200)]


def entry(i):
    return math.take(LEAVES, i) * 2.0


@pytest.mark.parametrize(("f", "arity"), [(perceptron, 4), (sentence, 10), (entry, 1)],
                         ids=["MLP", "GPT", "take"])
def test_a_tape_has_at_most_40_bytes_for_a_node(f, arity):
    names = [f"x{i}" for i in range(arity)]
    for made in (value_tape(f, *names), gradient_tape(f, *names)[0]):
        assert made.bytes <= 40 * made.nodes
        arrays = [made.constants, made.ops, made.starts, made.operands, made.outputs]
        registers = len(made.names) + len(made.constants) + len(made)
        assert made.bytes == sum(len(a.tobytes()) for a in arrays) + 8 * registers


def test_the_entries_of_a_take_count_as_operations():
    assert value_tape(entry, "i").operations == 201
    # each derivative is chosen, and then added to 0
    assert gradient_tape(entry, "i")[0].operations == 3 * 200 + 1


def test_a_gpt_on_a_tape_has_the_bits_of_the_graph():
    tokens = [1.0, 4.0, 0.0, 5.0, 2.0, 4.0, 0.0, 5.0, 2.0, 3.0]
    values = [Value(x) for x in tokens]
    for parameter in GPT.parameters():
        parameter.grad = 0.0
    loss = sentence(*values)
    loss.backward()
    made, trace = gradient_tape(sentence, *[f"x{i}" for i in range(10)])
    want = [loss.data, *[0.0] * 10, *[parameter.grad for parameter in trace.parameters]]
    for way in ("tape machine", "replayed"):
        assert list(map(bits, WAYS[way](made)(inputs(trace, tokens)))) == list(map(bits, want))


# ---- pickling


def test_a_tape_can_be_pickled():
    made, _ = gradient_tape(
        lambda x, y: math.where(x > y, math.sin(x) * y, math.take([x, y, 3.0], y)), "x", "y"
    )
    made.run([2.0, 1.0])
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(made, protocol))
        assert isinstance(again, Tape)
        assert (again == made, again.text()) == (True, made.text())
        for xs in ((2.0, 1.0), (1.0, 2.0), (-0.0, 0.0)):
            assert list(map(bits, again.run(xs))) == list(map(bits, made.run(xs)))


def test_rule_that_branches_on_a_number_is_rejected():
    row = lookup("relu")
    with (
        replaced(row, "partials", (lambda x, o: 1.0 if x > 0 else 0.0,)),
        pytest.raises(
            TypeError, match=r"a rule must not ask for the truth of a register; use where\(\)"
        ),
    ):
        gradient_tape(row, "x")


def test_module_examples_run_as_printed():
    for module in (tape, lowering, gradient, tape_operations):
        assert doctest.testmod(module).failed == 0
