"""Streaks of probe outcomes: what counts, and from when."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcluster.kubelet.probe_rules import (
    ProbeKind,
    ProbeRules,
    Streak,
    advance,
    has_failed,
    probe_rules,
)


def rules(success: int = 1, failure: int = 3) -> ProbeRules:
    return ProbeRules({}, 0, 10, 1, success, failure, None)


def run(outcomes: str, at_first: bool, **thresholds: int) -> Streak:
    """Return the state after outcomes, written as + and -."""
    streak = Streak(result=at_first)
    for outcome in outcomes:
        streak = advance(streak, rules(**thresholds), success=outcome == "+")
    return streak


@pytest.mark.parametrize(
    ("outcomes", "at_first", "thresholds", "result"),
    [
        pytest.param("", True, {}, True, id="nothing-yet"),
        pytest.param("+", False, {}, True, id="one-success"),
        pytest.param("+", False, {"success": 2}, False, id="too-few-successes"),
        pytest.param("++", False, {"success": 2}, True, id="enough-successes"),
        pytest.param("+-+", False, {"success": 2}, False, id="successes-apart"),
        pytest.param("--", True, {}, True, id="too-few-failures"),
        pytest.param("---", True, {}, False, id="enough-failures"),
        pytest.param("--+--", True, {}, True, id="failures-apart"),
        pytest.param("---+", True, {}, True, id="recovered"),
        pytest.param("-", True, {"failure": 1}, False, id="one-failure-is-enough"),
    ],
)
def test_a_result_changes_after_a_streak(
    outcomes: str, at_first: bool, thresholds: dict[str, int], result: bool
) -> None:
    assert run(outcomes, at_first, **thresholds).result is result


@pytest.mark.parametrize(
    ("outcomes", "failed"),
    [("--", False), ("---", True), ("---+", False), ("+--", False), ("", False)],
)
def test_a_container_ends_after_the_failure_threshold(outcomes: str, failed: bool) -> None:
    assert has_failed(run(outcomes, at_first=False), rules()) is failed


@given(st.text("+-", max_size=30), st.booleans(), st.integers(1, 5), st.integers(1, 5))
def test_the_result_is_that_of_the_last_long_enough_streak(
    outcomes: str, at_first: bool, success: int, failure: int
) -> None:
    expected, length, last = at_first, 0, ""
    for outcome in outcomes:
        length = length + 1 if outcome == last else 1
        last = outcome
        if length >= (success if outcome == "+" else failure):
            expected = outcome == "+"

    assert run(outcomes, at_first, success=success, failure=failure).result is expected


def test_defaults_are_those_of_the_api_and_zero_means_default() -> None:
    probe: dict[str, Any] = {"exec": {"command": ["true"]}, "periodSeconds": 0}

    assert probe_rules({"livenessProbe": probe}, ProbeKind.LIVENESS) == ProbeRules(
        handler=probe,
        initial_delay_seconds=0,
        period_seconds=10,
        timeout_seconds=1,
        success_threshold=1,
        failure_threshold=3,
        grace_seconds=None,
    )
    assert probe_rules({"livenessProbe": probe}, ProbeKind.READINESS) is None
