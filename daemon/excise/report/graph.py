"""A campaign as a picture: accounts on inner rings, addresses on outer ones, prompts between. Pure.

What is used together comes to lie in one direction: accounts are ordered by walking over shared
addresses, addresses by the mean direction of their accounts. Beyond some hundreds of either,
neighbours share a dot.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from excise.report.collect import Edge, Net
from excise.report.text import grouped, safe

SIZE = 460.0
MIDDLE = SIZE / 2
#: radii of the rings of accounts and of addresses, innermost and outermost
ACCOUNTS_R, EXITS_R = (62.0, 122.0), (168.0, 216.0)
#: dots on a ring before another is begun, and most dots in all
PER_RING, MOST_DOTS = 64, 320
MOST_EDGES = 700
#: what is drawn where neighbours share a dot: the state that matters most
RANK = ("drop", "deny", "throttle", "shared", "observe", "none")


@dataclass(frozen=True, slots=True)
class Dot:
    """A point of the picture; `names` stand behind it."""

    x: float
    y: float
    state: str
    names: tuple[str, ...]


def picture(net: Net, prompts: int) -> str:
    """Return the graph of a campaign as SVG, with a sentence below on what a dot stands for."""
    if not net.accounts:
        return '<p class="none">Its accounts were forgotten before the log ended.</p>'
    order = walk([name for name, _ in net.accounts], net.edges)
    angle = {name: 2 * math.pi * n / len(order) for n, name in enumerate(order)}
    accounts = _dots(order, dict(net.accounts), ACCOUNTS_R)
    exits = _dots(around(net.edges, angle), dict(net.exits), EXITS_R)
    parts = [*_lines(net.edges, accounts, exits)]
    if prompts:
        parts += _spokes(accounts)
    parts += [_circle(dot, "address", _radius(exits)) for dot in exits]
    parts += [_circle(dot, "account", _radius(accounts)) for dot in accounts]
    if prompts:
        label = f"{prompts} prompt" + ("s" if prompts > 1 else "")
        parts.append(
            f'<rect class="prompt" x="{MIDDLE - 8}" y="{MIDDLE - 8}" width="16" height="16" rx="3">'
            f"<title>{label} in common</title></rect>"
            f'<text class="axis middle" x="{MIDDLE}" y="{MIDDLE + 24}">{label}</text>'
        )
    return (
        f'<svg class="graph" viewBox="0 0 {SIZE:.0f} {SIZE:.0f}" role="img"'
        f' aria-label="accounts and addresses of a campaign">{"".join(parts)}</svg>'
        f'<p class="small">{_caption(net, accounts, exits)}</p>'
    )


def walk(names: Sequence[str], edges: Iterable[Edge]) -> list[str]:
    """Return accounts so that those that share addresses follow each other (breadth first)."""
    by_account: dict[str, list[str]] = {name: [] for name in names}
    by_client: dict[str, list[str]] = {}
    for edge in edges:
        if edge.account in by_account:
            by_account[edge.account].append(edge.client)
            by_client.setdefault(edge.client, []).append(edge.account)
    order: dict[str, None] = {}
    for start in names:
        ahead = [start] if start not in order else []
        while ahead:
            name = ahead.pop(0)
            if name in order:
                continue
            order[name] = None
            for client in by_account[name]:
                ahead += [n for n in by_client.pop(client, ()) if n not in order]
    return list(order)


def around(edges: Iterable[Edge], angle: dict[str, float]) -> list[str]:
    """Return addresses by the mean direction of the accounts that use them."""
    sums: dict[str, complex] = {}
    for edge in edges:
        if edge.account in angle:
            turned = angle[edge.account]
            sums[edge.client] = sums.get(edge.client, 0j) + complex(
                math.cos(turned), math.sin(turned)
            )
    where = {c: math.atan2(s.imag, s.real) % (2 * math.pi) for c, s in sums.items()}
    return sorted(where, key=lambda c: (where[c], c))


def _dots(order: Sequence[str], states: dict[str, str], radii: tuple[float, float]) -> list[Dot]:
    each = max(1, math.ceil(len(order) / MOST_DOTS))
    groups = [tuple(order[at : at + each]) for at in range(0, len(order), each)]
    rings = max(1, math.ceil(len(groups) / PER_RING))
    inner, outer = radii
    dots = []
    for n, names in enumerate(groups):
        share = (n % rings + 0.5) / rings
        radius = inner + (outer - inner) * share
        turned = 2 * math.pi * (n + 0.5) / len(groups) - math.pi / 2
        state = min((states.get(name, "none") for name in names), key=_rank)
        x, y = MIDDLE + radius * math.cos(turned), MIDDLE + radius * math.sin(turned)
        dots.append(Dot(x, y, state, names))
    return dots


def _rank(state: str) -> int:
    return RANK.index(state) if state in RANK else len(RANK)


def _lines(edges: Iterable[Edge], accounts: list[Dot], exits: list[Dot]) -> list[str]:
    place = {name: dot for dot in accounts for name in dot.names}
    other = {name: dot for dot in exits for name in dot.names}
    pairs: dict[tuple[float, float, float, float], None] = {}
    for edge in edges:
        a, b = place.get(edge.account), other.get(edge.client)
        if a is not None and b is not None:
            pairs[a.x, a.y, b.x, b.y] = None
        if len(pairs) >= MOST_EDGES:
            break
    drawn = " ".join(f"M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" for x1, y1, x2, y2 in pairs)
    faint = "many" if len(pairs) > 150 else "few"
    return [f'<path class="edge {faint}" d="{drawn}"/>'] if pairs else []


def _spokes(accounts: list[Dot]) -> list[str]:
    drawn = " ".join(f"M{MIDDLE} {MIDDLE}L{d.x:.1f} {d.y:.1f}" for d in accounts)
    return [f'<path class="spoke" d="{drawn}"/>']


def _radius(dots: Sequence[Dot]) -> float:
    return 5.4 if len(dots) <= 40 else 4.4 if len(dots) <= 130 else 3.2


def _circle(dot: Dot, kind: str, radius: float) -> str:
    names = ", ".join(dot.names[:5]) + (" …" if len(dot.names) > 5 else "")
    state = {"none": "not acted on", "shared": "spared: others live behind it"}
    told = f"{kind} {names}: {state.get(dot.state, dot.state)}"
    known = dot.state if dot.state in RANK else "none"
    return (
        f'<circle class="{kind} {known}" cx="{dot.x:.1f}" cy="{dot.y:.1f}" r="{radius}">'
        f"<title>{safe(told)}</title></circle>"
    )


def _caption(net: Net, accounts: list[Dot], exits: list[Dot]) -> str:
    inside, outside = grouped(len(net.accounts)), grouped(len(net.exits))
    told = [f"{inside} accounts inside, {outside} addresses outside."]
    for name, dots in (("accounts", accounts), ("addresses", exits)):
        each = max((len(dot.names) for dot in dots), default=1)
        if each > 1:
            told.append(f"A dot stands for up to {each} {name}.")
    if len(net.edges) > MOST_EDGES:
        told.append(f"At most {MOST_EDGES} lines, the busiest.")
    return " ".join(told)
