"""`gamekeeper convert`: a KEDA ScaledObject as the GameServerSetAutoscaler that does the same.

What can be said is said; what cannot is told in comments above the result (other triggers, an idle
replica count), so that nobody loses anything without knowing.
"""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from aggregator.autoscaler.scaled_object import DEFAULT_MAXIMUM, EXTERNAL_TRIGGERS, is_paused
from aggregator.keda.metadata import read_request
from aggregator.kube.resources import ObjectKey
from aggregator.scaling.spec import read_spec
from cli.manifests import read_yaml
from shared.api import names
from shared.api.autoscaler import AutoscalerSpec, ScaleDown, ScaleUp
from shared.clock import utc_now
from shared.errors import AppError, InvalidInput

if TYPE_CHECKING:
    from pathlib import Path

    from aggregator.keda.metadata import ScalerRequest
    from aggregator.scaling.quantity import Amount
    from shared.api.meta import ApiModel

# An HPA's default of scaleDown.stabilizationWindowSeconds.
_HPA_WINDOW = 300
_SCALED_OBJECT = ("keda.sh/v1alpha1", "ScaledObject")
_WAIT = "behavior.scaleDown says how long to wait"
_OTHER_FIELDS = {
    "idleReplicaCount": "the set never goes below minReplicas, idle or not",
    "fallback": "the autoscaler needs no metric that could be missing",
    "cooldownPeriod": _WAIT,
    "initialCooldownPeriod": _WAIT,
}
_OTHER_ADVANCED = {
    "scalingModifiers": "the autoscaler has its own formula; stay with KEDA if you need another",
    "restoreToOriginalReplicaCount": "replicas stay as they are when the autoscaler is deleted",
}
_DIRECTIONS: dict[str, type[ApiModel]] = {"scaleUp": ScaleUp, "scaleDown": ScaleDown}
# As many digits after the point as an amount may have, two more for a percentage.
_DIGITS = 14
_SECOND = timedelta(seconds=1)


def convert_file(file: Path) -> str:
    """Return all ScaledObjects of a file as autoscalers, YAML with comments.

    Raises:
        InvalidInput: the file cannot be read, or holds what cannot be converted.
    """
    documents = [
        item
        for number, document in enumerate(read_yaml(file), start=1)
        for item in _items(document, f"{file}: document {number}")
    ]
    if not documents:
        raise InvalidInput("", f"{file}: it holds no object")
    return "---\n".join(_render(*convert(document, place)) for document, place in documents)


def convert(document: Any, place: str) -> tuple[dict[str, Any], list[str]]:
    """Return the autoscaler of a ScaledObject, and what it could not take over.

    Args:
        document: the parsed manifest.
        place: of the document, for errors.

    Raises:
        InvalidInput: it is no ScaledObject of a GameServerSet.
    """
    metadata, spec = _scaled_object(document, place)
    target = _target(spec, place)
    trigger, notes = _trigger(spec, place)
    request = _request(target, trigger, place)
    body: dict[str, Any] = {
        "gameServerSetName": target,
        "minReplicas": _number(spec, "minReplicaCount", 0, place),
        "maxReplicas": _number(spec, "maxReplicaCount", DEFAULT_MAXIMUM, place),
    }
    policy, cap = request.policy, request.rules.cap
    for name, amount in (
        ("minAvailable", policy.min_available),
        ("maxAvailable", policy.max_available),
    ):
        if amount is not None:
            body[name] = _written(amount)
    if cap is not None:
        body["maxReplicas"] = min(body["maxReplicas"], cap)
    _keep_share(body, policy.min_available, notes)
    advanced = _mapping(spec, "advanced", f"{place}: spec")
    body["behavior"] = _behavior(advanced, request, f"{place}: spec.advanced", notes)
    annotations = _mapping(metadata, "annotations", f"{place}: metadata")
    if is_paused(annotations):
        body["mode"] = "Off"
    _check(body, place)
    notes += [f"{name}: {why}" for name, why in _OTHER_FIELDS.items() if name in spec]
    notes += [f"{name}: {why}" for name, why in _OTHER_ADVANCED.items() if name in advanced]
    kept = {key: metadata[key] for key in ("name", "namespace") if key in metadata}
    autoscaler = {
        "apiVersion": f"{names.AUTOSCALING_GROUP}/{names.VERSION}",
        "kind": names.AUTOSCALER_KIND,
        "metadata": kept,
        "spec": body,
    }
    return autoscaler, notes


def _items(document: Any, place: str) -> list[tuple[Any, str]]:
    """Return what a document holds, each with its place: of a list its items (`kubectl get`)."""
    is_list = isinstance(document, dict) and document.get("kind") == "List"
    items = document.get("items") if is_list else None
    if not isinstance(items, list):
        return [(document, place)]
    return [(each, f"{place}, item {number}") for number, each in enumerate(items, start=1)]


def _render(autoscaler: dict[str, Any], notes: list[str]) -> str:
    comments = "".join(f"# not taken over: {note}\n" for note in notes)
    return comments + yaml.safe_dump(autoscaler, sort_keys=False, width=100)


def _check(body: dict[str, Any], place: str) -> None:
    """Check that the result means something.

    Raises:
        InvalidInput: naming the document and the field.
    """
    try:
        read_spec(AutoscalerSpec.model_validate(body), utc_now())
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InvalidInput("", f"{place}: {field}: {first['msg']}") from error
    except InvalidInput as error:
        raise InvalidInput("", f"{place}: {error.message}") from error


