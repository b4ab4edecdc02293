"""Small pure decisions of the kubelet: quantities, log queries, what is left, where a pod fits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from localcluster.kubelet.binder import why_not
from localcluster.kubelet.events import due_seconds
from localcluster.kubelet.fields import ConfigurationError, PodFacts, References, resource_value
from localcluster.kubelet.heartbeat import build_lease
from localcluster.kubelet.left_behind import left_behind, rests_after, started_at
from localcluster.kubelet.log_file import LogLine
from localcluster.kubelet.log_query import LogQuery, parse_log_query
from localcluster.kubelet.messages import Bind
from localcluster.kubelet.status import ContainerState, Terminated
from localcluster.kubelet.volumes import plan_binds, plan_files
from shared.quantity import divide_up, parse_quantity

if TYPE_CHECKING:
    from pathlib import Path

Json = dict[str, Any]
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
EARLIER = NOW - timedelta(seconds=10)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", Decimal(1)),
        ("250m", Decimal("0.25")),
        ("1Gi", Decimal(1 << 30)),
        ("2k", Decimal(2000)),
        ("1.5Ki", Decimal(1536)),
        ("2e3", Decimal(2000)),
        ("-1", Decimal(-1)),
        ("3E", Decimal("3e18")),
        (".5", Decimal("0.5")),
        ("7n", Decimal("7e-9")),
    ],
)
def test_quantities(text: str, number: Decimal) -> None:
    assert parse_quantity(text) == number


@pytest.mark.parametrize("text", ["", "1 Gi", "1Ti2", "Gi", "1x", "1.2.3", "1e"])
def test_what_is_no_quantity_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity; want a number such as"):
        parse_quantity(text)


@pytest.mark.parametrize(
    ("quantity", "divisor", "units"),
    [("250m", "1", 1), ("250m", "1m", 250), ("1Gi", "1Mi", 1024), ("3", "2", 2), ("5", "0", 5)],
)
def test_units_are_rounded_up(quantity: str, divisor: str, units: int) -> None:
    assert divide_up(quantity, divisor) == units


POD: Json = {
    "metadata": {"name": "game", "namespace": "default", "uid": "u"},
    "spec": {
        "containers": [
            {"name": "main", "resources": {"limits": {"memory": "1Gi"}, "requests": {"cpu": "1"}}},
            {"name": "bare"},
        ]
    },
}
FACTS = PodFacts(POD, "127.5.0.1", "127.0.0.1", "node", {"cpu": "2", "memory": "4Gi"})


@pytest.mark.parametrize(
    ("reference", "value"),
    [
        pytest.param({"resource": "limits.memory", "divisor": "1Mi"}, "1024", id="limit"),
        pytest.param({"resource": "requests.cpu", "divisor": "1m"}, "1000", id="request"),
        pytest.param({"resource": "requests.memory"}, str(1 << 30), id="request-is-the-limit"),
        pytest.param(
            {"resource": "limits.cpu", "containerName": "bare"}, "2", id="limit-is-the-node"
        ),
        pytest.param({"resource": "requests.cpu", "containerName": "bare"}, "0", id="no-request"),
    ],
)
def test_resource_fields(reference: Json, value: str) -> None:
    assert resource_value(reference, "main", FACTS) == value


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (
            {"resource": "limits.cpu", "containerName": "x"},
            "resourceFieldRef: the pod has no container 'x'",
        ),
        ({"resource": "cpu"}, "resourceFieldRef: 'cpu' is not limits.X or requests.X"),
        (
            {"resource": "limits.cpu", "divisor": "one"},
            "resourceFieldRef limits.cpu: 'one' is not a quantity; "
            "want a number such as 250m, 2 or 1Gi",
        ),
    ],
)
def test_resource_fields_that_are_not_there(reference: Json, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        resource_value(reference, "main", FACTS)
    assert str(caught.value) == message


def test_a_log_query_has_every_parameter() -> None:
    query = {
        "follow": "true",
        "previous": "1",
        "timestamps": "false",
        "tailLines": "3",
        "sinceSeconds": "10",
        "limitBytes": "5",
    }
    assert parse_log_query(query, NOW) == LogQuery(
        follow=True, previous=True, timestamps=False, tail_lines=3, since=EARLIER, limit_bytes=5
    )
    assert parse_log_query({}, NOW) == LogQuery(False, False, False, None, None, None)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"tailLines": "-1"}, "tailLines: want a number >= 0, got '-1'"),
        ({"limitBytes": "0"}, "limitBytes: want a number >= 1, got '0'"),
        ({"sinceTime": "soon"}, "sinceTime: want RFC 3339, got 'soon'"),
        (
            {"sinceTime": "2026-01-02T03:04:05"},
            "sinceTime: want a time zone, got '2026-01-02T03:04:05'",
        ),
        (
            {"sinceTime": "2026-01-02T03:04:05Z", "sinceSeconds": "1"},
            "sinceTime: at most one of sinceTime or sinceSeconds may be specified",
        ),
    ],
)
def test_a_bad_log_query_is_named(query: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        parse_log_query(query, NOW)
    assert str(caught.value) == message


def test_lines_are_wanted_from_a_time_on_and_shown_with_theirs() -> None:
    query = parse_log_query({"sinceTime": "2026-01-02T03:04:05Z", "timestamps": "true"}, NOW)
    lines = [
        LogLine(f"2026-01-02T03:04:{second}Z", "stdout", True, b"x")
        for second in ("04.999999", "05.000000", "06.000000")
    ]

    assert [query.wants(line) for line in lines] == [False, True, True]
    assert query.show(lines[1]) == b"2026-01-02T03:04:05.000000Z x\n"


def left(state: Json, last: Json | None = None) -> Json:
    status = {
        "name": "main",
        "image": "game",
        "imageID": "/game",
        "containerID": "gamekeeper://1",
        "restartCount": 2,
        "state": state,
        "lastState": last or {},
    }
    return {"status": {"startTime": "2026-01-02T03:03:55Z", "containerStatuses": [status]}}


def ended(code: int, reason: str, message: str = "", finished: datetime = NOW) -> Terminated:
    return Terminated(code, reason, message, EARLIER, finished, "gamekeeper://1")


EXIT = {
    "exitCode": 1,
    "reason": "Error",
    "startedAt": "2026-01-02T03:03:55Z",
    "finishedAt": "2026-01-02T03:04:05Z",
    "containerID": "gamekeeper://1",
}
LOST = ended(137, "ContainerStatusUnknown", "The container ended with the kubelet that ran it")


@pytest.mark.parametrize(
    ("pod", "last"),
    [
        pytest.param(left({"running": {"startedAt": "2026-01-02T03:03:55Z"}}), LOST, id="running"),
        pytest.param(left({"terminated": EXIT}), ended(1, "Error"), id="ended"),
        pytest.param(
            left({"waiting": {"reason": "CrashLoopBackOff"}}, {"terminated": EXIT}),
            ended(1, "Error"),
            id="waiting",
        ),
    ],
)
def test_a_container_goes_on_from_what_an_earlier_kubelet_left(pod: Json, last: Terminated) -> None:
    assert left_behind(pod, "main", NOW) == ContainerState(
        name="main",
        state=last,
        last=last,
        restart_count=2,
        has_run=True,
        container_id="gamekeeper://1",
        image="game",
        image_id="/game",
    )
    assert started_at(pod, NOW) == EARLIER


def test_a_container_that_never_ran_left_nothing() -> None:
    pod = {"status": {"containerStatuses": [{"name": "main", "state": {"waiting": {}}}]}}

    assert left_behind(pod, "main", NOW) is None
    assert left_behind({}, "main", NOW) is None
    assert started_at({}, NOW) == NOW


@pytest.mark.parametrize(
    ("policy", "code", "rests"),
    [
        ("Always", 0, False),
        ("Always", 1, False),
        ("OnFailure", 0, True),
        ("OnFailure", 1, False),
        ("Never", 0, True),
        ("Never", 1, True),
    ],
)
def test_a_restart_policy_decides_what_stays_ended(policy: str, code: int, rests: bool) -> None:
    pod = left({"terminated": {**EXIT, "exitCode": code}})

    assert rests_after(left_behind(pod, "main", NOW), policy) is rests
    assert rests_after(None, policy) is False


def node(**spec: Any) -> Json:
    return {"metadata": {"name": "n", "labels": {"zone": "a"}}, "spec": spec}


def pod(**spec: Any) -> Json:
    return {"metadata": {"name": "p"}, "spec": spec}


TAINT = {"key": "game", "value": "only", "effect": "NoSchedule"}
CORDON = {"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("pod", "node", "why"),
    [
        pytest.param(pod(), node(), None, id="fits"),
        pytest.param(pod(), node(unschedulable=True), "node(s) were unschedulable", id="cordon"),
        pytest.param(
            pod(tolerations=[CORDON]), node(unschedulable=True), None, id="cordon-tolerated"
        ),
        pytest.param(
            pod(), node(taints=[TAINT]), "node(s) had untolerated taint(s) {game: only}", id="taint"
        ),
        pytest.param(
            pod(tolerations=[{"key": "game", "value": "only"}]),
            node(taints=[TAINT]),
            None,
            id="tolerated",
        ),
        pytest.param(
            pod(tolerations=[{"key": "game", "value": "other"}]),
            node(taints=[TAINT]),
            "node(s) had untolerated taint(s) {game: only}",
            id="other-value",
        ),
        pytest.param(
            pod(tolerations=[{"operator": "Exists"}]), node(taints=[TAINT]), None, id="everything"
        ),
        pytest.param(
            pod(), node(taints=[{**TAINT, "effect": "PreferNoSchedule"}]), None, id="preferred"
        ),
        pytest.param(pod(nodeSelector={"zone": "a"}), node(), None, id="selected"),
        pytest.param(
            pod(nodeSelector={"zone": "b"}),
            node(),
            "node(s) didn't match Pod's node affinity/selector",
            id="not-selected",
        ),
    ],
)
def test_where_a_pod_fits(pod: Json, node: Json, why: str | None) -> None:
    assert why_not(pod, node) == why


@pytest.mark.parametrize(
    ("count", "since", "wait"),
    [(2, 0.5, 1.5), (2, 3.0, 0.0), (500, 0.0, 60.0), (500, 59.0, 1.0)],
)
def test_repeats_of_an_event_are_written_ever_less_often(
    count: int, since: float, wait: float
) -> None:
    assert due_seconds(count, since) == wait


def test_a_lease_names_its_holder_and_the_moment() -> None:
    assert build_lease("n", 40, NOW) == {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "n"},
        "spec": {
            "holderIdentity": "n",
            "leaseDurationSeconds": 40,
            "renewTime": "2026-01-02T03:04:05.000000Z",
        },
    }


def test_modes_of_files_are_those_of_their_item_or_of_their_volume() -> None:
    items = [
        {"path": "a", "mode": 0o400, "fieldRef": {"fieldPath": "metadata.name"}},
        {"path": "b", "fieldRef": {"fieldPath": "metadata.name"}},
    ]
    volume = {
        "name": "v",
        "projected": {"defaultMode": 0o600, "sources": [{"downwardAPI": {"items": items}}]},
    }

    assert plan_files(volume, FACTS, References()).modes == {"a": 0o400, "b": 0o600}


VOLUMES: list[Json] = [
    {"name": "dir", "emptyDir": {}},
    {"name": "claim", "persistentVolumeClaim": {"claimName": "c", "readOnly": True}},
    {"name": "host", "hostPath": {"path": "/"}},
    {"name": "cm", "configMap": {"name": "cm"}},
]


@pytest.mark.parametrize(
    ("mount", "source", "read_only"),
    [
        pytest.param({"name": "dir"}, "dir", False, id="emptyDir"),
        pytest.param({"name": "dir", "readOnly": True}, "dir", True, id="read-only"),
        pytest.param({"name": "dir", "subPath": "a/b"}, "dir/a/b", False, id="subPath"),
        pytest.param({"name": "dir", "subPathExpr": "$(A)"}, "dir/x", False, id="subPathExpr"),
        pytest.param({"name": "claim"}, "claim", True, id="claim"),
        pytest.param({"name": "host", "readOnly": True}, "host", True, id="hostPath"),
        pytest.param({"name": "cm"}, "cm", True, id="configMap"),
    ],
)
def test_binds(mount: Json, source: str, read_only: bool, tmp_path: Path) -> None:
    container = {"volumeMounts": [{"mountPath": "/m", **mount}]}

    binds = plan_binds(container, VOLUMES, tmp_path, {"A": "x"})

    assert binds == (Bind(str(tmp_path / source), "/m", read_only),)


@pytest.mark.parametrize(
    ("mount", "message"),
    [
        ({"name": "none"}, "volumeMounts: the pod has no volume none"),
        ({"name": "dir", "subPath": "../x"}, "volumeMounts dir: subPath leaves the volume"),
        (
            {"name": "host"},
            "volumeMounts host: pods of the local cluster may not write to this machine; "
            "set readOnly: true, or use an emptyDir or a persistentVolumeClaim",
        ),
    ],
)
def test_binds_that_cannot_be(mount: Json, message: str, tmp_path: Path) -> None:
    container = {"volumeMounts": [{"mountPath": "/m", **mount}]}

    with pytest.raises(ConfigurationError) as caught:
        plan_binds(container, VOLUMES, tmp_path, {})
    assert str(caught.value) == message
