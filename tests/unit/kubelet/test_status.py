"""Runtime state -> pod status."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from localcluster.kubelet.addresses import Addresses
from localcluster.kubelet.log_file import LogLine, parse_line
from localcluster.kubelet.status import (
    ContainerState,
    PodFailure,
    PodState,
    Running,
    Terminated,
    Waiting,
    build_status,
)
from localcluster.kubelet.tokens import Token, renewal_delay_seconds

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NOW = START + timedelta(seconds=10)
STAMP, LATER = "2026-01-02T03:04:05Z", "2026-01-02T03:04:15Z"
WAITING, RUNNING = Waiting("PodInitializing"), Running(START)


def ended(code: int) -> Terminated:
    return Terminated(code, "Completed" if code == 0 else "Error", "", START, NOW, "gamekeeper://x")


def container(
    state: Waiting | Running | Terminated, name: str = "main", last: Terminated | None = None
) -> ContainerState:
    has_run = not isinstance(state, Waiting) or last is not None
    return ContainerState(name, state, last, int(last is not None), has_run, "", "game", "/game")


def pod(*main: ContainerState, init: tuple[ContainerState, ...] = ()) -> PodState:
    return PodState(START, "127.5.0.1", "127.0.0.1", init, main)


SIDECAR = {"initContainers": [{"name": "agent", "restartPolicy": "Always"}]}
INIT = {"initContainers": [{"name": "prepare"}]}


@pytest.mark.parametrize(
    ("spec", "state", "phase", "initialized", "ready"),
    [
        ({}, pod(container(WAITING)), "Pending", True, False),
        ({}, pod(container(RUNNING)), "Running", True, True),
        ({}, pod(container(RUNNING), container(WAITING, "b")), "Pending", True, False),
        ({}, pod(container(Waiting("Crash"), last=ended(1))), "Running", True, False),
        ({}, pod(container(ended(0))), "Running", True, False),
        ({"restartPolicy": "Never"}, pod(container(ended(0))), "Succeeded", True, False),
        ({"restartPolicy": "Never"}, pod(container(ended(1))), "Failed", True, False),
        (
            {"restartPolicy": "Never"},
            pod(container(ended(1)), container(RUNNING, "b")),
            "Running",
            True,
            False,
        ),
        ({"restartPolicy": "OnFailure"}, pod(container(ended(1))), "Running", True, False),
        ({"restartPolicy": "OnFailure"}, pod(container(ended(0))), "Succeeded", True, False),
        (
            SIDECAR,
            pod(container(RUNNING), init=(container(RUNNING, "agent"),)),
            "Running",
            True,
            True,
        ),
        (
            SIDECAR,
            pod(container(WAITING), init=(container(WAITING, "agent"),)),
            "Pending",
            False,
            False,
        ),
        (
            SIDECAR,
            pod(container(RUNNING), init=(container(Waiting("Crash"), "agent", ended(1)),)),
            "Running",
            True,
            False,
        ),
        (
            INIT,
            pod(container(WAITING), init=(container(RUNNING, "prepare"),)),
            "Pending",
            False,
            False,
        ),
        (
            INIT,
            pod(container(RUNNING), init=(container(ended(0), "prepare"),)),
            "Running",
            True,
            True,
        ),
        (
            {**INIT, "restartPolicy": "Never"},
            pod(container(WAITING), init=(container(ended(3), "prepare"),)),
            "Failed",
            False,
            False,
        ),
    ],
)
def test_phase_and_conditions(
    spec: dict[str, object], state: PodState, phase: str, initialized: bool, ready: bool
) -> None:
    status = build_status(spec, state, [], NOW)

    conditions = {c["type"]: c["status"] for c in status["conditions"]}
    assert (status["phase"], conditions) == (
        phase,
        {
            "Initialized": str(initialized),
            "Ready": str(ready),
            "ContainersReady": str(ready),
            "PodScheduled": "True",
        },
    )


def test_the_whole_status_of_a_restarted_container() -> None:
    before = [{"type": "PodScheduled", "status": "True", "lastTransitionTime": STAMP}]

    status = build_status({}, pod(container(RUNNING, last=ended(137))), before, NOW)

    true = {"status": "True", "lastTransitionTime": LATER}
    assert status == {
        "phase": "Running",
        "conditions": [
            {"type": "Initialized", **true},
            {"type": "Ready", **true},
            {"type": "ContainersReady", **true},
            {"type": "PodScheduled", "status": "True", "lastTransitionTime": STAMP},
        ],
        "hostIP": "127.0.0.1",
        "hostIPs": [{"ip": "127.0.0.1"}],
        "podIP": "127.5.0.1",
        "podIPs": [{"ip": "127.5.0.1"}],
        "startTime": STAMP,
        "containerStatuses": [
            {
                "name": "main",
                "state": {"running": {"startedAt": STAMP}},
                "lastState": {
                    "terminated": {
                        "exitCode": 137,
                        "reason": "Error",
                        "startedAt": STAMP,
                        "finishedAt": LATER,
                        "containerID": "gamekeeper://x",
                    }
                },
                "ready": True,
                "started": True,
                "restartCount": 1,
                "image": "game",
                "imageID": "/game",
            }
        ],
    }


@pytest.mark.parametrize(
    ("spec", "state", "conditions", "ready"),
    [
        pytest.param(
            {},
            Running(START, is_started=False, is_ready=True),
            [],
            (False, False, "ContainersNotReady"),
            id="startup-probe",
        ),
        pytest.param(
            {},
            Running(START, is_started=True, is_ready=False),
            [],
            (True, False, "ContainersNotReady"),
            id="readiness-probe",
        ),
        pytest.param(
            {"readinessGates": [{"conditionType": "game/open"}]},
            RUNNING,
            [],
            (True, True, "ReadinessGatesNotReady"),
            id="closed-gate",
        ),
        pytest.param(
            {"readinessGates": [{"conditionType": "game/open"}]},
            RUNNING,
            [{"type": "game/open", "status": "True"}],
            (True, True, None),
            id="open-gate",
        ),
    ],
)
def test_probes_and_gates_decide_on_readiness(
    spec: dict[str, object],
    state: Running,
    conditions: list[dict[str, str]],
    ready: tuple[bool, bool, str | None],
) -> None:
    status = build_status(spec, pod(container(state)), conditions, NOW)

    (main,) = status["containerStatuses"]
    reason = next(c.get("reason") for c in status["conditions"] if c["type"] == "Ready")
    assert (main["started"], main["ready"], reason) == ready


def test_a_pod_that_was_given_up_has_failed_and_says_why() -> None:
    failure = PodFailure("DeadlineExceeded", "too long")
    state = PodState(START, "127.5.0.1", "127.0.0.1", (), (container(RUNNING),), failure)

    status = build_status({}, state, [], NOW)

    assert (status["phase"], status["reason"], status["message"]) == (
        "Failed",
        "DeadlineExceeded",
        "too long",
    )


def test_an_unchanged_condition_keeps_its_time_and_a_changed_one_gets_now() -> None:
    first = build_status({}, pod(container(RUNNING)), [], START)
    second = build_status({}, pod(container(ended(1))), first["conditions"], NOW)

    times = {c["type"]: c["lastTransitionTime"] for c in second["conditions"]}
    assert times == {
        "Initialized": STAMP,
        "Ready": LATER,
        "ContainersReady": LATER,
        "PodScheduled": STAMP,
    }


@pytest.mark.parametrize(
    ("age", "delay"),
    [(0, 80.0), (50, 30.0), (79.5, 1.0), (200, 1.0)],
    ids=["new", "half", "just before", "expired"],
)
def test_a_token_is_renewed_at_four_fifths_of_its_life(age: float, delay: float) -> None:
    token = Token("t", START, START + timedelta(seconds=100))

    assert renewal_delay_seconds(token, START + timedelta(seconds=age)) == delay


def test_addresses_are_distinct_and_come_back_last() -> None:
    addresses = Addresses(7)
    first, second = addresses.take(), addresses.take()
    addresses.release(first)

    assert (first, second, addresses.take()) == ("127.7.0.1", "127.7.0.2", "127.7.0.3")


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (
            b"2026-01-02T03:04:05Z stdout F a b\n",
            LogLine("2026-01-02T03:04:05Z", "stdout", True, b"a b"),
        ),
        (
            b"2026-01-02T03:04:05Z stderr P \n",
            LogLine("2026-01-02T03:04:05Z", "stderr", False, b""),
        ),
    ],
)
def test_log_lines(raw: bytes, line: LogLine) -> None:
    assert parse_line(raw) == line
