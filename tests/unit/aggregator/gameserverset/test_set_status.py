"""What the status of a set says, and that it settles (SPEC 1.1)."""

from datetime import timedelta

import pytest

from aggregator.gameserverset.conditions import ConditionState
from aggregator.gameserverset.server import Server
from aggregator.gameserverset.status import plan_status
from aggregator.pod_update import PodUpdate
from shared.api.gameserverset import GameServerSetStatus
from shared.api.meta import Condition
from tests.support.builders import NOW, game_server_set

SET = game_server_set(replicas=20, generation=7)
REVISION = "new"


def server(id_, ops_state="None", *, ready=True, **fields):
    known = {"revision": REVISION, "available": ready} | fields
    return Server(id_, f"pod-{id_}", ops_state, written_ops_state=ops_state, ready=ready, **known)


def status_of(servers, states=(), *, owner=SET, now=NOW):
    return plan_status(owner, servers, REVISION, states, now)


def test_every_count():
    servers = [
        server(0),
        server(1, "Maintaining", ready=False),
        server(2, "WaitToBeDeleted", revision="old"),
        server(3, "WaitToBeDeleted", revision="old", ready=False),
        server(4, "Allocated", claimed="ScaleDown", held=True),
        server(5, "Kill", claimed="Kill"),
        server(6, "Custom", available=False, update=PodUpdate("ReCreate", "new", NOW), held=True),
        server(7, "", ready=False),
        server(8, "None", terminating=True, claimed="ScaleDown", held=True),
        server(9, "None", finished=True, ready=True, available=False),
    ]
    assert status_of(servers) == GameServerSetStatus(
        observed_generation=7,
        replicas=20,
        current_replicas=9,
        ready_replicas=5,
        available_replicas=4,
        updated_replicas=7,
        updated_ready_replicas=4,
        maintaining_replicas=1,
        wait_to_be_deleted_replicas=2,
        pre_delete_replicas=2,
        none_replicas=2,
        allocated_replicas=1,
        kill_replicas=1,
        current_revision="",
        update_revision=REVISION,
        label_selector="game.kruise.io/owner-gss=minecraft",
        last_transition_time=NOW,
    )


def test_a_mark_that_does_not_count_for_choosing_is_still_shown():
    stale = Server(0, "pod-0", "None", written_ops_state="WaitToBeDeleted")
    status = status_of([stale])
    assert (status.wait_to_be_deleted_replicas, status.none_replicas) == (1, 0)


def test_the_target_is_reported_before_a_single_pod_exists():
    status = status_of([])
    assert (status.replicas, status.current_replicas) == (20, 0)


@pytest.mark.parametrize(
    ("revisions", "current"),
    [(["new", "new"], "new"), (["new", "old"], "before"), ([], "new")],
    ids=["all new", "one old", "none"],
)
def test_the_current_revision_follows_when_every_server_has_the_new_one(revisions, current):
    owner = game_server_set(status={"currentRevision": "before"})
    servers = [server(id_, revision=each) for id_, each in enumerate(revisions)]
    assert status_of(servers, owner=owner).current_revision == current


WAITING = ConditionState("WaitingForTermination", True, "PodsTerminating", "minecraft-2")


def settled(status):
    return game_server_set(
        replicas=20,
        generation=7,
        status=status.model_dump(mode="json", by_alias=True, exclude_none=True),
    )


def test_a_status_that_was_written_is_not_written_again():
    written = status_of([server(0)], [WAITING])
    later = NOW + timedelta(days=1)
    assert status_of([server(0)], [WAITING], owner=settled(written), now=later) == written


@pytest.mark.parametrize(
    ("fresh", "since"),
    [
        pytest.param(WAITING, NOW, id="same"),
        pytest.param(
            ConditionState("WaitingForTermination", True, "PodsTerminating", "minecraft-3"),
            NOW,
            id="another message",
        ),
        pytest.param(
            ConditionState("WaitingForTermination", False, "Done"),
            NOW + timedelta(minutes=1),
            id="another status",
        ),
    ],
)
def test_a_condition_keeps_its_time_while_its_status_holds(fresh, since):
    before = settled(status_of([], [WAITING]))
    status = status_of([], [fresh], owner=before, now=NOW + timedelta(minutes=1))
    assert status.conditions == (
        Condition(
            type=fresh.type,
            status="True" if fresh.holds else "False",
            reason=fresh.reason,
            message=fresh.message,
            observed_generation=7,
            last_transition_time=since,
        ),
    )


def test_a_condition_that_no_longer_applies_is_gone():
    before = settled(status_of([], [WAITING]))
    assert status_of([], owner=before).conditions == ()
