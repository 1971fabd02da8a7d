"""The command line ``tinygrad-edu``: demo, draw, step, explore, animate, check, train, gpt,
bench and gallery.

Whatever the user can put right (a wrong argument, an unknown variable, a folder that cannot be written to) ends in
one line on standard error that says what to do, and exit status 2.
"""

from __future__ import annotations

import argparse
import difflib
import inspect
import io
import os
import random
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from .. import __version__, bench
from ..engine.graph import topological_order
from ..engine.value import Value
from ..errors import NonFiniteError, RenderError, TinygradEduError, one_line
from ..files import destination, write_atomically

DATA_SETS = ("iris", "moons", "circles", "xor", "spirals", "blobs", "line")
OPTIMIZERS = ("sgd", "momentum", "rmsprop", "adam", "adamw")
_FAST = 'pip install "tinygrad_edu[fast]"'  # brings llvmlite
DEFAULT_RATES = {"sgd": 0.1, "momentum": 0.05, "rmsprop": 0.01, "adam": 0.02, "adamw": 0.02}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit status: 0 if all is well, 1 if a check failed, 2 for wrong input."""
    parser = _parser()
    options = parser.parse_args(argv)
    if "run" not in options:
        parser.print_help()
        return 0
    try:
        return int(options.run(options))
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (TinygradEduError, ValueError, OSError, TypeError, OverflowError) as error:
        print(f"tinygrad-edu {options.command}: {one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"tinygrad-edu {options.command}: interrupted", file=sys.stderr)
        return 130


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        if message.startswith("unrecognized arguments: -"):
            message += "; an expression that starts with a minus sign needs brackets: \"(-a*b)\""
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="tinygrad-edu", description="A scalar autodiff engine to read, step through, draw and trust.")
    parser.add_argument("--version", action="version", version=f"tinygrad-edu {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command", parser_class=_Parser)

    demo = commands.add_parser("demo", help="train a network on iris, check its gradients, draw its graph")
    demo.add_argument("--out", type=Path, default=Path("demo-output"), help="folder to write to (default: %(default)s)")
    demo.add_argument("--epochs", type=_positive, default=40, help="default: %(default)s")
    demo.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    demo.set_defaults(run=_demo)

    draw = commands.add_parser("draw", help='draw the graph of an expression: draw "tanh(a*b + c)" a=2 b=-3 c=10')
    _add_graph(draw)
    draw.add_argument("-o", "--out", type=Path, default=Path("graph.svg"),
                      help="picture to write, .svg .png .pdf .dot or .html (default: %(default)s)")
    draw.add_argument("--max-nodes", type=_positive, help="collapse the drawing above this number of nodes")
    draw.set_defaults(run=_draw)

    step = commands.add_parser("step", help='step through an expression as in a debugger: step "tanh(a*b + c)" a=2 b=-3 c=10',
                               epilog="Commands may come from standard input: echo 'until a' | tinygrad-edu step \"a*b\" "
                                      "a=2 b=3.  The command h lists them.")
    _add_graph(step)
    step.set_defaults(run=_step)

    explore = commands.add_parser("explore", help='a page to step through it: explore "tanh(a*b + c)" a=2 b=-3 c=10')
    _add_graph(explore)
    explore.add_argument("-o", "--out", type=Path, default=Path("graph.html"),
                         help="page to write, .html (default: %(default)s)")
    explore.add_argument("--max-nodes", type=_positive, help="collapse modules above this number of nodes")
    explore.set_defaults(run=_explore)

    animate = commands.add_parser("animate", help='a film of an expression: animate "tanh(a*b + c)" a=2 b=-3 c=10 -o y.gif')
    _add_graph(animate)
    animate.add_argument("-o", "--out", type=Path, default=Path("graph.gif"),
                         help="film to write, .gif .apng or .webp (default: %(default)s)")
    animate.add_argument("--milliseconds", type=_positive, default=800, help="how long a step stays (default: %(default)s)")
    animate.set_defaults(run=_animate)

    check = commands.add_parser("check", help='check the gradients of an expression: check "x**y" x=0.1..10 y=3',
                                epilog="With a number for each variable it looks at this point; otherwise it draws points: "
                                       "from the intervals given, and for other variables from 0.01 to 30, of both signs.")
    check.add_argument("expression", help="an expression, or the name of a row of the table, such as tanh")
    check.add_argument("values", nargs="*", metavar="name=number", help="a number or an interval, as in x=2 y=0.1..10")
    check.add_argument("--examples", type=_positive, default=200, help="how many points to draw (default: %(default)s)")
    check.add_argument("--order", type=int, choices=(1, 2), default=1, help="of the derivatives (default: 1)")
    check.add_argument("--rtol", type=_tolerance, default=1e-7, help="relative tolerance (default: %(default)s)")
    check.set_defaults(run=_check)

    train = commands.add_parser("train", help="train a network on a data set of your choice")
    train.add_argument("--data", choices=DATA_SETS, default="moons", help="default: %(default)s")
    train.add_argument("--layers", type=_sizes, default=[16, 16], help="sizes of the hidden layers (default: 16,16)")
    train.add_argument("--activation", default="relu", help="of the hidden layers (default: %(default)s)")
    train.add_argument("--optimizer", choices=OPTIMIZERS, default="adam", help="default: %(default)s")
    train.add_argument("--lr", type=float, help="learning rate (default: one that suits the optimizer)")
    train.add_argument("--epochs", type=_positive, default=50, help="default: %(default)s")
    train.add_argument("--batch-size", type=_batch_size, default=16, help="0 for full batches (default: %(default)s)")
    train.add_argument("--l2", type=float, default=0.0, help="factor of the penalty on squared weights (default: 0)")
    train.add_argument("--engine", choices=("eager", "jit"), default="eager",
                       help="jit: machine code, which needs llvmlite (default: %(default)s)")
    train.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    train.add_argument("--live", action="store_true", help="also write live.html, a page that plays the training")
    train.add_argument("--out", type=Path, default=Path("train-output"), help="folder to write to (default: %(default)s)")
    train.set_defaults(run=_train)

    gpt = commands.add_parser("gpt", help="train a small GPT on names, one a step, and let it invent some")
    gpt.add_argument("--data", type=Path, metavar="FILE", help="a text file with one name a line (default: first names)")
    gpt.add_argument("--steps", type=_positive, default=1000, help="default: %(default)s")
    gpt.add_argument("--engine", choices=("auto", "eager", "jit"), default="auto",
                     help="default: %(default)s, which is jit if llvmlite is installed, else eager; the names are the same")
    gpt.add_argument("--seed", type=int, default=42, help="default: %(default)s")
    gpt.add_argument("--samples", type=_positive, default=20, help="how many names to invent (default: %(default)s)")
    gpt.set_defaults(run=_gpt)

    race = commands.add_parser("bench", help="this engine, compiled, beside torch, jax and others, as far as installed",
                               epilog='The others are installed by: pip install "tinygrad_edu[peers]".  All programs together '
                                      "take some minutes; Ctrl-C shows what was measured by then.")
    race.add_argument("--quick", action="store_true", help="tiny sizes: shows that it runs; its numbers mean nothing")
    race.add_argument("--only", nargs="+", choices=[*bench.PROGRAMS], metavar="PROGRAM",
                      help=f"some of {', '.join(bench.PROGRAMS)} (default: all)")
    race.add_argument("-o", "--out", type=Path, help="also write the bars as a picture, .svg .png or .pdf")
    race.set_defaults(run=_bench)

    gallery = commands.add_parser("gallery", help="a neuron as drawing, film and page, and a training as a page")
    gallery.add_argument("--out", type=Path, default=Path("gallery"), help="folder to write to (default: %(default)s)")
    gallery.add_argument("--epochs", type=_positive, default=40, help="of the training (default: %(default)s)")
    gallery.set_defaults(run=_gallery)
    return parser


def _add_graph(command: argparse.ArgumentParser) -> None:
    command.add_argument("expression", nargs="?", help="the expression; or use --example")
    command.add_argument("values", nargs="*", metavar="name=number", help="a value for each variable")
    command.add_argument("--example", help="a worked example instead: lecture-expression, lecture-neuron, "
                                                "weight-decay, shared-node")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _tolerance(text: str) -> float:
    try:
        if 0 < float(text) < 1:
            return float(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not a number between 0 and 1, such as 1e-7")


def _batch_size(text: str) -> int | None:
    return None if text == "0" else _positive(text)


def _sizes(text: str) -> list[int]:
    try:
        return [_positive(part) for part in text.split(",")]
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of sizes such as 16,16") from None


# ---- draw, step, explore, animate and check ------------------------------------------------------------------------


def _draw(options: argparse.Namespace) -> int:
    import viz

    root = _graph(options)
    if not options.example:
        root.backward()
    limit = {} if options.max_nodes is None else {"max_nodes": options.max_nodes}
    path = viz.draw(root, **limit).save(options.out)
    print(f"{root.label or 'result'} = {root.data:.10g}; wrote {path}")
    return 0


def _step(options: argparse.Namespace) -> int:
    import viz

    viz.debug(_named_graph(options))
    return 0


def _explore(options: argparse.Namespace) -> int:
    import viz

    limit = {} if options.max_nodes is None else {"max_nodes": options.max_nodes}
    print(f"wrote {viz.explore(_named_graph(options), options.out, **limit)}; open it in a browser")
    return 0


def _animate(options: argparse.Namespace) -> int:
    import viz

    print(f"wrote {viz.animate(_named_graph(options), options.out, milliseconds=options.milliseconds)}")
    return 0


def _named_graph(options: argparse.Namespace) -> Value:
    """`_graph` with a name for its root, since every sentence of the backward pass has it."""
    root = _graph(options)
    if not root.label and "y" not in [node.label for node in topological_order(root)]:
        root.label = "y"
    return root


def _graph(options: argparse.Namespace) -> Value:
    """The root of the graph that the arguments of `_add_graph` ask for."""
    from ..examples import EXAMPLES
    from ..symbolic.expressions import parse

    if options.example is not None:
        if options.example not in EXAMPLES:
            raise ValueError(f"unknown example {options.example!r}; choose one of {', '.join(EXAMPLES)}")
        if options.expression is not None:
            raise ValueError("give an expression or --example, not both")
        return EXAMPLES[options.example]()
    if options.expression is None:
        raise ValueError(f'give an expression, as in: tinygrad-edu {options.command} "tanh(a*b + c)" a=2 b=-3 c=10')
    return parse(options.expression, _assignments(options.values, options.expression))


def _check(options: argparse.Namespace) -> int:
    from ..engine.primitives import TABLE, Primitive
    from ..symbolic.expressions import variables_of

    if (row := TABLE.get(options.expression)) is not None:
        known = list(row.parameters)
    elif options.expression.isidentifier() and not options.values:
        near = difflib.get_close_matches(options.expression, TABLE, n=3)
        raise ValueError(f"there is no primitive {options.expression!r} in the table"
                         + (f"; did you mean {' or '.join(near)}?" if near else "; give an expression, such as sin(x)*x"))
    elif not (known := variables_of(options.expression)):
        raise ValueError(f"{options.expression!r} has no variables, so there is nothing to differentiate by")
    ranges = _ranges(options.values, known)
    f: Primitive | Any = row or _function_of(options.expression, known)
    if len(ranges) == len(known) and all(low == high for low, high in ranges.values()):
        return _check_at({name: ranges[name][0] for name in known}, f, options)
    return _check_property(ranges, f, options)


def _function_of(expression: str, names: Sequence[str]) -> Any:
    """An expression as a function of its variables."""
    from ..symbolic.expressions import parse

    def f(*xs: Any) -> Any:
        return parse(expression, dict(zip(names, xs)))

    f.__name__ = expression if len(expression) <= 40 else expression[:37] + "..."
    kind = inspect.Parameter.POSITIONAL_ONLY
    f.__signature__ = inspect.Signature([inspect.Parameter(name, kind) for name in names])  # type: ignore[attr-defined]
    f(*[1.0] * len(names))  # raises ExpressionError for what is not part of the language
    return f


def _check_at(point: dict[str, float], f: Any, options: argparse.Namespace) -> int:
    from ..testing import gradcheck, suspects

    report = gradcheck(f, list(point.values()), options.order, rtol=options.rtol, names=list(point))
    print(report)
    if not report:
        print("\nthe graph:")
        print(suspects(f(*[Value(x, name) for name, x in point.items()]), options.order, options.rtol))
    return 0 if report else 1


def _check_property(ranges: dict[str, tuple[float, float]], f: Any, options: argparse.Namespace) -> int:
    try:
        from hypothesis.errors import FailedHealthCheck

        from ..testing.properties import Property
    except ModuleNotFoundError as error:
        if not str(error.name).startswith("hypothesis"):
            raise
        raise ValueError("drawing points needs hypothesis; install it (pip install hypothesis), or give a number for each "
                         "variable, as in x=1.5") from None
    gradients = Property(f, ranges, options.order, options.rtol)
    try:
        gradients.run(options.examples)
    except AssertionError as error:
        print(f"FAILED after {gradients.counts['compared']} points that agreed; the simplest one that does not:\n{error}")
        return 1
    except FailedHealthCheck as error:
        text = re.sub(r"=\((\S+), (\S+)\)$", r"=\1..\2", str(error))  # an interval, as one writes it here
        raise ValueError(text) from None
    rejected = ", ".join(f"{n} {why}" for why, n in gradients.counts.most_common() if why != "compared")
    print(f"gradients of {gradients.name}: ok, {gradients.counts['compared']} points compared, "
          f"{f'others rejected ({rejected})' if rejected else 'none rejected'}; tolerance {options.rtol:g} relative")
    if gradients.worst:
        at = ", ".join(f"{name}={x!r}" for name, x in gradients.worst_at.items())
        print(f"largest difference: {gradients.worst:.1g} of what is allowed, at {at}")
    return 0


def _ranges(texts: Sequence[str], known: Sequence[str]) -> dict[str, tuple[float, float]]:
    """``["a=2", "b=0.1..10"]`` as intervals, a number as one of no length; ValueError as `_assignments`."""
    ranges = {}
    for name, text in _named(texts, known).items():
        low, dots, high = text.partition("..")
        ranges[name] = (_parsed(name, low), _parsed(name, high if dots else low))
    return ranges


def _assignments(texts: Sequence[str], expression: str) -> dict[str, float]:
    """``["a=2", "b=-3"]`` as a dict; ValueError for anything else, and for names that the expression does not use."""
    from ..symbolic.expressions import variables_of

    known = variables_of(expression)
    values = {name: _parsed(name, text) for name, text in _named(texts, known).items()}
    missing = [name for name in known if name not in values]
    if missing:
        raise ValueError(f"no value for variable {missing[0]!r}; add {' '.join(f'{name}=1.5' for name in missing)}")
    return {name: values[name] for name in known}


def _named(texts: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    """``["a=2"]`` as ``{"a": "2"}``, each of the ``known`` names at most once."""
    values: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or not name.isidentifier():
            raise ValueError(f"{text!r} is not of the form name=number, as in a=2")
        if name in values:
            raise ValueError(f"variable {name!r} has two values; give one")
        if name not in known:
            raise ValueError(f"unknown variable {name!r}: the expression has {', '.join(known) or 'no variables'}")
        values[name] = value
    return values


def _parsed(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number; write {name}=1.5") from None


# ---- bench -------------------------------------------------------------------------------------------------------


def _bench(options: argparse.Namespace) -> int:
    from importlib.util import find_spec

    from ..bench import chart, tables
    from ..bench.race import Result, race

    if find_spec("llvmlite") is None:
        raise ValueError(f"what is compared is compiled code, which needs llvmlite: {_FAST}")
    picture = None if options.out is None else destination(options.out, "a picture", (".svg", ".png", ".pdf"), "bench.svg")
    if picture is not None:
        _folder(picture.parent)
        if find_spec("matplotlib") is None:
            raise RenderError('a picture needs matplotlib: pip install "tinygrad_edu[plots]"')
    console = tables.wide_console()
    console.print(f"{tables.surroundings()}\n", highlight=False)
    programs = [bench.program(name) for name in dict.fromkeys(options.only or bench.PROGRAMS)]
    results: list[Result] = []
    interrupted = False
    try:
        for program in programs:
            with console.status(f"measuring {program.title}"):
                results.append(race(program, options.quick))
            tables.show(console, results[-1])
            if interrupted := results[-1].interrupted:
                break
    except KeyboardInterrupt:
        interrupted = True
    if (bars := chart.chart(results)) is not None:
        console.print(bars)
        if picture is not None:
            _write_bars(results, picture)
            print(f"wrote {picture}")
    if missing := chart.missing(programs):
        console.print(f'Not installed: {", ".join(missing)}.  To compare with them: pip install "tinygrad_edu[peers]"',
                      markup=False, highlight=False)
    if interrupted:
        raise KeyboardInterrupt
    return 0


def _write_bars(results: Sequence[Any], path: Path) -> None:
    import viz.plots

    from ..bench import chart

    groups = {chart.heading(result): chart.factors(result) for result in results}
    figure = viz.plots.factors(groups, title=chart.TITLE)
    figure.axes[0].set_xlabel(chart.explanation(results))
    content = io.BytesIO()
    figure.savefig(content, format=path.suffix[1:].lower())
    picture = content.getvalue()
    if path.suffix.lower() == ".svg":  # width and height in pixels: not every renderer knows points
        picture = re.sub(rb'([\d.]+)pt(?=")', lambda size: b"%g" % (float(size[1]) * 96 / 72), picture, count=2)
    write_atomically(path, picture)


# ---- demo, train and gpt -----------------------------------------------------------------------------------------


def _demo(options: argparse.Namespace) -> int:
    from .. import data, nn, optim
    from ..testing import gradcheck
    from ..train import fit

    start = time.perf_counter()
    out = _folder(options.out)
    rng = random.Random(options.seed)
    flowers = data.iris()
    inputs, targets, test_inputs, test_targets = data.split(flowers.X, flowers.y, test=0.2, rng=rng)
    scale = data.Standardiser(inputs)
    inputs, test_inputs = scale(inputs), scale(test_inputs)
    model = nn.MLP(4, [8, 3], activation="tanh", init="xavier", rng=rng)
    print(f"iris: {len(inputs)} flowers to train on, {len(test_inputs)} held out; "
          f"a network 4-8-3 with {len(model.parameters())} parameters")
    optimizer = optim.Adam(model.parameters(), lr=0.02)
    history = fit(model, nn.cross_entropy, inputs, targets, optimizer=optimizer, epochs=options.epochs, batch_size=16,
                  metrics=[nn.accuracy], progress=True, rng=rng)
    print(history)
    if history.interrupted:
        raise KeyboardInterrupt

    def batch_loss() -> Any:
        return sum(nn.cross_entropy(model(x), t) for x, t in zip(inputs[:16], targets[:16])) * (1 / 16)

    report = gradcheck(batch_loss, parameters=model.parameters())
    print(f"gradients of one batch against finite differences: {len(report.entries)} compared, "
          f"{len(report.failures)} failed, largest difference {report.worst:.1g} of the tolerance")
    if not report:
        print(report)

    sample = nn.cross_entropy(model([Value(value, name) for value, name in zip(test_inputs[0], flowers.feature_names)]),
                              test_targets[0])
    sample.label = "loss"
    model.zero_grad()
    sample.backward()
    written = _pictures(sample, out)
    written += _save_run(out, model, optimizer, history)
    correct = sum(nn.accuracy(model(x), t) for x, t in zip(test_inputs, test_targets))
    print(f"\ntest accuracy: {correct / len(test_inputs):.1%} ({correct:.0f} of {len(test_inputs)} flowers) "
          f"after {time.perf_counter() - start:.1f} s")
    _list_files(out, written)
    print("\nTry next:\n"
          f"  open {next(p for p in reversed(written) if p.name.startswith('graph'))}: "
          "the graph of one flower's loss, with every derivative\n"
          '  tinygrad-edu step "tanh(a*b + c)" a=2 b=-3 c=10\n'
          "  tinygrad-edu gallery\n"
          '  tinygrad-edu check "x**y" x=2 y=3\n'
          "  tinygrad-edu train --data moons --optimizer momentum")
    return 0 if report else 1


def _train(options: argparse.Namespace) -> int:
    from .. import data, nn, optim
    from ..train import fit

    out = _folder(options.out)
    rng = random.Random(options.seed)
    inputs, targets, outputs, loss = _data_set(options.data, rng)
    inputs, targets, test_inputs, test_targets = data.split(inputs, targets, stratify=options.data != "line", rng=rng)
    scale = data.Standardiser(inputs)
    inputs, test_inputs = scale(inputs), scale(test_inputs)
    model = nn.MLP(len(inputs[0]), [*options.layers, outputs], activation=options.activation,
                   init="he" if options.activation == "relu" else "xavier", rng=rng)
    rate = DEFAULT_RATES[options.optimizer] if options.lr is None else options.lr
    make: Any = {"sgd": optim.SGD, "momentum": lambda p, lr: optim.SGD(p, lr, momentum=0.9), "rmsprop": optim.RMSprop,
            "adam": optim.Adam, "adamw": optim.AdamW}[options.optimizer]
    optimizer = make(model.parameters(), rate)
    metrics = [] if options.data == "line" else [nn.accuracy]
    penalty = (lambda: options.l2 * nn.l2(model.parameters())) if options.l2 else None
    try:
        history = fit(model, loss, inputs, targets, optimizer=optimizer, epochs=options.epochs,
                      batch_size=options.batch_size, metrics=metrics, penalty=penalty, engine=options.engine,
                      progress=True, rng=rng, record_every=1 if options.live else None)
    except NonFiniteError as error:
        if error.history.loss:
            _list_files(out, _save_run(out, model, optimizer, error.history))
        raise
    written = _save_run(out, model, optimizer, history) if history.loss else []
    print(history)
    if options.live and history.loss:
        names = data.iris().feature_names if options.data == "iris" else None
        written.append(_live_page(history, out / "live.html", f"training on {options.data}", names))
    predictions = [model(x) for x in test_inputs]
    if options.data == "line":
        mean = sum(float(loss(p, t)) for p, t in zip(predictions, test_targets)) / len(test_targets)
        print(f"mean squared error on the {len(test_targets)} points held out: {mean:.4g}")
    else:
        correct = sum(map(nn.accuracy, predictions, test_targets))
        print(f"test accuracy: {correct / len(test_targets):.1%} ({correct:.0f} of {len(test_targets)})")
    _list_files(out, written)
    return 0


def _gpt(options: argparse.Namespace) -> int:
    from ..examples import gpt
    from ..jit.running import objects

    compiles = objects.available()
    if options.engine == "jit" and not compiles:
        raise ValueError(f"machine code needs llvmlite: {_FAST}; or say --engine eager: the same names, many times as slowly")
    rng = random.Random(options.seed)
    names = gpt.documents(options.data)
    rng.shuffle(names)
    vocabulary = gpt.Vocabulary(names)
    model = gpt.GPT(len(vocabulary), rng=rng)
    print(f"names: {len(names)}; different characters: {len(vocabulary.characters)}; "
          f"parameters of the GPT: {len(model.parameters())}")
    if long := sum(len(name) >= model.block for name in names):
        print(f"names too long for its {model.block} positions: {long}; "
              f"of those it learns the first {model.block} characters, and no end")
    if options.engine == "auto" and not compiles:
        print(f"without llvmlite it runs eagerly: the same names, many times as slowly; to change that: {_FAST}")
    engine = None if options.engine == "auto" else options.engine
    history = gpt.train(model, vocabulary, names, options.steps, engine=engine, progress=True)
    done = len(history)
    if history.interrupted:
        print(f"interrupted after {done} of {options.steps} steps; the names are from the model as it is now")
    if done:
        print(f"loss {_course(history.loss)}; {history.seconds[-1]:.1f} s, {1000 * history.seconds[-1] / done:.3g} ms a step")
    print("\nnames that it invents:")
    for i in range(1, options.samples + 1):
        print(f"{i:4}  {_printable(gpt.sample(model, vocabulary, rng=rng))}", flush=True)
    if history.interrupted:
        raise KeyboardInterrupt
    return 0


def _printable(text: str) -> str:
    """``text`` without anything that a terminal could take for a command: escape as ``\\x1b``."""
    return "".join([c if c.isprintable() else repr(c)[1:-1] for c in text])


def _course(losses: Sequence[float]) -> str:
    """How losses of single samples went, which are noisy: the first one, and where they are now."""
    recent = losses[-100:]
    now = (f"{sum(recent) / len(recent):.4f} on average over the last {len(recent)} steps" if len(losses) > len(recent)
           else f"{losses[-1]:.4f} in step {len(losses)}")
    return f"{losses[0]:.4f} in step 1" + (f", {now}" if len(losses) > 1 else "")


def _live_page(history: Any, path: Path, title: str, feature_names: Sequence[str] | None = None) -> Path:
    import viz

    return viz.explore(history, path, title=title, feature_names=feature_names, progress=True)


def _gallery(options: argparse.Namespace) -> int:
    import viz

    from .. import data, nn, optim
    from ..examples import lecture_neuron
    from ..train import fit

    out = _folder(options.out)
    neuron = lecture_neuron()
    written = [viz.draw(neuron).save(out / "neuron.svg"), viz.animate(neuron, out / "neuron.gif"),
               viz.explore(neuron, out / "neuron.html", title="a neuron: o = tanh(x1*w1 + x2*w2 + b)")]
    rng = random.Random(0)
    inputs, targets = data.moons(100, noise=0.1, rng=rng)
    model = nn.MLP(2, [8, 8, 1], init="he", rng=rng)
    history = fit(model, nn.hinge, inputs, targets, optimizer=optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
                  epochs=options.epochs, batch_size=20, penalty=lambda: 1e-4 * nn.l2(model.parameters()), progress=True,
                  rng=rng, record_every=1)
    print(history)
    written.append(_live_page(history, out / "moons.html", "two moons, a network 2-8-8-1"))
    _list_files(out, written)
    return 0


def _data_set(name: str, rng: random.Random) -> tuple[Any, Any, int, Any]:
    """Inputs, targets, the number of outputs that the model needs, and the loss."""
    from .. import data, nn

    if name == "line":
        inputs, targets = data.line(100, rng=rng)
        return inputs, targets, 1, nn.mse
    if name in ("moons", "circles", "xor"):
        inputs, targets = getattr(data, name)(200, rng=rng)
        return inputs, targets, 1, nn.hinge
    samples, classes = data.iris() if name == "iris" else getattr(data, name)(210, rng=rng)
    return samples, classes, len(set(classes)), nn.cross_entropy


def _pictures(root: Any, out: Path) -> list[Path]:
    """Drawings of ``root``, neurons as boxes and whole; as DOT text, with a word why, if there is no layout engine."""
    import viz

    neurons, whole = viz.draw(root, collapse="neurons"), viz.draw(root, max_nodes=None)
    try:
        return [neurons.save(out / "graph.svg"), neurons.save(out / "graph.png"), whole.save(out / "graph-whole.svg")]
    except RenderError as error:
        print(f"no picture of the graph: {one_line(error)}")
        return [whole.save(out / "graph.dot")]


def _save_run(out: Path, model: Any, optimizer: Any, history: Any) -> list[Path]:
    from .. import nn

    written = [history.save(out / "history.json"), nn.save(model, out / "checkpoint.json", optimizer)]
    try:
        import viz.plots

        figure = viz.plots.loss(history)
    except RenderError as error:
        print(f"no loss curve: {error}")
    else:
        png = io.BytesIO()
        figure.savefig(png, format="png")
        written.append(write_atomically(out / "loss.png", png.getvalue()))
    return written


def _folder(path: Path) -> Path:
    """``path`` as an existing folder that can be written to; OSError otherwise, before any work is done."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise OSError(f"cannot write to the folder {path}: {error.strerror}; choose another one with --out") from None
    return path


def _list_files(out: Path, written: Sequence[Path]) -> None:
    print(f"\nwrote to {out}:")
    for path in written:
        print(f"  {path.name:16} {_WHAT.get(path.name, '')}")


_WHAT = {"graph.svg": "one sample's graph, each neuron as a box", "graph.png": "the same, to put on a slide",
         "graph-whole.svg": "every node of it, with every derivative", "graph.dot": "the graph as DOT text",
         "loss.png": "the loss curve", "history.json": "loss, metrics and learning rate of every step (History.load)",
         "checkpoint.json": "parameters and optimiser state (nn.load)", "live.html": "the training, to be played in a browser",
         "neuron.svg": "the neuron of a lecture, with every derivative", "neuron.gif": "a film of its passes",
         "neuron.html": "the same in a browser, step by step", "moons.html": "a training, to be played in a browser"}
