"""Runs what probes and lifecycle hooks name: a command, an HTTP request, a connection, a pause.

Not here: when and how often (prober.py, container.py). Not pure.
Source: Kubernetes API reference, ProbeHandler and LifecycleHandler; the HTTP rules are those of
pkg/probe/http: no certificate is checked, no connection is kept, a redirect to another host is the
end and a success, 200 to 399 is a success, ten KiB of the answer are looked at.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

from localcluster.kubelet.launcher_client import LauncherClient, LaunchError, Process
from localcluster.kubelet.messages import Execute

if TYPE_CHECKING:
    from localcluster.kubelet.fields import Json
    from localcluster.kubelet.messages import Program

_MOST_OUTPUT = 10 << 10
_READ_BYTES = 1 << 14
_MOST_REDIRECTS = 10
_USER_AGENT = "kube-probe/1.36"


class HandlerError(Exception):
    """The handler could not be run at all, so its outcome says nothing about the container."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a handler ended; `message` is what events show of a failure."""

    success: bool
    message: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """A running container.

    Args:
        spec: of the container; its ports have the names.
        process: its main process.
        program: gives exec'd processes their environment, user and folder.
    """

    spec: Json
    process: Process
    program: Program


class HandlerRunner:
    """Runs the handlers of one pod.

    Args:
        launcher: starts commands.
        session: for HTTP; see `probe_session`.
        pod_ip: where ports are, unless a handler names a host.
    """

    def __init__(
        self, launcher: LauncherClient, session: aiohttp.ClientSession, pod_ip: str
    ) -> None:
        self._launcher = launcher
        self._session = session
        self._pod_ip = pod_ip

    async def run(self, handler: Json, target: Target, timeout_seconds: float) -> Outcome:
        """Run a handler to its end or to the time-out, which is a failure.

        Raises:
            HandlerError: it cannot be run; the message says why.
        """
        if "exec" in handler:
            return await self._exec(handler["exec"].get("command") or [], target, timeout_seconds)
        if "httpGet" in handler:
            return await self._http(handler["httpGet"], target, timeout_seconds)
        if "tcpSocket" in handler:
            return await self._tcp(handler["tcpSocket"], target, timeout_seconds)
        if "sleep" in handler:
            await asyncio.sleep(float(handler["sleep"].get("seconds") or 0))
            return Outcome(success=True)
        if "grpc" in handler:
            return await self._grpc(handler["grpc"], target, timeout_seconds)
        raise HandlerError("no handler; want exec, httpGet, tcpSocket or grpc")

    async def _exec(self, command: list[str], target: Target, timeout_seconds: float) -> Outcome:
        if not command:
            raise HandlerError("exec without a command")
        output = _Output()
        program = target.program._replace(argv=tuple(command), terminal=False)
        null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        try:
            stdio = [null, output.write_end, output.write_end]
            process = await self._launcher.execute(Execute(target.process.pid, program), stdio)
        except LaunchError as failure:
            output.close()
            raise HandlerError(str(failure)) from failure
        finally:
            os.close(null)
            output.close_write_end()
        try:
            async with asyncio.timeout(timeout_seconds):
                code = await process.wait()
        except TimeoutError:
            shown = shlex.join(command)
            said = f'command timed out: "{shown}" timed out after {timeout_seconds:g}s'
            return Outcome(success=False, message=said)
        finally:
            # Also when the waiter was cancelled: no command outlives the one who asked for it.
            await self._launcher.signal(process, signal.SIGKILL)
            printed = output.close()
        return Outcome(success=code == 0, message=printed)

    async def _http(self, action: Json, target: Target, timeout_seconds: float) -> Outcome:
        scheme = (action.get("scheme") or "HTTP").lower()
        port = _port(action.get("port"), target.spec)
        host = action.get("host") or self._pod_ip
        path = "/" + (action.get("path") or "").removeprefix("/")
        url = URL(f"{scheme}://{host}:{port}{path}")
        headers = {"User-Agent": _USER_AGENT, "Accept": "*/*"}
        headers |= {h["name"]: h.get("value", "") for h in action.get("httpHeaders") or []}
        try:
            async with asyncio.timeout(timeout_seconds):
                return await self._follow(url, headers)
        except TimeoutError:
            return Outcome(success=False, message=f'Get "{url}": no answer in {timeout_seconds:g}s')
        except (aiohttp.ClientError, ValueError) as error:
            return Outcome(success=False, message=f'Get "{url}": {error}')

    async def _follow(self, url: URL, headers: dict[str, str]) -> Outcome:
        first = url
        for _ in range(_MOST_REDIRECTS + 1):
            request = self._session.get(url, headers=headers, allow_redirects=False, ssl=False)
            async with request as response:
                await response.content.read(_MOST_OUTPUT)
                location = response.headers.get("Location")
                if location is None or not 300 <= response.status < 400:
                    success = 200 <= response.status < 400
                    said = (
                        "" if success else f"HTTP probe failed with statuscode: {response.status}"
                    )
                    return Outcome(success, said)
                url = url.join(URL(location))
                if url.host != first.host:
                    return Outcome(success=True)
        return Outcome(success=False, message=f"stopped after {_MOST_REDIRECTS} redirects")

    async def _tcp(self, action: Json, target: Target, timeout_seconds: float) -> Outcome:
        port = _port(action.get("port"), target.spec)
        host = action.get("host") or self._pod_ip
        try:
            async with asyncio.timeout(timeout_seconds):
                _, writer = await asyncio.open_connection(host, port)
        except TimeoutError:
            return Outcome(success=False, message=f"dial tcp {host}:{port}: i/o timeout")
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            return Outcome(success=False, message=f"dial tcp {host}:{port}: {why}")
        writer.close()
        return Outcome(success=True)

    async def _grpc(self, action: Json, target: Target, timeout_seconds: float) -> Outcome:
        from localcluster.kubelet.grpc_probe import ask_health

        port = _port(action.get("port"), target.spec)
        address = f"{self._pod_ip}:{port}"
        health = await ask_health(address, action.get("service") or "", timeout_seconds)
        return Outcome(health.serving, health.message)


