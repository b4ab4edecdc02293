"""What to do for a set: which servers to claim, delete and create, and its status. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aggregator.binding import claim_on, speaks_for
from aggregator.gameserverset.ids import IdProblem, parse_reserve_list, parse_server_id
from aggregator.gameserverset.scale import ScalePlan, Server, plan_scale
from aggregator.gameserverset.status import (
    ConditionState,
    Member,
    next_availability,
    plan_status,
)
from aggregator.quality.probes import QualityProblem, plan_probes
from aggregator.selection import parse_priority

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta

    from aggregator.pods import Pod
    from shared.api.gameserver import GameServer
    from shared.api.gameserverset import GameServerSet, GameServerSetStatus

CONDITION_QUALITIES_VALID = "ServiceQualitiesValid"
CONDITION_RESERVE_VALID = "ReserveIdsValid"
CONDITION_WAITING = "WaitingForTermination"
# A condition is for people: it names a few, and says how many there are.
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that is known about one set.

    Attributes:
        pods: that the set controls, terminating ones included.
        servers: GameServers of the set by name.
    """

    owner: GameServerSet
    pods: Sequence[Pod]
    servers: Mapping[str, GameServer]
    now: datetime

    def server_of(self, name: str, pod_uid: str) -> GameServer | None:
        """Return the GameServer that speaks for this very pod; state never leaks to a successor."""
        server = self.servers.get(name)
        return server if server is not None and speaks_for(server, pod_uid) else None


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do for one set.

    Attributes:
        scale: which servers to claim, delete and create.
        status: to be written if it is not the one that was observed.
        requeue_after: until something is due that no event announces.
    """

    scale: ScalePlan
    status: GameServerSetStatus
    requeue_after: timedelta | None = None


def plan(observed: Observed) -> Plan:
    """Return what to do for one set."""
    owner = observed.owner
    reserved, id_problems = parse_reserve_list(owner.spec.reserve_game_server_ids)
    found = [
        (pod, observed.server_of(pod.metadata.name, pod.metadata.uid)) for pod in observed.pods
    ]
    servers = [
        _describe(pod, server, id_)
        for pod, server in found
        if (id_ := parse_server_id(owner.metadata.name, pod.metadata.name)) is not None
    ]
    scale = plan_scale(tuple(servers), owner.spec.replicas, reserved)
    members = [
        Member(pod, server.spec.ops_state if server is not None else "")
        for pod, server in found
        if not pod.terminating
    ]
    probes = plan_probes(owner.spec)
    conditions = [
        *_quality_conditions(owner.spec.service_qualities, probes.problems),
        *_reserve_conditions(id_problems),
        *_waiting_conditions(owner.metadata.name, scale.waiting_for),
    ]
    return Plan(
        scale,
        plan_status(owner, members, conditions, observed.now),
        next_availability(owner, members, observed.now),
    )


def _describe(pod: Pod, server: GameServer | None, id_: int) -> Server:
    return Server(
        id=id_,
        pod_uid=pod.metadata.uid,
        ops_state=server.spec.ops_state if server is not None else "",
        deletion_priority=parse_priority(server.spec.deletion_priority).value if server else 0,
        terminating=pod.terminating,
        claimed=claim_on(server, pod),
    )


def _quality_conditions(
    qualities: Sequence[object], problems: Sequence[QualityProblem]
) -> list[ConditionState]:
    if not qualities:
        return []
    if not problems:
        return [ConditionState(CONDITION_QUALITIES_VALID, holds=True, reason="AllValid")]
    message = "; ".join(f"{problem.path} {problem.message}" for problem in problems[:_NAMED])
    return [ConditionState(CONDITION_QUALITIES_VALID, False, "QualityIgnored", message)]


def _reserve_conditions(problems: Sequence[IdProblem]) -> list[ConditionState]:
    if not problems:
        return []
    message = "; ".join(
        f"spec.reserveGameServerIds[{problem.index}]: {problem.message}"
        for problem in problems[:_NAMED]
    )
    return [ConditionState(CONDITION_RESERVE_VALID, False, "ItemIgnored", message)]


def _waiting_conditions(set_name: str, waiting_for: Sequence[int]) -> list[ConditionState]:
    if not waiting_for:
        return []
    listed = ", ".join(f"{set_name}-{id_}" for id_ in waiting_for[:_NAMED])
    more = f" and {len(waiting_for) - _NAMED} more" if len(waiting_for) > _NAMED else ""
    message = f"the former pods of {listed}{more} still terminate; their ids are waited for"
    return [ConditionState(CONDITION_WAITING, True, "PodsTerminating", message)]
