"""Judges every write of an aggregator in the moment in which it takes effect.

A decision is judged by what its maker saw when it began and has done since: an API server with late
watches allows no more. What was seen must be no older than the maker's own writes, so nothing can
be done twice. The invariants stand beside what they are about:

- judge_servers.py: claims and what is said of servers;
- judge_pods.py: creations, deletions, updates, adoptions;
- judge_sets.py: what deletions cost, and what an autoscaler asks for;
- judge_volumes.py: claims of volumes, whoever deletes them.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from aggregator.kube.resources import GAMESERVERS, GAMESERVERSETS, PODS
from tests.simulation.judge_pods import PodJudge
from tests.simulation.judge_servers import ServerJudge
from tests.simulation.judge_sets import SetJudge
from tests.simulation.judge_volumes import VolumeJudge
from tests.simulation.records import Records

if TYPE_CHECKING:
    from tests.simulation.network import Request
    from tests.simulation.server import Server
    from tests.support.world import Clock


class Referee:
    """Hands each write to whom it concerns.

    Attributes:
        verdicts: number of writes that were judged, by what they were about.
        records: what was done.
    """

    def __init__(self, server: Server, clock: Clock) -> None:
        self.verdicts: dict[str, int] = defaultdict(int)
        self.records = records = Records(server, clock)
        self._servers = ServerJudge(clock, records, self.verdicts)
        self._sets = SetJudge(server, records, self.verdicts)
        self._pods = PodJudge(server, records, self.verdicts)
        self._volumes = VolumeJudge(server, records, self.verdicts)

    def judge(self, request: Request) -> None:
        """Check one write; nothing is said of one that changed nothing.

        Raises:
            Violation: it should not have happened.
        """
        if request.resource == GAMESERVERS and request.after is not None and request.error is None:
            # Also where the same claim was there already, from somebody who is dead by now.
            claim = request.after["spec"].get("deletion") or {}
            standing = {claim.get("podUid", "")} & set(self.records.claims)
            self.records.claimed_by[request.run] |= standing
        if not request.happened:
            return
        if request.resource == GAMESERVERS:
            self._servers.judge(request)
        elif request.resource == GAMESERVERSETS:
            self._sets.judge(request)
        elif request.resource == PODS:
            self._pods.judge(request)

    def check_end(self) -> None:
        """Check what only the end tells.

        Raises:
            Violation: something is not as it should be.
        """
        self._volumes.check_end()
