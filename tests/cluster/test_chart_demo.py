"""The whole demo on what the chart installs, with its roles enforced."""

import pytest

from cli.demo import Demo
from tests.support.chart_cluster import EXAMPLE, POD, installed
from tests.support.helm import NAMESPACE, of_kind
from tests.support.rights import as_granted, granted

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(150)]


async def test_the_whole_demo_passes_with_the_roles_of_the_chart_and_no_more(capsys):
    async with installed() as world:
        await Demo(world.kubectl, EXAMPLE).run()
        assert "ok after" in capsys.readouterr().out

        # Everything that was asked for is granted: nothing works by being forgiven.
        rights = granted(world.objects)
        assert as_granted(rights, await world.asked()) <= rights

        # The certificate was made under these roles, and agents were told whom to trust.
        secret = await world.get("-n", NAMESPACE, "secret", "gamekeeper-reports-tls")
        bundle = await world.get("configmap", "gamekeeper-ca")
        assert sorted(secret["data"]) == ["ca.crt", "ca.key", "tls.crt", "tls.key"]
        assert bundle["data"]["ca.crt"].startswith("-----BEGIN CERTIFICATE-----")

        # The Services lead to the leader's pod.
        selector = ",".join(
            f"{name}={value}"
            for name, value in of_kind(world.objects, "Service")["gamekeeper-reports"]["spec"][
                "selector"
            ].items()
        )
        led = await world.get("-n", NAMESPACE, "pods", "-l", selector)
        assert [each["metadata"]["name"] for each in led["items"]] == [POD]
        lease = await world.get("-n", NAMESPACE, "lease", "gamekeeper-aggregator")
        assert lease["spec"]["holderIdentity"].startswith(f"{POD}_")
