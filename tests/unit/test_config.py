"""The configuration file: every default, every error with its place, and where rules are."""

import dataclasses
from pathlib import Path

import pytest

from excise.config import (
    ApiConfig,
    Backend,
    Config,
    InputConfig,
    JournalConfig,
    LogConfig,
    LogFormat,
    LogLevel,
    NftConfig,
    SocketConfig,
    Wire,
    load,
    read_config,
    rule_directories,
    shipped_rules,
)
from excise.config.parse import KEYS
from excise.errors import ConfigError
from excise.model.decision import Posture, Tier
from excise.model.portguard import PortGuard
from excise.model.settings import Capacity, Governor, Policy, Settings, Trials

SOURCES = "file, stdin, journal, syslog, datagram, http"
CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def read(tmp_path):
    """Return a function from text to (Config, problems as text without the file's directory)."""

    def read(text):
        path = tmp_path / "excise.yaml"
        path.write_text(text)
        config, errors = read_config(path)
        return config, [str(error).replace(f"{tmp_path}/", "") for error in errors]

    return read


def test_an_empty_file_means_the_documented_defaults(read):
    config, errors = read("")

    assert [] == errors
    assert Config(path=config.path) == config
    assert Posture.OBSERVE is config.posture
    assert (InputConfig(Path("/var/log/nginx/excise.log"), "record"),) == config.inputs
    assert ((), ()) == (config.trusted_proxies, config.never_block)
    assert (Path("/etc/excise/rules.d"), Path("/usr/share/excise/rules")) == config.rules
    assert ((443,), Backend.NFTABLES) == (config.ports, config.enforcer)
    assert (
        Tier("slow", 50 * 1024, 20 * 1024),
        Tier("crawl", 5 * 1024, 2 * 1024, 6.0),
    ) == config.tiers
    assert ApiConfig(Path("/run/excise/control.sock"), None) == config.api
    assert Settings() == config.settings()


