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
from functools import reduce
from operator import or_

from ..engine.value import Value
from .module import ParameterName

# The rows of the table that may follow the sum in a neuron and still be part of it.
ACTIVATION_ROWS = frozenset({
    "relu", "leaky_relu", "elu", "gelu_erf", "gelu_tanh", "silu", "softplus",
    "softsign", "hardtanh", "sigmoid", "tanh",
})


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

    def is_neuron(path: str) -> bool:
        is_list_entry = path.rpartition(".")[2].isdigit()
        is_inside_layer = "neurons." in path or len(enclosing(path)) > 1
        return len(lists[path]) <= 1 and path not in others and is_list_entry and is_inside_layer

    return frozenset(filter(is_neuron, lists))


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
    claims = _Claims()
    for node in order:
        claims.add_parameter(node)
    if not claims.owner:
        return claims.owner
    for node in order:
        claims.add_operation(node)
    claims.drop_doubtful(order)
    claims.add_activations(order)
    claims.add_constants()
    return claims.owner


class _Claims:
    """What `find_modules` knows of a graph.

    Sets of parameters are whole numbers, in which each parameter of a module has its own bit.

    bits       each parameter's bit
    full       all parameters of each module
    owner      the module of each node that has one
    covered    which parameters occur in each operation that was claimed
    doubtful   operations that may be part of a penalty
    inputs     nodes that a module takes as its inputs
    """

    def __init__(self) -> None:
        self.bits: dict[Value, int] = {}
        self.full: dict[str, int] = {}
        self.owner: dict[Value, str] = {}
        self.covered: dict[Value, int] = {}
        self.doubtful: set[Value] = set()
        self.inputs: set[Value] = set()
        self.models: Counter[str] = Counter()  # how many models have a parameter of each name

    def add_parameter(self, node: Value) -> None:
        """Enters a leaf that a module has named."""
        if node.op or not isinstance(node.label, ParameterName):
            return
        path = module_path(node.label)
        if not path:
            return
        self.models[node.label] += 1
        if self.models[node.label] > 1:  # another model, whose parameters have the same names
            path = f"model {self.models[node.label]}.{path}"
        self.bits[node] = self.full.get(path, 0) + 1
        self.full[path] = self.full.get(path, 0) * 2 + 1
        self.owner[node] = path

    def add_operation(self, node: Value) -> None:
        """Claims an operation for the module of its operands, if it is one of its parts."""
        path = self._module_of_operands(node)
        if not path:
            return
        shares = [self._share(arg, path) for arg in node.args]
        parameters = sum(arg in self.bits for arg in node.args)
        parts = [arg for arg, share in zip(node.args, shares) if share and arg not in self.bits]
        others = [arg for arg, share in zip(node.args, shares) if not share and not arg.constant]
        total = reduce(or_, shares, 0)
        some_occur_twice = sum(shares) != total
        if some_occur_twice or (others and not parameters):
            return
        if not parts and not others and (parameters != 1 or node.op != "mul"):
            return
        self.owner[node] = path
        self.covered[node] = total
        if others:
            self.inputs.update(others)
        elif total != self.full[path] and self.doubtful.issuperset(parts):
            self.doubtful.add(node)

    def _module_of_operands(self, node: Value) -> str:
        """Returns the one module of the parameters among the operands, or else of the parts; ""
        if there is none, or more than one."""
        if not node.op:
            return ""
        paths = {self.owner[arg] for arg in node.args if arg in self.bits}
        if not paths:
            paths = {self.owner[arg] for arg in node.args if arg in self.covered}
        return paths.pop() if len(paths) == 1 else ""

    def _share(self, arg: Value, path: str) -> int:
        """Returns which parameters of the module an operand brings: itself, or those in a part."""
        if arg in self.bits:
            return self.bits[arg]
        if self.owner.get(arg) == path and self.covered[arg] != self.full[path]:
            return self.covered[arg]
        return 0

    def drop_doubtful(self, order: Sequence[Value]) -> None:
        """Gives up the doubtful operations that do not go into one that is sure."""
        for node in reversed(order):
            if node not in self.covered:
                continue
            if node in self.doubtful:
                del self.owner[node]
                del self.covered[node]
            else:
                self.doubtful.difference_update(node.args)

    def add_activations(self, order: Sequence[Value]) -> None:
        """Claims the activation of each complete sum that nothing else uses."""
        users: dict[Value, list[Value]] = {}
        for node, covered in self.covered.items():
            if covered == self.full[self.owner[node]]:
                users[node] = []
        for node in order:
            for arg in node.args:
                if arg in users:
                    users[arg].append(node)
        for total, its_users in users.items():
            if len(its_users) == 1 and self._is_activation(its_users[0]):
                self.owner[its_users[0]] = self.owner[total]

    def _is_activation(self, node: Value) -> bool:
        return node.op in ACTIVATION_ROWS and (node.op != "softplus" or node in self.inputs)

    def add_constants(self) -> None:
        """Claims the constants among the operands of every operation that was claimed."""
        for node in [node for node in self.owner if node.op]:
            self.owner.update((arg, self.owner[node]) for arg in node.args if arg.constant)
