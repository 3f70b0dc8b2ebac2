"""The server: the table of routes behind its gates, on the unix socket and on loopback TCP."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from excise.api.access import Access, gate
from excise.api.complaints import logger_into
from excise.api.control import Control
from excise.api.events import PACE, STREAMS, Pace, end_streams
from excise.api.listen import bind_unix, close_unix, load_token, require_loopback
from excise.api.problem import problems, shape_unexpected
from excise.api.route import ACCESS, CONTROL, RECORDS_MOST_BYTES, guarded
from excise.api.routes import MOST_PUSHES, PUSHES, ROUTES
from excise.errors import ConfigError
from excise.log import Log

#: how long a request in flight may take when the daemon stops
SHUTDOWN_S = 2.0
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Listening:
    """Where the API answers. `tcp` is (host, port) with the port really taken, None without."""

    socket_path: Path
    tcp: tuple[str, int] | None


def build_app(control: Control, access: Access, pace: Pace = Pace()) -> web.Application:  # noqa: B008  # frozen
    """Return the application: every route of the table, and `/openapi.json` made from it."""
    app = web.Application(middlewares=[problems, gate(access)], client_max_size=RECORDS_MOST_BYTES)
    app[CONTROL], app[ACCESS], app[PACE], app[STREAMS] = control, access, pace, set()
    app[PUSHES] = asyncio.Semaphore(MOST_PUSHES)
    for row in ROUTES:
        app.router.add_route(row.method, row.path, guarded(row))
    app.on_response_prepare.append(shape_unexpected)
    app.on_shutdown.append(end_streams)
    return app


@contextlib.asynccontextmanager
async def serve(
    control: Control,
    *,
    socket_path: Path,
    listen: tuple[str, int] | None,
    state: Path,
    log: Log,
    environ: Mapping[str, str] = os.environ,
    pace: Pace = Pace(),  # noqa: B008  # frozen
) -> AsyncIterator[Listening]:
    """Serve the API while the context is open; the socket file is gone afterwards.

    `listen` is (address, port) on loopback or None; port 0 takes any. Its token comes from
    `load_token(state)`. Raises ConfigError for a listener that cannot be opened, TakenError
    if a daemon answers.
    """
    if listen:
        require_loopback(listen[0])
    token = load_token(state, environ) if listen else None
    access = Access(socket_path, token, _LOCAL_NAMES | ({listen[0]} if listen else set()))
    runner = web.AppRunner(
        build_app(control, access, pace),
        access_log=None,
        logger=logger_into(log),
        shutdown_timeout=SHUTDOWN_S,
    )
    sock = bind_unix(socket_path)
    try:
        await runner.setup()
        await web.SockSite(runner, sock).start()
        yield Listening(socket_path, await _open_tcp(runner, listen) if listen else None)
    finally:
        await runner.cleanup()
        close_unix(sock, socket_path)


async def _open_tcp(runner: web.AppRunner, tcp: tuple[str, int]) -> tuple[str, int]:
    site = web.TCPSite(runner, *tcp)
    try:
        await site.start()
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        hint = "set another port, or stop what listens there"
        raise ConfigError(f"api.listen {tcp[0]}:{tcp[1]}: {why}", hint=hint) from error
    address = runner.addresses[-1]
    return str(address[0]), int(address[1])
