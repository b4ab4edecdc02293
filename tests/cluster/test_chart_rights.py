"""Least privilege: what is asked for in a run, and what the chart grants, are the same set.

One aggregator under the chart's roles is made to do all that it can do, also to look up what it
wrote without an answer. What remains unused is named here with its reason.
"""

import asyncio
import ssl
from pathlib import Path

import aiohttp
import pytest
import yaml

from localcluster.cluster import ADDRESS
from shared.api.names import OWNER_LABEL
from tests.support.chart_cluster import EXAMPLE, installed, until
from tests.support.helm import NAMESPACE
from tests.support.rights import as_granted, granted

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(300),
    pytest.mark.local_only(reason="it asks the local API server what was requested"),
]

GAMES, SCALING = "game.kruise.io", "autoscaling.gamekeeper.dev"
KEDA = Path(__file__).parents[1] / "data" / "keda-crd.yaml"
SET = yaml.safe_load(EXAMPLE.read_text())

# What no local cluster asks for.
UNUSED = {
    # OwnerReferencesPermissionEnforcement asks it of owner references that block deletion.
    ("update", GAMES, "gameserversets/finalizers"),
}
FEATURES = {"allocatedDisruptionBudget": True}
MODES = {"everywhere": FEATURES, "in one namespace": FEATURES | {"watchNamespace": "default"}}


def game_set(name, replicas=1, **spec):
    """A set like the example's, whose servers need nothing but a pod."""
    fields = SET["spec"] | {"replicas": replicas, "updateStrategy": {"type": "OnDelete"}}
    metadata = {"name": name, "namespace": "default"}
    return SET | {"metadata": metadata, "spec": fields | spec}


def keeping(body):
    """The set with GameServers that outlive their pods."""
    template = body["spec"]["gameServerTemplate"] | {"reclaimPolicy": "Delete"}
    return body | {"spec": body["spec"] | {"gameServerTemplate": template}}


def with_volumes(body, **policy):
    claim = {
        "metadata": {"name": "world"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Mi"}},
        },
    }
    template = body["spec"]["gameServerTemplate"] | {"volumeClaimTemplates": [claim]}
    fields = {"gameServerTemplate": template, "persistentVolumeClaimRetentionPolicy": policy}
    return body | {"spec": body["spec"] | fields}


async def merge(world, kind, name, body, namespace="default"):
    text = yaml.safe_dump(body)
    await world.kubectl.run("-n", namespace, "patch", kind, name, "--type=merge", "-p", text)


async def kill_a_server(world):
    """Its deletion is accounted, and its GameServer goes with it though no pod owns it."""

    async def servers():
        return [each["metadata"]["name"] for each in (await world.get("gs"))["items"]]

    await world.apply(keeping(game_set("killed", 2)))
    await until(servers, ["killed-0", "killed-1"])
    await merge(world, "gs", "killed-1", {"spec": {"opsState": "Kill"}})
    await until(servers, ["killed-0"])


async def change_templates(world):
    """More revisions than are kept."""

    async def observed():
        body = await world.get("gss", "killed")
        return body["metadata"]["generation"] == body.get("status", {}).get("observedGeneration")

    for number in range(12):
        labels = {"metadata": {"labels": {"round": str(number)}}}
        await merge(world, "gss", "killed", {"spec": {"gameServerTemplate": labels}})
        await until(observed, True)


async def keep_volumes(world):
    """Claims are made, and follow the set's policy when it changes."""
    await world.apply(with_volumes(game_set("stored"), whenDeleted="Delete"))

    async def owners():
        listed = (await world.get("pvc"))["items"]
        return [len(each["metadata"].get("ownerReferences", [])) for each in listed]

    await until(owners, [1])
    await world.apply(with_volumes(game_set("stored"), whenDeleted="Retain"))
    await until(owners, [0])

    async def pods():
        listed = await world.get("pods", "-l", f"{OWNER_LABEL}=stored")
        return [each["metadata"]["name"] for each in listed["items"]]

    await until(pods, ["stored-0"])
    # The pod's successor finds the claim there, and asks whose it is.
    await world.kubectl.run("delete", "pod", "stored-0", "--wait=false")


