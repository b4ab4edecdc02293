"""How long a server asks to wait, in every form the header may have."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.retry_after import read_retry_after

NOW = datetime(2026, 10, 21, 7, 28, tzinfo=UTC)
DATE = "Wed, 21 Oct 2026 07:28:30 GMT"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param({}, None, id="none"),
        pytest.param({"retry-after": "7"}, 7.0, id="seconds"),
        pytest.param({"retry-after": "0"}, 0.0, id="at once"),
        pytest.param({"retry-after": "9" * 400}, float("inf"), id="more than a float holds"),
        pytest.param({"retry-after": DATE}, 30.0, id="a date, by our clock"),
        pytest.param(
            {"retry-after": DATE, "date": "Wed, 21 Oct 2026 07:28:20 GMT"},
            10.0,
            id="a date, by the server's clock",
        ),
        pytest.param({"retry-after": DATE, "date": "yesterday"}, 30.0, id="its clock unreadable"),
        pytest.param({"retry-after": "Sat, 01 Jan 2000 00:00:00 GMT"}, 0.0, id="a date long past"),
        pytest.param({"retry-after": "Mon, 30 Feb 2026 00:00:00 GMT"}, None, id="no such day"),
        pytest.param({"retry-after": "Wed, 21 Okt 2026 07:28:00 GMT"}, None, id="no such month"),
        pytest.param({"retry-after": "Wed, 21 Oct 2026 25:28:00 GMT"}, None, id="no such hour"),
        pytest.param({"retry-after": "Wed, 21 Oct 0000 07:28:00 GMT"}, None, id="no such year"),
        pytest.param({"retry-after": "-1"}, None, id="negative"),
        pytest.param({"retry-after": "1.5"}, None, id="a fraction"),
        pytest.param({"retry-after": "soon"}, None, id="a word"),
        pytest.param({"retry-after": "\u00b2"}, None, id="a digit of another kind"),
    ],
)
def test_the_header_becomes_seconds_or_nothing(
    headers: dict[str, str], expected: float | None
) -> None:
    assert read_retry_after(headers, NOW) == expected


@given(st.dictionaries(st.sampled_from(["retry-after", "date"]), st.text()))
def test_no_text_is_an_error_and_no_wait_is_negative(headers: dict[str, str]) -> None:
    seconds = read_retry_after(headers, NOW)
    assert seconds is None or seconds >= 0
