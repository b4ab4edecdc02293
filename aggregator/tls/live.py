"""The certificate in use: one TLS context for the life of the process, reloaded when it changes.

A connection that is open keeps what it began with; the next handshake shows the new certificate.
What cannot be used never replaces what can: the fault is logged, and looked at again.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

from aggregator import log_keys
from shared.backoff import Backoff
from shared.errors import AppError, InvalidInput, TransientError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aggregator.tls.source import CertificateSource, ServerCertificate

logger = structlog.get_logger()

# cert-manager and kubelet take minutes themselves; a Secret that is mended by hand is seen soon.
PERIOD_SECONDS = 30.0
_BACKOFF = Backoff(base_seconds=0.5, cap_seconds=10.0)


class LiveCertificate:
    """Serves what a source says.

    Args:
        source: asked at the start and then every `period_seconds`.
        changed: called after the bundle that agents trust became another.

    Attributes:
        context: for servers; ready after `obtain`.
        bundle: PEM, what agents trust; empty before `obtain`.
    """

    def __init__(
        self,
        source: CertificateSource,
        changed: Callable[[], None],
        period_seconds: float = PERIOD_SECONDS,
    ) -> None:
        self._source = source
        self._changed = changed
        self._period = period_seconds
        self._loaded: ServerCertificate | None = None
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.bundle = ""

    async def obtain(self) -> None:
        """Return once there is a certificate; waits for an API server that is away.

        Raises:
            TerminalError, InvalidInput: a person must mend something first.
        """
        failures = 0
        while self._loaded is None:
            try:
                self._use(await self._source.get())
            except TransientError as error:
                failures += 1
                wait = _BACKOFF.ceiling_seconds(failures)
                _note("no report certificate yet", error)
                await asyncio.sleep(wait)

    async def run(self) -> None:
        """Look for another certificate again and again, until cancelled."""
        while True:
            await asyncio.sleep(self._period)
            try:
                self._use(await self._source.get())
            except AppError as error:
                _note("report certificate not renewed", error)

    def _use(self, certificate: ServerCertificate) -> None:
        """Show a certificate from now on.

        Raises:
            InvalidInput: it is none, or has another key; nothing has changed.
        """
        if certificate == self._loaded:
            return
        # A context of its own first: a failed load would leave half of it in the one that serves.
        _load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), certificate)
        _load(self.context, certificate)
        self._loaded = certificate
        if certificate.bundle != self.bundle:
            self.bundle = certificate.bundle
            self._changed()


def _load(context: ssl.SSLContext, certificate: ServerCertificate) -> None:
    try:
        with _file(certificate.chain) as chain, _file(certificate.key) as key:
            context.load_cert_chain(chain, key)
    except ssl.SSLError as error:
        message = f"the certificate cannot be used with its key: {error.reason or error}"
        remedy = "both must be PEM and belong together"
        raise InvalidInput("report certificate", f"{message}; {remedy}") from error


@contextmanager
def _file(text: str) -> Iterator[str]:
    """Give a path under which OpenSSL reads a text: in memory, so that no key is on a disk."""
    descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "w") as stream:
            stream.write(text)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _note(what: str, error: AppError) -> None:
    logger.warning(what, **{log_keys.REASON: error.reason, log_keys.MESSAGE: error.message})
