"""What the agent costs in every game pod: `make bench-agent`. Prints a table, then JSON.

Beside it, in the same run, an interpreter that does nothing and a sidecar of asyncio and aiohttp
(agent_comparison.py). Needs root, for the memory of a process that hides it, and util-linux.

How memory is measured: each program gets copies of the files that it maps (interpreter, libraries),
bind-mounted over the originals in a mount namespace of its own, so that nobody else shares their
pages: PSS is then what one such container costs on a node of its own; further ones there share the
clean pages of the files, and cost little more than their private dirty memory. All processes of the
agent count: itself and its exec helper.

How processor time is measured: the scheduler's nanoseconds of the living processes, and the time of
the ended children that the helper has reaped, less what the probed command takes alone. The command
is `true`, because scripts are the game's and not the agent's.
"""

from __future__ import annotations

import json
import os
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.clock import utc_now
from tests.support.pod_sandbox import POD_UID, REPOSITORY, PodSandbox, Privilege, pod_sandbox
from tests.support.report_server import TOKEN, ReportServer, report_server

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

SETTLE_SECONDS = 12.0  # a heartbeat and three runs of each probe
IDLE_SECONDS = 30.0
BUSY_SECONDS = 15.0
STARTS = 5
TICK = 1 / os.sysconf("SC_CLK_TCK")
COMMAND = ["true"]

LIMITS = {  # AGENT-EXEC.md, FOOTPRINT: all processes of the container, two probes at 3 s
    "pss_mib": 20.0,
    "private_dirty_mib": 14.0,
    "idle_mcpu": 5.0,
    "first_probe_ms": 300.0,
}


@dataclass(frozen=True, slots=True)
class Footprint:
    """What one program costs; None where it does not apply.

    `shared_pss_mib` is with the files of the machine, which others of its processes map, too.
    """

    program: str
    rss_mib: float
    pss_mib: float
    shared_pss_mib: float
    private_dirty_mib: float
    idle_mcpu: float
    cpu_ms_per_probe: float | None = None
    first_probe_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Program:
    """How a program is started, and whether it reports."""

    name: str
    command: Sequence[str]
    reports: bool


def probe(number: int, period_seconds: int) -> dict[str, Any]:
    """Return a probe of the list that the agent gets."""
    return {
        "name": f"probe-{number}",
        "containerName": "game",
        "exec": {"command": COMMAND},
        "initialDelaySeconds": 0,
        "periodSeconds": period_seconds,
    }


IDLE_LIST = [probe(number, 3) for number in range(2)]
BUSY_LIST = [probe(number, 1) for number in range(8)]


@contextmanager
def started(
    program: Program, pod: PodSandbox, server: ReportServer, setup: str = ":"
) -> Iterator[int]:
    """Run a program in the pod, after the shell text `setup`; yield its pid."""
    token = pod.folder / "token"
    token.write_text(TOKEN)
    variables = {
        "PYTHONPATH": str(REPOSITORY),
        "GAMEKEEPER_REPORT_URLS": server.url,
        "GAMEKEEPER_CA_FILE": str(server.ca_file),
        "GAMEKEEPER_TOKEN_FILE": str(token),
        "GAMEKEEPER_POD_UID": POD_UID,
        "GAMEKEEPER_STATUS_PORT": "0",
        "PATH": "/usr/bin:/bin",
    }
    words = [f"{name}={value}" for name, value in variables.items()]
    script = f'set -e; {setup}; exec env -i "$@"'
    alone = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]
    process = subprocess.Popen(  # noqa: S603 - the programs are those of this file
        [*pod.enter_command(), *alone, *words, *program.command], stderr=subprocess.DEVNULL
    )
    try:
        yield wait_for_child(process)
    finally:
        for child in children(process.pid):
            os.kill(child, signal.SIGKILL)
        process.wait()


def wait_for_child(process: subprocess.Popen[bytes]) -> int:
    """Return the pid of the program once nsenter has forked it."""
    while not (found := children(process.pid)):
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        time.sleep(0.001)
    return found[0]


