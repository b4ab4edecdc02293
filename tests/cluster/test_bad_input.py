"""Bad input: one clear line that names the field and the remedy, and nothing left running."""

from __future__ import annotations

import copy
import json
import os
import socket
import subprocess
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.local import MINECRAFT, REPOSITORY, Local, gamekeeper, running_local, wait_for
from tests.support.tools import require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(90)]

Json = dict[str, Any]


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    folder = tmp_path_factory.mktemp("bad-input")
    mapping = yaml.safe_load((MINECRAFT.parent / "images.yaml").read_text())["images"]
    images = [f"--image={image}={MINECRAFT.parent / name}" for image, name in mapping.items()]
    with running_local(folder, *images) as running:
        yield running


def changed(change: Callable[[Json], None]) -> str:
    body = copy.deepcopy(yaml.safe_load(MINECRAFT.read_text()))
    change(body)
    return json.dumps(body)


def negative_id(body: Json) -> None:
    body["spec"]["reserveGameServerIds"] = [3, -1]


def range_of_words(body: Json) -> None:
    body["spec"]["reserveGameServerIds"] = ["three-five"]


def empty_command(body: Json) -> None:
    body["spec"]["serviceQualities"][0]["exec"]["command"] = []


def two_handlers(body: Json) -> None:
    body["spec"]["serviceQualities"][0]["tcpSocket"] = {"port": 80}


def no_handler(body: Json) -> None:
    del body["spec"]["serviceQualities"][0]["exec"]


def negative_replicas(body: Json) -> None:
    body["spec"]["replicas"] = -1


def zero_period(body: Json) -> None:
    body["spec"]["serviceQualities"][0]["periodSeconds"] = 0


def one_name_twice(body: Json) -> None:
    body["spec"]["serviceQualities"].append(body["spec"]["serviceQualities"][0])


def unknown_field(body: Json) -> None:
    body["spec"]["replica"] = 3


def long_name(body: Json) -> None:
    body["metadata"]["name"] = "m" * 53


REFUSED = [
    (negative_id, "spec.reserveGameServerIds[1]"),
    (range_of_words, "spec.reserveGameServerIds[0]"),
    (empty_command, "spec.serviceQualities[0].exec.command"),
    (two_handlers, "spec.serviceQualities[0]"),
    (no_handler, "spec.serviceQualities[0]"),
    (negative_replicas, "spec.replicas"),
    (zero_period, "spec.serviceQualities[0].periodSeconds"),
    (one_name_twice, "spec.serviceQualities[1]"),
    (unknown_field, 'unknown field "spec.replica"'),
    (long_name, "metadata.name"),
]


@pytest.mark.parametrize(
    ("change", "names"), REFUSED, ids=[change.__name__ for change, _ in REFUSED]
)
def test_an_invalid_set_is_refused_with_the_field(
    local: Local, change: Callable[[Json], None], names: str
) -> None:
    done = local.kubectl("apply", "-f", "-", stdin=changed(change))
    assert done.returncode == 1
    assert names in done.stderr
    names_now = local.must("get", "gss", "-o", "name").split()
    assert "gameserverset.game.kruise.io/minecraft" not in names_now


def test_a_command_that_does_not_exist_is_unknown_with_a_remedy(local: Local) -> None:
    def missing(body: Json) -> None:
        body["metadata"]["name"] = "missing"
        body["spec"]["replicas"] = 1
        quality = body["spec"]["serviceQualities"][0]
        quality |= {"initialDelaySeconds": 0, "exec": {"command": ["no-such-probe"]}}

    local.must("apply", "-f", "-", stdin=changed(missing))

    def condition() -> dict[str, str]:
        done = local.kubectl("get", "gs", "missing-0", "-o", "yaml")
        status = (yaml.safe_load(done.stdout) or {}).get("status", {})
        found = status.get("serviceQualitiesConditions") or [{}]
        return {key: found[0].get(key, "") for key in ("status", "reason")}

    wait_for(condition, {"status": "Unknown", "reason": "ExecNotFound"})
    address = local.must("get", "pod", "missing-0", "-o", "jsonpath={.status.podIP}")
    with urllib.request.urlopen(f"http://{address}:8089/status", timeout=30) as answer:
        (probe,) = json.load(answer)["probes"]
    assert probe["spec"]["name"] == "healthy"
    verdict = probe["verdict"]
    assert (verdict["status"], verdict["reason"]) == ("Unknown", "ExecNotFound")
    assert "no-such-probe" in verdict["message"]
    # An unknown verdict is no False: the action for state false never ran. The verdict can be
    # there before the kubelet says that the pod is ready.
    wait_for(lambda: local.servers()["missing-0"], ("Ready", "None", "0", "0"))
    local.must("delete", "gss", "missing")
    wait_for(lambda: "missing-0" in local.servers(), expected=False)


