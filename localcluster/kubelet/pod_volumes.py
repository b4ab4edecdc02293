"""The volumes of one pod: filled before its containers start, and kept like their sources.

Here: folders, files, tokens and claims of a pod. Not here: what is in a volume (volumes.py), how
files change at once (atomic_files.py). Not pure.
Source: Kubernetes documentation, "ConfigMaps", mounted config maps are updated automatically: a
volume follows its sources after a moment, a subPath mount and an environment variable do not.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from localcluster.kubelet import volumes
from localcluster.kubelet.atomic_files import File, write_together
from localcluster.kubelet.claims import bind_claim
from localcluster.kubelet.fields import ConfigurationError, Json
from localcluster.kubelet.tokens import Token, renewal_delay_seconds, request_token
from shared.clock import monotonic_seconds, utc_now
from shared.errors import AppError

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcluster.kubelet.api import ApiClient
    from localcluster.kubelet.events import Record
    from localcluster.kubelet.preparation import Preparation
    from localcluster.kubelet.volumes import TokenFile

_REFRESH_SECONDS = 1.0
_RETRY_SECONDS = 1.0


@dataclass(slots=True)
class _Volume:
    """A volume of files: what is in it, and its tokens with the moment of their renewal."""

    folder: Path
    files: dict[str, File] = field(default_factory=dict)
    tokens: dict[TokenFile, tuple[Token, float]] = field(default_factory=dict)


class PodVolumes:
    """The volumes of one pod.

    Args:
        api: issues tokens, has the claims.
        preparation: returns the pod's facts and folders as they are now.
        claims: holds the folders of the claims.
        record: takes events about the pod.
    """

    def __init__(
        self,
        api: ApiClient,
        preparation: Callable[[], Preparation],
        claims: Path,
        record: Record,
    ) -> None:
        self._api = api
        self._preparation = preparation
        self._claims = claims
        self._record = record
        self._volumes: dict[str, _Volume] = {}

    @property
    def _declared(self) -> list[Json]:
        declared: list[Json] = self._preparation().facts.pod["spec"].get("volumes") or []
        return declared

    async def fill(self, explain: Callable[[str], None]) -> None:
        """Fill the volumes; return once all have their content.

        Args:
            explain: gets each reason why the pod still waits.
        """
        while True:
            filling = ""
            try:
                preparation = self._preparation()
                preparation.folders.pod.mkdir(parents=True, exist_ok=True)
                preparation.write_hosts()
                for volume in self._declared:
                    filling = volume["name"]
                    await self._fill(volume)
            except (AppError, ConfigurationError, OSError) as error:
                said = f'MountVolume.SetUp failed for volume "{filling}" : {_said(error)}'
                self._record("Warning", "FailedMount", said)
                explain(f"volumes: {_said(error)}")
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                return

    async def keep(self) -> None:
        """Let the files follow their sources, for ever; a source that is gone changes nothing."""
        while any(not volumes.is_folder(volume) for volume in self._declared):
            await asyncio.sleep(_REFRESH_SECONDS)
            for volume in self._declared:
                if volumes.is_folder(volume):
                    continue
                try:
                    await self._write(volume)
                except (AppError, ConfigurationError, OSError) as error:
                    said = (
                        f'MountVolume.SetUp failed for volume "{volume["name"]}" : {_said(error)}'
                    )
                    self._record("Warning", "FailedMount", said)

    async def _fill(self, volume: Json) -> None:
        folder = self._preparation().folders.volumes / volume["name"]
        folder.parent.mkdir(parents=True, exist_ok=True)
        if "persistentVolumeClaim" in volume:
            namespace = self._preparation().facts.pod["metadata"]["namespace"]
            name = volume["persistentVolumeClaim"]["claimName"]
            _link(folder, await bind_claim(self._api, namespace, name, self._claims))
        elif "hostPath" in volume:
            _link(folder, _host_path(volume["hostPath"]["path"]))
        else:
            folder.mkdir(exist_ok=True)
            folder.chmod(0o777 if "emptyDir" in volume else 0o755)
            if "emptyDir" not in volume:
                await self._write(volume)

    async def _write(self, volume: Json) -> None:
        """Bring the files of a volume up to date; those that did not change are left alone."""
        preparation = self._preparation()
        name = volume["name"]
        references = await preparation.read(volumes.referenced_names([volume]), _REFRESH_SECONDS)
        content = volumes.plan_files(volume, preparation.facts, references)
        known = self._volumes.setdefault(name, _Volume(preparation.folders.volumes / name))
        for wanted in content.tokens:
            token = await self._token(known, wanted)
            content.files[wanted.path] = token.value.encode()
        files = {
            path: File(text, content.modes.get(path, volumes.DEFAULT_MODE))
            for path, text in content.files.items()
        }
        if files != known.files or not known.files:
            write_together(known.folder, files, preparation.files_group)
            known.files = files

    async def _token(self, known: _Volume, wanted: TokenFile) -> Token:
        held = known.tokens.get(wanted)
        if held is not None and monotonic_seconds() < held[1]:
            return held[0]
        token = await request_token(self._api, self._preparation().facts.pod, wanted)
        renewal = monotonic_seconds() + renewal_delay_seconds(token, utc_now())
        known.tokens[wanted] = (token, renewal)
        return token


def _host_path(path: str) -> Path:
    if not Path(path).exists():
        raise ConfigurationError(f"hostPath {path} does not exist on this machine")
    return Path(path)


def _link(link: Path, target: Path) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(target)


def _said(error: Exception) -> str:
    return error.message if isinstance(error, AppError) else str(error)
