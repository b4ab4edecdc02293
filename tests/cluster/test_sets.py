"""Sets under a person's hands: Kill, updates, quotas, deletions, hooks, with the real kubectl."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any, Self

import pytest

from cli.kubectl import kubectl_path
from tests.support.local import MINECRAFT, MINECRAFT_IMAGE, Local, running_local, wait_for

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
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    folder = tmp_path_factory.mktemp("sets")
    image = MINECRAFT.parent / "image"
    mappings = [f"--image={each}={image}" for each in (MINECRAFT_IMAGE, OTHER_IMAGE)]
    with running_local(folder, *mappings) as running:
        yield running


def apply_set(
    local: Local,
    name: str,
    *,
    namespace: str = "default",
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
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"replicas": 2, "gameServerTemplate": template} | spec,
    }
    local.must("apply", "-f", "-", stdin=json.dumps(body))


def servers_of(local: Local, name: str, namespace: str = "default") -> dict[str, tuple[str, ...]]:
    selector = f"game.kruise.io/owner-gss={name}"
    rows = local.table("get", "gs", "-n", namespace, "-l", selector).rows
    return {server: cells[:4] for server, cells in rows.items()}


def ready(name: str, *ids: int) -> dict[str, tuple[str, ...]]:
    return {f"{name}-{id_}": READY for id_ in ids}


def field(local: Local, kind: str, name: str, path: str, namespace: str = "default") -> str:
    return local.must("get", kind, name, "-n", namespace, "-o", f"jsonpath={{{path}}}")


def conditions(local: Local, name: str, namespace: str = "default") -> dict[str, str]:
    text = field(local, "gss", name, ".status.conditions", namespace)
    return {each["type"]: each["reason"] for each in json.loads(text or "[]")}


def test_a_kill_lowers_replicas_and_names_its_server(local: Local) -> None:
    apply_set(local, "kill", replicas=3)
    wait_for(lambda: servers_of(local, "kill"), ready("kill", 0, 1, 2))
    local.must("patch", "gs", "kill-1", "--type=merge", "-p", '{"spec":{"opsState":"Kill"}}')
    wait_for(lambda: servers_of(local, "kill"), ready("kill", 0, 2))
    assert field(local, "gss", "kill", ".spec.replicas") == "2"
    local.must("scale", "gss", "kill", "--replicas=3")
    wait_for(lambda: servers_of(local, "kill"), ready("kill", 0, 1, 2))


def test_reserved_ids_are_recorded_and_given_back(local: Local) -> None:
    strategy = {"scaleDownStrategyType": "ReserveIds"}
    apply_set(local, "ids", replicas=4, scaleStrategy=strategy)
    wait_for(lambda: servers_of(local, "ids"), ready("ids", 0, 1, 2, 3))
    local.must("scale", "gss", "ids", "--replicas=2")
    wait_for(lambda: servers_of(local, "ids"), ready("ids", 0, 1))
    assert field(local, "gss", "ids", ".spec.reserveGameServerIds") == "[2,3]"
    change = '{"spec":{"replicas":3,"reserveGameServerIds":[2]}}'
    local.must("patch", "gss", "ids", "--type=merge", "-p", change)
    wait_for(lambda: servers_of(local, "ids"), ready("ids", 0, 1, 3))
    assert field(local, "gss", "ids", ".spec.reserveGameServerIds") == "[2]"


class Watched:
    """The pods of a set as `kubectl get pods --watch` tells them, change by change.

    No moment is missed, however short it is or however slow the machine.
    """

    def __init__(self, local: Local, name: str, folder: Path) -> None:
        self._local = local
        self._selector = ("-l", f"game.kruise.io/owner-gss={name}")
        self._output = folder / f"{name}.watched"
        self._first = 0

    def __enter__(self) -> Self:
        line = f"jsonpath={{.type}} {_POD_LINE.replace('{.', '{.object.')}"
        options = ("--watch", "--output-watch-events", *self._selector, "-o", line)
        with self._output.open("w") as stream:
            self._process = subprocess.Popen(
                [kubectl_path(), "get", "pods", *options],
                env=os.environ | {"KUBECONFIG": str(self._local.kubeconfig)},
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
            return set(self._local.must("get", "pods", *self._selector, "-o", line).splitlines())

        wait_for(lambda: now() == self._rows()[-1], expected=True)

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


def container_ids(local: Local, pod: str) -> dict[str, str]:
    statuses = json.loads(field(local, "pod", pod, ".status.containerStatuses"))
    return {each["name"]: each["containerID"] for each in statuses}


def test_an_image_is_updated_in_place_and_only_its_container_restarts(
    local: Local, tmp_path: Path
) -> None:
    beside = {"name": "beside", "image": MINECRAFT_IMAGE}
    strategy = {"rollingUpdate": {"podUpdatePolicy": "InPlaceIfPossible"}}

    def apply(image: str) -> None:
        game = {"name": "game", "image": image, "command": ["bash", "-c", PATIENT]}
        pod = {"terminationGracePeriodSeconds": 120, "containers": [game, beside]}
        apply_set(local, "place", replicas=2, pod=pod, updateStrategy=strategy)

    apply(MINECRAFT_IMAGE)
    wait_for(lambda: servers_of(local, "place"), ready("place", 0, 1))
    before = {pod: container_ids(local, pod) for pod in ("place-0", "place-1")}
    uid = field(local, "pod", "place-0", ".metadata.uid")
    with Watched(local, "place", tmp_path) as watched:
        apply(OTHER_IMAGE)
        updating = {"place-1": ("Updating", "None", "0", "0")}
        wait_for(lambda: servers_of(local, "place"), ready("place", 0) | updating)
        local.must("exec", "place-1", "-c", "game", "--", "touch", "over")
        updating = {"place-0": ("Updating", "None", "0", "0")}
        wait_for(lambda: servers_of(local, "place"), ready("place", 1) | updating)
        local.must("exec", "place-0", "-c", "game", "--", "touch", "over")
        wait_for(lambda: field(local, "gss", "place", ".status.updatedReadyReplicas"), "2")
        wait_for(lambda: servers_of(local, "place"), ready("place", 0, 1))
    assert watched.most_not_available(2) == 1
    assert field(local, "pod", "place-0", ".metadata.uid") == uid
    for pod, old in before.items():
        new = container_ids(local, pod)
        assert (new["game"] != old["game"], new["beside"] == old["beside"]) == (True, True)


def test_a_rolling_recreate_never_disturbs_more_than_it_may(local: Local, tmp_path: Path) -> None:
    strategy = {"rollingUpdate": {"maxUnavailable": 1}}
    apply_set(local, "roll", replicas=3, updateStrategy=strategy)
    wait_for(lambda: servers_of(local, "roll"), ready("roll", 0, 1, 2))
    environment = [{"name": "SEASON", "value": "2"}]
    with Watched(local, "roll", tmp_path) as watched:
        apply_set(
            local, "roll", replicas=3, updateStrategy=strategy, container={"env": environment}
        )
        wait_for(lambda: field(local, "gss", "roll", ".status.updatedReadyReplicas"), "3")
        wait_for(lambda: servers_of(local, "roll"), ready("roll", 0, 1, 2))
    assert watched.most_not_available(3) == 1


def test_a_quota_is_told_and_a_lifted_one_completes_the_set(local: Local) -> None:
    local.must("create", "namespace", "tight")
    local.must("create", "quota", "pods", "--hard=pods=1", "-n", "tight")
    apply_set(local, "tight", namespace="tight", replicas=3)
    spec = field(local, "gss", "tight", ".spec", "tight")
    wait_for(lambda: conditions(local, "tight", "tight").get("ReplicaFailure"), "FailedCreate")
    told = ("get", "events", "-n", "tight", "--field-selector=reason=FailedCreate")
    wait_for(lambda: "exceeded quota: pods" in local.must(*told), True)
    wait_for(lambda: set(servers_of(local, "tight", "tight")), {"tight-0"})
    assert field(local, "gss", "tight", ".spec", "tight") == spec
    local.must("delete", "quota", "pods", "-n", "tight")
    wait_for(lambda: servers_of(local, "tight", "tight"), ready("tight", 0, 1, 2))
    wait_for(lambda: "ReplicaFailure" in conditions(local, "tight", "tight"), False)


def uid_of(local: Local, name: str) -> str:
    done = local.kubectl("get", "pod", name, "-o", "jsonpath={.metadata.uid}")
    return done.stdout


@pytest.mark.parametrize("how", ["deleted", "evicted", "failed", "succeeded"])
def test_a_pod_that_goes_without_our_doing_is_made_again(local: Local, how: str) -> None:
    name = f"lost-{how}"
    pod = {"restartPolicy": "Never"} if how in ("failed", "succeeded") else {}
    script = "until test -e over; do sleep 0.1; done; exit $(cat over)"
    apply_set(local, name, replicas=2, pod=pod, container={"command": ["bash", "-c", script]})
    wait_for(lambda: servers_of(local, name), ready(name, 0, 1))
    before = [uid_of(local, f"{name}-{id_}") for id_ in range(2)]
    match how:
        case "deleted":
            local.must("delete", "pod", f"{name}-1", "--wait=false")
        case "evicted":
            body = {
                "apiVersion": "policy/v1",
                "kind": "Eviction",
                "metadata": {"name": f"{name}-1"},
            }
            path = f"/api/v1/namespaces/default/pods/{name}-1/eviction"
            local.must("create", "--raw", path, "-f", "-", stdin=json.dumps(body))
        case _:
            code = 3 if how == "failed" else 0
            end = f"echo {code} > half; mv half over"
            local.must("exec", f"{name}-1", "--", "bash", "-c", end)
    wait_for(lambda: uid_of(local, f"{name}-1") not in ("", before[1]), True)
    wait_for(lambda: servers_of(local, name), ready(name, 0, 1))
    assert uid_of(local, f"{name}-0") == before[0]


@pytest.mark.parametrize("cascade", ["foreground", "background"])
def test_a_set_that_is_deleted_and_applied_again_at_once_is_a_new_one(
    local: Local, cascade: str
) -> None:
    name = f"again-{cascade}"
    apply_set(local, name)
    wait_for(lambda: servers_of(local, name), ready(name, 0, 1))
    before = {uid_of(local, f"{name}-{id_}") for id_ in range(2)}
    local.must("delete", "gss", name, f"--cascade={cascade}")
    apply_set(local, name)
    own = field(local, "gss", name, ".metadata.uid")
    # The table alone could still be that of the former servers.
    pods = (f"{name}-0", f"{name}-1")
    wait_for(lambda: before & {uid_of(local, pod) for pod in pods}, set())
    wait_for(lambda: servers_of(local, name), ready(name, 0, 1))
    wait_for(lambda: field(local, "svc", name, ".metadata.ownerReferences[0].uid"), own)
    assert field(local, "gss", name, ".status.collisionCount") == ""


def test_orphaned_pods_are_adopted(local: Local) -> None:
    apply_set(local, "orphan")
    wait_for(lambda: servers_of(local, "orphan"), ready("orphan", 0, 1))
    before = {uid_of(local, f"orphan-{id_}") for id_ in range(2)}
    local.must("delete", "gss", "orphan", "--cascade=orphan")
    apply_set(local, "orphan")
    own = field(local, "gss", "orphan", ".metadata.uid")
    for id_ in range(2):
        path = ".metadata.ownerReferences[0].uid"
        wait_for(lambda pod=f"orphan-{id_}", path=path: field(local, "pod", pod, path), own)
    wait_for(lambda: conditions(local, "orphan").get("Progressing"), "Complete")
    assert {uid_of(local, f"orphan-{id_}") for id_ in range(2)} == before


def test_a_hook_holds_a_server_and_a_scale_up_takes_it_back(local: Local) -> None:
    hook = {"preDelete": {"labelsHandler": {"drain": "me"}}}
    apply_set(local, "hook", replicas=3, lifecycle=hook, labels={"drain": "me"})
    wait_for(lambda: servers_of(local, "hook"), ready("hook", 0, 1, 2))
    local.must("scale", "gss", "hook", "--replicas=1")
    held = ("PreDelete", "None", "0", "0")
    wait_for(lambda: servers_of(local, "hook"), ready("hook", 0) | {"hook-1": held, "hook-2": held})
    local.must("scale", "gss", "hook", "--replicas=2")
    wait_for(lambda: servers_of(local, "hook"), ready("hook", 0, 1) | {"hook-2": held})
    local.must("label", "pod", "hook-2", "drain=done", "--overwrite")
    wait_for(lambda: servers_of(local, "hook"), ready("hook", 0, 1))
