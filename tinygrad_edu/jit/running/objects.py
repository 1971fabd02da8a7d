"""Compiles text of LLVM to machine code in memory, with a cache on disk.

The name of a cache entry is the hash of everything that it depends on: the text, the processor with
its features, and the versions of llvmlite and LLVM.  An entry begins with the hash of its content.
It is ignored and replaced if it is damaged, is not a regular file, or is owned or writable by
another user.  If the folder is writable by others, a private subfolder is used.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from itertools import accumulate
from pathlib import Path
from typing import Any, TypeVar

from platformdirs import user_cache_path

from ...files import write_atomically

MAGIC = b"tinygrad_edu object 2\n"
MAX_CACHE_BYTES = 256 * 2**20  # of the cache on disk; entries used longest ago are removed first


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
        str(llvm.get_process_triple()),
        str(llvm.get_host_cpu_name()),
        str(llvm.get_host_cpu_features().flatten()),
        f"{import_module('llvmlite').__version__} {llvm.llvm_version_info}",
    )


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


# ---- on disk


def folder() -> Path:
    """Returns the folder of the cache: ``TINYGRAD_EDU_CACHE``, or the user's folder for caches."""
    given = os.environ.get("TINYGRAD_EDU_CACHE")
    with suppress(RuntimeError):  # a user without a home
        if given:
            return Path(given).expanduser()
        if (found := user_cache_path("tinygrad_edu", appauthor=False)).is_absolute():
            return found
    return Path(tempfile.gettempdir()) / f"tinygrad_edu-{_user()}"


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else "cache"


def _place() -> Path:
    """Returns the folder of the entries: a private subfolder if others may write to the cache."""
    where = Path(os.path.realpath(folder()))
    try:
        return where if _is_ours(where.lstat(), stat.S_ISDIR) else where / f"user-{_user()}"
    except OSError:  # it does not exist yet
        return where


def object_code(text: str, level: int = 1) -> bytes:
    """Returns the machine code of a module, from the cache or from the compiler."""
    key = hashlib.sha256(repr((text, level, host())).encode()).hexdigest()

    def find() -> bytes:
        path = _place() / f"{key}.o"
        code = _read(path, key)
        if code is None:
            code = _emitted(text, level)
            _write_entry(path, _sealed(key, code))
        return code

    return _on_llvm_thread(find)


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


def _sealed(key: str, code: bytes) -> bytes:
    """Returns the content of an entry."""
    return MAGIC + hashlib.sha256(key.encode() + code).digest() + code


def _read(path: Path, key: str) -> bytes | None:
    """Returns the code of an entry; None if there is none that can be trusted."""
    try:
        if not _is_ours(path.parent.lstat(), stat.S_ISDIR):
            return None
        with open(path, "rb", opener=_open_nonblocking) as file:
            content = file.read() if _is_ours(os.fstat(file.fileno()), stat.S_ISREG) else b""
    except OSError:
        return None
    code = content[len(_sealed("", b"")):]
    if content != _sealed(key, code):
        return None
    with suppress(OSError):
        os.utime(path)
    return code


def _open_nonblocking(path: str, flags: int) -> int:
    """Opens exactly this path, without following a link and without waiting for a pipe."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))


def _is_ours(status: os.stat_result, kind: Callable[[int], bool]) -> bool:
    return kind(status.st_mode) and (
        not hasattr(os, "getuid") or (status.st_uid == os.getuid() and not status.st_mode & 0o022)
    )


def _write_entry(path: Path, content: bytes) -> None:
    with suppress(OSError):  # a cache that cannot be written only costs time
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_ours(path.parent.lstat(), stat.S_ISDIR):
            return
        if os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode):
            path.unlink()  # removes a link itself; a folder stays
        write_atomically(path, content)
        path.chmod(0o600)
        _prune(path.parent)


def _prune(where: Path) -> None:
    """Removes the entries that were used longest ago."""
    found = [(path.stat(), path) for path in where.glob("[0-9a-f]" * 64 + ".o")]
    found.sort(key=lambda entry: entry[0].st_mtime, reverse=True)
    for (_, path), total in zip(found, accumulate(status.st_size for status, _ in found)):
        if total > MAX_CACHE_BYTES:
            path.unlink(missing_ok=True)


# ---- in memory


@cache
def _jit() -> Any:
    return _llvm().create_lljit_compiler(_machine(1))


MAX_UNUSED_LIBRARIES = 256  # modules that are kept although they are not in use
# used, and freed, on the thread of LLVM only
_libraries: OrderedDict[Any, Any] = OrderedDict()
_count = iter(range(sys.maxsize))


def loaded(text: str, addresses: Mapping[str, int], entries: Sequence[str], level: int = 1) -> Any:
    """Returns a module in memory: ``module[entry]`` is the address of a function while it lives.

    addresses: the functions that it calls, by name.
    entries: the names of its own functions.
    """
    code = object_code(text, level)
    key = hashlib.sha256(code).digest(), *sorted(addresses.items())

    def link() -> Any:
        if key in _libraries:
            _libraries.move_to_end(key)
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
