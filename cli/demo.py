"""`gamekeeper demo`: the seeds' scenario on a local cluster, every table checked.

Everything is done with the real kubectl, as a person would: apply, exec into a terminal, scale,
patch. A step passes when `kubectl get gs` prints exactly the expected columns; rows that pass by
quickly, such as Deleting, must have been printed by `kubectl get gs --watch`.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import signal
import sys
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import shared
from cli.cluster import gamekeeper_cluster
from cli.kubectl import Kubectl
from cli.manifests import find_images
from cli.terminal import open_terminal
from localcluster.cluster import ClusterOptions
from shared.clock import monotonic_seconds
from shared.errors import InvalidInput, TerminalError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from cli.kubectl import Table
    from cli.terminal import Terminal

_EXAMPLE = Path(next(iter(shared.__path__))).parent / "examples" / "minecraft" / "minecraft.yaml"
_COLUMNS = ("NAME", "STATE", "OPSSTATE", "DP", "UP", "AGE")
_STEP_SECONDS = 90.0
_POLL_SECONDS = 0.2

Row = tuple[str, str, str, str]
READY: Row = ("Ready", "None", "0", "0")


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do, and the table it must lead to.

    Attributes:
        servers: STATE, OPSSTATE, DP and UP of each server, by id, once it is done.
        passing: rows that must have been shown on the way.
    """

    title: str
    act: Callable[[], Awaitable[None]]
    servers: Mapping[int, Row]
    passing: Mapping[int, Row] = field(default_factory=dict)


class StepFailed(Exception):  # noqa: N818 - the outcome of a step, not a defect
    """A step did not lead to its table; the message shows both."""


def parse_watched(text: str) -> set[tuple[str, Row]]:
    """Return every row that `kubectl get gs --watch` has printed, whatever came after it."""
    rows = set()
    for line in text.splitlines():
        match line.split():
            case [name, state, ops_state, deletion, update, _age]:
                rows.add((name, (state, ops_state, deletion, update)))
            case _:
                pass
    return rows