def test_an_unmapped_image_says_how_to_map_it(local: Local) -> None:
    def unmapped(body: Json) -> None:
        body["metadata"]["name"] = "unmapped"
        body["spec"]["replicas"] = 1
        body["spec"]["gameServerTemplate"]["spec"]["containers"][0]["image"] = "example/none:1"

    local.must("apply", "-f", "-", stdin=changed(unmapped))

    def waiting() -> tuple[str, bool]:
        done = local.kubectl("get", "pod", "unmapped-0", "-o", "yaml")
        status = (yaml.safe_load(done.stdout) or {}).get("status", {})
        (container,) = status.get("containerStatuses") or [{}]
        why = container.get("state", {}).get("waiting", {})
        return why.get("reason", ""), "--image" in why.get("message", "")

    wait_for(waiting, ("ErrImageNeverPull", True))
    wait_for(lambda: local.servers().get("unmapped-0", ())[:1], ("Creating",))
    local.must("delete", "gss", "unmapped")
    wait_for(lambda: "unmapped-0" in local.servers(), expected=False)


@dataclass
class Refusal:
    """Runs `gamekeeper local` with a temporary folder of its own."""

    folder: Path

    def of(self, *arguments: str, prefix: tuple[str, ...] = ()) -> str:
        """Return the last line of stderr of a start that must be refused and leave nothing."""
        self.folder.mkdir()
        done = subprocess.run(
            [*prefix, *gamekeeper("local", *arguments)],
            env=os.environ | {"TMPDIR": str(self.folder)},
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 2, done.stderr
        assert "Traceback" not in done.stderr
        assert list(self.folder.iterdir()) == []
        return done.stderr.splitlines()[-1]


@pytest.fixture
def refused_start(tmp_path: Path) -> Callable[..., str]:
    return Refusal(tmp_path / "temporary").of


def test_a_missing_file_is_named(refused_start: Callable[..., str], tmp_path: Path) -> None:
    missing = tmp_path / "none.yaml"
    expected = f"gamekeeper local: {missing}: cannot read it: No such file or directory"
    assert refused_start("-f", str(missing)) == expected


def test_bad_yaml_is_refused_with_line_and_column(
    refused_start: Callable[..., str], tmp_path: Path
) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("kind: GameServerSet\nspec: [1, 2\n")
    assert refused_start("-f", str(bad)).startswith(f"gamekeeper local: {bad}, line 3, column 1: ")


def test_a_port_in_use_is_named(refused_start: Callable[..., str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        line = refused_start("--port", str(port))
    assert str(port) in line
    assert "in use" in line


def test_an_image_folder_without_its_description_is_named(
    refused_start: Callable[..., str], tmp_path: Path
) -> None:
    line = refused_start("--image", f"game={tmp_path}")
    assert line == f"gamekeeper local: --image: {tmp_path} needs a file image.yaml"


def test_no_user_namespaces_is_explained(refused_start: Callable[..., str]) -> None:
    require("unshare", "util-linux")
    # In a user namespace of its own the limit can be set without touching the machine's.
    forbid = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    line = refused_start(prefix=("unshare", "--user", "--map-root-user", "sh", "-c", forbid, "sh"))
    assert "max_user_namespaces" in line
