"""What deletions cost the spec (SPEC 6.5, 6.7)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.gameserverset.accounting import (
    Accounting,
    lowered,
    needs_accounting,
    parse_accounted,
    plan_accounting,
    render_accounted,
)
from aggregator.gameserverset.server import Server
from shared.api import names


@pytest.mark.parametrize(
    ("replicas", "wanted", "deletions", "expected"),
    [
        pytest.param(3, 2, 1, 2, id="one killed of three"),
        pytest.param(3, 3, 1, 3, id="the surplus covers it"),
        pytest.param(4, 3, 2, 3, id="the surplus covers one of two"),
        pytest.param(3, 5, 2, 3, id="more than enough stay"),
        pytest.param(5, 2, 1, 4, id="servers are missing, too"),
        pytest.param(5, 2, 0, 5, id="nothing was deleted"),
        pytest.param(0, 0, 2, 0, id="never below nothing"),
        pytest.param(2, 0, 9, 0, id="all killed, and more"),
    ],
)
def test_replicas_after_deletions(replicas, wanted, deletions, expected):
    assert lowered(replicas, wanted, deletions) == expected


COUNT = st.integers(0, 50)


@given(COUNT, COUNT, COUNT, COUNT)
def test_deletions_cost_the_same_however_they_are_split(replicas, wanted, first, second):
    at_once = lowered(replicas, wanted, first + second)
    assert lowered(lowered(replicas, wanted, first), wanted, second) == at_once
    assert min(replicas, wanted) <= at_once <= replicas


@pytest.mark.parametrize(
    ("reason", "strategy", "needed"),
    [
        ("Kill", "General", True),
        ("Kill", "ReserveIds", True),
        ("Autoscaler", "General", True),
        ("Autoscaler", "ReserveIds", True),
        ("ScaleDown", "General", False),
        ("ScaleDown", "ReserveIds", True),
        ("Reserved", "General", False),
        ("Reserved", "ReserveIds", False),
        (None, "ReserveIds", False),
    ],
)
def test_which_claims_change_the_spec(reason, strategy, needed):
    assert needs_accounting(reason, strategy) is needed


def due(**reasons):
    return [(Server(int(name[1:]), f"pod-{name[1:]}"), each) for name, each in reasons.items()]


@pytest.mark.parametrize(
    ("claims", "room", "strategy", "expected"),
    [
        pytest.param(due(), 9, "General", None, id="none"),
        pytest.param(due(s1="Kill"), 0, "General", None, id="the annotation is full"),
        pytest.param(due(s1="Kill"), -1, "General", None, id="the annotation is too full"),
        pytest.param(
            due(s7="Kill", s1="Autoscaler"),
            9,
            "General",
            Accounting(3, ("pod-1", "pod-7")),
            id="by id",
        ),
        pytest.param(
            due(s7="Kill", s1="Kill"), 1, "General", Accounting(4, ("pod-1",)), id="some now"
        ),
        pytest.param(
            due(s7="Kill", s1="ScaleDown"),
            9,
            "ReserveIds",
            Accounting(4, ("pod-1", "pod-7"), (1, 7)),
            id="ids, and only the Kill lowers",
        ),
    ],
)
def test_patches(claims, room, strategy, expected):
    assert plan_accounting(claims, 5, 2, room, strategy) == expected


@pytest.mark.parametrize(
    ("text", "uids"),
    [(None, ()), ("", ()), ("a", ("a",)), (" a, b,,c ", ("a", "b", "c"))],
)
def test_reading_the_annotation(text, uids):
    annotations = {} if text is None else {names.ACCOUNTED_ANNOTATION: text}
    assert parse_accounted(annotations) == uids


def test_writing_the_annotation():
    assert render_accounted(("a", "b"), ("c", "a"), {"b"}) == "a,c"
    assert render_accounted(("a",), (), {"a"}) == ""
