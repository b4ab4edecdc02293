"""What people and kubelets do in a schedule: random, legal, and at bad moments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aggregator.kube.resources import GAMESERVERS, GAMESERVERSETS, PODS
from shared.api import names
from tests.simulation.server import NAMESPACE, QUOTA, SET_KEY
from tests.support.builders import game_server_set

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from tests.simulation.server import Server

MOST_SERVERS = 5
DRAIN = {"drain": "me"}
"""Labels of pods that a preDelete hook holds, until somebody changes them."""
_HOOKS = 0.4
_OPS_STATES = ("None", "None", "Allocated", "Maintaining", "WaitToBeDeleted", "Kill", "Custom")
_IMAGES = ("game:1", "game:2", "game:3")
_POLICIES = ("ReCreate", "InPlaceIfPossible")
_STRATEGIES = ("General", "ReserveIds")


def first_set(random: Random) -> dict[str, Any]:
    """Return the manifest of a set."""
    hook = {"preDelete": {"labelsHandler": DRAIN}} if random.random() < _HOOKS else None
    owner = game_server_set(
        replicas=random.randint(0, MOST_SERVERS),
        template={
            "metadata": {"labels": DRAIN if hook else {}},
            "spec": {"containers": [{"name": "game", "image": random.choice(_IMAGES)}]},
            "reclaimPolicy": random.choice(("Cascade", "Cascade", "Delete")),
        },
        scaleStrategy={"scaleDownStrategyType": random.choice(_STRATEGIES)},
        updateStrategy={
            "rollingUpdate": {
                "podUpdatePolicy": random.choice(_POLICIES),
                "maxUnavailable": random.randint(1, 2),
            }
        },
        reserveGameServerIds=_reserve_list(random),
        **({"lifecycle": hook} if hook else {}),
        annotations={names.PROTECT_ANNOTATION: random.choice(("true", "false", "false"))},
    )
    body = owner.model_dump(mode="json", by_alias=True, exclude_none=True)
    spec = {**body["spec"]}
    metadata = {key: body["metadata"][key] for key in ("name", "namespace", "annotations")}
    return {"metadata": metadata, "spec": spec}


def _reserve_list(random: Random) -> list[int | str]:
    ids: list[int | str] = random.sample(range(MOST_SERVERS + 2), random.choice((0, 0, 1, 2)))
    return [*ids, "2-3"] if random.random() < 0.1 else ids


class People:
    """Whoever has kubectl."""

    def __init__(self, random: Random, server: Server) -> None:
        self._random = random
        self._server = server
        # What people do to sets comes often enough beside what they do to servers.
        self._acts: tuple[Callable[[], None], ...] = (
            *(self._scale,) * 4,
            *(self._mark,) * 4,
            *(self._prioritise,) * 2,
            *(self._reserve,) * 2,
            self._give_back,
            self._choose_strategy,
            self._choose_image,
            self._choose_environment,
            self._delete_pod,
            self._delete_server,
            self._limit,
            self._lift,
            *(self._let_one_go,) * 2,
        )

    def act(self) -> str:
        """Do one thing; return what."""
        act = self._random.choice(self._acts)
        act()
        return act.__name__.strip("_")

    def interfere(self, plural: str, name: str) -> None:
        """Change just the object that a request is about to change."""
        if plural == GAMESERVERS.plural:
            self._edit_server(name, opsState=self._random.choice(_OPS_STATES))
        elif plural == PODS.plural:
            self._server.delete(("", "pods"), name)
        elif plural == GAMESERVERSETS.plural:
            self._random.choice((self._scale, self._reserve, self._give_back))()

    def lift(self) -> None:
        """Take away what stops pods from being created."""
        self._lift()

    def let_all_go(self) -> None:
        """Say of all pods that their players are safe."""
        for name in self._held():
            self._drained(name)

    def _held(self) -> list[str]:
        pods = self._server.all(PODS).items()
        return [name for name, pod in pods if DRAIN.items() <= pod["metadata"]["labels"].items()]

    def _drained(self, name: str) -> None:
        done = {"drain": "done"}
        self._server.edit(PODS, name, lambda body: body["metadata"]["labels"].update(done))

    def _let_one_go(self) -> None:
        if held := self._held():
            self._drained(self._random.choice(held))

    def _edit_set(self, **spec: Any) -> None:
        self._server.edit(GAMESERVERSETS, SET_KEY.name, lambda body: body["spec"].update(spec))

    def _edit_server(self, name: str, **spec: Any) -> None:
        found = self._server.find(GAMESERVERS, name)
        # A rule of the API server refuses another opsState while the server is claimed.
        if found is not None and "deletion" not in found["spec"]:
            self._server.edit(GAMESERVERS, name, lambda body: body["spec"].update(spec))

    def _spec(self) -> dict[str, Any]:
        found = self._server.find(GAMESERVERSETS, SET_KEY.name)
        assert found is not None
        return dict(found["spec"])

    def _some_server(self) -> str:
        there = sorted(self._server.all(GAMESERVERS))
        return self._random.choice(there) if there else ""

    def _scale(self) -> None:
        self._edit_set(replicas=self._random.randint(0, MOST_SERVERS))

    def _mark(self) -> None:
        self._edit_server(self._some_server(), opsState=self._random.choice(_OPS_STATES))

    def _prioritise(self) -> None:
        self._edit_server(self._some_server(), deletionPriority=self._random.choice((-1, 0, 10)))

    def _reserve(self) -> None:
        self._edit_set(reserveGameServerIds=_reserve_list(self._random))

    def _give_back(self) -> None:
        listed = list(self._spec().get("reserveGameServerIds") or ())
        if listed:
            listed.remove(self._random.choice(listed))
            self._edit_set(reserveGameServerIds=listed)

    def _choose_strategy(self) -> None:
        chosen = self._random.choice(_STRATEGIES)
        self._edit_set(scaleStrategy={"scaleDownStrategyType": chosen})

    def _choose_image(self) -> None:
        self._edit_container(image=self._random.choice(_IMAGES))

    def _choose_environment(self) -> None:
        season = self._random.choice(("1", "2"))
        self._edit_container(env=[{"name": "SEASON", "value": season}])

    def _edit_container(self, **fields: Any) -> None:
        template = self._spec()["gameServerTemplate"]
        (container,) = template["spec"]["containers"]
        spec = template["spec"] | {"containers": [container | fields]}
        self._edit_set(gameServerTemplate=template | {"spec": spec})

    def _delete_pod(self) -> None:
        there = sorted(self._server.all(PODS))
        if there:
            grace = self._random.choice((None, None, 0))
            self._server.delete(("", "pods"), self._random.choice(there), grace)

    def _delete_server(self) -> None:
        self._server.delete((names.GROUP, names.GAMESERVERS), self._some_server())

    def _limit(self) -> None:
        if self._server.store.get(QUOTA, (NAMESPACE, "few")) is None:
            hard = {"pods": str(self._random.randint(0, MOST_SERVERS))}
            body = {"metadata": {"name": "few"}, "spec": {"hard": hard}}
            self._server.create_as_user(*QUOTA, NAMESPACE, body)

    def _lift(self) -> None:
        self._server.delete(QUOTA, "few")


class Kubelet:
    """Every node: pods get one, start, end, fail and terminate, each when its turn comes."""

    def __init__(self, random: Random, server: Server) -> None:
        self._random = random
        self._server = server
        self._restarts = 0

    def act(self) -> str:
        """Bring one pod on its way, or have it fail."""
        there = sorted(self._server.all(PODS))
        if not there:
            return "no pods"
        name = self._random.choice(there)
        if self._random.random() < 0.07:
            self._spoil(name)
        else:
            self.bring_on(name)
        return name

    def bring_on(self, name: str) -> None:
        """Do for one pod what is next."""
        pod = self._server.find(PODS, name)
        assert pod is not None
        if "deletionTimestamp" in pod["metadata"]:
            self._server.delete(("", "pods"), name, 0)
        elif not pod["spec"].get("nodeName"):
            self._server.edit(PODS, name, lambda body: body["spec"].update(nodeName="node-1"))
        elif pod["status"]["phase"] not in ("Failed", "Succeeded"):
            self._run(name, pod)

    def _run(self, name: str, pod: dict[str, Any]) -> None:
        images = [each["image"] for each in pod["spec"]["containers"]]
        ready = {"type": "Ready", "status": "True"}
        status = {"phase": "Running", "conditions": [ready], "images": images}
        if {key: pod["status"].get(key) for key in status} == status:
            return
        self._restarts += 1
        containers = [{"name": "game", "containerID": f"run://{self._restarts}"}]
        self._report(name, status | {"containerStatuses": containers})

    def _spoil(self, name: str) -> None:
        """Let a pod end, or be not ready."""
        pod = self._server.find(PODS, name)
        assert pod is not None
        if pod["status"]["phase"] != "Running" or "deletionTimestamp" in pod["metadata"]:
            return
        phase = self._random.choice(("Failed", "Succeeded", "Running"))
        unready = {"phase": phase, "conditions": [{"type": "Ready", "status": "False"}]}
        self._report(name, pod["status"] | unready)

    def _report(self, name: str, status: dict[str, Any]) -> None:
        self._server.edit(PODS, name, lambda body: body.update(status=status), "status")
