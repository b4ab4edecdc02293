"""Logs and exec through the real kubectl, with a kubelet that is a fake in this test."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import termios
from typing import TYPE_CHECKING

import pytest
from aiohttp import WSMsgType, web

from tests.support.apiserver import RunningApiServer, kubectl_program

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [pytest.mark.component, pytest.mark.timeout(30)]

POD = """
apiVersion: v1
kind: Pod
metadata:
  name: game
  annotations: {kubectl.kubernetes.io/default-container: main}
spec:
  nodeName: node-1
  initContainers: [{name: agent, image: agent:1, restartPolicy: Always}]
  containers: [{name: other, image: game:1}, {name: main, image: game:1}]
"""


class FakeKubelet:
    """Answers as the kubelet's streaming server and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, list[tuple[str, str]], str]] = []
        self.release = asyncio.Event()
        self.left = asyncio.Event()

    def _remember(self, request: web.Request) -> None:
        token = request.headers.get("Authorization", "")
        self.asked.append((request.path, list(request.query.items()), token))

    async def logs(self, request: web.Request) -> web.StreamResponse:
        self._remember(request)
        if request.match_info["container"] == "agent":
            return web.Response(status=400, text='previous terminated container "agent" not found')
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"first\n")
        if request.query.get("follow") == "true":
            await self.release.wait()
        await response.write(b"last\n")
        return response

    async def execute(self, request: web.Request) -> web.StreamResponse:
        self._remember(request)
        if request.query["command"] == "fail":
            return web.Response(status=400, text="container not found")
        socket = web.WebSocketResponse(protocols=("v5.channel.k8s.io",))
        await socket.prepare(request)
        command = request.query.getall("command")
        if command[0] == "hang":
            await socket.send_bytes(b"\x01started\n")
            assert (await socket.receive()).type in (WSMsgType.CLOSE, WSMsgType.CLOSED)
            self.left.set()
            return socket
        if command[0] == "size":
            # Channel 4 carries the size of the terminal.
            size = (await socket.receive()).data
            await socket.send_bytes(b"\x01" + size)
        elif command[0] == "cat":
            async for message in socket:
                assert message.type is WSMsgType.BINARY
                if message.data == b"\xff\x00":  # stdin is closed
                    break
                await socket.send_bytes(b"\x01" + message.data[1:])
        else:
            await socket.send_bytes(b"\x01out\n")
            await socket.send_bytes(b"\x02err\n")
        await socket.send_bytes(b"\x03" + json.dumps(_exit_status(command)).encode())
        await socket.close()
        return socket


def _exit_status(command: list[str]) -> dict[str, object]:
    if command[0] != "exit":
        return {"metadata": {}, "status": "Success"}
    causes = [{"reason": "ExitCode", "message": command[1]}]
    return {
        "metadata": {},
        "status": "Failure",
        "reason": "NonZeroExitCode",
        "message": f"command terminated with exit code {command[1]}",
        "details": {"causes": causes},
    }


def set_status(server: RunningApiServer, status: object) -> None:
    """Merge `status` into the node."""
    patch = json.dumps({"status": status})
    server.kubectl("patch", "node/node-1", "--subresource=status", "--type=merge", "-p", patch)


@pytest.fixture
async def kubelet(apiserver: RunningApiServer) -> AsyncIterator[FakeKubelet]:
    """A node with a kubelet, and a pod on it."""
    fake = FakeKubelet()
    app = web.Application()
    app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", fake.logs)
    app.router.add_get("/exec/{namespace}/{pod}/{container}", fake.execute)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "node-1"},
        "status": {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": runner.addresses[0][1]}},
        },
    }
    apiserver.kubectl("create", "-f", "-", input=json.dumps(node))
    apiserver.kubectl("create", "-f", "-", input=POD)
    yield fake
    fake.release.set()
    await runner.cleanup()


