"""HAProxy with the configuration that the repository ships, its paths and address exchanged."""

from __future__ import annotations

import secrets
from pathlib import Path

from demo.gateway import MODEL_PORT, REPOSITORY, TLS_PORT, certificate
from demo.rewrite import rewrite
from demo.world import SERVER_ADDRESS, World

SHIPPED = REPOSITORY / "gateways" / "haproxy"


def configuration(directory: Path, *, key: Path) -> str:
    """Return the shipped haproxy.cfg for this directory; the namespace is fence enough here."""
    return rewrite(
        (SHIPPED / "haproxy.cfg").read_text(),
        {
            "    user haproxy\n    group haproxy\n    chroot /var/lib/haproxy\n":
                f"    setenv EXCISE_KEY_FILE {key}\n",
            "/etc/haproxy/excise/excise.lua": f"{SHIPPED}/excise.lua",
            "/run/haproxy/admin.sock": f"{directory}/admin.sock",
            "/etc/haproxy/tls/llm.example.net.pem": f"{directory}/both.pem",
            "/etc/haproxy/excise/denied.map": f"{directory}/denied.map",
            "/etc/haproxy/excise/throttled.map": f"{directory}/throttled.map",
            "bind :443": f"bind {SERVER_ADDRESS}:{TLS_PORT}",
            "127.0.0.1:8000": f"127.0.0.1:{MODEL_PORT}",
        },
    )  # fmt: skip


def prepare(world: World, extra: str = "") -> list[str]:
    """Write the files; return the command, which logs to `excise.log`."""
    key = world.path("haproxy.key")
    key.write_text(secrets.token_hex(32))
    certificate(world.directory)
    both = world.path("cert.pem").read_text() + world.path("key.pem").read_text()
    world.path("both.pem").write_text(both)
    for verdict in ("denied", "throttled"):
        world.path(f"{verdict}.map").touch()
    file = world.path("haproxy.cfg")
    file.write_text(configuration(world.directory, key=key) + extra)
    world.run(world.server, "haproxy", "-c", "-q", "-f", str(file))
    log = str(world.path("excise.log"))
    return ["sh", "-c", 'exec haproxy -db -f "$0" >> "$1"', str(file), log]


def start(world: World) -> None:
    """Start HAProxy in the server's namespace."""
    world.start("haproxy", world.server, *prepare(world))
