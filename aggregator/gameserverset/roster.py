"""The servers of a set, described; what did not change is not described again. Pure data, no I/O.

Its answers depend on its arguments only: what it remembers makes it faster, never different. So it
can be thrown away at any time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from aggregator.binding import speaks_for
from aggregator.gameserverset.ids import parse_server_id
from aggregator.gameserverset.server import Description, Server, describe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from aggregator.pods import Pod
    from shared.api.gameserver import GameServer
    from shared.api.gameserverset import GameServerSet


class Entry(NamedTuple):
    """A pod of a set, the GameServer of its name if there is one, and what they mean."""

    pod: Pod
    found: GameServer | None
    description: Description

    @property
    def own(self) -> GameServer | None:
        """The GameServer, if its state is that of this very pod."""
        return self.found if self.found is not None and speaks_for(self.found, self.pod) else None


@dataclass(frozen=True, slots=True)
class RollCall:
    """The servers of a set at one time.

    Attributes:
        entries: by name.
        next_available: when the next server becomes available by itself; None for no time.
    """

    entries: Mapping[str, Entry] = field(default_factory=dict)
    next_available: datetime | None = None

    @property
    def servers(self) -> list[Server]:
        """All servers, terminating ones included."""
        return [entry.description.server for entry in self.entries.values()]


class Roster:
    """Remembers the descriptions of the servers of one set."""

    def __init__(self) -> None:
        # The objects are kept with what they mean, so that their identity cannot be used again.
        self._known: dict[str, Entry] = {}
        self._spec: object = None

    def call(
        self,
        owner: GameServerSet,
        pairs: Iterable[tuple[Pod, GameServer | None]],
        now: datetime,
    ) -> RollCall:
        """Return the servers.

        Args:
            owner: the set.
            pairs: the pods that it controls, each with the GameServer of its name.
            now: the time.
        """
        # Objects of the caches are never changed, only replaced: the same one says the same.
        if self._spec is not owner.spec:
            self._known, self._spec = {}, owner.spec
        fresh: dict[str, Entry] = {}
        due = None
        for pod, found in pairs:
            name = pod.metadata.name
            entry = self._known.get(name)
            if (
                entry is None
                or entry.pod is not pod
                or entry.found is not found
                or not _holds(entry.description, now)
            ):
                id_ = parse_server_id(owner.metadata.name, name)
                if id_ is None:
                    continue
                entry = Entry(pod, found, describe(owner, pod, found, id_, now))
            fresh[name] = entry
            until = entry.description.valid_until
            if until is not None and (due is None or until < due):
                due = until
        self._known = fresh
        return RollCall(fresh, due)


def _holds(description: Description, now: datetime) -> bool:
    return description.valid_until is None or now < description.valid_until
