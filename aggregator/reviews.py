"""Whose a bearer token is, and what its owner may do, asked of the API server. Not pure.

Trouble with the API server is never told as a wrong token or a missing right: a 401 makes clients
read their token again, and says nothing true.
Source: https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/
and https://kubernetes.io/docs/reference/kubernetes-api/authorization-resources/subject-access-review-v1/
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aggregator.kube.resources import SUBJECTACCESSREVIEWS, TOKENREVIEWS
from shared.errors import AppError, TerminalError, TransientError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aggregator.kube.transport import Json, KubeClient


@dataclass(frozen=True, slots=True)
class User:
    """The owner of a token, as the API server knows them."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class Unauthenticated(AppError):  # noqa: N818 - the word of HTTP and of the API server
    """The token is not valid for us (401)."""

    def __init__(self, message: str) -> None:
        super().__init__("Unauthenticated", message)


async def review_token(client: KubeClient, token: str, audience: str | None) -> User:
    """Return the owner of `token`.

    Args:
        client: the API server.
        token: as it came in the header.
        audience: whom the token must have been made for; None means the API server itself, as
            the tokens of people are.

    Raises:
        Unauthenticated: it is not valid, or not for that audience.
        TransientError: the API server could not be asked; says nothing about the token.
    """
    spec: dict[str, Any] = {"token": token}
    if audience is not None:
        spec["audiences"] = [audience]
    answer = await _review(client, TOKENREVIEWS.kind, spec)
    status: dict[str, Any] = answer.get("status") or {}
    if not status.get("authenticated"):
        # The server's own words can be long, and name its keys; the client needs none of them.
        raise Unauthenticated("the token is not valid: it expired, or its owner is gone")
    if audience is not None and audience not in (status.get("audiences") or ()):
        raise Unauthenticated(f"the token is not for the audience {audience!r}")
    return _user(status.get("user") or {})


@dataclass(frozen=True, slots=True)
class Access:
    """What somebody wants to do: `name` empty means every object, `namespace` empty everywhere."""

    verb: str
    group: str
    resource: str
    namespace: str = ""
    name: str = ""


async def review_access(client: KubeClient, user: User, access: Access) -> bool:
    """Tell whether `user` may do that.

    Raises:
        TransientError: the API server could not be asked.
    """
    attributes = {
        "verb": access.verb,
        "group": access.group,
        "resource": access.resource,
        "namespace": access.namespace,
        "name": access.name,
    }
    spec: dict[str, Any] = {
        "user": user.name,
        "uid": user.uid,
        "groups": list(user.groups),
        "extra": {key: list(values) for key, values in user.extra.items()},
        "resourceAttributes": {key: value for key, value in attributes.items() if value},
    }
    answer = await _review(client, SUBJECTACCESSREVIEWS.kind, spec)
    status: dict[str, Any] = answer.get("status") or {}
    return bool(status.get("allowed")) and not status.get("denied")


async def _review(client: KubeClient, kind: str, spec: Json) -> Json:
    resource = TOKENREVIEWS if kind == TOKENREVIEWS.kind else SUBJECTACCESSREVIEWS
    body = {"apiVersion": resource.api_version, "kind": kind, "spec": spec}
    try:
        return await client.create(resource, "", body)
    except TerminalError as error:
        # Without the right to ask we know nothing.
        raise TransientError(f"{kind}Failed", error.message) from error


def _user(body: Mapping[str, Any]) -> User:
    extra = {str(key): _texts(values) for key, values in (body.get("extra") or {}).items()}
    return User(
        name=str(body.get("username", "")),
        uid=str(body.get("uid", "")),
        groups=_texts(body.get("groups")),
        extra=extra,
    )


def _texts(values: Any) -> tuple[str, ...]:
    return tuple(str(value) for value in values or ())


def expiry_of(token: str) -> float | None:
    """Return the `exp` claim of a JWT in seconds since 1970, None where there is none.

    The signature is not checked: this only bounds how long a reviewed token is remembered.
    """
    parts = token.split(".")
    if len(parts) != 3:
        return None
    payload = parts[1]
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        # Brackets without end are no JSON error to Python.
        return None
    expires = claims.get("exp") if isinstance(claims, dict) else None
    if isinstance(expires, bool) or not isinstance(expires, int | float):
        return None
    return float(expires)
