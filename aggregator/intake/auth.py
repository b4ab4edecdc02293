"""Which pod a bearer token belongs to, asked of the API server and remembered. Not pure.

A token is reviewed once in its life, shortly before its end a second time, however often its agent
reports: a fleet that sends nothing but heartbeats costs the API server next to nothing. A token
whose pod is gone stays remembered, and is of no use: its pod is no longer known, and a report for
it is answered with 503. The cache is keyed by the SHA-256 of the token, so that no dump of it holds
a secret; refusals have a part of their own, so that made-up tokens push no agent out of it.
Source: https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/ (bound
tokens: the pod's name and uid are in the user's extra fields; the kubelet renews a token after 80 %
of its life, so a good agent's token is never near its end).
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from math import isfinite
from typing import TYPE_CHECKING

from aggregator.answer_cache import AnswerCache, Remembered
from aggregator.kube.errors import shorten
from aggregator.reviews import Unauthenticated, expiry_of, review_token
from shared.clock import monotonic_seconds, utc_now
from shared.errors import AppError
from shared.protocol.paths import TOKEN_AUDIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from aggregator.kube.transport import KubeClient
    from aggregator.reviews import User

# A token that names no end (a legacy one) may be taken back at any time.
_ENDLESS_SECONDS = 60.0
# In its last minute a token is reviewed again; then it is good until its end, should the API
# server be away.
_NEAR_END_SECONDS = 60.0
# No longer than an hour: a token can also end with its service account.
_LONGEST_SECONDS = 3600.0
_NEGATIVE_SECONDS = 5.0
_CAPACITY = 50_000
# After a change of leader every agent comes at once; the API server gets them a few at a time.
_CONCURRENT_REVIEWS = 32
_SERVICE_ACCOUNT_PREFIX = "system:serviceaccount:"
_POD_NAME = "authentication.kubernetes.io/pod-name"
_POD_UID = "authentication.kubernetes.io/pod-uid"


@dataclass(frozen=True, slots=True)
class PodIdentity:
    """The pod that a token was made for."""

    namespace: str
    pod_name: str
    pod_uid: str
    service_account: str


class NotAPod(AppError):  # noqa: N818 - says what is wrong
    """The token is valid and belongs to no pod, so it can report for none (403)."""

    def __init__(self, message: str) -> None:
        super().__init__("NotAPod", message)


_Verdict = PodIdentity | Unauthenticated | NotAPod


class TokenAuthenticator:
    """Reviews tokens and remembers the answers. An instance is a callable token -> PodIdentity.

    Args:
        client: the API server.
        monotonic: seconds, for the age of what is remembered.
        wall_seconds: seconds since 1970, to compare with a token's `exp`.
        capacity: number of tokens remembered.
        on_review: called with the outcome of each review, for the metric.
    """

    def __init__(
        self,
        client: KubeClient,
        monotonic: Callable[[], float] = monotonic_seconds,
        wall_seconds: Callable[[], float] = lambda: utc_now().timestamp(),
        capacity: int = _CAPACITY,
        on_review: Callable[[str], None] = lambda _outcome: None,
    ) -> None:
        self._client = client
        self._wall_seconds = wall_seconds
        self._on_review = on_review
        self._cache: AnswerCache[bytes, _Verdict] = AnswerCache(
            capacity, _CONCURRENT_REVIEWS, monotonic
        )

    async def __call__(self, token: str) -> PodIdentity:
        """Return the pod that `token` was made for.

        Raises:
            Unauthenticated: it is not valid, or not for our audience: the agent reads it again.
            NotAPod: it is valid and bound to no pod.
            TransientError: the API server could not be asked; says nothing about the token.
        """
        digest = sha256(token.encode()).digest()
        verdict = self._cache.fresh(digest)
        if verdict is None:
            verdict = await self._cache.get(digest, lambda: self._review(token))
        if isinstance(verdict, PodIdentity):
            return verdict
        # A new one each time: an exception that is raised again collects the frames of every raise.
        raise type(verdict)(verdict.message)

    async def _review(self, token: str) -> Remembered[_Verdict]:
        try:
            user = await review_token(self._client, token, TOKEN_AUDIENCE)
        except Unauthenticated as error:
            self._on_review("unauthenticated")
            return Remembered(error, _NEGATIVE_SECONDS, by_strangers=True)
        except AppError:
            self._on_review("failed")
            raise
        verdict = _verdict_of(user)
        if isinstance(verdict, NotAPod):
            self._on_review("not a pod")
            return Remembered(verdict, _NEGATIVE_SECONDS)
        self._on_review("pod")
        return Remembered(verdict, *self._lifetime(token))

    def _lifetime(self, token: str) -> tuple[float, float]:
        """Return for how many seconds a good token is fresh, and for how many it is usable."""
        expires = expiry_of(token)
        if expires is None or not isfinite(expires):
            return _ENDLESS_SECONDS, _LONGEST_SECONDS
        left = expires - self._wall_seconds()
        fresh = left - _NEAR_END_SECONDS if left > _NEAR_END_SECONDS else left
        return min(fresh, _LONGEST_SECONDS), left


def _verdict_of(user: User) -> PodIdentity | NotAPod:
    pod_name, pod_uid = _first(user, _POD_NAME), _first(user, _POD_UID)
    namespace, _, account = user.name.removeprefix(_SERVICE_ACCOUNT_PREFIX).partition(":")
    is_account = user.name.startswith(_SERVICE_ACCOUNT_PREFIX) and namespace and account
    if not (is_account and pod_name and pod_uid):
        return NotAPod(f"the token of {shorten(user.name)!r} is not bound to a pod")
    return PodIdentity(namespace, pod_name, pod_uid, account)


def _first(user: User, name: str) -> str:
    return next(iter(user.extra.get(name, ())), "")
