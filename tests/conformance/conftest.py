"""The cluster under test: the one of `--kubeconfig FILE`, or else our local API server.

Expectations never depend on which of the two it is. What the local server does not do yet stands in
local_gaps.py and applies to local runs only.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import pytest_asyncio
import yaml

from tests.conformance.client import GROUP, Cluster, Json, Namespace, until
from tests.conformance.connection import Connection, read_kubeconfig
from tests.conformance.local_gaps import LOCAL_GAPS
from tests.conformance.local_kubelet import local_kubelet
from tests.support.apiserver import start_apiserver
from tests.support.kubelet import write_image

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.support.apiserver import RunningApiServer

_FOLDER = Path(__file__).parent
_CHART = _FOLDER.parents[1] / "charts" / "gamekeeper" / "crds"
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
# A real cluster creates a namespace's service account, and ends watches, in its own time.
_TEST_SECONDS = 90


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the suite on one event loop, and mark what the local server is known not to do."""
    local = _kubeconfig(config) is None
    for item in items:
        if not item.path.is_relative_to(_FOLDER):
            continue
        item.add_marker(pytest.mark.timeout(_TEST_SECONDS))
        item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
        gap = LOCAL_GAPS.get(f"{item.path.stem}::{item.name}")
        if local and gap is not None:
            item.add_marker(pytest.mark.xfail(strict=True, reason=f"local server: {gap}"))


def _kubeconfig(config: pytest.Config) -> Path | None:
    path: Path | None = config.getoption("--kubeconfig")
    return path


@pytest.fixture(scope="session")
def is_local(pytestconfig: pytest.Config) -> bool:
    """Whether the suite runs against the server that it started."""
    return _kubeconfig(pytestconfig) is None


@pytest.fixture(scope="session")
def local_server(
    is_local: bool, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningApiServer | None]:
    """The local API server, as long as the session; None where another cluster is given."""
    if not is_local:
        yield None
        return
    server = start_apiserver(tmp_path_factory.mktemp("apiserver"), options=["--rbac"])
    yield server
    assert server.stop() == 0


@pytest.fixture(scope="session")
def connection(pytestconfig: pytest.Config, local_server: RunningApiServer | None) -> Connection:
    """How the cluster is reached."""
    path = local_server.kubeconfig if local_server else _kubeconfig(pytestconfig)
    assert path is not None
    return read_kubeconfig(path)


@pytest.fixture(scope="session")
def kubelet(
    local_server: RunningApiServer | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Something that runs pods: the cluster's own nodes, or the local kubelet."""
    if local_server is None:
        yield
        return
    folder = tmp_path_factory.mktemp("kubelet")
    image = write_image(folder / "busybox", {"command": ["sh"]})
    with local_kubelet(local_server, folder, {"busybox": image}):
        yield


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def cluster(connection: Connection, is_local: bool) -> AsyncIterator[Cluster]:
    """The cluster with the definitions of the suite and of Gamekeeper."""
    async with _session(connection, connection.token) as session:
        reached = Cluster(session, connection.server, is_local)
        own = yaml.safe_load((_FOLDER / "specimen.yaml").read_text(encoding="utf-8"))
        made = [await _define_anew(reached, own)]
        for path in sorted(_CHART.glob("*.yaml")):
            definition = yaml.safe_load(path.read_text(encoding="utf-8"))
            if await _define(reached, definition):
                made.append(definition["metadata"]["name"])
        yield reached
        for name in made:
            (await reached.delete(f"{_DEFINITIONS}/{name}")).ok()


@pytest_asyncio.fixture(loop_scope="session")
async def namespace(cluster: Cluster) -> AsyncIterator[Namespace]:
    """A namespace of the test's own, ready for pods."""
    metadata = {"generateName": "conformance-", "labels": {"suite": GROUP}}
    made = (await cluster.request("POST", "/api/v1/namespaces", {"metadata": metadata})).ok()
    own = Namespace(cluster, made["metadata"]["name"])

    async def has_account() -> bool:
        return (await own.get("serviceaccounts", "default")).code == 200

    await until(has_account)
    yield own
    await _release(own)
    await cluster.delete(f"/api/v1/namespaces/{own.name}")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stranger(connection: Connection, cluster: Cluster) -> AsyncIterator[Cluster]:
    """The same server, for requests that carry a token of their own."""
    async with _session(connection, "", anonymous=True) as session:
        yield Cluster(session, connection.server, cluster.local)


@asynccontextmanager
async def _session(
    connection: Connection, token: str, *, anonymous: bool = False
) -> AsyncIterator[aiohttp.ClientSession]:
    tls = connection.anonymous_tls if anonymous else connection.tls
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=tls),
        headers=headers,
        timeout=aiohttp.ClientTimeout(total=_TEST_SECONDS),
        read_bufsize=1 << 20,
    ) as session:
        yield session


async def _define_anew(cluster: Cluster, definition: Json) -> str:
    """Create the definition of the suite; one that an aborted run left behind goes first."""
    name = str(definition["metadata"]["name"])
    path = f"{_DEFINITIONS}/{name}"
    if (await cluster.delete(path)).code != 404:

        async def gone() -> bool:
            return (await cluster.get(path)).code == 404

        await until(gone)
    assert await _define(cluster, definition)
    return name


async def _define(cluster: Cluster, definition: Json) -> bool:
    """Create a definition if it is absent, return once it is served; True if it was absent."""
    answer = await cluster.request("POST", _DEFINITIONS, definition)
    absent = answer.outcome != (409, "AlreadyExists")
    if absent:
        answer.ok()
    spec = definition["spec"]
    version, plural = spec["versions"][0]["name"], spec["names"]["plural"]

    async def served() -> bool:
        path = f"/apis/{spec['group']}/{version}/{plural}"
        return (await cluster.get(path, limit="1")).code == 200

    await until(served)
    return absent


async def _release(own: Namespace) -> None:
    """Take the finalizers off what a failed test left, so that the namespace can end."""
    for plural in ("configmaps", "specimens"):
        for item in (await own.list(plural)).ok()["items"]:
            if item["metadata"].get("finalizers"):
                cleared: dict[str, Any] = {"metadata": {"finalizers": None}}
                await own.patch("merge", plural, item["metadata"]["name"], cleared)


def pytest_report_header(config: pytest.Config) -> str:
    """Say which cluster it is."""
    given = _kubeconfig(config)
    return f"conformance: {json.dumps(str(given)) if given else 'a local API server'}"
