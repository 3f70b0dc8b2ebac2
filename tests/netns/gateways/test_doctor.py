"""A host with a real nginx and the shipped files: what init finds, and what the doctor sees."""

import json
import sys

import pytest

pytestmark = pytest.mark.netns

CREDENTIAL = "Bearer sk-a-secret"


def excise(world, *arguments, check=True):
    return world.run(world.server, sys.executable, "-m", "excise", *arguments, check=check)


@pytest.fixture
def asked(make_gateway):
    """nginx with its files, after some requests of a client; `njs` says with which files."""

    def make(*, njs=True):
        nginx = make_gateway(njs=njs)
        for n in range(6):
            body = {"messages": [{"role": "user", "content": f"word {n}"}], "max_tokens": 30}
            nginx.ask(body, Authorization=CREDENTIAL)
        nginx.lines(6)
        return nginx

    return make


def written(nginx):
    """Let init write a configuration; return its path. The doctor's rules are the checkout's."""
    file = nginx.world.path("first.yaml")
    excise(nginx.world, "init", "--config", str(file))
    return file


def diagnosed(world, file):
    told = json.loads(excise(world, "doctor", "--json", "--config", str(file), check=False))
    return told, {(c["name"], c["state"]): c["text"] for c in told["checks"]}


def test_init_finds_the_gateway_its_log_its_ports_and_the_doctor_sees_through_it(asked):
    nginx = asked()
    file = written(nginx)
    log = nginx.world.path("excise.log")
    text = file.read_text()
    assert f"  - file: {log}\n    format: record    # 6 requests in the last 6 lines" in text
    assert "ports: [443]\n" in text
    assert "# The gateway listens on 80" in text
    assert "all good" in excise(nginx.world, "check", "--config", str(file))

    told, checks = diagnosed(nginx.world, file)
    assert "on 443 (nginx)" == checks["listeners", "ok"]
    assert f"{log}: format record, 6 requests of the last 6 lines" == checks["sample", "ok"]
    filled = next(one["filled"] for one in told["samples"] if one["name"] == str(log))
    full = ("client", "account", "output_tokens", "input_tokens", "tls", "prompt", "parameters")
    assert dict.fromkeys(full, 1.0) == {name: filled[name] for name in full}
    assert ("blind", "warn") not in checks
    assert [] == [w for w in ("secret", "word", "10.1.0.1", "stub-70b") if w in json.dumps(told)]


def test_without_njs_the_doctor_says_that_tokens_are_missing_and_names_the_files(asked):
    nginx = asked(njs=False)
    told, checks = diagnosed(nginx.world, written(nginx))
    blind = [check for check in told["checks"] if check["name"] == "blind"]
    tokens = next(check for check in blind if "no output tokens: " in check["text"])
    assert "do not run" in tokens["text"]
    assert "docs/gateways-nginx.md" in tokens["advice"]
    assert "gateways/nginx/excise-log.conf" in tokens["advice"]
    assert ("sample", "ok") in checks


def test_caddys_own_log_is_recognised_and_what_it_cannot_tell_is_said(make_caddy):
    caddy = make_caddy(tap=False)
    for n in range(6):
        caddy.ask({"messages": [{"role": "user", "content": f"word {n}"}]})
    caddy.lines(6)
    file = written(caddy)
    assert "    format: caddy    # " in file.read_text()
    told, checks = diagnosed(caddy.world, file)
    assert "(Caddy)" in checks["listeners", "ok"]
    advice = [check["advice"] for check in told["checks"] if check["name"] == "blind"]
    assert [True] * len(advice) == ["gateways/caddy/Caddyfile" in text for text in advice] != []


def test_haproxys_records_are_found(haproxy):
    for n in range(6):
        haproxy.ask({"messages": [{"role": "user", "content": f"word {n}"}]})
    haproxy.lines(6)
    file = written(haproxy)
    assert "    format: record    # 6 requests in the last 6 lines" in file.read_text()
    _, checks = diagnosed(haproxy.world, file)
    assert "(HAProxy)" in checks["listeners", "ok"]