def _scaled_object(document: Any, place: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return metadata and spec of a ScaledObject."""
    if not isinstance(document, dict):
        raise InvalidInput("", f"{place} is no object")
    kind = (document.get("apiVersion"), document.get("kind"))
    if kind != _SCALED_OBJECT:
        told = " ".join(str(each) for each in kind if each is not None) or "of no kind"
        raise InvalidInput("", f"{place} is {told}: only a ScaledObject is converted")
    metadata = _mapping(document, "metadata", place)
    if not isinstance(metadata.get("name"), str):
        raise InvalidInput("", f"{place}: metadata.name must be set, and a text")
    spec = _mapping(document, "spec", place)
    if not spec:
        raise InvalidInput("", f"{place}: spec must be set")
    return metadata, spec


def _mapping(parent: dict[str, Any], name: str, place: str) -> dict[str, Any]:
    """Return a field that holds fields; empty when it is absent."""
    value = parent.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        separator = "." if ": " in place else ": "
        raise InvalidInput("", f"{place}{separator}{name} must hold fields, it is {value!r}")
    return value


def _target(spec: dict[str, Any], place: str) -> str:
    target = spec.get("scaleTargetRef")
    if not isinstance(target, dict) or not isinstance(target.get("name"), str):
        raise InvalidInput("", f"{place}: spec.scaleTargetRef.name must be set")
    group = str(target.get("apiVersion", "")).partition("/")[0]
    if (group, target.get("kind")) != (names.GROUP, names.GAMESERVERSET_KIND):
        kind = target.get("kind", "Deployment")
        message = f"{place}: spec.scaleTargetRef is a {kind}; it must be a GameServerSet"
        raise InvalidInput("", message)
    return str(target["name"])


def _trigger(spec: dict[str, Any], place: str) -> tuple[dict[str, Any], list[str]]:
    """Return the metadata of our trigger, and notes about the others."""
    triggers = spec.get("triggers")
    if not isinstance(triggers, list) or not all(isinstance(each, dict) for each in triggers):
        raise InvalidInput("", f"{place}: spec.triggers must be a list of objects")
    ours = [each for each in triggers if each.get("type") in EXTERNAL_TRIGGERS]
    if len(ours) != 1:
        message = f"{place}: spec.triggers must have one external trigger, it has {len(ours)}"
        raise InvalidInput("", message)
    others = [str(each.get("type")) for each in triggers if each is not ours[0]]
    notes = [
        f"trigger {other}: the autoscaler looks at servers alone; stay with KEDA if you need it"
        for other in others
    ]
    metadata = _mapping(ours[0], "metadata", f"{place}: external trigger")
    if "hpaTolerance" in metadata:
        notes.append("hpaTolerance: the autoscaler has no tolerance, one server counts")
    return metadata, notes


def _request(target: str, trigger: dict[str, Any], place: str) -> ScalerRequest:
    """Return what the external scaler reads in a trigger's metadata, held to the same rules.

    Raises:
        InvalidInput: it means nothing, or speaks of another set than the one that is scaled.
    """
    texts = {str(key): str(value) for key, value in trigger.items()}
    try:
        request = read_request(ObjectKey("default", target), texts)
    except AppError as error:
        raise InvalidInput("", f"{place}: {error.message}") from error
    if request.set_key.name != target:
        message = (
            f"{place}: gameServerSet is {request.set_key.name}, scaleTargetRef {target}: "
            "an autoscaler looks at the set that it scales, so make them the same"
        )
        raise InvalidInput("", message)
    return request


def _behavior(
    advanced: dict[str, Any], request: ScalerRequest, place: str, notes: list[str]
) -> dict[str, Any]:
    config = _mapping(advanced, "horizontalPodAutoscalerConfig", place)
    place = f"{place}.horizontalPodAutoscalerConfig"
    given = _mapping(config, "behavior", place)
    behavior: dict[str, Any] = {}
    for direction, model in _DIRECTIONS.items():
        rules = _mapping(given, direction, f"{place}.behavior")
        known = {field.alias or name for name, field in model.model_fields.items()}
        kept = {name: value for name, value in rules.items() if name in known}
        if "tolerance" in rules:
            notes.append(f"{direction}.tolerance: the autoscaler has none, one server counts")
        notes += [
            f"{direction}.{name}: the autoscaler does not know it"
            for name in rules
            if name not in known and name != "tolerance"
        ]
        if kept:
            behavior[direction] = kept
    down = behavior.setdefault("scaleDown", {})
    # What the HPA does to a number, the autoscaler does to each marked server.
    down["waitToBeDeletedSeconds"] = (
        request.policy.wait_to_be_deleted // _SECOND
        if request.rules.claims
        else down.get("stabilizationWindowSeconds", _HPA_WINDOW)
    )
    return behavior


def _keep_share(body: dict[str, Any], low: Amount | None, notes: list[str]) -> None:
    if isinstance(low, Fraction) and body["minReplicas"] == 0:
        body["minAvailableFloor"] = 1
        text = body["minAvailable"]
        notes.append(f"minAvailable {text} of no servers is none: minAvailableFloor is 1 instead")


def _written(amount: Amount) -> int | str:
    """Return an amount in a form that the definition of an autoscaler takes."""
    if isinstance(amount, int):
        return amount
    percent = amount * 100
    if percent.denominator == 1:
        return f"{percent}%"
    return "0." + str(int(amount * 10**_DIGITS)).rjust(_DIGITS, "0").rstrip("0")


def _number(fields: dict[str, Any], name: str, default: int, place: str) -> int:
    value = fields.get(name, default)
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidInput("", f"{place}: {name} must be a whole number, not {value!r}")
    return value
