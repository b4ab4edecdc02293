r"""Kubernetes' protobuf form of the few objects that kubectl sends in it. Pure.

Typed commands (`kubectl create namespace`, `create token`, `auth can-i`) send protobuf and do not
fall back to JSON. A body is the magic `k8s\0` and a runtime.Unknown that wraps the object, whose
fields are in protobuf_messages.py. Everything else is sent as JSON by its clients, and answers are
always JSON.

Source: k8s.io/apimachinery pkg/runtime/serializer/protobuf, the generated.proto files of
k8s.io/api, and https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localcluster.apiserver.errors import ApiError, bad_request, unsupported_media_type
from localcluster.apiserver.protobuf_messages import KINDS
from localcluster.apiserver.protobuf_wire import Message, fields, read, string

if TYPE_CHECKING:
    from localcluster.apiserver.objects import Object

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\0"
_TYPE_META: Message = {1: string("apiVersion"), 2: string("kind")}


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
    unknown: dict[int, Any] = dict(fields(memoryview(body)[len(_MAGIC) :]))
    meta = read(_TYPE_META, unknown.get(1, b""))
    message = KINDS.get(meta.get("kind", ""))
    if message is None:
        raise _unknown_kind(meta.get("kind", ""))
    return {**meta, **read(message, unknown.get(2, b""))}


def _unknown_kind(kind: str) -> ApiError:
    error = unsupported_media_type(f"{MEDIA_TYPE} of {kind}", ("application/json",))
    message = f"{error.message}; write the {kind} to a file and use kubectl create -f"
    return ApiError(error.code, error.reason, message)
