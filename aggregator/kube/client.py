"""The transport to a real API server, and where its configuration comes from.

kubernetes_asyncio serves as configuration, authentication, TLS and session; nothing of its typed
models, its Watch or its retries is used. A list of 5,000 pods takes the typed client seconds of a
blocked event loop; raw pages take a fraction of one.
What aiohttp and the operating system raise becomes an error of `errors` here and nowhere else.
NB: kubernetes_asyncio sends the dict of a patch as json-patch unless told otherwise, drops empty
bodies, has no timeouts of its own, and raises nothing on 4xx when the body is not preloaded.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import msgspec
import yaml
from kubernetes_asyncio.client.api_client import ApiClient
from kubernetes_asyncio.client.configuration import Configuration
from kubernetes_asyncio.config import ConfigException, load_incluster_config, load_kube_config

from aggregator.kube.errors import FailedRequest, NotFound, Unavailable, error_from, shorten
from aggregator.kube.transport import PAGE_SIZE, Json, KubeClient, RawList, Selection
from shared.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from aggregator.kube.patch import Patch
    from aggregator.kube.resources import ObjectKey, Resource

# etcd's limit of an object is 1.5 MiB and an event holds one; a longer line is no event.
_MAX_LINE_BYTES = 8 * 2**20
# Creations and deletions run at most 64 at a time (SPEC 6.12), beside watches, patches and events.
_MAX_CONNECTIONS = 200

# As much as the library's own session takes in of a watch before it is read.
_READ_BUFFER_BYTES = 2 * 2**20

_FOREIGN_ERRORS = (aiohttp.ClientError, OSError, ConfigException)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long the API server is waited for; kubernetes_asyncio alone would wait for ever.

    Attributes:
        connect_seconds: for a connection.
        request_seconds: for a whole request; the API server itself gives up after 60 s.
        silence_seconds: for the next byte of a watch. A kube-apiserver sends a bookmark about every
            minute, so a longer silence may be a dead connection.
    """

    connect_seconds: float = 5.0
    request_seconds: float = 30.0
    silence_seconds: float = 90.0

    def of_request(self) -> aiohttp.ClientTimeout:
        """Return the limits of an ordinary request."""
        return aiohttp.ClientTimeout(total=self.request_seconds, sock_connect=self.connect_seconds)

    def of_watch(self) -> aiohttp.ClientTimeout:
        """Return the limits of a watch, which has no end of its own."""
        return aiohttp.ClientTimeout(
            total=None, sock_connect=self.connect_seconds, sock_read=self.silence_seconds
        )


class _ListMeta(msgspec.Struct):
    resource_version: str = msgspec.field(default="", name="resourceVersion")
    continue_token: str = msgspec.field(default="", name="continue")


class _ListBody(msgspec.Struct):
    metadata: _ListMeta
    # Go writes an empty list as null in places.
    items: list[msgspec.Raw] | None = None


_decode_list = msgspec.json.Decoder(_ListBody).decode


