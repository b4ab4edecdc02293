"""The sender against real servers that misbehave on purpose."""

from __future__ import annotations

import json
import os
import socket
import ssl
import struct
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from agent.address import BaseUrl, parse_base_url
from agent.outbox import Accepted, Event, Failed, Refused, Superseded
from agent.sender import Delivery, Sender
from shared.clock import monotonic_seconds
from shared.protocol.report import Answer
from tests.support.raw_server import RawServer, raw_server, tls_of
from tests.support.report_server import write_certificate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

UNEXPLAINED = "without a reason in JSON, so it may come from a proxy on the way"

pytestmark = [pytest.mark.component, pytest.mark.timeout(40)]

ANSWER = {"probesRevision": "r1", "heartbeatSeconds": 10}
CUT = "the server closed the connection before its answer was complete"


def http(status: int, body: Any, *headers: str) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Word", *headers, f"Content-Length: {len(content)}", "", ""]
    return "\r\n".join(lines).encode() + content


OK = http(200, ANSWER)


@dataclass
class Sending:
    """A sender whose deliveries are waited for, and its token file."""

    sender: Sender
    arrived: threading.Semaphore
    token: Path

    def send(self, body: bytes = b"{}", timeout: float = 10) -> Delivery:
        self.sender.submit(body, timeout)
        assert self.arrived.acquire(timeout=20), "nothing was delivered"
        delivery = self.sender.take()
        assert delivery is not None
        assert self.sender.take() is None
        return delivery

    def events(self, number: int) -> list[Event]:
        return [self.send().event for _ in range(number)]


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("secret\n")
    return path


@contextmanager
def sending(token: Path, *urls: str, ca_file: Path | None = None) -> Iterator[Sending]:
    parsed = [parse_base_url(url) for url in urls]
    arrived = threading.Semaphore(0)
    bases: tuple[BaseUrl, ...] = tuple(url for url in parsed if url is not None)
    sender = Sender(bases, str(token), str(ca_file or ""), arrived.release)
    try:
        yield Sending(sender, arrived, token)
    finally:
        sender.close(20)


def answering(*answers: bytes) -> Callable[[RawServer, socket.socket], None]:
    """Give these answers in turn, on however many connections, and the last one for ever."""
    left = list(answers)

    def serve(server: RawServer, channel: socket.socket) -> None:
        while server.read_request(channel):
            channel.sendall(left.pop(0) if len(left) > 1 else left[0])

    return serve


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


def cutting(answer: bytes, offset: int, good_before: int, *, reset: bool = False) -> Any:
    """Give good answers, then one that is cut, then good ones on further connections."""
    given = 0

    def serve(server: RawServer, channel: socket.socket) -> None:
        nonlocal given
        while server.read_request(channel):
            given += 1
            if given == good_before + 1:
                channel.sendall(answer[:offset])
                if reset:
                    channel.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            channel.sendall(OK)

    return serve


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_an_answer_cut_at_any_byte_is_a_failure_and_the_next_report_gets_through(
    token: Path, reset: bool
) -> None:
    seen = {}
    for offset in range(len(OK)):
        with (
            raw_server(cutting(OK, offset, 0, reset=reset)) as server,
            sending(token, f"http://127.0.0.1:{server.port}") as reports,
        ):
            seen[offset] = (*reports.events(2), len(server.requests))
    assert seen == {offset: (Failed(), Accepted(10), 2) for offset in range(len(OK))}


def test_a_kept_connection_cut_at_any_byte_costs_one_repetition_of_the_same_report(
    token: Path,
) -> None:
    seen = {}
    for offset in range(len(OK)):
        with (
            raw_server(cutting(OK, offset, 1)) as server,
            sending(token, f"http://127.0.0.1:{server.port}") as reports,
        ):
            events = [reports.send(b"1").event, reports.send(b"2").event]
            seen[offset] = (*events, server.requests)
    expected = (Accepted(10), Accepted(10), [b"1", b"2", b"2"])
    assert seen == dict.fromkeys(range(len(OK)), expected)


def test_a_tls_connection_cut_at_any_byte_of_the_answer_is_a_failure(
    token: Path, tmp_path: Path
) -> None:
    certificate, key = write_certificate(tmp_path)
    good = http(200, ANSWER, "Connection: close")

    def serve(server: RawServer, channel: socket.socket) -> None:
        """Cut the answer of every second connection, one byte later each time."""
        assert server.read_request(channel)
        offset, is_good = divmod(len(server.requests) - 1, 2)
        channel.sendall(good if is_good else good[:offset])

    with (
        raw_server(serve, tls_of(certificate, key)) as server,
        sending(token, f"https://127.0.0.1:{server.port}", ca_file=certificate) as reports,
    ):
        seen = {offset: tuple(reports.events(2)) for offset in range(len(good))}
    assert seen == dict.fromkeys(range(len(good)), (Failed(), Accepted(10)))


