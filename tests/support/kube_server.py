"""A Kubernetes client of a server that answers as a test says, over real HTTP."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestServer

from aggregator.kube.client import HttpKubeClient, Timeouts, open_kube_client

IMPATIENT = Timeouts(request_seconds=1.0, silence_seconds=1.0)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def kubeconfig(directory: Path, url: str) -> str:
    path = directory / "kubeconfig"
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "test",
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
                "clusters": [{"name": "test", "cluster": {"server": url.rstrip("/")}}],
                "users": [{"name": "test", "user": {"token": "secret"}}],
            }
        )
    )
    return str(path)


@asynccontextmanager
async def serve(
    tmp_path: Path, handler: Handler, timeouts: Timeouts | None = None
) -> AsyncIterator[HttpKubeClient]:
    """Give a client of a server that answers everything with `handler`."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    async with (
        TestServer(app) as server,
        open_kube_client(kubeconfig(tmp_path, str(server.make_url("/"))), timeouts) as client,
    ):
        yield client
