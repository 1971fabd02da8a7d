"""Direct calls: a list or an array of floats goes to compiled code without being taken apart.

    >>> from array import array
    >>> from tinygrad_edu import jit
    >>> f = jit(lambda x: x[0] * x[1])
    >>> slopes = array("d", [0.0, 0.0])
    >>> f.value_and_grad([2.0, 3.0], out=slopes)
    (6.0, array('d', [3.0, 2.0]))

The call is a function of C, like those of an extension module, but LLVM compiles it.  With ctypes
the same call takes three times as long, mainly because the addresses of the buffers must be found.

``call(code, inputs, slopes, x, y)`` runs a program of that many inputs, whose outputs are a number
and so many slopes.  It reads the buffer ``x``, writes the slopes into the buffer ``y``, and returns
the number; or 0, an int, if a buffer is not made of that many doubles, or an index is wrong.

Source: the layout of ``Py_buffer`` and ``PyMethodDef`` in Python's stable binary interface.
"""

from __future__ import annotations

import ctypes
import sys
from array import array
from collections.abc import Callable
from functools import cache
from typing import Any

from ...engine.autodiff import is_inside_transform
from ...engine.interpreter import active
from ...errors import short_repr
from . import objects
from .backend import Kernel

MOST = 4_096  # numbers: the outputs stand on the stack, which is small in some threads
FAST_CALL = 0x80  # METH_FASTCALL
READ, WRITE = 0x3C, 0x3D  # PyBUF_C_CONTIGUOUS | PyBUF_FORMAT, and PyBUF_WRITABLE


def _buffer(name: str, given: int, count: str, flags: int, good: str, bad: str) -> str:
    """Returns instructions that get a buffer of doubles, from the argument at a position."""
    return f"""\
  %{name}.at = getelementptr ptr, ptr %arguments, i64 {given}
  %{name}.object = load ptr, ptr %{name}.at
  %{name}.got = call i32 @PyObject_GetBuffer(ptr %{name}.object, ptr %{name}.view, i32 {flags})
  %{name}.failed = icmp ne i32 %{name}.got, 0
  br i1 %{name}.failed, label %{name}.error, label %{name}.check
{name}.error:
  call void @PyErr_Clear()
  br label %{bad}
{name}.check:
  %{name} = load ptr, ptr %{name}.view
  %{name}.length.at = getelementptr i64, ptr %{name}.view, i64 2
  %{name}.length = load i64, ptr %{name}.length.at
  %{name}.wanted = mul i64 {count}, 8
  %{name}.fits = icmp eq i64 %{name}.length, %{name}.wanted
  %{name}.format.at = getelementptr ptr, ptr %{name}.view, i64 5
  %{name}.format = load ptr, ptr %{name}.format.at
  %{name}.letters = load i16, ptr %{name}.format, align 1
  %{name}.doubles = icmp eq i16 %{name}.letters, {int.from_bytes(b"d" + bytes(1), sys.byteorder)}
  %{name}.good = and i1 %{name}.fits, %{name}.doubles
  br i1 %{name}.good, label %{good}, label %{name}.release
{name}.release:
  call void @PyBuffer_Release(ptr %{name}.view)
  br label %{bad}
"""


CALL = f"""\
declare i32 @PyObject_GetBuffer(ptr, ptr, i32)
declare void @PyBuffer_Release(ptr)
declare void @PyErr_Clear()
declare ptr @PyFloat_FromDouble(double)
declare ptr @PyLong_FromLongLong(i64)
declare i64 @PyLong_AsLongLong(ptr)
declare ptr @PyLong_AsVoidPtr(ptr)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
define ptr @call(ptr %self, ptr %arguments, i64 %count) {{
entry:
  %x.view = alloca [10 x ptr]
  %y.view = alloca [10 x ptr]
  %error = alloca i32
  store i32 0, ptr %error
  %code.object = load ptr, ptr %arguments
  %code = call ptr @PyLong_AsVoidPtr(ptr %code.object)
  %inputs.at = getelementptr ptr, ptr %arguments, i64 1
  %inputs.object = load ptr, ptr %inputs.at
  %inputs = call i64 @PyLong_AsLongLong(ptr %inputs.object)
  %slopes.at = getelementptr ptr, ptr %arguments, i64 2
  %slopes.object = load ptr, ptr %slopes.at
  %slopes = call i64 @PyLong_AsLongLong(ptr %slopes.object)
  %differentiates = icmp ne i64 %slopes, 0
{_buffer("x", 3, "%inputs", READ, "begin", "refused")}\
begin:
  br i1 %differentiates, label %target, label %run
target:
{_buffer("y", 4, "%slopes", WRITE, "run", "x.release")}\
run:
  %to = phi ptr [ null, %begin ], [ %y, %y.check ]
  %size = add i64 %slopes, 1
  %outputs = alloca double, i64 %size
  call void %code(ptr %x, ptr %outputs, ptr %error)
  %number = load double, ptr %outputs
  %flag = load i32, ptr %error
  %sound = icmp eq i32 %flag, 0
  br i1 %differentiates, label %copy, label %end
copy:
  %from = getelementptr double, ptr %outputs, i64 1
  %all = mul i64 %slopes, 8
  %bytes = select i1 %sound, i64 %all, i64 0
  call void @llvm.memcpy.p0.p0.i64(ptr %to, ptr %from, i64 %bytes, i1 false)
  call void @PyBuffer_Release(ptr %y.view)
  br label %end
end:
  br i1 %sound, label %return, label %x.release
return:
  call void @PyBuffer_Release(ptr %x.view)
  %result = call ptr @PyFloat_FromDouble(double %number)
  ret ptr %result
refused:
  %zero = call ptr @PyLong_FromLongLong(i64 0)
  ret ptr %zero
}}
"""


