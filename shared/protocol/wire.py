"""How dataclasses look as JSON: camelCase names, RFC 3339 times in UTC. Pure."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any


def camel(name: str) -> str:
    """Return `snake_case` as `snakeCase`; also the alias generator of the pydantic models."""
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)


def render_time(moment: datetime) -> str:
    """Return an aware time as RFC 3339 in UTC, for example 2026-01-02T03:04:05.678Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def render(value: Any) -> Any:
    """Return a dataclass, or a container of them, as plain JSON values, without None fields."""
    if is_dataclass(value) and not isinstance(value, type):
        pairs = ((alias, getattr(value, name)) for name, alias in _aliases(type(value)))
        return {alias: render(item) for alias, item in pairs if item is not None}
    if isinstance(value, datetime):
        return render_time(value)
    if isinstance(value, list | tuple):
        return [render(item) for item in value]
    if isinstance(value, dict):
        return {key: render(item) for key, item in value.items()}
    return value


@cache
def _aliases(kind: type) -> tuple[tuple[str, str], ...]:
    """Return the fields of a dataclass, each with its name on the wire: they never change."""
    return tuple((field.name, camel(field.name)) for field in fields(kind))
