"""Sets under a person's hands: Kill, updates, quotas, deletions, hooks, with the real kubectl."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any, Self

import pytest

from cli.kubectl import kubectl_path
from tests.support.cluster import MINECRAFT, MINECRAFT_IMAGE, Cluster, OpenCluster

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(90)]

READY = ("Ready", "None", "0", "0")
OTHER_IMAGE = "minecraft-demo:2"
# Ends when it is told to, so that whatever its end delays is seen on any machine.
PATIENT = """\
trap 'until test -e over; do sleep 0.1; done; exit 0' TERM
while true; do sleep 0.1; done
"""
# A pod that ends with " /True" is available: it is Ready and not being deleted.
_POD_LINE = (
    "{.metadata.name} {.metadata.resourceVersion} "
    '{.metadata.deletionTimestamp}/{.status.conditions[?(@.type=="Ready")].status}{"\\n"}'
)


@pytest.fixture(scope="module")
def cluster(open_cluster: OpenCluster) -> Iterator[Cluster]:
    images = dict.fromkeys((MINECRAFT_IMAGE, OTHER_IMAGE), MINECRAFT.parent / "image")
    with open_cluster(images=images) as running:
        yield running


def apply_set(
    cluster: Cluster,
    name: str,
    *,
    image: str = MINECRAFT_IMAGE,
    container: dict[str, Any] | None = None,
    pod: dict[str, Any] | None = None,
    labels: dict[str, str] | None = None,
    **spec: Any,
) -> None:
    pod_spec = {
        "terminationGracePeriodSeconds": 1,
        "containers": [{"name": "game", "image": image} | (container or {})],
    }
    template = {"metadata": {"labels": labels or {}}, "spec": pod_spec | (pod or {})}
    body = {
        "apiVersion": "game.kruise.io/v1alpha1",
        "kind": "GameServerSet",
        "metadata": {"name": name},
        "spec": {"replicas": 2, "gameServerTemplate": template} | spec,
    }
    cluster.apply(body)


def ready(name: str, *ids: int) -> dict[str, tuple[str, ...]]:
    return {f"{name}-{id_}": READY for id_ in ids}


def field(cluster: Cluster, kind: str, name: str, path: str) -> str:
    return cluster.must("get", kind, name, "-o", f"jsonpath={{{path}}}")


def conditions(cluster: Cluster, name: str) -> dict[str, str]:
    text = field(cluster, "gss", name, ".status.conditions")
    return {each["type"]: each["reason"] for each in json.loads(text or "[]")}


def test_a_kill_lowers_replicas_and_names_its_server(cluster: Cluster) -> None:
    apply_set(cluster, "kill", replicas=3)
    cluster.wait_for(lambda: cluster.servers("kill"), ready("kill", 0, 1, 2))
    cluster.must("patch", "gs", "kill-1", "--type=merge", "-p", '{"spec":{"opsState":"Kill"}}')
    cluster.wait_for(lambda: cluster.servers("kill"), ready("kill", 0, 2))
    assert field(cluster, "gss", "kill", ".spec.replicas") == "2"
    cluster.must("scale", "gss", "kill", "--replicas=3")
    cluster.wait_for(lambda: cluster.servers("kill"), ready("kill", 0, 1, 2))


def test_reserved_ids_are_recorded_and_given_back(cluster: Cluster) -> None:
    strategy = {"scaleDownStrategyType": "ReserveIds"}
    apply_set(cluster, "ids", replicas=4, scaleStrategy=strategy)
    cluster.wait_for(lambda: cluster.servers("ids"), ready("ids", 0, 1, 2, 3))
    cluster.must("scale", "gss", "ids", "--replicas=2")
    cluster.wait_for(lambda: cluster.servers("ids"), ready("ids", 0, 1))
    assert field(cluster, "gss", "ids", ".spec.reserveGameServerIds") == "[2,3]"
    change = '{"spec":{"replicas":3,"reserveGameServerIds":[2]}}'
    cluster.must("patch", "gss", "ids", "--type=merge", "-p", change)
    cluster.wait_for(lambda: cluster.servers("ids"), ready("ids", 0, 1, 3))
    assert field(cluster, "gss", "ids", ".spec.reserveGameServerIds") == "[2]"


class Watched:
    """The pods of a set as `kubectl get pods --watch` tells them, change by change.

    No moment is missed, however short it is or however slow the machine.
    """

    def __init__(self, cluster: Cluster, name: str, folder: Path) -> None:
        self._cluster = cluster
        self._selector = ("-l", f"game.kruise.io/owner-gss={name}")
        self._output = folder / f"{name}.watched"
        self._first = 0

    def __enter__(self) -> Self:
        line = f"jsonpath={{.type}} {_POD_LINE.replace('{.', '{.object.')}"
        options = ("--watch", "--output-watch-events", *self._selector, "-o", line)
        with self._output.open("w") as stream:
            self._process = subprocess.Popen(
                [kubectl_path(), "get", "pods", *options],
                env=self._cluster.environment,
                stdout=stream,
            )
        try:
            self._catch_up()
        except BaseException:
            self._end()
            raise
        self._first = len(self._rows()) - 1
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._catch_up()
        finally:
            self._end()

    def most_not_available(self, replicas: int) -> int:
        """Return how many servers at most were not available at the same time."""
        rows = self._rows()[self._first :]
        return max(replicas - sum(pod.endswith(" /True") for pod in row) for row in rows)

    def _end(self) -> None:
        self._process.terminate()
        self._process.wait()

    def _catch_up(self) -> None:
        """Wait until everything is told that has happened."""
        line = f"jsonpath={{range .items[*]}}{_POD_LINE}{{end}}"

        def now() -> set[str]:
            return set(self._cluster.must("get", "pods", *self._selector, "-o", line).splitlines())

        self._cluster.wait_for(lambda: now() == self._rows()[-1], expected=True)

    def _rows(self) -> list[set[str]]:
        """Return the pods after each change; before the first there are none."""
        pods: dict[str, str] = {}
        rows = [set[str]()]
        for line in self._output.read_text().splitlines():
            kind, _, pod = line.partition(" ")
            name = pod.partition(" ")[0]
            pods[name] = pod
            if kind == "DELETED":
                del pods[name]
            rows.append(set(pods.values()))
        return rows


def container_ids(cluster: Cluster, pod: str) -> dict[str, str]:
    statuses = json.loads(field(cluster, "pod", pod, ".status.containerStatuses"))
    return {each["name"]: each["containerID"] for each in statuses}


def test_an_image_is_updated_in_place_and_only_its_container_restarts(
    cluster: Cluster, tmp_path: Path
) -> None:
    beside = {"name": "beside", "image": MINECRAFT_IMAGE}
    strategy = {"rollingUpdate": {"podUpdatePolicy": "InPlaceIfPossible"}}

    def apply(image: str) -> None:
        game = {"name": "game", "image": image, "command": ["bash", "-c", PATIENT]}
        pod = {"terminationGracePeriodSeconds": 120, "containers": [game, beside]}
        apply_set(cluster, "place", replicas=2, pod=pod, updateStrategy=strategy)

    apply(MINECRAFT_IMAGE)
    cluster.wait_for(lambda: cluster.servers("place"), ready("place", 0, 1))
    before = {pod: container_ids(cluster, pod) for pod in ("place-0", "place-1")}
    uid = field(cluster, "pod", "place-0", ".metadata.uid")
    with Watched(cluster, "place", tmp_path) as watched:
        apply(OTHER_IMAGE)
        updating = {"place-1": ("Updating", "None", "0", "0")}
        cluster.wait_for(lambda: cluster.servers("place"), ready("place", 0) | updating)
        cluster.must("exec", "place-1", "-c", "game", "--", "touch", "over")
        updating = {"place-0": ("Updating", "None", "0", "0")}
        cluster.wait_for(lambda: cluster.servers("place"), ready("place", 1) | updating)
        cluster.must("exec", "place-0", "-c", "game", "--", "touch", "over")
        cluster.wait_for(
            lambda: field(cluster, "gss", "place", ".status.updatedReadyReplicas"), "2"
        )
        cluster.wait_for(lambda: cluster.servers("place"), ready("place", 0, 1))
    assert watched.most_not_available(2) == 1
    assert field(cluster, "pod", "place-0", ".metadata.uid") == uid
    for pod, old in before.items():
        new = container_ids(cluster, pod)
        assert (new["game"] != old["game"], new["beside"] == old["beside"]) == (True, True)


def test_a_rolling_recreate_never_disturbs_more_than_it_may(
    cluster: Cluster, tmp_path: Path
) -> None:
    strategy = {"rollingUpdate": {"maxUnavailable": 1}}
    apply_set(cluster, "roll", replicas=3, updateStrategy=strategy)
    cluster.wait_for(lambda: cluster.servers("roll"), ready("roll", 0, 1, 2))
    environment = [{"name": "SEASON", "value": "2"}]
    with Watched(cluster, "roll", tmp_path) as watched:
        apply_set(
            cluster, "roll", replicas=3, updateStrategy=strategy, container={"env": environment}
        )
        cluster.wait_for(lambda: field(cluster, "gss", "roll", ".status.updatedReadyReplicas"), "3")
        cluster.wait_for(lambda: cluster.servers("roll"), ready("roll", 0, 1, 2))
    assert watched.most_not_available(3) == 1


def test_a_quota_is_told_and_a_lifted_one_completes_the_set(cluster: Cluster) -> None:
    with cluster.beside("tight") as tight:
        tight.must("create", "quota", "pods", "--hard=pods=1")
        apply_set(tight, "tight", replicas=3)
        spec = field(tight, "gss", "tight", ".spec")
        tight.wait_for(lambda: conditions(tight, "tight").get("ReplicaFailure"), "FailedCreate")
        told = ("get", "events", "--field-selector=reason=FailedCreate")
        tight.wait_for(lambda: "exceeded quota: pods" in tight.must(*told), expected=True)
        tight.wait_for(lambda: set(tight.servers()), {"tight-0"})
        assert field(tight, "gss", "tight", ".spec") == spec
        tight.must("delete", "quota", "pods")
        tight.wait_for(tight.servers, ready("tight", 0, 1, 2))
        tight.wait_for(lambda: "ReplicaFailure" in conditions(tight, "tight"), expected=False)


def uid_of(cluster: Cluster, name: str) -> str:
    done = cluster.kubectl("get", "pod", name, "-o", "jsonpath={.metadata.uid}")
    return done.stdout


@pytest.mark.parametrize("how", ["deleted", "evicted", "failed", "succeeded"])
def test_a_pod_that_goes_without_our_doing_is_made_again(cluster: Cluster, how: str) -> None:
    name = f"lost-{how}"
    pod = {"restartPolicy": "Never"} if how in ("failed", "succeeded") else {}
    script = "until test -e over; do sleep 0.1; done; exit $(cat over)"
    apply_set(cluster, name, replicas=2, pod=pod, container={"command": ["bash", "-c", script]})
    cluster.wait_for(lambda: cluster.servers(name), ready(name, 0, 1))
    before = [uid_of(cluster, f"{name}-{id_}") for id_ in range(2)]
    match how:
        case "deleted":
            cluster.must("delete", "pod", f"{name}-1", "--wait=false")
        case "evicted":
            body = {
                "apiVersion": "policy/v1",
                "kind": "Eviction",
                "metadata": {"name": f"{name}-1"},
            }
            path = f"/api/v1/namespaces/{cluster.namespace}/pods/{name}-1/eviction"
            cluster.must("create", "--raw", path, "-f", "-", stdin=json.dumps(body))
        case _:
            code = 3 if how == "failed" else 0
            end = f"echo {code} > half; mv half over"
            cluster.must("exec", f"{name}-1", "--", "bash", "-c", end)
    cluster.wait_for(lambda: uid_of(cluster, f"{name}-1") not in ("", before[1]), True)
    cluster.wait_for(lambda: cluster.servers(name), ready(name, 0, 1))
    assert uid_of(cluster, f"{name}-0") == before[0]


@pytest.mark.parametrize("cascade", ["foreground", "background"])
def test_a_set_that_is_deleted_and_applied_again_at_once_is_a_new_one(
    cluster: Cluster, cascade: str
) -> None:
    name = f"again-{cascade}"
    apply_set(cluster, name)
    cluster.wait_for(lambda: cluster.servers(name), ready(name, 0, 1))
    before = {uid_of(cluster, f"{name}-{id_}") for id_ in range(2)}
    cluster.must("delete", "gss", name, f"--cascade={cascade}")
    apply_set(cluster, name)
    own = field(cluster, "gss", name, ".metadata.uid")
    # The table alone could still be that of the former servers.
    pods = (f"{name}-0", f"{name}-1")
    cluster.wait_for(lambda: before & {uid_of(cluster, pod) for pod in pods}, set())
    cluster.wait_for(lambda: cluster.servers(name), ready(name, 0, 1))
    cluster.wait_for(lambda: field(cluster, "svc", name, ".metadata.ownerReferences[0].uid"), own)
    assert field(cluster, "gss", name, ".status.collisionCount") == ""


def test_orphaned_pods_are_adopted(cluster: Cluster) -> None:
    apply_set(cluster, "orphan")
    cluster.wait_for(lambda: cluster.servers("orphan"), ready("orphan", 0, 1))
    before = {uid_of(cluster, f"orphan-{id_}") for id_ in range(2)}
    cluster.must("delete", "gss", "orphan", "--cascade=orphan")
    apply_set(cluster, "orphan")
    own = field(cluster, "gss", "orphan", ".metadata.uid")
    for id_ in range(2):
        path = ".metadata.ownerReferences[0].uid"
        cluster.wait_for(
            lambda pod=f"orphan-{id_}", path=path: field(cluster, "pod", pod, path), own
        )
    cluster.wait_for(lambda: conditions(cluster, "orphan").get("Progressing"), "Complete")
    assert {uid_of(cluster, f"orphan-{id_}") for id_ in range(2)} == before


def test_a_hook_holds_a_server_and_a_scale_up_takes_it_back(cluster: Cluster) -> None:
    hook = {"preDelete": {"labelsHandler": {"drain": "me"}}}
    apply_set(cluster, "hook", replicas=3, lifecycle=hook, labels={"drain": "me"})
    cluster.wait_for(lambda: cluster.servers("hook"), ready("hook", 0, 1, 2))
    cluster.must("scale", "gss", "hook", "--replicas=1")
    held = ("PreDelete", "None", "0", "0")
    cluster.wait_for(
        lambda: cluster.servers("hook"), ready("hook", 0) | {"hook-1": held, "hook-2": held}
    )
    cluster.must("scale", "gss", "hook", "--replicas=2")
    cluster.wait_for(lambda: cluster.servers("hook"), ready("hook", 0, 1) | {"hook-2": held})
    cluster.must("label", "pod", "hook-2", "drain=done", "--overwrite")
    cluster.wait_for(lambda: cluster.servers("hook"), ready("hook", 0, 1))
