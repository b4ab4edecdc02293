"""The CRDs: in the chart, structural, with the seeds' columns and the bounds of SPEC 1.3."""

from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from shared.crds import custom_resource_definitions, structural
from tests.contract.structural import violations

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "gamekeeper" / "crds"
SEEDS = sorted((ROOT / "tests" / "data" / "seeds").glob("*.yaml"))
CRDS = {crd["spec"]["names"]["kind"]: crd for crd in custom_resource_definitions()}


def version(kind: str) -> dict[str, Any]:
    (only,) = CRDS[kind]["spec"]["versions"]
    return only


def schema(kind: str) -> dict[str, Any]:
    return version(kind)["schema"]["openAPIV3Schema"]


def as_json_schema(node: Any) -> Any:
    """Spell out what plain JSON schema does not know."""
    if isinstance(node, list):
        return [as_json_schema(item) for item in node]
    if not isinstance(node, dict):
        return node
    result = {key: as_json_schema(value) for key, value in node.items()}
    if result.pop("x-kubernetes-int-or-string", False):
        result["type"] = ["integer", "string"]
    return result


VALIDATORS = {
    kind: jsonschema_rs.validator_for(as_json_schema(schema(kind)), validate_formats=True)
    for kind in CRDS
}


def refused(kind: str, body: Any) -> set[str]:
    """The paths of the fields that the schema refuses."""
    errors = VALIDATORS[kind].iter_errors(body)
    return {".".join(str(part) for part in error.instance_path) for error in errors}


def test_the_chart_has_the_generated_crds():
    generated = {
        f"{crd['metadata']['name']}.yaml": yaml.safe_dump(crd, sort_keys=True)
        for crd in CRDS.values()
    }
    in_chart = {
        path.name: yaml.safe_dump(yaml.safe_load(path.read_text()), sort_keys=True)
        for path in CHART.glob("*.yaml")
    }
    assert in_chart == generated, "the chart's CRDs differ from the models: run `make crds`"


@pytest.mark.parametrize("kind", CRDS)
def test_the_schema_is_structural(kind):
    assert violations(schema(kind)) == []


def columns(kind: str, *, wide: bool) -> list[str]:
    listed = version(kind)["additionalPrinterColumns"]
    return [column["name"] for column in listed if wide or not column["priority"]]


def test_the_columns_are_the_seeds():
    assert columns("GameServer", wide=True) == ["STATE", "OPSSTATE", "DP", "UP", "AGE"]
    head = ["DESIRED", "CURRENT", "UPDATED", "READY", "MAINTAINING", "WAITTOBEDELETED"]
    assert columns("GameServerSet", wide=False) == [*head, "AGE"]
    more = ["PREDELETE", "NONE", "ALLOCATED", "KILL"]
    assert sorted(columns("GameServerSet", wide=True)) == sorted([*head, *more, "AGE"])


def resolve(kind: str, path: str) -> dict[str, Any]:
    node = schema(kind)
    for name in path.strip(".").split("."):
        node = node["properties"].get(name, {}) if name != "creationTimestamp" else {"type": "date"}
    return node


@pytest.mark.parametrize("kind", CRDS)
def test_every_column_shows_a_field_of_its_type(kind):
    for column in version(kind)["additionalPrinterColumns"]:
        field = resolve(kind, column["jsonPath"])
        kinds = {column["type"], "string"} if column["type"] == "string" else {column["type"]}
        assert field.get("type", "string") in kinds, column["name"]


def test_the_set_can_be_scaled():
    subresources = version("GameServerSet")["subresources"]
    assert subresources == {
        "status": {},
        "scale": {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.labelSelector",
        },
    }
    assert version("GameServer")["subresources"] == {"status": {}}


@pytest.mark.parametrize("path", SEEDS, ids=lambda path: path.name)
def test_a_manifest_of_the_seeds_is_valid(path):
    body = yaml.safe_load(path.read_text())
    assert refused(body["kind"], body) == set()


