"""Charts as SVG text: the timeline of verdicts, the distribution of scores. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from excise.report.collect import SCORE_STEP, Bar
from excise.report.text import grouped, moment, safe, short

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 1_000.0, 62.0, 8.0, 14.0, 30.0
#: height of the timeline
BARS = 250.0
#: parts of a bar from the bottom up, with their class in the style sheet
PARTS = ("served", "throttled", "stopped")


def timeline(bars: Sequence[Bar], bar_s: float, unit: str) -> str:
    """Return stacked bars over time."""
    most = max((b.served + b.throttled + b.stopped for b in bars), default=0)
    if not most:
        return _empty("There is nothing to draw: no request was read.")
    top = nice(most)
    step = (WIDTH - LEFT - RIGHT) / len(bars)
    scale = (BARS - TOP - BOTTOM) / top
    parts = [*_grid(top, BARS), *_times(bars, bar_s, step)]
    parts += [_stack(bar, LEFT + n * step, step, scale, unit) for n, bar in enumerate(bars)]
    return _svg(BARS, f"{unit} over time, by verdict", parts)


def _stack(bar: Bar, x: float, step: float, scale: float, unit: str) -> str:
    base = BARS - BOTTOM
    told = [f"from {moment(bar.ts)}"]
    rects = []
    for name in PARTS:
        value = getattr(bar, name)
        told.append(f"{name}: {grouped(value)} {unit}")
        if value:
            tall = value * scale
            base -= tall
            wide = max(step - (1.0 if step > 3 else 0.2), 0.5)
            rects.append(
                f'<rect class="{name}" x="{x:.1f}" y="{base:.1f}" width="{wide:.1f}"'
                f' height="{max(tall, 0.6):.1f}"/>'
            )
    # the whole column answers to the pointer, also where the bar is low
    rects.append(
        f'<rect class="reach" x="{x:.1f}" y="{TOP}" width="{step:.1f}"'
        f' height="{BARS - TOP - BOTTOM:.1f}"/>'
    )
    return f'<g class="bar"><title>{safe(chr(10).join(told))}</title>{"".join(rects)}</g>'


def _times(bars: Sequence[Bar], bar_s: float, step: float) -> Iterator[str]:
    span_s = bar_s * len(bars)
    form = "%H:%M" if span_s <= 36 * 3_600 else "%d %b %H:%M" if span_s <= 4 * 86_400 else "%d %b"
    wanted = span_s / 8
    every = next((e for e in _ROUND_S if e >= wanted), math.ceil(wanted / 86_400) * 86_400)
    at = math.ceil(bars[0].ts / every) * every
    while at < bars[0].ts + span_s:
        x = LEFT + (at - bars[0].ts) / bar_s * step
        if x < WIDTH - 24:
            base = BARS - BOTTOM
            yield _line("tick", x, x, base, base + 5)
            yield f'<text class="axis middle" x="{x:.1f}" y="{BARS - 10}">{moment(at, form)}</text>'
        at += every


_ROUND_S = (60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800)


def scores(bins: Sequence[tuple[float, int, int]], rungs: Sequence[tuple[str, float]]) -> str:
    """Return how many networks and accounts reached which score, on a scale of roots."""
    height = 220.0
    most = max((n + a for _, n, a in bins), default=0)
    if not most:
        return _empty("Nobody had any evidence.")
    last = max(bins[-1][0] + SCORE_STEP, rungs[-1][1] + 4 * SCORE_STEP)
    scale_x = (WIDTH - LEFT - RIGHT) / last
    parts = list(_grid(nice(most), height, root=True))
    for begin, networks, accounts in bins:
        base = height - BOTTOM
        reach = f"score {begin:g} to {begin + SCORE_STEP:g}"
        told = f"{reach}: {grouped(networks)} networks, {grouped(accounts)} accounts"
        rects, below = [], 0
        for name, count in (("network", networks), ("account", accounts)):
            if count:
                low = _root(below, nice(most), height)
                below += count
                tall = max(_root(below, nice(most), height) - low, 1.0)
                rects.append(
                    f'<rect class="{name}" x="{LEFT + begin * scale_x + 1:.1f}"'
                    f' y="{base - low - tall:.1f}" width="{SCORE_STEP * scale_x - 2:.1f}"'
                    f' height="{tall:.1f}"/>'
                )
        parts.append(f"<g><title>{safe(told)}</title>{''.join(rects)}</g>")
    for name, at in rungs:
        x = LEFT + at * scale_x
        parts.append(
            f"{_line('rung', x, x, TOP, height - BOTTOM)}"
            f'<text class="axis" x="{x + 4:.1f}" y="{TOP + 9}">{safe(name)} {at:g}</text>'
        )
    ticks = range(0, int(last) + 1, 20)
    parts += [
        f'<text class="axis middle" x="{LEFT + t * scale_x:.1f}" y="{height - 10}">{t}</text>'
        for t in ticks
    ]
    return _svg(height, "how many networks and accounts reached which score", parts)


def _root(value: float, top: float, height: float) -> float:
    return float(math.sqrt(value / top) * (height - TOP - BOTTOM))


def _grid(top: float, height: float, *, root: bool = False) -> Iterator[str]:
    shares = (0.0, 0.0625, 0.25, 0.5625, 1.0) if root else (0.0, 0.25, 0.5, 0.75, 1.0)
    for value in sorted({round(share * top) for share in shares}):
        y = height - BOTTOM - (height - TOP - BOTTOM) * value / top
        if root:
            y = height - BOTTOM - _root(value, top, height)
        yield _line("grid", LEFT, WIDTH - RIGHT, y, y)
        yield f'<text class="axis end" x="{LEFT - 8}" y="{y + 4:.1f}">{short(value)}</text>'


def _line(kind: str, x1: float, x2: float, y1: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" x2="{x2:.1f}" y1="{y1:.1f}" y2="{y2:.1f}"/>'


def nice(value: float) -> float:
    """Return the next round number: its quarters are round too."""
    power = 10.0 ** math.floor(math.log10(max(value, 1.0)))
    return next(
        power * step
        for step in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 4.8, 6, 8, 10)
        if power * step >= value
    )


def _svg(height: float, label: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH:.0f} {height:.0f}" role="img" aria-label="{safe(label)}">'
        f"{''.join(parts)}</svg>"
    )


def _empty(text: str) -> str:
    return f'<p class="none">{safe(text)}</p>'
