"""A daemon made of values: everything the API may ask for, without kernel, files or clock."""

import asyncio
import contextlib
import http.client
import json
import socket
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from excise.api.events import Pace
from excise.api.server import serve
from excise.api.tally import Tally
from excise.errors import NotFoundError, RefusedError
from excise.model.decision import Action, Decision, DecisionEvent, Op, Origin, Plane
from excise.model.entity import Entity, Kind
from excise.model.step import (
    Alarm,
    Allow,
    Disallow,
    Finding,
    Lift,
    Place,
    SetPosture,
)
from excise.model.view import (
    AllowView,
    AuditView,
    CampaignDetail,
    CampaignSummary,
    CountView,
    DroppedView,
    EnforcerView,
    EngineStatus,
    EvidenceView,
    ExitView,
    Explanation,
    InputView,
    LedgerView,
    MemberView,
    PushView,
    ReloadView,
    RuleView,
    ScoredView,
    SignalView,
    TableView,
)

PACE = Pace(heartbeat_s=0.05, look_s=0.02, slow_s=0.3, idle_s=0.2)


def make_decision(**changes):
    values = {
        "id": "d1",
        "plane": Plane.NETWORK,
        "target": "203.0.113.7/32",
        "action": Action.THROTTLE,
        "tier": "crawl",
        "since": 1000.0,
        "until": 1900.0,
        "score": 61.25,
        "rules": ("volume.flood",),
        "reason": "It asks for far more than others do.",
        "wanted": 3,
    }
    return Decision(**(values | changes))


def make_scored(kind, name, score):
    return ScoredView(
        kind=kind,
        name=name,
        score=score,
        families=("volume",),
        rules=("volume.flood",),
        first_seen=100.0,
        last_seen=990.0,
        requests_24h=5000.0,
        output_tokens_24h=2_500_000.0,
    )


CAMPAIGN = CampaignDetail(
    explanation=Explanation(
        kind="campaign",
        name="c-1",
        score=104.0,
        features={"members": 60.0},
        evidence=(),
        inherited=0.0,
        honest_share=0.02,
        decisions=("d2",),
        sentences=("campaign c-1: 60 accounts over 40 addresses.",),
    ),
    summary=CampaignSummary(
        id="c-1",
        score=104.0,
        families=("graph", "shape", "template"),
        rules=("graph.moving-fleet",),
        enforced_ts=900.0,
        first_seen=100.0,
        last_seen=990.0,
        members=60,
        ledger=LedgerView(1_000.0, 2_500_000.0, 3_000_000.0),
    ),
    templates=("00000000000000aa",),
    accounts=(MemberView("acct-9", 1.0, 100.0, 990.0, 40_000.0, "deny"),),
    exits=(ExitView("203.0.113.7/32", 12.0, 0.0, "throttle"),),
    counts={"accounts": 60, "exits": 40},
    honest_share=0.02,
    saved_output_tokens=5_000.0,
)


