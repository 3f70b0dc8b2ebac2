"""Syslog messages out of a TCP stream: octet counting or one a line (RFC 6587). Pure."""

from __future__ import annotations

from excise.decode.base import MAX_LINE_BYTES

#: digits of a length: more is no length
_MOST_DIGITS = 7


class Framing:
    """Cuts one connection's bytes into messages, holding no more than one message.

    Which framing it is shows at each message's first byte: octet counting begins with a digit
    that is not 0, all else with something different. `too_long` counts messages passed over.
    """

    __slots__ = ("_rest", "_skip_line", "_skip_octets", "too_long")

    def __init__(self) -> None:
        self._rest = b""
        self._skip_octets = 0
        self._skip_line = False
        self.too_long = 0

    def take(self, data: bytes) -> list[bytes]:
        """Return the messages that are complete now."""
        messages: list[bytes] = []
        data = self._rest + data
        at = 0
        while at < len(data):
            begin = at
            at = self._one(data, at, messages)
            if at == begin:
                break
        self._rest = data[at:]
        return messages

    def end(self) -> tuple[list[bytes], bool]:
        """Return a last message that lacks its newline, and whether one was cut short."""
        rest, self._rest = self._rest, b""
        if not rest or self._skip_line:
            return [], False
        return ([], True) if rest[:1].isdigit() else ([rest], False)

    def _one(self, data: bytes, at: int, messages: list[bytes]) -> int:
        """Take one message from `at`; return where it ends, `at` itself if it is not whole."""
        if self._skip_octets:
            skipped = min(self._skip_octets, len(data) - at)
            self._skip_octets -= skipped
            return at + skipped
        if not self._skip_line and data[at : at + 1] in b"123456789":
            return self._counted(data, at, messages)
        return self._line(data, at, messages)

    def _counted(self, data: bytes, at: int, messages: list[bytes]) -> int:
        space = data.find(b" ", at, at + _MOST_DIGITS + 1)
        digits = data[at:space] if space >= 0 else data[at : at + _MOST_DIGITS + 1]
        if not digits.isdigit() or (space < 0 and len(digits) > _MOST_DIGITS):
            return self._line(data, at, messages)  # a bare line that begins with a digit
        if space < 0 or space + 1 == len(data):
            return at
        if data[space + 1 : space + 2] != b"<":  # so does every counted message
            return self._line(data, at, messages)
        length = int(digits)
        if length > MAX_LINE_BYTES:
            self.too_long += 1
            self._skip_octets = length
            return space + 1
        end = space + 1 + length
        if end > len(data):
            return at
        messages.append(data[space + 1 : end].rstrip(b"\r\n\0"))
        return end

    def _line(self, data: bytes, at: int, messages: list[bytes]) -> int:
        newline = data.find(b"\n", at)
        if newline >= 0:
            if not self._skip_line:
                messages.append(data[at:newline].rstrip(b"\r\0"))
            self._skip_line = False
            return newline + 1
        if len(data) - at > MAX_LINE_BYTES or self._skip_line:
            self.too_long += not self._skip_line
            self._skip_line = True
            return len(data)
        return at
