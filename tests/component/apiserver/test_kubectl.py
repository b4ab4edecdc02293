"""What a person does with kubectl, against the program.

Sources: https://kubernetes.io/docs/reference/kubectl/generated/ (a page for each command), and for
the columns https://kubernetes.io/docs/reference/using-api/api-concepts/ (resources as tables).
"""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.apiserver import RunningApiServer, kubectl_program

if TYPE_CHECKING:
    from tests.component.apiserver.conftest import Namespaced

pytestmark = [pytest.mark.component, pytest.mark.timeout(30)]

ROOM = """
apiVersion: test.gamekeeper.dev/v1
kind: Room
metadata: {name: lobby, labels: {floor: "1"}}
spec: {replicas: 3, qualities: [{name: idle, exec: {command: [probe.sh]}}]}
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {name: game, labels: {app: game}}
spec:
  initContainers: [{name: agent, image: agent:1, restartPolicy: Always}]
  containers:
  - {name: main, image: game:1, env: [{name: A, value: a}, {name: B, value: b}]}
"""


def columns(text: str) -> list[list[str]]:
    """Return a table's cells, with every age as `AGE` so that tests can compare whole tables."""
    rows = [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()]
    return [["<age>" if re.fullmatch(r"\d+[sm]", cell) else cell for cell in row] for row in rows]


def test_apply_creates_then_configures_then_leaves_alone(kubectl: Namespaced) -> None:
    # Without the list: kubectl itself takes a default inside a list for a change.
    three = ROOM.replace(", qualities: [{name: idle, exec: {command: [probe.sh]}}]", "")
    four = three.replace("replicas: 3", "replicas: 4")
    said = [kubectl("apply", "-f", "-", input=text) for text in (three, four, four)]
    name = "room.test.gamekeeper.dev/lobby"
    assert said == [f"{name} created\n", f"{name} configured\n", f"{name} unchanged\n"]
    room = kubectl.get("room", "lobby")
    assert room["spec"] == {"replicas": 4, "mode": "Open"}
    assert room["metadata"]["generation"] == 2


def test_tables_have_the_definition_s_columns(kubectl: Namespaced) -> None:
    kubectl("apply", "-f", "-", input=ROOM)
    status = '{"status":{"replicas":2}}'
    kubectl("patch", "rm", "lobby", "--subresource=status", "--type=merge", "-p", status)
    assert columns(kubectl("get", "rm")) == [
        ["NAME", "DESIRED", "MODE", "CURRENT", "AGE"],
        ["lobby", "3", "Open", "2", "<age>"],
    ]
    assert columns(kubectl("get", "rooms", "-o", "wide")) == [
        ["NAME", "DESIRED", "MODE", "CURRENT", "WIDE", "AGE"],
        ["lobby", "3", "Open", "2", "Open", "<age>"],
    ]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        pytest.param(
            ("replicas: 3", "replicas: -1"),
            'The Room "lobby" is invalid: spec.replicas: Invalid value: -1: '
            "spec.replicas in body should be greater than or equal to 0\n",
            id="below-minimum",
        ),
        pytest.param(
            ("[probe.sh]", "[]"),
            'The Room "lobby" is invalid: spec.qualities[0].exec.command: Invalid value: []: '
            "spec.qualities[0].exec.command in body should have at least 1 items\n",
            id="empty-command",
        ),
        pytest.param(
            ("{command: [probe.sh]}", "{command: [x]}, tcp: {port: 1}"),
            'The Room "lobby" is invalid: spec.qualities[0]: Invalid value: "": '
            '"spec.qualities[0]" must validate one and only one schema (oneOf). '
            "Found 2 valid alternatives\n",
            id="two-handlers",
        ),
        pytest.param(
            ("replicas: 3", "replicas: 3, replica: 4"),
            'Error from server (BadRequest): error when creating "STDIN": '
            'Room in version "v1" cannot be handled as a Room: '
            'strict decoding error: unknown field "spec.replica"\n',
            id="unknown-field",
        ),
    ],
)
def test_a_bad_object_is_refused_with_its_field(
    kubectl: Namespaced, change: tuple[str, str], error: str
) -> None:
    assert kubectl.fails("apply", "-f", "-", input=ROOM.replace(*change)) == error
    assert kubectl("get", "rooms", "-o", "name") == ""


