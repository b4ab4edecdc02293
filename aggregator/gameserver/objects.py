"""GameServer objects: a new one for a pod, and what a decision reads of one. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aggregator.quality.fields import container_fields
from aggregator.selection import parse_priority
from shared.api import names
from shared.protocol.wire import render_time

if TYPE_CHECKING:
    from collections.abc import Mapping

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


def plan_identity(
    pod: Pod, server: GameServer, owner: GameServerSet | None, labels: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what to change in the metadata so that it says whose server this is, and where.

    Args:
        pod: that the server speaks for.
        server: as it is.
        owner: the set; None when it is gone.
        labels: that the same patch sets.

    Returns:
        Members of a merge patch of the metadata: labels together with those given, owners.
    """
    wanted: dict[str, str | None] = {names.NODE_NAME_LABEL: pod.spec.node_name or None}
    if owner is not None:
        wanted[names.OWNER_LABEL] = owner.metadata.name
    present = server.metadata.labels
    changed = {key: value for key, value in wanted.items() if present.get(key) != value}
    metadata: dict[str, Any] = {}
    if changed:
        metadata["labels"] = {**labels, **changed}
    going = pod.terminating or server.metadata.deletion_timestamp or server.spec.deletion
    if owner is not None and not going and not _has_owner(server, pod, owner):
        # The reclaim policy was edited: from now on the object lives as long as that says.
        kept = [
            reference.model_dump(mode="json", by_alias=True, exclude_none=True)
            for reference in server.metadata.owner_references
            if not reference.controller
        ]
        metadata["ownerReferences"] = [*kept, _owner_reference(pod, owner)]
    return metadata


def _has_owner(server: GameServer, pod: Pod, owner: GameServerSet) -> bool:
    wanted = _owner_reference(pod, owner)
    controllers = (each for each in server.metadata.owner_references if each.controller)
    return any(each.uid == wanted["uid"] for each in controllers)


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


def edited_fields(before: GameServer | None, now: GameServer) -> frozenset[Field]:
    """Return the fields that differ between two versions of one server; none for another object."""
    if before is None or before.metadata.uid != now.metadata.uid:
        return frozenset()
    then, there = present_fields(before), present_fields(now)
    fields = then.keys() | there.keys()
    return frozenset(field for field in fields if then.get(field) != there.get(field))


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
