"""The shell: whole transcripts, hostile input, and a pseudo terminal where the system has one."""

import builtins
import inspect
import io
import os
import re
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from itertools import pairwise

import pytest
from helpers import ROOT, bits, run_python
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_edu import Stepper, Value, examples, math, nn, parse, record, topological_order
from tinygrad_edu.engine.primitive import TABLE
from viz.shell.repl import Shell, debug
from viz.shell.terminal import CommandLine


def lecture():
    y = parse("tanh(a*b + c)", a=2, b=-3, c=10)
    y.label = "y"
    return y


def product():
    a, b = Value(2.0, "a"), Value(-3.0, "b")
    y = a * b
    y.label = "y"
    return y


ALL_COMMANDS = [name for names in Shell.groups.values() for name in names]


def transcript(y, *commands, color=None):
    """Returns everything that the shell writes for these lines of input."""
    out = io.StringIO()
    debug(y, stdin=io.StringIO("".join(f"{line}\n" for line in commands)), stdout=out, color=color)
    return out.getvalue()


def answers(y, *commands):
    """Returns the shell's answer to the last of these lines, without the next prompt."""
    text = transcript(y, *commands)
    return re.split(r"^\(step \d+/\d+\) .*\n", text, flags=re.MULTILINE)[-2].splitlines()


def commands_of(text):
    """Returns the lines of input that a transcript shows."""
    return [line.partition(") ")[2] for line in text.splitlines() if line.startswith("(step ")]


# ---- whole transcripts


FORWARD = """\
y = tanh(a * b + c): 6 nodes, 3 steps forward, 6 backward; h for help
step 0 of 9, start
  given: a = 2, b = -3, c = 10
  next:    v4 = a * b = 2 × (-3) = -6
(step 0/9) # The forward phase, and back in time.
(step 0/9) n
step 1 of 9, forward
  v4 = a * b = 2 × (-3) = -6
  changed: data of v4: -6
  next:    v5 = v4 + c = -6 + 10 = 4
(step 1/9)\x20
step 2 of 9, forward
  v5 = v4 + c = -6 + 10 = 4
  changed: data of v5: 4
  next:    y = tanh(v5) = tanh(4) = 0.9993
(step 2/9) b
step 1 of 9, forward
  v4 = a * b = 2 × (-3) = -6
  changed: data of v4: -6
  next:    v5 = v4 + c = -6 + 10 = 4
(step 1/9) where
step 1 of 9: 1 of 3 operations done
> v4 = a * b
  v5 = v4 + c
  y = tanh(v5)
(step 1/9) n 2
step 3 of 9, forward
  y = tanh(v5) = tanh(4) = 0.9993
  changed: data of y: 0.9993
  next:    dy/dy = 1
(step 3/9) where
step 3 of 9: 3 of 3 operations done
> y = tanh(v5)
(step 3/9) l
   0  given: a = 2, b = -3, c = 10
   1  v4 = a * b = 2 × (-3) = -6
   2  v5 = v4 + c = -6 + 10 = 4
-> 3  y = tanh(v5) = tanh(4) = 0.9993
   4  dy/dy = 1
   5  dy/dv5 += dy/dy · ∂y/∂v5 = 1 × 0.001341 = 0.001341   [∂y/∂v5 = 1 - y ** 2]
   6  dy/dv4 += dy/dv5 · ∂v5/∂v4 = 0.001341 × 1 = 0.001341   [∂v5/∂v4 = 1]
   7  dy/dc += dy/dv5 · ∂v5/∂c = 0.001341 × 1 = 0.001341   [∂v5/∂c = 1]
   8  dy/da += dy/dv4 · ∂v4/∂a = 0.001341 × (-3) = -0.004023   [∂v4/∂a = b]
(step 3/9) until tanh
step 5 of 9, backward
  dy/dv5 += dy/dy · ∂y/∂v5 = 1 × 0.001341 = 0.001341   [∂y/∂v5 = 1 - y ** 2]
  changed: grad of v5: 0 -> 0.001341
  next:    dy/dv4 += dy/dv5 · ∂v5/∂v4 = 0.001341 × 1 = 0.001341   [∂v5/∂v4 = 1]
(step 5/9) where
step 5 of 9: 2 of 6 gradient steps done
> y = tanh(v5)   ∂y/∂v5 = 0.001341
(step 5/9) p grad(y) + v5
5.0
(step 5/9) p a*b + c
4.0
(step 5/9) w a
  watch:   a: data 2, grad 0
(step 5/9) n
step 6 of 9, backward
  dy/dv4 += dy/dv5 · ∂v5/∂v4 = 0.001341 × 1 = 0.001341   [∂v5/∂v4 = 1]
  changed: grad of v4: 0 -> 0.001341
  watch:   a: data 2, grad 0
  next:    dy/dc += dy/dv5 · ∂v5/∂c = 0.001341 × 1 = 0.001341   [∂v5/∂c = 1]
(step 6/9) continue
step 9 of 9, backward
  dy/db += dy/dv4 · ∂v4/∂b = 0.001341 × 2 = 0.002682   [∂v4/∂b = a]
  changed: grad of b: 0 -> 0.002682
  watch:   a: data 2, grad -0.004023
  next:    nothing, this is the end
(step 9/9) n
this is the end; b goes back, restart begins again, q leaves
(step 9/9) restart
step 0 of 9, start
  given: a = 2, b = -3, c = 10
  watch:   a: data 2, grad 0
  next:    v4 = a * b = 2 × (-3) = -6
(step 0/9) b
this is the start; n does the first step
(step 0/9) quit
"""

