"""What holds for every test."""

import asyncio


def pytest_configure() -> None:
    """Say that the main thread has no event loop of its own.

    Otherwise Python 3.11 makes one when pytest-asyncio asks which loop was there before, nobody
    closes it, and its ResourceWarning fails whichever test runs when it is collected.
    """
    asyncio.set_event_loop(None)
