"""What one service quality asks for (SPEC 4.1, 4.3, 4.7)."""

import pytest

from aggregator.quality.match import (
    Contribution,
    Verdict,
    contribution,
    hash_result,
    matchable_verdicts,
    verdict_of,
)
from shared.api import names
from tests.support.builders import probe_report, quality

NO_VALUE = (
    "is no legal label value: "
    "use at most 63 letters, digits, - _ and . with a letter or digit at both ends"
)
NO_KEY = "use NAME or PREFIX/NAME, for example example.com/team"


def verdict(status: str = "True", result: str = "") -> Verdict:
    return verdict_of("True" if status == "True" else "False", result)


SEED = (
    {"state": True, "result": "gate", "opsState": "GateMaintaining"},
    {"state": True, "result": "data", "opsState": "DataMaintaining"},
    {"state": False, "opsState": "None"},
)


@pytest.mark.parametrize(
    ("actions", "seen", "fields"),
    [
        pytest.param(
            SEED, verdict("True", "gate"), {("opsState",): "GateMaintaining"}, id="result"
        ),
        pytest.param(
            SEED, verdict("True", "data"), {("opsState",): "DataMaintaining"}, id="other result"
        ),
        pytest.param(SEED, verdict("True", "door"), {}, id="no such result"),
        pytest.param(SEED, verdict("True", ""), {}, id="a result is wanted and there is none"),
        pytest.param(SEED, verdict("False", "gate"), {("opsState",): "None"}, id="any result"),
        pytest.param(SEED, None, {}, id="no verdict"),
        pytest.param((), verdict(), {}, id="no actions"),
        pytest.param(
            ({"state": True, "result": " a|b\n", "opsState": "A"},),
            verdict("True", "ab"),
            {("opsState",): "A"},
            id="the action's result is cleaned by the same rule",
        ),
        pytest.param(
            ({"state": True, "result": " \n", "opsState": "A"},),
            verdict("True", "anything"),
            {("opsState",): "A"},
            id="a result that is blank once cleaned matches any",
        ),
        pytest.param(
            (
                {"state": True, "opsState": "Allocated", "labels": {"a": "1", "b": "1"}},
                {"state": True, "opsState": "Maintaining", "labels": {"b": "2"}},
            ),
            verdict(),
            {("opsState",): "Maintaining", ("labels", "a"): "1", ("labels", "b"): "2"},
            id="later overrides field by field",
        ),
        pytest.param(
            ({"state": True, "deletionPriority": "-12", "updatePriority": 0},),
            verdict(),
            {("updatePriority",): 0, ("deletionPriority",): -12},
            id="priorities are integers",
        ),
        pytest.param(
            ({"state": True, "networkDisabled": False},),
            verdict(),
            {("networkDisabled",): False},
            id="false is not absent",
        ),
        pytest.param(
            ({"state": True, "annotations": {"example.com/note": "a b"}},),
            verdict(),
            {("annotations", "example.com/note"): "a b"},
            id="annotation values are free",
        ),
        pytest.param(({"state": True, "opsState": ""},), verdict(), {}, id="empty opsState"),
    ],
)
def test_matching_actions_ask_for_their_fields(actions, seen, fields):
    assert contribution(quality("healthy", *actions), seen).fields == fields


@pytest.mark.parametrize(
    ("action", "skipped"),
    [
        pytest.param(
            {"opsState": "not legal"},
            (("opsState",), f"'not legal' {NO_VALUE}"),
            id="opsState with a space",
        ),
        pytest.param(
            {"opsState": "x" * 64},
            (("opsState",), f"{'x' * 64!r} {NO_VALUE}"),
            id="opsState with 64 characters",
        ),
        pytest.param(
            {"deletionPriority": "many"},
            (("deletionPriority",), "'many' is no 32-bit integer"),
            id="priority is no number",
        ),
        pytest.param(
            {"deletionPriority": "1_000"},
            (("deletionPriority",), "'1_000' is no 32-bit integer"),
            id="priority is a number in Python only",
        ),
        pytest.param(
            {"updatePriority": "2147483648"},
            (("updatePriority",), "'2147483648' is no 32-bit integer"),
            id="priority does not fit",
        ),
        pytest.param(
            {"labels": {"a": "b c"}},
            (("labels", "a"), f"'b c' {NO_VALUE}"),
            id="label value",
        ),
        pytest.param(
            {"labels": {"a b": "c"}},
            (("labels", "a b"), f"'a b' is no legal label key: {NO_KEY}"),
            id="label key",
        ),
        pytest.param(
            {"labels": {"Example.com/a": "c"}},
            (("labels", "Example.com/a"), f"'Example.com/a' is no legal label key: {NO_KEY}"),
            id="label prefix",
        ),
        pytest.param(
            {"annotations": {"a/b/c": "d"}},
            (("annotations", "a/b/c"), f"'a/b/c' is no legal annotation key: {NO_KEY}"),
            id="annotation key with two slashes",
        ),
        pytest.param(
            {"annotations": {"/b": "d"}},
            (("annotations", "/b"), f"'/b' is no legal annotation key: {NO_KEY}"),
            id="annotation key with an empty prefix",
        ),
        pytest.param(
            {"containers": [{"name": "game", "image": "{{.Result}}"}]},
            (("containers", "game", "image"), "it cannot be a template"),
            id="image template",
        ),
        *(
            pytest.param(
                {kind: {key: "x"}},
                ((kind, key), f"{key} belongs to Gamekeeper: choose another key"),
                id=f"{kind} {key}",
            )
            for kind, key in [
                *(("labels", key) for key in sorted(names.OWNED_KEYS)),
                ("annotations", names.VERDICTS_ANNOTATION),
            ]
        ),
    ],
)
def test_an_unusable_value_skips_its_field_only_and_says_why(action, skipped):
    asked = contribution(quality("q", {"state": True, "networkDisabled": True} | action), verdict())
    assert asked == Contribution({("networkDisabled",): True}, (skipped,), actions=1)