def test_every_key_can_be_set(read):
    config, errors = read("""
posture: enforce
inputs:
  - {file: /var/log/a.log, format: record, from_start: true}
  - {stdin: true}
trusted_proxies: [192.0.2.10, "2001:db8::/32"]
never_block: [198.51.100.0/24]
rules: [/srv/rules]
ports: [443, 8443]
enforcer: dry-run
tiers:
  gentle: {egress: 1 MiB/s}
  hard: {egress: 1.5 kB/s, new_connections: 30/h}
state: /srv/state
api: {socket: /srv/s.sock, listen: "[::1]:7788"}
policy: {throttle: 50, ttl_drop: 2h}
governor: {max_share: 0.1, free: 5}
trials: {enabled: true, share: 0.2, duration: 1h}
capacity: {clients: 4096}
log: {file: /srv/log, level: debug, format: json}
protect_operator: false
nft: {owner: true, containers: false, shaping: [eth0]}
guard: {ports: [8000, 8000, 8001], allow: [192.0.2.0/24, "2001:db8::/32"]}
""")

    assert [] == errors
    assert (
        Config(
            posture=Posture.ENFORCE,
            inputs=(InputConfig(Path("/var/log/a.log"), "record", True), InputConfig(None)),
            trusted_proxies=("192.0.2.10/32", "2001:db8::/32"),
            never_block=("198.51.100.0/24",),
            rules=(Path("/srv/rules"),),
            ports=(443, 8443),
            enforcer=Backend.DRY_RUN,
            tiers=(Tier("gentle", 1024**2), Tier("hard", 1500, None, 0.5)),
            state=Path("/srv/state"),
            api=ApiConfig(Path("/srv/s.sock"), ("::1", 7788)),
            policy=Policy(throttle=50.0, ttl_drop_s=7200.0),
            governor=Governor(max_share=0.1, free=5),
            trials=Trials(enabled=True, share=0.2, duration_s=3600.0),
            capacity=Capacity(clients=4096),
            log=LogConfig(Path("/srv/log"), LogLevel.DEBUG, LogFormat.JSON),
            protect_operator=False,
            nft=NftConfig(owner=True, containers=False, shaping=("eth0",)),
            guard=PortGuard((8000, 8001), ("192.0.2.0/24", "2001:db8::/32")),
            path=config.path,
        )
        == config
    )


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("{file: /var/log/*.log}", "/var/log/*.log", InputConfig(Path("/var/log/*.log"))),
        (
            "{journal: {units: [caddy, a.scope], identifiers: [b], matches: [_PID=1]}}",
            "journal:caddy.service,a.scope,b,_PID=1",
            InputConfig(journal=JournalConfig(("caddy.service", "a.scope"), ("b",), ("_PID=1",))),
        ),
        (
            "{datagram: /run/a.sock, format: record}",
            "datagram:/run/a.sock",
            InputConfig(format="record", socket=SocketConfig(Wire.UNIX, path=Path("/run/a.sock"))),
        ),
        (
            "{syslog: {unix: /run/a.sock, mode: '0666', group: adm}}",
            "syslog:/run/a.sock",
            InputConfig(
                socket=SocketConfig(
                    Wire.UNIX, syslog=True, path=Path("/run/a.sock"), mode=0o666, group="adm"
                )
            ),
        ),
        (
            "{syslog: {udp: '[::1]:5514'}}",
            "syslog:udp:[::1]:5514",
            InputConfig(socket=SocketConfig(Wire.UDP, syslog=True, address=("::1", 5514))),
        ),
        (
            "{syslog: {tcp: '192.0.2.1:5514', allow: [198.51.100.0/24]}}",
            "syslog:tcp:192.0.2.1:5514",
            InputConfig(
                socket=SocketConfig(
                    Wire.TCP, syslog=True, address=("192.0.2.1", 5514), allow=("198.51.100.0/24",)
                )
            ),
        ),
        ("{http: true}", "http", InputConfig(format="record", http=True)),
        ("{http: true, format: nginx}", "http", InputConfig(format="nginx", http=True)),
        (
            "{stdin: true, quiet_after: 90s, ports: [8443]}",
            "stdin",
            InputConfig(quiet_after_s=90.0, ports=(8443,)),
        ),
        ("{stdin: true, quiet_after: never}", "stdin", InputConfig(quiet_after_s=None)),
    ],
)
def test_every_kind_of_input_can_be_named(read, text, name, expected):
    config, errors = read(f"inputs: [{text}]")

    assert ([], (expected,)) == (errors, config.inputs)
    assert name == config.inputs[0].name


def test_what_iptables_can_keep_is_fine_with_ipset(read):
    text = "enforcer: ipset\ntiers: {a: {egress: 1 GiB/s, ingress: 2 KiB/s, new_connections: 1/h}}"
    config, errors = read(text)

    assert [] == errors
    assert Backend.IPSET is config.enforcer
    assert 2048 == config.tiers[0].ingress_bytes_s


