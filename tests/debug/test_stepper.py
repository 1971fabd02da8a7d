"""Recordings and the stepper: the engine's numbers as sentences, in both directions."""

import pickle
import random

import numpy as np
import pytest
from helpers import ROOT
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_edu import History, Value, examples, jit, math, nn, topological_order
from tinygrad_edu.debug.misconceptions import MISCONCEPTIONS
from tinygrad_edu.debug.orders import TABLE_LINES, compare_orders
from tinygrad_edu.debug.recording import NAIVE_LIMIT, Recording, record
from tinygrad_edu.debug.stepper import Stepper, recording_of
from tinygrad_edu.debug.text import short_number
from tinygrad_edu.engine import table
from tinygrad_edu.errors import short_repr


def product():
    a, b = Value(2.0, "a"), Value(-3.0, "b")
    d = a * b
    d.label = "d"
    y = d * 0.5
    y.label = "y"
    return y


def random_graph(seed, operations=30):
    rng = random.Random(seed)
    nodes = [Value(rng.uniform(-2, 2), name) for name in "abc"]
    for _ in range(operations):
        operation = rng.choice(
            [
                lambda x, y: x + y,
                lambda x, y: x * y,
                lambda x, y: math.tanh(x),
                lambda x, y: x - 1.5,
                lambda x, y: 2.0 * y,
            ]
        )
        nodes.append(operation(rng.choice(nodes[-50:]), rng.choice(nodes[-50:])))
    return math.total(nodes[3:])


def test_the_sentences_of_a_product():
    sentences = [step.sentence for step in record(product())]
    assert sentences == [
        "d = a * b = 2 × (-3) = -6",
        "y = d * 0.5 = -6 × 0.5 = -3",
        "dy/dy = 1",
        "dy/dd += dy/dy · ∂y/∂d = 1 × 0.5 = 0.5   [∂y/∂d = 0.5]",
        "dy/da += dy/dd · ∂d/∂a = 0.5 × (-3) = -1.5   [∂d/∂a = b]",
        "dy/db += dy/dd · ∂d/∂b = 0.5 × 2 = 1   [∂d/∂b = a]",
    ]


def test_view_shows_position_change_and_next_step():
    stepper = Stepper(record(product())).watch("a").run_to("a")
    assert repr(stepper) == (
        "step 5 of 6, backward\n"
        "  dy/da += dy/dd · ∂d/∂a = 0.5 × (-3) = -1.5   [∂d/∂a = b]\n"
        "  changed: grad of a: 0 -> -1.5\n"
        "  watch:   a: data 2, grad -1.5\n"
        "  next:    dy/db += dy/dd · ∂d/∂b = 0.5 × 2 = 1   [∂d/∂b = a]")
    assert repr(Stepper(record(product()))).splitlines()[:2] == [
        "step 0 of 6, start",
        "  given: a = 2, b = -3",
    ]
    assert repr(stepper.finish()).endswith("nothing, this is the end")


def test_double_edge_is_two_steps():
    a = Value(3.0, "a")
    y = a + a
    y.label = "y"
    steps = list(record(y))
    assert [(step.name, step.before, step.after) for step in steps[2:]] == [
        ("a", 0.0, 1.0),
        ("a", 1.0, 2.0),
    ]


