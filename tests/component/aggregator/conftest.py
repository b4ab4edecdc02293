"""Local API servers with our CRDs for the tests of this folder: one, and one that fails."""

import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import aiohttp
import pytest

from aggregator.kube.client import HttpKubeClient, open_kube_client
from aggregator.kube.resources import Resource
from tests.support.apiserver import RunningApiServer, start_apiserver
from tests.support.faulty import AGGREGATOR, AGGREGATOR_TOKEN, Faulty

CRDS = Path(__file__).parents[3] / "charts" / "gamekeeper" / "crds"
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)


@pytest.fixture(scope="session")
def game_apiserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApiServer]:
    """One program for all tests that keep to a namespace of their own."""
    server = start_apiserver(tmp_path_factory.mktemp("games"), sorted(CRDS.glob("*.yaml")))
    yield server
    assert server.stop() == 0


@pytest.fixture
async def kube(game_apiserver: RunningApiServer) -> AsyncIterator[HttpKubeClient]:
    """A client of it, over TLS and with its token."""
    async with open_kube_client(str(game_apiserver.kubeconfig)) as client:
        yield client


@pytest.fixture
async def namespace(kube: HttpKubeClient) -> str:
    """A fresh namespace."""
    name = f"test-{uuid4().hex[:8]}"
    await kube.create(NAMESPACES, "", {"metadata": {"name": name}})
    return name


@pytest.fixture(scope="session")
def faulty_apiserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApiServer]:
    """A server with the control endpoint, and a user for what is tested."""
    users = {AGGREGATOR_TOKEN: {"username": AGGREGATOR, "groups": []}}
    directory = tmp_path_factory.mktemp("faulty")
    server = start_apiserver(directory, sorted(CRDS.glob("*.yaml")), users, ["--control"])
    text = server.kubeconfig.read_text().replace(server.token, AGGREGATOR_TOKEN)
    (directory / AGGREGATOR).write_text(text)
    yield server
    assert server.stop() == 0


@pytest.fixture
async def faulty(faulty_apiserver: RunningApiServer) -> AsyncIterator[Faulty]:
    """A namespace of its own; no rule outlives the test."""
    context = ssl.create_default_context(cafile=str(faulty_apiserver.ca_file))
    headers = {"Authorization": f"Bearer {faulty_apiserver.token}"}
    connector = aiohttp.TCPConnector(ssl=context)
    async with (
        aiohttp.ClientSession(
            faulty_apiserver.url, headers=headers, connector=connector
        ) as session,
        open_kube_client(str(faulty_apiserver.kubeconfig)) as kube,
    ):
        name = f"test-{uuid4().hex[:8]}"
        await kube.create(NAMESPACES, "", {"metadata": {"name": name}})
        kubeconfig = str(faulty_apiserver.kubeconfig.with_name(AGGREGATOR))
        yield Faulty(faulty_apiserver, session, kube, kubeconfig, name)
        async with session.delete("/control/faults") as answer:
            assert answer.status == 200
