"""A priority that is none is told once, and the telling ends with it (SPEC 6.4)."""

from dataclasses import replace
from datetime import timedelta

import pytest

from aggregator.gameserver.observed import Observed
from aggregator.gameserver.operations import Event, PatchStatus
from aggregator.gameserver.plan import plan
from aggregator.gameserver.priorities import plan_priority_condition
from shared.api.meta import Condition
from tests.support.builders import NOW, game_server, game_server_set, pod

EARLIER = NOW - timedelta(hours=1)


def condition(told: str, since=NOW) -> Condition:
    return Condition(
        type="PrioritiesValid",
        status="False",
        reason="InvalidPriority",
        message=f"{told} counts as 0: write a whole number from -2147483648 to 2147483647",
        last_transition_time=since,
    )


@pytest.mark.parametrize(
    ("priorities", "former", "expected"),
    [
        pytest.param({"deletionPriority": 5, "updatePriority": "-7"}, (), (), id="valid"),
        pytest.param({}, (condition("gone"),), (), id="valid again"),
        pytest.param(
            {"deletionPriority": "many", "updatePriority": 0},
            (),
            (condition("spec.deletionPriority 'many'"),),
            id="one",
        ),
        pytest.param(
            {"updatePriority": "1_0", "deletionPriority": 2**31},
            (),
            (condition("spec.updatePriority '1_0' and spec.deletionPriority '2147483648'"),),
            id="both",
        ),
        pytest.param(
            {"deletionPriority": "x" * 33},
            (Condition(type="Other", status="True"), condition("as before", EARLIER)),
            (condition(f"spec.deletionPriority '{'x' * 32}'", EARLIER),),
            id="since before, and cut",
        ),
    ],
)
def test_the_condition_exists_as_long_as_something_is_wrong(priorities, former, expected):
    assert plan_priority_condition(priorities, former, NOW) == expected


def status_patch(seen: Observed) -> PatchStatus | None:
    found = [each for each in plan(seen).operations if isinstance(each, PatchStatus)]
    return found[0] if found else None


def test_the_event_is_told_when_the_condition_appears_and_not_again():
    seen = Observed(
        pod=pod(),
        server=game_server(deletionPriority="many"),
        owner=game_server_set(),
        report=None,
        lost=False,
        remembered_at=None,
        now=NOW,
    )
    first = status_patch(seen)
    message = condition("spec.deletionPriority 'many'").message
    assert first.events == (Event("Warning", "InvalidPriority", message),)
    assert first.status["deletionPriority"] == 0
    told = game_server(deletionPriority="many", status=first.status)
    assert status_patch(replace(seen, server=told, now=NOW + timedelta(hours=1))) is None
    mended = status_patch(replace(seen, server=game_server(status=first.status)))
    assert (mended.events, [c["type"] for c in mended.status["conditions"]]) == (
        (),
        [c["type"] for c in first.status["conditions"] if c["type"] != "PrioritiesValid"],
    )
