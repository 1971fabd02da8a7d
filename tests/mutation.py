"""Mutation testing: makes every small change of a module, one at a time, and runs its tests.

    python tests/mutation.py engine/table               # all mutants of a module
    python tests/mutation.py nn/layers nn/losses --every 3   # a third, the same one every time

It prints each surviving mutant with its line, and counts them. tests/README.md has the figures. The
mistakes that every run of the suite plants are in `mutants`.

What is changed:

* an operator, to another one of its kind; a comparison, to its neighbour and to its opposite;
  `and` to `or`;
* a number, to the next one; a float, also by one part in a million;
* a truth value, a condition or a sign, to its opposite; a conditional expression, to either side;
* two arguments of a call, to the other order; a statement, to nothing.

What is not changed: docstrings, annotations, `__slots__`, `__repr__`, and the text of errors.

76 mutants are left. None has an observable effect:

* engine/table: a condition, or a limit that is 0, inf or nan, times 1 + 1e-6 (9); pieces that
  are told apart by another number, order or sign (14); the interval that tests draw from (5);
  special values that are equally right (4); two arguments of a symmetric function (4); two
  precedences that differ as before (2); a limit at arguments for which it is not used (3);
  branches that agree where they meet, or that do not occur (6).
* engine/autodiff: x * y for y * x, and "x and y differ" for "y and x differ" (6); constants that
  are read and then skipped (2); a multiplication by 1 (1); a number read in another way (1); a
  depth that is only compared with 0 (1).
* engine/value: a first check whether any mode is on, which only saves time (3); by how much a
  constant precedes its user (1).
* engine/graph (1), nn/module (3), optim (1): how many results of `setattr` a deque keeps, or how
  often an object is repeated in a list that is zipped with a shorter one.
* optim: bounds at which both sides agree (2); two bounds applied in the other order (1).
* symbolic/formulas: precedences above and below all others (2).
* nn: x * w for w * x and (y - x)**2 for (x - y)**2 (2); a random number that is exactly `p` (1);
  white space in a checkpoint (1).
"""

from __future__ import annotations

import argparse
import ast
import copy
import random
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mutants import ROOT, SPECIAL, TRUTH, copy_of, run_tests

# For each module the tests that should fail, the fastest first. A mutant that one group passes goes
# to the next.
TESTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "engine/table": (
        ("test_primitives.py",),
        ("test_math.py", "test_formula.py", "test_oracle.py", "test_value.py"),
        ("test_special_values.py",),
        ("test_accuracy.py",),
    ),
    "symbolic/formulas": (("test_formula.py",), ("test_stepper.py", "test_primitives.py")),
    "engine/value": (
        ("test_value.py",),
        ("test_autodiff.py", "test_oracle.py", "test_graph.py", "test_anomaly.py"),
    ),
    "engine/graph": (
        ("test_value.py", "test_autodiff.py"),
        ("test_graph.py",),
        ("test_anomaly.py",),
    ),
    "engine/accumulation": (
        ("test_autodiff.py",),
        ("test_oracle.py", "test_primitives.py", "test_anomaly.py"),
    ),
    "engine/autodiff": (
        ("test_autodiff.py",),
        ("test_oracle.py", "test_primitives.py", "test_anomaly.py"),
    ),
    "optim/optimizer": (("test_optim.py",), ("test_nn.py", "test_train.py")),
    "nn/module": (("test_nn.py",), ("test_train.py", "test_optim.py")),
    "nn/layers": (("test_nn.py",), ("test_train.py", "test_micrograd.py")),
    "nn/losses": (("test_nn.py",), ("test_train.py",)),
    "nn/init": (("test_nn.py",),),
    "nn/checkpoint": (("test_nn.py",),),
}

OTHER: dict[type[ast.AST], tuple[type[ast.AST], ...]] = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div,),
    ast.Div: (ast.Mult,),
    ast.Pow: (ast.Mult,),
    ast.Mod: (ast.FloorDiv,),
    ast.FloorDiv: (ast.Div,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.And: (ast.Or,),
    ast.Or: (ast.And,),
    ast.Not: (ast.UAdd,),
}
Place = tuple[tuple[str, int | None], ...]
LEFT_ALONE = ("__repr__", "__slots__", "__all__")


@dataclass(frozen=True)
class Change:
    """One small change of a module: a place in its syntax tree, the part there, and its
    replacement."""

    place: Place
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{short(self.old)}  ->  {short(self.new)}"

    def made(self, tree: ast.AST) -> str:
        """Returns the source of the module with this change."""
        put(tree, self.place, self.new)
        try:
            return ast.unparse(ast.fix_missing_locations(tree))
        finally:
            put(tree, self.place, self.old)


def changes(tree: ast.AST) -> Iterator[Change]:
    """Yields all changes of a module."""
    for place in places(tree, ()):
        node = at(tree, place)
        for other in others(node):
            if ast.unparse(other) != ast.unparse(node):
                yield Change(place, node, other)


def places(node: ast.AST, place: Place) -> Iterator[Place]:
    """Yields the path, by field and index, from a node to every part below it that may be
    changed."""
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "type_params", "bases"):
            continue
        for i, part in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if not isinstance(
                part,
                (
                    ast.stmt,
                    ast.expr,
                    ast.excepthandler,
                    ast.comprehension,
                    ast.arguments,
                    ast.keyword,
                    ast.match_case,
                    ast.withitem,
                ),
            ) or is_left_alone(part):
                continue
            step = (*place, (field, i))
            if isinstance(part, (ast.stmt, ast.expr)):
                yield step
            yield from places(part, step)


