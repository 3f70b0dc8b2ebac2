"""A small world that answers: accounts ask, excise decides, and who is throttled asks less."""

from dataclasses import dataclass, field

import msgspec
import numpy as np

from excise.engine import Engine
from excise.model.decision import Action, Plane, Posture
from excise.model.entity import Family, Kind
from excise.model.record import Record
from excise.model.settings import Capacity, Settings, Trials
from excise.model.step import Observed
from excise.rules.schema import Comparison, Maturity, Rule, Rulebook

START = 1_700_002_800.0  # a border of half an hour
MINUTE_S = 60.0
ON = Trials(enabled=True, share=0.2)
SETTINGS = Settings(
    posture=Posture.ENFORCE,
    capacity=Capacity(**dict.fromkeys(Capacity.__struct_fields__, 4096)),
    trials=ON,
)
#: requests of an account in a minute, the group's and other people's
PACE = 26 / 30
MEMBERS, OTHERS = 120, 240
#: what is left of a throttled account's requests
LEFT = 0.05


def rule(rule_id, feature, above, weight=30.0):
    return Rule(
        id=rule_id,
        about=f"Much {feature}.",
        family=Family(rule_id.split(".")[0]),
        kind=Kind.CAMPAIGN,
        when=(Comparison(feature, above=above),),
        weight=weight,
        half_life_s=86_400.0,
        maturity=Maturity.STABLE,
        hits_also="",
    )


MOVES = rule("graph.moves", "moves", 0.5)
RESPONDS = rule("response.substitution", "substitution", 3.0, 35.0)
BOOK = Rulebook((MOVES, RESPONDS))


@dataclass
class World:
    """Accounts that ask by chance, minute by minute.

    `pooled`: a scheduler deals its work to whichever accounts are fast; otherwise each account has
    a user of its own. `surge` gives by what everybody's requests are multiplied at a minute, `own`
    the same of the group alone, `obeys` whether the gateway acts on throttles.
    """

    pooled: bool
    surge: object = lambda _minute: 1.0
    own: object = lambda _minute: 1.0
    obeys: bool = True
    seed: int = 1
    settings: Settings = SETTINGS
    book: Rulebook = BOOK
    engine: Engine = None
    minute: int = 0
    effects: list = field(default_factory=list)
    records: list = field(default_factory=list)
    throttled: set = field(default_factory=set)
    asked: int = 0

    def __post_init__(self):
        self.engine = self.engine or Engine(self.settings, self.book)
        self.chance = np.random.default_rng(self.seed)
        self.paces = PACE * np.exp(self.chance.normal(0.0, 0.3, OTHERS))

    def run(self, minutes):
        for _ in range(minutes):
            records = self._asks()
            self.records.append(records)
            self.effects += self.engine.step([Observed(records)])
            self.throttled = {
                d.target
                for d in self.engine.decisions()
                if d.plane is Plane.ACCOUNT and d.action is Action.THROTTLE
            }
            self.minute += 1
        return self

    def _asks(self):
        surge = self.surge(self.minute)
        slow = [self.obeys and f"m{i}" in self.throttled for i in range(MEMBERS)]
        speed = np.where(slow, LEFT, 1.0)
        work = MEMBERS * PACE * surge * self.own(self.minute)
        dealt = work * speed / speed.sum() if self.pooled else work / MEMBERS * speed
        mine = [self._of_group(i) for i in self._spread(dealt)]
        theirs = [self._of_person(i) for i in self._spread(self.paces * surge)]
        asks = [*mine, *theirs]
        at = np.sort(self.chance.random(len(asks))) * MINUTE_S
        order = self.chance.permutation(len(asks)).tolist()
        begin = START + self.minute * MINUTE_S
        return [
            msgspec.structs.replace(asks[i], ts=round(begin + t, 3))
            for i, t in zip(order, at.tolist(), strict=True)
        ]

    def _spread(self, paces):
        return np.repeat(np.arange(len(paces)), self.chance.poisson(paces)).tolist()

    def _of_group(self, i):
        self.asked += 1
        return Record(
            ts=0.0,
            client=f"2001:db8:{self.asked % 211:x}::1",
            account=f"m{i}",
            prompt=("f1ee", f"{self.asked:x}"),
            input_tokens=90,
            output_tokens=300,
            status=200,
        )

    def _of_person(self, i):
        return Record(
            ts=0.0,
            client=f"198.51.{100 + i // 200}.{1 + i % 200}",
            account=f"person{i}",
            input_tokens=90,
            output_tokens=300,
            status=200,
        )

    @property
    def trial(self):
        """The trial of the group, None before there was one."""
        found = [c.trial for c in self.engine.campaigns() if c.trial]
        return found[0] if found else None