BACKWARD = """\
y = tanh(a * b + c): 6 nodes, 3 steps forward, 6 backward; h for help
step 0 of 9, start
  given: a = 2, b = -3, c = 10
  next:    v4 = a * b = 2 × (-3) = -6
(step 0/9) until c
step 7 of 9, backward
  dy/dc += dy/dv5 · ∂v5/∂c = 0.001341 × 1 = 0.001341   [∂v5/∂c = 1]
  changed: grad of c: 0 -> 0.001341
  next:    dy/da += dy/dv4 · ∂v4/∂a = 0.001341 × (-3) = -0.004023   [∂v4/∂a = b]
(step 7/9) b 99
step 0 of 9, start
  given: a = 2, b = -3, c = 10
  next:    v4 = a * b = 2 × (-3) = -6
(step 0/9) p v5
v5: data not computed yet (step 2 does it), grad 0.0 after 0 of 1 contributions
(step 0/9) unt backward
step 4 of 9, backward
  dy/dy = 1
  changed: grad of y: 0 -> 1
  next:    dy/dv5 += dy/dy · ∂y/∂v5 = 1 × 0.001341 = 0.001341   [∂y/∂v5 = 1 - y ** 2]
(step 4/9) p b
b: data -3.0, grad 0.0 after 0 of 1 contributions
(step 4/9) l 0 3
   0  given: a = 2, b = -3, c = 10
   1  v4 = a * b = 2 × (-3) = -6
   2  v5 = v4 + c = -6 + 10 = 4
   3  y = tanh(v5) = tanh(4) = 0.9993
(step 4/9) break mul
breakpoint at mul: steps 1, 8, 9
(step 4/9) break c
breakpoint at c: step 7
(step 4/9) break
breakpoint at mul: steps 1, 8, 9
breakpoint at c: step 7
(step 4/9) c
stopped at c
step 7 of 9, backward
  dy/dc += dy/dv5 · ∂v5/∂c = 0.001341 × 1 = 0.001341   [∂v5/∂c = 1]
  changed: grad of c: 0 -> 0.001341
  next:    dy/da += dy/dv4 · ∂v4/∂a = 0.001341 × (-3) = -0.004023   [∂v4/∂a = b]
(step 7/9) where
step 7 of 9: 4 of 6 gradient steps done
  y = tanh(v5)   ∂y/∂v5 = 0.001341
> v5 = v4 + c    ∂v5/∂c = 1
  dy/dc = 0.001341 × 1 = 0.001341
(step 7/9) c
stopped at mul
step 8 of 9, backward
  dy/da += dy/dv4 · ∂v4/∂a = 0.001341 × (-3) = -0.004023   [∂v4/∂a = b]
  changed: grad of a: 0 -> -0.004023
  next:    dy/db += dy/dv4 · ∂v4/∂b = 0.001341 × 2 = 0.002682   [∂v4/∂b = a]
(step 8/9) p a.grad - b*grad(v4)
0.0
(step 8/9) c
stopped at mul
step 9 of 9, backward
  dy/db += dy/dv4 · ∂v4/∂b = 0.001341 × 2 = 0.002682   [∂v4/∂b = a]
  changed: grad of b: 0 -> 0.002682
  next:    nothing, this is the end
(step 9/9) w a
  watch:   a: data 2, grad -0.004023
(step 9/9) w
  watch:   a: data 2, grad -0.004023
(step 9/9) clear mul
1 breakpoint left
(step 9/9) unwatch
0 watches left
(step 9/9) goto 5
step 5 of 9, backward
  dy/dv5 += dy/dy · ∂y/∂v5 = 1 × 0.001341 = 0.001341   [∂y/∂v5 = 1 - y ** 2]
  changed: grad of v5: 0 -> 0.001341
  next:    dy/dv4 += dy/dv5 · ∂v5/∂v4 = 0.001341 × 1 = 0.001341   [∂v5/∂v4 = 1]
(step 5/9) where
step 5 of 9: 2 of 6 gradient steps done
> y = tanh(v5)   ∂y/∂v5 = 0.001341
(step 5/9) finish
step 9 of 9, backward
  dy/db += dy/dv4 · ∂v4/∂b = 0.001341 × 2 = 0.002682   [∂v4/∂b = a]
  changed: grad of b: 0 -> 0.002682
  next:    nothing, this is the end
(step 9/9) clear
0 breakpoints left
(step 9/9) end
step 9 of 9, backward
  dy/db += dy/dv4 · ∂v4/∂b = 0.001341 × 2 = 0.002682   [∂v4/∂b = a]
  changed: grad of b: 0 -> 0.002682
  next:    nothing, this is the end
(step 9/9) h goto
goto N
  goes to step N, in either direction

Step 0 is the start.
Example: goto 7
(step 9/9)\x20
"""


def test_a_session_is_a_transcript():
    assert transcript(lecture(), *commands_of(FORWARD)) == FORWARD


def test_the_end_of_the_input_ends_a_session():
    *commands, end = commands_of(BACKWARD)
    assert end == ""
    assert transcript(lecture(), *commands) == BACKWARD


