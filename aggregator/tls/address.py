"""Under which names and URLs agents reach the report endpoint: those of its Service.

The name comes first, the ClusterIP is the way for pods that cannot resolve names of the cluster,
as pods on the host's network often cannot. Not pure: the Service is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aggregator.kube.resources import SERVICES, ObjectKey

if TYPE_CHECKING:
    from aggregator.kube.transport import KubeClient


@dataclass(frozen=True, slots=True)
class ReportAddress:
    """Where agents report to.

    Attributes:
        names: DNS names and IP addresses that the certificate must be for.
        urls: in the order in which agents try them.
    """

    names: frozenset[str]
    urls: tuple[str, ...]


class ReportService:
    """The Service in front of the report port.

    Args:
        client: the API server.
        key: of the Service.
    """

    def __init__(self, client: KubeClient, key: ObjectKey) -> None:
        self._client = client
        self._key = key
        self._last: ReportAddress | None = None

    async def address(self) -> ReportAddress:
        """Return what the Service says now.

        Raises:
            AppError: the API server could not be asked.
        """
        body = await self._client.get(SERVICES, self._key)
        self._last = read_address(self._key, body)
        return self._last

    @property
    def last(self) -> ReportAddress:
        """What it said when it was asked last; the names alone before."""
        return self._last or read_address(self._key, None)

    async def names(self) -> frozenset[str]:
        """Return the names of `address`."""
        return (await self.address()).names


def read_address(key: ObjectKey, body: dict[str, Any] | None) -> ReportAddress:
    """Return what a Service says; without it (None) the names that it would have. Pure."""
    spec = (body or {}).get("spec") or {}
    port = next((entry["port"] for entry in spec.get("ports") or ()), 443)
    addresses = [each for each in _cluster_addresses(spec) if each not in ("", "None")]
    hosts = [_host(key), *(f"[{each}]" if ":" in each else each for each in addresses)]
    urls = tuple(f"https://{each}:{port}" for each in hosts)
    return ReportAddress(dns_names(key).union(addresses), urls)


def dns_names(key: ObjectKey) -> frozenset[str]:
    """Return the names by which pods find a Service, the cluster's domain left out. Pure."""
    return frozenset({key.name, f"{key.name}.{key.namespace}", _host(key)})


def _host(key: ObjectKey) -> str:
    return f"{key.name}.{key.namespace}.svc"


def _cluster_addresses(spec: dict[str, Any]) -> list[str]:
    """Return the ClusterIPs, the first family first; "None" is what a headless Service has."""
    return spec.get("clusterIPs") or [spec.get("clusterIP") or ""]
