"""A first configuration, written from what a host shows. Pure."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from excise.config import Backend, InputConfig
from excise.config.parse import HOST_PORTS
from excise.doctor.asktls import PLAIN_PORTS, TLS_PORTS
from excise.doctor.listening import Listener
from excise.doctor.logs import Candidate
from excise.doctor.peers import doubted, forwarders
from excise.doctor.serving import exposed
from excise.doctor.survey import Survey

DEFAULT_PORTS = (443,)
_WIDTH = 98
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-")


@dataclass(frozen=True, slots=True)
class Host:
    """What a first configuration is written from."""

    survey: Survey
    logs: tuple[Candidate, ...]
    backend: Backend = Backend.NFTABLES
    why_backend: str = ""


def draft(host: Host) -> str:
    """Return the configuration as YAML, with comments that explain it."""
    parts = (_head, _posture, _inputs, _proxies, _ports, _enforcer, _guard)
    return "\n\n".join("\n".join(part(host)) for part in parts) + "\n"


def chosen(host: Host) -> list[Candidate]:
    """Return the logs that the configuration names."""
    return [one for one in host.logs if not one.why_not]


def service_ports(found: Survey) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the ports of the service, and those that its gateway listens on besides.

    Those of TLS are the service's, or all but those of plaintext; without a gateway the model
    server's own.
    """
    here = [one for one in found.running if not one.elsewhere]
    gateways = [one for one in here if not one.program.serves_model and one.sockets] or here
    every = sorted({s.port for one in gateways for s in one.sockets if not s.local})
    tls = [port for port in every if port in TLS_PORTS | found.tls_ports]
    ports = tls or [port for port in every if port not in PLAIN_PORTS] or every
    return tuple(ports) or DEFAULT_PORTS, tuple(port for port in every if port not in ports)


def _head(host: Host) -> Iterator[str]:
    running = [one for one in host.survey.running if not one.elsewhere]
    found = "; ".join(f"{one.program.name}{_on(one.sockets)}" for one in running)
    yield from _comment(
        "A first configuration for excise, written by `excise init` from what this host showed:"
        f" {found or 'no gateway and no model server that it knows'}."
    )
    yield from _comment(
        "What is left out keeps its default; docs/configuration.md explains every key. Look at"
        " what excise can see with `excise doctor`, try changes with `excise check`, then"
        " `excise reload`."
    )


def _posture(_: Host) -> Iterator[str]:
    yield from _comment(
        "observe decides and logs, and changes nothing. throttle and enforce are your step to"
        " take, once a day or more of decisions looks right: docs/operations.md"
    )
    yield "posture: observe"


def _inputs(host: Host) -> Iterator[str]:
    yield from _comment("What is read: one line per request. docs/inputs.md has all formats.")
    yield "inputs:"
    named = chosen(host)
    for one in named:
        yield from _entry(one, "")
    if not named:
        yield from _comment(
            "No log with requests in it was found. This is where the shipped nginx configuration"
            " writes (gateways/nginx, docs/gateways-nginx.md); put yours here.",
            "  ",
        )
        yield "  - file: /var/log/nginx/excise.log"
        yield "    format: record"
    for one in host.logs:
        if one.why_not:
            yield from _comment(f"Not read, since it is {_clause(one.why_not)}", "  ")
            yield from _entry(one, "# ")


def _clause(why: str) -> str:
    return f"a log that {why}" if why.startswith("tells") else why


def _entry(one: Candidate, before: str) -> Iterator[str]:
    sample = one.sample
    seen = "nothing in it yet"
    if sample.lines:
        seen = f"{len(sample.records):,} requests in the last {sample.lines:,} lines"
    yield f"  {before}- {_source(one.item)}"
    yield f"  {before}  format: {one.format}    # {seen}"


def _source(item: InputConfig) -> str:
    if item.journal is not None:
        return f"journal: {{units: [{', '.join(map(quoted, item.journal.units))}]}}"
    return f"file: {quoted(item.name)}"


def _proxies(host: Host) -> Iterator[str]:
    yield from _comment(
        "Proxies in front of the gateway, whose X-Forwarded-For is believed and who are never"
        " enforced against: docs/trust.md"
    )
    for one in chosen(host):
        records = one.sample.records
        found = forwarders(records) if records else None
        if found is not None:
            yield from _comment(
                f"In {quoted(one.item.name)} {found.share:.0%} of requests tell of hops that nobody"
                f" vouches for. If these are your proxies: trusted_proxies:"
                f" [{', '.join(map(quoted, found.addresses))}]"
            )
        if records and (why := doubted(records)):
            yield from _comment(f"In {quoted(one.item.name)} the clients may be proxies: {why}.")
    yield "trusted_proxies: []"


def _ports(host: Host) -> Iterator[str]:
    ports, others = service_ports(host.survey)
    yield from _comment(
        "The service's ports, as clients reach them: what throttling and dropping apply to."
    )
    if others:
        yield from _comment(f"The gateway listens on {_list(others)} too.")
    if not any(one.sockets for one in host.survey.running):
        yield from _comment("Nothing that excise knows was seen to listen; is this right?")
    yield f"ports: [{_list(ports)}]"


def _enforcer(host: Host) -> Iterator[str]:
    if host.why_backend:
        yield from _comment(host.why_backend)
    yield f"enforcer: {host.backend}"


def _guard(host: Host) -> Iterator[str]:
    ports, _ = service_ports(host.survey)
    shut = sorted({s.port for s in exposed(host.survey)} - {*ports, *HOST_PORTS})
    if not shut:
        yield from _comment(
            "guard: {ports: [8000]} would shut a model server's own port to all but this host."
        )
        return
    yield from _comment(
        f"The model server listens on {_list(shut)} for more than this host: clients may pass the"
        " gateway by, unseen. Let it listen on 127.0.0.1, or take the # away, and all but this"
        " host are shut out there:"
    )
    yield f"# guard: {{ports: [{_list(shut)}]}}"


def quoted(text: str) -> str:
    """Return text as a YAML scalar that means just it, with nothing unprintable."""
    return text if text and text[0] == "/" and set(text) <= _PLAIN else json.dumps(text)


def _comment(text: str, indent: str = "") -> list[str]:
    said = "".join(c if c.isprintable() else "?" for c in text)
    return textwrap.wrap(
        said,
        _WIDTH,
        initial_indent=f"{indent}# ",
        subsequent_indent=f"{indent}# ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _on(sockets: Sequence[Listener]) -> str:
    ports = sorted({s.port for s in sockets})
    noun = "port" if len(ports) == 1 else "ports"
    return f" ({noun} {_list(ports)})" if ports else ""


def _list(ports: Sequence[int]) -> str:
    return ", ".join(map(str, ports))
