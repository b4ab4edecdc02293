"""The probe of a service quality: corev1.Probe with the defaults of OpenKruiseGame. Pure."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, WithJsonSchema

from shared.api.meta import ApiModel

_Port = Annotated[
    int | str,
    WithJsonSchema(
        {"x-kubernetes-int-or-string": True, "minimum": 1, "maximum": 65535, "maxLength": 15}
    ),
]


class ExecAction(ApiModel):
    """Run a command in the container."""

    command: Annotated[
        tuple[Annotated[str, Field(max_length=16_384)], ...], Field(min_length=1, max_length=256)
    ]
    """Program and arguments; not run in a shell. Exit code 0 is true, any other is false."""


class HTTPHeader(ApiModel):
    """A header of an httpGet probe."""

    name: Annotated[str, Field(min_length=1, max_length=256)]
    value: Annotated[str, Field(max_length=4096)]


class HTTPGetAction(ApiModel):
    """Send an HTTP GET."""

    port: _Port
    """Number or name of the container's port."""
    path: Annotated[str, Field(max_length=2048)] = "/"
    """Path and query."""
    host: Annotated[str, Field(max_length=253)] = ""
    """Host to connect to; empty means the pod."""
    scheme: Literal["HTTP", "HTTPS"] = "HTTP"
    """HTTPS does not verify the certificate."""
    http_headers: Annotated[tuple[HTTPHeader, ...], Field(max_length=64)] = ()
    """Headers to add to the request."""


class TCPSocketAction(ApiModel):
    """Open a TCP connection."""

    port: _Port
    """Number or name of the container's port."""
    host: Annotated[str, Field(max_length=253)] = ""
    """Host to connect to; empty means the pod."""


class GRPCAction(ApiModel):
    """Ask grpc.health.v1.Health/Check."""

    port: Annotated[int, Field(ge=1, le=65535)]
    """Number of the port."""
    service: Annotated[str, Field(max_length=253)] = ""
    """Service name in the request."""


class Probe(ApiModel):
    """One handler, and when to run it. The schema asks for exactly one handler."""

    exec: ExecAction | None = None
    """Run a command in the container."""
    http_get: HTTPGetAction | None = None
    """Send an HTTP GET; 200 to 399 is true."""
    tcp_socket: TCPSocketAction | None = None
    """Open a TCP connection; connected is true."""
    grpc: GRPCAction | None = None
    """Ask the gRPC health service; SERVING is true."""
    initial_delay_seconds: Annotated[int, Field(ge=0, le=86_400)] = 10
    """Seconds from the start of the container to the first run."""
    period_seconds: Annotated[int, Field(ge=1, le=86_400)] = 3
    """Seconds from the start of one run to the start of the next."""
    timeout_seconds: Annotated[int, Field(ge=1, le=86_400)] = 5
    """Seconds after which a run is killed and counts as false."""
    success_threshold: Annotated[int, Field(ge=1, le=1000)] = 1
    """Runs in a row that must be true before the verdict is true."""
    failure_threshold: Annotated[int, Field(ge=1, le=1000)] = 3
    """Runs in a row that must be false before the verdict is false."""
