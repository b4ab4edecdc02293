r"""Kubernetes' protobuf form of the few objects that kubectl sends in it. Pure.

Typed commands (`kubectl create namespace`, `create token`, `auth can-i`) send protobuf and do not
fall back to JSON. A body is the magic `k8s\0` and a runtime.Unknown that wraps the object; the
tables below give the field numbers of those objects. Everything else is sent as JSON by its
clients, and answers are always JSON.

Source: k8s.io/apimachinery pkg/runtime/serializer/protobuf, the generated.proto files of
k8s.io/api, and https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from localcluster.apiserver.errors import ApiError, bad_request, unsupported_media_type
from localcluster.apiserver.objects import Object, timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\0"
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True, slots=True)
class _Field:
    """A field of a message: its JSON name, and how its value is read."""

    name: str
    read: Callable[[Any], Any]
    repeated: bool = False
    # A map is a repeated message of key (1) and value (2).
    mapped: bool = False


_Message = dict[int, _Field]


def _text(value: Any) -> str:
    return bytes(value).decode()


def _base64(value: Any) -> str:
    return base64.b64encode(value).decode()


def _integer(value: Any) -> int:
    # int64 is sent as its two's complement.
    return value - (1 << 64) if value >= 1 << 63 else int(value)


def _time(value: Any) -> str | None:
    seconds = next((_integer(v) for number, v in _fields(value) if number == 1), None)
    return None if seconds is None else timestamp(datetime.fromtimestamp(seconds, UTC))


def _string(name: str) -> _Field:
    return _Field(name, _text)


def _number(name: str) -> _Field:
    return _Field(name, _integer)


def _flag(name: str) -> _Field:
    return _Field(name, bool)


def _strings(name: str) -> _Field:
    return _Field(name, _text, repeated=True)


def _map(name: str, read: Callable[[Any], Any] = _text) -> _Field:
    return _Field(name, read, mapped=True)


def _nested(name: str, message: _Message, *, repeated: bool = False) -> _Field:
    return _Field(name, lambda value: _read(message, value), repeated=repeated)


_OWNER_REFERENCE: _Message = {
    1: _string("kind"),
    3: _string("name"),
    4: _string("uid"),
    5: _string("apiVersion"),
    6: _flag("controller"),
    7: _flag("blockOwnerDeletion"),
}
_METADATA = _nested(
    "metadata",
    {
        1: _string("name"),
        2: _string("generateName"),
        3: _string("namespace"),
        5: _string("uid"),
        6: _string("resourceVersion"),
        8: _Field("creationTimestamp", _time),
        11: _map("labels"),
        12: _map("annotations"),
        13: _nested("ownerReferences", _OWNER_REFERENCE, repeated=True),
        14: _strings("finalizers"),
    },
)
_RESOURCE_ATTRIBUTES: _Message = {
    number: _string(name)
    for number, name in enumerate(
        ("namespace", "verb", "group", "version", "resource", "subresource", "name"), start=1
    )
}
_BOUND_OBJECT: _Message = {
    1: _string("kind"),
    2: _string("apiVersion"),
    3: _string("name"),
    4: _string("uid"),
}

_DELETE_OPTIONS: _Message = {
    1: _number("gracePeriodSeconds"),
    2: _nested("preconditions", {1: _string("uid"), 2: _string("resourceVersion")}),
    3: _flag("orphanDependents"),
    4: _string("propagationPolicy"),
    5: _strings("dryRun"),
}
_KINDS: dict[str, _Message] = {
    "Namespace": {1: _METADATA, 2: _nested("spec", {1: _strings("finalizers")})},
    "ConfigMap": {1: _METADATA, 2: _map("data"), 3: _map("binaryData", _base64)},
    "Secret": {
        1: _METADATA,
        2: _map("data", _base64),
        3: _string("type"),
        4: _map("stringData"),
        5: _flag("immutable"),
    },
    "ServiceAccount": {1: _METADATA, 4: _flag("automountServiceAccountToken")},
    "ResourceQuota": {
        1: _METADATA,
        # A Quantity is a message that holds its text.
        2: _nested("spec", {1: _map("hard", lambda value: _read({1: _string("")}, value)[""])}),
    },
    "TokenRequest": {
        1: _METADATA,
        2: _nested(
            "spec",
            {
                1: _strings("audiences"),
                3: _nested("boundObjectRef", _BOUND_OBJECT),
                4: _number("expirationSeconds"),
            },
        ),
    },
    "SelfSubjectReview": {1: _METADATA},
    "SelfSubjectAccessReview": {
        1: _METADATA,
        2: _nested(
            "spec",
            {
                1: _nested("resourceAttributes", _RESOURCE_ATTRIBUTES),
                2: _nested("nonResourceAttributes", {1: _string("path"), 2: _string("verb")}),
            },
        ),
    },
    "SelfSubjectRulesReview": {1: _METADATA, 2: _nested("spec", {1: _string("namespace")})},
    "DeleteOptions": _DELETE_OPTIONS,
    "Eviction": {1: _METADATA, 2: _nested("deleteOptions", _DELETE_OPTIONS)},
}
_TYPE_META: _Message = {1: _string("apiVersion"), 2: _string("kind")}


def decode(body: bytes) -> Object:
    """Return the JSON form of a protobuf body.

    Raises:
        ApiError: 415 for a kind that is not in the tables, 400 for bytes that are no such message.
    """
    try:
        return _decode(body)
    except (IndexError, ValueError) as error:
        raise bad_request(f"the body of the request is not protobuf: {error}") from error


def _decode(body: bytes) -> Object:
    if not body.startswith(_MAGIC):
        msg = "it does not start with k8s"
        raise ValueError(msg)
    unknown: dict[int, Any] = dict(_fields(memoryview(body)[len(_MAGIC) :]))
    meta = _read(_TYPE_META, unknown.get(1, b""))
    message = _KINDS.get(meta.get("kind", ""))
    if message is None:
        raise _unknown_kind(meta.get("kind", ""))
    return {**meta, **_read(message, unknown.get(2, b""))}


def _unknown_kind(kind: str) -> ApiError:
    error = unsupported_media_type(f"{MEDIA_TYPE} of {kind}", ("application/json",))
    message = f"{error.message}; write the {kind} to a file and use kubectl create -f"
    return ApiError(error.code, error.reason, message)


def _read(message: _Message, data: Any) -> Object:
    """Return a message as a JSON object, without empty values, which Go's JSON omits too."""
    result: Object = {}
    for number, value in _fields(data):
        field = message.get(number)
        if field is None:
            continue
        if field.mapped:
            entry = dict(_fields(value))
            name = _text(entry.get(1, b""))
            result.setdefault(field.name, {})[name] = field.read(entry.get(2, b""))
        elif field.repeated:
            result.setdefault(field.name, []).append(field.read(value))
        else:
            read = field.read(value)
            if read not in ("", None, {}):
                result[field.name] = read
    return result


def _fields(data: Any) -> Iterator[tuple[int, Any]]:
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
