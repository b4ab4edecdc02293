"""How values look on the wire, and how malformed ones are refused with their path (SPEC 2.3, 3)."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidInput
from shared.protocol.paths import MAX_RESULT_BYTES
from shared.protocol.probes import parse_probe_list
from shared.protocol.report import clean_result, parse_answer
from shared.protocol.wire import camel, render, render_time


@pytest.mark.parametrize(
    ("raw", "result"),
    [
        ("gate\n", "gate"),
        (" a|b\r\n", "ab"),
        ("", ""),
        (" \n\r| ", ""),
        ("a b", "a b"),
        ("a\nb", "ab"),
        ("\t x \u3000", "x"),
        ("x" * 1025, "x" * 1024),
        ("x" * 1023 + "é", "x" * 1023),
        ("x" * 1022 + "é", "x" * 1022 + "é"),
        ("x" * 1023 + " y", "x" * 1023),
    ],
)
def test_a_result_is_cleaned(raw, result):
    assert clean_result(raw) == result


@given(st.text(st.characters(codec="utf-8")))
def test_a_clean_result_is_short_has_no_line_and_stays_as_it_is(raw):
    result = clean_result(raw)
    assert len(result.encode()) <= MAX_RESULT_BYTES
    assert not set("\r\n|") & set(result)
    assert clean_result(result) == result


@pytest.mark.parametrize(
    ("name", "wire"), [("name", "name"), ("pod_uid", "podUid"), ("http_get", "httpGet")]
)
def test_names_are_camel_case(name, wire):
    assert camel(name) == wire


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC), "2026-01-02T03:04:05.678Z"),
        (
            datetime(2026, 1, 2, 5, 4, 5, tzinfo=timezone(timedelta(hours=2))),
            "2026-01-02T03:04:05.000Z",
        ),
    ],
)
def test_times_are_utc_with_milliseconds(moment, text):
    assert render_time(moment) == text
    assert render({"at": [moment]}) == {"at": [text]}


EXEC = {"name": "q", "containerName": "game", "exec": {"command": ["a"]}}


@pytest.mark.parametrize(
    ("probes", "message"),
    [
        pytest.param("x", "probes: must be a list of at most 64 objects", id="no list"),
        pytest.param([7], "probes[0]: must be an object", id="no object"),
        pytest.param([{}], "probes[0]: must have exactly one of exec, httpGet,", id="no handler"),
        pytest.param(
            [EXEC | {"grpc": {"port": 1}}], "probes[0]: must have exactly one of", id="two handlers"
        ),
        pytest.param(
            [EXEC | {"exec": {"command": []}}], "probes[0].exec.command: must name", id="no program"
        ),
        pytest.param(
            [EXEC | {"exec": {"command": ["a", 1]}}],
            "probes[0].exec.command[1]: must be a string",
            id="argument no text",
        ),
        pytest.param(
            [EXEC | {"exec": {"command": ["\0"]}}],
            "probes[0].exec.command: must not contain NUL",
            id="NUL",
        ),
        pytest.param(
            [EXEC | {"periodSeconds": 0}],
            "probes[0].periodSeconds: must be between 1 and 86400",
            id="bound",
        ),
        pytest.param(
            [EXEC | {"periodSeconds": 1.5}],
            "probes[0].periodSeconds: must be a whole number",
            id="fraction",
        ),
        pytest.param(
            [EXEC | {"periodSeconds": True}],
            "probes[0].periodSeconds: must be a number",
            id="true is no number",
        ),
        pytest.param([EXEC | {"name": "x" * 64}], "probes[0].name: must have at most", id="name"),
        pytest.param([EXEC, EXEC], "probes[1].name: 'q' is there twice", id="twice"),
        pytest.param([EXEC] * 65, "probes: must be a list of at most 64 objects", id="too many"),
    ],
)
def test_a_malformed_probe_list_is_refused_whole_with_the_path(probes, message):
    with pytest.raises(InvalidInput) as refused:
        parse_probe_list(probes, "probes")
    assert refused.value.message.startswith(message)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], ""),
        ({"heartbeatSeconds": 10}, "probesRevision"),
        ({"probesRevision": "r"}, "heartbeatSeconds"),
        ({"probesRevision": "r", "heartbeatSeconds": 0}, "heartbeatSeconds"),
        ({"probesRevision": "r", "heartbeatSeconds": float("nan")}, "heartbeatSeconds"),
        ({"probesRevision": "r" * 65, "heartbeatSeconds": 10}, "probesRevision"),
    ],
)
def test_a_malformed_answer_names_its_field(body, field):
    with pytest.raises(InvalidInput) as refused:
        parse_answer(body)
    assert refused.value.field == field