class _Method(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("code", ctypes.c_void_p),
        ("flags", ctypes.c_int32),
        ("doc", ctypes.c_char_p),
    ]


@cache
def entry() -> Callable[[int, int, int, Any, Any], float | int] | None:
    """Returns ``call``; None if this Python is not CPython with pointers of 64 bits."""
    if sys.implementation.name != "cpython" or sys.maxsize < 2**62:
        return None
    names = [line.partition("@")[2].partition("(")[0] for line in CALL.splitlines()
             if line.startswith("declare") and "@Py" in line]
    python = ctypes.pythonapi
    addresses = {name: ctypes.cast(python[name], ctypes.c_void_p).value or 0 for name in names}
    library = objects.loaded(objects.targeted(CALL), addresses, ["call"])
    method = _Method(b"call", library["call"], FAST_CALL, None)
    make = ctypes.PYFUNCTYPE(ctypes.py_object, *[ctypes.c_void_p] * 3)(
        ("PyCFunction_NewEx", python)
    )
    _alive.append((library, method))
    made: Callable[[int, int, int, Any, Any], float | int] = make(ctypes.addressof(method), None,
                                                                 None)
    return made


_alive: list[Any] = []  # what `entry` refers to


class Direct:
    """The programs of one list or array that read nothing but its numbers, and return one number.
    """

    def __init__(self) -> None:
        # by the class of the argument, its length or shape, and whether there is a gradient: the
        # first arguments of ``call``, with zeros for the slopes; the program's key, and what keeps
        # its code in memory
        self._known: dict[Any, tuple[int, int, array[float], Any, Kernel]] = {}
        self._arrays: Any = None  # the class of arrays, once there was one

    def clear(self) -> None:
        """Forgets all programs."""
        self._known.clear()

    def note(self, kernel: Kernel, size: Any, count: int, with_gradient: bool, key: Any) -> None:
        """Notes a program, if its code needs nothing but buffers.

        kernel: runs it.
        size: the shape of an array, or the length of a list.
        count: how many numbers are in it.
        key: what `call` returns for it.
        """
        if not kernel.code or not 0 < count <= MOST:
            return
        zeros = array("d", bytes(8 * count * with_gradient))
        owners: list[Any] = [list, array]
        if isinstance(size, tuple):
            owners = [self._arrays] = [sys.modules["numpy"].ndarray]
        for owner in owners:
            self._known[owner, size, with_gradient] = kernel.code, count, zeros, key, kernel

    def call(self, x: Any, with_gradient: bool, out: Any = None) -> tuple[Any, float, Any] | None:
        """Returns the key of the program, the result, and the gradient; None if no program fits."""
        if active or is_inside_transform():
            return None
        kind = x.__class__
        is_counted = kind is list or kind is array
        if not (is_counted or kind is self._arrays):
            return None
        size = len(x) if is_counted else x.shape
        if (found := self._known.get((kind, size, with_gradient))) is None:
            return None
        code, count, zeros, key, _ = found
        if (call := entry()) is None:
            return None
        if kind is list:
            if set(map(type, x)) != {float}:
                return None
            x = array("d", x)
        target = out
        if with_gradient and out is None:
            target = zeros[:] if is_counted else sys.modules["numpy"].empty(size)
        result = call(code, count, len(zeros), x, target)
        if result.__class__ is int:
            return None
        return key, result, target.tolist() if is_counted and out is not target else target


def doubles(out: Any, count: int) -> Any:
    """Returns a writable buffer of so many doubles; raises TypeError if ``out`` is no such buffer.
    """
    try:
        view = memoryview(out)
        is_good = view.format == "d" and view.c_contiguous and not view.readonly
    except (TypeError, ValueError):
        is_good = False
    if not is_good or view.nbytes != 8 * count:
        raise TypeError(
            f"value_and_grad: out must be a writable buffer of {count} doubles, one after the "
            f"other, not {short_repr(out)}; write numpy.empty({count}) or "
            f"array('d', bytes({8 * count}))"
        )
    return view.cast("B").cast("d") if count else view