def test_unknown_fields_are_warned_about_when_asked_to(kubectl: Namespaced) -> None:
    text = ROOM.replace("replicas: 3", "replicas: 3, replica: 4")
    args = ("-n", kubectl.namespace, "create", "--validate=warn", "-f", "-")
    done = kubectl.server.kubectl(*args, input=text)
    assert done.stderr == 'Warning: unknown field "spec.replica"\n'
    assert "replica" not in kubectl.get("room", "lobby")["spec"]


def test_scale_changes_replicas_and_honours_the_expected_number(kubectl: Namespaced) -> None:
    kubectl("create", "-f", "-", input=ROOM)
    assert kubectl("scale", "rm", "lobby", "--replicas=5") == (
        "room.test.gamekeeper.dev/lobby scaled\n"
    )
    error = kubectl.fails("scale", "rm", "lobby", "--replicas=6", "--current-replicas=4")
    assert error == "error: Expected replicas to be 4, was 5\n"
    room = kubectl.get("room", "lobby")
    assert (room["spec"]["replicas"], room["metadata"]["generation"]) == (5, 2)


def test_labels_and_annotations_select_and_do_not_count_as_a_generation(
    kubectl: Namespaced,
) -> None:
    kubectl("create", "-f", "-", input=ROOM)
    kubectl("label", "rm", "lobby", "owner=me")
    kubectl("annotate", "rm", "lobby", "note=x")
    assert kubectl("get", "rm", "-l", "owner in (me,you),floor=1", "-o", "name") == (
        "room.test.gamekeeper.dev/lobby\n"
    )
    assert kubectl("get", "rm", "-l", "owner!=me", "-o", "name") == ""
    assert kubectl("get", "rm", "--field-selector=metadata.name!=lobby", "-o", "name") == ""
    metadata = kubectl.get("rm", "lobby")["metadata"]
    assert metadata["generation"] == 1
    assert metadata["annotations"] == {"note": "x"}


def test_a_json_patch_whose_test_fails_changes_nothing(kubectl: Namespaced) -> None:
    kubectl("create", "-f", "-", input=ROOM)
    patch = (
        '[{"op":"test","path":"/spec/mode","value":"Closed"},'
        '{"op":"replace","path":"/spec/replicas","value":9}]'
    )
    error = kubectl.fails("patch", "rm", "lobby", "--type=json", "-p", patch)
    assert error.startswith("The request is invalid")
    assert kubectl.get("rm", "lobby")["spec"]["replicas"] == 3


def test_pods_show_ready_with_their_sidecar_and_merge_by_name(kubectl: Namespaced) -> None:
    kubectl("apply", "-f", "-", input=POD)
    assert columns(kubectl("get", "pods")) == [
        ["NAME", "READY", "STATUS", "RESTARTS", "AGE"],
        ["game", "0/2", "Pending", "0", "<age>"],
    ]
    patch = '{"spec":{"containers":[{"name":"main","image":"game:2"}]}}'
    kubectl("patch", "pod", "game", "-p", patch)
    assert kubectl("get", "pod", "game", "-o", "jsonpath={.spec.containers[*].image}") == "game:2"
    container = kubectl.get("pod", "game")["spec"]["containers"][0]
    assert container["env"] == [{"name": "A", "value": "a"}, {"name": "B", "value": "b"}]


def test_a_pod_s_command_cannot_change(kubectl: Namespaced) -> None:
    kubectl("apply", "-f", "-", input=POD)
    changed = POD.replace("image: game:1,", "image: game:1, command: [x],")
    error = kubectl.fails("apply", "-f", "-", input=changed)
    assert "spec: Forbidden: pod updates may not change fields other than" in error


