"""What the autoscalers see of a set, from the objects as they are stored."""

import json
from datetime import timedelta

import msgspec
import pytest

from aggregator.pods import decode_pod
from aggregator.quality.match import Verdict
from aggregator.quality.verdicts import Record, render_records
from aggregator.scaling.policy import ServerView, Snapshot
from aggregator.snapshots import take_snapshot
from shared.api import names
from shared.protocol.wire import render_time
from tests.support.builders import NOW, game_server, game_server_set, pod, quality

MARKED = "WaitToBeDeleted"
BEFORE = NOW - timedelta(seconds=40)
CREATED = NOW - timedelta(hours=1)


def marked_pod(id_=0, *, label=MARKED, changed=None, created=None):
    """A pod with the mirror of its server's opsState."""
    body = json.loads(_encode(pod(id_, labels={names.OPS_STATE_LABEL: label})))
    if changed is not None:
        body["metadata"]["annotations"] = {names.OPS_STATE_CHANGED_ANNOTATION: changed}
    if created is not None:
        body["metadata"]["creationTimestamp"] = render_time(created)
    return decode_pod(json.dumps(body))


def _encode(item) -> bytes:
    return msgspec.json.encode(item)


def seen(pod_, server, owner=None, **options) -> ServerView:
    (view,) = take_snapshot(owner or game_server_set(), [(pod_, server)], NOW, **options).servers
    return view


READY = {"currentState": "Ready", "podUid": "pod-0"}


def view(**fields) -> ServerView:
    return ServerView(
        **({"id": 0, "ops_state": "None", "state": "Ready", "pod_uid": "pod-0"} | fields)
    )


@pytest.mark.parametrize(
    ("pod_", "server", "expected"),
    [
        pytest.param(pod(), game_server(status=READY), view(), id="an idle server"),
        pytest.param(pod(), None, view(ops_state="", state=""), id="no GameServer yet"),
        pytest.param(
            pod(), game_server(pod_uid="older", opsState="Allocated", status=READY),
            view(ops_state="", state=""), id="the GameServer of an older pod",
        ),
        pytest.param(
            pod(terminating=True), game_server(status=READY), view(leaving=True), id="terminating"
        ),
        pytest.param(
            pod(), game_server(deleting=True, status=READY), view(leaving=True),
            id="its GameServer is being deleted",
        ),
        pytest.param(
            pod(), game_server(deletion={"reason": "ScaleDown", "podUid": "pod-0"}, status=READY),
            view(leaving=True), id="claimed by a scale-down",
        ),
        pytest.param(
            pod(), game_server(deletion={"reason": "Kill", "podUid": "pod-0"}, status=READY),
            view(leaving=True, unaccounted=True), id="claimed by a Kill",
        ),
        pytest.param(
            pod(), game_server(deletionPriority="7", status=READY), view(deletion_priority=7),
            id="a priority as text",
        ),
        pytest.param(
            marked_pod(changed=render_time(BEFORE)),
            game_server(opsState=MARKED, status=READY),
            view(ops_state=MARKED, marked_since=BEFORE.replace(microsecond=678_000)),
            id="marked and mirrored",
        ),
        pytest.param(
            marked_pod(label="None", changed=render_time(BEFORE)),
            game_server(opsState=MARKED, status=READY),
            view(ops_state=MARKED, marked_since=NOW),
            id="marked and not mirrored yet",
        ),
        pytest.param(
            marked_pod(changed="yesterday", created=CREATED),
            game_server(opsState=MARKED, status=READY),
            view(ops_state=MARKED, marked_since=CREATED.replace(microsecond=678_000)),
            id="a spoiled annotation",
        ),
    ],
)  # fmt: skip
def test_a_server(pod_, server, expected):
    assert seen(pod_, server) == expected


def test_a_claim_of_ours_counts_before_the_cache_shows_it():
    server = game_server(status=READY)
    assert seen(pod(), server, claimed={"pod-0"}) == view(leaving=True, unaccounted=True)


def test_an_accounted_claim_lowers_replicas_no_more():
    owner = game_server_set(annotations={names.ACCOUNTED_ANNOTATION: "other, pod-0"})
    claimed = game_server(deletion={"reason": "Autoscaler", "podUid": "pod-0"}, status=READY)
    assert seen(pod(), claimed, owner) == view(leaving=True)


def records(status="True") -> dict[str, str]:
    record = Record(Verdict(status, "hash"), "pod-0", NOW, {("opsState",): MARKED})
    return {names.VERDICTS_ANNOTATION: render_records({"idle": record})}


def test_a_mark_of_a_quality_that_fell_silent_is_stale():
    silent = READY | {"serviceQualitiesConditions": [{"name": "idle", "status": "Unknown"}]}
    server = game_server(opsState=MARKED, annotations=records(), status=silent)
    assert seen(marked_pod(changed=render_time(BEFORE)), server).stale
    known = READY | {"serviceQualitiesConditions": [{"name": "idle", "status": "True"}]}
    server = game_server(opsState=MARKED, annotations=records(), status=known)
    assert not seen(marked_pod(changed=render_time(BEFORE)), server).stale


def test_where_marks_mean_idle_a_server_that_was_not_probed_has_no_ops_state():
    owner = game_server_set(qualities=(quality("idle"),))
    fresh = game_server(status=READY)
    probed = game_server(status=READY, annotations=records("False"))
    assert seen(pod(), fresh, owner, marks_idle=True) == view(ops_state="")
    assert seen(pod(), probed, owner, marks_idle=True) == view()
    assert seen(pod(), fresh, owner) == view()
    assert seen(pod(), fresh, marks_idle=True) == view(), "no quality will ever look at it"


def test_a_pod_of_another_name_is_none_of_the_servers():
    body = json.loads(_encode(pod()))
    body["metadata"]["name"] = "minecraft-x"
    assert (
        take_snapshot(game_server_set(), [(decode_pod(json.dumps(body)), None)], NOW).servers == ()
    )


@pytest.mark.parametrize(("generation", "observed"), [(4, True), (5, False)])
def test_a_set_is_observed_when_its_status_is_of_its_generation(generation, observed):
    owner = game_server_set(replicas=7, generation=generation, status={"observedGeneration": 4})
    assert take_snapshot(owner, [], NOW) == Snapshot(7, (), observed)


def test_only_what_changed_is_described_again():
    owner = game_server_set()
    pairs = [(pod(id_), game_server(id_, status=READY)) for id_ in range(2)]
    memo = {}
    before = take_snapshot(owner, pairs, NOW, memo=memo).servers
    pairs[1] = (pairs[1][0], game_server(1, opsState="Allocated", status=READY))
    after = take_snapshot(owner, pairs, NOW, memo=memo).servers
    assert after[0] is before[0]
    assert after == take_snapshot(owner, pairs, NOW).servers
    take_snapshot(owner, pairs[:1], NOW, memo=memo)
    assert memo.keys() == {"pod-0"}


def test_a_mark_that_is_not_mirrored_yet_stays_new_and_a_claim_is_added_to_what_is_known():
    owner = game_server_set()
    pairs = [(marked_pod(label="None"), game_server(opsState=MARKED, status=READY))]
    memo = {}
    take_snapshot(owner, pairs, NOW, memo=memo)
    later = NOW + timedelta(seconds=9)
    (view_,) = take_snapshot(owner, pairs, later, {"pod-0"}, memo=memo).servers
    assert view_ == view(ops_state=MARKED, marked_since=later, leaving=True, unaccounted=True)
