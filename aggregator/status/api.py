"""The status API over HTTP: JSON, read-only, answered from memory (SPEC 9.2). Not pure.

| path | answers |
| --- | --- |
| /v1/gameservers[?namespace=&set=&limit=&continue=] | a part of the servers, as summaries |
| /v1/gameservers/NAMESPACE/NAME | one server: verdicts, runs, actions and why not, transitions |
| /v1/gameserversets[?namespace=&limit=&continue=] | a part of the sets, as summaries |
| /v1/gameserversets/NAMESPACE/NAME | one set: counts, conditions, qualities, its servers |
| /v1/autoscalers/NAMESPACE/NAME | every number of an autoscaler's last decision, and why |

Every error is JSON with `reason` and `message`, and with `field` where a parameter is wrong.
"""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING, Any

from aiohttp import web

from aggregator.kube.resources import ObjectKey
from aggregator.reviews import Unauthenticated
from aggregator.status.access import Forbidden
from aggregator.status.views import Part, politely
from shared.errors import InvalidInput, TransientError
from shared.protocol.report import Rejection
from shared.protocol.wire import render

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aggregator.status.access import StatusAccess
    from aggregator.status.documents import Page
    from aggregator.status.views import StatusViews

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_DEFAULT_LIMIT = 500
_MAX_LIMIT = 1_000
_MAX_PARAMETER = 512
_LIST_PARAMETERS = frozenset({"namespace", "limit", "continue"})


@dataclass(frozen=True, slots=True)
class StatusPorts:
    """What the API needs of the rest of the aggregator.

    Attributes:
        views: builds the answers.
        access: who may read; None where everybody on this machine may (local mode).
        leading: whether this aggregator leads: only the leader has the reports.
        autoscaler: explains the last decision of an autoscaler; None before there was one.
    """

    views: StatusViews
    access: StatusAccess | None
    leading: Callable[[], bool]
    autoscaler: Callable[[ObjectKey], dict[str, Any] | None] = lambda _key: None


def status_app(ports: StatusPorts) -> web.Application:
    """Return the application of the status port."""
    api = _StatusApi(ports)
    app = web.Application(middlewares=[_answer_errors])
    app.router.add_get("/v1/gameservers", api.list_servers)
    app.router.add_get("/v1/gameservers/{namespace}/{name}", api.get_server)
    app.router.add_get("/v1/gameserversets", api.list_sets)
    app.router.add_get("/v1/gameserversets/{namespace}/{name}", api.get_set)
    app.router.add_get("/v1/autoscalers/{namespace}/{name}", api.get_autoscaler)
    return app


