"""nginx with the configuration that the repository ships, and a certificate made on the spot."""

from __future__ import annotations

import secrets
from pathlib import Path

from demo.world import SERVER_ADDRESS, World, command

REPOSITORY = Path(__file__).resolve().parent.parent
SHIPPED = REPOSITORY / "gateways" / "nginx"
NJS_MODULE = "/usr/lib/nginx/modules/ngx_http_js_module.so"
SERVER_NAME = "llm.demo.example"
MODEL_PORT = 8000
TLS_PORT = 443

CONFIGURATION = """\
load_module {njs};
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/nginx-error.log warn;
events {{ worker_connections 1024; }}
http {{
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    js_path {shipped};
    js_path {directory}/key;
    include {shipped}/excise-log.conf;
    upstream model {{ server 127.0.0.1:{model_port}; keepalive 64; }}
    server {{
        listen {address}:{tls_port} ssl http2;
        server_name {name};
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_certificate {directory}/cert.pem;
        ssl_certificate_key {directory}/key.pem;
        access_log {directory}/excise.log excise;
        keepalive_requests 100000;
        location / {{
            include {shipped}/excise-location.conf;
            proxy_pass http://model;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
}}
"""


def configuration(directory: Path) -> str:
    """Return an nginx.conf that includes the shipped files and keeps everything in `directory`."""
    return CONFIGURATION.format(
        njs=NJS_MODULE,
        directory=directory,
        shipped=SHIPPED,
        model_port=MODEL_PORT,
        address=SERVER_ADDRESS,
        tls_port=TLS_PORT,
        name=SERVER_NAME,
    )


def certificate(directory: Path) -> None:
    """Write a self-signed certificate for the server's name and address, valid for a day."""
    command(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
        "-nodes", "-days", "1", "-subj", f"/CN={SERVER_NAME}",
        "-addext", f"subjectAltName=DNS:{SERVER_NAME},IP:{SERVER_ADDRESS}",
        "-keyout", str(directory / "key.pem"), "-out", str(directory / "cert.pem"),
    )  # fmt: skip


def start(world: World) -> None:
    """Write the files and start nginx in the server's namespace."""
    key = world.path("key")
    key.mkdir(mode=0o700)
    (key / "excise_key.js").write_text(f"export default '{secrets.token_hex(32)}';\n")
    certificate(world.directory)
    file = world.path("nginx.conf")
    file.write_text(configuration(world.directory))
    world.run(world.server, "nginx", "-t", "-q", "-c", str(file))
    world.start("nginx", world.server, "nginx", "-c", str(file))