class FakeEngine:
    def __init__(self, *, empty=False):
        self.posture = "throttle"
        self.tripped = ""
        self.doubt = ""
        self.allow = [AllowView("192.0.2.1/32", "own address", None)]
        self.active = [] if empty else [
            make_decision(),
            make_decision(
                id="d2", plane=Plane.ACCOUNT, target="acct-9", action=Action.DENY, tier=None,
                origin=Origin.OPERATOR, campaign="c1", reason="Asked for by its owner.",
            ),
        ]  # fmt: skip

    def decisions(self):
        return list(self.active)

    def status(self):
        return EngineStatus(
            clock=1000.5,
            posture=self.posture,
            effective_posture="observe" if self.tripped else self.posture,
            tripped=self.tripped,
            records=12345,
            late=2,
            clock_jumps=0,
            entities_with_evidence=3,
            active_decisions=len(self.active),
            enforcing_decisions=len(self.active),
            campaigns=1,
            enforced_campaigns=1,
            members=60,
            signals=(SignalView("prompt", 0.01, "templates", blind=True),),
            tables=(TableView("client", 10, 262144, 0), TableView("account", 4, 131072, 7)),
            peers_doubted=self.doubt,
        )

    def scored(self, kind=None, limit=100):
        rows = [
            make_scored("client", "203.0.113.7/32", 61.25),
            make_scored("client", "198.51.100.9/32", 22.0),
            make_scored("subnet", "203.0.113.0/24", 30.5),
            make_scored("account", "acct-9", 88.0),
        ]
        return [row for row in rows if kind in {None, row.kind}][:limit]

    def explain(self, name):
        kinds = {
            "203.0.113.7": "client",
            "203.0.113.7/32": "client",
            "203.0.113.0/24": "subnet",
            "2001:db8:1::/64": "client",
            "acct-9": "account",
            "ja4-stack": "stack",
        }
        if name not in kinds:
            raise NotFoundError(f"nothing is known of {name}")
        full = "203.0.113.7/32" if name == "203.0.113.7" else name
        return Explanation(
            kind=kinds[name],
            name=full,
            score=61.254,
            features={"requests_1h": 4120.0, "output_tokens_24h": 2_500_000.0},
            evidence=(
                EvidenceView(
                    rule="volume.flood",
                    family="volume",
                    points=41.249,
                    fired_ts=995.0,
                    about="Far more requests than others.",
                    numbers=(("requests_1h", 4120.0, 1800.5),),
                ),
            ),
            inherited=20.0,
            honest_share=0.05,
            decisions=tuple(d.id for d in self.active if d.target == full),
            sentences=("It sent 4,120 requests within the hour.", "Nobody else does."),
        )

    def campaigns(self):
        return [CAMPAIGN.summary]

    def campaign(self, name):
        if name != CAMPAIGN.summary.id:
            raise NotFoundError(f"no campaign {name!r}")
        return CAMPAIGN

    def allowed(self):
        return list(self.allow)

    def rules(self):
        return [
            RuleView("volume.flood", "volume", "client", "stable", 40.0, "Far more.", 17),
            RuleView("api.logprobs", "api", "account", "experimental", 10.0, "Asks for top-k.", 0),
        ]


class Lines:
    """What a server had to say: (level, event, values)."""

    def __init__(self):
        self.told = []

    def debug(self, event, **values):
        self.told.append(("debug", event, values))

    def error(self, event, **values):
        self.told.append(("error", event, values))


class FakeControl:
    def __init__(self, *, empty=False):
        self.log = Lines()
        self.engine = FakeEngine(empty=empty)
        self.started_ts = 900.0
        self.tally = Tally()
        self.kept = [] if empty else [(serial, e) for serial, e in enumerate(some_effects(), 1)]
        self.submitted = []
        self.pushed = b""
        self.reasons = []
        self.reload_view = ReloadView(applied=True, rules=2, restart=("ports",))
        self.fault = None
        self.live = asyncio.Queue()
        self.readers = 0

    @property
    def last_serial(self):
        return self.kept[-1][0] if self.kept else 0

    async def submit(self, *inputs):
        self.submitted += inputs
        if self.fault:
            raise self.fault
        effects = [effect for one in inputs for effect in self._do(one)]
        self.tally.count(effects)
        return effects

    def _do(self, one):
        engine = self.engine
        match one:
            case Place(target="192.0.2.1/32", force=False):
                raise RefusedError("192.0.2.1/32 is this host's own address")
            case Place():
                made = make_decision(
                    id="op1",
                    plane=Plane.NETWORK if "/" in one.target else Plane.ACCOUNT,
                    target=one.target,
                    action=one.action,
                    tier=one.tier,
                    until=1000.0 + one.ttl_s,
                    score=0.0,
                    rules=(),
                    reason=one.reason,
                    origin=Origin.OPERATOR,
                )
                engine.active.append(made)
                return [DecisionEvent(1000.0, Op.ADD, made)]
            case Lift(target=target, id=by_id):
                hit = [d for d in engine.active if target == d.target or by_id == d.id]
                if not hit:
                    raise NotFoundError(f"nothing is decided on {target or by_id}")
                engine.active = [d for d in engine.active if d not in hit]
                return [DecisionEvent(1000.0, Op.LIFT, d) for d in hit]
            case Allow(cidr=cidr, ttl_s=ttl):
                engine.allow.append(
                    AllowView(cidr, "operator", None if ttl is None else 1000.0 + ttl)
                )
            case Disallow(cidr=cidr):
                if cidr not in {a.cidr for a in engine.allow}:
                    raise NotFoundError(f"{cidr} is not allowed")
                engine.allow = [a for a in engine.allow if a.cidr != cidr]
            case SetPosture(posture=posture):
                engine.posture, engine.tripped = posture.value, ""
        return []

    async def reload(self):
        self.tally.reloaded(applied=self.reload_view.applied, ts=1001.0)
        return self.reload_view

    async def push(self, lines):
        self.pushed = lines
        return PushView(accepted=lines.count(b"\n"), rejects={"no-ts": 1})

    def inputs(self):
        return [
            InputView(
                name="/var/log/nginx/excise.log",
                format="record",
                state="following",
                position={"inode": 12, "offset": 4096},
                lag_bytes=0,
                lines=12350,
                records=12345,
                rejects={"no-ts": 4, "not-json": 1},
                unknown_fields=0,
                last_line_ts=1000.0,
            )
        ]

    def enforcer(self):
        return EnforcerView(
            backend="nftables",
            in_sync=True,
            entries=2,
            changes=9,
            repairs=1,
            failures=0,
            dropped={"drop": CountView(40, 2_400), "egress": CountView(7, 10_240)},
            throttled={"crawl": {"egress": CountView(7, 10_240)}},
            counted_ts=1000.0,
            audit=AuditView("listening", 1, 5, 0, "nft (pid 4711) deleted table ip excise", 999.0),
        )

    def dropped(self, decision_id):
        if decision_id != "d1":
            return None
        return DroppedView(7, 10_240, {"egress": CountView(7, 10_240)}, 1000.0)

    def not_ready(self):
        return list(self.reasons)

    async def events(self, after):
        self.readers += 1
        try:
            for serial, effect in self.kept if after is not None else []:
                if serial > after:
                    yield serial, effect
            while True:
                yield await self.live.get()
        finally:
            self.readers -= 1