def test_the_engine_is_told_what_the_file_says(read):
    config, _ = read("posture: throttle\nnever_block: [192.0.2.0/24]\npolicy: {drop: 90}\n")
    settings = config.settings()

    assert Posture.THROTTLE is settings.posture
    assert ("192.0.2.0/24",) == settings.never_block
    assert 90.0 == settings.policy.drop


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postur: observe", "1:1: unknown key 'postur' (did you mean 'posture'?)"),
        ("posture: block", "1:10: unknown value of posture: 'block'"),
        ("- a", "1:1: must be a mapping, found a list"),
        ("ports: 443", "1:8: ports must be a list, found 443"),
        ("ports: []", "1:8: ports must name at least one port"),
        ("ports: [0]", "1:9: ports is out of range: 0 (from 1 to 65535)"),
        ("ports: [true]", "1:9: ports must be a whole number, found true"),
        ("ports: ['443']", "1:9: ports must be a whole number, found '443'"),
        ("never_block:\n- 192.0.2.7/24", "2:3: never_block holds '192.0.2.7/24' with bits beyond"),
        ("never_block: [me]", "1:15: never_block holds 'me', no address or CIDR"),
        ("trusted_proxies: [10]", "1:19: trusted_proxies must be text, found 10"),
        ("rules: [rules]", "1:9: rules must be an absolute path, found 'rules'"),
        ("state:", "1:7: state must be text, found nothing"),
        ("enforcer: iptables", "1:11: unknown value of enforcer: 'iptables'"),
        (
            "enforcer: ipset\ntiers: {a: {egress: 2047 B/s}}",
            "2:21: egress of 2047 B/s cannot be kept by iptables (from 2 KiB/s to 1 GiB/s",
        ),
        (
            "tiers: {a: {ingress: 2 GiB/s}}\nenforcer: ipset",
            "1:22: ingress of 2147483648 B/s cannot be kept by iptables",
        ),
        (
            "enforcer: ipset\ntiers: {a: {new_connections: 10001/s}}",
            "2:30: new_connections of 600060/min cannot be kept by iptables",
        ),
        ("inputs: [/var/log/x]", "1:10: inputs must be mappings"),
        (
            "inputs: [{format: auto}]",
            f"1:10: inputs takes exactly one of {SOURCES}",
        ),
        (
            "inputs: [{file: /a, stdin: true}]",
            f"1:10: inputs takes exactly one of {SOURCES}",
        ),
        ("inputs: [{journal: x}]", "1:20: journal must be a mapping, found 'x'"),
        ("inputs: [{journal: {}}]", "1:20: journal must say whose entries are read"),
        ("inputs: [{journal: {unit: a}}]", "1:21: unknown key 'unit' (did you mean 'units'?)"),
        ("inputs: [{journal: {matches: [a]}}]", "1:31: matches must be FIELD=value, found 'a'"),
        ("inputs: [{syslog: x}]", "1:19: syslog must be an absolute path, found 'x'"),
        ("inputs: [{syslog: {}}]", "1:19: syslog takes exactly one of unix, udp and tcp"),
        ("inputs: [{syslog: {udp: '514'}}]", "udp must be an address and a port, found '514'"),
        ("inputs: [{syslog: {udp: '127.0.0.1:0'}}]", "1:25: udp must end in a port, found '0'"),
        ("inputs: [{syslog: {tcp: '0.0.0.0:514'}}]", "1:19: syslog listens beyond this host"),
        (
            "inputs: [{syslog: {unix: /a, allow: [192.0.2.1]}}]",
            "1:19: syslog allow has no meaning for unix",
        ),
        (
            "inputs: [{syslog: {udp: '127.0.0.1:514', mode: '0660'}}]",
            "1:19: syslog mode has no meaning for udp",
        ),
        ("inputs: [{datagram: x}]", "1:21: datagram must be an absolute path, found 'x'"),
        ("inputs: [{datagram: {mode: '0666'}}]", "1:21: key 'unix' is missing"),
        ("inputs: [{datagram: {unix: /a, mode: 660}}]", "mode must be an octal mode in quotes"),
        ("inputs: [{datagram: /" + "a" * 107 + "}]", "datagram is too long for a socket"),
        ("inputs: [{datagram: /a, from_start: true}]", "from_start has no meaning for datagram"),
        ("inputs: [{http: x}]", "1:17: http takes no value but true"),
        ("inputs: [{file: /a, quiet_after: 5}]", "quiet_after must be a duration or never"),
        ("inputs: [{datagram: /a}, {datagram: {unix: /a}}]", "inputs names datagram:/a twice"),
        ("inputs: [{file: /a, format: jsonl}]", "1:29: unknown value of format: 'jsonl'"),
        ("inputs: [{file: /a, from_start: 1}]", "1:33: from_start must be true or false, found 1"),
        ("inputs: [{stdin: 5}]", "1:18: stdin takes no value but true"),
        ("inputs: [{stdin: true, from_start: true}]", "from_start has no meaning for stdin"),
        ("inputs: [{stdin: true}, {stdin: }]", "1:9: inputs names standard input twice"),
        ("inputs: [{file: /a}, {file: /a}]", "1:9: inputs names /a twice"),
        ("inputs: [{file: /a}, {file: /a, format: record}]", "1:9: inputs names /a twice"),
        ("tiers: {}", "1:8: tiers must be a mapping of at least one tier"),
        ("tiers: {Slow!: {egress: 1 B/s}}", "1:9: tier name 'Slow!' is wrong"),
        ("tiers: {slow: {}}", "1:15: slow limits nothing"),
        ("tiers: {slow: {egress: 50}}", "1:24: egress must be a rate of bytes, found 50"),
        ("tiers: {slow: {egress: 50 KB}}", "1:24: egress must be a rate of bytes"),
        ("tiers: {slow: {egress: 0 B/s}}", "1:24: egress must be a rate of bytes"),
        ("tiers: {s: {new_connections: 6}}", "1:30: new_connections must be a rate of events"),
        (
            "tiers: {a: {egress: 1 B/s}, b: {egress: 2 B/s}}",
            "1:8: tiers go from the mildest on, but b allows more than a",
        ),
        ("api: {listen: '7788'}", "1:15: listen must be an address and a port, found '7788'"),
        ("api: {listen: 0.0.0.0:7788}", "1:15: listen must be a loopback address, found 0.0.0.0"),
        ("api: {listen: 127.0.0.1:0}", "1:15: listen must end in a port, found '0'"),
        ("policy: {throtle: 5}", "1:10: unknown key 'throtle' (did you mean 'throttle'?)"),
        ("policy: {keep: 2}", "1:16: keep is out of range: 2 (from 0 to 1)"),
        (
            "enforcer: ipset\nguard: {ports: [8000]}",
            "2:8: guard needs enforcer: nftables",
        ),
        ("policy: {ttl_drop: 60}", "1:20: ttl_drop must be a duration, found 60"),
        ("policy: {throttle: 90, drop: 80}", "1:9: policy must not fall from observe, throttle"),
        ("policy: {ttl_drop: 2d}", "1:9: policy must not fall from ttl_drop, ttl_max"),
        ("governor: {free: 1.5}", "1:18: free must be a whole number, found 1.5"),
        ("governor: {min_prefix_v4: 4}", "1:27: min_prefix_v4 is out of range: 4 (from 8 to 32)"),
        ("capacity: {clients: 10}", "1:21: clients is out of range: 10"),
        ("log: {level: loud}", "1:14: unknown value of level: 'loud'"),
        ("nft: {owner: yes}", "1:14: owner must be true or false, found 'yes'"),
        ("nft: {containers: no}", "1:19: containers must be auto, true or false, found 'no'"),
        ("nft: {shaping: [lo]}", "1:17: shaping must be a network interface such as eth0"),
        ("nft: {shaping: [a/b]}", "1:17: shaping must be a network interface such as eth0"),
        ("guard: {allow: []}", "1:8: guard names no ports (like guard: {ports: [8000]})"),
        ("guard: {ports: [443]}", "1:17: ports names 443, which is in `ports`"),
        ("ports: [8000]\nguard: {ports: [8000]}", "2:17: ports names 8000, which is in `ports`"),
        ("guard: {ports: [22]}", "1:17: ports names 22 (SSH), which the host depends on"),
        ("guard: {ports: [8000], allow: [192.0.2.1/24]}", "1:32: allow"),
        ("posture: observe\nposture: enforce", "2:1: key 'posture' is given twice"),
    ],
)
def test_an_error_names_file_line_column_and_what_is_allowed(read, text, expected):
    _, errors = read(text)

    assert any(expected in error for error in errors), errors
    assert all(error.startswith("excise.yaml:") for error in errors)


