"""Whether this machine can run sandboxes, found by making one. Not pure: forks.

A setting that forbids it is named in the answer, so that a person knows what to change.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

_SYSCTL = Path("/proc/sys")


def check_host() -> str | None:
    """Return None if sandboxes work here; otherwise one line that says what to change."""
    if sys.platform != "linux":
        return f"the local cluster needs Linux namespaces; this is {sys.platform}"
    failure = _try_sandbox()
    if failure is None:
        return None
    return _explain(failure, _SYSCTL)


def _try_sandbox() -> str | None:
    """Make a sandbox with an empty root and end it; return what failed.

    In a child, because the launcher's code becomes a subreaper and changes its title.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        failure = "the sandbox could not be made"
        try:
            failure = _make_and_end_sandbox()
        finally:
            os.write(writing, (failure or str(sys.exc_info()[1] or "")).encode())
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        failure = answer.read()
    os.waitpid(child, 0)
    return failure or None


def _make_and_end_sandbox() -> str:
    # Imported here: the module that answers "not Linux" must not need Linux to be imported.
    from localcluster.kubelet import sandbox, syscalls
    from localcluster.kubelet.identities import decide_identities, read_caller
    from localcluster.kubelet.title import find_title_area

    syscalls.become_subreaper()
    setup = sandbox.SandboxSetup(decide_identities(read_caller()), find_title_area())
    folder = tempfile.mkdtemp()
    try:
        made = sandbox.create_sandbox("check", folder, setup)
        os.close(made.lifeline)
        os.waitpid(made.pid, 0)
    except (OSError, sandbox.SandboxError) as error:
        return str(error)
    else:
        return ""
    finally:
        os.rmdir(folder)


def _explain(failure: str, sysctl: Path) -> str:
    """Return the remedy for a failure, by the settings that are known to cause it."""
    for path, bad, remedy in (
        ("user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=10000"),
        ("kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"),
        (
            "kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    ):
        setting = sysctl / path
        if setting.exists() and setting.read_text().strip() == bad:
            return f"no sandbox can be made here ({failure}); as root: {remedy}"
    return (
        f"no sandbox can be made here ({failure}); the local cluster needs Linux 5.12 or newer and "
        "a container or seccomp profile that allows user namespaces"
    )
