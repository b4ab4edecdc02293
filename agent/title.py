"""What `ps` shows for our processes: one fixed word. Writes to this process's own argument memory.

All containers of a pod with exec probes share one PID namespace, and game scripts count processes
with `ps -ef | grep NAME`. A path or an option of ours in that list could be counted as the game's,
so the agent overwrites its argument vector in place, before anything else runs.

Theory: /proc/PID/cmdline is a window on [arg_start, arg_end) of the process's memory, which proc(5)
gives as fields 48 and 49 of /proc/PID/stat. If its last byte is not NUL the kernel reads on into
the environment (fields 50 and 51), which lies right behind it, up to the first NUL.
"""

from __future__ import annotations

import ctypes

AGENT_TITLE = b"gamekeeper-agent"
EXEC_TITLE = b"gamekeeper-exec"

_PR_SET_NAME = 15
_COMM_BYTES = 15  # TASK_COMM_LEN - 1, see prctl(2)


def set_title(title: bytes) -> None:
    """Make `title` all that ps shows of this process and of its later forks.

    NB: where the argument memory is shorter than the title, the first environment string in memory
    is cut; Python has copied the environment by then and passes explicit ones to programs.
    """
    ctypes.CDLL(None).prctl(_PR_SET_NAME, ctypes.c_char_p(title[:_COMM_BYTES]), 0, 0, 0)
    start, arguments_bytes, capacity = _argument_area()
    if capacity <= len(title):
        return  # no such memory is shown (gVisor): then ps does not read it either
    text = title.ljust(max(arguments_bytes, len(title) + 1), b"\0")
    ctypes.memmove(start, text, len(text))


def _argument_area() -> tuple[int, int, int]:
    """Return the address of the arguments, their length, and the length with the environment."""
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    # The first field behind the parenthesis is number 3 of proc(5).
    arg_start, arg_end, env_start, env_end = (int(fields[number - 3]) for number in range(48, 52))
    end = env_end if env_start == arg_end else arg_end
    return arg_start, arg_end - arg_start, end - arg_start
