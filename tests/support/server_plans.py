"""Plans for one game server, applied and observed again without an API server."""

from __future__ import annotations

import json
from dataclasses import replace

import msgspec

from aggregator.gameserver.observed import Observed
from aggregator.gameserver.operations import (
    CreateServer,
    DeleteServer,
    PatchPod,
    PatchServer,
    PatchStatus,
)
from aggregator.gameserver.plan import Plan, plan
from aggregator.pods import decode_pod
from shared.api.gameserver import GameServer
from tests.support.builders import NOW, game_server, game_server_set, pod, probe_report, quality
from tests.support.merge_patch import merged

SEED = quality(
    "healthy",
    {"state": True, "result": "gate", "opsState": "GateMaintaining"},
    {"state": False, "opsState": "None"},
)
DOWN = quality("healthy", {"state": False, "opsState": "Maintaining"})
SET = game_server_set(qualities=(SEED,))
GATE = probe_report(result="gate")
CLAIM = {"reason": "ScaleDown", "podUid": "pod-0"}


def observed(**fields):
    """A pod with its GameServer, nothing reported yet."""
    body = {
        "pod": pod(),
        "server": game_server(),
        "owner": SET,
        "report": None,
        "lost": False,
        "remembered_at": None,
        "now": NOW,
    }
    return Observed(**(body | fields))


def applied(before: Observed, decision: Plan) -> Observed:
    """What is observed once the operations were done; the rest stays."""
    pod_, server = before.pod, before.server
    for operation in decision.operations:
        match operation:
            case CreateServer(body):
                made = {"uid": "made", "resourceVersion": "31"}
                server = GameServer.model_validate(merged(body, {"metadata": made}))
            case DeleteServer():
                server = None
            case PatchServer(document=document):
                server = patched(server, document)
            case PatchStatus(status=status):
                server = patched(server, {"status": status})
            case PatchPod(metadata=metadata):
                body = merged(msgspec.to_builtins(pod_), {"metadata": metadata})
                pod_ = decode_pod(json.dumps(body))
    return replace(before, pod=pod_, server=server)


def patched(server, document):
    body = server.model_dump(mode="json", by_alias=True, exclude_none=True)
    return GameServer.model_validate(merged(body, document))


def settle(before: Observed) -> Observed:
    """Apply plans until one is empty; three are enough for anything."""
    for _ in range(3):
        decision = plan(before)
        if not decision.operations:
            return before
        before = applied(before, decision)
    assert plan(before).operations == ()
    return before


def kinds(decision: Plan) -> list[str]:
    return [type(operation).__name__ for operation in decision.operations]
