"""What ends up in table cells: JSONPath columns, ages, pods."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from localcluster.apiserver.durations import age, human
from localcluster.apiserver.jsonpath import JsonPath
from localcluster.apiserver.podprinter import cells

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
OBJECT = {
    "spec": {"replicas": 3, "list": [10, 20, 30]},
    "metadata": {"labels": {"a.b/c": "label"}},
    "status": {
        "conditions": [
            {"type": "Ready", "status": "True"},
            {"type": "Idle", "status": "False"},
        ]
    },
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        pytest.param(".spec.replicas", [3], id="field"),
        pytest.param("{.spec.replicas}", [3], id="braces"),
        pytest.param("$.spec.replicas", [3], id="root"),
        pytest.param(".spec.absent.deeper", [], id="absent"),
        pytest.param(".spec.list[0]", [10], id="index"),
        pytest.param(".spec.list[-1]", [30], id="from-the-end"),
        pytest.param(".spec.list[9]", [], id="outside"),
        pytest.param(".spec.list[*]", [10, 20, 30], id="all"),
        pytest.param(".metadata.labels['a.b/c']", ["label"], id="quoted"),
        pytest.param(r".metadata.labels.a\.b/c", ["label"], id="escaped"),
        pytest.param('.status.conditions[?(@.type=="Ready")].status', ["True"], id="filter"),
        pytest.param(".status.conditions[?(@.type!='Ready')].type", ["Idle"], id="negated"),
        pytest.param(".status.conditions[*].type", ["Ready", "Idle"], id="through-a-list"),
    ],
)
def test_json_path_finds(path: str, found: list[Any]) -> None:
    assert JsonPath(path).find(OBJECT) == found


@pytest.mark.parametrize("path", ["spec", ".spec[", ".a[1:2]", ".a[?(@.x>1)]"])
def test_json_path_refuses_what_it_does_not_understand(path: str) -> None:
    with pytest.raises(ValueError, match="cannot read"):
        JsonPath(path)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (185, "3m5s"),
        (599, "9m59s"),
        (600, "10m"),
        (10_799, "179m"),
        (10_800, "3h"),
        (12_660, "3h31m"),
        (28_800, "8h"),
        (172_799, "47h"),
        (172_800, "2d"),
        (183_600, "2d3h"),
        (691_200, "8d"),
        (63_072_000, "2y"),
        (63_072_000 + 5 * 86_400, "2y5d"),
        (252_288_000, "8y"),
    ],
)
def test_a_duration_has_one_or_two_units(seconds: int, text: str) -> None:
    assert human(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "<unknown>"),
        ("", "<unknown>"),
        ("yesterday", "<invalid>"),
        ("2026-11-22T11:59:30Z", "30s"),
        ("2026-11-22T11:59:30.500000Z", "29s"),
    ],
)
def test_an_age_counts_from_a_timestamp(value: object, text: str) -> None:
    assert age(value, NOW) == text


def container(name: str, state: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"name": name, "state": state, "ready": False, "restartCount": 0, **fields}


RUNNING = {"running": {}}
SIDECAR = {"name": "agent", "restartPolicy": "Always"}
READY_SIDECAR = container("agent", RUNNING, ready=True, started=True)


@pytest.mark.parametrize(
    ("pod", "shown"),
    [
        pytest.param({"status": {"phase": "Pending"}}, ["0/1", "Pending", "0"], id="new"),
        pytest.param(
            {"status": {"phase": "Running", "containerStatuses": [
                container("main", RUNNING, ready=True)]}},
            ["1/1", "Running", "0"], id="running",
        ),
        pytest.param(
            {"inits": [SIDECAR], "status": {
                "phase": "Running",
                "conditions": [{"type": "Initialized", "status": "True"}],
                "initContainerStatuses": [READY_SIDECAR],
                "containerStatuses": [container("main", RUNNING, ready=True)]}},
            ["2/2", "Running", "0"], id="sidecar-ready",
        ),
        pytest.param(
            {"inits": [SIDECAR], "status": {
                "phase": "Pending",
                "initContainerStatuses": [
                    container("agent", {"waiting": {"reason": "ErrImageNeverPull"}})]}},
            ["0/2", "Init:ErrImageNeverPull", "0"], id="sidecar-without-image",
        ),
        pytest.param(
            {"inits": [{"name": "setup"}, SIDECAR], "status": {
                "phase": "Pending",
                "initContainerStatuses": [container("setup", RUNNING)]}},
            ["0/2", "Init:0/2", "0"], id="initialising",
        ),
        pytest.param(
            {"inits": [SIDECAR], "status": {
                "phase": "Running",
                "initContainerStatuses": [{**READY_SIDECAR, "restartCount": 2}],
                "containerStatuses": [container("main", RUNNING, ready=True, restartCount=1,
                    lastState={"terminated": {"finishedAt": "2026-11-22T11:55:00Z"}})]}},
            ["2/2", "Running", "3 (5m ago)"], id="restarts",
        ),
        pytest.param(
            {"status": {"phase": "Running", "containerStatuses": [
                container("main", {"waiting": {"reason": "CrashLoopBackOff"}}, restartCount=4)]}},
            ["0/1", "CrashLoopBackOff", "4"], id="crash-loop",
        ),
        pytest.param(
            {"status": {"phase": "Failed", "containerStatuses": [
                container("main", {"terminated": {"exitCode": 3}})]}},
            ["0/1", "ExitCode:3", "0"], id="exit-code",
        ),
        pytest.param(
            {"status": {"phase": "Failed", "containerStatuses": [
                container("main", {"terminated": {"signal": 9}})]}},
            ["0/1", "Signal:9", "0"], id="signal",
        ),
        pytest.param(
            {"status": {"phase": "Succeeded", "containerStatuses": [
                container("main", {"terminated": {"reason": "Completed", "exitCode": 0}})]}},
            ["0/1", "Completed", "0"], id="completed",
        ),
        pytest.param(
            {"deleted": True, "status": {"phase": "Running", "containerStatuses": [
                container("main", RUNNING, ready=True)]}},
            ["1/1", "Terminating", "0"], id="terminating",
        ),
        pytest.param(
            {"deleted": True, "status": {"phase": "Running", "reason": "NodeLost"}},
            ["0/1", "Unknown", "0"], id="node-lost",
        ),
    ],
)  # fmt: skip
def test_a_pod_s_row(pod: dict[str, Any], shown: list[str]) -> None:
    metadata = {"name": "game", "creationTimestamp": "2026-11-22T11:00:00Z"}
    if pod.get("deleted"):
        metadata["deletionTimestamp"] = "2026-11-22T12:00:00Z"
    spec = {"containers": [{"name": "main"}], "initContainers": pod.get("inits", [])}
    row = cells({"metadata": metadata, "spec": spec, "status": pod["status"]}, NOW)
    assert row == ["game", *shown, "60m", "<none>", "<none>", "<none>", "<none>"]
