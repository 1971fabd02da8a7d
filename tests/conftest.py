"""What holds for a whole run: the hypothesis profile, Ctrl-C as programs that tests start should
have it, a cache of its own.

The profile is that of `tinygrad_edu.testing.profiles`.  Machine code is cached in a new folder,
which the workers of one run, and the programs that tests start, have in common.
"""

import os
import signal
import tempfile

from tinygrad_edu.testing import profiles

profiles.load()

# A background job of a shell is started with Ctrl-C ignored, and so would be every program that a
# test starts, and sends Ctrl-C to.  With a handler here they have the usual one.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

OURS = "tinygrad_edu_tests_"
cache = None
# else this is a part of a run that has one
if OURS not in os.environ.get("TINYGRAD_EDU_CACHE", ""):
    cache = tempfile.TemporaryDirectory(prefix=OURS)
    os.environ["TINYGRAD_EDU_CACHE"] = cache.name


def pytest_unconfigure():
    if cache is not None:
        cache.cleanup()