def game_server_set(quality: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "replicas": 1,
        "gameServerTemplate": {"spec": {"containers": [{"name": "game"}]}},
    }
    if quality is not None:
        body["serviceQualities"] = [{"name": "q", "exec": {"command": ["a"]}} | quality]
    return {"metadata": {"name": "minecraft"}, "spec": body | spec}


QUALITY = "spec.serviceQualities.0"
ITEM = "spec.reserveGameServerIds.0"


@pytest.mark.parametrize(
    ("body", "path"),
    [
        pytest.param(game_server_set(replicas=-1), "spec.replicas", id="negative replicas"),
        pytest.param(game_server_set(replicas=2**31), "spec.replicas", id="too many replicas"),
        pytest.param(game_server_set(replicas="3"), "spec.replicas", id="replicas a text"),
        pytest.param({"spec": {"replicas": 1}}, "spec", id="no template"),
        pytest.param(
            game_server_set(gameServerTemplate={"spec": {}}),
            "spec.gameServerTemplate.spec",
            id="no containers",
        ),
        pytest.param(
            game_server_set(gameServerTemplate={"spec": {"containers": []}}),
            "spec.gameServerTemplate.spec.containers",
            id="empty containers",
        ),
        pytest.param(
            game_server_set(
                gameServerTemplate={
                    "metadata": {"labels": {"a": 1}},
                    "spec": {"containers": [{"name": "game"}]},
                }
            ),
            "spec.gameServerTemplate.metadata.labels.a",
            id="a template's label is no text",
        ),
        pytest.param(
            {**game_server_set(), "metadata": {"name": "a" * 53}},
            "metadata.name",
            id="53 characters",
        ),
        pytest.param(
            {**game_server_set(), "metadata": {"name": "a.b"}},
            "metadata.name",
            id="dot in the name",
        ),
        *(
            pytest.param(game_server_set(reserveGameServerIds=[item]), ITEM, id=f"reserve {item!r}")
            for item in (-1, 2**31, "a", "5-", "1-2-3", "", "-1", "12345678901-2")
        ),
        pytest.param(
            game_server_set(reserveGameServerIds=[1] * 10_001),
            "spec.reserveGameServerIds",
            id="10001 reserve items",
        ),
        pytest.param(
            game_server_set({"exec": {"command": []}}),
            f"{QUALITY}.exec.command",
            id="empty command",
        ),
        pytest.param(
            game_server_set({"exec": {"command": ["a" * 16_385]}}),
            f"{QUALITY}.exec.command.0",
            id="argument too long",
        ),
        pytest.param(game_server_set({"tcpSocket": {"port": 1}}), QUALITY, id="two handlers"),
        pytest.param(game_server_set(serviceQualities=[{"name": "q"}]), QUALITY, id="no handler"),
        pytest.param(game_server_set({"name": ""}), f"{QUALITY}.name", id="empty name"),
        pytest.param(game_server_set({"name": "a_b"}), f"{QUALITY}.name", id="name not label-safe"),
        pytest.param(game_server_set({"name": "a" * 64}), f"{QUALITY}.name", id="name too long"),
        *(
            pytest.param(
                game_server_set({field: value}), f"{QUALITY}.{field}", id=f"{field} {value}"
            )
            for field, value in (
                ("periodSeconds", 0),
                ("timeoutSeconds", 0),
                ("initialDelaySeconds", -1),
                ("successThreshold", 0),
                ("failureThreshold", 0),
                ("periodSeconds", 1.5),
            )
        ),
        pytest.param(
            game_server_set(serviceQualities=[{"name": "q", "exec": {"command": ["a"]}}] * 65),
            "spec.serviceQualities",
            id="65 qualities",
        ),
        pytest.param(
            game_server_set({"serviceQualityAction": [{"state": True}] * 65}),
            f"{QUALITY}.serviceQualityAction",
            id="65 actions",
        ),
        pytest.param(
            game_server_set({"serviceQualityAction": [{}]}),
            f"{QUALITY}.serviceQualityAction.0",
            id="an action without state",
        ),
        pytest.param(
            game_server_set(gameServerTemplate={"spec": {"containers": [{"name": "a"}] * 33}}),
            "spec.gameServerTemplate.spec.containers",
            id="33 containers",
        ),
        pytest.param(
            game_server_set(updateStrategy={"rollingUpdate": {"maxUnavailable": "half"}}),
            "spec.updateStrategy.rollingUpdate.maxUnavailable",
            id="no percentage",
        ),
    ],
)
def test_a_set_is_refused_with_the_path_of_the_field(body, path):
    assert refused("GameServerSet", body) == {path}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(game_server_set(replicas=0), id="no replicas"),
        pytest.param(game_server_set(replicas=2**31 - 1), id="the most replicas"),
        pytest.param(
            game_server_set(reserveGameServerIds=[0, 2**31 - 1, "0-2147483647", 3, 3]),
            id="ids, ranges, duplicates",
        ),
        pytest.param(game_server_set({"initialDelaySeconds": 0}), id="no delay"),
        pytest.param({**game_server_set(), "metadata": {"name": "a" * 52}}, id="52 characters"),
        pytest.param(
            game_server_set(
                {"serviceQualityAction": [{"state": True, "deletionPriority": "{{.Result}}"}]}
            ),
            id="a template for a priority",
        ),
        pytest.param(
            game_server_set(updateStrategy={"rollingUpdate": {"maxUnavailable": "100%"}}),
            id="percentage",
        ),
    ],
)
def test_a_set_is_accepted(body):
    assert refused("GameServerSet", body) == set()


