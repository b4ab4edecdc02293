"""Logs and exec of pods: a proxy to the kubelet of the pod's node.

The bytes are not looked at. WebSocket frames of kubectl go to the kubelet and back as they are,
close codes included; so terminals, resizing and exit codes are between kubectl and the kubelet.

Source: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/ (log, exec)
and KEP-4006 (WebSocket subprotocol v5.channel.k8s.io; v4 is the same without the CLOSE message, so
a v4 client gets along).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web
from yarl import URL

from localcluster.apiserver import errors, pods
from localcluster.apiserver.builtin import NODES
from localcluster.apiserver.objects import dig

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localcluster.apiserver.objects import Object
    from localcluster.apiserver.requests import Target
    from localcluster.apiserver.state import ApiServer

PROTOCOL = "v5.channel.k8s.io"
CLIENT_PROTOCOLS = (PROTOCOL, "v4.channel.k8s.io")
_CONNECT_SECONDS = 5.0
_LOG_OPTIONS = (
    "follow",
    "previous",
    "tailLines",
    "timestamps",
    "sinceSeconds",
    "sinceTime",
    "limitBytes",
)
_EXEC_OPTIONS = ("stdin", "stdout", "stderr", "tty")


class Streams:
    """The proxy.

    Args:
        server: where pods and nodes are looked up.
        session: connects to kubelets.
    """

    def __init__(self, server: ApiServer, session: aiohttp.ClientSession) -> None:
        self._server = server
        self._session = session
        self._open: set[web.WebSocketResponse] = set()

    async def close(self) -> None:
        """End every open exec; the server is stopping."""
        for client in tuple(self._open):
            await client.close(code=aiohttp.WSCloseCode.GOING_AWAY)

    async def logs(self, request: web.Request, target: Target) -> web.StreamResponse:
        """Answer `GET .../pods/NAME/log` with the kubelet's answer, as it comes.

        Raises:
            ApiError: 400 for an unknown container, or none where there are several, 422 for a
                number of lines or bytes that is none, 503 when the kubelet is away.
        """
        if request.method != "GET":
            raise errors.method_not_allowed()
        _check_log_options(request.query, target.name)
        pod = self._server.verbs.get(target.resource, (target.namespace, target.name)).object
        query = [(name, request.query[name]) for name in _LOG_OPTIONS if name in request.query]
        if not pod["spec"].get("nodeName"):
            # Nothing runs yet, so nothing was said yet.
            _container(pod, request)
            return web.Response(status=204)
        url = self._url("containerLogs", pod, request).with_query(query)
        try:
            upstream = await self._session.get(url, headers=self._headers())
        except aiohttp.ClientConnectionError as error:
            raise errors.unavailable(f"the kubelet at {url.origin()} is away: {error}") from error
        async with upstream:
            return await _forward_body(request, upstream)

    async def execute(self, request: web.Request, target: Target) -> web.StreamResponse:
        """Answer `.../pods/NAME/exec` by joining two WebSockets.

        Raises:
            ApiError: as `logs`; 400 for a client that does not speak WebSocket.
        """
        pod = self._server.verbs.get(target.resource, (target.namespace, target.name)).object
        if not request.query.getall("command", []):
            raise errors.bad_request("you must specify at least 1 command for the container")
        client = web.WebSocketResponse(
            protocols=CLIENT_PROTOCOLS, max_msg_size=0, autoping=True, autoclose=False
        )
        offered = request.headers.get("Sec-WebSocket-Protocol", "")
        if not client.can_prepare(request).ok or not any(p in offered for p in CLIENT_PROTOCOLS):
            # kubectl tries its former protocol when the first one fails, and shows this answer.
            _check_running(pod, _container(pod, request))
            raise errors.bad_request(f"exec needs a WebSocket with subprotocol {PROTOCOL}")
        query = [("command", word) for word in request.query.getall("command")]
        query += [(name, request.query[name]) for name in _EXEC_OPTIONS if name in request.query]
        url = self._url("exec", pod, request).with_query(query)
        try:
            kubelet = await self._session.ws_connect(
                url, protocols=(PROTOCOL,), headers=self._headers(), max_msg_size=0, autoclose=False
            )
        except aiohttp.ClientError as error:
            raise errors.unavailable(f"the kubelet at {url.origin()} refused: {error}") from error
        async with kubelet:
            await client.prepare(request)
            self._open.add(client)
            try:
                await _join(client, kubelet)
            finally:
                self._open.discard(client)
        return client

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._server.kubelet_token}"}

    def _url(self, verb: str, pod: Object, request: web.Request) -> URL:
        """Return the kubelet's URL for a container of a pod."""
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        container = _container(pod, request)
        node_name = pod["spec"].get("nodeName")
        if not node_name:
            raise errors.bad_request(f"pod {name} does not have a host assigned")
        node = self._server.verbs.store.get(NODES, ("", node_name))
        if node is None:
            raise errors.not_found("", "nodes", node_name)
        addresses = dig(node.object, "status", "addresses") or []
        host = next((a["address"] for a in addresses if a.get("type") == "InternalIP"), None)
        port = dig(node.object, "status", "daemonEndpoints", "kubeletEndpoint", "Port")
        if not host or not port:
            why = "has no InternalIP or no daemonEndpoints.kubeletEndpoint.Port in its status"
            raise errors.unavailable(f"node {node_name} {why}")
        path = f"/{verb}/{namespace}/{name}/{container}"
        return URL.build(scheme="http", host=host, port=int(port), path=path)


