"""What follows from a pass beside its decision: when to wake, who is late, who can be claimed."""

from dataclasses import replace

import pytest
from msgspec.structs import replace as replace_struct

from aggregator.autoscaler.explain import Explained
from aggregator.autoscaler.memory import Memory, note_growth, note_removals
from aggregator.autoscaler.observed import (
    Observed,
    claimable,
    explained,
    in_use,
    outcome_of,
    overdue,
    removed_for_their_mark,
    wake_at,
)
from aggregator.autoscaler.status import Outcome
from aggregator.scaling.evaluate import evaluate
from aggregator.scaling.policy import History
from aggregator.scaling.schedule import Scheduled
from shared.api.autoscaler import GameServerSetAutoscaler, VictimReference
from tests.support.builders import game_server, game_server_set, pod
from tests.support.scaling import MARKED, Group, at, policy, snapshot

NOW = at(1000)
AUTOSCALER = GameServerSetAutoscaler.model_validate(
    {"metadata": {"name": "a"}, "spec": {"gameServerSetName": "minecraft", "maxReplicas": 9}}
)


def observed(*groups: Group, spec=None, created=900, until=None, **wanted) -> Observed:
    """A pass at second 1000 over these servers, all of whose pods are equally old."""
    taken = snapshot(*groups, spec=spec)
    views = tuple(replace(each, pod_uid=f"pod-{each.id}") for each in taken.servers)
    taken = replace(taken, servers=views)
    held = policy(**wanted)
    pairs = {
        each.pod_uid: (pod(each.id, created=at(created)), game_server(each.id)) for each in views
    }
    decision = evaluate(taken, held, History(), NOW)
    owner = game_server_set(replicas=taken.spec_replicas)
    scheduled = Scheduled(held, (), None if until is None else at(until))
    return Observed(AUTOSCALER, owner, pairs, taken, scheduled, decision, NOW)


@pytest.mark.parametrize(
    ("seen", "moment"),
    [
        pytest.param(observed(Group(1)), 1015, id="nothing is due"),
        pytest.param(observed(Group(1), until=1004), 1004, id="a schedule opens or closes"),
        pytest.param(observed(Group(1), until=5000), 1015, id="a schedule much later"),
        pytest.param(observed(Group(1, MARKED, since=978), dwell=30), 1008, id="a dwell ends"),
        pytest.param(
            observed(Group(1, MARKED, since=978), dwell=30, until=1007),
            1007,
            id="the first of both",
        ),
    ],
)
def test_a_pass_is_due_again_at_the_first_moment_that_may_change_it(seen, moment):
    assert wake_at(seen) == at(moment)


BOOTING = Group(2, state="Creating")


@pytest.mark.parametrize(
    ("seen", "short_since", "late"),
    [
        pytest.param(observed(BOOTING, created=701), None, (), id="a second too young"),
        pytest.param(
            observed(BOOTING, created=700),
            None,
            ("minecraft-0", "minecraft-1"),
            id="five minutes old",
        ),
        pytest.param(observed(Group(2), created=0), None, (), id="ready ones are not late"),
        pytest.param(observed(Group(1), spec=3), at(701), (), id="missing for a short time"),
        pytest.param(
            observed(Group(1), spec=3), at(700), ("2 not created yet",), id="missing for long"
        ),
        pytest.param(
            observed(BOOTING, spec=3, created=0),
            at(0),
            ("1 not created yet", "minecraft-0", "minecraft-1"),
            id="both",
        ),
    ],
)
def test_servers_are_late_after_five_minutes(seen, short_since, late):
    assert overdue(seen, short_since) == late


def test_a_pod_that_does_not_say_when_it_was_created_is_not_called_late():
    seen = observed(Group(1, state="Creating"), created=0)
    found, server = seen.pairs["pod-0"]
    ageless = replace_struct(
        found, metadata=replace_struct(found.metadata, creation_timestamp=None)
    )
    seen = replace(seen, pairs={"pod-0": (ageless, server)})
    assert overdue(seen, None) == ()


def test_a_victim_without_its_game_server_is_not_claimed_yet():
    seen = observed(Group(2, MARKED))
    assert [server.id for server in seen.decision.victims] == [1, 0]
    pairs = dict(seen.pairs) | {"pod-1": (seen.pairs["pod-1"][0], None)}
    assert claimable(seen.decision, pairs) == [(game_server(0), "pod-0")]
    assert claimable(seen.decision, seen.pairs) == [
        (game_server(1), "pod-1"),
        (game_server(0), "pod-0"),
    ]


def test_players_are_inside_of_servers_in_use():
    seen = observed(Group(1), Group(1, "Allocated"), Group(1, MARKED), Group(1, "Maintaining"))
    assert in_use(seen.snapshot, seen.scheduled.policy) == ["pod-1", "pod-3"]


@pytest.mark.parametrize(
    ("supply", "uids"),
    [
        pytest.param(("None",), ["pod-1"], id="a mark says that it goes"),
        pytest.param((MARKED,), [], id="a mark says that it is empty"),
    ],
)
def test_who_goes_for_its_mark(supply, uids):
    seen = observed(Group(1), Group(1, MARKED), supply=supply)
    assert removed_for_their_mark(seen) == uids


@pytest.mark.parametrize(
    ("memory", "acted"),
    [
        pytest.param(Memory(), False, id="nothing was ever written"),
        pytest.param(note_growth(Memory(), 2, 1, at(985)), False, id="an earlier pass wrote"),
        pytest.param(note_growth(Memory(), 2, 1, NOW), True, id="replicas were written"),
        pytest.param(note_removals(Memory(), ["pod-1"], [], NOW), True, id="a server was claimed"),
        pytest.param(note_removals(Memory(), [], [], NOW), False, id="all were spared"),
    ],
)
def test_what_a_pass_came_to(memory, acted):
    seen = observed(Group(1), Group(1, MARKED))
    victim = VictimReference(name="minecraft-1", uid="pod-1", reason=MARKED)
    expected = Outcome(seen.decision, "remove 1", (victim,), (), acted)
    assert outcome_of(seen, memory) == expected


def test_a_pass_tells_who_is_late_and_that_servers_are_missing():
    seen = observed(Group(1, state="Creating"), spec=2, created=0)
    outcome = outcome_of(seen, Memory(short_since=at(0)))
    assert outcome == Outcome(
        seen.decision, "leave it", slow=("1 not created yet", "minecraft-0"), acted=False
    )


@pytest.mark.parametrize(
    ("groups", "spec", "change"),
    [
        pytest.param([Group(1)], None, 2, id="two are missing"),
        pytest.param([Group(3)], None, 0, id="enough"),
        pytest.param([Group(3)], 9, -5, id="five were asked for in vain"),
    ],
)
def test_by_how_much_replicas_change(groups, spec, change):
    assert observed(*groups, spec=spec, min_available=3, max_available=4).change == change


def test_an_explanation_is_of_the_very_pass():
    seen = observed(Group(2), until=1003)
    assert explained(seen) == Explained(
        "minecraft", seen.snapshot, seen.scheduled, seen.decision, NOW, at(1003)
    )
