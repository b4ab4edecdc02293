"""The claims of one autoscaler that the caches may not show yet. In memory, no I/O.

A server that we claimed counts as leaving at once, whatever the cache says, or it would be counted
as supply and claimed again. Everything here may be lost: the claims themselves are in the objects.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shared.api import names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aggregator.kube.resources import ObjectKey
    from aggregator.pods import Pod
    from shared.api.gameserver import GameServer
    from shared.api.gameserverset import GameServerSet


@dataclass(slots=True)
class OwnClaims:
    """What we claimed of one set.

    Attributes:
        claimed: uids of pods that we claimed, until the caches show it or they are gone.
        uncertain: servers whose claim may be written, for no answer came, with their pod's uid.
        accounted: uids in the set's annotation when it was last seen.
    """

    claimed: set[str] = field(default_factory=set)
    uncertain: dict[ObjectKey, str] = field(default_factory=dict)
    accounted: frozenset[str] = frozenset()

    def note(self, claimed: Iterable[str], uncertain: Mapping[ObjectKey, str]) -> None:
        """Remember claims that were written, and those of which that is not known."""
        self.claimed.update(claimed)
        self.uncertain.update(uncertain)

    def settle(self, key: ObjectKey, *, written: bool) -> None:
        """Remember what the API server said of an uncertain claim."""
        uid = self.uncertain.pop(key)
        if written:
            self.claimed.add(uid)

    def see(self, owner: GameServerSet, pairs: Mapping[str, tuple[Pod, GameServer | None]]) -> int:
        """Forget the claims that the caches show by now.

        Args:
            owner: the set as it is now.
            pairs: by uid, the pods that it controls, each with the GameServer of its name.

        Returns:
            By how many spec.replicas may have been lowered for claims since the last look: those
            newly in the set's annotation, and ours that came and went in between.
        """
        annotation = owner.metadata.annotations.get(names.ACCOUNTED_ANNOTATION, "")
        accounted = frozenset(part.strip() for part in annotation.split(",") if part.strip())
        gone = {uid for uid in self.claimed if uid not in pairs}
        shown = {
            uid for uid in self.claimed - gone if uid in accounted or _shows_claim(pairs[uid][1])
        }
        lowered = (accounted - self.accounted) | gone
        self.claimed -= shown | gone
        self.accounted = accounted
        return len(lowered)


def _shows_claim(server: GameServer | None) -> bool:
    return server is not None and server.spec.deletion is not None