@dataclass(frozen=True, slots=True)
class _Request:
    """One request, complete."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: Any = None
    content_type: str = "application/json"
    has_tests: bool = False
    is_watch: bool = False

    @property
    def is_write(self) -> bool:
        return self.method != "GET"


class HttpKubeClient(KubeClient):
    """`KubeClient` over HTTP. Made by `open_kube_client`, which also closes it."""

    def __init__(self, api: ApiClient, timeouts: Timeouts) -> None:
        self._api = api
        self._request_timeout = timeouts.of_request()
        self._watch_timeout = timeouts.of_watch()

    async def server_version(self) -> str:
        """Return the version of the API server, such as "v1.36.0"."""
        return str(_object(await self._exchange(_Request("GET", "/version"))).get("gitVersion", ""))

    async def get(
        self, resource: Resource, key: ObjectKey, subresource: str | None = None
    ) -> Json | None:
        """Return the object, None when it does not exist."""
        request = _Request("GET", resource.path_of(key, subresource))
        try:
            return _object(await self._exchange(request))
        except NotFound:
            return None

    async def list_pages(
        self, selection: Selection, page: int = PAGE_SIZE
    ) -> AsyncGenerator[RawList, None]:
        """Yield a consistent list in pages."""
        path = selection.resource.path(selection.namespace or None)
        query = (*_selector_query(selection), ("limit", str(page)))
        token = ""
        while True:
            more = (("continue", token),) if token else ()
            body = await self._exchange(_Request("GET", path, query + more))
            try:
                part = _decode_list(body)
            except (msgspec.MsgspecError, ValueError) as error:
                raise _unreadable(error) from error
            items = tuple(bytes(item) for item in part.items or ())
            yield RawList(items, part.metadata.resource_version)
            token = part.metadata.continue_token
            if not token:
                return

    async def create(self, resource: Resource, namespace: str, body: Json) -> Json:
        """Create the object and return it as stored."""
        request = _Request("POST", resource.path(namespace or None), body=body)
        return _object(await self._exchange(request))

    async def patch(
        self, resource: Resource, key: ObjectKey, patch: Patch, subresource: str | None = None
    ) -> Json:
        """Change the object and return it as stored."""
        request = _Request(
            "PATCH",
            resource.path_of(key, subresource),
            body=patch.body,
            content_type=patch.content_type,
            has_tests=patch.has_tests,
        )
        return _object(await self._exchange(request))

    async def delete(
        self,
        resource: Resource,
        key: ObjectKey,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> bool:
        """Ask for the deletion; false when the object does not exist."""
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": _present({"uid": uid, "resourceVersion": resource_version}) or None,
        }
        request = _Request("DELETE", resource.path_of(key), body=_present(options))
        try:
            await self._exchange(request)
        except NotFound:
            return False
        return True

    async def watch(
        self, selection: Selection, resource_version: str, timeout_seconds: int
    ) -> AsyncGenerator[bytes, None]:
        """Yield the lines of a watch until the server ends it or falls silent."""
        query = (
            *_selector_query(selection),
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", resource_version),
            ("timeoutSeconds", str(timeout_seconds)),
        )
        path = selection.resource.path(selection.namespace or None)
        request = _Request("GET", path, query, is_watch=True)
        try:
            response = await self._send(request)
            try:
                async for line in _lines(response.content):
                    yield line
            except aiohttp.SocketTimeoutError:
                return
            finally:
                _hang_up(response)
        except _FOREIGN_ERRORS as error:
            raise _network_error(error, request) from error

    async def _exchange(self, request: _Request) -> bytes:
        """Return the body of a successful answer; everything else raises."""
        try:
            response = await self._send(request)
            # NB: after read() the connection is back in the pool, also when reading failed.
            return await response.read()
        except _FOREIGN_ERRORS as error:
            raise _network_error(error, request) from error

    async def _send(self, request: _Request) -> aiohttp.ClientResponse:
        """Return the answer, unread, once its status is known to be good."""
        response: aiohttp.ClientResponse = await self._api.call_api(
            request.path,
            request.method,
            query_params=list(request.query),
            header_params={"Accept": "application/json", "Content-Type": request.content_type},
            body=request.body,
            auth_settings=["BearerToken"],
            _preload_content=False,
            _request_timeout=self._watch_timeout if request.is_watch else self._request_timeout,
        )
        if response.status < 300:
            return response
        raise error_from(
            FailedRequest(
                code=response.status,
                body=await response.read(),
                is_write=request.is_write,
                has_tests=request.has_tests,
                retry_after=response.headers.get("Retry-After"),
            )
        )


def _hang_up(response: aiohttp.ClientResponse) -> None:
    """Close the connection of an answer that has no end; the server would go on writing into it.

    At once: a TLS transport that is closed politely stays open until the server has answered,
    and nobody waits for it.
    """
    connection = response.connection
    if connection is not None and connection.transport is not None:
        connection.transport.abort()
    response.close()


async def _lines(stream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Yield the complete lines of a stream; a last one without a newline was cut off: dropped."""
    rest = bytearray()
    async for chunk in stream.iter_any():
        rest += chunk
        if b"\n" in chunk:
            *complete, tail = bytes(rest).split(b"\n")
            rest = bytearray(tail)
            for line in complete:
                if line.strip():
                    yield line
        if len(rest) > _MAX_LINE_BYTES:
            raise Unavailable("WatchLineTooLong", f"a watch line has over {_MAX_LINE_BYTES} bytes")


