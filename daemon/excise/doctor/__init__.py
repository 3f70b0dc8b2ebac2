"""Looks at everything that excise needs of this host, and says what to do about what is amiss.

Read-only: nothing is made, changed or loaded. Each check is a function of what it looks at, so
that one that cannot look does not hide the others.
"""

from excise.doctor.check import Check, State
from excise.doctor.examine import Sight, examine

__all__ = ["Check", "Sight", "State", "examine"]
