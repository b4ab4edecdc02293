"""Base URLs and IP addresses, compared with what the standard library says of the same text."""

from __future__ import annotations

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.address import BaseUrl, family_of, is_loopback, parse_base_url


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://a.b:8443", (True, "a.b", 8443, "a.b:8443", "")),
        ("https://a.b", (True, "a.b", 443, "a.b", "")),
        ("http://127.0.0.1/", (False, "127.0.0.1", 80, "127.0.0.1", "")),
        ("HTTPS://[fd00::1]:1/base/", (True, "fd00::1", 1, "[fd00::1]:1", "/base")),
        ("https://a.b:0", None),
        ("https://a.b:65536", None),
        ("https://user:secret@a.b", None),
        ("https://a.b?x=1", None),
        ("https://a.b/#x", None),
        ("https://a.b/x y", None),
        ("https://", None),
        ("a.b:8443", None),
        ("https://a.b\r\nX: 1", None),
    ],
)
def test_a_base_url_is_taken_apart_or_refused(
    text: str, expected: tuple[bool, str, int, str, str] | None
) -> None:
    assert parse_base_url(text) == (None if expected is None else BaseUrl(text, *expected))


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.8.7", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("localhost", True),
        ("10.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("::2", False),
        ("127.0.0.1.example.com", False),
        ("", False),
    ],
)
def test_loopback_is_told_by_the_address(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@given(st.ip_addresses())
def test_every_address_has_the_family_that_the_standard_library_says(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    expected = socket.AF_INET if address.version == 4 else socket.AF_INET6
    assert family_of(str(address)) == expected


@given(st.text(max_size=20))
def test_other_text_has_no_family(text: str) -> None:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        assert family_of(text) is None
