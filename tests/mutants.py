"""Planted mistakes that a test must catch: the ones that small engines are known for, and some
more.

A mutant is one replacement in one file of the package, and the narrowest tests that must fail
because of it. `run_in_a_copy` plants it in a copy; the real files are never touched.
`tests/project/test_mutants.py` runs them all.

This file imports nothing of the package, because the processes that run the tests must import their
copy.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import resource
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
COPIED = ("tinygrad_edu", "tests", "pyproject.toml")
IGNORED = shutil.ignore_patterns(".hypothesis", ".pytest_cache")


@dataclass(frozen=True)
class Mutant:
    """One planted mistake.

    name     what it does wrong, as a sentence
    file     where, below ``tinygrad_edu/``
    old      the text that gives way; it stands there exactly once
    new      the text in its place
    tests    the ids of tests, one of which must fail
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    @property
    def pattern(self) -> str:
        """Returns the old text as a pattern in which any white space matches any other."""
        body = self.old.strip()
        words = [re.escape(word) for word in re.findall(r"\w+|[^\w\s]", body)]
        closing = [rf",?\s*{word}" if word in (r"\)", r"\]", r"\}") else word for word in words]
        before = self.old[: len(self.old) - len(self.old.lstrip())]
        after = self.old[len(self.old.rstrip()) :]
        return re.escape(before) + r"\s*".join(closing) + re.escape(after)

    def plant(self, root: Path) -> None:
        """Makes the replacement below ``root``; raises LookupError unless the old text occurs
        exactly once."""
        path = root / "tinygrad_edu" / self.file
        source = path.read_text(encoding="utf-8")
        found = re.findall(self.pattern, source)
        if len(found) != 1:
            raise LookupError(
                f"the text that {self.name!r} replaces stands {len(found)} times in {self.file}: "
                f"{self.old!r}"
            )
        mutated = re.sub(self.pattern, lambda _: self.new, source)
        compile(mutated, str(path), "exec")
        for cached in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
            cached.unlink()  # Python compares time and size, and both may be unchanged
        path.write_text(mutated, encoding="utf-8")


@dataclass(frozen=True)
class Outcome:
    """How a run of pytest ended: the exit status, negative if it was killed, and what it printed.
    """

    status: int
    output: str

    @property
    def passed(self) -> bool:
        return self.status == 0

    @property
    def failed(self) -> bool:
        """Returns whether a test failed. An error while tests are collected or set up does not
        count."""
        return (
            self.status == 1
            and re.search(r"^FAILED ", self.output, re.M) is not None
            and "\nERROR " not in self.output
        )


def copy_of(root: Path, to: Path) -> Path:
    """Copies the package and its tests below ``root``, with their compiled files, to a new
    folder."""
    to.mkdir(parents=True)
    for name in COPIED:
        if (root / name).is_dir():
            shutil.copytree(root / name, to / name, ignore=IGNORED)
        else:
            shutil.copy2(root / name, to / name)
    return to


# Each run is forked from a process that has imported the large libraries, which halves the time.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["pytest", "hypothesis", "mpmath", "numpy"])


def run_tests(root: Path, tests: tuple[str, ...]) -> Outcome:
    """Runs tests of a copy, up to the first failure, in a separate process with limits of a minute
    and 4 GB."""
    log = root / "log"
    process = PROCESSES.Process(target=_pytest, args=(root, tests, log))
    process.start()
    process.join()
    return Outcome(process.exitcode, log.read_text(encoding="utf-8"))


def _pytest(root: Path, tests: tuple[str, ...], log: Path) -> None:
    output = os.open(log, os.O_WRONLY | os.O_CREAT)
    os.dup2(output, 1)
    os.dup2(output, 2)
    resource.setrlimit(resource.RLIMIT_CPU, (60, 60))  # a mistake may cause an endless loop
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    os.chdir(root)
    os.environ.update(
        PYTHONPATH=str(root), HYPOTHESIS_PROFILE="mutants", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1"
    )
    sys.path[:] = [
        str(root),
        *[path for path in sys.path if Path(path or ".").resolve() not in (ROOT, ROOT / "tests")],
    ]
    # all other copies use the compiled files of the one without mistakes
    sys.dont_write_bytecode = False
    import pytest
    from hypothesis import HealthCheck, Phase, settings

    # The profile ci without the search for the smallest failing example, which nobody reads here.
    settings.register_profile(
        "mutants",
        max_examples=60,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=HealthCheck,
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
    )
    sys.exit(
        pytest.main(
            ["-x", "-rfE", "--tb=no", "-p", "no:cacheprovider", *[_path_of(test) for test in tests]]
        )
    )


