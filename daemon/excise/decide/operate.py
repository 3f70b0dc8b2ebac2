"""What the operator may do: place, lift, allow, disallow, and the posture."""

from __future__ import annotations

import re

from excise.decide.book import Verdict
from excise.decide.guard import overlaps, parse_network
from excise.decide.judge import Judge
from excise.errors import InvalidError, NotFoundError, RefusedError
from excise.model.decision import Action, Decision, Origin, Plane
from excise.model.record import short_name
from excise.model.step import Allow, Disallow, Lift, Place, Protect, SetPosture

#: what only addresses look like: four numbers or more with dots between them, hex around `::`
_DOTTED = re.compile(r"\d+(?:\.\d+){3,}")
_COLONS = re.compile(r"[0-9A-Fa-f:.]*::[0-9A-Fa-f:.]*")

Wish = Place | Lift | Allow | Disallow | Protect | SetPosture


class Operator:
    """Carries out the operator's wishes on the judge."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    def act(self, wish: Wish, now: float) -> None:
        """Do one thing. Raises RefusedError, NotFoundError or InvalidError: nothing changed."""
        if isinstance(wish, Place):
            self._place(wish, now)
        elif isinstance(wish, Lift):
            self._lift(wish, now)
        elif isinstance(wish, Allow):
            self._allow(wish, now)
        elif isinstance(wish, Disallow):
            if not self._judge.docket.guard.disallow(parse_network(wish.cidr)):
                raise NotFoundError(f"{wish.cidr} is not on the operator's allowlist")
        elif isinstance(wish, Protect):
            self._judge.docket.guard.protect(wish.cidrs)
            self._lift_covered(now)
        else:
            self._judge.docket.set_posture(wish.posture, now)

    def _place(self, wish: Place, now: float) -> None:
        plane, target = target_of(wish.target)
        if wish.ttl_s <= 0:
            raise InvalidError("a decision must last longer than 0 s")
        self._check_action(wish, plane)
        if plane is Plane.NETWORK:
            self._check_guard(target, now, force=wish.force)
        elif mistyped(target) and target not in self._judge.world.accounts.rows:
            raise InvalidError(f"{target!r} is neither an address nor a CIDR; check it for a typo")
        rung = self._judge.docket.ladder.rung_of(wish.action, wish.tier)
        verdict = Verdict(rung, 0.0, (), wish.reason)
        self._judge.docket.place(plane, target, verdict, now, wish.ttl_s, forced=wish.force)

    def _check_guard(self, target: str, now: float, *, force: bool) -> None:
        """Raise RefusedError for what must not be blocked; loopback not even by force."""
        allowed = self._judge.docket.guard.covering(parse_network(target), now)
        if allowed is None or (force and not allowed.unconditional):
            return
        covered = f"{target} covers {allowed.network} ({allowed.origin}), which"
        if allowed.unconditional:
            raise RefusedError(f"{covered} is never blocked, not even by force")
        raise RefusedError(f"{covered} must not be blocked; take it off that list, or force it")

    def _check_action(self, wish: Place, plane: Plane) -> None:
        wrong = Action.DENY if plane is Plane.NETWORK else Action.DROP
        if wish.action is wrong:
            raise InvalidError(f"{wrong.value} does not apply to {plane.value} targets")
        tiers = [t.name for t in self._judge.docket.ladder.tiers]
        if wish.tier is not None and wish.tier not in tiers:
            raise InvalidError(f"no tier {wish.tier!r}; there are {', '.join(tiers) or 'none'}")
        if wish.action is Action.THROTTLE and not tiers:
            raise InvalidError("no throttle tiers are configured")

    def _lift(self, wish: Lift, now: float) -> None:
        active = self._judge.docket.book.active.values()
        if wish.id:
            found = [d for d in active if d.id == wish.id]
        else:
            plane, target = target_of(wish.target)
            found = [d for d in active if (d.plane, d.target) == (plane, target)]
        if not found:
            raise NotFoundError(f"no active decision on {wish.id or wish.target}")
        self._judge.lift(found, now, forgive=True)

    def _allow(self, wish: Allow, now: float) -> None:
        until = None if wish.ttl_s is None else now + wish.ttl_s
        self._judge.docket.guard.allow(parse_network(wish.cidr), until)
        self._lift_covered(now)

    def _lift_covered(self, now: float) -> None:
        """Lift what the rules decided on networks that are safe now."""
        safe = [a.network for a in self._judge.docket.guard.entries(now)]

        def covered(d: Decision) -> bool:
            if d.plane is not Plane.NETWORK or d.origin is Origin.OPERATOR:
                return False
            target = parse_network(d.target)
            return any(overlaps(target, network) for network in safe)

        found = [d for d in self._judge.docket.book.active.values() if covered(d)]
        self._judge.lift(found, now, forgive=False)
        self._judge.trials.recheck(now)


def mistyped(account: str) -> bool:
    """Whether a name that no network has was surely meant as one, such as `203.0.113.300`.

    Denying an account of that name would look like a drop, and stop nobody.
    """
    head, slash, _ = account.partition("/")
    if _DOTTED.fullmatch(head) or _COLONS.fullmatch(head):
        return True
    try:
        parse_network(head)
    except InvalidError:
        return False
    return bool(slash)


def target_of(text: str) -> tuple[Plane, str]:
    """Return plane and canonical target: an address or CIDR is a network, all else an account."""
    text = text.strip()
    if not text:
        raise InvalidError("the target is empty")
    try:
        return Plane.NETWORK, str(parse_network(text))
    except InvalidError:
        return Plane.ACCOUNT, short_name(text)
