"""Runs the probes of the network: resolves, connects, holds the conversation, ends in time.

Not here: what is said and what it means (http.py, tcp.py, grpc.py). Loaded only when a probe list
has such a probe. A run needs no capability and no view of the container: it goes from the agent to
the pod's address, as kubelet's goes from the node to it.
Source: pkg/probe of Kubernetes for what is a failure. Where kubelet fails for a reason that says
nothing about the server (the name server is down, this pod has no route) the outcome is Unknown.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from agent.probes.connection import Connection
from agent.probes.conversation import Conversation, Finding, Target, Turn
from agent.probes.outcome import Outcome
from agent.probes.resolver import Resolver
from agent.probes.tcp import TCPConnect
from shared.clock import monotonic_seconds, utc_now
from shared.protocol.report import Status, clean_result

if TYPE_CHECKING:
    import selectors
    import ssl
    from collections.abc import Callable

    from shared.protocol.probes import ProbeSpec

_LOOPBACK = "127.0.0.1"
# What is shown of an answer in /status; 20 runs of every probe are kept.
_SHOWN_CHARACTERS = 2048
# These say that nobody answers there; all others that this side could not even ask.
_REFUSALS = {
    errno.ECONNREFUSED: "ConnectionRefused",
    errno.EHOSTUNREACH: "HostUnreachable",
    errno.EHOSTDOWN: "HostUnreachable",
    errno.ETIMEDOUT: "HostUnreachable",
    errno.ECONNRESET: "ConnectionLost",
    errno.ECONNABORTED: "ConnectionLost",
    errno.EPIPE: "ConnectionLost",
}


class NetworkProbes:
    """Starts network probes and keeps their time.

    Args:
        selector: of the main loop; `data` of every registration is a callback without arguments.
        pod_ip: where probes go unless they name a host; empty: loopback.
    """

    def __init__(self, selector: selectors.BaseSelector, pod_ip: str) -> None:
        self._selector = selector
        self._host = pod_ip or _LOOPBACK
        self._resolver = Resolver(selector)
        self._runs: set[_Run] = set()
        self._context: ssl.SSLContext | None = None

    def start(self, spec: ProbeSpec, on_done: Callable[[Outcome], None]) -> _Run:
        """Start one run; `on_done` is called once, later, from the main loop."""
        conversation = _open_conversation(spec, self._host)
        run = _Run(conversation, spec.timeout_seconds, on_done, self)
        self._runs.add(run)
        return run

    def deadline(self) -> float | None:
        """Return when `step` has something to do, on the monotonic clock; None for never."""
        return min((run.wake_at for run in self._runs), default=None)

    def step(self, now: float) -> None:
        """Begin what was started, and end what had its time."""
        for run in [run for run in self._runs if run.wake_at <= now]:
            run.wake(now)

    def close(self) -> None:
        """Cancel every run and stop waiting for names."""
        for run in list(self._runs):
            run.cancel()
        self._resolver.close()

    def connect(self, address: str, target: Target, listener: _Run) -> Connection:
        """Return a connection that is being opened.

        Raises:
            OSError: it fails at once.
        """
        tls = (self._unverified_context(), target.host.encode()) if target.tls else None
        return Connection(self._selector, address, target.port, tls, listener)

    @property
    def resolver(self) -> Resolver:
        """Names -> addresses."""
        return self._resolver

    def discard(self, run: _Run) -> None:
        """Forget a run that has ended."""
        self._runs.discard(run)

    def _unverified_context(self) -> ssl.SSLContext:
        """Return TLS settings that accept any certificate and old keys, as kubelet's probes do."""
        if self._context is None:
            import ssl

            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self._context.check_hostname = False
            self._context.verify_mode = ssl.CERT_NONE
            # Level 1 and above refuse keys that the servers of old games still have.
            self._context.set_ciphers("DEFAULT:@SECLEVEL=0")
        return self._context


