"""Many steps of the compiled engine in one call, for a run without callbacks between steps.

``steps(plan, now, count, rates, losses)`` makes up to ``count`` steps and returns how many it made.
It stops before a step whose loss or gradient is not finite.  The plan (`PLAN`) has the addresses of
functions and buffers that a step uses.
"""

from __future__ import annotations

import ctypes
import time
from functools import cache
from typing import Any

from ..jit.languages.emitter import LANES
from ..jit.running import objects
from ..jit.running.callbacks import reraise
from ..jit.running.memory import AlignedBuffer
from .samples import Plan

# The entries of a plan, 8 bytes each.  A function with the address 0 is not called.
POINTERS = (
    "penalty", "penalty_out", "batch", "columns", "results", "scratch", "totals", "tail_columns",
    "tail_results", "error", "rule", "uniform", "rule_scratch", "done",
)
INTEGERS = ("blocks", "tail_valid", "rule_blocks", "gradient_bytes")
DOUBLES = ("scale", "first_step")
COPIES = ("parameters", "reads", "writes")  # addresses that each of the two copies has
PLAN = (*POINTERS, *INTEGERS, *DOUBLES, *[f"{name}{copy}" for name in COPIES for copy in (0, 1)])
_POSITIONS = {name: i for i, name in enumerate(PLAN)}


def _load(name: str, kind: str) -> str:
    """Returns the instructions that read an entry of the plan."""
    return (f"  %{name}.at = getelementptr inbounds i64, ptr %plan, i64 {_POSITIONS[name]}\n"
            f"  %{name} = load {kind}, ptr %{name}.at")


def _load_current(name: str) -> str:
    """Returns the instructions that read the address of the copy that this step uses."""
    return (f"  %{name}.turn = add i64 %now, {_POSITIONS[name + '0']}\n"
            f"  %{name}.turn.at = getelementptr inbounds i64, ptr %plan, i64 %{name}.turn\n"
            f"  %{name} = load ptr, ptr %{name}.turn.at")


def _text(lanes: int) -> str:
    """Returns the module of ``steps``."""
    loads = [
        *[_load(name, "ptr") for name in POINTERS],
        *[_load(name, "i64") for name in INTEGERS],
        *[_load(name, "double") for name in DOUBLES],
    ]
    buffers = map(_load_current, COPIES)
    return STEPS.format(loads="\n".join(loads), buffers="\n".join(buffers), lanes=lanes)


STEPS = """declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare double @llvm.fabs.f64(double)
define i64 @steps(ptr %plan, i64 %first, i64 %count, ptr %rates, ptr %losses) {{
entry:
{loads}
  %gradient = getelementptr inbounds double, ptr %totals, i64 1
  %penalty.gradient = getelementptr inbounds double, ptr %penalty_out, i64 1
  %check.at = getelementptr inbounds double, ptr %error, i64 1
  %step.at = getelementptr inbounds double, ptr %uniform, i64 1
  %has.penalty = icmp ne ptr %penalty, null
  %has.blocks = icmp ne i64 %blocks, 0
  %has.tail = icmp ne i64 %tail_valid, 0
  br label %head
head:
  %k = phi i64 [ 0, %entry ], [ %k1, %update ]
  %now = phi i64 [ %first, %entry ], [ %other, %update ]
  %finished = icmp eq i64 %k, %count
  br i1 %finished, label %end, label %begin
begin:
{buffers}
  store double 0.0, ptr %totals
  br i1 %has.penalty, label %with.penalty, label %without.penalty
with.penalty:
  call void %penalty(ptr %parameters, ptr %penalty_out, ptr %error)
  call void @llvm.memcpy.p0.p0.i64(ptr %gradient, ptr %penalty.gradient, \
i64 %gradient_bytes, i1 false)
  %added = load double, ptr %penalty_out
  br label %samples
without.penalty:
  call void @llvm.memset.p0.i64(ptr %gradient, i8 0, i64 %gradient_bytes, \
i1 false)
  br label %samples
samples:
  %penalty.value = phi double [ %added, %with.penalty ], [ 0.0, %without.penalty ]
  br i1 %has.blocks, label %whole, label %rest
whole:
  call void %batch(ptr %parameters, ptr %columns, ptr %results, ptr %scratch, ptr %totals, \
i64 %blocks, i64 {lanes}, ptr %error)
  br label %rest
rest:
  br i1 %has.tail, label %tail, label %summed
tail:
  call void %batch(ptr %parameters, ptr %tail_columns, ptr %tail_results, ptr %scratch, \
ptr %totals, i64 1, i64 %tail_valid, ptr %error)
  br label %summed
summed:
  %sum = load double, ptr %totals
  %mean = fmul double %sum, %scale
  %loss = fadd double %mean, %penalty.value
  %check = load double, ptr %check.at
  %size = call double @llvm.fabs.f64(double %check)
  %loss.size = call double @llvm.fabs.f64(double %loss)
  %fine = fcmp olt double %size, 0x7FF0000000000000
  %loss.fine = fcmp olt double %loss.size, 0x7FF0000000000000
  %flag = load i32, ptr %error
  %unflagged = icmp eq i32 %flag, 0
  %both = and i1 %fine, %loss.fine
  %sound = and i1 %both, %unflagged
  br i1 %sound, label %update, label %end
update:
  %loss.at = getelementptr inbounds double, ptr %losses, i64 %k
  store double %loss, ptr %loss.at
  %rate.at = getelementptr inbounds double, ptr %rates, i64 %k
  %rate = load double, ptr %rate.at
  store double %rate, ptr %uniform
  %done.before = load double, ptr %done
  %done.after = fadd double %done.before, 1.0
  %step = fadd double %first_step, %done.after
  store double %step, ptr %step.at
  call void %rule(ptr %uniform, ptr %reads, ptr %writes, ptr %rule_scratch, ptr null, \
i64 %rule_blocks, i64 {lanes}, ptr %error)
  store double %done.after, ptr %done
  %k1 = add i64 %k, 1
  %other = xor i64 %now, 1
  br label %head
end:
  %made = phi i64 [ %k, %head ], [ %k, %summed ]
  ret i64 %made
}}
"""


