"""The three kinds of failure that Gamekeeper tells apart, by what the caller does about them.

Pure. Foreign exceptions are mapped to these at one edge per library, chained; nobody logs and
raises.
"""


class AppError(Exception):
    """A failure with a reason.

    Args:
        reason: CamelCase, for conditions, events and metrics.
        message: one line for a person, saying what to do where that is known.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message


class TransientError(AppError):
    """It may work later with the same input: retry with backoff.

    Args:
        retry_after_seconds: the least time to wait, where the other side named one.
    """

    def __init__(self, reason: str, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(reason, message)
        self.retry_after_seconds = retry_after_seconds


class TerminalError(AppError):
    """It cannot work until the input changes: show it in a condition, do not retry."""


class InvalidInput(AppError):  # noqa: N818 - it names the fault of the sender, as in the papers
    """The sender's fault.

    Args:
        field: the path of the offending field, for example `probes[2].result`; empty for the whole.
        message: what is wrong and what would be right.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__("Invalid", f"{field}: {message}" if field else message)
        self.field = field
