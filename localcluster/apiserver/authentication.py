"""Who sends a request: bearer tokens, static and of service accounts. Reads the store, no I/O.

Source: https://kubernetes.io/docs/reference/access-authn-authz/authentication/
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from localcluster.apiserver import errors, tokens
from localcluster.apiserver.builtin import PODS, SERVICE_ACCOUNTS
from localcluster.apiserver.objects import Object, dig, parse_time, timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from localcluster.apiserver.store import Store

API_AUDIENCE = "https://kubernetes.default.svc"
AUTHENTICATED = "system:authenticated"
_POD_NAME = "authentication.kubernetes.io/pod-name"
_POD_UID = "authentication.kubernetes.io/pod-uid"
_DEFAULT_SECONDS = 3600
_LEAST_SECONDS = 600
_MOST_SECONDS = 1 << 32
# A pod that is being deleted may still say goodbye (kube-apiserver grants the same minute).
_DELETED_POD_LEEWAY = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class User:
    """authentication.k8s.io/v1 UserInfo.

    Args:
        name: for example `system:serviceaccount:default:agent`.
        groups: of the user.
        uid: empty for static users.
        extra: for a bound token, the pod's name and uid.
        audiences: whom the token was for.
    """

    name: str
    groups: tuple[str, ...]
    uid: str = ""
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()
    audiences: tuple[str, ...] = (API_AUDIENCE,)

    def info(self) -> Object:
        """Return the UserInfo object."""
        info: Object = {"username": self.name, "groups": list(self.groups)}
        if self.uid:
            info["uid"] = self.uid
        if self.extra:
            info["extra"] = {key: list(values) for key, values in self.extra}
        return info


class Authenticator:
    """Checks and issues bearer tokens.

    Args:
        store: accounts and pods that tokens refer to.
        static: token -> user.
        key: signs service-account tokens.
        now: the clock.
    """

    def __init__(
        self,
        store: Store,
        static: Mapping[str, User],
        key: bytes,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._static = static
        self._key = key
        self._now = now

    def user(self, token: str, audiences: tuple[str, ...] = (API_AUDIENCE,)) -> User | None:
        """Return who holds `token`, or None unless it is valid for one of `audiences`."""
        user = self._static.get(token) or self._service_account(token)
        if user is None or not set(user.audiences) & set(audiences):
            return None
        return user

    def issue(self, account: Object, request: Object) -> Object:
        """Return a TokenRequest with its status filled in.

        Args:
            account: the ServiceAccount.
            request: spec.audiences, spec.expirationSeconds and spec.boundObjectRef are read.

        Raises:
            ApiError: 422 for an expiry out of bounds or a bound object that is no pod, 404 for an
                absent pod, 409 for another pod of that name.
        """
        spec = request.get("spec") or {}
        audiences = tuple(spec.get("audiences") or (API_AUDIENCE,))
        seconds = spec.get("expirationSeconds", _DEFAULT_SECONDS)
        _check_seconds(seconds)
        metadata, now = account["metadata"], self._now()
        expires = now + timedelta(seconds=seconds)
        claims = tokens.Claims(
            metadata["namespace"],
            metadata["name"],
            metadata["uid"],
            audiences,
            int(expires.timestamp()),
            self._bound_pod(metadata["namespace"], spec.get("boundObjectRef")),
        )
        status = {
            "token": tokens.sign(claims, self._key, now),
            "expirationTimestamp": timestamp(expires),
        }
        return {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]},
            "spec": {**spec, "audiences": list(audiences), "expirationSeconds": seconds},
            "status": status,
        }

    def _service_account(self, token: str) -> User | None:
        claims = tokens.verify(token, self._key, self._now())
        if claims is None:
            return None
        account = self._store.get(SERVICE_ACCOUNTS, (claims.namespace, claims.account))
        if account is None or account.object["metadata"]["uid"] != claims.account_uid:
            return None
        if claims.pod is not None and not self._pod_lives(claims.namespace, *claims.pod):
            return None
        extra: tuple[tuple[str, tuple[str, ...]], ...] = ()
        if claims.pod is not None:
            extra = ((_POD_NAME, (claims.pod[0],)), (_POD_UID, (claims.pod[1],)))
        groups = (
            "system:serviceaccounts",
            f"system:serviceaccounts:{claims.namespace}",
            AUTHENTICATED,
        )
        name = f"system:serviceaccount:{claims.namespace}:{claims.account}"
        return User(name, groups, claims.account_uid, extra, claims.audiences)

    def _pod_lives(self, namespace: str, name: str, uid: str) -> bool:
        pod = self._store.get(PODS, (namespace, name))
        if pod is None or pod.object["metadata"]["uid"] != uid:
            return False
        ending = parse_time(pod.object["metadata"].get("deletionTimestamp"))
        return ending is None or self._now() < ending + _DELETED_POD_LEEWAY

    def _bound_pod(self, namespace: str, reference: Any) -> tuple[str, str] | None:
        if reference is None:
            return None
        kind, name, uid = (dig(reference, field) for field in ("kind", "name", "uid"))
        if kind != "Pod":
            cause = errors.unsupported_value("spec.boundObjectRef.kind", kind, ["Pod"])
            raise errors.invalid("authentication.k8s.io", "TokenRequest", "", [cause])
        pod = self._store.get(PODS, (namespace, str(name)))
        if pod is None:
            raise errors.not_found("", "pods", str(name))
        actual = pod.object["metadata"]["uid"]
        if uid not in (None, "", actual):
            why = (
                f"the UID in the bound object reference ({uid}) "
                f"does not match the UID in record ({actual})"
            )
            raise errors.conflict("", "pods", str(name), why)
        return str(name), actual


def _check_seconds(seconds: Any) -> None:
    field = "spec.expirationSeconds"
    if not isinstance(seconds, int) or seconds < _LEAST_SECONDS:
        cause = errors.invalid_value(
            field, seconds, "may not specify a duration less than 10 minutes"
        )
    elif seconds > _MOST_SECONDS:
        cause = errors.invalid_value(field, seconds, "may not specify a duration larger than 2^32")
    else:
        return
    raise errors.invalid("authentication.k8s.io", "TokenRequest", "", [cause])
