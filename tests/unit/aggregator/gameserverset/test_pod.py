"""The pod of a server: the template and what is added to it, nothing else (SPEC 8.1)."""

from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.gameserverset.agent_container import AgentTemplate
from aggregator.gameserverset.pod import render_pod, template_revision, wants_agent
from shared.api import names
from tests.support.builders import game_server_set, quality

AGENT = AgentTemplate("agent:1", "IfNotPresent", ("https://a:1", "https://b:1"))
EXEC = quality("healthy")
TCP = quality("open", exec=None, tcpSocket={"port": 7})
SPEC = {
    "containers": [{"name": "game", "image": "game:1", "resources": {"limits": {"cpu": "1"}}}],
    "initContainers": [{"name": "fetch", "image": "fetch:1"}],
    "volumes": [{"name": "data", "emptyDir": {}}],
    "terminationGracePeriodSeconds": 2,
}


def owner(spec=SPEC, *, qualities=(EXEC,), annotations=None, metadata=None, **fields):
    template = {"spec": spec} | ({"metadata": metadata} if metadata is not None else {})
    return game_server_set(
        template=template, qualities=qualities, annotations=annotations, **fields
    )


def added(spec, pod_spec):
    """What the pod has beyond the template; the template's own part must be there unchanged."""
    rest = deepcopy(pod_spec)
    for key, value in spec.items():
        if key == "initContainers":
            assert rest[key][-len(value) :] == value
            rest[key] = rest[key][: -len(value)]
        elif key == "volumes":
            assert rest[key][: len(value)] == value
            rest[key] = rest[key][len(value) :]
        else:
            assert rest.pop(key) == value
    return rest


