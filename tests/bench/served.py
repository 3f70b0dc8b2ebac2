"""A real nginx over TLS in front of a model server, in namespaces; and clients that count."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from demo.gateway import certificate
from demo.tail import Tail
from demo.world import SERVER_ADDRESS, World, WorldError, command
from tests.bench.places import entering

V6_SERVER = "2001:db8::1"
TLS_PORT, MODEL_PORT = 443, 8000
LISTENING_WITHIN_S = 15.0
ENOUGH_BYTES = 1 << 36

CONFIGURATION = """\
daemon off; worker_processes 1; pid {dir}/nginx.pid; error_log {dir}/nginx-error.log warn;
events {{ worker_connections 2048; }}
http {{
    client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fcgi; uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
    access_log off; keepalive_requests 100000000; client_max_body_size 0;
    client_body_buffer_size 4m; http2_body_preread_size 4m;
    server {{
        {listen}
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_certificate {dir}/cert.pem; ssl_certificate_key {dir}/key.pem;
        location = /big {{ root {dir}; }}
        location = /small {{ return 200 "{small}"; }}
        location / {{
            proxy_pass http://127.0.0.1:{model};
            proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_buffering off; proxy_request_buffering off; proxy_read_timeout 600s;
        }}
    }}
}}
"""


@contextmanager
def world(addresses: Sequence[str]) -> Iterator[World]:
    """Make a world whose client has these addresses, those of version 6 too; then remove it."""
    made = World.make([a for a in addresses if ":" not in a])
    try:
        for name, device, own in (
            (made.server, "server0", [V6_SERVER]),
            (made.client, "client0", [a for a in addresses if ":" in a]),
        ):
            for address in own:
                command("ip", "-n", name, "addr", "add", f"{address}/32", "dev", device, "nodad")
        yield made
    finally:
        made.close()


def serve(made: World, namespace: str, listen: Sequence[str]) -> Tail:
    """Start nginx and the model server in a namespace; return what the model server tells."""
    certificate(made.directory)
    with made.path("big").open("wb") as file:
        file.truncate(ENOUGH_BYTES)
    configuration = CONFIGURATION.format(
        dir=made.directory,
        listen=" ".join(f"listen {address} ssl http2;" for address in listen),
        small="x" * 1024,
        model=MODEL_PORT,
    )
    file = made.path("nginx.conf")
    file.write_text(configuration)
    made.start("model", namespace, sys.executable, "-m", "tests.bench.backend", str(MODEL_PORT))
    made.start("nginx", namespace, "nginx", "-c", str(file))
    ports = {MODEL_PORT, *(int(a.rpartition(":")[2]) for a in listen)}
    deadline = time.monotonic() + LISTENING_WITHIN_S
    while not all(f":{p} " in made.run(namespace, "ss", "-Hltn") for p in ports):
        if time.monotonic() > deadline:
            raise WorldError(f"nothing listens: {made.complaint('nginx')}")
        time.sleep(0.05)
    return Tail(made.path("model.out"))


BOTH = (f"{SERVER_ADDRESS}:{TLS_PORT}", f"[{V6_SERVER}]:{TLS_PORT}")


def url(source: str, path: str) -> str:
    """Return the address of a resource in the version of a source."""
    return f"https://{f'[{V6_SERVER}]' if ':' in source else SERVER_ADDRESS}:{TLS_PORT}/{path}"


@dataclass
class Flow:
    """A curl(1) from one source; `streams` of HTTP/2 share its one connection."""

    source: str
    process: subprocess.Popen[bytes]
    total: int = field(default=0)

    @classmethod
    def start(
        cls,
        made: World,
        source: str,
        path: str,
        *,
        streams: int = 0,
        more: Sequence[str] = (),
        output: str = "-",
    ) -> Flow:
        """Start it: HTTP/1.1 with no streams, else HTTP/2. What it gets goes to `output`."""
        kind = (
            ["--http2", "--parallel", "--parallel-max", str(streams)] if streams else ["--http1.1"]
        )
        targets = [url(source, path)] * max(1, streams)
        outputs = [word for target in targets for word in ("-o", output, target)]
        argv = ["curl", "-skN", *kind, "--interface", f"host!{source}", *more, *outputs]
        return cls(
            source,
            subprocess.Popen(
                entering(made.client, *argv), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            ),
        )

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()


def drain(flows: Sequence[Flow], seconds: float) -> float:
    """Read all flows for a while, adding to their totals; return how long it really was."""
    begun = time.monotonic()
    with selectors.DefaultSelector() as selector:
        for flow in flows:
            assert flow.process.stdout is not None
            os.set_blocking(flow.process.stdout.fileno(), False)
            selector.register(flow.process.stdout, selectors.EVENT_READ, flow)
        while (left := begun + seconds - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                data = os.read(key.fd, 1 << 18)
                key.data.total += len(data)
                if not data:
                    selector.unregister(key.fileobj)
    return time.monotonic() - begun


def rates(flows: Sequence[Flow], skip_s: float, measure_s: float) -> list[float]:
    """Return the bytes a second that each flow delivers, after its first seconds."""
    drain(flows, skip_s)
    before = [flow.total for flow in flows]
    took = drain(flows, measure_s)
    return [(flow.total - b) / took for flow, b in zip(flows, before, strict=True)]
