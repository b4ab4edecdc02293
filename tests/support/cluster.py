"""What a test needs of a cluster with Gamekeeper in it, whoever has made that cluster.

Here: kubectl, `gamekeeper`, applying, tables, waiting. The two kinds are `Local` (local.py), a
`gamekeeper local` of the test's own, and `GivenCluster` (given_cluster.py), a namespace of the
cluster that `--kubeconfig` names. A test that takes a `Cluster` holds on both.

Every command uses a kubeconfig whose current namespace is the test's: neither manifests nor command
lines say one, so they are as a person would type them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import yaml

from cli.kubectl import Table, kubectl_path, parse_table
from cli.manifests import read_yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

Json = dict[str, Any]
REPOSITORY = Path(__file__).parents[2]
MINECRAFT = REPOSITORY / "examples" / "minecraft" / "minecraft.yaml"
MINECRAFT_IMAGE = "registry.cn-beijing.aliyuncs.com/chrisliu95/minecraft-demo:probe-v0"
# An image that has Python, and nothing that a test brings along.
PYTHON_IMAGE = "python.example.com/python:3"


class OpenCluster(Protocol):
    """Gives a cluster for the time of a block; the fixture `open_cluster`."""

    def __call__(
        self, images: Mapping[str, Path] = ..., files: Sequence[Path] = ...
    ) -> AbstractContextManager[Cluster]:
        """Give a cluster in which `files` were applied.

        Args:
            images: folder of each image, with the files of a game and their image.yaml; those in
                an images.yaml beside a file are found.
            files: manifests.
        """


def gamekeeper(*arguments: str) -> tuple[str, ...]:
    """Return the command line of the command under test."""
    return (sys.executable, "-m", "cli", *arguments)


def wait_for(look: Callable[[], Any], expected: Any, seconds: float = 60.0) -> None:
    """Look until it is as expected; fails with what it was last."""
    deadline = time.monotonic() + seconds
    while (actual := look()) != expected:
        assert time.monotonic() < deadline, f"expected {expected}\nactual {actual}"
        time.sleep(0.1)


@dataclass
class Cluster(ABC):
    """A cluster, and the namespace in it that a test works in.

    Attributes:
        kubeconfig: its current context leads to that namespace.
        patience_seconds: how long what happens sooner or later is waited for.
        python: how Python is started in a container of PYTHON_IMAGE.
    """

    kubeconfig: Path
    namespace: str
    patience_seconds: ClassVar[float]
    python: ClassVar[tuple[str, ...]]

    @property
    def environment(self) -> dict[str, str]:
        """What kubectl and `gamekeeper` run in."""
        return os.environ | {"KUBECONFIG": str(self.kubeconfig)}

    @abstractmethod
    def gamekeeper(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command that asks the status API and return how it ended."""

    @abstractmethod
    def beside(self, name: str) -> AbstractContextManager[Self]:
        """Give another namespace of the same cluster; its name at most ends with `name`."""

    def adapted(self, body: Json) -> Json:
        """Return an object as it is applied here: into the current namespace."""
        metadata = {key: value for key, value in body["metadata"].items() if key != "namespace"}
        return body | {"metadata": metadata}

    def kubectl(
        self, *arguments: str, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl and return how it ended, whatever that was."""
        return self._run([kubectl_path(), *arguments], stdin=stdin)

    def must(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl, which must succeed, and return what it prints."""
        done = self.kubectl(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def try_apply(self, *bodies: Json) -> subprocess.CompletedProcess[str]:
        """Apply objects and return how that ended, whatever that was."""
        text = yaml.safe_dump_all([self.adapted(each) for each in bodies])
        return self.kubectl("apply", "-f", "-", stdin=text)

    def apply(self, *bodies: Json) -> None:
        """Apply objects, which must be accepted."""
        done = self.try_apply(*bodies)
        assert done.returncode == 0, done.stderr

    def apply_file(self, file: Path) -> None:
        """Apply the objects of a file, which must be accepted."""
        self.apply(*read_yaml(file))

    def table(self, *arguments: str) -> Table:
        """Return the table that a kubectl call prints."""
        return parse_table(self.must(*arguments))

    def servers(self, owner: str = "") -> dict[str, tuple[str, ...]]:
        """Return STATE, OPSSTATE, DP and UP of each server, or of each of a set."""
        selector = ("-l", f"game.kruise.io/owner-gss={owner}") if owner else ()
        return {name: cells[:4] for name, cells in self.table("get", "gs", *selector).rows.items()}

    def wait_for(self, look: Callable[[], Any], expected: Any) -> None:
        """Look until it is as expected; fails with what it was last."""
        wait_for(look, expected, self.patience_seconds)

    def _run(
        self, command: Sequence[str], stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            env=self.environment,
            cwd=REPOSITORY,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=self.patience_seconds,
            check=False,
        )


@contextmanager
def current_namespace(kubeconfig: Path, namespace: str) -> Iterator[Path]:
    """Give a copy of a kubeconfig whose current namespace is another one."""
    copy = kubeconfig.with_name(f"kubeconfig-{namespace}")
    body = yaml.safe_load(kubeconfig.read_text())
    for context in body["contexts"]:
        if context["name"] == body["current-context"]:
            context["context"]["namespace"] = namespace
    copy.touch(mode=0o600)
    copy.write_text(yaml.safe_dump(body))
    try:
        yield copy
    finally:
        copy.unlink()
