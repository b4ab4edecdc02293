"""Terms in virtual time: they begin, are renewed, end in every way there is, and begin again."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from structlog.testing import capture_logs

from aggregator.kube.errors import Rejected, Unavailable
from aggregator.kube.leadership import Leadership
from aggregator.kube.lease import Candidate, LeaderElection
from aggregator.kube.resources import LEASES, ObjectKey
from tests.support.memory_cluster import MemoryCluster

pytestmark = pytest.mark.looptime

LEASE = ObjectKey("games", "gamekeeper-aggregator")


class Member:
    """One candidate that runs, and when it led.

    Attributes:
        terms: begin and end of each term, in seconds since the start; the last may be open.
    """

    def __init__(self, cluster: "Cluster", name: str) -> None:
        loop = asyncio.get_running_loop()
        self.started = loop.time()
        self.skipped = 0.0
        self.leadership = Leadership(lambda: loop.time() + self.skipped)
        candidate = Candidate(LEASE, name)
        self.election = LeaderElection(cluster, candidate, self.leadership, lambda: 1.0)
        self.terms: list[tuple[int, int | None]] = []
        self.cluster = cluster

    def _now(self) -> int:
        return round(asyncio.get_running_loop().time() - self.started)

    async def lead(self) -> None:
        begun = self._now()
        self.terms.append((begun, None))
        try:
            await asyncio.Event().wait()
        finally:
            self.terms[-1] = (begun, self._now())

    async def run(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.election.run(self.lead)


class Cluster(MemoryCluster):
    """An API server that can be away, refuse or hang.

    Attributes:
        trouble: raised by every request; an Event is waited for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trouble: Exception | asyncio.Event | None = None

    async def _meet(self) -> None:
        if isinstance(self.trouble, asyncio.Event):
            await self.trouble.wait()
        elif self.trouble is not None:
            raise self.trouble

    async def get(self, *args: Any) -> Any:
        await self._meet()
        return await super().get(*args)

    async def patch(self, *args: Any) -> Any:
        await self._meet()
        return await super().patch(*args)

    def lease(self) -> tuple[str, int]:
        spec = self.objects[LEASES.plural, LEASE]["spec"]
        return spec["holderIdentity"], spec["leaseTransitions"]

    def edit(self, **spec: Any) -> None:
        """Change the lease by hand."""
        stored = self.objects[LEASES.plural, LEASE]
        self.version += 1
        stored["spec"] |= spec
        stored["metadata"]["resourceVersion"] = str(self.version)


async def play(cluster: Cluster, *runs: tuple[Member, float, float], at: Any = None) -> None:
    """Run members from and until a time; `at` is more to happen."""
    with capture_logs():
        async with asyncio.TaskGroup() as tasks:
            for member, begin, end in runs:

                async def run(member: Member = member, begin: float = begin, end: float = end):
                    await asyncio.sleep(begin)
                    await member.run(end - begin)

                tasks.create_task(run())
            if at is not None:
                tasks.create_task(at)


async def test_the_first_leads_and_a_standby_waits() -> None:
    cluster = Cluster()
    first, second = Member(cluster, "first"), Member(cluster, "second")
    await play(cluster, (first, 0, 100), (second, 1, 99))
    assert (first.terms, second.terms, cluster.lease()) == ([(0, 100)], [], ("", 0))


async def test_after_a_graceful_stop_a_standby_leads_within_three_seconds() -> None:
    cluster = Cluster()
    first, second = Member(cluster, "first"), Member(cluster, "second")
    await play(cluster, (first, 0, 50), (second, 1, 100))
    assert (first.terms, second.terms, cluster.lease()) == ([(0, 50)], [(51, 100)], ("", 1))


async def test_after_a_crash_a_standby_leads_within_twenty_seconds() -> None:
    cluster = Cluster()
    await cluster.create(LEASES, "games", {"metadata": {"name": LEASE.name}, "spec": {}})
    cluster.edit(holderIdentity="dead", leaseDurationSeconds=15, leaseTransitions=7)
    member = Member(cluster, "me")
    await play(cluster, (member, 0, 100))
    assert (member.terms, cluster.lease()) == ([(16, 100)], ("", 8))


async def test_when_the_api_server_is_away_the_term_ends_at_the_renew_deadline() -> None:
    cluster = Cluster()
    member = Member(cluster, "me")

    async def trouble() -> None:
        await asyncio.sleep(50.5)
        cluster.trouble = Unavailable("Away", "no answer")
        await asyncio.sleep(40)
        cluster.trouble = None

    await play(cluster, (member, 0, 100), at=trouble())
    # The last renewal was asked for at 50; the next attempt after 90.5 begins a new term.
    assert (member.terms, cluster.lease()) == ([(0, 60), (92, 100)], ("", 0))


