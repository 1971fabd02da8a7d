"""The program ``tinygrad-edu``: reads its arguments, runs one command, reports errors.

An error that the user can correct prints one line on standard error, which says what to do; the
exit status is 2.  Examples are a wrong argument, an unknown variable, and a folder that cannot be
written to.
"""

from __future__ import annotations

import argparse
import errno
import os
import re
import sys
from collections.abc import Sequence
from typing import NoReturn

from .. import __version__
from ..errors import TinygradEduError, one_line, shortened
from . import checks, demo, gpt, graphs, guides, source, training
from .learning import handouts, lessons, practice, questions
from .output import INTERRUPTED

CLOSED_PIPE = 128 + 13  # as a shell shows the end by SIGPIPE, which is 13 on every system


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit status.

    It is 0 for success, 1 for a check that failed, 2 for wrong input, 130 after Ctrl-C, and 141
    if the reader of the output has closed it, as `head` does.
    """
    try:
        try:
            return _run(argv)
        finally:
            if sys.stdout is not None:  # it was not closed before the program began
                sys.stdout.flush()  # a closed pipe is noticed here, and not when Python ends
    except OSError as error:
        if not _is_closed_pipe(error):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED_PIPE


def _is_closed_pipe(error: BaseException) -> bool:
    """Returns whether the reader of the output has closed it.

    Windows reports an invalid argument then, of no file.
    """
    is_pipe_of_windows = (
        sys.platform == "win32"
        and isinstance(error, OSError)
        and error.errno == errno.EINVAL
        and error.filename is None
    )
    return isinstance(error, BrokenPipeError) or is_pipe_of_windows


def _run(argv: Sequence[str] | None) -> int:
    parser = _parser()
    options, rest = parser.parse_known_args(argv)
    if rest and "files" in options and not any(text.startswith("-") for text in rest):
        options.files += rest  # files behind options, which argparse does not take
    elif rest:
        _refuse(parser, options, rest)
    if "run" not in options:
        parser.print_help()
        return 0
    try:
        return int(options.run(options))
    except (TinygradEduError, ValueError, OSError, TypeError, OverflowError) as error:
        if _is_closed_pipe(error):
            raise
        print(f"tinygrad-edu {options.command}: {_message(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"tinygrad-edu {options.command}: interrupted", file=sys.stderr)
        return INTERRUPTED


def _refuse(
    parser: argparse.ArgumentParser, options: argparse.Namespace, rest: Sequence[str]
) -> NoReturn:
    """Ends the program, because there are arguments that its command does not know."""
    program = f"{parser.prog} {options.command}" if options.command else parser.prog
    message = f"unrecognized arguments: {' '.join(rest)}"
    is_option = re.fullmatch(r"--[a-z][a-z-]*(=.*)?", rest[0])
    if rest[0].startswith("-") and not is_option and "expression" in options:
        message += '; an expression that starts with a minus sign needs brackets: "(-a*b)"'
    parser.exit(2, f"{program}: {shortened(message, 500)}; see {program} --help\n")


def _message(error: Exception) -> str:
    if isinstance(error, UnicodeEncodeError) and error.encoding != "utf-8":
        sign = error.object[error.start]
        return (
            f"the output has the sign {sign!r}, which its encoding {sys.stdout.encoding} lacks; "
            "set the environment variable PYTHONUTF8=1"
        )
    return one_line(error)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        message = shortened(message, 500)
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="tinygrad-edu",
        description="A scalar autodiff engine to read, step through, draw and trust.",
    )
    parser.add_argument("--version", action="version", version=f"tinygrad-edu {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command", parser_class=_Parser)
    for command in (
        demo.DEMO, *graphs.COMMANDS, checks.CHECK, training.TRAIN, training.SWEEP,
        training.PLAYGROUND, gpt.GPT, demo.GALLERY, source.SOURCE, guides.GUIDE, lessons.LEARN,
        practice.PRACTICE, questions.QUIZ, questions.CARDS, lessons.PROGRESS, *handouts.COMMANDS,
    ):
        command.add_to(commands)
    return parser