def test_debug_continues_at_the_position_of_the_stepper_and_moves_it():
    stepper = Stepper(record(product())).watch("a").next()
    assert transcript(stepper, "n 2", "break b", "q") == (
        "y = a * b: 3 nodes, 1 step forward, 3 backward; h for help\n"
        "step 1 of 4, forward\n"
        "  y = a * b = 2 × (-3) = -6\n"
        "  changed: data of y: -6\n"
        "  watch:   a: data 2, grad 0\n"
        "  next:    dy/dy = 1\n"
        "(step 1/4) n 2\n"
        "step 3 of 4, backward\n"
        "  dy/da += dy/dy · ∂y/∂a = 1 × (-3) = -3   [∂y/∂a = b]\n"
        "  changed: grad of a: 0 -> -3\n"
        "  watch:   a: data 2, grad -3\n"
        "  next:    dy/db += dy/dy · ∂y/∂b = 1 × 2 = 2   [∂y/∂b = a]\n"
        "(step 3/4) break b\n"
        "breakpoint at b: step 4\n"
        "(step 3/4) q\n")
    assert (stepper.position, stepper.watches, stepper.breakpoints) == (3, ["a"], ["b"])


def test_a_recording_in_the_naive_order_says_so():
    text = transcript(record(examples.shared_node(), order="naive"), "end", "p a")
    assert text.startswith(
        "c = b + b: 3 nodes, 2 steps forward, 7 backward, in the naive order; h for help\n"
    )
    assert "\na: data 1.0, grad 6.0 after 4 of 4 contributions\n" in text


def test_the_first_line_leaves_out_expressions_that_are_long():
    y = math.total(Value(float(i)) * 2 for i in range(20))
    assert (
        transcript(y).splitlines()[0] == "v59: 79 nodes, 39 steps forward, 59 backward; h for help"
    )
    assert (
        transcript(Value(3.0, "x")).splitlines()[0]
        == "x: 1 node, 0 steps forward, 1 backward; h for help"
    )


def test_only_values_recordings_and_steppers_can_be_debugged():
    with pytest.raises(
        TypeError, match=r"debug: y must be a Value, a Recording or a Stepper, not float \(3.0\)"
    ):
        debug(3.0)


def test_streams_must_be_open_text_files(tmp_path):
    y = Value(3.0) * 2
    closed = io.StringIO()
    closed.close()
    for wrong in ("n", b"n", "", 3, [], io.BytesIO(b"q"), io.StringIO):
        with pytest.raises(TypeError, match=r"stdin must be an open text file, not .*StringIO\("):
            debug(y, stdin=wrong)
        with pytest.raises(TypeError, match=r"stdout must be an open text file, not .*StringIO\("):
            debug(y, stdin=io.StringIO("q"), stdout=wrong)
    with open(tmp_path / "written", "w") as writing:
        for wrong in (closed, writing):
            with pytest.raises(ValueError, match=r"stdin must be open to read, not .*; for"):
                debug(y, stdin=wrong)
    with pytest.raises(ValueError, match="color must be None, True or False, not 'red'"):
        debug(y, stdin=io.StringIO("q"), color="red")


# ---- numbers


@pytest.mark.parametrize(("expression", "answer"), [
    ("a", "a: data 2.0, grad -3.0 after 1 of 1 contributions"),
    ('"a"', "a: data 2.0, grad -3.0 after 1 of 1 contributions"),
    ("b", "b: data -3.0, grad 0.0 after 0 of 1 contributions"),
    ("a + 0", "2.0"),
    ("a*b - y", "0.0"),
    ("grad(a)", "-3.0"),
    ("grad( 'a' ) * 2", "-6.0"),
    ("a.grad + a.data", "-1.0"),
    ("sqrt(a**2) + maximum(b, -1e1)", "-1.0"),
    ("1e-1 + .5 + 0x10", "16.6"),
    ("where(a > b, pi, e)", repr(3.141592653589793)),
    ("-inf", "-inf"),
])
def test_print_uses_the_numbers_of_the_position(expression, answer):
    assert answers(product(), "until a", f"p {expression}") == [answer]


def test_contributions_are_counted_so_far():
    y = examples.shared_node()
    assert answers(y, "until a", "p a") == ["a: data 1.0, grad 2.0 after 1 of 2 contributions"]
    assert answers(y, "p b") == [
        "b: data not computed yet (step 1 does it), grad 0.0 after 0 of 2 contributions"
    ]
    assert answers(y, "p 2 * b") == ["*** b: data not computed yet (step 1 does it)"]
    assert answers(y, "p grad(b) + a") == ["1.0"]


def test_names_that_are_not_identifiers_can_be_used():
    labels = [
        "two words",
        "layers.0.w.1",
        "W[1,2]",
        "a",
        "a",
        "lambda",
        "e",
        "x+y",
        'say "hi"',
        "pi",
    ]
    values = [Value(float(i), label) for i, label in enumerate(labels, 1)]
    y = math.total(values)
    for typed, number in [
        ("two words", 1),
        ("layers.0.w.1", 2),
        ("W[1,2]", 3),
        ("a#1", 4),
        ("lambda", 6),
        ("x+y", 8),
        ('say "hi"', 9),
        ("'say \"hi\"'", 9),
        ("v11", 3),
    ]:
        [answer] = answers(y, "n", f"p {typed}")
        assert f": data {float(number)}, grad 0.0" in answer
    assert answers(y, 'p "two words" + layers.0.w.1 + W[1,2]*a#2 + grad(layers.0.w.1)') == ["18.0"]
    assert answers(y, "p lambda + e + 'x+y' + pi + layers.0.w.1.data") == ["33.0"]
    assert answers(y, "end", 'p grad("two words") + a#1.grad + grad(W[1,2])') == ["3.0"]


