"""The datagrams between agent and exec helper, and what the end of a command means for a probe."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.exec.wire import EXITED, FAILED, TIMED_OUT, Reply, Request
from agent.probes.exec import ExecRun, outcome_of
from agent.probes.outcome import Outcome
from shared.protocol.report import Status

START = datetime(2026, 1, 1, tzinfo=UTC)
ARGUMENTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


def run(reply: Reply, stdout: bytes = b"", stderr: bytes = b"") -> ExecRun:
    return ExecRun(reply, stdout, stderr, START, 0.123456)


@pytest.mark.parametrize(
    ("reply", "status", "reason", "exit_code"),
    [
        pytest.param(Reply(EXITED, 0), Status.TRUE, "", 0, id="0"),
        pytest.param(Reply(EXITED, 1), Status.FALSE, "", 1, id="1"),
        pytest.param(Reply(EXITED, 255), Status.FALSE, "", 255, id="255"),
        pytest.param(Reply(EXITED, 137), Status.FALSE, "", 137, id="killed by SIGKILL"),
        pytest.param(Reply(EXITED, 126), Status.UNKNOWN, "ExecNotExecutable", 126, id="126"),
        pytest.param(Reply(EXITED, 127), Status.UNKNOWN, "ExecNotFound", 127, id="127"),
        pytest.param(Reply(TIMED_OUT), Status.FALSE, "Timeout", None, id="timeout"),
        pytest.param(
            Reply(FAILED, reason="ContainerNotRunning", message="x"),
            Status.UNKNOWN,
            "ContainerNotRunning",
            None,
            id="could not run",
        ),
    ],
)
def test_the_end_of_a_command_is_an_outcome(
    reply: Reply, status: Status, reason: str, exit_code: int | None
) -> None:
    outcome = outcome_of(run(reply, b"out\n", b"err\n"))
    assert outcome == Outcome(
        status=status,
        result="out",
        reason=reason,
        message=outcome.message,
        exit_code=exit_code,
        stdout="out\n",
        stderr="err\n",
        started_at=START,
        duration_seconds=0.1235,
    )
    assert bool(outcome.message) is bool(reason)


def test_what_is_shown_is_bounded_and_the_result_is_cut_at_its_own_limit() -> None:
    outcome = outcome_of(run(Reply(EXITED), "é".encode() * 5000, b"\xff"))
    assert (outcome.stdout, outcome.result, outcome.stderr) == ("é" * 2048, "é" * 512, "\ufffd")


@given(
    st.integers(1, 2**22),
    st.integers(0, 2**63),
    st.floats(1, 86_400),
    st.lists(ARGUMENTS, min_size=1),
)
def test_a_request_is_read_as_it_was_written(
    pid: int, starttime: int, timeout: float, command: list[str]
) -> None:
    read = Request.decode(Request(pid, starttime, timeout, command).encode())
    assert (read.pid, read.starttime, read.timeout_seconds, read.command) == (
        pid,
        starttime,
        timeout,
        tuple(command),
    )


def test_bytes_that_are_no_utf8_reach_the_command_unchanged() -> None:
    argument = b"\xff\xfe".decode("utf-8", "surrogateescape")
    assert Request.decode(Request(1, 2, 3, [argument]).encode()).command == (argument,)


@given(st.sampled_from([EXITED, TIMED_OUT, FAILED]), st.integers(0, 255), ARGUMENTS, st.text())
def test_a_reply_is_read_as_it_was_written_and_fits_its_datagram(
    ending: str, exit_code: int, reason: str, message: str
) -> None:
    read = Reply.decode(Reply(ending, exit_code, reason[:30], message[:200]).encode())
    plain = message[:200].replace("\0", "").encode("utf-8", "replace").decode()
    assert (read.ending, read.exit_code, read.reason, read.message) == (
        ending,
        exit_code,
        reason[:30],
        plain,
    )


def test_an_endless_message_is_cut() -> None:
    assert len(Reply(FAILED, reason="X", message="é" * 10_000).encode()) == 4096
