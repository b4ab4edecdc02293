"""The agent's container and volume, as they are put into the pods of a set (SPEC 8.1). Pure.

Not here: where they go in the pod (`pod`), and what the agent may do (`security_profile`).
Its command line stays that of the image: games count processes, so settings go by environment.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from aggregator.gameserverset.quality_of_service import is_guaranteed
from aggregator.gameserverset.security_profile import (
    ProfileChoice,
    choose_profile,
    security_context,
)
from shared.protocol.paths import AGENT_CONTAINER_NAME, TOKEN_AUDIENCE

if TYPE_CHECKING:
    from shared.api.gameserverset import GameServerSet

CA_CONFIGMAP = "gamekeeper-ca"
CA_KEY = "ca.crt"
VOLUME_NAME = "gamekeeper-agent"
_MOUNT = "/var/run/gamekeeper"
_TOKEN_SECONDS = 3600
_STATUS_PORT_NAME = "gk-status"


@dataclass(frozen=True, slots=True)
class AgentResources:
    """What the agent's container requests and is limited to; Kubernetes quantities.

    Attributes:
        cpu_request: always there: an HPA on CPU fails for the whole set without one.
        cpu_limit: empty for none: throttled scripts would miss their timeout.
        guaranteed_cpu: request and limit in pods of the class Guaranteed. A probe with a shell
            script takes about 25 ms of CPU, so less than 100m would let it wait for its share.
        memory_limit: holds the scripts, too; request and limit in Guaranteed pods.
    """

    cpu_request: str = "10m"
    cpu_limit: str = ""
    guaranteed_cpu: str = "100m"
    memory_request: str = "32Mi"
    memory_limit: str = "128Mi"


@dataclass(frozen=True, slots=True)
class AgentTemplate:
    """What the agents of all sets have in common.

    Attributes:
        report_urls: where agents report, tried in turn.
        status_port: of the agent's own HTTP server; 0 for none.
        host_network_status_port: the same in pods on the host's network, where ports are scarce.
        placement: a native sidecar (Kubernetes 1.29 or newer), or a container beside the game.
        profile: of sets that do not ask for one.
    """

    image: str
    image_pull_policy: str
    report_urls: tuple[str, ...]
    status_port: int = 8089
    host_network_status_port: int = 0
    placement: Literal["native", "container"] = "native"
    profile: ProfileChoice = "auto"
    resources: AgentResources = field(default_factory=AgentResources)


def agent_container(
    owner: GameServerSet, agent: AgentTemplate, spec: dict[str, Any]
) -> dict[str, Any]:
    """Return the container of the agent for a pod of a set.

    Args:
        owner: the set.
        agent: what the agents of all sets have in common.
        spec: of the very pod; it may be of a former template, or have resources of its own.

    Raises:
        InvalidInput: the set asks for a security profile that does not exist.
    """
    port = _status_port(spec, agent)
    container: dict[str, Any] = {
        "name": AGENT_CONTAINER_NAME,
        "image": agent.image,
        "imagePullPolicy": agent.image_pull_policy,
        "env": [
            {"name": "GAMEKEEPER_REPORT_URLS", "value": ",".join(agent.report_urls)},
            {"name": "GAMEKEEPER_TOKEN_FILE", "value": f"{_MOUNT}/token"},
            {"name": "GAMEKEEPER_CA_FILE", "value": f"{_MOUNT}/{CA_KEY}"},
            {"name": "GAMEKEEPER_STATUS_PORT", "value": str(port)},
            _from_field("GAMEKEEPER_POD_NAME", "metadata.name"),
            _from_field("GAMEKEEPER_POD_NAMESPACE", "metadata.namespace"),
            _from_field("GAMEKEEPER_POD_UID", "metadata.uid"),
            _from_field("GAMEKEEPER_POD_IP", "status.podIP"),
        ],
        "resources": _resources(agent.resources, guaranteed=is_guaranteed(spec)),
        "securityContext": security_context(choose_profile(owner, agent.profile, spec)),
        "volumeMounts": [{"name": VOLUME_NAME, "mountPath": _MOUNT, "readOnly": True}],
    }
    if agent.placement == "native":
        container["restartPolicy"] = "Always"
    if port:
        container["ports"] = [{"name": _STATUS_PORT_NAME, "containerPort": port, "protocol": "TCP"}]
    return container


def agent_volume() -> dict[str, Any]:
    """Return the volume with the agent's token and the aggregator's CA: no other credential."""
    token = {
        "audience": TOKEN_AUDIENCE,
        "expirationSeconds": _TOKEN_SECONDS,
        "path": "token",
    }
    certificate = {"name": CA_CONFIGMAP, "items": [{"key": CA_KEY, "path": CA_KEY}]}
    return {
        "name": VOLUME_NAME,
        "projected": {"sources": [{"serviceAccountToken": token}, {"configMap": certificate}]},
    }


def _status_port(spec: dict[str, Any], agent: AgentTemplate) -> int:
    """Return the port of the agent's status, 0 for none: a port of the game is never taken.

    NB: a native sidecar starts first, so the one that would fail to listen is the game.
    """
    port = agent.host_network_status_port if spec.get("hostNetwork") else agent.status_port
    return 0 if port in _declared_ports(spec) else port


def _declared_ports(spec: dict[str, Any]) -> list[Any]:
    """Return what the template says of its ports; nobody has looked at it yet."""
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    lists = (each.get("ports") for each in containers)
    entries = (port for ports in lists if isinstance(ports, list) for port in ports)
    return [port.get("containerPort") for port in entries if isinstance(port, dict)]


def _resources(resources: AgentResources, *, guaranteed: bool) -> dict[str, Any]:
    if guaranteed:
        both = {"cpu": resources.guaranteed_cpu, "memory": resources.memory_limit}
        return {"requests": both, "limits": dict(both)}
    limits = {"cpu": resources.cpu_limit} if resources.cpu_limit else {}
    return {
        "requests": {"cpu": resources.cpu_request, "memory": resources.memory_request},
        "limits": limits | {"memory": resources.memory_limit},
    }


def _from_field(name: str, path: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
