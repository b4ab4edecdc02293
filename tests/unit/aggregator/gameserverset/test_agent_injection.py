"""Templates and the pods they become: what the agent adds, and that nothing else changes."""

from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.gameserverset.agent_container import AgentResources, AgentTemplate
from aggregator.gameserverset.pod import render_pod
from aggregator.gameserverset.security_profile import security_context
from shared.api import names
from shared.errors import InvalidInput
from tests.support.builders import game_server_set, quality

AGENT = AgentTemplate("agent:1", "IfNotPresent", ("https://a:1", "https://10.0.0.9:1"))
CONTAINER = replace(AGENT, placement="container")
EXEC = quality("healthy")
TCP = quality("open", exec=None, tcpSocket={"port": 7})
MINIMAL = ["SYS_CHROOT", "SETUID", "SETGID", "SETPCAP", "KILL"]
ROOT = {
    "runAsUser": 0,
    "runAsGroup": 0,
    "runAsNonRoot": False,
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTEXTS = {
    "none": ROOT
    | {"runAsUser": 65532, "runAsGroup": 65532, "runAsNonRoot": True}
    | {"capabilities": {"drop": ["ALL"]}},
    "minimal": ROOT | {"capabilities": {"drop": ["ALL"], "add": MINIMAL}},
    "default": ROOT,
    "ptrace": ROOT | {"capabilities": {"add": ["SYS_PTRACE"]}},
}
BURSTABLE = {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}}
GUARANTEED = {
    "requests": {"cpu": "100m", "memory": "128Mi"},
    "limits": {"cpu": "100m", "memory": "128Mi"},
}


def container(name="game", **fields):
    return {"name": name, "image": f"{name}:1"} | fields


def limits(most_cpu, most_memory, **requests):
    return {"limits": {"cpu": most_cpu, "memory": most_memory}} | (
        {"requests": requests} if requests else {}
    )


def ports(*numbers):
    return [{"containerPort": number} for number in numbers]


def field_of(name, path):
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def expected_agent(
    profile="default", port=8089, resources=BURSTABLE, placement="native"
) -> dict[str, Any]:
    agent: dict[str, Any] = {
        "name": "gamekeeper-agent",
        "image": "agent:1",
        "imagePullPolicy": "IfNotPresent",
        "env": [
            {"name": "GAMEKEEPER_REPORT_URLS", "value": "https://a:1,https://10.0.0.9:1"},
            {"name": "GAMEKEEPER_TOKEN_FILE", "value": "/var/run/gamekeeper/token"},
            {"name": "GAMEKEEPER_CA_FILE", "value": "/var/run/gamekeeper/ca.crt"},
            {"name": "GAMEKEEPER_STATUS_PORT", "value": str(port)},
            field_of("GAMEKEEPER_POD_NAME", "metadata.name"),
            field_of("GAMEKEEPER_POD_NAMESPACE", "metadata.namespace"),
            field_of("GAMEKEEPER_POD_UID", "metadata.uid"),
            field_of("GAMEKEEPER_POD_IP", "status.podIP"),
        ],
        "resources": resources,
        "securityContext": CONTEXTS[profile],
        "volumeMounts": [
            {"name": "gamekeeper-agent", "mountPath": "/var/run/gamekeeper", "readOnly": True}
        ],
    }
    if placement == "native":
        agent["restartPolicy"] = "Always"
    if port:
        agent["ports"] = [{"name": "gk-status", "containerPort": port, "protocol": "TCP"}]
    return agent


VOLUME = {
    "name": "gamekeeper-agent",
    "projected": {
        "sources": [
            {
                "serviceAccountToken": {
                    "audience": "gamekeeper",
                    "expirationSeconds": 3600,
                    "path": "token",
                }
            },
            {
                "configMap": {
                    "name": "gamekeeper-ca",
                    "items": [{"key": "ca.crt", "path": "ca.crt"}],
                }
            },
        ]
    },
}


@dataclass(frozen=True)
class Cell:
    """A template, and what its pod has beside it.

    `agent` are the arguments of `expected_agent`, None for no agent; `pod` is what else is set.
    """

    spec: dict[str, Any] = field(default_factory=dict)
    qualities: tuple[Any, ...] = (EXEC,)
    annotations: dict[str, str] = field(default_factory=dict)
    template: AgentTemplate = AGENT
    agent: dict[str, Any] | None = field(default_factory=dict)
    pod: dict[str, Any] = field(default_factory=dict)


def rendered(cell):
    spec = {"containers": [container()]} | cell.spec
    owner = game_server_set(
        template={"spec": spec}, qualities=cell.qualities, annotations=cell.annotations
    )
    return render_pod(owner, 0, cell.template)["spec"]


def expected(cell):
    spec = {"containers": [container()]} | deepcopy(cell.spec)
    spec |= {"hostname": "minecraft-0", "subdomain": "minecraft"} | cell.pod
    if cell.agent is None:
        return spec
    if any(each.exec for each in cell.qualities) and "hostPID" not in spec:
        spec.setdefault("shareProcessNamespace", True)
    agent = expected_agent(placement=cell.template.placement, **cell.agent)
    if cell.template.placement == "native":
        spec["initContainers"] = [agent, *(spec.get("initContainers") or ())]
    else:
        spec["containers"] = [*spec["containers"], agent]
    spec["volumes"] = [*(spec.get("volumes") or ()), VOLUME]
    return spec


