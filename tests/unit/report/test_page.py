"""The page: complete in itself, nothing in it runs, and everything logged is text."""

import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from excise.report import page
from excise.simulate import Plan, compose

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>\u202e\x1b[31m'
VOID = {"meta", "br", "img"}


class Outline(HTMLParser):
    """Collects tags and attributes; notes what is opened and not closed in order."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.open, self.wrong = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def outline(text):
    parser = Outline()
    parser.feed(text)
    return parser


@pytest.fixture(scope="module")
def html(raided):
    return page(raided)


@pytest.fixture(scope="module")
def hostile(reported):
    """The page of a campaign whose accounts, and everything else that may, have hostile names."""
    import json

    lines = []
    for line, row in compose(Plan(seed=5, requests=3_000, add=("hydra",),
                                  options={"hydra": {"share": 1.0}})):  # fmt: skip
        record = json.loads(line)
        if row.hostile:
            record |= {"account": record["account"] + HOSTILE, "user_agent": HOSTILE}
        lines.append(json.dumps(record).encode())
    return page(reported(lines))


def test_the_page_is_well_formed(html):
    found = outline(html)
    assert ([], []) == (found.open, found.wrong)


def test_nothing_runs_and_nothing_is_fetched(html):
    found = outline(html)
    assert not {"script", "link", "img", "iframe", "object", "form", "base"} & set(found.tags)
    named = {name for name, _ in found.attributes}
    assert not {"src", "href", "action", "style"} & named
    assert not [name for name in named if name.startswith("on")]
    assert "default-src 'none'" in html
    assert "url(" not in html


def test_names_from_a_log_are_text(hostile):
    found = outline(hostile)
    assert "&lt;script&gt;alert(1)" in hostile
    assert not {"script", "img"} & set(found.tags)
    assert ([], []) == (found.open, found.wrong)
    assert not [c for c in hostile if not c.isprintable() and c not in "\n\N{NO-BREAK SPACE}"]


def test_it_tells_the_sums_of_the_summary(html, raided):
    summary = raided.summary
    share = 100 * summary.stopped.output_tokens / summary.traffic.output_tokens
    assert f"<b>{share:.3g}\N{NO-BREAK SPACE}%</b>" in html
    for line in summary.targets:
        assert line.target in html
    for rule in summary.rules:
        assert rule.rule in html
    for story in raided.stories:
        assert story.detail.summary.id in html


def test_an_empty_log_has_a_page(reported):
    html = page(reported([]))
    assert "There is nothing to draw" in html
    assert "Nobody had any evidence" in html
    assert "No group of accounts was found" in html


@pytest.mark.parametrize("which", ["html", "hostile"])
def test_a_browser_draws_it_without_a_word(which, request, tmp_path):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on this machine (Debian: apt install chromium)")
    path = tmp_path / "report.html"
    path.write_text(request.getfixturevalue(which))
    picture = tmp_path / "report.png"
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
         f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1200,2000",
         f"--screenshot={picture}", path.as_uri()],
        capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip

    assert [] == re.findall(r".*CONSOLE.*", done.stderr)
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert picture.stat().st_size > 40_000
