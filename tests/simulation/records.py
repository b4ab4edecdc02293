"""What the aggregators did in a schedule, as far as later judgements rest on it. No judgement.

Decisions are judged by what their maker saw when it began and has done since, so what was done is
kept by run and by process. What the store tells is kept, too: which templates there were, and since
when a server is marked.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from aggregator.kube.resources import CONTROLLERREVISIONS, GAMESERVERS, GAMESERVERSETS
from shared.api import names
from tests.simulation import rules

if TYPE_CHECKING:
    from localcluster.apiserver.store import CollectionKey, Event
    from tests.simulation.process import Process, Run
    from tests.simulation.rules import Game, Json, State
    from tests.simulation.server import Server
    from tests.support.world import Clock

Containers = tuple[tuple[object, ...], ...]


class Records:
    """What is remembered.

    Attributes:
        claims: reasons of all claims that stand, by pod uid.
        condemned: pods that were claimed at any time.
        accounted: reasons of deletions that the spec counted, by pod uid.
        spent: pairs of GameServer and pod whose permanent quality has acted.
        made: by process, the pods that it made.
        disturbed: by process, the pods that it took out of service, with the store's version then.
        removed: by process, the pods that its autoscaler claimed.
        claimed_by: by run, the pods that it claimed.
        released_by: by run, those it took back.
        counted_at: by run, the version of the set after it counted deletions.
        adopted: pods that began as nobody's.
        marked_at: by uid of a GameServer, since when it is WaitToBeDeleted, in seconds.
        alive_until: by uid of a set, the store's version at which it began to go.
    """

    def __init__(self, server: Server, clock: Clock) -> None:
        self._clock = clock
        self._templates: dict[str, Containers] = {}
        self.claims: dict[str, str] = {}
        self.condemned: set[str] = set()
        self.accounted: dict[str, str] = {}
        self.spent: set[tuple[str, str]] = set()
        self.made: dict[Process, set[str]] = defaultdict(set)
        self.disturbed: dict[Process, dict[str, int]] = defaultdict(dict)
        self.removed: dict[Process, set[str]] = defaultdict(set)
        self.claimed_by: dict[Run, set[str]] = defaultdict(set)
        self.released_by: dict[Run, set[str]] = defaultdict(set)
        self.counted_at: dict[Run, int] = {}
        self.adopted: set[str] = set()
        self.marked_at: dict[str, float] = {}
        self.alive_until: dict[str, int] = {}
        server.store.listeners.append(self._follow)

    def containers(self, game: Game) -> Containers:
        """Return what a pod counts as: one that was adopted is what its revision says."""
        if game.uid in self.adopted:
            return self._templates.get(game.revision, game.containers)
        return game.containers

    def began_with(self, run: Run, owner: Json) -> bool:
        """Tell whether a set was there, and not going, when a run began or later."""
        gone = self.alive_until.get(owner["metadata"]["uid"])
        return gone is None or gone > run.began_at

    def _follow(self, collection: CollectionKey, event: Event) -> None:
        match collection[1]:
            case CONTROLLERREVISIONS.plural:
                obj = event.stored.object
                hash_ = obj["metadata"]["labels"][names.REVISION_LABEL]
                self._templates[hash_] = rules.containers_of(obj["data"]["template"]["spec"])
            case GAMESERVERSETS.plural:
                metadata = event.stored.object["metadata"]
                if event.type == "DELETED" or "deletionTimestamp" in metadata:
                    self.alive_until.setdefault(metadata["uid"], event.stored.version)
            case GAMESERVERS.plural:
                self._follow_mark(event)

    def _follow_mark(self, event: Event) -> None:
        uid = event.stored.object["metadata"]["uid"]
        if event.stored.object["spec"].get("opsState") != "WaitToBeDeleted":
            self.marked_at.pop(uid, None)
        else:
            self.marked_at.setdefault(uid, self._clock.seconds)


def seen_game(run: Run, uid: str) -> Game | None:
    """Return a server as the maker of a decision saw it; None if it did not."""
    owner = rules.the_set(run.seen)
    if owner is None:
        return None
    return next((game for game in rules.games_of(run.seen, owner) if game.uid == uid), None)


def seen_set(run: Run) -> Json:
    """Return the set as the maker of a decision saw it."""
    owner = rules.the_set(run.seen)
    assert owner is not None
    return owner


def claim_on(state: State, uid: str) -> str:
    """Return the reason of the claim on a pod; empty without one."""
    for server in state[GAMESERVERS.plural].values():
        claim = server["spec"].get("deletion")
        if claim is not None and claim["podUid"] == uid:
            return str(claim["reason"])
    return ""
