"""JSON lines on stderr: constant lower-case phrases, data as keys. Standard library logging only.

Use `log.info("probe list changed", extra=data(revision=...))`. Never log a token or a whole object.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

from shared.protocol.wire import render_time

_DATA = "gamekeeper_data"


def data(**values: Any) -> dict[str, dict[str, Any]]:
    """Return `values` in the form that the `extra` argument of a log call takes."""
    return {_DATA: values}


class JsonFormatter(logging.Formatter):
    """Renders a record as one line of JSON: ts, level, event, then the data."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its newline."""
        line = {
            "ts": render_time(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, _DATA, {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure(level: str) -> None:
    """Send records of `level` (DEBUG, INFO, WARNING, ERROR) and above to stderr as JSON."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler])
