"""The probe list that the aggregator hands to an agent, and how the agent reads it (SPEC 2). Pure.

Named ports are resolved by the aggregator, which knows the pod template: the wire has numbers only.
An agent that meets a handler it cannot run reports that probe Unknown; it does not refuse the list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shared.errors import InvalidInput
from shared.protocol.paths import MAX_PROBES
from shared.protocol.reading import ObjectReader, read_objects

_DAY_SECONDS = 86_400
_MAX_ARGUMENTS = 256
_MAX_ARGUMENT_LENGTH = 16_384


@dataclass(frozen=True, slots=True)
class ExecAction:
    """Run a command in the container; exit code 0 is True, any other False."""

    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HTTPHeader:
    """One header of an httpGet probe."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class HTTPGetAction:
    """GET; 200 to 399 is True. An empty host means the pod's address."""

    port: int
    path: str = "/"
    host: str = ""
    scheme: str = "HTTP"
    http_headers: tuple[HTTPHeader, ...] = ()


@dataclass(frozen=True, slots=True)
class TCPSocketAction:
    """Connect; a connection is True. An empty host means the pod's address."""

    port: int
    host: str = ""


@dataclass(frozen=True, slots=True)
class GRPCAction:
    """grpc.health.v1.Health/Check; SERVING is True."""

    port: int
    service: str = ""


@dataclass(frozen=True, slots=True)
class ProbeSpec:
    """One probe: exactly one handler, and when to run it. Times are seconds."""

    name: str
    container_name: str
    exec: ExecAction | None = None
    http_get: HTTPGetAction | None = None
    tcp_socket: TCPSocketAction | None = None
    grpc: GRPCAction | None = None
    initial_delay_seconds: int = 10
    period_seconds: int = 3
    timeout_seconds: int = 5
    success_threshold: int = 1
    failure_threshold: int = 3


ProbeList = tuple[ProbeSpec, ...]


def parse_probe_list(value: Any, path: str) -> ProbeList:
    """Return the probe list in a decoded JSON value.

    Args:
        value: a list of objects as `wire.render` makes them.
        path: where the value stands, for messages.

    Raises:
        InvalidInput: anything is malformed; the list is refused whole.
    """
    probes = tuple(_parse_probe(item) for item in read_objects(value, path, most=MAX_PROBES))
    seen: set[str] = set()
    for index, probe in enumerate(probes):
        if probe.name in seen:
            raise InvalidInput(f"{path}[{index}].name", f"{probe.name!r} is there twice")
        seen.add(probe.name)
    return probes


def _parse_probe(fields: ObjectReader) -> ProbeSpec:
    handlers = [key for key in _HANDLERS if fields.optional(key) is not None]
    if len(handlers) != 1:
        raise InvalidInput(fields.path, f"must have exactly one of {', '.join(_HANDLERS)}")
    return ProbeSpec(
        name=fields.text("name", max_length=63),
        container_name=fields.text("containerName", max_length=63),
        exec=_parse_exec(fields),
        http_get=_parse_http_get(fields),
        tcp_socket=_parse_tcp_socket(fields),
        grpc=_parse_grpc(fields),
        initial_delay_seconds=fields.integer(
            "initialDelaySeconds", least=0, most=_DAY_SECONDS, default=10
        ),
        period_seconds=fields.integer("periodSeconds", least=1, most=_DAY_SECONDS, default=3),
        timeout_seconds=fields.integer("timeoutSeconds", least=1, most=_DAY_SECONDS, default=5),
        success_threshold=fields.integer("successThreshold", least=1, most=1000, default=1),
        failure_threshold=fields.integer("failureThreshold", least=1, most=1000, default=3),
    )


_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")


def _handler(fields: ObjectReader, key: str) -> ObjectReader | None:
    value = fields.optional(key)
    return None if value is None else ObjectReader.of(value, fields.at(key))


def _port(handler: ObjectReader) -> int:
    return handler.integer("port", least=1, most=65_535)


def _parse_exec(fields: ObjectReader) -> ExecAction | None:
    if (handler := _handler(fields, "exec")) is None:
        return None
    command = handler.texts("command", most=_MAX_ARGUMENTS, max_length=_MAX_ARGUMENT_LENGTH)
    if not command or not command[0]:
        raise InvalidInput(handler.at("command"), "must name a program")
    if any("\0" in argument for argument in command):
        raise InvalidInput(handler.at("command"), "must not contain NUL characters")
    return ExecAction(command)


def _parse_http_get(fields: ObjectReader) -> HTTPGetAction | None:
    if (handler := _handler(fields, "httpGet")) is None:
        return None
    headers = handler.objects("httpHeaders", most=64)
    scheme = handler.text("scheme", default="HTTP", max_length=5)
    if scheme not in ("HTTP", "HTTPS"):
        raise InvalidInput(handler.at("scheme"), "must be HTTP or HTTPS")
    return HTTPGetAction(
        port=_port(handler),
        path=handler.text("path", default="/", max_length=2048),
        host=handler.text("host", default="", max_length=253),
        scheme=scheme,
        http_headers=tuple(
            HTTPHeader(
                name=header.text("name", max_length=256),
                value=header.text("value", max_length=4096),
            )
            for header in headers
        ),
    )


def _parse_tcp_socket(fields: ObjectReader) -> TCPSocketAction | None:
    if (handler := _handler(fields, "tcpSocket")) is None:
        return None
    return TCPSocketAction(_port(handler), handler.text("host", default="", max_length=253))


def _parse_grpc(fields: ObjectReader) -> GRPCAction | None:
    if (handler := _handler(fields, "grpc")) is None:
        return None
    return GRPCAction(_port(handler), handler.text("service", default="", max_length=253))
