"""The health port over real HTTP."""

import pytest
from aiohttp.test_utils import TestClient, TestServer

from aggregator.health import health_app

pytestmark = [pytest.mark.component]


async def test_readiness_names_what_is_missing_and_life_does_not_depend_on_it() -> None:
    synced = {"pods": True, "gameservers": False}
    app = health_app({name: lambda name=name: synced[name] for name in synced})
    async with TestClient(TestServer(app)) as client:
        alive = await client.get("/healthz")
        assert (alive.status, await alive.json()) == (200, {"status": "ok"})
        waiting = await client.get("/readyz")
        assert (waiting.status, await waiting.json()) == (
            503,
            {"status": "not ready", "missing": ["gameservers"]},
        )
        synced["gameservers"] = True
        ready = await client.get("/readyz")
        assert (ready.status, await ready.json()) == (200, {"status": "ready", "missing": []})
