"""Service-account tokens of a pod's volumes: asked for by TokenRequest, renewed before they expire.

Source: Kubernetes documentation, "Managing Service Accounts", bound tokens: a token is renewed once
80 % of its time have passed. Not pure, except `renewal_delay_seconds`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from localcluster.kubelet.volumes import TokenFile, write_files
from shared.clock import utc_now
from shared.errors import AppError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from localcluster.kubelet.api import ApiClient
    from localcluster.kubelet.fields import Json

_RENEWED_AFTER = 0.8
_RETRY_SECONDS = 1.0
_SHORTEST_WAIT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Token:
    """A token and when it was issued and expires."""

    value: str
    issued_at: datetime
    expires_at: datetime


def renewal_delay_seconds(token: Token, now: datetime) -> float:
    """Return how long the token is to be used from `now` on; never less than a second."""
    lifetime = (token.expires_at - token.issued_at).total_seconds()
    age = (now - token.issued_at).total_seconds()
    return max(_SHORTEST_WAIT_SECONDS, lifetime * _RENEWED_AFTER - age)


async def request_token(api: ApiClient, pod: Json, wanted: TokenFile) -> Token:
    """Return a new token of the pod's service account, bound to the pod.

    Raises:
        AppError: as ApiClient.
    """
    metadata = pod["metadata"]
    account = pod["spec"].get("serviceAccountName") or "default"
    spec: Json = {
        "audiences": [wanted.audience] if wanted.audience else [],
        "expirationSeconds": wanted.expiration_seconds,
        "boundObjectRef": {
            "apiVersion": "v1",
            "kind": "Pod",
            "name": metadata["name"],
            "uid": metadata["uid"],
        },
    }
    answer = await api.create(
        f"/api/v1/namespaces/{metadata['namespace']}/serviceaccounts/{account}/token",
        {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec},
    )
    status = answer["status"]
    expires_at = datetime.fromisoformat(status["expirationTimestamp"])
    return Token(status["token"], utc_now(), expires_at)


async def keep_token(
    api: ApiClient,
    pod: Json,
    wanted: TokenFile,
    place: tuple[Path, Token],
    on_failure: Callable[[AppError], None],
) -> None:
    """Renew a token file for ever.

    Args:
        api: who issues.
        pod: whose token.
        wanted: which token.
        place: folder of the volume, and the token that is in it now.
        on_failure: gets each failure before the next try.
    """
    folder, token = place
    while True:
        await asyncio.sleep(renewal_delay_seconds(token, utc_now()))
        try:
            token = await request_token(api, pod, wanted)
        except AppError as error:
            on_failure(error)
            await asyncio.sleep(_RETRY_SECONDS)
        else:
            write_files(folder, {wanted.path: token.value.encode()})
