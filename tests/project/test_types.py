"""Types that reach the user: a strict program for two type checkers, and the stub of `math`."""

import re
import subprocess
import sys
import textwrap

import pytest
import stubs
from helpers import ROOT, run_python

PROGRAM = '''
import numpy as np
from tinygrad_edu import Value, data, fit, grad, jit, math, nn, optim, value_and_grad, viz

x = Value(2.0, "x")
y: Value = x * math.sin(x) + 1 / x - 3 ** x
y.backward()
slope: float = x.grad
reveal_type(math.sin(x))  # Value
reveal_type(math.sin(0.5))  # float
reveal_type(math.maximum(0.5, x))  # Value
reveal_type(math.maximum(1, 2))  # float
reveal_type(math.total([x, x]))  # Value
reveal_type(math.softmax([0.1, 0.2]))  # list[float]
reveal_type(math.hypot(x, 1.0))  # Value
reveal_type(math.log(8.0, 2.0))  # float
reveal_type(x.tanh())  # Value
reveal_type(x.sin())  # Value
reveal_type(x.item())  # float
reveal_type(x < 3)  # bool


def area(width: float | Value, height: float | Value) -> Value | float:
    return width * height


reveal_type(grad(area))  # (width: float | Value, height: float | Value) -> Any
reveal_type(value_and_grad(area)(1.0, 2.0))  # tuple[Any, Any]
compiled = jit(area)
compiled(1.0, 2.0)
reveal_type(compiled.value_and_grad(1.0, height=2.0))  # tuple[float, Any]
compiled("1.0", 2.0)  # error
grad(area)(1.0, 2.0)
grad(area)("1.0", 2.0)  # error
math.sin("x")  # error
x + "x"  # error

model = nn.MLP(2, [4, 1])
optimizer = optim.SGD(model.parameters(), lr=0.1)
history = fit(model, nn.mse, [[0.0, 1.0]], [1.0], optimizer=optimizer, epochs=1, engine="eager")
losses: list[float] = history.loss
X, y_all = np.zeros((4, 2)), np.zeros(4)
fit(model, nn.mse, X, y_all, optimizer=optimizer, epochs=1)
fit(model, nn.mse, X, [0.0], optimizer=optimizer, epochs=1)
fit(model, nn.mse, {1.0: 2.0}, [0.0], optimizer=optimizer, epochs=1)  # error
train_rows, train_labels, test_rows, test_labels = data.split([[0.5], [1.0]], [1, 0])
reveal_type(train_rows)  # list[list[float]]
reveal_type(test_labels)  # list[int]
reveal_type(data.split(X, y_all))  # tuple[Any, Any, Any, Any]
reveal_type(next(data.batches([[0.5]], [1])))  # tuple[list[list[float]], list[int]]
reveal_type(next(data.batches(X, [1])))  # tuple[Any, Any]
reveal_type(data.Standardiser(X)([[0.5]]))  # list[list[float]]
reveal_type(data.Standardiser(X)(X))  # Any
output: nn.Output = model([0.0, x])
reveal_type(model([0.0, x]))  # Value | list[Value]
reveal_type(nn.Sequential(nn.Layer(2, 3))([0.0, x]))  # Value | list[Value]
reveal_type(nn.Neuron(2, nonlin=False)([0.0, x]))  # Value
reveal_type(nn.Linear(2, 1)([0.0, x]))  # list[Value]
reveal_type(nn.Embedding(2, 1)(0))  # list[Value]
reveal_type(nn.CausalSelfAttention(2, 1)([[0.0, x]]))  # list[list[Value]]
reveal_type(nn.Dropout()(x))  # Value
nn.cross_entropy(model([0.0, x]), 1).backward()
model([0.0, x]) - 1  # error
viz.draw(y)
'''


def expected():
    """For each line of the program, what its comment says of it."""
    lines = enumerate(PROGRAM.splitlines(), 1)
    return {number: line.partition("  # ")[2] for number, line in lines if "  # " in line}


def normal(text):
    """The text of a type, without the names of modules, and in one order."""
    text = re.sub(r"\b(builtins|tinygrad_edu\.[\w.]*|typing)\.", "", text)
    return text.replace("def (", "(").replace("Value | float", "float | Value")


def complaints(printed, pattern, error):
    """What a checker said of each line: the type that it reveals, or "error"."""
    found = {}
    for line in printed.splitlines():
        if (match := re.search(pattern, line)) is not None:
            found[int(match[1])] = normal(match[2])
        elif (match := re.search(error, line)) is not None:
            found[int(match[1])] = "error"
    return found


CHECKERS = {
    "mypy": (
        ["-m", "mypy", "--strict", "--no-incremental"],
        r':(\d+): note: Revealed type is "(.*)"',
        r":(\d+): error",
    ),
    "basedpyright": (
        ["-m", "basedpyright"],
        r':(\d+):\d+ - information: Type of ".*" is "(.*)"',
        r":(\d+):\d+ - error",
    ),
}


@pytest.mark.parametrize("checker", CHECKERS)
def test_strict_program_of_a_user_is_typed(checker, tmp_path):
    arguments, revealed, error = CHECKERS[checker]
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, *arguments, str(path)], capture_output=True, text=True, cwd=ROOT,
        check=False,
    )
    assert complaints(done.stdout, revealed, error) == expected(), done.stdout + done.stderr


def test_stub_of_math_follows_from_the_table():
    assert stubs.STUB.read_text(encoding="utf-8") == stubs.stub(), "run python tests/stubs.py"


def test_stub_of_math_misses_no_name():
    program = textwrap.dedent("""
        import ast, pathlib
        from tinygrad_edu import math
        tree = ast.parse(pathlib.Path(math.__file__).with_suffix(".pyi").read_text())
        names = {getattr(node, "name", None) or ast.unparse(getattr(node, "target", node))
                 for node in tree.body}
        names |= {alias.asname for node in tree.body if isinstance(node, ast.ImportFrom)
                  for alias in node.names}
        print(sorted({*math.__all__} - names))
    """)
    done = run_python(program)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_own_viz_is_found_behind_another_module_of_that_name(tmp_path):
    (tmp_path / "viz.py").write_text("draw = None\n")
    program = textwrap.dedent(f"""
        import sys
        sys.path.insert(0, {str(tmp_path)!r})
        import viz as other
        from tinygrad_edu import Value, viz
        print(other.draw, "digraph" in viz.draw(Value(1.0) * 2).source, viz.__name__)
    """)
    done = run_python(program)
    assert done.stdout.split() == ["None", "True", "tinygrad_edu.viz"], done.stderr
    done = run_python("from tinygrad_edu import viz as own; import viz; print(own is viz)")
    assert done.stdout.strip() == "True", done.stderr
