"""How the modules of a page are joined, what is rejected, and the joined scripts in a browser."""

import re
from itertools import chain

import pytest

from tests.browser import chromium
from viz.pages.page import FOLDER
from viz.pages.scripts import joined_modules, parsed, tokens, without_css_comments

PAGES = ("explorer/explorer.js", "training/training.js")


def plant(folder, **modules):
    """Writes modules, by their name without ".js", and returns the folder."""
    for name, text in modules.items():
        path = folder / f"{name.replace('__', '/')}.js"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def kept(text):
    """Returns the text of a module in a page."""
    return parsed("m.js", text).code


def test_modules_come_once_and_after_those_that_they_import(tmp_path):
    folder = plant(
        tmp_path,
        page__main='/* The page. */\n\nimport { b } from "./b.js"\nimport { a } from "../a.js"\n\n'
        "/** @import { T } from './types.js' */\n\nb(a)\n",
        page__b='import {\n  a,\n  c\n} from "../a.js"\n\nexport function b(x) {\n  c(x)\n}\n',
        a="export const a = 1\n\n/** Returns x. */\nexport async function c(x) {}\n",
    )
    assert joined_modules(folder, "page/main.js") == (
        "const a = 1\nasync function c(x) {}\nfunction b(x) {\n  c(x)\n}\nb(a)\n"
    )


