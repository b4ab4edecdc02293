"""Reports accepted per second of processor time: `make bench-intake`. A table, then JSON.

Three servers, each a process of its own, take the same requests on kept-alive connections: a bare
aiohttp handler that reads the body and answers, the same behind TLS, and the report intake behind
TLS with its tokens remembered, every report parsed, admitted, counted for the metrics, in the
ledger and in the history of runs, as in the aggregator. What counts is the
processor time of the server, so that a busy machine changes the figure little; the ratio to the
bare handler of the same run changes least.

The load comes from this process: one connection an agent, one request under way on each, bytes made
beforehand except for the sequence.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import ssl
import statistics
import sys
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from aiohttp import web

from aggregator.caches import Caches
from aggregator.intake.auth import PodIdentity, TokenAuthenticator
from aggregator.intake.routes import IntakePorts, ReportIntake
from aggregator.ledger import Ledger
from aggregator.metrics import Metrics
from aggregator.runtime import tune
from aggregator.status.history import RunHistory
from localcluster.certificates import make_authority
from shared.clock import monotonic_seconds
from shared.protocol.paths import REPORTS_PATH, TOKEN_AUDIENCE
from shared.protocol.probes import ExecAction, ProbeSpec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

AGENTS = 1_000
WARM_UP_REPORTS = 5_000
REPORTS = 10_000
ROUNDS = 5
LIMIT_PER_CORE = 8_000
_ADDRESS = "127.0.0.1"
_START_SECONDS = 30.0
_COUNT = b"9876543210"
_STEPS = os.sysconf("SC_CLK_TCK")


# -- the servers -----------------------------------------------------------------------------------


class _Reviewer:
    """The one call of the API server that the intake makes: whose is this token?"""

    async def create(self, _resource: object, _namespace: str, body: dict[str, Any]) -> Any:
        name = body["spec"]["token"]
        extra = {
            "authentication.kubernetes.io/pod-name": [name],
            "authentication.kubernetes.io/pod-uid": [f"uid-{name}"],
        }
        user = {"username": "system:serviceaccount:games:default", "extra": extra}
        status = {"authenticated": True, "audiences": [TOKEN_AUDIENCE], "user": user}
        return {"status": status}


def _intake() -> ReportIntake:
    probes = (ProbeSpec("idle", "game", exec=ExecAction(("bash", "./idle.sh"))),)

    def probes_for(_identity: PodIdentity) -> tuple[str, tuple[ProbeSpec, ...]]:
        return "r1", probes

    ledger = Ledger(monotonic_seconds(), 10)
    metrics = Metrics(Caches(ledger), lambda: True, lambda: ())
    return ReportIntake(
        IntakePorts(
            authenticate=TokenAuthenticator(_Reviewer()),  # type: ignore[arg-type]
            ledger=ledger,
            probes_for=probes_for,
            on_accepted=lambda _key, _changed: None,
            heartbeat_seconds=10,
            on_report=RunHistory().record,
            count=metrics.count_report,
        )
    )


def _bare() -> web.Application:
    async def handle(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(
            body=b'{"probesRevision":"r1","heartbeatSeconds":10}', content_type="application/json"
        )

    app = web.Application()
    app.router.add_post(REPORTS_PATH, handle)
    return app


async def _serve(name: str, certificate: Path | None) -> None:
    tune()
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    runner: web.BaseRunner = web.AppRunner(_bare(), access_log=None)
    if name == "intake":
        runner = web.ServerRunner(web.Server(_intake().handle, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, _ADDRESS, 0, ssl_context=context).start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


# -- the load --------------------------------------------------------------------------------------


class _Agent(asyncio.Protocol):
    """One connection that sends a report as soon as the one before is answered."""

    def __init__(self, number: int, load: _Load) -> None:
        name = f"game-{number}"
        self._request = _request(name)
        self._load = load
        self._sequence = 0
        self._answer = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - TCP is one
        self.transport = transport
        self._load.connected(self)

    def send(self) -> None:
        self._sequence += 1
        assert self.transport is not None  # noqa: S101 - only called when connected
        # Ten digits always, so that the length of the body does not change. The probes have run
        # again, too, as between two heartbeats.
        count = b"%010d" % (10**9 + self._sequence)
        self.transport.write(self._request.replace(_COUNT, count))

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, separator, body = self._answer.partition(b"\r\n\r\n")
        if not separator or len(body) < _content_length(head):
            return
        if not head.startswith(b"HTTP/1.1 200"):
            self._load.fail(self._answer)
            return
        self._answer = b""
        if self._load.answered():
            self.send()


class _Load:
    """Keeps every agent busy until a number of reports was answered."""

    def __init__(self) -> None:
        self._agents: list[_Agent] = []
        self._left = 0
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connected(self, agent: _Agent) -> None:
        self._agents.append(agent)

    def answered(self) -> bool:
        """Count one answer; tell whether its agent sends another report."""
        self._left -= 1
        if self._left == 0:
            self._done.set_result(None)
        return self._left >= len(self._agents)

    def fail(self, answer: bytes) -> None:
        if not self._done.done():
            self._done.set_exception(RuntimeError(answer.decode(errors="replace")))

    async def run(self, reports: int) -> float:
        """Return how many seconds so many reports took."""
        self._left = reports
        self._done = asyncio.get_running_loop().create_future()
        begin = perf_counter()
        for agent in self._agents:
            agent.send()
        await self._done
        return perf_counter() - begin

    def close(self) -> None:
        for agent in self._agents:
            if agent.transport is not None:
                agent.transport.abort()


def _content_length(head: bytes) -> int:
    return int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])


def _request(name: str) -> bytes:
    """Return a whole request, with the ten digits of `_COUNT` for its sequence and counters."""
    probe = {
        "status": "True",
        "result": "players: 12",
        "exitCode": 0,
        "startedAt": "2026-06-01T12:00:00.123Z",
        "durationSeconds": 0.0123,
        "transitionAt": "2026-06-01T11:00:00.123Z",
        "runs": int(_COUNT),
        "consecutive": int(_COUNT),
    }
    body = {
        "podUid": f"uid-{name}",
        "epoch": 1_780_000_000_000,
        "sequence": int(_COUNT),
        "sentAt": "2026-06-01T12:00:00.456Z",
        "agentVersion": "0.1.0",
        "probesRevision": "r1",
        "containers": [{"name": "game", "running": True, "startedAt": "2026-06-01T11:00:00.123Z"}],
        "probes": [{"name": "idle"} | probe, {"name": "healthy"} | probe],
    }
    text = json.dumps(body, separators=(",", ":"))
    head = (
        f"POST {REPORTS_PATH} HTTP/1.1\r\nHost: {_ADDRESS}\r\nAuthorization: Bearer {name}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
    )
    return f"{head}{text}".encode()


# -- the measurement -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rate:
    """What one server took.

    Attributes:
        per_core: reports per second of the server's processor time.
        per_second: reports per second of the clock; a busy machine lowers it.
    """

    name: str
    per_core: float
    per_second: float


@asynccontextmanager
async def _server(name: str, certificate: Path | None) -> AsyncIterator[tuple[int, int]]:
    """Give the process id and the port of a server for the time of the block."""
    command = [sys.executable, "-m", "benchmarks.intake", "--serve", name]
    if certificate is not None:
        command += ["--certificate", str(certificate)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None  # noqa: S101 - it was asked for
    try:
        async with asyncio.timeout(_START_SECONDS):
            port = int(await process.stdout.readline())
        yield process.pid, port
    finally:
        process.kill()
        await process.wait()


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _STEPS


class _Subject:
    """One running server with all its agents connected."""

    def __init__(self, label: str, pid: int, load: _Load) -> None:
        self._label = label
        self._pid = pid
        self._load = load
        self._rates: list[tuple[float, float]] = []

    async def run(self) -> None:
        """Take one round of reports."""
        begin = _cpu_seconds(self._pid)
        seconds = await self._load.run(REPORTS)
        self._rates.append((REPORTS / (_cpu_seconds(self._pid) - begin), REPORTS / seconds))

    def rate(self) -> Rate:
        """Return the median of the rounds."""
        per_core, per_second = zip(*self._rates, strict=True)
        return Rate(self._label, statistics.median(per_core), statistics.median(per_second))


@asynccontextmanager
async def _subject(
    label: str, name: str, certificate: Path | None, ca_file: Path
) -> AsyncIterator[_Subject]:
    context = None
    if certificate is not None:
        context = ssl.create_default_context(cafile=str(ca_file))
    async with _server(name, certificate) as (pid, port):
        load = _Load()
        loop = asyncio.get_running_loop()
        for number in range(AGENTS):
            await loop.create_connection(
                lambda number=number: _Agent(number, load), _ADDRESS, port, ssl=context
            )
        try:
            await load.run(WARM_UP_REPORTS)
            yield _Subject(label, pid, load)
        finally:
            load.close()


async def measure(folder: Path) -> list[Rate]:
    """Return the rate of each server; their rounds alternate, so that all meet the same machine."""
    authority = make_authority()
    certificate, key = authority.issue("reports", ["localhost"], [_ADDRESS])
    path, ca_file = folder / "reports.crt", folder / "ca.pem"
    path.write_bytes(certificate)
    path.with_suffix(".key").write_bytes(key)
    ca_file.write_bytes(authority.certificate_pem)
    async with (
        _subject("bare handler", "bare", None, ca_file) as bare,
        _subject("bare handler, TLS", "bare", path, ca_file) as tls,
        _subject("report intake, TLS", "intake", path, ca_file) as intake,
    ):
        for _ in range(ROUNDS):
            for subject in (bare, tls, intake):
                await subject.run()
        return [subject.rate() for subject in (bare, tls, intake)]


def _print(rates: list[Rate]) -> bool:
    """Print the table and the JSON; return whether the limit holds."""
    bare = rates[0].per_core
    for rate in rates:
        sys.stdout.write(
            f"{rate.name:20} {rate.per_core:8.0f} /s and core  {rate.per_core / bare:5.2f} of bare"
            f"  {rate.per_second:8.0f} /s by the clock\n"
        )
    holds = rates[-1].per_core >= LIMIT_PER_CORE
    sys.stdout.write(f"limit: {LIMIT_PER_CORE} /s and core{'' if holds else '  NOT KEPT'}\n")
    rows = {rate.name: {"perCore": rate.per_core, "ofBare": rate.per_core / bare} for rate in rates}
    sys.stdout.write(json.dumps(rows | {"limitPerCore": LIMIT_PER_CORE}) + "\n")
    return holds


def main() -> int:
    """Measure and print; return 1 when the limit is not kept."""
    parser = argparse.ArgumentParser(prog="benchmarks.intake", description=__doc__)
    parser.add_argument("--serve", choices=("bare", "intake"), help=argparse.SUPPRESS)
    parser.add_argument("--certificate", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(_serve(options.serve, options.certificate))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        return 0 if _print(asyncio.run(measure(Path(folder)))) else 1


if __name__ == "__main__":
    sys.exit(main())
