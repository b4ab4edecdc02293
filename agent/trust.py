"""Which certificates the agent trusts: a CA bundle file that is replaced while the agent runs.

The aggregator rotates its CA through a ConfigMap, whose files kubelet replaces as a whole. So the
file is looked at before every new connection: a certificate of the new CA works at once, and one
of a CA that was taken out stops working. An open connection lives on.
"""

from __future__ import annotations

import os
import ssl


class TrustBundle:
    """The CA certificates of a PEM file, as they are now.

    Args:
        path: of the file.

    Raises:
        OSError: it cannot be read (ssl.SSLError: or holds no certificate).
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._identity = _identify(path)
        self._context = ssl.create_default_context(cafile=path)

    def context(self) -> ssl.SSLContext:
        """Return TLS settings that trust the file's certificates and check the server's name.

        While the file is missing or broken, those that were read last are trusted.
        """
        try:
            identity = _identify(self._path)
            if identity != self._identity:
                self._context = ssl.create_default_context(cafile=self._path)
                self._identity = identity
        except OSError:
            return self._context
        return self._context


def _identify(path: str) -> tuple[int, int, int, int]:
    """Return what differs between a file and the one that replaced it."""
    found = os.stat(path)
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size
