"""The tree keeps its shape: tests mirror the package, and files stay readable."""

#: packages whose tests live under another name
ELSEWHERE = {"daemon": "app"}
BY_RUN = "wiring: tests/unit/app/test_run.py starts the daemon as a process"
BY_TABLE = "values without behaviour: whoever uses them tests them"
BY_VERBS = "verbs are tested as people use them: tests/unit/cli/test_{acting,reading,main}.py"
BY_SAMPLES = "tests/samples and tests/property/test_formats.py"
BY_LINES = (
    "every format goes through it: tests/unit/decode/test_samples.py, tests/property, tests/fuzz"
)
BY_GROUPS = "tests/unit/campaigns/test_groups.py finds groups with it"
BY_PASS = "tests/property/test_pass.py compares it with plain Python"
BY_NETNS = "only the kernel can say: tests/netns"
#: modules without a test file of their name, and what holds them to their promises instead
EXCEPTIONS = {
    "__main__": BY_RUN,
    "api/ask": "tests/unit/api/test_decisions.py asks through it",
    "api/control": "a protocol",
    "api/exposition": "tests/unit/api/test_metrics.py reads what it writes",
    "api/openapi": "tests/unit/api/test_routes.py compares it with the routes",
    "api/problem": "tests/unit/api/test_docs.py and every refused request",
    "api/route": "tests/unit/api/test_routes.py",
    "api/server": "tests/unit/api/conftest.py serves every test with it",
    "api/tally": "tests/unit/api/test_metrics.py",
    "api/wire": BY_TABLE,
    "app": BY_RUN,
    "campaigns/accounts": BY_PASS,
    "campaigns/alike": BY_GROUPS,
    "campaigns/cohorts": BY_GROUPS,
    "campaigns/exits": BY_PASS,
    "campaigns/graph": BY_PASS,
    "campaigns/relays": BY_GROUPS,
    "campaigns/templates": BY_PASS,
    "cli/allow": BY_VERBS,
    "cli/campaigns": BY_VERBS,
    "cli/check": "tests/unit/cli/test_check_and_replay.py",
    "cli/client": BY_VERBS,
    "cli/decisions": BY_VERBS,
    "cli/disallow": BY_VERBS,
    "cli/drop": BY_VERBS,
    "cli/events": BY_VERBS,
    "cli/explain": BY_VERBS,
    "cli/lift": BY_VERBS,
    "cli/options": BY_VERBS,
    "cli/posture": BY_VERBS,
    "cli/reload": BY_VERBS,
    "cli/replay": "tests/unit/cli/test_check_and_replay.py",
    "cli/replayed": "tests/unit/cli/test_check_and_replay.py, README.md by tests/arch",
    "cli/run": BY_RUN,
    "cli/sources": BY_VERBS,
    "cli/simulate": "tests/unit/simulate/test_verb.py",
    "cli/status": BY_VERBS,
    "cli/text": BY_VERBS,
    "cli/throttle": BY_VERBS,
    "cli/top": BY_VERBS,
    "config/asns": "tests/unit/test_config_asns.py",
    "config/files": "tests/unit/test_config.py",
    "config/inputs": "tests/unit/test_config.py",
    "config/formats": "tests/unit/test_config_formats.py",
    "config/parse": "tests/unit/test_config.py",
    "config/values": "tests/unit/test_config.py",
    "daemon/assemble": "tests/fault/test_inputs.py opens every kind with it",
    "daemon/house": BY_RUN,
    "daemon/kernel": "tests/unit/app/test_run.py and test_lift.py",
    "daemon/readers": "tests/unit/app/test_restore.py reads with them",
    "decide/agenda": "tests/property/test_engine.py",
    "decide/book": "tests/unit/engine/test_climbing.py",
    "decide/capacity": "tests/property/test_capacity.py",
    "decide/cases": "tests/unit/engine/test_innocents.py",
    "decide/collateral": "tests/unit/engine/test_innocents.py",
    "decide/cordons": "tests/unit/engine/test_neighbourhood.py",
    "decide/crowd": "tests/unit/engine/test_campaigns.py",
    "decide/desired": "tests/property/test_plan.py",
    "decide/docket": "tests/unit/engine/test_{climbing,governor}.py",
    "decide/draw": "tests/unit/decide/test_trials.py",
    "decide/explain": "tests/unit/engine/test_telling.py",
    "decide/fleets": "tests/unit/engine/test_campaigns.py",
    "decide/governor": "tests/unit/engine/test_governor.py",
    "decide/guard": "tests/unit/engine/test_governor.py",
    "decide/judge": "tests/unit/engine",
    "decide/ladder": "tests/unit/decide/test_bounds.py",
    "decide/memory": "tests/unit/engine/test_memory.py",
    "decide/neighbours": "tests/unit/engine/test_neighbourhood.py",
    "decide/operate": "tests/unit/engine/test_governor.py",
    "decide/prefixes": "tests/property/test_prefixes.py",
    "decide/realip": "tests/unit/engine/test_realip.py",
    "decide/roll": "tests/unit/engine/test_roll.py",
    "decide/score": "tests/unit/engine/test_climbing.py",
    "decide/show": "tests/unit/engine/test_telling.py",
    "decide/tell": "tests/unit/engine/test_campaigns.py",
    "decide/tenants": "tests/unit/engine/test_campaigns.py",
    "decide/terms": "tests/unit/engine/test_climbing.py",
    "decide/watch": "tests/unit/engine/test_campaigns.py",
    "decide/words": "tests/unit/engine/test_telling.py",
    "decode/alb": BY_SAMPLES,
    "decode/assemble": BY_LINES,
    "decode/base": "tests/property/test_decode.py",
    "decode/batches": BY_LINES,
    "decode/caddy": BY_SAMPLES,
    "decode/columns": BY_LINES,
    "decode/custom_json": "tests/unit/test_config_formats.py",
    "decode/envoy_ai_gateway": BY_SAMPLES,
    "decode/envoy_json": BY_SAMPLES,
    "decode/envoy_keys": BY_SAMPLES,
    "decode/envoy_text": BY_SAMPLES,
    "decode/fields": "tests/samples and tests/property/test_decode.py",
    "decode/flat": BY_LINES,
    "decode/haproxy_http": BY_SAMPLES,
    "decode/haproxy_json": BY_SAMPLES,
    "decode/jsonformat": BY_LINES,
    "decode/jsonline": "tests/samples and tests/property/test_decode.py",
    "decode/litellm": BY_SAMPLES,
    "decode/nginx_directive": "tests/unit/decode/test_nginx_text.py",
    "decode/nginx_json": BY_SAMPLES,
    "decode/nginx_variables": BY_LINES,
    "decode/otel": BY_SAMPLES,
    "decode/pattern": BY_LINES,
    "decode/readers": BY_LINES,
    "decode/request": "tests/samples",
    "doctor/check": BY_TABLE,
    "decode/shape": BY_LINES,
    "decode/slots": BY_LINES,
    "decode/split": BY_LINES,
    "decode/textformat": BY_LINES,
    "decode/times": BY_LINES,
    "decode/traefik_clf": BY_SAMPLES,
    "decode/traefik_json": BY_SAMPLES,
    "enforce/base": "a protocol",
    "enforce/htb": "tests/netns/test_shaping.py",
    "enforce/nft_ground": BY_NETNS,
    "enforce/ipset_reader": BY_NETNS,
    "enforce/nft_reader": BY_NETNS,
    "enforce/shaped": "tests/netns/test_shaping.py",
    "enforce/tc_socket": "tests/netns/test_shaping.py",
    "engine": "tests/unit/engine and tests/property/test_engine.py",
    "hearing": "tests/unit/engine and tests/property/test_engine.py",
    "errors": BY_TABLE,
    "features/batch": "tests/unit/features/test_values.py",
    "features/clock": "tests/fault/test_clock.py",
    "features/interner": "tests/unit/features/test_forgetting.py",
    "features/population": "tests/unit/rules/test_compile.py",
    "features/sketch": "tests/property/test_features.py",
    "features/state": "tests/property/test_decay.py",
    "features/table": "tests/unit/test_docs.py compares it with docs/rules.md",
    "features/world": "tests/unit/features/test_forgetting.py",
    "gateways/asked": "tests/unit/gateways/test_asgi.py asks",
    "gateways/fields": "tests/unit/gateways decode every line that it writes",
    "gateways/tapped": "tests/unit/gateways/test_asgi.py",
    "gateways/writer": "tests/unit/gateways/test_asgi.py, with and without an environment",
    "model/decision": BY_TABLE,
    "model/document": "tests/unit/test_config.py and tests/unit/rules/test_parse.py",
    "model/entity": BY_TABLE,
    "model/portguard": BY_TABLE,
    "model/record": "tests/unit/decode",
    "model/settings": BY_TABLE,
    "model/step": BY_TABLE,
    "model/view": BY_TABLE,
    "replay/accounting": "tests/unit/test_replay.py",
    "replay/chronicle": "tests/unit/report/test_collect.py",
    "replay/covering": "tests/unit/test_replay.py",
    "replay/reading": "tests/unit/test_replay.py",
    "replay/run": "tests/unit/test_replay.py",
    "replay/summary": "tests/unit/test_replay.py",
    "report/style": "tests/unit/report/test_page.py draws with it in a browser",
    "report/tables": "tests/unit/report/test_page.py",
    "report/text": "tests/unit/report/test_charts.py",
    "rules/schema": BY_TABLE,
    "simulate/campaigns": "tests/unit/simulate/test_{compose,promises}.py",
    "simulate/people": "tests/unit/simulate/test_{compose,promises}.py",
    "simulate/stress": "tests/unit/simulate/test_{compose,promises}.py",
    "simulate/traffic": "tests/unit/simulate/test_compose.py",
    "sources/base": "tests/unit/sources/test_file_tail.py",
    "sources/inotify": "tests/unit/sources/test_file_tail.py",
    "sources/journal_entry": "tests/unit/sources/test_journal.py asks the real journalctl",
    "sources/sockets": "tests/unit/sources/test_datagram.py and test_syslog_tcp.py",
}
MOST_LINES = 400


