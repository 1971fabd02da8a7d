"""One right call of every public function, class and method that takes arguments.

A `Call` has a function and its arguments by name.  `test_messages` replaces one argument at a time.
Arguments that a call may change are made anew each time, so each call is a function that returns
it.
"""

import io
import tempfile
from pathlib import Path

from tinygrad_edu import (
    History,
    Stepper,
    Value,
    backward,
    compare_orders,
    data,
    define,
    diagnose,
    explain_nonfinite,
    fit,
    formula,
    grad,
    gradients,
    hessian,
    jacobian,
    jit,
    jvp,
    math,
    nn,
    optim,
    parse,
    record,
    take,
    topological_order,
    train,
    value_and_grad,
    viz,
    vjp,
)
from tinygrad_edu.engine.primitive import TABLE
from tinygrad_edu.examples import gpt
from tinygrad_edu.testing import gradcheck, gradient_test, suspects
from tinygrad_edu.testing import strategies as drawn

FOLDER = Path(tempfile.mkdtemp(prefix="tinygrad-edu-calls-"))


class Call:
    """A right call: a function and its arguments by name.

    positional: the arguments that are passed by position.
    aliases: what else a message may call an argument, such as "argument 0".
    """

    def __init__(self, function, positional="", aliases=None, **arguments):
        self.function = function
        self.positional = positional.split()
        self.aliases = aliases or {}
        self.arguments = arguments

    def __call__(self, **changed):
        arguments = self.arguments | changed
        args = [arguments.pop(name) for name in self.positional]
        return self.function(*args, **arguments)


def square(x):
    return x * x


def norm(xs):
    return math.sqrt(math.sumprod(xs, xs))


def neuron():
    x, w = Value(2.0, "x"), Value(-3.0, "w")
    y = math.tanh(x * w + 6.5)
    y.label = "y"
    return y


def line_data():
    return [[0.0], [1.0], [2.0], [3.0]], [[1.0], [3.0], [5.0], [7.0]]


def trained(**options):
    X, y = line_data()
    model = nn.Linear(1, 1, rng=0)
    optimizer = optim.SGD(model.parameters(), lr=0.05)
    return fit(model, nn.mse, X, y, optimizer=optimizer, epochs=3, **options)


def quick(seed, lr):
    """Trains for one step."""
    return trained_at(lr)


def trained_at(lr):
    X, y = line_data()
    model = nn.Linear(1, 1, rng=0)
    return fit(model, nn.mse, X, y, optimizer=optim.SGD(model.parameters(), lr=lr), epochs=1)


def swept(**options):
    return train.sweep(quick, {"lr": [0.01, 0.02]}, **options)


def sweep_file():
    path = FOLDER / "rows.jsonl"
    swept(path=path)
    return path


def fit_call():
    X, y = line_data()
    model = nn.Linear(1, 1, rng=0)
    return Call(
        fit, "", {"model": ["prediction"], "metrics": ["metric"]},
        model=model, loss=nn.mse, X=X, y=y,
        optimizer=optim.SGD(model.parameters(), lr=0.05), epochs=2, batch_size=2, rng=0,
        penalty=None, metrics=[nn.mse], engine="eager", max_norm=1.0, on_epoch=None,
        record_every=1,
    )


def checkpoint():
    path = FOLDER / "model.json"
    return nn.save(nn.Linear(2, 1, rng=0), path)


def method(of, name, positional="", aliases=None, **arguments):
    return Call(getattr(of, name), positional, aliases, **arguments)


