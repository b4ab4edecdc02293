"""Every write that a report leads to meets every fault there is: it is done once, and all is right.

The story of each cell: a server exists, its agent reports, one write meets the fault, and what was
asked for is there in the end. Then a person changes it, the agent repeats its report, and the edit
stays: nothing is done a second time.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from itertools import product
from typing import Any

import pytest

from aggregator.kube import patch
from aggregator.kube.resources import GAMESERVERS, GAMESERVERSETS, PODS, ObjectKey
from shared.api import names
from shared.protocol.report import Report
from tests.support.builders import probe_report, report
from tests.support.fault_cell import SERVER_FAULTS, SHORT, Actor, Cell, fault_in_force
from tests.support.faulty import Faulty, deliver, leads, until
from tests.support.interference import Aim

pytestmark = [pytest.mark.component, pytest.mark.timeout(40)]

NAME = "minecraft-0"
QUALITIES = [
    {
        "name": "idle",
        "exec": {"command": ["idle.sh"]},
        "serviceQualityAction": [{"state": True, "opsState": "WaitToBeDeleted"}],
    },
    {
        "name": "once",
        "permanent": True,
        "exec": {"command": ["once.sh"]},
        "serviceQualityAction": [{"state": True, "labels": {"team": "red"}}],
    },
]
SET = {
    "apiVersion": GAMESERVERSETS.api_version,
    "kind": GAMESERVERSETS.kind,
    "metadata": {"name": "minecraft"},
    "spec": {
        "replicas": 1,
        "serviceQualities": QUALITIES,
        "gameServerTemplate": {
            "spec": {
                "containers": [{"name": "game", "image": "game:1"}],
                "terminationGracePeriodSeconds": 0,
            }
        },
    },
}
DONE = {
    "opsState": "WaitToBeDeleted",
    "team": "red",
    "conditions": {"idle": "True", "once": "True"},
    "bound": True,
    "mirrored": "WaitToBeDeleted",
}
WRITES = {
    "spec": Aim("patch", "gameservers"),
    "status": Aim("patch", "gameservers/status"),
    "labels": Aim("patch", "pods"),
    "event": Aim("create", "events"),
}


class Story(Cell):
    """One server, and whoever has to do with it."""

    @property
    def key(self) -> ObjectKey:
        return ObjectKey(self.faulty.namespace, NAME)

    async def begin(self) -> Report:
        """Create the set, wait for its server, and return what its agent is going to say."""
        await self.faulty.kube.create(GAMESERVERSETS, self.faulty.namespace, SET)
        await until(self.label, "None")
        pod = await self.faulty.kube.get(PODS, self.key)
        assert pod is not None
        probes = (probe_report("idle"), probe_report("once"))
        return report(*probes, pod_uid=pod["metadata"]["uid"])

    async def label(self) -> str | None:
        """The opsState that the pod mirrors."""
        pod = await self.faulty.kube.get(PODS, self.key)
        value: str | None = pod["metadata"]["labels"].get(names.OPS_STATE_LABEL) if pod else None
        return value

    async def outcome(self) -> dict[str, Any]:
        """What there is, without times and versions."""
        server = await self.faulty.kube.get(GAMESERVERS, self.key)
        pod = await self.faulty.kube.get(PODS, self.key)
        assert server is not None
        assert pod is not None
        status = server.get("status", {})
        conditions = status.get("serviceQualitiesConditions", ())
        return {
            "opsState": server["spec"]["opsState"],
            "team": server["metadata"]["labels"].get("team"),
            "conditions": {each["name"]: each["status"] for each in conditions},
            "bound": status.get("podUid") == pod["metadata"]["uid"],
            "mirrored": pod["metadata"]["labels"].get(names.OPS_STATE_LABEL),
        }

    async def generation(self) -> int:
        """How often the spec of the server was changed; 1 when it was created."""
        server = await self.faulty.kube.get(GAMESERVERS, self.key)
        assert server is not None
        return int(server["metadata"]["generation"])

    async def told(self) -> dict[str, int]:
        """How often each action was told of."""
        told = await self.messages(names.REASON_SERVICE_QUALITY_ACTION)
        return {message.partition("=")[0]: count for message, count in told}

    async def edit(self, ops_state: str, team: str | None) -> None:
        """Change by hand what the actions set."""
        document = {"metadata": {"labels": {"team": team}}, "spec": {"opsState": ops_state}}
        await self.faulty.kube.patch(GAMESERVERS, self.key, patch.MergePatch(document))

    async def ends_well(self, whole: Report, *actors: Actor) -> None:
        """Check that all was done once, and that nothing is done again."""
        await until(self.outcome, DONE)
        assert await self.generation() == 2
        await self.edit("Allocated", None)
        for number, actor in enumerate(actors):
            again = report(*whole.probes, pod_uid=whole.pod_uid, sequence=whole.sequence + number)
            deliver(actor.aggregator, self.key, again)
        await until(self.label, "Allocated")
        expected = DONE | {"opsState": "Allocated", "team": None, "mirrored": "Allocated"}
        assert (await self.outcome(), await self.generation()) == (expected, 3)


@pytest.fixture
async def story(faulty: Faulty) -> AsyncIterator[Story]:
    async with AsyncExitStack() as stack:
        yield Story(faulty, stack)


@pytest.mark.parametrize(
    ("write", "fault"),
    [pytest.param(*cell, id=" | ".join(cell)) for cell in product(WRITES, SERVER_FAULTS)],
)
async def test_a_request_that_fails(story: Story, write: str, fault: str) -> None:
    actor = await story.start(SHORT if fault == "timeout" else None)
    whole = await story.begin()
    async with fault_in_force(story.faulty, WRITES[write], **SERVER_FAULTS[fault]):
        deliver(actor.aggregator, story.key, whole)
        await until(story.outcome, DONE)
        # An event is written in the background, and tried again: it is told once all the same.
        await until(story.told, {"idle": 1, "once": 1})
    await story.ends_well(whole, actor)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("write", WRITES)
async def test_a_crash(story: Story, write: str, moment: str) -> None:
    """What was in memory is lost; the next process learns from the API server and the agent."""
    first = await story.start()
    setattr(first.between, f"_{moment}", first.between.die)
    whole = await story.begin()
    first.between.aim = WRITES[write]
    deliver(first.aggregator, story.key, whole)
    await first.between.struck.wait()
    # The lease of a dead process ends by itself, in time.
    second = await story.start(succeeds=True)
    await until(lambda: leads(second.aggregator), True)
    deliver(second.aggregator, story.key, whole)
    await story.ends_well(whole, second)
    told = await story.told()
    assert all(count == 1 for count in told.values())


@pytest.mark.parametrize("write", WRITES)
async def test_another_leads_between_decision_and_write(story: Story, write: str) -> None:
    """What the former leader had sent already comes late, and changes nothing."""
    go_on = asyncio.Event()

    async def wait() -> None:
        await go_on.wait()

    first = await story.start(before=wait)
    whole = await story.begin()
    first.between.aim = WRITES[write]
    deliver(first.aggregator, story.key, whole)
    await first.between.struck.wait()
    second = await story.start(succeeds=True)
    await until(lambda: leads(second.aggregator), True)
    deliver(second.aggregator, story.key, whole)
    await until(story.outcome, DONE)
    go_on.set()
    await until(lambda: leads(first.aggregator), False)
    await story.ends_well(whole, second)
    assert all(count == 1 for count in (await story.told()).values())


@pytest.mark.parametrize(
    ("write", "resource"),
    [
        pytest.param("spec", GAMESERVERS, id="spec"),
        pytest.param("status", GAMESERVERS, id="status"),
        pytest.param("labels", PODS, id="labels"),
    ],
)
async def test_a_cache_that_lags(story: Story, write: str, resource: Any) -> None:
    """A person's edit is in the API server and not in the cache: it is there in the end."""
    actor = await story.start()
    whole = await story.begin()
    number = await story.faulty.order("stale", resource=resource.plural)
    note = patch.MergePatch({"metadata": {"annotations": {"note": "mine"}}})
    await story.faulty.kube.patch(resource, story.key, note)
    deliver(actor.aggregator, story.key, whole)
    # The write was tried on the old version: it is refused, not done.
    await until(lambda: refused(actor), True)
    await story.faulty.end(number)
    await story.ends_well(whole, actor)
    stored = await story.faulty.kube.get(resource, story.key)
    assert stored is not None
    assert stored["metadata"]["annotations"]["note"] == "mine"


