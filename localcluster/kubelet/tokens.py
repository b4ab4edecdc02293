"""Service-account tokens of a pod's volumes: asked for by TokenRequest, and when to ask again.

Source: Kubernetes documentation, "Managing Service Accounts", bound tokens: a token is renewed once
80 % of its time have passed. Not pure, except `renewal_delay_seconds`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from shared.clock import utc_now

if TYPE_CHECKING:
    from localcluster.kubelet.api import ApiClient
    from localcluster.kubelet.fields import Json
    from localcluster.kubelet.volumes import TokenFile

_RENEWED_AFTER = 0.8
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
