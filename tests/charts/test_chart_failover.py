"""The chart's Deployment while its pods come and go: agents report on, actions happen once."""

import asyncio
import os
import signal

import pytest

from localcluster.cluster import NODE_NAME
from tests.support.chart_cluster import until
from tests.support.chart_replicas import replicated
from tests.support.probed_games import SERVERS, SET, Games, game_image

pytestmark = [pytest.mark.component, pytest.mark.timeout(300)]

# Deadlines of conditions: one that is met costs nothing.
PATIENCE = 90
REFUSED = b"Cannot evict pod as it would violate the pod's disruption budget."


async def test_games_go_on_while_the_leader_is_killed_and_the_node_is_drained(tmp_path):
    async with replicated(game_image(tmp_path)) as world:
        games = Games(world)

        async def replicas():
            return len(await world.ready()), len(await world.leaders())

        await until(replicas, (2, 1), PATIENCE)
        await world.apply(SET)
        await until(games.states, ["Allocated", "Allocated"], PATIENCE)
        await until(games.heard, 2, PATIENCE)
        containers = await games.containers()
        # A person disagrees: whoever acted on this verdict again would undo it.
        await games.edit("games-0", "None")
        before = [await games.trace(name) for name in SERVERS]

        former, (pod,) = await world.holder(), await world.leaders()
        os.kill(await world.process(pod), signal.SIGKILL)

        async def another_leads():
            return await world.holder() not in ("", former) and len(await world.leaders()) == 1

        await until(another_leads, True, PATIENCE)
        await until(games.heard, 2, PATIENCE)
        await games.say("games-1", "many")
        await until(games.states, ["None", "Maintaining"], PATIENCE)
        generation, _, _ = before[1]
        assert (await games.trace("games-1"))[:2] == (generation + 1, "Maintaining")
        assert await games.trace("games-0") == before[0]
        # The killed container starts again in its pod, and stands by.
        await until(replicas, (2, 1), PATIENCE)

        evicted = {each["metadata"]["uid"] for each in await world.replicas()}
        await drain(world)
        await until(replicas, (2, 1), PATIENCE)
        assert evicted.isdisjoint({each["metadata"]["uid"] for each in await world.replicas()})
        await until(games.heard, 2, PATIENCE)
        await games.say("games-0", "many")
        await until(games.states, ["Maintaining", "Maintaining"], PATIENCE)
        generation, _, _ = before[0]
        assert (await games.trace("games-0"))[:2] == (generation + 1, "Maintaining")
        # No game and no agent was touched by any of this.
        assert await games.containers() == containers == dict.fromkeys(containers, 0)


async def drain(world):
    """Evict both replicas as `kubectl drain` does; the second waits for its successor."""
    process = await asyncio.create_subprocess_exec(
        *world.kubectl.command("drain", NODE_NAME, f"--pod-selector={world.selector}"),
        env=world.kubectl.environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said = b""
        while REFUSED not in said:
            line = await asyncio.wait_for(process.stdout.readline(), PATIENCE)
            assert line, said.decode()
            said += line
        # The only node is cordoned: nobody can take the place of the first, so the second stays.
        assert len(await world.ready()) == 1
        await world.kubectl.run("uncordon", NODE_NAME)
        rest, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
        assert process.returncode == 0, (said + rest).decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