async def test_when_the_api_server_hangs_the_term_ends_at_the_renew_deadline() -> None:
    cluster = Cluster()
    member = Member(cluster, "me")

    async def trouble() -> None:
        await asyncio.sleep(50.5)
        cluster.trouble = answer = asyncio.Event()
        await asyncio.sleep(29)
        cluster.trouble = None
        answer.set()

    await play(cluster, (member, 0, 100), at=trouble())
    assert member.terms == [(0, 60), (80, 100)]


async def test_a_process_that_was_paused_begins_a_new_term() -> None:
    """Its timers fire as if nothing had been; the clock of the lease has gone on."""
    cluster = Cluster()
    member = Member(cluster, "me")

    async def pause() -> None:
        await asyncio.sleep(51)
        member.skipped = 60.0
        assert not member.leadership.leading

    await play(cluster, (member, 0, 100), at=pause())
    assert (member.terms, cluster.lease()) == ([(0, 52), (52, 100)], ("", 0))


async def test_a_stolen_lease_ends_the_term_at_the_next_renewal() -> None:
    cluster = Cluster()
    member = Member(cluster, "me")

    async def steal() -> None:
        await asyncio.sleep(51)
        cluster.edit(holderIdentity="thief")

    await play(cluster, (member, 0, 60), at=steal())
    assert (member.terms, cluster.lease()) == ([(0, 52)], ("thief", 0))


@pytest.mark.parametrize("change", ["edited", "deleted"])
async def test_a_lease_that_somebody_touches_stays_with_its_holder(change: str) -> None:
    cluster = Cluster()
    member = Member(cluster, "me")

    async def touch() -> None:
        await asyncio.sleep(51)
        if change == "deleted":
            del cluster.objects[LEASES.plural, LEASE]
        else:
            cluster.edit()

    await play(cluster, (member, 0, 100), at=touch())
    assert (member.terms, cluster.lease()) == ([(0, 100)], ("", 0))


async def test_without_the_right_to_the_lease_it_is_tried_until_the_right_is_granted() -> None:
    cluster = Cluster()
    cluster.trouble = Rejected("Forbidden", "leases is forbidden", 403)
    member = Member(cluster, "me")

    async def grant() -> None:
        await asyncio.sleep(31)
        cluster.trouble = None

    await play(cluster, (member, 0, 60), at=grant())
    assert member.terms == [(32, 60)]


async def test_what_fails_in_the_work_of_the_leader_is_raised_after_the_release() -> None:
    cluster = Cluster()
    member = Member(cluster, "me")

    async def lead() -> None:
        await asyncio.sleep(5)
        raise RuntimeError("a bug")

    with capture_logs(), pytest.raises(ExceptionGroup) as failed:
        await member.election.run(lead)
    assert failed.group_contains(RuntimeError, match="a bug")
    assert cluster.lease() == ("", 0)


async def test_a_stop_does_not_wait_for_an_api_server_that_is_away() -> None:
    cluster = Cluster()
    member = Member(cluster, "me")
    loop = asyncio.get_running_loop()

    async def hang() -> None:
        await asyncio.sleep(9.5)
        cluster.trouble = asyncio.Event()

    await play(cluster, (member, 0, 10), at=hang())
    assert (member.terms, loop.time() - member.started) == ([(0, 10)], pytest.approx(12, abs=0.5))
    assert cluster.lease() == ("me", 0)


class Tidy(Member):
    """A leader that takes a while to leave things in order.

    Attributes:
        stopped: when it had ended, in seconds since the start.
    """

    stopped = 0

    async def run(self, seconds: float) -> None:
        await super().run(seconds)
        self.stopped = self._now()

    async def lead(self) -> None:
        try:
            await super().lead()
        finally:
            await asyncio.sleep(5)


async def test_a_stop_while_a_lost_term_is_still_tidied_up_is_not_forgotten() -> None:
    cluster = Cluster()
    member = Tidy(cluster, "first")

    async def lose() -> None:
        await asyncio.sleep(20)
        cluster.trouble = Unavailable("Timeout", "away")

    # The last renewal is at 18, so the term is over at 28, and tidied up until 33.
    await play(cluster, (member, 0, 31), at=lose())
    assert (member.terms, member.stopped) == ([(0, 28)], 31)
