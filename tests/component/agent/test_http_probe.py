"""httpGet probes against real servers, those included that misbehave."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest

from agent.probes.http import USER_AGENT
from shared.protocol.probes import HTTPGetAction, HTTPHeader
from tests.support.probe_loop import ProbeLoop, probe_loop
from tests.support.report_server import write_certificate
from tests.support.scripted_server import ScriptedServer, scripted_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from agent.probes.outcome import Outcome

pytestmark = [pytest.mark.component, pytest.mark.timeout(30)]


@pytest.fixture
def loop() -> Iterator[ProbeLoop]:
    with probe_loop() as running:
        yield running


def answer(status: str, body: bytes = b"", *headers: str) -> Callable[[socket.socket, bytes], None]:
    """Return the script of a well-behaved server."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return say("\r\n".join(lines).encode() + body)


def say(*parts: bytes) -> Callable[[socket.socket, bytes], None]:
    """Return a script that sends these bytes, whatever it was asked, and hangs up."""

    def script(channel: socket.socket, _request: bytes) -> None:
        for part in parts:
            channel.sendall(part)

    return script


def seen(outcome: Outcome) -> tuple[str, str, str]:
    assert outcome.started_at is not None
    assert bool(outcome.message) is bool(outcome.reason)
    return str(outcome.status), outcome.result, outcome.reason


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param(answer("200 OK", b"7 players\n"), ("True", "7 players", ""), id="200"),
        pytest.param(answer("204 No Content"), ("True", "", ""), id="204 without a body"),
        pytest.param(answer("399 Odd", b"odd"), ("True", "odd", ""), id="399"),
        pytest.param(answer("304 Not Modified"), ("True", "", ""), id="304 is no redirect"),
        pytest.param(answer("302 Found", b"x"), ("True", "x", ""), id="302 without a Location"),
        pytest.param(answer("400 Bad", b"no"), ("False", "no", "HTTPStatus"), id="400"),
        pytest.param(answer("503 Away", b"full"), ("False", "full", "HTTPStatus"), id="503"),
        pytest.param(
            answer("200 OK", b"a|b\r\nc\xff"), ("True", "abc\ufffd", ""), id="cleaned and decoded"
        ),
        pytest.param(
            say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0;x=y\r\n\r\n"),
            ("True", "abc", ""),
            id="chunked",
        ),
        pytest.param(say(b"HTTP/1.0 200 OK\n\nold\n"), ("True", "old", ""), id="HTTP/1.0, bare LF"),
        pytest.param(
            say(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nlate"),
            ("True", "late", ""),
            id="an interim response first",
        ),
        pytest.param(
            say(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"),
            ("False", "", "BrokenResponse"),
            id="a body that breaks off",
        ),
        pytest.param(
            say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
            ("False", "", "BrokenResponse"),
            id="a chunk without a size",
        ),
        pytest.param(say(b"HTTP/1.1 20"), ("False", "", "BrokenResponse"), id="half a head"),
        pytest.param(say(b""), ("False", "", "BrokenResponse"), id="nothing at all"),
        pytest.param(say(b"SSH-2.0-OpenSSH\r\n\r\n"), ("False", "", "BrokenResponse"), id="SSH"),
        pytest.param(
            say(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000),
            ("False", "", "BrokenResponse"),
            id="a head without end",
        ),
    ],
)
def test_each_response_has_its_outcome(
    loop: ProbeLoop, script: Any, expected: tuple[str, str, str]
) -> None:
    with scripted_server(script) as server:
        assert seen(loop.run(HTTPGetAction(server.port))) == expected


def test_ten_kibibytes_of_a_body_without_end_are_read(loop: ProbeLoop) -> None:
    def pour(channel: socket.socket, _request: bytes) -> None:
        channel.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            channel.sendall(b"x" * 65_536)

    with scripted_server(pour) as server:
        outcome = loop.run(HTTPGetAction(server.port))
    assert (outcome.status, outcome.result, outcome.stdout) == ("True", "x" * 1024, "x" * 2048)


