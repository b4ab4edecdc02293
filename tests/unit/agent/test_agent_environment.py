"""What is taken for the environment of a container's main process."""

from __future__ import annotations

import pytest

from agent.exec.target import parse_environment


@pytest.mark.parametrize(
    ("raw", "variables"),
    [
        pytest.param(b"", {}, id="none"),
        pytest.param(b"A=1\0B=\0", {b"A": b"1", b"B": b""}, id="an empty value is one"),
        pytest.param(b"OPTS=-x a=b\0", {b"OPTS": b"-x a=b"}, id="a value may hold the sign"),
        pytest.param(b"TEXT=\xff\n\0", {b"TEXT": b"\xff\n"}, id="bytes stay bytes"),
        pytest.param(b"nginx: worker\0\0A=1\0", {b"A": b"1"}, id="a title written over it"),
        pytest.param(b"=C:=/game\0A=1\0", {b"A": b"1"}, id="a name that is empty"),
    ],
)
def test_what_a_program_can_be_started_with_is_taken(
    raw: bytes, variables: dict[bytes, bytes]
) -> None:
    assert parse_environment(raw) == variables
