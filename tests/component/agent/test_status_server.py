"""The status server on a selector: who may ask what, and callers that misbehave."""

from __future__ import annotations

import errno
import os
import selectors
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from agent import status
from agent.status import Pages, StatusServer
from shared.clock import monotonic_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES = Pages(
    describe=lambda: {"big": "x" * 5_000_000},
    measure=lambda: "up 1\n",
    allows=lambda token: token == "open sesame",
)

pytestmark = [pytest.mark.component, pytest.mark.timeout(10)]


@dataclass
class Running:
    """A server that is driven by the test, and its port."""

    server: StatusServer
    selector: selectors.BaseSelector
    port: int

    def ask(self, request: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as caller:
            caller.sendall(request)
            return self.read(caller)

    def read(self, caller: socket.socket) -> bytes:
        """Drive the server until it closes the connection; return what it said."""
        caller.setblocking(False)
        said = b""
        while True:
            self.turn(0.01)
            try:
                part = caller.recv(65_536)
            except BlockingIOError:
                continue
            except ConnectionResetError:
                return said
            if not part:
                return said
            said += part

    def turn(self, wait: float) -> None:
        for key, _ in self.selector.select(wait):
            key.data()
        self.server.step(monotonic_seconds())


@pytest.fixture
def running() -> Iterator[Running]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with selectors.DefaultSelector() as selector:
        server = StatusServer(selector, "127.0.0.1", port, PAGES)
        yield Running(server, selector, port)
        server.close()


@pytest.mark.parametrize(
    ("request_line", "status_line"),
    [
        ("GET /healthz HTTP/1.1", "HTTP/1.1 200 OK"),
        ("GET /readyz?verbose HTTP/1.1", "HTTP/1.1 200 OK"),
        ("GET /nothing HTTP/1.1", "HTTP/1.1 404 Not Found"),
        ("POST /healthz HTTP/1.1", "HTTP/1.1 405 Method Not Allowed"),
        ("hello", "HTTP/1.1 400 Bad Request"),
    ],
)
def test_each_request_has_its_status(running: Running, request_line: str, status_line: str) -> None:
    answer = running.ask(f"{request_line}\r\nHost: x\r\n\r\n".encode())
    assert answer.split(b"\r\n", 1)[0].decode() == status_line


def test_a_large_status_arrives_whole(running: Running) -> None:
    head, _, body = running.ask(b"GET /status HTTP/1.1\r\n\r\n").partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert len(body) > 5_000_000


@pytest.mark.parametrize(
    ("header", "status_line"),
    [
        ("", "HTTP/1.1 401 Unauthorized"),
        ("Authorization: Bearer nonsense", "HTTP/1.1 401 Unauthorized"),
        ("Authorization: Basic open sesame", "HTTP/1.1 401 Unauthorized"),
        ("Authorization: Bearer ", "HTTP/1.1 401 Unauthorized"),
        ("X: Authorization: Bearer open sesame", "HTTP/1.1 401 Unauthorized"),
        ("authorization:bearer open sesame", "HTTP/1.1 200 OK"),
    ],
    ids=[
        "no token",
        "a wrong one",
        "another scheme",
        "an empty one",
        "another header",
        "the token",
    ],
)
def test_status_is_for_callers_from_elsewhere_with_the_token_only(
    running: Running, monkeypatch: pytest.MonkeyPatch, header: str, status_line: str
) -> None:
    # A caller from elsewhere would need a second machine: here every caller counts as one.
    monkeypatch.setattr(status, "is_loopback", lambda _host: False)
    answer = running.ask(f"GET /status HTTP/1.1\r\n{header}\r\n\r\n".encode())
    assert answer.split(b"\r\n", 1)[0].decode() == status_line
    if "401" in status_line:
        assert b"WWW-Authenticate: Bearer\r\n" in answer
        assert b"kubectl port-forward" in answer


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_what_tells_no_secret_needs_no_token(
    running: Running, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(status, "is_loopback", lambda _host: False)
    answer = running.ask(f"GET {path} HTTP/1.1\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 200 OK")


def test_metrics_are_the_text_that_prometheus_reads(running: Running) -> None:
    answer = running.ask(b"GET /metrics HTTP/1.1\r\n\r\n")
    assert b"Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n" in answer
    assert answer.endswith(b"\r\n\r\nup 1\n")


def test_a_request_without_end_is_cut_off(running: Running) -> None:
    assert running.ask(b"GET /" + b"x" * 20_000) == b""


def test_a_silent_caller_loses_its_connection_in_time(running: Running) -> None:
    with socket.create_connection(("127.0.0.1", running.port), timeout=20):
        before = monotonic_seconds()
        running.turn(1)
        deadline = running.server.deadline()
        assert deadline is not None
        assert before < deadline <= monotonic_seconds() + 5
        running.server.step(deadline)
        assert running.server.deadline() is None


def test_many_silent_callers_do_not_lock_others_out_for_ever(running: Running) -> None:
    callers: list[Any] = []
    for _ in range(20):
        callers.append(socket.create_connection(("127.0.0.1", running.port), timeout=20))
        running.turn(1)
    deadline = running.server.deadline()
    assert deadline is not None
    running.server.step(deadline + 5)
    for caller in callers:
        caller.close()
    assert running.ask(b"GET /healthz HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("lack", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_without_descriptors_it_stops_accepting_for_a_moment_instead_of_spinning(
    running: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, lack: int
) -> None:
    attempts: list[int] = []

    def refuse(_listener: socket.socket) -> NoReturn:
        attempts.append(lack)
        raise OSError(lack, os.strerror(lack))

    with socket.create_connection(("127.0.0.1", running.port), timeout=20) as caller:
        with monkeypatch.context() as shortage:
            shortage.setattr(socket.socket, "accept", refuse)
            before = monotonic_seconds()
            running.turn(5)
            for _ in range(100):
                assert running.selector.select(0) == []  # the caller waits, and wakes nobody
            resume_at = running.server.deadline()
            assert resume_at is not None
            assert before < resume_at <= monotonic_seconds() + 1
            running.server.step(resume_at)
            running.turn(5)
        assert len(attempts) == 2
        # One line for a shortage, however long it lasts.
        warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
        assert warnings == ["status server cannot accept"]
        again_at = running.server.deadline()
        assert again_at is not None
        running.server.step(again_at)
        caller.sendall(b"GET /healthz HTTP/1.1\r\n\r\n")
        assert running.read(caller).startswith(b"HTTP/1.1 200 OK")
    assert running.server.deadline() is None


def test_it_can_be_closed_while_it_does_not_accept(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_listener: socket.socket) -> NoReturn:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(socket.socket, "accept", refuse)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with selectors.DefaultSelector() as selector:
        server = StatusServer(selector, "127.0.0.1", port, PAGES)
        with socket.create_connection(("127.0.0.1", port), timeout=20):
            for key, _ in selector.select(5):
                key.data()
            server.close()
        assert (server.deadline(), dict(selector.get_map())) == (None, {})


def test_a_caller_that_has_gone_again_does_not_stop_it_accepting(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_listener: socket.socket) -> NoReturn:
        raise OSError(errno.ECONNABORTED, os.strerror(errno.ECONNABORTED))

    with socket.create_connection(("127.0.0.1", running.port), timeout=20) as caller:
        with monkeypatch.context() as abort:
            abort.setattr(socket.socket, "accept", gone)
            running.turn(5)
        assert running.server.deadline() is None
        caller.sendall(b"GET /healthz HTTP/1.1\r\n\r\n")
        assert running.read(caller).startswith(b"HTTP/1.1 200 OK")


def test_a_taken_port_leaves_no_server_and_no_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, selectors.DefaultSelector() as selector:
        port = taken.getsockname()[1]
        server = StatusServer(selector, "127.0.0.1", port, PAGES)
        assert (server.deadline(), dict(selector.get_map())) == (None, {})
        server.close()
