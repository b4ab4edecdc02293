"""Which pod a bearer token belongs to, asked of the API server and remembered. Not pure.

A token is reviewed at most once a minute, however often its agent reports. The cache is keyed by
the SHA-256 of the token, so that no dump of it holds a secret. Trouble with the API server is never
answered as a wrong token, for a 401 makes agents read their token again and says nothing true.
Source: https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/
and https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/ (bound tokens:
the pod's name and uid are in the user's extra fields).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from aggregator.kube.errors import shorten
from aggregator.kube.resources import TOKENREVIEWS
from shared.clock import monotonic_seconds, utc_now
from shared.errors import AppError, TerminalError, TransientError
from shared.protocol.paths import TOKEN_AUDIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from aggregator.kube.transport import Json, KubeClient

_POSITIVE_SECONDS = 60.0
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


class Unauthenticated(AppError):  # noqa: N818 - the word of HTTP and of the API server
    """The token is not valid for us: the agent reads it again (401)."""

    def __init__(self, message: str) -> None:
        super().__init__("Unauthenticated", message)


class NotAPod(AppError):  # noqa: N818 - says what is wrong
    """The token is valid and belongs to no pod, so it can report for none (403)."""

    def __init__(self, message: str) -> None:
        super().__init__("NotAPod", message)


_Verdict = PodIdentity | Unauthenticated | NotAPod


@dataclass(slots=True)
class _Review:
    """A review under way, shared by all who ask for the same token."""

    lock: asyncio.Lock
    waiting: int = 0


class TokenAuthenticator:
    """Reviews tokens and remembers the answers. An instance is a callable token -> PodIdentity.

    Args:
        client: the API server.
        monotonic: seconds, for the age of what is remembered.
        wall_seconds: seconds since 1970, to compare with a token's `exp`.
        capacity: number of tokens remembered.
    """

    def __init__(
        self,
        client: KubeClient,
        monotonic: Callable[[], float] = monotonic_seconds,
        wall_seconds: Callable[[], float] = lambda: utc_now().timestamp(),
        capacity: int = _CAPACITY,
    ) -> None:
        self._client = client
        self._monotonic = monotonic
        self._wall_seconds = wall_seconds
        self._capacity = capacity
        self._known: OrderedDict[bytes, tuple[_Verdict, float]] = OrderedDict()
        self._reviews: dict[bytes, _Review] = {}
        self._slots = asyncio.Semaphore(_CONCURRENT_REVIEWS)

    async def __call__(self, token: str) -> PodIdentity:
        """Return the pod that `token` was made for.

        Raises:
            Unauthenticated: it is not valid, or not for our audience.
            NotAPod: it is valid and bound to no pod.
            TransientError: the API server could not be asked; says nothing about the token.
        """
        digest = sha256(token.encode()).digest()
        verdict = self._recall(digest)
        if verdict is None:
            verdict = await self._review_once(digest, token)
        if isinstance(verdict, PodIdentity):
            return verdict
        raise verdict

    def _recall(self, digest: bytes) -> _Verdict | None:
        known = self._known.get(digest)
        if known is None:
            return None
        verdict, until = known
        if self._monotonic() >= until:
            del self._known[digest]
            return None
        self._known.move_to_end(digest)
        return verdict

    async def _review_once(self, digest: bytes, token: str) -> _Verdict:
        """Review a token; whoever asks meanwhile waits and finds the answer remembered.

        A lock instead of a shared future: if the first one is cancelled, because its agent hung up,
        the next one goes on in its place.
        """
        review = self._reviews.setdefault(digest, _Review(asyncio.Lock()))
        review.waiting += 1
        try:
            async with review.lock:
                verdict = self._recall(digest)
                if verdict is None:
                    verdict = await self._review(token)
                    self._remember(digest, token, verdict)
                return verdict
        finally:
            review.waiting -= 1
            if review.waiting == 0:
                self._reviews.pop(digest, None)

    async def _review(self, token: str) -> _Verdict:
        body = {
            "apiVersion": TOKENREVIEWS.api_version,
            "kind": TOKENREVIEWS.kind,
            "spec": {"token": token, "audiences": [TOKEN_AUDIENCE]},
        }
        try:
            async with self._slots:
                answer = await self._client.create(TOKENREVIEWS, "", body)
        except TerminalError as error:
            # Without the right to review tokens we know nothing about this one.
            raise TransientError("TokenReviewFailed", error.message) from error
        return _verdict_of(answer)

    def _remember(self, digest: bytes, token: str, verdict: _Verdict) -> None:
        seconds = _NEGATIVE_SECONDS
        if isinstance(verdict, PodIdentity):
            seconds = _POSITIVE_SECONDS
            expires = expiry_of(token)
            if expires is not None:
                seconds = min(seconds, expires - self._wall_seconds())
        self._known[digest] = (verdict, self._monotonic() + seconds)
        self._known.move_to_end(digest)
        while len(self._known) > self._capacity:
            self._known.popitem(last=False)


def _verdict_of(answer: Json) -> _Verdict:
    """Return what a TokenReview says. Absent fields mean that the token is not good."""
    status: dict[str, Any] = answer.get("status") or {}
    if not status.get("authenticated"):
        # The server's own words can be long, and name its keys; the agent needs none of them.
        return Unauthenticated("the token is not valid: it expired, or its pod is gone")
    if TOKEN_AUDIENCE not in (status.get("audiences") or ()):
        return Unauthenticated(f"the token is not for the audience {TOKEN_AUDIENCE!r}")
    user: dict[str, Any] = status.get("user") or {}
    username = str(user.get("username", ""))
    extra: dict[str, Any] = user.get("extra") or {}
    pod_name, pod_uid = _first(extra, _POD_NAME), _first(extra, _POD_UID)
    namespace, _, account = username.removeprefix(_SERVICE_ACCOUNT_PREFIX).partition(":")
    is_account = username.startswith(_SERVICE_ACCOUNT_PREFIX) and namespace and account
    if not (is_account and pod_name and pod_uid):
        return NotAPod(f"the token of {shorten(username)!r} is not bound to a pod")
    return PodIdentity(namespace, pod_name, pod_uid, account)


def _first(extra: dict[str, Any], name: str) -> str:
    values = extra.get(name) or [""]
    return str(values[0])


def expiry_of(token: str) -> float | None:
    """Return the `exp` claim of a JWT in seconds since 1970, None where there is none.

    The signature is not checked: this only shortens how long a reviewed token is remembered.
    """
    parts = token.split(".")
    if len(parts) != 3:
        return None
    payload = parts[1]
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (binascii.Error, ValueError):
        return None
    expires = claims.get("exp") if isinstance(claims, dict) else None
    if isinstance(expires, bool) or not isinstance(expires, int | float):
        return None
    return float(expires)
