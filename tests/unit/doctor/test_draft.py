"""The first configuration is one that holds, and says what was seen."""

from dataclasses import replace

import pytest

from excise.config import Backend, InputConfig, JournalConfig, parse_config
from excise.doctor.draft import Host, draft, quoted, service_ports
from excise.doctor.listening import Listener
from excise.doctor.logs import Candidate
from excise.doctor.programs import CADDY, VLLM
from excise.doctor.survey import Running, Survey
from excise.model.decision import Posture
from excise.yamlread import read_yaml


@pytest.fixture
def drafted():
    """Draft a configuration and read it as the daemon does; return (config, text)."""

    def make(found):
        text = draft(found)
        config, errors = parse_config(read_yaml(text, "excise.yaml"))
        assert [] == [str(error) for error in errors]
        assert [] == [line for line in text.splitlines() if len(line) > 110]
        return config, text

    return make


@pytest.fixture
def log(record, sample):
    def make(name="/var/log/nginx/excise.log", records=None, why_not="", **item):
        seen = sample([record(n) for n in range(9)] if records is None else records, name)
        return Candidate(InputConfig(**({"file": name} | item)), seen, None, why_not)

    return make


def test_it_observes_what_was_found_on_the_gateways_tls_ports(drafted, host, log):
    config, text = drafted(Host(host(), (log(),)))
    assert (Posture.OBSERVE, Backend.NFTABLES, (443,)) == (
        config.posture, config.enforcer, config.ports
    )  # fmt: skip
    assert [("/var/log/nginx/excise.log", "record")] == [
        (one.name, one.format) for one in config.inputs
    ]
    assert "nginx (ports 80, 443); vLLM (port 8000)" in text.replace("\n# ", " ")
    assert "# 9 requests in the last 9 lines" in text
    assert "# The gateway listens on 80 too." in text


def test_a_host_that_shows_nothing_gets_the_default_with_a_word(drafted):
    config, text = drafted(Host(Survey(), ()))
    assert (1, (443,)) == (len(config.inputs), config.ports)
    assert "No log with requests in it was found" in text


def test_a_log_that_is_not_proposed_stands_there_as_a_comment_that_says_why(drafted, host, log):
    worse = log("/var/log/nginx/access.log", why_not="tells of the same requests as /x")
    config, text = drafted(Host(host(), (log(), worse)))
    assert 1 == len(config.inputs)
    assert "# - file: /var/log/nginx/access.log" in text
    assert "Not read, since it is a log that tells of the same requests as /x" in text
    uncommented, errors = parse_config(read_yaml(text.replace("  # -", "  -").replace(
        "  #   format", "    format"), "x"))  # fmt: skip
    assert ([], 2) == (errors, len(uncommented.inputs))


def test_a_model_server_open_to_all_gets_a_guard_to_uncomment(drafted, host, log):
    _, text = drafted(Host(host("0.0.0.0"), (log(),)))
    assert "# guard: {ports: [8000]}" in text
    guarded = text.replace("# guard: {ports", "guard: {ports")
    config, errors = parse_config(read_yaml(guarded, "x"))
    assert ([], (8000,)) == (errors, config.guard.ports)


def test_proxies_are_suggested_and_not_trusted(drafted, host, record, log):
    records = [record(n, client="192.0.2.1", unbelieved_hops=1) for n in range(300)]
    config, text = drafted(Host(host(), (log(records=records),)))
    assert () == config.trusted_proxies
    said = " ".join(text.replace("\n# ", " ").split())
    assert 'trusted_proxies: ["192.0.2.1"]' in said
    assert "the clients may be proxies: 1 address carries 100% of requests" in said


def test_why_it_is_ipset_is_told(drafted, host):
    config, text = drafted(Host(host(), (), Backend.IPSET, "iptables-legacy is in use."))
    assert (Backend.IPSET, True) == (config.enforcer, "# iptables-legacy is in use.\n" in text)


def test_a_journal_is_an_input_too(drafted, host, log):
    unit = log("journal:caddy.service", file=None, journal=JournalConfig(("caddy.service",)))
    config, _ = drafted(Host(host(), (unit,)))
    assert JournalConfig(("caddy.service",)) == config.inputs[0].journal


@pytest.mark.parametrize(
    "name", ['/srv/a "b": [c]#.log', "/srv/\u00e9 - x.log", "/srv/*.log: {}", "/srv/a\nposture: x"]
)
def test_a_path_means_itself_whatever_is_in_it(drafted, host, log, name):
    config, text = drafted(Host(host(), (replace(log(name), why_not=""),)))
    assert (name, Posture.OBSERVE) == (config.inputs[0].name, config.posture)
    assert text.replace("\n", "").isprintable()


def test_plain_paths_stay_plain():
    assert ("/a/b-c_1.log", '"a b"', '""') == (quoted("/a/b-c_1.log"), quoted("a b"), quoted(""))


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        ([80, 443], ((443,), (80,))),
        ([80, 8443, 9000], ((8443,), (80, 9000))),
        ([80, 9000], ((9000,), (80,))),
        ([80], ((80,), ())),
        ([], ((443,), ())),
    ],
)
def test_ports_of_tls_are_the_services(ports, expected):
    running = Running(CADDY, tuple(Listener("::", port) for port in ports))
    assert expected == service_ports(Survey(running=(running,)))


def test_a_port_that_has_answered_as_tls_does_is_the_services_whatever_its_number():
    running = Running(CADDY, tuple(Listener("::", port) for port in (80, 443, 9000, 9001)))
    found = Survey(running=(running,), tls_ports=frozenset({9000}))
    assert ((443, 9000), (80, 9001)) == service_ports(found)


def test_without_a_gateway_the_model_servers_port_is_the_service():
    running = Running(VLLM, (Listener("0.0.0.0", 8000), Listener("127.0.0.1", 9001)))
    assert ((8000,), ()) == service_ports(Survey(running=(running,)))
