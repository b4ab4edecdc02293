"""The file of schemas is what the installed client's models say, and is read as a graph."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from localcluster.apiserver import builtin_schemas
from localcluster.apiserver.builtin import builtin_resources
from localcluster.apiserver.openapi import Documents
from localcluster.apiserver.resources import Registry

ROOT = Path(__file__).parents[3]
BUILTIN = {resource.kind: resource for resource in builtin_resources()}


@pytest.mark.timeout(30)
def test_the_file_is_what_the_script_writes() -> None:
    # The remedy when the client has a newer API: `make kubernetes-types`.
    script = ROOT / "scripts" / "kubernetes_types.py"
    made = subprocess.run([sys.executable, script], capture_output=True, check=True, timeout=25)
    file = ROOT / "localcluster" / "apiserver" / "kubernetes_types.json"
    assert made.stdout == file.read_bytes()


def at(schema: dict[str, Any], path: str) -> dict[str, Any]:
    """Return the schema of a field; `[]` steps into a list."""
    for name in path.split("."):
        schema = schema["items"] if name == "[]" else schema["properties"][name]
    return schema


@pytest.mark.parametrize(
    ("kind", "path", "expected"),
    [
        pytest.param("Pod", "spec.containers", ("map", ["name"]), id="containers"),
        pytest.param(
            "Pod", "spec.containers.[].ports", ("map", ["containerPort", "protocol"]), id="ports"
        ),
        pytest.param("Pod", "spec.containers.[].command", ("atomic", None), id="command"),
        pytest.param("Pod", "spec.tolerations", ("atomic", None), id="tolerations"),
        pytest.param("Pod", "status.conditions", ("map", ["type"]), id="conditions"),
        pytest.param("Service", "spec.ports", ("map", ["port", "protocol"]), id="service-ports"),
        pytest.param("Node", "spec.podCIDRs", ("set", None), id="set"),
    ],
)
def test_lists_merge_as_the_api_declares(
    kind: str, path: str, expected: tuple[str, list[str] | None]
) -> None:
    # k8s.io/api core/v1 types.go: +listType and +listMapKey.
    found = at(BUILTIN[kind].openapi, path)
    keys = found.get("x-kubernetes-list-map-keys")
    assert (found["x-kubernetes-list-type"], keys) == expected


def test_unknown_fields_of_a_pod_are_dropped_and_named() -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a"},
        "spec": {"containers": [{"name": "a", "image": "b", "prots": []}], "nodename": "n"},
    }
    assert BUILTIN["Pod"].complete(pod) == ["spec.containers[0].prots", "spec.nodename"]
    assert "nodename" not in pod["spec"]


def test_documents_hold_every_definition_they_refer_to() -> None:
    registry = Registry(tuple(BUILTIN.values()))
    documents = Documents(registry)
    assert documents.encoded("", "v1") is documents.encoded("", "v1")
    for group, versions in registry.versions().items():
        for version in versions:
            text = documents.encoded(group, version).decode()
            pieces = text.split('"#/components/schemas/')[1:]
            named = {piece.partition('"')[0] for piece in pieces}
            assert all(f'"{name}":{{' in text for name in named)


def test_a_kind_without_a_schema_has_an_empty_one() -> None:
    assert builtin_schemas.resolved("v1", "Nothing") == {}
