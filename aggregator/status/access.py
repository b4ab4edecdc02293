"""Who may read the status API: whoever may `get gameservers` there. Not pure.

The token of a person or a service account is reviewed, and what it may do is asked for its owner;
both answers are remembered for a few seconds, so that a page that refreshes costs nothing, and a
right that is taken away ends soon. NB: the tokens of agents are for another audience, so they open
nothing here.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from aggregator.answer_cache import AnswerCache, Remembered
from aggregator.reviews import Access, Unauthenticated, User, review_access, review_token
from shared.api import names
from shared.errors import AppError

if TYPE_CHECKING:
    from aggregator.kube.resources import ObjectKey
    from aggregator.kube.transport import KubeClient

_TOKEN_SECONDS = 10.0
_ACCESS_SECONDS = 10.0
_NEGATIVE_SECONDS = 5.0
_CAPACITY = 4_096
_CONCURRENT_REVIEWS = 8


class Forbidden(AppError):  # noqa: N818 - the word of HTTP and of the API server
    """The owner of the token may not read that (403)."""

    def __init__(self, message: str) -> None:
        super().__init__("Forbidden", message)


class StatusAccess:
    """Decides about readers.

    Args:
        client: the API server; reviews are reads, whoever leads.
    """

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._users: AnswerCache[bytes, User | Unauthenticated] = AnswerCache(
            _CAPACITY, _CONCURRENT_REVIEWS
        )
        self._rights: AnswerCache[tuple[bytes, str, str], bool] = AnswerCache(
            _CAPACITY, _CONCURRENT_REVIEWS
        )

    async def check(self, token: str, what: ObjectKey) -> None:
        """Return if the owner of `token` may get those GameServers.

        Args:
            token: from the header; empty without one.
            what: one object; an empty name means all of the namespace, which may be empty too.

        Raises:
            Unauthenticated: there is no valid token.
            Forbidden: its owner may not.
            TransientError: the API server could not be asked.
        """
        if not token:
            raise Unauthenticated("send the header Authorization: Bearer <token>")
        digest = sha256(token.encode()).digest()
        user = await self._users.get(digest, lambda: self._review_token(token))
        if isinstance(user, Unauthenticated):
            # A new one each time: raised again, an exception collects the frames of every raise.
            raise Unauthenticated(user.message)
        access = Access("get", names.GROUP, names.GAMESERVERS, what.namespace, what.name)
        key = (digest, what.namespace, what.name)
        if not await self._rights.get(key, lambda: self._review_access(user, access)):
            where = f"in namespace {what.namespace}" if what.namespace else "in all namespaces"
            raise Forbidden(f"{user.name} may not get gameservers.{names.GROUP} {where}")

    async def _review_token(self, token: str) -> Remembered[User | Unauthenticated]:
        try:
            user = await review_token(self._client, token, None)
        except Unauthenticated as error:
            return Remembered(error, _NEGATIVE_SECONDS, by_strangers=True)
        return Remembered(user, _TOKEN_SECONDS)

    async def _review_access(self, user: User, access: Access) -> Remembered[bool]:
        allowed = await review_access(self._client, user, access)
        return Remembered(allowed, _ACCESS_SECONDS if allowed else _NEGATIVE_SECONDS)