async def refused(actor: Actor) -> bool:
    """Whether a run has ended with a conflict."""
    term = actor.aggregator._present.term
    assert term is not None
    return term._servers.outcomes["stale"] > 0


async def test_a_stop_tells_what_was_done(story: Story) -> None:
    """Events wait in memory, behind one that is slow, when the process is asked to stop."""

    async def wait() -> None:
        await asyncio.Event().wait()

    async with AsyncExitStack() as life:
        actor = await Story(story.faulty, life).start(before=wait)
        whole = await story.begin()
        actor.between.aim = WRITES["event"]
        deliver(actor.aggregator, story.key, whole)
        await actor.between.struck.wait()
        await until(story.outcome, DONE)
        assert await story.told() == {}
    assert await story.told() == {"idle": 1, "once": 1}


# -- two that fight ------------------------------------------------------------------------------


async def test_two_that_both_believe_to_lead_act_once(story: Story) -> None:
    """Each has a lease of its own, so the gate of neither is closed; both get the same report."""
    first = await story.start()
    whole = await story.begin()
    second = await story.start(lease="another")
    await until(lambda: leads(second.aggregator), True)
    for actor in (first, second):
        deliver(actor.aggregator, story.key, whole)
    await story.ends_well(whole, first, second)
    assert await story.told() == {"idle": 1, "once": 1}


async def test_a_former_leader_does_not_undo_what_a_later_report_led_to(story: Story) -> None:
    first = await story.start()
    whole = await story.begin()
    second = await story.start(lease="another")
    await until(lambda: leads(second.aggregator), True)
    later = report(
        probe_report("idle", "True", "new"),
        probe_report("once"),
        pod_uid=whole.pod_uid,
        sequence=whole.sequence + 1,
    )
    deliver(second.aggregator, story.key, later)
    await until(story.outcome, DONE)
    server = await story.faulty.kube.get(GAMESERVERS, story.key)
    assert server is not None
    deliver(
        first.aggregator, story.key, report(probe_report("idle", "False"), pod_uid=whole.pod_uid)
    )
    # The next change shows that the older report has been looked at: keys of one server are one.
    await story.edit("Allocated", "red")
    await until(story.label, "Allocated")
    after = await story.faulty.kube.get(GAMESERVERS, story.key)
    assert after is not None
    for annotation in (names.VERDICTS_ANNOTATION, names.ACTED_ON_ANNOTATION):
        assert (
            after["metadata"]["annotations"][annotation]
            == (server["metadata"]["annotations"][annotation])
        )
    assert (await story.outcome())["conditions"] == DONE["conditions"]
