"""A sender whose deliveries a test waits for, and servers that answer it byte by byte."""

from __future__ import annotations

import json
import socket
import struct
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.address import BaseUrl, parse_base_url
from agent.sender import Delivery, Sender

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from agent.outbox import Event
    from tests.support.raw_server import RawServer

ANSWER = {"probesRevision": "r1", "heartbeatSeconds": 10}


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

    def send(self, body: bytes = b"{}", timeout: float = 30) -> Delivery:
        self.sender.submit(body, timeout)
        assert self.arrived.acquire(timeout=60), "nothing was delivered"
        delivery = self.sender.take()
        assert delivery is not None
        assert self.sender.take() is None
        return delivery

    def events(self, number: int) -> list[Event]:
        return [self.send().event for _ in range(number)]


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
