"""Environment, identities, credentials, volumes: a pod's words turned into what runs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcluster.kubelet.credentials import resolve_credentials
from localcluster.kubelet.environment import expand, resolve_environment
from localcluster.kubelet.fields import (
    ConfigurationError,
    Json,
    PodFacts,
    References,
    field_value,
)
from localcluster.kubelet.identities import (
    Caller,
    Identities,
    IdRange,
    decide_identities,
    render_map,
)
from localcluster.kubelet.messages import (
    Bind,
    CreateSandbox,
    Credentials,
    Execute,
    KillMountNamespace,
    Program,
    RootFilesystem,
    SignalProcess,
    StartContainer,
    decode,
    encode,
)
from localcluster.kubelet.volumes import TokenFile, VolumeContent, plan_files

POD: Json = {
    "metadata": {
        "name": "game-0",
        "namespace": "default",
        "uid": "u",
        "labels": {"a/b": "c", "d": "e"},
    },
    "spec": {},
}
FACTS = PodFacts(POD, "127.5.0.1", "127.0.0.1", "node")
REFERENCES = References(
    {"cm": {"data": {"k": "v"}}, "gone": None}, {"s": {"data": {"k": "dg=="}}, "gone": None}
)
EVERYBODY = Identities((IdRange(0, 0, 65536),), (IdRange(0, 0, 65536),), setgroups=True)
ALONE = Identities((IdRange(0, 1000, 1),), (IdRange(0, 1000, 1),), setgroups=False)
DEFAULT = (0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31)


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$(A)", "1"),
        ("x$(A)y$(B)", "x1y2"),
        ("$(MISSING)", "$(MISSING)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$A ${A} $(", "$A ${A} $("),
        ("", ""),
    ],
)
def test_references_expand(text: str, expanded: str) -> None:
    assert expand(text, {"A": "1", "B": "2"}) == expanded


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "game-0"),
        ("metadata.labels['a/b']", "c"),
        ("metadata.annotations['none']", ""),
        ("metadata.labels", 'a/b="c"\nd="e"'),
        ("spec.nodeName", "node"),
        ("status.podIP", "127.5.0.1"),
        ("status.hostIP", "127.0.0.1"),
        ("spec.serviceAccountName", "default"),
    ],
)
def test_fields_of_the_downward_api(path: str, value: str) -> None:
    assert field_value(path, FACTS) == value


@pytest.mark.parametrize(
    ("container", "own"),
    [
        pytest.param({"env": [{"name": "A", "value": "1"}]}, {"A": "1"}, id="value"),
        pytest.param({"env": [{"name": "A"}]}, {"A": ""}, id="no value is the empty string"),
        pytest.param(
            {"envFrom": [{"prefix": "P_", "configMapRef": {"name": "cm"}}]},
            {"P_k": "v"},
            id="envFrom with a prefix",
        ),
        pytest.param({"envFrom": [{"secretRef": {"name": "s"}}]}, {"k": "v"}, id="secret"),
        pytest.param(
            {"envFrom": [{"secretRef": {"name": "gone", "optional": True}}]}, {}, id="optional"
        ),
        pytest.param(
            {"env": [{"name": "PATH", "value": "/game:$(PATH)"}]},
            {"PATH": "/game:$(PATH)"},
            id="only what the pod declares expands",
        ),
    ],
)
def test_environment(container: Json, own: dict[str, str]) -> None:
    default = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    base = {"PATH": default, "HOSTNAME": "game-0", "IMAGE": "i"}

    assert resolve_environment(container, {"IMAGE": "i"}, FACTS, REFERENCES) == {**base, **own}


def env(source: Json) -> Json:
    return {"env": [{"name": "A", "valueFrom": source}]}


@pytest.mark.parametrize(
    ("container", "message"),
    [
        (env({"configMapKeyRef": {"name": "gone", "key": "k"}}), 'configmap "gone" not found'),
        (
            env({"configMapKeyRef": {"name": "cm", "key": "x"}}),
            'couldn\'t find key x in configmap "cm"',
        ),
        (env({"secretKeyRef": {"name": "gone", "key": "k"}}), 'secret "gone" not found'),
        (
            env({"fieldRef": {"fieldPath": "spec.replicas"}}),
            "fieldRef: field spec.replicas is not part of the downward API",
        ),
        (
            env({"fileKeyRef": {}}),
            "env A: valueFrom fileKeyRef is not supported by the local kubelet; "
            "use value, fieldRef, resourceFieldRef, configMapKeyRef or secretKeyRef",
        ),
    ],
)
def test_what_is_not_there_is_named(container: Json, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolve_environment(container, {}, FACTS, REFERENCES)
    assert str(caught.value) == message


def caller(**changes: object) -> Caller:
    fields: Json = {
        "uid": 1000,
        "gid": 100,
        "capabilities": 0,
        "uid_map": "0 0 4294967295\n",
        "gid_map": "0 0 4294967295\n",
        "setgroups": "allow",
    }
    return Caller(**{**fields, **changes})


@pytest.mark.parametrize(
    ("who", "maps", "setgroups"),
    [
        pytest.param(caller(), ("0 1000 1\n", "0 100 1\n"), False, id="an ordinary user"),
        pytest.param(
            caller(uid=0, capabilities=1 << 7 | 1 << 6),
            ("0 0 4294967295\n", "0 0 4294967295\n"),
            True,
            id="root of the machine",
        ),
        pytest.param(
            caller(
                uid=0,
                capabilities=1 << 7 | 1 << 6,
                uid_map="0 1000 1\n1 100000 65536\n",
                gid_map="0 1000 1\n",
                setgroups="deny",
            ),
            ("0 0 1\n1 1 65536\n", "0 0 1\n"),
            False,
            id="root of a user namespace",
        ),
        pytest.param(caller(uid=0), ("0 0 1\n", "0 100 1\n"), False, id="root without CAP_SETUID"),
    ],
)
def test_the_caller_decides_the_id_maps(
    who: Caller, maps: tuple[str, str], setgroups: bool
) -> None:
    decided = decide_identities(who)

    actual = (render_map(decided.uids), render_map(decided.gids), decided.setgroups)
    assert actual == (*maps, setgroups)


@pytest.mark.parametrize(
    ("pod", "container", "expected"),
    [
        pytest.param({}, {}, Credentials(0, 0, (), DEFAULT, False), id="default"),
        pytest.param(
            {"runAsUser": 1, "supplementalGroups": [9, 8], "fsGroup": 7},
            {"runAsUser": 2, "runAsGroup": 3, "allowPrivilegeEscalation": False},
            Credentials(2, 3, (7, 8, 9), DEFAULT, True),
            id="the container beats the pod",
        ),
        pytest.param(
            {},
            {"capabilities": {"drop": ["ALL"], "add": ["KILL", "CAP_SYS_PTRACE"]}},
            Credentials(0, 0, (), (5, 19), False),
            id="drop all, add two",
        ),
        pytest.param(
            {},
            {"capabilities": {"drop": ["KILL"]}},
            Credentials(0, 0, (), tuple(c for c in DEFAULT if c != 5), False),
            id="drop one",
        ),
        pytest.param(
            {}, {"privileged": True}, Credentials(0, 0, (), tuple(range(41)), False), id="all"
        ),
    ],
)
def test_credentials(pod: Json, container: Json, expected: Credentials) -> None:
    actual = resolve_credentials(
        {"securityContext": pod}, {"securityContext": container}, EVERYBODY
    )
    assert actual == expected


REMEDY = "start the local cluster as root, or leave it out"


@pytest.mark.parametrize(
    ("pod", "container", "message"),
    [
        ({}, {"runAsUser": 5}, f"runAsUser 5 does not exist in this sandbox; {REMEDY}"),
        ({}, {"runAsGroup": 5}, f"group 5 does not exist in this sandbox; {REMEDY}"),
        (
            {"supplementalGroups": [0]},
            {},
            f"supplementalGroups cannot be set in this sandbox; {REMEDY}",
        ),
        ({}, {"capabilities": {"add": ["FLY"]}}, "unknown capability FLY"),
        (
            {"runAsNonRoot": True},
            {},
            "container has runAsNonRoot and image will run as root; set securityContext.runAsUser",
        ),
    ],
)
def test_credentials_that_cannot_be(pod: Json, container: Json, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolve_credentials({"securityContext": pod}, {"securityContext": container}, ALONE)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("volume", "content"),
    [
        pytest.param({"emptyDir": {}}, VolumeContent(), id="emptyDir"),
        pytest.param({"configMap": {"name": "cm"}}, VolumeContent({"k": b"v"}), id="configMap"),
        pytest.param(
            {"secret": {"secretName": "s", "items": [{"key": "k", "path": "a/b"}]}},
            VolumeContent({"a/b": b"v"}),
            id="secret with items",
        ),
        pytest.param(
            {"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
            VolumeContent({}, [TokenFile("t", "", 3600)]),
            id="token",
        ),
        pytest.param(
            {"configMap": {"name": "gone", "optional": True}}, VolumeContent(), id="optional"
        ),
    ],
)
def test_files_of_volumes(volume: Json, content: VolumeContent) -> None:
    assert plan_files({"name": "x", **volume}, FACTS, REFERENCES) == content


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        ({"configMap": {"name": "gone"}}, 'configmap "gone" not found'),
        (
            {"configMap": {"name": "cm", "items": [{"key": "z", "path": "z"}]}},
            "references non-existent key: z",
        ),
        (
            {"nfs": {"path": "/"}},
            "volume source nfs is not supported locally; use emptyDir, configMap, secret, "
            "downwardAPI, projected, persistentVolumeClaim and hostPath",
        ),
    ],
)
def test_volumes_that_cannot_be_filled(volume: Json, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        plan_files({"name": "x", **volume}, FACTS, REFERENCES)
    assert str(caught.value) == message


WORD = st.text(max_size=20)
PROGRAMS = st.builds(
    Program,
    st.lists(WORD).map(tuple),
    st.dictionaries(WORD, WORD, max_size=3),
    WORD,
    st.builds(
        Credentials,
        st.integers(0, 9),
        st.integers(0, 9),
        st.lists(st.integers(0, 9), max_size=3).map(tuple),
        st.lists(st.integers(0, 9), max_size=3).map(tuple),
        st.booleans(),
    ),
    st.booleans(),
)
ROOTS = st.builds(
    RootFilesystem,
    WORD,
    WORD,
    WORD,
    WORD,
    st.lists(st.builds(Bind, WORD, WORD, st.booleans()), max_size=3).map(tuple),
)


@given(
    st.integers(0, 1 << 40),
    st.one_of(
        st.builds(CreateSandbox, WORD, WORD, WORD),
        st.builds(StartContainer, WORD, ROOTS, PROGRAMS),
        st.builds(Execute, st.integers(1, 9), PROGRAMS),
        st.builds(SignalProcess, st.integers(1, 9), st.integers(1, 9)),
        st.builds(KillMountNamespace, WORD, st.integers(1, 9)),
    ),
)
def test_every_request_survives_the_wire(
    number: int,
    request: CreateSandbox | StartContainer | Execute | SignalProcess | KillMountNamespace,
) -> None:
    assert decode(encode(number, request)) == (number, request)
