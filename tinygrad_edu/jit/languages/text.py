"""Writes tapes as source text: what C, JavaScript and Python have in common.

    >>> from tinygrad_edu.engine.primitive import lookup
    >>> source = Source(language_of("javascript"), "f")
    >>> source.forward(lookup("softsign")), source.partial(lookup("sin"), 0)
    ('f_softsign', 'f_sin_0')
    >>> print(source.text())
    function f_softsign(x) {
      let t1 = Math.abs(x);
      let t2 = 1.0 + t1;
      let t3 = x / t2;
      return t3;
    }
    <BLANKLINE>
    function f_sin_0(x, o) {
      let t1 = Math.cos(x);
      return t1;
    }
    <BLANKLINE>

A `Language` says how numbers, operations and functions look.  A `Source` collects functions: of
tapes, of rows' forward functions, and of their partial derivatives.  A row with an ``expansion``
becomes a function.  Every function is written once, after the functions that it calls.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module

from ...engine.primitive import Primitive, lookup
from ...errors import PrimitiveError, check_text, short_repr
from ..tape.lowering import Lowering, Reg
from ..tape.operations import DOT, OPERATIONS, TAKE
from ..tape.tape import Register, Tape, free

LANGUAGES = ("c", "javascript", "python")  # names of modules of this folder
MOST_STATEMENTS = 200  # of a function: C compilers take longer for one function than for its parts
MOST_PRODUCTS = 4  # on a line
MOST_LABEL = 60  # characters of a name in a comment
# Between these characters a comment gets a space: it must end neither itself nor a web page.
# ("??/" is a backslash in C.)
ENDS = re.compile(r"(?<=\*)(?=/)|(?<=/)(?=\*)|(?<=<)(?=[/!])|(?<=\?)(?=\?)")
OPERATORS = {
    ("+", 2): "{} + {}",
    ("-", 2): "{} - {}",
    ("*", 2): "{} * {}",
    ("/", 2): "{} / {}",
    ("-", 1): "-{}",
}


@dataclass(frozen=True, kw_only=True)
class Language:
    """How tapes look in one language.

    name, suffix: the name of the language, and the suffix of its files.
    number: returns a number as text that is read back exactly; in brackets if it has a sign.
    library: returns the name of the function that computes a function of C; None if there is none.
    operations: texts with braces for the operands: for operators, for each `Operation` but sums,
        and for rows that have neither a library function nor an expansion.
    helpers: the functions that these texts call, by name.  ``$`` stands for a prefix.
    head: the first lines of a file.
    comment: the beginning of a comment, of each line in it, and its end.
    declare, end: stand before and after an assignment.
    indent: stands before each statement.
    function, parameter: a function of numbers, and a parameter of it.
    part: a function that runs a part of a long tape.
    main, enter: the function of a tape, and its first statements, for ``{count}`` inputs.
    kept: a statement that makes an array ``r`` of ``{places}`` numbers, which parts share.
    results: returns the statements that return the outputs.
    notes: sentences for the comment of ``main``.
    reserved: names that a function must not have.
    """

    name: str
    suffix: str
    number: Callable[[float], str]
    library: Callable[[str], str | None]
    operations: Mapping[str | tuple[str, int], str]
    helpers: Mapping[str, str]
    head: str
    comment: tuple[str, str, str]
    declare: str
    end: str
    indent: str
    function: str
    parameter: str
    part: str
    main: str
    enter: Sequence[str] = ()
    kept: str
    results: Callable[[Sequence[str]], list[str]]
    notes: Sequence[str]
    reserved: frozenset[str]

    def is_name(self, name: str) -> bool:
        """Returns whether a function may have this name."""
        return bool(re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name)) and name not in self.reserved

    def text_of(self, row: Primitive) -> str:
        """Returns a row without an expansion, with braces for the operands.

        Raises PrimitiveError for a row that can be computed in Python only.
        """
        key = (row.library, row.arity)
        known = [self.operations.get(key), self.operations.get(row.library), OPERATORS.get(key)]
        if not row.library:
            known.append(self.operations.get(row.name))
        elif (function := self.library(row.library)) is not None:
            known.append(f"{function}({', '.join(['{}'] * row.arity)})")
        if (found := next(filter(None, known), None)) is None:
            raise PrimitiveError(
                f"source: primitive {row.name!r} cannot be written in {self.name}; define it with "
                "an expansion, which is an expression of other primitives"
            )
        return found

    def commented(self, lines: Iterable[str]) -> str:
        """Returns a comment.  Whatever the lines are, it ends where it should."""
        begin, each, end = self.comment
        inside = [f"{each}{ENDS.sub(' ', line)}".rstrip() for line in lines]
        return "\n".join(filter(None, [begin, *inside, end]))

    def block(self, statements: Iterable[str]) -> str:
        """Returns statements, one a line."""
        return "\n".join([f"{self.indent}{statement}" for statement in statements])


@dataclass
class Source:
    """Functions in one language.

    language: the language.
    prefix: the name of the function of a tape; the names of all others begin with it.
    """

    language: Language
    prefix: str
    _functions: dict[str, str] = field(default_factory=dict)  # texts by name, callees first
    _names: dict[tuple[Primitive, int | None], str] = field(default_factory=dict)

    def text(self) -> str:
        """Returns all functions."""
        return "\n\n".join(self._functions.values()) + "\n"

    # ---- rows

    def forward(self, row: Primitive) -> str:
        """Adds the forward function of a row, and returns its name."""
        return self._of_row(row, None)

    def partial(self, row: Primitive, i: int) -> str:
        """Adds the local derivative with respect to argument ``i`` of a row, and returns its name.

        It is a function of the arguments and the output of the row.
        """
        return self._of_row(row, i)

    def _of_row(self, row: Primitive, i: int | None) -> str:
        if (row, i) not in self._names:
            suffix = "" if i is None else f"_{i}"
            name = self._free(f"{row.name if row.name.isascii() else 'row'}{suffix}")
            self._names[row, i] = name
            tape = tape_of(row, i)
            body = _Body(self, tape, tape.names)
            statements = body.statements(range(len(tape)))
            self._functions[name] = self.language.function.format(
                name=name,
                parameters=", ".join(map(self.language.parameter.format, tape.names)),
                body=self.language.block(statements),
                result=body.operand(tape.outputs[0]),
            )
        return self._names[row, i]

    def _free(self, name: str) -> str:
        helpers = re.findall(r"\$\w+", " ".join(self.language.helpers.values()))
        taken = {*self._functions, *self._names.values(), *map(self._prefixed, helpers)}
        return free(f"{self.prefix}_{name}", taken)

    # ---- operations

    def spelled(self, op: str, args: Sequence[str]) -> str:
        """Returns an operation of a tape, applied to operands, as text, and adds what it calls."""
        if op == TAKE:
            entries = ", ".join(args[1:])
            found = self.language.operations[TAKE].format(args[0], entries, count=len(args) - 1)
        elif op in OPERATIONS:
            found = self.language.operations[op].format(*args)
        elif (row := lookup(op)).expansion is not None:
            return f"{self.forward(row)}({', '.join(args)})"
        else:
            found = self.language.text_of(row).format(*args)
        return self._with_helpers(found)

    def _with_helpers(self, text: str) -> str:
        """Returns a text with the prefix in it, and adds the other helpers that it names."""
        for helper in re.findall(r"\$?\b\w+\b", text):
            name = self._prefixed(helper)
            written = self.language.helpers.get(helper, text)
            if written != text and name not in self._functions:
                self._functions[name] = self._with_helpers(written)
        return self._prefixed(text)

    def _prefixed(self, text: str) -> str:
        return text.replace("$", f"{self.prefix}_")

    # ---- tapes

    def add(self, tape: Tape, outputs: Sequence[str]) -> None:
        """Adds the function of a tape.

        outputs: the names of the outputs, for the comment.
        """
        language = self.language
        starts = range(0, max(len(tape), 1), MOST_STATEMENTS)
        parts = [range(i, min(i + MOST_STATEMENTS, len(tape))) for i in starts]
        body = _Body(self, tape, [f"inputs[{i}]" for i in range(len(tape.names))])
        body.places = shared(tape)
        kept = [language.kept] if body.places else []
        numbers = {"count": len(tape.names), "places": len(body.places), "name": self.prefix}
        statements = [line.format(**numbers) for line in (*language.enter, *kept)]
        for i, part in enumerate(parts[:-1], 1):
            name = self._free(f"part{i}")
            written = language.block(body.statements(part))
            self._functions[name] = language.part.format(name=name, body=written)
            statements.append(f"{name}(inputs, r){language.end}")
        statements += body.statements(parts[-1])
        statements += language.results([body.operand(register) for register in tape.outputs])
        comment = language.commented(description(self.prefix, tape.names, outputs, language.notes))
        text = language.main.format(name=self.prefix, body=language.block(statements))
        self._functions[self.prefix] = f"{comment}\n{text}"


class _Body:
    """The statements of a function, or of the parts of one.

    arguments: the inputs of the tape as text.
    places: the registers that parts share, and their places in the array ``r``.
    """

    def __init__(self, source: Source, tape: Tape, arguments: Sequence[str]) -> None:
        self.source = source
        self.language = source.language
        self.tape = tape
        self.arguments = arguments
        self.places: Mapping[Register, int] = {}
        self.part = range(0)
        self.used = {*tape.operands, *tape.outputs}

    def operand(self, register: Register) -> str:
        """Returns a register as text."""
        if (number := self.tape.number(register)) is not None:
            return self.language.number(number)
        if register < len(self.arguments):
            return self.arguments[register]
        instruction = register - self.tape.first
        if instruction in self.part:
            return f"t{instruction + 1}"
        return f"r[{self.places[register]}]"

    def statements(self, part: range) -> list[str]:
        """Returns the statements of these instructions."""
        self.part = part
        found: list[str] = []
        end = self.language.end
        for i in part:
            op, args = self.tape.instruction(i)
            register = self.tape.first + i
            variable = self.operand(register)
            declare = self.language.declare
            if register not in self.used:  # a `take`, which raises for a wrong index
                found.append(f"{self.source.spelled(op, list(map(self.operand, args)))}{end}")
                continue
            for line in self._lines(op, args, variable):
                found.append(f"{declare}{variable} = {line}{end}")
                declare = ""
            if register in self.places:
                found.append(f"r[{self.places[register]}] = {variable}{end}")
        return found

    def _lines(self, op: str, args: Sequence[Register], variable: str) -> list[str]:
        """Returns the expressions that are assigned to a variable, one after the other."""
        if op != DOT:
            return [self.source.spelled(op, list(map(self.operand, args)))]
        terms = [" * ".join(map(self.operand, term)) for term in self.tape.terms(args)]
        pieces = [terms[i : i + MOST_PRODUCTS] for i in range(0, len(terms), MOST_PRODUCTS)]
        return [
            " + ".join([variable, *piece] if i else piece) for i, piece in enumerate(pieces)
        ]


def shared(tape: Tape) -> dict[Register, int]:
    """Returns places for registers that are used in another part than the one that computes them.

    The outputs are used in the last part.
    """
    last = (len(tape) - 1) // MOST_STATEMENTS
    uses = [(i // MOST_STATEMENTS, args) for i, (_, args) in enumerate(tape.instructions())]
    found = {
        arg: None
        for part, args in [*uses, (last, tape.outputs)]
        for arg in args
        if arg >= tape.first and (arg - tape.first) // MOST_STATEMENTS != part
    }
    return {register: place for place, register in enumerate(found)}


def tape_of(row: Primitive, i: int | None = None) -> Tape:
    """Returns the tape of a row, or of its local derivative with respect to argument ``i``.

    The inputs are the arguments; for a derivative, the output of the row follows them.
    """
    names = ["x", "y", "z"] if row.arity <= 3 else [f"x{k + 1}" for k in range(row.arity)]
    registers = tuple(range(row.arity))
    lowering = Lowering([*names[: row.arity], "o"][: row.arity + (i is not None)])
    if i is not None:
        result = lowering.partial(row, i, registers, row.arity)
    elif row.expansion is not None:
        result = lowering.register(row.expansion(*[Reg(lowering, arg) for arg in registers]))
    else:
        result = lowering.emit(row.name, registers)
    return lowering.tape([result])


def description(
    name: str, inputs: Sequence[str], outputs: Sequence[str], notes: Sequence[str]
) -> list[str]:
    """Returns the lines of a comment that says what a function is and what its numbers are."""
    labels = {f"inputs[{i}]": label for i, label in enumerate(inputs)}
    labels.update({f"outputs[{i}]": label for i, label in enumerate(outputs)})
    width = max(map(len, labels), default=0)
    lines = [f"{number:{width}}  {plain(label)}" for number, label in labels.items()]
    return [f"{name}, written by tinygrad_edu.", "", *lines, "", *notes]


def plain(label: str) -> str:
    """Returns a label on one line: characters that are not printable become escapes."""
    short = label if len(label) <= MOST_LABEL else f"{label[: MOST_LABEL - 3]}..."
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in short
    )


# ---- from a tape to a file


def language_of(name: str) -> Language:
    """Returns the language of that name; raises ValueError if there is none."""
    if name not in LANGUAGES:
        known = ", ".join(map(repr, LANGUAGES))
        raise ValueError(f"language must be one of {known}, not {short_repr(name)}")
    language: Language = import_module(f".{name}", __package__).LANGUAGE
    return language


def written(tape: Tape, language: str, name: str = "f", outputs: Sequence[str] = ()) -> str:
    """Returns the text of a file with one function, which computes a tape.

    outputs: the names of the outputs, for the comment; by default the names of their registers.
    Otherwise see `Tape.source`.
    """
    found = language_of(language)
    check_text(name, "name", "choose a name such as 'model'")
    if not found.is_name(name):
        raise ValueError(
            "name must be made of letters, digits and underscores, and have no other meaning in "
            f"{found.name}, not {short_repr(name)}; choose one such as 'model'"
        )
    source = Source(found, name)
    source.add(tape, outputs or [str(tape.name_of(register)) for register in tape.outputs])
    return "\n\n".join(filter(None, [found.head, source.text()]))

