"""The program's command line, and the check of the host."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from localcluster.kubelet import host
from tests.support.kubelet import kubelet_program, write_image

pytestmark = [pytest.mark.component, pytest.mark.timeout(20)]
REPOSITORY = Path(__file__).parents[3]


def arguments(folder: Path, **changes: str) -> list[str]:
    image = write_image(folder / "game", {"command": ["true"]})
    (folder / "images.json").write_text(json.dumps({"game": image}))
    (folder / "token").write_text("secret")
    (folder / "empty").touch()
    (folder / "file").write_text("x")
    (folder / "no-command").mkdir()
    (folder / "no-command" / "image.yaml").write_text("{env: {}}")
    (folder / "bad-images.json").write_text(json.dumps({"bad": "no-command"}))
    values = {
        "server": "http://127.0.0.1:1",
        "token-file": str(folder / "token"),
        "state-directory": str(folder / "state"),
        "images": str(folder / "images.json"),
        "stream-token-file": str(folder / "token"),
    }
    for name, value in changes.items():
        values[name.replace("_", "-")] = value.format(folder=folder)
    return [word for name, value in values.items() for word in (f"--{name}", value)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": "{folder}/none"}, "--images: {folder}/none: No such file or directory"),
        ({"token_file": "{folder}/none"}, "--token-file: {folder}/none: No such file or directory"),
        ({"stream_token_file": "{folder}/empty"}, "--stream-token-file: {folder}/empty is empty"),
        ({"server": "ftp://x"}, "--server: want an https URL, got ftp://x"),
        ({"server": "http://example.com"}, "--server: want an https URL, got http://example.com"),
        (
            {"server": "https://127.0.0.1:1", "ca": "{folder}/none"},
            "--ca: {folder}/none: No such file or directory",
        ),
        (
            {"state_directory": "{folder}/file/x"},
            "--state-directory: {folder}/file/x: Not a directory",
        ),
        (
            {"images": "{folder}/bad-images.json"},
            "{folder}/no-command/image.yaml: command: Field required",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
async def test_a_bad_argument_is_one_line_and_exit_code_2(
    tmp_path: Path, change: dict[str, str], message: str
) -> None:
    process = await asyncio.create_subprocess_exec(
        *kubelet_program(),
        *arguments(tmp_path, **change),
        cwd=REPOSITORY,
        stderr=asyncio.subprocess.PIPE,
    )
    _, stderr = await process.communicate()

    expected = f"kubelet: {message.format(folder=tmp_path)}\n"
    assert (process.returncode, stderr.decode()) == (2, expected)


def test_this_host_can_run_sandboxes() -> None:
    # In a process of its own: a library that starts threads in every fork of this one would make
    # the kernel refuse a user namespace.
    program = "from localcluster.kubelet.host import check_host; print(check_host())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout == b"None\n"


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        ({"user/max_user_namespaces": "0"}, "user.max_user_namespaces=10000"),
        ({"kernel/unprivileged_userns_clone": "0"}, "kernel.unprivileged_userns_clone=1"),
        (
            {"kernel/apparmor_restrict_unprivileged_userns": "1"},
            "kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        ({"user/max_user_namespaces": "100"}, "needs Linux 5.12 or newer"),
    ],
)
def test_a_host_that_cannot_names_the_setting(
    tmp_path: Path, settings: dict[str, str], remedy: str
) -> None:
    for name, value in settings.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{value}\n")

    explained = host._explain("unshare: no", tmp_path)

    assert explained.startswith("no sandbox can be made here (unshare: no); ")
    assert remedy in explained
