"""All inputs of a configuration, wired to the core, at the places where they stood."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from excise.config import InputConfig
from excise.config.values import HTTP
from excise.daemon.convoy import Convoy
from excise.daemon.core import Core
from excise.daemon.gather import Gather
from excise.daemon.inputs import InputLoop, decode_cursor
from excise.daemon.pushed import Pushed
from excise.daemon.readers import make_decoder, open_passing, open_source
from excise.daemon.silence import Hearing, Silence, grouped
from excise.errors import SourceError
from excise.sockdiag import received_bytes
from excise.sources.base import Source
from excise.sources.inotify import Inotify

#: the format of pushed records, unless an input `http` names another
RECORD = "record"


@dataclass(slots=True)
class Assembly:
    """Makes the parts; `loops` grows as patterns find files."""

    core: Core
    cursors: Mapping[str, str]
    key: bytes
    inotify: Inotify | None
    loops: list[InputLoop] = field(default_factory=list)
    gathers: list[Gather] = field(default_factory=list)
    hearings: list[Hearing] = field(default_factory=list)
    convoy: Convoy = field(default_factory=Convoy)
    taken: set[str] = field(default_factory=set)

    def open(self) -> None:
        """Open every input of the configuration. Raises SourceError."""
        items = self.core.config.inputs
        self.taken |= {item.name for item in items if item.file and not item.pattern}
        for item in items:
            if item.pattern:
                self.gathers.append(self._gather(item))
                self.gathers[-1].prepare()
            elif not item.http:
                source = open_source(item, self.inotify)
                self.loops.append(self._loop(source, item, self._hearing(item)))
        for loop in (*self.loops, *(one for g in self.gathers for one in g.prepared)):
            self.convoy.join(loop.name)

    def pushed(self) -> Pushed:
        """Return what takes pushed records, whether or not they are an input of their own."""
        named = [item for item in self.core.config.inputs if item.http]
        item = named[0] if named else InputConfig(format=RECORD, http=True, quiet_after_s=None)
        decoder = make_decoder(item.format, self.core.config, self.key)
        hearing = self._hearing(item) if named else Hearing(HTTP)
        return Pushed(self.core, decoder, item.format_name, bool(named), hearing)

    def silence(self) -> Silence:
        """Return what notices inputs that hear nothing."""
        return Silence(
            groups=grouped(self.hearings),
            service_ports=lambda: self.core.config.ports,
            received=received_bytes,
            clock=self.core.time.clock.monotonic,
            on_alarm=self.core.alarm,
        )

    def _hearing(self, item: InputConfig) -> Hearing:
        now_s = self.core.time.clock.monotonic()
        hearing = Hearing(item.name, item.ports, item.quiet_after_s, now_s)
        self.hearings.append(hearing)
        return hearing

    def _gather(self, item: InputConfig) -> Gather:
        hearing = self._hearing(item)

        def open_loop(path: Path, from_start: bool) -> InputLoop:
            source = open_passing(path, from_start=from_start, inotify=self.inotify)
            return self._loop(source, item, hearing)

        return Gather(
            item=item,
            core=self.core,
            open_loop=open_loop,
            loops=self.loops,
            known=frozenset(self.cursors),
            hearing=hearing,
            begun=item.name in self.cursors,
            taken=self.taken,
        )

    def _loop(self, source: Source, item: InputConfig, hearing: Hearing) -> InputLoop:
        # Once a file was forgotten, its name may come back for another one.
        cursor = self.core.processed.get(source.name)
        if cursor is not None:
            try:
                source.seek(decode_cursor(cursor))
            except SourceError as error:
                self.core.alarm("input-broken", f"{source.name}: {error}")
        decoder = make_decoder(item.format, self.core.config, self.key)
        return InputLoop(source, decoder, item.format, self.core, hearing, self.convoy)
