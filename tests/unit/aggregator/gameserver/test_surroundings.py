"""What the caches tell of a pod's node, of its volumes, and of the servers of its set."""

import json

import msgspec
import pytest

from aggregator.caches import Caches
from aggregator.gameserver.conditions import Surroundings
from aggregator.gameserver.surroundings import has_too_few, surroundings_of
from aggregator.infrastructure import decode_claim, decode_node, decode_volume
from aggregator.kube.resources import ObjectKey
from aggregator.ledger import Ledger
from aggregator.pods import decode_pod
from tests.support.builders import game_server, game_server_set, pod
from tests.support.merge_patch import merged

NODE = decode_node(json.dumps({"metadata": {"name": "node-1"}}))
OTHER_NODE = decode_node(json.dumps({"metadata": {"name": "node-2"}}))
CLAIM = {"reason": "ScaleDown", "podUid": "pod-0"}


def claim(name, volume, namespace="games"):
    metadata = {"name": name, "namespace": namespace}
    return decode_claim(json.dumps({"metadata": metadata, "spec": {"volumeName": volume}}))


def volume(name):
    return decode_volume(json.dumps({"metadata": {"name": name}}))


def mounting(*claims):
    """A pod on node-1 that mounts these claims, and a volume that is none."""
    volumes = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in claims]
    spec = {"spec": {"volumes": [*volumes, {"name": "scratch", "emptyDir": {}}]}}
    return decode_pod(json.dumps(merged(msgspec.to_builtins(pod()), spec)))


@pytest.fixture
def caches():
    return Caches(Ledger(0, 10))


def test_of_a_pod_with_volumes_its_node_its_claims_and_theirs_are_found(caches):
    caches.nodes.put(ObjectKey("", "node-1"), NODE)
    caches.nodes.put(ObjectKey("", "node-2"), OTHER_NODE)
    data, logs = claim("data-0", "pv-1"), claim("logs-0", "pv-2")
    caches.claims.put(ObjectKey("games", "data-0"), data)
    caches.claims.put(ObjectKey("games", "logs-0"), logs)
    caches.claims.put(ObjectKey("games", "foreign"), claim("foreign", "pv-3"))
    for name in ("pv-1", "pv-2", "pv-3"):
        caches.volumes.put(ObjectKey("", name), volume(name))
    assert surroundings_of(mounting("data-0", "logs-0"), caches) == Surroundings(
        node=NODE,
        claims={"data-0": data, "logs-0": logs},
        volumes={"pv-1": volume("pv-1"), "pv-2": volume("pv-2")},
    )


def test_what_does_not_exist_is_missing_and_a_claim_is_one_of_the_pod_s_namespace(caches):
    bound = claim("data-0", "pv-1")
    caches.claims.put(ObjectKey("games", "data-0"), bound)
    caches.claims.put(ObjectKey("elsewhere", "logs-0"), claim("logs-0", "pv-2", "elsewhere"))
    caches.nodes.put(ObjectKey("", "node-2"), OTHER_NODE)
    assert surroundings_of(mounting("data-0", "logs-0"), caches) == Surroundings(
        node=None, claims={"data-0": bound}, volumes={}
    )


@pytest.mark.parametrize(
    ("readable", "knows_nodes", "knows_volumes"),
    [
        pytest.param(set(), False, False, id="neither"),
        pytest.param({"nodes"}, True, False, id="nodes"),
        pytest.param({"persistentvolumeclaims"}, False, False, id="claims without volumes"),
        pytest.param({"persistentvolumes"}, False, False, id="volumes without claims"),
        pytest.param(
            {"persistentvolumeclaims", "persistentvolumes"}, False, True, id="both of a volume"
        ),
    ],
)
def test_what_may_not_be_read_is_said(caches, readable, knows_nodes, knows_volumes):
    caches.readable.update(readable)
    assert surroundings_of(pod(), caches) == Surroundings(
        knows_nodes=knows_nodes, knows_volumes=knows_volumes
    )


@pytest.mark.parametrize(
    ("pod_", "server", "too_few"),
    [
        pytest.param(pod(), game_server(), False, id="a server that stays"),
        pytest.param(pod(), None, False, id="a pod whose server is not made yet"),
        pytest.param(pod(terminating=True), game_server(), True, id="a pod that is going"),
        pytest.param(pod(), game_server(opsState="Kill"), True, id="Kill"),
        pytest.param(pod(), game_server(deletion=CLAIM), True, id="claimed"),
        pytest.param(pod(), game_server(opsState="Maintaining"), False, id="in a state that stays"),
        pytest.param(pod(owner_uid="another"), game_server(), True, id="of another set"),
    ],
)
def test_a_set_has_too_few_servers_if_one_of_its_two_does_not_stay(caches, pod_, server, too_few):
    caches.pods.put(ObjectKey("games", "minecraft-0"), pod_)
    if server is not None:
        caches.servers.put(ObjectKey("games", "minecraft-0"), server)
    caches.pods.put(ObjectKey("games", "minecraft-1"), pod(1))
    caches.servers.put(ObjectKey("games", "minecraft-1"), game_server(1))
    assert has_too_few(game_server_set(replicas=2), caches) is too_few


@pytest.mark.parametrize(("replicas", "too_few"), [(0, False), (1, False), (2, True)])
def test_a_set_has_too_few_servers_below_its_replicas_only(caches, replicas, too_few):
    caches.pods.put(ObjectKey("games", "minecraft-0"), pod())
    assert has_too_few(game_server_set(replicas=replicas), caches) is too_few
