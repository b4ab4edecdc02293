"""The report endpoint as the settings ask for it."""

import asyncio
import base64

import pytest

from aggregator.app import Aggregator
from aggregator.kube.errors import Rejected, Unavailable
from aggregator.kube.resources import SECRETS, SERVICES, ObjectKey
from aggregator.report_endpoint import ReportEndpoint
from aggregator.settings import Settings
from aggregator.tls.stored import parse_secret
from localcluster.cluster import free_port
from shared.errors import InvalidInput, TerminalError
from tests.support.memory_cluster import MemoryCluster

IN_A_CLUSTER = {
    "agent_image": "agent:1",
    "pod_name": "gamekeeper-0",
    "pod_namespace": "games",
    "report_service": "reports",
    "report_tls_secret": "reports-tls",
    "status_service": "status",
}
LOCAL = {"agent_image": "agent:1", "report_address": "127.0.0.1", "report_urls": ("http://a:1",)}
SECRET = ObjectKey("games", "reports-tls")


def endpoint(cluster, fields, changes=None):
    noted = [] if changes is None else changes
    return ReportEndpoint(Settings.model_validate(fields), cluster, lambda: noted.append("bundle"))


def cluster_with_a_service():
    cluster = MemoryCluster()
    cluster.put(SERVICES, "reports", spec={"clusterIP": "10.0.0.9", "ports": [{"port": 443}]})
    return cluster


async def test_the_certificate_is_for_both_services_and_agents_go_to_one():
    cluster, changes = cluster_with_a_service(), []
    made = endpoint(cluster, IN_A_CLUSTER, changes)
    assert (made.is_ready(), made.bundle) == (False, "")
    await made.obtain()
    body = cluster.objects[SECRETS.plural, SECRET]
    assert parse_secret(body).leaf.names == {
        *("reports", "reports.games", "reports.games.svc", "10.0.0.9"),
        *("status", "status.games", "status.games.svc", "localhost"),
    }
    assert made.urls == ("https://reports.games.svc:443", "https://10.0.0.9:443")
    assert made.bundle == base64.b64decode(body["data"]["ca.crt"]).decode()
    assert (made.is_ready(), changes) == (True, ["bundle"])


async def test_a_certificate_without_a_service_is_for_the_hosts_of_the_urls():
    cluster = MemoryCluster()
    urls = ("https://reports.example:8443", "https://[fd00::9]:8443")
    fields = IN_A_CLUSTER | {"report_service": "", "report_urls": urls, "status_service": ""}
    made = endpoint(cluster, fields)
    await made.obtain()
    leaf = parse_secret(cluster.objects[SECRETS.plural, SECRET]).leaf
    assert (leaf.names, made.urls) == ({"reports.example", "fd00::9"}, urls)


async def test_without_a_certificate_there_is_plain_http():
    made = endpoint(MemoryCluster(), LOCAL)
    await made.obtain()
    assert (made.context, made.bundle, made.urls) == (None, "", ("http://a:1",))


async def test_the_start_waits_for_the_api_server():
    cluster = cluster_with_a_service()
    cluster.failures["get"].append(Unavailable("ServiceUnavailable", "no answer"))
    made = endpoint(cluster, IN_A_CLUSTER)
    await made.obtain()
    assert made.is_ready()


async def test_a_right_that_is_missing_ends_the_start():
    cluster = cluster_with_a_service()
    cluster.failures["get"].append(Rejected("Forbidden", "services is forbidden", 403))
    with pytest.raises(TerminalError, match="services is forbidden"):
        await endpoint(cluster, IN_A_CLUSTER).obtain()


def aggregator(cluster, **fields):
    ports = {f"{name}_port": free_port() for name in ("health", "report", "status")}
    addresses = {"health_address": "127.0.0.1", "status_address": "127.0.0.1"}
    return Aggregator(Settings.model_validate(IN_A_CLUSTER | ports | addresses | fields), cluster)


async def test_a_stop_does_not_wait_for_a_certificate():
    class Away(MemoryCluster):
        async def get(self, *arguments):
            raise Unavailable("ServiceUnavailable", "no answer")

    stop = asyncio.Event()
    async with asyncio.timeout(15), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(aggregator(Away()).run(stop))
        await asyncio.sleep(0)
        assert not running.done()
        stop.set()


async def test_a_certificate_that_cannot_be_read_ends_the_program_with_one_line(tmp_path):
    missing = str(tmp_path / "tls.crt")
    files = {"report_tls_certificate_file": missing, "report_tls_key_file": missing}
    program = aggregator(cluster_with_a_service(), report_tls_secret="", **files)
    with pytest.raises(InvalidInput) as refused:
        await program.run(asyncio.Event())
    assert refused.value.message.startswith("GAMEKEEPER_REPORT_TLS_CERTIFICATE_FILE: cannot read")
