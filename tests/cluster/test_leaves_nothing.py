"""However `gamekeeper local` ends, no process, mount or folder stays behind."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.cluster import MINECRAFT, wait_for
from tests.support.local import Local, running_local

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(90),
    pytest.mark.local_only(reason="it is about what gamekeeper local leaves on its machine"),
]


def processes() -> set[int]:
    return {int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()}


def descendants(root: int) -> set[int]:
    """Return all living processes below `root`, whatever session or namespace they are in."""
    parents = {}
    for pid in processes():
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents[pid] = int(stat.rpartition(")")[2].split()[1])
    found = {root}
    while grown := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= grown
    return found


def mounts_below(folder: Path) -> list[str]:
    """Return the mounts of this namespace that lie in or come from a folder."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in lines if str(folder) in line]


def press_ctrl_c(local: Local) -> None:
    assert local.stop(signal.SIGINT) == 0


def terminate(local: Local) -> None:
    assert local.stop(signal.SIGTERM) == 0


def kill(local: Local) -> None:
    assert local.stop(signal.SIGKILL) == -signal.SIGKILL


@pytest.mark.parametrize("end", [press_ctrl_c, terminate, kill])
def test_nothing_is_left_behind(end: Callable[[Local], None], tmp_path: Path) -> None:
    with running_local(tmp_path, "-f", str(MINECRAFT)) as local:
        ready = ("Ready", "None", "0", "0")
        wait_for(local.servers, {f"minecraft-{id_}": ready for id_ in range(3)})
        state = local.state_directory
        ours = descendants(local.process.pid)
        # The supervisor, janitor, watch, three programs, and nine processes of games at least.
        assert len(ours) > 12
        end(local)

    wait_for(lambda: ours & processes(), set())
    wait_for(state.exists, expected=False)
    assert mounts_below(state) == []
