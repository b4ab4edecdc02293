"""Scaling as the second seed prints it: deletion order, ids that return, reserved ids."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.cluster import MINECRAFT, MINECRAFT_IMAGE, Cluster, OpenCluster

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(90)]

READY = ("Ready", "None", "0", "0")
PATIENT = """\
trap 'until test -e over; do sleep 0.1; done; exit 0' TERM
while true; do sleep 0.1; done
"""


@pytest.fixture(scope="module")
def cluster(open_cluster: OpenCluster) -> Iterator[Cluster]:
    with open_cluster(images={MINECRAFT_IMAGE: MINECRAFT.parent / "image"}) as running:
        yield running


def apply_set(
    cluster: Cluster, name: str, *, pod: dict[str, Any] | None = None, **spec: Any
) -> None:
    body = {
        "apiVersion": "game.kruise.io/v1alpha1",
        "kind": "GameServerSet",
        "metadata": {"name": name},
        "spec": {
            "replicas": 2,
            "gameServerTemplate": {
                "spec": {
                    "terminationGracePeriodSeconds": 2,
                    "containers": [{"name": "game", "image": MINECRAFT_IMAGE}],
                }
                | (pod or {})
            },
        }
        | spec,
    }
    cluster.apply(body)


def test_a_victim_is_claimed_before_its_pod_is_deleted(cluster: Cluster) -> None:
    # A game that ends when it is told to, so that the claim is seen however slow the machine is.
    game = {"name": "game", "image": MINECRAFT_IMAGE, "command": ["bash", "-c", PATIENT]}
    patient = {"terminationGracePeriodSeconds": 120, "containers": [game]}
    apply_set(cluster, "claims", pod=patient)
    cluster.wait_for(lambda: cluster.servers("claims"), {"claims-0": READY, "claims-1": READY})
    uid = cluster.must("get", "pod", "claims-0", "-o", "jsonpath={.metadata.uid}")
    cluster.must("patch", "gs", "claims-0", "--type=merge", "-p", '{"spec":{"deletionPriority":7}}')
    cluster.must("scale", "gss", "claims", "--replicas=1")

    def claim() -> tuple[str, ...]:
        path = "{.spec.deletion.reason} {.spec.deletion.podUid} {.status.currentState}"
        done = cluster.kubectl("get", "gs", "claims-0", "-o", f"jsonpath={path}")
        return tuple(done.stdout.split())

    cluster.wait_for(claim, ("ScaleDown", uid, "Deleting"))
    cluster.must("exec", "claims-0", "--", "touch", "over")
    cluster.wait_for(lambda: cluster.servers("claims"), {"claims-1": READY})
    # So that this one is not waited for when the namespace ends.
    cluster.must("exec", "claims-1", "--", "touch", "over")


def test_a_set_without_qualities_has_no_agent(cluster: Cluster) -> None:
    apply_set(cluster, "plain", replicas=1)
    cluster.wait_for(lambda: cluster.servers("plain"), {"plain-0": READY})
    assert cluster.table("get", "po", "plain-0").rows["plain-0"][0] == "1/1"


def test_a_server_deleted_by_hand_comes_back_with_defaults(cluster: Cluster) -> None:
    apply_set(cluster, "byhand", replicas=1)
    cluster.wait_for(lambda: cluster.servers("byhand"), {"byhand-0": READY})
    cluster.must(
        "patch", "gs", "byhand-0", "--type=merge", "-p", '{"spec":{"opsState":"Allocated"}}'
    )
    cluster.must("delete", "gs", "byhand-0")
    cluster.wait_for(lambda: cluster.servers("byhand"), {"byhand-0": READY})


def test_a_state_never_leaks_from_a_pod_to_its_successor(cluster: Cluster) -> None:
    apply_set(cluster, "fresh", replicas=1)
    cluster.wait_for(lambda: cluster.servers("fresh"), {"fresh-0": READY})
    cluster.must(
        "patch", "gs", "fresh-0", "--type=merge", "-p", '{"spec":{"opsState":"Allocated"}}'
    )
    before = cluster.must("get", "pod", "fresh-0", "-o", "jsonpath={.metadata.uid}")
    cluster.must("delete", "pod", "fresh-0")
    cluster.wait_for(lambda: cluster.servers("fresh"), {"fresh-0": READY})
    after = cluster.must("get", "pod", "fresh-0", "-o", "jsonpath={.metadata.uid}")
    assert after != before


def test_deleting_a_set_takes_everything_with_it(cluster: Cluster) -> None:
    apply_set(cluster, "gone")
    cluster.wait_for(lambda: cluster.servers("gone"), {"gone-0": READY, "gone-1": READY})
    cluster.must("delete", "gss", "gone")
    cluster.wait_for(lambda: cluster.servers("gone"), {})
    cluster.wait_for(
        lambda: cluster.table("get", "po", "-l", "game.kruise.io/owner-gss=gone").rows, {}
    )


def test_an_idle_set_writes_nothing(cluster: Cluster) -> None:
    apply_set(cluster, "idle")
    cluster.wait_for(lambda: cluster.servers("idle"), {"idle-0": READY, "idle-1": READY})
    ready = ("2", "2", "2", "2")
    cluster.wait_for(lambda: cluster.table("get", "gss", "idle").rows["idle"][:4], ready)

    def versions() -> str:
        path = '{range .items[*]}{.kind} {.metadata.name} {.metadata.resourceVersion}{"\\n"}{end}'
        kinds = "gss,gs,po"
        selector = "game.kruise.io/owner-gss=idle"
        own = cluster.must("get", "gss", "idle", "-o", "jsonpath={.metadata.resourceVersion}")
        return own + cluster.must("get", kinds, "-l", selector, "-o", f"jsonpath={path}")

    settled = _settled(versions)
    watched = cluster.kubectl(
        *("get", "gs", "--watch-only", "-l", "game.kruise.io/owner-gss=idle"),
        *("--request-timeout", "12s"),
    )
    assert watched.stdout == ""
    assert versions() == settled


def _settled(look: Any) -> Any:
    """Return what two looks agree on: status is written at most once a second, so wait longer."""
    while True:
        first = look()
        time.sleep(3)
        if look() == first:
            return first
