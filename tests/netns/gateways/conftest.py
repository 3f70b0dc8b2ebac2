"""A real nginx with the shipped files, in namespaces of its own (`demo.world` makes them)."""

import json
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from demo import gateway  # noqa: E402 - needs the path above
from demo.world import SERVER_ADDRESS, World, WorldError  # noqa: E402

from excise.decode.base import DecodeContext  # noqa: E402
from excise.decode.record import RecordDecoder  # noqa: E402

CONFIGURATION = """\
load_module {njs};
daemon off; worker_processes 1; pid {dir}/nginx.pid; error_log {dir}/nginx-error.log warn;
events {{ worker_connections 64; }}
http {{
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    js_path {shipped};
    js_path {dir}/key;
    include {shipped}/{format};
    access_log {dir}/excise.log excise;
    server {{
        listen {address}:443 ssl http2;
        listen {address}:80;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_certificate {dir}/cert.pem;
        ssl_certificate_key {dir}/key.pem;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_buffering off;
        location / {{ {location} proxy_pass http://127.0.0.1:8000; }}
        location /told/ {{ {location} proxy_pass http://127.0.0.1:8001; }}
    }}
    server {{
        listen 127.0.0.1:8001;
        access_log off;
        location / {{
            add_header X-Excise-Account acct-told;
            add_header X-Excise-Org org-told;
            add_header X-Excise-Model model-told;
            {more}
            return 200 "ok";
        }}
    }}
}}
"""

#: asks once and prints status, headers and body; with `read` it hangs up after so many bytes
ASK = """
import http.client, json, ssl, sys
ask = json.loads(sys.argv[1])
if ask["tls"]:
    context = ssl.create_default_context(cafile=ask["ca"])
    context.set_alpn_protocols(["http/1.1"])
    c = http.client.HTTPSConnection(ask["host"], 443, context=context, timeout=10)
else:
    c = http.client.HTTPConnection(ask["host"], 80, timeout=10)
c.request("POST", ask["path"], ask["body"], ask["headers"])
r = c.getresponse()
body = r.read(ask["read"]) if ask["read"] else r.read()
print(json.dumps([r.status, dict(r.getheaders()), body.decode()]))
"""


#: what only the variant without njs wants to be told
TOLD = """
            add_header X-Excise-Input-Tokens 12;
            add_header X-Excise-Output-Tokens 345;
            add_header X-Excise-Template 00ff00ff00ff00ff;
"""


class Gateway:
    """nginx in front of the demo's model, and what it logged."""

    def __init__(self, world, *, njs):
        variant = "" if njs else "-headers"
        self.world = world
        key = world.path("key")
        key.mkdir(mode=0o700)
        (key / "excise_key.js").write_text("export default 'a key of the test';\n")
        gateway.certificate(world.directory)
        conf = world.path("nginx.conf")
        text = CONFIGURATION.format(
            njs=gateway.NJS_MODULE,
            dir=world.directory,
            shipped=gateway.SHIPPED,
            format=f"excise-log{variant}.conf",
            location=f"include {gateway.SHIPPED}/excise-location{variant}.conf;",
            address=SERVER_ADDRESS,
            more="" if njs else TOLD,
        )
        conf.write_text(text)
        self.model = world.start(
            "model", world.server, sys.executable, "-m", "demo.stub", "--port", "8000"
        )
        self.nginx = world.start("nginx", world.server, "nginx", "-c", str(conf))
        wait(lambda: self._listening(80) and self._listening(8000), world, "nginx")

    def _listening(self, port):
        return f":{port} " in self.world.run(self.world.server, "ss", "-Hltn")

    def ask(self, body, path="/v1/chat/completions", *, tls=True, read=0, **headers):
        text = body if isinstance(body, str) else json.dumps(body)
        ask = {"tls": tls, "ca": str(self.world.path("cert.pem")), "host": SERVER_ADDRESS,
               "path": path, "body": text, "headers": headers, "read": read}  # fmt: skip
        out = self.world.run(self.world.client, sys.executable, "-c", ASK, json.dumps(ask))
        return json.loads(out)

    def lines(self, count):
        """Return the log once it has so many lines."""
        log = self.world.path("excise.log")
        wait(lambda: log.exists() and log.read_bytes().count(b"\n") >= count, self.world, "nginx")
        return log.read_bytes().splitlines()

    def records(self, count):
        decoded = RecordDecoder(DecodeContext((), b"key")).decode(self.lines(count))
        assert (decoded.rejects, decoded.unknown_fields) == ([], 0)
        return decoded.records


def wait(seen, world, name):
    deadline = time.monotonic() + 10
    while not seen():
        assert time.monotonic() < deadline, world.complaint(name)
        time.sleep(0.02)


@pytest.fixture
def make_gateway():
    if not Path(gateway.NJS_MODULE).exists():
        pytest.skip("nginx's njs module is not installed (Debian: libnginx-mod-http-js)")
    worlds = []

    def make(*, njs=True):
        try:
            worlds.append(World.make(["10.1.0.1"]))
        except WorldError as error:
            pytest.skip(f"no network namespaces here: {error}")
        return Gateway(worlds[-1], njs=njs)

    yield make
    for world in worlds:
        world.close()
