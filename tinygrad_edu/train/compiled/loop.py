"""Many steps of the compiled engine in one call, for a run without callbacks between steps.

``steps`` makes up to ``count`` steps and returns how many it made.  It stops before a step whose
loss or gradient is not finite, with the gradient of the step before.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from ...jit.running import objects
from ...jit.running.callbacks import prototype, reraise
from ...jit.running.memory import AlignedBuffer
from ...jit.running.sums import native
from ..task import Task

STEPS = """declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare double @llvm.vector.reduce.fadd.v4f64(double, <4 x double>)
declare double @llvm.fabs.f64(double)
declare void @fold(ptr, ptr, i64)
declare void @merge(ptr, ptr, i64, i64)
declare void @finish(ptr, ptr, ptr, i64, i64)
define i64 @steps(
  ptr %penalty, ptr %batch, ptr %columns, ptr %results, ptr %tail_columns, ptr %tail_results,
  ptr %scratch, ptr %lanes, ptr %vector, ptr %totals, ptr %added, ptr %before, ptr %error,
  ptr %rule, ptr %uniform, ptr %rule_scratch, ptr %reads0, ptr %writes0, ptr %reads1,
  ptr %writes1, ptr %done, ptr %rates, ptr %losses,
  i64 %whole, i64 %tail, i64 %sums, i64 %samples, i64 %rule_vectors, i64 %first, i64 %count,
  double %first_step
) {
entry:
  %check.at = getelementptr inbounds double, ptr %error, i64 1
  %step.at = getelementptr inbounds double, ptr %uniform, i64 1
  %totals.bytes = mul i64 %sums, 8
  %has.penalty = icmp ne ptr %penalty, null
  %has.whole = icmp ne i64 %whole, 0
  %has.tail = icmp ne i64 %tail, 0
  br label %head
head:
  %k = phi i64 [ 0, %entry ], [ %k1, %update ]
  %now = phi i64 [ %first, %entry ], [ %other, %update ]
  %finished = icmp eq i64 %k, %count
  br i1 %finished, label %end, label %begin
begin:
  %second = trunc i64 %now to i1
  %reads = select i1 %second, ptr %reads1, ptr %reads0
  %writes = select i1 %second, ptr %writes1, ptr %writes0
  %parameters.at = getelementptr inbounds ptr, ptr %reads, i64 1
  %parameters = load ptr, ptr %parameters.at
  call void @llvm.memcpy.p0.p0.i64(ptr %before, ptr %totals, i64 %totals.bytes, i1 false)
  call void @llvm.memset.p0.i64(ptr %totals, i8 0, i64 %totals.bytes, i1 false)
  br i1 %has.penalty, label %with.penalty, label %samples.begin
with.penalty:
  call void %penalty(ptr %parameters, ptr %added, ptr %error)
  br label %samples.begin
samples.begin:
  br i1 %has.whole, label %vectors, label %rest
vectors:
  call void %batch(ptr %parameters, ptr %columns, ptr %results, ptr %scratch, ptr %lanes, \
ptr %totals, i64 %whole, i64 0, i64 0, ptr %error)
  br label %rest
rest:
  br i1 %has.tail, label %last, label %summed
last:
  call void %batch(ptr %parameters, ptr %tail_columns, ptr %tail_results, ptr %scratch, \
ptr %vector, ptr null, i64 1, i64 0, i64 0, ptr %error)
  call void @merge(ptr %lanes, ptr %vector, i64 %sums, i64 %tail)
  br label %summed
summed:
  call void @fold(ptr %lanes, ptr %totals, i64 %sums)
  store <4 x double> zeroinitializer, ptr %check.at, align 8
  call void @finish(ptr %totals, ptr %added, ptr %check.at, i64 %sums, i64 %samples)
  %loss = load double, ptr %totals
  %checks = load <4 x double>, ptr %check.at, align 8
  %check = call double @llvm.vector.reduce.fadd.v4f64(double 0.0, <4 x double> %checks)
  %size = call double @llvm.fabs.f64(double %check)
  %finite = fcmp olt double %size, 0x7FF0000000000000
  %flag = load i32, ptr %error
  %unflagged = icmp eq i32 %flag, 0
  %sound = and i1 %finite, %unflagged
  br i1 %sound, label %update, label %unsound
unsound:
  call void @llvm.memcpy.p0.p0.i64(ptr %totals, ptr %before, i64 %totals.bytes, i1 false)
  br label %end
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
  call void %rule(ptr %uniform, ptr %reads, ptr %writes, ptr %rule_scratch, ptr null, ptr null, \
i64 %rule_vectors, i64 0, i64 0, ptr %error)
  store double %done.after, ptr %done
  %k1 = add i64 %k, 1
  %other = xor i64 %now, 1
  br label %head
end:
  %made = phi i64 [ %k, %head ], [ %k, %unsound ]
  ret i64 %made
}
"""


@cache
def _library() -> Any:
    sums = {name: native().addresses[name] for name in ("fold", "merge", "finish")}
    return objects.loaded(objects.targeted(STEPS), sums, ["steps"])


class StepLoop:
    """Makes the calls of ``steps``, and adds their steps to the history of the task.

    addresses: the first arguments, up to ``writes1``.  A penalty with the address 0 is not called.
    integers: the next arguments, up to ``rule_vectors``.
    done: counts the steps that were made.
    """

    MAX_STEPS = 1_024  # steps in one call

    def __init__(
        self,
        task: Task,
        addresses: Sequence[Any],
        integers: Sequence[int],
        done: AlignedBuffer,
    ) -> None:
        self._task = task
        self._integers = integers
        self._done = done
        self._rates = AlignedBuffer(self.MAX_STEPS)
        self._losses = AlignedBuffer(self.MAX_STEPS)
        self._addresses = [
            *addresses, done.address, self._rates.address, self._losses.address,
        ]
        self._steps = prototype(STEPS, "steps")(_library()["steps"])
        self._next = 16
        self._pending: tuple[int, int, list[float], float] | None = None

    def run(self, count: int) -> int:
        """Makes up to ``count`` steps, as `Runner.run_steps` describes."""
        optimizer = self._task.optimizer
        rates: list[float] = []
        try:
            for k in range(min(count, self._next)):
                rates.append(optimizer.lr_at(optimizer.steps + k))
        except Exception:  # raised again when that step is made
            if not rates:
                return 0
        self._rates.write(0, rates)
        done = int(self._done[0])
        began = self._task.seconds
        self._pending = done, len(self._task.history), rates, began
        made: int = self._steps(
            *self._addresses, *self._integers, done % 2, len(rates),
            optimizer.steps - done,
        )
        self.settle()
        reraise()
        # often enough to show progress and to notice Ctrl-C
        if made == self._next and self._task.seconds - began < 0.01:
            self._next = min(2 * self._next, self.MAX_STEPS)
        return made

    def settle(self) -> bool:
        """Adds the steps of the last call to the history, if this was not done already.

        Returns whether there were any.
        """
        if self._pending is None:
            return False
        done, steps, rates, began = self._pending
        history = self._task.history
        optimizer = self._task.optimizer
        made = int(self._done[0]) - done
        taken = self._task.seconds - began
        history.loss[steps:] = self._losses.read(0, made)
        history.learning_rates[steps:] = rates[:made]
        history.seconds[steps:] = [began + taken * (k + 1) / made for k in range(made)]
        history.epoch_ends[steps:] = range(steps + 1, steps + made + 1)  # each step is an epoch
        optimizer.steps += made
        self._pending = None
        return made > 0
