"""Hypothesis profiles: how many examples property tests try.

::

    # conftest.py
    from tinygrad_edu.testing import profiles
    profiles.load()

======== ======== ==============================================================================
profile  examples use
======== ======== ==============================================================================
dev            30 while you work: new examples each time; failures are remembered
ci             40 if CI=true: the same examples each time; a failure prints how to repeat it
thorough     2000 before a release: ``HYPOTHESIS_PROFILE=thorough python -m pytest``
======== ======== ==============================================================================

No profile has a deadline, because the time of a graph depends on its size.  The option
``pytest --hypothesis-profile=thorough`` has the same effect as the variable.  In a test,
``@settings(max_examples=...)`` overrides both.
"""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import InvalidArgument

_ALL: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
    # The last phase is left out.  It lists the lines that only failing examples run, which are
    # mostly the lines that write the message.
    "phases": [phase for phase in Phase if phase is not Phase.explain],
}
PROFILES: dict[str, settings] = {
    "dev": settings(max_examples=30, derandomize=False, print_blob=False, **_ALL),
    "ci": settings(max_examples=40, derandomize=True, database=None, print_blob=True, **_ALL),
    "thorough": settings(max_examples=2000, derandomize=False, print_blob=True, **_ALL),
}


def load(name: str | None = None) -> str:
    """Registers the three profiles, loads one of them and returns its name.

    name: the profile to load, which may be one that you have registered.  By default it is the
        value of the environment variable HYPOTHESIS_PROFILE; without that, "ci" if CI=true, else
        "dev".

    Raises:
        ValueError: no profile has this name.
    """
    for known, profile in PROFILES.items():
        settings.register_profile(known, profile)
    default = "ci" if os.environ.get("CI") == "true" else "dev"
    name = name or os.environ.get("HYPOTHESIS_PROFILE") or default
    try:
        settings.get_profile(name)
    except InvalidArgument:
        raise ValueError(
            f"profiles.load: name must be a hypothesis profile, not {name!r}; pass one of "
            f"{', '.join(PROFILES)}, or set HYPOTHESIS_PROFILE to it"
        ) from None
    settings.load_profile(name)
    return name


def scale() -> str:
    """Returns the profile that is loaded, "dev", "ci" or "thorough", to scale loops in tests.

    The profile is recognised by its number of examples.  For a profile that you have registered,
    the largest of the three that has no more examples is returned.
    """
    examples = settings().max_examples
    passed = [name for name, profile in PROFILES.items() if profile.max_examples <= examples]
    return passed[-1] if passed else "dev"
