"""Destinations of files, files that are never half written, and numbers that every JSON reader
understands."""

import json
import math
import os
from pathlib import Path

import pytest
from helpers import SPECIAL, bits

from tinygrad_edu import History, nn
from tinygrad_edu.errors import CheckpointError, DataError
from tinygrad_edu.examples import gpt
from tinygrad_edu.files import (
    check_folder_of,
    destination,
    from_json,
    read_text,
    to_json,
    write_atomically,
)


def place(path):
    return destination(path, "a page", (".html", ".svg"), "graph.html")


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    return tmp_path


def test_a_destination_gets_the_suffix_of_the_example_unless_it_has_one(home):
    assert place(home / "page") == place("~/page") == home / "page.html"
    assert place(str(home / "page.SVG")) == home / "page.SVG"


@pytest.mark.parametrize(("path", "error", "message"), [
    (3, TypeError, "cannot save a page: path must be text or a Path, not int .3.; write"),
    ("", ValueError, "cannot save a page: path must name a file, such as 'graph.html', not ''"),
    ("a\0b.html", ValueError, "name a file"),
    ("~/page.gif", ValueError, "'.gif' is not a format it can have; use one of .html, .svg"),
    ("~/page.v1", ValueError, "'.v1' is not a format"),
    ("~", IsADirectoryError, "it is a folder; name a file in it, such as '.*graph.html'"),
    ("~/missing/page.html", FileNotFoundError, "missing' is not a folder; create it first"),
    ("~/file/page.html", NotADirectoryError, "file' is not a folder; create it first"),
    (
        "~no_such_user_of_this/page.html",
        FileNotFoundError,
        "'~no_such_user_of_this' is not a folder",
    ),
])
def test_invalid_destination_is_rejected_before_anything_is_computed(
    path, error, message, home
):
    (home / "file").write_text("")
    with pytest.raises(error, match=message):
        place(path)
    assert [file.name for file in home.iterdir()] == ["file"]


def test_a_file_is_replaced_in_one_piece_and_keeps_its_mode(tmp_path):
    path = tmp_path / "text"
    assert write_atomically(str(path), "первый") == path
    path.chmod(0o640)
    assert write_atomically(path, b"\xff\x00") == path
    assert path.read_bytes() == b"\xff\x00"
    assert path.stat().st_mode & 0o777 == 0o640
    assert [file.name for file in tmp_path.iterdir()] == ["text"]


@pytest.mark.parametrize(("path", "error", "message"), [
    (
        ".",
        IsADirectoryError,
        "cannot write '.*': it is a folder; choose a place where you may write",
    ),
    (os.devnull, OSError, "it is a device, not a file"),
    ("n" * 300, OSError, "File name too long|name too long"),
    ("missing/file", FileNotFoundError, "is not a folder; create it first"),
])
def test_failed_write_is_reported_with_a_remedy_and_leaves_no_file(
    path, error, message, tmp_path
):
    with pytest.raises(error, match=message):
        write_atomically(tmp_path / path, "content")
    assert list(tmp_path.iterdir()) == []


def test_older_file_is_kept_until_the_new_one_is_complete(tmp_path, monkeypatch):
    path = write_atomically(tmp_path / "text", "old")

    def refuse(source, target):
        assert Path(source).read_text() == "new"
        assert path.read_text() == "old"
        raise PermissionError(13, "not now")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(
        PermissionError, match=r"cannot write '.*text': not now; choose a place where you may write"
    ):
        write_atomically(path, "new")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("text", "old")]


def test_the_folder_of_a_path_is_checked(tmp_path):
    check_folder_of(tmp_path / "file")
    with pytest.raises(FileNotFoundError, match="create it first"):
        check_folder_of(tmp_path / "missing" / "file")


@pytest.mark.parametrize("x", [*SPECIAL, 0.1, 1 / 3])
def test_every_float_survives_json(x):
    text = json.dumps(to_json(x), allow_nan=False)
    assert bits(from_json(json.loads(text))) == bits(x)


