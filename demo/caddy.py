"""Caddy with the configuration that the repository ships; the tap inside the model writes."""

from __future__ import annotations

import secrets
from pathlib import Path

from demo.gateway import MODEL_PORT, REPOSITORY, TLS_PORT, certificate
from demo.rewrite import rewrite
from demo.world import SERVER_ADDRESS, World

SHIPPED = REPOSITORY / "gateways" / "caddy"


def configuration(directory: Path, name: str = "Caddyfile") -> str:
    """Return a shipped Caddyfile for this directory."""
    exchanges = {
        "/etc/caddy/tls/llm.example.net.pem": f"{directory}/cert.pem",
        "/etc/caddy/tls/llm.example.net.key": f"{directory}/key.pem",
        "\nllm.example.net {": f"\nhttps://{SERVER_ADDRESS}:{TLS_PORT} {{",
        "127.0.0.1:8000": f"127.0.0.1:{MODEL_PORT}",
    }
    if name == "Caddyfile.log":
        exchanges["/var/log/caddy/excise.log"] = f"{directory}/excise.log"
    return rewrite((SHIPPED / name).read_text(), exchanges)


def prepare(world: World, name: str = "Caddyfile") -> list[str]:
    """Write the files; return the command."""
    certificate(world.directory)
    file = world.path("Caddyfile")
    file.write_text(configuration(world.directory, name))
    home = ["env", f"HOME={world.directory}", f"XDG_DATA_HOME={world.directory}"]
    return [*home, "caddy", "run", "--adapter", "caddyfile", "--config", str(file)]


def tap_environment(world: World) -> list[str]:
    """Return how the tap inside the model is told where to write, before its command."""
    key = world.path("tap.key")
    key.write_text(secrets.token_hex(32))
    return ["env", f"EXCISE_RECORDS={world.path('excise.log')}", f"EXCISE_KEY_FILE={key}"]


def start(world: World) -> None:
    """Start Caddy in the server's namespace."""
    world.start("caddy", world.server, *prepare(world))
