"""A report fits its 64 KiB whatever the probes print, and says what it left out."""

from __future__ import annotations

import json
from collections import deque
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.outbox import Outbox
from agent.prober import ActiveProbe
from agent.probes.outcome import Outcome
from agent.reporting import build_report, encode_report
from agent.verdict import Thresholds, advance, begin
from shared.protocol.paths import MAX_REPORT_BYTES
from shared.protocol.probes import ExecAction, ProbeSpec
from shared.protocol.report import ContainerReport, Status

NOW = datetime(2026, 1, 1, 12, 0, 0, 5000, tzinfo=UTC)


def probe(number: int, outcome: Outcome) -> ActiveProbe:
    spec = ProbeSpec(f"{number:063}", "game", exec=ExecAction(("true",)))
    active = ActiveProbe(spec, begin(Thresholds(1, 1)))
    active.state = advance(active.state, outcome, NOW)
    active.history = deque([outcome], maxlen=20)
    return active


def outcome(result: str, stderr: str = "", status: Status = Status.TRUE) -> Outcome:
    return Outcome(status, result, stderr=stderr, started_at=NOW, duration_seconds=0.1)


def encode(*outcomes: Outcome) -> bytes:
    probes = [probe(number, each) for number, each in enumerate(outcomes)]
    containers = [ContainerReport(f"{n:063}", running=True, started_at=NOW) for n in range(64)]
    return encode_report(build_report("u" * 36, Outbox(1, 0), NOW, "r", (containers, probes)))


def entries(body: bytes) -> list[dict[str, Any]]:
    assert len(body) <= MAX_REPORT_BYTES
    return list(json.loads(body)["probes"])


def test_stderr_is_shortened_first_to_its_end_and_no_more_than_needed() -> None:
    shown = entries(encode(*[outcome("yes", "first" + "x" * 900 + "last")] * 64))
    assert {(e["result"], e["stderr"], e["reason"]) for e in shown} == {
        ("yes", "x" * 508 + "last", "")
    }


def test_long_results_are_shortened_last_and_say_so() -> None:
    long, short = outcome("r" * 1024, "e" * 1024), outcome("7")
    shown = entries(encode(short, *[long] * 63))
    assert (shown[0]["result"], shown[0]["reason"]) == ("7", "")
    assert {
        (e["status"], e["result"], e["stderr"], e["reason"], e["message"]) for e in shown[1:]
    } == {
        (
            "True",
            "r" * 512 + "\u2026",
            "",
            "ResultShortened",
            "the results of all probes exceed what a report holds: print less",
        )
    }


def test_a_reason_that_is_there_already_is_kept() -> None:
    failed = Outcome(
        Status.FALSE, "r" * 1024, "Timeout", "slow " * 50, started_at=NOW, duration_seconds=1
    )
    assert {e["reason"] for e in entries(encode(*[failed] * 64))} == {"Timeout"}


def test_a_report_that_fits_is_left_alone() -> None:
    shown = entries(encode(outcome("r" * 1024, "e" * 1024)))
    assert [(e["result"], e["stderr"]) for e in shown] == [("r" * 1024, "e" * 1024)]


@pytest.mark.parametrize("character", ["\x01", "\U0001f600", '"', "x"], ids=ascii)
def test_no_character_makes_64_full_probes_too_large(character: str) -> None:
    result = character * (1024 // len(character.encode()))
    entries(encode(*[outcome(result, result)] * 64))


@given(st.lists(st.tuples(st.text(max_size=300), st.text(max_size=300)), max_size=64))
def test_whatever_is_printed_the_report_fits_and_keeps_every_verdict(
    printed: list[tuple[str, str]],
) -> None:
    shown = entries(encode(*[outcome(result, stderr) for result, stderr in printed]))
    assert [e["status"] for e in shown] == ["True"] * len(printed)
