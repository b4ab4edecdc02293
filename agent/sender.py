"""Carries reports to the aggregator and its answers back: one thread, one request at a time.

Not here: when to send (outbox.py) and what a report says (reporting.py). A thread, because name
resolution and TLS handshakes block, and probes must go on whatever happens; it shares nothing but
two queues.
"""

from __future__ import annotations

import json
import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.http_client import Connection, ExchangeError, Response
from agent.outbox import Accepted, Event, Failed, Refused, Superseded
from agent.retry_after import read_retry_after
from agent.trust import TrustBundle
from shared.clock import monotonic_seconds, utc_now
from shared.errors import InvalidInput
from shared.protocol.paths import REPORTS_PATH
from shared.protocol.report import Answer, parse_answer

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from agent.address import BaseUrl

REQUEST_TIMEOUT_SECONDS = 10.0
_MAX_MESSAGE_CHARACTERS = 256
# The largest whole number that is exact in every JSON implementation; no aggregator accepts more.
_MAX_EPOCH = 2**53 - 1
_UNEXPLAINED = "without a reason in JSON, so it may come from a proxy on the way"


@dataclass(frozen=True, slots=True)
class Delivery:
    """How the sending of one report ended.

    Attributes:
        event: for the outbox.
        url: the base URL that answered, or was tried last.
        status: of HTTP; None when there was no answer.
        answer: of a 200 that could be read.
        error: one line; empty on success.
        malformed: the 200 could not be read: the probe list in it is refused whole.
    """

    event: Event
    url: str
    status: int | None = None
    answer: Answer | None = None
    error: str = ""
    malformed: bool = False


@dataclass(frozen=True, slots=True)
class _Order:
    body: bytes
    timeout_seconds: float


class Sender:
    """Posts reports from its own thread.

    Args:
        urls: base URLs, tried in turn, the one that last answered first; when none did, the next.
        token_file: read for every request, because kubelet rotates it.
        ca_file: what the server's certificate must chain to; its name must fit the URL. Read again
            when it changes.
        wake: called from the thread when `take` has something; must be safe to call there.

    Raises:
        OSError: the CA file cannot be read (ssl.SSLError: or holds no certificate).
    """

    def __init__(
        self, urls: tuple[BaseUrl, ...], token_file: str, ca_file: str, wake: Callable[[], None]
    ) -> None:
        self._token_file = token_file
        self._urls = urls
        self._first = 0
        self._wake = wake
        trust = TrustBundle(ca_file).context if ca_file else None
        self._connections = [Connection(url, trust) for url in urls]
        self._orders: queue.SimpleQueue[_Order | None] = queue.SimpleQueue()
        self._deliveries: queue.SimpleQueue[Delivery] = queue.SimpleQueue()
        # A daemon thread: a name resolution that hangs must not keep the agent from ending.
        self._thread = threading.Thread(target=self._work, name="sender", daemon=True)
        self._thread.start()

    def submit(self, body: bytes, timeout_seconds: float = REQUEST_TIMEOUT_SECONDS) -> None:
        """Send this body next; its delivery can be taken later, after about the timeout at most."""
        self._orders.put(_Order(body, timeout_seconds))

    def take(self) -> Delivery | None:
        """Return the next delivery, None when there is none yet."""
        try:
            return self._deliveries.get_nowait()
        except queue.Empty:
            return None

    def close(self, wait_seconds: float) -> None:
        """Close the connections once a request under way has ended; wait at most so long."""
        self._orders.put(None)
        self._thread.join(wait_seconds)

    def _work(self) -> None:
        while (order := self._orders.get()) is not None:
            self._deliveries.put(self._deliver(order))
            self._wake()
        for connection in self._connections:
            connection.close()

    def _deliver(self, order: _Order) -> Delivery:
        try:
            headers = {**_authorization(self._token_file), "Content-Type": "application/json"}
        except (OSError, ValueError) as unusable:
            reason = unusable.strerror if isinstance(unusable, OSError) else unusable
            message = f"{self._token_file}: {reason}"
            return Delivery(Failed(), self._urls[self._first].text, error=message)
        deadline = monotonic_seconds() + order.timeout_seconds
        error = ""
        for offset in range(len(self._urls)):
            index = (self._first + offset) % len(self._urls)
            # What is left, in equal parts: a name that leads nowhere must not cost the others
            # their turn.
            share = (deadline - monotonic_seconds()) / (len(self._urls) - offset)
            try:
                response = self._connections[index].post(
                    REPORTS_PATH, headers, order.body, max(0.0, share)
                )
            except ExchangeError as failure:
                error = str(failure)
                continue
            # A standby answers 503: the other name may lead to the leader.
            self._first = (index + 1) % len(self._urls) if response.status == 503 else index
            return read_response(response, self._urls[index].text, utc_now())
        # Nobody answered. The next report begins with another name, because the first may have used
        # up everybody's time: a look-up knows no deadline, and a dead name server takes longer.
        self._first = (self._first + 1) % len(self._urls)
        return Delivery(Failed(), self._urls[index].text, error=error)


def _authorization(token_file: str) -> dict[str, str]:
    """Return the header with the token as the file holds it now: kubelet rotates it.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds no token.
    """
    with open(token_file, encoding="ascii", errors="replace") as file:
        token = file.read().strip()
    # What could end the header is in no token (RFC 6750, section 2.1).
    if not (token and token.isascii() and token.isprintable()) or " " in token:
        raise ValueError("holds no token; it should be a projected service-account token")
    return {"Authorization": f"Bearer {token}"}


def read_response(response: Response, url: str, now: datetime) -> Delivery:
    """Return what a response means; `now` is wall-clock time, for a Retry-After date. Pure.

    A 200 that cannot be read is no reason to send that report again: the next heartbeat asks anew.
    401 and 403 are retried with backoff: the next request carries the token as it is then.
    """
    match response.status:
        case 200:
            return _read_answer(response, url)
        case 400 | 413:
            event: Event = Refused()
        case 409:
            event = Superseded(_accepted_epoch(response.body))
        case _:
            event = Failed(read_retry_after(response.headers, now))
    return Delivery(event, url, response.status, error=_rejection(response))


def _read_answer(response: Response, url: str) -> Delivery:
    try:
        answer = parse_answer(json.loads(response.body))
    except (ValueError, RecursionError, InvalidInput) as error:
        message = error.message if isinstance(error, InvalidInput) else f"no JSON: {error}"
        error_line = message[:_MAX_MESSAGE_CHARACTERS]
        return Delivery(Refused(), url, 200, error=error_line, malformed=True)
    return Delivery(Accepted(answer.heartbeat_seconds), url, 200, answer)


def _decode_object(body: bytes) -> dict[str, object]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _accepted_epoch(body: bytes) -> int:
    epoch = _decode_object(body).get("epoch")
    if isinstance(epoch, bool) or not isinstance(epoch, int) or not 0 <= epoch < _MAX_EPOCH:
        return 0
    return epoch


def _rejection(response: Response) -> str:
    """Return status, reason and message in one line, whatever the body is."""
    fields = _decode_object(response.body)
    reason, message = _one_line(fields.get("reason")), _one_line(fields.get("message"))
    if not (reason or message):
        message = _UNEXPLAINED
    said = f"HTTP {response.status}" + (f" {reason}" if reason else "")
    return (f"{said}: {message}" if message else said)[:_MAX_MESSAGE_CHARACTERS]


def _one_line(value: object) -> str:
    """Return a text without control characters and line breaks; what is no text is none."""
    if not isinstance(value, str):
        return ""
    return " ".join("".join(c if c.isprintable() else " " for c in value).split())
