"""Keyed hashes: accounts of credentials, chains and similarity hashes of prompts.

With a key of text, the same values as `gateways/nginx/excise.js` makes with that key. With the
daemon's own key (`account-key` of its state directory, 32 bytes), accounts are those that the
daemon makes of credentials in logs.
"""

from __future__ import annotations

import hmac
import json
import re
import time
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b, sha256
from pathlib import Path

import msgspec

from excise.errors import ConfigError

ACCOUNT_DIGITS = 24
PROMPT_DIGITS = 16
CHAIN_ENDS = 4
DAEMON_KEY_BYTES = 32
LEAST_KEY_BYTES = 16
SHINGLE_WORDS = 3
#: of more messages those between so many at either end count as one: a client decides how many
END_MESSAGES = 512
#: of a longer text its beginning and its end are looked at: so many characters, then words
END_CHARACTERS = 2048
END_WORDS = 128
#: features hashed at a stretch, some 50 µs
BREATHE_EVERY = 32
_LANE_BITS = 16
_SCRIPT = re.compile(rb"export\s+default\s+(['\"])(.*)\1\s*;?\s*")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Keyed:
    """Hashes under one key. `daemon`: accounts as the daemon makes them."""

    key: bytes = field(repr=False)
    daemon: bool = False

    @classmethod
    def load(cls, path: Path) -> Keyed:
        """Read a key file: text, the `excise_key.js` of nginx, or the daemon's 32 bytes.

        Raises ConfigError.
        """
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ConfigError(f"key file {path}: {error.strerror}; make it readable") from error
        text = data.isascii() and data.decode("ascii").strip().isprintable()
        if len(data) == DAEMON_KEY_BYTES and not text:
            return cls(data, daemon=True)
        script = _SCRIPT.fullmatch(data.strip())
        key = script[2] if script else data.strip()
        if len(key) < LEAST_KEY_BYTES:
            raise ConfigError(
                f"key file {path} holds {len(key)} bytes, too few to keep a secret;"
                " make one with: openssl rand -hex 32"
            )
        return cls(key)

    def account(self, credential: str) -> str:
        """Return the account id of a credential as it was sent, `""` of none."""
        if not credential:
            return ""
        if self.daemon:
            return blake2b(
                credential.encode(errors="replace"), digest_size=16, key=self.key
            ).hexdigest()
        return self._digest("account", credential.encode(errors="replace"))[:ACCOUNT_DIGITS]

    def chain(self, messages: list[object]) -> list[str]:
        """Return the hash chain over messages, shallow to deep; of a long one both ends."""
        links: list[str] = []
        link = ""
        if len(messages) > 2 * END_MESSAGES + 1:
            middle = messages[END_MESSAGES:-END_MESSAGES]
            messages = [*messages[:END_MESSAGES], middle, *messages[-END_MESSAGES:]]
        for message in messages:
            breathe()
            said = link.encode() + _compact(message)
            link = self._digest("prompt", said)[:PROMPT_DIGITS]
            links.append(link)
        if len(links) > 2 * CHAIN_ENDS:
            return links[:CHAIN_ENDS] + links[-CHAIN_ENDS:]
        return links

    def simhash(self, text: str) -> str:
        """Return the SimHash (Charikar 2002) of a text over its word triples, 16 hex digits.

        Texts that differ in few words differ in few bits. `""` for a text without words. Of a long
        text its first and last words count.
        """
        words = _words(text)
        if not words:
            return ""
        width = min(SHINGLE_WORDS, len(words))
        features = {" ".join(words[i : i + width]) for i in range(len(words) - width + 1)}
        secret = sha256(b"simhash\0" + self.key).digest()
        sums = [0] * 8
        lanes = _lanes()
        for count, feature in enumerate(features):
            if count % BREATHE_EVERY == 0:
                breathe()
            digest = blake2b(feature.encode(errors="replace"), digest_size=8, key=secret).digest()
            for place, byte in enumerate(digest):
                sums[place] += lanes[byte]
        return bytes(_majority(lane, len(features)) for lane in sums).hex()

    def _digest(self, purpose: str, said: bytes) -> str:
        return hmac.digest(self.key, purpose.encode() + b"\0" + said, "sha256").hex()


def _words(text: str) -> list[str]:
    if len(text) > 2 * END_CHARACTERS:
        text = f"{text[:END_CHARACTERS]} {text[-END_CHARACTERS:]}"
    words: list[str] = _WORD.findall(text.lower())
    return words if len(words) <= 2 * END_WORDS else words[:END_WORDS] + words[-END_WORDS:]


def breathe() -> None:
    """Let other threads run: a server's loop must not wait for our hashing.

    CPython would let it wait for 5 ms (`sys.setswitchinterval`) each time.
    """
    time.sleep(0)


def _compact(message: object) -> bytes:
    """Return JSON as JSON.stringify writes it."""
    try:
        return msgspec.json.encode(message)
    except UnicodeEncodeError:  # half of a surrogate pair
        text = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
        return text.encode(errors="replace")


@lru_cache(maxsize=1)
def _lanes() -> tuple[int, ...]:
    """Return each byte with its bits spread over lanes, so that one addition counts eight bits."""
    return tuple(
        sum(1 << (bit * _LANE_BITS) for bit in range(8) if byte >> bit & 1) for byte in range(256)
    )


def _majority(lanes: int, count: int) -> int:
    """Return the byte whose bits are those set in more than half of `count` bytes."""
    mask = (1 << _LANE_BITS) - 1
    return sum(1 << bit for bit in range(8) if 2 * (lanes >> (bit * _LANE_BITS) & mask) > count)
