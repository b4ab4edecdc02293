"""The node: its lease, a cordon, and what follows when its kubelet falls silent and comes back.

Source: https://kubernetes.io/docs/concepts/architecture/nodes/ (heartbeats, node controller) and
https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/
"""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

from tests.support.kubelet_cluster import (
    NODE,
    Json,
    KubeletCluster,
    Pods,
    running_cluster,
    shell,
    until,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.component, pytest.mark.timeout(90)]
UNREACHABLE = "node.kubernetes.io/unreachable"


@pytest.fixture(scope="module")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeletCluster]:
    """A cluster with a short patience."""
    made = tmp_path_factory.mktemp("nodes")
    with running_cluster(made / "api", made, grace_seconds=6) as running:
        yield running


@pytest.fixture
def cluster(shared_cluster: KubeletCluster) -> Iterator[KubeletCluster]:
    """The cluster with a kubelet, which a test may kill, and with no pods."""
    if shared_cluster.kubelet is None:
        shared_cluster.start_kubelet()
    until(lambda: readiness(node(shared_cluster)) == "True", "the node is ready")
    yield shared_cluster
    forced = ("--all", "--force", "--grace-period=0")
    shared_cluster.api.kubectl("delete", "pods", *forced)


def node(cluster: KubeletCluster) -> Json:
    found: Json = cluster.api.get("node", NODE)
    return found


def readiness(obj: Json) -> str:
    return next(c["status"] for c in obj["status"]["conditions"] if c["type"] == "Ready")


def taints(cluster: KubeletCluster) -> set[tuple[str, str]]:
    return {(t["key"], t["effect"]) for t in node(cluster)["spec"].get("taints", [])}


def test_a_cordoned_node_takes_no_new_pod(cluster: KubeletCluster) -> None:
    pods = Pods(cluster.api, "default")
    cluster.api.kubectl("cordon", NODE)
    until(lambda: taints(cluster) == {("node.kubernetes.io/unschedulable", "NoSchedule")}, "taint")
    pods.start("game", shell("exec sleep 1000"), ready=False)

    message = "0/1 nodes are available: 1 node(s) were unschedulable."
    pods.until_event("game", ("FailedScheduling", message))

    def reasons(pod: Json) -> list[tuple[str, str]]:
        conditions = pod["status"].get("conditions", [])
        return [(each["type"], each["reason"]) for each in conditions if "reason" in each]

    pods.until("game", lambda p: reasons(p) == [("PodScheduled", "Unschedulable")], "says so")
    assert "nodeName" not in pods.get("game")["spec"]

    cluster.api.kubectl("uncordon", NODE)
    pods.kubectl("wait", "--for=condition=Ready", "pod/game", "--timeout=60s")


def test_a_silent_node_loses_its_pods_and_takes_them_back(cluster: KubeletCluster) -> None:
    pods = Pods(cluster.api, "default")
    lease = ("lease", "-n", "kube-node-lease", NODE)
    first = cluster.api.get(*lease)["spec"]
    assert (first["holderIdentity"], first["leaseDurationSeconds"]) == (NODE, 2)
    until(lambda: cluster.api.get(*lease)["spec"]["renewTime"] > first["renewTime"], "is renewed")
    short = {
        "key": UNREACHABLE,
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": 1,
    }
    pods.start("leaves", shell("exec sleep 1000"), tolerations=[short])
    pods.start("stays", shell("exec sleep 1000"))
    pods.start("gone", shell("exec sleep 1000"))
    folder = cluster.state / "pods" / pods.get("gone")["metadata"]["uid"]
    assert folder.exists()
    done = shell("exit 0")
    pods.start("done", done, ready=False, restartPolicy="Never")
    pods.until("done", lambda p: p["status"]["phase"] == "Succeeded", "has succeeded")

    assert cluster.stop_kubelet(signal.SIGKILL) == -signal.SIGKILL

    until(lambda: readiness(node(cluster)) == "Unknown", "the node is unknown")
    until(
        lambda: taints(cluster) == {(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")},
        "the node is tainted",
    )
    pods.until("stays", lambda p: readiness(p) == "False", "is not ready")
    pods.until("leaves", lambda p: "deletionTimestamp" in p["metadata"], "is being deleted")
    pods.until_event("leaves", ("TaintManagerEviction", "Marking for deletion Pod default/leaves"))
    pods.kubectl("delete", "pod", "gone", "--force", "--grace-period=0")
    rows = pods.kubectl("get", "pods", "--no-headers").stdout.splitlines()
    assert {row.split()[0]: row.split()[2] for row in rows} == {
        "done": "Completed",
        "leaves": "Terminating",
        "stays": "Running",
    }
    assert "deletionTimestamp" not in pods.get("stays")["metadata"]

    cluster.start_kubelet()

    until(lambda: readiness(node(cluster)) == "True", "the node is ready")
    until(lambda: taints(cluster) == set(), "the taints are gone")
    pods.kubectl("wait", "--for=delete", "pod/leaves", "--timeout=60s")
    pods.kubectl("wait", "--for=condition=Ready", "pod/stays", "--timeout=60s")
    (status,) = pods.get("stays")["status"]["containerStatuses"]
    until(lambda: not folder.exists(), "the folder is gone")
    ended = status["lastState"]["terminated"]
    assert (status["restartCount"], ended["exitCode"], ended["reason"]) == (
        1,
        137,
        "ContainerStatusUnknown",
    )
    assert pods.get("done")["status"]["phase"] == "Succeeded"


def test_a_kubelet_that_was_only_away_reports_its_pods_ready_again(cluster: KubeletCluster) -> None:
    pods = Pods(cluster.api, "default")
    pods.start("game", shell("exec sleep 1000"))
    before = pods.container("game")
    assert cluster.kubelet is not None

    cluster.kubelet.send_signal(signal.SIGSTOP)
    try:
        pods.until("game", lambda p: readiness(p) == "False", "is not ready")
    finally:
        cluster.kubelet.send_signal(signal.SIGCONT)

    pods.kubectl("wait", "--for=condition=Ready", "pod/game", "--timeout=60s")
    until(lambda: readiness(node(cluster)) == "True", "the node is ready")
    assert pods.container("game") == before


def test_claims_outlive_the_kubelet_and_nothing_else_does(cluster: KubeletCluster) -> None:
    pods = Pods(cluster.api, "default")
    requests = {"requests": {"storage": "1Mi"}}
    spec = {"accessModes": ["ReadWriteOnce"], "resources": requests}
    pods.apply("PersistentVolumeClaim", "world", spec=spec)
    volumes = [{"name": "world", "persistentVolumeClaim": {"claimName": "world"}}]
    keeper = shell(
        "touch /world/$(cat /proc/sys/kernel/random/uuid); exec sleep 1000",
        volumeMounts=[{"name": "world", "mountPath": "/world"}],
    )
    pods.start("game", keeper, volumes=volumes)
    until(lambda: pods.shell("game", "ls /world"), "a file was written")

    assert cluster.stop_kubelet() == 0
    uid = json.loads(pods.kubectl("get", "pvc", "world", "-o", "json").stdout)["metadata"]["uid"]
    assert [path.name for path in cluster.state.iterdir()] == ["claims"]
    assert [path.name for path in (cluster.state / "claims").iterdir()] == [uid]
    cluster.start_kubelet()

    def files() -> list[str]:
        # Fails until the container runs again.
        return pods.kubectl("exec", "game", "--", "ls", "/world", check=False).stdout.split()

    until(lambda: len(files()) == 2, "both files")
