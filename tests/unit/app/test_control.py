from contextlib import aclosing

import pytest

from excise.daemon import house
from excise.daemon.control import RECORD, Daemon
from excise.daemon.inputs import InputLoop
from excise.daemon.readers import make_decoder
from excise.errors import PrivilegeError, RefusedError
from excise.model.decision import Posture
from excise.model.step import SetPosture
from excise.sources.base import State
from excise.supervise import Progress


class SilentSource:
    """Has nothing to say."""

    name = "/var/log/silent"
    state, problem = State.WAITING, ""

    def poll(self):
        return None


@pytest.fixture
def write(tmp_path, rules):
    """Write the configuration with some further lines."""

    def to_file(*lines):
        path = tmp_path / "excise.yaml"
        text = (f"rules: [{rules}]", "enforcer: dry-run", *lines)
        path.write_text("\n".join(text) + "\n")
        return path

    return to_file


@pytest.fixture
def daemon(core, clock, executor, write):
    def decoder(name, config):
        return make_decoder(name, config, b"k" * 32)

    loop = InputLoop(SilentSource(), decoder("record", core.config), "record", core)
    return Daemon(
        core=core,
        loops=[loop],
        pushed=decoder(RECORD, core.config),
        decoder=decoder,
        progress=Progress(clock.monotonic, 60.0),
        kernel=executor,
        meter=house.make_meter(core, executor),
        started_ts=clock.wall(),
        config_path=write("posture: enforce"),
    )


def test_a_healthy_daemon_is_ready(daemon, turning):
    async def story():
        await daemon.core.reconciler.settled(daemon.core.reconciler.kick())
        return daemon.not_ready()

    assert turning(story) == []


def test_whatever_stands_in_the_way_is_a_reason(daemon, clock):
    daemon.loops[0].source.state, daemon.loops[0].source.problem = State.BLIND, "no such file"
    daemon.core.reconciler.problem = "observing only: no buffer space"
    daemon.core.ledger.problem = "disk full"
    daemon.progress.beat("reconcile")
    clock.advance(100.0)

    assert daemon.not_ready() == [
        "input /var/log/silent is blind: no such file",
        "enforcer dry-run: observing only: no buffer space",
        "store: disk full",
        "loop reconcile is stuck",
    ]


def test_pushed_records_are_counted_and_judged(daemon, turning):
    lines = b'{"ts": 1750000000, "client": "203.0.113.7"}\n{\n\n'

    async def story():
        return await daemon.push(lines)

    view = turning(story)

    assert view.accepted == 1
    assert sum(view.rejects.values()) == 1
    assert daemon.engine.clock == 1_750_000_000


def test_a_stricter_posture_needs_the_kernel(daemon, turning, monkeypatch):
    def refuse(protected, ports, guard):
        raise PrivilegeError("no CAP_NET_ADMIN")

    monkeypatch.setattr(daemon.core.reconciler.converger, "open", refuse)

    async def story():
        with pytest.raises(RefusedError, match="CAP_NET_ADMIN"):
            await daemon.submit(SetPosture(Posture.ENFORCE))
        await daemon.submit(SetPosture(Posture.OBSERVE))

    turning(story)

    assert daemon.engine.posture is Posture.OBSERVE


def test_a_sound_reload_is_in_force(daemon, turning, write):
    write("posture: throttle", "ports: [8443]", "trusted_proxies: [192.0.2.0/24]")
    decoder = daemon.loops[0].decoder

    view = turning(daemon.reload)

    assert (view.applied, view.rules, view.errors, view.restart) == (True, 2, (), ())
    assert daemon.engine.posture is Posture.THROTTLE
    assert daemon.core.wish().ports == (8443,)
    assert "192.0.2.0/24" in daemon.core.wish().protected
    assert daemon.loops[0].decoder is not decoder
    assert daemon.tally.reloads_applied == 1


def test_an_unsound_reload_keeps_what_was_and_says_why(daemon, turning, write, rules):
    write("posture: throttle")
    (rules / "odd.yaml").write_text("id: odd\n")

    view = turning(daemon.reload)

    assert not view.applied
    assert view.rules == 2
    assert "odd.yaml" in view.errors[0]
    assert daemon.engine.posture is Posture.ENFORCE
    assert daemon.tally.reloads_refused == 1


def test_rules_that_are_gone_are_no_longer_weighed(daemon, turning, rules):
    (rules / "shape" / "many.yaml").unlink()

    assert turning(daemon.reload).rules == 1
    assert [rule.id for rule in daemon.engine.rules()] == ["volume.many"]


def test_a_reload_does_not_take_back_an_operators_posture(daemon, turning):
    async def story():
        await daemon.submit(SetPosture(Posture.OBSERVE))
        await daemon.reload()

    turning(story)

    assert daemon.engine.posture is Posture.OBSERVE


def test_events_are_followed_across_store_and_stream(daemon, turning, requests):
    async def story():
        await daemon.core.feed("a", requests(3), "7")
        await daemon.core.ledger.flush()
        async with aclosing(daemon.events(after=0)) as events:
            return await anext(events)

    assert turning(story)[0] == 1
    assert daemon.last_serial >= 1
