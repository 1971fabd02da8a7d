"""What tests of pages share."""

from importlib.util import find_spec
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def axe():
    """Returns the script of axe-core, which is part of a package of the extra `dev`."""
    found = find_spec("axe_core_python")
    if found is None:
        pytest.skip("needs axe-core-python")
    return (Path(found.origin).parent / "axe.min.js").read_text(encoding="utf-8")
