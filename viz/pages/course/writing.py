"""Writes the course: `viz.course`."""

from __future__ import annotations

from pathlib import Path

from tinygrad_edu.errors import check_int
from tinygrad_edu.files import FilePath
from tinygrad_edu.train.progress import share_bar

QUESTIONS = 50


def course(
    folder: FilePath, *, questions: int = QUESTIONS, seed: int = 0, progress: bool = False
) -> list[Path]:
    """Writes the course to a folder, and returns the paths: index, twelve lessons, playground.

    The pages need no network, and no server.

    questions: the number of questions of each lesson.
    seed: the random seed of the experiments and of the questions.
    progress: whether to show a progress bar on a terminal.

    Raises:
        TypeError: ``folder`` is not a path, or a number is not a whole one.
        ValueError: a number is out of range.
        OSError: the folder cannot be written to.
    """
    # the lessons take half a second to import, which other pictures do not need
    from tinygrad_edu.learn.lessons import LESSONS

    from ..playground.page import playground
    from .page import index_page, lesson_page

    check_int(questions, "course: questions", 1, most=500)
    check_int(seed, "course: seed", 0)
    target = Path(folder)
    if target.exists() and not target.is_dir():
        raise NotADirectoryError(f"{target} is a file; choose a folder for the course")
    target.mkdir(parents=True, exist_ok=True)
    written = [index_page().save(target / "index.html")]
    with share_bar("writing the course", progress) as show:
        for i, name in enumerate(LESSONS):
            page = lesson_page(name, questions=questions, seed=seed)
            written.append(page.save(target / f"{name}.html"))
            show((i + 1) / len(LESSONS))
    return [*written, playground(target / "playground.html")]