def test_an_answer_without_a_length_that_tls_did_not_end_is_not_taken_for_whole(
    token: Path, tmp_path: Path
) -> None:
    certificate, key = write_certificate(tmp_path)
    endless = b"HTTP/1.1 200 OK\r\n\r\n" + json.dumps(ANSWER).encode()
    with (
        raw_server(cutting(endless, len(endless), 0), tls_of(certificate, key)) as server,
        sending(token, f"https://127.0.0.1:{server.port}", ca_file=certificate) as reports,
    ):
        assert [type(event) for event in reports.events(2)] == [Failed, Accepted]


def test_a_trickled_answer_is_put_together(token: Path) -> None:
    def serve(server: RawServer, channel: socket.socket) -> None:
        channel.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while server.read_request(channel):
            for byte in OK:
                channel.sendall(bytes([byte]))

    with (
        raw_server(serve) as server,
        sending(token, f"http://127.0.0.1:{server.port}") as reports,
    ):
        assert reports.events(2) == [Accepted(10), Accepted(10)]
    assert len(server.requests) == 2


def test_a_server_that_trickles_for_ever_costs_one_deadline(token: Path) -> None:
    def serve(server: RawServer, channel: socket.socket) -> None:
        if server.read_request(channel):
            channel.sendall(b"HTTP/1.1 200 OK\r\n")
            while not server.released.wait(0.02):
                try:
                    channel.sendall(b"X: y\r\n")
                except OSError:
                    return

    with (
        raw_server(serve) as server,
        sending(token, f"http://127.0.0.1:{server.port}") as reports,
    ):
        began = monotonic_seconds()
        delivery = reports.send(timeout=0.5)
        took = monotonic_seconds() - began
    assert delivery == Delivery(Failed(), f"http://127.0.0.1:{server.port}", error="timed out")
    assert took >= 0.5


def test_bytes_that_nobody_asked_for_are_not_taken_for_the_next_answer(token: Path) -> None:
    farewell = http(408, {"reason": "Idle", "message": "bye"}, "Connection: close")
    sent = threading.Event()

    def serve(server: RawServer, channel: socket.socket) -> None:
        while server.read_request(channel):
            channel.sendall(OK)
            if not sent.is_set():
                channel.sendall(farewell)
                channel.shutdown(socket.SHUT_WR)
                sent.set()
                with suppress(ConnectionResetError):  # the farewell may still lie there unread
                    channel.recv(1)
                return

    with (
        raw_server(serve) as server,
        sending(token, f"http://127.0.0.1:{server.port}") as reports,
    ):
        first = reports.send(b"1").event
        assert sent.wait(10)
        assert [first, reports.send(b"2").event] == [Accepted(10)] * 2
    assert server.requests == [b"1", b"2"]  # the stale connection was seen before it was used


def test_a_server_that_does_not_finish_the_tls_handshake_costs_one_deadline(
    token: Path, tmp_path: Path
) -> None:
    certificate, _ = write_certificate(tmp_path)

    def stall(server: RawServer, channel: socket.socket) -> None:
        server.released.wait(20)

    with (
        raw_server(stall) as server,
        sending(token, f"https://127.0.0.1:{server.port}", ca_file=certificate) as reports,
    ):
        assert "timed out" in reports.send(timeout=0.3).error


def test_a_rotated_ca_is_trusted_at_once_and_one_that_was_taken_out_no_more(
    token: Path, tmp_path: Path
) -> None:
    folders = [tmp_path / "old", tmp_path / "new"]
    for folder in folders:
        folder.mkdir()
    (old, old_key), (new, new_key) = (write_certificate(folder) for folder in folders)
    bundle = tmp_path / "bundle"

    def replace_bundle(content: bytes) -> None:
        """As kubelet does it: another file takes the name."""
        (tmp_path / "next").write_bytes(content)
        os.replace(tmp_path / "next", bundle)

    replace_bundle(old.read_bytes())
    closing = http(200, ANSWER, "Connection: close")
    with (
        raw_server(answering(closing), tls_of(old, old_key)) as server,
        sending(token, f"https://127.0.0.1:{server.port}", ca_file=bundle) as reports,
    ):
        seen = [reports.send().event]
        replace_bundle(old.read_bytes() + new.read_bytes())
        server.tls = tls_of(new, new_key)
        seen.append(reports.send().event)
        replace_bundle(b"nothing of use")
        seen.append(reports.send().event)
        bundle.unlink()
        seen.append(reports.send().event)
        replace_bundle(new.read_bytes())
        server.tls = tls_of(old, old_key)
        refused = reports.send()
        server.tls = tls_of(new, new_key)
        seen.append(reports.send().event)
    assert seen == [Accepted(10)] * 5
    assert (refused.event, server.handshake_failures) == (Failed(), 1)
    assert "certificate verify failed" in refused.error
    assert len(server.requests) == 5  # the refused server saw no report and no token


