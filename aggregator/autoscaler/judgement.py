"""Whether an autoscaler may decide and act, and what keeps it from either. Pure.

| what is the case | it decides | it acts | reason |
| --- | --- | --- | --- |
| mode Off | no | no | Off |
| the spec means nothing | no | no | InvalidSpec |
| there is no such set | no | no | SetNotFound |
| mode DryRun | yes | no | DryRun |
| the set is being deleted | yes | no | SetDeleted |
| the set is paused | yes | no | SetPaused |
| somebody else scales the set | yes | no | that of the conflict (`conflicts`) |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aggregator.scaling.spec import read_spec
from shared.api import names
from shared.errors import InvalidInput

if TYPE_CHECKING:
    from datetime import datetime

    from aggregator.autoscaler.conflicts import Conflict
    from aggregator.scaling.spec import Intent
    from shared.api.autoscaler import GameServerSetAutoscaler
    from shared.api.gameserverset import GameServerSet


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an autoscaler may act, and the conditions that say why not.

    Attributes:
        able: reason and message of what keeps it from scaling; None when nothing does.
        inactive: the same for what keeps it from deciding, or from acting on it.
        conflict: who else scales the set.
    """

    able: tuple[str, str] | None = None
    inactive: tuple[str, str] | None = None
    conflict: Conflict | None = None

    @property
    def may_act(self) -> bool:
        """Whether it may write to the set and claim servers."""
        return not self.obstacles

    @property
    def obstacles(self) -> tuple[tuple[str, str], ...]:
        """Reason and message of everything that keeps it from that."""
        conflict = self.conflict
        told = (conflict.reason, conflict.message) if conflict is not None else None
        return tuple(each for each in (self.able, self.inactive, told) if each is not None)


def judge(
    autoscaler: GameServerSetAutoscaler, owner: GameServerSet | None, now: datetime
) -> tuple[Verdict, Intent | None]:
    """Return what is known before anything is decided, and what is to be decided.

    Args:
        autoscaler: as stored.
        owner: the set that it names; None when there is none.
        now: for the schedules.

    Returns:
        The verdict, without conflicts; and the intent, None when nothing is to be decided.
    """
    spec = autoscaler.spec
    if spec.mode == "Off":
        return Verdict(inactive=("Off", "spec.mode is Off: set it to Active or DryRun")), None
    try:
        intent = read_spec(spec, now)
    except InvalidInput as error:
        return Verdict(inactive=("InvalidSpec", error.message)), None
    if owner is None:
        name = spec.game_server_set_name
        message = f"there is no GameServerSet {name} in this namespace"
        return Verdict(able=("SetNotFound", message)), None
    inactive = None
    if spec.mode == "DryRun":
        inactive = ("DryRun", "spec.mode is DryRun: nothing is written")
    return Verdict(_hindrance(owner), inactive), intent


def _hindrance(owner: GameServerSet) -> tuple[str, str] | None:
    """Return reason and message of what in the set itself forbids to scale it."""
    name = owner.metadata.name
    if owner.metadata.deletion_timestamp is not None:
        return "SetDeleted", f"{name} is being deleted"
    if owner.metadata.annotations.get(names.PAUSED_ANNOTATION) == "true":
        return "SetPaused", f"{name} has the annotation {names.PAUSED_ANNOTATION}: take it away"
    return None
