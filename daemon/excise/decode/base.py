"""The seam between lines and records, and what every line format shares."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from hashlib import blake2b
from typing import Protocol

from excise.decode.trust import FORWARDED_FOR, Network, TrustedProxies
from excise.errors import ExciseError
from excise.model.record import Decoded, Reject

#: longest line that is decoded: 32 KiB of headers, as nginx takes them at most by default, may be
#: logged with each byte escaped as four; a source delivers one byte more of a longer line
MAX_LINE_BYTES = 262_144
SAMPLE_BYTES = 200
UNAUTHORIZED = "401"
#: what comes before a secret, and the secret
_CREDENTIAL = re.compile(
    rb"(?i)((?:bearer|basic)(?:\s|%20|\+)+"
    rb"|(?:authorization|api[-_]?key|access[-_]?token|token|secret|password|[?&]key)"
    rb"[\"']?\s*[:=]\s*[\"'\[]*(?:(?:bearer|basic)\s+)?|\b(?:sk|pk|rk)-)"
    rb"[^\s\"'&,;]+"
)
CONTROL = bytes(set(range(32)) - {0x09, 0x0D}) + b"\x7f"


class Decoder(Protocol):
    """One log format."""

    name: str

    def decode(self, lines: Sequence[bytes]) -> Decoded:
        """Decode whole lines, without their newline.

        Never raises for what a line holds: every line becomes one record or one reject, except
        blank ones, which are ignored.
        """
        ...


@dataclass(frozen=True, slots=True)
class DecodeContext:
    """What formats need beside the lines.

    `trusted`: proxies whose X-Forwarded-For hop is believed; `trusted_unix`: peers on a unix
    socket are too; `proxy_header`: which header they write. `account_key`: secret of this host
    (up to 64 bytes) that turns user names and credentials into opaque account ids. `zone`: of
    times that are written without one.
    """

    trusted: tuple[Network, ...]
    account_key: bytes
    trusted_unix: bool = False
    proxy_header: str = FORWARDED_FOR
    zone: tzinfo = UTC

    def proxies(self) -> TrustedProxies:
        """Return who is believed about the hop before them."""
        return TrustedProxies(self.trusted, unix=self.trusted_unix, header=self.proxy_header)

    def account(self, claim: str, status: str) -> str:
        """Return the account id of a user name or credential that a format carries raw.

        That is 32 hex digits of keyed BLAKE2b (RFC 7693). A claim that was refused with 401 is
        nobody's: anybody can make it.
        """
        if not claim or status == UNAUTHORIZED:
            return ""
        return blake2b(claim.encode(), digest_size=16, key=self.account_key).hexdigest()


class LineRejectedError(ExciseError):
    """A line cannot be decoded; `reason` is short and stable, see docs/inputs.md."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"line rejected: {reason}")


def reject(line: bytes, reason: str) -> Reject:
    """Return the reject of a line, with its first bytes, but for what looks like a credential."""
    return Reject(reason, _CREDENTIAL.sub(rb"\g<1>***", line[: 2 * SAMPLE_BYTES])[:SAMPLE_BYTES])


def blank(line: bytes) -> bool:
    """Whether a line is neither record nor reject."""
    return not line or line.isspace()
