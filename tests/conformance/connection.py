"""A kubeconfig read into what an HTTP client needs. Reads files; opens no connection.

Servers with a CA (or told not to be verified), and users with a token or a client certificate, each
as a file or as data: what clusters made for tests have. Plugins that fetch credentials are refused
by name.

Source: https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
"""

from __future__ import annotations

import base64
import ssl
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from shared.errors import InvalidInput

if TYPE_CHECKING:
    from pathlib import Path

_FOREIGN = ("exec", "auth-provider", "username")


@dataclass(frozen=True, slots=True)
class Connection:
    """How the cluster is reached.

    Args:
        server: base URL, without a slash at its end.
        tls: verifies the server and carries the client's certificate.
        anonymous_tls: the same without the client's certificate.
        token: bearer token; empty where a certificate says who calls.
    """

    server: str
    tls: ssl.SSLContext
    anonymous_tls: ssl.SSLContext
    token: str


def read_kubeconfig(path: Path) -> Connection:
    """Return the connection that the current context of a kubeconfig names.

    Raises:
        InvalidInput: naming what is missing, or the plugin that is not supported.
    """
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    context = _named(config, "contexts", config.get("current-context"))["context"]
    cluster = _named(config, "clusters", context["cluster"])["cluster"]
    user = _named(config, "users", context["user"])["user"]
    for name in _FOREIGN:
        if name in user:
            raise InvalidInput(
                f"users.{context['user']}.{name}",
                "is not supported; use a token or a client certificate",
            )
    folder = path.parent
    tls = _server_tls(cluster, folder)
    token = user.get("token") or ""
    if not token and "tokenFile" in user:
        token = (folder / user["tokenFile"]).read_text(encoding="utf-8").strip()
    certificate, key = (_pem(user, f"client-{name}", folder) for name in ("certificate", "key"))
    if certificate and key:
        _load_certificate(tls, certificate, key)
    elif not token:
        raise InvalidInput(f"users.{context['user']}", "has no token and no client certificate")
    return Connection(cluster["server"].rstrip("/"), tls, _server_tls(cluster, folder), token)


def _named(config: dict[str, Any], section: str, name: str | None) -> dict[str, Any]:
    for entry in config.get(section) or []:
        if entry["name"] == name:
            return dict(entry)
    raise InvalidInput(section, f"has no entry named {name!r}; set current-context")


def _server_tls(cluster: dict[str, Any], folder: Path) -> ssl.SSLContext:
    authority = _pem(cluster, "certificate-authority", folder)
    tls = ssl.create_default_context(cadata=authority.decode() if authority else None)
    if cluster.get("insecure-skip-tls-verify"):
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    return tls


def _pem(entry: dict[str, Any], field: str, folder: Path) -> bytes:
    """Return the PEM that `FIELD-data` holds, or the file that FIELD names; empty without both."""
    if entry.get(f"{field}-data"):
        return base64.b64decode(entry[f"{field}-data"])
    return (folder / entry[field]).read_bytes() if entry.get(field) else b""


def _load_certificate(tls: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    # The ssl module reads certificates from files only.
    with tempfile.NamedTemporaryFile() as file:
        file.write(certificate + b"\n" + key)
        file.flush()
        tls.load_cert_chain(file.name)
