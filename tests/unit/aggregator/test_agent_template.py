"""Where agents go, from the versions of the cluster; and what they have in common."""

import json

import pytest

from aggregator.agent_template import decide_placement, find_agent_template
from aggregator.gameserverset.agent_container import AgentResources, AgentTemplate
from aggregator.kube.errors import Rejected, Unavailable
from aggregator.kube.transport import RawList
from aggregator.settings import Settings
from tests.support.kube import FakeKubeClient


@pytest.mark.parametrize(
    ("kubelets", "server", "placement"),
    [
        pytest.param(["v1.29.0"], "", "native", id="the oldest that knows sidecars"),
        pytest.param(["v1.28.15"], "v1.31.0", "container", id="older"),
        pytest.param(["v1.31.2", "v1.28.9"], "v1.31.2", "container", id="one of two older"),
        pytest.param(["v1.31.2-gke.1", "v1.30.0+k3s1"], "", "native", id="vendors' suffixes"),
        pytest.param(["1.36.0"], "", "native", id="no v"),
        pytest.param(["v2.0.1"], "", "native", id="a major version"),
        pytest.param(["?"], "v1.36.0", "container", id="a kubelet of no known version"),
        pytest.param(None, "v1.33.0", "native", id="nodes are hidden, the server is new"),
        pytest.param(None, "v1.32.9", "container", id="nodes are hidden, the server is not"),
        pytest.param([], "v1.33.1", "native", id="no nodes yet"),
        pytest.param([], "", "container", id="nothing known"),
    ],
)
def test_a_native_sidecar_needs_every_kubelet(kubelets, server, placement):
    assert decide_placement(kubelets, server) == placement


class Cluster(FakeKubeClient):
    """Nodes of some versions, or a refusal; the first requests may fail."""

    def __init__(self, nodes=None, server="v1.36.0", failures=0):
        super().__init__()
        self.nodes = nodes
        self.server = server
        self.left = failures

    async def list(self, resource, namespace=None, label_selector=None, page=500):
        if self.left:
            self.left -= 1
            raise Unavailable("ServiceUnavailable", "no answer")
        if self.nodes is None:
            raise Rejected("Forbidden", "nodes is forbidden", 403)
        infos = ({"status": {"nodeInfo": {"kubeletVersion": each}}} for each in self.nodes)
        return RawList(tuple(json.dumps(each).encode() for each in infos), "1")

    async def server_version(self):
        return self.server


def settings(**fields):
    least = {"agent_image": "agent:1", "report_urls": ("https://a",), "report_address": "127.0.0.1"}
    return Settings.model_validate(least | fields)


@pytest.mark.parametrize(
    ("cluster", "choice", "placement"),
    [
        pytest.param(Cluster(["v1.30.1"]), "auto", "native", id="nodes"),
        pytest.param(Cluster(["v1.28.1"]), "auto", "container", id="old nodes"),
        pytest.param(Cluster(), "auto", "native", id="no right to see nodes"),
        pytest.param(Cluster(server="v1.30.0"), "auto", "container", id="nor a new server"),
        pytest.param(Cluster(["v1.28.1"]), "native", "native", id="native by hand"),
        pytest.param(Cluster(["v1.36.1"]), "container", "container", id="container by hand"),
    ],
)
async def test_the_placement_is_found_unless_it_is_set(cluster, choice, placement):
    found = await find_agent_template(settings(agent_placement=choice), cluster, ())
    assert found.placement == placement


async def test_an_api_server_that_is_away_is_waited_for():
    found = await find_agent_template(settings(), Cluster(["v1.36.0"], failures=1), ())
    assert found.placement == "native"


async def test_everything_else_is_as_set():
    given = settings(
        agent_image_pull_policy="Always",
        agent_placement="container",
        agent_security_profile="ptrace",
        agent_status_port=9000,
        agent_host_network_status_port=9001,
        agent_cpu_request="20m",
        agent_cpu_limit="200m",
        agent_guaranteed_cpu="300m",
        agent_memory_request="64Mi",
        agent_memory_limit="256Mi",
    )
    assert await find_agent_template(given, Cluster(), ("https://b",)) == AgentTemplate(
        image="agent:1",
        image_pull_policy="Always",
        report_urls=("https://b",),
        status_port=9000,
        host_network_status_port=9001,
        placement="container",
        profile="ptrace",
        resources=AgentResources("20m", "200m", "300m", "64Mi", "256Mi"),
    )
