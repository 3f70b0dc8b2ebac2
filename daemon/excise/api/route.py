"""What a route is, and how a request becomes a call of its handler and the result an answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal, TypeVar, get_type_hints

import msgspec
from aiohttp import web

from excise.api.access import Access, Right, require
from excise.api.ask import Ask
from excise.api.control import Control
from excise.errors import InvalidError

#: most bytes of a body that asks for something; pushed records have their own bound
BODY_MOST_BYTES = 64 * 1024
RECORDS_MOST_BYTES = 8 * 1024 * 1024
NDJSON = "application/x-ndjson"
NDJSON_TYPES = frozenset({NDJSON, "application/ndjson", "application/jsonl", "application/json"})

CONTROL: web.AppKey[Control] = web.AppKey("control")
ACCESS = web.AppKey("access", Access)

Method = Literal["GET", "PUT", "POST", "DELETE"]
Respond = Callable[[web.Request], Awaitable[web.StreamResponse]]
A = TypeVar("A", bound=Ask)
R = TypeVar("R", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Route:
    """One row of the table from which the server and its OpenAPI document are built.

    `ask` holds what path, query and body may carry; `answer` what a success returns, or the
    media type where that is no JSON; `status` is that of a success.
    """

    method: Method
    path: str
    right: Right
    summary: str
    ask: type[Ask]
    answer: type[msgspec.Struct] | str
    status: HTTPStatus
    respond: Respond
    body: str = "application/json"


def route(
    method: Method,
    path: str,
    handler: Callable[[Control, A], Awaitable[R]],
    right: Right,
    summary: str,
    *,
    status: HTTPStatus = HTTPStatus.OK,
) -> Route:
    """Return a row; what is asked and answered are the types that the handler declares."""
    _, ask, answer = get_type_hints(handler).values()

    async def respond(request: web.Request) -> web.Response:
        asked: A = await read_ask(request, ask)
        return to_json(await handler(request.app[CONTROL], asked), status)

    return Route(method, path, right, summary, ask, answer, status, respond)


def guarded(row: Route) -> Respond:
    """Return the row's responder behind its right."""

    async def respond(request: web.Request) -> web.StreamResponse:
        require(request, request.app[ACCESS], row.right)
        return await row.respond(request)

    return respond


def to_json(value: object, status: int = HTTPStatus.OK) -> web.Response:
    """Return a JSON response; answers are about now, so nothing may keep them."""
    return web.Response(
        status=status,
        body=msgspec.json.encode(value),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


async def read_ask(request: web.Request, ask: type[A]) -> A:
    """Merge body, query and path into one question. Raises InvalidError for what does not fit."""
    merged: dict[str, object] = {}
    if request.can_read_body:
        merged |= await _read_object(request)
    query = dict(request.query)
    if len(query) != len(request.query):
        raise InvalidError("a query parameter is given twice")
    path = dict(request.match_info)
    if twice := (merged.keys() & query.keys()) | (path.keys() & (merged.keys() | query.keys())):
        raise InvalidError(f"given twice: {', '.join(sorted(twice))}")
    try:
        return msgspec.convert(merged | query | path, ask, strict=bool(merged))
    except msgspec.ValidationError as error:
        raise InvalidError(str(error)) from error


async def _read_object(request: web.Request) -> dict[str, object]:
    raw = await read_body(request, frozenset({"application/json"}), BODY_MOST_BYTES)
    if not raw:
        return {}
    try:
        return msgspec.json.decode(raw, type=dict[str, object])
    except msgspec.DecodeError as error:
        raise InvalidError(f"the body is not a JSON object: {error}") from error


async def read_body(request: web.Request, types: frozenset[str], most_bytes: int) -> bytes:
    """Return the body.

    Raises HTTPUnsupportedMediaType, HTTPRequestEntityTooLarge, HTTPBadRequest: a body that does
    not come through, such as one that is not compressed as it says.
    """
    if request.content_type not in types:
        raise web.HTTPUnsupportedMediaType(text=f"send Content-Type: {' or '.join(sorted(types))}")
    if (request.content_length or 0) > most_bytes:
        raise web.HTTPRequestEntityTooLarge(most_bytes, request.content_length or 0)
    try:
        raw = await request.read()
    except web.RequestPayloadError as error:
        why = "the body cannot be read: is it complete, and encoded as Content-Encoding says?"
        raise web.HTTPBadRequest(text=why) from error
    if len(raw) > most_bytes:
        raise web.HTTPRequestEntityTooLarge(most_bytes, len(raw))
    return raw
