"""Who else scales the same set: then nobody may write, or two would fight. Pure.

| reason | who |
| --- | --- |
| HorizontalPodAutoscaler | an HPA whose target is the set |
| ScaledObject | a KEDA ScaledObject whose target is the set, unless it is paused |
| OlderAutoscaler | an Active GameServerSetAutoscaler of the same set that is older |
| FlappingWriter | somebody undid what we did to replicas three times in ten minutes |

The HPA that KEDA makes for a ScaledObject is told as the ScaledObject: that is what a person wrote.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from aggregator.autoscaler.scaled_object import Rival
    from shared.api.autoscaler import GameServerSetAutoscaler

MOST_RESETS = 3
_FIRST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Conflict:
    """Who is in the way, and what to do about it."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Rivals:
    """What else there is in the namespace of a set."""

    hpas: tuple[Rival, ...] = ()
    scaled_objects: tuple[Rival, ...] = ()


def find_conflict(
    autoscaler: GameServerSetAutoscaler,
    others: Iterable[GameServerSetAutoscaler],
    rivals: Rivals,
    resets: Collection[datetime],
) -> Conflict | None:
    """Return who else scales the set of an autoscaler, None when nobody does.

    Args:
        autoscaler: the one that asks.
        others: all of its namespace.
        rivals: HPAs and ScaledObjects of its namespace.
        resets: when somebody undid what we did to replicas, of the last ten minutes.
    """
    target = autoscaler.spec.game_server_set_name
    for rival in rivals.scaled_objects:
        if rival.targets(target) and not rival.paused:
            return Conflict(
                "ScaledObject",
                f"ScaledObject {rival.metadata.name} scales {target} too: delete or pause it, or "
                'set mode: "Off" here',
            )
    for rival in rivals.hpas:
        if rival.targets(target):
            return Conflict(
                "HorizontalPodAutoscaler",
                f"HorizontalPodAutoscaler {rival.metadata.name} scales {target} too: delete it, or "
                'set mode: "Off" here',
            )
    older = min(
        (each for each in others if each.spec.game_server_set_name == target and _writes(each)),
        key=_age,
        default=autoscaler,
    )
    if _age(older) < _age(autoscaler):
        message = (
            f"GameServerSetAutoscaler {older.metadata.name} is older and scales {target} already: "
            "delete one of both"
        )
        return Conflict("OlderAutoscaler", message)
    if len(resets) >= MOST_RESETS:
        message = (
            f"somebody set spec.replicas of {target} back {len(resets)} times within ten minutes "
            "after it was changed here: leave replicas out of what applies the set"
        )
        return Conflict("FlappingWriter", message)
    return None


def _writes(autoscaler: GameServerSetAutoscaler) -> bool:
    return autoscaler.spec.mode == "Active" and autoscaler.metadata.deletion_timestamp is None


def _age(autoscaler: GameServerSetAutoscaler) -> tuple[datetime, str]:
    return autoscaler.metadata.creation_timestamp or _FIRST, autoscaler.metadata.name
