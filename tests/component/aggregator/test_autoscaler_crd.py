"""The rules of a GameServerSetAutoscaler as the API server applies them: field and message."""

from typing import Any

import pytest

from aggregator.kube.client import HttpKubeClient
from aggregator.kube.errors import Rejected
from aggregator.kube.patch import MergePatch
from aggregator.kube.resources import AUTOSCALERS, ObjectKey
from cli.convert import convert

pytestmark = [pytest.mark.component, pytest.mark.timeout(30)]

WINDOW = {"name": "evening", "start": "0 18 * * *", "end": "0 23 * * *", "minReplicas": 5}


def autoscaler(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "autoscaling.gamekeeper.dev/v1alpha1",
        "kind": "GameServerSetAutoscaler",
        "metadata": {"name": "minecraft"},
        "spec": {"gameServerSetName": "minecraft", "maxReplicas": 100} | spec,
    }


async def test_what_is_not_said_has_the_defaults_of_the_papers(kube: HttpKubeClient, namespace):
    stored = await kube.create(AUTOSCALERS, namespace, autoscaler(behavior={"scaleDown": {}}))
    assert stored["spec"] == {
        "gameServerSetName": "minecraft",
        "mode": "Active",
        "minReplicas": 0,
        "maxReplicas": 100,
        "minAvailableFloor": 0,
        "supplyOpsStates": ["None"],
        "behavior": {
            "scaleDown": {
                "stabilizationWindowSeconds": 300,
                "selectPolicy": "Max",
                "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
                "waitToBeDeletedSeconds": 30,
            }
        },
    }


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"minAvailable": 3, "maxAvailable": 3}, id="counts"),
        pytest.param({"minAvailable": "20%", "minReplicas": 1}, id="a percentage"),
        pytest.param({"minAvailable": "0.25", "minAvailableFloor": 1}, id="a share"),
        pytest.param({"minAvailable": "3.1", "maxAvailable": "0.5%"}, id="decimals"),
        pytest.param({"minReplicas": 100}, id="min equals max"),
        pytest.param({"schedules": [WINDOW, WINDOW | {"name": "night"}]}, id="windows"),
        pytest.param({"supplyOpsStates": ["WaitToBeDeleted", "Lobby"]}, id="opsStates"),
    ],
)
async def test_a_spec_is_accepted(kube: HttpKubeClient, namespace, spec):
    stored = await kube.create(AUTOSCALERS, namespace, autoscaler(**spec))
    assert {key: stored["spec"][key] for key in spec} == spec | (
        {"schedules": [{"timeZone": "UTC", **each} for each in spec["schedules"]]}
        if "schedules" in spec
        else {}
    )


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        pytest.param({"maxReplicas": None}, "spec.maxReplicas", id="no maxReplicas"),
        pytest.param({"minReplicas": 101}, "spec.minReplicas", id="min above max"),
        pytest.param({"minReplicas": -1}, "spec.minReplicas", id="negative"),
        pytest.param(
            {"minAvailable": 4, "maxAvailable": 3}, "spec.minAvailable", id="out of order"
        ),
        pytest.param({"minAvailable": "20%"}, "spec.minAvailable", id="a share of nothing"),
        pytest.param({"minAvailable": "0.2"}, "spec.minAvailable", id="a decimal of nothing"),
        *(
            pytest.param({"maxAvailable": bad}, "spec.maxAvailable", id=f"maxAvailable {bad}")
            for bad in ("abc", -1, "-1", "100%", "0%", "1e400", "", "1_0", "0.0")
        ),
        *(
            pytest.param({"supplyOpsStates": [bad]}, "spec.supplyOpsStates[0]", id=f"supply {bad}")
            for bad in ("Allocated", "Maintaining", "Kill", "not legal")
        ),
        pytest.param({"supplyOpsStates": []}, "spec.supplyOpsStates", id="no supply"),
        pytest.param({"mode": "Sometimes"}, "spec.mode", id="mode"),
        pytest.param({"gameServerSetName": "a.b"}, "spec.gameServerSetName", id="no name of a set"),
        pytest.param(
            {"schedules": [WINDOW | {"start": "daily"}]}, "spec.schedules[0].start", id="no cron"
        ),
        pytest.param(
            {"schedules": [WINDOW | {"minReplicas": 101}]}, "spec.schedules", id="window above max"
        ),
        pytest.param(
            {"schedules": [{k: v for k, v in WINDOW.items() if k != "minReplicas"}]},
            "spec.schedules[0]",
            id="a window for nothing",
        ),
        pytest.param({"schedules": [WINDOW, WINDOW]}, "spec.schedules[1]", id="two of one name"),
        pytest.param(
            {"behavior": {"scaleUp": {"policies": []}}},
            "spec.behavior.scaleUp.policies",
            id="no policies",
        ),
        pytest.param(
            {"behavior": {"scaleUp": {"stabilizationWindowSeconds": 3601}}},
            "spec.behavior.scaleUp.stabilizationWindowSeconds",
            id="too long a window",
        ),
    ],
)
async def test_a_spec_is_refused_with_its_field(kube: HttpKubeClient, namespace, spec, field):
    body = autoscaler(**spec)
    body["spec"] = {key: value for key, value in body["spec"].items() if value is not None}
    with pytest.raises(Rejected) as refused:
        await kube.create(AUTOSCALERS, namespace, body)
    # Of a field that is missing the server also says that it did not ask the rules.
    assert {cause.field for cause in refused.value.causes} - {"<nil>"} == {field}


