"""PersistentVolumeClaims of servers: one for each template and id (SPEC 6.10). Pure.

A claim belongs to the id, not to the pod, so a server that is made again finds its data. What the
retention policy says is written as owner references, as a StatefulSet does it, and the garbage
collector carries it out:

- whenDeleted Delete: the set owns the claim;
- whenScaled Delete: the pod of a server that is deleted for good owns it, from just before that pod
  is deleted. A pod that is only made again does not.

Source: https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/
(PersistentVolumeClaim retention), which also gives the names TEMPLATE-SET-ID.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from aggregator.gameserverset.ids import server_name
from shared.api import names

if TYPE_CHECKING:
    from shared.api.gameserverset import GameServerSet

Json = dict[str, Any]


def claim_name(template: Json, server: str) -> str:
    """Return the name of the claim of a server."""
    return f"{template['metadata']['name']}-{server}"


def render_claims(owner: GameServerSet, id_: int) -> list[Json]:
    """Return the claims that the server with this id needs."""
    server = server_name(owner.metadata.name, id_)
    return [
        _render(owner, template, server)
        for template in owner.spec.game_server_template.volume_claim_templates
    ]


def _render(owner: GameServerSet, template: Json, server: str) -> Json:
    metadata = template.get("metadata") or {}
    body = copy.deepcopy(template) | {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": claim_name(template, server),
            "namespace": owner.metadata.namespace,
            "labels": dict(metadata.get("labels") or {}) | {names.OWNER_LABEL: owner.metadata.name},
            "annotations": dict(metadata.get("annotations") or {}),
        },
    }
    body.pop("status", None)
    if _policy(owner, "whenDeleted") == "Delete":
        body["metadata"]["ownerReferences"] = [_set_reference(owner)]
    return body


def mount_claims(spec: Json, owner: GameServerSet, server: str) -> None:
    """Give a pod's spec the volumes of its claims; they replace volumes of the same name."""
    templates = owner.spec.game_server_template.volume_claim_templates
    if not templates:
        return
    volumes = {
        template["metadata"]["name"]: {
            "name": template["metadata"]["name"],
            "persistentVolumeClaim": {"claimName": claim_name(template, server)},
        }
        for template in templates
    }
    kept = [each for each in spec.get("volumes") or () if each["name"] not in volumes]
    spec["volumes"] = [*kept, *volumes.values()]


def deletes_when_scaled(owner: GameServerSet) -> bool:
    """Tell whether the claims of a server go with it when it is deleted for good."""
    return _policy(owner, "whenScaled") == "Delete"


def deletes_when_deleted(owner: GameServerSet) -> bool:
    """Tell whether the claims of all servers go with the set."""
    return _policy(owner, "whenDeleted") == "Delete"


def owners_for_set(owner: GameServerSet, present: list[Json]) -> list[Json]:
    """Return the owners of a claim as the policy for the deletion of the set wants them."""
    others = [each for each in present if each["kind"] != names.GAMESERVERSET_KIND]
    mine = [_set_reference(owner)] if deletes_when_deleted(owner) else []
    return others + mine


def owners_for_pod(pod_name: str, pod_uid: str, present: list[Json]) -> list[Json]:
    """Return the owners of a claim that shall go with this pod."""
    others = [each for each in present if each["kind"] != "Pod"]
    return [*others, {"apiVersion": "v1", "kind": "Pod", "name": pod_name, "uid": pod_uid}]


def is_going(claim: Json, owner: GameServerSet) -> bool:
    """Tell whether a claim is being deleted, or will be with its former pod or a former set."""
    metadata = claim["metadata"]
    pods = any(each["kind"] == "Pod" for each in metadata.get("ownerReferences") or ())
    return "deletionTimestamp" in metadata or pods or is_of_another_set(claim, owner)


def is_of_another_set(claim: Json, owner: GameServerSet) -> bool:
    """Tell whether a claim goes with a set of another uid: one of this name that is gone."""
    return any(
        each["kind"] == names.GAMESERVERSET_KIND and each["uid"] != owner.metadata.uid
        for each in claim["metadata"].get("ownerReferences") or ()
    )


def _policy(owner: GameServerSet, when: str) -> str:
    policy = owner.spec.persistent_volume_claim_retention_policy or {}
    return str(policy.get(when) or "Retain")


def _set_reference(owner: GameServerSet) -> Json:
    """Return a reference that owns and does not control: the claim belongs to the id."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.GAMESERVERSET_KIND,
        "name": owner.metadata.name,
        "uid": owner.metadata.uid,
    }
