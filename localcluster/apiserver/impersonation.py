"""Acting as another user (`kubectl --as`): who may, and who the request is from then. Pure.

Source: https://kubernetes.io/docs/reference/access-authn-authz/user-impersonation/ and
k8s.io/apiserver pkg/endpoints/filters/impersonation
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

from localcluster.apiserver.attributes import Attributes
from localcluster.apiserver.authentication import AUTHENTICATED, User
from localcluster.apiserver.authorization import Authorizer, denied
from localcluster.apiserver.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multidict import CIMultiDictProxy

_ACCOUNT = "system:serviceaccount:"
_EXTRA = "impersonate-extra-"
_GROUP = "authentication.k8s.io"


def impersonated(user: User, headers: CIMultiDictProxy[str], authorizer: Authorizer) -> User:
    """Return the user that a request wants to be: another one, or `user` itself.

    Args:
        user: who is authenticated.
        headers: Impersonate-User, -Group, -Uid and -Extra-KEY.
        authorizer: knows the verb impersonate too.

    Raises:
        ApiError: 403 for a user, group or extra that `user` may not impersonate, 500 for one of
            the others without Impersonate-User, as the real server answers.
    """
    name = headers.get("Impersonate-User", "")
    groups = tuple(headers.getall("Impersonate-Group", ()))
    uid = headers.get("Impersonate-Uid", "")
    extra: dict[str, tuple[str, ...]] = {}
    for key, value in headers.items():
        if key.lower().startswith(_EXTRA):
            field = unquote(key[len(_EXTRA) :].lower())
            extra[field] = (*extra.get(field, ()), value)
    if not name:
        if groups or uid or extra:
            message = "requested a group, uid or extra without impersonating a user"
            raise ApiError(500, "InternalError", message)
        return user
    for attributes in _asked(name, groups, uid, extra):
        if not authorizer.decide(user, attributes).allowed:
            raise denied(user, attributes)
    return User(name, _with_implied(name, groups), uid, tuple(extra.items()))


def _asked(
    name: str, groups: tuple[str, ...], uid: str, extra: dict[str, tuple[str, ...]]
) -> Iterator[Attributes]:
    """Yield what has to be allowed, each thing by itself."""
    namespace, _, account = name.removeprefix(_ACCOUNT).partition(":")
    if name.startswith(_ACCOUNT) and account:
        yield Attributes("impersonate", "", "serviceaccounts", "", namespace, account)
    else:
        yield Attributes("impersonate", "", "users", name=name)
    for group in groups:
        yield Attributes("impersonate", "", "groups", name=group)
    if uid:
        yield Attributes("impersonate", _GROUP, "uids", name=uid)
    for key, values in extra.items():
        for value in values:
            yield Attributes("impersonate", _GROUP, "userextras", key, name=value)


def _with_implied(name: str, groups: tuple[str, ...]) -> tuple[str, ...]:
    """Return the groups with those that the user would be in by itself."""
    if name.startswith(_ACCOUNT) and not groups:
        namespace = name.removeprefix(_ACCOUNT).partition(":")[0]
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
    return groups if AUTHENTICATED in groups else (*groups, AUTHENTICATED)
