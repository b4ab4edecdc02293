"""Writes a pod's status to the API whenever it differs from the last one written. Not pure.

Not here: what the status says (status.py). The uid in each body makes it a conflict if another pod
has the name by now.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import structlog

from shared.errors import AppError, TerminalError, TransientError

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcluster.kubelet.api import ApiClient
    from localcluster.kubelet.fields import Json

_RETRY_SECONDS = 1.0

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class PodReport:
    """Reports one pod.

    Args:
        api: where.
        path: of the pod in the API.
        uid: of the pod.
        status: returns the whole status as it is now.
    """

    def __init__(self, api: ApiClient, path: str, uid: str, status: Callable[[], Json]) -> None:
        self._api = api
        self._path = path
        self._uid = uid
        self._status = status
        self._changed = asyncio.Event()
        self._written: Json | None = None

    def changed(self) -> None:
        """Let `run` look at the status again."""
        self._changed.set()

    def compare(self, shown: Json) -> None:
        """Report again if the API shows another readiness than the one written.

        The API server marks the pods of a node that was silent; the kubelet knows better.
        """
        if self._written is not None and _readiness(shown) != _readiness(self._written):
            self._written = None
        self._changed.set()

    async def run(self) -> None:
        """Report for ever."""
        while True:
            self._changed.clear()
            status = self._status()
            if status != self._written:
                try:
                    await self._write(status)
                except TransientError as error:
                    _warn(error)
                    await asyncio.sleep(error.retry_after_seconds or _RETRY_SECONDS)
                    continue
                except TerminalError as error:
                    _warn(error)
                self._written = status
            await self._changed.wait()

    async def finish(self) -> None:
        """Report once more and delete the object: nothing of the pod is left."""
        while True:
            try:
                with contextlib.suppress(TerminalError):
                    await self._write(self._status())
                await self._api.delete_now(self._path, self._uid)
            except TransientError as error:
                _warn(error)
                await asyncio.sleep(error.retry_after_seconds or _RETRY_SECONDS)
            else:
                return

    async def _write(self, status: Json) -> None:
        await self._api.patch_status(self._path, {"metadata": {"uid": self._uid}, "status": status})


def _readiness(status: Json) -> str | None:
    conditions = status.get("conditions") or []
    return next((c["status"] for c in conditions if c["type"] == "Ready"), None)


def _warn(error: AppError) -> None:
    log.warning("api request failed", reason=error.reason, message=error.message)
