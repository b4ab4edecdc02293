"""The spec of an autoscaler as a policy."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest

from aggregator.scaling.policy import Policy, RatePolicy, ScalingRules
from aggregator.scaling.schedule import Window, parse_zone
from aggregator.scaling.spec import Intent, read_spec
from shared.api.autoscaler import AutoscalerSpec
from shared.errors import InvalidInput

NOW = datetime(2026, 1, 5, tzinfo=UTC)
QUARTER = timedelta(seconds=15)


def spec(**fields) -> AutoscalerSpec:
    return AutoscalerSpec.model_validate(
        {"gameServerSetName": "minecraft", "maxReplicas": 100} | fields
    )


def test_the_defaults_are_those_of_autoscaling_v2():
    assert read_spec(spec(), NOW) == Intent(
        Policy(
            min_replicas=0,
            max_replicas=100,
            scale_up=ScalingRules(
                (RatePolicy("Pods", 4, QUARTER), RatePolicy("Percent", 100, QUARTER))
            ),
            scale_down=ScalingRules((RatePolicy("Percent", 100, QUARTER),), timedelta(seconds=300)),
            wait_to_be_deleted=timedelta(seconds=30),
        )
    )


def test_every_field_is_read():
    limited = {
        "stabilizationWindowSeconds": 60,
        "selectPolicy": "Min",
        "policies": [{"type": "Pods", "value": 2, "periodSeconds": 30}],
    }
    body = spec(
        minReplicas=1,
        minAvailable="20%",
        minAvailableFloor=2,
        maxAvailable=10,
        supplyOpsStates=["None", "Lobby"],
        behavior={"scaleUp": limited, "scaleDown": limited | {"waitToBeDeletedSeconds": 5}},
        schedules=[
            {
                "name": "evening",
                "start": "0 18 * * *",
                "end": "0 23 * * *",
                "timeZone": "Europe/Berlin",
                "minAvailable": "0.5",
                "maxAvailable": 40,
                "minReplicas": 20,
            }
        ],
    )
    rules = ScalingRules(
        (RatePolicy("Pods", 2, timedelta(seconds=30)),), timedelta(seconds=60), "Min"
    )
    zone = parse_zone("Europe/Berlin", "timeZone")
    assert read_spec(body, NOW) == Intent(
        Policy(
            min_replicas=1,
            max_replicas=100,
            min_available=Fraction(1, 5),
            min_available_floor=2,
            max_available=10,
            supply_ops_states=frozenset({"None", "Lobby"}),
            scale_up=rules,
            scale_down=rules,
            wait_to_be_deleted=timedelta(seconds=5),
        ),
        (Window("evening", "0 18 * * *", "0 23 * * *", zone, Fraction(1, 2), 40, 20),),
    )


def schedules(**fields):
    return [{"name": "a", "start": "0 1 * * *", "end": "0 2 * * *", "minReplicas": 1} | fields]


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({"minReplicas": 101}, "spec.minReplicas", "101 must not be above maxReplicas 100"),
        ({"minAvailable": "abc"}, "spec.minAvailable", "'abc' is no amount"),
        ({"maxAvailable": "100%"}, "spec.maxAvailable", "'100%' is no share"),
        (
            {"minAvailable": "4", "maxAvailable": 3},
            "spec.minAvailable",
            "4 must not be above maxAvailable 3",
        ),
        ({"minAvailable": "20%"}, "spec.minAvailable", "a share of no servers is none"),
        ({"schedules": schedules(start="0 0 30 2 *")}, "spec.schedules[0].start", "Bad day"),
        ({"schedules": schedules(end="99 1 * * *")}, "spec.schedules[0].end", "Bad minute"),
        ({"schedules": schedules(timeZone="Mars")}, "spec.schedules[0].timeZone", "no time zone"),
        (
            {"schedules": schedules(minAvailable="-1")},
            "spec.schedules[0].minAvailable",
            "no amount",
        ),
        (
            {"schedules": schedules(minAvailable=4, maxAvailable=3)},
            "spec.schedules[0].minAvailable",
            "4 must not be above maxAvailable 3",
        ),
        (
            {"schedules": schedules(minReplicas=101)},
            "spec.schedules[0].minReplicas",
            "101 must not be above maxReplicas 100",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_field(fields, field, message):
    with pytest.raises(InvalidInput) as refused:
        read_spec(spec(**fields), NOW)
    assert refused.value.field == field
    assert message in refused.value.message


@pytest.mark.parametrize("fields", [{"minReplicas": 1}, {"minAvailableFloor": 1}])
def test_a_share_may_begin_from_something(fields):
    policy = read_spec(spec(minAvailable="20%", **fields), NOW).policy
    assert policy.min_available == Fraction(1, 5)
