"""Two aggregators as programs: one leads, the other takes over."""

import asyncio
import signal
from pathlib import Path

import pytest

from shared.protocol.paths import REPORTS_PATH
from tests.support.faulty import Faulty, until
from tests.support.leader_pair import LONG_LEASE_SECONDS, STANDS_BY, Pair

pytestmark = [pytest.mark.component, pytest.mark.timeout(180)]


@pytest.fixture
def pair(faulty: Faulty, tmp_path: Path) -> Pair:
    return Pair(faulty, tmp_path)


async def test_a_standby_is_ready_refuses_reports_and_takes_over_at_a_graceful_stop(
    pair: Pair,
) -> None:
    long = LONG_LEASE_SECONDS
    async with pair.running("first", lease_seconds=long) as first:
        await until(pair.labelled, ["first"])
        await pair.create()
        await until(pair.servers, ["minecraft-0"])
        async with pair.running("second", lease_seconds=long) as second:
            # Readiness is no leadership: `running` has waited for it.
            assert await pair.leader() == "first"
            assert await first.answer() == (401, None)
            assert await second.answer() == STANDS_BY
            released_at = asyncio.get_running_loop().time()
            first.signal(signal.SIGTERM)
            await until(pair.leader, "second")
            waited = asyncio.get_running_loop().time() - released_at
            # Far less than a lease: it was released, and not waited for.
            assert waited < LONG_LEASE_SECONDS
            assert await first.process.wait() == 0
            await until(pair.labelled, ["second"])
            await pair.scale(2)
            await until(pair.servers, ["minecraft-0", "minecraft-1"])
            assert (await pair.lease())["leaseTransitions"] == 1


async def test_a_killed_leader_is_replaced_and_its_label_is_taken(pair: Pair) -> None:
    async with pair.running("first") as first:
        await until(pair.labelled, ["first"])
        async with pair.running("second"):
            first.signal(signal.SIGKILL)
            await first.process.wait()
            await until(pair.leader, "second")
            await until(pair.labelled, ["second"])
            await pair.create()
            await until(pair.servers, ["minecraft-0"])


async def test_a_leader_that_loses_its_lease_closes_the_connections_of_agents(pair: Pair) -> None:
    async with pair.running("first") as first:
        await until(pair.labelled, ["first"])
        _, _, address = first.reports.partition("//")
        host, _, port = address.partition("/")[0].partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            head = f"POST {REPORTS_PATH} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2\r\n"
            auth = "Content-Type: application/json\r\nAuthorization: Bearer made-up\r\n\r\n{}"
            writer.write((head + auth).encode())
            assert (await reader.readline()).startswith(b"HTTP/1.1 401")
            # An open connection waits for the next report: nothing more comes until it is closed.
            await pair.faulty.give_lease_to("somebody else", seconds=600)
            rest = await reader.read()
            assert reader.at_eof()
            assert rest.endswith(b"}")
        finally:
            writer.close()
            await writer.wait_closed()
        await until(pair.labelled, [])
        # Neither does it write anything more, whatever it could do.
        made = await pair.faulty.order("delay", verb="create", resource="pods")
        await pair.create()
        await until(first.answer, STANDS_BY)
        assert (await pair.servers(), await pair.faulty.hits()) == ([], [0])
        await pair.faulty.end(made)
        await pair.faulty.give_lease_to("")
        await until(pair.servers, ["minecraft-0"])
        await until(pair.labelled, ["first"])
