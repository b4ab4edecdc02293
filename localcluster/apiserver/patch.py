"""One patch of any kind applied to one object. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jsonpatch
import jsonpointer
import msgspec

from localcluster.apiserver.errors import ApiError, bad_request, unsupported_media_type
from localcluster.apiserver.objects import Object, fresh
from localcluster.apiserver.strategic import merge_patch, strategic_merge_patch

if TYPE_CHECKING:
    from localcluster.apiserver.resources import Resource

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"


def apply_patch(resource: Resource, current: Object, content_type: str, body: bytes) -> Object:
    """Return `current` patched; it may share parts with it and with nothing else.

    Args:
        resource: custom resources do not take strategic patches.
        current: the object before.
        content_type: media type of the patch, without parameters.
        body: the patch.

    Raises:
        ApiError: 415 for a media type not served, 400 for a body that is no patch, 422 when a JSON
            patch does not apply (a failed `test` among the causes).
    """
    check_media_type(resource, content_type)
    try:
        patch = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise bad_request(f"error decoding patch: {error}") from error
    if content_type == JSON_PATCH:
        return _json_patch(current, patch)
    if not isinstance(patch, dict):
        raise bad_request("error decoding patch: a merge patch is a JSON object")
    merge = merge_patch if content_type == MERGE_PATCH else strategic_merge_patch
    patched: Object = merge(current, patch)
    return patched


def check_media_type(resource: Resource, content_type: str) -> None:
    """Refuse a kind of patch that this resource does not take (applying.py takes the rest).

    Raises:
        ApiError: 415.
    """
    accepted = (JSON_PATCH, MERGE_PATCH, *(() if resource.custom else (STRATEGIC_PATCH,)))
    if content_type not in accepted:
        raise unsupported_media_type(content_type, accepted)


def _json_patch(current: Object, operations: Any) -> Object:
    if not isinstance(operations, list):
        raise bad_request("error decoding patch: a JSON patch is an array of operations")
    try:
        # The library would copy the object too, several times more slowly.
        patched = jsonpatch.JsonPatch(operations).apply(fresh(current), in_place=True)
    except jsonpatch.InvalidJsonPatch as error:
        raise bad_request(f"error decoding patch: {error}") from error
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as error:
        raise ApiError(
            422,
            "Invalid",
            "the server rejected our request due to an error in our request",
            causes=[{"reason": "UnexpectedServerResponse", "message": str(error)}],
        ) from error
    if not isinstance(patched, dict):
        raise bad_request("the patch replaces the whole object by something that is no object")
    return patched
