"""What holds for the whole run: hypothesis profile, Ctrl-C as programs that tests start should have it, a cache of its own.

The profile is `tinygrad_edu.testing.profiles`.  The cache of compiled programs is a new folder, which the workers of one
run and the programs that tests start share.
"""

import atexit
import os
import signal
import tempfile

from tinygrad_edu.testing import profiles

profiles.load()

# A background job of a shell is started with Ctrl-C ignored, and so would be every program that a test starts, and sends
# Ctrl-C to.  With a handler here they have the usual one.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

if "PYTEST_XDIST_WORKER" not in os.environ:
    _cache = tempfile.TemporaryDirectory(prefix="tinygrad_edu_tests_")
    atexit.register(_cache.cleanup)
    os.environ["TINYGRAD_EDU_CACHE"] = _cache.name
