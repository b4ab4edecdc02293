"""Host names -> addresses, in threads: getaddrinfo blocks and knows no deadline.

One thread for each name that is being looked up, however many probes wait for it, so a dead name
server costs at most as many threads as the probe list has hosts. Threads are fine in this process:
the exec helper, which forks, was itself forked before the first one.
"""

from __future__ import annotations

import errno
import os
import queue
import selectors
import socket
import threading
from typing import TYPE_CHECKING

from agent.address import family_of

if TYPE_CHECKING:
    from collections.abc import Callable

    OnResolved = Callable[["tuple[str, ...] | OSError"], None]


class Resolver:
    """Looks names up without blocking the loop.

    Args:
        selector: of the main loop; `data` of every registration is a callback without arguments.
    """

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._waiting: dict[str, list[OnResolved]] = {}
        self._found: queue.SimpleQueue[tuple[str, tuple[str, ...] | OSError]] = queue.SimpleQueue()
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        selector.register(self._bell, selectors.EVENT_READ, self._collect)

    @property
    def is_busy(self) -> bool:
        """Whether a name is being looked up."""
        return bool(self._waiting)

    def resolve(self, host: str, on_resolved: OnResolved) -> None:
        """Call `on_resolved` with the addresses of `host` or why there are none.

        At once for an IP address, otherwise later from the main loop.
        """
        if family_of(host) is not None:
            on_resolved((host,))
            return
        waiting = self._waiting.setdefault(host, [])
        waiting.append(on_resolved)
        if len(waiting) > 1:
            return
        try:
            threading.Thread(target=self._look_up, args=(host,), name="dns", daemon=True).start()
        except RuntimeError as error:  # the pod's limit of processes is reached
            del self._waiting[host]
            on_resolved(OSError(errno.EAGAIN, str(error)))

    def forget(self, on_resolved: OnResolved) -> None:
        """Do not call this one any more; a look-up under way goes on and serves the next."""
        for waiting in self._waiting.values():
            if on_resolved in waiting:
                waiting[waiting.index(on_resolved)] = _nobody

    def close(self) -> None:
        """Stop listening to the threads; the last of them ends with the process."""
        self._selector.unregister(self._bell)
        if not self._waiting:
            os.close(self._bell)

    def _look_up(self, host: str) -> None:
        try:
            # Bytes, because text would load the IDNA tables. A name beyond ASCII is no DNS name.
            entries = socket.getaddrinfo(host.encode("ascii"), None, type=socket.SOCK_STREAM)
            found: tuple[str, ...] | OSError = tuple(
                dict.fromkeys(str(entry[4][0]) for entry in entries)
            )
        except OSError as error:
            found = error
        except ValueError:
            found = OSError(f"{host!r} is no host name")
        self._found.put((host, found))
        os.eventfd_write(self._bell, 1)

    def _collect(self) -> None:
        os.eventfd_read(self._bell)
        while True:
            try:
                host, found = self._found.get_nowait()
            except queue.Empty:
                return
            for on_resolved in self._waiting.pop(host, ()):
                on_resolved(found)


def _nobody(_found: tuple[str, ...] | OSError) -> None:
    """Take the place of a waiter that has left."""
