"""``python -m tests.benchmarks SUITE [--quick]``: runs one suite of benchmarks and prints its tables."""

import sys
from importlib import import_module

# name -> (module, with a function main(quick: bool), and what it measures)
SUITES: dict[str, tuple[str, str]] = {
    "accuracy": ("tests.benchmarks.accuracy", "right digits of values and gradients, against torch, jax and autograd"),
    "eager": ("tests.benchmarks.eager", "building and differentiating graphs, against microgpt and micrograd"),
    "jit": ("tests.benchmarks.jit", "the compiled engine: training and gradients, against torch, jax, casadi and others"),
    "viz": ("tests.benchmarks.viz", "drawings, pages, recording and stepping: time and size"),
}


def usage() -> str:
    """The text of ``--help``."""
    suites = "\n".join(f"  {name:<9} {what}" for name, (_, what) in SUITES.items())
    return (f"usage: python -m tests.benchmarks SUITE [--quick]\n\nsuites:\n{suites}\n\n"
            "  --quick  tiny sizes: shows that the suite runs; its numbers mean nothing")


def main(arguments: list[str]) -> int:
    """Runs the suite that ``arguments`` name; returns the exit status: 0, or 2 if they make no sense."""
    if "--help" in arguments or "-h" in arguments:
        print(usage())
        return 0
    names = [argument for argument in arguments if argument != "--quick"]
    if len(names) != 1 or names[0] not in SUITES:
        wrong = f"unknown suite {' '.join(names)!r}" if names else "no suite given"
        print(f"benchmarks: {wrong}; choose one of: {', '.join(SUITES)}", file=sys.stderr)
        return 2
    module, _ = SUITES[names[0]]
    import_module(module).main(quick="--quick" in arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
