"""The sender and its addresses: a name and an address behind it, and which is asked."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from agent.outbox import Accepted, Failed
from tests.support.raw_server import RawServer, raw_server
from tests.support.sending import OK, answering, http, sending

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.component, pytest.mark.timeout(40)]


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
            first = reports.send(timeout=0.4)
            # Many, because a busy machine may need longer than one of these deadlines for anything.
            later = (reports.send(timeout=0.4) for _ in range(100))
            accepted = next(item for item in later if item.event == Accepted(10))
    assert (first.event, accepted.url) == (Failed(), urls[1])


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
