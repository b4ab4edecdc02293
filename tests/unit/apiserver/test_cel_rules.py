"""CEL rules: what they see, when they run, what they say, and which do not compile."""

from typing import Any

import pytest

from localcluster.apiserver.cel_rules import ABSENT, check, compile_rules
from localcluster.apiserver.cel_values import view
from localcluster.apiserver.errors import Cause
from localcluster.apiserver.validation import Validator

INT = {"type": "integer"}
TEXT = {"type": "string"}
ITEM = {"type": "object", "properties": {"name": TEXT, "size": INT}}


def schema(spec: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {"spec": spec}}


def ruled(node: dict[str, Any], *rules: Any) -> dict[str, Any]:
    entries = [rule if isinstance(rule, dict) else {"rule": rule} for rule in rules]
    return {**node, "x-kubernetes-validations": entries}


def broken(spec: dict[str, Any], value: Any, old: Any = ABSENT) -> list[Cause]:
    """Return what a value of `spec` breaks."""
    node, causes = compile_rules(schema(spec), "schema")
    assert (node is not None, causes) == (True, [])
    before = ABSENT if old is ABSENT else {"spec": old}
    return list(check(node, {"spec": value}, before))


def fields(found: list[Cause]) -> list[str]:
    return [cause.field for cause in found]


OBJECT = {
    "type": "object",
    "properties": {
        "a": INT,
        "b": INT,
        "ratio": {"type": "number"},
        "at": {"type": "string", "format": "date-time"},
        "wait": {"type": "string", "format": "duration"},
        "blob": {"type": "string", "format": "byte"},
        "kind-of": TEXT,
        "for": TEXT,
        "names": {"type": "array", "items": TEXT},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "either": {"x-kubernetes-int-or-string": True},
        "map": {"type": "object", "additionalProperties": INT},
    },
}


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ("self.a < self.b", {"a": 1, "b": 2}),
        ("!has(self.a)", {}),
        ("self.ratio == 1.0", {"ratio": 1}),
        ("self.at.getFullYear() == 2026", {"at": "2026-11-22T08:00:00Z"}),
        ("self.wait > duration('1m')", {"wait": "1h"}),
        ("self.blob == b'a' && self.blob.size() == 1", {"blob": "YQ=="}),
        ("self.kind__dash__of == 'x' && self.__for__ == 'y'", {"kind-of": "x", "for": "y"}),
        ("type(self.either) == int", {"either": 3}),
        ("type(self.either) == string", {"either": "3"}),
        ("'one' in self.map && self.map['one'] == 1", {"map": {"one": 1}}),
        ("self.map.all(k, self.map[k] > 0)", {"map": {"one": 1}}),
        ("size(self.names) == 2 && self.names.size() == 2", {"names": ["a", "b"]}),
        ("self.names.isSorted()", {"names": ["a", "b"]}),
        ("!self.names.isSorted()", {"names": ["b", "a"]}),
        ("self.names.indexOf('b') == 1 && self.names.indexOf('z') == -1", {"names": ["a", "b"]}),
        ("self.names.lastIndexOf('a') == 2", {"names": ["a", "b", "a"]}),
        ("self.names.map(n, n.size()).sum() == 3", {"names": ["a", "bb"]}),
        ("self.names.map(n, n.size()).max() == 2", {"names": ["a", "bb"]}),
        ("self.names.map(n, n.size()).min() == 1", {"names": ["a", "bb"]}),
        ("self.names.join('-') == 'a-b'", {"names": ["a", "b"]}),
        ("self.names[0].split('/')[1] == 'b'", {"names": ["a/b"]}),
        ("self.names[0].lowerAscii() == 'ab'", {"names": ["AB"]}),
        ("self.names[0].charAt(1) == 'B'", {"names": ["AB"]}),
        ("self.names[0].matches('^[a-z]+$')", {"names": ["ab"]}),
        ("self.names[0].find('[0-9]+') == '12'", {"names": ["a12b3"]}),
        ("self.names[0].findAll('[0-9]+') == ['12', '3']", {"names": ["a12b3"]}),
        ("self.names[0].indexOf('b') == 1 && 'abab'.lastIndexOf('b') == 3", {"names": ["ab"]}),
        ("[true, false].exists_one(x, x)", {}),
    ],
)
def test_a_rule_that_holds(rule: str, value: Any) -> None:
    assert broken(ruled(OBJECT, rule), value) == []


def test_a_preserved_unknown_field_is_invisible() -> None:
    assert view(OBJECT, {"a": 1, "free": {"x": 1}, "unknown": 2}) == {"a": 1, "free": {}}


