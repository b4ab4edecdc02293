"""tcpSocket and grpc probes: real sockets, a real gRPC health server, servers that misbehave."""

from __future__ import annotations

import resource
import socket
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import HealthServicer

from agent.probes import resolver
from shared.protocol.probes import GRPCAction, HTTPGetAction, TCPSocketAction
from tests.support.probe_loop import ProbeLoop, probe_loop
from tests.support.scripted_server import scripted_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent.probes.outcome import Outcome

pytestmark = [pytest.mark.component, pytest.mark.timeout(30)]


@pytest.fixture
def loop() -> Iterator[ProbeLoop]:
    with probe_loop() as running:
        yield running


def seen(outcome: Outcome) -> tuple[str, str, str]:
    assert outcome.started_at is not None
    assert bool(outcome.message) is bool(outcome.reason)
    return str(outcome.status), outcome.result, outcome.reason


@contextmanager
def listening(backlog: int = 8) -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=backlog) as listener:
        yield listener


def port_of(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


def test_a_connection_is_true_and_is_closed_again(loop: ProbeLoop) -> None:
    with listening() as listener:
        assert seen(loop.run(TCPSocketAction(port_of(listener)))) == ("True", "", "")
        channel, _ = listener.accept()
        with channel:
            channel.settimeout(5)
            assert channel.recv(1) == b""


def test_a_greeting_is_not_the_result(loop: ProbeLoop) -> None:
    with listening() as listener:

        def greet() -> None:
            channel, _ = listener.accept()
            with channel:
                channel.sendall(b"220 welcome\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        assert seen(loop.run(TCPSocketAction(port_of(listener)))) == ("True", "", "")
        thread.join()


def test_a_refused_connection_is_false(loop: ProbeLoop) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        outcome = loop.run(TCPSocketAction(port_of(reserved)))
    assert seen(outcome) == ("False", "", "ConnectionRefused")


def test_a_connection_that_is_never_accepted_is_a_timeout(loop: ProbeLoop) -> None:
    with listening(backlog=0) as full, socket.socket() as first:
        # One connection fills the queue; the kernel drops the first packet of the next.
        first.connect(full.getsockname())
        outcome = loop.run(TCPSocketAction(port_of(full)), timeout_seconds=1)
    assert seen(outcome) == ("False", "", "Timeout")


def test_a_host_may_be_named(loop: ProbeLoop) -> None:
    with listening() as listener:
        outcome = loop.run(TCPSocketAction(port_of(listener), host="localhost"))
    assert seen(outcome) == ("True", "", "")


def test_the_next_address_of_a_name_is_tried(
    loop: ProbeLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses = [(socket.AF_INET, 1, 6, "", (ip, 0)) for ip in ("127.0.0.2", "127.0.0.1")]
    monkeypatch.setattr(resolver.socket, "getaddrinfo", lambda *_args, **_options: addresses)
    with listening() as listener:
        assert seen(loop.run(TCPSocketAction(port_of(listener), host="two"))) == ("True", "", "")


def test_a_name_server_that_hangs_neither_holds_up_the_loop_nor_multiplies_threads(
    loop: ProbeLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()
    asked = []

    def hang(host: bytes, *_args: object, **_options: object) -> list[Any]:
        asked.append(host)
        released.wait()
        return []

    monkeypatch.setattr(resolver.socket, "getaddrinfo", hang)
    outcomes: list[Outcome] = []
    for _ in range(3):
        loop.start(TCPSocketAction(1, host="slow"), 1, outcomes.append)
    loop.turn_until(lambda: len(outcomes) == 3)
    released.set()
    loop.turn_until(lambda: not loop.probes.resolver.is_busy)
    assert ({seen(outcome) for outcome in outcomes}, asked) == (
        {("Unknown", "", "HostNotResolved")},
        [b"slow"],
    )


def test_a_name_is_unknown_where_no_thread_can_be_had(
    loop: ProbeLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    for _ in range(2):
        outcome = loop.run(TCPSocketAction(1, host="name.test"))
        assert seen(outcome) == ("Unknown", "", "HostNotResolved")


def test_without_descriptors_the_agent_itself_is_to_blame(loop: ProbeLoop) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        outcome = loop.run(TCPSocketAction(1))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert seen(outcome) == ("Unknown", "", "NetworkUnavailable")


def test_many_probes_at_once_leave_no_descriptor(loop: ProbeLoop) -> None:
    with listening(backlog=64) as listener:
        before = len(loop.selector.get_map())
        outcomes: list[Outcome] = []
        for _ in range(50):
            loop.start(TCPSocketAction(port_of(listener)), 10, outcomes.append)
        loop.turn_until(lambda: len(outcomes) == 50)
    assert {seen(outcome) for outcome in outcomes} == {("True", "", "")}
    assert len(loop.selector.get_map()) == before


def test_a_cancelled_probe_hangs_up_and_never_calls_back(loop: ProbeLoop) -> None:
    outcomes: list[Outcome] = []
    with scripted_server(lambda _channel, _request: None) as server:
        run = loop.start(HTTPGetAction(server.port), 10, outcomes.append)
        loop.turn_until(lambda: len(loop.selector.get_map()) > 1)
        run.cancel()
        assert (loop.probes.deadline(), len(loop.selector.get_map())) == (None, 1)
    assert outcomes == []


@dataclass
class Health:
    """A real gRPC server with a health service."""

    port: int
    servicer: HealthServicer

    def set(self, service: str, status: int) -> None:
        self.servicer.set(service, status)


@contextmanager
def grpc_server(*, with_health: bool = True) -> Iterator[Health]:
    servicer = HealthServicer()
    server = grpc.server(ThreadPoolExecutor(2))
    if with_health:
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield Health(port, servicer)
    finally:
        server.stop(None).wait()


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (health_pb2.HealthCheckResponse.SERVING, ("True", "SERVING", "")),
        (health_pb2.HealthCheckResponse.NOT_SERVING, ("False", "NOT_SERVING", "NotServing")),
        (health_pb2.HealthCheckResponse.UNKNOWN, ("False", "UNKNOWN", "NotServing")),
    ],
    ids=["serving", "not serving", "unknown"],
)
def test_a_serving_status_is_the_verdict_and_the_result(
    loop: ProbeLoop, status: int, expected: tuple[str, str, str]
) -> None:
    name = "game." + "x" * 200  # so long that its length takes two bytes
    with grpc_server() as server:
        server.set(name, status)
        assert seen(loop.run(GRPCAction(server.port, name))) == expected


def test_no_service_asks_for_the_whole_server(loop: ProbeLoop) -> None:
    with grpc_server() as server:
        server.set("", health_pb2.HealthCheckResponse.SERVING)
        assert seen(loop.run(GRPCAction(server.port))) == ("True", "SERVING", "")


@pytest.mark.parametrize(
    ("with_health", "message"),
    [
        (
            True,
            "NOT_FOUND (): the server's health service does not know grpc.service: check the name",
        ),
        (
            False,
            "UNIMPLEMENTED (Method not found!): register the service grpc.health.v1.Health in the"
            " server",
        ),
    ],
    ids=["an unknown service", "no health service"],
)
def test_what_the_server_does_not_know_is_false_with_a_remedy(
    loop: ProbeLoop, *, with_health: bool, message: str
) -> None:
    with grpc_server(with_health=with_health) as server:
        outcome = loop.run(GRPCAction(server.port, "ghost"))
    assert (seen(outcome), outcome.message) == (("False", "", "RPCFailed"), message)


def test_a_call_of_the_probe_looks_like_one_of_kubelet(loop: ProbeLoop) -> None:
    said: dict[str, str] = {}

    class Listening(HealthServicer):  # type: ignore[misc]  # grpcio has no types
        def Check(self, request: Any, context: Any) -> Any:  # noqa: N802 - grpc's name
            said.update(dict(context.invocation_metadata()))
            said["time left"] = "yes" if 0 < context.time_remaining() <= 10 else "no"
            return super().Check(request, context)

    server = grpc.server(ThreadPoolExecutor(2))
    health_pb2_grpc.add_HealthServicer_to_server(Listening(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    loop.run(GRPCAction(port))
    server.stop(None).wait()
    assert said["user-agent"].startswith("kube-probe/")
    assert said["time left"] == "yes"


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, stream) + payload


SETTINGS = frame(4, 0, 0)
# :status 200 from the static table; grpc-status 0 and 14 as literals.
OK_HEADERS = b"\x88"
STATUS_OK = b"\x00\x0bgrpc-status\x010"
UNAVAILABLE = b"\x00\x0bgrpc-status\x0214\x00\x0cgrpc-message\x0ebusy%2C%20%c3%a9"
SERVING = b"\0\0\0\0\2\x08\x01"


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        pytest.param(
            [frame(1, 4, 1, OK_HEADERS), frame(0, 0, 1, SERVING), frame(1, 5, 1, STATUS_OK)],
            ("True", "SERVING", ""),
            id="as it should be",
        ),
        pytest.param(
            [
                frame(6, 0, 0, b"12345678"),
                frame(8, 0, 0, b"\0\0\1\0"),
                frame(0x42, 9, 7, b"grease"),
                frame(1, 0x2C, 1, b"\2" + b"\0\0\0\0\0" + OK_HEADERS + b"\0\0"),
                frame(0, 8, 1, b"\3" + SERVING[:4] + b"\0\0\0"),
                frame(0, 0, 1, SERVING[4:]),
                frame(1, 1, 1, STATUS_OK[:5]),
                frame(9, 4, 1, STATUS_OK[5:]),
            ],
            ("True", "SERVING", ""),
            id="ping, padding, priority, unknown frames, split message and headers",
        ),
        pytest.param(
            [frame(1, 5, 1, OK_HEADERS + UNAVAILABLE)],
            ("False", "", "RPCFailed"),
            id="trailers only",
        ),
        pytest.param([frame(3, 0, 1, b"\0\0\0\7")], ("False", "", "RPCFailed"), id="reset"),
        pytest.param(
            [frame(7, 0, 0, b"\0\0\0\0\0\0\0\0")], ("False", "", "RPCFailed"), id="goes away"
        ),
        pytest.param(
            [
                frame(7, 0, 0, b"\0\0\0\1\0\0\0\0"),
                frame(1, 4, 1, OK_HEADERS),
                frame(0, 0, 1, SERVING),
                frame(1, 5, 1, STATUS_OK),
            ],
            ("True", "SERVING", ""),
            id="goes away, but answers ours",
        ),
        pytest.param([frame(1, 5, 1, b"\x8d")], ("False", "", "RPCFailed"), id="HTTP 404"),
        pytest.param([frame(1, 5, 1, OK_HEADERS)], ("False", "", "RPCFailed"), id="no status"),
        pytest.param([frame(1, 5, 1, b"\xff")], ("False", "", "RPCFailed"), id="half a field"),
        pytest.param([frame(5, 4, 1, b"\0\0\0\2")], ("False", "", "RPCFailed"), id="a push"),
        pytest.param([frame(9, 4, 1, OK_HEADERS)], ("False", "", "RPCFailed"), id="continues none"),
        pytest.param(
            [frame(1, 0, 1, OK_HEADERS), frame(0, 1, 1)],
            ("False", "", "RPCFailed"),
            id="headers without end",
        ),
        pytest.param([frame(1, 4, 1, OK_HEADERS)], ("False", "", "RPCFailed"), id="half an answer"),
        pytest.param([b"\xff\xff\xff\0\0\0\0\0\1"], ("False", "", "RPCFailed"), id="a huge frame"),
        pytest.param(
            [frame(1, 4, 1, OK_HEADERS), frame(0, 0, 1, b"\1" + SERVING[1:]),
             frame(1, 5, 1, STATUS_OK)],
            ("False", "", "RPCFailed"),
            id="compressed",
        ),
        pytest.param(
            [frame(1, 4, 1, OK_HEADERS), frame(0, 0, 1, b"\0\0\0\0\2\x0b\x01"),
             frame(1, 5, 1, STATUS_OK)],
            ("False", "", "RPCFailed"),
            id="no protobuf",
        ),
        pytest.param([frame(6, 0, 0, b"x" * 8)] * 1100, ("False", "", "RPCFailed"), id="pings"),
        pytest.param(
            [frame(1, 4, 1, OK_HEADERS), *[frame(0, 0, 1, b"x" * 16_000)] * 5],
            ("False", "", "RPCFailed"),
            id="a huge answer",
        ),
    ],
)  # fmt: skip
def test_whatever_the_server_sends_there_is_an_outcome(
    loop: ProbeLoop, frames: list[bytes], expected: tuple[str, str, str]
) -> None:
    def script(channel: socket.socket, _request: bytes) -> None:
        channel.sendall(SETTINGS)
        for part in frames:
            channel.sendall(part)

    with scripted_server(script) as server:
        assert seen(loop.run(GRPCAction(server.port))) == expected


def test_an_http1_server_is_told_apart(loop: ProbeLoop) -> None:
    with scripted_server(lambda c, _r: c.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server:
        outcome = loop.run(GRPCAction(server.port))
    assert (seen(outcome), outcome.message) == (
        ("False", "", "RPCFailed"),
        f"127.0.0.1:{server.port}: the server does not speak HTTP/2: its first frame is no"
        " SETTINGS: check that grpc.port serves plaintext gRPC",
    )


def test_a_server_that_says_nothing_is_a_timeout(loop: ProbeLoop) -> None:
    with scripted_server(lambda _channel, _request: wait()) as server:
        wait = server.is_over.wait
        outcome = loop.run(GRPCAction(server.port), timeout_seconds=1)
    assert seen(outcome) == ("False", "", "Timeout")


def test_every_handler_is_fine_with_a_loop_that_is_closed_under_it() -> None:
    handlers: list[Callable[[int], Any]] = [GRPCAction, HTTPGetAction, TCPSocketAction]
    with listening() as listener:
        with probe_loop() as running:
            for handler in handlers:
                running.start(handler(port_of(listener)), 10, lambda _outcome: None)
            running.probes.step(running.probes.deadline() or 0)
        assert running.probes.deadline() is None
