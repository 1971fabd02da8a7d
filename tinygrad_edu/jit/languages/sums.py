"""Functions of LLVM for sums over samples, in the order of `summation`.

A vector has a number for each of `LANES` samples.  ``lanes`` is a vector for each sum.

* ``fold(lanes, totals, count)`` ends a block: it adds the lanes to the totals and clears them.
* ``merge(lanes, vectors, count, mask)`` adds those samples of the vectors whose bit is set in
  ``mask`` to the lanes, and clears the vectors.
* ``put(lanes, numbers, count, lane)`` adds the numbers of one sample to a lane, and clears them.
* ``add(totals, rows, count, entries)`` adds rows of ``count`` totals, ``entries`` in all.
* ``finish(totals, added, check, count, samples)`` divides the totals by the number of samples and
  adds other numbers.  It also adds the results to the vector ``check``, which is finite only if all
  are.

Except in ``put`` and ``add``, the buffers of sums have room for whole vectors.
"""

from __future__ import annotations

from ...data.summation import LANES


def _loop(head: str, body: str, last: str = "%count", step: int = LANES) -> str:
    """Returns a function that runs ``body`` for every ``%i`` below ``last``, in steps."""
    return f"""define void @{head} {{
entry:
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %body ]
  %done = icmp uge i64 %i, {last}
  br i1 %done, label %end, label %body
body:
  %v = mul i64 %i, {LANES}
{body}  %next = add i64 %i, {step}
  br label %head
end:
  ret void
}}
"""


def _vector(name: str, buffer: str, offset: str) -> str:
    return f"""\
  %{name}.place = add i64 %v, {offset}
  %{name}.at = getelementptr inbounds double, ptr %{buffer}, i64 %{name}.place
  %{name} = load <4 x double>, ptr %{name}.at, align 32
  store <4 x double> zeroinitializer, ptr %{name}.at, align 32
"""


# the lanes of four sums at a time, as rows a, b, c and d of a matrix that is turned round
FOLD = _loop("fold(ptr %lanes, ptr %totals, i64 %count)", "".join([
    *[_vector(name, "lanes", str(LANES * k)) for k, name in enumerate("abcd")],
    """\
  %ab.even = shufflevector <4 x double> %a, <4 x double> %b, <4 x i32> <i32 0, i32 4, i32 2, i32 6>
  %ab.odd = shufflevector <4 x double> %a, <4 x double> %b, <4 x i32> <i32 1, i32 5, i32 3, i32 7>
  %cd.even = shufflevector <4 x double> %c, <4 x double> %d, <4 x i32> <i32 0, i32 4, i32 2, i32 6>
  %cd.odd = shufflevector <4 x double> %c, <4 x double> %d, <4 x i32> <i32 1, i32 5, i32 3, i32 7>
  %ab = fadd <4 x double> %ab.even, %ab.odd
  %cd = fadd <4 x double> %cd.even, %cd.odd
  %left = shufflevector <4 x double> %ab, <4 x double> %cd, <4 x i32> <i32 0, i32 1, i32 4, i32 5>
  %right = shufflevector <4 x double> %ab, <4 x double> %cd, <4 x i32> <i32 2, i32 3, i32 6, i32 7>
  %block = fadd <4 x double> %left, %right
  %total.at = getelementptr inbounds double, ptr %totals, i64 %i
  %before = load <4 x double>, ptr %total.at, align 8
  %total = fadd <4 x double> %before, %block
  store <4 x double> %total, ptr %total.at, align 8
"""]))

SUMS = FOLD + _loop("merge(ptr %lanes, ptr %vectors, i64 %count, i64 %mask)", """\
  %bits = trunc i64 %mask to i4
  %counts = bitcast i4 %bits to <4 x i1>
  %from = getelementptr inbounds double, ptr %vectors, i64 %v
  %x = load <4 x double>, ptr %from, align 32
  store <4 x double> zeroinitializer, ptr %from, align 32
  %counted = select <4 x i1> %counts, <4 x double> %x, <4 x double> zeroinitializer
  %to = getelementptr inbounds double, ptr %lanes, i64 %v
  %before = load <4 x double>, ptr %to, align 32
  %sum = fadd <4 x double> %before, %counted
  store <4 x double> %sum, ptr %to, align 32
""", step=1) + _loop("put(ptr %lanes, ptr %numbers, i64 %count, i64 %lane)", """\
  %from = getelementptr inbounds double, ptr %numbers, i64 %i
  %x = load double, ptr %from
  store double 0.0, ptr %from
  %place = add i64 %v, %lane
  %to = getelementptr inbounds double, ptr %lanes, i64 %place
  %before = load double, ptr %to
  %sum = fadd double %before, %x
  store double %sum, ptr %to
""", step=1) + _loop("add(ptr %totals, ptr %rows, i64 %count, i64 %entries)", """\
  %from = getelementptr inbounds double, ptr %rows, i64 %i
  %x = load double, ptr %from
  %place = urem i64 %i, %count
  %to = getelementptr inbounds double, ptr %totals, i64 %place
  %before = load double, ptr %to
  %sum = fadd double %before, %x
  store double %sum, ptr %to
""", "%entries", step=1) + _loop(
    "finish(ptr %totals, ptr %added, ptr %check, i64 %count, i64 %samples)", """\
  %at = getelementptr inbounds double, ptr %totals, i64 %i
  %total = load <4 x double>, ptr %at, align 32
  %n = uitofp i64 %samples to double
  %first = insertelement <4 x double> poison, double %n, i32 0
  %number = shufflevector <4 x double> %first, <4 x double> poison, <4 x i32> zeroinitializer
  %mean = fdiv <4 x double> %total, %number
  %more.at = getelementptr inbounds double, ptr %added, i64 %i
  %more = load <4 x double>, ptr %more.at, align 32
  %result = fadd <4 x double> %mean, %more
  store <4 x double> %result, ptr %at, align 32
  %checked = load <4 x double>, ptr %check, align 8
  %sum = fadd <4 x double> %checked, %result
  store <4 x double> %sum, ptr %check, align 8
""")
