"""The role of nodes is enough for the kubelet: nothing it asks for is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance.local_kubelet import local_kubelet
from tests.support.apiserver import start_apiserver
from tests.support.kubelet import write_image

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.component,
    pytest.mark.timeout(60),
]

NODE, TOKEN = "system:node:gamekeeper-local", "node-token"
POD = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: default}
data: {mode: fast}
---
apiVersion: v1
kind: Secret
metadata: {name: keys, namespace: default}
stringData: {key: k}
---
apiVersion: v1
kind: Pod
metadata: {name: game, namespace: default}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: game
    image: game:1
    env: [{name: KEY, valueFrom: {secretKeyRef: {name: keys, key: key}}}]
    volumeMounts: [{name: settings, mountPath: /settings}, {name: token, mountPath: /token}]
  volumes:
  - {name: settings, configMap: {name: settings}}
  - {name: token, projected: {sources: [{serviceAccountToken: {path: token}}]}}
"""


def test_a_kubelet_with_the_rights_of_a_node_runs_a_pod(tmp_path: Path) -> None:
    users = {TOKEN: {"username": NODE, "groups": ["system:nodes"]}}
    server = start_apiserver(tmp_path / "server", users=users, options=["--rbac", "--control"])
    image = write_image(tmp_path / "image", {"command": ["sleep", "1000"]})
    folder = tmp_path / "kubelet"
    folder.mkdir()
    try:
        with local_kubelet(replace(server, token=TOKEN), folder, {"game:1": image}):
            server.kubectl("apply", "-f", "-", input=POD)
            server.kubectl("wait", "pod/game", "--for=condition=Ready", "--timeout=60s")
            server.kubectl("delete", "pod", "game", "--timeout=60s")
        recorded = json.loads(server.kubectl("get", "--raw", "/control/requests").stdout)
        asked = recorded["users"][NODE]
        told = [json.dumps(row) for row in asked if not allowed(server, row)]
        assert told == []
        verbs = {(row["verb"], row["resource"], row["subresource"]) for row in asked}
        assert {("patch", "pods", "status"), ("watch", "pods", "")} <= verbs
    finally:
        assert server.stop() == 0


def allowed(server: Any, row: dict[str, str]) -> bool:
    """Return what a review says about one row of the record."""
    kind = "nonResourceAttributes" if row["path"] else "resourceAttributes"
    wanted = ("verb", "path") if row["path"] else ("verb", "group", "resource", "subresource",
                                                   "namespace")  # fmt: skip
    attributes = {field: row[field] for field in wanted}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": NODE, "groups": ["system:nodes"], kind: attributes},
    }
    done = server.kubectl(
        "create", "-f", "-", "-o", "json", "--validate=false", input=json.dumps(review)
    )
    return bool(json.loads(done.stdout)["status"]["allowed"])
