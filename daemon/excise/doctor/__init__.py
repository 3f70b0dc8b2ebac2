"""Looks at what excise needs of this host and what it can see, and says what to do about it.

Read-only: nothing is made, changed or loaded. Each check is a function of what it looks at, so
that one that cannot look does not hide the others.
"""

from excise.doctor.check import Check, State
from excise.doctor.examine import Diagnosis, Sight, examine
from excise.doctor.filled import answered, shares
from excise.doctor.sample import Sample

__all__ = ["Check", "Diagnosis", "Sample", "Sight", "State", "answered", "examine", "shares"]
