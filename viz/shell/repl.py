"""A shell that steps through a graph, with the commands of pdb: `debug`.

The command ``tinygrad-edu step "tanh(a*b + c)" a=2 b=-3 c=10`` starts it too.

    >>> import io
    >>> from tinygrad_edu import Value
    >>> a = Value(3.0, "a")
    >>> y = a * a
    >>> y.label = "y"
    >>> debug(y, stdin=io.StringIO("until a\\np a\\nq\\n"))
    y = a * a: 2 nodes, 1 step forward, 3 backward; h for help
    step 0 of 4, start
      given: a = 3
      next:    y = a * a = 3 × 3 = 9
    (step 0/4) until a
    step 3 of 4, backward
      dy/da += dy/dy · ∂y/∂a = 1 × 3 = 3   (first a, sum: 0 + 3 = 3)   [∂y/∂a = a]
      changed: grad of a: 0 -> 3
      next:    dy/da += dy/dy · ∂y/∂a = 1 × 3 = 3   (second a, sum: 3 + 3 = 6)   [∂y/∂a = a]
    (step 3/4) p a
    a: data 3.0, grad 3.0 after 1 of 2 contributions
    (step 3/4) q

If the input is not a terminal, prompts and commands are written out, and the output is a
transcript, as here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from itertools import chain
from typing import IO, Any, ClassVar

from tinygrad_edu import Value
from tinygrad_edu.debug.orders import compare_orders
from tinygrad_edu.debug.recording import Recording
from tinygrad_edu.debug.stepper import Stepper, recording_of
from tinygrad_edu.debug.text import short_number
from tinygrad_edu.engine.primitive import lookup
from tinygrad_edu.errors import check_choice, counted, short_repr
from tinygrad_edu.symbolic.formulas import Name, as_name

from .printing import expression_completions, value_text
from .terminal import CommandLine, check_file
from .where import where
from .words import (
    completions,
    find_name,
    matching_name,
    names_text,
    no_argument,
    step_number,
    unquoted,
)

LIST_AROUND = 5  # steps that `list` shows before and after one
# Styles of the lines of `Stepper.lines`, and of the end of two of them: the rule, the new number.
STYLES = {"position": "cyan", "sentence": "bold", "changed": "", "watch": "cyan", "next": "dim"}
END_STYLES = {"sentence": "dim", "changed": "bold green"}
MAX_TITLE_LENGTH = 60  # characters; a longer expression is left out of the first line
TOO_LONG = Name("?" * (MAX_TITLE_LENGTH + 1))  # in place of such a one: what contains it is longer


def debug(
    y: Value | Recording | Stepper,
    *,
    stdin: IO[str] | None = None,
    stdout: IO[str] | None = None,
    color: bool | None = None,
) -> None:
    """Steps through the graph of ``y`` on the terminal, forwards and backwards, until you leave.

    The command ``h`` lists the commands.  The graph is not changed.

    y: a Value, a Recording or a Stepper; the shell starts at the Stepper's position and moves it.
    stdin: source of the commands, by default the terminal; other sources are repeated in the
        output.
    stdout: destination of the output, by default the terminal.
    color: whether to use colours; by default on a terminal, unless NO_COLOR is set.

    Raises:
        TypeError: ``y`` is something else, or a stream is not a text file.
        ValueError: a stream is closed; ``color`` is something else.
    """
    stepper = y if isinstance(y, Stepper) else Stepper(recording_of(y, "debug: y"))
    commands = 'for commands as text, pass io.StringIO("n\\nq\\n")'
    check_file(stdin, "debug: stdin", "readline", commands)
    check_file(stdout, "debug: stdout", "write", "to keep the output as text, pass io.StringIO()")
    check_choice(color, "debug: color", (None, True, False))
    Shell(stepper, stdin, stdout, color).run()


class Shell(CommandLine):
    """The commands of `debug`: methods ``do_...`` whose docstrings are their help.

    stepper: the `Stepper` that the commands move.
    recording: its recording.
    """

    groups: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "Move": ("next", "back", "continue", "until", "goto", "restart", "finish"),
        "Look": ("print", "list", "where", "draw", "orders"),
        "Stop and watch": ("break", "clear", "watch", "unwatch"),
        **CommandLine.groups,
    }
    # The letters of pdb for the commands that are the same; but `b` is back, and `w` is watch.
    aliases: ClassVar[Mapping[str, str]] = {
        "n": "next",
        "s": "next",
        "step": "next",
        "b": "back",
        "c": "continue",
        "end": "finish",
        "p": "print",
        "l": "list",
        "w": "watch",
        "bt": "where",
        **CommandLine.aliases,
    }
    about = "A TARGET is a name, an operation (mul or *), or a phase: forward, backward.\n"

    def __init__(
        self,
        stepper: Stepper,
        stdin: IO[str] | None = None,
        stdout: IO[str] | None = None,
        color: bool | None = None,
    ) -> None:
        super().__init__(stdin, stdout, color)
        self.stepper = stepper
        self.recording = stepper.recording
        self._names = self.recording.positions
        self._targets = self.recording.targets()

    def run(self) -> None:
        """Shows the current step, and runs commands until `quit` or the end of the input."""
        self.put((_title(self.recording), "bold"), "; h for help")
        self._show_step()
        super().run()

    # ---- moving

    def do_next(self, arg: str) -> None:
        """n, next [COUNT]: does the next step, or COUNT of them

        Example: n 3
        """
        self._move(_parse_count(arg, "next"))

    def do_back(self, arg: str) -> None:
        """b, back [COUNT]: undoes the last step, or COUNT of them

        Example: b 2
        """
        is_target = matching_name(arg, self._targets) is not None  # in pdb `b` is break
        remedy = f"; to stop at {arg}, write: break {arg}" if is_target else ""
        self._move(-_parse_count(arg, "back", remedy))

    def do_continue(self, arg: str) -> None:
        """c, continue: goes on to the next breakpoint, else to the end

        Breakpoints are set by break.
        """
        no_argument(arg, "continue")
        if self._at_an_end(1):
            return
        self.stepper.run()
        last = self.stepper.position - 1
        breakpoints = self.stepper.breakpoints
        met = [target for target in breakpoints if self.recording.matches(last, target)]
        if met:
            self.put((f"stopped at {', '.join(met)}", "yellow"))
        self._show_step()

    def do_until(self, arg: str) -> None:
        """until TARGET: goes on to the next step that involves TARGET

        TARGET is a node that gets a number, an operation (mul or *), or a phase: forward, backward.
        Examples: until a    until tanh    until backward
        """
        if not arg:
            raise ValueError(
                "until needs a target, such as until backward; there are "
                f"{names_text(self._targets)}"
            )
        target = find_name(arg, self._targets)
        try:
            self.stepper.run_to(target)
        except ValueError:
            message = f"no step involves {target}"
            if steps := self._steps_about(target):
                message = f"no later step involves {target}, only {steps}; goto goes back"
            raise ValueError(message) from None
        self._show_step()

    def do_goto(self, arg: str) -> None:
        """goto N: goes to step N, in either direction

        Step 0 is the start.
        Example: goto 7
        """
        last = len(self.recording)
        given = f", not {short_repr(arg)}" if arg else ""
        number = step_number(arg, f"goto takes the number of a step, 0 to {last}{given}")
        if number > last:
            digits = arg if len(arg) < 20 else f"{arg[:17]}..."
            raise ValueError(f"there is no step {digits}; the last one is {last}")
        self.stepper.goto(number)
        self._show_step()

    def do_restart(self, arg: str) -> None:
        """restart: goes to before the first step

        Breakpoints and watches stay.
        """
        no_argument(arg, "restart")
        self.stepper.restart()
        self._show_step()

    def do_finish(self, arg: str) -> None:
        """finish, end: goes to the end

        It does not stop at breakpoints.
        """
        no_argument(arg, "finish")
        self.stepper.finish()
        self._show_step()

    # ---- looking

    def do_print(self, arg: str) -> None:
        """p EXPR: prints numbers at the current step

        A name alone prints its data and its gradient.  In an expression a name is its data, and
        grad(NAME) or NAME.grad the gradient accumulated so far.  Functions are the primitives of
        the table: tanh, exp, ...  In expressions, names with spaces or signs need quotes.
        Examples: p a    p grad(a) * 2    p 1 - y**2    p "two words" + layers.0.w.1
        """
        if not arg:
            raise ValueError(
                "p needs a name or an expression, such as p grad(a) * 2; there are "
                f"{names_text(self._names)}"
            )
        self.put(value_text(self.stepper, arg))

    def do_list(self, arg: str) -> None:
        """l, list [N]: lists the steps around this one, or around step N

        With two numbers, l FIRST LAST, it lists the steps from FIRST to LAST.
        Examples: l    l 10    l 0 20
        """
        position = self.stepper.position
        last = len(self.recording)
        wrong = (
            f"list takes the number of a step, 0 to {last}, or two of them, not {short_repr(arg)}"
        )
        words = arg.replace(",", " ").split()
        match [step_number(word, wrong) for word in words] or [position]:
            case [middle]:
                first = max(middle - LIST_AROUND, 0)
                stop = middle + LIST_AROUND
            case [first, stop]:
                pass
            case _:
                raise ValueError(wrong)
        stop = min(stop, last)
        if first > stop:
            raise ValueError(f"there are no such steps; this recording has steps 0 to {last}")
        for number in range(first, stop + 1):
            step = self.recording[number - 1] if number else self.recording.start()
            line = f"{number:{len(str(stop))}}  {step.sentence}"
            if number == position:
                self.put((f"-> {line}", "bold"))
            else:
                self.put((f"   {line}", "" if number < position else "dim"))

    def do_where(self, arg: str) -> None:
        """where: shows the path between the root and the node of this step

        In the backward phase: the path of the gradient, from the root down to the last edge
        (marked >), with the derivatives along it and their product.
        In the forward phase: the last operation, and the operations that wait for it, up to the
        root.
        """
        no_argument(arg, "where")
        for i, line in enumerate(where(self.recording, self.stepper.position)):
            marked = "bold" if line.startswith(">") else ""
            self.put((line, marked if i else "cyan"))

    def do_draw(self, arg: str) -> None:
        """draw [FILE]: draws the graph, by default to graph.svg

        It shows the gradients at the current step.  The suffix of FILE chooses the format: .svg
        .png .pdf .dot .html
        Example: draw y.png
        """
        from ..drawing.draw import draw
        from ..drawing.model import MAX_NODES

        title = f"step {self.stepper.position} of {len(self.recording)}, {self.stepper.step.phase}"
        drawing = draw(self._graph(), title=title, max_nodes=MAX_NODES)  # every node, as in a step
        path = drawing.save(unquoted(arg) or "graph.svg")
        self.put(f"wrote {path}")

    def do_orders(self, arg: str) -> None:
        """orders: compares the right backward order with a wrong one

        The wrong order is a plain recursion.  If a node is used twice, its gradients can be wrong;
        the text shows where and why.
        """
        no_argument(arg, "orders")
        self.put(str(compare_orders(self._graph())))

    # ---- breakpoints and watches

    def do_break(self, arg: str) -> None:
        """break [TARGET]: makes c stop at TARGET; alone, lists the breakpoints

        TARGET is a name, an operation or a phase, as for until.
        Examples: break    break a    break mul
        """
        breakpoints = self.stepper.breakpoints
        if not self._add(arg, breakpoints, self._targets, "a breakpoint"):
            self.put("no breakpoints; break TARGET sets one")
        for target in breakpoints[-1 if arg else 0:]:
            self.put(f"breakpoint at {target}: {self._steps_about(target) or 'no steps'}")

    def do_clear(self, arg: str) -> None:
        """clear [TARGET]: removes a breakpoint, or all of them

        Example: clear mul
        """
        self._remove(arg, self.stepper.breakpoints, "breakpoint")

    def do_watch(self, arg: str) -> None:
        """w, watch [NAME]: adds NAME to every view; alone, lists the watches

        Example: w a
        """
        if not self._add(arg, self.stepper.watches, self._names, "watched"):
            self.put("no watches; w NAME adds one")
        watches = [text for kind, text in self.stepper.lines() if kind == "watch"]
        for line in watches[-1 if arg else 0 :]:
            self.put((line, STYLES["watch"]))

    def do_unwatch(self, arg: str) -> None:
        """unwatch [NAME]: removes a watch, or all of them

        Example: unwatch a
        """
        self._remove(arg, self.stepper.watches, "watch", "watches")

    # ---- what `cmd` asks for

    def onecmd(self, line: str) -> bool:
        """Runs one line.

        Ctrl-C stops it and restores the position.
        """
        position = self.stepper.position
        try:
            return super().onecmd(line)
        except KeyboardInterrupt:
            # rebuilds the state, which may be incomplete
            self.stepper.finish().goto(position)
            self.interrupted()
            return False

    def default(self, line: str) -> None:
        """Rejects an unknown command.

        Raises:
            ValueError: always; the message lists the commands.
        """
        if matching_name(line, self._names) is not None:
            raise ValueError(
                f"{short_repr(line.split(maxsplit=1)[0])} is not a command; p {line} prints the "
                "node of that name"
            )
        super().default(line)

    def completedefault(self, *args: Any) -> list[str]:
        """Returns replacements for the last word.

        args: the word, the line, and the beginning and the end of the word.
        """
        word, line, _, end = args
        command = self.parseline(line)[0]
        line = line[:end]
        if command == "print":
            return expression_completions(word, line, self._names)
        known: dict[str | None, Collection[str]] = {
            "until": self._targets,
            "break": self._targets,
            "clear": self.stepper.breakpoints,
            "watch": self._names,
            "unwatch": self.stepper.watches,
        }
        return completions(word, line, known.get(command, ()))

    # ---- what the commands have in common

    def _move(self, distance: int) -> None:
        if not self._at_an_end(distance):
            self.stepper.goto(min(max(self.stepper.position + distance, 0), len(self.recording)))
            self._show_step()

    def _at_an_end(self, distance: int) -> bool:
        """Returns whether the stepper cannot move in this direction, and says so."""
        if distance > 0 and self.stepper.position == len(self.recording):
            self.put("this is the end; b goes back, restart begins again, q leaves")
        elif distance < 0 and self.stepper.position == 0:
            self.put("this is the start; n does the first step")
        else:
            return False
        return True

    def _steps_about(self, target: str) -> str:
        indices = range(len(self.recording))
        steps = [str(i + 1) for i in indices if self.recording.matches(i, target)]
        if len(steps) < 2:
            return f"step {steps[0]}" if steps else ""
        more = f" and {len(steps) - 8:,} more" if len(steps) > 8 else ""
        return f"steps {', '.join(steps[:8])}{more}"

    def _add(self, arg: str, things: list[str], known: Collection[str], what: str) -> bool:
        """Adds the name that was typed, if one was, and returns whether there are things now."""
        if arg:
            name = find_name(arg, known)
            if name in things:
                raise ValueError(f"{name} is {what} already")
            things.append(name)
        return bool(things)

    def _remove(self, arg: str, things: list[str], what: str, plural: str = "") -> None:
        if arg:
            if not things:
                raise ValueError(f"there is no {what} to remove")
            things.remove(find_name(arg, things))
        else:
            things.clear()
        self.put(f"{counted(len(things), what, plural)} left")

    def _graph(self) -> Value:
        """Returns a copy of the graph with the gradients at the current step."""
        values = self.recording.values()
        for i, value in enumerate(values):
            value.grad = self.stepper.numbers(i)[1]
        return values[self.recording.root]

    def _show_step(self) -> None:
        """Writes the lines of the step, and changes the prompt after them."""
        step = self.stepper.step
        formula = step.sentence.removeprefix(step.words)
        ends = {"sentence": formula, "changed": short_number(step.after)}
        for kind, line in self.stepper.lines():
            end = ends.get(kind, "")
            self.put((line.removesuffix(end), STYLES[kind]), (end, END_STYLES.get(kind, "")))
        self.prompt = f"(step {self.stepper.position}/{len(self.recording)}) "


def _title(recording: Recording) -> str:
    title = recording.nodes[recording.root].name
    if expression := _expression(recording):
        title += f" = {expression}"
    forward = counted(recording.forward, "step")
    backward = len(recording) - recording.forward
    title += f": {counted(len(recording.nodes), 'node')}, {forward} forward, {backward:,} backward"
    return f"{title}, in the naive order" if recording.order == "naive" else title


def _expression(recording: Recording) -> str:
    """Returns the root as an expression of leaves and of nodes used twice: ``tanh(a * b + c)``.

    It is "" if the expression is too long, or the root is a leaf.
    """
    uses = Counter(chain.from_iterable(node.args for node in recording.nodes))
    texts: list[Name] = []
    for i, node in enumerate(recording.nodes):
        text = as_name(node.data) if node.constant else Name(node.name)
        if node.op and uses[i] < 2:
            text = Name.apply_primitive(lookup(node.op), tuple([texts[arg] for arg in node.args]))
        texts.append(text if len(text.text) <= MAX_TITLE_LENGTH else TOO_LONG)
    root = texts[recording.root]
    return root.text if root is not TOO_LONG and recording.nodes[recording.root].op else ""


def _parse_count(arg: str, command: str, remedy: str = "") -> int:
    return step_number(
        arg or "1",
        f"{command} takes a whole number of steps, such as {command} 3, not "
        f"{short_repr(arg)}{remedy}",
    )
