"""Config maps and secrets as pods see them: read through, and shared for a moment.

Fifty game servers of one set show the same config map; each object is read once per moment however
many pods ask, so the files in their volumes stay fresh at the cost of one request. Not pure.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING

from localcluster.kubelet.fields import Json, References
from shared.clock import monotonic_seconds

if TYPE_CHECKING:
    from localcluster.kubelet.api import ApiClient

_MOST_OBJECTS = 1000


class ReferenceReader:
    """Reads the objects that pods refer to.

    Args:
        api: where they are.
    """

    def __init__(self, api: ApiClient) -> None:
        self._api = api
        self._known: OrderedDict[str, tuple[float, Json | None]] = OrderedDict()
        self._reading: OrderedDict[str, asyncio.Lock] = OrderedDict()

    async def read(
        self, namespace: str, names: tuple[set[str], set[str]], age_seconds: float = 0.0
    ) -> References:
        """Return the config maps and secrets with these names; None for one that is not there.

        Args:
            namespace: of the objects.
            names: of the config maps, and of the secrets.
            age_seconds: how old an answer may be.

        Raises:
            AppError: as ApiClient.
        """
        base = f"/api/v1/namespaces/{namespace}"
        config_maps, secret_names = names
        return References(
            {n: await self._get(f"{base}/configmaps/{n}", age_seconds) for n in config_maps},
            {n: await self._get(f"{base}/secrets/{n}", age_seconds) for n in secret_names},
        )

    async def _get(self, path: str, age_seconds: float) -> Json | None:
        lock = self._reading.setdefault(path, asyncio.Lock())
        for recent in (self._known, self._reading):
            if len(recent) > _MOST_OBJECTS:
                recent.popitem(last=False)
        async with lock:
            known = self._known.get(path)
            if known is not None and monotonic_seconds() - known[0] < age_seconds:
                return known[1]
            asked = monotonic_seconds()
            found = await self._api.get(path)
            self._known[path] = (asked, found)
            return found
