"""Fixtures: the program with kubectl, and the application in this process."""

from __future__ import annotations

import asyncio
import io
import json
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import yaml
from aiohttp.test_utils import TestServer

from localcluster.apiserver.app import make_app
from localcluster.apiserver.authentication import User
from localcluster.apiserver.state import ApiServer, make_api_server
from tests.support.apiserver import RunningApiServer, start_apiserver
from tests.support.apiserver import apiserver as apiserver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

ROOMS = Path(__file__).parents[2] / "data" / "apiserver" / "rooms.yaml"
TOKEN = "admin-token"
HISTORY_EVENTS = 8


@pytest.fixture(scope="session")
def shared_apiserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApiServer]:
    """One program for all tests that keep to a namespace of their own."""
    server = start_apiserver(tmp_path_factory.mktemp("apiserver"), [ROOMS])
    yield server
    assert server.stop() == 0


@dataclass(frozen=True)
class Namespaced:
    """kubectl within one namespace of the shared program."""

    server: RunningApiServer
    namespace: str

    def __call__(self, *args: str, **options: Any) -> str:
        """Return what a successful kubectl prints."""
        return self.server.kubectl("-n", self.namespace, *args, **options).stdout

    def fails(self, *args: str, **options: Any) -> str:
        """Return the stderr of a kubectl that must fail."""
        done = self.server.kubectl("-n", self.namespace, *args, check=False, **options)
        assert done.returncode == 1, done.stdout
        return done.stderr

    def get(self, *args: str) -> Any:
        """Return an object or list, decoded."""
        return json.loads(self("get", *args, "-o", "json"))


@pytest.fixture
def kubectl(shared_apiserver: RunningApiServer) -> Namespaced:
    """The real kubectl in a fresh namespace."""
    namespace = f"test-{uuid.uuid4().hex[:8]}"
    shared_apiserver.kubectl("create", "namespace", namespace)
    return Namespaced(shared_apiserver, namespace)


@dataclass(frozen=True)
class Api:
    """HTTP requests to an application in this process."""

    session: aiohttp.ClientSession
    server: ApiServer

    async def request(
        self, method: str, path: str, body: Any = None, **options: Any
    ) -> tuple[int, Any]:
        """Return status and decoded body."""
        headers = {"Authorization": f"Bearer {TOKEN}", **options.pop("headers", {})}
        raw = body is None or isinstance(body, bytes | io.BytesIO)
        data = body if raw else json.dumps(body).encode()
        if data is not None:
            headers.setdefault("Content-Type", "application/json")
        async with self.session.request(
            method, path, data=data, headers=headers, **options
        ) as response:
            return response.status, json.loads(await response.read())

    async def ok(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """Return the body of a request that succeeds."""
        status, answer = await self.request(method, path, body, **options)
        assert status in (200, 201), answer
        return answer

    async def patch(self, path: str, body: Any, kind: str = "merge", **options: Any) -> Any:
        """Return status and body of a patch; `kind` is merge, json or strategic."""
        media = {
            "merge": "application/merge-patch+json",
            "json": "application/json-patch+json",
            "strategic": "application/strategic-merge-patch+json",
        }[kind]
        return await self.request("PATCH", path, body, headers={"Content-Type": media}, **options)

    async def watch(self, path: str, **params: str) -> list[dict[str, Any]]:
        """Return every event of a watch that the server ends after `timeoutSeconds`."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        query = {"watch": "true", "timeoutSeconds": "1", **params}
        async with self.session.get(path, params=query, headers=headers) as response:
            assert response.status == 200
            return [json.loads(line) async for line in response.content]


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    """A fresh server in this process, with rooms, and a short watch window."""
    admin = User("admin", ("system:masters",))
    definitions = [yaml.safe_load(ROOMS.read_text())]
    schedule = asyncio.get_running_loop().call_soon
    server = make_api_server({TOKEN: admin}, "kubelet", definitions, schedule, HISTORY_EVENTS)
    async with (
        TestServer(make_app(server)) as http,
        aiohttp.ClientSession(base_url=http.make_url("/")) as session,
    ):
        yield Api(session, server)