def golden_sentences():
    """Returns for every row of the table the approved sentences of ``y = row(p, q, r)``."""
    sentences, name = {}, ""
    for line in (ROOT / "tests/golden/sentences.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("  "):
            sentences[name].append(line.strip())
        else:
            name = line
            sentences[name] = []
    return sentences


def recording_of_row(name):
    """Returns the recording of ``y = row(p, q, r)``."""
    row = table.TABLE[name]
    y = row(
        *[Value((1.75 if name == "acosh" else 0.75) - 0.5 * i, "pqr"[i]) for i in range(row.arity)]
    )
    y.label = "y"
    return y, record(y)


@pytest.mark.parametrize("name", golden_sentences())
def test_sentences_of_a_row_are_the_approved_ones(name):
    _, recording = recording_of_row(name)
    assert [step.sentence for step in recording if step.number != 2] == golden_sentences()[name]


@pytest.mark.parametrize("name", table.TABLE)
def test_steps_of_every_row_have_its_local_derivatives_and_formulas(name):
    y, recording = recording_of_row(name)
    assert recording[1].sentence == "dy/dy = 1"
    assert [step.after for step in recording[2:]] == [
        partial for arg, partial in zip(y.args, y.partials) if not arg.constant]
    assert all(step.sentence.endswith(f"[{step.formula}]") for step in recording[2:])


@given(st.integers(0, 10_000))
def test_recording_ends_with_the_gradients_of_backward(seed):
    y = random_graph(seed)
    before = [(node.data, node.grad, node.label) for node in topological_order(y)]
    stepper = Stepper(record(y)).finish()
    assert [(node.data, node.grad, node.label) for node in topological_order(y)] == before
    y.backward()
    for node, name in zip(topological_order(y), (n.name for n in stepper.recording.nodes)):
        if not node.constant:
            assert stepper.grad(name) == node.grad
            assert stepper.data(name) == node.data


@given(st.integers(0, 10_000), st.lists(st.integers(0, 200), max_size=12))
def test_walking_in_any_order_always_shows_the_same_state(seed, jumps):
    recording = record(random_graph(seed, 12))
    straight = Stepper(recording)
    views = [repr(straight)] + [repr(straight.next()) for _ in recording]
    walker = Stepper(recording)
    for jump in jumps:
        target = jump % (len(recording) + 1)
        if jump % 3 == 0:
            walker.goto(target)
        elif jump % 3 == 1:
            walker.back(jump)
        else:
            walker.next(jump % 7)
        assert repr(walker) == views[walker.position]
    assert repr(walker.restart()) == views[0]


def test_run_to_finds_labels_operations_and_phases():
    stepper = Stepper(record(examples.lecture_neuron()))
    assert stepper.run_to("tanh").step.name == "o"
    assert stepper.run_to("backward").step.sentence == "do/do = 1"
    assert stepper.run_to("w1").step.after == pytest.approx(1.0)
    position = stepper.position
    with pytest.raises(
        ValueError, match=r"^run_to: target must be one of x1, x2, .* and \d+ more, not 'q'$"
    ):
        stepper.run_to("q")
    with pytest.raises(ValueError, match=r"not 'Tan'; did you mean 'tanh'\?$"):
        stepper.run_to("Tan")
    with pytest.raises(ValueError, match=r"in a later step, .* 'forward'; call restart\(\) first"):
        stepper.run_to("forward")
    assert stepper.position == position


def test_run_stops_at_breakpoints_or_at_the_end():
    stepper = Stepper(record(product())).stop_at("a")
    assert stepper.run().step.name == "a"
    assert stepper.run().position == len(stepper.recording)
    with pytest.raises(ValueError, match=r"stop_at: target must be one of a, b, .*, not 'z'"):
        stepper.stop_at("z")
    with pytest.raises(ValueError, match=r"watch: name must be one of a, b, .*, not 'z'"):
        stepper.watch("z")


def test_steps_stop_at_the_ends_and_invalid_positions_are_rejected():
    stepper = Stepper(product())
    assert stepper.back().position == 0
    assert stepper.next(100).position == 6
    with pytest.raises(IndexError, match="position must be from 0 to 6"):
        stepper.goto(7)
    with pytest.raises(ValueError, match=r"^next: count must be a whole number >= 0, not -1$"):
        stepper.next(-1)
    with pytest.raises(ValueError, match=r"grad: name must be one of a, b, .*, not 'q'"):
        stepper.grad("q")


def test_names_are_unique_when_labels_are_not():
    a, b = Value(1.0, "a"), Value(2.0, "a")
    y = a * b + 10
    recording = record(y)
    assert [node.name for node in recording.nodes] == ["a#1", "a#2", "v3", "10", "v4"]
    about_a = [step for step in recording if recording.matches(step.number - 1, "a")]
    assert [(step.phase, step.after) for step in about_a] == [("backward", 2.0), ("backward", 1.0)]


def test_a_recording_is_a_sequence_and_does_not_change():
    y = product()
    recording = record(y)
    assert isinstance(recording, Recording)
    assert len(recording) == 6
    assert recording[-1] == recording[5]
    assert [step.number for step in recording[1:4]] == [2, 3, 4]
    y.args[0].args[0].data = 100.0
    assert recording[0].sentence == "d = a * b = 2 × (-3) = -6"
    assert repr(recording) == "<Recording of y: 5 nodes, 2 steps forward, 4 backward>"


def test_a_leaf_alone_has_one_step():
    assert [step.sentence for step in record(Value(2.0, "x"))] == ["dx/dx = 1"]


def test_a_graph_of_ten_thousand_nodes_is_recorded_and_stepped_without_recursion():
    stepper = Stepper(record(random_graph(1, 10_000)))
    assert len(stepper.recording) > 20_000
    assert stepper.finish().back().goto(5000).position == 5000


def test_where_has_sentences_with_the_branch_not_taken_as_a_number():
    a, b = Value(2.0, "a"), Value(5.0, "b")
    y = math.where(a > 1, a, b)
    y.label = "y"
    assert [step.sentence for step in record(y)] == [
        "y = where(1, a, 5) = where(1, 2, 5) = 2",
        "dy/dy = 1",
        "dy/da += dy/dy · ∂y/∂a = 1 × 1 = 1   [∂y/∂a = where(1, 1, 0)]",
    ]


def test_compare_orders_prints_both_orders_side_by_side():
    assert repr(compare_orders(examples.shared_node())) == """\
topological order                    naive recursive order
dc/dc = 1                            dc/dc = 1
dc/db += dc/dc · ∂c/∂b = 1 × 1 = 1   dc/db += dc/dc · ∂c/∂b = 1 × 1 = 1
dc/db += dc/dc · ∂c/∂b = 1 × 1 = 1   dc/da += dc/db · ∂b/∂a = 1 × 1 = 1   <- too early
dc/da += dc/db · ∂b/∂a = 2 × 1 = 2   dc/da += dc/db · ∂b/∂a = 1 × 1 = 1
dc/da += dc/db · ∂b/∂a = 2 × 1 = 2   dc/db += dc/dc · ∂c/∂b = 1 × 1 = 1   <- the rest of it
                                     dc/da += dc/db · ∂b/∂a = 2 × 1 = 2
                                     dc/da += dc/db · ∂b/∂a = 2 × 1 = 2

b is used more than once, so dc/db is a sum.  The naive order passes it on to
a when it is 1 (step 5), before the rest of it arrives (step 7 makes it 2).
Then it passes on the whole sum, so the first part is counted twice.
  dc/da is 4; the naive order gives 6
The topological order visits a node after all of its users, when its gradient is
complete, and follows each edge once."""


def naive_backward(node):
    """Implements the backward pass as naive recursion."""
    for arg, partial in zip(node.args, node.partials):
        if not arg.constant:
            arg.grad += partial * node.grad
            naive_backward(arg)


@given(st.integers(0, 10_000))
def test_naive_recording_equals_the_naive_recursion(seed):
    y = random_graph(seed, 4)
    stepper = Stepper(record(y, order="naive")).finish()
    comparison = compare_orders(y)
    assert comparison.naive.events == stepper.recording.events
    for node in topological_order(y):
        node.grad = 0.0
    y.grad = 1.0
    naive_backward(y)
    naive = [node.grad for node in topological_order(y, constants=False)]
    for node in topological_order(y):
        node.grad = 0.0
    y.backward()
    right = [node.grad for node in topological_order(y, constants=False)]
    assert list(comparison.gradients.values()) == list(zip(right, naive))
    if comparison.early is None:
        assert naive == pytest.approx(right, rel=1e-12, abs=1e-14)


def test_a_naive_recording_can_be_stepped_both_ways():
    stepper = Stepper(record(examples.shared_node(), order="naive"))
    assert stepper.finish().grad("a") == 6.0
    assert stepper.back(2).grad("a") == 2.0
    assert (
        stepper.restart().run_to("a").step.sentence
        == "dc/da += dc/db · ∂b/∂a = 1 × 1 = 1   (first a, sum: 0 + 1 = 1)   [∂b/∂a = 1]"
    )
    assert (
        repr(stepper.recording)
        == "<Recording of c: 3 nodes, 2 steps forward, 7 backward, in the naive order>"
    )


def test_both_orders_agree_if_no_operation_is_used_twice():
    comparison = compare_orders(examples.lecture_neuron())
    assert comparison.early is comparison.late is None
    assert str(comparison).endswith(
        "Both orders agree: whenever the naive order passes a gradient on, that gradient is\n"
        "already complete.  This is always so if no operation is used twice."
    )


def test_naive_order_is_right_if_only_zeros_are_repeated():
    a = Value(1.0, "a")
    b = a * 0.0
    comparison = compare_orders(b + b)
    assert comparison.early is not None
    assert comparison.gradients["a"] == (0.0, 0.0)
    assert "In this graph the extra amounts are 0, so the gradients are right anyway." in str(
        comparison
    )


def test_long_comparison_is_cut_and_counts_its_steps():
    a = Value(1.0, "a")
    for _ in range(TABLE_LINES):
        a = a * 1.5
    steps = len(compare_orders(a).naive) - TABLE_LINES
    lines = str(compare_orders(a)).splitlines()
    assert lines[TABLE_LINES + 1] == f"... and {steps - TABLE_LINES} more steps"
    assert lines[TABLE_LINES + 2] == ""


def test_naive_order_rejects_graphs_with_too_many_paths():
    x = Value(1.0, "x")
    for _ in range(1000):
        x = x + x
    with pytest.raises(
        ValueError, match=f"takes more than {NAIVE_LIMIT:,} steps for this graph of 1,001 nodes"
    ):
        compare_orders(x)
    with pytest.raises(ValueError, match="order must be 'topological' or 'naive', not 'random'"):
        record(x, order="random")


@given(st.integers(0, 10_000))
def test_recording_values_rebuild_the_graph(seed):
    y = random_graph(seed)
    y.label = nn.ParameterName("layers.0.y")
    recording = record(y)
    values = recording.values()
    assert [(value.data, value.op, value.label, value.constant) for value in values] == [
        (node.data, node.op, node.label, node.constant) for node in recording.nodes]
    assert isinstance(values[-1].label, nn.ParameterName)
    assert {value.grad for value in values} == {0.0}
    assert record(values[-1]).nodes == recording.nodes
    assert not set(values) & set(topological_order(y))


def test_stepper_numbers_are_those_of_the_position():
    stepper = Stepper(record(product()))
    assert stepper.numbers(2) == (None, 0.0)
    assert stepper.finish().numbers(2) == (-6.0, 0.5)


def test_label_shared_by_several_nodes_is_a_target():
    a, b = Value(1.0, "a"), Value(2.0, "a")
    stepper = Stepper(a * b).stop_at("a")
    assert stepper.run().step.name == "a#1"
    assert stepper.run().step.name == "a#2"


def test_names_contain_no_control_characters():
    x = Value(1.0, "\x1b[31mred\n\u202e")
    stepper = Stepper(x * 2).finish()
    assert stepper.step.name == "\\x1b[31mred\\n\\u202e"
    assert repr(stepper).replace("\n", "").isprintable()
    assert stepper.grad("\\x1b[31mred\\n\\u202e") == 2.0
    assert stepper.restart().run_to(x.label).step.name == stepper.recording.nodes[0].name


@given(st.lists(st.sampled_from(["a", "a#1", "a#2", "v3", "v3#1", ""]), min_size=1, max_size=8))
def test_names_are_unique_whatever_the_labels_are(labels):
    y = math.total(Value(1.0, label) for label in [*labels, "z"])
    names = [node.name for node in record(y).nodes if not node.constant]
    assert len(set(names)) == len(names)
    once = [label for label in labels if label and labels.count(label) == 1]
    assert set(once) <= set(names)


def test_recording_operation_is_written_in_names():
    recording = record(product())
    assert [recording.operation(i) for i in range(len(recording.nodes))] == [
        "a",
        "b",
        "d = a * b",
        "0.5",
        "y = d * 0.5",
    ]


def test_a_constant_that_is_used_again_gets_no_gradient():
    x = Value(2.0, "x")
    constant = (x * 3).args[1]
    for y in (constant * x, x * constant, constant.tanh() + x, math.maximum(constant, x)):
        y.label = "y"
        recording = record(y)
        stepper = Stepper(recording).finish()
        y.backward()
        assert [
            stepper.numbers(i)[1] for i, node in enumerate(recording.nodes) if not node.constant
        ] == [node.grad for node in topological_order(y, constants=False)]
        assert not any("/d(3)" in step.sentence or "/∂3" in step.sentence for step in recording)
        assert record(recording.values()[-1]).events == recording.events
        x.grad = 0.0


def test_a_constant_alone_is_a_graph_of_one_node():
    recording = record((Value(2.0) * 3).args[1])
    assert [value.data for value in recording.values()] == [3.0]
    assert str(compare_orders(recording.values()[0])).startswith("topological order")


def test_a_recording_cannot_be_changed():
    recording = record(product())
    with pytest.raises(AttributeError):
        recording.forward = 9
    with pytest.raises(AttributeError):
        recording.nodes = ()


def test_stepper_and_record_reject_wrong_types():
    stepper = Stepper(product())
    for position in (1.5, "x", True, None):
        with pytest.raises(
            TypeError, match=f"position must be a whole number, not {type(position).__name__}"
        ):
            stepper.goto(position)
    assert stepper.position == 0
    for name in (Value(1.0, "a"), 3, None, [], b"a"):
        for find in (stepper.run_to, stepper.stop_at, stepper.watch, stepper.data, stepper.grad):
            with pytest.raises(TypeError, match=r"^\w+: (target|name) must be text, not .*; write"):
                find(name)


@pytest.mark.parametrize(("thing", "remedy"), [
    (None, "a function without return gives None: return its result, and pass that"),
    (3, 'a number has no graph; compute with Values: x = Value(2.0, "x"), and then x * 3'),
    (np.float32(3), 'a number has no graph; compute with Values: x = Value(2.0, "x"), and then x'),
    ("y", 'pass the Value itself; text is read by parse: show(parse("x * x", x=3.0))'),
    ([Value(1.0), 2], "pass one of its Values"),
    ([1, 2], "pass the result of a computation on Values"),
    (nn.MLP(2, [1]), "call the model on a sample: show(model([1.0, 2.0]))"),
    (nn.MLP, "make the model, model = MLP(...), and call the model on a sample: show(model("),
    (len, "call the function, and pass its result: show(f(Value(2.0)))"),
    (math.tanh, "call the function, and pass its result: show(f(Value(2.0)))"),
    (jit(lambda x: x * x), "call the function on Values without jit; viz.draw(f) draws its"),
    (History(), "viz.plots.loss(history) draws the loss, viz.explore(history) plays the training"),
    (int, "pass the result of a computation on Values"),
])
def test_what_has_no_graph_is_refused_with_what_to_write_for_its_kind(thing, remedy):
    with pytest.raises(TypeError) as caught:
        recording_of(thing, "show: y")
    wanted = "a Value, a Recording or a Stepper"
    kind = type(thing).__name__
    message = str(caught.value)
    shown = f"{kind} ({short_repr(thing)})"
    assert message.startswith(f"show: y must be {wanted}, not {shown}; {remedy}")


def test_a_recording_refuses_steps_that_it_does_not_have():
    recording = record(product())
    for index in (6, -7, "a", 1.5, None):
        with pytest.raises((IndexError, TypeError), match=r"from 0 to 5, not .*; write Stepper"):
            recording[index]


def test_a_minus_sign_before_a_negative_number_has_brackets():
    a = Value(-2.0, "a")
    y = -a
    y.label = "y"
    assert record(y)[0].sentence == "y = -a = -(-2) = 2"
    assert record(-y)[1].sentence == "v3 = -y = -2"


def test_recording_of_returns_an_existing_recording():
    y = product()
    recording = record(y)
    stepper = Stepper(recording).finish()
    assert recording_of(recording, "f()") is recording_of(stepper, "f()") is recording
    assert recording_of(y, "f()").events == recording.events
    other = Stepper(stepper)
    assert (other.recording, other.position, stepper.position) == (recording, 0, 6)


LIKE_A_RULE = "a   [b"


def test_words_of_a_step_are_its_sentence_without_the_rule_for_any_names():
    x = Value(2.0, LIKE_A_RULE)
    y = x * x
    y.label = "y"
    step = record(y)[2]
    assert step.words == "dy/d(a   [b) += dy/dy · ∂y/∂a   [b = 1 × 2 = 2"
    assert step.formula == "∂y/∂a   [b = a   [b"
    assert step.growth == "first a   [b, sum: 0 + 2 = 2"
    assert step.sentence == f"{step.words}   ({step.growth})   [{step.formula}]"
    assert record(y)[0].sentence == record(y)[0].words == "y = a   [b * a   [b = 2 × 2 = 4"
    assert str(compare_orders(y)).splitlines()[2] == f"{step.words}   {step.words}"


@given(st.integers(0, 10_000))
def test_flow_along_an_edge_equals_what_its_step_adds(seed):
    recording = record(random_graph(seed))
    for step, event in zip(recording, recording.events):
        if event.user is None:
            assert recording.flow(event) == 0.0
        else:
            assert step.after == step.before + recording.flow(event)
            assert (
                recording.flow(event)
                == recording.partial(event.user, event.operand) * event.adjoint
            )


def test_positions_cover_all_named_nodes_except_constants():
    recording = record(product())
    assert recording.positions == {"a": 0, "b": 1, "d": 2, "y": 4}
    assert pickle.loads(pickle.dumps(recording)).positions == recording.positions


def test_the_lines_of_a_view_have_kinds():
    stepper = Stepper(product()).watch("a").watch("d")
    assert [kind for kind, _ in stepper.lines()] == [
        "position",
        "sentence",
        "watch",
        "watch",
        "next",
    ]
    stepper.next()
    assert [kind for kind, _ in stepper.lines()] == [
        "position",
        "sentence",
        "changed",
        "watch",
        "watch",
        "next",
    ]
    assert [text for kind, text in stepper.lines() if kind == "watch"] == [
        "  watch:   a: data 2, grad 0", "  watch:   d: data -6, grad 0"]
    assert "\n".join(text for _, text in stepper.lines()) == repr(stepper)


def test_operation_is_found_by_its_symbol():
    a, b = Value(2.0, "a"), Value(-3.0, "b")
    stepper = Stepper(-a - b * a)
    assert stepper.recording.targets() == [
        "a",
        "b",
        "v3",
        "v4",
        "v5",
        "neg",
        "mul",
        "*",
        "sub",
        "-",
        "forward",
        "backward",
    ]
    for symbol, name in (("*", "mul"), ("-", "sub")):  # "-" is sub and not neg, as in drawings
        steps = range(len(stepper.recording))
        assert [i for i in steps if stepper.recording.matches(i, symbol)] == [
            i for i in steps if stepper.recording.matches(i, name)]
    assert stepper.run_to("*").step.name == "v4"
    with pytest.raises(ValueError, match=r"target must be one of a, b, v3, .*, not ''"):
        stepper.run_to("")


@pytest.mark.parametrize(("x", "text"), [
    (None, "?"), (3.0, "3"), (-0.0, "0"), (999_999.0, "999999"), (1e6, "1e6"), (0.1 + 0.2, "0.3"),
    (2 / 3, "0.6667"),
    (1.0001, "1.0001"), (-1.00004, "-1.00004"), (1234.5, "1234.5"), (9999.6, "9999.6"),
    (0.99999, "0.99999"),
    (math.tanh(10.0), "0.999999996"), (30150.7, "3.015e4"), (1e-17 / 3, "3.333e-18"),
    (4e-5, "4e-5"),
    (1 + 1e-12, "1"), (2.9999999999999996, "3"), (9999.9999999999, "10000"), (math.inf, "inf"),
    (math.nan, "nan"),
])
def test_numbers_have_four_digits_or_more_if_they_would_look_like_integers(x, text):
    assert short_number(x) == text


def test_factor_close_to_one_is_not_printed_as_one():
    s = Value(1.0, "s")
    y = s * 1.0001
    y.label = "y"
    assert record(y)[0].sentence == "y = s * 1.0001 = 1 × 1.0001 = 1.0001"
    assert record(y).nodes[1].name == "1.0001"


def test_a_sum_names_the_operand_that_adds_to_it_and_says_what_it_was_and_is():
    a, b = Value(3.0, "a"), Value(-2.0, "b")
    twice = [step.growth for step in record(a + a) if step.phase == "backward"]
    assert twice == ["", "first a, sum: 0 + 1 = 1", "second a, sum: 1 + 1 = 2"]
    users = [step.growth for step in record(a * b - a) if step.name == "a"]
    assert users == ["sum: 0 + (-1) = -1", "sum: -1 + (-2) = -3"]
    assert not any(step.growth for step in record(a * b))


def test_a_gradient_and_a_local_derivative_never_look_the_same():
    for seed in range(20):
        recording = record(random_graph(seed))
        for step, event in zip(recording, recording.events):
            if event.user is not None:
                gradient, _, rest = step.words.partition(" += ")
                arrives, _, rest = rest.partition(" · ")
                assert [gradient[0], arrives[0], rest[0], step.formula[0]] == ["d", "d", "∂", "∂"]


@pytest.mark.parametrize("name", MISCONCEPTIONS)
def test_each_misconception_gives_wrong_gradients_and_says_so_in_its_steps(name):
    x, z = Value(3.0, "x"), Value(-2.0, "z")
    shared = x * z
    y = (shared + shared) * (x - z) + x**2 + math.relu(z) - math.square(z)
    y.label = "y"
    right, wrong = record(y), record(y, misconception=name)
    ends = [Stepper(recording).finish() for recording in (right, wrong)]
    assert [ends[0].grad(leaf) for leaf in "xz"] != [ends[1].grad(leaf) for leaf in "xz"]
    for step, event in zip(wrong, wrong.events):
        if event.user is not None:
            flow = wrong.partial(event.user, event.operand) * event.adjoint
            kept = 0.0 if MISCONCEPTIONS[name].replaces else step.before
            assert step.after == kept + flow
            assert step.words.endswith(f"= {short_number(flow)}")
    assert Stepper(record(y)).finish().grad("x") == ends[0].grad("x")


def test_a_misconception_that_is_unknown_is_refused_with_those_that_exist():
    with pytest.raises(ValueError, match="record: misconception must be '', 'overwrite', 'early'"):
        record(product(), misconception="overwritten")
