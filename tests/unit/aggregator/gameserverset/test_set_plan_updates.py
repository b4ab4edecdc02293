"""A set as a whole: what its spec and annotations say about updates."""

import pytest

from aggregator.gameserverset.inplace import Change
from aggregator.gameserverset.plan import plan
from aggregator.gameserverset.revision import pod_template, template_revision
from aggregator.gameserverset.update import Mark, PatchInPlace, ReCreate
from shared.api import names
from tests.support.builders import game_server_set
from tests.support.planned_sets import OLD_TEMPLATE, observed, old_pair, rolling, steps_of


def test_the_rules_of_updates_come_from_the_spec():
    assert steps_of(rolling(), old_pair(0), old_pair(1)) == [(PatchInPlace, 1)]
    assert steps_of(rolling(maxUnavailable=2), old_pair(0), old_pair(1, updatePriority=-1)) == [
        (PatchInPlace, 0),
        (PatchInPlace, 1),
    ]
    assert steps_of(rolling("ReCreate"), old_pair(0), old_pair(1)) == [(ReCreate, 1)]
    assert steps_of(rolling(partition=2), old_pair(0), old_pair(1)) == []
    assert steps_of(rolling(paused=True), old_pair(0)) == []
    assert steps_of(rolling(), old_pair(0), old_pair(1), known=False) == [(ReCreate, 1)]


@pytest.mark.parametrize(
    ("fields", "updated"),
    [
        pytest.param({"maxUnavailable": "100%"}, 3, id="all at once"),
        pytest.param({"maxUnavailable": "50%"}, 1, id="a share of servers is rounded down"),
        pytest.param({"maxUnavailable": "1%"}, 1, id="to one at the least"),
        pytest.param(
            {"maxUnavailable": "100%", "partition": "34%"}, 1, id="a partition is rounded up"
        ),
    ],
)
def test_shares_are_of_replicas(fields, updated):
    owner = rolling(replicas=3, **fields)
    assert len(steps_of(owner, old_pair(0), old_pair(1), old_pair(2))) == updated


def test_a_grace_period_comes_before_a_patch():
    owner = rolling(inPlaceUpdateStrategy={"gracePeriodSeconds": 5})
    assert steps_of(owner, old_pair(0), old_pair(1)) == [(Mark, 1)]


def test_a_patch_in_place_has_the_difference_of_the_templates():
    owner = rolling(replicas=1)
    templates = {"old": OLD_TEMPLATE, template_revision(owner): pod_template(owner)}
    (step,) = plan(observed(old_pair(0), owner=owner, templates=templates)).updates.steps
    assert (step.change, step.revision) == (
        Change(images={"game": "game:2"}),
        template_revision(owner),
    )


def test_nothing_is_updated_while_the_templates_cannot_be_read():
    decision = plan(observed(old_pair(0), owner=rolling(replicas=1), templates=None))
    assert decision.updates.steps == ()


@pytest.mark.parametrize(
    ("fields", "annotations", "reason"),
    [
        pytest.param({"type": "OnDelete"}, {}, "OnDelete", id="OnDelete"),
        pytest.param({"rollingUpdate": {"paused": True}}, {}, "UpdatePaused", id="paused"),
        pytest.param(
            {"type": "OnDelete", "rollingUpdate": {"paused": True}}, {}, "OnDelete", id="both"
        ),
        pytest.param({}, {names.PROTECT_ANNOTATION: "true"}, "AllocatedProtected", id="protected"),
        pytest.param(
            {}, {names.UPDATE_OPS_STATES_ANNOTATION: "None"}, "StateLeftOut", id="another state"
        ),
    ],
)
def test_an_update_that_waits_for_a_person_is_not_in_progress(fields, annotations, reason):
    owner = game_server_set(replicas=1, updateStrategy=fields, annotations=annotations)
    decision = plan(observed(old_pair(0, opsState="Allocated"), owner=owner))
    told = {each.type: (each.status, each.reason) for each in decision.status.conditions}
    assert (decision.updates.steps, told["Progressing"]) == ((), ("False", reason))


@pytest.mark.parametrize(
    ("partition", "there", "former"),
    [
        pytest.param(2, [(0, "old")], {1}, id="one more is to stay behind"),
        pytest.param("50%", [], {0, 1}, id="all that stay behind are missing"),
        pytest.param("34%", [], {0, 1}, id="a share is rounded up"),
        pytest.param(1, [(0, "old")], set(), id="enough stayed behind"),
        pytest.param(0, [(0, "old")], set(), id="no partition"),
    ],
)
def test_servers_that_a_partition_leaves_behind_are_made_again_as_they_were(
    partition, there, former
):
    owner = rolling(replicas=4, partition=partition, status={"currentRevision": "old"})
    templates = {"old": OLD_TEMPLATE, template_revision(owner): pod_template(owner)}
    pairs = [old_pair(id_) for id_, _ in there]
    decision = plan(observed(*pairs, owner=owner, templates=templates))
    assert decision.former_ids == former
    assert decision.former_revision == ("old" if former else "")


@pytest.mark.parametrize("current", ["", "unknown", "present"])
def test_only_a_former_template_that_is_known_is_used(current):
    present = template_revision(rolling(replicas=4))
    revision = present if current == "present" else current
    owner = rolling(replicas=4, partition=2, status={"currentRevision": revision})
    assert plan(observed(owner=owner)).former_ids == frozenset()


@pytest.mark.parametrize(
    ("states", "updated"), [("None, Maintaining", {0, 2}), ("", set()), (None, {0, 1, 2})]
)
def test_an_update_can_be_limited_to_servers_in_some_states(states, updated):
    annotations = {} if states is None else {names.UPDATE_OPS_STATES_ANNOTATION: states}
    owner = game_server_set(
        replicas=3,
        annotations=annotations,
        updateStrategy={"rollingUpdate": {"maxUnavailable": "100%"}},
    )
    pairs = [old_pair(0), old_pair(1, opsState="Allocated"), old_pair(2, opsState="Maintaining")]
    assert {step.server.id for step in plan(observed(*pairs, owner=owner)).updates.steps} == updated
