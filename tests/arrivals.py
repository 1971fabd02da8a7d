"""What tests send to other processes, and what is computed there from what has arrived.

Workers import this module, so it is small.
"""

import functools
import importlib
import operator
import pickle
import random
import re
import sys
import warnings

from tinygrad_edu import (
    Value,
    data,
    fit,
    grad,
    gradients,
    hessian,
    jacobian,
    jit,
    jvp,
    math,
    nn,
    no_grad,
    optim,
    value_and_grad,
    vjp,
)
from tinygrad_edu.engine.primitive import lookup


def bits(x):
    """Returns what ``x`` consists of, with every bit of its numbers."""
    if isinstance(x, Value):
        return ["Value", x.data.hex(), float(x.grad).hex(), str(x.label), x.op]
    if isinstance(x, float):
        return x.hex()
    if isinstance(x, dict):
        return {str(key): bits(entry) for key, entry in x.items()}
    if isinstance(x, (list, tuple)):
        return [bits(entry) for entry in x]
    if hasattr(x, "tolist"):
        return [type(x).__name__, bits(x.tolist())]
    return re.sub(r" at 0x\w+", "", repr(x))


def flat(x):
    return [x] if isinstance(x, Value) else [leaf for part in x for leaf in flat(part)]


def bits_there(x, use, *args):
    """Returns what ``use`` gives for ``x``, and the pickle of ``x`` as it had arrived."""
    back = pickle.dumps(x)
    return use(x, *args), back


def differentiated(model, *args):
    """Returns the outputs of a model, and its parameters with their gradients."""
    outputs = flat(model(*args))
    sum(outputs, Value(0.0)).backward()
    return bits([outputs, model.named_parameters(), model.training, model])


def stepped(optimizer):
    """Returns parameters, state and learning rate after two more steps."""
    for sign in (1, -1):
        optimizer.zero_grad()
        for i, parameter in enumerate(optimizer.params, 1):
            parameter.grad = sign * 0.3 * i
        optimizer.step()
    return bits([optimizer.params, optimizer.state_dict(), optimizer.lr, optimizer])


def stepped_together(parts):
    """Returns what `stepped` does for an optimiser, and the parameters of the model."""
    model, optimizer = parts["model"], parts["optimizer"]
    assert all(map(operator.is_, model.parameters(), optimizer.params))
    return [stepped(optimizer), bits(model.parameters())]


def called(f, *args):
    return bits(f(*args))


def told(history):
    return [history.to_json(), repr(history), history.training]


def traced_nodes(trace):
    return bits([trace.nodes, trace.parameters])


def parameters_made(make):
    return bits(make().parameters())


def drawn(initialiser):
    return bits(initialiser(2, 3, random.Random(0)))


def run(program, *numbers):
    return bits(program.run(list(numbers)))


def with_gradient(f, *args):
    """Returns value and gradient of a compiled function, and the leaves that it closes over."""
    leaves = program_of(f, *args).trace.parameters
    for leaf in leaves:
        leaf.grad = 0.0  # the function itself may be in this process, with an earlier gradient
    return bits([f.value_and_grad(*args), leaves])


def swept(parts):
    """Returns a graph's derivatives, to the second order."""
    root, *leaves = parts
    root.backward()
    slopes = gradients(root, leaves)
    return bits([root, leaves, slopes, gradients(slopes[0], leaves)])


def swept_once(root):
    """Returns a root and its derivative, for which no row is needed."""
    root.backward()
    return bits([root, root.args[0]])


def second_derivative(root):
    (first,) = gradients(root, [root.args[0]])
    return bits(gradients(first, [root.args[0]]))


def text_and_row(trace):
    """Returns the text of the last operation of a trace, which is a row."""
    return [trace.text(len(trace.nodes) - 1), bits(lookup(trace.nodes[-1][0])(0.5))]


def passed_on(x):
    return x


def import_from(folder, *names):
    """Adds a folder to those from which modules are imported, and imports some."""
    sys.path.append(folder)
    for name in names:
        importlib.import_module(name)


def raising(error):
    raise error


def diverging():
    model = nn.Linear(1, 1, rng=0)
    optimizer = optim.SGD(model.parameters(), lr=1e200)
    fit(model, nn.mse, [[1.0], [2.0]], [[1.0], [2.0]], optimizer=optimizer, epochs=9)


def method(name, x):
    """Returns a method of a number, given the name, as ``x.sin()``."""
    return getattr(x, name)()


# ---- functions, found by their names


def square(x):
    return x * x + math.sin(x)


def product(xs):
    return xs[0] * xs[1] * xs[1]


def pair(xs):
    return [xs[0] * xs[1], math.sin(xs[1])]


def weighted(prediction, target, weight):
    return weight * nn.mse(prediction, target)


def rate(step):
    return 0.1 / (1 + step)


class Rate:
    def __init__(self, first):
        self.first = first

    def __call__(self, step):
        return self.first / (1 + step)


W = Value(0.5, "w")


@jit
def decorated(x):
    return math.sin(x) * x


@jit(static=["n"])
def powers(x, n):
    return sum([x**k for k in range(1, n)], x)


@jit
def closing(x):
    return math.tanh(W * x)


@grad
def slope(x):
    return x**3


@jit
@grad
def compiled_slope(x):
    return x**3


@no_grad()
def without_graph(x):
    return x * x


compiled_loss = jit(nn.mse)