@pytest.mark.parametrize(("commands", "answer"), [
    (["where"], ["step 0 of 7: 0 of 2 operations done"]),
    (["n", "where"], ["step 1 of 7: 1 of 2 operations done",
                      "> b = a + a",
                      "  c = b + b",
                      "  one of 2 paths to c"]),
    (["until backward", "where"], ["step 3 of 7: 1 of 5 gradient steps done",
                                   "> c = b + b",
                                   "  dc/dc = 1, where the backward pass begins"]),
    (["until a", "where"], ["step 6 of 7: 4 of 5 gradient steps done",
                            "  c = b + b   ∂c/∂b = 1",
                            "> b = a + a   ∂b/∂a = 1",
                            "  one of 4 paths: 1 × 1 = 1; dc/da is the sum over all of them"]),
])
def test_where_shows_the_path_to_the_root(commands, answer):
    assert answers(examples.shared_node(), *commands) == answer


def test_where_shows_the_ends_of_a_long_path():
    x = Value(1.0, "x")
    y = x
    for _ in range(1000):
        y = y * 1.0
    forwards, backwards = answers(y, "n", "where"), answers(y, "end", "where")
    assert forwards[1:3] == ["> v2 = x * 1", "  v3 = v2 * 1"]
    assert forwards[7] == backwards[7] == "  ... 988 more ..."
    assert forwards[-1] == "  v1001 = v1000 * 1"
    assert backwards[-2:] == ["> v2 = x * 1          ∂v2/∂x = 1", "  dv1001/dx = 1"]


def test_orders_explains_the_wrong_order():
    answer = answers(examples.shared_node(), "orders")
    assert answer[0].split() == ["topological", "order", "naive", "recursive", "order"]
    assert "  dc/da is 4; the naive order gives 6" in answer


