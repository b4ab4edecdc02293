"""A new authority reaches agents that run, and they report through all of it without a restart."""

import asyncio
import base64
import ssl
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from aggregator.kube.patch import MergePatch
from aggregator.kube.resources import CONFIGMAPS, SECRETS, ObjectKey
from localcluster.cluster import ADDRESS
from tests.support.chart_cluster import until
from tests.support.chart_replicas import replicated
from tests.support.helm import NAMESPACE
from tests.support.probed_games import SERVERS, SET, Games, game_image

pytestmark = [pytest.mark.component, pytest.mark.timeout(300)]

# Every replica looks at the Secret twice a minute.
PATIENCE = 120
SECRET = ObjectKey(NAMESPACE, "gamekeeper-reports-tls")


async def entry(world, name):
    """An entry of the Secret, as text."""
    body = await world.kube.get(SECRETS, SECRET)
    return base64.b64decode(body["data"][name]).decode()


async def write(world, **entries):
    data = {
        name: text and base64.b64encode(text.encode()).decode() for name, text in entries.items()
    }
    await world.kube.patch(SECRETS, SECRET, MergePatch({"data": data}))


def certificates(text):
    return [
        each.public_bytes(serialization.Encoding.PEM).decode()
        for each in x509.load_pem_x509_certificates(text.encode())
    ]


def a_day_later(certificate_text, key_text):
    """The certificate of an authority as if it had been made a day and an hour earlier."""
    before = x509.load_pem_x509_certificate(certificate_text.encode())
    builder = x509.CertificateBuilder(
        before.issuer,
        before.subject,
        before.public_key(),
        before.serial_number,
        before.not_valid_before_utc - timedelta(hours=25),
        before.not_valid_after_utc - timedelta(hours=25),
        list(before.extensions),
    )
    key = serialization.load_pem_private_key(key_text.encode(), password=None)
    made = builder.sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM).decode()


async def test_agents_follow_a_new_authority_and_never_fall_silent(tmp_path):
    async with replicated(game_image(tmp_path)) as world:
        games = Games(world)
        await world.apply(SET)
        await until(games.states, ["Allocated", "Allocated"], PATIENCE)
        await until(games.heard, 2, PATIENCE)
        containers = await games.containers()
        (old,) = certificates(await entry(world, "ca.crt"))
        leaf = await entry(world, "tls.crt")

        async def told():
            """Whom agents are told to trust, and what each of them has been shown of it."""
            body = await world.kube.get(CONFIGMAPS, ObjectKey("default", "gamekeeper-ca"))
            shown = [
                await world.kubectl.run(
                    *("exec", name, "-c", "gamekeeper-agent", "--"),
                    *("cat", "/var/run/gamekeeper/ca.crt"),
                )
                for name in SERVERS
            ]
            return [certificates(text) for text in (body["data"]["ca.crt"], *shown)]

        assert await told() == [[old]] * 3

        # The key of the authority is lost: another authority is made, and signs nothing yet.
        await write(world, **{"ca.key": None})

        async def authorities():
            return len(certificates(await entry(world, "ca.crt")))

        await until(authorities, 2, PATIENCE)
        new, kept = certificates(await entry(world, "ca.crt"))
        assert kept == old
        assert await entry(world, "tls.crt") == leaf
        await until(told, [[new, old]] * 3, PATIENCE)
        await report_anew(world, games, "games-0")

        # A day has passed: all agents trust it, and the certificate comes from it.
        await write(world, **{"ca.crt": a_day_later(new, await entry(world, "ca.key")) + old})
        context = ssl.create_default_context(cadata=new)

        async def trusted_by_the_new():
            return await shakes_hands(world.report_port, context)

        await until(trusted_by_the_new, True, PATIENCE)
        assert await entry(world, "tls.crt") != leaf
        await report_anew(world, games, "games-1")
        assert await games.containers() == containers == dict.fromkeys(containers, 0)


async def shakes_hands(port, context):
    """Tell whether a client that trusts this context would report."""
    try:
        _, writer = await asyncio.open_connection(ADDRESS, port, ssl=context)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


async def report_anew(world, games, name):
    """An agent connects again, trusts what it is shown, and what it says has its effect."""
    world.reports.drop()
    await games.say(name, "many")

    async def state():
        return (await games.states())[SERVERS.index(name)]

    await until(state, "Maintaining", PATIENCE)
