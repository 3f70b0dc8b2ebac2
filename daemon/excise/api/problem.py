"""Errors on the wire: RFC 9457 problem documents, one class of error to one status."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from excise.errors import (
    EnforceError,
    ExciseError,
    InvalidError,
    NotFoundError,
    RefusedError,
    StoreError,
)
from excise.model.view import ReloadView

PROBLEM_JSON = "application/problem+json"


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """A problem document. `type` is `urn:excise:problem:<word>`; the word is stable."""

    type: str
    title: str
    status: int
    detail: str = ""
    instance: str = ""
    errors: tuple[str, ...] = ()


class ReloadRefusedError(InvalidError):
    """The new configuration or rules were not taken; the last good set stays in force."""

    def __init__(self, view: ReloadView) -> None:
        self.errors = view.errors
        super().__init__(
            f"nothing was changed, {view.rules} rules stay in force: {'; '.join(view.errors)}"
        )


class NoRightError(ExciseError):
    """The caller lacks the right that the route takes."""


#: first match wins: the narrow before the wide
_STATUS: tuple[tuple[type[ExciseError], HTTPStatus, str], ...] = (
    (NoRightError, HTTPStatus.FORBIDDEN, "no-right"),
    (RefusedError, HTTPStatus.CONFLICT, "refused"),
    (NotFoundError, HTTPStatus.NOT_FOUND, "not-found"),
    (ReloadRefusedError, HTTPStatus.UNPROCESSABLE_ENTITY, "reload-refused"),
    (InvalidError, HTTPStatus.UNPROCESSABLE_ENTITY, "invalid"),
    (EnforceError, HTTPStatus.SERVICE_UNAVAILABLE, "enforcer"),
    (StoreError, HTTPStatus.SERVICE_UNAVAILABLE, "store"),
    (ExciseError, HTTPStatus.INTERNAL_SERVER_ERROR, "failed"),
)


def _document(request: web.Request, status: HTTPStatus, word: str, detail: str) -> Problem:
    return Problem(
        type=f"urn:excise:problem:{word}",
        title=status.phrase,
        status=status.value,
        detail=detail,
        instance=request.path,
    )


def from_error(request: web.Request, error: ExciseError) -> Problem:
    """Return the problem document of an error raised on purpose."""
    status, word = next((s, w) for kind, s, w in _STATUS if isinstance(error, kind))
    problem = _document(request, status, word, str(error))
    errors = error.errors if isinstance(error, ReloadRefusedError) else ()
    return msgspec.structs.replace(problem, errors=errors)


def _respond(problem: Problem, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        status=problem.status,
        body=msgspec.json.encode(problem),
        content_type=PROBLEM_JSON,
        headers=headers,
    )


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every error raised on purpose, and aiohttp's own, into a problem document."""
    try:
        return await handler(request)
    except ExciseError as error:
        return _respond(from_error(request, error))
    except web.HTTPError as error:
        status = HTTPStatus(error.status)
        word = status.phrase.lower().replace(" ", "-")
        detail = error.text if error.text and not error.text.startswith(str(error.status)) else ""
        kept = {k: v for k, v in error.headers.items() if k in {"Allow", "WWW-Authenticate"}}
        return _respond(_document(request, status, word, detail), kept)


async def shape_unexpected(request: web.Request, response: web.StreamResponse) -> None:
    """Give the answer to a defect (which aiohttp logs) the shape of all other errors."""
    if response.status == HTTPStatus.INTERNAL_SERVER_ERROR and isinstance(response, web.Response):
        if response.content_type == PROBLEM_JSON:
            return
        detail = "a defect in excise; its log says more"
        problem = _document(request, HTTPStatus.INTERNAL_SERVER_ERROR, "defect", detail)
        response.body = body = msgspec.json.encode(problem)
        # the headers are made already
        response.headers["Content-Type"] = PROBLEM_JSON
        response.headers["Content-Length"] = str(len(body))
