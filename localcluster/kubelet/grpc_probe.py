"""Asks a container's gRPC health service, as a kubelet's `grpc` probe does. Not pure.

Imported when the first such probe runs: the library costs 15 MiB that most clusters never need.
Source: pkg/probe/grpc of Kubernetes (plaintext, one deadline, the words of its failures) and
https://github.com/grpc/grpc/blob/master/doc/health-checking.md.
"""

from __future__ import annotations

from typing import NamedTuple

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

_USER_AGENT = ("grpc.primary_user_agent", "kube-probe/1.36")


class Health(NamedTuple):
    """What the service answered; `message` says why it is not serving."""

    serving: bool
    message: str = ""


async def ask_health(address: str, service: str, timeout_seconds: float) -> Health:
    """Return what the health service at HOST:PORT says of `service` ("" is the whole server)."""
    request = health_pb2.HealthCheckRequest(service=service)
    async with grpc.aio.insecure_channel(address, options=[_USER_AGENT]) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = await stub.Check(request, timeout=timeout_seconds)
        except grpc.aio.AioRpcError as error:
            return Health(serving=False, message=_explain(error, timeout_seconds))
    status = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    if status == "SERVING":
        return Health(serving=True)
    return Health(serving=False, message=f'service unhealthy (responded with "{status}")')


def _explain(error: grpc.aio.AioRpcError, timeout_seconds: float) -> str:
    match error.code():
        case grpc.StatusCode.UNIMPLEMENTED:
            return (
                f"error: this server does not implement the grpc health protocol: {error.details()}"
            )
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return f"timeout: health rpc did not complete within {timeout_seconds:g}s"
        case _:
            return f"error: health rpc probe failed: {error.details()}"