AMOUNT = 'must be a whole number such as 3, or a share such as "20%" or "0.2"'
CRON = "must have five fields: minute, hour, day of month, month, day of week"


@pytest.mark.parametrize(
    ("spec", "field", "message"),
    [
        ({"minAvailable": "abc"}, "spec.minAvailable", AMOUNT),
        ({"maxAvailable": "100%"}, "spec.maxAvailable", AMOUNT),
        (
            {"schedules": [WINDOW | {"minAvailable": "1e400"}]},
            "spec.schedules[0].minAvailable",
            AMOUNT,
        ),
        (
            {"schedules": [WINDOW | {"maxAvailable": "-1"}]},
            "spec.schedules[0].maxAvailable",
            AMOUNT,
        ),
        ({"schedules": [WINDOW | {"start": "daily"}]}, "spec.schedules[0].start", CRON),
        ({"schedules": [WINDOW | {"end": "0 18 * *"}]}, "spec.schedules[0].end", CRON),
    ],
)
async def test_a_text_that_means_nothing_is_answered_with_what_would(
    kube: HttpKubeClient, namespace, spec, field, message
):
    with pytest.raises(Rejected) as refused:
        await kube.create(AUTOSCALERS, namespace, autoscaler(**spec))
    (cause,) = refused.value.causes
    assert (cause.field, cause.message.split(": ", 2)[-1]) == (field, message)


@pytest.mark.parametrize("amount", ["3", "03", "3.1", "20%", "020.0%", ".125", "12.5%", "0.0001%"])
async def test_what_convert_makes_of_an_amount_is_accepted(kube: HttpKubeClient, namespace, amount):
    target = {"apiVersion": "game.kruise.io/v1alpha1", "kind": "GameServerSet", "name": "minecraft"}
    trigger = {"type": "external", "metadata": {"minAvailable": amount, "maxAvailable": amount}}
    scaled_object = {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": "minecraft"},
        "spec": {"scaleTargetRef": target, "triggers": [trigger]},
    }
    body, _ = convert(scaled_object, "here")
    stored = await kube.create(AUTOSCALERS, namespace, body)
    assert {name: stored["spec"][name] for name in body["spec"]} == body["spec"] | {
        "behavior": stored["spec"]["behavior"]
    }


async def test_the_set_of_an_autoscaler_cannot_change(kube: HttpKubeClient, namespace):
    await kube.create(AUTOSCALERS, namespace, autoscaler())
    with pytest.raises(Rejected) as refused:
        await kube.patch(
            AUTOSCALERS,
            ObjectKey(namespace, "minecraft"),
            MergePatch({"spec": {"gameServerSetName": "other"}}),
        )
    assert [(cause.field, cause.message) for cause in refused.value.causes] == [
        (
            "spec.gameServerSetName",
            'Invalid value: "string": cannot change; make another autoscaler for another set',
        )
    ]
