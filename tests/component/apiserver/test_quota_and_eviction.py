"""Quotas and disruption budgets over HTTP, and `kubectl drain`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.component.apiserver.conftest import Api, Namespaced

pytestmark = [pytest.mark.component, pytest.mark.timeout(30)]

BASE = "/api/v1/namespaces/default"
PODS, QUOTAS = f"{BASE}/pods", f"{BASE}/resourcequotas"
BUDGETS = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"


def pod(name: str, **labels: str) -> dict[str, Any]:
    containers = [{"name": "game", "image": "game:1"}]
    # Without a grace period and a kubelet to wait for, a deleted pod goes at once.
    spec = {"containers": containers, "terminationGracePeriodSeconds": 0}
    return {"metadata": {"name": name, "labels": labels}, "spec": spec}


async def used(api: Api) -> dict[str, str]:
    quota = await api.ok("GET", f"{QUOTAS}/few")
    status: dict[str, str] = quota["status"]["used"]
    return status


async def test_a_quota_holds_the_number_of_pods(api: Api) -> None:
    """https://kubernetes.io/docs/concepts/policy/resource-quotas/#object-count-quota"""
    hard = {"pods": "1", "count/pods": "5"}
    await api.ok("POST", QUOTAS, {"metadata": {"name": "few"}, "spec": {"hard": hard}})
    await api.ok("POST", PODS, pod("a"))
    assert await used(api) == {"count/pods": "1", "pods": "1"}
    status, answer = await api.request("POST", PODS, pod("b"))
    assert (status, answer["reason"], answer["message"]) == (
        403,
        "Forbidden",
        'pods "b" is forbidden: exceeded quota: few, '
        "requested: pods=1, used: pods=1, limited: pods=1",
    )
    await api.patch(f"{PODS}/a/status", {"status": {"phase": "Failed"}})
    assert await used(api) == {"count/pods": "1", "pods": "0"}
    await api.ok("POST", PODS, pod("b"))
    await api.ok("DELETE", f"{PODS}/b")
    assert await used(api) == {"count/pods": "1", "pods": "0"}


async def ready(api: Api, name: str) -> None:
    await api.ok("POST", PODS, pod(name, app="game"))
    condition = {"type": "Ready", "status": "True"}
    status = {"phase": "Running", "conditions": [condition]}
    code, answer = await api.patch(f"{PODS}/{name}/status", {"status": status})
    assert code == 200, answer


async def budget(api: Api, name: str = "most", **spec: Any) -> None:
    selector = {"matchLabels": {"app": "game"}}
    await api.ok(
        "POST", BUDGETS, {"metadata": {"name": name}, "spec": {"selector": selector, **spec}}
    )


async def evict(api: Api, name: str, **options: Any) -> tuple[int, Any]:
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}, **options}
    return await api.request("POST", f"{PODS}/{name}/eviction", body)


async def numbers(api: Api) -> tuple[int, int, int, int]:
    status = (await api.ok("GET", f"{BUDGETS}/most"))["status"]
    assert status["observedGeneration"] == 1
    names = ("expectedPods", "currentHealthy", "desiredHealthy", "disruptionsAllowed")
    expected, healthy, desired, allowed = (status[name] for name in names)
    return expected, healthy, desired, allowed


async def test_an_eviction_takes_what_the_budget_allows_and_no_more(api: Api) -> None:
    """https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/"""
    for name in ("a", "b", "c"):
        await ready(api, name)
    await budget(api, minAvailable=2)
    assert await numbers(api) == (3, 3, 2, 1)
    success = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    assert await evict(api, "a") == (201, {**success, "code": 201})
    assert await numbers(api) == (2, 2, 2, 0)
    code, answer = await evict(api, "b")
    assert (code, answer["reason"], answer["message"], answer["details"]["causes"]) == (
        429,
        "TooManyRequests",
        "Cannot evict pod as it would violate the pod's disruption budget.",
        [
            {
                "reason": "DisruptionBudget",
                "message": "The disruption budget most needs 2 healthy pods and has 2 currently",
            }
        ],
    )
    assert (await api.request("GET", f"{PODS}/b"))[0] == 200


ROOMS = "/apis/test.gamekeeper.dev/v1/namespaces/default/rooms"
ROOM = {"apiVersion": "test.gamekeeper.dev/v1", "kind": "Room", "spec": {"replicas": 3}}
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
LABELS = {"app": "game"}
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "spec": {
        "replicas": 3,
        "selector": {"matchLabels": LABELS},
        "template": {
            "metadata": {"labels": LABELS},
            "spec": {"containers": [{"name": "game", "image": "game:1"}]},
        },
    },
}


