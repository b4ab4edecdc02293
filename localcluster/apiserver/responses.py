"""HTTP responses in Kubernetes' representations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from localcluster.apiserver.errors import ApiError, bad_request, not_acceptable
from localcluster.apiserver.objects import Object, encode
from localcluster.apiserver.tables import INCLUDE_OBJECT, IncludeObject, table
from shared.clock import utc_now

if TYPE_CHECKING:
    from collections.abc import Iterable

    from localcluster.apiserver.resources import Resource
    from localcluster.apiserver.store import Stored

JSON = "application/json"
# Protobuf is read only; clients that prefer it name JSON after it, or take what comes.
_WRITTEN = frozenset({JSON, "application/*", "text/plain", "*/*"})
# Warning header: code 299 (miscellaneous persistent warning), agent unknown, quoted text. Source:
# RFC 7234, 5.5.
_WARNING = '299 - "{}"'


def json_bytes(body: bytes, status: int = 200, warnings: Iterable[str] = ()) -> web.Response:
    """Return a response with a JSON body that is encoded already."""
    response = web.Response(body=body, status=status, content_type=JSON)
    for warning in warnings:
        escaped = warning.replace("\\", "\\\\").replace('"', '\\"')
        response.headers.add("Warning", _WARNING.format(escaped))
    return response


def json_object(value: Object, status: int = 200) -> web.Response:
    """Return a response with a JSON body."""
    return json_bytes(encode(value), status)


async def streamed(request: web.Request, pieces: Iterable[bytes]) -> web.StreamResponse:
    """Send a JSON body piece by piece, no faster than the client reads it."""
    response = web.StreamResponse(headers={"Content-Type": JSON})
    try:
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
        await response.write_eof()
    except ConnectionResetError:
        # The client went away; there is nobody left to tell.
        return response
    return response


def failure(error: ApiError) -> web.Response:
    """Return the response to a refused request; its advice when to retry is a header too."""
    response = json_object(error.status(), error.code)
    if "retryAfterSeconds" in error.details:
        response.headers["Retry-After"] = str(error.details["retryAfterSeconds"])
    return response


def check_acceptable(request: web.Request) -> None:
    """Refuse a client that reads nothing this server writes.

    Raises:
        ApiError: 406.
    """
    wanted = request.headers.get("Accept", "*/*")
    types = {part.partition(";")[0].strip() for part in wanted.split(",")}
    if request.method == "GET" and not types & _WRITTEN:
        raise not_acceptable(sorted(_WRITTEN - {"*/*"}))


def table_format(request: web.Request) -> IncludeObject | None:
    """Return how much of the object a Table shall carry, or None for plain objects.

    Raises:
        ApiError: 400 for an unknown `includeObject`.
    """
    # A client lists what it can read in the order of its wishes; kubectl names Table first.
    first = request.headers.get("Accept", "").partition(",")[0]
    if "as=Table" not in first.replace(" ", "").split(";"):
        return None
    wanted = request.query.get("includeObject") or "Metadata"
    for include in INCLUDE_OBJECT:
        if wanted == include:
            return include
    raise bad_request(f"includeObject: {wanted!r} is none of {', '.join(INCLUDE_OBJECT)}")


def one(
    request: web.Request,
    resource: Resource,
    stored: Stored,
    status: int = 200,
    warnings: Iterable[str] = (),
) -> web.Response:
    """Return an object, as a Table where the client asks for one."""
    include = table_format(request)
    if include is None:
        return json_bytes(stored.encoded(resource.api_version), status, warnings)
    obj = stored.presented(resource.api_version)
    metadata = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
    body = encode(table(resource.printer, [obj], metadata, include, utc_now()))
    return json_bytes(body, status, warnings)