def test_a_pod_without_an_agent_is_the_template_and_its_name():
    pod = render_pod(owner(qualities=()), 3, AGENT)
    assert pod == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "minecraft-3",
            "namespace": "games",
            "labels": {
                names.OWNER_LABEL: "minecraft",
                names.REVISION_LABEL: template_revision(owner(qualities=())),
            },
            "annotations": {},
            "ownerReferences": [
                {
                    "apiVersion": "game.kruise.io/v1alpha1",
                    "kind": "GameServerSet",
                    "name": "minecraft",
                    "uid": "set-uid",
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": SPEC | {"hostname": "minecraft-3", "subdomain": "minecraft"},
    }


def test_the_agent_is_a_native_sidecar_before_the_others_with_its_volume_last():
    rest = added(SPEC, render_pod(owner(), 0, AGENT)["spec"])
    (agent,) = rest.pop("initContainers")
    (volume,) = rest.pop("volumes")
    assert rest == {
        "hostname": "minecraft-0",
        "subdomain": "minecraft",
        "shareProcessNamespace": True,
    }
    assert (agent["name"], agent["image"], agent["restartPolicy"]) == (
        "gamekeeper-agent",
        "agent:1",
        "Always",
    )
    assert {"cpu", "memory"} <= agent["resources"]["requests"].keys()
    assert agent["securityContext"]["allowPrivilegeEscalation"] is False
    assert agent["securityContext"]["readOnlyRootFilesystem"] is True
    assert [mount["name"] for mount in agent["volumeMounts"]] == [volume["name"]]
    assert volume["projected"]["sources"][0] == {
        "serviceAccountToken": {
            "audience": "gamekeeper",
            "expirationSeconds": 3600,
            "path": "token",
        }
    }


def test_the_agents_command_line_shows_nothing():
    (agent, _) = render_pod(owner(), 0, AGENT)["spec"]["initContainers"]
    assert not {"command", "args"} & agent.keys()
    values = {entry["name"]: entry.get("value") for entry in agent["env"]}
    assert values["GAMEKEEPER_REPORT_URLS"] == "https://a:1,https://b:1"


@pytest.mark.parametrize(
    ("spec", "qualities", "shared"),
    [
        pytest.param({}, (EXEC,), True, id="an exec probe needs it"),
        pytest.param({}, (TCP,), None, id="a tcp probe does not"),
        pytest.param({"shareProcessNamespace": False}, (EXEC,), False, id="an explicit false"),
        pytest.param({"hostPID": True}, (EXEC,), None, id="hostPID sees all"),
        pytest.param({"hostPID": False}, (EXEC,), True, id="hostPID false"),
    ],
)
def test_process_namespaces(spec, qualities, shared):
    pod = render_pod(owner(SPEC | spec, qualities=qualities), 0, AGENT)
    assert pod["spec"].get("shareProcessNamespace") is shared


@pytest.mark.parametrize(
    ("annotation", "qualities", "wanted"),
    [
        (None, (EXEC,), True),
        (None, (), False),
        ("auto", (EXEC,), True),
        ("auto", (), False),
        ("always", (), True),
        ("never", (EXEC,), False),
        ("typo", (EXEC,), True),
        ("typo", (), False),
    ],
)
def test_who_gets_an_agent(annotation, qualities, wanted):
    annotations = {} if annotation is None else {names.AGENT_ANNOTATION: annotation}
    one = owner(qualities=qualities, annotations=annotations)
    inits = [each["name"] for each in render_pod(one, 0, AGENT)["spec"]["initContainers"]]
    assert wants_agent(one) is wanted
    assert inits == (["gamekeeper-agent"] if wanted else []) + ["fetch"]


def test_the_templates_labels_yield_to_ours_and_its_names_win():
    metadata = {"labels": {"team": "red", names.OWNER_LABEL: "x"}, "annotations": {"a": "b"}}
    spec = SPEC | {"hostname": "own", "subdomain": "sub"}
    pod = render_pod(owner(spec, metadata=metadata, serviceName="svc"), 0, AGENT)
    assert pod["metadata"]["annotations"] == {"a": "b"}
    assert pod["metadata"]["labels"]["team"] == "red"
    assert pod["metadata"]["labels"][names.OWNER_LABEL] == "minecraft"
    assert (pod["spec"]["hostname"], pod["spec"]["subdomain"]) == ("own", "sub")


@pytest.mark.parametrize(
    ("metadata", "kept"),
    [
        ({"finalizers": ["game/drain"]}, {"finalizers": ["game/drain"]}),
        ({"finalizers": []}, {}),
        ({}, {}),
    ],
    ids=["one", "an empty list", "none"],
)
def test_a_pod_has_the_finalizers_that_its_hook_waits_for(metadata, kept):
    pod = render_pod(owner(metadata=metadata), 0, AGENT)
    assert {key: pod["metadata"][key] for key in pod["metadata"].keys() & {"finalizers"}} == kept


def test_the_service_gives_the_subdomain():
    assert render_pod(owner(serviceName="svc"), 0, AGENT)["spec"]["subdomain"] == "svc"


@pytest.mark.parametrize("field", ["initContainers", "volumes"])
def test_a_list_that_is_null_is_no_list(field):
    pod = render_pod(owner({"containers": [{"name": "game"}], field: None}), 0, AGENT)
    assert len(pod["spec"][field]) == 1


@pytest.mark.parametrize("metadata", [{"labels": None}, {"annotations": None}, {}])
def test_metadata_that_is_null_is_none(metadata):
    assert render_pod(owner(metadata=metadata), 0, AGENT)["metadata"]["annotations"] == {}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
SPECS = st.dictionaries(
    st.sampled_from(["affinity", "nodeSelector", "tolerations", "securityContext"]), JSON
).map(lambda extra: SPEC | extra)


@given(SPECS, st.integers(0, 9))
def test_the_template_is_kept_and_never_changed(spec, id_):
    one = owner(spec)
    before = deepcopy(one)
    pod = render_pod(one, id_, AGENT)
    rest = added(spec, pod["spec"])
    assert rest.keys() == {
        "hostname",
        "subdomain",
        "shareProcessNamespace",
        "initContainers",
        "volumes",
    }
    pod["spec"]["containers"][0]["name"] = "changed by somebody"
    assert one == before


def test_the_revision_is_that_of_the_template_only():
    same = [owner(), owner(qualities=()), owner(replicas=9)]
    other = [owner(SPEC | {"hostPID": True}), owner(metadata={"labels": {"a": "b"}})]
    assert len({template_revision(each) for each in same}) == 1
    assert len({template_revision(each) for each in [same[0], *other]}) == 3


def test_the_revision_is_a_promise():
    # A change of this value would recreate every server of every set at the upgrade.
    fixed = owner({"containers": [{"name": "game", "image": "game:1"}]}, metadata={})
    assert template_revision(fixed) == "b7c9017115"
