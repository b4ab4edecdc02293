"""The protobuf bodies of kubectl's typed commands."""

from __future__ import annotations

from typing import Any

import pytest

from localcluster.apiserver.errors import ApiError
from localcluster.apiserver.protobuf import decode


def varint(number: int) -> bytes:
    out = bytearray()
    number &= (1 << 64) - 1
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def field(number: int, value: bytes | str | int) -> bytes:
    """Return one encoded field: a varint for an int, else length and bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def body(kind: str, *fields: bytes, version: str = "v1") -> bytes:
    meta = field(1, version) + field(2, kind)
    return b"k8s\0" + field(1, meta) + field(2, b"".join(fields)) + field(3, "") + field(4, "")


def entry(key: str, value: bytes | str) -> bytes:
    return field(1, key) + field(2, value)


METADATA = field(1, field(1, "a") + field(2, "") + field(11, entry("x", "y")))


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param(
            body("Namespace", METADATA, field(2, field(1, "kubernetes")), field(3, field(1, ""))),
            {
                "metadata": {"name": "a", "labels": {"x": "y"}},
                "spec": {"finalizers": ["kubernetes"]},
            },
            id="namespace",
        ),
        pytest.param(
            body("Secret", METADATA, field(2, entry("k", b"\xff")), field(3, "Opaque")),
            {
                "metadata": {"name": "a", "labels": {"x": "y"}},
                "data": {"k": "/w=="},
                "type": "Opaque",
            },
            id="secret",
        ),
        pytest.param(
            body(
                "TokenRequest",
                field(1, b""),
                field(2, field(1, "one") + field(1, "two") + field(4, 600)),
            ),
            {"spec": {"audiences": ["one", "two"], "expirationSeconds": 600}},
            id="token-request",
        ),
        pytest.param(
            body("ResourceQuota", METADATA, field(2, field(1, entry("pods", field(1, "3"))))),
            {"metadata": {"name": "a", "labels": {"x": "y"}}, "spec": {"hard": {"pods": "3"}}},
            id="quantity",
        ),
        pytest.param(
            body("DeleteOptions", field(1, 0), field(4, "Foreground"), field(5, "All")),
            {"gracePeriodSeconds": 0, "propagationPolicy": "Foreground", "dryRun": ["All"]},
            id="zero-is-kept",
        ),
        pytest.param(
            body("DeleteOptions", field(1, -1)), {"gracePeriodSeconds": -1}, id="negative"
        ),
        pytest.param(
            body("ConfigMap", field(1, field(1, "a") + field(8, field(1, 1_600_000_000)))),
            {"metadata": {"name": "a", "creationTimestamp": "2020-09-13T12:26:40Z"}},
            id="time",
        ),
    ],
)
def test_a_message_becomes_the_object_that_json_would_carry(
    message: bytes, expected: dict[str, Any]
) -> None:
    decoded = decode(message)
    assert decoded.pop("apiVersion") == "v1"
    decoded.pop("kind")
    assert decoded == expected


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(b"{}", id="json"),
        pytest.param(body("Namespace", METADATA)[:-9], id="cut"),
        pytest.param(b"k8s\0\x0f", id="wire-type"),
        pytest.param(b"k8s\0\x80", id="endless-number"),
        pytest.param(body("Namespace", field(1, field(1, b"\xff"))), id="no-utf-8"),
    ],
)
def test_what_is_no_message_is_a_bad_request(message: bytes) -> None:
    with pytest.raises(ApiError, match="is not protobuf") as caught:
        decode(message)
    assert caught.value.code == 400


def test_another_kind_is_refused_with_the_remedy() -> None:
    with pytest.raises(ApiError, match="write the Deployment to a file") as caught:
        decode(body("Deployment", METADATA))
    assert caught.value.code == 415
