"""From reports to one GameServer: whatever arrives, in whatever order, only the newest counts.

Admission, ledger and plan together, as the intake and the reconciler put them together.
"""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aggregator.gameserver.observed import Observed
from aggregator.gameserver.operations import PatchPod, PatchServer, PatchStatus
from aggregator.gameserver.plan import plan
from aggregator.intake.admit import admit
from aggregator.ledger import Accepted, Ledger
from shared.api import names
from shared.api.gameserver import GameServer
from tests.support.builders import (
    NOW,
    game_server,
    game_server_set,
    pod,
    probe_report,
    quality,
    report,
)
from tests.support.merge_patch import merged

PLAYERS = quality(
    "players",
    {
        "state": True,
        "opsState": "{{if eq .Result 0}}WaitToBeDeleted{{else}}None{{end}}",
        "deletionPriority": "{{.Result}}",
        "labels": {"players": "{{.Result}}"},
        "containers": [{"name": "game", "resources": {"limits": {"cpu": "1"}}}],
    },
)
HEALTHY = quality(
    "healthy", {"state": True, "opsState": "None"}, {"state": False, "opsState": "Maintaining"}
)
ONCE = quality(
    "once",
    {"state": True, "annotations": {"first": "{{.Result}}"}, "networkDisabled": False},
    {"state": False, "containers": [{"name": "game", "image": "game:{{"}], "opsState": "Busy"},
    permanent=True,
)
pytestmark = pytest.mark.timeout(60)  # properties of whole plans

# The node is written to a server without any report; here it is there already.
NODE = {names.NODE_NAME_LABEL: "node-1"}
OWNER = game_server_set(qualities=(PLAYERS, HEALTHY, ONCE))


@dataclass
class Fleet:
    """Two game servers and their aggregator, without anything in between."""

    ledger: Ledger = field(default_factory=lambda: Ledger(0.0, 10.0))
    servers: dict[int, GameServer] = field(
        default_factory=lambda: {id_: game_server(id_, labels=NODE) for id_ in (0, 1)}
    )
    spec_writes: int = 0

    def receive(self, whole) -> None:
        outcome = admit(self.ledger.get(whole.pod_uid), whole, NOW)
        if isinstance(outcome, Accepted):
            self.ledger.accept(outcome, 1.0)

    def observe(self, id_: int, **changes: Any) -> Observed:
        accepted = self.ledger.get(f"pod-{id_}")
        seen = Observed(
            pod=pod(id_),
            server=self.servers[id_],
            owner=OWNER,
            report=accepted.report if accepted is not None else None,
            lost=False,
            remembered_at=None,
            now=NOW,
        )
        return replace(seen, **changes)

    def reconcile(self, id_: int) -> None:
        for operation in plan(self.observe(id_)).operations:
            match operation:
                case PatchServer(document=document):
                    self.spec_writes += 1
                    self._patch(id_, document)
                case PatchStatus(status=status):
                    self._patch(id_, {"status": status})

    def _patch(self, id_: int, document: dict[str, Any]) -> None:
        body = self.servers[id_].model_dump(mode="json", by_alias=True, exclude_none=True)
        self.servers[id_] = GameServer.model_validate(merged(body, document))


PROBES = st.tuples(
    st.builds(
        probe_report,
        st.just("players"),
        st.sampled_from(["True", "False", "Unknown"]),
        st.sampled_from(["", "0", "7", "many"]),
    ),
    st.builds(probe_report, st.just("healthy"), st.sampled_from(["True", "False", "Unknown"])),
    st.builds(
        probe_report,
        st.just("once"),
        st.sampled_from(["True", "False", "Unknown"]),
        st.sampled_from(["", "a"]),
    ),
)
REPORTS = st.builds(
    lambda probes, id_, epoch, sequence: report(
        *probes, pod_uid=f"pod-{id_}", epoch=epoch, sequence=sequence
    ),
    PROBES,
    st.integers(0, 1),
    st.integers(1, 3),
    st.integers(1, 3),
)


def order(whole) -> tuple[int, int]:
    return whole.epoch, whole.sequence


@given(st.lists(REPORTS, min_size=1, max_size=8), REPORTS, st.integers(0, 8))
def test_a_report_of_an_older_epoch_or_sequence_never_has_an_effect(reports, late, position):
    newer = [each for each in reports[:position] if each.pod_uid == late.pod_uid]
    assume(any(order(each) >= order(late) for each in newer))
    fleets = Fleet(), Fleet()
    for number, each in enumerate(reports):
        if number == position:
            fleets[1].receive(late)
            fleets[1].reconcile(int(late.pod_uid[-1]))
        for fleet in fleets:
            fleet.receive(each)
            fleet.reconcile(int(each.pod_uid[-1]))
    assert fleets[0].servers == fleets[1].servers
    assert fleets[0].spec_writes == fleets[1].spec_writes


@given(st.lists(REPORTS, max_size=8))
def test_a_report_of_another_pod_never_has_an_effect(reports):
    alone, together, strangers = Fleet(), Fleet(), Fleet()
    for each in reports:
        together.receive(each)
        if each.pod_uid == "pod-0":
            alone.receive(each)
        strangers.receive(replace(each, pod_uid="older"))
        for fleet in (alone, together, strangers):
            fleet.reconcile(0)
    assert alone.servers[0] == together.servers[0]
    assert alone.spec_writes == together.spec_writes
    assert strangers.spec_writes == 0


@given(st.lists(REPORTS, max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_two_agents_reports_does_not_matter(reports, random):
    of_each = {0: [r for r in reports if r.pod_uid == "pod-0"]}
    of_each[1] = [r for r in reports if r.pod_uid == "pod-1"]
    first, second = Fleet(), Fleet()
    for each in of_each[0] + of_each[1]:
        first.receive(each)
        first.reconcile(int(each.pod_uid[-1]))
    queues = {id_: list(whole) for id_, whole in of_each.items()}
    while any(queues.values()):
        id_ = random.choice([id_ for id_, queue in queues.items() if queue])
        second.receive(queues[id_].pop(0))
        second.reconcile(id_)
    assert first.servers == second.servers


@given(st.lists(REPORTS, min_size=1, max_size=6))
def test_what_was_applied_and_observed_again_is_nothing_to_do(reports):
    fleet = Fleet()
    for each in reports:
        id_ = int(each.pod_uid[-1])
        fleet.receive(each)
        fleet.reconcile(id_)
        later = plan(fleet.observe(id_, now=NOW + timedelta(hours=1)))
        # The pod's labels are not followed here; another test does.
        assert [each for each in later.operations if not isinstance(each, PatchPod)] == []


@given(st.lists(REPORTS, min_size=1, max_size=6))
def test_a_repeated_report_writes_nothing(reports):
    fleet = Fleet()
    for each in reports:
        fleet.receive(each)
        fleet.reconcile(int(each.pod_uid[-1]))
    before = fleet.spec_writes, dict(fleet.servers)
    for each in reports:
        fleet.receive(each)
        fleet.reconcile(int(each.pod_uid[-1]))
    assert (fleet.spec_writes, fleet.servers) == before