@pytest.mark.parametrize(("modules", "message"), [
    ({"main": 'import { a } from "./b.js"\nconst x = 1\n', "b": "export const a = 1\nlet x = 2\n"},
     "b.js and main.js both define x; rename one"),
    ({"main": 'import { a } from "./b.js"\n', "b": "export const a = 1\nconst { x, a } = y\n"},
     "main.js imports a of b.js, which does not export it"),
    ({"main": 'import { a } from "./b.js"\n', "b": 'import { c } from "./c.js"\n',
      "c": 'import { a } from "./b.js"\n'},
     "b.js imports c.js imports b.js: a circle"),
    ({"main": 'import { a } from "./main.js"\n'}, "main.js imports main.js: a circle"),
    ({"main": 'import { a } from "./b.js"\n', "b": "const a = 1\n"},
     "main.js imports a of b.js, which does not export it"),
    ({"main": 'x()\n\n// then\nimport { a } from "./b.js"\n'},
     "main.js, line 4: this form of import"),
    ({"main": 'const a = await import("./b.js")\n'}, "main.js, line 1: this form of import"),
    ({"main": 'import { a as b } from "./b.js"\n'}, "main.js, line 1: this form of import"),
    ({"main": 'import * as b from "./b.js"\n'}, "main.js, line 1: this form of import"),
    ({"main": 'import b from "./b.js"\n'}, "main.js, line 1: this form of import"),
    ({"main": 'import { b } from "b"\n'}, "main.js, line 1: this form of import"),
    ({"main": "const a = 1\nexport { a }\n"}, "main.js, line 2: this form of export"),
    ({"main": "\nexport default 1\n"}, "main.js, line 2: this form of export"),
    ({"main": "if (x) export const a = 1\n"}, "main.js, line 1: this form of export"),
    ({"main": "var a = 1\n"}, "main.js, line 1: this form of var"),
    ({"main": "const { a: b } = c\n"}, "main.js, line 1: this form of const"),
    ({"main": "a\n'b\n'"}, "main.js, line 2: ' has no end in this line"),
    ({"main": "a = `b\n`"}, "main.js, line 1: ` has no end in this line"),
    ({"main": "a = `${{}}\n`"}, "main.js, line 1: } has no end in this line"),
    ({"main": "\n\n/* a"}, "main.js, line 3: / has no end in this line"),
])
def test_what_cannot_be_joined_is_rejected_with_its_place(tmp_path, modules, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        joined_modules(plant(tmp_path, **modules), "main.js")


@pytest.mark.parametrize("code", [
    'a = "/* b */ // c"',
    "a = '// \\' /* b'",
    "a = `// ${b ? `/* ${{ c: '}' }} */` : \"//\"} // d`",
    "a = /[/*]\\/* \"'`/g.test(b)",
    "a = [/'/, b / c / d, (b) / c, e[0] / 2]",
    "return /\\/\\//",
    "a.import_ = b.exports",
])
def test_strings_templates_and_regular_expressions_are_kept(code):
    assert kept(f"{code} // it's `the` end\n") == f"{code}\n"
    assert kept(f"/* one's\n `first` */\n{code} /* last */\n") == f"{code}\n"


def test_comments_and_empty_lines_are_left_out():
    text = "a()\n\n  /** Doc.\n  @type {b} */\n  // c\n  d( /* e */ f) // g\n\n\nh/**/i\nj /*\n*/ k"
    assert kept(text) == "a()\n  d( f)\nh i\nj\n  k\n"


def test_comments_of_styles_are_left_out():
    css = '/* a */\na { b: "/* c */" } /* d\n e */\n\n.f::after { content: \'\\\'/*\' }\n'
    assert without_css_comments(css) == '\na { b: "/* c */" }\n.f::after { content: \'\\\'/*\' }\n'


def modules_of(folder, entry):
    """Returns the text of each module of a page, by its path."""
    texts = {}
    todo = [entry]
    while todo:
        path = todo.pop()
        if path not in texts:
            texts[path] = (folder / path).read_text(encoding="utf-8")
            todo += parsed(path, texts[path]).imports
    return texts


def words(path, text):
    """Returns the tokens of a script without white space, each followed by a line break."""
    return "".join([f"{part}\n" for kind, part, _ in tokens(path, text) if kind != "space"])


@pytest.mark.parametrize("entry", PAGES)
def test_pages_have_all_words_of_their_modules_and_no_comments_but_notices(entry):
    script = joined_modules(FOLDER, entry)
    spaces = [part.strip() for kind, part, _ in tokens(entry, script) if kind == "space"]
    comments = [part for part in spaces if part]
    assert [part for part in comments if not part.startswith("/*!") or part.count("/*") > 1] == []
    assert ("mt19937ar.c" in script) == ("class Random" in script)
    texts = modules_of(FOLDER, entry)
    assert len(texts) >= 6
    rest = words(entry, script)
    for path, text in texts.items():
        own = words(path, text)
        own = own[own.rfind('.js"\n') + len('.js"\n') :] if own.startswith("import\n") else own
        own = re.sub("^export\n", "", own, flags=re.MULTILINE)
        # Python writes rows.js anew for every page
        assert len(own) > 300 or path == "live/rows.js", path
        assert rest.count(own) == 1, path
        rest = rest.replace(own, "")
    assert rest == ""


# ---- in the browser


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


def shadowing(driver, folder, entry):
    """Returns the names that mean a global of the browser in one module, and what another module
    defines in the joined script."""
    modules = modules_of(folder, entry)
    script = '"use strict"; return arguments[0].filter((name) => name in window)'
    found = set()
    for path, text in modules.items():
        module = parsed(path, text)
        own = {*module.defines, *chain(*module.imports.values())}
        others = {name for other in modules for name in parsed(other, modules[other]).defines} - own
        before = ""
        for token in tokens(path, module.code):
            if token.kind == "word" and before != "." and token.text in others:
                found.add(token.text)
            if token.kind != "space":
                before = token.text
    return driver.execute_script(script, sorted(found))


@pytest.mark.parametrize("entry", PAGES)
def test_joined_scripts_parse_in_a_browser(driver, entry):
    script = joined_modules(FOLDER, entry)
    driver.get("about:blank")
    assert driver.execute_script("return typeof new Function(arguments[0])", script) == "function"
    assert shadowing(driver, FOLDER, entry) == []


def test_a_planted_shadow_of_a_global_is_reported(driver, tmp_path):
    folder = plant(
        tmp_path,
        main='import { a } from "./b.js"\nconst history = a\nconst own = 1\n',
        b="export const a = history.length + own.history\n",
    )
    driver.get("about:blank")
    assert shadowing(driver, folder, "main.js") == ["history"]
