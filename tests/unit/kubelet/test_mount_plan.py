"""The host's view of a container's root is planned without touching the host."""

from __future__ import annotations

import posixpath

import pytest

from localcluster.kubelet.mount_plan import (
    BindHost,
    CopyLink,
    MakeFolder,
    plan_host_view,
    resolve_target,
)

FOLDER = object()


class Tree:
    """A host tree from a dictionary: path -> FOLDER, a link's target, or None for a file."""

    def __init__(self, entries: dict[str, object]) -> None:
        self._entries = entries

    def resolve(self, path: str) -> str:
        done = "/"
        for part in path.strip("/").split("/"):
            done = posixpath.join(done, part)
            target = self.link_target(done)
            if target is not None:
                done = posixpath.normpath(posixpath.join(posixpath.dirname(done), target))
        return done

    def exists(self, path: str) -> bool:
        return path in self._entries

    def is_folder(self, path: str) -> bool:
        return self._entries.get(path) is FOLDER

    def link_target(self, path: str) -> str | None:
        entry = self._entries.get(path)
        return entry if isinstance(entry, str) else None

    def names(self, path: str) -> list[str]:
        return sorted(
            posixpath.basename(entry) for entry in self._entries if posixpath.dirname(entry) == path
        )


HOST = Tree(
    {
        "/bin": "usr/bin",
        "/dev": FOLDER,
        "/etc": FOLDER,
        "/etc/hosts": None,
        "/proc": FOLDER,
        "/run": FOLDER,
        "/run/lock": FOLDER,
        "/run/pid": None,
        "/swap": None,
        "/tmp": FOLDER,
        "/usr": FOLDER,
        "/usr/bin": FOLDER,
        "/var": FOLDER,
        "/var/run": "/run",
    }
)
CLOSED = {"/etc", "/run", "/usr", "/var"}


def bound(*opened: str) -> list[object]:
    """Return the plan in which only `opened` folders of the root are not bound as a whole."""
    inside: dict[str, list[object]] = {
        "/run": [BindHost("/run/lock", True), BindHost("/run/pid", False)],
        "/usr": [BindHost("/usr/bin", True)],
        "/var": [CopyLink("/var/run", "/run")],
    }
    steps: list[object] = []
    for name in HOST.names("/"):
        path = f"/{name}"
        if path in ("/dev", "/proc", "/tmp"):
            steps.append(MakeFolder(path))
        elif path in opened:
            steps += [MakeFolder(path), *inside[path]]
        elif path == "/bin":
            steps.append(CopyLink("/bin", "usr/bin"))
        else:
            steps.append(BindHost(path, path in CLOSED))
    return steps


@pytest.mark.parametrize(
    ("targets", "opened"),
    [
        pytest.param([], (), id="nothing to mount"),
        pytest.param(["/data"], (), id="a new folder of the root needs no opening"),
        pytest.param(["/data/a/b"], (), id="nor does one below it"),
        pytest.param(["/etc/hosts"], (), id="an existing file is mounted over"),
        pytest.param(["/usr/bin"], (), id="an existing folder too"),
        pytest.param(["/run/secrets/x"], ("/run",), id="a missing folder opens its ancestor"),
        pytest.param(["/run/secrets/x", "/usr/share/y"], ("/run", "/usr"), id="several"),
        pytest.param(["/tmp/x", "/dev/y"], (), id="private folders are empty anyway"),
    ],
)
def test_only_the_ancestors_of_missing_targets_are_opened(
    targets: list[str], opened: tuple[str, ...]
) -> None:
    assert plan_host_view(targets, HOST) == bound(*opened)


@pytest.mark.parametrize(
    ("target", "resolved"),
    [
        ("/var/run/secrets/x", "/run/secrets/x"),
        ("/data/../data/", "/data"),
        ("/tmp/x", "/tmp/x"),
        ("/data", "/data"),
    ],
)
def test_a_target_is_where_the_links_of_the_host_lead(target: str, resolved: str) -> None:
    assert resolve_target(target, HOST) == resolved