class Table(nn.Module):
    """A model with compiled methods, and with parameters in an array and in a dict."""

    def __init__(self):
        import numpy
        self.w = numpy.array([[Value(0.5), Value(-1.5)], [Value(2.0), Value(0.25)]])
        self.rest = {"scale": Value(3.0), "shift": [Value(-1.0)]}

    def __call__(self, x):
        return (self.w @ x).sum() * self.rest["scale"] + self.rest["shift"][0]

    @jit
    def loss(self, x):
        return self.w[0][0] * x * x + self.rest["scale"]

    def height(self, x):
        return self.rest["scale"].data * x**3

    steepness = grad(height, argnum=1)

    @classmethod
    @jit
    def double(cls, x):
        return 2 * x


class Rounded(nn.Linear):
    """A planted bug: a model whose parameters lose digits on their way."""

    def __setstate__(self, state):
        vars(self).update(state)
        for parameter in self.parameters():
            parameter.data = round(parameter.data, 15)


def compiled_method():
    model = Table()
    model.loss(3.0)
    return model.loss


def program_of(f, *args):
    f(*args)
    return f.programs[-1]


def dropout_in_use():
    dropout = nn.Dropout(0.5, rng=3)
    dropout([1.0, 2.0, 3.0])
    return dropout


def nested():
    first = nn.Sequential(nn.Layer(2, 4, "tanh", rng=1), nn.Dropout(0.5, rng=2))
    return nn.Sequential(first, nn.MLP(4, [3, 2], math.silu, rng=3), nn.softmax)


def graph():
    x, w = Value(0.5, "x"), Value(-1.5, "w")
    y = math.tanh(x * w) + math.where(x > 0, x, w) * w
    y.backward()
    return [y, x, w]


X, Y = data.moons(8, rng=0)


def trained(**options):
    """Returns a model, its optimiser, and the history of three steps."""
    model = nn.MLP(2, [3, 1], rng=0)
    optimizer = optim.Adam(model.parameters(), lr=optim.cosine(0.1, 9))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        history = fit(model, nn.hinge, X, Y, optimizer=optimizer, epochs=3, **options)
    return model, optimizer, history


MODELS = {  # besides the layers: how they are put together
    "nested": (nested, [0.5, -1.0]),
    "activation of another name": (lambda: nn.Layer(2, 3, Value.arctan, rng=0), [0.5, 1.0]),
    "compiled activation": (lambda: nn.Layer(2, 3, decorated, rng=0), [0.5, 1.0]),
    "evaluated": (
        lambda: nn.Sequential(nn.Linear(2, 2, rng=0), nn.Dropout(0.5)).eval(), [1.0, 2.0]),
    "arrays": (Table, [0.5, -1.0]),
}
SCHEDULES = {
    "a number": 0.125,
    "a function": rate,
    "an object": Rate(0.1),
    "a partial": functools.partial(pow, 0.5),
    "warmup of a function": optim.warmup(rate, 2),
    "warmup of a schedule": optim.warmup(optim.cosine(0.1, 5, 0.01), 2),
}
FUNCTIONS = {  # what is sent, and what it is used with
    "decorated": (lambda: decorated, called, 2.0),
    "static": (lambda: powers, called, 2.0, 4),
    "gradient of a leaf": (lambda: closing, with_gradient, 2.0),
    "grad, decorating": (lambda: slope, called, 2.0),
    "jit of grad, decorating": (lambda: compiled_slope, called, 2.0),
    "no_grad, decorating": (lambda: without_graph, called, Value(2.0)),
    "jit": (lambda: jit(square), called, 2.0),
    "jit of a row": (lambda: jit(math.tanh), called, 2.0),
    "jit of a partial": (lambda: jit(functools.partial(weighted, weight=3.0)), called, 1.0, 2.0),
    "jit of jit": (lambda: jit(decorated), called, 2.0),
    "grad": (lambda: grad(square), called, 2.0),
    "grad of grad": (lambda: grad(grad(square)), called, 2.0),
    "grad of jit": (lambda: grad(decorated), called, 2.0),
    "jit of grad": (lambda: jit(grad(square)), called, 2.0),
    "value_and_grad": (lambda: value_and_grad(square), called, 2.0),
    "jacobian": (lambda: jacobian(pair), called, [2.0, 3.0]),
    "hessian": (lambda: hessian(product), called, [2.0, 3.0]),
    "hessian of jit": (lambda: jit(product).hessian, called, [2.0, 3.0]),
    "pullback": (lambda: vjp(square, 3.0)[1], called, 2.0),
    "a partial of jvp": (lambda: functools.partial(jvp, square), called, [2.0], [1.0]),
    "batch": (lambda: decorated.batch, called, [2.0, 3.0]),
    "a compiled method": (compiled_method, with_gradient, 2.0),
    "a compiled class method": (lambda: Table.double, called, 2.0),
    "a method made by grad": (lambda: Table().steepness, called, 2.0),
    "a program": (lambda: program_of(decorated, 2.0), run, 3.0),
    "a program of grad": (lambda: program_of(compiled_slope, 2.0), run, 3.0),
    "a program of a method": (lambda: program_of(Table().loss, 2.0), run, 3.0),
    "a tape": (lambda: decorated.tape(2.0), run, 3.0),
    "a trace": (lambda: program_of(Table().loss, 2.0).trace, traced_nodes),
    "a partial loss": (
        lambda: functools.partial(weighted, weight=3.0), called, Value(1.0), 2.0),
    "a compiled loss": (lambda: compiled_loss, called, Value(1.0), 2.0),
    "dropout in use": (dropout_in_use, called, [1.0, 2.0, 3.0, 4.0]),
    "standardizer": (lambda: data.Standardizer([[1.0, 2.0], [3.0, 5.0]]), called, [[2.0, 2.0]]),
    "initialiser": (
        lambda: functools.partial(nn.Linear, 2, 2, init=nn.normal(0.1), rng=0), parameters_made),
}