def session() -> aiohttp.ClientSession:
    """Return a session for kubelets: a bound on connecting, none on how long a stream may last."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS)
    # A followed log and an open terminal each hold a connection: no limit may starve the next.
    return aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0))


def _check_log_options(query: Mapping[str, str], name: str) -> None:
    # Source: k8s.io/kubernetes pkg/apis/core/validation/validation.go (ValidatePodLogOptions)
    causes = []
    for option, least in (("tailLines", 0), ("limitBytes", 1), ("sinceSeconds", 1)):
        given = query.get(option, "")
        try:
            number = int(given or least)
        except ValueError as error:
            raise errors.bad_request(f"{option}: {given!r} is not a whole number") from error
        if number < least:
            why = f"must be greater than or equal to {least}"
            causes.append(errors.invalid_value(option, number, why))
    if causes:
        raise errors.invalid("", "PodLogOptions", name, causes)


def _container(pod: Object, request: web.Request) -> str:
    """Return the container that a request names, or the only one.

    NB: the annotation of a default container is for kubectl, which asks for it by name.
    """
    name, known = pod["metadata"]["name"], pods.container_names(pod)
    container = request.query.get("container", "")
    if not container:
        own = [each["name"] for each in pod["spec"]["containers"]]
        if len(own) > 1:
            choices = " ".join(known)
            raise errors.bad_request(
                f"a container name must be specified for pod {name}, choose one of: [{choices}]"
            )
        (container,) = own
    if container not in known:
        raise errors.bad_request(f"container {container} is not valid for pod {name}")
    return container


def _check_running(pod: Object, container: str) -> None:
    statuses = [
        each
        for kind in ("containerStatuses", "initContainerStatuses")
        for each in dig(pod, "status", kind) or []
    ]
    if not any(each["name"] == container and "running" in each["state"] for each in statuses):
        name = pod["metadata"]["name"]
        raise errors.bad_request(f"container {container} in pod {name} is not running")


async def _forward_body(
    request: web.Request, upstream: aiohttp.ClientResponse
) -> web.StreamResponse:
    if upstream.status != 200:
        text = (await upstream.text())[:256].strip()
        reason = "NotFound" if upstream.status == 404 else "BadRequest"
        raise errors.ApiError(upstream.status, reason, text)
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    await response.prepare(request)
    try:
        async for chunk in upstream.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
    except (ConnectionResetError, aiohttp.ClientError):
        # Ctrl-C in `kubectl logs -f`, or the kubelet ended: the log is over either way.
        return response
    return response


async def _join(client: web.WebSocketResponse, kubelet: aiohttp.ClientWebSocketResponse) -> None:
    """Pass messages both ways until one side closes; the other then gets the same close code."""
    async with asyncio.TaskGroup() as group:
        to_kubelet = group.create_task(_pass_on(client, kubelet))
        await _pass_on(kubelet, client)
        # The kubelet speaks last: it sends the exit status and closes.
        to_kubelet.cancel()


async def _pass_on(
    source: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
    sink: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
) -> None:
    code, reason = aiohttp.WSCloseCode.GOING_AWAY.value, b""
    try:
        while True:
            message = await source.receive()
            if message.type is aiohttp.WSMsgType.BINARY:
                await sink.send_bytes(message.data)
            elif message.type is aiohttp.WSMsgType.TEXT:
                await sink.send_str(message.data)
            else:
                if message.type is aiohttp.WSMsgType.CLOSE:
                    # A close frame may come without a code.
                    code = message.data or aiohttp.WSCloseCode.OK.value
                    reason = (message.extra or "").encode()
                break
    except ConnectionResetError:
        # One of the two is gone; closing tells the other.
        pass
    await sink.close(code=code, message=reason)