def some_effects():
    return [
        DecisionEvent(1000.0, Op.ADD, make_decision()),
        Finding(
            1000.0,
            "volume.flood",
            Entity(Kind.CLIENT, "203.0.113.7/32"),
            40.0,
            (("requests_1h", 4120.0, 1800.5),),
        ),
        Alarm(1001.0, "governor-tripped", "600 new decisions within a minute"),
        DecisionEvent(1002.0, Op.LIFT, make_decision()),
    ]


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=5)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(5)
        self.sock.connect(self.path)


class Served:
    """A real server on a real socket, its loop in a thread of its own."""

    def __init__(self, control, socket_path, tcp):
        self.control, self.socket_path, self.tcp = control, socket_path, tcp

    def ask(self, method, path, body=None, headers=None):
        """Return (status, headers, parsed JSON or text)."""
        connection = Connection(self.socket_path)
        return exchange(connection, method, path, body, headers)

    def ask_tcp(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection(*self.tcp, timeout=5)
        return exchange(connection, method, path, body, headers)

    def stream(self, path="/v1/events", headers=None):
        """Return (connection, response) of an open stream; close the connection after use."""
        connection = Connection(self.socket_path)
        connection.request("GET", path, headers=headers or {})
        return connection, connection.getresponse()


def exchange(connection, method, path, body, headers):
    with contextlib.closing(connection):
        headers = dict(headers or {})
        if isinstance(body, dict):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        connection.request(method, path, body=body, headers=headers)
        response = connection.getresponse()
        raw = response.read()
        is_json = "json" in response.headers.get("Content-Type", "")
        return response.status, response.headers, json.loads(raw) if is_json else raw.decode()


@contextlib.contextmanager
def serving(directory: Path, *, listen=None, empty=False, pace=PACE):
    """Run the server in a thread until the context ends."""
    up, box = threading.Event(), SimpleNamespace()

    async def main():
        control = FakeControl(empty=empty)
        box.loop, box.stop = asyncio.get_running_loop(), asyncio.Event()
        async with serve(
            control,
            socket_path=directory / "run" / "control.sock",
            listen=listen,
            state=directory / "state",
            log=control.log,
            environ={},
            pace=pace,
        ) as listening:
            box.served = Served(control, listening.socket_path, listening.tcp)
            up.set()
            await box.stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    try:
        assert up.wait(10), "the server did not come up"
        box.served.loop = box.loop
        box.served.call = box.loop.call_soon_threadsafe
        yield box.served
    finally:
        box.loop.call_soon_threadsafe(box.stop.set)
        thread.join(10)
        assert not thread.is_alive()


@pytest.fixture
def served(tmp_path):
    with serving(tmp_path) as server:
        yield server


@pytest.fixture
def served_tcp(tmp_path):
    with serving(tmp_path, listen=("127.0.0.1", 0)) as server:
        server.token = (tmp_path / "state" / "api-token").read_text().strip()
        yield server


@pytest.fixture
def fake_control():
    return FakeControl


@pytest.fixture
def serve_in():
    return serving
