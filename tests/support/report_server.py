"""An aggregator's report endpoint for tests of the agent: real HTTPS, answers as the test says."""

from __future__ import annotations

import datetime
import json
import ssl
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shared.clock import utc_now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TOKEN = "test-token"


@dataclass(frozen=True)
class Reply:
    """What the server answers: a status, a JSON body (or bytes as they are), further headers."""

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Received:
    """A request: its bearer token, its decoded body and the connection it came by."""

    token: str
    body: dict[str, Any]
    connection: int


class ReportServer:
    """Remembers every report and answers each by `answer`, which a test may replace."""

    def __init__(self, probes: list[dict[str, Any]], ca_file: Path) -> None:
        self.ca_file = ca_file
        self.url = ""
        self.received: list[Received] = []
        self.answer: Callable[[Received], Reply] = self.accept
        self._arrived = threading.Condition()
        self.offer(probes, "r1")

    def offer(self, probes: list[dict[str, Any]], revision: str, heartbeat: float = 10) -> None:
        """Hand out this list from now on."""
        self.probes, self.revision, self.heartbeat = probes, revision, heartbeat

    def accept(self, received: Received) -> Reply:
        """Answer as an aggregator does: the list only to an agent that has another."""
        body: dict[str, Any] = {
            "probesRevision": self.revision,
            "heartbeatSeconds": self.heartbeat,
        }
        if received.body["probesRevision"] != self.revision:
            body["probes"] = self.probes
        return Reply(200, body)

    def take(self, received: Received) -> Reply:
        """Remember a report and return its answer."""
        with self._arrived:
            self.received.append(received)
            self._arrived.notify_all()
        return self.answer(received)

    def wait_for(
        self, wanted: Callable[[dict[str, Any]], bool], timeout: float = 60
    ) -> dict[str, Any]:
        """Return the first report body, past or to come, that satisfies `wanted`."""

        def find() -> dict[str, Any] | None:
            return next((item.body for item in self.received if wanted(item.body)), None)

        with self._arrived:
            found = self._arrived.wait_for(find, timeout)
        assert found is not None, f"no such report among {[item.body for item in self.received]}"
        return found

    def wait_for_probe(self, name: str, **fields: Any) -> dict[str, Any]:
        """Return the first report entry of a probe with these fields.

        A field may be a condition instead of a value: reports tell the state of a moment, and on a
        busy machine a count such as `runs` may have gone on by then (see `at_least`).
        """

        def matches(body: dict[str, Any]) -> bool:
            return _entry(body, name, fields) is not None

        entry = _entry(self.wait_for(matches), name, fields)
        assert entry is not None
        return entry


def _entry(body: dict[str, Any], name: str, fields: dict[str, Any]) -> dict[str, Any] | None:
    for entry in body["probes"]:
        if entry["name"] == name and all(_fits(entry.get(key), fields[key]) for key in fields):
            return dict(entry)
    return None


def _fits(value: Any, wanted: Any) -> bool:
    return bool(wanted(value)) if callable(wanted) else value == wanted


def at_least(number: int) -> Callable[[int], bool]:
    """Return the condition that a count has come that far."""
    return lambda count: count >= number


@contextmanager
def report_server(folder: Path, probes: list[dict[str, Any]]) -> Iterator[ReportServer]:
    """Serve reports on loopback until the block ends.

    Args:
        folder: takes the certificate; the server's `ca_file` is in it.
        probes: the list for every agent, in wire form.
    """
    certificate, key = write_certificate(folder)
    server = ReportServer(probes, certificate)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            token = self.headers["Authorization"].removeprefix("Bearer ")
            assert self.path == "/v1/reports"
            reply = server.take(Received(token, body, self.client_address[1]))
            raw = isinstance(reply.body, bytes)
            content = reply.body if raw else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_arguments: object) -> None:
            """Print nothing: the tests look at what was received."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_arguments: object) -> None:
            """Ignore callers that went away: agents are killed in some tests."""

    with Server(("127.0.0.1", 0), Handler) as listener:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        listener.socket = context.wrap_socket(listener.socket, server_side=True)
        server.url = f"https://127.0.0.1:{listener.server_port}"
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown()
            thread.join()


def write_certificate(folder: Path) -> tuple[Path, Path]:
    """Write a CA certificate that also serves 127.0.0.1, and its key; return their paths."""
    key = ec.generate_private_key(ec.SECP256R1())
    # Two CAs in one bundle are told apart by their names.
    text = f"test aggregator {folder.name}"
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
    now = utc_now()
    addresses = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(addresses, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "ca.crt", folder / "tls.key"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate_file, key_file
