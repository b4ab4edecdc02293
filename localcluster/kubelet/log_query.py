"""Which lines of a log a request wants, and how they are shown. Pure.

Source: Kubernetes API reference, Pod, "read log of the specified Pod": the parameters; of sinceTime
and sinceSeconds only one may be given.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localcluster.kubelet.log_file import LogLine

_TRUE = ("1", "true")


@dataclass(frozen=True, slots=True)
class LogQuery:
    """The parameters of a log request.

    Args:
        follow: whether to wait for more until the container ends.
        previous: whether the instance before this one is meant.
        timestamps: whether each line begins with its time.
        tail_lines: only so many of the last lines; None for all.
        since: only lines printed at this time or later; None for all.
        limit_bytes: end after so many bytes; None for no limit.
    """

    follow: bool
    previous: bool
    timestamps: bool
    tail_lines: int | None
    since: datetime | None
    limit_bytes: int | None

    def wants(self, line: LogLine) -> bool:
        """Return whether the line is recent enough."""
        return self.since is None or datetime.fromisoformat(line.time) >= self.since

    def show(self, line: LogLine) -> bytes:
        """Return the line as it is sent."""
        prefix = f"{line.time} ".encode() if self.timestamps else b""
        return prefix + line.text + (b"\n" if line.complete else b"")


def parse_log_query(query: Mapping[str, str], now: datetime) -> LogQuery:
    """Return the parameters of a request.

    Raises:
        ValueError: naming the parameter and what it must be.
    """
    if query.get("sinceSeconds") and query.get("sinceTime"):
        raise ValueError("sinceTime: at most one of sinceTime or sinceSeconds may be specified")
    seconds = _number(query, "sinceSeconds", least=1)
    return LogQuery(
        follow=is_true(query, "follow"),
        previous=is_true(query, "previous"),
        timestamps=is_true(query, "timestamps"),
        tail_lines=_number(query, "tailLines", least=0),
        since=_moment(query) if seconds is None else now - timedelta(seconds=seconds),
        limit_bytes=_number(query, "limitBytes", least=1),
    )


def is_true(query: Mapping[str, str], name: str) -> bool:
    """Return whether a flag is set."""
    return query.get(name, "").lower() in _TRUE


def _number(query: Mapping[str, str], name: str, *, least: int) -> int | None:
    text = query.get(name, "")
    if not text:
        return None
    if not text.isdigit() or int(text) < least:
        raise ValueError(f"{name}: want a number >= {least}, got {text!r}")
    return int(text)


def _moment(query: Mapping[str, str]) -> datetime | None:
    text = query.get("sinceTime", "")
    try:
        moment = datetime.fromisoformat(text) if text else None
    except ValueError as error:
        raise ValueError(f"sinceTime: want RFC 3339, got {text!r}") from error
    if moment is not None and moment.tzinfo is None:
        raise ValueError(f"sinceTime: want a time zone, got {text!r}")
    return moment
