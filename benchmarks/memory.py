"""Memory of an aggregator that knows 10,000 servers: `make bench-memory`. A table, then JSON.

Everything is decoded from JSON as the reflectors and the intake decode it, and kept where the
aggregator keeps it: sets, GameServers and pods in their stores, reports in the ledger, and both
histories as full as they can get. What counts is the resident memory of this process after each
step. Beside it stands what the widest answer of the status API costs, and how long it holds up the
event loop, which reports need.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import aggregator.app as program
from aggregator.caches import Caches
from aggregator.intake.decode import decode_report
from aggregator.kube.resources import ObjectKey
from aggregator.ledger import Accepted, Ledger
from aggregator.pods import decode_our_pod
from aggregator.runtime import tune
from aggregator.status.history import RUNS, TRANSITIONS, RunHistory, ServerHistory
from aggregator.status.views import StatusViews
from shared.api import names
from shared.api.gameserver import GameServer
from shared.api.gameserverset import GameServerSet
from shared.clock import monotonic_seconds, utc_now
from shared.protocol.paths import AGENT_CONTAINER_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SERVERS = 10_000
LIMIT_MIB = 500
NAMESPACE = "games"
SET = "minecraft"
_SET_UID = str(uuid4())
_PAGE = os.sysconf("SC_PAGE_SIZE")
_MIB = 1 << 20
_BEGIN = datetime(2026, 6, 1, 12, tzinfo=UTC)
_STATES = ("None", "WaitToBeDeleted", "Maintaining", "Allocated")


def _time(seconds: float) -> str:
    return (_BEGIN + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


# -- the fleet -------------------------------------------------------------------------------------


def _quality(name: str, state: str) -> dict[str, Any]:
    return {
        "name": name,
        "containerName": SET,
        "exec": {"command": ["bash", f"./{name}.sh"]},
        "serviceQualityAction": [
            {"state": True, "opsState": state},
            {"state": False, "opsState": "None"},
        ],
    }


def _set() -> bytes:
    body = {
        "metadata": _meta(SET, _SET_UID, {}),
        "spec": {
            "replicas": SERVERS,
            "gameServerTemplate": {"spec": {"containers": [{"name": SET, "image": "mc:1.20"}]}},
            "serviceQualities": [
                _quality("idle", "WaitToBeDeleted"),
                _quality("healthy", "Maintaining"),
            ],
        },
    }
    return json.dumps(body).encode()


def _meta(name: str, uid: str, labels: dict[str, str]) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": NAMESPACE,
        "uid": uid,
        "resourceVersion": str(uuid4().int % 10**9),
        "generation": 3,
        "creationTimestamp": "2026-06-01T11:00:00Z",
        "labels": labels,
    }


def _pod(number: int, uid: str) -> bytes:
    labels = {
        names.OWNER_LABEL: SET,
        "game.kruise.io/gs-opsState": "None",
        "game.kruise.io/gs-state": "Ready",
        "game.kruise.io/gs-update-priority": "0",
        "game.kruise.io/gs-delete-priority": "0",
        "app": "minecraft",
    }
    owner = {"uid": _SET_UID, "name": SET, "kind": names.GAMESERVERSET_KIND, "controller": True}
    containers = (SET, AGENT_CONTAINER_NAME)
    conditions = ("Initialized", "Ready", "ContainersReady", "PodScheduled")
    status = {
        "phase": "Running",
        "podIP": f"10.0.{number // 250}.{number % 250}",
        "hostIP": f"192.168.0.{number % 250}",
        "startTime": "2026-06-01T11:00:00Z",
        "conditions": [
            {"type": each, "status": "True", "lastTransitionTime": "2026-06-01T11:00:00Z"}
            for each in conditions
        ],
        "containerStatuses": [
            {"name": each, "containerID": f"containerd://{uuid4().hex}{uuid4().hex}"}
            for each in containers
        ],
    }
    spec = {
        "nodeName": f"node-{number % 300}",
        "containers": [{"name": each, "image": f"registry/{each}:1.20"} for each in containers],
    }
    meta = _meta(f"{SET}-{number}", uid, labels) | {"ownerReferences": [owner]}
    return json.dumps({"metadata": meta, "spec": spec, "status": status}).encode()


def _server(number: int, pod_uid: str, turn: int) -> bytes:
    """Return a GameServer after its `turn`-th change, as its qualities leave it."""
    state = _STATES[turn % len(_STATES)]
    record = {
        "status": "True" if turn % 2 else "False",
        "resultHash": "e3b0c44298fc1c14",
        "podUid": pod_uid,
        "executedAt": _time(turn),
        "fields": {"opsState": state},
    }
    condition = {
        "status": record["status"],
        "result": f"players: {turn}",
        "lastProbeTime": _time(turn),
        "lastTransitionTime": _time(turn),
        "lastActionTransitionTime": _time(turn),
    }
    qualities = ("idle", "healthy")
    meta = _meta(f"{SET}-{number}", f"gs-{pod_uid}", {names.OWNER_LABEL: SET})
    meta["annotations"] = {
        names.VERDICTS_ANNOTATION: json.dumps(dict.fromkeys(qualities, record)),
    }
    meta["ownerReferences"] = [
        {"apiVersion": "v1", "kind": "Pod", "name": f"{SET}-{number}", "uid": pod_uid}
    ]
    status = {
        "podUid": pod_uid,
        "desiredState": "Ready",
        "currentState": "Ready" if turn % 3 else "NotReady",
        "serviceQualitiesConditions": [{"name": each} | condition for each in qualities],
    }
    spec = {"opsState": state, "updatePriority": 0, "deletionPriority": turn}
    return json.dumps({"metadata": meta, "spec": spec, "status": status}).encode()


def _report(pod_uid: str, turn: int) -> bytes:
    """Return the report of a `turn`, with an outcome that the one before did not have."""
    probe = {
        "status": "True" if turn % 2 else "False",
        "result": f"players: {turn}",
        "exitCode": 1 - turn % 2,
        "stderr": f"{pod_uid} {turn} warning: the status query took longer than usual, see log",
        "startedAt": _time(turn),
        "durationSeconds": turn + 0.0123,
        "transitionAt": _time(turn),
        "runs": 1000 + turn,
        "consecutive": 1,
    }
    body = {
        "podUid": pod_uid,
        "epoch": 1_780_000_000_000,
        "sequence": 1000 + turn,
        "sentAt": _time(turn),
        "agentVersion": "0.1.0",
        "probesRevision": "r1",
        "containers": [{"name": SET, "running": True, "startedAt": _time(0)}],
        "probes": [{"name": "idle"} | probe, {"name": "healthy"} | probe],
    }
    return json.dumps(body).encode()


class _Fleet:
    """The memory of one aggregator, filled step by step."""

    def __init__(self) -> None:
        self.caches = Caches(Ledger(monotonic_seconds(), 10))
        self.runs = RunHistory()
        self.history = ServerHistory()
        self._uids = [str(uuid4()) for _ in range(SERVERS)]

    def steps(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """Yield what is added, in order."""
        yield "GameServers", self._add_servers
        yield "pods", self._add_pods
        yield "last reports", self._add_reports
        yield "history of runs, full", self._fill_runs
        yield "history of servers, full", self._fill_history

    def _keys(self) -> Iterator[tuple[int, ObjectKey, str]]:
        for number, uid in enumerate(self._uids):
            yield number, ObjectKey(NAMESPACE, f"{SET}-{number}"), uid

    def _add_servers(self) -> None:
        owner = GameServerSet.model_validate_json(_set())
        self.caches.sets.put(ObjectKey(NAMESPACE, SET), owner)
        for number, key, uid in self._keys():
            server = GameServer.model_validate_json(_server(number, uid, 0))
            self.caches.servers.put(key, server)

    def _add_pods(self) -> None:
        for number, key, uid in self._keys():
            pod = decode_our_pod(_pod(number, uid))
            assert pod is not None  # noqa: S101 - it has our label
            self.caches.pods.put(key, pod)

    def _add_reports(self) -> None:
        self._report(0)

    def _fill_runs(self) -> None:
        for turn in range(1, RUNS + 2):
            self._report(turn)

    def _report(self, turn: int) -> None:
        for uid in self._uids:
            report = decode_report(_report(uid, turn))
            self.caches.ledger.accept(Accepted(report, utc_now(), True), monotonic_seconds())
            self.runs.record(report)

    def _fill_history(self) -> None:
        for turn in range(1, TRANSITIONS // 6 + 2):
            for number, key, uid in self._keys():
                old = self.caches.servers.get(key)
                new = GameServer.model_validate_json(_server(number, uid, turn))
                self.caches.servers.put(key, new)
                self.history.record(key, old, new, utc_now())


# -- the measurement -------------------------------------------------------------------------------


def _resident_mib() -> float:
    """Return the resident memory after what is free was given back."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * _PAGE / _MIB


