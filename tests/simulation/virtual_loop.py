"""An event loop without sockets, in virtual time, that runs only when it is told to. No I/O.

A schedule decides what happens next, so nothing may go on by itself: the loop holds what tasks have
become ready for, and `run_ready` runs all of it. Timers follow the clock of the schedule, so that
the product's own delays and time limits mean what they say. An exception of a callback goes through
to whoever runs the loop: no defect is lost in a log.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tests.support.world import Clock


class Call:
    """A callback that waits: until its time, or until the loop runs."""

    __slots__ = ("_arguments", "_at", "_callback", "_context", "_number", "is_cancelled")

    def __init__(
        self,
        at: tuple[float, int],
        callback: Callable[..., Any],
        arguments: tuple[Any, ...],
        context: Context | None,
    ) -> None:
        self._at, self._number = at
        self._callback = callback
        self._arguments = arguments
        self._context = context if context is not None else copy_context()
        self.is_cancelled = False

    def __lt__(self, other: Call) -> bool:
        return (self._at, self._number) < (other._at, other._number)

    def when(self) -> float:
        """Return its time in seconds of the loop."""
        return self._at

    def cancel(self) -> None:
        """Never run it."""
        self.is_cancelled = True

    def cancelled(self) -> bool:
        """Tell whether it will never run."""
        return self.is_cancelled

    def run(self) -> None:
        """Run it now."""
        self._context.run(self._callback, *self._arguments)


class VirtualLoop(asyncio.AbstractEventLoop):
    """What tasks, futures and timeouts need of a loop; everything else is not implemented.

    Attributes:
        complaints: what tasks ended with that nobody foresaw.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ready: deque[Call] = deque()
        self._timers: list[Call] = []
        self._count = 0
        self.complaints: list[BaseException] = []

    def __enter__(self) -> VirtualLoop:
        asyncio._set_running_loop(self)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio._set_running_loop(None)

    def time(self) -> float:
        """Return the time of the schedule."""
        return self._clock.seconds

    def get_debug(self) -> bool:
        """Say that nobody debugs."""
        return False

    def is_running(self) -> bool:
        """Say that it runs, also between two calls of `run_ready`."""
        return True

    def create_future(self) -> asyncio.Future[Any]:
        """Return a new future."""
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Coroutine[Any, Any, Any],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[Any]:
        """Return a new task, which begins with the next `run_ready`."""
        return asyncio.Task(coro, loop=self, name=name, context=context)

    def call_soon(
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Call:
        """Run a callback with the next `run_ready`."""
        call = Call((self.time(), 0), callback, args, context)
        self._ready.append(call)
        return call

    def call_later(
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Call:
        """Run a callback after `delay` seconds."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Call:
        """Run a callback at a time; of several in the order in which they asked."""
        self._count += 1
        call = Call((when, self._count), callback, args, context)
        heapq.heappush(self._timers, call)
        return call

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Do nothing: the garbage collector calls it, and no schedule may depend on when."""

    def next_timer(self) -> float | None:
        """Return when the next timer is due; None without any."""
        while self._timers and self._timers[0].is_cancelled:
            heapq.heappop(self._timers)
        return self._timers[0].when() if self._timers else None

    def run_ready(self) -> None:
        """Run everything that can run at this time, until all tasks wait for something."""
        ready = self._ready
        while True:
            while ready:
                call = ready.popleft()
                if not call.is_cancelled:
                    call.run()
            due = self.next_timer()
            if due is None or due > self._clock.seconds:
                return
            ready.append(heapq.heappop(self._timers))
