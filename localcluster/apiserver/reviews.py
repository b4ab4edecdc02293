"""Reviews: objects that are answered and never stored. No I/O.

Source: https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/ and
authorization-resources/
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcluster.apiserver import printers
from localcluster.apiserver.attributes import Attributes
from localcluster.apiserver.authentication import API_AUDIENCE, Authenticator, User
from localcluster.apiserver.errors import (
    ApiError,
    Cause,
    bad_request,
    invalid,
    invalid_value,
    required,
)
from localcluster.apiserver.objects import Object, dig
from localcluster.apiserver.resources import Resource

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcluster.apiserver.authorization import Authorizer
    from localcluster.apiserver.requests import Target

AUTHENTICATION = "authentication.k8s.io"
AUTHORIZATION = "authorization.k8s.io"
_RESOURCE_FIELDS = ("verb", "group", "resource", "subresource", "namespace", "name")


def review_resources() -> tuple[Resource, ...]:
    """Return the create-only resources that `Reviews` answers."""
    return tuple(
        Resource(
            group=group,
            version="v1",
            plural=plural,
            kind=kind,
            namespaced=namespaced,
            verbs=("create",),
            printer=printers.REVIEW,
        )
        for group, plural, kind, namespaced in (
            (AUTHENTICATION, "tokenreviews", "TokenReview", False),
            (AUTHENTICATION, "selfsubjectreviews", "SelfSubjectReview", False),
            (AUTHORIZATION, "subjectaccessreviews", "SubjectAccessReview", False),
            (AUTHORIZATION, "selfsubjectaccessreviews", "SelfSubjectAccessReview", False),
            (AUTHORIZATION, "selfsubjectrulesreviews", "SelfSubjectRulesReview", False),
            (AUTHORIZATION, "localsubjectaccessreviews", "LocalSubjectAccessReview", True),
        )
    )


class Reviews:
    """Answers reviews.

    Args:
        authenticator: checks the token of a TokenReview.
        authorizer: knows who may do what.
    """

    def __init__(self, authenticator: Authenticator, authorizer: Authorizer) -> None:
        self._authenticator = authenticator
        self._authorizer = authorizer

    def answer(self, target: Target, review: Object, user: User) -> Object:
        """Return `review` with its status.

        Args:
            target: one of `review_resources`, and the namespace of the path.
            review: the request's body.
            user: who asks.

        Raises:
            ApiError: 400 for a body that is no object, 422 for one that asks nothing.
        """
        if not isinstance(review, dict) or not isinstance(review.get("spec") or {}, dict):
            raise bad_request("the body of the request is not a review")
        spec: Object = review.get("spec") or {}
        answers: dict[str, Callable[[], Object]] = {
            "tokenreviews": lambda: _token_status(review, self._authenticator),
            "selfsubjectreviews": lambda: {"userInfo": user.info()},
            "selfsubjectaccessreviews": lambda: self._access(target, spec, user),
            "selfsubjectrulesreviews": lambda: self._rules(spec, user),
        }
        asked = answers.get(target.resource.plural)
        status = asked() if asked else self._access(target, spec, _subject(target, spec))
        return {
            "kind": target.resource.kind,
            "apiVersion": target.resource.api_version,
            "metadata": {},
            "spec": spec,
            "status": status,
        }

    def _access(self, target: Target, spec: Object, user: User) -> Object:
        decision = self._authorizer.decide(user, _attributes(target, spec))
        reason = {"reason": decision.reason} if decision.reason else {}
        return {"allowed": decision.allowed, **reason}

    def _rules(self, spec: Object, user: User) -> Object:
        namespace = spec.get("namespace")
        if not namespace:
            raise bad_request("no namespace on request")
        rules = self._authorizer.rules(user, str(namespace))
        return {
            "resourceRules": [rule for rule in rules if not rule.get("nonResourceURLs")],
            "nonResourceRules": [rule for rule in rules if rule.get("nonResourceURLs")],
            "incomplete": False,
        }


def _subject(target: Target, spec: Object) -> User:
    """Return whose rights a review asks about."""
    name, groups = spec.get("user") or "", tuple(spec.get("groups") or ())
    if not name and not groups:
        raise _invalid(
            target, required("spec.user", "at least one of user or group must be specified")
        )
    return User(str(name), groups, str(spec.get("uid") or ""))


def _attributes(target: Target, spec: Object) -> Attributes:
    """Return the request that a review asks about."""
    resource: Object = spec.get("resourceAttributes") or {}
    other: Object = spec.get("nonResourceAttributes") or {}
    if bool(resource) == bool(other):
        why = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        raise _invalid(target, invalid_value("spec.resourceAttributes", resource, why))
    if other:
        return Attributes(str(other.get("verb") or ""), path=str(other.get("path") or ""))
    given = {field: str(resource.get(field) or "") for field in _RESOURCE_FIELDS}
    if target.namespace and given["namespace"] != target.namespace:
        why = f"must match metadata.namespace: {target.namespace}"
        field = "spec.resourceAttributes.namespace"
        raise _invalid(target, invalid_value(field, given["namespace"], why))
    return Attributes(**given)


def _invalid(target: Target, cause: Cause) -> ApiError:
    return invalid(target.resource.group, target.resource.kind, "", [cause])


def _token_status(review: Object, authenticator: Authenticator) -> Object:
    token = dig(review, "spec", "token")
    if not token or not isinstance(token, str):
        cause = required("spec.token", "the bearer token to check")
        raise invalid(AUTHENTICATION, "TokenReview", "", [cause])
    wanted = tuple(dig(review, "spec", "audiences") or (API_AUDIENCE,))
    user = authenticator.user(token, wanted)
    if user is None:
        return {"authenticated": False, "user": {}, "error": "invalid bearer token"}
    audiences = [name for name in wanted if name in user.audiences]
    return {"authenticated": True, "user": user.info(), "audiences": audiences}
