"""The report of a replay: one HTML file to look at, without scripts and without a network."""

from excise.report.collect import Report, collect
from excise.report.page import page

__all__ = ["Report", "collect", "page"]