def probe_session() -> aiohttp.ClientSession:
    """Return a session that keeps no connection and no cookie."""
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())


def _port(port: object, container: Json) -> int:
    if isinstance(port, str) and not port.isdigit():
        named = [p for p in container.get("ports") or [] if p.get("name") == port]
        if not named:
            raise HandlerError(f"couldn't find port: {port}")
        return int(named[0]["containerPort"])
    if not isinstance(port, int | str) or not 0 < int(port) < 1 << 16:
        raise HandlerError(f"invalid port number: {port}")
    return int(port)


class _Output:
    """A pipe whose reader keeps the first bytes and drops the rest, so that no writer blocks."""

    def __init__(self) -> None:
        self._read_end, self.write_end = os.pipe()
        self._kept = b""
        os.set_blocking(self._read_end, False)
        asyncio.get_running_loop().add_reader(self._read_end, self._take)

    def close_write_end(self) -> None:
        """Leave the writing to the process that has a copy."""
        os.close(self.write_end)

    def close(self) -> str:
        """Return what was printed so far, as text; later output goes nowhere."""
        while self._take():
            pass
        asyncio.get_running_loop().remove_reader(self._read_end)
        os.close(self._read_end)
        return self._kept.decode(errors="replace")

    def _take(self) -> bool:
        try:
            content = os.read(self._read_end, _READ_BYTES)
        except BlockingIOError:
            return False
        if not content:
            # The end is readable for ever: without this the loop would spin.
            asyncio.get_running_loop().remove_reader(self._read_end)
        self._kept = (self._kept + content)[:_MOST_OUTPUT]
        return bool(content)
