"""The Secret and the files that the certificate comes from."""

import asyncio
from datetime import timedelta

import pytest

from aggregator.kube.errors import Unavailable
from aggregator.kube.resources import SECRETS, SERVICES, ObjectKey
from aggregator.tls.address import ReportAddress, ReportService, read_address
from aggregator.tls.issuing import secret_data
from aggregator.tls.source import FileSource, SecretSource
from aggregator.tls.stored import parse_secret
from shared.errors import InvalidInput, TransientError
from tests.support.memory_cluster import MemoryCluster
from tests.unit.aggregator.tls.conftest import NOW, WANTED

KEY = ObjectKey("games", "reports-tls")


def source(cluster, wanted=WANTED, now=NOW):
    async def names():
        return wanted

    return SecretSource(cluster, KEY, names, lambda: now)


def stored(cluster):
    return cluster.objects[SECRETS.plural, KEY]


async def test_the_first_look_makes_the_secret_and_the_next_leaves_it_alone():
    cluster = MemoryCluster()
    first = await source(cluster).get()
    assert await source(cluster).get() == first
    assert [(each.verb, each.kind, each.name) for each in cluster.writes] == [
        ("create", "secrets", "reports-tls")
    ]
    assert sorted(stored(cluster)["data"]) == ["ca.crt", "ca.key", "tls.crt", "tls.key"]


async def test_two_replicas_that_race_for_the_first_secret_serve_the_same():
    cluster = MemoryCluster()
    async with asyncio.TaskGroup() as tasks:
        both = [tasks.create_task(source(cluster).get()) for _ in range(2)]
    assert both[0].result() == both[1].result()


async def test_two_replicas_that_race_for_a_renewal_serve_the_same():
    cluster = MemoryCluster()
    await source(cluster).get()
    later = NOW + timedelta(days=70)
    async with asyncio.TaskGroup() as tasks:
        both = [tasks.create_task(source(cluster, now=later).get()) for _ in range(2)]
    assert both[0].result() == both[1].result()


async def test_a_secret_that_appears_before_the_creation_is_taken(fresh):
    cluster = MemoryCluster()

    def create_by_another(_):
        cluster.on_write = lambda _: None
        cluster.put(SECRETS, KEY.name, data=secret_data(fresh))

    cluster.on_write = create_by_another
    got = await source(cluster).get()
    assert parse_secret(stored(cluster)).leaf.names == fresh.leaf.names
    assert stored(cluster)["data"] == secret_data(fresh)
    assert got.bundle == fresh.authorities[0].pem


async def test_a_renewal_is_written_onto_what_was_seen_and_keeps_other_entries(fresh):
    cluster = MemoryCluster()
    seen = cluster.put(SECRETS, KEY.name, data=secret_data(fresh) | {"note": "aGk="})
    await source(cluster, WANTED | {"10.0.0.7"}).get()
    (write,) = cluster.writes
    assert write.body["metadata"] == {"resourceVersion": seen["metadata"]["resourceVersion"]}
    assert stored(cluster)["data"]["note"] == "aGk="
    assert parse_secret(stored(cluster)).leaf.names == WANTED | {"10.0.0.7"}


async def test_a_secret_that_somebody_keeps_changing_is_not_fought_over():
    cluster = MemoryCluster()
    cluster.put(SECRETS, KEY.name, data={})
    cluster.on_write = lambda _: cluster.put(SECRETS, KEY.name, data={})
    with pytest.raises(TransientError) as refused:
        await source(cluster).get()
    assert refused.value.reason == "SecretContested"


async def test_a_failure_of_the_api_server_is_the_callers():
    cluster = MemoryCluster()
    cluster.failures["get"].append(Unavailable("ServiceUnavailable", "no answer"))
    with pytest.raises(Unavailable):
        await source(cluster).get()


async def test_files_are_read_each_time(tmp_path):
    for name, text in (("c", "chain"), ("k", "key"), ("b", "bundle")):
        (tmp_path / name).write_text(text)
    files = FileSource(*(str(tmp_path / name) for name in "ckb"))
    before = await files.get()
    (tmp_path / "c").write_text("another")
    after = await files.get()
    assert [(each.chain, each.key, each.bundle) for each in (before, after)] == [
        ("chain", "key", "bundle"),
        ("another", "key", "bundle"),
    ]
    assert "key='key'" not in repr(before)


async def test_a_missing_file_is_named_with_its_setting(tmp_path):
    with pytest.raises(InvalidInput) as refused:
        await FileSource(str(tmp_path / "no"), "", "").get()
    assert refused.value.message == (
        f"GAMEKEEPER_REPORT_TLS_CERTIFICATE_FILE: cannot read {tmp_path / 'no'}: "
        "No such file or directory; is the Secret there that the volume shows?"
    )


SERVICE = ObjectKey("system", "reports")
DNS = {"reports", "reports.system", "reports.system.svc"}
BY_NAME = "https://reports.system.svc"


@pytest.mark.parametrize(
    ("spec", "names", "urls"),
    [
        pytest.param(None, DNS, (f"{BY_NAME}:443",), id="no Service"),
        pytest.param(
            {"ports": [{"port": 8443}], "clusterIP": "10.0.0.9"},
            DNS | {"10.0.0.9"},
            (f"{BY_NAME}:8443", "https://10.0.0.9:8443"),
            id="one address",
        ),
        pytest.param(
            {"ports": [{"port": 1}], "clusterIP": "10.0.0.9", "clusterIPs": ["10.0.0.9", "fd::9"]},
            DNS | {"10.0.0.9", "fd::9"},
            (f"{BY_NAME}:1", "https://10.0.0.9:1", "https://[fd::9]:1"),
            id="two families",
        ),
        pytest.param(
            {"ports": [{"port": 443}], "clusterIP": "None", "clusterIPs": ["None"]},
            DNS,
            (f"{BY_NAME}:443",),
            id="headless",
        ),
    ],
)
def test_the_service_says_where_reports_go(spec, names, urls):
    body = None if spec is None else {"spec": spec}
    assert read_address(SERVICE, body) == ReportAddress(frozenset(names), urls)


async def test_the_last_known_address_is_kept():
    cluster = MemoryCluster()
    cluster.put(SERVICES, "reports", spec={"clusterIP": "10.0.0.9", "ports": [{"port": 443}]})
    service = ReportService(cluster, ObjectKey("games", "reports"))
    assert service.last.urls == ("https://reports.games.svc:443",)
    known = await service.address()
    assert known.urls[1:] == ("https://10.0.0.9:443",)
    assert service.last == known
