"""Builds the pod of a game server: the template, the server's identity, the agent (SPEC 8.1). Pure.

Nothing of the template is changed: only what the agent needs is added, and only when the set has
service qualities (or the annotation asks for it).
"""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aggregator.gameserverset.ids import server_name
from shared.api import names
from shared.protocol.paths import AGENT_CONTAINER_NAME, TOKEN_AUDIENCE

if TYPE_CHECKING:
    from shared.api.gameserverset import GameServerSet

CA_CONFIGMAP = "gamekeeper-ca"
CA_KEY = "ca.crt"
_MOUNT = "/var/run/gamekeeper"
_VOLUME = "gamekeeper-agent"
_TOKEN_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class AgentTemplate:
    """What the agents of all sets have in common.

    Attributes:
        report_urls: where agents report, tried in turn.
        status_port: of the agent's own HTTP server.
    """

    image: str
    image_pull_policy: str
    report_urls: tuple[str, ...]
    status_port: int = 8089


def template_revision(owner: GameServerSet) -> str:
    """Return the hash of the set's template: equal exactly when the pods would be equal.

    Only what the user wrote of the pod counts: neither a newer agent nor a field that a newer
    version of Gamekeeper knows beside the pod template ever restarts a game.
    """
    template = owner.spec.game_server_template
    pod = {"metadata": template.metadata, "spec": template.spec}
    text = json.dumps(pod, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def render_pod(owner: GameServerSet, id_: int, agent: AgentTemplate) -> dict[str, Any]:
    """Return the pod of the server with this id."""
    template = owner.spec.game_server_template
    name = server_name(owner.metadata.name, id_)
    spec = copy.deepcopy(template.spec)
    spec.setdefault("hostname", name)
    spec.setdefault("subdomain", owner.spec.service_name or owner.metadata.name)
    if wants_agent(owner):
        _add_agent(spec, agent, owner)
    labels = dict(template.metadata.get("labels") or {}) | {
        names.OWNER_LABEL: owner.metadata.name,
        names.REVISION_LABEL: template_revision(owner),
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": owner.metadata.namespace,
            "labels": labels,
            "annotations": dict(template.metadata.get("annotations") or {}),
            "ownerReferences": [
                {
                    "apiVersion": names.API_VERSION,
                    "kind": names.GAMESERVERSET_KIND,
                    "name": owner.metadata.name,
                    "uid": owner.metadata.uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": spec,
    }


def wants_agent(owner: GameServerSet) -> bool:
    """Tell whether the pods of a set get an agent."""
    match owner.metadata.annotations.get(names.AGENT_ANNOTATION, "auto"):
        case "always":
            return True
        case "never":
            return False
        case _:
            return bool(owner.spec.service_qualities)


def _add_agent(spec: dict[str, Any], agent: AgentTemplate, owner: GameServerSet) -> None:
    """Add the agent as a native sidecar, first, and what it needs."""
    has_exec = any(quality.exec is not None for quality in owner.spec.service_qualities)
    if has_exec and not spec.get("hostPID"):
        # An explicit false is respected: those probes are Unknown, NoSharedPidNamespace.
        spec.setdefault("shareProcessNamespace", True)
    spec["initContainers"] = [_container(agent), *(spec.get("initContainers") or ())]
    spec["volumes"] = [*(spec.get("volumes") or ()), _volume()]


def _container(agent: AgentTemplate) -> dict[str, Any]:
    return {
        "name": AGENT_CONTAINER_NAME,
        "image": agent.image,
        "imagePullPolicy": agent.image_pull_policy,
        "restartPolicy": "Always",
        "env": [
            {"name": "GAMEKEEPER_REPORT_URLS", "value": ",".join(agent.report_urls)},
            {"name": "GAMEKEEPER_TOKEN_FILE", "value": f"{_MOUNT}/token"},
            {"name": "GAMEKEEPER_CA_FILE", "value": f"{_MOUNT}/{CA_KEY}"},
            {"name": "GAMEKEEPER_STATUS_PORT", "value": str(agent.status_port)},
            _from_field("GAMEKEEPER_POD_NAME", "metadata.name"),
            _from_field("GAMEKEEPER_POD_NAMESPACE", "metadata.namespace"),
            _from_field("GAMEKEEPER_POD_UID", "metadata.uid"),
            _from_field("GAMEKEEPER_POD_IP", "status.podIP"),
        ],
        # An HPA on CPU fails for the whole set when one container has no request.
        "resources": {
            "requests": {"cpu": "10m", "memory": "32Mi"},
            "limits": {"memory": "128Mi"},
        },
        # To become a process of the game's container takes the runtime's default capabilities.
        "securityContext": {
            "runAsUser": 0,
            "runAsNonRoot": False,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [{"name": _VOLUME, "mountPath": _MOUNT, "readOnly": True}],
    }


def _from_field(name: str, path: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _volume() -> dict[str, Any]:
    """Return the volume with the agent's token and the aggregator's CA: no other credential."""
    token = {
        "audience": TOKEN_AUDIENCE,
        "expirationSeconds": _TOKEN_SECONDS,
        "path": "token",
    }
    certificate = {"name": CA_CONFIGMAP, "items": [{"key": CA_KEY, "path": CA_KEY}]}
    return {
        "name": _VOLUME,
        "projected": {
            "sources": [{"serviceAccountToken": token}, {"configMap": certificate}],
        },
    }