class _Refused(Exception):  # noqa: N818 - never leaves this module
    """Ends a request with a rejection."""

    def __init__(
        self, status: int, rejection: Rejection, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(status, rejection.reason)
        self.status = status
        self.rejection = rejection
        self.retry_after_seconds = retry_after_seconds


class _StatusApi:
    def __init__(self, ports: StatusPorts) -> None:
        self._ports = ports

    async def list_servers(self, request: web.Request) -> web.Response:
        part = _part(request, _LIST_PARAMETERS | {"set"})
        await self._admit(request, ObjectKey(part.namespace, ""))
        page = await self._ports.views.servers(part, request.query.get("set", ""))
        return _json(await _render_page(page))

    async def get_server(self, request: web.Request) -> web.Response:
        key = _key(request)
        await self._admit(request, key)
        document = self._ports.views.server(key)
        if document is None:
            raise _not_found("game server", key)
        return _json(_render_document(document))

    async def list_sets(self, request: web.Request) -> web.Response:
        part = _part(request, _LIST_PARAMETERS)
        await self._admit(request, ObjectKey(part.namespace, ""))
        return _json(await _render_page(await self._ports.views.game_server_sets(part)))

    async def get_set(self, request: web.Request) -> web.Response:
        key = _key(request)
        # A set shows all of its servers, so the right to one of them is not enough.
        await self._admit(request, ObjectKey(key.namespace, ""))
        document = await self._ports.views.game_server_set(key)
        if document is None:
            raise _not_found("set", key)
        servers = [render(each) async for each in politely(document.servers)]
        return _json(_render_document(replace(document, servers=())) | {"servers": servers})

    async def get_autoscaler(self, request: web.Request) -> web.Response:
        key = _key(request)
        # It names all servers of its set.
        await self._admit(request, ObjectKey(key.namespace, ""))
        explanation = self._ports.autoscaler(key)
        if explanation is None:
            raise _not_found("autoscaler", key)
        return _json(explanation)

    async def _admit(self, request: web.Request, what: ObjectKey) -> None:
        """Let the request pass, or raise."""
        if self._ports.access is None:
            _check_host(request)
        else:
            await self._ports.access.check(_bearer_token(request), what)
        if not self._ports.leading():
            message = "this aggregator is a standby, and only the leader has the reports; ask again"
            raise _Refused(503, Rejection("NotLeading", message), 1.0)


@web.middleware
async def _answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what handlers raise, and what the router finds wrong, into JSON."""
    headers: dict[str, str] = {}
    try:
        return await handler(request)
    except _Refused as refused:
        status, rejection = refused.status, refused.rejection
        if refused.retry_after_seconds is not None:
            headers["Retry-After"] = str(max(1, ceil(refused.retry_after_seconds)))
    except InvalidInput as error:
        status, rejection = 400, Rejection("Invalid", error.message, field=error.field)
    except Unauthenticated as error:
        status, rejection = 401, Rejection(error.reason, error.message)
        headers["WWW-Authenticate"] = "Bearer"
    except Forbidden as error:
        status, rejection = 403, Rejection(error.reason, error.message)
    except TransientError as error:
        message = "the API server cannot be asked who you are at the moment"
        status, rejection = 503, Rejection("Unavailable", message)
        headers["Retry-After"] = str(max(1, ceil(error.retry_after_seconds or 1.0)))
    except web.HTTPException as error:
        rejection = Rejection(error.reason.replace(" ", ""), f"{request.method} {request.path}")
        status = error.status
        if "Allow" in error.headers:
            headers["Allow"] = error.headers["Allow"]
    return _json(render(rejection), status, headers)


def _json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    # What it says is true for a moment, and only for who asked.
    every = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    return web.Response(
        body=text.encode(errors="replace"),
        status=status,
        content_type="application/json",
        headers=every | (headers or {}),
    )


def _render_document(document: Any) -> dict[str, Any]:
    """Return a document with its summary on the same level."""
    body: dict[str, Any] = render(document)
    summary: dict[str, Any] = body.pop("summary")
    return summary | body


async def _render_page(page: Page) -> dict[str, Any]:
    body: dict[str, Any] = {"items": [render(each) async for each in politely(page.items)]}
    return body | ({"continue": page.next} if page.next is not None else {})


def _bearer_token(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _check_host(request: web.Request) -> None:
    """Refuse names that are not this machine's: a web page could point its own name at loopback."""
    host = request.url.host or ""
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = host == "localhost"
    if not is_loopback:
        raise Forbidden(f"without authentication only localhost is answered, not {host!r}")


def _key(request: web.Request) -> ObjectKey:
    return ObjectKey(request.match_info["namespace"], request.match_info["name"])


def _part(request: web.Request, known: frozenset[str]) -> Part:
    for name, value in request.query.items():
        if name not in known:
            raise InvalidInput(name, f"is no parameter; known are {', '.join(sorted(known))}")
        if len(value) > _MAX_PARAMETER:
            raise InvalidInput(name, f"must have at most {_MAX_PARAMETER} characters")
    after = request.query.get("continue", "")
    if after and "/" not in after:
        raise InvalidInput("continue", "must be what the part before gave as continue")
    return Part(
        namespace=request.query.get("namespace", ""),
        limit=_limit(request.query.get("limit")),
        after=ObjectKey(*after.split("/", 1)) if after else None,
    )


def _limit(text: str | None) -> int:
    if text is None:
        return _DEFAULT_LIMIT
    # NB: int() alone accepts "1_0", blanks and digits of other scripts.
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(_MAX_LIMIT))
    if not (is_number and 1 <= int(text) <= _MAX_LIMIT):
        raise InvalidInput("limit", f"must be a number from 1 to {_MAX_LIMIT}")
    return int(text)


def _not_found(kind: str, key: ObjectKey) -> _Refused:
    return _Refused(404, Rejection("NotFound", f"there is no {kind} {key.name} in {key.namespace}"))
