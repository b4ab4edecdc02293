"""Every write that makes or deletes a server meets every fault there is: it is done once.

Two stories. One set is created and gets its only server: a pod and its GameServer. Of another set
with two servers one is to be killed: it is claimed, the set is accounted, the pod is deleted; an
accounting that happened twice would cost the other server its life.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from copy import deepcopy
from itertools import product
from typing import Any

import pytest

from aggregator.kube import patch
from aggregator.kube.resources import GAMESERVERS, GAMESERVERSETS, PODS, ObjectKey
from shared.api import names
from tests.support.fault_cell import SERVER_FAULTS, SHORT, Cell, fault_in_force
from tests.support.faulty import Faulty, leads, until
from tests.support.interference import Aim

pytestmark = [pytest.mark.component, pytest.mark.timeout(40)]

SET = {
    "apiVersion": GAMESERVERSETS.api_version,
    "kind": GAMESERVERSETS.kind,
    "metadata": {"name": "minecraft"},
    "spec": {
        "gameServerTemplate": {
            "spec": {
                "containers": [{"name": "game", "image": "game:1"}],
                "terminationGracePeriodSeconds": 0,
            }
        },
    },
}
CREATIONS = {"pod": Aim("create", "pods"), "server": Aim("create", "gameservers")}
DELETIONS = {
    "claim": Aim("patch", "gameservers"),
    "accounting": Aim("patch", "gameserversets"),
    "deletion": Aim("delete", "pods"),
}
ONE_SERVER = {
    "replicas": 1,
    "accounted": None,
    "pods": {"minecraft-0": "None"},
    "bound": ["minecraft-0"],
}
TWO_SERVERS = {
    "replicas": 2,
    "accounted": None,
    "pods": {"minecraft-0": "None", "minecraft-1": "None"},
    "bound": ["minecraft-0", "minecraft-1"],
}
# By write: what leads to it.
WRITES = CREATIONS | DELETIONS
ACTS = {**dict.fromkeys(CREATIONS, "create"), **dict.fromkeys(DELETIONS, "kill")}


class Story(Cell):
    """One set, and whoever has to do with it."""

    async def create(self, replicas: int) -> None:
        """Create the set."""
        body = deepcopy(SET)
        body["spec"] = {"replicas": replicas, **SET["spec"]}  # type: ignore[dict-item]
        await self.faulty.kube.create(GAMESERVERSETS, self.faulty.namespace, body)

    async def begin(self, act: str) -> None:
        """Make what the act needs."""
        if act == "kill":
            await self.create(2)
            await until(self.outcome, TWO_SERVERS)

    async def go(self, act: str) -> None:
        """Do what a person does: create the set, or kill a server."""
        if act == "create":
            await self.create(1)
            return
        key = ObjectKey(self.faulty.namespace, "minecraft-1")
        kill = patch.MergePatch({"spec": {"opsState": names.OPS_STATE_KILL}})
        await self.faulty.kube.patch(GAMESERVERS, key, kill)

    async def outcome(self) -> dict[str, Any]:
        """What there is, without times and versions."""
        owner = await self.faulty.kube.get(
            GAMESERVERSETS, ObjectKey(self.faulty.namespace, "minecraft")
        )
        assert owner is not None
        pods = {pod["metadata"]["uid"]: pod["metadata"] for pod in await self.faulty.all(PODS)}
        servers = await self.faulty.all(GAMESERVERS)
        return {
            "replicas": owner["spec"]["replicas"],
            "accounted": owner["metadata"].get("annotations", {}).get(names.ACCOUNTED_ANNOTATION),
            "pods": {
                pod["name"]: pod["labels"].get(names.OPS_STATE_LABEL) for pod in pods.values()
            },
            "bound": sorted(
                server["metadata"]["name"]
                for server in servers
                if server.get("status", {}).get("podUid") in pods
            ),
        }

    async def uid(self) -> str | None:
        """The uid of the pod that stays, None when there is none."""
        pod = await self.faulty.kube.get(PODS, ObjectKey(self.faulty.namespace, "minecraft-0"))
        return str(pod["metadata"]["uid"]) if pod is not None else None

    async def claims_told(self) -> list[int]:
        """How often each claim was told of."""
        return [count for _, count in await self.messages(names.REASON_CLAIMED)]

    async def ends_well(self, before: str | None) -> None:
        """Check that there is one server, and the same one as before if there was one."""
        await until(self.outcome, ONE_SERVER)
        assert before in (None, await self.uid())


@pytest.fixture
async def story(faulty: Faulty) -> AsyncIterator[Story]:
    async with AsyncExitStack() as stack:
        yield Story(faulty, stack)


@pytest.mark.parametrize(
    ("write", "fault"),
    [pytest.param(*cell, id=" | ".join(cell)) for cell in product(WRITES, SERVER_FAULTS)],
)
async def test_a_request_that_fails(story: Story, write: str, fault: str) -> None:
    await story.start(SHORT if fault == "timeout" else None)
    await story.begin(ACTS[write])
    before = await story.uid()
    async with fault_in_force(story.faulty, WRITES[write], **SERVER_FAULTS[fault]):
        await story.go(ACTS[write])
        await story.ends_well(before)
    if ACTS[write] == "kill":
        # Whether an answer came or not: a claim is told, once.
        await until(story.claims_told, [1])


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("write", WRITES)
async def test_a_crash(story: Story, write: str, moment: str) -> None:
    """What was in memory is lost: what a deletion costs is known from what is stored."""
    first = await story.start()
    setattr(first.between, f"_{moment}", first.between.die)
    await story.begin(ACTS[write])
    before = await story.uid()
    first.between.aim = WRITES[write]
    await story.go(ACTS[write])
    await first.between.struck.wait()
    await succeed(story)
    await story.ends_well(before)


@pytest.mark.parametrize("write", WRITES)
async def test_another_leads_between_decision_and_write(story: Story, write: str) -> None:
    """What the former leader had sent already comes late, and changes nothing."""
    go_on = asyncio.Event()

    async def wait() -> None:
        await go_on.wait()

    first = await story.start(before=wait)
    await story.begin(ACTS[write])
    before = await story.uid()
    first.between.aim = WRITES[write]
    await story.go(ACTS[write])
    await first.between.struck.wait()
    await succeed(story)
    await story.ends_well(before)
    stays = await story.uid()
    go_on.set()
    await until(lambda: leads(first.aggregator), False)
    await story.ends_well(stays)


@pytest.mark.parametrize("act", ["create", "kill"])
async def test_two_that_both_believe_to_lead_do_it_once(story: Story, act: str) -> None:
    """Each has a lease of its own, so the gate of neither is closed."""
    await story.start()
    second = await story.start(lease="another")
    await until(lambda: leads(second.aggregator), True)
    await story.begin(act)
    before = await story.uid()
    await story.go(act)
    await story.ends_well(before)
    assert await story.claims_told() == ([1] if act == "kill" else [])


async def succeed(story: Story) -> None:
    """Let another aggregator take the lease of the first."""
    # The lease of a dead process ends by itself, in time.
    second = await story.start(succeeds=True)
    await until(lambda: leads(second.aggregator), True)
