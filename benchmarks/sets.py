"""What sets cost: `make bench-sets`. Prints a table, then the same as JSON.

- A plan of 10,000 servers, decided anew and again after one of them changed; half as many beside
  it, because the cost must grow linearly.
- One pod event in such a set, amortised: a thousand events a second come in, and the set is looked
  at as often as its reconciler does, which rests ten times as long as it worked. What an event
  costs is all processor time, its decoding included, over the number of events.
- 1,000 servers from zero: one run of the real reconciler against the local API server over TLS,
  and the same pods from a bare client in turns with it, so that both meet the same machine.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

from aggregator.caches import Caches
from aggregator.gameserverset.agent_container import AgentTemplate
from aggregator.gameserverset.apply import Applier
from aggregator.gameserverset.creations import MAX_CREATIONS
from aggregator.gameserverset.facts import read_facts
from aggregator.gameserverset.plan import Observed, observe, plan
from aggregator.gameserverset.pod import render_pod
from aggregator.gameserverset.reconciler import (
    MOST_REST_SECONDS,
    REST_FACTOR,
    GameServerSetReconciler,
)
from aggregator.gameserverset.roster import Roster
from aggregator.gameserverset.trust import TrustBundle
from aggregator.kube.batch import run_batch
from aggregator.kube.client import open_kube_client
from aggregator.kube.events import EventRecorder
from aggregator.kube.expectations import Expectations
from aggregator.kube.resources import GAMESERVERSETS, PODS, ObjectKey
from aggregator.ledger import Ledger
from aggregator.pods import decode_our_pod
from benchmarks.rows import Row, report
from shared.api import names
from shared.api.gameserverset import GameServerSet
from tests.support.apiserver import start_apiserver
from tests.support.builders import NOW, game_server, game_server_set, pod

if TYPE_CHECKING:
    from aggregator.kube.transport import KubeClient
    from aggregator.pods import Pod
    from shared.api.gameserver import GameServer

SERVERS = 10_000
RUNS = 7
EVENTS = 5_000
EVENTS_PER_SECOND = 1_000
NEW_SERVERS = 1_000
TURNS = 3
NAMESPACE = "default"
DEFINITIONS = Path(__file__).parents[1] / "charts" / "gamekeeper" / "crds"
_AGENT = AgentTemplate("agent:1", "Never", ("https://reports:8443",))


def _pairs(count: int) -> list[tuple[Pod, GameServer | None]]:
    states = ("None", "Allocated", "WaitToBeDeleted", "Maintaining")
    return [(pod(id_), game_server(id_, opsState=states[id_ % 4])) for id_ in range(count)]


def _milliseconds(started: float) -> float:
    return (process_time() - started) * 1000


def measure_plans() -> list[Row]:
    """Measure whole plans, each of which has a tenth of the servers to take down."""
    rows = []
    for count, limit in ((SERVERS // 2, 25.0), (SERVERS, 50.0)):
        pairs = _pairs(count)
        owner = game_server_set(replicas=count * 9 // 10)
        facts, roster = read_facts(owner), Roster()
        fresh, again = [], []
        for _ in range(RUNS):
            started = process_time()
            plan(observe(owner, pairs, NOW))
            fresh.append(_milliseconds(started))
            roster.call(owner, pairs, NOW)
            started = process_time()
            plan(Observed(owner, facts, roster.call(owner, pairs, NOW), NOW))
            again.append(_milliseconds(started))
        name = f"plan of {count:,} servers"
        rows.append(Row(f"{name}, each described anew", median(fresh), "ms"))
        rows.append(Row(name, median(again), "ms", limit))
    return rows


def measure_events() -> Row:
    """Measure a storm of events: each replaces one pod in the cache."""
    pairs = _pairs(SERVERS)
    owner = game_server_set(replicas=SERVERS)
    facts, roster = read_facts(owner), Roster()
    roster.call(owner, pairs, NOW)
    lines = [
        json.dumps(
            {
                "metadata": {
                    **{"name": f"minecraft-{id_}", "namespace": "games", "uid": f"pod-{id_}"},
                    "resourceVersion": "21",
                    "labels": {"game.kruise.io/owner-gss": "minecraft"},
                },
                "spec": {"containers": [{"name": "game", "image": "game:1"}]},
                "status": {"phase": "Running"},
            }
        ).encode()
        for id_ in range(EVENTS)
    ]
    clock = rests_until = 0.0
    started = process_time()
    for id_, line in enumerate(lines):
        clock += 1 / EVENTS_PER_SECOND
        changed = decode_our_pod(line)
        assert changed is not None  # noqa: S101 - it has our label
        pairs[id_] = (changed, pairs[id_][1])
        if clock >= rests_until:
            looked = process_time()
            plan(Observed(owner, facts, roster.call(owner, pairs, NOW), NOW))
            worked = process_time() - looked
            rests_until = clock + worked + min(MOST_REST_SECONDS, REST_FACTOR * worked)
    spent = _milliseconds(started) / EVENTS
    return Row(f"one pod event in {SERVERS:,} servers, amortised", spent, "ms", 1.0)


async def measure_creations(kubeconfig: Path) -> list[Row]:
    """Measure 1,000 servers from zero, and the same creations from a bare client."""
    bare, sets = [], []
    async with open_kube_client(str(kubeconfig)) as client:
        for turn in range(TURNS):
            bare.append(await _create_bare(client, f"bare-{turn}"))
            sets.append(await _create_set(client, f"set-{turn}"))
    share = median(mine / theirs for mine, theirs in zip(sets, bare, strict=True)) * 100
    return [
        Row("creates per second, bare client", median(bare), "/s"),
        Row(f"creates per second, {NEW_SERVERS:,} from zero", median(sets), "/s"),
        Row("share of the bare client's rate", share, "%", 80.0, at_least=True),
    ]


async def _owner(client: KubeClient, name: str) -> GameServerSet:
    template = {"spec": {"containers": [{"name": "game", "image": "game:1"}]}}
    wanted = game_server_set(replicas=NEW_SERVERS, template=template)
    body = wanted.model_dump(mode="json", by_alias=True, exclude_none=True, include={"spec"})
    head = {"apiVersion": GAMESERVERSETS.api_version, "kind": GAMESERVERSETS.kind}
    made = await client.create(
        GAMESERVERSETS, NAMESPACE, {**head, "metadata": {"name": name}, **body}
    )
    return GameServerSet.model_validate(made)


async def _create_bare(client: KubeClient, name: str) -> float:
    owner = await _owner(client, name)
    bodies = [render_pod(owner, id_, _AGENT) for id_ in range(NEW_SERVERS)]

    async def create(body: dict[str, Any]) -> None:
        await client.create(PODS, NAMESPACE, body)

    started = perf_counter()
    jobs = [lambda body=body: create(body) for body in bodies]
    failures = await run_batch(jobs, MAX_CREATIONS)
    took = perf_counter() - started
    if failures:
        sys.exit(f"the API server refuses pods: {failures[0]}")
    return NEW_SERVERS / took


async def _create_set(client: KubeClient, name: str) -> float:
    owner = await _owner(client, name)
    key = ObjectKey(NAMESPACE, name)
    caches, expectations = Caches(Ledger(0.0, 10.0)), Expectations()
    caches.sets.put(key, owner)
    trust = TrustBundle(client, lambda: "")
    applier = Applier(client, EventRecorder(client), expectations, trust, _AGENT)
    reconciler = GameServerSetReconciler(caches, applier, expectations)
    started = perf_counter()
    await reconciler.reconcile(key)
    took = perf_counter() - started
    made = await client.list(PODS, NAMESPACE, f"{names.OWNER_LABEL}={name}")
    if len(made.items) != NEW_SERVERS:
        sys.exit(f"{len(made.items)} pods of {name} exist: {applier.creations.refusal(key)}")
    return NEW_SERVERS / took


def main() -> int:
    """Measure everything; exit 1 when a limit is not kept."""
    rows = [*measure_plans(), measure_events()]
    with tempfile.TemporaryDirectory() as folder:
        definitions = sorted(DEFINITIONS.glob("*.yaml"))
        server = start_apiserver(Path(folder) / "apiserver", definitions)
        try:
            rows += asyncio.run(measure_creations(server.kubeconfig))
        finally:
            server.stop()
    return report(rows)


if __name__ == "__main__":
    sys.exit(main())
