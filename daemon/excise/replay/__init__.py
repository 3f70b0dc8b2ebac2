"""Replay: recorded lines, the daemon's own engine, and an account of what it would have done."""

from excise.replay.accounting import Accounting
from excise.replay.chronicle import Chronicle
from excise.replay.run import replay
from excise.replay.summary import Summary

__all__ = ["Accounting", "Chronicle", "Summary", "replay"]
