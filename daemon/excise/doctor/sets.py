"""Whether iptables looks into our ipsets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from excise.doctor.check import Check, State
from excise.enforce.ipset_layout import standing
from excise.enforce.ipset_reader import Headers, unreferenced
from excise.errors import EnforceError
from excise.model.decision import Posture, Tier


def check_sets(
    posture: Posture, tiers: Sequence[Tier], sets: Callable[[], Headers]
) -> Iterator[Check]:
    """Whether ipset answers, our sets are there, and iptables refers to each of them."""
    lacking = State.WARN if posture is Posture.OBSERVE else State.FAIL
    try:
        held = sets()
    except EnforceError as error:
        yield Check("ipset", lacking, str(error), "run this as root, or do as it says")
        return
    yield Check("ipset", State.OK, f"answers; {len(held)} sets are excise's")
    wanted = standing(tiers)
    missing = [spec.name for spec in wanted if spec not in held]
    idle = [spec.name for spec in unreferenced({*wanted, *held}, held)]
    advice = "see `excise doctor --iptables`; `excise doctor --iptables | sh` does it"
    if missing:
        text = f"{len(missing)} sets are not there yet, such as {missing[0]}"
        yield Check("iptables rules", lacking, text, advice)
    elif idle:
        text = f"no rule refers to {', '.join(idle[:3])}"
        text += f" and {len(idle) - 3} more" if len(idle) > 3 else ""
        yield Check("iptables rules", lacking, f"{text}: they enforce nothing", advice)
    else:
        yield Check("iptables rules", State.OK, "refer to every set")