def children(pid: int) -> list[int]:
    """Return the children of a process, none when it is gone."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except FileNotFoundError:
        return []
    return [int(word) for word in text.split()]


def mapped_files(pids: Sequence[int]) -> list[str]:
    """Return the files that the processes map."""
    found = set()
    for pid in pids:
        for line in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8").splitlines():
            path = line.split(maxsplit=5)[-1]
            if path.startswith("/") and "(deleted)" not in path:
                found.add(path)
    return sorted(path for path in found if Path(path).is_file())


def private_copies(files: Sequence[str], folder: Path) -> str:
    """Copy files; return shell text that mounts the copies over the originals."""
    lines = []
    for number, name in enumerate(files):
        copy = folder / f"{number}-{Path(name).name}"
        shutil.copy(name, copy)
        with copy.open("rb") as file:
            os.fsync(file.fileno())  # else its pages would be dirty, and count as the program's
        lines.append(f"mount --bind {shlex.quote(str(copy))} {shlex.quote(name)}")
    return "; ".join(lines)


def memory_mib(pids: Sequence[int]) -> tuple[float, float, float]:
    """Return RSS, PSS and private dirty memory of the processes together."""
    sums = {"Rss": 0, "Pss": 0, "Private_Dirty": 0}
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
            name, _, rest = line.partition(":")
            if name in sums:
                sums[name] += int(rest.split()[0])
    return sums["Rss"] / 1024, sums["Pss"] / 1024, sums["Private_Dirty"] / 1024


def cpu_seconds(pids: Sequence[int]) -> float:
    """Return the processor time of the processes and of the children that they have reaped."""
    total = 0.0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += int((task / "schedstat").read_text(encoding="ascii").split()[0]) / 1e9
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        total += (int(fields[13]) + int(fields[14])) * TICK
    return total


def command_seconds() -> float:
    """Return the processor time that the probed command takes by itself."""
    runs = 200
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(runs):
        os.waitpid(os.posix_spawnp(COMMAND[0], COMMAND, {"PATH": "/usr/bin:/bin"}), 0)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / runs


def runs_so_far(server: ReportServer) -> int:
    """Return how many probe runs the last report counts."""
    return sum(entry["runs"] for entry in server.received[-1].body["probes"])


def wait_for_news(server: ReportServer) -> None:
    """Return when one more report has come."""
    seen = len(server.received)
    while len(server.received) == seen:
        time.sleep(0.01)


def first_probe_ms(program: Program, pod: PodSandbox, server: ReportServer) -> float:
    """Return the time from the start of the agent to the start of its first probe.

    The best of several: whatever else the machine does can only add to it.
    """
    times = []
    for _ in range(STARTS):
        server.received.clear()
        server.offer(IDLE_LIST, "r1")
        began: datetime = utc_now()
        with started(program, pod, server):
            server.wait_for(lambda body: any(entry["runs"] for entry in body["probes"]))
        entries = [e for item in server.received for e in item.body["probes"] if e["runs"]]
        at = min(type(began).fromisoformat(entry["startedAt"]) for entry in entries)
        times.append((at - began).total_seconds() * 1000)
    return min(times)


def measure(program: Program, pod: PodSandbox, server: ReportServer) -> Footprint:
    """Return what a program costs with files of its own."""
    server.received.clear()
    server.offer(IDLE_LIST, "r1")
    with started(program, pod, server) as pid:
        settle(program, server)
        everything = own_processes(pid)
        _, shared, _ = memory_mib(everything)
        setup = private_copies(mapped_files(everything), pod.folder)
    server.received.clear()
    with started(program, pod, server, setup) as pid:
        settle(program, server)
        processes = own_processes(pid)
        command = command_seconds() if program.reports else 0.0
        before, at = cpu_seconds(processes), time.monotonic()
        time.sleep(IDLE_SECONDS)
        used, passed = cpu_seconds(processes) - before, time.monotonic() - at
        rss, pss, dirty = memory_mib(processes)
        idle = (used / passed - command * len(IDLE_LIST) / 3.15) * 1000
        busy = None
        if program.name == "agent":
            busy = cpu_per_probe(processes, server, command) * 1000
    return Footprint(program.name, rss, pss, shared, dirty, idle, busy)


def settle(program: Program, server: ReportServer) -> None:
    """Return when a program does what it will do all the time."""
    if program.reports:
        server.wait_for(lambda _body: True)
    time.sleep(SETTLE_SECONDS)


def own_processes(pid: int) -> list[int]:
    """Return a program and, of its children, the agent's helper; not a command that is probed."""
    helper = [child for child in children(pid) if _name(child).startswith("gamekeeper")]
    return [pid, *helper]


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def cpu_per_probe(processes: Sequence[int], server: ReportServer, command: float) -> float:
    """Return the agent's processor time for one run of a probe, the command's own apart."""
    server.offer(BUSY_LIST, "r2", heartbeat=1)
    server.wait_for(lambda body: body["probesRevision"] == "r2", timeout=30)
    wait_for_news(server)
    runs, before = runs_so_far(server), cpu_seconds(processes)
    time.sleep(BUSY_SECONDS)
    wait_for_news(server)
    return (cpu_seconds(processes) - before) / (runs_so_far(server) - runs) - command


_HEADS = ("RSS MiB", "PSS", "PSS, shared", "private dirty", "idle mCPU", "ms CPU/probe")


def table(rows: Sequence[Footprint]) -> str:
    """Return the rows for people; what does not apply is a dash."""
    lines = [_line("program", (*_HEADS, "first probe ms"))]
    for row in rows:
        name, *values = asdict(row).values()
        lines.append(_line(name, ["-" if value is None else f"{value:.2f}" for value in values]))
    _, *names = asdict(rows[0])
    limits = [f"{LIMITS[name]:.2f}" if name in LIMITS else "" for name in names]
    return "\n".join([*lines, _line("limit of the agent", limits)])


def _line(first: str, cells: Sequence[str]) -> str:
    return f"{first:20}" + "".join(f"{cell:>16}" for cell in cells)


def main() -> int:
    """Measure and print; return 1 when a limit is not kept."""
    if os.geteuid() != 0:
        sys.stderr.write("bench-agent needs root: the agent hides its memory from everybody else\n")
        return 2
    programs = (
        Program("empty python", (sys.executable, "-c", "import signal; signal.pause()"), False),
        # As its image starts it: without docstrings and site-packages.
        Program("agent", (sys.executable, "-OO", "-S", "-m", "agent"), True),
        Program("asyncio + aiohttp", (sys.executable, "-m", "benchmarks.agent_comparison"), True),
    )
    agent = programs[1]
    with pod_sandbox(Privilege.ROOT) as pod, report_server(pod.folder, []) as server:
        pod.start_container("game")
        rows = [measure(program, pod, server) for program in programs]
        start = first_probe_ms(agent, pod, server)
    measured = {**asdict(rows[1]), "first_probe_ms": start}
    rows[1] = Footprint(**measured)
    sys.stdout.write(f"{table(rows)}\n{json.dumps([asdict(row) for row in rows])}\n")
    broken = [name for name, limit in LIMITS.items() if measured[name] > limit]
    for name in broken:
        sys.stdout.write(f"NOT KEPT: {name} is {measured[name]:.2f}, not {LIMITS[name]:g}\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