def test_draw_writes_the_graph_with_the_gradients_of_the_position(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    y = product()
    assert answers(y, "until a", "draw y.dot") == ["wrote y.dot"]
    picture = (tmp_path / "y.dot").read_text()
    assert "step 3 of 4, backward" in picture
    assert "-3.0000" in picture
    assert "2.0000" in picture
    assert [node.grad for node in topological_order(y)] == [0.0, 0.0, 0.0]
    assert answers(y, "draw") == ["wrote graph.svg"]
    assert "</svg>" in (tmp_path / "graph.svg").read_text()
    assert answers(y, "draw 'my graph.dot'") == ["wrote my graph.dot"]


def test_draw_frames_modules(tmp_path):
    y = nn.MLP(2, [2, 1])([1.0, 2.0])
    answers(y, f"draw {tmp_path / 'y.dot'}")
    assert "subgraph" in (tmp_path / "y.dot").read_text()


# ---- errors, in one line


@pytest.mark.parametrize(("command", "answer"), [
    ("untl a", "*** 'untl' is not a command; did you mean until? There are next, back, continue, "
               "until, goto, restart, finish, "
               "print, list, where, draw, orders, break, clear, watch, unwatch, help, quit"),
    ("un a", "*** 'un' can be until or unwatch"),
    ("N", "*** 'N' is not a command; did you mean n? There are next, back, continue"),
    ("a", "*** 'a' is not a command; p a prints the node of that name"),
    ("n-1", "*** next takes a whole number of steps, such as next 3, not '-1'"),
    ("n 2 3", "*** next takes a whole number of steps, such as next 3, not '2 3'"),
    ("b x", "*** back takes a whole number of steps, such as back 3, not 'x'"),
    ("b a", "*** back takes a whole number of steps, such as back 3, not 'a'; to stop at a, write: "
            "break a"),
    ("b *", "*** back takes a whole number of steps, such as back 3, not '*'; to stop at *, write: "
            "break *"),
    ("n \u0663", "*** next takes a whole number of steps, such as next 3, not '\u0663'"),
    ("c mul", "*** continue takes no argument, but was given 'mul'"),
    ("until", "*** until needs a target, such as until backward; there are a, b, y, mul, *, "
              "forward, backward"),
    ("until mull", "*** nothing here is called 'mull'; did you mean mul? There are a, b, y, mul, "
                   "*, forward, backward"),
    ("until forward", "*** no later step involves forward, only step 1; goto goes back"),
    ("goto", "*** goto takes the number of a step, 0 to 4"),
    ("goto x", "*** goto takes the number of a step, 0 to 4, not 'x'"),
    ("goto 99", "*** there is no step 99; the last one is 4"),
    ("goto " + "9" * 5000, "*** there is no step 99999999999999999...; the last one is 4"),
    ("l x", "*** list takes the number of a step, 0 to 4, or two of them, not 'x'"),
    ("l 1 2 3", "*** list takes the number of a step, 0 to 4, or two of them, not '1 2 3'"),
    ("l 77", "*** there are no such steps; this recording has steps 0 to 4"),
    ("l 3 2", "*** there are no such steps; this recording has steps 0 to 4"),
    ("break z", "*** nothing here is called 'z'; there are a, b, y, mul, *, forward, backward"),
    ("break a", "*** a is a breakpoint already"),
    ("clear b", "*** nothing here is called 'b'; there are a"),
    ("watch mul", "*** nothing here is called 'mul'; there are a, b, y"),
    ("w b", "*** b is watched already"),
    ("unwatch a", "*** nothing here is called 'a'; there are b"),
    ("p", "*** p needs a name or an expression, such as p grad(a) * 2; there are a, b, y"),
    ("p z", "*** nothing here is called 'z'; there are a, b, y"),
    ("p a +", "*** not an expression: invalid syntax after 'a +'"),
    ("p grad(a*b)", "*** grad() takes one name, as in grad(a)"),
    ("p grad(z)", "*** nothing here is called 'z'; there are a, b, y"),
    ("p tahn(a)", "*** unknown function 'tahn'; did you mean tan or tanh or atan? at 'tahn(a)'"),
    ("p math.sin(a)", "*** 'math.sin' is not a function; functions are written without math., as "
                      "in sin(...); there are "
                      "the names a, b, y"),
    ("p a.tanh() + b", "*** 'a.tanh' is not a function; write tanh(a); there are the names a, b, "
                       "y"),
    ("p numpy.sinn(a)", "*** 'numpy.sinn' is not a function; functions are called as in "
                        "tanh(...); there are the names a"),
    ("p a.real", "*** nothing here is called 'a.real'; there are a, b, y"),
    ("p a if b else y", "*** if/else is not part of the language: numbers, names, + - * / // % **, "
                        "and function calls are "
                        "at 'a if b else y'"),
    ("p a > b", "*** 'a > b' is a condition, not a number; choose with where(condition, x, y)"),
    ("h nothing", "*** 'nothing' is not a command; there are next, back"),
    ("draw y.xyz", "*** cannot save a drawing as 'y.xyz': '.xyz' is not a format it can have; use "
                   "one of .svg"),
    ("draw missing/y.svg", "*** cannot write 'missing/y.svg': 'missing' is not a folder; create it "
                           "first"),
    ("!ls", "*** '!ls' is not a command"),
])
def test_errors_are_one_line_and_change_nothing(command, answer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stepper = Stepper(record(product())).goto(2).stop_at("a").watch("b")
    [line] = answers(stepper, command)
    assert line.startswith(answer)
    assert (stepper.position, stepper.breakpoints, stepper.watches) == (2, ["a"], ["b"])
    assert list(tmp_path.iterdir()) == []


def test_target_phase_without_steps_is_reported():
    assert answers(Value(1.0, "x"), "until forward") == ["*** no step involves forward"]
    assert answers(Value(1.0, "x"), "break forward") == ["breakpoint at forward: no steps"]


@pytest.mark.parametrize("command", [
    "p " + "(" * 5000, "p " + "[" * 5000, "p " + "-" * 5000 + "1", "p " + "1" * 6000,
    "p 1e999 * 0", "p '", 'p """', "p \\",
    "p a\0b", "\0", "p \u202ea", "until \ud800", "p \u2028",
    "x" * 100_000, "until " + "x" * 100_000, "goto \0",
    "draw \0", "draw " + "x" * 5000, "draw " + "x/" * 3000, "p a" + "+a" * 6000,
    "\x1b[2J", "h " + "(" * 3000, "p 1 2", "p lambda: 0",
    "p __import__('os')", "p f'{a}'", "p a[0]", "p (a,b)", "p not a", "p a; b", "p \t",
    "#", "!", "p grad(", "p grad(grad(a))",
])
def test_hostile_input_is_answered_in_one_line(command):
    answer = answers(product(), command)
    assert len(answer) == (0 if command == "#" else 1)
    assert all(line.isprintable() and len(line) < 500 for line in answer)


def test_very_large_counts_go_to_the_ends():
    assert answers(product(), "n " + "9" * 6000)[0] == "step 4 of 4, backward"
    assert answers(product(), "end", "b " + "9" * 6000)[0] == "step 0 of 4, start"


COMMANDS = [*ALL_COMMANDS, *Shell.aliases, "unt", "br", "?", "!", "#", "nosuch"]
ARGUMENTS = [
    "",
    "a",
    "b",
    "a#1",
    "v3",
    "two words",
    "[red]",
    "mul",
    "forward",
    "backward",
    "0",
    "1",
    "3",
    "1 4",
    "-1",
    "grad(a#1)",
    "a.grad",
    "[red] * 2",
    '"two words"',
    "v4 / 0",
    "e**e",
]
LINES = st.builds(
    "{} {}".format,
    st.sampled_from([name for name in COMMANDS if name not in ("draw", "quit", "q", "exit")]),
    st.one_of(st.sampled_from(ARGUMENTS), st.text(max_size=12)),
)
OTHER_TEXT = st.text(max_size=20).filter(lambda s: s[:2] not in ("dr", "dra"))


@given(st.lists(st.one_of(LINES, st.just(""), OTHER_TEXT), max_size=15))
def test_no_line_raises_or_changes_the_graph(lines):
    a, b, c = Value(2.0, "a"), Value(-0.0, "a"), Value(1e300, "two words")
    y = math.tanh(a * b) + c * (a + c) + Value(math.nan, "[red]") * b + 3.0
    y.backward()
    before = [(bits(node.data), bits(node.grad), node.label) for node in topological_order(y)]
    stepper = Stepper(y)
    text = transcript(stepper, *lines)
    assert [
        (bits(node.data), bits(node.grad), node.label) for node in topological_order(y)
    ] == before
    assert "Traceback" not in text
    assert text.replace("\n", "").isprintable()
    # A rejected command leaves the position unchanged.
    moments = re.findall(r"^\(step (\d+)/\d+\) .*\n(\*\*\* )?", text, flags=re.MULTILINE)
    for (position, failed), (following, _) in pairwise(moments):
        assert not failed or position == following
    # The stepper shows what a new one shows at its position.
    fresh = Stepper(y).goto(stepper.position)
    fresh.watches = stepper.watches
    assert repr(fresh) == repr(stepper)


# ---- repeating, help, labels


def test_an_empty_line_repeats_the_last_command_and_a_comment_does_nothing():
    stepper = Stepper(product())
    text = transcript(stepper, "", "n", "", "# n", "", "x", "")
    assert stepper.position == 3
    assert text.count("*** 'x' is not a command") == 2
    assert "(step 2/4) # n\n(step 2/4) \nstep 3 of 4" in text


def test_help_lists_every_command_and_explains_each():
    overview = transcript(product(), "h").splitlines()
    for command in ALL_COMMANDS:
        method = getattr(Shell, f"do_{command}")
        usage, _, summary = inspect.getdoc(method).partition("\n")[0].partition(": ")
        assert f"  {usage:<19}{summary}" in overview
        explained = answers(product(), f"help {command}")
        assert explained[:2] == [usage, f"  {summary}"]
        assert not summary.endswith(".")
    assert all(len(line) <= 80 for line in overview[5:])
    assert answers(product(), "?unt") == answers(product(), "h until")
    assert {name for name in dir(Shell) if name.startswith("do_")} == {
        f"do_{name}" for name in (*ALL_COMMANDS, "EOF")
    }


def test_labels_come_out_as_typed_and_cannot_reach_the_terminal():
    labels = ["[red]x[/red]", "[/]", "\x1b[31mred", "a\nb", "\\n", ":smile:"]
    y = math.total(Value(float(i), label) for i, label in enumerate(labels, 1))
    for color in (False, True):
        commands = [
            "end",
            "l 0 99",
            "where",
            "p [red]x[/red]",
            r"p \x1b[31mred",
            r"w a\nb",
            "break [/]",
            "restart",
            "c",
        ]
        text = re.sub(r"\x1b\[[0-9;]*m", "", transcript(y, *commands, color=color))
        assert text.replace("\n", "").isprintable()
        assert (
            "  given: [red]x[/red] = 1, [/] = 2, \\x1b[31mred = 3, a\\nb = 4, \\n = 5, :smile: = "
            "6\n"
            in text
        )
        assert "[red]x[/red]: data 1.0, grad 1.0 after 1 of 1 contributions\n" in text
        assert "\\x1b[31mred: data 3.0, grad 1.0 after 1 of 1 contributions\n" in text
        assert "  watch:   a\\nb: data 4, grad 1\n" in text
        assert "stopped at [/]\n" in text


@pytest.mark.parametrize("label", [
    "\n", "\r\n", " ", "\ud800", "\x9b31m", "*** no", "(step 1/9) q", "  watch:", "EOF", "#", "'",
])
def test_no_label_breaks_the_view(label):
    y = Value(1.0, label) * Value(2.0, "b")
    for color in (False, True):
        out = transcript(
            y,
            "l 0 9",
            "w b",
            "end",
            "where",
            f"until {label}",
            f"p {label}",
            "n",
            "b 3",
            color=color,
        )
        assert re.sub(r"\x1b\[[0-9;]*m|\n", "", out).isprintable()


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self):
        return True


def test_colours_change_no_letter_and_are_for_terminals_only(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "40")
    y = examples.weight_decay()
    commands = ["until W1[1,2]", "where", "l", "h", "foo", "w lambda", "n", "p lambda", "b 70"]
    plain, colored = transcript(y, *commands), transcript(y, *commands, color=True)
    assert "\x1b" not in plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == plain
    assert "\x1b[31m*** 'foo' is not a command" in colored
    assert "\x1b[1m  dJ/d(W1[1,2]) += " in colored
    for no_color, is_colored in (("", True), ("1", False)):
        monkeypatch.setenv("NO_COLOR", no_color)
        terminal = Terminal()
        debug(y, stdin=io.StringIO("n\n"), stdout=terminal)
        assert ("\x1b[" in terminal.getvalue()) == is_colored


def test_a_label_that_looks_like_a_rule_does_not_end_a_sentence():
    x = Value(2.0, "a   [b")
    text = transcript(x * 3, "end", "w a   [b", color=True)
    assert (
        "\x1b[1m  dv2/d(a   [b) += dv2/dv2 · ∂v2/∂a   [b = 1 × 3 = 3\x1b[0m\x1b[2m"
        "   [∂v2/∂a   [b = 3]\x1b[0m"
        in text
    )
    assert "  changed: grad of a   [b: 0 -> \x1b[1;32m3\x1b[0m\n" in text
    assert "\x1b[36m  watch:   a   [b: data 2, grad 3\x1b[0m\n" in text


def test_long_messages_are_wrapped_at_words_on_a_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    terminal = Terminal()
    debug(product(), stdin=io.StringIO("nosuch\n"), stdout=terminal, color=False)
    assert terminal.getvalue().partition("***")[2].partition("\n(")[0] == (
        " 'nosuch' is not a command; there are next,\n"
        "    back, continue, until, goto, restart, finish,\n"
        "    print, list, where, draw, orders, break,\n"
        "    clear, watch, unwatch, help, quit")
    assert len(answers(product(), "nosuch")) == 1


class Greeter(CommandLine):
    """A command loop that has nothing to do with graphs."""

    groups = {"Say": ("hello",), **CommandLine.groups}  # noqa: RUF012

    def do_hello(self, arg):
        """hello [NAME]: greets"""
        self.put(f"hello {arg}")


def test_command_loop_works_without_a_graph():
    out = io.StringIO()
    Greeter(io.StringIO("he\nhel Ada\nhello Ada\nuntil a\nhelp\nq\n"), out).run()
    text = out.getvalue()
    assert "*** 'he' can be hello or help" in text
    assert "hello Ada\n" in text
    assert "*** 'until' is not a command; there are hello, help, quit" in text
    assert "Say\n  hello [NAME]       greets\nOther\n  h, help [COMMAND]  lists" in text
    assert "TARGET" not in text


# ---- interruptions and streams


class Impatient(io.StringIO):
    """A person who presses Ctrl-C when a text appears."""

    def __init__(self, text, presses=1):
        super().__init__()
        self.text, self.presses = text, presses

    def write(self, s):
        if self.text in s and self.presses:
            self.presses -= 1
            signal.raise_signal(signal.SIGINT)
        return super().write(s)


def test_ctrl_c_stops_a_command_and_changes_nothing():
    stepper, out = Stepper(lecture()), Impatient("changed: grad of a")
    debug(stepper, stdin=io.StringIO("n 2\nuntil a\np 1\n"), stdout=out)
    assert stepper.position == 2
    assert repr(stepper) == repr(Stepper(lecture()).goto(2))
    assert out.getvalue().endswith("*** interrupted\n(step 2/9) p 1\n1.0\n(step 2/9) \n")


def test_ctrl_c_at_the_prompt_leaves_if_the_input_is_not_a_terminal():
    out = Impatient("(step 1/9) ")
    debug(lecture(), stdin=io.StringIO("n\nn\n"), stdout=out)
    assert out.getvalue().endswith("next:    v5 = v4 + c = -6 + 10 = 4\n\n")


def test_ctrl_c_works_in_tests_that_run_in_the_background():
    code = (
        "import signal, subprocess, sys\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "sys.path.insert(0, 'tests')\n"
        "import conftest\n"
        "code = 'import signal; print(signal.getsignal(signal.SIGINT) is "
        "signal.default_int_handler)'\n"
        "exec(code)\n"
        "subprocess.run([sys.executable, '-c', code])"
    )
    assert run_python(code).stdout.split() == ["True", "True"]


def test_debug_uses_the_input_of_a_notebook(monkeypatch, capsys):
    lines, prompts = iter(["n", "p y"]), []

    def ask(prompt):
        prompts.append(prompt)
        try:
            return next(lines)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr(builtins, "input", ask)
    debug(product())
    assert prompts == ["(step 0/4) ", "(step 1/4) ", "(step 1/4) "]
    assert capsys.readouterr().out.endswith("y: data -6.0, grad 0.0 after 0 of 1 contributions\n\n")


def test_ctrl_c_ends_the_input_of_a_notebook(monkeypatch, capsys):
    def ask(prompt):
        raise KeyboardInterrupt

    monkeypatch.setattr(builtins, "input", ask)
    debug(product())
    assert capsys.readouterr().out.endswith("next:    y = a * b = 2 × (-3) = -6\n\n")


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_a_byte_order_mark_before_the_commands_is_ignored(encoding):
    stdin = io.TextIOWrapper(io.BytesIO(b"\xef\xbb\xbfn 2\r\np 1\r\n"), encoding)
    out = io.StringIO()
    debug(lecture(), stdin=stdin, stdout=out)
    assert "(step 0/9) n 2\nstep 2 of 9" in out.getvalue()
    assert "***" not in out.getvalue()


@pytest.mark.parametrize("stream", ["stdin", "stdout"])
def test_debug_does_not_fail_without_standard_streams(stream, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    monkeypatch.setattr(sys, stream, None)
    stepper = Stepper(product())
    debug(stepper)
    assert stepper.position == (1 if stream == "stdout" else 0)


@pytest.mark.parametrize(
    ("encoding", "sentence"),
    [
        ("ascii", "dv2/dx += dv2/dv2 * del v2/del x = 1 * 3 = 3   [del v2/del x = 3]"),
        ("utf-8", "dv2/dx += dv2/dv2 · ∂v2/∂x = 1 × 3 = 3   [∂v2/∂x = 3]"),
    ],
)
def test_streams_may_be_ascii_or_contain_invalid_bytes(encoding, sentence):
    stdin = io.TextIOWrapper(io.BytesIO(b"n\n\xff\xfe\n"), encoding)
    stdout = io.TextIOWrapper(io.BytesIO(), encoding)
    debug(Stepper(Value(1.0, "x") * 3).goto(2), stdin=stdin, stdout=stdout)
    stdout.flush()
    written = stdout.buffer.getvalue()
    assert sentence.encode() in written
    assert f"*** the input is not {encoding} text".encode() in written


# ---- completion


def completions(y, line, monkeypatch, stepper=None):
    """Returns what `cmd` offers readline for the last word of a line."""
    readline = pytest.importorskip("readline")
    shell = Shell(stepper or Stepper(y), io.StringIO(), io.StringIO())
    begin = len(line) - len(re.split("[ \t\n]", line)[-1])
    monkeypatch.setattr(readline, "get_line_buffer", lambda: line)
    monkeypatch.setattr(readline, "get_begidx", lambda: begin)
    monkeypatch.setattr(readline, "get_endidx", lambda: len(line))
    found = []
    while (match := shell.complete(line[begin:], len(found))) is not None:
        found.append(match)
    return found


@pytest.mark.parametrize(("line", "expected"), [
    ("wh", ["where"]),
    ("un", ["until", "unwatch"]),
    ("until W2[2", ["W2[2,1]", "W2[2,2]"]),
    ("unt lam", ["lambda", "lambda * sum of w**2"]),
    ("until lambda * s", ["sum of w**2"]),
    ("until back", ["backward"]),
    ("break soft", ["softplus"]),
    ("goto W", []),
    ("w W1[1,", ["W1[1,1]", "W1[1,2]"]),
    ("watch soft", []),
    ("p U2[", ["U2[1]", "U2[2]"]),
    ("p 2*tanh(x", ["2*tanh(x1", "2*tanh(x2", "2*tanh(xlogy("]),
    ("p x1 + gra", ["grad("]),
    ("p lambda * s", ["sum of w**2", *sorted(f"{row}(" for row in TABLE if row.startswith("s"))]),
    ("h g", ["goto"]),
    ("nosuch x", []),
])
def test_completion_knows_names_operations_phases_and_commands(line, expected, monkeypatch):
    assert completions(examples.weight_decay(), line, monkeypatch) == expected


def test_completion_offers_breakpoints_and_watches_to_remove(monkeypatch):
    stepper = Stepper(lecture()).stop_at("tanh").stop_at("a").watch("b").watch("y")
    assert completions(None, "clear ", monkeypatch, stepper) == ["tanh", "a"]
    assert completions(None, "unwatch ", monkeypatch, stepper) == ["b", "y"]


# ---- a real terminal


class Session:
    """A program on a pseudo terminal, with input typed as by a person."""

    def __init__(self, *args):
        pty, self.termios = pytest.importorskip("pty"), pytest.importorskip("termios")
        pytest.importorskip("readline")
        self.master, self.slave = pty.openpty()
        self.before = self.termios.tcgetattr(self.slave)
        # A new session, in which the terminal is opened: then Ctrl-C sends a signal, as on a real
        # terminal.
        self.process = subprocess.Popen(
            [
                "sh",
                "-c",
                'exec "$@" <"$0" >"$0" 2>&1',
                os.ttyname(self.slave),
                sys.executable,
                *args,
            ],
            cwd=ROOT,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "INPUTRC": os.devnull},
        )
        self.seen = ""

    def __enter__(self):
        return self

    def __exit__(self, *details):
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)

    def read_until(self, text, seconds=30.0):
        """Returns what was written since the last call, up to ``text``."""
        end = time.monotonic() + seconds
        while text not in self.seen:
            assert time.monotonic() < end, f"{text!r} did not come; there is {self.seen!r}"
            if select.select([self.master], [], [], 0.1)[0]:
                self.seen += os.read(self.master, 4096).decode()
        found, self.seen = (
            self.seen[: self.seen.index(text) + len(text)],
            self.seen.partition(text)[2],
        )
        return found

    def type(self, keys):
        os.write(self.master, keys.encode())

    def interrupt(self, answer):
        """Presses Ctrl-C, again if it got lost: Python does not see one that arrives while readline
        draws a letter."""
        for _ in range(30):
            self.type("\x03")
            with suppress(AssertionError):
                return self.read_until(answer, seconds=1)
        raise AssertionError(f"{answer!r} did not come; there is {self.seen!r}")

    def status(self):
        """Returns the exit status; the terminal must be as before."""
        status = self.process.wait(30)
        while select.select([self.master], [], [], 0.1)[0]:
            self.seen += os.read(self.master, 4096).decode()
        assert self.termios.tcgetattr(self.slave) == self.before
        return status


