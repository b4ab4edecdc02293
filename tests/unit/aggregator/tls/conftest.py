"""Certificates of any age, made once: a key costs ten milliseconds."""

from datetime import UTC, datetime

import pytest

from aggregator.tls.decision import Renew
from aggregator.tls.issuing import renew
from aggregator.tls.stored import Stored

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
WANTED = frozenset({"reports", "reports.system", "reports.system.svc", "10.0.0.9"})
BOTH = Renew(authority=True, leaf=True, reason="test")
AUTHORITY = Renew(authority=True, leaf=False, reason="test")
LEAF = Renew(authority=False, leaf=True, reason="test")


@pytest.fixture(scope="session")
def fresh() -> Stored:
    """What is made at NOW where nothing was."""
    return renew(Stored(), BOTH, WANTED, NOW)
