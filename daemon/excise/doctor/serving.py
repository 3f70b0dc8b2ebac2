"""What listens on this host for the service, and what runs that excise should hear from. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from excise.config import Config
from excise.doctor.check import Check, State
from excise.doctor.listening import Listener
from excise.doctor.survey import Running, Survey


def check_serving(found: Survey, config: Config) -> Iterator[Check]:
    """Whether the service's ports are open here, and who serves."""
    yield check_listeners(found, config.ports)
    yield from check_programs(found)
    yield from check_exposed(found, config)


def check_listeners(found: Survey, ports: Sequence[int]) -> Check:
    """Whether somebody listens on the ports that enforcement applies to."""
    if found.problem:
        return Check("listeners", State.WARN, found.problem, "is /proc mounted?")
    open_ports = {one.port for one in found.listening}
    shut = [port for port in ports if port not in open_ports]
    if not shut:
        said = ", ".join(_owned(port, found.owners(port)) for port in ports)
        return Check("listeners", State.OK, f"on {said}")
    noun = "port" if len(shut) == 1 else "ports"
    others = sorted({s.port for r in _here(found) for s in r.sockets if not s.local})
    verb = "listens" if len(_names(found)) == 1 else "listen"
    here = f"; {', '.join(_names(found))} {verb} on {_list(others)}" if others else ""
    text = f"nothing listens on {noun} {_list(shut)} of `ports`{here}"
    advice = "name the service's ports in `ports`; in a container with its own network they are not"
    return Check("listeners", State.WARN, text, f"{advice} seen here")


def check_programs(found: Survey) -> Iterator[Check]:
    """Name each gateway and model server that runs, and its page."""
    for one in found.running:
        name = one.program.name
        if one.elsewhere:
            text = f"{name} runs in another network namespace, such as a container's"
        elif one.sockets:
            text = f"{name} listens on {_list(sorted({s.port for s in one.sockets}))}"
        elif one.readable:
            text = f"{name} runs, and listens on nothing"
        else:
            text = f"{name} runs; what it listens on only root may see"
        yield Check("running", State.OK, f"{text}: {one.program.page}")
    if not found.running:
        yield Check("running", State.OK, "no gateway or model server that excise knows")


def exposed(found: Survey) -> list[Listener]:
    """Return where a model server is reached past the gateway that runs here.

    Without a gateway its port is the service itself.
    """
    here = _here(found)
    if not any(r.sockets and not r.program.serves_model for r in here):
        return []
    return [s for r in here if r.program.serves_model for s in r.sockets if not s.local]


def check_exposed(found: Survey, config: Config) -> Iterator[Check]:
    """Whether clients may reach a model server past its gateway, in plaintext and unlogged."""
    shut = {*config.guard.ports, *config.ports}
    ports = sorted({s.port for s in exposed(found)} - shut)
    if ports:
        yield Check(
            "model server",
            State.WARN,
            f"it listens on {_list(ports)} for more than this host: clients may pass the gateway"
            " by, in plaintext and unseen",
            f"let it listen on 127.0.0.1, or guard: {{ports: [{_list(ports)}]}}",
        )


def _here(found: Survey) -> list[Running]:
    return [one for one in found.running if not one.elsewhere]


def _names(found: Survey) -> list[str]:
    return [one.program.name for one in _here(found) if any(not s.local for s in one.sockets)]


def _owned(port: int, owners: Sequence[str]) -> str:
    return f"{port} ({', '.join(owners)})" if owners else str(port)


def _list(ports: Sequence[int]) -> str:
    return ", ".join(map(str, ports))
