"""Generation and resourceVersion: which writes count, and which are none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance import sources
from tests.conformance.cells import rows
from tests.conformance.client import make, pod

if TYPE_CHECKING:
    from tests.conformance.client import Json, Namespace


@dataclass(frozen=True)
class Write:
    """A merge patch of an object.

    Args:
        id: words.
        source: of the rule.
        plural: kind.
        path: `game`, or with a subresource.
        change: the patch.
        stored: whether the object gets another resourceVersion.
        generations: by how many the generation grows; None for kinds without one.
    """

    id: str
    source: str
    plural: str
    path: str
    change: Json
    stored: bool
    generations: int | None


LABELS: Json = {"metadata": {"labels": {"a": "b"}}}
WRITES = (
    Write("custom-spec", sources.CRD_STATUS, "specimens", "game", {"spec": {"word": "xyz"}},
          stored=True, generations=1),
    Write("custom-labels", sources.CRD_STATUS, "specimens", "game", LABELS,
          stored=True, generations=0),
    Write("custom-annotations", sources.CRD_STATUS, "specimens", "game",
          {"metadata": {"annotations": {"a": "b"}}}, stored=True, generations=0),
    Write("custom-finalizers", sources.CRD_STATUS, "specimens", "game",
          {"metadata": {"finalizers": ["example.com/a"]}}, stored=True, generations=0),
    Write("custom-status", sources.CRD_STATUS, "specimens", "game/status",
          {"status": {"phase": "Ready"}}, stored=True, generations=0),
    Write("custom-scale", sources.CRD_SCALE, "specimens", "game/scale",
          {"spec": {"replicas": 7}}, stored=True, generations=1),
    Write("custom-nothing", sources.STORE, "specimens", "game", {}, stored=False, generations=0),
    Write("custom-same", sources.STORE, "specimens", "game", {"spec": {"word": "abc"}},
          stored=False, generations=0),
    Write("custom-unknown-field", sources.CRD_PRUNING, "specimens", "game",
          {"spec": {"nothing": 1}}, stored=False, generations=0),
    Write("custom-status-in-main", sources.CRD_STATUS, "specimens", "game",
          {"status": {"phase": "Ready"}}, stored=False, generations=0),
    Write("custom-spec-in-status", sources.CRD_STATUS, "specimens", "game/status",
          {"spec": {"word": "xyz"}}, stored=False, generations=0),
    Write("custom-generation", sources.REST_UPDATE, "specimens", "game",
          {"metadata": {"generation": 9}}, stored=False, generations=0),
    Write("config-data", sources.STORE, "configmaps", "game", {"data": {"a": "b"}},
          stored=True, generations=None),
    Write("config-same", sources.STORE, "configmaps", "game", {"data": {"key": "value"}},
          stored=False, generations=None),
    Write("pod-labels", sources.POD_STRATEGY, "pods", "game", LABELS,
          stored=True, generations=0),
    Write("pod-spec", sources.POD_UPDATES, "pods", "game",
          {"spec": {"activeDeadlineSeconds": 500}}, stored=True, generations=1),
    Write("pod-status", sources.POD_STRATEGY, "pods", "game/status",
          {"status": {"message": "hello"}}, stored=True, generations=0),
    Write("pod-same", sources.STORE, "pods", "game", {"spec": {"restartPolicy": "Always"}},
          stored=False, generations=0),
)  # fmt: skip
FIELDS: dict[str, Json] = {
    "specimens": {"spec": {"word": "abc", "replicas": 1}},
    "configmaps": {"data": {"key": "value"}},
}


@pytest.mark.parametrize("case", rows(WRITES))
async def test_a_write_counts_if_it_changes_something(namespace: Namespace, case: Write) -> None:
    fields = FIELDS.get(case.plural)
    body = pod() if case.plural == "pods" else make(case.plural, "game", fields)
    before = (await namespace.post(case.plural, body)).ok()["metadata"]
    (await namespace.patch("merge", case.plural, case.path, case.change)).ok()
    after = (await namespace.get(case.plural, "game")).ok()["metadata"]
    changed = after["resourceVersion"] != before["resourceVersion"]
    grown: Any = None
    if case.generations is not None:
        grown = after["generation"] - before["generation"]
    assert (changed, grown) == (case.stored, case.generations), case.source


@pytest.mark.parametrize(("plural", "generation"), [("specimens", 1), ("configmaps", None)])
async def test_a_new_object_is_of_the_first_generation(
    namespace: Namespace, plural: str, generation: int | None
) -> None:
    body = make(plural, "game", {"metadata": {"generation": 7}})
    made = (await namespace.post(plural, body)).ok()["metadata"]
    if generation is None:
        # Kinds without a generation keep none, whatever was sent.
        assert made.get("generation") in (None, 7), sources.REST_CREATE
    else:
        assert made["generation"] == generation, sources.CUSTOM_STRATEGY


async def test_marking_an_object_for_deletion_is_a_new_generation(namespace: Namespace) -> None:
    fields = {"metadata": {"finalizers": ["example.com/a"]}}
    made = await namespace.create("specimens", "game", fields)
    marked = (await namespace.delete("specimens", "game")).ok()
    assert marked["metadata"]["generation"] == made["metadata"]["generation"] + 1, (
        sources.REST_DELETE
    )


async def test_every_stored_change_has_a_larger_version(namespace: Namespace) -> None:
    made = await namespace.create("configmaps", "game")
    versions = [int(made["metadata"]["resourceVersion"])]
    for number in range(3):
        change = {"data": {"number": str(number)}}
        patched = (await namespace.patch("merge", "configmaps", "game", change)).ok()
        versions.append(int(patched["metadata"]["resourceVersion"]))
    assert versions == sorted(set(versions)), sources.RESOURCE_VERSIONS


@pytest.mark.parametrize("verb", ["create", "update", "merge", "delete"])
async def test_a_dry_run_stores_nothing(namespace: Namespace, verb: str) -> None:
    made = await namespace.create("specimens", "game", FIELDS["specimens"])
    query = {"dryRun": "All"}
    changed = {**made, "spec": {**made["spec"], "word": "xyz"}}
    if verb == "create":
        answer = await namespace.post("specimens", make("specimens", "new", {"spec": {}}), **query)
    elif verb == "update":
        answer = await namespace.put("specimens", "game", changed, **query)
    elif verb == "merge":
        change = {"spec": {"word": "xyz"}}
        answer = await namespace.patch("merge", "specimens", "game", change, **query)
    else:
        answer = await namespace.delete("specimens", "game", None, **query)
    answer.ok()
    if verb == "create":
        assert answer.body["spec"]["mode"] == "Open", sources.DRY_RUN
    elif verb != "delete":
        assert answer.body["spec"]["word"] == "xyz", sources.DRY_RUN
    assert await namespace.names("specimens") == ["game"], sources.DRY_RUN
    left = (await namespace.get("specimens", "game")).ok()
    assert left["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


OPTIONS = {
    "dry-run": ({"dryRun": "Some"}, "dryRun"),
    "field-validation": ({"fieldValidation": "Mild"}, "fieldValidation"),
}


@pytest.mark.parametrize("what", list(OPTIONS))
@pytest.mark.parametrize("verb", ["create", "merge"])
async def test_an_option_with_an_unknown_value_is_invalid(
    namespace: Namespace, verb: str, what: str
) -> None:
    query, field = OPTIONS[what]
    await namespace.create("configmaps", "game")
    if verb == "create":
        answer = await namespace.post("configmaps", make("configmaps", "new"), **query)
    else:
        answer = await namespace.patch("merge", "configmaps", "game", {}, **query)
    assert (answer.outcome, answer.causes) == (
        (422, "Invalid"),
        {("FieldValueNotSupported", field)},
    ), f"{sources.OPTIONS_VALIDATION}\n{answer.body}"
