"""What a pod and its GameServer mean for the decisions of their set."""

import json
from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from aggregator.gameserverset.roster import Roster
from aggregator.gameserverset.server import Server, describe
from aggregator.pod_update import PodUpdate, render_update
from shared.api import names
from tests.support.builders import NOW, game_server, game_server_set, pod

SINCE = NOW.replace(microsecond=0)
PLAIN = game_server_set()
SLOW = game_server_set(updateStrategy={"rollingUpdate": {"minReadySeconds": 30}})
HOOKED = game_server_set(
    lifecycle={
        "preDelete": {"labelsHandler": {"drain": "me"}},
        "inPlaceUpdate": {"finalizersHandler": ["drain/it"]},
    }
)
# Whole seconds, as the API server keeps them.
UPDATE = PodUpdate("InPlace", "new", NOW.replace(microsecond=678_000))


def server_of(found_pod, found, owner=PLAIN, now=NOW):
    return describe(owner, found_pod, found, 0, now).server


def test_everything_that_a_pod_and_its_game_server_say():
    found_pod = pod(
        labels={names.REVISION_LABEL: "new", "drain": "me"},
        annotations={
            names.UPDATE_ANNOTATION: render_update(UPDATE),
            names.IMAGES_ANNOTATION: '{"game":"game:7"}',
        },
        finalizers=("drain/it",),
        created=SINCE,
    )
    found = game_server(
        opsState="Allocated",
        deletionPriority="-3",
        updatePriority="4",
        containers=[{"name": "log", "image": "log:2"}, {"name": "game", "image": "game:8"}],
        deletion={"reason": "Kill", "podUid": "pod-0"},
    )
    assert server_of(found_pod, found, HOOKED) == Server(
        id=0,
        pod_uid="pod-0",
        ops_state="Allocated",
        deletion_priority=-3,
        claimed="Kill",
        held=True,
        written_ops_state="Allocated",
        update_priority=4,
        revision="new",
        ready=True,
        available=False,
        started_at=SINCE,
        has_agent=True,
        update=UPDATE,
        update_held=True,
        asked_images=(("game", "game:8"), ("log", "log:2")),
        given_images=(("game", "game:7"),),
    )


NOBODY = Server(0, "pod-0", started_at=pod().metadata.creation_timestamp, has_agent=True)


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(None, id="no GameServer"),
        pytest.param(
            game_server(
                pod_uid="older",
                opsState="Allocated",
                deletionPriority=7,
                updatePriority=7,
                containers=[{"name": "game", "image": "game:8"}],
            ),
            id="that of an older pod",
        ),
        pytest.param(
            game_server(pod_uid=None, deletion={"reason": "Kill", "podUid": "older"}),
            id="claimed for an older pod",
        ),
    ],
)
def test_a_pod_without_its_own_game_server_has_no_state(found):
    assert server_of(pod(), found) == NOBODY


def test_images_that_a_pod_was_given_stay_until_its_game_server_says_otherwise():
    given = pod(annotations={names.IMAGES_ANNOTATION: '{"game":"game:7"}'})
    server = server_of(given, None)
    assert server.asked_images == server.given_images == (("game", "game:7"),)


@pytest.mark.parametrize("text", ["", "{", "[]", "7"])
def test_a_spoiled_annotation_means_no_images(text):
    assert server_of(pod(annotations={names.IMAGES_ANNOTATION: text}), None).given_images == ()


@pytest.mark.parametrize(
    ("fields", "ready", "finished"),
    [
        ({"terminating": True}, True, False),
        ({"ready": None}, False, False),
        ({"phase": "Failed", "ready": False}, False, True),
        ({"phase": "Succeeded", "ready": False}, False, True),
    ],
)
def test_what_the_pod_says_of_itself(fields, ready, finished):
    server = server_of(pod(**fields), None)
    assert (server.ready, server.finished) == (ready, finished)
    assert server.terminating is fields.get("terminating", False)


@pytest.mark.parametrize(
    ("owner", "fields", "ready_for", "available", "wait"),
    [
        pytest.param(PLAIN, {}, 0, True, None, id="at once"),
        pytest.param(PLAIN, {}, -5, True, None, id="whatever the clock of the node says"),
        pytest.param(PLAIN, {"ready": False}, 99, False, None, id="not ready"),
        pytest.param(PLAIN, {"phase": "Failed"}, 99, False, None, id="ended"),
        pytest.param(SLOW, {}, 29, False, 1, id="not yet"),
        pytest.param(SLOW, {}, 30, True, None, id="just now"),
        pytest.param(SLOW, {}, 99, True, None, id="long ago"),
        pytest.param(SLOW, {"ready": False}, 99, False, None, id="no longer"),
    ],
)
def test_available_after_min_ready_seconds(owner, fields, ready_for, available, wait):
    since = SINCE - timedelta(seconds=ready_for)
    description = describe(owner, pod(ready_since=since, **fields), None, 0, SINCE)
    until = None if wait is None else SINCE + timedelta(seconds=wait)
    assert (description.server.available, description.valid_until) == (available, until)


