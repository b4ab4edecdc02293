"""Stands in for the controller of Deployments of a real cluster. Not pure.

Here: as many pods as each Deployment asks for, what a cluster adds to each (its service account's
token, the API server's address and authority), and the Deployment's status. Not here: rollouts,
for a changed template changes only pods that are made later.

One thing is different: pods of a local cluster are on this machine's network, so our aggregators
listen on their pod's own address and not on all.

Source: https://kubernetes.io/docs/concepts/workloads/controllers/deployment/
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from copy import deepcopy
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aggregator.kube.patch import MergePatch
from aggregator.kube.resources import CONFIGMAPS, PODS, ObjectKey, Resource
from aggregator.kube.transport import Selection
from shared.errors import AppError

if TYPE_CHECKING:
    from aggregator.kube.client import HttpKubeClient

Json = dict[str, Any]
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment")
# A variable that tells which process of this machine is of which pod; no setting of ours.
POD_UID = "REPLICA_POD_UID"
_ACCOUNT_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"
_OWN_ADDRESS = ("REPORT_ADDRESS", "HEALTH_ADDRESS", "STATUS_ADDRESS", "KEDA_ADDRESS")
_AUTHORITY = "kube-root-ca.crt"
_PAUSE_SECONDS = 0.2


async def list_all(client: HttpKubeClient, resource: Resource, labels: str = "") -> list[Json]:
    """Return the objects of all namespaces."""
    pages = client.list_pages(Selection(resource, label_selector=labels or None))
    return [json.loads(item) async for page in pages for item in page.items]


class Deployments:
    """Makes pods of Deployments, as long as it runs.

    Args:
        client: with every right.
        server: URL of the API server, for the pods.
        authority: PEM of its certificate authority.
    """

    def __init__(self, client: HttpKubeClient, server: str, authority: str) -> None:
        self._client = client
        self._server = server
        self._authority = authority

    async def run(self) -> None:
        """Bring every Deployment to its number of pods, again and again, until cancelled."""
        while True:
            # What has changed since it was listed is looked at again in the next round.
            with suppress(AppError):
                pods = await list_all(self._client, PODS)
                for deployment in await list_all(self._client, DEPLOYMENTS):
                    await self._settle(deployment, pods)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _settle(self, deployment: Json, pods: list[Json]) -> None:
        uid = deployment["metadata"]["uid"]
        live = [each for each in pods if _owner(each) == uid and _lives(each)]
        wanted = deployment["spec"].get("replicas", 1)
        if "deletionTimestamp" not in deployment["metadata"]:
            for _ in range(wanted - len(live)):
                await self._create(deployment)
        for pod in live[wanted:]:
            await self._client.delete(PODS, _key(pod), uid=pod["metadata"]["uid"])
        status = _status(deployment, live)
        if status != deployment.get("status"):
            patch = MergePatch({"status": status})
            await self._client.patch(DEPLOYMENTS, _key(deployment), patch, "status")

    async def _create(self, deployment: Json) -> None:
        namespace = deployment["metadata"]["namespace"]
        # What another controller of a real cluster puts into every namespace.
        if await self._client.get(CONFIGMAPS, ObjectKey(namespace, _AUTHORITY)) is None:
            body = {"metadata": {"name": _AUTHORITY}, "data": {"ca.crt": self._authority}}
            await self._client.create(CONFIGMAPS, namespace, body)
        await self._client.create(PODS, namespace, replica(deployment, self._server))


def serves(pod: Json) -> bool:
    """Tell whether a Service sends new connections to a pod: it is ready and nobody deletes it."""
    conditions = pod.get("status", {}).get("conditions", [])
    ready = any((each["type"], each["status"]) == ("Ready", "True") for each in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]


def replica(deployment: Json, server: str) -> Json:
    """Return a pod of the Deployment as a cluster would make it of the template.

    Args:
        deployment: as the API server has it.
        server: URL of the API server.
    """
    template = deepcopy(deployment["spec"]["template"])
    spec = template["spec"]
    (container,) = spec["containers"]
    own = {f"GAMEKEEPER_{name}": "status.podIP" for name in _OWN_ADDRESS}
    own[POD_UID] = "metadata.uid"
    url = urlsplit(server)
    fixed = {"KUBERNETES_SERVICE_HOST": url.hostname, "KUBERNETES_SERVICE_PORT": str(url.port)}
    container["env"] = [
        *(each for each in container["env"] if each["name"] not in own),
        *({"name": n, "valueFrom": {"fieldRef": {"fieldPath": path}}} for n, path in own.items()),
        *({"name": name, "value": value} for name, value in fixed.items()),
    ]
    account = {"name": "kube-api-access", "mountPath": _ACCOUNT_FOLDER, "readOnly": True}
    container.setdefault("volumeMounts", []).append(account)
    sources = [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
        {"configMap": {"name": _AUTHORITY, "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
    ]
    spec.setdefault("volumes", []).append(
        {"name": account["name"], "projected": {"sources": sources}}
    )
    metadata = deployment["metadata"]
    owner = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": template["metadata"]
        | {"generateName": f"{metadata['name']}-", "ownerReferences": [owner]},
        "spec": spec,
    }


def _key(body: Json) -> ObjectKey:
    return ObjectKey(body["metadata"]["namespace"], body["metadata"]["name"])


def _owner(pod: Json) -> str:
    owners = pod["metadata"].get("ownerReferences", [])
    return next((each["uid"] for each in owners if each["kind"] == "Deployment"), "")


def _lives(pod: Json) -> bool:
    ended = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
    return not ended and "deletionTimestamp" not in pod["metadata"]


def _status(deployment: Json, live: list[Json]) -> Json:
    ready = sum(map(serves, live))
    complete = ready == deployment["spec"].get("replicas", 1)
    available = {
        "type": "Available",
        "status": str(complete),
        "reason": "MinimumReplicasAvailable" if complete else "MinimumReplicasUnavailable",
        "lastTransitionTime": deployment["metadata"]["creationTimestamp"],
    }
    return {
        "observedGeneration": deployment["metadata"]["generation"],
        "replicas": len(live),
        "updatedReplicas": len(live),
        "readyReplicas": ready,
        "availableReplicas": ready,
        "unavailableReplicas": len(live) - ready,
        "conditions": [available],
    }
