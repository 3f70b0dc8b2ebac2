"""From the configured inputs to sources and decoders, to follow and to read anew."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

from excise.config import Config, InputConfig, Wire, decode_context
from excise.daemon.formats import decoder_for
from excise.daemon.gather import stored_names
from excise.daemon.reread import reread_file, reread_journal
from excise.daemon.restore import Reader
from excise.decode.base import Decoder
from excise.decode.registry import Format
from excise.sources.base import Source
from excise.sources.datagram import Datagram
from excise.sources.file_tail import FileTail
from excise.sources.inotify import Inotify
from excise.sources.journal import Journal
from excise.sources.stdin import Stdin
from excise.sources.syslog_tcp import SyslogTcp


def open_source(item: InputConfig, inotify: Inotify | None = None) -> Source:
    """Return the source of a configured input, but for patterns and pushed records.

    Sockets and the journal are opened at once, and raise SourceError; files are left to `poll`.
    """
    if item.file is not None:
        return FileTail(item.file, from_start=item.from_start, inotify=inotify)
    if item.journal is not None:
        return Journal(item.journal, from_start=item.from_start)
    if item.socket is not None:
        return SyslogTcp(item.socket) if item.socket.wire is Wire.TCP else Datagram(item.socket)
    return Stdin()


def open_passing(path: Path, *, from_start: bool, inotify: Inotify | None) -> Source:
    """Return the source of a file that fits a pattern."""
    return FileTail(path, from_start=from_start, passing=True, inotify=inotify)


def make_inotify() -> Inotify | None:
    """Return the one that all files share; None where the kernel has none to give."""
    try:
        return Inotify()
    except OSError:  # fs.inotify.max_user_instances: files are looked at from time to time
        return None


def make_decoder(choice: str | Format, config: Config, account_key: bytes) -> Decoder:
    """Return the decoder of a format for this host's proxies and key."""
    zone = choice.zone if isinstance(choice, Format) else ""
    return decoder_for(choice, decode_context(config, account_key, zone))


def rereaders(config: Config, account_key: bytes, stored: Iterable[str]) -> list[Reader]:
    """Return how to read each input anew; what came through a pipe or socket is gone.

    `stored` are the names that there are cursors of.
    """
    readers: list[Reader] = []
    plain = {item.name for item in config.inputs if item.file and not item.pattern}
    for item in config.inputs:
        decoder = partial(make_decoder, item.format, config, account_key)
        if item.journal is not None:
            reread = partial(reread_journal, item.journal)
            readers.append(Reader(item.name, reread, decoder, item.from_start))
        elif item.file is not None:
            known = plain | {reader.name for reader in readers}
            fitting = [path for path in stored_names(item, stored) if str(path) not in known]
            for path in fitting if item.pattern else [item.file]:
                # Nobody writes to the past: no waiting for a rotated file to fall quiet.
                opened = partial(FileTail, path, from_start=item.from_start, linger_s=0.0)
                reread_it = partial(reread_file, opened)
                readers.append(Reader(str(path), reread_it, decoder, item.from_start))
    return readers