async def _kubectl(
    server: RunningApiServer, *args: str, stdin: bytes | None = None
) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        kubectl_program(),
        *args,
        env=server.environment(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(stdin)
    return process.returncode, out.decode(), err.decode()


async def test_logs_come_from_the_default_container_with_the_kubelet_token(
    apiserver: RunningApiServer, kubelet: FakeKubelet
) -> None:
    assert await _kubectl(apiserver, "logs", "game", "--tail=5") == (0, "first\nlast\n", "")
    assert kubelet.asked == [
        (
            "/containerLogs/default/game/main",
            [("tailLines", "5")],
            f"Bearer {apiserver.kubelet_token}",
        )
    ]


async def test_logs_of_a_named_container_show_the_kubelet_s_refusal(
    apiserver: RunningApiServer, kubelet: FakeKubelet
) -> None:
    code, out, err = await _kubectl(apiserver, "logs", "game", "-c", "agent", "--previous")
    assert (code, out) == (1, "")
    assert err == (
        'Error from server (BadRequest): previous terminated container "agent" not found\n'
    )
    assert kubelet.asked[0][:2] == ("/containerLogs/default/game/agent", [("previous", "true")])


async def test_followed_logs_arrive_while_the_kubelet_still_writes(
    apiserver: RunningApiServer, kubelet: FakeKubelet
) -> None:
    process = await asyncio.create_subprocess_exec(
        kubectl_program(),
        *("logs", "-f", "game"),
        env=apiserver.environment(),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"first\n"
    kubelet.release.set()
    assert await process.stdout.read() == b"last\n"
    assert await process.wait() == 0


async def test_exec_passes_output_and_words_with_spaces(
    apiserver: RunningApiServer, kubelet: FakeKubelet
) -> None:
    done = await _kubectl(apiserver, "exec", "game", "-c", "other", "--", "say", "a b", "c")
    assert done == (0, "out\n", "err\n")
    path, query, token = kubelet.asked[0]
    assert path == "/exec/default/game/other"
    assert [value for name, value in query if name == "command"] == ["say", "a b", "c"]
    assert token == f"Bearer {apiserver.kubelet_token}"


async def test_exec_passes_stdin_and_its_end(
    apiserver: RunningApiServer, kubelet: FakeKubelet
) -> None:
    done = await _kubectl(apiserver, "exec", "-i", "game", "--", "cat", stdin=b"hello\n")
    assert done == (0, "hello\n", "")


async def test_exec_passes_the_exit_code(apiserver: RunningApiServer, kubelet: FakeKubelet) -> None:
    code, out, err = await _kubectl(apiserver, "exec", "game", "--", "exit", "7")
    assert (code, out) == (7, "out\n")
    assert err.splitlines() == ["err", "command terminated with exit code 7"]


@pytest.mark.parametrize(
    ("args", "error"),
    [
        pytest.param(
            ("logs", "game", "-c", "nobody"),
            "error: container nobody is not valid for pod game out of: other, main, agent (init)\n",
            id="unknown-container",
        ),
        pytest.param(
            ("exec", "absent", "--", "true"),
            'Error from server (NotFound): pods "absent" not found\n',
            id="unknown-pod",
        ),
        pytest.param(
            ("exec", "game", "--", "fail"),
            "error: unable to upgrade connection: container main in pod game is not running\n",
            id="container-not-running",
        ),
    ],
)
async def test_what_cannot_be_streamed_is_refused_with_a_clear_line(
    apiserver: RunningApiServer, kubelet: FakeKubelet, args: tuple[str, ...], error: str
) -> None:
    assert await _kubectl(apiserver, *args) == (1, "", error)


async def test_a_kubelet_that_is_away_is_a_503(
    apiserver: RunningApiServer, kubelet: FakeKubelet
) -> None:
    set_status(apiserver, {"daemonEndpoints": {"kubeletEndpoint": {"Port": 1}}})
    code, out, err = await _kubectl(apiserver, "logs", "game")
    assert (code, out) == (1, "")
    assert "the kubelet at http://127.0.0.1:1 is away" in err


async def test_a_client_that_goes_away_ends_the_exec_at_the_kubelet(
    apiserver: RunningApiServer, kubelet: FakeKubelet
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(kubectl_program(), "exec", "game", "--", "hang"),
        env=apiserver.environment(),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"started\n"
    process.kill()
    await asyncio.wait_for(kubelet.left.wait(), 30)
    await process.wait()


async def test_exec_with_a_terminal_passes_its_size(
    apiserver: RunningApiServer, kubelet: FakeKubelet
) -> None:
    terminal, inside = pty.openpty()
    termios.tcsetwinsize(terminal, (31, 97))
    process = await asyncio.create_subprocess_exec(
        *(kubectl_program(), "exec", "-it", "game", "--", "size"),
        env=apiserver.environment(),
        stdin=inside,
        stdout=inside,
    )
    try:
        assert await asyncio.wait_for(process.wait(), 60) == 0
        out = os.read(terminal, 4096)
    finally:
        os.close(terminal)
        os.close(inside)
    assert json.loads(out[out.index(b"{") :]) == {"Width": 97, "Height": 31}
    assert ("tty", "true") in kubelet.asked[0][1]


async def test_an_open_exec_does_not_hold_up_the_end_of_the_server(
    apiserver: RunningApiServer, kubelet: FakeKubelet
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(kubectl_program(), "exec", "game", "--", "hang"),
        env=apiserver.environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    await process.stdout.readline()
    # The exec would last for ever.
    apiserver.process.terminate()
    assert await asyncio.to_thread(apiserver.process.wait, 30) == 0
    await process.communicate()
