"""Objects for tests: each function returns one whole, valid object; keywords override its fields.

Objects are decoded from their JSON form, as the reflectors do it, so that no test can rest on one
that the API server could not have sent.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from aggregator.pods import Pod, decode_pod
from shared.api import names
from shared.api.gameserver import GameServer
from shared.api.gameserverset import GameServerSet
from shared.api.service_quality import ServiceQuality
from shared.protocol.paths import AGENT_CONTAINER_NAME
from shared.protocol.report import ProbeReport, Report, Status
from shared.protocol.wire import render_time

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
SET_NAME = "minecraft"
SET_UID = "set-uid"
_STARTED = datetime(2026, 1, 2, 3, 0, 0, tzinfo=UTC)


def quality(name: str = "healthy", *actions: dict[str, Any], **fields: Any) -> ServiceQuality:
    """An exec quality with these actions, as in a manifest."""
    body = {"exec": {"command": ["bash", f"./{name}.sh"]}, "serviceQualityAction": list(actions)}
    return ServiceQuality.model_validate({"name": name} | body | fields)


def game_server_set(
    *,
    replicas: int = 3,
    qualities: tuple[ServiceQuality, ...] = (),
    template: dict[str, Any] | None = None,
    annotations: dict[str, str] | None = None,
    status: dict[str, Any] | None = None,
    generation: int = 1,
    **spec: Any,
) -> GameServerSet:
    """A set named minecraft; `spec` and `template` are in the form of a manifest."""
    body = {
        "replicas": replicas,
        "gameServerTemplate": template or {"spec": {"containers": [{"name": "game"}]}},
        "serviceQualities": [
            each.model_dump(mode="json", by_alias=True, exclude_none=True) for each in qualities
        ],
    }
    metadata = {
        "name": SET_NAME,
        "namespace": "games",
        "uid": SET_UID,
        "resourceVersion": "10",
        "generation": generation,
        "annotations": annotations or {},
    }
    return GameServerSet.model_validate(
        {"metadata": metadata, "spec": body | spec, "status": status or {}}
    )


def pod(
    id_: int = 0,
    *,
    uid: str = "",
    phase: str = "Running",
    ready: bool | None = True,
    ready_since: datetime = _STARTED,
    terminating: bool = False,
    agent: bool = True,
    node_name: str = "node-1",
    pod_ip: str = "10.0.0.1",
    labels: dict[str, str] | None = None,
    owner_uid: str = SET_UID,
    annotations: dict[str, str] | None = None,
    finalizers: tuple[str, ...] = (),
    images: dict[str, str] | None = None,
    container_ids: dict[str, str] | None = None,
    created: datetime = _STARTED,
) -> Pod:
    """A pod of the set with this id; `ready` None means that it has no Ready condition yet.

    `owner_uid` empty means an orphan; `images` are the containers and what they are asked to run.
    """
    metadata: dict[str, Any] = {
        "name": f"{SET_NAME}-{id_}",
        "namespace": "games",
        "uid": uid or f"pod-{id_}",
        "resourceVersion": "20",
        "labels": {names.OWNER_LABEL: SET_NAME} | (labels or {}),
        "annotations": annotations or {},
        "finalizers": list(finalizers),
        "creationTimestamp": render_time(created),
    }
    if owner_uid:
        owner = {"uid": owner_uid, "name": SET_NAME, "kind": "GameServerSet", "controller": True}
        metadata["ownerReferences"] = [owner]
    if terminating:
        metadata["deletionTimestamp"] = render_time(NOW)
    sidecar = {"name": AGENT_CONTAINER_NAME, "restartPolicy": "Always"}
    conditions = [
        {
            "type": "Ready",
            "status": "True" if ready else "False",
            "lastTransitionTime": render_time(ready_since),
        }
    ]
    body = {
        "metadata": metadata,
        "spec": {
            "nodeName": node_name,
            "containers": [
                {"name": name, "image": image}
                for name, image in (images or {"game": "game:1"}).items()
            ],
            "initContainers": [sidecar] if agent else [],
        },
        "status": {
            "phase": phase,
            "podIP": pod_ip,
            "hostIP": "192.168.0.1",
            "startTime": render_time(_STARTED),
            "conditions": conditions if ready is not None else [],
            "containerStatuses": [
                {"name": name, "containerID": id_} for name, id_ in (container_ids or {}).items()
            ],
        },
    }
    return decode_pod(json.dumps(body))


def game_server(
    id_: int = 0,
    *,
    uid: str = "",
    pod_uid: str | None = "",
    deletion: dict[str, Any] | None = None,
    deleting: bool = False,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    status: dict[str, Any] | None = None,
    resource_version: str = "30",
    **spec: Any,
) -> GameServer:
    """The GameServer of the pod `pod_uid`; None means that the set owns it (reclaimPolicy Delete).

    `spec` is in the form of a manifest, for example `opsState="Kill"`.
    """
    owner = {"apiVersion": "v1", "kind": "Pod", "name": f"{SET_NAME}-{id_}"}
    owner["uid"] = pod_uid or f"pod-{id_}"
    if pod_uid is None:
        owner = {
            "apiVersion": names.API_VERSION,
            "kind": names.GAMESERVERSET_KIND,
            "name": SET_NAME,
            "uid": SET_UID,
        }
    metadata: dict[str, Any] = {
        "name": f"{SET_NAME}-{id_}",
        "namespace": "games",
        "uid": uid or f"server-{id_}",
        "resourceVersion": resource_version,
        "labels": {names.OWNER_LABEL: SET_NAME} | (labels or {}),
        "annotations": annotations or {},
        "ownerReferences": [owner | {"controller": True, "blockOwnerDeletion": True}],
    }
    if deleting:
        metadata["deletionTimestamp"] = render_time(NOW)
    body = {"opsState": "None", "updatePriority": 0, "deletionPriority": 0} | spec
    if deletion is not None:
        body["deletion"] = deletion
    return GameServer.model_validate({"metadata": metadata, "spec": body, "status": status or {}})


def probe_report(
    name: str = "healthy", status: str = "True", result: str = "", **fields: Any
) -> ProbeReport:
    """The published verdict of one probe."""
    started = {"started_at": _STARTED, "transition_at": _STARTED}
    return ProbeReport(name=name, status=Status(status), result=result, **(started | fields))


def report(*probes: ProbeReport, pod_uid: str = "pod-0", **fields: Any) -> Report:
    """The whole state of the agent of one pod."""
    head = {"epoch": 1, "sequence": 1, "sent_at": NOW, "agent_version": "0.1.0"}
    return Report(pod_uid=pod_uid, probes=probes, **(head | {"probes_revision": "r1"} | fields))
