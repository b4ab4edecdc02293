"""The external scaler over TLS: its certificate, its rotation, and clients that must have one."""

from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from aggregator.keda.answers import Answers
from aggregator.keda.server import Endpoint, ScalerServer
from aggregator.kube.resources import ObjectKey
from localcluster.certificates import Authority, make_authority
from shared.clock import utc_now
from shared.errors import InvalidInput
from tests.support.keda_client import FakePorts, KedaClient, ref_of
from tests.support.scaling import Group, snapshot

pytestmark = [pytest.mark.component, pytest.mark.timeout(30)]

KEY = ObjectKey("games", "minecraft")


def write_certificate(folder: Path, authority: Authority) -> tuple[str, str]:
    """Write a certificate for localhost and its key; return their paths."""
    chain, key = authority.issue("scaler", ["localhost"], ["127.0.0.1"])
    (folder / "tls.crt").write_bytes(chain)
    (folder / "tls.key").write_bytes(key)
    return str(folder / "tls.crt"), str(folder / "tls.key")


def client_certificate(authority: Authority) -> tuple[bytes, bytes]:
    """A certificate for a client, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = utc_now()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "keda")]))
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(pem), private


async def metric(port: int, credentials: grpc.ChannelCredentials) -> int:
    async with KedaClient(port, credentials, (("grpc.use_local_subchannel_pool", 1),)) as client:
        return await client.metric(ref_of())


def answers() -> Answers:
    return Answers(FakePorts({KEY: snapshot(Group(3))}))


async def test_the_certificate_is_read_again_when_it_was_rotated(tmp_path):
    before, after = make_authority(), make_authority()
    files = write_certificate(tmp_path, before)
    trusts_before = grpc.ssl_channel_credentials(before.certificate_pem)
    trusts_after = grpc.ssl_channel_credentials(after.certificate_pem)
    async with ScalerServer(answers(), Endpoint("localhost", 0, *files)) as server:
        assert await metric(server.port, trusts_before) == 3
        write_certificate(tmp_path, after)
        assert await metric(server.port, trusts_after) == 3
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await metric(server.port, trusts_before)
        assert failed.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_rotation_under_way_keeps_the_certificate_that_is_known(tmp_path):
    authority = make_authority()
    certificate, key = write_certificate(tmp_path, authority)
    trusts = grpc.ssl_channel_credentials(authority.certificate_pem)
    async with ScalerServer(answers(), Endpoint("localhost", 0, certificate, key)) as server:
        assert await metric(server.port, trusts) == 3
        Path(key).unlink()
        assert await metric(server.port, trusts) == 3


async def test_only_clients_with_a_certificate_are_served_where_that_is_asked_for(tmp_path):
    authority = make_authority()
    files = write_certificate(tmp_path, authority)
    (tmp_path / "ca.crt").write_bytes(authority.certificate_pem)
    endpoint = Endpoint("localhost", 0, *files, str(tmp_path / "ca.crt"))
    chain, key = client_certificate(authority)
    trusted = authority.certificate_pem
    async with ScalerServer(answers(), endpoint) as server:
        assert await metric(server.port, grpc.ssl_channel_credentials(trusted, key, chain)) == 3
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await metric(server.port, grpc.ssl_channel_credentials(trusted))
        assert failed.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_missing_certificate_is_said_with_its_setting(tmp_path):
    endpoint = Endpoint("localhost", 0, str(tmp_path / "tls.crt"), str(tmp_path / "tls.key"))
    with pytest.raises(InvalidInput, match="cannot read") as refused:
        await ScalerServer(answers(), endpoint).__aenter__()
    assert refused.value.field == "GAMEKEEPER_KEDA_TLS_KEY_FILE"
