"""The table of routes: the whole API at a glance."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from aiohttp import web

from excise.api import decisions, running, subjects
from excise.api.access import Right
from excise.api.ask import Ask
from excise.api.events import EventsAsk, stream_events
from excise.api.exposition import CONTENT_TYPE, write
from excise.api.metrics import gather
from excise.api.openapi import build_openapi
from excise.api.route import (
    CONTROL,
    NDJSON,
    NDJSON_TYPES,
    RECORDS_MOST_BYTES,
    Route,
    read_ask,
    read_body,
    route,
    to_json,
)
from excise.api.wire import ReadyView
from excise.model.view import PushView

#: pushes that are read and worked on at once, and how long a body may take to come
MOST_PUSHES = 4
PUSH_S = 30.0
PUSHES = web.AppKey("pushes", asyncio.Semaphore)

_NONE, _READ, _WRITE = Right.NONE, Right.READ, Right.WRITE


async def _push(request: web.Request) -> web.Response:
    # Bodies are large: those beyond a few are not even read, so their senders wait.
    async with request.app[PUSHES]:
        try:
            async with asyncio.timeout(PUSH_S):
                lines = await read_body(request, NDJSON_TYPES, RECORDS_MOST_BYTES)
        except TimeoutError:
            raise web.HTTPRequestTimeout(text=f"the body took more than {PUSH_S:g} s") from None
        return to_json(await request.app[CONTROL].push(lines))


async def _events(request: web.Request) -> web.StreamResponse:
    asked = await read_ask(request, EventsAsk)
    return await stream_events(request, request.app[CONTROL], asked)


async def _metrics(request: web.Request) -> web.Response:
    page = write(gather(request.app[CONTROL]))
    return web.Response(body=page.encode(), headers={"Content-Type": CONTENT_TYPE})


async def _ready(request: web.Request) -> web.Response:
    view = await running.get_ready(request.app[CONTROL], Ask())
    return to_json(view, HTTPStatus.OK if view.ready else HTTPStatus.SERVICE_UNAVAILABLE)


async def _describe(_: web.Request) -> web.Response:
    return to_json(build_openapi(ROUTES))


ROUTES: tuple[Route, ...] = (
    route("GET", "/v1/status", running.get_status, _READ, "The daemon at a glance"),
    route("GET", "/v1/decisions", decisions.list_decisions, _READ, "Active decisions"),
    route("GET", "/v1/decisions/{id}", decisions.get_decision, _READ, "One active decision"),
    route("POST", "/v1/decisions", decisions.place_decision, _WRITE, "Decide as the operator",
          status=HTTPStatus.CREATED),
    route("DELETE", "/v1/decisions/{id}", decisions.lift_by_id, _WRITE, "Lift one decision"),
    route("DELETE", "/v1/decisions", decisions.lift_by_target, _WRITE,
          "Lift what is decided on a target"),
    route("GET", "/v1/sources", subjects.list_sources, _READ, "Scored addresses and subnets"),
    route("GET", "/v1/sources/{cidr:.+}", subjects.get_source, _READ,
          "One address or subnet explained"),
    route("GET", "/v1/accounts", subjects.list_accounts, _READ, "Scored accounts"),
    route("GET", "/v1/accounts/{id}", subjects.get_account, _READ, "One account explained"),
    route("GET", "/v1/campaigns", subjects.list_campaigns, _READ,
          "Campaigns, the enforced ones first"),
    route("GET", "/v1/campaigns/{id}", subjects.get_campaign, _READ,
          "One campaign explained, with its members"),
    route("GET", "/v1/allow", decisions.list_allowed, _READ, "What no decision may cover"),
    route("PUT", "/v1/allow/{cidr:.+}", decisions.put_allowed, _WRITE, "Allow a network"),
    route("DELETE", "/v1/allow/{cidr:.+}", decisions.delete_allowed, _WRITE,
          "Take an allowed network back"),
    route("GET", "/v1/rules", running.list_rules, _READ, "Rules with their hit counts"),
    route("POST", "/v1/reload", running.reload, _WRITE, "Read configuration and rules again"),
    route("GET", "/v1/posture", running.get_posture, _READ, "The posture"),
    route("PUT", "/v1/posture", running.put_posture, _WRITE, "Change the posture"),
    Route("POST", "/v1/records", _WRITE, "Push records as NDJSON", Ask, PushView,
          HTTPStatus.OK, _push, NDJSON),
    Route("GET", "/v1/events", _READ, "Decisions, findings and alarms as server-sent events",
          EventsAsk, "text/event-stream", HTTPStatus.OK, _events),
    Route("GET", "/metrics", _READ, "Prometheus metrics", Ask, "text/plain", HTTPStatus.OK,
          _metrics),
    Route("GET", "/openapi.json", _READ, "This API, described", Ask, "application/json",
          HTTPStatus.OK, _describe),
    route("GET", "/livez", running.get_alive, _NONE, "Whether it lives"),
    Route("GET", "/readyz", _NONE, "Whether it does its job; 503 with reasons if not", Ask,
          ReadyView, HTTPStatus.OK, _ready),
)  # fmt: skip
