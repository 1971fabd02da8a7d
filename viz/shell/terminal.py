"""A command line for terminals, scripts and notebooks: everything about the shell that has nothing
to do with graphs.

`CommandLine` is a `cmd.Cmd` whose commands are methods ``do_...`` with their help as docstrings; a
class that has more commands lists them in ``groups``.  Two letters of a command are enough; what is
wrong with a line is said in one line; and no text can reach the terminal as anything but text.
Where the input is no terminal, prompts and commands are written out, so that the output is a
transcript.
"""

from __future__ import annotations

import builtins
import cmd
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

from tinygrad_edu.errors import TinygradEduError, one_line

from .words import command_of

MAX_MESSAGE_LENGTH = 400  # of an error, in characters
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
_IN_ASCII = str.maketrans({"∂": "d", "·": "*", "×": "*"})

Part = str | tuple[str, str]  # text, or text and its style


class CommandLine(cmd.Cmd):
    """Reads commands until `quit`, Ctrl-C or the end of the input.

    stdin     where they come from, by default the terminal, or a notebook's own ``input``
    stdout    where the output goes, by default the terminal; what its encoding does not have is
              written as well as it can be
    color     whether to use colours; by default on a terminal, unless NO_COLOR is set

    What a class of commands says of itself:

    groups     the names of its commands, under the headings that `help` lists them by
    aliases    other names of commands
    about      what `help` says below the list, before what is true of every command line
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
        self._echo = not replaced and not (_is_terminal(self.stdin) and _is_terminal(self.stdout))

    def run(self) -> None:
        """Obeys commands until one of them, Ctrl-C or the end of the input says to leave."""
        with _names_as_words():
            while True:
                try:
                    return self.cmdloop()
                except KeyboardInterrupt:
                    return self.put()
                except UnicodeDecodeError as error:
                    self.error(f"the input is not {error.encoding} text")

    # ---- output

    def put(self, *parts: Part) -> None:
        """Writes the parts one after the other, and ends the line; what is not printable is written
        out: ``\\x1b``."""
        pairs = [(part, "") if isinstance(part, str) else part for part in parts]
        pairs = [(self._writable(text), style) for text, style in pairs]
        if self._console:
            from rich.text import Text

            self._console.print(Text.assemble(*pairs), soft_wrap=True)
        else:
            self.stdout.write("".join(text for text, _ in pairs) + "\n")

    def error(self, text: str) -> None:
        """Writes what is wrong; a terminal gets it in lines that end where words do."""
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
        """Writes that Ctrl-C has stopped a command."""
        if not self._echo:
            self.put()  # after the ^C that the terminal wrote
        self.error("interrupted")

    def _writable(self, text: str) -> str:
        text = "".join([c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text])
        encoding = getattr(self.stdout, "encoding", None) or "utf-8"
        try:
            text.encode(encoding)
        except UnicodeEncodeError:
            return text.translate(_IN_ASCII).encode(encoding, "replace").decode(encoding)
        return text

    # ---- what `cmd` asks for

    def onecmd(self, line: str) -> bool:
        """Runs one line, unless it is a comment; whatever is wrong with it ends in one line of
        output."""
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
        """`cmd.Cmd.parseline` with commands in full: ``("until", "a", "unt a")``."""
        name, arg, line = super().parseline(line)
        if name and name != "EOF":
            with suppress(ValueError):  # `default` says what is wrong with it
                name = self._command(name)
        return name, arg, line

    def default(self, line: str) -> None:
        """Raises ValueError, which says what there is instead of an unknown command."""
        self._command(line.split(maxsplit=1)[0])

    def precmd(self, line: str) -> str:
        """Repeats the command where no terminal has done so."""
        if self._echo and line != "EOF":
            self.put(line)
        return line

    def completenames(self, text: str, *ignored: Any) -> list[str]:
        """The commands that begin so."""
        words = (*self._commands(), *(alias for alias in self.aliases if len(alias) > 2))
        return [name for name in words if name.startswith(text)]

    def _commands(self) -> tuple[str, ...]:
        return tuple(chain(*self.groups.values()))

    def _command(self, word: str) -> str:
        return command_of(word, self._commands(), self.aliases)

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
        """q, quit: leaves; so do Ctrl-C and the end of the input

        Ctrl-C while a command runs stops only that.
        """
        return True

    def do_EOF(self, arg: str) -> bool:  # noqa: N802
        """The end of the input: leaves."""
        self.put()
        return True


def _console(stream: IO[str], color: bool | None) -> Any:
    """A rich Console for colours, or None for none."""
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
    except (AttributeError, ValueError):  # no file, or a closed one
        return False


@contextmanager
def _names_as_words() -> Iterator[None]:
    """Within it only blanks end a word that readline completes, as names have dots and signs in
    them.

    Afterwards readline is as it was before.
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
