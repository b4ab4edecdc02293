"""`/healthz` and `/readyz`: is the process alive, and may it be sent traffic. Not pure.

Readiness means filled caches, never leadership: a standby is as ready as the leader, or a rollout
would wait for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def health_app(checks: Mapping[str, Callable[[], bool]]) -> web.Application:
    """Return the application of the health port.

    Args:
        checks: by name, for example "pods synced": whether it is true now. Must not block.
    """

    async def healthz(_request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def readyz(_request: web.Request) -> web.Response:
        missing = [name for name, is_true in checks.items() if not is_true()]
        if missing:
            return web.json_response({"status": "not ready", "missing": missing}, status=503)
        return web.json_response({"status": "ready", "missing": []})

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    return app