def _path_of(test: str) -> str:
    """Returns the id of a test, given with a file name only, as pytest expects it in the root of
    the copy."""
    name, colons, rest = test.partition("::")
    path, = Path("tests").rglob(name)
    return f"{path}{colons}{rest}"


def run_in_a_copy(mutant: Mutant, clean: Path, to: Path) -> Outcome:
    """Runs the tests of a mutant in a copy of ``clean`` in which it is planted."""
    root = copy_of(clean, to)
    try:
        mutant.plant(root)
        return run_tests(root, mutant.tests)
    finally:
        shutil.rmtree(root)


NAIVE_RECURSION = """\
    def follow(node: Any) -> None:
        for arg, partial in node.edges:
            if partial is not None:
                arg.grad += partial * node.grad
                follow(arg)

    for root in roots:
        follow(root)
    for node in ():
        adjoint = node.grad
"""

RECURSIVE_SEARCH = """\
    def visit(node: Any) -> None:
        (leaves if node._x is None else operations).append(node)
        for arg, partial in node.edges:
            if partial is not None and arg not in seen:
                seen.add(arg)
                visit(arg)

    operations = []
    leaves = []
    for root in waiting:
        visit(root)
    waiting = []
"""

SEEN_BY_DATA = """\
    class ByData(set):
        def __contains__(self, node):
            return any(node.data == other.data for other in self)

    seen: Any = ByData(waiting)
"""

UPDATE = """\
        updated = [
            self.ieee_update(x, g, s, lr, t) for x, g, s in zip(data, grads, states, strict=True)
        ]
"""

UPDATE_ONE_BY_ONE = """\
        updated = []
        for parameter, s in zip(self.params, states, strict=True):
            x, g = float(parameter.data), float(parameter.grad)
            updated.append(self.ieee_update(x, g, s, lr, t))
            parameter.data = updated[-1][0]
"""

TRUTH = "test_accuracy.py::test_value_and_partials_are_within_the_contract_over_the_whole_domain"
SATURATED = "test_accuracy.py::test_digits_survive_where_the_function_saturates"
SPECIAL = "test_primitives.py::test_rows_have_their_documented_special_values"

