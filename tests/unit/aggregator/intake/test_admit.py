"""Which reports are taken, and in which form."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.intake.admit import Duplicate, Invalid, Stale, admit
from aggregator.ledger import Accepted
from shared.protocol.report import ContainerReport, ProbeReport, Report, Status

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)


def probe(name: str = "idle", **fields: Any) -> ProbeReport:
    return ProbeReport(name=name, **{"status": Status.TRUE, "result": "empty"} | fields)


def report(epoch: int = 1, sequence: int = 1, **fields: Any) -> Report:
    defaults: dict[str, Any] = {
        "pod_uid": "u",
        "sent_at": NOW,
        "agent_version": "0.1.0",
        "probes_revision": "r1",
        "containers": (ContainerReport("game", running=True, started_at=NOW),),
        "probes": (probe(),),
    }
    return Report(epoch=epoch, sequence=sequence, **defaults | fields)


def accepted(epoch: int = 1, sequence: int = 1, **fields: Any) -> Accepted:
    return Accepted(report(epoch, sequence, **fields), NOW, changed=True)


@pytest.mark.parametrize(
    ("last", "new", "expected"),
    [
        pytest.param(None, (1, 5), Accepted, id="the first one, whatever its number"),
        pytest.param((1, 5), (1, 6), Accepted, id="the next"),
        pytest.param((1, 5), (1, 9), Accepted, id="some were lost"),
        pytest.param((1, 5), (1, 5), Duplicate, id="the same again"),
        pytest.param((1, 5), (1, 4), Stale, id="overtaken"),
        pytest.param((1, 900), (2, 1), Accepted, id="a restarted agent counts from one"),
        pytest.param((2, 1), (1, 900), Stale, id="the last words of the agent before"),
    ],
)
def test_epoch_and_sequence_order_the_reports(last, new, expected) -> None:
    outcome = admit(accepted(*last) if last else None, report(*new), NOW)
    assert isinstance(outcome, expected)


def test_a_stale_report_is_told_the_accepted_epoch() -> None:
    assert admit(accepted(7, 3), report(6, 9), NOW) == Stale(accepted_epoch=7)


@pytest.mark.parametrize(
    ("fields", "changed"),
    [
        pytest.param({}, False, id="nothing"),
        pytest.param({"sent_at": NOW + timedelta(seconds=9)}, False, id="time of sending"),
        pytest.param(
            {"probes": (probe(runs=9, consecutive=9, started_at=NOW, duration_seconds=1.0),)},
            False,
            id="times and counters of a probe",
        ),
        pytest.param({"probes": (probe(stderr="x", exit_code=7),)}, False, id="for people only"),
        pytest.param({"probes": (probe(status=Status.FALSE),)}, True, id="status"),
        pytest.param({"probes": (probe(result="full"),)}, True, id="result"),
        pytest.param({"probes": (probe(reason="R"),)}, True, id="reason"),
        pytest.param({"probes": (probe(message="m"),)}, True, id="message"),
        pytest.param({"probes": (probe("other"),)}, True, id="name of a probe"),
        pytest.param({"probes": (probe(), probe("b"))}, True, id="a probe more"),
        pytest.param({"agent_version": "0.2.0"}, False, id="version"),
        pytest.param({"probes": ()}, True, id="a probe less"),
        pytest.param({"probes_revision": "r2"}, True, id="probe list"),
        pytest.param({"containers": ()}, True, id="containers"),
    ],
)
def test_a_change_is_what_a_decision_reads(fields: dict[str, Any], changed: bool) -> None:
    outcome = admit(accepted(1, 1), report(1, 2, **fields), NOW)
    assert isinstance(outcome, Accepted)
    assert outcome.changed is changed


def test_the_first_report_is_a_change() -> None:
    assert admit(None, report(), NOW) == Accepted(report(), NOW, changed=True)


def test_texts_are_cleaned_again_and_cut_because_a_mute_agent_helps_nobody() -> None:
    dirty = probe(
        result=" a|b\r\n" + "é" * 1024,
        reason="R" * 100,
        message="two\nlines" + "x" * 300,
        stderr="é" * 600,
    )
    outcome = admit(None, report(probes=(dirty,)), NOW)
    assert isinstance(outcome, Accepted)
    assert outcome.report.probes == (
        probe(
            result="ab" + "é" * 511,
            reason="R" * 64,
            message="two lines" + "x" * 247,
            stderr="é" * 512,
        ),
    )


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(datetime(1970, 1, 1, tzinfo=UTC), id="a clock that was never set"),
        pytest.param(NOW + timedelta(minutes=2), id="the future"),
        pytest.param(datetime.max.replace(tzinfo=UTC), id="the end of time"),
    ],
)
def test_times_of_a_wrong_clock_are_dropped_and_the_verdicts_kept(wrong: datetime) -> None:
    container = ContainerReport("game", running=True, started_at=wrong)
    outcome = admit(
        None,
        report(
            sent_at=wrong,
            containers=(container,),
            probes=(probe(started_at=wrong, transition_at=wrong),),
        ),
        NOW,
    )
    plain = report(containers=(replace(container, started_at=None),))
    assert outcome == Accepted(plain, NOW, changed=True)


def test_what_breaks_the_structure_is_refused_with_its_path_and_the_rule() -> None:
    wrong = report(probes=(probe(), probe("b", runs=-1)))
    message = "must be between 0 and 9007199254740991"
    assert admit(None, wrong, NOW) == Invalid("probes[1].runs", message)


def test_what_is_accepted_is_compared_as_it_is_kept() -> None:
    last = accepted(1, 1, probes=(probe(result="ab"),))
    outcome = admit(last, report(1, 2, probes=(probe(result="a|b"),)), NOW)
    assert outcome == Accepted(report(1, 2, probes=(probe(result="ab"),)), NOW, changed=False)


PAIRS = st.tuples(st.integers(0, 5), st.integers(1, 5))


@given(st.lists(PAIRS, min_size=1))
def test_in_any_order_of_arrival_the_greatest_pair_is_the_one_that_stays(pairs) -> None:
    last: Accepted | None = None
    for epoch, sequence in pairs:
        outcome = admit(last, report(epoch, sequence), NOW)
        if isinstance(outcome, Accepted):
            last = outcome
    assert last is not None
    assert (last.report.epoch, last.report.sequence) == max(pairs)


@given(st.text(), st.text(), st.text())
def test_whatever_text_an_agent_sends_the_accepted_one_is_clean_and_admitted_again(
    result: str, message: str, stderr: str
) -> None:
    first = admit(None, report(probes=(probe(result=result, message=message, stderr=stderr),)), NOW)
    assert isinstance(first, Accepted)
    [cleaned] = first.report.probes
    assert len(cleaned.result.encode()) <= 1024
    assert not set(cleaned.result) & set("\r\n|")
    assert len(cleaned.message) <= 256
    assert "\n" not in cleaned.message
    assert len(cleaned.stderr.encode()) <= 1024
    assert admit(None, first.report, NOW) == first
