"""Makes authorities and certificates, and the Secret's data of them. Not pure: keys are random.

EC P-256 throughout: a key and its certificate take about ten milliseconds, and every TLS library
that an agent may be built with knows it. Source: RFC 5280 (the extensions that verifiers ask for).
The local cluster makes throw-away certificates alike, by code of its own: the two may meet only in
`shared`, which has no cryptography library, and these outlive the process that made them.
"""

from __future__ import annotations

import base64
from datetime import timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from aggregator.tls.decision import AUTHORITY_LIFETIME, LEAF_LIFETIME, Renew
from aggregator.tls.stored import (
    CA_CERTIFICATES,
    CA_KEY,
    CERTIFICATE,
    KEY,
    Authority,
    Leaf,
    Stored,
)

if TYPE_CHECKING:
    from datetime import datetime

# Clients whose clocks are behind must accept what was made just now.
CLOCK_SKEW = timedelta(hours=1)
# A ConfigMap holds a MiB, an authority 600 bytes; but each costs agents a little when they verify.
MAX_AUTHORITIES = 4


def renew(stored: Stored, step: Renew, wanted: frozenset[str], now: datetime) -> Stored:
    """Return what to store: the parts that `step` names are new, the others as they were.

    Former authorities are kept, expired ones too: to trust them is harmless, and after a clock that
    was wrong they are good again.
    """
    authorities, key, leaf = stored.authorities, stored.authority_key, stored.leaf
    if step.authority or key is None:
        newest, key = _make_authority(now)
        authorities = (newest, *authorities)[:MAX_AUTHORITIES]
        if leaf is not None:
            leaf = Leaf(leaf.certificate, leaf.key, leaf.issuer + 1, leaf.names)
    if step.leaf or leaf is None or leaf.issuer >= len(authorities):
        leaf = _make_leaf(authorities[0], key, wanted, now)
    return Stored(authorities, key, leaf)


def secret_data(stored: Stored) -> dict[str, str]:
    """Return the `data` of the Secret, base64 as the API has it; every part must be there."""
    texts = {CA_CERTIFICATES: bundle(stored)}
    if stored.authority_key is not None:
        texts[CA_KEY] = _key_pem(stored.authority_key)
    if stored.leaf is not None:
        texts[CERTIFICATE] = leaf_pem(stored.leaf)
        texts[KEY] = _key_pem(stored.leaf.key)
    return {name: base64.b64encode(text.encode()).decode() for name, text in texts.items()}


def bundle(stored: Stored) -> str:
    """Return the certificates that agents trust, PEM."""
    return "".join(authority.pem for authority in stored.authorities)


def leaf_pem(leaf: Leaf) -> str:
    """Return the certificate of the endpoint, PEM."""
    return leaf.certificate.public_bytes(serialization.Encoding.PEM).decode()


def leaf_key_pem(leaf: Leaf) -> str:
    """Return the key of the endpoint, PEM, not encrypted."""
    return _key_pem(leaf.key)


def _make_authority(now: datetime) -> tuple[Authority, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    # The time makes the name unique: verifiers find an issuer by its name first.
    name = _name(f"gamekeeper reports authority {now:%Y-%m-%dT%H:%M:%SZ}")
    certificate = (
        _builder(name, name, key.public_key(), now, now + AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate), key


def _make_leaf(
    authority: Authority,
    authority_key: ec.EllipticCurvePrivateKey,
    wanted: frozenset[str],
    now: datetime,
) -> Leaf:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    ends = min(now + LEAF_LIFETIME, authority.until)
    certificate = (
        _builder(_name("gamekeeper reports"), issuer.subject, key.public_key(), now, ends)
        .add_extension(
            x509.SubjectAlternativeName([_general_name(name) for name in sorted(wanted)]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())
    )
    return Leaf(certificate, key, 0, wanted)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime,
    ends: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
