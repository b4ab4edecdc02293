"""What holds for every test."""

import asyncio

import hypothesis

# Enough to find what a table forgot; the whole unit suite has to stay under a minute.
hypothesis.settings.register_profile("suite", max_examples=40, deadline=None)
hypothesis.settings.load_profile("suite")


def pytest_configure() -> None:
    """Say that the main thread has no event loop of its own.

    Otherwise Python 3.11 makes one when pytest-asyncio asks which loop was there before, nobody
    closes it, and its ResourceWarning fails whichever test runs when it is collected.
    """
    asyncio.set_event_loop(None)
