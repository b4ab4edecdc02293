"""`gamekeeper local` is ended by a signal at any time, and tells a failed start in one line."""

import asyncio
import os
import signal
from contextlib import asynccontextmanager

import pytest

from cli import local
from cli.__main__ import main
from shared.errors import TerminalError


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_start_ends_it_and_takes_everything_down(monkeypatch, capsys, number):
    ended = []

    @asynccontextmanager
    async def never_ready(_options):
        os.kill(os.getpid(), number)
        try:
            await asyncio.Event().wait()
            yield
        finally:
            ended.append(True)

    monkeypatch.setattr(local, "gamekeeper_cluster", never_ready)
    assert (main(["local"]), ended, capsys.readouterr()) == (130, [True], ("", ""))


def test_a_start_that_fails_is_one_line(monkeypatch, capsys):
    @asynccontextmanager
    async def broken(_options):
        raise TerminalError("NotReady", "kubelet was not ready after 60 s: it printed nothing")
        yield

    monkeypatch.setattr(local, "gamekeeper_cluster", broken)
    message = "gamekeeper local: kubelet was not ready after 60 s: it printed nothing\n"
    assert (main(["local"]), capsys.readouterr()) == (2, ("", message))
