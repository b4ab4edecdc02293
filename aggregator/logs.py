"""Logs of the aggregator: one JSON object a line on stderr, configured once. Not pure.

What other libraries log through `logging` comes out in the same form. Keys are in `log_keys`;
phrases are constant and in lower case; never a token or a whole object.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import structlog
from aiohttp.http_exceptions import HttpProcessingError

if TYPE_CHECKING:
    from typing import TextIO

LEVELS = ("debug", "info", "warning", "error")


def configure_logs(level: str, stream: TextIO | None = None) -> None:
    """Send all logs from `level` on to `stream` (stderr by default); a second call replaces it.

    Args:
        level: one of `LEVELS`.
        stream: where the lines go.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.dict_tracebacks,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # One line for each request would drown the lines that say something.
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    # The same filter again is none: it is added once.
    logging.getLogger("aiohttp.server").addFilter(_is_not_the_senders_fault)


def _is_not_the_senders_fault(record: logging.LogRecord) -> bool:
    """Drop what aiohttp logs, as an error, of a request that is no HTTP.

    It was answered with 400, anybody can send it, and the line would show its bytes: a token may be
    among them.
    """
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError)
