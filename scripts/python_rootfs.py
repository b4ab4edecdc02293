"""Lay out a root file system that runs Python and nothing else.

    python3 python_rootfs.py ROOT [OPTIMIZE]

Runs in the build stage of the Dockerfiles, with the Python whose interpreter, standard library and
shared libraries are taken; ROOT may hold packages already, whose libraries are taken, too. There is
no shell, no package manager and no compiler in it. Everything is compiled beforehand: containers
have a read-only root, and without that a start takes a second longer. OPTIMIZE is what the programs
will be run with (PYTHONOPTIMIZE, 0 to 2).
"""

from __future__ import annotations

import compileall
import py_compile
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

# What no program of ours imports; tests alone are half of the library.
_LEFT_OUT = (
    "__pycache__",
    "config-*",
    "dist-packages",
    "distutils",
    "ensurepip",
    "idlelib",
    "lib2to3",
    "pydoc_data",
    "site-packages",
    "test",
    "tests",
    "tkinter",
    "turtledemo",
    "venv",
)
_LIBRARY = re.compile(r"(?:=> )?(/[^ ]+) \(0x")
_NOBODY = 65_532


def main(root: Path, optimize: int) -> int:
    """Fill `root`; 0."""
    program = Path(sys.executable).resolve()
    _copy(program, root)
    shortcut = root / "usr/bin/python3"
    shortcut.parent.mkdir(parents=True, exist_ok=True)
    if not shortcut.exists():
        shortcut.symlink_to(program)
    stdlib = Path(sysconfig.get_path("stdlib"))
    target = _in(root, stdlib)
    shutil.copytree(stdlib, target, ignore=shutil.ignore_patterns(*_LEFT_OUT), symlinks=True)
    for library in sorted(_libraries([program, *root.rglob("*.so"), *root.rglob("*.so.*")])):
        # Libraries that wheels carry are found where they lie: in the root already.
        if not library.resolve().is_relative_to(root.resolve()):
            _copy(library, root)
    # Where the loader finds libraries outside of its default folders.
    _copy(Path("/etc/ld.so.cache"), root)
    _write_users(root / "etc")
    (root / "tmp").mkdir(mode=0o1777, exist_ok=True)
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compiled = compileall.compile_dir(
        root, quiet=1, invalidation_mode=unchecked, stripdir=root, optimize=optimize
    )
    return 0 if compiled else 1


def _in(root: Path, path: Path) -> Path:
    return root / path.relative_to("/")


def _copy(path: Path, root: Path) -> None:
    """Copy a file to the same place below `root`; of a link, what it leads to under its name."""
    target = _in(root, path)
    if not target.exists() and path.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)


def _libraries(programs: list[Path]) -> set[Path]:
    """Return every shared library that the programs load, the loader included."""
    found: set[Path] = set()
    for program in programs:
        done = subprocess.run(  # noqa: S603 - a file that we have just copied
            ["ldd", str(program)],  # noqa: S607 - of the build stage's own path
            capture_output=True,
            text=True,
            check=False,
        )
        found.update(Path(each) for each in _LIBRARY.findall(done.stdout))
    return found


def _write_users(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    users = ("root:x:0:0::/:/none", f"nonroot:x:{_NOBODY}:{_NOBODY}::/:/none")
    groups = ("root:x:0:", f"nonroot:x:{_NOBODY}:")
    (folder / "passwd").write_text("\n".join(users) + "\n")
    (folder / "group").write_text("\n".join(groups) + "\n")
    (folder / "nsswitch.conf").write_text("hosts: files dns\n")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
