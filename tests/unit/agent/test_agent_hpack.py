"""HPACK as RFC 7541 shows it in its appendix C, and against bytes that nobody should send."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.probes.hpack import Decoder, HeaderBlockError, decode_huffman
from agent.probes.http2 import CallError, UnaryCall

DATE_21 = "Mon, 21 Oct 2013 20:13:21 GMT"
DATE_22 = "Mon, 21 Oct 2013 20:13:22 GMT"
URL = "https://www.example.com"


def test_the_responses_of_appendix_c_6_share_one_dynamic_table() -> None:
    # Appendix C.6 sets the table to 256 bytes; the size update in front says so to this decoder.
    blocks = [
        "3fe101"
        "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad17"
        "1863c78f0b97c8e9ae82ae43d3",
        "4883640effc1c0bf",
        "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335df"
        "dfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
    ]  # fmt: skip
    decoder = Decoder()
    first = {"cache-control": "private", "date": DATE_21, "location": URL}
    cookie = "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"
    assert [decoder.decode(bytes.fromhex(block)) for block in blocks] == [
        {":status": "302", **first},
        {":status": "307", **first},
        {
            ":status": "200",
            **first,
            "date": DATE_22,
            "content-encoding": "gzip",
            "set-cookie": cookie,
        },
    ]


@pytest.mark.parametrize(
    ("block", "fields"),
    [
        pytest.param(
            "400a637573746f6d2d6b65790d637573746f6d2d686561646572",
            {"custom-key": "custom-header"},
            id="C.2.1, remembered",
        ),
        pytest.param(
            "040c2f73616d706c652f70617468", {":path": "/sample/path"}, id="C.2.2, not remembered"
        ),
        pytest.param(
            "100870617373776f726406736563726574", {"password": "secret"}, id="C.2.3, never indexed"
        ),
        pytest.param("82", {":method": "GET"}, id="C.2.4, indexed"),
        pytest.param(
            "828684418cf1e3c2e5f23a6ba0ab90f4ff",
            {
                ":method": "GET",
                ":scheme": "http",
                ":path": "/",
                ":authority": "www.example.com",
            },
            id="C.4.1, Huffman",
        ),
        pytest.param("", {}, id="empty"),
    ],
)
def test_each_form_of_a_field_is_read(block: str, fields: dict[str, str]) -> None:
    assert Decoder().decode(bytes.fromhex(block)) == fields


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("80", "index 0 is in no table"),
        ("be", "index 62 is in no table"),
        ("ffffffffffff7f", "an integer has no end"),
        ("3fe13f", "a table of 8192 bytes is more than was allowed"),
        ("400a6375", "a text is longer than the block"),
        ("0001", "a text is longer than the block"),
        ("00", "the block ends too early"),
        ("0081ff", "a text is not padded with ones"),
        ("0081fe", "a text is not padded with ones"),
        ("0084ffffffff", "a text contains the end-of-string code"),
        ("82" * 129, "more than 128 header fields"),
    ],
)
def test_a_broken_block_is_refused_with_what_is_wrong(block: str, message: str) -> None:
    with pytest.raises(HeaderBlockError) as caught:
        Decoder().decode(bytes.fromhex(block))
    assert str(caught.value) == message


def test_what_does_not_fit_the_table_is_forgotten() -> None:
    decoder = Decoder()
    large = b"\x7f\xa0\x1f" + b"v" * 4127
    decoder.decode(b"\x40\x01a\x01b")
    assert decoder.decode(b"\xbe") == {"a": "b"}
    assert decoder.decode(b"\x40\x01c" + large) == {"c": "v" * 4127}
    with pytest.raises(HeaderBlockError, match="index 62"):
        decoder.decode(b"\xbe")


@given(st.binary(max_size=200))
def test_whatever_the_bytes_only_the_one_error_is_raised(block: bytes) -> None:
    try:
        Decoder().decode(block)
    except HeaderBlockError:
        return


@given(st.binary(max_size=100))
def test_no_coded_text_is_longer_than_its_shortest_codes_allow(coded: bytes) -> None:
    try:
        decoded = decode_huffman(coded)
    except HeaderBlockError:
        return
    assert len(decoded) * 5 <= len(coded) * 8


FRAMES = b"\0\0\0\4\0\0\0\0\0" + b"\0\0\1\1\4\0\0\0\1\x88" + b"\0\0\3\0\1\0\0\0\1abc"


@given(st.binary(max_size=300), st.integers(0, len(FRAMES)))
def test_whatever_a_server_says_a_call_ends_with_the_connection_at_the_latest(
    noise: bytes, cut: int
) -> None:
    call = UnaryCall([], b"")
    try:
        call.feed(FRAMES[:cut] + noise)
    except CallError:
        return
    if not call.is_done:
        with pytest.raises(CallError):
            call.feed(b"")


@given(st.lists(st.integers(1, len(FRAMES)), max_size=10))
def test_it_does_not_matter_how_the_bytes_are_split(cuts: list[int]) -> None:
    call = UnaryCall([], b"")
    edges = sorted({0, len(FRAMES), *cuts})
    replies = [call.feed(FRAMES[a:b]) for a, b in pairwise(edges)]
    assert (b"".join(replies), call.headers, call.body, call.is_done) == (
        b"\0\0\0\4\1\0\0\0\0",
        {":status": "200"},
        b"abc",
        True,
    )
