"""What the status of a set says (SPEC 1.1). Pure. It reports what was observed, never a wish.

The one exception is `replicas`: it is spec.replicas of the observed generation, because the HPA
computes with it and hands it back inside its tolerance; an observed 19 of 20 would make it delete
one.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from shared.api import names
from shared.api.meta import Condition

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from aggregator.gameserverset.conditions import ConditionState
    from aggregator.gameserverset.server import Server
    from shared.api.gameserverset import GameServerSet, GameServerSetStatus


def plan_status(
    owner: GameServerSet,
    servers: Sequence[Server],
    revision: str,
    conditions: Iterable[ConditionState],
    now: datetime,
) -> GameServerSetStatus:
    """Return the status; equal to the one before where nothing changed.

    Args:
        owner: the set with its former status.
        servers: all of them; those that terminate are not counted.
        revision: hash of the set's template.
        conditions: that hold now.
        now: for the times of what changed.
    """
    live = [server for server in servers if not server.terminating]
    ready = [server for server in live if server.ready and not server.finished]
    states = Counter(server.written_ops_state for server in live)
    revisions = Counter(server.revision for server in live)
    fresh = owner.status.model_copy(
        update={
            "observed_generation": owner.metadata.generation,
            "replicas": owner.spec.replicas,
            "current_replicas": len(live),
            "ready_replicas": len(ready),
            "available_replicas": sum(server.available for server in live),
            "updated_replicas": revisions[revision],
            "updated_ready_replicas": sum(server.revision == revision for server in ready),
            "maintaining_replicas": states[names.OPS_STATE_MAINTAINING],
            "wait_to_be_deleted_replicas": states[names.OPS_STATE_WAIT_TO_BE_DELETED],
            "pre_delete_replicas": sum(server.pre_deleting for server in live if server.held),
            "none_replicas": states[names.OPS_STATE_NONE],
            "allocated_replicas": states[names.OPS_STATE_ALLOCATED],
            "kill_replicas": states[names.OPS_STATE_KILL],
            "update_revision": revision,
            "current_revision": revision
            if revisions.total() == revisions[revision]
            else owner.status.current_revision,
            "label_selector": f"{names.OWNER_LABEL}={owner.metadata.name}",
            "conditions": _conditions(owner, conditions, now),
        }
    )
    if fresh == owner.status:
        return fresh
    return fresh.model_copy(update={"last_transition_time": now})


def _conditions(
    owner: GameServerSet, wanted: Iterable[ConditionState], now: datetime
) -> tuple[Condition, ...]:
    former = {condition.type: condition for condition in owner.status.conditions}
    conditions = []
    for state in wanted:
        status = "True" if state.holds else "False"
        old = former.get(state.type)
        since = old.last_transition_time if old is not None and old.status == status else now
        conditions.append(
            Condition(
                type=state.type,
                status=status,
                reason=state.reason,
                message=state.message,
                observed_generation=owner.metadata.generation,
                last_transition_time=since,
            )
        )
    return tuple(conditions)
