"""Reviews: objects that are answered and never stored. Pure given an Authenticator.

Every authenticated user may do everything here, so access reviews answer "allowed"; what they
protect is that programs ask at all, as they must in a real cluster.

Source: https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/ and
authorization-resources/
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcluster.apiserver import printers
from localcluster.apiserver.authentication import API_AUDIENCE, Authenticator, User
from localcluster.apiserver.errors import invalid, required
from localcluster.apiserver.objects import Object, dig
from localcluster.apiserver.resources import Resource

if TYPE_CHECKING:
    from collections.abc import Callable

AUTHENTICATION = "authentication.k8s.io"
AUTHORIZATION = "authorization.k8s.io"


def review_resources() -> tuple[Resource, ...]:
    """Return the create-only resources that `answer` knows."""
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
            (AUTHORIZATION, "localsubjectaccessreviews", "LocalSubjectAccessReview", True),
        )
    )


def answer(resource: Resource, review: Object, user: User, authenticator: Authenticator) -> Object:
    """Return `review` with its status.

    Args:
        resource: one of `review_resources`.
        review: the request's body.
        user: who asks.
        authenticator: checks the token of a TokenReview.

    Raises:
        ApiError: 422 for a TokenReview without a token.
    """
    answers: dict[str, Callable[[], Object]] = {
        "tokenreviews": lambda: _token_status(review, authenticator),
        "selfsubjectreviews": lambda: {"userInfo": user.info()},
    }
    status = answers.get(resource.plural, _allowed)()
    return {
        "kind": resource.kind,
        "apiVersion": resource.api_version,
        "metadata": {},
        "spec": review.get("spec") or {},
        "status": status,
    }


def _allowed() -> Object:
    return {"allowed": True, "reason": "the local API server allows every authenticated user"}


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
