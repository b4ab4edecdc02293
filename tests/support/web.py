"""Answers to requests of aiohttp's client, without a network: the fixture `web`.

A test folder that wants it imports it in its conftest: `from tests.support.web import web as web`.
aioresponses 0.7.9 builds responses as aiohttp made them before 3.14, which has one more argument
(how many bytes went out is read from it). This is the one place that adds it; with an aioresponses
that knows the argument the class below can go.
"""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import ClientResponse
from aioresponses import aioresponses


class _Response(ClientResponse):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("stream_writer", SimpleNamespace(output_size=0))
        super().__init__(*args, **kwargs)


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[aioresponses]:
    """Give what answers requests; one that no answer was prepared for is a connection error."""
    monkeypatch.setattr("aioresponses.core.ClientResponse", _Response)
    with aioresponses() as prepared:
        yield prepared
