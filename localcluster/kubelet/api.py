"""A thin client of the Kubernetes API: JSON in, JSON out, lists with watches.

Here: requests, the mapping of failures to shared/errors.py, list + watch with resume. Not here:
what is written (node.py, pod_worker.py). Not pure.
Source: Kubernetes documentation, "API Concepts": efficient detection of changes.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import aiohttp

from shared.clock import monotonic_seconds
from shared.errors import AppError, TerminalError, TransientError

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable

    from localcluster.kubelet.fields import Json

_REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=30)
_WATCH_SECONDS = 300
_LONGEST_BODY_IN_MESSAGE = 256
_RETRY_SECONDS = 0.5
_LARGEST_EVENT = 8 << 20
_GONE = "Expired"


@dataclass(frozen=True, slots=True)
class Change:
    """One object as a list or a watch shows it; `gone` is the last state of a deleted one."""

    item: Json
    gone: bool


class ApiClient:
    """One API server.

    Args:
        session: an open aiohttp session with the bearer token among its headers.
        server: base URL without a slash at the end.
        tls: verifies the server; None for plain HTTP.
    """

    def __init__(
        self, session: aiohttp.ClientSession, server: str, tls: ssl.SSLContext | None
    ) -> None:
        self._session = session
        self._server = server
        self._tls: ssl.SSLContext | bool = True if tls is None else tls

    async def get(self, path: str) -> Json | None:
        """Return the object at `path`; None if it does not exist."""
        try:
            return await self._request("GET", path)
        except TerminalError as error:
            if error.reason == "NotFound":
                return None
            raise

    async def create(self, path: str, body: Json) -> Json:
        """Create an object in the collection, or post to the subresource, at `path`."""
        return await self._request("POST", path, body)

    async def patch_status(self, path: str, body: Json) -> Json:
        """Merge `body` into the status of the object at `path` (strategic: conditions by type)."""
        media = "application/strategic-merge-patch+json"
        return await self._request("PATCH", f"{path}/status", body, media)

    async def merge(self, path: str, body: Json) -> Json:
        """Merge `body` into the object at `path`."""
        return await self._request("PATCH", path, body, "application/merge-patch+json")

    async def delete_now(self, path: str, uid: str) -> None:
        """Delete the object with this uid without a grace period; an absent one is success."""
        body: Json = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "gracePeriodSeconds": 0,
            "preconditions": {"uid": uid},
        }
        try:
            await self._request("DELETE", path, body)
        except TerminalError as error:
            if error.reason not in ("NotFound", "Conflict"):
                raise

    async def follow(
        self,
        path: str,
        on_list: Callable[[list[Json]], Awaitable[None]],
        on_change: Callable[[Change], Awaitable[None]],
        on_failure: Callable[[AppError], None],
        field_selector: str = "",
    ) -> None:
        """List a collection, then watch it, for ever; list again when the watch is too old.

        Args:
            path: of the collection.
            on_list: gets every complete list.
            on_change: gets every later change.
            on_failure: gets each failure before the pause that follows it.
            field_selector: for example `metadata.name=x`; empty for all.
        """
        version = ""
        selector = urlencode({"fieldSelector": field_selector}) if field_selector else ""
        while True:
            try:
                if not version:
                    listed = await self._request("GET", f"{path}?{selector}")
                    version = listed["metadata"]["resourceVersion"]
                    await on_list(listed["items"])
                began = monotonic_seconds()
                async for kind, item in self._watch(f"{path}?{selector}&", version):
                    version = item["metadata"]["resourceVersion"]
                    if kind != "BOOKMARK":
                        await on_change(Change(item, gone=kind == "DELETED"))
                if monotonic_seconds() - began < _RETRY_SECONDS:
                    # A server that ends every watch at once must not be asked in a busy loop.
                    await asyncio.sleep(_RETRY_SECONDS)
            except AppError as error:
                if error.reason in (_GONE, "Gone"):
                    version = ""
                    continue
                on_failure(error)
                await asyncio.sleep(_RETRY_SECONDS)

    async def _watch(self, path: str, version: str) -> AsyncIterator[tuple[str, Json]]:
        """Yield the events after `version`; `path` ends where further parameters may follow."""
        query = f"watch=1&resourceVersion={version}&allowWatchBookmarks=true"
        url = f"{self._server}{path}{query}&timeoutSeconds={_WATCH_SECONDS}"
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=_WATCH_SECONDS + 30)
        try:
            async with self._session.get(
                url, ssl=self._tls, timeout=timeout, read_bufsize=_LARGEST_EVENT
            ) as response:
                await _check(response)
                async for line in response.content:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise _failure(int(event["object"].get("code", 500)), event["object"])
                    yield event["type"], event["object"]
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise TransientError("ApiServerUnavailable", f"watch {path}: {error!r}") from error

    async def _request(
        self, method: str, path: str, body: Json | None = None, media: str = "application/json"
    ) -> Json:
        content = None if body is None else json.dumps(body).encode()
        headers = {} if content is None else {"Content-Type": media}
        try:
            async with self._session.request(
                method,
                self._server + path,
                data=content,
                headers=headers,
                ssl=self._tls,
                timeout=_REQUEST_TIMEOUT,
            ) as response:
                await _check(response)
                answer: Json = await response.json()
                return answer
        except (aiohttp.ClientError, TimeoutError) as error:
            raise TransientError("ApiServerUnavailable", f"{method} {path}: {error!r}") from error


async def _check(response: aiohttp.ClientResponse) -> None:
    if response.status < 400:
        return
    text = await response.text()
    try:
        status = json.loads(text)
    except ValueError:
        status = {}
    if not isinstance(status, dict):
        status = {}
    raise _failure(response.status, {"message": text[:_LONGEST_BODY_IN_MESSAGE], **status})


def _failure(code: int, status: Json) -> AppError:
    reason = status.get("reason") or f"Http{code}"
    message = str(status.get("message", ""))[:_LONGEST_BODY_IN_MESSAGE]
    if code == 410:
        return TerminalError(_GONE, message)
    if code in (408, 429) or code >= 500:
        seconds = (status.get("details") or {}).get("retryAfterSeconds")
        return TransientError(reason, message, seconds)
    return TerminalError(reason, message)