@pytest.mark.parametrize("entry", [True, None, "1", "Infinity", [1.0], {}, "NaN"])
def test_entry_that_is_not_a_number_is_rejected(entry):
    with pytest.raises(ValueError, match="is not a number"):
        from_json(entry)


def test_whole_number_too_large_for_a_float_is_rejected():
    assert from_json(10**308) == 1e308
    with pytest.raises(ValueError, match="a number of 401 digits is too large"):
        from_json(10**400)
    assert math.isinf(from_json("inf"))


# ---- reading text

CHUNK = 1 << 20  # bytes that are read at once
READERS = {
    "documents": (gpt.documents, DataError),
    "History.load": (History.load, DataError),
    "nn.load": (lambda path: nn.load(nn.MLP(2, [1]), path), CheckpointError),
}


@pytest.mark.parametrize("content", [
    "anna\nzoé\n".encode(), "\ufeffanna\nzoé\n".encode(), b"anna\r\nzo\xc3\xa9\r\n",
    b"anna\rzo\xc3\xa9\r",
])
def test_text_is_read_with_any_line_ends_and_without_a_byte_order_mark(content, tmp_path):
    path = tmp_path / "text"
    path.write_bytes(content)
    assert read_text(path, "read", "names.txt", "give names") == "anna\nzoé\n"
    assert gpt.documents(path) == ["anna", "zoé"]
    path.write_bytes(content + content)  # two files that were joined
    assert gpt.documents(path) == ["anna", "zoé"] * 2


def test_characters_and_line_ends_may_lie_across_two_chunks(tmp_path):
    path = tmp_path / "text"
    for text in ("x" * (CHUNK - 1) + "é\r\nz", "é" * CHUNK, ""):
        path.write_bytes(text.encode())
        assert read_text(path, "read", "names.txt", "give names") == text.replace("\r\n", "\n")


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(("content", "message"), [
    ("anna".encode("utf-16"), "is text in UTF-16, not in UTF-8: save it in that encoding; give a "),
    ("anna".encode("utf-32"), "is text in UTF-32, not in UTF-8: save it in that encoding; give a "),
    ("anna".encode("utf-16-be"), "is not text: it has bytes of 0; give a "),
    (b"an\0na", "is not text: it has bytes of 0"),
    (b"an\xffna", "is not text in UTF-8: save it in that encoding; give a "),
    (b"an\xed\xa0\x80", "is not text in UTF-8"),  # half of a surrogate pair
    (b"anna\xc3", "is not text in UTF-8"),  # cut short
])
def test_files_that_are_not_text_are_refused_by_every_reader(name, content, message, tmp_path):
    read, kind = READERS[name]
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(kind, match=message) as error:
        read(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("name", READERS)
def test_files_without_an_end_and_folders_are_refused_by_every_reader(name, tmp_path):
    read, kind = READERS[name]
    with pytest.raises(OSError, match=r"path .* cannot be read: .*; give a "):
        read(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"path .* cannot be read: .*; give a "):
        read(tmp_path / "none")
    if os.path.exists("/dev/zero"):
        with pytest.raises(kind, match="/dev/zero is not text: it has bytes of 0"):
            read("/dev/zero")
    path = tmp_path / "long"
    path.write_text("ab" * CHUNK)
    with pytest.raises(DataError, match="has more than 1,048,576 bytes; give names"):
        read_text(path, "read", "names.txt", "give names", most=CHUNK)
    assert read_text(path, "read", "names.txt", "give names", most=2 * CHUNK) == "ab" * CHUNK


def test_a_long_line_costs_no_more_than_its_beginning(tmp_path):
    path = tmp_path / "names"
    path.write_text("ab" * CHUNK + "\nanna")
    names = gpt.documents(path)
    vocabulary = gpt.Vocabulary(names)
    X, y = gpt.sequences(names, vocabulary, 2, block=3)
    a, b, n = (vocabulary.encode(c)[1] for c in "abn")
    assert [[3, a, b], [3, a, n]] == X
    assert y == [[a, b, a], [a, n, n]]
