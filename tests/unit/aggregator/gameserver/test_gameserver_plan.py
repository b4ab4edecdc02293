"""Whatever is observed of a game server: what was written is not written again."""

from copy import deepcopy
from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from aggregator.gameserver.operations import PatchPod, PatchServer
from aggregator.gameserver.plan import plan
from tests.support.builders import (
    NOW,
    game_server,
    game_server_set,
    pod,
    probe_report,
    quality,
    report,
)
from tests.support.server_plans import CLAIM, SEED, kinds, observed, settle

SERVERS = st.builds(
    game_server,
    pod_uid=st.sampled_from(["pod-0", "older", None]),
    deletion=st.sampled_from([None, CLAIM, CLAIM | {"podUid": "older"}]),
    deleting=st.booleans(),
    opsState=st.sampled_from(["None", "Kill", "Maintaining", "Allocated", "Custom"]),
    deletionPriority=st.sampled_from([0, -1, "7", 2**31 - 1]),
)
PODS = st.builds(
    pod,
    phase=st.sampled_from(["Pending", "Running", "Failed", "Succeeded"]),
    ready=st.sampled_from([True, False, None]),
    terminating=st.booleans(),
    agent=st.booleans(),
    node_name=st.sampled_from(["", "node-1"]),
)
PROBES = st.lists(
    st.builds(
        probe_report,
        name=st.sampled_from(["healthy", "idle", "other"]),
        status=st.sampled_from(["True", "False", "Unknown"]),
        result=st.sampled_from(["", "gate", "data"]),
    ),
    max_size=3,
    unique_by=lambda probe: probe.name,
)
OWNER = game_server_set(
    qualities=(SEED, quality("idle", {"state": True, "labels": {"a": "1"}}, permanent=True))
)
EVERYTHING = st.builds(
    observed,
    pod=st.none() | PODS,
    server=st.none() | SERVERS,
    owner=st.sampled_from([OWNER, None]),
    report=st.none() | PROBES.map(lambda probes: report(*probes)),
    lost=st.booleans(),
)


@given(EVERYTHING)
def test_a_plan_that_was_applied_and_observed_again_is_empty(anything):
    settled = settle(anything)
    assert plan(replace(settled, now=NOW + timedelta(hours=1))).operations == ()


@given(EVERYTHING)
def test_a_plan_changes_none_of_its_inputs_and_is_the_same_twice(anything):
    before = deepcopy(anything)
    assert plan(anything) == plan(before)
    assert anything == before


@given(EVERYTHING)
def test_at_most_one_write_for_each_object_and_subresource(anything):
    once = kinds(plan(anything))
    assert len(once) == len(set(once)) <= 3


@given(EVERYTHING)
def test_an_empty_patch_is_never_planned(anything):
    for operation in plan(anything).operations:
        match operation:
            case PatchServer(document=document):
                assert document["metadata"] or document.get("spec")
            case PatchPod(metadata=metadata):
                assert metadata["labels"]