MUTANTS = [
    # ---- the sweep
    Mutant("a second contribution to an operand replaces the first", "engine/graph.py",
           "node._x.grad += dx * adjoint", "node._x.grad = dx * adjoint",
           ("test_graph.py::test_diamond_gets_both_contributions_before_it_is_visited",)),
    Mutant("a second contribution to a second operand replaces the first", "engine/graph.py",
           "node._y.grad += dy * adjoint", "node._y.grad = dy * adjoint",
           ("test_graph.py::test_diamond_gets_both_contributions_before_it_is_visited",)),
    Mutant("a second contribution to a third operand replaces the first", "engine/graph.py",
           "arg.grad += partial * adjoint", "arg.grad = partial * adjoint",
           ("test_value.py::test_an_operand_in_every_place_gets_every_contribution",)),
    Mutant("a root's seed replaces what has arrived at it", "engine/graph.py",
           "root.grad += seed", "root.grad = seed",
           ("test_graph.py::test_a_leaf_as_root_gets_the_seed_and_accumulates",)),
    Mutant("adjoints of interior nodes are not set back", "engine/graph.py",
           "if any(before[:len(operations)]):", "if False:",
           ("test_graph.py::test_backward_twice_adds_to_leaves_only",)),
    Mutant("leaves are set back too", "engine/graph.py",
           "assign_grads(operations, repeat(0.0))", "assign_grads(nodes, repeat(0.0))",
           ("test_graph.py::test_backward_twice_adds_to_leaves_only",)),
    Mutant(
        "backward follows every edge as soon as something arrives, recursively",
        "engine/graph.py",
        "    for node in operations:\n        adjoint = node.grad\n",
        NAIVE_RECURSION,
        ("test_graph.py::test_diamond_gets_both_contributions_before_it_is_visited",),
    ),
    Mutant("the sweep goes in the order in which nodes were found", "engine/graph.py",
           "operations.sort(key=serial_of, reverse=True)", "pass",
           ("test_graph.py::test_diamond_gets_both_contributions_before_it_is_visited",)),
    Mutant("nodes are found by recursion", "engine/graph.py",
           "    operations = []\n    leaves = []\n", RECURSIVE_SEARCH,
           ("test_math.py::test_norms_of_many_values_do_not_recurse",)),
    Mutant("nodes of equal data are taken for one", "engine/graph.py",
           "    seen = set(waiting)\n", SEEN_BY_DATA,
           ("test_value.py::test_an_operand_in_every_place_gets_every_contribution[nullcontext]",)),
    Mutant("Values are equal when their data are", "engine/value.py",
           "    __hash__ = graph.Node.__hash__\n",
           "    __eq__ = lambda x, y: float(x) == float(y)\n"
           "    __hash__ = lambda x: hash(x.data)\n",
           ("test_value.py::test_equality_and_hash_are_identity",)),
    Mutant("an edge is lost when both operands are one node", "engine/graph.py",
           "if (dy := node._dy) is not None:",
           "if (dy := node._dy) is not None and node._y is not node._x:",
           ("test_value.py::test_an_operand_on_both_sides_makes_two_edges",)),
    Mutant("an edge is lost in gradients() when both operands are one node",
           "engine/accumulation.py",
           "        for arg, partial in edges_of(node):\n            if partial",
           "        for arg, partial in dict(edges_of(node)).items():\n            if partial",
           ("test_autodiff.py::test_gradients_are_graphs_and_leave_grad_unchanged",)),
    Mutant("a constant receives a gradient", "engine/graph.py",
           "assign_grads([leaf for leaf in leaves if leaf.constant], repeat(0.0))", "pass",
           ("test_value.py::test_a_constant_used_as_an_operand_stays_a_constant",)),
    Mutant("an interrupted sweep leaves what it has done", "engine/graph.py",
           "        assign_grads(nodes, before)\n        raise", "        raise",
           ("test_anomaly.py::test_overflow_caused_by_an_accumulated_gradient_is_reported",)),
    Mutant("a graph whose leaves have new data passes for the recorded one",
           "engine/accumulation.py",
           "if _is_other_number(row.forward(*data), node.data):", "if False:",
           ("test_autodiff.py::test_sum_is_stale_even_if_its_partials_are_unchanged",)),
    Mutant("the tangents of two operands are not added", "engine/accumulation.py",
           "sum(terms[1:], terms[0])", "terms[0]",
           ("test_autodiff.py::test_vjp_and_jvp_by_hand",)),

    # ---- derivatives in traced functions
    Mutant("a branch that is not taken adds to an adjoint", "jit/sweeps.py",
           "sweeps.choose(other.condition, total, x)", "total",
           ("test_derivatives.py::test_compiled_derivatives_and_batches_have_the_same_bits",)),
    Mutant("a factor of 1 is a node of its own", "jit/sweeps.py",
           "result = self._gate(self._equal(number, 1.0), other, result)", "pass",
           ("test_derivatives.py::test_sums_of_choices_have_the_order_of_the_eager_engine",)),
    Mutant("rows with pieces have finite derivatives at nan", "jit/sweeps.py",
           "self._equal(result, result) if has_pieces else True", "True",
           ("test_derivatives_of_everything.py::"
            "test_rows_with_pieces_have_the_derivatives_of_the_eager_engine_at_nan",)),
    Mutant("a copy of a node is the node itself", "jit/choosing.py",
           "return trace.again(ref)", "return x",
           ("test_derivatives_of_everything.py::"
            "test_derivatives_of_copies_are_those_of_a_plain_call",)),

    # ---- the table
    *[Mutant(f"a factor of 1 + 1e-6 in {rule}", "engine/table.py", old, new,
             (f"{TRUTH}[{row}]",))
      for rule, row, old, new in (
        ("sin's rule", "sin", "guarded(math.sin), lambda x, o: cos(x)",
         "guarded(math.sin), lambda x, o: 1.000001 * cos(x)"),
        ("the rule of a power by its exponent", "pow",
         "lambda x, y, o: y * pow_lower(x, y), lambda x, y, o: o * log(x)",
         "lambda x, y, o: y * pow_lower(x, y), lambda x, y, o: 1.000001 * o * log(x)"),
        ("div's rule by the divisor", "div", "lambda x, y, o: -(o / y)",
         "lambda x, y, o: -(1.000001 * o / y)"),
        ("softplus' rule", "softplus", "softplus_of, lambda x, o: sigmoid(x)",
         "softplus_of, lambda x, o: 1.000001 * sigmoid(x)"),
        ("atan2's rule by x", "atan2", "lambda y, x, o: -(y / hypot(x, y) / hypot(x, y))",
         "lambda y, x, o: -(1.000001 * y / hypot(x, y) / hypot(x, y))"),
        ("the exponential itself", "exp", 'define("exp", guarded(math.exp)',
         'define("exp", guarded(lambda x: 1.000001 * math.exp(x))'),
    )],
    Mutant("a factor of 1 + 1e-6 in the product that Value writes out", "engine/value.py",
           "            node._dx = other.data\n", "            node._dx = 1.000001 * other.data\n",
           ("test_value.py::"
            "test_operators_equal_their_rows_at_every_pair_of_special_values[mul]",)),
    Mutant("tanh's rule is 1 - tanh**2", "engine/table.py",
           "math.tanh, lambda x, o: sech_squared(x)", "math.tanh, lambda x, o: 1 - square(o)",
           (f"{SATURATED}[tanh-20.0]",)),
    Mutant("sigmoid's rule is s * (1 - s)", "engine/table.py",
           "sigmoid_of, lambda x, o: 0.25 * sech_squared(x / 2)",
           "sigmoid_of, lambda x, o: o * (1 - o)",
           (f"{SATURATED}[sigmoid-40.0]",)),
    Mutant("a tie of maximum is given to the first", "engine/table.py",
           "return where(x > y, 1.0, where(x < y, 0.0, 0.5))",
           "return where(x > y, 1.0, where(x < y, 0.0, 1.0))",
           (f"{SPECIAL}[maximum]",)),
    Mutant("relu'(0) is 1", "engine/table.py",
           "lambda x, o: step(x),", "lambda x, o: where(x >= 0, 1.0, step(x)),",
           (f"{SPECIAL}[relu]",)),
    Mutant("abs'(0) is 1", "engine/table.py",
           "math.fabs, lambda x, o: sign(x)", "math.fabs, lambda x, o: where(x >= 0, 1.0, -1.0)",
           (f"{SPECIAL}[abs]",)),
    Mutant("the gradient of clip stops at a bound", "engine/table.py",
           "where(x > high, 0.0, 1.0)", "where(x >= high, 0.0, 1.0)",
           (f"{SPECIAL}[clip]",)),
    Mutant("clip takes its upper bound from below", "engine/table.py",
           "minimum(maximum(x, low), high)", "maximum(minimum(x, high), low)",
           (f"{TRUTH}[clip]",)),
    Mutant("0**0 has the derivative nan", "engine/table.py",
           "limits=(lambda x, y, o, d: where(abs(y) <= 0, 0.0, d),",
           "limits=(lambda x, y, o, d: nan,",
           (f"{SPECIAL}[pow]",)),
    Mutant("where lets nan of the branch not taken into the gradient", "engine/value.py",
           "if primitive.name == \"where\":", "if False:",
           ("test_value.py::test_where_keeps_nan_of_the_other_branch_out_of_the_gradient",)),
    Mutant("a zero divisor raises as in Python", "engine/numerics.py",
           "return nan if x == 0 or x != x else math.copysign(inf, x) * math.copysign(1.0, y)",
           "raise",
           ("test_value.py::test_arithmetic_follows_ieee_754_and_never_raises",)),

    # ---- optimisers and training
    Mutant("a parameter changes before the next gradient is read", "optim/optimizer.py",
           UPDATE,
           UPDATE_ONE_BY_ONE,
           ("test_optim.py::test_all_gradients_are_read_before_any_parameter_changes",)),
    Mutant("parameters change one by one, so that an error leaves a part of a step",
           "optim/optimizer.py",
           UPDATE,
           UPDATE_ONE_BY_ONE.replace("float(parameter.grad)", "grads[len(updated)]"),
           ("test_optim.py::test_a_rule_that_raises_changes_nothing",)),
    Mutant("all parameters share one momentum", "optim/optimizer.py",
           "slot: [*map(float, column)] for slot",
           "slot: [float(column[-1])] * len(column) for slot",
           ("test_optim.py::"
            "test_optimisers_equal_pytorch_in_every_bit[SGD {'lr': 0.1, 'momentum': 0.9}]",)),
    Mutant("Nesterov's look ahead is left out", "optim/optimizers.py",
           "direction = grad + self.momentum * velocity if self.nesterov else velocity",
           "direction = velocity",
           ("test_optim.py::test_sgd_by_hand",)),
    Mutant("Adam's second mean is not corrected", "optim/optimizers.py",
           "scale = sqrt(mean_square) / (1 - beta2**t) ** 0.5 + self.eps",
           "scale = sqrt(mean_square) + self.eps",
           ("test_optim.py::test_adam_by_hand",)),
    Mutant("AdamW decays through the gradient", "optim/optimizers.py",
           "return data * (1 - lr * self.weight_decay), grad",
           "return data, grad + self.weight_decay * data",
           ("test_optim.py::test_adamw_by_hand",)),
    Mutant("clip_grad_value has no lower bound", "optim/clipping.py",
           "max(min(g, bound), -bound)", "min(g, bound)",
           ("test_optim.py::test_clip_grad_value_limits_each_gradient",)),
    Mutant("fit averages the loss twice", "train/eager.py",
           "total / len(indices) for", "total / len(indices) / len(indices) for",
           ("test_train.py::test_full_batch_step_equals_a_step_by_hand",)),
    Mutant("fit does not average the loss", "train/eager.py",
           "total / len(indices) for", "total for",
           ("test_train.py::test_full_batch_step_equals_a_step_by_hand",)),
    Mutant("fit adds gradients up over the steps", "train/eager.py",
           "        optimizer.zero_grad()\n        assign_grads", "        assign_grads",
           ("test_train.py::test_full_batch_step_equals_a_step_by_hand",)),
    Mutant("the penalty is added for every sample", "train/eager.py",
           "map(add, means, self.penalty())",
           "map(add, means, [len(indices) * x for x in self.penalty()])",
           ("test_train.py::test_the_penalty_is_added_once_a_step",)),
    Mutant("samples are added in one lane", "data/summation.py",
           "self._added % LANES", "0",
           ("test_train.py::test_full_batch_step_equals_a_step_by_hand",)),
    Mutant("zero_grad leaves out the last layer", "nn/module.py",
           "for parameter in self.parameters():", "for parameter in self.parameters()[:-3]:",
           ("test_nn.py::test_zero_grad_reaches_every_layer",)),
    Mutant("an optimiser's zero_grad leaves out the last parameter", "optim/optimizer.py",
           'assign_all(self.params, repeat("grad"), repeat(0.0))',
           'assign_all(self.params[:-1], repeat("grad"), repeat(0.0))',
           ("test_optim.py::test_optimiser_accepts_a_generator_of_parameters",)),
    Mutant("dropout does not scale what it keeps", "nn/layers.py",
           "else 1 / (1 - self.p)", "else 1.0",
           ("test_nn.py::test_dropout_drops_in_training_and_scales_the_rest",)),
    Mutant("a shared parameter is counted twice", "nn/module.py",
           "return [(name, parameter) for parameter, name in first.items()]",
           "return list(_named(self, '', set()))",
           ("test_nn.py::test_existing_label_is_kept_and_a_shared_parameter_counts_once",)),
    Mutant("cross-entropy is computed from the logarithm of the probability", "nn/losses.py",
           'return math.surprisal(xs, _class(target, len(xs), "cross_entropy"))',
           "return -math.log(math.softmax(logits)[int(target)])",
           ("test_nn.py::test_cross_entropy_of_a_sure_prediction_keeps_its_digits",)),
]
