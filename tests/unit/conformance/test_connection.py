"""A kubeconfig of each kind that clusters for tests have, read by the conformance suite."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from localcluster.certificates import make_authority
from shared.errors import InvalidInput
from tests.conformance.connection import Connection, read_kubeconfig

if TYPE_CHECKING:
    from pathlib import Path

AUTHORITY = make_authority()
CERTIFICATE, KEY = AUTHORITY.issue("admin", [], [])


def _data(pem: bytes) -> str:
    return base64.b64encode(pem).decode()


def _read(folder: Path, user: dict[str, Any], cluster: dict[str, Any] | None = None) -> Connection:
    for name, pem in (("ca", AUTHORITY.certificate_pem), ("crt", CERTIFICATE), ("key", KEY)):
        (folder / f"{name}.pem").write_bytes(pem)
    (folder / "token").write_text("from-file\n")
    config = {
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [
            {"name": "c", "cluster": {"server": "https://127.0.0.1:6443/", **(cluster or {})}}
        ],
        "users": [{"name": "u", "user": user}],
    }
    (folder / "config").write_text(yaml.safe_dump(config))
    return read_kubeconfig(folder / "config")


@pytest.mark.parametrize(
    ("user", "token"),
    [
        pytest.param({"token": "given"}, "given", id="token"),
        pytest.param({"tokenFile": "token"}, "from-file", id="token-file"),
        pytest.param(
            {"client-certificate": "crt.pem", "client-key": "key.pem"}, "", id="certificate-files"
        ),
        pytest.param(
            {"client-certificate-data": _data(CERTIFICATE), "client-key-data": _data(KEY)},
            "",
            id="certificate-data",
        ),
    ],
)
def test_a_user_has_a_token_or_a_certificate(
    tmp_path: Path, user: dict[str, Any], token: str
) -> None:
    connection = _read(tmp_path, user)
    assert (connection.server, connection.token) == ("https://127.0.0.1:6443", token)


@pytest.mark.parametrize(
    "cluster",
    [
        pytest.param({"certificate-authority": "ca.pem"}, id="file"),
        pytest.param({"certificate-authority-data": _data(AUTHORITY.certificate_pem)}, id="data"),
    ],
)
def test_the_server_is_verified_by_the_authority_that_is_given(
    tmp_path: Path, cluster: dict[str, Any]
) -> None:
    connection = _read(tmp_path, {"token": "given"}, cluster)
    assert len(connection.tls.get_ca_certs()) == len(connection.anonymous_tls.get_ca_certs()) == 1


@pytest.mark.parametrize(
    ("user", "field"),
    [
        pytest.param({"exec": {"command": "login"}}, "users.u.exec", id="plugin"),
        pytest.param({}, "users.u", id="nothing"),
    ],
)
def test_a_user_that_cannot_be_used_is_named(
    tmp_path: Path, user: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        _read(tmp_path, user)
    assert caught.value.field == field
