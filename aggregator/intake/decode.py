"""The body of a report -> the shared dataclasses, or the path of the field that is wrong. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from shared.errors import InvalidInput
from shared.protocol.report import Report

if TYPE_CHECKING:
    from collections.abc import Iterable

_REPORT = TypeAdapter(Report)

# pydantic speaks of Python where the sender wrote JSON.
_MESSAGES = {
    "unexpected_keyword_argument": "is no field of a report",
    "missing_argument": "is required",
    "missing": "is required",
}


def decode_report(body: bytes) -> Report:
    """Return the report in a JSON text; types are strict, unknown fields are refused.

    Raises:
        InvalidInput: with the path of the first wrong field, as it is spelt on the wire.
    """
    try:
        # Only the wire's spelling counts: `pod_uid` is no field of it.
        return _REPORT.validate_json(body, strict=True, by_alias=True, by_name=False)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        message = _MESSAGES.get(first["type"], first["msg"])
        raise InvalidInput(_path(first["loc"]), message) from error


def _path(location: Iterable[int | str]) -> str:
    """Return a location as a field path, for example `probes[2].result`."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if path else part
    return path
