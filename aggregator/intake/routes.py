"""`POST /v1/reports`: from an HTTP request to the ledger, and the answer (SPEC 3). Not pure.

The order of the checks is that of their cost: who is it, how often, how much, what does it say.
Nothing that a sender can put into a request is answered with a 500.

| answer | when |
| --- | --- |
| 200 | accepted, or a repetition of what was accepted |
| 400 | malformed; the field is named; final for that body |
| 401, 403 | no valid token; a token of no pod or of another pod than the body says |
| 408, 413, 415 | too slow, too large, not JSON |
| 409 | older than what was accepted; with the accepted epoch |
| 429 | the pod reports too often; Retry-After |
| 503 | the API server cannot be asked, or the pod is not in the cache yet; Retry-After |
| 503 | this aggregator does not lead; Retry-After, and the connection is closed |

A standby does not send agents elsewhere: a bearer token goes to one name only, and behind that name
the next connection finds the leader.

The port has one path, so the handler is given to the server itself, without an application: its
router and its request cost a tenth of what a report costs altogether.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from functools import lru_cache
from math import ceil
from typing import TYPE_CHECKING, assert_never

from aiohttp import hdrs, web

from aggregator.intake.admit import Duplicate, Invalid, Stale, admit
from aggregator.intake.auth import NotAPod
from aggregator.intake.batches import ReportBatch
from aggregator.intake.decode import decode_report
from aggregator.kube.resources import ObjectKey
from aggregator.ledger import Accepted
from aggregator.reviews import Unauthenticated
from aggregator.token_bucket import TokenBuckets
from shared.clock import monotonic_seconds, utc_now
from shared.errors import InvalidInput, TransientError
from shared.protocol.paths import MAX_REPORT_BYTES, REPORTS_PATH
from shared.protocol.report import Answer, Rejection
from shared.protocol.wire import render

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aggregator.intake.auth import PodIdentity
    from aggregator.ledger import Ledger
    from shared.protocol.probes import ProbeList
    from shared.protocol.report import Report

# An agent joins changes within 50 ms and has one request under way, so 20 a second is its utmost.
_REPORTS_PER_SECOND = 20.0
_REPORT_BURST = 40
_RATE_LIMIT_CAPACITY = 50_000
_BODY_SECONDS = 10.0
_RETRY_AFTER_SECONDS = 1.0
_JSON = "application/json"
OUTCOME_ACCEPTED = "Accepted"
OUTCOME_DUPLICATE = "Duplicate"


@dataclass(frozen=True, slots=True)
class IntakePorts:
    """What the intake needs of the rest of the aggregator.

    Attributes:
        authenticate: token -> pod; raises as `TokenAuthenticator` does.
        ledger: where accepted reports go.
        probes_for: the current probe list of a pod with its revision; None while the aggregator
            does not know the pod, which is answered with 503 so that the agent comes again: right
            after a start the caches lag, and a report of a foreign pod must not fill the ledger.
        on_accepted: called with the pod's key (which is also its GameServer's) after a report was
            accepted; `changed` says whether anything but times and counters differs, or the agent
            had been lost.
        heartbeat_seconds: what agents are told.
        monotonic: seconds, for rates and silence.
        leading: whether this aggregator leads at this very moment.
        on_report: called with every accepted report, for whoever keeps a history.
        count: called with how each request ended: `Accepted`, `Duplicate`, or the reason of its
            rejection; a closed set, for the metric.
        batch: where the reports are counted for the log.
    """

    authenticate: Callable[[str], Awaitable[PodIdentity]]
    ledger: Ledger
    probes_for: Callable[[PodIdentity], tuple[str, ProbeList] | None]
    on_accepted: Callable[[ObjectKey, bool], None]
    heartbeat_seconds: float
    monotonic: Callable[[], float] = monotonic_seconds
    leading: Callable[[], bool] = lambda: True
    on_report: Callable[[Report], None] = lambda _report: None
    count: Callable[[str], None] = lambda _outcome: None
    batch: ReportBatch = field(default_factory=ReportBatch)


class _Refused(Exception):  # noqa: N818 - never leaves this module
    """Ends a request with a rejection, and with `hang_up` the connection too."""

    def __init__(
        self,
        status: int,
        rejection: Rejection,
        retry_after_seconds: float | None = None,
        *,
        hang_up: bool = False,
    ) -> None:
        super().__init__(status, rejection.reason)
        self.status = status
        self.rejection = rejection
        self.retry_after_seconds = retry_after_seconds
        self.hang_up = hang_up
        self.sender: ObjectKey | None = None

    def response(self) -> web.Response:
        headers = {}
        if self.retry_after_seconds is not None:
            # Whole seconds are the only number that HTTP knows here.
            headers["Retry-After"] = str(max(1, ceil(self.retry_after_seconds)))
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        response = web.json_response(render(self.rejection), status=self.status, headers=headers)
        if self.hang_up:
            response.force_close()
        return response


class ReportIntake:
    """Handles reports; `handle` is what a server is given."""

    def __init__(self, ports: IntakePorts) -> None:
        self._ports = ports
        self._buckets: TokenBuckets[str] = TokenBuckets(
            _REPORTS_PER_SECOND, _REPORT_BURST, _RATE_LIMIT_CAPACITY
        )

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """Answer one report; nothing else is served on its port."""
        if request.raw_path != REPORTS_PATH or request.method != hdrs.METH_POST:
            _check_route(request)
        try:
            answer = await self._take(request)
        except _Refused as refused:
            self._ports.count(refused.rejection.reason)
            self._ports.batch.add_refused(refused.rejection, refused.sender)
            return refused.response()
        return web.Response(body=answer, content_type=_JSON)

    async def _take(self, request: web.BaseRequest) -> bytes:
        self._check_leading()
        # Nearly every agent writes just this; the property parses what else it may look like.
        if request.headers.get(hdrs.CONTENT_TYPE) != _JSON and request.content_type != _JSON:
            raise _Refused(415, Rejection("UnsupportedMediaType", "send application/json"))
        identity = await self._identify(request)
        try:
            return await self._take_from(identity, request)
        except _Refused as refused:
            refused.sender = _key(identity)
            raise

    async def _take_from(self, identity: PodIdentity, request: web.BaseRequest) -> bytes:
        wait = self._buckets.take(identity.pod_uid, self._ports.monotonic())
        if wait:
            raise _Refused(429, Rejection("TooManyRequests", "this pod reports too often"), wait)
        report = _decode(await _read(request))
        if report.pod_uid != identity.pod_uid:
            message = "the token belongs to another pod"
            raise _Refused(403, Rejection("ForeignPod", message, field="podUid"))
        current = self._ports.probes_for(identity)
        if current is None:
            message = "this pod is not known yet; report again"
            raise _Refused(503, Rejection("UnknownPod", message), _RETRY_AFTER_SECONDS)
        # Once more: the lease may have ended while the token was reviewed or the body came.
        self._check_leading()
        self._admit(identity, report)
        revision, probes = current
        heartbeat_seconds = self._ports.heartbeat_seconds
        if report.probes_revision == revision:
            return _encode_without_probes(revision, heartbeat_seconds)
        return _encode(Answer(revision, heartbeat_seconds, probes))

    def _check_leading(self) -> None:
        if not self._ports.leading():
            rejection = Rejection("NotLeading", "another aggregator leads; connect again")
            raise _Refused(503, rejection, _RETRY_AFTER_SECONDS, hang_up=True)

    async def _identify(self, request: web.BaseRequest) -> PodIdentity:
        scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            message = "send the header Authorization: Bearer <token>"
            raise _Refused(401, Rejection("Unauthenticated", message))
        try:
            return await self._ports.authenticate(token.strip())
        except Unauthenticated as error:
            raise _Refused(401, Rejection(error.reason, error.message)) from error
        except NotAPod as error:
            raise _Refused(403, Rejection(error.reason, error.message)) from error
        except TransientError as error:
            wait = error.retry_after_seconds or _RETRY_AFTER_SECONDS
            rejection = Rejection("Unavailable", "tokens cannot be checked at the moment")
            raise _Refused(503, rejection, wait) from error

    def _admit(self, identity: PodIdentity, report: Report) -> None:
        ledger, now = self._ports.ledger, self._ports.monotonic()
        outcome = admit(ledger.get(identity.pod_uid), report, utc_now())
        match outcome:
            case Accepted():
                self._ports.on_report(outcome.report)
                changed = ledger.accept(outcome, now)
                self._count(OUTCOME_ACCEPTED, identity, changed)
                self._ports.on_accepted(_key(identity), changed)
            case Duplicate():
                # A repetition tells nothing new, except that a lost agent is back.
                returned = ledger.repeat(identity.pod_uid, now)
                self._count(OUTCOME_DUPLICATE, identity, returned)
                if returned:
                    self._ports.on_accepted(_key(identity), True)
            case Stale(accepted_epoch):
                message = "a newer report was accepted"
                raise _Refused(409, Rejection("Stale", message, epoch=accepted_epoch))
            case Invalid(field, message):
                raise _Refused(400, Rejection("Invalid", message, field=field))
            case _:
                assert_never(outcome)

    def _count(self, outcome: str, identity: PodIdentity, changed: bool) -> None:
        self._ports.count(outcome)
        self._ports.batch.add(outcome, identity.pod_uid, changed=changed)


def _key(identity: PodIdentity) -> ObjectKey:
    return ObjectKey(identity.namespace, identity.pod_name)


def _check_route(request: web.BaseRequest) -> None:
    """Return if the request is one for reports after all: `raw_path` has a query, too.

    Raises:
        HTTPNotFound, HTTPMethodNotAllowed: answered by the server.
    """
    if request.path != REPORTS_PATH:
        raise web.HTTPNotFound
    if request.method != hdrs.METH_POST:
        raise web.HTTPMethodNotAllowed(request.method, [hdrs.METH_POST])


@lru_cache(maxsize=256)
def _encode(answer: Answer) -> bytes:
    """Return the JSON of an answer; the agents of one set get the same one again and again."""
    return json.dumps(render(answer), separators=(",", ":")).encode()


@lru_cache(maxsize=256)
def _encode_without_probes(revision: str, heartbeat_seconds: float) -> bytes:
    """Return the JSON of the answer that nearly every report gets."""
    return _encode(Answer(revision, heartbeat_seconds))


async def _read(request: web.BaseRequest) -> bytes:
    """Return the body; a sender that trickles it is cut off."""
    if (request.content_length or 0) > MAX_REPORT_BYTES:
        raise _too_large()
    content = request.content
    try:
        if content.is_eof():
            # It came with the headers, as nearly always: nothing is waited for.
            body = content.read_nowait()
        else:
            body = await _receive(request)
    except TimeoutError as error:
        message = f"the body did not arrive within {_BODY_SECONDS:g} s"
        raise _Refused(408, Rejection("RequestTimeout", message)) from error
    except web.RequestPayloadError as error:
        raise _Refused(400, Rejection("Invalid", "the body cannot be read")) from error
    if len(body) > MAX_REPORT_BYTES:
        raise _too_large()
    return body


async def _receive(request: web.BaseRequest) -> bytes:
    """Return the body that is still on its way, or the beginning of one that is too large.

    NB: the pieces are counted unpacked, so that a small gzip body cannot become a big one.
    """
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
    body = bytearray()
    async with asyncio.timeout(_BODY_SECONDS):
        while len(body) <= MAX_REPORT_BYTES and (piece := await request.content.readany()):
            body += piece
    return bytes(body)


def _too_large() -> _Refused:
    message = f"a report has at most {MAX_REPORT_BYTES} bytes"
    return _Refused(413, Rejection("RequestEntityTooLarge", message))


def _decode(body: bytes) -> Report:
    try:
        return decode_report(body)
    except InvalidInput as error:
        rejection = Rejection("Invalid", error.message, field=error.field or None)
        raise _Refused(400, rejection) from error
