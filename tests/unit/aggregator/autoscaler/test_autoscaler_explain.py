"""A decision explained: every number of the formula, what bound it, who is what and why."""

from datetime import timedelta

import pytest

from aggregator.autoscaler.explain import Explained, explain, explain_verdict
from aggregator.autoscaler.judgement import Verdict
from aggregator.autoscaler.status import describe
from aggregator.scaling.evaluate import evaluate
from aggregator.scaling.policy import History
from aggregator.scaling.schedule import Scheduled
from cli.explain_autoscaler import render_autoscaler
from tests.support.autoscaled_world import AUTOSCALER_KEY, autoscaled, install
from tests.support.scaling import MARKED, Group, at, policy, rules, snapshot

# Minutes of virtual time take seconds where both cores are busy.
pytestmark = pytest.mark.timeout(60)

NOW = at(1000)


def explained(taken, wanted) -> dict:
    decision = evaluate(taken, wanted, History(), NOW)
    scheduled = Scheduled(wanted, ("evening",))
    wake_at = NOW + timedelta(seconds=15)
    return explain(Explained("minecraft", taken, scheduled, decision, NOW, wake_at))


def test_every_number_of_a_decision_is_told():
    taken = snapshot(
        Group(1),
        Group(1, state="Creating"),
        Group(2, "Allocated"),
        Group(1, MARKED, since=900),
        Group(1, MARKED, since=990),
        Group(1, "Kill"),
        Group(1, MARKED, leaving=True),
        Group(1, MARKED, stale=True),
        spec=9,
    )
    wanted = policy(min_available="50%", most=9, dwell=30, scale_up=rules(("Pods", 3, 15)), least=1)
    body = explained(taken, wanted)
    servers = body.pop("servers")
    assert body == {
        "set": "minecraft",
        "at": "2026-01-01T00:16:40.000Z",
        "text": "remove 4 (marked servers wait for waitToBeDeletedSeconds)",
        "policy": {
            "minReplicas": 1,
            "maxReplicas": 9,
            "minAvailable": "50%",
            "minAvailableFloor": 0,
            "maxAvailable": None,
            "supplyOpsStates": ["None"],
            "waitToBeDeletedSeconds": 30,
        },
        "openSchedules": ["evening"],
        "census": {
            "spec": 9,
            "present": 7,
            "kill": 1,
            "expected": 8,
            "missing": 1,
            "ready": 1,
            "booting": 1,
            "idle": 3,
            "marked": 2,
            "base": 6,
            "ripe": 1,
            "dwelling": 1,
            "inUse": 3,
            "leaving": 1,
            "settled": True,
        },
        "growth": {
            "deficit": 0,
            "stabilized": 0,
            "rate": 3,
            "room": 1,
            "forced": 0,
            "add": 0,
        },
        "removal": {
            "excess": 0,
            "stabilized": 0,
            "dwelling": 1,
            "wanted": 1,
            "rate": 2147483648,
            "room": 7,
            "cancel": 0,
            "victims": ["minecraft-4"],
        },
        "specReplicas": 9,
        "desiredReplicas": 7,
        "limits": [
            {
                "reason": "WaitToBeDeletedDwell",
                "meaning": "marked servers wait for waitToBeDeletedSeconds",
            }
        ],
        "wakeAt": "2026-01-01T00:16:55.000Z",
    }
    told = {each["name"]: each for each in servers}
    assert {name: (each["class"], each["victim"]) for name, each in told.items()} == {
        "minecraft-0": ("IdleReady", False),
        "minecraft-1": ("IdleBooting", False),
        "minecraft-2": ("InUse", False),
        "minecraft-3": ("InUse", False),
        "minecraft-4": ("Marked", True),
        "minecraft-5": ("Marked", False),
        "minecraft-6": ("Kill", False),
        "minecraft-7": ("Leaving", False),
        "minecraft-8": ("InUse", False),
    }
    assert [each["why"] for each in told.values()] == [
        "None is supply, and it is Ready",
        "None is supply, and it is Creating",
        "Allocated is no supply: it is never removed",
        "Allocated is no supply: it is never removed",
        "marked for removal at 2026-01-01T00:15:00.000Z, ripe since 2026-01-01T00:15:30.000Z",
        "marked for removal at 2026-01-01T00:16:30.000Z, ripe at 2026-01-01T00:17:00.000Z",
        "opsState Kill: it goes by itself and lowers replicas",
        "it terminates, waits for its preDelete hook, or is claimed",
        "marked by a quality that does not know any more: neither marked nor supply",
    ]


