"""The annotation that remembers verdicts: a round trip, and whatever a person makes of it."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.quality.match import Verdict, hash_result, verdict_of
from aggregator.quality.verdicts import Record, nest, parse_records, render_records

EXECUTED = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
RECORD = Record(
    verdict_of("True", "0"),
    "pod-0",
    EXECUTED,
    {
        ("opsState",): "None",
        ("labels", "a.b/c"): "red",
        ("networkDisabled",): False,
        ("containers", "game", "image"): "game:2",
    },
)
GOOD = {"status": "True", "resultHash": "x", "podUid": "pod-0"}
RESOURCES = ("containers", "game", "resources")
PLAIN = Record(Verdict("True", "x"), "pod-0")


def test_the_result_is_remembered_beside_its_hash():
    text = render_records({"q": Record(verdict_of("True", "é|0"), "pod-0")})
    expected = {"podUid": "pod-0", "result": "é0", "resultHash": hash_result("é0")}
    assert json.loads(text) == {"q": expected | {"status": "True"}}
    assert "é0" in text, "as it is: six bytes for each letter would be too many"
    assert parse_records(text)["q"].verdict == verdict_of("True", "é0")


@pytest.mark.parametrize(
    ("result", "remembered"),
    [
        ("", True),
        ("x" * 1024, True),
        ("é" * 512, True),
        ("\x01" * 170 + "xxxx", True),
        ("\x01" * 170 + "xxxxx", False),
        ("\x01" * 1024, False),
    ],
    ids=["empty", "1024 bytes", "1024 bytes in UTF-8", "1024 escaped", "1025 escaped", "unwieldy"],
)
def test_an_unwieldy_result_is_remembered_by_its_hash_alone(result, remembered):
    verdict = verdict_of("True", result)
    (record,) = parse_records(render_records({"q": Record(verdict, "pod-0")})).values()
    assert record.verdict == (verdict if remembered else Verdict("True", verdict.result_hash))
    assert record.verdict.is_same(verdict)


@pytest.mark.parametrize("result", ["1", 0, None, ["0"]])
def test_a_result_that_is_not_the_one_acted_on_is_not_believed(result):
    text = json.dumps({"q": GOOD | {"resultHash": hash_result("0"), "result": result}})
    assert parse_records(text)["q"].verdict == Verdict("True", hash_result("0"))


def test_the_text_is_the_promised_form():
    assert json.loads(render_records({"healthy": RECORD})) == {
        "healthy": {
            "status": "True",
            "resultHash": "5feceb66ffc86f38d952",
            "result": "0",
            "podUid": "pod-0",
            "executedAt": "2026-01-02T03:04:05.678Z",
            "fields": {
                "opsState": "None",
                "labels": {"a.b/c": "red"},
                "networkDisabled": False,
                "containers": {"game": {"image": "game:2"}},
            },
        }
    }


FIELDS = st.dictionaries(
    st.one_of(
        st.sampled_from([("opsState",), ("deletionPriority",), ("networkDisabled",)]),
        st.tuples(st.sampled_from(["labels", "annotations"]), st.text(min_size=1)),
        st.tuples(st.just("containers"), st.text(min_size=1), st.sampled_from(["image"])),
    ),
    st.text(),
    max_size=4,
)
RECORDS = st.dictionaries(
    st.text(max_size=8),
    st.builds(
        Record,
        verdict=st.builds(Verdict, st.sampled_from(["True", "False"]), st.text(max_size=20)),
        pod_uid=st.text(max_size=8),
        executed_at=st.none() | st.just(EXECUTED),
        fields=FIELDS,
    ),
    max_size=4,
)


@given(RECORDS)
def test_what_is_rendered_is_parsed_again(records):
    assert parse_records(render_records(records)) == records


@given(RECORDS)
def test_equal_records_give_equal_text_whatever_their_order(records):
    backwards = dict(reversed(records.items()))
    assert render_records(backwards) == render_records(records)


@pytest.mark.parametrize(
    ("text", "records"),
    [
        pytest.param(None, {}, id="absent"),
        pytest.param("", {}, id="empty"),
        pytest.param("{", {}, id="no JSON"),
        pytest.param("[]", {}, id="no object"),
        pytest.param("[" * 100_000, {}, id="nested without end"),
        pytest.param('{"a": null}', {}, id="no entry"),
        pytest.param(json.dumps({"a": GOOD | {"status": "Unknown"}}), {}, id="Unknown"),
        pytest.param(json.dumps({"a": GOOD | {"status": True}}), {}, id="status is no text"),
        pytest.param(json.dumps({"a": GOOD | {"resultHash": 1}}), {}, id="hash is no text"),
        pytest.param(json.dumps({"a": {"status": "True"}}), {}, id="fields missing"),
        pytest.param(
            json.dumps({"a": "spoiled", "b": GOOD}), {"b": PLAIN}, id="a spoiled one stops no other"
        ),
        pytest.param(
            json.dumps({"a": GOOD | {"executedAt": "yesterday"}}), {"a": PLAIN}, id="no time"
        ),
        pytest.param(json.dumps({"a": GOOD | {"executedAt": 7}}), {"a": PLAIN}, id="time is 7"),
        pytest.param(
            json.dumps({"a": GOOD | {"executedAt": "2026-01-02T03:04:05"}}),
            {"a": PLAIN},
            id="time without zone",
        ),
        pytest.param(json.dumps({"a": GOOD | {"fields": [1]}}), {"a": PLAIN}, id="fields a list"),
        pytest.param(
            json.dumps({"a": GOOD | {"fields": {"x": None, "labels": {"y": 1}, "z": 2}}}),
            {"a": Record(PLAIN.verdict, "pod-0", None, {("z",): 2})},
            id="odd values of fields",
        ),
        *(
            pytest.param(
                json.dumps({"a": GOOD | {"fields": {"containers": containers}}}),
                {"a": Record(PLAIN.verdict, "pod-0", None, fields)},
                id=f"containers {containers}",
            )
            for containers, fields in [
                ("x", {}),
                ({"game": "x"}, {}),
                ({"game": {"image": 1, "resources": "{}"}}, {RESOURCES: "{}"}),
            ]
        ),
    ],
)
def test_a_spoiled_annotation_loses_only_what_is_spoiled(text, records):
    assert parse_records(text) == records


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.text(), JSON, max_size=3))
def test_any_object_can_be_parsed_and_its_records_survive_a_round_trip(body):
    records = parse_records(json.dumps(body))
    assert parse_records(render_records(records)) == records


def test_nest_makes_paths_into_objects_without_touching_its_input():
    fields = {("opsState",): "None", ("labels", "a"): "1", ("labels", "b"): "2"}
    copy = dict(fields)
    assert nest(fields) == {"opsState": "None", "labels": {"a": "1", "b": "2"}}
    assert fields == copy
