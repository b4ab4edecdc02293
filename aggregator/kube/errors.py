"""What can go wrong with a request to the API server, by what the caller does about it. Pure.

This is the one edge where HTTP statuses become our errors; `client` maps what the network raises. A
missing object is no error of `get` and `delete`, so `NotFound` comes only from the other verbs.

| raised | answered | the caller |
| --- | --- | --- |
| NotFound | 404 | plans again: the object, its namespace or its kind went away |
| Conflict, TestFailed, AlreadyExists | 409, 422 | plans again: it decided on an old state |
| Rejected | 400, 403, 422 and the rest of 4xx | shows a condition: the same body fails again |
| Throttled | 429 | waits as long as the server says |
| Unavailable | 401, 408, 5xx, network, timeouts | tries again; a write may have happened |
| Expired | 410 | lists again |
| NotLeading | nothing was sent: another process leads | stops: it will be started again |

Source: https://github.com/kubernetes/apimachinery (meta/v1 Status, StatusReason).
"""

# ruff: noqa: N818 - the words are those of the API server's status reasons

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from shared.errors import TerminalError, TransientError

_MAX_MESSAGE_CHARACTERS = 256


class NotFound(TransientError):
    """The object, its namespace or its kind does not exist."""


class Conflict(TransientError):
    """The object is not, or no longer, as the writer thought: read it and decide again."""


class TestFailed(Conflict):
    """A `test` operation of a JSON patch did not hold, so none of its operations was done."""

    # NB: pytest would take the name for a test class wherever it is imported.
    __test__ = False


class AlreadyExists(TransientError):
    """An object of that name is there already; whose it is, a read must tell."""


class Throttled(TransientError):
    """The API server asks for patience; `retry_after_seconds` says how much, if it said so."""


class Expired(TransientError):
    """The resourceVersion or continue token is older than the server's memory."""


class NotLeading(TransientError):
    """This process does not hold the lease (any more), so nothing was sent."""


class Unavailable(TransientError):
    """No proper answer came.

    Args:
        outcome_unknown: the request was a write that may have been done: read before the next.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        retry_after_seconds: float | None = None,
        *,
        outcome_unknown: bool = False,
    ) -> None:
        super().__init__(reason, message, retry_after_seconds)
        self.outcome_unknown = outcome_unknown


@dataclass(frozen=True, slots=True)
class Cause:
    """One fault of a rejected object: the path of the field and what is wrong with it."""

    field: str
    message: str


class Rejected(TerminalError):
    """The API server refuses this request and will refuse it again.

    Args:
        code: HTTP status.
        causes: the fields at fault, where the server names them.
    """

    def __init__(
        self, reason: str, message: str, code: int, causes: tuple[Cause, ...] = ()
    ) -> None:
        super().__init__(reason, message)
        self.code = code
        self.causes = causes


class _StatusCause(msgspec.Struct, frozen=True):
    field: str = ""
    message: str = ""


class _StatusDetails(msgspec.Struct, frozen=True):
    causes: list[_StatusCause] | None = None
    retry_after_seconds: float | None = msgspec.field(default=None, name="retryAfterSeconds")


class ApiStatus(msgspec.Struct, frozen=True):
    """The part of a meta/v1 Status that decides which error it is."""

    code: int | None = None
    reason: str | None = None
    message: str | None = None
    details: _StatusDetails | None = None


_decode_status = msgspec.json.Decoder(ApiStatus).decode


def shorten(text: str) -> str:
    """Return `text` on one line of at most 256 characters: foreign bodies have no bounds."""
    line = " ".join(text.split())
    if len(line) <= _MAX_MESSAGE_CHARACTERS:
        return line
    return line[: _MAX_MESSAGE_CHARACTERS - 1] + "…"


@dataclass(frozen=True, slots=True)
class FailedRequest:
    """What is known about a request that was answered with a failure.

    Attributes:
        code: HTTP status, or the code of an ERROR event in a watch.
        body: of the answer; a Status, or whatever a proxy said.
        is_write: the verb changes something, so its outcome can be unknown.
        has_tests: the body was a JSON patch with `test` operations.
        retry_after: the header of that name.
    """

    code: int
    body: bytes
    is_write: bool = False
    has_tests: bool = False
    retry_after: str | None = None


def error_from(failed: FailedRequest) -> TransientError | TerminalError:
    """Return the error that a failed request means; the table above."""
    try:
        status = _decode_status(failed.body)
    except (msgspec.MsgspecError, ValueError):
        # A proxy in between answers in its own words, not necessarily in UTF-8.
        status = ApiStatus(message=failed.body[:1024].decode(errors="replace"))
    reason = status.reason or f"Http{failed.code}"
    message = shorten(status.message or "the answer has no message")
    details = status.details or _StatusDetails()
    wait = details.retry_after_seconds or _seconds(failed.retry_after)
    if failed.code == 401 or failed.code == 408 or failed.code >= 500:
        unknown = failed.is_write and failed.code >= 500
        return Unavailable(reason, message, wait, outcome_unknown=unknown)
    causes = tuple(Cause(cause.field, shorten(cause.message)) for cause in details.causes or ())
    # NB: a failed `test` and a body that breaks the schema share the code and the reason Invalid;
    # only the second one names fields.
    if failed.code == 422 and failed.has_tests and not any(cause.field for cause in causes):
        return TestFailed("TestFailed", message)
    if failed.code == 409 and reason == "AlreadyExists":
        return AlreadyExists(reason, message)
    simple = {404: NotFound, 409: Conflict, 410: Expired, 429: Throttled}.get(failed.code)
    if simple is not None:
        return simple(reason, message, wait)
    return Rejected(reason, message, failed.code, causes)


def _seconds(header: str | None) -> float | None:
    """Return Retry-After in seconds; its other form, a date, is not used by the API server."""
    return float(header) if header is not None and header.isdecimal() else None
