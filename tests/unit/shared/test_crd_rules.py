"""The CEL rules of our CRDs stay affordable: whatever a rule walks has a bound in its schema.

A real API server refuses a CRD whose rules it estimates to be too expensive, and it takes a list or
a string without a bound for as long as a request can be.
"""

import re
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
        with_rules("GameServerSet", {"type": "object", "properties": {}}, (1, 36))


def test_the_given_schema_stays_as_it_was() -> None:
    schema = CRDS["GameServerSet"]["properties"]["spec"]
    before = repr(schema)
    with_rules("GameServerSet", schema, (1, 36))
    assert repr(schema) == before


# Functions whose cost the API server estimates by the length of the text that they are called on.
READS_THROUGH = ("split(", "matches(", "contains(", "indexOf(", "replace(", "find(", "lowerAscii(")


@pytest.mark.parametrize("version", [(1, 29), (1, 33)])
def test_an_old_estimate_meets_no_rule_that_reads_an_int_or_string_through(version) -> None:
    """It takes such a text for 3 MiB long, whatever its maxLength."""
    for crd in custom_resource_definitions(version):
        root = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        for each in ruled(root, crd["spec"]["names"]["kind"], ()):
            (nodes,) = each.values
            rules = [rule["rule"] for rule in nodes[-1]["x-kubernetes-validations"]]
            if nodes[-1].get("x-kubernetes-int-or-string"):
                assert [rule for rule in rules if any(f in rule for f in READS_THROUGH)] == []


def test_an_old_api_server_still_refuses_what_a_pattern_can_say() -> None:
    by_kind = {
        crd["spec"]["names"]["kind"]: crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        for crd in custom_resource_definitions((1, 33))
    }
    spec = by_kind["GameServerSetAutoscaler"]["properties"]["spec"]["properties"]
    pattern = re.compile(spec["minAvailable"]["pattern"])
    for text in ("3", "0.2", "20%", "1.5"):
        assert pattern.search(text)
    for text in ("x", "0%", "100%", "-1", "01", "3 "):
        assert not pattern.search(text)
    reserve = by_kind["GameServerSet"]["properties"]["spec"]["properties"]["reserveGameServerIds"]
    assert reserve["items"]["pattern"] == "^[0-9]{1,10}-[0-9]{1,10}$"
    assert "x-kubernetes-validations" not in reserve["items"]


def test_versions_differ_in_nothing_else() -> None:
    def stripped(node: Any) -> Any:
        if isinstance(node, list):
            return [stripped(each) for each in node]
        if not isinstance(node, dict):
            return node
        dropped = {"x-kubernetes-validations", "pattern"}
        if not node.get("x-kubernetes-int-or-string"):
            dropped = set()
        return {key: stripped(value) for key, value in node.items() if key not in dropped}

    new, old = custom_resource_definitions(), custom_resource_definitions((1, 33))
    assert new != old
    assert stripped(new) == stripped(old)
