"""The house rules that a test can check: sizes, folders, private names, and phrases that sound
translated."""

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
                f"line {node.lineno} has a nested conditional expression; return early, or use a "
                "table"
            )


@every_file
def test_files_functions_and_lines_are_small(path):
    assert list(oversized(PACKAGES[path], max_file=5_000 if path == TABLE else MAX_FILE)) == []


def test_scripts_styles_and_bodies_of_pages_have_short_lines():
    assert {".js", ".css", ".html"} == {path.suffix for path in PAGES}
    found = {str(path.relative_to(ROOT)): list(too_long(text)) for path, text in PAGES.items()}
    assert {path: sentences for path, sentences in found.items() if sentences} == {}


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


def private_imports(source, module, is_package=False):
    """Yields the private names that a file imports from another folder."""
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ImportFrom):
            continue
        base = package[: len(package) - node.level + 1] if node.level else []
        target = [*base, *(node.module or "").split(".")] if node.module else base
        is_ours = target[:1] in (["tinygrad_edu"], ["viz"])
        for alias in node.names:
            is_private = alias.name.startswith("_") and not alias.name.startswith("__")
            if is_ours and is_private and target[:-1] != package and target != package:
                yield f"{module} imports {alias.name} of {'.'.join(target)}"


@every_file
def test_private_names_stay_in_their_folder(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    is_package = parts[-1] == "__init__"
    module = ".".join(parts[:-1] if is_package else parts)
    assert list(private_imports(PACKAGES[path], module, is_package)) == []


def test_a_planted_private_import_is_reported():
    found = private_imports(
        "from ..optim.parameters import _numbers\nfrom .b import _c\n", "tinygrad_edu.train.a"
    )
    assert list(found) == ["tinygrad_edu.train.a imports _numbers of tinygrad_edu.optim.parameters"]


# ---- words

TRANSLATED = re.compile(
    r"\b(?:what is no|is no "
    r"(?:Value|leaf|function|number|module|list|History|Optimizer|parameter)\b|anew|afresh|one's "
    r"own|likewise"
    r"|derivatives? by|differentiated? by|hence|meanwhile|but for|as far as|once more)\b",
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
    '"""Raises TypeError for what is no Value."""', "# compiled anew", 'f"{x} is no leaf; pass '
                                                                       'one"',
    '"""The derivative by x."""', 'x = "a row of one\'s own"', '"""It is computed afresh."""'])
def test_a_planted_phrase_is_reported(source):
    assert len(list(translated(source))) == 1


def test_plain_words_are_not_reported():
    source = (
        '"""Returns d y / d x.  There is no node below it; x is not a Value."""\n'
        "anew = afresh = 1\n"
    )
    assert list(translated(source)) == []
