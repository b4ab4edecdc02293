"""What every request passes before its handler: refusals, who asks, whether they may, faults.

Source: https://kubernetes.io/docs/concepts/security/controlling-access/
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from localcluster.apiserver import errors, responses
from localcluster.apiserver.attributes import Attributes, parse_attributes
from localcluster.apiserver.authentication import User
from localcluster.apiserver.impersonation import impersonated

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp.typedefs import Middleware

    from localcluster.apiserver.state import ApiServer

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

USER = web.RequestKey("user", User)
"""Key of the authenticated User in a request."""
ATTRIBUTES = web.RequestKey("attributes", Attributes)
"""Key of what a request is about."""
HEALTH_PATHS = frozenset({"/healthz", "/readyz", "/livez"})
CONTROL_PATH = "/control"
# etcd refuses objects above 1.5 MiB and the real server bodies above 3 MiB.
BODY_BYTES = 3 * 1024 * 1024


def middlewares(server: ApiServer) -> tuple[Middleware, ...]:
    """Return the middlewares of a server, the outermost first."""
    return (_refusals, _authentication(server), _authorization(server), _faults(server))


@web.middleware
async def _refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn refusals into Status objects."""
    try:
        return await handler(request)
    except errors.ApiError as error:
        return responses.failure(error)
    except web.HTTPRequestEntityTooLarge:
        message = f"the body of the request is larger than {BODY_BYTES} bytes"
        return responses.failure(errors.ApiError(413, "RequestEntityTooLarge", message))
    except web.HTTPMethodNotAllowed:
        return responses.failure(errors.method_not_allowed())


def _authentication(server: ApiServer) -> Middleware:
    @web.middleware
    async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in HEALTH_PATHS:
            scheme, _, token = request.headers.get("Authorization", "").partition(" ")
            user: User | None = None
            if scheme.lower() == "bearer":
                user = server.authenticator.user(token.strip())
            if user is None:
                raise errors.unauthorized()
            request[USER] = impersonated(user, request.headers, server.authorizer)
            request[ATTRIBUTES] = parse_attributes(request.method, request.path, request.query)
        return await handler(request)

    return authenticate


def _passes(request: web.Request) -> bool:
    """Return whether a request is judged like others: health and control are not."""
    return request.path not in HEALTH_PATHS and not request.path.startswith(f"{CONTROL_PATH}/")


def _authorization(server: ApiServer) -> Middleware:
    @web.middleware
    async def authorize(request: web.Request, handler: Handler) -> web.StreamResponse:
        if _passes(request):
            server.authorizer.authorize(request[USER], request[ATTRIBUTES])
        return await handler(request)

    return authorize


def _faults(server: ApiServer) -> Middleware:
    @web.middleware
    async def inject(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not _passes(request):
            return await handler(request)
        user, attributes = request[USER].name, request[ATTRIBUTES]
        return await server.injection.serve(request, handler, user, attributes)

    return inject
