"""Every node: pods get one, start, end, fail and terminate, each when its turn comes.

A node that is lost runs on unseen: its pods are not ready, and one that is deleted stays until the
node answers again or is taken out of the cluster, when the collector of pods removes it by force.
Source: https://kubernetes.io/docs/concepts/architecture/nodes/#node-status (taint-based evictions)
and #garbage-collection of pods whose node is gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aggregator.kube.resources import PODS

if TYPE_CHECKING:
    from random import Random

    from tests.simulation.server import Server

Json = dict[str, Any]
NODES = ("node-1", "node-2")


class Nodes:
    """The nodes, their kubelets and what watches over them.

    Attributes:
        lost: nodes that do not answer.
    """

    def __init__(self, random: Random, server: Server) -> None:
        self._random = random
        self._server = server
        self._restarts = 0
        self.lost: set[str] = set()

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
        node = pod["spec"].get("nodeName")
        if node in self.lost:
            return
        if "deletionTimestamp" in pod["metadata"]:
            self._server.delete(("", "pods"), name, 0)
        elif not node:
            self._schedule(name)
        elif pod["status"]["phase"] not in ("Failed", "Succeeded"):
            self._run(name, pod)

    # -- nodes that go --------------------------------------------------------------------------

    def lose_or_find(self) -> str:
        """Let a node fall silent, or have something done about the silent one."""
        if not self.lost:
            self.lost = {self._random.choice(NODES)}
            for name, pod in self._pods_of_lost():
                self._make_unready(name, pod)
            return "a node falls silent"
        act = self._random.choice((self._evict, self._evict, self._forget, self.find_all))
        act()
        return act.__name__.strip("_")

    def find_all(self) -> None:
        """Let all nodes answer again."""
        self.lost = set()

    def _evict(self) -> None:
        for name, _ in self._pods_of_lost():
            self._server.delete(("", "pods"), name)

    def _forget(self) -> None:
        for name, _ in self._pods_of_lost():
            self._server.delete(("", "pods"), name, 0)
        self.find_all()

    def _pods_of_lost(self) -> list[tuple[str, Json]]:
        pods = self._server.all(PODS).items()
        return [(name, pod) for name, pod in pods if pod["spec"].get("nodeName") in self.lost]

    # -- kubelets -------------------------------------------------------------------------------

    def _schedule(self, name: str) -> None:
        free = [node for node in NODES if node not in self.lost]
        node = self._random.choice(free)
        self._server.edit(PODS, name, lambda body: body["spec"].update(nodeName=node))

    def _run(self, name: str, pod: Json) -> None:
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
        self._make_unready(name, pod, self._random.choice(("Failed", "Succeeded", "Running")))

    def _make_unready(self, name: str, pod: Json, phase: str = "") -> None:
        conditions = [{"type": "Ready", "status": "False"}]
        phase = phase or pod["status"]["phase"]
        self._report(name, pod["status"] | {"phase": phase, "conditions": conditions})

    def _report(self, name: str, status: Json) -> None:
        self._server.edit(PODS, name, lambda body: body.update(status=status), "status")