def test_a_container_that_is_not_in_the_template_is_left_alone():
    images = [{"name": "game", "image": "g:2"}, {"name": "gone", "image": "x:1", "resources": {}}]
    asking = quality("q", {"state": True, "containers": images})
    gone = "'gone' is no container of the template (game, log)"
    assert contribution(asking, verdict(), {"log", "game"}) == Contribution(
        {("containers", "game", "image"): "g:2"},
        (
            (("containers", "gone", "image"), gone),
            (("containers", "gone", "resources"), gone),
        ),
        actions=1,
    )


def test_a_later_usable_value_makes_the_refusal_moot():
    actions = ({"state": True, "opsState": "not legal"}, {"state": True, "opsState": "Busy"})
    assert contribution(quality("q", *actions), verdict()) == Contribution(
        {("opsState",): "Busy"}, (), actions=2
    )


def test_a_later_unusable_value_leaves_the_earlier_one_and_is_told():
    actions = ({"state": True, "opsState": "Busy"}, {"state": True, "opsState": "not legal"})
    assert contribution(quality("q", *actions), verdict()) == Contribution(
        {("opsState",): "Busy"},
        ((("opsState",), f"'not legal' {NO_VALUE}"),),
        actions=2,
    )


@pytest.mark.parametrize("key", ["a", "A.b_c-d", "example.com/a", "x" * 63, f"{'p' * 253}/a"])
def test_legal_keys_are_accepted(key):
    asked = contribution(quality("q", {"state": True, "labels": {key: ""}}), verdict())
    assert asked.fields == {("labels", key): ""}


def test_only_known_verdicts_can_match_and_their_results_are_cleaned():
    reports = (
        probe_report("idle", "True", " 1|2\n"),
        probe_report("healthy", "False", ""),
        probe_report("lost", "Unknown", "3"),
    )
    assert matchable_verdicts(reports) == {
        "idle": Verdict("True", hash_result("12"), "12"),
        "healthy": Verdict("False", hash_result(""), ""),
    }


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (Verdict("True", hash_result("1"), "1"), True),
        (Verdict("True", hash_result("1")), True),
        (Verdict("True", hash_result("2"), "1"), False),
        (Verdict("False", hash_result("1"), "1"), False),
    ],
    ids=["equal", "without the text", "another result", "another status"],
)
def test_verdicts_are_the_same_by_status_and_hash(other, same):
    assert verdict("True", "1").is_same(other) is same


def test_a_hash_is_that_of_the_cleaned_result_and_stays_what_annotations_have():
    assert hash_result("gate") == "c974e17b8e7321ce8c12" == hash_result(" ga|te\r\n")


def test_templates_are_rendered_with_the_result_of_the_verdict():
    players = quality(
        "players",
        {
            "state": True,
            "deletionPriority": "{{.Result}}",
            "opsState": "{{if eq .Result 0}}X{{end}}",
        },
        {"state": True, "result": "7", "labels": {"lucky": "{{.Result}}"}},
    )
    assert contribution(players, verdict("True", "7")) == Contribution(
        {("deletionPriority",): 7, ("labels", "lucky"): "7"}, (), actions=2
    )
    assert contribution(players, Verdict("True", hash_result("7"))) == Contribution(
        {},
        (
            (("opsState",), "the result is not known any more"),
            (("deletionPriority",), "the result is not known any more"),
            (("labels", "lucky"), "the result is not known any more"),
        ),
        actions=2,
    )
