"""What the shell's ``p`` prints: the numbers of nodes at the position of a `Stepper`.

    >>> from tinygrad_edu import Value
    >>> a, b = Value(2.0, "a"), Value(-3.0, "two words")
    >>> stepper = Stepper(a * b).finish()
    >>> value_text(stepper, "a")
    'a: data 2.0, grad -3.0 after 1 of 1 contributions'
    >>> value_text(stepper, "grad(a) * 2 + 'two words'")
    '-9.0'

Names may contain dots, brackets and blanks, but the variables of
`tinygrad_edu.symbolic.expressions` may not.  Every name is replaced by a one-letter variable before
the text is parsed; error messages show the name again.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Mapping

from tinygrad_edu.debug.stepper import Stepper
from tinygrad_edu.errors import TinygradEduError, one_line, short_repr
from tinygrad_edu.symbolic.expressions import CONSTANTS, function_names, parse

from .words import completions, find_name, matching_name, names_text

# a name that needs no quotes: a, layers.0.w.1, W1[1,2], a#2
_PATH = r"[^\W\d]\w*(?:\.\w+|\[[^\[\]]*\]|\#\w*)*"
_NAME = rf"\"[^\"]*\"|'[^']*'|{_PATH}"
_REFERENCE = re.compile(
    rf"\d[\w.]*|\bgrad\s*\(\s*(?P<of>{_NAME})\s*\)|(?P<name>{_NAME})(?P<call>\s*\()?"
)
# the first of 6,000 letters that nobody types here: more than an expression can contain
_FIRST_LETTER = 0x3400


def value_text(stepper: Stepper, text: str) -> str:
    """Returns what ``p`` prints for ``text``, a name or an expression of names.

    Raises:
        ValueError: a name is unknown, a number is not computed yet, or `parse` rejects ``text``.
    """
    names = stepper.recording.positions
    name = matching_name(text, names)
    if name is None:
        return repr(_evaluate(stepper, text, names))
    return _node_text(stepper, name, names[name])


def expression_completions(word: str, line: str, names: Iterable[str]) -> list[str]:
    """Returns replacements for ``word``, the last word of ``line``.

    The argument can be a name, or end in a name or a function.
    """
    [end, *_] = re.findall(r"(?:[^\W\d][\w.#\[\],]*)?$", word)
    functions = [f"{name}(" for name in ("grad", *function_names())] if end else []
    ends = [word.removesuffix(end) + name for name in (*names, *functions) if name.startswith(end)]
    return list(dict.fromkeys([*completions(word, line, names), *ends]))


def _node_text(stepper: Stepper, name: str, position: int) -> str:
    recording = stepper.recording
    data, grad = stepper.numbers(position)
    backward = range(recording.forward, len(recording))
    contributions = [i for i in backward if recording.events[i].node == position]
    done = sum(i < stepper.position for i in contributions)
    shown = _not_computed_text(stepper, position) if data is None else f"data {data!r}"
    return f"{name}: {shown}, grad {grad!r} after {done} of {len(contributions)} contributions"


def _not_computed_text(stepper: Stepper, position: int) -> str:
    step = next(i for i, event in enumerate(stepper.recording.events, 1) if event.node == position)
    return f"data not computed yet (step {step} does it)"


def _evaluate(stepper: Stepper, text: str, names: Mapping[str, int]) -> float:
    letters: dict[tuple[str, bool], str] = {}  # for a name and whether its gradient is meant
    numbers: dict[str, float] = {}

    def letter(name: str, gradient: bool = False) -> str:
        number = stepper.numbers(names[name])[gradient]
        if number is None:
            raise ValueError(f"{name}: {_not_computed_text(stepper, names[name])}")
        sign = letters.setdefault((name, gradient), chr(_FIRST_LETTER + len(letters)))
        numbers[sign] = number
        return sign

    def stand_in(match: re.Match[str]) -> str:
        """Replaces a name by a one-letter variable.

        Numbers, functions and constants are returned unchanged.
        """
        word = match["name"]
        of = match["of"]
        call = match["call"] or ""
        if of is not None:
            return letter(find_name(of, names), gradient=True)
        if word == "grad" and call:
            raise ValueError("grad() takes one name, as in grad(a)")
        if word is None:
            return match[0]
        if word not in names:
            if call and word.isidentifier():
                return match[0]
            if call:
                raise ValueError(_call_error(word, names))
            path, _, last = word.rpartition(".")
            if path in names and last in ("data", "grad"):
                return letter(path, gradient=last == "grad")
            if word in CONSTANTS or keyword.iskeyword(word):
                return match[0]
        return letter(find_name(word, names)) + call

    try:
        return parse(_REFERENCE.sub(stand_in, text), numbers).data
    except TinygradEduError as error:
        message = one_line(error)
        for (name, gradient), sign in letters.items():
            message = message.replace(sign, f"grad({name})" if gradient else name)
        raise ValueError(message) from None


def _call_error(word: str, names: Mapping[str, int]) -> str:
    """Returns the error message for a call of what is not a plain name, as in ``math.sin(a)``."""
    path, _, function = word.rpartition(".")
    remedy = "functions are called as in tanh(...)"
    if path in names and function in function_names():
        remedy = f"write {function}({path})"
    elif path and function in function_names():
        remedy = f"functions are written without {path}., as in {function}(...)"
    return (
        f"{short_repr(word)} is not a function; {remedy}; there are the names "
        f"{names_text(names)}"
    )
