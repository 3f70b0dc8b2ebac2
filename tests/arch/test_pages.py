"""Pages lead to each other, and say what is so."""

import re

import msgspec
import pytest

from excise.config.inputs import SOURCE_KEYS
from excise.config.values import Backend
from excise.decide.book import STRIKE_MEMORY_S
from excise.decide.collateral import EXPLAINED, LEAST_HONEST
from excise.decide.judge import OWNER_SHARE
from excise.decide.prefixes import FILLED, LEAST_SITES
from excise.decide.score import COUNTS
from excise.decode.registry import AUTO, FORMATS
from excise.features.clock import WITNESSES
from excise.features.interner import HIGH_WATER, LOW_WATER
from excise.features.population import REFRESH_S
from excise.gateways import settings
from excise.gateways.keyed import LEAST_KEY_BYTES
from excise.gateways.verdicts import LEASE_S, MILD_MIN, STRICT_MIN
from excise.model.duration import format_duration
from excise.model.entity import Family
from excise.model.settings import DEFAULT_TIERS, Governor, Policy, Settings
from excise.rulecheck import load_rules

LINK = re.compile(r"(?<!!)\[[^]]*\]\(([^)\s]+)\)")
#: what belongs to the making of a text, not to the text
PRIVATE = (
    "issue #",
    "pull request",
    "subagent",
    "sub-agent",
    "as an ai",
    "todo",
    "fixme",
    "/work/",
    "coming soon",
)


def links(page):
    """Return the relative links of a page, without their anchors, as (path, anchor)."""
    targets = [t for t in LINK.findall(page.read_text()) if not re.match(r"[a-z]+:", t)]
    for target in targets:
        path, _, anchor = target.partition("#")
        yield (page.parent / path).resolve() if path else page, anchor


