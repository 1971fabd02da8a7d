"""Compiles text of LLVM to machine code in memory; `store` keeps it on disk.

Machine code depends on the text, the processor with its features, and the versions of llvmlite and
LLVM.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, TypeVar

from . import store

# ---- the compiler's thread -----------------------------------------------------------------------

T = TypeVar("T")
_thread: ThreadPoolExecutor | None = None


def _on_llvm_thread(work: Callable[[], T]) -> T:
    """Calls ``work`` on the thread of LLVM, and returns its result.

    The main thread receives Ctrl-C, which must not interrupt llvmlite halfway through a change of
    its records.  LLVM's context is for one thread at a time.
    """
    global _thread
    if _thread is None:
        _thread = ThreadPoolExecutor(1, "tinygrad_edu-llvm")
    try:
        future = _thread.submit(work)
    except RuntimeError:  # Python exits, and all other threads have ended
        return work()
    return future.result()


def _forget_thread() -> None:
    global _thread
    _thread = None  # a forked process has none


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_thread)


@cache
def _llvm() -> Any:
    """Returns llvmlite's interface to LLVM, initialised.

    It and its results may only be used on the thread of LLVM.
    """
    from llvmlite import binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    return binding


@dataclass(frozen=True)
class Host:
    """The machine that code is compiled for, in LLVM's terms, and the compiler's version.

    missing: why llvmlite cannot be used, such as "is not installed"; the rest is empty then.
    """

    triple: str = ""
    cpu: str = ""
    features: str = ""
    version: str = ""
    missing: str = ""


@cache
def host() -> Host:
    """Returns what code is compiled for."""
    return _on_llvm_thread(_detect_host)


def _detect_host() -> Host:
    try:
        llvm = _llvm()
    except Exception as error:  # a broken installation may raise anything, such as OSError
        names = ("llvmlite", "llvmlite.binding")
        if isinstance(error, ModuleNotFoundError) and error.name in names:
            return Host(missing="is not installed")
        return Host(missing=f"cannot be loaded ({type(error).__name__}: {error})")
    return Host(
        target(str(llvm.get_process_triple())),
        str(llvm.get_host_cpu_name()),
        str(llvm.get_host_cpu_features().flatten()),
        f"{import_module('llvmlite').__version__} {llvm.llvm_version_info}",
    )


def target(triple: str) -> str:
    """Returns for which target code is written that is linked in memory on a system.

    LLVM's linker in memory handles files of Windows in part: they refer to a symbol that marks the
    use of floats, which it does not find.  Files in the format of Linux are linked everywhere, and
    calls follow the rules of Windows all the same.

    triple: the system, in LLVM's terms.
    """
    is_windows = "-windows-" in triple and not triple.endswith("-elf")
    return f"{triple}-elf" if is_windows else triple


def available() -> bool:
    """Whether llvmlite is installed and can be loaded."""
    return not host().missing


def targeted(text: str) -> str:
    """Returns the text of a module with a first line that names this machine as its target."""
    return f'target triple = "{host().triple}"\n{text}'


@cache
def _machine(level: int) -> Any:
    machine = host()
    if machine.missing:
        raise ImportError('machine code needs llvmlite: pip install "tinygrad_edu[fast]"')
    return (
        _llvm()
        .Target.from_triple(machine.triple)
        .create_target_machine(
            cpu=machine.cpu,
            features=machine.features,
            opt=level,
            reloc="pic",
            codemodel="default",
            jit=True,
        )
    )


# ---- machine code


def object_code(text: str, level: int = 1) -> bytes:
    """Returns the machine code of a module, from the cache or from the compiler."""
    return store.kept((text, level, repr(host())), lambda: emitted(text, level))


def emitted(text: str, level: int) -> bytes:
    """Compiles a module, and returns its machine code."""
    return _on_llvm_thread(lambda: _emitted(text, level))


def _emitted(text: str, level: int) -> bytes:
    """Compiles a module, without LLVM's second scheduling of machine instructions.

    On thousands of lines without a branch that scheduling takes most of the time, and keeps more
    numbers at a time than there are registers.  The option is global to the process, so it is set
    back afterwards for other users of LLVM.
    """
    llvm = _llvm()
    machine = _machine(level)
    llvm.set_option("tinygrad_edu", "-enable-misched=false")
    try:
        code: bytes = machine.emit_object(llvm.parse_assembly(text))
    finally:
        llvm.set_option("tinygrad_edu", "-enable-misched=true")
    return code


# ---- in memory


@cache
def _jit() -> Any:
    return _llvm().create_lljit_compiler(_machine(1))


MAX_UNUSED_LIBRARIES = 256  # modules that are kept although they are not in use
# made, and freed, on the thread of LLVM only
_libraries: OrderedDict[Any, Any] = OrderedDict()
_count = iter(range(sys.maxsize))


def loaded(text: str, addresses: Mapping[str, int], entries: Sequence[str], level: int = 1) -> Any:
    """Returns a module in memory, compiled or from the cache; see `linked`."""
    return linked(object_code(text, level), addresses, entries)


def linked(code: bytes, addresses: Mapping[str, int], entries: Sequence[str]) -> Any:
    """Returns a module in memory: ``module[entry]`` is the address of a function while it lives.

    addresses: the functions that it calls, by name.
    entries: the names of its own functions.
    """
    key = hashlib.sha256(code).digest(), *sorted(addresses.items())

    with suppress(KeyError):  # of one that was linked before
        library = _libraries[key]
        _libraries.move_to_end(key)
        return library

    def link() -> Any:
        if key in _libraries:  # by another thread, a moment ago
            return _libraries[key]
        builder = _llvm().JITLibraryBuilder().add_object_img(code)
        for symbol, address in addresses.items():
            builder.import_symbol(symbol, address)
        for entry in entries:
            builder.export_symbol(entry)
        _libraries[key] = library = builder.link(_jit(), f"tinygrad_edu_{next(_count)}")
        unused = [old for old in _libraries if sys.getrefcount(_libraries[old]) <= 2]
        for old in unused[:max(0, len(unused) - MAX_UNUSED_LIBRARIES)]:
            del _libraries[old]
        return library

    return _on_llvm_thread(link)