def pod_user(**context):
    return {"securityContext": context}


def one(**fields):
    return {"containers": [container(**fields)]}


def two(**of_second):
    return {
        "containers": [container(securityContext={"runAsUser": 7}), container("log", **of_second)]
    }


def in_container(name):
    return (quality("healthy", containerName=name),)


def profile(name):
    return {names.AGENT_PROFILE_ANNOTATION: name}


def agent_is(value):
    return {names.AGENT_ANNOTATION: value}


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


# What the level adds to nothing, and may be added to a container; from the standards' page.
BASELINE = {
    *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD"),
    *("NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
}


@pytest.mark.parametrize(
    ("profile", "level"),
    [
        ("none", "restricted"),
        ("minimal", "baseline"),
        ("default", "baseline"),
        ("ptrace", "privileged"),
    ],
)
def test_a_profile_fits_its_pod_security_level(profile, level):
    context = security_context(profile)
    capabilities = context.get("capabilities", {})
    restricted = (
        capabilities.get("drop") == ["ALL"]
        and set(capabilities.get("add", ())) <= {"NET_BIND_SERVICE"}
        and context["runAsNonRoot"]
        and context["runAsUser"] != 0
        and not context["allowPrivilegeEscalation"]
        and context["seccompProfile"]["type"] == "RuntimeDefault"
    )
    baseline = set(capabilities.get("add", ())) <= BASELINE
    assert {"restricted": restricted, "baseline": not restricted and baseline}.get(
        level, not baseline
    )


PATH = "spec.gameServerTemplate.spec"
TAKEN = "is the name of the agent that is added; rename it, or set the annotation"


@pytest.mark.parametrize(
    ("cell", "path", "message"),
    [
        pytest.param(
            Cell({"containers": [container(), container("gamekeeper-agent")]}),
            f"{PATH}.containers[1].name",
            f"'gamekeeper-agent' {TAKEN} gamekeeper.dev/agent: never",
            id="a container",
        ),
        pytest.param(
            Cell({"initContainers": [container("gamekeeper-agent")]}),
            f"{PATH}.initContainers[0].name",
            f"'gamekeeper-agent' {TAKEN} gamekeeper.dev/agent: never",
            id="an init container",
        ),
        pytest.param(
            Cell({"volumes": [{"name": "gamekeeper-agent", "emptyDir": {}}]}),
            f"{PATH}.volumes[0].name",
            f"'gamekeeper-agent' {TAKEN} gamekeeper.dev/agent: never",
            id="a volume",
        ),
        pytest.param(
            Cell(annotations=profile("root")),
            "metadata.annotations[gamekeeper.dev/agent-security-profile]",
            "'root' is no security profile; known are auto, none, minimal, default, ptrace",
            id="a profile",
        ),
    ],
)
def test_a_template_without_room_is_refused_with_the_field_and_the_remedy(cell, path, message):
    with pytest.raises(InvalidInput) as refused:
        rendered(cell)
    assert (refused.value.field, refused.value.message) == (path, f"{path}: {message}")


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


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
USERS = st.fixed_dictionaries(
    {}, optional={"runAsUser": st.integers(0, 2), "runAsNonRoot": st.booleans()}
)
AMOUNTS = st.dictionaries(st.sampled_from(["cpu", "memory"]), st.sampled_from(["1", "1Gi", "x"]))
CONTAINERS = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from(["game", "log", "mesh"])},
        optional={
            "securityContext": USERS | JSON,
            "resources": st.fixed_dictionaries({}, optional={"limits": AMOUNTS}) | JSON,
            "ports": st.just([{"containerPort": 8089}]) | JSON,
            "command": JSON,
        },
    ),
    min_size=1,
    max_size=3,
)
SPECS = st.fixed_dictionaries(
    {"containers": CONTAINERS},
    optional={
        "initContainers": CONTAINERS,
        "volumes": st.just([{"name": "data"}]),
        "securityContext": USERS | JSON,
        "affinity": JSON,
        "hostPID": st.booleans(),
        "hostNetwork": st.booleans(),
        "shareProcessNamespace": st.booleans(),
        "restartPolicy": st.sampled_from(["Always", "Never"]),
    },
)
QUALITIES = st.lists(st.sampled_from([EXEC, TCP]), max_size=2, unique_by=lambda each: each.name)


@given(SPECS, QUALITIES.map(tuple), st.sampled_from([AGENT, CONTAINER]))
def test_whatever_the_template_nothing_of_it_changes(spec, qualities, template):
    owner = game_server_set(template={"spec": spec}, qualities=qualities)
    before = deepcopy(owner)
    pod = render_pod(owner, 0, template)["spec"]
    kept = deepcopy(pod)
    for key in ("hostname", "subdomain", "shareProcessNamespace"):
        if key not in spec:
            kept.pop(key, None)
    if qualities:
        where = "initContainers" if template is AGENT else "containers"
        kept[where].pop(0 if template is AGENT else -1)
        kept["volumes"].pop()
        for key in ("initContainers", "volumes"):
            if key not in spec and not kept.get(key, True):
                del kept[key]
    assert kept == spec
    assert owner == before
