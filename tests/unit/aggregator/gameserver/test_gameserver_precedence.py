"""An earlier report leads to nothing once a later one was acted on."""

from dataclasses import replace
from datetime import timedelta

import pytest

from aggregator.gameserver.observed import Observed
from aggregator.gameserver.operations import PatchServer, PatchStatus
from aggregator.gameserver.plan import plan
from aggregator.gameserver.precedence import PRECEDENCE, overtaken_for, render_mark
from shared.api import names
from tests.support.builders import (
    NOW,
    game_server,
    game_server_set,
    pod,
    probe_report,
    quality,
    report,
)

IDLE = quality(
    "idle", {"state": True, "opsState": "WaitToBeDeleted"}, {"state": False, "opsState": "None"}
)
SECOND = timedelta(seconds=1)


def marked(at=NOW, **fields):
    """A server on which a report was acted on at a time."""
    annotation = render_mark(report(**fields), at)
    return game_server(annotations={names.ACTED_ON_ANNOTATION: annotation})


@pytest.mark.parametrize(
    ("epoch", "sequence", "left"),
    [
        pytest.param(5, 7, None, id="the same"),
        pytest.param(5, 8, None, id="the next"),
        pytest.param(6, 1, None, id="the agent was restarted"),
        pytest.param(5, 6, PRECEDENCE, id="the one before"),
        pytest.param(4, 9, PRECEDENCE, id="of the agent before its restart"),
    ],
)
def test_epoch_and_sequence_say_which_is_earlier(epoch, sequence, left) -> None:
    server = marked(NOW.replace(microsecond=0), epoch=5, sequence=7)
    seen = overtaken_for(server, report(epoch=epoch, sequence=sequence), NOW.replace(microsecond=0))
    assert seen == left


@pytest.mark.parametrize(
    ("age", "counts"),
    [
        pytest.param(timedelta(), False, id="just now"),
        pytest.param(PRECEDENCE - SECOND, False, id="a moment ago"),
        pytest.param(PRECEDENCE, True, id="long enough ago"),
        pytest.param(PRECEDENCE + SECOND, True, id="long ago: its clock was set back"),
        pytest.param(-5 * SECOND, False, id="by a clock that is a little ahead"),
        pytest.param(-PRECEDENCE, False, id="by a clock that is as far ahead as one may be"),
        pytest.param(-PRECEDENCE - SECOND, True, id="by a clock that is wrong"),
    ],
)
def test_it_is_forgotten_after_a_while(age, counts) -> None:
    now = NOW.replace(microsecond=0)  # the annotation has milliseconds
    server = marked(now - age, sequence=2)
    assert (overtaken_for(server, report(sequence=1), now) is None) is counts


def test_a_mark_of_another_pod_is_void() -> None:
    assert overtaken_for(marked(pod_uid="older", sequence=9), report(), NOW) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no JSON",
        "[]",
        "7",
        '{"podUid": "pod-0"}',
        '{"podUid": "pod-0", "epoch": "x", "sequence": 9, "at": "2026-01-02T03:04:05Z"}',
        '{"podUid": "pod-0", "epoch": 9, "sequence": 9, "at": "yesterday"}',
        '{"podUid": "pod-0", "epoch": 9, "sequence": 9, "at": "2026-01-02T03:04:05"}',
        '{"podUid": "pod-0", "epoch": 9, "sequence": 9, "at": 7}',
    ],
)
def test_a_spoiled_mark_counts_for_nothing(text: str) -> None:
    server = game_server(annotations={names.ACTED_ON_ANNOTATION: text})
    assert overtaken_for(server, report(), NOW) is None


def seen(status: str, sequence: int, server=None) -> Observed:
    return Observed(
        pod=pod(),
        server=server or game_server(labels={names.NODE_NAME_LABEL: "node-1"}),
        owner=game_server_set(qualities=(IDLE,)),
        report=report(probe_report("idle", status), sequence=sequence),
        lost=False,
        remembered_at=None,
        now=NOW,
    )


def test_a_former_leader_cannot_undo_what_a_later_report_led_to() -> None:
    (newer, status, _) = plan(seen("False", 2)).operations
    assert isinstance(newer, PatchServer)
    assert isinstance(status, PatchStatus)
    annotations = newer.document["metadata"]["annotations"]
    now = game_server(
        labels={names.NODE_NAME_LABEL: "node-1"}, annotations=annotations, status=status.status
    )
    older = plan(seen("True", 1, now))
    kinds = {type(operation).__name__ for operation in older.operations}
    # The mirror of the server in the pod is no decision: it follows the object.
    assert kinds <= {"PatchPod"}
    assert older.requeue_after == PRECEDENCE - timedelta(microseconds=901)
    later = replace(seen("True", 1, now), now=NOW + PRECEDENCE)
    assert isinstance(plan(later).operations[0], PatchServer)
