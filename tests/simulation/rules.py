"""What a set of servers means, said once more from the specification and from plain JSON. Pure.

This is the yardstick of the simulator, so it shares nothing with the code that it measures but the
names of labels and annotations. A `State` is what the API server has, or what somebody saw of it.

The words: a server is *live* when its pod is there and not terminating; *condemned* when its id is
reserved or its opsState is Kill; *wanted* when it is live, not condemned and not claimed.

**A victim of a scale-down is right** when it is among the first `excess` wanted servers of the
state that the decision was made on, in the order of opsState (WaitToBeDeleted, then None and
others, then Allocated, then Maintaining), larger deletionPriority, larger id; where `excess` is how
many more servers are wanted than `replicas` after the Kills that still have to be counted; and when
its opsState is still the one that was seen, at the moment in which the claim is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.api import names

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = dict[str, Any]
State = dict[str, dict[str, Json]]
"""Objects by plural and name."""

_ORDER = ("WaitToBeDeleted", "None", "Allocated", "Maintaining")
# Of the only hook that a schedule knows.
_HOOK = {"drain": "me"}
COUNTED = ("Kill", "Autoscaler")
"""Reasons of claims that lower `replicas`."""


@dataclass(frozen=True)
class Game:
    """One pod of the set with what its GameServer says of it."""

    id: int
    uid: str
    version: int
    ops_state: str
    priority: int
    terminating: bool
    held: bool
    claimed: str
    ended: bool
    available: bool
    containers: tuple[tuple[Any, ...], ...]

    @property
    def live(self) -> bool:
        return not self.terminating

    @property
    def rank(self) -> tuple[int, int, int]:
        """Sorts the first to be deleted first."""
        known = self.ops_state if self.ops_state in _ORDER else "None"
        return _ORDER.index(known), -self.priority, -self.id


def the_set(state: State) -> Json | None:
    """Return the only set, None when it is not there."""
    return next(iter(state[names.GAMESERVERSETS].values()), None)


def games_of(state: State, owner: Json) -> list[Game]:
    """Return the pods that a set controls."""
    servers = state[names.GAMESERVERS]
    return [
        _game(pod, servers.get(name))
        for name, pod in state["pods"].items()
        if any(each["uid"] == owner["metadata"]["uid"] for each in _owners(pod))
    ]


def _owners(obj: Json) -> list[Json]:
    return obj["metadata"].get("ownerReferences") or []


def _game(pod: Json, server: Json | None) -> Game:
    metadata, status = pod["metadata"], pod.get("status") or {}
    uid = metadata["uid"]
    said: Json = server["spec"] if server is not None and speaks_for(server, uid) else {}
    ready = any(
        each["type"] == "Ready" and each["status"] == "True"
        for each in status.get("conditions") or ()
    )
    ended = status.get("phase") in ("Failed", "Succeeded")
    updating = names.UPDATE_ANNOTATION in (metadata.get("annotations") or {})
    return Game(
        id=int(metadata["name"].rpartition("-")[2]),
        uid=uid,
        version=int(metadata["resourceVersion"]),
        ops_state=said.get("opsState", ""),
        priority=int(said.get("deletionPriority", 0)),
        terminating="deletionTimestamp" in metadata,
        held=_HOOK.items() <= (metadata.get("labels") or {}).items(),
        claimed=(said.get("deletion") or {}).get("reason", ""),
        ended=ended,
        available=ready and not ended and not updating,
        containers=containers_of(pod["spec"]),
    )


def speaks_for(server: Json, pod_uid: str) -> bool:
    """Tell whether a GameServer is that of the pod with this uid."""
    owners = [each["uid"] for each in _owners(server) if each["kind"] == "Pod"]
    if owners:
        return owners == [pod_uid]
    claim = server["spec"].get("deletion")
    return claim is None or claim["podUid"] == pod_uid


def containers_of(spec: Json) -> tuple[tuple[Any, ...], ...]:
    """Return what a template decides about containers here: names, images, environments."""
    return tuple(
        (each["name"], each.get("image"), str(each.get("env") or [])) for each in spec["containers"]
    )


def template_of(owner: Json) -> tuple[tuple[Any, ...], ...]:
    """Return what the pods of a set should be."""
    return containers_of(owner["spec"]["gameServerTemplate"]["spec"])


def reserved_ids(owner: Json) -> set[int]:
    """Return the reserved ids; ranges of a schedule are short."""
    ids: set[int] = set()
    for item in owner["spec"].get("reserveGameServerIds") or ():
        first, _, last = str(item).partition("-")
        ids |= set(range(int(first), int(last or first) + 1))
    return ids


def accounted_uids(owner: Json) -> set[str]:
    """Return the uids of deletions that the spec counts."""
    text = (owner["metadata"].get("annotations") or {}).get(names.ACCOUNTED_ANNOTATION, "")
    return {uid for uid in text.split(",") if uid}


def strategy_of(owner: Json) -> str:
    """Return the strategy of scale-downs."""
    return str((owner["spec"].get("scaleStrategy") or {}).get("scaleDownStrategyType", "General"))


def max_unavailable(owner: Json) -> int:
    """Return how many servers an update may take out of service; a number in every schedule."""
    rolling = (owner["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}
    return int(rolling.get("maxUnavailable", 1))


def wanted(state: State) -> list[Game]:
    """Return the wanted servers."""
    owner = the_set(state)
    if owner is None:
        return []
    reserved = reserved_ids(owner)
    return [
        game
        for game in games_of(state, owner)
        if game.live and not game.claimed and game.ops_state != "Kill" and game.id not in reserved
    ]


def uncounted_kills(state: State) -> list[Game]:
    """Return the servers whose deletion has to lower `replicas` and has not."""
    owner = the_set(state)
    if owner is None:
        return []
    accounted = accounted_uids(owner)
    return [
        game
        for game in games_of(state, owner)
        if (game.claimed in COUNTED and game.uid not in accounted)
        or (game.live and not game.claimed and game.ops_state == "Kill")
    ]


def target(state: State) -> int:
    """Return `replicas` after the Kills that have to be counted (SPEC 6.5).

    A Kill that a pending scale-down covers already does not count twice: the surplus of servers
    over `replicas` is taken off first.
    """
    owner = the_set(state)
    assert owner is not None
    replicas = int(owner["spec"]["replicas"])
    kills = len(uncounted_kills(state))
    surplus = max(0, len(wanted(state)) + kills - replicas)
    return replicas - max(0, kills - surplus)


def right_victims(state: State, protected: bool) -> set[str]:
    """Return the uids of the servers that a scale-down decided on this state takes."""
    excess = len(wanted(state)) - target(state)
    candidates = sorted(wanted(state), key=lambda game: game.rank)
    if protected:
        candidates = [game for game in candidates if game.ops_state != "Allocated"]
    return {game.uid for game in candidates[: max(0, excess)]}


def protects(owner: Mapping[str, Any]) -> bool:
    """Tell whether Allocated servers are never chosen."""
    annotations = owner["metadata"].get("annotations") or {}
    return annotations.get(names.PROTECT_ANNOTATION) == "true"
