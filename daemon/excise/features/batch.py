"""Records to columns: the one place where Python objects become arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from excise.features.handshakes import Whole, timed
from excise.model.record import Record

Column = NDArray[np.float64]
BLOCK = 128
#: English text in UTF-8 is about four bytes a token; framing makes streamed answers larger
BYTES_PER_TOKEN = 4.0
#: who reads log-probabilities wants the next token or two, not an answer
FEW_TOKENS = 2.0
#: an answer with so many log-probabilities for each token tells how the model weighs its words,
#: and not just which it chose: a soft label (Hinton et al., arXiv 1503.02531)
ALTERNATIVES = 2.0


@dataclass(frozen=True, slots=True)
class Batch:
    """Columns over n records; unknown counts as 0, flags are 0.0 or 1.0.

    `sums` has shape (n, 5): requests, input tokens, output tokens, bytes out, errors. `keys` are
    (client, account, ja4, user agent). `output` is output tokens, or a quarter of the bytes out
    where no tokens are logged: good for shares, not for prices. `prompt` are hash chains.
    """

    ts: Column
    sums: Column
    llm: Column
    plaintext: Column
    direct: Column
    unbelieved: Column
    log_input: Column
    log_output: Column
    keys: list[tuple[str, str, str, str]]
    template: list[str]
    #: `""` where the client is the peer; None where that is so for all
    peers: list[str] | None
    output: Column
    sweep: Column
    soft: Column
    prompt: list[tuple[str, ...]]
    org: list[str]
    tokens: NDArray[np.bool_]
    model: list[str]
    simhash: list[str]
    #: times of handshakes, see `timed`; None where no record tells any
    handshakes: Whole | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def timed(self, at: slice) -> Whole | None:
        """Return the times of handshakes of some records."""
        return None if self.handshakes is None else self.handshakes[at]


def columns(records: Sequence[Record]) -> Batch:
    """Turn records into columns."""
    n = len(records)
    if not n:
        raise ValueError("no records")
    fields = _fields(records)
    ts, tokens_in, tokens_out, bytes_out, status, hops = (
        np.array(f, dtype=np.float64) for f in fields[:6]
    )
    logprobs, biased = (np.array(f, dtype=np.float64) for f in fields[6:8])
    tls, peer, prompt, org, model, simhash, shakes, clients = fields[8:16]
    sums = np.empty((n, 5))
    sums[:, 0] = 1.0
    sums[:, 1] = np.maximum(tokens_in, 0.0)
    sums[:, 2] = np.maximum(tokens_out, 0.0)
    sums[:, 3] = np.maximum(bytes_out, 0.0)
    sums[:, 4] = status >= 400
    llm = ((tokens_out > 0) & (status < 400)).astype(np.float64)
    direct = (
        np.array([not p or p == c for p, c in zip(peer, clients, strict=True)], dtype=np.float64)
        if any(peer)
        else np.ones(n)
    )
    return Batch(
        ts=ts,
        sums=sums,
        llm=llm,
        plaintext=np.array([t == "none" for t in tls], dtype=np.float64),
        direct=direct,
        unbelieved=(hops > 0).astype(np.float64),
        log_input=np.log2(1.0 + sums[:, 1]) * llm,
        log_output=np.log2(1.0 + sums[:, 2]) * llm,
        keys=list(zip(clients, *fields[16:], strict=True)),
        template=[p[0] if p else "" for p in prompt],
        peers=peer if any(peer) else None,
        output=np.where(tokens_out >= 0, sums[:, 2], sums[:, 3] / BYTES_PER_TOKEN),
        sweep=((logprobs > 0) & (biased > 0) & (sums[:, 2] <= FEW_TOKENS)).astype(np.float64),
        soft=(logprobs >= ALTERNATIVES) * llm,
        prompt=prompt,
        org=org,
        tokens=tokens_out >= 0,
        model=model,
        simhash=simhash,
        handshakes=_handshakes(records, shakes, direct),
    )


def _handshakes(records: Sequence[Record], told: list[float], direct: Column) -> Whole | None:
    """Return times of handshakes; most logs tell none, and pay for no more than the question."""
    if told.count(-1.0) == len(told):
        return None
    rtt = np.fromiter((r.tcp_rtt for r in records), dtype=np.float64, count=len(told))
    return timed(rtt, np.array(told, dtype=np.float64), direct)


def _fields(records: Sequence[Record]) -> list[list[Any]]:
    """Return the values of each field; a block at a time, while its tuples are in the cache."""
    fields: list[list[Any]] = [[] for _ in _NAMES]
    for at in range(0, len(records), BLOCK):
        block = zip(*map(_values, records[at : at + BLOCK]), strict=True)
        for field, values in zip(fields, block, strict=True):
            field.extend(values)
    return fields


_NAMES = (
    "ts",
    "input_tokens",
    "output_tokens",
    "bytes_out",
    "status",
    "unbelieved_hops",
    "logprobs",
    "logit_bias",
    "tls",
    "peer",
    "prompt",
    "org",
    "model",
    "simhash",
    "tls_handshake",
    "client",
    "account",
    "ja4",
    "user_agent",
)
_values = attrgetter(*_NAMES)
