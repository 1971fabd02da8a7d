"""The hypothesis profile (`tinygrad_edu.testing.profiles`), and Ctrl-C as programs that tests start should have it."""

import signal

from tinygrad_edu.testing import profiles

profiles.load()

# A background job of a shell is started with Ctrl-C ignored, and so would be every program that a test starts, and sends
# Ctrl-C to.  With a handler here they have the usual one.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
