"""The tape machine as text of LLVM: an interpreter with a case for every operation.

``running/machine.py`` compiles it once a process, encodes tapes for it and runs them.
"""

from __future__ import annotations

from typing import Any

from ...engine import table
from ...engine.primitive import TABLE, Primitive
from ..tape.operations import CONDITIONS, DOT, IF_EQUAL, OPERATIONS, TAKE
from .emitter import Block, Code, Module, is_native
from .llvm import position

MULADD = "muladd"  # a dot with one product

# The rows that the machine knows; lowering leaves no identity.  A row that a program defines, also
# in place of one of them, is expanded or called back.
ROWS = {
    row.name: row
    for row in vars(table).values()
    if isinstance(row, Primitive) and is_native(row) and row.name != "identity"
}
# The operations of the machine; their positions are its codes.
CASES = [DOT, TAKE, "python", MULADD, *sorted([*ROWS, *CONDITIONS, IF_EQUAL])]
CODES = {op: code for code, op in enumerate(CASES)}


def is_case(op: str) -> bool:
    """Returns whether the machine has a case for an operation."""
    return op in OPERATIONS or (op in ROWS and ROWS[op] is TABLE.get(op))


def machine() -> Module:
    """Returns the module of ``machine(code, end, registers, next, error)`` and ``gather``.

    ``machine`` runs code on registers; the result of each instruction goes to the next register,
    from ``next`` on.  ``gather`` adds the outputs to totals.

    An instruction is the code of its operation and the positions of its operands, 4 bytes each.
    Before the operands of ``dot`` and ``take`` stands their number; before the operands of a row
    that is called back stand the number of the row and theirs.
    """
    module = Module()
    cases = [f"case{number}:\n{_case(module, number, op)}" for number, op in enumerate(CASES)]
    phis = ", ".join(f"[ %pc{i}, %done{i} ]" for i in range(len(CASES)))
    switch = " ".join(f"i32 {i}, label %case{i}" for i in range(len(CASES)))
    module.declarations["tg_python"] = "declare double @tg_python(i32, ptr)"
    module.functions.append(MACHINE.format(cases="\n".join(cases), phis=phis, switch=switch))
    return module


def _case(module: Module, number: int, op: str) -> str:
    """Returns the instructions of one case."""
    block = Block(module)
    if op == TAKE:
        place = position(block, Code(block, "%take.index"), "%take.most", "%take.entries")
        return TAKE_CASE.format(n=number, check=block.text(), place=place)
    if op in (DOT, "python"):
        return (DOT_CASE if op == DOT else PYTHON_CASE).format(n=number)
    operation: Any = ROWS.get(op) or OPERATIONS.get(op)
    arity = operation.arity if operation else 3  # of MULADD
    operands = []
    for i in range(arity):
        index = block.add(f"load i32, ptr {block.at('%pc', 1 + i, 'i32')}")
        address = block.add(f"getelementptr inbounds double, ptr %registers, i32 {index}")
        operands.append(block.load(str(address)))
    if op == MULADD:
        result = block.row(table.add, [operands[0], block.row(table.mul, operands[1:])])
    elif op in ROWS:
        result = block.operand(block.row(ROWS[op], operands))
    else:
        result = block.operand(block.operation(op, operands))
    block.lines += [
        f"  store double {result}, ptr %next",
        f"  %pc{number} = getelementptr inbounds i32, ptr %pc, i64 {1 + arity}",
        f"  br label %done{number}\ndone{number}:\n  br label %on",
    ]
    return block.text()


MACHINE = """define void @machine(ptr noalias readonly %code, ptr noalias readonly %end, \
ptr noalias %registers, ptr %first, ptr noalias %error) {{
entry:
  %arguments = alloca double, i32 256
  br label %head
head:
  %pc = phi ptr [ %code, %entry ], [ %pc.on, %on ]
  %next = phi ptr [ %first, %entry ], [ %next.on, %on ]
  %done = icmp eq ptr %pc, %end
  br i1 %done, label %exit, label %step
step:
  %op = load i32, ptr %pc
  switch i32 %op, label %exit [ {switch} ]
{cases}
on:
  %pc.on = phi ptr {phis}
  %next.on = getelementptr inbounds double, ptr %next, i64 1
  br label %head
exit:
  ret void
}}
define void @gather(ptr noalias %totals, ptr noalias %registers, ptr noalias %places, i64 %count, \
ptr noalias %error) {{
entry:
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %i1, %on ]
  %check = phi double [ 0.0, %entry ], [ %check1, %on ]
  %done = icmp eq i64 %i, %count
  br i1 %done, label %exit, label %on
on:
  %at = getelementptr inbounds i32, ptr %places, i64 %i
  %place = load i32, ptr %at
  %from = getelementptr inbounds double, ptr %registers, i32 %place
  %x = load double, ptr %from
  %to = getelementptr inbounds double, ptr %totals, i64 %i
  %before = load double, ptr %to
  %after = fadd double %before, %x
  store double %after, ptr %to
  %check1 = fadd double %check, %after
  %i1 = add i64 %i, 1
  br label %head
exit:
  %check.at = getelementptr inbounds double, ptr %error, i64 1
  store double %check, ptr %check.at
  ret void
}}"""

