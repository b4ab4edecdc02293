"""kubectl's ways to look: explain, api-resources, sorting, describe, can-i; and its generators.

Source: https://kubernetes.io/docs/reference/kubectl/generated/ (a page for each command).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from localcluster.apiserver.builtin import builtin_resources

if TYPE_CHECKING:
    from tests.component.apiserver.conftest import Namespaced

pytestmark = [pytest.mark.component, pytest.mark.timeout(30)]

POD = """
apiVersion: v1
kind: Pod
metadata: {name: %s, labels: {app: game}}
spec: {containers: [{name: main, image: "game:1"}]}
"""
EVENT = """
apiVersion: v1
kind: Event
metadata: {name: game.1}
involvedObject: {apiVersion: v1, kind: Pod, name: game, namespace: %s, uid: %s}
type: Warning
reason: BackOff
message: the game does not start
source: {component: kubelet}
count: 1
firstTimestamp: "2020-01-01T00:00:00Z"
lastTimestamp: "2020-01-01T00:00:00Z"
"""


@pytest.mark.parametrize(
    ("path", "lines"),
    [
        pytest.param(
            "pods",
            {"apiVersion\t<string>", "metadata\t<ObjectMeta>", "spec\t<PodSpec>"},
            id="fields-of-a-kind",
        ),
        pytest.param(
            "pod.spec",
            {"containers\t<[]Container> -required-", "nodeName\t<string>", "volumes\t<[]Volume>"},
            id="fields-of-a-part",
        ),
        pytest.param("pod.spec.containers.ports", {"hostPort\t<integer>"}, id="deep"),
        pytest.param("hpa.spec", {"maxReplicas\t<integer> -required-"}, id="another-group"),
        pytest.param("rooms.spec", {"replicas\t<integer> -required-"}, id="custom"),
    ],
)  # fmt: skip
def test_explain_lists_the_fields(kubectl: Namespaced, path: str, lines: set[str]) -> None:
    said = {line.strip() for line in kubectl("explain", path).splitlines()}
    assert lines <= said


def test_explain_describes_what_a_pod_consists_of(kubectl: Namespaced) -> None:
    said = kubectl("explain", "pod.spec.restartPolicy")
    assert "FIELD: restartPolicy <string>" in said
    assert "When ended containers start again: Always, OnFailure or Never." in said


def test_explain_refuses_a_field_that_does_not_exist(kubectl: Namespaced) -> None:
    error = kubectl.fails("explain", "pod.spec.contianers")
    assert error == 'error: field "contianers" does not exist\n'


def test_api_resources_names_every_kind_with_its_short_name(kubectl: Namespaced) -> None:
    wide = kubectl("api-resources", "--no-headers", "--cached=false").splitlines()
    rows = {(row.split()[0], row.split()[-1]) for row in wide}
    assert {(each.plural, each.kind) for each in builtin_resources()} <= rows
    assert ("rooms", "Room") in rows
    only = kubectl("api-resources", "--api-group=test.gamekeeper.dev", "-o", "name")
    assert only == "rooms.test.gamekeeper.dev\n"


def test_get_sorts_and_looks_into_every_namespace(kubectl: Namespaced) -> None:
    for name in ("b", "c", "a"):
        kubectl("create", "-f", "-", input=POD % name)
    names = ("--no-headers", "-o", "custom-columns=:metadata.name")
    by_age = kubectl("get", "pods", "--sort-by=.metadata.resourceVersion", *names)
    assert by_age.split() == ["b", "c", "a"]
    assert kubectl("get", "pods", "--sort-by=.metadata.name", *names).split() == ["a", "b", "c"]
    everywhere = kubectl("get", "pods", "-A", "--no-headers").splitlines()
    here = [row.split()[:2] for row in everywhere if row.split()[0] == kubectl.namespace]
    assert sorted(here) == [[kubectl.namespace, name] for name in ("a", "b", "c")]


def test_describe_pod_tells_its_events(kubectl: Namespaced) -> None:
    kubectl("create", "-f", "-", input=POD % "game")
    uid = kubectl.get("pod", "game")["metadata"]["uid"]
    kubectl("create", "-f", "-", input=EVENT % (kubectl.namespace, uid))
    said = kubectl("describe", "pod", "game")
    assert [line for line in said.splitlines() if line.startswith(("Name:", "Status:"))] == [
        "Name:             game",
        "Status:           Pending",
    ]
    assert "    Image:        game:1" in said
    assert said.splitlines()[-1].split(maxsplit=2)[:2] == ["Warning", "BackOff"]
    assert said.rstrip().endswith("kubelet  the game does not start")


def test_labels_and_annotations_are_overwritten_only_when_asked(kubectl: Namespaced) -> None:
    kubectl("create", "-f", "-", input=POD % "game")
    error = kubectl.fails("label", "pod", "game", "app=other")
    assert error == (
        "error: 'app' already has a value (game), and --overwrite is false\n"
    )  # fmt: skip
    assert kubectl("label", "pod", "game", "--overwrite", "app=other") == "pod/game labeled\n"
    assert kubectl("annotate", "pod", "game", "note=a") == "pod/game annotated\n"
    assert kubectl("annotate", "pod", "game", "note-") == "pod/game annotated\n"
    metadata = kubectl.get("pod", "game")["metadata"]
    assert (metadata["labels"], metadata.get("annotations")) == ({"app": "other"}, None)


def test_can_i_answers_by_its_exit_code(kubectl: Namespaced) -> None:
    assert kubectl("auth", "can-i", "create", "pods") == "yes\n"
    assert "*.*" in kubectl("auth", "can-i", "--list")


@pytest.mark.parametrize(
    ("args", "kind", "expected"),
    [
        pytest.param(
            ("configmap", "map", "--from-literal=a=b"), "cm", {"data": {"a": "b"}}, id="configmap"
        ),
        pytest.param(
            ("quota", "q", "--hard=pods=2"), "quota", {"spec": {"hard": {"pods": "2"}}}, id="quota"
        ),
        pytest.param(
            ("pdb", "budget", "--selector=app=game", "--min-available=50%"),
            "pdb",
            {"spec": {"minAvailable": "50%", "selector": {"matchLabels": {"app": "game"}}}},
            id="pdb",
        ),
        pytest.param(
            ("role", "reader", "--verb=get,list", "--resource=pods"),
            "role",
            {"rules": [{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]}]},
            id="role",
        ),
        pytest.param(
            ("rolebinding", "readers", "--role=reader", "--user=ann"),
            "rolebinding",
            {
                "subjects": [
                    {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "ann"}
                ],
                "roleRef": {
                    "apiGroup": "rbac.authorization.k8s.io",
                    "kind": "Role",
                    "name": "reader",
                },
            },
            id="rolebinding",
        ),
    ],
)
def test_create_makes_the_usual_kinds(
    kubectl: Namespaced, args: tuple[str, ...], kind: str, expected: dict[str, Any]
) -> None:
    kubectl("create", *args)
    made = kubectl.get(kind, args[1])
    assert {key: made[key] for key in expected} == expected


def test_create_service_numbers_its_ports(kubectl: Namespaced) -> None:
    kubectl("create", "service", "clusterip", "web", "--tcp=80:8080")
    (port,) = kubectl.get("service", "web")["spec"]["ports"]
    assert port == {"name": "80-8080", "protocol": "TCP", "port": 80, "targetPort": 8080}


def test_run_makes_a_pod(kubectl: Namespaced) -> None:
    assert kubectl("run", "one", "--image=game:1", "--labels=app=x") == "pod/one created\n"
    assert kubectl("get", "pods", "-l", "app=x", "-o", "name") == "pod/one\n"
