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


async def test_metrics_are_there_in_the_form_that_the_scraper_accepts() -> None:
    accepted = []

    def render(accept: str) -> tuple[bytes, str]:
        accepted.append(accept)
        return b"gamekeeper_leader 1\n", "text/plain; version=0.0.4; charset=utf-8"

    async with TestClient(TestServer(health_app({}, render))) as client:
        answer = await client.get("/metrics", headers={"Accept": "application/openmetrics-text"})
        assert (answer.status, await answer.text()) == (200, "gamekeeper_leader 1\n")
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert accepted == ["application/openmetrics-text"]


async def test_without_metrics_there_is_no_such_page() -> None:
    async with TestClient(TestServer(health_app({}))) as client:
        assert (await client.get("/metrics")).status == 404
