"""A report port over real HTTP."""

from collections.abc import AsyncIterator

import pytest
from aiohttp.test_utils import RawTestServer, TestClient

from aggregator.intake.routes import ReportIntake
from tests.support.intake_world import Aggregator


@pytest.fixture
def aggregator() -> Aggregator:
    return Aggregator()


@pytest.fixture
async def http(aggregator: Aggregator) -> AsyncIterator[TestClient]:
    async with TestClient(RawTestServer(ReportIntake(aggregator.ports()).handle)) as client:
        yield client
