"""The example probes of docs/probes.md, against real servers and processes."""

from __future__ import annotations

import os
import socket
import subprocess
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from aggregator.quality.probes import plan_probes
from shared.api.gameserverset import GameServerSet
from shared.protocol.wire import render
from tests.support.agent_process import agent_process
from tests.support.game_servers import (
    grpc_health,
    information_page,
    minecraft_status,
    players,
    rcon,
    talking,
)
from tests.support.pod_sandbox import REPOSITORY, Privilege, pod_sandbox
from tests.support.report_server import report_server
from tests.support.tools import require

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.protocol.probes import ProbeSpec

pytestmark = [pytest.mark.component, pytest.mark.timeout(40)]

EXAMPLES = REPOSITORY / "examples" / "probes"


@pytest.fixture(autouse=True)
def _programs() -> None:
    require("bash", "bash")
    require("pgrep", "procps")


def run(script: str, *arguments: object, **variables: str) -> tuple[int, str, str]:
    """Return exit code, output and errors of an example."""
    done = subprocess.run(
        ["bash", str(EXAMPLES / script), *map(str, arguments)],
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param(players(0), (0, "0\n", ""), id="nobody"),
        pytest.param(players(3), (1, "3\n", ""), id="three"),
        pytest.param(players(10) + b" " * 20_000, (1, "10\n", ""), id="a long status"),
        pytest.param(b'{"players":{"online":0}}', (0, "0\n", ""), id="without spaces"),
        pytest.param(b"{}", (2, "", "the status has no players\n"), id="no players in it"),
        pytest.param(b"", (2, "", "this is no status\n"), id="empty"),
    ],
)
def test_players_online_tells_how_many_and_whether_nobody_is(
    status: bytes, expected: tuple[int, str, str]
) -> None:
    with talking(minecraft_status(status)) as port:
        assert run("players-online.sh", port) == expected


def test_players_online_of_a_server_that_hangs_up_or_is_gone_is_neither() -> None:
    with talking(lambda _channel: None) as port:
        assert run("players-online.sh", port) == (2, "", "the server hung up\n")
    code, output, error = run("players-online.sh", closed_port())
    assert (code, output) == (2, "")
    assert "Connection refused" in error


def test_processes_names_the_first_that_is_missing(tmp_path: Path) -> None:
    names = ["gamekeeper-gate", "gamekeeper-world"]  # longer than the 15 that the kernel keeps
    for name in names:
        (tmp_path / name).symlink_to("/usr/bin/sleep")
    with ExitStack() as stack:
        running = [
            stack.enter_context(subprocess.Popen([str(tmp_path / name), "600"])) for name in names
        ]
        for one in running:
            stack.callback(one.kill)
        seen = [run("processes.sh", *names)]
        running[1].kill()
        running[1].wait()
        seen.append(run("processes.sh", *names))
        running[0].kill()
        running[0].wait()
        seen.append(run("processes.sh", *names))
    assert seen == [(1, "", ""), (0, "gamekeeper-world\n", ""), (0, "gamekeeper-gate\n", "")]


def test_ports_sees_tcp_and_udp_of_both_families_and_names_the_first_that_is_closed() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as udp,
    ):
        udp.bind(("::1", 0))
        tcp_port, udp_port = tcp.getsockname()[1], udp.getsockname()[1]
        opened = [f"tcp:{tcp_port}", f"udp:{udp_port}"]
        assert run("ports.sh", *opened) == (1, "", "")
        # The same numbers of the other protocol are other ports.
        assert run("ports.sh", opened[0], f"udp:{tcp_port}") == (0, f"udp:{tcp_port}\n", "")
        assert run("ports.sh", f"tcp:{udp_port}", opened[1]) == (0, f"tcp:{udp_port}\n", "")
    assert run("ports.sh", *opened) == (0, f"{opened[0]}\n", "")


def test_ports_does_not_take_a_client_for_a_server() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        port = client.getsockname()[1]
        assert run("ports.sh", f"tcp:{port}") == (0, f"tcp:{port}\n", "")


@pytest.mark.parametrize("port", ["sctp:1", "7777"])
def test_ports_says_what_it_does_not_understand(port: str) -> None:
    assert run("ports.sh", port) == (2, "", f"{port}: must begin with tcp: or udp:\n")


ANSWERS = {"list": "There are 0 of a max of 20 players online: ", "name": "Überfahrt"}