class Demo:
    """The scenario, against one cluster.

    Args:
        kubectl: its current namespace is empty.
        manifest: of the set `minecraft`.
        step_seconds: how long each step may take.
    """

    def __init__(
        self, kubectl: Kubectl, manifest: Path, step_seconds: float = _STEP_SECONDS
    ) -> None:
        self._kubectl = kubectl
        self._manifest = manifest
        self._step_seconds = step_seconds
        # The output of the watch: a file without a name, which leaves nothing behind.
        self._watched = tempfile.TemporaryFile("w+b")  # noqa: SIM115 - it lives as long as the demo

    def steps(self) -> list[Step]:
        """Return the scenario of the issue: the first seed, then the order of the second."""
        gate = ("Ready", "GateMaintaining", "0", "0")
        data = ("Ready", "DataMaintaining", "0", "0")
        preferred = ("Ready", "None", "10", "0")
        marked = ("Ready", "WaitToBeDeleted", "0", "0")
        return [
            Step("three servers", self._apply, _ready(0, 1, 2)),
            Step("gate killed in minecraft-0", self._kill(0, "gate"), _ready(1, 2) | {0: gate}),
            Step("data killed in minecraft-1", self._kill(1, "data"), {0: gate, 1: data, 2: READY}),
            Step("both started again by hand", self._mend, _ready(0, 1, 2)),
            Step("scale to 5", self._scale(5), _ready(0, 1, 2, 3, 4)),
            Step(
                "deletionPriority 10 on minecraft-2",
                self._patch(2, {"deletionPriority": 10}),
                _ready(0, 1, 3, 4) | {2: preferred},
            ),
            Step(
                "scale to 4: minecraft-2 goes",
                self._scale(4),
                _ready(0, 1, 3, 4),
                {2: ("Deleting", "None", "10", "0")},
            ),
            Step(
                "minecraft-3 waits to be deleted",
                self._patch(3, {"opsState": "WaitToBeDeleted"}),
                _ready(0, 1, 4) | {3: marked},
            ),
            Step(
                "scale to 3: minecraft-3 goes",
                self._scale(3),
                _ready(0, 1, 4),
                {3: ("Deleting", "WaitToBeDeleted", "0", "0")},
            ),
            Step("scale to 5: 2 and 3 return", self._scale(5), _ready(0, 1, 2, 3, 4)),
            Step(
                "ids 3 and 4 reserved: 5 and 6 come",
                self._reserve(3, 4),
                _ready(0, 1, 2, 5, 6),
                dict.fromkeys((3, 4), ("Deleting", "None", "0", "0")),
            ),
        ]

    async def run(self) -> None:
        """Do all steps.

        Raises:
            StepFailed: one did not lead to its table.
        """
        async with self._watching():
            for number, step in enumerate(self.steps(), start=1):
                started = monotonic_seconds()
                print(f"\n# {number}. {step.title}", flush=True)
                await step.act()
                table = await self._settle(step)
                for id_, row in step.passing.items():
                    print(f"  on the way: minecraft-{id_} {' '.join(row)}")
                print("$ kubectl get gs")
                print(table.text.rstrip())
                if number == 1:
                    await self._check_pods()
                print(f"ok after {monotonic_seconds() - started:.1f} s", flush=True)
        await self._print_latencies()

    async def _settle(self, step: Step) -> Table:
        """Return the table once it is as expected."""
        expected = {f"minecraft-{id_}": row for id_, row in step.servers.items()}
        passing = {(f"minecraft-{id_}", row) for id_, row in step.passing.items()}
        deadline = monotonic_seconds() + self._step_seconds
        while True:
            table = await self._kubectl.table("get", "gs")
            actual = {name: cells[:4] for name, cells in table.rows.items()}
            missed = passing - self._seen()
            if table.columns == _COLUMNS and actual == expected and not missed:
                return table
            if monotonic_seconds() > deadline:
                shown = "\n".join(f"  {name} {' '.join(row)}" for name, row in expected.items())
                never = "".join(f"\n  never shown: {name} {' '.join(row)}" for name, row in missed)
                raise StepFailed(f"{step.title}\nexpected\n{shown}{never}\nactual\n{table.text}")
            await asyncio.sleep(_POLL_SECONDS)

    async def _check_pods(self) -> None:
        """Check what the seed prints of the pods; the agent is a native sidecar, so 2/2."""
        table = await self._kubectl.table("get", "po")
        expected = {f"minecraft-{id_}": ("2/2", "Running", "0") for id_ in range(3)}
        if {name: cells[:3] for name, cells in table.rows.items()} != expected:
            raise StepFailed(f"the pods should be {expected}\nactual\n{table.text}")
        print(f"$ kubectl get po\n{table.text.rstrip()}")

    async def _apply(self) -> None:
        await self._do("apply", "-f", str(self._manifest))

    async def _do(self, *arguments: str) -> None:
        """Run kubectl and show the call as a person would type it."""
        print(f"$ kubectl {shlex.join(arguments)}", flush=True)
        print((await self._kubectl.run(*arguments)).rstrip(), flush=True)

    def _kill(self, id_: int, helper: str) -> Callable[[], Awaitable[None]]:
        async def act() -> None:
            async with self._shell(id_) as shell:
                shell.type("ps -ef; echo ps ended: $?")
                screen = await shell.read_until(r"ps ended: \d")
                row = re.search(rf"^\S+ +(\d+) .*[.]/{helper}[.]sh$", screen, re.MULTILINE)
                if row is None:
                    raise StepFailed(f"ps shows no {helper}.sh in minecraft-{id_}:\n{screen}")
                self._show(id_, row[0], f"kill -9 {row[1]}")
                shell.type(f"kill -9 {row[1]}")

        return act

    async def _mend(self) -> None:
        for id_, helper in ((0, "gate"), (1, "data")):
            async with self._shell(id_) as shell:
                self._show(id_, f"bash ./{helper}.sh &")
                shell.type(f"bash ./{helper}.sh &")

    @asynccontextmanager
    async def _shell(self, id_: int) -> AsyncIterator[Terminal]:
        command = self._kubectl.command("exec", "-it", f"minecraft-{id_}", "--", "/bin/bash")
        async with open_terminal(command, self._kubectl.environment) as terminal:
            yield terminal
            terminal.type("exit")
            await terminal.close()

    @staticmethod
    def _show(id_: int, *lines: str) -> None:
        print(f"$ kubectl exec -it minecraft-{id_} -- /bin/bash")
        for line in (*lines, "exit"):
            print(f"  {line}", flush=True)

    def _scale(self, replicas: int) -> Callable[[], Awaitable[None]]:
        async def act() -> None:
            await self._do("scale", "gss", "minecraft", f"--replicas={replicas}")

        return act

    def _patch(self, id_: int, spec: dict[str, object]) -> Callable[[], Awaitable[None]]:
        return self._merge("gs", f"minecraft-{id_}", spec)

    def _reserve(self, *ids: int) -> Callable[[], Awaitable[None]]:
        return self._merge("gss", "minecraft", {"reserveGameServerIds": list(ids)})

    def _merge(
        self, kind: str, name: str, spec: dict[str, object]
    ) -> Callable[[], Awaitable[None]]:
        async def act() -> None:
            patch = json.dumps({"spec": spec})
            await self._do("patch", kind, name, "--type=merge", "-p", patch)

        return act

    @asynccontextmanager
    async def _watching(self) -> AsyncIterator[None]:
        process = await asyncio.create_subprocess_exec(
            *self._kubectl.command("get", "gs", "--watch"),
            env=self._kubectl.environment,
            stdout=self._watched,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            yield
        finally:
            process.terminate()
            await process.wait()
            self._watched.close()

    def _seen(self) -> set[tuple[str, Row]]:
        # pread: kubectl shares the file's position.
        size = os.fstat(self._watched.fileno()).st_size
        return parse_watched(os.pread(self._watched.fileno(), size, 0).decode(errors="replace"))

    async def _print_latencies(self) -> None:
        """Print how long it took from a verdict in the agent to the decision about it."""
        body = json.loads(await self._kubectl.run("get", "gs", "-o", "json"))
        latencies = [
            (
                datetime.fromisoformat(condition["lastActionTransitionTime"])
                - datetime.fromisoformat(condition["lastTransitionTime"])
            ).total_seconds()
            for server in body["items"]
            for condition in server["status"].get("serviceQualitiesConditions", [])
            if {"lastActionTransitionTime", "lastTransitionTime"} <= condition.keys()
        ]
        if latencies:
            listed = ", ".join(f"{1000 * each:.0f} ms" for each in sorted(latencies))
            print(f"\nfrom the agent's verdict to the action: {listed}")


def _ready(*ids: int) -> dict[int, Row]:
    return dict.fromkeys(ids, READY)


def run_demo(*, interactive: bool) -> int:
    """Run the scenario on a cluster of its own.

    Args:
        interactive: leave the cluster running until Ctrl-C afterwards.

    Returns:
        0, or 1 when a step failed.

    Raises:
        AppError: the cluster could not be started.
    """
    if not _EXAMPLE.exists():
        raise InvalidInput("", f"{_EXAMPLE} is missing: run the demo from a checkout")
    return asyncio.run(_run(interactive=interactive))


async def _run(*, interactive: bool) -> int:
    started = monotonic_seconds()
    options = ClusterOptions(find_images([_EXAMPLE], []), progress=print)
    async with gamekeeper_cluster(options) as cluster:
        print(f"ready after {monotonic_seconds() - started:.1f} s", flush=True)
        kubectl = Kubectl(cluster.kubeconfig)
        try:
            await Demo(kubectl, _EXAMPLE).run()
        except (StepFailed, TerminalError) as error:
            print(f"\nFAILED: {error}", file=sys.stderr)
            print(await kubectl.run("describe", "pods"), file=sys.stderr)
            return 1
        print(f"\nall steps passed in {monotonic_seconds() - started:.1f} s", flush=True)
        if interactive:
            print(f"export KUBECONFIG={cluster.kubeconfig}\nCtrl-C ends it", flush=True)
            await _until_signalled()
    return 0


async def _until_signalled() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