CALLS = {
    "Value": lambda: Call(Value, data=1.0, label="a"),
    "Value.backward": lambda: method(neuron(), "backward"),
    "Value.pow": lambda: method(Value(2.0), "pow", "y", {"y": ["a number"]}, y=2.0),
    "backward": lambda: Call(
        backward, aliases={"roots": ["root"]}, roots=[neuron()], seeds=[1.0]),
    "compare_orders": lambda: Call(compare_orders, root=neuron()),
    "define": lambda: Call(
        lambda name, forward, partial, **rest: define(name, forward, partial, replace=True, **rest),
        "name forward partial", {"partial": ["partials", "rule"]},
        name="twice_of_tests", forward=lambda x: 2 * x, partial=lambda x, o: 2.0,
        parameters="x",
    ),
    "diagnose": lambda: Call(
        diagnose, "subject", {"subject": ["model"], "X": ["sample"], "y": ["target"]},
        subject=nn.MLP(1, [2, 1], rng=0),
        X=line_data()[0], y=[1.0, 3.0, 5.0, 7.0], loss=nn.mse,
    ),
    "explain_nonfinite": lambda: Call(explain_nonfinite, root=neuron()),
    "fit": fit_call,
    "formula": lambda: Call(formula, primitive="tanh", argument=0),
    "grad": lambda: Call(grad, f=square, argnum=0),
    "grad, called": lambda: Call(
        grad(square), "x", x=2.0),
    "gradients": lambda: Call(
        gradients, aliases={"y": ["root"]}, y=(y := neuron()), xs=[y.edges[0][0]], seeds=1.0),
    "hessian": lambda: Call(hessian, f=norm),
    "hessian, called": lambda: Call(hessian(norm), "xs", {"xs": ["argument"]}, xs=[1.0, 2.0]),
    "jacobian": lambda: Call(jacobian, f=norm),
    "jacobian, called": lambda: Call(jacobian(norm), "xs", {"xs": ["argument"]}, xs=[1.0, 2.0]),
    "jit": lambda: Call(jit, "f", f=square, static=(), cache_size=4),
    "jit, called": lambda: Call(jit(square), "x", x=2.0),
    "jit, value_and_grad": lambda: Call(
        jit(square).value_and_grad, "x", {"x": ["square must return"]}, x=2.0),
    "jit, hessian": lambda: Call(jit(norm).hessian, "xs", xs=[1.0, 2.0]),
    "jit, batch": lambda: Call(
        jit(square).batch, "x", {"x": ["arguments"]}, x=[1.0, 2.0]),
    "jit, batch_value_and_grad": lambda: Call(
        jit(square).batch_value_and_grad, "x", {"x": ["square must return", "arguments"]},
        x=[1.0, 2.0]),
    "jvp": lambda: Call(
        jvp, "f", {"primals": ["argument x"], "f": ["must return"]}, f=square, primals=[2.0],
        tangents=[1.0]),
    "parse": lambda: Call(
        lambda text, variables: parse(text, variables), "text variables",
        {"text": ["expression", "variable"], "variables": ["variable"]},
        text="x + 1", variables={"x": 1.0},
    ),
    "record": lambda: Call(record, root=neuron(), order="topological"),
    "take": lambda: Call(
        take, aliases={"sequence": ["entries", "entry"]}, sequence=[1.0, 2.0], index=1),
    "topological_order": lambda: Call(
        topological_order, "root", {"root": ["roots"]}, root=neuron()),
    "value_and_grad": lambda: Call(value_and_grad, f=square, argnum=0),
    "vjp": lambda: Call(
        lambda f, primal: vjp(f, primal), "f primal",
        {"primal": ["argument x"], "f": ["must return"]}, f=square, primal=2.0,
    ),
    "Stepper": lambda: Call(Stepper, recording=record(neuron())),
    "Stepper.goto": lambda: method(
        Stepper(neuron()), "goto", "position", {"position": ["step"]}, position=2),
    "Stepper.run_to": lambda: method(Stepper(neuron()), "run_to", target="x"),
    "Stepper.stop_at": lambda: method(Stepper(neuron()), "stop_at", target="x"),
    "Stepper.watch": lambda: Call(Stepper(neuron()).watch, name="x"),
    "Stepper.data": lambda: Call(Stepper(neuron()).data, name="x"),
    "Stepper.grad": lambda: Call(Stepper(neuron()).grad, name="x"),
    "Stepper.next": lambda: method(Stepper(neuron()), "next", count=2),
    "Recording, indexed": lambda: method(record(neuron()), "__getitem__", "step", step=2),
    "History": lambda: Call(History, metrics=["accuracy"]),
    "History.load": lambda: Call(History.load, path=trained().save(FOLDER / "history.json")),
    "History.save": lambda: method(trained(), "save", path=FOLDER / "saved.json"),
    "train.sweep": lambda: Call(
        train.sweep, make=quick, grid={"lr": [0.01]}, seeds=[0, 1], executor=None,
        path=FOLDER / "sweep.jsonl", progress=False),
    "train.Sweep": lambda: Call(train.Sweep, rows=swept().rows, interrupted=False),
    "train.Sweep.load": lambda: Call(train.Sweep.load, path=sweep_file()),
    "train.Sweep.best": lambda: method(swept(), "best", by="last_loss", largest=False),
    "train.Sweep.table": lambda: method(swept(), "table", most=1),
    "math.cond, if it holds": lambda: Call(
        lambda then: math.cond(True, then, len), "then", then=lambda: 1.0),
    "math.cond, otherwise": lambda: Call(
        lambda otherwise: math.cond(False, len, otherwise), "otherwise", otherwise=lambda: 1.0),
    # networks
    "nn.MLP": lambda: Call(
        nn.MLP, nin=2, nouts=[3, 1], activation="relu", output="linear", init="uniform", rng=0),
    "nn.MLP, called": lambda: Call(nn.MLP(2, [3, 1], rng=0), "x", x=[1.0, 2.0]),
    "nn.CausalSelfAttention": lambda: Call(
        nn.CausalSelfAttention, width=4, heads=2, init="xavier", rng=0),
    "nn.CausalSelfAttention, called": lambda: Call(
        nn.CausalSelfAttention(2, 1, rng=0), "rows", {"rows": ["row"]},
        rows=[[1.0, 2.0], [0.5, 1.0]]),
    "nn.Dropout": lambda: Call(nn.Dropout, p=0.5, rng=0),
    "nn.Dropout, called": lambda: Call(nn.Dropout(0.5, rng=0), "x", x=[1.0, 2.0]),
    "nn.Embedding": lambda: Call(nn.Embedding, count=3, width=2, init="uniform", rng=0),
    "nn.Embedding, called": lambda: Call(nn.Embedding(3, 2, rng=0), "index", index=1),
    "nn.Layer": lambda: Call(
        nn.Layer, nin=2, nout=3, activation="relu", init="uniform", rng=0),
    "nn.Layer, called": lambda: Call(nn.Layer(2, 3, rng=0), "x", x=[1.0, 2.0]),
    "nn.Linear": lambda: Call(nn.Linear, nin=2, nout=3, init="xavier", rng=0),
    "nn.Linear, called": lambda: Call(nn.Linear(2, 3, rng=0), "x", x=[1.0, 2.0]),
    "nn.Neuron": lambda: Call(nn.Neuron, nin=2, activation="relu", init="uniform", rng=0),
    "nn.Neuron, called": lambda: Call(nn.Neuron(2, rng=0), "x", x=[1.0, 2.0]),
    "nn.RMSNorm": lambda: Call(nn.RMSNorm, width=2, eps=1e-5),
    "nn.RMSNorm, called": lambda: Call(nn.RMSNorm(2), "x", x=[1.0, 2.0]),
    "nn.Sequential": lambda: Call(
        lambda layer: nn.Sequential(layer), "layer", {"layer": ["layers"]},
        layer=nn.Linear(2, 1, rng=0)),
    "nn.Module.load_state_dict": lambda: method(
        nn.Linear(2, 1, rng=0), "load_state_dict", state=nn.Linear(2, 1, rng=0).state_dict()),
    "nn.accuracy": lambda: Call(nn.accuracy, prediction=[0.1, 0.9], target=1),
    "nn.accuracy, of a score": lambda: Call(nn.accuracy, prediction=0.1, target=1),
    "nn.binary_cross_entropy": lambda: Call(nn.binary_cross_entropy, logit=0.5, target=1.0),
    "nn.cross_entropy": lambda: Call(nn.cross_entropy, logits=[0.5, 1.0], target=1),
    "nn.hinge": lambda: Call(nn.hinge, score=0.5, target=1),
    "nn.mse": lambda: Call(nn.mse, prediction=0.5, target=1.0),
    "nn.mse, of lists": lambda: Call(nn.mse, prediction=[0.5, 1.0], target=[1.0, 2.0]),
    "nn.l1": lambda: Call(nn.l1, parameters=[Value(1.0)]),
    "nn.l2": lambda: Call(nn.l2, parameters=[Value(1.0)]),
    "nn.normal": lambda: Call(nn.normal, std=1.0),
    "nn.save": lambda: Call(nn.save, model=nn.Linear(2, 1, rng=0), path=FOLDER / "saved.json",
                            optimizer=None),
    "nn.load": lambda: Call(nn.load, model=nn.Linear(2, 1, rng=0), path=checkpoint(),
                            optimizer=None),
    "nn.softmax": lambda: Call(nn.softmax, xs=[1.0, 2.0]),
    "nn.log_softmax": lambda: Call(nn.log_softmax, xs=[1.0, 2.0]),
    # optimisers
    "optim.SGD": lambda: Call(
        optim.SGD, params=[Value(1.0)], lr=0.1, momentum=0.9, nesterov=False, weight_decay=0.0),
    "optim.Adam": lambda: Call(
        optim.Adam, params=[Value(1.0)], lr=0.1, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0),
    "optim.AdamW": lambda: Call(
        optim.AdamW, params=[Value(1.0)], lr=0.1, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0),
    "optim.RMSprop": lambda: Call(
        optim.RMSprop, params=[Value(1.0)], lr=0.1, alpha=0.9, eps=1e-8, momentum=0.0,
        weight_decay=0.0),
    "optim.Optimizer": lambda: Call(
        optim.Optimizer, params=[Value(1.0)], lr=0.1, slots=("m",), options=()),
    "optim.Optimizer.lr_at": lambda: method(
        optim.SGD([Value(1.0)], 0.1), "lr_at", "step", step=3),
    "optim.Optimizer.load_state_dict": lambda: method(
        optim.SGD([Value(1.0)], 0.1), "load_state_dict", "state",
        state=optim.SGD([Value(1.0)], 0.1).state_dict()),
    "optim.clip_grad_norm": lambda: Call(optim.clip_grad_norm, params=[Value(1.0)], max_norm=1.0),
    "optim.clip_grad_value": lambda: Call(optim.clip_grad_value, params=[Value(1.0)], limit=1.0),
    "optim.cosine": lambda: Call(optim.cosine, lr=0.1, steps=10, final=0.0),
    "optim.linear": lambda: Call(optim.linear, lr=0.1, steps=10, final=0.0),
    "optim.step_decay": lambda: Call(optim.step_decay, lr=0.1, drop=0.1, every=5),
    "optim.warmup": lambda: Call(optim.warmup, schedule=0.1, steps=10),
    # data
    "data.Standardiser": lambda: Call(data.Standardiser, X=[[1.0, 2.0], [2.0, 3.0]]),
    "data.Standardiser, called": lambda: Call(
        data.Standardiser([[1.0, 2.0], [2.0, 3.0]]), "X", X=[[1.0, 2.0]]),
    "data.Standardiser.inverse": lambda: method(
        data.Standardiser([[1.0, 2.0], [2.0, 3.0]]), "inverse", X=[[1.0, 2.0]]),
    "data.batches": lambda: Call(data.batches, X=line_data()[0], y=line_data()[1], size=2, rng=0),
    "data.split": lambda: Call(data.split, X=line_data()[0], y=[0, 0, 1, 1], test=0.5, rng=0),
    "data.blobs": lambda: Call(data.blobs, n=10, noise=0.1, centers=2, rng=0),
    "data.circles": lambda: Call(data.circles, n=10, noise=0.1, factor=0.5, labels=(0, 1), rng=0),
    "data.line": lambda: Call(data.line, n=10, slope=1.0, intercept=0.0, noise=0.1, rng=0),
    "data.moons": lambda: Call(data.moons, n=10, noise=0.1, labels=(0, 1), rng=0),
    "data.spirals": lambda: Call(data.spirals, n=10, noise=0.1, classes=2, turns=1.0, rng=0),
    "data.xor": lambda: Call(data.xor, n=10, noise=0.1, labels=(0, 1), rng=0),
    # instruments
    "testing.gradcheck": lambda: Call(
        gradcheck, aliases={"args": ["argument", "must return"]}, f=square, args=[2.0], order=1,
        rtol=1e-7, parameters=(), names=["x"]),
    "testing.suspects": lambda: Call(suspects, root=neuron(), order=1, rtol=1e-7),
    "testing.gradient_test": lambda: Call(gradient_test, "f", f=square, x=(1.0, 2.0)),
    "testing.strategies.floats_for": lambda: Call(
        drawn.floats_for, primitive="tanh", argument=0, smallest=0.1, largest=10.0),
    "testing.strategies.arguments_for": lambda: Call(
        drawn.arguments_for, primitive="mul", smallest=0.1, largest=10.0),
    "testing.strategies.expressions": lambda: Call(
        drawn.expressions, size=(1, 4), variables=["x", "y"], primitives=["add", "sin"]),
    "testing.strategies.scalar_functions": lambda: Call(drawn.scalar_functions, arity=2, size=3),
    "testing.strategies.leaves": lambda: Call(
        drawn.leaves, smallest=0.1, largest=10.0, label="x"),
    "testing.strategies.floats_between": lambda: Call(drawn.floats_between, low=0.1, high=10.0),
    # pictures
    "viz.Drawing": lambda: Call(viz.Drawing, records=viz.draw(neuron()).records, title="t"),
    "viz.Page": lambda: Call(viz.Page, html="<p>", name="t"),
    "viz.draw, of a list": lambda: Call(viz.draw, y=[neuron(), neuron()]),
    "viz.explore, of a history": lambda: Call(
        viz.explore, "y", {"y": ["Value"]}, y=trained(record_every=1), max_frames=3,
        feature_names=["a"], samples=2),
    "viz.playground": lambda: Call(
        viz.playground, data="xor", samples=50, noise=0.2, layers=[3], rate=0.1, seed=1),
    "viz.plots.derivatives, of two arguments": lambda: Call(
        viz.plots.derivatives, primitive="mul", at={"y": 2.0}, resolution=5),
    "viz.plots.decision_boundary, of two features": lambda: Call(
        viz.plots.decision_boundary, model=nn.MLP(2, [2, 2], rng=0), X=[[0.0, 1.0], [1.0, 0.0]],
        y=[0, 1], features=(0, 1), resolution=5, feature_names=["a", "b"],
        class_names=["c", "d"]),
    "viz.draw": lambda: Call(
        viz.draw, y=neuron(), collapse=None, max_nodes=300, expand=(), title="a neuron"),
    "viz.Drawing.save": lambda: method(viz.draw(neuron()), "save", path=FOLDER / "graph.dot"),
    "viz.explore": lambda: Call(viz.explore, y=neuron(), path=FOLDER / "page.html"),
    "viz.animate": lambda: Call(
        viz.animate, "recording path", recording=Value(1.0) * 2, path=FOLDER / "film.gif",
        max_nodes=300, milliseconds=800, scale=1.0),
    "viz.debug": lambda: Call(viz.debug, "y", y=neuron(), stdin=io.StringIO("q\n"),
                              stdout=io.StringIO()),
    "viz.plots.loss": lambda: Call(viz.plots.loss, history=trained()),
    "viz.plots.sweep": lambda: Call(viz.plots.sweep, sweep=swept(), x="lr", y="last_loss"),
    "viz.plots.derivatives": lambda: Call(
        viz.plots.derivatives, primitive="tanh", vary="x", over=(-1.0, 1.0), order=1,
        resolution=9),
    "viz.plots.loss_surface": lambda: Call(
        viz.plots.loss_surface, loss=(pair := [Value(1.0), Value(2.0)]) and (
            lambda: pair[0] * pair[1]), p=pair[0], q=pair[1], path=[(1.0, 2.0)],
        ranges=((0.0, 1.0), (0.0, 1.0)), resolution=4),
    "viz.plots.gradient_flow": lambda: Call(
        viz.plots.gradient_flow, model=nn.MLP(1, [2, 1], rng=0), X=line_data()[0]),
    "viz.plots.activation_histograms": lambda: Call(
        viz.plots.activation_histograms, model=nn.MLP(1, [2, 1], rng=0), X=line_data()[0], bins=5),
    "viz.plots.decision_boundary": lambda: Call(
        viz.plots.decision_boundary, model=nn.MLP(1, [2, 1], rng=0), X=line_data()[0],
        y=[0, 0, 1, 1], features=0, resolution=5, margin=0.1),
    # the GPT
    "gpt.GPT": lambda: Call(
        gpt.GPT, vocabulary=3, width=4, heads=2, layers=1, block=4, rng=0),
    "gpt.Vocabulary": lambda: Call(gpt.Vocabulary, documents=["ab", "ba"]),
    "gpt.documents": lambda: Call(gpt.documents, path=None),
    "gpt.sequences": lambda: Call(
        gpt.sequences, documents=["ab"], vocabulary=gpt.Vocabulary(["ab"]), count=1, block=4),
    "gpt.sample": lambda: Call(
        gpt.sample, model=gpt.GPT(3, 2, 1, 1, 4, rng=0), vocabulary=gpt.Vocabulary(["ab"]),
        temperature=1.0, rng=0),
    "gpt.train": lambda: Call(
        gpt.train, model=gpt.GPT(3, 2, 1, 1, 4, rng=0), vocabulary=gpt.Vocabulary(["ab"]),
        documents=["ab"], steps=1),
}

