"""Which servers get the new template, and how (SPEC 6.9)."""

from dataclasses import replace
from datetime import timedelta

import pytest

from aggregator.gameserverset.update import Mark, ReCreate, Unmark, UpdatePlan, plan_updates
from tests.support.builders import NOW
from tests.support.updated_servers import (
    IN_PLACE,
    LABEL,
    MARKED,
    PATCHED,
    RECREATE,
    busy,
    outdated,
    patched,
    server,
    steps_of,
)


@pytest.mark.parametrize(
    ("servers", "fields", "replicas", "chosen"),
    [
        pytest.param(outdated(3), {}, 3, [2], id="the larger id first, one at a time"),
        pytest.param(
            [server(0, update_priority=1), server(1, update_priority=-1), server(2)],
            {"max_unavailable": 3},
            3,
            [0, 2, 1],
            id="a larger updatePriority before a larger id",
        ),
        pytest.param(outdated(4), {"max_unavailable": 2}, 4, [3, 2], id="as many as may be"),
        pytest.param(outdated(3), {"max_unavailable": 0}, 3, [], id="none may be"),
        pytest.param(
            [server(0), server(1), server(2, "new", available=False)],
            {},
            3,
            [],
            id="another is not available",
        ),
        pytest.param(outdated(2), {}, 3, [], id="another is missing"),
        pytest.param(outdated(4), {}, 3, [3], id="there is one too many"),
        pytest.param(
            [server(0, available=False), server(1), server(2, available=False)],
            {},
            3,
            [2, 0],
            id="who is not available costs nothing",
        ),
        pytest.param(outdated(3), {"partition": 2, "max_unavailable": 3}, 3, [2], id="partition"),
        pytest.param(outdated(3), {"partition": 3}, 3, [], id="all stay behind"),
        pytest.param(
            [server(0), server(1), server(2, "new")],
            {"partition": 1, "max_unavailable": 3},
            3,
            [1],
            id="one was updated before",
        ),
        pytest.param(outdated(3), {"halt": "UpdatePaused"}, 3, [], id="paused"),
        pytest.param([server(0, "new"), server(1, "new")], {}, 2, [], id="all are up to date"),
        pytest.param(
            [replace(server(1), ops_state="Allocated"), server(0)],
            {"protects_allocated": True},
            2,
            [0],
            id="Allocated servers are protected",
        ),
        pytest.param(
            [replace(server(1), ops_state="Allocated"), server(0)],
            {},
            2,
            [1],
            id="when somebody asked for it",
        ),
        pytest.param(
            [replace(server(2), ops_state="Allocated"), server(1), server(0)],
            {"ops_states": frozenset({"None"}), "max_unavailable": 3},
            3,
            [1, 0],
            id="only in some states",
        ),
    ],
)
def test_who_is_recreated(servers, fields, replicas, chosen):
    steps = steps_of(servers, replace(RECREATE, **fields), replicas=replicas)
    assert [step.server.id for step in steps] == chosen
    assert all(isinstance(step, ReCreate) for step in steps)


HELD = server(0, held=True)
HOOKED = server(0, update_held=True)
GRACE = replace(IN_PLACE, grace=timedelta(seconds=5))
LATER = NOW + timedelta(seconds=5)
ONLY = replace(IN_PLACE, policy="InPlaceOnly")
FORMER = replace(MARKED, revision="former")


