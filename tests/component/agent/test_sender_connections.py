"""The sender and connections that are cut, stall or say more than they should."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from agent.outbox import Accepted, Failed
from agent.sender import Delivery
from shared.clock import monotonic_seconds
from tests.support.raw_server import RawServer, raw_server
from tests.support.sending import OK, cutting, http, sending

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.component, pytest.mark.timeout(40)]

CUT = "the server closed the connection before its answer was complete"


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
