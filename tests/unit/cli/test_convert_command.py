"""`gamekeeper convert`: a ScaledObject becomes an autoscaler, or a clear line says why not."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.__main__ import main

SEEDS = Path(__file__).parents[2] / "data" / "seeds" / "scaledobjects"


def down(seconds: int) -> dict[str, Any]:
    policies = [{"type": "Percent", "value": 100, "periodSeconds": 15}]
    return {
        "scaleDown": {
            "stabilizationWindowSeconds": seconds,
            "policies": policies,
            "waitToBeDeletedSeconds": seconds,
        }
    }


# Of an HPA that says nothing else, and so of every marked server.
WAITS = {"scaleDown": {"waitToBeDeletedSeconds": 300}}


def autoscaler(**spec: Any) -> dict[str, Any]:
    spec = {"behavior": WAITS} | spec
    return {
        "apiVersion": "autoscaling.gamekeeper.dev/v1alpha1",
        "kind": "GameServerSetAutoscaler",
        "metadata": {"name": "minecraft"},
        "spec": {"gameServerSetName": "minecraft", "minReplicas": 0, "maxReplicas": 100} | spec,
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("plain", autoscaler(behavior=down(45))),
        ("max-available", autoscaler(maxAvailable=3, behavior=down(30))),
        ("min-available", autoscaler(minAvailable=3, behavior=down(45))),
        ("cpu", autoscaler(behavior=down(45))),
    ],
)
def test_the_scaled_objects_of_the_seeds_become_autoscalers(name, expected, capsys):
    assert main(["convert", str(SEEDS / f"{name}.yaml")]) == 0
    printed = capsys.readouterr().out
    assert yaml.safe_load(printed) == expected
    assert ("# not taken over: trigger cpu" in printed) == (name == "cpu")


def scaled_object(metadata: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    target = {"apiVersion": "game.kruise.io/v1alpha1", "kind": "GameServerSet", "name": "minecraft"}
    trigger = {"type": "external", "metadata": {"scalerAddress": "x:6000"} | (metadata or {})}
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": "minecraft"},
        "spec": {"scaleTargetRef": target, "triggers": [trigger]} | spec,
    }


def convert(tmp_path: Path, *documents: Any) -> int:
    file = tmp_path / "scaledobject.yaml"
    file.write_text(yaml.safe_dump_all(documents))
    return main(["convert", str(file)])


@pytest.mark.parametrize(
    ("body", "spec", "notes"),
    [
        pytest.param(
            scaled_object({"minAvailable": "20%", "maxAvailable": "0.5"}, minReplicaCount=2),
            {"minReplicas": 2, "minAvailable": "20%", "maxAvailable": "50%"},
            [],
            id="shares",
        ),
        pytest.param(
            scaled_object({"minAvailable": "0.2"}),
            {"minAvailable": "20%", "minAvailableFloor": 1},
            ["minAvailable 20% of no servers is none: minAvailableFloor is 1 instead"],
            id="a share of an empty set",
        ),
        pytest.param(
            scaled_object({"minAvailable": "3.1"}), {"minAvailable": 4}, [], id="a decimal count"
        ),
        pytest.param(
            scaled_object({"minAvailable": ".125", "maxAvailable": "12.5%"}, minReplicaCount=1),
            {"minReplicas": 1, "minAvailable": "0.125", "maxAvailable": "0.125"},
            [],
            id="a share of no whole percent",
        ),
        pytest.param(
            scaled_object({"removal": "Claim"}),
            {"behavior": {"scaleDown": {"waitToBeDeletedSeconds": 30}}},
            [],
            id="removal by name",
        ),
        pytest.param(
            scaled_object(
                {"removal": "Claim", "waitToBeDeletedSeconds": "86400", "hpaTolerance": "0.1"}
            ),
            {"behavior": {"scaleDown": {"waitToBeDeletedSeconds": 86_400}}},
            ["hpaTolerance: the autoscaler has no tolerance, one server counts"],
            id="removal by name after a day",
        ),
        pytest.param(
            scaled_object({"maxReplicas": "20"}, maxReplicaCount=30),
            {"maxReplicas": 20},
            [],
            id="the smaller maximum",
        ),
        pytest.param(
            scaled_object(idleReplicaCount=0, cooldownPeriod=60),
            {},
            [
                "idleReplicaCount: the set never goes below minReplicas, idle or not",
                "cooldownPeriod: behavior.scaleDown says how long to wait",
            ],
            id="fields without a counterpart",
        ),
        pytest.param(
            scaled_object(
                advanced={
                    "horizontalPodAutoscalerConfig": {
                        "behavior": {
                            "scaleUp": {"tolerance": "0.05", "selectPolicy": "Min", "speed": 1}
                        }
                    },
                    "scalingModifiers": {"formula": "a + b"},
                }
            ),
            {"behavior": WAITS | {"scaleUp": {"selectPolicy": "Min"}}},
            [
                "scaleUp.tolerance: the autoscaler has none, one server counts",
                "scaleUp.speed: the autoscaler does not know it",
                "scalingModifiers: the autoscaler has its own formula; stay with KEDA if you need"
                " another",
            ],
            id="a tolerance, a field of another version, a formula",
        ),
    ],
)
def test_what_a_scaled_object_says_is_kept_or_told(tmp_path, capsys, body, spec, notes):
    assert convert(tmp_path, body) == 0
    printed = capsys.readouterr().out
    assert yaml.safe_load(printed) == autoscaler(**spec)
    lead = "# not taken over: "
    told = [line.removeprefix(lead) for line in printed.splitlines() if line.startswith(lead)]
    assert told == notes


def test_a_paused_scaled_object_becomes_an_autoscaler_that_is_off(tmp_path, capsys):
    body = scaled_object()
    body["metadata"] |= {
        "namespace": "games",
        "annotations": {"autoscaling.keda.sh/paused": "true"},
    }
    assert convert(tmp_path, body) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["spec"]["mode"] == "Off"
    assert printed["metadata"] == {"name": "minecraft", "namespace": "games"}


def test_several_scaled_objects_become_several_autoscalers(tmp_path, capsys):
    assert convert(tmp_path, scaled_object(), scaled_object()) == 0
    printed = list(yaml.safe_load_all(capsys.readouterr().out))
    assert printed == [autoscaler(), autoscaler()]


def test_what_kubectl_prints_of_several_is_converted_too(tmp_path, capsys):
    listed = {"apiVersion": "v1", "kind": "List", "items": [scaled_object(), scaled_object()]}
    assert convert(tmp_path, listed) == 0
    printed = list(yaml.safe_load_all(capsys.readouterr().out))
    assert printed == [autoscaler(), autoscaler()]
    listed["items"][1]["kind"] = "ScaledJob"
    assert convert(tmp_path, listed) == 2
    assert "document 1, item 2 is keda.sh/v1alpha1 ScaledJob" in capsys.readouterr().err


DEPLOYMENT = {"name": "web", "kind": "Deployment", "apiVersion": "apps/v1"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"apiVersion": "v1", "kind": "Pod"}, "document 1 is v1 Pod: only a ScaledObject"),
        ({"kind": "Pod"}, "document 1 is Pod: only a ScaledObject"),
        ({}, "document 1 is of no kind: only a ScaledObject"),
        (["a"], "document 1 is no object"),
        (scaled_object() | {"metadata": {}}, "metadata.name must be set"),
        (scaled_object() | {"spec": None}, "spec must be set"),
        (scaled_object(scaleTargetRef={}), "spec.scaleTargetRef.name must be set"),
        (scaled_object(scaleTargetRef=DEPLOYMENT), "is a Deployment; it must be a GameServerSet"),
        (scaled_object(triggers=[]), "must have one external trigger, it has 0"),
        (scaled_object(triggers="all"), "spec.triggers must be a list of objects"),
        (scaled_object() | {"metadata": {"name": 5}}, "metadata.name must be set, and a text"),
        (
            scaled_object() | {"metadata": {"name": "a", "annotations": ["b"]}},
            "metadata.annotations must hold fields, it is ['b']",
        ),
        (scaled_object(advanced="fast"), "spec.advanced must hold fields, it is 'fast'"),
        (
            scaled_object(advanced={"horizontalPodAutoscalerConfig": {"behavior": [1]}}),
            "spec.advanced.horizontalPodAutoscalerConfig.behavior must hold fields, it is [1]",
        ),
        (
            scaled_object(triggers=[{"type": "external", "metadata": "x"}]),
            "external trigger.metadata must hold fields, it is 'x'",
        ),
        (
            scaled_object({"gameServerSet": "other"}),
            "gameServerSet is other, scaleTargetRef minecraft: an autoscaler looks at the set that"
            " it scales, so make them the same",
        ),
        (scaled_object({"removal": "Delete"}), "removal: 'Delete' must be Count or Claim"),
        (scaled_object(maxReplicaCount="many"), "maxReplicaCount must be a whole number"),
        (scaled_object(minReplicaCount=200), "200 must not be above maxReplicas 100"),
        (scaled_object({"minAvailable": "abc"}), "minAvailable: 'abc' is no amount"),
        (
            scaled_object({"minAvailable": "4", "maxAvailable": "3"}),
            "spec.minAvailable: 4 must not be above maxAvailable 3",
        ),
        (
            scaled_object(
                advanced={
                    "horizontalPodAutoscalerConfig": {
                        "behavior": {"scaleDown": {"stabilizationWindowSeconds": "long"}}
                    }
                }
            ),
            "behavior.scaleDown.stabilizationWindowSeconds",
        ),
    ],
)
def test_what_cannot_be_converted_is_said_in_one_line(tmp_path, capsys, body, message):
    assert convert(tmp_path, body) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1
