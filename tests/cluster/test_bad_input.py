"""Bad input: what the API server or a server's status says names the field and the remedy."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.cluster import MINECRAFT, Cluster, OpenCluster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(90)]

Json = dict[str, Any]


@pytest.fixture(scope="module")
def cluster(open_cluster: OpenCluster) -> Iterator[Cluster]:
    mapping = yaml.safe_load((MINECRAFT.parent / "images.yaml").read_text())["images"]
    images = {image: MINECRAFT.parent / name for image, name in mapping.items()}
    with open_cluster(images=images) as running:
        yield running


def changed(change: Callable[[Json], None]) -> Json:
    body: Json = copy.deepcopy(yaml.safe_load(MINECRAFT.read_text()))
    change(body)
    return body


def negative_id(body: Json) -> None:
    body["spec"]["reserveGameServerIds"] = [3, -1]


def range_of_words(body: Json) -> None:
    body["spec"]["reserveGameServerIds"] = ["three-five"]


def empty_command(body: Json) -> None:
    body["spec"]["serviceQualities"][0]["exec"]["command"] = []


def two_handlers(body: Json) -> None:
    body["spec"]["serviceQualities"][0]["tcpSocket"] = {"port": 80}


def no_handler(body: Json) -> None:
    del body["spec"]["serviceQualities"][0]["exec"]


def negative_replicas(body: Json) -> None:
    body["spec"]["replicas"] = -1


def zero_period(body: Json) -> None:
    body["spec"]["serviceQualities"][0]["periodSeconds"] = 0


def one_name_twice(body: Json) -> None:
    body["spec"]["serviceQualities"].append(body["spec"]["serviceQualities"][0])


def unknown_field(body: Json) -> None:
    body["spec"]["replica"] = 3


def long_name(body: Json) -> None:
    body["metadata"]["name"] = "m" * 53


REFUSED = [
    (negative_id, "spec.reserveGameServerIds[1]"),
    (range_of_words, "spec.reserveGameServerIds[0]"),
    (empty_command, "spec.serviceQualities[0].exec.command"),
    (two_handlers, "spec.serviceQualities[0]"),
    (no_handler, "spec.serviceQualities[0]"),
    (negative_replicas, "spec.replicas"),
    (zero_period, "spec.serviceQualities[0].periodSeconds"),
    (one_name_twice, "spec.serviceQualities[1]"),
    (unknown_field, 'unknown field "spec.replica"'),
    (long_name, "metadata.name"),
]


@pytest.mark.parametrize(
    ("change", "names"), REFUSED, ids=[change.__name__ for change, _ in REFUSED]
)
def test_an_invalid_set_is_refused_with_the_field(
    cluster: Cluster, change: Callable[[Json], None], names: str
) -> None:
    done = cluster.try_apply(changed(change))
    assert done.returncode == 1
    assert names in done.stderr
    names_now = cluster.must("get", "gss", "-o", "name").split()
    assert "gameserverset.game.kruise.io/minecraft" not in names_now


def test_a_command_that_does_not_exist_is_unknown_with_a_remedy(cluster: Cluster) -> None:
    def missing(body: Json) -> None:
        body["metadata"]["name"] = "missing"
        body["spec"]["replicas"] = 1
        quality = body["spec"]["serviceQualities"][0]
        quality |= {"initialDelaySeconds": 0, "exec": {"command": ["no-such-probe"]}}

    cluster.apply(changed(missing))

    def condition() -> dict[str, str]:
        done = cluster.kubectl("get", "gs", "missing-0", "-o", "yaml")
        status = (yaml.safe_load(done.stdout) or {}).get("status", {})
        found = status.get("serviceQualitiesConditions") or [{}]
        return {key: found[0].get(key, "") for key in ("status", "reason")}

    cluster.wait_for(condition, {"status": "Unknown", "reason": "ExecNotFound"})
    done = cluster.gamekeeper("explain", "gs", "missing-0", "-o", "json")
    assert done.returncode == 0, done.stderr
    (quality,) = json.loads(done.stdout)["qualities"]
    assert quality["name"] == "healthy"
    verdict = quality["verdict"]
    assert (verdict["status"], verdict["reason"]) == ("Unknown", "ExecNotFound")
    assert "no-such-probe" in verdict["message"]
    # An unknown verdict is no False: the action for state false never ran. The verdict can be
    # there before the kubelet says that the pod is ready.
    cluster.wait_for(lambda: cluster.servers()["missing-0"], ("Ready", "None", "0", "0"))
    cluster.must("delete", "gss", "missing")
    cluster.wait_for(lambda: "missing-0" in cluster.servers(), expected=False)


@pytest.mark.local_only(reason="other kubelets pull images, and say so in their own words")
def test_an_unmapped_image_says_how_to_map_it(cluster: Cluster) -> None:
    def unmapped(body: Json) -> None:
        body["metadata"]["name"] = "unmapped"
        body["spec"]["replicas"] = 1
        body["spec"]["gameServerTemplate"]["spec"]["containers"][0]["image"] = "example/none:1"

    cluster.apply(changed(unmapped))

    def waiting() -> tuple[str, bool]:
        done = cluster.kubectl("get", "pod", "unmapped-0", "-o", "yaml")
        status = (yaml.safe_load(done.stdout) or {}).get("status", {})
        (container,) = status.get("containerStatuses") or [{}]
        why = container.get("state", {}).get("waiting", {})
        return why.get("reason", ""), "--image" in why.get("message", "")

    cluster.wait_for(waiting, ("ErrImageNeverPull", True))
    cluster.wait_for(lambda: cluster.servers().get("unmapped-0", ())[:1], ("Creating",))
    cluster.must("delete", "gss", "unmapped")
    cluster.wait_for(lambda: "unmapped-0" in cluster.servers(), expected=False)
