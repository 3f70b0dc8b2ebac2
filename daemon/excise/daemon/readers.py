"""From the configured inputs to sources and decoders, to follow and to read anew."""

from __future__ import annotations

from functools import partial

from excise.config import Config, InputConfig, decode_context
from excise.daemon.formats import decoder_for
from excise.daemon.restore import Reader
from excise.decode.base import Decoder
from excise.decode.registry import Format
from excise.sources.base import Source
from excise.sources.file_tail import FileTail
from excise.sources.stdin import Stdin


def open_source(item: InputConfig) -> Source:
    """Return the source of a configured input; opening what it names is left to `poll`."""
    if item.file is None:
        return Stdin()
    return FileTail(item.file, from_start=item.from_start)


def make_decoder(choice: str | Format, config: Config, account_key: bytes) -> Decoder:
    """Return the decoder of a format for this host's proxies and key."""
    zone = choice.zone if isinstance(choice, Format) else ""
    return decoder_for(choice, decode_context(config, account_key, zone))


def rereaders(config: Config, account_key: bytes) -> list[Reader]:
    """Return how to read each input anew; what came through a pipe is gone."""
    return [
        Reader(
            name=str(item.file),
            # Nobody writes to the past: no waiting for a rotated file to fall quiet.
            open_source=partial(
                FileTail, item.file, from_start=item.from_start, linger_s=0.0, use_inotify=False
            ),
            make_decoder=partial(make_decoder, item.format, config, account_key),
            from_start=item.from_start,
        )
        for item in config.inputs
        if item.file is not None
    ]
