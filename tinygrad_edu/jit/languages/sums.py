"""Functions of LLVM for sums over samples, in the order of `summation`.

A vector has a number for each of `LANES` samples.  ``lanes`` is a vector for each sum.

* ``fold(lanes, totals, count)`` ends a block: it adds the lanes to the totals and clears them.
* ``merge(lanes, vectors, count, mask)`` adds those samples of the vectors whose bit is set in
  ``mask`` to the lanes, and clears the vectors.
* ``put(lanes, numbers, count, lane)`` adds the numbers of one sample to a lane, and clears them.
* ``add(totals, rows, count, entries)`` adds rows of ``count`` totals, ``entries`` in all.
* ``finish(totals, added, check, count, samples)`` divides the totals by the number of samples and
  adds other numbers.  It also adds the results to ``check``, which is finite only if all are.
"""

from __future__ import annotations


def _loop(head: str, body: str, last: str = "%count") -> str:
    """Returns a function that runs ``body`` for every ``%i`` below ``last``."""
    return f"""define void @{head} {{
entry:
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %body ]
  %done = icmp eq i64 %i, {last}
  br i1 %done, label %end, label %body
body:
  %v = mul i64 %i, 4
{body}  %next = add i64 %i, 1
  br label %head
end:
  ret void
}}
"""


FOLD = _loop("fold(ptr %lanes, ptr %totals, i64 %count)", """\
  %at = getelementptr inbounds double, ptr %lanes, i64 %v
  %x = load <4 x double>, ptr %at, align 32
  store <4 x double> zeroinitializer, ptr %at, align 32
  %even = shufflevector <4 x double> %x, <4 x double> poison, <2 x i32> <i32 0, i32 2>
  %odd = shufflevector <4 x double> %x, <4 x double> poison, <2 x i32> <i32 1, i32 3>
  %halves = fadd <2 x double> %even, %odd
  %left = extractelement <2 x double> %halves, i32 0
  %right = extractelement <2 x double> %halves, i32 1
  %block = fadd double %left, %right
  %total.at = getelementptr inbounds double, ptr %totals, i64 %i
  %before = load double, ptr %total.at
  %total = fadd double %before, %block
  store double %total, ptr %total.at
""")

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
""") + _loop("put(ptr %lanes, ptr %numbers, i64 %count, i64 %lane)", """\
  %from = getelementptr inbounds double, ptr %numbers, i64 %i
  %x = load double, ptr %from
  store double 0.0, ptr %from
  %place = add i64 %v, %lane
  %to = getelementptr inbounds double, ptr %lanes, i64 %place
  %before = load double, ptr %to
  %sum = fadd double %before, %x
  store double %sum, ptr %to
""") + _loop("add(ptr %totals, ptr %rows, i64 %count, i64 %entries)", """\
  %from = getelementptr inbounds double, ptr %rows, i64 %i
  %x = load double, ptr %from
  %place = urem i64 %i, %count
  %to = getelementptr inbounds double, ptr %totals, i64 %place
  %before = load double, ptr %to
  %sum = fadd double %before, %x
  store double %sum, ptr %to
""", "%entries") + _loop(
    "finish(ptr %totals, ptr %added, ptr %check, i64 %count, i64 %samples)", """\
  %at = getelementptr inbounds double, ptr %totals, i64 %i
  %total = load double, ptr %at
  %number = uitofp i64 %samples to double
  %mean = fdiv double %total, %number
  %more.at = getelementptr inbounds double, ptr %added, i64 %i
  %more = load double, ptr %more.at
  %result = fadd double %mean, %more
  store double %result, ptr %at
  %checked = load double, ptr %check
  %sum = fadd double %checked, %result
  store double %sum, ptr %check
""")
