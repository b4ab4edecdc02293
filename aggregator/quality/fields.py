"""The fields that an action can set, and which values of them can be written (SPEC 4.7, 4.8). Pure.

A field is named by its path: ("opsState",), ("deletionPriority",), ("labels", "team"),
("containers", "game", "image"). Its value is a plain one; resources are canonical JSON text, so
that equal ones are equal.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from aggregator.quality.template.parse import is_template, parse_template
from aggregator.quality.template.render import render
from aggregator.quality.template.syntax import RenderError, TemplateError
from aggregator.selection import parse_priority
from shared.api import names
from shared.api.meta import LABEL_VALUE_PATTERN

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from shared.api.gameserver import GameServerContainer
    from shared.api.gameserverset import GameServerSetSpec
    from shared.api.service_quality import ServiceQualityAction

Field = tuple[str, ...]
FieldValue = str | int | bool
OPS_STATE: Field = ("opsState",)
CONTAINERS = "containers"
_IMAGE = "image"
_RESOURCES = "resources"
_PRIORITIES = frozenset({"updatePriority", "deletionPriority"})
_METADATA = frozenset({"labels", "annotations"})
_TEMPLATED = frozenset({OPS_STATE[0]}) | _PRIORITIES | _METADATA
# Bounds of names: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/
_MAX_NAME = 63
_MAX_PREFIX = 253
_MAX_SHOWN = 80
_LABEL_VALUE = "use at most 63 letters, digits, - _ and . with a letter or digit at both ends"
_KEY = "use NAME or PREFIX/NAME, for example example.com/team"
_DNS_SUBDOMAIN = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"


class SkippedField(Exception):  # noqa: N818 - it is no error: the other fields are written
    """A field that cannot be written; the text says why."""


def action_fields(action: ServiceQualityAction) -> Iterator[tuple[Field, FieldValue]]:
    """Yield what an action says about each field, templates as they are written.

    An empty opsState or priority is as good as none.
    """
    scalars: dict[str, FieldValue | None] = {
        "opsState": action.ops_state,
        "updatePriority": action.update_priority,
        "deletionPriority": action.deletion_priority,
        "networkDisabled": action.network_disabled,
    }
    for name, value in scalars.items():
        if value is not None and value != "":
            yield (name,), value
    yield from container_fields(action.containers).items()
    for key, text in action.labels.items():
        yield ("labels", key), text
    for key, text in action.annotations.items():
        yield ("annotations", key), text


def usable_value(field: Field, value: FieldValue, result: str | None) -> FieldValue | None:
    """Return what to write: templates rendered, priorities as integers.

    Args:
        field: its path.
        value: as the action has it.
        result: the cleaned result of the probe; None when it is not known any more.

    Returns:
        None when nothing is asked for: a template may render no opsState at all.

    Raises:
        SkippedField: the API server would refuse the whole patch for this value.
    """
    if isinstance(value, str) and is_template(value):
        if field[0] not in _TEMPLATED:
            raise SkippedField("it cannot be a template")
        value = _rendered(value, result)
        if field == OPS_STATE and not value:
            return None
    if field[0] in _PRIORITIES:
        return _priority(value)
    _check_key(field)
    if field[0] in ("labels", "opsState") and not is_label_value(str(value)):
        raise SkippedField(f"{_shown(value)} is no legal label value: {_LABEL_VALUE}")
    return value


def value_problem(field: Field, value: FieldValue) -> str | None:
    """Return what is wrong with a value whatever the probe says; None when that depends on it."""
    try:
        if isinstance(value, str) and is_template(value) and field[0] in _TEMPLATED:
            parse_template(value)
            _check_key(field)
        else:
            usable_value(field, value, None)
    except SkippedField as skipped:
        return str(skipped)
    except TemplateError as error:
        return f"is no template: {error}"
    return None


def template_containers(spec: GameServerSetSpec) -> frozenset[str]:
    """Return the names of the containers that an action of this set can speak of."""
    containers = spec.game_server_template.spec["containers"]
    return frozenset(container["name"] for container in containers)


def check_container(field: Field, known: Collection[str] | None) -> None:
    """Refuse a field of a container that is not in the template; without one all are taken.

    Raises:
        SkippedField: naming those that are.
    """
    if known is not None and field[0] == CONTAINERS and field[1] not in known:
        listed = ", ".join(sorted(known))
        raise SkippedField(f"{field[1]!r} is no container of the template ({listed})")


def container_fields(containers: Iterable[GameServerContainer]) -> dict[Field, FieldValue]:
    """Return the image and the resources of each container as fields."""
    fields: dict[Field, FieldValue] = {}
    for container in containers:
        if container.image:
            fields[CONTAINERS, container.name, _IMAGE] = container.image
        if container.resources is not None:
            resources = json.dumps(container.resources, sort_keys=True, separators=(",", ":"))
            fields[CONTAINERS, container.name, _RESOURCES] = resources
    return fields


def merge_containers(
    present: Sequence[GameServerContainer], writes: Mapping[Field, FieldValue]
) -> list[dict[str, Any]]:
    """Return spec.containers after the writes: a merge patch can only replace the whole list.

    Args:
        present: the list that the object has; its order and other entries stay.
        writes: any fields; those of containers count.
    """
    entries: dict[str, dict[str, Any]] = {
        container.name: container.model_dump(exclude_defaults=True) for container in present
    }
    for field, value in writes.items():
        if field[0] == CONTAINERS:
            _, name, part = field
            entry = entries.setdefault(name, {"name": name})
            entry[part] = json.loads(str(value)) if part == _RESOURCES else value
    return list(entries.values())


def is_label_value(text: str) -> bool:
    """Tell whether a label can have this value; an empty one is legal."""
    return len(text) <= _MAX_NAME and re.fullmatch(LABEL_VALUE_PATTERN, text) is not None


def _rendered(text: str, result: str | None) -> str:
    try:
        template = parse_template(text)
        if result is None:
            raise SkippedField("the result is not known any more")
        return render(template, result)
    except TemplateError as error:
        raise SkippedField(f"its value is no template: {error}") from None
    except RenderError as error:
        raise SkippedField(f"the template has no value: {error}") from None


def _priority(value: FieldValue) -> int:
    priority = parse_priority(value)
    if not priority.valid:
        raise SkippedField(f"{_shown(value)} is no 32-bit integer")
    return priority.value


def _check_key(field: Field) -> None:
    if field[0] not in _METADATA:
        return
    if not _is_key(field[1]):
        raise SkippedField(f"{_shown(field[1])} is no legal {field[0][:-1]} key: {_KEY}")
    if field[1] in names.OWNED_KEYS:
        raise SkippedField(f"{field[1]} belongs to Gamekeeper: choose another key")


def _shown(value: FieldValue) -> str:
    """Return a value for a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 1]}…"


def _is_key(key: str) -> bool:
    """Tell whether a label or annotation key is legal: an optional DNS prefix and a name."""
    prefix, separator, name = key.rpartition("/")
    if separator and (len(prefix) > _MAX_PREFIX or not re.fullmatch(_DNS_SUBDOMAIN, prefix)):
        return False
    return bool(name) and is_label_value(name)
