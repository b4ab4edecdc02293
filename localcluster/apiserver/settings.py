"""Command line and files of the API server program. Reads files; starts nothing."""

from __future__ import annotations

import argparse
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import yaml

from localcluster.apiserver.authentication import AUTHENTICATED, User
from localcluster.apiserver.faults import parse_fault
from localcluster.apiserver.nodes import NODE_GRACE_SECONDS
from localcluster.apiserver.persistence import read_saved
from localcluster.apiserver.state import Options
from shared.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from localcluster.apiserver.objects import Object


@dataclass(frozen=True, slots=True)
class Settings:
    """What the program runs with.

    Args:
        address: to listen on.
        port: 0 takes a free one.
        port_file: receives the real port once requests are answered; None for no file.
        tls: server certificate and key.
        users: bearer token -> user.
        kubelet_token: for logs and exec.
        definitions: CustomResourceDefinitions to begin with.
        data: the file that keeps the state between runs; None keeps none.
        options: what the server does beyond answering.
    """

    address: str
    port: int
    port_file: Path | None
    tls: ssl.SSLContext
    users: dict[str, User]
    kubelet_token: str
    definitions: tuple[Object, ...]
    data: Path | None
    options: Options


def read_settings(arguments: Sequence[str]) -> Settings:
    """Return the settings that a command line names.

    Raises:
        InvalidInput: a file is missing or holds something else; the field is the option's name.
        SystemExit: code 2, an option is missing or unknown.
    """
    options = _parser().parse_args(arguments)
    return Settings(
        address=options.address,
        port=options.port,
        port_file=options.port_file,
        tls=_tls(options),
        users=_users(options.tokens),
        kubelet_token=_text("--kubelet-token-file", options.kubelet_token_file).strip(),
        definitions=tuple(d for path in options.crd for d in _definitions(path)),
        data=options.data,
        options=Options(
            saved=read_saved(options.data) if options.data else None,
            rbac=options.rbac,
            control=options.control,
            faults=tuple(parse_fault(text) for text in options.fault),
            node_grace_seconds=options.node_grace_seconds,
        ),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m localcluster.apiserver",
        description="A small Kubernetes API server in memory, for development and tests.",
    )
    parser.add_argument("--address", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port (default)")
    parser.add_argument("--port-file", type=Path, help="receives the port once it is served")
    parser.add_argument("--certificate", type=Path, required=True, help="TLS certificate, PEM")
    parser.add_argument("--key", type=Path, required=True, help="private key, PEM")
    parser.add_argument("--ca", type=Path, required=True, help="CA of the certificate, PEM")
    parser.add_argument(
        "--tokens",
        type=Path,
        required=True,
        help='JSON: {token: {"username": ..., "groups": [...]}}',
    )
    parser.add_argument("--data", type=Path, help="keeps the state between runs; made if absent")
    parser.add_argument("--kubelet-token-file", type=Path, required=True, help="for logs and exec")
    parser.add_argument(
        "--crd", type=Path, action="append", default=[], help="YAML; may be given several times"
    )
    parser.add_argument(
        "--rbac", action="store_true", help="decide by roles; otherwise every user may do anything"
    )
    parser.add_argument(
        "--control", action="store_true", help="serve /control (faults, record of requests)"
    )
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="RULE",
        help="a fault on purpose: action=error,verb=create,resource=pods,count=2; repeatable",
    )
    parser.add_argument(
        "--node-grace-seconds",
        type=float,
        default=NODE_GRACE_SECONDS,
        metavar="N",
        help="how long a node may be silent before it counts as not ready",
    )
    return parser


def _text(option: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(option, f"cannot read {path}: {_why(error)}") from error


def _why(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else "it is not UTF-8"


def _tls(options: argparse.Namespace) -> ssl.SSLContext:
    for option, path in (
        ("--certificate", options.certificate),
        ("--key", options.key),
        ("--ca", options.ca),
    ):
        _text(option, path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(options.certificate, options.key)
    except ssl.SSLError as error:
        raise InvalidInput(
            "--certificate",
            f"{options.certificate} and {options.key} are no certificate and its private key (PEM)",
        ) from error
    try:
        context.load_verify_locations(options.ca)
    except ssl.SSLError as error:
        raise InvalidInput("--ca", f"{options.ca} holds no certificate (PEM)") from error
    return context


def _users(path: Path) -> dict[str, User]:
    try:
        read: Any = msgspec.json.decode(_text("--tokens", path))
        return {
            token: User(user["username"], (*user.get("groups", ()), AUTHENTICATED))
            for token, user in read.items()
        }
    except (msgspec.DecodeError, AttributeError, KeyError, TypeError) as error:
        shape = '{token: {"username": ..., "groups": [...]}}'
        raise InvalidInput("--tokens", f"{path} is not JSON of the form {shape}") from error


def _definitions(path: Path) -> list[Object]:
    try:
        documents = [each for each in yaml.safe_load_all(_text("--crd", path)) if each is not None]
    except yaml.YAMLError as error:
        line = " ".join(str(error).split())
        raise InvalidInput("--crd", f"{path} is not YAML: {line}") from error
    for document in documents:
        if not isinstance(document, dict) or document.get("kind") != "CustomResourceDefinition":
            raise InvalidInput(
                "--crd", f"{path} holds something else than CustomResourceDefinitions"
            )
    return documents
