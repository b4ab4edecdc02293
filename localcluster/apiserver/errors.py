"""Refusals of the API server, in the words and the shape of Kubernetes' `Status` objects. Pure.

Every refusal is an ApiError; app.py turns it into a response and watch.py into an ERROR event.

Source: k8s.io/apimachinery pkg/api/errors (codes, reasons, messages) and pkg/util/validation/field
(causes).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from localcluster.apiserver.objects import Object, encode

if TYPE_CHECKING:
    from collections.abc import Sequence


class ApiError(Exception):
    """A request the server refuses.

    Args:
        code: HTTP status, 4xx or 5xx.
        reason: machine-readable reason, for example `NotFound`; empty for none.
        message: one line for a person.
        details: metav1.StatusDetails, for example name, group, kind, causes.
    """

    def __init__(self, code: int, reason: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = {key: value for key, value in details.items() if value not in ("", None)}

    def status(self) -> Object:
        """Return the metav1.Status that a client decodes."""
        body: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            **({"reason": self.reason} if self.reason else {}),
        }
        if self.details:
            body["details"] = self.details
        return {**body, "code": self.code}


@dataclass(frozen=True, slots=True)
class Cause:
    """One invalid field.

    Args:
        type: a metav1.CauseType, for example `FieldValueInvalid`.
        field: path, for example `spec.serviceQualities[0].exec.command`.
        message: what is wrong with it, without the path.
    """

    type: str
    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


def qualified(group: str, name: str) -> str:
    """Return `name.group`, or the bare name in the core group."""
    return f"{name}.{group}" if group else name


def not_found(group: str, plural: str, name: str) -> ApiError:
    """Return 404: the object does not exist."""
    message = f'{qualified(group, plural)} "{name}" not found'
    return ApiError(404, "NotFound", message, name=name, group=group, kind=plural)


def no_such_path() -> ApiError:
    """Return 404: nothing is served under this path."""
    return ApiError(404, "NotFound", "the server could not find the requested resource")


def already_exists(group: str, plural: str, name: str) -> ApiError:
    """Return 409: the name is taken."""
    message = f'{qualified(group, plural)} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, name=name, group=group, kind=plural)


def conflict(group: str, plural: str, name: str, why: str) -> ApiError:
    """Return 409: the write was decided on something that is no longer so."""
    message = f'Operation cannot be fulfilled on {qualified(group, plural)} "{name}": {why}'
    return ApiError(409, "Conflict", message, name=name, group=group, kind=plural)


def modified(group: str, plural: str, name: str) -> ApiError:
    """Return 409: the resourceVersion of the write is stale."""
    return conflict(
        group,
        plural,
        name,
        "the object has been modified; "
        "please apply your changes to the latest version and try again",
    )


def invalid(group: str, kind: str, name: str, causes: Sequence[Cause]) -> ApiError:
    """Return 422 with one cause per invalid field; `causes` holds at least one."""
    text = str(causes[0]) if len(causes) == 1 else f"[{', '.join(map(str, causes))}]"
    return ApiError(
        422,
        "Invalid",
        f'{qualified(group, kind)} "{name}" is invalid: {text}',
        name=name,
        group=group,
        kind=kind,
        causes=[_cause(cause) for cause in causes],
    )


def _cause(cause: Cause) -> Object:
    return {"reason": cause.type, "message": cause.message, "field": cause.field}


def bad_request(message: str) -> ApiError:
    """Return 400: the request cannot be understood."""
    return ApiError(400, "BadRequest", message)


def forbidden(group: str, plural: str, name: str, why: str, *causes: Cause) -> ApiError:
    """Return 403: understood, and refused by a rule of the cluster."""
    message = f'{qualified(group, plural)} "{name}" is forbidden: {why}'
    told = [_cause(cause) for cause in causes] or None
    return ApiError(403, "Forbidden", message, name=name, group=group, kind=plural, causes=told)


def too_many_requests(message: str, seconds: int, *causes: Cause) -> ApiError:
    """Return 429; `seconds` is when to try again, 0 for no advice."""
    told = [{"reason": c.type, "message": c.message} for c in causes]
    details: Object = {"causes": told or None, "retryAfterSeconds": seconds or None}
    return ApiError(429, "TooManyRequests", message, **details)


def unauthorized() -> ApiError:
    """Return 401: no bearer token, or one that is not valid."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def expired(version: int, oldest: int) -> ApiError:
    """Return 410: the watch window no longer holds `version`; the client lists again."""
    return ApiError(410, "Expired", f"too old resource version: {version} ({oldest})")


def too_large_version(version: int, newest: int) -> ApiError:
    """Return 504: a read at least as new as `version` cannot be answered yet."""
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    return ApiError(
        504,
        "Timeout",
        f"Too large resource version: {version}, current: {newest}",
        causes=[cause],
        retryAfterSeconds=1,
    )


def version_at_creation() -> ApiError:
    """Return 500: nobody foresaw an object with a version before it is stored."""
    return ApiError(500, "", "resourceVersion should not be set on objects to be created")


def method_not_allowed() -> ApiError:
    """Return 405: the resource does not have this verb."""
    return ApiError(
        405,
        "MethodNotAllowed",
        "the server does not allow this method on the requested resource",
    )


def not_acceptable(served: Sequence[str]) -> ApiError:
    """Return 406: the client reads no format that this server writes."""
    return ApiError(
        406,
        "NotAcceptable",
        f"only the following media types are accepted: {', '.join(served)}",
    )


def unsupported_media_type(given: str, accepted: Sequence[str]) -> ApiError:
    """Return 415: the body is in a format this server does not read."""
    return ApiError(
        415,
        "UnsupportedMediaType",
        f"the body of the request was in an unknown format ({given or 'none given'}) - "
        f"accepted media types include: {', '.join(accepted)}",
    )


def unavailable(message: str) -> ApiError:
    """Return 503: something this request needs is not there now."""
    return ApiError(503, "ServiceUnavailable", message)


def shown(value: object) -> str:
    """Return a bad value as messages show it: JSON, so that strings carry quotes."""
    return encode(value).decode()


def invalid_value(field: str, value: object, why: str) -> Cause:
    """Return the cause of a value that breaks a rule."""
    return Cause("FieldValueInvalid", field, f"Invalid value: {shown(value)}: {why}")


def required(field: str, why: str = "") -> Cause:
    """Return the cause of an absent field."""
    return Cause("FieldValueRequired", field, f"Required value{': ' + why if why else ''}")


def unsupported_value(field: str, value: object, options: Sequence[object]) -> Cause:
    """Return the cause of a value outside a closed set."""
    listed = ", ".join(shown(option) for option in options)
    message = f"Unsupported value: {shown(value)}: supported values: {listed}"
    return Cause("FieldValueNotSupported", field, message)


def duplicate(field: str, value: object) -> Cause:
    """Return the cause of a repeated list element."""
    return Cause("FieldValueDuplicate", field, f"Duplicate value: {shown(value)}")


def forbidden_field(field: str, why: str) -> Cause:
    """Return the cause of a field that may not be set or changed now."""
    return Cause("FieldValueForbidden", field, f"Forbidden: {why}")
