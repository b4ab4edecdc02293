"""Scaling as the second seed prints it: deletion order, ids that return, reserved ids."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.local import MINECRAFT, MINECRAFT_IMAGE, Local, running_local, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(90)]

READY = ("Ready", "None", "0", "0")
PATIENT = """\
trap 'until test -e over; do sleep 0.1; done; exit 0' TERM
while true; do sleep 0.1; done
"""


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    folder = tmp_path_factory.mktemp("scaling")
    mapping = f"{MINECRAFT_IMAGE}={MINECRAFT.parent / 'image'}"
    with running_local(folder, "--image", mapping) as running:
        yield running


def apply_set(local: Local, name: str, *, pod: dict[str, Any] | None = None, **spec: Any) -> None:
    body = {
        "apiVersion": "game.kruise.io/v1alpha1",
        "kind": "GameServerSet",
        "metadata": {"name": name, "namespace": "default"},
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
    local.must("apply", "-f", "-", stdin=json.dumps(body))


def servers_of(local: Local, name: str) -> dict[str, tuple[str, ...]]:
    selector = f"game.kruise.io/owner-gss={name}"
    rows = local.table("get", "gs", "-l", selector).rows
    return {server: cells[:4] for server, cells in rows.items()}


def test_a_victim_is_claimed_before_its_pod_is_deleted(local: Local) -> None:
    # A game that ends when it is told to, so that the claim is seen however slow the machine is.
    game = {"name": "game", "image": MINECRAFT_IMAGE, "command": ["bash", "-c", PATIENT]}
    patient = {"terminationGracePeriodSeconds": 120, "containers": [game]}
    apply_set(local, "claims", pod=patient)
    wait_for(lambda: servers_of(local, "claims"), {"claims-0": READY, "claims-1": READY})
    uid = local.must("get", "pod", "claims-0", "-o", "jsonpath={.metadata.uid}")
    local.must("patch", "gs", "claims-0", "--type=merge", "-p", '{"spec":{"deletionPriority":7}}')
    local.must("scale", "gss", "claims", "--replicas=1")

    def claim() -> tuple[str, ...]:
        path = "{.spec.deletion.reason} {.spec.deletion.podUid} {.status.currentState}"
        done = local.kubectl("get", "gs", "claims-0", "-o", f"jsonpath={path}")
        return tuple(done.stdout.split())

    wait_for(claim, ("ScaleDown", uid, "Deleting"))
    local.must("exec", "claims-0", "--", "touch", "over")
    wait_for(lambda: servers_of(local, "claims"), {"claims-1": READY})


def test_a_set_without_qualities_has_no_agent(local: Local) -> None:
    apply_set(local, "plain", replicas=1)
    wait_for(lambda: servers_of(local, "plain"), {"plain-0": READY})
    assert local.table("get", "po", "plain-0").rows["plain-0"][0] == "1/1"


def test_a_server_deleted_by_hand_comes_back_with_defaults(local: Local) -> None:
    apply_set(local, "byhand", replicas=1)
    wait_for(lambda: servers_of(local, "byhand"), {"byhand-0": READY})
    local.must("patch", "gs", "byhand-0", "--type=merge", "-p", '{"spec":{"opsState":"Allocated"}}')
    local.must("delete", "gs", "byhand-0")
    wait_for(lambda: servers_of(local, "byhand"), {"byhand-0": READY})


def test_a_state_never_leaks_from_a_pod_to_its_successor(local: Local) -> None:
    apply_set(local, "fresh", replicas=1)
    wait_for(lambda: servers_of(local, "fresh"), {"fresh-0": READY})
    local.must("patch", "gs", "fresh-0", "--type=merge", "-p", '{"spec":{"opsState":"Allocated"}}')
    before = local.must("get", "pod", "fresh-0", "-o", "jsonpath={.metadata.uid}")
    local.must("delete", "pod", "fresh-0")
    wait_for(lambda: servers_of(local, "fresh"), {"fresh-0": READY})
    after = local.must("get", "pod", "fresh-0", "-o", "jsonpath={.metadata.uid}")
    assert after != before


def test_deleting_a_set_takes_everything_with_it(local: Local) -> None:
    apply_set(local, "gone")
    wait_for(lambda: servers_of(local, "gone"), {"gone-0": READY, "gone-1": READY})
    local.must("delete", "gss", "gone")
    wait_for(lambda: servers_of(local, "gone"), {})
    wait_for(lambda: local.table("get", "po", "-l", "game.kruise.io/owner-gss=gone").rows, {})


def test_an_idle_set_writes_nothing(local: Local) -> None:
    apply_set(local, "idle")
    wait_for(lambda: servers_of(local, "idle"), {"idle-0": READY, "idle-1": READY})
    ready = ("2", "2", "2", "2")
    wait_for(lambda: local.table("get", "gss", "idle").rows["idle"][:4], ready)

    def versions() -> str:
        path = '{range .items[*]}{.kind} {.metadata.name} {.metadata.resourceVersion}{"\\n"}{end}'
        kinds = "gss,gs,po"
        selector = "game.kruise.io/owner-gss=idle"
        own = local.must("get", "gss", "idle", "-o", "jsonpath={.metadata.resourceVersion}")
        return own + local.must("get", kinds, "-l", selector, "-o", f"jsonpath={path}")

    settled = _settled(versions)
    watched = local.kubectl(
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