# the functions of math that are rows of the table, with arguments between 0 and 1
for _row in TABLE.values():
    if hasattr(math, _row.name) and _row.name in dir(math):
        CALLS[f"math.{_row.name}"] = lambda row=_row: Call(
            getattr(math, row.name), " ".join(row.parameters),
            **dict.fromkeys(row.parameters, 0.5),
        )
for _name, _arguments in {
    **{name: {"x": 0.5} for name in ("absolute", "degrees", "fabs", "gelu", "modf", "radians")},
    "isclose": {"a": 0.5, "b": 1.0}, "isfinite": {"x": 0.5}, "isinf": {"x": 0.5},
    "isnan": {"x": 0.5},
    "softmax": {"xs": [1.0, 2.0]},
    "log_softmax": {"xs": [1.0, 2.0]},
    "logsumexp": {"xs": [1.0, 2.0]},
    "fsum": {"xs": [1.0, 2.0]},
    "prod": {"xs": [1.0, 2.0]},
    "norm": {"xs": [1.0, 2.0]},
    "sumprod": {"xs": [1.0, 2.0], "ys": [1.0, 2.0]},
    "dist": {"p": [1.0, 2.0], "q": [1.0, 2.0]},
    "total": {"xs": [1.0, 2.0]},
}.items():
    CALLS[f"math.{_name}"] = lambda name=_name, arguments=_arguments: Call(
        getattr(math, name), " ".join(arguments), **arguments)
