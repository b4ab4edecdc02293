"""Every example as its README tells it, typed as a person would; all on one local cluster."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.cluster import REPOSITORY, Cluster, OpenCluster

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
def cluster(open_cluster: OpenCluster) -> Iterator[Cluster]:
    files = [REPOSITORY / "examples" / name / f"{name}.yaml" for name in EXAMPLES]
    with open_cluster(files=files) as running:
        # Whichever test comes first types into a game's container: every container runs by then.
        running.wait_for(lambda: set(states(running).values()), {"Ready"})
        yield running


def states(cluster: Cluster) -> dict[str, str]:
    """Return the STATE of each server that is wanted; one that is not there yet has none."""
    sets = cluster.table("get", "gss", "-o", REPLICAS).rows
    wanted = {f"{name}-{id_}": "" for name, cells in sets.items() for id_ in range(int(cells[0]))}
    return wanted | {name: cells[0] for name, cells in cluster.servers().items()}


def ops_states(cluster: Cluster, name: str) -> dict[str, str]:
    """Return the opsState of each server of a set, as the table shows it."""
    rows = cluster.table("get", "gs", "-l", f"game.kruise.io/owner-gss={name}").rows
    return {server: cells[1] for server, cells in rows.items()}


def sh(cluster: Cluster, server: str, script: str) -> None:
    """Run a script in the game's container."""
    cluster.must("exec", server, "-c", "game", "--", "bash", "-c", script)


def explained(cluster: Cluster, server: str) -> dict[str, Any]:
    """Return what `gamekeeper explain` tells of a server, as JSON."""
    done = cluster.gamekeeper("explain", "gs", server, "-o", "json")
    assert done.returncode == 0, done.stderr
    body: dict[str, Any] = json.loads(done.stdout)
    return body


def test_idle_servers_are_marked_and_those_with_players_are_spared(cluster: Cluster) -> None:
    idle = {f"idle-{id_}": "WaitToBeDeleted" for id_ in range(3)}
    cluster.wait_for(lambda: ops_states(cluster, "idle"), idle)
    sh(cluster, "idle-0", "touch players/alice")
    cluster.wait_for(lambda: ops_states(cluster, "idle"), idle | {"idle-0": "None"})
    sh(cluster, "idle-2", "touch players/bob")
    cluster.wait_for(
        lambda: ops_states(cluster, "idle"), idle | {"idle-0": "None", "idle-2": "None"}
    )
    cluster.must("scale", "gss", "idle", "--replicas=2")
    cluster.wait_for(lambda: ops_states(cluster, "idle"), {"idle-0": "None", "idle-2": "None"})


def test_a_broken_server_is_maintaining_and_mended_is_none_again(cluster: Cluster) -> None:
    well = {"healthy-0": "None", "healthy-1": "None"}
    cluster.wait_for(lambda: explained(cluster, "healthy-0")["qualities"][0]["decision"], "Acted")
    cluster.wait_for(lambda: ops_states(cluster, "healthy"), well)
    sh(cluster, "healthy-0", "kill $(cat world.pid)")
    cluster.wait_for(lambda: ops_states(cluster, "healthy"), well | {"healthy-0": "Maintaining"})
    told = "healthy=False(empty): opsState None -> Maintaining"
    cluster.wait_for(lambda: told in cluster.must("describe", "gs", "healthy-0"), expected=True)
    sh(cluster, "healthy-0", "bash ./world.sh > /dev/null 2>&1 &")
    cluster.wait_for(lambda: ops_states(cluster, "healthy"), well)


def test_of_two_qualities_none_yields_and_then_the_later_wins(cluster: Cluster) -> None:
    both_idle = {"two-qualities-0": "WaitToBeDeleted", "two-qualities-1": "WaitToBeDeleted"}
    cluster.wait_for(lambda: ops_states(cluster, "two-qualities"), both_idle)

    def fields() -> list[tuple[str, str, str]]:
        found = explained(cluster, "two-qualities-1")["qualities"][1]["fields"]
        return [(each["field"], each["asked"], each["state"]) for each in found]

    # The verdict of the other quality may come a moment later.
    cluster.wait_for(fields, [("opsState", "None", "Overridden")])
    sh(cluster, "two-qualities-0", "kill $(cat world.pid)")
    broken = both_idle | {"two-qualities-0": "Maintaining"}
    cluster.wait_for(lambda: ops_states(cluster, "two-qualities"), broken)
    sh(cluster, "two-qualities-0", "touch players/alice")
    quality = {"name": "idle", "status": "False"}
    cluster.wait_for(lambda: _verdict(explained(cluster, "two-qualities-0"), "idle"), quality)
    assert ops_states(cluster, "two-qualities") == broken
    sh(cluster, "two-qualities-0", "bash ./world.sh > /dev/null 2>&1 &")
    cluster.wait_for(
        lambda: ops_states(cluster, "two-qualities"), both_idle | {"two-qualities-0": "None"}
    )


