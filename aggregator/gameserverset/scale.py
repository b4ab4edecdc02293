"""Which servers should exist (SPEC 6.2 to 6.4). Pure.

The theory: decide in sets of (id, pod uid), never in counts and holes. A server is *live* when
its pod exists and is not terminating; *going* when it is claimed; *wanted* when it is live and
neither claimed nor condemned (its id is reserved). There must be exactly `replicas` wanted
servers:

- too many: the first in the deletion order are claimed; nobody else dies, whatever terminates
  meanwhile;
- too few: the smallest ids that are neither wanted nor reserved are missing. A missing id whose
  former pod is still there is waited for; no other id is taken in its place, so that after 5 -> 3
  -> 5 the same ids return.

Deleting is claim, then delete: a claim that is already written is carried out whatever happened
since.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aggregator.selection import victims

if TYPE_CHECKING:
    from aggregator.gameserverset.ids import IdSet
    from shared.api.gameserver import DeletionReason

# Ids that one plan creates or waits for; more come with the next. A slip of the finger that asks
# for two billion servers must not hold up every other set while their ids are counted.
MAX_MISSING = 10_000


# A log line has room for a few of each kind.
_DESCRIBED = 10


@dataclass(frozen=True, slots=True)
class Server:
    """One pod of the set, with what its GameServer says.

    Attributes:
        terminating: the pod has a deletionTimestamp.
        claimed: reason of the claim on this very pod, None without one.
    """

    id: int
    pod_uid: str
    ops_state: str = ""
    deletion_priority: int = 0
    terminating: bool = False
    claimed: DeletionReason | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A server chosen for deletion by this plan."""

    server: Server
    reason: DeletionReason


@dataclass(frozen=True, slots=True)
class ScalePlan:
    """What to do so that exactly the right servers exist.

    Attributes:
        claims: servers to claim and then delete, in order.
        deletions: servers whose claim is written and whose pod is not deleted yet.
        creations: ids to create, ascending.
        waiting_for: ids that are missing but whose former pod is still there.
    """

    claims: tuple[Claim, ...] = ()
    deletions: tuple[Server, ...] = ()
    creations: tuple[int, ...] = ()
    waiting_for: tuple[int, ...] = ()

    def describe(self) -> tuple[str, ...]:
        """Return what the plan does in a few words, for the log line of the run."""
        words = [f"claim {claim.server.id} ({claim.reason})" for claim in self.claims[:_DESCRIBED]]
        words += [f"delete {server.id}" for server in self.deletions[:_DESCRIBED]]
        words += [f"create {id_}" for id_ in self.creations[:_DESCRIBED]]
        left_out = len(self.claims) + len(self.deletions) + len(self.creations) - len(words)
        return (*words, f"and {left_out} more") if left_out else tuple(words)


def plan_scale(servers: tuple[Server, ...], replicas: int, reserved: IdSet) -> ScalePlan:
    """Return the plan that leads to exactly `replicas` wanted servers.

    Args:
        servers: every pod of the set, terminating ones included; ids are unique.
        replicas: spec.replicas.
        reserved: the ids of spec.reserveGameServerIds.
    """
    live = [server for server in servers if not server.terminating]
    condemned = [server for server in live if not server.claimed and server.id in reserved]
    wanted = [server for server in live if not server.claimed and server.id not in reserved]

    chosen = victims(wanted, len(wanted) - replicas)
    claims = [Claim(server, "Reserved") for server in sorted(condemned, key=_by_id)]
    claims += [Claim(server, "ScaleDown") for server in chosen]

    present = {server.id for server in servers}
    kept = {server.id for server in wanted}
    missing = reserved.smallest_outside(min(replicas - len(wanted), MAX_MISSING), kept)
    return ScalePlan(
        claims=tuple(claims),
        deletions=tuple(sorted((server for server in live if server.claimed), key=_by_id)),
        creations=tuple(id_ for id_ in missing if id_ not in present),
        waiting_for=tuple(id_ for id_ in missing if id_ in present),
    )


def _by_id(server: Server) -> int:
    return server.id
