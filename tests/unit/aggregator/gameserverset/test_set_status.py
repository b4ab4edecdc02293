"""What the status of a set says, and that it settles (SPEC 1.1)."""

from datetime import timedelta

import pytest

from aggregator.gameserverset.pod import template_revision
from aggregator.gameserverset.status import (
    ConditionState,
    Member,
    next_availability,
    plan_status,
)
from shared.api import names
from shared.api.gameserverset import GameServerSetStatus
from shared.api.meta import Condition
from tests.support.builders import NOW, game_server_set, pod

SET = game_server_set(replicas=20, generation=7)
REVISION = template_revision(SET)
OLD = {names.REVISION_LABEL: "old"}
NEW = {names.REVISION_LABEL: REVISION}


def member(id_, ops_state="None", *, labels=NEW, **fields):
    return Member(pod(id_, labels=labels, **fields), ops_state)


def test_every_count():
    members = [
        member(0),
        member(1, "Maintaining", ready=False),
        member(2, "WaitToBeDeleted", labels=OLD),
        member(3, "WaitToBeDeleted", labels=OLD, ready=None),
        member(4, "Allocated"),
        member(5, "Kill"),
        member(6, "Custom"),
        member(7, "", phase="Pending", ready=None),
    ]
    assert plan_status(SET, members, [], NOW) == GameServerSetStatus(
        observed_generation=7,
        replicas=20,
        current_replicas=8,
        ready_replicas=5,
        available_replicas=5,
        updated_replicas=6,
        updated_ready_replicas=4,
        maintaining_replicas=1,
        wait_to_be_deleted_replicas=2,
        none_replicas=1,
        allocated_replicas=1,
        kill_replicas=1,
        current_revision="",
        update_revision=REVISION,
        label_selector="game.kruise.io/owner-gss=minecraft",
        last_transition_time=NOW,
    )


def test_the_target_is_reported_before_a_single_pod_exists():
    status = plan_status(SET, [], [], NOW)
    assert (status.replicas, status.current_replicas) == (20, 0)


@pytest.mark.parametrize(
    ("labels", "current"), [([NEW, NEW], REVISION), ([NEW, OLD], "before"), ([], REVISION)]
)
def test_the_current_revision_follows_when_every_server_has_the_new_one(labels, current):
    owner = game_server_set(status={"currentRevision": "before"})
    members = [member(id_, labels=each) for id_, each in enumerate(labels)]
    assert plan_status(owner, members, [], NOW).current_revision == current


WAITING = ConditionState("WaitingForTermination", True, "PodsTerminating", "minecraft-2")


def settled(status):
    return game_server_set(
        replicas=20,
        generation=7,
        status=status.model_dump(mode="json", by_alias=True, exclude_none=True),
    )


def test_a_status_that_was_written_is_not_written_again():
    written = plan_status(SET, [member(0)], [WAITING], NOW)
    later = NOW + timedelta(days=1)
    assert plan_status(settled(written), [member(0)], [WAITING], later) == written


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
    before = settled(plan_status(SET, [], [WAITING], NOW))
    (condition,) = plan_status(before, [], [fresh], NOW + timedelta(minutes=1)).conditions
    assert condition == Condition(
        type=fresh.type,
        status="True" if fresh.holds else "False",
        reason=fresh.reason,
        message=fresh.message,
        observed_generation=7,
        last_transition_time=since,
    )


def test_a_condition_that_no_longer_applies_is_gone():
    before = settled(plan_status(SET, [], [WAITING], NOW))
    assert plan_status(before, [], [], NOW).conditions == ()


@pytest.mark.parametrize(
    ("seconds", "ready_for", "available", "wait"),
    [
        pytest.param(0, 0, 1, None, id="at once"),
        pytest.param(0, -5, 1, None, id="at once, whatever the clock of the node says"),
        pytest.param(30, 29, 0, 1, id="not yet"),
        pytest.param(30, 30, 1, None, id="just now"),
        pytest.param(30, 99, 1, None, id="long ago"),
    ],
)
def test_available_after_min_ready_seconds(seconds, ready_for, available, wait):
    strategy = {"rollingUpdate": {"minReadySeconds": seconds}}
    owner = game_server_set(updateStrategy=strategy)
    now = NOW.replace(microsecond=0)
    ready_since = now - timedelta(seconds=ready_for)
    members = [member(0, ready_since=ready_since), member(1, ready=False)]
    assert plan_status(owner, members, [], now).available_replicas == available
    due = None if wait is None else timedelta(seconds=wait)
    assert next_availability(owner, members, now) == due