@pytest.mark.parametrize(
    ("spec", "paths"),
    [
        ({"opsState": "Custom.State-1"}, set()),
        ({"opsState": "not legal"}, {"spec.opsState"}),
        ({"opsState": "x" * 64}, {"spec.opsState"}),
        ({"deletionPriority": -(2**31), "updatePriority": "2147483647"}, set()),
        ({"deletionPriority": 2**31}, {"spec.deletionPriority"}),
        ({"deletionPriority": "1_0"}, {"spec.deletionPriority"}),
        ({"updatePriority": "many"}, {"spec.updatePriority"}),
        ({"networkDisabled": "yes"}, {"spec.networkDisabled"}),
        ({"deletion": {"reason": "Whim"}}, {"spec.deletion.reason"}),
        ({"deletion": {"reason": "ScaleDown", "podUid": "x"}}, set()),
    ],
)
def test_game_servers(spec, paths):
    assert refused("GameServer", {"spec": spec}) == paths


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("initialDelaySeconds", 10),
        ("periodSeconds", 3),
        ("timeoutSeconds", 5),
        ("successThreshold", 1),
        ("failureThreshold", 3),
        ("permanent", False),
    ],
)
def test_the_defaults_of_a_quality_are_the_seeds(field, value):
    quality = resolve("GameServerSet", "spec.serviceQualities")["items"]["properties"]
    assert quality[field]["default"] == value


def test_quality_names_are_unique():
    qualities = resolve("GameServerSet", "spec.serviceQualities")
    assert qualities["x-kubernetes-list-type"] == "map"
    assert qualities["x-kubernetes-list-map-keys"] == ["name"]


@pytest.mark.parametrize("kind", CRDS)
def test_a_status_has_no_defaults(kind):
    def defaults(node):
        inner = [*node.get("properties", {}).values(), node.get("items", {})]
        return ("default" in node) + sum(defaults(child) for child in inner if child)

    assert defaults(resolve(kind, "status")) == 0
    assert defaults(resolve(kind, "spec")) > 0


def test_a_union_that_a_crd_cannot_express_is_an_error():
    with pytest.raises(TypeError, match="no structural schema for the union"):
        structural({"anyOf": [{"type": "string"}, {"type": "boolean"}]})
