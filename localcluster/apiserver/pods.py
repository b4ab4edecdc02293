"""Pods: defaults, validation, what may change, binding to a node. Pure.

Source: k8s.io/kubernetes pkg/apis/core/v1/defaults.go and pkg/apis/core/validation/validation.go
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localcluster.apiserver.errors import (
    Cause,
    conflict,
    duplicate,
    forbidden_field,
    invalid_value,
    required,
    unsupported_value,
)
from localcluster.apiserver.metadata import label_causes
from localcluster.apiserver.node_rules import default_tolerations
from localcluster.apiserver.objects import Object, dig, timestamp

if TYPE_CHECKING:
    from datetime import datetime

DEFAULT_GRACE_SECONDS = 30
_RESTART_POLICIES = ("Always", "OnFailure", "Never")
# YAML 1.1 reads an unquoted `n` or `off` as a boolean: such a node name must not be stored.
_TEXTS = ("nodeName", "hostname", "subdomain", "serviceAccountName", "schedulerName")
_UPDATE_RULE = (
    "pod updates may not change fields other than "
    "`spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def complete(pod: Object) -> list[str]:
    """Fill in place the defaults that clients rely on."""
    spec = pod.get("spec")
    if not isinstance(spec, dict):
        return []
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("terminationGracePeriodSeconds", DEFAULT_GRACE_SECONDS)
    spec.setdefault("enableServiceLinks", True)
    spec.setdefault("securityContext", {})
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("serviceAccountName", spec.get("serviceAccount") or "default")
    spec.setdefault("serviceAccount", spec["serviceAccountName"])
    spec["tolerations"] = default_tolerations(spec.get("tolerations") or [])
    for container in _containers(spec):
        container.setdefault("imagePullPolicy", _pull_policy(container.get("image")))
        container.setdefault("resources", {})
        container.setdefault("terminationMessagePath", "/dev/termination-log")
        container.setdefault("terminationMessagePolicy", "File")
        for port in container.get("ports") or []:
            port.setdefault("protocol", "TCP")
    status = pod.setdefault("status", {})
    status.setdefault("phase", "Pending")
    return []


def validate(pod: Object, old: Object | None) -> list[Cause]:
    """Return what is wrong with a pod, or with the change from `old`."""
    spec = pod.get("spec")
    if not isinstance(spec, dict):
        return [required("spec")]
    if old is not None and spec is old["spec"]:
        # A write of the status: the specification is the stored one.
        return []
    causes = [*_text_causes(spec, _TEXTS, "spec"), *_container_causes(spec)]
    if spec.get("restartPolicy") not in _RESTART_POLICIES:
        causes.append(
            unsupported_value("spec.restartPolicy", spec.get("restartPolicy"), _RESTART_POLICIES)
        )
    grace = spec.get("terminationGracePeriodSeconds")
    if not isinstance(grace, int) or grace < 0:
        causes.append(
            invalid_value(
                "spec.terminationGracePeriodSeconds", grace, "must be greater than or equal to 0"
            )
        )
    if not causes and old is not None:
        causes += _update_causes(spec, old["spec"])
    return causes


def bound(pod: Object, binding: Object, now: datetime) -> Object:
    """Return `pod` assigned to the node that a v1.Binding names.

    Raises:
        ApiError: 409 when the pod is being deleted or already has a node.
    """
    name = pod["metadata"]["name"]
    node = dig(binding, "target", "name")
    if pod["metadata"].get("deletionTimestamp"):
        raise conflict(
            "", "pods/binding", name, f"pod {name} is being deleted, cannot be assigned to a host"
        )
    if pod["spec"].get("nodeName"):
        why = f'pod {name} is already assigned to node "{pod["spec"]["nodeName"]}"'
        raise conflict("", "pods/binding", name, why)
    status = pod.get("status") or {}
    scheduled = {
        "type": "PodScheduled",
        "status": "True",
        "lastProbeTime": None,
        "lastTransitionTime": timestamp(now),
    }
    others = [c for c in status.get("conditions") or [] if c.get("type") != "PodScheduled"]
    return {
        **pod,
        "spec": {**pod["spec"], "nodeName": node},
        "status": {**status, "conditions": [*others, scheduled]},
    }


def container_names(pod: Object) -> list[str]:
    """Return the names of all containers, the main ones first."""
    return [container["name"] for container in _containers(pod["spec"])]


def _containers(spec: Object) -> list[Object]:
    lists = (spec.get("containers") or [], spec.get("initContainers") or [])
    return [c for each in lists if isinstance(each, list) for c in each if isinstance(c, dict)]


def _pull_policy(image: object) -> str:
    # `latest`, written or implied, may name another image tomorrow.
    last = str(image or "").rpartition("/")[2]
    tag = last.partition("@")[0].partition(":")[2]
    return "Always" if tag in ("", "latest") and "@" not in last else "IfNotPresent"


def _container_causes(spec: Object) -> list[Cause]:
    if not spec.get("containers"):
        return [required("spec.containers")]
    causes: list[Cause] = []
    seen: set[str] = set()
    for list_name in ("initContainers", "containers"):
        containers = spec.get(list_name) or []
        if not isinstance(containers, list):
            causes.append(invalid_value(f"spec.{list_name}", containers, "must be an array"))
            continue
        for index, container in enumerate(containers):
            path = f"spec.{list_name}[{index}]"
            causes += _one_container_causes(container, path, seen)
    return causes


def _text_causes(obj: Object, names: tuple[str, ...], path: str) -> list[Cause]:
    """Return the fields that YAML made into something else than the string they must be."""
    return [
        invalid_value(f"{path}.{name}", obj[name], "must be a string; put quotes around it")
        for name in names
        if not isinstance(obj.get(name), str | None)
    ]


def _env_causes(container: Object, path: str) -> list[Cause]:
    causes: list[Cause] = []
    for index, variable in enumerate(container.get("env") or []):
        field = f"{path}.env[{index}]"
        if not isinstance(variable, dict) or not variable.get("name"):
            causes.append(required(f"{field}.name"))
        else:
            causes += _text_causes(variable, ("name", "value"), field)
    return causes


def _one_container_causes(container: Any, path: str, seen: set[str]) -> list[Cause]:
    if not isinstance(container, dict):
        return [invalid_value(path, container, "must be an object")]
    causes: list[Cause] = []
    name = container.get("name")
    if not name:
        causes.append(required(f"{path}.name"))
    else:
        causes += label_causes(str(name), f"{path}.name")
        if name in seen:
            causes.append(duplicate(f"{path}.name", name))
        seen.add(str(name))
    if not container.get("image"):
        causes.append(required(f"{path}.image"))
    for key in ("command", "args"):
        value = container.get(key, [])
        if value is not None and not (
            isinstance(value, list) and all(isinstance(word, str) for word in value)
        ):
            causes.append(invalid_value(f"{path}.{key}", value, "must be an array of strings"))
    return [*causes, *_env_causes(container, path)]


def _update_causes(spec: Object, old: Object) -> list[Cause]:
    """Return what may not be changed: all but images, tolerations to add, a nearer deadline."""
    causes: list[Cause] = []
    deadline, before = spec.get("activeDeadlineSeconds"), old.get("activeDeadlineSeconds")
    if before is not None and (deadline is None or deadline > before):
        why = f"must be less than or equal to previous value: {before}"
        causes.append(invalid_value("spec.activeDeadlineSeconds", deadline, why))
    # Only the time of a toleration that is there may change.
    kept = [_timeless(toleration) for toleration in spec.get("tolerations") or []]
    if any(_timeless(toleration) not in kept for toleration in old.get("tolerations") or []):
        why = "existing toleration can not be modified except its tolerationSeconds"
        causes.append(forbidden_field("spec.tolerations", why))
    if _frozen(spec) != _frozen(old):
        causes.append(forbidden_field("spec", _UPDATE_RULE))
    return causes


def _timeless(toleration: Object) -> Object:
    return {key: value for key, value in toleration.items() if key != "tolerationSeconds"}


def _frozen(spec: Object) -> Object:
    """Return the part of a pod's specification that never changes."""
    mutable = ("activeDeadlineSeconds", "tolerations")
    frozen = {key: value for key, value in spec.items() if key not in mutable}
    for list_name in ("containers", "initContainers"):
        if list_name in frozen:
            frozen[list_name] = [{**c, "image": None} for c in frozen[list_name]]
    return frozen