def anchors(page):
    """Return the anchors of a page's headings, as web forges make them."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_every_link_leads_somewhere(pages):
    broken = [(p.name, str(to)) for p in pages for to, _ in links(p) if not to.exists()]

    assert [] == broken


def test_every_anchor_is_a_heading(pages):
    pointed = [(p.name, to, anchor) for p in pages for to, anchor in links(p) if anchor]

    assert [] == [(p, to.name, a) for p, to, a in pointed if a not in anchors(to)]


def test_every_page_can_be_reached_from_the_first(checkout, pages):
    seen, ahead = set(), [checkout / "README.md"]
    while ahead:
        page = ahead.pop()
        if page not in seen and page.suffix == ".md":
            seen.add(page)
            ahead += [to for to, _ in links(page)]

    assert set() == set(pages) - seen


@pytest.mark.parametrize("word", PRIVATE)
def test_no_page_speaks_of_its_own_making(pages, word):
    assert [] == [p.name for p in pages if word in p.read_text().lower()]


def test_decision_records_have_their_parts(checkout):
    records = sorted((checkout / "docs" / "decisions").glob("0*.md"))
    parts = ("**Context.**", "**Choice.**", "**Cost.**", "**What would change our mind.**")

    assert records
    assert [] == [(r.name, p) for r in records for p in parts if p not in r.read_text()]


def test_decision_records_are_numbered_without_a_gap(checkout):
    records = sorted((checkout / "docs" / "decisions").glob("0*.md"))

    assert [f"{n:04}" for n in range(1, len(records) + 1)] == [r.name[:4] for r in records]


def test_every_shipped_rule_tells_a_person_what_to_know(checkout):
    book, errors = load_rules([checkout / "rules"])

    assert [] == [str(error) for error in errors]
    told = {r.id: all((r.about, r.hits_also, r.runbook, r.blind_spots)) for r in book.rules}
    assert set() == {rule for rule, complete in told.items() if not complete}


def test_the_changelog_says_which_families_have_no_rules(checkout):
    text = (checkout / "CHANGELOG.md").read_text()
    without = [f.value for f in Family if not any((checkout / "rules" / f.value).glob("*.yaml"))]
    gap = f"No rules are shipped yet in the families {' and '.join(without)}."

    assert not without or gap in text


# Gateways


def test_every_gateway_has_its_page_and_every_page_names_its_files(checkout):
    told = {d.name: (checkout / "docs" / f"gateways-{d.name}.md").read_text()
            for d in (checkout / "gateways").iterdir()}  # fmt: skip
    files = [f for f in (checkout / "gateways").glob("*/*") if f.is_file()]
    unnamed = [f.name for f in files if f.name not in told[f.parent.name]]

    assert [] == unnamed


def test_every_variable_of_the_tap_is_explained_and_no_other(checkout):
    text = (checkout / "docs" / "gateways-vllm.md").read_text()
    rows = re.findall(r"^\| `(EXCISE_\w+)` \|", text, re.MULTILINE)

    assert [settings.RECORDS, settings.KEY_FILE, settings.TRUSTED, settings.MAX_BODY] == rows
    assert f"{settings.DEFAULT_BODY_BYTES // 2**20} MiB if not set" in text
    assert f"at least {LEAST_KEY_BYTES} bytes" in text


def test_a_denial_lasts_as_long_as_the_page_says(checkout):
    text = (checkout / "docs" / "gateways-verdicts.md").read_text()

    assert f"good for { {30.0: 'half a minute'}[LEASE_S] } at most" in text
    assert f"back within {LEASE_S / 2:g} seconds" in text


def test_a_throttle_is_as_slow_as_the_page_says(checkout):
    text = (checkout / "docs" / "gateways-verdicts.md").read_text()
    nginx = "".join(f.read_text() for f in (checkout / "gateways" / "nginx").glob("*.conf"))
    haproxy = (checkout / "gateways" / "haproxy" / "haproxy.cfg").read_text()
    words = {3: "three", 10: "ten"}

    assert f"| one minute out of {words[MILD_MIN]} | six requests; nginx adds one" in text
    assert f"| one minute out of {words[STRICT_MIN]} | the same |" in text
    assert f"`excise verdicts --mild {MILD_MIN} --strict {STRICT_MIN}`" in text
    assert "rate=2r/m;" in nginx
    assert "burst=5 nodelay;" in nginx
    assert "sc2_gpc0_rate ge 6" in haproxy
    assert "store gpc0_rate(1m)" in haproxy


def test_no_rule_looks_at_errors_as_the_page_of_verdicts_says(checkout):
    text = (checkout / "docs" / "gateways-verdicts.md").read_text()
    book, _ = load_rules([checkout / "rules"])
    told = {c.feature for r in book.rules for c in r.when}

    assert "No shipped rule looks at errors." in text
    assert set() == {feature for feature in told if feature.startswith("errors")}


# The first page


def test_the_first_page_names_what_this_version_reads_and_what_not(checkout):
    text = (checkout / "README.md").read_text()
    rows = {
        k: cells
        for k, *cells in re.findall(r"^\| (\w[\w ]*) \| (.*) \| (.*) \|$", text, re.MULTILINE)
    }

    assert {AUTO, *FORMATS} | {"record"} == set(re.findall(r"`([^`]+)`", "".join(rows["formats"])))
    assert set(SOURCE_KEYS) == set(re.findall(r"`([^`]+)`", rows["inputs"][0]))
    assert {b.value for b in Backend} == set(re.findall(r"`([^`]+)`", "".join(rows["backends"])))
    assert ["others"] == [rows["backends"][1]]


# Scoring


def scoring(checkout):
    return (checkout / "docs" / "scoring.md").read_text()


def test_every_default_in_the_scoring_page_is_the_one_in_force(checkout):
    expected = {}
    for field in [*msgspec.structs.fields(Policy), *msgspec.structs.fields(Governor)]:
        is_time = field.name.endswith("_s")
        value = format_duration(field.default) if is_time else f"{field.default:g}"
        expected[field.name.removesuffix("_s")] = value
    told = re.findall(r"`(\w+)` \(([\w.]+)\)", scoring(checkout))

    assert set(expected.items()) == set(told)


@pytest.mark.parametrize(
    "sentence",
    [
        f"independent evidence from {COUNTS:g} points on",
        f"within {STRIKE_MEMORY_S / 86_400:g} days is a strike",
        f"together carry {EXPLAINED:.0%}".replace("%", " %"),
        f"at least {LEAST_HONEST} of them",
        f"at least {OWNER_SHARE:.0%}".replace("%", " %") + " of its requests",
        f"{FILLED:.0%}".replace("%", " %") + f" of these sites guilty, at least {LEAST_SITES}.",
    ],
)
def test_every_fixed_number_in_the_scoring_page_is_the_one_in_force(checkout, sentence):
    assert sentence in scoring(checkout)


def test_the_tiers_begin_where_the_scoring_page_says(checkout):
    policy = Policy()
    step = (policy.drop - policy.throttle) / len(DEFAULT_TIERS)
    begins = " and ".join(f"{policy.throttle + n * step:g}" for n in range(len(DEFAULT_TIERS)))

    assert f"{begins} with the two default tiers" in scoring(checkout)


def test_one_family_alone_cannot_throttle_by_default():
    assert Policy().family_cap < Policy().throttle


# Architecture


@pytest.mark.parametrize(
    "sentence",
    [
        f"up to {Settings().late_tolerance_s / 60:g} minutes late",
        f"{ {3600.0: 'an hour'}[Settings().jump_tolerance_s] } ahead",
        f"when { {4: 'four'}[WITNESSES] } lines in a row agree",
        f"event time, every {REFRESH_S / 60:g} minutes",
        f"At {HIGH_WATER:.0%} it forgets down to {LOW_WATER:.0%}".replace("%", " %"),
    ],
)
def test_every_number_in_the_architecture_page_is_the_one_in_force(checkout, sentence):
    assert sentence in (checkout / "docs" / "architecture.md").read_text()


# Alarms


def test_every_alarm_is_explained_and_no_other(checkout):
    package = checkout / "daemon" / "excise"
    code = "\n".join(p.read_text() for p in package.rglob("*.py"))
    raised = set(re.findall(r'[aA]larm\((?:[\w.()]+, )?"([a-z]+-[a-z-]+)"', code))
    table = (checkout / "docs" / "operations.md").read_text()
    section = table[table.index("## Alarms") :].split("\n## ")[0]

    assert raised == set(re.findall(r"^\| `([a-z-]+)`", section, re.MULTILINE))
