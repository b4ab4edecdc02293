"""Starts the handler that a probe names; every handler ends in an Outcome.

The handlers of the network are loaded when the first of their probes runs: most pods have exec
probes only, and memory is paid once per game server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from agent.probes.exec import ExecBackend, ExecRun, outcome_of

if TYPE_CHECKING:
    import selectors
    from collections.abc import Callable

    from agent.exec.resolve import MainProcess
    from agent.probes.network import NetworkProbes
    from agent.probes.outcome import Outcome
    from shared.protocol.probes import ProbeSpec


class RunningProbe(Protocol):
    """A run of a probe that is under way."""

    def cancel(self) -> None:
        """End it and everything it started; its `on_done` is not called any more."""


class ProbeRunner(Protocol):
    """What the prober needs: something that runs a probe once."""

    def start(
        self,
        spec: ProbeSpec,
        process: MainProcess | None,
        on_done: Callable[[Outcome], None],
    ) -> RunningProbe:
        """Start one run; `on_done` is called once, later, from the main loop.

        Args:
            spec: the probe.
            process: main process of its container; an exec probe needs one.
            on_done: takes the outcome.
        """


class Handlers:
    """Runs probes of every kind.

    Args:
        selector: of the main loop.
        backend: runs exec probes.
        pod_ip: where network probes go unless they name a host; empty: loopback.
    """

    def __init__(self, selector: selectors.BaseSelector, backend: ExecBackend, pod_ip: str) -> None:
        self._selector = selector
        self._backend = backend
        self._pod_ip = pod_ip
        self._network: NetworkProbes | None = None

    def start(
        self,
        spec: ProbeSpec,
        process: MainProcess | None,
        on_done: Callable[[Outcome], None],
    ) -> RunningProbe:
        """Start one run; see `ProbeRunner`."""
        if spec.exec is None:
            return self._load_network().start(spec, on_done)
        if process is None:
            raise ValueError(f"the exec probe {spec.name!r} needs the process of its container")

        def on_exit(run: ExecRun) -> None:
            on_done(outcome_of(run))

        return self._backend.start(process, spec.exec.command, spec.timeout_seconds, on_exit)

    def deadline(self) -> float | None:
        """Return when `step` has something to do, on the monotonic clock; None for never."""
        return None if self._network is None else self._network.deadline()

    def step(self, now: float) -> None:
        """Begin and end the network probes whose time has come."""
        if self._network is not None:
            self._network.step(now)

    def close(self) -> None:
        """End every network probe under way; the exec back end has its own end."""
        if self._network is not None:
            self._network.close()

    def _load_network(self) -> NetworkProbes:
        if self._network is None:
            from agent.probes.network import NetworkProbes

            self._network = NetworkProbes(self._selector, self._pod_ip)
        return self._network
