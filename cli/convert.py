"""`gamekeeper convert`: a KEDA ScaledObject as the GameServerSetAutoscaler that does the same.

What can be said is said; what cannot is told in comments above the result (other triggers, an idle
replica count), so that nobody loses anything without knowing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from aggregator.scaling.quantity import parse_amount
from aggregator.scaling.spec import read_spec
from cli.manifests import read_yaml
from shared.api import names
from shared.api.autoscaler import AutoscalerSpec
from shared.clock import utc_now
from shared.errors import InvalidInput

if TYPE_CHECKING:
    from pathlib import Path

# KEDA's default of maxReplicaCount.
_KEDA_MAXIMUM = 100
_SCALED_OBJECT = ("keda.sh/v1alpha1", "ScaledObject")
_EXTERNAL = ("external", "external-push")
_OTHER_FIELDS = {
    "idleReplicaCount": "the set goes to zero by itself when nothing is needed",
    "fallback": "the autoscaler needs no metric that could be missing",
    "cooldownPeriod": "behavior.scaleDown says how long to wait",
    "initialCooldownPeriod": "behavior.scaleDown says how long to wait",
}
_PAUSED = ("autoscaling.keda.sh/paused", "autoscaling.keda.sh/paused-replicas")
_AMOUNTS = ("minAvailable", "maxAvailable")


def convert_file(file: Path) -> str:
    """Return all ScaledObjects of a file as autoscalers, YAML with comments.

    Raises:
        InvalidInput: the file cannot be read, or holds what cannot be converted.
    """
    documents = read_yaml(file)
    if not documents:
        raise InvalidInput("", f"{file}: it holds no object")
    return "---\n".join(
        _render(*convert(document, f"{file}: document {number}"))
        for number, document in enumerate(documents, start=1)
    )


def convert(document: Any, place: str) -> tuple[dict[str, Any], list[str]]:
    """Return the autoscaler of a ScaledObject, and what it could not take over.

    Args:
        document: the parsed manifest.
        place: of the document, for errors.

    Raises:
        InvalidInput: it is no ScaledObject of a GameServerSet.
    """
    spec = _scaled_object(document, place)
    target = _target(spec, place)
    trigger, notes = _trigger(spec, place)
    body: dict[str, Any] = {
        "gameServerSetName": target,
        "minReplicas": _number(spec, "minReplicaCount", 0, place),
        "maxReplicas": _number(spec, "maxReplicaCount", _KEDA_MAXIMUM, place),
    }
    for name in _AMOUNTS:
        if name in trigger:
            body[name] = _amount(trigger[name], f"{place}: {name}")
    if "maxReplicas" in trigger:
        body["maxReplicas"] = min(body["maxReplicas"], _number(trigger, "maxReplicas", 0, place))
    _keep_share(body, notes)
    behavior = _behavior(spec, notes)
    if behavior:
        body["behavior"] = behavior
    if any(_is_set(document["metadata"], key) for key in _PAUSED):
        body["mode"] = "Off"
    _check(body, place)
    notes += [f"{name}: {why}" for name, why in _OTHER_FIELDS.items() if name in spec]
    metadata = {
        key: document["metadata"][key]
        for key in ("name", "namespace")
        if key in document["metadata"]
    }
    autoscaler = {
        "apiVersion": f"{names.AUTOSCALING_GROUP}/{names.VERSION}",
        "kind": names.AUTOSCALER_KIND,
        "metadata": metadata,
        "spec": body,
    }
    return autoscaler, notes


def _render(autoscaler: dict[str, Any], notes: list[str]) -> str:
    comments = "".join(f"# not taken over: {note}\n" for note in notes)
    return comments + yaml.safe_dump(autoscaler, sort_keys=False, width=100)


def _is_set(metadata: dict[str, Any], key: str) -> bool:
    annotations = metadata.get("annotations") or {}
    return str(annotations.get(key, "false")).lower() != "false"


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


def _scaled_object(document: Any, place: str) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise InvalidInput("", f"{place} is no object")
    kind = (document.get("apiVersion"), document.get("kind"))
    if kind != _SCALED_OBJECT:
        raise InvalidInput("", f"{place} is {kind[0]} {kind[1]}: only a ScaledObject is converted")
    metadata, spec = document.get("metadata"), document.get("spec")
    if not isinstance(metadata, dict) or not metadata.get("name"):
        raise InvalidInput("", f"{place}: metadata.name must be set")
    if not isinstance(spec, dict):
        raise InvalidInput("", f"{place}: spec must be set")
    return spec


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
    ours = [each for each in triggers if each.get("type") in _EXTERNAL]
    if len(ours) != 1:
        message = f"{place}: spec.triggers must have one external trigger, it has {len(ours)}"
        raise InvalidInput("", message)
    others = [str(each.get("type")) for each in triggers if each is not ours[0]]
    notes = [
        f"trigger {other}: the autoscaler looks at servers alone; stay with KEDA if you need it"
        for other in others
    ]
    metadata = ours[0].get("metadata")
    return metadata if isinstance(metadata, dict) else {}, notes


def _behavior(spec: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    advanced = spec.get("advanced") or {}
    config = advanced.get("horizontalPodAutoscalerConfig") or {}
    behavior = {
        direction: dict(rules)
        for direction, rules in (config.get("behavior") or {}).items()
        if direction in ("scaleUp", "scaleDown") and isinstance(rules, dict)
    }
    for direction, rules in behavior.items():
        if rules.pop("tolerance", None) is not None:
            notes.append(f"{direction}.tolerance: the autoscaler has none, one server counts")
    down = behavior.get("scaleDown")
    if down and "stabilizationWindowSeconds" in down:
        # What the HPA does to a number, the autoscaler does to each marked server.
        down["waitToBeDeletedSeconds"] = down["stabilizationWindowSeconds"]
    return behavior


def _keep_share(body: dict[str, Any], notes: list[str]) -> None:
    low = body.get("minAvailable")
    is_share = isinstance(low, str) and (low.endswith("%") or low.startswith("0."))
    if is_share and body["minReplicas"] == 0:
        body["minAvailableFloor"] = 1
        notes.append(f"minAvailable {low} of no servers is none: minAvailableFloor is 1 instead")


def _amount(raw: Any, field: str) -> int | str:
    """Return a count as a number and a share as it is written."""
    amount = parse_amount(str(raw), field)
    return amount if isinstance(amount, int) else str(raw)


def _number(fields: dict[str, Any], name: str, default: int, place: str) -> int:
    value = fields.get(name, default)
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidInput("", f"{place}: {name} must be a whole number, not {value!r}")
    return value
