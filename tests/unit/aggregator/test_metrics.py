"""What a scrape shows: counts by closed labels, the fleet by its sets, never a server's name."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from aggregator.caches import Caches
from aggregator.kube.resources import ObjectKey
from aggregator.ledger import Accepted, Ledger
from aggregator.metrics import Metrics
from aggregator.quality.match import verdict_of
from aggregator.quality.verdicts import Record, render_records
from shared.api import names
from tests.support.builders import NOW, game_server, game_server_set, pod, report


class World:
    """Caches, and the metrics of an aggregator that leads unless a test says otherwise."""

    def __init__(self) -> None:
        self.caches = Caches(Ledger(0, 10))
        self.leading = True
        self.metrics = Metrics(
            self.caches,
            lambda: self.leading,
            lambda: [("gameserver", 3, Counter({"ok": 7, "stale": 1}))],
            monotonic=lambda: 5.0,
        )
        owner = game_server_set(status={"currentReplicas": 2, "readyReplicas": 1})
        self.caches.sets.put(ObjectKey("games", "minecraft"), owner)

    def add(self, id_: int, *, agent: bool = True, **server: Any) -> None:
        key = ObjectKey("games", f"minecraft-{id_}")
        self.caches.pods.put(key, pod(id_, agent=agent))
        self.caches.servers.put(key, game_server(id_, **server))

    def scrape(self) -> dict[str, dict[tuple[str, ...], float]]:
        """Return the values of each sample by its label values, in the order of their names."""
        text, content_type = self.metrics.render("text/plain")
        assert content_type.startswith("text/plain")
        samples: dict[str, dict[tuple[str, ...], float]] = {}
        for family in text_string_to_metric_families(text.decode()):
            for sample in family.samples:
                labels = tuple(value for _, value in sorted(sample.labels.items()))
                samples.setdefault(sample.name, {})[labels] = sample.value
        return samples


@pytest.fixture
def world() -> World:
    return World()


def test_reports_and_reviews_are_counted_by_their_outcome(world: World) -> None:
    for outcome in ("Accepted", "Accepted", "Stale"):
        world.metrics.count_report(outcome)
    world.metrics.count_review("pod")
    shown = world.scrape()
    assert shown["gamekeeper_reports_total"] == {("Accepted",): 2, ("Stale",): 1}
    assert shown["gamekeeper_token_reviews_total"] == {("pod",): 1}


def test_the_fleet_is_shown_by_set_under_our_names_and_openkruisegame_s(world: World) -> None:
    verdict = {"serviceQualitiesConditions": [{"name": "idle", "status": "True"}]}
    world.add(0, opsState="Allocated", status={"currentState": "Ready"} | verdict)
    world.add(1, status={"currentState": "Ready"})
    world.add(2, agent=False, status={"currentState": "Crash"})
    world.caches.ledger.accept(Accepted(report(pod_uid="pod-0"), NOW, changed=True), 5.0)
    shown = world.scrape()
    assert shown["gamekeeper_gameservers"] == {
        ("minecraft", "games", "Ready"): 2,
        ("minecraft", "games", "Crash"): 1,
    }
    assert shown["gamekeeper_gameservers_ops_state"] == {
        ("minecraft", "games", "Allocated"): 1,
        ("minecraft", "games", "None"): 2,
    }
    assert shown["gamekeeper_service_quality_verdicts"] == {
        ("minecraft", "games", "idle", "True"): 1
    }
    assert shown["gamekeeper_agents"] == {
        ("minecraft", "games", "Reporting"): 1,
        ("minecraft", "games", "NoReport"): 1,
        ("minecraft", "games", "AgentMissing"): 1,
    }
    replicas = shown["gamekeeper_gameserverset_replicas"]
    assert (replicas["minecraft", "desired", "games"], replicas["minecraft", "ready", "games"]) == (
        3,
        1,
    )
    assert shown["okg_gameservers_state_count"] == {("Ready",): 2, ("Crash",): 1}
    assert shown["okg_gameservers_opsState_count"] == {
        ("minecraft", "games", "Allocated"): 1,
        ("minecraft", "games", "None"): 2,
    }
    assert shown["okg_gameserversets_replicas_count"] == {
        ("current", "minecraft", "games"): 2,
        ("ready", "minecraft", "games"): 1,
        ("available", "minecraft", "games"): 0,
        ("maintaining", "minecraft", "games"): 0,
        ("waitToBeDeleted", "minecraft", "games"): 0,
    }


def test_no_name_of_a_server_is_a_label(world: World) -> None:
    world.add(7)
    text, _ = world.metrics.render("")
    assert b"minecraft-7" not in text
    assert b"pod-7" not in text


def test_a_standby_shows_nothing_of_the_fleet_so_that_sums_count_once(world: World) -> None:
    world.add(0)
    world.leading = False
    shown = world.scrape()
    assert shown["gamekeeper_leader"] == {(): 0}
    assert "gamekeeper_gameservers" not in shown
    world.leading = True
    assert world.scrape()["gamekeeper_leader"] == {(): 1}


def test_controllers_show_what_waits_and_how_runs_ended(world: World) -> None:
    shown = world.scrape()
    assert shown["gamekeeper_workqueue_depth"] == {("gameserver",): 3}
    assert shown["gamekeeper_reconciles_total"] == {
        ("gameserver", "ok"): 7,
        ("gameserver", "stale"): 1,
    }


def acted(**status: Any) -> Any:
    record = Record(verdict_of("True", "empty"), "pod-0", NOW, {})
    annotations = {names.VERDICTS_ANNOTATION: render_records({"idle": record})}
    return game_server(annotations=annotations, status=status)


def test_an_action_is_counted_once_by_set_quality_and_verdict(world: World) -> None:
    world.add(0)
    world.metrics.server_changed(game_server(), acted())
    world.metrics.server_changed(acted(), acted())
    world.metrics.server_changed(None, acted())
    world.metrics.server_changed(acted(), None)
    key = ("minecraft", "games", "idle", "True")
    assert world.scrape()["gamekeeper_service_quality_actions_total"] == {key: 1}


def test_a_standby_counts_no_action_and_a_set_that_is_gone_leaves_none(world: World) -> None:
    world.add(0)
    world.leading = False
    world.metrics.server_changed(game_server(), acted())
    world.leading = True
    assert "gamekeeper_service_quality_actions_total" not in world.scrape()
    world.metrics.server_changed(game_server(), acted())
    assert "gamekeeper_service_quality_actions_total" in world.scrape()
    world.caches.sets.remove(ObjectKey("games", "minecraft"))
    assert "gamekeeper_service_quality_actions_total" not in world.scrape()


def condition(turned: Any, decided: Any) -> dict[str, Any]:
    times = {
        "lastTransitionTime": turned.isoformat(),
        "lastActionTransitionTime": decided.isoformat(),
    }
    return {"serviceQualitiesConditions": [{"name": "idle", "status": "True"} | times]}


@pytest.mark.parametrize(
    ("turned", "decided", "expected"),
    [
        pytest.param(10.0, 10.25, (1, 0.25), id="a new verdict"),
        pytest.param(10.0, 9.5, (1, 0.0), id="a clock that is ahead"),
        pytest.param(0.0, 10.0, (0, 0.0), id="an old verdict and a corrected action"),
        pytest.param(10.0, 0.0, (0, 0.0), id="a new verdict without an action"),
    ],
)
def test_the_time_from_verdict_to_decision_is_measured(
    world: World, turned: float, decided: float, expected
) -> None:
    before = game_server(status=condition(NOW, NOW))
    times = (NOW + timedelta(seconds=turned), NOW + timedelta(seconds=decided))
    world.metrics.server_changed(before, game_server(status=condition(*times)))
    shown = world.scrape()
    measured = (
        shown["gamekeeper_action_latency_seconds_count"][()],
        shown["gamekeeper_action_latency_seconds_sum"][()],
    )
    assert measured == pytest.approx(expected)


def test_the_rarest_custom_ops_states_share_a_series(world: World) -> None:
    number = 0
    for state in range(40):
        for _ in range(2 if state < 32 else 1):
            world.add(number, opsState=f"custom-{state:02}")
            number += 1
    world.add(number, opsState="Kill")
    shown = world.scrape()["okg_gameservers_opsState_count"]
    assert len(shown) == 34
    assert shown["minecraft", "games", "other"] == 8
    assert shown["minecraft", "games", "Kill"] == 1
    assert shown["minecraft", "games", "custom-31"] == 2
