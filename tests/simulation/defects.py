"""Defects that the referee has to notice: each breaks the product in one place.

A simulator that finds nothing may have looked at nothing. So the code under test is broken on
purpose, as a careless change would break it, and some schedule must fail. Each of these was noticed
within fifty schedules. Where a second precaution of the product makes a defect nearly harmless it
takes far more, and it is not here: a deletion without preconditions, own writes that are not waited
for, a permanent action that runs again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unittest.mock import patch as replaced

from aggregator.gameserverset.adoption import Adoption, revision_label
from aggregator.gameserverset.ids import IdSet
from aggregator.kube import patch
from aggregator.kube.resources import GAMESERVERS, ObjectKey
from tests.simulation.play import play

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from aggregator.kube.transport import KubeClient
    from shared.api.gameserver import GameServer

MOST_SCHEDULES = 500
_SETS = "aggregator.gameserverset"


@dataclass(frozen=True)
class Defect:
    """One broken place.

    Attributes:
        where: what is replaced.
        by: the broken one.
        traits: what has to occur in a schedule for it to matter.
    """

    where: str
    by: Callable[..., Any]
    traits: tuple[str, ...] = ()


def first_noticed(defect: Defect) -> int | None:
    """Return the first seed whose schedule fails; None when none of five hundred does."""
    with replaced(defect.where, defect.by):
        failed = (seed for seed in range(MOST_SCHEDULES) if play(seed, defect.traits).failure)
        return next(failed, None)


async def _does_nothing(*_: object) -> None:
    """Make sure of nothing."""


async def _claim_blindly(
    client: KubeClient, server: GameServer, pod_uid: str, reason: str, _now: datetime
) -> bool:
    """Claim whatever has the name, in whatever state it is."""
    deletion = {"reason": reason, "podUid": pod_uid, "at": "2026-01-02T03:04:05Z"}
    key = ObjectKey(server.metadata.namespace, server.metadata.name)
    operations = patch.JsonPatch((patch.add("/spec/deletion", deletion),))
    await client.patch(GAMESERVERS, key, operations)
    return True


def _adopt_as_it_is(orphans: Any, _kept: object, _present: object) -> tuple[Adoption, ...]:
    return tuple(Adoption(pod, revision_label(pod)) for pod in orphans)


DEFECTS: dict[str, Defect] = {
    "the wrong order of deletion": Defect(
        "aggregator.selection.deletion_order",
        lambda candidate: (candidate.deletion_priority, candidate.id),
    ),
    "a stale set is decided on": Defect(f"{_SETS}.set_writer.SetWriter.confirm", _does_nothing),
    "deletions are counted again": Defect(f"{_SETS}.plan.parse_accounted", lambda _: ()),
    "deletions are never counted": Defect(f"{_SETS}.scale.plan_accounting", lambda *_: None),
    "a Kill costs nothing": Defect(f"{_SETS}.accounting.lowered", lambda replicas, *_: replicas),
    "one server too many": Defect(f"{_SETS}.scale.lowered", lambda replicas, *_: replicas + 1),
    "reserved ids are taken for free": Defect(
        f"{_SETS}.facts.parse_reserve_list", lambda _: (IdSet(()), ())
    ),
    "a claim without a look at the opsState": Defect(f"{_SETS}.deletions.claim", _claim_blindly),
    "a claim is not seen": Defect(f"{_SETS}.server.claim_on", lambda *_: None),
    "a hook holds nobody": Defect(f"{_SETS}.server.holds_deletion", lambda *_: False, ("hooks",)),
    "an update disturbs nobody": Defect(f"{_SETS}.update._disturbs", lambda _: False),
    "whoever is adopted is made again": Defect(
        f"{_SETS}.plan.plan_adoptions", _adopt_as_it_is, ("leaves",)
    ),
    "volume claims go with servers": Defect(
        f"{_SETS}.volumes.deletes_when_scaled", lambda _: True, ("volumes",)
    ),
    "volume claims that go are mounted": Defect(
        f"{_SETS}.volumes.is_going", lambda *_: False, ("volumes", "deletes_sets")
    ),
    "an action at every report": Defect(
        "aggregator.quality.merge.Situation.has_edge",
        lambda situation, quality: quality.name in situation.verdicts,
        ("qualities",),
    ),
    "an autoscaler that takes the last first": Defect(
        "aggregator.scaling.evaluate._in_order",
        lambda servers: sorted(servers, key=lambda server: server.id),
        ("scaler",),
    ),
    "an autoscaler that sees nobody idle": Defect(
        "aggregator.scaling.census.Census.idle", property(lambda _: 0), ("scaler",)
    ),
}
