"""A WaitToBeDeleted of a quality that fell silent counts as None (SPEC 4.10)."""

import pytest

from aggregator.quality.marks import counted_ops_state, is_stale_mark
from aggregator.quality.match import verdict_of
from aggregator.quality.verdicts import Record, render_records
from shared.api import names
from tests.support.builders import game_server

MARKED = {("opsState",): "WaitToBeDeleted"}


def marked(records, conditions, *, ops_state="WaitToBeDeleted", status_of="pod-0"):
    """A server with `records`: name -> written fields, and `conditions`: name -> status."""
    text = render_records(
        {name: Record(verdict_of("True", ""), "pod-0", None, f) for name, f in records.items()}
    )
    listed = [{"name": name, "status": status} for name, status in conditions.items()]
    return game_server(
        opsState=ops_state,
        annotations={names.VERDICTS_ANNOTATION: text} if records else {},
        status={"podUid": status_of, "serviceQualitiesConditions": listed},
    )


@pytest.mark.parametrize(
    ("server", "counted"),
    [
        pytest.param(marked({"idle": MARKED}, {"idle": "True"}), "WaitToBeDeleted", id="it holds"),
        pytest.param(
            marked({"idle": MARKED}, {"idle": "False"}), "WaitToBeDeleted", id="False is known"
        ),
        pytest.param(marked({"idle": MARKED}, {"idle": "Unknown"}), "None", id="it is Unknown"),
        pytest.param(marked({"idle": MARKED}, {}), "None", id="nothing is known of it"),
        pytest.param(
            marked({"idle": MARKED}, {"healthy": "True"}), "None", id="only another is known"
        ),
        pytest.param(
            marked({"idle": MARKED, "empty": MARKED}, {"idle": "Unknown", "empty": "True"}),
            "WaitToBeDeleted",
            id="another that marked it is known",
        ),
        pytest.param(
            marked({"idle": MARKED, "empty": MARKED}, {"idle": "Unknown", "empty": "Unknown"}),
            "None",
            id="all that marked it are Unknown",
        ),
        pytest.param(
            marked({"idle": MARKED, "healthy": {}}, {"idle": "Unknown", "healthy": "True"}),
            "None",
            id="one that wrote nothing is known",
        ),
        pytest.param(
            marked({"idle": {("opsState",): "None"}}, {"idle": "Unknown"}),
            "WaitToBeDeleted",
            id="by hand: the quality wrote another state",
        ),
        pytest.param(
            marked({"idle": {("labels", "opsState"): "WaitToBeDeleted"}}, {"idle": "Unknown"}),
            "WaitToBeDeleted",
            id="by hand: the quality wrote a label",
        ),
        pytest.param(marked({}, {"idle": "Unknown"}), "WaitToBeDeleted", id="by hand: no record"),
        pytest.param(
            marked({"idle": MARKED}, {"idle": "Unknown"}, ops_state="Allocated"),
            "Allocated",
            id="it is in another state now",
        ),
        pytest.param(
            marked({"idle": MARKED}, {"idle": "True"}, status_of="older"),
            "None",
            id="the status speaks of an older pod",
        ),
    ],
)
def test_how_a_mark_counts(server, counted):
    assert counted_ops_state(server, "pod-0") == counted
    assert is_stale_mark(server, "pod-0") is (counted != server.spec.ops_state)