@pytest.mark.parametrize(
    ("taken", "wanted", "text"),
    [
        (snapshot(Group(1)), policy(), "leave it"),
        (snapshot(Group(1)), policy(min_available=3), "add 2"),
        (
            snapshot(Group(2), spec=4),
            policy(max_available=1),
            "cancel 2 not created yet; remove 1",
        ),
        (snapshot(Group(7, MARKED)), policy(), "remove 6, 5, 4, 3, 2 and 2 more"),
        (
            snapshot(Group(9, "Allocated")),
            policy(min_available=2, most=9),
            "leave it (maxReplicas leaves no room for what is missing)",
        ),
    ],
)
def test_a_decision_in_a_sentence(taken, wanted, text):
    assert describe(evaluate(taken, wanted, History(), NOW)) == text


def test_a_person_reads_the_same_numbers():
    body = explained(
        snapshot(Group(1), Group(1, MARKED, since=990)), policy(min_available=3, dwell=30)
    )
    verdict = Verdict(inactive=("DryRun", "spec.mode is DryRun: nothing is written"))
    body |= {"namespace": "games", "name": "minecraft"} | explain_verdict(verdict)
    assert render_autoscaler(body).splitlines() == [
        "games/minecraft  scales minecraft: add 2 (marked servers wait for waitToBeDeletedSeconds)",
        "  not acting DryRun: spec.mode is DryRun: nothing is written",
        "  decided    2026-01-01T00:16:40.000Z, again at 2026-01-01T00:16:55.000Z or when something"
        " changes",
        "  policy     minReplicas 0, maxReplicas 100, minAvailable 3, minAvailableFloor 0,"
        " supplyOpsStates None, waitToBeDeletedSeconds 30, in the schedules evening",
        "  servers    replicas 2 - 0 going by themselves = 2 expected, 2 there, 0 missing",
        "  supply     1 ready + 0 booting + 0 missing = 1 idle",
        "  others     0 in use, 0 marked and ripe, 1 marked and waiting, 0 leaving",
        "  growth     deficit 2, in its window 2, rate 2147483648, room below maxReplicas 98, to"
        " minReplicas 0: add 2",
        "  removal    excess 0, in its window 0, wanted 0, rate 2147483648, room above minReplicas"
        " 2: cancel 0, remove 0",
        "  limit      WaitToBeDeletedDwell: marked servers wait for waitToBeDeletedSeconds",
        "",
        "SERVER        CLASS       GOES   WHY",
        "minecraft-0   IdleReady          None is supply, and it is Ready",
        "minecraft-1   Marked             marked for removal at 2026-01-01T00:16:30.000Z, ripe at"
        " 2026-01-01T00:17:00.000Z",
    ]


OFF = "spec.mode is Off: set it to Active or DryRun"


@pytest.mark.parametrize(
    ("spec", "reason", "message"),
    [
        pytest.param({"mode": "Off"}, "Off", OFF, id="switched off"),
        pytest.param(
            {"minAvailable": "abc"},
            "InvalidSpec",
            "spec.minAvailable: 'abc' is no amount: it must be a whole number such as 3, or a share"
            ' such as "20%" or "0.2"',
            id="a value that means nothing",
        ),
        pytest.param(
            {"gameServerSetName": "other"},
            "SetNotFound",
            "there is no GameServerSet other in this namespace",
            id="no such set",
        ),
    ],
)
async def test_who_decides_nothing_says_why(clock, monkeypatch, spec, reason, message):
    install(clock, monkeypatch)
    world = autoscaled(clock, replicas=1, minAvailable=3)
    assert world.autoscaler.explanation(AUTOSCALER_KEY) is None
    await world.run(10)
    assert world.autoscaler.explanation(AUTOSCALER_KEY)["census"]["spec"] == 3
    world.edit_autoscaler(**spec)
    await world.run(10)
    body = world.autoscaler.explanation(AUTOSCALER_KEY)
    assert body == {
        "namespace": "games",
        "name": "minecraft",
        "acts": False,
        "obstacles": [{"reason": reason, "message": message}],
    }
    assert render_autoscaler(body).splitlines() == [
        "games/minecraft  decides nothing",
        f"  not acting {reason}: {message}",
    ]


async def test_what_is_decided_and_not_carried_out_says_why(clock, monkeypatch):
    install(clock, monkeypatch)
    world = autoscaled(clock, replicas=1, minAvailable=3, mode="DryRun")
    world.annotate_set("gamekeeper.dev/paused", "true")
    await world.run(10)
    body = world.autoscaler.explanation(AUTOSCALER_KEY)
    assert (body["acts"], body["growth"]["add"]) == (False, 2)
    assert [each["reason"] for each in body["obstacles"]] == ["SetPaused", "DryRun"]
