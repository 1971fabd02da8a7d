"""Hypothesis profiles: ``dev`` while you work, ``ci`` (repeatable, when CI=true), ``thorough`` before a release.

Choose with the environment variable HYPOTHESIS_PROFILE.
"""

import os
import signal

from hypothesis import HealthCheck, settings

QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("dev", max_examples=30, deadline=None, suppress_health_check=QUIET)
settings.register_profile("ci", max_examples=60, deadline=None, derandomize=True, database=None, print_blob=True,
                          suppress_health_check=QUIET)
settings.register_profile("thorough", max_examples=2000, deadline=None, suppress_health_check=QUIET)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") == "true" else "dev"))

# A background job of a shell is started with Ctrl-C ignored, and so would be every program that a test starts, and sends
# Ctrl-C to.  With a handler here they have the usual one.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
