"""CRD rule x accepted or refused: what a schema makes of an object, and says of a bad one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance import sources
from tests.conformance.cells import Expected, accepted, invalid, rows
from tests.conformance.client import make

if TYPE_CHECKING:
    from tests.conformance.client import Json, Namespace

DEFAULTS = {"mode": "Open", "filled": {"port": 80}, "nullableDefault": "given"}


@dataclass(frozen=True)
class Stored:
    """A specimen that is accepted.

    Args:
        id: words.
        source: of the rule.
        spec: as sent.
        stored: as stored, without the defaults that every specimen has.
    """

    id: str
    source: str
    spec: Json
    stored: Json


STORED = (
    Stored("prunes-unknown", sources.CRD_PRUNING, {"nothing": 1, "word": "abc"}, {"word": "abc"}),
    Stored("prunes-nested", sources.CRD_PRUNING, {"exec": {"command": ["a"], "no": 1}},
           {"exec": {"command": ["a"]}}),
    Stored("prunes-in-lists", sources.CRD_PRUNING, {"entries": [{"name": "a", "no": 1}]},
           {"entries": [{"name": "a", "value": 1}]}),
    Stored("preserves-unknown", sources.CRD_PRUNING, {"open": {"any": {"thing": [1, "a"]}}},
           {"open": {"any": {"thing": [1, "a"]}}}),
    Stored("default", sources.CRD_DEFAULTING, {}, {}),
    Stored("default-not-over-a-value", sources.CRD_DEFAULTING, {"mode": "Closed"},
           {"mode": "Closed"}),
    Stored("default-in-a-given-object", sources.CRD_DEFAULTING, {"unfilled": {}},
           {"unfilled": {"port": 80}}),
    Stored("default-in-list-items", sources.CRD_DEFAULTING, {"entries": [{"name": "a"}]},
           {"entries": [{"name": "a", "value": 1}]}),
    Stored("default-keeps-zero", sources.CRD_DEFAULTING, {"unfilled": {"port": 0}},
           {"unfilled": {"port": 0}}),
    Stored("null-becomes-the-default", sources.CRD_NULLABLE, {"mode": None}, {}),
    Stored("null-stays-where-nullable", sources.CRD_NULLABLE, {"nullable": None},
           {"nullable": None}),
    Stored("null-stays-over-a-default", sources.CRD_NULLABLE, {"nullableDefault": None},
           {"nullableDefault": None}),
    Stored("null-is-pruned-elsewhere", sources.CRD_NULLABLE, {"plain": None}, {}),
    Stored("int-or-string-int", sources.CRD_INT_OR_STRING, {"port": 80}, {"port": 80}),
    Stored("int-or-string-string", sources.CRD_INT_OR_STRING, {"port": "http"}, {"port": "http"}),
    Stored("minimum", sources.CRD_VALIDATION, {"replicas": 0}, {"replicas": 0}),
    Stored("maximum", sources.CRD_VALIDATION, {"replicas": 100}, {"replicas": 100}),
    Stored("one-of", sources.CRD_VALIDATION, {"handler": {"tcp": {}}}, {"handler": {"tcp": {}}}),
    Stored("map-of-integers", sources.CRD_VALIDATION, {"limits": {"a": 1}}, {"limits": {"a": 1}}),
    Stored("set", sources.CRD_LIST_TYPES, {"tags": ["b", "a"]}, {"tags": ["b", "a"]}),
    Stored("date-time", sources.CRD_VALIDATION, {"moment": "2026-01-02T03:04:05Z"},
           {"moment": "2026-01-02T03:04:05Z"}),
    Stored("rule-holds", sources.CRD_CEL, {"low": 1, "high": 1}, {"low": 1, "high": 1}),
    Stored("rule-of-items-holds", sources.CRD_CEL, {"steps": [2, 4]}, {"steps": [2, 4]}),
    # A transition rule has nothing to compare a new object with.
    Stored("transition-at-creation", sources.CRD_TRANSITION, {"fixed": "a"}, {"fixed": "a"}),
)  # fmt: skip


@pytest.mark.parametrize("case", rows(STORED))
async def test_an_object_is_stored_as_its_schema_makes_it(
    namespace: Namespace, case: Stored
) -> None:
    made = await namespace.create("specimens", "game", {"spec": case.spec})
    assert made["spec"] == {**DEFAULTS, **case.stored}, case.source


async def test_a_default_inside_an_absent_object_is_not_made(namespace: Namespace) -> None:
    made = await namespace.create("specimens", "game")
    assert "spec" not in made, sources.CRD_DEFAULTING


async def test_unknown_fields_of_the_root_and_of_metadata_are_dropped(
    namespace: Namespace,
) -> None:
    body = make("specimens", "game", {"metadata": {"unheard": "of"}, "other": 1})
    made = (await namespace.post("specimens", body)).ok()
    assert ("other" in made, "unheard" in made["metadata"]) == (False, False), sources.CRD_PRUNING


@dataclass(frozen=True)
class Refused:
    """A specimen that is refused.

    Args:
        id: words.
        source: of the rule.
        spec: as sent.
        causes: reason (without `FieldValue`) and field of each; empty leaves them open.
        message: a part of the message; empty for any.
    """

    id: str
    source: str
    spec: Json
    causes: tuple[tuple[str, str], ...]
    message: str = ""


def _refused(name: str, spec: Json, *causes: tuple[str, str]) -> Refused:
    return Refused(name, sources.CRD_VALIDATION, spec, causes)


REFUSED = (
    _refused("type-string", {"word": 1}, ("TypeInvalid", "spec.word")),
    _refused("type-integer", {"replicas": "1"}, ("TypeInvalid", "spec.replicas")),
    _refused("type-fraction", {"replicas": 1.5}, ("TypeInvalid", "spec.replicas")),
    _refused("type-boolean", {"flag": "true"}, ("TypeInvalid", "spec.flag")),
    _refused("type-object", {"exec": []}, ("TypeInvalid", "spec.exec")),
    _refused("type-array", {"tags": "a"}, ("TypeInvalid", "spec.tags")),
    _refused("type-of-items", {"tags": [1]}, ("TypeInvalid", "spec.tags[0]")),
    _refused("type-of-values", {"limits": {"a": "b"}}, ("TypeInvalid", "spec.limits.a")),
    _refused("minimum", {"replicas": -1}, ("Invalid", "spec.replicas")),
    _refused("maximum", {"replicas": 101}, ("Invalid", "spec.replicas")),
    _refused("exclusive-minimum", {"ratio": 0}, ("Invalid", "spec.ratio")),
    _refused("enum", {"mode": "Ajar"}, ("NotSupported", "spec.mode")),
    _refused("enum-case", {"mode": "open"}, ("NotSupported", "spec.mode")),
    _refused("min-length", {"word": "a"}, ("Invalid", "spec.word")),
    _refused("max-length", {"word": "abcdef"}, ("TooLong", "spec.word")),
    _refused("pattern", {"word": "A1"}, ("Invalid", "spec.word")),
    _refused("format", {"moment": "yesterday"}, ("TypeInvalid", "spec.moment")),
    _refused("required", {"exec": {}}, ("Required", "spec.exec.command")),
    _refused("required-null", {"exec": {"command": None}}, ("Required", "spec.exec.command")),
    _refused("min-items", {"exec": {"command": []}}, ("Invalid", "spec.exec.command")),
    _refused("max-items", {"exec": {"command": list("abcd")}},
             ("TooMany", "spec.exec.command")),
    _refused("max-properties", {"limits": {"a": 1, "b": 2, "c": 3}}, ("TooMany", "spec.limits")),
    # The real server names no field here; which branches it adds is its own choice.
    Refused("one-of-none", sources.CRD_VALIDATION, {"handler": {}}, (),
            "must validate one and only one schema (oneOf). Found none valid"),
    Refused("one-of-both", sources.CRD_VALIDATION, {"handler": {"exec": {}, "tcp": {}}}, (),
            "must validate one and only one schema (oneOf). Found 2 valid alternatives"),
    _refused("two-faults", {"replicas": -1, "mode": "Ajar"},
             ("Invalid", "spec.replicas"), ("NotSupported", "spec.mode")),
    Refused("int-or-string", sources.CRD_INT_OR_STRING, {"port": True},
            (("TypeInvalid", "spec.port"),)),
    Refused("set-duplicate", sources.CRD_LIST_TYPES, {"tags": ["a", "b", "a"]},
            (("Duplicate", "spec.tags[2]"),)),
    Refused("map-duplicate", sources.CRD_LIST_TYPES,
            {"entries": [{"name": "a"}, {"name": "a", "value": 2}]},
            (("Duplicate", "spec.entries[1]"),)),
    Refused("map-key-missing", sources.CRD_LIST_TYPES, {"entries": [{"value": 2}]},
            (("Required", "spec.entries[0].name"),)),
    Refused("rule-field-path", sources.CRD_CEL, {"low": 2, "high": 1},
            (("Invalid", "spec.low"),), "low must not exceed high"),
    Refused("rule-reason", sources.CRD_CEL, {"flag": False, "word": "abc"},
            (("Forbidden", "spec.word"),), "a word needs the flag"),
    Refused("rule-of-an-item", sources.CRD_CEL, {"steps": [2, 3]},
            (("Invalid", "spec.steps[1]"),), "odd: 3"),
    Refused("two-rules", sources.CRD_CEL, {"low": 2, "high": 1, "flag": False, "word": "abc"},
            (("Invalid", "spec.low"), ("Forbidden", "spec.word"))),
)  # fmt: skip


@pytest.mark.parametrize("case", rows(REFUSED))
async def test_an_object_that_breaks_its_schema_is_refused(
    namespace: Namespace, case: Refused
) -> None:
    answer = await namespace.post("specimens", make("specimens", "game", {"spec": case.spec}))
    invalid(case.source, *case.causes).check(answer)
    assert case.message in answer.body["message"], case.source


@dataclass(frozen=True)
class Change:
    """A change of a stored specimen.

    Args:
        id: words.
        source: of the rule.
        before: the spec.
        change: merge patch of the spec.
        expected: the answer.
    """

    id: str
    source: str
    before: Json
    change: Json
    expected: Expected


IMMUTABLE = invalid(sources.CRD_TRANSITION, ("Invalid", "spec.fixed"))
CHANGES = (
    Change("transition-same", sources.CRD_TRANSITION, {"fixed": "a"}, {"fixed": "a", "flag": True},
           accepted(sources.CRD_TRANSITION)),
    Change("transition-changed", sources.CRD_TRANSITION, {"fixed": "a"}, {"fixed": "b"}, IMMUTABLE),
    # A rule on a field is asked only where the field is, before and after.
    Change("transition-added", sources.CRD_TRANSITION, {}, {"fixed": "b"},
           accepted(sources.CRD_TRANSITION)),
    Change("transition-removed", sources.CRD_TRANSITION, {"fixed": "a"}, {"fixed": None},
           accepted(sources.CRD_TRANSITION)),
    Change("schema", sources.CRD_VALIDATION, {"word": "abc"}, {"word": "ABC"},
           invalid(sources.CRD_VALIDATION, ("Invalid", "spec.word"))),
    Change("rule", sources.CRD_CEL, {"low": 1, "high": 2}, {"low": 3},
           invalid(sources.CRD_CEL, ("Invalid", "spec.low"))),
)  # fmt: skip


@pytest.mark.parametrize("case", rows(CHANGES))
async def test_a_change_is_judged_with_what_was_there(namespace: Namespace, case: Change) -> None:
    await namespace.create("specimens", "game", {"spec": case.before})
    case.expected.check(await namespace.patch("merge", "specimens", "game", {"spec": case.change}))


@dataclass(frozen=True)
class Unknown:
    """An object with a field that its kind does not have.

    Args:
        id: words.
        plural: kind.
        body: the object.
        field: the unknown one, as messages name it.
    """

    id: str
    plural: str
    body: Any
    field: str


UNKNOWN = (
    Unknown("specimen-spec", "specimens", make("specimens", "game", {"spec": {"no": 1}}),
            'unknown field "spec.no"'),
    Unknown("specimen-nested", "specimens",
            make("specimens", "game", {"spec": {"entries": [{"name": "a", "no": 1}]}}),
            'unknown field "spec.entries[0].no"'),
    Unknown("specimen-metadata", "specimens",
            make("specimens", "game", {"metadata": {"no": 1}}), 'unknown field "metadata.no"'),
    Unknown("config-map", "configmaps", make("configmaps", "game", {"no": 1}),
            'unknown field "no"'),
    Unknown("duplicate", "configmaps",
            b'{"metadata": {"name": "game"}, "data": {"a": "1"}, "data": {"a": "2"}}',
            'duplicate field "data"'),
    Unknown("duplicate-specimen", "specimens",
            b'{"apiVersion": "conformance.gamekeeper.dev/v1", "kind": "Specimen", '
            b'"metadata": {"name": "game"}, "spec": {"flag": true, "flag": true}}',
            'duplicate field "spec.flag"'),
)  # fmt: skip


@pytest.mark.parametrize("level", ["Strict", "Warn", "Ignore", ""])
@pytest.mark.parametrize("case", rows(UNKNOWN))
async def test_an_unknown_field_is_refused_named_or_dropped_as_asked(
    namespace: Namespace, case: Unknown, level: str
) -> None:
    query = {"fieldValidation": level} if level else {}
    answer = await namespace.post(case.plural, case.body, **query)
    where = f"{sources.FIELD_VALIDATION}\n{answer}"
    if level == "Strict":
        Expected(400, "BadRequest", sources.FIELD_VALIDATION).check(answer)
        assert f"strict decoding error: {case.field}" in answer.body["message"], where
        return
    assert answer.code == 201, where
    # The server's default, where the client asks for nothing, is Warn.
    warnings = [f'299 - "{case.field.replace(chr(34), chr(92) + chr(34))}"']
    assert list(answer.warnings) == ([] if level == "Ignore" else warnings), where
