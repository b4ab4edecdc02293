"""Service qualities -> the probe list that agents run, and its revision (SPEC 2.7). Pure.

Ports are resolved here, where the template is known; the wire has numbers only. A quality that
cannot become a probe (no such container, no such port) is left out and named, the others go on.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.protocol import probes as wire
from shared.protocol.wire import render

if TYPE_CHECKING:
    from shared.api.gameserverset import GameServerSetSpec
    from shared.api.service_quality import ServiceQuality

_MAX_PORT = 65_535


@dataclass(frozen=True, slots=True)
class QualityProblem:
    """A service quality that is ignored, and why; for the condition ServiceQualitiesValid."""

    path: str
    message: str


@dataclass(frozen=True, slots=True)
class ProbePlan:
    """What the agents of a set run.

    Attributes:
        probes: one for each usable quality, in their order.
        revision: equal exactly when the probes are equal; never empty, not even without probes.
        problems: the qualities that are left out.
    """

    probes: wire.ProbeList
    revision: str
    problems: tuple[QualityProblem, ...] = ()


class _Unusable(Exception):  # noqa: N818 - control flow of this module only
    pass


def plan_probes(spec: GameServerSetSpec) -> ProbePlan:
    """Return the probe list of a set."""
    probes: list[wire.ProbeSpec] = []
    problems: list[QualityProblem] = []
    for index, quality in enumerate(spec.service_qualities):
        try:
            probes.append(_probe(quality, spec.game_server_template.spec))
        except _Unusable as error:
            path = f"spec.serviceQualities[{index}]"
            problems.append(QualityProblem(f"{path}.{error.args[0]}", error.args[1]))
    text = json.dumps(render(probes), sort_keys=True, separators=(",", ":"))
    revision = hashlib.sha256(text.encode()).hexdigest()[:16]
    return ProbePlan(tuple(probes), revision, tuple(problems))


def _probe(quality: ServiceQuality, pod_spec: dict[str, Any]) -> wire.ProbeSpec:
    container = _container(quality, pod_spec)
    http = quality.http_get
    tcp = quality.tcp_socket
    grpc = quality.grpc
    return wire.ProbeSpec(
        name=quality.name,
        container_name=container["name"],
        exec=wire.ExecAction(_command(quality.exec.command)) if quality.exec else None,
        http_get=wire.HTTPGetAction(
            port=_port(http.port, container, "httpGet.port"),
            path=http.path,
            host=http.host,
            scheme=http.scheme,
            http_headers=tuple(wire.HTTPHeader(h.name, h.value) for h in http.http_headers),
        )
        if http
        else None,
        tcp_socket=wire.TCPSocketAction(_port(tcp.port, container, "tcpSocket.port"), tcp.host)
        if tcp
        else None,
        grpc=wire.GRPCAction(grpc.port, grpc.service) if grpc else None,
        initial_delay_seconds=quality.initial_delay_seconds,
        period_seconds=quality.period_seconds,
        timeout_seconds=quality.timeout_seconds,
        success_threshold=quality.success_threshold,
        failure_threshold=quality.failure_threshold,
    )


def _container(quality: ServiceQuality, pod_spec: dict[str, Any]) -> dict[str, Any]:
    containers: list[dict[str, Any]] = pod_spec["containers"]
    if quality.container_name is None:
        if len(containers) == 1:
            return containers[0]
        raise _Unusable("containerName", "is required when the template has several containers")
    for container in containers:
        if container["name"] == quality.container_name:
            return container
    listed = ", ".join(container["name"] for container in containers)
    raise _Unusable(
        "containerName", f"{quality.container_name!r} is no container of the template ({listed})"
    )


def _command(command: tuple[str, ...]) -> tuple[str, ...]:
    """Return the command; an agent would refuse its whole list for one that cannot be run."""
    if not command[0]:
        raise _Unusable("exec.command", "must name a program")
    if any("\0" in argument for argument in command):
        raise _Unusable("exec.command", "must not contain NUL characters")
    return command


def _port(port: int | str, container: dict[str, Any], path: str) -> int:
    if isinstance(port, int):
        return port
    # The template is a free object: nobody has looked at its ports yet.
    ports = container.get("ports")
    for entry in ports if isinstance(ports, list) else ():
        match entry:
            case {"name": str(name), "containerPort": int(number)} if (
                name == port and 1 <= number <= _MAX_PORT and number is not True
            ):
                return number
    raise _Unusable(path, f"the container {container['name']!r} has no port named {port!r}")
