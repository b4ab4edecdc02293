"""A cell of the fault tables: aggregators that meet one fault at one write, in one namespace."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aggregator.app import Aggregator
from aggregator.kube.client import Timeouts, open_kube_client
from aggregator.kube.resources import EVENTS
from tests.support.faulty import Faulty, aggregating
from tests.support.interference import Aim, Interference

# How long a request may take when an answer is held back on purpose.
SHORT = Timeouts(request_seconds=1.0)
SERVER_FAULTS: dict[str, dict[str, Any]] = {
    "request lost": {"action": "close-before", "count": 1},
    "answer lost": {"action": "close-after", "count": 1},
    "409": {"action": "conflict", "count": 1},
    "429": {"action": "throttle", "count": 1, "seconds": 1},
    "500": {"action": "error", "count": 1},
    "timeout": {"action": "delay", "count": 1, "seconds": 2},
}


@dataclass(frozen=True)
class Actor:
    """An aggregator, and what stands between it and the API server."""

    aggregator: Aggregator
    between: Interference


@dataclass
class Cell:
    """One namespace, and the aggregators that work on it until the stack is closed."""

    faulty: Faulty
    stack: AsyncExitStack

    async def start(
        self,
        timeouts: Timeouts | None = None,
        lease: str | None = None,
        *,
        succeeds: bool = False,
        **interference: Any,
    ) -> Actor:
        """Start an aggregator; it leads unless another one does that wants the same lease.

        Args:
            timeouts: of its requests.
            lease: that it wants, where it is not the usual one.
            succeeds: whoever held the lease, it is this one's now.
            interference: with its writes.
        """
        client = await self.stack.enter_async_context(
            open_kube_client(self.faulty.kubeconfig, timeouts)
        )
        between = Interference(client, **interference)
        settings = {"LEASE_NAME": lease} if lease is not None else {}
        aggregator = await self.stack.enter_async_context(
            aggregating(self.faulty, between, succeeds=succeeds, **settings)
        )
        return Actor(aggregator, between)

    async def messages(self, reason: str) -> list[tuple[str, int]]:
        """Return what was told for this reason, and how often, in alphabetical order."""
        return sorted(
            (event["message"], event["count"])
            for event in await self.faulty.all(EVENTS)
            if event["reason"] == reason
        )


@asynccontextmanager
async def fault_in_force(faulty: Faulty, aim: Aim, **rule: Any) -> AsyncIterator[None]:
    """Order a fault of one write; it must have struck when the block ends."""
    number = await faulty.order(verb=aim.verb, resource=aim.resource, **rule)
    yield
    assert (await faulty.hits())[0] > 0
    await faulty.end(number)
