"""Logs and exec over HTTP and WebSocket."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import pytest

from tests.support.kubelet import STREAM_TOKEN, KubeletUnderTest, is_ready

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [
    pytest.mark.component,
    pytest.mark.timeout(30),
    pytest.mark.asyncio(loop_scope="module"),
]


@pytest.fixture
def kubelet(shared_kubelet: KubeletUnderTest) -> KubeletUnderTest:
    """One kubelet for the whole module: its tests leave it as they found it."""
    return shared_kubelet


async def start(kubelet: KubeletUnderTest, *command: str) -> None:
    container = {"name": "main", "image": "game"}
    if command:
        container["command"] = list(command)  # type: ignore[assignment]
    await kubelet.api.create_pod("game-0", {"containers": [container]})
    await kubelet.api.until_pod("game-0", is_ready)


@pytest.mark.parametrize("token", ["", "Bearer wrong", STREAM_TOKEN])
async def test_a_caller_without_the_token_is_refused(kubelet: KubeletUnderTest, token: str) -> None:
    url = f"{kubelet.stream_url}/containerLogs/default/game-0/main"
    async with (
        aiohttp.ClientSession() as session,
        session.get(url, headers={"Authorization": token}) as response,
    ):
        assert response.status == 401


async def test_logs_hold_both_streams(kubelet: KubeletUnderTest) -> None:
    await start(kubelet, "bash", "-c", "echo one; echo two >&2; printf three; exec sleep 1000")

    followed = await until_log(kubelet, "")

    assert sorted(followed.splitlines()) == ["one", "two"]
    assert (await kubelet.logs("game-0", "main", "tailLines=1")).splitlines()[-1] in ("one", "two")
    assert await kubelet.logs("game-0", "main", "tailLines=0") == ""
    stamped = await kubelet.logs("game-0", "main", "timestamps=true")
    assert all(line[:2] == "20" and line[26] == "Z" for line in stamped.splitlines())


async def until_log(kubelet: KubeletUnderTest, query: str) -> str:
    while len((text := await kubelet.logs("game-0", "main", query)).splitlines()) < 2:
        await asyncio.sleep(0.02)
    return text


async def test_following_logs_ends_with_the_container(kubelet: KubeletUnderTest) -> None:
    script = "echo begin; until [ -e /tmp/go ]; do sleep 0.02; done; echo -n end"
    await start(kubelet, "bash", "-c", script)

    async with asyncio.TaskGroup() as tasks:
        followed = tasks.create_task(kubelet.logs("game-0", "main", "follow=true"))
        await kubelet.shell("game-0", "touch /tmp/go")

    assert followed.result() == "begin\nend"
    while "begin" not in (previous := await kubelet.logs("game-0", "main", "previous=true")):
        await asyncio.sleep(0.02)
    assert previous == "begin\nend"


async def test_an_unknown_container_is_a_clear_404(kubelet: KubeletUnderTest) -> None:
    await start(kubelet)

    assert await kubelet.logs("game-0", "other") == 'container not found ("other")'
    assert await kubelet.logs("game-9", "main") == 'pod "game-9" not found on this node'


@pytest.mark.parametrize(
    ("script", "out", "err", "code"),
    [
        pytest.param("echo a; echo b >&2", b"a\n", b"b\n", 0, id="success"),
        pytest.param("echo a; exit 42", b"a\n", b"", 42, id="exit code"),
        pytest.param("kill -9 $$", b"", b"", 137, id="killed by a signal"),
        pytest.param("sleep 1000 & echo a", b"a\n", b"", 0, id="background job keeps stdout"),
        pytest.param("head -c 1000000 /dev/zero | tr '\\0' x", b"x" * 1000000, b"", 0, id="large"),
    ],
)
async def test_exec_returns_output_and_exit_code(
    kubelet: KubeletUnderTest, script: str, out: bytes, err: bytes, code: int
) -> None:
    await start(kubelet)

    stdout, stderr, status = await kubelet.execute("game-0", "main", "bash", "-c", script)

    expected = {"metadata": {}, "status": "Success"}
    if code:
        expected = {
            "metadata": {},
            "status": "Failure",
            "reason": "NonZeroExitCode",
            "message": f"command terminated with non-zero exit code: exit status {code}",
            "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
        }  # type: ignore[dict-item]
    assert (stdout, stderr, status) == (out, err, expected)


async def test_exec_carries_stdin_to_its_end(kubelet: KubeletUnderTest) -> None:
    await start(kubelet)

    out, _, status = await kubelet.execute("game-0", "main", "wc", "-c", stdin=b"x" * 300_000)

    assert (out, status["status"]) == (b"300000\n", "Success")


async def test_exec_of_a_missing_command_says_so(kubelet: KubeletUnderTest) -> None:
    await start(kubelet)

    _, _, status = await kubelet.execute("game-0", "main", "no-such-tool")

    assert status["message"] == (
        'Internal error occurred: exec: "no-such-tool": executable file not found in $PATH'
    )


async def test_exec_runs_as_the_container_does(kubelet: KubeletUnderTest) -> None:
    await start(kubelet)

    shown = await kubelet.shell("game-0", "echo $MODE; pwd; grep PPid /proc/$$/status")

    assert shown == "x\n/data\nPPid:\t0\n"


class Terminal:
    """An interactive shell in the container."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.shown = b""

    async def type(self, text: str) -> None:
        await self.socket.send_bytes(b"\0" + text.encode())

    async def until(self, text: str) -> str:
        while text.encode() not in self.shown:
            message = await self.socket.receive(timeout=60)
            assert message.type is aiohttp.WSMsgType.BINARY, self.shown
            if message.data[0] == 1:
                self.shown += message.data[1:]
        shown, self.shown = self.shown, b""
        return shown.decode()


