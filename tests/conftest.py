"""What holds for every test."""

import asyncio
from pathlib import Path

import hypothesis
import pytest

# Timeouts of tests are written for a quiet machine. What hangs is found as well a little later, and
# what is only slow (a smaller machine, one that others use too) is no failure; suites have budgets.
_PATIENCE = 4

# Enough to find what a table forgot; the whole unit suite has to stay under a minute. The examples
# are the same in every run, so that a change is not refused for what was there before it; others
# are tried by `--hypothesis-profile=search`. How long one takes is the machine's affair.
_SLOW = [hypothesis.HealthCheck.too_slow]
hypothesis.settings.register_profile(
    "suite", max_examples=40, deadline=None, suppress_health_check=_SLOW, derandomize=True
)
hypothesis.settings.register_profile(
    "search", hypothesis.settings.get_profile("suite"), derandomize=False, max_examples=400
)
hypothesis.settings.load_profile("suite")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what is said about a cluster; without, each suite starts a local one."""
    group = parser.getgroup("cluster", "the cluster under test")
    group.addoption(
        "--kubeconfig",
        type=Path,
        metavar="FILE",
        help="run tests/conformance and tests/cluster against the current context's cluster",
    )
    for name in ("agent", "aggregator"):
        group.addoption(
            f"--{name}-image", metavar="REF", help=f"image of the {name}, which nodes can pull"
        )
    group.addoption(
        "--game-image",
        action="append",
        metavar="REF",
        help="image with bash, coreutils and ps that nodes can pull; a second one is what sets are "
        "updated to (default: two of Ubuntu)",
    )
    group.addoption(
        "--chart-values",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="further values of the chart, as for helm install -f",
    )
    group.addoption(
        "--status-url",
        metavar="URL",
        help="where the status API can be reached (default: a port that kubectl forwards)",
    )


def pytest_configure() -> None:
    """Say that the main thread has no event loop of its own.

    Otherwise Python 3.11 makes one when pytest-asyncio asks which loop was there before, nobody
    closes it, and its ResourceWarning fails whichever test runs when it is collected.
    """
    asyncio.set_event_loop(None)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give every test several times the seconds that its mark or the configuration says."""
    default = float(config.getini("timeout"))
    for item in items:
        mark = item.get_closest_marker("timeout")
        seconds = default if mark is None else float(mark.args[0])
        item.add_marker(pytest.mark.timeout(_PATIENCE * seconds), append=False)