def test_get_watch_prints_each_change(kubectl: Namespaced) -> None:
    kubectl("create", "-f", "-", input=ROOM)
    with subprocess.Popen(
        [kubectl_program(), "-n", kubectl.namespace, "get", "rm", "-w", "--no-headers"],
        env=kubectl.server.environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as watching:
        assert watching.stdout is not None
        first = watching.stdout.readline().split()
        kubectl("scale", "rm", "lobby", "--replicas=7")
        second = watching.stdout.readline().split()
        watching.terminate()
    assert [first[:3], second[:3]] == [["lobby", "3", "Open"], ["lobby", "7", "Open"]]


def test_wait_returns_when_a_field_has_its_value(kubectl: Namespaced) -> None:
    kubectl("create", "-f", "-", input=ROOM)
    with subprocess.Popen(
        [
            *(kubectl_program(), "-n", kubectl.namespace, "wait", "rm/lobby", "--timeout=60s"),
            "--for=jsonpath={.spec.mode}=Closed",
        ],
        env=kubectl.server.environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as waiting:
        kubectl("patch", "rm", "lobby", "--type=merge", "-p", '{"spec":{"mode":"Closed"}}')
        assert waiting.communicate()[0] == "room.test.gamekeeper.dev/lobby condition met\n"


def test_delete_waits_for_a_bound_pod_until_the_kubelet_confirms(kubectl: Namespaced) -> None:
    kubectl("create", "-f", "-", input=POD.replace("spec:\n", "spec:\n  nodeName: node-1\n"))
    args = [kubectl_program(), "-n", kubectl.namespace, "delete", "pod", "game", "--grace-period=9"]
    with subprocess.Popen(
        args, env=kubectl.server.environment(), stdout=subprocess.PIPE, text=True
    ) as deleting:
        kubectl("wait", "pod/game", "--for=jsonpath={.metadata.deletionGracePeriodSeconds}=9")
        assert columns(kubectl("get", "pods"))[1][:3] == ["game", "0/2", "Terminating"]
        assert deleting.poll() is None
        # What a kubelet does when the processes have ended.
        kubectl("delete", "pod", "game", "--grace-period=0", "--force")
        deleting.communicate()
        assert deleting.returncode == 0
    assert kubectl("get", "pods", "-o", "name") == ""


def test_describe_lists_the_events_of_an_object(kubectl: Namespaced) -> None:
    kubectl("create", "-f", "-", input=ROOM)
    uid = kubectl.get("rm", "lobby")["metadata"]["uid"]
    event = f"""
apiVersion: v1
kind: Event
metadata: {{name: lobby.1}}
involvedObject:
  apiVersion: test.gamekeeper.dev/v1
  kind: Room
  name: lobby
  namespace: {kubectl.namespace}
  uid: {uid}
type: Warning
reason: Broken
message: the door is stuck
source: {{component: janitor}}
count: 2
firstTimestamp: "2020-01-01T00:00:00Z"
lastTimestamp: "2020-01-01T00:00:00Z"
"""
    kubectl("create", "-f", "-", input=event)
    described = columns(kubectl("describe", "rm", "lobby"))
    assert described[-1][:2] == ["Warning", "Broken"]
    assert described[-1][-2:] == ["janitor", "the door is stuck"]
    listed = columns(kubectl("get", "events"))
    assert listed[0] == ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
    assert listed[1][1:] == ["Warning", "Broken", "room/lobby", "the door is stuck"]


def test_explain_shows_the_schema_of_a_definition(kubectl: Namespaced) -> None:
    explained = kubectl("explain", "rooms.spec.replicas")
    assert "FIELD: replicas <integer>" in explained
    assert "How many are wanted." in explained


def test_deleting_a_namespace_deletes_what_is_in_it(shared_apiserver: RunningApiServer) -> None:
    run = shared_apiserver.kubectl
    run("create", "namespace", "doomed")
    run("-n", "doomed", "create", "configmap", "map", "--from-literal=a=b")
    run("-n", "doomed", "create", "-f", "-", input=ROOM)
    assert run("delete", "namespace", "doomed").stdout == 'namespace "doomed" deleted\n'
    assert run("-n", "doomed", "get", "cm,rooms,sa", "-o", "name").stdout == ""


def test_typed_commands_work_although_they_send_protobuf(kubectl: Namespaced) -> None:
    kubectl("create", "secret", "generic", "key", "--from-literal=a=b")
    assert kubectl.get("secret", "key")["data"] == {"a": "Yg=="}
    kubectl("create", "serviceaccount", "robot")
    token = kubectl("create", "token", "robot", "--duration=600s").strip()
    name = "jsonpath={.status.userInfo.username}"
    who = kubectl("auth", "whoami", "--token", token, "-o", name)
    assert who == f"system:serviceaccount:{kubectl.namespace}:robot"
    assert kubectl("auth", "can-i", "delete", "pods") == "yes\n"
