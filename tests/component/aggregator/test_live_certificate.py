"""The certificate in use: real handshakes while it is replaced."""

import asyncio
import ssl
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp
import pytest
from aiohttp import web

from aggregator.serving import HttpServer
from aggregator.tls.decision import Renew
from aggregator.tls.issuing import bundle, leaf_key_pem, leaf_pem, renew
from aggregator.tls.live import LiveCertificate
from aggregator.tls.source import ServerCertificate
from aggregator.tls.stored import Stored
from localcluster.cluster import free_port
from shared.clock import utc_now
from shared.errors import InvalidInput, TransientError

pytestmark = [pytest.mark.component, pytest.mark.timeout(30)]

NAMES = frozenset({"localhost", "127.0.0.1"})
LEAF = Renew(authority=False, leaf=True, reason="test")
AUTHORITY = Renew(authority=True, leaf=False, reason="test")


def made(stored=None, step=None):
    both = Renew(authority=True, leaf=True, reason="test")
    return renew(stored or Stored(), step or both, NAMES, utc_now())


def shown(stored):
    return ServerCertificate(leaf_pem(stored.leaf), leaf_key_pem(stored.leaf), bundle(stored))


class Source:
    """Gives what a test puts here; an exception is raised."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = asyncio.Event()

    async def get(self):
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        self.asked.set()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def show(self, answer):
        """Give this from now on, and return once it was asked for and used."""
        self.answers = [answer]
        for _ in range(2):
            self.asked.clear()
            await self.asked.wait()


async def serial_shown(port, trusted):
    """Return the serial number of the certificate that a new connection is shown."""
    context = ssl.create_default_context(cadata=trusted)
    _reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        return int(writer.get_extra_info("peercert")["serialNumber"], 16)
    finally:
        writer.transport.abort()


@asynccontextmanager
async def serving(source):
    changes = []
    live = LiveCertificate(source, lambda: changes.append(live.bundle), period_seconds=0.02)
    await live.obtain()
    port = free_port()
    server = HttpServer(web.Application(), "127.0.0.1", port, live.context)
    async with server, asyncio.TaskGroup() as tasks:
        task = tasks.create_task(live.run())
        yield live, port, changes
        task.cancel()


async def test_a_new_certificate_is_shown_without_a_restart():
    first = made()
    second = made(first, LEAF)
    source = Source(shown(first))
    async with serving(source) as (_, port, changes):
        trusted = bundle(first)
        assert await serial_shown(port, trusted) == first.leaf.certificate.serial_number
        await source.show(shown(second))
        assert await serial_shown(port, trusted) == second.leaf.certificate.serial_number
    # The authority is the same: agents need not be told of anything.
    assert changes == [trusted]


async def test_nobody_is_cut_off_while_the_authority_is_replaced():
    first = made()
    added = made(first, AUTHORITY)
    signed = made(added, LEAF)
    source = Source(shown(first))
    async with serving(source) as (live, port, changes):
        old, both = bundle(first), bundle(added)
        await source.show(shown(added))
        # Agents that know the old authority only, and those that know both.
        for trusted in (old, both):
            assert await serial_shown(port, trusted) == first.leaf.certificate.serial_number
        await source.show(shown(signed))
        assert await serial_shown(port, both) == signed.leaf.certificate.serial_number
        with pytest.raises(ssl.SSLCertVerificationError):
            await serial_shown(port, old)
        assert (live.bundle, changes) == (both, [old, both])


async def test_an_open_connection_lives_on():
    first = made()
    source = Source(shown(first))
    async with serving(source) as (_, port, _changes):
        context = ssl.create_default_context(cadata=bundle(first))
        connector = aiohttp.TCPConnector(ssl=context, limit=1)
        async with aiohttp.ClientSession(connector=connector) as session:
            url = f"https://localhost:{port}/"
            async with session.get(url) as response:
                assert response.status == 404
            await source.show(shown(made()))
            async with session.get(url) as response:
                assert response.status == 404


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda good, other: replace(good, chain="no PEM"), id="no certificate"),
        pytest.param(lambda good, other: replace(good, key=""), id="no key"),
        pytest.param(lambda good, other: replace(good, key=other.key), id="another's key"),
        pytest.param(lambda good, other: TransientError("Away", "no answer"), id="no answer"),
        pytest.param(lambda good, other: InvalidInput("F", "cannot read"), id="no file"),
    ],
)
async def test_what_cannot_be_used_never_replaces_what_can(spoil):
    first = made()
    good = shown(first)
    source = Source(good)
    async with serving(source) as (live, port, _):
        await source.show(spoil(replace(good), shown(made())))
        assert await serial_shown(port, bundle(first)) == first.leaf.certificate.serial_number
        assert live.bundle == good.bundle


async def test_the_start_waits_for_an_api_server_that_is_away():
    good = shown(made())
    source = Source(TransientError("Away", "no answer"), good)
    live = LiveCertificate(source, lambda: None)
    await live.obtain()
    assert live.bundle == good.bundle


async def test_the_start_fails_at_what_a_person_must_mend():
    live = LiveCertificate(Source(replace(shown(made()), key="x")), lambda: None)
    with pytest.raises(InvalidInput) as refused:
        await live.obtain()
    assert refused.value.message.endswith("both must be PEM and belong together")


async def test_no_key_reaches_a_disk(tmp_path, monkeypatch):
    opened = []
    plain = ssl.SSLContext.load_cert_chain

    def load(self, chain, key):
        opened.extend((chain, key))
        return plain(self, chain, key)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", load)
    await LiveCertificate(Source(shown(made())), lambda: None).obtain()
    assert {path.rpartition("/")[0] for path in opened} == {"/proc/self/fd"}
