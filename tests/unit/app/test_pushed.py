"""Pushed records as an input."""

import pytest

from excise.daemon.pushed import Pushed
from excise.daemon.readers import make_decoder
from excise.daemon.silence import Hearing

LINES = b'{"ts": 1750000000, "client": "203.0.113.7"}\n{\n'


@pytest.fixture
def pushed(core):
    def make(configured, name="record"):
        decoder = make_decoder(name, core.config, b"k" * 32)
        return Pushed(core, decoder, name, configured, Hearing("http"))

    return make


def test_what_was_pushed_shows_as_an_input(pushed, turning, core):
    one = pushed(configured=False)
    assert [] == one.views()

    async def story():
        return await one.take(LINES)

    assert 1 == turning(story).accepted
    (view,) = one.views()
    assert ("http", 2, 1, {"syntax": 1}) == (view.name, view.lines, view.records, view.rejects)
    assert core.time.clock.wall() == view.last_heard_ts
    assert core.time.clock.monotonic() == one.hearing.last_s


def test_an_input_of_its_own_shows_from_the_start_in_its_format(pushed, turning):
    one = pushed(configured=True, name="nginx")
    (view,) = one.views()
    assert ("waiting", "nginx", None) == (view.state, view.format, view.last_heard_ts)

    async def story():
        line = b'203.0.113.7 - - [05/Jan/2026:00:00:01 +0000] "GET / HTTP/1.1" 200 5 "-" "x"\n'
        return await one.take(line)

    assert 1 == turning(story).accepted