@pytest.mark.parametrize(
    "parts",
    [(), (b"HTTP/1.1 200 OK\r\n",), (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",)],
    ids=["a silent server", "a head that stops", "a body that stops"],
)
def test_what_does_not_end_in_time_is_false(loop: ProbeLoop, parts: tuple[bytes, ...]) -> None:
    def dawdle(channel: socket.socket, request: bytes) -> None:
        say(*parts)(channel, request)
        server.is_over.wait()

    with scripted_server(dawdle) as server:
        outcome = loop.run(HTTPGetAction(server.port), timeout_seconds=1)
    assert (seen(outcome), outcome.message) == (
        ("False", "", "Timeout"),
        "no answer in 1 s: raise timeoutSeconds, or see why the server is slow",
    )


def test_a_body_that_trickles_is_read_to_its_end(loop: ProbeLoop) -> None:
    whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
    with scripted_server(say(*(bytes([byte]) for byte in whole))) as server:
        assert seen(loop.run(HTTPGetAction(server.port))) == ("True", "abc", "")


def test_nobody_there_is_false(loop: ProbeLoop) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        outcome = loop.run(HTTPGetAction(port))
    assert (seen(outcome), outcome.message) == (
        ("False", "", "ConnectionRefused"),
        f"127.0.0.1:{port}: Connection refused: check the port, and that the server listens on this"
        " address",
    )


def test_a_host_without_an_address_is_unknown(loop: ProbeLoop) -> None:
    outcome = loop.run(HTTPGetAction(80, host="nowhere.invalid"), timeout_seconds=20)
    assert seen(outcome) == ("Unknown", "", "HostNotResolved")


def head_of(server: ScriptedServer) -> list[str]:
    (request,) = server.requests
    return request.decode().split("\r\n")


def test_the_request_is_the_one_of_kubelet(loop: ProbeLoop) -> None:
    with scripted_server(answer("200 OK")) as server:
        loop.run(HTTPGetAction(server.port, "/ready?full=1"))
        assert head_of(server) == [
            "GET /ready?full=1 HTTP/1.1",
            f"Host: 127.0.0.1:{server.port}",
            f"User-Agent: {USER_AGENT}",
            "Accept: */*",
            "Connection: close",
            "",
            "",
        ]


def test_headers_override_what_would_be_sent(loop: ProbeLoop) -> None:
    headers = [("Host", "game.test"), ("user-agent", "me"), ("Accept", ""), ("X", "1"), ("X", "2")]
    action_headers = tuple(HTTPHeader(name, value) for name, value in headers)
    with scripted_server(answer("200 OK")) as server:
        loop.run(HTTPGetAction(server.port, http_headers=action_headers))
        assert head_of(server) == [
            "GET / HTTP/1.1",
            "Host: game.test",
            "user-agent: me",
            "X: 1",
            "X: 2",
            "Connection: close",
            "",
            "",
        ]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("ready", "GET /ready HTTP/1.1"),
        ("", "GET / HTTP/1.1"),
        ("/a b?c=d e#fragment", "GET /a%20b?c=d%20e HTTP/1.1"),
        ("/é%20x", "GET /%C3%A9%20x HTTP/1.1"),
        ("/x HTTP/1.1\r\nEvil: 1", "GET /x%20HTTP/1.1%0D%0AEvil:%201 HTTP/1.1"),
    ],
    ids=["no slash", "empty", "spaces and a fragment", "beyond ASCII", "an injection"],
)
def test_a_path_cannot_be_more_than_a_path(loop: ProbeLoop, path: str, line: str) -> None:
    with scripted_server(answer("200 OK")) as server:
        loop.run(HTTPGetAction(server.port, path))
        assert head_of(server)[0] == line


def test_a_header_that_would_break_the_request_is_unknown_and_never_sent(loop: ProbeLoop) -> None:
    action = HTTPGetAction(1, http_headers=(HTTPHeader("X", "1\r\nEvil: 2"),))
    assert seen(loop.run(action)) == ("Unknown", "", "InvalidHeader")


def redirecting(*locations: str) -> Callable[[socket.socket, bytes], None]:
    """Return a server that redirects /0 to the first location, /1 to the second, and so on."""

    def script(channel: socket.socket, request: bytes) -> None:
        path = request.split(b" ")[1].decode()
        index = int(path[1:]) if path[1:].isdecimal() else len(locations)
        if index < len(locations):
            answer("307 Go", b"moved", f"Location: {locations[index]}")(channel, request)
        else:
            answer("200 OK", path.encode())(channel, request)

    return script