DOT_CASE = """  %dot.at = getelementptr inbounds i32, ptr %pc, i64 1
  %dot.count = load i32, ptr %dot.at
  %dot.start.at = getelementptr inbounds i32, ptr %pc, i64 2
  %dot.start.i = load i32, ptr %dot.start.at
  %dot.start.p = getelementptr inbounds double, ptr %registers, i32 %dot.start.i
  %dot.start = load double, ptr %dot.start.p
  %dot.pairs = getelementptr inbounds i32, ptr %pc, i64 3
  %dot.length = zext i32 %dot.count to i64
  %dot.end = getelementptr inbounds i32, ptr %pc, i64 %dot.length
  %pc{n} = getelementptr inbounds i32, ptr %dot.end, i64 2
  br label %dot.loop
dot.loop:
  %dot.p = phi ptr [ %dot.pairs, %case{n} ], [ %dot.p1, %dot.loop ]
  %dot.sum = phi double [ %dot.start, %case{n} ], [ %dot.sum1, %dot.loop ]
  %dot.i = load i32, ptr %dot.p
  %dot.j.at = getelementptr inbounds i32, ptr %dot.p, i64 1
  %dot.j = load i32, ptr %dot.j.at
  %dot.x.at = getelementptr inbounds double, ptr %registers, i32 %dot.i
  %dot.x = load double, ptr %dot.x.at
  %dot.y.at = getelementptr inbounds double, ptr %registers, i32 %dot.j
  %dot.y = load double, ptr %dot.y.at
  %dot.xy = fmul double %dot.x, %dot.y
  %dot.sum1 = fadd double %dot.sum, %dot.xy
  %dot.p1 = getelementptr inbounds i32, ptr %dot.p, i64 2
  %dot.last = icmp eq ptr %dot.p1, %pc{n}
  br i1 %dot.last, label %done{n}, label %dot.loop
done{n}:
  store double %dot.sum1, ptr %next
  br label %on"""

TAKE_CASE = """  %take.at = getelementptr inbounds i32, ptr %pc, i64 1
  %take.count = load i32, ptr %take.at
  %take.index.at = getelementptr inbounds i32, ptr %pc, i64 2
  %take.index.i = load i32, ptr %take.index.at
  %take.index.p = getelementptr inbounds double, ptr %registers, i32 %take.index.i
  %take.index = load double, ptr %take.index.p
  %take.length = zext i32 %take.count to i64
  %take.end = getelementptr inbounds i32, ptr %pc, i64 %take.length
  %pc{n} = getelementptr inbounds i32, ptr %take.end, i64 2
  %take.entries = sub i32 %take.count, 1
  %take.most = uitofp i32 %take.entries to double
{check}
  %take.entry.n = add i64 {place}, 3
  %take.entry.at = getelementptr inbounds i32, ptr %pc, i64 %take.entry.n
  %take.entry.i = load i32, ptr %take.entry.at
  %take.entry.p = getelementptr inbounds double, ptr %registers, i32 %take.entry.i
  %take.x = load double, ptr %take.entry.p
  br label %done{n}
done{n}:
  store double %take.x, ptr %next
  br label %on"""

PYTHON_CASE = """  %python.row.at = getelementptr inbounds i32, ptr %pc, i64 1
  %python.row = load i32, ptr %python.row.at
  %python.count.at = getelementptr inbounds i32, ptr %pc, i64 2
  %python.count = load i32, ptr %python.count.at
  %python.length = zext i32 %python.count to i64
  %python.end = getelementptr inbounds i32, ptr %pc, i64 %python.length
  %pc{n} = getelementptr inbounds i32, ptr %python.end, i64 3
  br label %python.loop
python.loop:
  %python.k = phi i64 [ 0, %case{n} ], [ %python.k1, %python.loop ]
  %python.k3 = add i64 %python.k, 3
  %python.at = getelementptr inbounds i32, ptr %pc, i64 %python.k3
  %python.i = load i32, ptr %python.at
  %python.p = getelementptr inbounds double, ptr %registers, i32 %python.i
  %python.x = load double, ptr %python.p
  %python.to = getelementptr inbounds double, ptr %arguments, i64 %python.k
  store double %python.x, ptr %python.to
  %python.k1 = add i64 %python.k, 1
  %python.last = icmp eq i64 %python.k1, %python.length
  br i1 %python.last, label %done{n}, label %python.loop
done{n}:
  %python.result = call double @tg_python(i32 %python.row, ptr %arguments)
  store double %python.result, ptr %next
  br label %on"""
