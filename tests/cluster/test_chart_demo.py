"""The whole demo on what the chart installs: its roles enforced, its account's token, its settings.

A Deployment has no controller here, so the aggregator is started with the environment that the
Deployment gives it; only addresses and ports are of this machine.
"""

import asyncio
import json
import ssl
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from cli.cluster import AGENT_IMAGE, _agent_image
from cli.demo import Demo
from cli.kubectl import Kubectl
from cli.manifests import find_images
from localcluster.cluster import ADDRESS, ClusterOptions, LocalCluster, free_port
from localcluster.programs import HttpReady, ProgramSpec
from shared.api import names
from tests.support.helm import CHART, NAMESPACE, RELEASE, aggregator_container, of_kind, render
from tests.support.rights import Right, asked, granted

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(150)]

EXAMPLE = Path(__file__).parents[2] / "examples" / "minecraft" / "minecraft.yaml"
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:{RELEASE}"
POD = f"{RELEASE}-0"
REPOSITORY, _, TAG = AGENT_IMAGE.rpartition(":")


@dataclass(frozen=True)
class Installed:
    """A cluster with the chart in it and its aggregator running."""

    cluster: LocalCluster
    kubectl: Kubectl
    objects: list[dict[str, Any]]

    async def get(self, *arguments: str) -> Any:
        return json.loads(await self.kubectl.run("get", *arguments, "-o", "json"))

    async def asked(self) -> set[Right]:
        """What the aggregator has asked the API server for so far."""
        body = yaml.safe_load(self.cluster.kubeconfig.read_text())
        server = body["clusters"][0]["cluster"]
        context = ssl.create_default_context(cafile=server["certificate-authority"])
        headers = {"Authorization": f"Bearer {body['users'][0]['user']['token']}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            url = f"{server['server']}/control/requests"
            async with session.get(url, ssl=context) as response:
                users = (await response.json())["users"]
        return asked(users[ACCOUNT])


@asynccontextmanager
async def installed(**values):
    options = ClusterOptions(
        find_images([EXAMPLE], []), programs={AGENT_IMAGE: _agent_image()}, rbac=True, control=True
    )
    port = free_port()
    # Pods here are on the network of this machine: the Service's address is that of loopback, and
    # its name cannot be resolved, as in a pod on the host's network.
    chosen = {
        "services.reports.port": port,
        "services.reports.clusterIP": ADDRESS,
        "agent.image.repository": REPOSITORY,
        "agent.image.tag": TAG,
        "agent.image.pullPolicy": "Never",
    }
    objects = render(chosen | values, "--skip-tests")
    async with LocalCluster(options) as cluster:
        kubectl = Kubectl(cluster.kubeconfig)
        await kubectl.run("create", "namespace", NAMESPACE)
        await kubectl.run("apply", "--server-side", "-f", str(CHART / "crds"))
        await kubectl.run("wait", "--for=condition=Established", "crd", "--all")
        manifest = cluster.directory / "chart.yaml"
        manifest.write_text(yaml.safe_dump_all([*objects, pod_of(objects)]))
        await kubectl.run("apply", "--validate=strict", "-f", str(manifest))
        token = await kubectl.run("-n", NAMESPACE, "create", "token", RELEASE)
        await cluster.start_program(aggregator(cluster, objects, token.strip(), port))
        yield Installed(cluster, kubectl, objects)


def pod_of(objects):
    """The pod of the Deployment: nothing runs in it here, but it is what the leader labels."""
    (deployment,) = of_kind(objects, "Deployment").values()
    template = deployment["spec"]["template"]
    metadata = template["metadata"] | {"name": POD, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def aggregator(cluster, objects, token, port):
    body = yaml.safe_load(cluster.kubeconfig.read_text())
    body["users"][0]["user"]["token"] = token
    kubeconfig = cluster.directory / "credentials" / "account.kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(body))
    fields = {"metadata.name": POD, "metadata.namespace": NAMESPACE}
    environment = {
        entry["name"]: entry["value"]
        if "value" in entry
        else fields[entry["valueFrom"]["fieldRef"]["fieldPath"]]
        for entry in aggregator_container(objects)["env"]
    }
    health = free_port()
    environment |= {
        "GAMEKEEPER_KUBECONFIG": str(kubeconfig),
        "GAMEKEEPER_REPORT_ADDRESS": ADDRESS,
        "GAMEKEEPER_REPORT_PORT": str(port),
        "GAMEKEEPER_HEALTH_ADDRESS": ADDRESS,
        "GAMEKEEPER_HEALTH_PORT": str(health),
        "GAMEKEEPER_STATUS_ADDRESS": ADDRESS,
        "GAMEKEEPER_STATUS_PORT": str(free_port()),
        "GAMEKEEPER_KEDA_ADDRESS": ADDRESS,
        "GAMEKEEPER_KEDA_PORT": str(free_port()),
    }
    ready = HttpReady(lambda: f"http://{ADDRESS}:{health}/readyz")
    return ProgramSpec("aggregator", [sys.executable, "-m", "aggregator"], ready, environment)


async def until(look, expected):
    async with asyncio.timeout(30):
        while await look() != expected:
            await asyncio.sleep(0.1)


async def test_the_whole_demo_passes_with_the_roles_of_the_chart_and_no_more(capsys):
    async with installed() as world:
        await Demo(world.kubectl, EXAMPLE).run()
        assert "ok after" in capsys.readouterr().out

        # Everything that was asked for is granted: nothing works by being forgiven.
        rights = granted(world.objects)
        requests = await world.asked()
        assert {each for each in requests if not any(r.covers(each) for r in rights)} == set()
        # And what the demo did not need has its reason here.
        idle = {each for each in rights if not any(each.covers(r) for r in requests)}
        assert {each for each in idle if (each.group, each.resource) not in REASONS} == set()

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


# Rights that the demo does not use, by group and resource: what they are for.
REASONS = {
    ("", "pods"): "leader label, in-place updates; get: a write whose answer was lost",
    ("", "persistentvolumeclaims"): "volumeClaimTemplates",
    ("", "persistentvolumes"): "condition PersistentVolumeNormal",
    ("", "nodes"): "condition NodeNormal, placement of agents",
    ("", "events"): "patch: an event that repeats",
    ("", "configmaps"): "patch: another bundle",
    ("", "services"): "the headless Service of a set",
    ("", "secrets"): "patch: a certificate that is renewed",
    ("apps", "controllerrevisions"): "history of templates",
    ("networking.k8s.io", "networkpolicies"): "networkIsolation",
    ("policy", "poddisruptionbudgets"): "allocatedDisruptionBudget",
    ("autoscaling", "horizontalpodautoscalers"): "rivals of an autoscaler",
    ("keda.sh", "scaledobjects"): "rivals of an autoscaler",
    ("autoscaling.gamekeeper.dev", "gameserversetautoscalers"): "autoscalers",
    ("autoscaling.gamekeeper.dev", "gameserversetautoscalers/status"): "autoscalers",
    ("authorization.k8s.io", "subjectaccessreviews"): "readers of the status API",
    ("game.kruise.io", "gameserversets"): "get, patch: accounting of deletions",
    ("game.kruise.io", "gameserversets/finalizers"): "owner references that block deletion",
    ("game.kruise.io", "gameservers"): "get: a write whose answer was lost; delete: Delete policy",
}


async def test_in_one_namespace_the_cluster_is_asked_for_nothing_but_what_it_alone_can_say():
    async with installed(watchNamespace="default") as world:
        await world.kubectl.run("create", "namespace", "elsewhere")
        there = world.cluster.directory / "elsewhere.yaml"
        there.write_text(EXAMPLE.read_text().replace("namespace: default", "namespace: elsewhere"))
        for manifest in (there, EXAMPLE):
            await world.kubectl.run("apply", "-f", str(manifest))

        async def states(namespace):
            listed = await world.get("-n", namespace, "gs")
            return [each.get("status", {}).get("currentState") for each in listed["items"]]

        await until(lambda: states("default"), ["Ready"] * 3)
        assert await states("elsewhere") == []

        requests = await world.asked()
        rights = granted(world.objects)
        assert {each for each in requests if not any(r.covers(each) for r in rights)} == set()
        assert {each.resource for each in requests if not each.namespace} <= {
            "tokenreviews",
            "subjectaccessreviews",
            "nodes",
            "persistentvolumes",
        }


def test_every_reason_is_about_a_right_that_exists():
    known = {(each.group, each.resource) for each in granted(render())}
    assert REASONS.keys() - known == set()
    assert names.GROUP in {each.group for each in granted(render())}
