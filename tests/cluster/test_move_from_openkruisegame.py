"""Moving from OpenKruiseGame: its pods live on under our aggregator, and get agents when recreated.

The objects are those that its manager leaves behind: an Advanced StatefulSet that owns the pods,
and a GameServer of each pod, owned by the pod, without anything of ours in it.
"""

import asyncio
import json
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml

from cli.cluster import AGENT_IMAGE, agent_image, aggregator_program
from cli.kubectl import Kubectl
from cli.manifests import find_images
from localcluster.cluster import ClusterOptions, LocalCluster, free_port
from shared.crds import custom_resource_definitions

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(300),
    pytest.mark.local_only(reason="it begins without an aggregator"),
]

EXAMPLE = Path(__file__).parents[2] / "examples" / "minecraft" / "minecraft.yaml"
SET = yaml.safe_load(EXAMPLE.read_text())
STATEFULSETS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "statefulsets.apps.kruise.io"},
    "spec": {
        "group": "apps.kruise.io",
        "scope": "Namespaced",
        "names": {
            "kind": "StatefulSet",
            "listKind": "StatefulSetList",
            "plural": "statefulsets",
            "singular": "statefulset",
            "shortNames": ["asts"],
        },
        "versions": [
            {
                "name": "v1beta1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "x-kubernetes-preserve-unknown-fields": True,
                    }
                },
            }
        ],
    },
}
OPS_STATES = {0: "Allocated", 1: "None", 2: "WaitToBeDeleted"}


def owned_by(kind, api_version, body):
    metadata = body["metadata"]
    return [
        {
            "apiVersion": api_version,
            "kind": kind,
            "name": metadata["name"],
            "uid": metadata["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]


class Cluster:
    """What OpenKruiseGame left, and kubectl."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.kubectl = Kubectl(cluster.kubeconfig)

    async def apply(self, body):
        file = self.cluster.directory / "object.yaml"
        file.write_text(yaml.safe_dump(body))
        await self.kubectl.run("apply", "-f", str(file))
        return await self.get(body["kind"] + "." + group(body), body["metadata"]["name"])

    async def get(self, *arguments):
        return json.loads(await self.kubectl.run("get", *arguments, "-o", "json"))

    async def pods(self):
        listed = (await self.get("pods"))["items"]
        return {each["metadata"]["name"]: each for each in listed}

    async def ops_states(self):
        listed = (await self.get("gs"))["items"]
        return {each["metadata"]["name"]: each["spec"]["opsState"] for each in listed}


def group(body):
    version = body["apiVersion"]
    return version.partition("/")[0] if "/" in version else ""


async def until(look, expected):
    actual = None
    try:
        async with asyncio.timeout(90):
            while (actual := await look()) != expected:
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"expected {expected}\nactual {actual}") from None


@asynccontextmanager
async def left_behind(strategy):
    options = ClusterOptions(
        find_images([EXAMPLE], []),
        programs={AGENT_IMAGE: agent_image()},
        crds=[*custom_resource_definitions(), STATEFULSETS],
    )
    async with LocalCluster(options) as cluster:
        world = Cluster(cluster)
        spec = SET["spec"] | {"updateStrategy": strategy}
        await world.apply(SET | {"spec": spec})
        stateful = await world.apply(
            {
                "apiVersion": "apps.kruise.io/v1beta1",
                "kind": "StatefulSet",
                "metadata": {"name": "minecraft", "namespace": "default"},
            }
        )
        template = SET["spec"]["gameServerTemplate"]
        for id_, ops_state in OPS_STATES.items():
            name = f"minecraft-{id_}"
            labels = {
                "game.kruise.io/owner-gss": "minecraft",
                "controller-revision-hash": "minecraft-6d5f8c7b9",
                "statefulset.kubernetes.io/pod-name": name,
            }
            metadata = {"name": name, "namespace": "default", "labels": labels}
            owners = owned_by("StatefulSet", "apps.kruise.io/v1beta1", stateful)
            pod = await world.apply(
                {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "metadata": metadata | {"ownerReferences": owners},
                    "spec": template["spec"],
                }
            )
            await world.apply(
                {
                    "apiVersion": "game.kruise.io/v1alpha1",
                    "kind": "GameServer",
                    "metadata": {
                        "name": name,
                        "namespace": "default",
                        "labels": {"game.kruise.io/owner-gss": "minecraft"},
                        "ownerReferences": owned_by("Pod", "v1", pod),
                    },
                    "spec": {"opsState": ops_state, "deletionPriority": id_},
                }
            )
        await world.kubectl.run("delete", "asts", "minecraft", "--cascade=orphan")
        yield world


async def test_servers_live_on_and_get_an_agent_when_they_are_recreated():
    # Every server at once: the strategy under which most could be lost.
    async with left_behind({"rollingUpdate": {"maxUnavailable": "100%"}}) as world:
        before = {name: pod["metadata"]["uid"] for name, pod in (await world.pods()).items()}
        await world.cluster.start_program(aggregator_program(world.cluster, free_port()))

        async def controllers():
            return {
                name: [each["kind"] for each in pod["metadata"].get("ownerReferences", [])]
                for name, pod in (await world.pods()).items()
            }

        await until(controllers, {name: ["GameServerSet"] for name in before})
        expected = {f"minecraft-{id_}": state for id_, state in OPS_STATES.items()}
        assert await world.ops_states() == expected

        async def missing():
            body = await world.get("gss", "minecraft")
            conditions = body.get("status", {}).get("conditions", [])
            return [each["status"] for each in conditions if each["type"] == "AgentMissing"]

        await until(missing, ["True"])
        after = {name: pod["metadata"]["uid"] for name, pod in (await world.pods()).items()}
        assert after == before

        # Nothing that was chosen before is lost: the marked server goes first.
        await world.kubectl.run("scale", "gss", "minecraft", "--replicas=2")

        async def names():
            return sorted(await world.pods())

        await until(names, ["minecraft-0", "minecraft-1"])
        await world.kubectl.run("delete", "pod", "minecraft-1")

        async def agents():
            return {
                name: [each["name"] for each in pod["spec"].get("initContainers", [])]
                for name, pod in (await world.pods()).items()
                if "deletionTimestamp" not in pod["metadata"]
            }

        await until(agents, {"minecraft-0": [], "minecraft-1": ["gamekeeper-agent"]})
        assert (await world.pods())["minecraft-0"]["metadata"]["uid"] == before["minecraft-0"]
