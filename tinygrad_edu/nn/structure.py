"""Finds modules, layers and neurons from the names of parameters, in a list or in a graph.

    >>> from tinygrad_edu import nn, topological_order
    >>> model = nn.MLP(2, [3, 1], rng=0)
    >>> names = [name for name, _ in model.named_parameters()]
    >>> names[0], module_path(names[0]), layer_of(names[0], neurons_among(names))
    ('layers.0.neurons.0.w.0', 'layers.0.neurons.0', 'layers.0')
    >>> order = topological_order(model([0.5, -1.0]))
    >>> sum(module == "layers.0.neurons.0" for module in find_modules(order).values())
    10

A `Module` labels its parameters with their names; the forward pass records nothing else.
Drawings, histograms of activations and `diagnose` use this module to find the neurons of a graph.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import reduce
from operator import or_

from ..engine.value import Value
from .module import ParameterName

# Primitives that belong to a neuron when they are applied to its sum.
ACTIVATION_ROWS = frozenset({
    "relu", "leaky_relu", "elu", "gelu_erf", "gelu_tanh", "silu", "softplus",
    "softsign", "hardtanh", "sigmoid", "tanh",
})


# ---- names ---------------------------------------------------------------------------------------


def module_path(label: str) -> str:
    """Returns the module that a parameter with this label belongs to, or "" at the top level.

    ``layers.0.neurons.1.w.0`` is entry ``w.0`` of ``layers.0.neurons.1``.
    """
    return ".".join(_steps(label)[:-1])


def enclosing(path: str) -> list[str]:
    """Returns the modules around ``path``, from the outside in, and ``path`` itself.

    For ``layers.0.neurons.1`` they are ``layers.0`` and ``layers.0.neurons.1``.
    """
    steps = _steps(path)
    return [".".join(steps[:i + 1]) for i in range(len(steps))] if path else []


def _steps(path: str) -> list[str]:
    """Splits ``layers.0.neurons.1`` into ``layers.0`` and ``neurons.1``.

    An index belongs to the name before it.
    """
    steps: list[str] = []
    for token in path.split("."):
        if steps and token.isdigit():
            steps[-1] += f".{token}"
        else:
            steps.append(token)
    return steps


def neurons_among(names: Iterable[str]) -> frozenset[str]:
    """Returns the paths of all neurons that own parameters of these names.

    A neuron is a module in a list, and has at most one list of parameters, but no matrix.  Entries
    of a list that the model itself holds are neurons only if the list is called ``neurons``;
    otherwise they are layers.
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
    """Returns the layer of the parameter ``name``.

    It is the innermost module around the parameter or, if that is a neuron, the module around it.
    """
    return layer_path(module_path(name), neurons)


def layer_path(module: str, neurons: frozenset[str]) -> str:
    """Returns the layer that a module is, or is a neuron of."""
    return ".".join(enclosing(module)[-2:-1]) if module in neurons else module


# ---- graphs --------------------------------------------------------------------------------------


def find_modules(order: Sequence[Value]) -> dict[Value, str]:
    """Returns the module of each node that has one, found from the labels of the parameters alone.

    Parameters belong to the module that named them.  Operations are assigned in topological order:

    * An operation on a parameter and another node, ``w * x``, belongs to the parameter's module.
      An operation on parameters alone, as in the penalty ``w * w``, does not.
    * An operation on parts of one module, ``b + w0*x0`` and ``w1*x1``, belongs to it too, if no
      parameter occurs twice.  The module is complete when all its parameters occur; further
      operations on the sum do not belong to it.
    * One activation after a complete sum belongs to the module, if nothing else uses the sum.
      (softplus is also a loss of logits; it counts as an activation only if another module takes it
      as its input.)

    If two models with the same names are in one graph, the modules of the second are in a module
    ``model 2``.

    With inputs that are plain numbers there is ``w * 2.0``, which may also be part of a penalty.
    It is kept only if the sum that it goes into is complete, or has an input that is a Value.
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
    """The state of `find_modules`.

    A set of parameters is a whole number, in which each parameter of a module has its own bit.

    full: all parameters of each module.
    owner: the module of each node that has one.
    covered: the parameters that occur in each node that belongs to a module; a parameter's own bit.
    doubtful: operations that may be part of a penalty.
    inputs: nodes that a module takes as its inputs.
    models: the number of models that have a parameter of each name.
    """

    def __init__(self) -> None:
        self.full: dict[str, int] = {}
        self.owner: dict[Value, str] = {}
        self.covered: dict[Value, int] = {}
        self.doubtful: set[Value] = set()
        self.inputs: set[Value] = set()
        self.models: Counter[str] = Counter()

    def add_parameter(self, node: Value) -> None:
        """Enters a node if it is a leaf that a module has named."""
        if node.op or not isinstance(node.label, ParameterName):
            return
        path = module_path(node.label)
        if not path:
            return
        self.models[node.label] += 1
        if self.models[node.label] > 1:  # another model, whose parameters have the same names
            path = f"model {self.models[node.label]}.{path}"
        before = self.full.get(path, 0)
        self.covered[node] = before + 1
        self.full[path] = before * 2 + 1
        self.owner[node] = path

    def add_operation(self, node: Value) -> None:
        """Assigns an operation to the module of its operands, if it is a part of it."""
        known = [arg for arg in node.args if arg in self.covered]
        parameters = [arg for arg in known if not arg.op]
        paths = {self.owner[arg] for arg in parameters or known}
        if len(paths) != 1:
            return
        (path,) = paths
        shares = {arg: self._share(arg, path) for arg in node.args}
        parts = [arg for arg, share in shares.items() if share and arg.op]
        others = [arg for arg, share in shares.items() if not share and not arg.constant]
        given = [shares[arg] for arg in node.args]
        total = reduce(or_, given)
        some_occur_twice = sum(given) != total
        if some_occur_twice or (others and not parameters):
            return
        if not parts and not others and (len(parameters) != 1 or node.op != "mul"):
            return
        self.owner[node] = path
        self.covered[node] = total
        if others:
            self.inputs.update(others)
        elif total != self.full[path] and self.doubtful.issuperset(parts):
            self.doubtful.add(node)

    def _share(self, arg: Value, path: str) -> int:
        """Returns the parameters of the module in an operand: itself, or those in a part."""
        is_part = self.owner.get(arg) == path and (
            not arg.op or self.covered[arg] != self.full[path]
        )
        return self.covered[arg] if is_part else 0

    def drop_doubtful(self, order: Sequence[Value]) -> None:
        """Removes the doubtful operations that are not operands of certain ones."""
        for node in reversed(order):
            if node in self.doubtful:
                del self.owner[node]
                del self.covered[node]
            elif node in self.covered:
                self.doubtful.difference_update(node.args)

    def add_activations(self, order: Sequence[Value]) -> None:
        """Assigns the activation of each complete sum that has no other user."""
        users: dict[Value, list[Value]] = {
            node: []
            for node, covered in self.covered.items()
            if node.op and covered == self.full[self.owner[node]]
        }
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
        """Assigns the constants among the operands of every assigned operation."""
        for node in list(self.owner):
            self.owner.update((arg, self.owner[node]) for arg in node.args if arg.constant)