@cache
def _compiled(lanes: int) -> Any:
    return objects.loaded(objects.targeted(_text(lanes)), {}, ["steps"])


def steps(lanes: int) -> Any:
    """Returns the function, to be called with addresses and numbers."""
    address = ctypes.c_void_p
    integer = ctypes.c_long
    return ctypes.CFUNCTYPE(integer, address, integer, integer, address, address)(
        _compiled(lanes)["steps"]
    )


class NativePlan(ctypes.Structure):
    """The plan of a loop, see `PLAN`."""

    _fields_ = [
        (name, ctypes.c_double if name in DOUBLES else ctypes.c_int64)
        for name in PLAN
    ]


class StepLoop:
    """Makes the calls of `steps` for `Engine.run_steps`, and adds their steps to the history."""

    MAX_STEPS = 1_024  # steps in one call

    def __init__(self, engine: Any, plan: Plan) -> None:
        self._engine = engine
        self._group = plan.groups[0]
        self._scale = plan.scale
        self._rates = AlignedBuffer(self.MAX_STEPS)
        self._losses = AlignedBuffer(self.MAX_STEPS)
        self._run = steps(LANES)
        self._next = 16
        self._pending: tuple[Any, ...] | None = None

    def _plan(self) -> NativePlan:
        engine = self._engine
        group = self._group
        group.set(engine.data[0], self._scale)
        group.set(engine.data[1], self._scale)
        whole, tail = group.calls()
        rule = engine.rule
        penalty = engine.penalty
        return NativePlan(
            penalty=penalty.address if penalty else 0,
            penalty_out=penalty.out.address if penalty else 0,
            batch=group.loss.batch.address,
            columns=whole[0],
            results=whole[1],
            scratch=group.loss.scratch.address,
            totals=engine.totals.address,
            blocks=whole[2],
            tail_columns=tail[0],
            tail_results=tail[1],
            tail_valid=tail[3] if tail[2] else 0,
            error=engine.error.address,
            rule=rule.batch.address,
            uniform=rule.uniform.address,
            rule_scratch=rule.scratch.address,
            rule_blocks=engine.blocks,
            gradient_bytes=8 * engine.count,
            scale=self._scale,
            done=engine.done.address,
            first_step=engine.since,
            parameters0=engine.data[0].address,
            parameters1=engine.data[1].address,
            reads0=rule.columns[0][0],
            reads1=rule.columns[1][0],
            writes0=rule.columns[0][1],
            writes1=rule.columns[1][1],
        )

    def run(self, count: int, history: Any, start: float) -> int:
        """Makes up to ``count`` steps, as `Engine.run_steps` describes."""
        engine = self._engine
        done = int(engine.done[0])
        rates: list[float] = []
        try:
            for k in range(min(count, self._next)):
                rates.append(engine.optimizer.lr_at(engine.since + done + k))
        except Exception:  # raised again when that step is made
            if not rates:
                return 0
        self._rates.write(0, rates)
        began = time.perf_counter()
        self._pending = done, len(history), len(history.epoch_ends), rates, began - start
        plan = self._plan()
        made: int = self._run(
            ctypes.addressof(plan),
            engine.now,
            len(rates),
            self._rates.address,
            self._losses.address,
        )
        self.settle(history, start)
        reraise()
        taken = time.perf_counter() - began
        # often enough to show progress and to notice Ctrl-C
        if made == self._next and taken < 0.01:
            self._next = min(2 * self._next, self.MAX_STEPS)
        return made

    def settle(self, history: Any, start: float) -> None:
        """Adds the steps of the last call to the history; a second call changes nothing."""
        if self._pending is None:
            return
        done, steps, epochs, rates, began = self._pending
        made = int(self._engine.done[0]) - done
        ended = time.perf_counter() - start
        history.loss[steps:] = self._losses.read(0, made)
        history.learning_rates[steps:] = rates[:made]
        history.seconds[steps:] = [began + (ended - began) * (k + 1) / made for k in range(made)]
        history.epoch_ends[epochs:] = range(steps + 1, steps + made + 1)
        self._engine.optimizer.steps = self._engine.since + done + made
        self._pending = None
