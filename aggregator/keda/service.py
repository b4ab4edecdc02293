"""The gRPC service that KEDA calls: requests in, answers or the right status code out. Not pure.

| fault | status |
| --- | --- |
| no such set | NOT_FOUND |
| an amount or another value means nothing | INVALID_ARGUMENT |
| caches not whole, or not the leader | UNAVAILABLE |
| metricType Value | FAILED_PRECONDITION |
| one client asks too often, or holds too many streams | RESOURCE_EXHAUSTED |
| it took longer than two seconds, or than the client waits | DEADLINE_EXCEEDED |

Every answer comes from memory and without waiting, so no client can hold up another by asking
slowly, by never reading its answer, or by asking without end. Should a process be so busy that two
seconds pass all the same, the number is about what was, and is withheld.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import grpc

from aggregator.keda.answers import NotReady, UnknownSet
from aggregator.keda.metadata import ScalerRequest, UnsuitableMetric, read_request
from aggregator.keda.pb import externalscaler_pb2 as pb
from aggregator.kube.resources import ObjectKey
from aggregator.token_bucket import TokenBuckets
from shared.clock import monotonic_seconds
from shared.errors import AppError, InvalidInput

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from aggregator.keda.answers import Answers

SERVICE = "externalscaler.ExternalScaler"
METRIC = "gssReplicas"
# One replica stands for one server, so the metric is the number of servers.
TARGET = 1

# A thousand ScaledObjects at the shortest usual intervals ask about 150 times a second.
CALLS_PER_SECOND = 500.0
CALLS_BURST = 1_000
STREAMS_PER_CLIENT = 200
_CLIENTS = 1_024
LIMIT_SECONDS = 2.0


class _TooOften(AppError):  # noqa: N818 - it names the fault, as its siblings do
    """One client asks too often."""


class _TooLate(AppError):  # noqa: N818 - as above
    """The answer took too long to be true, or nobody waits for it any more."""


_CODES = (
    (InvalidInput, grpc.StatusCode.INVALID_ARGUMENT),
    (UnknownSet, grpc.StatusCode.NOT_FOUND),
    (UnsuitableMetric, grpc.StatusCode.FAILED_PRECONDITION),
    (NotReady, grpc.StatusCode.UNAVAILABLE),
    (_TooOften, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (_TooLate, grpc.StatusCode.DEADLINE_EXCEEDED),
)
_Answer = TypeVar("_Answer")


class ExternalScalerService:
    """Answers the calls of `externalscaler.ExternalScaler`."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._calls: TokenBuckets[str] = TokenBuckets(CALLS_PER_SECOND, CALLS_BURST, _CLIENTS)
        self._streams: Counter[str] = Counter()

    def handler(self) -> Any:
        """Return the gRPC handler to add to a server; what it does not name is UNIMPLEMENTED."""
        ref = pb.ScaledObjectRef.FromString
        unary = grpc.unary_unary_rpc_method_handler
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "IsActive": unary(self._is_active, ref, _serialize),
                "StreamIsActive": grpc.unary_stream_rpc_method_handler(
                    self._stream_is_active, ref, _serialize
                ),
                "GetMetricSpec": unary(self._get_metric_spec, ref, _serialize),
                "GetMetrics": unary(self._get_metrics, pb.GetMetricsRequest.FromString, _serialize),
            },
        )

    async def _is_active(self, ref: pb.ScaledObjectRef, context: Any) -> pb.IsActiveResponse:
        active = await self._answer(ref, context, self._answers.is_active)
        return pb.IsActiveResponse(result=active)

    async def _stream_is_active(
        self, ref: pb.ScaledObjectRef, context: Any
    ) -> AsyncIterator[pb.IsActiveResponse]:
        client = _client_of(context)
        if self._streams[client] >= STREAMS_PER_CLIENT:
            message = f"a client may hold {STREAMS_PER_CLIENT} streams; close some"
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, message)
        self._streams[client] += 1
        try:
            request = self._admit(ref, context)
            # The client learns at once that the stream stands, although it may stay silent.
            await context.send_initial_metadata(())
            async for _ in self._answers.activations(request):
                yield pb.IsActiveResponse(result=True)
        except AppError as error:
            await _refuse(context, error)
        finally:
            self._streams[client] -= 1
            if not self._streams[client]:
                del self._streams[client]

    async def _get_metric_spec(
        self, ref: pb.ScaledObjectRef, context: Any
    ) -> pb.GetMetricSpecResponse:
        # A bad amount is told when the ScaledObject is made, not when first something scales.
        await self._answer(ref, context, lambda _: None)
        spec = pb.MetricSpec(metricName=METRIC, targetSize=TARGET, targetSizeFloat=TARGET)
        return pb.GetMetricSpecResponse(metricSpecs=[spec])

    async def _get_metrics(
        self, asked: pb.GetMetricsRequest, context: Any
    ) -> pb.GetMetricsResponse:
        number = await self._answer(asked.scaledObjectRef, context, self._answers.metric)
        # KEDA may ask by a name that it made from ours; the answer carries the name that was asked.
        name = asked.metricName or METRIC
        value = pb.MetricValue(metricName=name, metricValue=number, metricValueFloat=number)
        return pb.GetMetricsResponse(metricValues=[value])

    async def _answer(
        self, ref: pb.ScaledObjectRef, context: Any, ask: Callable[[ScalerRequest], _Answer]
    ) -> _Answer:
        """Return what `ask` says, or end the call with the status of what is wrong."""
        began = monotonic_seconds()
        try:
            left = context.time_remaining()
            if left is not None and left <= 0:
                raise _TooLate("TooLate", "the client does not wait any more")
            answer = ask(self._admit(ref, context))
            if monotonic_seconds() - began > LIMIT_SECONDS:
                message = f"the answer took longer than {LIMIT_SECONDS:.0f} s; ask again"
                raise _TooLate("TooLate", message)
        except AppError as error:
            await _refuse(context, error)
        return answer

    def _admit(self, ref: pb.ScaledObjectRef, context: Any) -> ScalerRequest:
        """Return what is asked about.

        Raises:
            AppError: it means nothing, or this client asks too often.
        """
        wait = self._calls.take(_client_of(context), monotonic_seconds())
        if wait:
            message = f"asks too often; the next answer comes in {wait:.3f} s"
            raise _TooOften("TooOften", message)
        return read_request(ObjectKey(ref.namespace, ref.name), dict(ref.scalerMetadata))


def _serialize(message: Any) -> bytes:
    return bytes(message.SerializeToString())


def _client_of(context: Any) -> str:
    """Return the address of a client without its port: its connections share one budget."""
    return str(context.peer()).rpartition(":")[0]


async def _refuse(context: Any, error: AppError) -> NoReturn:
    code = next(code for kind, code in _CODES if isinstance(error, kind))
    await context.abort(code, error.message)
    raise AssertionError  # abort never returns