async def _longest_stall(answer: asyncio.Task[object]) -> float:
    """Return for how many seconds of processor time nobody else got the event loop."""
    longest, last = 0.0, process_time()
    while not answer.done():
        await asyncio.sleep(0)
        now = process_time()
        longest, last = max(longest, now - last), now
    return longest


async def _set_document(fleet: _Fleet) -> dict[str, float]:
    """Return what the document of the whole set costs, the first time and again."""
    views = StatusViews(fleet.caches, fleet.runs, fleet.history, lambda _owner: "r1")
    figures: dict[str, float] = {}
    for name in ("first", "again"):
        begin, clock = process_time(), perf_counter()
        async with asyncio.TaskGroup() as tasks:
            answer = tasks.create_task(views.game_server_set(ObjectKey(NAMESPACE, SET)))
            stall = await _longest_stall(answer)
        figures[f"{name}CpuSeconds"] = process_time() - begin
        figures[f"{name}Seconds"] = perf_counter() - clock
        figures[f"{name}LongestStallMilliseconds"] = stall * 1e3
    return figures


def main() -> int:
    """Measure and print; return 1 when the limit is not kept."""
    tune()
    fleet = _Fleet()
    resident = _resident_mib()
    rows = {f"program ({program.__name__})": resident}
    for name, fill in fleet.steps():
        fill()
        before, resident = resident, _resident_mib()
        rows[name] = resident - before
    for name, mib in rows.items():
        sys.stdout.write(f"{name:28} {mib:7.1f} MiB\n")
    holds = resident <= LIMIT_MIB
    verdict = "" if holds else "  NOT KEPT"
    sys.stdout.write(f"{'together':28} {resident:7.1f} MiB  (limit: {LIMIT_MIB} MB{verdict})\n")
    document = asyncio.run(_set_document(fleet))
    for name, figure in document.items():
        sys.stdout.write(f"set document, {name:32} {figure:8.3f}\n")
    figures = {"mib": rows, "together": resident, "setDocument": document}
    sys.stdout.write(json.dumps(figures) + "\n")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
