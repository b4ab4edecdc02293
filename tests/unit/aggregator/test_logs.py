"""Log lines are JSON, whoever writes them."""

import io
import json
import logging

import pytest
import structlog
from aiohttp.http_exceptions import BadHttpMessage

from aggregator import log_keys
from aggregator.logs import LEVELS, configure_logs


@pytest.fixture
def stream():
    """Give a stream to log to, and leave the logging of other tests as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield io.StringIO()
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    for line in found:
        del line["timestamp"]
    return found


def test_own_and_foreign_lines_look_alike_and_carry_the_context(stream: io.StringIO) -> None:
    configure_logs("info", stream)
    with structlog.contextvars.bound_contextvars(controller="set"):
        structlog.get_logger().info("reconciled", key="games/a")
        logging.getLogger("foreign").warning("took %d s", 3)
    structlog.get_logger().debug("too low")
    assert lines(stream) == [
        {"controller": "set", "event": "reconciled", "key": "games/a", "level": "info"},
        {"controller": "set", "event": "took 3 s", "level": "warning"},
    ]


def test_a_traceback_is_data_on_the_same_line(stream: io.StringIO) -> None:
    configure_logs("error", stream)
    try:
        raise ZeroDivisionError("bug")
    except ZeroDivisionError:
        structlog.get_logger().exception("failed")
    [line] = lines(stream)
    assert line["event"] == "failed"
    assert line["exception"][0]["exc_type"] == "ZeroDivisionError"  # type: ignore[index]


@pytest.mark.parametrize("level", LEVELS)
def test_every_level_of_the_settings_can_be_configured(level: str, stream: io.StringIO) -> None:
    configure_logs(level, stream)
    getattr(structlog.get_logger(), level)("said")
    assert [line["level"] for line in lines(stream)] == [level]


def test_there_are_at_most_25_keys_and_each_is_there_once() -> None:
    keys = [value for name, value in vars(log_keys).items() if name.isupper()]
    assert len(keys) == len(set(keys)) <= 25


@pytest.mark.parametrize(
    ("error", "logged"),
    [
        pytest.param(BadHttpMessage("Bearer secret"), False, id="a request that is no HTTP"),
        pytest.param(ValueError("a bug"), True, id="a bug in a handler"),
    ],
)
def test_bytes_that_are_no_http_reach_no_log(
    stream: io.StringIO, error: Exception, logged: bool
) -> None:
    for _ in range(2):
        configure_logs("info", stream)
    try:
        raise error
    except (BadHttpMessage, ValueError):
        logging.getLogger("aiohttp.server").exception("Error handling request")
    assert ("Error handling request" in stream.getvalue()) is logged
    assert "secret" not in stream.getvalue()
