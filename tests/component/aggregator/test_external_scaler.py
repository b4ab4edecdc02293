"""The external scaler as the aggregator runs it: caches, ScaledObjects read beside, leadership."""

import asyncio
import json
import sys
from contextlib import asynccontextmanager

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from aggregator.autoscaler.rivals import RivalReader
from aggregator.caches import Caches
from aggregator.external_scaler import FORGET_SECONDS, ExternalScaler, LiveSets
from aggregator.keda.answers import ScaledObjectFacts
from aggregator.keda.metadata import read_request
from aggregator.kube.resources import ObjectKey
from aggregator.ledger import Ledger
from aggregator.settings import read_settings
from shared.errors import InvalidInput
from tests.support.builders import SET_NAME, game_server, game_server_set, pod
from tests.support.keda_client import KedaClient, ref_of
from tests.support.kube import FakeKubeClient

pytestmark = [pytest.mark.component, pytest.mark.timeout(30)]

KEY = ObjectKey("games", SET_NAME)
SETTINGS = read_settings(
    {
        "GAMEKEEPER_KEDA_PORT": "0",
        "GAMEKEEPER_KEDA_ADDRESS": "localhost",
        "GAMEKEEPER_REPORT_URLS": "http://localhost:1",
        "GAMEKEEPER_REPORT_ADDRESS": "127.0.0.1",
        "GAMEKEEPER_AGENT_IMAGE": "agent",
    }
)


class Term:
    """Whether this process leads, and what it was asked to remove."""

    def __init__(self) -> None:
        self.leads = True
        self.asked = []

    def present(self):
        return self if self.leads else None

    def remove_marked(self, set_key, policy) -> None:
        self.asked.append(set_key)


class ScaledObjects(FakeKubeClient):
    """A cluster with one ScaledObject and no HPA."""

    def __init__(self, **spec) -> None:
        super().__init__()
        self.body = {"metadata": {"name": SET_NAME}, "spec": spec}
        self.listed = asyncio.Event()

    async def list(self, resource, namespace=None, label_selector=None, page=500):
        found = await super().list(resource, namespace, label_selector, page)
        if resource.kind != "ScaledObject":
            return found
        self.listed.set()
        return found._replace(items=(json.dumps(self.body).encode(),))


def caches() -> Caches:
    made = Caches(Ledger(0.0, 10.0))
    made.sets.put(KEY, game_server_set(replicas=10, status={"observedGeneration": 1}))
    for id_ in range(10):
        key = KEY._replace(name=f"{SET_NAME}-{id_}")
        made.pods.put(key, pod(id_))
        marks = {"opsState": "WaitToBeDeleted"} if id_ else {}
        made.servers.put(key, game_server(id_, status={"currentState": "Ready"}, **marks))
    return made


@asynccontextmanager
async def scaler(client, term):
    live = LiveSets(caches(), RivalReader(client), term.present)
    external = ExternalScaler(SETTINGS, live)
    async with external, KedaClient(external.port) as keda, asyncio.TaskGroup() as tasks:
        running = tasks.create_task(external.run())
        yield external, keda
        running.cancel()


async def until(look, expected) -> None:
    """Look until it is as expected; the test's own timeout ends what never comes."""
    while await look() != expected:
        await asyncio.sleep(0.05)


async def test_the_maximum_of_the_scaled_object_is_read_in_the_background():
    client = ScaledObjects(maxReplicaCount=10)
    async with scaler(client, Term()) as (_, keda):
        ref = ref_of(minAvailable="3")
        # The first answer does not wait for the API server.
        assert await keda.metric(ref) in (12, 1)
        await client.listed.wait()
        await until(lambda: keda.metric(ref), 1)


async def test_a_metric_type_that_cannot_work_is_found_in_the_scaled_object():
    client = ScaledObjects(triggers=[{"type": "external", "metricType": "Value"}])

    async def code() -> str:
        try:
            await keda.metric(ref_of())
        except grpc.aio.AioRpcError as error:
            return error.code().name
        return "OK"

    async with scaler(client, Term()) as (_, keda):
        await until(code, "FAILED_PRECONDITION")


async def test_who_does_not_lead_answers_nothing_and_says_so_to_probes():
    term = Term()
    async with scaler(ScaledObjects(), term) as (_, keda):
        stub = health_pb2_grpc.HealthStub(keda.channel)

        async def health() -> int:
            return (await stub.Check(health_pb2.HealthCheckRequest(), timeout=30)).status

        await until(health, health_pb2.HealthCheckResponse.SERVING)
        term.leads = False
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await keda.metric(ref_of())
        assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
        await until(health, health_pb2.HealthCheckResponse.NOT_SERVING)


async def test_removal_by_name_is_asked_of_the_present_term():
    term = Term()
    async with scaler(ScaledObjects(), term) as (external, keda):
        assert await keda.metric(ref_of(removal="Claim")) == 10
        assert term.asked == [KEY]
        external.changed(KEY)
        external.changed(None)


async def test_a_namespace_that_nobody_asks_about_any_more_is_not_read_any_more(monkeypatch):
    client = ScaledObjects(maxReplicaCount=10)
    seconds = [0.0]
    monkeypatch.setattr("aggregator.external_scaler.monotonic_seconds", lambda: seconds[0])
    monkeypatch.setattr("aggregator.external_scaler.REFRESH_SECONDS", 0.01)
    # What was read counts for a while: here for no time, so that every round reads.
    monkeypatch.setattr("aggregator.autoscaler.rivals.INTERVAL_SECONDS", 0.0)
    live = LiveSets(caches(), RivalReader(client), lambda: None)
    request = read_request(KEY, {})

    async def facts() -> ScaledObjectFacts | None:
        return live.facts(request)

    async def namespaces() -> list[str]:
        return list(live._asked)

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(live.run())
        await until(facts, ScaledObjectFacts(10))
        seconds[0] = FORGET_SECONDS
        client.listed.clear()
        await client.listed.wait()
        assert await namespaces() == ["games"], "asked about within that time"
        seconds[0] = FORGET_SECONDS + 1
        await until(namespaces, [])
        assert await facts() is None
        await until(facts, ScaledObjectFacts(10))
        running.cancel()


async def test_without_grpc_a_port_is_refused_with_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "aggregator.keda.server", None)
    live = LiveSets(caches(), RivalReader(ScaledObjects()), lambda: None)
    with pytest.raises(InvalidInput, match='install "gamekeeper\\[keda\\]"'):
        ExternalScaler(SETTINGS, live)
