"""The CEL rules of our CRDs stay affordable: whatever a rule walks has a bound in its schema.

A real API server refuses a CRD whose rules it estimates to be too expensive, and it takes a list or
a string without a bound for as long as a request can be.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from shared.crd_rules import with_rules
from shared.crds import custom_resource_definitions

Schema = dict[str, Any]
CRDS = {
    crd["spec"]["names"]["kind"]: crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for crd in custom_resource_definitions()
}


def ruled(node: Schema, path: str, above: tuple[Schema, ...]) -> Iterator[Any]:
    """Yield every node that has rules, with its path and the nodes above it."""
    if "x-kubernetes-validations" in node:
        yield pytest.param((*above, node), id=path)
    for name, child in (node.get("properties") or {}).items():
        yield from ruled(child, f"{path}.{name}", (*above, node))
    if "items" in node:
        yield from ruled(node["items"], f"{path}[]", (*above, node))


RULED = [each for kind, root in CRDS.items() for each in ruled(root, kind, ())]


def test_there_are_rules_at_every_place_that_the_specification_names() -> None:
    template = "GameServerSet.spec.gameServerTemplate"
    autoscaler = "GameServerSetAutoscaler.spec"
    assert sorted(str(each.id) for each in RULED) == sorted(
        [
            "GameServer.spec",
            "GameServer.spec.deletionPriority",
            "GameServer.spec.updatePriority",
            autoscaler,
            f"{autoscaler}.gameServerSetName",
            f"{autoscaler}.maxAvailable",
            f"{autoscaler}.minAvailable",
            f"{autoscaler}.schedules[]",
            f"{autoscaler}.schedules[].end",
            f"{autoscaler}.schedules[].maxAvailable",
            f"{autoscaler}.schedules[].minAvailable",
            f"{autoscaler}.schedules[].start",
            f"{autoscaler}.supplyOpsStates[]",
            "GameServerSet.spec",
            "GameServerSet.spec.reserveGameServerIds[]",
            "GameServerSet.spec.serviceQualities[]",
            f"{template}.metadata.annotations",
            f"{template}.metadata.labels",
            f"{template}.spec.containers[]",
            f"{template}.spec.initContainers[]",
        ]
    )


@pytest.mark.parametrize("nodes", RULED)
def test_a_rule_runs_a_bounded_number_of_times_over_something_bounded(
    nodes: tuple[Schema, ...],
) -> None:
    *above, node = nodes
    assert all("maxItems" in each for each in above if each.get("type") == "array")
    if node.get("x-kubernetes-int-or-string"):
        assert "maxLength" in node
    if isinstance(node.get("additionalProperties"), dict):
        assert "maxProperties" in node


def test_what_the_rules_of_a_set_compare_is_bounded() -> None:
    spec = CRDS["GameServerSet"]["properties"]["spec"]["properties"]
    qualities = spec["serviceQualities"]
    template = spec["gameServerTemplate"]["properties"]["spec"]["properties"]
    bounds = {
        "qualities": qualities["maxItems"],
        "containerName": qualities["items"]["properties"]["containerName"]["maxLength"],
        "containers": template["containers"]["maxItems"],
        "name": template["containers"]["items"]["properties"]["name"]["maxLength"],
    }
    assert bounds == {"qualities": 64, "containerName": 63, "containers": 32, "name": 63}


def test_a_rule_on_a_field_that_is_not_declared_is_an_error() -> None:
    with pytest.raises(KeyError):
        with_rules("GameServerSet", {"type": "object", "properties": {}})


def test_the_given_schema_stays_as_it_was() -> None:
    schema = CRDS["GameServerSet"]["properties"]["spec"]
    before = repr(schema)
    with_rules("GameServerSet", schema)
    assert repr(schema) == before
