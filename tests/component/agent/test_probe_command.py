"""`gamekeeper probe` as a person types it: a real process, real targets, every output."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.exec_runs import await_only_the_containers
from tests.support.pod_sandbox import REPOSITORY, PodSandbox, Privilege, pod_sandbox
from tests.support.scripted_server import scripted_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.component, pytest.mark.timeout(30)]

ACTIONS = [
    {
        "state": True,
        "result": "0",
        "opsState": "WaitToBeDeleted",
        "deletionPriority": "{{.Result}}",
    },
    {"state": True, "result": "7", "opsState": "Allocated"},
    {"state": False, "opsState": "Maintaining", "labels": {"team": "not a label value!"}},
]


def exec_quality(name: str, script: str, **fields: Any) -> dict[str, Any]:
    command = {"command": ["sh", "-c", script]}
    # A second, the default, can be too short on a machine with other work to do.
    patient = {"timeoutSeconds": 20, "serviceQualityAction": ACTIONS}
    return {"name": name, "exec": command, **patient, **fields}


def write_set(folder: Path, *qualities: dict[str, Any], name: str = "minecraft") -> Path:
    ports = [{"name": "web", "containerPort": 1}]
    containers = [{"name": "game", "image": "game:1", "ports": ports}]
    file = folder / f"{name}.yaml"
    document = {
        "apiVersion": "game.kruise.io/v1alpha1",
        "kind": "GameServerSet",
        "metadata": {"name": name},
        "spec": {
            "replicas": 1,
            "gameServerTemplate": {"spec": {"containers": containers}},
            "serviceQualities": list(qualities),
        },
    }
    file.write_text("kind: Service\n---\n" + yaml.safe_dump(document))
    return file


def gamekeeper(
    *arguments: object, within: tuple[str, ...] = (), quick: bool = True
) -> tuple[int, str, str]:
    """Return exit code, output and errors; without the line that a slow machine adds if `quick`."""
    done = subprocess.run(
        [*within, sys.executable, "-m", "cli", "probe", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "HELLO": "from here"},
    )
    said = done.stderr.splitlines(keepends=True)
    errors = [line for line in said if not (quick and " is running (at most " in line)]
    return done.returncode, done.stdout, "".join(errors)


def test_a_person_sees_verdict_result_stderr_and_the_matching_action(tmp_path: Path) -> None:
    script = "echo $HELLO >&2; echo again >&2; echo 0"
    file = write_set(tmp_path, exec_quality("idle", script, successThreshold=2))
    code, out, err = gamekeeper("-f", file, "--name", "idle")
    lines = out.splitlines()
    assert lines.pop(6).startswith("DURATION   ")
    assert (code, err, lines) == (
        0,
        "",
        [
            "QUALITY    idle in container game",
            f"PROBE      exec sh -c '{script}'",
            "TARGET     this machine, network 127.0.0.1",
            "VERDICT    True",
            "RESULT     '0'",
            "EXIT CODE  0",
            "STDERR     from here",
            "           again",
            "ACTION     1. state true, result '0': MATCHES, opsState = WaitToBeDeleted;"
            " deletionPriority = 0",
            "           2. state true, result '7': no, the result is another",
            "           3. state false: no, the verdict is another",
            "",
            "An agent acts on True after 2 such runs in a row.",
        ],
    )


@pytest.mark.parametrize("output", ["json", "yaml"])
def test_a_program_gets_the_same_as_data(tmp_path: Path, output: str) -> None:
    file = write_set(tmp_path, exec_quality("idle", "exit 3"))
    code, out, _ = gamekeeper("-f", file, "--name", "idle", "-o", output)
    document = json.loads(out) if output == "json" else yaml.safe_load(out)
    outcome = document["outcome"]
    assert (code, outcome["status"], outcome["exitCode"]) == (1, "False", 3)
    assert [action["matches"] for action in document["actions"]] == [False, False, True]
    matching = document["actions"][2]
    assert matching["sets"] == {"opsState": "Maintaining"}
    assert list(matching["skips"]) == ["labels.team"]


def test_windows_line_ends_and_another_encoding_are_noticed(tmp_path: Path) -> None:
    quality = exec_quality("idle", r"printf 'gr\374n'; printf 'exit: 0\r: numeric\n\033[2J' >&2")
    _, out, _ = gamekeeper("-f", write_set(tmp_path, quality), "--name", "idle")
    assert out.splitlines()[4:12] == [
        "RESULT     'gr\ufffdn'",
        "EXIT CODE  0",
        out.splitlines()[6],
        r"STDERR     exit: 0\r: numeric",
        r"           \x1b[2J",
        r"NOTE       a carriage return: save the script with Unix line ends (sed -i 's/\r$//')",
        "           the output is not UTF-8: what cannot be read is shown as \ufffd",
        "ACTION     1. state true, result '0': no, the result is another",
    ]


def test_what_cannot_run_is_unknown_and_matches_nothing(tmp_path: Path) -> None:
    file = write_set(tmp_path, {"name": "idle", "exec": {"command": ["nowhere"]},
                                "serviceQualityAction": ACTIONS})  # fmt: skip
    code, out, _ = gamekeeper("-f", file, "--name", "idle")
    assert code == 2
    assert "VERDICT    Unknown (ExecNotFound: 'nowhere'" in out
    assert out.count("no, Unknown never matches an action") == 3


def test_a_probe_of_the_network_goes_to_this_machine(tmp_path: Path) -> None:
    with scripted_server(lambda c, _r: c.sendall(b"HTTP/1.1 200 OK\r\n\r\n7")) as server:
        handler = {"httpGet": {"port": server.port}}
        quality = {"name": "web", **handler, "timeoutSeconds": 20}
        file = write_set(tmp_path, quality | {"serviceQualityAction": ACTIONS})
        code, out, err = gamekeeper("-f", file, "--name", "web")
    assert (code, err) == (0, "")
    assert "2. state true, result '7': MATCHES, opsState = Allocated" in out


def test_a_named_port_is_that_of_the_template(tmp_path: Path) -> None:
    file = write_set(tmp_path, {"name": "web", "tcpSocket": {"port": "web"}})
    code, out, _ = gamekeeper("-f", file, "--name", "web", "--address", "127.0.0.9")
    assert code == 1
    assert "VERDICT    False (ConnectionRefused: 127.0.0.9:1: Connection refused" in out


def test_a_probe_that_takes_long_says_that_it_runs(tmp_path: Path) -> None:
    file = write_set(tmp_path, exec_quality("slow", "sleep 60", timeoutSeconds=2))
    code, out, err = gamekeeper("-f", file, "--name", "slow", quick=False)
    assert (code, err) == (1, "gamekeeper probe: slow is running (at most 2 s)\n")
    assert "VERDICT    False (Timeout: the command was killed" in out


@pytest.fixture
def pod() -> Iterator[PodSandbox]:
    with pod_sandbox(Privilege.ROOT) as sandbox:
        yield sandbox


def test_a_process_lends_its_view(tmp_path: Path, pod: PodSandbox) -> None:
    become = ["--reuid", "1000", "--regid", "1000", "--clear-groups"]
    game = pod.start_container("game", environment={"GAME": "minecraft"}, become=become)
    file = write_set(tmp_path, exec_quality("idle", "echo $GAME $(id -u) $PWD"))
    code, out, _ = gamekeeper("-f", file, "--name", "idle", "--pid", game.host_pid)
    assert (code, "RESULT     'minecraft 1000 /data'" in out) == (0, True)
    assert f"TARGET     process {game.host_pid}, network 127.0.0.1" in out
    await_only_the_containers(pod, "sleep infinity")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--name", "ghost"], "--name ghost: no such service quality; there are idle, web"),
        (
            ["--name", "idle", "--container", "proxy"],
            "idle: 'proxy' is no container of the template (game)",
        ),
        (
            ["--name", "idle", "--pid", "4194304"],
            "--pid 4194304: there is no such process on this machine",
        ),
        (["--name", "web"], "web: the container 'game' has no port named 'nothing'"),
    ],
    ids=["no such quality", "no such container", "no such process", "no such port"],
)
def test_a_wrong_option_is_one_line_and_exit_code_2(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    unresolved = {"name": "web", "tcpSocket": {"port": "nothing"}}
    file = write_set(tmp_path, exec_quality("idle", "true"), unresolved)
    assert gamekeeper("-f", file, *arguments) == (2, "", f"gamekeeper probe: {message}\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: Service", "it holds no GameServerSet"),
        ("a: [", "line 1, column 5"),
        (
            "{kind: GameServerSet, metadata: {name: x}, spec: {replicas: -1}}",
            "document 1: spec.gameServerTemplate: Required value (and 1 more)",
        ),
    ],
    ids=["no set", "no YAML", "no valid set"],
)
def test_a_wrong_file_is_one_line_that_says_where(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    code, out, err = gamekeeper("-f", file, "--name", "idle")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_what_the_cluster_would_refuse_is_refused_here_with_the_field(tmp_path: Path) -> None:
    file = write_set(tmp_path, exec_quality("idle", "true", periodSecond=1))
    message = "spec.serviceQualities[0].periodSecond: there is no such field"
    assert gamekeeper("-f", file, "--name", "idle") == (
        2,
        "",
        f"gamekeeper probe: {file}, document 2: {message}\n",
    )


def test_a_name_in_two_sets_asks_which(tmp_path: Path) -> None:
    quality = exec_quality("idle", "true")
    files = [write_set(tmp_path, quality, name=name) for name in ("one", "two")]
    assert gamekeeper("-f", files[0], "-f", files[1], "--name", "idle") == (
        2,
        "",
        "gamekeeper probe: --name idle: several sets have it (one, two): give the file of one\n",
    )


def test_an_ordinary_user_needs_no_privilege(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("the other tests run as an ordinary user already")
    with pod_sandbox(Privilege.UNPRIVILEGED) as sandbox:
        file = write_set(sandbox.folder, exec_quality("idle", "id -u"))
        file.chmod(0o644)
        code, out, err = gamekeeper(
            "-f", file, "--name", "idle", within=tuple(sandbox.enter_command())
        )
    # In the user namespace of the sandbox the ordinary user is called 0.
    assert (code, err) == (0, "")
    assert "RESULT     '0'" in out
