"""A throw-away certificate authority for TLS on loopback.

Used by the local API server and for the aggregator's report endpoint in local mode. The keys live
as long as the run that made them; production certificates are made by the aggregator or by
cert-manager, not here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from shared.clock import utc_now

if TYPE_CHECKING:
    from collections.abc import Sequence

# Long enough for any session on a laptop, short enough that a forgotten file is worth nothing.
LIFETIME = timedelta(days=30)
# Clients whose clock is a little behind must accept a certificate that was made just now.
CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority and the right to issue in its name.

    Args:
        certificate_pem: what clients trust (`certificate-authority-data` of a kubeconfig).
        certificate: the same, parsed.
        key: its private key; never written to disk by this module.
    """

    certificate_pem: bytes
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def issue(
        self, common_name: str, dns_names: Sequence[str], ip_addresses: Sequence[str]
    ) -> tuple[bytes, bytes]:
        """Return the certificate chain and the private key, both PEM, of a new TLS server.

        Args:
            common_name: shown to people; clients verify the two lists below.
            dns_names: names the server is reached by.
            ip_addresses: literal addresses the server is reached by, for example `127.0.0.1`.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [x509.DNSName(name) for name in dns_names]
        names += [x509.IPAddress(ip_address(address)) for address in ip_addresses]
        issuer_key_id = self.certificate.extensions.get_extension_for_class(
            x509.SubjectKeyIdentifier
        ).value
        certificate = (
            _builder(_name(common_name), self.certificate.subject, key)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_key_id),
                critical=False,
            )
            .sign(self.key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM), _private_pem(key)


def make_authority() -> Authority:
    """Return a new authority (EC P-256: about ten milliseconds)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("gamekeeper-local")
    certificate = (
        _builder(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_signing_usage(), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate.public_bytes(serialization.Encoding.PEM), certificate, key)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = utc_now()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _signing_usage() -> x509.KeyUsage:
    # Python 3.13 verifies strictly (RFC 5280): a CA must say that it signs certificates.
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
