"""Every example as its README tells it, typed as a person would; all on one local cluster."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.local import REPOSITORY, Local, gamekeeper, running_local, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

EXAMPLES = (
    "idle",
    "healthy",
    "two-qualities",
    "player-count",
    "initialisation",
    "failure-reasons",
)
REPLICAS = "custom-columns=NAME:.metadata.name,DESIRED:.spec.replicas"


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    files = [str(REPOSITORY / "examples" / name / f"{name}.yaml") for name in EXAMPLES]
    arguments = [argument for file in files for argument in ("-f", file)]
    with running_local(tmp_path_factory.mktemp("examples"), *arguments) as running:
        # Whichever test comes first types into a game's container: every container runs by then.
        wait_for(lambda: set(states(running).values()), {"Ready"}, seconds=120)
        yield running


def states(local: Local) -> dict[str, str]:
    """Return the STATE of each server that is wanted; one that is not there yet has none."""
    sets = local.table("get", "gss", "-o", REPLICAS).rows
    wanted = {f"{name}-{id_}": "" for name, cells in sets.items() for id_ in range(int(cells[0]))}
    return wanted | {name: cells[0] for name, cells in local.servers().items()}


def ops_states(local: Local, name: str) -> dict[str, str]:
    """Return the opsState of each server of a set, as the table shows it."""
    rows = local.table("get", "gs", "-l", f"game.kruise.io/owner-gss={name}").rows
    return {server: cells[1] for server, cells in rows.items()}


def sh(local: Local, server: str, script: str) -> None:
    """Run a script in the game's container."""
    local.must("exec", server, "-c", "game", "--", "bash", "-c", script)


