"""Modules, layers and neurons, found from names alone: those of a list of parameters, or those in a
graph.

    >>> from tinygrad_edu import nn, topological_order
    >>> model = nn.MLP(2, [3, 1], rng=0)
    >>> names = [name for name, _ in model.named_parameters()]
    >>> names[0], module_path(names[0]), layer_of(names[0], neurons_among(names))
    ('layers.0.neurons.0.w.0', 'layers.0.neurons.0', 'layers.0')
    >>> order = topological_order(model([0.5, -1.0]))
    >>> sum(module == "layers.0.neurons.0" for module in find_modules(order).values())
    10

A `Module` labels its parameters with their names, and the forward pass does nothing further.
Whoever wants to know where in a graph the neurons are (a drawing, a histogram of activations,
`diagnose`) finds out here, after the fact.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from ..engine.value import Value
from .module import ParameterName

# The rows of the table that may follow the sum in a neuron and still be part of it.
ACTIVATION_ROWS = frozenset(
    {
        "relu",
        "leaky_relu",
        "tanh",
        "sigmoid",
        "elu",
        "gelu_erf",
        "gelu_tanh",
        "silu",
        "softplus",
        "softsign",
        "hardtanh",
    }
)


# ---- names ---------------------------------------------------------------------------------------


def module_path(label: str) -> str:
    """The module that a parameter with this label belongs to; "" at the top level.

    ``layers.0.neurons.1.w.0`` is entry ``w.0`` of ``layers.0.neurons.1``.
    """
    return ".".join(_steps(label)[:-1])


def enclosing(path: str) -> list[str]:
    """The modules around ``path`` from the outside in, and itself: ``layers.0``,
    ``layers.0.neurons.1``."""
    steps = _steps(path)
    return [".".join(steps[:i + 1]) for i in range(len(steps))] if path else []


def _steps(path: str) -> list[str]:
    """``layers.0.neurons.1`` in steps: ``layers.0`` and ``neurons.1``; an index belongs to the name
    before it."""
    steps: list[str] = []
    for token in path.split("."):
        if steps and token.isdigit():
            steps[-1] += f".{token}"
        else:
            steps.append(token)
    return steps


def neurons_among(names: Iterable[str]) -> frozenset[str]:
    """The paths of all neurons that own parameters of these names.

    A neuron is a module in a list whose parameters are at most one list of weights, and numbers; a
    list that the model itself holds must be called ``neurons``, or its entries are layers.
    """
    lists: dict[str, set[str]] = {}  # of each module: the names of its lists of parameters
    others = set()
    for name in names:
        path = module_path(name)
        entry = name[len(path) + 1:].split(".") if path else [name]
        lists.setdefault(path, set())
        if len(entry) > 2:  # a matrix
            others.add(path)
        elif len(entry) == 2:
            lists[path].add(entry[0])
    return frozenset(
        path
        for path, vectors in lists.items()
        if len(vectors) <= 1
        and path not in others
        and path.rpartition(".")[2].isdigit()
        and ("neurons." in path or len(enclosing(path)) > 1)
    )


def layer_of(name: str, neurons: frozenset[str]) -> str:
    """The layer of the parameter of that name: the innermost module around it, or what holds that,
    if it is a neuron."""
    return layer_path(module_path(name), neurons)


def layer_path(module: str, neurons: frozenset[str]) -> str:
    """The layer that a module is, or is a neuron of."""
    return ".".join(enclosing(module)[-2:-1]) if module in neurons else module


# ---- graphs --------------------------------------------------------------------------------------


def find_modules(order: Sequence[Value]) -> dict[Value, str]:
    """The module of each node that has one, from nothing but the labels of the parameters.

    Parameters belong to the module that named them.  Operations are claimed in order of execution:

    * an operation on a parameter and something that is not one, ``w * x``, belongs to the
      parameter's module.  On parameters alone, as in the penalty ``w * w``, it does not;
    * an operation on parts of one module, ``b + w0*x0`` and ``w1*x1``, belongs to it as well, as
      long as no parameter occurs twice.  When all parameters of the module occur, it is complete,
      and what is done with it further is not the module's;
    * but for one activation, if nothing else uses the sum.  (softplus is also a loss of logits; it
      is an activation only where another module takes it as its input.)

    Where two models with the same names meet in one graph, the modules of the second are in a
    module ``model 2``.

    Inputs that are plain numbers make ``w * 2.0``, which could just as well be part of a penalty.
    It is claimed in the end only if the sum that it goes into became complete, or met an input that
    is a Value.
    """
    bits: dict[Value, int] = {}  # each parameter's bit in the sets of its module
    full: dict[str, int] = {}
    owner: dict[Value, str] = {}
    models: Counter[str] = Counter()
    for node in order:
        if (
            isinstance(node.label, ParameterName)
            and not node.op
            and (path := module_path(node.label))
        ):
            models[node.label] += 1
            if models[node.label] > 1:  # another model, whose parameters have the same names
                path = f"model {models[node.label]}.{path}"
            bits[node] = full.get(path, 0) + 1
            full[path] = full.get(path, 0) * 2 + 1
            owner[node] = path
    if not owner:
        return owner

    # of the operations claimed so far: which parameters occur in them
    covered: dict[Value, int] = {}
    doubtful: set[Value] = set()
    inputs: set[Value] = set()
    for node in order:
        if not node.op:
            continue
        mine = {owner[arg] for arg in node.args if arg in bits}
        if not mine:
            mine = {owner[arg] for arg in node.args if arg in covered}
        if len(mine) != 1:
            continue
        path = mine.pop()
        total, overlap, sure = 0, False, False
        parameters, parts, others = 0, 0, []
        for arg in node.args:
            if arg in bits:
                bit, parameters = bits[arg], parameters + 1
            elif owner.get(arg) == path and covered[arg] != full[path]:
                bit, parts, sure = covered[arg], parts + 1, sure or arg not in doubtful
            else:
                if not arg.constant:
                    others.append(arg)
                continue
            overlap = overlap or bool(total & bit)
            total |= bit
        if overlap or (not parameters and others):
            continue
        if not parts and not others and (parameters != 1 or node.op != "mul"):
            continue
        owner[node], covered[node] = path, total
        if others:
            inputs.update(others)
        elif not sure and total != full[path]:
            doubtful.add(node)

    for node in reversed(order):
        if node in covered:
            if node in doubtful:
                del owner[node], covered[node]
            else:
                doubtful.difference_update(node.args)
    _claim_activations(order, owner, covered, full, inputs)
    for node in [node for node in owner if node.op]:
        owner.update((arg, owner[node]) for arg in node.args if arg.constant)
    return owner


def _claim_activations(
    order: Sequence[Value],
    owner: dict[Value, str],
    covered: dict[Value, int],
    full: dict[str, int],
    inputs: set[Value],
) -> None:
    users: dict[Value, list[Value]] = {
        node: [] for node, mask in covered.items() if mask == full[owner[node]]
    }
    for node in order:
        for arg in node.args:
            if arg in users:
                users[arg].append(node)
    for total, (user, *more) in [
        (node, its_users) for node, its_users in users.items() if its_users
    ]:
        if not more and user.op in ACTIVATION_ROWS and (user.op != "softplus" or user in inputs):
            owner[user] = owner[total]
