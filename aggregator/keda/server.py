"""The gRPC server around the external scaler: port, certificate, health, bounds. Not pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from aggregator.keda.service import SERVICE, ExternalScalerService
from shared.errors import InvalidInput

if TYPE_CHECKING:
    from types import TracebackType

    from aggregator.keda.answers import Answers

# Nobody waits for a stream that would never end by itself.
_GRACE_SECONDS = 1.0
_OPTIONS = (
    # A ScaledObject's metadata has a few hundred bytes.
    ("grpc.max_receive_message_length", 64 * 1024),
    ("grpc.max_metadata_size", 16 * 1024),
    ("grpc.max_concurrent_streams", 256),
    # A peer that is gone without a word is noticed, and its streams end.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    # Two servers on one port would each answer half of the calls.
    ("grpc.so_reuseport", 0),
)
_MOST_CALLS = 2_048


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the scaler listens.

    Attributes:
        port: 0 for any that is free.
        certificate_file: PEM chain; empty for plain text.
        key_file: PEM key of it.
        client_ca_file: PEM bundle; only clients with a certificate of it are served. Empty: all.
    """

    address: str
    port: int
    certificate_file: str = ""
    key_file: str = ""
    client_ca_file: str = ""


class ScalerServer:
    """Serves the external scaler for the time of an `async with` block.

    Args:
        answers: what is answered.
        endpoint: where.

    Attributes:
        port: that it listens on.
    """

    def __init__(self, answers: Answers, endpoint: Endpoint) -> None:
        self._answers = answers
        self._endpoint = endpoint
        self._health = health.aio.HealthServicer()
        self._server: Any = None
        self.port = 0

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            InvalidInput: the port is in use, or a certificate file cannot be read.
        """
        server = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=_MOST_CALLS)
        service = ExternalScalerService(self._answers)
        server.add_generic_rpc_handlers((service.handler(),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        names = (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)
        self.port = self._listen(server)
        await self.set_serving(False)
        await server.start()
        self._server = server
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all streams cleanly, let running calls finish, and stop listening."""
        await self._health.enter_graceful_shutdown()
        self._answers.close()
        await self._server.stop(_GRACE_SECONDS)

    async def set_serving(self, serving: bool) -> None:
        """Tell the health service whether calls are answered now."""
        states = health_pb2.HealthCheckResponse
        status = states.SERVING if serving else states.NOT_SERVING
        for name in ("", SERVICE):
            await self._health.set(name, status)

    def _listen(self, server: Any) -> int:
        endpoint = self._endpoint
        address = f"{endpoint.address}:{endpoint.port}"
        try:
            if not endpoint.certificate_file:
                return int(server.add_insecure_port(address))
            return int(server.add_secure_port(address, _credentials(endpoint)))
        except RuntimeError as error:
            message = f"cannot listen on {address}: choose another port or stop what uses it"
            raise InvalidInput("", message) from error


def _credentials(endpoint: Endpoint) -> Any:
    """Return credentials that are read again for each handshake if the files changed."""
    files = _CertificateFiles(endpoint)
    return grpc.dynamic_ssl_server_credentials(
        files.read(), files.fetch, require_client_authentication=bool(endpoint.client_ca_file)
    )


class _CertificateFiles:
    """The certificate as it is in its files; a rotation needs no restart."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._seen: bytes = b""

    def read(self) -> Any:
        """Return what is in the files.

        Raises:
            InvalidInput: one cannot be read.
        """
        endpoint = self._endpoint
        key = _read("GAMEKEEPER_KEDA_TLS_KEY_FILE", endpoint.key_file)
        chain = _read("GAMEKEEPER_KEDA_TLS_CERTIFICATE_FILE", endpoint.certificate_file)
        ca = endpoint.client_ca_file
        roots = _read("GAMEKEEPER_KEDA_TLS_CLIENT_CA_FILE", ca) if ca else None
        self._seen = key + chain + (roots or b"")
        return grpc.ssl_server_certificate_configuration([(key, chain)], root_certificates=roots)

    def fetch(self) -> Any:
        """Return what is in the files if it changed, None to go on with what is known."""
        before = self._seen
        try:
            fresh = self.read()
        except InvalidInput:
            # A rotation under way: the next handshake finds it complete.
            self._seen = before
            return None
        return None if self._seen == before else fresh


def _read(setting: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InvalidInput(setting, f"cannot read {path}: {error.strerror}") from error
