"""Whole JSON lines from a file that somebody else appends to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class Tail:
    """Remembers how far it has read; a line without its newline yet waits for the next time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0

    def new(self) -> list[dict[str, Any]]:
        """Return the lines appended since the last call; none while there is no file."""
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                data = file.read()
        except FileNotFoundError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self.offset += len(whole)
        return [json.loads(line) for line in whole.splitlines()]