async def leave_orphans(world):
    """What a deleted set leaves is adopted by the next of its name."""
    await world.kubectl.run("delete", "gss", "killed", "--cascade=orphan")

    async def owned():
        body = await world.get("service", "killed")
        return [each["uid"] for each in body["metadata"].get("ownerReferences", [])]

    await world.apply(keeping(game_set("killed")))
    await until(owned, [(await world.get("gss", "killed"))["metadata"]["uid"]])


async def meet_a_namesake(world):
    """A revision that nobody knows any more has the name of the next one: whose was it?"""
    selector = f"{OWNER_LABEL}=namesake"

    async def revisions():
        return len((await world.get("controllerrevisions", "-l", selector))["items"])

    await world.apply(game_set("namesake", 0))
    await until(revisions, 1)
    await world.kubectl.run("delete", "gss", "namesake", "--cascade=orphan")
    await world.kubectl.run("label", "controllerrevisions", "-l", selector, f"{OWNER_LABEL}-")
    await world.apply(game_set("namesake", 0))


async def refuse_pods(world):
    """The same event again and again: it is counted."""
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "few", "namespace": "default"},
        "spec": {"hard": {"pods": "1"}},
    }
    await world.apply(quota, game_set("refused", 2))


async def scale_by_itself(world):
    """An autoscaler looks for rivals and says what it sees."""
    spec = {"gameServerSetName": "killed", "minReplicas": 0, "maxReplicas": 2, "minAvailable": 0}
    await world.apply(
        {
            "apiVersion": f"{SCALING}/v1alpha1",
            "kind": "GameServerSetAutoscaler",
            "metadata": {"name": "killed", "namespace": "default"},
            "spec": spec | {"mode": "DryRun"},
        }
    )


async def damage_the_certificate(world):
    """A new authority is written, and told to agents."""
    secret = "gamekeeper-reports-tls"
    await merge(world, "secret", secret, {"data": {"ca.key": None}}, NAMESPACE)


async def read_the_status(world):
    """Who reads is asked about."""
    url = f"https://{ADDRESS}:{world.status_port}/v1/gameserversets"
    headers = {"Authorization": f"Bearer {world.token}"}
    secret = await world.get("-n", NAMESPACE, "secret", "gamekeeper-reports-tls")
    assert "tls.crt" in secret["data"]
    # The certificate is for the Service; whether it is the right one is tested elsewhere.
    context = ssl._create_unverified_context()
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(url, ssl=context) as response,
    ):
        assert response.status in (200, 403), await response.text()


async def ignore_other_namespaces(world):
    """A set where the aggregator may not look gets no servers, and no question about it."""
    await world.kubectl.run("create", "namespace", "elsewhere")
    body = game_set("ignored")
    await world.apply(body | {"metadata": body["metadata"] | {"namespace": "elsewhere"}})


@pytest.mark.parametrize("values", MODES.values(), ids=MODES)
async def test_what_is_asked_for_is_what_the_chart_grants(values):
    async with installed(values) as world:
        await world.kubectl.run("apply", "-f", str(KEDA))
        if "watchNamespace" in values:
            await ignore_other_namespaces(world)
        # A pod that was made without an answer is looked up.
        await world.lose_answer("create", "pods")
        await kill_a_server(world)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(keep_volumes(world))
            tasks.create_task(meet_a_namesake(world))
            tasks.create_task(scale_by_itself(world))
            tasks.create_task(damage_the_certificate(world))
            tasks.create_task(read_the_status(world))
        await change_templates(world)
        await leave_orphans(world)
        await refuse_pods(world)
        rights = granted(world.objects)
        unused = {each for each in rights if (each.verb, each.group, each.resource) in UNUSED}
        assert len(unused) == len(UNUSED)

        async def differences():
            """Rights that were not asked for, and requests that no right covers."""
            used = as_granted(rights, await world.asked())
            return sorted(rights - unused - used), sorted(used - (rights - unused))

        await until(differences, ([], []), seconds=180)
        assert (await world.get("-A", "gs", "-l", f"{OWNER_LABEL}=ignored"))["items"] == []
