"""Templates, and the pods that they become with an agent: cells of tables."""

from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

from aggregator.gameserverset.agent_container import AgentTemplate
from aggregator.gameserverset.pod import render_pod
from shared.api import names
from tests.support.builders import game_server_set, quality

AGENT = AgentTemplate("agent:1", "IfNotPresent", ("https://a:1", "https://10.0.0.9:1"))
CONTAINER = replace(AGENT, placement="container")
EXEC = quality("healthy")
TCP = quality("open", exec=None, tcpSocket={"port": 7})
MINIMAL = ["SYS_CHROOT", "SETUID", "SETGID", "SETPCAP", "KILL"]
ROOT = {
    "runAsUser": 0,
    "runAsGroup": 0,
    "runAsNonRoot": False,
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTEXTS = {
    "none": ROOT
    | {"runAsUser": 65532, "runAsGroup": 65532, "runAsNonRoot": True}
    | {"capabilities": {"drop": ["ALL"]}},
    "minimal": ROOT | {"capabilities": {"drop": ["ALL"], "add": MINIMAL}},
    "default": ROOT,
    "ptrace": ROOT | {"capabilities": {"add": ["SYS_PTRACE"]}},
}
BURSTABLE = {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}}
GUARANTEED = {
    "requests": {"cpu": "100m", "memory": "128Mi"},
    "limits": {"cpu": "100m", "memory": "128Mi"},
}


def container(name="game", **fields):
    return {"name": name, "image": f"{name}:1"} | fields


def limits(most_cpu, most_memory, **requests):
    return {"limits": {"cpu": most_cpu, "memory": most_memory}} | (
        {"requests": requests} if requests else {}
    )


def ports(*numbers):
    return [{"containerPort": number} for number in numbers]


def field_of(name, path):
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def expected_agent(
    profile="default", port=8089, resources=BURSTABLE, placement="native"
) -> dict[str, Any]:
    agent: dict[str, Any] = {
        "name": "gamekeeper-agent",
        "image": "agent:1",
        "imagePullPolicy": "IfNotPresent",
        "env": [
            {"name": "GAMEKEEPER_REPORT_URLS", "value": "https://a:1,https://10.0.0.9:1"},
            {"name": "GAMEKEEPER_TOKEN_FILE", "value": "/var/run/gamekeeper/token"},
            {"name": "GAMEKEEPER_CA_FILE", "value": "/var/run/gamekeeper/ca.crt"},
            {"name": "GAMEKEEPER_STATUS_PORT", "value": str(port)},
            field_of("GAMEKEEPER_POD_NAME", "metadata.name"),
            field_of("GAMEKEEPER_POD_NAMESPACE", "metadata.namespace"),
            field_of("GAMEKEEPER_POD_UID", "metadata.uid"),
            field_of("GAMEKEEPER_POD_IP", "status.podIP"),
        ],
        "resources": resources,
        "securityContext": CONTEXTS[profile],
        "volumeMounts": [
            {"name": "gamekeeper-agent", "mountPath": "/var/run/gamekeeper", "readOnly": True}
        ],
    }
    if placement == "native":
        agent["restartPolicy"] = "Always"
    if port:
        agent["ports"] = [{"name": "gk-status", "containerPort": port, "protocol": "TCP"}]
    return agent


VOLUME = {
    "name": "gamekeeper-agent",
    "projected": {
        "sources": [
            {
                "serviceAccountToken": {
                    "audience": "gamekeeper",
                    "expirationSeconds": 3600,
                    "path": "token",
                }
            },
            {
                "configMap": {
                    "name": "gamekeeper-ca",
                    "items": [{"key": "ca.crt", "path": "ca.crt"}],
                }
            },
        ]
    },
}


@dataclass(frozen=True)
class Cell:
    """A template, and what its pod has beside it.

    `agent` are the arguments of `expected_agent`, None for no agent; `pod` is what else is set.
    """

    spec: dict[str, Any] = field(default_factory=dict)
    qualities: tuple[Any, ...] = (EXEC,)
    annotations: dict[str, str] = field(default_factory=dict)
    template: AgentTemplate = AGENT
    agent: dict[str, Any] | None = field(default_factory=dict)
    pod: dict[str, Any] = field(default_factory=dict)


def rendered(cell):
    spec = {"containers": [container()]} | cell.spec
    owner = game_server_set(
        template={"spec": spec}, qualities=cell.qualities, annotations=cell.annotations
    )
    return render_pod(owner, 0, cell.template)["spec"]


def expected(cell):
    spec = {"containers": [container()]} | deepcopy(cell.spec)
    spec |= {"hostname": "minecraft-0", "subdomain": "minecraft"} | cell.pod
    if cell.agent is None:
        return spec
    if any(each.exec for each in cell.qualities) and "hostPID" not in spec:
        spec.setdefault("shareProcessNamespace", True)
    agent = expected_agent(placement=cell.template.placement, **cell.agent)
    if cell.template.placement == "native":
        spec["initContainers"] = [agent, *(spec.get("initContainers") or ())]
    else:
        spec["containers"] = [*spec["containers"], agent]
    spec["volumes"] = [*(spec.get("volumes") or ()), VOLUME]
    return spec


def pod_user(**context):
    return {"securityContext": context}


def one(**fields):
    return {"containers": [container(**fields)]}


def two(**of_second):
    return {
        "containers": [container(securityContext={"runAsUser": 7}), container("log", **of_second)]
    }


def in_container(name):
    return (quality("healthy", containerName=name),)


def profile(name):
    return {names.AGENT_PROFILE_ANNOTATION: name}


def agent_is(value):
    return {names.AGENT_ANNOTATION: value}
