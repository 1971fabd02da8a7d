"""A shell to step through a graph, with the verbs of pdb: `debug`, and ``tinygrad-edu step
"tanh(a*b + c)" a=2 b=-3 c=10``.

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
      ∂y/∂a += ∂y/∂y · ∂y/∂a = 1 × 3 = 3   [∂y/∂a = a]
      changed: grad of a: 0 -> 3
      next:    ∂y/∂a += ∂y/∂y · ∂y/∂a = 1 × 3 = 3   [∂y/∂a = a]
    (step 3/4) p a
    a: data 3.0, grad 3.0 after 1 of 2 contributions
    (step 3/4) q

Where the input is no terminal, prompts and commands are written out as here, so that the output is
a transcript.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import IO, Any, ClassVar

from tinygrad_edu import Value
from tinygrad_edu.debug.orders import compare_orders
from tinygrad_edu.debug.recording import Recording
from tinygrad_edu.debug.stepper import Stepper, recording_of
from tinygrad_edu.debug.text import short_number
from tinygrad_edu.engine.primitives import lookup, short_repr
from tinygrad_edu.errors import counted
from tinygrad_edu.symbolic.formulas import Name, as_name

from .printing import completed_expression, printed
from .terminal import CommandLine
from .where import where
from .words import completed, find, meant, no_argument, some, unquoted, whole

LIST_AROUND = 5  # steps that `list` shows before and after one
# How the lines of `Stepper.lines` look; and the end of two of them, which is the rule and the new
# number.
STYLES = {"position": "cyan", "sentence": "bold", "changed": "", "watch": "cyan", "next": "dim"}
ENDS = {"sentence": "dim", "changed": "bold green"}
TITLE_LENGTH = 60  # characters; a longer expression is not shown in the first line


def debug(
    y: Value | Recording | Stepper,
    *,
    stdin: IO[str] | None = None,
    stdout: IO[str] | None = None,
    color: bool | None = None,
) -> None:
    """Steps through the graph of ``y`` on the terminal, forwards and backwards, until you leave;
    ``h`` lists the commands.

    y         a Value; or a Recording; or a Stepper, which goes on from where it is, and stays where
              you leave it
    stdin     where commands come from, by default the terminal; from anything else they are
              repeated in the output
    stdout    where the output goes, by default the terminal
    color     whether to use colours; by default on a terminal, unless NO_COLOR is set

    Nothing of the graph of ``y`` is changed.  Raises TypeError for another ``y``.
    """
    Shell(
        y if isinstance(y, Stepper) else Stepper(recording_of(y, "debug()")), stdin, stdout, color
    ).run()


class Shell(CommandLine):
    """The commands of `debug`, each of them a method ``do_...`` whose docstring is its help.

    stepper      the `Stepper` that they move
    recording    its recording
    """

    groups: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "Move": ("next", "back", "continue", "until", "goto", "restart", "finish"),
        "Look": ("print", "list", "where", "draw", "orders"),
        "Stop and watch": ("break", "clear", "watch", "unwatch"),
        **CommandLine.groups,
    }
    # pdb's letters, where they mean the same here; `b` is back, and `w` is watch.
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
        self.stepper, self.recording = stepper, stepper.recording
        self._names, self._targets = self.recording.positions, self.recording.targets()

    def run(self) -> None:
        """Shows where the stepper is, and obeys commands until `quit`, Ctrl-C or the end of the
        input."""
        self.put((_title(self.recording), "bold"), "; h for help")
        self._view()
        super().run()

    # ---- moving

    def do_next(self, arg: str) -> None:
        """n, next [COUNT]: does the next step, or COUNT of them

        Example: n 3
        """
        self._move(_count(arg, "next"))

    def do_back(self, arg: str) -> None:
        """b, back [COUNT]: undoes the last step, or COUNT of them

        Example: b 2
        """
        is_target = meant(arg, self._targets) is not None  # in pdb `b` is break
        self._move(
            -_count(arg, "back", f"; to stop at {arg}, write: break {arg}" if is_target else "")
        )

    def do_continue(self, arg: str) -> None:
        """c, continue: goes on to the next breakpoint, else to the end

        Breakpoints are set by break.
        """
        no_argument(arg, "continue")
        if self._at_an_end(1):
            return
        self.stepper.run()
        met = [
            target
            for target in self.stepper.breakpoints
            if self.recording.matches(self.stepper.position - 1, target)
        ]
        if met:
            self.put((f"stopped at {', '.join(met)}", "yellow"))
        self._view()

    def do_until(self, arg: str) -> None:
        """until TARGET: goes on to the next step about TARGET

        TARGET is a node that gets a number, an operation that acts (mul or *), or a phase: forward,
        backward.
        Examples: until a    until tanh    until backward
        """
        if not arg:
            raise ValueError(
                f"until needs a target, such as until backward; there are {some(self._targets)}"
            )
        target = find(arg, self._targets)
        try:
            self.stepper.run_to(target)
        except ValueError:
            steps = self._steps_about(target)
            raise ValueError(
                f"no step after this one is about {target}, only {steps}; goto goes back"
                if steps
                else f"no step is about {target}"
            ) from None
        self._view()

    def do_goto(self, arg: str) -> None:
        """goto N: goes to step N, in either direction

        Step 0 is the start.
        Example: goto 7
        """
        last = len(self.recording)
        number = whole(
            arg,
            f"goto takes the number of a step, 0 to {last}"
            + (f", not {short_repr(arg)}" if arg else ""),
        )
        if number > last:
            raise ValueError(
                f"there is no step {arg if len(arg) < 20 else arg[:17] + '...'}; the last one is "
                f"{last}"
            )
        self.stepper.goto(number)
        self._view()

    def do_restart(self, arg: str) -> None:
        """restart: goes to before the first step

        Breakpoints and watches stay.
        """
        no_argument(arg, "restart")
        self.stepper.restart()
        self._view()

    def do_finish(self, arg: str) -> None:
        """finish, end: goes to the end

        It does not stop at breakpoints.
        """
        no_argument(arg, "finish")
        self.stepper.finish()
        self._view()

    # ---- looking

    def do_print(self, arg: str) -> None:
        """p EXPR: prints numbers as they are at this moment

        A name alone prints its data and its gradient.  In an expression a name is its data, and
        grad(NAME) its gradient as far as it has been accumulated; NAME.grad is the same.  The
        functions are those of the table: tanh, exp, ...  Names with spaces or signs in them need
        quotes there.
        Examples: p a    p grad(a) * 2    p 1 - y**2    p "two words" + layers.0.w.1
        """
        if not arg:
            raise ValueError(
                "p needs a name or an expression, such as p grad(a) * 2; there are "
                f"{some(self._names)}"
            )
        self.put(printed(self.stepper, arg))

    def do_list(self, arg: str) -> None:
        """l, list [N]: lists the steps around this one, or around step N

        With two numbers, l FIRST LAST, it lists the steps from FIRST to LAST.
        Examples: l    l 10    l 0 20
        """
        position, last = self.stepper.position, len(self.recording)
        wrong = (
            f"list takes the number of a step, 0 to {last}, or two of them, not {short_repr(arg)}"
        )
        numbers = [whole(number, wrong) for number in arg.replace(",", " ").split()] or [position]
        if len(numbers) > 2:
            raise ValueError(wrong)
        first, stop = (
            numbers
            if len(numbers) == 2
            else (max(numbers[0] - LIST_AROUND, 0), numbers[0] + LIST_AROUND)
        )
        stop = min(stop, last)
        if first > stop:
            raise ValueError(f"there are no such steps; this recording has steps 0 to {last}")
        for number in range(first, stop + 1):
            step = self.recording[number - 1] if number else self.recording.start()
            self.put(
                (
                    f"{'->' if number == position else '  '} {number:{len(str(stop))}}  "
                    f"{step.sentence}",
                    "bold" if number == position else "" if number < position else "dim",
                )
            )

    def do_where(self, arg: str) -> None:
        """where: shows the path between the root and the node of this step

        In the backward phase: the path that the gradient took, from the root down to the operation
        whose edge was followed last (marked >), with the derivatives along it, and their product.
        In the forward phase: the operation done last, and those that wait for it, up to the root.
        """
        no_argument(arg, "where")
        for i, line in enumerate(where(self.recording, self.stepper.position)):
            self.put((line, "cyan" if i == 0 else "bold" if line.startswith(">") else ""))

    def do_draw(self, arg: str) -> None:
        """draw [FILE]: draws the graph, by default to graph.svg

        The gradients in it are those of this moment.  The suffix of FILE chooses the format: .svg
        .png .pdf .dot .html Example: draw y.png
        """
        from .. import draw

        title = f"step {self.stepper.position} of {len(self.recording)}, {self.stepper.step.phase}"
        path = draw(self._graph(), title=title).save(unquoted(arg) or "graph.svg")
        self.put(f"wrote {path}")

    def do_orders(self, arg: str) -> None:
        """orders: runs backpropagation in a wrong order beside the right one

        The wrong order is that of a plain recursion.  Where a node is used twice it can give other
        gradients, and the text shows where and why.
        """
        no_argument(arg, "orders")
        self.put(str(compare_orders(self._graph())))

    # ---- breakpoints and watches

    def do_break(self, arg: str) -> None:
        """break [TARGET]: makes c stop at TARGET; alone, lists the breakpoints

        TARGET is what until takes: a name, an operation or a phase.
        Examples: break    break a    break mul
        """
        if arg:
            target = find(arg, self._targets)
            if target in self.stepper.breakpoints:
                raise ValueError(f"{target} is a breakpoint already")
            self.stepper.stop_at(target)
        elif not self.stepper.breakpoints:
            self.put("no breakpoints; break TARGET sets one")
        for target in self.stepper.breakpoints[-1 if arg else 0:]:
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
        if arg:
            name = find(arg, self._names)
            if name in self.stepper.watches:
                raise ValueError(f"{name} is watched already")
            self.stepper.watch(name)
        elif not self.stepper.watches:
            self.put("no watches; w NAME adds one")
        for line in [text for kind, text in self.stepper.lines() if kind == "watch"][
            -1 if arg else 0 :
        ]:
            self.put((line, STYLES["watch"]))

    def do_unwatch(self, arg: str) -> None:
        """unwatch [NAME]: removes a watch, or all of them

        Example: unwatch a
        """
        self._remove(arg, self.stepper.watches, "watch")

    # ---- what `cmd` asks for

    def onecmd(self, line: str) -> bool:
        """Runs one line; Ctrl-C stops it, and nothing has changed."""
        position = self.stepper.position
        try:
            return super().onecmd(line)
        except KeyboardInterrupt:
            # whatever was done by half is done again as a whole
            self.stepper.finish().goto(position)
            self.interrupted()
            return False

    def default(self, line: str) -> None:
        """Raises ValueError, which says what there is instead of an unknown command."""
        if meant(line, self._names) is not None:
            raise ValueError(
                f"{short_repr(line.split(maxsplit=1)[0])} is no command; p {line} prints the node "
                "of that name"
            )
        super().default(line)

    def preloop(self) -> None:
        """Makes the first prompt."""
        self.prompt = f"(step {self.stepper.position}/{len(self.recording)}) "

    def postcmd(self, stop: bool, line: str) -> bool:
        """Makes the next prompt."""
        self.preloop()
        return stop

    def completedefault(self, *args: Any) -> list[str]:
        """What the last word of an argument can be: ``args`` are the word, the line, and where the
        word begins and ends."""
        word, line, _, end = args
        command, line = self.parseline(line)[0], line[:end]
        if command == "print":
            return completed_expression(word, line, self._names)
        known: dict[str | None, Collection[str]] = {
            "until": self._targets, "break": self._targets, "clear": self.stepper.breakpoints,
            "watch": self._names, "unwatch": self.stepper.watches}
        return completed(word, line, known.get(command, ()))

    # ---- what the commands have in common

    def _move(self, distance: int) -> None:
        if not self._at_an_end(distance):
            self.stepper.goto(min(max(self.stepper.position + distance, 0), len(self.recording)))
            self._view()

    def _at_an_end(self, distance: int) -> bool:
        """Whether there is no way to go so far, which is then said."""
        if distance > 0 and self.stepper.position == len(self.recording):
            self.put("this is the end; b goes back, restart begins again, q leaves")
        elif distance < 0 and self.stepper.position == 0:
            self.put("this is the start; n does the first step")
        else:
            return False
        return True

    def _steps_about(self, target: str) -> str:
        steps = [
            str(i + 1) for i in range(len(self.recording)) if self.recording.matches(i, target)
        ]
        more = f" and {len(steps) - 8:,} more" if len(steps) > 8 else ""
        return f"step{'s' * (len(steps) > 1)} {', '.join(steps[:8])}{more}" if steps else ""

    def _remove(self, arg: str, things: list[str], what: str) -> None:
        if arg:
            if not things:
                raise ValueError(f"there is no {what} to remove")
            things.remove(find(arg, things))
        else:
            things.clear()
        self.put(f"{counted(len(things), what, 'es' if what == 'watch' else 's')} left")

    def _graph(self) -> Value:
        """A graph of the recorded numbers, with the gradients of this moment; the user's own stays
        as it is."""
        values = self.recording.values()
        for i, value in enumerate(values):
            value.grad = self.stepper.numbers(i)[1]
        return values[self.recording.root]

    def _view(self) -> None:
        step = self.stepper.step
        formula = step.sentence.removeprefix(step.words)
        ends = {"sentence": formula, "changed": short_number(step.after)}
        for kind, line in self.stepper.lines():
            start, end = STYLES[kind], ENDS.get(kind, "")
            length = len(line) - len(ends.get(kind, ""))
            self.put((line[:length], start), (line[length:], end))


def _title(recording: Recording) -> str:
    root, expression = recording.nodes[recording.root].name, _expression(recording)
    return (
        f"{root}{f' = {expression}' if expression else ''}: "
        f"{counted(len(recording.nodes), 'node')}, "
        f"{counted(recording.forward, 'step')} forward, {len(recording) - recording.forward:,} "
        "backward"
        + (", in the naive order" if recording.order == "naive" else "")
    )


def _expression(recording: Recording) -> str:
    """The root in terms of leaves and of what is used twice, such as tanh(a * b + c); "" if it is
    long, or a leaf."""
    uses = Counter(arg for node in recording.nodes for arg in node.args)
    texts: list[Name | None] = []
    for i, node in enumerate(recording.nodes):
        known = [text for text in (texts[arg] for arg in node.args) if text is not None]
        text: Name | None = None
        if node.constant:
            text = as_name(node.data)
        elif not node.op or uses[i] > 1:
            text = Name(node.name)
        elif len(known) == len(node.args):
            text = Name.apply_primitive(lookup(node.op), tuple(known))
        texts.append(text if text is not None and len(text.text) <= TITLE_LENGTH else None)
    root = texts[recording.root]
    return root.text if root is not None and recording.nodes[recording.root].op else ""


def _count(arg: str, command: str, remedy: str = "") -> int:
    return whole(
        arg or "1",
        f"{command} takes a whole number of steps, such as {command} 3, not "
        f"{short_repr(arg)}{remedy}",
    )