LECTURE = ("-m", "tinygrad_edu", "step", "tanh(a*b + c)", "a=2", "b=-3", "c=10")


@pytest.mark.parametrize(
    "keys",
    ["\x04", "q\r", "\x03q\r", "p 1 + \x03q\r", "p 1 + \x03\x03\x04"],
    ids=["ctrl-d", "q", "ctrl-c", "ctrl-c in a line", "ctrl-c twice"],
)
def test_terminal_is_restored_after_a_session(keys):
    with Session(*LECTURE) as session:
        assert "\x1b[1my = tanh(a * b + c): 6 nodes" in session.read_until("(step 0/9) ")
        session.type("n\r")
        assert "v4 = a * b = 2 × (-3) = -6" in session.read_until("(step 1/9) ")
        session.type("\r")
        session.read_until("(step 2/9) ")
        letters, *after = keys.split("\x03")
        session.type(letters)
        if after and letters:
            # When Ctrl-C arrives, the terminal discards letters that nobody has read. Readline,
            # told that there are some, would wait for others and not notice Ctrl-C until they come.
            session.read_until(letters)
        for then in after:
            # the line is cleared, as in pdb, and the shell goes on where it was
            session.interrupt("Ctrl-C clears the line; q leaves")
            session.read_until("(step 2/9) ")
            session.type(then)
        assert session.status() == 0
        assert "Traceback" not in session.seen
        assert session.seen.endswith("\n")


def test_tab_completes_names_with_blanks_and_signs():
    with Session("-m", "tinygrad_edu", "step", "--example", "weight-decay") as session:
        session.read_until("(step 0/105) ")
        session.type("unt\t lambda *\t\r")
        assert "\n\x1b[36mstep 36 of 105, forward" in session.read_until("(step 36/105) ").replace(
            "\x1b[0m", ""
        )
        session.type("p grad(W2[2,1\t) + \x04")
        session.type("1\r")
        assert "1.0\r\n" in session.read_until("(step 36/105) ")
        session.type("q\r")
        assert session.status() == 0


def test_readline_is_restored():
    code = (
        "import readline; from tinygrad_edu import Value; from viz.shell.repl import debug\n"
        "readline.add_history('mine'); readline.set_completer(print); "
        "readline.set_completer_delims('.')\n"
        "debug(Value(1.0, 'x'))\n"
        "print(readline.get_completer_delims(), readline.get_completer() is print, "
        "readline.get_current_history_length())"
    )
    with Session("-c", code) as session:
        for line in ("n\r", "p x\r", "q\r"):
            session.read_until("/1) ")
            session.type(line)
        session.read_until(". True 1\r\n")
        assert session.status() == 0
