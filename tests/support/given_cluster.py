"""A namespace of a given cluster, in which Gamekeeper is installed, as tests see it.

Images that tests name cannot be pulled there: what stands for them says game_images.py.
"""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import yaml

from cli.kubectl import kubectl_path
from cli.manifests import find_images
from tests.support.cluster import PYTHON_IMAGE, Cluster, current_namespace, gamekeeper
from tests.support.game_images import GameImage, config_map, furnished
from tests.support.installation import PATIENCE_SECONDS, Installation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Json = dict[str, Any]
# What examples and tests run in a game's container.
_PROGRAMS = ("bash", "cat", "cp", "grep", "kill", "ls", "mkdir", "mv", "ps", "rm", "sleep", "touch")
# How a pod ends that only looks for programs; without bash it is never started.
_ENDS = ("Succeeded", "Failed", "RunContainerError", "StartError")
_NOT_PULLED = ("ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
_FORWARDING = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+) ")
# Who asks the status API: it may look at game servers, and do nothing else.
_READER = """\
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules:
  - {apiGroups: [game.kruise.io], resources: [gameservers], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: reader}]
"""


@dataclass
class GivenCluster(Cluster):
    """A namespace of the cluster of `--kubeconfig`.

    Attributes:
        installation: Gamekeeper, and the way to the cluster.
        folders: folder of each image that tests name.
    """

    installation: Installation
    folders: Mapping[str, Path]
    patience_seconds: ClassVar[float] = PATIENCE_SECONDS
    python: ClassVar[tuple[str, ...]] = ("python3", "-S")

    def adapted(self, body: Json) -> Json:
        """Return an object as it is applied here: its games in images that can be pulled."""
        body = super().adapted(body)
        spec = body.get("spec", {})
        if body["kind"] == "Pod":
            return body | {"spec": furnished(spec, self._images())}
        if body["kind"] != "GameServerSet":
            return body
        template = spec["gameServerTemplate"]
        pods = template | {"spec": furnished(template["spec"], self._images())}
        return body | {"spec": spec | {"gameServerTemplate": pods}}

    def gamekeeper(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command that asks the status API as the docs tell, with a token of its own."""
        with tempfile.TemporaryDirectory(dir=self.kubeconfig.parent) as made, self._status() as url:
            token, authority = Path(made) / "token", Path(made) / "ca.crt"
            token.write_text(self.must("create", "token", "reader"))
            # Not the ConfigMap of agents: it is only where there are some.
            authority.write_text(self.installation.authority())
            options = ("--server", url, "--token-file", str(token), "--ca-file", str(authority))
            return self._run([*gamekeeper(*arguments), *options])

    @contextmanager
    def beside(self, name: str) -> Iterator[GivenCluster]:
        """Give another namespace of the cluster; it is deleted with the block."""
        with open_given(self.installation, self.folders, (), name) as other:
            yield other

    def make(self) -> None:
        """Fill the namespace: the games' files, and who asks the status API."""
        self.must("create", "-f", "-", stdin=_READER)
        for name, folder in self._config_maps().items():
            assert not any(each.is_dir() for each in folder.iterdir()), f"{folder} has folders"
            files = {file.name: file.read_text() for file in folder.iterdir() if _is_file(file)}
            if files:
                self.must("create", "-f", "-", stdin=json.dumps(config_map(name, files)))

    def story(self) -> dict[str, str]:
        """Return what a failed test should be read with: pods, events, the aggregators' logs."""
        events = self.kubectl("get", "events", "--sort-by=.lastTimestamp").stdout
        return {
            "pods": self.kubectl("get", "pods", "-o", "wide").stdout,
            "events": "\n".join(events.splitlines()[-40:]),
            "aggregators": self.installation.log(),
        }

    @contextmanager
    def _status(self) -> Iterator[str]:
        """Give the URL of the status API."""
        if self.installation.given.status_url is not None:
            yield self.installation.given.status_url
            return
        command = [kubectl_path(), "-n", self.installation.namespace, "port-forward"]
        with subprocess.Popen(
            [*command, "service/gamekeeper-status", ":443"],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as forwarding:
            assert forwarding.stdout is not None
            try:
                line = forwarding.stdout.readline()
                found = _FORWARDING.match(line)
                assert found is not None, f"kubectl port-forward: {line}"
                yield f"https://localhost:{found[1]}"
            finally:
                forwarding.terminate()

    def _config_maps(self) -> dict[str, Path]:
        """Return the folder behind each ConfigMap: images of one folder share one."""
        folders = dict.fromkeys(self.folders.values())
        return {f"image-{number}": folder for number, folder in enumerate(folders)}

    def _images(self) -> dict[str, GameImage]:
        games = self.installation.given.games
        images = {PYTHON_IMAGE: GameImage(self.installation.given.aggregator)}
        for name, folder in self._config_maps().items():
            description = yaml.safe_load((folder / "image.yaml").read_text())
            files = name if any(map(_is_file, folder.iterdir())) else ""
            named = [image for image, place in self.folders.items() if place == folder]
            # A second image of the same files is what a set is updated to.
            for image, reference in zip(named, itertools.cycle(games)):
                images[image] = GameImage(reference, games[0], files, description)
        return images


def _is_file(file: Path) -> bool:
    return file.is_file() and file.name != "image.yaml"


@contextmanager
def open_given(
    installation: Installation,
    images: Mapping[str, Path],
    files: Sequence[Path],
    name: str = "",
) -> Iterator[GivenCluster]:
    """Give a namespace of its own in a given cluster; it is deleted with the block.

    Args:
        installation: Gamekeeper in that cluster.
        images: folder of each image, besides those in an images.yaml beside a file.
        files: manifests to apply.
        name: what the namespace's name ends with.
    """
    number = next(_numbers)
    namespace = f"{installation.namespace}-{number}-{name}"[:63].rstrip("-")
    # Agents that enter a container for an exec probe need no more than this.
    installation.make_namespace(namespace, "baseline")
    try:
        with current_namespace(installation.kubeconfig, namespace) as kubeconfig:
            folders = find_images(files, ()) | dict(images)
            cluster = GivenCluster(kubeconfig, namespace, installation, folders)
            cluster.make()
            for file in files:
                cluster.apply_file(file)
            yield cluster
    finally:
        installation.must("delete", "namespace", namespace, "--wait=false")


_numbers = itertools.count(1)


def check_games(installation: Installation) -> None:
    """End the session when an image of games cannot be pulled or lacks what tests run in it."""
    with open_given(installation, {}, (), "images") as cluster:
        for number, image in enumerate(installation.given.games):
            fault = _fault_of_image(cluster, f"check-{number}", image)
            if fault:
                pytest.exit(f"--game-image {image} {fault}", returncode=4)


def _fault_of_image(cluster: GivenCluster, name: str, image: str) -> str:
    look = 'command -v "$each" > /dev/null || echo "$each"'
    script = f"for each in {' '.join(_PROGRAMS)}; do {look}; done"
    container = {"name": "check", "image": image, "command": ["bash", "-c", script]}
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name},
            "spec": {"restartPolicy": "Never", "containers": [container]},
        }
    )
    path = "jsonpath={.status.phase} {.status.containerStatuses[0].state.waiting.reason}"

    def outcome() -> str:
        """What became of the pod; empty while it may still run."""
        said = cluster.must("get", "pod", name, "-o", path).split()
        return next((each for each in said if each in (*_ENDS, *_NOT_PULLED)), "")

    cluster.wait_for(lambda: outcome() != "", expected=True)
    end = outcome()
    if end in _NOT_PULLED:
        return f"must be one that nodes can pull: {end}"
    missing = cluster.must("logs", name).split() if end == "Succeeded" else ["bash"]
    return f"must have {', '.join(missing)}" if missing else ""
