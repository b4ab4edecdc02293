"""How containers are searched for and watched: how often, until when, and what hinders it."""

from __future__ import annotations

import errno
import os
import selectors
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

import pytest

from agent import containers
from agent.containers import Containers
from agent.exec import resolve
from agent.exec.resolve import MainProcess, find_main_processes, read_process
from agent.probes.outcome import unknown
from shared.clock import monotonic_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.component, pytest.mark.timeout(30)]


@dataclass
class Watched:
    """Containers whose main processes are what the test says, at times that the test plays.

    Attributes:
        found: what a search finds.
        searches: when there was one.
        changes: the containers that were told of.
    """

    selector: selectors.BaseSelector
    found: dict[str, MainProcess] = field(default_factory=dict)
    searches: list[float] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    now: float = 0.0
    refusal: OSError | None = None

    def __post_init__(self) -> None:
        self.containers = Containers(self.selector, "uid", self.changes.append)

    def find(self, _pod_uid: str) -> dict[str, MainProcess]:
        self.searches.append(self.now)
        if self.refusal is not None:
            raise self.refusal
        return self.found

    def play_until(self, end: float) -> None:
        """Do what is due, each at its time."""
        while (due := self.containers.deadline()) is not None and due <= end:
            self.now = due
            self.containers.step(due)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    monkeypatch.setattr(containers, "is_pid_namespace_shared", lambda: True)
    monkeypatch.setattr(containers, "recognises_containers", lambda _uid: True)
    with selectors.DefaultSelector() as selector:
        world = Watched(selector)
        monkeypatch.setattr(containers, "find_main_processes", world.find)
        yield world
        for key in list(selector.get_map().values()):
            os.close(key.fd)


@contextmanager
def main_process() -> Iterator[tuple[subprocess.Popen[bytes], MainProcess]]:
    with subprocess.Popen(["sleep", "60"]) as program:
        identity = read_process(program.pid)
        assert identity is not None
        try:
            yield program, identity
        finally:
            program.kill()


@pytest.mark.parametrize(
    ("wanted", "searches"),
    [
        pytest.param({"game": 3}, [0, 1, 3, 7, 12, 17, 22, 27], id="at last every five seconds"),
        pytest.param({"game": 20}, [0, 1, 3, 7, 15, 31, 51, 71, 91], id="at last once a period"),
        pytest.param(
            {"game": 20, "web": 6}, [0, 1, 3, 7, 13, 19, 25, 31], id="the shortest counts"
        ),
        pytest.param({}, [], id="nothing is wanted"),
    ],
)
def test_a_missing_container_is_searched_for_less_and_less_often(
    watched: Watched, wanted: dict[str, float], searches: list[float]
) -> None:
    watched.containers.want(wanted, 0)
    watched.play_until(searches[-1] if searches else 1000)
    assert watched.searches == searches


def test_only_the_missing_one_says_how_often_is_searched(watched: Watched) -> None:
    with main_process() as (_, identity):
        watched.found = {"game": identity}
        watched.containers.want({"game": 3, "web": 30}, 0)
        watched.play_until(91)
    assert watched.changes == ["game"]
    assert watched.searches == [0, 1, 3, 7, 15, 31, 61, 91]


def test_while_every_container_runs_nothing_is_searched_for(watched: Watched) -> None:
    with main_process() as (_, identity):
        watched.containers.want({"game": 60}, 0)
        watched.play_until(100)
        watched.found = {"game": identity}
        watched.play_until(150)
        assert (watched.containers.deadline(), watched.changes) == (None, ["game"])


def test_a_container_that_has_ended_is_searched_for_as_often_as_a_new_one(
    watched: Watched,
) -> None:
    watched.containers.want({"game": 60}, 0)
    watched.play_until(1000)
    with main_process() as (program, identity):
        watched.found = {"game": identity}
        watched.play_until(2000)
        program.kill()
        watched.found = {}
        before = monotonic_seconds()
        for key, _ in watched.selector.select(20):
            key.data()
        after = monotonic_seconds()
        searched = len(watched.searches)
        watched.play_until(after + 20)
    first, *others = watched.searches[searched:]
    assert before + 1 <= first <= after + 1
    assert [round(time - first) for time in others] == [1, 3, 7, 15]
    assert watched.changes == ["game", "game"]


