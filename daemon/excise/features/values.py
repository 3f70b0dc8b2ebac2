"""Features as columns: every name in `table.FEATURES`, computed for the records of a piece."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from excise.features import handshakes
from excise.features.interner import Rows
from excise.features.sketch import estimate
from excise.features.state import HALF_LIVES, Column, Matrix, Moment, Table
from excise.model.entity import Kind

Bools = NDArray[np.bool_]


class Columns(Protocol):
    """Features by name, a value per row; what rules are compared with."""

    @property
    def kind(self) -> Kind:
        """What the rows are."""
        ...

    @property
    def rows(self) -> Rows:
        """Rows of the kind's table; 0 is nobody."""
        ...

    def __getitem__(self, name: str) -> Column:
        """Return a feature, shape (len(rows),)."""
        ...


class View:
    """Feature values of one kind over the records of a piece, each worked out once, on demand."""

    def __init__(self, table: Table, moment: Moment, weights: Matrix) -> None:
        self.kind: Kind = table.kind
        self.rows: Rows = moment.rows
        self._table, self._moment, self._weights = table, moment, weights
        self._cache: dict[str, Column] = {}

    def __getitem__(self, name: str) -> Column:
        value = self._cache.get(name)
        if value is None:
            made = _MADE.get(name)
            value = made(self) if made else self.column(name)
            self._cache[name] = value
        return value

    def column(self, name: str) -> Column:
        """Return a stored column as it stands at each record."""
        at = self._table.index[name]
        value: Column = self._moment.sums[:, at]
        h = self._table.decay[at]
        if h >= 0:
            return value / self._weights[:, h]
        if name in {"active_hours", "total"}:
            return value
        return estimate(value)

    @property
    def handshakes(self) -> handshakes.Whole:
        """What is known of handshakes; for clients alone."""
        known = self._moment.handshakes
        if known is None:
            kept = self._table.handshakes
            known = handshakes.none(self.rows) if kept is None else kept.at(self.rows)
        return known

    @property
    def age_s(self) -> Column:
        """Seconds since first seen."""
        return self._moment.age_s

    @property
    def idle_s(self) -> Column:
        """Seconds since the record before."""
        return self._moment.idle_s


def resting(table: Table, rows: Rows, now: float, landmark: float) -> View:
    """Return a view of committed rows as they stand at `now`, outside of any piece."""
    weights = np.broadcast_to(np.exp2((now - landmark) / HALF_LIVES), (len(rows), len(HALF_LIVES)))
    last = table.last[rows]
    moment = Moment(
        rows,
        table.sums[rows],
        np.maximum(now - table.first[rows], 0.0),
        np.maximum(now - last, 0.0),
    )
    return View(table, moment, weights)


def _ratio(a: Column, b: Column) -> Column:
    return a / np.maximum(b, 1e-9)


def _spread(total: Column, squares: Column, n: Column) -> Column:
    n = np.maximum(n, 1e-9)
    mean = total / n
    return np.sqrt(np.maximum(squares / n - mean * mean, 0.0))


def _log_mean(name: str) -> Callable[[View], Column]:
    return lambda v: np.exp2(_ratio(v.column(name), v["llm_requests_24h"])) - 1.0


def _per(quantity: str, count: str) -> Callable[[View], Column]:
    return lambda v: v[quantity] / np.maximum(v[count], 1.0)


_MADE: dict[str, Callable[[View], Column]] = {
    "age_s": lambda v: v.age_s,
    "idle_s": lambda v: v.idle_s,
    "mean_input": _log_mean("log_input"),
    "mean_output": _log_mean("log_output"),
    "spread_output": lambda v: _spread(
        v.column("log_output"), v.column("log_output_sq"), v["llm_requests_24h"]
    ),
    "input_variety": lambda v: _ratio(
        v["input_tokens_24h"], v["requests_24h"] * np.maximum(v["mean_input"], 1e-9)
    ),
    "output_ratio": lambda v: _ratio(v["output_tokens_24h"], v["input_tokens_24h"]),
    "gap_spread": lambda v: _spread(v.column("log_gap"), v.column("log_gap_sq"), v["gaps_1h"]),
    "handshakes": lambda v: handshakes.count(v.handshakes),
    "tcp_rtt_ms": lambda v: handshakes.rtt_ms(v.handshakes),
    "tls_handshake_ms": lambda v: handshakes.handshake_ms(v.handshakes),
    "handshake_beyond_ms": lambda v: handshakes.beyond_ms(v.handshakes),
    "handshake_ratio": lambda v: handshakes.ratio(v.handshakes),
    "output_per_client": _per("output_tokens_24h", "clients"),
    "output_per_account": _per("output_tokens_24h", "accounts"),
    "requests_per_client": _per("requests_24h", "clients"),
}
