"""Machine code on disk: it is used if it can be trusted, and everything works without it."""

import ctypes
import gc
import os
import re
import shutil
import sys
import threading
from pathlib import Path

import pytest
from helpers import run_python

import tinygrad_edu
from tinygrad_edu.errors import TinygradEduError
from tinygrad_edu.jit.running import objects, store
from tinygrad_edu.jit.running.callbacks import prototype


def module(number):
    """Returns the text of a module with a function ``f`` that returns ``number``."""
    return objects.targeted(f"define double @f() {{\n  ret double {float(number)!r}\n}}\n")


def result_of(number, **options):
    """Compiles the function of `module`, or reads it from the cache, and returns its result."""
    library = objects.loaded(module(number), {}, ["f"], **options)
    return ctypes.CFUNCTYPE(ctypes.c_double)(library["f"])()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Makes an empty cache, whose folder does not exist yet."""
    folder = tmp_path / "deep" / "cache"
    monkeypatch.setenv("TINYGRAD_EDU_CACHE", str(folder))
    return folder


def the_entry(folder):
    (entry,) = folder.iterdir()
    return entry


LONG_AGO = 1_000_000_000


def age(path):
    os.utime(path, (LONG_AGO, LONG_AGO))


def used(path):
    """Returns whether an entry was used since it was aged: its time changed, and it is the same
    file."""
    return path.stat().st_mtime > LONG_AGO


# ---- entries that are used


def test_compiled_code_is_stored_and_found_again(folder):
    assert result_of(1.5) == 1.5
    entry = the_entry(folder)
    age(entry)
    before = entry.stat().st_ino
    assert result_of(1.5) == 1.5
    assert used(entry)
    assert entry.stat().st_ino == before  # read, not written again
    assert the_entry(folder) == entry


def test_second_process_finds_stored_code(folder):
    result_of(1.5)
    entry = the_entry(folder)
    age(entry)
    before = entry.stat().st_ino, entry.read_bytes()
    done = run_python("from test_objects import result_of; print(result_of(1.5))")
    assert (done.returncode, done.stdout) == (0, "1.5\n"), done.stderr
    assert used(entry)
    assert (entry.stat().st_ino, entry.read_bytes()) == before
    assert the_entry(folder) == entry


def test_entries_depend_on_the_text_and_the_level(folder):
    assert [result_of(1.5), result_of(2.5), result_of(1.5, level=0)] == [1.5, 2.5, 1.5]
    assert len([*folder.iterdir()]) == 3


def test_folder_and_entries_are_private_to_the_user(folder):
    result_of(1.5)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert the_entry(folder).stat().st_mode & 0o777 == 0o600


# ---- entries that are ignored and replaced

DAMAGE = {
    "empty": lambda content: b"",
    "cut off in the head": lambda content: content[:10],
    "cut off in the digest": lambda content: content[:40],
    "without code": lambda content: content[:len(store.MAGIC) + 32],
    "cut off in the code": lambda content: content[:-1],
    "longer": lambda content: content + b"\0",
    "one bit in the head": lambda content: bytes([content[0] ^ 1]) + content[1:],
    "one bit in the digest": lambda content: content[:30] + bytes([content[30] ^ 1]) + content[31:],
    "one bit in the code": lambda content: content[:-7] + bytes([content[-7] ^ 64]) + content[-6:],
    "code alone": lambda content: content[len(store.MAGIC) + 32:],
    "another format": lambda content: b"\x7fELF" + content,
    "nothing but zeros": lambda content: bytes(len(content)),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damaged_entry_is_ignored_and_replaced(damage, folder):
    result_of(1.5)
    entry = the_entry(folder)
    right = entry.read_bytes()
    entry.write_bytes(damage(right))
    assert result_of(1.5) == 1.5
    assert entry.read_bytes() == right


def test_entry_of_another_program_is_ignored_and_replaced(folder):
    result_of(1.5)
    entry = the_entry(folder)
    right = entry.read_bytes()
    result_of(2.5)
    (other,) = {*folder.iterdir()} - {entry}
    shutil.copy(other, entry)
    assert result_of(1.5) == 1.5
    assert entry.read_bytes() == right


@pytest.mark.parametrize("mode", [0o602, 0o620, 0o666])
def test_entry_writable_by_others_is_ignored_and_replaced(mode, folder):
    result_of(1.5)
    entry = the_entry(folder)
    entry.chmod(mode)
    age(entry)
    before = entry.stat().st_ino
    assert result_of(1.5) == 1.5
    assert entry.stat().st_ino != before
    assert entry.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o702, 0o720, 0o777, 0o1777])
def test_private_subfolder_is_used_if_others_may_write_to_the_folder(mode, folder):
    result_of(1.5)
    entry = the_entry(folder)
    age(entry)
    folder.chmod(mode)
    assert [result_of(1.5), result_of(2.5)] == [1.5, 2.5]
    (own,) = {*folder.iterdir()} - {entry}
    assert (own.stat().st_mode & 0o777, len([*own.iterdir()])) == (0o700, 2)
    assert not used(entry)
    for kept in own.iterdir():
        age(kept)
    assert result_of(1.5) == 1.5
    assert sorted(map(used, own.iterdir())) == [False, True]


@pytest.mark.parametrize("plant", [lambda own, other: own.mkdir(0o777) or own.chmod(0o777),
                                   lambda own, other: own.symlink_to(other),
                                   lambda own, other: own.write_text("a file")],
                         ids=["others may write to it", "a link", "a file"])
def test_private_subfolder_of_another_user_is_neither_read_nor_written(
    plant, folder, tmp_path
):
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    result_of(1.5)
    (own,) = folder.iterdir()
    own.rename(tmp_path / "before")
    (tmp_path / "other").mkdir(mode=0o700)
    plant(own, tmp_path / "other")
    assert [result_of(1.5), result_of(2.5)] == [1.5, 2.5]
    assert [*(tmp_path / "other").iterdir()] == []
    assert own.is_file() or [*own.iterdir()] == []


def test_the_folder_may_be_a_link(folder, tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.setenv("TINYGRAD_EDU_CACHE", str(tmp_path / "link"))
    folder.mkdir(mode=0o700, parents=True)
    result_of(1.5)
    age(the_entry(folder))
    result_of(1.5)
    assert used(the_entry(folder))


def test_entries_of_another_user_are_neither_read_nor_written(folder, monkeypatch):
    result_of(1.5)
    entry = the_entry(folder)
    age(entry)
    somebody = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: somebody)
    assert [result_of(1.5), result_of(2.5)] == [1.5, 2.5]
    assert [path for path in folder.rglob("*") if path.is_file()] == [entry]
    assert not used(entry)


def test_a_folder_in_the_place_of_an_entry_is_ignored(folder):
    result_of(1.5)
    entry = the_entry(folder)
    entry.unlink()
    entry.mkdir(mode=0o700)
    assert [result_of(1.5), result_of(2.5)] == [1.5, 2.5]
    assert entry.is_dir()


@pytest.mark.parametrize("plant", [
    os.mkfifo,
    lambda entry: entry.symlink_to(entry.with_name("elsewhere")),
    lambda entry: entry.symlink_to(entry),
], ids=["a pipe", "a link", "a link to itself"])
def test_named_pipe_in_place_of_an_entry_is_replaced_without_waiting(plant, folder):
    result_of(1.5)
    entry = the_entry(folder)
    right = entry.read_bytes()
    entry.unlink()
    plant(entry)
    assert result_of(1.5) == 1.5
    assert (entry.is_symlink(), entry.is_file(), entry.read_bytes()) == (False, True, right)
    assert the_entry(folder) == entry


def test_link_to_a_file_is_replaced_and_the_file_is_kept(folder, tmp_path):
    result_of(1.5)
    entry = the_entry(folder)
    elsewhere = tmp_path / "elsewhere"
    entry.rename(elsewhere)
    entry.symlink_to(elsewhere)
    age(elsewhere)
    assert result_of(1.5) == 1.5
    assert (entry.is_symlink(), used(elsewhere)) == (False, False)


# ---- without a cache


def test_compilation_works_if_no_folder_can_be_created(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    for place in (tmp_path / "file", tmp_path / "file" / "cache", Path("/dev/null/cache")):
        monkeypatch.setenv("TINYGRAD_EDU_CACHE", str(place))
        assert result_of(1.5) == 1.5
    assert (tmp_path / "file").read_text() == "not a folder"
    assert [*tmp_path.iterdir()] == [tmp_path / "file"]


def test_compilation_works_for_a_user_without_a_home(monkeypatch):
    for variable in ("TINYGRAD_EDU_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(variable, raising=False)
    # a user without an entry in the list of users, as in many containers
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_000)
    assert result_of(1.5) == 1.5


@pytest.mark.skipif(sys.platform != "linux", reason="other platforms are platformdirs' business")
@pytest.mark.parametrize(("environment", "folder"), [
    ({"HOME": "/home/ada"}, "/home/ada/.cache/tinygrad_edu"),
    ({"HOME": "/home/ada", "XDG_CACHE_HOME": "/big/cache"}, "/big/cache/tinygrad_edu"),
    ({"HOME": "/home/ada", "XDG_CACHE_HOME": ""}, "/home/ada/.cache/tinygrad_edu"),
    ({"HOME": "/home/ada", "TINYGRAD_EDU_CACHE": "/mine"}, "/mine"),
    ({"HOME": "/home/ada", "TINYGRAD_EDU_CACHE": "~/mine"}, "/home/ada/mine"),
    ({"HOME": "/home/ada", "TINYGRAD_EDU_CACHE": ""}, "/home/ada/.cache/tinygrad_edu"),
])
def test_folder_follows_the_conventions_of_the_system(environment, folder, monkeypatch):
    for variable in ("TINYGRAD_EDU_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    assert store.folder() == Path(folder)


# ---- its size


def test_least_recently_used_entries_are_deleted_first(folder, monkeypatch):
    entries = []
    for number in (1, 2, 3, 4):
        result_of(number)
        entries += {*folder.iterdir()} - {*entries}
        os.utime(entries[-1], (LONG_AGO + number, LONG_AGO + number))
    result_of(1)  # is used again
    (folder / "notes.txt").write_text("not ours")
    largest = max(entry.stat().st_size for entry in entries)
    monkeypatch.setattr(store, "MAX_CACHE_BYTES", 3 * largest)
    result_of(5)
    assert [entry.exists() for entry in entries] == [True, False, False, True]
    assert len([*folder.glob("*.o")]) == 3
    assert (folder / "notes.txt").read_text() == "not ours"


def test_a_program_that_is_larger_than_the_cache_is_not_kept(folder, monkeypatch):
    monkeypatch.setattr(store, "MAX_CACHE_BYTES", 10)
    assert result_of(1.5) == 1.5
    assert [*folder.iterdir()] == []


# ---- threads, and how long machine code lives


def test_threads_compile_at_the_same_time(folder):
    results = {}
    start = threading.Barrier(6)

    def work(thread):
        start.wait()
        results[thread] = [result_of(number) for number in range(8)]

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {thread: [*map(float, range(8))] for thread in range(6)}
    assert len([*folder.iterdir()]) == 8


def test_machine_code_lives_as_long_as_it_is_referenced(folder):
    held = objects.loaded(module(1.5), {}, ["f"])
    for number in range(20):
        objects.loaded(module(number), {}, ["f"])
    gc.collect()
    assert ctypes.CFUNCTYPE(ctypes.c_double)(held["f"])() == 1.5


# ---- types of functions


def test_functions_have_the_types_of_their_definitions():
    x = prototype("define i64 @f(ptr noalias %a, i64 %n,\n  i32 %m, double %x) {", "f")
    widths = {ctypes.c_void_p: 8, ctypes.c_int64: 8, ctypes.c_int32: 4, ctypes.c_double: 8}
    assert x._argtypes_ == (ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32, ctypes.c_double)
    assert [ctypes.sizeof(kind) for kind in x._argtypes_] == [widths[t] for t in x._argtypes_]
    assert x._restype_ is ctypes.c_int64
    for text in ("define i64 @f(i7 %x)", "declare void @f()"):
        with pytest.raises((KeyError, TinygradEduError)):
            prototype(text, "f")


def unclear_widths(source):
    """THE CHECKER: yields mentions of types whose width depends on the machine."""
    yield from re.findall(
        r"\bc_(?:u?long|u?int|u?short)\b|array\(\s*[\"'][lL][\"']|calcsize\([\"'][lL]", source
    )


def test_no_type_of_the_package_has_another_width_on_another_machine():
    assert [*unclear_widths("ctypes.c_long ctypes.c_uint array('L')")]
    assert not [*unclear_widths("ctypes.c_longlong ctypes.c_int64 c_uint32 array('d') array('I')")]
    files = sorted(Path(tinygrad_edu.__file__).parent.rglob("*.py"))
    assert len(files) > 50
    found = {path.name: [*unclear_widths(path.read_text(encoding="utf-8"))] for path in files}
    assert {name: kinds for name, kinds in found.items() if kinds} == {}


# ---- Windows

FLOATS = """
declare double @sine(double)
define double @f(double %x) {
  %y = call double @sine(double %x)
  %z = fmul double %y, 3.25
  ret double %z
}
"""


def object_for(triple):
    """Returns the file that LLVM writes for a system, with the processor of this machine."""

    def emit():
        from llvmlite import binding

        machine = binding.Target.from_triple(triple).create_target_machine(reloc="pic", jit=True,
                                                                           codemodel="default")
        return machine.emit_object(binding.parse_assembly(f'target triple = "{triple}"\n{FLOATS}'))

    objects.host()  # LLVM is ready then
    return objects._on_llvm_thread(emit)


def test_code_for_windows_refers_to_nothing_that_the_linker_in_memory_lacks():
    system = f"{objects.host().triple.partition('-')[0]}-pc-windows-msvc"
    assert b"_fltused" in object_for(system)  # for a program on disk
    code = object_for(objects.target(system))
    assert b"_fltused" not in code
    assert b"sine" in code
    assert code.startswith(b"\x7fELF")


@pytest.mark.parametrize(("triple", "expected"), [
    ("x86_64-pc-windows-msvc", "x86_64-pc-windows-msvc-elf"),
    ("x86_64-pc-windows-msvc-elf", "x86_64-pc-windows-msvc-elf"),
    ("x86_64-unknown-linux-gnu", "x86_64-unknown-linux-gnu"),
    ("arm64-apple-darwin23.5.0", "arm64-apple-darwin23.5.0"),
])
def test_the_target_is_the_system_with_files_that_can_be_linked_in_memory(triple, expected):
    assert objects.target(triple) == expected
