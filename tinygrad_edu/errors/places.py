"""Who called: the place in the user's program that a warning names."""

import os
import sys
import warnings
from functools import cache
from pathlib import Path
from types import FrameType

PACKAGE_FOLDER = str(Path(__file__).parents[1]) + os.sep
LIBRARY_FOLDER = str(Path(os.__file__).parent) + os.sep


def warn(message: str, category: type[Warning]) -> None:
    """Warns at the present line of the user's program."""
    frame = user_frame()
    warnings.warn_explicit(
        message,
        category,
        frame.f_code.co_filename,
        frame.f_lineno,
        frame.f_globals.get("__name__"),
        frame.f_globals.setdefault("__warningregistry__", {}),
    )


def user_frame() -> FrameType:
    """Returns the innermost call outside this package and Python's library.

    If it is in an installed package, such as numpy, this is the call of the user's program that
    called the package, if there is one before the next call of this package.
    """
    frame = sys._getframe(3)  # the calls up to here are in this package
    installed = None
    while True:
        outer = frame.f_back
        owner = owner_of_file(frame.f_code.co_filename)
        # the outermost call may be the script that starts an installed package
        if owner == "user" and not (installed and outer is None):
            return frame
        if owner == "installed":
            installed = installed or frame
        if outer is None or (installed and owner == "us"):
            return installed or frame
        frame = outer


@cache
def owner_of_file(file: str) -> str:
    """Returns who owns a source file.

    This is "us" (this package), "library" (Python's own), "installed" (another package) or "user".
    """
    if file.startswith(PACKAGE_FOLDER):
        return "us"
    if "site-packages" in file or "dist-packages" in file:
        return "installed"
    return "library" if file.startswith((LIBRARY_FOLDER, "<frozen ")) else "user"
