"""Two game servers with one probe, whose answer a test chooses, and what can be seen of them."""

from __future__ import annotations

import asyncio
import re
import urllib.request
from typing import TYPE_CHECKING, Any

from aggregator.kube.patch import MergePatch
from aggregator.kube.resources import GAMESERVERS, PODS, ObjectKey
from shared.api import names

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.chart_replicas import Replicated

SERVERS = ("games-0", "games-1")
IMAGE = "game:1"
_FILES = {
    "image.yaml": "command: [sleep, infinity]\nworkingDir: /game\n",
    "probe.sh": "cat players\n",
    "players": "some\n",
}
# What the probe prints, and the opsState that it asks for.
_ACTIONS = {"some": "Allocated", "many": "Maintaining"}
_CONTAINER = {
    "name": "game",
    "image": IMAGE,
    "imagePullPolicy": "Never",
    "securityContext": {"runAsUser": 1000},
}
_QUALITY = {
    "name": "players",
    "containerName": "game",
    "permanent": False,
    "exec": {"command": ["sh", "./probe.sh"]},
    "initialDelaySeconds": 0,
    "periodSeconds": 1,
    "serviceQualityAction": [
        {"state": True, "result": result, "opsState": state} for result, state in _ACTIONS.items()
    ],
}
SET = {
    "apiVersion": "game.kruise.io/v1alpha1",
    "kind": "GameServerSet",
    "metadata": {"name": "games", "namespace": "default"},
    "spec": {
        "replicas": len(SERVERS),
        "gameServerTemplate": {
            "spec": {"containers": [_CONTAINER], "terminationGracePeriodSeconds": 1}
        },
        "serviceQualities": [_QUALITY],
    },
}


def game_image(folder: Path) -> dict[str, Path]:
    """Write the image of the games; return it as the local cluster wants it."""
    for name, text in _FILES.items():
        (folder / name).write_text(text)
    return {IMAGE: folder}


class Games:
    """The servers of the set.

    Args:
        world: whose aggregators look after them.
    """

    def __init__(self, world: Replicated) -> None:
        self._world = world

    async def states(self) -> list[str | None]:
        """The opsState of each server; None for one that is not there yet."""
        bodies = [await self._server(name) for name in SERVERS]
        return [None if body is None else body["spec"].get("opsState") for body in bodies]

    async def trace(self, name: str) -> tuple[int, str, str]:
        """What an action leaves: the number of changes, the opsState, the verdict acted on."""
        body = await self._server(name)
        assert body is not None
        verdicts = body["metadata"]["annotations"][names.VERDICTS_ANNOTATION]
        return body["metadata"]["generation"], body["spec"]["opsState"], verdicts

    async def say(self, name: str, result: str) -> None:
        """Let the probe of a server print something else from now on."""
        writing = ("sh", "-c", f"echo {result} >players")
        await self._world.kubectl.run("exec", name, "-c", "game", "--", *writing)

    async def edit(self, name: str, state: str) -> None:
        """Set the opsState as a person does."""
        patch = MergePatch({"spec": {"opsState": state}})
        await self._world.kube.patch(GAMESERVERS, ObjectKey("default", name), patch)

    async def containers(self) -> dict[tuple[str, str], int]:
        """How often each container of each pod has started again, by the pod's uid."""
        found = {}
        for name in SERVERS:
            pod = await self._world.kube.get(PODS, ObjectKey("default", name))
            assert pod is not None
            for field in ("initContainerStatuses", "containerStatuses"):
                for each in pod["status"].get(field, []):
                    found[pod["metadata"]["uid"], each["name"]] = each["restartCount"]
        return found

    async def heard(self) -> int | None:
        """How many agents the leader hears; None while nobody leads."""
        leaders = await self._world.leaders()
        if len(leaders) != 1:
            return None
        try:
            url = f"http://{await self._world.address(leaders[0])}:8080/metrics"
            text = await asyncio.to_thread(_fetch, url)
        except OSError:
            return None
        found = re.search(
            r'^gamekeeper_agents\{.*state="Reporting".*\} ([0-9]+)', text, re.MULTILINE
        )
        return int(found[1]) if found else 0

    async def _server(self, name: str) -> dict[str, Any] | None:
        return await self._world.kube.get(GAMESERVERS, ObjectKey("default", name))


def _fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        text: bytes = answer.read()
    return text.decode()