@pytest.mark.parametrize(
    ("one", "rules", "now", "expected"),
    [
        pytest.param(server(0), IN_PLACE, NOW, patched(server(0)), id="in place"),
        pytest.param(
            server(0), replace(IN_PLACE, policy="ReCreate"), NOW, ReCreate(server(0)), id="policy"
        ),
        pytest.param(
            server(0),
            replace(IN_PLACE, changes={"old": None}),
            NOW,
            ReCreate(server(0)),
            id="more than images differs",
        ),
        pytest.param(
            server(0),
            replace(IN_PLACE, changes={}),
            NOW,
            ReCreate(server(0)),
            id="its template is not known",
        ),
        pytest.param(HELD, RECREATE, NOW, Mark(HELD, replace(MARKED, kind="ReCreate")), id="hook"),
        pytest.param(
            busy(0, replace(MARKED, kind="ReCreate"), held=True),
            RECREATE,
            NOW,
            None,
            id="the hook holds it still",
        ),
        pytest.param(
            busy(0, replace(MARKED, kind="ReCreate")),
            RECREATE,
            NOW,
            ReCreate(busy(0, replace(MARKED, kind="ReCreate"))),
            id="the hook let it go",
        ),
        pytest.param(HOOKED, IN_PLACE, NOW, Mark(HOOKED, MARKED), id="the update's hook"),
        pytest.param(busy(0, MARKED, update_held=True), IN_PLACE, NOW, None, id="holds it still"),
        pytest.param(
            busy(0, MARKED), IN_PLACE, NOW, patched(busy(0, MARKED)), id="lets it be updated"
        ),
        pytest.param(server(0), GRACE, NOW, Mark(server(0), MARKED), id="a grace period begins"),
        pytest.param(busy(0, MARKED), GRACE, NOW, None, id="goes on"),
        pytest.param(busy(0, MARKED), GRACE, LATER, patched(busy(0, MARKED)), id="and ends"),
        pytest.param(
            busy(0, MARKED, update_held=True), GRACE, LATER, None, id="but the hook holds it"
        ),
        pytest.param(
            busy(0, FORMER),
            GRACE,
            LATER,
            Mark(busy(0, FORMER), MARKED),
            id="another template came meanwhile",
        ),
        pytest.param(
            busy(0, replace(MARKED, kind="ReCreate"), update_held=True),
            IN_PLACE,
            NOW,
            Mark(busy(0, replace(MARKED, kind="ReCreate"), update_held=True), MARKED),
            id="it may be patched meanwhile",
        ),
        pytest.param(
            busy(0, MARKED),
            replace(GRACE, policy="ReCreate"),
            NOW,
            ReCreate(busy(0, MARKED)),
            id="the policy changed meanwhile",
        ),
        pytest.param(
            busy(0, PATCHED, "old", update_held=True),
            GRACE,
            NOW,
            patched(busy(0, PATCHED, "old", update_held=True)),
            id="in the middle of a patch it is out of service",
        ),
        pytest.param(
            server(0, update_held=True),
            replace(GRACE, changes={"old": LABEL}),
            NOW,
            patched(server(0, update_held=True), LABEL),
            id="metadata waits for nobody",
        ),
        pytest.param(server(0), ONLY, NOW, patched(server(0)), id="only in place"),
        pytest.param(
            server(0, "new", update=PATCHED, update_complete=True),
            IN_PLACE,
            NOW,
            Unmark(server(0, "new", update=PATCHED, update_complete=True)),
            id="done",
        ),
        pytest.param(busy(0, PATCHED, "new"), IN_PLACE, NOW, None, id="not done yet"),
        pytest.param(
            busy(0, MARKED, "new"),
            IN_PLACE,
            NOW,
            Unmark(busy(0, MARKED, "new")),
            id="the template went back",
        ),
        pytest.param(
            busy(0, MARKED),
            replace(IN_PLACE, halt="UpdatePaused"),
            NOW,
            Unmark(busy(0, MARKED)),
            id="paused before it began",
        ),
        pytest.param(
            busy(0, MARKED),
            replace(IN_PLACE, ops_states=frozenset()),
            NOW,
            Unmark(busy(0, MARKED)),
            id="no longer to be updated",
        ),
    ],
)
def test_how_one_server_is_updated(one, rules, now, expected):
    assert steps_of([one], rules, now=now) == (() if expected is None else (expected,))


def test_in_place_only_refuses_what_needs_another_pod():
    rules = replace(ONLY, changes={"old": None}, max_unavailable=2)
    plan = plan_updates(outdated(2), 2, rules, NOW)
    assert plan == UpdatePlan(
        refused=(server(0), server(1)), outdated=2, hindrances=("InPlaceImpossible",)
    )


def test_metadata_is_changed_everywhere_at_once():
    rules = replace(IN_PLACE, changes={"old": LABEL})
    servers = [*outdated(3), server(3, "new", available=False)]
    assert [step.server.id for step in steps_of(servers, rules)] == [2, 1, 0]


def test_an_update_that_has_begun_comes_before_a_larger_priority():
    # As many may be disturbed as there are, so that nothing but the order decides.
    rules = replace(IN_PLACE, partition=1, max_unavailable=2)
    servers = [busy(0, MARKED), server(1, update_priority=9)]
    assert steps_of(servers, rules) == (patched(servers[0]),)


@pytest.mark.parametrize("first", [0, 1])
def test_it_comes_back_when_the_first_grace_period_ends(first):
    rules = replace(GRACE, max_unavailable=2)
    early = busy(first, replace(MARKED, started_at=NOW - timedelta(seconds=2)))
    plan = plan_updates([early, busy(1 - first, MARKED)], 2, rules, NOW)
    assert plan == UpdatePlan(outdated=2, requeue_after=timedelta(seconds=3))


def test_it_comes_back_for_a_grace_period_while_a_hook_is_waited_for():
    rules = replace(GRACE, max_unavailable=2)
    for held, other in ((0, 1), (1, 0)):
        servers = [busy(held, MARKED, update_held=True), busy(other, MARKED)]
        plan = plan_updates(servers, 2, rules, NOW)
        assert plan == UpdatePlan(outdated=2, requeue_after=timedelta(seconds=5))


@pytest.mark.parametrize(("partition", "left"), [(0, 2), (1, 1), (2, 0), (5, 0)], ids=str)
def test_how_many_are_still_to_be_updated(partition, left):
    servers = [*outdated(2), server(2, "new")]
    rules = replace(RECREATE, partition=partition, halt="UpdatePaused")
    assert plan_updates(servers, 3, rules, NOW).outdated == left
