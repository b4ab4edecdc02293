"""A gRPC client that asks as KEDA does: spec once, activity and metrics at every poll."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import grpc

from aggregator.keda.pb import externalscaler_pb2 as pb

if TYPE_CHECKING:
    from types import TracebackType

SERVICE = "/externalscaler.ExternalScaler/"


class KedaClient:
    """The four calls of KEDA's external scaler over one channel.

    Args:
        port: on loopback.
        credentials: of a TLS channel; None for plain text.
    """

    def __init__(self, port: int, credentials: Any = None, options: Any = ()) -> None:
        target = f"localhost:{port}"
        self._channel = (
            grpc.aio.insecure_channel(target, options)
            if credentials is None
            else grpc.aio.secure_channel(target, credentials, options)
        )

        def unary(name: str, reply: Any) -> Any:
            return self._channel.unary_unary(
                f"{SERVICE}{name}",
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=reply.FromString,
            )

        self._is_active = unary("IsActive", pb.IsActiveResponse)
        self._spec = unary("GetMetricSpec", pb.GetMetricSpecResponse)
        self._metrics = unary("GetMetrics", pb.GetMetricsResponse)
        self._stream = self._channel.unary_stream(
            f"{SERVICE}StreamIsActive",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=pb.IsActiveResponse.FromString,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._channel.close()

    @property
    def channel(self) -> Any:
        """For services that are not KEDA's: health and reflection."""
        return self._channel

    async def is_active(self, ref: pb.ScaledObjectRef, timeout: float = 10) -> bool:
        return bool((await self._is_active(ref, timeout=timeout)).result)

    async def metric_spec(self, ref: pb.ScaledObjectRef) -> list[tuple[str, int, float]]:
        answer = await self._spec(ref, timeout=30)
        return [
            (each.metricName, each.targetSize, each.targetSizeFloat) for each in answer.metricSpecs
        ]

    async def metric(self, ref: pb.ScaledObjectRef, name: str = "gssReplicas") -> int:
        """The one value, which both fields have to say."""
        request = pb.GetMetricsRequest(scaledObjectRef=ref, metricName=name)
        (value,) = (await self._metrics(request, timeout=30)).metricValues
        assert value.metricName == name
        assert value.metricValueFloat == value.metricValue
        return int(value.metricValue)

    def stream(self, ref: pb.ScaledObjectRef, timeout: float | None = None) -> Any:
        return self._stream(ref, timeout=timeout)


def ref_of(
    name: str = "minecraft", namespace: str = "games", **metadata: str
) -> pb.ScaledObjectRef:
    """What KEDA sends of a ScaledObject and one of its triggers."""
    return pb.ScaledObjectRef(name=name, namespace=namespace, scalerMetadata=metadata)


@dataclass
class FakePorts:
    """Sets by key, as the aggregator's caches would show them."""

    sets: dict[Any, Any] = field(default_factory=dict)
    is_ready: bool = True
    known: Any = None
    claims: list[Any] = field(default_factory=list)

    def ready(self) -> bool:
        return self.is_ready

    def snapshot(self, set_key: Any) -> Any:
        return self.sets.get(set_key)

    def facts(self, request: Any) -> Any:
        return self.known

    def claim_marked(self, request: Any) -> None:
        self.claims.append(request)
