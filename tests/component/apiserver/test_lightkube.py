"""A second client library, written by others: lightkube, typed and without our own code.

Source: https://lightkube.readthedocs.io/
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lightkube
import pytest
from lightkube.generic_resource import create_namespaced_resource
from lightkube.models.core_v1 import Container, PodSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import ConfigMap, Namespace, Pod
from lightkube.types import PatchType

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.apiserver import RunningApiServer

pytestmark = [pytest.mark.component, pytest.mark.timeout(30)]

Room = create_namespaced_resource("test.gamekeeper.dev", "v1", "Room", "rooms")


@pytest.fixture
def client(shared_apiserver: RunningApiServer) -> Iterator[lightkube.Client]:
    """A client in a namespace of its own."""
    config = lightkube.KubeConfig.from_file(str(shared_apiserver.kubeconfig))
    with lightkube.Client(config) as anywhere:
        made = anywhere.create(Namespace(metadata=ObjectMeta(generateName="lightkube-")))
    with lightkube.Client(config, namespace=made.metadata.name, field_manager="test") as inside:
        yield inside


def config_map(name: str, data: dict[str, str], **labels: str) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, labels=labels or None), data=data)


def test_objects_are_created_listed_and_deleted(client: lightkube.Client) -> None:
    for name, team in (("a", "red"), ("b", "blue"), ("c", "red")):
        client.create(config_map(name, {"x": name}, team=team))
    listed = client.list(ConfigMap, labels={"team": "red"}, chunk_size=1)
    assert [(each.metadata.name, each.data) for each in listed] == [
        ("a", {"x": "a"}),
        ("c", {"x": "c"}),
    ]
    client.delete(ConfigMap, "a")
    with pytest.raises(lightkube.ApiError) as caught:
        client.get(ConfigMap, "a")
    assert (caught.value.status.code, caught.value.status.reason) == (404, "NotFound")


def test_a_watch_shows_each_change(client: lightkube.Client) -> None:
    made = client.create(config_map("a", {"x": "1"}))
    client.patch(ConfigMap, "a", {"data": {"x": "2"}}, patch_type=PatchType.MERGE)
    client.delete(ConfigMap, "a")
    version = made.metadata.resourceVersion
    seen = []
    for kind, obj in client.watch(ConfigMap, resource_version=version, server_timeout=60):
        seen.append((kind, obj.data))
        if kind == "DELETED":
            break
    assert seen == [("MODIFIED", {"x": "2"}), ("DELETED", {"x": "2"})]


def test_a_typed_pod_is_patched_and_replaced(client: lightkube.Client) -> None:
    spec = PodSpec(containers=[Container(name="main", image="game:1", command=["run"])])
    client.create(Pod(metadata=ObjectMeta(name="game"), spec=spec))
    change = {"spec": {"containers": [{"name": "main", "image": "game:2"}]}}
    patched = client.patch(Pod, "game", change, patch_type=PatchType.STRATEGIC)
    (container,) = patched.spec.containers
    assert (container.image, container.command) == ("game:2", ["run"])
    stale = client.get(Pod, "game")
    client.patch(Pod, "game", {"metadata": {"labels": {"a": "b"}}})
    with pytest.raises(lightkube.ApiError) as caught:
        client.replace(stale)
    assert caught.value.status.reason == "Conflict"


def test_server_side_apply_creates_and_merges(client: lightkube.Client) -> None:
    client.apply(config_map("a", {"x": "1", "y": "1"}))
    other = client.apply(config_map("a", {"z": "2"}), field_manager="other")
    assert other.data == {"x": "1", "y": "1", "z": "2"}
    assert client.apply(config_map("a", {"x": "3"})).data == {"x": "3", "z": "2"}


def test_custom_resources_have_their_subresources(client: lightkube.Client) -> None:
    made = client.create(Room(metadata=ObjectMeta(name="lobby"), spec={"replicas": 2}))
    assert (made.spec, made.status) == ({"replicas": 2, "mode": "Open"}, None)
    scale = client.get(Room.Scale, "lobby")
    scale.spec.replicas = 5
    client.replace(scale, name="lobby")
    client.patch(Room.Status, "lobby", {"status": {"replicas": 4}}, patch_type=PatchType.MERGE)
    room = client.get(Room, "lobby")
    assert (room.spec["replicas"], room.status) == (5, {"replicas": 4})