@pytest.mark.parametrize(
    ("locations", "expected", "requests"),
    [
        pytest.param(("/1", "end"), ("True", "/end", ""), 3, id="relative"),
        pytest.param(
            ("http://127.0.0.1:{port}/end",), ("True", "/end", ""), 2, id="absolute, same host"
        ),
        pytest.param(("//127.0.0.1:{port}/a b",), ("True", "/a%20b", ""), 2, id="same scheme"),
        pytest.param(
            ("http://elsewhere.invalid/",),
            ("True", "moved", "RedirectNotFollowed"),
            1,
            id="another host is a success with a warning",
        ),
        pytest.param(
            ("http://localhost:{port}/end",),
            ("True", "moved", "RedirectNotFollowed"),
            1,
            id="another name of this host",
        ),
        pytest.param(
            tuple(f"/{number}" for number in range(1, 11)),
            ("False", "moved", "TooManyRedirects"),
            10,
            id="without end",
        ),
        pytest.param(
            tuple(f"/{number}" for number in range(1, 10)),
            ("True", "/9", ""),
            10,
            id="nine are fine",
        ),
        pytest.param(("http://[nonsense/",), ("False", "", "BrokenResponse"), 1, id="nonsense"),
        pytest.param(("ftp://127.0.0.1/",), ("False", "", "BrokenResponse"), 1, id="no HTTP"),
    ],
)
def test_redirects_are_followed_as_kubelet_does(
    loop: ProbeLoop, locations: tuple[str, ...], expected: tuple[str, str, str], requests: int
) -> None:
    targets: list[str] = []

    def script(channel: socket.socket, request: bytes) -> None:
        redirecting(*targets)(channel, request)

    with scripted_server(script) as server:
        targets += [location.replace("{port}", str(server.port)) for location in locations]
        outcome = loop.run(HTTPGetAction(server.port, "/0"))
        assert (seen(outcome), len(server.requests)) == (expected, requests)


def test_a_host_header_goes_along_with_a_relative_redirect_only(loop: ProbeLoop) -> None:
    hosts = []

    def script(channel: socket.socket, request: bytes) -> None:
        hosts.append(request.decode().split("\r\n")[1])
        redirecting("/1", f"http://127.0.0.1:{server.port}/2")(channel, request)

    with scripted_server(script) as server:
        header = HTTPHeader("Host", "game.test")
        loop.run(HTTPGetAction(server.port, "/0", http_headers=(header,)))
    assert hosts == ["Host: game.test", "Host: game.test", f"Host: 127.0.0.1:{server.port}"]


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    certificate, key = write_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def test_a_certificate_that_nobody_trusts_is_good_enough(
    loop: ProbeLoop, tls: ssl.SSLContext
) -> None:
    with scripted_server(answer("200 OK", b"x" * 9000), tls=tls) as server:
        outcome = loop.run(HTTPGetAction(server.port, scheme="HTTPS"))
    assert seen(outcome) == ("True", "x" * 1024, "")


def test_a_redirect_may_change_the_scheme(loop: ProbeLoop, tls: ssl.SSLContext) -> None:
    with scripted_server(answer("200 OK", b"safe"), tls=tls) as secure:
        location = f"Location: https://127.0.0.1:{secure.port}/"
        with scripted_server(answer("301 Moved", b"", location)) as plain:
            assert seen(loop.run(HTTPGetAction(plain.port))) == ("True", "safe", "")


def test_https_to_a_server_without_tls_is_false(loop: ProbeLoop) -> None:
    with scripted_server(answer("200 OK")) as server:
        outcome = loop.run(HTTPGetAction(server.port, scheme="HTTPS"))
    assert (seen(outcome), outcome.message) == (
        ("False", "", "TLSFailed"),
        f"127.0.0.1:{server.port}: no TLS connection (wrong version number): check scheme and port",
    )


def test_a_handshake_that_never_answers_is_a_timeout(loop: ProbeLoop) -> None:
    with scripted_server(lambda _channel, _request: server.is_over.wait()) as server:  # type: ignore[arg-type,return-value]
        outcome = loop.run(HTTPGetAction(server.port, scheme="HTTPS"), timeout_seconds=1)
    assert seen(outcome) == ("False", "", "Timeout")


def test_ipv6_is_spoken_and_written_in_brackets() -> None:
    with (
        scripted_server(answer("200 OK", b"six"), family=socket.AF_INET6) as server,
        probe_loop("::1") as loop,
    ):
        assert seen(loop.run(HTTPGetAction(server.port))) == ("True", "six", "")
        assert seen(loop.run(HTTPGetAction(server.port, host="[::1]"))) == ("True", "six", "")
        hosts = [request.decode().split("\r\n")[1] for request in server.requests]
    assert hosts == [f"Host: [::1]:{server.port}"] * 2


def test_a_proxy_of_the_environment_is_not_used(
    loop: ProbeLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with scripted_server(answer("200 OK", b"direct")) as server:
        assert seen(loop.run(HTTPGetAction(server.port))) == ("True", "direct", "")