def modules(checkout):
    """Return the name of every module of the package: `area/module`."""
    package = checkout / "daemon" / "excise"
    paths = (p for p in package.rglob("*.py") if p.name != "__init__.py")
    return {p.relative_to(package).with_suffix("").as_posix() for p in paths}


def mirror(checkout, module):
    """Return the test file that a module should have."""
    area, _, name = module.rpartition("/")
    return checkout / "tests" / "unit" / ELSEWHERE.get(area, area) / f"test_{name}.py"


def test_every_module_has_its_test_file_or_says_what_tests_it(checkout):
    alone = {m for m in modules(checkout) if not mirror(checkout, m).exists()}

    assert set() == alone - set(EXCEPTIONS)


def test_no_exception_is_made_for_a_module_that_is_gone(checkout):
    assert set() == set(EXCEPTIONS) - modules(checkout)


def test_no_file_of_the_package_is_too_long_to_read(checkout):
    files = (checkout / "daemon").rglob("*.py")
    lengths = {f.relative_to(checkout).as_posix(): len(f.read_text().splitlines()) for f in files}

    assert {} == {f: n for f, n in lengths.items() if n > MOST_LINES}


def test_catching_everything_happens_where_tasks_and_guests_are_kept(checkout):
    package = checkout / "daemon" / "excise"
    found = {p.name for p in package.rglob("*.py") if "except Exception" in p.read_text()}

    assert {"supervise.py", "guard.py"} == found


def test_contributing_names_every_package_and_directory(checkout):
    text = (checkout / "CONTRIBUTING.md").read_text()
    packages = [p.parent for p in (checkout / "daemon" / "excise").glob("*/__init__.py")]
    tests = [p for p in (checkout / "tests").iterdir() if p.is_dir() and p.name != "__pycache__"]
    tops = [checkout / name for name in ("rules", "gateways", "systemd", "demo", "docs", "etc")]
    named = [p.relative_to(checkout).as_posix() for p in [*packages, *tests, *tops]]

    assert [] == [name for name in named if f"`{name}`" not in text]
