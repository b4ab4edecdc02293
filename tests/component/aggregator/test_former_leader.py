"""A leader that is paused, cut off, or told another time: it harms nobody, and is replaced."""

import signal
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from aggregator.kube.resources import GAMESERVERS
from shared.clock import utc_now
from tests.support.faulty import Faulty, until
from tests.support.forwarder import Forwarder
from tests.support.leader_pair import STANDS_BY, Pair

pytestmark = [pytest.mark.component, pytest.mark.timeout(180)]


@pytest.fixture
def pair(faulty: Faulty, tmp_path: Path) -> Pair:
    return Pair(faulty, tmp_path)


async def test_what_a_paused_leader_had_sent_comes_too_late(pair: Pair) -> None:
    without_faults = pair.faulty.server.kubeconfig
    async with pair.running("first") as first:
        await until(pair.labelled, ["first"])
        await pair.create("minecraft", 2)
        await pair.create("lobby", 1)
        both = ["lobby-0", "minecraft-0", "minecraft-1"]
        await until(pair.servers, both)
        async with pair.running("second", without_faults) as second:
            # It chooses a victim and makes a server; both writes are long on their way.
            claim = await pair.faulty.order("hold", verb="patch", resource="gameservers")
            creation = await pair.faulty.order("hold", verb="create", resource="pods")
            await pair.scale(1, "minecraft")
            await pair.scale(2, "lobby")

            async def sent() -> bool:
                return all(await pair.faulty.hits())

            await until(sent, True)
            first.signal(signal.SIGSTOP)
            await until(pair.leader, "second")
            await until(pair.servers, ["lobby-0", "lobby-1", "minecraft-0"])
            await until(pair.labelled, ["second"])
            # By now the world has moved on: the name of the victim is another server's.
            await pair.scale(2, "minecraft")
            await pair.scale(1, "lobby")
            await until(pair.servers, both)
            identities, lease = await pair.identities(), await pair.lease()
            for rule in (claim, creation):
                await pair.faulty.end(rule)
            first.signal(signal.SIGCONT)
            await until(first.answer, STANDS_BY)
            assert await second.answer() == (401, None)
            # A server that was made too late goes again, and nobody else goes in its place.
            await until(pair.identities, identities)
            assert await pair.servers() == both
            specs = [each["spec"] for each in await pair.faulty.all(GAMESERVERS)]
            assert [spec for spec in specs if "deletion" in spec] == []
            assert await pair.labelled() == ["second"]
            after = await pair.lease()
            same = ("holderIdentity", "leaseTransitions")
            assert [after[name] for name in same] == [lease[name] for name in same]
        woken = first.log.read_text().partition("leads no more")[2]
        assert '"changes"' not in woken
        assert "stands by" in woken


async def test_a_leader_that_is_cut_off_is_replaced_and_comes_back_as_a_standby(
    pair: Pair, tmp_path: Path
) -> None:
    body = yaml.safe_load(Path(pair.faulty.kubeconfig).read_text())
    cluster = body["clusters"][0]["cluster"]
    url = urlsplit(cluster["server"])

    async def api_server() -> tuple[str, int]:
        assert url.hostname is not None
        assert url.port is not None
        return url.hostname, url.port

    cable = Forwarder(api_server)
    async with cable.listening() as port:
        cluster["server"] = f"https://127.0.0.1:{port}"
        far = tmp_path / "far"
        far.write_text(yaml.safe_dump(body))
        async with pair.running("first", far) as first:
            await until(pair.labelled, ["first"])
            await pair.create()
            await until(pair.servers, ["minecraft-0"])
            async with pair.running("second") as second:
                cable.cut()
                # Whoever still reaches it is sent away.
                await until(first.answer, STANDS_BY)
                await until(pair.labelled, ["second"])
                await pair.scale(2)
                await until(pair.servers, ["minecraft-0", "minecraft-1"])
                identities = await pair.identities()
                cable.mend()

                async def stands_by() -> bool:
                    return "stands by" in first.log.read_text().partition("leads no more")[2]

                await until(stands_by, True)
                assert (await first.answer(), await second.answer()) == (STANDS_BY, (401, None))
                assert await pair.labelled() == ["second"]
                assert await pair.identities() == identities
                assert (await pair.lease())["leaseTransitions"] == 1


# Runs the aggregator on a wall clock that goes as many seconds before as a file says.
WRONG_CLOCK = """
import runpy, sys
from datetime import timedelta
from pathlib import Path
import shared.clock
right, file = shared.clock.utc_now, Path(sys.argv.pop())
shared.clock.utc_now = lambda: right() + timedelta(seconds=float(file.read_text()))
runpy.run_module("aggregator", run_name="__main__", alter_sys=True)
"""


async def test_clocks_that_jump_make_no_leader_and_depose_none(pair: Pair, tmp_path: Path) -> None:
    hour = timedelta(hours=1)
    clocks = [tmp_path / "first", tmp_path / "second"]
    for clock in clocks:
        clock.write_text("0")
    programs = [("-c", WRONG_CLOCK, str(clock)) for clock in clocks]
    # Nobody may lose it for being slow: then nothing would be said about clocks.
    async with pair.running("first", None, 12, programs[0]):
        await until(pair.labelled, ["first"])
        async with pair.running("second", None, 12, programs[1]):
            for clock, jump in zip(clocks, (hour, -hour), strict=True):
                clock.write_text(str(jump.total_seconds()))

            async def renewed_in_the_future() -> bool:
                renewed = datetime.fromisoformat((await pair.lease())["renewTime"])
                return renewed - utc_now() > hour / 2

            await until(renewed_in_the_future, True)
            for clock, jump in zip(clocks, (-hour, hour), strict=True):
                clock.write_text(str(jump.total_seconds()))

            async def renewed_in_the_past() -> bool:
                renewed = datetime.fromisoformat((await pair.lease())["renewTime"])
                return utc_now() - renewed > hour / 2

            await until(renewed_in_the_past, True)
            lease = await pair.lease()
            assert (await pair.leader(), lease["leaseTransitions"]) == ("first", 0)
            assert await pair.labelled() == ["first"]
            await pair.create()
            await until(pair.servers, ["minecraft-0"])
