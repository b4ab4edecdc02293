"""`helm test`: what its pod runs passes with an aggregator that is there, and fails without one."""

import asyncio
import subprocess
import sys
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from aggregator.health import health_app
from aggregator.kube.resources import ObjectKey
from aggregator.serving import HttpServer
from aggregator.tls.live import LiveCertificate
from aggregator.tls.source import SecretSource
from localcluster.cluster import free_port
from tests.support.helm import of_kind, render
from tests.support.memory_cluster import MemoryCluster

pytestmark = [pytest.mark.component, pytest.mark.timeout(30)]


def script(health, reports):
    """What the pod runs, with this machine in the place of the Services."""
    (pod,) = of_kind(render(), "Pod").values()
    (container,) = pod["spec"]["containers"]
    assert container["command"] == ["python3", "-c"]
    (text,) = container["args"]
    here = {
        "gamekeeper-metrics.gamekeeper-system.svc:8080": f"127.0.0.1:{health}",
        "gamekeeper-reports.gamekeeper-system.svc": "127.0.0.1",
        "443": str(reports),
    }
    for there, local in here.items():
        assert text.count(there) == 1
        text = text.replace(there, local)
    return text


async def run(text):
    """Run it while this process serves."""
    arguments = [sys.executable, "-c", text]
    done = await asyncio.to_thread(
        subprocess.run, arguments, capture_output=True, text=True, timeout=20, check=False
    )
    return done.returncode, done.stdout + done.stderr


@asynccontextmanager
async def serving(ready):
    async def names():
        return frozenset({"localhost"})

    source = SecretSource(MemoryCluster(), ObjectKey("games", "tls"), names)
    certificate = LiveCertificate(source, lambda: None)
    await certificate.obtain()
    health, reports = free_port(), free_port()
    checks = {"pods synced": lambda: ready}
    async with (
        HttpServer(health_app(checks), "127.0.0.1", health),
        HttpServer(web.Application(), "127.0.0.1", reports, certificate.context),
    ):
        yield health, reports


async def test_it_passes_where_an_aggregator_is_ready_and_shows_its_certificate():
    async with serving(ready=True) as (health, reports):
        code, said = await run(script(health, reports))
    assert code == 0, said
    assert said.startswith('ready: {"status": "ready", "missing": []}\nthe report port answers')


async def test_it_fails_where_the_aggregator_is_not_ready():
    async with serving(ready=False) as (health, reports):
        code, said = await run(script(health, reports))
    assert (code, "503" in said) == (1, True)


async def test_it_fails_where_nobody_takes_reports():
    async with serving(ready=True) as (health, _reports):
        code, said = await run(script(health, free_port()))
    assert (code, "Connection refused" in said) == (1, True)
