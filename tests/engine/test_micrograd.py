"""Programs written for micrograd, with only their import lines changed.

The programs are here as text, as in micrograd's repository. Each runs twice, on micrograd itself
and on this package. The moons demo takes micrograd three minutes, so its losses are stored in
tests/oracle/micrograd_moons.json. The data that scikit-learn generates for it are stored, too.
"""

import json
import sys
import types

import pytest
from helpers import ROOT

ORIGINAL = "from micrograd.engine import Value\nfrom micrograd.nn import Neuron, Layer, MLP\n"
CHANGED = "from tinygrad_edu import Value\nfrom tinygrad_edu.nn import Neuron, Layer, MLP\n"

# The README's example; the test `test_more_ops` is the same program, `test_sanity_check` the next
# one.
README = """
a = Value(-4.0)
b = Value(2.0)
c = a + b
d = a * b + b**3
c += c + 1
c += 1 + c + (-a)
d += d * 2 + (b + a).relu()
d += 3 * d + (b - a).relu()
e = c - d
f = e**2
g = f / 2.0
g += 10.0 / f
g.backward()
shown = f'{g.data:.4f} {a.grad:.4f} {b.grad:.4f}'
results = [g.data, a.grad, b.grad]
"""
SANITY = """
x = Value(-4.0)
z = 2 * x + 2 + x
q = z.relu() + z * x
h = (z * z).relu()
y = h + q + q * x
y.backward()
results = [y.data, x.grad]
"""
TRAINING = """
import random
random.seed(1337)
model = MLP(3, [4, 4, 2])
xs = [[2.0, 3.0, -1.0], [3.0, -1.0, 0.5], [0.5, 1.0, 1.0], [1.0, 1.0, -1.0]]
ys = [1.0, -1.0, -1.0, 1.0]
results = []
for k in range(20):
    ypred = [model(x)[0] for x in xs]
    loss = sum((yout - ygt)**2 for ygt, yout in zip(ys, ypred)) / len(ys)
    model.zero_grad()
    loss.backward()
    for p in model.parameters():
        p.data += -0.05 * p.grad
    results.append(loss.data)
results += [p.data for p in model.parameters()]
"""
MOONS = """
import random
import numpy as np
from sklearn.datasets import make_moons
np.random.seed(1337)
random.seed(1337)
X, y = make_moons(n_samples=100, noise=0.1)
y = y*2 - 1 # make y be -1 or 1
model = MLP(2, [16, 16, 1]) # 2-layer neural network

def loss(batch_size=None):
    if batch_size is None:
        Xb, yb = X, y
    else:
        ri = np.random.permutation(X.shape[0])[:batch_size]
        Xb, yb = X[ri], y[ri]
    inputs = [list(map(Value, xrow)) for xrow in Xb]
    scores = list(map(model, inputs))
    losses = [(1 + -yi*scorei).relu() for yi, scorei in zip(yb, scores)]
    data_loss = sum(losses) * (1.0 / len(losses))
    alpha = 1e-4
    reg_loss = alpha * sum((p*p for p in model.parameters()))
    total_loss = data_loss + reg_loss
    accuracy = [(yi > 0) == (scorei.data > 0) for yi, scorei in zip(yb, scores)]
    return total_loss, sum(accuracy) / len(accuracy)

results = []
for k in range(STEPS):
    total_loss, acc = loss()
    model.zero_grad()
    total_loss.backward()
    learning_rate = 1.0 - 0.9*k/100
    for p in model.parameters():
        p.data -= learning_rate * p.grad
    results.append(total_loss.data)
"""


def run(imports, program, **names):
    namespace = dict(names)
    exec(compile(imports + program, "program", "exec"), namespace)
    return namespace


@pytest.mark.parametrize("program", [
    README, SANITY, TRAINING,
], ids=["readme", "sanity", "training"])
def test_a_program_gives_the_same_numbers(program):
    theirs, ours = run(ORIGINAL, program)["results"], run(CHANGED, program)["results"]
    assert ours == pytest.approx(theirs, rel=1e-12)


def test_micrograds_readme_example_prints_its_numbers():
    assert run(CHANGED, README)["shown"] == "24.7041 138.8338 645.5773"


def test_the_moons_demo_has_the_same_losses(monkeypatch):
    import numpy as np

    kept = json.loads((ROOT / "tests" / "oracle" / "micrograd_moons.json").read_text())
    datasets = types.ModuleType("sklearn.datasets")
    datasets.make_moons = lambda n_samples, noise: (
        np.array(kept["X"]),
        (np.array(kept["y"]) + 1) // 2,
    )
    monkeypatch.setitem(sys.modules, "sklearn", types.ModuleType("sklearn"))
    monkeypatch.setitem(sys.modules, "sklearn.datasets", datasets)
    steps = 25
    assert run(CHANGED, MOONS, STEPS=steps)["results"] == pytest.approx(
        kept["losses"][:steps], rel=1e-12
    )
