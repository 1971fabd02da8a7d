"""A command line for terminals, scripts and notebooks: the part of a shell without graphs.

`CommandLine` is a `cmd.Cmd` whose commands are methods ``do_...`` with their help as docstrings; a
subclass with more commands lists them in ``groups``.  Two letters of a command are enough.  An
error is written in one line, and control characters are escaped.  If the input is not a terminal,
prompts and commands are written out, and the output is a transcript.
"""

from __future__ import annotations

import builtins
import cmd
import difflib
import inspect
import io
import os
import shutil
import sys
import textwrap
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import chain
from typing import IO, Any, ClassVar

from tinygrad_edu.debug.text import printable
from tinygrad_edu.errors import TinygradEduError, one_line, short_repr, wrong_type

from .words import suggestion

MAX_MESSAGE_LENGTH = 400  # characters of an error message
# what a command may raise: each becomes one line of output
ERRORS = (
    TinygradEduError,
    ArithmeticError,
    IndexError,
    MemoryError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
)
BYTE_ORDER_MARKS = ("\ufeff", "ï»¿")  # of UTF-8; the second one as read in the code page 1252
_IN_ASCII = str.maketrans({"∂": "del ", "·": "*", "×": "*"})

Part = str | tuple[str, str]  # text, or text and its style


class CommandLine(cmd.Cmd):
    """Reads commands until `quit` or the end of the input.

    stdin: source of the commands, by default the terminal, or a notebook's own ``input``.
    stdout: destination of the output, by default the terminal; characters that its encoding does
        not have are replaced.
    color: whether to use colours; by default on a terminal, unless NO_COLOR is set.

    A subclass sets:

    groups: the names of its commands, by the headings of `help`.
    aliases: other names of commands.
    about: text that `help` prints below the list.
    """

    groups: ClassVar[Mapping[str, tuple[str, ...]]] = {"Other": ("help", "quit")}
    aliases: ClassVar[Mapping[str, str]] = {"h": "help", "q": "quit", "exit": "quit"}
    about: ClassVar[str] = ""

    def __init__(
        self, stdin: IO[str] | None = None, stdout: IO[str] | None = None, color: bool | None = None
    ) -> None:
        super().__init__(
            stdin=stdin or sys.stdin or io.StringIO(),
            stdout=stdout or sys.stdout or io.StringIO(),
        )
        self._console = _console(self.stdout, color)
        # a notebook replaces `input` by its own
        replaced = not isinstance(builtins.input, types.BuiltinFunctionType)
        is_default = stdin is None and stdout is None
        self.use_rawinput = is_default and (replaced or _is_terminal(sys.stdin))
        self._typed = _is_terminal(self.stdin) and _is_terminal(self.stdout) and not replaced
        self._echo = not replaced and not self._typed

    def run(self) -> None:
        """Runs commands until one of them or the end of the input leaves.

        On a terminal, Ctrl-C clears the line, as in pdb.  Elsewhere it leaves: it ends a program
        in a pipe, and the cell of a notebook.
        """
        with _names_as_words():
            while True:
                try:
                    return self.cmdloop()
                except KeyboardInterrupt:
                    self.put()
                    if not self._typed:
                        return None
                    self.put(("Ctrl-C clears the line; q leaves", "dim"))
                except UnicodeDecodeError as error:
                    self.error(f"the input is not {error.encoding} text")

    # ---- output

    def put(self, *parts: Part) -> None:
        """Writes the parts as one line, with unprintable characters escaped."""
        styled = [(part, "") if isinstance(part, str) else part for part in parts]
        pairs = [(self._writable(text), style) for text, style in styled]
        if self._console:
            from rich.text import Text

            self._console.print(Text.assemble(*pairs), soft_wrap=True)
        else:
            self.stdout.write("".join(text for text, _ in pairs) + "\n")

    def error(self, text: str) -> None:
        """Writes an error message, wrapped between words on a terminal."""
        if len(text) > MAX_MESSAGE_LENGTH:
            text = f"{text[: MAX_MESSAGE_LENGTH - 3]}..."
        text = self._writable(f"*** {text}")
        if _is_terminal(self.stdout):
            text = textwrap.fill(
                text,
                max(shutil.get_terminal_size().columns, 20),
                subsequent_indent="    ",
                break_long_words=False,
                break_on_hyphens=False,
            )
        self.put((text, "red"))

    def interrupted(self) -> None:
        """Writes that Ctrl-C stopped a command."""
        if not self._echo:
            self.put()  # after the ^C that the terminal wrote
        self.error("interrupted")

    def _writable(self, text: str) -> str:
        text = "\n".join(map(printable, text.split("\n")))
        encoding = getattr(self.stdout, "encoding", None) or "utf-8"
        try:
            text.encode(encoding)
        except UnicodeEncodeError:
            return text.translate(_IN_ASCII).encode(encoding, "replace").decode(encoding)
        return text

    # ---- what `cmd` asks for

    def onecmd(self, line: str) -> bool:
        """Runs one line, unless it is a comment.

        An error becomes one line of output.
        """
        if line.lstrip().startswith("#"):
            return False
        try:
            return bool(super().onecmd(line))
        except BrokenPipeError:
            raise
        except ERRORS as error:
            self.error(one_line(error))
        return False

    def parseline(self, line: str) -> tuple[str | None, str | None, str]:
        """Returns `cmd.Cmd.parseline` with the full command, ``("until", "a", "unt a")``."""
        name, arg, line = super().parseline(line)
        if name and name != "EOF":
            with suppress(ValueError):  # `default` raises it again
                name = self._command(name)
        return name, arg, line

    def default(self, line: str) -> None:
        """Rejects an unknown command.

        Raises:
            ValueError: always; the message lists the commands.
        """
        self._command(line.split(maxsplit=1)[0])

    def precmd(self, line: str) -> str:
        """Writes the command, unless a terminal has shown it.

        Windows begins the text in a pipe with a byte-order mark, which is no part of a command.
        """
        for mark in BYTE_ORDER_MARKS:
            line = line.removeprefix(mark)
        if self._echo and line != "EOF":
            self.put(line)
        return line

    def completenames(self, text: str, *ignored: Any) -> list[str]:
        """Returns the commands that begin with ``text``."""
        words = (*self._commands(), *(alias for alias in self.aliases if len(alias) > 2))
        return [name for name in words if name.startswith(text)]

    def _commands(self) -> tuple[str, ...]:
        return tuple(chain(*self.groups.values()))

    def _command(self, word: str) -> str:
        """Returns the full command for ``word``: a command, the beginning of one, or an alias.

        Raises:
            ValueError: there is no such command, or there are several.
        """
        commands = self._commands()
        if word in commands:
            return word
        if word in self.aliases:
            return self.aliases[word]
        begun = [name for name in commands if len(word) > 1 and name.startswith(word)]
        if len(begun) == 1:
            return begun[0]
        if begun:
            raise ValueError(f"{short_repr(word)} can be {' or '.join(begun)}")
        near = difflib.get_close_matches(word[:40].lower(), [*commands, *self.aliases], n=1)
        raise ValueError(
            f"{short_repr(word)} is not a command; {suggestion(near)} are {', '.join(commands)}"
        )

    # ---- the commands that every shell has

    def do_help(self, arg: str) -> None:
        """h, help [COMMAND]: lists the commands, or explains one

        Example: h quit
        """
        helps = {
            name: inspect.cleandoc(getattr(self, f"do_{name}").__doc__ or "")
            for name in self._commands()
        }
        if arg:
            self.put(helps[self._command(arg)].replace(": ", "\n  ", 1))
            return
        for group, names in self.groups.items():
            self.put((group, "bold"))
            for name in names:
                usage, _, summary = helps[name].partition("\n")[0].partition(": ")
                self.put("  ", (f"{usage:<19}", "cyan"), summary)
        self.put(
            f"{self.about}Two letters of a command are enough if no other begins so; an empty "
            "line\nrepeats the last command; a line that begins with # is a comment."
        )

    def do_quit(self, arg: str) -> bool:
        """q, quit: leaves; so does Ctrl-D, the end of the input

        Ctrl-C stops a command that runs, and clears a line that is typed.
        """
        return True

    def do_EOF(self, arg: str) -> bool:  # noqa: N802
        """Leaves at the end of the input."""
        self.put()
        return True


