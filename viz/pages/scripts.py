"""Joins the ES modules of a page into one script, and leaves out comments.

    joined_modules(folder, "explorer/explorer.js")

A page is one file, and its one inline script cannot import another.  Modules keep to a few forms,
so that they can be joined without an analysis of their code:

* Imports come first: ``import { Stage, Parts } from "./stage.js"``, with the names as exported.
* ``export`` stands at the start of a line, before ``function``, ``class``, ``const`` or ``let``.
* A name that is defined at the start of a line is defined once in all modules of a page.
* A string or a template is in one line.

Everything else is a ValueError with the file and the line.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

_COMMENT = r"//[^\n]*|/\*[\s\S]*?\*/"
_STRING = r"""(?:"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')"""
_TEMPLATE = r"(?:[^`\\$\n]|\\.|\$(?!\{))*(?:`|\$\{)"  # to its end, or to the next ${
_TOKEN = re.compile(
    rf"(?P<space>(?:\s|{_COMMENT})+)"
    rf"|(?P<string>{_STRING})"
    rf"|(?P<template>`{_TEMPLATE})"
    r"|(?P<word>[\w$]+)"
    r"|(?P<sign>(?!/\*)[^\s\w$\"'`])"
)
_REST_OF_TEMPLATE = re.compile(rf"(?P<template>\}}{_TEMPLATE})")
_REGEX = re.compile(r"(?P<regex>/(?![/*])(?:[^/\\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/\w*)")
# words after which a slash begins a regular expression; after other words it divides
_BEFORE_AN_OPERAND = ("return", "typeof", "case", "in", "of", "delete", "void", "throw", "new")

_DEFINING = ("function", "async", "class", "const", "let", "var")
_IMPORT = re.compile(r'\s*import \{\s*(\w+(?:,\s*\w+)*)\s*\} from "(\.[\w./]+\.js)"\n')
_DEFINITION = re.compile(
    r"^(?P<export>export )?(?:(?:async )?function|class|const|let) "
    r"(?P<names>\w+|\{ \w+(?:, \w+)* \}|\[\w+(?:, \w+)*\])(?=[ (])",
    re.MULTILINE,
)


class Token(NamedTuple):
    """A piece of a script, with its place in the text; comments are part of the white space."""

    kind: str
    text: str
    at: int


@dataclass(frozen=True)
class Module:
    """A module.

    code: its text without comments, imports and the word ``export``
    imports: the names that it imports, by the path of their module
    defines: the names that it defines at the start of a line, and whether it exports them
    """

    code: str
    imports: dict[str, list[str]]
    defines: dict[str, bool]


def joined_modules(folder: Path, entry: str, written: Mapping[str, str] | None = None) -> str:
    """Returns one script: a module after all that it imports, each once, without comments.

    Comments that begin with ``/*!`` stay: they are notices of copyright.

    entry: the path of the module in ``folder``.
    written: the texts of modules, by their path, that are used instead of the files.

    Raises:
        ValueError: a module is not written in the forms above, two modules define the same name,
            imports form a circle, or a name is imported that is not exported.
        OSError: a module cannot be read.
    """
    modules: dict[str, Module] = {}
    _load(folder, entry, modules, (), written or {})
    owners: dict[str, str] = {}
    for path, module in modules.items():
        for name in module.defines:
            if name in owners:
                raise ValueError(f"{owners[name]} and {path} both define {name}; rename one")
            owners[name] = path
    return "".join([module.code for module in modules.values()])


def _load(
    folder: Path,
    path: str,
    modules: dict[str, Module],
    users: tuple[str, ...],
    written: Mapping[str, str],
) -> None:
    """Adds a module to ``modules``, after the modules that it imports."""
    if path in users:
        circle = " imports ".join([*users[users.index(path) :], path])
        raise ValueError(f"{circle}: a circle; move what both need to a third module")
    if path in modules:
        return
    module = parsed(path, written.get(path) or (folder / path).read_text(encoding="utf-8"))
    for used, names in module.imports.items():
        _load(folder, used, modules, (*users, path), written)
        for name in names:
            if not modules[used].defines.get(name):
                raise ValueError(f"{path} imports {name} of {used}, which does not export it")
    modules[path] = module


@lru_cache(maxsize=100)
def parsed(path: str, text: str) -> Module:
    """Returns the module with this path and text; see `joined_modules`."""
    found = list(tokens(path, text))
    # comments become blanks, so that a place in the code is a place in the text
    code = "".join([_blanked(part) if kind == "space" else part for kind, part, _ in found])
    imports: dict[str, list[str]] = {}
    start = 0
    while match := _IMPORT.match(code, start):
        used = posixpath.normpath(posixpath.join(posixpath.dirname(path), match[2]))
        imports.setdefault(used, []).extend(re.findall(r"\w+", match[1]))
        start = match.end()
    defines: dict[str, bool] = {}
    for kind, word, at in found:
        begins_line = at == 0 or code[at - 1] == "\n"
        is_special = word in ("import", "export") or (begins_line and word in _DEFINING)
        if kind != "word" or at < start or not is_special:
            continue
        definition = _DEFINITION.match(code, at)
        if definition is None:
            raise _error(path, text, at, f"this form of {word} cannot be joined; see scripts.py")
        for name in re.findall(r"\w+", definition["names"]):
            defines[name] = bool(definition["export"])
    rest = [_squeezed(part) if kind == "space" else part for kind, part, at in found if at >= start]
    own = re.sub("^export ", "", "".join(rest).strip() + "\n", flags=re.MULTILINE)
    return Module(own, imports, defines)


def tokens(path: str, text: str) -> Iterator[Token]:
    """Yields the tokens of a script.

    Raises:
        ValueError: a comment, a string or a template does not end, or not in its line.
    """
    at = 0
    before = Token("sign", "", 0)  # the last one that is not white space
    depths: list[int] = []  # of braces, in each ${...} around this place
    while at < len(text):
        pattern = _TOKEN
        if text[at] == "/" and _expects_operand(before) and _REGEX.match(text, at):
            pattern = _REGEX
        if text[at] == "}" and depths and depths[-1] == 0:
            depths.pop()
            pattern = _REST_OF_TEMPLATE
        match = pattern.match(text, at)
        if match is None or match.lastgroup is None:
            raise _error(path, text, at, f"{text[at]} has no end in this line")
        token = Token(match.lastgroup, match[0], at)
        if token.kind == "template" and token.text.endswith("${"):
            depths.append(0)
        elif depths and token.text in ("{", "}"):
            depths[-1] += 1 if token.text == "{" else -1
        if token.kind != "space":
            before = token
        yield token
        at = match.end()


def _expects_operand(before: Token) -> bool:
    """Returns whether a slash after this token begins a regular expression, and does not divide."""
    if before.kind == "sign":
        return before.text not in (")", "]", "}")
    return before.text in _BEFORE_AN_OPERAND or before.text.endswith("${")


def _error(path: str, text: str, at: int, what: str) -> ValueError:
    return ValueError(f"{path}, line {text.count(chr(10), 0, at) + 1}: {what}")


def _blanked(space: str) -> str:
    """Returns as much white space without comments."""
    return re.sub(r"\S", " ", space)


def _squeezed(space: str) -> str:
    """Returns one space, or one line break with the indentation after it."""
    if "/*!" in space:
        return re.sub(_COMMENT, lambda match: match[0] * match[0].startswith("/*!"), space)
    return "\n" + re.sub(_COMMENT, "", space).rpartition("\n")[2] if "\n" in space else " "


def without_css_comments(text: str) -> str:
    """Returns a style sheet without comments and empty lines."""
    kept = re.sub(rf"({_STRING})|/\*[\s\S]*?\*/", lambda match: match[1] or "", text)
    return re.sub(r"\s*\n", "\n", kept)
