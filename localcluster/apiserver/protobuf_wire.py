"""Reading protobuf messages by tables of fields. Pure.

A table says for each field number the JSON name and how the value is read; what a table does not
name is skipped.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from localcluster.apiserver.objects import Object, timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a message: its JSON name, and how its value is read."""

    name: str
    read: Callable[[Any], Any]
    repeated: bool = False
    # A map is a repeated message of key (1) and value (2).
    mapped: bool = False


Message: TypeAlias = dict[int, Field]


def text(value: Any) -> str:
    """Return a string."""
    return bytes(value).decode()


def base64_text(value: Any) -> str:
    """Return bytes as JSON holds them."""
    return base64.b64encode(value).decode()


def integer(value: Any) -> int:
    """Return an int64."""
    # int64 is sent as its two's complement.
    return value - (1 << 64) if value >= 1 << 63 else int(value)


def time(value: Any) -> str | None:
    """Return a metav1.Time; None for the zero time."""
    seconds = next((integer(v) for number, v in fields(value) if number == 1), None)
    return None if seconds is None else timestamp(datetime.fromtimestamp(seconds, UTC))


def string(name: str) -> Field:
    """Return a string field."""
    return Field(name, text)


def number(name: str) -> Field:
    """Return an integer field."""
    return Field(name, integer)


def flag(name: str) -> Field:
    """Return a boolean field."""
    return Field(name, bool)


def strings(name: str) -> Field:
    """Return a field that is a list of strings."""
    return Field(name, text, repeated=True)


def mapping(name: str, read: Callable[[Any], Any] = text) -> Field:
    """Return a field that is a map from strings; `read` reads its values."""
    return Field(name, read, mapped=True)


def nested(name: str, message: Message, *, repeated: bool = False) -> Field:
    """Return a field that is a message."""
    return Field(name, lambda value: read(message, value), repeated=repeated)


def read(message: Message, data: Any) -> Object:
    """Return a message as a JSON object, without empty values, which Go's JSON omits too."""
    result: Object = {}
    for number, value in fields(data):
        field = message.get(number)
        if field is None:
            continue
        if field.mapped:
            entry = dict(fields(value))
            name = text(entry.get(1, b""))
            result.setdefault(field.name, {})[name] = field.read(entry.get(2, b""))
        elif field.repeated:
            result.setdefault(field.name, []).append(field.read(value))
        else:
            read = field.read(value)
            if read not in ("", None, {}):
                result[field.name] = read
    return result


def fields(data: Any) -> Iterator[tuple[int, Any]]:
    """Yield number and raw value of each field: an int, or a memoryview of bytes."""
    view, position = memoryview(data), 0
    while position < len(view):
        tag, position = _varint(view, position)
        kind = tag & 7
        if kind == _VARINT:
            value, position = _varint(view, position)
            yield tag >> 3, value
            continue
        if kind == _LENGTH:
            size, position = _varint(view, position)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            msg = f"wire type {kind} at byte {position}"
            raise ValueError(msg)
        if position + size > len(view):
            msg = f"field {tag >> 3} ends after the message"
            raise ValueError(msg)
        yield tag >> 3, view[position : position + size]
        position += size


def _varint(view: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = view[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
