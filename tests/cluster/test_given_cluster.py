"""The tests of this folder on a cluster that somebody else has made, as others run them.

Two of them, on a stand-in for such a cluster: the demo, and the end of a leader. The chart is
installed by helm, roles are enforced, and aggregators have nothing but their account's token.
"""

from __future__ import annotations

import asyncio
import os
import re
import ssl
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import yaml

from cli.kubectl import Kubectl
from tests.support.cluster import REPOSITORY
from tests.support.foreign_cluster import Foreign, foreign_cluster
from tests.support.helm import NAMESPACE, RELEASE, render
from tests.support.rights import Right, as_granted, asked, granted

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(300),
    pytest.mark.local_only(reason="it is about giving a cluster to these tests"),
]
CHOSEN = ("tests/cluster/test_demo.py", "tests/cluster/test_leader_gone.py")
# What tests make beside objects in namespaces.
KINDS = "namespaces,customresourcedefinitions,clusterroles,clusterrolebindings"


async def names_of_everything(foreign: Foreign) -> set[str]:
    return set((await Kubectl(foreign.local.kubeconfig).run("get", KINDS, "-o", "name")).split())


async def run_pytest(foreign: Foreign) -> tuple[int | None, str]:
    """Run the chosen tests with this cluster; exit code and what was printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", *CHOSEN, *foreign.pytest_options()),
        *("-p", "no:cacheprovider"),
        cwd=REPOSITORY,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        # What it has made goes with the cluster.
        process.kill()
        await process.wait()
        raise
    return process.returncode, output.decode(errors="replace")


async def asked_by_the_aggregator(foreign: Foreign) -> set[Right]:
    """What it has asked for, as if the release were in its usual namespace."""
    body: dict[str, Any] = yaml.safe_load(foreign.local.kubeconfig.read_text())
    server = body["clusters"][0]["cluster"]
    context = ssl.create_default_context(cafile=server["certificate-authority"])
    headers = {"Authorization": f"Bearer {body['users'][0]['user']['token']}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(f"{server['server']}/control/requests", ssl=context) as response,
    ):
        users = (await response.json())["users"]
    account = re.compile(rf"system:serviceaccount:(gamekeeper-test-[0-9a-f]+):{RELEASE}")
    ((own, rows),) = [(m[1], rows) for user, rows in users.items() if (m := account.match(user))]
    return {
        replace(each, namespace=NAMESPACE) if each.namespace == own else each
        for each in asked(rows)
    }


async def test_the_demo_passes_on_a_given_cluster_with_the_roles_of_the_chart_and_nothing_is_left(
    tmp_path: Path,
) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root: the aggregators run as user 65532")
    async with foreign_cluster(tmp_path) as foreign:
        before = await names_of_everything(foreign)
        code, output = await run_pytest(foreign)
        assert code == 0, output
        assert re.search(r"\b2 passed in ", output), output
        assert await names_of_everything(foreign) == before

        # Everything that was asked for is granted: nothing works by being forgiven.
        rights = granted(render())
        used = as_granted(rights, await asked_by_the_aggregator(foreign))
        assert Right("create", "", "pods") in used
        assert used <= rights
