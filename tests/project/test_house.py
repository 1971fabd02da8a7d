"""The house rules that a test can check: sizes, folders, private names, one assignment a statement,
and phrases that sound translated."""

import ast
import io
import re
import tokenize

import pytest
from helpers import ROOT

MAX_LINE = 100
MAX_FILE = 500
MAX_FUNCTION = 60  # lines, without the docstring
MAX_LEVELS = 4
MAX_FOLDER = 12
MAX_ROOT_MODULES = 6
TABLE = ROOT / "tinygrad_edu" / "engine" / "table.py"  # data, which may be longer
SUFFIXES = (".py", ".js", ".css", ".html")

PACKAGES = {
    path: path.read_text(encoding="utf-8")
    for package in ("tinygrad_edu", "viz")
    for path in sorted((ROOT / package).rglob("*.py"))
}
PAGES = {
    path: path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "viz").rglob("*"))
    if path.suffix in (".js", ".css", ".html")
}
GUIDES = {
    path: path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "tinygrad_edu").rglob("*.md"))
}
every_file = pytest.mark.parametrize(
    "path", list(PACKAGES), ids=lambda path: str(path.relative_to(ROOT))
)

BLOCKS = (ast.For, ast.AsyncFor, ast.While, ast.If, ast.Try, ast.With, ast.AsyncWith, ast.Match)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def levels(node, depth=0):
    """Returns how deep blocks are nested in a function; an elif is on the level of its if."""
    deepest = depth
    for part in ast.iter_child_nodes(node):
        if isinstance(part, (*FUNCTIONS, ast.ClassDef, ast.Lambda)):
            continue
        is_elif = isinstance(node, ast.If) and node.orelse == [part] and isinstance(part, ast.If)
        deepest = max(deepest, levels(part, depth + (isinstance(part, BLOCKS) and not is_elif)))
    return deepest


def too_long(source, max_file=MAX_FILE):
    """A sentence for a file that is too long, and for every line that is."""
    lines = source.splitlines()
    if len(lines) > max_file:
        yield f"the file has {len(lines)} lines; split it by subject, at most {max_file}"
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_LINE:
            yield f"line {number} has {len(line)} characters; at most {MAX_LINE}"


def oversized(source, max_file=MAX_FILE):
    """THE CHECKER: a sentence for every line, file, function and expression that is too large."""
    yield from too_long(source, max_file)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, FUNCTIONS):
            docstring = (ast.get_docstring(node) or "").splitlines()
            size = node.end_lineno - node.lineno + 1 - len(docstring)
            if size > MAX_FUNCTION:
                yield f"{node.name} has {size} lines; there is a second thing in it"
            if (depth := levels(node)) > MAX_LEVELS:
                yield f"{node.name} is {depth} levels deep; at most {MAX_LEVELS}"
        if isinstance(node, ast.IfExp) and any(
            isinstance(part, ast.IfExp)
            for side in ast.iter_child_nodes(node)
            for part in ast.walk(side)
        ):
            yield (
                f"line {node.lineno} has a nested conditional expression; "
                "return early, or use a table"
            )


@every_file
def test_files_functions_and_lines_are_small(path):
    assert list(oversized(PACKAGES[path], max_file=5_000 if path == TABLE else MAX_FILE)) == []


def test_scripts_styles_and_bodies_of_pages_have_short_lines():
    assert {".js", ".css", ".html"} == {path.suffix for path in PAGES}
    found = {str(path.relative_to(ROOT)): list(too_long(text)) for path, text in PAGES.items()}
    assert {path: sentences for path, sentences in found.items() if sentences} == {}


def without_tables(markdown):
    """Returns a page without the rows of its tables, which Markdown cannot break."""
    return "".join(f"{line}\n" for line in markdown.splitlines() if not line.startswith("|"))


def test_guides_and_the_project_file_have_short_lines():
    pages = {path: without_tables(text) for path, text in GUIDES.items()}
    pages[ROOT / "pyproject.toml"] = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert len(pages) >= 6
    found = {path.name: list(too_long(text)) for path, text in pages.items()}
    assert {name: sentences for name, sentences in found.items() if sentences} == {}


