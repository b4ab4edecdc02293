"""What a Secret holds of certificates, read leniently: each part is usable or absent. Pure.

The Secret is the truth, and people edit it, restore it from backups and cut it off while pasting.
So nothing here raises: a part that cannot be used counts as absent, and `decision` has it replaced.

| key | holds |
| --- | --- |
| ca.crt | the authorities that agents trust, the newest first; the older ones are kept on purpose |
| ca.key | the private key of the newest authority |
| tls.crt, tls.key | the certificate of the report endpoint and its private key |

Not here: whether a part is due (`decision`) and how one is made (`issuing`).
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

CA_CERTIFICATES = "ca.crt"
CA_KEY = "ca.key"
CERTIFICATE = "tls.crt"
KEY = "tls.key"

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_DAMAGE = (ValueError, TypeError, x509.ExtensionNotFound, x509.DuplicateExtension)


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority that agents trust."""

    certificate: x509.Certificate

    @property
    def pem(self) -> str:
        """The certificate as text."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def since(self) -> datetime:
        """When it begins to be valid."""
        return self.certificate.not_valid_before_utc

    @property
    def until(self) -> datetime:
        """When it ends to be valid."""
        return self.certificate.not_valid_after_utc


@dataclass(frozen=True, slots=True)
class Leaf:
    """The certificate of the endpoint, with its key.

    Attributes:
        issuer: the position in the bundle of the authority that signed it.
        names: DNS names and IP addresses that it is for.
    """

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    issuer: int
    names: frozenset[str]

    @property
    def since(self) -> datetime:
        """When it begins to be valid."""
        return self.certificate.not_valid_before_utc

    @property
    def until(self) -> datetime:
        """When it ends to be valid."""
        return self.certificate.not_valid_after_utc


@dataclass(frozen=True, slots=True)
class Stored:
    """The usable parts.

    Attributes:
        authorities: the newest first.
        authority_key: of the newest; None when it is absent or not its key.
        leaf: None when it is absent, has another key, or none of the authorities signed it.
    """

    authorities: tuple[Authority, ...] = ()
    authority_key: ec.EllipticCurvePrivateKey | None = field(default=None, repr=False)
    leaf: Leaf | None = None


def parse_secret(body: Mapping[str, Any]) -> Stored:
    """Return the usable parts of a Secret."""
    data = body.get("data")
    texts = data if isinstance(data, dict) else {}
    authorities = tuple(_authorities(_text(texts.get(CA_CERTIFICATES))))
    key = _private_key(_text(texts.get(CA_KEY)))
    if not authorities or not _is_pair(authorities[0].certificate, key):
        key = None
    leaf = _leaf(_text(texts.get(CERTIFICATE)), _text(texts.get(KEY)), authorities)
    return Stored(authorities, key, leaf)


def _text(encoded: Any) -> str:
    """Return the text of an entry, empty where there is none."""
    try:
        return base64.b64decode(encoded, validate=True).decode("ascii")
    except (TypeError, ValueError, binascii.Error):
        return ""


def _certificates(text: str) -> Iterable[x509.Certificate]:
    """Yield every certificate that can be read; one that is cut off does not cost the others."""
    for part in text.split(_BEGIN)[1:]:
        body, end, _ = part.partition(_END)
        try:
            yield x509.load_pem_x509_certificate(f"{_BEGIN}{body}{end}\n".encode())
        except _DAMAGE:
            continue


def _authorities(text: str) -> Iterable[Authority]:
    for certificate in _certificates(text):
        try:
            constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        except _DAMAGE:
            continue
        if constraints.value.ca:
            yield Authority(certificate)


def _leaf(text: str, key_text: str, authorities: tuple[Authority, ...]) -> Leaf | None:
    certificate = next(iter(_certificates(text)), None)
    key = _private_key(key_text)
    if certificate is None or key is None or not _is_pair(certificate, key):
        return None
    for index, authority in enumerate(authorities):
        if _is_issued_by(certificate, authority.certificate):
            return Leaf(certificate, key, index, _names(certificate))
    return None


def _names(certificate: x509.Certificate) -> frozenset[str]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except _DAMAGE:
        return frozenset()
    addresses = extension.value.get_values_for_type(x509.IPAddress)
    names = extension.value.get_values_for_type(x509.DNSName)
    return frozenset([*names, *map(str, addresses)])


def _is_issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, *_DAMAGE):
        return False
    return True


def _private_key(text: str) -> ec.EllipticCurvePrivateKey | None:
    try:
        key = serialization.load_pem_private_key(text.encode(), password=None)
    except _DAMAGE:
        return None
    return key if isinstance(key, ec.EllipticCurvePrivateKey) else None


def _is_pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey | None) -> bool:
    return key is not None and certificate.public_key() == key.public_key()