def check_file(file: Any, name: str, method: str, remedy: str) -> None:
    """Checks a source of commands, or a destination of output.

    method: what the file must have, "readline" or "write".

    Raises:
        TypeError: ``file`` is neither None nor a text file.
        ValueError: it is closed, or open for the other direction only.
    """
    if file is None:
        return
    if not hasattr(file, method) or isinstance(file, (type, io.RawIOBase, io.BufferedIOBase)):
        raise wrong_type(name, "an open text file", file, remedy)
    ready = getattr(file, {"readline": "readable", "write": "writable"}[method], lambda: True)
    if getattr(file, "closed", False) or not ready():
        use = method.removesuffix("line")
        raise ValueError(f"{name} must be open to {use}, not {short_repr(file)}; {remedy}")


def _console(stream: IO[str], color: bool | None) -> Any:
    """Returns a rich Console, or None for output without colours."""
    plain = (
        not _is_terminal(stream) or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    )
    if color is False or (color is None and plain):
        return None
    from rich.console import Console

    console = Console(
        file=stream, force_terminal=color, color_system="standard", no_color=False, highlight=False
    )
    return console if console.is_terminal else None


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):  # not a file, or a closed one
        return False


@contextmanager
def _names_as_words() -> Iterator[None]:
    """Makes readline complete whole names, which contain dots and signs: only blanks end a word.

    Afterwards its delimiters and its history are restored.
    """
    try:
        import readline
    except ImportError:  # there is none on Windows
        yield
        return
    delimiters = readline.get_completer_delims()
    length = readline.get_current_history_length()
    readline.set_completer_delims(" \t\n")
    try:
        yield
    finally:
        readline.set_completer_delims(delimiters)
        for i in range(readline.get_current_history_length() - 1, length - 1, -1):
            readline.remove_history_item(i)
