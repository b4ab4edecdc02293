"""Where the certificate of the report endpoint comes from: a Secret of our own, or files.

Each source is asked again and again, and answers with what holds now. Not here: serving it
(`live`). In both modes every replica asks; whoever finds the Secret in need writes it, and the
precondition of the write makes one of two win, whose work the other takes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import structlog

from aggregator import log_keys
from aggregator.kube.errors import AlreadyExists, Conflict, NotFound
from aggregator.kube.patch import MergePatch
from aggregator.kube.resources import SECRETS, ObjectKey
from aggregator.tls.decision import Keep, Renew, decide
from aggregator.tls.issuing import bundle, leaf_key_pem, leaf_pem, renew, secret_data
from aggregator.tls.stored import Stored, parse_secret
from shared.clock import utc_now
from shared.errors import InvalidInput, TerminalError, TransientError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from aggregator.kube.transport import Json, KubeClient

logger = structlog.get_logger()

# Of two replicas one wins at once; more rounds mean that somebody else keeps writing the Secret.
_MOST_ROUNDS = 5
_COMPONENT = {"app.kubernetes.io/name": "gamekeeper", "app.kubernetes.io/component": "aggregator"}


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """What the endpoint shows, and what agents need to trust it; all PEM.

    Attributes:
        chain: the certificate, and intermediate ones after it.
        key: its private key.
        bundle: the authorities that agents trust.
    """

    chain: str
    key: str = field(repr=False)
    bundle: str


class CertificateSource(Protocol):
    """Gives the certificate that holds now."""

    async def get(self) -> ServerCertificate:
        """Return it.

        Raises:
            TransientError: it may be there later.
            TerminalError: a person must mend something first.
        """


class SecretSource(CertificateSource):
    """A Secret that this class keeps in order.

    Args:
        client: the API server. Not behind the gate of the leader: a standby needs a certificate,
            too, and the first one is made before anybody leads.
        key: of the Secret.
        names: returns the DNS names and IP addresses that agents use.
        clock: the time.
    """

    def __init__(
        self,
        client: KubeClient,
        key: ObjectKey,
        names: Callable[[], Awaitable[frozenset[str]]],
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._client = client
        self._key = key
        self._names = names
        self._clock = clock

    async def get(self) -> ServerCertificate:
        """Return what the Secret holds, after it was put in order if need be."""
        wanted = await self._names()
        for _ in range(_MOST_ROUNDS):
            body = await self._client.get(SECRETS, self._key)
            stored = None if body is None else parse_secret(body)
            now = self._clock()
            step = decide(stored, wanted, now)
            if isinstance(step, Keep):
                return _certificate(stored or Stored())
            await self._renew(body, renew(stored or Stored(), step, wanted, now), step)
        message = f"the Secret {self._key} is changed by somebody else all the time"
        raise TransientError("SecretContested", message)

    async def _renew(self, body: Json | None, stored: Stored, step: Renew) -> None:
        """Write the Secret; returns without a word when another was faster."""
        data = secret_data(stored)
        if body is None:
            try:
                await self._client.create(SECRETS, self._key.namespace, self._secret(data))
            except AlreadyExists:
                return
        else:
            # With the version, and the other data as they are: a person may keep notes there.
            metadata = {"resourceVersion": body["metadata"]["resourceVersion"]}
            patch = MergePatch({"metadata": metadata, "data": data})
            try:
                await self._client.patch(SECRETS, self._key, patch)
            except (Conflict, NotFound):
                return
        logger.info(
            "report certificate renewed",
            **{log_keys.KEY: str(self._key), log_keys.REASON: step.reason},
        )

    def _secret(self, data: dict[str, str]) -> Json:
        metadata = {"name": self._key.name, "namespace": self._key.namespace, "labels": _COMPONENT}
        # Opaque: the type kubernetes.io/tls would do, but says nothing of the two CA entries.
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata,
            "type": "Opaque",
            "data": data,
        }


class FileSource(CertificateSource):
    """Files that somebody else keeps in order, such as the volume of cert-manager's Secret.

    Args:
        chain: path of the PEM certificate chain.
        key: path of its key.
        bundle: path of the PEM bundle that agents trust; empty for none, if agents trust the
            authority in another way.
    """

    def __init__(self, chain: str, key: str, bundle: str) -> None:
        self._chain = chain
        self._key = key
        self._bundle = bundle

    async def get(self) -> ServerCertificate:
        """Return what the files hold now: small files of a volume in memory."""
        return ServerCertificate(
            _read("GAMEKEEPER_REPORT_TLS_CERTIFICATE_FILE", self._chain),
            _read("GAMEKEEPER_REPORT_TLS_KEY_FILE", self._key),
            _read("GAMEKEEPER_REPORT_CA_FILE", self._bundle) if self._bundle else "",
        )


def _certificate(stored: Stored) -> ServerCertificate:
    if stored.leaf is None:
        raise TerminalError("NoCertificate", "the Secret lost its certificate")
    return ServerCertificate(leaf_pem(stored.leaf), leaf_key_pem(stored.leaf), bundle(stored))


def _read(setting: str, path: str) -> str:
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        remedy = "is the Secret there that the volume shows?"
        raise InvalidInput(setting, f"cannot read {path}: {why}; {remedy}") from error
