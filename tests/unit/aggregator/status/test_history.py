"""Histories keep the last of everything, and never more than their bounds."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.kube.resources import ObjectKey
from aggregator.status.history import (
    RUNS,
    TRANSITIONS,
    BoundedLog,
    Run,
    RunHistory,
    ServerHistory,
)
from tests.support.builders import NOW, game_server, probe_report, report

KEY = ObjectKey("games", "minecraft-0")


def run(number: int, **fields: Any) -> Any:
    """The report of an agent after a number of runs, each three seconds after the one before."""
    at = NOW + timedelta(seconds=3 * number)
    outcome = {"status": "True", "result": "", "exit_code": 0} | fields
    return report(probe_report("idle", runs=number, started_at=at, duration_seconds=0.1, **outcome))


def known(*reports: Any) -> list[tuple[str, str, int, int]]:
    """Return status, result, number of runs and the last one's number of each entry."""
    history = RunHistory()
    for each in reports:
        history.record(each)
    runs = history.runs("pod-0", "idle")
    return [(each.status, each.result, each.runs, each.number) for each in runs]


@pytest.mark.parametrize(
    ("reports", "expected"),
    [
        pytest.param([run(1)], [("True", "", 1, 1)], id="one run"),
        pytest.param([run(1), run(1)], [("True", "", 1, 1)], id="a heartbeat without a new run"),
        pytest.param([run(1), run(4)], [("True", "", 4, 4)], id="runs between two reports count"),
        pytest.param(
            [run(1), run(2, result="x"), run(3)],
            [("True", "", 1, 1), ("True", "x", 1, 2), ("True", "", 1, 3)],
            id="another result",
        ),
        pytest.param(
            [run(1), run(2, exit_code=3)],
            [("True", "", 1, 1), ("True", "", 1, 2)],
            id="another exit code",
        ),
        pytest.param(
            [run(7), run(2)], [("True", "", 1, 7), ("True", "", 1, 2)], id="a restarted container"
        ),
        pytest.param([run(0)], [], id="a probe that has not run"),
    ],
)
def test_equal_runs_in_a_row_are_one_entry(reports, expected) -> None:
    assert known(*reports) == expected


def test_an_entry_says_when_it_began_and_ended_and_keeps_texts_short() -> None:
    history = RunHistory()
    long = "x" * 1000
    for number in (1, 3):
        history.record(run(number, status="False", result=long, stderr=long, exit_code=1))
    assert history.runs("pod-0", "idle") == (
        Run(
            status="False",
            result="x" * 256,
            reason="",
            exit_code=1,
            stderr="x" * 256,
            first_at=NOW + timedelta(seconds=3),
            last_at=NOW + timedelta(seconds=9),
            duration_seconds=0.1,
            runs=3,
            number=3,
        ),
    )


def test_of_a_result_that_changes_with_every_run_the_last_are_kept() -> None:
    told = known(*(run(number, result=str(number)) for number in range(1, 100)))
    assert [result for _, result, _, _ in told] == [str(n) for n in range(100 - RUNS, 100)]


def test_the_probes_of_a_pod_and_of_another_are_kept_apart() -> None:
    history = RunHistory()
    history.record(report(probe_report("a", runs=1), probe_report("b", "False", runs=1)))
    history.record(report(probe_report("a", runs=5), pod_uid="pod-1"))
    numbers = [history.runs(pod, name)[0].number for pod, name in (("pod-0", "a"), ("pod-1", "a"))]
    assert (numbers, history.runs("pod-0", "b")[0].status) == ([1, 5], "False")
    assert history.runs("pod-1", "b") == ()


def test_of_a_restless_server_the_last_transitions_are_kept() -> None:
    history = ServerHistory()
    former = game_server()
    for number in range(1, 80):
        server = game_server(deletionPriority=number)
        history.record(KEY, former, server, NOW)
        former = server
    kept = history.transitions(KEY)
    assert (len(kept), kept[-1].after) == (TRANSITIONS, "79")
    assert history.transitions(ObjectKey("games", "another")) == ()


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5)), max_size=60),
    st.integers(1, 12),
)
def test_a_log_never_grows_beyond_its_bounds_and_keeps_the_newest(steps, capacity: int) -> None:
    log: BoundedLog[int, int] = BoundedLog(most=4, capacity=capacity)
    written: dict[int, list[int]] = {}
    for number, (key, count) in enumerate(steps):
        entries = [number * 10 + each for each in range(count)]
        log.add(key, entries)
        written.setdefault(key, []).extend(entries)
    sizes = {key: len(log.get(key)) for key in written}
    assert len(log) == sum(sizes.values())
    assert len(log) <= max(capacity, 4)
    assert all(size <= 4 for size in sizes.values())
    for key, size in sizes.items():
        assert list(log.get(key)) == written[key][len(written[key]) - size :]


def test_the_server_that_was_quiet_for_longest_is_forgotten_first() -> None:
    log: BoundedLog[str, int] = BoundedLog(most=10, capacity=3)
    log.add("a", [1])
    log.add("b", [2])
    log.add("a", [3])
    log.add("c", [4])
    assert (log.get("a"), log.get("b"), log.get("c")) == ((1, 3), (), (4,))


def test_a_busy_server_in_full_memory_gives_its_own_oldest_and_not_those_of_others() -> None:
    log: BoundedLog[str, int] = BoundedLog(most=10, capacity=6)
    for number in range(10):
        log.add("busy", [number])
        if number < 3:
            log.add("quiet", [number])
    assert (log.get("busy"), log.get("quiet")) == ((7, 8, 9), (0, 1, 2))


def test_everybody_has_a_history_when_all_are_busy_and_memory_is_full() -> None:
    log: BoundedLog[int, int] = BoundedLog(most=20, capacity=100)
    for number in range(30):
        for key in range(25):
            log.add(key, [number])
    assert [log.get(key) for key in range(25)] == [(26, 27, 28, 29)] * 25


def test_for_a_new_server_the_one_that_is_gone_gives_its_oldest_one_by_one() -> None:
    log: BoundedLog[str, int] = BoundedLog(most=3, capacity=4)
    log.add("gone", [1, 2, 3])
    seen = []
    for number, name in enumerate("abcd"):
        log.add(name, [number])
        seen.append(log.get("gone"))
    assert seen == [(1, 2, 3), (2, 3), (3,), ()]
