"""The gRPC service without gRPC: it waits for nothing, and withholds what came too late."""

import grpc
import pytest

from aggregator.keda.answers import Answers
from aggregator.keda.pb import externalscaler_pb2 as pb
from aggregator.keda.service import ExternalScalerService
from aggregator.kube.resources import ObjectKey
from tests.support.keda_client import FakePorts, ref_of
from tests.support.scaling import Group, snapshot

KEY = ObjectKey("games", "minecraft")


class Aborted(Exception):  # noqa: N818 - what grpc raises has no public name
    """The call was ended with a status."""


class Context:
    """A call of a client that waits for so many seconds more; None for ever."""

    def __init__(self, left: float | None = None) -> None:
        self.left = left

    def peer(self) -> str:
        return "ipv4:10.0.0.1:4711"

    def time_remaining(self) -> float | None:
        return self.left

    async def abort(self, code: grpc.StatusCode, details: str) -> None:
        raise Aborted(code.name, details)


@pytest.fixture
def ports():
    return FakePorts({KEY: snapshot(Group(3))})


@pytest.fixture
def service(ports):
    return ExternalScalerService(Answers(ports))


def calls(service, context):
    asked = pb.GetMetricsRequest(scaledObjectRef=ref_of(), metricName="gssReplicas")
    return {
        "IsActive": service._is_active(ref_of(), context),
        "GetMetricSpec": service._get_metric_spec(ref_of(), context),
        "GetMetrics": service._get_metrics(asked, context),
    }


def test_an_answer_comes_from_memory_and_waits_for_nothing(service):
    for call in calls(service, Context()).values():
        with pytest.raises(StopIteration) as answered:
            call.send(None)
        assert answered.value.value is not None


async def test_nothing_is_done_for_a_client_that_does_not_wait_any_more(service, ports):
    ports.sets.clear()
    for call in calls(service, Context(left=0)).values():
        with pytest.raises(Aborted) as aborted:
            await call
        assert aborted.value.args == ("DEADLINE_EXCEEDED", "the client does not wait any more")


async def test_an_answer_that_took_more_than_two_seconds_is_withheld(service, monkeypatch, ports):
    clock = [100.0]
    monkeypatch.setattr("aggregator.keda.service.monotonic_seconds", lambda: clock[0])

    def slowly(set_key):
        clock[0] += lag
        return snapshot(Group(3))

    ports.snapshot = slowly
    lag = 2.0
    asked = pb.GetMetricsRequest(scaledObjectRef=ref_of(), metricName="gssReplicas")
    answer = await service._get_metrics(asked, Context(left=10))
    assert [value.metricValue for value in answer.metricValues] == [3]
    lag = 2.1
    fresh = ExternalScalerService(Answers(ports))
    with pytest.raises(Aborted) as aborted:
        await fresh._get_metrics(asked, Context(left=10))
    assert aborted.value.args == ("DEADLINE_EXCEEDED", "the answer took longer than 2 s; ask again")
