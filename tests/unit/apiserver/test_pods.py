"""Pods: defaults and validation."""

from __future__ import annotations

from typing import Any

import pytest

from localcluster.apiserver import pods

MAIN = {"name": "main", "image": "game:1"}


def completed(**spec: Any) -> dict[str, Any]:
    pod = {"metadata": {"name": "game"}, "spec": {"containers": [dict(MAIN)], **spec}}
    pods.complete(pod)
    return pod


def test_defaults_are_those_that_clients_rely_on() -> None:
    assert completed() == {
        "metadata": {"name": "game"},
        "spec": {
            "containers": [
                {
                    **MAIN,
                    "imagePullPolicy": "IfNotPresent",
                    "resources": {},
                    "terminationMessagePath": "/dev/termination-log",
                    "terminationMessagePolicy": "File",
                }
            ],
            "restartPolicy": "Always",
            "dnsPolicy": "ClusterFirst",
            "terminationGracePeriodSeconds": 30,
            "enableServiceLinks": True,
            "securityContext": {},
            "schedulerName": "default-scheduler",
            "serviceAccountName": "default",
            "serviceAccount": "default",
            "tolerations": [
                {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
                for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
            ],
        },
        "status": {"phase": "Pending"},
    }


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("game", "Always"),
        ("game:latest", "Always"),
        ("registry:5000/game", "Always"),
        ("registry:5000/game:1", "IfNotPresent"),
        ("game@sha256:abc", "IfNotPresent"),
    ],
)
def test_only_a_tag_that_can_move_is_pulled_always(image: str, policy: str) -> None:
    pod = completed(containers=[{"name": "main", "image": image}])
    assert pod["spec"]["containers"][0]["imagePullPolicy"] == policy


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        pytest.param({}, [], id="good"),
        pytest.param({"containers": []}, ["spec.containers"], id="none"),
        pytest.param({"containers": ["main"]}, ["spec.containers[0]"], id="no-object"),
        pytest.param({"containers": [{"image": "a"}]}, ["spec.containers[0].name"], id="name"),
        pytest.param({"containers": [{"name": "a"}]}, ["spec.containers[0].image"], id="image"),
        pytest.param({"containers": [MAIN, MAIN]}, ["spec.containers[1].name"], id="twice"),
        pytest.param(
            {"initContainers": [MAIN]}, ["spec.containers[0].name"], id="twice-across-lists"
        ),
        pytest.param(
            {"containers": [{**MAIN, "command": "run"}]},
            ["spec.containers[0].command"],
            id="command-is-no-list",
        ),
        pytest.param(
            {"containers": [{**MAIN, "env": [{"name": "PORT", "value": 8080}]}]},
            ["spec.containers[0].env[0].value"],
            id="number-in-env",
        ),
        pytest.param({"nodeName": False}, ["spec.nodeName"], id="node-called-n"),
        pytest.param({"restartPolicy": "Often"}, ["spec.restartPolicy"], id="restart-policy"),
        pytest.param(
            {"terminationGracePeriodSeconds": -1},
            ["spec.terminationGracePeriodSeconds"],
            id="grace",
        ),
    ],
)
def test_what_is_wrong_is_named(spec: dict[str, Any], fields: list[str]) -> None:
    assert [cause.field for cause in pods.validate(completed(**spec), None)] == fields


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        pytest.param({"containers": [{**MAIN, "image": "game:2"}]}, [], id="image"),
        pytest.param({"terminationGracePeriodSeconds": 1}, ["spec"], id="grace"),
        pytest.param({"activeDeadlineSeconds": 60}, [], id="a-first-deadline"),
        pytest.param({"tolerations": [{"operator": "Exists"}]}, ["spec.tolerations"], id="other"),
        pytest.param({"hostname": "other"}, ["spec"], id="hostname"),
        pytest.param({"containers": [{**MAIN, "args": ["x"]}]}, ["spec"], id="args"),
        pytest.param({"initContainers": [{"name": "i", "image": "j"}]}, ["spec"], id="init"),
    ],
)
def test_only_images_and_a_few_fields_change(change: dict[str, Any], fields: list[str]) -> None:
    causes = pods.validate(completed(**change), completed())
    assert [cause.field for cause in causes] == fields


@pytest.mark.parametrize(
    ("old", "new", "fields"),
    [
        pytest.param({"activeDeadlineSeconds": 60}, {"activeDeadlineSeconds": 30}, [], id="nearer"),
        pytest.param(
            {"activeDeadlineSeconds": 60},
            {"activeDeadlineSeconds": 90},
            ["spec.activeDeadlineSeconds"],
            id="further",
        ),
        pytest.param(
            {"activeDeadlineSeconds": 60}, {}, ["spec.activeDeadlineSeconds"], id="removed"
        ),
        pytest.param({}, {"tolerations": [{"key": "game", "operator": "Exists"}]}, [], id="added"),
        pytest.param(
            {"tolerations": [{"key": "game", "operator": "Exists"}]},
            {"tolerations": [{"key": "game", "operator": "Exists", "tolerationSeconds": 1}]},
            [],
            id="other-time",
        ),
        pytest.param(
            {"tolerations": [{"key": "game", "operator": "Exists"}]},
            {},
            ["spec.tolerations"],
            id="toleration-removed",
        ),
    ],
)
def test_deadlines_come_nearer_and_tolerations_are_added(
    old: dict[str, Any], new: dict[str, Any], fields: list[str]
) -> None:
    causes = pods.validate(completed(**new), completed(**old))
    assert [cause.field for cause in causes] == fields