def _selector_query(selection: Selection) -> tuple[tuple[str, str], ...]:
    return (("labelSelector", selection.label_selector),) if selection.label_selector else ()


def _present(fields: Json) -> Json:
    return {name: value for name, value in fields.items() if value is not None}


def _object(body: bytes) -> Json:
    try:
        value = json.loads(body)
    except ValueError as error:
        raise _unreadable(error) from error
    if not isinstance(value, dict):
        raise Unavailable("UnreadableAnswer", "the answer is no JSON object", outcome_unknown=True)
    return value


def _unreadable(error: Exception) -> Unavailable:
    message = f"the answer is no JSON of the API server: {shorten(str(error))}"
    return Unavailable("UnreadableAnswer", message, outcome_unknown=True)


def _network_error(error: Exception, request: _Request) -> Unavailable:
    """Return what a failure below HTTP means. asyncio's TimeoutError is an OSError."""
    # A connection that was never made carried no request, so the outcome of a write is known.
    unsent = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, ConfigException)
    unknown = request.is_write and not isinstance(error, unsent)
    reason = "Timeout" if isinstance(error, TimeoutError) else "ConnectionFailed"
    return Unavailable(reason, shorten(str(error) or type(error).__name__), outcome_unknown=unknown)


@asynccontextmanager
async def open_kube_client(
    kubeconfig: str = "", timeouts: Timeouts | None = None
) -> AsyncIterator[HttpKubeClient]:
    """Give a client for the time of the block.

    Args:
        kubeconfig: path of a kubeconfig file; empty for the service account of this pod, whose
            token is read again every minute.
        timeouts: how long the API server is waited for.

    Raises:
        InvalidInput: the configuration cannot be used; says which and what to do.
    """
    configuration = Configuration()
    try:
        if kubeconfig:
            await load_kube_config(kubeconfig, client_configuration=configuration)
        else:
            load_incluster_config(configuration)  # type: ignore[no-untyped-call]
        configuration.connection_pool_maxsize = _MAX_CONNECTIONS
        configuration.proxy = configuration.proxy or _proxy_of(configuration.host or "")
        api = ApiClient(configuration)
    # A kubeconfig that is YAML of another shape fails in the library with the last two.
    except (ConfigException, yaml.YAMLError, OSError, AttributeError, TypeError) as error:
        place = f"the kubeconfig file {kubeconfig!r}" if kubeconfig else "the pod's service account"
        remedy = f"cannot use {place}: {shorten(str(error))}; name a readable kubeconfig file"
        raise InvalidInput("GAMEKEEPER_KUBECONFIG", remedy) from error
    api.user_agent = "gamekeeper-aggregator"
    _use_own_session(api)
    try:
        yield HttpKubeClient(api, timeouts or Timeouts())
    finally:
        await api.close()
        # aiohttp closes TLS transports in callbacks; one turn of the loop lets them run.
        await asyncio.sleep(0)


def _proxy_of(url: str) -> str | None:
    """Return the proxy that the environment names for a URL (HTTPS_PROXY, NO_PROXY)."""
    parts = urlsplit(url)
    if proxy_bypass(parts.hostname or ""):
        return None
    return getproxies().get(parts.scheme)


def _use_own_session(api: ApiClient) -> None:
    """Replace the library's session by one that does not ask the environment at each request.

    That one looks for a proxy and for a .netrc, each in a thread, before every request: an eighth
    of the processor time of a write. An entry of the .netrc for our host would fail every request,
    because it comes beside our token. Cookies mean nothing to an API server.
    """
    former = api.rest_client.pool_manager
    connector = former.connector
    former.detach()
    api.rest_client.pool_manager = aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), read_bufsize=_READ_BUFFER_BYTES
    )
