"""Gateways and model servers that the doctor knows: by what names, where they log, what to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath


@dataclass(frozen=True, slots=True)
class Program:
    """A program that serves a model, or stands in front of one.

    `names` are those of its process, `words` what an interpreter's arguments hold. `formats` are
    those that only it writes; `logs` where it commonly does, as patterns, best first. `files` are
    the configuration shipped for it, `page` the one to read.
    """

    name: str
    page: str
    files: str
    names: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()
    serves_model: bool = False

    def runs_as(self, name: str, argv: Sequence[str]) -> bool:
        """Whether a process of this name, started with these arguments, is one."""
        if name in self.names:
            return True
        return any(PurePath(word).name in self.words for word in argv[:4])


def _model(name: str, names: tuple[str, ...] = (), words: tuple[str, ...] = ()) -> Program:
    return Program(
        name,
        "docs/gateways-vllm.md",
        "gateways/vllm/excise.conf (the tap)",
        names,
        words,
        serves_model=True,
    )


NGINX = Program(
    "nginx",
    "docs/gateways-nginx.md",
    "gateways/nginx/excise-log.conf and excise-location.conf",
    names=("nginx",),
    formats=("nginx", "nginx-json"),
    logs=("/var/log/nginx/excise.log", "/var/log/nginx/*access*.log"),
)
HAPROXY = Program(
    "HAProxy",
    "docs/gateways-haproxy.md",
    "gateways/haproxy/haproxy.cfg and excise.lua",
    names=("haproxy",),
    formats=("haproxy", "haproxy-json"),
    logs=("/var/log/excise-haproxy/records.log", "/var/log/haproxy.log"),
)
CADDY = Program(
    "Caddy",
    "docs/gateways-caddy.md",
    "gateways/caddy/Caddyfile, with the tap in the model server",
    names=("caddy",),
    formats=("caddy",),
    logs=("/var/log/caddy/*.log",),
)
ENVOY = Program(
    "Envoy",
    "docs/gateways-envoy.md",
    "gateways/envoy/envoy.yaml, or ai-gateway.yaml",
    names=("envoy",),
    formats=("envoy", "envoy-json", "envoy-ai-gateway"),
    logs=("/var/log/envoy/*.log",),
)
TRAEFIK = Program(
    "Traefik",
    "docs/gateways-traefik.md",
    "gateways/traefik/traefik.yaml and llm.yaml",
    names=("traefik",),
    formats=("traefik", "traefik-json"),
    logs=("/var/log/traefik/*.log",),
)
LITELLM = Program(
    "LiteLLM",
    "docs/gateways-litellm.md",
    "gateways/litellm/config.yaml and excise_callback.py",
    names=("litellm",),
    words=("litellm",),
    formats=("litellm",),
    logs=("/var/log/litellm/*.log",),
)
VLLM = Program(
    "vLLM",
    "docs/gateways-vllm.md",
    "gateways/vllm/excise.conf (the tap)",
    names=("vllm",),
    words=("vllm", "vllm.entrypoints.openai.api_server", "vllm.entrypoints.api_server"),
    formats=("uvicorn",),
    logs=("/var/log/excise-tap/records.log", "/var/log/vllm/*.log"),
    serves_model=True,
)
PROGRAMS = (
    NGINX,
    HAPROXY,
    CADDY,
    ENVOY,
    TRAEFIK,
    LITELLM,
    VLLM,
    _model("SGLang", words=("sglang", "sglang.launch_server")),
    _model("uvicorn", ("uvicorn",), ("uvicorn",)),
    _model("Ollama", ("ollama",)),
    _model("llama.cpp", ("llama-server",)),
    _model("text-generation-inference", ("text-generation-router", "text-generation")),
)


def program_of(name: str, argv: Sequence[str]) -> Program | None:
    """Return which of them a process is."""
    return next((p for p in PROGRAMS if p.runs_as(name, argv)), None)


def writer_of(format_name: str, log: str, running: Sequence[Program]) -> Program | None:
    """Return who writes a log: told by its format, else its path, else by who alone runs here."""
    by_format = [p for p in PROGRAMS if format_name in p.formats]
    by_path = [p for p in PROGRAMS if p.name.lower() in log.lower() or log in p.logs]
    gateways = [p for p in running if not p.serves_model] or list(running)
    found = by_format or by_path or (gateways if len(set(gateways)) == 1 else [])
    return found[0] if found else None
