"""What people do to the set and to its servers in a schedule: random, legal, and at bad moments.

What they do to the set as a whole (delete it, apply it again, its autoscaler, what other managers
leave behind) is in owners.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aggregator.kube.resources import GAMESERVERS, GAMESERVERSETS, PODS
from shared.api import names
from tests.simulation.manifests import (
    DRAIN,
    IMAGES,
    MOST_SERVERS,
    STRATEGIES,
    reserve_list,
    update_strategy,
)
from tests.simulation.server import NAMESPACE, QUOTA, SET_KEY

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from tests.simulation.server import Server

_OPS_STATES = ("None", "None", "Allocated", "Maintaining", "WaitToBeDeleted", "Kill", "Custom")


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
            *(self._choose_image,) * 2,
            self._choose_environment,
            self._choose_update,
            self._apply_much,
            self._delete_pod,
            *(self._delete_server,) * 2,
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
        """Change just the object that a request is about to change, or what it was decided on."""
        if plural == GAMESERVERS.plural:
            self._change_mind(name)
        elif plural == PODS.plural:
            if self._random.random() < 0.5:
                self._server.delete(("", "pods"), name)
            else:
                self._change_mind(name)
        elif plural == GAMESERVERSETS.plural:
            self._random.choice((self._scale, self._reserve, self._give_back))()

    def lift(self) -> None:
        """Take away what stops pods from being created or updated."""
        self._lift()
        self._edit_set(updateStrategy=update_strategy(self._random))

    def let_all_go(self) -> None:
        """Say of all pods that their players are safe."""
        for name in self._held():
            self._drained(name)

    # -- servers --------------------------------------------------------------------------------

    def _change_mind(self, name: str) -> None:
        """Set or take back a Kill, or say something else, in the very last moment."""
        found = self._server.find(GAMESERVERS, name)
        if found is None:
            return
        killed = found["spec"].get("opsState") == names.OPS_STATE_KILL
        states = ("None", "Allocated") if killed else ("Kill", *_OPS_STATES)
        self._edit_server(name, opsState=self._random.choice(states))

    def _held(self) -> list[str]:
        pods = self._server.all(PODS).items()
        return [
            name
            for name, pod in pods
            if DRAIN.items() <= (pod["metadata"].get("labels") or {}).items()
        ]

    def _drained(self, name: str) -> None:
        done = {"drain": "done"}
        self._server.edit(PODS, name, lambda body: body["metadata"]["labels"].update(done))

    def _let_one_go(self) -> None:
        if held := self._held():
            self._drained(self._random.choice(held))

    def _edit_server(self, name: str, **spec: Any) -> None:
        found = self._server.find(GAMESERVERS, name)
        # A rule of the API server refuses another opsState while the server is claimed.
        if found is not None and "deletion" not in found["spec"]:
            self._server.edit(GAMESERVERS, name, lambda body: body["spec"].update(spec))

    def _some_server(self) -> str:
        there = sorted(self._server.all(GAMESERVERS))
        return self._random.choice(there) if there else ""

    def _mark(self) -> None:
        self._edit_server(self._some_server(), opsState=self._random.choice(_OPS_STATES))

    def _prioritise(self) -> None:
        self._edit_server(self._some_server(), deletionPriority=self._random.choice((-1, 0, 10)))

    def _delete_pod(self) -> None:
        there = sorted(self._server.all(PODS))
        if there:
            grace = self._random.choice((None, None, 0))
            self._server.delete(("", "pods"), self._random.choice(there), grace)

    def _delete_server(self) -> None:
        self._server.delete((names.GROUP, names.GAMESERVERS), self._some_server())

    # -- the set --------------------------------------------------------------------------------

    def _edit_set(self, **spec: Any) -> None:
        if self._server.find(GAMESERVERSETS, SET_KEY.name) is not None:
            self._server.edit(GAMESERVERSETS, SET_KEY.name, lambda body: body["spec"].update(spec))

    def _spec(self) -> dict[str, Any]:
        found = self._server.find(GAMESERVERSETS, SET_KEY.name)
        return {} if found is None else dict(found["spec"])

    def _scale(self) -> None:
        self._edit_set(replicas=self._random.randint(0, MOST_SERVERS))

    def _reserve(self) -> None:
        self._edit_set(reserveGameServerIds=reserve_list(self._random))

    def _give_back(self) -> None:
        listed = list(self._spec().get("reserveGameServerIds") or ())
        if listed:
            listed.remove(self._random.choice(listed))
            self._edit_set(reserveGameServerIds=listed)

    def _choose_strategy(self) -> None:
        chosen = self._random.choice(STRATEGIES)
        self._edit_set(scaleStrategy={"scaleDownStrategyType": chosen})

    def _choose_image(self) -> None:
        self._edit_set(**self._template(image=self._random.choice(IMAGES)))

    def _choose_environment(self) -> None:
        season = self._random.choice(("1", "2"))
        self._edit_set(**self._template(env=[{"name": "SEASON", "value": season}]))

    def _choose_update(self) -> None:
        strategy = update_strategy(self._random)
        rolling = strategy["rollingUpdate"]
        if self._random.random() < 0.5:
            rolling |= {"partition": self._random.randint(0, 2)}
        if self._random.random() < 0.3:
            rolling |= {"paused": True}
        if self._random.random() < 0.3:
            rolling |= {"podUpdatePolicy": "InPlaceOnly"}
        self._edit_set(updateStrategy=strategy)

    def _apply_much(self) -> None:
        """Apply a manifest with a new image and another size, and ids that are reserved now."""
        self._edit_set(
            replicas=self._random.randint(0, MOST_SERVERS),
            reserveGameServerIds=reserve_list(self._random),
            **self._template(image=self._random.choice(IMAGES)),
        )

    def _template(self, **fields: Any) -> dict[str, Any]:
        template = self._spec().get("gameServerTemplate")
        if template is None:
            return {}
        (container,) = template["spec"]["containers"]
        spec = template["spec"] | {"containers": [container | fields]}
        return {"gameServerTemplate": template | {"spec": spec}}

    # -- quotas ---------------------------------------------------------------------------------

    def _limit(self) -> None:
        if self._server.store.get(QUOTA, (NAMESPACE, "few")) is None:
            hard = {"pods": str(self._random.randint(0, MOST_SERVERS))}
            body = {"metadata": {"name": "few"}, "spec": {"hard": hard}}
            self._server.create_as_user(*QUOTA, NAMESPACE, body)

    def _lift(self) -> None:
        self._server.delete(QUOTA, "few")
