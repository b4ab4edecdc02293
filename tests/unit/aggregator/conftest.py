"""A clock that tests of the write path move."""

import pytest

from tests.support.world import Clock


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    clock.install(monkeypatch)
    return clock
