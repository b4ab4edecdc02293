"""The agent's HTTP connection against servers that misbehave on purpose."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from agent.address import BaseUrl, parse_base_url
from agent.http_client import Connection, ExchangeError, Response
from shared.clock import monotonic_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.component, pytest.mark.timeout(20)]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
CLOSE = b""
STALL = None


@contextmanager
def scripted_server(*connections: list[bytes | None]) -> Iterator[tuple[BaseUrl, list[bytes]]]:
    """Serve each connection by its script: one answer per request, then close; STALL answers never.

    Yields the URL and the requests as they come in.
    """
    requests: list[bytes] = []
    released = threading.Event()

    def serve(listener: socket.socket) -> None:
        for script in connections:
            channel, _ = listener.accept()
            with channel:
                for answer in script:
                    if answer is STALL:
                        released.wait(60)
                        break
                    requests.append(read_request(channel))
                    channel.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        url = parse_base_url(f"http://127.0.0.1:{listener.getsockname()[1]}/base")
        assert url is not None
        try:
            yield url, requests
        finally:
            released.set()
            thread.join()


def read_request(channel: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"body"):
        part = channel.recv(4096)
        assert part, data
        data += part
    return data


def post(connection: Connection, timeout: float = 30) -> Response:
    return connection.post("/v1/reports", {"Authorization": "Bearer t"}, b"body", timeout)


def test_requests_share_a_connection_and_look_like_this() -> None:
    with scripted_server([OK, OK]) as (url, requests):
        connection = Connection(url, None)
        answers = [post(connection), post(connection)]
        connection.close()
    assert answers == [Response(200, {"content-length": "2"}, b"{}")] * 2
    assert (
        requests
        == [
            (
                f"POST /base/v1/reports HTTP/1.1\r\nHost: {url.authority}\r\n"
                "Authorization: Bearer t\r\nContent-Length: 4\r\n\r\nbody"
            ).encode()
        ]
        * 2
    )


def test_a_kept_connection_that_the_server_closed_is_opened_again() -> None:
    with scripted_server([OK], [OK]) as (url, requests):
        connection = Connection(url, None)
        assert [post(connection).status, post(connection).status] == [200, 200]
        connection.close()
    assert len(requests) == 2


@pytest.mark.parametrize(
    "header", ["Connection: close", "connection: Close"], ids=["as usual", "in other case"]
)
def test_a_server_that_wants_to_close_is_obeyed(header: str) -> None:
    last = f"HTTP/1.1 503 Standby\r\n{header}\r\nContent-Length: 2\r\n\r\n{{}}".encode()
    with scripted_server([last], [OK]) as (url, _):
        connection = Connection(url, None)
        assert [post(connection).status, post(connection).status] == [503, 200]
        connection.close()


def test_an_answer_without_a_length_lasts_to_the_end_of_the_connection() -> None:
    with scripted_server([b"HTTP/1.0 500 Oops\r\n\r\nall of it"]) as (url, _):
        assert post(Connection(url, None)) == Response(500, {}, b"all of it")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        pytest.param(
            CLOSE, "the server closed the connection before its answer was complete", id="no answer"
        ),
        pytest.param(
            OK[:-1], "the server closed the connection before its answer was complete", id="half"
        ),
        pytest.param(b"SSH-2.0-x\r\n\r\n", "the answer is not HTTP/1.1", id="another protocol"),
        pytest.param(b"HTTP/1.1 abc\r\n\r\n", "the answer is not HTTP/1.1", id="no status"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n",
            "Content-Length '9999999' is not between 0 and 1048576",
            id="too long",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "Content-Length '-1' is not between 0 and 1048576",
            id="negative",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "chunked answers are not supported: put no such proxy in between",
            id="chunked",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000,
            "the response head is longer than 16384 bytes",
            id="an endless head",
        ),
    ],
)
def test_a_broken_answer_is_one_line_and_the_next_request_connects_anew(
    answer: bytes, message: str
) -> None:
    with scripted_server([answer], [OK]) as (url, _):
        connection = Connection(url, None)
        with pytest.raises(ExchangeError) as caught:
            post(connection)
        assert str(caught.value) == message
        assert post(connection).status == 200
        connection.close()


def test_an_endless_body_is_refused() -> None:
    endless = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (1024 * 1024 + 1)
    with scripted_server([endless]) as (url, _), pytest.raises(ExchangeError, match="longer than"):
        post(Connection(url, None))


@pytest.mark.parametrize(
    "script",
    [[STALL], [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", STALL]],
    ids=["before its answer", "in its answer"],
)
def test_a_server_that_stalls_costs_one_deadline(script: list[bytes | None]) -> None:
    began = monotonic_seconds()
    with scripted_server(script) as (url, _):
        connection = Connection(url, None)
        with pytest.raises(ExchangeError, match="timed out"):
            post(connection, timeout=0.3)
    assert 0.3 <= monotonic_seconds() - began < 30


def test_nobody_there_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = parse_base_url(f"http://127.0.0.1:{listener.getsockname()[1]}")
    assert url is not None
    with pytest.raises(ExchangeError, match="Connection refused"):
        post(Connection(url, None))


def test_the_next_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nobody = listener.getsockname()
    with scripted_server([OK]) as (url, requests):
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address)
            for address in (nobody, (url.host, url.port))
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments, **_options: found)
        connection = Connection(replace(url, host="reports.example"), None)
        assert post(connection).status == 200
        connection.close()
    assert len(requests) == 1


def test_an_http_1_0_server_keeps_a_connection_only_if_it_says_so() -> None:
    plain = b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    kept = b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n{}"
    with scripted_server([plain], [kept, plain]) as (url, requests):
        connection = Connection(url, None)
        assert [post(connection).status for _ in range(3)] == [200, 200, 200]
        connection.close()
    assert len(requests) == 3


def test_an_https_url_without_a_ca_file_is_refused_before_anything_is_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = parse_base_url(f"https://127.0.0.1:{listener.getsockname()[1]}")
        assert url is not None
        with pytest.raises(ExchangeError, match="needs a CA file"):
            post(Connection(url, None))
        channel, _ = listener.accept()
        with channel:
            assert channel.recv(1) == b""
