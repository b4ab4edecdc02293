"""Memory that is given back to the kernel, in a real process: less of it, and everything works."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support.pod_sandbox import REPOSITORY

pytestmark = [pytest.mark.component, pytest.mark.timeout(30)]

PROGRAM = """
import ssl, sys, json
sys.path.append(REPOSITORY)
from agent.resident import LibraryPages

def resident():
    with open("/proc/self/smaps_rollup") as file:
        lines = (line.split() for line in file if ":" in line.split()[0])
        return {name.rstrip(":"): int(value) for name, value, *_ in lines}

def work():
    context = ssl.create_default_context()
    return sorted(cipher["name"] for cipher in context.get_ciphers())

def fact(number):
    return number * fact(number - 1) if number else 1

pages = LibraryPages(100.0)
first = work()
before = resident()
pages.step(114.9)
untouched = resident()["Rss"]
pages.step(115.0)
after = resident()
print(json.dumps({
    "early": untouched >= before["Rss"],
    "file": after["Rss"] - after["Anonymous"] < 0.7 * (before["Rss"] - before["Anonymous"]),
    "anonymous": after["Anonymous"] >= before["Anonymous"],
    "same": work() == first and fact(300) % 7 == 0,
    "deadline": pages.deadline(),
}))
"""


def test_file_pages_are_given_back_once_it_is_time_and_the_process_works_on() -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-c", PROGRAM.replace("REPOSITORY", repr(str(REPOSITORY)))],
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
    )
    assert json.loads(done.stdout) == {
        "early": True,
        "file": True,
        "anonymous": True,
        "same": True,
        "deadline": 715.0,
    }
