"""The table of features: every name a rule may use, its unit, and for which kinds it exists.

Sums decay exponentially: `_1m`, `_1h`, `_24h` name the half-life, so a steady rate r per second
settles at r * half-life / ln 2. Distinct counts are over the last 12 to 24 hours (linear
counting, Whang et al., TODS 1990; they saturate near 1,400).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from excise.model.entity import TABLED, Kind

HALF_LIVES_S = {"1m": 60.0, "1h": 3600.0, "24h": 86_400.0}
#: of the ledger of output tokens, beside the others
LEDGER_S = 30 * 86_400.0
QUANTITIES = {
    "requests": "requests",
    "input_tokens": "tokens",
    "output_tokens": "tokens",
    "bytes_out": "bytes",
    "errors": "responses with status 4xx or 5xx",
}
ALL = frozenset(TABLED)
PRINCIPALS = frozenset({Kind.CLIENT, Kind.SUBNET, Kind.ACCOUNT, Kind.USE, Kind.TEMPLATE})
CLIENTS = frozenset({Kind.CLIENT})
#: which distinct counts each kind keeps
DISTINCT: dict[Kind, tuple[str, ...]] = {
    Kind.CLIENT: ("accounts", "templates", "active_hours"),
    Kind.SUBNET: ("clients", "accounts", "active_hours"),
    Kind.ACCOUNT: ("clients", "subnets", "templates", "active_hours"),
    Kind.USE: ("clients", "subnets", "templates", "active_hours", "prompts"),
    Kind.STACK: ("clients", "accounts"),
    Kind.TEMPLATE: ("clients", "accounts", "subnets"),
}


@dataclass(frozen=True, slots=True)
class Feature:
    """A number about an entity at a moment: where it exists, its unit, and what it says."""

    name: str
    kinds: frozenset[Kind]
    unit: str
    about: str


def _sums() -> list[Feature]:
    return [
        Feature(f"{q}_{h}", ALL, unit, f"{unit}, decayed with a half-life of {h}")
        for q, unit in QUANTITIES.items()
        for h in HALF_LIVES_S
    ]


def _distinct() -> list[Feature]:
    names = sorted({name for names in DISTINCT.values() for name in names})
    return [
        Feature(
            name,
            frozenset(k for k, kept in DISTINCT.items() if name in kept),
            "hours of the day" if name == "active_hours" else name,
            f"distinct {name.replace('_', ' ')} within 12 to 24 h",
        )
        for name in names
    ]


def _shapes() -> list[Feature]:
    return [
        Feature("total", ALL, "requests", "requests since first seen"),
        Feature("output_tokens_30d", ALL, "tokens", "tokens, decayed with a half-life of 30d"),
        Feature("age_s", ALL, "s", "seconds since first seen"),
        Feature("idle_s", ALL, "s", "seconds since the request before this one"),
        Feature("plaintext_1h", PRINCIPALS, "requests", "requests with tls: none, half-life 1 h"),
        Feature(
            "swept_24h",
            PRINCIPALS,
            "requests",
            "requests for log-probabilities of at most 2 tokens under a logit bias",
        ),
        Feature("llm_requests_24h", PRINCIPALS, "requests", "requests with known output tokens"),
        Feature("mean_input", PRINCIPALS, "tokens", "typical (log mean) input tokens, 24 h"),
        Feature("mean_output", PRINCIPALS, "tokens", "typical (log mean) output tokens, 24 h"),
        Feature("spread_output", PRINCIPALS, "octaves", "standard deviation of log2 output tokens"),
        Feature(
            "input_variety", PRINCIPALS, "ratio", "mean over typical input tokens; 1: all equal"
        ),
        Feature("output_ratio", PRINCIPALS, "ratio", "output tokens per input token, 24 h"),
        Feature("gap_spread", PRINCIPALS, "octaves", "standard deviation of log2 gaps; 0: a clock"),
        Feature("gaps_1h", PRINCIPALS, "gaps", "gaps the spread rests on, half-life 1 h"),
        Feature("handshakes", CLIENTS, "handshakes", "TLS handshakes timed within 12 to 24 h"),
        Feature("tcp_rtt_ms", CLIENTS, "ms", "least round trip beside them; 0 for under five"),
        Feature("tls_handshake_ms", CLIENTS, "ms", "least of them; 0 for under five"),
        Feature("handshake_beyond_ms", CLIENTS, "ms", "least handshake less the least round trip"),
        Feature("handshake_ratio", CLIENTS, "ratio", "least handshake over the least round trip"),
        Feature("output_per_client", PRINCIPALS - {Kind.CLIENT}, "tokens", "24 h tokens a client"),
        Feature(
            "output_per_account",
            frozenset({Kind.CLIENT, Kind.SUBNET, Kind.TEMPLATE}),
            "tokens",
            "24 h output tokens per distinct account",
        ),
        Feature("requests_per_client", PRINCIPALS - {Kind.CLIENT}, "requests", "24 h, a client"),
    ]


def _campaigns() -> list[Feature]:
    """Features of a campaign as a whole; names that accounts have too mean the same there."""
    only = frozenset({Kind.CAMPAIGN})
    return [
        Feature("members", only, "principals", "organisations, or accounts without one"),
        Feature("output_share", only, "share", "of all accounts' output tokens, 24 h"),
        Feature("repeats", only, "requests", "of accounts seen before; at most 20 an account"),
        Feature("moves", only, "share", "of repeats, from another address than before"),
        Feature("roams", only, "share", "of repeats, from an unrelated network (v4 /16, v6 /32)"),
        Feature("lone_returns", only, "share", "of repeats, after a pause of over 20 min"),
        Feature("returns", only, "requests", "repeats after such a pause; at most 20 an account"),
        Feature("strays", only, "share", "of returns, from an unrelated network"),
        Feature("begins", only, "share", "of prompts, that begin a conversation"),
        Feature("taken_over", only, "share", "of prompts, that go on with another's conversation"),
        Feature("soft_labels", only, "share", "of answers, with log-probabilities of alternatives"),
        Feature("template_share", only, "share", "of prompts, under the templates that link it"),
        Feature("own_share", only, "share", "of prompts, under templates that nobody else uses"),
        Feature("shared_exits", only, "share", "of requests, by addresses of several members"),
        Feature("exits", only, "addresses", "of a typical member within a day"),
        Feature("networks", only, "networks", "v4 /16, v6 /32 of a typical member, 24 h"),
        Feature("home_share", only, "share", "of its requests, by its main one"),
        Feature("sites", only, "sites", "distinct v4 /24 and v6 /48"),
        Feature("asns", only, "systems", "distinct autonomous systems; 0 without asn_table"),
        Feature("newcomers", only, "share", "of accounts, first seen within a week; see campaigns"),
        Feature("output_per_request", only, "tokens", "mean output tokens of a request, 24 h"),
        Feature("output_per_request_1h", only, "tokens", "mean output tokens of a request, 1 h"),
        Feature("output_ratio_1h", only, "ratio", "output tokens per input token, 1 h"),
        Feature("turnover", only, "ratio", "members, over how many are in use at a time"),
        Feature("turnover_spread", only, "ratio", "variance over mean of how many are in use"),
        Feature(
            "unevenness",
            only,
            "ratio",
            "spread of members' loads beyond chance; 0: dealt out at random",
        ),
        Feature("unlikeness", only, "ratio", "variance of log tokens between / within members"),
        Feature("flatness", only, "ratio", "entropy over the hours of the day, 48 h; 1: all alike"),
        Feature("longest_gap", only, "hours", "longest run of idle hours of the last 24"),
        Feature("pivot", only, "share", "of output under models new here, less that of others"),
        Feature("divergence", only, "bits", "of token shapes from those of accounts in no group"),
        Feature("shape_answers", only, "answers", "that divergence rests on; most 100 an account"),
        Feature("questions", only, "requests", "requests with a simhash, 24 h"),
        Feature("unasked", only, "share", "of questions, that nobody asked within a day before"),
        Feature(
            "substitution", only, "-log10 p", "of a trial within a day; 0 without; see campaigns"
        ),
    ]


#: features of other kinds that campaigns have too
COMMON = (
    "requests_1h",
    "output_tokens_1h",
    "requests_24h",
    "output_tokens_24h",
    "output_ratio",
    "mean_output",
    "mean_input",
    "clients",
    "templates",
)


def _everything() -> list[Feature]:
    found = [*_sums(), *_distinct(), *_shapes()]
    wide = [replace(f, kinds=f.kinds | {Kind.CAMPAIGN}) if f.name in COMMON else f for f in found]
    return [*wide, *_campaigns()]


FEATURES: dict[str, Feature] = {f.name: f for f in _everything()}
