"""`kubectl delete` and what becomes of the dependents.

Sources: https://kubernetes.io/docs/tasks/administer-cluster/use-cascading-deletion/ and
https://kubernetes.io/docs/tasks/run-application/force-delete-stateful-set-pod/.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.cluster import wait_for

if TYPE_CHECKING:
    from tests.component.apiserver.conftest import Namespaced

pytestmark = [pytest.mark.component, pytest.mark.timeout(30)]


def make_owner_and_dependent(kubectl: Namespaced) -> None:
    kubectl("create", "configmap", "owner")
    uid = kubectl("get", "configmap", "owner", "-o", "jsonpath={.metadata.uid}")
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}
    body: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "dependent",
            "ownerReferences": [reference | {"blockOwnerDeletion": True}],
        },
    }
    kubectl("create", "-f", "-", input=json.dumps(body))


def names(kubectl: Namespaced) -> set[str]:
    listed = kubectl("get", "configmaps", "-o", "name").split()
    return {name.partition("/")[2] for name in listed}


@pytest.mark.parametrize("cascade", ["background", "foreground"])
def test_a_cascade_takes_the_dependents(kubectl: Namespaced, cascade: str) -> None:
    make_owner_and_dependent(kubectl)
    kubectl("delete", "configmap", "owner", f"--cascade={cascade}")
    wait_for(lambda: names(kubectl), set())


def test_in_the_foreground_the_owner_goes_last(kubectl: Namespaced) -> None:
    make_owner_and_dependent(kubectl)
    finalizer = '{"metadata":{"finalizers":["test.gamekeeper.dev/wait"]}}'
    kubectl("patch", "configmap", "dependent", "--type=merge", "-p", finalizer)
    kubectl("delete", "configmap", "owner", "--cascade=foreground", "--wait=false")
    deleted = "jsonpath={.metadata.deletionTimestamp}"
    wait_for(lambda: kubectl("get", "configmap", "dependent", "-o", deleted) != "", expected=True)
    assert names(kubectl) == {"owner", "dependent"}
    kubectl(
        "patch", "configmap", "dependent", "--type=merge", "-p", '{"metadata":{"finalizers":[]}}'
    )
    wait_for(lambda: names(kubectl), set())


def test_orphans_stay_without_their_owner(kubectl: Namespaced) -> None:
    make_owner_and_dependent(kubectl)
    kubectl("delete", "configmap", "owner", "--cascade=orphan")
    assert names(kubectl) == {"dependent"}
    owners = "jsonpath={.metadata.ownerReferences}"
    assert kubectl("get", "configmap", "dependent", "-o", owners) == ""


def test_force_does_not_wait_for_the_kubelet(kubectl: Namespaced) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "game"},
        "spec": {"nodeName": "gone", "containers": [{"name": "main", "image": "game:1"}]},
    }
    kubectl("create", "-f", "-", input=json.dumps(pod))
    said = kubectl("delete", "pod", "game", "--grace-period=0", "--force")
    assert said.startswith('pod "game" force deleted')
    assert kubectl("get", "pods", "-o", "name") == ""
