import asyncio

import pytest

from excise.daemon.converge import Outcome
from excise.daemon.culprits import Culprits
from excise.daemon.reconcile import FALLBACK_AFTER, Reconciler
from excise.enforce.base import ForeignChange, Witnessed
from excise.errors import EnforceError


class FakeConverger:
    """Says how a round went; notes what it was asked for."""

    backend = "fake"
    unmet = ""

    def __init__(self):
        self.wishes = []
        self.failures = 0
        self.drift = False
        self.repaired = False
        self.evicted = 0
        self.news = []

    def converge(self, wish):
        self.wishes.append(wish)
        if self.failures:
            self.failures -= 1
            raise EnforceError("no buffer space")
        self.drift = False
        return Outcome(entries=3, changes=1, repaired=self.repaired, lapsed=2, evicted=self.evicted)

    def drifted(self):
        return self.drift

    def witnessed(self):
        return self.news.pop(0) if self.news else Witnessed(listening=True)


@pytest.fixture
def converger():
    return FakeConverger()


@pytest.fixture
def alarms():
    return []


@pytest.fixture
def reconciler(converger, executor, alarms, log):
    numbers = iter(range(1000))
    return Reconciler(
        converger=converger,
        wish=lambda: next(numbers),
        executor=executor,
        on_alarm=lambda code, text: alarms.append((code, text)),
        log=log,
        culprits=Culprits(log, lambda: 7.0),
    )


def running(reconciler, story):
    """Run the loop beside a story."""

    async def both():
        async with asyncio.TaskGroup() as group:
            loop = group.create_task(reconciler.run(lambda: None))
            result = await story()
            loop.cancel()
        return result

    return asyncio.run(both())


def test_a_kick_is_settled_when_the_kernel_acknowledged(reconciler, converger):
    async def story():
        await reconciler.settled(reconciler.kick())
        return len(converger.wishes)

    assert running(reconciler, story) >= 1
    assert reconciler.view().in_sync
    assert reconciler.view().entries == 3
    assert reconciler.view().lapsed == 2


def test_many_kicks_during_a_round_become_one_round(reconciler, converger):
    async def story():
        await reconciler.settled(reconciler.kick())
        before = len(converger.wishes)
        tickets = [reconciler.kick() for _ in range(100)]
        await reconciler.settled(tickets[-1])
        return len(converger.wishes) - before

    assert running(reconciler, story) <= 2


def test_whoever_waits_learns_that_the_kernel_did_not_take_it(reconciler, converger):
    converger.failures = 1

    async def story():
        with pytest.raises(EnforceError, match="not in the kernel yet"):
            await reconciler.settled(reconciler.kick())

    running(reconciler, story)


def test_a_failing_kernel_is_tried_again_and_heals(reconciler, converger, until):
    converger.failures = 2

    async def story():
        reconciler.kick()
        await until(lambda: reconciler.failures == 2 and not reconciler.problem)

    running(reconciler, story)

    assert reconciler.view().failures == 2
    assert reconciler.view().problem == ""


def test_a_person_is_called_once_when_it_falls_back_and_once_when_it_is_well(
    reconciler, converger, alarms
):
    converger.failures = FALLBACK_AFTER + 2

    async def story():
        for _ in range(FALLBACK_AFTER + 3):
            await reconciler.round()

    asyncio.run(story())

    assert [code for code, _ in alarms] == ["enforce-failed", "enforce-recovered"]


def test_while_it_fails_the_view_says_that_excise_only_observes(reconciler, converger):
    converger.failures = 1
    asyncio.run(reconciler.round())

    view = reconciler.view()
    assert view.problem.startswith("observing only")
    assert not view.in_sync


def test_a_kernel_changed_by_others_is_put_right_without_a_decision(
    reconciler, converger, alarms, until
):
    async def story():
        await reconciler.settled(reconciler.kick())
        converger.drift, converger.repaired = True, True
        await until(lambda: reconciler.repairs > 0)

    running(reconciler, story)

    assert alarms == [("enforce-repaired", "the kernel's set was changed: by others; put right")]


def test_what_only_a_person_can_do_is_an_alarm_once_and_in_the_view_all_the_time(
    reconciler, converger, alarms, until
):
    converger.unmet = "nothing is enforced until iptables refers to x"

    async def story():
        await reconciler.settled(reconciler.kick())
        await reconciler.settled(reconciler.kick())
        told = ([code for code, _ in alarms], reconciler.view().problem, reconciler.view().in_sync)
        converger.unmet = ""  # seen by the poll, without a decision
        await until(lambda: not reconciler.view().problem)
        return told

    told = running(reconciler, story)

    assert told == (["enforce-idle"], "nothing is enforced until iptables refers to x", True)
    assert [code for code, _ in alarms] == ["enforce-idle", "enforce-met"]


def test_a_full_kernel_is_told_once_and_when_there_is_room_again(reconciler, converger, alarms):
    async def rounds():
        for converger.evicted in (0, 5, 7, 0, 0):
            await reconciler.round()

    asyncio.run(rounds())

    assert ["kernel-full", "kernel-fits"] == [code for code, _text in alarms]


def test_a_repair_names_who_was_heard(reconciler, converger, alarms, until):
    flush = ForeignChange(4711, "nft", ("deleted table ip excise", "deleted table ip6 excise"))

    async def story():
        await reconciler.settled(reconciler.kick())
        converger.drift, converger.repaired = True, True
        converger.news = [Witnessed(), Witnessed((flush,), listening=True)]
        await until(lambda: reconciler.repairs > 0)

    running(reconciler, story)

    said = "nft (pid 4711) deleted table ip excise, deleted table ip6 excise"
    assert alarms == [("enforce-repaired", f"the kernel's set was changed: {said}; put right")]
    assert (1, said, 7.0) == (
        reconciler.view().audit.foreign,
        reconciler.view().audit.last,
        reconciler.view().audit.last_ts,
    )
