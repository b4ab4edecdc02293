"""A watch over TLS ends at once, also when the server never says goodbye."""

import asyncio
import gc
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from aggregator.kube.client import open_kube_client
from aggregator.kube.resources import PODS
from aggregator.kube.transport import Selection
from localcluster.certificates import make_authority

pytestmark = [pytest.mark.component, pytest.mark.timeout(30)]

FIRST_LINE = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n"


@pytest.fixture
def mute_server(tmp_path: Path) -> Iterator[str]:
    """A kubeconfig of a server that sends one line of a watch and then neither reads nor writes."""
    authority = make_authority()
    certificate, key = authority.issue("mute", ["localhost"], ["127.0.0.1"])
    (tmp_path / "server.pem").write_bytes(certificate)
    (tmp_path / "server.key").write_bytes(key)
    (tmp_path / "ca.pem").write_bytes(authority.certificate_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    over = threading.Event()

    def answer_once(listener: socket.socket) -> None:
        accepted, _ = listener.accept()
        with context.wrap_socket(accepted, server_side=True) as connection:
            connection.recv(65536)
            connection.sendall(FIRST_LINE)
            over.wait()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer_once, args=[listener])
        thread.start()
        yield kubeconfig(tmp_path, listener.getsockname()[1])
        over.set()
        thread.join()


def kubeconfig(directory: Path, port: int) -> str:
    cluster = {
        "server": f"https://127.0.0.1:{port}",
        "certificate-authority": str(directory / "ca.pem"),
    }
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "test", "user": {"token": "secret"}}],
    }
    path = directory / "kubeconfig"
    path.write_text(json.dumps(content))
    return str(path)


async def first_line(config: str) -> bytes:
    async with (
        open_kube_client(config) as client,
        aclosing(client.watch(Selection(PODS), "5", 60)) as lines,
    ):
        return await anext(lines)


def test_no_connection_outlives_its_client(mute_server: str) -> None:
    assert asyncio.run(first_line(mute_server)) == b"{}"
    # A socket that is still open warns when it is collected, and a warning fails the test.
    gc.collect()
