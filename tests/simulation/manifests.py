"""What people apply in a schedule: a set, perhaps its autoscaler; and what others left. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.api import names
from tests.support.builders import SET_NAME, game_server_set, quality

if TYPE_CHECKING:
    from collections.abc import Collection
    from random import Random

MOST_SERVERS = 5
DRAIN = {"drain": "me"}
"""Labels of pods that a preDelete hook holds, until somebody changes them."""
IMAGES = ("game:1", "game:2", "game:3")
POLICIES = ("ReCreate", "InPlaceIfPossible")
STRATEGIES = ("General", "ReserveIds")
RETENTION = ("Retain", "Delete")
# How many schedules have each of these.
_CHANCES = {
    "hooks": 0.4,
    "qualities": 0.3,
    "scaler": 0.25,
    "volumes": 0.25,
    "deletes_sets": 0.25,
    "leaves": 0.3,
    "loses_nodes": 0.3,
    "pauses": 0.3,
}


@dataclass(frozen=True)
class Traits:
    """What happens at all in a schedule; a schedule with everything would be deep in nothing.

    Attributes:
        deletes_sets: people delete the set, and apply it again.
        leaves: others leave pods behind that fit the set.
        loses_nodes: nodes stop answering and disappear.
        pauses: a leader stands still for longer than its lease.
    """

    hooks: bool
    qualities: bool
    scaler: bool
    volumes: bool
    deletes_sets: bool
    leaves: bool
    loses_nodes: bool
    pauses: bool

    @classmethod
    def draw(cls, random: Random, always: Collection[str] = ()) -> Traits:
        """Return those of one schedule, with these in any case."""
        drawn = {name: random.random() < chance for name, chance in _CHANCES.items()}
        return cls(**(drawn | dict.fromkeys(always, True)))


IDLE = quality(
    "idle", {"state": True, "opsState": "WaitToBeDeleted"}, {"state": False, "opsState": "None"}
)
OVER = quality("over", {"state": True, "opsState": "Kill"}, permanent=True)
"""A match that is over: the server goes, and the set is smaller by one."""


def reserve_list(random: Random) -> list[int | str]:
    """Return some ids."""
    ids: list[int | str] = random.sample(range(MOST_SERVERS + 2), random.choice((0, 0, 1, 2)))
    return [*ids, "2-3"] if random.random() < 0.1 else ids


def first_set(random: Random, traits: Traits) -> dict[str, Any]:
    """Return the manifest of a set."""
    hook = {"preDelete": {"labelsHandler": DRAIN}} if traits.hooks else None
    claims = [{"metadata": {"name": "data"}, "spec": {}}] if traits.volumes else []
    optional: dict[str, Any] = {"lifecycle": hook} if hook else {}
    if traits.volumes:
        kept = {when: random.choice(RETENTION) for when in ("whenScaled", "whenDeleted")}
        optional["persistentVolumeClaimRetentionPolicy"] = kept
    owner = game_server_set(
        replicas=random.randint(0, MOST_SERVERS),
        qualities=(IDLE, OVER) if traits.qualities else (),
        template={
            "metadata": {"labels": DRAIN if hook else {}},
            "spec": {"containers": [{"name": "game", "image": random.choice(IMAGES)}]},
            "reclaimPolicy": random.choice(("Cascade", "Cascade", "Delete")),
            "volumeClaimTemplates": claims,
        },
        scaleStrategy={"scaleDownStrategyType": random.choice(STRATEGIES)},
        updateStrategy=update_strategy(random),
        reserveGameServerIds=reserve_list(random),
        annotations={names.PROTECT_ANNOTATION: random.choice(("true", "false", "false"))},
        **optional,
    )
    body = owner.model_dump(mode="json", by_alias=True, exclude_none=True)
    metadata = {key: body["metadata"][key] for key in ("name", "namespace", "annotations")}
    return {"metadata": metadata, "spec": {**body["spec"]}}


def update_strategy(random: Random) -> dict[str, Any]:
    """Return how a set updates its pods, sooner or later all of them."""
    return {
        "rollingUpdate": {
            "podUpdatePolicy": random.choice(POLICIES),
            "maxUnavailable": random.randint(1, 2),
        }
    }


def scaler(random: Random) -> dict[str, Any]:
    """Return the manifest of the set's autoscaler; it is in a hurry, as a schedule is."""
    least = random.randint(0, 2)
    down = {
        "stabilizationWindowSeconds": random.choice((0, 30)),
        "waitToBeDeletedSeconds": random.choice((0, 5, 30)),
    }
    most: dict[str, Any] = {}
    if random.random() < 0.6:
        most = {"maxAvailable": random.randint(least, 3)}
    spec = {
        "gameServerSetName": SET_NAME,
        "mode": "Active",
        "minReplicas": random.choice((0, 0, 1)),
        "maxReplicas": MOST_SERVERS + 1,
        "minAvailable": least,
        "supplyOpsStates": ["None"],
        "behavior": {"scaleDown": down},
        **most,
    }
    return {"metadata": {"name": SET_NAME}, "spec": spec}


def orphan(random: Random, id_: int, labels: dict[str, str]) -> dict[str, Any]:
    """Return a pod of the set's name and label that nobody controls, as another manager left it.

    Args:
        random: decides what it runs.
        id_: of its name.
        labels: beside the set's own.
    """
    return {
        "metadata": {
            "name": f"{SET_NAME}-{id_}",
            "labels": {names.OWNER_LABEL: SET_NAME, **labels},
        },
        "spec": {"containers": [{"name": "game", "image": random.choice((*IMAGES, "game:0"))}]},
    }
