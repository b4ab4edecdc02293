"""The exec engine when it can get no descriptors, or the helper takes no more requests."""

from __future__ import annotations

import errno
import os
import resource
import selectors
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest

from agent.exec.engine import ProcrootEngine
from agent.exec.helper import HelperProcess
from agent.exec.resolve import MainProcess
from agent.exec.wire import FAILED
from shared.clock import monotonic_seconds
from tests.support.exec_runs import await_only_the_containers, outcome, run
from tests.support.pod_sandbox import Privilege, pod_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.probes.exec import ExecRun

pytestmark = [pytest.mark.component, pytest.mark.timeout(30)]

TARGET = MainProcess(starttime=1, pid=1)


@pytest.fixture
def engine() -> Iterator[ProcrootEngine]:
    """An engine whose helper never takes a request."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with selectors.DefaultSelector() as selector, theirs:
        running = ProcrootEngine(selector, HelperProcess(0, ours), lambda: 0.0)
        yield running
        running.close()
        assert dict(selector.get_map()) == {}


def test_without_descriptors_a_run_is_unknown_and_leaks_none(engine: ProcrootEngine) -> None:
    done: list[ExecRun] = []
    before = len(os.listdir("/proc/self/fd"))
    used = sorted(int(name) for name in os.listdir("/proc/self/fd"))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    for room in range(5):  # a run needs six; the listing above has given its own back
        free = [number for number in range(used[-1] + 7) if number not in used]
        resource.setrlimit(resource.RLIMIT_NOFILE, (free[room], limits[1]))
        try:
            engine.start(TARGET, ("true",), 5, done.append)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    engine.step(monotonic_seconds())
    assert [(run.reply.ending, run.reply.reason) for run in done] == [
        (FAILED, "ExecHelperDied")
    ] * 5
    assert len(os.listdir("/proc/self/fd")) <= before


def test_a_helper_that_takes_no_more_requests_does_not_block_the_agent(
    engine: ProcrootEngine,
) -> None:
    done: list[ExecRun] = []
    for _ in range(2000):
        engine.start(TARGET, ("x" * 60_000,), 5, done.append)
        engine.step(monotonic_seconds())
        if done:
            break
    assert [(run.reply.ending, run.reply.reason) for run in done] == [(FAILED, "ExecHelperDied")]


def test_a_helper_that_cannot_be_started_again_is_tried_later_and_never_ends_the_agent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_arguments: object, **_options: object) -> int:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    spawn, spawned = os.posix_spawn, []

    def note(*arguments: Any, **options: Any) -> int:
        spawned.append(spawn(*arguments, **options))
        return spawned[-1]

    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    dead = os.posix_spawn("/bin/true", ["true"], {})
    theirs.close()  # as the end of the helper does
    with selectors.DefaultSelector() as selector:
        engine = ProcrootEngine(selector, HelperProcess(dead, ours), lambda: 0.0)
        for key, _ in selector.select(5):
            key.data()
        open_files = len(os.listdir("/proc/self/fd"))
        with monkeypatch.context() as shortage:
            shortage.setattr(os, "posix_spawn", refuse)
            for _ in range(3):
                engine.step(monotonic_seconds())
        assert engine.restarts == 0
        assert len(os.listdir("/proc/self/fd")) <= open_files
        done: list[ExecRun] = []
        engine.start(TARGET, ("true",), 5, done.append)
        monkeypatch.setattr(os, "posix_spawn", note)
        engine.step(monotonic_seconds())
        engine.close()
    assert [(run.reply.ending, run.reply.reason) for run in done] == [(FAILED, "ExecHelperDied")]
    assert engine.restarts == len(spawned) == 1
    os.waitpid(spawned[0], 0)


# Started in place of the driver: every process below it has no pidfd_open, as in an old sandbox.
WITHOUT_PIDFD = """
import os, runpy
agent, pidfd_open = os.getpid(), os.pidfd_open
def refuse(pid):
    if os.getpid() == agent:
        return pidfd_open(pid)
    raise OSError(38, os.strerror(38))
os.pidfd_open = refuse
runpy.run_module("tests.support.exec_driver", run_name="__main__")
"""


def test_a_command_whose_end_cannot_be_watched_is_unknown_and_killed() -> None:
    with pod_sandbox(Privilege.ROOT) as pod:
        pod.start_container("game")
        script = "sleep 1001 & setsid sleep 1002 & sleep 1003"
        program = [sys.executable, "-c", WITHOUT_PIDFD]
        assert run(pod, "sh", "-c", script, program=program) == outcome(
            "Unknown",
            reason="ExecHelperDied",
            message="the command cannot be watched (Function not implemented): that takes"
            " pidfd_open (Linux 5.3 or a newer sandbox) and a free descriptor",
        )
        await_only_the_containers(pod, "sleep infinity")
