"""Workers that reconcile keys, and the one place that logs and counts how that went. Not pure.

A reconciler gets a key only and looks at the current state; it returns when it wants to be asked
again, or raises. What a failure means for the next attempt is decided here, for all alike:

| raised | logged | the key |
| --- | --- | --- |
| nothing | debug (info if it wrote) | forgotten, or again after `requeue_after_seconds` |
| Conflict, AlreadyExists, NotFound | debug | again with backoff: the cache catches up |
| other TransientError | warning | again with backoff, not before its retry_after_seconds |
| TerminalError, InvalidInput | warning | not again until its input changes |
| anything else, a bug | error with traceback | again with backoff: one bad object stops no other |

Source: the rules of controller-runtime's reconciler (RequeueAfter, TerminalError).
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from aggregator import log_keys
from aggregator.kube.errors import AlreadyExists, Conflict, NotFound
from aggregator.kube.workqueue import WorkQueue
from shared.clock import monotonic_seconds
from shared.errors import InvalidInput, TerminalError, TransientError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aggregator.kube.resources import ObjectKey

logger = structlog.get_logger()

OUTCOME_OK = "ok"
OUTCOME_STALE = "stale"
OUTCOME_TRANSIENT = "transient"
OUTCOME_TERMINAL = "terminal"
OUTCOME_BUG = "bug"

_LEVELS = {
    OUTCOME_OK: logging.DEBUG,
    OUTCOME_STALE: logging.DEBUG,
    OUTCOME_TRANSIENT: logging.WARNING,
    OUTCOME_TERMINAL: logging.WARNING,
}


@dataclass(frozen=True, slots=True)
class Result:
    """How a successful run went.

    Attributes:
        requeue_after_seconds: when the key wants to come again; None for not by itself.
        changes: what was written, or why something was not, a few words each: logged at info.
    """

    requeue_after_seconds: float | None = None
    changes: tuple[str, ...] = ()


class Controller:
    """A queue of keys and the workers that reconcile them.

    Args:
        name: for logs and metrics.
        reconcile: brings one object closer to what it should be; runs once at a time for one key.
        workers: how many keys run at a time.
        queue: where keys are added; its own by default.

    Attributes:
        outcomes: number of runs by outcome, since the start.
    """

    def __init__(
        self,
        name: str,
        reconcile: Callable[[ObjectKey], Awaitable[Result]],
        workers: int = 4,
        queue: WorkQueue[ObjectKey] | None = None,
    ) -> None:
        self.name = name
        self.queue: WorkQueue[ObjectKey] = WorkQueue() if queue is None else queue
        self.outcomes: Counter[str] = Counter()
        self._reconcile = reconcile
        self._workers = workers

    async def run(self) -> None:
        """Work until the queue is shut down and empty, or until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._workers):
                group.create_task(self._work(), name=f"{self.name}-{number}")

    async def _work(self) -> None:
        while (key := await self.queue.get()) is not None:
            try:
                with structlog.contextvars.bound_contextvars(
                    **{log_keys.CONTROLLER: self.name, log_keys.KEY: str(key)}
                ):
                    await self.run_once(key)
            finally:
                self.queue.done(key)

    async def run_once(self, key: ObjectKey) -> None:
        """Reconcile one key, decide when it comes again, and write its one line.

        The workers call it for a key that they took from the queue. Who takes keys from the queue
        by other rules than theirs may call it too: a simulation of many orders does.
        """
        started = monotonic_seconds()
        details: dict[str, Any] = {}
        try:
            result = await self._reconcile(key)
        except (Conflict, AlreadyExists, NotFound) as error:
            outcome = OUTCOME_STALE
            details = self._retry(key, error)
        except TransientError as error:
            outcome = OUTCOME_TRANSIENT
            details = self._retry(key, error)
        except (TerminalError, InvalidInput) as error:
            outcome = OUTCOME_TERMINAL
            details = {log_keys.REASON: error.reason, log_keys.MESSAGE: error.message}
            self.queue.forget(key)
        except Exception:
            outcome = OUTCOME_BUG
            wait = self.queue.add_rate_limited(key)
            logger.exception(
                "reconcile failed by a bug", **{log_keys.RETRY_SECONDS: round(wait, 3)}
            )
        else:
            outcome = OUTCOME_OK
            self.queue.forget(key)
            if result.changes:
                details = {log_keys.CHANGES: result.changes}
            if result.requeue_after_seconds is not None:
                self.queue.add_after(key, result.requeue_after_seconds)
        self.outcomes[outcome] += 1
        if outcome != OUTCOME_BUG:
            details[log_keys.OUTCOME] = outcome
            details[log_keys.DURATION_SECONDS] = round(monotonic_seconds() - started, 6)
            level = logging.INFO if log_keys.CHANGES in details else _LEVELS[outcome]
            logger.log(level, "reconciled", **details)

    def _retry(self, key: ObjectKey, error: TransientError) -> dict[str, Any]:
        wait = self.queue.add_rate_limited(key, error.retry_after_seconds or 0.0)
        return {
            log_keys.REASON: error.reason,
            log_keys.MESSAGE: error.message,
            log_keys.FAILURES: self.queue.failures(key),
            log_keys.RETRY_SECONDS: round(wait, 3),
        }