@pytest.mark.parametrize(
    ("rule", "cause"),
    [
        pytest.param(
            {"rule": "self.a < self.b", "message": "a must be below b"},
            Cause("FieldValueInvalid", "spec", 'Invalid value: "object": a must be below b'),
            id="message",
        ),
        pytest.param(
            {"rule": "self.a < self.b"},
            Cause(
                "FieldValueInvalid",
                "spec",
                'Invalid value: "object": failed rule: self.a < self.b',
            ),
            id="no message",
        ),
        pytest.param(
            {
                "rule": "self.a < self.b",
                "message": "m",
                "messageExpression": "'a is ' + string(self.a)",
            },
            Cause("FieldValueInvalid", "spec", 'Invalid value: "object": a is 2'),
            id="messageExpression",
        ),
        pytest.param(
            {
                "rule": "self.a < self.b",
                "message": "m",
                "messageExpression": "self.names[3]",
            },
            Cause("FieldValueInvalid", "spec", 'Invalid value: "object": m'),
            id="messageExpression fails",
        ),
        pytest.param(
            {"rule": "self.a < self.b", "message": "m", "fieldPath": ".a"},
            Cause("FieldValueInvalid", "spec.a", 'Invalid value: "object": m'),
            id="fieldPath",
        ),
        pytest.param(
            {"rule": "self.a < self.b", "message": "m", "reason": "FieldValueForbidden"},
            Cause("FieldValueForbidden", "spec", "Forbidden: m"),
            id="forbidden",
        ),
        pytest.param(
            {"rule": "self.a < self.b", "message": "m", "reason": "FieldValueRequired"},
            Cause("FieldValueRequired", "spec", "Required value: m"),
            id="required",
        ),
        pytest.param(
            {"rule": "self.a < self.b", "message": "m", "reason": "FieldValueDuplicate"},
            Cause("FieldValueDuplicate", "spec", 'Duplicate value: "object"'),
            id="duplicate",
        ),
        pytest.param(
            {"rule": "self.ratio > 1.0", "message": "m"},
            Cause(
                "FieldValueInvalid",
                "spec",
                'Invalid value: "object": no such key: ratio evaluating rule: m',
            ),
            id="absent field",
        ),
        pytest.param(
            {"rule": "self.either + 1 == 2", "message": "m"},
            Cause(
                "FieldValueInvalid",
                "spec",
                "Invalid value: \"object\": 'no such overload': call arguments did not match a "
                "supported operator, function or macro signature for rule: m",
            ),
            id="wrong type",
        ),
    ],
)  # fmt: skip
def test_what_a_broken_rule_says(rule: dict[str, str], cause: Cause) -> None:
    value = {"a": 2, "b": 1, "either": "x", "names": ["x"]}
    assert broken(ruled(OBJECT, rule), value) == [cause]


SIZED = ruled(ITEM, "self.size > 0")


@pytest.mark.parametrize(
    ("spec", "value", "expected"),
    [
        pytest.param(
            {"type": "array", "items": SIZED}, [{"size": 1}, {"size": 0}], ["spec[1]"], id="list"
        ),
        pytest.param(
            {"type": "object", "additionalProperties": SIZED},
            {"x": {"size": 0}, "y": {"size": 2}},
            ["spec[x]"],
            id="map",
        ),
        pytest.param(
            {"type": "array", "items": {"type": "array", "items": ruled(INT, "self > 0")}},
            [[1], [2, 0]],
            ["spec[1][1]"],
            id="list of lists",
        ),
        pytest.param(
            {"type": "object", "properties": {"x": ruled({**INT, "nullable": True}, "self > 0")}},
            {"x": None},
            [],
            id="null is for the node above",
        ),
    ],
)
def test_rules_run_at_every_depth(spec: Any, value: Any, expected: list[str]) -> None:
    assert fields(broken(spec, value)) == expected


MAP_LIST = {
    "type": "array",
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["name"],
    "items": ruled(ITEM, "self.size >= oldSelf.size"),
}


