"""``python -m tests.benchmarks SUITE [--quick]``: runs a suite of benchmarks and prints its tables.

The suite ``jit`` has more options: which programs it runs, and a picture of its bars.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from tinygrad_edu.errors import TinygradEduError, one_line

from .races import PROGRAMS

# name -> (module, with a function main(quick: bool), and what it measures)
SUITES: dict[str, tuple[str, str]] = {
    "accuracy": ("tests.benchmarks.accuracy",
                 "right digits of values and gradients, against torch, jax and autograd"),
    "eager": ("tests.benchmarks.eager",
              "building and differentiating graphs, against microgpt and micrograd"),
    "calls": ("tests.benchmarks.calls",
              "whole calls of fit, gpt, jit and of unpickled functions, by the clock"),
    "columns": ("tests.benchmarks.columns",
                "batch over columns of numpy, pandas, polars and pyarrow, against array('d')"),
    "executors": ("tests.benchmarks.executors.suite",
                  "sweeps, steps of fit and batches on processes and Dask; what many would gain"),
    "jit": ("tests.benchmarks.jit",
            "the compiled engine: training and gradients, against torch, jax, casadi and others"),
    "viz": ("tests.benchmarks.viz", "drawings, pages, recording and stepping: time and size"),
}
NAME = "python -m tests.benchmarks"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the suite named by ``arguments`` and returns the exit status.

    It is 0 if all is well, 2 if the arguments make no sense or something is not installed, and 130
    after Ctrl-C.  For ``--help``, and for wrong values of options, argparse raises SystemExit.
    """
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    settings = vars(options)
    suite = settings.pop("suite")
    if suite not in SUITES or rest:
        given = " ".join([*([] if suite is None else [suite]), *rest])
        wrong = f"unknown suite {given!r}" if given else "no suite given"
        print(f"benchmarks: {wrong}; choose one of: {', '.join(SUITES)}", file=sys.stderr)
        return 2
    if suite != "jit" and len(settings) > 1:
        parser.error(f"only the suite jit takes --only and -o, not {suite}")
    try:
        import_module(SUITES[suite][0]).main(**settings)
    except (TinygradEduError, OSError) as error:
        print(f"benchmarks {suite}: {one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"benchmarks {suite}: interrupted", file=sys.stderr)
        return 130
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"benchmarks: {message}; see {NAME} --help\n")


def _parser() -> argparse.ArgumentParser:
    """Returns the parser. Its results contain only options that are given, besides ``suite`` and
    ``quick``."""
    suites = "\n".join(f"  {name:<9} {what}" for name, (_, what) in SUITES.items())
    parser = _Parser(
        prog=NAME, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter,
        usage=f"{NAME} SUITE [--quick]\n       {NAME} jit [--quick] [--only PROGRAM ...] [-o FILE]",
        description=f"suites:\n{suites}",
        epilog="The other engines of the suite jit are installed by: "
               'pip install "tinygrad_edu[peers]".\n'
               "All its programs together take some minutes.  "
               "Ctrl-C shows what was measured by then.")
    parser.add_argument("suite", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true",
                        help="tiny sizes: shows that the suite runs; its numbers mean nothing")
    parser.add_argument("--only", nargs="+", choices=[*PROGRAMS], metavar="PROGRAM",
                        default=argparse.SUPPRESS,
                        help=f"jit: some of {', '.join(PROGRAMS)}, and nothing else (default: all)")
    parser.add_argument("-o", "--out", type=_picture, metavar="FILE", default=argparse.SUPPRESS,
                        help="jit: also write the bars as a picture, .svg .png or .pdf")
    return parser


def _picture(text: str) -> Path:
    from .races import bars

    try:
        return bars.destination(text)
    except (TinygradEduError, OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(one_line(error)) from None


if __name__ == "__main__":
    sys.exit(main())