def test_the_mark_of_a_silent_quality_counts_as_none():
    record = {
        "idle": {
            "status": "True",
            "resultHash": "0",
            "podUid": "pod-0",
            "executedAt": "2026-01-02T03:04:05.000Z",
            "fields": {"opsState": "WaitToBeDeleted"},
        }
    }
    found = game_server(
        opsState="WaitToBeDeleted",
        annotations={names.VERDICTS_ANNOTATION: json.dumps(record)},
        status={
            "podUid": "pod-0",
            "serviceQualitiesConditions": [{"name": "idle", "status": "Unknown"}],
        },
    )
    server = server_of(pod(), found)
    assert (server.ops_state, server.written_ops_state) == ("None", "WaitToBeDeleted")


@pytest.mark.parametrize(
    ("server", "waits"),
    [
        (Server(0, "u", held=True), False),
        (Server(0, "u", held=True, claimed="ScaleDown"), True),
        (Server(0, "u", held=False, claimed="ScaleDown"), False),
        (Server(0, "u", held=True, claimed="Kill", terminating=True), False),
        (Server(0, "u", held=True, update=replace(UPDATE, kind="ReCreate")), True),
        (Server(0, "u", held=True, update=UPDATE), False),
    ],
    ids=["stays", "claimed", "let go", "terminating", "to be recreated", "patched"],
)
def test_who_waits_for_a_pre_delete_hook(server, waits):
    assert server.pre_deleting is waits


def call(roster, owner, pairs, now=SINCE):
    return roster.call(owner, pairs, now)


def test_a_roster_answers_as_if_it_remembered_nothing():
    roster = Roster()
    first = [(pod(0), game_server(0)), (pod(1), None)]
    call(roster, PLAIN, first)
    later = [first[0], (pod(1, phase="Failed"), None), (pod(2), game_server(2, opsState="Kill"))]
    for owner, pairs in ((PLAIN, later), (HOOKED, later), (PLAIN, later[:1]), (PLAIN, [])):
        assert call(roster, owner, pairs) == call(Roster(), owner, pairs)


def test_a_roster_describes_again_what_time_changes():
    since = SINCE - timedelta(seconds=20)
    roster, pairs = Roster(), [(pod(0, ready_since=since), None)]
    before = call(roster, SLOW, pairs)
    after = call(roster, SLOW, pairs, SINCE + timedelta(seconds=10))
    assert before.next_available == SINCE + timedelta(seconds=10)
    assert [server.available for server in before.servers] == [False]
    assert ([server.available for server in after.servers], after.next_available) == ([True], None)


def test_a_roster_describes_only_what_changed():
    roster, same = Roster(), (pod(0), game_server(0))
    first = call(roster, PLAIN, [same, (pod(1), None)]).entries
    second = call(roster, PLAIN, [same, (pod(1), None)]).entries
    assert second["minecraft-0"] is first["minecraft-0"]
    assert second["minecraft-1"] is not first["minecraft-1"]


@pytest.mark.parametrize(
    ("found", "speaks"),
    [
        (game_server(0), True),
        (game_server(0, pod_uid="older"), False),
        (game_server(0, pod_uid=None), True),
        (None, False),
    ],
    ids=["its own", "of an older pod", "of the set", "none"],
)
def test_a_game_server_is_asked_only_where_it_speaks_for_the_pod(found, speaks):
    entry = call(Roster(), PLAIN, [(pod(0), found)]).entries["minecraft-0"]
    assert (entry.found, entry.own) == (found, found if speaks else None)


def test_a_pod_whose_name_is_not_of_the_sets_form_is_no_server():
    metadata = PLAIN.metadata.model_copy(update={"name": "other"})
    other = PLAIN.model_copy(update={"metadata": metadata})
    assert call(Roster(), other, [(pod(0), None)]).servers == []


def test_a_pod_of_another_form_hides_nobody():
    blue = msgspec.structs.replace(pod(7).metadata, name="minecraft-blue")
    renamed = msgspec.structs.replace(pod(7), metadata=blue)
    pairs = [(renamed, None), (pod(0), None)]
    assert [server.id for server in call(Roster(), PLAIN, pairs).servers] == [0]


def test_it_comes_back_for_the_first_of_those_that_become_available():
    def since(seconds):
        return pod(seconds, ready_since=SINCE - timedelta(seconds=seconds)), None

    for pairs in ([since(5), since(20), since(9)], [since(20), since(5)], [since(5), since(20)]):
        assert call(Roster(), SLOW, pairs).next_available == SINCE + timedelta(seconds=10)