def test_all_errors_are_found_at_once(read):
    _, errors = read("posture: block\nports: [0]\nnope: 1\n")

    assert 3 == len(errors)


def test_load_raises_the_first_and_counts_the_others(tmp_path):
    path = tmp_path / "excise.yaml"
    path.write_text("posture: block\nports: [0]\n")

    with pytest.raises(ConfigError, match=r":1:10: .*and 1 more; `excise check` lists them all"):
        load(path)


def test_a_named_file_that_is_missing_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load(tmp_path / "none.yaml")


def test_a_missing_default_file_means_defaults_with_a_note(monkeypatch, tmp_path):
    monkeypatch.setattr("excise.config.files.DEFAULT_PATH", tmp_path / "none.yaml")
    config = load()

    assert Config(notes=config.notes) == config
    assert [f"no configuration at {tmp_path}/none.yaml: defaults hold"] == list(config.notes)


def test_the_default_file_is_read_where_it_exists(monkeypatch, tmp_path):
    path = tmp_path / "excise.yaml"
    path.write_text("posture: throttle")
    monkeypatch.setattr("excise.config.files.DEFAULT_PATH", path)

    assert (Posture.THROTTLE, path) == (load().posture, load().path)


@pytest.fixture
def places(monkeypatch, tmp_path):
    """Return the standard directories, moved somewhere else; neither exists yet."""
    local, shipped = tmp_path / "local", tmp_path / "shipped"
    monkeypatch.setattr("excise.config.files.LOCAL_RULES", local)
    monkeypatch.setattr("excise.config.files.SHIPPED_RULES", shipped)
    monkeypatch.setattr("sys.prefix", str(tmp_path / "prefix"))
    return local, shipped


