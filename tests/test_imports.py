"""What may import what, and what must be documented: read from the source, not from memory."""

import ast
import json
import sys

import pytest
from helpers import ROOT, run_python

ENGINE = {"primitives", "modes", "anomaly", "value", "graph", "autodiff", "math", "formula", "expressions", "errors"}
# Module of the engine: what it may import of the package; what it may import only for type checkers.
MAY_IMPORT = {
    "errors": (set(), set()),
    "primitives": ({"errors"}, set()),
    "modes": (set(), set()),
    "anomaly": ({"errors"}, {"value"}),
    "graph": ({"modes", "anomaly", "primitives", "errors"}, {"value"}),
    "value": ({"graph", "modes", "anomaly", "primitives", "errors"}, set()),
    "autodiff": ({"graph", "value", "modes", "anomaly", "primitives", "errors"}, set()),
    "math": ({"graph", "value", "modes", "primitives", "errors"}, set()),
    "formula": ({"primitives", "errors"}, set()),
    "expressions": (ENGINE, set()),
}


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {path: path.read_text(encoding="utf-8")
           for package in ("tinygrad_edu", "viz") for path in sorted((ROOT / package).rglob("*.py"))}
every_file = pytest.mark.parametrize("path", list(SOURCES), ids=lambda path: str(path.relative_to(ROOT)))


def imports_of(source, module, is_package=False):
    """``(imported module, how)`` for every import in a source: how is "", "function" or "typing".

    Imports by name, ``import_module("...")``, count when the name is written out.
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
            base = ".".join(package.split(".")[:len(package.split(".")) - node.level + 1]) if node.level else ""
            target = ".".join(filter(None, [base, node.module]))
            # `from . import graph` imports the module graph; `from .graph import f` too.
            found.extend((f"{target}.{alias.name}" if not node.module or target == "tinygrad_edu" else target, how)
                         for alias in node.names)
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in (
                "import_module", "_import_module", "__import__") and node.args and isinstance(node.args[0], ast.Constant):
            name = str(node.args[0].value)
            found.append((package + name if name.startswith(".") else name, how))
        inside = "function" if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) and not how else how
        for part in ast.iter_child_nodes(node):
            visit(part, inside)

    visit(ast.parse(source), "")
    return list(dict.fromkeys(found))


def violations(source, module, is_package=False):
    """THE CHECKER: a sentence for every import that points the wrong way."""
    found = []
    top, _, rest = module.partition(".")
    for imported, how in imports_of(source, module, is_package):
        head, _, tail = imported.partition(".")
        part = tail.partition(".")[0]
        if head == "viz" and top == "tinygrad_edu" and not (module == "tinygrad_edu.cli" and how == "function"):
            found.append(f"{module} imports viz: only the commands of cli may, inside functions")
        if head == "rich" and how == "":
            found.append(f"{module} imports rich at the top: only inside functions, so that the engine starts without it")
        if top == "tinygrad_edu" and rest in ENGINE:
            if head == "tinygrad_edu":
                always, for_types = MAY_IMPORT[rest]
                if part not in always and not (part in for_types and how == "typing"):
                    found.append(f"{module} imports {imported}, which stands above it")
            elif head not in sys.stdlib_module_names:
                found.append(f"{module} imports {imported}: the engine needs the standard library only")
    return found


@every_file
def test_imports_point_one_way(path):
    assert violations(SOURCES[path], module_name(path), path.name == "__init__.py") == []


def test_the_engine_is_all_there():
    assert {path.stem for path in SOURCES if path.parent.name == "tinygrad_edu"} >= ENGINE
    assert imports_of(SOURCES[ROOT / "tinygrad_edu" / "graph.py"], "tinygrad_edu.graph")[-1] == ("tinygrad_edu.value",
        "typing")


@pytest.mark.parametrize(("module", "source"), [
    ("tinygrad_edu.primitives", "from .value import Value"),
    ("tinygrad_edu.primitives", "def f():\n    from .value import Value"),
    ("tinygrad_edu.primitives", "from . import graph"),
    ("tinygrad_edu.primitives", "from tinygrad_edu import graph"),
    ("tinygrad_edu.primitives", "import tinygrad_edu.value"),
    ("tinygrad_edu.primitives", "import numpy as np"),
    ("tinygrad_edu.primitives", "if TYPE_CHECKING:\n    from .value import Value"),
    ("tinygrad_edu.graph", "from .value import Value"),
    ("tinygrad_edu.graph", "def f():\n    from .value import Value"),
    ("tinygrad_edu.graph", "if TYPE_CHECKING:\n    pass\nelse:\n    from .value import Value"),
    ("tinygrad_edu.value", "from .autodiff import grad"),
    ("tinygrad_edu.value", "from . import autodiff, graph"),
    ("tinygrad_edu.autodiff", "from . import math"),
    ("tinygrad_edu.formula", "from .value import Value"),
    ("tinygrad_edu.expressions", "from .nn import MLP"),
    ("tinygrad_edu.math", "try:\n    import mpmath\nexcept ImportError:\n    pass"),
    ("tinygrad_edu.train", "import viz"),
    ("tinygrad_edu.train", "def f():\n    from viz.model import records"),
    ("tinygrad_edu.train", "import importlib\nimportlib.import_module('viz.dot')"),
    ("tinygrad_edu.cli", "import viz"),
    ("tinygrad_edu.cli", "if TYPE_CHECKING:\n    import viz"),
    ("tinygrad_edu.train", "from rich.progress import Progress"),
    ("tinygrad_edu.nn.module", "import rich"),
    ("viz.repl", "import rich"),
])
def test_a_planted_import_is_reported(module, source):
    assert len(violations(source, module)) >= 1


@pytest.mark.parametrize(("module", "source"), [
    ("tinygrad_edu.graph", "if TYPE_CHECKING:\n    from .value import Value"),
    ("tinygrad_edu.value", "from . import graph\nfrom . import primitives as p\nfrom .errors import GraphError"),
    ("tinygrad_edu.cli", "def draw():\n    import viz\n    from rich.console import Console"),
    ("tinygrad_edu.nn.layers", "from .. import math\nfrom ..value import Value\nfrom .module import Module"),
    ("tinygrad_edu.primitives", "import math\nimport collections.abc"),
    ("viz.dot", "import graphviz\nfrom tinygrad_edu import Value"),
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
    assert {"tinygrad_edu", "tinygrad_edu.primitives"} <= loaded
    heavy = {"numpy", "matplotlib", "rich", "viz", "graphviz", "PIL", "llvmlite", "hypothesis", "tinygrad_edu.nn",
             "tinygrad_edu.train", "tinygrad_edu.expressions"}
    assert loaded & heavy == set()


def test_using_the_engine_loads_nothing_heavy():
    done = run_python("""