@pytest.mark.parametrize(
    ("path", "given"),
    [
        pytest.param(ROOMS, ROOM, id="a resource of one's own"),
        pytest.param(DEPLOYMENTS, DEPLOYMENT, id="a Deployment"),
    ],
)
async def test_the_scale_of_the_owner_says_how_many_pods_there_should_be(
    api: Api, path: str, given: dict[str, Any]
) -> None:
    """https://kubernetes.io/docs/tasks/run-application/configure-pdb/#arbitrary-controllers-and-selectors"""
    made = await api.ok("POST", path, {**given, "metadata": {"name": "lobby"}})
    kind = {"apiVersion": given["apiVersion"], "kind": given["kind"]}
    owner = {**kind, "name": "lobby", "uid": made["metadata"]["uid"], "controller": True}
    for name in ("a", "b"):
        await ready(api, name)
        status, _ = await api.patch(f"{PODS}/{name}", {"metadata": {"ownerReferences": [owner]}})
        assert status == 200
    await budget(api, maxUnavailable=1)
    assert await numbers(api) == (3, 2, 2, 0)
    await api.patch(f"{path}/lobby/scale", {"spec": {"replicas": 2}})
    assert await numbers(api) == (2, 2, 1, 1)


@pytest.mark.parametrize(
    ("status", "spec", "code"),
    [
        pytest.param({"phase": "Failed"}, {"maxUnavailable": 0}, 201, id="ended"),
        pytest.param({"phase": "Pending"}, {"maxUnavailable": 0}, 201, id="not started"),
        pytest.param({"phase": "Running"}, {"minAvailable": 1}, 429, id="unready, too few healthy"),
        pytest.param(
            {"phase": "Running"},
            {"minAvailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow"},
            201,
            id="unready, always allowed",
        ),
    ],
)
async def test_a_pod_that_serves_nobody_may_go(
    api: Api, status: dict[str, Any], spec: dict[str, Any], code: int
) -> None:
    await api.ok("POST", PODS, pod("a", app="game"))
    await api.patch(f"{PODS}/a/status", {"status": status})
    await budget(api, **spec)
    assert (await evict(api, "a"))[0] == code


async def test_a_dry_run_deletes_nothing(api: Api) -> None:
    await ready(api, "a")
    assert (await evict(api, "a", deleteOptions={"dryRun": ["All"]}))[0] == 201
    assert (await api.request("GET", f"{PODS}/a"))[0] == 200


async def test_a_pod_of_two_budgets_is_not_evicted(api: Api) -> None:
    await ready(api, "a")
    await budget(api, "most", minAvailable=0)
    await budget(api, "more", minAvailable=0)
    code, answer = await evict(api, "a")
    assert (code, answer["message"]) == (
        500,
        "This pod has more than one PodDisruptionBudget, "
        "which the eviction subresource does not support.",
    )


async def test_an_eviction_names_the_pod_of_its_path(api: Api) -> None:
    await ready(api, "a")
    body = {"metadata": {"name": "b"}}
    code, answer = await api.request("POST", f"{PODS}/a/eviction", body)
    assert (code, answer["message"]) == (
        400,
        "name in URL does not match name in Eviction object",
    )


NODE = "apiVersion: v1\nkind: Node\nmetadata: {name: %s}\n"
POD = """
apiVersion: v1
kind: Pod
metadata: {name: game}
spec:
  nodeName: %s
  terminationGracePeriodSeconds: 0
  containers: [{name: game, image: "game:1"}]
"""


def test_drain_cordons_a_node_and_evicts_its_pods(kubectl: Namespaced) -> None:
    """https://kubernetes.io/docs/tasks/administer-cluster/safely-drain-node/"""
    node = f"node-{kubectl.namespace}"
    kubectl("apply", "-f", "-", input=NODE % node)
    kubectl("apply", "-f", "-", input=POD % node)
    said = kubectl("drain", node, "--force", "--timeout=60s")
    assert said.splitlines()[0] == f"node/{node} cordoned"
    assert said.splitlines()[-1] == f"node/{node} drained"
    assert f"evicting pod {kubectl.namespace}/game" in said
    assert kubectl.get("pods")["items"] == []
    assert kubectl.get("node", node)["spec"]["unschedulable"] is True
    assert kubectl("uncordon", node) == f"node/{node} uncordoned\n"
