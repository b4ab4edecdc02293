"""Whatever the template is, the agent is all that is added to it."""

from copy import deepcopy

from hypothesis import given
from hypothesis import strategies as st

from aggregator.gameserverset.pod import render_pod
from tests.support.agent_cells import AGENT, CONTAINER, EXEC, TCP
from tests.support.builders import game_server_set

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