def test_a_planted_long_line_of_a_guide_is_reported_and_a_table_is_not():
    word = "a" * 101
    assert list(too_long(without_tables(f"# Title\n\n| {word} |\n"))) == []
    for page in (f"# Title\n{word}\n", f"```sh\n{word}\n```\n", f"* {word} |\n"):
        assert len(list(too_long(without_tables(page)))) == 1


@pytest.mark.parametrize("source", ["x()\n" * 501, f"/* {'a' * 95} */\n"])
def test_a_planted_long_script_is_reported(source):
    assert len(list(too_long(source))) == 1


@pytest.mark.parametrize(("source", "message"), [
    ("x = 1\n" * 501, "501 lines"),
    (f"x = '{'a' * 100}'\n", "line 1 has 106 characters"),
    ("def f():\n    '''Doc.'''\n" + "    x = 1\n" * 60, "f has 61 lines"),
    ("def f():\n" + "".join("    " * i + "if x:\n" for i in range(1, 6)) + "    " * 6 + "y\n",
     "f is 5 levels deep"),
    ("x = 1 if a else 2 if b else 3\n", "line 1 has a nested conditional expression"),
    ("x = (1 if a else 2) if b else 3\n", "line 1 has a nested conditional expression"),
    ("x = 1 if [2 if a else 3] else 4\n", "line 1 has a nested conditional expression"),
])
def test_a_planted_excess_is_reported(source, message):
    found = list(oversized(source))
    assert any(message in sentence for sentence in found), found


@pytest.mark.parametrize("source", [
    "x = 1\n" * 500,
    "def f():\n    '''Doc.\n" + "    more\n" * 30 + "    '''\n" + "    x = 1\n" * 57,
    "def f():\n    if a:\n        x\n" + "    elif b:\n        x\n" * 9,
    "x = [1 if a else 2, 3 if b else 4]\n",
])
def test_small_source_is_not_reported(source):
    assert list(oversized(source)) == []


def test_folders_hold_at_most_twelve_files():
    folders = {}
    for package in ("tinygrad_edu", "viz"):
        for path in (ROOT / package).rglob("*"):
            if path.suffix in SUFFIXES and "gallery" not in path.parts:
                folders.setdefault(path.parent, []).append(path.name)
    assert {
        str(folder): len(names) for folder, names in folders.items() if len(names) > MAX_FOLDER
    } == {}
    root = [path.name for path in (ROOT / "tinygrad_edu").glob("*.py")]
    assert len(root) <= MAX_ROOT_MODULES, root


def test_init_files_contain_only_names_and_a_docstring():
    """Callable modules and lazy names are the exceptions."""
    for path, source in PACKAGES.items():
        if path.name != "__init__.py":
            continue
        tree = ast.parse(source)
        assert ast.get_docstring(tree), path
        classes = [node.name for node in tree.body if isinstance(node, (*FUNCTIONS, ast.ClassDef))]
        assert set(classes) <= {"__getattr__", "__dir__", "_CallableModule"}, path


# ---- private names

NAMED_TUPLE = {"_asdict", "_fields", "_make", "_replace"}  # public, in spite of their names


def is_private(name):
    is_special = name.startswith("__") and name.endswith("__")
    is_display = name.startswith("_repr_")  # what IPython calls
    return name.startswith("_") and not (is_special or is_display or name in NAMED_TUPLE)


def imported_names(source, module, is_package=False):
    """Yields ``(folder or module, name, bound name)`` for every name that a file imports from
    another folder of the project."""
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ImportFrom):
            continue
        base = package[: len(package) - node.level + 1] if node.level else []
        target = [*base, *(node.module or "").split(".")] if node.module else base
        is_ours = target[:1] in (["tinygrad_edu"], ["viz"])
        if is_ours and target[:-1] != package and target != package:
            for alias in node.names:
                yield ".".join(target), alias.name, alias.asname or alias.name


def private_imports(source, module, is_package=False):
    """Yields the private names that a file imports from another folder."""
    for target, name, _ in imported_names(source, module, is_package):
        if is_private(name):
            yield f"{module} imports {name} of {target}"


