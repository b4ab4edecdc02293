"""Small real servers that speak what games speak, each in a thread of the test."""

from __future__ import annotations

import json
import struct
import threading
from concurrent import futures
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import BaseRequestHandler, TCPServer, ThreadingTCPServer
from typing import TYPE_CHECKING

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from socket import socket


@contextmanager
def serve(server: TCPServer) -> Iterator[int]:
    """Run a server until the block ends; yield its port."""
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def talking(talk: Callable[[socket], None], port: int = 0) -> Iterator[int]:
    """Let `talk` have each connection, which ends with it; yield the port."""

    class Handler(BaseRequestHandler):
        def handle(self) -> None:
            self.request.settimeout(10)
            try:
                talk(self.request)
            except (OSError, EOFError):
                return  # the probe went away, or was killed

    class Server(ThreadingTCPServer):
        allow_reuse_address = True

    with serve(Server(("127.0.0.1", port), Handler)) as chosen:
        yield chosen


def read_exactly(channel: socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = channel.recv(size - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def minecraft_status(status: bytes) -> Callable[[socket], None]:
    """Answer the Server List Ping with this text, as a server of Minecraft does."""

    def talk(channel: socket) -> None:
        handshake = read_exactly(channel, read_varint(channel))
        assert (handshake[0], handshake[-1]) == (0, 1), handshake
        assert read_exactly(channel, read_varint(channel)) == b"\0"
        body = b"\0" + varint(len(status)) + status
        channel.sendall(varint(len(body)) + body)
        channel.recv(1)  # a client may ping now; ours hangs up

    return talk


def players(online: int) -> bytes:
    """Return a status as Minecraft words it."""
    listed = {"max": 20, "online": online, "sample": []}
    return json.dumps({"version": {"name": "1.21"}, "players": listed}).encode()


def read_varint(channel: socket) -> int:
    value = 0
    for shift in range(0, 35, 7):
        (byte,) = read_exactly(channel, 1)
        value |= (byte & 127) << shift
        if not byte & 128:
            return value
    raise EOFError


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def rcon(
    password: str, answers: dict[str, str], *, empty_first: bool = False
) -> Callable[[socket], None]:
    """Speak RCON: check the password, answer commands.

    Args:
        password: of the server.
        answers: by command; another one is not known.
        empty_first: send an empty packet before the verdict, as the Source engine does.
    """

    def packet(number: int, kind: int, text: str) -> bytes:
        body = struct.pack("<ii", number, kind) + text.encode() + b"\0\0"
        return struct.pack("<i", len(body)) + body

    def talk(channel: socket) -> None:
        accepted = False
        while True:
            (size,) = struct.unpack("<i", read_exactly(channel, 4))
            body = read_exactly(channel, size)
            number, kind = struct.unpack("<ii", body[:8])
            assert body[-2:] == b"\0\0"
            text = body[8:-2].decode()
            if kind == 3:
                accepted = text == password
                if empty_first:
                    channel.sendall(packet(number, 0, ""))
                channel.sendall(packet(number if accepted else -1, 2, ""))
            elif accepted:
                channel.sendall(packet(number, 0, answers.get(text, "Unknown command")))

    return talk


@contextmanager
def information_page(status: int, body: str) -> Iterator[int]:
    """Answer every GET with this; yield the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_arguments: object) -> None:
            """Print nothing."""

    with serve(HTTPServer(("127.0.0.1", 0), Handler)) as port:
        yield port


@contextmanager
def grpc_health(**services: bool) -> Iterator[int]:
    """Serve the standard gRPC health service; the services are serving or not. Yield the port."""
    servicer = health.HealthServicer()
    for name, serving in services.items():
        codes = health_pb2.HealthCheckResponse
        servicer.set(name, codes.SERVING if serving else codes.NOT_SERVING)
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait()
