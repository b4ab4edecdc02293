"""GameServer objects: a new one for a pod, and what a decision reads of one. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aggregator.quality.fields import container_fields
from aggregator.selection import parse_priority
from shared.api import names
from shared.protocol.wire import render_time

if TYPE_CHECKING:
    from aggregator.pods import Pod
    from aggregator.quality.fields import Field, FieldValue
    from shared.api.gameserver import GameServer
    from shared.api.gameserverset import GameServerSet


def render_server(pod: Pod, owner: GameServerSet) -> dict[str, Any]:
    """Return the GameServer to create for a pod, with the defaults of a new server."""
    template = owner.spec.game_server_template.metadata
    labels = dict(template.get("labels") or {}) | {names.OWNER_LABEL: owner.metadata.name}
    if pod.spec.node_name:
        labels[names.NODE_NAME_LABEL] = pod.spec.node_name
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.GAMESERVER_KIND,
        "metadata": {
            "name": pod.metadata.name,
            "namespace": pod.metadata.namespace,
            "labels": labels,
            "annotations": dict(template.get("annotations") or {}),
            "ownerReferences": [_owner_reference(pod, owner)],
        },
        "spec": {"opsState": names.OPS_STATE_NONE, "updatePriority": 0, "deletionPriority": 0},
    }


def _owner_reference(pod: Pod, owner: GameServerSet) -> dict[str, Any]:
    """Return the owner: the pod takes its GameServer with it, or with Delete the set does."""
    cascade = owner.spec.game_server_template.reclaim_policy == "Cascade"
    who = (
        {"apiVersion": "v1", "kind": "Pod", "name": pod.metadata.name, "uid": pod.metadata.uid}
        if cascade
        else {
            "apiVersion": names.API_VERSION,
            "kind": names.GAMESERVERSET_KIND,
            "name": owner.metadata.name,
            "uid": owner.metadata.uid,
        }
    )
    return who | {"controller": True, "blockOwnerDeletion": True}


def present_fields(server: GameServer) -> dict[Field, FieldValue]:
    """Return the value of each field that an action could set, as the server has it now."""
    spec = server.spec
    fields: dict[Field, FieldValue] = {
        ("opsState",): spec.ops_state,
        ("updatePriority",): _as_number(spec.update_priority),
        ("deletionPriority",): _as_number(spec.deletion_priority),
    }
    if spec.network_disabled is not None:
        fields["networkDisabled",] = spec.network_disabled
    fields |= container_fields(spec.containers)
    fields |= {("labels", key): text for key, text in server.metadata.labels.items()}
    fields |= {("annotations", key): text for key, text in server.metadata.annotations.items()}
    return fields


def _as_number(priority: int | str) -> int | str:
    """Return a priority as the integer it means; one that means none stays as it is."""
    parsed = parse_priority(priority)
    return parsed.value if parsed.valid else priority


def summarise(pod: Pod) -> dict[str, Any]:
    """Return the part of the pod's status that the GameServer shows: what changes rarely."""
    status = pod.status
    summary = {
        "phase": status.phase,
        "podIP": status.pod_ip,
        "hostIP": status.host_ip,
        "startTime": render_time(status.start_time) if status.start_time else "",
    }
    return {key: value for key, value in summary.items() if value}
