"""The project's own bench: made-up days of traffic with labels, and a judge of decisions on them.

Pure: a seed goes in, requests come out. No captured trace stands behind it; every distribution
names the publication it follows, and every parameter can be changed.
"""

from excise.simulate.compose import Plan, compose
from excise.simulate.score import Report, score

__all__ = ["Plan", "Report", "compose", "score"]
