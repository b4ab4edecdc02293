"""Judges writes to the set: what deletions cost, and what an autoscaler asks for.

- Nothing of the spec changes but `replicas` and reserved ids, and the status; the maker saw this
  very version.
- Each deletion is counted once, after its claim; `replicas` falls by the Kills and removals that no
  surplus covers; ids come into the reserve list with their victims only and never leave it.
- An autoscaler makes the set larger for want of idle servers only, and smaller only by servers that
  do not exist yet.
- A set that is going is left alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aggregator.kube.resources import GAMESERVERS, PODS
from tests.simulation import rules, supply
from tests.simulation.process import SCALERS, SETS
from tests.simulation.records import claim_on, seen_game, seen_set
from tests.simulation.violation import require

if TYPE_CHECKING:
    from tests.simulation.network import Request
    from tests.simulation.records import Records
    from tests.simulation.rules import Json
    from tests.simulation.server import Server


class SetJudge:
    """Judges writes to the set."""

    def __init__(self, server: Server, records: Records, verdicts: dict[str, int]) -> None:
        self._server = server
        self._records = records
        self._verdicts = verdicts

    def judge(self, request: Request) -> None:
        """Check one write.

        Raises:
            Violation: it should not have happened.
        """
        require(request.verb == "patch", request, "the set is the user's")
        before, after = request.before, request.after
        assert before is not None
        assert after is not None
        going = "deletionTimestamp" in before["metadata"]
        require(not going, request, "the set is going")
        if request.subresource == "status":
            same = before["spec"] == after["spec"]
            require(same, request, "the spec is the user's")
            return
        version = before["metadata"]["resourceVersion"]
        saw = seen_set(request.run)["metadata"]["resourceVersion"] == version
        require(saw, request, "decided on another set")
        changing = ("replicas", "reserveGameServerIds")
        rest = [
            {k: v for k, v in each["spec"].items() if k not in changing} for each in (before, after)
        ]
        require(rest[0] == rest[1], request, "the spec is the user's")
        if request.run.kind == SCALERS:
            self._judge_scaling(request, before, after)
        else:
            require(request.run.kind == SETS, request, "it is for the set's own controller")
            self._judge_accounting(request, before, after)

    def _judge_scaling(self, request: Request, before: Json, after: Json) -> None:
        self._verdicts["scaling"] += 1
        seen = supply.with_claims(request.run.seen, self._records.removed[request.run.process])
        scaler = supply.the_scaler(seen)
        require(scaler is not None and supply.is_active(scaler), request, "no autoscaler asks")
        assert scaler is not None
        old, new = before["spec"]["replicas"], after["spec"]["replicas"]
        same = rules.reserved_ids(before) == rules.reserved_ids(after)
        require(same, request, "reserved ids are not its business")
        # Kills that are not counted yet lower `replicas` later, by themselves.
        uncounted = old - supply.expected(seen)
        most = supply.most_replicas(seen, scaler) + uncounted
        require(new <= most, request, f"at most {most} are needed")
        least = old - supply.missing(seen)
        require(new >= least, request, f"only {old - least} do not exist yet")

    def _judge_accounting(self, request: Request, before: Json, after: Json) -> None:
        records, run = self._records, request.run
        self._verdicts["accounting"] += 1
        counted = rules.accounted_uids(after) - rules.accounted_uids(before)
        for uid in rules.accounted_uids(before) - rules.accounted_uids(after):
            require(not self._is_going(uid), request, f"{uid} is forgotten too early")
            # Whoever deletes the GameServer by hand takes the claim away with it.
            records.accounted.pop(uid, None)
        for uid in counted:
            require(uid not in records.accounted, request, f"{uid} is counted twice")
            require(uid in records.claims, request, f"{uid} is counted before it is claimed")
            records.accounted[uid] = records.claims[uid]
        lowering = any(records.claims[uid] in rules.COUNTED for uid in counted)
        expected = rules.target(run.seen) if lowering else before["spec"]["replicas"]
        require(after["spec"]["replicas"] == expected, request, f"replicas must be {expected}")
        self._judge_reserved(request, before, after, counted)
        records.counted_at[run] = int(after["metadata"]["resourceVersion"])

    def _judge_reserved(
        self, request: Request, before: Json, after: Json, counted: set[str]
    ) -> None:
        old, new = rules.reserved_ids(before), rules.reserved_ids(after)
        require(old <= new, request, f"ids {old - new} left the reserve list")
        ids: set[int] = set()
        if rules.strategy_of(before) == "ReserveIds":
            games = (seen_game(request.run, uid) for uid in counted)
            ids = {game.id for game in games if game is not None}
        require(new == old | ids, request, f"ids {new - old - ids} came back into the list")

    def _is_going(self, uid: str) -> bool:
        """Tell whether the pod is there, and terminating or claimed."""
        pods = (each["metadata"] for each in self._server.all(PODS).values())
        pod = next((each for each in pods if each["uid"] == uid), None)
        servers = {GAMESERVERS.plural: self._server.all(GAMESERVERS)}
        return pod is not None and ("deletionTimestamp" in pod or bool(claim_on(servers, uid)))
