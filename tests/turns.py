"""Credentials whose accounts have their turn now, or not, which goes by name and clock."""

import itertools
import time

TURN_S = 60


def place(account, minutes, now):
    """Return the seconds since an account's turn began; its next one is after `minutes`."""
    return (int(now) + int(account[:4], 16)) % (minutes * TURN_S)


def credential(keyed, minutes, *, between, now=None):
    """Return the first `Bearer sk-n` whose account is so many seconds into its turn's cycle."""
    now = time.time() if now is None else now
    lowest, highest = between
    names = (f"Bearer sk-{n}" for n in itertools.count())
    return next(n for n in names if lowest <= place(keyed.account(n), minutes, now) <= highest)
