"""The sender and what servers say: answers, refusals, and the token that goes with a report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from agent.outbox import Accepted, Event, Failed, Refused, Superseded
from agent.sender import Delivery
from shared.protocol.report import Answer
from tests.support.raw_server import RawServer, raw_server
from tests.support.sending import ANSWER, OK, answering, http, sending

if TYPE_CHECKING:
    import socket
    from pathlib import Path

pytestmark = [pytest.mark.component, pytest.mark.timeout(40)]

UNEXPLAINED = "without a reason in JSON, so it may come from a proxy on the way"


@pytest.mark.parametrize(
    ("answer", "event", "error"),
    [
        pytest.param(OK, Accepted(10), "", id="200"),
        pytest.param(
            http(400, {"reason": "Invalid", "message": "probes[0].name: must be a string"}),
            Refused(),
            "HTTP 400 Invalid: probes[0].name: must be a string",
            id="400",
        ),
        pytest.param(
            http(401, {"reason": "Unauthorized", "message": "expired"}),
            Failed(),
            "HTTP 401 Unauthorized: expired",
            id="401",
        ),
        pytest.param(
            http(403, b"no"), Failed(), f"HTTP 403: {UNEXPLAINED}", id="403 of somebody in between"
        ),
        pytest.param(http(404, b""), Failed(), f"HTTP 404: {UNEXPLAINED}", id="404"),
        pytest.param(
            http(409, {"reason": "Stale", "message": "older", "epoch": 7}),
            Superseded(7),
            "HTTP 409 Stale: older",
            id="409",
        ),
        pytest.param(
            http(409, {"reason": "Stale", "message": "older", "epoch": 10**30}),
            Superseded(0),
            "HTTP 409 Stale: older",
            id="409 with an epoch that nobody could accept",
        ),
        pytest.param(
            http(409, b"[]"), Superseded(0), f"HTTP 409: {UNEXPLAINED}", id="409 without an epoch"
        ),
        pytest.param(
            http(413, {"reason": "TooLarge", "message": "64 KiB"}),
            Refused(),
            "HTTP 413 TooLarge: 64 KiB",
            id="413",
        ),
        pytest.param(
            http(429, {}, "Retry-After: 7"),
            Failed(7.0),
            f"HTTP 429: {UNEXPLAINED}",
            id="429 with seconds",
        ),
        pytest.param(
            http(
                503,
                {},
                "Date: Wed, 21 Oct 2026 07:28:00 GMT",
                "Retry-After: Wed, 21 Oct 2026 07:28:30 GMT",
            ),
            Failed(30.0),
            f"HTTP 503: {UNEXPLAINED}",
            id="503 with a date",
        ),
        pytest.param(
            http(503, {}, "Retry-After: soon"),
            Failed(),
            f"HTTP 503: {UNEXPLAINED}",
            id="503 with nonsense",
        ),
        pytest.param(
            http(503, {}, f"Retry-After: {'9' * 5000}"),
            Failed(float("inf")),
            f"HTTP 503: {UNEXPLAINED}",
            id="503 with a number beyond all bounds",
        ),
        pytest.param(
            http(502, b"<html>"), Failed(), f"HTTP 502: {UNEXPLAINED}", id="a proxy's page"
        ),
        pytest.param(
            http(307, b"", "Location: http://127.0.0.1:1/"),
            Failed(),
            f"HTTP 307: {UNEXPLAINED}",
            id="a redirect is not followed",
        ),
        pytest.param(
            b"HTTP/1.1 204 Nothing\r\n\r\n",
            Failed(),
            f"HTTP 204: {UNEXPLAINED}",
            id="an answer without a body",
        ),
        pytest.param(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" + OK,
            Accepted(10),
            "",
            id="interim answers before the real one",
        ),
        pytest.param(
            b"HTTP/1.1 100 Continue\r\n\r\n" * 9 + OK,
            Failed(),
            "more than 8 interim answers came",
            id="interim answers without end",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
            Failed(),
            "the answer has two different lengths",
            id="two lengths",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2097152\r\n\r\n" + b"x" * 100_000,
            Failed(),
            "Content-Length '2097152' is not between 0 and 1048576",
            id="a huge answer",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\n" + b"X-Filler: x\r\n" * 2000,
            Failed(),
            "the response head is longer than 16384 bytes",
            id="a huge head",
        ),
    ],
)
def test_what_a_server_says_is_what_happens_and_the_next_report_gets_through(
    token: Path, answer: bytes, event: Event, error: str
) -> None:
    with (
        raw_server(answering(answer, OK)) as server,
        sending(token, f"http://127.0.0.1:{server.port}") as reports,
    ):
        first, second = reports.send(), reports.send()
    assert (first.event, first.error) == (event, error)
    assert second.event == Accepted(10)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "no JSON: Expecting value: line 1 column 1 (char 0)"),
        (b"\xff\xfe", "no JSON: Expecting value: line 1 column 1 (char 0)"),
        (b"[" * 200_000, "no JSON: maximum recursion depth exceeded"),
        (b'{"probesRevision": "r2", "heartbeatSeconds": ' + b"9" * 5000 + b"}", "no JSON: Exceeds"),
        ({"probesRevision": "r2"}, "heartbeatSeconds: must be a number"),
        ({**ANSWER, "probes": [{}] * 65}, "probes: must be a list of at most 64 objects"),
    ],
    ids=["empty", "no UTF-8", "too deep", "a number too long", "a field missing", "too many"],
)
def test_a_200_that_cannot_be_read_is_refused_whole_and_not_sent_again(
    token: Path, body: Any, error: str
) -> None:
    with (
        raw_server(answering(http(200, body), OK)) as server,
        sending(token, f"http://127.0.0.1:{server.port}") as reports,
    ):
        refused, accepted = reports.send(), reports.send()
    assert refused.error.startswith(error)
    assert (refused.event, refused.malformed, refused.answer) == (Refused(), True, None)
    assert accepted.answer == Answer("r1", 10)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (None, "No such file or directory"),
        (b"", "holds no token; it should be a projected service-account token"),
        (b"two words", "holds no token; it should be a projected service-account token"),
        (b"a\r\nX-Evil: b", "holds no token; it should be a projected service-account token"),
        (b"\xff\xfe", "holds no token; it should be a projected service-account token"),
    ],
    ids=["missing", "empty", "words", "a header", "no ASCII"],
)
def test_without_a_token_nothing_is_sent_and_the_file_is_named(
    token: Path, content: bytes | None, error: str
) -> None:
    with (
        raw_server(answering(OK)) as server,
        sending(token, f"http://127.0.0.1:{server.port}") as reports,
    ):
        token.unlink() if content is None else token.write_bytes(content)
        assert reports.send() == Delivery(
            Failed(), f"http://127.0.0.1:{server.port}", error=f"{token}: {error}"
        )
        token.write_text("secret")
        assert reports.send().event == Accepted(10)
    assert len(server.requests) == 1


def test_the_token_is_as_the_file_holds_it_at_each_request(token: Path) -> None:
    heads: list[bytes] = []

    def serve(server: RawServer, channel: socket.socket) -> None:
        while head := server.read_request(channel):
            heads.append(head)
            expired = b"Bearer secret\r\n" in head + b"\r\n"
            channel.sendall(http(401, {}) if expired else OK)

    with (
        raw_server(serve) as server,
        sending(token, f"http://127.0.0.1:{server.port}") as reports,
    ):
        first = reports.send().event
        token.write_text("rotated")
        assert [first, reports.send().event] == [Failed(), Accepted(10)]
    assert [head.decode().partition("Bearer ")[2].split("\r\n")[0] for head in heads] == [
        "secret",
        "rotated",
    ]
