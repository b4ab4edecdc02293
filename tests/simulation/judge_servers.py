"""Judges writes to GameServers: who is to be deleted, and what is said of servers.

- A claim: its victim is right (rules.py, supply.py); a Kill kills who is marked Kill, a Reserved
  claim strikes a reserved id; a claim is final, but for the scale-down of a server that waits for a
  hook and is needed again. Nobody claims for a set that was going before the decision began.
- opsState: only a verdict of the pod's own agent that is new to the object changes it, to what that
  verdict asks for; Kill stays, and so does a claimed server. A first None does not replace what
  somebody said. A permanent quality acts once for each pod.
- The object of a pod that its maker saw living is nobody's to delete.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aggregator.kube.resources import GAMESERVERSETS, PODS
from shared.api import names
from tests.simulation import rules, supply
from tests.simulation.process import SCALERS, SERVERS, SETS
from tests.simulation.records import seen_game, seen_set
from tests.simulation.violation import require

if TYPE_CHECKING:
    from tests.simulation.network import Request
    from tests.simulation.records import Records
    from tests.simulation.rules import Game, Json
    from tests.support.world import Clock

_ASKS = {"idle": {"True": "WaitToBeDeleted", "False": "None"}, "over": {"True": "Kill"}}
_PERMANENT = "over"


class ServerJudge:
    """Judges writes to GameServers."""

    def __init__(self, clock: Clock, records: Records, verdicts: dict[str, int]) -> None:
        self._clock = clock
        self._records = records
        self._verdicts = verdicts

    def judge(self, request: Request) -> None:
        """Check one write.

        Raises:
            Violation: it should not have happened.
        """
        if request.verb == "delete":
            self._judge_deletion(request)
        elif request.verb == "patch" and not request.subresource:
            before, after = request.before, request.after
            assert before is not None
            assert after is not None
            if before["spec"].get("opsState") != after["spec"].get("opsState"):
                self._judge_ops_state(request, before, after)
            old, new = before["spec"].get("deletion"), after["spec"].get("deletion")
            if old is not None and new is None:
                self._judge_release(request, old)
            elif old != new:
                require(old is None, request, "a claim is final")
                self._judge_claim(request, before, new)

    # -- claims ---------------------------------------------------------------------------------

    def _judge_claim(self, request: Request, before: Json, claim: Json) -> None:
        run = request.run
        self._verdicts["claim"] += 1
        uid, reason = claim["podUid"], claim["reason"]
        game, owner = seen_game(run, uid), seen_set(run)
        require(game is not None, request, "it was not seen")
        assert game is not None
        require(not game.claimed, request, f"it is claimed: {game.claimed}")
        require(game.written == before["spec"]["opsState"], request, "it changed its mind")
        require(self._records.began_with(run, owner), request, "the set was going already")
        makers = {"Autoscaler": SCALERS}
        require(run.kind == makers.get(reason, SETS), request, f"{run.kind} claims: {reason}")
        match reason:
            case "Kill":
                require(game.written == "Kill", request, "nobody asked for it")
            case "Reserved":
                require(game.id in rules.reserved_ids(owner), request, "it is not reserved")
            case "ScaleDown":
                right = rules.right_victims(run.seen, rules.protects(owner))
                require(uid in right, request, f"a wrong victim; right are {right}")
            case "Autoscaler":
                self._judge_removal(request, game, before)
            case _:
                require(False, request, f"an unknown reason: {reason}")
        self._records.claims[uid] = reason
        self._records.condemned.add(uid)
        if reason == "Autoscaler":
            self._records.removed[run.process].add(uid)
        self._records.claimed_by[run].add(uid)

    def _judge_removal(self, request: Request, game: Game, before: Json) -> None:
        """Check a victim of the autoscaler: marked for long enough, or idle and one too many."""
        run = request.run
        self._verdicts["removal"] += 1
        scaler = supply.the_scaler(run.seen)
        require(scaler is not None and supply.is_active(scaler), request, "no autoscaler asks")
        assert scaler is not None
        if game.ops_state == names.OPS_STATE_WAIT_TO_BE_DELETED:
            since = self._records.marked_at.get(before["metadata"]["uid"], self._clock.seconds)
            dwelt = self._clock.seconds - since
            least = supply.dwell_seconds(scaler)
            # Times in objects have whole seconds.
            require(dwelt > least - 1, request, f"marked for {dwelt} s only")
            return
        known = self._records.removed[run.process] - self._records.claimed_by[run]
        right = supply.surplus(supply.with_claims(run.seen, known), scaler)
        require(game.uid in right, request, f"it is no surplus; those are {right}")

    def _judge_release(self, request: Request, claim: Json) -> None:
        self._verdicts["release"] += 1
        uid, run = claim["podUid"], request.run
        game, owner = seen_game(run, uid), seen_set(run)
        assert game is not None
        require(claim["reason"] == "ScaleDown", request, "only a scale-down can be taken back")
        require(game.held and game.live, request, "it does not wait for a hook")
        require(game.id not in rules.reserved_ids(owner), request, "its id is reserved")
        few = len(rules.wanted(run.seen)) < rules.target(run.seen)
        require(few, request, "nobody needs it")
        self._records.claims.pop(uid, None)
        self._records.released_by[run].add(uid)

    # -- opsState -------------------------------------------------------------------------------

    def _judge_ops_state(self, request: Request, before: Json, after: Json) -> None:
        run = request.run
        self._verdicts["action"] += 1
        old, new = before["spec"].get("opsState"), after["spec"]["opsState"]
        require(run.kind == SERVERS, request, f"opsState is not for a {run.kind}")
        require(old != "Kill", request, "a Kill stays")
        require(before["spec"].get("deletion") is None, request, "it is claimed")
        pod = run.seen[PODS.plural].get(request.name)
        require(pod is not None, request, "its pod was not seen")
        assert pod is not None
        uid = pod["metadata"]["uid"]
        reported = run.reports.get(uid, {})
        former, now = rules.recorded(before, uid), rules.recorded(after, uid)
        new_verdicts = {
            name: each["status"]
            for name, each in now.items()
            if former.get(name, {}).get("status") != each["status"]
        }
        require(new_verdicts, request, "no verdict is new")
        said = {name: reported.get(name) for name in new_verdicts}
        require(said == new_verdicts, request, f"the agent says {reported}")
        spoken = {_ASKS[name].get(each["status"]) for name, each in now.items()}
        require(new in spoken, request, f"no verdict asks for it: {now}")
        if new == "None" and "idle" not in former:
            ours = rules.was_written(before, old)
            require(old in ("", "None") or ours, request, "a first None replaces what was said")
        if new == "Kill":
            act = (after["metadata"]["uid"], uid)
            require(act not in self._records.spent, request, f"{_PERMANENT} acts again")
            self._records.spent.add(act)

    # -- objects --------------------------------------------------------------------------------

    def _judge_deletion(self, request: Request) -> None:
        before = request.before
        assert before is not None
        if "deletionTimestamp" in before["metadata"]:
            return
        self._verdicts["forgotten server"] += 1
        seen = request.run.seen
        pod = seen[PODS.plural].get(request.name)
        if pod is None or "deletionTimestamp" in pod["metadata"]:
            return
        owners = [each["uid"] for each in before["metadata"].get("ownerReferences") or ()]
        require(pod["metadata"]["uid"] not in owners, request, "its pod lives")
        sets = {each["metadata"]["uid"] for each in seen[GAMESERVERSETS.plural].values()}
        mine = rules.controller_uid(pod) in sets & set(owners)
        bound = (before.get("status") or {}).get("podUid") == pod["metadata"]["uid"]
        claimed = "deletion" in before["spec"]
        require(not (mine and bound) or claimed, request, "its pod lives")