def test_both_standard_directories_are_read_where_they_exist(places):
    for place in places:
        place.mkdir()

    assert places == rule_directories(Config(rules=places))


def test_without_installed_rules_a_checkout_s_own_are_read(places):
    assert (CHECKOUT / "rules",) == rule_directories(Config(rules=places))


def test_rules_of_one_s_own_do_not_replace_the_shipped_ones(places):
    places[0].mkdir()

    assert (places[0], CHECKOUT / "rules") == rule_directories(Config(rules=places))


def test_a_wheel_keeps_its_rules_under_the_python_prefix(places, tmp_path):
    prefix = tmp_path / "prefix" / "share" / "excise" / "rules"
    prefix.mkdir(parents=True)

    assert prefix == shipped_rules()


def test_any_other_directory_must_exist(places, tmp_path):
    with pytest.raises(ConfigError, match="is no directory"):
        rule_directories(Config(rules=(tmp_path / "mine",)))


def test_an_installation_without_rules_says_where_it_looked(places, monkeypatch, tmp_path):
    monkeypatch.setattr("excise.__file__", str(tmp_path / "site-packages/excise/__init__.py"))

    with pytest.raises(ConfigError, match=r"shipped rules are missing \(looked in .*/prefix/share"):
        shipped_rules()


def test_every_field_of_the_configuration_has_its_key():
    fields = {field.name for field in dataclasses.fields(Config)}

    assert fields - {"path", "notes", "asns"} == set(KEYS)


def test_the_example_configuration_is_the_defaults_written_out():
    path = CHECKOUT / "etc" / "excise.yaml"

    assert dataclasses.replace(Config(), path=path) == load(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("trials: {share: 0.5}", "excise.yaml:1:17: share is out of range: 0.5 (from 0.1 to 0.2)"),
        ("trials: {share: 15%}", "excise.yaml:1:17: share must be a number, found '15%'"),
        ("trials: {duration: 5m}", "excise.yaml:1:20: duration is out of range: 300"),
        ("trials: {enabled: 1}", "excise.yaml:1:19: enabled must be true or false"),
        ("trials: {enable: true}", "excise.yaml:1:10: unknown key 'enable'"),
        ("trials: true", "excise.yaml:1:9: trials must be a mapping"),
        (
            "trials: {duration: 25m}",
            "excise.yaml:1:9: trials duration of 1500s is not that of whole",
        ),
        ("policy: {campaign_pass: 1h}\ntrials: {}", "excise.yaml:2:9: trials duration of 1800s"),
    ],
)
def test_trials_that_cannot_be_are_refused_with_their_place(read, text, expected):
    _, errors = read(text)

    assert [expected] == [error[: len(expected)] for error in errors]
