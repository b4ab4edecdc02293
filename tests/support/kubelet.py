"""The real kubelet program against a fake API."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.test_utils import TestServer

from tests.support.fake_kubernetes import FakeKubernetes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

Json = dict[str, Any]
STREAM_TOKEN = "stream-secret"
_REPOSITORY = Path(__file__).parents[2]
GAME = "#!/bin/bash\necho hello; echo oops >&2\nsleep 1000 &\nexec sleep 2000\n"


@dataclass
class KubeletUnderTest:
    """A running kubelet and what surrounds it."""

    api: FakeKubernetes
    process: asyncio.subprocess.Process
    folder: Path

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def stream_url(self) -> str:
        status = self.api.nodes["gamekeeper-local"]["status"]
        return f"http://127.0.0.1:{status['daemonEndpoints']['kubeletEndpoint']['Port']}"

    async def logs(self, pod: str, container: str, query: str = "") -> str:
        headers = {"Authorization": f"Bearer {STREAM_TOKEN}"}
        url = f"{self.stream_url}/containerLogs/default/{pod}/{container}?{query}"
        async with aiohttp.ClientSession(headers=headers) as session, session.get(url) as response:
            return await response.text()

    async def execute(
        self,
        pod: str,
        container: str,
        *command: str,
        stdin: bytes | None = None,
        tty: bool = False,
    ) -> tuple[bytes, bytes, Json]:
        """Return stdout, stderr and the final Status."""
        headers = {"Authorization": f"Bearer {STREAM_TOKEN}"}
        query = [("command", word) for word in command]
        query += [("stdin", str(stdin is not None).lower()), ("stdout", "true")]
        query += [("stderr", "true"), ("tty", str(tty).lower())]
        url = f"{self.stream_url}/exec/default/{pod}/{container}"
        streams: dict[int, bytes] = {1: b"", 2: b"", 3: b""}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.ws_connect(url, params=query, protocols=("v5.channel.k8s.io",)) as socket,
        ):
            if stdin is not None:
                await socket.send_bytes(b"\0" + stdin)
                await socket.send_bytes(b"\xff\0")
            async for message in socket:
                streams[message.data[0]] += message.data[1:]
        return streams[1], streams[2], json.loads(streams[3])

    async def shell(self, pod: str, script: str, container: str = "main") -> str:
        """Return what a shell in the container prints, stderr included."""
        out, err, _ = await self.execute(pod, container, "bash", "-c", script)
        return (out + err).decode()


AS_UID_1000 = ("setpriv", "--reuid=1000", "--regid=1000", "--clear-groups")


@contextlib.contextmanager
def folder_of_uid_1000() -> Iterator[Path]:
    """Make a folder that uid 1000 can reach; every start of a pytest closes its own to others."""
    with tempfile.TemporaryDirectory(prefix="kubelet-test-", ignore_cleanup_errors=True) as made:
        os.chown(made, 1000, 1000)
        yield Path(made)


def kubelet_program() -> list[str]:
    """Return the command without its arguments."""
    return [sys.executable, "-m", "localcluster.kubelet"]


def write_image(folder: Path, description: Json, **files: str) -> str:
    """Make an image folder; return its path."""
    folder.mkdir(parents=True)
    (folder / "image.yaml").write_text(json.dumps(description))
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_text(content)
    return str(folder)


@contextlib.asynccontextmanager
async def running_kubelet(
    folder: Path, images: dict[str, str], *, other_user: bool = False
) -> AsyncIterator[KubeletUnderTest]:
    """Start the program with `images`, as uid 1000 if `other_user`; end it after."""
    api = FakeKubernetes()
    server = TestServer(api.application())
    await server.start_server()
    (folder / "images.json").write_text(json.dumps(images))
    (folder / "token").write_text("api-secret")
    (folder / "stream-token").write_text(STREAM_TOKEN)
    arguments = [
        *("--server", str(server.make_url("")).rstrip("/")),
        *("--token-file", str(folder / "token")),
        *("--state-directory", str(folder / "state")),
        *("--images", str(folder / "images.json")),
        *("--stream-token-file", str(folder / "stream-token")),
    ]
    process = await asyncio.create_subprocess_exec(
        *(AS_UID_1000 if other_user else ()),
        *kubelet_program(),
        *arguments,
        cwd=_REPOSITORY,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    try:
        await api.until(lambda: "status" in api.nodes.get("gamekeeper-local", {}), 60)
        yield KubeletUnderTest(api, process, folder)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(60):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
                raise
        await api.drop_watches()
        await server.close()


def condition(pod: Json, kind: str) -> str:
    conditions = pod["status"].get("conditions", [])
    return next((c["status"] for c in conditions if c["type"] == kind), "Missing")


def is_ready(pod: Json) -> bool:
    return condition(pod, "Ready") == "True"


def state_of(pod: Json, container: str) -> Json:
    """Return the `state` of a container; empty before the first status."""
    status = pod["status"]
    every = [*status.get("containerStatuses", []), *status.get("initContainerStatuses", [])]
    return next((c["state"] for c in every if c["name"] == container), {})
