"""Hypothesis profiles: how hard property tests try.

::

    # conftest.py
    from tinygrad_edu.testing import profiles
    profiles.load()

======== ======== ==============================================================================
profile  examples
======== ======== ==============================================================================
dev            30 while you work: other ones each time, failures are remembered
ci             60 the same ones each time, and a failure prints how to repeat it; where CI=true
thorough     2000 before a release: ``HYPOTHESIS_PROFILE=thorough python -m pytest``
======== ======== ==============================================================================

None of them has a deadline, since the time of a graph depends on its size.  ``pytest
--hypothesis-profile=thorough`` does as well as the variable, and ``@settings(max_examples=...)`` of
a test goes before both.
"""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import InvalidArgument

_ALL: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
    # Without the last phase, which lists lines that only failing examples run: those that write the
    # message, mostly.
    "phases": [phase for phase in Phase if phase is not Phase.explain],
}
PROFILES: dict[str, settings] = {
    "dev": settings(max_examples=30, derandomize=False, print_blob=False, **_ALL),
    "ci": settings(max_examples=60, derandomize=True, database=None, print_blob=True, **_ALL),
    "thorough": settings(max_examples=2000, derandomize=False, print_blob=True, **_ALL),
}


def load(name: str | None = None) -> str:
    """Registers the three profiles, loads one of them and returns its name.

    name   which one; None: what the variable HYPOTHESIS_PROFILE names, else ci where CI=true, else
           dev.  A profile that you have registered yourself can be named as well

    Raises ValueError for a name that is no profile.
    """
    for known, profile in PROFILES.items():
        settings.register_profile(known, profile)
    default = "ci" if os.environ.get("CI") == "true" else "dev"
    name = name or os.environ.get("HYPOTHESIS_PROFILE") or default
    try:
        settings.get_profile(name)
    except InvalidArgument:
        raise ValueError(
            f"no hypothesis profile {name!r}; choose one of {', '.join(PROFILES)}, in "
            "HYPOTHESIS_PROFILE or in profiles.load()"
        ) from None
    settings.load_profile(name)
    return name


def scale() -> str:
    """The profile that is loaded, for loops of your own: "dev", "ci" or "thorough".

    It is told by the number of examples: of a profile of your own it is the largest one that does
    not try harder.
    """
    examples = settings().max_examples
    chosen = "dev"
    for name, profile in PROFILES.items():
        if profile.max_examples <= examples:
            chosen = name
    return chosen
