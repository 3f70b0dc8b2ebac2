"""journalctl: how it is asked, and what it answers. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from excise.config import JournalConfig

#: sd-messages.h: SD_MESSAGE_JOURNAL_DROPPED, what journald says of messages that it threw away
DROPPED = "a596d6fe7bfa4994828e72309e95d61e"


class Raw(msgspec.Struct):
    """One line of `journalctl -o json`; a field that is no text comes as a list of bytes."""

    cursor: str = msgspec.field(name="__CURSOR")
    message: object = msgspec.field(name="MESSAGE", default=None)
    message_id: object = msgspec.field(name="MESSAGE_ID", default=None)
    dropped: object = msgspec.field(name="N_DROPPED", default=None)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: its place, its lines, and how many others journald dropped before it."""

    cursor: str
    lines: tuple[bytes, ...]
    dropped: int = 0


_decoder = msgspec.json.Decoder(Raw)


def parse_entry(line: bytes) -> Entry:
    """Return one line of output as an entry. Raises msgspec.DecodeError."""
    raw = _decoder.decode(line)
    if raw.message_id == DROPPED:
        count = raw.dropped if isinstance(raw.dropped, str) else ""
        return Entry(raw.cursor, (), int(count) if count.isdecimal() else 1)
    return Entry(raw.cursor, tuple(line for text in _texts(raw.message) for line in text))


def _texts(message: object) -> list[list[bytes]]:
    """Return every text of a field, as lines: text, bytes as numbers, or several of these."""
    match message:
        case str():
            return [message.encode().split(b"\n")]
        case [int(), *_]:
            numbers = [n for n in message if isinstance(n, int) and 0 <= n < 256]
            return [bytes(numbers).split(b"\n")]
        case [*several]:
            return [text for one in several for text in _texts(one)]
    return []


def where(config: JournalConfig) -> list[str]:
    """Return the arguments that say which journal."""
    if config.directory is not None:
        return [f"--directory={config.directory}"]
    return ["--system"]


def which(config: JournalConfig) -> list[str]:
    """Return the arguments that say which entries.

    Not `--unit`: that adds what systemd itself says of a unit. What journald dropped is asked for
    besides, of the same units where there are any.
    """
    units = [f"_SYSTEMD_UNIT={unit}" for unit in config.units]
    names = [f"SYSLOG_IDENTIFIER={name}" for name in config.identifiers]
    dropped = [f"OBJECT_SYSTEMD_UNIT={unit}" for unit in config.units]
    return [*units, *names, *config.matches, "+", f"MESSAGE_ID={DROPPED}", *dropped]


def reading(config: JournalConfig, after: str | None, *, follow: bool) -> list[str]:
    """Return the arguments for reading on behind a cursor, None: from the start."""
    return [
        *where(config),
        "--output=json",
        "--output-fields=MESSAGE,MESSAGE_ID,N_DROPPED",
        "--all",
        "--quiet",
        "--no-pager",
        *(("--follow", "--no-tail") if follow else ()),
        *((f"--after-cursor={after}",) if after else ()),
        *which(config),
    ]


def newest(config: JournalConfig) -> list[str]:
    """Return the arguments that ask for the last entry of all."""
    return [*where(config), "--output=json", "--output-fields=_", "--lines=1", "--no-pager"]