import sys
from tinygrad_edu import Value, grad, math, parse
from tinygrad_edu.formula import formula
y = parse("tanh(a * b)", a=Value(1.0), b=2)
y.backward()
formula("pow"), grad(math.sin)(1.0)
print(sorted({"numpy", "matplotlib", "rich", "viz"} & set(sys.modules)))
""")
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_public_names_exist_and_unknown_ones_are_refused():
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
    """The names of public functions, classes and methods without a docstring; "module" if the file has none.

    A method may leave its documentation to a class of the same file that it inherits from.
    """
    tree = ast.parse(source)
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    found = [] if not tree.body or ast.get_docstring(tree) else ["module"]

    documented = {(name, part.name) for name, cls in classes.items() for part in cls.body
                  if isinstance(part, ast.FunctionDef) and ast.get_docstring(part)}

    def ancestors(name):
        bases = [base.id for base in classes[name].bases if isinstance(base, ast.Name)] if name in classes else []
        return {*bases, *(ancestor for base in bases for ancestor in ancestors(base))}

    inherited = {part for name, cls in classes.items() for part in cls.body if isinstance(part, ast.FunctionDef)
                 and any((ancestor, part.name) in documented for ancestor in ancestors(name))}

    def visit(body, prefix):
        for node in body:
            if node in inherited:
                continue
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
                overloaded = any("overload" in ast.dump(mark) or "setter" in ast.dump(mark) for mark in node.decorator_list)
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
    source = ('"""A module."""\ndef f():\n    pass\n'
              'class C:\n    """Doc."""\n    def m(self):\n        return 1\n    def _p(self): ...\n')
    assert undocumented(source) == ["f", "C.m"]
    derived = 'class D(C):\n    """Doc."""\n    def m(self): ...\n    def n(self): ...\n'
    assert undocumented(source.replace("return 1", '"""Doc."""') + derived) == ["f", "D.n"]
    assert undocumented(source + derived) == ["f", "C.m", "D.m", "D.n"]
    assert undocumented("x = 1") == ["module"]
    assert undocumented("") == []
