"""What the HTTP server has to complain of goes to the daemon's log, a line each.

aiohttp logs every request that it cannot parse with its trace, as if that were its own failure.
Any local process can send such requests: they are told for a developer, without a trace.
"""

from __future__ import annotations

import logging

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from excise.log import Log

#: most characters of what a stranger sent that are worth a line
WHY_MOST_CHARS = 200


class _ToLog(logging.Handler):
    """Hands over what is logged: malformed requests in short, defects with their trace."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError | web.RequestPayloadError):
            self._log.debug("api.malformed", why=str(error)[:WHY_MOST_CHARS])
        elif record.levelno >= logging.WARNING:
            trace = logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
            self._log.error("api.failed", text=record.getMessage(), trace=trace)


def logger_into(log: Log) -> logging.Logger:
    """Return a logger for the server that writes into the daemon's log, and nowhere else."""
    logger = logging.Logger("excise.api")
    logger.addHandler(_ToLog(log))
    return logger
