"""The kubelet's command line. Not pure: reads files.

Every fault is an InvalidInput that names the argument; __main__ turns it into one line and exit 2.
"""

from __future__ import annotations

import argparse
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from localcluster.kubelet.images import Images
from shared.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence

_LEASE_SECONDS = 40  # kubelet's nodeLeaseDurationSeconds
_HOSTS_OF_THIS_MACHINE = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a kubelet is started with.

    Args:
        server: base URL of the API server, without a slash at the end.
        tls: verifies the server; None for plain HTTP.
        token: bearer token for the API server.
        state_directory: for pods, logs and mount points; made if it does not exist.
        images: the mapping of images.
        stream_token: bearer token that callers of logs and exec present.
        node_name: of this node.
        ready_file: made once the node is Ready; None for none.
        lease_seconds: how long the node's lease is valid; renewed four times as often.
    """

    server: str
    tls: ssl.SSLContext | None
    token: str
    state_directory: Path
    images: Images
    stream_token: str
    node_name: str
    ready_file: Path | None
    lease_seconds: int


def parse_arguments(arguments: Sequence[str]) -> Settings:
    """Return the settings.

    Raises:
        InvalidInput: naming the argument and what would be right.
        SystemExit: an unknown or missing argument (2), or --help (0).
    """
    parser = argparse.ArgumentParser(prog="kubelet", description="Pods as processes.")
    parser.add_argument("--server", required=True, metavar="URL")
    parser.add_argument("--ca", type=Path, metavar="FILE", help="PEM; needed for https")
    parser.add_argument("--token-file", type=Path, required=True, metavar="FILE")
    parser.add_argument("--state-directory", type=Path, required=True, metavar="DIRECTORY")
    parser.add_argument("--images", type=Path, required=True, metavar="FILE")
    parser.add_argument("--stream-token-file", type=Path, required=True, metavar="FILE")
    parser.add_argument("--node-name", default="gamekeeper-local", metavar="NAME")
    parser.add_argument(
        "--ready-file", type=Path, metavar="FILE", help="made once the node is Ready"
    )
    parser.add_argument(
        "--lease-seconds",
        type=int,
        default=_LEASE_SECONDS,
        metavar="N",
        help="how long the node's lease is valid",
    )
    given = parser.parse_args(arguments)
    if given.lease_seconds < 1:
        raise InvalidInput("--lease-seconds", f"want a number >= 1, got {given.lease_seconds}")
    return Settings(
        server=given.server.rstrip("/"),
        tls=_tls(given.server, given.ca),
        token=_read("--token-file", given.token_file),
        state_directory=_make_directory(given.state_directory),
        images=_load_images(given.images),
        stream_token=_read("--stream-token-file", given.stream_token_file),
        node_name=given.node_name,
        ready_file=given.ready_file,
        lease_seconds=given.lease_seconds,
    )


def _tls(server: str, ca: Path | None) -> ssl.SSLContext | None:
    url = urlsplit(server)
    if url.scheme == "http" and url.hostname in _HOSTS_OF_THIS_MACHINE:
        return None
    if url.scheme != "https":
        raise InvalidInput("--server", f"want an https URL, got {server}")
    try:
        return ssl.create_default_context(cafile=None if ca is None else str(ca))
    except OSError as error:
        raise InvalidInput("--ca", f"{ca}: {error.strerror or error}") from error


def _read(argument: str, file: Path) -> str:
    try:
        content = file.read_text().strip()
    except OSError as error:
        raise InvalidInput(argument, f"{file}: {error.strerror}") from error
    if not content:
        raise InvalidInput(argument, f"{file} is empty")
    return content


def _make_directory(directory: Path) -> Path:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput("--state-directory", f"{directory}: {error.strerror}") from error
    return directory.absolute()


def _load_images(file: Path) -> Images:
    try:
        return Images.load(file)
    except OSError as error:
        raise InvalidInput("--images", f"{file}: {error.strerror}") from error
