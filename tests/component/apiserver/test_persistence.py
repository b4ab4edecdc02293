"""`--data FILE`: what a server knows again after its end, orderly or not."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from localcluster.apiserver.persistence import read_saved
from tests.support.apiserver import RunningApiServer, start_apiserver

pytestmark = [pytest.mark.component, pytest.mark.timeout(60)]

ROOMS = Path(__file__).parents[2] / "data" / "apiserver" / "rooms.yaml"
ROOM = """
apiVersion: test.gamekeeper.dev/v1
kind: Room
metadata: {name: lobby, namespace: games}
spec: {replicas: 3}
"""
DEADLINE_SECONDS = 90.0


def start(folder: Path, run: str) -> RunningApiServer:
    """Start a server that keeps its state in `folder`; definitions come with the first only."""
    options = ("--data", str(folder / "state.json"))
    return start_apiserver(folder / run, [ROOMS] if run == "first" else [], options=options)


def fill(server: RunningApiServer) -> dict[str, Any]:
    """Make an object of a definition, and one that it owns; return both and a token."""
    server.kubectl("create", "namespace", "games")
    server.kubectl("create", "-f", "-", input=ROOM)
    room = server.get("room", "lobby", "-n", "games")
    owner = {
        "apiVersion": room["apiVersion"],
        "kind": "Room",
        "name": "lobby",
        "uid": room["metadata"]["uid"],
    }
    owned = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "owned", "namespace": "games", "ownerReferences": [owner]},
        "data": {"a": "b"},
    }
    server.kubectl("create", "-f", "-", input=json.dumps(owned))
    token = server.kubectl("-n", "games", "create", "token", "default").stdout.strip()
    return {
        "room": room,
        "owned": server.get("configmap", "owned", "-n", "games"),
        "token": token,
    }


def check(server: RunningApiServer, known: dict[str, Any]) -> None:
    """Assert that a later run has what `fill` made, and that its controllers know it too."""
    assert server.get("room", "lobby", "-n", "games") == known["room"]
    assert server.get("configmap", "owned", "-n", "games") == known["owned"]
    name = "jsonpath={.status.userInfo.username}"
    who = server.kubectl("auth", "whoami", "--token", known["token"], "-o", name).stdout
    assert who == "system:serviceaccount:games:default"
    old = known["room"]["metadata"]["resourceVersion"]
    watch = f"/api/v1/namespaces/games/configmaps?watch=1&timeoutSeconds=1&resourceVersion={old}"
    assert json.loads(server.kubectl("get", "--raw", watch).stdout)["object"]["code"] == 410
    server.kubectl("delete", "room", "lobby", "-n", "games")
    server.kubectl("wait", "--for=delete", "configmap/owned", "-n", "games", "--timeout=60s")


def test_the_state_is_there_after_an_orderly_end(tmp_path: Path) -> None:
    first = start(tmp_path, "first")
    known = fill(first)
    assert first.stop() == 0
    assert stat.S_IMODE((tmp_path / "state.json").stat().st_mode) == 0o600
    second = start(tmp_path, "second")
    check(second, known)
    assert second.stop() == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "second", "state.json"]


def test_a_kill_loses_some_seconds_at_the_most(tmp_path: Path) -> None:
    first = start(tmp_path, "first")
    known = fill(first)
    deadline = time.monotonic() + DEADLINE_SECONDS
    state = tmp_path / "state.json"
    while not (state.exists() and '"owned"' in state.read_text()):
        assert time.monotonic() < deadline, "the state was not written"
        time.sleep(0.1)
    first.process.send_signal(signal.SIGKILL)
    first.process.wait(timeout=30)
    second = start(tmp_path, "second")
    check(second, known)
    assert second.stop() == 0


def test_definitions_given_again_replace_those_of_the_file(tmp_path: Path) -> None:
    first = start(tmp_path, "first")
    fill(first)
    first.stop()
    changed = tmp_path / "rooms.yaml"
    changed.write_text(ROOMS.read_text().replace("How many are wanted.", "The number wanted."))
    options = ("--data", str(tmp_path / "state.json"))
    second = start_apiserver(tmp_path / "second", [changed], options=options)
    assert "The number wanted." in second.kubectl("explain", "rooms.spec.replicas").stdout
    assert second.get("room", "lobby", "-n", "games")["spec"]["replicas"] == 3
    assert second.stop() == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("{", "holds no state of this server", id="no-json"),
        pytest.param('{"items": []}', "holds no state of this server", id="something-else"),
        pytest.param(
            '{"format":9,"version":1,"key":"","items":[]}', "is of format 9, not 1", id="format"
        ),
    ],
)
def test_a_file_of_something_else_is_refused_and_kept(
    tmp_path: Path, content: str, message: str
) -> None:
    first = start(tmp_path, "first")
    first.stop()
    path = tmp_path / "state.json"
    path.write_text(content)
    folder = tmp_path / "first"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "localcluster.apiserver", "--data", path),
            *("--certificate", folder / "server.pem", "--key", folder / "server.key"),
            *("--ca", folder / "ca.pem", "--tokens", folder / "tokens.json"),
            *("--kubelet-token-file", folder / "kubelet-token"),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("--data: ")
    assert message in done.stderr
    assert path.read_text() == content


def test_owners_come_before_what_they_own_and_definitions_before_everything(
    tmp_path: Path,
) -> None:
    def item(group: str, plural: str, uid: str, *owners: str) -> dict[str, Any]:
        references = [{"uid": owner} for owner in owners]
        metadata = {"name": uid, "uid": uid, "ownerReferences": references}
        return {"group": group, "plural": plural, "object": {"metadata": metadata}}

    items = [
        item("", "pods", "pod", "server", "gone"),
        item("test", "servers", "server", "set"),
        item("test", "sets", "set"),
        item("test", "loops", "a", "b"),
        item("test", "loops", "b", "a"),
        item("apiextensions.k8s.io", "customresourcedefinitions", "definition"),
    ]
    path = tmp_path / "state.json"
    path.write_text(json.dumps({"format": 1, "version": 7, "key": "", "items": items}))
    saved = read_saved(path)
    assert saved is not None
    order = [obj["metadata"]["uid"] for _, obj in saved.objects]
    assert order == ["definition", "set", "server", "pod", "a", "b"]
    assert read_saved(tmp_path / "absent.json") is None
