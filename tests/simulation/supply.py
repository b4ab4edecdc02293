"""What an autoscaler may do to the servers of its set, said once more from the papers. Pure.

Only what must hold whatever its history was: rates and windows are tested elsewhere. As rules.py,
it shares nothing with the code that it measures but names.

A server is *present* when it is live and neither claimed nor to be killed (one whose id is reserved
is replaced by another, so it counts); *idle* when its opsState is None or not said yet, too; those
*missing* are asked for and not there, and count as idle. A victim is right when it was marked for
as long as the autoscaler asks, or when it is among those idle servers that are more than
`maxAvailable`: first who is not Ready, then larger deletionPriority, then larger id. Missing
servers are cancelled before any idle one goes. `replicas` grows only while fewer are idle than
`minAvailable`, or fewer than `minReplicas` exist, and never above `maxReplicas`; it shrinks only by
what is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aggregator.kube.resources import AUTOSCALERS, GAMESERVERS, PODS
from shared.api import names
from tests.simulation import rules

if TYPE_CHECKING:
    from tests.simulation.rules import Game, Json, State


def the_scaler(state: State) -> Json | None:
    """Return the only autoscaler; None when it is not there."""
    return next(iter(state[AUTOSCALERS.plural].values()), None)


def is_active(scaler: Json) -> bool:
    """Tell whether it may write."""
    return bool(scaler["spec"]["mode"] == "Active")


def dwell_seconds(scaler: Json) -> float:
    """Return for how long a server has to be marked."""
    return float(scaler["spec"]["behavior"]["scaleDown"]["waitToBeDeletedSeconds"])


def with_claims(state: State, pod_uids: set[str]) -> State:
    """Return the state as it is known to whoever has just claimed these pods.

    Also where somebody has deleted the GameServer since: the claim went with it, and its maker
    counts on the deletion until the pod is gone.
    """
    servers = dict(state[GAMESERVERS.plural])
    for name, pod in state[PODS.plural].items():
        uid = pod["metadata"]["uid"]
        owner = {"kind": "Pod", "uid": uid}
        server = servers.get(name, {"metadata": {"ownerReferences": [owner]}, "spec": {}})
        if uid in pod_uids and "deletion" not in server["spec"]:
            claim = {"reason": "Autoscaler", "podUid": uid}
            servers[name] = {**server, "spec": {**server["spec"], "deletion": claim}}
    return {**state, GAMESERVERS.plural: servers}


def present(state: State) -> list[Game]:
    """Return the servers that neither leave nor are to be killed."""
    owner = rules.the_set(state)
    assert owner is not None
    games = rules.games_of(state, owner)
    return [game for game in games if game.live and not game.claimed and game.written != "Kill"]


def idle(state: State) -> list[Game]:
    """Return the idle servers that exist."""
    return [game for game in present(state) if game.written in ("", "None")]


def expected(state: State) -> int:
    """Return how many servers there will be if nobody does anything: Kills lower `replicas`."""
    owner = rules.the_set(state)
    assert owner is not None
    replicas = int(owner["spec"]["replicas"])
    unfilled = max(0, replicas - len(present(state)))
    return replicas - min(unfilled, len(rules.uncounted_kills(state)))


def missing(state: State) -> int:
    """Return how many servers are asked for and not there."""
    return max(0, expected(state) - len(present(state)))


def surplus(state: State, scaler: Json) -> set[str]:
    """Return the uids of idle servers that are more than the autoscaler wants."""
    most = scaler["spec"].get("maxAvailable")
    if most is None:
        return set()
    servers = state[GAMESERVERS.plural]
    there = idle(state)

    def rank(game: Game) -> tuple[bool, int, int]:
        server = next(each for name, each in servers.items() if name.endswith(f"-{game.id}"))
        ready = (server.get("status") or {}).get("currentState") == names.STATE_READY
        return ready, -game.priority, -game.id

    known = [game for game in there if game.written]
    unknown = len(there) - len(known)
    return {game.uid for game in sorted(known, key=rank)[: max(0, len(known) + unknown - most)]}


def most_replicas(state: State, scaler: Json) -> int:
    """Return how large the set may be made."""
    spec, there = scaler["spec"], expected(state)
    short = max(
        spec["minAvailable"] - len(idle(state)) - missing(state),
        spec["minReplicas"] - there,
        0,
    )
    return min(there + short, max(spec["maxReplicas"], there))
