"""Carries reports to the aggregator and its answers back: one thread, one request at a time.

Not here: when to send (outbox.py) and what a report says (reporting.py). A thread, because name
resolution and TLS handshakes block, and probes must go on whatever happens; it shares nothing but
two queues.
"""

from __future__ import annotations

import json
import queue
import ssl
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.http_client import Connection, ExchangeError, Response
from agent.outbox import Accepted, Event, Failed, Refused, Superseded
from shared.errors import InvalidInput
from shared.protocol.paths import REPORTS_PATH
from shared.protocol.report import Answer, parse_answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.address import BaseUrl

REQUEST_TIMEOUT_SECONDS = 10.0
_MAX_MESSAGE_CHARACTERS = 256


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
        urls: base URLs, tried in turn, the one that last answered first.
        token_file: read for every request, because kubelet rotates it.
        ca_file: what the server's certificate must chain to; its name must fit the URL.
        wake: called from the thread when `take` has something; must be safe to call there.

    Raises:
        OSError: the CA file cannot be read (ssl.SSLError: or holds no certificate).
    """

    def __init__(
        self, urls: tuple[BaseUrl, ...], token_file: str, ca_file: str, wake: Callable[[], None]
    ) -> None:
        self._token_file = token_file
        self._ca_file = ca_file
        self._urls = urls
        self._first = 0
        self._wake = wake
        self._connections = self._open_connections()
        self._orders: queue.SimpleQueue[_Order] = queue.SimpleQueue()
        self._deliveries: queue.SimpleQueue[Delivery] = queue.SimpleQueue()
        # A daemon thread: a name resolution that hangs must not keep the agent from ending.
        threading.Thread(target=self._work, name="sender", daemon=True).start()

    def submit(self, body: bytes, timeout_seconds: float = REQUEST_TIMEOUT_SECONDS) -> None:
        """Send this body next; its delivery can be taken later."""
        self._orders.put(_Order(body, timeout_seconds))

    def take(self) -> Delivery | None:
        """Return the next delivery, None when there is none yet."""
        try:
            return self._deliveries.get_nowait()
        except queue.Empty:
            return None

    def _open_connections(self) -> list[Connection]:
        context = None
        if self._ca_file:
            context = ssl.create_default_context(cafile=self._ca_file)
        return [Connection(url, context) for url in self._urls]

    def _work(self) -> None:
        while True:
            order = self._orders.get()
            self._deliveries.put(self._deliver(order))
            self._wake()

    def _deliver(self, order: _Order) -> Delivery:
        try:
            headers = self._headers()
        except OSError as unreadable:
            message = f"{self._token_file}: {unreadable.strerror}"
            return Delivery(Failed(), self._urls[self._first].text, error=message)
        error = ""
        for offset in range(len(self._urls)):
            index = (self._first + offset) % len(self._urls)
            try:
                response = self._connections[index].post(
                    REPORTS_PATH, headers, order.body, order.timeout_seconds
                )
            except ExchangeError as failure:
                error = str(failure)
                continue
            # A standby answers 503: the other name may lead to the leader.
            self._first = (index + 1) % len(self._urls) if response.status == 503 else index
            return read_response(response, self._urls[index].text)
        self._refresh_trust()
        return Delivery(Failed(), self._urls[index].text, error=error)

    def _headers(self) -> dict[str, str]:
        with open(self._token_file, encoding="ascii", errors="replace") as file:
            token = "".join(file.read().split())  # nothing that could end the header
        return {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def _refresh_trust(self) -> None:
        """Read the CA file again for the next connections: the aggregator rotates its CA."""
        try:
            connections = self._open_connections()
        except OSError:
            return  # being replaced at this moment; the old bundle serves meanwhile
        for connection in self._connections:
            connection.close()
        self._connections = connections


def read_response(response: Response, url: str) -> Delivery:
    """Return what a response means. Pure.

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
            event = Failed(_retry_after(response.headers.get("retry-after", "")))
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
    return epoch if isinstance(epoch, int) and not isinstance(epoch, bool) else 0


def _rejection(response: Response) -> str:
    fields = _decode_object(response.body)
    reason, message = fields.get("reason", ""), fields.get("message", "")
    return f"HTTP {response.status} {reason}: {message}"[:_MAX_MESSAGE_CHARACTERS]


def _retry_after(value: str) -> float | None:
    # Retry-After may also be a date (RFC 9110, 10.2.3); our aggregator sends seconds, and a proxy's
    # date is covered by the backoff.
    return float(value) if value.isdecimal() else None