def defined_names(source):
    """Returns the names that a file defines: functions, classes, variables, slots and attributes
    of ``self`` or ``cls``."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
                names.add(node.attr)
        elif isinstance(node, ast.Assign) and "__slots__" in map(ast.unparse, node.targets):
            slots = ast.walk(node.value)
            names.update(slot.value for slot in slots if isinstance(slot, ast.Constant))
    return names


def looked_up(node):
    """Returns the object and the name of an attribute, also of ``getattr(x, "name")``."""
    if isinstance(node, ast.Attribute):
        return node.value, node.attr
    is_call = isinstance(node, ast.Call) and len(node.args) >= 2
    if is_call and ast.unparse(node.func) in ("getattr", "hasattr", "setattr", "delattr"):
        name = node.args[1]
        if isinstance(name, ast.Constant):
            return node.args[0], name.value
    return None, ""


def private_attributes(source, module, folder, is_package=False):
    """Yields the private attributes that a file uses, but that belong to another folder.

    ``folder`` has the names that the files of the file's own folder define.  An attribute of
    something that is imported from another folder belongs to that folder in any case, unless a
    variable of the file has the same name.
    """
    foreign = {bound for _, _, bound in imported_names(source, module, is_package)}
    foreign -= defined_names(source)
    for node in ast.walk(ast.parse(source)):
        owner, name = looked_up(node)
        if owner is None or not is_private(name) or ast.unparse(node) == "sys._getframe":
            continue
        is_foreign = isinstance(owner, ast.Name) and owner.id in foreign
        if is_foreign or name not in folder:
            yield f"{module}, line {node.lineno}, uses {ast.unparse(node)}"


FOLDERS = {}
for _path, _source in PACKAGES.items():
    FOLDERS.setdefault(_path.parent, set()).update(defined_names(_source))


@every_file
def test_private_names_stay_in_their_folder(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    is_package = parts[-1] == "__init__"
    module = ".".join(parts[:-1] if is_package else parts)
    assert list(private_imports(PACKAGES[path], module, is_package)) == []
    assert list(
        private_attributes(PACKAGES[path], module, FOLDERS[path.parent], is_package)
    ) == []


def test_a_planted_private_import_is_reported():
    found = private_imports(
        "from ..optim.parameters import _numbers\nfrom .b import _c\n", "tinygrad_edu.train.a"
    )
    assert list(found) == ["tinygrad_edu.train.a imports _numbers of tinygrad_edu.optim.parameters"]


@pytest.mark.parametrize("source", [
    "optimizer._state",
    "optimizer._state = []",
    "optimizer.inner._state.clear()",
    "getattr(optimizer, '_state')",
    "setattr(optimizer, '_state', [])",
    "self.__state",
    "os._exit(1)",
    "from ..optim import parameters\nparameters._own",
    "from ..optim.optimizer import Optimizer as Base\nBase._own(x)",
])
def test_a_planted_private_attribute_is_reported(source):
    assert len(list(private_attributes(source, "tinygrad_edu.train.a", {"_own"}))) == 1


@pytest.mark.parametrize("source", [
    "x._own",
    "self._own = 1",
    "from . import rule\nrule._own",
    "from .rule import Rule\nRule._own",
    "from ..engine import value\nfor value in values: value._own = 1",
    "sys._getframe(1)",
    "point._replace(x=1)._asdict()",
    "x._repr_html_()",
    "x.__class__",
])
def test_a_private_attribute_of_the_folder_is_not_reported(source):
    assert list(private_attributes(source, "tinygrad_edu.train.a", {"_own"})) == []


def test_names_that_a_file_defines_are_found():
    source = (
        "_TABLE: dict = {}\n_cache = None\ndef _f(): ...\nclass _C:\n"
        "    __slots__ = ('_slot',)\n    _shared = 1\n    _typed: int\n"
        "    def _m(self):\n        self._set, other._foreign = 1, 2\n        return x._used\n"
    )
    private = {name for name in defined_names(source) if is_private(name)}
    assert private == {
        "_TABLE", "_cache", "_f", "_C", "_slot", "_shared", "_typed", "_m", "_set"
    }


# ---- statements

MAX_ASSIGNED = 2  # a pair that belongs together; three or more are a statement each
# For a file: the targets that belong together, or the comprehension with an assignment.
EXCEPTIONS = {
    "tinygrad_edu/examples/lectures.py": "a, b, c, f",  # the leaves of one expression
    "tinygrad_edu/testing/gradcheck.py": "best, error, last",  # one estimate, also returned so
    "tinygrad_edu/jit/tape/tape.py": "starts, operands, table",  # attributes under local names
}


def crowded(source, exception=""):
    """THE CHECKER: a sentence for every assignment of three or more things, and for every
    assignment inside a comprehension, except one.

    Unpacking one value is not reported.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign) and isinstance(node.value, (ast.Tuple, ast.List)):
            for target in node.targets:
                if (
                    isinstance(target, (ast.Tuple, ast.List))
                    and len(target.elts) > MAX_ASSIGNED
                    and ast.unparse(target).strip("()[]") != exception
                ):
                    yield f"line {node.lineno} assigns {len(target.elts)} things; one a statement"
        if (
            isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp))
            and any(isinstance(part, ast.NamedExpr) for part in ast.walk(node))
            and ast.unparse(node) != exception
        ):
            yield f"line {node.lineno} assigns inside a comprehension; write a loop"


