"""Builds the pod of a game server: the template, the server's identity, the agent (SPEC 8.1). Pure.

Nothing of the template is changed: only what the agent needs is added, and only when the set has
service qualities (or the annotation asks for it).
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from aggregator.gameserverset.agent_container import VOLUME_NAME, agent_container, agent_volume
from aggregator.gameserverset.ids import server_name
from aggregator.gameserverset.overrides import asked_images, override_containers, render_images
from aggregator.gameserverset.revision import owner_reference, pod_template, template_revision
from aggregator.gameserverset.volumes import mount_claims
from shared.api import names
from shared.errors import InvalidInput
from shared.protocol.paths import AGENT_CONTAINER_NAME

if TYPE_CHECKING:
    from aggregator.gameserverset.agent_container import AgentTemplate
    from aggregator.gameserverset.revision import Template
    from shared.api.gameserver import GameServer
    from shared.api.gameserverset import GameServerSet

# The agent reads it in the environment of processes (agent/exec/resolve.py).
_MARKER_VARIABLE = "GAMEKEEPER_CONTAINER"


def render_pod(
    owner: GameServerSet,
    id_: int,
    agent: AgentTemplate,
    template: Template | None = None,
    server: GameServer | None = None,
) -> dict[str, Any]:
    """Return the pod of the server with this id.

    Args:
        owner: the set.
        id_: of the server.
        agent: what the agents of all sets have in common.
        template: of a former revision, None for the present one.
        server: the GameServer that outlived its former pod (reclaimPolicy Delete), None without.
    """
    template = template or pod_template(owner)
    revision = _revision_of(owner, template)
    metadata = template.get("metadata") or {}
    name = server_name(owner.metadata.name, id_)
    spec = copy.deepcopy(template["spec"])
    spec.setdefault("hostname", name)
    spec.setdefault("subdomain", owner.spec.service_name or owner.metadata.name)
    mount_claims(spec, owner, name)
    annotations = dict(metadata.get("annotations") or {})
    if server is not None:
        override_containers(spec, server)
        given = render_images(asked_images(server))
        annotations |= {names.IMAGES_ANNOTATION: given} if given else {}
    if wants_agent(owner):
        _add_agent(spec, agent, owner)
    labels = dict(metadata.get("labels") or {}) | {
        names.OWNER_LABEL: owner.metadata.name,
        names.REVISION_LABEL: revision,
    }
    finalizers = metadata.get("finalizers")
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": owner.metadata.namespace,
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [owner_reference(owner)],
        }
        # A preDelete hook may wait for one.
        | ({"finalizers": list(finalizers)} if finalizers else {}),
        "spec": spec,
    }


def _revision_of(owner: GameServerSet, template: Template) -> str:
    if template == pod_template(owner):
        return template_revision(owner)
    return owner.status.current_revision


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
    """Add the agent and what it needs; a native sidecar comes first, so that it starts first."""
    _check_names_are_free(spec)
    has_exec = any(quality.exec is not None for quality in owner.spec.service_qualities)
    # An explicit false is respected: those probes are Unknown, NoSharedPidNamespace.
    if has_exec and not spec.get("hostPID") and spec.get("shareProcessNamespace") is None:
        spec["shareProcessNamespace"] = True
    if owner.metadata.annotations.get(names.MARKER_ANNOTATION) == "true":
        _mark_containers(spec)
    container = agent_container(owner, agent, spec)
    if agent.placement == "native":
        spec["initContainers"] = [container, *(spec.get("initContainers") or ())]
    else:
        # Last: kubectl logs and exec take the first one, which is the game's.
        spec["containers"] = [*(spec.get("containers") or ()), container]
    spec["volumes"] = [*(spec.get("volumes") or ()), agent_volume()]


def _check_names_are_free(spec: dict[str, Any]) -> None:
    """Refuse a template that has the agent's names; the API server would name no remedy.

    Raises:
        InvalidInput: with the path of the name.
    """
    reserved = (
        ("containers", AGENT_CONTAINER_NAME),
        ("initContainers", AGENT_CONTAINER_NAME),
        ("volumes", VOLUME_NAME),
    )
    for field, name in reserved:
        for index, entry in enumerate(spec.get(field) or ()):
            if entry.get("name") == name:
                path = f"spec.gameServerTemplate.spec.{field}[{index}].name"
                off = f"rename it, or set the annotation {names.AGENT_ANNOTATION}: never"
                raise InvalidInput(path, f"{name!r} is the name of the agent that is added; {off}")


def _mark_containers(spec: dict[str, Any]) -> None:
    """Tell each container its name, for runtimes whose mount tables do not (gVisor, Kata)."""
    for field in ("initContainers", "containers"):
        for container in spec.get(field) or ():
            env = container.get("env") or []
            if all(entry.get("name") != _MARKER_VARIABLE for entry in env):
                marker = {"name": _MARKER_VARIABLE, "value": container["name"]}
                container["env"] = [*env, marker]
