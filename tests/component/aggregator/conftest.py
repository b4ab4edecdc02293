"""One local API server with our CRDs for the tests of this folder."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from aggregator.kube.client import HttpKubeClient, open_kube_client
from aggregator.kube.resources import Resource
from tests.support.apiserver import RunningApiServer, start_apiserver

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
