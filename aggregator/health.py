"""`/healthz`, `/readyz` and `/metrics`: is the process alive, may it be sent traffic. Not pure.

Readiness means filled caches, never leadership: a standby is as ready as the leader, or a rollout
would wait for ever.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def health_app(
    checks: Mapping[str, Callable[[], bool]],
    render_metrics: Callable[[str], tuple[bytes, str]] | None = None,
) -> web.Application:
    """Return the application of the health port.

    Args:
        checks: by name, for example "pods synced": whether it is true now. Must not block.
        render_metrics: Accept header -> exposition and content type, called in a thread; None for
            no `/metrics`.
    """

    async def healthz(_request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def readyz(_request: web.Request) -> web.Response:
        missing = [name for name, is_true in checks.items() if not is_true()]
        if missing:
            return web.json_response({"status": "not ready", "missing": missing}, status=503)
        return web.json_response({"status": "ready", "missing": []})

    async def metrics(request: web.Request) -> web.Response:
        assert render_metrics is not None  # noqa: S101 - the route exists only then
        accept = request.headers.get("Accept", "")
        body, content_type = await asyncio.to_thread(render_metrics, accept)
        return web.Response(body=body, headers={"Content-Type": content_type})

    app = web.Application()
    if render_metrics is not None:
        app.router.add_get("/metrics", metrics)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    return app