@pytest.mark.parametrize(
    ("arguments", "password", "expected"),
    [
        pytest.param(("list", "^There are 0 "), "s3cret", (0, ANSWERS["list"]), id="matches"),
        pytest.param(("list", "^There are 1 "), "s3cret", (1, ANSWERS["list"]), id="does not"),
        pytest.param(("list",), "s3cret", (0, ANSWERS["list"]), id="any answer will do"),
        pytest.param(("name", "fahrt$"), "s3cret", (0, "Überfahrt"), id="more bytes than letters"),
        pytest.param(("stop",), "s3cret", (0, "Unknown command"), id="not known"),
    ],
)
@pytest.mark.parametrize("empty_first", [False, True], ids=["minecraft", "source engine"])
def test_rcon_prints_the_answer_and_the_pattern_decides(
    arguments: tuple[str, ...], password: str, expected: tuple[int, str], empty_first: bool
) -> None:
    with talking(rcon("s3cret", ANSWERS, empty_first=empty_first)) as port:
        code, output, error = run("rcon.sh", port, *arguments, RCON_PASSWORD=password)
    assert (code, output, error) == (expected[0], expected[1] + "\n", "")


@pytest.mark.parametrize("password", ["wrong", "", "pass%sword\\x41"])
@pytest.mark.parametrize("empty_first", [False, True], ids=["minecraft", "source engine"])
def test_rcon_with_a_wrong_password_is_neither(password: str, empty_first: bool) -> None:
    with talking(rcon("s3cret", ANSWERS, empty_first=empty_first)) as port:
        assert run("rcon.sh", port, "list", RCON_PASSWORD=password) == (
            2,
            "",
            "RCON_PASSWORD is wrong\n",
        )


def test_rcon_of_a_server_that_hangs_up_or_is_gone_is_neither() -> None:
    with talking(lambda _channel: None) as port:
        assert run("rcon.sh", port, "list") == (2, "", "the server hung up\n")
    assert run("rcon.sh", closed_port(), "list")[:2] == (2, "")


def specs() -> tuple[ProbeSpec, ...]:
    document = yaml.safe_load((EXAMPLES / "probes.yaml").read_text())
    plan = plan_probes(GameServerSet.model_validate(document).spec)
    assert plan.problems == ()
    return plan.probes


@pytest.fixture
def ports() -> Iterator[dict[str, int]]:
    """Yield where the servers of a healthy, empty game are, by the ports of the example."""
    with ExitStack() as stack:
        udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(("127.0.0.1", 0))
        yield {
            "25565": stack.enter_context(talking(minecraft_status(players(0)))),
            "7777": int(udp.getsockname()[1]),
            "25575": stack.enter_context(talking(rcon("s3cret", ANSWERS))),
            "8080": stack.enter_context(information_page(200, "map: desert")),
            "9090": stack.enter_context(grpc_health(lobby=True)),
        }


def placed(spec: ProbeSpec, ports: dict[str, int], folder: str) -> dict[str, Any]:
    """Return a probe as it goes to the agent, with the test's ports and folder of scripts."""
    words = {"/probes/": f"{folder}/", **{port: str(found) for port, found in ports.items()}}
    quick = replace(
        spec,
        initial_delay_seconds=0,
        period_seconds=1,
        timeout_seconds=20,
        failure_threshold=1,
        success_threshold=1,
    )
    fields: dict[str, Any] = render(quick)
    if spec.exec is not None:
        command = list(spec.exec.command)
        for old, new in words.items():
            command = [word.replace(old, new) for word in command]
        fields["exec"]["command"] = command
    for handler in ("httpGet", "grpc"):
        if handler in fields:
            fields[handler]["port"] = ports[str(fields[handler]["port"])]
    return fields


def told(body: dict[str, Any]) -> dict[str, tuple[str, str, str]]:
    return {
        entry["name"]: (entry["status"], entry["result"], entry["stderr"])
        for entry in body["probes"]
    }


HEALTHY = {
    "idle": ("True", "0", ""),
    "processes": ("False", "", ""),
    "ports": ("False", "", ""),
    "nobody": ("True", ANSWERS["list"].strip(), ""),
    "info": ("True", "map: desert", ""),
    "lobby": ("True", "SERVING", ""),
}


def test_the_agent_runs_every_probe_of_the_example_in_a_container(ports: dict[str, int]) -> None:
    scripts = {path.name: path.read_text() for path in EXAMPLES.glob("*.sh")}
    main = (
        "ln -s /usr/bin/sleep /tmp/gate; ln -s /usr/bin/sleep /tmp/world;"
        " /tmp/gate infinity & exec /tmp/world infinity"
    )
    with (
        pod_sandbox(Privilege.UNPRIVILEGED) as pod,
        report_server(pod.folder, []) as server,
    ):
        pod.start_container(
            "game", files=scripts, main=main, environment={"RCON_PASSWORD": "s3cret"}
        )
        server.offer([placed(spec, ports, "/data") for spec in specs()], "r1")
        with agent_process(pod, server) as agent:
            # A first look may come before the game has started all that belongs to it.
            server.wait_for(lambda body: told(body) == HEALTHY)
            agent.stop()


def test_every_file_of_the_examples_is_run_here_and_named_in_the_page() -> None:
    page = (REPOSITORY / "docs" / "probes.md").read_text()
    here = Path(__file__).read_text()
    files = sorted(path.name for path in EXAMPLES.iterdir())
    assert files == [name for name in files if f'"{name}"' in here and name in page]
