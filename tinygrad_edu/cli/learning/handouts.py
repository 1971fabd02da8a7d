"""The course and what a lecturer hands out: course, export, worksheet, class-test, gains."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from ...errors import DataError, RenderError, check_int, check_name, counted
from ...files import read_text, write_atomically
from ..arguments import REPLACED, Command, argument, option, out_option, positive
from ..output import write
from .choosing import SEED, lesson_option, lessons_of, level

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...learn.handouts import Variant

FILES = {"moodle": "bank.xml", "gift": "bank.gift.txt", "anki": "bank.anki.txt", "text": "bank.txt"}
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")
MOST_IN_LESSON = 500  # questions, of which a page has no more
MOST_BYTES = 10_000_000  # of a file of names or answers
_DATE = re.compile(rb"/(?:CreationDate|ModDate) \(D:\d{14}[^()<>]{0,8}\)")
_NODE = re.compile(rb"\(node\d{8}\)")
MOST_SECONDS = 600  # for the printing of a page


def run_export(options: argparse.Namespace) -> int:
    """Writes a bank of questions for another program."""
    from ...learn import handouts

    check_name(options.to, "--to", [*handouts.FORMATS])
    check_int(options.questions, "--questions", 1, most=handouts.MOST_IN_BANK)
    lessons = lessons_of(options.lesson)
    items = handouts.bank(options.seed, options.questions, lessons=lessons, level=options.level)
    text = handouts.FORMATS[options.to](items)
    name = FILES[options.to]
    path = write(options.out or name, name, lambda path: write_atomically(path, text))
    if path is not None:
        pictures = sum(bool(item.picture) for item in items)
        shown = "" if options.to == "text" else f", {counted(pictures, 'picture')}"
        print(f"wrote {path}: {counted(len(items), 'question')}{shown}, of "
              f"{_origin(options.seed, lessons)}")
    return 0


def _origin(seed: int, lessons: Sequence[str]) -> str:
    """Returns what questions were made from, in words."""
    return f"seed {seed}" + f" on {', '.join(lessons)}" * bool(lessons)


def run_worksheet(options: argparse.Namespace) -> int:
    """Writes worksheets, one variant for each student, and their key."""
    from ...learn import handouts

    check_int(options.questions, "--questions", 1, most=handouts.MOST_ON_SHEET)
    names = _names(options)
    lessons = lessons_of(options.lesson)
    made = handouts.variants(options.seed, names, options.questions, lessons=lessons)
    written = _pages(made, options.out, Headings(options.title), options.pdf)
    print(f"wrote {', '.join(map(str, written))}: {counted(len(made), 'variant')} of "
          f"{counted(options.questions, 'question')}, of {_origin(options.seed, lessons)}")
    return 0


def _names(options: argparse.Namespace) -> list[str]:
    """Returns the names of the variants: of students, or 001, 002, ...

    Raises ValueError if both options say how many there are.
    """
    if options.students is None:
        count = options.variants or 1
        digits = max(3, len(str(count)))
        return [str(i).zfill(digits) for i in range(1, count + 1)]
    if options.variants is not None:
        raise ValueError(
            f"give --students or --variants, not both: leave out --variants {options.variants} "
            f"for a worksheet for each line of {options.students}"
        )
    text = read_text(options.students, "--students", "students.txt", "write one identifier a line",
                     most=MOST_BYTES)
    names = [line.strip() for line in text.split("\n") if line.strip()]
    if not names:
        raise DataError(f"{options.students} has no identifiers; write one a line")
    return names


class Headings(NamedTuple):
    """What stands at the top of sheets, as `sheet_page` takes it."""

    title: str
    asked_for: str = "Name"
    named: str = "Sheet {}"


def _pages(
    made: Sequence[Variant], folder: Path, headings: Headings, with_pdf: bool
) -> list[Path]:
    """Writes sheets and key, and returns the paths.

    All of them are made before the first is written: a sheet never stands beside another's key.
    """
    from ...learn import handouts

    pages = {
        "sheets": handouts.sheet_page(made, headings.title, headings.asked_for, headings.named),
        "key": handouts.key_page(made, headings.title, headings.named),
    }
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file; choose another folder with -o")
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[str, str | bytes] = {f"{name}.html": page for name, page in pages.items()}
    if with_pdf:
        files |= {f"{name}.pdf": _pdf(page, folder) for name, page in pages.items()}
    written = [write_atomically(folder / name, content) for name, content in files.items()]
    prints = [folder / f"{name}.pdf" for name in pages]
    if old := [path for path in prints if path.exists() and path not in written]:
        print(f"{' and '.join(map(str, old))} from before: print again with --pdf")
    return written


def _pdf(page: str, folder: Path) -> bytes:
    """Prints a page, by weasyprint or a browser, to the same bytes each time.

    folder: holds the files for the browser, which may not be allowed to read other places.
    """
    if find_spec("weasyprint"):
        from importlib import import_module

        return bytes(import_module("weasyprint").HTML(string=page).write_pdf())
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise RenderError(
            "--pdf needs weasyprint or a browser such as Chromium; pip install weasyprint, or "
            "leave out --pdf and print the pages from your browser"
        )
    with TemporaryDirectory(prefix="printing-", dir=folder) as place:
        source = write_atomically(Path(place) / "page.html", page)
        target = source.with_suffix(".pdf")
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu",
                   "--no-pdf-header-footer", f"--print-to-pdf={target}",
                   source.resolve().as_uri()]
        try:
            subprocess.run(command, capture_output=True, check=True, timeout=MOST_SECONDS)
            return _lasting(target.read_bytes())
        except (OSError, subprocess.SubprocessError) as error:
            raise RenderError(
                f"--pdf: {browser} could not print the pages; leave out --pdf and print them from "
                "your browser"
            ) from error


def _lasting(pdf: bytes) -> bytes:
    """Returns the PDF of a browser without what is another in each run.

    A browser notes when it printed, and counts the cells of a table from any number on.  What takes
    their place has the same length, since a PDF says at which byte each of its parts begins.
    """
    names = {name: b"(node%08d)" % i for i, name in enumerate(sorted({*_NODE.findall(pdf)}))}
    renamed = _NODE.sub(lambda found: names[found[0]], pdf)
    return _DATE.sub(lambda found: b" " * len(found[0]), renamed)


def run_course(options: argparse.Namespace) -> int:
    """Writes the course as pages."""
    from ... import viz

    check_int(options.questions, "--questions", 1, most=MOST_IN_LESSON)
    written = viz.course(
        options.out, questions=options.questions, seed=options.seed, progress=True
    )
    print(f"wrote {counted(len(written), 'page')} to {options.out}; open {written[0]} in a browser")
    return 0


def run_class_test(options: argparse.Namespace) -> int:
    """Writes the tests before and after a course, their key, and an empty table of answers."""
    from ...learn.handouts import class_test
    from ...learn.handouts.bank import in_order

    lessons = in_order(lessons_of(options.lesson), "--lesson")
    table = options.out / "answers.csv"
    is_there = table.exists()
    if is_there:  # it may have the answers of a class
        _check_test(table, options.seed, lessons)
    made = class_test.sheets(options.seed, lessons)
    headings = Headings("Class test", class_test.CODE, class_test.NAMED)
    written = _pages(made, options.out, headings, options.pdf)
    if not is_there:
        written.append(write_atomically(table, f"{class_test.head(options.seed, lessons)}\n"))
    print(f"wrote {', '.join(map(str, written))}, of {_origin(options.seed, lessons)}")
    if is_there:
        print(f"kept {table}, which was there")
    print(f"Each student writes the same code on both tests. Type the answers into {table}, and "
          f"then: tinygrad-edu gains {table}")
    return 0


def _check_test(table: Path, seed: int, lessons: tuple[str, ...]) -> None:
    """Raises FileExistsError if a table has the answers to another test."""
    from ...learn.handouts import class_test

    text = read_text(table, "the answers", "answers.csv", "choose another folder with -o",
                     most=MOST_BYTES)
    other = class_test.origin_of(text, str(table))
    if other != (seed, lessons):
        same = " ".join([f"--seed {other[0]}", *[f"--lesson {lesson}" for lesson in other[1]]])
        raise FileExistsError(
            f"{table} has the answers to the test of {_origin(*other)}, not of "
            f"{_origin(seed, lessons)}; choose another folder with -o, or {same}"
        )


def run_gains(options: argparse.Namespace) -> int:
    """Reports what a class gained between the two tests."""
    from ...learn.handouts import class_test

    text = read_text(options.answers, "the answers", "answers.csv", "write what class-test begins",
                     most=MOST_BYTES)
    print(class_test.gain(class_test.read_answers(text, str(options.answers))))
    return 0


_PDF = argument("--pdf", action="store_true",
                help="also as PDF, by weasyprint or an installed browser")
EXPORT = Command(
    "export",
    run_export,
    "write a bank of questions for Moodle, GIFT, Anki, or to read",
    (
        option("--to", "moodle", "moodle, gift, anki or text"),
        SEED,
        option("--questions", 50, "how many", positive),
        lesson_option(),
        argument("--level", type=level, help="from 1 to 5 (default: from easy to hard)"),
        argument("-o", "--out", help=f"file to write; {REPLACED}; - is standard output (default: "
                 "bank.xml, or the like)"),
    ),
)
WORKSHEET = Command(
    "worksheet",
    run_worksheet,
    "write worksheets to print, with other numbers for each student, and their key",
    (
        SEED,
        option("--questions", 8, "questions of each worksheet", positive),
        lesson_option(),
        argument("--variants", type=positive, help="how many worksheets (default: 1)"),
        argument("--students", metavar="FILE", help="a file with an identifier of a student a "
                 "line, instead of --variants"),
        option("--title", "Worksheet", "the heading"),
        _PDF,
        out_option("sheets"),
    ),
)
CLASS_TEST = Command(
    "class-test",
    run_class_test,
    "write a test before and after a course, without names",
    (SEED, lesson_option(), _PDF, out_option("class-test", ", but answers.csv is kept")),
)
GAINS = Command(
    "gains",
    run_gains,
    "report what a class gained between the two tests, with confidence intervals",
    (argument("answers", metavar="FILE", help="the table of answers, answers.csv"),),
)
COURSE = Command(
    "course",
    run_course,
    "write the course as pages that need no network",
    (
        SEED,
        option("--questions", 50, "questions of each lesson", positive),
        out_option("course"),
    ),
)
COMMANDS = (COURSE, EXPORT, WORKSHEET, CLASS_TEST, GAINS)
