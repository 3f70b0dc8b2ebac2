"""Records to columns: the one place where Python objects become arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from excise.model.record import Record

Column = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Batch:
    """Columns over n records. `sums` has shape (n, 5): requests, input tokens, output tokens,
    bytes out, errors; unknown counts as 0. Flags are 0.0 or 1.0.
    """

    ts: Column
    sums: Column
    llm: Column
    plaintext: Column
    direct: Column
    log_input: Column
    log_output: Column
    client: list[str]
    account: list[str]
    stack: list[str]
    template: list[str]

    def __len__(self) -> int:
        return len(self.client)


def columns(records: Sequence[Record]) -> Batch:
    """Turn records into columns."""
    n = len(records)
    counts = np.array(
        [(r.input_tokens, r.output_tokens, r.bytes_out, r.status) for r in records],
        dtype=np.float64,
    ).reshape(n, 4)
    tokens = np.maximum(counts[:, :2], 0.0)
    sums = np.empty((n, 5))
    sums[:, 0] = 1.0
    sums[:, 1:3] = tokens
    sums[:, 3] = np.maximum(counts[:, 2], 0.0)
    sums[:, 4] = counts[:, 3] >= 400
    llm = ((counts[:, 1] > 0) & (counts[:, 3] < 400)).astype(np.float64)
    return Batch(
        ts=np.array([r.ts for r in records], dtype=np.float64),
        sums=sums,
        llm=llm,
        plaintext=np.array([r.tls == "none" for r in records], dtype=np.float64),
        direct=np.array([not r.peer or r.peer == r.client for r in records], dtype=np.float64),
        log_input=np.log2(1.0 + tokens[:, 0]) * llm,
        log_output=np.log2(1.0 + tokens[:, 1]) * llm,
        client=[r.client for r in records],
        account=[r.account for r in records],
        stack=[stack_name(r) for r in records],
        template=[r.prompt[0] if r.prompt else "" for r in records],
    )


def stack_name(record: Record) -> str:
    """Return the client stack's name, `ja4 user-agent`; "" where neither is known."""
    if record.ja4:
        return f"{record.ja4} {record.user_agent}"
    return record.user_agent
