"""Service-account tokens: signed, expiring, bound to a pod. Pure.

JSON Web Tokens signed with HMAC-SHA256 under a key that lives as long as the server. Only this
server checks them (TokenReview), so nobody needs a public key. Whether the account and the pod
still exist is asked in authentication.py.

Source: RFC 7519, RFC 7515 and https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from localcluster.apiserver.objects import Object, dig

if TYPE_CHECKING:
    from datetime import datetime

ISSUER = "https://kubernetes.default.svc.cluster.local"
_HEADER = {"alg": "HS256", "typ": "JWT"}


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says.

    Args:
        namespace: of the account.
        account: name of the ServiceAccount.
        account_uid: its uid.
        audiences: whom the token is for.
        expires: seconds since the epoch.
        pod: name and uid of the pod it is bound to, or None.
    """

    namespace: str
    account: str
    account_uid: str
    audiences: tuple[str, ...]
    expires: int
    pod: tuple[str, str] | None


def sign(claims: Claims, key: bytes, now: datetime) -> str:
    """Return the token that says `claims`."""
    kubernetes: Object = {
        "namespace": claims.namespace,
        "serviceaccount": {"name": claims.account, "uid": claims.account_uid},
    }
    if claims.pod is not None:
        kubernetes["pod"] = {"name": claims.pod[0], "uid": claims.pod[1]}
    issued = int(now.timestamp())
    payload = {
        "aud": list(claims.audiences),
        "exp": claims.expires,
        "iat": issued,
        "nbf": issued,
        "iss": ISSUER,
        "kubernetes.io": kubernetes,
        "sub": f"system:serviceaccount:{claims.namespace}:{claims.account}",
    }
    signed = f"{_segment(_json(_HEADER))}.{_segment(_json(payload))}"
    return f"{signed}.{_segment(_signature(signed, key))}"


def verify(token: str, key: bytes, now: datetime) -> Claims | None:
    """Return what a token says, or None when it is not ours, was changed, or has expired."""
    signed, _, signature = token.rpartition(".")
    given = _bytes(signature)
    if given is None or not hmac.compare_digest(given, _signature(signed, key)):
        return None
    # The signature proves that `sign` made the rest, so its shape is known.
    payload: Object = json.loads(_bytes(signed.partition(".")[2]) or b"{}")
    if payload["exp"] <= now.timestamp():
        return None
    kubernetes = payload["kubernetes.io"]
    pod = kubernetes.get("pod")
    return Claims(
        kubernetes["namespace"],
        dig(kubernetes, "serviceaccount", "name"),
        dig(kubernetes, "serviceaccount", "uid"),
        tuple(payload["aud"]),
        payload["exp"],
        (pod["name"], pod["uid"]) if pod else None,
    )


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _signature(signed: str, key: bytes) -> bytes:
    return hmac.digest(key, signed.encode(), hashlib.sha256)


def _segment(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(segment: str) -> bytes | None:
    try:
        return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except (binascii.Error, ValueError):
        return None
