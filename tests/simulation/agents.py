"""The agents in the pods: each knows what its probes found, and tells an aggregator, or fails to.

What they say goes the way of a real report from the intake on: admitted, kept in the ledger, and
matched by the reconciler of the server.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from aggregator.kube.resources import PODS, ObjectKey
from shared.protocol.paths import AGENT_CONTAINER_NAME
from tests.simulation.server import NAMESPACE
from tests.support.builders import probe_report, report

if TYPE_CHECKING:
    from random import Random

    from tests.simulation.process import Process
    from tests.simulation.server import Server

Json = dict[str, Any]
# What a probe finds when it finds something new.
_CHANCE_OF_TRUE = {"idle": 0.6, "over": 0.1}


class Agents:
    """All agents.

    Attributes:
        verdicts: what the probes of each pod find, by uid and name.
    """

    def __init__(self, random: Random, server: Server) -> None:
        self._random = random
        self._server = server
        self.verdicts: dict[str, dict[str, str]] = defaultdict(lambda: {"idle": "False"})
        self._sequence = 0

    def act(self, process: Process) -> str:
        """Let one agent tell a process what it finds, which may be something new."""
        pods = self._running()
        if not pods:
            return "no agents"
        name, pod = self._random.choice(pods)
        uid = pod["metadata"]["uid"]
        if self._random.random() < 0.6:
            probe = self._random.choice(tuple(_CHANCE_OF_TRUE))
            found = self._random.random() < _CHANCE_OF_TRUE[probe]
            self.verdicts[uid][probe] = str(found)
        self._tell(process, name, uid)
        return f"{name} finds {self.verdicts[uid]}"

    def tell_all(self, process: Process) -> None:
        """Let all agents tell a process what they find, as they do with every heartbeat."""
        for name, pod in self._running():
            self._tell(process, name, pod["metadata"]["uid"])

    def _tell(self, process: Process, name: str, uid: str) -> None:
        self._sequence += 1
        probes = [probe_report(probe, status) for probe, status in self.verdicts[uid].items()]
        whole = report(*probes, pod_uid=uid, sequence=self._sequence)
        process.report(ObjectKey(NAMESPACE, name), whole)

    def _running(self) -> list[tuple[str, Json]]:
        return [
            (name, pod)
            for name, pod in self._server.all(PODS).items()
            if pod["status"]["phase"] == "Running" and has_agent(pod)
        ]


def has_agent(pod: Json) -> bool:
    """Tell whether an agent runs in a pod."""
    containers = (pod["spec"].get("initContainers") or []) + pod["spec"]["containers"]
    return any(each["name"] == AGENT_CONTAINER_NAME for each in containers)