@pytest.mark.parametrize(
    ("spec", "old", "value", "expected"),
    [
        pytest.param(ruled(INT, "self >= oldSelf"), 3, 2, ["spec"], id="shrunk"),
        pytest.param(ruled(INT, "self >= oldSelf"), 3, 3, [], id="kept"),
        pytest.param(ruled(INT, "self >= oldSelf"), ABSENT, 2, [], id="created"),
        pytest.param(ruled(INT, "self == oldSelf"), 3, 4, ["spec"], id="immutable"),
        pytest.param(
            ruled(INT, {"rule": "oldSelf.hasValue() || self == 0", "optionalOldSelf": True}),
            ABSENT, 2, ["spec"], id="optional, created",
        ),
        pytest.param(
            ruled(INT, {"rule": "oldSelf.hasValue() || self == 0", "optionalOldSelf": True}),
            1, 2, [], id="optional, changed",
        ),
        pytest.param(
            MAP_LIST,
            [{"name": "a", "size": 1}, {"name": "b", "size": 5}],
            [{"name": "b", "size": 4}, {"name": "a", "size": 2}, {"name": "c", "size": 0}],
            ["spec[0]"], id="items found by key",
        ),
        pytest.param(ruled(INT, "self > 5"), 3, 3, [], id="ratcheted: unchanged"),
        pytest.param(ruled(INT, "self > 5"), 3, 4, ["spec"], id="not ratcheted: changed"),
        pytest.param(
            {"type": "array", "items": ruled(INT, "self > 5")},
            [1, 2], [1, 2, 3], ["spec[0]", "spec[1]", "spec[2]"], id="an atomic list is one value",
        ),
    ],
)  # fmt: skip
def test_rules_about_changes(spec: Any, old: Any, value: Any, expected: list[str]) -> None:
    assert fields(broken(spec, value, old)) == expected


AT = "schema.properties[spec]"
RULE = f"{AT}.x-kubernetes-validations[0].rule"


@pytest.mark.parametrize(
    ("spec", "field", "words"),
    [
        pytest.param(ruled(OBJECT, "self.a <"), RULE, "compilation failed: ", id="syntax"),
        pytest.param(ruled(OBJECT, ""), RULE, "rule is not specified", id="empty"),
        pytest.param(
            ruled(OBJECT, "self.nosuch == 1"), RULE, "undefined field 'nosuch'", id="unknown field"
        ),
        pytest.param(
            ruled(OBJECT, "self.free.x == 1"), RULE, "undefined field 'x'", id="preserved field"
        ),
        pytest.param(
            ruled(TEXT, "self.nosuch == 1"), RULE, "undefined field 'nosuch'", id="field of a text"
        ),
        pytest.param(
            ruled(TEXT, "self + 'a'"), RULE, "must evaluate to a bool", id="no condition"
        ),
        pytest.param(
            ruled(INT, "self + 'a' == 'b'"), RULE, "found no matching overload", id="mixed types"
        ),
        pytest.param(
            ruled(INT, {"rule": "self > 0", "messageExpression": "self"}),
            RULE.replace("rule", "messageExpression"),
            "must evaluate to a string",
            id="no message",
        ),
        pytest.param(
            ruled(OBJECT, "nosuch(self.a)"), RULE, "undeclared reference to 'nosuch'", id="function"
        ),
        pytest.param(
            ruled(OBJECT, "other.a == 1"), RULE, "undeclared reference to 'other'", id="variable"
        ),
        pytest.param(
            ruled(OBJECT, {"rule": "true", "messageExpression": "'a"}),
            RULE.replace("rule", "messageExpression"), "compilation failed: ", id="message syntax",
        ),
        pytest.param(
            ruled(OBJECT, {"rule": "true", "fieldPath": ".nosuch"}),
            RULE.replace("rule", "fieldPath"), "does not refer to a valid field", id="fieldPath",
        ),
        pytest.param(
            ruled(OBJECT, {"rule": "true", "reason": "Odd"}),
            RULE.replace("rule", "reason"), 'Unsupported value: "Odd"', id="reason",
        ),
        pytest.param(
            {"type": "array", "items": ruled(INT, "self >= oldSelf")},
            f"{AT}.items.x-kubernetes-validations[0].rule",
            f"cannot be used on the uncorrelatable portion of the schema within {AT}.items",
            id="no identity",
        ),
    ],
)  # fmt: skip
def test_a_rule_that_does_not_compile(spec: Any, field: str, words: str) -> None:
    _, [cause] = compile_rules(schema(spec), "schema")
    assert (cause.field, words in cause.message) == (field, True), cause


def test_rules_wait_until_the_shape_is_right() -> None:
    """They would meet values of types they do not expect."""
    spec = ruled({**OBJECT, "required": ["b"]}, "self.a > 0")
    found = Validator(schema(spec)).causes({"spec": {"a": 0}})
    assert [(cause.field, cause.type) for cause in found] == [
        ("spec.b", "FieldValueRequired"),
        ("<nil>", "FieldValueInvalid"),
    ]


def test_a_root_rule_sees_the_name() -> None:
    root = ruled(schema(INT), "self.metadata.name.startsWith('a') && self.spec > 0")
    node, causes = compile_rules(root, "schema")
    assert causes == []
    found = [
        fields(list(check(node, {"metadata": {"name": name, "uid": "u"}, "spec": 1}, ABSENT)))
        for name in ("abc", "xyz")
    ]
    assert found == [[], [""]]
