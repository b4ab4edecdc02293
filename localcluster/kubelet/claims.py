"""Persistent volume claims: one folder of this machine per claim, which outlives the pods.

There are no volumes and no storage classes to choose from: the first pod that uses a claim binds
it, as with a local provisioner that waits for the first consumer. The folder is named by the
claim's uid, so that a new claim of an old name begins empty. Not pure.
Source: Kubernetes documentation, "Persistent Volumes", binding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcluster.kubelet.fields import ConfigurationError, Json

if TYPE_CHECKING:
    from pathlib import Path

    from localcluster.kubelet.api import ApiClient


async def bind_claim(api: ApiClient, namespace: str, name: str, root: Path) -> Path:
    """Return the folder of a claim, made on first use, with the claim reported Bound.

    Args:
        api: where the claim is.
        namespace: of the claim and its pods.
        name: of the claim.
        root: holds one folder per claim.

    Raises:
        ConfigurationError: no such claim, or it is being deleted.
        AppError: as ApiClient.
        OSError: the disk.
    """
    path = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{name}"
    claim = await api.get(path)
    if claim is None:
        raise ConfigurationError(f'persistentvolumeclaim "{name}" not found')
    if "deletionTimestamp" in claim["metadata"]:
        raise ConfigurationError(f'persistentvolumeclaim "{name}" is being deleted')
    folder: Path = root / claim["metadata"]["uid"]
    _make(folder)
    if claim.get("status", {}).get("phase") != "Bound":
        await api.patch_status(path, {"status": _bound(claim["spec"])})
    return folder


def _make(folder: Path) -> None:
    if not folder.exists():
        folder.mkdir(parents=True)
        folder.chmod(0o777)  # whoever the containers run as


def _bound(spec: Json) -> Json:
    requests = (spec.get("resources") or {}).get("requests") or {}
    return {
        "phase": "Bound",
        "accessModes": spec.get("accessModes") or [],
        "capacity": {key: value for key, value in requests.items() if key == "storage"},
    }
