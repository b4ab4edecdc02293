"""The janitor outlives its supervisor and cleans up after it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from localcluster.janitor import MARKER, Janitor, end_processes, start_time

pytestmark = [pytest.mark.component, pytest.mark.timeout(20)]
REPOSITORY = Path(__file__).parents[3]
SUPERVISOR = """
import sys, subprocess, time
from pathlib import Path
from localcluster.janitor import Janitor
janitor = Janitor.start(Path(sys.argv[1]))
deaf = "trap '' TERM; echo deaf; while :; do sleep 0.1; done"
for command in (["sleep", "1000"], ["bash", "-c", deaf]):
    child = subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE)
    if command[0] == "bash":
        child.stdout.readline()
    janitor.watch(child.pid)
    print(child.pid, flush=True)
print(janitor._process.pid, flush=True)
time.sleep(1000)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "state"
    made.mkdir()
    (made / MARKER).touch()
    (made / "file").write_text("x")
    return made


def wait_until_gone(path: Path) -> None:
    while path.exists():
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_what_a_killed_supervisor_started_is_ended_and_its_folder_removed(
    folder: Path, number: int
) -> None:
    supervisor = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, str(folder)],
        stdout=subprocess.PIPE,
        cwd=REPOSITORY,
        text=True,
    )
    assert supervisor.stdout is not None
    polite, deaf, janitor = (int(supervisor.stdout.readline()) for _ in range(3))

    supervisor.send_signal(number)
    supervisor.wait()
    supervisor.stdout.close()

    wait_until_gone(folder)
    assert [pid for pid in (polite, deaf) if is_running(pid)] == []
    while is_running(janitor):
        time.sleep(0.02)


def test_close_waits_for_the_end(folder: Path) -> None:
    janitor = Janitor.start(folder)
    child = subprocess.Popen(["sleep", "1000"])
    janitor.watch(child.pid)

    janitor.close()

    assert child.wait() == -signal.SIGTERM
    assert not folder.exists()


WRITER = """
import itertools, sys, time
until = time.monotonic() + 1
for number in itertools.count():
    if time.monotonic() > until:
        break
    open(f"{sys.argv[1]}/{number}", "w").close()
"""


def test_a_folder_into_which_something_still_writes_goes_too(folder: Path) -> None:
    janitor = Janitor.start(folder)
    # As a pod does whose kubelet was killed a moment ago; nobody has told the janitor of it.
    with subprocess.Popen([sys.executable, "-c", WRITER, folder], stderr=subprocess.DEVNULL):
        while not (folder / "0").exists():
            time.sleep(0.01)
        janitor.close()
    assert not folder.exists()


def test_a_folder_without_the_marker_is_refused(tmp_path: Path) -> None:
    program = Path(sys.modules[Janitor.__module__].__file__ or "")
    done = subprocess.run(
        [sys.executable, "-I", "-S", program, tmp_path],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )

    refusal = f"janitor: {tmp_path} has no file {MARKER}; it is not removed\n"
    assert (done.returncode, done.stderr, tmp_path.exists()) == (2, refusal, True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_do_not_end_it_before_its_supervisor(folder: Path, number: int) -> None:
    janitor = Janitor.start(folder)
    process = janitor._process
    while not ignores(process.pid, number):
        time.sleep(0.01)

    process.send_signal(number)

    janitor.close()
    assert process.returncode == 0
    assert not folder.exists()


def ignores(pid: int, number: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    (mask,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigIgn"))
    return bool(int(mask, 16) >> (number - 1) & 1)


def test_a_reused_pid_is_left_alone() -> None:
    child = subprocess.Popen(["sleep", "1000"])
    started = start_time(child.pid)
    assert started is not None

    end_processes([(child.pid, started - 1), (2**22 - 1, 5)])

    assert child.poll() is None
    child.kill()
    child.wait()


def test_it_imports_little(folder: Path) -> None:
    script = "import sys, localcluster.janitor; print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-S", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    ).stdout.split()

    assert {"asyncio", "subprocess", "shutil", "json", "socket"} & set(loaded) == set()