@every_file
def test_statements_assign_one_thing(path):
    exception = EXCEPTIONS.get(path.relative_to(ROOT).as_posix(), "")
    assert list(crowded(PACKAGES[path], exception)) == []


@pytest.mark.parametrize("source", [
    "a, b, c = 1, x, f()",
    "self.a, self.b, self.c = a, b, c",
    "[a, b, c] = [1, 2, 3]",
    "d = a, b, c = 1, 2, 3",
    "[y for x in xs if (y := f(x))]",
    "{x: y for x in xs if (y := f(x))}",
    "any((y := x) > 0 for x in xs)",
])
def test_a_planted_crowded_assignment_is_reported(source):
    assert len(list(crowded(source))) == 1


@pytest.mark.parametrize("source", [
    "a, b = b, a",
    "a, b, c = f()",
    "a, *b, c = xs",
    "for a, b, c in rows: pass",
    "abc = 1, 2, 3",
    "if (y := f(x)): z = [y for _ in xs]",
])
def test_plain_assignments_are_not_reported(source):
    assert list(crowded(source)) == []
    assert list(crowded("best, error, last = 1, 2, 3", "best, error, last")) == []
    assert list(crowded("[y for x in xs if (y := x)]", "[y for x in xs if (y := x)]")) == []


# ---- words

TRANSLATED = re.compile(
    r"\b(?:what is no"
    r"|is no (?:Value|leaf|function|number|module|list|History|Optimizer|parameter)\b"
    r"|anew|afresh|one's own|likewise|hence|meanwhile|but for|as far as|once more"
    r"|derivatives? by|differentiated? by)\b",
    re.IGNORECASE,
)


def translated(source):
    """THE CHECKER of words: yields phrases in docstrings, comments and texts that are not
    English."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (
            tokenize.STRING,
            tokenize.COMMENT,
            getattr(tokenize, "FSTRING_MIDDLE", -1),
        ):
            for found in TRANSLATED.findall(token.string):
                yield f"line {token.start[0]}: {found!r}"


@every_file
def test_prose_has_no_translated_phrases(path):
    assert list(translated(PACKAGES[path])) == []


@pytest.mark.parametrize("source", [
    '"""Raises TypeError for what is no Value."""',
    "# compiled anew",
    'f"{x} is no leaf; pass one"',
    '"""The derivative by x."""',
    'x = "a row of one\'s own"',
    '"""It is computed afresh."""',
])
def test_a_planted_phrase_is_reported(source):
    assert len(list(translated(source))) == 1


def test_plain_words_are_not_reported():
    source = (
        '"""Returns d y / d x.  There is no node below it; x is not a Value."""\n'
        "anew = afresh = 1\n"
    )
    assert list(translated(source)) == []
