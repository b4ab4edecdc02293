"""Pods through the real local API server and the real kubectl.

Sources: https://kubernetes.io/docs/reference/kubectl/generated/ (kubectl logs, kubectl exec).
"""

from __future__ import annotations

import json
import os
import pty
import select
from typing import TYPE_CHECKING

import pytest

from tests.support.apiserver import RunningApiServer, kubectl_program
from tests.support.kubelet_cluster import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.kubelet_cluster import KubeletCluster

pytestmark = [pytest.mark.component, pytest.mark.timeout(60)]


def pod(name: str, **container: object) -> str:
    main = {"name": "main", "image": "game:1", **container}
    spec = {"containers": [main], "terminationGracePeriodSeconds": 2}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})


@pytest.fixture(params=["cluster_of_root", "cluster_of_uid_1000"])
def shared(request: pytest.FixtureRequest) -> KubeletCluster:
    """Every test of this module runs privileged and unprivileged."""
    cluster: KubeletCluster = request.getfixturevalue(request.param)
    return cluster


@pytest.fixture
def cluster(shared: KubeletCluster) -> Iterator[RunningApiServer]:
    """An API server with a kubelet, and no pods in the default namespace."""
    yield shared.api
    shared.api.kubectl("delete", "pods", "--all", "--force", "--grace-period=0")


def start(cluster: RunningApiServer, name: str, **container: object) -> None:
    cluster.kubectl("apply", "-f", "-", input=pod(name, **container))
    cluster.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")


def test_get_logs_exec_and_delete(cluster: RunningApiServer) -> None:
    start(cluster, "minecraft-0")

    table = [line.split() for line in cluster.kubectl("get", "pods").stdout.splitlines()]
    assert [row[:4] for row in table] == [
        ["NAME", "READY", "STATUS", "RESTARTS"],
        ["minecraft-0", "1/1", "Running", "0"],
    ]
    until(
        lambda: sorted(cluster.kubectl("logs", "minecraft-0").stdout.split()) == ["hello", "oops"],
        "both lines are in the log",
    )
    failed = cluster.kubectl("exec", "minecraft-0", "--", "bash", "-c", "pwd; exit 42", check=False)
    assert (failed.returncode, failed.stdout) == (42, "/data\n")
    piped = cluster.kubectl("exec", "-i", "minecraft-0", "--", "wc", "-c", input="four")
    assert piped.stdout == "4\n"
    cluster.kubectl("delete", "pod", "minecraft-0", "--timeout=60s")
    assert cluster.get("pods")["items"] == []


def test_the_seeds_session_in_a_real_terminal(cluster: RunningApiServer) -> None:
    start(cluster, "minecraft-0")
    listing = ("exec", "minecraft-0", "--", "ps", "-eo", "args")
    until(lambda: "sleep 2000" in cluster.kubectl(*listing).stdout, "the game has started")
    user = ["exec", "-it", "minecraft-0", "--", "/bin/bash", "--norc"]
    child, terminal = pty.fork()
    if child == 0:
        os.execve(kubectl_program(), ["kubectl", *user], cluster.environment())
    session = Session(terminal)

    session.type("ps -ef; echo li''sted\r")
    shown = session.until("listed")
    assert "sleep 2000" in shown
    assert "pts/0" in shown
    session.type("bash -c 'exec sleep 4321' &\r")
    session.until("[1]")
    session.type("kill -9 $(pgrep -f 'slee[p] 1000') && echo kil''led\r")
    session.until("killed")
    session.type("exit\r")
    session.drain()
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    left = cluster.kubectl(*listing).stdout
    assert "sleep 4321" in left
    assert "sleep 1000" not in left


class Session:
    """A person at a terminal."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def until(self, text: str) -> str:
        shown = b""
        while text.encode() not in shown:
            readable, _, _ = select.select([self._terminal], [], [], 60)
            assert readable, shown
            shown += os.read(self._terminal, 4096)
        return shown.decode()

    def drain(self) -> None:
        """Read until the other side has closed the terminal."""
        try:
            while os.read(self._terminal, 4096):
                pass
        except OSError:
            os.close(self._terminal)


def test_a_bound_token_names_its_pod(cluster: RunningApiServer) -> None:
    token = {"path": "token", "audience": "gamekeeper", "expirationSeconds": 3600}
    body = json.loads(pod("minecraft-0"))
    body["spec"]["volumes"] = [
        {"name": "identity", "projected": {"sources": [{"serviceAccountToken": token}]}}
    ]
    mount = {"name": "identity", "mountPath": "/var/run/secrets/gamekeeper", "readOnly": True}
    body["spec"]["containers"][0]["volumeMounts"] = [mount]
    cluster.kubectl("apply", "-f", "-", input=json.dumps(body))
    cluster.kubectl("wait", "--for=condition=Ready", "pod/minecraft-0", "--timeout=60s")

    path = "/var/run/secrets/gamekeeper/token"
    value = cluster.kubectl("exec", "minecraft-0", "--", "cat", path).stdout
    review = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": value, "audiences": ["gamekeeper"]},
    }
    made = cluster.kubectl("create", "-o", "json", "-f", "-", input=json.dumps(review)).stdout

    status = json.loads(made)["status"]
    assert status["authenticated"] is True
    assert status["user"]["username"] == "system:serviceaccount:default:default"
    assert status["user"]["extra"]["authentication.kubernetes.io/pod-name"] == ["minecraft-0"]


def test_a_user_that_the_sandbox_cannot_have_is_a_clear_configuration_error(
    shared: KubeletCluster, cluster: RunningApiServer
) -> None:
    name = "minecraft-0"
    cluster.kubectl("apply", "-f", "-", input=pod(name, securityContext={"runAsUser": 1234}))
    if not shared.other_user:
        cluster.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")
        assert cluster.kubectl("exec", name, "--", "id", "-u").stdout == "1234\n"
        return
    path = "{.status.containerStatuses[0].state.waiting.reason}"
    reason = f"jsonpath={path}=CreateContainerConfigError"
    cluster.kubectl("wait", f"--for={reason}", f"pod/{name}", "--timeout=60s")
    (status,) = cluster.get("pod", name)["status"]["containerStatuses"]
    assert status["state"]["waiting"]["message"] == (
        "runAsUser 1234 does not exist in this sandbox; "
        "start the local cluster as root, or leave it out"
    )
