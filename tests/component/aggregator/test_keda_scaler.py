"""The external scaler over real gRPC, asked as KEDA asks."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from aggregator.keda.answers import Answers, ScaledObjectFacts
from aggregator.keda.server import Endpoint, ScalerServer
from aggregator.kube.resources import ObjectKey
from shared.errors import InvalidInput
from tests.support.keda_client import FakePorts, KedaClient, ref_of
from tests.support.scaling import MARKED, Group, snapshot

pytestmark = [pytest.mark.component, pytest.mark.timeout(30)]

KEY = ObjectKey("games", "minecraft")


@dataclass
class Scaler:
    """A running scaler and a client of it."""

    ports: FakePorts
    answers: Answers
    server: ScalerServer
    client: KedaClient


@pytest.fixture
async def scaler() -> AsyncIterator[Scaler]:
    ports = FakePorts({KEY: snapshot(Group(3))})
    answers = Answers(ports)
    async with (
        ScalerServer(answers, Endpoint("localhost", 0)) as server,
        KedaClient(server.port) as client,
    ):
        yield Scaler(ports, answers, server, client)


async def failure(call) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call
    return failed.value.code(), failed.value.details()


async def test_one_replica_stands_for_one_server(scaler):
    assert await scaler.client.metric_spec(ref_of()) == [("gssReplicas", 1, 1.0)]


async def test_the_metric_is_the_number_of_servers_there_should_be(scaler):
    scaler.ports.sets[KEY] = snapshot(Group(3), Group(2, MARKED), Group(5, "Allocated"))
    assert await scaler.client.metric(ref_of()) == 8
    assert await scaler.client.metric(ref_of(minAvailable="7")) == 14
    assert await scaler.client.metric(ref_of(maxAvailable="1")) == 6
    assert await scaler.client.metric(ref_of(minAvailable="50%")) == 12


async def test_the_metric_has_the_name_that_was_asked_for(scaler):
    assert await scaler.client.metric(ref_of(), "s0-gssReplicas") == 3


async def test_the_set_may_have_another_name(scaler):
    assert await scaler.client.metric(ref_of("scaler", gameServerSet="minecraft")) == 3


@pytest.mark.parametrize(
    ("metadata", "code", "details"),
    [
        *(
            ({"minAvailable": bad}, "INVALID_ARGUMENT", "minAvailable: ")
            for bad in ("abc", "-1", "100%", "1e400", "", "0%")
        ),
        ({"maxAvailable": "many"}, "INVALID_ARGUMENT", "maxAvailable: 'many' is no amount"),
        ({"maxReplicas": "-1"}, "INVALID_ARGUMENT", "maxReplicas: '-1' must be a whole number"),
        ({"hpaTolerance": "2"}, "INVALID_ARGUMENT", "hpaTolerance: '2' must be a share"),
        ({"removal": "Delete"}, "INVALID_ARGUMENT", "removal: 'Delete' must be Count or Claim"),
        ({"waitToBeDeletedSeconds": "1d"}, "INVALID_ARGUMENT", "waitToBeDeletedSeconds: '1d'"),
        ({"metricType": "Value"}, "FAILED_PRECONDITION", "metricType must be AverageValue"),
        ({"gameServerSet": "other"}, "NOT_FOUND", "there is no GameServerSet games/other"),
    ],
)
async def test_a_bad_question_has_its_own_status(scaler, metadata, code, details):
    ref = ref_of(**metadata)
    calls = [scaler.client.metric(ref), scaler.client.is_active(ref)]
    if code != "NOT_FOUND":
        # The spec is asked for when the ScaledObject is made: the set may come later.
        calls.append(scaler.client.metric_spec(ref))
    for call in calls:
        actual = await failure(call)
        assert (actual[0].name, actual[1][: len(details)]) == (code, details)


async def test_a_scaled_object_that_says_value_is_refused(scaler):
    scaler.ports.known = ScaledObjectFacts(100, "Value")
    code, details = await failure(scaler.client.metric(ref_of()))
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert "metricType must be AverageValue" in details


async def test_nothing_is_answered_before_the_caches_are_whole(scaler):
    scaler.ports.is_ready = False
    for call in (scaler.client.metric(ref_of()), scaler.client.is_active(ref_of())):
        code, details = await failure(call)
        assert (code, details) == (
            grpc.StatusCode.UNAVAILABLE,
            "the caches are not whole yet, or another aggregator leads",
        )


async def test_the_maximum_of_the_scaled_object_is_the_cap(scaler):
    scaler.ports.sets[KEY] = snapshot(Group(1), Group(9, MARKED))
    assert await scaler.client.metric(ref_of(minAvailable="3")) == 12
    scaler.ports.known = ScaledObjectFacts(10)
    assert await scaler.client.metric(ref_of(minAvailable="3")) == 1
    assert await scaler.client.metric(ref_of(minAvailable="3", maxReplicas="20")) == 12


async def test_removal_by_claim_asks_for_it_and_leaves_the_marked_in_the_number(scaler):
    scaler.ports.sets[KEY] = snapshot(Group(3), Group(2, MARKED))
    assert await scaler.client.metric(ref_of(removal="Claim")) == 5
    assert [request.set_key for request in scaler.ports.claims] == [KEY]
    assert await scaler.client.metric(ref_of(removal="Claim", maxAvailable="1")) == 3


async def test_growth_within_the_tolerance_is_raised_above_it(scaler):
    scaler.ports.sets[KEY] = snapshot(Group(100, "Allocated"))
    assert await scaler.client.metric(ref_of(minAvailable="10", hpaTolerance="0.1")) == 111
    assert await scaler.client.metric(ref_of(minAvailable="20", hpaTolerance="0.1")) == 120
    scaler.ports.sets[ObjectKey("games", "small")] = snapshot(Group(1, MARKED), Group(99))
    small = ref_of("small", hpaTolerance="0.1")
    assert await scaler.client.metric(small) == 99


async def test_a_set_that_has_servers_is_active_and_one_of_nothing_is_not(scaler):
    assert await scaler.client.is_active(ref_of())
    scaler.ports.sets[ObjectKey("games", "empty")] = snapshot()
    assert not await scaler.client.is_active(ref_of("empty"))
    assert await scaler.client.is_active(ref_of("empty", minAvailable="1"))


async def test_a_stream_says_at_once_that_a_set_is_active(scaler):
    stream = scaler.client.stream(ref_of())
    assert (await stream.read()).result is True
    stream.cancel()


async def test_a_stream_tells_when_a_set_becomes_active_and_never_that_it_is_not(scaler):
    scaler.ports.sets[KEY] = snapshot()
    stream = scaler.client.stream(ref_of(minAvailable="1"))
    assert (await stream.read()).result is True
    quiet = scaler.client.stream(ref_of())
    await quiet.initial_metadata()
    scaler.ports.sets[KEY] = snapshot(Group(1))
    scaler.answers.changed(KEY)
    assert (await quiet.read()).result is True
    stream.cancel()
    quiet.cancel()


async def test_streams_end_cleanly_when_the_scaler_stops():
    ports = FakePorts({KEY: snapshot()})
    async with AsyncExitStack() as stack:
        server = ScalerServer(Answers(ports), Endpoint("localhost", 0))
        await stack.enter_async_context(server)
        client = await stack.enter_async_context(KedaClient(server.port))
        stream = client.stream(ref_of())
        await stream.initial_metadata()
        await server.__aexit__(None, None, None)
        assert await stream.read() is grpc.aio.EOF
        assert await stream.code() is grpc.StatusCode.OK
        stack.pop_all()
        await client.__aexit__(None, None, None)


async def test_a_stream_whose_client_gives_up_is_forgotten(scaler):
    scaler.ports.sets[KEY] = snapshot()
    stream = scaler.client.stream(ref_of(), timeout=0.2)
    code, _ = await failure(stream.read())
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert await scaler.client.metric(ref_of()) == 0


async def test_a_call_that_takes_longer_than_its_client_waits_harms_no_other(scaler, monkeypatch):
    look = scaler.ports.snapshot

    def busy(set_key):
        # The process itself is busy: nobody's turn comes.
        time.sleep(0.5)
        return look(set_key)

    monkeypatch.setattr(scaler.ports, "snapshot", busy)
    code, _ = await failure(scaler.client.is_active(ref_of(), timeout=0.2))
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED
    monkeypatch.undo()
    assert await scaler.client.metric(ref_of()) == 3


async def test_a_method_that_is_not_there_is_unimplemented(scaler):
    method = "/externalscaler.ExternalScaler/StreamMetricSpec"
    call = scaler.client.channel.unary_stream(method)(b"")
    code, _ = await failure(call.read())
    assert code is grpc.StatusCode.UNIMPLEMENTED


async def test_clients_that_hang_or_flood_do_not_stop_others(scaler):
    async with AsyncExitStack() as stack:
        for _ in range(20):
            # A connection that says nothing.
            silent = socket.create_connection(("localhost", scaler.server.port))
            stack.callback(silent.close)
        # A client that opens streams and reads none of them.
        options = (("grpc.use_local_subchannel_pool", 1),)
        hoarder = await stack.enter_async_context(KedaClient(scaler.server.port, options=options))
        streams = [hoarder.stream(ref_of()) for _ in range(50)]
        flooder = await stack.enter_async_context(KedaClient(scaler.server.port, options=options))

        async def flood() -> None:
            for number in range(200):
                await flooder.metric(ref_of(minAvailable=str(number % 50)))

        async with asyncio.TaskGroup() as tasks:
            for _ in range(3):
                tasks.create_task(flood())
            for _ in range(50):
                assert await scaler.client.metric(ref_of()) == 3
        for stream in streams:
            stream.cancel()


async def test_who_asks_too_often_is_told_so(scaler, monkeypatch):
    monkeypatch.setattr("aggregator.keda.service.monotonic_seconds", lambda: 1.0)
    codes = []
    for _ in range(1_001):
        try:
            await scaler.client.metric(ref_of())
            codes.append("OK")
        except grpc.aio.AioRpcError as error:
            codes.append(error.code().name)
    assert codes == ["OK"] * 1_000 + ["RESOURCE_EXHAUSTED"]


async def test_a_client_may_not_hoard_streams(scaler, monkeypatch):
    monkeypatch.setattr("aggregator.keda.service.STREAMS_PER_CLIENT", 2)
    streams = [scaler.client.stream(ref_of()) for _ in range(2)]
    for stream in streams:
        await stream.read()
    code, details = await failure(scaler.client.stream(ref_of()).read())
    assert (code, details) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "a client may hold 2 streams; close some",
    )
    for stream in streams:
        stream.cancel()


async def test_a_question_that_is_too_long_is_refused(scaler):
    ref = ref_of(minAvailable="1" * 100_000)
    code, _ = await failure(scaler.client.metric(ref))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_the_health_service_says_whether_calls_are_answered(scaler):
    stub = health_pb2_grpc.HealthStub(scaler.client.channel)
    states = health_pb2.HealthCheckResponse
    for serving, status in ((True, states.SERVING), (False, states.NOT_SERVING)):
        await scaler.server.set_serving(serving)
        for name in ("", "externalscaler.ExternalScaler"):
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=30)
            assert answer.status == status


async def test_reflection_lists_the_services(scaler):
    stub = reflection_pb2_grpc.ServerReflectionStub(scaler.client.channel)
    call = stub.ServerReflectionInfo(
        iter([reflection_pb2.ServerReflectionRequest(list_services="")]), timeout=30
    )
    listed = [
        service.name async for answer in call for service in answer.list_services_response.service
    ]
    assert sorted(listed) == [
        "externalscaler.ExternalScaler",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    ]


async def test_a_port_in_use_is_said_in_one_line(scaler):
    other = ScalerServer(Answers(FakePorts()), Endpoint("localhost", scaler.server.port))
    with pytest.raises(InvalidInput, match="choose another port or stop what uses it"):
        await other.__aenter__()