def test_a_certificate_for_another_name_gets_no_token(token: Path, tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    with (
        raw_server(answering(OK), tls_of(certificate, key)) as server,
        sending(token, f"https://localhost:{server.port}", ca_file=certificate) as reports,
    ):
        delivery = reports.send()
    assert (delivery.event, server.requests) == (Failed(), [])
    assert "Hostname mismatch" in delivery.error


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


def refusing_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.mark.parametrize(
    "name",
    ["http://gamekeeper-reports.invalid:1", f"http://{'x' * 64}.example:1", "http://127.0.0.1:0"],
    ids=["a name that nobody knows", "a name that is none", "nobody there"],
)
def test_when_the_name_leads_nowhere_the_address_serves_and_is_remembered(
    token: Path, name: str
) -> None:
    name = name.replace(":0", f":{refusing_port()}")
    with raw_server(answering(OK)) as server:
        address = f"http://127.0.0.1:{server.port}"
        with sending(token, name, address) as reports:
            deliveries = [reports.send(), reports.send()]
    assert [(item.event, item.url) for item in deliveries] == [(Accepted(10), address)] * 2
    assert len(server.requests) == 2


def test_a_name_that_swallows_packets_leaves_the_address_its_share_of_the_time(
    token: Path,
) -> None:
    def stall(server: RawServer, channel: socket.socket) -> None:
        server.released.wait(20)

    with raw_server(stall) as hole, raw_server(answering(OK)) as server:
        urls = [f"http://127.0.0.1:{port}" for port in (hole.port, server.port)]
        with sending(token, *urls) as reports:
            delivery = reports.send(timeout=4)
            hole.released.set()
    assert (delivery.event, delivery.url) == (Accepted(10), urls[1])


def test_a_name_whose_look_up_outlasts_every_deadline_does_not_mute_the_agent(
    token: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it is in hostNetwork pods whose name server drops the cluster's names."""
    look_up, gave_up = socket.getaddrinfo, threading.Event()

    def hang(host: bytes, *arguments: Any, **options: Any) -> Any:
        if host == b"gamekeeper-reports.example":
            gave_up.wait(0.5)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return look_up(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    with raw_server(answering(OK)) as server:
        urls = ["http://gamekeeper-reports.example:1", f"http://127.0.0.1:{server.port}"]
        with sending(token, *urls) as reports:
            # Ten, because a busy machine may need longer than one of these deadlines for anything.
            deliveries = [reports.send(timeout=0.4) for _ in range(10)]
    assert deliveries[0].event == Failed()
    assert (Accepted(10), urls[1]) in [(item.event, item.url) for item in deliveries]


def test_after_a_503_the_next_name_is_asked_first(token: Path) -> None:
    standby = http(503, {}, "Retry-After: 1", "Connection: close")
    with raw_server(answering(standby)) as one, raw_server(answering(OK)) as two:
        urls = [f"http://127.0.0.1:{port}" for port in (one.port, two.port)]
        with sending(token, *urls) as reports:
            deliveries = [reports.send() for _ in range(3)]
    assert [(item.event, item.url) for item in deliveries] == [
        (Failed(1.0), urls[0]),
        (Accepted(10), urls[1]),
        (Accepted(10), urls[1]),
    ]


def test_a_lost_response_is_a_failure_and_the_same_state_goes_again_when_asked(
    token: Path,
) -> None:
    """The server takes the report and dies before it answers."""
    with (
        raw_server(cutting(OK, 0, 0)) as server,
        sending(token, f"http://127.0.0.1:{server.port}") as reports,
    ):
        lost = reports.send(b"state 1")
        again = reports.send(b"state 1")
    assert (lost.event, lost.error, again.event) == (Failed(), CUT, Accepted(10))
    assert server.requests == [b"state 1", b"state 1"]


def test_a_ca_file_without_certificates_is_an_error_at_the_start(
    token: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").touch()
    with (
        pytest.raises(ssl.SSLError),
        sending(token, "https://127.0.0.1:1", ca_file=tmp_path / "empty"),
    ):
        pass
