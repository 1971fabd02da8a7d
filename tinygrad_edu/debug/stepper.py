"""`Stepper`: a cursor on a recording, which moves forwards and backwards in time.

    >>> from tinygrad_edu import Value
    >>> a, b = Value(2.0, "a"), Value(-3.0, "b")
    >>> d = a * b
    >>> d.label = "d"
    >>> stepper = Stepper(record(d))
    >>> stepper.next().step.sentence
    'd = a * b = 2 × (-3) = -6'
    >>> stepper.run_to("a").step.sentence
    'dd/da += dd/dd · ∂d/∂a = 1 × (-3) = -3   [∂d/∂a = b]'
    >>> stepper.back().back().position
    1

There is no input or output here, only data and text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..engine.value import Value
from ..errors import check_int, check_name, check_text
from .recording import Recording, Step, not_a_graph, record
from .text import short_number


def recording_of(y: Recording | Value | Stepper, name: str) -> Recording:
    """Returns the recording of the argument of a function that shows a graph.

    A Value is recorded in topological order.

    Raises:
        TypeError: ``y`` is neither a Value nor a Recording nor a Stepper.  The message begins with
            ``name``, such as "explore: y".
    """
    if isinstance(y, Value):
        return record(y)
    if isinstance(y, Stepper):
        return y.recording
    if isinstance(y, Recording):
        return y
    raise not_a_graph(y, name, "a Value, a Recording or a Stepper")


class Stepper:
    """A cursor on a recording, which moves forwards and backwards.

    Every move returns the stepper, whose repr shows the step.

    recording: the `Recording`.  A Value is recorded; another Stepper shares its recording.
    position: how many steps have been done, 0 to len(recording).
    step: the last step done; its ``phase`` is "start" if no step was done.
    breakpoints: the targets that `run` stops at: names, labels, operations or phases (`stop_at`).
    watches: the names whose data and gradient every view shows (`watch`).
    """

    def __init__(self, recording: Recording | Value | Stepper) -> None:
        self.recording = recording_of(recording, "Stepper: recording")
        self.position = 0
        self.breakpoints: list[str] = []
        self.watches: list[str] = []
        self._data: list[float | None] = [
            None if node.op else node.data for node in self.recording.nodes
        ]
        self._grads: list[float] = [0.0] * len(self.recording.nodes)

    @property
    def step(self) -> Step:
        """The last step done."""
        return self.recording[self.position - 1] if self.position else self.recording.start()

    def next(self, count: int = 1) -> Stepper:
        """Does the next step, or the next ``count`` steps, and stops at the end."""
        count = check_int(count, "next: count", 0)
        return self.goto(min(self.position + count, len(self.recording)))

    def back(self, count: int = 1) -> Stepper:
        """Undoes the last step, or the last ``count`` steps, and stops at the start."""
        return self.goto(max(self.position - check_int(count, "back: count", 0), 0))

    def goto(self, position: int) -> Stepper:
        """Moves to the state after ``position`` steps.

        Raises:
            TypeError: ``position`` is not a whole number.
            IndexError: ``position`` is negative, or larger than the number of steps.
        """
        position = check_int(position, "goto: position")
        if not 0 <= position <= len(self.recording):
            raise IndexError(
                f"goto: position must be from 0 to {len(self.recording)}, the number of steps, "
                f"not {position}"
            )
        events = self.recording.events
        while self.position != position:
            does = self.position < position  # otherwise it undoes
            index = self.position if does else self.position - 1
            numbers: list[Any] = self._data if index < self.recording.forward else self._grads
            numbers[events[index].node] = events[index].after if does else events[index].before
            self.position += 1 if does else -1
        return self

    def run_to(self, target: str) -> Stepper:
        """Does steps until one involves ``target``.

        target: a name, a label, an operation, "forward" or "backward".

        Raises:
            TypeError: ``target`` is not text.
            ValueError: no later step involves ``target``.  The stepper does not move.
        """
        check_text(target, "run_to: target", "write a name, an operation or a phase")
        if (position := self._next_position([target])) is None:
            check_name(target, "run_to: target", self.recording.targets())
            raise ValueError(
                f"run_to: target must be in a later step, but none after step {self.position} "
                f"involves {target!r}; call restart() first"
            )
        return self.goto(position)

    def run(self) -> Stepper:
        """Does steps until one involves a breakpoint, or to the end."""
        position = self._next_position(self.breakpoints)
        return self.finish() if position is None else self.goto(position)

    def stop_at(self, target: str) -> Stepper:
        """Adds a breakpoint.

        Raises:
            TypeError: ``target`` is not text.
            ValueError: the recording has no such target.
        """
        self.breakpoints.append(check_name(target, "stop_at: target", self.recording.targets()))
        return self

    def watch(self, name: str) -> Stepper:
        """Adds a watch.

        Raises:
            TypeError: ``name`` is not text.
            ValueError: the recording has no node of that name.
        """
        self.watches.append(check_name(name, "watch: name", self.recording.positions))
        return self

    def restart(self) -> Stepper:
        """Goes back to the start.

        Breakpoints and watches stay.
        """
        return self.goto(0)

    def finish(self) -> Stepper:
        """Goes to the end."""
        return self.goto(len(self.recording))

    def data(self, name: str) -> float | None:
        """Returns the data of a node at this position, or None if it is not computed yet.

        Raises:
            ValueError: the recording has no node of that name.
        """
        return self._data[self._position_of(name, "data: name")]

    def grad(self, name: str) -> float:
        """Returns the gradient of a node at this position, as accumulated so far.

        Raises:
            ValueError: the recording has no node of that name.
        """
        return self._grads[self._position_of(name, "grad: name")]

    def numbers(self, position: int) -> tuple[float | None, float]:
        """Returns data and gradient of a node at this position of the stepper.

        position: the position of the node in `Recording.nodes`.
        """
        return self._data[position], self._grads[position]

    def lines(self) -> list[tuple[str, str]]:
        """Returns the lines of the view, each with its kind.

        The kinds are "position", "sentence", "changed", "watch" and "next".
        """
        step = self.step
        total = len(self.recording)
        lines = [
            ("position", f"step {self.position} of {total}, {step.phase}"),
            ("sentence", f"  {step.sentence}"),
        ]
        if step.phase == "forward":
            lines.append(("changed", f"  changed: data of {step.name}: {short_number(step.after)}"))
        elif step.phase == "backward":
            change = f"{short_number(step.before)} -> {short_number(step.after)}"
            lines.append(("changed", f"  changed: grad of {step.name}: {change}"))
        for name in self.watches:
            numbers = f"data {short_number(self.data(name))}, grad {short_number(self.grad(name))}"
            lines.append(("watch", f"  watch:   {name}: {numbers}"))
        ahead = "nothing, this is the end"
        if self.position < total:
            ahead = self.recording[self.position].sentence
        return [*lines, ("next", f"  next:    {ahead}")]

    def __repr__(self) -> str:
        return "\n".join([text for _, text in self.lines()])

    def _next_position(self, targets: Sequence[str]) -> int | None:
        """Returns the position after the next step that involves a target, if there is one."""
        for i in range(self.position, len(self.recording)):
            if any(self.recording.matches(i, target) for target in targets):
                return i + 1
        return None

    def _position_of(self, name: str, argument: str) -> int:
        return self.recording.positions[check_name(name, argument, self.recording.positions)]
