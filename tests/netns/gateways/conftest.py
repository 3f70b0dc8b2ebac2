"""Real gateways with the shipped files, in namespaces of their own (`demo.world` makes them)."""

import json
import shutil
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from demo import caddy as demo_caddy  # noqa: E402 - needs the path above
from demo import gateway  # noqa: E402
from demo import haproxy as demo_haproxy  # noqa: E402
from demo.rewrite import rewrite  # noqa: E402
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
    {verdicts}
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
        location / {{ {location} {deny} proxy_pass http://127.0.0.1:8000; }}
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


KEY = "a key of the test"
#: what only the variant without njs wants to be told
TOLD = """
            add_header X-Excise-Input-Tokens 12;
            add_header X-Excise-Output-Tokens 345;
            add_header X-Excise-Template 00ff00ff00ff00ff;
"""


#: beside the shipped frontend: plaintext, PROXY protocol, an application that tells what it knows
PLAIN = f"""\
    bind {SERVER_ADDRESS}:80
    bind {SERVER_ADDRESS}:444 accept-proxy ssl crt {{directory}}/both.pem alpn h2,http/1.1
    use_backend told if {{{{ path_beg /told/ }}}}
    default_backend model
"""
TELLING = """
backend told
    server told1 127.0.0.1:8001

frontend application
    bind 127.0.0.1:8001
    no log
    # not before the client has sent what it has to send: it would be cut off in the middle
    http-request wait-for-body time 5s
    http-request return status 200 content-type text/plain string ok hdr X-Excise-Account acct-told
    http-after-response set-header X-Excise-Org org-told
    http-after-response set-header X-Excise-Model model-told
"""


class Front:
    """A gateway in front of the demo's model, and what was logged."""

    def __init__(self, world, name, *command, model=("demo.stub",), before=()):
        self.world, self.name = world, name
        self.model = world.start(
            "model", world.server, *before, sys.executable, "-m", *model, "--port", "8000"
        )
        self.process = world.start(name, world.server, *command)
        wait(lambda: self._listening(443) and self._listening(8000), world, name)

    def _listening(self, port):
        return f":{port} " in self.world.run(self.world.server, "ss", "-Hltn")

    def ask(self, body, path="/v1/chat/completions", *, tls=True, read=0, **headers):
        text = body if isinstance(body, str) else json.dumps(body)
        ask = {"tls": tls, "ca": str(self.world.path("cert.pem")), "host": SERVER_ADDRESS,
               "path": path, "body": text, "headers": headers, "read": read}  # fmt: skip
        out = self.world.run(self.world.client, sys.executable, "-c", ASK, json.dumps(ask))
        return json.loads(out)

    def until(self, seen):
        wait(seen, self.world, self.name)

    def lines(self, count):
        """Return the log once it has so many lines."""
        log = self.world.path("excise.log")
        wait(lambda: log.exists() and log.read_bytes().count(b"\n") >= count, self.world, self.name)
        return log.read_bytes().splitlines()

    def records(self, count):
        decoded = RecordDecoder(DecodeContext((), b"key")).decode(self.lines(count))
        assert (decoded.rejects, decoded.unknown_fields) == ([], 0)
        return decoded.records


class Gateway(Front):
    """nginx, with and without njs."""

    def __init__(self, world, *, njs):
        variant = "" if njs else "-headers"
        key = world.path("key")
        key.mkdir(mode=0o700)
        (key / "excise_key.js").write_text(f"export default '{KEY}';\n")
        world.path("verdicts").mkdir()
        gateway.certificate(world.directory)
        conf = world.path("nginx.conf")
        text = CONFIGURATION.format(
            njs=gateway.NJS_MODULE,
            dir=world.directory,
            shipped=gateway.SHIPPED,
            format=f"excise-log{variant}.conf",
            location=f"include {gateway.SHIPPED}/excise-location{variant}.conf;",
            verdicts=self._verdicts(world) if njs else "",
            deny=f"include {gateway.SHIPPED}/excise-deny.conf;"
            f"include {gateway.SHIPPED}/excise-throttle.conf;" if njs else "",
            address=SERVER_ADDRESS,
            more="" if njs else TOLD,
        )  # fmt: skip
        conf.write_text(text)
        super().__init__(world, "nginx", "nginx", "-c", str(conf))
        wait(lambda: self._listening(80), world, "nginx")

    @staticmethod
    def _verdicts(world):
        text = (gateway.SHIPPED / "excise-verdicts.conf").read_text()
        return rewrite(text, {"/run/excise-verdicts": str(world.path("verdicts"))})


def wait(seen, world, name):
    deadline = time.monotonic() + 10
    while not seen():
        assert time.monotonic() < deadline, world.complaint(name)
        time.sleep(0.02)


@pytest.fixture
def make_world():
    worlds = []

    def make():
        try:
            worlds.append(World.make(["10.1.0.1"]))
        except WorldError as error:
            pytest.skip(f"no network namespaces here: {error}")
        return worlds[-1]

    yield make
    for world in worlds:
        world.close()


@pytest.fixture
def make_gateway(make_world):
    if not Path(gateway.NJS_MODULE).exists():
        pytest.skip("nginx's njs module is not installed (Debian: libnginx-mod-http-js)")
    return lambda *, njs=True: Gateway(make_world(), njs=njs)


@pytest.fixture
def haproxy(make_world):
    if shutil.which("haproxy") is None:
        pytest.skip("HAProxy is not installed (Debian: haproxy)")
    world = make_world()
    command = demo_haproxy.prepare(world)
    world.path("haproxy.key").write_text(KEY)
    conf = world.path("haproxy.cfg")
    more = {"    default_backend model\n": PLAIN.format(directory=world.directory)}
    conf.write_text(rewrite(conf.read_text(), more) + TELLING)
    return Front(world, "haproxy", *command)


@pytest.fixture
def make_caddy(make_world):
    """Caddy in front of the model that carries the tap, or with its own log."""
    if shutil.which("caddy") is None:
        pytest.skip("Caddy is not installed (Debian: caddy)")

    def make(*, tap=True):
        world = make_world()
        command = demo_caddy.prepare(world, "Caddyfile" if tap else "Caddyfile.log")
        if not tap:
            return Front(world, "caddy", *command)
        before = demo_caddy.tap_environment(world)
        world.path("tap.key").write_text(KEY)
        return Front(world, "caddy", *command, model=("demo.tapped",), before=before)

    return make