@asynccontextmanager
async def open_terminal(kubelet: KubeletUnderTest) -> AsyncIterator[Terminal]:
    """Give a shell on a terminal; leaving the block closes the connection."""
    headers = {"Authorization": f"Bearer {STREAM_TOKEN}"}
    query = "command=/bin/bash&command=--norc&stdin=true&stdout=true&tty=true"
    url = f"{kubelet.stream_url}/exec/default/game-0/main?{query}"
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.ws_connect(url, protocols=("v5.channel.k8s.io",)) as socket,
    ):
        yield Terminal(socket)


async def test_an_interactive_shell_and_the_job_it_leaves(kubelet: KubeletUnderTest) -> None:
    await start(kubelet)
    async with open_terminal(kubelet) as terminal:
        await terminal.socket.send_bytes(b'\x04{"Width":101,"Height":37}')
        await terminal.type("tty; stty size; echo $TERM; echo do''ne\r")
        shown = await terminal.until("done")
        assert "/dev/pts/0" in shown
        assert "37 101" in shown
        assert "xterm" in shown
        await terminal.type("sleep 4321 &\r")
        await terminal.until("[1]")
        await terminal.type("sleep 5432\r")
        # A + in its state: it has the terminal, so the interrupt goes to it and not to the shell.
        foreground = "until ps -eo stat,args | grep -q '+.*[s]leep 5432'; do sleep 0.02; done"
        await kubelet.shell("game-0", foreground)
        await terminal.type("\x03echo inter''rupted\r")
        await terminal.until("interrupted")
        await terminal.type("exit 3\r")
        last = b""
        async for message in terminal.socket:
            last = message.data

    assert last[0] == 3
    assert b'"message": "3"' in last
    assert (
        await kubelet.shell("game-0", "ps -eo ppid,args | grep '[s]leep 4321'")
        == "      1 sleep 4321\n"
    )
    assert "5432" not in await kubelet.shell("game-0", "ps -eo args")


async def test_a_client_that_leaves_hangs_up_its_terminal(kubelet: KubeletUnderTest) -> None:
    await start(kubelet)
    async with open_terminal(kubelet) as terminal:
        await terminal.type("echo he''re\r")
        await terminal.until("here")

    gone = "while ps -eo args | grep -q '^/bin/bash --nor[c]'; do sleep 0.02; done; echo gone"
    assert await kubelet.shell("game-0", gone) == "gone\n"
