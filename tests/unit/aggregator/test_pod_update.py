"""The annotation of a pod that is being updated (SPEC 6.9)."""

import pytest

from aggregator.pod_update import (
    OldContainer,
    PodUpdate,
    is_complete,
    parse_update,
    render_update,
    update_state,
)
from shared.api import names
from tests.support.builders import NOW, pod

AT = NOW.replace(microsecond=678_000)
MARKED = PodUpdate("InPlace", "new", AT)
APPLIED = PodUpdate("InPlace", "new", AT, {"game": OldContainer("run://1", "game:1")})
GOING = PodUpdate("ReCreate", "new", AT)


def annotated(text, **fields):
    return pod(annotations={names.UPDATE_ANNOTATION: text}, **fields)


@pytest.mark.parametrize("update", [MARKED, APPLIED, GOING], ids=["marked", "applied", "recreate"])
def test_what_is_written_is_read_again(update):
    assert parse_update(annotated(render_update(update))) == update


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "7",
        "{}",
        '{"kind":"Other","revision":"r","startedAt":"2026-01-02T03:04:05Z"}',
        '{"kind":"InPlace","revision":"r","startedAt":"soon"}',
        '{"kind":"InPlace","revision":"r","startedAt":7}',
        '{"kind":"InPlace","startedAt":"2026-01-02T03:04:05Z"}',
        '{"kind":"InPlace","revision":"r","startedAt":"2026-01-02T03:04:05Z","containers":[]}',
        '{"kind":"InPlace","revision":"r","startedAt":"2026-01-02T03:04:05Z","containers":{"a":1}}',
    ],
)
def test_a_spoiled_annotation_is_no_update(text):
    assert parse_update(annotated(text)) is None
    assert parse_update(pod()) is None


@pytest.mark.parametrize(
    ("update", "ids", "ready", "complete"),
    [
        pytest.param(MARKED, {"game": "run://2"}, True, False, id="not patched yet"),
        pytest.param(APPLIED, {"game": "run://1"}, True, False, id="the old container still runs"),
        pytest.param(APPLIED, {}, True, False, id="no container runs"),
        pytest.param(APPLIED, {"game": "run://2"}, False, False, id="not ready"),
        pytest.param(APPLIED, {"game": "run://2"}, True, True, id="the new container is ready"),
        pytest.param(PodUpdate("InPlace", "new", AT, {}), {}, True, True, id="nothing to restart"),
    ],
)
def test_an_update_is_complete_when_every_patched_container_runs_anew(update, ids, ready, complete):
    assert is_complete(update, pod(container_ids=ids, ready=ready)) is complete


@pytest.mark.parametrize(
    ("update", "state"), [(MARKED, "PreUpdate"), (APPLIED, "Updating"), (GOING, "PreDelete")]
)
def test_the_state_of_a_server_that_is_being_updated(update, state):
    assert update_state(annotated(render_update(update))) == state
    assert update_state(pod()) is None
