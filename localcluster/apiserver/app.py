"""The HTTP application: discovery, and the way through the middlewares to the handlers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from localcluster.apiserver import discovery, errors, openapi, responses
from localcluster.apiserver.control import Control
from localcluster.apiserver.handlers import Handlers
from localcluster.apiserver.middlewares import BODY_BYTES, HEALTH_PATHS, middlewares
from localcluster.apiserver.objects import Object, encode
from localcluster.apiserver.streams import Streams, session

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from localcluster.apiserver.state import ApiServer

_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


def make_app(server: ApiServer) -> web.Application:
    """Return the application that serves `server`."""
    app = web.Application(middlewares=middlewares(server), client_max_size=BODY_BYTES)

    async def serve_resources(app: web.Application) -> AsyncIterator[None]:
        async with session() as kubelets:
            streams = Streams(server, kubelets)
            app[_HANDLERS] = Handlers(server, streams)
            app.on_shutdown.append(lambda _: streams.close())
            yield

    async def close_watches(_app: web.Application) -> None:
        for watch in tuple(server.watches):
            watch.close()

    app.on_shutdown.append(close_watches)
    app.cleanup_ctx.append(serve_resources)
    if server.control:
        Control(server.injection, server.authorizer).add_routes(app.router)
    _add_routes(app, _Documents(server))
    return app


_HANDLERS: web.AppKey[Handlers] = web.AppKey("handlers", Handlers)


def _add_routes(app: web.Application, documents: _Documents) -> None:
    for path in HEALTH_PATHS:
        app.router.add_get(path, _healthy)
    app.router.add_get("/version", documents.version)
    app.router.add_get("/openapi/v2", documents.openapi_v2)
    app.router.add_get("/openapi/v3", documents.openapi_index)
    app.router.add_get("/openapi/v3/{path:.+}", documents.openapi)
    app.router.add_get("/api", documents.core)
    app.router.add_get("/apis", documents.groups)
    app.router.add_get("/api/{version}", documents.resources)
    app.router.add_get("/apis/{group}", documents.group)
    app.router.add_get("/apis/{group}/{version}", documents.resources)
    app.router.add_route("*", "/{path:.*}", _dispatch)


async def _healthy(_request: web.Request) -> web.Response:
    return web.Response(text="ok")


async def _dispatch(request: web.Request) -> web.StreamResponse:
    if not request.path.startswith(("/api/", "/apis/")):
        raise errors.no_such_path()
    return await request.app[_HANDLERS].dispatch(request)


class _Documents:
    """The paths that describe the server."""

    def __init__(self, server: ApiServer) -> None:
        self._registry = server.registry
        self._openapi = openapi.Documents(server.registry)

    async def version(self, _request: web.Request) -> web.Response:
        return responses.json_object(discovery.version_info())

    async def openapi_index(self, _request: web.Request) -> web.Response:
        return responses.json_object(self._openapi.index())

    async def openapi_v2(self, request: web.Request) -> web.Response:
        if openapi.V2_PROTOBUF_ASKED in request.headers.get("Accept", ""):
            body = openapi.outline_v2_protobuf()
            return web.Response(body=body, content_type=openapi.V2_PROTOBUF)
        return responses.json_object(openapi.outline_v2(self._registry))

    async def openapi(self, request: web.Request) -> web.Response:
        parts = request.match_info["path"].split("/")
        if parts[0] == "api" and len(parts) == 2:
            document = self._openapi.encoded("", parts[1])
        elif parts[0] == "apis" and len(parts) == 3:
            document = self._openapi.encoded(parts[1], parts[2])
        else:
            raise errors.no_such_path()
        return responses.json_bytes(document)

    async def core(self, request: web.Request) -> web.Response:
        if _wants_aggregated(request):
            return _aggregated(discovery.aggregated(self._registry, core=True))
        return responses.json_object(discovery.core_versions(request.host))

    async def groups(self, request: web.Request) -> web.Response:
        if _wants_aggregated(request):
            return _aggregated(discovery.aggregated(self._registry, core=False))
        return responses.json_object(discovery.group_list(self._registry))

    async def group(self, request: web.Request) -> web.Response:
        return responses.json_object(discovery.group(self._registry, request.match_info["group"]))

    async def resources(self, request: web.Request) -> web.Response:
        group, version = request.match_info.get("group", ""), request.match_info["version"]
        return responses.json_object(discovery.resource_list(self._registry, group, version))


def _wants_aggregated(request: web.Request) -> bool:
    first = request.headers.get("Accept", "").partition(",")[0].replace(" ", "").split(";")
    return "as=APIGroupDiscoveryList" in first and "v=v2" in first


def _aggregated(document: Object) -> web.Response:
    return web.Response(body=encode(document), headers={"Content-Type": _AGGREGATED})