class _Run:
    """One run: the conversation it is in, the connection that carries it, and its time.

    Attributes:
        wake_at: when `wake` has something to do, on the monotonic clock.
    """

    def __init__(
        self,
        conversation: Conversation | Finding,
        timeout_seconds: float,
        on_done: Callable[[Outcome], None],
        probes: NetworkProbes,
    ) -> None:
        self._next: Conversation | Finding | None = conversation
        self._timeout_seconds = timeout_seconds
        self._on_done = on_done
        self._probes = probes
        self._started = monotonic_seconds()
        self._started_at = utc_now()
        self._deadline = self._started + timeout_seconds
        self._conversation: Conversation | None = None
        self._addresses: tuple[str, ...] = ()
        self._connection: Connection | None = None
        self._is_resolving = False
        # The first step is the loop's: whoever starts a run has not got it yet.
        self.wake_at = self._started

    def cancel(self) -> None:
        """Hang up; `on_done` is not called any more."""
        self._hang_up()
        self._probes.resolver.forget(self._on_resolved)
        self._probes.discard(self)

    def wake(self, now: float) -> None:
        """Begin, go on to the next address, or end at the deadline."""
        if now >= self._deadline:
            # The server has not even been asked while its name is looked up.
            self._end(self._not_resolved() if self._is_resolving else self._too_slow())
        elif self._next is not None:
            self._proceed(self._next)
        else:
            self._hang_up()
            self._try_next(TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)))

    def on_open(self) -> None:
        """Say the first words."""
        self.wake_at = self._deadline
        self._addresses = ()
        if self._conversation is not None:
            self._take(self._conversation.opened())

    def on_data(self, data: bytes) -> None:
        """Go on with the conversation."""
        if self._conversation is not None:
            self._take(self._conversation.heard(data))

    def on_lost(self, error: OSError) -> None:
        """Try the next address if there is one; otherwise that is the end."""
        self._connection = None
        self._try_next(error)

    def _proceed(self, step: Conversation | Finding) -> None:
        self._next = None
        if isinstance(step, Finding):
            self._end(step)
            return
        self._conversation = step
        self.wake_at = self._deadline
        self._is_resolving = True
        self._probes.resolver.resolve(step.target.host, self._on_resolved)

    def _on_resolved(self, found: tuple[str, ...] | OSError) -> None:
        self._is_resolving = False
        if isinstance(found, OSError) or not found:
            self._end(self._not_resolved())
            return
        self._addresses = found
        self._try_next(OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH)))

    def _try_next(self, failure: OSError) -> None:
        """Connect to the next address, with a fair share of the time that is left."""
        conversation = self._conversation
        while self._addresses and conversation is not None:
            now = monotonic_seconds()
            share = (self._deadline - now) / len(self._addresses)
            address, *rest = self._addresses
            self._addresses = tuple(rest)
            self.wake_at = now + share if rest else self._deadline
            try:
                self._connection = self._probes.connect(address, conversation.target, self)
            except OSError as error:
                failure = error
                continue
            return
        self._end(self._explain(failure))

    def _take(self, turn: Turn) -> None:
        if turn.send and self._connection is not None:
            self._connection.send(turn.send)
        if turn.end is not None:
            self._hang_up()
            self._proceed(turn.end)

    def _too_slow(self) -> Finding:
        message = f"no answer in {self._timeout_seconds:g} s: raise timeoutSeconds, or see why"
        return Finding(Status.FALSE, "", "Timeout", f"{message} the server is slow")

    def _not_resolved(self) -> Finding:
        host = "" if self._conversation is None else self._conversation.target.host
        message = f"the host {host!r} is not resolved: check httpGet.host or tcpSocket.host, and"
        return Finding(Status.UNKNOWN, "", "HostNotResolved", f"{message} the cluster's DNS")

    def _explain(self, error: OSError) -> Finding:
        where = "" if self._conversation is None else self._conversation.target.authority
        is_tls = self._conversation is not None and self._conversation.target.tls
        if is_tls and (failure := _explain_tls(error)):
            message = f"{where}: no TLS connection ({failure}): check scheme and port"
            return Finding(Status.FALSE, "", "TLSFailed", message)
        said = error.strerror or str(error)
        if error.errno in _REFUSALS:
            message = (
                f"{where}: {said}: check the port, and that the server listens on this address"
            )
            return Finding(Status.FALSE, "", _REFUSALS[error.errno], message)
        message = f"{where}: the agent cannot connect ({said}): check the pod's network and limits"
        return Finding(Status.UNKNOWN, "", "NetworkUnavailable", message)

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _end(self, finding: Finding) -> None:
        self.cancel()
        self._on_done(
            Outcome(
                status=finding.status,
                result=clean_result(finding.text),
                reason=finding.reason,
                message=finding.message,
                stdout=finding.text[:_SHOWN_CHARACTERS],
                started_at=self._started_at,
                duration_seconds=round(monotonic_seconds() - self._started, 4),
            )
        )


def _open_conversation(spec: ProbeSpec, pod_host: str) -> Conversation | Finding:
    if spec.http_get is not None:
        from agent.probes.http import begin_http_get

        return begin_http_get(spec.http_get, pod_host)
    if spec.tcp_socket is not None:
        host = spec.tcp_socket.host.strip("[]") or pod_host
        return TCPConnect(Target(host, spec.tcp_socket.port))
    if spec.grpc is not None:
        from agent.probes.grpc import HealthCheck

        target = Target(pod_host, spec.grpc.port)
        return HealthCheck(target, spec.grpc.service, spec.timeout_seconds)
    raise ValueError(f"the probe {spec.name!r} has no handler of the network")


def _explain_tls(error: OSError) -> str | None:
    """Return what went wrong with TLS in plain words; None when it was something else."""
    import ssl

    if not isinstance(error, ssl.SSLError):
        return None
    return (error.reason or "unexpected end").replace("_", " ").lower()
