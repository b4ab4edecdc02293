"""The real local API server with the real kubelet, shared by the tests of a module.

Tests get a namespace each, so that many fit on one cluster; the few that stop the kubelet start one
of their own.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.support.apiserver import RunningApiServer, start_apiserver
from tests.support.kubelet import AS_UID_1000, GAME, kubelet_program, write_image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Json = dict[str, Any]
NODE = "gamekeeper-local"
PATIENCE_SECONDS = 60.0


@dataclass
class KubeletCluster:
    """An API server, and a kubelet that may be stopped and started.

    Args:
        api: the server.
        folder: has the kubelet's files.
        other_user: whether the kubelet runs as uid 1000.
    """

    api: RunningApiServer
    folder: Path
    other_user: bool
    kubelet: subprocess.Popen[bytes] | None = None
    arguments: list[str] = field(default_factory=list)

    def start_kubelet(self) -> None:
        """Start the kubelet; return once its node is registered."""
        ready = self.folder / "ready"
        ready.unlink(missing_ok=True)
        prefix = AS_UID_1000 if self.other_user else ()
        with (self.folder / "kubelet.log").open("ab") as log:
            self.kubelet = subprocess.Popen(
                [*prefix, *kubelet_program(), *self.arguments, "--ready-file", str(ready)],
                stderr=log,
            )
        until(ready.exists, "the kubelet is ready")

    def stop_kubelet(self, number: int = signal.SIGTERM) -> int:
        """End the kubelet; return its exit code."""
        assert self.kubelet is not None
        self.kubelet.send_signal(number)
        code = self.kubelet.wait(timeout=60)
        self.kubelet = None
        return code

    @property
    def state(self) -> Path:
        """The kubelet's state directory."""
        return self.folder / "state"


def until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE_SECONDS) -> Any:
    """Return the first true value of `condition()`; fail naming `what` when it stays false."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not in {seconds:g} s: {what}"
        time.sleep(0.05)


@contextlib.contextmanager
def running_cluster(
    api_folder: Path, folder: Path, *, other_user: bool = False, grace_seconds: float = 50
) -> Iterator[KubeletCluster]:
    """Start both, with the images `game:1` and `game:2`; end both after."""
    api = start_apiserver(api_folder, options=("--node-grace-seconds", str(grace_seconds)))
    images = {}
    for tag in ("1", "2"):
        description = {
            "command": ["bash", "./start.sh"],
            "workingDir": "/data",
            "env": {"VERSION": tag},
        }
        images[f"game:{tag}"] = write_image(folder / f"game{tag}", description, start_sh=GAME)
    files = {
        "images": json.dumps(images),
        "token-file": api.token,
        "stream-token-file": api.kubelet_token,
        "ca": api.ca_file.read_text(),
    }
    cluster = KubeletCluster(api, folder, other_user)
    cluster.arguments = ["--server", api.url, "--state-directory", str(cluster.state)]
    # A short lease: the kubelet also notices sooner that its node was marked.
    cluster.arguments += ["--lease-seconds", "2"]
    for name, content in files.items():
        (folder / name).write_text(content)
        cluster.arguments += [f"--{name}", str(folder / name)]
    try:
        cluster.start_kubelet()
        yield cluster
    finally:
        code = cluster.stop_kubelet() if cluster.kubelet is not None else 0
        api.stop()
        assert code == 0


class Pods:
    """Pods of one namespace, by kubectl.

    Args:
        api: the server.
        namespace: of the pods.
    """

    def __init__(self, api: RunningApiServer, namespace: str) -> None:
        self.api = api
        self.namespace = namespace

    def kubectl(self, *args: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run kubectl in the namespace."""
        return self.api.kubectl("-n", self.namespace, *args, **options)

    def apply(self, kind: str, name: str, **fields: Any) -> None:
        """Apply an object."""
        body = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, **fields}
        self.kubectl("apply", "-f", "-", input=json.dumps(body))

    def start(self, name: str, *containers: Json, ready: bool = True, **spec: Any) -> None:
        """Apply a pod; wait until it is ready unless told otherwise."""
        spec.setdefault("terminationGracePeriodSeconds", 5)
        metadata = spec.pop("metadata", {})
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, **metadata},
            "spec": {"containers": list(containers), **spec},
        }
        self.kubectl("apply", "-f", "-", input=json.dumps(body))
        if ready:
            self.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")

    def get(self, name: str) -> Json:
        """Return a pod."""
        found: Json = json.loads(self.kubectl("get", "pod", name, "-o", "json").stdout)
        return found

    def container(self, name: str, container: str = "main") -> Json:
        """Return the status of a container; empty before the first report."""
        status = self.get(name)["status"]
        every = [*status.get("containerStatuses", []), *status.get("initContainerStatuses", [])]
        return next((c for c in every if c["name"] == container), {})

    def until(self, name: str, wanted: Callable[[Json], Any], what: str) -> Json:
        """Return the pod once `wanted(pod)` is true."""
        found: Json = until(lambda: _if(self.get(name), wanted), f"{name}: {what}")
        return found

    def shell(self, name: str, script: str, container: str = "main") -> str:
        """Return what a shell in the container prints."""
        return self.kubectl("exec", name, "-c", container, "--", "bash", "-c", script).stdout

    def events(self, name: str) -> set[tuple[str, str]]:
        """Return reason and message of the events about a pod."""
        selector = f"involvedObject.name={name}"
        listed = self.kubectl("get", "events", "--field-selector", selector, "-o", "json").stdout
        return {(e["reason"], e["message"]) for e in json.loads(listed)["items"]}

    def until_event(self, name: str, *expected: tuple[str, str]) -> None:
        """Return once all of these events were recorded."""
        until(lambda: set(expected) <= self.events(name), f"{name} has the events {expected}")


def _if(value: Json, wanted: Callable[[Json], Any]) -> Json | None:
    return value if wanted(value) else None


def shell(script: str, name: str = "main", image: str = "game:1", **fields: Any) -> Json:
    """Return a container that runs a bash script."""
    return {"name": name, "image": image, "command": ["bash", "-c", script], **fields}
