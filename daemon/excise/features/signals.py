"""Which fields the gateway logs: a signal whose field is missing sees nothing, and says so."""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter

import numpy as np

from excise.features.batch import Batch
from excise.features.state import Column
from excise.features.values import Bools
from excise.model.view import SignalView

#: fields, and what is blind without them
NEEDED = {
    "account": "campaigns, verdicts on the account plane, whom a shared address would hit",
    "org": "telling a customer's many keys from many customers",
    "output_tokens": "volume and shape (bytes stand in for volume alone)",
    "prompt": "templates, conversations, swept prompts",
    "client stack": "uses: a stolen key beside its owner's",
    "model": "a group's move to a new model",
    "simhash": "questions that are each asked once",
    "tls_handshake": "proxies that clients come through",
}
#: a field that fewer requests than this have is as good as not logged
BLIND = 0.05
#: of a connection only the first request tells it, and connections last
BLIND_TO_HANDSHAKES = 0.001
#: requests that the shares look back on
MEMORY = 10_000.0


class Signals:
    """Owns a fading count of requests and of those that have each field."""

    def __init__(self) -> None:
        self.seen: Column = np.zeros(len(NEEDED) + 1)

    def note(self, batch: Batch, at: slice) -> None:
        """Count the records of a piece."""
        keys = batch.keys[at]
        n = len(keys)
        answered = batch.sums[at, 4] == 0
        times = batch.timed(at)
        fields = (
            np.ones(n, dtype=bool),
            _filled(map(itemgetter(1), keys), n),
            _filled(batch.org[at], n),
            batch.tokens[at],
            _filled(batch.prompt[at], n),
            _filled(map(itemgetter(2), keys), n) | _filled(map(itemgetter(3), keys), n),
            _filled(batch.model[at], n),
            _filled(batch.simhash[at], n),
            np.zeros(n, dtype=bool) if times is None else times[:, 0] > 0,
        )
        self.seen *= max(0.0, 1.0 - n / MEMORY)
        self.seen += [np.count_nonzero(f & answered) for f in fields]

    def views(self) -> tuple[SignalView, ...]:
        """Return each field's share of recent requests."""
        total, found = float(self.seen[0]), self.seen[1:].tolist()
        shares = [n / total if total else None for n in found]
        return tuple(
            SignalView(
                field,
                None if share is None else round(share, 3),
                need,
                share is not None and share < _enough(field),
            )
            for (field, need), share in zip(NEEDED.items(), shares, strict=True)
        )


def _enough(field: str) -> float:
    """Return the share of requests from which on a field counts as logged."""
    return BLIND_TO_HANDSHAKES if field == "tls_handshake" else BLIND


def _filled(values: Iterable[object], n: int) -> Bools:
    return np.fromiter(map(bool, values), dtype=bool, count=n)