def is_left_alone(part: ast.AST) -> bool:
    """Returns whether a part of a module is not tested: text, types, messages."""
    if isinstance(part, ast.Expr):
        return isinstance(part.value, ast.Constant)  # a docstring
    if isinstance(
        part, (ast.Import, ast.ImportFrom, ast.Raise, ast.JoinedStr, ast.Pass, ast.Global)
    ):
        return True
    if isinstance(part, ast.FunctionDef):
        return part.name in LEFT_ALONE
    if isinstance(part, ast.AnnAssign):
        return part.value is None
    if isinstance(part, ast.If):
        return "TYPE_CHECKING" in ast.unparse(part.test)
    name = getattr(part.targets[0], "id", "") if isinstance(part, ast.Assign) else ""
    # the latter is the name of a type
    return name in LEFT_ALONE or (name[:1].isupper() and not name.isupper())


def at(tree: ast.AST, place: Place) -> ast.AST:
    for field, i in place:
        part = getattr(tree, field)
        tree = part if i is None else part[i]
    return tree


def put(tree: ast.AST, place: Place, new: ast.AST) -> None:
    field, i = place[-1]
    parent = at(tree, place[:-1])
    if i is None:
        setattr(parent, field, new)
    else:
        getattr(parent, field)[i] = new


def others(node: ast.AST) -> Iterator[ast.AST]:
    """Yields the replacements of a node."""
    def changed(**fields: object) -> Any:
        twin = copy.copy(node)
        for name, value in fields.items():
            setattr(twin, name, value)
        return twin

    match node:
        case ast.BinOp(op=op) | ast.BoolOp(op=op):
            yield from (changed(op=other()) for other in OTHER.get(type(op), ()))
        case ast.Compare(ops=ops):
            yield from (
                changed(ops=[*ops[:i], other(), *ops[i + 1 :]])
                for i, op in enumerate(ops)
                for other in OTHER[type(op)]
            )
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield operand
        case ast.Constant(value=bool(truth)):
            yield ast.Constant(not truth)
        case ast.Constant(value=int(number)):
            yield ast.Constant(number + 1)
        case ast.Constant(value=float(number)):
            yield ast.Constant(number + 1)
            yield ast.Constant(number * (1 + 1e-6))
        case ast.IfExp(body=body, orelse=orelse):
            yield from (body, orelse)
        case ast.If(test=test) | ast.While(test=test):
            yield changed(test=ast.UnaryOp(ast.Not(), test))
        case ast.Call(args=[first, second, *rest]):
            yield changed(args=[second, first, *rest])
        case ast.Lambda(body=body) if not isinstance(body, ast.Constant):
            yield changed(body=ast.BinOp(ast.Constant(1 + 1e-6), ast.Mult(), body))
        case ast.Return(value=value) if value is not None:
            yield ast.Return(ast.Constant(None))
        case (
            ast.Expr()
            | ast.Assign()
            | ast.AugAssign()
            | ast.AnnAssign()
            | ast.Break()
            | ast.Continue()
            | ast.Delete()
        ):
            yield ast.Pass()


def short(node: ast.AST) -> str:
    text = "nothing" if isinstance(node, ast.Pass) else ast.unparse(node).split("\n")[0]
    return text if len(text) <= 90 else text[:87] + "..."


def tests_of_row(tree: Any, change: Change) -> tuple[tuple[str, ...], ...]:
    """Returns the tests of the row of the table that contains the change, if there is one. They run
    first."""
    row = re.search(r"define\('(\w+)'", ast.unparse(at(tree, change.place[:1])))
    return ((f"{TRUTH}[{row[1]}]", f"{SPECIAL}[{row[1]}]"),) if row else ()


def verdict(root: Path, groups: tuple[tuple[str, ...], ...]) -> str:
    """Returns "killed" or "survived" for the mutant in ``root``, or "broken" if it cannot be
    imported."""
    for tests in groups:
        outcome = run_tests(root, tests)
        # a test failed, or was stopped because it took too long
        if outcome.status == 1 or outcome.status < 0:
            return "killed"
        if not outcome.passed:
            return "broken"
    return "survived"


def run(module: str, every: int, root: Path) -> Counter[str]:
    """Runs the mutants of one module and prints the survivors."""
    path = root / "tinygrad_edu" / f"{module}.py"
    source, groups = path.read_text(encoding="utf-8"), TESTS[module]
    start = time.perf_counter()
    for tests in groups:
        if not (outcome := run_tests(root, tests)).passed:
            sys.exit(f"the tests fail without any mutant: {outcome.output}")
    tree = ast.parse(source)
    chosen = list(changes(tree))
    random.Random(0).shuffle(chosen)
    chosen = sorted(chosen[::every], key=lambda change: change.old.lineno)
    counts: Counter[str] = Counter(mutants=len(chosen))
    try:
        for change in chosen:
            path.write_text(change.made(tree), encoding="utf-8")
            for cached in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
                cached.unlink()
            counts[found := verdict(root, (*tests_of_row(tree, change), *groups))] += 1
            if found == "survived":
                print(f"{module}.py:{change.old.lineno}: {change}", flush=True)
    finally:
        path.write_text(source, encoding="utf-8")
    living = counts["mutants"] - counts["broken"]
    print(
        f"{module}: {living} mutants, "
        f"{counts['killed']} killed ({counts['killed'] / living:.1%}), "
        f"{counts['survived']} survived; {counts['broken']} more could not be imported; "
        f"{time.perf_counter() - start:.0f} s",
        flush=True,
    )
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "modules", nargs="*", default=list(TESTS), choices=list(TESTS), metavar="module"
    )
    parser.add_argument(
        "--every", type=int, default=1, help="take one mutant out of so many, spread at random"
    )
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    try:
        for module in options.modules:
            run(module, options.every, copy_of(ROOT, folder / module.replace("/", "-")))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
