"""Judges every write of an aggregator in the moment in which it takes effect.

A decision is judged by what its maker saw when it began and has done since: an API server with late
watches allows no more. What was seen must be no older than the maker's own writes, so nothing can
be done twice. The invariants, by the write that they are about:

- a claim: its victim is right (see rules.py); a Kill kills who is marked Kill, a Reserved claim
  strikes a reserved id; a claim is final, but for the scale-down of a server that waits for a hook
  and is needed again;
- a deletion of a pod: it is claimed, and counted if it has to be; or it ended; or it is outdated
  and no more servers are out of service than an update may disturb; and no hook holds it;
- a creation: its id is not reserved, and with it there are no more wanted servers than `replicas`,
  as far as its maker can know: those it saw and those it has made itself;
- a write to the set: nothing of the spec changes but `replicas` and reserved ids; each deletion is
  counted once, after its claim; `replicas` falls by the Kills that no surplus covers; ids come into
  the reserve list with their victims only and never leave it;
- any write to a GameServer: opsState stays, because no quality asks for another one here.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from aggregator.kube.resources import GAMESERVERS, GAMESERVERSETS, PODS
from tests.simulation import rules
from tests.simulation.server import FOLLOWED

if TYPE_CHECKING:
    from tests.simulation.network import Request
    from tests.simulation.process import Process, Run
    from tests.simulation.rules import Game, Json, State
    from tests.simulation.server import Server


class Violation(AssertionError):  # noqa: N818 - as a rule is said to be violated
    """An invariant does not hold."""


class Referee:
    """Remembers what was done, and compares each write with it.

    Attributes:
        accounted: reasons of deletions that the spec counted, by pod uid.
        verdicts: number of writes that were judged, by what they were about.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._claims: dict[str, str] = {}
        self.accounted: dict[str, str] = {}
        self.verdicts: dict[str, int] = defaultdict(int)
        # By process: pods that it made; and those it took out of service, with their version then.
        self._made: dict[Process, set[str]] = defaultdict(set)
        self._disturbed: dict[Process, dict[str, int]] = defaultdict(dict)
        # By run: servers that it claimed, and the version of the set after it counted them.
        self._claimed_by: dict[Run, set[str]] = defaultdict(set)
        self._counted_at: dict[Run, int] = {}
        # Servers that it took back.
        self._released_by: dict[Run, set[str]] = defaultdict(set)

    def judge(self, request: Request) -> None:
        """Check one write; nothing is said of one that changed nothing.

        Raises:
            Violation: it should not have happened.
        """
        if request.resource == GAMESERVERS and request.after is not None and request.error is None:
            # Also where the same claim was there already, from somebody who is dead by now.
            claim = request.after["spec"].get("deletion") or {}
            self._claimed_by[request.run] |= {claim.get("podUid", "")} & set(self._claims)
        if not request.happened:
            return
        match request.verb, request.resource, request.subresource:
            case "patch", resource, "" if resource == GAMESERVERS:
                self._judge_server(request)
            case "patch", resource, "" if resource == GAMESERVERSETS:
                self._judge_set(request)
            case "patch", resource, "" if resource == PODS:
                self._judge_pod(request)
            case "create", resource, "" if resource == PODS:
                self._judge_creation(request)
            case "delete", resource, "" if resource == PODS:
                self._judge_deletion(request)

    # -- GameServers ----------------------------------------------------------------------------

    def _judge_server(self, request: Request) -> None:
        before, after = _both(request)
        _require(before["spec"]["opsState"] == after["spec"]["opsState"], request, "opsState")
        old, new = before["spec"].get("deletion"), after["spec"].get("deletion")
        if old == new:
            return
        if new is None:
            self._judge_release(request, old)
            return
        _require(old is None, request, "a claim is final")
        self.verdicts["claim"] += 1
        uid, reason = new["podUid"], new["reason"]
        game = self._seen(request, uid)
        _require(game is not None, request, "it was not seen")
        _require(not game.claimed, request, f"it is claimed: {game.claimed}")
        _require(game.ops_state == before["spec"]["opsState"], request, "it changed its mind")
        owner = rules.the_set(request.run.seen)
        assert owner is not None
        match reason:
            case "Kill":
                _require(game.ops_state == "Kill", request, "nobody asked for it")
            case "Reserved":
                _require(game.id in rules.reserved_ids(owner), request, "it is not reserved")
            case "ScaleDown":
                right = rules.right_victims(request.run.seen, rules.protects(owner))
                _require(uid in right, request, f"a wrong victim; right are {right}")
            case _:
                _require(False, request, f"there is no autoscaler: {reason}")
        self._claims[uid] = reason
        self._claimed_by[request.run].add(uid)

    def _judge_release(self, request: Request, claim: Json) -> None:
        self.verdicts["release"] += 1
        uid, seen = claim["podUid"], request.run.seen
        game, owner = self._seen(request, uid), rules.the_set(seen)
        _require(claim["reason"] == "ScaleDown", request, "only a scale-down can be taken back")
        _require(game.held and game.live, request, "it does not wait for a hook")
        _require(game.id not in rules.reserved_ids(owner), request, "its id is reserved")
        _require(len(rules.wanted(seen)) < rules.target(seen), request, "nobody needs it")
        del self._claims[uid]
        self._released_by[request.run].add(uid)

    # -- sets -----------------------------------------------------------------------------------

    def _judge_set(self, request: Request) -> None:
        before, after = _both(request)
        seen = rules.the_set(request.run.seen)
        assert seen is not None
        version = before["metadata"]["resourceVersion"]
        _require(seen["metadata"]["resourceVersion"] == version, request, "decided on another set")
        changing = ("replicas", "reserveGameServerIds")
        rest = [
            {k: v for k, v in each["spec"].items() if k not in changing} for each in (before, after)
        ]
        _require(rest[0] == rest[1], request, "the spec is the user's")
        self.verdicts["accounting"] += 1
        counted = rules.accounted_uids(after) - rules.accounted_uids(before)
        for uid in rules.accounted_uids(before) - rules.accounted_uids(after):
            _require(not self._is_going(uid), request, f"{uid} is forgotten too early")
            # Whoever deletes the GameServer by hand takes the claim away with it.
            self.accounted.pop(uid, None)
        for uid in counted:
            _require(uid not in self.accounted, request, f"{uid} is counted twice")
            _require(uid in self._claims, request, f"{uid} is counted before it is claimed")
            self.accounted[uid] = self._claims[uid]
        lowering = any(self._claims[uid] in rules.COUNTED for uid in counted)
        expected = rules.target(request.run.seen) if lowering else before["spec"]["replicas"]
        _require(after["spec"]["replicas"] == expected, request, f"replicas must be {expected}")
        self._judge_reserved(request, counted)
        self._counted_at[request.run] = int(after["metadata"]["resourceVersion"])

    def _judge_reserved(self, request: Request, counted: set[str]) -> None:
        before, after = _both(request)
        old, new = rules.reserved_ids(before), rules.reserved_ids(after)
        _require(old <= new, request, f"ids {old - new} left the reserve list")
        ids: set[int] = set()
        if rules.strategy_of(before) == "ReserveIds":
            ids = {game.id for uid in counted if (game := self._seen(request, uid)) is not None}
        _require(new == old | ids, request, f"ids {new - old - ids} came back into the list")

    # -- pods -----------------------------------------------------------------------------------

    def _judge_creation(self, request: Request) -> None:
        run, after = request.run, request.after
        assert after is not None
        self.verdicts["creation"] += 1
        self._made[run.process].add(after["metadata"]["uid"])
        seen, owner = run.seen, rules.the_set(run.seen)
        assert owner is not None
        id_ = int(request.name.rpartition("-")[2])
        _require(id_ not in rules.reserved_ids(owner), request, "its id is reserved")
        shown = {game.uid for game in rules.games_of(seen, owner)}
        wanted = {game.uid for game in rules.wanted(seen)} | self._released_by[run]
        known = [
            game
            for game in rules.wanted(self._truth())
            if game.uid in wanted or (game.uid not in shown and game.uid in self._made[run.process])
        ]
        most = self._most_replicas(run)
        _require(len(known) <= most, request, f"{len(known)} wanted servers, at most {most}")

    def _most_replicas(self, run: Run) -> int:
        """Return the largest `replicas` since the run looked, or since it counted deletions."""
        owner = rules.the_set(run.seen)
        assert owner is not None
        name = owner["metadata"]["name"]
        first = self._counted_at.get(run, int(owner["metadata"]["resourceVersion"]))
        return max(
            int(each["spec"]["replicas"])
            for (plural, called, version), each in self._server.archive.items()
            if (plural, called) == (GAMESERVERSETS.plural, name) and int(version) >= first
        )

    def _judge_deletion(self, request: Request) -> None:
        before = request.before
        assert before is not None
        if "deletionTimestamp" in before["metadata"]:
            return
        self.verdicts["deletion"] += 1
        uid = before["metadata"]["uid"]
        game = self._seen(request, uid)
        _require(game is not None, request, "it was not seen")
        owner = rules.the_set(request.run.seen)
        assert owner is not None
        _require(game.ended or not game.held, request, "its hook holds it")
        claimed_now = uid in self._claimed_by[request.run]
        reason = game.claimed or (self._claims[uid] if claimed_now else "")
        if reason:
            counts = reason in rules.COUNTED
            counts = counts or (reason == "ScaleDown" and rules.strategy_of(owner) == "ReserveIds")
            _require(not counts or uid in self.accounted, request, "it is not counted yet")
        elif not game.ended:
            outdated = game.containers != rules.template_of(owner)
            _require(outdated, request, "nobody condemned it")
            self._judge_disturbance(request, game)
        self._disturbed[request.run.process][uid] = self._server.store.version

    def _judge_pod(self, request: Request) -> None:
        before, after = _both(request)
        if rules.containers_of(before["spec"]) == rules.containers_of(after["spec"]):
            return
        self.verdicts["update in place"] += 1
        uid = after["metadata"]["uid"]
        game = self._seen(request, uid)
        _require(game is not None, request, "it was not seen")
        self._judge_disturbance(request, game)
        self._disturbed[request.run.process][uid] = int(after["metadata"]["resourceVersion"])

    def _judge_disturbance(self, request: Request, game: Game) -> None:
        """Check that one more server may be out of service; one that is already costs nothing."""
        run = request.run
        owner = rules.the_set(run.seen)
        assert owner is not None
        disturbed = self._disturbed[run.process]
        serving = [
            each.uid
            for each in rules.wanted(run.seen)
            if each.available
            and each.uid not in self._claimed_by[run]
            and disturbed.get(each.uid, 0) <= each.version
        ]
        if game.uid not in serving:
            return
        out = rules.target(run.seen) - (len(serving) - 1)
        most = rules.max_unavailable(owner)
        _require(out <= most, request, f"{out} servers out of service, at most {most}")

    # -- what is known --------------------------------------------------------------------------

    def _seen(self, request: Request, uid: str) -> Game | None:
        owner = rules.the_set(request.run.seen)
        if owner is None:
            return None
        games = rules.games_of(request.run.seen, owner)
        return next((game for game in games if game.uid == uid), None)

    def _claim_on(self, uid: str) -> str:
        """Return the reason of the claim on a pod as it is now; empty without one."""
        for server in self._server.all(GAMESERVERS).values():
            claim = server["spec"].get("deletion")
            if claim is not None and rules.speaks_for(server, uid) and claim["podUid"] == uid:
                return str(claim["reason"])
        return ""

    def _is_going(self, uid: str) -> bool:
        """Tell whether the pod is there, and terminating or claimed."""
        pods = (each["metadata"] for each in self._server.all(PODS).values())
        pod = next((each for each in pods if each["uid"] == uid), None)
        return pod is not None and ("deletionTimestamp" in pod or bool(self._claim_on(uid)))

    def _truth(self) -> State:
        return {resource.plural: self._server.all(resource) for resource in FOLLOWED}


def _both(request: Request) -> tuple[Json, Json]:
    assert request.before is not None
    assert request.after is not None
    return request.before, request.after


def _require(holds: bool, request: Request, why: str) -> None:
    if not holds:
        raise Violation(f"{why}\n  {request}")