def _verdict(body: dict[str, Any], name: str) -> dict[str, str]:
    return next(
        {key: each["verdict"][key] for key in ("name", "status")}
        for each in body["qualities"]
        if each["name"] == name
    )


def test_the_server_with_the_fewest_players_goes_first(cluster: Cluster) -> None:
    def rows() -> dict[str, tuple[str, ...]]:
        selector = "game.kruise.io/owner-gss=player-count"
        table = cluster.table("get", "gs", "-l", selector)
        return {server: cells[1:3] for server, cells in table.rows.items()}

    cluster.wait_for(rows, {f"player-count-{id_}": ("WaitToBeDeleted", "0") for id_ in range(3)})
    for id_, players in enumerate(("a b c", "a", "a b")):
        sh(cluster, f"player-count-{id_}", f"cd players && touch {players}")
    counted = {
        "player-count-0": ("None", "-3"),
        "player-count-1": ("None", "-1"),
        "player-count-2": ("None", "-2"),
    }
    cluster.wait_for(rows, counted)
    path = "jsonpath={.metadata.annotations.example\\.com/players}"
    assert cluster.must("get", "gs", "player-count-0", "-o", path) == "3"
    cluster.must("scale", "gss", "player-count", "--replicas=2")
    del counted["player-count-1"]
    cluster.wait_for(rows, counted)


def test_an_initialisation_happens_once_and_never_over_what_others_write(cluster: Cluster) -> None:
    opened = {"initialisation-0": "Open", "initialisation-1": "Open"}
    cluster.wait_for(lambda: ops_states(cluster, "initialisation"), opened)
    label = "jsonpath={.metadata.labels.example\\.com/world}"
    assert cluster.must("get", "gs", "initialisation-0", "-o", label) == "island"

    patch = '{"spec":{"opsState":"Allocated"}}'
    cluster.must("patch", "gs", "initialisation-0", "--type=merge", "-p", patch)
    # The verdict goes to and fro: were it not permanent, the action would run again.
    sh(cluster, "initialisation-0", "mv world-is-made away")
    status = {"name": "initialised", "status": "False"}
    cluster.wait_for(
        lambda: _verdict(explained(cluster, "initialisation-0"), "initialised"), status
    )
    sh(cluster, "initialisation-0", "mv away world-is-made")
    status["status"] = "True"
    cluster.wait_for(
        lambda: _verdict(explained(cluster, "initialisation-0"), "initialised"), status
    )
    quality = explained(cluster, "initialisation-0")["qualities"][0]
    assert (quality["decision"], quality["fields"]) == ("PermanentDone", [])
    assert ops_states(cluster, "initialisation") == opened | {"initialisation-0": "Allocated"}


def test_a_failure_is_told_by_its_reason(cluster: Cluster) -> None:
    well = {"failure-reasons-0": "None", "failure-reasons-1": "None"}
    sh(cluster, "failure-reasons-0", "touch ticks-are-late")
    cluster.wait_for(
        lambda: ops_states(cluster, "failure-reasons"),
        well | {"failure-reasons-0": "LagMaintaining"},
    )
    sh(cluster, "failure-reasons-0", "touch disk-is-full")
    cluster.wait_for(
        lambda: ops_states(cluster, "failure-reasons"),
        well | {"failure-reasons-0": "DiskMaintaining"},
    )
    text = cluster.gamekeeper("explain", "gs", "failure-reasons-0").stdout
    assert "* state false, result disk: matches" in text
    assert "stderr: no space is left for the world" in text
    sh(cluster, "failure-reasons-0", "rm disk-is-full ticks-are-late")
    cluster.wait_for(lambda: ops_states(cluster, "failure-reasons"), well)


def test_a_set_is_explained_with_the_verdicts_of_its_servers(cluster: Cluster) -> None:
    cluster.wait_for(lambda: len(ops_states(cluster, "healthy")), 2)
    done = cluster.gamekeeper("explain", "gss", "healthy")
    assert done.returncode == 0, done.stderr
    assert f"{cluster.namespace}/healthy  2 wanted" in done.stdout
    assert "healthy-1" in done.stdout


def test_what_does_not_exist_is_told_with_exit_code_1(cluster: Cluster) -> None:
    done = cluster.gamekeeper("explain", "gs", "nobody-7")
    assert (done.returncode, done.stdout, done.stderr) == (
        1,
        "",
        f"gamekeeper explain: there is no game server nobody-7 in {cluster.namespace}\n",
    )
