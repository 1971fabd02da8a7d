"""What must work if only the wheel is installed: run ``python tests/smoke.py`` in its environment.

Do not run it from the root of a clone, where Python would import the clone's package.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import tinygrad_edu
import viz
from tinygrad_edu import Stepper, Value, data, diagnose, fit, grad, math, nn, optim, parse, record


def main() -> None:
    """Uses each part of the package once, without any extra."""
    checkout = Path(__file__).resolve().parents[1]
    for package in (tinygrad_edu, viz):
        installed = package.__file__
        assert checkout not in Path(installed).parents, f"{installed} is not the wheel"
    a, b = Value(2.0, "a"), Value(-3.0, "b")
    y = math.tanh(a * b + 10)
    y.label = "y"
    y.backward()
    assert grad(lambda a: math.tanh(a * -3.0 + 10))(2.0) == a.grad
    assert parse("a * b", a=2, b=-3).data == -6
    assert viz.draw(y).source.startswith("digraph")
    assert len(Stepper(record(y)).recording) > 5
    flowers = data.iris()
    model = nn.MLP(4, [3], rng=0)
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    history = fit(model, nn.cross_entropy, flowers.X[::10], flowers.y[::10], optimizer=optimizer,
                  epochs=5, record_every=1, rng=0)
    assert history.loss[-1] < history.loss[0]
    assert history.engine == "eager, 5 steps"
    diagnose(history)
    with tempfile.TemporaryDirectory() as folder:
        nn.load(model, nn.save(model, Path(folder) / "model.json", optimizer), optimizer)
        page = viz.playground(Path(folder) / "page.html").read_text(encoding="utf-8")
        assert page.rstrip().endswith("</html>")  # its parts are files of the package
    command = Path(sys.executable).with_name("tinygrad-edu")
    for arguments in (
        ["--version"],
        ["guide", "gradients"],
        ["check", "x**y", "x=2", "y=3"],
        ["step", "a*b", "a=2", "b=3"],
    ):
        subprocess.run([command, *arguments], check=True, input="end\n", text=True,
                       stdout=subprocess.DEVNULL)
    print(f"tinygrad_edu {tinygrad_edu.__version__} works on Python {sys.version.split()[0]}")


if __name__ == "__main__":
    main()
