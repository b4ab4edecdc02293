"""Whether a request may go on, and a record of what every user asked for. No I/O.

Without roles everybody who is authenticated may do everything; the record is kept either way, so
that a test can compare what a program asked for with the role it is given.

Source: https://kubernetes.io/docs/reference/access-authn-authz/authorization/ and k8s.io/apiserver
pkg/endpoints/handlers/responsewriters/errors.go (the message)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcluster.apiserver.errors import ApiError, qualified
from localcluster.apiserver.rbac import MASTERS, Decision, RoleAuthorizer

if TYPE_CHECKING:
    from localcluster.apiserver.attributes import Attributes
    from localcluster.apiserver.authentication import User
    from localcluster.apiserver.objects import Object

_EVERYBODY = Decision(
    allowed=True, reason="the local API server allows every authenticated user: no --rbac"
)
_RECORDED = ("verb", "group", "resource", "subresource", "namespace", "path")


class Authorizer:
    """Decides about requests.

    Args:
        roles: the roles to decide by; None lets everybody do everything.
    """

    def __init__(self, roles: RoleAuthorizer | None) -> None:
        self._roles = roles
        self._asked: dict[str, set[tuple[str, ...]]] = {}

    def decide(self, user: User, attributes: Attributes) -> Decision:
        """Return whether `user` may make a request."""
        return _EVERYBODY if self._roles is None else self._roles.decide(user, attributes)

    def authorize(self, user: User, attributes: Attributes) -> None:
        """Record a request, and refuse it unless it is allowed.

        Raises:
            ApiError: 403.
        """
        row = tuple(getattr(attributes, field) for field in _RECORDED)
        self._asked.setdefault(user.name, set()).add(row)
        if not self.decide(user, attributes).allowed:
            raise denied(user, attributes)

    def rules(self, user: User, namespace: str) -> list[Object]:
        """Return every PolicyRule that applies to `user` in a namespace."""
        if self._roles is not None:
            return self._roles.rules(user, namespace)
        everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
        return [everything, {"verbs": ["*"], "nonResourceURLs": ["*"]}]

    def asked(self) -> Object:
        """Return by user what was asked for since the start or `forget`, each thing once."""
        return {
            user: [dict(zip(_RECORDED, row, strict=True)) for row in sorted(rows)]
            for user, rows in sorted(self._asked.items())
        }

    def forget(self) -> None:
        """Begin the record anew."""
        self._asked.clear()


def is_master(user: User) -> bool:
    """Return whether nothing is forbidden to `user`."""
    return MASTERS in user.groups


def denied(user: User, attributes: Attributes) -> ApiError:
    """Return the 403 for a request that no role allows."""
    if attributes.path:
        message = f'forbidden: User "{user.name}" cannot {attributes.verb} path "{attributes.path}"'
        return ApiError(403, "Forbidden", message)
    place = (
        f'in the namespace "{attributes.namespace}"'
        if attributes.namespace
        else "at the cluster scope"
    )
    subject = qualified(attributes.group, attributes.resource)
    named = f' "{attributes.name}"' if attributes.name else ""
    message = (
        f'{subject}{named} is forbidden: User "{user.name}" cannot {attributes.verb} '
        f'resource "{attributes.qualified_resource}" in API group "{attributes.group}" {place}'
    )
    return ApiError(
        403,
        "Forbidden",
        message,
        name=attributes.name,
        group=attributes.group,
        kind=attributes.resource,
    )
