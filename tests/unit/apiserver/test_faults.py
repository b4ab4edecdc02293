"""Which requests meet which fault."""

from collections.abc import Callable
from typing import Any

import pytest

from localcluster.apiserver.attributes import Attributes
from localcluster.apiserver.faults import FaultRule, Faults, make_fault, parse_fault
from shared.errors import InvalidInput

CREATE = Attributes("create", "", "pods", "", "games")
STATUS = Attributes("patch", "game.kruise.io", "gameservers", "status", "games", "a-0")
WATCH = Attributes("watch", "", "pods")


def always() -> float:
    return 0.0


def faults(*rules: FaultRule, draw: Callable[[], float] = always) -> Faults:
    made = Faults(draw)
    for rule in rules:
        made.add(rule)
    return made


def actions(among: Faults, asked: Attributes, user: str = "anna") -> list[str]:
    return [fault.rule.action for fault in among.due(user, asked)]


@pytest.mark.parametrize(
    ("rule", "asked", "expected"),
    [
        (FaultRule("error"), CREATE, True),
        (FaultRule("error", verb="create", resource="pods", namespace="games"), CREATE, True),
        (FaultRule("error", verb="patch"), CREATE, False),
        (FaultRule("error", resource="gameservers"), STATUS, False),
        (FaultRule("error", resource="gameservers/status"), STATUS, True),
        (FaultRule("error", resource="gameservers/*", name="a-0"), STATUS, True),
        (FaultRule("error", name="a-1"), STATUS, False),
        (FaultRule("error", namespace=""), CREATE, False),
        (FaultRule("error", namespace=""), WATCH, True),
        (FaultRule("error", user="anna"), CREATE, True),
        (FaultRule("error", user="bert"), CREATE, False),
        (FaultRule("drop"), CREATE, False),
        (FaultRule("drop"), WATCH, True),
        (FaultRule("stale"), CREATE, False),
        (FaultRule("stale"), WATCH, True),
    ],
)
def test_a_rule_is_about_some_requests(
    rule: FaultRule, asked: Attributes, *, expected: bool
) -> None:
    assert (actions(faults(rule), asked) == [rule.action]) == expected


def test_a_count_ends_a_rule() -> None:
    among = faults(FaultRule("error", count=2))
    assert [actions(among, CREATE) for _ in range(3)] == [["error"], ["error"], []]
    assert among.rules[0].described()["hits"] == 2


def test_waits_add_up_and_the_first_other_fault_ends_the_search() -> None:
    rules = [FaultRule(action) for action in ("delay", "hold", "delay", "error", "conflict")]
    assert actions(faults(*rules), CREATE) == ["delay", "hold", "delay", "error"]


def test_the_next_rule_acts_when_the_first_is_over() -> None:
    among = faults(FaultRule("error", count=1), FaultRule("conflict", count=1))
    assert [actions(among, CREATE) for _ in range(3)] == [["error"], ["conflict"], []]


def test_chance_decides_and_a_miss_is_not_counted() -> None:
    drawn = iter([0.6, 0.4])
    among = faults(FaultRule("error", probability=0.5, count=1), draw=lambda: next(drawn))
    assert [actions(among, CREATE) for _ in range(2)] == [[], ["error"]]


def test_a_removed_rule_does_nothing() -> None:
    among = faults(FaultRule("error"), FaultRule("conflict"))
    assert (among.remove(1), among.remove(1)) == (True, False)
    assert actions(among, CREATE) == ["conflict"]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("action=error", FaultRule("error")),
        (
            "action=delay, verb=patch,resource=gameservers/status,count=2,seconds=0.5",
            FaultRule("delay", "patch", "gameservers/status", count=2, seconds=0.5),
        ),
        ("action=drop,probability=0.25", FaultRule("drop", probability=0.25)),
    ],
)
def test_a_rule_on_the_command_line(text: str, rule: FaultRule) -> None:
    assert parse_fault(text) == rule


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"action": "explode"}, "action must be one of delay, "),
        ({}, "action must be one of delay, "),
        ({"action": "error", "verbs": "get"}, "verbs is unknown; the fields are action, "),
        ({"action": "error", "probability": 2}, "probability must be between 0 and 1"),
        ({"action": "error", "count": -1}, "count must be a number of at least 0, not -1"),
        ({"action": "delay", "seconds": "x"}, "seconds must be a number of at least 0, not 'x'"),
        ({"action": "delay", "seconds": float("nan")}, "seconds must be a number of at least 0"),
    ],
)
def test_a_bad_rule_is_refused_with_its_field(given: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        make_fault(given, "fault")
    assert refused.value.message.startswith(f"fault: {why}")


def test_text_that_is_no_rule_is_refused() -> None:
    with pytest.raises(InvalidInput, match="--fault: 'error' is not of the form action=error"):
        parse_fault("error")
