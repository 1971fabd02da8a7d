"""Which module may import which, and what must be documented, read from the source."""

import ast
import json
import sys
from graphlib import CycleError, TopologicalSorter

import pytest
from helpers import ROOT, run_python

ENGINE = "tinygrad_edu.engine"
# For each module of the engine: the modules of the package that it may import.
MAY_IMPORT = {
    "primitive": {"errors"},
    "interpreter": {"errors"},
    "numerics": set(),
    "arrays": {"primitive", "errors"},
    "graph": {"interpreter", "errors"},
    "calls": {"graph", "interpreter", "errors"},
    "copies": {"primitive", "graph"},
    "value": {"arrays", "primitive", "graph", "copies", "calls", "interpreter", "errors"},
    "table": {"primitive", "numerics", "errors"},
    "accumulation": {"primitive", "table", "graph", "value", "interpreter", "errors"},
    "autodiff": {
        "accumulation", "arrays", "table", "graph", "calls", "value", "interpreter", "errors",
    },
    "__init__": {"table", "value"},
}
# Folders and modules of the package, from the lowest layer up. Each may import those below it.
LAYERS = [
    ["errors"],
    ["engine"],
    ["files", "randomness", "math"],
    ["symbolic", "data", "optim"],
    ["nn", "debug"],
    ["testing"],
    ["jit"],
    ["train"],
    ["diagnosis", "examples"],
    ["learn"],
    ["cli"],
    ["__main__"],
]
LAYER_OF = {folder: layer for layer, folders in enumerate(LAYERS) for folder in folders}
# The same for the folders inside a folder; "" stands for the modules that are in no inner folder.
INNER_LAYERS = {
    "tinygrad_edu.jit": [["tape"], ["languages"], ["running"], ["parallel"], [""]],
    "viz": [["drawing", "plotting"], ["training"], ["pages", "animation", "shell"], [""]],
}


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {
    path: path.read_text(encoding="utf-8")
    for package in ("tinygrad_edu", "viz")
    for path in sorted((ROOT / package).rglob("*.py"))
}
every_file = pytest.mark.parametrize(
    "path", list(SOURCES), ids=lambda path: str(path.relative_to(ROOT))
)


