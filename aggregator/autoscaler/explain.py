"""Explains a decision: every number of the formula, what bound it, who is what and why. Pure.

The result is plain JSON: what `/v1/autoscalers/{namespace}/{name}` answers and `gamekeeper explain
gssa` prints.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aggregator.autoscaler.status import describe, limits_of, meaning_of
from aggregator.scaling.census import ServerClass, class_of
from aggregator.scaling.quantity import render_amount
from shared.api import names
from shared.protocol.wire import render_time

if TYPE_CHECKING:
    from datetime import datetime

    from aggregator.autoscaler.judgement import Verdict
    from aggregator.scaling.census import Census
    from aggregator.scaling.evaluate import Decision
    from aggregator.scaling.policy import Policy, ServerView, Snapshot
    from aggregator.scaling.quantity import Amount
    from aggregator.scaling.schedule import Scheduled


@dataclass(frozen=True, slots=True)
class Explained:
    """A decision and all that it was made from.

    Attributes:
        set_name: of the set, for the names of its servers.
        wake_at: when it will be looked at again although nothing changes.
    """

    set_name: str
    snapshot: Snapshot
    scheduled: Scheduled
    decision: Decision
    now: datetime
    wake_at: datetime


def explain_verdict(verdict: Verdict) -> dict[str, Any]:
    """Return whether decisions are carried out, and everything that speaks against it."""
    obstacles = [{"reason": reason, "message": text} for reason, text in verdict.obstacles]
    return {"acts": verdict.may_act, "obstacles": obstacles}


def explain(explained: Explained) -> dict[str, Any]:
    """Return the explanation of a decision as plain JSON."""
    decision, policy = explained.decision, explained.scheduled.policy
    growth, removal = decision.growth, decision.removal
    return {
        "set": explained.set_name,
        "at": render_time(explained.now),
        "text": describe(decision),
        "policy": _policy(policy),
        "openSchedules": list(explained.scheduled.open),
        "census": _census(decision.census),
        "growth": {
            "deficit": growth.deficit,
            "stabilized": growth.stabilized,
            "rate": growth.rate,
            "room": growth.room,
            "forced": growth.forced,
            "add": growth.add,
        },
        "removal": {
            "excess": removal.excess,
            "stabilized": removal.stabilized,
            "dwelling": removal.dwelling,
            "wanted": removal.wanted,
            "rate": removal.rate,
            "room": removal.room,
            "cancel": removal.cancel,
            "victims": [f"{explained.set_name}-{server.id}" for server in removal.victims],
        },
        "specReplicas": decision.spec_replicas,
        "desiredReplicas": decision.desired,
        "limits": [
            {"reason": reason.value, "meaning": meaning_of(reason)}
            for reason in limits_of(decision)
        ],
        "servers": _servers(explained, policy),
        "wakeAt": render_time(explained.wake_at),
    }


def _policy(policy: Policy) -> dict[str, Any]:
    return {
        "minReplicas": policy.min_replicas,
        "maxReplicas": policy.max_replicas,
        "minAvailable": _amount(policy.min_available),
        "minAvailableFloor": policy.min_available_floor,
        "maxAvailable": _amount(policy.max_available),
        "supplyOpsStates": sorted(policy.supply_ops_states),
        "waitToBeDeletedSeconds": policy.wait_to_be_deleted.days * 86_400
        + policy.wait_to_be_deleted.seconds,
    }


def _amount(amount: Amount | None) -> int | str | None:
    return None if amount is None else render_amount(amount)


def _census(census: Census) -> dict[str, Any]:
    return {
        "spec": census.spec,
        "present": census.present,
        "kill": census.kill,
        "expected": census.expected,
        "missing": census.missing,
        "ready": len(census.ready),
        "booting": len(census.booting),
        "idle": census.idle,
        "marked": census.marked,
        "base": census.base,
        "ripe": len(census.ripe),
        "dwelling": len(census.dwelling),
        "inUse": census.in_use,
        "leaving": census.leaving,
        "settled": census.settled,
    }


def _servers(explained: Explained, policy: Policy) -> list[dict[str, Any]]:
    victims = {server.id for server in explained.decision.victims}
    return [
        {
            "name": f"{explained.set_name}-{server.id}",
            "class": (class_ := class_of(server, policy)).value,
            "why": _why(server, class_, policy, explained.now),
            "victim": server.id in victims,
        }
        for server in sorted(explained.snapshot.servers, key=lambda each: each.id)
    ]


def _why(server: ServerView, class_: ServerClass, policy: Policy, now: datetime) -> str:
    ops_state = server.ops_state or "no opsState yet"
    match class_:
        case ServerClass.LEAVING:
            return "it terminates, waits for its preDelete hook, or is claimed"
        case ServerClass.KILL:
            return "opsState Kill: it goes by itself and lowers replicas"
        case ServerClass.IDLE_READY if server.ops_state != names.OPS_STATE_WAIT_TO_BE_DELETED:
            return f"{ops_state} is supply, and it is Ready"
        case ServerClass.IDLE_BOOTING:
            return f"{ops_state} is supply, and it is {server.state or 'not there yet'}"
        case ServerClass.IN_USE if server.stale:
            return "marked by a quality that does not know any more: neither marked nor supply"
        case ServerClass.IN_USE:
            return f"{ops_state} is no supply: it is never removed"
    return _why_marked(server, policy, now)


def _why_marked(server: ServerView, policy: Policy, now: datetime) -> str:
    what = "marked, which means idle here" if policy.marks_idle else "marked for removal"
    if server.marked_since is None:
        return f"{what}, long ago"
    ripe_at = server.marked_since + policy.wait_to_be_deleted
    when = "ripe since" if ripe_at <= now else "ripe at"
    return f"{what} at {render_time(server.marked_since)}, {when} {render_time(ripe_at)}"
