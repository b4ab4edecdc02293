"""Runs network probes as the agent does: on a selector, with the handlers of the product."""

from __future__ import annotations

import selectors
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.probes.network import NetworkProbes
from shared.clock import monotonic_seconds
from shared.protocol.probes import ProbeSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent.probes.handlers import RunningProbe
    from agent.probes.outcome import Outcome


@dataclass
class ProbeLoop:
    """The main loop of an agent that has network probes only."""

    selector: selectors.BaseSelector
    probes: NetworkProbes

    def start(
        self, handler: Any, timeout_seconds: int, on_done: Callable[[Outcome], None]
    ) -> RunningProbe:
        field = {
            "HTTPGetAction": "http_get",
            "TCPSocketAction": "tcp_socket",
            "GRPCAction": "grpc",
        }[type(handler).__name__]
        parts: dict[str, Any] = {field: handler, "timeout_seconds": timeout_seconds}
        return self.probes.start(ProbeSpec("probe", "game", **parts), on_done)

    def run(self, handler: Any, timeout_seconds: int = 10) -> Outcome:
        """Run one probe to its end."""
        outcomes: list[Outcome] = []
        self.start(handler, timeout_seconds, outcomes.append)
        self.turn_until(lambda: bool(outcomes))
        return outcomes[0]

    def turn_until(self, is_over: Callable[[], bool]) -> None:
        """Let the loop go round until then; the test's own timeout ends a loop without end."""
        while not is_over():
            deadline = self.probes.deadline()
            # A short look from time to time: what the test waits for may be no event of the loop.
            wait = 0.05 if deadline is None else min(0.05, max(0.0, deadline - monotonic_seconds()))
            for key, _ in self.selector.select(wait):
                if self.selector.get_map().get(key.fd) is key:
                    key.data()
            self.probes.step(monotonic_seconds())


@contextmanager
def probe_loop(pod_ip: str = "127.0.0.1") -> Iterator[ProbeLoop]:
    """Give a loop; at its end nothing of it may be left in the selector."""
    with selectors.DefaultSelector() as selector:
        probes = NetworkProbes(selector, pod_ip)
        yield ProbeLoop(selector, probes)
        probes.close()
        assert dict(selector.get_map()) == {}
