"""Hypothesis without a deadline per example: a busy machine is no failure.

`EXCISE_EXAMPLES` is how many examples each property is tried on, where it says nothing itself.
"""

import os

from hypothesis import settings

settings.register_profile(
    "unhurried", deadline=None, max_examples=int(os.environ.get("EXCISE_EXAMPLES", "100"))
)
settings.load_profile("unhurried")