def explain(local: Local, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `gamekeeper explain` with the kubeconfig of the local cluster and nothing else."""
    return subprocess.run(
        gamekeeper("explain", *arguments),
        env=os.environ | {"KUBECONFIG": str(local.kubeconfig)},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def explained(local: Local, server: str) -> dict[str, Any]:
    """Return what `gamekeeper explain` tells of a server, as JSON."""
    done = explain(local, "gs", server, "-o", "json")
    assert done.returncode == 0, done.stderr
    body: dict[str, Any] = json.loads(done.stdout)
    return body


def test_idle_servers_are_marked_and_those_with_players_are_spared(local: Local) -> None:
    idle = {f"idle-{id_}": "WaitToBeDeleted" for id_ in range(3)}
    wait_for(lambda: ops_states(local, "idle"), idle)
    sh(local, "idle-0", "touch players/alice")
    wait_for(lambda: ops_states(local, "idle"), idle | {"idle-0": "None"})
    sh(local, "idle-2", "touch players/bob")
    wait_for(lambda: ops_states(local, "idle"), idle | {"idle-0": "None", "idle-2": "None"})
    local.must("scale", "gss", "idle", "--replicas=2")
    wait_for(lambda: ops_states(local, "idle"), {"idle-0": "None", "idle-2": "None"})


def test_a_broken_server_is_maintaining_and_mended_is_none_again(local: Local) -> None:
    well = {"healthy-0": "None", "healthy-1": "None"}
    wait_for(lambda: explained(local, "healthy-0")["qualities"][0]["decision"], "Acted")
    wait_for(lambda: ops_states(local, "healthy"), well)
    sh(local, "healthy-0", "kill $(cat world.pid)")
    wait_for(lambda: ops_states(local, "healthy"), well | {"healthy-0": "Maintaining"})
    told = "healthy=False(empty): opsState None -> Maintaining"
    wait_for(lambda: told in local.must("describe", "gs", "healthy-0"), expected=True)
    sh(local, "healthy-0", "bash ./world.sh > /dev/null 2>&1 &")
    wait_for(lambda: ops_states(local, "healthy"), well)


def test_of_two_qualities_none_yields_and_then_the_later_wins(local: Local) -> None:
    both_idle = {"two-qualities-0": "WaitToBeDeleted", "two-qualities-1": "WaitToBeDeleted"}
    wait_for(lambda: ops_states(local, "two-qualities"), both_idle)

    def fields() -> list[tuple[str, str, str]]:
        found = explained(local, "two-qualities-1")["qualities"][1]["fields"]
        return [(each["field"], each["asked"], each["state"]) for each in found]

    # The verdict of the other quality may come a moment later.
    wait_for(fields, [("opsState", "None", "Overridden")])
    sh(local, "two-qualities-0", "kill $(cat world.pid)")
    broken = both_idle | {"two-qualities-0": "Maintaining"}
    wait_for(lambda: ops_states(local, "two-qualities"), broken)
    sh(local, "two-qualities-0", "touch players/alice")
    quality = {"name": "idle", "status": "False"}
    wait_for(lambda: _verdict(explained(local, "two-qualities-0"), "idle"), quality)
    assert ops_states(local, "two-qualities") == broken
    sh(local, "two-qualities-0", "bash ./world.sh > /dev/null 2>&1 &")
    wait_for(lambda: ops_states(local, "two-qualities"), both_idle | {"two-qualities-0": "None"})


def _verdict(body: dict[str, Any], name: str) -> dict[str, str]:
    return next(
        {key: each["verdict"][key] for key in ("name", "status")}
        for each in body["qualities"]
        if each["name"] == name
    )


def test_the_server_with_the_fewest_players_goes_first(local: Local) -> None:
    def rows() -> dict[str, tuple[str, ...]]:
        selector = "game.kruise.io/owner-gss=player-count"
        table = local.table("get", "gs", "-l", selector)
        return {server: cells[1:3] for server, cells in table.rows.items()}

    wait_for(rows, {f"player-count-{id_}": ("WaitToBeDeleted", "0") for id_ in range(3)})
    for id_, players in enumerate(("a b c", "a", "a b")):
        sh(local, f"player-count-{id_}", f"cd players && touch {players}")
    counted = {
        "player-count-0": ("None", "-3"),
        "player-count-1": ("None", "-1"),
        "player-count-2": ("None", "-2"),
    }
    wait_for(rows, counted)
    path = "jsonpath={.metadata.annotations.example\\.com/players}"
    assert local.must("get", "gs", "player-count-0", "-o", path) == "3"
    local.must("scale", "gss", "player-count", "--replicas=2")
    del counted["player-count-1"]
    wait_for(rows, counted)


def test_an_initialisation_happens_once_and_never_over_what_others_write(local: Local) -> None:
    opened = {"initialisation-0": "Open", "initialisation-1": "Open"}
    wait_for(lambda: ops_states(local, "initialisation"), opened)
    label = "jsonpath={.metadata.labels.example\\.com/world}"
    assert local.must("get", "gs", "initialisation-0", "-o", label) == "island"

    patch = '{"spec":{"opsState":"Allocated"}}'
    local.must("patch", "gs", "initialisation-0", "--type=merge", "-p", patch)
    # The verdict goes to and fro: were it not permanent, the action would run again.
    sh(local, "initialisation-0", "mv world-is-made away")
    status = {"name": "initialised", "status": "False"}
    wait_for(lambda: _verdict(explained(local, "initialisation-0"), "initialised"), status)
    sh(local, "initialisation-0", "mv away world-is-made")
    status["status"] = "True"
    wait_for(lambda: _verdict(explained(local, "initialisation-0"), "initialised"), status)
    quality = explained(local, "initialisation-0")["qualities"][0]
    assert (quality["decision"], quality["fields"]) == ("PermanentDone", [])
    assert ops_states(local, "initialisation") == opened | {"initialisation-0": "Allocated"}


def test_a_failure_is_told_by_its_reason(local: Local) -> None:
    well = {"failure-reasons-0": "None", "failure-reasons-1": "None"}
    sh(local, "failure-reasons-0", "touch ticks-are-late")
    wait_for(
        lambda: ops_states(local, "failure-reasons"), well | {"failure-reasons-0": "LagMaintaining"}
    )
    sh(local, "failure-reasons-0", "touch disk-is-full")
    wait_for(
        lambda: ops_states(local, "failure-reasons"),
        well | {"failure-reasons-0": "DiskMaintaining"},
    )
    text = explain(local, "gs", "failure-reasons-0").stdout
    assert "* state false, result disk: matches" in text
    assert "stderr: no space is left for the world" in text
    sh(local, "failure-reasons-0", "rm disk-is-full ticks-are-late")
    wait_for(lambda: ops_states(local, "failure-reasons"), well)


def test_a_set_is_explained_with_the_verdicts_of_its_servers(local: Local) -> None:
    wait_for(lambda: len(ops_states(local, "healthy")), 2)
    done = explain(local, "gss", "healthy")
    assert done.returncode == 0, done.stderr
    assert "default/healthy  2 wanted" in done.stdout
    assert "healthy-1" in done.stdout


def test_what_does_not_exist_is_told_with_exit_code_1(local: Local) -> None:
    done = explain(local, "gs", "nobody-7", "-n", "elsewhere")
    assert (done.returncode, done.stdout, done.stderr) == (
        1,
        "",
        "gamekeeper explain: there is no game server nobody-7 in elsewhere\n",
    )