def test_another_list_of_containers_is_searched_for_at_once(watched: Watched) -> None:
    watched.containers.want({"game": 60}, 0)
    watched.play_until(100)
    watched.containers.want({"game": 60, "web": 60}, 100)
    assert watched.containers.deadline() == 100
    searched = len(watched.searches)
    watched.play_until(110)
    assert watched.searches[searched:] == [100, 101, 103, 107]


def refusing(number: int) -> Callable[[int], int]:
    def refuse(_pid: int) -> int:
        raise OSError(number, os.strerror(number))

    return refuse


@pytest.mark.parametrize(
    ("number", "message"),
    [
        pytest.param(
            errno.EMFILE,
            "the end of its main process cannot be watched (Too many open files): it is tried"
            " again; if it stays so, raise the agent's limit of open files",
            id="EMFILE",
        ),
        pytest.param(
            errno.ENOSYS,
            "the end of its main process cannot be watched (Function not implemented): pidfd_open"
            " needs Linux 5.3 or a newer sandbox, and a seccomp profile that allows it",
            id="ENOSYS",
        ),
        pytest.param(
            errno.EPERM,
            "the end of its main process cannot be watched (Operation not permitted): pidfd_open"
            " needs Linux 5.3 or a newer sandbox, and a seccomp profile that allows it",
            id="EPERM",
        ),
    ],
)
def test_a_container_that_cannot_be_watched_is_unknown_until_it_can(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, number: int, message: str
) -> None:
    with main_process() as (_, identity):
        watched.found = {"game": identity}
        with monkeypatch.context() as lack:
            lack.setattr(os, "pidfd_open", refusing(number))
            watched.containers.want({"game": 3, "web": 3}, 0)
            watched.play_until(20)
            assert watched.containers.get("game") is None
            assert watched.containers.explain_absence("game") == unknown(
                "ContainerNotWatched", message
            )
            assert watched.containers.explain_absence("web").reason == "ContainerNotFound"
            # Told once, not at every search: each time the probes would begin anew.
            assert watched.changes == ["game"]
        watched.play_until(30)
        running = watched.containers.get("game")
        assert running is not None
        assert (running.process, watched.changes) == (identity, ["game", "game"])


def test_a_search_that_fails_leaves_the_missing_ones_unknown_and_the_running_one_alone(
    watched: Watched,
) -> None:
    with main_process() as (_, identity):
        watched.found = {"game": identity}
        watched.containers.want({"game": 3, "web": 3}, 0)
        watched.play_until(0)
        watched.refusal = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        watched.play_until(20)
        assert watched.containers.get("game") is not None
        assert watched.containers.explain_absence("web") == unknown(
            "ContainerNotWatched",
            "/proc cannot be searched (Too many open files): it is tried again; if it stays so,"
            " raise the agent's limit of open files",
        )
        watched.refusal = None
        watched.play_until(30)
        assert watched.containers.explain_absence("web").reason == "ContainerNotFound"
        assert watched.changes == ["game", "web", "web"]


def test_a_pidfd_that_the_selector_cannot_take_is_closed(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(watched.selector, "register", refuse)
    with main_process() as (_, identity):
        watched.found = {"game": identity}
        before = len(os.listdir("/proc/self/fd"))
        watched.containers.want({"game": 3}, 0)
        watched.play_until(20)
        assert len(os.listdir("/proc/self/fd")) <= before
    assert watched.containers.explain_absence("game").reason == "ContainerNotWatched"


def test_a_process_that_ends_before_it_is_watched_is_searched_for_again(watched: Watched) -> None:
    with main_process() as (program, identity):
        program.kill()
        program.wait()
        watched.found = {"game": identity}
        watched.containers.want({"game": 3}, 0)
        watched.play_until(20)
    assert watched.containers.explain_absence("game").reason == "ContainerNotFound"
    assert (watched.changes, len(watched.searches)) == ([], 6)


def test_where_nothing_can_be_watched_no_container_is_visible(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert watched.containers.are_visible
    monkeypatch.setattr(os, "pidfd_open", refusing(errno.ENOSYS))
    assert not Containers(watched.selector, "uid", watched.changes.append).are_visible


def test_a_process_that_proc_hides_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def hide(path: str, **_options: str) -> NoReturn:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), path)  # hidepid=1

    monkeypatch.setattr(resolve, "open", hide, raising=False)
    assert find_main_processes("uid") == {}
