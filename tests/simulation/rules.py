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

import json
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
    """One pod of the set with what its GameServer says of it.

    Attributes:
        version: of the pod.
        ops_state: as it counts: the mark of a silent quality counts as None (SPEC 4.10).
        written: opsState as the GameServer has it.
        revision: that the pod says it has.
    """

    id: int
    uid: str
    version: int
    ops_state: str
    written: str
    priority: int
    revision: str
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
    uid, hooked = owner["metadata"]["uid"], "preDelete" in (owner["spec"].get("lifecycle") or {})
    return [
        _game(pod, servers.get(name), uid, hooked=hooked)
        for name, pod in state["pods"].items()
        if controller_uid(pod) == uid
    ]


def controller_uid(obj: Json) -> str:
    """Return the uid of what controls an object; empty for an orphan."""
    return next((str(each["uid"]) for each in _owners(obj) if each.get("controller")), "")


def _owners(obj: Json) -> list[Json]:
    return obj["metadata"].get("ownerReferences") or []


def _game(pod: Json, server: Json | None, set_uid: str, *, hooked: bool) -> Game:
    metadata, status = pod["metadata"], pod.get("status") or {}
    uid, labels = metadata["uid"], metadata.get("labels") or {}
    own = server if server is not None and speaks_for(server, uid, set_uid) else None
    said: Json = own["spec"] if own is not None else {}
    written = said.get("opsState", "")
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
        ops_state="None" if own is not None and is_stale_mark(own, uid) else written,
        written=written,
        revision=labels.get(names.REVISION_LABEL, ""),
        priority=int(said.get("deletionPriority", 0)),
        terminating="deletionTimestamp" in metadata,
        held=hooked and _HOOK.items() <= labels.items(),
        claimed=(said.get("deletion") or {}).get("reason", ""),
        ended=ended,
        available=ready and not ended and not updating,
        containers=containers_of(pod["spec"]),
    )


def speaks_for(server: Json, pod_uid: str, set_uid: str) -> bool:
    """Tell whether a GameServer is that of the pod with this uid, which this set controls."""
    owners = [each["uid"] for each in _owners(server) if each["kind"] == "Pod"]
    if owners:
        return owners == [pod_uid]
    sets = [each["uid"] for each in _owners(server) if each["kind"] == names.GAMESERVERSET_KIND]
    if any(uid != set_uid for uid in sets):
        return False
    claim = server["spec"].get("deletion")
    return claim is None or claim["podUid"] == pod_uid


def recorded(server: Json, pod_uid: str) -> dict[str, Json]:
    """Return the last acted-on verdict of each quality of this very pod (SPEC 4.2)."""
    text = (server["metadata"].get("annotations") or {}).get(names.VERDICTS_ANNOTATION, "{}")
    records = json.loads(text)
    return {name: each for name, each in records.items() if each["podUid"] == pod_uid}


def was_written(server: Json, ops_state: str) -> bool:
    """Tell whether a quality wrote this opsState, for whatever pod."""
    text = (server["metadata"].get("annotations") or {}).get(names.VERDICTS_ANNOTATION, "{}")
    fields = [each.get("fields") or {} for each in json.loads(text).values()]
    return any(each.get("opsState") == ops_state for each in fields)


def is_stale_mark(server: Json, pod_uid: str) -> bool:
    """Tell whether qualities marked a server as idle that all know nothing any more."""
    if server["spec"].get("opsState") != "WaitToBeDeleted":
        return False
    text = (server["metadata"].get("annotations") or {}).get(names.VERDICTS_ANNOTATION, "{}")
    writers = {
        name
        for name, each in json.loads(text).items()
        if (each.get("fields") or {}).get("opsState") == "WaitToBeDeleted"
    }
    status = server.get("status") or {}
    speaking = status.get("serviceQualitiesConditions") or ()
    if status.get("podUid") != pod_uid:
        speaking = ()
    known = {each["name"] for each in speaking if each["status"] != "Unknown"}
    return bool(writers) and not writers & known


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


def wanted(state: State, owner: Json | None = None) -> list[Game]:
    """Return the wanted servers of a set, of the one in this state by default."""
    owner = owner or the_set(state)
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
