"""Pod addresses: distinct loopback addresses 127.x.y.z. The network is the host's. Not thread-safe.

127.0.0.0/16 is left to the host (localhost, resolvers). Two kubelets of one machine begin at
different places, because a pod's agent binds a fixed port of its pod's address.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Addresses:
    """Gives out addresses, each again only after all others of its range were used.

    Args:
        second_octet: 1 to 254; the range is 127.<second_octet>.0.0/16.
    """

    def __init__(self, second_octet: int) -> None:
        self._order = self._cycle(second_octet)
        self._taken: set[str] = set()

    def take(self) -> str:
        """Return an address that no living pod has."""
        for address in self._order:
            if address not in self._taken:
                break
        self._taken.add(address)
        return address

    def release(self, address: str) -> None:
        """Let the address be given out again."""
        self._taken.discard(address)

    @staticmethod
    def _cycle(second_octet: int) -> Iterator[str]:
        while True:
            for third in range(256):
                for last in range(1, 255):
                    yield f"127.{second_octet}.{third}.{last}"
