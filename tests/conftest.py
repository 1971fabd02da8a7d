"""Settings of a whole run: the hypothesis profile, a handler of Ctrl-C, a temporary cache, and a
table that is the same for every test.

The profile is that of `tinygrad_edu.testing.profiles`. Machine code is cached in a new folder,
which the workers of one run share with the programs that tests start.
"""

import os
import signal
import tempfile
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest
from helpers import SPAWN

from tinygrad_edu.engine.table import TABLE
from tinygrad_edu.testing import profiles

profiles.load()

# A shell starts background jobs with Ctrl-C ignored, and programs that tests start would inherit
# that. With a handler here, they get the default one.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

OURS = "tinygrad_edu_tests_"
cache = None
# a worker inherits the folder from the main process
if OURS not in os.environ.get("TINYGRAD_EDU_CACHE", ""):
    cache = tempfile.TemporaryDirectory(prefix=OURS)
    os.environ["TINYGRAD_EDU_CACHE"] = cache.name


def pytest_unconfigure():
    if cache is not None:
        cache.cleanup()


@pytest.fixture(scope="module")
def pool():
    """A pool of two processes."""
    with ProcessPoolExecutor(2, SPAWN) as made:
        yield made


@pytest.fixture(scope="module")
def threads():
    """A pool of three threads."""
    with ThreadPoolExecutor(3) as made:
        yield made


@pytest.fixture(autouse=True)
def same_table():
    """Removes the rows that a test defines."""
    before = dict(TABLE)
    yield
    TABLE.clear()
    TABLE.update(before)
