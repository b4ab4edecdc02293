"""Templates and the pods they become: what the agent adds."""

from dataclasses import replace

import pytest

from aggregator.gameserverset.agent_container import AgentResources
from aggregator.gameserverset.pod import render_pod
from shared.api import names
from tests.support.agent_cells import (
    AGENT,
    BURSTABLE,
    CONTAINER,
    EXEC,
    GUARANTEED,
    TCP,
    Cell,
    agent_is,
    container,
    expected,
    expected_agent,
    in_container,
    limits,
    one,
    pod_user,
    ports,
    profile,
    rendered,
    two,
)
from tests.support.builders import game_server_set, quality

NONE = {"profile": "none"}
MINIMUM = {"profile": "minimal"}
TWO_KINDS = (EXEC, TCP)
CELLS = {
    # Who gets one.
    "no qualities, no agent": Cell(qualities=(), agent=None),
    "qualities, an agent": Cell(),
    "never, no agent": Cell(annotations=agent_is("never"), agent=None),
    "always, an agent without probes": Cell(
        qualities=(), annotations=agent_is("always"), agent=NONE
    ),
    "auto is the default": Cell(annotations=agent_is("auto")),
    # Where it goes.
    "native before other init containers": Cell({"initContainers": [container("fetch")]}),
    "native before other native sidecars": Cell(
        {"initContainers": [container("mesh", restartPolicy="Always")]}
    ),
    "container after the game": Cell(template=CONTAINER),
    "container leaves init containers alone": Cell(
        {"initContainers": [container("fetch")]}, template=CONTAINER
    ),
    "volume after the others": Cell({"volumes": [{"name": "data", "emptyDir": {}}]}),
    "lists that are null": Cell({"initContainers": None, "volumes": None}),
    # PID namespace.
    "exec shares the PID namespace": Cell(pod={"shareProcessNamespace": True}),
    "exec beside tcp shares it": Cell(qualities=TWO_KINDS, pod={"shareProcessNamespace": True}),
    "tcp alone does not": Cell(qualities=(TCP,), agent=NONE),
    "an explicit true stays": Cell({"shareProcessNamespace": True}, (TCP,), agent=NONE),
    "an explicit false stays": Cell({"shareProcessNamespace": False}, agent=NONE),
    "a null is no answer": Cell(
        {"shareProcessNamespace": None}, pod={"shareProcessNamespace": True}
    ),
    "hostPID stays alone, without rights": Cell({"hostPID": True}, agent=NONE),
    # Rights.
    "an unknown user may be root": Cell(one()),
    "pod user 1000": Cell(pod_user(runAsUser=1000), agent=MINIMUM),
    "pod user 0": Cell(pod_user(runAsUser=0)),
    "pod runAsNonRoot": Cell(pod_user(runAsNonRoot=True), agent=MINIMUM),
    "pod runAsNonRoot false": Cell(pod_user(runAsNonRoot=False)),
    "container user 1000": Cell(one(securityContext={"runAsUser": 1000}), agent=MINIMUM),
    "container user 0 over pod user 1000": Cell(
        one(securityContext={"runAsUser": 0}) | pod_user(runAsUser=1000)
    ),
    "container user 1000 over pod user 0": Cell(
        one(securityContext={"runAsUser": 1000}) | pod_user(runAsUser=0), agent=MINIMUM
    ),
    "container runAsNonRoot false over pod true": Cell(
        one(securityContext={"runAsNonRoot": False}) | pod_user(runAsNonRoot=True)
    ),
    "a user says more than runAsNonRoot": Cell(
        one(securityContext={"runAsNonRoot": True}) | pod_user(runAsUser=0)
    ),
    "privileged root gets no ptrace by itself": Cell(one(securityContext={"privileged": True})),
    "a securityContext that is null": Cell({"securityContext": None} | one(securityContext=None)),
    "the probed container decides": Cell(two(), in_container("game"), agent=MINIMUM),
    "the other container decides when probed": Cell(two(), in_container("log")),
    "one root target of two": Cell(
        two(), (*in_container("game"), quality("b", containerName="log"))
    ),
    "two targets, none root": Cell(
        two(securityContext={"runAsUser": 8}),
        (*in_container("game"), quality("b", containerName="log")),
        agent=MINIMUM,
    ),
    "an exec probe of no container": Cell(qualities=in_container("gone"), agent=NONE),
    "ptrace by annotation": Cell(annotations=profile("ptrace"), agent={"profile": "ptrace"}),
    "minimal by annotation": Cell(annotations=profile("minimal"), agent=MINIMUM),
    "default by annotation": Cell(
        pod_user(runAsUser=7), annotations=profile("default"), agent={"profile": "default"}
    ),
    "none by annotation": Cell(annotations=profile("none"), agent=NONE),
    "auto by annotation over the installation's": Cell(
        annotations=profile("auto"), template=replace(AGENT, profile="ptrace")
    ),
    "ptrace by the installation": Cell(
        template=replace(AGENT, profile="ptrace"), agent={"profile": "ptrace"}
    ),
    # Resources.
    "limits only are guaranteed": Cell(
        one(resources=limits("1", "1Gi")), agent={"resources": GUARANTEED}
    ),
    "equal requests are guaranteed": Cell(
        one(resources=limits("1", "1Gi", cpu="1000m", memory="1024Mi")),
        agent={"resources": GUARANTEED},
    ),
    "a smaller request is burstable": Cell(one(resources=limits("1", "1Gi", cpu="500m"))),
    "no memory limit is burstable": Cell(one(resources={"limits": {"cpu": 1}})),
    "a number is a quantity": Cell(
        one(resources={"limits": {"cpu": 2, "memory": 1024}}), agent={"resources": GUARANTEED}
    ),
    "an init container without limits": Cell(
        one(resources=limits("1", "1Gi")) | {"initContainers": [container("fetch")]}
    ),
    "all containers guaranteed": Cell(
        {
            "containers": [container(resources=limits("1", "1Gi"))],
            "initContainers": [container("fetch", resources=limits("1", "1Gi"))],
        },
        agent={"resources": GUARANTEED},
    ),
    "resources of the pod": Cell(
        {"resources": limits("2", "2Gi")}, agent={"resources": GUARANTEED}
    ),
    "resources of the pod that differ": Cell(
        {"resources": limits("2", "2Gi", cpu="1")} | one(resources=limits("1", "1Gi"))
    ),
    "no quantity is the API server's to refuse": Cell(one(resources=limits("much", "1Gi"))),
    "a zero limit is no limit": Cell(one(resources=limits("0", "1Gi"))),
    "a CPU limit of the installation": Cell(
        template=replace(AGENT, resources=AgentResources(cpu_limit="500m")),
        agent={
            "resources": BURSTABLE | {"limits": {"cpu": "500m", "memory": "128Mi"}},
        },
    ),
    # Ports.
    "a game's own 8089 is not taken": Cell(one(ports=ports(80, 8089)), agent={"port": 0}),
    "another port does not matter": Cell(one(ports=ports(25565))),
    "no port on the host's network": Cell({"hostNetwork": True}, agent={"port": 0}),
    "a port on the host's network if configured": Cell(
        {"hostNetwork": True},
        template=replace(AGENT, host_network_status_port=18089),
        agent={"port": 18089},
    ),
    "no port at all": Cell(template=replace(AGENT, status_port=0), agent={"port": 0}),
    # Names.
    "names of the template win": Cell(
        {"hostname": "own", "subdomain": "net"}, pod={"hostname": "own", "subdomain": "net"}
    ),
    "the marker is opt-in": Cell(
        {
            "containers": [container(env=[{"name": "A", "value": "b"}])],
            "initContainers": [container("mesh")],
        },
        annotations={names.MARKER_ANNOTATION: "true"},
        pod={
            "containers": [
                container(
                    env=[
                        {"name": "A", "value": "b"},
                        {"name": "GAMEKEEPER_CONTAINER", "value": "game"},
                    ]
                )
            ],
            "initContainers": [
                container("mesh", env=[{"name": "GAMEKEEPER_CONTAINER", "value": "mesh"}])
            ],
        },
    ),
    "a marker that is there stays": Cell(
        one(env=[{"name": "GAMEKEEPER_CONTAINER", "value": "game"}]),
        annotations={names.MARKER_ANNOTATION: "true"},
    ),
}


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_a_template_becomes_a_pod(cell):
    assert rendered(cell) == expected(cell)


def test_a_pod_of_a_former_template_gets_the_agent_that_fits_it():
    player = pod_user(runAsUser=1000) | one(resources=limits("1", "1Gi"))
    owner = game_server_set(template={"spec": player}, qualities=(EXEC,))
    former = {"spec": {"containers": [container(ports=ports(8089))]}}
    for template, wanted in (
        (None, expected_agent("minimal", resources=GUARANTEED)),
        (former, expected_agent("default", port=0)),
    ):
        pod = render_pod(owner, 0, AGENT, template)
        assert pod["spec"]["initContainers"] == [wanted]


def test_the_agents_name_is_free_where_no_agent_comes():
    cell = Cell(one(name="gamekeeper-agent"), annotations=agent_is("never"), agent=None)
    assert rendered(cell) == expected(cell)
