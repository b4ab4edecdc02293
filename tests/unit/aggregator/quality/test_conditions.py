"""status.serviceQualitiesConditions: what is shown, and when it is written again (SPEC 4.9)."""

from datetime import timedelta

import pytest

from aggregator.quality.conditions import (
    REASON_AGENT_LOST,
    REASON_AGENT_MISSING,
    REASON_NO_REPORT,
    plan_conditions,
)
from aggregator.quality.match import Verdict
from aggregator.quality.verdicts import Record
from shared.api.gameserver import ServiceQualityCondition
from tests.support.builders import NOW, probe_report, quality

STARTED = NOW - timedelta(minutes=1)
LATER = NOW + timedelta(hours=1)
HEALTHY = quality("healthy")


def conditions(*reports, former=(), records=None, silence=None, now=NOW, qualities=(HEALTHY,)):
    by_name = {report.name: report for report in reports}
    return plan_conditions(qualities, by_name, records or {}, former, silence=silence, now=now)


def condition(**fields):
    body = {"name": "healthy", "status": "True", "result": "gate", "last_transition_time": STARTED}
    return ServiceQualityCondition(**(body | {"last_probe_time": STARTED} | fields))


def reported(**fields):
    body = {"result": "gate", "started_at": STARTED, "transition_at": STARTED}
    return probe_report(**(body | fields))


@pytest.mark.parametrize(
    ("report", "shown"),
    [
        pytest.param(reported(), condition(), id="true"),
        pytest.param(reported(status="False"), condition(status="False"), id="false"),
        pytest.param(
            reported(status="Unknown", result="", reason="CommandNotFound", message="correct it"),
            condition(status="Unknown", result="", reason="CommandNotFound", message="correct it"),
            id="unknown says why",
        ),
        pytest.param(
            reported(status="False", result="", reason="Timeout", message="raise timeoutSeconds"),
            condition(status="False", result="", reason="Timeout", message="raise timeoutSeconds"),
            id="false says why, where it was not the probe's own answer",
        ),
        pytest.param(
            reported(reason="RedirectNotFollowed", message="probe a path that answers"),
            condition(reason="RedirectNotFollowed", message="probe a path that answers"),
            id="true may come with a warning",
        ),
        pytest.param(
            reported(transition_at=None),
            condition(last_transition_time=NOW),
            id="the agent knows no time",
        ),
    ],
)
def test_a_report_is_shown(report, shown):
    assert conditions(report) == (shown,)


def test_the_time_of_the_last_action_comes_from_the_record():
    record = Record(Verdict("True", "x"), "pod-0", STARTED)
    assert conditions(reported(), records={"healthy": record}) == (
        condition(last_action_transition_time=STARTED),
    )


@pytest.mark.parametrize("times", [{"started_at": LATER}, {"transition_at": LATER}])
def test_times_alone_change_nothing(times):
    assert conditions(reported(**times), former=(condition(),), now=LATER) == (condition(),)


@pytest.mark.parametrize("status", ["True", "False"])
def test_another_reason_of_the_same_verdict_waits_for_the_next_write(status):
    refused = {"status": status, "reason": "ConnectionRefused", "message": "check the port"}
    slow = {"status": status, "reason": "Timeout", "message": "raise timeoutSeconds"}
    shown = (condition(**refused),)
    assert conditions(reported(**slow, started_at=LATER), former=shown, now=LATER) == shown
    assert conditions(reported(**slow, result="data"), former=shown, now=LATER) == (
        condition(**slow, result="data"),
    )


def test_another_reason_of_unknown_is_told_at_once():
    missing = {"status": "Unknown", "result": "", "reason": "ExecNotFound", "message": "check it"}
    denied = {"status": "Unknown", "result": "", "reason": "WorkingDirDenied", "message": "chmod"}
    former = (condition(**missing),)
    assert conditions(reported(**denied), former=former) == (condition(**denied),)


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "False", "reason": "Timeout"},
        {"status": "False"},
        {"result": "data"},
        {"status": "Unknown", "reason": "ProbePending"},
    ],
    ids=["status with a reason", "status", "result", "unknown"],
)
def test_a_change_brings_the_times_of_its_run(changes):
    report = reported(**changes, started_at=LATER, transition_at=LATER)
    shown = condition(**changes, last_probe_time=LATER, last_transition_time=LATER)
    assert conditions(report, former=(condition(),), now=LATER) == (shown,)


@pytest.mark.parametrize(
    ("silence", "message"),
    [
        (REASON_AGENT_LOST, "the agent of this pod has stopped reporting"),
        (
            REASON_AGENT_MISSING,
            "this pod has no agent: delete it when its players have left; the next one gets",
        ),
    ],
)
def test_silence_is_unknown_once_whatever_was_reported(silence, message):
    (shown,) = conditions(reported(), former=(condition(),), silence=silence)
    assert shown.message.startswith(message)
    assert shown == ServiceQualityCondition(
        name="healthy",
        status="Unknown",
        reason=silence,
        message=shown.message,
        last_transition_time=NOW,
    )
    assert conditions(reported(), former=(shown,), silence=silence, now=LATER) == (shown,)


def test_a_quality_that_was_never_reported_says_so():
    assert conditions(silence=REASON_NO_REPORT) == (
        ServiceQualityCondition(
            name="healthy",
            status="Unknown",
            reason=REASON_NO_REPORT,
            message="the agent of this pod has not reported this probe yet",
            last_transition_time=NOW,
        ),
    )


@pytest.mark.parametrize("silence", [REASON_NO_REPORT, None], ids=["new leader", "new agent"])
def test_what_was_observed_holds_until_the_first_report(silence):
    assert conditions(former=(condition(),), silence=silence, now=LATER) == (condition(),)


@pytest.mark.parametrize(
    "silence", [REASON_NO_REPORT, REASON_AGENT_LOST, REASON_AGENT_MISSING, None]
)
def test_the_time_of_an_action_is_shown_whatever_the_agent_says_or_does_not_say(silence):
    record = Record(Verdict("True", "x"), "pod-0", STARTED)
    records = {"healthy": record}
    for former in ((), (condition(),)):
        (shown,) = conditions(former=former, records=records, silence=silence)
        assert shown.last_action_transition_time == STARTED


def test_conditions_are_those_of_the_qualities_in_their_order():
    qualities = (quality("b"), quality("a"))
    reports = [reported(name="a"), reported(name="b"), reported(name="c")]
    former = (condition(name="gone"), condition(name="a"))
    assert conditions(*reports, former=former, qualities=qualities) == (
        condition(name="b"),
        condition(name="a"),
    )