def imports_of(source, module, is_package=False):
    """Returns ``(imported module, how)`` for every import in a source; how is "", "function" or
    "typing".

    ``import_module("...")`` counts if the name is a literal.
    """
    package = module if is_package else module.rpartition(".")[0]
    found = []

    def visit(node, how):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            for part in node.body:
                visit(part, "typing")
            for part in node.orelse:
                visit(part, how)
            return
        if isinstance(node, ast.Import):
            found.extend((alias.name, how) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = (
                ".".join(package.split(".")[: len(package.split(".")) - node.level + 1])
                if node.level
                else ""
            )
            target = ".".join(filter(None, [base, node.module]))
            # `from . import graph` imports the module graph; `from .graph import f` too.
            found.extend(
                (
                    f"{target}.{alias.name}"
                    if not node.module or target == "tinygrad_edu"
                    else target,
                    how,
                )
                for alias in node.names
            )
        elif (
            isinstance(node, ast.Call)
            and getattr(node.func, "attr", getattr(node.func, "id", ""))
            in ("import_module", "_import_module", "__import__")
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            name = str(node.args[0].value)
            found.append((package + name if name.startswith(".") else name, how))
        inside = (
            "function"
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) and not how
            else how
        )
        for part in ast.iter_child_nodes(node):
            visit(part, inside)

    visit(ast.parse(source), "")
    return list(dict.fromkeys(found))


def violations(source, module, is_package=False):
    """THE CHECKER: returns a sentence for every import that points the wrong way."""
    found = []
    top, _, rest = module.partition(".")
    for imported, how in imports_of(source, module, is_package):
        head, _, tail = imported.partition(".")
        if (
            head == "viz"
            and top == "tinygrad_edu"
            and not (rest.startswith(("cli.", "learn.")) and how == "function")
        ):
            found.append(f"{module} imports viz: only cli and learn may, inside functions")
        if head == "rich" and how == "":
            found.append(
                f"{module} imports rich at the top: "
                "only inside functions, so that the engine starts without it"
            )
        if top == head == "tinygrad_edu" and rest and tail:
            folder, other = rest.partition(".")[0], tail.partition(".")[0]
            layer = LAYER_OF.get(folder, -1)
            if other in LAYER_OF and folder != other and LAYER_OF[other] >= layer:
                found.append(
                    f"{module} imports {imported}, which is in the same layer or a higher one"
                )
        if module == ENGINE or module.startswith(f"{ENGINE}."):
            found += engine_violations(module, imported)
        for outer, layers in INNER_LAYERS.items():
            found += inner_violations(module, imported, outer, layers)
    return found


def inner_violations(module, imported, outer, layers):
    """Returns the same inside a folder whose inner folders have layers."""
    if not all(f"{name}.".startswith(f"{outer}.") for name in (module, imported)):
        return []
    layer_of = {folder: layer for layer, folders in enumerate(layers) for folder in folders}

    def inner_folder(name):
        first = name.removeprefix(outer).lstrip(".").partition(".")[0]
        return first if first in layer_of else ""

    here = inner_folder(module)
    there = inner_folder(imported)
    if here == there or layer_of[there] < layer_of[here]:
        return []
    return [f"{module} imports {imported}, which is in the same layer of {outer} or a higher one"]


def engine_violations(module, imported):
    """Returns the same inside the engine, where each file may import certain others only."""
    head, _, tail = imported.partition(".")
    if head != "tinygrad_edu":
        is_known = head in sys.stdlib_module_names
        return (
            []
            if is_known
            else [f"{module} imports {imported}: the engine needs the standard library only"]
        )
    part = tail.removeprefix("engine.").partition(".")[0]
    if part in MAY_IMPORT[module.removeprefix(ENGINE).lstrip(".") or "__init__"]:
        return []
    return [f"{module} imports {imported}, which is above it"]


@every_file
def test_imports_point_one_way(path):
    assert violations(SOURCES[path], module_name(path), path.name == "__init__.py") == []


def test_every_module_of_the_engine_and_every_folder_has_a_rule():
    engine = ROOT / "tinygrad_edu" / "engine"
    assert {path.stem for path in SOURCES if path.parent == engine} == set(MAY_IMPORT)
    folders = {path.relative_to(ROOT / "tinygrad_edu").with_suffix("").parts[0] for path in SOURCES
             if path.is_relative_to(ROOT / "tinygrad_edu")}
    assert folders - {"__init__"} == set(LAYER_OF)


@pytest.mark.parametrize("outer", INNER_LAYERS)
def test_every_inner_folder_has_a_layer(outer):
    folder = ROOT.joinpath(*outer.split("."))
    inner = {path.relative_to(folder).parts[0] for path in SOURCES if folder in path.parents[1:]}
    assert inner | {""} == {name for layer in INNER_LAYERS[outer] for name in layer}


def circles(imports):
    """THE CHECKER: a circle of modules that import each other, or an empty list."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_no_module_is_in_an_import_circle():
    modules = {module_name(path): path for path in SOURCES}
    imports = {
        module: {
            imported
            for imported, how in imports_of(SOURCES[path], module, path.name == "__init__.py")
            if how != "function" and imported in modules and imported != module
        }
        for module, path in modules.items()
    }
    assert circles(imports) == []
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}}) != []


@pytest.mark.parametrize(("module", "source"), [
    ("tinygrad_edu.engine.primitive", "from .value import Value"),
    ("tinygrad_edu.engine.primitive", "def f():\n    from .value import Value"),
    ("tinygrad_edu.engine.primitive", "from . import graph"),
    ("tinygrad_edu.engine.primitive", "from tinygrad_edu import graph"),
    ("tinygrad_edu.engine.primitive", "import tinygrad_edu.engine.value"),
    ("tinygrad_edu.engine.primitive", "import numpy as np"),
    ("tinygrad_edu.engine.primitive", "if TYPE_CHECKING:\n    from .value import Value"),
    ("tinygrad_edu.engine.graph", "from .value import Value"),
    ("tinygrad_edu.engine.graph", "def f():\n    from .value import Value"),
    (
        "tinygrad_edu.engine.graph",
        "if TYPE_CHECKING:\n    pass\nelse:\n    from .value import Value",
    ),
    ("tinygrad_edu.engine.value", "from .autodiff import grad"),
    ("tinygrad_edu.engine.value", "from . import autodiff, graph"),
    ("tinygrad_edu.engine.autodiff", "from .. import math"),
    ("tinygrad_edu.math", "from .symbolic import formula"),
    ("tinygrad_edu.symbolic.formulas", "from ..nn import MLP"),
    ("tinygrad_edu.optim.optimizers", "from ..data import moons"),
    ("tinygrad_edu.jit.function", "from ..train import fit"),
    ("tinygrad_edu.jit.tape.tape", "from ...train import fit"),
    ("tinygrad_edu.engine.value", "try:\n    import mpmath\nexcept ImportError:\n    pass"),
    ("tinygrad_edu.train.fitting", "import viz"),
    ("tinygrad_edu.train.fitting", "def f():\n    from viz.drawing.model import records"),
    ("tinygrad_edu.train.fitting", "import importlib\nimportlib.import_module('viz.drawing.dot')"),
    ("tinygrad_edu.cli.graphs", "import viz"),
    ("tinygrad_edu.cli.graphs", "if TYPE_CHECKING:\n    import viz"),
    ("tinygrad_edu.train.fitting", "from rich.progress import Progress"),
    ("tinygrad_edu.nn.module", "import rich"),
    ("viz.shell.repl", "import rich"),
    ("viz.drawing.draw", "from ..pages.page import Page"),
    ("viz.drawing.model", "from ..plotting.ranges import spaced"),
    ("viz.plotting.curves", "def f():\n    from ..drawing.style import FONT"),
    ("viz.plotting.plots", "from .. import notebook"),
    ("viz.animation.animate", "from ..pages import page"),
    ("viz.shell.repl", "from viz.pages.explore import explore"),
    ("viz.pages.training.page", "from ...notebook import register"),
    ("viz.pages.page", "import viz"),
    ("tinygrad_edu.jit.tape.tape", "from ..languages import llvm"),
    ("tinygrad_edu.jit.tape.lowering", "from ..trace import Trace"),
    ("tinygrad_edu.jit.languages.llvm", "if TYPE_CHECKING:\n    from ..running import machine"),
    ("tinygrad_edu.jit.running.backend", "from ..program import Program"),
    ("tinygrad_edu.jit.running.machine", "from tinygrad_edu import jit"),
])
def test_a_planted_import_is_reported(module, source):
    assert len(violations(source, module)) >= 1


@pytest.mark.parametrize(("module", "source"), [
    ("tinygrad_edu.engine.value", "from . import copies, graph\nfrom ..errors import number"),
    (
        "tinygrad_edu.cli.graphs",
        "def draw():\n    import viz\n    from rich.console import Console",
    ),
    (
        "tinygrad_edu.nn.layers",
        "from .. import math\nfrom ..engine.value import Value\nfrom .module import Module",
    ),
    ("tinygrad_edu.engine.primitive", "import math\nimport collections.abc"),
    ("viz.drawing.dot", "import graphviz\nfrom tinygrad_edu import Value"),
    ("viz.drawing.scene", "from .frame import SVG\nfrom .model import Graph"),
    ("viz.pages.training.page", "from ...plotting import ranges\nfrom ..page import Page"),
    ("viz.notebook", "from .drawing.scene import Scene\nfrom .plotting import plots"),
    ("tinygrad_edu.jit.running.machine", "from ..languages import llvm\nfrom ..tape import tape"),
    ("tinygrad_edu.jit.trace", "from .tape.operations import DETACH\nfrom .traced import Traced"),
])
def test_imports_that_point_the_right_way_are_not_reported(module, source):
    assert violations(source, module) == []


def test_relative_imports_are_resolved():
    assert imports_of("from . import a\nfrom ..b import c\nfrom .. import d", "p.q.r") == [
        ("p.q.a", ""), ("p.b", ""), ("p.d", "")]
    assert imports_of("from .module import M", "p.q", is_package=True) == [("p.q.module", "")]


def test_importing_the_package_loads_nothing_heavy():
    done = run_python("import sys, json, tinygrad_edu; print(json.dumps(sorted(sys.modules)))")
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout))
    assert {"tinygrad_edu", "tinygrad_edu.engine.primitive"} <= loaded
    heavy = {
        "numpy",
        "matplotlib",
        "rich",
        "viz",
        "graphviz",
        "PIL",
        "llvmlite",
        "hypothesis",
        "tinygrad_edu.nn",
        "tinygrad_edu.train",
        "tinygrad_edu.symbolic",
    }
    assert loaded & heavy == set()


def test_using_the_engine_loads_nothing_heavy():
    done = run_python("""
import sys
from tinygrad_edu import Value, grad, math, parse
from tinygrad_edu.symbolic import formula
y = parse("tanh(a * b)", a=Value(1.0), b=2)
y.backward()
formula("pow"), grad(math.sin)(1.0)
print(sorted({"numpy", "matplotlib", "rich", "viz"} & set(sys.modules)))
""")
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_a_command_that_does_not_teach_loads_no_lesson_and_nothing_heavy():
    done = run_python("""
import sys
from tinygrad_edu import cli
cli.main(["check", "x * x", "x=2"])
names = {name for name in sys.modules if name.startswith("tinygrad_edu.learn")}
print(sorted(names | {"matplotlib", "viz", "fsrs", "filelock"} & set(sys.modules)))
""")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "[]"), done.stderr


def test_public_names_exist_and_unknown_ones_are_rejected():
    import tinygrad_edu

    assert len(set(tinygrad_edu.__all__)) == len(tinygrad_edu.__all__)
    for name in tinygrad_edu.__all__:
        assert getattr(tinygrad_edu, name) is not None
        assert name in dir(tinygrad_edu)
    with pytest.raises(AttributeError, match="module 'tinygrad_edu' has no attribute 'vlaue'"):
        _ = tinygrad_edu.vlaue
    assert (ROOT / "tinygrad_edu" / "py.typed").exists()


# ---- documentation


def undocumented(source):
    """Returns the names of public functions, classes and methods without a docstring; "module" if
    the file has none.

    A method may inherit its documentation from a base class in the same file.
    """
    tree = ast.parse(source)
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    found = [] if not tree.body or ast.get_docstring(tree) else ["module"]

    documented = {(name, part.name) for name, cls in classes.items() for part in cls.body
                  if isinstance(part, ast.FunctionDef) and ast.get_docstring(part)}

    def ancestors(name):
        bases = (
            [base.id for base in classes[name].bases if isinstance(base, ast.Name)]
            if name in classes
            else []
        )
        return {*bases, *(ancestor for base in bases for ancestor in ancestors(base))}

    inherited = {
        part
        for name, cls in classes.items()
        for part in cls.body
        if isinstance(part, ast.FunctionDef)
        and any((ancestor, part.name) in documented for ancestor in ancestors(name))
    }

    def visit(body, prefix):
        for node in body:
            if node in inherited:
                continue
            if isinstance(
                node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
            ) and not node.name.startswith("_"):
                overloaded = any(
                    "overload" in ast.dump(mark) or "setter" in ast.dump(mark)
                    for mark in node.decorator_list
                )
                if not ast.get_docstring(node) and not overloaded:
                    found.append(prefix + node.name)
                if isinstance(node, ast.ClassDef):
                    visit(node.body, f"{prefix}{node.name}.")

    visit(tree.body, "")
    return found


@every_file
def test_everything_public_is_documented(path):
    assert undocumented(SOURCES[path]) == []


def test_planted_gaps_in_the_documentation_are_reported():
    source = (
        '"""A module."""\ndef f():\n    pass\n'
        'class C:\n    """Doc."""\n    def m(self):\n        return 1\n    def _p(self): ...\n'
    )
    assert undocumented(source) == ["f", "C.m"]
    derived = 'class D(C):\n    """Doc."""\n    def m(self): ...\n    def n(self): ...\n'
    assert undocumented(source.replace("return 1", '"""Doc."""') + derived) == ["f", "D.n"]
    assert undocumented(source + derived) == ["f", "C.m", "D.m", "D.n"]
    assert undocumented("x = 1") == ["module"]
    assert undocumented("") == []
