"""Judges writes to pods.

- A creation: its id is not reserved, and with it there are no more wanted servers than `replicas`,
  as far as its maker can know: those it saw and those it has made itself. Its volume claims are
  there and stay. The set was there when the decision began.
- A deletion: the pod is claimed, and counted if it has to be; or the very set that the maker saw
  still controls it, and it ended, or it is outdated and no more servers are out of service than an
  update may disturb; and no hook holds it.
- An update in place: as many servers are in service as an update has to leave.
- An adoption: nobody controlled the pod, and it carries the set's label and name; the set was there
  when the decision began, else the garbage collector would take the pod. It is no reason to make
  the pod again: it counts as what its revision says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aggregator.kube.resources import GAMESERVERSETS, PERSISTENTVOLUMECLAIMS
from shared.api import names
from tests.simulation import rules
from tests.simulation.process import SETS
from tests.simulation.records import seen_game, seen_set
from tests.simulation.server import FOLLOWED
from tests.simulation.violation import require

if TYPE_CHECKING:
    from tests.simulation.network import Request
    from tests.simulation.process import Run
    from tests.simulation.records import Records
    from tests.simulation.rules import Game, Json, State
    from tests.simulation.server import Server


class PodJudge:
    """Judges writes to pods."""

    def __init__(self, server: Server, records: Records, verdicts: dict[str, int]) -> None:
        self._server = server
        self._records = records
        self._verdicts = verdicts

    def judge(self, request: Request) -> None:
        """Check one write.

        Raises:
            Violation: it should not have happened.
        """
        match request.verb:
            case "create":
                self._judge_creation(request)
            case "delete":
                self._judge_deletion(request)
            case "patch":
                before, after = request.before, request.after
                assert before is not None
                assert after is not None
                if rules.containers_of(before["spec"]) != rules.containers_of(after["spec"]):
                    self._judge_update(request, after)
                if rules.controller_uid(before) != rules.controller_uid(after):
                    self._judge_adoption(request, before, after)

    # -- creations ------------------------------------------------------------------------------

    def _judge_creation(self, request: Request) -> None:
        run, after, owner = request.run, request.after, seen_set(request.run)
        assert after is not None
        self._verdicts["creation"] += 1
        made = self._records.made[run.process]
        made.add(after["metadata"]["uid"])
        require(rules.controller_uid(after) == _uid(owner), request, "it is another set's")
        require(self._records.began_with(run, owner), request, "the set was going already")
        id_ = int(request.name.rpartition("-")[2])
        require(id_ not in rules.reserved_ids(owner), request, "its id is reserved")
        shown = {game.uid for game in rules.games_of(run.seen, owner)}
        wanted = {game.uid for game in rules.wanted(run.seen)} | self._records.released_by[run]
        known = [
            game
            for game in rules.wanted(self._truth(), owner)
            if game.uid in wanted or (game.uid not in shown and game.uid in made)
        ]
        most = self._most_replicas(run, owner)
        require(len(known) <= most, request, f"{len(known)} wanted servers, at most {most}")
        if _uid(owner) not in self._records.alive_until:
            self._judge_volumes(request, after)

    def _judge_volumes(self, request: Request, pod: Json) -> None:
        for volume in pod["spec"].get("volumes") or ():
            if "persistentVolumeClaim" not in volume:
                continue
            name = volume["persistentVolumeClaim"]["claimName"]
            claim = self._server.find(PERSISTENTVOLUMECLAIMS, name)
            require(claim is not None, request, f"there is no claim {name}")
            assert claim is not None
            require("deletionTimestamp" not in claim["metadata"], request, f"{name} is going")

    def _most_replicas(self, run: Run, owner: Json) -> int:
        """Return the largest `replicas` since the run looked, or since it counted deletions."""
        name, version = owner["metadata"]["name"], int(owner["metadata"]["resourceVersion"])
        first = self._records.counted_at.get(run, version)
        return max(
            int(each["spec"]["replicas"])
            for (called, at), each in self._server.archive[GAMESERVERSETS.plural].items()
            if called == name and int(at) >= first and _uid(each) == _uid(owner)
        )

    # -- deletions ------------------------------------------------------------------------------

    def _judge_deletion(self, request: Request) -> None:
        before, run = request.before, request.run
        assert before is not None
        if "deletionTimestamp" in before["metadata"]:
            return
        self._verdicts["deletion"] += 1
        uid, owner = before["metadata"]["uid"], seen_set(run)
        game = seen_game(run, uid)
        require(run.kind == SETS, request, "pods are the set's")
        require(game is not None, request, "it was not seen")
        assert game is not None
        require(game.ended or not game.held, request, "its hook holds it")
        claimed_now = uid in self._records.claimed_by[run]
        reason = game.claimed or (self._records.claims.get(uid, "") if claimed_now else "")
        if reason:
            counts = reason in rules.COUNTED
            counts = counts or (reason == "ScaleDown" and rules.strategy_of(owner) == "ReserveIds")
            counted = uid in self._records.accounted
            require(not counts or counted, request, "it is not counted yet")
            self._records.disturbed[run.process][uid] = self._server.store.version
            return
        # A claim is final, whoever adopts the pod. What is to be made again is another's to make.
        mine = rules.controller_uid(before) == _uid(owner)
        require(mine, request, "the set does not control it any more")
        if not game.ended:
            outdated = self._records.containers(game) != rules.template_of(owner)
            require(outdated, request, "nobody condemned it")
            self._judge_disturbance(request, game)
        self._records.disturbed[run.process][uid] = self._server.store.version

    # -- updates and adoptions ------------------------------------------------------------------

    def _judge_update(self, request: Request, after: Json) -> None:
        self._verdicts["update in place"] += 1
        uid = after["metadata"]["uid"]
        game = seen_game(request.run, uid)
        require(game is not None, request, "it was not seen")
        assert game is not None
        self._judge_disturbance(request, game)
        version = int(after["metadata"]["resourceVersion"])
        self._records.disturbed[request.run.process][uid] = version

    def _judge_disturbance(self, request: Request, game: Game) -> None:
        """Check that one more server may be out of service; one that is already costs nothing."""
        run, owner = request.run, seen_set(request.run)
        disturbed = self._records.disturbed[run.process]
        serving = [
            each.uid
            for each in rules.wanted(run.seen)
            if each.available
            and each.uid not in self._records.claimed_by[run]
            and disturbed.get(each.uid, 0) <= each.version
        ]
        if game.uid not in serving:
            return
        out = rules.target(run.seen) - (len(serving) - 1)
        most = rules.max_unavailable(owner)
        require(out <= most, request, f"{out} servers out of service, at most {most}")

    def _judge_adoption(self, request: Request, before: Json, after: Json) -> None:
        self._verdicts["adoption"] += 1
        owner, metadata = seen_set(request.run), before["metadata"]
        require(not rules.controller_uid(before), request, "somebody controls it")
        require(rules.controller_uid(after) == _uid(owner), request, "for another set")
        mine = (metadata.get("labels") or {}).get(names.OWNER_LABEL) == owner["metadata"]["name"]
        require(mine, request, "it does not carry the set's label")
        alive = self._records.began_with(request.run, owner)
        require(alive, request, "the set was going already: the collector would take the pod")
        self._records.adopted.add(metadata["uid"])

    def _truth(self) -> State:
        return {resource.plural: self._server.all(resource) for resource in FOLLOWED}


def _uid(owner: Json) -> str:
    return str(owner["metadata"]["uid"])
