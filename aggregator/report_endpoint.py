"""The report endpoint as agents see it: its certificate, whom to trust, where it is. Not pure.

Chooses by the settings; the work is done in `tls`. Without a certificate reports come over plain
HTTP, which the settings allow on loopback addresses only.

| settings | certificate | agents report to |
| --- | --- | --- |
| report_tls_secret | made and rotated in that Secret | |
| report_tls_certificate_file | read from the files, again and again | |
| report_service | | its DNS name, then its ClusterIPs |
| report_urls | | these |
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog

from aggregator import log_keys
from aggregator.kube.resources import ObjectKey
from aggregator.tls.address import ReportService, dns_names
from aggregator.tls.live import LiveCertificate
from aggregator.tls.source import FileSource, SecretSource
from shared.backoff import Backoff
from shared.errors import AppError, TransientError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from aggregator.kube.transport import KubeClient
    from aggregator.settings import Settings
    from aggregator.tls.source import CertificateSource

logger = structlog.get_logger()

_BACKOFF = Backoff(base_seconds=0.5, cap_seconds=10.0)
# Where people reach the status API through a port that kubectl forwards.
_FORWARDED = "localhost"
# A Service that was made anew has another ClusterIP; its certificate is looked at as often.
_SERVICE_SECONDS = 30.0


class ReportEndpoint:
    """What agents need to reach this aggregator and to trust it.

    Args:
        settings: of the aggregator.
        client: the API server, not behind the gate of the leader: standbys need all this, too.
        changed: called after the bundle that agents trust became another.
    """

    def __init__(self, settings: Settings, client: KubeClient, changed: Callable[[], None]) -> None:
        self._settings = settings
        self._obtained = False
        namespace = settings.pod_namespace
        self._service: ReportService | None = None
        if settings.report_service:
            self._service = ReportService(client, ObjectKey(namespace, settings.report_service))
        source = self._source(client)
        self._certificate = LiveCertificate(source, changed) if source is not None else None

    @property
    def context(self) -> ssl.SSLContext | None:
        """For servers; may be handed out before `obtain`, and is then filled. None: plain HTTP."""
        return self._certificate.context if self._certificate is not None else None

    @property
    def bundle(self) -> str:
        """PEM of the authorities that agents trust; empty without a certificate."""
        return self._certificate.bundle if self._certificate is not None else ""

    @property
    def urls(self) -> tuple[str, ...]:
        """Base URLs that agents report to, in the order in which they try them."""
        return self._service.last.urls if self._service is not None else self._settings.report_urls

    def is_ready(self) -> bool:
        """Return whether `obtain` has come to its end; for readiness."""
        return self._obtained

    async def obtain(self) -> None:
        """Return once everything is known; waits for an API server that is away.

        Raises:
            TerminalError, InvalidInput: a person must mend something first.
        """
        failures = 0
        while self._service is not None:
            try:
                await self._service.address()
                break
            except TransientError as error:
                failures += 1
                _note(error)
                await asyncio.sleep(_BACKOFF.ceiling_seconds(failures))
        if self._certificate is not None:
            await self._certificate.obtain()
        self._obtained = True

    async def run(self) -> None:
        """Follow what changes, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            if self._certificate is not None:
                tasks.create_task(self._certificate.run(), name="certificate")
            if self._service is not None:
                tasks.create_task(self._follow(self._service), name="report service")

    def _source(self, client: KubeClient) -> CertificateSource | None:
        settings = self._settings
        if settings.report_tls_secret:
            key = ObjectKey(settings.pod_namespace, settings.report_tls_secret)
            return SecretSource(client, key, self._names)
        if settings.report_tls_certificate_file:
            return FileSource(
                settings.report_tls_certificate_file,
                settings.report_tls_key_file,
                settings.report_ca_file,
            )
        return None

    async def _names(self) -> frozenset[str]:
        """Return what the certificate must be for: the status API shows the same one."""
        settings = self._settings
        names: frozenset[str] = frozenset()
        if settings.status_service:
            key = ObjectKey(settings.pod_namespace, settings.status_service)
            names = dns_names(key) | {_FORWARDED}
        if self._service is not None:
            return names | await self._service.names()
        hosts = (urlsplit(url).hostname for url in settings.report_urls)
        return names | {host for host in hosts if host}

    async def _follow(self, service: ReportService) -> None:
        while True:
            await asyncio.sleep(_SERVICE_SECONDS)
            try:
                await service.address()
            except AppError as error:
                _note(error)


def _note(error: AppError) -> None:
    details = {log_keys.REASON: error.reason, log_keys.MESSAGE: error.message}
    logger.warning("report service not read", **details)
