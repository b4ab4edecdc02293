"""What pods use of a quota, and what a budget allows: the numbers."""

from decimal import Decimal
from typing import Any

import pytest

from localcluster.apiserver.disruption import reckon
from localcluster.apiserver.quota import exceeded, shown_quantity, total, usage


def container(name: str = "game", **resources: Any) -> dict[str, Any]:
    return {"name": name, "resources": resources}


def pod(*containers: Any, inits: Any = (), phase: str = "Running") -> dict[str, Any]:
    spec = {"containers": list(containers or [container()]), "initContainers": list(inits)}
    return {"metadata": {"name": "p"}, "spec": spec, "status": {"phase": phase}}


def quota(**hard: str) -> dict[str, Any]:
    named = {name.replace("_", "."): value for name, value in hard.items()}
    return {"metadata": {"name": "limit"}, "spec": {"hard": named}}


SIDECAR = {"restartPolicy": "Always", **container("agent", requests={"cpu": "100m"})}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(pod(container(requests={"cpu": "250m"})), "0.25", id="one"),
        pytest.param(
            pod(container(requests={"cpu": "1"}), container("web", requests={"cpu": "500m"})),
            "1.5", id="two",
        ),
        pytest.param(
            pod(container(requests={"cpu": "1"}), inits=[container("i", requests={"cpu": "3"})]),
            "3", id="a larger init step",
        ),
        pytest.param(
            pod(container(requests={"cpu": "1"}), inits=[SIDECAR]), "1.1", id="a sidecar adds"
        ),
        pytest.param(
            pod(inits=[SIDECAR, container("i", requests={"cpu": "2"})]),
            "2.1", id="an init step beside a sidecar",
        ),
    ],
)  # fmt: skip
def test_the_cpu_that_a_pod_needs(given: dict[str, Any], expected: str) -> None:
    used = usage(given)
    assert (used["requests.cpu"], used["cpu"]) == (Decimal(expected), Decimal(expected))


def test_a_pod_that_ended_only_exists() -> None:
    sums = total([pod(), pod(phase="Failed"), pod(phase="Succeeded")])
    assert (sums["pods"], sums["count/pods"]) == (1, 3)


@pytest.mark.parametrize(
    ("limit", "new", "used", "why"),
    [
        (quota(pods="2"), pod(), [pod()], None),
        (
            quota(pods="1"), pod(), [pod()],
            "exceeded quota: limit, requested: pods=1, used: pods=1, limited: pods=1",
        ),
        (quota(pods="1"), pod(), [pod(phase="Failed")], None),
        (
            quota(requests_memory="1Gi"),
            pod(container(requests={"memory": "768Mi"})),
            [pod(container(requests={"memory": "512Mi"}))],
            "exceeded quota: limit, requested: requests.memory=768Mi, "
            "used: requests.memory=512Mi, limited: requests.memory=1Gi",
        ),
        (
            quota(limits_cpu="1"), pod(), [],
            "failed quota: limit: must specify limits.cpu for: game",
        ),
        (quota(configmaps="1"), pod(), [], None),
    ],
)  # fmt: skip
def test_what_a_quota_refuses(limit: Any, new: Any, used: Any, why: str | None) -> None:
    assert exceeded(limit, new, total(used)) == why


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("pods", "3", "3"),
        ("requests.cpu", "0.25", "250m"),
        ("cpu", "2", "2"),
        ("memory", "1073741824", "1Gi"),
        ("limits.memory", "1000", "1000"),
        ("memory", "0", "0"),
    ],
)
def test_quantities_are_shown_in_their_canonical_form(name: str, value: str, expected: str) -> None:
    assert shown_quantity(name, Decimal(value)) == expected


def server(ready: str = "True", *, ending: bool = False, owner: str = "set") -> dict[str, Any]:
    owners = [{"uid": owner, "controller": True}] if owner else []
    metadata: dict[str, Any] = {"name": "p", "ownerReferences": owners}
    if ending:
        metadata["deletionTimestamp"] = "2026-11-22T08:00:00Z"
    conditions = [{"type": "Ready", "status": ready}]
    return {"metadata": metadata, "status": {"phase": "Running", "conditions": conditions}}


READY = server()


@pytest.mark.parametrize(
    ("spec", "pods", "replicas", "expected"),
    [
        pytest.param({"minAvailable": 2}, [READY] * 3, 3, (3, 3, 2, 1), id="minAvailable"),
        pytest.param({"minAvailable": 2}, [READY] * 2, 3, (2, 2, 2, 0), id="just enough"),
        pytest.param({"minAvailable": "50%"}, [READY] * 3, 5, (5, 3, 3, 0), id="half, rounded up"),
        pytest.param({"maxUnavailable": 1}, [READY] * 3, 3, (3, 3, 2, 1), id="maxUnavailable"),
        pytest.param({"maxUnavailable": 0}, [READY] * 3, 3, (3, 3, 3, 0), id="none may go"),
        pytest.param({"maxUnavailable": "34%"}, [READY] * 3, 3, (3, 3, 1, 2), id="a third"),
        pytest.param(
            {"maxUnavailable": 1}, [READY, READY, server("False")], 3, (3, 2, 2, 0),
            id="one unready",
        ),
        pytest.param(
            {"maxUnavailable": 1}, [READY, READY, server(ending=True)], 3, (3, 2, 2, 0),
            id="one ending",
        ),
        pytest.param(
            {"maxUnavailable": 1}, [server(owner="")] * 2, 3, (0, 2, 0, 0), id="pods of nobody"
        ),
        pytest.param({}, [READY] * 2, 2, (2, 2, 1, 1), id="one must stay unless said otherwise"),
    ],
)  # fmt: skip
def test_what_a_budget_allows(
    spec: Any, pods: Any, replicas: int, expected: tuple[int, int, int, int]
) -> None:
    numbers = reckon({"spec": spec}, pods, {"set": replicas})
    names = ("expectedPods", "currentHealthy", "desiredHealthy", "disruptionsAllowed")
    assert numbers == dict(zip(names, expected, strict=True))
