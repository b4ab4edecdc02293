"""kubectl's ways to change what is there: server-side apply, diff, edit, replace, patch.

Sources: https://kubernetes.io/docs/reference/using-api/server-side-apply/ and
https://kubernetes.io/docs/reference/kubectl/generated/ (a page for each command).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.component.apiserver.conftest import Namespaced

pytestmark = [pytest.mark.component, pytest.mark.timeout(30)]

NAME = "room.test.gamekeeper.dev/lobby"
ROOM = """
apiVersion: test.gamekeeper.dev/v1
kind: Room
metadata: {name: lobby, labels: {floor: "1"}}
spec: {replicas: 3, note: quiet}
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {name: game}
spec:
  containers:
  - {name: main, image: game:1, env: [{name: A, value: a}, {name: B, value: b}]}
"""


def managers(kubectl: Namespaced, *what: str) -> set[tuple[str, str]]:
    """Return name and operation of everybody who owns fields of an object."""
    metadata = kubectl.get(*what, "--show-managed-fields")["metadata"]
    return {(entry["manager"], entry["operation"]) for entry in metadata["managedFields"]}


def test_server_side_apply_creates_and_changes_nothing_the_second_time(
    kubectl: Namespaced,
) -> None:
    for _ in range(2):
        said = kubectl("apply", "--server-side", "-f", "-", input=ROOM)
        assert said == f"{NAME} serverside-applied\n"
    room = kubectl.get("room", "lobby", "--show-managed-fields")
    assert room["metadata"]["generation"] == 1
    (entry,) = room["metadata"]["managedFields"]
    assert entry["time"] == room["metadata"]["creationTimestamp"]
    assert {key: entry[key] for key in entry.keys() - {"time"}} == {
        "manager": "kubectl",
        "operation": "Apply",
        "apiVersion": "test.gamekeeper.dev/v1",
        "fieldsType": "FieldsV1",
        "fieldsV1": {
            "f:metadata": {"f:labels": {"f:floor": {}}},
            "f:spec": {"f:note": {}, "f:replicas": {}},
        },
    }


def test_another_manager_conflicts_until_it_forces(kubectl: Namespaced) -> None:
    kubectl("apply", "--server-side", "-f", "-", input=ROOM)
    four = ROOM.replace("replicas: 3", "replicas: 4")
    other = ("apply", "--server-side", "--field-manager=other", "-f", "-")
    error = kubectl.fails(*other, input=four)
    assert error.startswith(
        'error: Apply failed with 1 conflict: conflict with "kubectl": .spec.replicas\n'
    )
    assert kubectl.get("room", "lobby")["spec"]["replicas"] == 3
    kubectl(*other, "--force-conflicts", input=four)
    assert kubectl.get("room", "lobby")["spec"]["replicas"] == 4
    assert managers(kubectl, "room", "lobby") == {("kubectl", "Apply"), ("other", "Apply")}


def test_what_is_no_longer_applied_goes(kubectl: Namespaced) -> None:
    kubectl("apply", "--server-side", "-f", "-", input=ROOM)
    kubectl("label", "room", "lobby", "mine=yes")
    less = ROOM.replace(", note: quiet", "").replace(', labels: {floor: "1"}', "")
    kubectl("apply", "--server-side", "-f", "-", input=less)
    room = kubectl.get("room", "lobby")
    assert room["spec"] == {"replicas": 3, "mode": "Open"}
    assert room["metadata"]["labels"] == {"mine": "yes"}


def test_a_pod_s_lists_merge_by_name_and_client_side_apply_is_taken_over(
    kubectl: Namespaced,
) -> None:
    kubectl("apply", "-f", "-", input=POD)
    assert managers(kubectl, "pod", "game") == {("kubectl-client-side-apply", "Update")}
    changed = POD.replace("game:1", "game:2")
    kubectl("apply", "--server-side", "-f", "-", input=changed)
    (container,) = kubectl.get("pod", "game")["spec"]["containers"]
    assert container["image"] == "game:2"
    assert container["env"] == [{"name": "A", "value": "a"}, {"name": "B", "value": "b"}]
    assert managers(kubectl, "pod", "game") == {
        ("kubectl", "Apply"),
        ("kubectl-last-applied", "Apply"),
    }


def test_the_status_is_applied_by_itself(kubectl: Namespaced) -> None:
    kubectl("apply", "--server-side", "-f", "-", input=ROOM)
    status = ROOM.replace("spec: {replicas: 3, note: quiet}", "status: {replicas: 2}")
    controller = ("apply", "--server-side", "--subresource=status", "--field-manager=controller")
    kubectl(*controller, "-f", "-", input=status)
    room = kubectl.get("room", "lobby", "--show-managed-fields")
    assert (room["spec"]["replicas"], room["status"]) == (3, {"replicas": 2})
    fields = {e["manager"]: e.get("subresource") for e in room["metadata"]["managedFields"]}
    assert fields == {"kubectl": None, "controller": "status"}


def test_a_dry_run_says_what_would_be_and_stores_nothing(kubectl: Namespaced) -> None:
    args = ("apply", "--server-side", "--dry-run=server", "-f", "-")
    assert kubectl(*args, input=ROOM) == f"{NAME} serverside-applied (server dry run)\n"
    assert kubectl("get", "rooms", "-o", "name") == ""


def test_an_unknown_field_is_refused_by_name(kubectl: Namespaced) -> None:
    bad = POD.replace("image: game:1", "image: game:1, imgae: x")
    error = kubectl.fails("apply", "--server-side", "-f", "-", input=bad)
    assert error.endswith('strict decoding error: unknown field "spec.containers[0].imgae"\n')


@pytest.mark.parametrize(
    "way",
    [
        pytest.param((), id="client-side"),
        pytest.param(("--server-side", "--force-conflicts"), id="server-side"),
    ],
)
def test_diff_shows_the_change_and_exits_with_1(kubectl: Namespaced, way: tuple[str, ...]) -> None:
    kubectl("apply", "-f", "-", input=ROOM)
    assert kubectl("diff", *way, "-f", "-", input=ROOM) == ""
    changed = ROOM.replace("replicas: 3", "replicas: 6")
    args = ("-n", kubectl.namespace, "diff", *way, "-f", "-")
    done = kubectl.server.kubectl(*args, input=changed, check=False)
    assert done.returncode == 1
    lines = [line for line in done.stdout.splitlines() if "  replicas" in line and line[0] in "+-"]
    assert lines == ["-  replicas: 3", "+  replicas: 6"]
    assert kubectl.get("room", "lobby")["spec"]["replicas"] == 3


def edit(kubectl: Namespaced, folder: Path, script: str, *what: str) -> str:
    """Run `kubectl edit` with a sed script as the editor."""
    editor = folder / "editor.sh"
    editor.write_text(f'#!/bin/sh\nsed -i "{script}" "$1"\n')
    editor.chmod(0o755)
    environment = kubectl.server.environment() | {"KUBE_EDITOR": str(editor)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "environ", environment)
        return kubectl("edit", *what)


def test_edit_saves_what_the_editor_changed(kubectl: Namespaced, tmp_path: Path) -> None:
    kubectl("create", "-f", "-", input=ROOM)
    said = edit(kubectl, tmp_path, "s/replicas: 3/replicas: 8/", "room", "lobby")
    assert said == f"{NAME} edited\n"
    assert kubectl.get("room", "lobby")["spec"]["replicas"] == 8
    assert ("kubectl-edit", "Update") in managers(kubectl, "room", "lobby")
    kubectl("create", "-f", "-", input=POD)
    said = edit(kubectl, tmp_path, "s/game:1/game:2/", "pod", "game")
    assert said == "pod/game edited\n"
    assert kubectl.get("pod", "game")["spec"]["containers"][0]["image"] == "game:2"


def test_replace_drops_what_the_file_does_not_say(kubectl: Namespaced) -> None:
    kubectl("create", "-f", "-", input=ROOM)
    plain = ROOM.replace(', labels: {floor: "1"}', "").replace(", note: quiet", "")
    assert kubectl("replace", "-f", "-", input=plain) == f"{NAME} replaced\n"
    room = kubectl.get("room", "lobby")
    assert room["spec"] == {"replicas": 3, "mode": "Open"}
    assert "labels" not in room["metadata"]


@pytest.mark.parametrize(
    ("kind", "patch", "env"),
    [
        pytest.param(
            "strategic",
            '{"spec":{"containers":[{"name":"main","image":"game:2"}]}}',
            ["A", "B"],
            id="strategic-merges-containers-by-name",
        ),
        pytest.param(
            "merge",
            '{"spec":{"containers":[{"name":"main","image":"game:2"}]}}',
            None,
            id="merge-replaces-the-list",
        ),
        pytest.param(
            "json",
            '[{"op":"replace","path":"/spec/containers/0/image","value":"game:2"}]',
            ["A", "B"],
            id="json-goes-by-position",
        ),
    ],
)
def test_patch_has_three_types(
    kubectl: Namespaced, kind: str, patch: str, env: list[str] | None
) -> None:
    # https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/
    kubectl("create", "-f", "-", input=POD)
    args = ("patch", "pod", "game", f"--type={kind}", "-p", patch)
    if env is None:
        assert "pod updates may not change fields" in kubectl.fails(*args)
        return
    assert kubectl(*args) == "pod/game patched\n"
    container: dict[str, Any] = kubectl.get("pod", "game")["spec"]["containers"][0]
    assert (container["image"], [e["name"] for e in container["env"]]) == ("game:2", env)
